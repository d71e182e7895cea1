/* What our own door keeps in memory, so that a recipient who is known costs nothing, one who was refused is
 * not asked for again, and no client asks for too many. It may forget anything at any time: then the ledger,
 * or the server, is asked. Of fixed size, however many strangers write.
 */
#ifndef RELAY_DOOR_MEMORY_H
#define RELAY_DOOR_MEMORY_H

#include "base/error.h"
#include "lane/quota.h"
#include "port/net.h"

enum {
	DOOR_MEMORY_RECIPIENTS = 65536, /* 1.5 MiB; a power of two */
	DOOR_MEMORY_WAYS = 4,		/* places where one may stand */
	DOOR_MEMORY_CLIENTS = 4096,
	DOOR_KNOWN_MS = 3600000,  /* then the ledger is read again: the entry may have aged */
	DOOR_REFUSED_MS = 300000, /* a new mailbox is usable after 5 min at most */
	DOOR_HELD_MS = 3600000,
};

enum door_word {
	DOOR_NOTHING = 0,
	DOOR_HELD = 1,	  /* unseen, and mail for it was taken unasked: more of it costs no more */
	DOOR_REFUSED = 2, /* a 550 of ours, from a proven server */
	DOOR_KNOWN = 3,	  /* in the ledger */
};

struct door_memory;

nodiscard struct door_memory *door_memory_new(void); /* NULL: no memory */
void door_memory_free(struct door_memory *memory);

/* recipient: a seeded hash (trust_recipient) of 64 bits: strangers cannot make two alike. */
enum door_word door_recall(const struct door_memory *memory, uint64_t recipient, int64_t now_us);
void door_note(struct door_memory *memory, uint64_t recipient, enum door_word word, int64_t now_us);
void door_forget(struct door_memory *memory, uint64_t recipient);

/* What the client's network (/24, /64) has left. Two networks share one only when more than there is room for
 * are at it. To be used before the next call. */
struct quota *door_client(struct door_memory *memory, const struct net_address *peer, uint64_t seed,
			  int64_t now_us);

#endif
