/* Walks through the ledger: removes what matters no more, counts the rest. */
#include <string.h>

#include "relay/domains.h"
#include "relay/known.h"

static const struct slice prefix = {.data = "ledger/", .size = 7};

static void removed(void *owner, enum store_result result, enum store_reason reason)
{
	struct relay *relay = owner;

	relay_enter(relay);
	relay->operations--; /* what is still there comes up at the next sweep */
}

static void remove_pair(struct relay *relay, struct slice key)
{
	relay->operations++;
	relay->ports.store->ops->put(relay->ports.store, key, (struct slice){.data = NULL, .size = 0},
				     removed, relay);
}

/* Of a domain that is not served any more nothing is kept. */
static void look_at(struct relay *relay, const struct store_pair *pair)
{
	struct slice name = slice_from(pair->key, prefix.size);
	struct domain *domain = domain_find(relay, slice_upto(name, slice_find(name, '/')));
	struct ledger_entry entry;

	if (domain == NULL) {
		remove_pair(relay, pair->key);
		return;
	}
	struct known *known = known_of(domain);
	if (known == NULL)
		return;
	int error = ledger_decode(pair->value, &entry);
	if (error == ERR_CORRUPT || (error == 0 && ledger_is_stale(&entry, &known->ledger)))
		remove_pair(relay, pair->key);
	else
		known->swept++;
}

static void begin_sweep(struct relay *relay)
{
	relay->sweep.cursor_size = 0;
	list_each(node, &relay->domains_by_name) {
		struct domain *domain = container_of(node, struct domain, by_name);
		if (domain->known != NULL)
			domain->known->swept = 0;
	}
}

static void end_sweep(struct relay *relay)
{
	list_each(node, &relay->domains_by_name) {
		struct known *known = container_of(node, struct domain, by_name)->known;
		if (known == NULL || known->count == known->swept)
			continue;
		known->count = known->swept;
		known->changed = true;
	}
}

static void page_read(void *owner, enum store_result result, const struct store_pair *pairs, size_t count,
		      bool more)
{
	struct relay *relay = owner;
	struct sweep *sweep = &relay->sweep;

	relay_enter(relay);
	relay->operations--;
	for (size_t i = 0; i < count && result == STORE_OK; i++)
		look_at(relay, &pairs[i]);
	bool last = result != STORE_OK || !more || count == 0;
	if (!last) {
		sweep->cursor_size = pairs[count - 1].key.size;
		memcpy(sweep->cursor, pairs[count - 1].key.data, sweep->cursor_size);
	} else if (result == STORE_OK) {
		end_sweep(relay);
	}
	sweep->begun = !last;
	timer_set(&relay->timers, &sweep->timer,
		  relay->now.now_us + CLOCK_MS(last ? KNOWN_SWEEP_MS : KNOWN_SWEEP_PAGE_MS));
}

static void sweep_on(struct timer *timer)
{
	struct relay *relay = container_of(timer, struct relay, sweep.timer);
	struct sweep *sweep = &relay->sweep;

	if (relay->shutting_down)
		return;
	if (!sweep->begun)
		begin_sweep(relay);
	relay->operations++;
	relay->ports.store->ops->scan(relay->ports.store, prefix,
				      slice_make(sweep->cursor, sweep->cursor_size), KNOWN_SWEEP_PAGE,
				      page_read, relay);
}

/* Not at once: a start has other things to do. */
void known_start_sweep(struct relay *relay)
{
	relay->sweep.timer.fire = sweep_on;
	timer_set(&relay->timers, &relay->sweep.timer, relay->now.now_us + CLOCK_MS(KNOWN_SWEEP_PAGE_MS));
}
