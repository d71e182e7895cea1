/* A spool on a simulated disk, which can lose its power. */
#ifndef TEST_SPOOL_WORLD_H
#define TEST_SPOOL_WORLD_H

#include "sim/disk.h"
#include "sim/disk_lmdb.h"
#include "store/spool.h"

struct spool_world {
	struct disk *disk;
	struct disk_index index;
	struct spool_config config; /* of the next open */
	char message[SPOOL_MESSAGE_SIZE];
	unsigned reports[8]; /* by event */
	uint64_t crash_seed;
};

/* With INDEX_ON_DISK the index lies on the simulated disk too (sim/disk_lmdb.h); its syncs may lie. */
extern enum disk_lmdb_lie spool_world_lie;

/* Small segments and checkpoints, so that a short history meets everything. */
void *spool_world_make(void);
void spool_world_destroy(void *world);
struct store *spool_world_open(void *world); /* NULL: message says why */
struct store *spool_world_reopen(void *world, struct store *store);
/* The process and the machine die and start again. */
struct store *spool_world_crash(void *world, struct store *store);
void spool_world_power_cut(struct spool_world *world); /* after spool_crash */

#endif
