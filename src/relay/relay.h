/* The relay: inbound sessions -> store -> 250; lanes -> outbound sessions -> results; recovery at start;
 *administration.
 *
 * The core joins proto and lane through the ports. It makes no system call: everything it needs from the
 *world, time included, comes in struct relay_ports, and the owner's loop drives it:
 *
 *	events of the ports (connections, completions, answers) arrive through the functions registered with
 *them; after each turn of the loop the owner calls relay_run, and again at relay_deadline.
 *
 * Handlers of events only note and answer; the work that follows (dispatch, timers) happens in relay_run.
 */
#ifndef RELAY_RELAY_H
#define RELAY_RELAY_H

#include "lane/lane.h"
#include "port/clock.h"
#include "port/log.h"
#include "port/net.h"
#include "port/resolver.h"
#include "port/spf.h"
#include "port/store.h"
#include "proto/smtp_client.h"
#include "proto/smtp_server.h"

enum {
	RELAY_SESSIONS_MAX = 10000,	      /* inbound at one time, then 421 at the door */
	RELAY_SESSIONS_PER_ADDRESS_MAX = 200, /* inbound of one client address (a /64 for IPv6) */
	RELAY_HOSTS_MAX = 16,		      /* hosts of one destination */
	RELAY_DOMAIN_NAME_MAX = 255,
	RELAY_HOLD_DAYS = 15,
	/* Ten times DOOR_UNSEEN: as long as no resolver for SPF is given, no sender is free of the bound, and
	 * a domain that was added today has not seen anybody. */
	RELAY_UNSEEN_PER_HOUR = 2000,
	RELAY_COMMIT_RETRY_MS =
	    60000, /* an unknown commit is asked again so long, then the client is closed on */
};

struct relay_config {
	const char *hostname; /* ours: banner, EHLO, Received; outlives the relay */
	/* A word that no other relay has, in our banner: a destination that greets with it is ourselves,
	 * whatever its address. NULL: none. Outlives the relay. */
	const char *mark;
	struct smtp_server_config server;
	struct smtp_client_config client;
	struct lane_config lane;
	uint32_t sessions_max, sessions_per_address_max;
	uint16_t smtp_port;	    /* of hosts without a port; 25 */
	int64_t connect_timeout_ms; /* 5000: TCP handshake with a customer's server */
	int64_t hold_ms;	    /* 15 days */
	/* Addresses (with port) that are ourselves, so that a destination that leads back here is noticed. */
	const struct net_address *own_addresses;
	size_t own_address_count;
	/* Recipients are asked for at our door (door.h); false: every recipient of a served domain is taken.
	 */
	bool ask_recipients;
	/* Recipients that nobody has seen, taken in an hour for one domain while its server cannot be asked.
	 */
	uint32_t unseen_per_hour;
	/* Networks whose bare LF or CR is normalised instead of refused: "192.0.2.0/24", comma-separated, or
	 * NULL. */
	const char *normalise_networks;
};

void relay_config_defaults(struct relay_config *config, const char *hostname);

struct relay_ports {
	struct clock *clock; /* read at the entry of every event; relay_run and relay_new use it too */
	struct net *net;
	struct store *store;
	struct resolver *resolver;
	struct log *log;
	uint64_t seed; /* of jitter and hash tables; the daemon takes it from the system */
	/* Who may send for a domain; NULL: nobody is known to, and no sender is ever notified. */
	struct spf *spf;
};

struct relay;

/* Starts to read its state (domains, lanes) from the store. NULL: no memory. The ports outlive the relay;
 * config is copied but for what it points to. */
nodiscard struct relay *relay_new(const struct relay_config *config, const struct relay_ports *ports);
/* Gives everything back at once. Inbound transactions without a 250 are forgotten, which is within the
 * promise; what was committed is in the store. No completion of the store may come after this: wait for
 * relay_quiet, or let the store drop what is under way (as a crash does). Connections that are open are
 * closed. */
void relay_free(struct relay *relay);

/* State was read: connections may be given to relay_accept. */
bool relay_ready(const struct relay *relay);
/* A sender has connected. The relay attaches itself to the connection. */
void relay_accept(struct relay *relay, struct net_conn *conn);

/* Does everything that is due: deadlines, probes, dispatch. */
void relay_run(struct relay *relay);
/* When relay_run must be called again without any event. */
int64_t relay_deadline(const struct relay *relay);

/* Ends politely: inbound sessions get 421 at their next command, nothing new is dispatched, transactions
 * under way finish; lane state is saved. relay_quiet: nothing is left. */
void relay_shut_down(struct relay *relay);
bool relay_quiet(const struct relay *relay);

#endif
