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
	int64_t now;
};

static void start(struct play *play)
{
	domain_flow_init(&play->flow, WALL);
	play->now = SECOND;
}

static int64_t wall(const struct play *play)
{
	return WALL + play->now / 1000;
}

static bool refusing(struct play *play, bool refuses)
{
	return domain_refusing(&play->flow, refuses, SLICE("550 5.1.1 no"), wall(play));
}

static void new_one_flows(void **state)
{
	struct play play;

	start(&play);
	assert_true(domain_flows(&play.flow));
	assert_int_equal(domain_deadline(&play.flow, play.now, wall(&play)), INT64_MAX);
	assert_string_equal(domain_state_name(DOMAIN_OPEN), "open");
	assert_string_equal(domain_state_name(DOMAIN_WAITING), "waiting");
}

static void refusing_and_open_again(void **state)
{
	struct play play;

	start(&play);
	assert_true(refusing(&play, true));
	assert_int_equal(play.flow.state, DOMAIN_REFUSING);
	assert_string_equal(play.flow.reason, "550 5.1.1 no");
	assert_false(domain_flows(&play.flow));
	assert_false(refusing(&play, true));
	assert_true(refusing(&play, false));
	assert_int_equal(play.flow.state, DOMAIN_OPEN);
	assert_string_equal(play.flow.reason, "");
	assert_int_equal(play.flow.epoch, 1);
	assert_false(refusing(&play, false));
}

/* What holds by hand, or for want of a server, comes first; the refusal is seen after it. */
static void other_reasons_come_first(void **state)
{
	struct play play;

	start(&play);
	assert_true(domain_pause(&play.flow, 0, wall(&play)));
	assert_false(refusing(&play, true));
	assert_int_equal(play.flow.state, DOMAIN_PAUSED);
	assert_true(domain_resume(&play.flow, wall(&play)));
	assert_int_equal(play.flow.state, DOMAIN_REFUSING);
	assert_true(domain_destination(&play.flow, false, SLICE("no MX"), wall(&play)));
	assert_false(refusing(&play, true));
	assert_int_equal(play.flow.state, DOMAIN_WAITING);
	assert_true(domain_destination(&play.flow, true, SLICE(""), wall(&play)));
	assert_int_equal(play.flow.state, DOMAIN_REFUSING);
	assert_true(domain_pause(&play.flow, 0, wall(&play)));
	assert_false(refusing(&play, false));
	assert_true(domain_resume(&play.flow, wall(&play)));
	assert_int_equal(play.flow.state, DOMAIN_OPEN);
}

static void paused_by_hand(void **state)
{
	struct play play;

	start(&play);
	assert_true(domain_pause(&play.flow, 0, wall(&play)));
	assert_false(domain_pause(&play.flow, 0, wall(&play)));
	assert_false(domain_flows(&play.flow));
	assert_int_equal(domain_deadline(&play.flow, play.now, wall(&play)), INT64_MAX);
	assert_false(domain_tick(&play.flow, play.now, wall(&play) + 1000000000));
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
	assert_true(domain_refusing(&play.flow, true, slice_make(words, sizeof(words)), wall(&play)));
	assert_int_equal(strlen(play.flow.reason), sizeof(play.flow.reason) - 1);
}

static void saved_and_loaded(void **state)
{
	struct play play;
	struct domain_flow loaded;
	struct buffer bytes;
	struct slice all;

	start(&play);
	assert_true(refusing(&play, true));
	play.flow.epoch = 9;
	buffer_init(&bytes, 0);
	assert_int_equal(domain_flow_save(&play.flow, &bytes), 0);
	all = buffer_slice(&bytes);
	domain_flow_init(&loaded, 5);
	/* Every cut is damage and changes nothing. */
	for (size_t size = 0; size < all.size; size++) {
		assert_int_equal(domain_flow_load(&loaded, slice_upto(all, size), wall(&play)), ERR_CORRUPT);
		assert_int_equal(loaded.since_wall_ms, 5);
	}
	assert_int_equal(domain_flow_load(&loaded, all, wall(&play)), 0);
	assert_int_equal(loaded.state, DOMAIN_REFUSING);
	assert_int_equal(loaded.epoch, 9);
	assert_int_equal(loaded.since_wall_ms, play.flow.since_wall_ms);
	assert_string_equal(loaded.reason, play.flow.reason);
	assert_true(loaded.refusing);
	/* The hold detector may know nothing of it: then it opens. */
	assert_true(domain_refusing(&loaded, false, SLICE(""), wall(&play)));
	bytes.bytes[bytes.start] = 2; /* a newer version */
	assert_int_equal(domain_flow_load(&loaded, buffer_slice(&bytes), wall(&play)), ERR_VERSION);
	bytes.bytes[bytes.start] = 1;
	bytes.bytes[bytes.start + 1] = 4; /* no such state */
	assert_int_equal(domain_flow_load(&loaded, buffer_slice(&bytes), wall(&play)), ERR_CORRUPT);
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
	    cmocka_unit_test(refusing_and_open_again),
	    cmocka_unit_test(other_reasons_come_first),
	    cmocka_unit_test(paused_by_hand),
	    cmocka_unit_test(paused_until),
	    cmocka_unit_test(without_destination),
	    cmocka_unit_test(a_long_reason_is_cut),
	    cmocka_unit_test(saved_and_loaded),
	    cmocka_unit_test(saving_without_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
