#include "lane/door.h"

#include "base/check.h"
#include "lane/tuning.h"

enum door_server door_server(const struct refusal *refusal, bool flows, int64_t now_us)
{
	if (!flows || refusal->state == REFUSAL_HOLDING)
		return DOOR_DOWN;
	if (refusal_in_grace(refusal, now_us))
		return DOOR_GRACE;
	return refusal_is_proven(refusal, now_us) ? DOOR_HEALTHY : DOOR_UNPROVEN;
}

static struct door_decision decision(enum door_answer answer, const char *reason)
{
	return (struct door_decision){.answer = answer, .reason = reason};
}

static struct door_decision hold_unseen(const struct door_question *q, const struct door_budgets *budgets,
					enum door_answer otherwise, int64_t now_us)
{
	if (!q->share_left)
		return decision(DOOR_451, "the domain's share of the spool is used up");
	if (q->vouched)
		return decision(DOOR_ACCEPT, "unseen recipient, the sender is vouched for: held");
	if (!quota_has(budgets->unseen, budgets->unseen_per_hour, budgets->unseen_per_hour, now_us))
		return decision(otherwise, "too many unseen recipients while the server cannot be asked");
	quota_take(budgets->unseen, budgets->unseen_per_hour, budgets->unseen_per_hour, now_us);
	return decision(DOOR_ACCEPT, "unseen recipient, the server cannot be asked: held");
}

static bool may_ask(const struct door_budgets *budgets, int64_t now_us)
{
	return quota_has(budgets->lane_refusals, DOOR_LANE_REFUSALS, DOOR_LANE_REFUSALS_HOUR, now_us) &&
	       quota_has(budgets->client_refusals, DOOR_CLIENT_REFUSALS, DOOR_CLIENT_REFUSALS_HOUR, now_us);
}

static void charge(const struct door_question *q, const struct door_budgets *budgets, int64_t now_us)
{
	if (q->proofs > 0) /* it was charged when it first came */
		return;
	quota_take(budgets->lane_refusals, DOOR_LANE_REFUSALS, DOOR_LANE_REFUSALS_HOUR, now_us);
	quota_take(budgets->client_refusals, DOOR_CLIENT_REFUSALS, DOOR_CLIENT_REFUSALS_HOUR, now_us);
}

/* The server says that there is no such mailbox. */
static struct door_decision refused(const struct door_question *q, const struct door_budgets *budgets,
				    int64_t now_us)
{
	bool healthy = q->server == DOOR_HEALTHY;
	bool may_prove = healthy || (q->server == DOOR_UNPROVEN && q->proofs == 0);

	if (q->proofs >= DOOR_PROOFS && healthy)
		return decision(DOOR_550, "no such mailbox, says a server that is proven healthy");
	if (q->proofs < DOOR_PROOFS && may_prove)
		return decision(DOOR_PROVE, "no such mailbox, says a server that is to be proven");
	return hold_unseen(q, budgets, DOOR_450, now_us);
}

static struct door_decision unasked(const struct door_question *q, const struct door_budgets *budgets,
				    int64_t now_us)
{
	if (q->refused_now && q->server == DOOR_HEALTHY)
		return decision(DOOR_550, "no such mailbox, said a proven server a moment ago");
	if (!may_ask(budgets, now_us) && q->server == DOOR_GRACE)
		return hold_unseen(q, budgets, DOOR_450, now_us);
	if (!may_ask(budgets, now_us))
		return decision(DOOR_450, "too many unknown recipients: not asked any more for a while");
	return decision(DOOR_CALLOUT, "unseen recipient");
}

static struct door_decision unseen(const struct door_question *q, const struct door_budgets *budgets,
				   int64_t now_us)
{
	switch (q->callout) {
	case DOOR_NOT_ASKED:
		return unasked(q, budgets, now_us);
	case DOOR_TAKEN:
		return decision(DOOR_ACCEPT, "the server takes it");
	case DOOR_UNKNOWN:
		charge(q, budgets, now_us);
		return refused(q, budgets, now_us);
	case DOOR_OTHER:
		charge(q, budgets, now_us);
		return hold_unseen(q, budgets, DOOR_450, now_us);
	case DOOR_FAILED:
		return hold_unseen(q, budgets, DOOR_451, now_us);
	}
	check_never();
}

struct door_decision door_decide(const struct door_question *question, const struct door_budgets *budgets,
				 int64_t now_us)
{
	if (question->postmaster)
		return decision(DOOR_ACCEPT, "postmaster");
	if (question->standing >= LEDGER_LISTED)
		return decision(DOOR_ACCEPT, "known recipient");
	if (question->catch_all == LEDGER_TAKES_ALL)
		return decision(DOOR_ACCEPT, "the domain takes all recipients");
	if (question->server == DOOR_DOWN)
		return hold_unseen(question, budgets, DOOR_451, now_us);
	return unseen(question, budgets, now_us);
}
