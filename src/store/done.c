#include "store/done.h"

#include <stdlib.h>

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

int refused_init(struct refused *refused)
{
	*refused = (struct refused){
	    .waiting = malloc(REFUSED_PLACES * sizeof(*refused->waiting)),
	    .room = REFUSED_PLACES,
	};
	return refused->waiting != NULL ? 0 : ERR_MEMORY;
}

void refused_deinit(struct refused *refused)
{
	free(refused->waiting);
	*refused = (struct refused){.waiting = NULL};
}

/* Without memory it stays as it is. */
static void refused_grow(struct refused *refused)
{
	struct done *bigger = malloc(2 * refused->room * sizeof(*bigger));

	if (bigger == NULL)
		return;
	for (size_t i = 0; i < refused->count; i++)
		bigger[i] = refused->waiting[(refused->first + i) % refused->room];
	free(refused->waiting);
	refused->waiting = bigger;
	refused->first = 0;
	refused->room *= 2;
}

void refused_add(struct refused *refused, const struct done *done)
{
	if (done->kind == DONE_NONE)
		return;
	if (refused->count >= refused->room / 2)
		refused_grow(refused);
	check(refused->count < refused->room);
	refused->waiting[(refused->first + refused->count++) % refused->room] = *done;
}

void refused_deliver(struct refused *refused)
{
	for (size_t count = refused->count; count > 0; count--) {
		struct done done = refused->waiting[refused->first];
		refused->first = (refused->first + 1) % refused->room;
		refused->count--;
		done_result(&done, STORE_FAILED, STORE_REASON_MEMORY);
	}
}
