#include "daemon/cli/spool_tool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/cli.h"
#include "store/entry.h"

/* --- opening ------------------------------------------------------------------------------------- */

static void take_report(void *owner, const struct spool_report *report)
{
	struct spool_tool *tool = owner;

	if (report->event == SPOOL_EVENT_REBUILT || report->event == SPOOL_EVENT_DEAD)
		return;
	if (tool->report_count < TOOL_REPORTS_MAX)
		tool->reports[tool->report_count] = (struct tool_report){.event = report->event,
									 .id = report->id,
									 .segment = report->segment,
									 .offset = report->offset};
	tool->report_count++;
}

/* A data folder has the spool in it; a folder without one may be a spool itself. */
static void find_spool(struct spool_tool *tool, const char *data)
{
	struct stat status;

	(void)snprintf(tool->path, sizeof(tool->path), "%s/spool", data);
	if (stat(tool->path, &status) == 0)
		return;
	(void)snprintf(tool->path, sizeof(tool->path), "%s/VERSION", data);
	if (stat(tool->path, &status) == 0)
		(void)snprintf(tool->path, sizeof(tool->path), "%s", data);
	else
		(void)snprintf(tool->path, sizeof(tool->path), "%s/spool", data);
}

static int make_index_folder(struct spool_tool *tool)
{
	const char *folder = getenv("TMPDIR");

	if (tool->mode == TOOL_REBUILD) {
		int size = snprintf(tool->index_path, sizeof(tool->index_path), "%s/index.new", tool->path);
		if ((size_t)size >= sizeof(tool->index_path))
			return ERR_LIMIT;
		tool_remove_tree(tool->index_path);
		return 0;
	}
	(void)snprintf(tool->index_path, sizeof(tool->index_path), "%s/restante-check-XXXXXX",
		       folder != NULL && folder[0] != '\0' ? folder : "/var/tmp");
	if (mkdtemp(tool->index_path) != NULL)
		return 0;
	(void)snprintf(tool->message, sizeof(tool->message), "no temporary folder: %s; set TMPDIR",
		       strerror(errno));
	tool->index_path[0] = '\0';
	return ERR_IO;
}

int tool_open(struct spool_tool *tool, const char *data, enum tool_mode mode, bool again)
{
	struct spool_config config = {
	    .path = tool->path,
	    .read_only = mode == TOOL_LOOK || mode == TOOL_LOG,
	    .index_unsynced = mode == TOOL_LOG,
	    .keep_files = mode == TOOL_REBUILD,
	    .unlocked = again,
	    .report = take_report,
	    .report_owner = tool,
	    .slack_bytes = UINT64_MAX / 4, /* nothing is compacted */
	};
	int error = 0;

	*tool = (struct spool_tool){.mode = mode};
	find_spool(tool, data);
	if (access(tool->path, F_OK) < 0) {
		(void)snprintf(tool->message, sizeof(tool->message), "%s: %s", data, strerror(errno));
		return ERR_MISSING;
	}
	if (mode == TOOL_LOG || mode == TOOL_REBUILD) {
		error = make_index_folder(tool);
		config.index_path = tool->index_path;
	}
	if (getrandom(&config.seed, sizeof(config.seed), 0) < 0)
		config.seed = 1;
	return error == 0 ? spool_open(&config, &tool->store, tool->message) : error;
}

void tool_close(struct spool_tool *tool)
{
	if (tool->store != NULL) {
		tool->store->ops->close(tool->store);
		if (tool->mode == TOOL_CHANGE || tool->mode == TOOL_REBUILD)
			tool_give_back(tool);
	}
	tool->store = NULL;
	if (tool->mode == TOOL_LOG && tool->index_path[0] != '\0')
		tool_remove_tree(tool->index_path);
	tool->index_path[0] = '\0';
}

int tool_refused(const char *command, const struct spool_tool *tool, int error)
{
	(void)fprintf(stderr, "restante %s: %s\n", command,
		      tool->message[0] != '\0' ? tool->message : error_name(error));
	if (error == ERR_BUSY)
		(void)fprintf(stderr,
			      "  this command works on a stopped spool: stop the daemon, or make a copy "
			      "with `restante backup DIR` and work on that (--data DIR)\n");
	return CLI_FAILED;
}

/* --- waiting ------------------------------------------------------------------------------------- */

void tool_answered(void *owner, enum store_result result, enum store_reason reason)
{
	struct tool_answer *answer = owner;

	*answer = (struct tool_answer){.done = true, .result = result, .reason = reason};
}

static int error_of(const struct tool_answer *answer)
{
	if (answer->result == STORE_OK)
		return 0;
	switch (answer->reason) {
	case STORE_REASON_MISSING:
		return ERR_MISSING;
	case STORE_REASON_CORRUPT:
		return ERR_CORRUPT;
	case STORE_REASON_MEMORY:
		return ERR_MEMORY;
	case STORE_REASON_FULL:
		return ERR_LIMIT;
	case STORE_REASON_NONE:
	case STORE_REASON_IO:
	case STORE_REASON_VERSION:
	default:
		return ERR_IO;
	}
}

int tool_wait(struct spool_tool *tool, const struct tool_answer *answer)
{
	while (!answer->done) /* without threads, poll does the work */
		tool->store->ops->poll(tool->store);
	return error_of(answer);
}

/* --- messages ------------------------------------------------------------------------------------ */

void pager_init(struct tool_pager *pager, struct spool_tool *tool, uint32_t queue)
{
	*pager = (struct tool_pager){.tool = tool, .queue = queue, .more = true};
	arena_init(&pager->arena, 0);
}

void pager_deinit(struct tool_pager *pager)
{
	arena_deinit(&pager->arena);
}

struct page {
	struct tool_pager *pager;
	struct tool_answer answer;
};

/* A copy, because what a walk lends is gone with the next question. */
static void take_page(void *owner, enum store_result result, const struct store_entry *entries, size_t count,
		      bool more)
{
	struct page *page = owner;
	struct tool_pager *p = page->pager;

	p->failed = result != STORE_OK;
	p->more = more;
	p->at = p->count = 0;
	for (size_t i = 0; i < count && !p->failed; i++) {
		p->entries[i] = entries[i];
		p->failed =
		    entry_envelope_copy(&p->arena, &entries[i].envelope, &p->entries[i].envelope) != 0;
		p->after = entries[i].id;
		p->count++;
	}
	tool_answered(&page->answer, result, STORE_REASON_NONE);
}

const struct store_entry *pager_next(struct tool_pager *p)
{
	struct page page = {.pager = p};
	struct store *store = p->tool->store;

	if (p->at == p->count && p->more && !p->failed) {
		arena_reset(&p->arena);
		store->ops->walk(store, p->queue, p->after, STORE_WALK_MAX, take_page, &page);
		(void)tool_wait(p->tool, &page.answer);
	}
	return p->at < p->count && !p->failed ? &p->entries[p->at++] : NULL;
}

struct reading {
	struct tool_answer answer;
	int (*piece)(void *owner, struct slice bytes);
	void *owner;
	uint64_t offset;
	bool end;
	int error;
};

static void take_piece(void *owner, enum store_result result, enum store_reason reason, struct slice bytes)
{
	struct reading *r = owner;

	r->end = result == STORE_OK && bytes.size == 0;
	r->offset += bytes.size;
	if (result == STORE_OK && bytes.size > 0)
		r->error = r->piece(r->owner, bytes);
	tool_answered(&r->answer, result, reason);
}

int tool_read(struct spool_tool *tool, uint64_t id, int (*piece)(void *owner, struct slice bytes),
	      void *owner)
{
	struct reading r = {.piece = piece, .owner = owner};
	struct store *store = tool->store;
	int error = 0;

	while (error == 0 && !r.end && r.error == 0) {
		r.answer.done = false;
		store->ops->read(store, id, r.offset, TOOL_PIECE_BYTES, take_piece, &r);
		error = tool_wait(tool, &r.answer);
	}
	return error != 0 ? error : r.error;
}

struct finding {
	struct tool_answer answer;
	uint64_t body_bytes;
	bool found;
};

static void take_found(void *owner, enum store_result result, const struct store_entry *entries, size_t count,
		       bool more)
{
	struct finding *f = owner;

	(void)more;
	f->found = result == STORE_OK && count == 1 && entries[0].body_bytes == f->body_bytes;
	tool_answered(&f->answer, result, STORE_REASON_NONE);
}

bool tool_holds(struct spool_tool *tool, uint64_t id, uint64_t body_bytes)
{
	struct finding f = {.body_bytes = body_bytes};

	tool->store->ops->find(tool->store, id, take_found, &f);
	return tool_wait(tool, &f.answer) == 0 && f.found;
}

/* --- ends ---------------------------------------------------------------------------------------- */

struct ending {
	struct tool_answer answer;
	void (*each)(void *owner, const struct store_end *end);
	void *owner;
	int64_t before_ms; /* where the next page begins, */
	uint64_t skip;	   /* and how many of that instant are known */
	bool more;
};

static void take_ends(void *owner, enum store_result result, const struct store_end *ends, size_t count,
		      bool more)
{
	struct ending *e = owner;

	e->more = more && count > 0;
	for (size_t i = 0; i < count; i++) {
		e->skip = ends[i].ended_ms == e->before_ms ? e->skip + 1 : 1;
		e->before_ms = ends[i].ended_ms;
		e->each(e->owner, &ends[i]);
	}
	tool_answered(&e->answer, result, STORE_REASON_NONE);
}

int tool_ends(struct spool_tool *tool, void (*each)(void *owner, const struct store_end *end), void *owner)
{
	struct ending e = {.each = each, .owner = owner, .more = true};
	struct store *store = tool->store;
	int error = 0;

	while (error == 0 && e.more) {
		e.answer.done = false;
		store->ops->ends(store, 0, e.before_ms, e.skip, STORE_WALK_MAX, take_ends, &e);
		error = tool_wait(tool, &e.answer);
	}
	return error;
}

/* --- pairs --------------------------------------------------------------------------------------- */

struct scanning {
	struct tool_answer answer;
	void (*pair)(void *owner, struct slice key, struct slice value);
	void *owner;
	char after[STORE_KEY_MAX];
	size_t after_size;
	bool more;
};

static void take_pairs(void *owner, enum store_result result, const struct store_pair *pairs, size_t count,
		       bool more)
{
	struct scanning *s = owner;

	s->more = more && count > 0;
	for (size_t i = 0; i < count; i++) {
		s->after_size = pairs[i].key.size;
		memcpy(s->after, pairs[i].key.data, pairs[i].key.size);
		s->pair(s->owner, pairs[i].key, pairs[i].value);
	}
	tool_answered(&s->answer, result, STORE_REASON_NONE);
}

int tool_scan(struct spool_tool *tool, struct slice prefix,
	      void (*pair)(void *owner, struct slice key, struct slice value), void *owner)
{
	struct scanning s = {.pair = pair, .owner = owner, .more = true};
	struct store *store = tool->store;
	int error = 0;

	while (error == 0 && s.more) {
		s.answer.done = false;
		store->ops->scan(store, prefix, slice_make(s.after, s.after_size), STORE_WALK_MAX, take_pairs,
				 &s);
		error = tool_wait(tool, &s.answer);
	}
	return error;
}

int tool_put(struct spool_tool *tool, struct slice key, struct slice value)
{
	struct tool_answer answer = {.done = false};

	tool->store->ops->put(tool->store, key, value, tool_answered, &answer);
	return tool_wait(tool, &answer);
}

/* --- files --------------------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
	(void)status;
	(void)kind;
	(void)where;
	return remove(path);
}

void tool_remove_tree(const char *path)
{
	(void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void give_folder(const char *path, uid_t user, gid_t group)
{
	DIR *folder = opendir(path);
	const struct dirent *entry;

	if (folder == NULL)
		return;
	(void)fchown(dirfd(folder), user, group);
	while ((entry = readdir(folder)) != NULL)
		if (strcmp(entry->d_name, "..") != 0)
			(void)fchownat(dirfd(folder), entry->d_name, user, group, AT_SYMLINK_NOFOLLOW);
	(void)closedir(folder);
}

void tool_give_back(const struct spool_tool *tool)
{
	struct stat owner;
	char path[TOOL_PATH_SIZE];
	static const char *const folders[] = {"", "/index", "/index.new"};

	if (geteuid() != 0 || stat(tool->path, &owner) != 0 || owner.st_uid == 0)
		return;
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", tool->path, folders[i]);
		give_folder(path, owner.st_uid, owner.st_gid);
	}
}

bool tool_sync(const char *path)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	bool ok = file >= 0 && fsync(file) == 0;

	if (file >= 0)
		(void)close(file);
	return ok;
}
