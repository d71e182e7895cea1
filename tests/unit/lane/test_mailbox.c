#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lane/mailbox.h"
#include "lane/tuning.h"

#define SECOND 1000000LL
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY_MS 86400000LL

/* One after another, with growing pauses: not each of its thousand messages. */
static void a_full_mailbox(void **state)
{
	static const int64_t pauses[] = {5, 10, 20, 40, 60, 60};
	struct mailbox_rest m = {0};
	int64_t now = HOUR;

	assert_true(mailbox_permits(&m, now));
	for (int i = 0; i < 50; i++) /* so many were on their way */
		mailbox_sent(&m);
	for (int i = 0; i < 50; i++) {
		mailbox_returned(&m);
		mailbox_deferred(&m, 0, now + i);
	}
	assert_int_equal(m.failures, 1);
	for (size_t i = 0; i < sizeof(pauses) / sizeof(pauses[0]); i++) {
		assert_false(mailbox_permits(&m, now + pauses[i] * MINUTE - 1));
		now += pauses[i] * MINUTE;
		assert_true(mailbox_permits(&m, now));
		mailbox_sent(&m);
		assert_false(mailbox_permits(&m, now)); /* one at a time */
		mailbox_returned(&m);
		mailbox_deferred(&m, 0, now);
	}
	now += HOUR;
	for (uint32_t i = 1; i < MAILBOX_WINDOW_MAX; i++) {
		assert_false(mailbox_is_well(&m));
		assert_true(mailbox_permits(&m, now));
		mailbox_accepted(&m, now);
	}
	mailbox_accepted(&m, now);
	assert_true(mailbox_is_well(&m));
}

static void a_throttled_mailbox(void **state)
{
	struct mailbox_rest m = {0};
	int64_t now = HOUR;

	mailbox_accepted(&m, now);
	for (int i = 0; i < 20; i++)
		mailbox_sent(&m);
	mailbox_deferred(&m, 0, now);
	assert_int_equal(m.window, 10);
	assert_false(mailbox_permits(&m, now + MINUTE - 1));
	for (int i = 0; i < 11; i++)
		mailbox_returned(&m);
	assert_true(mailbox_permits(&m, now + MINUTE));
	mailbox_accepted(&m, now + MINUTE);
	assert_int_equal(m.window, 11);
	for (int i = 0; i < 10; i++) {
		now += 2 * MINUTE;
		mailbox_deferred(&m, 0, now);
		mailbox_accepted(&m, now);
	}
	assert_in_range(m.window, 1, 3);
	assert_int_equal(m.failures, 0);
}

static void its_clock_is_time_of_service(void **state)
{
	struct mailbox_rest m = {0};

	assert_false(mailbox_is_over(&m, 0, 100 * DAY_MS));
	mailbox_deferred(&m, DAY_MS, HOUR);
	assert_false(mailbox_is_visible(&m, DAY_MS + 4 * 3600000 - 1));
	assert_true(mailbox_is_visible(&m, DAY_MS + 4 * 3600000));
	assert_false(mailbox_is_over(&m, DAY_MS, 6 * DAY_MS - 1));
	assert_true(mailbox_is_over(&m, DAY_MS, 6 * DAY_MS));
	/* A message that came later has its own five days. */
	assert_false(mailbox_is_over(&m, 3 * DAY_MS, 8 * DAY_MS - 1));
	assert_true(mailbox_is_over(&m, 3 * DAY_MS, 8 * DAY_MS));
	/* Emptied in between: from the beginning, for the old ones too. */
	mailbox_accepted(&m, 2 * HOUR);
	assert_false(mailbox_is_over(&m, DAY_MS, 8 * DAY_MS));
	mailbox_deferred(&m, 8 * DAY_MS, 3 * HOUR);
	assert_false(mailbox_is_over(&m, DAY_MS, 13 * DAY_MS - 1));
	assert_true(mailbox_is_over(&m, DAY_MS, 13 * DAY_MS));
}

/* 300 messages that always fail, 3,000 that pass: a twentieth of the starts, one at a time. */
static void poison_keeps_to_its_share(void **state)
{
	struct poison_share share = {0};
	uint32_t poison = 0;

	assert_false(poison_is(POISON_AFTER - 1));
	assert_true(poison_is(POISON_AFTER));
	for (int i = 0; i < 3000; i++) {
		poison_other_sent(&share);
		if (!poison_permits(&share, false))
			continue;
		poison_sent(&share);
		assert_false(poison_permits(&share, true)); /* one at a time */
		poison_returned(&share);
		poison++;
	}
	assert_in_range(poison, 140, 150);
	assert_false(poison_permits(&share, false));
	assert_true(poison_permits(&share, true));
	for (int i = 0; i < 100; i++)
		poison_sent(&share);
	for (int i = 0; i < 101; i++)
		poison_returned(&share);
	assert_true(poison_permits(&share, true));
}

static void splitting_is_remembered(void **state)
{
	struct split split = {0};
	int64_t now = HOUR;

	assert_false(split_single(&split, now));
	for (int i = 0; i < 10; i++) /* those under way */
		split_refused(&split, now);
	assert_true(split_single(&split, now + HOUR - 1));
	assert_false(split_single(&split, now + HOUR));
	for (int64_t hours = 2; hours <= 64; hours *= 2) {
		int64_t expected = hours <= 16 ? hours : 16;

		now += 20 * HOUR;
		split_refused(&split, now);
		assert_true(split_single(&split, now + expected * HOUR - 1));
		assert_false(split_single(&split, now + expected * HOUR));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_full_mailbox),
	    cmocka_unit_test(a_throttled_mailbox),
	    cmocka_unit_test(its_clock_is_time_of_service),
	    cmocka_unit_test(poison_keeps_to_its_share),
	    cmocka_unit_test(splitting_is_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
