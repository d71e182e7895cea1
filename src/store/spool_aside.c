/* Messages that are set aside: listing them, and giving them up. */
#include <stdlib.h>
#include <string.h>

#include "store/spool_internal.h"

/* --- which ones ---------------------------------------------------------------------------------- */

/* What an overlay says last of a message: its entry, or an empty blob when it was given up. */
static bool overlay_says(const struct overlay *overlay, uint64_t id, struct slice *ret_blob)
{
	for (size_t i = overlay != NULL ? overlay->aside_count : 0; i > 0; i--) {
		if (overlay->asides[i - 1].id != id)
			continue;
		*ret_blob = overlay->asides[i - 1].blob;
		return true;
	}
	return false;
}

static int find_aside(struct spool *spool, uint64_t id, struct slice *ret_blob)
{
	struct index_key key = index_key_u64(id);

	if (!overlay_says(spool->active, id, ret_blob) && !overlay_says(spool->frozen, id, ret_blob))
		return index_get(spool->index, INDEX_ASIDE, &key, ret_blob);
	return ret_blob->size > 0 ? 0 : ERR_MISSING;
}

static int add_id(struct buffer *ids, uint64_t id)
{
	return buffer_append(ids, &id, sizeof(id));
}

static int add_overlay_ids(struct buffer *ids, const struct overlay *overlay)
{
	int error = 0;

	for (size_t i = 0; overlay != NULL && i < overlay->aside_count && error == 0; i++)
		error = add_id(ids, overlay->asides[i].id);
	return error;
}

static int add_index_ids(struct spool *spool, struct buffer *ids)
{
	struct index_cursor *cursor = index_cursor_new(spool->index, INDEX_ASIDE);
	struct index_key first = {.size = 0};
	struct slice key, value;
	int found = cursor != NULL ? index_seek(cursor, &first, &key, &value) : ERR_MEMORY;

	for (; found == 1; found = index_next(cursor, &key, &value))
		if (add_id(ids, index_u64_at(key, 0)) != 0) {
			found = ERR_MEMORY;
			break;
		}
	index_cursor_free(cursor);
	return found;
}

static int ascending(const void *a, const void *b)
{
	uint64_t left, right;

	memcpy(&left, a, sizeof(left));
	memcpy(&right, b, sizeof(right));
	return left < right ? -1 : left > right;
}

/* Ids that were ever mentioned, ascending, some of them twice, some given up since. */
static int mentioned(struct spool *spool, struct buffer *ids)
{
	int error = add_overlay_ids(ids, spool->active);

	if (error == 0)
		error = add_overlay_ids(ids, spool->frozen);
	if (error == 0)
		error = add_index_ids(spool, ids);
	if (error == 0 && buffer_size(ids) > 0)
		qsort(ids->bytes + ids->start, buffer_size(ids) / sizeof(uint64_t), sizeof(uint64_t),
		      ascending);
	return error;
}

/* Calls each for every message that is set aside. */
static int walk_asides(struct spool *spool, int (*each)(void *owner, uint64_t id, struct slice blob),
		       void *owner)
{
	struct buffer ids;
	struct slice blob;
	uint64_t id, last = 0;

	buffer_init(&ids, 0);
	int error = mentioned(spool, &ids);
	for (struct slice rest = buffer_slice(&ids); error == 0 && rest.size >= sizeof(id);
	     rest = slice_from(rest, sizeof(id))) {
		memcpy(&id, rest.data, sizeof(id));
		int found = id != last ? find_aside(spool, id, &blob) : ERR_MISSING;
		last = id;
		if (found != ERR_MISSING)
			error = found == 0 ? each(owner, id, blob) : found;
	}
	buffer_deinit(&ids);
	return error;
}

struct showing {
	struct arena arena;
	void (*each)(void *owner, const struct store_entry *entry);
	void *owner;
};

static int show(void *owner, uint64_t id, struct slice blob)
{
	struct showing *s = owner;
	struct spool_entry entry;

	(void)id;
	arena_reset(&s->arena);
	int error = spool_entry_decode(blob, &s->arena, &entry);
	if (error == 0)
		s->each(s->owner, &entry.entry);
	return error == ERR_CORRUPT ? 0 : error; /* nothing is known of it */
}

int spool_asides(struct store *store, void (*each)(void *owner, const struct store_entry *entry), void *owner)
{
	struct spool *spool = spool_of(store);
	struct showing s = {.each = each, .owner = owner};
	int error = index_read_begin(spool->index);

	if (error != 0)
		return error;
	arena_init(&s.arena, 0);
	error = walk_asides(spool, show, &s);
	arena_deinit(&s.arena);
	index_read_end(spool->index);
	return error;
}

/* --- giving them up ------------------------------------------------------------------------------ */

static int give_up(void *owner, uint64_t id, struct slice blob)
{
	struct spool *spool = owner;
	struct spool_entry entry;
	int error = spool_entry_decode(blob, &spool->arena, &entry);

	if (error == ERR_CORRUPT) { /* where it lies is not known: a rebuild tells */
		entry = (struct spool_entry){.extent_count = 0};
		error = 0;
	}
	if (error == 0)
		error = overlay_add_aside(spool->active, id, SLICE(""));
	if (error != 0)
		return error;
	segments_dead(&spool->segments, entry.extents, entry.extent_count);
	spool->dead_bytes += entry.entry.body_bytes;
	spool->totals.set_aside -= spool->totals.set_aside > 0;
	return 0;
}

int spool_apply_forget(struct spool *spool, struct slice payload, struct outcome *outcome)
{
	struct slice blob;
	uint64_t id;
	int error = spool_id_decode(payload, &id);

	*outcome = (struct outcome){.result = STORE_OK, .reason = STORE_REASON_NONE};
	if (error != 0)
		return error;
	if (id == 0) {
		error = walk_asides(spool, give_up, spool);
		if (error == 0)
			spool->totals.set_aside = 0; /* pieces of the log too */
		return error;
	}
	error = find_aside(spool, id, &blob);
	if (error == 0)
		return give_up(spool, id, blob);
	*outcome = (struct outcome){.result = STORE_FAILED, .reason = STORE_REASON_MISSING};
	return error == ERR_MISSING ? 0 : error;
}

struct piece {
	char name[FILE_NAME_SIZE];
};

static void find_piece(void *owner, const char *name)
{
	struct piece *piece = owner;
	size_t size = strlen(name);

	if (strncmp(name, "aside-", 6) == 0 && size < sizeof(piece->name))
		memcpy(piece->name, name, size + 1);
}

static int remove_pieces(const struct file_system *f)
{
	struct piece piece;
	int error;

	do {
		piece.name[0] = '\0';
		error = f->ops->list(f->context, find_piece, &piece);
		if (error == 0 && piece.name[0] != '\0')
			error = f->ops->unlink(f->context, piece.name);
	} while (error == 0 && piece.name[0] != '\0');
	return error == 0 ? 0 : ERR_IO;
}

void spool_forget(struct store *store, uint64_t id, store_done *done, void *owner)
{
	struct spool *spool = spool_of(store);
	struct done completion = done_plain(done, owner);
	struct spool_write *w = write_new(RECORD_FORGET, false, completion);

	if (w == NULL || spool_id_encode(&w->run, id) != 0) {
		write_refuse(spool, w, completion);
		return;
	}
	if (id == 0 && remove_pieces(&spool->files) != 0) {
		write_free(w);
		spool_answer(spool, completion, STORE_FAILED, STORE_REASON_IO);
		return;
	}
	write_submit(spool, w, id);
}
