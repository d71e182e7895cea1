/* queue, trace, and one message. */
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/timestamp.h"
#include "daemon/cli.h"
#include "daemon/cli/commands.h"
#include "daemon/cli/format.h"

enum { RECIPIENTS_SHOWN = 5, LIMIT_DIGITS = 24, LIMIT_MAX = 10000000 };

/* --- one message as text --- */

static void print_recipient(const json_t *recipient)
{
	(void)printf("    to ");
	print_safe(stdout, text_of(recipient, "forward_path"));
	if (strcmp(text_of(recipient, "state"), "queued") != 0)
		(void)printf(": %s", text_of(recipient, "state"));
	if (text_of(recipient, "reason")[0] != '\0') {
		(void)printf(": ");
		print_safe(stdout, text_of(recipient, "reason"));
	}
	if (text_of(recipient, "next_event")[0] != '\0') {
		(void)printf("; ");
		print_safe(stdout, text_of(recipient, "next_event"));
	}
	(void)putchar('\n');
}

static void print_head(const json_t *message)
{
	char age[FORMAT_SIZE], bytes[FORMAT_SIZE];
	const char *from = text_of(message, "reverse_path");

	(void)printf("%s  held %s, %s, from ", text_of(message, "id"),
		     format_duration((int64_t)number_of(message, "age_s"), age),
		     format_bytes((uint64_t)number_of(message, "bytes"), bytes));
	print_safe(stdout, from[0] != '\0' ? from : "<>");
	(void)putchar('\n');
}

static void print_message(const json_t *message)
{
	const json_t *recipients = json_object_get(message, "recipients"), *recipient;
	size_t i;

	print_head(message);
	json_array_foreach(recipients, i, recipient) if (i < RECIPIENTS_SHOWN) print_recipient(recipient);
	if (json_array_size(recipients) > RECIPIENTS_SHOWN)
		(void)printf("    and %zu more: `restante message show %s`\n",
			     json_array_size(recipients) - RECIPIENTS_SHOWN, text_of(message, "id"));
}

/* --- queue --- */

struct pages {
	struct client *client;
	const struct arguments *arguments;
	uint64_t left;	/* messages still wanted */
	json_t *merged; /* --json: all pages as one answer; else NULL */
	uint64_t shown;
};

static int page_target(const struct pages *pages, const char *after, struct buffer *target)
{
	const struct arguments *a = pages->arguments;
	char limit[LIMIT_DIGITS];
	bool first = true;

	(void)snprintf(limit, sizeof(limit), "%u",
		       pages->left < API_LIST_MAX ? (unsigned)pages->left : (unsigned)API_LIST_MAX);
	buffer_init(target, 0);
	int error = buffer_add(target, SLICE("/v1/queue"));
	if (error == 0)
		error = add_query(target, &first, "domain", a->word_count > 0 ? a->words[0] : NULL);
	if (error == 0)
		error = add_query(target, &first, "recipient", a->recipient);
	if (error == 0)
		error = add_query(target, &first, "sender", a->sender);
	if (error == 0)
		error = add_query(target, &first, "grace", a->grace ? "1" : NULL);
	if (error == 0)
		error = add_query(target, &first, "limit", limit);
	if (error == 0)
		error = add_query(target, &first, "after", after[0] != '\0' ? after : NULL);
	return error != 0 ? error : buffer_append(target, "", 1);
}

static void take_page(struct pages *pages, json_t *page)
{
	json_t *messages = json_object_get(page, "messages"), *message;
	size_t count = json_array_size(messages), i;

	pages->left -= count < pages->left ? count : pages->left;
	pages->shown += count;
	if (pages->merged == NULL) {
		json_array_foreach(messages, i, message) print_message(message);
		return;
	}
	(void)json_array_extend(json_object_get(pages->merged, "messages"), messages);
	(void)json_object_set(pages->merged, "more", json_object_get(page, "more"));
	(void)json_object_set(pages->merged, "next", json_object_get(page, "next"));
}

/* The next page; *after becomes where the one behind it begins, or "". False: it failed, and was said. */
static bool fetch_page(struct pages *pages, char after[LIMIT_DIGITS])
{
	struct buffer target;
	json_t *page = NULL;

	if (page_target(pages, after, &target) == 0)
		page = client_json(pages->client, "GET", buffer_slice(&target).data, NULL);
	buffer_deinit(&target);
	if (page == NULL)
		return false;
	take_page(pages, page);
	(void)snprintf(after, LIMIT_DIGITS, "%s", text_of(page, "next"));
	json_decref(page);
	return true;
}

static void print_merged(const json_t *merged)
{
	char *text = json_dumps(merged, JSON_COMPACT);

	if (text != NULL)
		(void)puts(text);
	free(text);
}

static void print_tail(const struct pages *pages, bool more)
{
	if (pages->shown == 0)
		(void)puts("nothing is held that matches");
	else if (more)
		(void)printf("and there are more: --limit %llu\n", (unsigned long long)pages->shown * 10);
}

/* False: it is no number from 1 on. */
static bool parse_limit(const struct arguments *arguments, uint64_t *ret_limit)
{
	uint64_t limit = API_LIST_DEFAULT;

	if (arguments->limit != NULL &&
	    (slice_to_u64(slice_of(arguments->limit), &limit) != 0 || limit < 1 || limit > LIMIT_MAX))
		return false;
	*ret_limit = limit;
	return true;
}

int run_queue(struct client *client, const struct arguments *arguments)
{
	struct pages pages = {.client = client, .arguments = arguments};
	char after[LIMIT_DIGITS] = "";
	bool ok;

	if (!parse_limit(arguments, &pages.left))
		return usage_error("queue", "--limit %s: wants a number from 1 on", arguments->limit);
	if (arguments->json)
		pages.merged = json_pack("{s:[]}", "messages");
	do
		ok = fetch_page(&pages, after);
	while (ok && after[0] != '\0' && pages.left > 0);
	if (ok && pages.merged != NULL)
		print_merged(pages.merged);
	else if (ok)
		print_tail(&pages, after[0] != '\0');
	json_decref(pages.merged);
	return ok ? CLI_OK : CLI_FAILED;
}

/* --- trace --- */

static void print_end(const json_t *end)
{
	char when[FORMAT_SIZE];
	const char *from = text_of(end, "reverse_path"), *id = text_of(end, "id");
	bool at_door = json_is_true(json_object_get(end, "at_door"));

	(void)printf("%s  %-13s  %s  ", format_local(text_of(end, "ended"), when), id[0] != '\0' ? id : "-",
		     at_door ? "refused at the door" : text_of(end, "state"));
	print_safe(stdout, from[0] != '\0' ? from : "<>");
	(void)printf(" -> ");
	print_safe(stdout, text_of(end, "forward_path"));
	(void)printf("\n    ");
	if (text_of(end, "relay")[0] != '\0') {
		print_safe(stdout, text_of(end, "relay"));
		(void)printf(": ");
	}
	print_safe(stdout, text_of(end, "reply"));
	(void)putchar('\n');
}

static void print_trace(const json_t *trace)
{
	const json_t *ends = json_object_get(trace, "ends"), *messages = json_object_get(trace, "messages"),
		     *item;
	size_t i;

	json_array_foreach(ends, i, item) print_end(item);
	json_array_foreach(messages, i, item) print_message(item);
	if (json_array_size(ends) + json_array_size(messages) == 0)
		(void)puts("no message matches in what is remembered (30 days)");
	if (json_is_true(json_object_get(trace, "more")))
		(void)puts("and there are more: name a sender, a recipient or --since");
}

static int trace_target(const struct arguments *a, const char *since, struct buffer *target)
{
	bool first = true;

	buffer_init(target, 0);
	int error = buffer_add(target, SLICE("/v1/trace"));
	if (error == 0)
		error = add_query(target, &first, "recipient", a->recipient);
	if (error == 0)
		error = add_query(target, &first, "sender", a->sender);
	if (error == 0)
		error = add_query(target, &first, "message_id", a->message_id);
	if (error == 0)
		error = add_query(target, &first, "since", since);
	if (error == 0)
		error = add_query(target, &first, "limit", a->limit);
	return error != 0 ? error : buffer_append(target, "", 1);
}

static int show_trace(struct client *client, const struct arguments *arguments, const char *target)
{
	if (arguments->json)
		return print_answer(client, target);
	json_t *trace = client_json(client, "GET", target, NULL);
	if (trace == NULL)
		return CLI_FAILED;
	print_trace(trace);
	json_decref(trace);
	return CLI_OK;
}

int run_trace(struct client *client, const struct arguments *arguments)
{
	char since[TIMESTAMP_SIZE];
	struct buffer target;
	int64_t since_ms;
	uint64_t limit;
	int status = CLI_FAILED;

	if (arguments->since != NULL && parse_when(arguments->since, wall_now_ms(), -1, &since_ms) != 0)
		return usage_error("trace", "--since %s: wants 2h, 3d or 2026-12-01T10:00", arguments->since);
	if (!parse_limit(arguments, &limit) || limit > API_LIST_MAX)
		return usage_error("trace", "--limit %s: wants a number from 1 to %d", arguments->limit,
				   API_LIST_MAX);
	if (arguments->since != NULL)
		(void)timestamp_format(since_ms, since);
	if (trace_target(arguments, arguments->since != NULL ? since : NULL, &target) == 0)
		status = show_trace(client, arguments, buffer_slice(&target).data);
	buffer_deinit(&target);
	return status;
}

/* --- message --- */

static void print_line(const char *name, const char *value)
{
	if (value[0] == '\0')
		return;
	(void)printf("%-12s ", name);
	print_safe(stdout, value);
	(void)putchar('\n');
}

static void print_details(const json_t *message)
{
	const json_t *client = json_object_get(message, "client"), *recipient;
	char text[FORMAT_SIZE];
	size_t i;

	print_head(message);
	print_line("arrived", format_local(text_of(message, "arrival"), text));
	print_line("message-id", text_of(message, "message_id"));
	print_line("client", text_of(client, "address"));
	print_line("client name", text_of(client, "name"));
	print_line("helo", text_of(client, "helo"));
	print_line("tls", json_is_true(json_object_get(client, "tls")) ? "yes" : "no");
	json_array_foreach(json_object_get(message, "recipients"), i, recipient)
	{
		print_recipient(recipient);
		if (text_of(recipient, "last_reply")[0] != '\0') {
			(void)printf("        last reply: ");
			print_safe(stdout, text_of(recipient, "last_reply"));
			(void)putchar('\n');
		}
	}
}

int run_message_show(struct client *client, const struct arguments *arguments)
{
	struct buffer target;
	int status = CLI_FAILED;

	if (target_of(&target, "/v1/messages/", arguments->words[0], "") == 0) {
		const char *path = buffer_slice(&target).data;
		json_t *message = arguments->json ? NULL : client_json(client, "GET", path, NULL);
		if (arguments->json)
			status = print_answer(client, path);
		else if (message != NULL)
			status = CLI_OK;
		if (message != NULL)
			print_details(message);
		json_decref(message);
	}
	buffer_deinit(&target);
	return status;
}

int run_message_cat(struct client *client, const struct arguments *arguments)
{
	struct buffer target;
	int status = CLI_FAILED;

	if (target_of(&target, "/v1/messages/", arguments->words[0], "/content") == 0 &&
	    client_stream(client, buffer_slice(&target).data, stdout) == 0)
		status = CLI_OK;
	buffer_deinit(&target);
	return status;
}

static int change_message(struct client *client, const struct arguments *arguments, const char *method,
			  const char *behind)
{
	json_t *nothing = json_object();
	struct buffer target;
	int status = CLI_FAILED;

	if (target_of(&target, "/v1/messages/", arguments->words[0], behind) == 0)
		status = change(client, arguments, method, buffer_slice(&target).data, nothing);
	buffer_deinit(&target);
	json_decref(nothing);
	return status;
}

int run_message_release(struct client *client, const struct arguments *arguments)
{
	return change_message(client, arguments, "POST", "/release");
}

int run_message_rm(struct client *client, const struct arguments *arguments)
{
	return change_message(client, arguments, "DELETE", "");
}
