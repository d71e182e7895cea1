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
#include "store/spool_recovery.h"

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
	struct spool_log *log = &r->spool->writer.log;
	char name[FILE_NAME_SIZE];

	if (r->spool->config.keep_files)
		return;
	for (size_t i = 0; i < r->segment_count; i++) {
		const struct segment *s = segments_find(&r->spool->segments, r->segments[i]);
		if ((s != NULL && !s->gone) || log_is_spare(log, r->segments[i]) ||
		    log_give_spare(log, r->segments[i], r->spool->keeper.spares_max))
			continue;
		log_name(r->segments[i], name);
		(void)f->ops->unlink(f->context, name);
	}
}

/* The other way round: a row that outlived its file. With mail in it, its reading will tell. */
static void forget_lost_rows(struct recovery *r)
{
	struct segment_table *table = &r->spool->segments;

	for (size_t i = 0; i < table->count; i++) {
		struct segment *s = &table->rows[i];
		bool there = r->segment_count > 0 && bsearch(&s->number, r->segments, r->segment_count,
							     sizeof(*r->segments), ascending) != NULL;
		if (s->live == 0 && !there)
			s->gone = true;
	}
}

static int read_log(struct recovery *r)
{
	int error = 0;

	r->from = r->spool->applied;
	for (size_t i = 0; i < r->segment_count && error == 0; i++)
		if (r->segments[i] >= r->from.segment)
			error = recovery_read_segment(r, r->segments[i],
						      r->segments[i] == r->from.segment ? r->from.offset : 0);
	return error;
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
	if (error == 0 && !spool->config.read_only)
		error = recovery_settle(r);
	if (error == 0)
		error = recovery_report(r);
	if (error != 0)
		return error;
	forget_lost_rows(r);
	*ret_next_segment = next_segment(r);
	return 0;
}

/* What follows the last record may be the rest of a group commit that nobody was told of: it must not be
 * taken for a part of the next one. What is zero already is left alone: it may be a preallocated block. */
static int blank_rest(struct recovery *r, int file, uint64_t offset, uint64_t size)
{
	const struct file_system *f = &r->spool->files;
	int error = 0;

	while (error == 0 && offset < size) {
		size_t wanted = size - offset < WINDOW_BYTES ? (size_t)(size - offset) : WINDOW_BYTES;
		ssize_t got = f->ops->pread(f->context, file, r->window, wanted, offset);
		if (got <= 0)
			return got < 0 ? (int)got : -EIO;
		bool zero = r->window[0] == 0 && memcmp(r->window, r->window + 1, (size_t)got - 1) == 0;
		if (!zero) {
			memset(r->window, 0, (size_t)got);
			struct iovec piece = {.iov_base = r->window, .iov_len = (size_t)got};
			error = file_write_all(f, file, &piece, 1, offset);
		}
		offset += (uint64_t)got;
	}
	return error == 0 ? f->ops->fdatasync(f->context, file) : error;
}

/* A reserve that was used before the crash is the log's tail now, and most of its blocks are not written: on
 * a full disk there are no others. So the log goes on in it, and not in a new segment. */
static bool can_go_on(struct recovery *r)
{
	struct spool *spool = r->spool;
	const struct file_system *f = &spool->files;
	struct position tail = spool->applied;
	char name[FILE_NAME_SIZE];
	uint64_t size = 0;

	if (!log_lacks_reserve(&spool->writer.log) || r->segment_count == 0 ||
	    r->segments[r->segment_count - 1] != tail.segment || tail.offset == 0 ||
	    tail.offset >= spool->config.segment_bytes ||
	    segments_find(&spool->segments, tail.segment) == NULL)
		return false;
	log_name(tail.segment, name);
	int file = f->ops->open(f->context, name, FILE_WRITE);
	if (file < 0)
		return false;
	int error = f->ops->size(f->context, file, &size);
	if (error == 0 && size <= tail.offset)
		error = -ENOSPC;
	if (error == 0)
		error = blank_rest(r, file, tail.offset, size);
	f->ops->close(f->context, file);
	return error == 0;
}

/* The tail is not read twice: a checkpoint closes it, and the next record goes into a new segment. Where
 * there is no room for one, the checkpoint waits (the overlay has it all), and what can be done is done. */
static int close_tail(struct recovery *r, uint64_t next_segment)
{
	struct spool *spool = r->spool;

	if (spool->applied.segment == next_segment && spool->applied.offset == 0 &&
	    overlay_empty(spool->active) && !spool->rebuilding)
		return 0;
	bool made_again = spool->rebuilding;
	spool->rebuilding = false;
	spool->recovering = false; /* from here on, what is dead may be freed */
	if (made_again || !can_go_on(r))
		spool->applied = (struct position){.segment = next_segment, .offset = 0};
	int error = spool_checkpoint_now(spool);
	return error == ERR_LIMIT && !made_again ? 0 : error;
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
	if (error == 0 && spool_index_writable(spool))
		error = close_tail(&r, *ret_next_segment);
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
