#include "store/ram.h"

#include <stdlib.h>

#include "base/check.h"
#include "store/ram_op.h"

enum { RAM_CREDIT_BYTES = 256 * 1024 };
enum {
	ID_CLOCK_SHIFT = 20
}; /* ids are the wall clock in ms and 2^20 of them per ms, or the last one plus one */

struct ram *ram_of(const struct store *store)
{
	return container_of(store, struct ram, store);
}

void ram_wake(struct ram *ram)
{
	if (ram->config.wake != NULL)
		ram->config.wake(ram->config.wake_owner);
}

static struct op *op_new(enum op_kind kind, uint64_t key, struct done done)
{
	struct op *op = calloc(1, sizeof(*op));

	if (op == NULL)
		return NULL;
	op->kind = kind;
	op->key = key;
	op->done = done;
	return op;
}

void ram_op_free(struct op *op)
{
	if (op == NULL)
		return;
	arena_deinit(&op->arena);
	free(op);
}

static uint64_t due_turn(struct ram *ram, const struct op *op)
{
	uint64_t due = ram->turn + 1;

	if (rng_chance(&ram->rng, ram->config.faults.late))
		due += 1 + rng_below(&ram->rng, ram->config.faults.late_polls_max);
	if (ram->late_until <= due)
		return due;
	list_each(node, &ram->ops) {
		const struct op *other = container_of(node, struct op, node);
		if (other->key == op->key && other->due > due)
			due = other->due;
	}
	return due;
}

static void ask(struct ram *ram, struct op *op)
{
	op->due = due_turn(ram, op);
	if (op->due > ram->late_until)
		ram->late_until = op->due;
	list_add_last(&ram->ops, &op->node);
	ram->pending++;
	ram_wake(ram);
}

static void refuse(struct ram *ram, struct op *op, struct done done)
{
	ram_op_free(op);
	refused_add(&ram->refused, &done);
	ram_wake(ram);
}

static int ram_begin(struct store *store, uint64_t size_hint_bytes, struct store_message **ret_message)
{
	struct ram *ram = ram_of(store);
	uint64_t limit = ram->config.limit_bytes;

	if (rng_chance(&ram->rng, ram->config.faults.full) ||
	    (limit != 0 && (size_hint_bytes > limit || ram->state.bytes > limit - size_hint_bytes)))
		return ERR_LIMIT;
	struct ram_message *m = calloc(1, sizeof(*m));
	if (m == NULL)
		return ERR_MEMORY;
	m->ram = ram;
	buffer_init(&m->body, 0);
	list_add_last(&ram->messages, &m->node);
	*ret_message = (struct store_message *)m;
	return 0;
}

static int ram_append(struct store_message *message, struct slice bytes)
{
	struct ram_message *m = (struct ram_message *)message;
	uint64_t limit = m->ram->config.limit_bytes;

	check(m->phase == MESSAGE_OPEN);
	if (limit != 0 && m->ram->state.bytes + buffer_size(&m->body) + bytes.size > limit)
		return ERR_LIMIT;
	return buffer_add(&m->body, bytes);
}

static size_t ram_credit(struct store_message *message, void (*room)(void *owner), void *owner)
{
	(void)message;
	(void)room;
	(void)owner;
	return RAM_CREDIT_BYTES;
}

void ram_message_free(struct ram_message *m)
{
	list_remove(&m->node);
	buffer_deinit(&m->body);
	ram_op_free(m->unsure);
	free(m);
}

/* Asks again for what ended UNKNOWN, or takes it back. */
static void ask_again(struct ram_message *m, enum op_kind kind, struct done done)
{
	struct op *op = m->unsure;

	check(m->phase == MESSAGE_UNSURE);
	m->unsure = NULL;
	m->phase = MESSAGE_PENDING;
	op->kind = kind;
	op->done = done;
	ask(m->ram, op);
}

static void ram_commit(struct store_message *message, uint64_t id, const struct store_envelope *envelope,
		       struct slice prefix, store_done *done, void *owner)
{
	struct ram_message *m = (struct ram_message *)message;

	if (m->phase == MESSAGE_UNSURE) {
		check(m->id == id);
		ask_again(m, OP_COMMIT, done_plain(done, owner));
		return;
	}
	check(m->phase == MESSAGE_OPEN);
	struct op *op = op_new(OP_COMMIT, id, done_plain(done, owner));
	if (op == NULL || entry_envelope_copy(&op->arena, envelope, &op->envelope) != 0 ||
	    arena_copy(&op->arena, prefix, &op->first) != 0) {
		struct ram *ram = m->ram;
		ram_message_free(m);
		refuse(ram, op, done_plain(done, owner));
		return;
	}
	m->phase = MESSAGE_PENDING;
	m->id = id;
	op->message = m;
	op->id = id;
	ask(m->ram, op);
}

static void ram_abort(struct store_message *message, store_done *done, void *owner)
{
	struct ram_message *m = (struct ram_message *)message;
	struct ram *ram = m->ram;

	if (m->phase == MESSAGE_UNSURE) {
		ask_again(m, OP_ABORT, done_plain(done, owner));
		return;
	}
	check(m->phase == MESSAGE_OPEN);
	ram_message_free(m);
	if (done == NULL)
		return;
	struct op *op = op_new(OP_NOTHING, 0, done_plain(done, owner));
	if (op == NULL)
		refuse(ram, op, done_plain(done, owner));
	else
		ask(ram, op);
}

static uint64_t ram_next_id(struct store *store, int64_t wall_ms)
{
	struct ram *ram = ram_of(store);
	uint64_t id = wall_ms > 0 ? (uint64_t)wall_ms << ID_CLOCK_SHIFT : 0;

	ram->last_id = id > ram->last_id ? id : ram->last_id + 1;
	return ram->last_id;
}

static void ram_walk(struct store *store, uint32_t domain, uint64_t after, size_t max, store_walk_done *done,
		     void *owner)
{
	struct op *op = op_new(OP_WALK, 0, done_walk(done, owner));

	if (op == NULL) {
		refuse(ram_of(store), op, done_walk(done, owner));
		return;
	}
	op->domain = domain;
	op->id = after;
	op->max = max < STORE_WALK_MAX ? max : STORE_WALK_MAX;
	ask(ram_of(store), op);
}

static void ram_find(struct store *store, uint64_t id, store_walk_done *done, void *owner)
{
	struct op *op = op_new(OP_FIND, id, done_walk(done, owner));

	if (op == NULL) {
		refuse(ram_of(store), op, done_walk(done, owner));
		return;
	}
	op->id = id;
	ask(ram_of(store), op);
}

static void ram_read(struct store *store, uint64_t id, uint64_t offset, size_t max, store_read_done *done,
		     void *owner)
{
	struct op *op = op_new(OP_READ, id, done_read(done, owner));

	if (op == NULL) {
		refuse(ram_of(store), op, done_read(done, owner));
		return;
	}
	op->id = id;
	op->offset = offset;
	op->max = max;
	ask(ram_of(store), op);
}

static int copy_changes(struct op *op, const struct store_change *changes, size_t count)
{
	op->changes = arena_alloc_array(&op->arena, count > 0 ? count : 1, sizeof(*changes));
	if (op->changes == NULL)
		return ERR_MEMORY;
	for (size_t i = 0; i < count; i++) {
		op->changes[i] = changes[i];
		if (arena_copy(&op->arena, changes[i].reply, &op->changes[i].reply) != 0 ||
		    arena_copy(&op->arena, changes[i].relay, &op->changes[i].relay) != 0)
			return ERR_MEMORY;
	}
	op->max = count;
	return 0;
}

static void ram_amend(struct store *store, uint64_t id, uint64_t version, uint64_t fence,
		      const struct store_change *changes, size_t count, int64_t wall_ms, store_done *done,
		      void *owner)
{
	struct op *op = op_new(OP_AMEND, id, done_plain(done, owner));

	if (op == NULL || copy_changes(op, changes, count) != 0) {
		refuse(ram_of(store), op, done_plain(done, owner));
		return;
	}
	op->id = id;
	op->version = version;
	op->fence = fence;
	op->wall_ms = wall_ms;
	ask(ram_of(store), op);
}

static void ram_count(const struct store *store, uint32_t domain, struct store_counts *ret_counts)
{
	struct ram *ram = ram_of(store);
	struct domain_counts *c = counts_find(&ram->state.counts, domain);

	*ret_counts = (struct store_counts){.messages = 0};
	if (c == NULL || c->messages == 0)
		return;
	ret_counts->messages = c->messages;
	ret_counts->bytes = c->bytes;
	ret_counts->recipients = c->recipients;
	size_t i = ram_state_after(&ram->state, c->first_id > 0 ? c->first_id - 1 : 0);
	const struct ram_entry *e = ram->state.entries.items[i];
	while (e->unsure || !entry_queued_in(&e->entry, domain)) {
		check(i + 1 < ram->state.entries.count);
		e = ram->state.entries.items[++i];
	}
	c->first_id = e->entry.id;
	ret_counts->oldest_ms = e->entry.envelope.arrival_ms;
}

static void ram_totals(const struct store *store, struct store_totals *ret_totals)
{
	struct ram *ram = ram_of(store);

	*ret_totals = ram->state.totals;
	ret_totals->queued = ram->state.counts.all.recipients;
}

static uint64_t used_bytes(const struct ram *ram)
{
	uint64_t bytes = ram->state.bytes;

	list_each(node, &ram->messages)
		bytes += buffer_size(&container_of(node, struct ram_message, node)->body);
	return bytes;
}

static void ram_space(struct store *store, struct store_space *ret_space)
{
	struct ram *ram = ram_of(store);
	uint64_t limit = ram->config.limit_bytes, used = used_bytes(ram);

	*ret_space = (struct store_space){.why = ""};
	if (limit == 0)
		return;
	ret_space->capacity_bytes = limit > used ? limit : used;
	ret_space->used_bytes = used;
	ret_space->live_bytes = ram->state.bytes;
	ret_space->free_bytes = ret_space->capacity_bytes - used;
	ret_space->full = ret_space->free_bytes == 0;
}

static void ram_note_end(struct store *store, const struct store_end *end)
{
	ram_state_add_end(&ram_of(store)->state, end);
}

static void ram_ends(struct store *store, int64_t since_ms, int64_t before_ms, uint64_t skip, size_t max,
		     store_ends_done *done, void *owner)
{
	struct op *op = op_new(OP_ENDS, 0, done_ends(done, owner));

	if (op == NULL) {
		refuse(ram_of(store), op, done_ends(done, owner));
		return;
	}
	op->since_ms = since_ms;
	op->wall_ms = before_ms;
	op->skip = skip;
	op->max = max < STORE_WALK_MAX ? max : STORE_WALK_MAX;
	ask(ram_of(store), op);
}

static void ask_pairs(struct ram *ram, enum op_kind kind, struct slice first, struct slice second, size_t max,
		      struct done done)
{
	struct op *op = op_new(kind, 0, done);

	if (op == NULL || arena_copy(&op->arena, first, &op->first) != 0 ||
	    arena_copy(&op->arena, second, &op->second) != 0) {
		refuse(ram, op, done);
		return;
	}
	op->max = max < STORE_WALK_MAX ? max : STORE_WALK_MAX;
	ask(ram, op);
}

static void ram_put(struct store *store, struct slice key, struct slice value, store_done *done, void *owner)
{
	ask_pairs(ram_of(store), OP_PUT, key, value, 0, done_plain(done, owner));
}

static void ram_get(struct store *store, struct slice key, store_pairs_done *done, void *owner)
{
	ask_pairs(ram_of(store), OP_GET, key, SLICE(""), 1, done_pairs(done, owner));
}

static void ram_scan(struct store *store, struct slice prefix, struct slice after, size_t max,
		     store_pairs_done *done, void *owner)
{
	ask_pairs(ram_of(store), OP_SCAN, prefix, after, max, done_pairs(done, owner));
}

static void ram_lease(struct store *store, struct slice lane, int64_t ttl_ms, uint64_t *ret_fence,
		      store_done *done, void *owner)
{
	struct op *op = op_new(OP_LEASE, 0, done_plain(done, owner));

	(void)lane;
	(void)ttl_ms;
	if (op == NULL) {
		refuse(ram_of(store), op, done_plain(done, owner));
		return;
	}
	op->ret_fence = ret_fence;
	ask(ram_of(store), op);
}

static void ram_close(struct store *store)
{
	struct ram *ram = ram_of(store);

	ram->config.faults = (struct ram_faults){.late = 0};
	ram_store_hold(store, false);
	while (ram->pending > 0 || ram->refused.count > 0)
		ram_poll(store);
	list_each_safe(node, after, &ram->messages)
		ram_message_free(container_of(node, struct ram_message, node));
	ram_state_deinit(&ram->state);
	refused_deinit(&ram->refused);
	free(ram);
}

static const struct store_ops ram_ops = {
    .begin = ram_begin,
    .append = ram_append,
    .credit = ram_credit,
    .commit = ram_commit,
    .abort = ram_abort,
    .next_id = ram_next_id,
    .walk = ram_walk,
    .find = ram_find,
    .read = ram_read,
    .amend = ram_amend,
    .count = ram_count,
    .totals = ram_totals,
    .space = ram_space,
    .note_end = ram_note_end,
    .ends = ram_ends,
    .put = ram_put,
    .get = ram_get,
    .scan = ram_scan,
    .lease = ram_lease,
    .poll = ram_poll,
    .close = ram_close,
};

struct store *ram_store_new(const struct ram_store_config *config)
{
	struct ram *ram = calloc(1, sizeof(*ram));

	if (ram == NULL)
		return NULL;
	if (refused_init(&ram->refused) != 0) {
		free(ram);
		return NULL;
	}
	ram->store.ops = &ram_ops;
	ram->config = *config;
	rng_init(&ram->rng, config->seed);
	ram_state_init(&ram->state, rng_next(&ram->rng));
	list_init(&ram->ops);
	list_init(&ram->ready);
	list_init(&ram->messages);
	return &ram->store;
}

void ram_store_inject(struct store *store, const struct ram_faults *faults)
{
	ram_of(store)->config.faults = faults != NULL ? *faults : (struct ram_faults){.late = 0};
}

void ram_store_limit(struct store *store, uint64_t limit_bytes)
{
	ram_of(store)->config.limit_bytes = limit_bytes;
}

void ram_store_hold(struct store *store, bool hold)
{
	ram_of(store)->hold = hold;
	ram_of(store)->released = 0;
	ram_wake(ram_of(store));
}

void ram_store_release(struct store *store, size_t count)
{
	ram_of(store)->released = count;
	ram_wake(ram_of(store));
}

size_t ram_store_pending(const struct store *store)
{
	return ram_of(store)->pending;
}
