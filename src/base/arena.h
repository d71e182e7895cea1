/* Memory that lives and dies together: one session, one transaction, one message.
 *
 * Allocation is a pointer bump in blocks; everything is freed at once. With a limit, an allocation beyond it
 * fails as if memory were out: this is how the memory of a session is bounded. Pointers stay valid until
 * arena_reset or arena_deinit.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/error.h"
#include "base/slice.h"

struct arena_block;

struct arena {
	struct arena_block *block; /* the newest first */
	size_t used_bytes;	   /* handed out, all blocks */
	size_t limit_bytes;	   /* 0: none */
};

void arena_init(struct arena *arena, size_t limit_bytes);
void arena_deinit(struct arena *arena);
void arena_reset(struct arena *arena); /* keeps one block for the next use */

/* Zeroed and aligned for any type. NULL when memory or the limit is exhausted. */
nodiscard void *arena_alloc(struct arena *arena, size_t size);
nodiscard void *arena_alloc_array(struct arena *arena, size_t count, size_t size);

/* A copy of the bytes, with a NUL behind it that size does not count. ERR_MEMORY. */
nodiscard int arena_copy(struct arena *arena, struct slice from, struct slice *ret_copy);
/* NUL-terminated copy; NULL when memory or the limit is exhausted. */
nodiscard char *arena_string(struct arena *arena, struct slice from);

#endif
