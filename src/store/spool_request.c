/* Asking the spool: each call becomes a run of records for the writer, or a read that poll will answer. */
#include <stdlib.h>

#include "base/check.h"
#include "store/spool_internal.h"

/* --- writes -------------------------------------------------------------------------------------- */

struct spool_write *write_new(enum record_kind kind, bool grows, struct done done)
{
	struct spool_write *w = calloc(1, sizeof(*w));
	size_t at;

	if (w == NULL)
		return NULL;
	buffer_init(&w->run, 0);
	w->kind = kind;
	w->grows = grows;
	w->done = done;
	if (record_begin(&w->run, &at) != 0) {
		write_free(w);
		return NULL;
	}
	return w;
}

void write_free(struct spool_write *write)
{
	if (write == NULL)
		return;
	buffer_deinit(&write->run);
	if (!write->embedded)
		free(write);
}

void write_refuse(struct spool *spool, struct spool_write *write, struct done done)
{
	write_free(write);
	refused_add(&spool->refused, &done);
	spool_wake(spool);
}

struct order_slot *spool_order_slot(struct spool *spool, uint64_t id)
{
	return &spool->order[id == 0 ? 0 : 1 + (id * UINT64_C(0x9e3779b97f4a7c15) >> 40) % (ORDER_SLOTS - 1)];
}

void write_submit(struct spool *spool, struct spool_write *write, uint64_t order_id)
{
	struct done done = write->done;

	if (!write->embedded && record_finish(&write->run, write->last_at, write->kind) != 0) {
		write_refuse(spool, write, done);
		return;
	}
	if (spool->note_count > 0 && write->kind != RECORD_NOTE)
		spool_flush_notes(spool); /* company */
	if (write->kind == RECORD_MOVE) {
		spool_compact_queue(spool, write);
		return;
	}
	write->seq = ++spool->asked_seq;
	write->id = order_id;
	spool_order_slot(spool, order_id)->last_write = write->seq;
	writer_queue(&spool->writer, write);
}

void spool_amend(struct store *store, uint64_t id, uint64_t version, uint64_t fence,
		 const struct store_change *changes, size_t count, int64_t wall_ms, store_done *done,
		 void *owner)
{
	struct spool *spool = spool_of(store);
	struct done completion = done_plain(done, owner);
	struct spool_amend amend = {.id = id,
				    .version = version,
				    .wall_ms = wall_ms,
				    .changes = (struct store_change *)changes,
				    .count = (uint32_t)count};

	(void)fence; /* one machine: nobody else feeds a lane */
	if (!entry_changes_valid(changes, count)) {
		spool_answer(spool, completion, STORE_FAILED, STORE_REASON_MISSING);
		return;
	}
	struct spool_write *w = write_new(RECORD_AMEND, false, completion);
	if (w == NULL || spool_amend_encode(&w->run, &amend) != 0) {
		write_refuse(spool, w, completion);
		return;
	}
	write_submit(spool, w, id);
}

void spool_put(struct store *store, struct slice key, struct slice value, store_done *done, void *owner)
{
	struct spool *spool = spool_of(store);
	struct done completion = done_plain(done, owner);

	if (key.size == 0 || key.size > STORE_KEY_MAX || value.size > STORE_VALUE_MAX) {
		spool_answer(spool, completion, STORE_FAILED, STORE_REASON_NONE);
		return;
	}
	struct spool_write *w = write_new(RECORD_PAIR, false, completion);
	if (w == NULL || spool_pair_encode(&w->run, key, value) != 0) {
		write_refuse(spool, w, completion);
		return;
	}
	write_submit(spool, w, 0);
}

/* Refusals at the door wait for company: they ride on the next group commit. */
void spool_note_end(struct store *store, const struct store_end *end)
{
	struct spool *spool = spool_of(store);
	struct spool_write *w =
	    spool->note_count < NOTES_MAX ? write_new(RECORD_NOTE, true, done_plain(NULL, NULL)) : NULL;

	if (w == NULL || spool_end_encode(&w->run, end) != 0) {
		write_free(w);
		spool->state.dropped_notes++;
		return;
	}
	list_add_last(&spool->notes, &w->node);
	spool->note_count++;
	if (spool->note_count == NOTES_BATCH)
		spool_wake(spool);
}

void spool_flush_notes(struct spool *spool)
{
	spool->note_count = 0;
	for (struct list *node; (node = list_first(&spool->notes)) != NULL;) {
		list_remove(node);
		write_submit(spool, container_of(node, struct spool_write, node), 0);
	}
}

/* --- reads --------------------------------------------------------------------------------------- */

static struct spool_read *read_new(enum read_kind kind, struct done done)
{
	struct spool_read *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->kind = kind;
	r->done = done;
	return r;
}

static void read_refuse(struct spool *spool, struct spool_read *read, struct done done)
{
	if (read != NULL)
		arena_deinit(&read->arena);
	free(read);
	refused_add(&spool->refused, &done);
	spool_wake(spool);
}

void spool_answer(struct spool *spool, struct done done, enum store_result result, enum store_reason reason)
{
	struct spool_read *r;

	if (done.kind == DONE_NONE)
		return;
	r = read_new(READ_DONE, done);
	if (r == NULL) {
		read_refuse(spool, r, done);
		return;
	}
	r->result = result;
	r->reason = reason;
	r->barrier = spool->asked_seq; /* behind what was asked for before, on whichever message */
	spool_read_queue(spool, r);
}

void spool_walk(struct store *store, uint32_t domain, uint64_t after, size_t max, store_walk_done *done,
		void *owner)
{
	struct spool_read *r = read_new(READ_WALK, done_walk(done, owner));

	if (r == NULL) {
		read_refuse(spool_of(store), r, done_walk(done, owner));
		return;
	}
	r->domain = domain;
	r->id = after;
	r->max = max < STORE_WALK_MAX ? max : STORE_WALK_MAX;
	spool_read_queue(spool_of(store), r);
}

void spool_find(struct store *store, uint64_t id, store_walk_done *done, void *owner)
{
	struct spool_read *r = read_new(READ_FIND, done_walk(done, owner));

	if (r == NULL) {
		read_refuse(spool_of(store), r, done_walk(done, owner));
		return;
	}
	r->id = id;
	r->barrier = spool_order_slot(spool_of(store), id)->last_write;
	spool_read_queue(spool_of(store), r);
}

void spool_read(struct store *store, uint64_t id, uint64_t offset, size_t max, store_read_done *done,
		void *owner)
{
	struct spool_read *r = read_new(READ_BODY, done_read(done, owner));

	if (r == NULL) {
		read_refuse(spool_of(store), r, done_read(done, owner));
		return;
	}
	r->id = id;
	r->offset = offset;
	r->max = max < SPOOL_READ_MAX ? max : SPOOL_READ_MAX;
	r->barrier = spool_order_slot(spool_of(store), id)->last_write;
	spool_read_queue(spool_of(store), r);
}

void spool_ends(struct store *store, int64_t since_ms, int64_t before_ms, uint64_t skip, size_t max,
		store_ends_done *done, void *owner)
{
	if (spool_of(store)->note_count > 0) /* who asks wants to see what was refused just now */
		spool_flush_notes(spool_of(store));
	struct spool_read *r = read_new(READ_ENDS, done_ends(done, owner));

	if (r == NULL) {
		read_refuse(spool_of(store), r, done_ends(done, owner));
		return;
	}
	r->since_ms = since_ms;
	r->before_ms = before_ms;
	r->skip = skip;
	r->max = max < STORE_WALK_MAX ? max : STORE_WALK_MAX;
	spool_read_queue(spool_of(store), r);
}

static void ask_pairs(struct spool *spool, enum read_kind kind, struct slice first, struct slice second,
		      size_t max, struct done done)
{
	struct spool_read *r = read_new(kind, done);

	if (r == NULL || arena_copy(&r->arena, first, &r->first) != 0 ||
	    arena_copy(&r->arena, second, &r->second) != 0) {
		read_refuse(spool, r, done);
		return;
	}
	r->max = max < STORE_WALK_MAX ? max : STORE_WALK_MAX;
	r->barrier = spool_order_slot(spool, 0)->last_write;
	spool_read_queue(spool, r);
}

void spool_get(struct store *store, struct slice key, store_pairs_done *done, void *owner)
{
	ask_pairs(spool_of(store), READ_GET, key, SLICE(""), 1, done_pairs(done, owner));
}

void spool_scan(struct store *store, struct slice prefix, struct slice after, size_t max,
		store_pairs_done *done, void *owner)
{
	ask_pairs(spool_of(store), READ_SCAN, prefix, after, max, done_pairs(done, owner));
}

/* There is one machine: whoever asks has it. */
void spool_lease(struct store *store, struct slice lane, int64_t ttl_ms, uint64_t *ret_fence,
		 store_done *done, void *owner)
{
	(void)lane;
	(void)ttl_ms;
	*ret_fence = 1;
	spool_answer(spool_of(store), done_plain(done, owner), STORE_OK, STORE_REASON_NONE);
}
