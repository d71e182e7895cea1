/* The embedded store: an append-only segment log for bodies and envelopes, and an LMDB index over it (doc:
 * the spool).
 *
 * The folder holds:
 *   VERSION            "restante spool 1"
 *   lock               flock of the process that uses it
 *   reserve            space that only ends, aborts, checkpoints and compaction may use, so that a full disk
 * still drains <16 hex digits>.log  segments of the log index/             LMDB: rebuilt from the log when it
 * is lost or unusable aside-*            damaged pieces of the log, kept for a look
 *
 * The log is the truth; the index is a synced digest of it up to a position, renewed by checkpoints. What
 * came after lies in memory (the overlay) and is read again from the log at the next start. Memory does not
 * grow with the number of held messages, only with that of domains and of what happened since the last
 * checkpoint.
 *
 * A read sees what has completed; on one message also what was asked for before. When fdatasync fails, the
 * operations of that group commit end with STORE_UNKNOWN and the store takes nothing any more (ERR_IO,
 * STORE_REASON_IO) until it is opened again; reads go on. An abort and a repeated commit of an UNKNOWN
 * message are still settled, by a record in a fresh segment, where the disk takes that much; else they stay
 * UNKNOWN.
 *
 * With threads: one writer (append, sync), one keeper (checkpoint, unlink) and two readers (bodies that are
 * not in the page cache). Without, poll does all the work itself and every call is deterministic: this is how
 * the simulation runs it.
 *
 * Known gaps: bodies are neither compressed nor encrypted.
 */
#ifndef STORE_SPOOL_H
#define STORE_SPOOL_H

#include "port/store.h"
#include "store/file_ops.h"

enum { SPOOL_MESSAGE_SIZE = 256, SPOOL_RECORD_KINDS = 11 };

enum spool_event {
	SPOOL_EVENT_ASIDE = 1, /* a message or a piece of the log is damaged and set aside */
	SPOOL_EVENT_TORN = 2,  /* at start: the last group commit before the crash is incomplete; nobody was
				  told it was done */
	SPOOL_EVENT_REBUILT =
	    3, /* the index was lost or unusable and is made again from the log; may bring back ended mail */
	SPOOL_EVENT_DEAD = 4, /* the disk failed: the store takes nothing any more */
	SPOOL_EVENT_FULL = 5, /* no space but the reserve */
};

struct spool_report {
	enum spool_event event;
	uint64_t id;	  /* of the message, 0: not known */
	uint64_t segment; /* where, 0: not in the log */
	uint32_t offset;
	const char *text; /* for people, lent */
};

struct spool_config {
	const char *path; /* of the folder; made when it is not there. With files: only for messages */
	struct file_system files; /* ops NULL: the real ones, on path */
	const char *index_path;	  /* NULL: <path>/index */
	bool index_unsynced;	  /* simulation only: the index is not synced, checkpointed() takes copies */
	bool threads;
	/* Tools on a stopped spool. read_only: nothing in the folder is changed, but the index when
	 * index_path is given; ERR_MISSING: not a spool, or its index is missing or unusable (ERR_CORRUPT):
	 * give index_path, then it is made there from the log. keep_files: no segment is given back.
	 * unlocked: the caller has it open already. */
	bool read_only, keep_files, unlocked;
	uint64_t seed; /* of hash tables; not to be known by strangers */

	/* Tells that poll has something to do. From any thread, also from inside calls. May be NULL. */
	void (*wake)(void *owner);
	void *wake_owner;
	/* After each commit of the index, on the thread that made it. May be NULL. */
	void (*checkpointed)(void *owner);
	void *checkpointed_owner;
	/* From open and poll. May be NULL. */
	void (*report)(void *owner, const struct spool_report *report);
	void *report_owner;

	/* 0 takes the default. */
	uint32_t segment_bytes;	   /* 64 MiB: a new segment after that many */
	uint32_t batch_bytes;	   /* 16 MiB: of one group commit, at most */
	uint32_t checkpoint_bytes; /* 16 MiB of log from one checkpoint to the next */
	uint64_t reserve_bytes;	   /* 64 MiB; also: with less space free than this, no new message. 1: none */
	uint64_t slack_bytes; /* 512 MiB: files may take twice what lives and this before compaction begins */
	/* 32 MiB: of changes in memory, then a checkpoint is due; no new message is begun while a failed one
	 * waits behind that much. At four times as much, end records are dropped (dropped_ends). */
	uint64_t overlay_bytes;
	uint64_t memory_bytes;	  /* 64 MiB: bodies on their way to the log, all messages together */
	uint64_t index_map_bytes; /* 256 GiB: largest size of the index; address space, not memory */
	uint32_t spares_max;	  /* 3: freed segments kept for reuse */
};

/* ERR_FOREIGN: not a spool and not empty; ERR_VERSION: of a newer version; ERR_BUSY: in use by another
 * process; ERR_IO; ERR_MEMORY. ret_message then says what is wrong and what to do. The store is freed by its
 * close. */
nodiscard int spool_open(const struct spool_config *config, struct store **ret_store,
			 char ret_message[SPOOL_MESSAGE_SIZE]);

/* Without threads: performs one group commit of what is queued, and the checkpoint that is due, without
 * completing anything: poll does that. Says whether there was something to do. poll calls it; tests may. */
bool spool_work(struct store *store);

/* What the spool takes and does, for status and tests. */
struct spool_state {
	uint64_t segments, file_bytes, live_bytes; /* of the log */
	uint64_t checkpoints, freed_segments, moved_messages, dropped_notes, dropped_ends;
	uint64_t free_bytes;		      /* of the file system, when last asked */
	uint64_t records[SPOOL_RECORD_KINDS]; /* read at the start, by kind (spool_record.h) */
	bool full, dead;
};
void spool_state(const struct store *store, struct spool_state *ret_state);

/* The messages that are set aside, in the order of their ids. ERR_MEMORY, ERR_IO. */
nodiscard int spool_asides(struct store *store, void (*each)(void *owner, const struct store_entry *entry),
			   void *owner);
/* Lets the bytes of a message go that is set aside; id 0: of all, and the files of damaged pieces. FAILED
 * with STORE_REASON_MISSING: it is not set aside; with STORE_REASON_IO: a file cannot be removed, and
 * nothing is given up. */
void spool_forget(struct store *store, uint64_t id, store_done *done, void *owner);

/* Ends it as a crash of the process would: nothing is written, completed or called any more, memory is freed.
 */
void spool_crash(struct store *store);

#endif
