/* The feed: one lane with its hosts, connections and domain queues. It starts what the lane permits.
 *
 * A feed exists as long as a domain has its destination. Its name is the canonical host set.
 */
#ifndef RELAY_FEED_H
#define RELAY_FEED_H

#include "lane/identity.h"
#include "lane/mailbox.h"
#include "lane/quota.h"
#include "lane/turns.h"
#include "relay/domains.h"
#include "relay/members.h"

enum {
	FEED_TARGETS_MAX = 64,	    /* addresses of all hosts of a destination */
	FEED_CONNECTIONS_MAX = 200, /* open or opening: beyond any window */
};

enum {
	FEED_LOOK_AGAIN_MS = 20,      /* a permit that could not be used yet */
	FEED_STUCK_MS = 1000,	      /* memory or names were missing */
	FEED_SIZE_FRESH_MS = 3600000, /* a SIZE is believed so long: nobody is refused for an old one */
};

/* Seconds. */
enum {
	TARGET_REST_S = 30,	/* an address that failed is tried after its siblings so long */
	ADDRESS_TTL_MIN_S = 30, /* addresses are not asked for more often */
	ADDRESS_TTL_MAX_S = 3600,
	ADDRESS_RETRY_S = 5, /* after a failed look-up without any address */
	ADDRESS_WAIT_S = 5,  /* for a fresh answer when the last one is over: then that one is used */
	ADDRESS_STALE_S =
	    48 * 3600, /* last good addresses are used so long while look-ups fail, never after NXDOMAIN */
};

struct target { /* one address to try */
	struct net_address address;
	uint16_t preference;
	uint8_t host;	       /* index in destination.hosts */
	int64_t rest_until_us; /* it failed: others first */
};

struct host_lookup { /* addresses of one host */
	struct feed *feed;
	uint8_t host;
	struct resolver_query *query;
	int64_t refresh_us;    /* asked again after this */
	int64_t good_until_us; /* used without waiting for a new answer */
	int64_t last_good_us, asked_us;
	size_t count;
	struct net_address *addresses; /* count of them */
	char failure[128];	       /* why there is none */
};

struct outbound;

struct feed {
	struct map_node node;
	struct list by_name;
	struct tree_node name_order;
	struct list in_dispatch; /* linked: feed_run is wanted */
	struct relay *relay;
	struct lane lane;
	struct turns turns;
	struct list domains;
	uint32_t domain_count;
	uint32_t served_count; /* of them: served here; 0: a lane for mail of our own only, of no interest */
	struct members members;

	struct kept_destination *destination;
	struct host_lookup *lookups; /* one for each host */
	uint32_t lookups_pending;
	uint32_t rotation; /* of hosts of equal preference */
	size_t target_count;
	struct target *targets; /* target_count of them */

	bool smtputf8, dsn; /* its server was seen to offer it at the last greeting */
	/* The largest SIZE of its greetings lately, 0: none was given; and when that was said. */
	uint64_t size_limit;
	int64_t size_us;

	struct list connections; /* struct outbound, all */
	uint32_t connection_count;
	uint32_t opening_count; /* not yet greeted */
	struct list idle;	/* struct outbound, greeted, without a transaction; the latest used first */
	struct quota refusals;	/* callouts that its server refused lately, see door.h */
	struct list asks;	/* struct ask that wait for a connection */

	struct timer timer;	  /* the lane's deadline */
	struct list in_budget;	  /* linked: it waits for its turn */
	struct budget *granted;	  /* whose turn it has and has not used */
	struct identity identity; /* what its server has shown of itself, since start */
	struct split split;	  /* it refuses a whole message for one bad recipient: one at a time */
	struct survey_sums seen;  /* of its domains, see survey.h */
	bool stuck;		  /* something could not be begun (no memory, no names): look again soon */
	bool changed;		  /* lane state to be saved */
	uint64_t saved_hash;	  /* of its record as it was written last; 0: never */
	char name[];		  /* at most FEED_NAME_MAX with its end */
};

/* The feed of a destination, made when there is none. NULL: no memory. */
nodiscard struct feed *feed_for(struct relay *relay, const struct destination *destination);
void feed_name(const struct destination *destination, uint16_t smtp_port, char ret_name[FEED_NAME_MAX]);
struct feed *feed_find(const struct relay *relay, const char *name);
/* The hosts are the same, but their order may have changed. */
void feed_prefer(struct feed *feed, const struct destination *destination);
void feed_join(struct feed *feed, struct domain *domain);
void feed_leave(struct feed *feed, struct domain *domain); /* an empty feed goes once nothing is in transit */
void feed_free(struct feed *feed);

/* feed_run is called in this turn. */
void feed_wake(struct feed *feed);
/* Starts what the lane permits. */
void feed_run(struct feed *feed);
/* The lane's state has changed: queues are stopped or read anew, the change is logged. */
void feed_changed(struct feed *feed);

/* Does its server want one recipient at a time? */
bool feed_single(const struct feed *feed);

/* May its mail be used as a canary (it is neither on hold by hand nor without a server)? */
bool feed_may_probe(const struct domain *domain);

/* Is mail held for it? */
bool feed_holds_mail(const struct domain *domain);

/* May this domain's mail flow just now (lane up, domain open)? */
bool feed_flows(const struct domain *domain);

/* What its server offered when it greeted. */
void feed_offers(struct feed *feed, bool smtputf8, bool dsn);
/* And the SIZE it gave, 0: none. Of several servers that of the most generous counts. */
void feed_takes_size(struct feed *feed, uint64_t size_limit);
/* Is a message of so many bytes beyond what its servers take, as they said within FEED_SIZE_FRESH_MS? */
bool feed_is_too_large(const struct feed *feed, uint64_t size_bytes);

/* --- hosts.c: names to targets --- */

/* Asks for what is not known or too old. True: targets are there (perhaps old ones). False: wait; feed_wake
 * follows, or the lane was told that names cannot be resolved. */
bool hosts_ready(struct feed *feed);
/* The preferences of the destination have changed. */
void hosts_reorder(struct feed *feed);
/* The next target for an attempt that has tried those in the mask: best preference, rested ones first. -1:
 * none is left. */
int hosts_pick(struct feed *feed, uint64_t tried);
void hosts_failed(struct feed *feed, const struct target *target); /* it did not greet us */
void hosts_worked(struct feed *feed, const struct target *target);
void hosts_cancel(struct feed *feed);

#endif
