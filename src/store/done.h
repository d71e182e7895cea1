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
 * before: more than lanes and sessions could ask for within one turn, and with half of them taken, twice as
 * many are made when there is memory for that. Who still finds no place asks in a loop: that ends the
 * process.
 */
enum { REFUSED_PLACES = 128 * 1024 }; /* 3 MiB of addresses; a page of them is memory once it was used */

struct refused {
	struct done *waiting; /* a ring of room places */
	size_t first, count, room;
};

nodiscard int refused_init(struct refused *refused);		    /* ERR_MEMORY */
void refused_deinit(struct refused *refused);			    /* without answers */
void refused_add(struct refused *refused, const struct done *done); /* DONE_NONE: nothing */
/* Completes those that were added before this call with STORE_FAILED, STORE_REASON_MEMORY. */
void refused_deliver(struct refused *refused);

#endif
