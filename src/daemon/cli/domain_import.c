/* domain import: many domains from a file, a line each. */
#include <errno.h>
#include <string.h>

#include "api/api.h"
#include "base/slice.h"
#include "daemon/cli.h"
#include "daemon/cli/commands.h"
#include "daemon/cli/format.h"

enum {
	LINE_MAX_BYTES = 4096,
	BATCH_BYTES = API_BODY_MAX / 4, /* of lines: as JSON they stay below the API's limit of a body */
	WRONG_SHOWN = 20,		/* lines that are said to be wrong; the rest is counted */
};

struct domain_file {
	const char *path;
	json_t *domains; /* {"name", "to"} as the API takes them */
	size_t line, wrong;
};

/* --- reading --- */

static void line_is_wrong(struct domain_file *file, const char *why)
{
	if (file->wrong++ < WRONG_SHOWN)
		(void)fprintf(stderr, "%s, line %zu: %s\n", file->path, file->line, why);
}

static bool next_word(struct slice *rest, struct slice *ret_word)
{
	static const char blanks[] = " \t,;";

	while (rest->size > 0 && strchr(blanks, rest->data[0]) != NULL)
		*rest = slice_from(*rest, 1);
	size_t size = 0;
	while (size < rest->size && strchr(blanks, rest->data[size]) == NULL)
		size++;
	*ret_word = slice_upto(*rest, size);
	*rest = slice_from(*rest, size);
	return size > 0;
}

static void take_line(struct domain_file *file, struct slice rest)
{
	struct slice name, host;
	json_t *to;

	if (!next_word(&rest, &name) || name.data[0] == '#')
		return;
	to = json_array();
	while (next_word(&rest, &host) && host.data[0] != '#')
		if (json_array_append_new(to, json_stringn(host.data, host.size)) != 0) {
			line_is_wrong(file, "a host is not UTF-8");
			json_decref(to);
			return;
		}
	if (json_array_size(to) > CLI_HOSTS_MAX) {
		line_is_wrong(file, "names more than 16 hosts");
		json_decref(to);
		return;
	}
	json_t *domain = json_pack("{s:s%,s:o}", "name", name.data, name.size, "to", to);
	if (domain == NULL)
		line_is_wrong(file, "the name is not UTF-8");
	else if (json_array_append_new(file->domains, domain) != 0)
		line_is_wrong(file, "is one too many: out of memory");
}

static void read_lines(struct domain_file *file, FILE *stream)
{
	char line[LINE_MAX_BYTES];

	while (fgets(line, sizeof(line), stream) != NULL) {
		size_t size = strcspn(line, "\r\n");
		bool bom = ++file->line == 1 && strncmp(line, "\xEF\xBB\xBF", 3) == 0;
		if (line[size] == '\0' && !feof(stream)) {
			line_is_wrong(file, "has a NUL, or more than 4095 bytes");
			return;
		}
		line[size] = '\0';
		take_line(file, slice_of(line + (bom ? 3 : 0)));
	}
}

/* True: every line is good. Else it was said what is not. */
static bool read_file(struct domain_file *file)
{
	FILE *stream = strcmp(file->path, "-") == 0 ? stdin : fopen(file->path, "re");

	if (stream == NULL) {
		(void)fprintf(stderr, "restante domain import: %s: %s\n", file->path, strerror(errno));
		return false;
	}
	read_lines(file, stream);
	bool failed = ferror(stream) != 0;
	if (failed)
		(void)fprintf(stderr, "restante domain import: %s: %s\n", file->path, strerror(errno));
	else if (file->wrong > 0)
		(void)fprintf(stderr,
			      "restante domain import: %zu of %zu lines cannot be used, nothing was added\n",
			      file->wrong, file->line);
	else if (json_array_size(file->domains) == 0)
		(void)fprintf(stderr, "restante domain import: there is no domain in %s\n", file->path);
	if (stream != stdin)
		(void)fclose(stream);
	return !failed && file->wrong == 0 && json_array_size(file->domains) > 0;
}

/* --- sending --- */

struct tally {
	size_t added, served, failed;
};

/* As many from `from` on as one request takes, as its body; NULL: no memory. */
static json_t *next_batch(const json_t *domains, size_t from, size_t *ret_to)
{
	json_t *batch = json_array();
	size_t bytes = 0, i = from;

	while (i < json_array_size(domains) && i - from < API_DOMAINS_MAX) {
		json_t *domain = json_array_get(domains, i);
		bytes += json_dumpb(domain, NULL, 0, JSON_COMPACT);
		if (i > from && bytes > BATCH_BYTES)
			break;
		if (json_array_append(batch, domain) != 0) {
			json_decref(batch);
			return NULL;
		}
		i++;
	}
	*ret_to = i;
	return json_pack("{s:o}", "domains", batch);
}

static void count_result(const json_t *result, bool quiet, struct tally *tally)
{
	const char *outcome = text_of(result, "outcome");

	if (strcmp(outcome, "added") == 0) {
		tally->added++;
	} else if (strcmp(outcome, "exists") == 0) {
		tally->served++;
	} else {
		tally->failed++;
		if (quiet)
			return;
		print_safe(stderr, text_of(result, "name"));
		(void)fprintf(stderr, ": ");
		print_safe(stderr, text_of(result, "message"));
		(void)fputc('\n', stderr);
	}
}

static bool send_batch(struct client *client, json_t *body, json_t *results, struct tally *tally)
{
	json_t *answer = body != NULL ? client_json(client, "POST", "/v1/domains", body) : NULL;
	const json_t *list = json_object_get(answer, "results");
	json_t *result;
	size_t i;

	json_array_foreach(list, i, result)
	{
		count_result(result, client->json, tally);
		if (client->json)
			(void)json_array_append(results, result);
	}
	bool ok = answer != NULL;
	json_decref(answer);
	return ok;
}

static void print_tally(const struct client *client, const json_t *results, const struct tally *tally)
{
	if (client->json) {
		(void)fputs("{\"results\":", stdout);
		(void)json_dumpf(results, stdout, JSON_COMPACT);
		(void)puts("}");
		return;
	}
	(void)printf("%zu domains added, %zu were served already (left as they are), %zu failed\n",
		     tally->added, tally->served, tally->failed);
}

static int send_all(struct client *client, const json_t *domains)
{
	size_t sent = 0, to = 0;
	struct tally tally = {0};
	json_t *results = json_array();
	bool ok = true;

	for (; ok && sent < json_array_size(domains); sent = to) {
		json_t *body = next_batch(domains, sent, &to);
		ok = send_batch(client, body, results, &tally);
		json_decref(body);
	}
	if (ok || !client->json) /* a refusal of the daemon is the answer already */
		print_tally(client, results, &tally);
	if (!ok)
		(void)fprintf(stderr,
			      "restante domain import: not finished: do it again when that is mended\n");
	json_decref(results);
	return ok && tally.failed == 0 ? CLI_OK : CLI_FAILED;
}

int run_domain_import(struct client *client, const struct arguments *arguments)
{
	struct domain_file file = {.path = arguments->words[0], .domains = json_array()};
	int status = CLI_FAILED;

	if (file.domains != NULL && read_file(&file))
		status = send_all(client, file.domains);
	json_decref(file.domains);
	return status;
}
