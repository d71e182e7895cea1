/* The spool's folder: whose it is, whether anybody else uses it, and its index. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/spool_internal.h"

enum { SPOOL_VERSION = 1, VERSION_TEXT_MAX = 64, PATH_SIZE = 4096 };
static const char version_name[] = "VERSION", version_new[] = "VERSION.new", lock_name[] = "lock";
static const char version_words[] = "restante spool ";

static void tell(char to[SPOOL_MESSAGE_SIZE], const struct spool *spool, const char *what, int system_error)
{
	(void)snprintf(to, SPOOL_MESSAGE_SIZE, "%s %s%s%s", spool->config.path, what,
		       system_error != 0 ? ": " : "", system_error != 0 ? strerror(-system_error) : "");
}

/* --- whose is it? -------------------------------------------------------------------------------- */

struct contents {
	bool version, own, foreign;
	char foreign_name[FILE_NAME_SIZE];
};

static bool is_own(const char *name)
{
	static const char *const names[] = {version_new, lock_name, "reserve", "index", "snapshot"};
	uint64_t segment;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return log_name_parse(name, &segment) || strncmp(name, "index.", 6) == 0 ||
	       strncmp(name, "aside-", 6) == 0;
}

static void look_at(void *owner, const char *name)
{
	struct contents *c = owner;

	if (strcmp(name, version_name) == 0) {
		c->version = true;
	} else if (is_own(name)) {
		c->own = true;
	} else if (!c->foreign && strcmp(name, "lost+found") != 0) {
		c->foreign = true;
		(void)snprintf(c->foreign_name, sizeof(c->foreign_name), "%s", name);
	}
}

static int read_version(struct spool *spool, char ret_message[SPOOL_MESSAGE_SIZE])
{
	const struct file_system *f = &spool->files;
	char text[VERSION_TEXT_MAX + 1] = "";
	uint64_t number = 0;
	int file = f->ops->open(f->context, version_name, FILE_READ);
	ssize_t size = file >= 0 ? f->ops->pread(f->context, file, text, VERSION_TEXT_MAX, 0) : file;

	if (file >= 0)
		f->ops->close(f->context, file);
	if (size < 0) {
		tell(ret_message, spool, "cannot be read; give this user the right to it", (int)size);
		return ERR_IO;
	}
	struct slice rest = slice_make(text, (size_t)size);
	if (slice_starts(rest, slice_of(version_words)))
		rest = slice_from(rest, sizeof(version_words) - 1);
	else
		rest.size = 0;
	rest = slice_upto(rest, slice_find(rest, '\n'));
	if (slice_to_u64(rest, &number) != 0 || number == 0) {
		tell(ret_message, spool, "has a VERSION file that is not a spool's; choose another folder",
		     0);
		return ERR_FOREIGN;
	}
	if (number > SPOOL_VERSION) {
		(void)snprintf(
		    ret_message, SPOOL_MESSAGE_SIZE,
		    "%s was written by a newer version of restante (spool format %llu, this one knows "
		    "%d); install that version again",
		    spool->config.path, (unsigned long long)number, SPOOL_VERSION);
		return ERR_VERSION;
	}
	return 0;
}

static int write_version(struct spool *spool)
{
	const struct file_system *f = &spool->files;
	char text[VERSION_TEXT_MAX];
	int size = snprintf(text, sizeof(text), "%s%d\n", version_words, SPOOL_VERSION);
	struct iovec piece = {.iov_base = text, .iov_len = (size_t)size};
	int file = f->ops->open(f->context, version_new, FILE_WRITE | FILE_CREATE);

	if (file < 0)
		return file;
	int error = file_write_all(f, file, &piece, 1, 0);
	if (error == 0)
		error = f->ops->fdatasync(f->context, file);
	f->ops->close(f->context, file);
	if (error == 0)
		error = f->ops->rename(f->context, version_new, version_name);
	return error == 0 ? f->ops->sync_folder(f->context) : error;
}

static int take_lock(struct spool *spool, char ret_message[SPOOL_MESSAGE_SIZE])
{
	const struct file_system *f = &spool->files;
	bool reads = spool->config.read_only;
	int file = f->ops->open(f->context, lock_name, reads ? FILE_READ : FILE_WRITE | FILE_CREATE);

	if (file == -ENOENT && reads)
		return 0; /* nobody ever used it */
	if (file < 0) {
		tell(ret_message, spool,
		     "cannot be written; give this user the right to it, or choose another folder", file);
		return ERR_IO;
	}
	int error = f->ops->lock(f->context, file);
	if (error == 0) {
		spool->lock_file = file;
		return 0;
	}
	f->ops->close(f->context, file);
	if (error == -EWOULDBLOCK) {
		tell(ret_message, spool,
		     "is in use by another restante; stop that one, or choose another folder", 0);
		return ERR_BUSY;
	}
	tell(ret_message, spool, "cannot be locked; a local file system is needed", error);
	return ERR_IO;
}

int spool_folder_open(struct spool *spool, char ret_message[SPOOL_MESSAGE_SIZE])
{
	struct contents c = {.version = false};
	int error = 0;

	if (spool->config.files.ops != NULL) {
		spool->files = spool->config.files;
	} else {
		error = spool->config.read_only && access(spool->config.path, F_OK) < 0
			    ? -errno
			    : file_system_open(spool->config.path, &spool->files);
		spool->own_files = error == 0;
	}
	if (error == 0)
		error = spool->files.ops->list(spool->files.context, look_at, &c);
	if (error < 0) {
		tell(ret_message, spool, "cannot be opened; make the folder, or choose another one", error);
		return error == -ENOMEM ? ERR_MEMORY : ERR_IO;
	}
	if (!c.version && c.foreign) {
		(void)snprintf(ret_message, SPOOL_MESSAGE_SIZE,
			       "%s is not empty (%s) and is not a spool; choose an empty or a new folder",
			       spool->config.path, c.foreign_name);
		return ERR_FOREIGN;
	}
	if (c.version) {
		error = read_version(spool, ret_message);
		if (error != 0)
			return error;
	} else if (spool->config.read_only) {
		tell(ret_message, spool, "is not a spool: it has no file VERSION", 0);
		return ERR_MISSING;
	}
	error = spool->config.unlocked ? 0 : take_lock(spool, ret_message);
	if (error != 0 || c.version)
		return error;
	error = write_version(spool);
	if (error == 0)
		return 0;
	tell(ret_message, spool, "cannot be written; make room, or choose another folder", error);
	return ERR_IO;
}

/* --- the index ----------------------------------------------------------------------------------- */

static const char *index_path(const struct spool *spool, char to[PATH_SIZE])
{
	if (spool->config.index_path != NULL)
		return spool->config.index_path;
	(void)snprintf(to, PATH_SIZE, "%s/index", spool->config.path);
	return to;
}

/* Out of the way, but kept for a look. */
static int put_aside(const char *path)
{
	char to[PATH_SIZE + 16], unlucky[PATH_SIZE + 16];

	for (int number = 1; number < 1000; number++) {
		(void)snprintf(to, sizeof(to), "%s.%d", path, number);
		if (rename(path, to) == 0)
			return mkdir(path, 0700);
		if (errno != ENOTEMPTY && errno != EEXIST)
			break;
	}
	/* Or away with it: the log has it all. */
	(void)snprintf(unlucky, sizeof(unlucky), "%s/data.mdb", path);
	return unlink(unlucky);
}

static int open_index(struct spool *spool, const char *path, enum index_mode mode)
{
	int error = index_open(path, mode, spool->config.index_map_bytes, &spool->index);

	if (error == 0)
		error = index_read_begin(spool->index);
	if (error != 0)
		return error;
	error = index_check(spool->index);
	index_read_end(spool->index);
	if (error != 0) {
		index_close(spool->index);
		spool->index = NULL;
	}
	return error;
}

/* As it is, or not at all. */
static int look_at_index(struct spool *spool, const char *path, char ret_message[SPOOL_MESSAGE_SIZE])
{
	int error = open_index(spool, path, INDEX_READ_ONLY);

	if (error == ERR_MISSING)
		tell(ret_message, spool, "has no index", 0);
	else if (error == ERR_CORRUPT)
		tell(ret_message, spool, "has an index that is unusable", 0);
	else if (error != 0)
		tell(ret_message, spool, "has an index that cannot be opened; look at its rights", 0);
	return error;
}

int spool_index_open(struct spool *spool, char ret_message[SPOOL_MESSAGE_SIZE])
{
	char buffer[PATH_SIZE];
	const char *path = index_path(spool, buffer);
	enum index_mode mode = spool->config.index_unsynced ? INDEX_UNSYNCED : INDEX_SYNCED;

	if (spool->config.read_only && spool->config.index_path == NULL)
		return look_at_index(spool, path, ret_message);
	if (mkdir(path, 0700) < 0 && errno != EEXIST) {
		tell(ret_message, spool,
		     "cannot hold its index; make room, or give this user the right to it", -errno);
		return ERR_IO;
	}
	int error = open_index(spool, path, mode);
	if (error == ERR_CORRUPT) {
		spool_tell(spool, SPOOL_EVENT_REBUILT, 0, (struct position){.segment = 0},
			   "the index is unusable: it is made again from the log");
		error = put_aside(path) == 0 ? open_index(spool, path, mode) : ERR_IO;
	}
	if (error == ERR_VERSION)
		tell(ret_message, spool, "has an index of another version of LMDB; remove its folder index",
		     0);
	else if (error != 0)
		tell(ret_message, spool,
		     "has an index that cannot be opened; look at its rights and at free space", 0);
	return error;
}
