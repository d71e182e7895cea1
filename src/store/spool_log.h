/* The tail of the spool's log: places, seals, writes and syncs group commits. Used by one thread at a time,
 * the writer.
 */
#ifndef STORE_SPOOL_LOG_H
#define STORE_SPOOL_LOG_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "store/done.h"
#include "store/file_ops.h"
#include "store/spool_record.h"

enum {
	LOG_BATCH_OPS = 1024, /* of one group commit: IOV_MAX */
	LOG_SPARES_MAX = 16,
};

struct position {
	uint64_t segment;
	uint32_t offset;
};

/* One request to write: a run of records that stay together. */
struct spool_write {
	struct list node;
	struct buffer run;
	enum record_kind kind; /* of the last record, which carries the meaning */
	uint32_t last_at;      /* where in run it begins */
	bool grows;	       /* new mail: may not use the reserve */
	uint64_t seq;
	uint64_t id; /* of the message, for the order of operations; 0: none */
	/* Set by the log: */
	enum store_result result;
	enum store_reason reason;
	struct position at; /* of the run */
	/* For the completion: */
	struct done done;
	struct spool_message *message;
	bool embedded; /* part of the message, not to be freed by itself */
};

struct spool_log {
	struct file_system files;
	uint32_t segment_bytes;
	uint64_t reserve_bytes;
	int file;	  /* of the segment, -1: none */
	bool file_failed; /* a sync or a write of it failed: it is never written again */
	struct position tail;
	uint32_t
	    previous_end; /* of the segment before, while the first group commit of this one is written */
	uint64_t since_space_check; /* bytes */
	atomic_bool dead, full;
	_Atomic(const char *) died_of; /* in words, the first reason; NULL while it lives */
	atomic_uint_least64_t free_bytes;
	pthread_mutex_t lock; /* of spares and reserve, which the keeper uses too */
	uint64_t spares[LOG_SPARES_MAX];
	uint32_t spare_count;
	bool moving_on; /* to a segment whose blocks are there: a spare, or the reserve */
	bool reserved;
	struct iovec pieces[LOG_BATCH_OPS];
};

nodiscard int log_init(struct spool_log *log, const struct file_system *files, uint32_t segment_bytes,
		       uint64_t reserve_bytes);
/* Before the first commit: the next segment gets this number. */
void log_set_next(struct spool_log *log, uint64_t next_segment);
/* Instead: the log goes on in a segment of an earlier life, behind its last record. -errno. */
nodiscard int log_go_on(struct spool_log *log, struct position tail);
bool log_lacks_reserve(struct spool_log *log); /* it is to have one, and has none */
void log_deinit(struct spool_log *log);

/* One group commit: sets result, reason and place of each write. At most LOG_BATCH_OPS of them. */
void log_commit(struct spool_log *log, struct list *writes);

void log_name(uint64_t segment, char ret_name[FILE_NAME_SIZE]);
bool log_name_parse(const char *name, uint64_t *ret_segment);

/* From the keeper: takes the file of a freed segment for reuse; false: enough of them. */
bool log_give_spare(struct spool_log *log, uint64_t segment, uint32_t spares_max);
bool log_is_spare(struct spool_log *log, uint64_t segment);
uint32_t log_spares(struct spool_log *log);
/* Gives the reserve back to the file system, the last resort of the index; false: there is none left. */
bool log_release_reserve(struct spool_log *log);
/* From any thread: nothing is taken any more. why: a constant. */
void log_die(struct spool_log *log, const char *why);
/* Asks for the free space and decides whether the store is full. */
void log_check_space(struct spool_log *log);
struct log_space {
	uint64_t free_bytes;  /* beyond the reserve */
	uint64_t spare_bytes; /* of files kept for reuse */
	bool full, reserve_gone;
};
/* Asks for the free space and decides nothing. From any thread. */
void log_look_at_space(struct spool_log *log, struct log_space *ret_space);

#endif
