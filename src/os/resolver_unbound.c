#include "os/resolver_unbound.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unbound-event.h>
#include <unbound.h>

#include "base/check.h"
#include "os/dns_message.h"
#include "os/hosts.h"
#include "os/resolver_private.h"
#include "os/unbound_events.h"

enum {
	SUB_NAME_MAX = 253,
	LOCAL_TTL_S = 60, /* of what the hosts file says */
};

/* One question to libunbound. It lives until libunbound has answered, whatever became of the query. */
struct lookup {
	struct list node;
	struct resolver_unbound *resolver;
	struct resolver_query *query; /* or NULL: it was cancelled or has timed out */
	uint16_t type;
};

/* --- ends of queries ------------------------------------------------------------------------- */

static void forget_lookups(struct resolver_query *query)
{
	for (size_t i = 0; i < RESOLVER_LOOKUPS_MAX; i++) {
		if (query->lookups[i] != NULL)
			query->lookups[i]->query = NULL;
		query->lookups[i] = NULL;
	}
}

static void free_query(struct resolver_query *query)
{
	forget_lookups(query);
	list_remove(&query->node);
	heap_remove(&query->resolver->deadlines, &query->deadline);
	free(query);
}

static void answered(struct resolver_query *query)
{
	struct resolver_unbound *r = query->resolver;

	heap_remove(&r->deadlines, &query->deadline);
	list_remove(&query->node);
	list_add_last(&r->answered, &query->node);
	os_loop_defer(r->loop, &r->deliver);
}

static void tell(struct resolver_query *query)
{
	query->done(query->owner, &query->answer);
	free_query(query);
}

/* As many as wait now: what the answers cause to be answered at once comes in the next turn, unless another
 * one was cancelled meanwhile. */
static void deliver(struct os_task *task)
{
	struct resolver_unbound *r = container_of(task, struct resolver_unbound, deliver);
	size_t count = 0;

	list_each(node, &r->answered)
		count++;
	for (; count > 0 && !list_empty(&r->answered); count--)
		/* The analyzer does not see that free_query takes the node out of the list.
		 * NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
		tell(container_of(r->answered.next, struct resolver_query, node));
}

/* --- what libunbound says -------------------------------------------------------------------- */

static void one_answer(struct resolver_query *query, uint16_t type, const struct resolver_answer *found)
{
	check(query->pending > 0);
	resolver_store(query, type, found);
	if (--query->pending > 0)
		return;
	if (query->both)
		resolver_combine(query);
	answered(query);
}

static void free_lookup(struct lookup *lookup)
{
	if (lookup->query != NULL)
		for (size_t i = 0; i < RESOLVER_LOOKUPS_MAX; i++)
			if (lookup->query->lookups[i] == lookup)
				lookup->query->lookups[i] = NULL;
	list_remove(&lookup->node);
	free(lookup);
}

static void on_result(void *mine, int rcode, void *packet, int packet_size, int security, char *why_bogus,
		      int was_ratelimited)
{
	struct lookup *lookup = mine;
	struct resolver_query *query = lookup->query;
	uint16_t type = lookup->type;
	struct resolver_answer found;

	(void)was_ratelimited; /* it limits only what comes from outside */
	if (lookup->resolver->closing)
		return; /* resolver_unbound_free does the rest */
	free_lookup(lookup);
	if (query == NULL)
		return;
	struct slice bytes = slice_make(packet, packet_size > 0 ? (size_t)packet_size : 0);
	resolver_read(type, rcode, bytes, security, why_bogus, &found);
	one_answer(query, type, &found);
}

static void start_lookup(struct resolver_query *query, size_t place, const char *name, uint16_t type)
{
	struct resolver_unbound *r = query->resolver;
	struct lookup *lookup = calloc(1, sizeof(*lookup));
	struct resolver_answer found;

	if (lookup == NULL) {
		resolver_fail(&found, RESOLVER_FAILED, "out of memory");
		one_answer(query, type, &found);
		return;
	}
	lookup->resolver = r;
	lookup->query = query;
	lookup->type = type;
	list_add_last(&r->lookups, &lookup->node);
	query->lookups[place] = lookup;
	int error = ub_resolve_event(r->context, name, type, DNS_CLASS_IN, lookup, on_result, NULL);
	if (error == 0)
		return; /* and lookup may be gone: some answers come at once */
	free_lookup(lookup);
	if (error == UB_SYNTAX)
		resolver_fail(&found, RESOLVER_NXDOMAIN, "not a valid name");
	else
		resolver_fail(&found, RESOLVER_FAILED, ub_strerror(error));
	one_answer(query, type, &found);
}

/* --- time ------------------------------------------------------------------------------------ */

static void schedule(struct resolver_unbound *r);

static void on_timer(uv_timer_t *timer)
{
	struct resolver_unbound *r = timer->data;
	int64_t now = os_loop_clock(r->loop)->now_us;

	for (struct heap_node *first = heap_first(&r->deadlines); first != NULL && first->key <= now;
	     first = heap_first(&r->deadlines)) {
		struct resolver_query *query = container_of(first, struct resolver_query, deadline);
		forget_lookups(query);
		resolver_fail(&query->answer, RESOLVER_FAILED, "no answer from the name servers in time");
		answered(query);
	}
	schedule(r);
}

static void schedule(struct resolver_unbound *r)
{
	const struct heap_node *first = heap_first(&r->deadlines);
	int64_t now = os_loop_clock(r->loop)->now_us;

	if (first == NULL) {
		(void)uv_timer_stop(r->timer);
		return;
	}
	uint64_t wait_ms = first->key > now ? (uint64_t)(first->key - now + 1999) / 1000 : 0;
	(void)uv_timer_start(r->timer, on_timer, wait_ms, 0);
}

/* --- questions ------------------------------------------------------------------------------- */

static struct resolver_query *new_query(struct resolver_unbound *r,
					void (*done)(void *owner, const struct resolver_answer *answer),
					void *owner)
{
	struct resolver_query *query = calloc(1, sizeof(*query));

	if (query == NULL)
		return NULL;
	query->resolver = r;
	query->done = done;
	query->owner = owner;
	list_add_last(&r->queries, &query->node);
	int64_t at_us = os_loop_clock(r->loop)->now_us + CLOCK_MS(r->timeout_ms);
	heap_insert(&r->deadlines, &query->deadline, at_us);
	if (heap_first(&r->deadlines) == &query->deadline)
		schedule(r);
	return query;
}

/* False when libunbound need not even be asked. */
static bool is_name(struct slice text, char ret_name[SUB_NAME_MAX + 1])
{
	if (text.size > 0 && text.data[text.size - 1] == '.')
		text.size--;
	if (text.size == 0 || text.size > SUB_NAME_MAX || slice_find(text, '\0') < text.size)
		return false;
	(void)snprintf(ret_name, SUB_NAME_MAX + 1, "%.*s", SLICE_ARG(text));
	return true;
}

static struct resolver_query *ask_mx(struct resolver *port, struct slice domain,
				     void (*done)(void *owner, const struct resolver_answer *answer),
				     void *owner)
{
	struct resolver_unbound *r = container_of(port, struct resolver_unbound, port);
	struct resolver_query *query = new_query(r, done, owner);
	char name[SUB_NAME_MAX + 1];

	if (query == NULL)
		return NULL;
	if (!is_name(domain, name)) {
		resolver_fail(&query->answer, RESOLVER_NXDOMAIN, "not a valid name");
		answered(query);
		return query;
	}
	query->pending = 1;
	start_lookup(query, 0, name, DNS_TYPE_MX);
	return query;
}

static bool is_localhost(struct slice name)
{
	static const struct slice localhost = {.data = "localhost", .size = 9};

	if (name.size < localhost.size ||
	    !slice_equal_nocase(slice_from(name, name.size - localhost.size), localhost))
		return false;
	return name.size == localhost.size || name.data[name.size - localhost.size - 1] == '.';
}

/* What is known without DNS. */
static bool find_here(const struct resolver_unbound *r, struct slice host, struct resolver_answer *answer)
{
	static const struct net_address loopback[2] = {
	    {.family = 4, .bytes = {127, 0, 0, 1}},
	    {.family = 6, .bytes = {[15] = 1}},
	};

	if (net_address_parse(host, 0, &answer->address[0]) == 0) {
		answer->address_count = 1;
		answer->ttl_s = RESOLVER_POSITIVE_TTL_MAX_S;
		return true;
	}
	if (host.size > 0 && host.data[host.size - 1] == '.')
		host.size--;
	if (is_localhost(host)) {
		memcpy(answer->address, loopback, sizeof(loopback));
		answer->address_count = 2;
		answer->ttl_s = RESOLVER_POSITIVE_TTL_MAX_S;
		return true;
	}
	answer->address_count =
	    hosts_find(slice_make(r->hosts, r->hosts_size), host, answer->address, RESOLVER_ADDRESS_MAX);
	answer->ttl_s = LOCAL_TTL_S;
	return answer->address_count > 0;
}

static struct resolver_query *ask_address(struct resolver *port, struct slice host,
					  void (*done)(void *owner, const struct resolver_answer *answer),
					  void *owner)
{
	struct resolver_unbound *r = container_of(port, struct resolver_unbound, port);
	struct resolver_query *query = new_query(r, done, owner);
	char name[SUB_NAME_MAX + 1];

	if (query == NULL)
		return NULL;
	if (find_here(r, host, &query->answer)) {
		answered(query);
		return query;
	}
	if (!is_name(host, name)) {
		resolver_fail(&query->answer, RESOLVER_NXDOMAIN, "not a valid name");
		answered(query);
		return query;
	}
	query->both = true;
	query->pending = RESOLVER_LOOKUPS_MAX;
	start_lookup(query, 0, name, DNS_TYPE_AAAA);
	start_lookup(query, 1, name, DNS_TYPE_A);
	return query;
}

static void cancel(struct resolver *port, struct resolver_query *query)
{
	(void)port;
	free_query(query);
}

static const struct resolver_ops ops = {
    .mx = ask_mx,
    .address = ask_address,
    .cancel = cancel,
};

/* --- life ------------------------------------------------------------------------------------ */

static void on_timer_closed(uv_handle_t *handle)
{
	free(handle);
}

static void free_queries(struct list *queries)
{
	list_each_safe(node, after, queries)
		free_query(container_of(node, struct resolver_query, node));
}

void resolver_unbound_free(struct resolver_unbound *r)
{
	if (r == NULL)
		return;
	r->closing = true;
	ub_ctx_delete(r->context);
	unbound_events_free(r->events);
	os_task_cancel(&r->deliver);
	free_queries(&r->queries);
	free_queries(&r->answered);
	list_each_safe(node, after, &r->lookups)
		free_lookup(container_of(node, struct lookup, node));
	if (r->timer != NULL)
		uv_close((uv_handle_t *)r->timer, on_timer_closed);
	free(r->hosts);
	free(r);
}

struct resolver_unbound *resolver_unbound_new(struct os_loop *loop,
					      const struct resolver_unbound_options *options,
					      char ret_message[RESOLVER_UNBOUND_MESSAGE_SIZE])
{
	static const struct resolver_unbound_options defaults = {.forwarder = NULL};
	struct resolver_unbound *r = calloc(1, sizeof(*r));

	(void)snprintf(ret_message, RESOLVER_UNBOUND_MESSAGE_SIZE, "out of memory");
	if (r == NULL)
		return NULL;
	r->port.ops = &ops;
	r->loop = loop;
	r->deliver.run = deliver;
	list_init(&r->queries);
	list_init(&r->answered);
	list_init(&r->lookups);
	r->timer = calloc(1, sizeof(*r->timer));
	if (r->timer == NULL) {
		free(r);
		return NULL;
	}
	(void)uv_timer_init(os_loop_uv(loop), r->timer);
	r->timer->data = r;
	if (resolver_set_up(r, options != NULL ? options : &defaults, ret_message) != 0) {
		resolver_unbound_free(r);
		return NULL;
	}
	return r;
}

struct resolver *resolver_unbound_port(struct resolver_unbound *r)
{
	return &r->port;
}
