#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lane/identity.h"
#include "lane/tuning.h"

static void another_one_is_noticed_once(void **state)
{
	struct identity id = {0};

	assert_false(identity_shown(&id, IDENTITY_NAME, 1, 0));
	assert_false(identity_shown(&id, IDENTITY_CERTIFICATE, 2, 0));
	assert_false(identity_shown(&id, IDENTITY_NAME, 1, 10));
	assert_true(identity_shown(&id, IDENTITY_NAME, 3, 20));
	assert_false(identity_shown(&id, IDENTITY_NAME, 3, 30));
	assert_false(identity_shown(&id, IDENTITY_NAME, 1, 40));
	assert_true(identity_shown(&id, IDENTITY_CERTIFICATE, 4, 50));
}

static void a_fleet_says_nothing(void **state)
{
	struct identity id = {0};

	for (uint64_t i = 1; i <= IDENTITY_SEEN; i++)
		assert_int_equal(identity_shown(&id, IDENTITY_NAME, i, (int64_t)i), i > 1);
	assert_false(identity_shown(&id, IDENTITY_NAME, 99, 99));
	for (uint64_t i = 100; i < 200; i++)
		assert_false(identity_shown(&id, IDENTITY_NAME, i, (int64_t)i * IDENTITY_FLEET_US));
}

static void a_new_one_each_month_is_noticed_for_years(void **state)
{
	struct identity id = {0};
	int64_t month_us = 30 * IDENTITY_FLEET_US;

	for (uint64_t i = 1; i <= 40; i++) {
		assert_int_equal(identity_shown(&id, IDENTITY_CERTIFICATE, i, (int64_t)i * month_us), i > 1);
		assert_false(identity_shown(&id, IDENTITY_CERTIFICATE, i, (int64_t)i * month_us + 1));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(another_one_is_noticed_once),
	    cmocka_unit_test(a_fleet_says_nothing),
	    cmocka_unit_test(a_new_one_each_month_is_noticed_for_years),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
