#include "relay/domains.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "proto/idn.h"
#include "relay/discover.h"
#include "relay/door.h"
#include "relay/feed.h"
#include "relay/known.h"
#include "relay/save.h"
#include "relay/trust.h"

enum { FLOW_LOOK_AGAIN_MS = 1000 };

static void lower(char *text)
{
	for (; *text != '\0'; text++)
		if (*text >= 'A' && *text <= 'Z')
			*text = (char)(*text - 'A' + 'a');
}

static struct domain *find_in(const struct map *map, struct slice name)
{
	char key[IDN_NAME_SIZE];

	if (name.size > 0 && name.data[name.size - 1] == '.')
		name.size--;
	if (idn_to_ascii(name, key) != 0)
		return NULL;
	lower(key);
	struct map_node *node = map_find(map, slice_of(key));
	return node != NULL ? container_of(node, struct domain, node) : NULL;
}

struct domain *domain_find(const struct relay *relay, struct slice name)
{
	return find_in(&relay->domains, name);
}

struct domain *domain_find_outside(const struct relay *relay, struct slice name)
{
	return find_in(&relay->outside.domains, name);
}

/* Keys sort as the numbers do. */
static void number_to_key(uint32_t number, uint8_t *ret_key)
{
	for (int i = 0; i < 4; i++)
		ret_key[i] = (uint8_t)(number >> (24 - 8 * i));
}

struct domain *domain_by_number(const struct relay *relay, uint32_t number)
{
	uint8_t key[sizeof(((struct domain *)NULL)->number_key)];

	number_to_key(number, key);
	struct tree_node *node = tree_find(&relay->domain_numbers, slice_make(key, sizeof(key)));
	return node != NULL ? container_of(node, struct domain, number_order) : NULL;
}

struct domain *domain_oldest(const struct relay *relay)
{
	struct slice after = {.data = NULL, .size = 0};
	struct tree_node *node;

	while ((node = tree_after(&relay->domain_numbers, after)) != NULL) {
		struct domain *domain = container_of(node, struct domain, number_order);
		if (domain->outside == NULL && domain_takes_mail(domain))
			return domain;
		after = node->key;
	}
	return NULL;
}

static void order_by_number(struct domain *domain)
{
	number_to_key(domain->number, domain->number_key);
	struct slice key = slice_make(domain->number_key, sizeof(domain->number_key));
	tree_insert(&domain->relay->domain_numbers, &domain->number_order, key, domain->node.hash);
}

void domain_set_number(struct domain *domain, uint32_t number)
{
	tree_remove(&domain->relay->domain_numbers, &domain->number_order);
	domain->number = number;
	order_by_number(domain);
}

uint32_t domain_new_number(struct relay *relay)
{
	struct store *store = relay->ports.store;
	struct store_counts held;
	uint32_t number;

	do {
		number = relay->next_domain_number++;
		store->ops->count(store, number, &held);
	} while (held.messages > 0);
	save_number(relay, number);
	return number;
}

static void flow_timer_fired(struct timer *timer)
{
	struct domain *domain = container_of(timer, struct domain, flow_timer);
	struct clock_reading now = domain->relay->now;

	domain_flow_was(domain, domain_tick(&domain->flow, now.now_us, now.wall_ms));
	domain_wake(domain);
}

static void use_destination(struct domain *domain, const struct destination *destination, struct slice why);

static void destination_timer_fired(struct timer *timer)
{
	struct domain *domain = container_of(timer, struct domain, destination_timer);
	struct destination destination;

	destination_of(domain->destination, &destination);
	use_destination(domain, &destination, SLICE("short of memory"));
}

static void insert_by_name(struct relay *relay, struct domain *domain)
{
	struct tree_node *next = tree_after(&relay->domain_names, slice_of(domain->name));
	struct list *place =
	    next != NULL ? &container_of(next, struct domain, name_order)->by_name : &relay->domains_by_name;

	list_add_before(place, &domain->by_name);
	tree_insert(&relay->domain_names, &domain->name_order, slice_of(domain->name), domain->node.hash);
}

static struct domain *make(struct relay *relay, struct slice name, uint32_t number, struct map *map)
{
	struct domain *domain = calloc(1, sizeof(*domain) + name.size + 1);

	if (domain == NULL)
		return NULL;
	check(name.size <= RELAY_DOMAIN_NAME_MAX);
	domain->relay = relay;
	domain->number = number;
	domain->added_ms = relay->now.wall_ms;
	domain->hold_ms = relay->config.hold_ms;
	domain->share_percent = SHARE_PERCENT;
	(void)snprintf(domain->name, name.size + 1, "%.*s", SLICE_ARG(name));
	lower(domain->name);
	if (map_insert(map, &domain->node, slice_of(domain->name)) != 0) {
		free(domain);
		return NULL;
	}
	list_init(&domain->callouts);
	list_init(&domain->visits);
	order_by_number(domain);
	domain_flow_init(&domain->flow, relay->now.wall_ms);
	domain->flow_timer.fire = flow_timer_fired;
	domain->destination_timer.fire = destination_timer_fired;
	queue_init(&domain->queue, domain,
		   relay->ports.store->ops->next_id(relay->ports.store, relay->now.wall_ms));
	return domain;
}

struct domain *domain_new(struct relay *relay, struct slice name, uint32_t number)
{
	struct domain *domain = make(relay, name, number, &relay->domains);

	if (domain != NULL)
		insert_by_name(relay, domain);
	return domain;
}

struct domain *domain_new_outside(struct relay *relay, struct slice name, uint32_t number,
				  struct outside *outside)
{
	struct domain *domain = make(relay, name, number, &relay->outside.domains);

	if (domain != NULL)
		domain->outside = outside;
	return domain;
}

/* Out of the lists that it is in. */
static void unlist(struct domain *domain)
{
	struct relay *relay = domain->relay;

	tree_remove(&relay->domain_numbers, &domain->number_order);
	if (domain->outside != NULL) {
		map_remove(&relay->outside.domains, &domain->node);
		list_remove(&domain->outside->in_list);
		return;
	}
	tree_remove(&relay->domain_names, &domain->name_order);
	map_remove(&relay->domains, &domain->node);
	list_remove(&domain->by_name);
}

void domain_free(struct domain *domain)
{
	struct relay *relay = domain->relay;

	survey_forget_domain(domain);
	discover_stop(domain);
	door_domain_gone(domain);
	trust_cancel(domain);
	relay->room.domains_refused -= domain->share_used_up;
	if (domain->feed != NULL)
		feed_leave(domain->feed, domain);
	timer_clear(&relay->timers, &domain->flow_timer);
	timer_clear(&relay->timers, &domain->destination_timer);
	queue_deinit(&domain->queue);
	unlist(domain);
	free(domain->outside);
	free(domain->destination);
	known_free(domain->known);
	free(domain);
}

static int parse_port(struct slice text, uint16_t *ret_port)
{
	uint64_t port;

	if (slice_to_u64(text, &port) != 0 || port < 1 || port > 65535)
		return ERR_SYNTAX;
	*ret_port = (uint16_t)port;
	return 0;
}

static bool valid_host_name(struct slice name)
{
	if (name.size == 0 || name.size > RESOLVER_NAME_MAX || name.data[0] == '.' || name.data[0] == '-')
		return false;
	for (size_t i = 0; i < name.size; i++) {
		char c = name.data[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		bool digit = c >= '0' && c <= '9';
		if (!letter && !digit && c != '.' && c != '-' && c != '_')
			return false;
		if (c == '.' && i > 0 && name.data[i - 1] == '.')
			return false;
	}
	return true;
}

int host_parse(struct slice text, struct host *ret_host)
{
	struct host host = {.port = 0};
	struct net_address literal;

	text = slice_trim(text);
	size_t colon = slice_find_last(text, ':');
	bool bracketed = text.size > 0 && text.data[0] == '[';
	bool several_colons = colon < text.size && slice_find(text, ':') != colon;
	size_t bracket = slice_find(text, ']');
	/* "2001:db8::1" without brackets is an address, not a host with a port. */
	bool has_port = colon < text.size && (bracketed ? colon == bracket + 1 : !several_colons);

	struct slice name = has_port ? slice_upto(text, colon) : text;
	if (has_port && parse_port(slice_from(text, colon + 1), &host.port) != 0)
		return ERR_SYNTAX;
	if (net_address_parse(name, 0, &literal) == 0) {
		(void)net_address_host(&literal, host.name);
	} else {
		if (name.size > 0 && name.data[name.size - 1] == '.')
			name.size--;
		if (idn_to_ascii(name, host.name) != 0 || !valid_host_name(slice_of(host.name)))
			return ERR_SYNTAX;
		lower(host.name);
	}
	*ret_host = host;
	return 0;
}

void destination_format(const struct destination *destination, char *ret_text, size_t size)
{
	size_t used = 0;

	ret_text[0] = '\0';
	for (size_t i = 0; i < destination->count && used < size; i++) {
		const struct host *host = &destination->hosts[i];
		bool v6 = strchr(host->name, ':') != NULL;
		int length = snprintf(ret_text + used, size - used, "%s%s%s%s", i > 0 ? ", " : "",
				      v6 ? "[" : "", host->name, v6 ? "]" : "");
		used += (size_t)length;
		if (host->port != 0 && used < size)
			used += (size_t)snprintf(ret_text + used, size - used, ":%u", host->port);
	}
}

bool destination_equal(const struct destination *a, const struct destination *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->hosts[i].name, b->hosts[i].name) != 0 || a->hosts[i].port != b->hosts[i].port ||
		    a->hosts[i].preference != b->hosts[i].preference)
			return false;
	return true;
}

struct kept_destination *destination_keep(const struct destination *destination)
{
	size_t names_at = sizeof(struct kept_destination) + destination->count * sizeof(struct kept_host);
	size_t bytes = names_at;

	for (size_t i = 0; i < destination->count; i++)
		bytes += strlen(destination->hosts[i].name) + 1;
	char *memory = malloc(bytes);
	if (memory == NULL)
		return NULL;
	struct kept_destination *kept = (struct kept_destination *)(void *)memory;
	char *name = memory + names_at;
	kept->count = destination->count;
	for (size_t i = 0; i < destination->count; i++) {
		const struct host *host = &destination->hosts[i];
		size_t size = strlen(host->name) + 1;
		memcpy(name, host->name, size);
		kept->hosts[i] =
		    (struct kept_host){.name = name, .port = host->port, .preference = host->preference};
		name += size;
	}
	return kept;
}

void destination_of(const struct kept_destination *kept, struct destination *ret_destination)
{
	ret_destination->count = kept != NULL ? kept->count : 0;
	for (size_t i = 0; i < ret_destination->count; i++) {
		struct host *host = &ret_destination->hosts[i];
		host->port = kept->hosts[i].port;
		host->preference = kept->hosts[i].preference;
		(void)snprintf(host->name, sizeof(host->name), "%s", kept->hosts[i].name);
	}
}

static void use_destination(struct domain *domain, const struct destination *destination, struct slice why)
{
	struct relay *relay = domain->relay;
	struct feed *feed = destination->count > 0 ? feed_for(relay, destination) : NULL;

	if (feed != NULL && feed == domain->feed && feed->domain_count == 1)
		feed_prefer(feed, destination);
	if (feed != domain->feed || feed == NULL) {
		queue_drop(domain);
		if (domain->feed != NULL)
			feed_leave(domain->feed, domain);
		if (feed != NULL)
			feed_join(feed, domain);
		trust_grace(domain);
	}
	bool changed = domain_destination(&domain->flow, feed != NULL, why, relay->now.wall_ms);
	if (!changed)
		queue_restart(domain, false);
	domain_flow_was(domain, changed);
	domain_wake(domain);
	bool no_memory = destination->count > 0 && feed == NULL;
	timer_set(&relay->timers, &domain->destination_timer,
		  no_memory ? relay->now.now_us + CLOCK_SECONDS(1) : CLOCK_NEVER);
}

int domain_set_destination(struct domain *domain, const struct destination *destination, struct slice why)
{
	struct kept_destination *kept = destination->count > 0 ? destination_keep(destination) : NULL;

	if (kept == NULL && destination->count > 0)
		return ERR_MEMORY;
	free(domain->destination);
	domain->destination = kept;
	use_destination(domain, destination, why);
	return 0;
}

bool domain_takes_mail(const struct domain *domain)
{
	return !domain->removing && !domain->damaged;
}

static void log_flow(const struct domain *domain)
{
	static const char *const sentence[] = {
	    [DOMAIN_OPEN] = "mail of this domain flows",
	    [DOMAIN_REFUSING] =
		"the server refuses valid mail of this domain: it is held, one message is tried each 15 s",
	    [DOMAIN_PAUSED] = "mail of this domain is held by hand",
	    [DOMAIN_WAITING] = "no server is known for this domain: its mail is held",
	};
	enum log_level level = domain->flow.state == DOMAIN_REFUSING ? LOG_LEVEL_ALARM : LOG_LEVEL_INFO;

	log_event(domain->relay->ports.log, level, "domain", 0, sentence[domain->flow.state],
		  LOG_TEXT("domain", slice_of(domain->name)),
		  LOG_TEXT("state", slice_of(domain_state_name(domain->flow.state))),
		  LOG_TEXT("reason", slice_of(domain->flow.reason)));
}

void domain_flow_was(struct domain *domain, bool changed)
{
	struct relay *relay = domain->relay;

	if (changed) {
		domain->flow_changed = true;
		log_flow(domain);
		members_holds(domain);
		if (domain->flow.state == DOMAIN_OPEN)
			queue_restart(domain, true);
		else
			queue_drop(domain);
		domain_wake(domain);
	}
	/* What is due but cannot be done now (a canary while the lane is down) is looked at again in a while.
	 */
	int64_t deadline_us = domain_deadline(&domain->flow, relay->now.now_us, relay->now.wall_ms);
	int64_t trust_us = trust_deadline(domain);
	if (trust_us < deadline_us)
		deadline_us = trust_us;
	if (deadline_us <= relay->now.now_us)
		deadline_us = relay->now.now_us + CLOCK_MS(FLOW_LOOK_AGAIN_MS);
	timer_set(&relay->timers, &domain->flow_timer, deadline_us);
}

void domain_discovered(struct domain *domain)
{
	void (*discovered)(void *, struct domain *) = domain->discovered;

	domain->discovered = NULL;
	if (discovered != NULL)
		discovered(domain->discovered_owner, domain);
}

void domain_wake(struct domain *domain)
{
	if (domain->feed == NULL)
		return;
	members_wake(domain);
	feed_wake(domain->feed);
}
