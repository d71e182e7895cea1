/* The reader against a second, plain description of what it does, for every short text over the bytes that
 * matter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/body_reader.h"

enum { TEXT_MAX = 64, OUT_MAX = 4 * TEXT_MAX };

struct result {
	enum body_result end; /* MORE, END or a fault */
	size_t taken;	      /* of the input, when END */
	char body[OUT_MAX];
	size_t size;
};

/* --- the description --- */

static bool is_crlf(struct slice s, size_t at)
{
	return at + 1 < s.size && s.data[at] == '\r' && s.data[at + 1] == '\n';
}

/* Where CRLF "." CRLF has its dot; s.size if nowhere. */
static size_t end_of_data(struct slice s)
{
	for (size_t at = 0; at < s.size; at++)
		if (s.data[at] == '.' && is_crlf(s, at + 1) && (at == 0 || (at >= 2 && is_crlf(s, at - 2))))
			return at;
	return s.size;
}

static void add(struct result *r, const char *bytes, size_t size)
{
	memcpy(r->body + r->size, bytes, size);
	r->size += size;
}

static bool is_bare(struct slice s, size_t at)
{
	return (s.data[at] == '\r' || s.data[at] == '\n') && !is_crlf(s, at);
}

/* Is the dot here left out? strict: behind a true line end. */
static bool dot_goes(struct slice s, size_t at, bool strict)
{
	if (strict)
		return at + 1 < s.size && !is_bare(s, at + 1);
	return at + 1 < s.size && s.data[at + 1] == '.';
}

/* All of s was read and the end is not in it, or s ends where the end begins. whole: nothing may be pending.
 */
static struct result describe(struct slice s, bool dots, bool normalise)
{
	struct result r = {.end = BODY_MORE};
	size_t end = dots ? end_of_data(s) : s.size;
	struct slice text = slice_upto(s, end);
	bool start = true, strict = true;

	for (size_t at = 0; at < text.size; at++) {
		/* What could still become a line end or the final dot is not given yet. */
		struct slice rest = slice_from(s, at);
		if (slice_equal(rest, SLICE("\r")) ||
		    (dots && start &&
		     (slice_equal(rest, SLICE(".")) || (strict && slice_equal(rest, SLICE(".\r"))))))
			return r;
		if (is_crlf(s, at)) {
			add(&r, "\r\n", 2);
			at++;
			start = strict = true;
		} else if (is_bare(s, at)) {
			if (!normalise) {
				r.end = BODY_BARE;
				return r;
			}
			add(&r, "\r\n", 2);
			start = true;
			strict = false;
		} else {
			if (!(dots && start && text.data[at] == '.' && dot_goes(s, at, strict)))
				add(&r, text.data + at, 1);
			start = false;
		}
	}
	if (dots && end < s.size) {
		r.end = BODY_END;
		r.taken = end + 3;
	}
	return r;
}

/* --- the reader --- */

/* Takes the text in pieces of step bytes, until an end or a fault. */
static struct result read_text(struct slice s, size_t step, struct body_reader reader)
{
	struct result r = {.end = BODY_MORE};
	size_t at = 0;

	while (at < s.size && r.end == BODY_MORE) {
		struct slice input = slice_upto(slice_from(s, at), step), piece;
		size_t given = input.size;
		enum body_result result = body_reader_take(&reader, &input, &piece);
		at += given - input.size;
		if (result == BODY_PIECE)
			add(&r, piece.data, piece.size);
		else
			r.end = result;
	}
	r.taken = at;
	return r;
}

static struct body_reader make_reader(bool dots, bool normalise)
{
	return (struct body_reader){
	    .size_max = UINT64_MAX, .line_max = UINT64_MAX, .dots = dots, .normalise = normalise};
}

static void compare(struct slice s, const struct result *a, const struct result *b)
{
	bool same = a->end == b->end && a->size == b->size && memcmp(a->body, b->body, a->size) == 0 &&
		    (a->end != BODY_END || a->taken == b->taken);

	if (!same) {
		for (size_t i = 0; i < s.size; i++)
			print_error("%02x ", (unsigned char)s.data[i]);
		print_error(": end %d or %d, %zu or %zu bytes\n", (int)a->end, (int)b->end, a->size, b->size);
	}
	assert_true(same);
}

static void check_text(struct slice s, bool dots, bool normalise)
{
	struct result expected = describe(s, dots, normalise);

	for (size_t step = 1; step <= s.size; step++) {
		struct result seen = read_text(s, step, make_reader(dots, normalise));
		compare(s, &expected, &seen);
	}
}

static void every_short_text(bool dots, bool normalise)
{
	enum { SIZE = 8, COUNT = 1 << (2 * SIZE) };
	static const char alphabet[4] = {'\r', '\n', '.', 'a'};

	for (uint32_t n = 0; n < COUNT; n++) {
		char text[SIZE];
		for (unsigned i = 0; i < SIZE; i++)
			text[i] = alphabet[n >> (2 * i) & 3];
		check_text(slice_make(text, SIZE), dots, normalise);
	}
}

static void data(void **state)
{
	every_short_text(true, false);
}

static void data_normalised(void **state)
{
	every_short_text(true, true);
}

static void chunks(void **state)
{
	every_short_text(false, false);
}

static void chunks_normalised(void **state)
{
	every_short_text(false, true);
}

/* Nothing is given any more, and the end is still found at the same place, whatever came before. */
static void discarding_finds_the_same_end(void **state)
{
	enum { SIZE = 9, COUNT = 1 << (2 * SIZE) };
	static const char alphabet[4] = {'\r', '\n', '.', 'a'};

	for (uint32_t n = 0; n < COUNT; n++) {
		char text[SIZE];
		for (unsigned i = 0; i < SIZE; i++)
			text[i] = alphabet[n >> (2 * i) & 3];
		struct slice s = slice_make(text, SIZE);
		struct body_reader reader = make_reader(true, (n & 1) != 0);
		reader.discard = true;
		struct result seen = read_text(s, 1 + n % SIZE, reader);
		size_t end = end_of_data(s);
		assert_int_equal(seen.end, end < s.size ? BODY_END : BODY_MORE);
		assert_int_equal(seen.taken, end < s.size ? end + 3 : s.size);
		assert_int_equal(seen.size, 0);
	}
}

/* Clean text is given as one slice of the input, up to a line that begins with a dot. */
static void runs_are_large_and_not_copied(void **state)
{
	static const char text[] = "one\r\n\r\ntwo. and .\r\nthree\r\n..four\r\nfive\r\n.\r\n";
	struct slice input = SLICE(text), piece;
	struct body_reader reader = make_reader(true, false);

	assert_int_equal(body_reader_take(&reader, &input, &piece), BODY_PIECE);
	assert_ptr_equal(piece.data, text);
	assert_int_equal(piece.size, strlen("one\r\n\r\ntwo. and .\r\nthree\r\n"));
	assert_int_equal(body_reader_take(&reader, &input, &piece), BODY_PIECE);
	assert_ptr_equal(piece.data, strstr(text, ".four"));
	assert_int_equal(piece.size, strlen(".four\r\nfive\r\n"));
	assert_int_equal(body_reader_take(&reader, &input, &piece), BODY_END);
	assert_int_equal(input.size, 0);
}

static void long_lines_cross_the_scan_window(void **state)
{
	enum { SIZE = 5000 };
	static char text[SIZE + 5];
	struct slice piece;

	memset(text, 'x', SIZE);
	memcpy(text + SIZE, "\r\n.\r\n", 5);
	for (size_t at = 1000; at < 1050; at++) {
		memcpy(text + at, "\r\n", 2);
		struct body_reader reader = make_reader(true, false);
		struct slice input = slice_make(text, sizeof(text));
		assert_int_equal(body_reader_take(&reader, &input, &piece), BODY_PIECE);
		assert_int_equal(piece.size, SIZE + 2);
		assert_int_equal(body_reader_take(&reader, &input, &piece), BODY_END);
		memcpy(text + at, "xx", 2);
	}
}

static struct result read_limited(const char *text, size_t step, uint64_t size_max, uint64_t line_max)
{
	struct body_reader reader = make_reader(true, false);

	reader.size_max = size_max;
	reader.line_max = line_max;
	return read_text(slice_of(text), step, reader);
}

static void limits(void **state)
{
	static const char text[] = "abcd\r\n..fg\r\nhi\r\n.\r\n"; /* 6 + 5 + 4 bytes; lines of 4, 3, 2 */

	for (size_t step = 1; step < sizeof(text); step++) {
		struct result r = read_limited(text, step, 15, 4);
		assert_int_equal(r.end, BODY_END);
		assert_int_equal(r.size, 15);
		assert_int_equal(read_limited(text, step, 16, 5).end, BODY_END);
		r = read_limited(text, step, 14, 4);
		assert_int_equal(r.end, BODY_TOO_BIG);
		assert_int_equal(r.size, 13);
		assert_int_equal(read_limited(text, step, 13, 4).end, BODY_TOO_BIG);
		r = read_limited(text, step, 12, 4);
		assert_int_equal(r.end, BODY_TOO_BIG);
		assert_int_equal(r.size, 12);
		r = read_limited(text, step, 15, 3);
		assert_int_equal(r.end, BODY_LINE_TOO_LONG);
		assert_int_equal(r.size, 3);
		assert_int_equal(read_limited(".\r\n", step, 0, 0).end, BODY_END);
		assert_int_equal(read_limited("\r\n.\r\n", step, 1, 0).end, BODY_TOO_BIG);
	}
}

static void the_last_chunk_may_not_end_in_a_cr(void **state)
{
	struct body_reader reader = make_reader(false, false);
	struct slice input = SLICE("a\r"), piece;

	assert_int_equal(body_reader_take(&reader, &input, &piece), BODY_PIECE);
	assert_int_equal(body_reader_take(&reader, &input, &piece), BODY_MORE);
	assert_int_equal(body_reader_finish(&reader, &piece), BODY_BARE);
	reader = make_reader(false, true);
	input = SLICE("\r");
	assert_int_equal(body_reader_take(&reader, &input, &piece), BODY_MORE);
	assert_int_equal(body_reader_finish(&reader, &piece), BODY_PIECE);
	assert_true(slice_equal(piece, SLICE("\r\n")));
	assert_int_equal(body_reader_finish(&reader, &piece), BODY_END);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(data),
	    cmocka_unit_test(data_normalised),
	    cmocka_unit_test(chunks),
	    cmocka_unit_test(chunks_normalised),
	    cmocka_unit_test(discarding_finds_the_same_end),
	    cmocka_unit_test(runs_are_large_and_not_copied),
	    cmocka_unit_test(long_lines_cross_the_scan_window),
	    cmocka_unit_test(limits),
	    cmocka_unit_test(the_last_chunk_may_not_end_in_a_cr),
	};

	return cmocka_run_group_tests_name("body_reader", tests, NULL, NULL);
}
