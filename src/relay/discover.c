#include "relay/discover.h"

#include <stdio.h>
#include <string.h>

static bool is_us(const struct relay *relay, const char *host)
{
	return slice_equal_nocase(slice_of(host), slice_of(relay->config.hostname));
}

/* Hosts of equal preference in the order of their names: name servers shuffle them. */
static bool comes_before(const struct host *a, const struct host *b)
{
	return a->preference < b->preference ||
	       (a->preference == b->preference && strcmp(a->name, b->name) < 0);
}

static void add_host(struct destination *destination, const char *name, uint16_t preference)
{
	struct host host = {.preference = preference};
	size_t place = destination->count++;

	(void)snprintf(host.name, sizeof(host.name), "%s", name);
	while (place > 0 && comes_before(&host, &destination->hosts[place - 1])) {
		destination->hosts[place] = destination->hosts[place - 1];
		place--;
	}
	destination->hosts[place] = host;
}

/* The smallest preference value among the records that are us; -1: none is. */
static int our_preference(const struct relay *relay, const struct resolver_answer *answer)
{
	int ours = -1;

	for (size_t i = 0; i < answer->mx_count; i++)
		if (is_us(relay, answer->mx[i].host) && (ours < 0 || answer->mx[i].preference < ours))
			ours = answer->mx[i].preference;
	return ours;
}

enum side { BEFORE_US, BEHIND_US, ANY_SIDE };

static void add_side(const struct relay *relay, const struct resolver_answer *answer, int ours,
		     enum side side, struct destination *destination)
{
	for (size_t i = 0; i < answer->mx_count && destination->count < RELAY_HOSTS_MAX; i++) {
		const struct resolver_mx *mx = &answer->mx[i];
		bool right_side =
		    side == ANY_SIDE || (side == BEFORE_US ? mx->preference < ours : mx->preference > ours);
		if (right_side && mx->host[0] != '\0' && !is_us(relay, mx->host))
			add_host(destination, mx->host, mx->preference);
	}
}

void discover_beyond_us(const struct relay *relay, const char *domain, const struct resolver_answer *answer,
			struct destination *ret_destination)
{
	int ours = our_preference(relay, answer);

	ret_destination->count = 0;
	if (answer->mx_count == 0) {
		if (answer->status == RESOLVER_NODATA && !is_us(relay, domain))
			add_host(ret_destination, domain, 0);
		return;
	}
	add_side(relay, answer, ours, ours < 0 ? ANY_SIDE : BEFORE_US, ret_destination);
	if (ours >= 0 && ret_destination->count == 0)
		add_side(relay, answer, ours, BEHIND_US, ret_destination);
}

static bool is_null_mx(const struct resolver_answer *answer)
{
	return answer->mx_count == 1 && answer->mx[0].host[0] == '\0';
}

static const char *why_none(const struct resolver_answer *answer)
{
	if (is_null_mx(answer))
		return "the domain's MX says that it takes no mail (null MX, RFC 7505)";
	switch (answer->status) {
	case RESOLVER_OK:
		return "the domain's MX names no server but this relay: name its server with `restante "
		       "domain set`";
	case RESOLVER_NODATA:
		return "the domain has no MX record";
	case RESOLVER_NXDOMAIN:
		return "the domain does not exist in the DNS";
	case RESOLVER_FAILED:
		return "the domain's MX cannot be looked up";
	}
	return "";
}

static int64_t next_look_us(const struct domain *domain, const struct resolver_answer *answer)
{
	uint32_t ttl_s = answer->ttl_s;

	if (domain->destination == NULL || answer->status != RESOLVER_OK)
		ttl_s = DISCOVER_RETRY_S;
	if (ttl_s < DISCOVER_TTL_MIN_S)
		ttl_s = DISCOVER_TTL_MIN_S;
	if (ttl_s > DISCOVER_TTL_MAX_S)
		ttl_s = DISCOVER_TTL_MAX_S;
	return domain->relay->now.now_us + CLOCK_SECONDS(ttl_s);
}

/* ERR_MEMORY: the domain is as it was. */
static int use(struct domain *domain, const struct destination *found, const char *why_none)
{
	struct destination known;

	destination_of(domain->destination, &known);
	bool same = domain->feed != NULL && destination_equal(found, &known);
	if (same || (found->count == 0 && known.count > 0))
		return 0;
	int error = domain_set_destination(domain, found, slice_of(found->count > 0 ? "" : why_none));
	if (error == 0 && found->count > 0)
		domain->destination_changed = true;
	return error;
}

static void looked_up(void *owner, const struct resolver_answer *answer)
{
	struct domain *domain = owner;
	struct relay *relay = domain->relay;
	struct destination found;

	relay_enter(relay);
	domain->mx_query = NULL;
	discover_beyond_us(relay, domain->name, answer, &found);
	if (use(domain, &found, why_none(answer)) != 0) {
		timer_set(&relay->timers, &domain->mx_timer,
			  relay->now.now_us + CLOCK_SECONDS(DISCOVER_MEMORY_S));
		return;
	}
	/* A set that names nobody but us keeps the servers learnt before: this is how it looks once the MX
	 * points here. */
	timer_set(&relay->timers, &domain->mx_timer, next_look_us(domain, answer));
	domain_discovered(domain);
}

static void look(struct domain *domain)
{
	struct relay *relay = domain->relay;

	if (domain->mx_query != NULL)
		return;
	domain->mx_query =
	    relay->ports.resolver->ops->mx(relay->ports.resolver, slice_of(domain->name), looked_up, domain);
	if (domain->mx_query == NULL)
		timer_set(&relay->timers, &domain->mx_timer,
			  relay->now.now_us + CLOCK_SECONDS(DISCOVER_RETRY_S));
}

static void timer_fired(struct timer *timer)
{
	look(container_of(timer, struct domain, mx_timer));
}

void discover_start(struct domain *domain)
{
	domain->mx_timer.fire = timer_fired;
	look(domain);
}

void discover_stop(struct domain *domain)
{
	struct resolver *resolver = domain->relay->ports.resolver;

	timer_clear(&domain->relay->timers, &domain->mx_timer);
	if (domain->mx_query != NULL)
		resolver->ops->cancel(resolver, domain->mx_query);
	domain->mx_query = NULL;
}
