/* What a power cut may take back: everything below one folder that was written and not yet synced. Part of
 * the shim (shim.c), which calls it under its lock, before each real operation or after it as said here.
 *
 * Contents are kept in units of one size (a page or a sector): what each held before the first write since
 * the last sync of its file. Names are kept as operations of their folder, removed files alive in a folder
 * aside. At the cut a coin falls for each unit, for the size of each file and for each operation, with a bias
 * that is drawn for each file and folder; what stays and what is taken back is therefore any mixture, as on a
 * disk that writes in any order.
 *
 * Not modelled: what is written through a mapping; owners, modes and times.
 */
#ifndef POWERCUT_UNSYNCED_H
#define POWERCUT_UNSYNCED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Syncs that are lies: what they were asked for stays unsynced. */
enum {
	LIE_LOG = 1 << 0,    /* of the log's segments */
	LIE_INDEX = 1 << 1,  /* of LMDB's file, as MDB_NOSYNC would do */
	LIE_FOLDER = 1 << 2, /* of the spool's folder */
};

struct unsynced_file;
struct unsynced_folder;

struct unsynced_config {
	const char *root;  /* absolute, without symbolic links */
	int aside;	   /* descriptor of the folder for removed files, on the same file system */
	unsigned lies;	   /* LIE_* */
	size_t unit_bytes; /* 512 or 4096 */
	uint64_t seed;
};

void unsynced_init(const struct unsynced_config *config);

/* The file that fd is, when it is a regular one below the root; else NULL. It stays known for good. */
struct unsynced_file *unsynced_file(int fd);
/* The same for a folder; the root is one. */
struct unsynced_folder *unsynced_folder(int fd);
/* The folder that path (relative to at) lies in; *ret_name is the rest of path. */
struct unsynced_folder *unsynced_folder_of(int at, const char *path, const char **ret_name);

/* Before size bytes at offset change. */
void unsynced_write(struct unsynced_file *file, uint64_t offset, uint64_t size);
/* Before the file gets another size. */
void unsynced_resize(struct unsynced_file *file, uint64_t size);
/* After a sync; of the range only when that was written through O_DSYNC. */
void unsynced_sync(struct unsynced_file *file);
void unsynced_sync_range(struct unsynced_file *file, uint64_t offset, uint64_t size);

/* After a name was made. */
void unsynced_made(struct unsynced_folder *folder, const char *name);
/* Instead of unlink. 0 or -1 with errno. */
int unsynced_remove(struct unsynced_folder *folder, const char *name);
/* Instead of rename; what bears the new name already is kept. */
int unsynced_rename(struct unsynced_folder *from, const char *name, struct unsynced_folder *to,
		    const char *new_name);
void unsynced_sync_folder(struct unsynced_folder *folder);

/* What the cut did. */
struct unsynced_result {
	size_t units_kept, units_lost, sizes_kept, sizes_lost, names_kept, names_lost;
};
void unsynced_cut(struct unsynced_result *ret_result);

/* A coin with chance of 256. */
bool unsynced_coin(unsigned chance);

#endif
