#include "relay/ask.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "relay/outbound.h"

static struct relay *relay_of(const struct ask *ask)
{
	return ask->feed->relay;
}

/* It is its owner's again before he hears of it: he may free it. */
static void finish(struct ask *ask, bool answered)
{
	timer_clear(&relay_of(ask)->timers, &ask->timer);
	list_remove(&ask->in_feed);
	ask->feed = NULL;
	ask->out = NULL;
	ask->done(ask, answered);
}

/* A connection in the middle of a question is of no use to anybody. */
static void stop(struct ask *ask)
{
	struct outbound *out = ask->out;

	if (out == NULL)
		return;
	out->ask = NULL;
	ask->out = NULL;
	outbound_kill(out);
}

static void too_late(struct timer *timer)
{
	struct ask *ask = container_of(timer, struct ask, timer);

	stop(ask);
	finish(ask, false);
}

bool ask_start(struct ask *ask, struct feed *feed)
{
	check(ask->feed == NULL && ask->count > 0 && ask->count <= ASK_RECIPIENTS_MAX);
	if (feed == NULL || feed->lane.state != LANE_UP)
		return false;
	ask->feed = feed;
	ask->out = NULL;
	ask->timer.fire = too_late;
	timer_set(&feed->relay->timers, &ask->timer, feed->relay->now.now_us + CLOCK_MS(ask->timeout_ms));
	list_add_last(&feed->asks, &ask->in_feed);
	feed_wake(feed);
	return true;
}

void ask_cancel(struct ask *ask)
{
	if (ask->feed == NULL)
		return;
	stop(ask);
	timer_clear(&relay_of(ask)->timers, &ask->timer);
	list_remove(&ask->in_feed);
	ask->feed = NULL;
}

struct ask *ask_next(const struct feed *feed)
{
	struct list *node = list_first(&feed->asks);

	return node != NULL ? container_of(node, struct ask, in_feed) : NULL;
}

static bool prepare(struct outbound *out, const struct ask *ask)
{
	struct smtp_client_recipient *recipients = calloc(ask->count, sizeof(*recipients));

	if (recipients == NULL)
		return false;
	for (uint32_t i = 0; i < ask->count; i++)
		recipients[i].forward_path = ask->recipients[i];
	free(out->transaction.recipients);
	out->transaction = (struct smtp_client_transaction){
	    .reverse_path = ask->reverse_path,
	    .ask = true,
	    .recipient_count = ask->count,
	    .recipients = recipients,
	};
	return true;
}

void ask_send(struct outbound *out)
{
	struct ask *ask = ask_next(out->feed);

	check(out->item == NULL && ask != NULL);
	list_remove(&ask->in_feed);
	if (!feed_may_probe(ask->domain) || !prepare(out, ask)) {
		finish(ask, false);
		return;
	}
	ask->out = out;
	out->ask = ask;
	outbound_ask(out);
}

/* False: nobody said anything about this one. */
static bool take_answer(const struct outbound *out, uint32_t index, uint32_t accepted_before,
			struct ask_answer *ret_answer)
{
	const struct client_outcome *outcome = &out->transaction.recipients[index].outcome;
	struct verdict_event event = results_event(outcome, out, accepted_before);
	bool accepted = outcome->end == CLIENT_ACCEPTED;
	char words[REPLY_TEXT_MAX + 32];

	ret_answer->stage = event.stage;
	ret_answer->result = verdict_judge(&event);
	if (accepted)
		ret_answer->result =
		    (struct verdict_result){.verdict = VERDICT_OK, .reason = REASON_ACCEPTED};
	results_words(&outcome->reply, words, sizeof(words));
	(void)snprintf(ret_answer->words, sizeof(ret_answer->words), "%.*s",
		       (int)sizeof(ret_answer->words) - 1, words);
	return accepted || outcome->end == CLIENT_REPLIED;
}

void ask_over(struct outbound *out)
{
	struct ask *ask = out->ask;
	uint32_t accepted = 0;
	bool answered = false;

	for (uint32_t i = 0; i < ask->count; i++) {
		answered = take_answer(out, i, accepted, &ask->answers[i]) || answered;
		accepted += ask->answers[i].result.verdict == VERDICT_OK;
	}
	out->ask = NULL;
	finish(ask, answered);
}

void ask_lost(struct outbound *out)
{
	struct ask *ask = out->ask;

	out->ask = NULL;
	if (ask != NULL)
		finish(ask, false);
}

/* Who asks again at once is told that the lane is down; the loop ends. */
void ask_fail_all(struct feed *feed)
{
	struct ask *ask;

	while ((ask = ask_next(feed)) != NULL)
		finish(ask, false);
}
