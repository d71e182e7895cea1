/* Answering: walks, look-ups and bodies, over the active overlay, the frozen one and the index, in this order
 * of truth. */
#include "base/check.h"
#include "store/spool_internal.h"

/* --- walking ------------------------------------------------------------------------------------- */

/* Ascending ids of a domain from three places at once. */
struct merge {
	struct spool *spool;
	uint32_t domain;
	const struct id_list *lists[2];
	size_t at[2];
	struct index_cursor *cursor;
	bool cursor_at; /* cursor_id is valid */
	uint64_t cursor_id;
};

static int take_cursor(struct merge *m, int found, struct slice key)
{
	struct index_key domain = index_key_u32(m->domain);
	struct slice prefix = slice_make(domain.bytes, m->domain != 0 ? domain.size : 0);

	m->cursor_at = found == 1 && slice_starts(key, prefix);
	if (m->cursor_at)
		m->cursor_id = index_u64_at(key, prefix.size);
	return found < 0 ? found : 0;
}

static int merge_open(struct merge *m, struct spool *spool, uint32_t domain, uint64_t after)
{
	struct slice key, value;
	struct index_key from = domain != 0 ? index_key_order(domain, after + 1) : index_key_u64(after + 1);

	*m = (struct merge){.spool = spool, .domain = domain};
	m->lists[0] = overlay_list(spool->active, domain);
	m->lists[1] = overlay_list(spool->frozen, domain);
	for (int i = 0; i < 2; i++)
		m->at[i] = id_list_after(m->lists[i], after);
	m->cursor = index_cursor_new(spool->index, domain != 0 ? INDEX_ORDER : INDEX_MESSAGE);
	if (m->cursor == NULL)
		return ERR_MEMORY;
	if (after == UINT64_MAX)
		return 0;
	int found = index_seek(m->cursor, &from, &key, &value);
	return take_cursor(m, found, key);
}

static bool list_has(const struct merge *m, int i)
{
	return m->lists[i] != NULL && m->at[i] < m->lists[i]->end;
}

/* 1: an id; 0: no more. */
static int merge_next(struct merge *m, uint64_t *ret_id)
{
	struct slice key, value;
	uint64_t id = m->cursor_at ? m->cursor_id : UINT64_MAX;
	bool any = m->cursor_at;

	for (int i = 0; i < 2; i++) {
		if (!list_has(m, i))
			continue;
		any = true;
		if (m->lists[i]->ids[m->at[i]] < id)
			id = m->lists[i]->ids[m->at[i]];
	}
	for (int i = 0; i < 2; i++)
		m->at[i] += list_has(m, i) && m->lists[i]->ids[m->at[i]] == id;
	if (any && m->cursor_at && m->cursor_id == id) {
		int found = index_next(m->cursor, &key, &value);
		int error = take_cursor(m, found, key);
		if (error != 0)
			return error;
	}
	*ret_id = id;
	return any;
}

/* 1: it is there and decoded; 0: not (any more). */
static int look_up(struct spool *spool, uint64_t id, struct arena *arena, struct store_entry *ret_entry)
{
	struct spool_entry entry;
	int error = spool_entry_now(spool, id, arena, &entry);

	if (error != 0)
		return error == ERR_MISSING ? 0 : error;
	*ret_entry = entry.entry;
	return 1;
}

int spool_collect(struct spool *spool, uint32_t domain, uint64_t after, struct arena *arena,
		  struct store_entry *entries, size_t max, size_t *ret_count, bool *ret_more)
{
	struct merge merge;
	struct store_entry entry;
	uint64_t id = 0;
	size_t count = 0;
	bool more = false;
	int result = merge_open(&merge, spool, domain, after);

	while (result == 0 && !more && (result = merge_next(&merge, &id)) == 1) {
		result = look_up(spool, id, arena, &entry);
		if (result == 1 && !entry_queued_in(&entry, domain)) {
			result = 0;
		} else if (result == 1) {
			more = count == max;
			if (!more)
				entries[count++] = entry;
			result = 0;
		}
	}
	index_cursor_free(merge.cursor);
	*ret_count = count;
	*ret_more = more;
	return result;
}

static void answer_walk(struct spool *spool, const struct spool_read *read)
{
	size_t count;
	bool more;
	int error = spool_collect(spool, read->domain, read->id, &spool->arena, spool->entries, read->max,
				  &count, &more);

	if (error != 0)
		done_result(&read->done, STORE_FAILED, STORE_REASON_IO);
	else
		read->done.call.walk(read->done.owner, STORE_OK, spool->entries, count, more);
}

static void answer_find(struct spool *spool, const struct spool_read *read)
{
	struct store_entry entry;
	int found = look_up(spool, read->id, &spool->arena, &entry);

	if (found < 0)
		done_result(&read->done, STORE_FAILED, STORE_REASON_IO);
	else
		read->done.call.walk(read->done.owner, STORE_OK, found > 0 ? &entry : NULL, (size_t)found,
				     false);
}

void spool_count(const struct store *store, uint32_t domain, struct store_counts *ret_counts)
{
	struct spool *spool = spool_of(store);
	struct domain_counts *c = counts_find(&spool->counts, domain);
	struct store_entry first;
	struct arena arena;
	size_t count = 0;
	bool more;

	*ret_counts = (struct store_counts){.messages = 0};
	if (c == NULL || c->messages == 0)
		return;
	ret_counts->messages = c->messages;
	ret_counts->bytes = c->bytes;
	ret_counts->recipients = c->recipients;
	if (index_read_begin(spool->index) != 0)
		return;
	arena_init(&arena, 0);
	uint64_t after = c->first_id > 0 ? c->first_id - 1 : 0;
	if (spool_collect(spool, domain, after, &arena, &first, 1, &count, &more) == 0 && count == 1) {
		c->first_id = first.id; /* the next look begins here: nothing is skipped twice */
		ret_counts->oldest_ms = first.envelope.arrival_ms;
	}
	arena_deinit(&arena);
	index_read_end(spool->index);
}

/* --- all -------------------------------------------------------------------------------------- */

void spool_answer_read(struct spool *spool, struct spool_read *read)
{
	arena_reset(&spool->arena);
	switch (read->kind) {
	case READ_DONE:
		done_result(&read->done, read->result, read->reason);
		return;
	case READ_WALK:
		answer_walk(spool, read);
		return;
	case READ_FIND:
		answer_find(spool, read);
		return;
	case READ_ENDS:
		spool_answer_ends(spool, read);
		return;
	case READ_GET:
		spool_answer_get(spool, read);
		return;
	case READ_SCAN:
		spool_answer_scan(spool, read);
		return;
	case READ_BODY: /* spool_reading.c */
	default:
		check_never();
	}
}
