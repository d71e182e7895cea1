/* A reply of a stranger's server, judged: 3 bytes choose stage and what happened, the rest is the reply's
 * line.
 *
 * Whatever it says, the result is one of those that exist, with a reason in words, and a delay within its
 * bounds; the addresses that a reply repeats do not change the verdict.
 */
#include <string.h>

#include "base/check.h"
#include "fuzz.h"
#include "lane/allow_list.h"
#include "lane/verdict.h"

enum { STAGES = VERDICT_AT_FEATURE + 1, WHATS = VERDICT_CONN_LOCAL + 1 };

static void check_result(const struct verdict_result *result)
{
	check(verdict_name(result->verdict)[0] != '\0');
	check(result->verdict == VERDICT_OK || verdict_reason_words(result->reason)[0] != '\0');
	check(verdict_reason_by_name(slice_of(verdict_reason_name(result->reason))) == result->reason);
	check(result->delay_s == 0 ||
	      (result->delay_s >= VERDICT_DELAY_MIN_S && result->delay_s <= VERDICT_DELAY_MAX_S + 2));
	for (uint32_t attempts = 1; attempts < 40; attempts++)
		check(verdict_backoff_ms(result, attempts) >= 0 &&
		      verdict_backoff_ms(result, attempts) <= INT64_C(3) * 3600 * 1000);
}

/* A server cannot make a reply mean another thing by a recipient's address: that is chosen by strangers. */
static void check_address(const struct verdict_event *event, const struct verdict_result *result)
{
	char text[4096];
	struct verdict_event other = *event;

	if (event->text.size + 64 > sizeof(text) || memchr(event->text.data, '<', event->text.size) != NULL)
		return;
	memcpy(text, "<\"relay access denied\"@spamhaus.example> ", 41);
	memcpy(text + 41, event->text.data, event->text.size);
	other.text = slice_make(text, event->text.size + 41);
	struct verdict_result again = verdict_judge(&other);
	check(again.verdict == result->verdict || event->text.size == 0 || event->text.data[0] == '@');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 3)
		return 0;
	struct slice line = slice_make(data + 3, size - 3);
	struct verdict_event event = {
	    .stage = (enum verdict_stage)(data[0] % STAGES),
	    .what = (enum verdict_what)(data[1] % WHATS),
	    .code = (uint16_t)(400 + data[2]),
	    .class = (uint16_t)(data[1] % 6),
	    .subject = (uint16_t)(data[0] / STAGES % 8),
	    .detail = (uint16_t)(data[1] / WHATS),
	    .text = line,
	    .recipients = 1u + data[0] % 3u,
	    .accepted_before = data[0] % 2u,
	    .others_open = (data[2] & 1) != 0,
	};
	struct verdict_result result = verdict_judge(&event);
	check_result(&result);
	check_address(&event, &result);
	(void)platform_of(line, line, line);
	return 0;
}
