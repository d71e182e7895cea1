/* A relay's feed in miniature: connections, two queues, and a lane that decides; discrete events over a
 * server model.
 *
 * The story: a trickle of mail, an outage, and the server comes back with a backlog waiting while fresh mail
 * arrives.
 */
#ifndef TEST_LANE_FEED_SIM_H
#define TEST_LANE_FEED_SIM_H

#include "lane/lane.h"
#include "model.h"

struct story {
	struct model model;
	double outage_s;
	double backlog; /* messages */
	double fresh_per_s;
	double forward_s; /* the program stops and starts anew so much later, early in the outage */
	double limit_s;	  /* the story ends here at the latest, after the server came back */
	bool black_hole;  /* the outage is silence instead of refusal */
};

struct result {
	double oracle_s, drain_s, ratio; /* from the server's return to the last of the backlog */
	double first_s;			 /* to the first delivery */
	uint32_t first_5s;		 /* messages in the 5 s after it */
	uint32_t delivered, deferred, unknown;
	uint32_t refusals; /* 4yz and 421 at connect or MAIL, while the server is back */
	uint32_t downs;	   /* UP to DOWN after the return */
	uint32_t crashes;
	double fresh_p99_s;
	double second_violation_s; /* between the first two rate refusals that are not of one wave; INFINITY:
				      none */
	double detect_most_s;	   /* flapping link: from up to the first delivery of that phase */
	uint32_t window_most;
	bool drained;
};

struct result play(const struct story *story, uint64_t seed);
/* The same, with a line for each second: for a person. */
struct result play_aloud(const struct story *story, uint64_t seed);

#endif
