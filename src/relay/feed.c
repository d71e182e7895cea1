#include "relay/feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "relay/outbound.h"
#include "relay/trust.h"

/* --- making and finding --- */

void feed_name(const struct destination *destination, uint16_t smtp_port, char ret_name[FEED_NAME_MAX])
{
	/* Canonical: sorted by name and port, so that the order of configuration does not make two lanes of
	 * one server set. */
	struct destination sorted = *destination;

	for (size_t i = 0; i < sorted.count; i++) {
		struct host host = sorted.hosts[i];
		if (host.port == smtp_port)
			host.port = 0;
		size_t place = i;
		while (place > 0 && strcmp(host.name, sorted.hosts[place - 1].name) < 0) {
			sorted.hosts[place] = sorted.hosts[place - 1];
			place--;
		}
		sorted.hosts[place] = host;
	}
	destination_format(&sorted, ret_name, FEED_NAME_MAX);
}

struct feed *feed_find(const struct relay *relay, const char *name)
{
	struct map_node *node = map_find(&relay->feeds, slice_of(name));

	return node != NULL ? container_of(node, struct feed, node) : NULL;
}

static void feed_timer_fired(struct timer *timer)
{
	struct feed *feed = container_of(timer, struct feed, timer);
	struct clock_reading now = feed->relay->now;

	if (lane_tick(&feed->lane, now.now_us, now.wall_ms))
		feed_changed(feed);
	/* What hung is given up, a canary too; the lane has a new one tried when it is time. */
	if (feed->lane.state == LANE_DOWN && !feed->lane.probing)
		list_each_safe(node, after, &feed->connections)
			outbound_give_up(container_of(node, struct outbound, in_feed));
	feed_wake(feed);
}

static void insert_by_name(struct relay *relay, struct feed *feed)
{
	struct tree_node *next = tree_after(&relay->feed_names, slice_of(feed->name));
	struct list *place =
	    next != NULL ? &container_of(next, struct feed, name_order)->by_name : &relay->feeds_by_name;

	list_add_before(place, &feed->by_name);
	tree_insert(&relay->feed_names, &feed->name_order, slice_of(feed->name), feed->node.hash);
}

static void init_lookups(struct feed *feed)
{
	for (size_t i = 0; i < feed->destination->count; i++) {
		feed->lookups[i].feed = feed;
		feed->lookups[i].host = (uint8_t)i;
		feed->lookups[i].refresh_us = INT64_MIN;
		feed->lookups[i].good_until_us = INT64_MIN;
		feed->lookups[i].last_good_us = INT64_MIN;
	}
}

struct feed *feed_for(struct relay *relay, const struct destination *destination)
{
	char name[FEED_NAME_MAX];
	feed_name(destination, relay->config.smtp_port, name);
	struct feed *feed = feed_find(relay, name);
	if (feed != NULL)
		return feed;

	feed = calloc(1, sizeof(*feed) + strlen(name) + 1);
	if (feed == NULL)
		return NULL;
	feed->relay = relay;
	feed->destination = destination_keep(destination);
	feed->lookups = calloc(destination->count, sizeof(struct host_lookup));
	(void)snprintf(feed->name, strlen(name) + 1, "%s", name);
	if (feed->destination == NULL || feed->lookups == NULL ||
	    map_insert(&relay->feeds, &feed->node, slice_of(feed->name)) != 0) {
		free(feed->destination);
		free(feed->lookups);
		free(feed);
		return NULL;
	}
	insert_by_name(relay, feed);
	init_lookups(feed);
	turns_init(&feed->turns);
	list_init(&feed->domains);
	members_init(&feed->members);
	list_init(&feed->connections);
	list_init(&feed->idle);
	list_init(&feed->asks);
	feed->timer.fire = feed_timer_fired;
	lane_init(&feed->lane, &relay->config.lane, rng_next(&relay->rng), relay->now.now_us,
		  relay->now.wall_ms);
	return feed;
}

static uint16_t port_of(const struct feed *feed, uint16_t port)
{
	return port != 0 ? port : feed->relay->config.smtp_port;
}

void feed_prefer(struct feed *feed, const struct destination *destination)
{
	struct kept_destination *own = feed->destination;

	for (size_t i = 0; i < own->count; i++)
		for (size_t k = 0; k < destination->count; k++)
			if (strcmp(own->hosts[i].name, destination->hosts[k].name) == 0 &&
			    port_of(feed, own->hosts[i].port) == port_of(feed, destination->hosts[k].port))
				own->hosts[i].preference = destination->hosts[k].preference;
	hosts_reorder(feed);
}

/* Only servers of served domains have a say in what senders are offered. */
static void count_offers(struct feed *feed, bool serving)
{
	struct relay *relay = feed->relay;
	uint32_t more = serving ? 1 : UINT32_MAX; /* wraps: one less */

	relay->feeds_serving += more;
	relay->feeds_without_smtputf8 += feed->smtputf8 ? 0 : more;
	relay->feeds_without_dsn += feed->dsn ? 0 : more;
}

void feed_join(struct feed *feed, struct domain *domain)
{
	check(domain->feed == NULL);
	if (domain->outside == NULL && feed->served_count++ == 0)
		count_offers(feed, true);
	domain->feed = feed;
	list_add_last(&feed->domains, &domain->in_feed);
	feed->domain_count++;
	members_join(domain);
	feed_wake(feed);
}

/* What is in transit goes on. */
void feed_leave(struct feed *feed, struct domain *domain)
{
	turns_leave(&feed->turns, &domain->turn);
	members_leave(domain);
	list_remove(&domain->in_feed);
	domain->feed = NULL;
	feed->domain_count--;
	if (domain->outside == NULL && --feed->served_count == 0)
		count_offers(feed, false);
	feed_wake(feed); /* without a domain it ends when its last transaction has */
}

void feed_free(struct feed *feed)
{
	struct relay *relay = feed->relay;

	survey_forget_feed(feed);
	list_each_safe(node, after, &feed->connections)
		outbound_kill(container_of(node, struct outbound, in_feed));
	ask_fail_all(feed);
	hosts_cancel(feed);
	timer_clear(&relay->timers, &feed->timer);
	budget_forget(feed);
	list_remove(&feed->in_dispatch);
	list_remove(&feed->by_name);
	tree_remove(&relay->feed_names, &feed->name_order);
	map_remove(&relay->feeds, &feed->node);
	for (size_t i = 0; i < feed->destination->count; i++)
		free(feed->lookups[i].addresses);
	free(feed->lookups);
	free(feed->targets);
	free(feed->destination);
	free(feed);
}

void feed_wake(struct feed *feed)
{
	if (!list_linked(&feed->in_dispatch))
		list_add_last(&feed->relay->dispatch, &feed->in_dispatch);
}

void feed_offers(struct feed *feed, bool smtputf8, bool dsn)
{
	bool serving = feed->served_count > 0;

	if (serving)
		count_offers(feed, false);
	feed->smtputf8 = smtputf8;
	feed->dsn = dsn;
	if (serving)
		count_offers(feed, true);
}

static bool size_is_fresh(const struct feed *feed)
{
	return feed->size_us > 0 && feed->relay->now.now_us - feed->size_us < CLOCK_MS(FEED_SIZE_FRESH_MS);
}

void feed_takes_size(struct feed *feed, uint64_t size_limit)
{
	bool smaller = size_limit > 0 && (feed->size_limit == 0 || size_limit < feed->size_limit);

	if (smaller && size_is_fresh(feed))
		return;
	feed->size_limit = size_limit;
	feed->size_us = feed->relay->now.now_us;
}

bool feed_is_too_large(const struct feed *feed, uint64_t size_bytes)
{
	return feed->size_limit > 0 && size_bytes > feed->size_limit && size_is_fresh(feed);
}

/* --- changes --- */

bool feed_single(const struct feed *feed)
{
	return feed != NULL && split_single(&feed->split, feed->relay->now.now_us);
}

bool feed_flows(const struct domain *domain)
{
	return domain->feed != NULL && domain->feed->lane.state == LANE_UP && domain_flows(&domain->flow) &&
	       trust_permits(domain);
}

static void log_change(const struct feed *feed)
{
	struct lane_view view;
	lane_view(&feed->lane, feed->relay->now.now_us, &view);
	bool down = view.state == LANE_DOWN;

	log_event(feed->relay->ports.log, down ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "lane", 0,
		  down ? "the server is down: its mail is held, and it is tried again until it is back"
		       : "the server is back: held mail is fed to it",
		  LOG_TEXT("lane", slice_of(feed->name)), LOG_TEXT("state", slice_of(down ? "down" : "up")),
		  LOG_TEXT("kind", slice_of(lane_kind_name(view.kind))),
		  LOG_TEXT("reply", slice_of(view.last_reply)));
}

/* A server that was only too busy, or out of space, is the same as before. */
static void tell_trust(const struct feed *feed, struct domain *domain)
{
	if (feed->lane.state != LANE_UP)
		trust_server_lost(domain);
	else if (!feed->lane.limited)
		trust_grace(domain);
	domain_flow_was(domain, false);
}

void feed_changed(struct feed *feed)
{
	feed->changed = true;
	budget_forget(feed);
	log_change(feed);
	if (feed->lane.state != LANE_UP)
		ask_fail_all(feed);
	list_each(node, &feed->domains) {
		struct domain *domain = container_of(node, struct domain, in_feed);
		if (feed->lane.state == LANE_UP)
			queue_restart(domain, false);
		else
			queue_drop(domain);
		turns_leave(&feed->turns, &domain->turn);
		tell_trust(feed, domain);
	}
	feed_wake(feed);
}

/* --- canaries --- */

bool feed_may_probe(const struct domain *domain)
{
	return domain->flow.state == DOMAIN_OPEN || domain->flow.state == DOMAIN_REFUSING;
}

bool feed_holds_mail(const struct domain *domain)
{
	struct store_counts counts;
	struct store *store = domain->relay->ports.store;

	store->ops->count(store, domain->number, &counts);
	return counts.messages > 0;
}

/* DOWN: one message on a new connection. When its queue must be read first, the wake after that comes back
 * here. */
static void start_probe(struct feed *feed)
{
	if (feed->connection_count >= FEED_CONNECTIONS_MAX)
		return;
	struct domain *domain = members_probe(feed);
	if (domain == NULL) {
		lane_canary_abandoned(&feed->lane, feed->relay->now.now_us);
		return;
	}
	if (!budget_ask(&feed->relay->probes, feed) || !hosts_ready(feed))
		return;
	struct item *item = queue_take_canary(domain, feed->lane.probe.failures);
	if (item == NULL) {
		queue_fill_canary(domain);
		if (!queue_reading(&domain->queue)) { /* it holds only what may not be tried yet */
			members_probed(domain);
			lane_canary_abandoned(&feed->lane, feed->relay->now.now_us);
		}
		return;
	}
	members_probed(domain);
	budget_forget(feed);
	if (!outbound_open(feed, item))
		queue_defer(item);
}

/* --- dispatch --- */

static struct outbound *idle_connection(struct feed *feed)
{
	struct list *node = list_first(&feed->idle);

	return node != NULL ? container_of(node, struct outbound, in_idle) : NULL;
}

static struct item *next_item(struct feed *feed, bool *ret_canary)
{
	struct turn turn = turns_next(&feed->turns);
	struct item *item = members_canary_next(feed, turn.queue != NULL) ? members_canary(feed) : NULL;

	*ret_canary = item != NULL;
	if (item != NULL || turn.queue == NULL)
		return item;
	struct domain *domain = container_of(turn.queue, struct domain, turn);
	item = queue_take(domain, turn.fresh);
	check(item != NULL);
	turns_charge(&feed->turns, turn, item->body_bytes);
	feed->members.canary_last = false;
	trust_sent(domain);
	members_wake(domain); /* its queue may want to be read on */
	return item;
}

static void open_connections(struct feed *feed, uint32_t sends, uint32_t connects)
{
	uint32_t wanted = members_ready(feed) + (ask_next(feed) != NULL);

	if (wanted > sends)
		wanted = sends;
	while (connects > 0 && wanted > feed->opening_count &&
	       feed->connection_count < FEED_CONNECTIONS_MAX) {
		if (feed->connection_count == 0 && !budget_ask(&feed->relay->starts, feed))
			return;
		if (!hosts_ready(feed) || !outbound_open(feed, NULL)) {
			feed->stuck = true;
			return;
		}
		budget_forget(feed);
		connects--;
	}
}

static void send(struct feed *feed, struct lane_permit permit)
{
	uint32_t sends = permit.sends;
	struct outbound *out;

	while (ask_next(feed) != NULL && (out = idle_connection(feed)) != NULL)
		ask_send(out);
	while (sends > 0) {
		out = idle_connection(feed);
		if (out == NULL)
			break;
		bool canary;
		struct item *item = next_item(feed, &canary);
		if (item == NULL)
			return;
		outbound_send(out, item, canary);
		sends--;
	}
	if (sends > 0)
		open_connections(feed, sends, permit.connects);
}

static void send_what_is_permitted(struct feed *feed, struct lane_permit permit)
{
	(void)members_look(feed);
	members_feed(feed);
	send(feed, permit);
	if (!members_look(feed))
		feed_wake(feed);
	members_feed(feed);
}

static void wind_up(struct feed *feed)
{
	list_each_safe(node, after, &feed->idle)
		outbound_quit(container_of(node, struct outbound, in_idle));
	if (feed->connection_count == 0)
		feed_free(feed);
}

void feed_run(struct feed *feed)
{
	struct relay *relay = feed->relay;

	if (feed->domain_count == 0) {
		wind_up(feed);
		return;
	}
	if (relay->shutting_down || !relay->ready) /* before all is read, a pause might not be known */
		return;
	feed->stuck = false;
	struct lane_permit permit = lane_permit(&feed->lane, relay->now.now_us);
	if (permit.probe)
		start_probe(feed);
	else if (feed->lane.state == LANE_UP)
		send_what_is_permitted(feed, permit);

	/* A permit that could not be used (names or queue are still being read) is looked at again in a
	 * moment. */
	int64_t deadline_us = lane_deadline(&feed->lane, relay->now.now_us);
	if (list_linked(&feed->in_budget) && feed->connection_count == 0)
		deadline_us = CLOCK_NEVER; /* it is woken when its turn comes */
	if (deadline_us <= relay->now.now_us)
		deadline_us = relay->now.now_us + CLOCK_MS(FEED_LOOK_AGAIN_MS);
	if (feed->stuck && deadline_us > relay->now.now_us + CLOCK_MS(FEED_STUCK_MS))
		deadline_us = relay->now.now_us + CLOCK_MS(FEED_STUCK_MS);
	timer_set(&relay->timers, &feed->timer, deadline_us);
}
