/* Customers' servers as queueing models, and the fluid oracle that always runs them exactly at capacity.
 *
 * Processor sharing: n messages in service share the capacity, and none is served faster than in service_s.
 * Everything else is switched on by its parameter; zero means that the server has no such trait. Time is in
 * seconds since the server came up (age) where not said otherwise. The feed asks; the model never calls.
 */
#ifndef TEST_LANE_MODEL_H
#define TEST_LANE_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rng.h"

struct model {
	const char *name;
	double capacity;   /* K, messages a second when warm */
	double service_s;  /* S0 */
	double service_cv; /* spread of the work of a message: lognormal */
	uint32_t workers;  /* 421 at MAIL when more are in service */
	double warm_s;	   /* cold at first: capacity rises from cold_share to 1 in this time */
	double cold_share;
	bool cold_is_slow;	 /* a cold message takes service_s / w instead */
	double knee, knee_per_w; /* more in service than this thrash */
	double crash_at;	 /* times the knee: the server dies */
	bool hidden; /* dies without warning above 8 in service before 30 s, 16 before 60 s, 40 later */
	uint32_t flight_max;  /* dies without warning above so many in service; 0: never */
	double crash_s;	      /* how long it is away then */
	uint32_t connections; /* more are greeted with 421 */
	uint32_t per_minute;  /* fixed windows; the rest of the window is refused */
	double penalty_s;     /* and so long after it */
	double full_s;	      /* 452 at MAIL for so long */
	double link_up_s, link_down_s;
	double command_s;    /* each command is answered so late */
	double mailbox_full; /* share of recipients deferred with 4.2.2 */
	bool others;	     /* other traffic takes 5 to 90 % */
	double digest;	 /* accepts into a queue, works on it at this rate, 452 between 600 and 300 queued */
	double triple_s; /* from then on each message takes three times as long */
	double reboot_at_s[2]; /* and is away for crash_s */
};

struct server { /* its state */
	const struct model *model;
	struct rng rng, traffic;
	double up_at;	   /* on the world's clock */
	double back_at;	   /* after a crash; 0: it is up */
	double warmth;	   /* 0 to 1 */
	double busy_share; /* of other traffic */
	double step_at;	   /* when that jumps next */
	double step;
	uint32_t in_service, connections;
	double window_at; /* rate window's start */
	uint32_t window_count;
	double refuse_until;
	double queued; /* digest */
	bool full;
	uint32_t crashes, reboots;
};

enum mail_answer {
	MAIL_OK = 0,
	MAIL_BUSY = 1,
	MAIL_RATE = 2,
	MAIL_FULL = 3,
};

void server_start(struct server *server, const struct model *model, uint64_t seed, double now);
/* Lets time pass; true when it died in it: all connections are reset. */
bool server_advance(struct server *server, double from, double to);
bool server_is_up(const struct server *server, double now);
bool server_link_up(const struct server *server, double now);
enum mail_answer server_mail(struct server *server, double now);
double server_work(struct server *server); /* of the next message, in units of service_s */
double
server_rate(const struct server *server); /* how fast each message in service advances, units a second */

/* How long an oracle needs for the backlog, with fresh_per_s arriving. */
double oracle_drain_s(const struct model *model, uint64_t seed, double backlog, double fresh_per_s);

#endif
