/* A short history of a spool, drawn from a seed, and what must be true of the spool after a crash anywhere in
 * it.
 *
 * The history asks for things in small groups, each waited for, and remembers what was asked and what was
 * answered. After the crash: what was answered OK is there, byte for byte; what was answered FAILED or
 * aborted is not; what was not answered (or UNKNOWN) may be or not, but never in part.
 */
#ifndef TEST_SPOOL_HISTORY_H
#define TEST_SPOOL_HISTORY_H

#include "contract_help.h"
#include "spool_world.h"

enum { HISTORY_MESSAGES = 200, HISTORY_RECIPIENTS = 3, HISTORY_PAIRS = 6, HISTORY_BODY_MAX = 300 * 1024 };

struct history_end {
	bool grace; /* asked for with the end: the message stays */ /* of one recipient */
	bool asked, done;
};

struct history_message {
	uint64_t id;
	uint32_t recipients;
	size_t body_bytes;
	bool asked, done, failed, gone; /* gone: FAILED or aborted */
	struct history_end ends[HISTORY_RECIPIENTS];
	struct answer answer;
	struct store_message *open; /* being received, then aborted */
};

struct history_pair {
	unsigned asked, done; /* the value is this number, 0: not there */
	struct answer answer;
};

struct history_amend {
	struct history_message *message;
	uint32_t recipient;
	bool ends;
	struct answer answer;
};

struct history {
	struct spool_world *world;
	struct store *store;
	uint64_t seed;
	unsigned groups;	/* how many are made */
	unsigned reopen_groups; /* it is closed and opened again after so many; 0: 12 */
	bool large;		/* bodies beyond what is buffered */
	struct history_message messages[HISTORY_MESSAGES];
	size_t message_count;
	struct history_pair pairs[HISTORY_PAIRS];
	unsigned answered, unanswered;
	bool stuck; /* an operation never completed */
	unsigned open_failures;
	uint64_t moved; /* messages, by compaction, but for what came after the last time it was opened */
};

/* Runs until the history is over or the disk has stopped (disk_stop_at). The store is left open, if it
 * opened. */
void history_run(struct history *h);
/* Checks the store, opened again. Fails the test. */
void history_check(struct history *h, struct store *store);
/* What was answered is readable now, in the same process (after a disk failure too). */
void history_check_readable(struct history *h);

#endif
