/* Counts of what waits, per domain and over all, kept up to date in memory.
 *
 * Memory grows with the number of domains that ever held mail, not with that of messages. The oldest arrival
 * is not kept here: the implementation looks it up from first_id on, below which nothing waits.
 */
#ifndef STORE_COUNTS_H
#define STORE_COUNTS_H

#include "base/map.h"
#include "port/store.h"

struct domain_counts {
	struct map_node node;
	struct domain_counts *next_dirty;
	bool dirty;	 /* changed since counts_take_dirty */
	uint32_t domain; /* or a queue of grace; 0: all */
	uint64_t messages, bytes, recipients;
	uint64_t first_id; /* no message with a smaller id waits in this domain */
};

struct counts {
	struct map domains;
	struct domain_counts all;
	struct domain_counts *dirty;
};

void counts_init(struct counts *counts, uint64_t seed);
void counts_deinit(struct counts *counts);

/* NULL when the domain has never held anything. domain 0: all. */
struct domain_counts *counts_find(const struct counts *counts, uint32_t domain);
/* Makes it when it is not there; NULL: no memory. */
struct domain_counts *counts_make(struct counts *counts, uint32_t domain);

/* Makes the domains of an entry's recipients known, so that counts_add cannot fail. grace: their queues of
 * grace too. ERR_MEMORY. */
nodiscard int counts_prepare(struct counts *counts, const struct store_entry *entry, bool grace);
/* Adds what the entry has in its queues (store/entry.h), and takes it away again. All must be prepared. */
void counts_add(struct counts *counts, const struct store_entry *entry);
void counts_remove(struct counts *counts, const struct store_entry *entry);

/* The domains changed since the last call, linked by next_dirty until the next change. `all` is not among
 * them. */
struct domain_counts *counts_take_dirty(struct counts *counts);

#endif
