#include "api/json_writer.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "api/timestamp.h"
#include "base/check.h"
#include "proto/utf8.h"

struct json_writer json_writer(struct buffer *to)
{
	return (struct json_writer){.to = to};
}

static void put(struct json_writer *w, struct slice bytes)
{
	if (!w->failed && buffer_add(w->to, bytes) != 0)
		w->failed = true;
}

static void put_char(struct json_writer *w, char c)
{
	put(w, slice_make(&c, 1));
}

/* Bytes that stand for themselves inside a string. */
static bool plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static size_t put_plain(struct json_writer *w, struct slice rest)
{
	size_t size = 0;

	while (size < rest.size && plain((unsigned char)rest.data[size]))
		size++;
	put(w, slice_upto(rest, size));
	return size;
}

static void put_escape(struct json_writer *w, unsigned char c)
{
	static const char digits[] = "0123456789abcdef";
	char text[6] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};

	switch (c) {
	case '"':
	case '\\':
		put_char(w, '\\');
		put_char(w, (char)c);
		break;
	case '\n':
		put(w, SLICE("\\n"));
		break;
	case '\r':
		put(w, SLICE("\\r"));
		break;
	case '\t':
		put(w, SLICE("\\t"));
		break;
	default:
		put(w, slice_make(text, sizeof(text)));
	}
}

/* One character that is not plain; returns how many bytes it took. */
static size_t put_other(struct json_writer *w, struct slice rest)
{
	unsigned char c = (unsigned char)rest.data[0];

	if (c < 0x80) {
		put_escape(w, c);
		return 1;
	}
	size_t size = utf8_char_size(rest);
	/* C1 control characters could drive the terminal that the answer is shown on. */
	if (size == 2 && c == 0xC2 && (unsigned char)rest.data[1] < 0xA0) {
		put_escape(w, (unsigned char)rest.data[1]);
		return 2;
	}
	if (size == 0) {
		put(w, SLICE("\xEF\xBF\xBD"));
		return 1;
	}
	put(w, slice_upto(rest, size));
	return size;
}

static void put_quoted(struct json_writer *w, struct slice text)
{
	put_char(w, '"');
	while (text.size > 0 && !w->failed) {
		text = slice_from(text, put_plain(w, text));
		if (text.size > 0)
			text = slice_from(text, put_other(w, text));
	}
	put_char(w, '"');
}

/* What stands before a value: the comma, and the key in an object. */
static void begin(struct json_writer *w, const char *key)
{
	check((key != NULL) == (w->depth > 0 && w->closers[w->depth - 1] == '}'));
	if (w->comma)
		put_char(w, ',');
	if (key != NULL) {
		put_quoted(w, slice_of(key));
		put_char(w, ':');
	}
	w->comma = true;
}

static void open_level(struct json_writer *w, const char *key, char opener, char closer)
{
	begin(w, key);
	check(w->depth < JW_DEPTH_MAX);
	put_char(w, opener);
	w->closers[w->depth++] = closer;
	w->comma = false;
}

void jw_object(struct json_writer *w, const char *key)
{
	open_level(w, key, '{', '}');
}

void jw_array(struct json_writer *w, const char *key)
{
	open_level(w, key, '[', ']');
}

void jw_end(struct json_writer *w)
{
	check(w->depth > 0);
	put_char(w, w->closers[--w->depth]);
	w->comma = true;
}

void jw_end_to(struct json_writer *w, unsigned depth)
{
	while (w->depth > depth)
		jw_end(w);
}

void jw_text(struct json_writer *w, const char *key, struct slice text)
{
	begin(w, key);
	put_quoted(w, text);
}

void jw_null(struct json_writer *w, const char *key)
{
	begin(w, key);
	put(w, SLICE("null"));
}

void jw_string(struct json_writer *w, const char *key, const char *text)
{
	if (text == NULL)
		jw_null(w, key);
	else
		jw_text(w, key, slice_of(text));
}

void jw_text_or_null(struct json_writer *w, const char *key, struct slice text)
{
	if (text.size == 0)
		jw_null(w, key);
	else
		jw_text(w, key, text);
}

static void put_number(struct json_writer *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put_number(struct json_writer *w, const char *format, ...)
{
	char text[352]; /* a double of 1e308 with three decimals */
	va_list arguments;

	va_start(arguments, format);
	int size = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	check(size > 0 && (size_t)size < sizeof(text));
	put(w, slice_make(text, (size_t)size));
}

void jw_uint(struct json_writer *w, const char *key, uint64_t value)
{
	begin(w, key);
	put_number(w, "%" PRIu64, value);
}

void jw_int(struct json_writer *w, const char *key, int64_t value)
{
	begin(w, key);
	put_number(w, "%" PRId64, value);
}

void jw_double(struct json_writer *w, const char *key, double value)
{
	if (!isfinite(value)) {
		jw_null(w, key);
		return;
	}
	begin(w, key);
	put_number(w, "%.3f", value);
}

void jw_double_or_null(struct json_writer *w, const char *key, double value)
{
	if (value < 0)
		jw_null(w, key);
	else
		jw_double(w, key, value);
}

void jw_bool(struct json_writer *w, const char *key, bool value)
{
	begin(w, key);
	put(w, value ? SLICE("true") : SLICE("false"));
}

void jw_time(struct json_writer *w, const char *key, int64_t wall_ms)
{
	char text[TIMESTAMP_SIZE];

	if (wall_ms == 0)
		jw_null(w, key);
	else
		jw_string(w, key, timestamp_format(wall_ms, text));
}

bool jw_ok(const struct json_writer *w)
{
	return !w->failed && w->depth == 0;
}
