/* Intrusive pairing heap ordered by a 64-bit key: timers and schedules. The heap owns nothing and allocates
 * nothing.
 *
 * Insert is O(1), taking the smallest and removing any node O(log n) amortised (Fredman, Sedgewick, Sleator
 * and Tarjan, "The pairing heap", 1986). Nodes with equal keys come out in an unspecified but deterministic
 * order.
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdbool.h>
#include <stdint.h>

struct heap_node {
	struct heap_node *child, *next, *prev; /* prev: the left sibling, or the parent of a first child */
	int64_t key;
	bool queued;
};

struct heap {
	struct heap_node *root;
};

/* The smallest, or NULL. */
static inline struct heap_node *heap_first(const struct heap *heap)
{
	return heap->root;
}

void heap_insert(struct heap *heap, struct heap_node *node, int64_t key); /* not queued */
void heap_remove(struct heap *heap, struct heap_node *node);		  /* does nothing when not queued */
void heap_move(struct heap *heap, struct heap_node *node, int64_t key);	  /* insert, or change the key */

#endif
