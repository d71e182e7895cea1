/* A store in memory, for tests and simulation. It keeps the whole contract of port/store.h but durability,
 * and can be told to behave badly within that contract: late, unknown, failed, fenced and full results.
 *
 * Completions are delivered by poll, at the earliest the one after the call. A message whose commit ended
 * UNKNOWN but happened is seen by walk, find and count only after a commit with the same id was answered OK,
 * or after a crash.
 */
#ifndef STORE_RAM_H
#define STORE_RAM_H

#include "port/store.h"

/* Each is a probability from 0 to 1, taken per operation. */
struct ram_faults {
	double late; /* completes up to late_polls_max polls later; order per message is kept */
	uint32_t late_polls_max;
	double unknown_happened;     /* commit, abort, amend, put: done, but the answer is UNKNOWN */
	double unknown_not_happened; /* the same, and it was not done */
	double failed;		     /* any of these and walk, find, read, get, scan, ends: FAILED */
	double fenced;		     /* amend with a fence, lease: FENCED, nothing happened */
	double full;		     /* begin: ERR_LIMIT; commit: FAILED, STORE_REASON_FULL */
};

struct ram_store_config {
	uint64_t seed;
	struct ram_faults faults;
	uint64_t limit_bytes; /* of bodies; begin says ERR_LIMIT beyond. 0: none */
	void (*wake)(
	    void *wake_owner); /* poll has something to do; called from inside operations. May be NULL */
	void *wake_owner;
};

/* NULL: no memory. The store is freed by its close. */
struct store *ram_store_new(const struct ram_store_config *config);

/* From now on these faults; NULL: none. What was asked for before meets the new ones, but keeps its lateness.
 */
void ram_store_inject(struct store *store, const struct ram_faults *faults);

/* From now on there is room for so many bytes; 0: no limit. */
void ram_store_limit(struct store *store, uint64_t limit_bytes);

/* With hold, poll delivers nothing until ram_store_release; release lets the first count operations pass
 * (all: SIZE_MAX) at the next poll. */
void ram_store_hold(struct store *store, bool hold);
void ram_store_release(struct store *store, size_t count);
size_t ram_store_pending(const struct store *store); /* operations that have not completed */

/* The process dies and is started again: open messages, pending completions and their owners are forgotten
 * without a call; of the operations that were pending, the first few (a number drawn from the seed) have
 * happened. Committed state stays, and the store is used on. */
void ram_store_crash(struct store *store);

#endif
