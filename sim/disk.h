/* A disk in memory, for the spool: it forgets what was not synced when the power goes, and fails on demand.
 *
 * It implements the table of store/file_ops.h for one folder. What a program sees is always its own latest
 * writes; what survives disk_crash is what was synced, and of the rest whatever a coin decides:
 *   - of each 4 KiB page that was written since the file's last fdatasync: its old or its new content, or,
 * torn, new sectors of 512 bytes among old ones;
 *   - the length of such a file: the old or the new one, or one between (a page boundary);
 *   - names made, changed and removed since the last sync_folder: each of these operations happened or not.
 * fdatasync makes data and length of a file durable, not its name. rename is atomic.
 */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include "store/file_ops.h"

/* that change something; reading fails only by disk_fail_reads */
enum disk_operation {
	DISK_OPEN = 0, /* with FILE_CREATE, when the file is new */
	DISK_WRITE,
	DISK_SYNC,
	DISK_TRUNCATE,
	DISK_ALLOCATE,
	DISK_SYNC_FOLDER,
	DISK_RENAME,
	DISK_UNLINK,
	DISK_OPERATIONS,
};

struct disk;

struct disk *disk_new(uint64_t limit_bytes); /* 0: no limit. NULL: no memory */
void disk_free(struct disk *disk);
struct file_system disk_files(struct disk *disk);

/* The power goes: descriptors and locks are gone, what was not synced is kept or not by coins of this seed.
 */
void disk_crash(struct disk *disk, uint64_t seed);
/* The process dies and the machine lives on: descriptors and locks are gone, nothing else. */
void disk_drop_process(struct disk *disk);

uint64_t disk_calls(
    const struct disk *disk); /* operations so far that disk_fail_at counts: all of enum disk_operation */

/* One of another implementation's, on the same disk: counted, and failed with -errno when its turn has come.
 */
int disk_call(struct disk *disk);

/* The call number `at` (1: the next one) ends with -error_number; with forever also all that follow. A write
 * that fails may have done a part of its work: half of its bytes. short_write: it does half and says so,
 * without an error. at 0: never (the end of failing). */
void disk_fail_at(struct disk *disk, uint64_t at, int error_number, bool forever, bool short_write);
/* From now on nothing reaches the disk: the state that disk_crash works on is that of call number `at`. The
 * program does not notice. 0: never. For trying a crash at every operation: the calls behind it are as if
 * they had not been made. */
void disk_stop_at(struct disk *disk, uint64_t at);
bool disk_stopped(const struct disk *disk);
void disk_fail_reads(struct disk *disk, bool fail);
void disk_set_limit(struct disk *disk, uint64_t limit_bytes);
uint64_t disk_used(const struct disk *disk);
/* Files so far that were removed while somebody had them open: the last to close one waits for the file
 * system to give its blocks back. */
uint64_t disk_removed_open(const struct disk *disk);

/* For tests that damage files: the content as the program sees it, durable at once. NULL: no such file. */
char *disk_bytes(struct disk *disk, const char *name, size_t *ret_size);
bool disk_remove(struct disk *disk, const char *name);
void disk_truncate(struct disk *disk, const char *name, size_t size);
void disk_names(struct disk *disk, void (*each)(void *owner, const char *name), void *owner);

/* The index lies on a real disk (LMDB does its own input and output): its folder, and a copy of its file as
 * of the last checkpoint, which is what a crash leaves. */
struct disk_index {
	void (*crash)(struct disk_index *index); /* of disk_lmdb.h, which knows better; NULL: none */
	char path[256];
	char *copy;
	size_t copy_size;
	bool saved;
};
nodiscard int disk_index_init(struct disk_index *index); /* a new temporary folder; -1 */
void disk_index_deinit(struct disk_index *index);	 /* removes it */
void disk_index_save(void *index);			 /* for spool_config.checkpointed */
void disk_index_restore(struct disk_index *index);	 /* as it was when it was saved last, or gone */
void disk_index_forget(struct disk_index *index);	 /* removes the index and the copy */

#endif
