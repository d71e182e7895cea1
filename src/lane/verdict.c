#include "lane/verdict.h"

#include "base/check.h"
#include "lane/delay_hint.h"
#include "lane/verdict_rules.h"
#include "lane/words.h"

/* pattern: "5.1.1" or "*.2.*"; a part is '*' or a number. */
static bool status_is(struct slice pattern, const struct verdict_event *event)
{
	const uint16_t parts[] = {event->class, event->subject, event->detail};
	struct slice part;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		uint64_t number;

		if (!slice_split(&pattern, '.', &part))
			return false;
		if (slice_equal(part, SLICE("*")))
			continue;
		if (slice_to_u64(part, &number) != 0 || number != parts[i])
			return false;
	}
	return true;
}

static bool status_matches(const char *patterns, const struct verdict_event *event)
{
	struct slice rest = slice_of(patterns), pattern;

	if (patterns == NULL)
		return true;
	if (*patterns == '-')
		return event->class == 0;
	while (event->class != 0 && slice_split(&rest, '|', &pattern)) {
		if (status_is(pattern, event))
			return true;
	}
	return false;
}

/* pattern: "421", "4xx". */
static bool code_is(struct slice pattern, uint16_t code)
{
	for (size_t i = pattern.size; i > 0; i--, code /= 10) {
		char c = pattern.data[i - 1];

		if (c != 'x' && c != (char)('0' + code % 10))
			return false;
	}
	return code == 0;
}

static bool code_matches(const char *patterns, const struct verdict_event *event)
{
	struct slice rest = slice_of(patterns), pattern;

	if (patterns == NULL || event->what != VERDICT_REPLY)
		return true;
	while (slice_split(&rest, '|', &pattern)) {
		if (code_is(pattern, event->code))
			return true;
	}
	return false;
}

static bool condition_holds(enum verdict_condition when, const struct verdict_event *event)
{
	switch (when) {
	case WHEN_ALWAYS:
		return true;
	case WHEN_OTHERS_OPEN:
		return event->others_open;
	case WHEN_SOME_ACCEPTED:
		return event->accepted_before > 0;
	}
	check_never();
}

static bool rule_matches(const struct verdict_rule *rule, const struct verdict_event *event,
			 const struct words_text *text)
{
	if ((rule->stages & (1u << event->stage)) == 0 || (rule->whats & (1u << event->what)) == 0)
		return false;
	if (!condition_holds(rule->when, event) || !code_matches(rule->code, event) ||
	    !status_matches(rule->status, event))
		return false;
	return rule->words == NULL || words_any(text, rule->words);
}

static bool take_part(struct slice *s, uint16_t *ret_part)
{
	uint16_t value = 0;
	size_t size = 0;

	for (; size < s->size && size < 3 && s->data[size] >= '0' && s->data[size] <= '9'; size++)
		value = (uint16_t)(value * 10 + (s->data[size] - '0'));
	*s = slice_from(*s, size);
	*ret_part = value;
	return size > 0;
}

static bool take_dot(struct slice *s)
{
	bool dot = s->size > 0 && s->data[0] == '.';

	*s = slice_from(*s, dot);
	return dot;
}

/* qmail ("no mailbox here by that name. (#5.1.1)") and Cisco write the enhanced code into the text. */
static void find_status(struct verdict_event *event, const struct words_text *text)
{
	struct slice s = slice_make(text->bytes, text->size);
	uint16_t class, subject, detail;

	s = slice_from(s, slice_find(s, '#') + 1);
	if (!take_part(&s, &class) || !take_dot(&s) || !take_part(&s, &subject) || !take_dot(&s) ||
	    !take_part(&s, &detail) || class != event->code / 100)
		return;
	event->class = class;
	event->subject = subject;
	event->detail = detail;
}

static const struct verdict_rule *rule_for(const struct verdict_event *said, const struct words_text *text)
{
	struct verdict_event full = *said, *event = &full;

	if (event->class == 0)
		find_status(event, text);
	for (size_t i = 0; i < verdict_rule_count(); i++) {
		if (rule_matches(verdict_rule_at(i), event, text))
			return verdict_rule_at(i);
	}
	return NULL;
}

const struct verdict_rule *verdict_rule_for(const struct verdict_event *event)
{
	struct words_text text;

	words_clean(event->text, &text);
	return rule_for(event, &text);
}

static bool is_about_mail(enum verdict verdict)
{
	return verdict == VERDICT_DOMAIN || verdict == VERDICT_REFUSED || verdict == VERDICT_RECIPIENT ||
	       verdict == VERDICT_MESSAGE || verdict == VERDICT_US;
}

/* RECOVERY §1.5: a refusal after the envelope proves nothing about any one of several recipients. */
static enum verdict_whole whole_of(const struct verdict_rule *rule, const struct verdict_event *event)
{
	bool late = event->stage == VERDICT_AT_DATA || event->stage == VERDICT_AT_BODY ||
		    event->stage == VERDICT_AT_DOT;

	if (!late || event->recipients < 2 || !is_about_mail(rule->verdict))
		return WHOLE_NO;
	if (rule->verdict == VERDICT_US)
		return WHOLE_MESSAGE;
	bool of_the_message = rule->reason >= REASON_SENDER_REFUSED && rule->reason < REASON_MESSAGE_DEFERRED;
	return of_the_message ? WHOLE_MESSAGE : WHOLE_ADDRESS;
}

static bool takes_hint(const struct verdict_rule *rule, const struct verdict_event *event)
{
	bool transient = event->what == VERDICT_REPLY && event->code >= 400 && event->code < 500;

	return rule->verdict == VERDICT_REFUSED || rule->verdict == VERDICT_RATE ||
	       (transient && (rule->verdict == VERDICT_RECIPIENT || rule->verdict == VERDICT_MESSAGE));
}

struct verdict_result verdict_judge(const struct verdict_event *event)
{
	struct words_text text;

	words_clean(event->text, &text);
	const struct verdict_rule *rule = rule_for(event, &text);
	if (rule == NULL) /* only a code beyond 599 comes here */
		return (struct verdict_result){
		    .verdict = VERDICT_HOST, .kind = LANE_KIND_BANNER, .reason = REASON_NOT_SMTP};
	return (struct verdict_result){
	    .verdict = rule->verdict,
	    .kind = rule->kind,
	    .reason = rule->reason,
	    .whole = whole_of(rule, event),
	    .delay_s = takes_hint(rule, event) ? delay_hint_s(&text) : 0,
	};
}

const char *verdict_name(enum verdict verdict)
{
	static const char *const names[] = {"ok",   "host",   "connection limit", "rate",      "pressure",
					    "busy", "domain", "refused",	  "recipient", "message",
					    "us",   "later",  "unknown"};

	check((unsigned)verdict < sizeof(names) / sizeof(names[0]));
	return names[verdict];
}

const char *lane_kind_name(enum lane_kind kind)
{
	static const char *const names[] = {"",	   "refused", "timeout", "reset", "421",   "4xx",
					    "452", "rate",    "dns",	 "tls",	  "banner"};

	check((unsigned)kind < sizeof(names) / sizeof(names[0]));
	return names[kind];
}
