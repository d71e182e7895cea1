/* Asks a customer's server whether it would take recipients, and sends nothing: MAIL, RCPT for each, and no
 * DATA (the next user of the connection begins with RSET). For checks of the hold detector (trust.h) and
 * callouts from our own door.
 *
 * A question takes the next idle connection of the lane, before any message, or has one opened within what
 * the lane permits. It is no transaction for the lane: its answers change neither window nor state (a
 * connection that cannot be opened does). Several questions that one owner puts one after the other, each
 * from the answer to the last, go over the same connection as long as that lives.
 */
#ifndef RELAY_ASK_H
#define RELAY_ASK_H

#include "base/error.h"
#include "base/list.h"
#include "lane/verdict.h"
#include "relay/timer.h"

struct domain;
struct feed;
struct outbound;

enum { ASK_RECIPIENTS_MAX = 20 }; /* of one question: few servers take many unknown ones */

struct ask_answer { /* about one recipient */
	struct verdict_result result;
	enum verdict_stage stage; /* MAIL: the server did not even take the reverse-path */
	char words[160];	  /* the server's */
};

/* The owner's; it, and what it refers to, lives until done or ask_cancel. All zero but for the first part. */
struct ask {
	/* Of the recipients: asked only while its mail may be tried; held by hand means that its server is
	 * let alone. */
	const struct domain *domain;
	struct slice reverse_path; /* empty: the null one */
	const struct slice *recipients;
	struct ask_answer *answers; /* count of them, set before done */
	uint32_t count;		    /* 1 to ASK_RECIPIENTS_MAX */
	int64_t timeout_ms;	    /* from ask_start to the last answer */
	/* Once, never from inside ask_start. answered false: nothing was learnt (connection lost, lane down,
	 * too late). May free the ask, or start it anew. */
	void (*done)(struct ask *ask, bool answered);

	/* ask.c's own */
	struct list in_feed; /* linked: it waits for a connection */
	struct feed *feed;
	struct outbound *out; /* that asks; NULL: it waits */
	struct timer timer;
};

/* False: the lane is not up, or there is none (feed NULL); nothing follows. */
nodiscard bool ask_start(struct ask *ask, struct feed *feed);
/* done is not called any more. Of one that is not under way: nothing. */
void ask_cancel(struct ask *ask);

/* --- for feed and outbound --- */

struct ask *ask_next(const struct feed *feed); /* that waits, or NULL */
/* Puts the next question on an IDLE connection. */
void ask_send(struct outbound *out);
/* The transaction of a question is over. */
void ask_over(struct outbound *out);
/* The connection is gone before that. */
void ask_lost(struct outbound *out);
/* The lane went down, or ends: whatever waits gets no answer. */
void ask_fail_all(struct feed *feed);

#endif
