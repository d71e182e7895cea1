/* How often the relay as a whole does something, so that ten thousand lanes that want it together become a
 * steady stream: each asks, and waits for its turn in the order of asking. Nobody waits while fewer want it.
 *
 * Part of relay_private.h; a feed waits in at most one budget at a time.
 */
#ifndef RELAY_BUDGET_H
#define RELAY_BUDGET_H

#include "base/list.h"
#include "relay/timer.h"

struct feed;
struct relay;

enum {
	BUDGET_PROBES_PER_S = 500, /* canaries of lanes that are down (RECOVERY §1.2) */
	BUDGET_PROBES_BURST = 10,
	BUDGET_STARTS_PER_S = 1000, /* first connections of lanes that are up and have none */
	BUDGET_STARTS_BURST = 200,
};

struct budget {
	struct relay *relay;
	int64_t interval_us;
	int64_t burst_us; /* so much may be used in advance after a rest */
	int64_t next_us;  /* when the next turn comes, were there no burst */
	struct list waiting;
	struct timer timer;
};

void budget_init(struct budget *budget, struct relay *relay, int64_t per_s, int64_t burst);
/* May the feed do it now? Then that was its turn. Else it is woken when its turn has come, and asks again:
 * true then. */
bool budget_ask(struct budget *budget, struct feed *feed);
/* It does not want it any more. */
void budget_forget(struct feed *feed);

#endif
