/* What an event at a customer's server says, and about whom: host, rate, domain, recipient, message, us, or
 * nothing.
 *
 * Judged by stage first, then enhanced status code and text; the basic code comes last. The table is in
 * verdict_rules.c, one row a rule, in order, first match wins, written so that a person can read it;
 * doc/verdicts.md explains it. Pure.
 *
 * In this version no refusal ends a message: 5yz are kept like 4yz, with the reason shown. The verdict only
 * sorts; what follows from many of them is the matter of lane.h and domain_state.h.
 */
#ifndef LANE_VERDICT_H
#define LANE_VERDICT_H

#include "base/slice.h"
#include "lane/verdict_reason.h"

/* how far it had come; the relay maps the client machine's stages to these */
enum verdict_stage {
	VERDICT_AT_CONNECT = 0,
	VERDICT_AT_BANNER = 1,
	VERDICT_AT_EHLO = 2,
	VERDICT_AT_TLS = 3,
	VERDICT_AT_MAIL = 4, /* and RSET, and what an idle session says: the next transaction never began */
	VERDICT_AT_RCPT = 5,
	VERDICT_AT_DATA = 6,
	VERDICT_AT_BODY = 7,
	VERDICT_AT_DOT = 8,
	VERDICT_AT_FEATURE = 9, /* the server lacks an extension, or its SIZE is too small */
};

/* what happened at that stage */
enum verdict_what {
	VERDICT_REPLY = 0,
	VERDICT_CONN_REFUSED = 1,
	VERDICT_CONN_UNREACHABLE = 2,
	VERDICT_CONN_TIMEOUT = 3, /* no answer to the connect, or no reply in time */
	VERDICT_CONN_RESET = 4,	  /* reset or closed */
	VERDICT_CONN_TLS = 5,
	VERDICT_CONN_GARBAGE = 6, /* not SMTP */
	VERDICT_CONN_LOCAL = 7,	  /* our own system refused */
};

struct verdict_event {
	enum verdict_stage stage;
	enum verdict_what what;
	uint16_t code, class, subject, detail; /* of the reply; class 0: no enhanced code */
	struct slice text;		       /* of the reply */
	uint32_t recipients;		       /* of the transaction */
	uint32_t accepted_before;	       /* recipients of the transaction accepted before this one */
	bool others_open; /* other connections of ours to the lane are open and greeted */
};

enum verdict {
	VERDICT_OK = 0,	  /* 2yz */
	VERDICT_HOST = 1, /* the server as a whole is not well: the lane goes down, nothing per message */
	VERDICT_CONN_LIMIT = 2, /* one connection too many: a ceiling, not a failure */
	VERDICT_RATE = 3,	/* lane rate ceiling */
	VERDICT_PRESSURE = 4,	/* 452, 4.3.x: out of resources: pause and canary */
	VERDICT_BUSY = 5,	/* 421 in a transaction while others succeed: shrink, go on elsewhere */
	VERDICT_DOMAIN = 6,	/* this domain is refused as such (relaying denied, 5.1.2) */
	VERDICT_REFUSED =
	    7, /* this recipient was refused (5yz): evidence for the hold detector, kept for now */
	VERDICT_RECIPIENT = 8, /* this recipient for now (mailbox full, greylisting): own back-off; proof that
				  the host is up */
	VERDICT_MESSAGE = 9,   /* this message (content, sender, size): own back-off */
	VERDICT_US = 10,       /* the server distrusts the relay: held, alarm with the allow-list step */
	VERDICT_LATER = 11, /* nothing learnt: try again at once in the next transaction (too many recipients,
			       not tried) */
	VERDICT_UNKNOWN =
	    12, /* past the dot without a reply: the server may have the message; no sooner than 10 min */
};

/* of a host-level failure; decides probe intervals and the restart window (RECOVERY §1.1) */
enum lane_kind {
	LANE_KIND_NONE = 0,
	LANE_KIND_REFUSED = 1,
	LANE_KIND_TIMEOUT = 2,
	LANE_KIND_RESET = 3,
	LANE_KIND_421 = 4,
	LANE_KIND_4XX = 5,
	LANE_KIND_452 = 6,
	LANE_KIND_RATE = 7,
	LANE_KIND_DNS = 8,
	LANE_KIND_TLS = 9,
	LANE_KIND_BANNER = 10,
};

const char *
lane_kind_name(enum lane_kind kind); /* "refused", "timeout", ... as in the JSON of status; "" for NONE */
const char *verdict_name(enum verdict verdict);

/* What a refusal after the envelope (DATA, body, dot) says about one of several recipients. */
enum verdict_whole {
	WHOLE_NO = 0, /* it is about this recipient, or there is one only, or it is not about mail at all */
	/* Nothing certain: each is to be tried once by itself. The words speak of the message. */
	WHOLE_MESSAGE = 1,
	/* The same, and the words speak of an address, or of nothing: this server may refuse all for one that
	 * it does not know (Exchange does), so the lane had better send one recipient at a time for a while.
	 */
	WHOLE_ADDRESS = 2,
};

enum {
	VERDICT_DELAY_MIN_S =
	    10, /* a shorter hint is a courtesy; asking at once again starts greylists anew */
	VERDICT_DELAY_MAX_S = 3600, /* a server cannot park mail for longer than we would wait by ourselves */
};

struct verdict_result {
	enum verdict verdict;
	/* Of HOST, CONN_LIMIT, RATE, PRESSURE, BUSY and UNKNOWN. RECIPIENT with 4XX is a 4.3.x at RCPT: the
	 * domain's mail system is unwell; a back-off of its own, and no proof that the host is up. (452 4.3.x
	 * there is PRESSURE: it is the reply of a whole server under back pressure.) */
	enum lane_kind kind;
	enum verdict_reason reason; /* see verdict_reason.h; verdict_reason_is_us: alarm, also for a HOST */
	enum verdict_whole whole;
	/* "Try again in 5 minutes", within the bounds above; 0: no hint. Of REFUSED and the 4yz replies about
	 * a recipient, a message, or a rate. */
	uint32_t delay_s;
};

/* Never fails: a reply that no row knows is judged by its code and stage. event->text may hold any bytes. */
struct verdict_result verdict_judge(const struct verdict_event *event);

/* Back-off of a recipient or message of its own, by result and how often it was tried (1: the first
 * refusal), in ms. */
int64_t verdict_backoff_ms(const struct verdict_result *result, uint32_t attempts);

#endif
