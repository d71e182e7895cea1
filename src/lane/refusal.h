/* Does a server refuse the valid mail of a domain? One detector per domain (never per lane); pure.
 *
 * A server that was reinstalled, lost its directory or its configuration says 550 to people who exist. So a
 * refusal is never taken at its word: it ends a recipient only when the server was *proven* healthy (it took
 * a known recipient of the same domain a moment before), nothing speaks against it, and it says so again
 * later.
 *
 *   TRUSTED   mail flows; what is proven and repeated may end
 *   DOUBT     mail flows, nothing ends: the server takes some known recipients and refuses others, or nobody
 *             knows whom it should take
 *   HOLDING   the server refuses valid recipients: everything waits but one probe at a time
 *
 * Evidence never moves the state by itself: it makes a *suspicion*, and a suspicion asks for a *check*, one
 * session with a few recipients that the server took before (RECOVERY §1.7). Only what the server says there
 * leads to HOLDING, and whom we ask there is nothing that a stranger can choose: so no message, sender or
 * recipient holds a domain, nor any mix of them.
 *
 * The owner does, for each recipient of each transaction, refusal_event and what its advice says; and
 * refusal_permit whenever it may send. Hashes must be seeded with something strangers do not know. No memory
 * is allocated; about 1 KB for each domain.
 */
#ifndef LANE_REFUSAL_H
#define LANE_REFUSAL_H

#include "base/buffer.h"
#include "lane/ledger.h"
#include "lane/verdict.h"

enum refusal_state {
	REFUSAL_TRUSTED = 0,
	REFUSAL_DOUBT = 1,
	REFUSAL_HOLDING = 2,
};

/* what made the suspicion, and then the state */
enum refusal_cause {
	REFUSAL_NO_CAUSE = 0,
	REFUSAL_KNOWN = 1,   /* known recipients were refused */
	REFUSAL_RUN = 2,     /* more refusals in a row than this server's custom explains */
	REFUSAL_CLASS = 3,   /* "relaying denied", "no such domain" */
	REFUSAL_SENDERS = 4, /* several senders in a row were refused at MAIL */
	REFUSAL_SOFT = 5,   /* most recipients are deferred (4yz that is neither greylisting nor a mailbox) */
	REFUSAL_MIXED = 6,  /* the check: some known recipients taken, others refused */
	REFUSAL_UNSURE = 7, /* the check had nobody, or only one, to ask for */
};

const char *refusal_state_name(enum refusal_state state);  /* "trusted", "doubt", "holding" */
const char *refusal_cause_words(enum refusal_cause cause); /* for people; "" for none */

enum {
	REFUSAL_WITNESSES = 8, /* known recipients whose refusal is remembered: two are enough for a check */
	REFUSAL_OTHERS = 3,    /* accepted after it: then the refused one has left, and the server is well */
	REFUSAL_RECENT = 16,   /* hashes by which repetitions are known */
	REFUSAL_CHECK_MAX = 3, /* recipients of one check */
};

struct refusal_witness {
	uint64_t recipient, sender;
	uint64_t others[REFUSAL_OTHERS]; /* accepted since */
	uint8_t other_count;
};

/* Things in a row, each counted once. Half a hash is enough to tell 16 apart. */
struct refusal_run {
	uint32_t count;
	uint32_t seen[REFUSAL_RECENT];
};

enum refusal_check {
	REFUSAL_CHECK_NONE = 0,
	REFUSAL_CHECK_WANTED = 1, /* the owner is to start one */
	REFUSAL_CHECK_OUT = 2,
};

struct refusal {
	enum refusal_state state;
	enum refusal_cause cause;
	int64_t since_us;
	int64_t grace_until_us;

	bool proven; /* a known recipient was accepted at proven_us */
	bool nobody; /* the last check found no known recipient to ask for */
	int64_t proven_us;
	uint64_t last_accepted; /* recipient: a stream to one mailbox counts once */
	double score;		/* sequential test over known recipients */
	struct refusal_witness witnesses[REFUSAL_WITNESSES];
	uint32_t witness_count;
	uint32_t departed[REFUSAL_RECENT]; /* recipients that lost their standing */
	uint32_t departed_next;

	double share; /* of refusals among this domain's recipients, in the long run */
	struct refusal_run refused, refused_senders; /* of the same refusals */
	struct refusal_run senders, contents;
	uint32_t soft_bits, soft_known; /* the last recipients, 1: deferred; how many are known */
	struct refusal_run soft;	/* the deferred ones since the last accept of many */

	enum refusal_check check;
	enum refusal_cause suspicion; /* NO_CAUSE: the check is only for proof */
	int64_t check_us;	      /* when it is due, or went out */
	uint32_t check_accepted, check_refused, check_again, check_deferred, check_senders;
	int64_t weak_until_us; /* a check has just passed: weak evidence makes no other before this */
	uint32_t weak_passed;  /* checks passed in a row without known evidence */
	int64_t passed_us;     /* a check on known evidence passed */
	bool passed;

	int64_t probe_us; /* DOUBT(UNSURE), HOLDING: the next one */
	int64_t probe_out_us;
	bool probe_out;
	uint32_t probe_count;
	uint32_t confirmed; /* accepted in a row while HOLDING */
	uint32_t relapses;  /* holds that began within an hour of the last one's end */
	int64_t released_us;
	bool released;
	uint32_t calm;		 /* known recipients accepted in a row in DOUBT */
	int64_t last_refused_us; /* of a known recipient */
	int64_t trickle_us;	 /* DOUBT(UNSURE): when the next one may go */
	bool alarmed;		 /* the present trouble has had its alarm */
	bool contents_alarmed;	 /* the present run of refused contents has */
};

/* begins in grace: it is the first contact */
void refusal_init(struct refusal *r, int64_t now_us);

/* --- what happens --- */

/* The lane came back up, or its server has another banner, certificate, address or MX: it may not be itself.
 */
void refusal_grace(struct refusal *r, int64_t now_us);
/* An administrator says that it is itself: the grace is over. */
void refusal_end_grace(struct refusal *r, int64_t now_us);
/* The lane went down: what was proven is proven no more. */
void refusal_server_lost(struct refusal *r);

struct refusal_event {
	enum verdict verdict;
	enum verdict_stage stage;      /* OK at RCPT: the address was taken; OK at the dot: delivered */
	uint64_t recipient, sender;    /* hashes of forward-path and reverse-path */
	enum ledger_standing standing; /* of the recipient, before this */
	enum verdict_reason reason;    /* why: see verdict.h */
	bool probe;		       /* it was the probe of a holding or doubted domain */
	/* The recipient's refusals that counted so far (ledger entry), and how long ago the first was, in
	 * the domain's time of service. */
	uint32_t counted;
	int64_t counted_ms;
	uint32_t attempts; /* to deliver this message to it, with this one */
};

enum refusal_act {
	REFUSAL_ACCEPTED = 0,
	REFUSAL_PARK = 1,    /* keep this recipient, try again after park_ms */
	REFUSAL_END = 2,     /* it may end: a proven healthy server has repeated it */
	REFUSAL_HOLD = 3,    /* the domain is held: keep it without a time; a release makes it due at once */
	REFUSAL_MESSAGE = 4, /* not about an address: the message's own rules, its own back-off */
};

struct refusal_advice {
	enum refusal_act act;
	int64_t park_ms;
	bool counted;  /* note this refusal in the ledger: others were accepted when it was said */
	bool departed; /* PARK: it is no longer a known recipient (ledger_depart) */
	bool
	    released; /* the hold, or the doubt that held recipients back, is over: parked ones are due now */
	bool held;    /* it begins */
	bool alarm;   /* tell the administrator, once per trouble: cause says what */
	bool contents; /* tell him that one content after another is refused; nothing is held for that */
};
struct refusal_advice refusal_event(struct refusal *r, const struct refusal_event *event, int64_t now_us);

/* --- the check --- */

/* Started: one session, one RCPT per MAIL, up to REFUSAL_CHECK_MAX known recipients (ledger_recent), those
 * for whom refusal_is_witness is false first. */
void refusal_check_out(struct refusal *r, int64_t now_us);
bool refusal_is_witness(const struct refusal *r, uint64_t recipient);
/* One recipient's answer: verdict, stage (MAIL when the server did not even take our reverse-path), recipient
 * and reason of the event. */
void refusal_check_answer(struct refusal *r, const struct refusal_event *answer);
/* All answers are there, or none could be had (no known recipient: asked false; the lane failed: asked true
 * without answers, it is wanted again later). Only held, released and alarm of the advice are set. */
struct refusal_advice refusal_check_done(struct refusal *r, bool asked, int64_t now_us);

/* --- what may be done --- */

struct refusal_permit {
	bool flow;    /* send as the lane permits */
	bool trickle; /* with flow: no more than one now (refusal_sent) */
	bool check;   /* start a check */
	bool probe; /* one message may go as a probe: of a known recipient if there is one, else one that was
		       not refused yet, else the next of those refused */
};
struct refusal_permit refusal_permit(const struct refusal *r, int64_t now_us);
int64_t refusal_deadline(const struct refusal *r, int64_t now_us); /* when the permit may change by itself */
void refusal_probe_out(struct refusal *r, int64_t now_us);
void refusal_probe_abandoned(struct refusal *r); /* it told nothing */
void refusal_sent(struct refusal *r, int64_t now_us);

bool refusal_in_grace(const struct refusal *r, int64_t now_us);
/* A known recipient was accepted within the last minute, in no grace, doubt or suspicion: the server's word
 * counts (RECOVERY §1.7.6). */
bool refusal_is_proven(const struct refusal *r, int64_t now_us);
/* Asks for a check that proves it, for a decision that waits (at our door, or before an end). */
void refusal_want_proof(struct refusal *r, int64_t now_us);
/* One content after another is refused and none taken: no refusal of a content is final now. An attacker's
 * spam may make it so, and it changes nothing for anybody else. */
bool refusal_of_contents(const struct refusal *r, int64_t now_us);
/* So many refusals in a row make this server suspect. */
uint32_t refusal_run_limit(const struct refusal *r, int64_t now_us);

/* State that survives a restart. save: ERR_MEMORY, ERR_LIMIT. load: ERR_CORRUPT, ERR_VERSION; *r is as before
 * then. Times are saved as what remains of them; a suspicion is not saved, its evidence comes again. */
nodiscard int refusal_save(const struct refusal *r, int64_t now_us, struct buffer *to);
nodiscard int refusal_load(struct refusal *r, struct slice from, int64_t now_us);

#endif
