/* Timers of the core: one heap, keyed by monotonic microseconds.
 *
 * A timer is a member of the object that it serves. fire is called from relay_run only; it may set the timer
 * again.
 */
#ifndef RELAY_TIMER_H
#define RELAY_TIMER_H

#include "base/heap.h"
#include "port/clock.h"

struct timer {
	struct heap_node node;
	void (*fire)(struct timer *timer);
};

struct timers {
	struct heap heap;
	int64_t floor_us; /* while they run: nothing is set to a time that is due, so a run ends */
};

void timer_set(struct timers *timers, struct timer *timer, int64_t at_us); /* CLOCK_NEVER clears it */
void timer_clear(struct timers *timers, struct timer *timer);
/* Fires what is due. fire may free its object; set again to a time that is due, it fires again in the same
 * run. */
void timers_run(struct timers *timers, int64_t now_us);
int64_t timers_next(const struct timers *timers);

#endif
