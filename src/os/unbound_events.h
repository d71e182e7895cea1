/* libunbound's pluggable event base (unbound-event.h) over a libuv loop: libunbound then works inside our
 * loop, with neither a thread nor a process of its own. */
#ifndef OS_UNBOUND_EVENTS_H
#define OS_UNBOUND_EVENTS_H

#include <uv.h>

struct ub_event_base;

struct ub_event_base *unbound_events_new(uv_loop_t *loop); /* NULL: no memory */
/* After the context that used it was deleted. NULL is allowed. */
void unbound_events_free(struct ub_event_base *base);

#endif
