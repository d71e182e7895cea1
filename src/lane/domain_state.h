/* Whether a domain's queue may flow. Pure state machine, one per domain; the lane's health is another matter.
 *
 *   OPEN      mail flows as the lane permits
 *   REFUSING  the server refuses this domain's mail: only a canary each 15 s, everything is held, the
 * neighbours flow PAUSED    held by hand, until resumed or the time given WAITING   no destination is known
 * yet (no MX beyond us): held
 *
 * This version's detector is simple and errs to holding: DOMAIN verdicts at once, or DOMAIN_REFUSING_AFTER
 * refusals (REFUSED or US) in a row without an accept, each of another recipient and another reverse-path:
 * messages of one sender, or to one recipient, count once. The first canary is due at once, so that a
 * suspicion that was wrong (an attacker's odd recipients) costs a round trip; then 5, 10 and every 15 s.
 * Nothing ends while refusing. Only an accepted recipient opens the queue again.
 */
#ifndef LANE_DOMAIN_STATE_H
#define LANE_DOMAIN_STATE_H

#include "base/buffer.h"
#include "base/rng.h"
#include "lane/verdict.h"

enum domain_state {
	DOMAIN_OPEN = 0,
	DOMAIN_REFUSING = 1,
	DOMAIN_PAUSED = 2,
	DOMAIN_WAITING = 3,
};

enum { DOMAIN_REFUSING_AFTER = 4 }; /* messages refused in a row, of different recipients and senders */

const char *domain_state_name(enum domain_state state); /* "open", "refusing", "paused", "waiting" */

struct domain_flow {
	enum domain_state state;
	int64_t since_wall_ms;
	int64_t resume_wall_ms; /* PAUSED: 0 = by hand only */
	bool destination_known;
	uint32_t refused_in_row;
	uint64_t recent_recipient[DOMAIN_REFUSING_AFTER]; /* hashes, so that different ones are counted */
	uint64_t recent_sender[DOMAIN_REFUSING_AFTER];
	int64_t next_canary_us; /* REFUSING */
	bool canary_out;
	uint32_t canary_count; /* since it refuses */
	int64_t canary_us;     /* when the present one went out */
	char reason[160];      /* the server's words, or ours */
	uint32_t epoch;	       /* grows each time it opens: parked recipients are due at once again */
};

void domain_flow_init(struct domain_flow *flow, int64_t wall_ms);

struct domain_permit {
	bool flow;   /* send as the lane permits */
	bool canary; /* REFUSING: one message may go now, as a test */
};
struct domain_permit domain_permit(const struct domain_flow *flow, int64_t now_us);
int64_t domain_deadline(const struct domain_flow *flow, int64_t now_us, int64_t wall_ms);

void domain_canary_out(struct domain_flow *flow, int64_t now_us);
/* One message's result for this domain; the worst of its recipients, OK if one was accepted. Hashes of
 * recipient and reverse-path. Returns true when the state changed. */
bool domain_outcome(struct domain_flow *flow, enum verdict verdict, uint64_t recipient, uint64_t sender,
		    struct slice reply, struct rng *rng, int64_t now_us, int64_t wall_ms);
/* The canary told nothing (its message ended meanwhile, the lane failed): another one may go when it is due.
 */
void domain_canary_abandoned(struct domain_flow *flow);

/* By hand. until_wall_ms 0: until resumed. Return true when the state changed. */
bool domain_pause(struct domain_flow *flow, int64_t until_wall_ms, int64_t wall_ms);
bool domain_resume(struct domain_flow *flow, int64_t wall_ms);
/* WAITING <-> OPEN; a pause outlasts it. why: what is missing, for people. */
bool domain_destination(struct domain_flow *flow, bool known, struct slice why, int64_t wall_ms);
bool domain_tick(struct domain_flow *flow, int64_t now_us, int64_t wall_ms); /* ends a timed pause */

/* State that survives a restart. save: ERR_MEMORY, ERR_LIMIT. load: ERR_CORRUPT, ERR_VERSION; the flow is as
 * before then. */
nodiscard int domain_flow_save(const struct domain_flow *flow, struct buffer *to);
nodiscard int domain_flow_load(struct domain_flow *flow, struct slice from, int64_t now_us, int64_t wall_ms);

#endif
