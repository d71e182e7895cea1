/* Answering: end records and pairs, over the active overlay, the frozen one and the index. */
#include <stdlib.h>

#include "store/spool_internal.h"

/* --- ends ---------------------------------------------------------------------------------------- */

static int newest_first(const void *a, const void *b)
{
	const struct overlay_end *left = *(const struct overlay_end *const *)a;
	const struct overlay_end *right = *(const struct overlay_end *const *)b;

	if (left->ended_ms != right->ended_ms)
		return left->ended_ms > right->ended_ms ? -1 : 1;
	return left->seq > right->seq ? -1 : left->seq < right->seq;
}

static size_t gather_ends(const struct overlay *o, const struct spool_read *read,
			  const struct overlay_end **to)
{
	size_t count = 0;

	for (size_t i = 0; o != NULL && i < o->end_count; i++) {
		const struct overlay_end *e = &o->ends[i];
		if (e->ended_ms >= read->since_ms && (read->before_ms == 0 || e->ended_ms <= read->before_ms))
			to[count++] = e;
	}
	return count;
}

struct end_merge {
	const struct overlay_end **recent;
	size_t recent_at, recent_count;
	struct index_cursor *cursor;
	bool cursor_at;
	struct slice key, value;
};

static bool recent_is_next(const struct end_merge *m)
{
	if (m->recent_at == m->recent_count)
		return false;
	const struct overlay_end *e = m->recent[m->recent_at];
	struct index_key key = index_key_end(e->ended_ms, e->seq);
	return !m->cursor_at || slice_compare(slice_make(key.bytes, key.size), m->key) >= 0;
}

/* 1: an end; 0: no more. What the frozen overlay holds may be in the index already: once is enough. */
static int next_end(struct end_merge *m, struct slice *ret_blob)
{
	int found = 1;

	if (m->recent_at == m->recent_count && !m->cursor_at)
		return 0;
	if (recent_is_next(m)) {
		const struct overlay_end *e = m->recent[m->recent_at++];
		struct index_key key = index_key_end(e->ended_ms, e->seq);
		*ret_blob = e->blob;
		if (!m->cursor_at || slice_compare(slice_make(key.bytes, key.size), m->key) != 0)
			return 1;
	} else {
		*ret_blob = m->value;
	}
	found = index_previous(m->cursor, &m->key, &m->value);
	m->cursor_at = found == 1;
	return found < 0 ? found : 1;
}

static int collect_ends(struct spool *spool, const struct spool_read *read, struct end_merge *m,
			size_t *ret_count, bool *ret_more)
{
	uint64_t skip = read->skip;
	size_t count = 0;
	struct slice blob;
	struct store_end end;
	int found = 0;

	*ret_more = false;
	while (!*ret_more && (found = next_end(m, &blob)) == 1) {
		if (spool_end_decode(blob, &end) != 0)
			continue;
		if (end.ended_ms < read->since_ms)
			break;
		if (skip > 0) {
			skip--;
			continue;
		}
		*ret_more = count == read->max;
		if (!*ret_more)
			spool->ends[count++] = end;
	}
	*ret_count = count;
	return found < 0 ? found : 0;
}

void spool_answer_ends(struct spool *spool, const struct spool_read *read)
{
	size_t count = 0,
	       room = spool->active->end_count + (spool->frozen != NULL ? spool->frozen->end_count : 0);
	struct end_merge m = {.recent = arena_alloc_array(&spool->arena, room + 1, sizeof(void *)),
			      .cursor = index_cursor_new(spool->index, INDEX_END)};
	int64_t before_ms = read->before_ms != 0 ? read->before_ms : INT64_MAX;
	struct index_key from = index_key_end(before_ms, UINT64_MAX);
	bool more = false;
	int error = m.recent == NULL || m.cursor == NULL ? ERR_MEMORY : 0;

	if (error == 0) {
		m.recent_count = gather_ends(spool->active, read, m.recent);
		m.recent_count += gather_ends(spool->frozen, read, m.recent + m.recent_count);
		qsort(m.recent, m.recent_count, sizeof(void *), newest_first);
		int found = index_seek_last(m.cursor, &from, &m.key, &m.value);
		m.cursor_at = found == 1;
		error = found < 0 ? found : collect_ends(spool, read, &m, &count, &more);
	}
	if (error != 0)
		done_result(&read->done, STORE_FAILED, STORE_REASON_IO);
	else
		read->done.call.ends(read->done.owner, STORE_OK, spool->ends, count, more);
	index_cursor_free(m.cursor);
}

/* --- pairs --------------------------------------------------------------------------------------- */

void spool_answer_get(struct spool *spool, const struct spool_read *read)
{
	struct store_pair pair = {.key = read->first};
	uint64_t segment;
	int error = read->first.size > 0 && read->first.size <= STORE_KEY_MAX
			? spool_pair_now(spool, read->first, &pair.value, &segment)
			: ERR_MISSING;

	if (error != 0 && error != ERR_MISSING)
		done_result(&read->done, STORE_FAILED, STORE_REASON_IO);
	else
		read->done.call.pairs(read->done.owner, STORE_OK, &pair, error == 0, false);
}

static int by_key(const void *a, const void *b)
{
	return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

static bool in_scan(const struct spool_read *read, struct slice key)
{
	return slice_starts(key, read->first) &&
	       (read->second.size == 0 || slice_compare(key, read->second) > 0);
}

static size_t gather_keys(const struct overlay *o, const struct spool_read *read, struct slice *to)
{
	size_t count = 0;

	if (o == NULL)
		return 0;
	for (struct map_node *node = NULL; (node = map_next(&o->pairs, node)) != NULL;)
		if (in_scan(read, node->key))
			to[count++] = node->key;
	return count;
}

struct key_merge {
	struct slice *recent;
	size_t recent_at, recent_count;
	struct index_cursor *cursor;
	bool cursor_at;
	struct slice key;
};

static int next_key(struct key_merge *m, const struct spool_read *read, struct slice *ret_key)
{
	struct slice value;

	for (;;) {
		bool recent = m->recent_at < m->recent_count;
		if (!recent && !m->cursor_at)
			return 0;
		int order = !recent ? 1 : !m->cursor_at ? -1 : slice_compare(m->recent[m->recent_at], m->key);
		*ret_key = order <= 0 ? m->recent[m->recent_at] : m->key;
		m->recent_at += order <= 0;
		/* The same key in both overlays. */
		while (m->recent_at < m->recent_count && slice_equal(m->recent[m->recent_at], *ret_key))
			m->recent_at++;
		if (order >= 0) {
			int found = index_next(m->cursor, &m->key, &value);
			if (found < 0)
				return found;
			m->cursor_at = found == 1 && slice_starts(m->key, read->first);
		}
		if (in_scan(read, *ret_key))
			return 1;
	}
}

static int collect_pairs(struct spool *spool, const struct spool_read *read, struct key_merge *m,
			 size_t *ret_count, bool *ret_more)
{
	struct store_pair pair;
	uint64_t segment;
	size_t count = 0;
	int found = 0;

	*ret_more = false;
	while (!*ret_more && (found = next_key(m, read, &pair.key)) == 1) {
		int error = spool_pair_now(spool, pair.key, &pair.value, &segment);
		if (error == ERR_MISSING)
			continue;
		if (error != 0)
			return error;
		*ret_more = count == read->max;
		if (!*ret_more)
			spool->pairs[count++] = pair;
	}
	*ret_count = count;
	return found < 0 ? found : 0;
}

void spool_answer_scan(struct spool *spool, const struct spool_read *read)
{
	size_t count = 0,
	       room = spool->active->pairs.count + (spool->frozen != NULL ? spool->frozen->pairs.count : 0);
	struct key_merge m = {.recent = arena_alloc_array(&spool->arena, room + 1, sizeof(*m.recent)),
			      .cursor = index_cursor_new(spool->index, INDEX_PAIR)};
	struct slice from = slice_compare(read->second, read->first) > 0 ? read->second : read->first, value;
	bool more = false;
	int error = m.recent == NULL || m.cursor == NULL ? ERR_MEMORY : 0;

	if (error == 0 && from.size <= STORE_KEY_MAX) {
		struct index_key key = index_key_bytes(from);
		m.recent_count = gather_keys(spool->active, read, m.recent);
		m.recent_count += gather_keys(spool->frozen, read, m.recent + m.recent_count);
		qsort(m.recent, m.recent_count, sizeof(*m.recent), by_key);
		int found = index_seek(m.cursor, &key, &m.key, &value);
		m.cursor_at = found == 1 && slice_starts(m.key, read->first);
		error = found < 0 ? found : collect_pairs(spool, read, &m, &count, &more);
	}
	if (error != 0)
		done_result(&read->done, STORE_FAILED, STORE_REASON_IO);
	else
		read->done.call.pairs(read->done.owner, STORE_OK, spool->pairs, count, more);
	index_cursor_free(m.cursor);
}
