#include "lane/verdict.h"

#include "base/check.h"
#include "lane/tuning.h"
#include "lane/words.h"

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

static const struct steps *recipient_backoff(const struct verdict_event *event)
{
	if (words_any(event->text,
		      "greylist*|graylist*|grey-list*|gray-list*|grey list*|gray list*|postgrey"))
		return &greylist_steps;
	if (event->class == 4 && event->subject == 2 && event->detail == 0)
		return &greylist_steps; /* 450 4.2.0, the status that greylisting uses */
	if (event->class == 4 && event->subject == 3)
		return &unwell_steps;
	return &recipient_steps;
}

static const struct steps *message_backoff(const struct verdict_event *event)
{
	return words_any(event->text, "greylist*|graylist*|grey-list*|gray-list*|try again later*")
		   ? &greylist_steps
		   : &message_steps;
}

/* Our own system refused (no sockets, no memory): without a pause this would spin. */
static int64_t local_ms(uint32_t attempts)
{
	int64_t wait_ms = BACKOFF_LOCAL_MS;

	for (uint32_t i = 1; i < attempts && wait_ms < BACKOFF_LOCAL_MAX_MS; i++)
		wait_ms *= 2;
	return wait_ms < BACKOFF_LOCAL_MAX_MS ? wait_ms : BACKOFF_LOCAL_MAX_MS;
}

int64_t verdict_backoff_ms(enum verdict verdict, const struct verdict_event *event, uint32_t attempts)
{
	switch (verdict) {
	case VERDICT_RECIPIENT:
		return step_ms(recipient_backoff(event), attempts);
	case VERDICT_MESSAGE:
		return step_ms(message_backoff(event), attempts);
	case VERDICT_REFUSED:
	case VERDICT_DOMAIN:
		return step_ms(&refused_steps, attempts);
	case VERDICT_US:
		return step_ms(&us_steps, attempts);
	case VERDICT_UNKNOWN:
		return step_ms(&unknown_steps, attempts);
	case VERDICT_LATER:
		return event->what == VERDICT_CONN_LOCAL ? local_ms(attempts) : 0;
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
