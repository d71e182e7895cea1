/* Turns, deadlines, tasks, and what wakes the loop from outside. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/loop.h"

struct world {
	struct os_loop *loop;
	unsigned turns;
	int64_t last_us, stop_at_us;
	unsigned woken, signals, readable;
	unsigned stop_after; /* turns */
	int pipe[2];
};

static void on_turn(void *owner, const struct clock_reading *now)
{
	struct world *w = owner;

	w->turns++;
	assert_true(now->now_us >= w->last_us);
	assert_ptr_equal(now, os_loop_clock(w->loop)); /* one reading per turn */
	assert_true(now->wall_ms > 1600000000000);     /* later than 2020 */
	w->last_us = now->now_us;
	if (w->stop_after != 0 && w->turns >= w->stop_after)
		os_loop_stop(w->loop);
	if (w->stop_at_us != 0 && now->now_us >= w->stop_at_us)
		os_loop_stop(w->loop);
}

static const struct os_loop_events events = {.turn = on_turn};

static void world_init(struct world *w)
{
	*w = (struct world){.turns = 0};
	w->loop = os_loop_new(&events, w);
	assert_non_null(w->loop);
}

static void test_deadline(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	int64_t start = os_loop_clock(w.loop)->now_us;
	w.stop_at_us = start + CLOCK_MS(30);
	os_loop_set_deadline(w.loop, w.stop_at_us);
	os_loop_run(w.loop); /* ends only if a turn comes at the deadline, not before it */
	assert_true(w.last_us >= start + CLOCK_MS(30));
	assert_true(w.turns <= 3); /* it slept meanwhile */

	os_loop_set_deadline(w.loop, start); /* long ago: at once */
	w.turns = 0;
	os_loop_run(w.loop);
	assert_in_range(w.turns, 1, 3);

	os_loop_set_deadline(w.loop, os_loop_clock(w.loop)->now_us + CLOCK_SECONDS(3600));
	os_loop_set_deadline(w.loop, CLOCK_NEVER);
	os_loop_run_once(w.loop, false);
	os_loop_free(w.loop);
}

/* --- tasks ----------------------------------------------------------------------------------- */

struct counted_task {
	struct os_task task;
	struct world *world;
	unsigned ran, again;
	unsigned turn_when_run;
};

static void run_task(struct os_task *task)
{
	struct counted_task *t = (struct counted_task *)task;

	t->ran++;
	t->turn_when_run = t->world->turns;
	if (t->again > 0) {
		t->again--;
		os_loop_defer(t->world->loop, task);
	}
}

static void test_tasks(void **state)
{
	struct world w;
	struct counted_task a = {.task.run = run_task, .world = &w}, b = a, cancelled = a;

	(void)state;
	world_init(&w);
	b.again = 3;
	os_loop_defer(w.loop, &a.task);
	os_loop_defer(w.loop, &a.task); /* twice is once */
	os_loop_defer(w.loop, &b.task);
	os_loop_defer(w.loop, &cancelled.task);
	os_task_cancel(&cancelled.task);
	os_task_cancel(&cancelled.task);
	w.stop_after = 4;
	os_loop_run(w.loop); /* does not sleep while tasks wait */
	assert_int_equal(a.ran, 1);
	assert_int_equal(a.turn_when_run, 0); /* before turn() of the first turn */
	assert_int_equal(b.ran, 4);	      /* one each turn */
	assert_int_equal(b.turn_when_run, 3);
	assert_int_equal(cancelled.ran, 0);
	os_loop_free(w.loop);
}

/* --- from outside ---------------------------------------------------------------------------- */

static void on_wake(void *owner)
{
	struct world *w = owner;

	w->woken++;
	os_loop_stop(w->loop);
}

static void *wake_from_thread(void *waker)
{
	os_waker_wake(waker);
	return NULL;
}

static void test_waker(void **state)
{
	struct world w;
	pthread_t thread;

	(void)state;
	world_init(&w);
	struct os_waker *waker = os_waker_new(w.loop, on_wake, &w);
	assert_non_null(waker);
	assert_int_equal(pthread_create(&thread, NULL, wake_from_thread, waker), 0);
	os_loop_run(w.loop);
	assert_int_equal(w.woken, 1);
	assert_int_equal(pthread_join(thread, NULL), 0);
	os_waker_free(waker);
	os_waker_free(NULL);
	os_loop_free(w.loop);
}

enum { WAKERS = 3, WAKES = 5000 };

struct asker {
	struct os_waker *waker;
	atomic_uint asked, heard; /* by this thread; of them by the loop */
};

struct askers {
	struct os_loop *loop;
	struct asker askers[WAKERS];
	unsigned runs;
};

/* Most askings follow at once on the one before; now and then the loop's answer is waited for, which never
 * comes if an asking got lost. The waker alone orders the relaxed store before the loop's reading. */
static void *ask_often(void *owner)
{
	struct asker *asker = owner;

	for (unsigned n = 1; n <= WAKES; n++) {
		while (n % 7 == 0 && atomic_load(&asker->heard) != n - 1)
			(void)sched_yield();
		atomic_store_explicit(&asker->asked, n, memory_order_relaxed);
		os_waker_wake(asker->waker);
	}
	return NULL;
}

static void on_asked(void *owner)
{
	struct askers *w = owner;
	unsigned done = 0;

	w->runs++;
	for (int i = 0; i < WAKERS; i++) {
		struct asker *asker = &w->askers[i];
		unsigned n = atomic_load_explicit(&asker->asked, memory_order_relaxed);
		atomic_store(&asker->heard, n);
		done += n == WAKES;
	}
	if (done == WAKERS)
		os_loop_stop(w->loop);
}

static void test_no_asking_is_lost(void **state)
{
	struct askers w = {.runs = 0};
	pthread_t threads[WAKERS];

	(void)state;
	w.loop = os_loop_new(NULL, NULL);
	assert_non_null(w.loop);
	struct os_waker *waker = os_waker_new(w.loop, on_asked, &w);
	assert_non_null(waker);
	for (int i = 0; i < WAKERS; i++) {
		w.askers[i].waker = waker;
		assert_int_equal(pthread_create(&threads[i], NULL, ask_often, &w.askers[i]), 0);
	}
	os_loop_run(w.loop);
	for (int i = 0; i < WAKERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_in_range(w.runs, WAKES / 7, WAKERS * WAKES);
	os_waker_free(waker);
	os_loop_free(w.loop);
}

static void on_signal(void *owner, int signal_number)
{
	struct world *w = owner;

	assert_int_equal(signal_number, SIGHUP);
	w->signals++;
	os_loop_stop(w->loop);
}

static void test_signal(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	struct os_signal *hup = os_signal_new(w.loop, SIGHUP, on_signal, &w);
	assert_non_null(hup);
	assert_null(os_signal_new(w.loop, SIGKILL, on_signal, &w));
	assert_int_equal(kill(getpid(), SIGHUP), 0);
	os_loop_run(w.loop);
	assert_int_equal(w.signals, 1);
	os_signal_free(hup);
	os_signal_free(NULL);
	os_loop_free(w.loop);
}

static void on_readable(void *owner)
{
	struct world *w = owner;
	char byte;

	assert_int_equal(read(w->pipe[0], &byte, 1), 1);
	w->readable++;
	os_loop_stop(w->loop);
}

static void test_watch(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	assert_int_equal(pipe(w.pipe), 0);
	struct os_watch *watch = os_watch_new(w.loop, w.pipe[0], on_readable, &w);
	assert_non_null(watch);
	os_loop_run_once(w.loop, false);
	assert_int_equal(w.readable, 0);
	assert_int_equal(write(w.pipe[1], "x", 1), 1);
	os_loop_run(w.loop);
	assert_int_equal(w.readable, 1);
	os_watch_free(watch);
	assert_null(os_watch_new(w.loop, -1, on_readable, &w));
	os_loop_free(w.loop);
	(void)close(w.pipe[0]);
	(void)close(w.pipe[1]);
}

static void test_sigpipe_is_ignored(void **state)
{
	struct world w;
	int ends[2];

	(void)state;
	world_init(&w);
	assert_int_equal(pipe(ends), 0);
	(void)close(ends[0]);
	assert_int_equal(write(ends[1], "x", 1), -1); /* and we are still here */
	(void)close(ends[1]);
	os_loop_free(w.loop);
	os_loop_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_deadline),
	    cmocka_unit_test(test_tasks),
	    cmocka_unit_test(test_waker),
	    cmocka_unit_test(test_no_asking_is_lost),
	    cmocka_unit_test(test_signal),
	    cmocka_unit_test(test_watch),
	    cmocka_unit_test(test_sigpipe_is_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
