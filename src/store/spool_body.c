/* Reading the body of a message from the log, frame by frame, each with its checksum. */
#include <errno.h>
#include <string.h>

#include "store/spool_internal.h"

/* The frame at the front of what is left of an extent. */
struct frame {
	uint64_t segment;
	uint64_t offset; /* of its header */
	uint32_t bytes;	 /* of the body in it */
	uint32_t skip;	 /* of them, before the wanted ones */
};

/* The frame in which body byte number `offset` lies; ERR_MISSING: behind the end. */
static int locate(const struct spool_entry *entry, uint64_t offset, struct frame *ret_frame)
{
	uint32_t i = 0;

	while (i < entry->extent_count && offset >= entry->extents[i].bytes)
		offset -= entry->extents[i++].bytes;
	if (i == entry->extent_count)
		return ERR_MISSING;
	const struct extent *e = &entry->extents[i];
	uint64_t number = offset / FRAME_MAX, rest = e->bytes - number * FRAME_MAX;
	*ret_frame = (struct frame){
	    .segment = e->segment,
	    .offset = e->offset + number * record_size(FRAME_MAX),
	    .bytes = rest < FRAME_MAX ? (uint32_t)rest : FRAME_MAX,
	    .skip = (uint32_t)(offset % FRAME_MAX),
	};
	return 0;
}

static int read_all(struct spool *spool, int file, char *to, size_t size, uint64_t offset)
{
	while (size > 0) {
		ssize_t got = spool->files.ops->pread(spool->files.context, file, to, size, offset);
		if (got < 0)
			return ERR_IO;
		if (got == 0)
			return ERR_CORRUPT; /* the segment is shorter than it was */
		to += got;
		offset += (uint64_t)got;
		size -= (size_t)got;
	}
	return 0;
}

/* Reads a frame's record to the end of spool->body's use so far, checks it, and moves its payload over the
 * header. */
static int read_frame(struct spool *spool, const struct frame *frame, size_t at)
{
	char *to = spool->body + at;
	size_t size = record_size(frame->bytes);
	struct record record;
	int file = segments_file(&spool->segments, frame->segment);

	if (file < 0)
		return file == -ENOENT ? ERR_CORRUPT : ERR_IO;
	int error = read_all(spool, file, to, size, frame->offset);
	if (error != 0)
		return error;
	if (record_read(slice_make(to, size), frame->segment, frame->offset, &record) != 1 ||
	    record.kind != RECORD_BODY || record.length != frame->bytes)
		return ERR_CORRUPT;
	memmove(to, record.payload.data + frame->skip, frame->bytes - frame->skip);
	return 0;
}

int spool_read_body(struct spool *spool, const struct spool_entry *entry, uint64_t offset, size_t max,
		    struct slice *ret_bytes)
{
	size_t size = 0;
	struct frame frame;

	while (size < max && locate(entry, offset + size, &frame) == 0) {
		int error = read_frame(spool, &frame, size);
		if (error != 0)
			return error;
		size += frame.bytes - frame.skip;
	}
	*ret_bytes = slice_make(spool->body, size < max ? size : max);
	return 0;
}
