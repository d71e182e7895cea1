/* The real file operations, relative to a folder's descriptor. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "store/file_ops.h"

struct folder {
	int fd;
};

static int folder_fd(void *context)
{
	return ((struct folder *)context)->fd;
}

static int result_of(int result)
{
	return result < 0 ? -errno : result;
}

static int system_open(void *context, const char *name, int flags)
{
	int mode = (flags & FILE_WRITE) != 0 ? O_RDWR : O_RDONLY;

	if ((flags & FILE_CREATE) != 0)
		mode |= O_CREAT;
	return result_of(openat(folder_fd(context), name, mode | O_CLOEXEC | O_NOFOLLOW, 0600));
}

static void system_close(void *context, int file)
{
	(void)context;
	(void)close(file);
}

static ssize_t system_pwritev(void *context, int file, const struct iovec *pieces, int count, uint64_t offset)
{
	ssize_t written;

	(void)context;
	do
		written = pwritev(file, pieces, count, (off_t)offset);
	while (written < 0 && errno == EINTR);
	return written < 0 ? -errno : written;
}

static ssize_t system_pread(void *context, int file, void *to, size_t size, uint64_t offset)
{
	ssize_t got;

	(void)context;
	do
		got = pread(file, to, size, (off_t)offset);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

static ssize_t system_pread_cached(void *context, int file, void *to, size_t size, uint64_t offset)
{
	struct iovec piece = {.iov_base = to, .iov_len = size};

	(void)context;
	ssize_t got = preadv2(file, &piece, 1, (off_t)offset, RWF_NOWAIT);
	return got < 0 ? -errno : got;
}

static void system_advise(void *context, int file, uint64_t offset, uint64_t size)
{
	(void)context;
	(void)posix_fadvise(file, (off_t)offset, (off_t)size, POSIX_FADV_WILLNEED);
}

static int system_fdatasync(void *context, int file)
{
	(void)context;
	return result_of(fdatasync(file));
}

static int system_truncate(void *context, int file, uint64_t size)
{
	(void)context;
	return result_of(ftruncate(file, (off_t)size));
}

static int system_allocate(void *context, int file, uint64_t size)
{
	(void)context;
	return -posix_fallocate(file, 0, (off_t)size); /* returns the error, errno is not set */
}

static int system_size(void *context, int file, uint64_t *ret_size)
{
	struct stat status;

	(void)context;
	if (fstat(file, &status) < 0)
		return -errno;
	*ret_size = (uint64_t)status.st_size;
	return 0;
}

static int system_lock(void *context, int file)
{
	(void)context;
	return result_of(flock(file, LOCK_EX | LOCK_NB));
}

static int system_sync_folder(void *context)
{
	return result_of(fsync(folder_fd(context)));
}

static int system_rename(void *context, const char *from, const char *to)
{
	return result_of(renameat(folder_fd(context), from, folder_fd(context), to));
}

static int system_unlink(void *context, const char *name)
{
	return result_of(unlinkat(folder_fd(context), name, 0));
}

static int system_list(void *context, void (*each)(void *owner, const char *name), void *owner)
{
	int fd = openat(folder_fd(context), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

	if (dir == NULL) {
		int error = -errno;
		if (fd >= 0)
			(void)close(fd);
		return error;
	}
	errno = 0;
	for (struct dirent *entry; (entry = readdir(dir)) != NULL; errno = 0)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			each(owner, entry->d_name);
	int error = -errno;
	(void)closedir(dir);
	return error;
}

static int system_free_bytes(void *context, uint64_t *ret_bytes)
{
	struct statvfs status;

	if (fstatvfs(folder_fd(context), &status) < 0)
		return -errno;
	*ret_bytes = (uint64_t)status.f_bavail * status.f_frsize;
	return 0;
}

static const struct file_ops system_ops = {
    .open = system_open,
    .close = system_close,
    .pwritev = system_pwritev,
    .pread = system_pread,
    .pread_cached = system_pread_cached,
    .advise = system_advise,
    .fdatasync = system_fdatasync,
    .truncate = system_truncate,
    .allocate = system_allocate,
    .size = system_size,
    .lock = system_lock,
    .sync_folder = system_sync_folder,
    .rename = system_rename,
    .unlink = system_unlink,
    .list = system_list,
    .free_bytes = system_free_bytes,
};

int file_system_open(const char *path, struct file_system *ret_files)
{
	struct folder *folder = malloc(sizeof(*folder));

	if (folder == NULL)
		return -ENOMEM;
	if (mkdir(path, 0700) < 0 && errno != EEXIST) {
		int error = -errno;
		free(folder);
		return error;
	}
	folder->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder->fd < 0) {
		int error = -errno;
		free(folder);
		return error;
	}
	*ret_files = (struct file_system){.ops = &system_ops, .context = folder};
	return 0;
}

void file_system_close(struct file_system *files)
{
	struct folder *folder = files->context;

	if (folder == NULL)
		return;
	(void)close(folder->fd);
	free(folder);
	files->context = NULL;
}

int file_write_all(const struct file_system *files, int file, struct iovec *pieces, int count,
		   uint64_t offset)
{
	while (count > 0) {
		ssize_t written = files->ops->pwritev(files->context, file, pieces, count, offset);
		if (written <= 0)
			return written < 0 ? (int)written
					   : -EIO; /* nothing written of something: a broken device */
		offset += (uint64_t)written;
		while (count > 0 && (size_t)written >= pieces->iov_len) {
			written -= (ssize_t)pieces->iov_len;
			pieces++;
			count--;
		}
		if (count > 0) {
			pieces->iov_base = (char *)pieces->iov_base + written;
			pieces->iov_len -= (size_t)written;
		}
	}
	return 0;
}
