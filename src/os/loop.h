/* The event loop: one libuv loop, and what the daemon needs around it.
 *
 * A turn is one round: wait for events, deliver them, run the deferred tasks, then call turn() once. The
 * clocks are read once per turn, at the first question, so that everything that happens in a turn happens at
 * the same time.
 *
 * All of it belongs to one thread; only os_waker_wake may be called from another one.
 */
#ifndef OS_LOOP_H
#define OS_LOOP_H

#include <stdbool.h>

#include "base/error.h"
#include "base/list.h"
#include "port/clock.h"

struct os_loop;
struct uv_loop_s;

struct os_loop_events {
	/* Once per turn, after its events. May be NULL. */
	void (*turn)(void *owner, const struct clock_reading *now);
};

/* NULL: no memory or no descriptors. Writing to a closed socket must not end the process: SIGPIPE is ignored
 * from now on, process-wide. events may be NULL. */
struct os_loop *os_loop_new(const struct os_loop_events *events, void *owner);
/* Everything that was made on the loop must have been freed before; runs the last close callbacks. NULL is
 * allowed. */
void os_loop_free(struct os_loop *loop);

/* Runs until os_loop_stop. */
void os_loop_run(struct os_loop *loop);
/* One turn. Waits for an event or the deadline only when wait is set and nothing is ready. */
void os_loop_run_once(struct os_loop *loop, bool wait);
/* The current turn is the last one of os_loop_run. */
void os_loop_stop(struct os_loop *loop);

/* This turn's reading. */
const struct clock_reading *os_loop_clock(struct os_loop *loop);
/* turn() is called not later than about this time (milliseconds of rounding); CLOCK_NEVER: only after events.
 * Replaces the deadline that was set before; a deadline that has come is forgotten. */
void os_loop_set_deadline(struct os_loop *loop, int64_t now_us);

/* For the other files of os/ and the API's server. */
struct uv_loop_s *os_loop_uv(struct os_loop *loop);

/* Work put off to the end of this turn, before turn(), or of the next one when asked for by a task or by
 * turn(). Embedded in the object that it works for; zeroed at first. */
struct os_task {
	struct list node;
	void (*run)(struct os_task *task);
};
/* Asking twice before it has run is asking once. */
void os_loop_defer(struct os_loop *loop, struct os_task *task);
void os_task_cancel(struct os_task *task);

/* Wakes the loop from another thread: run(owner) is called in a turn after the call; several calls may become
 * one. What the caller did before the call is seen by run. No call may be under way at os_waker_free. */
struct os_waker;
struct os_waker *os_waker_new(struct os_loop *loop, void (*run)(void *owner),
			      void *owner); /* NULL: no memory, no descriptors */
void os_waker_wake(struct os_waker *waker);
void os_waker_free(struct os_waker *waker);

/* Calls run(owner, signal_number) from the loop when that signal comes. */
struct os_signal;
struct os_signal *os_signal_new(struct os_loop *loop, int signal_number,
				void (*run)(void *owner, int signal_number),
				void *owner); /* NULL: no memory, or not a signal that can be caught */
void os_signal_free(struct os_signal *signal);

/* Watches a descriptor that something else reads and writes (the API's epoll descriptor, a store's event
 * descriptor). The descriptor stays the caller's and must stay open until os_watch_free. */
struct os_watch;
struct os_watch *os_watch_new(struct os_loop *loop, int descriptor, void (*readable)(void *owner),
			      void *owner); /* NULL: no memory, or a descriptor that cannot be polled */
void os_watch_free(struct os_watch *watch);

#endif
