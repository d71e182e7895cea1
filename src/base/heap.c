#include "base/heap.h"

#include <stddef.h>

#include "base/check.h"

static struct heap_node *meld(struct heap_node *a, struct heap_node *b)
{
	if (a == NULL)
		return b;
	if (b == NULL)
		return a;
	if (b->key < a->key) {
		struct heap_node *smaller = b;
		b = a;
		a = smaller;
	}
	b->prev = a;
	b->next = a->child;
	if (a->child != NULL)
		a->child->prev = b;
	a->child = b;
	return a;
}

/* Two passes: pairs from left to right, then all together from right to left. */
static struct heap_node *meld_siblings(struct heap_node *first)
{
	struct heap_node *pairs = NULL;

	while (first != NULL) {
		struct heap_node *a = first, *b = first->next;
		first = b != NULL ? b->next : NULL;
		a->next = NULL;
		a->prev = NULL;
		if (b != NULL) {
			b->next = NULL;
			b->prev = NULL;
		}
		a = meld(a, b);
		a->next = pairs;
		pairs = a;
	}

	struct heap_node *root = NULL;
	while (pairs != NULL) {
		struct heap_node *next = pairs->next;
		pairs->next = NULL;
		root = meld(root, pairs);
		pairs = next;
	}
	return root;
}

void heap_insert(struct heap *heap, struct heap_node *node, int64_t key)
{
	check(!node->queued);
	*node = (struct heap_node){.key = key, .queued = true};
	heap->root = meld(heap->root, node);
}

static void cut(struct heap_node *node)
{
	if (node->prev->child == node)
		node->prev->child = node->next;
	else
		node->prev->next = node->next;
	if (node->next != NULL)
		node->next->prev = node->prev;
	node->next = NULL;
	node->prev = NULL;
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
	if (!node->queued)
		return;
	if (heap->root == node) {
		heap->root = meld_siblings(node->child);
	} else {
		cut(node);
		heap->root = meld(heap->root, meld_siblings(node->child));
	}
	*node = (struct heap_node){.key = node->key};
}

void heap_move(struct heap *heap, struct heap_node *node, int64_t key)
{
	heap_remove(heap, node);
	heap_insert(heap, node, key);
}
