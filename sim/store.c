#include "sim/store.h"

#include "base/check.h"
#include "store/ram.h"

enum { LATE_POLLS = 40 };

static void wake(void *owner)
{
	struct sim_store *s = owner;

	if (sim_queued(&s->poll))
		return;
	int64_t high_us = sim_chance(s->world, s->slow) ? CLOCK_SECONDS(2) : 2000;
	sim_after(s->world, &s->poll, sim_log_uniform(s->world, 20, high_us));
}

static void fire_poll(void *owner)
{
	struct sim_store *s = owner;

	if (s->store == NULL)
		return;
	s->store->ops->poll(s->store);
	if (s->kind == SIM_STORE_RAM && ram_store_pending(s->store) > 0)
		wake(s);
}

void sim_store_init(struct sim_store *s, struct sim_world *world, enum sim_store_kind kind)
{
	*s = (struct sim_store){.kind = kind, .world = world};
	sim_event_init(&s->poll, fire_poll, s);
}

void sim_store_deinit(struct sim_store *s)
{
	sim_cancel(s->world, &s->poll);
	if (s->store != NULL)
		s->store->ops->close(s->store);
	s->store = NULL;
}

void sim_store_open(struct sim_store *s)
{
	if (s->store != NULL)
		return;
	struct ram_store_config config = {.seed = rng_next(&s->world->rng), .wake = wake, .wake_owner = s};
	s->store = ram_store_new(&config);
	check(s->store != NULL);
}

void sim_store_crash(struct sim_store *s, bool power)
{
	sim_cancel(s->world, &s->poll);
	ram_store_crash(s->store);
}

void sim_store_faults(struct sim_store *s, const struct sim_store_faults *faults)
{
	if (faults == NULL) {
		s->slow = 0;
		ram_store_inject(s->store, NULL);
		return;
	}
	s->slow = faults->late;
	ram_store_inject(s->store, &(struct ram_faults){
				       .late = faults->late,
				       .late_polls_max = LATE_POLLS,
				       .unknown_happened = faults->unknown / 2,
				       .unknown_not_happened = faults->unknown / 2,
				       .failed = faults->failed,
				       .full = faults->full,
				   });
}
