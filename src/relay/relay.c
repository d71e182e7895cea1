#include "relay/ending.h"
#include "relay/notify.h"
#include "relay/relay.h"

#include <stdlib.h>

#include "base/check.h"
#include "lane/tuning.h"
#include "relay/admin_private.h"
#include "relay/door.h"
#include "relay/door_memory.h"
#include "relay/feed.h"
#include "relay/inbound.h"
#include "relay/outbound.h"
#include "relay/save.h"

void relay_config_defaults(struct relay_config *config, const char *hostname)
{
	*config = (struct relay_config){
	    .hostname = hostname,
	    .sessions_max = RELAY_SESSIONS_MAX,
	    .sessions_per_address_max = RELAY_SESSIONS_PER_ADDRESS_MAX,
	    .smtp_port = 25,
	    .connect_timeout_ms = 5000,
	    .ask_recipients = true,
	    .unseen_per_hour = RELAY_UNSEEN_PER_HOUR,
	    .hold_ms = (int64_t)RELAY_HOLD_DAYS * 24 * 3600 * 1000,
	};
	smtp_server_config_defaults(&config->server, hostname);
	config->server.offer_starttls = true; /* given a certificate */
	config->server.offer_smtputf8 = true; /* given servers that take it */
	config->server.offer_dsn = true;
	smtp_client_config_defaults(&config->client, hostname);
	/* A tarpit answers within a minute (RECOVERY §1.2); waiting longer for a banner only ties up the
	 * lane. */
	config->client.banner_timeout_ms = 60 * 1000;
	lane_config_defaults(&config->lane);
}

struct relay *relay_new(const struct relay_config *config, const struct relay_ports *ports)
{
	struct relay *relay = calloc(1, sizeof(*relay));

	if (relay == NULL)
		return NULL;
	relay->door_memory = door_memory_new();
	if (relay->door_memory == NULL) {
		free(relay);
		return NULL;
	}
	relay->config = *config;
	relay->config.server.mark = config->mark;
	relay->ports = *ports;
	relay_enter(relay);
	relay->started_ms = relay->now.wall_ms;
	rng_init(&relay->rng, ports->seed);
	map_init(&relay->domains, rng_next(&relay->rng));
	map_init(&relay->feeds, rng_next(&relay->rng));
	map_init(&relay->clients, rng_next(&relay->rng));
	map_init(&relay->committing, rng_next(&relay->rng));
	room_init(&relay->room, rng_next(&relay->rng));
	outside_init(relay, rng_next(&relay->rng));
	list_init(&relay->domains_by_name);
	list_init(&relay->feeds_by_name);
	list_init(&relay->dispatch);
	budget_init(&relay->probes, relay, BUDGET_PROBES_PER_S, BUDGET_PROBES_BURST);
	budget_init(&relay->starts, relay, BUDGET_STARTS_PER_S, BUDGET_STARTS_BURST);
	list_init(&relay->inbounds);
	list_init(&relay->door_orphans);
	list_init(&relay->buried);
	list_init(&relay->admin_requests);
	list_init(&relay->notifies);
	list_init(&relay->ending_list);
	survey_init(&relay->survey);
	save_load_all(relay);
	return relay;
}

static void free_inbounds(struct relay *relay)
{
	list_each_safe(node, after, &relay->inbounds)
		inbound_free(container_of(node, struct inbound, in_relay));
	commit_free_all(relay);
}

static void free_feeds(struct relay *relay)
{
	list_each_safe(node, after, &relay->feeds_by_name) {
		struct feed *feed = container_of(node, struct feed, by_name);
		list_each_safe(conn, next, &feed->connections)
			outbound_kill(container_of(conn, struct outbound, in_feed));
	}
}

static void free_domains(struct relay *relay)
{
	list_each_safe(node, after, &relay->domains_by_name)
		domain_free(container_of(node, struct domain, by_name));
	outside_deinit(relay);
	list_each_safe(feed, next, &relay->feeds_by_name)
		feed_free(container_of(feed, struct feed, by_name));
	list_each_safe(session, later, &relay->buried)
		outbound_unbury(container_of(session, struct outbound, in_feed));
}

void relay_free(struct relay *relay)
{
	if (relay == NULL)
		return;
	admin_cancel_all(relay);
	free_inbounds(relay);
	notify_free_all(relay);
	ending_free_all(relay);
	free_feeds(relay);
	free_domains(relay);
	check(relay->feeds.count == 0);
	map_deinit(&relay->domains);
	map_deinit(&relay->feeds);
	map_deinit(&relay->clients);
	map_deinit(&relay->committing);
	room_deinit(&relay->room);
	door_free_all(relay);
	door_memory_free(relay->door_memory);
	free(relay);
}

bool relay_ready(const struct relay *relay)
{
	return relay->ready;
}

void relay_accept(struct relay *relay, struct net_conn *conn)
{
	relay_enter(relay);
	inbound_new(relay, conn);
}

/* What a server has refused is tried early once, rather than late by the jump. */
static void release_all(struct relay *relay)
{
	relay->clock_put_back = false;
	list_each(node, &relay->domains_by_name)
		queue_release(container_of(node, struct domain, by_name));
}

void relay_run(struct relay *relay)
{
	relay_enter(relay);
	if (relay->clock_put_back)
		release_all(relay);
	timers_run(&relay->timers, relay->now.now_us);

	/* Feeds that are woken meanwhile come at the end; each is run at most once in this turn. */
	struct list turn, *node;
	list_init(&turn);
	for (int i = 0; i < RELAY_FEEDS_PER_TURN && (node = list_first(&relay->dispatch)) != NULL; i++) {
		list_remove(node);
		list_add_last(&turn, node);
	}
	while (!list_empty(&turn)) {
		struct feed *feed = container_of(list_first(&turn), struct feed, in_dispatch);
		list_remove(&feed->in_dispatch);
		feed_run(feed);
	}
}

int64_t relay_deadline(const struct relay *relay)
{
	if (!list_empty(&relay->dispatch))
		return relay->now.now_us;
	return timers_next(&relay->timers);
}

void relay_shut_down(struct relay *relay)
{
	relay_enter(relay);
	relay->shutting_down = true;
	in_session_hurry(relay);
	list_each_safe(node, after, &relay->inbounds) {
		struct inbound *in = container_of(node, struct inbound, in_relay);
		smtp_server_shut_down(in->server);
		door_hurry(in);
		inbound_run(in);
	}
	list_each(node, &relay->feeds_by_name) {
		struct feed *feed = container_of(node, struct feed, by_name);
		list_each_safe(idle, next, &feed->idle)
			outbound_quit(container_of(idle, struct outbound, in_idle));
	}
	if (relay->ready) {
		ends_save(relay);
		save_changes(relay);
	}
}

bool relay_quiet(const struct relay *relay)
{
	return relay->inbound_count == 0 && relay->outbound_count == 0 && relay->operations == 0;
}
