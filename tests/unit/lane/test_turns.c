#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "lane/tuning.h"
#include "lane/turns.h"

enum { QUEUES = 3 };

struct play {
	struct turns turns;
	struct turn_queue queues[QUEUES];
	uint32_t taken[QUEUES][2];
	double bytes[QUEUES];
};

static void start(struct play *play)
{
	memset(play, 0, sizeof(*play));
	turns_init(&play->turns);
}

static void take(struct play *play, uint32_t count, const uint64_t sizes[QUEUES])
{
	for (uint32_t i = 0; i < count; i++) {
		struct turn turn = turns_next(&play->turns), again = turns_next(&play->turns);
		size_t which;

		assert_non_null(turn.queue);
		assert_ptr_equal(turn.queue, again.queue);
		assert_int_equal(turn.fresh, again.fresh);
		which = (size_t)(turn.queue - play->queues);
		play->taken[which][turn.fresh]++;
		play->bytes[which] += (double)sizes[which];
		turns_charge(&play->turns, turn, sizes[which]);
	}
}

static const uint64_t small[QUEUES] = {4096, 4096, 4096};

static void nothing_ready(void **state)
{
	struct play play;

	start(&play);
	assert_null(turns_next(&play.turns).queue);
	turns_ready(&play.turns, &play.queues[0], true, false);
	assert_ptr_equal(turns_next(&play.turns).queue, &play.queues[0]);
	assert_true(turns_next(&play.turns).fresh);
	turns_ready(&play.turns, &play.queues[0], false, false);
	assert_null(turns_next(&play.turns).queue);
	turns_leave(&play.turns, &play.queues[0]); /* twice does nothing */
	turns_leave(&play.turns, &play.queues[1]); /* and for one that never was */
}

static void domains_take_equal_shares(void **state)
{
	struct play play;

	start(&play);
	for (int i = 0; i < QUEUES; i++)
		turns_ready(&play.turns, &play.queues[i], false, true);
	take(&play, 300, small);
	for (int i = 0; i < QUEUES; i++)
		assert_in_range(play.taken[i][0], 95, 105);
}

static void large_messages_pay_by_size(void **state)
{
	static const uint64_t sizes[QUEUES] = {10 * 65536, 0, 0};
	struct play play;

	start(&play);
	turns_ready(&play.turns, &play.queues[0], false, true);
	turns_ready(&play.turns, &play.queues[1], false, true);
	take(&play, 1200, sizes);
	/* 11 units against 1. */
	assert_in_range(play.taken[1][0], 10 * play.taken[0][0], 12 * play.taken[0][0]);
}

static void a_huge_message_does_not_silence_its_domain(void **state)
{
	static const uint64_t sizes[QUEUES] = {UINT64_MAX / 2, 0, 0};
	struct play play;

	start(&play);
	turns_ready(&play.turns, &play.queues[0], false, true);
	turns_ready(&play.turns, &play.queues[1], false, true);
	take(&play, 10 * ((uint32_t)TURNS_COST_MAX + 1), sizes);
	assert_in_range(play.taken[0][0], 9, 12);
}

static void fresh_takes_its_share_only(void **state)
{
	struct play play;

	start(&play);
	turns_ready(&play.turns, &play.queues[0], true, false);
	turns_ready(&play.turns, &play.queues[1], false, true);
	take(&play, 1000, small);
	assert_in_range(play.taken[0][1], 690, 712);
	assert_in_range(play.taken[1][0], 288, 310);
}

static void each_class_may_take_all_alone(void **state)
{
	struct play play;

	start(&play);
	turns_ready(&play.turns, &play.queues[0], true, false);
	take(&play, 100, small);
	assert_int_equal(play.taken[0][1], 100);
	/* What fresh took alone is not held against it. */
	turns_ready(&play.turns, &play.queues[1], false, true);
	take(&play, 100, small);
	assert_in_range(play.taken[0][1], 165, 180);
	turns_leave(&play.turns, &play.queues[0]);
	take(&play, 50, small);
	assert_in_range(play.taken[1][0], 70, 90);
}

static void a_queue_may_leave_before_it_is_charged(void **state)
{
	struct play play;
	struct turn turn;

	start(&play);
	turns_ready(&play.turns, &play.queues[0], false, true);
	turn = turns_next(&play.turns);
	turns_leave(&play.turns, &play.queues[0]);
	turns_charge(&play.turns, turn, 4096);
	assert_null(turns_next(&play.turns).queue);
	assert_false(list_linked(&play.queues[0].node[0]));
}

static void one_with_both_classes(void **state)
{
	struct play play;

	start(&play);
	turns_ready(&play.turns, &play.queues[0], true, true);
	take(&play, 1000, small);
	assert_in_range(play.taken[0][1], 690, 712);
	turns_ready(&play.turns, &play.queues[0], false, true);
	assert_false(turns_next(&play.turns).fresh);
}

/* Whatever comes and goes, the choice is one that is ready. */
static void any_order_of_events(void **state)
{
	struct play play;
	struct rng rng;

	rng_init(&rng, 7);
	start(&play);
	for (int i = 0; i < 20000; i++) {
		struct turn_queue *queue = &play.queues[rng_below(&rng, QUEUES)];
		struct turn turn;

		if (rng_chance(&rng, 0.3))
			turns_ready(&play.turns, queue, rng_chance(&rng, 0.5), rng_chance(&rng, 0.5));
		turn = turns_next(&play.turns);
		if (turn.queue == NULL) {
			for (int q = 0; q < QUEUES; q++)
				assert_false(play.queues[q].fresh || play.queues[q].backlog);
			continue;
		}
		assert_true(turn.fresh ? turn.queue->fresh : turn.queue->backlog);
		turns_charge(&play.turns, turn, rng_below(&rng, 10000000));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nothing_ready),
	    cmocka_unit_test(domains_take_equal_shares),
	    cmocka_unit_test(large_messages_pay_by_size),
	    cmocka_unit_test(a_huge_message_does_not_silence_its_domain),
	    cmocka_unit_test(fresh_takes_its_share_only),
	    cmocka_unit_test(each_class_may_take_all_alone),
	    cmocka_unit_test(a_queue_may_leave_before_it_is_charged),
	    cmocka_unit_test(one_with_both_classes),
	    cmocka_unit_test(any_order_of_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
