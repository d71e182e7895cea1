/* The store of the relay under test, as the simulation handles it: made, crashed, opened again, and made to
 * fail.
 *
 * Two kinds: ram (port/store.h without a disk, which can answer late, unknown, failed, full) and spool (the
 * real one on a simulated disk, which forgets what was not synced, fills up and fails).
 */
#ifndef SIM_STORE_H
#define SIM_STORE_H

#include "port/store.h"
#include "sim/disk.h"
#include "sim/world.h"

enum sim_store_kind {
	SIM_STORE_RAM = 0,
	SIM_STORE_SPOOL = 1,
};

struct sim_store_faults { /* ram: probabilities, of each operation. spool: the first three of a kind are that
			     the disk ... */
	double late;	  /* answers take long */
	double unknown;	  /* spool: fails once within the next calls: a sync that fails ends its life */
	double failed;	  /* spool: the same, but it is full for that one call */
	double full;	  /* spool: has no more room, until these faults are taken away */
};

struct sim_store {
	enum sim_store_kind kind;
	struct sim_world *world;
	struct store *store; /* NULL: not open */
	struct sim_event poll;
	double slow; /* chance that a completion takes long */
	/* spool */
	struct disk *disk;
	struct disk_index index;
	uint32_t segment_bytes, checkpoint_bytes;
	int64_t dead_since_us; /* 0: it lives; until it is opened again */
	uint64_t set_aside;    /* reports of damage: there must be none, as nothing damages the disk */
};

void sim_store_init(struct sim_store *s, struct sim_world *world, enum sim_store_kind kind);
void sim_store_deinit(struct sim_store *s);
/* At the start of a process; after it s->store. False: the disk does not let it. */
bool sim_store_open(struct sim_store *s);
/* The process is gone (the relay was freed). power: the machine too. */
void sim_store_crash(struct sim_store *s, bool power);
/* The process ended politely (the relay was freed): everything that was asked for is done first. */
void sim_store_close(struct sim_store *s);
void sim_store_faults(struct sim_store *s, const struct sim_store_faults *faults); /* NULL: none */
/* It takes nothing any more until it is opened again. */
bool sim_store_dead(const struct sim_store *s);

#endif
