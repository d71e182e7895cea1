/* Whether a domain's queue may flow. Pure state machine, one per domain; the lane's health is another matter,
 * and whether its server is right when it refuses is refusal.h's.
 *
 *	OPEN      mail flows as the lane permits
 *	REFUSING  the server refuses this domain's valid mail (refusal.h is HOLDING): all is held but a probe
 *	PAUSED    held by hand, until resumed or the time given
 *	WAITING   no destination is known yet (no MX beyond us): held
 *
 * Of several reasons to hold the one that counts is paused, then waiting, then refusing.
 */
#ifndef LANE_DOMAIN_STATE_H
#define LANE_DOMAIN_STATE_H

#include "base/buffer.h"

enum domain_state {
	DOMAIN_OPEN = 0,
	DOMAIN_REFUSING = 1,
	DOMAIN_PAUSED = 2,
	DOMAIN_WAITING = 3,
};

const char *domain_state_name(enum domain_state state); /* "open", "refusing", "paused", "waiting" */

struct domain_flow {
	enum domain_state state;
	int64_t since_wall_ms;
	int64_t resume_wall_ms; /* PAUSED: 0 = by hand only */
	bool destination_known;
	bool refusing;	  /* as domain_refusing was told last */
	char reason[160]; /* the server's words, or ours */
	uint32_t epoch;	  /* grows each time it opens: parked recipients are due at once again */
};

void domain_flow_init(struct domain_flow *flow, int64_t wall_ms);

bool domain_flows(const struct domain_flow *flow);
/* When it may change by itself; INT64_MAX: never. */
int64_t domain_deadline(const struct domain_flow *flow, int64_t now_us, int64_t wall_ms);

/* The hold detector's state; why: for people, and brought up to date while it refuses. Returns true when the
 * state changed. */
bool domain_refusing(struct domain_flow *flow, bool refusing, struct slice why, int64_t wall_ms);

/* By hand. until_wall_ms 0: until resumed. Return true when the state changed. */
bool domain_pause(struct domain_flow *flow, int64_t until_wall_ms, int64_t wall_ms);
bool domain_resume(struct domain_flow *flow, int64_t wall_ms);
/* WAITING <-> the others; a pause outlasts it. why: what is missing, for people. */
bool domain_destination(struct domain_flow *flow, bool known, struct slice why, int64_t wall_ms);
bool domain_tick(struct domain_flow *flow, int64_t now_us, int64_t wall_ms); /* ends a timed pause */

/* State that survives a restart. save: ERR_MEMORY, ERR_LIMIT. load: ERR_CORRUPT, ERR_VERSION; the flow is as
 * before then. What refuses is the hold detector's to save: after a load, tell it with domain_refusing. */
nodiscard int domain_flow_save(const struct domain_flow *flow, struct buffer *to);
nodiscard int domain_flow_load(struct domain_flow *flow, struct slice from, int64_t wall_ms);

#endif
