/* What is known of recipients (lane/ledger.h) and how far the server is trusted (relay/trust.h): learnt from
 * deliveries, kept in the store.
 *
 *	ledger/DOMAIN/ADDRESS  one recipient
 *	known/DOMAIN           the domain as a whole: struct known
 *
 * Nothing of a recipient stays in memory: its entry is read when a transaction with it begins, so that no
 *reply waits for it, and written when the result says something new, for a busy mailbox once in a day of
 *service. A sweep through the ledger, once an hour, a page at a time, removes what matters no more and counts
 *the rest.
 */
#ifndef RELAY_KNOWN_H
#define RELAY_KNOWN_H

#include "lane/ledger.h"
#include "lane/quota.h"
#include "lane/refusal.h"
#include "relay/relay_private.h"

struct domain;
struct outbound;

enum {
	KNOWN_SAVE_MS = 600000,	    /* the record of a domain is written no more often than this */
	KNOWN_SERVED_MS = 3600000,  /* so much time of service is worth a write by itself */
	KNOWN_SWEEP_PAGE = 100,	    /* pairs */
	KNOWN_SWEEP_PAGE_MS = 2000, /* between two pages: a million recipients take six hours */
	KNOWN_SWEEP_MS = 3600000,   /* between two sweeps */
};

struct known { /* of a domain; made when there is something to know */
	struct ledger_domain ledger;
	struct refusal refusal;	       /* by trust.h */
	struct trust_check *check;     /* under way, or NULL */
	struct distrusted *distrusted; /* NULL: its server never distrusted us */
	uint32_t count;	     /* recipients with an entry: as last swept, and those that came since */
	uint32_t swept;	     /* of the sweep that is under way */
	int64_t served_us;   /* service is counted up to here */
	bool changed, saved; /* saved: once, since start */
	bool urgent;	     /* changed, and not to wait for KNOWN_SAVE_MS */
	int64_t saved_us, saved_service_ms;
	struct quota unseen; /* recipients that were taken at our door unasked */
	uint32_t checks;     /* begun; a wish for one is fulfilled by one that begins after it */
	/* Entries were changed by hand so many times: what was read before such a change is not written. */
	uint32_t edits;
};

/* Of one recipient of a transaction, as it was when that began. */
enum known_note_state {
	NOTE_NONE = 0, /* it has no place in the ledger, or could not be read: it is left alone */
	NOTE_NEW = 1,
	NOTE_FOUND = 2,
};
struct known_entry {
	enum known_note_state state;
	uint32_t edits; /* of the domain, when it was asked for */
	struct ledger_entry entry;
};
struct known_note {
	struct outbound *out;
	bool ends; /* refused for good: see ending.h */
	enum known_note_state state;
	uint32_t edits; /* of the domain, when it was asked for */
	struct ledger_entry entry;
};

/* NULL: no memory. */
nodiscard struct known *known_of(struct domain *domain);
void known_free(struct known *known); /* or NULL */
/* Counts time of service up to now. */
void known_serve(struct domain *domain);

/* Reads the entries of the transaction's recipients into out->notes (one for each, allocated, zero).
 * out->notes_pending is 0 when all are there; results_of is called then if it waits for that. */
void known_read(struct outbound *out);
/* The result of one of its recipients, and what the hold detector made of it. */
void known_learn(struct outbound *out, uint32_t index, enum verdict verdict,
		 const struct refusal_advice *advice);

/* --- for our own door --- */

/* To be remembered when an entry is asked for. */
uint32_t known_edits(const struct domain *domain);
/* What the store gave for ledger_key of a recipient. */
void known_entry_take(struct known_entry *entry, const struct store_pair *pairs, size_t count);
/* The server took it when asked: the entry is brought up to date, and written when that is worth it. */
void known_called(struct domain *domain, struct slice local, struct known_entry *entry);

/* To be written at this round? */
bool known_must_save(const struct domain *domain);
/* save: ERR_MEMORY. load: ERR_MEMORY, ERR_CORRUPT, ERR_VERSION; nothing is changed then. A record from before
 * trust was kept (version 1) loads as a first contact: in grace. */
nodiscard int known_save(const struct domain *domain, struct buffer *to);
nodiscard int known_load(struct domain *domain, struct slice from);

void known_start_sweep(struct relay *relay);

#endif
