/* The simulated network: hosts, and TCP-like connections between them.
 *
 * A connection carries two byte streams, each cut into segments at random places, with latency, bandwidth and
 * a window (a receiver that does not read stops the sender). What a receiver gets is always a prefix of what
 * was written. It can be refused, time out, be reset at any byte, fall silent for ever, or survive while a
 * host is unreachable for a while.
 *
 * Two faces: the relay sees struct net of port/net.h (sim_host_net); the fake senders and servers use the
 * functions below. Both kinds of end get the events of struct net_events, always from an event of the world,
 * never from inside a call.
 */
#ifndef SIM_NET_H
#define SIM_NET_H

#include "base/list.h"
#include "port/net.h"
#include "sim/world.h"

/* Faults of connections that are made from now on; each a probability. */
struct sim_net_faults {
	double refused, unreachable, timeout, local; /* of a connect that would have succeeded */
	double reset;				     /* of a connection: cut at a random byte or moment */
	double silent;	  /* of a connection: nothing arrives any more, both ways */
	double tls;	  /* of a handshake: fails */
	double tiny_cuts; /* of a connection: segments of a few bytes */
	double slow;	  /* of a connection: 2 to 20 KB/s */
};

enum sim_reach {
	SIM_REACH_OK = 0,
	SIM_REACH_REFUSED = 1,	  /* the machine answers, the service does not */
	SIM_REACH_BLACK_HOLE = 2, /* packets vanish; open connections stand still and go on when it is over */
	SIM_REACH_UNREACHABLE = 3, /* a router says so */
};

struct sim_net {
	struct sim_world *world;
	struct sim_net_faults faults;
	struct list hosts, links;
	struct sim_event reap;
	uint64_t links_made;
	uint64_t connects; /* attempts */
};

struct net_conn; /* one end of a connection */

typedef void sim_accept(void *owner, struct net_conn *conn);

enum { SIM_PORTS_MAX = 4 };

struct sim_host {
	struct list node;
	struct sim_net *net;
	struct net port;	    /* what the relay on this host uses */
	const char *name;	    /* the owner's */
	struct net_address address; /* port 0 */
	enum sim_reach reach;
	int64_t latency_us; /* one way, from its network to anywhere */
	int64_t bytes_per_s;
	bool tls_server; /* has a certificate */
	uint16_t next_port;
	struct {
		uint16_t port;
		sim_accept *accept;
		void *owner;
	} listening[SIM_PORTS_MAX];
	uint64_t connects_seen; /* SYNs that came for it, whatever the answer */
	int64_t last_connect_us;
};

void sim_net_init(struct sim_net *net, struct sim_world *world);
void sim_net_deinit(struct sim_net *net);
/* Switches all faults off, also those that open connections still had before them. What is silent stays
 * silent. */
void sim_net_calm(struct sim_net *net);

struct sim_host *sim_host_new(struct sim_net *net, const char *name, struct net_address address);
struct net *sim_host_net(struct sim_host *host);
void sim_host_listen(struct sim_host *host, uint16_t port, sim_accept *accept, void *owner);
void sim_host_deaf(struct sim_host *host); /* no longer listens anywhere; connections stay */
void sim_host_reach(struct sim_host *host, enum sim_reach reach);
/* The process on the host dies: the kernel closes its connections (reset where bytes were unread). Owners
 * hear nothing. Handles that the dead process held stay valid for net_close only. */
void sim_host_kill(struct sim_host *host);
/* The machine dies: nobody is told. Peers learn it when they send something after sim_host_reach(OK). */
void sim_host_power_cut(struct sim_host *host);
/* Handles that owners on this host have not closed yet. */
unsigned sim_host_handles(const struct sim_host *host);

/* --- for senders and servers --- */

struct net_conn *sim_connect(struct sim_host *from, const struct net_address *to, int64_t timeout_ms,
			     const struct net_events *events, void *owner);
void sim_attach(struct net_conn *conn, const struct net_events *events, void *owner);
void sim_write(struct net_conn *conn, struct slice bytes);
void sim_pause(struct net_conn *conn, bool paused);
void sim_start_tls(struct net_conn *conn);
void sim_half_close(struct net_conn *conn); /* no more will be written; reading goes on */
void sim_close(struct net_conn *conn);	    /* what was written still goes out, then the end */
void sim_reset(struct net_conn *conn);	    /* at once; what was on its way may be lost */
struct net_address sim_peer(const struct net_conn *conn);
bool sim_peer_alive(const struct net_conn *conn); /* the other side has not closed its socket */
uint64_t sim_conn_number(const struct net_conn *conn);

/* The ground truth about a reply: was its last byte given to the owner of the other end, or has that end gone
 * before? Both 0: neither has happened yet. The watch must live as long as the network. */
struct sim_watch {
	struct list node;
	uint64_t offset;
	int64_t delivered_us, lost_us;
};
void sim_watch(struct net_conn *conn,
	       struct sim_watch *watch); /* nothing to deliver yet: waits for what comes, or loss */
void sim_watch_written(struct net_conn *conn,
		       struct sim_watch *watch); /* what was written so far is what counts */

#endif
