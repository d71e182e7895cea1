/* The spool from inside: what its parts share. All of it belongs to the loop's thread but for the writer's
 * and the keeper's own fields.
 *
 * A request becomes a run of records (spool_message.c, spool.c), which the writer makes durable
 * (spool_log.c); then the loop applies the last record to the state in memory (spool_apply.c) and calls the
 * owner. After a crash the same records are read from the log and applied by the same code (spool_recover.c).
 * Now and then the state is committed to the index (spool_checkpoint.c, spool_keeper.c), and what is dead is
 * given back or squeezed out (spool_compact.c).
 */
#ifndef STORE_SPOOL_INTERNAL_H
#define STORE_SPOOL_INTERNAL_H

#include "store/counts.h"
#include "store/spool.h"
#include "store/spool_keeper.h"
#include "store/spool_reader.h"

enum {
	ORDER_SLOTS = 1024,		     /* of the table that keeps operations on one message in order */
	MESSAGE_FLUSH_BYTES = 2 * FRAME_MAX, /* of a body that goes to the log before its end is known */
	MESSAGE_CREDIT_BYTES = 4 * FRAME_MAX,
	NOTES_MAX = 4096,  /* refusals at the door that wait to be written: more are dropped and counted */
	NOTES_BATCH = 256, /* so many are written without waiting for company */
	SPOOL_READ_MAX = BODY_BYTES_MAX,
	UNREADABLE_MAX = 256, /* entries of the index that are remembered as such */
	OVERLAY_ENDS = 4,     /* end records are dropped when the overlay takes so many times overlay_bytes */
};

struct spool;

enum message_phase {
	MESSAGE_OPEN = 0, /* body is being appended */
	MESSAGE_WAITING =
	    1, /* commit was asked for; frames are still on their way, their places are needed */
	MESSAGE_WRITING = 2, /* its END is on its way */
	MESSAGE_UNSURE = 3,  /* its END may be in the log: the disk failed */
	MESSAGE_ABORTED = 4, /* nobody's any more; waits for its frames */
	MESSAGE_UNDOING = 5, /* was unsure; its ABORT is on its way */
};

struct spool_message {
	struct list node; /* of spool->messages */
	struct list room_node;
	struct spool *spool;
	enum message_phase phase;
	struct buffer run; /* frames that have not been written */
	size_t frame_at;   /* where in run the open frame begins */
	bool frame_open;
	uint64_t run_body_bytes, body_bytes; /* of run; of all */
	struct extent *extents;		     /* of the frames that were written, each pinned */
	uint32_t extent_count, extent_capacity;
	uint32_t frames_in_flight;
	uint64_t in_flight_bytes; /* of run and of frames in flight: what counts against the memory */
	int error;		  /* of a frame; the message can only fail */
	enum store_reason reason;
	void (*room)(void *owner);
	void *room_owner;
	/* commit: */
	struct arena arena;
	uint64_t id;
	struct store_envelope envelope;
	struct slice prefix;
	struct done done;
	struct spool_write write;
	enum store_result undone; /* what its owner is told once the ABORT is durable */
	bool moves;		  /* compaction: a copy of the message with this id */
	uint64_t version;
};

enum read_kind { READ_DONE = 0, READ_WALK, READ_FIND, READ_BODY, READ_ENDS, READ_GET, READ_SCAN };

/* A request that changes nothing; or an answer that needs no writing (READ_DONE). */
struct spool_read {
	struct list node;
	enum read_kind kind;
	uint64_t barrier; /* of writes: waits until this one has completed */
	struct done done;
	enum store_result result; /* READ_DONE */
	enum store_reason reason;
	uint32_t domain;
	uint64_t id, offset, skip;
	size_t max;
	int64_t since_ms, before_ms;
	struct arena arena;
	struct slice first, second;
};

/* Operations on messages whose ids share a slot keep their order. */
struct order_slot {
	uint64_t last_write; /* asked for */
	uint32_t reads;	     /* finds and bodies asked for and not answered */
	uint32_t jobs;	     /* of them, those that the reader has */
	uint32_t held;	     /* writes that are done, whose owners are told after a read before them */
};

struct compaction {
	uint64_t victim;	    /* number of the segment, 0: none */
	struct spool_message *copy; /* under way */
	struct spool_entry entry;   /* of what is copied */
	struct arena arena;
	uint64_t offset;
	bool reading;	       /* the reader has a piece of it */
	struct body_job *job;  /* the piece */
	struct index_key next; /* place to go on from */
	double pressure;       /* 0..1: how far the files are above their budget, when last looked */
	uint64_t looked_at;    /* number of checkpoints then */
	uint64_t news;	       /* bytes of log since then */
	bool nothing;	       /* is worth it, as of then */
	uint64_t credit;       /* bytes that may be copied for those that others wrote */
	uint64_t turn_bytes;
	uint32_t in_flight; /* MOVEs */
	uint32_t writes;    /* frames and MOVEs that the writer has */
	uint64_t in_flight_bytes;
};

enum { SNAPSHOT_PATH_SIZE = 4096 + 16 };

enum snapshot_phase {
	SNAPSHOT_NONE = 0,
	SNAPSHOT_WANTED = 1,  /* a checkpoint is under way */
	SNAPSHOT_COPYING = 2, /* the keeper copies the index */
	SNAPSHOT_HELD = 3,
};

struct snapshot {
	enum snapshot_phase phase;
	struct done done;
	uint64_t *segments, *bytes; /* what is held */
	size_t count;
	unsigned tries; /* of a checkpoint that failed before */
	char path[SNAPSHOT_PATH_SIZE];
};

struct spool {
	struct store store;
	struct spool_config config;
	struct file_system files;
	bool own_files;
	int lock_file;
	struct spool_index *index;
	struct spool_writer writer;
	struct keeper keeper;
	struct spool_reader reader;
	bool running; /* writer and keeper are started */

	struct overlay *active, *frozen;
	struct checkpoint *checkpoint; /* that did not succeed, to be tried again */
	bool checkpoint_failed;	       /* the last one, for want of room or memory */
	uint64_t failed_free_bytes;    /* in the file system then */
	unsigned refused_begins;       /* since then */
	struct segment_table segments;
	struct counts counts;
	struct store_totals totals; /* but for queued */
	uint64_t last_id, end_seq;
	int64_t wall_ms;		     /* the latest heard of: there is no clock here */
	struct position applied;	     /* end of the last record applied */
	struct position checkpointed;	     /* position of the last checkpoint */
	uint64_t since_checkpoint;	     /* bytes of log */
	uint64_t dead_bytes;		     /* of bodies that ended since the last checkpoint */
	uint64_t unreadable[UNREADABLE_MAX]; /* ids of entries of the index that make no sense, told once */
	size_t unreadable_count;	     /* more than these are not remembered */
	enum store_reason broken_by;	     /* MEMORY or IO, when broken */
	bool checkpointing, rebuilding, recovering, broken, reported_dead, reported_full, closing;

	struct list reads, messages, rooms;
	struct list held;     /* writes: see struct order_slot */
	uint32_t bodies_read; /* that the reader has */
	struct list notes;
	size_t note_count;
	uint64_t asked_seq, done_seq;	      /* of writes */
	struct order_slot order[ORDER_SLOTS]; /* by hash of the message's id; pairs use slot 0 */
	struct refused refused;
	struct arena arena; /* of one completion */
	struct buffer scratch;
	uint64_t memory_used;
	struct compaction compaction;
	struct snapshot snapshot;
	struct spool_state state;

	struct store_entry entries[STORE_WALK_MAX];
	struct store_pair pairs[STORE_WALK_MAX];
	struct store_end ends[STORE_WALK_MAX];
	char body[SPOOL_READ_MAX + 3 * FRAME_MAX]; /* body_room: almost a frame too much, and a record */
};

struct spool *spool_of(const struct store *store);
void spool_tell(struct spool *spool, enum spool_event event, uint64_t id, struct position at,
		const char *text);
void spool_wake(struct spool *spool);
void spool_die(struct spool *spool, const char *why); /* takes nothing any more */
bool spool_dead(const struct spool *spool);

/* --- spool_request.c: asking --------------------------------------------------------------------- */
/* A write with its first record begun; NULL: no memory. The payload is appended to run, then submitted. */
struct spool_write *write_new(enum record_kind kind, bool grows, struct done done);
void write_free(struct spool_write *write); /* NULL: nothing */
/* Ends the last record and queues it. Without memory: frees it and lets the owner know. order_id: of the
 * message. */
void write_submit(struct spool *spool, struct spool_write *write, uint64_t order_id);
void write_refuse(struct spool *spool, struct spool_write *write, struct done done);
void spool_answer(struct spool *spool, struct done done, enum store_result result, enum store_reason reason);
struct order_slot *spool_order_slot(struct spool *spool, uint64_t id);
void spool_flush_notes(struct spool *spool);

void spool_walk(struct store *store, uint32_t domain, uint64_t after, size_t max, store_walk_done *done,
		void *owner);
void spool_find(struct store *store, uint64_t id, store_walk_done *done, void *owner);
void spool_read(struct store *store, uint64_t id, uint64_t offset, size_t max, store_read_done *done,
		void *owner);
void spool_amend(struct store *store, uint64_t id, uint64_t version, uint64_t fence,
		 const struct store_change *changes, size_t count, int64_t wall_ms, store_done *done,
		 void *owner);
void spool_note_end(struct store *store, const struct store_end *end);
void spool_ends(struct store *store, int64_t since_ms, int64_t before_ms, uint64_t skip, size_t max,
		store_ends_done *done, void *owner);
void spool_put(struct store *store, struct slice key, struct slice value, store_done *done, void *owner);
void spool_get(struct store *store, struct slice key, store_pairs_done *done, void *owner);
void spool_scan(struct store *store, struct slice prefix, struct slice after, size_t max,
		store_pairs_done *done, void *owner);
void spool_lease(struct store *store, struct slice lane, int64_t ttl_ms, uint64_t *ret_fence,
		 store_done *done, void *owner);

/* --- spool_message.c: receiving ------------------------------------------------------------------ */
int spool_begin(struct store *store, uint64_t size_hint_bytes, struct store_message **ret_message);
int spool_append(struct store_message *message, struct slice bytes);
size_t spool_credit(struct store_message *message, void (*room)(void *owner), void *owner);
void spool_commit(struct store_message *message, uint64_t id, const struct store_envelope *envelope,
		  struct slice prefix, store_done *done, void *owner);
void spool_abort(struct store_message *message, store_done *done, void *owner);
void message_frames_done(struct spool_message *message, const struct spool_write *write);
void message_end_done(struct spool_message *message, enum store_result result, enum store_reason reason);
void message_free(struct spool_message *message);
void spool_call_rooms(struct spool *spool);
struct spool_message *message_new(struct spool *spool); /* NULL: no memory */

/* --- spool_apply.c: what a durable record does to the state -------------------------------------- */
/* at: of the record. FAILED with its reason when it has no effect (a version that does not match); ret_error
 * when memory or the index fails or the record makes no sense: the state is then not what the log says. */
struct outcome {
	enum store_result result;
	enum store_reason reason;
};
nodiscard int spool_apply(struct spool *spool, enum record_kind kind, struct slice payload,
			  struct position at, struct outcome *ret_outcome);
/* The message as it is now; lent until the next write to the overlay or index_read_end. ERR_MISSING, ERR_IO.
 */
nodiscard int spool_blob(struct spool *spool, uint64_t id, struct slice *ret_blob);
/* The same, decoded into the arena. An entry that makes no sense is told, once, and counts as missing: it
 * stays in the index and in all counts until a rebuild finds it in the log. ERR_MISSING, ERR_IO, ERR_MEMORY.
 */
nodiscard int spool_entry_now(struct spool *spool, uint64_t id, struct arena *arena,
			      struct spool_entry *ret_entry);
int spool_apply_forget(struct spool *spool, struct slice payload,
		       struct outcome *outcome); /* spool_aside.c */
nodiscard int spool_pair_now(struct spool *spool, struct slice key, struct slice *ret_value,
			     uint64_t *ret_segment);

/* --- spool_reading.c: the order of answers, and bodies -------------------------------------------- */
void spool_read_queue(struct spool *spool, struct spool_read *read);
void spool_take_bodies(struct spool *spool, bool wait); /* that the reader has brought */
void spool_complete_reads(struct spool *spool);
/* True: a read of this message was asked for before and is not answered; the write's owner is told after it.
 */
bool spool_hold_write(struct spool *spool, struct spool_write *write);
bool spool_reads_wait(const struct spool *spool);
void spool_free_reads(struct spool *spool); /* without answers; the reader has stopped */

/* --- spool_lookup.c: answering ------------------------------------------------------------------- */
void spool_answer_read(struct spool *spool, struct spool_read *read);
void spool_answer_ends(struct spool *spool, const struct spool_read *read); /* spool_answer.c */
void spool_answer_get(struct spool *spool, const struct spool_read *read);
void spool_answer_scan(struct spool *spool, const struct spool_read *read);
/* The first entries of a domain behind an id, decoded into the arena. */
nodiscard int spool_collect(struct spool *spool, uint32_t domain, uint64_t after, struct arena *arena,
			    struct store_entry *entries, size_t max, size_t *ret_count, bool *ret_more);
void spool_count(const struct store *store, uint32_t domain, struct store_counts *ret_counts);

/* --- spool_body.c: reading bodies ---------------------------------------------------------------- */
/* Up to max bytes (<= SPOOL_READ_MAX) from offset, lent until the next call; ERR_BUSY: not in memory,
 * spool_body_take gives them to this owner later. ERR_CORRUPT, ERR_IO, ERR_MEMORY. */
nodiscard int spool_body_ask(struct spool *spool, const struct spool_entry *entry, uint64_t offset,
			     size_t max, void *owner, struct slice *ret_bytes);
struct body_job *spool_body_take(struct spool *spool, bool wait); /* NULL: none has come */

/* --- spool_checkpoint.c -------------------------------------------------------------------------- */
bool spool_checkpoint_due(const struct spool *spool);
/* The index cannot be written, and what waits for it takes as much memory as new mail may take. */
bool spool_checkpoint_holds_up(const struct spool *spool);
void spool_checkpoint_begin(struct spool *spool); /* gives the keeper a job; does nothing without memory */
void spool_checkpoint_finish(struct spool *spool, struct checkpoint *job);
nodiscard int spool_checkpoint_now(struct spool *spool); /* at start and end; waits */

/* For a snapshot: holds every segment that the index, as committed now, or the state in memory refers to.
 * Their files are neither unlinked nor used again until spool_let_go, however long that takes; new ones are
 * not held. ret_segments: their numbers, ascending, to be given back to spool_let_go. ERR_BUSY: a checkpoint
 * is under way, ask again after the next poll; ERR_MEMORY. */
nodiscard int spool_hold_all(struct spool *spool, uint64_t **ret_segments, size_t *ret_count);
void spool_let_go(struct spool *spool, uint64_t *segments, size_t count); /* frees segments */

/* --- spool_snapshot.c ---------------------------------------------------------------------------- */
void spool_snapshot(struct store *store, store_done *done, void *owner);
void spool_snapshot_parts(const struct store *store,
			  void (*part)(void *owner, uint64_t segment, uint64_t bytes), void *owner);
void spool_snapshot_release(struct store *store);
void spool_snapshot_step(
    struct spool *spool); /* begins what was asked for, when no checkpoint is under way */
void spool_snapshot_copied(struct spool *spool, struct checkpoint *job); /* the keeper's; frees it */
bool spool_snapshot_waits(const struct spool *spool);
void spool_snapshot_remove(struct spool *spool); /* the copy of the index, also one of an earlier life */
void spool_snapshot_free(struct spool *spool);

/* --- spool_recover.c, spool_folder.c ------------------------------------------------------------- */
nodiscard int spool_recover(struct spool *spool, uint64_t *ret_next_segment,
			    char ret_message[SPOOL_MESSAGE_SIZE]);
nodiscard int spool_folder_open(struct spool *spool, char ret_message[SPOOL_MESSAGE_SIZE]);
nodiscard int spool_index_open(struct spool *spool, char ret_message[SPOOL_MESSAGE_SIZE]);

/* False: it is only looked at, nothing can be committed to it. */
bool spool_index_writable(const struct spool *spool);

/* --- spool_compact.c ----------------------------------------------------------------------------- */
/* Copies what the budget allows now. */
void spool_compact(struct spool *spool);
/* To the writer, past the queue: nobody waits for a copy and nothing is ordered by it, so it has no number.
 */
void spool_compact_queue(struct spool *spool, struct spool_write *write);
/* A write takes effect. */
void spool_compact_wrote(struct spool *spool, const struct spool_write *write);
void spool_compact_read(struct spool *spool, struct body_job *job); /* what it asked for; frees it */

#endif
