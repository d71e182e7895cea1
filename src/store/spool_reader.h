/* Reading bodies: what is in the page cache is read by the loop itself, the rest by two threads, or, without
 * threads, by whoever calls reader_step.
 *
 * Read-ahead: when something had to come from the disk, what follows it in the segment is asked for as well,
 * and again while readers come near the end of that. Mail leaves in about the order in which it came, so this
 * serves the rest of a large body and the messages behind a small one.
 */
#ifndef STORE_SPOOL_READER_H
#define STORE_SPOOL_READER_H

#include <pthread.h>

#include "base/list.h"
#include "base/slice.h"
#include "store/file_ops.h"

enum {
	READER_THREADS = 2,
	READER_DONE_MAX = 16, /* results that wait for the loop; the threads pause beyond */
	BODY_PIECES_MAX = 16, /* frames of one read: a body in smaller pieces comes in more reads */
	BODY_BYTES_MAX = 256 * 1024,
	AHEAD_BYTES = 1024 * 1024,
};

/* A frame, or the wanted part of it. */
struct body_piece {
	uint64_t segment;
	uint64_t offset; /* of its record */
	uint32_t bytes;	 /* of the body in it */
	uint32_t skip;	 /* of them, before the wanted ones */
	int file;
};

/* Frames to be read, one behind the other. Its owner holds their segments until it is back. */
struct body_job {
	struct list node;
	void *owner;
	struct body_piece pieces[BODY_PIECES_MAX];
	uint32_t count;
	size_t size; /* bytes wanted: of all pieces together, but for what is beyond the asker's limit */
	/* Read ahead: 0 bytes: nothing. */
	int ahead_file;
	uint64_t ahead_from, ahead_bytes;
	/* Set by the reader: */
	int error; /* ERR_CORRUPT, ERR_IO, ERR_MEMORY */
	char *buffer;
	struct slice bytes; /* in the buffer */
};

/* Room that body_fill needs. */
size_t body_room(const struct body_job *job);
/* Reads the pieces, checks them and puts their bytes together. cached: only what is in memory already,
 * -EAGAIN when there is more to it. ERR_CORRUPT, ERR_IO. */
int body_fill(const struct file_system *files, const struct body_job *job, char *to, bool cached);
void body_job_free(struct body_job *job); /* NULL: nothing */

struct spool_reader {
	struct file_system files;
	void (*wake)(void *owner);
	void *wake_owner;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t asked, finished;
	pthread_t threads[READER_THREADS];
	uint32_t thread_count;
	bool threaded, stopping;
	uint32_t busy;
	struct list queue, done; /* struct body_job */
	uint32_t done_count;
};

nodiscard int reader_start(struct spool_reader *reader, const struct file_system *files, bool threaded,
			   void (*wake)(void *owner), void *wake_owner); /* ERR_MEMORY: no thread */
/* Ends the threads, after what each is doing. What was asked for is in done then, with or without a result.
 */
void reader_stop(struct spool_reader *reader);

void reader_give(struct spool_reader *reader, struct body_job *job);
bool reader_step(struct spool_reader *reader); /* one job; false: none was queued */
/* A job that is done; NULL: none. wait: blocks until one is, or nothing is under way. */
struct body_job *reader_take(struct spool_reader *reader, bool wait);

#endif
