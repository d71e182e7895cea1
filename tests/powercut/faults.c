/* A disk that fails under a program that is none the wiser: preloaded (LD_PRELOAD), it stands in for the
 * calls with which restante and LMDB write their files, and lets one of them fail.
 *
 *   FAULT_FILE    log, index or folder: of which files (segments, data.mdb, the folder that has the segments)
 *   FAULT_CALL    write or sync
 *   FAULT_AT      the call that fails, counted from 1 over all threads and children; none without it
 *   FAULT_ERROR   number of the error; 0: a write is short, half of it is done
 *   FAULT_FOR_GOOD  "1": all calls from that one on fail
 *   FAULT_REPORT  file that gets a line when the first call has failed
 *
 * A write that fails may have written half all the same; a sync that fails has synced nothing.
 */
#undef _FILE_OFFSET_BITS /* both names of each call are defined here */
#undef _FORTIFY_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "real.h"

enum { DESCRIPTORS_MAX = 65536, PIECES_MAX = 1024 };

static struct {
	atomic_ulong *calls; /* of all processes; NULL: nothing fails */
	const char *file;
	bool syncs, for_good;
	unsigned long at;
	int error, report;
	atomic_bool ours[DESCRIPTORS_MAX];
} faults;

static unsigned long number_of(const char *name)
{
	const char *text = getenv(name);

	return text != NULL ? strtoul(text, NULL, 10) : 0;
}

__attribute__((constructor)) static void begin(void)
{
	const char *file = getenv("FAULT_FILE"), *call = getenv("FAULT_CALL"),
		   *report = getenv("FAULT_REPORT");

	if (file == NULL || call == NULL || report == NULL || number_of("FAULT_AT") == 0)
		return;
	faults.file = file;
	faults.syncs = strcmp(call, "sync") == 0;
	faults.for_good = number_of("FAULT_FOR_GOOD") == 1;
	faults.at = number_of("FAULT_AT");
	faults.error = (int)number_of("FAULT_ERROR");
	faults.report = real_openat(AT_FDCWD, report, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	void *shared =
	    mmap(NULL, sizeof(*faults.calls), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		abort();
	faults.calls = shared;
}

static bool ends(const char *path, const char *end)
{
	size_t size = strlen(path), end_size = strlen(end);

	return size >= end_size && strcmp(path + size - end_size, end) == 0;
}

/* The folder of the segments has one of them opened in it: with openat. */
static int opened(int at, const char *path, int fd)
{
	int error = errno;
	bool segment = ends(path, ".log");

	if (faults.calls == NULL || fd < 0 || fd >= DESCRIPTORS_MAX)
		return fd;
	if (strcmp(faults.file, "folder") == 0 && segment && at >= 0 && at < DESCRIPTORS_MAX)
		atomic_store(&faults.ours[at], true);
	atomic_store(&faults.ours[fd], (strcmp(faults.file, "log") == 0 && segment) ||
					   (strcmp(faults.file, "index") == 0 && ends(path, "data.mdb")));
	errno = error;
	return fd;
}

static bool fails(int fd, bool sync)
{
	if (faults.calls == NULL || fd < 0 || fd >= DESCRIPTORS_MAX || sync != faults.syncs ||
	    !atomic_load(&faults.ours[fd]))
		return false;
	unsigned long call = atomic_fetch_add(faults.calls, 1) + 1;
	if (call == faults.at && faults.report >= 0)
		(void)real_write(faults.report, "failed\n", strlen("failed\n"));
	return faults.for_good ? call >= faults.at : call == faults.at;
}

/* --- the calls ------------------------------------------------------------------------------------- */

static mode_t mode_argument(int flags, va_list arguments)
{
	return (flags & (O_CREAT | O_TMPFILE)) != 0 ? (mode_t)va_arg(arguments, int) : 0;
}

#define OPEN(NAME)                                                                       \
	int NAME(const char *path, int flags, ...)                                       \
	{                                                                                \
		va_list arguments;                                                       \
		va_start(arguments, flags);                                              \
		mode_t mode = mode_argument(flags, arguments);                           \
		va_end(arguments);                                                       \
		return opened(AT_FDCWD, path, real_openat(AT_FDCWD, path, flags, mode)); \
	}
#define OPENAT(NAME)                                                         \
	int NAME(int at, const char *path, int flags, ...)                   \
	{                                                                    \
		va_list arguments;                                           \
		va_start(arguments, flags);                                  \
		mode_t mode = mode_argument(flags, arguments);               \
		va_end(arguments);                                           \
		return opened(at, path, real_openat(at, path, flags, mode)); \
	}
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

int close(int fd)
{
	if (faults.calls != NULL && fd >= 0 && fd < DESCRIPTORS_MAX)
		atomic_store(&faults.ours[fd], false);
	return real_close(fd);
}

static ssize_t put(int fd, const struct iovec *pieces, int count, off_t offset)
{
	return offset < 0 ? real_writev(fd, pieces, count) : real_pwritev(fd, pieces, count, offset);
}

static size_t size_of(const struct iovec *pieces, int count)
{
	size_t size = 0;

	for (int i = 0; i < count; i++)
		size += pieces[i].iov_len;
	return size;
}

/* The first half, at least a byte. */
static ssize_t put_half(int fd, const struct iovec *pieces, int count, off_t offset)
{
	static _Thread_local struct iovec some[PIECES_MAX];
	size_t left = (size_of(pieces, count) + 1) / 2;
	int used = 0;

	for (; used < count && used < PIECES_MAX && left > 0; used++) {
		some[used] = pieces[used];
		if (some[used].iov_len > left)
			some[used].iov_len = left;
		left -= some[used].iov_len;
	}
	return put(fd, some, used, offset);
}

/* offset < 0: where the descriptor stands. */
static ssize_t write_pieces(int fd, const struct iovec *pieces, int count, off_t offset)
{
	if (!fails(fd, false))
		return put(fd, pieces, count, offset);
	ssize_t written = put_half(fd, pieces, count, offset);
	if (faults.error == 0)
		return written;
	errno = faults.error;
	return -1;
}

ssize_t write(int fd, const void *from, size_t size)
{
	const struct iovec piece = {.iov_base = (void *)from, .iov_len = size};

	return write_pieces(fd, &piece, 1, -1);
}

ssize_t writev(int fd, const struct iovec *pieces, int count)
{
	return write_pieces(fd, pieces, count, -1);
}

#define PWRITE(NAME)                                                                    \
	ssize_t NAME(int fd, const void *from, size_t size, off_t offset)               \
	{                                                                               \
		const struct iovec piece = {.iov_base = (void *)from, .iov_len = size}; \
		return write_pieces(fd, &piece, 1, offset);                             \
	}
#define PWRITEV(NAME)                                                             \
	ssize_t NAME(int fd, const struct iovec *pieces, int count, off_t offset) \
	{                                                                         \
		return write_pieces(fd, pieces, count, offset);                   \
	}
PWRITE(pwrite)
PWRITE(pwrite64)
PWRITEV(pwritev)
PWRITEV(pwritev64)

static int sync_fails(void)
{
	errno = faults.error;
	return -1;
}

int fsync(int fd)
{
	return fails(fd, true) ? sync_fails() : real_fsync(fd);
}

int fdatasync(int fd)
{
	return fails(fd, true) ? sync_fails() : real_fdatasync(fd);
}
