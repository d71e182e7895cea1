#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/address.h"
#include "proto/utf8.h"

enum { ANY = 0, UTF8 = 1 };

struct path_case {
	const char *text;
	int utf8, expected;
	const char *local_part, *domain, *whole, *rest;
};

static const struct path_case path_cases[] = {
    {"<a@b.example> SIZE=1", ANY, 0, "a", "b.example", "a@b.example", " SIZE=1"},
    {"<>", ANY, 0, "", "", "", ""},
    {"<> BODY=7BIT", ANY, 0, "", "", "", " BODY=7BIT"},
    {"<PostMaster>", ANY, 0, "PostMaster", "", "PostMaster", ""},
    {"<\"postmaster\">", ANY, 0, "\"postmaster\"", "", "\"postmaster\"", ""},
    {"<@one.example,@two.example:a@b.example>x", ANY, 0, "a", "b.example", "a@b.example", "x"},
    {"<@[192.0.2.1]:a@b>", ANY, 0, "a", "b", "a@b", ""},
    {"<!#$%&'*+-/=?^_`{|}~.1@b>", ANY, 0, "!#$%&'*+-/=?^_`{|}~.1", "b", "!#$%&'*+-/=?^_`{|}~.1@b", ""},
    {"<\"a b>\\\"@\"@c>", ANY, 0, "\"a b>\\\"@\"", "c", "\"a b>\\\"@\"@c", ""},
    {"<\"\"@c>", ANY, 0, "\"\"", "c", "\"\"@c", ""},
    {"<a@[192.0.2.255]>", ANY, 0, "a", "[192.0.2.255]", "a@[192.0.2.255]", ""},
    {"<a@[IPv6:2001:db8::1]>", ANY, 0, "a", "[IPv6:2001:db8::1]", "a@[IPv6:2001:db8::1]", ""},
    {"<a@[tag:what+ever]>", ANY, 0, "a", "[tag:what+ever]", "a@[tag:what+ever]", ""},
    {"<a@under_score.example>", ANY, 0, "a", "under_score.example", "a@under_score.example", ""},
    {"<\xC3\xA9@\xC3\xA9.example>", UTF8, 0, "\xC3\xA9", "\xC3\xA9.example", "\xC3\xA9@\xC3\xA9.example", ""},
    {"<\"\xE2\x82\xAC\"@b>", UTF8, 0, "\"\xE2\x82\xAC\"", "b", "\"\xE2\x82\xAC\"@b", ""},
    {"<\xF0\x9F\x93\xAE@b>", UTF8, 0, "\xF0\x9F\x93\xAE", "b", "\xF0\x9F\x93\xAE@b", ""},

    {"", ANY, ERR_SYNTAX},
    {"<", ANY, ERR_SYNTAX},
    {"a@b", ANY, ERR_SYNTAX},
    {" <a@b>", ANY, ERR_SYNTAX},
    {"<a@b", ANY, ERR_SYNTAX},
    {"<a>", ANY, ERR_SYNTAX},
    {"<a@>", ANY, ERR_SYNTAX},
    {"<@b>", ANY, ERR_SYNTAX},
    {"<@b:>", ANY, ERR_SYNTAX},
    {"<@b a@c>", ANY, ERR_SYNTAX},
    {"<@b,c:a@c>", ANY, ERR_SYNTAX},
    {"<.a@b>", ANY, ERR_SYNTAX},
    {"<a.@b>", ANY, ERR_SYNTAX},
    {"<a..b@c>", ANY, ERR_SYNTAX},
    {"<a b@c>", ANY, ERR_SYNTAX},
    {"<a@b c>", ANY, ERR_SYNTAX},
    {"<a@b@c>", ANY, ERR_SYNTAX},
    {"<a@b.>", ANY, ERR_SYNTAX},
    {"<a@.b>", ANY, ERR_SYNTAX},
    {"<a@b..c>", ANY, ERR_SYNTAX},
    {"<a@-b>", ANY, ERR_SYNTAX},
    {"<a@b->", ANY, ERR_SYNTAX},
    {"<\"a@b>", ANY, ERR_SYNTAX},
    {"<\"a\"b@c>", ANY, ERR_SYNTAX},
    {"<\"a\\", ANY, ERR_SYNTAX},
    {"<\"a\tb\"@c>", ANY, ERR_SYNTAX},
    {"<a@[192.0.2]>", ANY, ERR_SYNTAX},
    {"<a@[192.0.2.256]>", ANY, ERR_SYNTAX},
    {"<a@[192.0.2.1.1]>", ANY, ERR_SYNTAX},
    {"<a@[192.0.2.1>", ANY, ERR_SYNTAX},
    {"<a@[]>", ANY, ERR_SYNTAX},
    {"<a@[x]>", ANY, ERR_SYNTAX},
    {"<a@[:x]>", ANY, ERR_SYNTAX},
    {"<a@[IPv6:]>", ANY, ERR_SYNTAX},
    {"<a@[IPv6:g::]>", ANY, ERR_SYNTAX},
    {"<a@[tag:a\\b]>", ANY, ERR_SYNTAX},
    {"<a@[192.0.2.1]x>", ANY, ERR_SYNTAX},
    {"<\xC3\xA9@b>", ANY, ERR_SYNTAX},
    {"<a@\xC3\xA9.example>", ANY, ERR_SYNTAX},
    {"<\xC3@b>", UTF8, ERR_SYNTAX},
    {"<\xC0\xAF@b>", UTF8, ERR_SYNTAX},
    {"<\xED\xA0\x80@b>", UTF8, ERR_SYNTAX},
    {"<\xF4\x90\x80\x80@b>", UTF8, ERR_SYNTAX},
    {"<\x80@b>", UTF8, ERR_SYNTAX},
    {"<\"\\\xC3\xA9\"@b>", UTF8, ERR_SYNTAX},
};

static void assert_slice(struct slice s, const char *expected)
{
	assert_int_equal(s.size, strlen(expected));
	if (s.size > 0)
		assert_memory_equal(s.data, expected, s.size);
}

/* The text is copied to memory of exactly its size, so that reading beyond it is found. */
static void check_path(const struct path_case *c)
{
	size_t size = strlen(c->text);
	char *copy = malloc(size > 0 ? size : 1);
	assert_non_null(copy);
	if (size > 0)
		memcpy(copy, c->text, size);
	struct slice input = slice_make(copy, size);
	struct mailbox m = {.whole = SLICE("untouched")};

	assert_int_equal(address_parse_path(&input, c->utf8 == UTF8, &m), c->expected);
	if (c->expected != 0) {
		assert_slice(m.whole, "untouched");
		assert_int_equal(input.size, size);
	} else {
		assert_slice(m.local_part, c->local_part);
		assert_slice(m.domain, c->domain);
		assert_slice(m.whole, c->whole);
		assert_slice(input, c->rest);
		assert_int_equal(m.utf8, c->utf8);
	}
	free(copy);
}

static void paths(void **state)
{
	for (size_t i = 0; i < sizeof(path_cases) / sizeof(path_cases[0]); i++)
		check_path(&path_cases[i]);
}

static void nul_is_refused(void **state)
{
	struct slice inputs[] = {SLICE("<a\0@b>"), SLICE("<a@b\0>"), SLICE("<\"\0\"@b>"),
				 SLICE("<a@[t:\0]>")};
	struct mailbox m;

	for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++)
		assert_int_equal(address_parse_path(&inputs[i], true, &m), ERR_SYNTAX);
}

/* <LLL@DDD.example>, with a local-part and a domain of these sizes; labels of label_size bytes. */
static int parse_sized(size_t local_size, size_t domain_size, size_t label_size)
{
	char text[1024];
	size_t size = 0;
	struct mailbox m;

	text[size++] = '<';
	for (size_t i = 0; i < local_size; i++)
		text[size++] = 'l';
	text[size++] = '@';
	for (size_t i = 1; i <= domain_size; i++)
		text[size++] = i % (label_size + 1) == 0 && i != domain_size ? '.' : 'd';
	text[size++] = '>';
	struct slice input = slice_make(text, size);
	return address_parse_path(&input, false, &m);
}

static void limits(void **state)
{
	assert_int_equal(parse_sized(ADDRESS_LOCAL_PART_MAX - 1, 20, 63), 0);
	assert_int_equal(parse_sized(ADDRESS_LOCAL_PART_MAX, 20, 63), 0);
	assert_int_equal(parse_sized(ADDRESS_LOCAL_PART_MAX + 1, 20, 63), ERR_LIMIT);
	assert_int_equal(parse_sized(1, ADDRESS_DOMAIN_MAX - 1, 60), 0);
	assert_int_equal(parse_sized(1, ADDRESS_DOMAIN_MAX, 60), 0);
	assert_int_equal(parse_sized(1, ADDRESS_DOMAIN_MAX + 1, 60), ERR_LIMIT);
	assert_int_equal(parse_sized(1, 130, 62), 0);
	assert_int_equal(parse_sized(1, 130, 63), 0);
	assert_int_equal(parse_sized(1, 130, 64), ERR_LIMIT);
	assert_int_equal(parse_sized(64, ADDRESS_DOMAIN_MAX, 60), 0);
	assert_int_equal(parse_sized(ADDRESS_PATH_MAX - 1 - 200 - 1, 200, 60), 0);
	assert_int_equal(parse_sized(ADDRESS_PATH_MAX - 1 - 200, 200, 60), 0);
	assert_int_equal(parse_sized(ADDRESS_PATH_MAX - 1 - 200 + 1, 200, 60), ERR_LIMIT);
}

static void whole_mailboxes(void **state)
{
	struct mailbox m;

	assert_int_equal(address_parse(SLICE("a@b.example"), false, &m), 0);
	assert_slice(m.local_part, "a");
	assert_slice(m.domain, "b.example");
	assert_slice(m.whole, "a@b.example");
	assert_false(m.utf8);
	assert_int_equal(address_parse(SLICE("\xC3\xA9@b.example"), true, &m), 0);
	assert_true(m.utf8);

	static const char *const bad[] = {"",	  "a",	  "postmaster", "<a@b>", "a@b>",
					  "a@b ", " a@b", "@x:a@b",	"a@b\n"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(address_parse(slice_of(bad[i]), true, &m), ERR_SYNTAX);
}

static void domains(void **state)
{
	static const char *const good[] = {"a.b", "example.com", "x-1.example.co.uk", "1.example",
					   "xn--9ca.example"};
	static const char *const bad[] = {"",	   ".",		  "example",   "a.",	".b",
					  "a..b",  "-a.b",	  "a-.b",      "a_b.c", "a b.c",
					  "a.b ",  "[192.0.2.1]", "192.0.2.1", "a@b.c", "\xC3\xA9.example",
					  "a.b:25"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(address_valid_domain(slice_of(good[i]), false));
		assert_true(address_valid_domain(slice_of(good[i]), true));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(address_valid_domain(slice_of(bad[i]), false));
	assert_true(address_valid_domain(SLICE("\xC3\xA9.example"), true));
	assert_false(address_valid_domain(SLICE("\xC3.example"), true));
	assert_false(address_valid_domain(SLICE("a\0.example"), true));
}

static bool domain_of_size(size_t size)
{
	char text[ADDRESS_DOMAIN_MAX + 2];

	for (size_t i = 0; i < size; i++)
		text[i] = (i + 1) % 50 == 0 && i + 1 != size ? '.' : 'd';
	return address_valid_domain(slice_make(text, size), false);
}

static void domain_limits(void **state)
{
	assert_true(domain_of_size(ADDRESS_DOMAIN_MAX - 1));
	assert_true(domain_of_size(ADDRESS_DOMAIN_MAX));
	assert_false(domain_of_size(ADDRESS_DOMAIN_MAX + 1));
}

static void postmaster(void **state)
{
	assert_true(address_is_postmaster(SLICE("postmaster")));
	assert_true(address_is_postmaster(SLICE("POSTmaster")));
	assert_true(address_is_postmaster(SLICE("\"Postmaster\"")));
	assert_true(address_is_postmaster(SLICE("\"Post\\master\"")));
	assert_false(address_is_postmaster(SLICE("postmaste")));
	assert_false(address_is_postmaster(SLICE("postmasters")));
	assert_false(address_is_postmaster(SLICE("postmaster1")));
	assert_false(address_is_postmaster(SLICE("")));
	assert_false(address_is_postmaster(SLICE("postmaster\0")));
}

static void xtext(void **state)
{
	static const char *const good[] = {"", "abc", "rfc822;a@b", "+2B+3D", "a+20b", "~!"};
	static const char *const bad[] = {"=",	 "+",	"+2",	"a+2",	    "+2b",
					  "+GG", "a b", "\x7F", "\xC3\xA9", "a\tb"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(address_valid_xtext(slice_of(good[i])));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(address_valid_xtext(slice_of(bad[i])));
	assert_false(address_valid_xtext(SLICE("a\0")));
}

static void utf8_repairs(void **state)
{
	char text[] = "a\xC3\xA9\xC3 \xE2\x82 \xF0\x9F\x93\xAE\xFF\xED\xA0\x80";

	utf8_repair(text, sizeof(text) - 1);
	assert_string_equal(text, "a\xC3\xA9? ?? \xF0\x9F\x93\xAE????");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(paths),	    cmocka_unit_test(nul_is_refused),
	    cmocka_unit_test(limits),	    cmocka_unit_test(whole_mailboxes),
	    cmocka_unit_test(domains),	    cmocka_unit_test(domain_limits),
	    cmocka_unit_test(postmaster),   cmocka_unit_test(xtext),
	    cmocka_unit_test(utf8_repairs),
	};

	return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
