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
	LOOKUPS_MAX = 2, /* of one query: AAAA and A */
	RCODE_SERVFAIL = 2,
	RCODE_NXDOMAIN = 3,
	UB_BOGUS = 1, /* of unbound-event.h's callback */
	UB_SECURE = 2,
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

struct resolver_query {
	struct list node; /* in resolver->queries or resolver->answered */
	struct heap_node deadline;
	struct resolver_unbound *resolver;
	void (*done)(void *owner, const struct resolver_answer *answer);
	void *owner;
	unsigned pending; /* lookups without an answer */
	struct lookup *lookups[LOOKUPS_MAX];
	struct resolver_answer answer;	/* of MX; of AAAA; then of all */
	enum resolver_status v4_status; /* what A came to */
	uint32_t v4_ttl_s;
	bool v4_secure;
	size_t v4_count;
	struct net_address v4[RESOLVER_ADDRESS_MAX];
	char v4_detail[sizeof(((struct resolver_answer *)0)->detail)];
	bool both; /* a query for addresses */
};

/* --- ends of queries ------------------------------------------------------------------------- */

static void forget_lookups(struct resolver_query *query)
{
	for (size_t i = 0; i < LOOKUPS_MAX; i++) {
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

	list_each(node, &r->answered) count++;
	for (; count > 0 && !list_empty(&r->answered); count--)
		/* The analyzer does not see that free_query takes the node out of the list.
		 * NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
		tell(container_of(r->answered.next, struct resolver_query, node));
}

/* --- combining A and AAAA -------------------------------------------------------------------- */

/* IPv6 first, and when there are too many, each family gets its half. */
static void combine_addresses(struct resolver_query *query)
{
	struct resolver_answer *a = &query->answer;
	size_t v4_count = query->v4_count;

	if (a->address_count + v4_count > RESOLVER_ADDRESS_MAX) {
		size_t half = RESOLVER_ADDRESS_MAX / 2;
		if (v4_count < half)
			a->address_count = RESOLVER_ADDRESS_MAX - v4_count;
		else if (a->address_count > half)
			a->address_count = half;
		v4_count = RESOLVER_ADDRESS_MAX - a->address_count;
	}
	for (size_t i = 0; i < v4_count; i++)
		a->address[a->address_count++] = query->v4[i];
}

/* A family that failed is left out when the other one has addresses; the answer then holds no longer than a
 * negative one, because the other family may come back. */
static void combine(struct resolver_query *query)
{
	struct resolver_answer *a = &query->answer;
	bool v6_found = a->status == RESOLVER_OK, v4_found = query->v4_status == RESOLVER_OK;
	bool failed = a->status == RESOLVER_FAILED || query->v4_status == RESOLVER_FAILED;
	uint32_t ttl_s = a->ttl_s < query->v4_ttl_s ? a->ttl_s : query->v4_ttl_s;

	if (v6_found || v4_found) {
		if (v6_found != v4_found &&
		    !failed) /* the life of "no address of this family" does not matter */
			ttl_s = v6_found ? a->ttl_s : query->v4_ttl_s;
		else if (failed)
			ttl_s = DNS_NEGATIVE_TTL_S;
		a->secure = (!v6_found || a->secure) && (!v4_found || query->v4_secure);
		combine_addresses(query);
		a->status = RESOLVER_OK;
		a->ttl_s = ttl_s;
		a->detail[0] = '\0';
	} else if (a->status == RESOLVER_FAILED) {
		a->secure = false;
	} else if (query->v4_status == RESOLVER_FAILED) {
		a->status = RESOLVER_FAILED;
		a->secure = false;
		a->ttl_s = 0;
		memcpy(a->detail, query->v4_detail, sizeof(a->detail));
	} else {
		/* Both say no. A name that has nothing of one family exists. */
		if (query->v4_status == RESOLVER_NODATA)
			a->status = RESOLVER_NODATA;
		a->secure = a->secure && query->v4_secure;
		a->ttl_s = ttl_s;
	}
}

static void store(struct resolver_query *query, uint16_t type, const struct resolver_answer *found)
{
	if (type != DNS_TYPE_A) {
		query->answer = *found;
		return;
	}
	query->v4_status = found->status;
	query->v4_ttl_s = found->ttl_s;
	query->v4_secure = found->secure;
	query->v4_count = found->address_count;
	memcpy(query->v4, found->address, sizeof(query->v4));
	memcpy(query->v4_detail, found->detail, sizeof(query->v4_detail));
}

static void one_answer(struct resolver_query *query, uint16_t type, const struct resolver_answer *found)
{
	check(query->pending > 0);
	store(query, type, found);
	if (--query->pending > 0)
		return;
	if (query->both)
		combine(query);
	answered(query);
}

/* --- what libunbound says -------------------------------------------------------------------- */

static void failure(struct resolver_answer *ret_answer, enum resolver_status status, const char *detail)
{
	memset(ret_answer, 0, sizeof(*ret_answer));
	ret_answer->status = status;
	ret_answer->ttl_s = status == RESOLVER_FAILED ? 0 : DNS_NEGATIVE_TTL_S;
	(void)snprintf(ret_answer->detail, sizeof(ret_answer->detail), "%s", detail);
}

static void read_answer(uint16_t type, int rcode, struct slice packet, int security, const char *why_bogus,
			struct resolver_answer *ret_answer)
{
	if (security == UB_BOGUS) {
		failure(ret_answer, RESOLVER_FAILED, "DNSSEC validation failed");
		if (why_bogus != NULL)
			(void)snprintf(ret_answer->detail, sizeof(ret_answer->detail), "%.127s", why_bogus);
	} else if (rcode == RCODE_NXDOMAIN) {
		failure(ret_answer, RESOLVER_NXDOMAIN, "");
	} else if (rcode == RCODE_SERVFAIL) {
		failure(ret_answer, RESOLVER_FAILED, "the name servers did not answer, or failed");
	} else if (rcode != 0 || packet.data == NULL) {
		failure(ret_answer, RESOLVER_FAILED, "the name server refused to answer");
	} else {
		dns_message_read(packet, type, ret_answer);
		ret_answer->secure = security == UB_SECURE && ret_answer->status != RESOLVER_FAILED;
	}
}

static void free_lookup(struct lookup *lookup)
{
	if (lookup->query != NULL)
		for (size_t i = 0; i < LOOKUPS_MAX; i++)
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
	read_answer(type, rcode, bytes, security, why_bogus, &found);
	one_answer(query, type, &found);
}

static void start_lookup(struct resolver_query *query, size_t place, const char *name, uint16_t type)
{
	struct resolver_unbound *r = query->resolver;
	struct lookup *lookup = calloc(1, sizeof(*lookup));
	struct resolver_answer found;

	if (lookup == NULL) {
		failure(&found, RESOLVER_FAILED, "out of memory");
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
		failure(&found, RESOLVER_NXDOMAIN, "not a valid name");
	else
		failure(&found, RESOLVER_FAILED, ub_strerror(error));
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
		failure(&query->answer, RESOLVER_FAILED, "no answer from the name servers in time");
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
		failure(&query->answer, RESOLVER_NXDOMAIN, "not a valid name");
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
		failure(&query->answer, RESOLVER_NXDOMAIN, "not a valid name");
		answered(query);
		return query;
	}
	query->both = true;
	query->pending = LOOKUPS_MAX;
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
	list_each_safe(node, after, queries) free_query(container_of(node, struct resolver_query, node));
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
	list_each_safe(node, after, &r->lookups) free_lookup(container_of(node, struct lookup, node));
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
