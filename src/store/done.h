/* Completions of store operations: one value for the five kinds, and the failures that even memory shortage
 * lets through.
 *
 * Shared by the implementations of port/store.h. Nothing here is called from inside an operation's call: the
 * implementations keep these values and run them in poll.
 */
#ifndef STORE_DONE_H
#define STORE_DONE_H

#include "port/store.h"

enum done_kind {
	DONE_NONE = 0, /* nobody wants to know */
	DONE_PLAIN = 1,
	DONE_WALK = 2,
	DONE_READ = 3,
	DONE_PAIRS = 4,
	DONE_ENDS = 5,
};

struct done {
	enum done_kind kind;
	union {
		store_done *plain;
		store_walk_done *walk;
		store_read_done *read;
		store_pairs_done *pairs;
		store_ends_done *ends;
	} call;
	void *owner;
};

struct done done_plain(store_done *call, void *owner); /* call may be NULL */
struct done done_walk(store_walk_done *call, void *owner);
struct done done_read(store_read_done *call, void *owner);
struct done done_pairs(store_pairs_done *call, void *owner);
struct done done_ends(store_ends_done *call, void *owner);

/* Calls it with this result and nothing else in it. */
void done_result(const struct done *done, enum store_result result, enum store_reason reason);

/* Operations for which there was no memory. They still have to complete, later; so the places are there
 * before. */
enum {
	REFUSED_MAX = 256
}; /* an owner that asks for more than this within one turn without memory is in a loop */

struct refused {
	struct done waiting[REFUSED_MAX];
	size_t count;
};

void refused_add(struct refused *refused, const struct done *done);
/* Completes those that were added before this call with STORE_FAILED, STORE_REASON_MEMORY. */
void refused_deliver(struct refused *refused);

#endif
