/* What the RAM store keeps through a crash: committed messages, end records, pairs, totals. Internal to
 * ram*.c. */
#ifndef STORE_RAM_STATE_H
#define STORE_RAM_STATE_H

#include "store/counts.h"
#include "store/entry.h"

struct ram_entry {
	struct store_entry entry;
	struct arena arena;  /* of everything that entry points to, and of old replies until it is packed */
	size_t packed_bytes; /* size of the arena when it was last packed */
	char *body;
	bool unsure; /* committed, but the answer was UNKNOWN: not to be seen yet */
};

struct ram_end {
	struct store_end end;
	struct arena arena;
};

struct ram_pair {
	struct slice key, value; /* of bytes */
	char bytes[];
};

/* Sorted arrays of pointers: entries by id, ends by time (oldest first), pairs by key. */
struct ram_array {
	void **items;
	size_t count, capacity;
};

struct ram_state {
	struct ram_array entries, ends, pairs;
	struct counts counts;
	struct store_totals totals;
	uint64_t bytes;	  /* of bodies */
	uint64_t last_id; /* ever committed */
};

void ram_state_init(struct ram_state *state, uint64_t seed);
void ram_state_deinit(struct ram_state *state);

/* Idempotent by id. ERR_MEMORY. */
nodiscard int ram_state_commit(struct ram_state *state, uint64_t id, const struct store_envelope *envelope,
			       struct slice prefix, struct slice body, bool unsure);
/* After a crash nobody is left who could ask again: what happened is there. */
void ram_state_settle(struct ram_state *state);
void ram_state_abort(struct ram_state *state, uint64_t id); /* only an unsure one goes */

struct ram_entry *ram_state_find(const struct ram_state *state, uint64_t id); /* unsure ones too; NULL */
size_t ram_state_after(const struct ram_state *state,
		       uint64_t id); /* index of the first entry with a larger id */
enum store_reason ram_state_amend(struct ram_state *state, uint64_t id, uint64_t version,
				  const struct store_change *changes, size_t count, int64_t wall_ms);

/* Without memory the record is lost: this store is for tests. */
void ram_state_add_end(struct ram_state *state, const struct store_end *end);

/* An empty value removes. ERR_MEMORY. */
nodiscard int ram_state_put(struct ram_state *state, struct slice key, struct slice value);
size_t ram_state_pair_from(const struct ram_state *state,
			   struct slice key); /* index of the first key >= key */

#endif
