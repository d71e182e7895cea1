#include "daemon/cli/format.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "api/timestamp.h"
#include "proto/utf8.h"

enum { MINUTE = 60, HOUR = 3600, DAY = 86400 };

const char *format_duration(int64_t seconds, char ret_text[FORMAT_SIZE])
{
	int64_t s = seconds > 0 ? seconds : 0;

	if (s < MINUTE)
		(void)snprintf(ret_text, FORMAT_SIZE, "%" PRId64 " s", s);
	else if (s < HOUR)
		(void)snprintf(ret_text, FORMAT_SIZE, "%" PRId64 " min %02d s", s / MINUTE,
			       (int)(s % MINUTE));
	else if (s < DAY)
		(void)snprintf(ret_text, FORMAT_SIZE, "%" PRId64 " h %02d min", s / HOUR,
			       (int)(s % HOUR / MINUTE));
	else
		(void)snprintf(ret_text, FORMAT_SIZE, "%" PRId64 " d %02d h", s / DAY, (int)(s % DAY / HOUR));
	return ret_text;
}

const char *format_bytes(uint64_t bytes, char ret_text[FORMAT_SIZE])
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes / 1024;
	size_t unit = 0;

	if (bytes < 1024) {
		(void)snprintf(ret_text, FORMAT_SIZE, "%" PRIu64 " B", bytes);
		return ret_text;
	}
	/* 1023.95 would be rounded to "1024.0". */
	while (value >= 1023.95 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		unit++;
	}
	(void)snprintf(ret_text, FORMAT_SIZE, "%.1f %s", value, units[unit]);
	return ret_text;
}

const char *format_count(uint64_t count, char ret_text[FORMAT_SIZE])
{
	char digits[24];
	size_t size = (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, count), used = 0;

	for (size_t i = 0; i < size; i++) {
		if (i > 0 && (size - i) % 3 == 0)
			ret_text[used++] = ',';
		ret_text[used++] = digits[i];
	}
	ret_text[used] = '\0';
	return ret_text;
}

const char *format_rate(double rate, char ret_text[FORMAT_SIZE])
{
	int decimals = rate >= 100 || rate <= 0 ? 0 : rate >= 1 ? 1 : 2;

	(void)snprintf(ret_text, FORMAT_SIZE, "%.*f", decimals, rate);
	return ret_text;
}

const char *format_local(const char *rfc3339, char ret_text[FORMAT_SIZE])
{
	struct tm tm;
	int64_t wall_ms;

	if (timestamp_parse(slice_of(rfc3339), &wall_ms, NULL) == 0) {
		time_t seconds = (time_t)(wall_ms / 1000);
		if (localtime_r(&seconds, &tm) != NULL &&
		    strftime(ret_text, FORMAT_SIZE, "%Y-%m-%d %H:%M:%S", &tm) > 0)
			return ret_text;
	}
	(void)snprintf(ret_text, FORMAT_SIZE, "%s", rfc3339);
	return ret_text;
}

/* Milliseconds of one unit letter, or 0. */
static int64_t unit_ms(struct slice unit)
{
	static const struct {
		const char *name;
		int64_t seconds;
	} units[] = {{"s", 1}, {"m", MINUTE}, {"min", MINUTE}, {"h", HOUR}, {"d", DAY}, {"w", 7 * DAY}};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (slice_equal_nocase(unit, slice_of(units[i].name)))
			return units[i].seconds * 1000;
	return 0;
}

static int parse_span(struct slice text, int64_t *ret_ms)
{
	enum { SPAN_MAX = 1000000 };
	size_t digits = 0;
	uint64_t count;

	while (digits < text.size && text.data[digits] >= '0' && text.data[digits] <= '9')
		digits++;
	int64_t unit = unit_ms(slice_trim(slice_from(text, digits)));
	if (unit == 0 || slice_to_u64(slice_upto(text, digits), &count) != 0 || count > SPAN_MAX)
		return ERR_SYNTAX;
	*ret_ms = (int64_t)count * unit;
	return 0;
}

/* A time without a zone was read as if it were UTC; the same figures in local time. */
static int64_t as_local(int64_t wall_ms)
{
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm tm;

	if (gmtime_r(&seconds, &tm) == NULL)
		return wall_ms;
	tm.tm_isdst = -1;
	return (int64_t)mktime(&tm) * 1000;
}

int parse_when(const char *text, int64_t now_ms, int sign, int64_t *ret_wall_ms)
{
	int64_t span_ms, wall_ms;
	bool zone;

	if (parse_span(slice_of(text), &span_ms) == 0) {
		*ret_wall_ms = now_ms + sign * span_ms;
		return 0;
	}
	if (timestamp_parse(slice_of(text), &wall_ms, &zone) != 0)
		return ERR_SYNTAX;
	*ret_wall_ms = zone ? wall_ms : as_local(wall_ms);
	return 0;
}

/* C0, DEL, and C1 (U+0080..U+009F). */
static bool is_control(struct slice character)
{
	unsigned char first = (unsigned char)character.data[0];

	if (character.size == 1)
		return first < 0x20 || first >= 0x7f;
	return character.size == 2 && first == 0xC2 && (unsigned char)character.data[1] < 0xA0;
}

/* The next character of the text; one byte when it is ill-formed. */
static struct slice take_character(struct slice *rest)
{
	size_t size = utf8_char_size(*rest);
	struct slice character = slice_upto(*rest, size > 0 ? size : 1);

	*rest = slice_from(*rest, character.size);
	return character;
}

void print_safe(FILE *to, const char *text)
{
	struct slice rest = slice_of(text);

	while (rest.size > 0) {
		struct slice character = take_character(&rest);
		if (is_control(character))
			(void)fputc('?', to);
		else
			(void)fwrite(character.data, 1, character.size, to);
	}
}

size_t width_of(const char *text)
{
	struct slice rest = slice_of(text);
	size_t width = 0;

	while (rest.size > 0) {
		(void)take_character(&rest);
		width++;
	}
	return width;
}

void print_bar(FILE *to, double part, unsigned columns)
{
	unsigned full = part <= 0 ? 0 : part >= 1 ? columns : (unsigned)(part * columns);

	(void)fputc('[', to);
	for (unsigned i = 0; i < columns; i++)
		(void)fputc(i < full ? '#' : '.', to);
	(void)fputc(']', to);
}
