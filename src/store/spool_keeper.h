/* The keeper: commits checkpoints to the index, then gives the files of dead segments back. One job at a
 * time. */
#ifndef STORE_SPOOL_KEEPER_H
#define STORE_SPOOL_KEEPER_H

#include "store/spool_index.h"
#include "store/spool_overlay.h"
#include "store/spool_segment.h"
#include "store/spool_writer.h"

struct checkpoint_domain {
	uint32_t domain;
	uint64_t messages, bytes, recipients, first_id;
};

/* All that one commit of the index needs; nothing in it changes while the keeper has it. */
struct checkpoint {
	struct overlay *overlay;
	struct index_state state;
	int64_t prune_before_ms;  /* end records that ended before go */
	struct segment *segments; /* rows that changed */
	size_t segment_count;
	uint64_t *dropped; /* rows to delete */
	size_t dropped_count;
	uint64_t *freed; /* fully before the position, with nothing that lives or is being received */
	size_t freed_count;
	struct checkpoint_domain *domains;
	size_t domain_count;
	const char *copy_to; /* a folder for a copy of the index, instead of all the above; NULL: none */
	/* Set by the keeper: */
	bool begun, done;
	int error;
};

void checkpoint_free(struct checkpoint *checkpoint); /* NULL: nothing; not the overlay */

struct keeper {
	struct spool_index *index;
	struct file_system files;
	struct spool_log *log; /* for spares and the reserve */
	uint32_t spares_max;
	void (*wake)(void *owner);
	void *wake_owner;
	void (*checkpointed)(void *owner);
	void *checkpointed_owner;

	pthread_mutex_t lock;
	pthread_cond_t asked, finished;
	pthread_t thread;
	bool threaded, stopping;
	struct checkpoint *job;
};

nodiscard int keeper_start(struct keeper *keeper, bool threaded); /* the fields above are set by the caller */
void keeper_stop(struct keeper *keeper);			  /* after what it is doing */
void keeper_give(struct keeper *keeper, struct checkpoint *job);  /* none is under way */
bool keeper_step(struct keeper *keeper);			  /* without a thread; false: no job */
/* The job when it is done; NULL: none, or not yet. wait: blocks for it. */
struct checkpoint *keeper_take(struct keeper *keeper, bool wait);

/* The work itself. */
void keeper_run(struct keeper *keeper, struct checkpoint *job);

#endif
