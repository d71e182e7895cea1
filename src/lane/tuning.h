/* Every number of the lane's decisions, with its reason. RECOVERY names the design that they come from. */
#ifndef LANE_TUNING_H
#define LANE_TUNING_H

/* --- turns
 * ------------------------------------------------------------------------------------------------------ */

/* An average message costs a server about as much for its dialogue as for this many bytes of body. */
#define TURNS_BYTES_PER_UNIT 65536.0
/* One huge message may not silence its domain for longer than this many small ones would. */
#define TURNS_COST_MAX 64.0
/* What a domain may spend in one round: a few small messages, so that warm connections are used. */
#define TURNS_QUANTUM 4.0
/* Fresh mail's share of the cost while backlog waits: the backlog always moves. */
#define TURNS_FRESH_SHARE 0.7
/* How far fresh mail may run ahead of its share (about 7 messages), or be owed. */
#define TURNS_CREDIT_MAX 2.0

/* --- back-offs
 * -------------------------------------------------------------------------------------------------- */

/* Our own system refused a socket or memory: soon again, but no spinning. */
#define BACKOFF_LOCAL_MS     1000
#define BACKOFF_LOCAL_MAX_MS 60000

/* --- domain queues
 * ---------------------------------------------------------------------------------------------- */

/* From one canary's start to the next (RECOVERY §1.2, 550). */
#define DOMAIN_CANARY_INTERVALS_US          \
	{                                   \
		5000000, 10000000, 15000000 \
	}
/* The first canary checks the suspicion: at once, spread over this much. */
#define DOMAIN_FIRST_CANARY_US 500000
/* A canary without any result for so long (longer than the RFC's patience for the dot) is given up. */
#define DOMAIN_CANARY_LOST_US 900000000LL
/* How often a timed pause looks at the wall clock, which may jump. */
#define DOMAIN_PAUSE_LOOK_MS 3600000LL

/* --- probes (RECOVERY §1.2; the intervals stand in probe.c)
 * -------------------------------------------------------- */

/* Each interval times U(1 - this, 1 + this), so that lanes that fell together are not probed together. */
#define PROBE_JITTER 0.2
/* A canary whose message ended meanwhile: another one, without spinning when the queue holds nothing usable.
 */
#define PROBE_ABANDONED_US 1000000LL
/* Hints come from strangers (a connection, ETRN): at most one extra probe in this time. */
#define PROBE_HINT_US 30000000LL

/* --- window (RECOVERY §1.3)
 * --------------------------------------------------------------------------------------- */

#define WINDOW_VARIANCE_GAIN 0.03 /* about the last 30 samples */
#define WINDOW_LATENCY_MIN_S 1e-4 /* below this it is our own scheduling that is measured */
#define WINDOW_ROUND_MIN_S   0.25 /* faster rounds see only noise of the network */
#define WINDOW_ROUND_NOISE   0.02 /* variance of the mean that a round may have */
#define WINDOW_BUCKET_MIN    8
#define WINDOW_BUCKET_MAX    32
#define WINDOW_BUCKET_NOISE \
	0.01 /* the base is a minimum of means, which prefers lucky ones: so they must be better */
#define WINDOW_BUCKET_NOISY_MAX 200
#define WINDOW_BASE_FACTOR	1.25 /* the server's own spread around its best */
#define WINDOW_BASE_US		20e6 /* older buckets may tell of another server: colder, busier */
#define WINDOW_BASE_LATENCIES	10   /* but a slow server has few */
#define WINDOW_CALM_US		8000000LL
#define WINDOW_CALM_RATE	10
#define WINDOW_DOUBLING_S	8
#define WINDOW_DOUBLING_CALM_S	4

/* --- lane (RECOVERY §1.1, §1.4)
 * ------------------------------------------------------------------------------------- */

#define LANE_WARM_TIMEOUT_US                                                           \
	300000000LL /* a path that was away for less: the server behind it stayed warm \
		     */
#define LANE_WARM_SOFT_US \
	180000000LL /* a limit or lack of space met less long ago: the server is as it was */
#define LANE_WARM_FACTOR   0.7
#define LANE_BUSY_FACTOR   0.6 /* 421 while others are served */
#define LANE_PUSHBACKS_MIN 3   /* so many without a success between, and at least W: down */
#define LANE_RECENT_US \
	5000000LL /* a success so recent says that a connect that timed out is about that one */
#define LANE_STALL_US	     8000000LL /* no reply on any connection for so long, or 4 latencies: down */
#define LANE_STALL_LATENCIES 4
/* The same when nobody reports what is heard: a large body on a slow line is minutes of silence. */
#define LANE_STALL_BLIND_US   300000000LL
#define LANE_LIMIT_PAUSE_US   5000000LL /* after a refused extra connection */
#define LANE_SAVED_WINDOW_MAX 100000.0	/* a saved one beyond it is damage */
#define LANE_LOCAL_PAUSE_US   1000000LL /* our own system refused a connection */

#endif
