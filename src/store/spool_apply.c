/* What a durable record does to the state in memory; the same code for a record just written and for one read
 * again. */
#include "base/check.h"
#include "store/spool_internal.h"

static const struct outcome outcome_ok = {.result = STORE_OK, .reason = STORE_REASON_NONE};

static struct outcome failed(enum store_reason reason)
{
	return (struct outcome){.result = STORE_FAILED, .reason = reason};
}

int spool_blob(struct spool *spool, uint64_t id, struct slice *ret_blob)
{
	const struct overlay_entry *e = overlay_find(spool->active, id);

	if (e == NULL)
		e = overlay_find(spool->frozen, id);
	if (e == NULL) {
		struct index_key key = index_key_u64(id);
		return index_get(spool->index, INDEX_MESSAGE, &key, ret_blob);
	}
	if (e->gone)
		return ERR_MISSING;
	*ret_blob = e->blob;
	return 0;
}

static void tell_unreadable(struct spool *spool, uint64_t id)
{
	for (size_t i = 0; i < spool->unreadable_count; i++)
		if (spool->unreadable[i] == id)
			return;
	if (spool->unreadable_count == UNREADABLE_MAX)
		return;
	spool->unreadable[spool->unreadable_count++] = id;
	spool_tell(spool, SPOOL_EVENT_ASIDE, id, (struct position){.segment = 0},
		   "an entry of the index is damaged: it is not served; stop the daemon and let `restante "
		   "spool rebuild` make the index again from the log");
}

int spool_entry_now(struct spool *spool, uint64_t id, struct arena *arena, struct spool_entry *ret_entry)
{
	struct slice blob;
	int error = spool_blob(spool, id, &blob);

	if (error == 0)
		error = spool_entry_decode(blob, arena, ret_entry);
	if (error == 0 && ret_entry->entry.id != id)
		error = ERR_CORRUPT;
	if (error != ERR_CORRUPT)
		return error;
	tell_unreadable(spool, id);
	return ERR_MISSING;
}

int spool_pair_now(struct spool *spool, struct slice key, struct slice *ret_value, uint64_t *ret_segment)
{
	const struct overlay_pair *p = overlay_find_pair(spool->active, key);

	if (p == NULL)
		p = overlay_find_pair(spool->frozen, key);
	if (p == NULL) {
		struct index_key index_key = index_key_bytes(key);
		struct slice value;
		int error = index_get(spool->index, INDEX_PAIR, &index_key, &value);
		if (error != 0)
			return error;
		struct wire_reader r = wire_reader(value);
		*ret_segment = wire_read_u64(&r);
		*ret_value = r.rest;
		if (!wire_ok(&r))
			tell_unreadable(spool, 0);
		return wire_ok(&r) ? 0 : ERR_MISSING;
	}
	if (p->value.size == 0)
		return ERR_MISSING;
	*ret_value = p->value;
	*ret_segment = p->segment;
	return 0;
}

/* --- ends ---------------------------------------------------------------------------------------- */

struct ending {
	struct spool *spool;
	int error;
};

static int record_end(struct spool *spool, const struct store_end *end)
{
	buffer_reset(&spool->scratch);
	int error = spool_end_encode(&spool->scratch, end);
	if (error != 0)
		return error;
	if (end->ended_ms > spool->wall_ms)
		spool->wall_ms = end->ended_ms;
	/* While the index cannot be written, memory is for what must not be forgotten. */
	if (spool->checkpoint_failed &&
	    spool->active->arena.used_bytes >= OVERLAY_ENDS * spool->config.overlay_bytes) {
		spool->end_seq++;
		spool->state.dropped_ends++;
		return 0;
	}
	return overlay_add_end(spool->active, end->ended_ms, ++spool->end_seq, buffer_slice(&spool->scratch));
}

static void recipient_ended(void *owner, const struct store_end *end)
{
	struct ending *ending = owner;

	ending->spool->totals.ended++;
	ending->spool->totals.delivered += end->state == STORE_DELIVERED;
	if (ending->error == 0)
		ending->error = record_end(ending->spool, end);
}

/* --- messages ------------------------------------------------------------------------------------ */

static int decode_record(struct spool *spool, struct slice payload, struct position at,
			 struct spool_entry *entry)
{
	int error = spool_entry_decode(payload, &spool->arena, entry);

	return error == 0 ? spool_entry_resolve(entry, at.segment, at.offset) : error;
}

static int make_segments(struct spool *spool, const struct spool_entry *entry)
{
	for (uint32_t i = 0; i < entry->extent_count; i++)
		if (segments_make(&spool->segments, entry->extents[i].segment) == NULL)
			return ERR_MEMORY;
	return 0;
}

static int save(struct spool *spool, const struct spool_entry *entry)
{
	buffer_reset(&spool->scratch);
	int error = spool_entry_encode(&spool->scratch, entry);
	return error == 0 ? overlay_set(spool->active, entry->entry.id, buffer_slice(&spool->scratch))
			  : error;
}

static int list_message(struct spool *spool, const struct store_entry *entry)
{
	const struct store_envelope *e = &entry->envelope;
	int error = overlay_list_add(spool->active, 0, entry->id);

	for (uint32_t i = entry_next_queue(entry, 0); i < e->recipient_count && error == 0;
	     i = entry_next_queue(entry, i + 1))
		error = overlay_list_add(spool->active, entry_queue_of(&e->recipients[i]), entry->id);
	if (error == 0 && entry_queued_in(entry, STORE_GRACE))
		error = overlay_list_add(spool->active, STORE_GRACE, entry->id);
	return error;
}

static void unlist_grace(struct spool *spool, const struct store_entry *entry)
{
	const struct store_envelope *e = &entry->envelope;

	if (overlay_list(spool->active, STORE_GRACE) == NULL || entry_queued_in(entry, STORE_GRACE))
		return;
	for (uint32_t i = 0; i < e->recipient_count; i++)
		overlay_list_remove(spool->active, STORE_GRACE | e->recipients[i].domain, entry->id);
	overlay_list_remove(spool->active, STORE_GRACE, entry->id);
}

/* Takes it out of the lists of the queues in which it waited before and waits no more; it may stay in one of
 * grace too long: whoever reads a list looks at the entry. */
static void unlist(struct spool *spool, const struct store_entry *entry)
{
	const struct store_envelope *e = &entry->envelope;

	for (uint32_t i = 0; i < e->recipient_count; i++)
		if ((i == 0 || e->recipients[i].domain != e->recipients[i - 1].domain) &&
		    !entry_queued_in(entry, e->recipients[i].domain))
			overlay_list_remove(spool->active, e->recipients[i].domain, entry->id);
	if (entry_queued(entry) == 0)
		overlay_list_remove(spool->active, 0, entry->id);
	unlist_grace(spool, entry);
}

static int drop_message(struct spool *spool, const struct spool_entry *entry)
{
	segments_dead(&spool->segments, entry->extents, entry->extent_count);
	spool->dead_bytes += entry->entry.body_bytes;
	spool->compaction.news += entry->entry.body_bytes;
	return overlay_remove(spool->active, entry->entry.id);
}

static int end_at_once(struct spool *spool, const struct store_entry *entry)
{
	struct ending ending = {.spool = spool};

	for (uint32_t i = 0; i < entry->envelope.recipient_count; i++) {
		if (entry->envelope.recipients[i].state == STORE_QUEUED)
			continue;
		struct store_end end = entry_end_of(entry, i, entry->envelope.arrival_ms, SLICE(""));
		recipient_ended(&ending, &end);
	}
	return ending.error;
}

static int insert(struct spool *spool, struct spool_entry *entry)
{
	int error = make_segments(spool, entry);

	if (error == 0)
		error = counts_prepare(&spool->counts, &entry->entry,
				       entry_queued_in(&entry->entry, STORE_GRACE));
	if (error == 0)
		error = end_at_once(spool, &entry->entry);
	if (error != 0)
		return error;
	spool->totals.accepted += entry->entry.envelope.recipient_count;
	if (entry->entry.id > spool->last_id)
		spool->last_id = entry->entry.id;
	if (!entry_kept(&entry->entry))
		return overlay_remove(spool->active, entry->entry.id);
	segments_live(&spool->segments, entry->extents, entry->extent_count);
	counts_add(&spool->counts, &entry->entry);
	error = list_message(spool, &entry->entry);
	return error == 0 ? save(spool, entry) : error;
}

static int apply_end(struct spool *spool, struct slice payload, struct position at, struct outcome *outcome)
{
	struct spool_entry entry;
	struct slice blob;
	int error = decode_record(spool, payload, at, &entry);

	if (error != 0)
		return error;
	error = spool_blob(spool, entry.entry.id, &blob);
	*outcome = outcome_ok;
	if (error == ERR_MISSING)
		return insert(spool, &entry);
	return error; /* it is there already: once is enough */
}

/* 0: found and decoded; ERR_MISSING: an outcome, not an error. */
static int find_entry(struct spool *spool, uint64_t id, struct spool_entry *entry, struct outcome *outcome)
{
	int error = spool_entry_now(spool, id, &spool->arena, entry);

	if (error == ERR_MISSING)
		*outcome = failed(STORE_REASON_MISSING);
	return error;
}

static int change(struct spool *spool, struct spool_entry *entry, const struct spool_amend *amend,
		  struct outcome *outcome)
{
	struct ending ending = {.spool = spool};
	bool grace = entry_changes_grace(amend->changes, amend->count);
	int error = counts_prepare(&spool->counts, &entry->entry,
				   grace || entry_queued_in(&entry->entry, STORE_GRACE));
	uint32_t taken_back;

	if (error != 0)
		return error;
	counts_remove(&spool->counts, &entry->entry);
	error = entry_change(&entry->entry, &spool->arena, amend->changes, amend->count, amend->wall_ms,
			     recipient_ended, &ending, &taken_back);
	spool->totals.accepted += taken_back;
	counts_add(&spool->counts, &entry->entry);
	*outcome = error == ERR_MISSING ? failed(STORE_REASON_MISSING) : outcome_ok;
	if (error != 0)
		return error == ERR_MISSING ? 0 : error;
	unlist(spool, &entry->entry);
	if (grace)
		error = list_message(spool, &entry->entry);
	if (error == 0)
		error = entry_kept(&entry->entry) ? save(spool, entry) : drop_message(spool, entry);
	return error == 0 ? ending.error : error;
}

static int apply_amend(struct spool *spool, struct slice payload, struct outcome *outcome)
{
	struct spool_amend amend;
	struct spool_entry entry;
	int error = spool_amend_decode(payload, &spool->arena, &amend);

	if (error != 0)
		return error;
	if (amend.wall_ms > spool->wall_ms)
		spool->wall_ms = amend.wall_ms;
	error = find_entry(spool, amend.id, &entry, outcome);
	if (error != 0)
		return error == ERR_MISSING ? 0 : error;
	if (amend.version != 0 && amend.version != entry.entry.version) {
		*outcome = failed(STORE_REASON_VERSION);
		return 0;
	}
	return change(spool, &entry, &amend, outcome);
}

/* Out of the queue without an end: never acknowledged, or damaged. */
static int take_out(struct spool *spool, struct spool_entry *entry)
{
	struct store_envelope *e = &entry->entry.envelope;
	int error =
	    counts_prepare(&spool->counts, &entry->entry, entry_queued_in(&entry->entry, STORE_GRACE));

	if (error != 0)
		return error;
	counts_remove(&spool->counts, &entry->entry);
	spool->totals.accepted -= entry_queued(&entry->entry);
	for (uint32_t i = 0; i < e->recipient_count; i++)
		if (entry_queue_of(&e->recipients[i]) != 0)
			e->recipients[i].state = STORE_REMOVED;
	unlist(spool, &entry->entry);
	return 0;
}

static int apply_abort(struct spool *spool, struct slice payload, struct outcome *outcome)
{
	struct spool_entry entry;
	uint64_t id;
	int error = spool_id_decode(payload, &id);

	if (error == 0)
		error = find_entry(spool, id, &entry, outcome);
	*outcome = outcome_ok;
	if (error != 0)
		return error == ERR_MISSING ? 0 : error;
	error = take_out(spool, &entry);
	return error == 0 ? drop_message(spool, &entry) : error;
}

/* Its bytes stay live: they are kept for a look. */
static int apply_aside(struct spool *spool, struct slice payload, struct outcome *outcome)
{
	struct spool_entry entry;
	struct slice blob;
	uint64_t id;
	int error = spool_id_decode(payload, &id);

	if (error == 0)
		error = find_entry(spool, id, &entry, outcome);
	*outcome = outcome_ok;
	if (error != 0)
		return error == ERR_MISSING ? 0 : error;
	error = spool_blob(spool, id, &blob);
	if (error == 0)
		error = overlay_add_aside(spool->active, id, blob);
	if (error == 0)
		error = take_out(spool, &entry);
	if (error != 0)
		return error;
	spool->totals.set_aside++;
	return overlay_remove(spool->active, id);
}

/* A segment that is empty now hastens the checkpoint that gives it back. */
static void leave(struct spool *spool, const struct spool_entry *entry)
{
	segments_dead(&spool->segments, entry->extents, entry->extent_count);
	for (uint32_t i = 0; i < entry->extent_count; i++) {
		const struct segment *s = segments_find(&spool->segments, entry->extents[i].segment);
		if (s != NULL && s->live == 0)
			spool->dead_bytes += s->bytes;
	}
}

/* While the index is made again from a log whose older part is gone: nothing was read of it, not even its
 * end. 1, 0, or an error. */
static int unheard_of(struct spool *spool, const struct index_key *gone)
{
	struct slice value;

	if (!spool->rebuilding)
		return 0;
	int error = index_get(spool->index, INDEX_GONE, gone, &value);
	return error == ERR_MISSING ? 1 : error;
}

static int apply_move_of_missing(struct spool *spool, struct spool_entry *moved)
{
	struct index_key gone = index_key_gone(moved->entry.id);

	if (overlay_find(spool->active, moved->entry.id) != NULL ||
	    overlay_find(spool->frozen, moved->entry.id) != NULL)
		return 0;
	int unheard = unheard_of(spool, &gone);
	return unheard == 1 ? insert(spool, moved) : unheard;
}

static int apply_move(struct spool *spool, struct slice payload, struct position at, struct outcome *outcome)
{
	struct spool_entry moved, now;
	int error = decode_record(spool, payload, at, &moved);

	if (error != 0)
		return error;
	error = find_entry(spool, moved.entry.id, &now, outcome);
	if (error == ERR_MISSING) /* deleted meanwhile: it stays so; or the copy is all there is */
		return apply_move_of_missing(spool, &moved);
	if (error != 0 || now.entry.body_bytes != moved.entry.body_bytes)
		return error != 0 ? error : ERR_CORRUPT;
	error = make_segments(spool, &moved);
	if (error != 0)
		return error;
	leave(spool, &now);
	segments_live(&spool->segments, moved.extents, moved.extent_count);
	now.extents = moved.extents;
	now.extent_count = moved.extent_count;
	*outcome = outcome_ok;
	return save(spool, &now);
}

/* --- pairs --------------------------------------------------------------------------------------- */

static int set_pair(struct spool *spool, const struct store_pair *pair, struct position at)
{
	struct slice old;
	uint64_t segment;
	int error = spool_pair_now(spool, pair->key, &old, &segment);

	if (error != 0 && error != ERR_MISSING)
		return error;
	if (segments_make(&spool->segments, at.segment) == NULL)
		return ERR_MEMORY;
	if (error == 0)
		segments_dead_pair(&spool->segments, segment, pair->key, old);
	if (pair->value.size > 0)
		segments_live_pair(&spool->segments, at.segment, pair->key, pair->value);
	return overlay_set_pair(spool->active, pair->key, pair->value, at.segment);
}

static int apply_pair(struct spool *spool, struct slice payload, struct position at, struct outcome *outcome)
{
	struct store_pair pair;
	int error = spool_pair_decode(payload, &pair);

	*outcome = outcome_ok;
	return error == 0 ? set_pair(spool, &pair, at) : error;
}

static int apply_pair_move(struct spool *spool, struct slice payload, struct position at,
			   struct outcome *outcome)
{
	struct store_pair pair;
	struct slice now;
	uint64_t from, segment = 0;
	int error = spool_pair_move_decode(payload, &from, &pair);

	*outcome = outcome_ok;
	if (error != 0)
		return error;
	error = spool_pair_now(spool, pair.key, &now, &segment);
	if (error != 0 && error != ERR_MISSING)
		return error;
	int counts = error == 0 && segment == from;
	struct index_key gone = index_key_gone_pair(pair.key);
	if (error == ERR_MISSING && overlay_find_pair(spool->active, pair.key) == NULL &&
	    overlay_find_pair(spool->frozen, pair.key) == NULL)
		counts = unheard_of(spool, &gone);
	return counts == 1 ? set_pair(spool, &pair, at) : counts; /* else put anew or removed meanwhile */
}

static int apply_note(struct spool *spool, struct slice payload, struct outcome *outcome)
{
	struct store_end end;
	int error = spool_end_decode(payload, &end);

	*outcome = outcome_ok;
	return error == 0 ? record_end(spool, &end) : error;
}

int spool_apply(struct spool *spool, enum record_kind kind, struct slice payload, struct position at,
		struct outcome *ret_outcome)
{
	arena_reset(&spool->arena);
	switch (kind) {
	case RECORD_BODY:
		*ret_outcome = outcome_ok;
		return 0;
	case RECORD_END:
		return apply_end(spool, payload, at, ret_outcome);
	case RECORD_AMEND:
		return apply_amend(spool, payload, ret_outcome);
	case RECORD_PAIR:
		return apply_pair(spool, payload, at, ret_outcome);
	case RECORD_NOTE:
		return apply_note(spool, payload, ret_outcome);
	case RECORD_ABORT:
		return apply_abort(spool, payload, ret_outcome);
	case RECORD_ASIDE:
		return apply_aside(spool, payload, ret_outcome);
	case RECORD_MOVE:
		return apply_move(spool, payload, at, ret_outcome);
	case RECORD_PAIR_MOVE:
		return apply_pair_move(spool, payload, at, ret_outcome);
	case RECORD_FORGET:
		return spool_apply_forget(spool, payload, ret_outcome);
	default:
		return ERR_CORRUPT;
	}
}
