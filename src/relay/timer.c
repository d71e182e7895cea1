#include "relay/timer.h"

#include <stddef.h>

#include "base/list.h"

void timer_set(struct timers *timers, struct timer *timer, int64_t at_us)
{
	if (at_us == CLOCK_NEVER) {
		heap_remove(&timers->heap, &timer->node);
		return;
	}
	if (at_us < timers->floor_us)
		at_us = timers->floor_us;
	if (!timer->node.queued || timer->node.key != at_us)
		heap_move(&timers->heap, &timer->node, at_us);
}

void timer_clear(struct timers *timers, struct timer *timer)
{
	heap_remove(&timers->heap, &timer->node);
}

void timers_run(struct timers *timers, int64_t now_us)
{
	/* fire may free the object that holds the timer, or set it again: even to a time that is due, then in
	 * the next run. */
	timers->floor_us = now_us + 1;
	struct heap_node *node = heap_first(&timers->heap);

	while (node != NULL && node->key <= now_us) {
		struct timer *timer = container_of(node, struct timer, node);
		heap_remove(&timers->heap, node);
		timer->fire(timer);
		node = heap_first(&timers->heap);
	}
	timers->floor_us = 0;
}

int64_t timers_next(const struct timers *timers)
{
	struct heap_node *node = heap_first(&timers->heap);

	return node != NULL ? node->key : CLOCK_NEVER;
}
