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
struct random_result random_servers(int seed, uint32_t servers, bool aloud);

#endif
