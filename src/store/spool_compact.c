/* Compaction: when the files take more than their budget, what lives in mostly dead segments is copied to the
 * end of the log, and the segments are freed by a later checkpoint.
 *
 * The copies are ordinary writes. Whether a copy still counts is decided where every write takes effect, in
 * the order of the log: one whose message ended meanwhile has no effect, so nothing rises from the dead.
 *
 * How much is copied follows from how far the files are above what they should take (the pressure, 0 to 1):
 * for each byte that others write, GAIN_MAX bytes at most, and besides, a part of a segment at most in
 * each group commit. So it keeps pace with whatever writer, needs no clock, and a group commit never grows by
 * much.
 */
#include "base/check.h"
#include "store/spool_internal.h"

enum {
	GAIN_MAX = 4, /* at full pressure: a segment four fifths alive pays still */
	FLOOR_PART =
	    128,	 /* of a segment (512 KiB), at full pressure; also the most in one turn of the loop */
	CREDIT_PART = 4, /* of a segment (16 MiB: a group commit): saved up, or in flight */
	RETRY_CHECKPOINTS = 8,	  /* until a segment that could not be emptied is tried again */
	LOOK_BYTES = 1024 * 1024, /* of news between two looks at the pressure, at most */
};

/* --- how much ------------------------------------------------------------------------------------ */

static double pressure_of(struct spool *spool)
{
	struct spool_log *log = &spool->writer.log;
	uint64_t bytes, live_bytes, slack = spool->config.slack_bytes;

	if (atomic_load(&log->full))
		return 1;
	segments_sum(&spool->segments, &bytes, &live_bytes);
	bytes += (uint64_t)log_spares(log) * log->segment_bytes;
	/* Spares alone (three eighths of the slack) are no reason to copy, nor is what waits for a
	 * checkpoint. */
	uint64_t low = 2 * live_bytes + slack / 8 * 3;
	if (bytes <= low)
		return 0;
	double pressure = (double)(bytes - low) / ((double)slack / 4);
	return pressure < 1 ? pressure : 1;
}

static void look(struct spool *spool)
{
	struct compaction *c = &spool->compaction;
	uint64_t often = spool->config.slack_bytes / 64;

	if (c->news < (often < LOOK_BYTES ? often : LOOK_BYTES) && c->looked_at == spool->state.checkpoints)
		return;
	c->news = 0;
	c->looked_at = spool->state.checkpoints;
	c->pressure = pressure_of(spool);
	c->nothing = false;
}

void spool_compact_queue(struct spool *spool, struct spool_write *write)
{
	spool->compaction.writes++;
	writer_queue_copy(&spool->writer, write);
}

void spool_compact_wrote(struct spool *spool, const struct spool_write *write)
{
	struct compaction *c = &spool->compaction;
	uint64_t bytes = buffer_size(&write->run);

	c->news += bytes;
	if (c->pressure == 0 || (write->message != NULL && write->message->moves))
		return;
	c->credit += (uint64_t)((double)bytes * c->pressure * GAIN_MAX);
	if (c->credit > spool->config.segment_bytes / CREDIT_PART)
		c->credit = spool->config.segment_bytes / CREDIT_PART;
}

static bool may_copy(const struct spool *spool)
{
	const struct compaction *c = &spool->compaction;
	uint32_t segment = spool->config.segment_bytes;
	uint64_t floor = (uint64_t)(c->pressure * segment / FLOOR_PART);

	/* What a copy has buffered goes nowhere until it is finished. */
	bool goes = c->copy != NULL && c->copy->frames_in_flight > 0;
	uint64_t in_flight = c->in_flight_bytes + (goes ? c->copy->in_flight_bytes : 0);

	return in_flight <= floor || (c->credit > 0 && in_flight < segment / CREDIT_PART);
}

static void copied(struct compaction *c, uint64_t bytes)
{
	c->credit -= c->credit < bytes ? c->credit : bytes;
	c->turn_bytes += bytes;
}

/* --- which segment ------------------------------------------------------------------------------- */

/* At least a quarter of it is dead; without space to spare for the copies, three quarters. */
static bool worth_it(const struct spool *spool, const struct segment *s)
{
	uint64_t quarters = atomic_load(&spool->writer.log.full) ? 1 : 3;

	return s->number < spool->checkpointed.segment && !s->gone && s->pins == 0 && s->live > 0 &&
	       s->live_bytes < s->bytes / 4 * quarters && s->retry_at <= spool->state.checkpoints;
}

/* What is gained, for how long, by what work: a young segment may still empty by itself. */
static double merit(const struct spool *spool, const struct segment *s)
{
	double live = (double)s->live_bytes / (double)s->bytes;
	double age = (double)(spool->applied.segment - s->number + 1);

	return (1 - live) * age / (1 + live);
}

static struct segment *best(const struct spool *spool)
{
	struct segment *found = NULL;

	for (size_t i = 0; i < spool->segments.count; i++) {
		struct segment *s = &spool->segments.rows[i];
		if (worth_it(spool, s) && (found == NULL || merit(spool, s) > merit(spool, found)))
			found = s;
	}
	return found;
}

static void choose(struct spool *spool)
{
	struct compaction *c = &spool->compaction;
	struct segment *victim = c->pressure > 0 && !c->nothing ? best(spool) : NULL;

	if (victim == NULL) {
		c->nothing = true;
		return;
	}
	c->victim = victim->number;
	c->next = index_key_place(victim->number, 0);
	victim->retry_at = spool->state.checkpoints + RETRY_CHECKPOINTS;
	spool->dead_bytes +=
	    victim->bytes; /* or will be soon: the sooner a checkpoint, the sooner it is free */
}

/* --- one message --------------------------------------------------------------------------------- */

static bool lies_in(const struct spool_entry *entry, uint64_t segment)
{
	for (uint32_t i = 0; i < entry->extent_count; i++)
		if (entry->extents[i].segment == segment)
			return true;
	return false;
}

static int begin_copy(struct spool *spool, uint64_t id)
{
	struct compaction *c = &spool->compaction;
	struct slice blob, kept;

	arena_reset(&c->arena);
	int error = spool_entry_now(spool, id, &c->arena, &c->entry);
	if (error == 0)
		error = spool_blob(spool, id, &blob);
	if (error != 0)
		return error == ERR_MISSING ? 0 : error; /* one that cannot be read keeps its segment */
	/* Of a copy: what the index lends does not last. */
	if (arena_copy(&c->arena, blob, &kept) != 0 || spool_entry_decode(kept, &c->arena, &c->entry) != 0)
		return ERR_MEMORY;
	if (!lies_in(&c->entry, c->victim))
		return 0;
	c->copy = message_new(spool);
	if (c->copy == NULL)
		return ERR_MEMORY;
	c->copy->moves = true;
	c->copy->version = c->entry.entry.version;
	c->offset = 0;
	return 0;
}

static void forget_piece(struct compaction *c)
{
	body_job_free(c->job);
	c->job = NULL;
}

static void give_up(struct spool *spool)
{
	struct store_message *copy = (struct store_message *)spool->compaction.copy;

	forget_piece(&spool->compaction);
	spool->compaction.copy = NULL;
	if (copy != NULL)
		spool_abort(copy, NULL, NULL);
}

static int next_piece(struct spool *spool, struct slice *ret_bytes)
{
	struct compaction *c = &spool->compaction;

	if (c->job == NULL)
		return spool_body_ask(spool, &c->entry, c->offset, FRAME_MAX, c, ret_bytes);
	*ret_bytes = c->job->bytes;
	return c->job->error;
}

void spool_compact_read(struct spool *spool, struct body_job *job)
{
	struct compaction *c = &spool->compaction;

	c->reading = false;
	if (c->copy != NULL)
		c->job = job;
	else /* given up meanwhile */
		body_job_free(job);
}

static void copy_done(void *owner, enum store_result result, enum store_reason reason)
{
	struct compaction *c = owner;

	(void)result;
	(void)reason;
	c->in_flight_bytes -= c->in_flight_bytes / c->in_flight;
	c->in_flight--;
}

/* The MOVE. */
static void end_copy(struct spool *spool)
{
	struct compaction *c = &spool->compaction;
	struct spool_message *copy = c->copy;

	c->copy = NULL;
	c->in_flight++;
	c->in_flight_bytes += copy->in_flight_bytes;
	spool->state.moved_messages++;
	spool_commit((struct store_message *)copy, c->entry.entry.id, &c->entry.entry.envelope, SLICE(""),
		     copy_done, c);
}

/* A piece of the body, and the MOVE behind the last one. False: the log or the disk must catch up first. */
static bool go_on_copying(struct spool *spool)
{
	struct compaction *c = &spool->compaction;
	struct store_message *copy = (struct store_message *)c->copy;
	struct slice bytes = SLICE("");

	int error = next_piece(spool, &bytes);
	if (error == ERR_BUSY) {
		c->reading = true;
		return false;
	}
	if (error == 0 && bytes.size > 0)
		error = spool_append(copy, bytes);
	c->offset += bytes.size;
	copied(c, bytes.size);
	if (error == 0 && bytes.size == 0 && c->offset < c->entry.entry.body_bytes)
		error = ERR_CORRUPT;
	forget_piece(c);
	if (error != 0)
		give_up(spool);
	else if (c->offset >= c->entry.entry.body_bytes)
		end_copy(spool);
	return true;
}

/* --- one segment --------------------------------------------------------------------------------- */

static int move_pair(struct spool *spool, struct slice key)
{
	struct slice value;
	uint64_t segment;
	int error = spool_pair_now(spool, key, &value, &segment);

	if (error != 0 || segment != spool->compaction.victim)
		return error == ERR_MISSING ? 0 : error;
	struct spool_write *w = write_new(RECORD_PAIR_MOVE, false, done_plain(NULL, NULL));
	if (w == NULL || spool_pair_move_encode(&w->run, segment, key, value) != 0) {
		write_free(w);
		return ERR_MEMORY;
	}
	write_submit(spool, w, 0);
	return 0;
}

/* 1: something was begun or done; 0: the segment is through. */
static int next_thing(struct spool *spool)
{
	struct compaction *c = &spool->compaction;
	struct index_cursor *cursor = index_cursor_new(spool->index, INDEX_PLACE);
	struct slice key, value;
	int found = cursor != NULL ? index_seek(cursor, &c->next, &key, &value) : ERR_MEMORY;

	if (found == 1 && index_u64_at(key, 0) != c->victim)
		found = 0;
	if (found == 1) {
		struct slice rest = slice_from(key, sizeof(uint64_t));
		int error = slice_starts(rest, SLICE("m")) ? begin_copy(spool, index_u64_at(rest, 1))
							   : move_pair(spool, slice_from(rest, 1));
		c->next = index_key_bytes(key);
		c->next.bytes[c->next.size++] = '\0'; /* the smallest key behind it */
		found = error != 0 ? error : 1;
	}
	index_cursor_free(cursor);
	return found;
}

/* False: not now. */
static bool step(struct spool *spool)
{
	struct compaction *c = &spool->compaction;

	if (c->reading || !may_copy(spool))
		return false;
	if (c->copy != NULL)
		return go_on_copying(spool);
	if (c->victim == 0)
		choose(spool);
	if (c->victim == 0)
		return false;
	if (next_thing(spool) <= 0)
		c->victim = 0;		/* through, or without memory */
	copied(c, RECORD_HEADER_BYTES); /* so that looking for what to copy comes to an end, too */
	return true;
}

void spool_compact(struct spool *spool)
{
	struct compaction *c = &spool->compaction;

	if (spool->broken || spool_dead(spool) || spool->closing) {
		give_up(spool);
		c->victim = 0;
		return;
	}
	look(spool);
	c->turn_bytes = 0;
	bool more = true;
	while (more && c->turn_bytes <= spool->config.segment_bytes / FLOOR_PART)
		more = step(spool);
	if (more)
		spool_wake(spool);
}
