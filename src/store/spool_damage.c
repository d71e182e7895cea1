/* Damaged pieces of the log that were met at the start: noted, kept in files, reported. */
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

void recovery_report(struct recovery *r)
{
	size_t known = r->damage_count < DAMAGES_MAX ? r->damage_count : DAMAGES_MAX;

	r->spool->totals.set_aside += r->damage_count - known;
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
		if (d->claimed)
			continue;
		r->spool->totals.set_aside++;
		spool_tell(r->spool, SPOOL_EVENT_ASIDE, d->id, at,
			   d->id != 0
			       ? "a stored message is damaged: it is set aside and will not be delivered"
			       : "a piece of the log is damaged: it is kept in a file aside-*");
	}
}
