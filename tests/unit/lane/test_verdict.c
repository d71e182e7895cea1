#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "lane/verdict.h"
#include "lane/words.h"

/* --- connections --- */

static void connections_that_fail(void **state)
{
	static const struct {
		enum verdict_what what;
		enum lane_kind kind;
	} whats[] = {
	    {VERDICT_CONN_REFUSED, LANE_KIND_REFUSED}, {VERDICT_CONN_UNREACHABLE, LANE_KIND_REFUSED},
	    {VERDICT_CONN_TIMEOUT, LANE_KIND_TIMEOUT}, {VERDICT_CONN_RESET, LANE_KIND_RESET},
	    {VERDICT_CONN_TLS, LANE_KIND_TLS},	       {VERDICT_CONN_GARBAGE, LANE_KIND_BANNER},
	};

	for (size_t i = 0; i < sizeof(whats) / sizeof(whats[0]); i++) {
		for (int stage = VERDICT_AT_CONNECT; stage <= VERDICT_AT_BODY; stage++) {
			struct verdict_event event = {.stage = (enum verdict_stage)stage,
						      .what = whats[i].what};
			struct verdict_result result = verdict_judge(&event);

			assert_int_equal(result.verdict, VERDICT_HOST);
			assert_int_equal(result.kind, whats[i].kind);
		}
		assert_int_equal(
		    verdict_judge(&(struct verdict_event){.stage = VERDICT_AT_DOT, .what = whats[i].what})
			.verdict,
		    VERDICT_UNKNOWN);
	}
}

static void our_own_system(void **state)
{
	for (int stage = VERDICT_AT_CONNECT; stage <= VERDICT_AT_BODY; stage++) {
		struct verdict_event event = {.stage = (enum verdict_stage)stage, .what = VERDICT_CONN_LOCAL};

		assert_int_equal(verdict_judge(&event).verdict, VERDICT_LATER);
	}
	/* Past the dot the server may have it, whoever is to blame. */
	assert_int_equal(
	    verdict_judge(&(struct verdict_event){.stage = VERDICT_AT_DOT, .what = VERDICT_CONN_LOCAL})
		.verdict,
	    VERDICT_UNKNOWN);
}

/* Whatever is said, there is a verdict; and none but a 2yz or 354 is a success. */
static void every_reply_has_a_verdict(void **state)
{
	static const uint16_t classes[] = {0, 2, 4, 5};

	for (int stage = 0; stage <= VERDICT_AT_FEATURE; stage++) {
		for (uint16_t code = 100; code < 700; code++) {
			for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
				struct verdict_event event = {.stage = (enum verdict_stage)stage,
							      .code = code,
							      .class = classes[i],
							      .subject = 3};
				struct verdict_result result = verdict_judge(&event);
				bool positive = code >= 200 && code < 300 && stage != VERDICT_AT_DATA;
				bool go_on = code >= 300 && code < 400 && stage == VERDICT_AT_DATA;

				assert_int_not_equal(result.reason, REASON_NONE);
				assert_int_equal(result.verdict == VERDICT_OK,
						 stage != VERDICT_AT_FEATURE && (positive || go_on));
			}
		}
	}
}

/* Words of the table, thrown together at random, with bytes that are no text: there is always a verdict with
 * a reason, the text is not read beyond its end (it is its own allocation), and a hint keeps its bounds. */
static void any_text_has_a_verdict(void **state)
{
	static const char *const pieces[] = {"<",
					     ">",
					     "\"",
					     "@",
					     "\\",
					     " ",
					     "\n",
					     "#5.1.1",
					     "#9.9",
					     "try again in ",
					     "300",
					     " seconds",
					     "00:05",
					     ":",
					     "999999999",
					     "hours",
					     "spf",
					     "relay access denied",
					     "user unknown",
					     "mailbox",
					     "full",
					     "\xff",
					     "\x01",
					     "greylisted",
					     "listed ",
					     "at",
					     "a@b",
					     "quota"};
	struct rng rng;

	rng_init(&rng, 7);
	for (int round = 0; round < 20000; round++) {
		char text[600];
		size_t size = 0;
		uint64_t count = rng_below(&rng, 40);

		for (uint64_t i = 0; i < count; i++) {
			const char *piece = pieces[rng_below(&rng, sizeof(pieces) / sizeof(pieces[0]))];

			memcpy(text + size, piece, strlen(piece));
			size += strlen(piece);
		}
		char *exact = malloc(size > 0 ? size : 1);
		assert_non_null(exact);
		memcpy(exact, text, size);
		struct verdict_event event = {
		    .stage = (enum verdict_stage)rng_below(&rng, VERDICT_AT_FEATURE + 1),
		    .code = (uint16_t)(200 + rng_below(&rng, 400)),
		    .recipients = (uint32_t)rng_below(&rng, 3),
		    .accepted_before = (uint32_t)rng_below(&rng, 2),
		    .others_open = rng_below(&rng, 2) == 0,
		    .text = slice_make(exact, size),
		};
		struct verdict_result result = verdict_judge(&event);

		free(exact);
		assert_int_not_equal(result.reason, REASON_NONE);
		assert_true(result.delay_s == 0 ||
			    (result.delay_s >= VERDICT_DELAY_MIN_S && result.delay_s <= VERDICT_DELAY_MAX_S));
		assert_true(event.recipients > 1 || result.whole == WHOLE_NO);
	}
}

/* Every reason has a name of its own and a sentence; numbers not in use have neither. */
static void reasons(void **state)
{
	for (int i = 0; i < REASON_END; i++) {
		const char *name = verdict_reason_name((enum verdict_reason)i);

		assert_int_equal(name[0] != '\0', verdict_reason_words((enum verdict_reason)i)[0] != '\0');
		if (name[0] != '\0')
			assert_int_equal(verdict_reason_by_name(slice_of(name)), i);
	}
	assert_int_equal(verdict_reason_by_name(SLICE("no such reason")), REASON_NONE);
	assert_string_equal(verdict_reason_words((enum verdict_reason)100000), "");
	assert_string_equal(verdict_reason_words(REASON_MAILBOX_FULL),
			    "the server says that the mailbox is full");
	assert_true(verdict_reason_is_us(REASON_US_SPF) && verdict_reason_is_us(REASON_US_SPOOFING));
	assert_false(verdict_reason_is_us(REASON_SPAM));
}

static void names(void **state)
{
	assert_string_equal(lane_kind_name(LANE_KIND_NONE), "");
	assert_string_equal(lane_kind_name(LANE_KIND_452), "452");
	assert_string_equal(lane_kind_name(LANE_KIND_BANNER), "banner");
	assert_string_equal(verdict_name(VERDICT_OK), "ok");
	assert_string_equal(verdict_name(VERDICT_UNKNOWN), "unknown");
}

/* --- back-offs --- */

static void back_offs(void **state)
{
	static const struct {
		struct verdict_result result;
		int minutes[8]; /* of attempts 1, 2, ... */
	} rows[] = {
	    {{.verdict = VERDICT_RECIPIENT, .reason = REASON_MAILBOX_FULL}, {5, 10, 20, 40, 60, 60, 60, 60}},
	    {{.verdict = VERDICT_RECIPIENT, .reason = REASON_GREYLISTED}, {5, 5, 5, 5, 5, 5, 5, 5}},
	    {{.verdict = VERDICT_RECIPIENT, .kind = LANE_KIND_4XX}, {1, 2, 4, 8, 16, 30, 30, 30}},
	    {{.verdict = VERDICT_MESSAGE, .reason = REASON_SPAM}, {5, 15, 30, 60, 60, 60, 60, 60}},
	    {{.verdict = VERDICT_MESSAGE, .reason = REASON_GREYLISTED}, {5, 5, 5, 5, 5, 5, 5, 5}},
	    {{.verdict = VERDICT_REFUSED}, {2, 10, 30, 60, 60, 60, 60, 60}},
	    {{.verdict = VERDICT_DOMAIN}, {2, 10, 30, 60, 60, 60, 60, 60}},
	    {{.verdict = VERDICT_US}, {15, 15, 15, 15, 15, 15, 15, 15}},
	    {{.verdict = VERDICT_UNKNOWN}, {10, 20, 40, 80, 120, 120, 120, 120}},
	    {{.verdict = VERDICT_HOST}, {0, 0, 0, 0, 0, 0, 0, 0}},
	    {{.verdict = VERDICT_LATER}, {0, 0, 0, 0, 0, 0, 0, 0}},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct verdict_result *result = &rows[i].result;

		for (uint32_t attempt = 1; attempt <= 8; attempt++)
			assert_int_equal(verdict_backoff_ms(result, attempt),
					 (int64_t)rows[i].minutes[attempt - 1] * 60000);
		assert_int_equal(verdict_backoff_ms(result, UINT32_MAX), (int64_t)rows[i].minutes[7] * 60000);
		assert_int_equal(verdict_backoff_ms(result, 0), (int64_t)rows[i].minutes[0] * 60000);
	}
}

/* The server's hint counts three times, with greylisting always: it is the same each time there. */
static void back_offs_with_a_hint(void **state)
{
	struct verdict_result result = {
	    .verdict = VERDICT_RECIPIENT, .reason = REASON_MAILBOX_THROTTLED, .delay_s = 90};

	assert_int_equal(verdict_backoff_ms(&result, 1), 92000);
	assert_int_equal(verdict_backoff_ms(&result, 3), 92000);
	assert_int_equal(verdict_backoff_ms(&result, 4), 40 * 60000);
	result.reason = REASON_GREYLISTED;
	assert_int_equal(verdict_backoff_ms(&result, 4), 92000);
	result.verdict = VERDICT_REFUSED; /* parked as all of them */
	assert_int_equal(verdict_backoff_ms(&result, 1), 2 * 60000);
}

static void back_off_of_our_own_system(void **state)
{
	struct verdict_result result = {.verdict = VERDICT_LATER, .reason = REASON_OWN_SYSTEM};

	assert_int_equal(verdict_backoff_ms(&result, 1), 1000);
	assert_int_equal(verdict_backoff_ms(&result, 2), 2000);
	assert_int_equal(verdict_backoff_ms(&result, 6), 32000);
	assert_int_equal(verdict_backoff_ms(&result, 7), 60000);
	assert_int_equal(verdict_backoff_ms(&result, UINT32_MAX), 60000);
}

/* --- words --- */

static void words_in_a_text(void **state)
{
	static const struct {
		const char *text, *list;
		bool found;
	} rows[] = {
	    {"no PTR record", "ptr", true},
	    {"ptr", "ptr", true},
	    {"scriptreader", "ptr", false},
	    {"ptrs", "ptr", false},
	    {"ptrs", "ptr*", true},
	    {"a ptr", "x|ptr", true},
	    {"over\n quota", "over quota", true},
	    {"over quota", "over quota", true},
	    {"marble", "rbl", false},
	    {"a_rbl-b", "rbl", true},
	    {"", "ptr", false},
	    {"pt", "ptr", false},
	    {"ptr", "", false},
	    {"ptr", "|", false},
	    {"THROTTLED", "throttl*", true},
	    {"dnsbl dns", "dns", true},
	    {"mailbox of joe is full", "mailbox .. full", true},
	    {"full is the mailbox", "mailbox .. full", false},
	    {"<spf@example.com> no", "spf", false},
	    {"<spf no", "spf", true},
	    {"spf@example.com no", "spf", false},
	    {"\"spf rbl\"@example.com no", "spf|rbl|example", false},
	    {"<\"a>spf\"@b> no", "spf", false},
	    {"spf (a@b) rbl", "rbl", true},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct words_text text;

		words_clean(slice_of(rows[i].text), &text);
		if (words_any(&text, rows[i].list) != rows[i].found)
			fail_msg("\"%s\" in \"%s\"", rows[i].list, rows[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(connections_that_fail),
	    cmocka_unit_test(our_own_system),
	    cmocka_unit_test(every_reply_has_a_verdict),
	    cmocka_unit_test(any_text_has_a_verdict),
	    cmocka_unit_test(reasons),
	    cmocka_unit_test(names),
	    cmocka_unit_test(back_offs),
	    cmocka_unit_test(back_offs_with_a_hint),
	    cmocka_unit_test(back_off_of_our_own_system),
	    cmocka_unit_test(words_in_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
