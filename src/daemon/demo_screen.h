/* What the demo shows: a picture that is redrawn on a terminal, or now and then a line.
 */
#ifndef DAEMON_DEMO_SCREEN_H
#define DAEMON_DEMO_SCREEN_H

#include <stdint.h>

#include "daemon/demo_relay.h"

enum {
	SCREEN_PICTURE_MS = 200, /* between two pictures */
	SCREEN_LINE_MS = 2000,	 /* between two lines */
};

struct demo_view {
	double age_s;	      /* since the start */
	const char *headline; /* what is going on */
	bool server_up;
	double capacity; /* of the server, messages per second */
	uint64_t accepted, refused, arrived;
	uint64_t backlog, backlog_peak; /* accepted and not arrived */
	struct demo_status status;
};

struct demo_screen {
	bool terminal;
	int lines; /* of the last picture */
	const char *headline;
	double next_s;
};

void demo_screen_init(struct demo_screen *screen);
/* Draws when it is time, or something new has begun. */
void demo_screen_show(struct demo_screen *screen, const struct demo_view *view);

#endif
