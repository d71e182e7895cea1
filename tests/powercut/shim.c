/* A power cut under a program that is none the wiser: preloaded (LD_PRELOAD), it stands in for the calls with
 * which restante and LMDB write below one folder, remembers what is not synced, and at one of the syncs takes
 * back what a power cut might (unsynced.h) and kills the process group.
 *
 *   POWERCUT_ROOT    the folder; without it nothing is done
 *   POWERCUT_ASIDE   a folder on the same file system for removed files; whoever the program becomes may
 * write there POWERCUT_AT      the cut comes at this sync, counted from 1 over all threads and children; 0:
 * never POWERCUT_COUNT   "all": writes and changes of names count as well POWERCUT_SEED    of the coins
 *   POWERCUT_UNIT    512 (sectors: torn pages) or 4096
 *   POWERCUT_LIE     any of "log index folder": these syncs do nothing
 *   POWERCUT_REPORT  file for one line that says what the cut did
 *
 * What is taken back is taken back by a child, after the death of the others; it holds the standard output
 * until it has done.
 *
 * No real sync is made: the machine stays up, and the page cache is as good as a disk then. All calls on the
 * folder are done one after the other.
 */
#undef _FILE_OFFSET_BITS /* both names of each call are defined here */
#undef _FORTIFY_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "real.h"
#include "unsynced.h"

enum { DESCRIPTORS_MAX = 65536 };

/* What the supervisor and its workers share. */
struct shared {
	atomic_ulong syncs;
	atomic_bool dead;
};

struct descriptor {
	struct unsynced_file *file;
	bool synced_writes; /* O_DSYNC or O_SYNC */
	bool appends;
};

static struct {
	bool on, count_all;
	unsigned long at;
	int report;
	struct shared *shared;
	pthread_mutex_t lock;
	struct descriptor descriptors[DESCRIPTORS_MAX];
} shim = {.lock = PTHREAD_MUTEX_INITIALIZER};

static pid_t (*next_fork(void))(void)
{
	pid_t (*real)(void);

	*(void **)&real = dlsym(RTLD_NEXT, "fork");
	return real;
}

/* --- beginning and end ------------------------------------------------------------------------------ */

static unsigned long number_of(const char *name)
{
	const char *text = getenv(name);

	return text != NULL ? strtoul(text, NULL, 10) : 0;
}

static unsigned lies(void)
{
	const char *text = getenv("POWERCUT_LIE");
	unsigned lie = 0;

	if (text == NULL)
		return 0;
	lie |= strstr(text, "log") != NULL ? LIE_LOG : 0;
	lie |= strstr(text, "index") != NULL ? LIE_INDEX : 0;
	lie |= strstr(text, "folder") != NULL ? LIE_FOLDER : 0;
	return lie;
}

__attribute__((constructor)) static void begin(void)
{
	const char *root = getenv("POWERCUT_ROOT"), *aside = getenv("POWERCUT_ASIDE"),
		   *count = getenv("POWERCUT_COUNT");
	const char *report = getenv("POWERCUT_REPORT");

	if (root == NULL || aside == NULL)
		return;
	struct unsynced_config config = {
	    .root = root,
	    .aside = real_openat(AT_FDCWD, aside, O_PATH | O_DIRECTORY | O_CLOEXEC, 0),
	    .lies = lies(),
	    .unit_bytes = number_of("POWERCUT_UNIT") == 512 ? 512 : 4096,
	    .seed = number_of("POWERCUT_SEED"),
	};
	shim.shared =
	    mmap(NULL, sizeof(*shim.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	shim.report = report != NULL
			  ? real_openat(AT_FDCWD, report, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)
			  : -1;
	if (config.aside < 0 || shim.shared == MAP_FAILED)
		abort();
	shim.at = number_of("POWERCUT_AT");
	shim.count_all = count != NULL && strcmp(count, "all") == 0;
	unsynced_init(&config);
	shim.on = true;
}

static void report(const char *call, const struct unsynced_result *r)
{
	char line[256];
	int size = snprintf(
	    line, sizeof(line),
	    "cut at %s: units kept %zu lost %zu, sizes kept %zu lost %zu, names kept %zu lost %zu\n", call,
	    r->units_kept, r->units_lost, r->sizes_kept, r->sizes_lost, r->names_kept, r->names_lost);

	if (shim.report >= 0)
		(void)real_write(shim.report, line, (size_t)size);
}

/* In the child, out of the group: when its parent is dead, nobody sees what happens to the files. */
_Noreturn static void take_back(pid_t parent, const char *call)
{
	const struct timespec moment = {.tv_nsec = 200000};
	struct unsynced_result result;

	while (getppid() == parent)
		(void)nanosleep(&moment, NULL);
	unsynced_cut(&result);
	report(call, &result);
	_exit(0);
}

_Noreturn static void cut(const char *call)
{
	pid_t self = getpid(), child = next_fork()();

	if (child < 0)
		abort();
	if (child == 0) {
		(void)setsid();
		atomic_store(&shim.shared->dead, true);
		take_back(self, call);
	}
	while (!atomic_load(&shim.shared->dead))
		(void)sched_yield();
	(void)kill(0, SIGKILL); /* the supervisor may be another user: then it dies at its next fork */
	(void)kill(self, SIGKILL);
	for (;;)
		(void)pause();
}

/* Says whether the cut is to come behind the call that is about to be made; or it comes now. */
static bool due(const char *call)
{
	bool now = atomic_fetch_add(&shim.shared->syncs, 1) + 1 == shim.at;

	if (now && unsynced_coin(128))
		cut(call);
	return now;
}

static void done(bool is_due, const char *call)
{
	if (is_due)
		cut(call);
}

/* --- descriptors ------------------------------------------------------------------------------------ */

static void enter(void)
{
	pthread_mutex_lock(&shim.lock);
}

/* Keeps errno. */
static void leave(void)
{
	int error = errno;

	pthread_mutex_unlock(&shim.lock);
	errno = error;
}

static struct descriptor *descriptor(int fd)
{
	static struct descriptor none;

	return shim.on && fd >= 0 && fd < DESCRIPTORS_MAX ? &shim.descriptors[fd] : &none;
}

static int opened(int fd, int flags)
{
	int error = errno;

	if (fd < 0)
		return fd;
	if (fd >= DESCRIPTORS_MAX)
		abort();
	shim.descriptors[fd] = (struct descriptor){
	    .file = (flags & O_PATH) == 0 ? unsynced_file(fd) : NULL,
	    .synced_writes = (flags & (O_DSYNC | O_SYNC)) != 0,
	    .appends = (flags & O_APPEND) != 0,
	};
	errno = error;
	return fd;
}

/* --- size and contents ------------------------------------------------------------------------------- */

static int resize(int fd, off_t size)
{
	enter();
	struct unsynced_file *file = descriptor(fd)->file;
	bool is_due = file != NULL && shim.count_all && due("ftruncate");
	if (file != NULL)
		unsynced_resize(file, (uint64_t)size);
	int result = real_ftruncate(fd, size);
	done(is_due, "ftruncate");
	leave();
	return result;
}

static int allocate(int fd, int mode, off_t offset, off_t size)
{
	struct stat status;

	enter();
	struct unsynced_file *file = descriptor(fd)->file;
	if (file != NULL && fstat(fd, &status) == 0 && offset + size > status.st_size)
		unsynced_resize(file, (uint64_t)(offset + size));
	int result = real_fallocate(fd, mode, offset, size);
	leave();
	return result;
}

static uint64_t size_of(const struct iovec *pieces, int count)
{
	uint64_t size = 0;

	for (int i = 0; i < count; i++)
		size += pieces[i].iov_len;
	return size;
}

/* offset < 0: where the descriptor stands. */
static ssize_t write_pieces(int fd, const struct iovec *pieces, int count, off_t offset)
{
	const struct descriptor *d = descriptor(fd);

	if (d->file == NULL)
		return offset < 0 ? real_writev(fd, pieces, count) : real_pwritev(fd, pieces, count, offset);
	enter();
	uint64_t size = size_of(pieces, count);
	uint64_t at = (uint64_t)(offset >= 0 ? offset : lseek(fd, 0, d->appends ? SEEK_END : SEEK_CUR));
	unsynced_write(d->file, at, size);
	ssize_t result =
	    offset < 0 ? real_writev(fd, pieces, count) : real_pwritev(fd, pieces, count, offset);
	bool is_due =
	    (d->synced_writes || shim.count_all) && due(d->synced_writes ? "synced write" : "write");
	if (d->synced_writes)
		unsynced_sync_range(d->file, at, size);
	done(is_due, d->synced_writes ? "synced write" : "write");
	leave();
	return result;
}

static int sync_it(int fd, const char *call)
{
	if (!shim.on)
		return call[1] == 's' ? real_fsync(fd) : real_fdatasync(fd);
	enter();
	struct unsynced_file *file = descriptor(fd)->file;
	struct unsynced_folder *folder = file == NULL ? unsynced_folder(fd) : NULL;
	bool is_due = (file != NULL || folder != NULL) && due(call);
	if (file != NULL)
		unsynced_sync(file);
	else if (folder != NULL)
		unsynced_sync_folder(folder);
	done(is_due, call);
	leave();
	return 0;
}

/* --- names ------------------------------------------------------------------------------------------- */

/* The folder that a new or changing name is in; NULL: none of ours. */
static struct unsynced_folder *folder_of(int at, const char *path, const char **ret_name)
{
	return shim.on ? unsynced_folder_of(at, path, ret_name) : NULL;
}

static bool is_there(int at, const char *path, mode_t *ret_mode)
{
	struct stat status;

	if (fstatat(at, path, &status, AT_SYMLINK_NOFOLLOW) != 0)
		return false;
	*ret_mode = status.st_mode;
	return true;
}

static int open_at(int at, const char *path, int flags, mode_t mode)
{
	const char *name = "";
	mode_t old_mode;

	if (!shim.on)
		return real_openat(at, path, flags, mode);
	enter();
	struct unsynced_folder *folder = (flags & O_CREAT) != 0 ? folder_of(at, path, &name) : NULL;
	bool is_new = folder != NULL && !is_there(at, path, &old_mode);
	bool is_due = is_new && shim.count_all && due("creat");
	bool empties = (flags & O_TRUNC) != 0 && folder != NULL && !is_new;
	int fd = opened(real_openat(at, path, empties ? flags & ~O_TRUNC : flags, mode), flags);
	if (fd >= 0 && is_new)
		unsynced_made(folder, name);
	done(is_due, "creat");
	leave();
	if (fd >= 0 && empties)
		(void)resize(fd, 0);
	return fd;
}

static int make_folder(int at, const char *path, mode_t mode)
{
	const char *name = "";

	if (!shim.on)
		return real_mkdirat(at, path, mode);
	enter();
	struct unsynced_folder *folder = folder_of(at, path, &name);
	int result = real_mkdirat(at, path, mode);
	if (result == 0 && folder != NULL)
		unsynced_made(folder, name);
	leave();
	return result;
}

static int remove_name(int at, const char *path, int flags)
{
	const char *name = "";
	mode_t mode = 0;

	if (!shim.on)
		return real_unlinkat(at, path, flags);
	enter();
	struct unsynced_folder *folder = folder_of(at, path, &name);
	bool ours = folder != NULL && is_there(at, path, &mode) && S_ISREG(mode);
	bool is_due = ours && shim.count_all && due("unlink");
	int result = ours ? unsynced_remove(folder, name) : real_unlinkat(at, path, flags);
	done(is_due, "unlink");
	leave();
	return result;
}

static int change_name(int from_at, const char *from, int to_at, const char *to)
{
	const char *name = "", *new_name = "";

	if (!shim.on)
		return real_renameat(from_at, from, to_at, to);
	enter();
	struct unsynced_folder *folder = folder_of(from_at, from, &name),
			       *to_folder = folder_of(to_at, to, &new_name);
	bool ours = folder != NULL && to_folder != NULL;
	bool is_due = ours && shim.count_all && due("rename");
	int result = ours ? unsynced_rename(folder, name, to_folder, new_name)
			  : real_renameat(from_at, from, to_at, to);
	done(is_due, "rename");
	leave();
	return result;
}

/* --- the calls, by their names ----------------------------------------------------------------------- */

/* The third or fourth argument of open is there only with O_CREAT. */
static mode_t mode_argument(int flags, va_list arguments)
{
	return (flags & (O_CREAT | O_TMPFILE)) != 0 ? (mode_t)va_arg(arguments, int) : 0;
}

#define OPEN(NAME)                                             \
	int NAME(const char *path, int flags, ...)             \
	{                                                      \
		va_list arguments;                             \
		va_start(arguments, flags);                    \
		mode_t mode = mode_argument(flags, arguments); \
		va_end(arguments);                             \
		return open_at(AT_FDCWD, path, flags, mode);   \
	}
#define OPENAT(NAME)                                           \
	int NAME(int at, const char *path, int flags, ...)     \
	{                                                      \
		va_list arguments;                             \
		va_start(arguments, flags);                    \
		mode_t mode = mode_argument(flags, arguments); \
		va_end(arguments);                             \
		return open_at(at, path, flags, mode);         \
	}
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

int creat(const char *path, mode_t mode)
{
	return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

int close(int fd)
{
	if (descriptor(fd)->file == NULL)
		return real_close(fd);
	enter();
	descriptor(fd)->file = NULL;
	int result = real_close(fd);
	leave();
	return result;
}

ssize_t write(int fd, const void *from, size_t size)
{
	const struct iovec piece = {.iov_base = (void *)from, .iov_len = size};

	return descriptor(fd)->file == NULL ? real_write(fd, from, size) : write_pieces(fd, &piece, 1, -1);
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

int ftruncate(int fd, off_t size)
{
	return resize(fd, size);
}

int ftruncate64(int fd, off_t size)
{
	return resize(fd, size);
}

int fallocate(int fd, int mode, off_t offset, off_t size)
{
	return allocate(fd, mode, offset, size);
}

int fallocate64(int fd, int mode, off_t offset, off_t size)
{
	return allocate(fd, mode, offset, size);
}

int posix_fallocate(int fd, off_t offset, off_t size)
{
	return allocate(fd, 0, offset, size) == 0 ? 0 : errno;
}

int posix_fallocate64(int fd, off_t offset, off_t size)
{
	return posix_fallocate(fd, offset, size);
}

int fsync(int fd)
{
	return sync_it(fd, "fsync");
}

int fdatasync(int fd)
{
	return sync_it(fd, "fdatasync");
}

int mkdir(const char *path, mode_t mode)
{
	return make_folder(AT_FDCWD, path, mode);
}

int mkdirat(int at, const char *path, mode_t mode)
{
	return make_folder(at, path, mode);
}

int unlink(const char *path)
{
	return remove_name(AT_FDCWD, path, 0);
}

int unlinkat(int at, const char *path, int flags)
{
	return remove_name(at, path, flags);
}

int rename(const char *from, const char *to)
{
	return change_name(AT_FDCWD, from, AT_FDCWD, to);
}

int renameat(int from_at, const char *from, int to_at, const char *to)
{
	return change_name(from_at, from, to_at, to);
}

/* After the cut nothing starts anew. */
pid_t fork(void)
{
	if (shim.on && atomic_load(&shim.shared->dead))
		(void)raise(SIGKILL);
	return next_fork()();
}
