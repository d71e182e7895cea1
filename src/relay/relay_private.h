/* What the files of the core share: the relay itself. Each noun has its own header.
 */
#ifndef RELAY_RELAY_PRIVATE_H
#define RELAY_RELAY_PRIVATE_H

#include "base/list.h"
#include "base/map.h"
#include "base/rng.h"
#include "base/tree.h"
#include "relay/budget.h"
#include "relay/ends.h"
#include "relay/outside.h"
#include "relay/relay.h"
#include "relay/room.h"
#include "relay/survey.h"
#include "relay/timer.h"

enum {
	RELAY_CLOCK_JUMP_MS = 5000, /* less is no jump: clocks are slewed */
	FEED_NAME_MAX = 1024,
	RELAY_FEEDS_PER_TURN = 200, /* feeds that are run in one turn of the loop: the others in the next */
};

struct relay_counters { /* since start */
	uint64_t accepted_messages, accepted_recipients, refused_recipients;
	uint64_t delivered_recipients, deferred_recipients;
	uint64_t expired_recipients;	   /* whose hold time was over */
	uint64_t ended_refused_recipients; /* whose server refused them for good */
	uint64_t refused_for_room;	   /* recipients whose domain's share of the spool was used up */
	/* Senders who waited for what the server says, see in_session.h. */
	uint64_t in_session_delivered, in_session_refused, in_session_queued;
	uint64_t callouts, callout_recipients; /* questions at our door, and whom they asked for */
	uint64_t door_550, door_450, door_451, door_unseen,
	    door_size;		      /* answers there; unseen: taken unasked */
	uint64_t duplicates_possible; /* transactions whose reply to the dot was never seen */
};

struct sweep { /* through the ledger of recipients, see known.h */
	struct timer timer;
	bool begun;
	size_t cursor_size;
	char cursor[STORE_KEY_MAX];
};

struct relay {
	struct relay_config config;
	struct relay_ports ports;
	struct clock_reading now; /* of the event that is being handled */
	struct rng rng;
	struct timers timers;
	struct relay_counters counters;
	int64_t started_ms;

	bool ready; /* domains and lanes have been read */
	bool shutting_down;
	bool clock_put_back; /* the wall clock was: back-offs that are written down are too long now */
	uint32_t load_stage; /* of reading them, see save.c */

	struct map domains;	     /* struct domain by name, lower case */
	struct list domains_by_name; /* the same, sorted */
	struct tree domain_names;    /* the same once more: to find a place in the order */
	struct tree domain_numbers;  /* struct domain by number */
	uint32_t next_domain_number;
	uint32_t domains_without_number; /* whose records are damaged */
	struct map feeds;		 /* struct feed by name */
	struct list feeds_by_name;
	struct tree feed_names;
	/* An extension that a message may need on its whole way is offered to senders only while every
	 * destination is known to have it (RFC 6531 §3.2, RFC 3461 §4). */
	uint32_t feeds_serving, feeds_without_smtputf8, feeds_without_dsn; /* that have a served domain */
	struct list dispatch; /* feeds that have something to decide */
	struct budget probes; /* connections to servers that are down */
	struct budget starts; /* and the first ones to servers that are up */

	struct list inbounds; /* inbound sessions */
	uint32_t inbound_count;
	struct map clients;    /* sessions per client address */
	struct map committing; /* messages whose commit has no answer yet, by id */

	struct room room;
	struct door_memory *door_memory;
	uint32_t door_ahead;	  /* visits ahead of their RCPT */
	struct list door_orphans; /* struct door_visit whose sessions ended while they read the ledger */

	uint32_t outbound_count;
	struct list buried;	    /* outbound sessions that ended while the store still works for them */
	uint32_t operations;	    /* store operations whose completion we await */
	struct list admin_requests; /* administration that is under way */
	struct survey survey;
	struct timer save_timer;
	uint32_t save_turn;			      /* 0..SAVE_TURNS - 1 */
	char saved_feed[FEED_NAME_MAX];		      /* looked at last in this round; "": none yet */
	char saved_domain[RELAY_DOMAIN_NAME_MAX + 1]; /* likewise */
	struct sweep sweep;
	struct ends ends;
	struct outsides outside;
	struct list notifies;	 /* struct notify, see notify.h */
	struct list ending_list; /* struct ending, see ending.h */
	uint32_t endings;	 /* its length */
	uint64_t backup;	 /* id of the snapshot that is taken or held; 0: none */
	struct timer backup_timer;
	bool save_failed;   /* something of the state could not be written: all of it is, at the next round */
	bool adding_failed; /* a domain could not be written down: who sends to an unknown one may be right */
};

/* At the entry of each event from a port. */
static inline void relay_enter(struct relay *relay)
{
	struct clock_reading before = relay->now;

	relay->now = relay->ports.clock->read(relay->ports.clock);
	int64_t wall_ms = relay->now.wall_ms - before.wall_ms;
	if (wall_ms < (relay->now.now_us - before.now_us) / 1000 - RELAY_CLOCK_JUMP_MS)
		relay->clock_put_back = true;
}

#endif
