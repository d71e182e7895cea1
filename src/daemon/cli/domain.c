/* domain add, ls, show, set, rm; hold, resume, probe, trust. */
#include <string.h>

#include "api/timestamp.h"
#include "daemon/cli.h"
#include "daemon/cli/commands.h"
#include "daemon/cli/format.h"
#include "daemon/cli/table.h"
#include "daemon/suggest.h"

/* A request that changes one domain. body is taken over. */
static int change_domain(struct client *client, const struct arguments *arguments, const char *method,
			 const char *behind, json_t *body)
{
	struct buffer target;
	int status = CLI_FAILED;

	if (target_of(&target, "/v1/domains/", arguments->words[0], behind) == 0)
		status = change(client, arguments, method, buffer_slice(&target).data, body);
	buffer_deinit(&target);
	json_decref(body);
	return status;
}

int run_domain_add(struct client *client, const struct arguments *arguments)
{
	json_t *body = json_object(), *hosts = json_array();

	for (size_t i = 0; i < arguments->to_count; i++)
		(void)json_array_append_new(hosts, json_string(arguments->to[i]));
	if (json_array_size(hosts) != arguments->to_count) {
		json_decref(hosts);
		json_decref(body);
		return usage_error("domain add", "--to wants a host in UTF-8");
	}
	(void)json_object_set_new(body, "to", hosts);
	return change_domain(client, arguments, "PUT", "", body);
}

int run_domain_rm(struct client *client, const struct arguments *arguments)
{
	return change_domain(client, arguments, "DELETE", "", NULL);
}

int run_resume(struct client *client, const struct arguments *arguments)
{
	return change_domain(client, arguments, "POST", "/resume", json_object());
}

int run_probe(struct client *client, const struct arguments *arguments)
{
	return change_domain(client, arguments, "POST", "/probe", json_object());
}

int run_trust(struct client *client, const struct arguments *arguments)
{
	return change_domain(client, arguments, "POST", "/trust", json_object());
}

int run_hold(struct client *client, const struct arguments *arguments)
{
	json_t *body = json_object();
	char text[TIMESTAMP_SIZE];
	int64_t until_ms;

	if (arguments->until != NULL) {
		if (parse_when(arguments->until, wall_now_ms(), 1, &until_ms) != 0) {
			json_decref(body);
			return usage_error("hold", "--until %s: wants 2h, 3d or 2026-12-01T10:00",
					   arguments->until);
		}
		(void)json_object_set_new(body, "until", json_string(timestamp_format(until_ms, text)));
	}
	return change_domain(client, arguments, "POST", "/hold", body);
}

/* --- set --- */

/* "30" or "30d" as a number of days; anything else goes to the daemon as it is, which says what is wrong. */
static json_t *hold_value(const char *text)
{
	struct slice days = slice_of(text);
	uint64_t count;

	if (days.size > 0 && days.data[days.size - 1] == 'd')
		days.size--;
	if (slice_to_u64(days, &count) != 0 || count > 100000)
		return json_string(text);
	return json_integer((json_int_t)count);
}

static int add_setting(json_t *body, const char *word)
{
	static const char *const keys[] = {"to", "hold", "share"};
	size_t size = strcspn(word, "=");
	char key[32];

	if (word[size] != '=' || word[size + 1] == '\0')
		return usage_error("domain set", "\"%s\": wants KEY=VALUE, as in hold=30", word);
	(void)snprintf(key, sizeof(key), "%.*s", size < sizeof(key) ? (int)size : (int)sizeof(key) - 1, word);
	if (strcmp(key, "to") != 0 && strcmp(key, "hold") != 0 && strcmp(key, "share") != 0) {
		const char *meant = suggest(key, keys, 3);
		return usage_error("domain set", "there is no setting \"%s\"; %s%s", key,
				   meant != NULL ? "did you mean " : "known are to, hold and share",
				   meant != NULL ? meant : "");
	}
	if (json_object_get(body, key) != NULL)
		return usage_error("domain set", "%s is given twice", key);
	const char *value = word + size + 1;
	(void)json_object_set_new(body, key,
				  strcmp(key, "hold") == 0 ? hold_value(value) : json_string(value));
	return CLI_OK;
}

int run_domain_set(struct client *client, const struct arguments *arguments)
{
	json_t *body = json_object();

	for (size_t i = 1; i < arguments->word_count; i++) {
		int status = add_setting(body, arguments->words[i]);
		if (status != CLI_OK) {
			json_decref(body);
			return status;
		}
	}
	return change_domain(client, arguments, "PATCH", "", body);
}

/* --- ls, show --- */

static enum table_style state_style(const char *state)
{
	if (strcmp(state, "open") == 0)
		return STYLE_GOOD;
	return strcmp(state, "refusing") == 0 ? STYLE_BAD : STYLE_WARN;
}

static void add_domain_row(struct table *table, const json_t *domain)
{
	const json_t *held = json_object_get(domain, "held");
	char text[FORMAT_SIZE];

	table_row(table);
	table_cell(table, STYLE_PLAIN, text_of(domain, "name"));
	table_cell(table, state_style(text_of(domain, "state")), text_of(domain, "state"));
	table_cell(table, STYLE_PLAIN, format_count((uint64_t)number_of(held, "messages"), text));
	table_cell(table, STYLE_PLAIN, format_bytes((uint64_t)number_of(held, "bytes"), text));
	table_cell(table, STYLE_PLAIN, text_of(domain, "destination"));
	table_cell(table, STYLE_DIM, text_of(domain, "hosts"));
}

static void print_domains(const json_t *domains)
{
	static const char *const heads[] = {"DOMAIN", "STATE", "HELD", "SIZE", "TO", "NOW"};
	struct table table;
	const json_t *domain;
	size_t i;

	if (json_array_size(domains) == 0) {
		(void)puts("no domain is served yet: `restante domain add NAME`");
		return;
	}
	table_init(&table, 6, 1u << 2 | 1u << 3);
	table_row(&table);
	for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		table_cell(&table, STYLE_DIM, heads[i]);
	json_array_foreach(domains, i, domain) add_domain_row(&table, domain);
	table_print(&table, stdout, colour_wanted(stdout));
	table_deinit(&table);
}

int run_domain_ls(struct client *client, const struct arguments *arguments)
{
	if (arguments->json)
		return print_pages(client, "/v1/domains?limit=250", "domains");
	json_t *list = client_pages(client, "/v1/domains?limit=250", "domains");
	if (list == NULL)
		return CLI_FAILED;
	print_domains(json_object_get(list, "domains"));
	json_decref(list);
	return CLI_OK;
}

static void print_line(const char *name, const char *value)
{
	if (value[0] == '\0')
		return;
	(void)printf("%-12s ", name);
	print_safe(stdout, value);
	(void)putchar('\n');
}

static void print_time(const char *name, const json_t *domain, const char *key)
{
	char text[FORMAT_SIZE];

	if (json_is_string(json_object_get(domain, key)))
		print_line(name, format_local(text_of(domain, key), text));
}

static void print_held(const json_t *held)
{
	char count[FORMAT_SIZE], bytes[FORMAT_SIZE], age[FORMAT_SIZE];

	if (number_of(held, "messages") == 0) {
		(void)printf("%-12s nothing\n", "held");
		return;
	}
	(void)printf("%-12s %s messages, %s, oldest %s\n", "held",
		     format_count((uint64_t)number_of(held, "messages"), count),
		     format_bytes((uint64_t)number_of(held, "bytes"), bytes),
		     format_duration((int64_t)number_of(held, "oldest_s"), age));
}

static void print_known(const json_t *domain)
{
	char count[FORMAT_SIZE], text[FORMAT_SIZE + 64];

	(void)snprintf(text, sizeof(text), "%s recipients, accepted by its server lately or listed",
		       format_count((uint64_t)number_of(domain, "known_recipients"), count));
	print_line("known", text);
	if (json_is_true(json_object_get(domain, "catch_all")))
		print_line("", "its server takes everybody: nobody is asked for, or refused, at our door");
}

static void print_share(const json_t *domain)
{
	char bytes[FORMAT_SIZE], text[3 * FORMAT_SIZE];

	(void)snprintf(text, sizeof(text), "%.0f %% of the spool, %s%s", number_of(domain, "share_percent"),
		       format_bytes((uint64_t)number_of(domain, "share_bytes"), bytes),
		       json_is_true(json_object_get(domain, "share_used_up"))
			   ? ": used up, senders are told to come again (452)"
			   : "");
	print_line("share", text);
}

static void print_domain(const json_t *domain)
{
	print_line("domain", text_of(domain, "name"));
	print_line("state", text_of(domain, "state"));
	print_time("since", domain, "since");
	print_time("until", domain, "resume");
	print_line("reason", text_of(domain, "reason"));
	print_held(json_object_get(domain, "held"));
	print_line("destination", text_of(domain, "destination"));
	print_line("hosts", text_of(domain, "hosts"));
	print_line("lane", text_of(domain, "lane"));
	(void)printf("%-12s %g days\n", "kept for", number_of(domain, "hold_days"));
	print_share(domain);
	print_known(domain);
	print_time("added", domain, "added");
}

int run_domain_show(struct client *client, const struct arguments *arguments)
{
	struct buffer target;
	int status = CLI_FAILED;

	if (target_of(&target, "/v1/domains/", arguments->words[0], "") == 0) {
		if (arguments->json) {
			status = print_answer(client, buffer_slice(&target).data);
		} else {
			json_t *domain = client_json(client, "GET", buffer_slice(&target).data, NULL);
			if (domain != NULL) {
				print_domain(domain);
				status = CLI_OK;
			}
			json_decref(domain);
		}
	}
	buffer_deinit(&target);
	return status;
}
