/* Reading the log again: record by record, over damage to the next valid one. */
#include <errno.h>
#include <string.h>

#include "store/spool_recovery.h"

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
	int result = record_read(window_from(r, offset), r->number, offset, record);

	if (result != 0)
		return result;
	int error = fill(r, offset);
	return error != 0 ? error : record_read(window_from(r, offset), r->number, offset, record);
}

/* The offset of the next valid record, or of the end of the file with *ret_found false. */
static int search(struct recovery *r, uint64_t from, uint64_t *ret_offset, bool *ret_found)
{
	for (;;) {
		int error = fill(r, from);
		if (error != 0)
			return error;
		struct slice bytes = slice_make(r->window, r->window_size);
		for (size_t at = 0; (at = record_search(bytes, at, r->number, from)) < bytes.size;
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
		if (recovery_damaged(r, &entry.extents[i]))
			return false;
	return true;
}

static bool has_file(const struct recovery *r, uint64_t number)
{
	for (size_t i = 0; i < r->segment_count; i++)
		if (r->segments[i] == number)
			return true;
	return false;
}

/* No record of this segment was found, although a later one was begun in the same life of the process. While
 * everything is read again, one without a file is one that was given back. */
static void note_missing_segment(struct recovery *r, uint64_t number, struct position from, uint32_t end)
{
	if (number < r->from.segment || from.offset >= end ||
	    recovery_confirm(r, number, from.offset, end, from) ||
	    (r->spool->rebuilding && !has_file(r, number)))
		return;
	recovery_note_damage(r, number, from.offset, end, 0, from);
}

static uint32_t file_end(struct recovery *r, uint64_t number)
{
	const struct file_system *f = &r->spool->files;
	char name[FILE_NAME_SIZE];
	uint64_t size = 0;

	log_name(number, name);
	int file = f->ops->open(f->context, name, FILE_READ);
	if (file >= 0) {
		(void)f->ops->size(f->context, file, &size);
		f->ops->close(f->context, file);
	}
	return size < RECORD_ALIGN ? RECORD_ALIGN : size < UINT32_MAX ? (uint32_t)size : UINT32_MAX;
}

/* A new segment says where the one before ended: what is missing there was durable. So is all of the segments
 * before that one. The first one of a life says nothing. */
static void check_previous_end(struct recovery *r, const struct record *record)
{
	struct position known = r->spool->applied;
	uint64_t previous = r->number - 1;

	if (known.segment == r->number)
		return;
	if (record->batch > 0) { /* the first group commit, which would tell, cannot be read: nothing is torn
				    that may be lost */
		recovery_confirm_before(r, r->number);
		return;
	}
	if (record->previous_end == 0) {
		recovery_confirm_torn(r, r->last_batch); /* another life: the one before ended there */
		return;
	}
	recovery_confirm_before(r, previous);
	for (uint64_t n = previous; n-- > known.segment + 1 && n >= r->from.segment && has_file(r, n);)
		note_missing_segment(r, n, (struct position){.segment = n}, file_end(r, n));
	if (known.segment != previous)
		known = (struct position){.segment = previous, .offset = 0};
	note_missing_segment(r, previous, known, record->previous_end);
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
	if ((unsigned)record->kind < (unsigned)SPOOL_RECORD_KINDS)
		spool->state.records[record->kind]++;
	if (!whole(r, record, at, &id)) {
		recovery_note_damage(r, r->number, offset, end, id, batch);
	} else {
		error = spool_apply(spool, record->kind, record->payload, at, &outcome);
		if (error == ERR_CORRUPT) { /* whole, but without sense */
			recovery_note_damage(r, r->number, offset, end, 0, batch);
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
	bool begins = record_resembles(window_from(r, from), r->number);
	int error = search(r, from + RECORD_ALIGN, offset, ret_found);

	if (error != 0)
		return error;
	if (*offset > r->limit)
		*offset = r->limit;
	if (!*ret_found) { /* torn, or damage before another segment, or the unused rest of a recycled file */
		batch = (struct position){.segment = UINT64_MAX};
		if (!begins)
			return 0;
	} else if (read_at(r, *offset, &record) == 1 && record.batch <= from) {
		batch = (struct position){.segment = r->number, .offset = record.batch};
	} else if (batch.segment != r->number) {
		batch = (struct position){.segment = r->number, .offset = 0};
	}
	recovery_note_damage(r, r->number, (uint32_t)from, (uint32_t)*offset, 0, batch);
	return 0;
}

/* A long log does not fit into memory. Only between group commits: that a later one is there says that those
 * before it were synced, while the last one has yet to be (recovery_settle). And not with damage that has yet
 * to be reported, but when everything is read again. */
static int intermediate_checkpoint(struct recovery *r, const struct record *next)
{
	struct spool *spool = r->spool;
	bool same_batch = r->last_batch.segment == r->number && r->last_batch.offset == next->batch;

	if (same_batch || !spool_index_writable(spool) || !spool_checkpoint_due(spool) ||
	    (r->damage_count > 0 && !spool->rebuilding))
		return 0;
	index_read_end(spool->index);
	int error = spool_checkpoint_now(spool);
	int again = index_read_begin(spool->index);
	return error != 0 && error != ERR_LIMIT ? error : again; /* no room: it is tried again later */
}

static int read_records(struct recovery *r, uint64_t offset)
{
	struct record record;
	bool found = true;
	int error = 0;

	r->window_size = 0;
	while (error == 0 && found && offset < r->limit) {
		int result = read_at(r, offset, &record);
		if (result == 1) {
			error = intermediate_checkpoint(r, &record);
			if (error == 0)
				error = apply(r, &record, (uint32_t)offset);
			offset += record_size(record.length);
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

/* What lies behind the end that the next segment tells was never acknowledged: the rest of a recycled file,
 * or a group commit whose write or sync failed. */
static uint64_t told_end(const struct recovery *r, uint64_t number)
{
	const struct file_system *f = &r->spool->files;
	char name[FILE_NAME_SIZE], header[RECORD_HEADER_BYTES];
	struct record record;

	log_name(number + 1, name);
	int file = f->ops->open(f->context, name, FILE_READ);
	if (file < 0)
		return UINT64_MAX;
	ssize_t got = f->ops->pread(f->context, file, header, sizeof(header), 0);
	f->ops->close(f->context, file);
	if (got != (ssize_t)sizeof(header) ||
	    record_header(slice_make(header, sizeof(header)), number + 1, 0, &record) != 1 ||
	    record.previous_end == 0)
		return UINT64_MAX;
	return record.previous_end;
}

/* And must never count, though the segment that tells it may be given back, and the index be lost after
 * that. */
static int cut_behind_end(struct recovery *r, const char *name)
{
	const struct file_system *f = &r->spool->files;
	uint64_t size = 0;

	if (r->limit == UINT64_MAX || r->spool->config.read_only)
		return 0;
	int file = f->ops->open(f->context, name, FILE_WRITE);
	if (file < 0)
		return ERR_IO;
	int error = f->ops->size(f->context, file, &size);
	if (error == 0 && size > r->limit)
		error = f->ops->truncate(f->context, file, r->limit);
	if (error == 0 && size > r->limit)
		error = f->ops->fdatasync(f->context, file);
	f->ops->close(f->context, file);
	return error == 0 ? 0 : ERR_IO;
}

int recovery_read_segment(struct recovery *r, uint64_t number, uint64_t offset)
{
	const struct file_system *f = &r->spool->files;
	char name[FILE_NAME_SIZE];

	r->number = number;
	r->limit = told_end(r, number);
	log_name(number, name);
	r->file = f->ops->open(f->context, name, FILE_READ);
	if (r->file < 0)
		return ERR_IO;
	int error = read_records(r, offset);
	f->ops->close(f->context, r->file);
	return error == 0 ? cut_behind_end(r, name) : error;
}

/* What was read may be in memory only: written but not synced when the process died, or by a sync that
 * failed, after which the system takes its pages for clean. So the last group commit (all before it were
 * synced) is written again: then its sync is an honest one. */
int recovery_settle(struct recovery *r)
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
