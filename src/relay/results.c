/* What a transaction's outcomes mean: verdicts, news for lane and domain, the record in the store, the log.
 */
#include "relay/outbound.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "relay/ending.h"
#include "relay/in_session.h"
#include "relay/trust.h"

enum {
	RECORD_RETRY_MS =
	    1000, /* a record that the store could not write is tried again: the result must not be lost */
	RETURNS_MAX = 3, /* so often a message goes back without a verdict, then it gets a back-off */
	RETURN_BACKOFF_MS = 60 * 1000,
	END_PARK_MS = 3600 * 1000, /* what is to end and does not is tried again after so long */
};

static enum verdict_stage stage_of(enum client_stage stage)
{
	static const enum verdict_stage table[] = {
	    [CLIENT_STAGE_CONNECT] = VERDICT_AT_CONNECT, [CLIENT_STAGE_BANNER] = VERDICT_AT_BANNER,
	    [CLIENT_STAGE_EHLO] = VERDICT_AT_EHLO,	 [CLIENT_STAGE_TLS] = VERDICT_AT_TLS,
	    [CLIENT_STAGE_MAIL] = VERDICT_AT_MAIL,	 [CLIENT_STAGE_RCPT] = VERDICT_AT_RCPT,
	    [CLIENT_STAGE_DATA] = VERDICT_AT_DATA,	 [CLIENT_STAGE_BODY] = VERDICT_AT_BODY,
	    [CLIENT_STAGE_DOT] = VERDICT_AT_DOT,	 [CLIENT_STAGE_FEATURE] = VERDICT_AT_FEATURE,
	};
	return table[stage];
}

static enum verdict_what what_of(enum client_end end)
{
	switch (end) {
	case CLIENT_TIMEOUT:
		return VERDICT_CONN_TIMEOUT;
	case CLIENT_LOST:
		return VERDICT_CONN_RESET;
	case CLIENT_GARBAGE:
		return VERDICT_CONN_GARBAGE;
	case CLIENT_PENDING:
	case CLIENT_ACCEPTED:
	case CLIENT_REPLIED:
	case CLIENT_NOT_TRIED:
		break;
	}
	return VERDICT_REPLY;
}

struct verdict_event results_event(const struct client_outcome *outcome, const struct outbound *out,
				   uint32_t accepted_before)
{
	const struct reply *reply = &outcome->reply;

	return (struct verdict_event){
	    .stage = stage_of(outcome->stage),
	    .what = what_of(outcome->end),
	    .code = reply->code,
	    .class = reply->class,
	    .subject = reply->subject,
	    .detail = reply->detail,
	    .text = slice_of(reply->text),
	    .recipients = out->transaction.recipient_count,
	    .accepted_before = accepted_before,
	    .others_open = outbound_others_open(out),
	};
}

/* Does this verdict belong to the recipient or message, so that it is written down there? The others concern
 * the lane, or say nothing; the message simply waits. */
static bool is_own(enum verdict verdict)
{
	switch (verdict) {
	case VERDICT_OK:
	case VERDICT_DOMAIN:
	case VERDICT_REFUSED:
	case VERDICT_RECIPIENT:
	case VERDICT_MESSAGE:
	case VERDICT_US:
	case VERDICT_UNKNOWN:
		return true;
	case VERDICT_HOST:
	case VERDICT_CONN_LIMIT:
	case VERDICT_RATE:
	case VERDICT_PRESSURE:
	case VERDICT_BUSY:
	case VERDICT_LATER:
		break;
	}
	return false;
}

static struct verdict_result judge(const struct client_outcome *outcome, const struct outbound *out,
				   uint32_t accepted_before)
{
	struct verdict_event event = results_event(outcome, out, accepted_before);
#ifdef DEFECT_LOST_IS_OK /* seeded defect: a closed connection is taken for success */
	if (outcome->end == CLIENT_LOST)
		return (struct verdict_result){.verdict = VERDICT_OK, .reason = REASON_ACCEPTED};
#endif
	if (outcome->end == CLIENT_ACCEPTED)
		return (struct verdict_result){.verdict = VERDICT_OK, .reason = REASON_ACCEPTED};
	if (out->body_failed) /* our fault: says nothing of the server */
		return (struct verdict_result){.verdict = VERDICT_MESSAGE, .reason = REASON_UNREADABLE};
	if (outcome->end == CLIENT_NOT_TRIED && outcome->stage != CLIENT_STAGE_FEATURE)
		return (struct verdict_result){.verdict = VERDICT_LATER, .reason = REASON_NOT_TRIED};
	struct verdict_result result = verdict_judge(&event);
	if (out->split && result.whole != WHOLE_NO)
		return (struct verdict_result){.verdict = VERDICT_LATER, .reason = REASON_SPLIT};
	return result;
}

/* --- log --- */

void results_words(const struct reply *reply, char *ret_text, size_t size)
{
	if (reply->code != 0)
		(void)reply_format(reply, ret_text, size);
	else
		(void)snprintf(ret_text, size, "%s", reply->text);
}

static const char *status_word(enum verdict verdict)
{
	return verdict == VERDICT_OK ? "sent" : "deferred";
}

static void log_recipient(const struct outbound *out, const struct store_recipient *recipient,
			  const struct verdict_result *result, const struct reply *reply)
{
	struct relay *relay = out->relay;
	char status[16], words[REPLY_TEXT_MAX + 32];
	int64_t delay_ms = relay->now.wall_ms - out->item->arrival_ms;

	if (reply->code != 0)
		reply_status(reply, status);
	else /* nobody said anything: connection lost (RFC 3463 §3.5) */
		(void)snprintf(status, sizeof(status), "4.4.2");
	results_words(reply, words, sizeof(words));
	log_event(relay->ports.log, LOG_LEVEL_INFO, "delivery", out->item->id, "",
		  LOG_TEXT("from", out->item->envelope.reverse_path), LOG_TEXT("to", recipient->forward_path),
		  LOG_TEXT("relay", slice_of(out->relay_text)), LOG_NUMBER("delay_ms", delay_ms),
		  LOG_TEXT("dsn", slice_of(status)),
		  LOG_TEXT("status", slice_of(status_word(result->verdict))),
		  LOG_TEXT("verdict", slice_of(verdict_reason_name(result->reason))),
		  LOG_TEXT("reply", slice_of(words)));
}

/* --- the record --- */

/* "550 5.1.1 no such user" for the record: the change refers to it until it is written. */
static struct slice keep_words(struct outbound *out, const struct reply *reply)
{
	char words[STORE_REPLY_MAX];
	struct slice copy = {.data = NULL, .size = 0};

	results_words(reply, words, sizeof(words));
	if (arena_copy(&out->words, slice_of(words), &copy) != 0)
		copy = slice_of(reply->text); /* without the codes, when memory is short */
	return copy;
}

/* When it may be tried again, on the wall clock. 0: as soon as its domain is released. */
static int64_t not_before_ms(const struct outbound *out, const struct verdict_result *result,
			     uint32_t attempts, const struct refusal_advice *advice)
{
	int64_t now_ms = out->relay->now.wall_ms;

	switch (advice->act) {
	case REFUSAL_ACCEPTED:
	case REFUSAL_HOLD:
		return 0;
	case REFUSAL_PARK:
		return now_ms + advice->park_ms;
	case REFUSAL_END:
		return now_ms + END_PARK_MS;
	case REFUSAL_MESSAGE:
		break;
	}
	return now_ms + verdict_backoff_ms(result, attempts);
}

/* Mail of our own ends at its first refusal, but for those that concern our address: another day may do. */
static bool refuses_own(const struct outbound *out, const struct verdict_result *result,
			const struct reply *reply)
{
	return out->item->domain->outside != NULL && result->verdict != VERDICT_OK &&
	       result->verdict != VERDICT_US && reply->code >= 500 && reply->code <= 599;
}

static void add_change(struct outbound *out, uint32_t index, const struct verdict_result *result,
		       const struct reply *reply, const struct refusal_advice *advice)
{
	const struct item *item = out->item;
	const struct store_recipient *recipient = &item->envelope.recipients[index];
	bool ok = result->verdict == VERDICT_OK, refused = refuses_own(out, result, reply);
	struct store_change *change = &out->changes[out->change_count++];

	*change = (struct store_change){
	    .recipient = item->recipient_index[index],
	    .state = ok	       ? STORE_DELIVERED
		     : refused ? STORE_REFUSED
			       : STORE_QUEUED,
	    .reason = ok ? REASON_NONE : (uint8_t)result->reason,
	    .attempts = recipient->attempts + 1,
	    .not_before_ms = ok || refused ? 0 : not_before_ms(out, result, recipient->attempts + 1, advice),
	    .reply = keep_words(out, reply),
	    .relay = slice_of(out->relay_text),
	};
	out->notes[index].ends = advice->act == REFUSAL_END && !ok;
	if (change->not_before_ms != 0 && change->not_before_ms < out->due_ms)
		out->due_ms = change->not_before_ms;
}

struct summary {		   /* of one transaction */
	enum verdict lane_verdict; /* the worst that concerns the lane */
	enum lane_kind lane_kind;
	uint32_t ok, deferred, waiting, own;
	const struct reply *lane_reply;
};

/* More serious first. */
static int lane_weight(enum verdict verdict)
{
	static const int weight[] = {
	    [VERDICT_OK] = 1,	  [VERDICT_LATER] = 2, [VERDICT_MESSAGE] = 3,	[VERDICT_REFUSED] = 3,
	    [VERDICT_DOMAIN] = 3, [VERDICT_US] = 3,    [VERDICT_RECIPIENT] = 4, [VERDICT_UNKNOWN] = 5,
	    [VERDICT_BUSY] = 6,	  [VERDICT_RATE] = 7,  [VERDICT_PRESSURE] = 8,	[VERDICT_CONN_LIMIT] = 9,
	    [VERDICT_HOST] = 10,
	};
	return weight[verdict];
}

static void sum_up(struct summary *sum, const struct verdict_result *result, const struct reply *reply)
{
	if (result->verdict == VERDICT_OK)
		sum->ok++;
	else
		sum->deferred++;
	if (sum->lane_reply == NULL || lane_weight(result->verdict) > lane_weight(sum->lane_verdict)) {
		sum->lane_verdict = result->verdict;
		sum->lane_kind = result->kind;
		sum->lane_reply = reply;
	}
	if (is_own(result->verdict))
		sum->own++;
	else
		sum->waiting++;
}

static void tell_lane(struct outbound *out, const struct summary *sum)
{
	struct feed *feed = out->feed;
	struct relay *relay = feed->relay;
	const struct smtp_client_transaction *t = &out->transaction;
	char words[REPLY_TEXT_MAX + 32] = "";

	if (sum->lane_reply != NULL)
		results_words(sum->lane_reply, words, sizeof(words));
	/* One that was accepted proves more than any refusal of the others. */
	bool proven = sum->ok > 0 && lane_weight(sum->lane_verdict) < lane_weight(VERDICT_BUSY);
	struct lane_sample sample = {
	    .verdict = proven ? VERDICT_OK : sum->lane_verdict,
	    .kind = sum->lane_kind,
	    .canary = out->probe,
	    .mail_sent_us = t->mail_sent_us,
	    .mail_reply_us = t->mail_reply_us,
	    .done_us = t->done_us,
	    .bytes = t->size_bytes,
	    .recipients_ok = sum->ok,
	    .recipients_deferred = sum->deferred,
	    .reply = slice_of(words),
	};
	feed->changed = true;
	if (lane_transaction_ended(&feed->lane, &sample, relay->now.now_us, relay->now.wall_ms))
		feed_changed(feed);
}

static void end_refused_for_good(const struct outbound *out, const struct item *item)
{
	uint32_t *list = calloc(item->envelope.recipient_count, sizeof(*list));
	uint32_t count = 0;

	for (uint32_t i = 0; i < item->envelope.recipient_count && list != NULL; i++)
		if (out->notes[i].ends)
			list[count++] = item->recipient_index[i];
	if (count > 0)
		ending_refused(item->domain, item->id, list, count);
	free(list);
}

/* Nothing more is known of this message, or everything is written down: the item goes, or goes back. */
static void settle(struct outbound *out)
{
	struct item *item = out->item;

	out->item = NULL;
	free(out->changes);
	out->changes = NULL;
	if (out->change_count > 0)
		end_refused_for_good(out, item);
	if (out->change_count == 0 && !out->split)
		queue_return(item);
	else
		queue_finish(item, out->due_ms);
	out->change_count = 0;
	outbound_recorded(out);
}

/* A refusal that is not durable is none: the message waits like any other. While the store cannot tell, it is
 * asked again and the sender hears nothing. */
static void refusal_not_written(struct outbound *out, enum store_result result)
{
	const struct verdict_result refused = {.verdict = VERDICT_MESSAGE};
	int64_t now_ms = out->relay->now.wall_ms;

	if (result == STORE_UNKNOWN) {
		out->refusal_unknown = true;
		return;
	}
	out->refusing = false;
	for (uint32_t i = 0; i < out->change_count; i++) {
		struct store_change *change = &out->changes[i];
		change->state = STORE_QUEUED;
		change->not_before_ms = now_ms + verdict_backoff_ms(&refused, change->attempts);
		if (change->not_before_ms < out->due_ms)
			out->due_ms = change->not_before_ms;
	}
	in_session_not_refused(out->item, out->refusal_unknown);
}

static void recorded(void *owner, enum store_result result, enum store_reason reason)
{
	struct outbound *out = owner;
	struct relay *relay = out->relay;

	out->references--;
	relay_enter(relay);
	relay->operations--;
	if (out->dead) {
		outbound_unused(out);
		return;
	}
	if (result == STORE_OK || reason == STORE_REASON_MISSING) {
		if (out->refusing)
			in_session_refused(out->item, &out->transaction.recipients[0].outcome.reply);
		settle(out);
		return;
	}
	if (out->refusing)
		refusal_not_written(out, result);
	log_event(relay->ports.log, LOG_LEVEL_ALARM, "store", out->item->id,
		  "the result of a delivery cannot be written down: tried again until it can",
		  LOG_NUMBER("reason", reason));
	out->retry = true;
	timer_set(&relay->timers, &out->timer, relay->now.now_us + CLOCK_MS(RECORD_RETRY_MS));
}

void results_record(struct outbound *out)
{
	struct relay *relay = out->relay;
	struct store *store = relay->ports.store;

	outbound_recording(out, true);
	out->references++;
	relay->operations++;
	store->ops->amend(store, out->item->id, 0, 0, out->changes, out->change_count, relay->now.wall_ms,
			  recorded, out);
}

static const struct client_outcome *outcome_of(const struct outbound *out, uint32_t index)
{
#ifdef DEFECT_WRONG_RECIPIENT /* seeded defect: after mixed pipelined replies the neighbour's outcome is \
				 taken */
	index = (index + 1) % out->transaction.recipient_count;
#endif
	return &out->transaction.recipients[index].outcome;
}

/* RECOVERY §1.5: a refusal after the envelope says nothing about any one of several recipients; some servers
 * refuse all for one that they do not know (Exchange does). */
static enum verdict_whole refused_as_a_whole(const struct outbound *out)
{
	enum verdict_whole whole = WHOLE_NO;
	uint32_t refused = 0;

	for (uint32_t i = 0; i < out->transaction.recipient_count; i++) {
		const struct client_outcome *outcome = outcome_of(out, i);
		bool late = outcome->stage == CLIENT_STAGE_DATA || outcome->stage == CLIENT_STAGE_DOT;
		if (outcome->end != CLIENT_REPLIED || !late)
			continue;
		refused++;
		struct verdict_event event = results_event(outcome, out, 0);
		whole = verdict_judge(&event).whole;
	}
	return refused > 1 ? whole : WHOLE_NO;
}

/* What the hold detector says; nothing to say about what concerns the lane. */
static struct refusal_advice consult(struct outbound *out, uint32_t index,
				     const struct verdict_result *result,
				     const struct client_outcome *outcome)
{
	if (!is_own(result->verdict) || out->item->domain->outside != NULL)
		return (struct refusal_advice){.act = REFUSAL_MESSAGE};
	return trust_result(out, index, result, outcome);
}

static void judge_recipient(struct outbound *out, uint32_t index, struct summary *sum)
{
	const struct client_outcome *outcome = outcome_of(out, index);
	struct verdict_result result = judge(outcome, out, sum->ok);
	bool tired = result.verdict == VERDICT_LATER && out->item->returns >= RETURNS_MAX;

	if (tired) /* it came back again and again without any verdict: not at once any more */
		result.verdict = VERDICT_MESSAGE;
	sum_up(sum, &result, &outcome->reply);
	log_recipient(out, &out->item->envelope.recipients[index], &result, &outcome->reply);
	struct refusal_advice advice = consult(out, index, &result, outcome);
	if (out->item->domain->outside == NULL)
		known_learn(out, index, result.verdict, &advice);
	if (is_own(result.verdict))
		add_change(out, index, &result, &outcome->reply, &advice);
}

/* --- the sender who waits --- */

/* Was the content refused for good, and that of all recipients alike? Words that name an address, or nothing,
 * say nothing certain about any one of several (RECOVERY §1.5). */
static bool content_refused(const struct outbound *out, enum verdict_whole whole)
{
	if (out->body_failed || whole == WHOLE_ADDRESS)
		return false;
	for (uint32_t i = 0; i < out->transaction.recipient_count; i++) {
		const struct client_outcome *outcome = outcome_of(out, i);
		bool late =
		    outcome->stage == CLIENT_STAGE_DOT; /* before it nothing was seen of the content */
		if (outcome->end != CLIENT_REPLIED || !late || !reply_permanent(&outcome->reply))
			return false;
		struct verdict_event event = results_event(outcome, out, 0);
		if (verdict_judge(&event).verdict != VERDICT_MESSAGE)
			return false;
	}
	return true;
}

/* Its server has just taken somebody at RCPT whom it took before: it is itself. */
static bool took_known_recipient(const struct outbound *out)
{
	const struct known *known = out->item->domain->known;

	for (uint32_t i = 0; known != NULL && i < out->transaction.recipient_count; i++)
		if (out->notes[i].state == NOTE_FOUND &&
		    ledger_standing(&out->notes[i].entry, &known->ledger) >= LEDGER_SEEN)
			return true;
	return false;
}

static void end_refused(struct outbound *out)
{
	out->change_count = 0;
	out->split = false;
	out->due_ms = INT64_MAX;
	out->refusing = true;
	in_session_refusing(out->item);
	for (uint32_t i = 0; i < out->transaction.recipient_count; i++)
		out->changes[out->change_count++] = (struct store_change){
		    .recipient = out->item->recipient_index[i],
		    .state = STORE_REFUSED,
		    .attempts = out->item->envelope.recipients[i].attempts + 1,
		    .reply = keep_words(out, &outcome_of(out, i)->reply),
		    .relay = slice_of(out->relay_text),
		};
}

static void tell_sender(struct outbound *out, const struct summary *sum, enum verdict_whole whole)
{
	struct item *item = out->item;

	if (sum->ok == out->transaction.recipient_count) {
		in_session_delivered(item, &outcome_of(out, 0)->reply);
		return;
	}
	if (content_refused(out, whole) && in_session_may_refuse(item) && took_known_recipient(out))
		end_refused(out);
	else
		in_session_over(item);
}

static void count(struct relay *relay, const struct summary *sum)
{
	relay->counters.delivered_recipients += sum->ok;
	relay->counters.deferred_recipients += sum->deferred;
	if (sum->lane_verdict == VERDICT_UNKNOWN)
		relay->counters.duplicates_possible++;
}

void results_of(struct outbound *out)
{
	struct relay *relay = out->relay;
	uint32_t recipients = out->transaction.recipient_count;
	struct summary sum = {.lane_verdict = VERDICT_LATER};

	out->awaits_notes = out->notes_pending > 0;
	if (out->awaits_notes)
		return;
	out->due_ms = INT64_MAX;
	out->change_count = 0;
	free(out->changes);
	arena_reset(&out->words);
	out->changes = calloc(recipients, sizeof(*out->changes));
	if (out->changes == NULL) { /* the outcomes stay where they are: judged again in a moment */
		out->retry = true;
		timer_set(&relay->timers, &out->timer, relay->now.now_us + CLOCK_MS(RECORD_RETRY_MS));
		return;
	}
	enum verdict_whole whole = refused_as_a_whole(out);
	out->split = whole != WHOLE_NO;
	if (whole == WHOLE_ADDRESS)
		split_refused(&out->feed->split, relay->now.now_us);
	for (uint32_t i = 0; i < recipients; i++)
		judge_recipient(out, i, &sum);
	if (sum.waiting > 0 && (out->change_count > 0 || out->split))
		out->due_ms = relay->now.wall_ms;
	count(relay, &sum);
	tell_lane(out, &sum);
	if (out->canary && sum.own == 0)
		trust_probe_gone(out->item->domain);
	tell_sender(out, &sum, whole);
	if (out->change_count > 0)
		results_record(out);
	else
		settle(out);
}

void results_retry(struct outbound *out)
{
	out->retry = false;
	if (out->changes == NULL)
		results_of(out);
	else
		results_record(out);
}
