/* recipient ls, pin, unpin, import. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"
#include "daemon/cli.h"
#include "daemon/cli/commands.h"
#include "daemon/cli/format.h"
#include "proto/address.h"

enum {
	BATCH = 400, /* recipients of one request: their longest names stay below the API's limit of a body */
	LINE_MAX_BYTES = 4096,
	LOCAL_MAX = 64,
	WRONG_SHOWN = 20, /* lines that are said to be wrong; the rest is counted */
};

/* --- ls --- */

static void print_recipient(const json_t *recipient)
{
	const char *state =
	    json_is_true(json_object_get(recipient, "pinned")) ? "pinned" : text_of(recipient, "standing");
	char when[FORMAT_SIZE] = "";

	print_safe(stdout, text_of(recipient, "address"));
	(void)printf("  %s", state);
	if (json_is_string(json_object_get(recipient, "last_accepted")))
		(void)printf(", accepted %s", format_local(text_of(recipient, "last_accepted"), when));
	if (json_is_string(json_object_get(recipient, "last_refused")))
		(void)printf(", refused %s", format_local(text_of(recipient, "last_refused"), when));
	(void)putchar('\n');
}

static void print_recipients(const json_t *page)
{
	const json_t *list = json_object_get(page, "recipients"), *recipient;
	size_t i;

	json_array_foreach(list, i, recipient) print_recipient(recipient);
}

/* A page at a time: a domain may have a million. */
static int list_text(struct client *client, const char *target)
{
	struct buffer next;
	json_t *page = client_json(client, "GET", target, NULL);
	char before[CLIENT_PATH_MAX];

	(void)snprintf(before, sizeof(before), "%s&after=", target);
	if (page != NULL && json_array_size(json_object_get(page, "recipients")) == 0)
		(void)puts("nothing is known of its recipients yet");
	while (page != NULL) {
		print_recipients(page);
		bool more = json_is_string(json_object_get(page, "next"));
		int error = more ? target_of(&next, before, text_of(page, "next"), "") : 0;
		json_decref(page);
		if (!more)
			return CLI_OK;
		page = error == 0 ? client_json(client, "GET", buffer_slice(&next).data, NULL) : NULL;
		buffer_deinit(&next);
	}
	return CLI_FAILED;
}

int run_recipient_ls(struct client *client, const struct arguments *arguments)
{
	struct buffer target;
	int status = CLI_FAILED;

	if (target_of(&target, "/v1/domains/", arguments->words[0], "/recipients?limit=1000") == 0)
		status = arguments->json ? print_pages(client, buffer_slice(&target).data, "recipients")
					 : list_text(client, buffer_slice(&target).data);
	buffer_deinit(&target);
	return status;
}

/* --- pin, unpin --- */

static int vouch(struct client *client, const struct arguments *arguments, const char *command,
		 const char *address, const char *behind)
{
	const char *at = strrchr(address, '@');
	struct buffer target;
	int status = CLI_FAILED;

	if (at == NULL || at[1] == '\0')
		return usage_error(command, "\"%s\": wants an address, as in joe@example.com", address);
	json_t *body = json_pack("{s:[s]}", "recipients", address);
	if (body == NULL)
		return usage_error(command, "an address must be in UTF-8");
	if (target_of(&target, "/v1/domains/", at + 1, behind) == 0)
		status = change(client, arguments, "POST", buffer_slice(&target).data, body);
	buffer_deinit(&target);
	json_decref(body);
	return status;
}

static int vouch_all(struct client *client, const struct arguments *arguments, const char *command,
		     const char *behind)
{
	int status = CLI_OK;

	for (size_t i = 0; i < arguments->word_count && status == CLI_OK; i++)
		status = vouch(client, arguments, command, arguments->words[i], behind);
	return status;
}

int run_recipient_pin(struct client *client, const struct arguments *arguments)
{
	return vouch_all(client, arguments, "recipient pin", "/recipients/pin");
}

int run_recipient_unpin(struct client *client, const struct arguments *arguments)
{
	return vouch_all(client, arguments, "recipient unpin", "/recipients/unpin");
}

/* --- import --- */

struct list_file {
	const char *path, *domain;
	json_t *names; /* local parts */
	size_t line, wrong;
};

static void line_is_wrong(struct list_file *file, struct slice text, const char *why)
{
	if (file->wrong++ >= WRONG_SHOWN)
		return;
	char shown[100];

	(void)snprintf(shown, sizeof(shown), "%.*s", SLICE_ARG(text));
	(void)fprintf(stderr, "%s, line %zu: \"", file->path, file->line);
	print_safe(stderr, shown);
	(void)fprintf(stderr, "\" %s\n", why);
}

/* The first field of a line: bare, or in quotes with each quote within it doubled (RFC 4180). False: it is no
 * field. */
static bool first_field(char *line, struct slice *ret_field)
{
	struct slice rest = slice_trim(slice_of(line));
	char *to = line;

	if (rest.size == 0 || rest.data[0] != '"') {
		size_t comma = slice_find(rest, ','), semicolon = slice_find(rest, ';');
		*ret_field = slice_trim(slice_upto(rest, comma < semicolon ? comma : semicolon));
		return true;
	}
	for (const char *from = rest.data + 1; *from != '\0'; from++) {
		if (*from == '"' && from[1] != '"') {
			*ret_field = slice_make(line, (size_t)(to - line));
			rest = slice_trim(slice_of(from + 1));
			return rest.size == 0 || rest.data[0] == ',' || rest.data[0] == ';';
		}
		from += *from == '"';
		*to++ = *from;
	}
	return false;
}

/* A line of words is the head of a table, when it is the first. */
static bool is_head(const struct list_file *file, struct slice field)
{
	static const char *const heads[] = {
	    "address",	     "email",	  "e-mail",  "mail",  "emailaddress",
	    "user",	     "recipient", "mailbox", "local", "primarysmtpaddress",
	    "email address", "name"};

	for (size_t i = 0; file->line == 1 && i < sizeof(heads) / sizeof(heads[0]); i++)
		if (slice_equal_nocase(field, slice_of(heads[i])))
			return true;
	return false;
}

/* What is wrong with it, or NULL with its local part. */
static const char *local_part(const struct list_file *file, struct slice field, struct slice *ret_local)
{
	char path[LINE_MAX_BYTES + 512];
	struct mailbox mailbox;
	bool bare = slice_find(field, '@') == field.size;

	(void)snprintf(path, sizeof(path), "%.*s%s%s", SLICE_ARG(field), bare ? "@" : "",
		       bare ? file->domain : "");
	if (address_parse(slice_of(path), true, &mailbox) != 0)
		return "is no address";
	if (!slice_equal_nocase(mailbox.domain, slice_of(file->domain)))
		return "is of another domain";
	if (mailbox.local_part.size > LOCAL_MAX)
		return "is too long to be remembered (64 bytes before the @)";
	*ret_local = slice_upto(field, mailbox.local_part.size);
	return NULL;
}

static void take_line(struct list_file *file, char *line)
{
	struct slice field, local;

	if (file->line == 1 && strncmp(line, "\xEF\xBB\xBF", 3) == 0) /* what Excel begins a file with */
		line += 3;
	if (!first_field(line, &field)) {
		line_is_wrong(file, slice_of(line), "has a quote that does not end");
		return;
	}
	if (field.size == 0 || field.data[0] == '#' || is_head(file, field))
		return;
	const char *wrong = local_part(file, field, &local);
	if (wrong != NULL) {
		line_is_wrong(file, field, wrong);
		return;
	}
	json_t *name = json_stringn(local.data, local.size);
	if (name == NULL)
		line_is_wrong(file, field, "is not UTF-8");
	else if (json_array_append_new(file->names, name) != 0)
		line_is_wrong(file, field, "is one too many: out of memory");
}

/* True: every line is good. Else it was said what is not. */
static bool read_list(struct list_file *file)
{
	char line[LINE_MAX_BYTES];
	FILE *stream = strcmp(file->path, "-") == 0 ? stdin : fopen(file->path, "re");

	if (stream == NULL) {
		(void)fprintf(stderr, "restante recipient import: %s: %s\n", file->path, strerror(errno));
		return false;
	}
	while (fgets(line, sizeof(line), stream) != NULL) {
		size_t size = strcspn(line, "\r\n");
		file->line++;
		if (line[size] == '\0' && !feof(stream)) {
			line_is_wrong(file, SLICE(""), "has a NUL, or more than 4095 bytes");
			break;
		}
		line[size] = '\0';
		take_line(file, line);
	}
	bool failed = ferror(stream) != 0;
	if (failed)
		(void)fprintf(stderr, "restante recipient import: %s: %s\n", file->path, strerror(errno));
	if (stream != stdin)
		(void)fclose(stream);
	return !failed && file->wrong == 0;
}

static bool send_batch(struct client *client, const char *target, json_t *names, size_t from, size_t to)
{
	json_t *batch = json_array();
	bool ok = batch != NULL;

	for (size_t i = from; ok && i < to; i++)
		ok = json_array_append(batch, json_array_get(names, i)) == 0;
	json_t *body = ok ? json_pack("{s:O}", "recipients", batch) : NULL;
	json_t *answer = body != NULL ? client_json(client, "POST", target, body) : NULL;
	ok = answer != NULL;
	json_decref(answer);
	json_decref(body);
	json_decref(batch);
	return ok;
}

static int send_list(struct client *client, const struct arguments *arguments, json_t *names,
		     const char *target)
{
	size_t count = json_array_size(names), sent = 0;

	while (sent < count) {
		size_t to = count - sent < BATCH ? count : sent + BATCH;
		if (!send_batch(client, target, names, sent, to)) {
			if (sent > 0)
				(void)fprintf(stderr,
					      "restante recipient import: %zu of %zu recipients are listed; "
					      "do it again when that is mended: those who are stay so\n",
					      sent, count);
			return CLI_FAILED;
		}
		sent = to;
	}
	if (arguments->json)
		(void)printf("{\"imported\":%zu}\n", count);
	else
		(void)printf("recipients of %s listed, not refused at our door: %zu\n", arguments->words[0],
			     count);
	return CLI_OK;
}

/* Nothing is sent before the whole list was read and found good. */
int run_recipient_import(struct client *client, const struct arguments *arguments)
{
	struct list_file file = {
	    .path = arguments->words[1], .domain = arguments->words[0], .names = json_array()};
	struct buffer target;
	int status = CLI_FAILED;

	if (file.names == NULL)
		return CLI_FAILED;
	if (!read_list(&file)) {
		if (file.wrong > 0)
			(void)fprintf(stderr,
				      "restante recipient import: %zu of %zu lines cannot be used, "
				      "nothing was changed\n",
				      file.wrong, file.line);
	} else if (json_array_size(file.names) == 0) {
		(void)fprintf(stderr, "restante recipient import: there is no address in %s\n", file.path);
	} else {
		if (target_of(&target, "/v1/domains/", file.domain, "/recipients/import") == 0)
			status = send_list(client, arguments, file.names, buffer_slice(&target).data);
		buffer_deinit(&target);
	}
	json_decref(file.names);
	return status;
}
