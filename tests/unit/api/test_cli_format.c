/* Figures, times and strangers' words as the client shows them; the arguments it takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "daemon/cli/format.h"
#include "daemon/cli/table.h"

static const struct {
	int64_t seconds;
	const char *text;
} durations[] = {
    {-1, "0 s"},
    {0, "0 s"},
    {59, "59 s"},
    {60, "1 min 00 s"},
    {3599, "59 min 59 s"},
    {3600, "1 h 00 min"},
    {86399, "23 h 59 min"},
    {86400, "1 d 00 h"},
    {3 * 86400 + 4 * 3600 + 59, "3 d 04 h"},
    {INT64_MAX, "106751991167300 d 15 h"},
};

static const struct {
	uint64_t bytes;
	const char *text;
} sizes[] = {
    {0, "0 B"},		  {1023, "1023 B"},	{1024, "1.0 KiB"},	 {1536, "1.5 KiB"},
    {1048575, "1.0 MiB"}, {1048576, "1.0 MiB"}, {1288490189, "1.2 GiB"}, {UINT64_MAX, "16.0 EiB"},
};

static const struct {
	uint64_t count;
	const char *text;
} counts[] = {
    {0, "0"},
    {999, "999"},
    {1000, "1,000"},
    {12345, "12,345"},
    {999999, "999,999"},
    {1000000, "1,000,000"},
    {UINT64_MAX, "18,446,744,073,709,551,615"},
};

static const struct {
	double rate;
	const char *text;
} rates[] = {{-1, "-1"},      {0, "0"},	    {0.04, "0.04"},	 {1, "1.0"},
	     {12.25, "12.2"}, {100, "100"}, {123456.7, "123457"}};

static void test_figures(void **state)
{
	char text[FORMAT_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++)
		assert_string_equal(format_duration(durations[i].seconds, text), durations[i].text);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		assert_string_equal(format_bytes(sizes[i].bytes, text), sizes[i].text);
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		assert_string_equal(format_count(counts[i].count, text), counts[i].text);
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++)
		assert_string_equal(format_rate(rates[i].rate, text), rates[i].text);
}

static const struct {
	const char *text;
	int64_t wall_ms; /* from now = 1,000,000,000,000 on; -1: not understood */
} whens[] = {
    {"90s", 1000000090000},
    {"30m", 1000001800000},
    {"30min", 1000001800000},
    {"2h", 1000007200000},
    {"3d", 1000259200000},
    {"1w", 1000604800000},
    {"2 h", 1000007200000},
    {"2H", 1000007200000},
    {"0s", 1000000000000},
    {"1000000s", 1001000000000},
    {"1000001s", -1},
    {"", -1},
    {"h", -1},
    {"2", -1},
    {"2x", -1},
    {"-2h", -1},
    {"2h3m", -1},
    {"2026-12-01T10:00:00Z", 1796119200000},
    {"2026-12-01T10:00", 1796119200000 - 3600000},
    {"2026-07-01T10:00", 1782892800000},
    {"tomorrow", -1},
};

static void test_when(void **state)
{
	(void)state;
	assert_int_equal(setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1), 0);
	tzset();
	for (size_t i = 0; i < sizeof(whens) / sizeof(whens[0]); i++) {
		int64_t wall_ms = -1;
		int error = parse_when(whens[i].text, 1000000000000, 1, &wall_ms);
		if (wall_ms != whens[i].wall_ms || (error == 0) != (whens[i].wall_ms != -1))
			fail_msg("%s: %lld", whens[i].text, (long long)wall_ms);
	}
	int64_t back;
	assert_int_equal(parse_when("2h", 1000000000000, -1, &back), 0);
	assert_true(back == 999992800000);
	char text[FORMAT_SIZE];
	assert_string_equal(format_local("2026-07-01T08:00:00.999Z", text), "2026-07-01 10:00:00");
	assert_string_equal(format_local("not a time", text), "not a time");
}

static char *safe(const char *text)
{
	char *shown = NULL;
	size_t size;
	FILE *to = open_memstream(&shown, &size);

	assert_non_null(to);
	print_safe(to, text);
	assert_int_equal(fclose(to), 0);
	return shown;
}

static void test_safe(void **state)
{
	static const char *const pairs[][2] = {
	    {"plain 250 ok", "plain 250 ok"},
	    {"\x1b[31mred\x07\r\n", "?[31mred???"},
	    {"caf\xC3\xA9 \xE2\x82\xAC", "caf\xC3\xA9 \xE2\x82\xAC"},
	    {"\xC2\x9B"
	     "31m",
	     "?31m"},
	    {"\xC2\xA0", "\xC2\xA0"},
	    {"\x7f\xFF\xC3", "???"},
	    {"", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		char *shown = safe(pairs[i][0]);
		assert_string_equal(shown, pairs[i][1]);
		assert_int_equal(width_of(shown), width_of(pairs[i][0]));
		free(shown);
	}
}

static void test_bar(void **state)
{
	static const struct {
		double part;
		const char *text;
	} bars[] = {{-1, "[....]"},   {0, "[....]"}, {0.24, "[....]"}, {0.25, "[#...]"},
		    {0.99, "[###.]"}, {1, "[####]"}, {2, "[####]"}};

	(void)state;
	for (size_t i = 0; i < sizeof(bars) / sizeof(bars[0]); i++) {
		char *shown = NULL;
		size_t size;
		FILE *to = open_memstream(&shown, &size);
		assert_non_null(to);
		print_bar(to, bars[i].part, 4);
		assert_int_equal(fclose(to), 0);
		assert_string_equal(shown, bars[i].text);
		free(shown);
	}
}

static char *printed(struct table *table, bool colour)
{
	char *shown = NULL;
	size_t size;
	FILE *to = open_memstream(&shown, &size);

	assert_non_null(to);
	table_print(table, to, colour);
	assert_int_equal(fclose(to), 0);
	return shown;
}

static void test_table(void **state)
{
	struct table table;

	(void)state;
	table_init(&table, 3, 1u << 1);
	table_row(&table);
	table_cell(&table, STYLE_DIM, "A");
	table_cell(&table, STYLE_DIM, "NUMBER");
	table_cell(&table, STYLE_DIM, "C");
	table_row(&table);
	table_cell(&table, STYLE_GOOD,
		   "b\xC3\xBC"
		   "cher");
	table_cell(&table, STYLE_PLAIN, "7");
	table_cell(&table, STYLE_PLAIN, "\x1b");
	table_note(&table, STYLE_WARN, "a note");
	table_row(&table);
	table_cell(&table, STYLE_PLAIN, "short");

	char *text = printed(&table, false);
	assert_string_equal(text, "A       NUMBER  C\nb\xC3\xBC"
				  "cher       7  ?\n      a note\nshort\n");
	free(text);
	text = printed(&table, true);
	assert_non_null(strstr(text, "\x1b[32mb\xC3\xBC"
				     "cher\x1b[0m"));
	free(text);
	table_deinit(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_figures), cmocka_unit_test(test_when),  cmocka_unit_test(test_safe),
	    cmocka_unit_test(test_bar),	    cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests_name("cli_format", tests, NULL, NULL);
}
