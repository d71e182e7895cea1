#include "base/arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum {
	BLOCK_BYTES = 4096 - 32
}; /* of a usual block, so that it fits a page with the allocator's own header */

struct arena_block {
	struct arena_block *older;
	size_t capacity, used;
	alignas(max_align_t) char bytes[];
};

void arena_init(struct arena *arena, size_t limit_bytes)
{
	*arena = (struct arena){.limit_bytes = limit_bytes};
}

static void free_blocks(struct arena_block *block)
{
	while (block != NULL) {
		struct arena_block *older = block->older;
		free(block);
		block = older;
	}
}

void arena_deinit(struct arena *arena)
{
	free_blocks(arena->block);
	arena->block = NULL;
	arena->used_bytes = 0;
}

void arena_reset(struct arena *arena)
{
	struct arena_block *kept = arena->block;

	arena->used_bytes = 0;
	if (kept == NULL)
		return;
	free_blocks(kept->older);
	if (kept->capacity > BLOCK_BYTES) {
		free(kept);
		arena->block = NULL;
		return;
	}
	kept->older = NULL;
	kept->used = 0;
}

static struct arena_block *new_block(struct arena *arena, size_t size)
{
	size_t capacity =
	    size > BLOCK_BYTES - sizeof(struct arena_block) ? size : BLOCK_BYTES - sizeof(struct arena_block);
	struct arena_block *block = malloc(sizeof(*block) + capacity);

	if (block == NULL)
		return NULL;
	*block = (struct arena_block){.older = arena->block, .capacity = capacity};
	arena->block = block;
	return block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	const size_t step = alignof(max_align_t);

	if (size > SIZE_MAX - step)
		return NULL;
	size = (size + step - 1) / step * step;
	if (arena->limit_bytes != 0 &&
	    (size > arena->limit_bytes || arena->used_bytes > arena->limit_bytes - size))
		return NULL;

	struct arena_block *block = arena->block;
	if (block == NULL || block->capacity - block->used < size) {
		block = new_block(arena, size);
		if (block == NULL)
			return NULL;
	}
	void *place = block->bytes + block->used;
	block->used += size;
	arena->used_bytes += size;
	check(block->used <= block->capacity);
	return memset(place, 0, size);
}

void *arena_alloc_array(struct arena *arena, size_t count, size_t size)
{
	if (size != 0 && count > SIZE_MAX / size)
		return NULL;
	return arena_alloc(arena, count * size);
}

int arena_copy(struct arena *arena, struct slice from, struct slice *ret_copy)
{
	char *copy = arena_string(arena, from);

	if (copy == NULL)
		return ERR_MEMORY;
	*ret_copy = slice_make(copy, from.size);
	return 0;
}

char *arena_string(struct arena *arena, struct slice from)
{
	char *copy = from.size < SIZE_MAX ? arena_alloc(arena, from.size + 1) : NULL;

	if (copy != NULL && from.size > 0)
		memcpy(copy, from.data, from.size);
	return copy;
}
