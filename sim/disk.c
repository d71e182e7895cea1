#include "sim/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/rng.h"

enum {
	DISK_PAGE = 4096,
	DISK_SECTOR = 512,
	DISK_INODES = 512,
	DISK_NAMES = 512,
	DISK_FILES = 256,
	DISK_CHANGES = 1024, /* of names, that are not durable */
};

enum page_state {
	PAGE_CLEAN = 0,
	PAGE_DIRTY = 1, /* written since the last sync */
	PAGE_LOST = 2,	/* a sync of it failed: the next one does not try again, as on Linux */
};

struct bytes {
	char *data;
	size_t size, capacity;
};

/* now: what the program sees. synced: what is on the disk for certain. */
struct inode {
	struct bytes now, synced;
	unsigned char *dirty; /* per page of now: enum page_state */
	size_t dirty_capacity;
	bool touched; /* anything differs */
	bool used;
};

struct name {
	char text[FILE_NAME_SIZE];
	int inode; /* -1: free */
};

enum change_kind { CHANGE_MAKE, CHANGE_REMOVE, CHANGE_RENAME };

struct change {
	enum change_kind kind;
	char from[FILE_NAME_SIZE], to[FILE_NAME_SIZE];
	int inode;
};

struct open_file {
	int inode; /* -1: free */
	bool writes, locks;
};

struct disk {
	struct inode inodes[DISK_INODES];
	struct name now[DISK_NAMES], synced[DISK_NAMES];
	struct change changes[DISK_CHANGES];
	size_t change_count;
	struct open_file files[DISK_FILES];
	uint64_t limit_bytes;
	uint64_t calls, fail_at, stop_at;
	uint64_t removed_open;
	int error_number;
	bool forever, short_write, fail_reads, stopped;
	struct disk *frozen; /* the disk as it was when it stopped */
};

/* --- bytes --------------------------------------------------------------------------------------- */

static void bytes_resize(struct bytes *b, size_t size)
{
	if (size > b->capacity) {
		size_t capacity = b->capacity * 2 > size ? b->capacity * 2 : size;
		b->data = realloc(b->data, capacity);
		check(b->data != NULL);
		b->capacity = capacity;
	}
	if (size > b->size)
		memset(b->data + b->size, 0, size - b->size);
	b->size = size;
}

static void bytes_copy(struct bytes *to, const struct bytes *from)
{
	bytes_resize(to, from->size);
	if (from->size > 0)
		memcpy(to->data, from->data, from->size);
}

static void bytes_free(struct bytes *b)
{
	free(b->data);
	*b = (struct bytes){.data = NULL};
}

/* --- inodes and names ---------------------------------------------------------------------------- */

static void inode_clear(struct inode *i)
{
	bytes_free(&i->now);
	bytes_free(&i->synced);
	free(i->dirty);
	*i = (struct inode){.used = false};
}

static void mark(struct inode *i, size_t from, size_t to)
{
	size_t pages = (to + DISK_PAGE - 1) / DISK_PAGE;

	i->touched = true;
	if (pages > i->dirty_capacity) {
		size_t capacity = i->dirty_capacity * 2 > pages ? i->dirty_capacity * 2 : pages;
		i->dirty = realloc(i->dirty, capacity * sizeof(*i->dirty));
		check(i->dirty != NULL);
		memset(i->dirty + i->dirty_capacity, 0, (capacity - i->dirty_capacity) * sizeof(*i->dirty));
		i->dirty_capacity = capacity;
	}
	for (size_t page = from / DISK_PAGE; page < pages; page++)
		i->dirty[page] = PAGE_DIRTY;
}

static unsigned char page_state(const struct inode *i, size_t page)
{
	return page < i->dirty_capacity ? i->dirty[page] : (unsigned char)PAGE_CLEAN;
}

static void sync_inode(struct inode *i)
{
	if (!i->touched)
		return;
	i->touched = false;
	bytes_resize(&i->synced, i->now.size);
	/* Only what changed: a log is long. */
	for (size_t page = 0; page * DISK_PAGE < i->now.size; page++) {
		size_t size = i->now.size - page * DISK_PAGE;
		i->touched = i->touched || page_state(i, page) == PAGE_LOST;
		if (page_state(i, page) != PAGE_DIRTY)
			continue;
		memcpy(i->synced.data + page * DISK_PAGE, i->now.data + page * DISK_PAGE,
		       size < DISK_PAGE ? size : DISK_PAGE);
		i->dirty[page] = PAGE_CLEAN;
	}
}

static void lose_pages(struct inode *i)
{
	for (size_t page = 0; page < i->dirty_capacity; page++)
		if (i->dirty[page] == PAGE_DIRTY)
			i->dirty[page] = PAGE_LOST;
}

static struct name *find_name(struct name *names, const char *text)
{
	for (size_t i = 0; i < DISK_NAMES; i++)
		if (names[i].inode >= 0 && strcmp(names[i].text, text) == 0)
			return &names[i];
	return NULL;
}

static void put_name(struct name *names, const char *text, int inode)
{
	struct name *n = find_name(names, text);

	for (size_t i = 0; n == NULL && i < DISK_NAMES; i++)
		if (names[i].inode < 0)
			n = &names[i];
	check(n != NULL && strlen(text) < sizeof(n->text));
	memcpy(n->text, text, strlen(text) + 1);
	n->inode = inode;
}

static void remove_name(struct name *names, const char *text)
{
	struct name *n = find_name(names, text);

	if (n != NULL)
		n->inode = -1;
}

static void apply_change(struct name *names, const struct change *c)
{
	switch (c->kind) {
	case CHANGE_MAKE:
		put_name(names, c->to, c->inode);
		return;
	case CHANGE_REMOVE:
		if (find_name(names, c->from) != NULL && find_name(names, c->from)->inode == c->inode)
			remove_name(names, c->from);
		return;
	case CHANGE_RENAME:
		if (find_name(names, c->from) == NULL || find_name(names, c->from)->inode != c->inode)
			return;
		remove_name(names, c->from);
		put_name(names, c->to, c->inode);
		return;
	default:
		check_never();
	}
}

static void change(struct disk *disk, struct change c)
{
	check(disk->change_count < DISK_CHANGES);
	disk->changes[disk->change_count++] = c;
	apply_change(disk->now, &c);
}

/* Inodes without any name or descriptor left. */
static void collect(struct disk *disk)
{
	bool used[DISK_INODES] = {false};

	for (size_t i = 0; i < DISK_NAMES; i++) {
		if (disk->now[i].inode >= 0)
			used[disk->now[i].inode] = true;
		if (disk->synced[i].inode >= 0)
			used[disk->synced[i].inode] = true;
	}
	for (size_t i = 0; i < disk->change_count; i++)
		used[disk->changes[i].inode] = true;
	for (size_t i = 0; i < DISK_FILES; i++)
		if (disk->files[i].inode >= 0)
			used[disk->files[i].inode] = true;
	for (size_t i = 0; i < DISK_INODES; i++)
		if (disk->inodes[i].used && !used[i])
			inode_clear(&disk->inodes[i]);
}

/* --- making and copying -------------------------------------------------------------------------- */

static void close_all(struct disk *disk)
{
	for (size_t i = 0; i < DISK_FILES; i++)
		disk->files[i] = (struct open_file){.inode = -1};
}

struct disk *disk_new(uint64_t limit_bytes)
{
	struct disk *disk = calloc(1, sizeof(*disk));

	if (disk == NULL)
		return NULL;
	disk->limit_bytes = limit_bytes;
	for (size_t i = 0; i < DISK_NAMES; i++)
		disk->now[i].inode = disk->synced[i].inode = -1;
	close_all(disk);
	return disk;
}

static void clear(struct disk *disk)
{
	for (size_t i = 0; i < DISK_INODES; i++)
		inode_clear(&disk->inodes[i]);
	disk_free(disk->frozen);
	disk->frozen = NULL;
}

void disk_free(struct disk *disk)
{
	if (disk == NULL)
		return;
	clear(disk);
	free(disk);
}

static struct disk *copy_of(const struct disk *disk)
{
	struct disk *copy = malloc(sizeof(*copy));

	check(copy != NULL);
	memcpy(copy, disk, sizeof(*copy));
	copy->frozen = NULL;
	for (size_t i = 0; i < DISK_INODES; i++) {
		const struct inode *from = &disk->inodes[i];
		struct inode *to = &copy->inodes[i];
		*to = (struct inode){.touched = from->touched, .used = from->used};
		bytes_copy(&to->now, &from->now);
		bytes_copy(&to->synced, &from->synced);
		to->dirty_capacity = from->dirty_capacity;
		if (from->dirty_capacity > 0) {
			to->dirty = malloc(from->dirty_capacity * sizeof(*to->dirty));
			check(to->dirty != NULL);
			memcpy(to->dirty, from->dirty, from->dirty_capacity * sizeof(*to->dirty));
		}
	}
	return copy;
}

/* --- calls --------------------------------------------------------------------------------------- */

/* Counts a call. 0: goes on; -errno: fails. */
static int begin_call(struct disk *disk)
{
	disk->calls++;
	if (disk->stop_at != 0 && disk->calls >= disk->stop_at && !disk->stopped) {
		disk->frozen = copy_of(disk);
		disk->stopped = true;
	}
	if (disk->fail_at == 0 || disk->calls < disk->fail_at ||
	    (disk->calls > disk->fail_at && !disk->forever))
		return 0;
	return disk->short_write ? 0 : -disk->error_number;
}

int disk_call(struct disk *disk)
{
	return begin_call(disk);
}

static bool half_of_it(const struct disk *disk)
{
	return disk->short_write && disk->fail_at != 0 &&
	       (disk->calls == disk->fail_at || (disk->forever && disk->calls > disk->fail_at));
}

static struct inode *inode_at(struct disk *disk, int file)
{
	check(file >= 0 && file < DISK_FILES && disk->files[file].inode >= 0);
	return &disk->inodes[disk->files[file].inode];
}

static int new_inode(struct disk *disk)
{
	collect(disk);
	for (int i = 0; i < DISK_INODES; i++)
		if (!disk->inodes[i].used) {
			disk->inodes[i].used = true;
			return i;
		}
	return -1;
}

static int open_inode(struct disk *disk, int inode, int flags)
{
	for (int i = 0; i < DISK_FILES; i++) {
		if (disk->files[i].inode >= 0)
			continue;
		disk->files[i] = (struct open_file){.inode = inode, .writes = (flags & FILE_WRITE) != 0};
		return i;
	}
	return -EMFILE;
}

static int disk_open(void *context, const char *name, int flags)
{
	struct disk *disk = context;
	const struct name *n = find_name(disk->now, name);

	if (n != NULL)
		return open_inode(disk, n->inode, flags);
	if ((flags & FILE_CREATE) == 0)
		return -ENOENT;
	int error = begin_call(disk);
	if (error != 0)
		return error;
	int inode = new_inode(disk);
	if (inode < 0)
		return -ENOSPC;
	struct change c = {.kind = CHANGE_MAKE, .inode = inode};
	(void)snprintf(c.to, sizeof(c.to), "%s", name);
	change(disk, c);
	return open_inode(disk, inode, flags);
}

static void disk_close(void *context, int file)
{
	struct disk *disk = context;

	check(file >= 0 && file < DISK_FILES);
	disk->files[file] = (struct open_file){.inode = -1};
}

/* How many of these bytes there is room for. */
static size_t room_for(struct disk *disk, const struct inode *i, uint64_t offset, size_t size)
{
	uint64_t used = disk_used(disk), end = offset + size;
	uint64_t left = disk->limit_bytes > used ? disk->limit_bytes - used : 0;

	if (disk->limit_bytes == 0 || end <= i->now.size || end - i->now.size <= left)
		return size;
	uint64_t last = i->now.size + left;
	return last > offset ? (size_t)(last - offset) : 0;
}

static void store(struct inode *i, const char *data, size_t size, uint64_t offset)
{
	if (size == 0)
		return;
	if (offset + size > i->now.size) {
		mark(i, i->now.size, offset + size);
		bytes_resize(&i->now, offset + size);
	}
	memcpy(i->now.data + offset, data, size);
	mark(i, offset, offset + size);
}

static ssize_t disk_pwritev(void *context, int file, const struct iovec *pieces, int count, uint64_t offset)
{
	struct disk *disk = context;
	struct inode *i = inode_at(disk, file);
	size_t size = 0, done = 0;
	int error = begin_call(disk);

	check(disk->files[file].writes);
	for (int p = 0; p < count; p++)
		size += pieces[p].iov_len;
	size_t possible = room_for(disk, i, offset, size);
	if (possible == 0 && size > 0)
		return -ENOSPC;
	if (error != 0 || (half_of_it(disk) && size > 1))
		possible = possible < size / 2 ? possible : size / 2;
	for (int p = 0; p < count && done < possible; p++) {
		size_t left = possible - done;
		size_t part = pieces[p].iov_len < left ? pieces[p].iov_len : left;
		store(i, pieces[p].iov_base, part, offset + done);
		done += part;
	}
	return error != 0 ? error : (ssize_t)done;
}

static ssize_t disk_pread(void *context, int file, void *to, size_t size, uint64_t offset)
{
	struct disk *disk = context;
	const struct inode *i = inode_at(disk, file);

	if (disk->fail_reads)
		return -EIO;
	if (offset >= i->now.size)
		return 0;
	if (size > i->now.size - offset)
		size = (size_t)(i->now.size - offset);
	memcpy(to, i->now.data + offset, size);
	return (ssize_t)size;
}

/* Every other page is never in memory: so that both ways are taken, and the same in each run. */
static ssize_t disk_pread_cached(void *context, int file, void *to, size_t size, uint64_t offset)
{
	return offset / DISK_PAGE % 2 == 0 ? disk_pread(context, file, to, size, offset) : -EAGAIN;
}

static void disk_advise(void *context, int file, uint64_t offset, uint64_t size)
{
	(void)context;
	(void)file;
	(void)offset;
	(void)size;
}

/* After a failed sync nobody knows what reached the disk, and the next one does not try again: the dirty mark
 * is gone, as on Linux. Here: the pages stay uncertain for a crash, and a later sync does not make them
 * certain. */
static int disk_fdatasync(void *context, int file)
{
	struct disk *disk = context;
	struct inode *i = inode_at(disk, file);
	int error = begin_call(disk);

	if (error != 0) {
		lose_pages(i);
		return error;
	}
	sync_inode(i);
	return 0;
}

static int disk_truncate_file(void *context, int file, uint64_t size)
{
	struct disk *disk = context;
	struct inode *i = inode_at(disk, file);
	int error = begin_call(disk);

	if (error != 0)
		return error;
	size_t old = i->now.size;
	bytes_resize(&i->now, (size_t)size);
	mark(i, old < size ? old : (size_t)size, old < size ? (size_t)size : old);
	return 0;
}

static int disk_allocate(void *context, int file, uint64_t size)
{
	struct disk *disk = context;
	struct inode *i = inode_at(disk, file);
	int error = begin_call(disk);

	if (error != 0)
		return error;
	if (size <= i->now.size)
		return 0;
	if (room_for(disk, i, i->now.size, (size_t)size - i->now.size) < size - i->now.size)
		return -ENOSPC;
	mark(i, i->now.size, (size_t)size);
	bytes_resize(&i->now, (size_t)size);
	return 0;
}

static int disk_size(void *context, int file, uint64_t *ret_size)
{
	*ret_size = inode_at(context, file)->now.size;
	return 0;
}

static int disk_lock(void *context, int file)
{
	struct disk *disk = context;

	for (int i = 0; i < DISK_FILES; i++)
		if (i != file && disk->files[i].locks && disk->files[i].inode == disk->files[file].inode)
			return -EWOULDBLOCK;
	disk->files[file].locks = true;
	return 0;
}

static int disk_sync_folder(void *context)
{
	struct disk *disk = context;
	int error = begin_call(disk);

	if (error != 0)
		return error;
	memcpy(disk->synced, disk->now, sizeof(disk->synced));
	disk->change_count = 0;
	return 0;
}

static int disk_rename(void *context, const char *from, const char *to)
{
	struct disk *disk = context;
	const struct name *n = find_name(disk->now, from);
	struct change c = {.kind = CHANGE_RENAME};

	if (n == NULL)
		return -ENOENT;
	int error = begin_call(disk);
	if (error != 0)
		return error;
	c.inode = n->inode;
	(void)snprintf(c.from, sizeof(c.from), "%s", from);
	(void)snprintf(c.to, sizeof(c.to), "%s", to);
	change(disk, c);
	return 0;
}

uint64_t disk_removed_open(const struct disk *disk)
{
	return disk->removed_open;
}

static bool is_open(const struct disk *disk, int inode)
{
	for (size_t i = 0; i < DISK_FILES; i++)
		if (disk->files[i].inode == inode)
			return true;
	return false;
}

static int disk_unlink(void *context, const char *name)
{
	struct disk *disk = context;
	const struct name *n = find_name(disk->now, name);
	struct change c = {.kind = CHANGE_REMOVE};

	if (n == NULL)
		return -ENOENT;
	int error = begin_call(disk);
	if (error != 0)
		return error;
	c.inode = n->inode;
	disk->removed_open += is_open(disk, n->inode);
	(void)snprintf(c.from, sizeof(c.from), "%s", name);
	change(disk, c);
	return 0;
}

static int disk_list(void *context, void (*each)(void *owner, const char *name), void *owner)
{
	disk_names(context, each, owner);
	return 0;
}

static int disk_free_bytes(void *context, uint64_t *ret_bytes)
{
	struct disk *disk = context;
	uint64_t used = disk_used(disk);

	*ret_bytes = disk->limit_bytes == 0 ? UINT64_C(1) << 40
					    : (disk->limit_bytes > used ? disk->limit_bytes - used : 0);
	return 0;
}

static const struct file_ops disk_ops = {
    .open = disk_open,
    .close = disk_close,
    .pwritev = disk_pwritev,
    .pread = disk_pread,
    .pread_cached = disk_pread_cached,
    .advise = disk_advise,
    .fdatasync = disk_fdatasync,
    .truncate = disk_truncate_file,
    .allocate = disk_allocate,
    .size = disk_size,
    .lock = disk_lock,
    .sync_folder = disk_sync_folder,
    .rename = disk_rename,
    .unlink = disk_unlink,
    .list = disk_list,
    .free_bytes = disk_free_bytes,
};

struct file_system disk_files(struct disk *disk)
{
	return (struct file_system){.ops = &disk_ops, .context = disk};
}

/* --- the power goes ------------------------------------------------------------------------------ */

static bool coin(struct rng *rng)
{
	return rng_below(rng, 2) == 0;
}

/* The old or the new page, or some sectors of each. */
static void settle_page(struct inode *i, struct bytes *to, size_t page, struct rng *rng)
{
	size_t at = page * DISK_PAGE;
	bool torn = rng_below(rng, 4) == 0, whole = coin(rng);

	for (size_t sector = at; sector < at + DISK_PAGE && sector < to->size; sector += DISK_SECTOR) {
		bool new = torn ? coin(rng) : whole;
		size_t end = sector + DISK_SECTOR < to->size ? sector + DISK_SECTOR : to->size;
		const struct bytes *from = new ? &i->now : &i->synced;
		for (size_t b = sector; b < end; b++)
			to->data[b] = (char)(b < from->size ? from->data[b] : 0);
	}
}

static size_t settle_size(const struct inode *i, struct rng *rng)
{
	size_t low = i->now.size < i->synced.size ? i->now.size : i->synced.size;
	size_t high = i->now.size < i->synced.size ? i->synced.size : i->now.size;

	switch (rng_below(rng, 3)) {
	case 0:
		return i->synced.size;
	case 1:
		return i->now.size;
	default:
		high = (low + rng_below(rng, high - low + 1)) / DISK_PAGE * DISK_PAGE;
		return high < low ? low : high; /* what both have stays */
	}
}

static void settle_inode(struct inode *i, struct rng *rng)
{
	struct bytes left = {.data = NULL};

	if (!i->used || !i->touched)
		return;
	bytes_copy(&left, &i->synced);
	bytes_resize(&left, settle_size(i, rng));
	for (size_t page = 0; page < i->dirty_capacity && page * DISK_PAGE < left.size; page++)
		if (i->dirty[page] != PAGE_CLEAN)
			settle_page(i, &left, page, rng);
	bytes_free(&i->now);
	bytes_free(&i->synced);
	i->now = left;
	bytes_copy(&i->synced, &left);
	if (i->dirty_capacity > 0)
		memset(i->dirty, 0, i->dirty_capacity * sizeof(*i->dirty));
	i->touched = false;
}

/* Each operation on names happened or not; none happens in part. */
static void settle_names(struct disk *disk, struct rng *rng)
{
	for (size_t i = 0; i < disk->change_count; i++)
		if (coin(rng))
			apply_change(disk->synced, &disk->changes[i]);
	disk->change_count = 0;
	memcpy(disk->now, disk->synced, sizeof(disk->now));
}

void disk_crash(struct disk *disk, uint64_t seed)
{
	struct rng rng;

	rng_init(&rng, seed);
	if (disk->frozen != NULL) {
		struct disk *frozen = disk->frozen;
		uint64_t calls = disk->calls;
		disk->frozen = NULL;
		clear(disk);
		memcpy(disk, frozen, sizeof(*disk));
		disk->calls = calls;
		free(frozen);
	}
	disk->stopped = false;
	disk->stop_at = 0;
	settle_names(disk, &rng);
	for (size_t i = 0; i < DISK_INODES; i++)
		settle_inode(&disk->inodes[i], &rng);
	close_all(disk);
	collect(disk);
}

void disk_drop_process(struct disk *disk)
{
	close_all(disk);
	collect(disk);
}

/* --- control ------------------------------------------------------------------------------------- */

uint64_t disk_calls(const struct disk *disk)
{
	return disk->calls;
}

void disk_fail_at(struct disk *disk, uint64_t at, int error_number, bool forever, bool short_write)
{
	disk->fail_at = at > 0 ? disk->calls + at : 0;
	disk->error_number = error_number;
	disk->forever = forever;
	disk->short_write = short_write;
}

void disk_stop_at(struct disk *disk, uint64_t at)
{
	disk->stop_at = at > 0 ? disk->calls + at : 0;
}

bool disk_stopped(const struct disk *disk)
{
	return disk->stopped;
}

void disk_fail_reads(struct disk *disk, bool fail)
{
	disk->fail_reads = fail;
}

void disk_set_limit(struct disk *disk, uint64_t limit_bytes)
{
	disk->limit_bytes = limit_bytes;
}

/* What an unlinked file took is free at once, though a crash may bring it back. */
uint64_t disk_used(const struct disk *disk)
{
	bool counted[DISK_INODES] = {false};
	uint64_t used = 0;

	for (size_t i = 0; i < DISK_NAMES + DISK_FILES; i++) {
		int inode = i < DISK_NAMES ? disk->now[i].inode : disk->files[i - DISK_NAMES].inode;
		if (inode < 0 || counted[inode])
			continue;
		counted[inode] = true;
		used += disk->inodes[inode].now.size;
	}
	return used;
}

char *disk_bytes(struct disk *disk, const char *name, size_t *ret_size)
{
	const struct name *n = find_name(disk->now, name);

	if (n == NULL)
		return NULL;
	*ret_size = disk->inodes[n->inode].now.size;
	return disk->inodes[n->inode].now.data;
}

bool disk_remove(struct disk *disk, const char *name)
{
	return disk_unlink(disk, name) == 0;
}

void disk_truncate(struct disk *disk, const char *name, size_t size)
{
	const struct name *n = find_name(disk->now, name);

	check(n != NULL);
	bytes_resize(&disk->inodes[n->inode].now, size);
	bytes_resize(&disk->inodes[n->inode].synced, size);
}

void disk_names(struct disk *disk, void (*each)(void *owner, const char *name), void *owner)
{
	for (size_t i = 0; i < DISK_NAMES; i++)
		if (disk->now[i].inode >= 0)
			each(owner, disk->now[i].text);
}
