/* port/net.h on libuv and OpenSSL.
 *
 * Connections belong to the thread of the loop. An idle connection costs about 1 KiB besides the kernel's own
 * memory; one with TLS about 20 KiB more, nearly all of it OpenSSL's. All connections of a loop read into one
 * shared buffer, because bytes are only lent.
 *
 * Accepting stops, and senders wait in the listening socket's backlog, while net_uv_options.accepted_max
 * connections are open, and for a moment when the system has no descriptor or memory for one more.
 *
 * net_ops.close(flush) sends what was written, then FIN, then reads and drops until the peer closes too, all
 * within NET_UV_FLUSH_MS: closing at once would answer a late byte of the peer with a reset, which may
 * destroy our last reply before the peer has read it. The same is done after closed(NET_END_EOF).
 */
#ifndef OS_NET_UV_H
#define OS_NET_UV_H

#include "os/loop.h"
#include "os/tls.h"
#include "port/log.h"
#include "port/net.h"

enum {
	NET_UV_ACCEPTED_MAX = 20000,  /* default; above what the relay admits, so that it can say 421 */
	NET_UV_CONNECTED_MAX = 20000, /* default; more end at once with NET_END_LOCAL */
	NET_UV_FLUSH_MS = 5000,
	NET_UV_ACCEPT_RETRY_MS = 1000,	  /* after the system refused, if no connection ends before */
	NET_UV_ACCEPT_WARNING_MS = 60000, /* at most one line in the log in so long */
	NET_UV_ACCEPTS_PER_TURN = 64, /* of one listener: accepting must not starve the open connections */
	NET_UV_READ_BYTES = 65536,    /* the largest slice that received() gets */
};

struct net_uv_options {
	size_t accepted_max, connected_max; /* 0: the defaults */
	int64_t flush_ms;		    /* 0: NET_UV_FLUSH_MS */
	struct log *log;		    /* or NULL; outlives the net */
};

struct net_uv;
struct net_listener;

/* NULL: no memory. options may be NULL. */
struct net_uv *net_uv_new(struct os_loop *loop, const struct net_uv_options *options);
/* Ends all connections and listeners without events. Memory is given back in the next turn or by
 * os_loop_free. */
void net_uv_free(struct net_uv *net);

struct net *net_uv_port(struct net_uv *net);

/* From now on, new handshakes use these; NULL: this side has no TLS. References are taken; those of the
 * caller stay his. */
void net_uv_set_tls(struct net_uv *net, struct tls_context *server, struct tls_context *client);

/* Accepts connections on a listening socket. Each is given to accepted(), from the loop: it stays paused and
 * silent until it is attached, or closed. Takes the descriptor over, unless NULL is returned: no memory, or
 * not a socket. */
struct net_listener *net_uv_listen_fd(struct net_uv *net, int descriptor,
				      void (*accepted)(void *owner, struct net_conn *conn), void *owner);
/* Accepts nothing more and closes the descriptor; connections that were accepted live on. */
void net_uv_listen_stop(struct net_listener *listener);

/* How many connections are open, those that are being flushed included. */
size_t net_uv_accepted(const struct net_uv *net);
size_t net_uv_connected(const struct net_uv *net);

#endif
