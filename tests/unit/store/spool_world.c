#include "spool_world.h"

#include <stdlib.h>

#include "base/check.h"

#ifdef INDEX_ON_DISK
enum disk_lmdb_lie spool_world_lie;
#endif

enum { SMALL_SEGMENT = 24 * 1024, SMALL_CHECKPOINT = 8 * 1024 };

static void count_report(void *owner, const struct spool_report *report)
{
	struct spool_world *w = owner;

	w->reports[report->event]++;
}

/* What happens after the power went is not on the disk. */
static void save_index(void *owner)
{
	struct spool_world *w = owner;

	if (!disk_stopped(w->disk))
		disk_index_save(&w->index);
}

void *spool_world_make(void)
{
	struct spool_world *w = calloc(1, sizeof(*w));

	check(w != NULL);
	w->disk = disk_new(0);
	check(w->disk != NULL && disk_index_init(&w->index) == 0);
	w->config = (struct spool_config){
	    .path = "spool",
	    .files = disk_files(w->disk),
	    .index_path = w->index.path,
	    .index_unsynced = true,
	    .seed = 7,
	    .checkpointed = save_index,
	    .checkpointed_owner = w,
	    .report = count_report,
	    .report_owner = w,
	    .segment_bytes = SMALL_SEGMENT,
	    .checkpoint_bytes = SMALL_CHECKPOINT,
	    .reserve_bytes = 1,
	    .index_map_bytes = 8 * 1024 * 1024,
	};
#ifdef INDEX_ON_DISK
	w->config.index_unsynced = false;
	w->config.checkpointed = NULL;
	disk_lmdb_attach(w->disk, &w->index, spool_world_lie);
#endif
	return w;
}

void spool_world_destroy(void *world)
{
	struct spool_world *w = world;

#ifdef INDEX_ON_DISK
	disk_lmdb_detach();
#endif
	disk_free(w->disk);
	disk_index_deinit(&w->index);
	free(w);
}

struct store *spool_world_open(void *world)
{
	struct spool_world *w = world;
	struct store *store = NULL;

	return spool_open(&w->config, &store, w->message) == 0 ? store : NULL;
}

struct store *spool_world_reopen(void *world, struct store *store)
{
	store->ops->close(store);
	return spool_world_open(world);
}

void spool_world_power_cut(struct spool_world *world)
{
	disk_crash(world->disk, ++world->crash_seed);
	disk_index_restore(&world->index);
}

struct store *spool_world_crash(void *world, struct store *store)
{
	spool_crash(store);
	spool_world_power_cut(world);
	return spool_world_open(world);
}
