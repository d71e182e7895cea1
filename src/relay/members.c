#include "relay/members.h"

#include "relay/feed.h"
#include "relay/trust.h"

void members_init(struct members *members)
{
	*members = (struct members){.ready = 0};
	list_init(&members->woken);
	list_init(&members->hungry);
	list_init(&members->canaries);
	list_init(&members->holding);
}

static void put(struct list *list, struct list *node, bool in)
{
	if (!in)
		list_remove(node);
	else if (!list_linked(node))
		list_add_last(list, node);
}

static void put_canary(struct domain *domain, bool in)
{
	struct members *members = &domain->feed->members;
	bool was = list_linked(&domain->in_canaries);

	put(&members->canaries, &domain->in_canaries, in);
	members->canary_count += (uint32_t)in - (uint32_t)was;
}

void members_join(struct domain *domain)
{
	members_wake(domain);
	members_holds(domain);
}

void members_leave(struct domain *domain)
{
	members_count(domain, 0, 0);
	put_canary(domain, false);
	list_remove(&domain->woken);
	list_remove(&domain->hungry);
	list_remove(&domain->in_holding);
}

void members_wake(struct domain *domain)
{
	put(&domain->feed->members.woken, &domain->woken, true);
}

void members_holds(struct domain *domain)
{
	if (domain->feed != NULL)
		put(&domain->feed->members.holding, &domain->in_holding, true);
}

void members_count(struct domain *domain, uint32_t ready, uint32_t reading)
{
	struct members *members = &domain->feed->members;

	members->ready += ready - domain->ready_told;
	members->reading += reading - domain->reading_told;
	domain->ready_told = ready;
	domain->reading_told = reading;
}

/* --- who may do what --- */

static void look_at(struct domain *domain)
{
	struct feed *feed = domain->feed;

	queue_tell(domain);
	put(&feed->members.hungry, &domain->hungry, feed_flows(domain) && queue_wants_reading(domain));
	put_canary(domain, trust_probes(domain) && domain->queue.probe != NULL);
	trust_look(domain);
}

bool members_look(struct feed *feed)
{
	struct members *members = &feed->members;
	struct list *node;

	for (uint32_t i = 0; i < FEED_LOOKS_MAX && (node = list_first(&members->woken)) != NULL; i++) {
		list_remove(node);
		look_at(container_of(node, struct domain, woken));
		members->looks++;
	}
	return list_empty(&members->woken);
}

void members_feed(struct feed *feed)
{
	struct members *members = &feed->members;
	struct list *node;

	while (members->ready + QUEUE_PAGE * members->reading < FEED_READ_AHEAD &&
	       (node = list_first(&members->hungry)) != NULL) {
		list_remove(node);
		queue_fill(container_of(node, struct domain, hungry));
		members->looks++;
	}
}

uint32_t members_ready(const struct feed *feed)
{
	return feed->members.ready + feed->members.canary_count;
}

/* --- probes of refusing and doubted domains --- */

static struct item *probe_item(struct domain *domain)
{
	if (!trust_probes(domain))
		return NULL;
	struct item *item = queue_take_probe(domain);
	if (item != NULL)
		trust_probe_out(domain, item);
	return item;
}

struct item *members_canary(struct feed *feed)
{
	struct list *node;

	while ((node = list_first(&feed->members.canaries)) != NULL) {
		struct domain *domain = container_of(node, struct domain, in_canaries);
		put_canary(domain, false);
		feed->members.looks++;
		struct item *item = probe_item(domain);
		if (item != NULL) {
			feed->members.canary_last = true;
			return item;
		}
	}
	return NULL;
}

/* By turns: thousands that refuse must not keep their neighbours waiting, nor the other way round. */
bool members_canary_next(const struct feed *feed, bool others_ready)
{
	return feed->members.canary_count > 0 && !(feed->members.canary_last && others_ready);
}

/* --- the canary of a lane that is down --- */

struct domain *members_probe(struct feed *feed)
{
	struct list *node;

	while ((node = list_first(&feed->members.holding)) != NULL) {
		struct domain *domain = container_of(node, struct domain, in_holding);
		feed->members.looks++;
		if (feed_may_probe(domain) && feed_holds_mail(domain))
			return domain;
		list_remove(node); /* mail that arrives, or a change of its flow, brings it back */
	}
	return NULL;
}

void members_probed(struct domain *domain)
{
	list_remove(&domain->in_holding);
	members_holds(domain);
}
