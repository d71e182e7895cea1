#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "lane/ceilings.h"
#include "lane/tuning.h"

#define SECOND 1000000LL

/* --- connections --- */

static void no_limit_at_first(void **state)
{
	struct conn_limit c = {0};

	assert_int_equal(conn_limit_allows(&c, 0), UINT32_MAX);
	assert_int_equal(conn_limit_deadline(&c, 0), INT64_MAX);
	conn_limit_ready(&c, 5, 0);
	assert_int_equal(conn_limit_allows(&c, 0), UINT32_MAX);
}

static void refused_one_too_many(void **state)
{
	struct conn_limit c = {0};

	conn_limit_refused(&c, 10, 0);
	assert_int_equal(conn_limit_allows(&c, 0), 10);
	assert_int_equal(conn_limit_deadline(&c, 0), 10 * SECOND);
	assert_int_equal(conn_limit_allows(&c, 10 * SECOND - 1), 10);
	assert_int_equal(conn_limit_allows(&c, 10 * SECOND), 11);
	assert_int_equal(conn_limit_deadline(&c, 10 * SECOND), INT64_MAX);
}

/* Each refused poll makes the next one rarer, up to a bound; small limits are asked more often. */
static void polls_grow_rarer(void **state)
{
	struct conn_limit c = {0};
	int64_t now = 0;

	for (int i = 0; i < 20; i++) {
		conn_limit_refused(&c, 10, now);
		assert_true(fabs((double)(c.poll_us - now) / 1e6 - fmin(300, 10 * pow(1.5, i < 9 ? i : 9))) <
			    0.001);
		now = c.poll_us;
	}
	c = (struct conn_limit){0};
	for (int i = 0; i < 20; i++) {
		conn_limit_refused(&c, 2, now);
		assert_true(fabs((double)(c.poll_us - now) / 1e6 - 2 * pow(1.5, i < 5 ? i : 5)) < 0.001);
		now = c.poll_us;
	}
}

static void a_poll_that_succeeds_goes_on(void **state)
{
	struct conn_limit c = {0};

	conn_limit_refused(&c, 10, 0);
	conn_limit_ready(&c, 10, 5 * SECOND); /* no more than before */
	assert_int_equal(c.limit, 10);
	conn_limit_ready(&c, 11, 10 * SECOND);
	assert_int_equal(c.limit, 11);
	assert_int_equal(conn_limit_allows(&c, 11 * SECOND - 1), 11);
	assert_int_equal(conn_limit_allows(&c, 11 * SECOND), 12);
	conn_limit_refused(&c, 11, 11 * SECOND);
	assert_int_equal(c.poll_us, 22 * SECOND);
}

/* The limit is met lower than before: somebody else takes part of it, and may go away again. */
static void competitors(void **state)
{
	struct conn_limit c = {0};
	int64_t now = 0;

	conn_limit_refused(&c, 10, 0);
	conn_limit_refused(&c, 6, SECOND);
	assert_true(c.competitor);
	assert_int_equal(conn_limit_allows(&c, SECOND), 6);
	for (int i = 0; i < 20; i++) {
		conn_limit_refused(&c, 6, now);
		assert_true(c.poll_us - now <= 60 * SECOND);
		now = c.poll_us;
	}
}

/* --- pace --- */

static struct pace after_a_minute(uint32_t per_second, enum lane_kind kind, int64_t *now)
{
	struct pace p = {0};

	pace_up(&p, *now);
	for (int second = 0; second < 60; second++) {
		for (uint32_t i = 0; i < per_second; i++)
			pace_accepted(&p, *now);
		*now += SECOND;
	}
	*now -= 1; /* still in the last second */
	pace_refused(&p, *now);
	*now += 1;
	pace_learn(&p, kind, *now);
	return p;
}

static void no_pace_at_first(void **state)
{
	struct pace p = {0};

	assert_true(isinf(pace_per_s(&p, 0)));
	assert_true(pace_allows(&p, 0));
	pace_started(&p, 0);
	assert_true(pace_allows(&p, 0));
	assert_int_equal(pace_deadline(&p, 0), INT64_MAX);
}

static void rate_is_what_was_taken_before(void **state)
{
	int64_t now = 1000 * SECOND;
	struct pace p = after_a_minute(5, LANE_KIND_RATE, &now);

	assert_true(fabs(pace_per_s(&p, now) - 0.97 * 5) < 0.1);
	/* No growth for ten minutes, then doubling in half an hour. */
	assert_true(pace_per_s(&p, now + 600 * SECOND) == p.per_s);
	assert_true(fabs(pace_per_s(&p, now + 2400 * SECOND) - 2 * p.per_s) < 0.001);
}

static void space_is_what_was_digested(void **state)
{
	int64_t now = 1000 * SECOND;
	struct pace p = after_a_minute(5, LANE_KIND_452, &now);

	assert_true(fabs(pace_per_s(&p, now) - 0.93 * 5) < 0.1);
	assert_true(pace_per_s(&p, now + 4 * SECOND) == p.per_s);
	assert_true(fabs(pace_per_s(&p, now + 64 * SECOND) - 2 * p.per_s) < 0.001);
}

/* Fast acceptance for a moment and a long pause: the whole cycle counts. */
static void the_whole_cycle_counts(void **state)
{
	int64_t now = 500 * SECOND;
	struct pace p = {0};

	pace_up(&p, now);
	for (int i = 0; i < 300; i++)
		pace_accepted(&p, now);
	pace_refused(&p, now + SECOND);
	pace_learn(&p, LANE_KIND_452, now + 10 * SECOND);
	assert_true(fabs(p.per_s - 0.93 * 30) < 0.01);
}

static void estimates_that_agree_are_trusted_longer(void **state)
{
	int64_t now = 1000 * SECOND;
	struct pace p = after_a_minute(5, LANE_KIND_RATE, &now);

	for (int i = 1; i <= 10; i++) {
		p.before_per_s = 5;
		pace_learn(&p, LANE_KIND_RATE, now);
		assert_int_equal(p.agreements, i < PACE_AGREEMENTS_MAX ? i : PACE_AGREEMENTS_MAX);
		assert_int_equal(p.hold_us, now + (int64_t)(600e6 * exp2(p.agreements)));
	}
	p.before_per_s = 5 * 1.3; /* more than a quarter apart */
	pace_learn(&p, LANE_KIND_RATE, now);
	assert_int_equal(p.agreements, 0);
}

static void nothing_accepted_teaches_nothing(void **state)
{
	struct pace p = {0};

	pace_up(&p, 0);
	pace_refused(&p, SECOND);
	pace_learn(&p, LANE_KIND_RATE, 2 * SECOND);
	assert_true(isinf(pace_per_s(&p, 2 * SECOND)));
}

static void messages_are_spaced(void **state)
{
	struct pace p = {.kind = LANE_KIND_RATE, .per_s = 2, .hold_us = 1000 * SECOND};
	int64_t now = 0;
	uint32_t sent = 0;

	while (now < 100 * SECOND) {
		if (pace_allows(&p, now)) {
			pace_started(&p, now);
			sent++;
			assert_false(pace_allows(&p, now));
		}
		now = pace_deadline(&p, now);
	}
	assert_in_range(sent, 199, 202);
	/* A long silence saves up half a message, not more. */
	now += 50 * SECOND;
	pace_started(&p, now);
	assert_int_equal(pace_deadline(&p, now), now + SECOND / 4);
	pace_started(&p, now + SECOND / 4);
	assert_int_equal(pace_deadline(&p, now + SECOND / 4), now + 3 * SECOND / 4);
}

/* Entries older than a minute are gone, at whatever step the clock moves. */
static void only_the_last_minute_counts(void **state)
{
	struct pace p = {0};

	for (int i = 0; i < 100; i++)
		pace_accepted(&p, 5 * SECOND);
	pace_refused(&p, 64 * SECOND);
	assert_true(fabs(p.before_per_s - 100.0 / 60) < 1e-9);
	pace_refused(&p, 65 * SECOND);
	assert_true(p.before_per_s == 0);
	pace_accepted(&p, 5000 * SECOND);
	pace_refused(&p, 5000 * SECOND);
	assert_true(fabs(p.before_per_s - 1.0 / 60) < 1e-9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(no_limit_at_first),
	    cmocka_unit_test(refused_one_too_many),
	    cmocka_unit_test(polls_grow_rarer),
	    cmocka_unit_test(a_poll_that_succeeds_goes_on),
	    cmocka_unit_test(competitors),
	    cmocka_unit_test(no_pace_at_first),
	    cmocka_unit_test(rate_is_what_was_taken_before),
	    cmocka_unit_test(space_is_what_was_digested),
	    cmocka_unit_test(the_whole_cycle_counts),
	    cmocka_unit_test(estimates_that_agree_are_trusted_longer),
	    cmocka_unit_test(nothing_accepted_teaches_nothing),
	    cmocka_unit_test(messages_are_spaced),
	    cmocka_unit_test(only_the_last_minute_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
