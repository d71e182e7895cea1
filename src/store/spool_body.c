/* Which frames hold a piece of a body; reading them, at once or later. */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "store/spool_internal.h"

/* The frame in which body byte number `offset` lies; ERR_MISSING: behind the end. */
static int locate(const struct spool_entry *entry, uint64_t offset, struct body_piece *ret_piece)
{
	uint32_t i = 0;

	while (i < entry->extent_count && offset >= entry->extents[i].bytes)
		offset -= entry->extents[i++].bytes;
	if (i == entry->extent_count)
		return ERR_MISSING;
	const struct extent *e = &entry->extents[i];
	uint64_t number = offset / FRAME_MAX, rest = e->bytes - number * FRAME_MAX;
	*ret_piece = (struct body_piece){
	    .segment = e->segment,
	    .offset = e->offset + number * record_size(FRAME_MAX),
	    .bytes = rest < FRAME_MAX ? (uint32_t)rest : FRAME_MAX,
	    .skip = (uint32_t)(offset % FRAME_MAX),
	};
	return 0;
}

static int add_piece(struct spool *spool, struct body_job *job, struct body_piece piece)
{
	piece.file = segments_file(&spool->segments, piece.segment);
	if (piece.file < 0)
		return piece.file == -ENOENT ? ERR_CORRUPT : ERR_IO;
	if (segments_hold(&spool->segments, piece.segment) != 0)
		return ERR_CORRUPT;
	job->pieces[job->count++] = piece;
	job->size += piece.bytes - piece.skip;
	return 0;
}

static void let_go(struct spool *spool, const struct body_job *job)
{
	for (uint32_t i = 0; i < job->count; i++)
		segments_release(&spool->segments, job->pieces[i].segment);
}

static int plan(struct spool *spool, const struct spool_entry *entry, uint64_t offset, size_t max,
		struct body_job *job)
{
	struct body_piece piece;
	int error = 0;

	*job = (struct body_job){.count = 0};
	while (error == 0 && job->size < max && job->count < BODY_PIECES_MAX &&
	       locate(entry, offset + job->size, &piece) == 0)
		error = add_piece(spool, job, piece);
	if (error != 0)
		let_go(spool, job);
	if (job->size > max)
		job->size = max;
	return error;
}

/* cold: it is not in memory, so what follows will hardly be either. */
static void plan_ahead(struct spool *spool, struct body_job *job, bool cold)
{
	if (job->count == 0)
		return;
	const struct body_piece *last = &job->pieces[job->count - 1];
	struct segment *s = segments_find(&spool->segments, last->segment);
	uint64_t end = last->offset + record_size(last->bytes);

	if ((s->ahead == 0 && !cold) || end + AHEAD_BYTES / 2 < s->ahead || end >= s->bytes)
		return;
	job->ahead_file = last->file;
	job->ahead_from = s->ahead > end ? s->ahead : end;
	job->ahead_bytes = AHEAD_BYTES;
	s->ahead = job->ahead_from + AHEAD_BYTES;
}

/* Only the reading ahead of it. */
static void ask_ahead(struct spool *spool, const struct body_job *job)
{
	struct body_job *ahead = calloc(1, sizeof(*ahead));

	if (ahead == NULL)
		return;
	ahead->ahead_file = job->ahead_file;
	ahead->ahead_from = job->ahead_from;
	ahead->ahead_bytes = job->ahead_bytes;
	ahead->pieces[0].segment = job->pieces[job->count - 1].segment;
	if (segments_hold(&spool->segments, ahead->pieces[0].segment) != 0) {
		free(ahead);
		return;
	}
	reader_give(&spool->reader, ahead);
}

int spool_body_ask(struct spool *spool, const struct spool_entry *entry, uint64_t offset, size_t max,
		   void *owner, struct slice *ret_bytes)
{
	struct body_job job;
	int error = plan(spool, entry, offset, max, &job);

	check(body_room(&job) <= sizeof(spool->body) || error != 0);
	if (error != 0)
		return error;
	error = body_fill(&spool->files, &job, spool->body, true);
	plan_ahead(spool, &job, error == -EAGAIN);
	if (error == -EAGAIN) {
		struct body_job *later = malloc(sizeof(*later));
		if (later != NULL) {
			*later = job;
			later->owner = owner;
			reader_give(&spool->reader, later);
			return ERR_BUSY;
		}
		error = ERR_MEMORY;
	}
	if (error == 0 && job.ahead_bytes > 0)
		ask_ahead(spool, &job);
	let_go(spool, &job);
	*ret_bytes = slice_make(spool->body, job.size);
	return error;
}

struct body_job *spool_body_take(struct spool *spool, bool wait)
{
	struct body_job *job;

	while ((job = reader_take(&spool->reader, wait)) != NULL) {
		if (job->count > 0) {
			let_go(spool, job);
			return job;
		}
		segments_release(&spool->segments, job->pieces[0].segment);
		body_job_free(job);
	}
	return NULL;
}
