#include "base/tree.h"

#include <stdbool.h>
#include <stddef.h>

#include "base/check.h"

/* Cuts a subtree in two: keys up to this one, and those greater. */
static void split(struct tree_node *node, struct slice key, struct tree_node **ret_upto,
		  struct tree_node **ret_above)
{
	while (node != NULL) {
		if (slice_compare(node->key, key) <= 0) {
			*ret_upto = node;
			ret_upto = &node->right;
			node = node->right;
		} else {
			*ret_above = node;
			ret_above = &node->left;
			node = node->left;
		}
	}
	*ret_upto = NULL;
	*ret_above = NULL;
}

void tree_insert(struct tree *tree, struct tree_node *node, struct slice key, uint64_t priority)
{
	struct tree_node **place = &tree->root;

	*node = (struct tree_node){.key = key, .priority = priority};
	while (*place != NULL && (*place)->priority >= priority)
		place = slice_compare((*place)->key, key) <= 0 ? &(*place)->right : &(*place)->left;
	split(*place, key, &node->left, &node->right);
	*place = node;
}

/* All keys of a stand before those of b. */
static struct tree_node *join(struct tree_node *a, struct tree_node *b)
{
	struct tree_node *root = NULL, **place = &root;

	while (a != NULL && b != NULL) {
		if (a->priority >= b->priority) {
			*place = a;
			place = &a->right;
			a = a->right;
		} else {
			*place = b;
			place = &b->left;
			b = b->left;
		}
	}
	*place = a != NULL ? a : b;
	return root;
}

/* Where the tree points to this node, or NULL. Nodes of equal keys may stand on either side of each other. */
static struct tree_node **place_of(struct tree_node **place, const struct tree_node *node)
{
	while (*place != NULL && *place != node) {
		int order = slice_compare(node->key, (*place)->key);
		if (order == 0) {
			struct tree_node **left = place_of(&(*place)->left, node);
			if (left != NULL)
				return left;
		}
		place = order < 0 ? &(*place)->left : &(*place)->right;
	}
	return *place != NULL ? place : NULL;
}

void tree_remove(struct tree *tree, struct tree_node *node)
{
	struct tree_node **place = place_of(&tree->root, node);

	check(place != NULL);
	*place = join(node->left, node->right);
	*node = (struct tree_node){.left = NULL};
}

static struct tree_node *first_from(const struct tree *tree, struct slice key, bool itself)
{
	struct tree_node *best = NULL;

	for (struct tree_node *node = tree->root; node != NULL;) {
		int order = slice_compare(node->key, key);
		if (order > 0 || (itself && order == 0)) {
			best = node;
			node = node->left;
		} else {
			node = node->right;
		}
	}
	return best;
}

struct tree_node *tree_find(const struct tree *tree, struct slice key)
{
	struct tree_node *node = first_from(tree, key, true);

	return node != NULL && slice_compare(node->key, key) == 0 ? node : NULL;
}

struct tree_node *tree_after(const struct tree *tree, struct slice key)
{
	return first_from(tree, key, false);
}
