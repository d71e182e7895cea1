/* Intrusive ordered tree: objects by a key of bytes, walked in its order from any place. The tree owns
 * nothing and allocates nothing.
 *
 * A treap (Seidel and Aragon, "Randomized search trees", 1996): insert, remove and find take O(log n) steps
 * when the priorities are random. The caller gives them: a seeded hash of the key does, for keys that come
 * from strangers too. Equal keys stand in the order in which they were inserted.
 */
#ifndef BASE_TREE_H
#define BASE_TREE_H

#include <stdint.h>

#include "base/slice.h"

struct tree_node {
	struct tree_node *left, *right;
	struct slice key; /* stored in the object; not changed while in the tree */
	uint64_t priority;
};

struct tree {
	struct tree_node *root;
};

void tree_insert(struct tree *tree, struct tree_node *node, struct slice key, uint64_t priority);
void tree_remove(struct tree *tree, struct tree_node *node); /* must be in the tree */
/* The first with this key, or NULL. */
struct tree_node *tree_find(const struct tree *tree, struct slice key);
/* The first whose key is greater, or NULL. With an empty key: the first with any other. */
struct tree_node *tree_after(const struct tree *tree, struct slice key);

#endif
