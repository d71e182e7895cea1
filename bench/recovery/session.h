/* One SMTP session of the fake server: what it is asked, and when it answers.
 *
 * Times are seconds of one monotonic clock. The owner passes them in, lets sessions read when there is
 * something, and calls session_due when their time has come. Each batch of input is answered a round trip
 * later, or command_s later for each command, as the model says.
 */
#ifndef BENCH_RECOVERY_SESSION_H
#define BENCH_RECOVERY_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buffer.h"
#include "model.h"

#define RTT_S 0.02

enum session_state {
	SESSION_GONE = 0,     /* free */
	SESSION_GREETING = 1, /* connected, not greeted */
	SESSION_COMMAND = 2,  /* waits for a command, or for the time to answer one */
	SESSION_CONTENT = 3,  /* between 354 and the dot */
	SESSION_SERVICE = 4,  /* the message is worked on */
	SESSION_REPLY = 5,    /* worked on; the 250 is under way */
	SESSION_CLOSING = 6,  /* all was said: to be closed */
};

struct session {
	enum session_state state;
	int fd;
	double due;  /* INFINITY: nothing to do before the next input */
	double work; /* left of the message in service, in units of the model's service_s */
	struct buffer input;
	uint64_t number; /* the message's, from its Subject */
	bool mail, recipient;
};

/* What sessions share. */
struct fake {
	struct model model;
	struct server server;
	bool refuses; /* full_s means: for so long each recipient is answered with 550 */
	double now;
	uint64_t delivered, refused;
	double worked; /* units of service_s that were done */
	FILE *log;     /* one line for each event; see fake_server.c */
};

/* Takes a connected socket, which session_close closes. */
void session_open(struct fake *fake, struct session *session, int fd);
void session_read(struct fake *fake, struct session *session); /* there is input */
void session_due(struct fake *fake, struct session *session);  /* its time has come */
void session_close(struct fake *fake, struct session *session, bool reset);

#endif
