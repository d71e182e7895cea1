#include "lane/delay_hint.h"

#include "lane/verdict.h"

/* What may stand before the number: "try again in 5 minutes", but not "more than 10 in 60 seconds". */
#define ASKS                                                               \
	"again|retry|retrying|later|back|come "                            \
	"back|wait|delay|delayed|deferred|greylist*|graylist*|grey-list*|" \
	"grey list*|gray list*|remaining|refresh|resend|reconnect|expire*|postgrey"

static void skip_blanks(struct slice *s)
{
	while (s->size > 0 && s->data[0] == ' ')
		*s = slice_from(*s, 1);
}

/* Digits off the front; false: none, or too many to be a time. */
static bool take_number(struct slice *s, uint64_t *ret_number)
{
	size_t size = 0;

	while (size < s->size && s->data[size] >= '0' && s->data[size] <= '9')
		size++;
	if (size == 0 || size > 6 || slice_to_u64(slice_upto(*s, size), ret_number) != 0)
		return false;
	*s = slice_from(*s, size);
	return true;
}

/* "00:04:59" or "04:59" after its first number. */
static bool take_clock(struct slice *s, uint64_t *number)
{
	bool any = false;
	uint64_t next;

	while (s->size > 1 && s->data[0] == ':') {
		struct slice after = slice_from(*s, 1);

		if (!take_number(&after, &next) || next > 59)
			return false;
		*number = *number * 60 + next;
		*s = after;
		any = true;
	}
	return any;
}

static uint64_t unit_s(struct slice s)
{
	static const struct {
		struct slice name;
		uint64_t seconds;
	} units[] = {
	    {SLICE("sec"), 1},	 {SLICE("min"), 60}, {SLICE("hour"), 3600},
	    {SLICE("hr"), 3600}, {SLICE("s"), 1},
	};

	skip_blanks(&s);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		size_t size = units[i].name.size;
		bool whole = size > 1 || s.size == size ||
			     (s.size > size && (s.data[size] < 'a' || s.data[size] > 'z'));

		if (slice_starts(s, units[i].name) && whole)
			return units[i].seconds;
	}
	return 0;
}

/* The time that begins at s with a digit; 0: it is none. */
static uint64_t time_s(struct slice s)
{
	uint64_t number;

	if (!take_number(&s, &number))
		return 0;
	if (take_clock(&s, &number))
		return number;
	return number * unit_s(s);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool may_begin(const struct words_text *text, size_t at)
{
	char before = at > 0 ? text->bytes[at - 1] : ' ';

	return is_digit(text->bytes[at]) &&
	       (before == ' ' || before == '(' || before == '=' || before == '[');
}

uint32_t delay_hint_s(const struct words_text *text)
{
	if (!words_any(text, ASKS))
		return 0;
	for (size_t at = 0; at < text->size; at++) {
		struct slice here = slice_make(text->bytes + at, text->size - at);
		uint64_t seconds = may_begin(text, at) ? time_s(here) : 0;

		if (seconds == 0)
			continue;
		if (seconds < VERDICT_DELAY_MIN_S)
			return VERDICT_DELAY_MIN_S;
		return seconds < VERDICT_DELAY_MAX_S ? (uint32_t)seconds : VERDICT_DELAY_MAX_S;
	}
	return 0;
}
