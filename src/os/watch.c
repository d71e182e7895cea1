/* What can wake the loop besides sockets and time: other threads, signals, foreign descriptors. See
 * os/loop.h. */
#include "os/loop.h"

#include <stdlib.h>
#include <uv.h>

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

/* --- wakers ---------------------------------------------------------------------------------- */

struct os_waker {
	uv_async_t uv;
	void (*run)(void *owner);
	void *owner;
};

static void on_async(uv_async_t *async)
{
	struct os_waker *waker = async->data;

	waker->run(waker->owner);
}

struct os_waker *os_waker_new(struct os_loop *loop, void (*run)(void *owner), void *owner)
{
	struct os_waker *waker = calloc(1, sizeof(*waker));

	if (waker == NULL)
		return NULL;
	if (uv_async_init(os_loop_uv(loop), &waker->uv, on_async) != 0) {
		free(waker);
		return NULL;
	}
	waker->uv.data = waker;
	waker->run = run;
	waker->owner = owner;
	return waker;
}

void os_waker_wake(struct os_waker *waker)
{
	(void)uv_async_send(&waker->uv);
}

void os_waker_free(struct os_waker *waker)
{
	if (waker != NULL)
		uv_close((uv_handle_t *)&waker->uv, on_closed);
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
