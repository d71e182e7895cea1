/* Answering reads, in the order in which they and the writes on the same message were asked for.
 *
 * A body that is not in memory comes later, from the reader's threads. Until then its message is busy: what
 * was asked for behind that read waits for it, though writes have their effect at once.
 */
#include <stdlib.h>

#include "base/check.h"
#include "store/spool_internal.h"

static bool is_ordered(const struct spool_read *read)
{
	return read->kind == READ_FIND || read->kind == READ_BODY;
}

static void read_free(struct spool_read *read)
{
	arena_deinit(&read->arena);
	free(read);
}

void spool_read_queue(struct spool *spool, struct spool_read *read)
{
	if (is_ordered(read))
		spool_order_slot(spool, read->id)->reads++;
	list_add_last(&spool->reads, &read->node);
	spool_wake(spool);
}

static void read_over(struct spool *spool, struct spool_read *read)
{
	if (is_ordered(read))
		spool_order_slot(spool, read->id)->reads--;
	read_free(read);
}

/* --- bodies -------------------------------------------------------------------------------------- */

/* A message that cannot be read leaves the queue for good, so that nobody tries it again and again. */
static void set_aside(struct spool *spool, uint64_t id)
{
	struct slice blob;

	if (spool_blob(spool, id, &blob) != 0)
		return; /* over meanwhile */
	struct spool_write *w = write_new(RECORD_ASIDE, false, done_plain(NULL, NULL));
	if (w == NULL || spool_id_encode(&w->run, id) != 0) {
		write_free(w);
		return;
	}
	write_submit(spool, w, id);
	spool_tell(spool, SPOOL_EVENT_ASIDE, id, (struct position){.segment = 0},
		   "a stored message is damaged: it is set aside and will not be delivered");
}

static void give_bytes(struct spool *spool, const struct spool_read *read, int error, struct slice bytes)
{
	if (error == 0) {
		read->done.call.read(read->done.owner, STORE_OK, STORE_REASON_NONE, bytes);
	} else if (error == ERR_MISSING) {
		done_result(&read->done, STORE_FAILED, STORE_REASON_MISSING);
	} else if (error == ERR_CORRUPT) {
		set_aside(spool, read->id);
		done_result(&read->done, STORE_FAILED, STORE_REASON_CORRUPT);
	} else {
		done_result(&read->done, STORE_FAILED,
			    error == ERR_MEMORY ? STORE_REASON_MEMORY : STORE_REASON_IO);
	}
}

/* False: it comes later. */
static bool answer_body(struct spool *spool, struct spool_read *read)
{
	struct spool_entry entry;
	struct slice bytes = SLICE("");

	arena_reset(&spool->arena);
	int error = spool_entry_now(spool, read->id, &spool->arena, &entry);
	if (error == 0)
		error = spool_body_ask(spool, &entry, read->offset, read->max, read, &bytes);
	if (error == ERR_BUSY) {
		spool_order_slot(spool, read->id)->jobs++;
		spool->bodies_read++;
		return false;
	}
	give_bytes(spool, read, error, bytes);
	return true;
}

static void body_came(struct spool *spool, struct spool_read *read, const struct body_job *job)
{
	spool_order_slot(spool, read->id)->jobs--;
	spool->bodies_read--;
	give_bytes(spool, read, job->error, job->bytes);
	read_over(spool, read);
}

void spool_take_bodies(struct spool *spool, bool wait)
{
	struct body_job *job;

	while ((job = spool_body_take(spool, wait)) != NULL) {
		if (job->owner == &spool->compaction) {
			spool_compact_read(spool, job);
			continue;
		}
		body_came(spool, job->owner, job);
		body_job_free(job);
	}
}

/* --- order --------------------------------------------------------------------------------------- */

static bool read_before(struct spool *spool, const struct spool_write *write)
{
	list_each(node, &spool->reads) {
		const struct spool_read *r = container_of(node, struct spool_read, node);
		if (is_ordered(r) && r->barrier < write->seq &&
		    spool_order_slot(spool, r->id) == spool_order_slot(spool, write->id))
			return true;
	}
	return false;
}

static bool held_before(struct spool *spool, const struct spool_read *read)
{
	list_each(node, &spool->held) {
		const struct spool_write *w = container_of(node, struct spool_write, node);
		if (w->seq <= read->barrier &&
		    spool_order_slot(spool, w->id) == spool_order_slot(spool, read->id))
			return true;
	}
	return false;
}

static bool must_wait(struct spool *spool, const struct spool_write *write)
{
	const struct order_slot *slot = spool_order_slot(spool, write->id);

	return slot->jobs > 0 || (slot->reads > 0 && read_before(spool, write));
}

bool spool_hold_write(struct spool *spool, struct spool_write *write)
{
	struct order_slot *slot = spool_order_slot(spool, write->id);

	if (write->id == 0 || write->done.kind == DONE_NONE || (slot->held == 0 && !must_wait(spool, write)))
		return false;
	list_add_last(&spool->held, &write->node);
	slot->held++;
	return true;
}

static bool release_held(struct spool *spool)
{
	bool released = false;

	list_each_safe(node, after, &spool->held) {
		struct spool_write *w = container_of(node, struct spool_write, node);
		if (must_wait(spool, w))
			continue;
		list_remove(node);
		spool_order_slot(spool, w->id)->held--;
		done_result(&w->done, w->result, w->reason);
		write_free(w);
		released = true;
	}
	return released;
}

static bool may_answer(struct spool *spool, const struct spool_read *read)
{
	if (read->barrier > spool->done_seq)
		return false;
	if (!is_ordered(read))
		return true;
	const struct order_slot *slot = spool_order_slot(spool, read->id);
	return slot->jobs == 0 && (slot->held == 0 || !held_before(spool, read));
}

/* What is asked for meanwhile is for the next turn: else an owner that asks again at once would keep the loop
 * here. */
static void answer_reads(struct spool *spool)
{
	struct list *last = spool->reads.prev;
	bool more = !list_empty(&spool->reads);

	for (struct list *node = spool->reads.next; more;) {
		struct spool_read *read = container_of(node, struct spool_read, node);
		more = node != last;
		node = node->next;
		if (!may_answer(spool, read))
			continue;
		list_remove(&read->node);
		bool over = true;
		if (read->kind == READ_BODY)
			over = answer_body(spool, read);
		else
			spool_answer_read(spool, read);
		if (over)
			read_over(spool, read);
	}
}

void spool_complete_reads(struct spool *spool)
{
	do
		answer_reads(spool);
	while (!list_empty(&spool->held) && release_held(spool));
}

bool spool_reads_wait(const struct spool *spool)
{
	return !list_empty(&spool->reads) || !list_empty(&spool->held) || spool->bodies_read > 0;
}

void spool_free_reads(struct spool *spool)
{
	list_each_safe(node, after, &spool->reads)
		read_free(container_of(node, struct spool_read, node));
	list_each_safe(node, after, &spool->held)
		write_free(container_of(node, struct spool_write, node));
	list_each_safe(node, after, &spool->reader.done) {
		struct body_job *job = container_of(node, struct body_job, node);
		if (job->count > 0 && job->owner != &spool->compaction)
			read_free(job->owner);
		body_job_free(job);
	}
}
