/* backup, restore. A backup is a data folder: `serve`, and the tools for a stopped spool, take it as it is.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon/cli.h"
#include "daemon/cli/commands.h"
#include "daemon/cli/spool_tool.h"

enum {
	COPY_PIECE = 256 * 1024,
	COPY_SYNC_BYTES = 4 * 1024 * 1024, /* so often, that the daemon's own syncs do not wait for ours */
	RENEW_S = 10,
};

/* What of the data folder belongs to it besides the spool; the marker comes last, so that a folder without it
 * is no data folder. */
static const char *const own_files[] = {"certificate.pem", "certificate.key", "api.token"};
static const char marker[] = "RESTANTE";

struct copy {
	const char *command;   /* for messages */
	const char *from, *to; /* folders */
	struct client *client; /* that holds the snapshot; NULL: nobody */
	char target[64];       /* "/v1/backup/ID" */
	time_t renewed;
	uint64_t bytes;
	char piece[COPY_PIECE];
};

static int complain(const struct copy *c, const char *folder, const char *name)
{
	(void)fprintf(stderr, "restante %s: %s/%s: %s\n", c->command, folder, name, strerror(errno));
	return ERR_IO;
}

static int ask(struct copy *c, const char *method)
{
	struct buffer answer;

	buffer_init(&answer, 4096);
	int error = client_request(c->client, method, c->target, NULL, &answer, NULL);
	buffer_deinit(&answer);
	return error;
}

static time_t seconds(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static int renew(struct copy *c)
{
	if (c->client == NULL || seconds() - c->renewed < RENEW_S)
		return 0;
	c->renewed = seconds();
	return ask(c, "POST");
}

/* --- one file ------------------------------------------------------------------------------------ */

static int write_piece(int file, const char *bytes, size_t size)
{
	while (size > 0) {
		ssize_t count = write(file, bytes, size);
		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return ERR_IO;
		bytes += count;
		size -= (size_t)count;
	}
	return 0;
}

/* Up to max bytes. ERR_IO with errno; or what the daemon refused, which is said. */
static int copy_bytes(struct copy *c, int from, int to, uint64_t max, uint64_t *ret_done)
{
	uint64_t unsynced = 0;

	*ret_done = 0;
	while (*ret_done < max) {
		size_t want = max - *ret_done < COPY_PIECE ? (size_t)(max - *ret_done) : COPY_PIECE;
		ssize_t got = read(from, c->piece, want);
		if (got < 0 || (got > 0 && write_piece(to, c->piece, (size_t)got) != 0))
			return ERR_IO;
		if (got == 0)
			return 0;
		*ret_done += (uint64_t)got;
		unsynced += (uint64_t)got;
		if (unsynced >= COPY_SYNC_BYTES && fdatasync(to) < 0)
			return ERR_IO;
		unsynced = unsynced >= COPY_SYNC_BYTES ? 0 : unsynced;
		int error = renew(c);
		if (error != 0)
			return error;
	}
	return 0;
}

static int fill(struct copy *c, int from, int to, uint64_t max, bool whole, uint64_t *ret_done)
{
	struct stat status;
	int error;

	if (ioctl(to, FICLONE, from) == 0) {
		if (fstat(to, &status) < 0 || (!whole && ftruncate(to, (off_t)max) < 0))
			return ERR_IO;
		*ret_done = whole || (uint64_t)status.st_size < max ? (uint64_t)status.st_size : max;
		return 0;
	}
	error = copy_bytes(c, from, to, max, ret_done);
	return error;
}

/* bytes: so many; UINT64_MAX: all. ERR_MISSING: there is none, nothing is said. */
static int copy_file(struct copy *c, const char *name, const char *as, uint64_t bytes)
{
	char path[TOOL_PATH_SIZE];
	struct stat status;
	uint64_t done = 0;
	bool whole = bytes == UINT64_MAX;

	(void)snprintf(path, sizeof(path), "%s/%s", c->from, name);
	int from = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (from < 0)
		return errno == ENOENT ? ERR_MISSING : complain(c, c->from, name);
	if (fstat(from, &status) < 0)
		status.st_mode = 0600;
	(void)snprintf(path, sizeof(path), "%s/%s", c->to, as);
	int to = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, status.st_mode & 0644);
	int error = to >= 0 ? fill(c, from, to, bytes, whole, &done) : ERR_IO;
	if (error == 0 && !whole && done < bytes) {
		errno = ENODATA;
		error = ERR_IO;
	}
	if (error == 0 && fsync(to) < 0)
		error = ERR_IO;
	if (error == ERR_IO)
		(void)complain(c, c->to, as);
	if (to >= 0)
		(void)close(to);
	(void)close(from);
	c->bytes += done;
	return error;
}

static int needed(const struct copy *c, const char *name, int error)
{
	if (error == ERR_MISSING)
		(void)fprintf(stderr, "restante %s: %s/%s is missing\n", c->command, c->from, name);
	return error;
}

/* --- what both copy ------------------------------------------------------------------------------ */

static int make_folder(const struct copy *c, const char *name, mode_t mode)
{
	char path[TOOL_PATH_SIZE];

	(void)snprintf(path, sizeof(path), "%s%s%s", c->to, name[0] != '\0' ? "/" : "", name);
	return mkdir(path, mode) == 0 || errno == EEXIST ? 0 : complain(c, c->to, name);
}

static int copy_own_files(struct copy *c)
{
	int error = 0;

	for (size_t i = 0; i < sizeof(own_files) / sizeof(own_files[0]) && error == 0; i++) {
		error = copy_file(c, own_files[i], own_files[i], UINT64_MAX);
		error = error == ERR_MISSING ? 0 : error;
	}
	if (error == 0)
		error = make_folder(c, "spool", 0700);
	if (error == 0)
		error = make_folder(c, "spool/index", 0700);
	if (error == 0)
		error =
		    needed(c, "spool/VERSION", copy_file(c, "spool/VERSION", "spool/VERSION", UINT64_MAX));
	return error;
}

static int sync_all(const struct copy *c)
{
	static const char *const folders[] = {"spool/index", "spool", "."};
	char path[TOOL_PATH_SIZE];

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", c->to, folders[i]);
		if (!tool_sync(path))
			return complain(c, c->to, folders[i]);
	}
	return 0;
}

static int copy_marker(struct copy *c)
{
	int error = sync_all(c);

	if (error == 0)
		error = needed(c, marker, copy_file(c, marker, marker, UINT64_MAX));
	return error == 0 ? sync_all(c) : error;
}

static bool sync_parent(const char *path)
{
	char parent[TOOL_PATH_SIZE + 8];

	(void)snprintf(parent, sizeof(parent), "%s/..", path);
	return tool_sync(parent);
}

/* --- backup -------------------------------------------------------------------------------------- */

static int copy_segments(struct copy *c, const json_t *segments)
{
	const json_t *row;
	char name[64];
	size_t i;
	int error = 0;

	json_array_foreach(segments, i, row)
	{
		json_int_t number = json_integer_value(json_object_get(row, "number"));
		json_int_t bytes = json_integer_value(json_object_get(row, "bytes"));
		(void)snprintf(name, sizeof(name), "spool/%016llx.log", (unsigned long long)number);
		if (error == 0)
			error = renew(c);
		if (error == 0 && bytes > 0)
			error = needed(c, name, copy_file(c, name, name, (uint64_t)bytes));
	}
	return error;
}

static int copy_snapshot(struct copy *c, const json_t *snapshot)
{
	const char *index = text_of(snapshot, "index");
	int error = copy_own_files(c);

	if (error == 0)
		error = needed(c, index, copy_file(c, index, "spool/index/data.mdb", UINT64_MAX));
	if (error == 0)
		error = copy_segments(c, json_object_get(snapshot, "segments"));
	return error == 0 ? copy_marker(c) : error;
}

static bool is_own(const char *name)
{
	bool own = strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "spool") == 0 ||
		   strcmp(name, marker) == 0;

	for (size_t i = 0; i < sizeof(own_files) / sizeof(own_files[0]); i++)
		own = own || strcmp(name, own_files[i]) == 0;
	return own;
}

/* Nothing is in it but what a backup puts there, in whatever order: killed early, it left no spool yet. */
static bool is_leftover(const char *path)
{
	const struct dirent *entry;
	bool own = true;
	DIR *folder = opendir(path);

	if (folder == NULL)
		return false;
	while (own && (entry = readdir(folder)) != NULL)
		own = is_own(entry->d_name);
	(void)closedir(folder);
	return own;
}

/* The leftover of a backup that was interrupted goes; anything else stays. */
static int make_partial(const struct copy *c)
{
	if (is_leftover(c->to))
		tool_remove_tree(c->to);
	return mkdir(c->to, 0700) == 0 ? 0 : complain(c, c->to, "");
}

/* That the snapshot was still held at the end proves that no segment went away under the copy. */
static int run_copy(struct copy *c, const json_t *snapshot, const char *name)
{
	int error = make_partial(c);

	if (error != 0) {
		(void)ask(c, "DELETE");
		return error;
	}
	error = copy_snapshot(c, snapshot);
	int released = ask(c, "DELETE");
	error = error == 0 ? released : error;
	if (error == 0 && (rename(c->to, name) < 0 || !sync_parent(name)))
		error = complain(c, name, "");
	if (error != 0)
		tool_remove_tree(c->to);
	return error;
}

static int say_done(const struct arguments *arguments, const char *name, uint64_t bytes)
{
	json_t *report = json_pack("{s:s, s:I}", "folder", name, "bytes", (json_int_t)bytes);

	if (arguments->json && report != NULL) {
		(void)json_dumpf(report, stdout, JSON_COMPACT);
		(void)putchar('\n');
	} else {
		(void)printf("%s: %.1f MB; `restante spool check --data %s` looks at it\n", name,
			     (double)bytes / 1e6, name);
	}
	json_decref(report);
	return CLI_OK;
}

/* "x/" is "x"; false: too long. */
static bool trimmed(const char *name, char to[TOOL_PATH_SIZE])
{
	size_t size = strlen(name);

	while (size > 1 && name[size - 1] == '/')
		size--;
	(void)snprintf(to, TOOL_PATH_SIZE, "%.*s", (int)size, name);
	return size < TOOL_PATH_SIZE - 64;
}

int run_backup(struct client *client, const struct arguments *arguments)
{
	char name[TOOL_PATH_SIZE], partial[TOOL_PATH_SIZE + 16];
	struct copy *c;
	struct stat status;

	if (!trimmed(arguments->words[0], name) || strlen(arguments->data) >= TOOL_PATH_SIZE - 64)
		return usage_error("backup", "the name of a folder is too long");
	if (lstat(name, &status) == 0)
		return usage_error("backup", "%s is there already: name a new folder", name);
	(void)snprintf(partial, sizeof(partial), "%s.partial", name);
	json_t *snapshot = client_json(client, "POST", "/v1/backup", NULL);
	if (snapshot == NULL)
		return CLI_FAILED;
	c = calloc(1, sizeof(*c));
	int error = ERR_MEMORY;
	if (c != NULL) {
		*c = (struct copy){.command = "backup",
				   .from = arguments->data,
				   .to = partial,
				   .client = client,
				   .renewed = seconds()};
		(void)snprintf(c->target, sizeof(c->target), "/v1/backup/%s", text_of(snapshot, "id"));
		error = run_copy(c, snapshot, name);
	}
	json_decref(snapshot);
	int exit = error == 0 ? say_done(arguments, name, c->bytes) : CLI_FAILED;
	free(c);
	return exit;
}

/* --- restore ------------------------------------------------------------------------------------- */

static bool is_segment(const char *name)
{
	return strspn(name, "0123456789abcdef") == 16 && strcmp(name + 16, ".log") == 0;
}

static int copy_stored_segments(struct copy *c)
{
	char path[TOOL_PATH_SIZE];
	const struct dirent *entry;
	int error = 0;

	(void)snprintf(path, sizeof(path), "%s/spool", c->from);
	DIR *folder = opendir(path);
	if (folder == NULL)
		return complain(c, c->from, "spool");
	while (error == 0 && (entry = readdir(folder)) != NULL) {
		if (!is_segment(entry->d_name))
			continue;
		(void)snprintf(path, sizeof(path), "spool/%.*s", 20, entry->d_name);
		error = needed(c, path, copy_file(c, path, path, UINT64_MAX));
	}
	(void)closedir(folder);
	return error;
}

/* Nothing may be in it. */
static int make_target(const struct copy *c)
{
	const struct dirent *entry;
	bool empty = true;

	if (mkdir(c->to, geteuid() == 0 ? 0711 : 0700) == 0)
		return sync_parent(c->to) ? 0 : complain(c, c->to, "..");
	DIR *folder = errno == EEXIST ? opendir(c->to) : NULL;
	if (folder == NULL)
		return complain(c, c->to, "");
	while ((entry = readdir(folder)) != NULL)
		empty = empty && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0);
	(void)closedir(folder);
	if (empty)
		return 0;
	(void)fprintf(stderr, "restante restore: %s is not empty; give a new folder with --data\n", c->to);
	return ERR_EXISTS;
}

static int restore(struct copy *c)
{
	int error = make_target(c);

	if (error == 0)
		error = copy_own_files(c);
	if (error == 0)
		error = needed(c, "spool/index/data.mdb",
			       copy_file(c, "spool/index/data.mdb", "spool/index/data.mdb", UINT64_MAX));
	if (error == 0)
		error = copy_stored_segments(c);
	return error == 0 ? copy_marker(c) : error;
}

int run_restore(struct client *client, const struct arguments *arguments)
{
	const char *from = arguments->words[0];
	struct copy *c;
	int error = ERR_MEMORY;

	(void)client;
	if (strlen(from) >= TOOL_PATH_SIZE - 64 || strlen(arguments->data) >= TOOL_PATH_SIZE - 64)
		return usage_error("restore", "the name of a folder is too long");
	if (spool_check(from, arguments->json) != CLI_OK) {
		(void)fprintf(stderr, "restante restore: %s is not in order: nothing was copied\n", from);
		return CLI_FAILED;
	}
	c = calloc(1, sizeof(*c));
	if (c != NULL) {
		*c = (struct copy){.command = "restore", .from = from, .to = arguments->data};
		error = restore(c);
	}
	free(c);
	if (error != 0)
		return CLI_FAILED;
	if (!arguments->json)
		(void)printf("restored; start it with `restante serve --data %s`\n", arguments->data);
	return CLI_OK;
}
