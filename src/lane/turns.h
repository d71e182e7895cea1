/* Whose turn it is within a lane: fair between domains, fresh and backlog interleaved.
 *
 * Deficit round-robin (Shreedhar and Varghese 1995) over the lane's domain queues in cost units of one
 * message plus its size; within the lane fresh mail may take at most 70 % of the cost while backlog waits
 * (RECOVERY §1.8), so the backlog always moves, and each may take all when the other has nothing. The variant
 * that charges afterwards: a queue may overdraw by one message and waits until it has paid. Pure; owns
 * nothing. Choosing is O(1) amortised.
 */
#ifndef LANE_TURNS_H
#define LANE_TURNS_H

#include "base/list.h"
#include "base/slice.h"

struct turn_queue {	     /* a member of the relay's domain queue; zeroed at first */
	struct list node[2]; /* [0] backlog, [1] fresh: linked while something of that class is ready */
	bool fresh, backlog; /* has something ready of that class; set with turns_ready */
	double deficit[2];   /* what it may still spend in this round, in cost units */
};

struct turns {
	struct list ring[2]; /* of turn_queue.node with something ready, in turn */
	double fresh_credit; /* what fresh may take before backlog must */
};

void turns_init(struct turns *turns);
void turns_ready(struct turns *turns, struct turn_queue *queue, bool fresh, bool backlog);
void turns_leave(struct turns *turns, struct turn_queue *queue);

struct turn {
	struct turn_queue *queue; /* NULL: nothing is ready */
	bool fresh;
};
/* The same answer until turns_charge or turns_ready changes something. */
struct turn turns_next(struct turns *turns);
/* What turns_next gave has been taken. The queue may have left meanwhile. */
void turns_charge(struct turns *turns, struct turn turn, uint64_t bytes);

#endif
