#include "store/counts.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/list.h"
#include "store/entry.h"

void counts_init(struct counts *counts, uint64_t seed)
{
	*counts = (struct counts){.dirty = NULL};
	map_init(&counts->domains, seed);
}

void counts_deinit(struct counts *counts)
{
	for (struct map_node *node; (node = map_take_any(&counts->domains)) != NULL;)
		free(container_of(node, struct domain_counts, node));
	map_deinit(&counts->domains);
}

struct domain_counts *counts_find(const struct counts *counts, uint32_t domain)
{
	if (domain == 0)
		return (struct domain_counts *)&counts->all;
	struct map_node *node = map_find(&counts->domains, slice_make(&domain, sizeof(domain)));
	return node != NULL ? container_of(node, struct domain_counts, node) : NULL;
}

struct domain_counts *counts_make(struct counts *counts, uint32_t domain)
{
	struct domain_counts *c = counts_find(counts, domain);

	if (c != NULL)
		return c;
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return NULL;
	c->domain = domain;
	if (map_insert(&counts->domains, &c->node, slice_make(&c->domain, sizeof(c->domain))) != 0) {
		free(c);
		return NULL;
	}
	return c;
}

int counts_prepare(struct counts *counts, const struct store_entry *entry, bool grace)
{
	uint32_t last = 0;

	if (grace && counts_make(counts, STORE_GRACE) == NULL)
		return ERR_MEMORY;
	for (uint32_t i = 0; i < entry->envelope.recipient_count; i++) {
		uint32_t domain = entry->envelope.recipients[i].domain;
		if (domain == last)
			continue;
		if (counts_make(counts, domain) == NULL ||
		    (grace && counts_make(counts, STORE_GRACE | domain) == NULL))
			return ERR_MEMORY;
		last = domain;
	}
	return 0;
}

static void mark_dirty(struct counts *counts, struct domain_counts *c)
{
	if (c->dirty)
		return;
	c->dirty = true;
	c->next_dirty = counts->dirty;
	counts->dirty = c;
}

struct domain_counts *counts_take_dirty(struct counts *counts)
{
	struct domain_counts *first = counts->dirty;

	counts->dirty = NULL;
	for (struct domain_counts *c = first; c != NULL; c = c->next_dirty)
		c->dirty = false;
	return first;
}

static void message_into(struct domain_counts *c, const struct store_entry *entry)
{
	if (c->messages == 0 || entry->id < c->first_id)
		c->first_id = entry->id;
	c->messages++;
	c->bytes += entry->body_bytes;
}

static void message_out_of(struct domain_counts *c, const struct store_entry *entry)
{
	check(c->messages > 0 && c->bytes >= entry->body_bytes);
	c->messages--;
	c->bytes -= entry->body_bytes;
}

/* What stands for all queues of the kind: those of the domains, or the grace. */
static struct domain_counts *sum_of(struct counts *counts, uint32_t queue)
{
	return (queue & STORE_GRACE) != 0 ? counts_find(counts, STORE_GRACE) : &counts->all;
}

static void each_message(struct counts *counts, const struct store_entry *entry,
			 void (*change)(struct domain_counts *c, const struct store_entry *entry))
{
	const struct store_envelope *e = &entry->envelope;

	if (entry_queued_in(entry, 0))
		change(&counts->all, entry);
	if (entry_queued_in(entry, STORE_GRACE))
		change(counts_find(counts, STORE_GRACE), entry);
	for (uint32_t i = entry_next_queue(entry, 0); i < e->recipient_count;
	     i = entry_next_queue(entry, i + 1))
		change(counts_find(counts, entry_queue_of(&e->recipients[i])), entry);
}

static void count_recipients(struct counts *counts, const struct store_entry *entry, int64_t step)
{
	const struct store_envelope *e = &entry->envelope;

	for (uint32_t i = 0; i < e->recipient_count; i++) {
		uint32_t queue = entry_queue_of(&e->recipients[i]);
		if (queue == 0)
			continue;
		struct domain_counts *c = counts_find(counts, queue), *sum = sum_of(counts, queue);
		c->recipients += (uint64_t)step;
		sum->recipients += (uint64_t)step;
		mark_dirty(counts, c);
		if (sum != &counts->all)
			mark_dirty(counts, sum);
	}
}

void counts_add(struct counts *counts, const struct store_entry *entry)
{
	each_message(counts, entry, message_into);
	count_recipients(counts, entry, 1);
}

void counts_remove(struct counts *counts, const struct store_entry *entry)
{
	each_message(counts, entry, message_out_of);
	count_recipients(counts, entry, -1);
}
