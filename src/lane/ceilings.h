/* Ceilings learnt from replies (RECOVERY §1.4): how many connections, and how many messages a second.
 *
 * Part of lane.h; the fields belong to conn_limit.c and pace.c.
 */
#ifndef LANE_CEILINGS_H
#define LANE_CEILINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "lane/verdict.h"

/* --- connections: conn_limit.c --- */

struct conn_limit {
	uint32_t limit;	   /* 0: none known */
	uint32_t refusals; /* in a row: polls that found no more */
	bool competitor;   /* the limit was seen lower than before: others use the server's connections too */
	int64_t poll_us;   /* when one more may be tried */
};

/* One connection too many was refused while open were greeted (> 0). */
void conn_limit_refused(struct conn_limit *c, uint32_t open, int64_t now_us);
/* One more was greeted: now there are so many. */
void conn_limit_ready(struct conn_limit *c, uint32_t open, int64_t now_us);
/* How many connections may exist now; UINT32_MAX: no limit known. One more than the limit when a poll is due.
 */
uint32_t conn_limit_allows(const struct conn_limit *c, int64_t now_us);
/* INT64_MAX: no limit known, or a poll is due already. */
int64_t conn_limit_deadline(const struct conn_limit *c, int64_t now_us);

/* --- messages a second: pace.c --- */

enum { PACE_SECONDS = 60 };

struct pace {
	/* What was accepted: a ring of seconds, and since the lane came up last. */
	uint32_t accepted[PACE_SECONDS];
	int64_t second; /* of the newest entry, since the clock's start */
	uint64_t accepted_since_up;
	int64_t up_us;
	/* What is learnt. */
	enum lane_kind kind; /* RATE or 452: which of the two laws; NONE: no ceiling */
	double per_s;	     /* as it was learnt; now pace_per_s */
	double before_per_s; /* accepted in the minute before the refusal, per second */
	int64_t hold_us;     /* until then it does not grow */
	uint32_t doubts;     /* refusals in a row after too few messages to tell a rate */
	uint32_t agreements; /* estimates in a row that agreed */
	int64_t next_us;     /* when the next message may go */
};

void pace_accepted(struct pace *p, int64_t now_us);
void pace_up(struct pace *p, int64_t now_us); /* the lane came up */
/* The server said "too fast" or "no space"; remembers what it took before. */
void pace_refused(struct pace *p, int64_t now_us);
/* It takes again: what it took over the whole cycle, pause included, is what it can take. A refusal after
 * a few messages only is not taken for a rate until it has repeated. */
void pace_learn(struct pace *p, enum lane_kind kind, int64_t now_us);
double pace_per_s(const struct pace *p, int64_t now_us); /* INFINITY: no ceiling */
bool pace_allows(const struct pace *p, int64_t now_us);
void pace_started(struct pace *p, int64_t now_us);	     /* a message went out */
int64_t pace_deadline(const struct pace *p, int64_t now_us); /* INT64_MAX: now, or no ceiling */

#endif
