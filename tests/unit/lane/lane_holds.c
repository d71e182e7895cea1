/* Prints how the hold detector does (the tables of doc/holds.md): lane_holds [MESSAGES [SEEDS]] */
#include <stdio.h>
#include <stdlib.h>

#include "hold_stories.h"

static void print(const struct hold_story *story, uint64_t seeds)
{
	struct hold_result sum = {.hold_after_s = -1, .doubt_after_s = -1, .release_after_s = -1};
	uint64_t held = 0, doubted = 0;

	for (uint64_t seed = 1; seed <= seeds; seed++) {
		struct hold_result r = hold_play(story, seed);
		sum.false_holds += r.false_holds;
		sum.holds += r.holds;
		sum.doubts += r.doubts;
		sum.alarms += r.alarms;
		sum.checks += r.checks;
		sum.probes += r.probes;
		sum.attempts += r.attempts;
		sum.ended_unknown += r.ended_unknown;
		sum.ended_valid += r.ended_valid;
		held += r.hold_after_s >= 0;
		doubted += r.doubt_after_s >= 0;
		sum.after_messages =
		    r.after_messages > sum.after_messages ? r.after_messages : sum.after_messages;
		sum.hold_after_s = r.hold_after_s > sum.hold_after_s ? r.hold_after_s : sum.hold_after_s;
		sum.doubt_after_s = r.doubt_after_s > sum.doubt_after_s ? r.doubt_after_s : sum.doubt_after_s;
		sum.release_after_s =
		    r.release_after_s > sum.release_after_s ? r.release_after_s : sum.release_after_s;
		sum.valid_delay_max_s =
		    r.valid_delay_max_s > sum.valid_delay_max_s ? r.valid_delay_max_s : sum.valid_delay_max_s;
	}
	printf("%-26s false %2llu  holds %3llu  doubts %3llu  alarms %3llu  checks %6llu  probes %5llu  "
	       "tries/mail %.2f  "
	       "ended %6llu  valid ended %llu | seen %llu held %llu of %llu; seen after %.1f s, %llu mails; "
	       "held "
	       "after %.1f s; released after %.1f s | delay %.1f s\n",
	       story->name, (unsigned long long)sum.false_holds, (unsigned long long)sum.holds,
	       (unsigned long long)sum.doubts, (unsigned long long)sum.alarms, (unsigned long long)sum.checks,
	       (unsigned long long)sum.probes, (double)sum.attempts / (double)(story->messages * seeds),
	       (unsigned long long)sum.ended_unknown, (unsigned long long)sum.ended_valid,
	       (unsigned long long)doubted, (unsigned long long)held, (unsigned long long)seeds,
	       sum.doubt_after_s, (unsigned long long)sum.after_messages, sum.hold_after_s,
	       sum.release_after_s, sum.valid_delay_max_s);
	(void)fflush(stdout); /* each story takes a while */
}

static void print_door(const struct hold_story *story, uint64_t seeds)
{
	struct hold_result sum = {.delivered = 0};

	for (uint64_t seed = 1; seed <= seeds; seed++) {
		struct hold_result r = hold_play(story, seed);
		sum.door_unknown += r.door_unknown;
		sum.door_valid += r.door_valid;
		sum.door_later += r.door_later;
		sum.ended_unknown += r.ended_unknown;
		sum.ended_valid += r.ended_valid;
		sum.checks += r.checks;
	}
	printf("%-26s 550 to unknown %6llu  550 to valid %4llu  later %5llu  ended unknown %5llu  valid "
	       "%2llu  checks %6llu\n",
	       story->name, (unsigned long long)sum.door_unknown, (unsigned long long)sum.door_valid,
	       (unsigned long long)sum.door_later, (unsigned long long)sum.ended_unknown,
	       (unsigned long long)sum.ended_valid, (unsigned long long)sum.checks);
	(void)fflush(stdout);
}

int main(int argc, char **argv)
{
	uint64_t healthy = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000;
	uint64_t seeds = argc > 2 ? strtoull(argv[2], NULL, 10) : 5;

	for (size_t i = 0; i < hold_healthy_count; i++) {
		struct hold_story story = hold_healthy[i];
		story.messages = healthy;
		print(&story, seeds);
	}
	for (size_t i = 0; i < hold_broken_count; i++)
		print(&hold_broken[i], 10 * seeds);
	for (size_t i = 0; i < hold_doors_count; i++)
		print_door(&hold_doors[i], 10 * seeds);
	return 0;
}
