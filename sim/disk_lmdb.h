/* LMDB on the simulated disk: its calls are caught at link time (disk_lmdb.c has the list for --wrap, with
 * the static library), so that a crash can take back what it did not sync, in the same order of operations as
 * that of the log.
 *
 * What LMDB sees, through its mapping too, is a real file in a temporary folder (struct disk_index). Beside
 * it stands what is on the disk for certain. Each write, truncation and sync of the file, and each sync of
 * its folder, is an operation of the disk: counted by disk_calls, stopped at by disk_stop_at, failed by
 * disk_fail_at. A write through a descriptor with O_DSYNC is durable when it returns.
 *
 * For one index at a time and one thread. Not modelled: lock.mdb, which means nothing after a crash, writes
 * through the mapping (LMDB makes none without MDB_WRITEMAP), short writes, and the limit of the disk.
 */
#ifndef SIM_DISK_LMDB_H
#define SIM_DISK_LMDB_H

#include "sim/disk.h"

enum disk_lmdb_lie {
	LMDB_HONEST = 0,
	LMDB_LIE_SYNC = 1,   /* nothing is synced, as with MDB_NOSYNC */
	LMDB_LIE_FOLDER = 2, /* the folder is not synced */
};

/* From now on the index in this folder lies on this disk; disk_index_restore then does what the power cut
 * would. Before the index is opened. */
void disk_lmdb_attach(struct disk *disk, struct disk_index *index, enum disk_lmdb_lie lie);
void disk_lmdb_detach(void);

#endif
