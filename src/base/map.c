#include "base/map.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/check.h"

enum { MAP_FIRST_BUCKETS = 16 };

uint64_t map_hash(struct slice key, uint64_t seed)
{
	return XXH3_64bits_withSeed(key.data, key.size, seed);
}

void map_init(struct map *map, uint64_t seed)
{
	*map = (struct map){.seed = seed};
}

void map_deinit(struct map *map)
{
	free(map->buckets);
	*map = (struct map){.seed = map->seed};
}

static struct map_node **bucket_of(const struct map *map, uint64_t hash)
{
	return &map->buckets[hash & (map->bucket_count - 1)];
}

static int resize(struct map *map, size_t bucket_count)
{
	struct map_node **buckets = calloc(bucket_count, sizeof(struct map_node *));
	if (buckets == NULL)
		return ERR_MEMORY;

	struct map old = *map;
	map->buckets = buckets;
	map->bucket_count = bucket_count;
	for (size_t i = 0; i < old.bucket_count; i++) {
		struct map_node *node = old.buckets[i];
		while (node != NULL) {
			struct map_node *next = node->next;
			struct map_node **bucket = bucket_of(map, node->hash);
			node->next = *bucket;
			*bucket = node;
			node = next;
		}
	}
	free(old.buckets);
	return 0;
}

int map_insert(struct map *map, struct map_node *node, struct slice key)
{
	if (map_find(map, key) != NULL)
		return ERR_EXISTS;
	if (map->count >= map->bucket_count) {
		int error = resize(map, map->bucket_count > 0 ? map->bucket_count * 2 : MAP_FIRST_BUCKETS);
		/* A crowded table still works: only an empty one cannot take anything. */
		if (error != 0 && map->bucket_count == 0)
			return error;
	}
	node->key = key;
	node->hash = map_hash(key, map->seed);
	struct map_node **bucket = bucket_of(map, node->hash);
	node->next = *bucket;
	*bucket = node;
	map->count++;
	return 0;
}

struct map_node *map_find(const struct map *map, struct slice key)
{
	if (map->bucket_count == 0)
		return NULL;
	uint64_t hash = map_hash(key, map->seed);
	struct map_node *node = *bucket_of(map, hash);
	while (node != NULL && (node->hash != hash || !slice_equal(node->key, key)))
		node = node->next;
	return node;
}

void map_remove(struct map *map, struct map_node *node)
{
	struct map_node **link = bucket_of(map, node->hash);

	while (*link != node) {
		check(*link != NULL);
		link = &(*link)->next;
	}
	*link = node->next;
	node->next = NULL;
	map->count--;
}

struct map_node *map_next(const struct map *map, const struct map_node *after)
{
	size_t bucket = 0;

	if (after != NULL) {
		if (after->next != NULL)
			return after->next;
		bucket = (after->hash & (map->bucket_count - 1)) + 1;
	}
	for (; bucket < map->bucket_count; bucket++)
		if (map->buckets[bucket] != NULL)
			return map->buckets[bucket];
	return NULL;
}

struct map_node *map_take_any(struct map *map)
{
	struct map_node *node = map_next(map, NULL);

	if (node != NULL)
		map_remove(map, node);
	return node;
}
