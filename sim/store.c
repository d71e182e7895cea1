#include "sim/store.h"

#include <errno.h>

#include "base/check.h"
#include "store/ram.h"
#include "store/spool.h"

enum {
	LATE_POLLS = 40,
	FAIL_WITHIN_CALLS = 40,
	ROOM_WHEN_FULL = 100000, /* bytes */
	DISK_BYTES = 1 << 30,
};

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
	if (kind != SIM_STORE_SPOOL)
		return;
	/* Small pieces, so that a short run sees new segments, checkpoints, freeing and compaction. */
	s->segment_bytes = (uint32_t)sim_log_uniform(world, 16 * 1024, 512 * 1024);
	s->checkpoint_bytes = (uint32_t)sim_log_uniform(world, 4 * 1024, 128 * 1024);
	s->disk = disk_new(DISK_BYTES);
	check(s->disk != NULL && disk_index_init(&s->index) == 0);
}

void sim_store_deinit(struct sim_store *s)
{
	sim_cancel(s->world, &s->poll);
	if (s->store != NULL)
		s->store->ops->close(s->store);
	s->store = NULL;
	if (s->kind != SIM_STORE_SPOOL)
		return;
	disk_free(s->disk);
	disk_index_deinit(&s->index);
}

static void open_ram(struct sim_store *s)
{
	struct ram_store_config config = {.seed = rng_next(&s->world->rng), .wake = wake, .wake_owner = s};

	if (s->store == NULL)
		s->store = ram_store_new(&config);
	check(s->store != NULL);
}

static void on_report(void *owner, const struct spool_report *report)
{
	struct sim_store *s = owner;

	sim_note(s->world, "spool: %s", report->text);
	if (report->event == SPOOL_EVENT_DEAD && s->dead_since_us == 0)
		s->dead_since_us = s->world->now_us;
	s->set_aside += report->event == SPOOL_EVENT_ASIDE;
}

static bool open_spool(struct sim_store *s)
{
	char message[SPOOL_MESSAGE_SIZE];
	const struct spool_config config = {
	    .path = "spool",
	    .files = disk_files(s->disk),
	    .index_path = s->index.path,
	    .index_unsynced = true,
	    .seed = rng_next(&s->world->rng),
	    .wake = wake,
	    .wake_owner = s,
	    .checkpointed = disk_index_save,
	    .checkpointed_owner = &s->index,
	    .report = on_report,
	    .report_owner = s,
	    .segment_bytes = s->segment_bytes,
	    .checkpoint_bytes = s->checkpoint_bytes,
	    .reserve_bytes = 64 * 1024,
	    .slack_bytes = 2 * (uint64_t)s->segment_bytes,
	    .index_map_bytes = 64 << 20,
	};

	s->dead_since_us = 0;
	if (spool_open(&config, &s->store, message) == 0)
		return true;
	sim_note(s->world, "the spool cannot be opened: %s", message);
	disk_drop_process(s->disk);
	return false;
}

bool sim_store_open(struct sim_store *s)
{
	if (s->kind == SIM_STORE_SPOOL)
		return open_spool(s);
	open_ram(s);
	return true;
}

void sim_store_crash(struct sim_store *s, bool power)
{
	sim_cancel(s->world, &s->poll);
	if (s->kind == SIM_STORE_RAM) {
		ram_store_crash(s->store);
		return;
	}
	spool_crash(s->store);
	s->store = NULL;
	if (power) {
		disk_crash(s->disk, rng_next(&s->world->rng));
		disk_index_restore(&s->index);
	} else {
		disk_drop_process(s->disk);
	}
}

void sim_store_close(struct sim_store *s)
{
	sim_cancel(s->world, &s->poll);
	if (s->kind == SIM_STORE_RAM)
		return; /* it is only lent: there is no second life of its memory otherwise */
	s->store->ops->close(s->store);
	s->store = NULL;
	disk_drop_process(s->disk);
}

static void fault_disk(struct sim_store *s, const struct sim_store_faults *faults)
{
	disk_set_limit(s->disk, faults->full > 0 ? disk_used(s->disk) + ROOM_WHEN_FULL : DISK_BYTES);
	if (faults->unknown > 0 || faults->failed > 0)
		disk_fail_at(s->disk, 1 + rng_below(&s->world->rng, FAIL_WITHIN_CALLS),
			     faults->unknown > 0 ? EIO : ENOSPC, sim_chance(s->world, 0.2),
			     sim_chance(s->world, 0.3));
}

static void fault_ram(struct sim_store *s, const struct sim_store_faults *faults)
{
	ram_store_inject(s->store, &(struct ram_faults){
				       .late = faults->late,
				       .late_polls_max = LATE_POLLS,
				       .unknown_happened = faults->unknown / 2,
				       .unknown_not_happened = faults->unknown / 2,
				       .failed = faults->failed,
				       .full = faults->full,
				   });
}

void sim_store_faults(struct sim_store *s, const struct sim_store_faults *faults)
{
	static const struct sim_store_faults none = {0};

	if (faults == NULL)
		faults = &none;
	s->slow = faults->late;
	if (s->kind == SIM_STORE_SPOOL) {
		disk_fail_at(s->disk, 0, 0, false, false);
		fault_disk(s, faults);
	} else if (s->store != NULL) {
		fault_ram(s, faults);
	}
}

bool sim_store_dead(const struct sim_store *s)
{
	return s->dead_since_us != 0;
}
