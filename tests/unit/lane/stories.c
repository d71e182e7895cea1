#include "stories.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define PLAIN	     .capacity = 50, .service_s = 0.1
#define HALF_AN_HOUR .outage_s = 1800, .backlog = 6000, .fresh_per_s = 2, .limit_s = 3000
#define HALF_A_DAY   .outage_s = 43200, .backlog = 30000, .fresh_per_s = 2, .limit_s = 9000
#define COLD	     .warm_s = 120, .cold_share = 0.05, .crash_s = 60

static const struct story stories[] = {
    {.model = {.name = "M1", PLAIN, .workers = 64}, HALF_AN_HOUR},
    {.model = {.name = "M2", PLAIN, COLD, .knee = 4, .knee_per_w = 28, .crash_at = 2.5}, HALF_AN_HOUR},
    {.model = {.name = "M2b",
	       .capacity = 50,
	       .service_s = 0.32,
	       COLD,
	       .cold_is_slow = true,
	       .knee = 24,
	       .crash_at = 2},
     HALF_AN_HOUR},
    {.model = {.name = "M2c", PLAIN, .hidden = true, .crash_s = 60}, HALF_AN_HOUR},
    {.model = {.name = "M3", PLAIN, .connections = 10}, HALF_AN_HOUR},
    {.model = {.name = "S9", PLAIN, .connections = 2}, HALF_AN_HOUR},
    {.model = {.name = "M4", PLAIN, .per_minute = 300, .penalty_s = 30},
     .outage_s = 1800,
     .backlog = 3000,
     .fresh_per_s = 1,
     .limit_s = 3000},
    {.model = {.name = "S8", PLAIN, .per_minute = 60},
     .outage_s = 1800,
     .backlog = 600,
     .fresh_per_s = 0.2,
     .limit_s = 3000},
    {.model = {.name = "M5", PLAIN, .full_s = 600}, HALF_AN_HOUR},
    {.model = {.name = "M6", PLAIN, .link_up_s = 20, .link_down_s = 40}, HALF_AN_HOUR, .black_hole = true},
    {.model = {.name = "M7", PLAIN, .command_s = 10, .connections = 40},
     .outage_s = 1800,
     .backlog = 1000,
     .fresh_per_s = 0.2,
     .limit_s = 5000},
    {.model = {.name = "M8", PLAIN, .mailbox_full = 0.02}, HALF_AN_HOUR},
    {.model = {.name = "M9", PLAIN, .others = true}, HALF_AN_HOUR},
    {.model = {.name = "M11", .capacity = 200, .service_s = 0.1, .digest = 30}, HALF_AN_HOUR},
    {.model = {.name = "S1", .capacity = 2, .service_s = 0.1},
     .outage_s = 1800,
     .backlog = 600,
     .fresh_per_s = 0.2,
     .limit_s = 3000},
    {.model = {.name = "S2", .capacity = 500, .service_s = 0.1},
     .outage_s = 1800,
     .backlog = 30000,
     .fresh_per_s = 2,
     .limit_s = 3000},
    {.model = {.name = "S3", PLAIN, .triple_s = 60}, HALF_AN_HOUR},
    {.model = {.name = "S4", PLAIN, .service_cv = 2}, HALF_AN_HOUR},
    {.model = {.name = "S6", PLAIN, .reboot_at_s = {40, 40}, .crash_s = 30}, HALF_AN_HOUR},
    {.model = {.name = "B23", PLAIN, .workers = 64},
     .outage_s = 1800,
     .backlog = 600,
     .fresh_per_s = 2,
     .limit_s = 3000},
    /* Fast, and dies without a sign of more than 16 at a time. */
    {.model = {.name = "S10", .capacity = 300, .service_s = 0.02, .flight_max = 16, .crash_s = 60},
     HALF_AN_HOUR},
    /* Slow, and some messages take ten times as long as others: silence is no death. */
    {.model = {.name = "S11", .capacity = 5, .service_s = 2, .service_cv = 1.1},
     .outage_s = 600,
     .backlog = 600,
     .fresh_per_s = 0.2,
     .limit_s = 3000},
    /* B2: much more is held, so that the ramp counts less. */
    {.model = {.name = "B2/M1", PLAIN, .workers = 64}, HALF_A_DAY},
    {.model = {.name = "B2/M2", PLAIN, COLD, .knee = 4, .knee_per_w = 28, .crash_at = 2.5}, HALF_A_DAY},
    {.model = {.name = "B2/M3", PLAIN, .connections = 10}, HALF_A_DAY},
    {.model = {.name = "B2/M9", PLAIN, .others = true}, HALF_A_DAY},
};

const struct story *story_at(size_t i)
{
	return i < sizeof(stories) / sizeof(stories[0]) ? &stories[i] : NULL;
}

const struct story *story_named(const char *name)
{
	for (size_t i = 0; i < sizeof(stories) / sizeof(stories[0]); i++) {
		if (strcmp(stories[i].model.name, name) == 0)
			return &stories[i];
	}
	return NULL;
}

/* --- random servers --- */

static double between(struct rng *rng, double low, double high) /* evenly on a log scale */
{
	return low * pow(high / low, rng_unit(rng));
}

/* The capacity and the latency of an idle one say how many it works on at a time; the rest is what may go
 * wrong. */
static struct story random_story(struct rng *rng)
{
	struct story story = {.outage_s = 600, .limit_s = 20000};
	struct model *m = &story.model;
	double at_once;

	m->name = "random";
	m->capacity = between(rng, 2, 150);
	at_once = between(rng, 2, 24);
	m->service_s = fmax(0.02, fmin(2, at_once / m->capacity));
	at_once = m->service_s * m->capacity;
	m->crash_s = 60;
	if (rng_chance(rng, 0.5)) {
		m->warm_s = between(rng, 20, 200);
		m->cold_share = between(rng, 0.05, 0.6);
		m->cold_is_slow = rng_chance(rng, 0.5);
	}
	if (rng_chance(rng, 0.5)) {
		double warm_knee = fmax(8, at_once * between(rng, 1.5, 4));

		m->knee = m->warm_s > 0 ? fmax(4, warm_knee * m->cold_share) : warm_knee;
		m->knee_per_w = warm_knee - m->knee;
		m->crash_at = between(rng, 1.5, 3);
	}
	if (rng_chance(rng, 0.3))
		m->service_cv = between(rng, 0.3, 2);
	if (rng_chance(rng, 0.2))
		m->connections = (uint32_t)between(rng, 2, 30);
	if (rng_chance(rng, 0.1))
		m->per_minute = (uint32_t)(60 * m->capacity * between(rng, 0.1, 0.8));
	story.fresh_per_s = fmin(2, m->capacity / 25);
	story.backlog = floor(fmin(6000, m->capacity * 120));
	return story;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void say(uint64_t seed, const struct model *m, const struct result *r)
{
	printf("%6llu %5.2f K %5.1f S0 %5.2f cold %4.2f in %3.0f s%s knee %4.1f+%5.1fw x%3.1f cv %3.1f conns "
	       "%2u per minute %4u: "
	       "crashes %u, downs %u; replay: lane_stories --server %llu\n",
	       (unsigned long long)seed, r->ratio, m->capacity, m->service_s, m->cold_share, m->warm_s,
	       m->cold_is_slow ? " slow" : "", m->knee, m->knee_per_w, m->crash_at, m->service_cv,
	       m->connections, m->per_minute, r->crashes, r->downs, (unsigned long long)seed);
}

/* Beyond this a random server is worth a look. */
#define RANDOM_BAD_RATIO 1.5

/* Each server has a seed of its own, so that one can be played again by itself. */
static struct result play_random(uint64_t seed, bool second_by_second, struct story *ret_story)
{
	struct rng rng;

	rng_init(&rng, seed);
	*ret_story = random_story(&rng);
	return second_by_second ? play_aloud(ret_story, seed) : play(ret_story, seed);
}

void random_server_aloud(uint64_t seed)
{
	struct story story;
	struct result r = play_random(seed, true, &story);

	say(seed, &story.model, &r);
}

struct random_result random_servers(uint64_t first_seed, uint32_t servers, bool aloud)
{
	struct random_result result = {.servers = servers};
	double *ratios = calloc(servers, sizeof(double));

	check(ratios != NULL && servers > 0);
	for (uint32_t i = 0; i < servers; i++) {
		struct story story;
		struct result r = play_random(first_seed + i, false, &story);

		ratios[i] = r.ratio;
		result.crashed += r.crashes > 0;
		result.not_drained += !r.drained;
		if (aloud && (r.crashes > 0 || !r.drained || r.ratio > RANDOM_BAD_RATIO))
			say(first_seed + i, &story.model, &r);
	}
	qsort(ratios, servers, sizeof(double), compare);
	result.median = ratios[servers / 2];
	result.p90 = ratios[servers * 9 / 10];
	result.most = ratios[servers - 1];
	free(ratios);
	return result;
}
