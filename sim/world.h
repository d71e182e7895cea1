/* The deterministic world: one clock, one queue of events, one source of chance, one trace.
 *
 * Everything that happens in a simulation happens in an event of this queue or in the relay's own run after
 * it. Nothing reads real time, nothing orders by pointers, so that one seed gives one history: the hash of
 * the trace says whether two histories were the same.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "base/heap.h"
#include "base/rng.h"
#include "base/slice.h"
#include "port/clock.h"

#include <stdio.h>

struct sim_world {
	struct clock clock; /* what the relay reads */
	int64_t now_us;
	int64_t wall_offset_ms; /* wall clock at now_us 0, plus all jumps */
	struct rng rng;
	struct heap events;
	uint64_t trace_hash;
	uint64_t fired; /* events so far */
	uint32_t wall_jumps;
	FILE *verbose; /* the trace in words, or NULL */
};

/* Something that will happen. A member of its owner, who cancels it before he goes. */
struct sim_event {
	struct heap_node node;
	void (*fire)(void *owner);
	void *owner;
};

void sim_world_init(struct sim_world *world, uint64_t seed, FILE *verbose);
struct clock_reading sim_clock(const struct sim_world *world);
void sim_wall_jump(struct sim_world *world,
		   int64_t by_ms); /* the wall clock alone: an administrator, a virtual machine */

void sim_event_init(struct sim_event *event, void (*fire)(void *owner), void *owner);
void sim_at(struct sim_world *world, struct sim_event *event,
	    int64_t at_us); /* moves it when it is queued already */
void sim_after(struct sim_world *world, struct sim_event *event, int64_t delay_us);
void sim_cancel(struct sim_world *world, struct sim_event *event); /* does nothing when not queued */
bool sim_queued(const struct sim_event *event);

/* When the next event is due; CLOCK_NEVER: none. */
int64_t sim_next_us(const struct sim_world *world);
/* Fires everything that is due now. Returns how many events fired. */
unsigned sim_fire_due(struct sim_world *world);

/* Chance, in the shapes that faults have. */
int64_t sim_log_uniform(struct sim_world *world, int64_t low,
			int64_t high); /* each order of magnitude alike; low >= 1 */
int64_t sim_between(struct sim_world *world, int64_t low, int64_t high);
bool sim_chance(struct sim_world *world, double probability);

/* The trace: a line in words, which also goes into the hash; or numbers for what happens too often for words.
 */
void sim_note(struct sim_world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_note_numbers(struct sim_world *world, uint64_t a, uint64_t b);

/* Memory of the simulation itself: never NULL; without memory the process ends. Zeroed. */
void *sim_alloc(size_t size);
void *sim_grow(void *array, size_t count, size_t size);

#endif
