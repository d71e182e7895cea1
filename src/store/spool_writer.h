/* The queue between the loop and the log, with the writer thread behind it or, without threads, nobody: then
 * the loop calls writer_step itself. What is queued while a group commit runs goes into the next one.
 */
#ifndef STORE_SPOOL_WRITER_H
#define STORE_SPOOL_WRITER_H

#include "store/spool_log.h"

struct spool_writer {
	struct spool_log log;
	pthread_mutex_t lock; /* of the lists and flags */
	pthread_cond_t asked, finished;
	pthread_t thread;
	bool threaded, stopping, busy;
	uint32_t batch_bytes; /* of one group commit, at most */
	struct list queue;    /* struct spool_write, in the order of their calls */
	struct list copies;   /* of compaction, likewise: see writer_queue_copy */
	struct list done;
	void (*wake)(void *owner);
	void *wake_owner;
};

/* log is initialised by the caller. ERR_MEMORY: no thread. */
nodiscard int writer_start(struct spool_writer *writer, bool threaded, void (*wake)(void *owner),
			   void *owner);
/* Finishes what is queued (or, with abandon, leaves it) and ends the thread. */
void writer_stop(struct spool_writer *writer, bool abandon);

void writer_queue(struct spool_writer *writer, struct spool_write *write);
/* One of compaction's: does not wait behind what is queued, but has up to half of each group commit for
 * itself, and all that others leave. In order among its like; not with others. */
void writer_queue_copy(struct spool_writer *writer, struct spool_write *write);
uint32_t
writer_step(struct spool_writer *writer); /* one group commit; how many writes: 0, nothing was queued */
/* Moves what is finished to the end of done, in order. wait: blocks until something is, or nothing is under
 * way. */
void writer_take_done(struct spool_writer *writer, struct list *done, bool wait);

#endif
