/* When a checkpoint is made, and what goes into it: the loop's side. */
#include <stdlib.h>

#include "base/check.h"
#include "store/spool_internal.h"

static const int64_t end_kept_ms = INT64_C(30) * 24 * 3600 * 1000;

enum {
	RETRY_ROOM_BYTES = 1024 * 1024, /* so much more room is there: one that failed is tried again */
	RETRY_REFUSALS = 16,		/* or so many messages were not begun for its sake */
};

/* Without more log, more room or more senders it would but fail again. */
static bool retry_is_due(const struct spool *spool)
{
	uint64_t free_bytes = atomic_load(&spool->writer.log.free_bytes);

	return free_bytes >= spool->failed_free_bytes + RETRY_ROOM_BYTES ||
	       spool->refused_begins >= RETRY_REFUSALS;
}

/* By the log to be read at a start, by the memory taken, and by the space that only a checkpoint gives back:
 * all the more when there is none left. */
bool spool_checkpoint_due(const struct spool *spool)
{
	bool hurry = atomic_load(&spool->writer.log.full) && !spool->checkpoint_failed;
	uint64_t limit = hurry ? spool->config.checkpoint_bytes / 16 : spool->config.checkpoint_bytes;

	if (spool->since_checkpoint >= limit || spool->dead_bytes >= 4 * limit)
		return true;
	return spool->checkpoint != NULL ? retry_is_due(spool)
					 : spool->active->arena.used_bytes >= spool->config.overlay_bytes;
}

bool spool_checkpoint_holds_up(const struct spool *spool)
{
	return spool->checkpoint_failed && spool->active->arena.used_bytes >= spool->config.overlay_bytes;
}

bool spool_index_writable(const struct spool *spool)
{
	return !spool->config.read_only || spool->config.index_path != NULL;
}

/* --- the picture --------------------------------------------------------------------------------- */

static bool may_free(const struct spool *spool, const struct segment *s)
{
	return !spool->config.keep_files && s->number < spool->applied.segment && s->live == 0 &&
	       s->pins == 0 && s->readers == 0 && !s->gone && !spool->recovering &&
	       s->number != spool->compaction.victim;
}

static int picture_segments(struct spool *spool, struct checkpoint *job)
{
	size_t count = spool->segments.count;

	job->segments = calloc(count + 1, sizeof(*job->segments));
	job->dropped = calloc(count + 1, sizeof(*job->dropped));
	job->freed = calloc(count + 1, sizeof(*job->freed));
	if (job->segments == NULL || job->dropped == NULL || job->freed == NULL)
		return ERR_MEMORY;
	for (size_t i = 0; i < count; i++) {
		const struct segment *s = &spool->segments.rows[i];
		if (s->gone)
			job->dropped[job->dropped_count++] = s->number;
		else if (s->dirty)
			job->segments[job->segment_count++] = *s;
		if (may_free(spool, s))
			job->freed[job->freed_count++] = s->number;
	}
	return 0;
}

static int picture_domains(struct spool *spool, struct checkpoint *job)
{
	size_t count = 0;

	for (const struct domain_counts *c = spool->counts.dirty; c != NULL; c = c->next_dirty)
		count++;
	job->domains = calloc(count + 1, sizeof(*job->domains));
	if (job->domains == NULL)
		return ERR_MEMORY;
	for (const struct domain_counts *c = counts_take_dirty(&spool->counts); c != NULL; c = c->next_dirty)
		job->domains[job->domain_count++] = (struct checkpoint_domain){
		    .domain = c->domain,
		    .messages = c->messages,
		    .bytes = c->bytes,
		    .recipients = c->recipients,
		    .first_id = c->first_id,
		};
	return 0;
}

static struct checkpoint *picture(struct spool *spool)
{
	struct checkpoint *job = calloc(1, sizeof(*job));

	if (job == NULL)
		return NULL;
	job->overlay = spool->active;
	job->prune_before_ms = spool->wall_ms - end_kept_ms;
	job->state = (struct index_state){
	    .format = INDEX_FORMAT,
	    .position = spool->applied,
	    .last_id = spool->last_id,
	    .end_seq = spool->end_seq,
	    .messages = spool->counts.all.messages,
	    .bytes = spool->counts.all.bytes,
	    .rebuilding = spool->rebuilding,
	    .totals = spool->totals,
	};
	job->state.totals.queued = spool->counts.all.recipients;
	/* The domains last: they are marked clean by it. */
	if (picture_segments(spool, job) != 0 || picture_domains(spool, job) != 0) {
		checkpoint_free(job);
		return NULL;
	}
	return job;
}

/* --- freezing ------------------------------------------------------------------------------------ */

/* From here on nothing may refer to what is freed: it is settled, though not yet done. */
static void forget_rows(struct spool *spool, const struct checkpoint *job)
{
	for (size_t i = 0; i < spool->segments.count; i++)
		spool->segments.rows[i].dirty = false;
	for (size_t i = 0; i < job->freed_count; i++) {
		struct segment *s = segments_find(&spool->segments, job->freed[i]);
		s->leaving = true;
		/* Before the keeper removes the file: closing one that is removed gives its blocks back,
		 * which takes long. */
		segments_close_file(&spool->segments, s);
	}
	for (size_t i = 0; i < job->dropped_count; i++)
		segments_drop(&spool->segments, job->dropped[i]);
}

void spool_checkpoint_begin(struct spool *spool)
{
	struct checkpoint *job = spool->checkpoint;

	/* After the disk has failed the next start must find what was in doubt: the index stays behind it. */
	if (spool->checkpointing || spool->broken || spool_dead(spool))
		return;
	if (job ==
	    NULL) { /* else: one that failed is tried again; what came since stays in the active overlay */
		struct overlay *fresh = overlay_new(spool->active->seed);
		job = fresh != NULL ? picture(spool) : NULL;
		if (job == NULL) {
			overlay_free(fresh);
			return;
		}
		check(spool->frozen == NULL);
		spool->frozen = spool->active;
		spool->active = fresh;
		forget_rows(spool, job);
	}
	spool->checkpoint = NULL;
	spool->refused_begins = 0;
	spool->checkpointing = true;
	spool->since_checkpoint = 0;
	spool->dead_bytes = 0;
	keeper_give(&spool->keeper, job);
}

static void mark_gone(struct spool *spool, const struct checkpoint *job)
{
	for (size_t i = 0; i < job->freed_count; i++) {
		struct segment *s = segments_find(&spool->segments, job->freed[i]);
		check(s != NULL && s->live == 0 && s->pins == 0 && s->readers == 0);
		segments_close_file(&spool->segments, s);
		s->gone = true;
		spool->state.freed_segments++;
	}
}

void spool_checkpoint_finish(struct spool *spool, struct checkpoint *job)
{
	if (job->copy_to != NULL) {
		spool_snapshot_copied(spool, job);
		return;
	}
	spool->checkpointing = false;
	if (job->error != 0) {
		/* Nothing is lost: the log has it all. Without space it is tried again, else the disk is
		 * failing. */
		spool->checkpoint = job;
		spool->checkpoint_failed = true;
		spool->failed_free_bytes = atomic_load(&spool->writer.log.free_bytes);
		if (job->error != ERR_LIMIT && job->error != ERR_MEMORY)
			spool_die(spool, job->error == ERR_CORRUPT ? "the index is damaged"
								   : "the index cannot be written");
		return;
	}
	spool->checkpoint_failed = false;
	mark_gone(spool, job);
	overlay_free(spool->frozen);
	spool->frozen = NULL;
	spool->checkpointed = job->state.position;
	spool->state.checkpoints++;
	checkpoint_free(job);
}

int spool_checkpoint_now(struct spool *spool)
{
	struct checkpoint *job;

	while (spool->checkpointing) {
		if (!spool->keeper.threaded)
			(void)keeper_step(&spool->keeper);
		job = keeper_take(&spool->keeper, true);
		if (job != NULL)
			spool_checkpoint_finish(spool, job);
	}
	spool_checkpoint_begin(spool);
	if (!spool->checkpointing)
		return spool->broken || spool_dead(spool) ? ERR_STATE : ERR_MEMORY;
	if (!spool->keeper.threaded)
		(void)keeper_step(&spool->keeper);
	job = keeper_take(&spool->keeper, true);
	check(job != NULL);
	int error = job->error;
	spool_checkpoint_finish(spool, job);
	return error;
}

/* --- snapshots ----------------------------------------------------------------------------------- */

int spool_hold_all(struct spool *spool, uint64_t **ret_segments, size_t *ret_count)
{
	uint64_t *held;
	size_t count = 0;

	if (spool->checkpointing || spool->checkpoint != NULL)
		return ERR_BUSY;
	held = calloc(spool->segments.count + 1, sizeof(*held));
	if (held == NULL)
		return ERR_MEMORY;
	for (size_t i = 0; i < spool->segments.count; i++)
		if (segments_hold(&spool->segments, spool->segments.rows[i].number) == 0)
			held[count++] = spool->segments.rows[i].number;
	*ret_segments = held;
	*ret_count = count;
	return 0;
}

void spool_let_go(struct spool *spool, uint64_t *segments, size_t count)
{
	for (size_t i = 0; i < count; i++)
		segments_release(&spool->segments, segments[i]);
	free(segments);
}
