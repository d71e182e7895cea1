/* Shared by resolver_unbound.c (questions and answers) and resolver_setup.c (options, files, libunbound's
 * context). */
#ifndef OS_RESOLVER_PRIVATE_H
#define OS_RESOLVER_PRIVATE_H

#include <uv.h>

#include "base/heap.h"
#include "base/list.h"
#include "os/resolver_unbound.h"

struct resolver_unbound {
	struct resolver port; /* first */
	struct os_loop *loop;
	struct ub_ctx *context;
	struct ub_event_base *events;
	char *hosts; /* text of the hosts file, or NULL */
	size_t hosts_size;
	int64_t timeout_ms;
	struct list queries;   /* that wait for libunbound */
	struct list answered;  /* that wait for the end of the turn */
	struct list lookups;   /* that libunbound works on; some belong to no query any more */
	struct heap deadlines; /* of queries */
	struct os_task deliver;
	uv_timer_t *timer; /* for the first deadline; outlives the resolver until libuv has closed it */
	bool closing;
};

enum { RESOLVER_LOOKUPS_MAX = 2 }; /* of one query: AAAA and A */

struct lookup;

struct resolver_query {
	struct list node; /* in resolver->queries or resolver->answered */
	struct heap_node deadline;
	struct resolver_unbound *resolver;
	void (*done)(void *owner, const struct resolver_answer *answer);
	void *owner;
	unsigned pending; /* lookups without an answer */
	struct lookup *lookups[RESOLVER_LOOKUPS_MAX];
	struct resolver_answer answer;	/* of MX; of AAAA; then of all */
	enum resolver_status v4_status; /* what A came to */
	uint32_t v4_ttl_s;
	bool v4_secure;
	size_t v4_count;
	struct net_address v4[RESOLVER_ADDRESS_MAX];
	char v4_detail[sizeof(((struct resolver_answer *)0)->detail)];
	bool both; /* a query for addresses */
};

/* Makes context, events and hosts. ERR_MEMORY, ERR_SYNTAX, ERR_IO with a message; the caller frees what was
 * made. */
nodiscard int resolver_set_up(struct resolver_unbound *r, const struct resolver_unbound_options *options,
			      char ret_message[RESOLVER_UNBOUND_MESSAGE_SIZE]);

/* --- resolver_answer.c ----------------------------------------------------------------------- */
void resolver_fail(struct resolver_answer *ret_answer, enum resolver_status status, const char *detail);
/* The parameters of unbound-event.h's callback. */
void resolver_read(uint16_t type, int rcode, struct slice packet, int security, const char *why_bogus,
		   struct resolver_answer *ret_answer);
/* Notes what one lookup found. */
void resolver_store(struct resolver_query *query, uint16_t type, const struct resolver_answer *found);
/* Of a query for addresses: makes query->answer of what AAAA and A found. */
void resolver_combine(struct resolver_query *query);

#endif
