/* The queue of one domain, as far as it is in memory: a window on what the store holds.
 *
 * The store is walked in three places, so that fresh mail does not wait behind the backlog, nor the backlog
 * behind one mailbox:
 *	backlog  ids below fresh_from, oldest first
 *	fresh    ids from fresh_from on
 *	crowd    of the backlog: what a mailbox or a sender has that would fill it, see crowd.h
 * Each end keeps at most QUEUE_ITEMS_MAX ready items; `cursor` is the last id considered, `exhausted` says
 *that the store has nothing behind it. A message that is committed while its end is exhausted is added
 *without reading it back.
 *
 * An entry that may not be tried yet (its own back-off) is passed over; when the earliest of these is due a
 *new pass begins: the backlog end starts again from 0 and everything considered by the fresh end becomes
 *backlog. So memory does not grow with the number of held or deferred messages, and a lane that is down costs
 *nothing per message.
 *
 * Items in transit are remembered by id, so that no walk can bring a message up twice.
 */
#ifndef RELAY_QUEUE_H
#define RELAY_QUEUE_H

#include "base/list.h"
#include "base/map.h"
#include "port/store.h"
#include "relay/crowd.h"
#include "relay/timer.h"

struct domain;
struct inbound;

enum {
	QUEUE_ITEMS_MAX = 64,			/* ready items of one end: more than the largest window */
	QUEUE_PAGE = 32,			/* entries asked of the store at a time */
	QUEUE_BACKOFF_MAX_MS = 3 * 3600 * 1000, /* longer than any back-off that the verdicts give */
	QUEUE_PROBE_PAGES = 16,	  /* read in search of a good probe; what is found by then is taken */
	QUEUE_CANARY_CHOICE = 20, /* oldest entries that a canary is chosen from (RECOVERY §1.2) */
};

/* One message with the recipients of one domain that may be tried now. Owns copies of what a transaction
 * needs. */
struct item {
	struct map_node by_id;
	struct list in_end; /* while ready */
	struct domain *domain;
	uint64_t id;
	char id_key[sizeof(uint64_t)];
	uint64_t body_bytes;
	int64_t arrival_ms;
	bool fresh;
	bool of_crowd;		/* it is in the crowds' end, see crowd.h */
	bool look_again;	/* a walk met its entry meanwhile: other recipients may be due */
	bool of_class;		/* it goes as the probe of mail that is held as a class, see distrusted.h */
	struct inbound *sender; /* still waits for the verdict, see in_session.h; NULL: nobody */
	uint32_t returns;	/* how often it came back without a verdict of its own */
	struct store_envelope
	    envelope;		   /* only the recipients of this item; slices into the same allocation */
	uint32_t *recipient_index; /* of each, in the stored envelope */
};

struct queue_end {
	struct domain *domain;
	bool is_fresh;
	struct list ready;
	size_t ready_count;
	uint64_t cursor;
	uint64_t released_to; /* during a release: it has given out its messages up to this one */
	bool exhausted;
	bool loading;		/* a walk is under way */
	bool failed;		/* the store could not be read: not before the next pass */
	bool stale;		/* its answer counts for nothing: the end was reset meanwhile */
	bool arrived_meanwhile; /* a message came while a walk was under way */
};

struct queue {
	struct queue_end backlog, fresh, crowd;
	struct crowds crowds;
	uint64_t fresh_from;
	struct map items;    /* all in memory, ready or in transit */
	int64_t next_due_ms; /* wall clock: earliest back-off that was passed over; INT64_MAX: none */
	/* A release: what a server refused is taken before its back-off is over, each message once: those
	 * above the released_to of their end. A pass that begins meanwhile does not end it. */
	bool ignore_backoff;
	bool only_distrusted; /* of the release: what was refused because the server distrusts us */
	struct timer due_timer;
	/* The next probe of a domain that is held or doubted (refusal.h), or of a class of mail that is held
	 * (distrusted.h), chosen among all that waits, back-off or not. */
	struct item *probe;   /* NULL: none was looked for */
	uint64_t probe_after; /* the message that was chosen last, or where the search got to */
	bool probe_loading;
	bool probe_of_class;  /* the search: for mail of a held class */
	uint32_t probe_pages; /* read by it */
	uint64_t probe_best;  /* the best so far; 0: none */
	int probe_best_worth;
};

void queue_init(struct queue *queue, struct domain *domain, uint64_t fresh_from);
void queue_deinit(struct queue *queue); /* items in transit must be gone */

/* The lane has come back, the domain has opened: all that waits is backlog, read anew from the oldest on. A
 * release that was under way goes on. */
void queue_restart(struct domain *domain, bool release);
/* The lane went down or the domain was stopped: ready items are dropped from memory (they are in the store).
 */
void queue_drop(struct domain *domain);

/* Is nothing of it in memory or being read? Then its domain can go. */
bool queue_at_rest(const struct queue *queue);

/* A message was committed with recipients of this domain. Returns its item if that is in memory, ready: until
 * the next call of this header. */
struct item *queue_arrived(struct domain *domain, uint64_t id, const struct store_envelope *envelope,
			   uint64_t body_bytes);

/* A walk is under way. */
bool queue_reading(const struct queue *queue);
/* Would queue_fill read? */
bool queue_wants_reading(const struct domain *domain);
/* Tells the feed what is ready. */
void queue_tell(struct domain *domain);
/* Reads on where needed, and tells the feed what is ready. */
void queue_fill(struct domain *domain);
/* The same for a domain whose mail does not flow: only canaries are taken. */
void queue_fill_canary(struct domain *domain);
/* Takes the next item of that end, or NULL. */
struct item *queue_take(struct domain *domain, bool fresh);
/* Not sent, nothing learnt about it: first in its end again. */
void queue_return(struct item *item);
/* It could not even be begun (no memory): it waits in the store for a moment. */
void queue_defer(struct item *item);
/* An administrator changes this message: it is not begun meanwhile. Ready items only; what is in transit goes
 * on. */
void queue_forget(struct domain *domain, uint64_t id);
/* Is it in transit? */
bool queue_sends(const struct domain *domain, uint64_t id);
/* Takes the message of the entry as if to send it, with no recipient: nothing of it is begun until
 * queue_finish. NULL: it is in transit, or no memory. */
struct item *queue_lock(struct domain *domain, const struct store_entry *entry);
/* Its results are in the store. due_ms: earliest back-off among its recipients, or INT64_MAX when all have
 * ended. */
void queue_finish(struct item *item, int64_t due_ms);
/* What was refused is due at once: the server has changed its mind, or an administrator wants it. */
void queue_release(struct domain *domain);
/* The same for what was refused because the server distrusts us. */
void queue_release_distrusted(struct domain *domain);
/* A class of mail is held from now on: what is ready of it is dropped from memory. */
void queue_withdraw(struct domain *domain);

/* Looks for a probe, if there is none: one of the next messages after the last probe, of a recipient that was
 * accepted lately before others; or of_class: of a class that is held, another one than the last. domain_wake
 * follows. False: nothing to look for, or a search is under way. */
bool queue_seek_probe(struct domain *domain, bool of_class);
/* That probe, one message to one recipient, or NULL. */
struct item *queue_take_probe(struct domain *domain);

/* A canary: one of the oldest that are ready, small ones first, another one each time (tried counts the
 * failures so far). NULL: nothing is ready yet; queue_fill sees to it. */
struct item *queue_take_canary(struct domain *domain, uint32_t tried);

#endif
