/* The domains of a feed, indexed by what can be done for them, so that a lane of thousands of domains is as
 *quick as a lane of one: an event costs work for the domains that it concerns, not for all.
 *
 * A domain of which something changed is *woken*. The next run of the feed looks at it and sorts it in:
 *	turns (lane/turns.h)  its mail flows and something of it is ready in memory
 *	hungry                its mail flows and its queue wants to be read: in turn, a page at a time, while
 *fewer than FEED_READ_AHEAD messages of the whole lane are in memory canaries              it refuses or is
 *doubted, and one message may be tried now: in turn and besides, holding: it may hold mail, so it can give
 *the canary of a lane that is down. That list is swept lazily: who turns out to hold nothing leaves it until
 *mail arrives.
 *
 * Part of feed.h; nothing here is linked for a domain without a feed.
 */
#ifndef RELAY_MEMBERS_H
#define RELAY_MEMBERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct domain;
struct feed;
struct item;

enum {
	FEED_READ_AHEAD = 1024, /* messages of a lane in memory or asked for: far beyond any window */
	FEED_LOOKS_MAX = 1000,	/* domains looked at in one run, then the next turn of the loop goes on */
};

struct members {
	struct list woken, hungry, canaries, holding;
	uint32_t ready, reading; /* messages in memory, walks under way: of the domains whose mail flows */
	uint32_t canary_count;	 /* length of canaries */
	bool canary_last;	 /* what was sent last was a refusing domain's canary */
	uint64_t looks;		 /* domains looked at, ever */
};

void members_init(struct members *members);
void members_join(struct domain *domain);
void members_leave(struct domain *domain);

/* Something of it has changed: it is looked at when the feed runs (the caller wakes the feed). */
void members_wake(struct domain *domain);
/* It may hold mail, and may perhaps be probed. */
void members_holds(struct domain *domain);
/* Its mail flows (else both are 0): so many messages are ready, so many walks under way. */
void members_count(struct domain *domain, uint32_t ready, uint32_t reading);

/* Looks at the woken ones of an UP lane. False: some are left. */
bool members_look(struct feed *feed);
/* Lets the hungry ones read. */
void members_feed(struct feed *feed);
/* What may be sent: at least so many messages are ready, or may be. */
uint32_t members_ready(const struct feed *feed);
/* The canary of a refusing domain that comes next, or NULL. It counts as sent. */
struct item *members_canary(struct feed *feed);
/* Is it a canary's turn, rather than that of mail that flows? */
bool members_canary_next(const struct feed *feed, bool others_ready);
/* DOWN: the domain that gives the next canary, or NULL: nobody holds mail that may be tried. */
struct domain *members_probe(struct feed *feed);
/* It gave one, or had none that may be tried: the others first. */
void members_probed(struct domain *domain);

#endif
