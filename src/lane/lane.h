/* The lane: everything we know and do about one destination's server set. Health, probes, window, learnt
 * ceilings.
 *
 * Pure: events and time in; a permit and a deadline out. The relay reports every connection and transaction,
 * asks lane_permit what it may start now, and comes back at lane_deadline. A lane does not know messages,
 * hosts or addresses.
 *
 * States (RECOVERY §1.1):
 *   LANE_UP     mail flows under the window; phase RAMP (looking for the server's capacity) or STEADY
 * (holding it) LANE_DOWN   nothing flows but one canary at a time, on the probe schedule of its kind A new
 * lane is UP in RAMP with window 1: the first message is the proof.
 *
 * One struct, no allocation: ten thousand lanes are a few megabytes. Fields are private to src/lane; use
 * lane_view.
 */
#ifndef LANE_LANE_H
#define LANE_LANE_H

#include "base/buffer.h"
#include "base/rng.h"
#include "lane/verdict.h"

enum lane_state {
	LANE_UP = 0,
	LANE_DOWN = 1,
};

enum lane_phase {
	LANE_RAMP = 0,
	LANE_STEADY = 1,
};

struct lane_config {
	double window_max;		  /* 50 */
	double window_first_contact;	  /* 20, until verified */
	int64_t ramp_doubling_ms;	  /* 3000: TD of RECOVERY §1.3 */
	uint32_t messages_per_connection; /* 100 */
	int64_t connection_idle_ms;	  /* 2000; the last connection 5000 */
	int64_t last_connection_idle_ms;
};

void lane_config_defaults(struct lane_config *config);

#include "lane/ceilings.h"
#include "lane/probe.h"
#include "lane/window.h"

struct lane {
	struct lane_config config;
	struct rng rng;
	enum lane_state state;
	enum lane_kind kind; /* why it is down, or was last */
	int64_t since_us, since_wall_ms;
	int64_t last_success_us;   /* 0: never */
	uint32_t open, connecting; /* connections: greeted; connect..EHLO */
	uint32_t in_flight;	   /* transactions under way */
	uint32_t recording;	   /* ended, but their connections wait until we have written it down */
	bool probing;		   /* a canary is under way */
	uint32_t stale_connecting; /* of connecting: begun before the lane went down, not a probe's */
	uint32_t hung;		/* of in_flight: begun before the last failure; they do not fill the window */
	int64_t down_us;	/* when it went down last */
	double window_before;	/* W when it went down */
	bool warm;		/* all failures of this outage say that the server behind it kept running */
	bool limited;		/* this outage is a limit met: too fast, or no space */
	bool recovered;		/* it has been down before, so what follows soon may be a relapse */
	double window_pushback; /* W before the first pushback in a row */
	uint32_t pushbacks;	/* BUSY, UNKNOWN and lone resets since the last success */
	int64_t latency_us;	/* of the last delivery, from MAIL to the last reply; 0: none yet */
	int64_t ended_us;	/* the last transaction */
	int64_t heard_us;	/* the server last said or took anything */
	bool hears;		/* the relay reports that with lane_heard */
	bool hears_mail;	/* and replies to MAIL with lane_mail_reply */
	int64_t pause_until_us; /* no new connection before */
	uint64_t delivered_total, deferred_total; /* recipients; kept for status */
	char last_reply[160];			  /* the server's own words, for people */
	struct lane_window window;		  /* UP: the control law */
	struct conn_limit conn_limit;		  /* ceilings learnt from replies */
	struct pace pace;
	struct lane_probe probe; /* DOWN: schedule */
};

/* What the relay may start now. */
struct lane_permit {
	bool probe;	   /* DOWN: start one canary, on a new connection */
	uint32_t sends;	   /* UP: so many transactions more */
	uint32_t connects; /* UP: of these, so many may open a new connection (others need a warm idle one) */
};

/* One ended transaction, for the control law. Times are microseconds. */
struct lane_sample {
	enum verdict verdict; /* OK, or the worst that concerns the lane; RECIPIENT counts as proof of life */
	enum lane_kind kind;
	bool canary;
	int64_t mail_sent_us, mail_reply_us, done_us; /* 0: not reached */
	uint64_t bytes;				      /* of body sent */
	uint32_t recipients_ok;			      /* accepted */
	uint32_t recipients_deferred;
	struct slice reply; /* the words that decided, for status */
};

void lane_init(struct lane *lane, const struct lane_config *config, uint64_t seed, int64_t now_us,
	       int64_t wall_ms);

struct lane_permit lane_permit(struct lane *lane, int64_t now_us);
/* When a permit may come without any further event: probe time, pacing, end of a pause. INT64_MAX: only by an
 * event. */
int64_t lane_deadline(const struct lane *lane, int64_t now_us);

/* Connections: each opening ends with ready or failed; each ready one with closed. */
void lane_conn_opening(struct lane *lane, int64_t now_us);
void lane_conn_ready(struct lane *lane, int64_t now_us);
/* verdict HOST, CONN_LIMIT, RATE or PRESSURE: all hosts of the destination failed (the relay tries siblings
 * first). wall_ms for since. Returns true when the lane went from UP to DOWN by it. */
bool lane_conn_failed(struct lane *lane, const struct verdict_result *result, struct slice reply,
		      int64_t now_us, int64_t wall_ms);
void lane_conn_closed(struct lane *lane, int64_t now_us);

/* Transactions: each started one ends once. Returns true when the state changed (UP <-> DOWN). An opening
 * connection holds a place in the window for one transaction; it may be started before or when the connection
 * is ready. In state DOWN only a canary counts as a test, except that a late success of any transaction ends
 * an outage by timeout. */
void lane_transaction_started(struct lane *lane, bool canary, int64_t now_us);
bool lane_transaction_ended(struct lane *lane, const struct lane_sample *sample, int64_t now_us,
			    int64_t wall_ms);
/* Optional: the result of a transaction that ended is being written down, and its connection is not used
 * meanwhile; it keeps its place in the window. Without it a window whose transactions are shorter than our
 * own writing would look half empty, and never grow. Each begun one ends once. */
void lane_recording_begun(struct lane *lane, int64_t now_us);
void lane_recording_ended(struct lane *lane, int64_t now_us);
/* A canary could not be tried after all (its message ended meanwhile): no verdict. */
void lane_canary_abandoned(struct lane *lane, int64_t now_us);

/* The server said or took something on some connection: any reply, any progress of a body. Optional; with it
 * a server that hangs is noticed within seconds (lane_tick), without it only after minutes, because a large
 * body makes silence too. */
void lane_heard(struct lane *lane, int64_t now_us);

/* A reply to MAIL has come, sent at mail_sent_us. Optional: servers that delay every command are told from
 * loaded ones by it. */
void lane_mail_reply(struct lane *lane, int64_t mail_sent_us, int64_t now_us);

/* To be called at lane_deadline: notices that nothing was heard on any connection for too long (RECOVERY
 * §1.5: max(8 s, 4 latencies)). In state DOWN it gives up a canary that hears nothing, so that another
 * may be permitted. Returns true when the lane went down by it; transactions before their final
 * dot should then be given up (reported with VERDICT_LATER), those past it wait for their reply and no longer
 * fill the window. */
bool lane_tick(struct lane *lane, int64_t now_us, int64_t wall_ms);

/* Names could not be resolved: DOWN(dns) unless UP with open connections. Same return. */
bool lane_dns_failed(struct lane *lane, struct slice why, int64_t now_us, int64_t wall_ms);

/* Something hints that the server may be back (a connection from the customer's address, ETRN, changed MX,
 * "probe" by hand): one extra probe at once, at most one each 30 s; force: without that limit. */
void lane_hint(struct lane *lane, bool force, int64_t now_us);

/* How long a connection of this lane may stand idle before it should be closed. */
int64_t lane_idle_limit_us(const struct lane *lane);

struct lane_view {
	enum lane_state state;
	enum lane_phase phase;
	enum lane_kind kind;
	int64_t since_wall_ms;
	double window, rate_per_s;
	uint32_t in_flight, open;
	int64_t next_probe_us;	   /* INT64_MAX: none */
	int64_t down_since_us;	   /* valid when DOWN */
	uint32_t connection_limit; /* learnt; 0: none */
	double rate_limit_per_s;   /* learnt; 0: none */
	uint64_t delivered_total, deferred_total;
	const char *last_reply;
};
void lane_view(const struct lane *lane, int64_t now_us, struct lane_view *ret_view);

/* State that survives a restart: state, kind, since, window, base, ceilings, totals. Load into a lane after
 * lane_init. ERR_MEMORY, ERR_LIMIT / ERR_CORRUPT, ERR_VERSION (then the lane is as it was before). Durations,
 * not instants, are written: the monotonic clock starts anew; down time is by the wall clock. */
nodiscard int lane_save(const struct lane *lane, int64_t now_us, struct buffer *to);
nodiscard int lane_load(struct lane *lane, struct slice from, int64_t now_us, int64_t wall_ms);

#endif
