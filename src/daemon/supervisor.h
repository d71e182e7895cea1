/* The supervisor: keeps one worker running, with the sockets open in between.
 *
 * The worker reports through a pipe, one byte each: SUPERVISOR_READY once, then SUPERVISOR_BEAT every second.
 * Five seconds without one, and it is aborted and replaced. How it ends decides what follows: with
 * SUPERVISOR_EXIT_FATAL it has said why it cannot work, and before the first READY that ends the supervisor
 * too; anything else is a death, and the next worker starts (restarts.h says when).
 *
 * SIGTERM and SIGINT stop the worker politely, within SUPERVISOR_STOP_MS; a second one at once. SIGHUP does
 * nothing. systemd is told READY, WATCHDOG, STOPPING (sd_notify) when it listens.
 *
 * Known gap: the message that was being parsed when the worker died twice is not set aside yet; suspect() is
 * the place.
 */
#ifndef DAEMON_SUPERVISOR_H
#define DAEMON_SUPERVISOR_H

#include <stdbool.h>

enum {
	SUPERVISOR_READY = 'R',
	SUPERVISOR_BEAT = 'H',
	SUPERVISOR_EXIT_FATAL = 3,
	SUPERVISOR_BEAT_MS = 1000,	  /* the worker's interval */
	SUPERVISOR_BEAT_MAX_MS = 5000,	  /* without one: abort */
	SUPERVISOR_START_MAX_MS = 600000, /* until READY: a large index may have to be rebuilt */
	SUPERVISOR_ABORT_MS = 2000,	  /* from SIGABRT to SIGKILL */
	SUPERVISOR_STOP_MS = 30000,	  /* from SIGTERM to SIGKILL */
};

struct supervisor_events {
	/* In the new process: the worker's work. report: the pipe's end. Returns the exit status. */
	int (*work)(void *owner, int report);
	/* In the supervisor, at the first READY. */
	void (*ready)(void *owner);
};

/* Returns when the worker was stopped on demand (0), or could not start (1). */
int supervisor_run(const struct supervisor_events *events, void *owner);

#endif
