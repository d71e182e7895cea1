/* The ordered tree against a sorted array. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/list.h"
#include "base/rng.h"
#include "base/tree.h"

enum { KEYS = 300, STEPS = 20000 };

struct thing {
	struct tree_node node;
	char key[8];
	bool inside;
};

/* What the tree should say: the keys are their numbers, with three digits. */
static struct thing *model_after(struct thing *things, int number)
{
	for (int i = number + 1; i < KEYS; i++)
		if (things[i].inside)
			return &things[i];
	return NULL;
}

static struct thing *thing_of(struct tree_node *node)
{
	return node != NULL ? container_of(node, struct thing, node) : NULL;
}

static void a_tree_walks_in_order(void **state)
{
	static struct thing things[KEYS];
	struct tree tree = {NULL};
	struct rng rng;

	rng_init(&rng, 7);
	for (int i = 0; i < KEYS; i++)
		(void)snprintf(things[i].key, sizeof(things[i].key), "%03d", i);
	for (int step = 0; step < STEPS; step++) {
		int i = (int)rng_below(&rng, KEYS);
		struct slice key = slice_of(things[i].key);
		if (things[i].inside)
			tree_remove(&tree, &things[i].node);
		else
			tree_insert(&tree, &things[i].node, key, rng_next(&rng));
		things[i].inside = !things[i].inside;
		assert_ptr_equal(thing_of(tree_find(&tree, key)), things[i].inside ? &things[i] : NULL);
		assert_ptr_equal(thing_of(tree_after(&tree, key)), model_after(things, i));
		assert_ptr_equal(thing_of(tree_after(&tree, SLICE(""))), model_after(things, -1));
	}
}

static uint32_t depth(const struct tree_node *node)
{
	if (node == NULL)
		return 0;
	uint32_t left = depth(node->left), right = depth(node->right);
	return 1 + (left > right ? left : right);
}

/* In the order of keys, as a store gives them back: the worst case of a plain tree. */
static void a_tree_stays_flat(void **state)
{
	enum { MANY = 20000 };
	static struct {
		struct tree_node node;
		char key[8];
	} things[MANY];
	struct tree tree = {NULL};
	struct rng rng;

	rng_init(&rng, 1);
	for (int i = 0; i < MANY; i++) {
		(void)snprintf(things[i].key, sizeof(things[i].key), "%06d", i);
		tree_insert(&tree, &things[i].node, slice_of(things[i].key), rng_next(&rng));
	}
	assert_in_range(depth(tree.root), 15, 60);
}

static void equal_keys_stand_in_the_order_of_insertion(void **state)
{
	enum { COPIES = 50 };
	struct tree_node nodes[COPIES], before, behind;
	struct tree tree = {NULL};
	struct rng rng;

	rng_init(&rng, 3);
	tree_insert(&tree, &behind, SLICE("c"), rng_next(&rng));
	tree_insert(&tree, &before, SLICE("a"), rng_next(&rng));
	for (int i = 0; i < COPIES; i++)
		tree_insert(&tree, &nodes[i], SLICE("b"), i % 3 == 0 ? 5 : rng_next(&rng));
	assert_ptr_equal(tree_after(&tree, SLICE("b")), &behind);
	for (int i = 0; i < COPIES; i++) {
		int next =
		    i < COPIES / 2 ? i : COPIES + COPIES / 2 - 1 - i; /* from the front, then the back */
		if (i < COPIES / 2)
			assert_ptr_equal(tree_find(&tree, SLICE("b")), &nodes[i]);
		tree_remove(&tree, &nodes[next]);
	}
	assert_null(tree_find(&tree, SLICE("b")));
	assert_ptr_equal(tree_after(&tree, SLICE("a")), &behind);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_tree_walks_in_order),
	    cmocka_unit_test(a_tree_stays_flat),
	    cmocka_unit_test(equal_keys_stand_in_the_order_of_insertion),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
