#include "relay/ending.h"

#include <stdlib.h>

#include "base/arena.h"
#include "relay/domains.h"
#include "relay/ends.h"
#include "relay/notify.h"
#include "relay/trust.h"

enum { AGAIN_MS = 60 * 1000 }; /* what could not be written comes up again */

struct ending {
	struct list in_list; /* of the relay */
	struct relay *relay;
	struct arena arena;
	uint64_t id;
	struct item *item; /* holds the message; NULL: it is still being looked for */
	struct store_change *changes;
	uint32_t count;
	uint32_t domain; /* of those that are refused */
	const uint32_t *refused;
	uint32_t refused_count;
};

static void ending_free(struct ending *e)
{
	e->relay->endings--;
	list_remove(&e->in_list);
	arena_deinit(&e->arena);
	free(e);
}

static struct ending *ending_new(struct relay *relay, uint64_t id)
{
	struct ending *e = relay->endings < ENDING_MAX ? calloc(1, sizeof(*e)) : NULL;

	if (e == NULL)
		return NULL;
	e->relay = relay;
	e->id = id;
	arena_init(&e->arena, 0);
	relay->endings++;
	list_add_last(&relay->ending_list, &e->in_list);
	return e;
}

static void give_back(struct ending *e, int64_t due_ms)
{
	struct item *item = e->item;

	ending_free(e);
	queue_finish(item, due_ms);
}

/* --- the record --- */

static void log_ends(const struct ending *e, const struct store_envelope *envelope)
{
	for (uint32_t i = 0; i < e->count; i++) {
		const struct store_recipient *r = &envelope->recipients[e->changes[i].recipient];
		bool expired = e->changes[i].state == STORE_EXPIRED;
		log_event(e->relay->ports.log, LOG_LEVEL_WARN, "end", e->id, "",
			  LOG_TEXT("from", envelope->reverse_path), LOG_TEXT("to", r->forward_path),
			  LOG_NUMBER("delay_ms", e->relay->now.wall_ms - envelope->arrival_ms),
			  LOG_TEXT("dsn", expired ? SLICE("4.4.7") : SLICE("5.0.0")),
			  LOG_TEXT("status", expired ? SLICE("expired") : SLICE("refused")),
			  LOG_TEXT("reply", e->changes[i].reply));
	}
}

static void amended(void *owner, enum store_result result, enum store_reason reason)
{
	struct ending *e = owner;
	struct relay *relay = e->relay;

	relay_enter(relay);
	relay->operations--;
	if (result != STORE_OK) { /* what did not happen comes up at the next look */
		give_back(e, relay->now.wall_ms + AGAIN_MS);
		return;
	}
	for (uint32_t i = 0; i < e->count; i++)
		if (e->changes[i].state == STORE_EXPIRED)
			relay->counters.expired_recipients++;
		else
			relay->counters.ended_refused_recipients++;
	give_back(e, INT64_MAX);
}

static void write_down(struct ending *e)
{
	struct relay *relay = e->relay;

	relay->operations++;
	relay->ports.store->ops->amend(relay->ports.store, e->id, 0, 0, e->changes, e->count,
				       relay->now.wall_ms, amended, e);
}

/* --- the sender --- */

static void told(void *owner, enum notify_result result)
{
	struct ending *e = owner;

	if (result == NOTIFY_LATER) {
		give_back(e, e->relay->now.wall_ms + AGAIN_MS);
		return;
	}
	if (result == NOTIFY_NEVER)
		log_event(e->relay->ports.log, LOG_LEVEL_WARN, "end", e->id,
			  "its sender cannot be told that it was not delivered: it is kept in grace only");
	write_down(e);
}

static bool to_be_told(const struct ending *e, const struct store_envelope *envelope)
{
	for (uint32_t i = 0; i < e->count; i++)
		if (notify_of_failure(envelope, &envelope->recipients[e->changes[i].recipient]))
			return true;
	return false;
}

static int copy_changes(struct ending *e, const struct store_change *changes, uint32_t count)
{
	e->changes = arena_alloc_array(&e->arena, count, sizeof(*e->changes));
	e->count = count;
	for (uint32_t i = 0; i < count && e->changes != NULL; i++) {
		e->changes[i] = changes[i];
		if (arena_copy(&e->arena, changes[i].reply, &e->changes[i].reply) != 0)
			return ERR_MEMORY;
	}
	return e->changes != NULL ? 0 : ERR_MEMORY;
}

/* False: nothing was begun, and the ending is gone. */
static bool go(struct ending *e, struct domain *domain, const struct store_entry *entry,
	       const struct store_change *changes, uint32_t count)
{
	if (copy_changes(e, changes, count) == 0)
		e->item = queue_lock(domain, entry);
	if (e->item == NULL) {
		ending_free(e);
		return false;
	}
	if (to_be_told(e, &entry->envelope)) {
		if (notify_failures(e->relay, entry, e->changes, e->count, told, e) != 0) {
			give_back(e, e->relay->now.wall_ms + AGAIN_MS);
			return false;
		}
	} else {
		write_down(e);
	}
	log_ends(e, &entry->envelope);
	return true;
}

bool ending_begin(struct domain *domain, const struct store_entry *entry, const struct store_change *changes,
		  uint32_t count)
{
	struct ending *e = ending_new(domain->relay, entry->id);

	return e != NULL && go(e, domain, entry, changes, count);
}

/* --- refusals --- */

static bool still_refused(const struct ending *e, const struct store_entry *entry, uint32_t recipient)
{
	const struct store_recipient *r = &entry->envelope.recipients[recipient];

	return r->state == STORE_QUEUED && r->domain == e->domain && r->attempts > 0 &&
	       r->last_reply.size > 0 && r->last_reply.data[0] == '5';
}

static void end_refused(struct ending *e, struct domain *domain, const struct store_entry *entry)
{
	struct store_change *changes =
	    arena_alloc_array(&e->arena, e->refused_count, sizeof(struct store_change));
	uint32_t count = 0;

	for (uint32_t i = 0; i < e->refused_count && changes != NULL; i++) {
		const struct store_recipient *r = &entry->envelope.recipients[e->refused[i]];
		if (!still_refused(e, entry, e->refused[i]))
			continue;
		changes[count] = (struct store_change){.recipient = e->refused[i],
						       .reason = r->reason,
						       .attempts = r->attempts,
						       .reply = r->last_reply};
		ends_into_grace(e->relay, &changes[count++], STORE_REFUSED);
	}
	if (count > 0)
		(void)go(e, domain, entry, changes, count);
	else
		ending_free(e);
}

static void found(void *owner, enum store_result result, const struct store_entry *entries, size_t count,
		  bool more)
{
	struct ending *e = owner;
	struct relay *relay = e->relay;

	relay_enter(relay);
	relay->operations--;
	struct domain *domain = domain_by_number(relay, e->domain);
	if (result == STORE_OK && count > 0 && domain != NULL && trust_is_proven(domain))
		end_refused(e, domain, &entries[0]);
	else
		ending_free(e);
}

void ending_refused(struct domain *domain, uint64_t id, const uint32_t *recipients, uint32_t count)
{
	struct relay *relay = domain->relay;
	struct ending *e = ending_new(relay, id);
	struct slice copy;

	if (e == NULL)
		return; /* it is tried, and refused, again */
	if (arena_copy(&e->arena, slice_make(recipients, count * sizeof(*recipients)), &copy) != 0) {
		ending_free(e);
		return;
	}
	e->refused = (const uint32_t *)(const void *)copy.data;
	e->refused_count = count;
	e->domain = domain->number;
	relay->operations++;
	relay->ports.store->ops->find(relay->ports.store, id, found, e);
}

/* The items are still in the queues: they go before those do. */
void ending_free_all(struct relay *relay)
{
	list_each_safe(node, after, &relay->ending_list) {
		struct ending *e = container_of(node, struct ending, in_list);
		if (e->item != NULL)
			give_back(e, INT64_MAX);
		else
			ending_free(e);
	}
}
