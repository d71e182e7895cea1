/* A snapshot: what a crash at one instant would leave behind, kept still while somebody copies it.
 *
 * The segments that there are stay as long as it is held, up to the bytes that were applied; the index, as it
 * was committed last, is copied. No checkpoint may be committed between the two, else the copy could refer to
 * segments that are not held: the keeper, which alone commits, makes the copy, and has one job at a time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "store/spool_internal.h"

enum { SNAPSHOT_TRIES = 3 };

static void snapshot_path(const struct spool *spool, char to[SNAPSHOT_PATH_SIZE])
{
	bool apart = spool->config.index_path != NULL;

	(void)snprintf(to, SNAPSHOT_PATH_SIZE, "%s/snapshot",
		       apart ? spool->config.index_path : spool->config.path);
}

void spool_snapshot_remove(struct spool *spool)
{
	char folder[SNAPSHOT_PATH_SIZE], file[SNAPSHOT_PATH_SIZE + 16];

	snapshot_path(spool, folder);
	(void)snprintf(file, sizeof(file), "%s/data.mdb", folder);
	(void)unlink(file);
	(void)rmdir(folder);
}

static void give_up(struct spool *spool)
{
	struct snapshot *s = &spool->snapshot;

	if (s->segments != NULL)
		spool_let_go(spool, s->segments, s->count);
	free(s->bytes);
	*s = (struct snapshot){.phase = SNAPSHOT_NONE};
	spool_snapshot_remove(spool);
}

static void fail(struct spool *spool, enum store_reason reason)
{
	struct done done = spool->snapshot.done;

	give_up(spool);
	done_result(&done, STORE_FAILED, reason);
}

/* --- beginning ----------------------------------------------------------------------------------- */

static int hold(struct spool *spool)
{
	struct snapshot *s = &spool->snapshot;
	int error = spool_hold_all(spool, &s->segments, &s->count);

	if (error != 0)
		return error;
	s->bytes = calloc(s->count + 1, sizeof(*s->bytes));
	if (s->bytes == NULL)
		return ERR_MEMORY;
	for (size_t i = 0; i < s->count; i++)
		s->bytes[i] = segments_find(&spool->segments, s->segments[i])->bytes;
	return 0;
}

static int begin(struct spool *spool)
{
	struct snapshot *s = &spool->snapshot;
	struct checkpoint *job = calloc(1, sizeof(*job));
	int error = job != NULL ? hold(spool) : ERR_MEMORY;

	if (error != 0) {
		free(job);
		return error;
	}
	spool_snapshot_remove(spool);
	snapshot_path(spool, s->path);
	if (mkdir(s->path, 0700) < 0) {
		free(job);
		return ERR_IO;
	}
	job->copy_to = s->path;
	s->phase = SNAPSHOT_COPYING;
	spool->checkpointing = true;
	keeper_give(&spool->keeper, job);
	if (!spool->config.threads)
		spool_wake(spool);
	return 0;
}

void spool_snapshot_step(struct spool *spool)
{
	struct snapshot *s = &spool->snapshot;

	if (s->phase != SNAPSHOT_WANTED || spool->checkpointing)
		return;
	if (spool->checkpoint != NULL) { /* failed, and must be in the index first */
		if (s->tries++ < SNAPSHOT_TRIES)
			spool_checkpoint_begin(spool);
		if (!spool->checkpointing)
			fail(spool, STORE_REASON_IO);
		return;
	}
	int error = begin(spool);
	if (error != 0)
		fail(spool, error == ERR_MEMORY ? STORE_REASON_MEMORY : STORE_REASON_IO);
}

void spool_snapshot_copied(struct spool *spool, struct checkpoint *job)
{
	struct snapshot *s = &spool->snapshot;
	int error = job->error;

	spool->checkpointing = false;
	checkpoint_free(job);
	if (error != 0) {
		fail(spool, error == ERR_LIMIT	  ? STORE_REASON_FULL
			    : error == ERR_MEMORY ? STORE_REASON_MEMORY
						  : STORE_REASON_IO);
		return;
	}
	s->phase = SNAPSHOT_HELD;
	done_result(&s->done, STORE_OK, STORE_REASON_NONE);
}

/* --- asking -------------------------------------------------------------------------------------- */

void spool_snapshot(struct store *store, store_done *done, void *owner)
{
	struct spool *spool = spool_of(store);

	if (spool->snapshot.phase != SNAPSHOT_NONE) {
		spool_answer(spool, done_plain(done, owner), STORE_FAILED, STORE_REASON_NONE);
		return;
	}
	spool->snapshot = (struct snapshot){.phase = SNAPSHOT_WANTED, .done = done_plain(done, owner)};
	spool_wake(spool);
}

void spool_snapshot_parts(const struct store *store,
			  void (*part)(void *owner, uint64_t segment, uint64_t bytes), void *owner)
{
	const struct snapshot *s = &spool_of(store)->snapshot;

	for (size_t i = 0; i < s->count && s->phase == SNAPSHOT_HELD; i++)
		part(owner, s->segments[i], s->bytes[i]);
}

void spool_snapshot_release(struct store *store)
{
	struct spool *spool = spool_of(store);

	if (spool->snapshot.phase == SNAPSHOT_HELD)
		give_up(spool);
}

bool spool_snapshot_waits(const struct spool *spool)
{
	return spool->snapshot.phase == SNAPSHOT_WANTED || spool->snapshot.phase == SNAPSHOT_COPYING;
}

void spool_snapshot_free(struct spool *spool)
{
	free(spool->snapshot.segments);
	free(spool->snapshot.bytes);
}
