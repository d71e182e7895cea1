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

/* Makes context, events and hosts. ERR_MEMORY, ERR_SYNTAX, ERR_IO with a message; the caller frees what was
 * made. */
nodiscard int resolver_set_up(struct resolver_unbound *r, const struct resolver_unbound_options *options,
			      char ret_message[RESOLVER_UNBOUND_MESSAGE_SIZE]);

#endif
