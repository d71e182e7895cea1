#include "os/loop.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <uv.h>

#include "base/check.h"

struct os_loop {
	uv_loop_t uv;
	uv_prepare_t prepare; /* just before waiting: the reading of the turn that ends is out of date */
	uv_check_t check;     /* after the events: tasks and turn() */
	uv_idle_t idle;	      /* active while tasks wait: the loop must not sleep */
	uv_timer_t timer;     /* the owner's deadline */
	const struct os_loop_events *events;
	void *owner;
	struct list tasks;
	struct clock_reading reading;
	bool reading_fresh;
};

static int64_t wall_clock_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t); /* cannot fail: the clock exists and t is ours */
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

const struct clock_reading *os_loop_clock(struct os_loop *loop)
{
	if (!loop->reading_fresh) {
		loop->reading.now_us = (int64_t)(uv_hrtime() / 1000);
		loop->reading.wall_ms = wall_clock_ms();
		loop->reading_fresh = true;
	}
	return &loop->reading;
}

struct uv_loop_s *os_loop_uv(struct os_loop *loop)
{
	return &loop->uv;
}

/* --- tasks ----------------------------------------------------------------------------------- */

static void on_idle(uv_idle_t *idle)
{
	(void)idle; /* its presence is its work */
}

void os_loop_defer(struct os_loop *loop, struct os_task *task)
{
	if (list_linked(&task->node))
		return;
	list_add_last(&loop->tasks, &task->node);
	(void)uv_idle_start(&loop->idle, on_idle);
}

void os_task_cancel(struct os_task *task)
{
	list_remove(&task->node);
}

/* What tasks ask for now runs in the next turn: a task that always asks again cannot starve the sockets. */
static void run_tasks(struct os_loop *loop)
{
	struct list now;

	if (list_empty(&loop->tasks)) {
		(void)uv_idle_stop(&loop->idle);
		return;
	}
	list_add_first(&loop->tasks, &now);
	list_remove(&loop->tasks);
	for (struct list *node = list_first(&now); node != NULL; node = list_first(&now)) {
		struct os_task *task = container_of(node, struct os_task, node);
		list_remove(node);
		task->run(task);
	}
	if (list_empty(&loop->tasks))
		(void)uv_idle_stop(&loop->idle);
}

/* --- turns ----------------------------------------------------------------------------------- */

static void on_prepare(uv_prepare_t *prepare)
{
	struct os_loop *loop = prepare->data;

	loop->reading_fresh = false;
}

static void on_check(uv_check_t *check)
{
	struct os_loop *loop = check->data;

	run_tasks(loop);
	if (loop->events != NULL && loop->events->turn != NULL)
		loop->events->turn(loop->owner, os_loop_clock(loop));
}

/* A deadline that has come already fires before the loop waits for events: it must not wait then, or turn()
 * would not be called. run_tasks stops this again. */
static void on_timer(uv_timer_t *timer)
{
	struct os_loop *loop = container_of(timer, struct os_loop, timer);

	(void)uv_idle_start(&loop->idle, on_idle);
}

void os_loop_set_deadline(struct os_loop *loop, int64_t now_us)
{
	if (now_us == CLOCK_NEVER) {
		(void)uv_timer_stop(&loop->timer);
		return;
	}
	int64_t now = (int64_t)(uv_hrtime() / 1000);
	/* Rounded up twice, because libuv's own reading is cut to milliseconds: never too early. */
	uint64_t wait_ms = now_us > now ? (uint64_t)(now_us - now + 1999) / 1000 : 0;
	uv_update_time(&loop->uv); /* libuv counts from its own reading, which may be old by now */
	(void)uv_timer_start(&loop->timer, on_timer, wait_ms, 0);
}

void os_loop_run(struct os_loop *loop)
{
	(void)uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void os_loop_run_once(struct os_loop *loop, bool wait)
{
	(void)uv_run(&loop->uv, wait ? UV_RUN_ONCE : UV_RUN_NOWAIT);
}

void os_loop_stop(struct os_loop *loop)
{
	uv_stop(&loop->uv);
}

struct os_loop *os_loop_new(const struct os_loop_events *events, void *owner)
{
	struct os_loop *loop = calloc(1, sizeof(*loop));

	if (loop == NULL)
		return NULL;
	if (uv_loop_init(&loop->uv) != 0) {
		free(loop);
		return NULL;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	loop->events = events;
	loop->owner = owner;
	list_init(&loop->tasks);
	/* None of these can fail: they only fill in the handles. */
	(void)uv_prepare_init(&loop->uv, &loop->prepare);
	(void)uv_check_init(&loop->uv, &loop->check);
	(void)uv_idle_init(&loop->uv, &loop->idle);
	(void)uv_timer_init(&loop->uv, &loop->timer);
	loop->prepare.data = loop;
	loop->check.data = loop;
	(void)uv_prepare_start(&loop->prepare, on_prepare);
	(void)uv_check_start(&loop->check, on_check);
	return loop;
}

void os_loop_free(struct os_loop *loop)
{
	if (loop == NULL)
		return;
	check(list_empty(&loop->tasks));
	uv_close((uv_handle_t *)&loop->prepare, NULL);
	uv_close((uv_handle_t *)&loop->check, NULL);
	uv_close((uv_handle_t *)&loop->idle, NULL);
	uv_close((uv_handle_t *)&loop->timer, NULL);
	(void)uv_run(&loop->uv, UV_RUN_DEFAULT); /* returns when the last handle is closed */
	int error = uv_loop_close(&loop->uv);
	check(error == 0);
	free(loop);
}
