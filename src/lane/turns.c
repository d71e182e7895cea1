#include "lane/turns.h"

#include "base/check.h"
#include "lane/tuning.h"

enum { BACKLOG = 0, FRESH = 1 };

/* The cost of a message: 1 for the dialogue, and its bytes. */
static double cost_of(uint64_t bytes)
{
	double cost = 1.0 + (double)bytes / TURNS_BYTES_PER_UNIT;

	return cost < TURNS_COST_MAX ? cost : TURNS_COST_MAX;
}

void turns_init(struct turns *turns)
{
	list_init(&turns->ring[BACKLOG]);
	list_init(&turns->ring[FRESH]);
	turns->fresh_credit = TURNS_CREDIT_MAX;
}

static void set_class(struct turns *turns, struct turn_queue *queue, int class, bool ready)
{
	if (ready && !list_linked(&queue->node[class])) {
		list_add_last(&turns->ring[class], &queue->node[class]);
	} else if (!ready) {
		list_remove(&queue->node[class]);
		queue->deficit[class] = 0; /* who has nothing to send saves nothing up */
	}
}

void turns_ready(struct turns *turns, struct turn_queue *queue, bool fresh, bool backlog)
{
	set_class(turns, queue, BACKLOG, backlog);
	set_class(turns, queue, FRESH, fresh);
	queue->fresh = fresh;
	queue->backlog = backlog;
}

void turns_leave(struct turns *turns, struct turn_queue *queue)
{
	turns_ready(turns, queue, false, false);
}

/* The first that may spend. Each one passed over gets its share of the next round, so the loop ends: a debt
 * is at most TURNS_COST_MAX. */
static struct turn_queue *first_in_turn(struct list *ring, int class)
{
	struct list *node;

	while ((node = list_first(ring)) != NULL) {
		struct turn_queue *queue = container_of(node - class, struct turn_queue, node);

		if (queue->deficit[class] > 0)
			return queue;
		queue->deficit[class] += TURNS_QUANTUM;
		if (node->next != ring && queue->deficit[class] <= 0) {
			list_remove(node);
			list_add_last(ring, node);
		}
	}
	return NULL;
}

struct turn turns_next(struct turns *turns)
{
	bool fresh = !list_empty(&turns->ring[FRESH]);

	if (fresh && !list_empty(&turns->ring[BACKLOG]))
		fresh = turns->fresh_credit > 0;
	return (struct turn){first_in_turn(&turns->ring[fresh], fresh), fresh};
}

static void charge_credit(struct turns *turns, bool fresh, double cost)
{
	double credit =
	    turns->fresh_credit + (fresh ? -cost * (1 - TURNS_FRESH_SHARE) : cost * TURNS_FRESH_SHARE);

	if (credit > TURNS_CREDIT_MAX)
		credit = TURNS_CREDIT_MAX;
	if (credit < -TURNS_CREDIT_MAX)
		credit = -TURNS_CREDIT_MAX;
	turns->fresh_credit = credit;
}

void turns_charge(struct turns *turns, struct turn turn, uint64_t bytes)
{
	double cost = cost_of(bytes);
	struct list *node;

	check(turn.queue != NULL);
	if (!list_empty(&turns->ring[!turn.fresh])) /* else nobody was kept waiting */
		charge_credit(turns, turn.fresh, cost);
	node = &turn.queue->node[turn.fresh];
	if (!list_linked(node))
		return;
	turn.queue->deficit[turn.fresh] -= cost;
	if (turn.queue->deficit[turn.fresh] <= 0) { /* its round is over */
		list_remove(node);
		list_add_last(&turns->ring[turn.fresh], node);
	}
}
