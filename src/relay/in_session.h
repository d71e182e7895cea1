/* The verdict in session: a message that is in the store already is sent on before its sender is answered, so
 * that a healthy server's refusal of its content reaches the sender, who is still there, instead of a bounce
 * later.
 *
 * The message waits in its queue like any other, and goes when the feed's rules say; nothing here changes
 * that. Only its sender waits, at most IN_SESSION_WAIT_MS, for one of:
 *
 *	delivered   250, with the server's words
 *	refused     the server's own 5yz, once the end of all recipients is durable
 *	otherwise   250: the message waits in its queue
 *
 * A sender waits only while the answer can be expected soon: the domain's mail flows and its server is
 * believed (trust.h: not in grace, not suspected, not refusing one content after another), no other message
 *of the lane waits for a place, and the last delivery was quick. Once a 5yz is being written down a 250
 *cannot be said any more unless the store says that it was not: a sender that cannot be told the truth is
 *closed on, and sends again.
 */
#ifndef RELAY_IN_SESSION_H
#define RELAY_IN_SESSION_H

#include <stdbool.h>

#include "base/base32.h"
#include "proto/reply.h"
#include "relay/timer.h"

enum {
	IN_SESSION_WAIT_MS = 10000,
	IN_SESSION_LATENCY_MS = 5000, /* a server whose last delivery took longer is not waited for */
};

struct inbound;
struct item;
struct relay;

enum in_session_state {
	IN_SESSION_NONE = 0,
	IN_SESSION_WAITING = 1,	 /* the message is in its queue, or under way */
	IN_SESSION_REFUSING = 2, /* its refusal is being written down */
	IN_SESSION_OVER = 3,	 /* no verdict came: 250 in this turn */
};

struct in_session { /* of an inbound session */
	enum in_session_state state;
	struct item *item; /* WAITING, REFUSING: the message; it knows the session too */
	char id_text[BASE32_U64_SIZE + 1];
	struct timer timer;
};

/* The message was committed and is in its queue. True: the session waits for the verdict. */
bool in_session_begin(struct inbound *in, struct item *item, uint32_t recipients, const char *id_text);
/* The session ends: nobody waits any more. */
void in_session_cancel(struct inbound *in);
/* Nobody is to be kept waiting: the relay ends. */
void in_session_hurry(struct relay *relay);

/* What becomes of the item; nothing happens when nobody waits for it. */
void in_session_over(struct item *item); /* no verdict now: it leaves memory, or waits in its queue */
void in_session_delivered(struct item *item, const struct reply *reply);
/* May its refusal be passed on? The caller then writes the end of all its recipients, and says how that went.
 */
bool in_session_may_refuse(const struct item *item);
void in_session_refusing(struct item *item);
void in_session_refused(struct item *item, const struct reply *reply); /* it is durable */
/* The store says that nothing was written: 250. unknown: it could not tell before, so nothing may be said. */
void in_session_not_refused(struct item *item, bool unknown);

#endif
