#include "sim/resolver.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/list.h"

struct resolver_query {
	struct list node;
	struct sim_resolver *resolver;
	char name[RESOLVER_NAME_MAX + 1];
	bool mx;
	void (*done)(void *owner, const struct resolver_answer *answer);
	void *owner;
	struct sim_event answer;
};

static struct sim_name *lookup(struct sim_resolver *resolver, struct slice name)
{
	for (size_t i = 0; i < resolver->count; i++)
		if (slice_equal_nocase(slice_of(resolver->names[i].name), name))
			return &resolver->names[i];
	return NULL;
}

static void fill_records(const struct sim_name *name, bool mx, struct resolver_answer *answer)
{
	size_t count = mx ? name->mx_count : name->address_count;

	answer->status = name->status;
	if (name->status != RESOLVER_OK)
		return;
	if (count == 0)
		answer->status = RESOLVER_NODATA;
	for (size_t i = 0; mx && i < count; i++)
		answer->mx[answer->mx_count++] = name->mx[i];
	for (size_t i = 0; !mx && i < count; i++)
		answer->address[answer->address_count++] = name->address[i];
}

static void fill(struct resolver_query *query, struct resolver_answer *answer)
{
	struct sim_resolver *resolver = query->resolver;
	const struct sim_name *name = lookup(resolver, slice_of(query->name));

	answer->ttl_s = SIM_TTL_S;
	if (resolver->dead || sim_chance(resolver->world, resolver->fails))
		answer->status = RESOLVER_FAILED;
	else if (name == NULL)
		answer->status = RESOLVER_NXDOMAIN;
	else
		fill_records(name, query->mx, answer);
	if (answer->status != RESOLVER_FAILED)
		return;
	answer->ttl_s = 0;
	(void)snprintf(answer->detail, sizeof(answer->detail), "SERVFAIL");
}

static void release(struct resolver_query *query)
{
	sim_cancel(query->resolver->world, &query->answer);
	list_remove(&query->node);
	free(query);
}

static void fire_answer(void *owner)
{
	static const char *const status[] = {"ok", "nodata", "nxdomain", "failed"};
	struct resolver_query *query = owner;
	struct resolver_answer answer = {.status = RESOLVER_OK};

	fill(query, &answer);
	sim_note(query->resolver->world, "dns: %s %s: %s", query->mx ? "MX" : "A", query->name,
		 status[answer.status]);
	void (*done)(void *, const struct resolver_answer *) = query->done;
	void *done_owner = query->owner;
	release(query);
	done(done_owner, &answer);
}

static int64_t draw_delay(struct sim_resolver *resolver)
{
	if (resolver->dead)
		return CLOCK_SECONDS(5);
	if (sim_chance(resolver->world, resolver->slow))
		return sim_between(resolver->world, 1000, CLOCK_SECONDS(20));
	return sim_between(resolver->world, resolver->delay_low_us, resolver->delay_high_us);
}

static struct resolver_query *ask(struct resolver *port, struct slice name, bool mx,
				  void (*done)(void *owner, const struct resolver_answer *answer),
				  void *owner)
{
	struct sim_resolver *resolver = container_of(port, struct sim_resolver, port);
	struct resolver_query *query = sim_alloc(sizeof(struct resolver_query));

	*query = (struct resolver_query){.resolver = resolver, .mx = mx, .done = done, .owner = owner};
	(void)snprintf(query->name, sizeof(query->name), "%.*s", SLICE_ARG(name));
	sim_event_init(&query->answer, fire_answer, query);
	sim_after(resolver->world, &query->answer, draw_delay(resolver));
	list_add_last(&resolver->queries, &query->node);
	resolver->asked++;
	return query;
}

static struct resolver_query *ask_mx(struct resolver *port, struct slice domain,
				     void (*done)(void *owner, const struct resolver_answer *answer),
				     void *owner)
{
	return ask(port, domain, true, done, owner);
}

static struct resolver_query *ask_address(struct resolver *port, struct slice host,
					  void (*done)(void *owner, const struct resolver_answer *answer),
					  void *owner)
{
	return ask(port, host, false, done, owner);
}

static void cancel(struct resolver *port, struct resolver_query *query)
{
	release(query);
}

void sim_resolver_init(struct sim_resolver *resolver, struct sim_world *world)
{
	static const struct resolver_ops ops = {.mx = ask_mx, .address = ask_address, .cancel = cancel};

	*resolver = (struct sim_resolver){
	    .port.ops = &ops, .world = world, .delay_low_us = 100, .delay_high_us = 30000};
	list_init(&resolver->queries);
}

void sim_resolver_forget(struct sim_resolver *resolver)
{
	list_each_safe(node, after, &resolver->queries)
		release(container_of(node, struct resolver_query, node));
}

size_t sim_resolver_open(const struct sim_resolver *resolver)
{
	size_t count = 0;

	list_each(node, &resolver->queries)
		count++;
	return count;
}

struct sim_name *sim_name(struct sim_resolver *resolver, struct slice name)
{
	struct sim_name *found = lookup(resolver, name);

	if (found != NULL)
		return found;
	check(resolver->count < SIM_NAMES_MAX);
	found = &resolver->names[resolver->count++];
	*found = (struct sim_name){.status = RESOLVER_OK};
	(void)snprintf(found->name, sizeof(found->name), "%.*s", SLICE_ARG(name));
	return found;
}

void sim_name_mx(struct sim_resolver *resolver, struct slice name, uint16_t preference, struct slice host)
{
	struct sim_name *entry = sim_name(resolver, name);
	size_t i = entry->mx_count++;

	check(i < SIM_RECORDS_MAX);
	for (; i > 0 && entry->mx[i - 1].preference > preference; i--)
		entry->mx[i] = entry->mx[i - 1];
	entry->mx[i] = (struct resolver_mx){.preference = preference};
	(void)snprintf(entry->mx[i].host, sizeof(entry->mx[i].host), "%.*s", SLICE_ARG(host));
}

void sim_name_address(struct sim_resolver *resolver, struct slice name, const struct net_address *address)
{
	struct sim_name *entry = sim_name(resolver, name);

	check(entry->address_count < SIM_RECORDS_MAX);
	entry->address[entry->address_count++] = *address;
}

void sim_name_clear(struct sim_resolver *resolver, struct slice name)
{
	struct sim_name *entry = sim_name(resolver, name);

	entry->status = RESOLVER_OK;
	entry->mx_count = 0;
	entry->address_count = 0;
}
