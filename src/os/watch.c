/* What can wake the loop besides sockets and time: other threads, signals, foreign descriptors. See
 * os/loop.h. */
#include "os/loop.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <uv.h>

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

/* --- wakers ---------------------------------------------------------------------------------- */

/* Not uv_async_t: its loop spins for as long as another thread is still inside of uv_async_send, and the
 * store's writer is often inside when the loop has already heard of it. */
struct os_waker {
	uv_poll_t uv;
	int event;	   /* eventfd */
	atomic_bool asked; /* run is still to be called for it: no need to write to event again */
	void (*run)(void *owner);
	void *owner;
};

/* The event is emptied before the question is taken back. So who asks in between finds it still asked, writes
 * nothing, and is heard by the run below; who asks later writes an event that nobody takes away. */
static void on_event(uv_poll_t *poll, int status, int events)
{
	struct os_waker *waker = poll->data;
	eventfd_t count;

	(void)status;
	(void)events;
	(void)eventfd_read(waker->event, &count); /* fails when there was none, and does not block */
	/* Acquires what was done before the asking that finds its run here. */
	if (atomic_exchange(&waker->asked, false))
		waker->run(waker->owner);
}

static void on_waker_closed(uv_handle_t *handle)
{
	struct os_waker *waker = handle->data;

	(void)close(waker->event);
	free(waker);
}

static int start_waker(struct os_waker *waker, struct os_loop *loop)
{
	waker->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (waker->event < 0)
		return ERR_IO;
	if (uv_poll_init(os_loop_uv(loop), &waker->uv, waker->event) != 0) {
		(void)close(waker->event);
		return ERR_IO;
	}
	waker->uv.data = waker;
	return 0;
}

struct os_waker *os_waker_new(struct os_loop *loop, void (*run)(void *owner), void *owner)
{
	struct os_waker *waker = calloc(1, sizeof(*waker));

	if (waker == NULL)
		return NULL;
	if (start_waker(waker, loop) != 0) {
		free(waker);
		return NULL;
	}
	waker->run = run;
	waker->owner = owner;
	(void)uv_poll_start(&waker->uv, UV_READABLE,
			    on_event); /* cannot fail: init has tried the descriptor */
	return waker;
}

void os_waker_wake(struct os_waker *waker)
{
	if (!atomic_exchange(&waker->asked, true))
		(void)eventfd_write(waker->event, 1); /* cannot fail: it would take 2^64 of them */
}

void os_waker_free(struct os_waker *waker)
{
	if (waker != NULL)
		uv_close((uv_handle_t *)&waker->uv, on_waker_closed);
}

/* --- signals --------------------------------------------------------------------------------- */

struct os_signal {
	uv_signal_t uv;
	void (*run)(void *owner, int signal_number);
	void *owner;
};

static void on_signal(uv_signal_t *uv, int signal_number)
{
	struct os_signal *signal = uv->data;

	signal->run(signal->owner, signal_number);
}

struct os_signal *os_signal_new(struct os_loop *loop, int signal_number,
				void (*run)(void *owner, int signal_number), void *owner)
{
	struct os_signal *signal = calloc(1, sizeof(*signal));

	if (signal == NULL)
		return NULL;
	if (uv_signal_init(os_loop_uv(loop), &signal->uv) != 0) {
		free(signal);
		return NULL;
	}
	signal->uv.data = signal;
	signal->run = run;
	signal->owner = owner;
	if (uv_signal_start(&signal->uv, on_signal, signal_number) != 0) {
		os_signal_free(signal);
		return NULL;
	}
	return signal;
}

void os_signal_free(struct os_signal *signal)
{
	if (signal != NULL)
		uv_close((uv_handle_t *)&signal->uv, on_closed);
}

/* --- descriptors ----------------------------------------------------------------------------- */

struct os_watch {
	uv_poll_t uv;
	void (*readable)(void *owner);
	void *owner;
};

/* An error of the descriptor is told as readable too: whoever reads it will meet the error. */
static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct os_watch *watch = poll->data;

	(void)status;
	(void)events;
	watch->readable(watch->owner);
}

struct os_watch *os_watch_new(struct os_loop *loop, int descriptor, void (*readable)(void *owner),
			      void *owner)
{
	struct os_watch *watch = calloc(1, sizeof(*watch));

	if (watch == NULL)
		return NULL;
	if (uv_poll_init(os_loop_uv(loop), &watch->uv, descriptor) != 0) {
		free(watch);
		return NULL;
	}
	watch->uv.data = watch;
	watch->readable = readable;
	watch->owner = owner;
	if (uv_poll_start(&watch->uv, UV_READABLE, on_poll) != 0) {
		os_watch_free(watch);
		return NULL;
	}
	return watch;
}

void os_watch_free(struct os_watch *watch)
{
	if (watch != NULL)
		uv_close((uv_handle_t *)&watch->uv, on_closed);
}
