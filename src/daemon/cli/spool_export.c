/* spool export: the held mail of a stopped spool, and what is kept in grace, in a form that other programs
 * read.
 *
 *   EXPORT            says what this is; written last, so that a broken export is not taken for a whole one
 *   envelopes.jsonl   one line for each message (spool_envelope.h), the held ones in the order of their ids
 *   domains.json      the domains' records, for an import
 *   mbox              mboxrd: ">" before each line that begins with any number of ">" and "From "
 *   new/, cur/, tmp/  or a Maildir
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/base32.h"
#include "daemon/cli.h"
#include "daemon/cli/commands.h"
#include "daemon/cli/format.h"
#include "daemon/cli/spool_envelope.h"
#include "daemon/cli/spool_mbox.h"
#include "store/entry.h"

struct export
{
	struct spool_tool tool;
	struct tool_domains domains;
	const char *folder;
	bool mbox;
	uint32_t domain; /* number; 0: all */
	FILE *envelopes, *mail;
	struct mbox_writer writer;
	uint64_t written, damaged, bytes;
};

static FILE *create(const struct export *x, const char *name)
{
	char path[TOOL_PATH_SIZE];

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", x->folder, name) >= sizeof(path)) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	return fopen(path, "wx");
}

static int finish(FILE *file)
{
	bool ok = file != NULL && fflush(file) == 0 && !ferror(file) && fsync(fileno(file)) == 0;

	if (file != NULL && fclose(file) != 0)
		ok = false;
	return ok ? 0 : ERR_IO;
}

/* --- one message ---------------------------------------------------------------------------------- */

static int write_mbox(void *owner, struct slice bytes)
{
	struct export *x = owner;

	return mbox_write(&x->writer, bytes);
}

static int write_plain(void *owner, struct slice bytes)
{
	struct export *x = owner;

	return fwrite(bytes.data, 1, bytes.size, x->mail) == bytes.size ? 0 : ERR_IO;
}

static int export_mbox(struct export *x, const struct store_entry *e, char *ret_file)
{
	ret_file[0] = '\0';
	int error = mbox_begin(&x->writer, e->envelope.reverse_path, e->envelope.arrival_ms);
	if (error == 0)
		error = tool_read(&x->tool, e->id, write_mbox, x);
	return error == 0 ? mbox_end(&x->writer) : error;
}

static int export_maildir(struct export *x, const struct store_entry *e, char ret_file[64])
{
	char id[BASE32_U64_SIZE + 1], name[80];

	base32_from_u64(e->id, id);
	(void)snprintf(ret_file, 64, "%lld.%s.restante", (long long)(e->envelope.arrival_ms / 1000), id);
	(void)snprintf(name, sizeof(name), "new/%s", ret_file);
	x->mail = create(x, name);
	int error = x->mail != NULL ? tool_read(&x->tool, e->id, write_plain, x) : ERR_IO;
	int closed = finish(x->mail);
	x->mail = NULL;
	return error == 0 ? closed : error;
}

static int add_envelope(struct export *x, const struct store_entry *e, const char *file)
{
	json_t *json = envelope_json(e, &x->domains, file[0] != '\0' ? file : NULL);

	if (json == NULL)
		return ERR_MEMORY;
	int result = json_dumpf(json, x->envelopes, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(json);
	return result == 0 && fputc('\n', x->envelopes) != EOF ? 0 : ERR_IO;
}

static int ignore_piece(void *owner, struct slice bytes)
{
	(void)owner;
	(void)bytes;
	return 0;
}

/* A damaged message must not leave half of itself in an mbox: it is read once before. */
static int export_message(struct export *x, const struct store_entry *e)
{
	char id[BASE32_U64_SIZE + 1], file[64];
	int error = tool_read(&x->tool, e->id, ignore_piece, NULL);

	if (error == ERR_CORRUPT) {
		base32_from_u64(e->id, id);
		(void)fprintf(stderr, "restante spool export: %s is damaged and left out\n", id);
		x->damaged++;
		return 0;
	}
	if (error == 0)
		error = x->mbox ? export_mbox(x, e, file) : export_maildir(x, e, file);
	if (error == 0)
		error = add_envelope(x, e, file);
	x->written += error == 0;
	x->bytes += e->body_bytes;
	return error;
}

/* Those of both queues are among the held. */
static bool wanted(const struct export *x, const struct store_entry *e, uint32_t queue)
{
	bool here =
	    x->domain == 0 || entry_queued_in(e, x->domain) || entry_queued_in(e, STORE_GRACE | x->domain);

	return here && (queue == 0 || entry_queued(e) == 0);
}

static int export_queue(struct export *x, uint32_t queue)
{
	struct tool_pager *pager = malloc(sizeof(*pager));
	const struct store_entry *e;
	int error = 0;

	if (pager == NULL)
		return ERR_MEMORY;
	pager_init(pager, &x->tool, queue);
	while (error == 0 && (e = pager_next(pager)) != NULL)
		if (wanted(x, e, queue))
			error = export_message(x, e);
	if (error == 0 && pager->failed)
		error = ERR_IO;
	pager_deinit(pager);
	free(pager);
	return error;
}

/* --- all of it ------------------------------------------------------------------------------------ */

static int export_domains(struct export *x)
{
	json_t *json = json_object();
	FILE *file = create(x, "domains.json");

	for (size_t i = 0; i < x->domains.count; i++)
		if (x->domain == 0 || x->domains.rows[i].number == x->domain)
			(void)json_object_set_new(json, x->domains.rows[i].name,
						  json_string(x->domains.rows[i].record));
	if (file != NULL)
		(void)json_dumpf(json, file, JSON_INDENT(1));
	json_decref(json);
	return finish(file);
}

static int write_marker(struct export *x)
{
	FILE *file = create(x, "EXPORT");
	uint64_t name[2] = {0, 0};

	if (file == NULL || getrandom(name, sizeof(name), 0) < 0)
		return finish(file);
	(void)fprintf(file, "restante export 1\nformat=%s\nmessages=%llu\nname=%016llx%016llx\n",
		      x->mbox ? "mbox" : "maildir", (unsigned long long)x->written,
		      (unsigned long long)name[0], (unsigned long long)name[1]);
	return finish(file);
}

static int make_folders(struct export *x)
{
	static const char *const names[] = {"new", "cur", "tmp"};
	char path[TOOL_PATH_SIZE];

	if (mkdir(x->folder, 0700) < 0 &&
	    (errno != EEXIST || rmdir(x->folder) < 0 || mkdir(x->folder, 0700) < 0))
		return ERR_EXISTS;
	for (size_t i = 0; i < 3 && !x->mbox; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", x->folder, names[i]);
		if (mkdir(path, 0700) < 0)
			return ERR_IO;
	}
	return 0;
}

static int export_all(struct export *x)
{
	x->envelopes = create(x, "envelopes.jsonl");
	if (x->mbox)
		x->mail = create(x, "mbox");
	if (x->envelopes == NULL || (x->mbox && x->mail == NULL))
		return ERR_IO;
	x->writer = (struct mbox_writer){.to = x->mail};
	int error = export_queue(x, 0);
	if (error == 0)
		error = export_queue(x, STORE_GRACE);
	int closed = finish(x->envelopes);
	x->envelopes = NULL;
	if (closed == 0 && x->mbox) {
		closed = finish(x->mail);
		x->mail = NULL;
	}
	if (error == 0)
		error = closed;
	if (error == 0)
		error = export_domains(x);
	if (error == 0)
		error = write_marker(x);
	return error == 0 && !tool_sync(x->folder) ? ERR_IO : error;
}

static int open_export(struct export *x, const struct arguments *a)
{
	int error = tool_open(&x->tool, a->data, TOOL_LOOK, false);

	if (error == ERR_CORRUPT || error == ERR_MISSING) { /* without an index: what the log says */
		tool_close(&x->tool);
		error = tool_open(&x->tool, a->data, TOOL_LOG, false);
		if (error == 0)
			(void)fputs(
			    "restante spool export: there is no usable index; mail that has ended may be "
			    "among what is exported\n",
			    stderr);
	}
	return error == 0 ? tool_domains_load(&x->domains, &x->tool) : error;
}

static int report(const struct export *x, int error)
{
	char bytes[FORMAT_SIZE];

	if (error != 0) {
		(void)fprintf(stderr,
			      "restante spool export: %s: %s; what is there is not whole, remove it\n",
			      x->folder, error == ERR_IO ? strerror(errno) : error_name(error));
		return CLI_FAILED;
	}
	(void)printf("%llu messages, %s, as %s in %s; their envelopes are in envelopes.jsonl\n",
		     (unsigned long long)x->written, format_bytes(x->bytes, bytes),
		     x->mbox ? "mbox" : "a Maildir", x->folder);
	return x->damaged == 0 ? CLI_OK : CLI_FAILED;
}

static int choose_domain(struct export *x, const char *name)
{
	const struct tool_domain *domain = name != NULL ? tool_domain_named(&x->domains, name) : NULL;

	if (name != NULL && domain == NULL) {
		(void)fprintf(stderr, "restante spool export: %s is not served\n", name);
		return CLI_FAILED;
	}
	x->domain = domain != NULL ? domain->number : 0;
	return CLI_OK;
}

static int run_export(struct export *x, const struct arguments *a)
{
	int error = open_export(x, a);

	if (error != 0)
		return tool_refused("spool export", &x->tool, error);
	if (choose_domain(x, a->domain) != CLI_OK)
		return CLI_FAILED;
	if (make_folders(x) != 0) {
		(void)fprintf(stderr, "restante spool export: %s: %s; name a new or an empty folder\n",
			      x->folder, strerror(errno));
		return CLI_FAILED;
	}
	return report(x, export_all(x));
}

int run_spool_export(struct client *client, const struct arguments *arguments)
{
	const char *format = arguments->format != NULL ? arguments->format : "maildir";
	struct export *x;

	(void)client;
	if (strcmp(format, "mbox") != 0 && strcmp(format, "maildir") != 0)
		return usage_error("spool export", "--format %s: wants mbox or maildir", format);
	x = calloc(1, sizeof(*x));
	if (x == NULL)
		return CLI_FAILED;
	x->folder = arguments->words[0];
	x->mbox = strcmp(format, "mbox") == 0;
	int status = run_export(x, arguments);
	tool_close(&x->tool);
	tool_domains_free(&x->domains);
	if (x->mail != NULL)
		(void)fclose(x->mail);
	if (x->envelopes != NULL)
		(void)fclose(x->envelopes);
	free(x);
	return status;
}
