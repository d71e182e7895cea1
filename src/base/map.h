/* Intrusive hash map from bytes to objects. The map owns only its bucket array.
 *
 * The key is stored in the object and must not change while it is in the map. Keys come from strangers
 * (addresses, names), so the hash is seeded: give every map a seed that they cannot know.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/error.h"
#include "base/slice.h"

struct map_node {
	struct map_node *next;
	uint64_t hash;
	struct slice key;
};

struct map {
	struct map_node **buckets;
	size_t bucket_count; /* a power of two, or 0 */
	size_t count;
	uint64_t seed;
};

void map_init(struct map *map, uint64_t seed);
void map_deinit(struct map *map); /* the nodes are the owner's */

/* ERR_MEMORY; ERR_EXISTS when the key is there. */
nodiscard int map_insert(struct map *map, struct map_node *node, struct slice key);
struct map_node *map_find(const struct map *map, struct slice key);
void map_remove(struct map *map, struct map_node *node); /* must be in the map */

/* Walks all nodes in an unspecified order: start with NULL. Nothing may be inserted meanwhile; the node
 * returned last may be removed only by map_take_any. */
struct map_node *map_next(const struct map *map, const struct map_node *after);
/* Removes and returns some node; NULL when empty. For tearing down. */
struct map_node *map_take_any(struct map *map);

uint64_t map_hash(struct slice key, uint64_t seed);

#endif
