/* A customer's server: a small SMTP server of its own, line by line, that shares no code with the relay's.
 * Its mood says how it behaves, and may change at any time.
 */
#ifndef SIM_SERVER_H
#define SIM_SERVER_H

#include "sim/oracle.h"

enum sim_stage {
	SIM_STAGE_BANNER = 0,
	SIM_STAGE_EHLO = 1,
	SIM_STAGE_TLS = 2,
	SIM_STAGE_MAIL = 3,
	SIM_STAGE_RCPT = 4,
	SIM_STAGE_DATA = 5,
	SIM_STAGE_BODY = 6, /* while the message is being sent: only closes */
	SIM_STAGE_DOT = 7,
	SIM_STAGES = 8,
};

struct sim_mood {
	/* Chances, each time a reply is due at that stage. */
	double closes[SIM_STAGES];    /* the connection ends instead; at the dot nothing is stored */
	double busy[SIM_STAGES];      /* 421, and the connection ends */
	double temporary[SIM_STAGES]; /* 4yz */
	double permanent[SIM_STAGES]; /* 5yz */
	double hangs[SIM_STAGES];     /* nothing, for ever */
	double loses_reply;	      /* at the dot: stores it, then the connection ends without a reply */
	double replies_late; /* at the dot: stores it, then answers after 11 minutes, when nobody listens */
	bool refuses_all;    /* every recipient: the words below, or 550 5.1.1 */
	const char *refusal;
	uint32_t
	    refuses_one_in; /* recipients by a hash of their name: some always, the others never; 0: none */
	bool refuses_whole; /* those are taken at RCPT, and spoil the whole transaction at its dot (Exchange)
			     */
	uint32_t connection_limit;	     /* 421 beyond; 0: none */
	int64_t delay_low_us, delay_high_us; /* of each reply */
	int64_t banner_delay_us;
};

struct sim_features {
	bool esmtp, pipelining, chunking, eight_bit, size, starttls, enhanced;
	bool knows_users; /* refuses every recipient whose name does not begin with u */
};

struct sim_server {
	struct sim_world *world;
	struct sim_oracle *oracle;
	struct sim_host *host;
	struct sim_mood mood;
	struct sim_features features;
	struct list sessions;
	bool running;
	bool first_hop;	       /* senders talk to it without a relay between: it adds the Received field */
	uint32_t window_limit; /* transactions that the relay may have open here at one time */
	uint32_t transactions_max; /* seen at one time */
	uint64_t stored, refused_connections, sessions_total;
	uint64_t mails_seen;					 /* MAIL commands */
	void (*on_mail)(void *owner, struct sim_server *server); /* a MAIL command came; may be NULL */
	/* a RCPT command came, of a transaction that began then; may be NULL */
	void (*on_rcpt)(void *owner, struct sim_server *server, struct slice domain, int64_t begun_us);
	void *owner;
};

void sim_server_init(struct sim_server *server, struct sim_world *world, struct sim_oracle *oracle,
		     struct sim_host *host);
void sim_server_deinit(struct sim_server *server);
void sim_server_start(struct sim_server *server);     /* listens on port 25 */
void sim_server_kill(struct sim_server *server);      /* the process dies; what it stored stays */
void sim_server_power_cut(struct sim_server *server); /* the machine dies: a black hole until it is started */
void sim_server_healthy(struct sim_server *server);   /* running, reachable, in the best of moods */
/* Transactions open at this moment on connections that the relay still has open, past the dot for at most 8
 * s. */
uint32_t sim_server_transactions(const struct sim_server *server, int64_t begun_after_us);
/* The same, of those that have named a recipient of this domain and are not past their dot. */
uint32_t sim_server_transactions_to(const struct sim_server *server, struct slice domain,
				    int64_t begun_after_us);

#endif
