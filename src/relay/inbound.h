/* One session with a sender: SMTP machine, store, reply.
 */
#ifndef RELAY_INBOUND_H
#define RELAY_INBOUND_H

#include "proto/header.h"
#include "relay/domains.h"
#include "relay/in_session.h"

struct client_count { /* sessions of one client address */
	struct map_node node;
	char key[16];
	uint32_t sessions;
};

struct commit; /* inbound_commit.c: a message on its way into the store, which outlives its session */

struct inbound {
	struct list in_relay;
	struct relay *relay;
	struct net_conn *conn; /* NULL: the client is gone */
	struct smtp_server *server;
	struct client_count *client;
	struct net_address peer;
	char client_address[NET_ADDRESS_TEXT_SIZE];
	char tls_version[16], tls_cipher[64];
	bool tls;
	struct buffer input; /* bytes that came while a question was open */
	bool paused;
	int64_t held_us,
	    no_credit_since_us; /* so long we did not read for want of room: not the client's fault */
	bool no_credit;	 /* the store has no room: nothing is read, no deadline counts, until it says so */
	bool drop_input; /* STARTTLS: bytes from before the handshake */
	struct store_message *message; /* being received */
	struct receipt receipt;	       /* of it, in the books of the room */
	bool outgrown;		       /* its domains' shares: refused at the end */
	int take_error;		       /* of the store, while it came: refused at the end */
	uint64_t body_bytes;
	struct header_scan scan;
	struct commit *commit; /* awaited */
	struct {
		bool asked, pass;
		bool awaited; /* the message is whole and waits for the answer */
		struct spf_query *query;
		struct timer timer;
	} spf;			  /* of the transaction's reverse-path */
	struct in_session waits;  /* for what the server says of a message that is stored */
	struct door_visit *visit; /* the recipient whose reply is waited for, see door.h; NULL: none */
	struct list visits_ahead; /* struct door_visit: those that a pipelining client will ask for next */
	int64_t door_until_us;	  /* no recipient of this transaction waits longer; 0: none has waited */
	bool closing;		  /* everything was said; net closes after the flush */
	struct timer timer;
};

void inbound_new(struct relay *relay, struct net_conn *conn);
/* The time of the session: without what it was kept waiting. */
int64_t inbound_now_us(const struct inbound *in);
void inbound_free(struct inbound *in); /* at once; a commit under way goes on without it */
void inbound_run(struct inbound *in);  /* steps the machine as far as it goes */

/* The message is whole, and all is known that its envelope needs. */
void inbound_commit(struct inbound *in);

/* --- inbound_spf.c --- */

void inbound_spf_ask(struct inbound *in); /* once for each transaction */
void inbound_spf_forget(struct inbound *in);
/* True: inbound_commit is called when the answer is there, or after SPF_PATIENCE_MS. */
bool inbound_spf_await(struct inbound *in);

/* --- inbound_rcpt.c --- */

/* RCPT: the machine is answered, now or later. */
void inbound_check_recipient(struct inbound *in);
/* What was waited for is known: the machine goes on. The session may be gone after this. */
void inbound_recipient_decided(struct inbound *in, const struct reply *reply);
/* Is the reverse-path authenticated, so that nobody can be harmed by mail that bounces? */
bool inbound_vouched(const struct inbound *in);
/* The domain whose queue a recipient goes to; the bare postmaster goes to the first domain. NULL: not served.
 */
struct domain *inbound_domain(const struct relay *relay, struct slice domain);

/* --- inbound_commit.c --- */

/* The message is whole: commits it, then answers the machine's question (if the session still lives). */
void commit_start(struct inbound *in);
/* The session ends before its answer: the commit goes on, nobody hears of it. */
void commit_orphan(struct commit *commit);
/* Is this message on its way in, without an answer from the store? Walks pass it over. */
bool commit_pending(const struct relay *relay, uint64_t id);
/* Is one on its way in for this domain? */
bool commit_pending_for(const struct relay *relay, uint32_t domain);
void commit_free_all(struct relay *relay);
/* A message of our own: to be committed as it is, under a new id. 0: done is called later, with the id when
 * it is durable, with 0 when it never will be; the message is not the caller's any more. ERR_MEMORY. */
nodiscard int commit_own(struct relay *relay, struct store_message *message,
			 const struct store_envelope *envelope, uint64_t bytes,
			 void (*done)(void *owner, uint64_t id), void *owner);

#endif
