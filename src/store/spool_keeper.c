#include "store/spool_keeper.h"

#include <errno.h>
#include <stdlib.h>

#include "base/wire.h"

enum { PRUNE_MAX = 20000 }; /* end records in one checkpoint, so that none takes long */

void checkpoint_free(struct checkpoint *checkpoint)
{
	if (checkpoint == NULL)
		return;
	free(checkpoint->segments);
	free(checkpoint->dropped);
	free(checkpoint->freed);
	free(checkpoint->domains);
	free(checkpoint);
}

/* --- what goes into the index -------------------------------------------------------------------- */

static bool extent_in(const struct spool_entry *e, uint64_t segment)
{
	for (uint32_t i = 0; e != NULL && i < e->extent_count; i++)
		if (e->extents[i].segment == segment)
			return true;
	return false;
}

static int put_order(struct index_txn *txn, uint32_t queue, uint64_t id, bool put)
{
	struct index_key key = index_key_order(queue, id);

	return put ? index_put(txn, INDEX_ORDER, &key, SLICE("")) : index_delete(txn, INDEX_ORDER, &key);
}

static bool waits_in(const struct spool_entry *e, uint32_t queue)
{
	return e != NULL && entry_queued_in(&e->entry, queue);
}

/* Changes every queue in which a waits and b does not. */
static int diff_order(struct index_txn *txn, const struct spool_entry *a, const struct spool_entry *b,
		      bool put)
{
	int error = 0;

	if (a == NULL)
		return 0;
	const struct store_envelope *e = &a->entry.envelope;
	for (uint32_t i = entry_next_queue(&a->entry, 0); i < e->recipient_count && error == 0;
	     i = entry_next_queue(&a->entry, i + 1)) {
		uint32_t queue = entry_queue_of(&e->recipients[i]);
		if (!waits_in(b, queue))
			error = put_order(txn, queue, a->entry.id, put);
	}
	if (error == 0 && waits_in(a, STORE_GRACE) && !waits_in(b, STORE_GRACE))
		error = put_order(txn, STORE_GRACE, a->entry.id, put);
	return error;
}

static int diff_place(struct index_txn *txn, const struct spool_entry *a, const struct spool_entry *b,
		      bool put)
{
	int error = 0;

	for (uint32_t i = 0; a != NULL && i < a->extent_count && error == 0; i++) {
		uint64_t segment = a->extents[i].segment;
		if (extent_in(b, segment) || (i > 0 && a->extents[i - 1].segment == segment))
			continue;
		struct index_key key = index_key_place(segment, a->entry.id);
		error =
		    put ? index_put(txn, INDEX_PLACE, &key, SLICE("")) : index_delete(txn, INDEX_PLACE, &key);
	}
	return error;
}

static int change_message(struct index_txn *txn, const struct spool_entry *old, const struct spool_entry *new,
			  uint64_t id, struct slice blob)
{
	struct index_key key = index_key_u64(id);
	int error = diff_order(txn, old, new, false);

	if (error == 0)
		error = diff_place(txn, old, new, false);
	if (error == 0)
		error = diff_order(txn, new, old, true);
	if (error == 0)
		error = diff_place(txn, new, old, true);
	if (error == 0 && new != NULL)
		error = index_put(txn, INDEX_MESSAGE, &key, blob);
	if (error == 0 && new == NULL && old != NULL)
		error = index_delete(txn, INDEX_MESSAGE, &key);
	return error;
}

static int put_message(struct index_txn *txn, const struct overlay_entry *e, struct arena *arena)
{
	struct index_key key = index_key_u64(e->id);
	struct spool_entry old, new;
	struct slice blob, copy;
	int error = index_txn_get(txn, INDEX_MESSAGE, &key, &blob);
	bool had = error == 0;

	if (error != 0 && error != ERR_MISSING)
		return error;
	if (had) {
		/* A copy: what the index lends may move with the next change. */
		error = arena_copy(arena, blob, &copy);
		if (error == 0)
			error = spool_entry_decode(copy, arena, &old);
		if (error == ERR_CORRUPT) { /* its other keys stay; they lead nowhere */
			had = false;
			error = index_delete(txn, INDEX_MESSAGE, &key);
		}
		if (error != 0)
			return error;
	}
	if (!e->gone) {
		error = spool_entry_decode(e->blob, arena, &new);
		if (error != 0)
			return error;
	}
	return change_message(txn, had ? &old : NULL, e->gone ? NULL : &new, e->id, e->blob);
}

static int put_messages(struct index_txn *txn, const struct overlay *overlay)
{
	struct arena arena;
	int error = 0;
	size_t count = overlay->entries.count;
	const struct overlay_entry **sorted = malloc((count + 1) * sizeof(void *));

	if (sorted == NULL)
		return ERR_MEMORY;
	arena_init(&arena, 0);
	size_t n = 0;
	for (struct map_node *node = NULL; (node = map_next(&overlay->entries, node)) != NULL;)
		sorted[n++] = container_of(node, struct overlay_entry, node);
	overlay_sort(sorted, n);
	for (size_t i = 0; i < n && error == 0; i++) {
		error = put_message(txn, sorted[i], &arena);
		arena_reset(&arena);
	}
	arena_deinit(&arena);
	free(sorted);
	return error;
}

static int put_pair(struct index_txn *txn, const struct overlay_pair *p, struct buffer *scratch)
{
	struct index_key key = index_key_bytes(p->node.key), place;
	struct wire_writer w = wire_writer(scratch);
	struct slice old;
	int error = index_txn_get(txn, INDEX_PAIR, &key, &old);

	if (error == 0) {
		struct wire_reader r = wire_reader(old);
		place = index_key_place_pair(wire_read_u64(&r), p->node.key);
		error = wire_ok(&r) ? index_delete(txn, INDEX_PLACE, &place) : 0;
	}
	if (error != 0 && error != ERR_MISSING)
		return error;
	if (p->value.size == 0)
		return index_delete(txn, INDEX_PAIR, &key);
	buffer_reset(scratch);
	wire_write_u64(&w, p->segment);
	wire_write_bytes(&w, p->value);
	if (w.failed)
		return ERR_MEMORY;
	place = index_key_place_pair(p->segment, p->node.key);
	error = index_put(txn, INDEX_PLACE, &place, SLICE(""));
	return error == 0 ? index_put(txn, INDEX_PAIR, &key, buffer_slice(scratch)) : error;
}

static int put_pairs(struct index_txn *txn, const struct overlay *overlay)
{
	struct buffer scratch;
	int error = 0;

	buffer_init(&scratch, 0);
	for (struct map_node *node = NULL; error == 0 && (node = map_next(&overlay->pairs, node)) != NULL;)
		error = put_pair(txn, container_of(node, struct overlay_pair, node), &scratch);
	buffer_deinit(&scratch);
	return error;
}

static int put_ends(struct index_txn *txn, const struct checkpoint *job)
{
	const struct overlay *o = job->overlay;
	struct index_key below = index_key_end(job->prune_before_ms, 0);
	int error = 0;

	for (size_t i = 0; i < o->end_count && error == 0; i++) {
		struct index_key key = index_key_end(o->ends[i].ended_ms, o->ends[i].seq);
		error = index_put(txn, INDEX_END, &key, o->ends[i].blob);
	}
	for (size_t i = 0; i < o->aside_count && error == 0; i++) {
		struct index_key key = index_key_u64(o->asides[i].id);
		error = o->asides[i].blob.size > 0 ? index_put(txn, INDEX_ASIDE, &key, o->asides[i].blob)
						   : index_delete(txn, INDEX_ASIDE, &key);
	}
	return error == 0 ? index_prune(txn, INDEX_END, &below, PRUNE_MAX) : error;
}

static int put_numbers(struct index_txn *txn, enum index_table table, const struct index_key *key,
		       const uint64_t *numbers, size_t count, struct buffer *scratch)
{
	struct wire_writer w = wire_writer(scratch);

	buffer_reset(scratch);
	for (size_t i = 0; i < count; i++)
		wire_write_u64(&w, numbers[i]);
	return w.failed ? ERR_MEMORY : index_put(txn, table, key, buffer_slice(scratch));
}

static int put_tables(struct index_txn *txn, const struct checkpoint *job, struct buffer *scratch)
{
	int error = 0;

	for (size_t i = 0; i < job->domain_count && error == 0; i++) {
		const struct checkpoint_domain *d = &job->domains[i];
		const uint64_t numbers[] = {d->messages, d->bytes, d->recipients, d->first_id};
		struct index_key key = index_key_u32(d->domain);
		error = d->messages == 0 ? index_delete(txn, INDEX_DOMAIN, &key)
					 : put_numbers(txn, INDEX_DOMAIN, &key, numbers, 4, scratch);
	}
	for (size_t i = 0; i < job->dropped_count && error == 0; i++) {
		struct index_key key = index_key_u64(job->dropped[i]);
		error = index_delete(txn, INDEX_SEGMENT, &key);
	}
	for (size_t i = 0; i < job->segment_count && error == 0; i++) {
		const struct segment *s = &job->segments[i];
		const uint64_t numbers[] = {s->live, s->live_bytes, s->bytes};
		struct index_key key = index_key_u64(s->number);
		error = put_numbers(txn, INDEX_SEGMENT, &key, numbers, 3, scratch);
	}
	return error;
}

/* A copy that compaction made may follow in the log: it must not be taken for all there is. */
static int put_gone(struct index_txn *txn, const struct overlay *overlay)
{
	int error = 0;

	for (struct map_node *node = NULL;
	     error == 0 && (node = map_next(&overlay->entries, node)) != NULL;) {
		const struct overlay_entry *e = container_of(node, struct overlay_entry, node);
		struct index_key key = index_key_gone(e->id);
		if (e->gone)
			error = index_put(txn, INDEX_GONE, &key, SLICE(""));
	}
	for (struct map_node *node = NULL; error == 0 && (node = map_next(&overlay->pairs, node)) != NULL;) {
		const struct overlay_pair *p = container_of(node, struct overlay_pair, node);
		struct index_key key = index_key_gone_pair(p->node.key);
		if (p->value.size == 0)
			error = index_put(txn, INDEX_GONE, &key, SLICE(""));
	}
	return error;
}

static int put_all(struct index_txn *txn, const struct checkpoint *job)
{
	struct buffer scratch;

	buffer_init(&scratch, 0);
	int error = put_messages(txn, job->overlay);
	if (error == 0)
		error = put_pairs(txn, job->overlay);
	if (error == 0)
		error = put_ends(txn, job);
	if (error == 0)
		error = put_tables(txn, job, &scratch);
	if (error == 0)
		error = job->state.rebuilding ? put_gone(txn, job->overlay) : index_empty(txn, INDEX_GONE);
	if (error == 0)
		error = index_put_state(txn, &job->state);
	buffer_deinit(&scratch);
	return error;
}

static int commit(struct keeper *keeper, const struct checkpoint *job)
{
	struct index_txn *txn;
	int error = index_write_begin(keeper->index, &txn);

	if (error != 0)
		return error;
	error = put_all(txn, job);
	if (error == 0)
		error = index_commit(txn);
	else
		index_abort(txn);
	return error;
}

/* Not reused after a restart, and not durable before the next sync of the folder: a file that rises again is
 * older than the position of the index, so the next start removes it. */
static void free_files(struct keeper *keeper, const struct checkpoint *job)
{
	char name[FILE_NAME_SIZE];

	for (size_t i = 0; i < job->freed_count; i++) {
		if (log_give_spare(keeper->log, job->freed[i], keeper->spares_max))
			continue;
		log_name(job->freed[i], name);
		(void)keeper->files.ops->unlink(keeper->files.context, name);
	}
}

void keeper_run(struct keeper *keeper, struct checkpoint *job)
{
	if (job->copy_to != NULL) {
		job->error = index_copy(keeper->index, job->copy_to);
		return;
	}
	job->error = commit(keeper, job);
	if (job->error == ERR_LIMIT && log_release_reserve(keeper->log))
		job->error = commit(keeper, job);
	if (job->error != 0)
		return;
	index_reserve(keeper->index, keeper->log->reserve_bytes / 2);
	if (keeper->checkpointed != NULL)
		keeper->checkpointed(keeper->checkpointed_owner);
	free_files(keeper, job);
	if (job->freed_count > 0)
		log_check_space(keeper->log);
}

/* --- the thread ---------------------------------------------------------------------------------- */

bool keeper_step(struct keeper *keeper)
{
	pthread_mutex_lock(&keeper->lock);
	struct checkpoint *job = keeper->job != NULL && !keeper->job->begun ? keeper->job : NULL;
	if (job != NULL)
		job->begun = true;
	pthread_mutex_unlock(&keeper->lock);
	if (job == NULL)
		return false;
	keeper_run(keeper, job);
	pthread_mutex_lock(&keeper->lock);
	job->done = true;
	pthread_cond_signal(&keeper->finished);
	pthread_mutex_unlock(&keeper->lock);
	return true;
}

static void *run(void *argument)
{
	struct keeper *keeper = argument;

	for (;;) {
		pthread_mutex_lock(&keeper->lock);
		while ((keeper->job == NULL || keeper->job->begun) && !keeper->stopping)
			pthread_cond_wait(&keeper->asked, &keeper->lock);
		bool idle = keeper->job == NULL || keeper->job->begun;
		pthread_mutex_unlock(&keeper->lock);
		if (idle)
			return NULL;
		(void)keeper_step(keeper);
		if (keeper->wake != NULL)
			keeper->wake(keeper->wake_owner);
	}
}

int keeper_start(struct keeper *keeper, bool threaded)
{
	pthread_mutex_init(&keeper->lock, NULL);
	pthread_cond_init(&keeper->asked, NULL);
	pthread_cond_init(&keeper->finished, NULL);
	keeper->threaded = threaded && pthread_create(&keeper->thread, NULL, run, keeper) == 0;
	return threaded && !keeper->threaded ? ERR_MEMORY : 0;
}

void keeper_stop(struct keeper *keeper)
{
	pthread_mutex_lock(&keeper->lock);
	keeper->stopping = true;
	pthread_cond_signal(&keeper->asked);
	pthread_mutex_unlock(&keeper->lock);
	if (keeper->threaded)
		(void)pthread_join(keeper->thread, NULL);
	pthread_mutex_destroy(&keeper->lock);
	pthread_cond_destroy(&keeper->asked);
	pthread_cond_destroy(&keeper->finished);
}

void keeper_give(struct keeper *keeper, struct checkpoint *job)
{
	pthread_mutex_lock(&keeper->lock);
	job->begun = false;
	job->done = false;
	keeper->job = job;
	pthread_cond_signal(&keeper->asked);
	pthread_mutex_unlock(&keeper->lock);
}

struct checkpoint *keeper_take(struct keeper *keeper, bool wait)
{
	pthread_mutex_lock(&keeper->lock);
	while (wait && keeper->threaded && keeper->job != NULL && !keeper->job->done)
		pthread_cond_wait(&keeper->finished, &keeper->lock);
	struct checkpoint *job = keeper->job != NULL && keeper->job->done ? keeper->job : NULL;
	if (job != NULL)
		keeper->job = NULL;
	pthread_mutex_unlock(&keeper->lock);
	return job;
}
