/* When a DOWN lane is tried again (RECOVERY §1.2): intervals by kind and time down, with jitter; hints.
 *
 * Part of lane.h; its fields belong to probe.c.
 */
#ifndef LANE_PROBE_H
#define LANE_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rng.h"
#include "lane/verdict.h"

struct lane_probe {
	int64_t next_us;
	uint32_t failures; /* in a row, since the lane is down or fails in another way */
	int64_t class_us;  /* since when it fails in this way: it is silent, or it answers but does not take
			      mail */
	bool soft;	   /* the latter */
	int64_t last_hint_us;
	bool hinted;  /* last_hint_us is valid */
	bool counted; /* the present attempt's failure has been counted: its connection and its canary both
			 report it */
};

/* The lane went down: the first probe is due after one interval. */
void probe_start(struct lane_probe *probe, enum lane_kind kind, struct rng *rng, int64_t now_us);
/* An attempt begins; what fails from now on counts once. */
void probe_attempt(struct lane_probe *probe);
/* The attempt failed. Returns false when it had been counted already. */
bool probe_failed(struct lane_probe *probe, enum lane_kind kind, struct rng *rng, int64_t now_us);
/* The attempt ended without a verdict: soon again. */
void probe_abandoned(struct lane_probe *probe, int64_t now_us);
/* Returns true when the hint makes the next probe due now: at most one each PROBE_HINT_US, unless forced. */
bool probe_hint(struct lane_probe *probe, bool force, int64_t now_us);

/* The interval before jitter: for tests and for people. down_us: how long it has failed
 * in this way; failures: probes that did. */
int64_t probe_interval_us(enum lane_kind kind, int64_t down_us, uint32_t failures);

#endif
