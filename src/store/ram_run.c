/* What happens to the RAM store's operations: their fate, their effect, their completion. */
#include <stdlib.h>

#include "base/check.h"
#include "store/ram_op.h"

enum { RAM_READ_MAX = 256 * 1024 };

enum fate { FATE_NONE = 0, FATE_HAPPENED, FATE_NOT_HAPPENED, FATE_FAILED, FATE_FENCED, FATE_FULL };

struct outcome {
	enum store_result result;
	enum store_reason reason;
};

static const struct outcome outcome_ok = {.result = STORE_OK, .reason = STORE_REASON_NONE};

static struct outcome failed(enum store_reason reason)
{
	return (struct outcome){.result = STORE_FAILED, .reason = reason};
}

static bool writes(const struct op *op)
{
	return op->kind == OP_COMMIT || op->kind == OP_ABORT || op->kind == OP_AMEND || op->kind == OP_PUT;
}

static enum fate draw(struct ram *ram, const struct op *op)
{
	const struct ram_faults *f = &ram->config.faults;
	bool fenced = op->kind == OP_LEASE || (op->kind == OP_AMEND && op->fence != 0);

	if (op->kind == OP_NOTHING)
		return FATE_NONE;
	if (fenced && rng_chance(&ram->rng, f->fenced))
		return FATE_FENCED;
	if (op->kind == OP_COMMIT && rng_chance(&ram->rng, f->full))
		return FATE_FULL;
	if (writes(op) && rng_chance(&ram->rng, f->unknown_happened))
		return FATE_HAPPENED;
	if (writes(op) && rng_chance(&ram->rng, f->unknown_not_happened))
		return FATE_NOT_HAPPENED;
	return rng_chance(&ram->rng, f->failed) ? FATE_FAILED : FATE_NONE;
}

/* FAILED promises that it did not happen, so it cannot be said of a commit that an earlier try has carried
 * out, nor of an abort, whose message would stay. */
static bool may_fail(const struct ram *ram, const struct op *op)
{
	if (op->kind == OP_COMMIT)
		return ram_state_find(&ram->state, op->id) == NULL;
	return op->kind != OP_ABORT;
}

static struct outcome run_commit(struct ram *ram, struct op *op, bool unsure)
{
	struct slice body = op->message != NULL ? buffer_slice(&op->message->body) : SLICE("");

	if (!entry_envelope_valid(&op->envelope))
		return failed(STORE_REASON_NONE);
	if (ram_state_commit(&ram->state, op->id, &op->envelope, op->first, body, unsure) != 0)
		return failed(STORE_REASON_MEMORY);
	return outcome_ok;
}

static struct outcome run_amend(struct ram *ram, struct op *op)
{
	if (!entry_changes_valid(op->changes, op->max))
		return failed(STORE_REASON_MISSING);
	enum store_reason reason =
	    ram_state_amend(&ram->state, op->id, op->version, op->changes, op->max, op->wall_ms);
	return reason == STORE_REASON_NONE ? outcome_ok : failed(reason);
}

static struct outcome run_put(struct ram *ram, struct op *op)
{
	if (op->first.size == 0 || op->first.size > STORE_KEY_MAX || op->second.size > STORE_VALUE_MAX)
		return failed(STORE_REASON_NONE);
	return ram_state_put(&ram->state, op->first, op->second) == 0 ? outcome_ok
								      : failed(STORE_REASON_MEMORY);
}

static struct outcome run_write(struct ram *ram, struct op *op, bool unsure)
{
	switch (op->kind) {
	case OP_COMMIT:
		return run_commit(ram, op, unsure);
	case OP_ABORT:
		ram_state_abort(&ram->state, op->id);
		return outcome_ok;
	case OP_AMEND:
		return run_amend(ram, op);
	case OP_PUT:
		return run_put(ram, op);
	case OP_LEASE:
		*op->ret_fence = ++ram->fences;
		return outcome_ok;
	case OP_NOTHING:
		return outcome_ok;
	case OP_WALK:
	case OP_FIND:
	case OP_READ:
	case OP_ENDS:
	case OP_GET:
	case OP_SCAN:
	default:
		check_never();
	}
}

static struct outcome meet(struct ram *ram, struct op *op, enum fate fate)
{
	struct outcome outcome;

	switch (fate) {
	case FATE_FENCED:
		return (struct outcome){.result = STORE_FENCED, .reason = STORE_REASON_NONE};
	case FATE_FULL:
	case FATE_FAILED:
		if (may_fail(ram, op))
			return failed(fate == FATE_FULL ? STORE_REASON_FULL : STORE_REASON_MEMORY);
		return run_write(ram, op, false);
	case FATE_NOT_HAPPENED:
		return (struct outcome){.result = STORE_UNKNOWN, .reason = STORE_REASON_NONE};
	case FATE_HAPPENED:
		outcome = run_write(ram, op, true);
		if (outcome.result == STORE_OK)
			outcome.result = STORE_UNKNOWN;
		return outcome;
	case FATE_NONE:
	default:
		return run_write(ram, op, false);
	}
}

static void complete_walk(struct ram *ram, const struct op *op)
{
	size_t count = 0;
	bool more = false;

	for (size_t i = ram_state_after(&ram->state, op->id); i < ram->state.entries.count; i++) {
		const struct ram_entry *e = ram->state.entries.items[i];
		if (e->unsure || !entry_queued_in(&e->entry, op->domain))
			continue;
		more = count == op->max;
		if (more)
			break;
		ram->entries[count++] = e->entry;
	}
	op->done.call.walk(op->done.owner, STORE_OK, ram->entries, count, more);
}

static void complete_find(struct ram *ram, const struct op *op)
{
	const struct ram_entry *e = ram_state_find(&ram->state, op->id);
	size_t count = e != NULL && !e->unsure;

	op->done.call.walk(op->done.owner, STORE_OK, count > 0 ? &e->entry : NULL, count, false);
}

static void complete_read(struct ram *ram, const struct op *op)
{
	const struct ram_entry *e = ram_state_find(&ram->state, op->id);

	if (e == NULL || e->unsure) {
		done_result(&op->done, STORE_FAILED, STORE_REASON_MISSING);
		return;
	}
	struct slice rest = slice_from(slice_make(e->body, e->entry.body_bytes), op->offset);
	op->done.call.read(op->done.owner, STORE_OK, STORE_REASON_NONE,
			   slice_upto(rest, op->max < RAM_READ_MAX ? op->max : RAM_READ_MAX));
}

static void complete_ends(struct ram *ram, const struct op *op)
{
	size_t count = 0;
	uint64_t skip = op->skip;
	bool more = false;

	for (size_t i = ram->state.ends.count; i > 0; i--) {
		const struct ram_end *e = ram->state.ends.items[i - 1];
		if ((op->wall_ms != 0 && e->end.ended_ms > op->wall_ms) || e->end.ended_ms < op->since_ms)
			continue;
		if (skip > 0) {
			skip--;
			continue;
		}
		more = count == op->max;
		if (more)
			break;
		ram->ends[count++] = e->end;
	}
	op->done.call.ends(op->done.owner, STORE_OK, ram->ends, count, more);
}

static void complete_pairs(struct ram *ram, const struct op *op)
{
	struct slice from = slice_compare(op->second, op->first) > 0 ? op->second : op->first;
	size_t count = 0;
	bool more = false;

	for (size_t i = ram_state_pair_from(&ram->state, from); i < ram->state.pairs.count; i++) {
		const struct ram_pair *p = ram->state.pairs.items[i];
		if (op->kind == OP_GET ? !slice_equal(p->key, op->first) : !slice_starts(p->key, op->first))
			break;
		if (op->kind == OP_SCAN && op->second.size > 0 && slice_compare(p->key, op->second) <= 0)
			continue;
		more = count == op->max;
		if (more)
			break;
		ram->pairs[count++] = (struct store_pair){.key = p->key, .value = p->value};
	}
	op->done.call.pairs(op->done.owner, STORE_OK, ram->pairs, count, more);
}

/* The message goes before its owner hears of it, or waits to be asked for again. */
static void complete_write(struct op *op, struct outcome outcome)
{
	struct ram_message *m = op->message;
	struct done done = op->done;

	if (m != NULL && outcome.result == STORE_UNKNOWN) {
		m->phase = MESSAGE_UNSURE;
		m->unsure = op;
	} else {
		if (m != NULL)
			ram_message_free(m);
		ram_op_free(op);
	}
	done_result(&done, outcome.result, outcome.reason);
}

static void complete(struct ram *ram, struct op *op)
{
	enum fate fate = draw(ram, op);
	bool reads = !writes(op) && op->kind != OP_LEASE && op->kind != OP_NOTHING;

	if (!reads) {
		complete_write(op, meet(ram, op, fate));
		return;
	}
	if (fate == FATE_FAILED)
		done_result(&op->done, STORE_FAILED, STORE_REASON_MEMORY);
	else if (op->kind == OP_WALK)
		complete_walk(ram, op);
	else if (op->kind == OP_FIND)
		complete_find(ram, op);
	else if (op->kind == OP_READ)
		complete_read(ram, op);
	else if (op->kind == OP_ENDS)
		complete_ends(ram, op);
	else
		complete_pairs(ram, op);
	ram_op_free(op);
}

static void gather_ready(struct ram *ram)
{
	list_each_safe(node, after, &ram->ops) {
		struct op *op = container_of(node, struct op, node);
		if (op->due > ram->turn)
			continue;
		if (ram->hold && ram->released == 0)
			break;
		ram->released -= ram->hold;
		list_remove(node);
		list_add_last(&ram->ready, node);
	}
}

void ram_poll(struct store *store)
{
	struct ram *ram = ram_of(store);

	ram->turn++;
	gather_ready(ram);
	refused_deliver(&ram->refused);
	for (struct list *node; (node = list_first(&ram->ready)) != NULL;) {
		list_remove(node);
		ram->pending--;
		complete(ram, container_of(node, struct op, node));
	}
	if (ram->pending > 0 && !ram->hold)
		ram_wake(ram);
}

/* The effect without the answer. */
static void forget(struct ram *ram, struct op *op, bool happened)
{
	list_remove(&op->node);
	if (happened && (writes(op) && op->kind != OP_ABORT))
		(void)run_write(ram, op, false);
	else if (happened && op->kind == OP_ABORT)
		ram_state_abort(&ram->state, op->id);
	ram_op_free(op);
}

void ram_store_crash(struct store *store)
{
	struct ram *ram = ram_of(store);
	uint64_t happened = rng_below(&ram->rng, ram->pending + 1);
	struct list *lists[] = {&ram->ready, &ram->ops};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		for (struct list *node; (node = list_first(lists[i])) != NULL; happened -= happened > 0)
			forget(ram, container_of(node, struct op, node), happened > 0);
	list_each_safe(node, after, &ram->messages)
		ram_message_free(container_of(node, struct ram_message, node));
	ram_state_settle(&ram->state);
	ram->pending = 0;
	ram->refused.count = 0;
	ram->late_until = 0;
	ram->last_id = ram->state.last_id;
}
