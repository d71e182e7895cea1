#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "lane/probe.h"
#include "lane/tuning.h"

#define SECOND 1000000LL
#define HOUR   (3600 * SECOND)
#define DAY    (24 * HOUR)

static void intervals(void **state)
{
	static const struct {
		enum lane_kind kind;
		int64_t down_us;
		uint32_t failures;
		int64_t interval_us;
	} rows[] = {
	    {LANE_KIND_REFUSED, 0, 0, 5 * SECOND},
	    {LANE_KIND_REFUSED, HOUR - 1, 700, 5 * SECOND},
	    {LANE_KIND_REFUSED, HOUR, 720, 10 * SECOND},
	    {LANE_KIND_RESET, DAY - 1, 9, 10 * SECOND},
	    {LANE_KIND_DNS, DAY, 9, 15 * SECOND},
	    {LANE_KIND_TLS, 7 * DAY - 1, 9, 15 * SECOND},
	    {LANE_KIND_BANNER, 7 * DAY, 9, 30 * SECOND},
	    {LANE_KIND_TIMEOUT, 0, 0, SECOND / 2}, /* the connect itself takes 5 s */
	    {LANE_KIND_TIMEOUT, HOUR, 9, 5 * SECOND},
	    {LANE_KIND_TIMEOUT, 8 * DAY, 9, 25 * SECOND},
	    {LANE_KIND_421, 0, 0, 2 * SECOND},
	    {LANE_KIND_421, 0, 5, 2 * SECOND},
	    {LANE_KIND_421, 0, 6, 5 * SECOND},
	    {LANE_KIND_452, 0, 0, 2 * SECOND},
	    {LANE_KIND_452, 0, 1, 5 * SECOND},
	    {LANE_KIND_452, 0, 2, 10 * SECOND},
	    {LANE_KIND_452, 600 * SECOND - 1, 50, 10 * SECOND},
	    {LANE_KIND_452, 600 * SECOND, 50, 20 * SECOND},
	    {LANE_KIND_4XX, HOUR, 50, 30 * SECOND},
	    {LANE_KIND_RATE, 0, 0, 2 * SECOND},
	    {LANE_KIND_RATE, 0, 1, 5 * SECOND},
	    {LANE_KIND_RATE, 0, 2, 10 * SECOND},
	    {LANE_KIND_RATE, 0, 3, 20 * SECOND},
	    {LANE_KIND_RATE, 0, 4, 30 * SECOND},
	    {LANE_KIND_RATE, DAY, 400, 30 * SECOND},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(probe_interval_us(rows[i].kind, rows[i].down_us, rows[i].failures),
				 rows[i].interval_us);
}

static void jitter_spreads_them(void **state)
{
	int64_t least = INT64_MAX, most = 0;
	struct lane_probe probe = {0};
	struct rng rng;

	rng_init(&rng, 1);
	for (int i = 0; i < 1000; i++) {
		probe_start(&probe, LANE_KIND_REFUSED, &rng, 0);
		least = probe.next_us < least ? probe.next_us : least;
		most = probe.next_us > most ? probe.next_us : most;
	}
	assert_in_range(least, 4 * SECOND, 4 * SECOND + SECOND / 20);
	assert_in_range(most, 6 * SECOND - SECOND / 20, 6 * SECOND);
}

/* The connection and the canary both report one attempt's failure. */
static void an_attempt_fails_once(void **state)
{
	struct lane_probe probe = {0};
	struct rng rng;

	rng_init(&rng, 1);
	probe_start(&probe, LANE_KIND_REFUSED, &rng, 0);
	probe_attempt(&probe);
	assert_true(probe_failed(&probe, LANE_KIND_REFUSED, &rng, SECOND));
	assert_false(probe_failed(&probe, LANE_KIND_REFUSED, &rng, 2 * SECOND));
	assert_int_equal(probe.failures, 1);
	probe_abandoned(&probe, 3 * SECOND); /* after its failure it changes nothing */
	assert_in_range(probe.next_us, 5 * SECOND, 7 * SECOND);
	probe_attempt(&probe);
	probe_abandoned(&probe, 9 * SECOND);
	assert_int_equal(probe.next_us, 9 * SECOND + PROBE_ABANDONED_US);
}

/* Days of refusals, then it answers but has no space: the short intervals of a new situation. */
static void another_kind_of_failure_begins_anew(void **state)
{
	struct lane_probe probe = {0};
	struct rng rng;

	rng_init(&rng, 1);
	probe_start(&probe, LANE_KIND_REFUSED, &rng, 0);
	for (int64_t at = 0; at < 2 * DAY; at += 1000 * SECOND) {
		probe_attempt(&probe);
		probe_failed(&probe, LANE_KIND_REFUSED, &rng, at);
	}
	probe_attempt(&probe);
	probe_failed(&probe, LANE_KIND_452, &rng, 2 * DAY);
	assert_in_range(probe.next_us - 2 * DAY, 16 * SECOND / 10, 24 * SECOND / 10);
	probe_attempt(&probe);
	probe_failed(&probe, LANE_KIND_452, &rng, 2 * DAY + 2 * SECOND);
	assert_in_range(probe.next_us - 2 * DAY - 2 * SECOND, 4 * SECOND, 6 * SECOND);
}

static void hints(void **state)
{
	struct lane_probe probe = {0};
	struct rng rng;

	rng_init(&rng, 1);
	probe_start(&probe, LANE_KIND_REFUSED, &rng, 0);
	assert_true(probe_hint(&probe, false, SECOND));
	assert_int_equal(probe.next_us, SECOND);
	probe_attempt(&probe);
	probe_failed(&probe, LANE_KIND_REFUSED, &rng, SECOND);
	assert_false(probe_hint(&probe, false, SECOND + PROBE_HINT_US - 1));
	assert_true(probe.next_us > 4 * SECOND);
	assert_true(probe_hint(&probe, true, 2 * SECOND));
	assert_int_equal(probe.next_us, 2 * SECOND);
	assert_false(probe_hint(&probe, false, 3 * SECOND));
	assert_true(probe_hint(&probe, false, 2 * SECOND + PROBE_HINT_US));
	/* One that is due stays due. */
	assert_int_equal(probe.next_us, 2 * SECOND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(intervals),
	    cmocka_unit_test(jitter_spreads_them),
	    cmocka_unit_test(an_attempt_fails_once),
	    cmocka_unit_test(another_kind_of_failure_begins_anew),
	    cmocka_unit_test(hints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
