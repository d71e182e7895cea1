#include "lane/verdict.h"

#include "base/check.h"
#include "lane/tuning.h"

struct steps { /* minutes; the last one goes on for ever */
	uint8_t count;
	uint8_t minutes[6];
};

/* RECOVERY: a mailbox that is full seldom empties soon, one that is throttled does. */
static const struct steps recipient_steps = {5, {5, 10, 20, 40, 60}};
/* The domain's mail system is unwell (4.3.*): it heals as a whole, so ask again soon. */
static const struct steps unwell_steps = {6, {1, 2, 4, 8, 16, 30}};
static const struct steps message_steps = {4, {5, 15, 30, 60}};
/* Parked: 2, 10 and 30 minutes, then hourly. */
static const struct steps refused_steps = {4, {2, 10, 30, 60}};
/* Somebody has to put us on a list; the domain's canary finds out sooner if it is everybody's mail. */
static const struct steps us_steps = {1, {15}};
/* Exactly 5 minutes: the usual delay of greylisting; earlier tries start it anew with some servers. */
static const struct steps greylist_steps = {1, {5}};
/* Not sooner than the RFC's patience for the dot, or one lost reply makes many duplicates. */
static const struct steps unknown_steps = {5, {10, 20, 40, 80, 120}};

static int64_t step_ms(const struct steps *steps, uint32_t attempts)
{
	uint32_t at = attempts == 0 ? 0 : attempts - 1;

	if (at >= steps->count)
		at = steps->count - 1u;
	return (int64_t)steps->minutes[at] * 60 * 1000;
}

static const struct steps *own_steps(const struct verdict_result *result)
{
	if (result->reason == REASON_GREYLISTED)
		return &greylist_steps;
	if (result->verdict == VERDICT_MESSAGE)
		return &message_steps;
	return result->kind == LANE_KIND_4XX ? &unwell_steps : &recipient_steps;
}

/* The server's own hint is better than our guess, but only the first time: who hints at the same five minutes
 * for a week means something else. */
static int64_t own_ms(const struct verdict_result *result, uint32_t attempts)
{
	int64_t hint_ms = (int64_t)result->delay_s * 1000 + BACKOFF_AFTER_HINT_MS;

	if (result->delay_s != 0 && (attempts <= BACKOFF_HINTS_HEEDED || result->reason == REASON_GREYLISTED))
		return hint_ms;
	return step_ms(own_steps(result), attempts);
}

/* Our own system refused (no sockets, no memory): without a pause this would spin. */
static int64_t local_ms(uint32_t attempts)
{
	int64_t wait_ms = BACKOFF_LOCAL_MS;

	for (uint32_t i = 1; i < attempts && wait_ms < BACKOFF_LOCAL_MAX_MS; i++)
		wait_ms *= 2;
	return wait_ms < BACKOFF_LOCAL_MAX_MS ? wait_ms : BACKOFF_LOCAL_MAX_MS;
}

int64_t verdict_backoff_ms(const struct verdict_result *result, uint32_t attempts)
{
	switch (result->verdict) {
	case VERDICT_RECIPIENT:
	case VERDICT_MESSAGE:
		return own_ms(result, attempts);
	case VERDICT_REFUSED:
	case VERDICT_DOMAIN:
		return step_ms(&refused_steps, attempts);
	case VERDICT_US:
		return step_ms(&us_steps, attempts);
	case VERDICT_UNKNOWN:
		return step_ms(&unknown_steps, attempts);
	case VERDICT_LATER:
		return result->reason == REASON_OWN_SYSTEM ? local_ms(attempts) : 0;
	case VERDICT_OK:
	case VERDICT_HOST:
	case VERDICT_CONN_LIMIT:
	case VERDICT_RATE:
	case VERDICT_PRESSURE:
	case VERDICT_BUSY:
		return 0; /* the lane decides when */
	}
	check_never();
}
