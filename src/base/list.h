/* Intrusive doubly linked list. The node is a member of the object; the list owns nothing.
 *
 * A list head is a node linked to itself. A node that is in no list is either zeroed or linked to itself.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

/* The object that holds the node. */
#define container_of(node, type, member) ((type *)((char *)(node)-offsetof(type, member)))

/* NOLINTBEGIN(bugprone-macro-parentheses): a name that is declared cannot stand in parentheses. */

/* for (each node of head); node may not be removed inside. */
#define list_each(node, head) for (struct list *node = (head)->next; node != (head); node = node->next)

/* The same, and node may be removed inside. */
#define list_each_safe(node, after, head)                                           \
	for (struct list *node = (head)->next, *after = node->next; node != (head); \
	     node = after, after = node->next)

/* NOLINTEND(bugprone-macro-parentheses) */

static inline void list_init(struct list *head)
{
	head->next = head;
	head->prev = head;
}

static inline bool list_empty(const struct list *head)
{
	return head->next == head;
}

static inline bool list_linked(const struct list *node)
{
	return node->next != NULL && node->next != node;
}

static inline void list_add_before(struct list *place, struct list *node)
{
	node->next = place;
	node->prev = place->prev;
	place->prev->next = node;
	place->prev = node;
}

static inline void list_add_last(struct list *head, struct list *node)
{
	list_add_before(head, node);
}

static inline void list_add_first(struct list *head, struct list *node)
{
	list_add_before(head->next, node);
}

/* Removing a node that is in no list does nothing. */
static inline void list_remove(struct list *node)
{
	if (node->next == NULL)
		return;
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

static inline struct list *list_first(const struct list *head)
{
	return head->next == head ? NULL : head->next;
}

#endif
