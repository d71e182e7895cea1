#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "failing_alloc.h"
#include "proto/reply.h"

static void assert_buffer(const struct buffer *b, const char *expected)
{
	struct slice s = buffer_slice(b);

	assert_int_equal(s.size, strlen(expected));
	if (s.size > 0)
		assert_memory_equal(s.data, expected, s.size);
}

static void assert_wire(const struct reply *reply, bool with_status, const char *expected)
{
	struct buffer b;

	buffer_init(&b, 0);
	assert_int_equal(reply_write(reply, with_status, &b), 0);
	assert_buffer(&b, expected);
	buffer_deinit(&b);
}

static void builds(void **state)
{
	struct reply r;

	reply_set(&r, 250, "2.1.5", "%s %d", "ok", 7);
	assert_int_equal(r.code, 250);
	assert_int_equal(r.class, 2);
	assert_int_equal(r.subject, 1);
	assert_int_equal(r.detail, 5);
	assert_string_equal(r.text, "ok 7");
	assert_true(reply_positive(&r));
	reply_set(&r, 451, NULL, "a\r\nb\tc\x7F");
	assert_int_equal(r.class, 0);
	assert_string_equal(r.text, "a?\nb?c?");
	assert_true(reply_transient(&r));
	assert_false(reply_permanent(&r));
	reply_set(&r, 550, "5.123.999", "x");
	assert_int_equal(r.detail, 999);
	assert_true(reply_permanent(&r));
}

static void text_is_cut(void **state)
{
	char text[REPLY_TEXT_MAX + 2];
	struct reply r;

	for (int size = REPLY_TEXT_MAX - 1; size <= REPLY_TEXT_MAX + 1; size++) {
		memset(text, 'x', sizeof(text));
		reply_set(&r, 250, NULL, "%.*s", size, text);
		assert_int_equal(strlen(r.text), size < REPLY_TEXT_MAX ? size : REPLY_TEXT_MAX);
	}
	memset(text, 'x', sizeof(text));
	memcpy(text + REPLY_TEXT_MAX - 1, "\xC3\xA9", 2);
	reply_set(&r, 250, NULL, "%.*s", REPLY_TEXT_MAX + 1, text);
	assert_int_equal(r.text[REPLY_TEXT_MAX - 1], '?');
}

static void writes(void **state)
{
	struct reply r;

	reply_set(&r, 250, "2.1.5", "a\nb");
	assert_wire(&r, true, "250-2.1.5 a\r\n250 2.1.5 b\r\n");
	assert_wire(&r, false, "250-a\r\n250 b\r\n");
	reply_set(&r, 354, NULL, "go");
	assert_wire(&r, true, "354 go\r\n");
	reply_set(&r, 250, NULL, "%s", "");
	assert_wire(&r, true, "250 \r\n");
	reply_set(&r, 250, NULL, "a\n");
	assert_wire(&r, true, "250-a\r\n250 \r\n");
	reply_set(&r, 250, NULL, "a\n\nb");
	assert_wire(&r, true, "250-a\r\n250-\r\n250 b\r\n");
	memcpy(r.text, "a\r\nb", 5);
	assert_wire(&r, true, "250-a?\r\n250 b\r\n");
}

static void long_lines_are_continued(void **state)
{
	struct reply r;
	struct buffer b;
	char text[REPLY_TEXT_MAX + 1];

	memset(text, 'y', REPLY_TEXT_MAX);
	text[REPLY_TEXT_MAX] = '\0';
	reply_set(&r, 550, "5.999.999", "%s", text);
	buffer_init(&b, 0);
	assert_int_equal(reply_write(&r, true, &b), 0);
	struct slice rest = buffer_slice(&b), line;
	size_t lines = 0, seen = 0;
	while (slice_split(&rest, '\n', &line) && line.size > 0) {
		assert_true(line.size + 1 <= 512);
		assert_true(
		    slice_starts(line, lines == 0 ? SLICE("550-5.999.999 ") : SLICE("550 5.999.999 ")));
		seen += line.size - 15;
		lines++;
	}
	assert_int_equal(lines, 2);
	assert_int_equal(seen, REPLY_TEXT_MAX);
	buffer_deinit(&b);
}

static void a_failed_write_appends_nothing(void **state)
{
	struct reply r;

	reply_set(&r, 250, "2.1.5", "a\nb\nc");
	for (size_t limit = 1; limit < 64; limit++) {
		struct buffer b;
		buffer_init(&b, limit);
		assert_int_equal(buffer_append(&b, "x", 1), 0);
		int error = reply_write(&r, true, &b);
		assert_true(error == 0 || error == ERR_LIMIT);
		assert_int_equal(buffer_size(&b), error == 0 ? 40 : 1);
		buffer_deinit(&b);
	}
	for (unsigned n = 1;; n++) {
		struct buffer b;
		buffer_init(&b, 0);
		failing_alloc_at(n);
		int error = reply_write(&r, true, &b);
		bool failed = failing_alloc_happened();
		failing_alloc_at(0);
		assert_int_equal(error, failed ? ERR_MEMORY : 0);
		assert_int_equal(buffer_size(&b), failed ? 0 : 39);
		buffer_deinit(&b);
		if (!failed)
			break;
	}
}

static void formats(void **state)
{
	struct reply r;
	char text[64], small[8], status[16];

	reply_set(&r, 550, "5.1.1", "no such\nuser");
	assert_int_equal(reply_format(&r, text, sizeof(text)), strlen("550 5.1.1 no such; user"));
	assert_string_equal(text, "550 5.1.1 no such; user");
	assert_int_equal(reply_format(&r, small, sizeof(small)), 7);
	assert_string_equal(small, "550 5.1");
	assert_int_equal(reply_format(&r, small, 1), 0);
	assert_string_equal(small, "");
	assert_int_equal(reply_format(&r, small, 0), 0);
	reply_status(&r, status);
	assert_string_equal(status, "5.1.1");
	reply_set(&r, 421, NULL, "%s", "");
	assert_int_equal(reply_format(&r, text, sizeof(text)), 3);
	assert_string_equal(text, "421");
	reply_status(&r, status);
	assert_string_equal(status, "4.0.0");
}

struct parse_case {
	const char *input;
	int result;
	unsigned code, class, subject, detail;
	const char *text, *rest;
};

static const struct parse_case parse_cases[] = {
    {"250 ok\r\n", 1, 250, 0, 0, 0, "ok", ""},
    {"250 ok\n", 1, 250, 0, 0, 0, "ok", ""},
    {"250\r\n", 1, 250, 0, 0, 0, "", ""},
    {"250\n", 1, 250, 0, 0, 0, "", ""},
    {"250 \r\n", 1, 250, 0, 0, 0, "", ""},
    {"250 2.1.5 ok\r\n250 next", 1, 250, 2, 1, 5, "ok", "250 next"},
    {"250 2.1.5\r\n", 1, 250, 2, 1, 5, "", ""},
    {"250-2.1.5 a\r\n250 2.1.5 b\r\n", 1, 250, 2, 1, 5, "a\nb", ""},
    {"250-a\r\n250-\r\n250\r\n", 1, 250, 0, 0, 0, "a\n\n", ""},
    {"550-one\r\n550 5.7.1 two\r\n", 1, 550, 5, 7, 1, "one\ntwo", ""},
    {"550 5.100.999 x\r\n", 1, 550, 5, 100, 999, "x", ""},
    {"550 5.1000.9 x\r\n", 1, 550, 0, 0, 0, "5.1000.9 x", ""},
    {"550 5.1.1x\r\n", 1, 550, 0, 0, 0, "5.1.1x", ""},
    {"550 5.1. x\r\n", 1, 550, 0, 0, 0, "5.1. x", ""},
    {"550 3.1.1 x\r\n", 1, 550, 0, 0, 0, "3.1.1 x", ""},
    {"550 5.1.1.1 x\r\n", 1, 550, 0, 0, 0, "5.1.1.1 x", ""},
    {"550 5.123.123 abcdefgh\r\n", 1, 550, 5, 123, 123, "abcdefgh", ""},
    {"250 a\rb\r\r\n", 1, 250, 0, 0, 0, "a?b?", ""},
    {"250 012345678901\r\n", 1, 250, 0, 0, 0, "012345678901", ""},
    {"250 01234567890\r\n", 1, 250, 0, 0, 0, "01234567890", ""},
    {"250 0123456789\r\n", 1, 250, 0, 0, 0, "0123456789", ""},
    {"250 01234567890123\r\n", 1, 250, 0, 0, 0, "01234567890123", ""},
    {"250 tab\there\x7F\r\n", 1, 250, 0, 0, 0, "tab?here?", ""},
    {"250 \xC3\xA9\xC3\r\n", 1, 250, 0, 0, 0, "\xC3\xA9?", ""},
    {"200 low\r\n", 1, 200, 0, 0, 0, "low", ""},
    {"599 high\r\n", 1, 599, 0, 0, 0, "high", ""},
    {"250-more\r\n", 0},
    {"250 ok\r", 0},
    {"25", 0},
    {"", 0},
    {"199 x\r\n", ERR_SYNTAX},
    {"600 x\r\n", ERR_SYNTAX},
    {"\r\n", ERR_SYNTAX},
    {"25\r\n", ERR_SYNTAX},
    {"2500 x\r\n", ERR_SYNTAX},
    {"250x\r\n", ERR_SYNTAX},
    {"25O x\r\n", ERR_SYNTAX},
    {" 250 x\r\n", ERR_SYNTAX},
    {"250-a\r\n251 b\r\n", ERR_SYNTAX},
    {"250-a\r\nb\r\n", ERR_SYNTAX},
    {"HTTP/1.1 400 Bad", ERR_SYNTAX},
};

static void check_result(const struct parse_case *c, int result, const struct reply *r, struct slice rest)
{
	assert_int_equal(result, c->result);
	if (result != 1)
		return;
	assert_int_equal(r->code, c->code);
	assert_int_equal(r->class, c->class);
	assert_int_equal(r->subject, c->subject);
	assert_int_equal(r->detail, c->detail);
	assert_string_equal(r->text, c->text);
	assert_int_equal(rest.size, strlen(c->rest));
}

/* Feeds the first part, then the second, as two arrivals. */
static void parse_cut(const struct parse_case *c, size_t cut)
{
	struct reply_parser p;
	struct reply r = {.code = 0};
	struct slice whole = slice_of(c->input), first = slice_upto(whole, cut);

	reply_parser_init(&p);
	int result = reply_parse(&p, &first, &r);
	struct slice rest = slice_from(whole, cut - first.size);
	if (result == 0) {
		assert_int_equal(first.size, 0);
		result = reply_parse(&p, &rest, &r);
	}
	check_result(c, result, &r, rest);
}

static void parse_bytewise(const struct parse_case *c)
{
	struct reply_parser p;
	struct reply r = {.code = 0};
	struct slice whole = slice_of(c->input);
	int result = 0;
	size_t at = 0;

	reply_parser_init(&p);
	while (result == 0 && at < whole.size) {
		struct slice one = slice_upto(slice_from(whole, at++), 1);
		result = reply_parse(&p, &one, &r);
	}
	check_result(c, result, &r, slice_from(whole, at));
}

static void parses(void **state)
{
	for (size_t i = 0; i < sizeof(parse_cases) / sizeof(parse_cases[0]); i++) {
		for (size_t cut = 0; cut <= strlen(parse_cases[i].input); cut++)
			parse_cut(&parse_cases[i], cut);
		parse_bytewise(&parse_cases[i]);
	}
}

static void nul_becomes_a_question_mark(void **state)
{
	struct reply_parser p;
	struct reply r;
	struct slice input = SLICE("250 a\0b\r\n");

	reply_parser_init(&p);
	assert_int_equal(reply_parse(&p, &input, &r), 1);
	assert_string_equal(r.text, "a?b");
}

/* "250 xxx\r\n" with a line of this many bytes, all counted. */
static int parse_line_of(size_t size, size_t *ret_text_size)
{
	static char line[REPLY_LINE_MAX + 16];
	struct reply_parser p;
	struct reply r = {.code = 0};

	memset(line, 'x', sizeof(line));
	memcpy(line, "250 ", 4);
	memcpy(line + size - 2, "\r\n", 2);
	struct slice input = slice_make(line, size);
	reply_parser_init(&p);
	int result = reply_parse(&p, &input, &r);
	*ret_text_size = strlen(r.text);
	return result;
}

static int parse_lines(unsigned count)
{
	struct reply_parser p;
	struct reply r;
	int result = 0;

	reply_parser_init(&p);
	for (unsigned i = 1; result == 0 && i <= count; i++) {
		struct slice line = i < count ? SLICE("250-line\r\n") : SLICE("250 line\r\n");
		result = reply_parse(&p, &line, &r);
	}
	return result;
}

static void parser_limits(void **state)
{
	size_t kept;

	assert_int_equal(parse_line_of(REPLY_LINE_MAX - 1, &kept), 1);
	assert_int_equal(parse_line_of(REPLY_LINE_MAX, &kept), 1);
	assert_int_equal(kept, REPLY_TEXT_MAX);
	assert_int_equal(parse_line_of(REPLY_LINE_MAX + 1, &kept), ERR_LIMIT);
	assert_int_equal(parse_line_of(REPLY_TEXT_MAX + 5, &kept), 1);
	assert_int_equal(kept, REPLY_TEXT_MAX - 1);
	assert_int_equal(parse_line_of(REPLY_TEXT_MAX + 6, &kept), 1);
	assert_int_equal(kept, REPLY_TEXT_MAX);
	assert_int_equal(parse_line_of(REPLY_TEXT_MAX + 7, &kept), 1);
	assert_int_equal(kept, REPLY_TEXT_MAX);
	assert_int_equal(parse_lines(REPLY_LINES_MAX - 1), 1);
	assert_int_equal(parse_lines(REPLY_LINES_MAX), 1);
	assert_int_equal(parse_lines(REPLY_LINES_MAX + 1), ERR_LIMIT);
}

static void replies_follow_each_other(void **state)
{
	struct slice input = SLICE("250 2.0.0 a\r\n354 b\r\n550-5.1.1 c\r\n550 5.1.1 d\r\n");
	struct reply_parser p;
	struct reply r;

	reply_parser_init(&p);
	assert_int_equal(reply_parse(&p, &input, &r), 1);
	assert_int_equal(r.class, 2);
	assert_int_equal(reply_parse(&p, &input, &r), 1);
	assert_int_equal(r.code, 354);
	assert_int_equal(r.class, 0);
	assert_int_equal(reply_parse(&p, &input, &r), 1);
	assert_string_equal(r.text, "c\nd");
	assert_int_equal(reply_parse(&p, &input, &r), 0);
}

static void what_is_written_parses(void **state)
{
	struct reply in, out;
	struct reply_parser p;
	struct buffer b;

	reply_set(&in, 452, "4.3.1", "first\nsecond\n\nfourth");
	buffer_init(&b, 0);
	assert_int_equal(reply_write(&in, true, &b), 0);
	struct slice wire = buffer_slice(&b);
	reply_parser_init(&p);
	assert_int_equal(reply_parse(&p, &wire, &out), 1);
	assert_int_equal(out.code, in.code);
	assert_int_equal(out.detail, in.detail);
	assert_string_equal(out.text, in.text);
	buffer_deinit(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(builds),
	    cmocka_unit_test(text_is_cut),
	    cmocka_unit_test(writes),
	    cmocka_unit_test(long_lines_are_continued),
	    cmocka_unit_test(a_failed_write_appends_nothing),
	    cmocka_unit_test(formats),
	    cmocka_unit_test(parses),
	    cmocka_unit_test(nul_becomes_a_question_mark),
	    cmocka_unit_test(parser_limits),
	    cmocka_unit_test(replies_follow_each_other),
	    cmocka_unit_test(what_is_written_parses),
	};

	return cmocka_run_group_tests_name("reply", tests, NULL, NULL);
}
