#include "relay/save.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "relay/discover.h"
#include "relay/feed.h"
#include "relay/known.h"
#include "relay/trust.h"

enum { LOAD_PAGE = 100 };

/* --- a domain's record as text --- */

static int write_domain(const struct domain *domain, struct buffer *to)
{
	int error =
	    buffer_printf(to, "version=1\nnumber=%u\nadded_ms=%lld\nhold_ms=%lld\nshare=%u\ndestination=%s\n",
			  domain->number, (long long)domain->added_ms, (long long)domain->hold_ms,
			  domain->share_percent, domain->by_mx ? "mx" : "hosts");

	size_t count = domain->destination != NULL ? domain->destination->count : 0;
	for (size_t i = 0; i < count && error == 0; i++) {
		const struct kept_host *host = &domain->destination->hosts[i];
		error = buffer_printf(to, "host=%u %u %s\n", host->preference, host->port, host->name);
	}
	return error;
}

static int read_host(struct slice value, struct destination *destination)
{
	struct slice preference, port;
	uint64_t preference_value, port_value;

	if (destination->count == RELAY_HOSTS_MAX)
		return ERR_CORRUPT;
	if (!slice_split(&value, ' ', &preference) || !slice_split(&value, ' ', &port) || value.size == 0 ||
	    value.size > RESOLVER_NAME_MAX || slice_to_u64(preference, &preference_value) != 0 ||
	    slice_to_u64(port, &port_value) != 0 || preference_value > UINT16_MAX || port_value > UINT16_MAX)
		return ERR_CORRUPT;
	struct host *host = &destination->hosts[destination->count++];
	*host = (struct host){.preference = (uint16_t)preference_value, .port = (uint16_t)port_value};
	(void)snprintf(host->name, sizeof(host->name), "%.*s", SLICE_ARG(value));
	return 0;
}

struct domain_record {
	uint32_t number; /* 0: it could not be read */
	struct destination destination;
};

static int read_key(struct domain *domain, struct domain_record *record, struct slice key, struct slice value)
{
	uint64_t number = 0;
	bool is_number = slice_to_u64(value, &number) == 0;

	if (slice_equal(key, SLICE("host")))
		return read_host(value, &record->destination);
	if (slice_equal(key, SLICE("destination"))) {
		domain->by_mx = slice_equal(value, SLICE("mx"));
		return 0;
	}
	if (slice_equal(key, SLICE("version")))
		return is_number && number == 1 ? 0 : ERR_CORRUPT;
	if (slice_equal(key, SLICE("number"))) {
		if (!is_number || number == 0 || number > UINT32_MAX)
			return ERR_CORRUPT;
		record->number = (uint32_t)number;
		return 0;
	}
	if (slice_equal(key, SLICE("added_ms")) && is_number)
		domain->added_ms = (int64_t)number;
	if (slice_equal(key, SLICE("hold_ms")) && is_number)
		domain->hold_ms = (int64_t)number;
	if (slice_equal(key, SLICE("share")) && is_number && number >= 1 && number <= 100)
		domain->share_percent = (uint32_t)number;
	return 0; /* a key of a later version says nothing to us */
}

static int read_domain(struct domain *domain, struct slice from, struct domain_record *ret_record)
{
	struct slice line, key;

	int error = 0;

	ret_record->number = 0;
	ret_record->destination.count = 0;
	while (slice_split(&from, '\n', &line)) {
		if (line.size > 0 &&
		    (!slice_split(&line, '=', &key) || read_key(domain, ret_record, key, line) != 0))
			error =
			    ERR_CORRUPT; /* the rest is read all the same: the number finds the held mail */
	}
	return ret_record->number != 0 ? error : ERR_CORRUPT;
}

/* --- loading: domains, then their flows, then lanes --- */

static void damaged(const struct relay *relay, struct slice key, int error)
{
	log_event(relay->ports.log, LOG_LEVEL_ALARM, "state", 0,
		  "a record of the relay's state cannot be used: it is left as it is",
		  LOG_TEXT("record", key), LOG_TEXT("error", slice_of(error_name(error))));
}

/* A domain whose record is damaged is known all the same: its senders are told to come again later, its mail
 * waits, and what can be read of the record is used. Without a number its held mail cannot be found: it stays
 * in the store. */
static void load_damaged(struct domain *domain, struct domain_record *record, struct slice key)
{
	struct relay *relay = domain->relay;

	damaged(relay, key, ERR_CORRUPT);
	domain->damaged = true;
	record->destination.count = 0;
	if (record->number == 0)
		record->number = UINT32_MAX - relay->domains_without_number++;
}

static int load_number(struct relay *relay, struct slice key, struct slice name, struct slice value)
{
	uint64_t number;

	if (slice_to_u64(value, &number) != 0 || number >= DOMAIN_NUMBER_MAX)
		damaged(relay, key, ERR_CORRUPT);
	else if (number >= relay->next_domain_number)
		relay->next_domain_number = (uint32_t)number + 1;
	return 0;
}

static int load_domain(struct relay *relay, struct slice key, struct slice name, struct slice value)
{
	if (name.size > RELAY_DOMAIN_NAME_MAX || domain_find(relay, name) != NULL)
		return 0; /* read before a failure, now once more */
	struct domain *domain = domain_new(relay, name, 0);
	struct domain_record record;
	if (domain == NULL)
		return ERR_MEMORY;
	if (read_domain(domain, value, &record) != 0)
		load_damaged(domain, &record, key);
	domain_set_number(domain, record.number);
	if (record.number < DOMAIN_NUMBER_MAX && record.number >= relay->next_domain_number)
		relay->next_domain_number = record.number + 1;
	int error = domain_set_destination(
	    domain, &record.destination,
	    domain->damaged ? SLICE("its record is damaged: `restante domain set` its destination")
			    : SLICE("no server is known yet"));
	if (error != 0)
		domain_free(domain);
	return error;
}

static int load_outside(struct relay *relay, struct slice key, struct slice name, struct slice value)
{
	int error = outside_load(relay, name, value);

	if (error == 0 || error == ERR_MEMORY)
		return error;
	damaged(relay, key, error);
	return 0;
}

static int load_flow(struct relay *relay, struct slice key, struct slice name, struct slice value)
{
	struct domain *domain = domain_find(relay, name);
	struct clock_reading now = relay->now;

	if (domain == NULL)
		return 0;
	int error = domain_flow_load(&domain->flow, value, now.wall_ms);
	if (error != 0)
		damaged(relay, key, error);
	bool changed = domain_destination(&domain->flow, domain->feed != NULL,
					  SLICE("no server is known yet"), now.wall_ms);
	domain_flow_was(domain, changed);
	return 0;
}

static int load_known(struct relay *relay, struct slice key, struct slice name, struct slice value)
{
	struct domain *domain = domain_find(relay, name);
	int error = domain != NULL ? known_load(domain, value) : 0;

	if (error == 0 || error == ERR_MEMORY)
		return error;
	damaged(relay, key, error);
	return 0;
}

static int load_lane(struct relay *relay, struct slice key, struct slice name, struct slice value)
{
	char text[FEED_NAME_MAX];

	(void)snprintf(text, sizeof(text), "%.*s", SLICE_ARG(name));
	struct feed *feed = feed_find(relay, text);
	if (feed == NULL)
		return 0; /* no domain has this destination any more */
	int error = lane_load(&feed->lane, value, relay->now.now_us, relay->now.wall_ms);
	if (error != 0)
		damaged(relay, key, error);
	return 0;
}

static int load_ends(struct relay *relay, struct slice key, struct slice name, struct slice value)
{
	int error = ends_load(relay, value);

	if (error != 0)
		damaged(relay, key, error);
	return 0;
}

static const struct {
	struct slice prefix;
	/* ERR_MEMORY: all is read again in a moment; damage is dealt with by each. */
	int (*load)(struct relay *relay, struct slice key, struct slice name, struct slice value);
} stages[] = {
    {{"number", 6}, load_number}, {{"domain/", 7}, load_domain}, {{"outside/", 8}, load_outside},
    {{"flow/", 5}, load_flow},	  {{"known/", 6}, load_known},	 {{"lane/", 5}, load_lane},
    {{"ends", 4}, load_ends},
};

enum { STAGES = sizeof(stages) / sizeof(stages[0]) };

static void load_page(struct relay *relay, struct slice after);

static void loaded_all(struct relay *relay)
{
	relay->ready = true;
	list_each(node, &relay->domains_by_name) {
		struct domain *domain = container_of(node, struct domain, by_name);
		trust_loaded(domain);
		if (domain->by_mx && !domain->damaged)
			discover_start(domain);
	}
	list_each(node, &relay->feeds_by_name)
		feed_wake(container_of(node, struct feed, by_name));
	save_start_timer(relay);
	known_start_sweep(relay);
	ends_start(relay);
	room_start(relay);
	outside_start(relay);
}

/* The state cannot be read just now: nothing is served before it can. */
static void load_again_fired(struct timer *timer)
{
	struct relay *relay = container_of(timer, struct relay, save_timer);

	save_load_all(relay);
}

static void loaded_page(void *owner, enum store_result result, const struct store_pair *pairs, size_t count,
			bool more)
{
	struct relay *relay = owner;
	char last[STORE_KEY_MAX];
	size_t last_size = 0;

	relay_enter(relay);
	relay->operations--;
	int error = result == STORE_OK ? 0 : ERR_IO;
	for (size_t i = 0; i < count && error == 0; i++) {
		struct slice name = slice_from(pairs[i].key, stages[relay->load_stage].prefix.size);
		error = stages[relay->load_stage].load(relay, pairs[i].key, name, pairs[i].value);
		last_size = pairs[i].key.size;
		memcpy(last, pairs[i].key.data, last_size);
	}
	if (error != 0) {
		relay->save_timer.fire = load_again_fired;
		timer_set(&relay->timers, &relay->save_timer, relay->now.now_us + CLOCK_SECONDS(1));
		return;
	}
	if (more && count > 0)
		load_page(relay, slice_make(last, last_size));
	else if (++relay->load_stage < STAGES)
		load_page(relay, (struct slice){.data = NULL, .size = 0});
	else
		loaded_all(relay);
}

static void load_page(struct relay *relay, struct slice after)
{
	relay->operations++;
	relay->ports.store->ops->scan(relay->ports.store, stages[relay->load_stage].prefix, after, LOAD_PAGE,
				      loaded_page, relay);
}

void save_load_all(struct relay *relay)
{
	if (relay->next_domain_number == 0)
		relay->next_domain_number = 1;
	relay->load_stage = 0;
	load_page(relay, (struct slice){.data = NULL, .size = 0});
}

/* --- writing --- */

/* "lane/" and a long list of hosts may be longer than a key can be: such a lane starts anew after a restart.
 */
static struct slice make_key(char *text, const char *prefix, const char *name)
{
	int size = snprintf(text, STORE_KEY_MAX + 1, "%s%s", prefix, name);

	return slice_make(text, size <= STORE_KEY_MAX ? (size_t)size : 0);
}

static void written(void *owner, enum store_result result, enum store_reason reason)
{
	struct relay *relay = owner;

	relay_enter(relay);
	relay->operations--;
	relay->save_failed = relay->save_failed || result != STORE_OK;
}

static void put(struct relay *relay, const char *prefix, const char *name, struct slice value)
{
	char text[STORE_KEY_MAX + 1];
	struct slice key = make_key(text, prefix, name);

	if (key.size == 0)
		return;
	relay->operations++;
	relay->ports.store->ops->put(relay->ports.store, key, value, written, relay);
}

void save_number(struct relay *relay, uint32_t number)
{
	char text[16];
	int size = snprintf(text, sizeof(text), "%u", number);

	put(relay, "number", "", slice_make(text, (size_t)size));
}

int save_domain(struct domain *domain, store_done *done, void *owner)
{
	struct relay *relay = domain->relay;
	char text[STORE_KEY_MAX + 1];
	struct buffer record;

	buffer_init(&record, 0);
	int error = write_domain(domain, &record);
	if (error == 0) {
		relay->operations++;
		relay->ports.store->ops->put(relay->ports.store, make_key(text, "domain/", domain->name),
					     buffer_slice(&record), done, owner);
	}
	buffer_deinit(&record);
	return error;
}

void save_remove_domain(struct domain *domain, store_done *done, void *owner)
{
	struct relay *relay = domain->relay;
	char text[STORE_KEY_MAX + 1];

	put(relay, "flow/", domain->name, (struct slice){.data = NULL, .size = 0});
	put(relay, "known/", domain->name, (struct slice){.data = NULL, .size = 0});
	relay->operations++;
	relay->ports.store->ops->put(relay->ports.store, make_key(text, "domain/", domain->name),
				     (struct slice){.data = NULL, .size = 0}, done, owner);
}

static void save_feed(struct feed *feed)
{
	struct relay *relay = feed->relay;
	struct buffer record;

	buffer_init(&record, 0);
	if (lane_save(&feed->lane, relay->now.now_us, &record) == 0) {
		/* A failed probe says what the one before said. */
		uint64_t hash = map_hash(buffer_slice(&record), relay->feeds.seed);
		if (hash != feed->saved_hash)
			put(relay, "lane/", feed->name, buffer_slice(&record));
		feed->saved_hash = hash;
		feed->changed = false;
	}
	buffer_deinit(&record);
}

int save_flow(struct domain *domain, store_done *done, void *owner)
{
	struct relay *relay = domain->relay;
	char text[STORE_KEY_MAX + 1];
	struct buffer record;

	buffer_init(&record, 0);
	int error = domain_flow_save(&domain->flow, &record);
	if (error == 0) {
		relay->operations++;
		relay->ports.store->ops->put(relay->ports.store, make_key(text, "flow/", domain->name),
					     buffer_slice(&record), done, owner);
		domain->flow_changed = false;
	}
	buffer_deinit(&record);
	return error;
}

static void save_known(struct domain *domain)
{
	struct relay *relay = domain->relay;
	struct known *known = domain->known;
	struct buffer record;

	buffer_init(&record, 0);
	if (known_save(domain, &record) == 0) {
		put(relay, "known/", domain->name, buffer_slice(&record));
		known->changed = known->urgent = false;
		known->saved = true;
		known->saved_us = relay->now.now_us;
		known->saved_service_ms = known->ledger.service_ms;
	}
	buffer_deinit(&record);
}

static void save_feed_if_changed(struct feed *feed)
{
	if (feed->changed && feed->served_count > 0)
		save_feed(feed);
}

static void save_domain_if_changed(struct domain *domain)
{
	struct relay *relay = domain->relay;

	if (domain->flow_changed && !domain->removing && save_flow(domain, written, relay) != 0)
		relay->save_failed = true;
	known_serve(domain);
	if (known_must_save(domain) && !domain->removing)
		save_known(domain);
	if (domain->destination_changed && domain_takes_mail(domain) &&
	    save_domain(domain, written, relay) == 0)
		domain->destination_changed = false;
}

void save_changes(struct relay *relay)
{
	list_each(node, &relay->feeds_by_name)
		save_feed_if_changed(container_of(node, struct feed, by_name));
	list_each(node, &relay->domains_by_name)
		save_domain_if_changed(container_of(node, struct domain, by_name));
}

/* --- in turn: a tenth of all each second, so that fifty thousand do not come at once --- */

/* How many of so many are the part of this turn. */
static size_t part_of(const struct relay *relay, size_t count)
{
	size_t turn = relay->save_turn;

	return (turn + 1) * count / SAVE_TURNS - turn * count / SAVE_TURNS;
}

static void save_some_feeds(struct relay *relay)
{
	size_t left = part_of(relay, relay->feeds.count);
	struct tree_node *next = tree_after(&relay->feed_names, slice_of(relay->saved_feed));
	struct feed *feed = next != NULL ? container_of(next, struct feed, name_order) : NULL;

	for (; left > 0 && feed != NULL; left--) {
		save_feed_if_changed(feed);
		bool last = left == 1 || feed->by_name.next == &relay->feeds_by_name;
		if (last)
			(void)snprintf(relay->saved_feed, sizeof(relay->saved_feed), "%s", feed->name);
		feed = last ? NULL : container_of(feed->by_name.next, struct feed, by_name);
	}
}

static void save_some_domains(struct relay *relay)
{
	size_t left = part_of(relay, relay->domains.count);
	struct tree_node *next = tree_after(&relay->domain_names, slice_of(relay->saved_domain));
	struct domain *domain = next != NULL ? container_of(next, struct domain, name_order) : NULL;

	for (; left > 0 && domain != NULL; left--) {
		save_domain_if_changed(domain);
		bool last = left == 1 || domain->by_name.next == &relay->domains_by_name;
		if (last)
			(void)snprintf(relay->saved_domain, sizeof(relay->saved_domain), "%s", domain->name);
		domain = last ? NULL : container_of(domain->by_name.next, struct domain, by_name);
	}
}

static void save_some(struct relay *relay)
{
	save_some_feeds(relay);
	save_some_domains(relay);
	if (++relay->save_turn < SAVE_TURNS)
		return;
	relay->save_turn = 0; /* from the first name on again */
	relay->saved_feed[0] = relay->saved_domain[0] = '\0';
}

/* Which one was not written is not known: all are, once more. */
static void mark_all(struct relay *relay)
{
	relay->save_failed = false;
	list_each(node, &relay->feeds_by_name) {
		struct feed *feed = container_of(node, struct feed, by_name);
		feed->changed = true;
		feed->saved_hash = 0;
	}
	list_each(node, &relay->domains_by_name) {
		struct domain *domain = container_of(node, struct domain, by_name);
		domain->flow_changed = true;
		domain->destination_changed = true;
	}
}

static void save_fired(struct timer *timer)
{
	struct relay *relay = container_of(timer, struct relay, save_timer);

	if (relay->save_failed)
		mark_all(relay);
	save_some(relay);
	timer_set(&relay->timers, timer, relay->now.now_us + CLOCK_MS(SAVE_INTERVAL_MS / SAVE_TURNS));
}

void save_start_timer(struct relay *relay)
{
	relay->save_timer.fire = save_fired;
	timer_set(&relay->timers, &relay->save_timer,
		  relay->now.now_us + CLOCK_MS(SAVE_INTERVAL_MS / SAVE_TURNS));
}
