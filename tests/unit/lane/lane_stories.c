/* Prints what the feed reaches on each story.
 *	lane_stories [SEEDS [NAME|all [FIRST]]] summaries over that many seeds; without a name 200 random
 *                                         servers follow
 *	lane_stories --random SERVERS FIRST    random servers; fails when more than 1 of 200 fell over
 *	lane_stories --server SEED             one of them, second by second
 *	lane_stories --play NAME SEED          a story, second by second
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

static void summary(const struct story *story, uint32_t seeds, uint64_t first_seed)
{
	struct sum sum = {.violation_least = INFINITY};

	for (uint32_t i = 0; i < seeds; i++) {
		struct result r = play(story, first_seed + i);

		add(&sum, &r);
	}
	printf("%-5s %5.2f (%5.2f) first %6.1f s, %3u in 5 s, refusals %4.1f/1000, downs %2.0f, crashes %u, "
	       "unknown %3u, "
	       "fresh p99 %6.1f s, W %2u, violation again after %.0f s\n",
	       story->model.name, sum.ratio / seeds, sum.ratio_most, sum.first_most, sum.first_5s,
	       sum.refusals_most, sum.downs_most, sum.crashes, sum.unknown, sum.fresh_most, sum.window_most,
	       sum.violation_least);
	fflush(stdout);
}

static unsigned long argument(int argc, char **argv, int i, unsigned long otherwise)
{
	return i < argc ? strtoul(argv[i], NULL, 10) : otherwise;
}

static int random_summary(uint64_t first_seed, uint32_t servers)
{
	struct random_result r = random_servers(first_seed, servers, true);

	printf("%u random servers: median %.3f, p90 %.3f, most %.2f, crashed %u, not drained %u\n", servers,
	       r.median, r.p90, r.most, r.crashed, r.not_drained);
	return r.not_drained > 0 || r.crashed * 200 > servers;
}

int main(int argc, char **argv)
{
	const char *name = argc > 2 && argv[1][0] != '-' ? argv[2] : NULL;
	uint32_t seeds = (uint32_t)argument(argc, argv, 1, 5);
	uint64_t first_seed = argument(argc, argv, 3, 1);

	if (argc > 2 && strcmp(argv[1], "--server") == 0) {
		random_server_aloud(argument(argc, argv, 2, 1));
		return 0;
	}
	if (argc > 3 && strcmp(argv[1], "--play") == 0) {
		const struct story *story = story_named(argv[2]);

		return story == NULL || !play_aloud(story, first_seed).drained;
	}
	if (argc > 1 && strcmp(argv[1], "--random") == 0)
		return random_summary(first_seed, (uint32_t)argument(argc, argv, 2, 200));
	for (size_t i = 0; story_at(i) != NULL; i++) {
		if (name == NULL || strcmp(name, "all") == 0 || strcmp(name, story_at(i)->model.name) == 0)
			summary(story_at(i), seeds, first_seed);
	}
	return name == NULL ? random_summary(first_seed, 200) : 0;
}
