/* What real servers say, from the files of tests/unit/lane/replies, and what the verdict table makes of it.
 *
 *   rcpt+accepted: 452 4.5.3 Too many recipients => later too-many-recipients
 *   ----^-------   -^-------------------------    --^-- -------^-----------
 *   stage and      the reply; "\n" is a line end   verdict, reason; "delay=SECONDS", "whole=message|address"
 *   circumstances
 *
 * Circumstances: "others" (connections of ours are open), "accepted" (the transaction has a recipient
 * already), "many" (it has several).
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lane/verdict_rules.h"

enum { LINE_MAX_BYTES = 2048, REPLIES_MIN = 500 };

static const char *folder;

struct wanted {
	char verdict[32], reason[48];
	uint32_t delay_s;
	enum verdict_whole whole;
};

struct tally {
	size_t replies, wrong;
	bool *hit; /* of each row */
};

static bool stage_by_name(struct slice name, enum verdict_stage *ret_stage)
{
	static const char *const names[] = {
	    [VERDICT_AT_CONNECT] = "connect", [VERDICT_AT_BANNER] = "banner", [VERDICT_AT_EHLO] = "ehlo",
	    [VERDICT_AT_TLS] = "tls",	      [VERDICT_AT_MAIL] = "mail",     [VERDICT_AT_RCPT] = "rcpt",
	    [VERDICT_AT_DATA] = "data",	      [VERDICT_AT_BODY] = "body",     [VERDICT_AT_DOT] = "dot",
	    [VERDICT_AT_FEATURE] = "feature",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (slice_equal(name, slice_of(names[i]))) {
			*ret_stage = (enum verdict_stage)i;
			return true;
		}
	}
	return false;
}

/* "rcpt+accepted" */
static bool read_circumstances(struct slice head, struct verdict_event *event)
{
	struct slice part;

	*event = (struct verdict_event){.what = VERDICT_REPLY, .recipients = 1};
	if (!slice_split(&head, '+', &part) || !stage_by_name(part, &event->stage))
		return false;
	while (slice_split(&head, '+', &part)) {
		if (slice_equal(part, SLICE("others")))
			event->others_open = true;
		else if (slice_equal(part, SLICE("accepted")))
			event->accepted_before = 1;
		else if (slice_equal(part, SLICE("many")))
			event->recipients = 20;
		else
			return false;
	}
	return true;
}

static uint16_t take_number(struct slice *s)
{
	uint16_t value = 0;

	while (s->size > 0 && s->data[0] >= '0' && s->data[0] <= '9') {
		value = (uint16_t)(value * 10 + (s->data[0] - '0'));
		*s = slice_from(*s, 1);
	}
	return value;
}

/* As the client machine's parser gives it: the enhanced code stands apart (proto/reply.h). */
static void read_reply(struct slice reply, struct verdict_event *event)
{
	event->code = take_number(&reply);
	reply = slice_from(reply, 1); /* ' ' or '-' */
	struct slice text = reply;
	uint16_t class = take_number(&text);
	if (text.size > 0 && text.data[0] == '.' && (class == 2 || class == 4 || class == 5)) {
		text = slice_from(text, 1);
		uint16_t subject = take_number(&text);
		if (text.size > 0 && text.data[0] == '.') {
			text = slice_from(text, 1);
			event->class = class;
			event->subject = subject;
			event->detail = take_number(&text);
			reply = slice_from(text, text.size > 0);
		}
	}
	event->text = reply;
}

static bool read_wanted(const char *tail, struct wanted *wanted)
{
	char more[2][24] = {"", ""};
	unsigned delay_s;

	memset(wanted, 0, sizeof(*wanted));
	int count = sscanf(tail, "%31s %47s %23s %23s", wanted->verdict, wanted->reason, more[0], more[1]);
	for (int i = 0; i < 2; i++) {
		if (sscanf(more[i], "delay=%u", &delay_s) == 1)
			wanted->delay_s = delay_s;
		else if (strcmp(more[i], "whole=message") == 0)
			wanted->whole = WHOLE_MESSAGE;
		else if (strcmp(more[i], "whole=address") == 0)
			wanted->whole = WHOLE_ADDRESS;
		else if (more[i][0] != '\0')
			return false;
	}
	return count >= 2;
}

/* "connection limit" is written connection-limit, since blanks separate. */
static bool same_verdict(const char *wanted, enum verdict verdict)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "%s", verdict_name(verdict));
	for (char *p = strchr(name, ' '); p != NULL; p = strchr(p, ' '))
		*p = '-';
	return strcmp(wanted, name) == 0;
}

static size_t row_of(const struct verdict_rule *rule)
{
	for (size_t i = 0; i < verdict_rule_count(); i++) {
		if (verdict_rule_at(i) == rule)
			return i;
	}
	return SIZE_MAX;
}

/* Turns "\n" in the text into line ends. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from != '\0'; from++) {
		if (from[0] == '\\' && from[1] == 'n') {
			*to++ = '\n';
			from++;
		} else {
			*to++ = *from;
		}
	}
	*to = '\0';
}

static void judge_line(const char *where, char *line, struct tally *tally)
{
	char *head_end = strstr(line, ": "), *tail = strstr(line, " => ");
	struct verdict_event event;
	struct wanted wanted;

	if (head_end == NULL || tail == NULL)
		fail_msg("%s: this line has no ': ' or ' => '", where);
	*head_end = '\0';
	*tail = '\0';
	unescape(head_end + 2);
	if (!read_circumstances(slice_of(line), &event) || !read_wanted(tail + 4, &wanted))
		fail_msg("%s: not understood", where);
	read_reply(slice_of(head_end + 2), &event);
	struct verdict_result result = verdict_judge(&event);
	size_t row = row_of(verdict_rule_for(&event));
	if (row != SIZE_MAX)
		tally->hit[row] = true;
	tally->replies++;
	if (same_verdict(wanted.verdict, result.verdict) &&
	    strcmp(wanted.reason, verdict_reason_name(result.reason)) == 0 &&
	    wanted.delay_s == result.delay_s && wanted.whole == result.whole)
		return;
	tally->wrong++;
	print_error("%s: %s: %s\n    is %s %s delay=%u whole=%d by row %zu, wanted %s %s\n", where, line,
		    head_end + 2, verdict_name(result.verdict), verdict_reason_name(result.reason),
		    result.delay_s, result.whole, row, wanted.verdict, wanted.reason);
}

static void judge_file(const char *name, struct tally *tally)
{
	char path[1024], line[LINE_MAX_BYTES], where[300];
	int number = 0;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *file = fopen(path, "re");
	if (file == NULL)
		fail_msg("%s cannot be opened", path);
	while (fgets(line, sizeof(line), file) != NULL) {
		(void)snprintf(where, sizeof(where), "%s:%d", name, ++number);
		line[strcspn(line, "\n")] = '\0';
		if (line[0] != '#' && line[0] != '\0')
			judge_line(where, line, tally);
	}
	(void)fclose(file);
}

static void judge_folder(struct tally *tally)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;

	if (dir == NULL)
		fail_msg("%s cannot be opened", folder);
	while ((entry = readdir(dir)) != NULL) {
		size_t size = strlen(entry->d_name);

		if (size > 4 && strcmp(entry->d_name + size - 4, ".txt") == 0)
			judge_file(entry->d_name, tally);
	}
	(void)closedir(dir);
}

static bool is_of_replies(const struct verdict_rule *rule)
{
	return (rule->whats & (1u << VERDICT_REPLY)) != 0;
}

static void replies_of_real_servers(void **state)
{
	struct tally tally = {.hit = calloc(verdict_rule_count(), sizeof(bool))};
	size_t idle = 0;

	assert_non_null(tally.hit);
	judge_folder(&tally);
	for (size_t i = 0; i < verdict_rule_count(); i++) {
		const struct verdict_rule *rule = verdict_rule_at(i);

		if (!is_of_replies(rule) || tally.hit[i])
			continue;
		idle++;
		print_error(
		    "row %zu (%s, %s, %s: %s) is never hit\n", i, rule->code != NULL ? rule->code : "any",
		    rule->status != NULL ? rule->status : "*", verdict_reason_name(rule->reason), rule->says);
	}
	print_message("%zu replies\n", tally.replies);
	free(tally.hit);
	assert_int_equal(tally.wrong, 0);
	assert_int_equal(idle, 0);
	assert_true(tally.replies >= REPLIES_MIN);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(replies_of_real_servers),
	};

	if (argc != 2) {
		(void)fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
		return 2;
	}
	folder = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
