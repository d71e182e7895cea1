#include "unsynced.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "real.h"

enum { PATH_SIZE = 4096, FILES_MAX = 4096, FOLDERS_MAX = 256, NAME_SIZE = 128, UNITS_FIRST = 64 };

struct unit {
	uint64_t number; /* counted from 1; 0: this place is free */
	char *old;	 /* NULL: zeros */
};

struct unsynced_file {
	dev_t device;
	ino_t inode;
	int fd;	      /* ours, for reading and writing; never closed: that would drop LMDB's locks */
	unsigned lie; /* LIE_LOG, LIE_INDEX or 0 */
	uint64_t synced_bytes;
	bool resized;
	struct unit *units; /* open hash table */
	size_t count, capacity;
};

struct unsynced_folder {
	dev_t device;
	ino_t inode;
	int fd;
	unsigned lie;  /* LIE_FOLDER or 0 */
	unsigned keep; /* chance of 256, of this cut */
};

enum name_kind { NAME_MADE = 0, NAME_REMOVED = 1, NAME_CHANGED = 2 };

struct name {
	enum name_kind kind;
	struct unsynced_folder *folder, *to_folder;
	char from[NAME_SIZE], to[NAME_SIZE];
	unsigned saved; /* number of the file aside, 0: none */
	bool kept;	/* by this cut */
	struct name *older;
};

static struct {
	struct unsynced_config config;
	size_t root_size;
	struct unsynced_file *files[FILES_MAX];
	size_t file_count;
	struct unsynced_folder folders[FOLDERS_MAX];
	size_t folder_count;
	struct name *newest;
	unsigned saved;
	uint64_t random;
} all;

_Noreturn static void give_up(const char *what)
{
	(void)fprintf(stderr, "powercut: %s: %s\n", what, strerror(errno));
	abort();
}

static void *need(void *memory)
{
	if (memory == NULL)
		give_up("memory");
	return memory;
}

/* --- chance -------------------------------------------------------------------------------------- */

static uint64_t draw(void) /* splitmix64 */
{
	uint64_t z = (all.random += UINT64_C(0x9e3779b97f4a7c15));
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

bool unsynced_coin(unsigned chance)
{
	return draw() % 256 < chance;
}

/* Also the extremes: a disk that wrote everything but one file, or nothing at all. */
static unsigned draw_chance(void)
{
	static const unsigned chances[] = {0, 26, 128, 128, 230, 256};

	return chances[draw() % (sizeof(chances) / sizeof(chances[0]))];
}

void unsynced_init(const struct unsynced_config *config)
{
	all.config = *config;
	all.root_size = strlen(config->root);
	all.random = config->seed;
}

/* --- what is below the root ------------------------------------------------------------------------ */

static const char *own_link(int fd, char to[32])
{
	(void)snprintf(to, 32, "/proc/self/fd/%d", fd);
	return to;
}

/* The path of fd behind the root ("" for the root itself), or NULL. */
static const char *path_below(int fd, char path[PATH_SIZE])
{
	char link[32];
	ssize_t size = readlink(own_link(fd, link), path, PATH_SIZE - 1);

	if (size < 0 || (size_t)size < all.root_size || memcmp(path, all.config.root, all.root_size) != 0)
		return NULL;
	path[size] = '\0';
	return path[all.root_size] == '/' || path[all.root_size] == '\0' ? path + all.root_size : NULL;
}

static bool ends_with(const char *text, const char *end)
{
	size_t size = strlen(text), end_size = strlen(end);

	return size >= end_size && memcmp(text + size - end_size, end, end_size) == 0;
}

static unsigned lie_of(const char *path)
{
	unsigned which = ends_with(path, ".log") ? LIE_LOG : ends_with(path, "/data.mdb") ? LIE_INDEX : 0;

	return which & all.config.lies;
}

static struct unsynced_file *new_file(int fd, const struct stat *status, const char *path)
{
	char link[32];
	int own = real_openat(AT_FDCWD, own_link(fd, link), O_RDWR | O_CLOEXEC, 0);

	if (own < 0)
		return NULL; /* another user's, only read here */
	struct unsynced_file *file = need(calloc(1, sizeof(*file)));
	file->device = status->st_dev;
	file->inode = status->st_ino;
	file->synced_bytes = (uint64_t)status->st_size;
	file->lie = lie_of(path);
	file->fd = own;
	if (all.file_count == FILES_MAX)
		give_up(path);
	all.files[all.file_count++] = file;
	return file;
}

struct unsynced_file *unsynced_file(int fd)
{
	char path[PATH_SIZE];
	struct stat status;

	if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
		return NULL;
	const char *below = path_below(fd, path);
	if (below == NULL || ends_with(below, "/lock.mdb")) /* that one lives in a mapping */
		return NULL;
	for (size_t i = 0; i < all.file_count; i++)
		if (all.files[i]->inode == status.st_ino && all.files[i]->device == status.st_dev)
			return all.files[i];
	return new_file(fd, &status, below);
}

struct unsynced_folder *unsynced_folder(int fd)
{
	char path[PATH_SIZE], link[32];
	struct stat status;

	if (fstat(fd, &status) != 0 || !S_ISDIR(status.st_mode) || path_below(fd, path) == NULL)
		return NULL;
	for (size_t i = 0; i < all.folder_count; i++)
		if (all.folders[i].inode == status.st_ino && all.folders[i].device == status.st_dev)
			return &all.folders[i];
	int copy = real_openat(AT_FDCWD, own_link(fd, link), O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	if (copy < 0 || all.folder_count == FOLDERS_MAX)
		give_up(path);
	struct unsynced_folder *folder = &all.folders[all.folder_count++];
	*folder = (struct unsynced_folder){.device = status.st_dev, .inode = status.st_ino, .fd = copy};
	folder->lie = ends_with(path, "/spool") ? all.config.lies & LIE_FOLDER : 0;
	return folder;
}

struct unsynced_folder *unsynced_folder_of(int at, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	size_t size = slash == NULL ? 0 : (size_t)(slash - path) + 1;
	char parent[PATH_SIZE] = ".";

	if (size >= sizeof(parent))
		return NULL;
	memcpy(parent, path, size);
	parent[size > 0 ? size : 1] = '\0';
	int fd = real_openat(at, parent, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0)
		return NULL;
	struct unsynced_folder *folder = unsynced_folder(fd);
	(void)real_close(fd);
	*ret_name = path + size;
	return folder;
}

/* --- contents -------------------------------------------------------------------------------------- */

static struct unit *find_unit(const struct unsynced_file *file, uint64_t number)
{
	size_t at = (number * UINT64_C(0x9e3779b97f4a7c15)) >> 32 & (file->capacity - 1);

	while (file->units[at].number != 0 && file->units[at].number != number)
		at = (at + 1) & (file->capacity - 1);
	return &file->units[at];
}

static void grow(struct unsynced_file *file)
{
	struct unsynced_file larger = *file;

	larger.capacity = file->capacity > 0 ? 2 * file->capacity : UNITS_FIRST;
	larger.units = need(calloc(larger.capacity, sizeof(*larger.units)));
	for (size_t i = 0; i < file->capacity; i++)
		if (file->units[i].number != 0)
			*find_unit(&larger, file->units[i].number) = file->units[i];
	free(file->units);
	*file = larger;
}

static uint64_t size_of(const struct unsynced_file *file)
{
	struct stat status;

	if (fstat(file->fd, &status) != 0)
		give_up("fstat");
	return (uint64_t)status.st_size;
}

static void remember_unit(struct unsynced_file *file, uint64_t number, uint64_t file_bytes)
{
	size_t unit_bytes = all.config.unit_bytes;
	uint64_t offset = (number - 1) * unit_bytes;

	if (2 * (file->count + 1) > file->capacity)
		grow(file);
	struct unit *unit = find_unit(file, number);
	if (unit->number != 0)
		return;
	*unit = (struct unit){.number = number};
	file->count++;
	if (offset >= file_bytes)
		return;
	unit->old = need(calloc(1, unit_bytes));
	if (pread(file->fd, unit->old, unit_bytes, (off_t)offset) < 0)
		give_up("pread");
}

static void remember(struct unsynced_file *file, uint64_t offset, uint64_t size, uint64_t file_bytes)
{
	uint64_t first = offset / all.config.unit_bytes + 1;

	for (uint64_t number = first; size > 0 && number <= (offset + size - 1) / all.config.unit_bytes + 1;
	     number++)
		remember_unit(file, number, file_bytes);
}

void unsynced_write(struct unsynced_file *file, uint64_t offset, uint64_t size)
{
	uint64_t file_bytes = size_of(file);

	remember(file, offset, size, file_bytes);
	if (offset + size > file_bytes)
		file->resized = true;
}

/* What is cut off. Holes and space that was never written are left out: they are zeros. */
void unsynced_resize(struct unsynced_file *file, uint64_t size)
{
	uint64_t file_bytes = size_of(file);

	file->resized = file->resized || size != file_bytes;
	for (uint64_t at = size; at < file_bytes;) {
		off_t data = lseek(file->fd, (off_t)at, SEEK_DATA);
		off_t end = data >= 0 ? lseek(file->fd, data, SEEK_HOLE) : -1;
		if (data < 0 || end <= data)
			break;
		remember(file, (uint64_t)data, (uint64_t)(end - data), file_bytes);
		at = (uint64_t)end;
	}
}

static void forget(struct unsynced_file *file)
{
	for (size_t i = 0; i < file->capacity; i++)
		free(file->units[i].old);
	free(file->units);
	file->units = NULL;
	file->count = file->capacity = 0;
}

void unsynced_sync(struct unsynced_file *file)
{
	if (file->lie != 0)
		return;
	forget(file);
	file->resized = false;
	file->synced_bytes = size_of(file);
}

/* A free place would break the chains of the table, so each unit of the range now has its new content as the
 * old. */
void unsynced_sync_range(struct unsynced_file *file, uint64_t offset, uint64_t size)
{
	if (file->lie != 0)
		return;
	uint64_t first = offset / all.config.unit_bytes + 1,
		 last = (offset + size - 1) / all.config.unit_bytes + 1;
	for (uint64_t number = first; size > 0 && number <= last && file->capacity > 0; number++) {
		struct unit *unit = find_unit(file, number);
		if (unit->number == 0)
			continue;
		if (unit->old == NULL)
			unit->old = need(calloc(1, all.config.unit_bytes));
		if (pread(file->fd, unit->old, all.config.unit_bytes,
			  (off_t)((number - 1) * all.config.unit_bytes)) < 0)
			give_up("pread");
	}
	if (offset + size > file->synced_bytes)
		file->synced_bytes = offset + size;
}

static void take_back_unit(const struct unsynced_file *file, const struct unit *unit)
{
	static const char zeros[4096];
	const char *old = unit->old != NULL ? unit->old : zeros;

	if (real_pwrite(file->fd, old, all.config.unit_bytes,
			(off_t)((unit->number - 1) * all.config.unit_bytes)) < 0)
		give_up("pwrite");
}

/* The new one, the old one, or one between. */
static uint64_t draw_size(const struct unsynced_file *file, uint64_t bytes, struct unsynced_result *result)
{
	uint64_t low = bytes < file->synced_bytes ? bytes : file->synced_bytes;
	uint64_t high = bytes < file->synced_bytes ? file->synced_bytes : bytes;

	if (!file->resized || low == high || unsynced_coin(128)) {
		result->sizes_kept += file->resized;
		return bytes;
	}
	result->sizes_lost++;
	if (unsynced_coin(128))
		return file->synced_bytes;
	return low + (draw() % (high - low)) / all.config.unit_bytes * all.config.unit_bytes;
}

static void cut_file(struct unsynced_file *file, struct unsynced_result *result)
{
	unsigned keep = draw_chance();
	uint64_t bytes = draw_size(file, size_of(file), result);

	if (file->count == 0 && !file->resized)
		return;
	for (size_t i = 0; i < file->capacity; i++) {
		if (file->units[i].number == 0)
			continue;
		bool kept = unsynced_coin(keep);
		if (!kept)
			take_back_unit(file, &file->units[i]);
		result->units_kept += kept;
		result->units_lost += !kept;
	}
	if (real_ftruncate(file->fd, (off_t)bytes) != 0)
		give_up("ftruncate");
}

/* --- names ----------------------------------------------------------------------------------------- */

static const char *aside_name(unsigned number, char to[NAME_SIZE])
{
	(void)snprintf(to, NAME_SIZE, "%ld-%u", (long)getpid(), number);
	return to;
}

static void add_name(enum name_kind kind, struct unsynced_folder *folder, const char *from,
		     struct unsynced_folder *to_folder, const char *to, unsigned saved)
{
	struct name *name = need(calloc(1, sizeof(*name)));

	*name = (struct name){
	    .kind = kind, .folder = folder, .to_folder = to_folder, .saved = saved, .older = all.newest};
	(void)snprintf(name->from, sizeof(name->from), "%s", from);
	(void)snprintf(name->to, sizeof(name->to), "%s", to);
	all.newest = name;
}

void unsynced_made(struct unsynced_folder *folder, const char *name)
{
	add_name(NAME_MADE, folder, name, folder, name, 0);
}

int unsynced_remove(struct unsynced_folder *folder, const char *name)
{
	char aside[NAME_SIZE];

	if (real_renameat(folder->fd, name, all.config.aside, aside_name(all.saved + 1, aside)) != 0)
		return -1;
	add_name(NAME_REMOVED, folder, name, folder, name, ++all.saved);
	return 0;
}

int unsynced_rename(struct unsynced_folder *from, const char *name, struct unsynced_folder *to,
		    const char *new_name)
{
	char aside[NAME_SIZE];
	bool saved = linkat(to->fd, new_name, all.config.aside, aside_name(all.saved + 1, aside), 0) == 0;

	if (real_renameat(from->fd, name, to->fd, new_name) != 0)
		return -1;
	if (saved)
		all.saved++;
	add_name(NAME_CHANGED, from, name, to, new_name, saved ? all.saved : 0);
	return 0;
}

void unsynced_sync_folder(struct unsynced_folder *folder)
{
	if (folder->lie != 0)
		return;
	for (struct name **at = &all.newest; *at != NULL;) {
		struct name *name = *at;
		if (name->folder != folder && name->to_folder != folder) {
			at = &name->older;
			continue;
		}
		*at = name->older;
		free(name);
	}
}

static bool same_place(const struct unsynced_folder *a, const char *a_name, const struct unsynced_folder *b,
		       const char *b_name)
{
	return a == b && strcmp(a_name, b_name) == 0;
}

/* Whether a younger operation on one of its names stays: then this one must stay too. */
static bool is_built_upon(const struct name *name)
{
	for (const struct name *n = all.newest; n != name; n = n->older)
		if (n->kept && (same_place(n->folder, n->from, name->folder, name->from) ||
				same_place(n->folder, n->from, name->to_folder, name->to) ||
				same_place(n->to_folder, n->to, name->folder, name->from) ||
				same_place(n->to_folder, n->to, name->to_folder, name->to)))
			return true;
	return false;
}

static bool take_back_name(const struct name *name)
{
	char aside[NAME_SIZE];
	int own = all.config.aside;

	switch (name->kind) {
	case NAME_MADE:
		return real_renameat(name->folder->fd, name->from, own, aside_name(++all.saved, aside)) == 0;
	case NAME_REMOVED:
		return real_renameat(own, aside_name(name->saved, aside), name->folder->fd, name->from) == 0;
	case NAME_CHANGED:
	default:
		if (real_renameat(name->to_folder->fd, name->to, name->folder->fd, name->from) != 0)
			return false;
		return name->saved == 0 ||
		       real_renameat(own, aside_name(name->saved, aside), name->to_folder->fd, name->to) == 0;
	}
}

/* One that cannot be taken back, since it is another user's (the supervisor's), stays. */
static void cut_names(struct unsynced_result *result)
{
	for (size_t i = 0; i < all.folder_count; i++)
		all.folders[i].keep = draw_chance();
	for (struct name *name = all.newest; name != NULL; name = name->older) {
		name->kept =
		    unsynced_coin(name->folder->keep) || is_built_upon(name) || !take_back_name(name);
		result->names_kept += name->kept;
		result->names_lost += !name->kept;
	}
}

void unsynced_cut(struct unsynced_result *ret_result)
{
	*ret_result = (struct unsynced_result){.units_kept = 0};
	for (size_t i = 0; i < all.file_count; i++)
		cut_file(all.files[i], ret_result);
	cut_names(ret_result);
}
