/* Connecting: the socket, its options, the handshake of TCP. See os/net_uv.h. */
#include "os/net_private.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "os/address.h"

enum { /* a dead peer is noticed after about three minutes */
       KEEPALIVE_IDLE_S = 120,
       KEEPALIVE_INTERVAL_S = 15,
       KEEPALIVE_PROBES = 4,
};

void conn_set_options(struct net_conn *conn)
{
	static const int on = 1, idle = KEEPALIVE_IDLE_S, interval = KEEPALIVE_INTERVAL_S,
			 probes = KEEPALIVE_PROBES;
	uv_os_fd_t fd;

	if (uv_fileno((uv_handle_t *)&conn->uv, &fd) != 0)
		return;
	/* A connection without them works too. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

static void on_connected(uv_connect_t *request, int status)
{
	struct net_conn *conn = request->handle->data;

	conn->busy = false;
	if (conn->state != CONN_CONNECTING)
		return;
	if (status != 0) {
		conn_end_with(conn, status);
		return;
	}
	net_deadline_clear(conn->net, &conn->deadline);
	conn->state = CONN_OPEN;
	conn_set_options(conn);
	if (buffer_size(&conn->queued) > 0)
		conn_send_queued(conn);
	conn->events->connected(conn->owner);
	if (conn->state == CONN_OPEN)
		conn_update_reading(conn);
}

/* from: with any port, chosen by connect, which knows the whole pair: far more connections fit. A negative
 * errno. */
static int open_socket(const struct net_address *to, const struct net_address *from)
{
	static const int on = 1;
	int family = to->family == 4 ? AF_INET : AF_INET6;
	int descriptor = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (descriptor < 0)
		return -errno;
	if (from == NULL)
		return descriptor;
	union os_sockaddr s;
	struct net_address any_port = *from;
	any_port.port = 0;
	socklen_t size = os_sockaddr_from(&any_port, &s);
	(void)setsockopt(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (bind(descriptor, &s.any, size) != 0) {
		int cause = errno;
		(void)close(descriptor);
		return -cause;
	}
	return descriptor;
}

static int begin_connect(struct net_conn *conn, const struct net_address *from)
{
	union os_sockaddr s;

	if (conn->net->connected > conn->net->connected_max)
		return UV_EMFILE;
	if (conn->peer.family == 0 || (from != NULL && from->family != conn->peer.family))
		return UV_EAFNOSUPPORT;
	int descriptor = open_socket(&conn->peer, from);
	if (descriptor < 0)
		return descriptor; /* libuv's error values are negative errnos */
	int error = uv_tcp_open(&conn->uv, descriptor);
	if (error != 0) {
		(void)close(descriptor);
		return error;
	}
	(void)os_sockaddr_from(&conn->peer, &s);
	error = uv_tcp_connect(&conn->request.connect, &conn->uv, &s.any, on_connected);
	conn->busy = error == 0;
	return error;
}

struct net_conn *conn_connect(struct net *port, const struct net_address *to, const struct net_address *from,
			      int64_t timeout_ms, const struct net_events *events, void *owner)
{
	struct net_uv *net = container_of(port, struct net_uv, port);
	struct net_conn *conn = conn_new(net, false);

	if (conn == NULL)
		return NULL;
	conn->events = events;
	conn->owner = owner;
	conn->peer = *to;
	if (from != NULL && from->family == 0)
		from = NULL;
	int error = begin_connect(conn, from);
	if (error != 0)
		conn_end_with(conn, error);
	else
		net_deadline_set(net, &conn->deadline,
				 os_loop_clock(net->loop)->now_us + CLOCK_MS(timeout_ms));
	return conn;
}
