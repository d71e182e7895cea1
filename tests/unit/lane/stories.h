/* The stories that the feed is judged by (RECOVERY §2), with their server models.
 */
#ifndef TEST_LANE_STORIES_H
#define TEST_LANE_STORIES_H

#include "feed_sim.h"

const struct story *story_named(const char *name); /* NULL: there is none */
const struct story *story_at(size_t i);		   /* NULL: there are no more */

/* Servers of random size, speed, warmth, fragility and limits, with none of them known before (RECOVERY B20).
 */
struct random_result {
	double median, p90, most; /* of drain / oracle */
	uint32_t servers, crashed, not_drained;
};
/* aloud: a line for each that fell over, was not drained, or took long, with the command to see it again. */
struct random_result random_servers(uint64_t first_seed, uint32_t servers, bool aloud);
/* One of them, second by second. */
void random_server_aloud(uint64_t seed);

#endif
