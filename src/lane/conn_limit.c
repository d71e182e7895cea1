#include "lane/ceilings.h"

#include <math.h>

#include "lane/tuning.h"

/* The longer it has been so, the rarer it is asked: each poll may cost a refused connection. Small limits are
 * worth more polls, since one connection more is a large part there. */
static int64_t poll_interval_us(const struct conn_limit *c)
{
	uint32_t most = c->limit <= CONN_LIMIT_SMALL ? CONN_LIMIT_STEPS_SMALL : CONN_LIMIT_STEPS;
	uint32_t steps = c->refusals < most ? c->refusals : most;
	double cap_s = c->competitor ? CONN_LIMIT_POLL_COMPETITOR_S : CONN_LIMIT_POLL_MAX_S;

	return (int64_t)(1e6 * fmin(cap_s, c->limit * pow(CONN_LIMIT_POLL_FACTOR, steps)));
}

void conn_limit_refused(struct conn_limit *c, uint32_t open, int64_t now_us)
{
	if (c->limit != 0 && open < c->limit) {
		c->competitor = true;
		c->refusals = 0;
	}
	c->limit = open;
	c->poll_us = now_us + poll_interval_us(c);
	c->refusals++;
}

void conn_limit_ready(struct conn_limit *c, uint32_t open, int64_t now_us)
{
	if (c->limit == 0 || open <= c->limit)
		return;
	c->limit = open;
	c->refusals = 0;
	c->poll_us = now_us + CONN_LIMIT_STEP_US;
}

uint32_t conn_limit_allows(const struct conn_limit *c, int64_t now_us)
{
	if (c->limit == 0)
		return UINT32_MAX;
	return now_us >= c->poll_us ? c->limit + 1 : c->limit;
}

int64_t conn_limit_deadline(const struct conn_limit *c, int64_t now_us)
{
	return c->limit == 0 || now_us >= c->poll_us ? INT64_MAX : c->poll_us;
}
