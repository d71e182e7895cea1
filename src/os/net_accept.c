/* Listeners: from a listening socket to connections that wait for their owner. See os/net_uv.h.
 *
 * libuv's own uv_listen is not used, because it answers a lack of descriptors by dropping all connections
 * that wait.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/address.h"
#include "os/net_private.h"

struct net_listener {
	uv_poll_t uv;
	struct net_uv *net;
	struct list node;
	struct net_deadline retry; /* after the system refused */
	int descriptor;
	bool paused, stopped;
	void (*accepted)(void *owner, struct net_conn *conn);
	void *owner;
};

static void on_readable(uv_poll_t *poll, int status, int events);

static void pause_listener(struct net_listener *listener)
{
	listener->paused = true;
	(void)uv_poll_stop(&listener->uv);
}

static void resume_listener(struct net_listener *listener)
{
	if (!listener->paused || listener->net->accepted >= listener->net->accepted_max)
		return;
	listener->paused = false;
	net_deadline_clear(listener->net, &listener->retry);
	(void)uv_poll_start(&listener->uv, UV_READABLE, on_readable);
}

void net_listeners_resume(struct net_uv *net)
{
	if (net->freed)
		return;
	list_each(node, &net->listeners)
		resume_listener(container_of(node, struct net_listener, node));
}

static void on_retry(struct net_deadline *deadline)
{
	resume_listener(container_of(deadline, struct net_listener, retry));
}

static void warn(struct net_uv *net, const char *message, const char *reason)
{
	int64_t now = os_loop_clock(net->loop)->now_us;

	if (net->log == NULL || now < net->next_warning_us)
		return;
	net->next_warning_us = now + CLOCK_MS(NET_UV_ACCEPT_WARNING_MS);
	log_event(net->log, LOG_LEVEL_WARN, "net", 0, message, LOG_TEXT("reason", slice_of(reason)),
		  LOG_NUMBER("accepted", net->accepted), LOG_NUMBER("connected", net->connected));
}

/* The system has no room for another connection: it may have some when one ends, or a little later. */
static void refused_by_system(struct net_listener *listener, int cause)
{
	struct net_uv *net = listener->net;

	warn(net, "cannot accept connections for the moment; senders wait", strerrordesc_np(cause));
	pause_listener(listener);
	net_deadline_set(net, &listener->retry,
			 os_loop_clock(net->loop)->now_us + CLOCK_MS(NET_UV_ACCEPT_RETRY_MS));
}

static void take(struct net_listener *listener, int descriptor, const union os_sockaddr *from)
{
	struct net_conn *conn = conn_new(listener->net, true);

	if (conn == NULL) {
		(void)close(descriptor);
		refused_by_system(listener, ENOMEM);
		return;
	}
	if (uv_tcp_open(&conn->uv, descriptor) != 0) {
		(void)close(descriptor);
		conn_destroy(conn);
		return;
	}
	conn->peer = os_address_from(from);
	conn_set_options(conn);
	listener->accepted(listener->owner, conn);
}

/* False: stop for this turn. */
static bool accept_one(struct net_listener *listener)
{
	union os_sockaddr from = {.any.sa_family = AF_UNSPEC};
	socklen_t size = sizeof(from);
	int descriptor = accept4(listener->descriptor, &from.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (descriptor >= 0) {
		take(listener, descriptor, &from);
		return !listener->stopped && !listener->paused;
	}
	switch (errno) {
	case EAGAIN:
		return false;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		refused_by_system(listener, errno);
		return false;
	default: /* trouble of that connection, which is gone already: accept(2) lists a dozen */
		return true;
	}
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct net_listener *listener = poll->data;

	(void)status; /* accept4 will tell */
	(void)events;
	for (int i = 0; i < NET_UV_ACCEPTS_PER_TURN; i++) {
		if (listener->net->accepted >= listener->net->accepted_max) {
			warn(listener->net, "too many connections; senders wait", "limit reached");
			pause_listener(listener);
			return;
		}
		if (!accept_one(listener))
			return;
	}
}

struct net_listener *net_uv_listen_fd(struct net_uv *net, int descriptor,
				      void (*accepted)(void *owner, struct net_conn *conn), void *owner)
{
	struct net_listener *listener = calloc(1, sizeof(*listener));

	if (listener == NULL)
		return NULL;
	if (uv_poll_init(os_loop_uv(net->loop), &listener->uv, descriptor) != 0) {
		free(listener);
		return NULL;
	}
	listener->uv.data = listener;
	listener->net = net;
	listener->retry.expired = on_retry;
	listener->descriptor = descriptor;
	listener->accepted = accepted;
	listener->owner = owner;
	list_add_last(&net->listeners, &listener->node);
	net->handles++;
	(void)uv_poll_start(&listener->uv, UV_READABLE, on_readable);
	return listener;
}

static void on_closed(uv_handle_t *handle)
{
	struct net_listener *listener = handle->data;
	struct net_uv *net = listener->net;

	free(listener);
	net_handle_closed(net);
}

void net_uv_listen_stop(struct net_listener *listener)
{
	if (listener == NULL)
		return;
	listener->stopped = true;
	net_deadline_clear(listener->net, &listener->retry);
	list_remove(&listener->node);
	uv_close((uv_handle_t *)&listener->uv, on_closed);
	(void)close(listener->descriptor);
}

void net_listeners_stop(struct net_uv *net)
{
	list_each_safe(node, after, &net->listeners)
		net_uv_listen_stop(container_of(node, struct net_listener, node));
}
