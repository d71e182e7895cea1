#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "lane/domain_state.h"
#include "lane/tuning.h"

#define SECOND 1000000LL
#define WALL   1700000000000LL

struct play {
	struct domain_flow flow;
	struct rng rng;
	int64_t now;
};

static void start(struct play *play)
{
	domain_flow_init(&play->flow, WALL);
	rng_init(&play->rng, 3);
	play->now = SECOND;
}

static int64_t wall(const struct play *play)
{
	return WALL + play->now / 1000;
}

static bool outcome(struct play *play, enum verdict verdict, uint64_t recipient, uint64_t sender)
{
	return domain_outcome(&play->flow, verdict, recipient, sender, SLICE("550 5.1.1 no"), &play->rng,
			      play->now, wall(play));
}

static void refuse(struct play *play)
{
	assert_true(outcome(play, VERDICT_DOMAIN, 1, 1));
	assert_int_equal(play->flow.state, DOMAIN_REFUSING);
}

static void new_one_flows(void **state)
{
	struct play play;

	start(&play);
	assert_true(domain_permit(&play.flow, play.now).flow);
	assert_false(domain_permit(&play.flow, play.now).canary);
	assert_int_equal(domain_deadline(&play.flow, play.now, wall(&play)), INT64_MAX);
	assert_string_equal(domain_state_name(DOMAIN_OPEN), "open");
	assert_string_equal(domain_state_name(DOMAIN_WAITING), "waiting");
}

static void so_many_refusals_and_no_fewer(void **state)
{
	struct play play;

	start(&play);
	for (uint64_t i = 1; i < DOMAIN_REFUSING_AFTER; i++)
		assert_false(outcome(&play, VERDICT_REFUSED, i, 100 + i));
	assert_true(domain_permit(&play.flow, play.now).flow);
	assert_true(outcome(&play, VERDICT_REFUSED, DOMAIN_REFUSING_AFTER, 100 + DOMAIN_REFUSING_AFTER));
	assert_int_equal(play.flow.state, DOMAIN_REFUSING);
	assert_false(domain_permit(&play.flow, play.now).flow);
	assert_string_equal(play.flow.reason, "550 5.1.1 no");
	assert_int_equal(play.flow.since_wall_ms, wall(&play));
}

static void an_accept_between_forgets(void **state)
{
	struct play play;

	start(&play);
	for (uint64_t i = 1; i < 100; i++) {
		assert_false(
		    outcome(&play, i % DOMAIN_REFUSING_AFTER == 0 ? VERDICT_OK : VERDICT_REFUSED, i, i));
		assert_int_equal(play.flow.state, DOMAIN_OPEN);
	}
}

/* An attacker's one message, one sender or one recipient, however often. */
static void one_sender_or_recipient_switches_nothing(void **state)
{
	struct play play;

	start(&play);
	for (uint64_t i = 1; i < 50; i++)
		assert_false(outcome(&play, VERDICT_REFUSED, i, 7));
	start(&play);
	for (uint64_t i = 1; i < 50; i++)
		assert_false(outcome(&play, VERDICT_REFUSED, 7, i));
	assert_int_equal(play.flow.state, DOMAIN_OPEN);
}

static void being_distrusted_counts_too(void **state)
{
	struct play play;

	start(&play);
	for (uint64_t i = 1; i < DOMAIN_REFUSING_AFTER; i++)
		assert_false(outcome(&play, VERDICT_US, i, i));
	assert_true(outcome(&play, VERDICT_US, 50, 50));
	assert_int_equal(play.flow.state, DOMAIN_REFUSING);
}

static void what_says_nothing_of_the_domain(void **state)
{
	static const enum verdict verdicts[] = {VERDICT_HOST,	  VERDICT_CONN_LIMIT, VERDICT_RATE,
						VERDICT_PRESSURE, VERDICT_BUSY,	      VERDICT_RECIPIENT,
						VERDICT_MESSAGE,  VERDICT_LATER,      VERDICT_UNKNOWN};
	struct play play;

	start(&play);
	for (uint64_t i = 0; i < 90; i++)
		assert_false(outcome(&play, verdicts[i % (sizeof(verdicts) / sizeof(verdicts[0]))], i, i));
	assert_int_equal(play.flow.state, DOMAIN_OPEN);
	refuse(&play);
	for (uint64_t i = 0; i < 90; i++)
		assert_false(outcome(&play, verdicts[i % (sizeof(verdicts) / sizeof(verdicts[0]))], i, i));
	assert_int_equal(play.flow.state, DOMAIN_REFUSING);
}

/* The first canary at once, then after 5, 10 and each 15 s; one at a time. */
static void canaries_of_a_refusing_domain(void **state)
{
	static const int64_t gaps[] = {5, 10, 15, 15, 15};
	struct play play;

	start(&play);
	refuse(&play);
	play.now = domain_deadline(&play.flow, play.now, wall(&play));
	assert_in_range(play.now, SECOND, SECOND + DOMAIN_FIRST_CANARY_US);
	for (size_t i = 0; i < sizeof(gaps) / sizeof(gaps[0]); i++) {
		int64_t sent = play.now;

		assert_true(domain_permit(&play.flow, play.now).canary);
		assert_false(domain_permit(&play.flow, play.now).flow);
		domain_canary_out(&play.flow, play.now);
		assert_false(domain_permit(&play.flow, play.now + 60 * SECOND).canary);
		play.now += SECOND;
		assert_false(outcome(&play, VERDICT_REFUSED, 9, 9));
		assert_int_equal(domain_deadline(&play.flow, play.now, wall(&play)), sent + gaps[i] * SECOND);
		play.now = sent + gaps[i] * SECOND - 1;
		assert_false(domain_permit(&play.flow, play.now).canary);
		play.now++;
	}
}

static void an_accept_opens_and_frees_what_is_parked(void **state)
{
	struct play play;
	uint32_t epoch;

	start(&play);
	refuse(&play);
	epoch = play.flow.epoch;
	play.now += SECOND;
	domain_canary_out(&play.flow, play.now);
	play.now += SECOND;
	assert_true(outcome(&play, VERDICT_OK, 5, 5));
	assert_int_equal(play.flow.state, DOMAIN_OPEN);
	assert_int_equal(play.flow.epoch, epoch + 1);
	assert_string_equal(play.flow.reason, "");
	assert_int_equal(play.flow.refused_in_row, 0);
	assert_true(domain_permit(&play.flow, play.now).flow);
}

static void a_canary_without_result(void **state)
{
	struct play play;

	start(&play);
	refuse(&play);
	play.now += SECOND;
	domain_canary_out(&play.flow, play.now);
	domain_canary_abandoned(&play.flow);
	assert_false(domain_permit(&play.flow, play.now).canary); /* not sooner than its time */
	play.now += 5 * SECOND;
	assert_true(domain_permit(&play.flow, play.now).canary);
	domain_canary_out(&play.flow, play.now);
	assert_int_equal(domain_deadline(&play.flow, play.now, wall(&play)),
			 play.now + DOMAIN_CANARY_LOST_US);
	assert_false(domain_permit(&play.flow, play.now + DOMAIN_CANARY_LOST_US - 1).canary);
	assert_true(domain_permit(&play.flow, play.now + DOMAIN_CANARY_LOST_US).canary);
}

static void paused_by_hand(void **state)
{
	struct play play;

	start(&play);
	assert_true(domain_pause(&play.flow, 0, wall(&play)));
	assert_false(domain_pause(&play.flow, 0, wall(&play)));
	assert_false(domain_permit(&play.flow, play.now).flow);
	assert_int_equal(domain_deadline(&play.flow, play.now, wall(&play)), INT64_MAX);
	assert_false(domain_tick(&play.flow, play.now, wall(&play) + 1000000000));
	assert_false(outcome(&play, VERDICT_OK, 1, 1)); /* one that was under way opens nothing */
	assert_int_equal(play.flow.state, DOMAIN_PAUSED);
	assert_false(outcome(&play, VERDICT_DOMAIN, 1, 1));
	assert_int_equal(play.flow.state, DOMAIN_PAUSED);
	assert_true(domain_resume(&play.flow, wall(&play)));
	assert_false(domain_resume(&play.flow, wall(&play)));
	assert_int_equal(play.flow.state, DOMAIN_OPEN);
	assert_int_equal(play.flow.epoch, 1);
}

static void paused_until(void **state)
{
	struct play play;
	int64_t until;

	start(&play);
	until = wall(&play) + 60000;
	assert_true(domain_pause(&play.flow, until, wall(&play)));
	assert_int_equal(domain_deadline(&play.flow, play.now, wall(&play)), play.now + 60 * SECOND);
	/* A far end is looked at once an hour, for the wall clock may jump. */
	assert_false(domain_pause(&play.flow, until + 100 * DOMAIN_PAUSE_LOOK_MS, wall(&play)));
	assert_int_equal(domain_deadline(&play.flow, play.now, wall(&play)),
			 play.now + DOMAIN_PAUSE_LOOK_MS * 1000);
	assert_false(domain_pause(&play.flow, until, wall(&play)));
	assert_false(domain_tick(&play.flow, play.now, until - 1));
	assert_true(domain_tick(&play.flow, play.now, until));
	assert_int_equal(play.flow.state, DOMAIN_OPEN);
	/* Overdue: now. */
	domain_pause(&play.flow, until, until);
	assert_int_equal(domain_deadline(&play.flow, play.now, until + 5000), play.now);
}

static void without_destination(void **state)
{
	struct play play;

	start(&play);
	assert_true(domain_destination(&play.flow, false, SLICE("no MX beyond us"), wall(&play)));
	assert_int_equal(play.flow.state, DOMAIN_WAITING);
	assert_string_equal(play.flow.reason, "no MX beyond us");
	assert_false(domain_destination(&play.flow, false, SLICE("SERVFAIL"), wall(&play)));
	assert_string_equal(play.flow.reason, "SERVFAIL");
	/* A pause outlasts a destination, and ends in waiting when there is none. */
	assert_true(domain_pause(&play.flow, 0, wall(&play)));
	assert_false(domain_destination(&play.flow, true, SLICE(""), wall(&play)));
	assert_int_equal(play.flow.state, DOMAIN_PAUSED);
	assert_false(domain_destination(&play.flow, false, SLICE(""), wall(&play)));
	assert_true(domain_resume(&play.flow, wall(&play)));
	assert_int_equal(play.flow.state, DOMAIN_WAITING);
	assert_true(domain_destination(&play.flow, true, SLICE(""), wall(&play)));
	assert_int_equal(play.flow.state, DOMAIN_OPEN);
	assert_false(domain_destination(&play.flow, true, SLICE(""), wall(&play)));
}

static void a_long_reason_is_cut(void **state)
{
	struct play play;
	char words[400];

	start(&play);
	memset(words, 'x', sizeof(words));
	assert_true(domain_outcome(&play.flow, VERDICT_DOMAIN, 1, 1, slice_make(words, sizeof(words)),
				   &play.rng, play.now, wall(&play)));
	assert_int_equal(strlen(play.flow.reason), sizeof(play.flow.reason) - 1);
}

static void saved_and_loaded(void **state)
{
	struct play play;
	struct domain_flow loaded;
	struct buffer bytes;
	struct slice all;

	start(&play);
	refuse(&play);
	play.flow.epoch = 9;
	buffer_init(&bytes, 0);
	assert_int_equal(domain_flow_save(&play.flow, &bytes), 0);
	all = buffer_slice(&bytes);
	domain_flow_init(&loaded, 5);
	/* Every cut is damage and changes nothing. */
	for (size_t size = 0; size < all.size; size++) {
		assert_int_equal(domain_flow_load(&loaded, slice_upto(all, size), play.now, wall(&play)),
				 ERR_CORRUPT);
		assert_int_equal(loaded.since_wall_ms, 5);
	}
	assert_int_equal(domain_flow_load(&loaded, all, play.now, wall(&play)), 0);
	assert_int_equal(loaded.state, DOMAIN_REFUSING);
	assert_int_equal(loaded.epoch, 9);
	assert_int_equal(loaded.since_wall_ms, play.flow.since_wall_ms);
	assert_string_equal(loaded.reason, play.flow.reason);
	assert_true(domain_permit(&loaded, play.now).canary);
	bytes.bytes[bytes.start] = 2; /* a newer version */
	assert_int_equal(domain_flow_load(&loaded, buffer_slice(&bytes), play.now, wall(&play)), ERR_VERSION);
	bytes.bytes[bytes.start] = 1;
	bytes.bytes[bytes.start + 1] = 4; /* no such state */
	assert_int_equal(domain_flow_load(&loaded, buffer_slice(&bytes), play.now, wall(&play)), ERR_CORRUPT);
	buffer_deinit(&bytes);
}

static void saving_without_room(void **state)
{
	struct play play;
	struct buffer bytes;

	start(&play);
	buffer_init(&bytes, 10);
	assert_int_equal(domain_flow_save(&play.flow, &bytes), ERR_MEMORY);
	buffer_deinit(&bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(new_one_flows),
	    cmocka_unit_test(so_many_refusals_and_no_fewer),
	    cmocka_unit_test(an_accept_between_forgets),
	    cmocka_unit_test(one_sender_or_recipient_switches_nothing),
	    cmocka_unit_test(being_distrusted_counts_too),
	    cmocka_unit_test(what_says_nothing_of_the_domain),
	    cmocka_unit_test(canaries_of_a_refusing_domain),
	    cmocka_unit_test(an_accept_opens_and_frees_what_is_parked),
	    cmocka_unit_test(a_canary_without_result),
	    cmocka_unit_test(paused_by_hand),
	    cmocka_unit_test(paused_until),
	    cmocka_unit_test(without_destination),
	    cmocka_unit_test(a_long_reason_is_cut),
	    cmocka_unit_test(saved_and_loaded),
	    cmocka_unit_test(saving_without_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
