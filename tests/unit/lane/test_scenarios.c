/* The feed against the server models: what RECOVERY §4 demands, on fixed seeds. lane_stories prints what is
 * reached. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stories.h"

enum { SEEDS = 5 };

struct threshold {
	const char *name;
	double ratio; /* drain / oracle of each seed */
	double fresh_p99_s;
	double refusals; /* per 1000 delivered */
	uint32_t downs;
	uint32_t first_5s;     /* messages in the 5 s after the first */
	double first_s;	       /* the first delivery after the server's return */
	double violation_s;    /* no second one sooner */
	bool may_lose_replies; /* it is cut off with transactions past the dot */
};

#define ANY  1e9
#define MANY 100000

/* Crashes are never allowed. Fresh mail: what came before the probe that found the server waits for it, too.
 * The first delivery: the probe's interval and a second. */
static const struct threshold thresholds[] = {
    {"M1", 1.20, 7, 0, 0, 150, 7, 0, false},
    {"M2", 1.15, 9, 0, 0, 60, 7, 0, false},
    {"M2b", 1.25, ANY, 0, 0, 60, 13, 0, false},
    {"M2c", 1.15, 9, 0, 0, 150, 7, 0, false},
    {"M3", 1.25, 7, 2, 0, 150, 7, 0, false},
    {"S9", 1.25, 7, 10, 0, 150, 7, 0, false},
    {"M4", 1.25, 110, 5, 1, 150, 7, 600, false},
    {"S8", 1.25, ANY, 12, 1, 150, 7, 600, false},
    {"M5", 1.20, ANY, 100 / 6.0, 0, 150, 612, 0, false},
    {"M6", 1.35, ANY, 0, MANY, MANY, 7, 0, false},
    {"M7", 1.40, ANY, 20, 0, MANY, 70, 0, false},
    {"M8", 1.20, 7, 0, 0, 150, 7, 0, false},
    {"M9", 1.15, 7, 0, 0, 150, 7, 0, false},
    {"M11", 1.20, ANY, 5, 6, 150, 7, 0, false},
    {"S1", 1.15, 10, 0, 0, 20, 7, 0, false},
    /* A window of 50 cannot fill a server that does 70 at once: the bound is 1.4 even without a ramp. */
    {"S2", 2.20, 9, 0, 0, 150, 7, 0, false},
    {"S3", 1.35, 7, 0, 0, 150, 7, 0, false},
    {"S4", 1.35, 9, 0, 0, 200, 7, 0, false},
    /* What it could do is never asked of it: beyond 16 it would die. */
    {"S10", 2.60, 9, 0, 0, MANY, 7, 0, false},
    {"S11", 2.00, ANY, 0, 0, 20, 30, 0, false},
    {"B2/M1", 1.10, 7, 0, 0, 150, 13, 0, false},
    {"B2/M2", 1.10, 9, 0, 0, 60, 13, 0, false},
    {"B2/M3", 1.10, 7, 2, 0, 150, 13, 0, false},
    {"B2/M9", 1.10, 7, 0, 0, 150, 13, 0, false},
    {"S6", 1.60, 45, 0, 2, 150, 7, 0, true},
};

static void check_story(const struct threshold *t, uint64_t seed)
{
	const struct story *story = story_named(t->name);
	struct result r;

	assert_non_null(story);
	r = play(story, seed);
	if (!r.drained || r.ratio > t->ratio)
		fail_msg("%s seed %d: drained in %.2f of the oracle's time, wanted %.2f", t->name, (int)seed,
			 r.ratio, t->ratio);
	if (r.crashes > 0)
		fail_msg("%s seed %d: knocked over %u times", t->name, (int)seed, r.crashes);
	if (r.fresh_p99_s > t->fresh_p99_s)
		fail_msg("%s seed %d: fresh mail waited %.1f s", t->name, (int)seed, r.fresh_p99_s);
	if (1000.0 * r.refusals > t->refusals * r.delivered)
		fail_msg("%s seed %d: %u refusals of %u", t->name, (int)seed, r.refusals, r.delivered);
	if (r.downs > t->downs)
		fail_msg("%s seed %d: down %u times", t->name, (int)seed, r.downs);
	if (r.first_5s > t->first_5s)
		fail_msg("%s seed %d: %u messages at once", t->name, (int)seed, r.first_5s);
	if (r.first_s > t->first_s)
		fail_msg("%s seed %d: first delivery after %.1f s", t->name, (int)seed, r.first_s);
	if (r.second_violation_s < t->violation_s)
		fail_msg("%s seed %d: too fast again after %.0f s", t->name, (int)seed, r.second_violation_s);
	if (r.unknown > 0 && !t->may_lose_replies)
		fail_msg("%s seed %d: %u lost replies", t->name, (int)seed, r.unknown);
}

static void stories_reach_their_thresholds(void **state)
{
	for (size_t i = 0; i < sizeof(thresholds) / sizeof(thresholds[0]); i++) {
		for (uint64_t seed = 1; seed <= SEEDS; seed++)
			check_story(&thresholds[i], seed);
	}
}

static void deferred_mailboxes_only(void **state)
{
	struct result r = play(story_named("M8"), 1);

	assert_in_range(r.deferred, r.delivered / 100, r.delivered / 33);
}

static void flapping_link_is_noticed(void **state)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct result r = play(story_named("M6"), seed);

		assert_true(r.detect_most_s > 0 && r.detect_most_s <= 3);
	}
}

/* B23: a small backlog. */
static void small_backlog_is_gone_soon(void **state)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct result r = play(story_named("B23"), seed);

		assert_true(r.drained && r.drain_s - r.first_s <= 18);
	}
}

/* B20: servers that nobody has seen before. */
static void random_servers_survive(void **state)
{
	struct random_result r = random_servers(1, 200, false);

	assert_int_equal(r.not_drained, 0);
	assert_in_range(r.crashed, 0, 1);
	assert_true(r.median <= 1.15 && r.p90 <= 1.45);
}

/* --- B14: how soon is it noticed, by length of the outage? The program restarts in it. --- */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double detection_p95_s(double outage_s, bool black_hole)
{
	enum { RUNS = 40 };
	struct story story = {
	    .model = {.name = "B14", .capacity = 50, .service_s = 0.1},
	    .outage_s = 100,
	    .forward_s = outage_s > 100 ? outage_s - 100 : 0,
	    .backlog = 10,
	    .fresh_per_s = 0.1,
	    .limit_s = 120,
	    .black_hole = black_hole,
	};
	double first_s[RUNS];

	for (int i = 0; i < RUNS; i++) {
		struct result r = play(&story, (uint64_t)i + 1);

		assert_true(r.drained);
		first_s[i] = r.first_s;
	}
	qsort(first_s, RUNS, sizeof(double), compare);
	return first_s[RUNS * 95 / 100];
}

static void recovery_is_noticed(void **state)
{
	static const struct {
		double outage_s, p95_s;
	} rows[] = {{120, 6}, {1800, 6}, {6 * 3600, 12}, {3 * 86400, 18}, {10 * 86400, 36}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int black_hole = 0; black_hole <= 1; black_hole++) {
			double p95_s = detection_p95_s(rows[i].outage_s, black_hole);

			if (p95_s > rows[i].p95_s)
				fail_msg("outage of %.0f s, %s: noticed after %.1f s", rows[i].outage_s,
					 black_hole ? "black hole" : "refused", p95_s);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(stories_reach_their_thresholds), cmocka_unit_test(deferred_mailboxes_only),
	    cmocka_unit_test(flapping_link_is_noticed),	      cmocka_unit_test(small_backlog_is_gone_soon),
	    cmocka_unit_test(random_servers_survive),	      cmocka_unit_test(recovery_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
