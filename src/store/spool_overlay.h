/* What happened since the last checkpoint, in memory: over the index, under every read. Deltas, not a cache.
 *
 * The loop's thread alone writes to the active one. A frozen one changes no more and may be read from two
 * threads. Its memory goes back as a whole.
 */
#ifndef STORE_SPOOL_OVERLAY_H
#define STORE_SPOOL_OVERLAY_H

#include "base/arena.h"
#include "base/list.h"
#include "base/map.h"
#include "port/store.h"

struct overlay_entry {
	struct map_node node;
	uint64_t id;
	struct slice blob; /* spool_codec.h; its places are absolute */
	size_t room;	   /* bytes at blob.data */
	bool gone;	   /* over, aborted or set aside: hides the index */
};

struct overlay_pair {
	struct map_node node;
	struct slice value; /* empty: removed */
	uint64_t segment;   /* of its record */
};

struct overlay_end {
	int64_t ended_ms;
	uint64_t seq; /* unique; in the order of the log */
	struct slice blob;
};

struct overlay_aside {
	uint64_t id;
	struct slice blob; /* empty: given up */
};

/* Ascending ids: of the messages of a domain that are new in this overlay. */
struct id_list {
	uint64_t *ids;
	size_t start, end, capacity;
};

struct overlay {
	struct arena arena;
	uint64_t seed;
	struct map entries, pairs, domains;
	struct id_list all;
	struct overlay_end *ends;
	size_t end_count, end_capacity;
	struct overlay_aside *asides;
	size_t aside_count, aside_capacity;
};

struct overlay *overlay_new(uint64_t seed); /* NULL: no memory */
void overlay_free(struct overlay *overlay); /* NULL: nothing */
bool overlay_empty(const struct overlay *overlay);

/* NULL: it says nothing about this one. overlay may be NULL. */
struct overlay_entry *overlay_find(const struct overlay *overlay, uint64_t id);
struct overlay_pair *overlay_find_pair(const struct overlay *overlay, struct slice key);
void overlay_sort(const struct overlay_entry **entries, size_t count);		    /* by id */
const struct id_list *overlay_list(const struct overlay *overlay, uint32_t domain); /* 0: all */

/* All copy; ERR_MEMORY. */
nodiscard int overlay_set(struct overlay *overlay, uint64_t id, struct slice blob);
nodiscard int overlay_remove(struct overlay *overlay, uint64_t id);
nodiscard int overlay_set_pair(struct overlay *overlay, struct slice key, struct slice value,
			       uint64_t segment);
nodiscard int overlay_add_end(struct overlay *overlay, int64_t ended_ms, uint64_t seq, struct slice blob);
nodiscard int overlay_add_aside(struct overlay *overlay, uint64_t id, struct slice blob);
nodiscard int overlay_list_add(struct overlay *overlay, uint32_t domain, uint64_t id);
void overlay_list_remove(struct overlay *overlay, uint32_t domain, uint64_t id); /* not there: nothing */

/* Position of the first id greater than after; list->end when there is none. list may be NULL: 0. */
size_t id_list_after(const struct id_list *list, uint64_t after);

#endif
