/* The fake server's machine: its door, its sessions, and what happens to it.
 *
 * A model (tests/unit/lane/model.h) behind a listening socket of 127.0.0.1; fake_server.c says what it reads
 * and prints.
 */
#ifndef BENCH_RECOVERY_HOST_H
#define BENCH_RECOVERY_HOST_H

#include "session.h"

enum {
	SESSIONS_MAX = 2048, /* more wait in the kernel */
};

struct host {
	struct fake fake;
	struct model story; /* what it is once it came up */
	bool refuses_then;  /* see struct fake */
	uint64_t seed;
	uint16_t port;
	/* The rest is its own. */
	int epoll, listener;
	int plug; /* our own connection that fills the listener's queue, so that the kernel drops each SYN */
	bool hole, down, ended;
	double sample_at;
	char word[16];
	size_t word_size;
	struct session sessions[SESSIONS_MAX];
};

/* Until standard input ends. Nothing works without its port: it ends the process then. */
void host_run(struct host *host);

#endif
