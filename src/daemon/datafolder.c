#include "daemon/datafolder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MARKER	    "RESTANTE"
#define MARKER_TEXT "restante data folder, format "

static int fail(int error, char *ret_message, const char *format, ...) __attribute__((format(printf, 3, 4)));
static int fail(int error, char *ret_message, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	(void)vsnprintf(ret_message, DATAFOLDER_MESSAGE_SIZE, format, args);
	va_end(args);
	return error;
}

/* --- files --- */

int datafolder_read(const struct datafolder *folder, const char *name, struct buffer *ret_content)
{
	int file = openat(folder->descriptor, name, O_RDONLY | O_CLOEXEC);
	int error = 0;
	ssize_t count;
	if (file < 0)
		return errno == ENOENT ? ERR_MISSING : ERR_IO;
	do {
		char *place = buffer_reserve(ret_content, 4096);
		count = place != NULL ? read(file, place, 4096) : 0;
		if (place == NULL)
			error = ERR_MEMORY;
		else if (count < 0)
			error = ERR_IO;
		else
			buffer_commit(ret_content, (size_t)count);
		if (buffer_size(ret_content) > DATAFOLDER_FILE_MAX)
			error = ERR_LIMIT;
	} while (error == 0 && count > 0);
	(void)close(file);
	return error;
}

static int write_all(int file, struct slice content)
{
	while (content.size > 0) {
		ssize_t count = write(file, content.data, content.size);
		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return ERR_IO;
		content = slice_from(content, (size_t)count);
	}
	return 0;
}

int datafolder_write(const struct datafolder *folder, const char *name, struct slice content, mode_t mode)
{
	char temporary[64];
	(void)snprintf(temporary, sizeof(temporary), "%s.new", name);
	int file = openat(folder->descriptor, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	if (file < 0)
		return ERR_IO;
	int error = write_all(file, content);
	if (error == 0 && (fchmod(file, mode) != 0 || fsync(file) != 0))
		error = ERR_IO;
	if (close(file) != 0)
		error = ERR_IO;
	if (error == 0 && renameat(folder->descriptor, temporary, folder->descriptor, name) != 0)
		error = ERR_IO;
	if (error == 0 && fsync(folder->descriptor) != 0)
		error = ERR_IO;
	if (error != 0)
		(void)unlinkat(folder->descriptor, temporary, 0);
	return error;
}

/* --- whose folder is it? --- */

/* What an interrupted make_marker has left is nothing. */
static bool is_empty(const struct datafolder *folder)
{
	int copy = openat(folder->descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = copy >= 0 ? fdopendir(copy) : NULL;
	bool empty = entries != NULL;
	if (entries == NULL && copy >= 0)
		(void)close(copy);
	while (entries != NULL && empty) {
		const struct dirent *entry = readdir(entries);
		if (entry == NULL)
			break;
		empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
			strcmp(entry->d_name, "lost+found") == 0 || strcmp(entry->d_name, MARKER ".new") == 0;
	}
	if (entries != NULL)
		(void)closedir(entries);
	return empty;
}

static int make_marker(struct datafolder *folder, char *ret_message)
{
	char text[64];
	if (!is_empty(folder))
		return fail(ERR_FOREIGN, ret_message,
			    "%s holds other things and is not a data folder of restante; "
			    "give an empty or new folder with --data DIR",
			    folder->path);
	(void)snprintf(text, sizeof(text), MARKER_TEXT "%d\n", DATAFOLDER_FORMAT);
	if (datafolder_write(folder, MARKER, slice_of(text), 0644) != 0)
		return fail(
		    ERR_IO, ret_message,
		    "%s cannot be written: %s; give another folder with --data DIR, or run as its owner",
		    folder->path, strerror(errno));
	return 0;
}

static int check_marker(struct datafolder *folder, char *ret_message)
{
	struct buffer content;
	buffer_init(&content, DATAFOLDER_FILE_MAX);
	uint64_t format = 0;
	int error = datafolder_read(folder, MARKER, &content);
	struct slice text = buffer_slice(&content);
	if (error == 0 && (!slice_starts(text, SLICE(MARKER_TEXT)) ||
			   slice_to_u64(slice_upto(slice_from(text, strlen(MARKER_TEXT)),
						   slice_find(slice_from(text, strlen(MARKER_TEXT)), '\n')),
					&format) != 0))
		error = ERR_FOREIGN;
	buffer_deinit(&content);
	if (error == ERR_MISSING)
		return make_marker(folder, ret_message);
	if (error == ERR_FOREIGN)
		return fail(error, ret_message,
			    "%s/" MARKER " was not written by restante; give another --data DIR",
			    folder->path);
	if (error != 0)
		return fail(error, ret_message,
			    "%s/" MARKER " cannot be read: %s; run as the owner of the folder", folder->path,
			    strerror(errno));
	if (format > DATAFOLDER_FORMAT)
		return fail(ERR_VERSION, ret_message,
			    "%s was written by a newer version (format %llu, this one knows %d); "
			    "install that version again, or give another --data DIR",
			    folder->path, (unsigned long long)format, DATAFOLDER_FORMAT);
	return 0;
}

/* --- opening --- */

/* Makes the name of a folder durable: else all that is synced in it may go with it. A folder above that may
 * not be read cannot be synced; it was not made by us. */
static int sync_parent(const char *path)
{
	char parent[4096];
	int size = snprintf(parent, sizeof(parent), "%s/..", path);
	int folder = size < (int)sizeof(parent) ? open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (folder < 0)
		return errno == EACCES ? 0 : ERR_IO;
	int result = fsync(folder);
	(void)close(folder);
	return result == 0 ? 0 : ERR_IO;
}

/* mkdir -p, each with the mode of a folder that others may pass through but not read. The last one may be
 * from a life that ended before its sync. */
static int make_folders(const char *path, mode_t mode)
{
	char part[4096];
	size_t size = strlen(path);
	if (size >= sizeof(part))
		return ERR_LIMIT;
	memcpy(part, path, size + 1);
	for (size_t i = 1; i <= size; i++) {
		char c = part[i];
		if (c != '/' && c != '\0')
			continue;
		part[i] = '\0';
		bool made = mkdir(part, mode) == 0;
		if (!made && errno != EEXIST)
			return ERR_IO;
		if ((made || i == size) && sync_parent(part) != 0)
			return ERR_IO;
		part[i] = c;
	}
	return 0;
}

static int take_lock(int lock)
{
	for (int waited_ms = 0;; waited_ms += 20) {
		if (flock(lock, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK)
			return ERR_IO;
		if (waited_ms >= DATAFOLDER_LOCK_WAIT_MS)
			return ERR_BUSY;
		(void)poll(NULL, 0, 20);
	}
}

static int lock_folder(struct datafolder *folder, char *ret_message)
{
	char owner[32] = "";
	folder->lock = openat(folder->descriptor, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (folder->lock < 0)
		return fail(
		    ERR_IO, ret_message,
		    "%s cannot be written: %s; give another folder with --data DIR, or run as its owner",
		    folder->path, strerror(errno));
	int error = take_lock(folder->lock);
	if (error == ERR_BUSY) {
		ssize_t size = pread(folder->lock, owner, sizeof(owner) - 1, 0);
		owner[size > 0 ? strcspn(owner, "\n") : 0] = '\0';
		return fail(error, ret_message,
			    "another restante (process %s) runs on %s; stop it, or give another --data DIR",
			    owner, folder->path);
	}
	if (error != 0)
		return fail(error, ret_message, "%s/lock: %s", folder->path, strerror(errno));
	int size = snprintf(owner, sizeof(owner), "%ld\n", (long)getpid());
	/* Only people read it: that it cannot be written (a full disk) stops nothing. */
	if (ftruncate(folder->lock, 0) == 0 && pwrite(folder->lock, owner, (size_t)size, 0) < 0)
		return 0;
	return 0;
}

int datafolder_open(struct datafolder *folder, const char *path, char ret_message[DATAFOLDER_MESSAGE_SIZE])
{
	*folder = (struct datafolder){.path = path, .descriptor = -1, .lock = -1, .spool = -1};
	if (make_folders(path, geteuid() == 0 ? 0711 : 0700) != 0)
		return fail(ERR_IO, ret_message, "%s cannot be made: %s; give another folder with --data DIR",
			    path, strerror(errno));
	folder->descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder->descriptor < 0)
		return fail(ERR_IO, ret_message,
			    "%s cannot be opened: %s; give another folder with --data DIR", path,
			    strerror(errno));
	/* The marker comes first: a folder of somebody else gets no lock file from us. */
	int error = check_marker(folder, ret_message);
	if (error == 0)
		error = lock_folder(folder, ret_message);
	return error;
}

void datafolder_close(struct datafolder *folder)
{
	if (folder->spool >= 0)
		(void)close(folder->spool);
	if (folder->lock >= 0)
		(void)close(folder->lock);
	if (folder->descriptor >= 0)
		(void)close(folder->descriptor);
	folder->spool = folder->lock = folder->descriptor = -1;
}

/* --- the spool --- */

enum { SPOOL_DEPTH_MAX = 4 };

/* Gives a folder and everything in it to a user. ERR_IO. */
static int give_all(int folder, uid_t uid, gid_t gid, int depth)
{
	int error = fchown(folder, uid, gid) == 0 ? 0 : ERR_IO;
	int copy = error == 0 ? openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	DIR *entries = copy >= 0 ? fdopendir(copy) : NULL;
	const struct dirent *entry;
	if (entries == NULL) {
		if (copy >= 0)
			(void)close(copy);
		return ERR_IO;
	}
	while (error == 0 && (entry = readdir(entries)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (fchownat(copy, entry->d_name, uid, gid, AT_SYMLINK_NOFOLLOW) != 0)
			error = ERR_IO;
		int inner = openat(copy, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (inner < 0)
			continue; /* a file */
		if (error == 0 && depth < SPOOL_DEPTH_MAX)
			error = give_all(inner, uid, gid, depth + 1);
		(void)close(inner);
	}
	(void)closedir(entries);
	return error;
}

int datafolder_open_spool(struct datafolder *folder, uid_t uid, gid_t gid,
			  char ret_message[DATAFOLDER_MESSAGE_SIZE])
{
	struct stat status;
	if (mkdirat(folder->descriptor, "spool", 0700) != 0 && errno != EEXIST)
		return fail(ERR_IO, ret_message, "%s/spool cannot be made: %s", folder->path,
			    strerror(errno));
	if (fsync(folder->descriptor) != 0)
		return fail(ERR_IO, ret_message, "%s cannot be synced: %s", folder->path, strerror(errno));
	folder->spool = openat(folder->descriptor, "spool", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (folder->spool < 0 || fstat(folder->spool, &status) != 0)
		return fail(ERR_IO, ret_message,
			    "%s/spool cannot be opened: %s; run as the user who made it (or root)",
			    folder->path, strerror(errno));
	if (status.st_uid == uid && status.st_gid == gid)
		return 0;
	if (give_all(folder->spool, uid, gid, 0) != 0)
		return fail(ERR_IO, ret_message,
			    "%s/spool belongs to another user (%ld); run as that user, or as root",
			    folder->path, (long)status.st_uid);
	return 0;
}
