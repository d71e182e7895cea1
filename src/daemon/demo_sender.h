/* The senders of the demo: one connection for each message, as strangers do.
 */
#ifndef DAEMON_DEMO_SENDER_H
#define DAEMON_DEMO_SENDER_H

#include "base/list.h"
#include "os/net_uv.h"

struct demo_senders_events {
	/* The end of one: accepted with the 250 to the final dot, or not. */
	void (*sent)(void *owner, uint32_t number, bool accepted, struct slice reply);
};

struct demo_senders {
	struct net *net;
	struct net_address relay;
	const struct demo_senders_events *events;
	void *owner;
	struct list sessions;
};

void demo_senders_init(struct demo_senders *senders, struct net *net, const struct net_address *relay,
		       const struct demo_senders_events *events, void *owner);
/* Breaks what is under way, without events. */
void demo_senders_deinit(struct demo_senders *senders);

/* Sends this message now. ERR_MEMORY. */
nodiscard int demo_senders_send(struct demo_senders *senders, uint32_t number);
bool demo_senders_busy(const struct demo_senders *senders);

#endif
