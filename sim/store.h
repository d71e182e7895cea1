/* The store of the relay under test, as the simulation handles it: made, crashed, opened again, and made to
 * fail.
 *
 * Two kinds: ram (port/store.h without a disk, which can answer late, unknown, failed, full) and spool (the
 * real one on a simulated disk).
 */
#ifndef SIM_STORE_H
#define SIM_STORE_H

#include "port/store.h"
#include "sim/world.h"

enum sim_store_kind {
	SIM_STORE_RAM = 0,
	SIM_STORE_SPOOL = 1,
};

struct sim_store_faults { /* probabilities, of each operation */
	double late, unknown, failed, full;
};

struct sim_store {
	enum sim_store_kind kind;
	struct sim_world *world;
	struct store *store; /* NULL: not open */
	struct sim_event poll;
	double slow; /* chance that a completion takes long */
	bool polling;
};

void sim_store_init(struct sim_store *s, struct sim_world *world, enum sim_store_kind kind);
void sim_store_deinit(struct sim_store *s);
void sim_store_open(struct sim_store *s); /* at the start of a process; after it s->store */
/* The process is gone (the relay was freed). power: the machine too. */
void sim_store_crash(struct sim_store *s, bool power);
void sim_store_faults(struct sim_store *s, const struct sim_store_faults *faults); /* NULL: none */

#endif
