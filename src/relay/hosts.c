/* Names to targets: each host of a destination is looked up, kept as long as its answer lives, and used in
 * order of preference; addresses that failed come after their siblings for a while. */
#include "relay/feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

static bool is_own_address(const struct relay *relay, const struct net_address *address)
{
	for (size_t i = 0; i < relay->config.own_address_count; i++)
		if (net_address_equal(&relay->config.own_addresses[i], address))
			return true;
	return false;
}

static int64_t old_rest(const struct target *old, size_t count, const struct net_address *address)
{
	for (size_t i = 0; i < count; i++)
		if (net_address_equal(&old[i].address, address))
			return old[i].rest_until_us;
	return 0;
}

/* Sorted by preference, hosts of equal preference in the order of the destination. */
static void add_target(struct target *targets, size_t count, const struct target *target)
{
	size_t place = count;

	while (place > 0 && target->preference < targets[place - 1].preference) {
		targets[place] = targets[place - 1];
		place--;
	}
	targets[place] = *target;
}

/* Returns how many there are. */
static size_t list_targets(struct feed *feed, struct target ret_targets[FEED_TARGETS_MAX])
{
	const struct relay *relay = feed->relay;
	size_t count = 0;

	for (size_t i = 0; i < feed->destination->count; i++) {
		const struct kept_host *host = &feed->destination->hosts[i];
		struct host_lookup *lookup = &feed->lookups[i];
		for (size_t k = 0; k < lookup->count && count < FEED_TARGETS_MAX; k++) {
			struct target target = {.address = lookup->addresses[k],
						.preference = host->preference,
						.host = (uint8_t)i};
			target.address.port = host->port != 0 ? host->port : relay->config.smtp_port;
			if (is_own_address(relay, &target.address)) {
				(void)snprintf(lookup->failure, sizeof(lookup->failure),
					       "%.80s leads back to this relay", host->name);
				continue;
			}
			target.rest_until_us = old_rest(feed->targets, feed->target_count, &target.address);
			add_target(ret_targets, count++, &target);
		}
	}
	return count;
}

/* ERR_MEMORY: the targets are as they were. */
static int rebuild_targets(struct feed *feed)
{
	struct target targets[FEED_TARGETS_MAX];
	size_t count = list_targets(feed, targets);
	struct target *kept = NULL;

	if (count > 0) {
		kept = malloc(count * sizeof(struct target));
		if (kept == NULL)
			return ERR_MEMORY;
		memcpy(kept, targets, count * sizeof(struct target));
	}
	free(feed->targets);
	feed->targets = kept;
	feed->target_count = count;
	return 0;
}

void hosts_reorder(struct feed *feed)
{
	(void)rebuild_targets(feed); /* short of memory: the old order will do */
}

static void tell_lane_of_failure(struct feed *feed)
{
	char why[512];
	struct relay *relay = feed->relay;

	if (feed->target_count > 0 || feed->lookups_pending > 0)
		return;
	(void)snprintf(why, sizeof(why), "%s: %s", feed->destination->hosts[0].name,
		       feed->lookups[0].failure);
	if (lane_dns_failed(&feed->lane, slice_of(why), relay->now.now_us, relay->now.wall_ms))
		feed_changed(feed);
}

static int keep_addresses(struct host_lookup *lookup, const struct net_address *addresses, size_t count)
{
	struct net_address *kept = malloc(count * sizeof(struct net_address));

	if (kept == NULL)
		return ERR_MEMORY;
	memcpy(kept, addresses, count * sizeof(struct net_address));
	free(lookup->addresses);
	lookup->addresses = kept;
	lookup->count = count;
	return 0;
}

static void keep_answer(struct host_lookup *lookup, const struct resolver_answer *answer, int64_t now_us)
{
	uint32_t ttl_s = answer->ttl_s;

	if (ttl_s < ADDRESS_TTL_MIN_S)
		ttl_s = ADDRESS_TTL_MIN_S;
	if (ttl_s > ADDRESS_TTL_MAX_S)
		ttl_s = ADDRESS_TTL_MAX_S;
	lookup->good_until_us = now_us + CLOCK_SECONDS(ttl_s);
	lookup->refresh_us = now_us + CLOCK_SECONDS(ttl_s) / 10 * 9; /* a busy lane need not wait for it */
	lookup->last_good_us = now_us;
	lookup->failure[0] = '\0';
}

static void ask_again_soon(struct host_lookup *lookup, int64_t now_us)
{
	lookup->good_until_us = now_us + CLOCK_SECONDS(ADDRESS_RETRY_S);
	lookup->refresh_us = lookup->good_until_us;
}

static void keep_failure(struct host_lookup *lookup, const struct resolver_answer *answer, int64_t now_us)
{
	bool denied = answer->status != RESOLVER_FAILED; /* the name servers say that there is nothing */
	bool too_old = lookup->count > 0 && now_us - lookup->last_good_us > CLOCK_SECONDS(ADDRESS_STALE_S);

	if (denied || too_old)
		lookup->count = 0;
	ask_again_soon(lookup, now_us);
	static const char *const words[] = {
	    [RESOLVER_OK] = "no usable address",
	    [RESOLVER_NODATA] = "the name has no address",
	    [RESOLVER_NXDOMAIN] = "the name does not exist",
	    [RESOLVER_FAILED] = "the name cannot be looked up",
	};
	(void)snprintf(lookup->failure, sizeof(lookup->failure), "%s%s%.80s", words[answer->status],
		       answer->detail[0] != '\0' ? ": " : "", answer->detail);
}

/* Nothing is learnt about the server: what was known before is used, and asked again soon. */
static void no_memory(struct host_lookup *lookup)
{
	ask_again_soon(lookup, lookup->feed->relay->now.now_us);
	(void)snprintf(lookup->failure, sizeof(lookup->failure), "out of memory");
}

static void looked_up(void *owner, const struct resolver_answer *answer)
{
	struct host_lookup *lookup = owner;
	struct feed *feed = lookup->feed;
	struct relay *relay = feed->relay;

	relay_enter(relay);
	lookup->query = NULL;
	feed->lookups_pending--;
	bool found = answer->status == RESOLVER_OK && answer->address_count > 0;
	if (found && keep_addresses(lookup, answer->address, answer->address_count) != 0)
		no_memory(lookup);
	else if (found)
		keep_answer(lookup, answer, relay->now.now_us);
	else
		keep_failure(lookup, answer, relay->now.now_us);
	if (rebuild_targets(feed) != 0)
		no_memory(lookup);
	else
		tell_lane_of_failure(feed);
	feed_wake(feed);
}

static void look_up(struct feed *feed, struct host_lookup *lookup)
{
	struct relay *relay = feed->relay;
	const char *name = feed->destination->hosts[lookup->host].name;
	struct net_address literal;

	if (net_address_parse(slice_of(name), 0, &literal) == 0) {
		if (keep_addresses(lookup, &literal, 1) != 0 || rebuild_targets(feed) != 0)
			no_memory(lookup);
		else
			lookup->refresh_us = lookup->good_until_us = INT64_MAX;
		return;
	}
	lookup->query =
	    relay->ports.resolver->ops->address(relay->ports.resolver, slice_of(name), looked_up, lookup);
	lookup->asked_us = relay->now.now_us;
	if (lookup->query != NULL)
		feed->lookups_pending++;
	else
		ask_again_soon(lookup, relay->now.now_us);
}

/* What is known was good, and its time is over: the server may be elsewhere by now, and somebody else there.
 * The answer is worth a moment; while look-ups fail, nobody waits for them. */
static bool waits(const struct host_lookup *lookup, int64_t now_us)
{
	if (lookup->query == NULL || lookup->count == 0 || lookup->good_until_us > now_us)
		return false;
	bool too_old = now_us - lookup->last_good_us > CLOCK_SECONDS(ADDRESS_STALE_S);
	bool failing = lookup->failure[0] != '\0';

	return too_old || (!failing && now_us - lookup->asked_us < CLOCK_SECONDS(ADDRESS_WAIT_S));
}

bool hosts_ready(struct feed *feed)
{
	int64_t now_us = feed->relay->now.now_us;
	bool wait = false;

	for (size_t i = 0; i < feed->destination->count; i++) {
		struct host_lookup *lookup = &feed->lookups[i];
		if (lookup->query == NULL && lookup->refresh_us <= now_us)
			look_up(feed, lookup);
		wait = wait || waits(lookup, now_us);
	}
	tell_lane_of_failure(feed);
	return feed->target_count > 0 && !wait;
}

int hosts_pick(struct feed *feed, uint64_t tried)
{
	int64_t now_us = feed->relay->now.now_us;
	int best = -1;
	uint32_t equals = 0;

	/* Best: rested before resting, then preference; among equals each in its turn. */
	for (size_t i = 0; i < feed->target_count; i++) {
		if ((tried >> i & 1) != 0)
			continue;
		const struct target *t = &feed->targets[i];
		bool resting = t->rest_until_us > now_us;
		bool best_resting = best >= 0 && feed->targets[best].rest_until_us > now_us;
		bool better = best < 0 || (best_resting && !resting) ||
			      (resting == best_resting && t->preference < feed->targets[best].preference);
		bool equal =
		    !better && resting == best_resting && t->preference == feed->targets[best].preference;
		if (better)
			equals = 1;
		else if (equal)
			equals++;
		if (better || (equal && feed->rotation % equals == 0))
			best = (int)i;
	}
	feed->rotation++;
	return best;
}

static void set_rest(struct feed *feed, const struct target *target, int64_t until_us)
{
	for (size_t i = 0; i < feed->target_count; i++)
		if (net_address_equal(&feed->targets[i].address, &target->address))
			feed->targets[i].rest_until_us = until_us;
}

void hosts_failed(struct feed *feed, const struct target *target)
{
	set_rest(feed, target, feed->relay->now.now_us + CLOCK_SECONDS(TARGET_REST_S));
}

void hosts_worked(struct feed *feed, const struct target *target)
{
	set_rest(feed, target, 0);
}

void hosts_cancel(struct feed *feed)
{
	struct resolver *resolver = feed->relay->ports.resolver;

	for (size_t i = 0; i < feed->destination->count; i++) {
		if (feed->lookups[i].query == NULL)
			continue;
		resolver->ops->cancel(resolver, feed->lookups[i].query);
		feed->lookups[i].query = NULL;
	}
}
