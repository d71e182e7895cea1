/* The room in the store: who may still bring mail, what is warned of, and when it will be full.
 *
 * The store is asked every 10 s, and once a second while senders come, or each 8 MiB. In between it is
 * counted what comes in: what was received, and what was announced (SIZE=) by those who are being received.
 */
#ifndef RELAY_ROOM_H
#define RELAY_ROOM_H

#include "base/map.h"
#include "lane/fill.h"
#include "lane/share.h"
#include "port/store.h"
#include "relay/timer.h"

struct domain;
struct inbound;
struct relay;

struct room {
	struct store_space space; /* as the store said at looked_us */
	int64_t looked_us;
	uint64_t received_bytes;  /* since then */
	uint64_t announced_bytes; /* of messages that are being received: what is still to come */
	struct fill_history history;
	double full_in_s; /* < 0: no forecast */
	enum fill_level level;
	int64_t level_since_ms;	  /* wall clock */
	uint32_t domains_refused; /* whose share is used up */
	struct map intakes;	  /* by domain number */
	struct timer timer;
};

/* What is being received for one domain. */
struct intake {
	struct map_node node; /* in room.intakes */
	uint32_t domain;
	uint32_t percent;
	uint32_t sessions;
	uint64_t bytes;
};

/* One message that is being received, in the books of its domains. */
struct receipt {
	struct intake **intakes; /* each domain once */
	size_t count;
	uint64_t counted_bytes;	  /* for each of them: announced, or received when that is more */
	uint64_t announced_bytes; /* still to come */
	uint64_t received_bytes, checked_bytes;
};

void room_init(struct room *room, uint64_t seed);
void room_deinit(struct room *room);
void room_start(struct relay *relay); /* domains are known: looks at the store from now on */

/* RCPT: may a message of that size (0: not known) come in for the domain? */
enum share_answer room_ask(struct relay *relay, struct domain *domain, uint64_t size_bytes);
/* DATA: the message of this session is entered; a receipt without memory counts for nothing. */
void room_open(struct inbound *in);
/* Bytes of it came. False: it has outgrown the shares of all of its domains. While one of them has room it is
 * taken for all: its body is stored once in any case. */
bool room_received(struct inbound *in, uint64_t bytes);
/* It is handed to the store, or given up. May be called when none is open. */
void room_close(struct inbound *in);

#endif
