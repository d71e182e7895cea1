/* The end of the line: mail whose hold time is over expires, and what is in grace is let go in the end.
 *
 * A recipient that expires, or is refused for good, ends into *grace* (port/store.h): it has its end record,
 * is tried no more, and its message can be shown, read and released for ENDS_GRACE_DAYS. Nobody is told by
 * mail. While a server takes mail, what was never tried does not expire: a backlog that drains on the last
 * day is delivered.
 *
 * Age is measured on a clock of its own that no jump of the wall clock can hurry (struct ends): it goes on
 * with the monotonic clock and follows a wall clock that is ahead by ENDS_CATCH_UP_PART of the time that
 * passes; it is kept in the store ("ends"), and a stop of the program counts for ENDS_STOP_MAX_MS at most. So
 * a clock that is put forward, or was wrong at boot, ends nothing at once; one that is put back makes mail
 * live longer.
 */
#ifndef RELAY_ENDS_H
#define RELAY_ENDS_H

#include <stdbool.h>

#include "port/store.h"
#include "relay/timer.h"

struct domain;
struct relay;

enum {
	ENDS_LOOK_MS = 60 * 1000, /* between two looks at all domains */
	ENDS_PAGE = 64,		  /* entries of a walk */
	ENDS_DOMAINS = 500,	  /* looked at in one turn */
	ENDS_TURN_MS = 200,	  /* between two turns of one look */
	ENDS_CATCH_UP_PART = 8,	  /* an eighth */
	ENDS_STOP_MAX_MS = 24 * 3600 * 1000,
	ENDS_GRACE_DAYS = 15,
	ENDS_GRACE_LOOKS = 60,	/* the grace queues are walked at each so manieth look: once an hour */
	ENDS_WARN_PERCENT = 66, /* of the hold time: from day 10 of 15 on there is a warning */
};
struct ends {
	struct timer timer;
	int64_t now_ms;	     /* wall clock that is believed */
	int64_t wall_ms;     /* the real one, when it was written down */
	int64_t seen_us;     /* monotonic clock, when now_ms was right */
	bool known;	     /* it was read from the store */
	bool walking;	     /* a look is under way */
	uint32_t grace_wait; /* looks until the grace queues are walked again */
	uint32_t queue;	     /* of the store, that is being walked; 0: none */
	uint64_t after;	     /* there */
	size_t cursor_size;  /* the key of the domain that was looked at last */
	uint8_t cursor[4];
};

/* What the store remembers of the clock. ERR_CORRUPT: it begins anew. */
nodiscard int ends_load(struct relay *relay, struct slice from);
/* Begins to look. */
void ends_start(struct relay *relay);
/* Writes the clock down. */
void ends_save(struct relay *relay);

/* The change ends its recipient as REFUSED or EXPIRED, with grace. */
void ends_into_grace(const struct relay *relay, struct store_change *change,
		     enum store_recipient_state state);

/* When mail that came at that time expires, in ms from now, at least 0; out of grace it has more time. */
int64_t ends_expires_in_ms(const struct domain *domain, int64_t arrival_ms);
/* It is time to warn of that. */
bool ends_warns(const struct domain *domain, int64_t arrival_ms);

#endif
