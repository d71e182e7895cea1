/* The domains that are served: name, destination, queue, flow.
 *
 * A domain belongs to at most one feed (its lane); without a destination it waits, holding.
 */
#ifndef RELAY_DOMAINS_H
#define RELAY_DOMAINS_H

#include "lane/domain_state.h"
#include "lane/turns.h"
#include "relay/queue.h"
#include "relay/relay_private.h"

struct feed;
struct known;
struct outside;

struct host {				  /* of a destination */
	char name[RESOLVER_NAME_MAX + 1]; /* lower case, no trailing dot; or an IP literal without brackets */
	uint16_t port;			  /* 0: the configured SMTP port */
	uint16_t preference;		  /* hosts of equal preference share the load */
};

struct destination {
	size_t count;
	struct host hosts[RELAY_HOSTS_MAX];
};

/* A destination as it is kept: not more memory than its names need. */
struct kept_host {
	const char *name; /* in the same allocation */
	uint16_t port, preference;
};
struct kept_destination {
	size_t count; /* never 0 */
	struct kept_host hosts[];
};

/* free gives it back. NULL: no memory. */
nodiscard struct kept_destination *destination_keep(const struct destination *destination);
/* NULL: a destination without hosts. */
void destination_of(const struct kept_destination *kept, struct destination *ret_destination);

enum { DOMAIN_NUMBER_MAX = 0x70000000 }; /* those above are lent to domains whose own cannot be read */

struct domain {
	struct map_node node;
	struct list by_name;
	struct tree_node name_order, number_order;
	struct relay *relay;
	uint32_t
	    number; /* in the store; never 0, not given again while its mail is held; domain_set_number */
	uint8_t number_key[4];
	int64_t added_ms, hold_ms;
	uint32_t share_percent;	   /* of the spool that it may hold */
	bool share_used_up;	   /* and does: its senders are refused */
	uint64_t refused_for_room; /* recipients, since start */
	bool age_warned;	   /* its oldest mail expires soon, and that was said */
	bool by_mx;		   /* destination is the MX set beyond us, learnt; else configured */
	struct kept_destination *destination; /* NULL: none */
	struct domain_flow flow;
	bool flow_changed; /* to be saved */
	bool damaged;	   /* its record cannot be used: 451 at the door until it is set anew */
	uint32_t puts;	   /* of its record, asked for by an administrator and not answered */
	bool removing;	   /* its removal is being written */

	struct known *known;  /* of its recipients, see known.h; NULL: nothing yet */
	struct list callouts; /* struct callout: its server is asked about recipients */
	uint32_t callout_count;
	struct list visits; /* struct door_visit: recipients at our door that wait */

	struct outside *outside; /* not served here: our own mail goes there; NULL: served */

	struct feed *feed;
	struct list in_feed;
	struct list woken, hungry, in_canaries, in_holding; /* lists of the feed, see members.h */
	uint32_t ready_told, reading_told;		    /* its part in the feed's sums */
	struct turn_queue turn;
	struct queue queue;

	struct timer destination_timer; /* it could not be used for want of memory: once more */
	struct timer flow_timer;	/* end of a pause; check or probe of a doubted one */
	int64_t released_us;		/* when a probe was last looked for */
	struct timer mx_timer;		/* next look at the MX set */
	struct resolver_query *mx_query;
	bool destination_changed; /* learnt anew: to be saved */
	/* Who waits for the first look at the MX set (admin_domain_add), or NULL. */
	void (*discovered)(void *owner, struct domain *domain);
	void *discovered_owner;
	char name[]; /* lower case */
};

struct domain *domain_find(const struct relay *relay, struct slice name);    /* any case; NULL: not served */
struct domain *domain_by_number(const struct relay *relay, uint32_t number); /* outside ones too */
/* One that is not served here, but has mail of our own (outside.h). */
struct domain *domain_find_outside(const struct relay *relay, struct slice name);
/* The one served longest of those that take mail, or NULL. */
struct domain *domain_oldest(const struct relay *relay);
void domain_set_number(struct domain *domain, uint32_t number);
/* One under which nothing is held: mail of a domain whose record was lost must never go to another one's
 * server. */
uint32_t domain_new_number(struct relay *relay);

/* A new domain in memory, not yet in the store, without a destination. NULL: no memory. */
nodiscard struct domain *domain_new(struct relay *relay, struct slice name, uint32_t number);
/* The same, for outside.c: it is found by number and domain_find_outside only. Takes outside over. */
nodiscard struct domain *domain_new_outside(struct relay *relay, struct slice name, uint32_t number,
					    struct outside *outside);
void domain_free(struct domain *domain);

/* Parses "host", "host:port", "[v6]:port", "192.0.2.1". ERR_SYNTAX. */
nodiscard int host_parse(struct slice text, struct host *ret_host);
/* "mail.example.com:2526, ...", cut at size - 1. The port is left out when it is the configured one (0). */
void destination_format(const struct destination *destination, char *ret_text, size_t size);
bool destination_equal(const struct destination *a, const struct destination *b);

/* May mail for it be accepted? */
bool domain_takes_mail(const struct domain *domain);

/* The domain's mail goes there from now on, also what is held. count 0: it waits. Not saved by this.
 * ERR_MEMORY: all is as before. */
nodiscard int domain_set_destination(struct domain *domain, const struct destination *destination,
				     struct slice why);

/* After a change of flow: wakes or stops the queue, sets the timer, logs. Call with what the machine
 * returned. */
void domain_flow_was(struct domain *domain, bool changed);
/* The look at the MX set is over, with or without a server. */
void domain_discovered(struct domain *domain);
/* Something may be sent, or is to be tried, for this domain. */
void domain_wake(struct domain *domain);

#endif
