#include "store/ram_state.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum {
	ARRAY_FIRST = 64,
	REPLIES_KEPT_BYTES = 64 * 1024, /* of replaced replies, before an entry's memory is packed */
};
static const int64_t end_kept_ms = INT64_C(30) * 24 * 3600 * 1000;

static int array_insert(struct ram_array *a, size_t at, void *item)
{
	if (a->count == a->capacity) {
		size_t capacity = a->capacity > 0 ? a->capacity * 2 : ARRAY_FIRST;
		void **items = realloc(a->items, capacity * sizeof(void *));
		if (items == NULL)
			return ERR_MEMORY;
		a->items = items;
		a->capacity = capacity;
	}
	memmove(a->items + at + 1, a->items + at, (a->count - at) * sizeof(void *));
	a->items[at] = item;
	a->count++;
	return 0;
}

static void array_remove(struct ram_array *a, size_t at, size_t count)
{
	check(at + count <= a->count);
	memmove(a->items + at, a->items + at + count, (a->count - at - count) * sizeof(void *));
	a->count -= count;
}

void ram_state_init(struct ram_state *state, uint64_t seed)
{
	*state = (struct ram_state){.bytes = 0};
	counts_init(&state->counts, seed);
}

static void entry_free(struct ram_entry *e)
{
	free(e->body);
	arena_deinit(&e->arena);
	free(e);
}

static void end_free(struct ram_end *e)
{
	arena_deinit(&e->arena);
	free(e);
}

void ram_state_deinit(struct ram_state *state)
{
	for (size_t i = 0; i < state->entries.count; i++)
		entry_free(state->entries.items[i]);
	for (size_t i = 0; i < state->ends.count; i++)
		end_free(state->ends.items[i]);
	for (size_t i = 0; i < state->pairs.count; i++)
		free(state->pairs.items[i]);
	free(state->entries.items);
	free(state->ends.items);
	free(state->pairs.items);
	counts_deinit(&state->counts);
}

size_t ram_state_after(const struct ram_state *state, uint64_t id)
{
	size_t low = 0, high = state->entries.count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct ram_entry *e = state->entries.items[middle];
		if (e->entry.id > id)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

struct ram_entry *ram_state_find(const struct ram_state *state, uint64_t id)
{
	size_t after = ram_state_after(state, id);
	struct ram_entry *e = after > 0 ? state->entries.items[after - 1] : NULL;

	return e != NULL && e->entry.id == id ? e : NULL;
}

static struct ram_entry *entry_new(uint64_t id, const struct store_envelope *envelope, struct slice prefix,
				   struct slice body)
{
	struct ram_entry *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return NULL;
	e->entry.id = id;
	e->entry.version = 1;
	e->entry.body_bytes = prefix.size + body.size;
	e->body = malloc(e->entry.body_bytes + 1);
	if (e->body == NULL || entry_envelope_copy(&e->arena, envelope, &e->entry.envelope) != 0) {
		entry_free(e);
		return NULL;
	}
	e->packed_bytes = e->arena.used_bytes;
	if (prefix.size > 0)
		memcpy(e->body, prefix.data, prefix.size);
	if (body.size > 0)
		memcpy(e->body + prefix.size, body.data, body.size);
	return e;
}

static void remove_entry(struct ram_state *state, struct ram_entry *e)
{
	size_t after = ram_state_after(state, e->entry.id);

	check(after > 0 && state->entries.items[after - 1] == e);
	array_remove(&state->entries, after - 1, 1);
	state->bytes -= e->entry.body_bytes;
	entry_free(e);
}

/* From here on the message is accepted: it is counted, and recipients that a filter ended at once have ended.
 */
static void reveal(struct ram_state *state, struct ram_entry *e)
{
	const struct store_envelope *envelope = &e->entry.envelope;

	e->unsure = false;
	counts_add(&state->counts, &e->entry);
	state->totals.accepted += envelope->recipient_count;
	for (uint32_t i = 0; i < envelope->recipient_count; i++) {
		if (envelope->recipients[i].state == STORE_QUEUED)
			continue;
		struct store_end end = entry_end_of(&e->entry, i, envelope->arrival_ms, SLICE(""));
		state->totals.ended++;
		state->totals.delivered += end.state == STORE_DELIVERED;
		ram_state_add_end(state, &end);
	}
	if (!entry_kept(&e->entry))
		remove_entry(state, e);
}

int ram_state_commit(struct ram_state *state, uint64_t id, const struct store_envelope *envelope,
		     struct slice prefix, struct slice body, bool unsure)
{
	struct ram_entry *e = ram_state_find(state, id);

	if (e == NULL) {
		e = entry_new(id, envelope, prefix, body);
		if (e == NULL)
			return ERR_MEMORY;
		bool grace = entry_queued_in(&e->entry, STORE_GRACE);
		if (counts_prepare(&state->counts, &e->entry, grace) != 0 ||
		    array_insert(&state->entries, ram_state_after(state, id), e) != 0) {
			entry_free(e);
			return ERR_MEMORY;
		}
		e->unsure = true;
		state->bytes += e->entry.body_bytes;
		state->last_id = id > state->last_id ? id : state->last_id;
	}
	if (!unsure && e->unsure)
		reveal(state, e);
	return 0;
}

void ram_state_settle(struct ram_state *state)
{
	for (size_t i = state->entries.count; i > 0; i--) {
		struct ram_entry *e = state->entries.items[i - 1];
		if (e->unsure)
			reveal(state, e);
	}
}

void ram_state_abort(struct ram_state *state, uint64_t id)
{
	struct ram_entry *e = ram_state_find(state, id);

	if (e != NULL && e->unsure)
		remove_entry(state, e);
}

static void count_end(void *owner, const struct store_end *end)
{
	struct ram_state *state = owner;

	state->totals.ended++;
	state->totals.delivered += end->state == STORE_DELIVERED;
	ram_state_add_end(state, end);
}

/* Old replies stay in the arena; now and then the living part moves into a new one. Without memory it grows
 * on. */
static void pack(struct ram_entry *e)
{
	struct arena fresh;
	struct store_envelope copy;

	if (e->arena.used_bytes < e->packed_bytes + REPLIES_KEPT_BYTES)
		return;
	arena_init(&fresh, 0);
	if (entry_envelope_copy(&fresh, &e->entry.envelope, &copy) != 0) {
		arena_deinit(&fresh);
		return;
	}
	arena_deinit(&e->arena);
	e->arena = fresh;
	e->entry.envelope = copy;
	e->packed_bytes = fresh.used_bytes;
}

enum store_reason ram_state_amend(struct ram_state *state, uint64_t id, uint64_t version,
				  const struct store_change *changes, size_t count, int64_t wall_ms)
{
	struct ram_entry *e = ram_state_find(state, id);
	uint32_t taken_back;

	if (e == NULL || e->unsure)
		return STORE_REASON_MISSING;
	if (version != 0 && version != e->entry.version)
		return STORE_REASON_VERSION;
	if (entry_changes_grace(changes, count) && counts_prepare(&state->counts, &e->entry, true) != 0)
		return STORE_REASON_MEMORY;
	counts_remove(&state->counts, &e->entry);
	int error =
	    entry_change(&e->entry, &e->arena, changes, count, wall_ms, count_end, state, &taken_back);
	state->totals.accepted += taken_back;
	counts_add(&state->counts, &e->entry);
	if (error != 0)
		return error == ERR_MEMORY ? STORE_REASON_MEMORY : STORE_REASON_MISSING;
	if (!entry_kept(&e->entry))
		remove_entry(state, e);
	else
		pack(e);
	return STORE_REASON_NONE;
}

static void forget_old_ends(struct ram_state *state)
{
	struct ram_array *ends = &state->ends;
	int64_t newest_ms = ((struct ram_end *)ends->items[ends->count - 1])->end.ended_ms;
	size_t old = 0;

	for (; old < ends->count; old++) {
		struct ram_end *e = ends->items[old];
		if (e->end.ended_ms >= newest_ms - end_kept_ms)
			break;
		end_free(e);
	}
	array_remove(ends, 0, old);
}

void ram_state_add_end(struct ram_state *state, const struct store_end *end)
{
	struct ram_end *e = calloc(1, sizeof(*e));
	size_t at = state->ends.count;

	if (e == NULL)
		return;
	while (at > 0 && ((struct ram_end *)state->ends.items[at - 1])->end.ended_ms > end->ended_ms)
		at--;
	if (entry_end_copy(&e->arena, end, &e->end) != 0 || array_insert(&state->ends, at, e) != 0) {
		end_free(e);
		return;
	}
	forget_old_ends(state);
}

size_t ram_state_pair_from(const struct ram_state *state, struct slice key)
{
	size_t low = 0, high = state->pairs.count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (slice_compare(((struct ram_pair *)state->pairs.items[middle])->key, key) >= 0)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static struct ram_pair *pair_new(struct slice key, struct slice value)
{
	struct ram_pair *p = malloc(sizeof(*p) + key.size + value.size);

	if (p == NULL)
		return NULL;
	memcpy(p->bytes, key.data, key.size);
	if (value.size > 0)
		memcpy(p->bytes + key.size, value.data, value.size);
	p->key = slice_make(p->bytes, key.size);
	p->value = slice_make(p->bytes + key.size, value.size);
	return p;
}

int ram_state_put(struct ram_state *state, struct slice key, struct slice value)
{
	size_t at = ram_state_pair_from(state, key);
	struct ram_pair *old = at < state->pairs.count ? state->pairs.items[at] : NULL;
	bool there = old != NULL && slice_equal(old->key, key);

	if (value.size == 0) {
		if (there) {
			array_remove(&state->pairs, at, 1);
			free(old);
		}
		return 0;
	}
	struct ram_pair *p = pair_new(key, value);
	if (p == NULL)
		return ERR_MEMORY;
	if (there) {
		state->pairs.items[at] = p;
		free(old);
		return 0;
	}
	if (array_insert(&state->pairs, at, p) != 0) {
		free(p);
		return ERR_MEMORY;
	}
	return 0;
}
