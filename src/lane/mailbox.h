/* What one recipient, one message or one server's habit costs only itself. Pure; small records of the owner.
 *
 *   mailbox  a full or throttled one backs off as a mailbox, not message by message, and has a clock of its
 * own: 5 days of service, and it is shown from hour 4 poison   messages that fail again and again while
 * others pass keep to a small share of the slots split    a server that refuses a whole message for one
 * recipient gets one recipient at a time for a while
 */
#ifndef LANE_MAILBOX_H
#define LANE_MAILBOX_H

#include <stdbool.h>
#include <stdint.h>

/* --- a mailbox that takes nothing now (RECIPIENT verdicts) --- */

/* Zeroed: well. Made at its first deferral, dropped when mailbox_is_well. */
struct mailbox_rest {
	bool waits;		  /* deferred, and nothing accepted since */
	int64_t since_service_ms; /* deferred since; the domain's time of service, see ledger.h */
	int64_t next_us;	  /* nothing before this */
	uint32_t failures;	  /* in a row */
	uint32_t window;	  /* messages in flight that it may have, 0: no bound */
	uint32_t in_flight;
	int64_t accepted_us; /* the last time; with window > 0 */
};

/* May a message to it start? */
bool mailbox_permits(const struct mailbox_rest *m, int64_t now_us);
void mailbox_sent(struct mailbox_rest *m);
/* The message's end in any way, before the next two. */
void mailbox_returned(struct mailbox_rest *m);
/* One that took mail within the last ten minutes is throttled: a minute's rest and half the window. Else
 * full: 5, 10, 20, 40, then each 60 min, one message at a time. */
void mailbox_deferred(struct mailbox_rest *m, int64_t service_ms, int64_t now_us);
void mailbox_accepted(struct mailbox_rest *m, int64_t now_us);
bool mailbox_is_well(const struct mailbox_rest *m);
/* To be shown as a trouble of its own. */
bool mailbox_is_visible(const struct mailbox_rest *m, int64_t service_ms);
/* May a message that was deferred by it first at that time of service end now? Only while the server is
 * healthy: the caller asks then. */
bool mailbox_is_over(const struct mailbox_rest *m, int64_t first_deferred_service_ms, int64_t service_ms);

/* --- poison --- */

enum { POISON_AFTER = 3 }; /* failures of one message while others passed */

struct poison_share { /* of a lane; zeroed at first */
	double credit;
	uint32_t in_flight;
};

/* failures: of this message with verdicts of its own, each while something else was accepted since. */
bool poison_is(uint32_t failures);
/* May such a message start? idle: nothing else waits for the slot. Never as a canary. */
bool poison_permits(const struct poison_share *share, bool idle);
void poison_sent(struct poison_share *share);
void poison_returned(struct poison_share *share);
void poison_other_sent(struct poison_share *share); /* an ordinary message started */

/* --- split --- */

struct split { /* of a lane; zeroed at first */
	int64_t until_us;
	uint32_t times;
};

/* A refusal at DATA or the dot of a transaction with several recipients: they are tried one by one. */
void split_refused(struct split *split, int64_t now_us);
/* One recipient per transaction now? */
bool split_single(const struct split *split, int64_t now_us);

#endif
