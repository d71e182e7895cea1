/* Shared by the files of net_uv: connections (net_conn.c), TLS on them (net_secure.c), listeners
 * (net_accept.c). */
#ifndef OS_NET_PRIVATE_H
#define OS_NET_PRIVATE_H

#include <uv.h>

#include "base/buffer.h"
#include "base/heap.h"
#include "base/list.h"
#include "os/net_uv.h"

struct net_uv {
	struct net port; /* first: a struct net * is a struct net_uv * */
	struct os_loop *loop;
	struct tls_context *server, *client; /* or NULL */
	struct log *log;		     /* or NULL */
	size_t accepted_max, connected_max;
	int64_t flush_ms;
	size_t accepted, connected; /* open now */
	size_t handles;		    /* of libuv, not yet closed; the last one frees the net */
	struct list connections, listeners;
	struct list pending; /* connections with events that wait for the end of the turn */
	struct os_task deliver;
	struct heap deadlines;
	uv_timer_t timer; /* for the first deadline */
	bool freed;
	int64_t next_warning_us;
	char read_bytes[NET_UV_READ_BYTES];  /* from the socket */
	char plain_bytes[NET_UV_READ_BYTES]; /* decrypted */
};

struct net_deadline {
	struct heap_node node;
	void (*expired)(struct net_deadline *deadline);
};

enum net_conn_state {
	CONN_CONNECTING = 0, /* the TCP handshake is under way */
	CONN_ACCEPTED = 1,   /* accepted; nobody is attached, nothing is read */
	CONN_OPEN = 2,
	CONN_ENDED = 3,	   /* broken or at its end: closed() will be delivered at the end of the turn */
	CONN_FLUSHING = 4, /* the owner is gone; what was written is being sent, then FIN; input is dropped */
	CONN_CLOSING = 5,  /* given to uv_close; freed soon */
};

struct net_conn {
	uv_tcp_t uv;
	union { /* at most one is in flight: see busy */
		uv_connect_t connect;
		uv_write_t write;
		uv_shutdown_t shutdown;
	} request;
	struct net_uv *net;
	struct list node;	      /* in net->connections */
	struct list pending;	      /* in net->pending */
	struct net_deadline deadline; /* of connecting or of flushing */
	const struct net_events *events;
	void *owner;
	struct tls *tls;	       /* or NULL */
	struct buffer sending, queued; /* given to uv_write and not to be moved; waiting for that */
	struct net_address peer;
	const char *end_detail; /* static, or owned by tls */
	enum net_conn_state state;
	enum net_end end;   /* when ENDED */
	bool inbound;	    /* accepted, not connected */
	bool busy;	    /* request is in flight */
	bool paused;	    /* by the owner */
	bool reading;	    /* uv_read_start was called */
	bool eof;	    /* the peer has closed its side */
	bool shut;	    /* FLUSHING: FIN was sent */
	bool owes_drained;  /* something was written since drained() */
	bool tell_drained;  /* deliver drained() */
	bool tell_received; /* decrypt what was left when the owner paused */
};

/* --- net_conn.c ------------------------------------------------------------------------------ */
struct net_conn *conn_new(struct net_uv *net, bool inbound); /* NULL: no memory */
/* After this, events (received included) must not be delivered any more. */
void conn_destroy(struct net_conn *conn);
void conn_end(struct net_conn *conn, enum net_end end, const char *detail);
void conn_end_with(struct net_conn *conn, int error); /* one of libuv's errors */
void conn_update_reading(struct net_conn *conn);      /* starts or stops, as its state asks for */
void conn_send_queued(struct net_conn *conn);	      /* not busy, something is queued */
/* Raw bytes to the socket, queued as far as it does not take them. ERR_MEMORY: the connection is ended. */
int conn_send(struct net_conn *conn, struct slice bytes);
void conn_check_sent(struct net_conn *conn); /* tell drained() if nothing is left of what was written */
void conn_defer(struct net_conn *conn);	     /* have conn_deliver called at the end of the turn */
void conn_deliver(struct net_conn *conn);    /* the events that were put off */

extern const struct net_ops net_uv_ops;

/* --- net_connect.c --------------------------------------------------------------------------- */
void conn_set_options(struct net_conn *conn); /* TCP_NODELAY, keepalive */
struct net_conn *conn_connect(struct net *port, const struct net_address *to, const struct net_address *from,
			      int64_t timeout_ms, const struct net_events *events, void *owner);

/* --- net_secure.c ---------------------------------------------------------------------------- */
int conn_start_tls(struct net_conn *conn, bool as_server, struct slice server_name);
/* Input from the socket (may be empty) through TLS to the owner. */
void conn_secure_received(struct net_conn *conn, struct slice bytes);
int conn_secure_write(struct net_conn *conn, struct slice plain);
void conn_secure_goodbye(struct net_conn *conn);

/* --- net_accept.c ---------------------------------------------------------------------------- */
void net_listeners_stop(struct net_uv *net);
void net_listeners_resume(struct net_uv *net); /* a connection has ended: there may be room again */

/* --- net_uv.c -------------------------------------------------------------------------------- */
void net_deadline_set(struct net_uv *net, struct net_deadline *deadline, int64_t at_us);
void net_deadline_clear(struct net_uv *net, struct net_deadline *deadline);
void net_handle_closed(struct net_uv *net);

#endif
