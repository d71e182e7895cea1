/* spool check: what is in a stopped spool, what is damaged, and what to do. Changes nothing. */
#include <stdlib.h>
#include <string.h>

#include "api/timestamp.h"
#include "base/base32.h"
#include "daemon/cli.h"
#include "daemon/cli/commands.h"
#include "daemon/cli/format.h"
#include "daemon/cli/spool_compare.h"

enum {
	NAMES_MAX = 20 /* of damaged messages that are listed for people; --json has 1000 */,
	JSON_NAMES_MAX = 1000
};

static const char *const kinds[SPOOL_RECORD_KINDS] = {NULL,    "body",	"end",	"amend",     "pair",  "note",
						      "abort", "aside", "move", "pair_move", "forget"};

struct check {
	struct spool_tool index, log; /* as it is; as the log alone tells */
	struct spool_tool *view;      /* of the two, what the daemon would see */
	const char *index_state;      /* "good", "missing", "unusable", "disagrees" */
	struct comparison comparison;
	struct tool_domains domains;
	json_t *damaged, *aside, *pieces; /* arrays */
	uint64_t damaged_count, aside_count, piece_count;
	bool torn;
	int error;
};

/* --- looking ------------------------------------------------------------------------------------- */

static int open_both(struct check *c, const char *data)
{
	int error = tool_open(&c->index, data, TOOL_LOOK, false);

	c->index_state = error == ERR_CORRUPT ? "unusable" : error == ERR_MISSING ? "missing" : "good";
	c->view = error == 0 ? &c->index : &c->log;
	if (error != 0 && error != ERR_CORRUPT && error != ERR_MISSING)
		return tool_refused("spool check", &c->index, error);
	error = tool_open(&c->log, data, TOOL_LOG, c->view == &c->index);
	return error == 0 ? CLI_OK : tool_refused("spool check", &c->log, error);
}

static json_t *json_text(struct slice text)
{
	json_t *value = json_stringn(text.data != NULL ? text.data : "", text.size);

	return value != NULL ? value : json_string("?");
}

static json_t *describe(const struct store_entry *e)
{
	char id[BASE32_U64_SIZE + 1], when[TIMESTAMP_SIZE];
	json_t *recipients = json_array();

	base32_from_u64(e->id, id);
	for (uint32_t i = 0; i < e->envelope.recipient_count && i < NAMES_MAX; i++)
		(void)json_array_append_new(recipients, json_text(e->envelope.recipients[i].forward_path));
	return json_pack("{s:s,s:s,s:I,s:o,s:o,s:o}", "id", id, "arrival",
			 timestamp_format(e->envelope.arrival_ms, when), "bytes", (json_int_t)e->body_bytes,
			 "reverse_path", json_text(e->envelope.reverse_path), "recipients", recipients,
			 "message_id", json_text(e->envelope.message_id));
}

static void list_one(json_t *list, uint64_t *count, json_t *what)
{
	if ((*count)++ < JSON_NAMES_MAX)
		(void)json_array_append(list, what);
	json_decref(what);
}

static int ignore_piece(void *owner, struct slice bytes)
{
	(void)owner;
	(void)bytes;
	return 0;
}

/* Each byte of each held message, with its checksums. */
static int read_bodies(struct check *c)
{
	struct tool_pager *pager = malloc(sizeof(*pager));
	const struct store_entry *e;
	int error = 0;

	if (pager == NULL)
		return ERR_MEMORY;
	pager_init(pager, c->view, 0);
	while (error == 0 && (e = pager_next(pager)) != NULL) {
		error = tool_read(c->view, e->id, ignore_piece, NULL);
		if (error == ERR_CORRUPT || error == ERR_IO) {
			list_one(c->damaged, &c->damaged_count, describe(e));
			error = 0;
		}
	}
	if (error == 0 && pager->failed)
		error = ERR_IO;
	pager_deinit(pager);
	free(pager);
	return error;
}

static void take_aside(void *owner, const struct store_entry *entry)
{
	struct check *c = owner;

	list_one(c->aside, &c->aside_count, describe(entry));
}

static void list_pieces(struct check *c)
{
	size_t known = c->log.report_count < TOOL_REPORTS_MAX ? c->log.report_count : TOOL_REPORTS_MAX;

	for (size_t i = 0; i < known; i++) {
		const struct tool_report *r = &c->log.reports[i];
		c->torn = c->torn || r->event == SPOOL_EVENT_TORN;
		if (r->event == SPOOL_EVENT_ASIDE && r->segment != 0 && r->id == 0)
			list_one(c->pieces, &c->piece_count,
				 json_pack("{s:I,s:I}", "segment", (json_int_t)r->segment, "offset",
					   (json_int_t)r->offset));
	}
	c->piece_count += c->log.report_count - known;
}

static int look(struct check *c)
{
	int error = 0;

	list_pieces(c);
	if (c->view == &c->index)
		error = compare_index(&c->index, &c->log, &c->comparison);
	if (c->comparison.index_only_count + c->comparison.different + comparison_unknown(&c->comparison) > 0)
		c->index_state = "disagrees";
	if (error == 0)
		error = tool_domains_load(&c->domains, c->view);
	if (error == 0)
		error = read_bodies(c);
	return error == 0 ? spool_asides(c->view->store, take_aside, c) : error;
}

/* --- saying --------------------------------------------------------------------------------------- */

static bool in_order(const struct check *c)
{
	return c->damaged_count + c->aside_count + c->piece_count == 0 && strcmp(c->index_state, "good") == 0;
}

static json_t *counts_json(const struct store_counts *counts)
{
	return json_pack("{s:I,s:I,s:I}", "messages", (json_int_t)counts->messages, "recipients",
			 (json_int_t)counts->recipients, "bytes", (json_int_t)counts->bytes);
}

static json_t *domains_json(struct check *c)
{
	json_t *domains = json_object();
	struct store_counts counts;

	for (size_t i = 0; i < c->domains.count; i++) {
		const struct tool_domain *d = &c->domains.rows[i];
		c->view->store->ops->count(c->view->store, d->number, &counts);
		(void)json_object_set_new(domains, d->name, counts_json(&counts));
	}
	return domains;
}

static json_t *records_json(const struct spool_state *state)
{
	json_t *records = json_object();

	for (size_t i = 0; i < SPOOL_RECORD_KINDS; i++)
		if (kinds[i] != NULL)
			(void)json_object_set_new(records, kinds[i],
						  json_integer((json_int_t)state->records[i]));
	return records;
}

static json_t *index_json(const struct check *c)
{
	return json_pack("{s:s,s:I,s:I,s:I,s:I}", "state", c->index_state, "log_alone_would_return",
			 (json_int_t)comparison_ended(&c->comparison), "unknown_to_index",
			 (json_int_t)comparison_unknown(&c->comparison), "unknown_to_log",
			 (json_int_t)c->comparison.index_only_count, "different",
			 (json_int_t)c->comparison.different);
}

static void advise(const struct check *c, json_t *to)
{
	if (c->damaged_count > 0)
		(void)json_array_append_new(
		    to, json_string(
			    "held messages are damaged: the daemon will set them aside when it reads them; "
			    "restore them from a backup if you have one"));
	if (c->aside_count > 0)
		(void)json_array_append_new(
		    to, json_string(
			    "messages are set aside: `restante spool forget ID` (or --all) gives their space "
			    "back when you have looked at them"));
	if (c->piece_count > 0)
		(void)json_array_append_new(
		    to,
		    json_string(
			"the log is damaged: look at the disk (dmesg, smartctl). The pieces go with their "
			"segments when those are freed"));
	if (strcmp(c->index_state, "missing") == 0 || strcmp(c->index_state, "unusable") == 0)
		(void)json_array_append_new(to,
					    json_string("the next start makes the index again from the log; "
							"mail that has ended may come back"));
	if (strcmp(c->index_state, "disagrees") == 0)
		(void)json_array_append_new(
		    to,
		    json_string("index and log disagree: `restante spool export DIR` first, to be safe, then "
				"`restante spool rebuild`"));
}

static json_t *report_json(struct check *c)
{
	struct spool_state log, view;
	struct store_counts held;
	json_t *advice = json_array();

	spool_state(c->log.store, &log);
	spool_state(c->view->store, &view);
	c->view->store->ops->count(c->view->store, 0, &held);
	advise(c, advice);
	return json_pack("{s:s,s:b,s:{s:I,s:I,s:I,s:o,s:b},s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "spool",
			 c->view->path, "ok", in_order(c), "log", "segments", (json_int_t)log.segments,
			 "bytes", (json_int_t)log.file_bytes, "live_bytes", (json_int_t)view.live_bytes,
			 "records", records_json(&log), "torn", c->torn, "index", index_json(c), "held",
			 counts_json(&held), "domains", domains_json(c), "damaged", json_incref(c->damaged),
			 "set_aside", json_incref(c->aside), "pieces", json_incref(c->pieces), "advice",
			 advice);
}

static void print_counts(const char *name, const json_t *counts)
{
	char messages[FORMAT_SIZE], recipients[FORMAT_SIZE], bytes[FORMAT_SIZE];

	(void)printf("%-9s %s messages, %s recipients, %s\n", name,
		     format_count((uint64_t)number_of(counts, "messages"), messages),
		     format_count((uint64_t)number_of(counts, "recipients"), recipients),
		     format_bytes((uint64_t)number_of(counts, "bytes"), bytes));
}

static void print_log(const json_t *log)
{
	char bytes[FORMAT_SIZE], live[FORMAT_SIZE], count[FORMAT_SIZE];
	const char *kind, *before = "";
	json_t *number;

	(void)printf("log       %d segments, %s, of which %s live\n          ",
		     (int)number_of(log, "segments"), format_bytes((uint64_t)number_of(log, "bytes"), bytes),
		     format_bytes((uint64_t)number_of(log, "live_bytes"), live));
	json_object_foreach(json_object_get(log, "records"), kind, number)
	{
		if (json_integer_value(number) == 0)
			continue;
		(void)printf("%s%s %s", before, format_count((uint64_t)json_integer_value(number), count),
			     kind);
		before = ", ";
	}
	(void)printf("%s\n", before[0] != '\0' ? "" : "no records");
	if (json_is_true(json_object_get(log, "torn")))
		(void)puts(
		    "          a write that a crash ended is incomplete: nobody was told that it was done");
}

static void print_index(const json_t *index)
{
	static const char *const names[] = {"unknown_to_log", "unknown_to_index", "different"};
	static const char *const words[] = {"held messages of which the log has no record",
					    "messages in the log that the index does not know",
					    "messages whose sizes or recipients differ"};

	(void)printf("index     %s\n", strcmp(text_of(index, "state"), "good") == 0
					   ? "good: it agrees with the log"
					   : text_of(index, "state"));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (number_of(index, names[i]) > 0)
			(void)printf("          %.0f %s\n", number_of(index, names[i]), words[i]);
	if (number_of(index, "log_alone_would_return") > 0)
		(void)printf("          from the log alone, %.0f messages that have ended would come back\n",
			     number_of(index, "log_alone_would_return"));
}

static void print_list(const char *title, const json_t *list, uint64_t count)
{
	const json_t *message;
	size_t i;

	if (count == 0)
		return;
	(void)printf("%s %llu\n", title, (unsigned long long)count);
	json_array_foreach(list, i, message)
	{
		if (i == NAMES_MAX) {
			(void)puts("          ... (--json lists more)");
			break;
		}
		(void)printf("  %s  %.0f B  ", text_of(message, "id"), number_of(message, "bytes"));
		print_safe(stdout, text_of(message, "reverse_path"));
		(void)printf(" -> ");
		print_safe(stdout,
			   json_string_value(json_array_get(json_object_get(message, "recipients"), 0)));
		(void)putchar('\n');
	}
}

static void print_report(const struct check *c, const json_t *report)
{
	const json_t *domains = json_object_get(report, "domains"), *piece, *line;
	const char *name;
	json_t *counts;
	size_t i;

	(void)printf("spool     %s\n", c->view->path);
	print_log(json_object_get(report, "log"));
	print_index(json_object_get(report, "index"));
	print_counts("held", json_object_get(report, "held"));
	json_object_foreach((json_t *)domains, name, counts) if (number_of(counts, "messages") > 0)
	{
		(void)printf("  ");
		print_counts(name, counts);
	}
	print_list("damaged  ", c->damaged, c->damaged_count);
	print_list("set aside", c->aside, c->aside_count);
	if (c->piece_count > 0)
		(void)printf("pieces    %llu of the log cannot be read\n",
			     (unsigned long long)c->piece_count);
	json_array_foreach(c->pieces, i, piece) if (i < NAMES_MAX)(void)
	    printf("  segment %016llx from byte %.0f on\n",
		   (unsigned long long)json_integer_value(json_object_get(piece, "segment")),
		   number_of(piece, "offset"));
	json_array_foreach(json_object_get(report, "advice"), i, line)(void)
	    printf("to do     %s\n", json_string_value(line));
	if (in_order(c))
		(void)puts("Everything is in order.");
}

static int say(struct check *c, bool json)
{
	json_t *report = report_json(c);

	if (report == NULL)
		return CLI_FAILED;
	if (json) {
		(void)json_dumpf(report, stdout, JSON_COMPACT);
		(void)putchar('\n');
	} else {
		print_report(c, report);
	}
	json_decref(report);
	return in_order(c) ? CLI_OK : CLI_FAILED;
}

int spool_check(const char *data, bool json)
{
	struct check *c = calloc(1, sizeof(*c));
	int status;

	if (c == NULL)
		return CLI_FAILED;
	c->damaged = json_array();
	c->aside = json_array();
	c->pieces = json_array();
	status = open_both(c, data);
	if (status == CLI_OK) {
		int error = look(c);
		status = error == 0 ? say(c, json) : tool_refused("spool check", c->view, error);
	}
	tool_close(&c->log);
	tool_close(&c->index);
	comparison_free(&c->comparison);
	tool_domains_free(&c->domains);
	json_decref(c->damaged);
	json_decref(c->aside);
	json_decref(c->pieces);
	free(c);
	return status;
}

int run_spool_check(struct client *client, const struct arguments *arguments)
{
	(void)client;
	return spool_check(arguments->data, arguments->json);
}
