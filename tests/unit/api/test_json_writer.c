/* The writer of JSON: escapes, nesting, the sticky error, and every allocation failing once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "../proto/failing_alloc.h"
#include "api/json_writer.h"

static const struct {
	const char *text;
	size_t size;
	const char *json;
} texts[] = {
    {"", 0, "\"\""},
    {"plain", 5, "\"plain\""},
    {"a\"b\\c/d", 7, "\"a\\\"b\\\\c/d\""},
    {"\n\r\t\b\x00\x1f", 6, "\"\\n\\r\\t\\u0008\\u0000\\u001f\""},
    {"\x7f", 1, "\"\\u007f\""},
    {"caf\xC3\xA9", 5, "\"caf\xC3\xA9\""},
    {"\xE2\x82\xAC\xF0\x9F\x93\xAC", 7, "\"\xE2\x82\xAC\xF0\x9F\x93\xAC\""},
    {"\xC2\x9B", 2, "\"\\u009b\""},
    {"\xC2\xA0", 2, "\"\xC2\xA0\""},
    {"\xFF", 1, "\"\xEF\xBF\xBD\""},
    {"\xC3", 1, "\"\xEF\xBF\xBD\""},
    {"\xC0\xAF", 2, "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},
    {"\xED\xA0\x80", 3, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
    {"\xE2\x82", 2, "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},
};

static void test_texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct buffer to;
		buffer_init(&to, 0);
		struct json_writer w = json_writer(&to);
		jw_text(&w, NULL, slice_make(texts[i].text, texts[i].size));
		assert_true(jw_ok(&w));
		assert_int_equal(buffer_size(&to), strlen(texts[i].json));
		assert_memory_equal(buffer_slice(&to).data, texts[i].json, strlen(texts[i].json));
		buffer_deinit(&to);
	}
}

/* Any byte between two others is parsed by somebody else's parser. */
static void test_every_byte_parses(void **state)
{
	(void)state;
	for (int first = 0; first < 256; first++) {
		for (int second = 0; second < 256; second += 5) {
			char text[4] = {'a', (char)first, (char)second, 'z'};
			struct buffer to;
			buffer_init(&to, 0);
			struct json_writer w = json_writer(&to);
			jw_text(&w, NULL, slice_make(text, sizeof(text)));
			struct slice bytes = buffer_slice(&to);
			json_t *value =
			    json_loadb(bytes.data, bytes.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
			assert_non_null(value);
			json_decref(value);
			buffer_deinit(&to);
		}
	}
}

static void write_all(struct json_writer *w)
{
	jw_object(w, NULL);
	jw_string(w, "string", "s");
	jw_string(w, "null", NULL);
	jw_text_or_null(w, "empty", (struct slice){.data = NULL});
	jw_uint(w, "uint", UINT64_MAX);
	jw_int(w, "int", INT64_MIN);
	jw_double(w, "double", 1.5);
	jw_double(w, "nan", (double)NAN);
	jw_double(w, "inf", (double)INFINITY);
	jw_double(w, "huge", -1e300);
	jw_double_or_null(w, "none", -1);
	jw_bool(w, "bool", true);
	jw_time(w, "time", 1);
	jw_time(w, "never", 0);
	jw_array(w, "list");
	jw_int(w, NULL, 1);
	jw_object(w, NULL);
	jw_end(w);
	jw_array(w, NULL);
	jw_end_to(w, 0);
}

static void test_a_document(void **state)
{
	struct buffer to;

	(void)state;
	buffer_init(&to, 0);
	struct json_writer w = json_writer(&to);
	write_all(&w);
	assert_true(jw_ok(&w));
	struct slice bytes = buffer_slice(&to);
	static const char begin[] =
	    "{\"string\":\"s\",\"null\":null,\"empty\":null,\"uint\":18446744073709551615,"
	    "\"int\":-9223372036854775808,\"double\":1.500,\"nan\":null,\"inf\":null,\"huge\":-";
	static const char end[] =
	    ",\"none\":null,\"bool\":true,\"time\":\"1970-01-01T00:00:00.001Z\",\"never\":null,"
	    "\"list\":[1,{},[]]}";
	assert_memory_equal(bytes.data, begin, sizeof(begin) - 1);
	assert_memory_equal(bytes.data + bytes.size - (sizeof(end) - 1), end, sizeof(end) - 1);
	buffer_deinit(&to);
}

/* A document that is not finished is not ok. */
static void test_open_levels(void **state)
{
	struct buffer to;

	(void)state;
	buffer_init(&to, 0);
	struct json_writer w = json_writer(&to);
	jw_object(&w, NULL);
	assert_false(jw_ok(&w));
	jw_end(&w);
	assert_true(jw_ok(&w));
	buffer_deinit(&to);
}

/* Nesting at its limit; one level more is our own mistake and would be a failed check. */
static void test_depth(void **state)
{
	struct buffer to;

	(void)state;
	buffer_init(&to, 0);
	struct json_writer w = json_writer(&to);
	for (int i = 0; i < JW_DEPTH_MAX; i++)
		jw_array(&w, NULL);
	jw_end_to(&w, 0);
	assert_true(jw_ok(&w));
	assert_int_equal(buffer_size(&to), 2 * JW_DEPTH_MAX);
	buffer_deinit(&to);
}

/* With every limit below its size the document fails and says so; nothing is written beyond the limit. */
static void test_every_limit(void **state)
{
	struct buffer whole, to;

	(void)state;
	buffer_init(&whole, 0);
	struct json_writer w = json_writer(&whole);
	write_all(&w);
	for (size_t limit = 1; limit <= buffer_size(&whole); limit++) {
		buffer_init(&to, limit);
		w = json_writer(&to);
		write_all(&w);
		assert_int_equal(jw_ok(&w), limit == buffer_size(&whole));
		assert_true(buffer_size(&to) <= limit);
		buffer_deinit(&to);
	}
	buffer_deinit(&whole);
}

static void test_failing_allocations(void **state)
{
	struct buffer to;
	bool failed = true;

	(void)state;
	for (unsigned n = 1; failed; n++) {
		buffer_init(&to, 0);
		struct json_writer w = json_writer(&to);
		failing_alloc_at(n);
		write_all(&w);
		failed = failing_alloc_happened();
		failing_alloc_at(0);
		assert_int_equal(jw_ok(&w), !failed);
		buffer_deinit(&to);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_texts),
	    cmocka_unit_test(test_every_byte_parses),
	    cmocka_unit_test(test_a_document),
	    cmocka_unit_test(test_open_levels),
	    cmocka_unit_test(test_depth),
	    cmocka_unit_test(test_every_limit),
	    cmocka_unit_test(test_failing_allocations),
	};

	return cmocka_run_group_tests_name("json_writer", tests, NULL, NULL);
}
