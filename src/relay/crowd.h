/* Crowds: the mailboxes and senders that have most of a domain's backlog, and would keep its other
 * recipients waiting. Part of queue.h.
 *
 * A crowd is one forward-path or one reverse-path. It is made when half of what is ready of the backlog is
 *its own. From then on its messages are read and given out by an end of their own, with a cursor of its own,
 *and the backlog's walk passes over them, so that each message belongs to exactly one of the two ends: crowd
 *the id is above `from`, and the sender, or all its recipients of this domain that wait, are it backlog  all
 *others Up to CROWDS_MAX crowds share the one end. What is in memory does not grow with what is held. Nothing
 *is written down: after a restart of the queue a crowd is found again within a window.
 *
 * Messages to one mailbox keep their order among those of one end; so all that a crowd has for it do.
 */
#ifndef RELAY_CROWD_H
#define RELAY_CROWD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct domain;
struct item;
struct queue_end;
struct store_envelope;

enum {
	CROWDS_MAX = 8,	      /* of a domain at a time; who comes later waits in the backlog like everybody */
	CROWD_READY_MIN = 32, /* messages ready, before one with half of them is a crowd */
	CROWD_TURN = 4,	      /* every fourth message of the backlog is a crowd's, while others wait */
};

struct crowds {
	uint32_t count;
	uint32_t others; /* messages of others since a crowd's last */
	struct crowd {
		uint64_t hash; /* of its path, and of what it is; seeded */
		uint64_t from; /* messages above this id are its own */
	} crowds[CROWDS_MAX];
};

/* Is this message a crowd's? */
bool crowds_own(const struct domain *domain, uint64_t id, const struct store_envelope *envelope);
/* Looks for a new crowd in the window of the backlog, and moves what is ready of it to the crowds' end. True:
 * there is one, and the crowds' end is to be read. */
bool crowds_find(struct domain *domain);
/* A new pass: none of them is kept that has nothing left. during_release: those that are kept are as they
 * were, so that each message is released once; else all their messages are their own. */
void crowds_pass(struct domain *domain, bool during_release);
/* Whose turn it is when both have something ready, and it is taken. */
bool crowds_turn(struct crowds *crowds);

#endif
