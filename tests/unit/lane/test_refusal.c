/* The hold detector, rule by rule. Its figures over whole histories are in test_holds.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "lane/refusal.h"
#include "lane/tuning.h"

#define SECOND 1000000LL
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)

struct play {
	struct refusal r;
	int64_t now;
};

/* Long after its first contact. */
static void start(struct play *play)
{
	play->now = 10 * HOUR;
	refusal_init(&play->r, play->now - 2 * HOUR);
}

static struct refusal_event refused(uint64_t recipient, uint64_t sender, enum ledger_standing standing)
{
	return (struct refusal_event){.verdict = VERDICT_REFUSED,
				      .reason = REASON_NO_SUCH_USER,
				      .stage = VERDICT_AT_RCPT,
				      .recipient = recipient,
				      .sender = sender,
				      .standing = standing,
				      .attempts = 1};
}

static struct refusal_advice say(struct play *play, struct refusal_event event)
{
	return refusal_event(&play->r, &event, play->now);
}

static struct refusal_advice accept(struct play *play, uint64_t recipient, enum ledger_standing standing)
{
	struct refusal_event event = {.verdict = VERDICT_OK,
				      .stage = VERDICT_AT_DOT,
				      .recipient = recipient,
				      .sender = 77,
				      .standing = standing};
	return say(play, event);
}

static struct refusal_advice probe(struct play *play, enum verdict verdict, uint64_t recipient)
{
	struct refusal_event event = refused(recipient, recipient, LEDGER_GOOD);

	event.verdict = verdict;
	event.probe = true;
	refusal_probe_out(&play->r, play->now);
	return say(play, event);
}

static void answer(struct play *play, uint64_t recipient, enum verdict verdict)
{
	struct refusal_event event = refused(recipient, 0, LEDGER_GOOD);

	event.verdict = verdict;
	refusal_check_answer(&play->r, &event);
}

static struct refusal_advice check_two(struct play *play, enum verdict first, enum verdict second)
{
	assert_true(refusal_permit(&play->r, play->now).check);
	refusal_check_out(&play->r, play->now);
	assert_false(refusal_permit(&play->r, play->now).check);
	answer(play, 901, first);
	answer(play, 902, second);
	return refusal_check_done(&play->r, true, play->now);
}

static void suspect(struct play *play)
{
	say(play, refused(1, 101, LEDGER_GOOD));
	assert_false(refusal_permit(&play->r, play->now).check && play->r.suspicion == REFUSAL_KNOWN);
	say(play, refused(2, 102, LEDGER_GOOD));
	assert_int_equal(play->r.suspicion, REFUSAL_KNOWN);
}

static void hold(struct play *play)
{
	suspect(play);
	struct refusal_advice advice = check_two(play, VERDICT_REFUSED, VERDICT_REFUSED);
	assert_true(advice.held);
	assert_int_equal(play->r.state, REFUSAL_HOLDING);
}

static void begins_trusted_and_in_grace(void **state)
{
	struct refusal r;

	refusal_init(&r, 5);
	assert_int_equal(r.state, REFUSAL_TRUSTED);
	assert_true(refusal_in_grace(&r, 5 + REFUSAL_GRACE_US - 1));
	assert_false(refusal_in_grace(&r, 5 + REFUSAL_GRACE_US));
	assert_true(refusal_permit(&r, 5).flow);
	assert_false(refusal_permit(&r, 5).check || refusal_permit(&r, 5).probe);
	assert_int_equal(refusal_deadline(&r, 5), INT64_MAX);
	assert_string_equal(refusal_state_name(REFUSAL_HOLDING), "holding");
	assert_string_equal(refusal_cause_words(REFUSAL_NO_CAUSE), "");
	assert_true(strlen(refusal_cause_words(REFUSAL_UNSURE)) > 0);
}

static void two_known_refused_hold_only_after_the_check(void **state)
{
	struct play play;

	start(&play);
	suspect(&play);
	assert_int_equal(play.r.state, REFUSAL_TRUSTED);
	assert_true(refusal_permit(&play.r, play.now).flow);
	struct refusal_advice advice = check_two(&play, VERDICT_REFUSED, VERDICT_REFUSED);
	assert_true(advice.held);
	assert_true(advice.alarm);
	assert_false(advice.released);
	assert_false(refusal_permit(&play.r, play.now).flow);
	assert_true(refusal_permit(&play.r, play.now).probe);
	assert_int_equal(play.r.cause, REFUSAL_KNOWN);
}

static void an_accepting_check_clears(void **state)
{
	struct play play;

	start(&play);
	suspect(&play);
	struct refusal_advice advice = check_two(&play, VERDICT_OK, VERDICT_OK);
	assert_false(advice.held || advice.alarm);
	assert_int_equal(play.r.state, REFUSAL_TRUSTED);
	assert_true(refusal_is_proven(&play.r, play.now));
}

/* However often: a message to many, a sender to many, many to one. */
static void one_sender_or_recipient_is_one_witness(void **state)
{
	struct play play;

	start(&play);
	for (uint64_t i = 1; i < 50; i++)
		say(&play, refused(i, 7, LEDGER_GOOD));
	assert_int_equal(play.r.witness_count, 1);
	assert_int_equal(play.r.suspicion, REFUSAL_NO_CAUSE);
	start(&play);
	for (uint64_t i = 1; i < 50; i++)
		say(&play, refused(7, i, LEDGER_GOOD));
	assert_int_equal(play.r.witness_count, 1);
	assert_int_equal(play.r.suspicion, REFUSAL_NO_CAUSE);
}

/* One who left: three others accepted after it, and it speaks no more. */
static void a_leaver_is_no_witness(void **state)
{
	struct play play;

	start(&play);
	say(&play, refused(1, 101, LEDGER_GOOD));
	assert_true(refusal_is_witness(&play.r, 1));
	for (uint64_t i = 10; i < 12; i++) {
		accept(&play, i, LEDGER_GOOD);
		accept(&play, i, LEDGER_GOOD); /* the same again is no other */
	}
	assert_true(refusal_is_witness(&play.r, 1));
	accept(&play, 12, LEDGER_GOOD);
	assert_false(refusal_is_witness(&play.r, 1));
	assert_true(say(&play, refused(1, 103, LEDGER_GOOD)).departed);
	assert_false(refusal_is_witness(&play.r, 1));
	accept(&play, 1, LEDGER_SEEN); /* and comes back */
	say(&play, refused(1, 104, LEDGER_GOOD));
	assert_true(refusal_is_witness(&play.r, 1));
}

/* With one user only, or none, it is doubt. */
static void a_check_of_one_holds_nothing(void **state)
{
	struct play play;

	start(&play);
	suspect(&play);
	refusal_check_out(&play.r, play.now);
	answer(&play, 901, VERDICT_REFUSED);
	struct refusal_advice advice = refusal_check_done(&play.r, true, play.now);
	assert_false(advice.held);
	assert_int_equal(play.r.state, REFUSAL_DOUBT);
	assert_int_equal(play.r.cause, REFUSAL_UNSURE);
	assert_true(refusal_permit(&play.r, play.now).flow);
	advice = accept(&play, 33, LEDGER_UNSEEN);
	assert_true(advice.released);
	assert_int_equal(play.r.state, REFUSAL_TRUSTED);
	assert_true(refusal_in_grace(&play.r, play.now));
}

static void nobody_to_ask(void **state)
{
	struct play play;

	play.now = 10 * HOUR;
	refusal_init(&play.r, play.now);
	for (uint64_t i = 1; i <= REFUSAL_RUN_GRACE; i++)
		say(&play, refused(i, 100 + i, LEDGER_UNSEEN));
	assert_true(refusal_permit(&play.r, play.now).check);
	refusal_check_out(&play.r, play.now);
	struct refusal_advice advice = refusal_check_done(&play.r, false, play.now);
	assert_false(advice.held);
	assert_true(advice.alarm);
	assert_int_equal(play.r.state, REFUSAL_DOUBT);
	struct refusal_permit permit = refusal_permit(&play.r, play.now);
	assert_true(permit.flow && permit.trickle && permit.probe);
	refusal_sent(&play.r, play.now);
	assert_false(refusal_permit(&play.r, play.now + REFUSAL_TRICKLE_US - 1).flow);
	assert_true(refusal_permit(&play.r, play.now + REFUSAL_TRICKLE_US).flow);
}

static void nobody_to_ask_without_grace_is_no_alarm(void **state)
{
	struct play play;

	start(&play);
	for (uint64_t i = 1; i <= refusal_run_limit(&play.r, play.now) + 1; i++)
		say(&play, refused(i, 100 + i, LEDGER_UNSEEN));
	refusal_check_out(&play.r, play.now);
	struct refusal_advice advice = refusal_check_done(&play.r, false, play.now);
	assert_false(advice.alarm);
	assert_false(refusal_permit(&play.r, play.now).trickle);
}

static void some_accepted_some_refused_is_doubt(void **state)
{
	struct play play;

	start(&play);
	suspect(&play);
	struct refusal_advice advice = check_two(&play, VERDICT_OK, VERDICT_REFUSED);
	assert_true(advice.alarm);
	assert_int_equal(play.r.state, REFUSAL_DOUBT);
	assert_int_equal(play.r.cause, REFUSAL_MIXED);
	assert_true(refusal_permit(&play.r, play.now).flow);
	assert_false(refusal_permit(&play.r, play.now).probe);
	for (uint64_t i = 1; i < REFUSAL_CALM_COUNT; i++)
		assert_false(accept(&play, i, LEDGER_GOOD).released);
	assert_true(accept(&play, 500, LEDGER_GOOD).released);
	assert_int_equal(play.r.state, REFUSAL_TRUSTED);
}

static void quiet_ends_that_doubt_too(void **state)
{
	struct play play;

	start(&play);
	suspect(&play);
	check_two(&play, VERDICT_OK, VERDICT_REFUSED);
	for (uint64_t i = 1; i < REFUSAL_CALM_LEAST; i++)
		accept(&play, i, LEDGER_GOOD);
	play.now += REFUSAL_CALM_US;
	assert_true(accept(&play, 500, LEDGER_GOOD).released);
}

/* 5, 10, then each 15 s; one at a time. */
static void probes_of_a_hold(void **state)
{
	static const int64_t gaps[] = {5, 10, 15, 15, 15};
	struct play play;

	start(&play);
	hold(&play);
	for (size_t i = 0; i < sizeof(gaps) / sizeof(gaps[0]); i++) {
		int64_t sent = play.now;

		assert_true(refusal_permit(&play.r, play.now).probe);
		refusal_probe_out(&play.r, play.now);
		assert_false(refusal_permit(&play.r, play.now + MINUTE).probe);
		play.now += SECOND;
		struct refusal_event event = refused(3, 3, LEDGER_GOOD);
		event.probe = true;
		assert_int_equal(say(&play, event).act, REFUSAL_HOLD);
		assert_int_equal(refusal_deadline(&play.r, play.now), sent + gaps[i] * SECOND);
		play.now = sent + gaps[i] * SECOND;
	}
	assert_true(probe(&play, VERDICT_OK, 3).released);
	assert_true(refusal_permit(&play.r, play.now).flow);
	assert_true(refusal_in_grace(&play.r, play.now));
}

static void a_lost_probe_does_not_end_them(void **state)
{
	struct play play;

	start(&play);
	hold(&play);
	refusal_probe_out(&play.r, play.now);
	assert_int_equal(refusal_deadline(&play.r, play.now), play.now + REFUSAL_PROBE_LOST_US);
	assert_true(refusal_permit(&play.r, play.now + REFUSAL_PROBE_LOST_US).probe);
	refusal_probe_abandoned(&play.r);
	assert_true(refusal_permit(&play.r, play.now + 5 * SECOND).probe);
}

/* Again within the hour: each time one more, at once after one another; and no further alarm. */
static void a_hold_that_comes_back_wants_more(void **state)
{
	struct play play;

	start(&play);
	hold(&play);
	assert_true(probe(&play, VERDICT_OK, 3).released);
	for (uint32_t times = 1; times <= 5; times++) {
		uint32_t more = times < REFUSAL_RELAPSES_MAX ? times : REFUSAL_RELAPSES_MAX;

		play.now += MINUTE;
		suspect(&play);
		assert_false(check_two(&play, VERDICT_REFUSED, VERDICT_REFUSED).alarm);
		assert_false(probe(&play, VERDICT_OK, 3).released);
		probe(&play, VERDICT_REFUSED, 4); /* from the beginning */
		play.now += 15 * SECOND;
		for (uint32_t i = 0; i < more; i++) {
			assert_true(refusal_permit(&play.r, play.now).probe);
			assert_false(probe(&play, VERDICT_OK, 3).released);
		}
		assert_true(probe(&play, VERDICT_OK, 3).released);
	}
	play.now += 2 * HOUR;
	suspect(&play);
	assert_true(check_two(&play, VERDICT_REFUSED, VERDICT_REFUSED).alarm);
	assert_true(probe(&play, VERDICT_OK, 3).released);
}

static void relaying_denied_is_a_suspicion_at_once(void **state)
{
	struct play play;
	struct refusal_event event = refused(1, 1, LEDGER_UNSEEN);

	event.verdict = VERDICT_DOMAIN;
	start(&play);
	say(&play, event);
	assert_int_equal(play.r.suspicion, REFUSAL_CLASS);
	check_two(&play, VERDICT_OK, VERDICT_OK);
	/* A stranger's odd recipients: asked seldom now. */
	for (uint64_t i = 2; i < 50; i++) {
		event.recipient = event.sender = i;
		say(&play, event);
		assert_true(play.r.check == REFUSAL_CHECK_NONE || play.r.suspicion == REFUSAL_NO_CAUSE);
	}
	/* But what known recipients say is heard at once. */
	suspect(&play);
	assert_int_equal(play.r.check, REFUSAL_CHECK_WANTED);
}

static void weak_checks_are_spaced_out(void **state)
{
	struct play play;
	struct refusal_event event = refused(1, 1, LEDGER_UNSEEN);
	uint32_t checks = 0;

	event.verdict = VERDICT_DOMAIN;
	start(&play);
	for (uint64_t i = 0; i < 3600; i++) {
		event.recipient = event.sender = i;
		accept(&play, 5, LEDGER_GOOD); /* proven: nobody else asks */
		say(&play, event);
		if (refusal_permit(&play.r, play.now).check) {
			check_two(&play, VERDICT_OK, VERDICT_OK);
			checks++;
		}
		play.now += SECOND;
	}
	assert_in_range(checks, 3, 10);
}

static void runs_depend_on_custom(void **state)
{
	struct play play;

	start(&play);
	assert_int_equal(refusal_run_limit(&play.r, play.now), 8);
	play.r.share = 0.9;
	assert_int_equal(refusal_run_limit(&play.r, play.now), 88);
	play.r.share = 1;
	assert_int_equal(refusal_run_limit(&play.r, play.now), 180);
	refusal_grace(&play.r, play.now);
	assert_int_equal(refusal_run_limit(&play.r, play.now), REFUSAL_RUN_GRACE);
}

static void a_run_of_strangers(void **state)
{
	struct play play;

	start(&play);
	play.r.share = 0; /* so that these few do not move the limit */
	for (uint64_t i = 1; i < 8; i++)
		say(&play, refused(i, 100 + i, LEDGER_UNSEEN));
	assert_int_equal(play.r.suspicion, REFUSAL_NO_CAUSE);
	say(&play, refused(8, 101, LEDGER_UNSEEN)); /* a sender that was there before */
	say(&play, refused(7, 108, LEDGER_UNSEEN));
	assert_int_equal(play.r.suspicion, REFUSAL_NO_CAUSE);
	say(&play, refused(8, 108, LEDGER_UNSEEN));
	assert_int_equal(play.r.suspicion, REFUSAL_RUN);
}

static void senders_in_a_row(void **state)
{
	struct play play;
	struct refusal_event event = refused(1, 1, LEDGER_GOOD), mail = event;

	event.verdict = VERDICT_MESSAGE;
	event.stage = VERDICT_AT_MAIL;
	start(&play);
	for (event.sender = 1; event.sender < REFUSAL_SENDERS_RUN; event.sender++) {
		assert_int_equal(say(&play, event).act, REFUSAL_MESSAGE);
		say(&play, event);
	}
	assert_int_equal(play.r.check, REFUSAL_CHECK_NONE);
	say(&play, event);
	assert_int_equal(play.r.suspicion, REFUSAL_SENDERS);
	refusal_check_out(&play.r, play.now);
	mail.stage = VERDICT_AT_MAIL;
	mail.verdict = VERDICT_MESSAGE;
	refusal_check_answer(&play.r, &mail);
	refusal_check_answer(&play.r, &mail);
	assert_true(refusal_check_done(&play.r, true, play.now).held);
	assert_int_equal(play.r.cause, REFUSAL_SENDERS);
}

static void nearly_all_deferred(void **state)
{
	struct play play;
	struct refusal_event event = refused(1, 1, LEDGER_GOOD);

	event.verdict = VERDICT_RECIPIENT;
	start(&play);
	for (uint64_t i = 0; i < 40; i++) { /* greylisting is not soft */
		event.recipient = i;
		assert_int_equal(say(&play, event).act, REFUSAL_MESSAGE);
	}
	event.reason = REASON_RECIPIENT_DEFERRED;
	for (uint64_t i = 0; i < 40; i++) { /* neither are four mailboxes */
		event.recipient = i % 4;
		say(&play, event);
	}
	assert_int_equal(play.r.check, REFUSAL_CHECK_NONE);
	event.recipient = 50;
	say(&play, event);
	assert_int_equal(play.r.suspicion, REFUSAL_SOFT);
	refusal_check_out(&play.r, play.now);
	refusal_check_answer(&play.r, &event);
	refusal_check_answer(&play.r, &event);
	assert_true(refusal_check_done(&play.r, true, play.now).held);
}

static void contents_hold_nothing(void **state)
{
	struct play play;
	struct refusal_event event = refused(1, 1, LEDGER_GOOD);
	uint32_t told = 0;

	event.verdict = VERDICT_MESSAGE;
	event.stage = VERDICT_AT_DOT;
	start(&play);
	for (event.sender = 1; event.sender < 1000; event.sender++) {
		told += say(&play, event).contents;
		assert_int_equal(refusal_of_contents(&play.r, play.now), event.sender >= REFUSAL_CONTENT_RUN);
	}
	assert_int_equal(told, 1);
	assert_int_equal(play.r.state, REFUSAL_TRUSTED);
	assert_int_equal(play.r.check, REFUSAL_CHECK_NONE);
	accept(&play, 3, LEDGER_GOOD);
	assert_false(refusal_of_contents(&play.r, play.now));
}

/* --- ends --- */

static void an_unseen_one_ends_when_proven_and_repeated(void **state)
{
	struct play play;
	struct refusal_event event = refused(1, 1, LEDGER_UNSEEN);

	start(&play);
	struct refusal_advice advice = say(&play, event); /* nothing proves the server */
	assert_int_equal(advice.act, REFUSAL_PARK);
	assert_false(advice.counted);
	assert_int_equal(advice.park_ms, REFUSAL_PROVE_PARK_MS);
	check_two(&play, VERDICT_OK, VERDICT_OK);
	play.now += REFUSAL_PROVE_PARK_MS * 1000;
	advice = say(&play, event);
	assert_true(advice.counted);
	assert_int_equal(advice.act, REFUSAL_PARK);
	assert_int_equal(advice.park_ms, REFUSAL_END_MS);
	event.counted = 1;
	event.counted_ms = REFUSAL_END_MS - 1;
	accept(&play, 5, LEDGER_SEEN);
	assert_int_equal(say(&play, event).act, REFUSAL_PARK);
	event.counted_ms = REFUSAL_END_MS;
	assert_int_equal(say(&play, event).act, REFUSAL_END);
	play.now += REFUSAL_PROOF_US + 1;
	assert_int_equal(say(&play, event).act, REFUSAL_PARK);
}

/* "Not from you", "access denied": two days for anybody. */
static void only_no_such_user_ends_soon(void **state)
{
	struct play play;
	struct refusal_event event = refused(1, 1, LEDGER_UNSEEN);

	start(&play);
	accept(&play, 5, LEDGER_GOOD);
	event.reason = REASON_RECIPIENT_CLOSED;
	event.counted = REFUSAL_END_KNOWN_COUNT - 1;
	event.counted_ms = REFUSAL_END_KNOWN_MS - 1;
	assert_int_equal(say(&play, event).act, REFUSAL_PARK);
	event.counted_ms++;
	assert_int_equal(say(&play, event).act, REFUSAL_END);
}

static void nothing_ends_unproven(void **state)
{
	struct play play;
	struct refusal_event event = refused(1, 1, LEDGER_UNSEEN);

	event.counted = 50;
	event.counted_ms = 1000 * REFUSAL_END_MS;
	start(&play);
	assert_int_equal(say(&play, event).act, REFUSAL_PARK); /* no proof */
	start(&play);
	accept(&play, 5, LEDGER_GOOD);
	assert_int_equal(say(&play, event).act, REFUSAL_END);
	refusal_server_lost(&play.r);
	assert_int_equal(say(&play, event).act, REFUSAL_PARK); /* the lane fell */
	start(&play);
	accept(&play, 5, LEDGER_UNSEEN); /* a stranger's accept proves nothing */
	assert_int_equal(say(&play, event).act, REFUSAL_PARK);
	start(&play);
	refusal_grace(&play.r, play.now);
	accept(&play, 5, LEDGER_GOOD);
	struct refusal_advice advice = say(&play, event);
	assert_int_equal(advice.act, REFUSAL_PARK); /* grace */
	assert_int_equal(advice.park_ms, REFUSAL_GRACE_US / 1000);
	start(&play);
	accept(&play, 5, LEDGER_GOOD);
	suspect(&play);
	accept(&play, 6, LEDGER_GOOD);
	assert_int_equal(say(&play, event).act, REFUSAL_PARK); /* suspicion */
	start(&play);
	suspect(&play);
	check_two(&play, VERDICT_OK, VERDICT_REFUSED);
	accept(&play, 6, LEDGER_GOOD);
	assert_int_equal(say(&play, event).act, REFUSAL_PARK); /* doubt */
	start(&play);
	hold(&play);
	assert_int_equal(say(&play, event).act, REFUSAL_HOLD);
}

static void a_known_one_has_two_days(void **state)
{
	static const int64_t parks[] = {120000, 600000, 1800000, 3600000, 3600000};
	struct play play;
	struct refusal_event event = refused(1, 1, LEDGER_SEEN);

	start(&play);
	for (size_t i = 0; i < sizeof(parks) / sizeof(parks[0]); i++) {
		accept(&play, 5, LEDGER_GOOD);
		event.attempts = (uint32_t)i + 1;
		event.counted = (uint32_t)i;
		struct refusal_advice advice = say(&play, event);
		assert_true(advice.counted);
		assert_int_equal(advice.park_ms, parks[i]);
	}
	event.counted = REFUSAL_END_KNOWN_COUNT - 1;
	event.counted_ms = REFUSAL_END_KNOWN_MS - 1;
	assert_int_equal(say(&play, event).act, REFUSAL_PARK);
	event.counted_ms++;
	event.counted--;
	assert_int_equal(say(&play, event).act, REFUSAL_PARK);
	event.counted++;
	assert_int_equal(say(&play, event).act, REFUSAL_END);
}

static void proof_is_not_asked_for_without_end(void **state)
{
	struct play play;

	start(&play);
	say(&play, refused(1, 1, LEDGER_UNSEEN));
	refusal_check_out(&play.r, play.now);
	refusal_check_done(&play.r, false, play.now); /* nobody is known */
	struct refusal_advice advice = say(&play, refused(1, 1, LEDGER_UNSEEN));
	assert_int_equal(play.r.check, REFUSAL_CHECK_NONE);
	assert_int_equal(advice.park_ms, 120000);
	assert_int_equal(play.r.state, REFUSAL_TRUSTED);
}

/* --- the check itself --- */

static void a_check_that_failed_is_made_again(void **state)
{
	struct play play;

	start(&play);
	suspect(&play);
	refusal_check_out(&play.r, play.now);
	answer(&play, 901, VERDICT_HOST);
	refusal_check_done(&play.r, true, play.now);
	assert_false(refusal_permit(&play.r, play.now).check);
	assert_int_equal(refusal_deadline(&play.r, play.now), play.now + REFUSAL_CHECK_AGAIN_US);
	assert_true(refusal_permit(&play.r, play.now + REFUSAL_CHECK_AGAIN_US).check);
	refusal_check_out(&play.r, play.now);
	assert_int_equal(refusal_deadline(&play.r, play.now), play.now + REFUSAL_CHECK_LOST_US);
	assert_true(refusal_permit(&play.r, play.now + REFUSAL_CHECK_LOST_US).check);
	struct refusal_advice late = refusal_check_done(&play.r, true, play.now);
	assert_false(late.held);
}

static void a_check_may_find_leavers(void **state)
{
	struct play play;

	start(&play);
	suspect(&play);
	refusal_check_out(&play.r, play.now);
	answer(&play, 901, VERDICT_OK);
	answer(&play, 1, VERDICT_REFUSED);     /* a witness: that we knew */
	answer(&play, 902, VERDICT_RECIPIENT); /* its mailbox is full: it exists */
	refusal_check_done(&play.r, true, play.now);
	assert_int_equal(play.r.state, REFUSAL_TRUSTED);
	/* Refused anew soon after: then some are, and some are not. */
	play.now += MINUTE;
	suspect(&play);
	check_two(&play, VERDICT_OK, VERDICT_OK);
	assert_int_equal(play.r.state, REFUSAL_DOUBT);
}

/* --- saved --- */

static void survives_a_restart(void **state)
{
	struct play play;
	struct refusal loaded;
	struct buffer saved;

	start(&play);
	hold(&play);
	play.now += 7 * SECOND;
	buffer_init(&saved, 0);
	assert_int_equal(refusal_save(&play.r, play.now, &saved), 0);
	assert_int_equal(refusal_load(&loaded, buffer_slice(&saved), 3), 0);
	assert_int_equal(loaded.state, REFUSAL_HOLDING);
	assert_int_equal(loaded.cause, REFUSAL_KNOWN);
	assert_int_equal(loaded.since_us, 3 - 7 * SECOND);
	assert_true(loaded.alarmed);
	assert_true(refusal_permit(&loaded, 3).probe);
	buffer_reset(&saved);
	refusal_grace(&play.r, play.now);
	assert_int_equal(refusal_save(&play.r, play.now + MINUTE, &saved), 0);
	assert_int_equal(refusal_load(&loaded, buffer_slice(&saved), 0), 0);
	assert_int_equal(loaded.grace_until_us, REFUSAL_GRACE_US - MINUTE);
	buffer_deinit(&saved);
}

static void damaged_records_are_refused(void **state)
{
	struct play play;
	struct buffer saved;
	char copy[128];

	start(&play);
	hold(&play);
	buffer_init(&saved, 0);
	assert_int_equal(refusal_save(&play.r, play.now, &saved), 0);
	size_t size = buffer_size(&saved);
	assert_true(size < sizeof(copy));
	struct refusal before = play.r;
	for (size_t cut = 0; cut < size; cut++)
		assert_int_equal(refusal_load(&play.r, slice_upto(buffer_slice(&saved), cut), 0),
				 ERR_CORRUPT);
	for (size_t i = 0; i < size; i++) {
		memcpy(copy, buffer_slice(&saved).data, size);
		copy[i] = (char)0xff;
		int error = refusal_load(&play.r, slice_make(copy, size), 0);
		assert_true(error != 0 || play.r.state == REFUSAL_HOLDING);
		play.r = before;
	}
	copy[0] = 2;
	assert_int_equal(refusal_load(&play.r, slice_make(copy, size), 0), ERR_VERSION);
	memcpy(copy, buffer_slice(&saved).data, size);
	copy[1] = REFUSAL_TRUSTED; /* with a cause */
	assert_int_equal(refusal_load(&play.r, slice_make(copy, size), 0), ERR_CORRUPT);
	assert_memory_equal(&play.r, &before, sizeof(before));
	buffer_deinit(&saved);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(begins_trusted_and_in_grace),
	    cmocka_unit_test(two_known_refused_hold_only_after_the_check),
	    cmocka_unit_test(an_accepting_check_clears),
	    cmocka_unit_test(one_sender_or_recipient_is_one_witness),
	    cmocka_unit_test(a_leaver_is_no_witness),
	    cmocka_unit_test(a_check_of_one_holds_nothing),
	    cmocka_unit_test(nobody_to_ask),
	    cmocka_unit_test(nobody_to_ask_without_grace_is_no_alarm),
	    cmocka_unit_test(some_accepted_some_refused_is_doubt),
	    cmocka_unit_test(quiet_ends_that_doubt_too),
	    cmocka_unit_test(probes_of_a_hold),
	    cmocka_unit_test(a_lost_probe_does_not_end_them),
	    cmocka_unit_test(a_hold_that_comes_back_wants_more),
	    cmocka_unit_test(relaying_denied_is_a_suspicion_at_once),
	    cmocka_unit_test(weak_checks_are_spaced_out),
	    cmocka_unit_test(runs_depend_on_custom),
	    cmocka_unit_test(a_run_of_strangers),
	    cmocka_unit_test(senders_in_a_row),
	    cmocka_unit_test(nearly_all_deferred),
	    cmocka_unit_test(contents_hold_nothing),
	    cmocka_unit_test(an_unseen_one_ends_when_proven_and_repeated),
	    cmocka_unit_test(only_no_such_user_ends_soon),
	    cmocka_unit_test(nothing_ends_unproven),
	    cmocka_unit_test(a_known_one_has_two_days),
	    cmocka_unit_test(proof_is_not_asked_for_without_end),
	    cmocka_unit_test(a_check_that_failed_is_made_again),
	    cmocka_unit_test(a_check_may_find_leavers),
	    cmocka_unit_test(survives_a_restart),
	    cmocka_unit_test(damaged_records_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
