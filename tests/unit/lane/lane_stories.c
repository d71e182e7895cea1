/* Prints what the feed reaches on each story: lane_stories [SEEDS [NAME]]; with NAME "random", random
 * servers; with a negative number of seeds, one play of that seed, second by second.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stories.h"

struct sum {
	double ratio, ratio_most, first_most, refusals_most, downs_most, fresh_most, violation_least;
	uint32_t crashes, unknown, window_most, first_5s;
};

static void add(struct sum *sum, const struct result *r)
{
	sum->ratio += r->ratio;
	sum->ratio_most = fmax(sum->ratio_most, r->ratio);
	sum->first_most = fmax(sum->first_most, r->first_s);
	sum->refusals_most = fmax(sum->refusals_most, 1000.0 * r->refusals / (r->delivered + 1));
	sum->downs_most = fmax(sum->downs_most, r->downs);
	sum->fresh_most = fmax(sum->fresh_most, r->fresh_p99_s);
	sum->violation_least = fmin(sum->violation_least, r->second_violation_s);
	sum->crashes += r->crashes;
	sum->unknown += r->unknown;
	if (r->window_most > sum->window_most)
		sum->window_most = r->window_most;
	if (r->first_5s > sum->first_5s)
		sum->first_5s = r->first_5s;
}

static void summary(const struct story *story, int seeds)
{
	struct sum sum = {.violation_least = INFINITY};

	for (int seed = 1; seed <= seeds; seed++) {
		struct result r = play(story, (uint64_t)seed);

		add(&sum, &r);
	}
	printf("%-4s %5.2f (%5.2f) first %6.1f s, %3u in 5 s, refusals %4.1f/1000, downs %2.0f, crashes %u, "
	       "unknown %3u, "
	       "fresh p99 %6.1f s, W %2u, violation again after %.0f s\n",
	       story->model.name, sum.ratio / seeds, sum.ratio_most, sum.first_most, sum.first_5s,
	       sum.refusals_most, sum.downs_most, sum.crashes, sum.unknown, sum.fresh_most, sum.window_most,
	       sum.violation_least);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	int seeds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 5;

	for (size_t i = 0; story_at(i) != NULL; i++) {
		if (argc > 2 && strcmp(argv[2], story_at(i)->model.name) != 0)
			continue;
		if (seeds < 0)
			play_aloud(story_at(i), (uint64_t)-seeds);
		else
			summary(story_at(i), seeds);
	}
	if (seeds > 0 && (argc < 3 || strcmp(argv[2], "random") == 0))
		random_servers(seeds, 60, true);
	return 0;
}
