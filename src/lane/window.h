/* The window of an UP lane: how many transactions may be in flight, and how fast (RECOVERY §1.3, §1.4).
 *
 * The law is closed-loop on a window, not on a rate: a server that slows down is sent less by itself. In
 * rounds of some messages the latency is compared with its base (the server's own, without our queue); the
 * queue that we make there, q = W·(1 − base/L), is held between two bounds. All averages are of log latency.
 *
 * Part of lane.h; its fields belong to window*.c.
 */
#ifndef LANE_WINDOW_H
#define LANE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

struct window_round { /* samples since the round began */
	int64_t start_us;
	uint32_t count;
	double log_sum;
	double flight_area; /* transactions in flight x seconds */
	int64_t area_us;    /* up to when flight_area counts */
};

enum {
	WINDOW_BUCKETS = 32
}; /* base buckets kept: 20 s of them, or 10 latencies, at 0.25 s each at the least */

struct window_base {
	uint32_t count; /* samples in the bucket being filled */
	double log_sum;
	uint32_t next, kept;
	double bucket_s[WINDOW_BUCKETS];
	int64_t at_us[WINDOW_BUCKETS];
};

struct lane_window {
	double size;	 /* W, >= 1 */
	int phase;	 /* enum lane_phase */
	double ssthresh; /* RAMP ends here; INFINITY: no idea */
	double variance; /* of log latency, between samples */
	double mean_log; /* EWMA of log latency */
	uint32_t samples;
	struct window_round round;
	struct window_base base;
	double latency_s;     /* L of the last round; 0: none yet */
	double rate_per_s;    /* X of the last round */
	int64_t decreased_us; /* last decrease */
};

struct lane_config;

void window_init(struct lane_window *w, int64_t now_us);
/* Begins anew at this size, in RAMP; what was measured before is forgotten. */
void window_restart(struct lane_window *w, double size, int64_t now_us);
/* To be called before the number in flight changes. */
void window_flight(struct lane_window *w, uint32_t in_flight, int64_t now_us);
/* A delivered message: its latency moves the window. */
void window_sample(struct lane_window *w, const struct lane_config *config, int64_t latency_us,
		   uint32_t in_flight, int64_t now_us);
/* Multiplies the window by factor (< 1). */
void window_shrink(struct lane_window *w, double factor, int64_t now_us);

#endif
