/* The table of the log's segments: what still lives in each, and their files for reading. Of the loop's
 * thread. */
#ifndef STORE_SPOOL_SEGMENT_H
#define STORE_SPOOL_SEGMENT_H

#include "store/file_ops.h"
#include "store/spool_codec.h"

struct segment {
	uint64_t number;
	uint64_t live;	     /* extents of live messages, and pairs, that lie in it */
	uint64_t live_bytes; /* of the log, that they take */
	uint64_t bytes;	     /* written */
	uint64_t pins;	     /* extents of messages that are being received */
	uint64_t readers;    /* body reads and snapshots under way: its file stays what it is */
	int file;	     /* for reading; -1: closed */
	uint64_t last_read;
	uint64_t ahead;	   /* read ahead up to this offset; 0: never, it was in memory */
	bool dirty;	   /* changed since the last checkpoint */
	uint64_t retry_at; /* number of checkpoints from which on compaction may take it */
	bool leaving;	   /* nothing lives in it: the checkpoint under way gives its file back */
	bool gone;	   /* its file is given back; the row goes with the next checkpoint */
};

struct segment_table {
	struct file_system files;
	struct segment *rows; /* ascending numbers */
	size_t count, capacity;
	size_t open_files;
	uint64_t reads;
};

void segments_init(struct segment_table *table, const struct file_system *files);
void segments_deinit(struct segment_table *table);

struct segment *segments_find(const struct segment_table *table, uint64_t number); /* NULL */
struct segment *segments_make(struct segment_table *table, uint64_t number);	   /* NULL: no memory */
/* The segment holds records up to this offset. ERR_MEMORY. */
nodiscard int segments_extend(struct segment_table *table, uint64_t number, uint32_t end);

/* The segments of extents are made before, so these cannot fail. */
void segments_live(struct segment_table *table, const struct extent *extents, uint32_t count);
void segments_dead(struct segment_table *table, const struct extent *extents, uint32_t count);
void segments_live_pair(struct segment_table *table, uint64_t number, struct slice key, struct slice value);
void segments_dead_pair(struct segment_table *table, uint64_t number, struct slice key, struct slice value);
void segments_pin(struct segment_table *table, const struct extent *extent, int by); /* +1, -1 */

/* Until segments_release the file is neither closed, unlinked nor used again. ERR_MISSING: there is no such
 * segment, or its file is given back or about to be. */
nodiscard int segments_hold(struct segment_table *table, uint64_t number);
void segments_release(struct segment_table *table, uint64_t number);

/* A file for reading, lent until the next call, or while the segment is held; -errno. */
int segments_file(struct segment_table *table, uint64_t number);
void segments_close_file(struct segment_table *table, struct segment *segment);
void segments_drop(struct segment_table *table, uint64_t number); /* the row */

void segments_sum(const struct segment_table *table, uint64_t *ret_bytes, uint64_t *ret_live_bytes);

#endif
