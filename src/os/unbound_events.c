/* Events here mean what they mean in libevent 2, whose interface libunbound's vtable copies: an event without
 * UB_EV_PERSIST is deactivated before it is delivered, a timeout of a persistent one starts anew at each
 * delivery, and the callback may free the event. */
#include "os/unbound_events.h"

#include <stdlib.h>
#include <sys/time.h>
#include <unbound-event.h>

struct uv_event_base {
	struct ub_event_base base; /* first */
	uv_loop_t *loop;
};

struct event {
	struct ub_event base; /* first */
	uv_loop_t *loop;
	int fd; /* -1: a timer only */
	short bits;
	void (*callback)(int fd, short bits, void *argument);
	void *argument;
	uv_poll_t *poll;   /* while active: libuv ties a handle to one descriptor */
	uv_timer_t *timer; /* made at the first timeout, kept */
	uint64_t timeout_ms;
};

static void on_closed(uv_handle_t *handle)
{
	free(handle);
}

static struct event *event_of(struct ub_event *base)
{
	return (struct event *)base;
}

/* --- deactivating and delivering ------------------------------------------------------------- */

static void stop(struct event *event)
{
	if (event->poll != NULL)
		uv_close((uv_handle_t *)event->poll, on_closed);
	event->poll = NULL;
	if (event->timer != NULL)
		(void)uv_timer_stop(event->timer);
}

static void on_timer(uv_timer_t *timer);

static void fire(struct event *event, short bits)
{
	if ((event->bits & UB_EV_PERSIST) == 0)
		stop(event);
	else if (event->timer != NULL && (uv_is_active((uv_handle_t *)event->timer) || bits == UB_EV_TIMEOUT))
		(void)uv_timer_start(event->timer, on_timer, event->timeout_ms, 0);
	event->callback(event->fd, bits, event->argument); /* the event may be gone after this */
}

static void on_timer(uv_timer_t *timer)
{
	fire(timer->data, UB_EV_TIMEOUT);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct event *event = poll->data;
	short bits = 0;

	if (status < 0)
		bits = event->bits & (UB_EV_READ | UB_EV_WRITE); /* its system call will meet the error */
	if ((events & UV_READABLE) != 0)
		bits |= UB_EV_READ;
	if ((events & UV_WRITABLE) != 0)
		bits |= UB_EV_WRITE;
	fire(event, bits);
}

/* --- activating ------------------------------------------------------------------------------ */

static int start_poll(struct event *event)
{
	int wanted = ((event->bits & UB_EV_READ) != 0 ? UV_READABLE : 0) |
		     ((event->bits & UB_EV_WRITE) != 0 ? UV_WRITABLE : 0);

	if (event->fd < 0 || wanted == 0)
		return 0;
	if (event->poll == NULL) {
		uv_poll_t *poll = calloc(1, sizeof(*poll));
		if (poll == NULL)
			return -1;
		if (uv_poll_init(event->loop, poll, event->fd) != 0) {
			free(poll);
			return -1;
		}
		poll->data = event;
		event->poll = poll;
	}
	return uv_poll_start(event->poll, wanted, on_poll) == 0 ? 0 : -1;
}

static int start_timer(struct event *event, const struct timeval *after)
{
	if (event->timer == NULL) {
		event->timer = calloc(1, sizeof(*event->timer));
		if (event->timer == NULL)
			return -1;
		(void)uv_timer_init(event->loop, event->timer);
		event->timer->data = event;
	}
	event->timeout_ms = (uint64_t)after->tv_sec * 1000 + ((uint64_t)after->tv_usec + 999) / 1000;
	uv_update_time(event->loop);
	(void)uv_timer_start(event->timer, on_timer, event->timeout_ms, 0);
	return 0;
}

static int add(struct ub_event *base, struct timeval *after)
{
	struct event *event = event_of(base);

	if (start_poll(event) != 0)
		return -1;
	return after != NULL ? start_timer(event, after) : 0;
}

static int del(struct ub_event *base)
{
	stop(event_of(base));
	return 0;
}

static int add_timer(struct ub_event *base, struct ub_event_base *events,
		     void (*callback)(int fd, short bits, void *argument), void *argument,
		     struct timeval *after)
{
	struct event *event = event_of(base);

	(void)events; /* there is only the one it was made with */
	event->callback = callback;
	event->argument = argument;
	return start_timer(event, after);
}

static void add_bits(struct ub_event *base, short bits)
{
	event_of(base)->bits |= bits;
}

static void del_bits(struct ub_event *base, short bits)
{
	event_of(base)->bits &= (short)~bits;
}

static void set_fd(struct ub_event *base, int fd)
{
	event_of(base)->fd = fd;
}

static void free_event(struct ub_event *base)
{
	struct event *event = event_of(base);

	stop(event);
	if (event->timer != NULL)
		uv_close((uv_handle_t *)event->timer, on_closed);
	free(event);
}

/* --- never called by libunbound's resolving, but the table must be full ---------------------- */

static int no_signal(struct ub_event *base, struct timeval *after)
{
	(void)base;
	(void)after;
	return -1;
}

static void no_wsaevent(struct ub_event *base)
{
	(void)base;
}

static void no_wouldblock(struct ub_event *base, int bit)
{
	(void)base;
	(void)bit;
}

static struct ub_event *no_new_signal(struct ub_event_base *base, int fd,
				      void (*callback)(int fd, short bits, void *argument), void *argument)
{
	(void)base;
	(void)fd;
	(void)callback;
	(void)argument;
	return NULL;
}

static struct ub_event *no_new_wsaevent(struct ub_event_base *base, void *wsaevent,
					void (*callback)(int fd, short bits, void *argument), void *argument)
{
	(void)base;
	(void)wsaevent;
	(void)callback;
	(void)argument;
	return NULL;
}

static int no_dispatch(struct ub_event_base *base)
{
	(void)base;
	return -1;
}

static int no_loopexit(struct ub_event_base *base, struct timeval *after)
{
	(void)base;
	(void)after;
	return -1;
}

/* --- the tables; libunbound's interface wants them writable, and never writes ---------------- */

static const struct ub_event_vmt event_table = {
    .add_bits = add_bits,
    .del_bits = del_bits,
    .set_fd = set_fd,
    .free = free_event,
    .add = add,
    .del = del,
    .add_timer = add_timer,
    .del_timer = del,
    .add_signal = no_signal,
    .del_signal = del,
    .winsock_unregister_wsaevent = no_wsaevent,
    .winsock_tcp_wouldblock = no_wouldblock,
};

static struct ub_event *new_event(struct ub_event_base *base, int fd, short bits,
				  void (*callback)(int fd, short bits, void *argument), void *argument)
{
	struct event *event = calloc(1, sizeof(*event));

	if (event == NULL)
		return NULL;
	event->base.magic = UB_EVENT_MAGIC;
	event->base.vmt = (struct ub_event_vmt *)&event_table;
	event->loop = ((struct uv_event_base *)base)->loop;
	event->fd = fd;
	event->bits = bits;
	event->callback = callback;
	event->argument = argument;
	return &event->base;
}

void unbound_events_free(struct ub_event_base *base)
{
	free(base);
}

/* libunbound calls this when it could not set itself up, and would use the base again at the next question:
 * it stays ours until unbound_events_free. */
static void keep_base(struct ub_event_base *base)
{
	(void)base;
}

static const struct ub_event_base_vmt base_table = {
    .free = keep_base,
    .dispatch = no_dispatch,
    .loopexit = no_loopexit,
    .new_event = new_event,
    .new_signal = no_new_signal,
    .winsock_register_wsaevent = no_new_wsaevent,
};

struct ub_event_base *unbound_events_new(uv_loop_t *loop)
{
	struct uv_event_base *events = calloc(1, sizeof(*events));

	if (events == NULL)
		return NULL;
	events->base.magic = UB_EVENT_MAGIC;
	events->base.vmt = (struct ub_event_base_vmt *)&base_table;
	events->loop = loop;
	return &events->base;
}
