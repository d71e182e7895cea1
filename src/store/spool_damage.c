/* Damaged pieces of the log that were met at the start: noted, kept in files, reported. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "store/spool_recovery.h"

void recovery_note_damage(struct recovery *r, uint64_t segment, uint32_t from, uint32_t to, uint64_t id,
			  struct position batch)
{
	if (r->damage_count < DAMAGES_MAX)
		r->damages[r->damage_count] =
		    (struct damage){.segment = segment, .from = from, .to = to, .id = id, .batch = batch};
	r->damage_count++;
}

bool recovery_confirm(struct recovery *r, uint64_t segment, uint32_t from, uint32_t to, struct position batch)
{
	size_t known = r->damage_count < DAMAGES_MAX ? r->damage_count : DAMAGES_MAX;
	bool noted = false;

	for (size_t i = 0; i < known; i++) {
		struct damage *d = &r->damages[i];
		if (d->segment != segment || d->to <= from || d->from >= to)
			continue;
		if (d->batch.segment == UINT64_MAX)
			d->batch = batch;
		noted = true;
	}
	return noted;
}

void recovery_confirm_before(struct recovery *r, uint64_t segment)
{
	size_t known = r->damage_count < DAMAGES_MAX ? r->damage_count : DAMAGES_MAX;

	for (size_t i = 0; i < known; i++) {
		struct damage *d = &r->damages[i];
		if (d->batch.segment == UINT64_MAX && !d->torn && d->segment < segment)
			d->batch = (struct position){.segment = d->segment, .offset = 0};
	}
}

void recovery_confirm_torn(struct recovery *r, struct position batch)
{
	size_t known = r->damage_count < DAMAGES_MAX ? r->damage_count : DAMAGES_MAX;

	for (size_t i = 0; i < known; i++) {
		struct damage *d = &r->damages[i];
		if (d->batch.segment == UINT64_MAX ||
		    (d->batch.segment == batch.segment && d->batch.offset == batch.offset))
			d->torn = true;
	}
}

bool recovery_damaged(struct recovery *r, const struct extent *e)
{
	size_t known = r->damage_count < DAMAGES_MAX ? r->damage_count : DAMAGES_MAX;
	uint64_t end = e->offset + extent_log_bytes(e);

	for (size_t i = 0; i < known; i++) {
		struct damage *d = &r->damages[i];
		if (d->id != 0 || d->segment != e->segment || d->from >= end || e->offset >= d->to)
			continue;
		d->claimed = true;
		return true;
	}
	return false;
}

static bool before(struct position a, struct position b)
{
	return a.segment < b.segment || (a.segment == b.segment && a.offset < b.offset);
}

/* All of it: it may be a whole segment, which recovery removes when it finds nothing in it. */
static int copy_piece(struct recovery *r, int source, int target, const struct damage *d)
{
	const struct file_system *f = &r->spool->files;
	uint64_t at = d->from;
	int error = 0;

	while (error == 0 && at < d->to) {
		size_t size = d->to - at < WINDOW_BYTES ? (size_t)(d->to - at) : WINDOW_BYTES;
		ssize_t got = f->ops->pread(f->context, source, r->window, size, at);
		if (got <= 0)
			return got < 0 ? ERR_IO : 0; /* the segment ends here */
		struct iovec piece = {.iov_base = r->window, .iov_len = (size_t)got};
		error = file_write_all(f, target, &piece, 1, at - d->from);
		at += (uint64_t)got;
	}
	return error == 0 ? f->ops->fdatasync(f->context, target) : error;
}

static int write_piece(struct recovery *r, int source, const struct damage *d)
{
	const struct file_system *f = &r->spool->files;
	char to[FILE_NAME_SIZE];

	(void)snprintf(to, sizeof(to), "aside-%016" PRIx64 "-%08" PRIx32, d->segment, d->from);
	int target = f->ops->open(f->context, to, FILE_WRITE | FILE_CREATE);
	if (target < 0)
		return target;
	int error = copy_piece(r, source, target, d);
	f->ops->close(f->context, target);
	return error == 0 ? f->ops->sync_folder(f->context) : error;
}

/* Its segment may be given back afterwards, so without a copy there is no start. A segment without a file has
 * nothing to keep. */
static int keep_piece(struct recovery *r, const struct damage *d)
{
	const struct file_system *f = &r->spool->files;
	char from[FILE_NAME_SIZE];

	if (r->spool->config.read_only)
		return 0;
	log_name(d->segment, from);
	int source = f->ops->open(f->context, from, FILE_READ);
	if (source < 0)
		return source == -ENOENT ? 0 : ERR_IO;
	int error = write_piece(r, source, d);
	if (error == -ENOSPC && log_release_reserve(&r->spool->writer.log))
		error = write_piece(r, source, d);
	f->ops->close(f->context, source);
	if (error == -ENOSPC || error == -EDQUOT)
		return ERR_LIMIT;
	return error == 0 ? 0 : ERR_IO;
}

/* The record that a damage stands for, which is whole itself, into the window. */
static int read_again(struct recovery *r, const struct damage *d, struct record *record)
{
	const struct file_system *f = &r->spool->files;
	char name[FILE_NAME_SIZE];

	log_name(d->segment, name);
	int file = f->ops->open(f->context, name, FILE_READ);
	if (file < 0)
		return ERR_IO;
	ssize_t got = f->ops->pread(f->context, file, r->window, d->to - d->from, d->from);
	f->ops->close(f->context, file);
	return got > 0 ? record_read(slice_make(r->window, (size_t)got), d->segment, d->from, record)
		       : ERR_IO;
}

/* A message whose frames are damaged in part: what is left of it is kept, as of one that is found damaged
 * later. *ret_kept: it is counted as set aside. */
static int keep_message(struct recovery *r, const struct damage *d, bool *ret_kept)
{
	struct spool *spool = r->spool;
	struct position at = {.segment = d->segment, .offset = d->from};
	struct outcome outcome;
	struct record record;
	struct slice blob;

	*ret_kept = false;
	if (spool_blob(spool, d->id, &blob) == 0)
		return 0; /* a copy that compaction made: the message is where it was */
	if (read_again(r, d, &record) != 1)
		return 0;
	int error = spool_apply(spool, record.kind, record.payload, at, &outcome);
	if (error != 0 || spool_blob(spool, d->id, &blob) != 0)
		return error == ERR_CORRUPT ? 0 : error;
	buffer_reset(&spool->scratch);
	error = spool_id_encode(&spool->scratch, d->id);
	if (error == 0)
		error = spool_apply(spool, RECORD_ASIDE, buffer_slice(&spool->scratch), at, &outcome);
	*ret_kept = error == 0;
	return error;
}

static int report_one(struct recovery *r, const struct damage *d)
{
	struct position at = {.segment = d->segment, .offset = d->from};
	bool kept = false;
	int error = 0;

	if (d->torn || !before(d->batch, r->last_batch)) {
		spool_tell(r->spool, SPOOL_EVENT_TORN, d->id, at,
			   "the last group commit before the crash is incomplete; nobody was told that it "
			   "was done");
		return 0;
	}
	error = d->id == 0 ? keep_piece(r, d) : keep_message(r, d, &kept);
	if (d->claimed || error != 0)
		return error;
	r->spool->totals.set_aside += !kept;
	spool_tell(r->spool, SPOOL_EVENT_ASIDE, d->id, at,
		   d->id != 0 ? "a stored message is damaged: it is set aside and will not be delivered"
			      : "a piece of the log is damaged: it is kept in a file aside-*");
	return 0;
}

int recovery_report(struct recovery *r)
{
	size_t known = r->damage_count < DAMAGES_MAX ? r->damage_count : DAMAGES_MAX;
	int error = 0;

	r->spool->totals.set_aside += r->damage_count - known;
	for (size_t i = 0; i < known && error == 0; i++)
		error = report_one(r, &r->damages[i]);
	return error;
}
