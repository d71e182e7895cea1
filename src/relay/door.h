/* RCPT at our own door: who waits, and for what. The decisions are lane/door.h's; this finds out what they
 * ask for (ledger, callout, a check of known recipients) and says the reply.
 *
 * A recipient that is in memory (door_memory.h) is answered at once. For another one its session waits: for
 * the ledger, and while the server is up and nothing is known, for the server; in all DOOR_WAIT_MS for a
 * transaction. Sessions that wait for the same server are asked for together (callout.h), and so are the
 * recipients that a pipelining client has sent behind the one that waits: their visits begin ahead of their
 * RCPT, and their answers stand ready when it comes.
 */
#ifndef RELAY_DOOR_H
#define RELAY_DOOR_H

#include "proto/smtp_server.h"
#include "relay/domains.h"

enum {
	DOOR_WAIT_MS = 8000,
	DOOR_AHEAD = 19,       /* of one transaction: with the one that waits they are one question */
	DOOR_AHEAD_MAX = 2000, /* of all sessions: some megabytes; beyond, one after the other */
};

struct inbound;

/* The reply to RCPT for a served domain that has room. False: inbound_recipient_decided follows. */
nodiscard bool door_ask(struct inbound *in, struct domain *domain,
			const struct smtp_server_recipient *recipient, struct reply *ret_reply);
/* While one waits: the input that follows. */
void door_look_ahead(struct inbound *in, struct slice input);
/* A new transaction begins, or the session ends: what was begun for the last one is forgotten. */
void door_reset(struct inbound *in);
/* Nobody is to be kept waiting any more: the relay ends. */
void door_hurry(struct inbound *in);

/* A check of the domain's known recipients is over. clean: the server took all of them. */
void door_checked(struct domain *domain, bool clean);
/* The domain goes. */
void door_domain_gone(struct domain *domain);
/* Completions of the store will not come any more. */
void door_free_all(struct relay *relay);

#endif
