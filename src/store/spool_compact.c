/* Compaction: when the files take more than their budget, what lives in the deadest segment is copied to the
 * end of the log, and the segment is freed by a later checkpoint.
 *
 * The copies are ordinary writes. Whether a copy still counts is decided where every write takes effect, in
 * the order of the log: one whose message ended meanwhile has no effect, so nothing rises from the dead.
 */
#include "base/check.h"
#include "store/spool_internal.h"

/* A segment is worth it when at least a quarter of it is dead. */
static bool worth_it(const struct spool *spool, const struct segment *s)
{
	return s->number < spool->checkpointed.segment && !s->gone && !s->stuck && s->pins == 0 &&
	       s->live > 0 && s->live_bytes < s->bytes / 4 * 3;
}

static struct segment *deadest(const struct spool *spool)
{
	struct segment *best = NULL;

	for (size_t i = 0; i < spool->segments.count; i++) {
		struct segment *s = &spool->segments.rows[i];
		if (!worth_it(spool, s))
			continue;
		if (best == NULL ||
		    (double)s->live_bytes / (double)s->bytes < (double)best->live_bytes / (double)best->bytes)
			best = s;
	}
	return best;
}

static void choose(struct spool *spool)
{
	struct compaction *c = &spool->compaction;
	uint64_t bytes, live_bytes;

	if (c->looked_at == spool->state.checkpoints)
		return;
	c->looked_at = spool->state.checkpoints;
	segments_sum(&spool->segments, &bytes, &live_bytes);
	if (bytes <= 2 * live_bytes + spool->config.slack_bytes)
		return;
	struct segment *victim = deadest(spool);
	if (victim == NULL)
		return;
	c->victim = victim->number;
	c->next = index_key_place(victim->number, 0);
	victim->stuck = true; /* unless it empties: a second look would find the same */
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
	int error = spool_blob(spool, id, &blob);

	if (error != 0)
		return error == ERR_MISSING ? 0 : error;
	arena_reset(&c->arena);
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

/* A piece of the body, or the MOVE behind the last one. False: the log must catch up first. */
static bool go_on_copying(struct spool *spool)
{
	struct compaction *c = &spool->compaction;
	struct store_message *copy = (struct store_message *)c->copy;
	struct slice bytes = SLICE("");

	if (c->reading || spool_credit(copy, NULL, NULL) < FRAME_MAX)
		return false;
	int error = next_piece(spool, &bytes);
	if (error == ERR_BUSY) {
		c->reading = true;
		return false;
	}
	if (error == 0 && bytes.size > 0)
		error = spool_append(copy, bytes);
	forget_piece(c);
	if (error != 0) {
		give_up(spool);
		return true;
	}
	c->offset += bytes.size;
	if (c->offset < c->entry.entry.body_bytes)
		return true;
	c->copy = NULL;
	spool->state.moved_messages++;
	spool_commit(copy, c->entry.entry.id, &c->entry.entry.envelope, SLICE(""), NULL, NULL);
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

void spool_compact(struct spool *spool)
{
	struct compaction *c = &spool->compaction;

	if (spool->broken || spool_dead(spool) || spool->closing) {
		give_up(spool);
		c->victim = 0;
		return;
	}
	if (c->reading)
		return;
	if (c->victim == 0)
		choose(spool);
	if (c->victim == 0)
		return;
	if (c->copy != NULL) {
		if (!go_on_copying(spool))
			return;
	} else if (next_thing(spool) <= 0) {
		c->victim = 0; /* through, or without memory: the next look is after the next checkpoint */
		return;
	}
	spool_wake(spool);
}
