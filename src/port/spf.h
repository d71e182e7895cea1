/* Was this client allowed to send for that domain (SPF, RFC 7208)? Only asked whether a notification may be
 * sent to the reverse-path later: mail is never refused by it.
 *
 * The answer comes later, from the loop, never from inside the call. No answer within the caller's patience
 * counts as no pass.
 */
#ifndef PORT_SPF_H
#define PORT_SPF_H

#include "port/net.h"

enum { SPF_PATIENCE_MS = 5000 }; /* from the question on; senders wait for it at the final dot */

struct spf;
struct spf_query;

/* pass: the domain of the mailbox names this client as one of its own ("pass"); anything else, no record and
 * failures of the DNS included, is false. The query is gone with it. */
typedef void spf_done(void *owner, bool pass);

struct spf_ops {
	/* mailbox: the reverse-path, without <>, never empty. All is copied. NULL: no memory, or too many
	 * questions are open: done is not called. */
	struct spf_query *(*check)(struct spf *spf, const struct net_address *client, struct slice helo,
				   struct slice mailbox, spf_done *done, void *owner);
	/* done will not be called. */
	void (*cancel)(struct spf *spf, struct spf_query *query);
};

struct spf {
	const struct spf_ops *ops;
};

#endif
