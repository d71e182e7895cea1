#include "lane/refusal.h"

#include <string.h>

#include "base/check.h"
#include "lane/refusal_internal.h"
#include "lane/tuning.h"

const char *refusal_state_name(enum refusal_state state)
{
	static const char *const names[] = {"trusted", "doubt", "holding"};

	check((unsigned)state < sizeof(names) / sizeof(names[0]));
	return names[state];
}

const char *refusal_cause_words(enum refusal_cause cause)
{
	static const char *const words[] = {
	    "",
	    "your server refuses recipients that it accepted before",
	    "your server refuses one recipient after another",
	    "your server says that it does not serve this domain",
	    "your server refuses every sender",
	    "your server defers nearly all recipients",
	    "your server refuses some valid recipients and accepts others",
	    "your server refuses recipients, and none is known that it should accept",
	};

	check((unsigned)cause < sizeof(words) / sizeof(words[0]));
	return words[cause];
}

void refusal_init(struct refusal *r, int64_t now_us)
{
	memset(r, 0, sizeof(*r));
	r->since_us = now_us;
	r->share = REFUSAL_SHARE_LEAST;
	refusal_grace(r, now_us);
}

void refusal_grace(struct refusal *r, int64_t now_us)
{
	r->grace_until_us = now_us + REFUSAL_GRACE_US;
	r->proven = false;
}

void refusal_end_grace(struct refusal *r, int64_t now_us)
{
	if (refusal_in_grace(r, now_us))
		r->grace_until_us = now_us;
}

bool refusal_in_grace(const struct refusal *r, int64_t now_us)
{
	return now_us < r->grace_until_us;
}

void refusal_server_lost(struct refusal *r)
{
	r->proven = false;
}

static bool is_suspected(const struct refusal *r)
{
	return r->check != REFUSAL_CHECK_NONE && r->suspicion != REFUSAL_NO_CAUSE;
}

bool refusal_is_proven(const struct refusal *r, int64_t now_us)
{
	return r->state == REFUSAL_TRUSTED && r->proven && now_us - r->proven_us <= REFUSAL_PROOF_US &&
	       !is_suspected(r) && !refusal_in_grace(r, now_us);
}

/* --- what becomes of a refused recipient --- */

static int64_t park_ms(uint32_t attempts)
{
	static const int64_t steps_ms[] = REFUSAL_PARK_STEPS_MS;
	size_t last = sizeof(steps_ms) / sizeof(steps_ms[0]) - 1;
	size_t step = attempts > 0 ? attempts - 1 : 0;

	return steps_ms[step < last ? step : last];
}

/* The server has been proven healthy, and said no all the same. */
static void judge_proven(const struct refusal_event *event, struct refusal_advice *advice)
{
	bool known = event->standing >= LEDGER_LISTED;
	/* Less than \"no such user\" may be a rule about senders, or a fault: it has its time to pass. */
	bool slow = known || event->reason != REASON_NO_SUCH_USER;
	uint32_t least = slow ? REFUSAL_END_KNOWN_COUNT : REFUSAL_END_COUNT;
	int64_t age_ms = slow ? REFUSAL_END_KNOWN_MS : REFUSAL_END_MS;

	advice->counted = true;
	if (event->counted + 1 >= least && event->counted_ms >= age_ms)
		advice->act = REFUSAL_END;
	else
		advice->park_ms = slow ? park_ms(event->attempts) : REFUSAL_END_MS;
}

static void judge_refused(struct refusal *r, const struct refusal_event *event, struct refusal_advice *advice,
			  int64_t now_us)
{
	bool known = event->standing >= LEDGER_LISTED;

	advice->act = r->state == REFUSAL_HOLDING ? REFUSAL_HOLD : REFUSAL_PARK;
	advice->departed = refusal_has_departed(r, event->recipient);
	if (advice->act == REFUSAL_HOLD)
		return;
	if (refusal_is_proven(r, now_us)) {
		judge_proven(event, advice);
		return;
	}
	advice->park_ms = park_ms(event->attempts);
	if (r->state != REFUSAL_TRUSTED)
		return;
	if (refusal_in_grace(r, now_us)) {
		advice->park_ms = known ? park_ms(event->attempts) : REFUSAL_GRACE_US / 1000;
	} else if (!r->nobody && !is_suspected(r)) { /* with proof at hand it is judged soon */
		refusal_want_proof(r, now_us);
		advice->park_ms = REFUSAL_PROVE_PARK_MS;
	}
}

/* --- accepted --- */

static void confirm(struct refusal *r, int64_t now_us)
{
	r->confirmed++;
	if (r->confirmed > r->relapses)
		refusal_trust(r, now_us);
	else
		r->probe_us = now_us;
}

static bool is_calm(const struct refusal *r, int64_t now_us)
{
	return r->calm >= REFUSAL_CALM_COUNT ||
	       (r->calm >= REFUSAL_CALM_LEAST && now_us - r->last_refused_us >= REFUSAL_CALM_US);
}

static void accepted_in_doubt(struct refusal *r, int64_t now_us)
{
	if (r->cause == REFUSAL_UNSURE || is_calm(r, now_us))
		refusal_trust(r, now_us);
}

static void accepted(struct refusal *r, const struct refusal_event *event, int64_t now_us)
{
	refusal_note_accepted(r, event, now_us);
	if (r->state == REFUSAL_HOLDING)
		confirm(r, now_us);
	else if (r->state == REFUSAL_DOUBT)
		accepted_in_doubt(r, now_us);
}

static void note_probe(struct refusal *r, const struct refusal_event *event)
{
	if (!event->probe)
		return;
	r->probe_out = false;
	if (event->verdict != VERDICT_OK)
		r->confirmed = 0;
}

/* Sender or content: at RCPT it can only be a strange rule of the table. */
static void note_message(struct refusal *r, const struct refusal_event *event, struct refusal_advice *advice,
			 int64_t now_us)
{
	if (event->stage <= VERDICT_AT_MAIL)
		refusal_note_sender(r, event, now_us);
	else if (event->stage >= VERDICT_AT_DATA && event->stage <= VERDICT_AT_DOT)
		advice->contents = refusal_note_content(r, event);
}

struct refusal_advice refusal_event(struct refusal *r, const struct refusal_event *event, int64_t now_us)
{
	struct refusal_advice advice = {.act = REFUSAL_MESSAGE};
	enum refusal_state before = r->state;

	note_probe(r, event);
	switch (event->verdict) {
	case VERDICT_OK:
		advice.act = REFUSAL_ACCEPTED;
		accepted(r, event, now_us);
		break;
	case VERDICT_DOMAIN:
	case VERDICT_REFUSED:
		refusal_note_refused(r, event, now_us);
		judge_refused(r, event, &advice, now_us);
		break;
	case VERDICT_MESSAGE:
		note_message(r, event, &advice, now_us);
		break;
	case VERDICT_RECIPIENT:
		if (refusal_is_soft(event->reason))
			refusal_note_soft(r, event, now_us);
		break;
	case VERDICT_US:
	case VERDICT_HOST:
	case VERDICT_CONN_LIMIT:
	case VERDICT_RATE:
	case VERDICT_PRESSURE:
	case VERDICT_BUSY:
	case VERDICT_LATER:
	case VERDICT_UNKNOWN:
		break;
	}
	refusal_tell(r, before, &advice, now_us);
	return advice;
}

/* --- what may be done --- */

static bool probes(const struct refusal *r)
{
	return r->state == REFUSAL_HOLDING || (r->state == REFUSAL_DOUBT && r->cause == REFUSAL_UNSURE);
}

static bool probe_lost(const struct refusal *r, int64_t now_us)
{
	return now_us - r->probe_out_us >= REFUSAL_PROBE_LOST_US;
}

/* A check that nobody answered for so long is forgotten by its owner. */
static bool check_due(const struct refusal *r, int64_t now_us)
{
	if (r->check == REFUSAL_CHECK_OUT)
		return now_us - r->check_us >= REFUSAL_CHECK_LOST_US;
	return r->check == REFUSAL_CHECK_WANTED && now_us >= r->check_us;
}

/* Nobody is known there, and the server has just come back: strangers' mail may not storm it. */
static bool trickles(const struct refusal *r, int64_t now_us)
{
	return r->state == REFUSAL_DOUBT && r->cause == REFUSAL_UNSURE && refusal_in_grace(r, now_us);
}

struct refusal_permit refusal_permit(const struct refusal *r, int64_t now_us)
{
	bool trickle = trickles(r, now_us);

	return (struct refusal_permit){
	    .flow = r->state != REFUSAL_HOLDING && (!trickle || now_us >= r->trickle_us),
	    .trickle = trickle,
	    .check = check_due(r, now_us),
	    .probe = probes(r) && now_us >= r->probe_us && (!r->probe_out || probe_lost(r, now_us)),
	};
}

static int64_t sooner(int64_t a_us, int64_t b_us)
{
	return a_us < b_us ? a_us : b_us;
}

static int64_t probe_deadline(const struct refusal *r)
{
	int64_t lost_us = r->probe_out_us + REFUSAL_PROBE_LOST_US;

	if (!r->probe_out)
		return r->probe_us;
	return lost_us > r->probe_us ? lost_us : r->probe_us;
}

int64_t refusal_deadline(const struct refusal *r, int64_t now_us)
{
	int64_t deadline_us = INT64_MAX;

	if (r->check == REFUSAL_CHECK_WANTED)
		deadline_us = sooner(deadline_us, r->check_us);
	if (r->check == REFUSAL_CHECK_OUT)
		deadline_us = sooner(deadline_us, r->check_us + REFUSAL_CHECK_LOST_US);
	if (probes(r))
		deadline_us = sooner(deadline_us, probe_deadline(r));
	if (trickles(r, now_us) && now_us < r->trickle_us)
		deadline_us = sooner(deadline_us, r->trickle_us);
	return deadline_us;
}

/* The interval runs from one start to the next. */
void refusal_probe_out(struct refusal *r, int64_t now_us)
{
	static const int64_t intervals_us[] = DOMAIN_CANARY_INTERVALS_US;
	size_t last = sizeof(intervals_us) / sizeof(intervals_us[0]) - 1;

	r->probe_out = true;
	r->probe_out_us = now_us;
	r->probe_us = now_us + intervals_us[r->probe_count < last ? r->probe_count : last];
	r->probe_count++;
}

void refusal_probe_abandoned(struct refusal *r)
{
	r->probe_out = false;
}

void refusal_sent(struct refusal *r, int64_t now_us)
{
	r->trickle_us = now_us + REFUSAL_TRICKLE_US;
}
