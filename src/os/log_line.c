#include "os/log_line.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/base32.h"
#include "base/check.h"

static const char cut_mark[] = "...\n";

/* What is being written. Once something did not fit, nothing more is taken. */
struct line {
	char *bytes;
	size_t size, room; /* room leaves space for cut_mark */
	bool cut;
};

static void put(struct line *line, const char *bytes, size_t size)
{
	if (line->cut || size > line->room - line->size) {
		line->cut = true;
		return;
	}
	memcpy(line->bytes + line->size, bytes, size);
	line->size += size;
}

static void put_text(struct line *line, const char *text)
{
	put(line, text, strlen(text));
}

__attribute__((format(printf, 2, 3))) static void put_format(struct line *line, const char *format, ...)
{
	char text[64];
	va_list arguments;

	va_start(arguments, format);
	int size = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	check(size >= 0 && (size_t)size < sizeof(text));
	put(line, text, (size_t)size);
}

/* --- values ---------------------------------------------------------------------------------- */

static bool is_continuation(struct slice s, size_t at)
{
	return at < s.size && ((unsigned char)s.data[at] & 0xc0u) == 0x80u;
}

/* The size of the well-formed UTF-8 character of several bytes at the front (RFC 3629 §4), or 0. The controls
 * U+0080 to U+009F count as malformed: some terminals obey them. */
static size_t utf8_size(struct slice s)
{
	unsigned char first = (unsigned char)s.data[0];
	unsigned char second = s.size > 1 ? (unsigned char)s.data[1] : 0;

	if (first >= 0xc2 && first <= 0xdf)
		return is_continuation(s, 1) && !(first == 0xc2 && second < 0xa0) ? 2 : 0;
	if (first >= 0xe0 && first <= 0xef) {
		bool overlong = first == 0xe0 && second < 0xa0;
		bool surrogate = first == 0xed && second > 0x9f;
		return is_continuation(s, 1) && is_continuation(s, 2) && !overlong && !surrogate ? 3 : 0;
	}
	if (first >= 0xf0 && first <= 0xf4) {
		bool overlong = first == 0xf0 && second < 0x90;
		bool beyond = first == 0xf4 && second > 0x8f;
		return is_continuation(s, 1) && is_continuation(s, 2) && is_continuation(s, 3) && !overlong &&
			       !beyond
			   ? 4
			   : 0;
	}
	return 0;
}

static bool needs_quotes(struct slice value)
{
	if (value.size == 0)
		return true;
	for (size_t i = 0; i < value.size; i++) {
		unsigned char c = (unsigned char)value.data[i];
		if (c <= ' ' || c >= 0x7f || c == ',' || c == '"' || c == '\\')
			return true;
	}
	return false;
}

static void put_escaped(struct line *line, char c)
{
	switch (c) {
	case '\n':
		put_text(line, "\\n");
		break;
	case '\r':
		put_text(line, "\\r");
		break;
	case '\t':
		put_text(line, "\\t");
		break;
	default:
		put_format(line, "\\x%02X", (unsigned char)c);
	}
}

/* Control characters never get through, quoted or not. */
static void put_safe(struct line *line, struct slice text, bool quoted)
{
	while (text.size > 0) {
		unsigned char c = (unsigned char)text.data[0];
		size_t size = 1;
		if (c >= 0x80 && utf8_size(text) > 0) {
			size = utf8_size(text);
			put(line, text.data, size);
		} else if (c < ' ' || c >= 0x7f) {
			put_escaped(line, text.data[0]);
		} else {
			if (quoted && (c == '"' || c == '\\'))
				put_text(line, "\\");
			put(line, text.data, 1);
		}
		text = slice_from(text, size);
	}
}

static void put_value(struct line *line, struct slice value)
{
	bool quoted = needs_quotes(value);

	if (quoted)
		put_text(line, "\"");
	put_safe(line, value, quoted);
	if (quoted)
		put_text(line, "\"");
}

static void put_fields(struct line *line, const struct log_event_view *event)
{
	for (size_t i = 0; i < event->field_count; i++) {
		const struct log_field *field = &event->fields[i];
		put_text(line, i == 0 ? " " : ", ");
		put_text(line, field->key);
		put_text(line, "=");
		if (field->kind == LOG_FIELD_NUMBER)
			put_format(line, "%" PRId64, field->number);
		else
			put_value(line, field->text);
	}
}

/* --- the front ------------------------------------------------------------------------------- */

static const char *level_name(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_DEBUG:
		return "debug";
	case LOG_LEVEL_INFO:
		return "info";
	case LOG_LEVEL_WARN:
		return "warning";
	case LOG_LEVEL_ALARM:
		return "alarm";
	}
	return "info";
}

/* As syslog(3) counts: debug, informational, warning, alert. */
static const char *priority(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_DEBUG:
		return "<7>";
	case LOG_LEVEL_INFO:
		return "<6>";
	case LOG_LEVEL_WARN:
		return "<4>";
	case LOG_LEVEL_ALARM:
		return "<1>";
	}
	return "<6>";
}

static void put_time(struct line *line, int64_t wall_ms)
{
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm t;

	if (wall_ms < 0 || gmtime_r(&seconds, &t) == NULL) {
		put_text(line, "- ");
		return;
	}
	put_format(line, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ ", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday,
		   t.tm_hour, t.tm_min, t.tm_sec, (int)(wall_ms % 1000));
}

size_t log_line(const struct log_event_view *event, int64_t wall_ms, bool journal, char *ret_line,
		size_t size)
{
	struct line line = {.bytes = ret_line, .room = size - (sizeof(cut_mark) - 1)};
	char id[BASE32_U64_SIZE + 1];

	check(size >= LOG_LINE_SIZE_MIN);
	if (journal) {
		put_text(&line, priority(event->level));
	} else {
		put_time(&line, wall_ms);
		put_text(&line, level_name(event->level));
		put_text(&line, " ");
	}
	put_text(&line, event->area);
	if (event->id != 0) {
		base32_from_u64(event->id, id);
		put_format(&line, "[%s]", id);
	}
	put_text(&line, ":");
	if (event->message[0] != '\0') {
		put_text(&line, " ");
		put_safe(&line, slice_of(event->message), false);
	}
	put_fields(&line, event);
	/* Room was kept for either. */
	const char *end = line.cut ? cut_mark : "\n";
	memcpy(line.bytes + line.size, end, strlen(end));
	return line.size + strlen(end);
}
