#include "store/spool_overlay.h"

#include <stdlib.h>
#include <string.h>

enum { LIST_FIRST = 16 };

struct overlay_domain {
	struct map_node node;
	uint32_t domain;
	struct id_list list;
};

struct overlay *overlay_new(uint64_t seed)
{
	struct overlay *o = calloc(1, sizeof(*o));

	if (o == NULL)
		return NULL;
	arena_init(&o->arena, 0);
	map_init(&o->entries, seed);
	map_init(&o->pairs, seed);
	map_init(&o->domains, seed);
	o->seed = seed;
	return o;
}

void overlay_free(struct overlay *overlay)
{
	if (overlay == NULL)
		return;
	for (struct map_node *node = NULL; (node = map_next(&overlay->domains, node)) != NULL;)
		free(container_of(node, struct overlay_domain, node)->list.ids);
	free(overlay->all.ids);
	free(overlay->ends);
	free(overlay->asides);
	map_deinit(&overlay->entries);
	map_deinit(&overlay->pairs);
	map_deinit(&overlay->domains);
	arena_deinit(&overlay->arena);
	free(overlay);
}

bool overlay_empty(const struct overlay *overlay)
{
	return overlay->entries.count == 0 && overlay->pairs.count == 0 && overlay->end_count == 0 &&
	       overlay->aside_count == 0;
}

struct overlay_entry *overlay_find(const struct overlay *overlay, uint64_t id)
{
	struct map_node *node =
	    overlay != NULL ? map_find(&overlay->entries, slice_make(&id, sizeof(id))) : NULL;

	return node != NULL ? container_of(node, struct overlay_entry, node) : NULL;
}

struct overlay_pair *overlay_find_pair(const struct overlay *overlay, struct slice key)
{
	struct map_node *node = overlay != NULL ? map_find(&overlay->pairs, key) : NULL;

	return node != NULL ? container_of(node, struct overlay_pair, node) : NULL;
}

static int by_id(const void *a, const void *b)
{
	uint64_t left = (*(const struct overlay_entry *const *)a)->id;
	uint64_t right = (*(const struct overlay_entry *const *)b)->id;

	return left < right ? -1 : left > right;
}

void overlay_sort(const struct overlay_entry **entries, size_t count)
{
	if (count > 0)
		qsort(entries, count, sizeof(struct overlay_entry *), by_id);
}

static struct overlay_entry *make_entry(struct overlay *overlay, uint64_t id)
{
	struct overlay_entry *e = overlay_find(overlay, id);

	if (e != NULL)
		return e;
	e = arena_alloc(&overlay->arena, sizeof(*e));
	if (e == NULL)
		return NULL;
	e->id = id;
	e->gone = true;
	return map_insert(&overlay->entries, &e->node, slice_make(&e->id, sizeof(e->id))) == 0 ? e : NULL;
}

int overlay_set(struct overlay *overlay, uint64_t id, struct slice blob)
{
	struct overlay_entry *e = make_entry(overlay, id);

	if (e == NULL)
		return ERR_MEMORY;
	if (e->room < blob.size) {
		/* Replies come and go: some room saves a new place at each amend. */
		size_t room = e->room > 0 ? blob.size + STORE_REPLY_MAX : blob.size;
		char *bytes = arena_alloc(&overlay->arena, room);
		if (bytes == NULL)
			return ERR_MEMORY;
		e->room = room;
		e->blob.data = bytes;
	}
	memcpy((char *)e->blob.data, blob.data, blob.size);
	e->blob.size = blob.size;
	e->gone = false;
	return 0;
}

int overlay_remove(struct overlay *overlay, uint64_t id)
{
	struct overlay_entry *e = make_entry(overlay, id);

	if (e == NULL)
		return ERR_MEMORY;
	e->gone = true;
	return 0;
}

int overlay_set_pair(struct overlay *overlay, struct slice key, struct slice value, uint64_t segment)
{
	struct overlay_pair *p = overlay_find_pair(overlay, key);
	struct slice copy;

	if (arena_copy(&overlay->arena, value, &copy) != 0)
		return ERR_MEMORY;
	if (p == NULL) {
		struct slice key_copy;
		p = arena_alloc(&overlay->arena, sizeof(*p));
		if (p == NULL || arena_copy(&overlay->arena, key, &key_copy) != 0 ||
		    map_insert(&overlay->pairs, &p->node, key_copy) != 0)
			return ERR_MEMORY;
	}
	p->value = copy;
	p->segment = segment;
	return 0;
}

/* Room for one more item at the end of an array. */
static int grow(void **items, size_t *capacity, size_t count, size_t size)
{
	if (count < *capacity)
		return 0;
	size_t bigger = *capacity > 0 ? *capacity * 2 : LIST_FIRST;
	void *moved = realloc(*items, bigger * size);
	if (moved == NULL)
		return ERR_MEMORY;
	*items = moved;
	*capacity = bigger;
	return 0;
}

int overlay_add_end(struct overlay *overlay, int64_t ended_ms, uint64_t seq, struct slice blob)
{
	struct overlay_end end = {.ended_ms = ended_ms, .seq = seq};

	if (arena_copy(&overlay->arena, blob, &end.blob) != 0 ||
	    grow((void **)&overlay->ends, &overlay->end_capacity, overlay->end_count, sizeof(end)) != 0)
		return ERR_MEMORY;
	overlay->ends[overlay->end_count++] = end;
	return 0;
}

int overlay_add_aside(struct overlay *overlay, uint64_t id, struct slice blob)
{
	struct overlay_aside aside = {.id = id};

	if (arena_copy(&overlay->arena, blob, &aside.blob) != 0 ||
	    grow((void **)&overlay->asides, &overlay->aside_capacity, overlay->aside_count, sizeof(aside)) !=
		0)
		return ERR_MEMORY;
	overlay->asides[overlay->aside_count++] = aside;
	return 0;
}

static struct id_list *find_list(const struct overlay *overlay, uint32_t domain)
{
	if (domain == 0)
		return (struct id_list *)&overlay->all;
	struct map_node *node = map_find(&overlay->domains, slice_make(&domain, sizeof(domain)));
	return node != NULL ? &container_of(node, struct overlay_domain, node)->list : NULL;
}

const struct id_list *overlay_list(const struct overlay *overlay, uint32_t domain)
{
	return overlay != NULL ? find_list(overlay, domain) : NULL;
}

static struct id_list *make_list(struct overlay *overlay, uint32_t domain)
{
	struct id_list *list = find_list(overlay, domain);

	if (list != NULL)
		return list;
	struct overlay_domain *d = arena_alloc(&overlay->arena, sizeof(*d));
	if (d == NULL)
		return NULL;
	d->domain = domain;
	if (map_insert(&overlay->domains, &d->node, slice_make(&d->domain, sizeof(d->domain))) != 0)
		return NULL;
	return &d->list;
}

size_t id_list_after(const struct id_list *list, uint64_t after)
{
	if (list == NULL)
		return 0;
	size_t low = list->start, high = list->end;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (list->ids[middle] > after)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

int overlay_list_add(struct overlay *overlay, uint32_t domain, uint64_t id)
{
	struct id_list *list = make_list(overlay, domain);

	if (list == NULL)
		return ERR_MEMORY;
	if (list->start == list->end)
		list->start = list->end = 0;
	if (grow((void **)&list->ids, &list->capacity, list->end, sizeof(*list->ids)) != 0)
		return ERR_MEMORY;
	size_t at = id_list_after(list, id); /* nearly always the end */
	if (at > list->start && list->ids[at - 1] == id)
		return 0;
	memmove(list->ids + at + 1, list->ids + at, (list->end - at) * sizeof(*list->ids));
	list->ids[at] = id;
	list->end++;
	return 0;
}

void overlay_list_remove(struct overlay *overlay, uint32_t domain, uint64_t id)
{
	struct id_list *list = find_list(overlay, domain);
	size_t after = id_list_after(list, id);

	if (list == NULL || after == list->start || list->ids[after - 1] != id)
		return;
	if (after - 1 == list->start) { /* the oldest goes first, mostly */
		list->start++;
		return;
	}
	memmove(list->ids + after - 1, list->ids + after, (list->end - after) * sizeof(*list->ids));
	list->end--;
}
