/* Suspicions, the check that follows, and the states that follow from its answers. */
#include "base/check.h"
#include "lane/refusal_internal.h"
#include "lane/tuning.h"

/* --- states --- */

static void enter(struct refusal *r, enum refusal_state state, enum refusal_cause cause, int64_t now_us)
{
	if (r->state != state)
		r->since_us = now_us;
	r->state = state;
	r->cause = cause;
	r->check = REFUSAL_CHECK_NONE;
	r->probe_us = now_us;
	r->probe_out = false;
	r->probe_count = 0;
	r->confirmed = 0;
	r->calm = 0;
}

void refusal_doubt(struct refusal *r, enum refusal_cause cause, int64_t now_us)
{
	enter(r, REFUSAL_DOUBT, cause, now_us);
	r->last_refused_us = now_us;
}

void refusal_hold(struct refusal *r, enum refusal_cause cause, int64_t now_us)
{
	bool again = r->released && now_us - r->released_us < REFUSAL_RELAPSE_US;

	if (!again)
		r->relapses = 0;
	else if (r->relapses < REFUSAL_RELAPSES_MAX)
		r->relapses++;
	enter(r, REFUSAL_HOLDING, cause, now_us);
}

/* Repaired, it seems: that is a time for caution again. */
void refusal_trust(struct refusal *r, int64_t now_us)
{
	enter(r, REFUSAL_TRUSTED, REFUSAL_NO_CAUSE, now_us);
	refusal_forget_evidence(r);
	r->released = true;
	r->released_us = now_us;
	refusal_grace(r, now_us);
}

/* A domain without any known recipient, long after its first contact: nobody can say that its server is
 * wrong. It would be an alarm about strangers' misspellings. */
static bool deserves_alarm(const struct refusal *r, int64_t now_us)
{
	return r->cause != REFUSAL_UNSURE || refusal_in_grace(r, now_us);
}

void refusal_tell(struct refusal *r, enum refusal_state before, struct refusal_advice *advice, int64_t now_us)
{
	if (before == r->state)
		return;
	advice->held = r->state == REFUSAL_HOLDING;
	advice->released = before != REFUSAL_TRUSTED && r->state != REFUSAL_HOLDING;
	if (r->state == REFUSAL_TRUSTED)
		return;
	/* One alarm for a trouble that comes and goes. */
	if (r->alarmed && r->released && now_us - r->released_us >= REFUSAL_RELAPSE_US &&
	    before == REFUSAL_TRUSTED)
		r->alarmed = false;
	if (r->alarmed || !deserves_alarm(r, now_us))
		return;
	r->alarmed = true;
	advice->alarm = true;
}

/* --- suspicion --- */

static bool is_weak(enum refusal_cause cause)
{
	return cause != REFUSAL_KNOWN;
}

void refusal_suspect(struct refusal *r, enum refusal_cause cause, int64_t now_us)
{
	bool limited = is_weak(cause) || r->state == REFUSAL_DOUBT;

	if (r->state == REFUSAL_HOLDING || (limited && now_us < r->weak_until_us))
		return;
	if (r->suspicion == REFUSAL_NO_CAUSE || r->check == REFUSAL_CHECK_NONE || !is_weak(cause))
		r->suspicion = cause;
	if (r->check != REFUSAL_CHECK_NONE)
		return;
	r->check = REFUSAL_CHECK_WANTED;
	r->check_us = now_us;
}

void refusal_want_proof(struct refusal *r, int64_t now_us)
{
	if (r->state == REFUSAL_HOLDING || r->check != REFUSAL_CHECK_NONE)
		return;
	r->check = REFUSAL_CHECK_WANTED;
	r->check_us = now_us;
	r->suspicion = REFUSAL_NO_CAUSE;
}

/* --- the check --- */

void refusal_check_out(struct refusal *r, int64_t now_us)
{
	r->check = REFUSAL_CHECK_OUT;
	r->check_us = now_us;
	r->check_accepted = r->check_refused = r->check_again = 0;
	r->check_deferred = r->check_senders = 0;
}

/* MAIL refused says something only when that is what we suspect. */
static void answer_refused(struct refusal *r, const struct refusal_event *answer)
{
	if (answer->stage == VERDICT_AT_MAIL)
		r->check_senders++;
	else if (refusal_is_witness(r, answer->recipient) || refusal_has_departed(r, answer->recipient))
		r->check_again++;
	else
		r->check_refused++;
}

void refusal_check_answer(struct refusal *r, const struct refusal_event *answer)
{
	switch (answer->verdict) {
	case VERDICT_OK:
		r->check_accepted++;
		break;
	case VERDICT_REFUSED:
	case VERDICT_DOMAIN:
	case VERDICT_MESSAGE:
		answer_refused(r, answer);
		break;
	case VERDICT_RECIPIENT:
		if (refusal_is_soft(answer->reason))
			r->check_deferred++;
		else /* a full mailbox is one */
			r->check_accepted++;
		break;
	case VERDICT_US: /* its business is elsewhere, see distrust.h */
	case VERDICT_HOST:
	case VERDICT_CONN_LIMIT:
	case VERDICT_RATE:
	case VERDICT_PRESSURE:
	case VERDICT_BUSY:
	case VERDICT_LATER:
	case VERDICT_UNKNOWN:
		break;
	}
}

/* Weak evidence comes back at once while strangers send it: ask less and less often. */
static void pass(struct refusal *r, int64_t now_us)
{
	uint32_t doublings =
	    r->weak_passed < REFUSAL_WEAK_DOUBLINGS ? r->weak_passed : REFUSAL_WEAK_DOUBLINGS;

	r->weak_until_us = now_us + (REFUSAL_WEAK_US << doublings);
	r->weak_passed++;
	r->refused.count = r->refused_senders.count = r->senders.count = r->soft.count = 0;
	r->soft_known = 0;
}

/* Known recipients are refused, and known recipients are accepted: once it may be two who left. */
static void passed(struct refusal *r, int64_t now_us)
{
	bool again = r->passed && now_us - r->passed_us < REFUSAL_MIXED_US;

	r->proven = true;
	r->proven_us = now_us;
	if (r->state == REFUSAL_DOUBT && r->cause == REFUSAL_UNSURE) {
		refusal_trust(r, now_us);
		return;
	}
	if (r->suspicion == REFUSAL_NO_CAUSE)
		return;
	pass(r, now_us);
	if (is_weak(r->suspicion))
		return;
	r->weak_passed = 0;
	r->score = 0;
	r->witness_count = 0;
	r->passed = true;
	r->passed_us = now_us;
	if (again && r->state == REFUSAL_TRUSTED)
		refusal_doubt(r, REFUSAL_MIXED, now_us);
}

static void nobody_accepted(struct refusal *r, int64_t now_us)
{
	enum refusal_cause cause = r->suspicion != REFUSAL_NO_CAUSE ? r->suspicion : REFUSAL_KNOWN;
	uint32_t refused = r->check_refused + r->check_again;

	if (refused >= REFUSAL_CHECK_LEAST || (cause == REFUSAL_SOFT && r->check_deferred + refused >= 2) ||
	    (cause == REFUSAL_SENDERS && r->check_senders >= 2))
		refusal_hold(r, cause, now_us);
	else if (refused > 0 && r->state == REFUSAL_TRUSTED)
		refusal_doubt(r, REFUSAL_UNSURE, now_us);
	else if (cause == REFUSAL_SENDERS || r->check_deferred > 0)
		pass(r, now_us);
}

static void nobody_asked(struct refusal *r, int64_t now_us)
{
	r->nobody = true;
	if (r->suspicion != REFUSAL_NO_CAUSE && r->state == REFUSAL_TRUSTED)
		refusal_doubt(r, REFUSAL_UNSURE, now_us);
	else
		pass(r, now_us);
}

static bool was_answered(const struct refusal *r)
{
	return r->check_accepted + r->check_refused + r->check_again + r->check_deferred + r->check_senders >
	       0;
}

/* One alone that is refused there may have left without anybody noticing. */
static bool is_mixed(const struct refusal *r)
{
	return r->check_refused >= 2 || (r->check_refused == 1 && r->suspicion == REFUSAL_KNOWN);
}

struct refusal_advice refusal_check_done(struct refusal *r, bool asked, int64_t now_us)
{
	struct refusal_advice advice = {.act = REFUSAL_ACCEPTED};
	enum refusal_state before = r->state;

	if (r->check != REFUSAL_CHECK_OUT)
		return advice;
	r->check = REFUSAL_CHECK_NONE;
	if (!asked) {
		nobody_asked(r, now_us);
	} else if (!was_answered(r)) {
		r->check = REFUSAL_CHECK_WANTED;
		r->check_us = now_us + REFUSAL_CHECK_AGAIN_US;
	} else if (r->check_accepted == 0) {
		nobody_accepted(r, now_us);
	} else if (is_mixed(r)) {
		refusal_doubt(r, REFUSAL_MIXED, now_us);
		pass(r, now_us);
	} else {
		passed(r, now_us);
	}
	refusal_tell(r, before, &advice, now_us);
	return advice;
}
