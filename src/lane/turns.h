/* Whose turn it is within a lane: fair between domains, fresh and backlog interleaved.
 *
 * Deficit round-robin (Shreedhar and Varghese 1995) over the lane's domain queues in cost units of one message plus its
 * size; within the lane fresh mail may take at most 70 % of the cost while backlog waits (RECOVERY §1.8), so the backlog
 * always moves, and backlog may take all when no fresh mail waits. Pure; owns nothing.
 */
#ifndef LANE_TURNS_H
#define LANE_TURNS_H

#include "base/list.h"
#include "base/slice.h"

struct turn_queue { /* a member of the relay's domain queue */
	struct list node;
	bool fresh, backlog; /* has something ready of that class; set with turns_ready */
	double deficit[2];   /* [0] backlog, [1] fresh */
};

struct turns {
	struct list ring;     /* of turn_queue with something ready, in turn */
	double fresh_credit;  /* what fresh may take before backlog must */
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
void turns_charge(struct turns *turns, struct turn turn, uint64_t bytes);

#endif
