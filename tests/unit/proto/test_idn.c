#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "proto/idn.h"

static void names_get_their_form_of_the_dns(void **state)
{
	static const char *const names[][2] = {
	    {"example.com", "example.com"},
	    {"MX1.Example.com", "MX1.Example.com"},
	    {"m\xc3\xbcller.example", "xn--mller-kva.example"},
	    {"M\xc3\x9cLLER.Example", "xn--mller-kva.example"},
	    {"mu\xcc\x88ller.example", "xn--mller-kva.example"}, /* u and a combining diaeresis */
	    {"stra\xc3\x9f"
	     "e.example",
	     "xn--strae-oqa.example"},
	    {"\xe4\xbe\x8b\xe5\xad\x90.\xe6\xb5\x8b\xe8\xaf\x95", "xn--fsqu00a.xn--0zwm56d"},
	    {"\xe4\xbe\x8b\xe5\xad\x90\xe3\x80\x82" /* an ideographic full stop */ "example",
	     "xn--fsqu00a.example"}};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char name[IDN_NAME_SIZE];
		assert_int_equal(idn_to_ascii(slice_of(names[i][0]), name), 0);
		assert_string_equal(name, names[i][1]);
	}
}

static void what_is_no_name_is_refused(void **state)
{
	static const char *const bad[] = {"", "\xff\xfe.example", "\xcc\x88z.example"};
	char name[IDN_NAME_SIZE], longest[5 * IDN_NAME_SIZE];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(idn_to_ascii(slice_of(bad[i]), name), ERR_SYNTAX);
	assert_int_equal(idn_to_ascii(SLICE("a\0b"), name), ERR_SYNTAX);
	memset(longest, 'a', sizeof(longest));
	assert_int_equal(idn_to_ascii(slice_make(longest, IDN_NAME_SIZE - 1), name), 0);
	assert_int_equal(idn_to_ascii(slice_make(longest, IDN_NAME_SIZE), name), ERR_SYNTAX);
	assert_int_equal(idn_to_ascii(slice_make(longest, sizeof(longest)), name), ERR_SYNTAX);
	for (size_t i = 0; i + 1 < sizeof(longest); i += 2)
		memcpy(longest + i, "\xc3\xbc", 2);
	for (size_t size = 2; size <= sizeof(longest);
	     size += 2) /* up to 63 characters of a label, encoded */
		if (idn_to_ascii(slice_make(longest, size), name) == 0)
			assert_in_range(strlen(name), 1, 63);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_get_their_form_of_the_dns),
	    cmocka_unit_test(what_is_no_name_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
