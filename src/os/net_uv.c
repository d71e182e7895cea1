#include "os/net_uv.h"

#include <stdlib.h>

#include "base/check.h"
#include "os/net_private.h"

/* --- deadlines ------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer);

static void schedule(struct net_uv *net)
{
	const struct heap_node *first = heap_first(&net->deadlines);

	if (first == NULL || net->freed) {
		(void)uv_timer_stop(&net->timer);
		return;
	}
	int64_t now = os_loop_clock(net->loop)->now_us;
	uint64_t wait_ms = first->key > now ? (uint64_t)(first->key - now + 1999) / 1000 : 0;
	(void)uv_timer_start(&net->timer, on_timer, wait_ms, 0);
}

static void on_timer(uv_timer_t *timer)
{
	struct net_uv *net = timer->data;
	int64_t now = os_loop_clock(net->loop)->now_us;

	for (struct heap_node *first = heap_first(&net->deadlines); first != NULL && first->key <= now;
	     first = heap_first(&net->deadlines)) {
		struct net_deadline *deadline = container_of(first, struct net_deadline, node);
		heap_remove(&net->deadlines, first);
		deadline->expired(deadline);
	}
	schedule(net);
}

void net_deadline_set(struct net_uv *net, struct net_deadline *deadline, int64_t at_us)
{
	heap_move(&net->deadlines, &deadline->node, at_us);
	if (heap_first(&net->deadlines) == &deadline->node)
		schedule(net);
}

void net_deadline_clear(struct net_uv *net, struct net_deadline *deadline)
{
	heap_remove(&net->deadlines, &deadline->node); /* the timer may come once for nothing */
}

/* --- life ------------------------------------------------------------------------------------ */

void net_handle_closed(struct net_uv *net)
{
	check(net->handles > 0);
	if (--net->handles == 0)
		free(net);
}

static void on_timer_closed(uv_handle_t *handle)
{
	net_handle_closed(handle->data);
}

void net_uv_free(struct net_uv *net)
{
	if (net == NULL)
		return;
	net->freed = true;
	os_task_cancel(&net->deliver);
	net_listeners_stop(net);
	list_each_safe(node, after, &net->connections) {
		struct net_conn *conn = container_of(node, struct net_conn, node);
		if (conn->state != CONN_CLOSING)
			conn_destroy(conn);
	}
	net_uv_set_tls(net, NULL, NULL);
	uv_close((uv_handle_t *)&net->timer, on_timer_closed);
}

struct net *net_uv_port(struct net_uv *net)
{
	return &net->port;
}

void net_uv_set_tls(struct net_uv *net, struct tls_context *server, struct tls_context *client)
{
	struct tls_context *old_server = net->server, *old_client = net->client;

	net->server = server != NULL ? tls_context_ref(server) : NULL;
	net->client = client != NULL ? tls_context_ref(client) : NULL;
	tls_context_unref(old_server);
	tls_context_unref(old_client);
}

size_t net_uv_accepted(const struct net_uv *net)
{
	return net->accepted;
}

size_t net_uv_connected(const struct net_uv *net)
{
	return net->connected;
}

/* --- events that wait for the end of the turn ------------------------------------------------ */

static void deliver(struct os_task *task)
{
	struct net_uv *net = container_of(task, struct net_uv, deliver);
	struct list now;

	if (list_empty(&net->pending))
		return;
	list_add_first(&net->pending, &now);
	list_remove(&net->pending);
	for (struct list *node = list_first(&now); node != NULL; node = list_first(&now)) {
		list_remove(node);
		conn_deliver(container_of(node, struct net_conn, pending));
	}
}

struct net_uv *net_uv_new(struct os_loop *loop, const struct net_uv_options *options)
{
	struct net_uv *net = calloc(1, sizeof(*net));

	if (net == NULL)
		return NULL;
	net->port.ops = &net_uv_ops;
	net->loop = loop;
	net->accepted_max = NET_UV_ACCEPTED_MAX;
	net->connected_max = NET_UV_CONNECTED_MAX;
	net->flush_ms = NET_UV_FLUSH_MS;
	if (options != NULL) {
		net->log = options->log;
		if (options->accepted_max != 0)
			net->accepted_max = options->accepted_max;
		if (options->connected_max != 0)
			net->connected_max = options->connected_max;
		if (options->flush_ms != 0)
			net->flush_ms = options->flush_ms;
	}
	list_init(&net->connections);
	list_init(&net->listeners);
	list_init(&net->pending);
	net->deliver.run = deliver;
	(void)uv_timer_init(os_loop_uv(loop), &net->timer);
	net->timer.data = net;
	net->handles = 1;
	return net;
}
