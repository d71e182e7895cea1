/* The window of an UP lane: how many transactions may be in flight (RECOVERY §1.3).
 *
 * The law is closed-loop on a window, not on a rate: a server that slows down is sent less by itself. In
 * rounds of some messages the latency L is compared with its base (the server's own, without our queue): q =
 * W·(1 − base/L) is the queue that we make there. RAMP doubles W every TD while there is none; STEADY holds q
 * between two bounds. All averages are of log latency, so that one slow message does not hide nineteen quick
 * ones.
 *
 * Trials interrupt the rounds: a dip looks at the server with less of our own load, a verification (cold.h)
 * asks whether more load still means more throughput.
 *
 * Part of lane.h; its fields belong to window*.c, cold.c and relapse.c.
 */
#ifndef LANE_WINDOW_H
#define LANE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

struct lane_config;

struct window_round { /* samples since the round began */
	int64_t start_us;
	uint32_t count;
	double log_sum;
	double flight_area; /* places of the window taken x seconds */
	int64_t area_us;    /* up to when flight_area counts */
};

enum { WINDOW_BUCKETS = 48 }; /* base buckets kept; when more fall into the horizon, the oldest are lost */

struct window_base {
	uint32_t count; /* samples in the bucket being filled */
	double log_sum;
	int64_t begun_us;
	uint32_t next, kept;
	double bucket_s[WINDOW_BUCKETS];
	int64_t at_us[WINDOW_BUCKETS];
	double least_ever_s;   /* since the server came back; 0: none yet */
	int64_t flat_since_us; /* since when buckets have stayed within WINDOW_FLAT of each other */
	double flat_least_s, flat_most_s;
};

enum window_trial_kind {
	TRIAL_NONE = 0,
	TRIAL_DIP = 1,	  /* one round at a part of W: shows the base */
	TRIAL_FULL_1 = 2, /* verification: at W */
	TRIAL_LESS = 3,	  /* then at less */
	TRIAL_FULL_2 = 4, /* then at W again, because a warming server changes meanwhile */
};

struct window_trial {
	enum window_trial_kind kind;
	double target;	  /* window while it lasts */
	int64_t start_us; /* only samples begun after this count; INT64_MAX: still too many in flight */
	uint32_t count;
	double log_sum;
	double full_1_log, less_log; /* results of the first two parts of a verification */
};

struct window_cold {	  /* see cold.h */
	int64_t until_us; /* 0: the server is not taken for cold */
	double verified;  /* the largest window that more load was seen to be worth it */
	uint32_t failures;
};

struct window_relapse { /* see relapse.h */
	uint32_t count;
	double crash_window;
	double crash_age_s; /* how long it had been up */
};

struct lane_window {
	double size;	 /* W, >= 1 */
	int phase;	 /* enum lane_phase */
	double ssthresh; /* RAMP ends here; INFINITY: no idea */
	double ceiling;	 /* of a busy server, for a while */
	int64_t ceiling_until_us;
	uint32_t busy_count;	 /* ceilings in a row */
	int64_t still_until_us;	 /* no growth before */
	int64_t decreased_us;	 /* last decrease */
	int64_t restarted_us;	 /* when the lane went up */
	bool verified;		 /* held the first-contact window without complaint */
	int64_t capped_since_us; /* since when the first-contact window is filled; 0: it is not */
	double variance;	 /* of log latency between messages */
	double mean_log;	 /* EWMA of log latency */
	uint32_t samples;
	double latency_s;    /* L of the last round; 0: none yet */
	double rate_per_s;   /* X of the last round */
	double mail_least_s; /* the shortest wait for a MAIL reply; 0: none yet */
	bool tarpit;	     /* the server delays each command: its latency tells nothing of load */
	int64_t dipped_us;
	struct window_round round;
	struct window_base base;
	struct window_trial trial;
	struct window_cold cold;
	struct window_relapse relapse;
};

void window_init(struct lane_window *w, int64_t now_us);
/* Begins anew at this size, in RAMP. cold: the server may have been restarted, so nothing measured before
 * counts. */
void window_restart(struct lane_window *w, double size, bool cold, int64_t now_us);

/* Nothing was sent for long: what is known of the server may be out of date (RFC 7661 for TCP). */
void window_idle(struct lane_window *w, int64_t now_us);

/* The size in force now: of a trial, or W. At least 1. */
double window_in_force(const struct lane_window *w);
/* To be called before the number of places taken (in flight, or being written down) changes, with the number
 * until now. */
void window_flight(struct lane_window *w, uint32_t places, int64_t now_us);

/* A delivered message: begun (MAIL sent) and done now; in_flight are still under way. most: the smallest of
 * the ceilings that others know of. */
void window_sample(struct lane_window *w, const struct lane_config *config, int64_t begun_us,
		   uint32_t in_flight, double most, int64_t now_us);
/* A reply to MAIL, after so long: a server that delays every command is told from one under load. */
void window_mail_reply(struct lane_window *w, int64_t waited_us);
/* The server is busy (421 while others are served): less at once, slowly again, and not as much for a while.
 */
void window_busy(struct lane_window *w, int64_t now_us);

/* What the window may be at most, of what the window itself knows: configuration, first contact, relapse,
 * busy. */
double window_cap(const struct lane_window *w, const struct lane_config *config, int64_t now_us);

/* --- window_base.c --- */
void window_base_clear(struct window_base *base, int64_t now_us);
void window_base_sample(struct lane_window *w, double log_latency, int64_t now_us);
void window_base_put(struct window_base *base, double latency_s,
		     int64_t now_us); /* a whole bucket, from a dip */
/* The server's own latency with its usual spread; without any bucket, the last round's. */
double window_base_latency(const struct lane_window *w, int64_t now_us);
/* True when the latency without our queue has not moved for a while: the server is not warming up. */
bool window_base_flat(const struct window_base *base, int64_t now_us);

/* --- window_trial.c --- */
void window_trial_begin(struct lane_window *w, enum window_trial_kind kind, double target, uint32_t in_flight,
			int64_t now_us);
/* The number in flight has fallen: the trial may begin to count. */
void window_trial_flight(struct lane_window *w, uint32_t in_flight, int64_t now_us);
/* True when the trial took the sample (a trial is under way). */
bool window_trial_sample(struct lane_window *w, int64_t begun_us, double log_latency, uint32_t in_flight,
			 int64_t now_us);
void window_trial_cancel(struct lane_window *w, int64_t now_us);

/* --- used by the parts --- */
void window_round_begin(struct lane_window *w, int64_t now_us);

#endif
