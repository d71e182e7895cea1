/* What RCPT is answered at our own door. Pure: the owner asks, does what the answer says (a callout, a
 * proof), and asks again with what came of it.
 *
 * A recipient gets 550 only from a server that says "unknown mailbox", takes known recipients of that domain
 * right after (a directory may have broken a second ago: an older proof is none), says it once more, all that
 * DOOR_PROOFS times, and has no excuse: no grace, no suspicion, no doubt (RECOVERY §1.7.6). Such a refusal is
 * noted as a counted one, and answers for itself for five minutes. While the server is down, newly back or
 * unproven, mail is taken and held, known recipients without a bound, unseen ones within one, then 451. A
 * relay that refused valid users because the directory behind it broke would be worse than none.
 */
#ifndef LANE_DOOR_H
#define LANE_DOOR_H

#include "lane/quota.h"
#include "lane/ledger.h"
#include "lane/refusal.h"

enum door_server {
	DOOR_DOWN = 0,	   /* its lane is down, or the domain is held, paused or waits for a destination */
	DOOR_GRACE = 1,	   /* up, but newly: its no is no no yet */
	DOOR_UNPROVEN = 2, /* up; no known recipient was accepted in the last minute, or it is suspected */
	DOOR_HEALTHY = 3,
};
/* flows: the lane is up and the domain open. */
enum door_server door_server(const struct refusal *refusal, bool flows, int64_t now_us);

/* what a callout to the server said of this recipient */
enum door_callout {
	DOOR_NOT_ASKED = 0,
	DOOR_TAKEN = 1,	  /* 2yz; or a mailbox that is full or throttled: it exists */
	DOOR_UNKNOWN = 2, /* 5yz that means: no such mailbox */
	DOOR_OTHER = 3,	  /* another refusal: of us, of relaying, of our sender, for now */
	DOOR_FAILED = 4,  /* no answer within 8 s, or no slot */
};

struct door_question {
	enum door_server server;
	enum ledger_standing standing;
	bool refused_now; /* ledger_refused_now */
	enum ledger_catch_all catch_all;
	bool postmaster;
	bool vouched;	 /* the reverse-path is authenticated: SPF pass */
	bool share_left; /* of the spool, for this domain */
	enum door_callout callout;
	/* DOOR_PROVE was done so often: server and callout are what came of the last one. */
	uint32_t proofs;
};

enum door_answer {
	DOOR_ACCEPT = 0,  /* 250 */
	DOOR_CALLOUT = 1, /* ask the server, then ask here again */
	DOOR_PROVE =
	    2,	      /* make a check of known recipients, then ask for this one once more, then here again */
	DOOR_450 = 3, /* not asked, or refused without proof: later */
	DOOR_451 = 4, /* more unseen recipients than may be held */
	DOOR_550 = 5,
};

struct door_decision {
	enum door_answer answer;
	const char *reason; /* for log and trace */
};

struct door_budgets {
	struct quota *unseen;	       /* of the domain: unseen recipients that were taken unasked */
	double unseen_per_hour;	       /* so many of them; DOOR_UNSEEN unless the operator wants more */
	struct quota *lane_refusals;   /* of the lane: callouts that the server refused */
	struct quota *client_refusals; /* of the client's network (a /24 or /64) */
};

/* Spends from the budgets what the answer costs. */
struct door_decision door_decide(const struct door_question *question, const struct door_budgets *budgets,
				 int64_t now_us);

#endif
