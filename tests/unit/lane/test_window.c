#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "lane/cold.h"
#include "lane/lane.h"
#include "lane/relapse.h"
#include "lane/tuning.h"

#define SECOND 1000000LL

/* --- a server of which nothing but latency and window matter --- */

struct play {
	struct lane_window w;
	struct lane_config config;
	int64_t now;
	double most; /* ceiling of the connections */
};

static void start(struct play *play)
{
	memset(play, 0, sizeof(*play));
	lane_config_defaults(&play->config);
	play->now = 100 * SECOND;
	play->most = INFINITY;
	window_init(&play->w, play->now);
}

static double whole(double size)
{
	return floor(size < 1 ? 1 : size);
}

/* Full windows for so many seconds; latency depends on the window by capacity and service time. */
static void feed(struct play *play, double seconds, double capacity, double service_s)
{
	int64_t end = play->now + (int64_t)(seconds * 1e6);

	while (play->now < end) {
		double in_flight = whole(window_in_force(&play->w));
		double latency_s = fmax(service_s, in_flight / capacity);

		play->now += (int64_t)(1e6 * latency_s / in_flight);
		window_flight(&play->w, (uint32_t)in_flight, play->now);
		window_trial_flight(&play->w, (uint32_t)in_flight - 1, play->now);
		window_sample(&play->w, &play->config, play->now - (int64_t)(latency_s * 1e6),
			      (uint32_t)in_flight - 1, play->most, play->now);
	}
}

static void starts_at_one(void **state)
{
	struct play play;

	start(&play);
	assert_true(play.w.size == 1);
	assert_int_equal(play.w.phase, LANE_RAMP);
	assert_true(window_in_force(&play.w) == 1);
}

static void ramp_doubles_every_three_seconds(void **state)
{
	struct play play;

	start(&play);
	feed(&play, 1.5, 1e6, 0.1); /* what harms nobody is had at once */
	assert_true(play.w.size >= COLD_VERIFIED_FIRST && play.w.size < 4.5);
	play.w.size = COLD_VERIFIED_FIRST;
	feed(&play, 3.1, 1e6, 0.1);
	assert_true(play.w.size > 5 && play.w.size < 7.5);
	assert_int_equal(play.w.phase, LANE_RAMP);
}

static void ramp_of_a_fast_server(void **state)
{
	struct play play;

	start(&play);
	feed(&play, 1.5, 1e6, 0.0005);
	assert_true(play.w.size > 7);
	start(&play);
	feed(&play, 1.5, 1e6, 0.1); /* one that needs 0.1 s is asked as slowly as ever */
	assert_true(play.w.size < 4.5);
	start(&play);
	relapse_crash(&play.w, 10, SECOND); /* and one that has just crashed, too */
	feed(&play, 1.5, 1e6, 0.0005);
	assert_true(play.w.size < 2);
}

/* 10,000 a second with one at a time: two milliseconds of queue are no harm, more is. */
static void a_fast_server_may_have_a_short_queue(void **state)
{
	struct play play;

	start(&play);
	feed(&play, 60, 10000, 0.0001);
	assert_true(play.w.size > 20 && play.w.size < 40);
}

static void ramp_ends_at_the_queue(void **state)
{
	struct play play;

	start(&play);
	feed(&play, 40, 50, 0.1);
	/* 5 are served at a time; a quarter more is the server's own spread; then 1 to 4 may wait. */
	assert_true(play.w.size > 6 && play.w.size < 12);
	feed(&play, 300, 50, 0.1);
	assert_true(play.w.size > 6 && play.w.size < 14);
}

static void a_slower_server_gets_less(void **state)
{
	struct play play;
	double before;

	start(&play);
	feed(&play, 60, 100, 0.1);
	before = play.w.size;
	feed(&play, 15, 30, 0.1);
	assert_true(play.w.size < before - 3);
	assert_int_equal(play.w.phase, LANE_STEADY);
}

static void first_contact_is_bounded_until_verified(void **state)
{
	struct play play;

	start(&play);
	feed(&play, 16, 1e6, 0.1);
	assert_true(play.w.size <= 20);
	assert_false(play.w.verified);
	feed(&play, 15, 1e6, 0.1);
	assert_true(play.w.verified);
	feed(&play, 60, 1e6, 0.1);
	assert_true(play.w.size == 50);
}

static void ceilings_of_others_bind(void **state)
{
	struct play play;

	start(&play);
	play.most = 4;
	feed(&play, 60, 1e6, 0.1);
	assert_true(play.w.size == 4);
}

/* A window that is not filled says nothing about the server. */
static void an_unused_window_does_not_grow(void **state)
{
	struct play play;

	start(&play);
	feed(&play, 6, 1e6, 0.1);
	double before = play.w.size;
	assert_true(before > 3);
	for (int i = 0; i < 500; i++) { /* one at a time */
		play.now += SECOND / 10;
		window_flight(&play.w, 1, play.now);
		window_sample(&play.w, &play.config, play.now - SECOND / 10, 0, INFINITY, play.now);
		play.now += SECOND;
		window_flight(&play.w, 0, play.now);
	}
	assert_true(play.w.size <= before * 1.3);
}

static void after_idleness_it_begins_small(void **state)
{
	struct play play;

	start(&play);
	feed(&play, 60, 1e6, 0.1);
	assert_true(play.w.size > 10);
	window_idle(&play.w, play.now + LANE_IDLE_US);
	assert_true(play.w.size == IDLE_WINDOW);
	assert_int_equal(play.w.phase, LANE_RAMP);
	assert_true(play.w.verified);
}

static void a_busy_server_gets_less_once_a_wave(void **state)
{
	struct play play;
	double before;

	start(&play);
	feed(&play, 15, 1e6, 0.1);
	before = play.w.size;
	window_busy(&play.w, play.now);
	assert_true(fabs(play.w.size - 0.6 * before) < 1e-9);
	window_busy(&play.w, play.now + 1000);
	assert_true(fabs(play.w.size - 0.6 * before) < 1e-9);
	/* Still for five seconds, then below where it was refused for twenty. */
	feed(&play, 4.5, 1e6, 0.1);
	assert_true(play.w.size <= 0.6 * before + 1e-9);
	feed(&play, 14, 1e6, 0.1);
	assert_true(play.w.size > 0.6 * before && play.w.size <= 0.961 * before);
	feed(&play, 40, 1e6, 0.1);
	assert_true(play.w.size > before);
}

/* --- dips --- */

static void dips_look_below_the_own_queue(void **state)
{
	struct play play;
	uint32_t dips = 0;
	int64_t end;

	start(&play);
	feed(&play, 30, 50, 0.1);
	end = play.now + 100 * SECOND;
	while (play.now < end) {
		bool before = play.w.trial.kind == TRIAL_DIP;

		feed(&play, 0.01, 50, 0.1);
		if (!before && play.w.trial.kind == TRIAL_DIP) {
			dips++;
			assert_true(window_in_force(&play.w) <= 0.41 * play.w.size);
		}
	}
	assert_in_range(dips, 4, 5);
	/* So its base stays that of the idle server. */
	assert_true(window_base_latency(&play.w, play.now) < 0.135);
}

/* Only what began in the trial counts, and it waits until enough are gone. */
static void a_trial_counts_its_own(void **state)
{
	struct play play;

	start(&play);
	play.w.size = 10;
	window_trial_begin(&play.w, TRIAL_DIP, 4, 10, play.now);
	assert_true(window_in_force(&play.w) == 4);
	for (uint32_t in_flight = 9; in_flight >= 4; in_flight--) {
		play.now += 10000;
		assert_true(window_trial_sample(&play.w, play.now - SECOND, log(1.0), in_flight, play.now));
		assert_int_equal(play.w.trial.count, 0);
	}
	assert_int_equal(play.w.trial.start_us, play.now);
	for (int i = 0; i < 4; i++)
		assert_true(window_trial_sample(&play.w, play.now, log(0.1), 3, play.now + SECOND / 10));
	assert_int_equal(play.w.trial.kind, TRIAL_NONE);
	assert_false(window_trial_sample(&play.w, play.now, 0, 3, play.now));
	assert_true(fabs(play.w.base.bucket_s[0] - 0.1) < 1e-9);
}

/* --- a server that may be cold --- */

static void cold_verdicts(void **state)
{
	static const struct {
		double full_1, less, full_2; /* latencies at W, at 0.6 W, at W */
		double factor;		     /* of W */
	} rows[] = {
	    {0.1, 0.1, 0.1, 1},	      /* no queue: ε = 1 */
	    {0.1, 0.06, 0.1, 0.75},   /* all queue: ε = 0 */
	    {0.1, 0.07, 0.1, 0.9},    /* ε = 0.3 */
	    {0.12, 0.10, 0.0834, 1},  /* warming all the time: the middle of both is compared */
	    {0.1, 0.078, 0.1, 1},     /* ε = 0.51 */
	    {0.1, 0.077, 0.1, 0.9},   /* ε = 0.49 */
	    {0.1, 0.0680, 0.1, 0.75}, /* ε = 0.245 */
	    {0.1, 0.0683, 0.1, 0.9},  /* ε = 0.254 */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct play play;

		start(&play);
		cold_begin(&play.w, play.now);
		play.w.size = 10;
		cold_judge(&play.w, log(rows[i].full_1), log(rows[i].less), log(rows[i].full_2), play.now);
		if (fabs(play.w.size - 10 * rows[i].factor) > 1e-9)
			fail_msg("row %zu: %.2f", i, play.w.size);
		assert_true(play.w.cold.verified == (rows[i].factor == 1 ? 10 : COLD_VERIFIED_FIRST));
		assert_true((play.w.still_until_us > play.now) == (rows[i].factor != 1));
	}
}

static void failed_verifications_pause_longer(void **state)
{
	static const int64_t pauses[] = {3, 6, 12, 12};
	struct play play;

	start(&play);
	cold_begin(&play.w, play.now);
	for (size_t i = 0; i < sizeof(pauses) / sizeof(pauses[0]); i++) {
		play.w.size = 10;
		cold_judge(&play.w, log(0.2), log(0.1), log(0.2), play.now);
		assert_int_equal(play.w.still_until_us, play.now + pauses[i] * SECOND);
	}
}

static void verification_is_due_after_growth(void **state)
{
	struct play play;

	start(&play);
	play.w.size = 4.5;
	assert_false(cold_due(&play.w, play.now)); /* not taken for cold */
	cold_begin(&play.w, play.now);
	assert_true(cold_due(&play.w, play.now));
	play.w.size = 4.49;
	assert_false(cold_due(&play.w, play.now));
	play.w.size = 10;
	assert_false(cold_due(&play.w, play.now + COLD_US));
	play.w.tarpit = true;
	assert_false(cold_due(&play.w, play.now));
	play.w.tarpit = false;
	window_base_put(&play.w.base, 0.1, play.now);
	window_base_put(&play.w.base, 0.11, play.now + 3 * SECOND);
	assert_true(cold_due(&play.w, play.now + 4 * SECOND));
	assert_false(cold_due(&play.w, play.now + 4 * SECOND + 1)); /* flat for long enough */
	window_base_put(&play.w.base, 0.13, play.now + 5 * SECOND);
	assert_true(cold_due(&play.w, play.now + 6 * SECOND));
}

static void young_servers_get_few(void **state)
{
	struct play play;

	start(&play);
	window_restart(&play.w, 1, true, play.now);
	play.w.verified = true;
	window_base_put(&play.w.base, 0.1, play.now);
	play.w.latency_s = 0.106;
	assert_true(window_cap(&play.w, &play.config, play.now) == 8);
	assert_true(window_cap(&play.w, &play.config, play.now + 30 * SECOND) == 8);
	assert_true(window_cap(&play.w, &play.config, play.now + 60 * SECOND) == 16);
	assert_true(window_cap(&play.w, &play.config, play.now + 90 * SECOND) == 32);
	assert_true(window_cap(&play.w, &play.config, play.now + 180 * SECOND) == 50);
	play.w.latency_s = 0.104; /* it idles */
	assert_true(window_cap(&play.w, &play.config, play.now) == 50);
}

/* --- relapse --- */

static void a_relapse_bounds_the_window(void **state)
{
	struct play play;

	start(&play);
	assert_true(isinf(relapse_cap(&play.w, 0)) && isinf(relapse_ssthresh(&play.w)));
	relapse_crash(&play.w, 20, 100 * SECOND);
	assert_int_equal(play.w.relapse.count, 1);
	assert_true(relapse_ssthresh(&play.w) == 12);
	assert_true(relapse_cap(&play.w, 0) == 12);
	assert_true(relapse_cap(&play.w, 60 * SECOND) == 12);
	assert_true(fabs(relapse_cap(&play.w, 120 * SECOND) - 24) < 1e-9);
	assert_true(relapse_doubling_s(&play.w, 3) == 3);
	relapse_crash(&play.w, 20, 10 * SECOND);
	assert_true(relapse_ssthresh(&play.w) == 10);
	assert_true(relapse_cap(&play.w, 30 * SECOND) == 10);
	assert_true(fabs(relapse_cap(&play.w, 60 * SECOND) - 20) < 1e-9);
	assert_true(relapse_doubling_s(&play.w, 3) == 6);
	relapse_crash(&play.w, 20, SECOND);
	assert_true(relapse_doubling_s(&play.w, 3) == 12);
	relapse_crash(&play.w, 20, SECOND);
	assert_true(relapse_doubling_s(&play.w, 3) == 16);
}

static void a_relapse_is_forgotten(void **state)
{
	struct play play;

	start(&play);
	relapse_crash(&play.w, 20, RELAPSE_US - 1);
	assert_int_equal(play.w.relapse.count, 1);
	relapse_forget(&play.w, RELAPSE_US - 1);
	assert_int_equal(play.w.relapse.count, 1);
	assert_true(isinf(relapse_cap(&play.w, RELAPSE_US)));
	relapse_crash(&play.w, 20, RELAPSE_US);
	assert_int_equal(play.w.relapse.count, 0);
	for (int i = 0; i < 100; i++)
		relapse_crash(&play.w, 20, SECOND);
	assert_int_equal(play.w.relapse.count, RELAPSE_COUNT_MAX);
	relapse_forget(&play.w, RELAPSE_US);
	assert_int_equal(play.w.relapse.count, 0);
}

/* --- tarpits --- */

static void a_tarpit_grows_by_its_replies(void **state)
{
	struct play play;

	start(&play);
	window_mail_reply(&play.w, SECOND - 1);
	assert_false(play.w.tarpit);
	start(&play);
	window_mail_reply(&play.w, 10 * SECOND);
	assert_true(play.w.tarpit);
	assert_true(play.w.size == 2);
	window_mail_reply(&play.w, 11 * SECOND);
	assert_true(play.w.size == 3);
	window_mail_reply(&play.w, 12 * SECOND); /* not the same any more: that is load */
	assert_false(play.w.tarpit);
	assert_true(play.w.size == 3);
	play.w.phase = LANE_STEADY;
	window_mail_reply(&play.w, 10 * SECOND);
	assert_true(play.w.size == 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(starts_at_one),
	    cmocka_unit_test(ramp_doubles_every_three_seconds),
	    cmocka_unit_test(ramp_of_a_fast_server),
	    cmocka_unit_test(a_fast_server_may_have_a_short_queue),
	    cmocka_unit_test(ramp_ends_at_the_queue),
	    cmocka_unit_test(a_slower_server_gets_less),
	    cmocka_unit_test(first_contact_is_bounded_until_verified),
	    cmocka_unit_test(ceilings_of_others_bind),
	    cmocka_unit_test(an_unused_window_does_not_grow),
	    cmocka_unit_test(after_idleness_it_begins_small),
	    cmocka_unit_test(a_busy_server_gets_less_once_a_wave),
	    cmocka_unit_test(dips_look_below_the_own_queue),
	    cmocka_unit_test(a_trial_counts_its_own),
	    cmocka_unit_test(cold_verdicts),
	    cmocka_unit_test(failed_verifications_pause_longer),
	    cmocka_unit_test(verification_is_due_after_growth),
	    cmocka_unit_test(young_servers_get_few),
	    cmocka_unit_test(a_relapse_bounds_the_window),
	    cmocka_unit_test(a_relapse_is_forgotten),
	    cmocka_unit_test(a_tarpit_grows_by_its_replies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
