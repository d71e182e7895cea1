#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/suggest.h"

static const char *const words[] = {"serve", "status", "queue",
				    "trace", "help",   "a-word-that-is-exactly-32-bytes!"};
enum { WORD_COUNT = sizeof(words) / sizeof(words[0]) };

static void test_table(void **state)
{
	static const struct {
		const char *typed, *meant;
	} table[] = {
	    {"serve", "serve"},
	    {"sevre", "serve"},
	    {"srve", "serve"},
	    {"servve", "serve"},
	    {"stauts", "status"},
	    {"queues", "queue"},
	    {"hlep", NULL},
	    {"helo", "help"},
	    {"frobnicate", NULL},
	    {"", NULL},
	    {"xyz", NULL},
	    {"statusxxx", "status"},
	    {"statusxxxx", NULL},
	    {"a-word-that-is-exactly-32-bytes?", "a-word-that-is-exactly-32-bytes!"},
	    {"a-word-that-is-longer-than-32-bytes!", NULL},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const char *got = suggest(table[i].typed, words, WORD_COUNT);
		if (table[i].meant == NULL)
			assert_null(got);
		else
			assert_string_equal(got, table[i].meant);
	}
}

static void test_nothing_to_choose_from(void **state)
{
	(void)state;
	assert_null(suggest("serve", NULL, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_nothing_to_choose_from),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
