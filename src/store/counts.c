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

int counts_prepare(struct counts *counts, const struct store_entry *entry)
{
	uint32_t last = 0;

	for (uint32_t i = 0; i < entry->envelope.recipient_count; i++) {
		uint32_t domain = entry->envelope.recipients[i].domain;
		if (domain != last && counts_make(counts, domain) == NULL)
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

void counts_add(struct counts *counts, const struct store_entry *entry)
{
	const struct store_envelope *e = &entry->envelope;
	uint32_t queued = entry_queued(entry);

	if (queued == 0)
		return;
	message_into(&counts->all, entry);
	counts->all.recipients += queued;
	for (uint32_t i = entry_next_domain(entry, 0); i < e->recipient_count;
	     i = entry_next_domain(entry, i + 1))
		message_into(counts_find(counts, e->recipients[i].domain), entry);
	for (uint32_t i = 0; i < e->recipient_count; i++) {
		if (e->recipients[i].state != STORE_QUEUED)
			continue;
		struct domain_counts *c = counts_find(counts, e->recipients[i].domain);
		c->recipients++;
		mark_dirty(counts, c);
	}
}

void counts_remove(struct counts *counts, const struct store_entry *entry)
{
	const struct store_envelope *e = &entry->envelope;
	uint32_t queued = entry_queued(entry);

	if (queued == 0)
		return;
	message_out_of(&counts->all, entry);
	counts->all.recipients -= queued;
	for (uint32_t i = entry_next_domain(entry, 0); i < e->recipient_count;
	     i = entry_next_domain(entry, i + 1))
		message_out_of(counts_find(counts, e->recipients[i].domain), entry);
	for (uint32_t i = 0; i < e->recipient_count; i++) {
		if (e->recipients[i].state != STORE_QUEUED)
			continue;
		struct domain_counts *c = counts_find(counts, e->recipients[i].domain);
		c->recipients--;
		mark_dirty(counts, c);
	}
}
