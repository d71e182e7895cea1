/* When to start a worker again that died: at once, but on the third death within a minute with an alarm and a
 * pause, which doubles from 1 s to 30 s with every further one. A worker that lives for a minute clears the
 * account. Pure; times are milliseconds of a monotonic clock.
 */
#ifndef DAEMON_RESTARTS_H
#define DAEMON_RESTARTS_H

#include <stdbool.h>
#include <stdint.h>

enum {
	RESTARTS_QUICK = 2, /* so many without a pause */
	RESTARTS_WINDOW_MS = 60000,
	RESTARTS_PAUSE_MS = 1000,
	RESTARTS_PAUSE_MAX_MS = 30000,
};

struct restarts {			   /* zeroed at first */
	int64_t deaths_ms[RESTARTS_QUICK]; /* the last ones, oldest first */
	uint32_t deaths;
	int64_t pause_ms; /* the last one */
};

/* A worker that was started at started_ms has died now. Returns the pause before the next start; more than 0:
 * alarm. */
int64_t restarts_died(struct restarts *restarts, int64_t started_ms, int64_t now_ms);

#endif
