/* What the files of the hold detector share. */
#ifndef LANE_REFUSAL_INTERNAL_H
#define LANE_REFUSAL_INTERNAL_H

#include "lane/refusal.h"

/* refusal_evidence.c: what counts, and what it adds up to */
void refusal_note_accepted(struct refusal *r, const struct refusal_event *event, int64_t now_us);
void refusal_note_refused(struct refusal *r, const struct refusal_event *event, int64_t now_us);
void refusal_note_sender(struct refusal *r, const struct refusal_event *event, int64_t now_us);
bool refusal_note_content(struct refusal *r, const struct refusal_event *event); /* true: alarm */
void refusal_note_soft(struct refusal *r, const struct refusal_event *event, int64_t now_us);
/* Deferred for a reason that is neither greylisting nor the mailbox's own: its directory may be away. */
bool refusal_is_soft(enum verdict_reason reason);
bool refusal_has_departed(const struct refusal *r, uint64_t recipient);
void refusal_forget_evidence(struct refusal *r);

/* refusal_check.c: suspicions and the states that follow */
void refusal_suspect(struct refusal *r, enum refusal_cause cause, int64_t now_us);
void refusal_doubt(struct refusal *r, enum refusal_cause cause, int64_t now_us);
void refusal_hold(struct refusal *r, enum refusal_cause cause, int64_t now_us);
void refusal_trust(struct refusal *r, int64_t now_us);
/* The advice of a change of state from before to now. */
void refusal_tell(struct refusal *r, enum refusal_state before, struct refusal_advice *advice,
		  int64_t now_us);

#endif
