#include "store/spool.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "store/spool_internal.h"

enum {
	ID_CLOCK_SHIFT = 20
}; /* ids are the wall clock in ms and 2^20 of them per ms, or the last one plus one */

struct spool *spool_of(const struct store *store)
{
	return container_of(store, struct spool, store);
}

void spool_wake(struct spool *spool)
{
	if (spool->config.wake != NULL && spool->running)
		spool->config.wake(spool->config.wake_owner);
}

void spool_tell(struct spool *spool, enum spool_event event, uint64_t id, struct position at,
		const char *text)
{
	struct spool_report report = {
	    .event = event, .id = id, .segment = at.segment, .offset = at.offset, .text = text};

	if (spool->config.report != NULL)
		spool->config.report(spool->config.report_owner, &report);
}

void spool_die(struct spool *spool, const char *why)
{
	log_die(&spool->writer.log, why);
}

bool spool_dead(const struct spool *spool)
{
	return atomic_load(&spool->writer.log.dead);
}

/* --- completing ---------------------------------------------------------------------------------- */

/* Durable, but not to be put into effect for want of memory, or because the index cannot be read: the next
 * start will find it. Until then nothing is true any more, so nothing is taken and no checkpoint is made. */
static void cannot_apply(struct spool *spool, struct spool_write *w, int error)
{
	spool->broken = true;
	spool_die(spool, error == ERR_MEMORY ? "there was no memory to keep track of what was written"
					     : "the index cannot be read");
	w->result = STORE_UNKNOWN;
	spool->broken_by = error == ERR_MEMORY ? STORE_REASON_MEMORY : STORE_REASON_IO;
	w->reason = spool->broken_by;
}

static int extend(struct spool *spool, const struct spool_write *w)
{
	uint32_t end = w->at.offset + (uint32_t)buffer_size(&w->run);
	int error = segments_extend(&spool->segments, w->at.segment, end);

	if (error == 0) {
		spool->applied = (struct position){.segment = w->at.segment, .offset = end};
		spool->since_checkpoint += buffer_size(&w->run);
		spool_compact_wrote(spool, w);
	}
	return error;
}

static void take_effect(struct spool *spool, struct spool_write *w)
{
	struct outcome outcome;
	struct record record;
	struct position at = {.segment = w->at.segment, .offset = w->at.offset + w->last_at};

	if (w->result != STORE_OK || (spool->broken && w->kind == RECORD_ABORT))
		return;
	int error = spool->broken ? ERR_IO : extend(spool, w);
	if (error != 0) {
		cannot_apply(spool, w, error);
		return;
	}
	if (w->kind == RECORD_BODY)
		return;
	int header =
	    record_header(slice_from(buffer_slice(&w->run), w->last_at), w->at.segment, at.offset, &record);
	check(header == 1);
	struct slice payload = slice_upto(
	    slice_from(buffer_slice(&w->run), w->last_at + (size_t)RECORD_HEADER_BYTES), record.length);
	error = spool_apply(spool, w->kind, payload, at, &outcome);
	if (error != 0) {
		cannot_apply(spool, w, error);
		return;
	}
	w->result = outcome.result;
	w->reason = outcome.reason;
}

static void complete_write(struct spool *spool, struct spool_write *w)
{
	if (w->seq > spool->done_seq)
		spool->done_seq = w->seq;
	if (w->message != NULL && w->message->moves)
		spool->compaction.writes--;
	take_effect(spool, w);
	if (w->kind == RECORD_BODY) {
		message_frames_done(w->message, w);
	} else if (w->message != NULL) {
		message_end_done(w->message, w->result, w->reason);
		return;
	} else if (spool_hold_write(spool, w)) {
		return;
	} else {
		done_result(&w->done, w->result, w->reason);
	}
	write_free(w);
}

static void complete_writes(struct spool *spool, bool wait)
{
	struct list done;

	list_init(&done);
	writer_take_done(&spool->writer, &done, wait);
	for (struct list *node; (node = list_first(&done)) != NULL;) {
		list_remove(node);
		complete_write(spool, container_of(node, struct spool_write, node));
	}
}

/* --- one turn ------------------------------------------------------------------------------------ */

bool spool_work(struct store *store)
{
	struct spool *spool = spool_of(store);
	bool wrote, kept, read = false;

	check(!spool->config.threads);
	wrote = writer_step(&spool->writer) > 0;
	kept = keeper_step(&spool->keeper);
	while (reader_step(&spool->reader))
		read = true;
	return wrote || kept || read;
}

static void tell_state(struct spool *spool)
{
	bool dead = spool_dead(spool), full = atomic_load(&spool->writer.log.full);

	if (dead && !spool->reported_dead)
		spool_tell(spool, SPOOL_EVENT_DEAD, 0, spool->applied,
			   "the disk failed: no mail is taken any more; repair it and start again");
	if (full && !spool->reported_full)
		spool_tell(
		    spool, SPOOL_EVENT_FULL, 0, spool->applied,
		    "the disk is full: no mail is taken until there is room; held mail is still delivered");
	spool->reported_dead = dead;
	spool->reported_full = full;
}

static void maintain(struct spool *spool)
{
	if (spool->note_count >= NOTES_BATCH || spool->closing)
		spool_flush_notes(spool);
	spool_snapshot_step(spool);
	if (!spool->checkpointing && spool_checkpoint_due(spool)) {
		spool_checkpoint_begin(spool);
		if (!spool->config.threads)
			spool_wake(spool);
	}
	tell_state(spool);
}

static void turn(struct spool *spool, bool wait)
{
	struct checkpoint *job;

	if (!spool->config.threads)
		(void)spool_work(&spool->store);
	job = keeper_take(&spool->keeper, false);
	if (job != NULL)
		spool_checkpoint_finish(spool, job);
	if (index_read_begin(spool->index) != 0) {
		spool_wake(spool); /* without memory: later */
		return;
	}
	spool_take_bodies(spool, false);
	spool_complete_reads(spool);
	complete_writes(spool, wait);
	refused_deliver(&spool->refused);
	spool_complete_reads(spool);
	if (wait)
		spool_take_bodies(spool, true);
	spool_call_rooms(spool);
	spool_compact(spool);
	index_read_end(spool->index);
	maintain(spool);
}

static void spool_poll(struct store *store)
{
	turn(spool_of(store), false);
}

static uint64_t spool_next_id(struct store *store, int64_t wall_ms)
{
	struct spool *spool = spool_of(store);
	uint64_t id = wall_ms > 0 ? (uint64_t)wall_ms << ID_CLOCK_SHIFT : 0;

	if (wall_ms > spool->wall_ms)
		spool->wall_ms = wall_ms;
	spool->last_id = id > spool->last_id ? id : spool->last_id + 1;
	return spool->last_id;
}

static void spool_totals(const struct store *store, struct store_totals *ret_totals)
{
	const struct spool *spool = spool_of(store);

	*ret_totals = spool->totals;
	ret_totals->queued = spool->counts.all.recipients;
}

void spool_state(const struct store *store, struct spool_state *ret_state)
{
	const struct spool *spool = spool_of(store);

	*ret_state = spool->state;
	ret_state->segments = spool->segments.count;
	segments_sum(&spool->segments, &ret_state->file_bytes, &ret_state->live_bytes);
	ret_state->free_bytes = atomic_load(&spool->writer.log.free_bytes);
	ret_state->full = atomic_load(&spool->writer.log.full);
	ret_state->dead = spool_dead(spool);
}

static void spool_space(struct store *store, struct store_space *ret_space)
{
	struct spool *spool = spool_of(store);
	struct spool_log *log = &spool->writer.log;
	struct log_space space;
	const char *died_of = atomic_load(&log->died_of);

	log_look_at_space(log, &space);
	*ret_space = (struct store_space){
	    .free_bytes = space.free_bytes,
	    .full = space.full || spool_checkpoint_holds_up(spool),
	    .reserve_gone = space.reserve_gone,
	    .failed = died_of == NULL ? STORE_REASON_NONE
		      : spool->broken ? spool->broken_by
				      : STORE_REASON_IO,
	    .why = died_of != NULL ? died_of : "",
	};
	segments_sum(&spool->segments, &ret_space->used_bytes, &ret_space->live_bytes);
	ret_space->used_bytes += space.spare_bytes;
	ret_space->capacity_bytes = ret_space->used_bytes + ret_space->free_bytes;
}

/* --- the end ------------------------------------------------------------------------------------- */

static void free_lists(struct spool *spool)
{
	list_each_safe(node, after, &spool->writer.done) {
		struct spool_write *w = container_of(node, struct spool_write, node);
		list_remove(node);
		if (w->kind == RECORD_BODY)
			w->message->frames_in_flight--;
		if (!w->embedded)
			write_free(w);
	}
	list_each_safe(node, after, &spool->messages)
		message_free(container_of(node, struct spool_message, node));
	spool_free_reads(spool);
	list_each_safe(node, after, &spool->notes)
		write_free(container_of(node, struct spool_write, node));
}

static void spool_free(struct spool *spool)
{
	const struct file_system *f = &spool->files;

	free_lists(spool);
	spool_snapshot_free(spool);
	log_deinit(&spool->writer.log);
	segments_deinit(&spool->segments);
	if (spool->checkpoint != NULL)
		checkpoint_free(spool->checkpoint);
	checkpoint_free(spool->keeper.job);
	overlay_free(spool->active);
	overlay_free(spool->frozen);
	counts_deinit(&spool->counts);
	index_close(spool->index);
	body_job_free(spool->compaction.job);
	arena_deinit(&spool->compaction.arena);
	arena_deinit(&spool->arena);
	buffer_deinit(&spool->scratch);
	refused_deinit(&spool->refused);
	if (spool->lock_file >= 0)
		f->ops->close(f->context, spool->lock_file);
	if (spool->own_files)
		file_system_close(&spool->files);
	free(spool);
}

static bool waits(const struct spool *spool)
{
	return spool->done_seq < spool->asked_seq || spool->compaction.writes > 0 ||
	       spool_reads_wait(spool) || spool->refused.count > 0 || spool->note_count > 0 ||
	       spool_snapshot_waits(spool);
}

static void spool_close(struct store *store)
{
	struct spool *spool = spool_of(store);

	if (spool->config.read_only) {
		spool_crash(store);
		return;
	}
	spool->closing = true;
	do
		turn(spool, true);
	while (waits(spool));
	spool_snapshot_release(store);
	spool->compaction.victim = 0;
	if (!spool->broken && !spool_dead(spool) && spool_checkpoint_now(spool) != 0)
		spool_tell(spool, SPOOL_EVENT_DEAD, 0, spool->applied,
			   "the index could not be written at the end; the next start reads the log");
	writer_stop(&spool->writer, false);
	keeper_stop(&spool->keeper);
	reader_stop(&spool->reader);
	spool_free(spool);
}

void spool_crash(struct store *store)
{
	struct spool *spool = spool_of(store);

	writer_stop(&spool->writer, true);
	keeper_stop(&spool->keeper);
	reader_stop(&spool->reader);
	spool_free(spool);
}

/* --- the beginning ------------------------------------------------------------------------------- */

static const struct store_ops spool_ops = {
    .begin = spool_begin,
    .append = spool_append,
    .credit = spool_credit,
    .commit = spool_commit,
    .abort = spool_abort,
    .next_id = spool_next_id,
    .walk = spool_walk,
    .find = spool_find,
    .read = spool_read,
    .amend = spool_amend,
    .count = spool_count,
    .totals = spool_totals,
    .space = spool_space,
    .note_end = spool_note_end,
    .ends = spool_ends,
    .put = spool_put,
    .get = spool_get,
    .scan = spool_scan,
    .lease = spool_lease,
    .snapshot = spool_snapshot,
    .snapshot_parts = spool_snapshot_parts,
    .snapshot_release = spool_snapshot_release,
    .poll = spool_poll,
    .close = spool_close,
};

static void set_defaults(struct spool_config *c)
{
	const uint32_t mib = 1024 * 1024;

	c->segment_bytes = c->segment_bytes != 0 ? c->segment_bytes : 64 * mib;
	c->batch_bytes = c->batch_bytes != 0 ? c->batch_bytes : 16 * mib;
	c->checkpoint_bytes = c->checkpoint_bytes != 0 ? c->checkpoint_bytes : 16 * mib;
	c->reserve_bytes = c->reserve_bytes != 0 ? c->reserve_bytes : 64 * (uint64_t)mib;
	c->slack_bytes = c->slack_bytes != 0 ? c->slack_bytes : 512 * (uint64_t)mib;
	c->overlay_bytes = c->overlay_bytes != 0 ? c->overlay_bytes : 32 * mib;
	c->memory_bytes = c->memory_bytes != 0 ? c->memory_bytes : 64 * (uint64_t)mib;
	c->index_map_bytes = c->index_map_bytes != 0 ? c->index_map_bytes : 256 * 1024 * (uint64_t)mib;
	c->spares_max = c->spares_max != 0 ? c->spares_max : 3;
	if (c->read_only) {
		c->keep_files = true;
		c->threads = false;
		c->reserve_bytes = 1;
	}
}

/* Nothing is taken and nothing is done, so nothing is written. */
static void only_look(struct spool *spool)
{
	spool_die(spool, "it is only looked at");
	spool->reported_dead = true;
	spool->broken = true;
	spool->broken_by = STORE_REASON_IO;
}

static int start(struct spool *spool, char ret_message[SPOOL_MESSAGE_SIZE])
{
	struct spool_config *c = &spool->config;
	uint64_t next_segment;
	int error = log_init(&spool->writer.log, &spool->files, c->segment_bytes, c->reserve_bytes);

	if (error != 0)
		return error;
	spool->keeper = (struct keeper){
	    .index = spool->index,
	    .files = spool->files,
	    .log = &spool->writer.log,
	    .wake = c->wake,
	    .wake_owner = c->wake_owner,
	    .checkpointed = c->checkpointed,
	    .checkpointed_owner = c->checkpointed_owner,
	};
	/* Inline at first, and without spares, but for one that stands in for a reserve that is used up. */
	spool->keeper.spares_max = log_lacks_reserve(&spool->writer.log);
	error = keeper_start(&spool->keeper, false);
	if (error == 0) {
		error = spool_recover(spool, &next_segment, ret_message);
		keeper_stop(&spool->keeper);
	}
	if (error != 0)
		return error;
	bool goes_on = !c->read_only && spool->applied.offset > 0;
	if (!goes_on || log_go_on(&spool->writer.log, spool->applied) < 0)
		log_set_next(&spool->writer.log, next_segment);
	if (c->read_only)
		only_look(spool);
	spool->keeper.stopping = false;
	spool->keeper.spares_max = c->spares_max;
	error = keeper_start(&spool->keeper, c->threads);
	spool->writer.batch_bytes = c->batch_bytes;
	if (error == 0) {
		error = writer_start(&spool->writer, c->threads, c->wake, c->wake_owner);
		if (error != 0)
			keeper_stop(&spool->keeper);
	}
	if (error == 0) {
		error = reader_start(&spool->reader, &spool->files, c->threads, c->wake, c->wake_owner);
		if (error != 0) {
			writer_stop(&spool->writer, true);
			keeper_stop(&spool->keeper);
		}
	}
	return error;
}

static struct spool *spool_new(const struct spool_config *config)
{
	struct spool *spool = calloc(1, sizeof(*spool));

	if (spool == NULL)
		return NULL;
	spool->store.ops = &spool_ops;
	spool->config = *config;
	set_defaults(&spool->config);
	spool->lock_file = -1;
	spool->writer.log.file = -1;
	list_init(&spool->reads);
	list_init(&spool->held);
	list_init(&spool->reader.queue);
	list_init(&spool->reader.done);
	list_init(&spool->messages);
	list_init(&spool->rooms);
	list_init(&spool->notes);
	list_init(&spool->writer.done);
	counts_init(&spool->counts, config->seed);
	spool->active = overlay_new(config->seed);
	if (spool->active == NULL || refused_init(&spool->refused) != 0) {
		overlay_free(spool->active);
		free(spool);
		return NULL;
	}
	return spool;
}

int spool_open(const struct spool_config *config, struct store **ret_store,
	       char ret_message[SPOOL_MESSAGE_SIZE])
{
	struct spool *spool = spool_new(config);

	(void)snprintf(ret_message, SPOOL_MESSAGE_SIZE, "out of memory");
	if (spool == NULL)
		return ERR_MEMORY;
	int error = spool_folder_open(spool, ret_message);
	segments_init(&spool->segments, &spool->files);
	if (error == 0)
		error = spool_index_open(spool, ret_message);
	if (error == 0)
		error = start(spool, ret_message);
	if (error != 0) {
		spool_free(spool);
		return error;
	}
	spool->running = true;
	if (!config->read_only)
		spool_snapshot_remove(spool);
	ret_message[0] = '\0';
	*ret_store = &spool->store;
	return 0;
}
