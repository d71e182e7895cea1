#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "daemon/restarts.h"

struct death {
	int64_t started_ms, now_ms, pause_ms; /* pause: expected */
};

static void play(const struct death *deaths, size_t count)
{
	struct restarts restarts = {0};
	for (size_t i = 0; i < count; i++)
		assert_int_equal(restarts_died(&restarts, deaths[i].started_ms, deaths[i].now_ms),
				 deaths[i].pause_ms);
}
#define PLAY(...)                                 \
	play((const struct death[]){__VA_ARGS__}, \
	     sizeof((const struct death[]){__VA_ARGS__}) / sizeof(struct death))

static void test_third_in_a_minute(void **state)
{
	(void)state;
	PLAY({0, 0, 0}, {0, 1, 0}, {1, 2, 1000});
	PLAY({0, 0, 0}, {0, 30000, 0}, {30000, 59999, 1000});
	PLAY({0, 0, 0}, {0, 30000, 0}, {30000, 60000, 0});
	/* any three, not only the first */
	PLAY({0, 0, 0}, {0, 59000, 0}, {59000, 61000, 0}, {61000, 70000, 1000});
}

static void test_pauses_double(void **state)
{
	(void)state;
	PLAY({0, 0, 0}, {0, 1, 0}, {1, 2, 1000}, {3, 4, 2000}, {5, 6, 4000}, {7, 8, 8000}, {9, 10, 16000},
	     {11, 12, 30000}, {13, 14, 30000});
}

static void test_a_minute_of_life_clears(void **state)
{
	(void)state;
	PLAY({0, 0, 0}, {0, 1, 0}, {1, 2, 1000}, {1000, 60999, 2000});
	PLAY({0, 0, 0}, {0, 1, 0}, {1, 2, 1000}, {1000, 61000, 0}, {61000, 61001, 0}, {61001, 61002, 1000});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_third_in_a_minute),
	    cmocka_unit_test(test_pauses_double),
	    cmocka_unit_test(test_a_minute_of_life_clears),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
