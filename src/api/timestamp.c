#include "api/timestamp.h"

#include <stdio.h>

enum { MS_PER_SECOND = 1000, SECONDS_PER_DAY = 86400 };

struct civil {
	int64_t year;
	unsigned month, day; /* 1.. */
};

static bool leap(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned days_of_month(int64_t year, unsigned month)
{
	static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return month == 2 && leap(year) ? 29 : days[month - 1];
}

/* Days of all years before this one, counted from year 0 (which is leap). */
static int64_t days_before_year(int64_t year)
{
	int64_t past = year - 1;

	return year == 0 ? 0 : year * 365 + past / 4 - past / 100 + past / 400 + 1;
}

enum { DAYS_BEFORE_1970 = 719528 };

static int64_t civil_to_days(struct civil c)
{
	int64_t days = days_before_year(c.year) - DAYS_BEFORE_1970;

	for (unsigned month = 1; month < c.month; month++)
		days += days_of_month(c.year, month);
	return days + c.day - 1;
}

static struct civil civil_from_days(int64_t days)
{
	int64_t from_zero = days + DAYS_BEFORE_1970;
	struct civil c = {.year = from_zero * 400 / 146097, .month = 1};

	while (days_before_year(c.year + 1) <= from_zero)
		c.year++;
	while (days_before_year(c.year) > from_zero)
		c.year--;
	from_zero -= days_before_year(c.year);
	while (from_zero >= days_of_month(c.year, c.month))
		from_zero -= days_of_month(c.year, c.month++);
	c.day = (unsigned)from_zero + 1;
	return c;
}

static int64_t clamp(int64_t wall_ms)
{
	const int64_t first = -62167219200000, last = 253402300799999; /* years 0 and 9999 */

	return wall_ms < first ? first : wall_ms > last ? last : wall_ms;
}

const char *timestamp_format(int64_t wall_ms, char ret_text[TIMESTAMP_SIZE])
{
	wall_ms = clamp(wall_ms);
	int64_t day_ms = (int64_t)SECONDS_PER_DAY * MS_PER_SECOND;
	int64_t days = wall_ms / day_ms - (wall_ms % day_ms < 0 ? 1 : 0);
	unsigned rest = (unsigned)(wall_ms - days * day_ms);
	struct civil c = civil_from_days(days);

	(void)snprintf(ret_text, TIMESTAMP_SIZE, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
		       (unsigned)c.year % 10000, c.month % 100, c.day % 100, rest / 3600000,
		       rest / 60000 % 60, rest / 1000 % 60, rest % 1000);
	return ret_text;
}

/* Takes exactly count digits off the front. */
static bool take_digits(struct slice *s, size_t count, unsigned *ret_value)
{
	unsigned value = 0;

	if (s->size < count)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (s->data[i] < '0' || s->data[i] > '9')
			return false;
		value = value * 10 + (unsigned)(s->data[i] - '0');
	}
	*s = slice_from(*s, count);
	*ret_value = value;
	return true;
}

static bool take(struct slice *s, const char *any_of)
{
	for (const char *c = any_of; *c != '\0'; c++) {
		if (s->size > 0 && s->data[0] == *c) {
			*s = slice_from(*s, 1);
			return true;
		}
	}
	return false;
}

static bool take_date(struct slice *s, int64_t *ret_days)
{
	unsigned year, month, day;

	if (!take_digits(s, 4, &year) || !take(s, "-") || !take_digits(s, 2, &month) || !take(s, "-") ||
	    !take_digits(s, 2, &day))
		return false;
	if (month < 1 || month > 12 || day < 1 || day > days_of_month(year, month))
		return false;
	*ret_days = civil_to_days((struct civil){.year = year, .month = month, .day = day});
	return true;
}

/* ".5", ".123", ".123456": what is finer than a millisecond is cut off. */
static bool take_fraction(struct slice *s, unsigned *ret_ms)
{
	unsigned digit, ms = 0, scale = 100;

	if (!take_digits(s, 1, &digit))
		return false;
	do {
		ms += digit * scale;
		scale /= 10;
	} while (take_digits(s, 1, &digit));
	*ret_ms = ms;
	return true;
}

static bool take_time(struct slice *s, int64_t *ret_ms)
{
	unsigned hour, minute, second = 0, ms = 0;

	if (!take_digits(s, 2, &hour) || !take(s, ":") || !take_digits(s, 2, &minute))
		return false;
	if (take(s, ":") && !take_digits(s, 2, &second))
		return false;
	if (take(s, ".") && !take_fraction(s, &ms))
		return false;
	if (hour > 23 || minute > 59 || second > 60)
		return false;
	*ret_ms = ((int64_t)hour * 3600 + minute * 60 + second) * MS_PER_SECOND + ms;
	return true;
}

static bool take_zone(struct slice *s, int64_t *ret_offset_ms, bool *ret_given)
{
	unsigned hour, minute;
	bool west = s->size > 0 && s->data[0] == '-';

	*ret_offset_ms = 0;
	*ret_given = take(s, "Zz");
	if (*ret_given || s->size == 0)
		return true;
	if (!take(s, "+-") || !take_digits(s, 2, &hour) || !take(s, ":") || !take_digits(s, 2, &minute))
		return false;
	if (hour > 23 || minute > 59)
		return false;
	*ret_given = true;
	*ret_offset_ms = ((int64_t)hour * 3600 + minute * 60) * MS_PER_SECOND * (west ? -1 : 1);
	return true;
}

int timestamp_parse(struct slice text, int64_t *ret_wall_ms, bool *ret_zone)
{
	int64_t days, ms = 0, offset_ms = 0;
	bool zone = false;

	if (!take_date(&text, &days))
		return ERR_SYNTAX;
	if (text.size > 0 &&
	    (!take(&text, "Tt ") || !take_time(&text, &ms) || !take_zone(&text, &offset_ms, &zone)))
		return ERR_SYNTAX;
	if (text.size > 0)
		return ERR_SYNTAX;
	*ret_wall_ms = days * SECONDS_PER_DAY * MS_PER_SECOND + ms - offset_ms;
	if (ret_zone != NULL)
		*ret_zone = zone;
	return 0;
}
