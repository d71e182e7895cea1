/* Whole histories of the hold detector, short; `lane_holds` plays long ones (doc/holds.md). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "hold_stories.h"

enum { HEALTHY_MESSAGES = 5000, BROKEN_SEEDS = 3 };

/* Unknown users, leavers, attackers with any mix: nothing is held, nobody who exists ends. */
static void healthy_servers_are_never_held(void **state)
{
	for (size_t i = 0; i < hold_healthy_count; i++) {
		struct hold_story story = hold_healthy[i];

		story.messages = HEALTHY_MESSAGES;
		story.leavers *= 10; /* few messages: or nobody would leave */
		struct hold_result r = hold_play(&story, 7 + i);
		print_message("%s: %llu checks, %llu doubts, %llu alarms, %llu ended\n", story.name,
			      (unsigned long long)r.checks, (unsigned long long)r.doubts,
			      (unsigned long long)r.alarms, (unsigned long long)r.ended_unknown);
		assert_int_equal(r.holds, 0);
		assert_int_equal(r.ended_valid, 0);
		assert_true(r.valid_delay_max_s <= 60);
		if (story.unknown > 0 && story.attack == 0) {
			assert_int_equal(r.alarms, 0);
			assert_true(r.ended_unknown > HEALTHY_MESSAGES / 5);
		}
	}
}

static void broken_servers_are_noticed(void **state)
{
	for (size_t i = 0; i < hold_broken_count; i++) {
		const struct hold_story *story = &hold_broken[i];

		for (uint64_t seed = 1; seed <= BROKEN_SEEDS; seed++) {
			struct hold_result r = hold_play(story, seed);
			print_message("%s: seen after %.1f s, held after %.1f s, released after %.1f s\n",
				      story->name, r.doubt_after_s, r.hold_after_s, r.release_after_s);
			assert_int_equal(r.ended_valid, 0);
			assert_int_equal(r.false_holds, 0);
			assert_true(r.alarms <= 1);
			if (story->refuses < 0.3)
				continue;
			assert_true(r.doubt_after_s >= 0);
			if (story->refuses < 1)
				continue;
			assert_true(r.doubt_after_s <= 30);
			assert_in_range((long)r.release_after_s, 0, 20);
		}
	}
}

/* A directory that breaks costs nobody who exists his mail at our door; a healthy one is believed there. */
static void the_door_refuses_nobody_who_exists(void **state)
{
	for (size_t i = 0; i < hold_doors_count; i++) {
		const struct hold_story *story = &hold_doors[i];
		uint64_t valid = 0, unknown = 0;

		for (uint64_t seed = 1; seed <= BROKEN_SEEDS; seed++) {
			struct hold_result r = hold_play(story, seed);
			valid += r.door_valid;
			unknown += r.door_unknown;
			assert_int_equal(r.ended_valid, 0);
			assert_true(r.door_later == 0 || story->refuses > 0);
		}
		print_message("%s: 550 to %llu unknown, %llu valid\n", story->name,
			      (unsigned long long)unknown, (unsigned long long)valid);
		/* One that refuses at random may refuse the same one twice, and the known ones never. */
		if (story->refuses == 1 || story->refuses == 0 || story->per_connection)
			assert_int_equal(valid, 0);
		assert_true(valid <= 2 * BROKEN_SEEDS);
		assert_true(unknown > 0);
	}
}

/* The same seed is the same history. */
static void histories_repeat(void **state)
{
	struct hold_result one = hold_play(&hold_broken[2], 5), two = hold_play(&hold_broken[2], 5);

	assert_memory_equal(&one, &two, sizeof(one));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(healthy_servers_are_never_held),
	    cmocka_unit_test(broken_servers_are_noticed),
	    cmocka_unit_test(the_door_refuses_nobody_who_exists),
	    cmocka_unit_test(histories_repeat),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
