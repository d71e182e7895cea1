/* Backup: a snapshot of the store that is held while the one who asked for it copies it. */
#include <stdlib.h>

#include "base/rng.h"
#include "relay/admin_private.h"

struct backup_request {
	struct admin_request request; /* first */
	void (*begun)(void *owner, uint64_t id);
	void (*part)(void *owner, uint64_t segment, uint64_t bytes);
};

static void extend(struct relay *relay)
{
	timer_set(&relay->timers, &relay->backup_timer,
		  relay->now.now_us + CLOCK_MS((int64_t)ADMIN_BACKUP_LAPSE_S * 1000));
}

static void release(struct relay *relay)
{
	relay->ports.store->ops->snapshot_release(relay->ports.store);
	relay->backup = 0;
	timer_clear(&relay->timers, &relay->backup_timer);
}

static void lapsed(struct timer *timer)
{
	struct relay *relay = container_of(timer, struct relay, backup_timer);

	log_event(relay->ports.log, LOG_LEVEL_WARN, "store", 0,
		  "a backup was given up: nothing was heard of it any more",
		  LOG_NUMBER("seconds", ADMIN_BACKUP_LAPSE_S));
	release(relay);
}

static void taken(void *owner, enum store_result result, enum store_reason reason)
{
	struct backup_request *r = owner;
	struct relay *relay = r->request.relay;
	struct store *store = relay->ports.store;

	relay_enter(relay);
	relay->operations--;
	if (result != STORE_OK) {
		relay->backup = 0;
		admin_request_finish(&r->request, ERR_IO,
				     reason == STORE_REASON_FULL ? "there is no room for a copy of the index"
								 : "the index cannot be copied");
		return;
	}
	relay->backup_timer.fire = lapsed;
	extend(relay);
	r->begun(r->request.owner, relay->backup);
	store->ops->snapshot_parts(store, r->part, r->request.owner);
	admin_request_finish(&r->request, 0, "held");
}

void admin_backup(struct relay *relay, void (*begun)(void *owner, uint64_t id),
		  void (*part)(void *owner, uint64_t segment, uint64_t bytes), admin_done *done, void *owner)
{
	struct store *store = relay->ports.store;
	struct backup_request *r;

	relay_enter(relay);
	if (store->ops->snapshot == NULL) {
		admin_request_answer(relay, done, owner, ERR_STATE,
				     "this store keeps nothing on disk: there is nothing to back up");
		return;
	}
	if (relay->backup != 0 || relay->shutting_down) {
		admin_request_answer(relay, done, owner, ERR_STATE,
				     relay->backup != 0
					 ? "a backup is under way; one that was interrupted is "
					   "given up after a minute"
					 : "restante is going down");
		return;
	}
	r = calloc(1, sizeof(*r));
	if (r == NULL) {
		admin_request_answer(relay, done, owner, ERR_MEMORY, "out of memory");
		return;
	}
	r->begun = begun;
	r->part = part;
	admin_request_init(&r->request, relay, done, owner);
	relay->backup = rng_next(&relay->rng) | 1;
	relay->operations++;
	store->ops->snapshot(store, taken, r);
}

static bool is_held(const struct relay *relay, uint64_t id)
{
	return id != 0 && relay->backup == id && relay->backup_timer.node.queued;
}

void admin_backup_renew(struct relay *relay, uint64_t id, admin_done *done, void *owner)
{
	bool held = is_held(relay, id);

	relay_enter(relay);
	if (held)
		extend(relay);
	admin_request_answer(relay, done, owner, held ? 0 : ERR_MISSING,
			     held ? "still held" : "this backup was given up: begin again");
}

void admin_backup_end(struct relay *relay, uint64_t id, admin_done *done, void *owner)
{
	bool held = is_held(relay, id);

	relay_enter(relay);
	if (held)
		release(relay);
	admin_request_answer(relay, done, owner, held ? 0 : ERR_MISSING,
			     held ? "released" : "this backup was given up: begin again");
}
