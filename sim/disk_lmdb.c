#include "sim/disk_lmdb.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/rng.h"

enum {
	LMDB_PAGE = 4096,
	LMDB_SECTOR = 512,
	LMDB_PAGES = 1024, /* 4 MiB */
	LMDB_BYTES = LMDB_PAGE * LMDB_PAGES,
	LMDB_FILES = 8,
};

enum file_kind { FILE_FREE = 0, FILE_DATA, FILE_DATA_SYNC, FILE_FOLDER };

struct file {
	enum file_kind kind;
	int fd;
};

/* The file as it is for the program, or was when the power went, and as it is on the disk for certain. */
struct image {
	char now[LMDB_BYTES], synced[LMDB_BYTES];
	size_t now_size, synced_size;
	unsigned char dirty[LMDB_PAGES]; /* 1: written since the last sync; 2: a sync of it failed */
	bool name_synced;
};

struct lmdb {
	struct disk *disk;
	struct disk_index *index;
	enum disk_lmdb_lie lie;
	struct file files[LMDB_FILES];
	bool frozen; /* the power has gone: the image changes no more */
	uint64_t crashes;
	struct image image;
};

/* What is wrapped has no context: this is the only one there is. */
static struct lmdb *attached;

int __real_open(const char *path, int flags, ...);
int __real_close(int fd);
ssize_t __real_pwrite(int fd, const void *bytes, size_t size, off_t offset);
ssize_t __real_writev(int fd, const struct iovec *pieces, int count);
int __real_fdatasync(int fd);
int __real_fsync(int fd);
int __real_ftruncate(int fd, off_t size);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...); /* the name that our own code has for it */
int __wrap_close(int fd);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t size, off_t offset);
ssize_t __wrap_writev(int fd, const struct iovec *pieces, int count);
int __wrap_fdatasync(int fd);
int __wrap_fsync(int fd);
int __wrap_ftruncate(int fd, off_t size);

/* --- the image ----------------------------------------------------------------------------------- */

static void note_write(struct lmdb *l, const void *bytes, size_t size, size_t offset)
{
	struct image *m = &l->image;

	check(offset + size <= LMDB_BYTES);
	if (l->frozen || size == 0)
		return;
	memcpy(m->now + offset, bytes, size);
	if (offset + size > m->now_size)
		m->now_size = offset + size;
	for (size_t page = offset / LMDB_PAGE; page * LMDB_PAGE < offset + size; page++)
		m->dirty[page] = 1;
}

static void note_size(struct lmdb *l, size_t size)
{
	struct image *m = &l->image;

	check(size <= LMDB_BYTES);
	if (l->frozen)
		return;
	if (size > m->now_size)
		memset(m->now + m->now_size, 0, size - m->now_size);
	m->now_size = size;
}

static void note_sync(struct lmdb *l, bool failed)
{
	struct image *m = &l->image;

	if (l->frozen || l->lie == LMDB_LIE_SYNC)
		return;
	for (size_t page = 0; page < LMDB_PAGES; page++) {
		if (m->dirty[page] != 1)
			continue;
		if (!failed)
			memcpy(m->synced + page * LMDB_PAGE, m->now + page * LMDB_PAGE, LMDB_PAGE);
		m->dirty[page] = failed ? 2 : 0;
	}
	if (!failed)
		m->synced_size = m->now_size;
}

/* Written through a descriptor with O_DSYNC: these bytes alone. */
static void note_durable(struct lmdb *l, const void *bytes, size_t size, size_t offset)
{
	struct image *m = &l->image;

	if (l->frozen || l->lie == LMDB_LIE_SYNC)
		return;
	memcpy(m->synced + offset, bytes, size);
	if (offset + size > m->synced_size)
		m->synced_size = offset + size;
}

/* --- calls --------------------------------------------------------------------------------------- */

static struct file *file_of(int fd)
{
	for (int i = 0; attached != NULL && i < LMDB_FILES; i++)
		if (attached->files[i].kind != FILE_FREE && attached->files[i].fd == fd)
			return &attached->files[i];
	return NULL;
}

/* Counts it. -1 with errno: it fails. */
static int begin(struct lmdb *l)
{
	int error = disk_call(l->disk);

	l->frozen = l->frozen || disk_stopped(l->disk);
	if (error == 0)
		return 0;
	errno = -error;
	return -1;
}

static enum file_kind kind_of(const char *path, int flags)
{
	size_t size;

	if (attached == NULL)
		return FILE_FREE;
	size = strlen(attached->index->path);
	if (strncmp(path, attached->index->path, size) != 0)
		return FILE_FREE;
	if (path[size] == '\0')
		return FILE_FOLDER;
	if (strcmp(path + size, "/data.mdb") != 0)
		return FILE_FREE;
	return (flags & O_DSYNC) != 0 ? FILE_DATA_SYNC : FILE_DATA;
}

static int open_file(const char *path, int flags, mode_t mode)
{
	enum file_kind kind = kind_of(path, flags);
	if (kind == FILE_DATA && access(path, F_OK) != 0 && !attached->frozen)
		memset(&attached->image, 0, sizeof(attached->image)); /* a new one */
	int fd = __real_open(path, flags, mode);
	for (int i = 0; fd >= 0 && kind != FILE_FREE; i++) {
		check(i < LMDB_FILES);
		if (attached->files[i].kind != FILE_FREE)
			continue;
		attached->files[i] = (struct file){.kind = kind, .fd = fd};
		break;
	}
	return fd;
}

int __wrap_open(const char *path, int flags, ...)
{
	va_list arguments;

	va_start(arguments, flags);
	mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
	va_end(arguments);
	return open_file(path, flags, mode);
}

int __wrap_open64(const char *path, int flags, ...)
{
	va_list arguments;

	va_start(arguments, flags);
	mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
	va_end(arguments);
	return open_file(path, flags, mode);
}

int __wrap_close(int fd)
{
	struct file *f = file_of(fd);

	if (f != NULL)
		f->kind = FILE_FREE;
	return __real_close(fd);
}

ssize_t __wrap_pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
	struct file *f = file_of(fd);

	if (f != NULL && begin(attached) != 0)
		return -1;
	ssize_t done = __real_pwrite(fd, bytes, size, offset);
	if (f != NULL && done > 0) {
		note_write(attached, bytes, (size_t)done, (size_t)offset);
		if (f->kind == FILE_DATA_SYNC)
			note_durable(attached, bytes, (size_t)done, (size_t)offset);
	}
	return done;
}

ssize_t __wrap_writev(int fd, const struct iovec *pieces, int count)
{
	struct file *f = file_of(fd);
	off_t offset = f != NULL ? lseek(fd, 0, SEEK_CUR) : 0;

	if (f != NULL && begin(attached) != 0)
		return -1;
	ssize_t done = __real_writev(fd, pieces, count);
	size_t left = f != NULL && done > 0 ? (size_t)done : 0;
	for (int i = 0; left > 0; i++) {
		size_t part = pieces[i].iov_len < left ? pieces[i].iov_len : left;
		note_write(attached, pieces[i].iov_base, part, (size_t)offset);
		offset += (off_t)part;
		left -= part;
	}
	return done;
}

static int sync_file(struct file *f)
{
	bool failed = begin(attached) != 0;

	if (f->kind != FILE_FOLDER)
		note_sync(attached, failed);
	else if (!failed && !attached->frozen && attached->lie != LMDB_LIE_FOLDER)
		attached->image.name_synced = true;
	return failed ? -1 : 0;
}

int __wrap_fdatasync(int fd)
{
	struct file *f = file_of(fd);

	return f != NULL ? sync_file(f) : __real_fdatasync(fd);
}

int __wrap_fsync(int fd)
{
	struct file *f = file_of(fd);

	return f != NULL ? sync_file(f) : __real_fsync(fd);
}

int __wrap_ftruncate(int fd, off_t size)
{
	struct file *f = file_of(fd);

	if (f != NULL && begin(attached) != 0)
		return -1;
	int result = __real_ftruncate(fd, size);
	if (f != NULL && result == 0)
		note_size(attached, (size_t)size);
	return result;
}

/* --- the power goes ------------------------------------------------------------------------------ */

static void settle_page(struct image *m, size_t page, struct rng *rng)
{
	size_t at = page * LMDB_PAGE;
	bool torn = rng_below(rng, 4) == 0, whole = rng_below(rng, 2) == 0;

	for (size_t sector = at; sector < at + LMDB_PAGE; sector += LMDB_SECTOR)
		if (torn ? rng_below(rng, 2) == 0 : whole)
			memcpy(m->synced + sector, m->now + sector, LMDB_SECTOR);
	m->dirty[page] = 0;
}

static void settle(struct image *m, struct rng *rng)
{
	for (size_t page = 0; page < LMDB_PAGES; page++)
		if (m->dirty[page] != 0)
			settle_page(m, page, rng);
	if (rng_below(rng, 2) == 0)
		m->synced_size = m->now_size;
	size_t larger = m->now_size > m->synced_size ? m->now_size : m->synced_size;
	memset(m->synced + m->synced_size, 0, larger - m->synced_size);
	memcpy(m->now, m->synced, larger);
	m->now_size = m->synced_size;
}

static void write_image(const struct image *m, const char *path)
{
	int fd = __real_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	check(fd >= 0);
	for (size_t at = 0; at < m->now_size;) {
		ssize_t put = __real_pwrite(fd, m->now + at, m->now_size - at, (off_t)at);
		check(put > 0);
		at += (size_t)put;
	}
	(void)__real_close(fd);
}

static void crash(struct disk_index *index)
{
	struct lmdb *l = attached;
	struct rng rng;
	char path[320];

	rng_init(&rng, disk_calls(l->disk) * 1000 + ++l->crashes);
	(void)snprintf(path, sizeof(path), "%s/data.mdb", index->path);
	bool there = access(path, F_OK) == 0;
	(void)unlink(path);
	l->frozen = false;
	if (!there || (!l->image.name_synced && rng_below(&rng, 2) == 0))
		return;
	settle(&l->image, &rng);
	l->image.name_synced = true;
	write_image(&l->image, path);
}

void disk_lmdb_attach(struct disk *disk, struct disk_index *index, enum disk_lmdb_lie lie)
{
	disk_lmdb_detach();
	attached = calloc(1, sizeof(*attached));
	check(attached != NULL);
	attached->disk = disk;
	attached->index = index;
	attached->lie = lie;
	index->crash = crash;
}

void disk_lmdb_detach(void)
{
	free(attached);
	attached = NULL;
}
