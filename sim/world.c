#include "sim/world.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/list.h"

enum { NOTE_MAX = 512 };

/* 2024-03-01 00:00:00 UTC: any date will do, as long as it is always the same. */
static const int64_t first_wall_ms = 1709251200000;

static struct clock_reading read_clock(struct clock *clock)
{
	return sim_clock(container_of(clock, struct sim_world, clock));
}

void sim_world_init(struct sim_world *world, uint64_t seed, FILE *verbose)
{
	/* Not 0: relay and store may take 0 for "never". */
	*world = (struct sim_world){.clock.read = read_clock,
				    .now_us = CLOCK_SECONDS(1),
				    .wall_offset_ms = first_wall_ms,
				    .verbose = verbose};
	rng_init(&world->rng, seed);
}

struct clock_reading sim_clock(const struct sim_world *world)
{
	return (struct clock_reading){.now_us = world->now_us,
				      .wall_ms = world->wall_offset_ms + world->now_us / 1000};
}

void sim_wall_jump(struct sim_world *world, int64_t by_ms)
{
	world->wall_offset_ms += by_ms;
	world->wall_jumps++;
	sim_note(world, "the wall clock jumps by %lld ms", (long long)by_ms);
}

void sim_event_init(struct sim_event *event, void (*fire)(void *owner), void *owner)
{
	*event = (struct sim_event){.fire = fire, .owner = owner};
}

void sim_at(struct sim_world *world, struct sim_event *event, int64_t at_us)
{
	heap_move(&world->events, &event->node, at_us > world->now_us ? at_us : world->now_us);
}

void sim_after(struct sim_world *world, struct sim_event *event, int64_t delay_us)
{
	sim_at(world, event, world->now_us + delay_us);
}

void sim_cancel(struct sim_world *world, struct sim_event *event)
{
	heap_remove(&world->events, &event->node);
}

bool sim_queued(const struct sim_event *event)
{
	return event->node.queued;
}

int64_t sim_next_us(const struct sim_world *world)
{
	const struct heap_node *first = heap_first(&world->events);

	return first != NULL ? first->key : CLOCK_NEVER;
}

unsigned sim_fire_due(struct sim_world *world)
{
	unsigned fired = 0;

	while (sim_next_us(world) <= world->now_us) {
		struct heap_node *node = heap_first(&world->events);
		struct sim_event *event = container_of(node, struct sim_event, node);
		heap_remove(&world->events, node);
		event->fire(event->owner);
		fired++;
	}
	world->fired += fired;
	return fired;
}

int64_t sim_log_uniform(struct sim_world *world, int64_t low, int64_t high)
{
	double x = exp(log((double)low) + rng_unit(&world->rng) * (log((double)high) - log((double)low)));

	return (int64_t)x < low ? low : (int64_t)x;
}

int64_t sim_between(struct sim_world *world, int64_t low, int64_t high)
{
	return rng_between(&world->rng, low, high);
}

bool sim_chance(struct sim_world *world, double probability)
{
	/* A chance of 0 draws nothing: a fault that is switched off leaves the rest of the history as it was.
	 */
	return probability > 0 && rng_chance(&world->rng, probability);
}

/* FNV-1a (Fowler, Noll, Vo), 64 bits at a time: a fingerprint, not a secret. */
static void mix(struct sim_world *world, uint64_t value)
{
	world->trace_hash = (world->trace_hash ^ value) * 0x100000001b3u;
	world->trace_hash ^= world->trace_hash >> 29;
}

void sim_note_numbers(struct sim_world *world, uint64_t a, uint64_t b)
{
	mix(world, (uint64_t)world->now_us);
	mix(world, a);
	mix(world, b);
}

void sim_note(struct sim_world *world, const char *format, ...)
{
	char line[NOTE_MAX];
	va_list args;

	va_start(args, format);
	int size = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	size = size < 0 ? 0 : size;
	size = size < NOTE_MAX ? size : NOTE_MAX - 1;
	mix(world, (uint64_t)world->now_us);
	for (int i = 0; i < size; i++)
		mix(world, (unsigned char)line[i]);
	if (world->verbose != NULL)
		(void)fprintf(world->verbose, "%12.6f  %s\n", (double)world->now_us / 1e6, line);
}

void *sim_alloc(size_t size)
{
	void *memory = calloc(1, size);

	check(memory != NULL);
	return memory;
}

void *sim_grow(void *array, size_t count, size_t size)
{
	void *memory = reallocarray(array, count, size);

	check(memory != NULL);
	return memory;
}
