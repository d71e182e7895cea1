/* One run: a world drawn from a seed, a safety phase with faults, then a liveness phase in which everything
 * must finish. */
#ifndef SIM_RUN_H
#define SIM_RUN_H

#include "sim/store.h"

struct sim_run_result {
	uint64_t violations;
	char first[256]; /* violation, in words */
	uint64_t trace_hash, events;
	uint64_t acked, delivered, duplicates, crashes;
};

/* The same for our own door: a server that knows its users and is known for an hour, whose directory breaks
 * in one of several ways while mail comes for users seen and never seen, for nobody, and the relay is killed
 * now and then. No valid recipient may be refused for good at the door but, where the server takes some and
 * refuses others, one that was never seen: that is counted. */
enum sim_breakage {
	SIM_BREAK_ALL = 0,	/* every recipient is refused */
	SIM_BREAK_MINUTES = 1,	/* the same now and then, for seconds or minutes */
	SIM_BREAK_RESTORED = 2, /* it was down, and is back without its users */
	SIM_BREAK_NAMES = 3,	/* one in 3 to 100 is refused, the same ones each time */
	SIM_BREAK_LOT = 4,	/* each answer by lot, 1 to 60 % */
	SIM_BREAKAGES = 5,
};
struct sim_door_result {
	struct sim_run_result run;
	enum sim_breakage breakage;
	uint64_t unseen;			 /* mails for users never seen, while it was broken */
	uint64_t unseen_refused;		 /* of them, for good, at the door */
	uint64_t unknown_refused, unknown_taken; /* answers to mails for nobody */
};
struct sim_scene;
void sim_run_fill(struct sim_run_result *result, const struct sim_scene *scene);
void sim_door_run(uint64_t seed, enum sim_store_kind kind, FILE *verbose, struct sim_door_result *ret_result);

void sim_run(uint64_t seed, enum sim_store_kind kind, FILE *verbose, struct sim_run_result *ret_result);

#endif
