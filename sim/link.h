/* Connections from the inside: what net.c (hosts, connecting), link.c (bytes on their way) and net_port.c
 * (the relay's face) share. Everybody else uses net.h.
 */
#ifndef SIM_LINK_H
#define SIM_LINK_H

#include "base/buffer.h"
#include "sim/net.h"

enum {
	LINK_WINDOW_BYTES =
	    64 * 1024, /* on the way or unread, each direction; beyond that write() keeps it as unsent */
	LINK_TINY_BYTES =
	    300, /* so much is cut finely, then in packets: bounds the events of one connection */
	LINK_PACKET_BYTES = 16 * 1024,
};

/* TCP gives up on bytes that nobody acknowledges (Linux: 15 retransmissions, about 15 minutes). */
#define LINK_GIVE_UP_US CLOCK_SECONDS(924)

enum segment_kind {
	SEGMENT_DATA = 0,
	SEGMENT_HELLO = 1, /* this side has started its TLS handshake */
	SEGMENT_FIN = 2,
	SEGMENT_RESET = 3,
	SEGMENT_ALERT = 4, /* TLS failed */
};

struct segment {
	int64_t arrives_us;
	uint32_t size;
	uint8_t kind;
	bool tls;
};

/* One direction, from end[side] to the other. */
struct pipe {
	struct link *link;
	uint8_t side;
	struct buffer unsent; /* written, not yet taken by the system */
	struct buffer flying; /* taken, not yet delivered: the bytes of the segments */
	struct segment *segments;
	size_t first, count, capacity;
	uint64_t written, taken, delivered;
	int64_t line_free_us;
	bool fin_wanted, finished; /* finished: FIN or RESET is among the segments or was delivered */
	struct sim_event arrival;
	struct list watches;
};

struct net_conn {
	struct link *link;
	uint8_t side;
	const struct net_events *events; /* NULL: not attached yet, or the owner is gone */
	void *owner;
	bool held;  /* an owner has the handle, or will get it */
	bool alive; /* the socket is open for reading */
	bool paused;
	bool tls_started, tls;
	bool want_drained;
	struct sim_event drained;
};

enum link_state {
	LINK_CONNECTING = 0, /* SYN on its way */
	LINK_ANSWERED = 1,   /* the server's side is open, the client does not know yet */
	LINK_OPEN = 2,
	LINK_FAILED = 3, /* the client will hear why */
};

enum link_doom {
	DOOM_NONE = 0,
	DOOM_RESET = 1,
	DOOM_SILENT = 2,
};

struct link {
	struct list node;
	struct sim_net *net;
	uint64_t number;
	enum link_state state;
	enum net_end failure;
	struct sim_host *host[2];
	struct net_address address[2];
	struct net_conn end[2]; /* 0: who connected */
	struct pipe pipe[2];	/* from end[i] */
	int64_t latency_us, bytes_per_s, timeout_us, began_us;
	uint32_t cut_max;
	bool silent;   /* nothing arrives any more */
	bool ghost[2]; /* this end vanished without a word (power cut) */
	bool tls_fails;
	enum link_doom doom;
	int64_t doom_bytes;    /* delivered bytes that are left until the doom */
	struct sim_event step; /* of connecting; later: doom by time, giving up */
	struct sim_event give_up;
};

struct link *link_new(struct sim_net *net, struct sim_host *from, struct sim_host *to,
		      const struct net_address *address);
void link_free(struct link *link);
void link_open(struct link *link); /* bytes may flow from now on */
void link_write(struct net_conn *conn, struct slice bytes);
void link_resume(struct net_conn *conn); /* reading may go on: attached, not paused, handshake started */
void link_hello(struct net_conn *conn);	 /* starts the handshake */
void link_drop_arrived(struct net_conn *conn);
void link_finish(struct net_conn *conn); /* half-close */
void link_close(struct net_conn *conn, bool flush);
void link_reset(struct net_conn *conn);
void link_killed(struct net_conn *conn); /* the process died; the handle stays */
void link_vanish(struct net_conn *conn); /* the machine died */
void link_cut(struct link *link);	 /* reset by somebody between: both ends hear it */
void link_thaw(struct link *link);	 /* a host can be reached again */
void link_settle(struct link *link);	 /* have it freed once no end is left */

struct sim_host *host_find(const struct sim_net *net, const struct net_address *address);

static inline struct net_conn *other_end(const struct net_conn *conn)
{
	return &conn->link->end[1 - conn->side];
}

static inline struct sim_world *link_world(const struct link *link)
{
	return link->net->world;
}

#endif
