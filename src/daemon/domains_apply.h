/* The domains given with --domain: added when they are new, sent elsewhere when the destination differs.
 */
#ifndef DAEMON_DOMAINS_APPLY_H
#define DAEMON_DOMAINS_APPLY_H

#include "daemon/config.h"
#include "relay/admin.h"

struct domains_apply {
	struct relay *relay;
	struct log *log;
	const struct config_domain *next; /* the one under way, or NULL: all done */
};

/* One after the other; over when next is NULL, which may be at once. The relay must be ready. Setting next to
 * NULL gives up. */
void domains_apply_start(struct domains_apply *apply, struct relay *relay, struct log *log,
			 const struct config_domain *first);

#endif
