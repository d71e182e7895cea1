/* The relay's face of the simulated network: struct net of port/net.h. */
#include "sim/link.h"

#include "base/check.h"

static struct sim_host *host_of(const struct net *net)
{
	return container_of(net, struct sim_host, port);
}

static struct net_conn *port_connect(struct net *net, const struct net_address *to,
				     const struct net_address *from, int64_t timeout_ms,
				     const struct net_events *events, void *owner)
{
	return sim_connect(host_of(net), to, timeout_ms, events, owner);
}

static int port_write(struct net_conn *conn, struct slice bytes)
{
	check(conn->held);
	link_write(conn, bytes);
	return 0;
}

static size_t port_unsent(const struct net_conn *conn)
{
	check(conn->held);
	return buffer_size(&conn->link->pipe[conn->side].unsent);
}

static void port_pause(struct net_conn *conn, bool paused)
{
	check(conn->held);
	sim_pause(conn, paused);
}

static int port_start_tls(struct net_conn *conn, bool as_server, struct slice server_name)
{
	check(conn->held);
	if (as_server && !conn->link->host[conn->side]->tls_server)
		return ERR_STATE;
	sim_start_tls(conn);
	return 0;
}

static void port_close(struct net_conn *conn, bool flush)
{
	check(conn->held); /* closed twice, or after closed() */
	link_close(conn, flush);
}

static void port_peer(const struct net_conn *conn, struct net_address *ret_address)
{
	*ret_address = conn->link->address[1 - conn->side];
}

static void port_local(const struct net_conn *conn, struct net_address *ret_address)
{
	*ret_address = conn->link->address[conn->side];
}

static bool port_tls_ready(const struct net *net, bool as_server)
{
	return !as_server || host_of(net)->tls_server;
}

struct net *sim_host_net(struct sim_host *host)
{
	static const struct net_ops ops = {
	    .connect = port_connect,
	    .attach = sim_attach,
	    .write = port_write,
	    .unsent = port_unsent,
	    .pause = port_pause,
	    .start_tls = port_start_tls,
	    .close = port_close,
	    .peer = port_peer,
	    .local = port_local,
	    .tls_ready = port_tls_ready,
	};

	host->port.ops = &ops;
	return &host->port;
}
