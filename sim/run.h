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

void sim_run(uint64_t seed, enum sim_store_kind kind, FILE *verbose, struct sim_run_result *ret_result);

#endif
