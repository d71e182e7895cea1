#include "store/done.h"

#include "base/check.h"

struct done done_plain(store_done *call, void *owner)
{
	return (struct done){
	    .kind = call != NULL ? DONE_PLAIN : DONE_NONE, .call = {.plain = call}, .owner = owner};
}

struct done done_walk(store_walk_done *call, void *owner)
{
	return (struct done){.kind = DONE_WALK, .call = {.walk = call}, .owner = owner};
}

struct done done_read(store_read_done *call, void *owner)
{
	return (struct done){.kind = DONE_READ, .call = {.read = call}, .owner = owner};
}

struct done done_pairs(store_pairs_done *call, void *owner)
{
	return (struct done){.kind = DONE_PAIRS, .call = {.pairs = call}, .owner = owner};
}

struct done done_ends(store_ends_done *call, void *owner)
{
	return (struct done){.kind = DONE_ENDS, .call = {.ends = call}, .owner = owner};
}

void done_result(const struct done *done, enum store_result result, enum store_reason reason)
{
	switch (done->kind) {
	case DONE_NONE:
		return;
	case DONE_PLAIN:
		done->call.plain(done->owner, result, reason);
		return;
	case DONE_WALK:
		done->call.walk(done->owner, result, NULL, 0, false);
		return;
	case DONE_READ:
		done->call.read(done->owner, result, reason, (struct slice){.data = NULL, .size = 0});
		return;
	case DONE_PAIRS:
		done->call.pairs(done->owner, result, NULL, 0, false);
		return;
	case DONE_ENDS:
		done->call.ends(done->owner, result, NULL, 0, false);
		return;
	default:
		check_never();
	}
}

void refused_add(struct refused *refused, const struct done *done)
{
	check(refused->count < REFUSED_MAX);
	refused->waiting[refused->count++] = *done;
}

void refused_deliver(struct refused *refused)
{
	struct done now[REFUSED_MAX];
	size_t count = refused->count;

	for (size_t i = 0; i < count; i++)
		now[i] = refused->waiting[i];
	refused->count = 0;
	for (size_t i = 0; i < count; i++)
		done_result(&now[i], STORE_FAILED, STORE_REASON_MEMORY);
}
