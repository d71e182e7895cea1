#include "daemon/cli/spool_compare.h"

#include <stdlib.h>

#include "daemon/cli/commands.h"

/* End records are kept for 30 days: of what arrived before, the index may have forgotten the end. */
static const int64_t ends_kept_ms = INT64_C(30) * 24 * 3600 * 1000;

static void *grow(void *rows, size_t count, size_t *capacity, size_t size)
{
	if (count < *capacity)
		return rows;
	size_t more = *capacity > 0 ? 2 * *capacity : 64;
	void *grown = realloc(rows, more * size);
	if (grown != NULL)
		*capacity = more;
	return grown;
}

static int add_log_only(struct comparison *c, const struct store_entry *e)
{
	struct compare_id *rows =
	    grow(c->log_only, c->log_only_count, &c->log_only_capacity, sizeof(*c->log_only));

	if (rows == NULL)
		return ERR_MEMORY;
	c->log_only = rows;
	c->log_only[c->log_only_count++] = (struct compare_id){
	    .id = e->id, .arrival_ms = e->envelope.arrival_ms, .recipients = e->envelope.recipient_count};
	return 0;
}

static int add_index_only(struct comparison *c, uint64_t id)
{
	uint64_t *rows =
	    grow(c->index_only, c->index_only_count, &c->index_only_capacity, sizeof(*c->index_only));

	if (rows == NULL)
		return ERR_MEMORY;
	c->index_only = rows;
	c->index_only[c->index_only_count++] = id;
	return 0;
}

static int merge(struct tool_pager *index, struct tool_pager *log, struct comparison *c)
{
	const struct store_entry *a = pager_next(index), *b = pager_next(log);
	int error = 0;

	while ((a != NULL || b != NULL) && error == 0) {
		if (b == NULL || (a != NULL && a->id < b->id)) {
			error = add_index_only(c, a->id);
			a = pager_next(index);
		} else if (a == NULL || b->id < a->id) {
			error = add_log_only(c, b);
			b = pager_next(log);
		} else {
			c->different += a->body_bytes != b->body_bytes ||
					a->envelope.recipient_count != b->envelope.recipient_count;
			a = pager_next(index);
			b = pager_next(log);
		}
	}
	return index->failed || log->failed ? ERR_IO : error;
}

static int by_id(const void *key, const void *row)
{
	uint64_t id = *(const uint64_t *)key, other = ((const struct compare_id *)row)->id;

	return id < other ? -1 : id > other;
}

static void mark(struct comparison *c, uint64_t id, enum store_recipient_state state)
{
	struct compare_id *row =
	    c->log_only_count > 0 ? bsearch(&id, c->log_only, c->log_only_count, sizeof(*c->log_only), by_id)
				  : NULL;

	if (row == NULL || row->ended)
		return;
	row->ended = true;
	row->state = state;
}

static void take_end(void *owner, const struct store_end *end)
{
	mark(owner, end->id, end->state);
}

static void take_aside(void *owner, const struct store_entry *entry)
{
	mark(owner, entry->id, STORE_REMOVED);
}

int compare_index(struct spool_tool *index, struct spool_tool *log, struct comparison *ret_comparison)
{
	struct tool_pager *pagers = calloc(2, sizeof(*pagers));

	*ret_comparison = (struct comparison){.different = 0};
	if (pagers == NULL)
		return ERR_MEMORY;
	pager_init(&pagers[0], index, 0);
	pager_init(&pagers[1], log, 0);
	int error = merge(&pagers[0], &pagers[1], ret_comparison);
	pager_deinit(&pagers[0]);
	pager_deinit(&pagers[1]);
	free(pagers);
	if (error == 0 && ret_comparison->log_only_count > 0)
		error = tool_ends(index, take_end, ret_comparison);
	if (error == 0 && ret_comparison->log_only_count > 0)
		error = spool_asides(index->store, take_aside, ret_comparison);
	return error;
}

void comparison_free(struct comparison *comparison)
{
	free(comparison->log_only);
	free(comparison->index_only);
}

size_t comparison_ended(const struct comparison *comparison)
{
	size_t count = 0;

	for (size_t i = 0; i < comparison->log_only_count; i++)
		count += comparison->log_only[i].ended;
	return count;
}

size_t comparison_unknown(const struct comparison *comparison)
{
	int64_t from_ms = wall_now_ms() - ends_kept_ms;
	size_t count = 0;

	for (size_t i = 0; i < comparison->log_only_count; i++)
		count += !comparison->log_only[i].ended && comparison->log_only[i].arrival_ms >= from_ms;
	return count;
}
