/* Callouts: a domain's server is asked about recipients that nobody has seen yet, and what it says is told to
 * the hold detector (trust.h) and the ledger (known.h).
 *
 * A question that waits for its connection takes in who comes meanwhile, of any session: up to
 * ASK_RECIPIENTS_MAX recipients in one transaction. Now and then an address that nobody has is among them:
 * a server that takes that one takes everybody.
 */
#ifndef RELAY_CALLOUT_H
#define RELAY_CALLOUT_H

#include "lane/door.h"
#include "relay/known.h"

struct callout;

enum {
	CALLOUT_MS = 8000,
	CALLOUT_WORDS = 160,
	CALLOUT_LOCAL_MAX = 256,
	CALLOUTS_MAX = 50, /* of one domain at a time: beyond, no answer */
};

struct callout_member { /* who asks */
	struct list in_callout;
	struct callout *callout; /* NULL: not asking */
	uint32_t place;
	struct slice local;	  /* local part that is asked for; lives as long */
	uint64_t sender;	  /* hash of the reverse-path, for the detector */
	struct known_entry entry; /* of the ledger; brought up to date before heard is called */
	char words[CALLOUT_WORDS];
	/* Once, never from inside callout_join. May free the member; may not ask again from inside. */
	void (*heard)(struct callout_member *member, enum door_callout answer);
};

/* False: it cannot be asked now; nothing follows. */
nodiscard bool callout_join(struct domain *domain, struct callout_member *member);
/* It does not want to know any more. */
void callout_leave(struct callout_member *member);
/* The domain goes: nobody hears of it. Members are on their own. */
void callout_cancel_all(struct domain *domain);

#endif
