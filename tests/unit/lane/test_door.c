#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lane/door.h"
#include "lane/tuning.h"

#define SECOND 1000000LL
#define HOUR   (3600 * SECOND)

struct play {
	struct quota unseen, lane, client;
	struct door_budgets budgets;
};

static void start(struct play *play)
{
	*play = (struct play){.unseen = {0, 0}};
	play->budgets = (struct door_budgets){.unseen = &play->unseen,
					      .unseen_per_hour = DOOR_UNSEEN,
					      .lane_refusals = &play->lane,
					      .client_refusals = &play->client};
}

static enum door_answer ask(struct play *play, struct door_question question)
{
	return door_decide(&question, &play->budgets, HOUR).answer;
}

/* Each line: a question with full budgets and space left, and its answer. */
static void answers(void **state)
{
	static const struct {
		enum door_server server;
		enum ledger_standing standing;
		enum ledger_catch_all catch_all;
		bool refused_now;
		enum door_callout callout;
		uint32_t proofs;
		enum door_answer answer;
	} table[] = {
	    /* known ones are taken whatever the server's state */
	    {DOOR_DOWN, LEDGER_GOOD, LEDGER_TELLS, false, DOOR_NOT_ASKED, 0, DOOR_ACCEPT},
	    {DOOR_DOWN, LEDGER_SEEN, LEDGER_TELLS, false, DOOR_NOT_ASKED, 0, DOOR_ACCEPT},
	    {DOOR_HEALTHY, LEDGER_SEEN, LEDGER_TELLS, false, DOOR_NOT_ASKED, 0, DOOR_ACCEPT},
	    {DOOR_HEALTHY, LEDGER_LISTED, LEDGER_TELLS, false, DOOR_NOT_ASKED, 0, DOOR_ACCEPT},
	    /* a domain that takes everybody needs no asking */
	    {DOOR_HEALTHY, LEDGER_UNSEEN, LEDGER_TAKES_ALL, false, DOOR_NOT_ASKED, 0, DOOR_ACCEPT},
	    {DOOR_DOWN, LEDGER_UNSEEN, LEDGER_TAKES_ALL, false, DOOR_NOT_ASKED, 0, DOOR_ACCEPT},
	    /* down: held; never 5yz, not even for one that was refused a moment ago */
	    {DOOR_DOWN, LEDGER_UNSEEN, LEDGER_ASK, false, DOOR_NOT_ASKED, 0, DOOR_ACCEPT},
	    {DOOR_DOWN, LEDGER_REFUSED, LEDGER_TELLS, true, DOOR_NOT_ASKED, 0, DOOR_ACCEPT},
	    {DOOR_DOWN, LEDGER_REFUSED, LEDGER_TELLS, true, DOOR_UNKNOWN, DOOR_PROOFS, DOOR_ACCEPT},
	    /* up: asked */
	    {DOOR_HEALTHY, LEDGER_UNSEEN, LEDGER_TELLS, false, DOOR_NOT_ASKED, 0, DOOR_CALLOUT},
	    {DOOR_HEALTHY, LEDGER_UNSEEN, LEDGER_ASK, false, DOOR_NOT_ASKED, 0, DOOR_CALLOUT},
	    {DOOR_UNPROVEN, LEDGER_UNSEEN, LEDGER_TELLS, false, DOOR_NOT_ASKED, 0, DOOR_CALLOUT},
	    {DOOR_GRACE, LEDGER_UNSEEN, LEDGER_TELLS, false, DOOR_NOT_ASKED, 0, DOOR_CALLOUT},
	    {DOOR_HEALTHY, LEDGER_REFUSED, LEDGER_TELLS, false, DOOR_NOT_ASKED, 0, DOOR_CALLOUT},
	    /* what it says */
	    {DOOR_HEALTHY, LEDGER_UNSEEN, LEDGER_TELLS, false, DOOR_TAKEN, 0, DOOR_ACCEPT},
	    {DOOR_GRACE, LEDGER_UNSEEN, LEDGER_TELLS, false, DOOR_TAKEN, 0, DOOR_ACCEPT},
	    {DOOR_HEALTHY, LEDGER_UNSEEN, LEDGER_TELLS, false, DOOR_UNKNOWN, 0, DOOR_PROVE},
	    {DOOR_UNPROVEN, LEDGER_UNSEEN, LEDGER_TELLS, false, DOOR_UNKNOWN, 0, DOOR_PROVE},
	    {DOOR_HEALTHY, LEDGER_UNSEEN, LEDGER_TELLS, false, DOOR_UNKNOWN, DOOR_PROOFS - 1, DOOR_PROVE},
	    {DOOR_UNPROVEN, LEDGER_UNSEEN, LEDGER_TELLS, false, DOOR_UNKNOWN, 1, DOOR_ACCEPT},
	    {DOOR_UNPROVEN, LEDGER_UNSEEN, LEDGER_TELLS, false, DOOR_UNKNOWN, DOOR_PROOFS, DOOR_ACCEPT},
	    {DOOR_HEALTHY, LEDGER_UNSEEN, LEDGER_TELLS, false, DOOR_UNKNOWN, DOOR_PROOFS, DOOR_550},
	    {DOOR_HEALTHY, LEDGER_UNSEEN, LEDGER_TELLS, false, DOOR_TAKEN, DOOR_PROOFS, DOOR_ACCEPT},
	    {DOOR_GRACE, LEDGER_UNSEEN, LEDGER_TELLS, false, DOOR_UNKNOWN, DOOR_PROOFS, DOOR_ACCEPT},
	    {DOOR_GRACE, LEDGER_UNSEEN, LEDGER_TELLS, false, DOOR_UNKNOWN, 0, DOOR_ACCEPT},
	    {DOOR_HEALTHY, LEDGER_UNSEEN, LEDGER_TELLS, false, DOOR_OTHER, 0, DOOR_ACCEPT},
	    {DOOR_HEALTHY, LEDGER_UNSEEN, LEDGER_TELLS, false, DOOR_FAILED, 0, DOOR_ACCEPT},
	    /* refused in the last five minutes: not asked again, but proven all the same */
	    {DOOR_HEALTHY, LEDGER_REFUSED, LEDGER_TELLS, true, DOOR_NOT_ASKED, 0, DOOR_550},
	    {DOOR_UNPROVEN, LEDGER_REFUSED, LEDGER_TELLS, true, DOOR_NOT_ASKED, 0, DOOR_CALLOUT},
	    {DOOR_GRACE, LEDGER_REFUSED, LEDGER_TELLS, true, DOOR_NOT_ASKED, 0, DOOR_CALLOUT},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct door_question question = {.server = table[i].server,
						 .standing = table[i].standing,
						 .refused_now = table[i].refused_now,
						 .catch_all = table[i].catch_all,
						 .share_left = true,
						 .callout = table[i].callout,
						 .proofs = table[i].proofs};
		struct play play;

		start(&play);
		if (ask(&play, question) != table[i].answer)
			fail_msg("line %zu", i);
		question.postmaster = true;
		assert_int_equal(ask(&play, question), DOOR_ACCEPT);
	}
}

/* Over all questions that there are: 550 needs a healthy server, and nobody known is ever refused. */
static void no_other_550(void **state)
{
	struct play play;
	uint32_t refusals = 0;

	start(&play);
	play.unseen.spent = play.lane.spent = play.client.spent = 1e9;
	play.unseen.at_us = play.lane.at_us = play.client.at_us = HOUR;
	for (uint32_t i = 0; i < 4 * 5 * 2 * 3 * 2 * 2 * 5 * (DOOR_PROOFS + 1); i++) {
		uint32_t n = i;
		struct door_question q = {.server = n % 4};
		q.standing = (n /= 4) % 5;
		q.refused_now = (n /= 5) % 2;
		q.catch_all = (n /= 2) % 3;
		q.vouched = (n /= 3) % 2;
		q.share_left = (n /= 2) % 2;
		q.callout = (n /= 2) % 5;
		q.proofs = n / 5;
		struct door_decision decision = door_decide(&q, &play.budgets, HOUR);
		assert_non_null(decision.reason);
		if (q.standing >= LEDGER_LISTED || q.catch_all == LEDGER_TAKES_ALL)
			assert_int_equal(decision.answer, DOOR_ACCEPT);
		if (decision.answer != DOOR_550)
			continue;
		refusals++;
		assert_int_equal(q.server, DOOR_HEALTHY);
		assert_true((q.callout == DOOR_UNKNOWN && q.proofs == DOOR_PROOFS) ||
			    (q.callout == DOOR_NOT_ASKED && q.refused_now));
	}
	assert_true(refusals > 0);
}

static void unseen_recipients_have_a_bound(void **state)
{
	struct door_question question = {.server = DOOR_DOWN, .share_left = true};
	struct play play;

	start(&play);
	for (int i = 0; i < 200; i++)
		assert_int_equal(ask(&play, question), DOOR_ACCEPT);
	assert_int_equal(ask(&play, question), DOOR_451);
	question.vouched = true;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(ask(&play, question), DOOR_ACCEPT);
	question.share_left = false;
	assert_int_equal(ask(&play, question), DOOR_451);
	question.standing = LEDGER_SEEN; /* known ones: the store's own answer for a full share */
	assert_int_equal(ask(&play, question), DOOR_ACCEPT);
	question = (struct door_question){.server = DOOR_GRACE, .share_left = true, .callout = DOOR_UNKNOWN};
	assert_int_equal(ask(&play, question), DOOR_450);
	question.callout = DOOR_FAILED;
	assert_int_equal(ask(&play, question), DOOR_451);
}

static void who_asks_for_many_strangers_is_not_asked_for(void **state)
{
	struct door_question question = {.server = DOOR_HEALTHY, .share_left = true, .callout = DOOR_UNKNOWN};
	struct play play;

	start(&play);
	for (int i = 0; i < DOOR_CLIENT_REFUSALS; i++) {
		question.callout = DOOR_NOT_ASKED;
		assert_int_equal(ask(&play, question), DOOR_CALLOUT);
		question.callout = DOOR_UNKNOWN;
		assert_int_equal(ask(&play, question), DOOR_PROVE);
		question.proofs = DOOR_PROOFS; /* charged once */
		assert_int_equal(ask(&play, question), DOOR_550);
		question.proofs = 0;
	}
	question.callout = DOOR_NOT_ASKED;
	assert_int_equal(ask(&play, question), DOOR_450);
	play.client = (struct quota){0, 0}; /* another client */
	assert_int_equal(ask(&play, question), DOOR_CALLOUT);
	play.lane.spent = DOOR_LANE_REFUSALS;
	play.lane.at_us = HOUR;
	assert_int_equal(ask(&play, question), DOOR_450);
	question.standing = LEDGER_SEEN; /* good mail is not delayed */
	assert_int_equal(ask(&play, question), DOOR_ACCEPT);
}

static void quotas_fill_up(void **state)
{
	struct quota quota = {0, 0};

	for (int i = 0; i < 10; i++) {
		assert_true(quota_has(&quota, 10, 20, 5));
		quota_take(&quota, 10, 20, 5);
	}
	assert_false(quota_has(&quota, 10, 20, 5));
	quota_take(&quota, 10, 20, 5); /* from the empty one */
	assert_false(quota_has(&quota, 10, 20, 5 + HOUR / 20 - SECOND));
	assert_true(quota_has(&quota, 10, 20, 5 + HOUR / 20 + SECOND));
	assert_false(quota_has(&quota, 10, 20, 0)); /* time does not go back, but if it did */
	for (int i = 0; i < 10; i++) {
		assert_true(quota_has(&quota, 10, 20, 100 * HOUR));
		quota_take(&quota, 10, 20, 100 * HOUR);
	}
	assert_false(quota_has(&quota, 10, 20, 100 * HOUR));
}

static void the_servers_state(void **state)
{
	struct refusal r;
	struct refusal_event known = {
	    .verdict = VERDICT_OK, .stage = VERDICT_AT_RCPT, .recipient = 1, .standing = LEDGER_SEEN};
	int64_t now = 10 * HOUR;

	refusal_init(&r, now);
	assert_int_equal(door_server(&r, false, now), DOOR_DOWN);
	assert_int_equal(door_server(&r, true, now), DOOR_GRACE);
	now += REFUSAL_GRACE_US;
	assert_int_equal(door_server(&r, true, now), DOOR_UNPROVEN);
	refusal_event(&r, &known, now);
	assert_int_equal(door_server(&r, true, now), DOOR_HEALTHY);
	assert_int_equal(door_server(&r, true, now + REFUSAL_PROOF_US), DOOR_HEALTHY);
	assert_int_equal(door_server(&r, true, now + REFUSAL_PROOF_US + 1), DOOR_UNPROVEN);
	r.state = REFUSAL_DOUBT;
	assert_int_equal(door_server(&r, true, now), DOOR_UNPROVEN);
	r.state = REFUSAL_HOLDING;
	assert_int_equal(door_server(&r, true, now), DOOR_DOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(answers),
	    cmocka_unit_test(no_other_550),
	    cmocka_unit_test(unseen_recipients_have_a_bound),
	    cmocka_unit_test(who_asks_for_many_strangers_is_not_asked_for),
	    cmocka_unit_test(quotas_fill_up),
	    cmocka_unit_test(the_servers_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
