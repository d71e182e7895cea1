#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/rng.h"
#include "lane/fill.h"

#define GIB	  (1024.0 * 1024 * 1024)
#define MINUTE_US 60000000LL

/* --- the forecast: what the room was, minute by minute, and what is said then --- */

struct hours {
	struct fill_history history;
	int64_t now_us;
	double room;
};

static void pass(struct hours *h, int minutes, double shrinks_per_minute)
{
	for (int i = 0; i < minutes; i++) {
		h->now_us += MINUTE_US;
		h->room -= shrinks_per_minute;
		fill_note(&h->history, h->now_us, (uint64_t)h->room);
	}
}

static struct hours begin(void)
{
	struct hours h = {.now_us = 5000, .room = 100 * GIB};

	fill_note(&h.history, h.now_us, (uint64_t)h.room);
	return h;
}

static double forecast_s(const struct hours *h)
{
	return fill_forecast_s(&h->history, (uint64_t)h->room);
}

static void nothing_without_growth(void **state)
{
	struct hours h = begin();

	(void)state;
	assert_true(forecast_s(&h) < 0);
	pass(&h, 300, 0);
	assert_true(forecast_s(&h) < 0);
	pass(&h, 300, -0.01 * GIB); /* it empties */
	assert_true(forecast_s(&h) < 0);
	pass(&h, 200, 0);
	assert_true(forecast_s(&h) < 0);
}

static void too_little_is_known_at_first(void **state)
{
	struct hours h = begin();

	(void)state;
	pass(&h, 7, 0.1 * GIB);
	assert_true(forecast_s(&h) < 0);
	pass(&h, 1, 0.1 * GIB);
	assert_true(forecast_s(&h) > 0);
}

static void steady_growth(void **state)
{
	struct hours h = begin();

	(void)state;
	pass(&h, 120, 0.1 * GIB);
	assert_float_equal(forecast_s(&h), h.room / (0.1 * GIB) * 60, 1);
	pass(&h, 600, 0.1 * GIB);
	assert_float_equal(forecast_s(&h), h.room / (0.1 * GIB) * 60, 1);
}

static void growth_with_noise(void **state)
{
	struct hours h = begin();
	struct rng rng;

	(void)state;
	rng_init(&rng, 1);
	for (int i = 0; i < 240; i++)
		pass(&h, 1, 0.02 * GIB * (double)rng_below(&rng, 1000) / 500);
	assert_in_range(forecast_s(&h), 0.6 * h.room / (0.02 * GIB) * 60, 1.4 * h.room / (0.02 * GIB) * 60);
}

static void one_large_file_says_nothing(void **state)
{
	(void)state;
	for (int at = 0; at <= 120; at++) {
		struct hours h = begin();
		pass(&h, 150, 0);
		pass(&h, 1, 20 * GIB);
		pass(&h, at, 0);
		assert_true(forecast_s(&h) < 0);
	}
}

static void an_outage_after_quiet_hours(void **state)
{
	struct hours h = begin();
	int minutes = 0;

	(void)state;
	pass(&h, 600, 0);
	while (forecast_s(&h) < 0) { /* 100 GiB in 5 hours */
		pass(&h, 1, GIB / 3);
		assert_true(++minutes < 90);
	}
	assert_true(minutes > 10);
	h = begin();
	pass(&h, 600, 0);
	for (minutes = 0; forecast_s(&h) < 0; minutes++) /* in one: the last minutes say it */
		pass(&h, 1, 100 * GIB / 60);
	assert_true(minutes <= 14);
}

static void when_it_is_over_it_is_over(void **state)
{
	struct hours h = begin();

	(void)state;
	pass(&h, 200, 0.1 * GIB);
	assert_true(forecast_s(&h) > 0);
	pass(&h, 130, 0);
	assert_true(forecast_s(&h) < 0);
}

/* --- the level --- */

static void levels(void **state)
{
	static const struct {
		enum fill_level was;
		uint64_t free; /* of 1000 */
		double full_in_s;
		bool full, failed;
		enum fill_level is;
	} table[] = {
	    {FILL_OK, 1000, -1, false, false, FILL_OK},
	    {FILL_OK, 251, -1, false, false, FILL_OK},
	    {FILL_OK, 250, -1, false, false, FILL_WARNING},
	    {FILL_WARNING, 299, -1, false, false, FILL_WARNING},
	    {FILL_WARNING, 301, -1, false, false, FILL_OK},
	    {FILL_OK, 100, -1, false, false, FILL_URGENT},
	    {FILL_URGENT, 149, -1, false, false, FILL_URGENT},
	    {FILL_URGENT, 151, -1, false, false, FILL_WARNING},
	    {FILL_URGENT, 900, -1, false, false, FILL_OK},
	    {FILL_OK, 900, 24 * 3600 + 1, false, false, FILL_OK},
	    {FILL_OK, 900, 24 * 3600, false, false, FILL_WARNING},
	    {FILL_WARNING, 900, 36 * 3600, false, false, FILL_WARNING},
	    {FILL_WARNING, 900, 36 * 3600 + 1, false, false, FILL_OK},
	    {FILL_OK, 900, 7200, false, false, FILL_URGENT},
	    {FILL_OK, 900, 0, false, false, FILL_URGENT},
	    {FILL_URGENT, 900, 3 * 3600 + 1, false, false, FILL_WARNING},
	    {FILL_OK, 0, -1, true, false, FILL_FULL},
	    {FILL_FULL, 120, -1, false, false, FILL_URGENT},
	    {FILL_FULL, 900, -1, false, false, FILL_OK},
	    {FILL_FULL, 0, -1, true, true, FILL_FAILED},
	    {FILL_OK, 900, -1, false, true, FILL_FAILED},
	    {FILL_FAILED, 900, -1, false, false, FILL_OK},
	};
	struct fill unlimited = {.full_in_s = -1};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct fill fill = {1000, table[i].free, table[i].full_in_s, table[i].full, table[i].failed};
		if (fill_level(table[i].was, &fill) != table[i].is)
			print_error("row %zu\n", i);
		assert_int_equal(fill_level(table[i].was, &fill), table[i].is);
	}
	assert_int_equal(fill_level(FILL_WARNING, &unlimited), FILL_OK);
	for (int level = FILL_OK; level <= FILL_FAILED; level++)
		assert_non_null(fill_level_name((enum fill_level)level));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nothing_without_growth),
	    cmocka_unit_test(too_little_is_known_at_first),
	    cmocka_unit_test(steady_growth),
	    cmocka_unit_test(growth_with_noise),
	    cmocka_unit_test(one_large_file_says_nothing),
	    cmocka_unit_test(an_outage_after_quiet_hours),
	    cmocka_unit_test(when_it_is_over_it_is_over),
	    cmocka_unit_test(levels),
	};

	return cmocka_run_group_tests_name("how full the spool is", tests, NULL, NULL);
}
