/* A sender: a mail server somewhere on the Internet that sends to the relay, as a real one does: it tries,
 * reads replies, keeps what was refused for now, and tries again. It shares no code with the relay. Some of
 * its sessions misbehave.
 */
#ifndef SIM_SENDER_H
#define SIM_SENDER_H

#include "sim/oracle.h"

/* of one attempt */
enum sim_quirk {
	SIM_QUIRK_NONE = 0,
	SIM_QUIRK_LEAVES = 1,	   /* closes right after the dot, without reading the reply */
	SIM_QUIRK_RESETS = 2,	   /* the same, with a reset */
	SIM_QUIRK_ABORTS = 3,	   /* closes in the middle of the message */
	SIM_QUIRK_HALF_CLOSES = 4, /* dot, QUIT, and half-close */
	SIM_QUIRK_DRIPS = 5,	   /* sends in small pieces with pauses */
	SIM_QUIRK_RESTARTS = 6,	   /* RSET after the recipients, then all over again */
};

struct sim_sender_config {
	double pipelining, chunking, tls; /* chance that a session uses it, where offered */
	enum sim_quirk only;		  /* which quirk; NONE: any */
	double quirk;			  /* chance that an attempt has one */
	double stays;			  /* chance that a session takes another mail */
	uint32_t sessions_max;
	int64_t retry_low_us, retry_high_us;
};

struct sim_sender {
	struct sim_world *world;
	struct sim_oracle *oracle;
	struct sim_host *host;
	struct net_address relay;
	struct sim_sender_config config;
	struct list ready; /* mails that are due */
	struct list all;   /* mails that are not (over or waiting for their time) */
	struct list sessions;
	struct sim_event look; /* starts sessions for what is ready */
	uint32_t session_count;
	uint32_t waiting;			 /* mails with something left to do */
	uint64_t refused;			 /* recipients refused for good */
	uint64_t unknown_refused, unknown_taken; /* recipients that nobody has */
	uint64_t unseen_refused;		 /* that somebody has, see mail.h */
	uint64_t told_refused; /* messages whose content a server refused, and 5yz was read */
	uint64_t deferred;     /* 4yz replies read, and sessions that failed */
	bool stopped;	       /* sends nothing more */
};

void sim_sender_config_defaults(struct sim_sender_config *config);
void sim_sender_init(struct sim_sender *sender, struct sim_world *world, struct sim_oracle *oracle,
		     struct sim_host *host, const struct net_address *relay);
void sim_sender_deinit(struct sim_sender *sender);
/* Takes the mail over. */
void sim_sender_submit(struct sim_sender *sender, struct sim_mail *mail, int64_t at_us);
/* Behaves from now on, and what waits for a retry is tried within a minute. */
void sim_sender_calm(struct sim_sender *sender);

#endif
