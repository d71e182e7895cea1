/* Instants as text, compared with the C library over four centuries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "api/timestamp.h"

static const struct {
	const char *text;
	int64_t wall_ms;
	bool zone;
} good[] = {
    {"1970-01-01T00:00:00Z", 0, true},
    {"1970-01-01", 0, false},
    {"1970-01-01T00:00", 0, false},
    {"1970-01-01 00:00", 0, false},
    {"1970-01-01t00:00:00z", 0, true},
    {"1970-01-01T00:00:00.5Z", 500, true},
    {"1970-01-01T00:00:00.123456789Z", 123, true},
    {"1969-12-31T23:59:59.999Z", -1, true},
    {"2026-12-01T10:00:00Z", 1796119200000, true},
    {"2026-12-01T12:00+02:00", 1796119200000, true},
    {"2026-12-01T04:30-05:30", 1796119200000, true},
    {"2024-02-29T00:00:00Z", 1709164800000, true},
    {"2000-02-29", 951782400000, false},
    {"2016-12-31T23:59:60Z", 1483228800000, true},
    {"0000-01-01", -62167219200000, false},
    {"9999-12-31T23:59:59.999Z", 253402300799999, true},
};

static const char *const bad[] = {
    "",
    "2026",
    "2026-1-01",
    "2026-13-01",
    "2026-00-01",
    "2026-01-00",
    "2026-01-32",
    "2026-06-31",
    "2025-02-29",
    "1900-02-29",
    "2026-12-01T",
    "2026-12-01T10",
    "2026-12-01T24:00",
    "2026-12-01T10:60",
    "2026-12-01T10:00:61",
    "2026-12-01T10:00:00.",
    "2026-12-01T10:00:00.Z",
    "2026-12-01T10:00Zx",
    "2026-12-01Z",
    "2026-12-01T10:00+2",
    "2026-12-01T10:00+24:00",
    "2026-12-01T10:00+02:60",
    "2026-12-01T10:00+",
    "26-12-01",
    "2026/12/01",
    "2026-12-01T1a:00",
    " 2026-12-01",
    "2026-12-01 ",
    "-2026-12-01",
    "99999-01-01",
    "2026-12-01T10:00:00:00",
};

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		int64_t wall_ms = 7;
		bool zone = !good[i].zone;
		if (timestamp_parse(slice_of(good[i].text), &wall_ms, &zone) != 0 ||
		    wall_ms != good[i].wall_ms || zone != good[i].zone)
			fail_msg("%s: %lld", good[i].text, (long long)wall_ms);
		assert_int_equal(timestamp_parse(slice_of(good[i].text), &wall_ms, NULL), 0);
	}
}

static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int64_t wall_ms = 7;
		if (timestamp_parse(slice_of(bad[i]), &wall_ms, NULL) != ERR_SYNTAX || wall_ms != 7)
			fail_msg("\"%s\" was taken", bad[i]);
	}
}

/* No prefix of a good text reads beyond its end, and each is bad or a time of its own. */
static void test_every_cut(void **state)
{
	static const char text[] = "2026-12-01T10:00:00.123+02:00";
	static const char ok[] = {10, 16, 19, 21, 22, 23, 29, 0};

	(void)state;
	for (size_t size = 0; size < sizeof(text); size++) {
		char exact[sizeof(text)];
		int64_t wall_ms;
		memcpy(exact, text, size);
		bool taken = timestamp_parse(slice_make(exact, size), &wall_ms, NULL) == 0;
		if (taken != (size > 0 && strchr(ok, (int)size) != NULL))
			fail_msg("the first %zu bytes", size);
	}
}

static void test_format_agrees_with_the_c_library(void **state)
{
	(void)state;
	for (int64_t seconds = -6000000000; seconds < 7000000000; seconds += 43207 * 13) {
		char mine[TIMESTAMP_SIZE], theirs[64];
		time_t t = (time_t)seconds;
		struct tm tm;
		int64_t back;
		assert_non_null(gmtime_r(&t, &tm));
		assert_true(strftime(theirs, sizeof(theirs), "%Y-%m-%dT%H:%M:%S.042Z", &tm) > 0);
		assert_string_equal(timestamp_format(seconds * 1000 + 42, mine), theirs);
		assert_int_equal(timestamp_parse(slice_of(mine), &back, NULL), 0);
		assert_true(back == seconds * 1000 + 42);
	}
}

static void test_format_is_clamped(void **state)
{
	char text[TIMESTAMP_SIZE];

	(void)state;
	assert_string_equal(timestamp_format(INT64_MAX, text), "9999-12-31T23:59:59.999Z");
	assert_string_equal(timestamp_format(INT64_MIN, text), "0000-01-01T00:00:00.000Z");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good),
	    cmocka_unit_test(test_bad),
	    cmocka_unit_test(test_every_cut),
	    cmocka_unit_test(test_format_agrees_with_the_c_library),
	    cmocka_unit_test(test_format_is_clamped),
	};

	return cmocka_run_group_tests_name("timestamp", tests, NULL, NULL);
}
