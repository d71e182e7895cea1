/* Start: the index gives the state up to its position, the log the rest.
 *
 * Records are read from the position on and applied by the same code that applies new ones. "Torn" means that
 * no valid record of a later group commit follows: nobody was told that it was done. A bad piece in the
 * middle is kept in a file, reported, and reading goes on at the next valid record.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "store/spool_internal.h"

enum {
	WINDOW_BYTES = 2 * (RECORD_PAYLOAD_MAX + 4096),
	DAMAGES_MAX = 1024, /* remembered for their report; more are counted */
};

struct damage {
	uint64_t segment;
	uint32_t from, to;
	uint64_t id; /* of a message that it concerns, 0: not known */
	struct position
	    batch; /* the group commit it belongs to; when a later one follows it was acknowledged */
};

struct recovery {
	struct spool *spool;
	char *message;
	uint64_t *segments;
	size_t segment_count, segment_capacity;
	int error;
	struct damage *damages;
	size_t damage_count;
	struct position last_batch;
	/* of the segment being read: */
	int file;
	uint64_t number;
	char *window;
	uint64_t window_at; /* offset in the file */
	size_t window_size;
};

/* --- what the index knows ------------------------------------------------------------------------ */

static int load_segments(struct spool *spool)
{
	struct index_cursor *cursor = index_cursor_new(spool->index, INDEX_SEGMENT);
	struct index_key first = {.size = 0};
	struct slice key, value;
	int found = cursor != NULL ? index_seek(cursor, &first, &key, &value) : ERR_MEMORY;

	for (; found == 1; found = index_next(cursor, &key, &value)) {
		struct wire_reader r = wire_reader(value);
		struct segment *s = segments_make(&spool->segments, index_u64_at(key, 0));
		if (s == NULL) {
			found = ERR_MEMORY;
			break;
		}
		s->live = wire_read_u64(&r);
		s->live_bytes = wire_read_u64(&r);
		s->bytes = wire_read_u64(&r);
		s->dirty = false;
	}
	index_cursor_free(cursor);
	return found;
}

static int load_domains(struct spool *spool)
{
	struct index_cursor *cursor = index_cursor_new(spool->index, INDEX_DOMAIN);
	struct index_key first = {.size = 0};
	struct slice key, value;
	int found = cursor != NULL ? index_seek(cursor, &first, &key, &value) : ERR_MEMORY;

	for (; found == 1; found = index_next(cursor, &key, &value)) {
		struct wire_reader r = wire_reader(value);
		uint32_t number = 0;
		for (size_t i = 0; i < key.size && i < sizeof(number); i++)
			number = number << 8 | (uint8_t)key.data[i];
		struct domain_counts *c = number != 0 ? counts_make(&spool->counts, number) : NULL;
		if (c == NULL) {
			found = ERR_MEMORY;
			break;
		}
		c->messages = wire_read_u64(&r);
		c->bytes = wire_read_u64(&r);
		c->recipients = wire_read_u64(&r);
		c->first_id = wire_read_u64(&r);
	}
	index_cursor_free(cursor);
	return found;
}

static int load_state(struct spool *spool)
{
	struct index_state state;
	int error = index_get_state(spool->index, &state);

	if (error == 0) {
		spool->applied = state.position;
		spool->last_id = state.last_id;
		spool->end_seq = state.end_seq;
		spool->totals = state.totals;
		spool->counts.all.messages = state.messages;
		spool->counts.all.bytes = state.bytes;
		spool->counts.all.recipients = state.totals.queued;
		spool->rebuilding = state.rebuilding;
		error = load_segments(spool);
	}
	return error == 0 ? load_domains(spool) : error;
}

/* --- what the folder holds ----------------------------------------------------------------------- */

static void note_file(void *owner, const char *name)
{
	struct recovery *r = owner;
	uint64_t number;

	if (r->error != 0 || !log_name_parse(name, &number))
		return;
	if (r->segment_count == r->segment_capacity) {
		size_t capacity = r->segment_capacity > 0 ? r->segment_capacity * 2 : 64;
		uint64_t *segments = realloc(r->segments, capacity * sizeof(*segments));
		if (segments == NULL) {
			r->error = ERR_MEMORY;
			return;
		}
		r->segments = segments;
		r->segment_capacity = capacity;
	}
	r->segments[r->segment_count++] = number;
}

static int ascending(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return left < right ? -1 : left > right;
}

static int list_segments(struct recovery *r)
{
	const struct file_system *f = &r->spool->files;

	if (f->ops->list(f->context, note_file, r) < 0)
		return ERR_IO;
	if (r->segment_count > 0)
		qsort(r->segments, r->segment_count, sizeof(*r->segments), ascending);
	return r->error;
}

/* Freed before the crash, but their names rose again; or made, and nothing in them was ever synced. */
static void remove_leftovers(struct recovery *r)
{
	const struct file_system *f = &r->spool->files;
	char name[FILE_NAME_SIZE];

	for (size_t i = 0; i < r->segment_count; i++) {
		const struct segment *s = segments_find(&r->spool->segments, r->segments[i]);
		if (s != NULL && !s->gone)
			continue;
		log_name(r->segments[i], name);
		(void)f->ops->unlink(f->context, name);
	}
}

/* --- damage -------------------------------------------------------------------------------------- */

static void note_damage(struct recovery *r, uint32_t from, uint32_t to, uint64_t id, struct position batch)
{
	if (r->damage_count < DAMAGES_MAX)
		r->damages[r->damage_count] =
		    (struct damage){.segment = r->number, .from = from, .to = to, .id = id, .batch = batch};
	r->damage_count++;
}

static bool damaged(const struct recovery *r, const struct extent *e)
{
	size_t known = r->damage_count < DAMAGES_MAX ? r->damage_count : DAMAGES_MAX;
	uint64_t end = e->offset + extent_log_bytes(e);

	for (size_t i = 0; i < known; i++) {
		const struct damage *d = &r->damages[i];
		if (d->id == 0 && d->segment == e->segment && d->from < end && e->offset < d->to)
			return true;
	}
	return false;
}

static bool before(struct position a, struct position b)
{
	return a.segment < b.segment || (a.segment == b.segment && a.offset < b.offset);
}

static void keep_piece(struct recovery *r, const struct damage *d)
{
	const struct file_system *f = &r->spool->files;
	char from[FILE_NAME_SIZE], to[FILE_NAME_SIZE];
	size_t size = d->to - d->from < WINDOW_BYTES ? d->to - d->from : WINDOW_BYTES;

	log_name(d->segment, from);
	(void)snprintf(to, sizeof(to), "aside-%016" PRIx64 "-%08" PRIx32, d->segment, d->from);
	int source = f->ops->open(f->context, from, FILE_READ);
	int target = source >= 0 ? f->ops->open(f->context, to, FILE_WRITE | FILE_CREATE) : -1;
	ssize_t got = target >= 0 ? f->ops->pread(f->context, source, r->window, size, d->from) : 0;
	struct iovec piece = {.iov_base = r->window, .iov_len = got > 0 ? (size_t)got : 0};
	if (got > 0 && file_write_all(f, target, &piece, 1, 0) == 0)
		(void)f->ops->fdatasync(f->context, target);
	if (target >= 0)
		f->ops->close(f->context, target);
	if (source >= 0)
		f->ops->close(f->context, source);
}

static void report_damages(struct recovery *r)
{
	size_t known = r->damage_count < DAMAGES_MAX ? r->damage_count : DAMAGES_MAX;

	for (size_t i = 0; i < known; i++) {
		const struct damage *d = &r->damages[i];
		struct position at = {.segment = d->segment, .offset = d->from};
		if (!before(d->batch, r->last_batch)) {
			spool_tell(
			    r->spool, SPOOL_EVENT_TORN, d->id, at,
			    "the last group commit before the crash is incomplete; nobody was told that it "
			    "was done");
			continue;
		}
		if (d->id == 0)
			keep_piece(r, d);
		r->spool->totals.set_aside++;
		spool_tell(r->spool, SPOOL_EVENT_ASIDE, d->id, at,
			   d->id != 0
			       ? "a stored message is damaged: it is set aside and will not be delivered"
			       : "a piece of the log is damaged: it is kept in a file aside-*");
	}
}

/* --- reading the log ----------------------------------------------------------------------------- */

/* Makes the window begin at this offset. */
static int fill(struct recovery *r, uint64_t offset)
{
	const struct file_system *f = &r->spool->files;
	size_t kept = 0;

	if (offset >= r->window_at && offset < r->window_at + r->window_size) {
		kept = r->window_size - (size_t)(offset - r->window_at);
		memmove(r->window, r->window + (offset - r->window_at), kept);
	}
	r->window_at = offset;
	r->window_size = kept;
	while (r->window_size < WINDOW_BYTES) {
		ssize_t got = f->ops->pread(f->context, r->file, r->window + r->window_size,
					    WINDOW_BYTES - r->window_size, offset + r->window_size);
		if (got < 0)
			return ERR_IO;
		if (got == 0)
			break;
		r->window_size += (size_t)got;
	}
	return 0;
}

static struct slice window_from(const struct recovery *r, uint64_t offset)
{
	return slice_from(slice_make(r->window, r->window_size), (size_t)(offset - r->window_at));
}

/* A whole record at the offset, in the window: as record_read; 0 at the end of the file. */
static int read_at(struct recovery *r, uint64_t offset, struct record *record)
{
	int result = record_read(window_from(r, offset), r->number, record);

	if (result != 0)
		return result;
	int error = fill(r, offset);
	return error != 0 ? error : record_read(window_from(r, offset), r->number, record);
}

/* The offset of the next valid record, or of the end of the file with *ret_found false. */
static int search(struct recovery *r, uint64_t from, uint64_t *ret_offset, bool *ret_found)
{
	for (;;) {
		int error = fill(r, from);
		if (error != 0)
			return error;
		struct slice bytes = slice_make(r->window, r->window_size);
		for (size_t at = 0; (at = record_search(bytes, at, r->number)) < bytes.size;
		     at += RECORD_ALIGN) {
			struct record record;
			int valid = read_at(r, from + at, &record);
			if (valid == 1 || valid == ERR_VERSION || valid == ERR_IO) {
				*ret_offset = from + at;
				*ret_found = true;
				return valid == ERR_IO ? ERR_IO : 0;
			}
			error = fill(r, from); /* read_at may have moved the window */
			if (error != 0)
				return error;
			bytes = slice_make(r->window, r->window_size);
		}
		if (r->window_size < WINDOW_BYTES) {
			*ret_offset = from + r->window_size;
			*ret_found = false;
			return 0;
		}
		from += (WINDOW_BYTES - RECORD_HEADER_BYTES) / RECORD_ALIGN * RECORD_ALIGN;
	}
}

/* A message is only whole with all its frames: an END may have reached the disk without them. */
static bool whole(struct recovery *r, const struct record *record, struct position at, uint64_t *ret_id)
{
	struct spool *spool = r->spool;
	struct spool_entry entry;

	if (record->kind != RECORD_END && record->kind != RECORD_MOVE)
		return true;
	arena_reset(&spool->arena);
	if (spool_entry_decode(record->payload, &spool->arena, &entry) != 0 ||
	    spool_entry_resolve(&entry, at.segment, at.offset) != 0)
		return true; /* applying it says what is wrong */
	*ret_id = entry.entry.id;
	for (uint32_t i = 0; i < entry.extent_count; i++)
		if (damaged(r, &entry.extents[i]))
			return false;
	return true;
}

/* A new segment says where the one before ended: what is missing there was durable. */
static void check_previous_end(struct recovery *r, const struct record *record)
{
	struct position end = r->spool->applied;
	uint64_t number = r->number;

	if (record->previous_end == 0 || end.segment + 1 != number || end.offset >= record->previous_end)
		return;
	r->number = end.segment;
	note_damage(r, end.offset, record->previous_end, 0, end);
	r->number = number;
}

static int apply(struct recovery *r, const struct record *record, uint32_t offset)
{
	struct spool *spool = r->spool;
	struct position at = {.segment = r->number, .offset = offset};
	struct position batch = {.segment = r->number, .offset = record->batch};
	uint32_t end = offset + (uint32_t)record_size(record->length);
	struct outcome outcome;
	uint64_t id = 0;
	int error = segments_extend(&spool->segments, r->number, end);

	if (error != 0)
		return error;
	check_previous_end(r, record);
	r->last_batch = batch;
	if (!whole(r, record, at, &id)) {
		note_damage(r, offset, end, id, batch);
	} else {
		error = spool_apply(spool, record->kind, record->payload, at, &outcome);
		if (error == ERR_CORRUPT) { /* whole, but without sense */
			note_damage(r, offset, end, 0, batch);
			error = 0;
		}
	}
	spool->applied = (struct position){.segment = r->number, .offset = end};
	spool->since_checkpoint += end - offset;
	return error;
}

/* A damaged piece belongs to the group commit of the record behind it, or, when that begins behind the
 * damage, to an earlier one, which was durable then. */
static int skip_damage(struct recovery *r, uint64_t *offset, bool *ret_found)
{
	struct position batch = r->last_batch;
	struct record record;
	uint64_t from = *offset;
	int error = search(r, from + RECORD_ALIGN, offset, ret_found);

	if (error != 0)
		return error;
	if (!*ret_found) { /* torn, or the unused rest of a recycled file */
		batch = (struct position){.segment = UINT64_MAX};
	} else if (read_at(r, *offset, &record) == 1 && record.batch <= from) {
		batch = (struct position){.segment = r->number, .offset = record.batch};
	} else if (batch.segment != r->number) {
		batch = (struct position){.segment = r->number, .offset = 0};
	}
	if (*ret_found)
		note_damage(r, (uint32_t)from, (uint32_t)*offset, 0, batch);
	return 0;
}

static int intermediate_checkpoint(struct recovery *r)
{
	struct spool *spool = r->spool;

	if (!spool_checkpoint_due(spool))
		return 0;
	index_read_end(spool->index);
	int error = spool_checkpoint_now(spool);
	int again = index_read_begin(spool->index);
	return error != 0 ? error : again;
}

static int read_segment(struct recovery *r, uint64_t offset)
{
	struct record record;
	bool found = true;
	int error = 0;

	r->window_size = 0;
	while (error == 0 && found) {
		int result = read_at(r, offset, &record);
		if (result == 1) {
			error = apply(r, &record, (uint32_t)offset);
			offset += record_size(record.length);
			if (error == 0)
				error = intermediate_checkpoint(r);
		} else if (result == 0 && window_from(r, offset).size == 0) {
			break;
		} else if (result == 0 || result == ERR_CORRUPT) {
			error = skip_damage(r, &offset, &found);
		} else {
			error = result;
		}
	}
	return error;
}

static int read_log(struct recovery *r)
{
	const struct file_system *f = &r->spool->files;
	struct position from = r->spool->applied;
	char name[FILE_NAME_SIZE];
	int error = 0;

	for (size_t i = 0; i < r->segment_count && error == 0; i++) {
		if (r->segments[i] < from.segment)
			continue;
		r->number = r->segments[i];
		log_name(r->number, name);
		r->file = f->ops->open(f->context, name, FILE_READ);
		if (r->file < 0)
			return ERR_IO;
		error = read_segment(r, r->number == from.segment ? from.offset : 0);
		f->ops->close(f->context, r->file);
	}
	return error;
}

/* What was read may be in memory only: written but not synced when the process died, or by a sync that
 * failed, after which the system takes its pages for clean. So the last group commit (all before it were
 * synced) is written again: then its sync is an honest one. */
static int settle_last_batch(struct recovery *r)
{
	const struct file_system *f = &r->spool->files;
	struct position from = r->last_batch, to = r->spool->applied;
	char name[FILE_NAME_SIZE];
	int error = 0;

	if (from.segment == 0)
		return 0;
	log_name(from.segment, name);
	int file = f->ops->open(f->context, name, FILE_WRITE);
	if (file < 0)
		return ERR_IO;
	while (error == 0 && from.offset < to.offset) {
		size_t size = to.offset - from.offset < WINDOW_BYTES ? to.offset - from.offset : WINDOW_BYTES;
		ssize_t got = f->ops->pread(f->context, file, r->window, size, from.offset);
		struct iovec piece = {.iov_base = r->window, .iov_len = got > 0 ? (size_t)got : 0};
		error = got > 0 ? file_write_all(f, file, &piece, 1, from.offset) : -EIO;
		from.offset += got > 0 ? (uint32_t)got : 0;
	}
	if (error == 0)
		error = f->ops->fdatasync(f->context, file);
	f->ops->close(f->context, file);
	if (error == 0)
		error = f->ops->sync_folder(f->context);
	return error == 0 ? 0 : ERR_IO;
}

/* --- all of it ----------------------------------------------------------------------------------- */

static void explain(struct recovery *r, int error)
{
	const char *what = "cannot be read; look at the disk";

	if (error == ERR_VERSION)
		what = "holds records of a newer version of restante; install that version again";
	else if (error == ERR_MEMORY)
		what = "cannot be recovered: out of memory";
	else if (error == ERR_LIMIT)
		what = "cannot be recovered: the disk is full; make room";
	(void)snprintf(r->message, SPOOL_MESSAGE_SIZE, "%s %s (segment %016" PRIx64 ")",
		       r->spool->config.path, what, r->number);
}

static uint64_t next_segment(const struct recovery *r)
{
	uint64_t next = r->spool->applied.segment > 0 ? r->spool->applied.segment : 1;

	if (r->segment_count > 0 && r->segments[r->segment_count - 1] >= next)
		next = r->segments[r->segment_count - 1] + 1;
	return next;
}

static int recover(struct recovery *r, uint64_t *ret_next_segment)
{
	struct spool *spool = r->spool;
	int error = list_segments(r);

	if (error == 0)
		error = load_state(spool);
	if (error == ERR_MISSING) { /* a new spool, or one that lost its index */
		spool->rebuilding = r->segment_count > 0;
		if (spool->rebuilding)
			spool_tell(spool, SPOOL_EVENT_REBUILT, 0, (struct position){.segment = 0},
				   "the index is lost: it is made again from the log");
		error = 0;
	}
	if (error != 0)
		return error;
	error = read_log(r);
	if (error == 0)
		error = settle_last_batch(r);
	if (error != 0)
		return error;
	report_damages(r);
	*ret_next_segment = next_segment(r);
	return 0;
}

/* The tail is not read twice: a checkpoint closes it, and the next record goes into a new segment. */
static int close_tail(struct spool *spool, uint64_t next_segment)
{
	if (spool->applied.segment == next_segment && spool->applied.offset == 0 &&
	    overlay_empty(spool->active) && !spool->rebuilding)
		return 0;
	spool->rebuilding = false;
	spool->recovering = false; /* from here on, what is dead may be freed */
	spool->applied = (struct position){.segment = next_segment, .offset = 0};
	return spool_checkpoint_now(spool);
}

int spool_recover(struct spool *spool, uint64_t *ret_next_segment, char ret_message[SPOOL_MESSAGE_SIZE])
{
	struct recovery r = {.spool = spool, .message = ret_message};

	spool->recovering = true;
	r.window = malloc(WINDOW_BYTES);
	r.damages = calloc(DAMAGES_MAX, sizeof(*r.damages));
	int error = r.window == NULL || r.damages == NULL ? ERR_MEMORY : index_read_begin(spool->index);
	if (error == 0) {
		error = recover(&r, ret_next_segment);
		index_read_end(spool->index);
	}
	if (error == 0)
		error = close_tail(spool, *ret_next_segment);
	if (error == 0)
		remove_leftovers(&r);
	spool->recovering = false;
	if (error != 0)
		explain(&r, error);
	free(r.window);
	free(r.damages);
	free(r.segments);
	return error;
}
