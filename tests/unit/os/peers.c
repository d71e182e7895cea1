#include "peers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "os/listen.h"

/* --- events ---------------------------------------------------------------------------------- */

static struct end *told(void *owner)
{
	struct end *end = owner;

	assert_false(end->in_call); /* never from inside one of our calls */
	assert_int_equal(end->closed, 0);
	assert_non_null(end->conn); /* nothing after close */
	return end;
}

static void on_connected(void *owner)
{
	told(owner)->connected++;
}

static void on_received(void *owner, struct slice bytes)
{
	struct end *end = told(owner);

	assert_true(bytes.size > 0);
	assert_true(bytes.size <= NET_UV_READ_BYTES);
	if (bytes.size > end->biggest)
		end->biggest = bytes.size;
	assert_int_equal(buffer_add(&end->got, bytes), 0);
	if (end->echo)
		end_write(end, bytes);
	if (end->pause_on_receive)
		end_pause(end, true);
	if (end->on_received != NULL)
		end->on_received(end, bytes);
}

static void on_drained(void *owner)
{
	struct end *end = told(owner);

	end->drained++;
	assert_int_equal(end->world->net->ops->unsent(end->conn), 0);
}

static void on_secured(void *owner, const struct net_tls_state *state)
{
	struct end *end = told(owner);

	end->secured++;
	end->tls = *state;
}

static void on_closed(void *owner, enum net_end how, const char *detail)
{
	struct end *end = told(owner);

	end->closed++;
	end->how = how;
	(void)snprintf(end->detail, sizeof(end->detail), "%s", detail);
	end->conn = NULL;
}

const struct net_events end_events = {
    .connected = on_connected,
    .received = on_received,
    .drained = on_drained,
    .secured = on_secured,
    .closed = on_closed,
};

/* --- calls ----------------------------------------------------------------------------------- */

void end_init(struct end *end, struct world *w)
{
	*end = (struct end){.world = w};
	buffer_init(&end->got, 0);
}

void end_write(struct end *end, struct slice bytes)
{
	bool before = end->in_call;

	end->in_call = true;
	assert_int_equal(end->world->net->ops->write(end->conn, bytes), 0);
	end->in_call = before;
}

void end_pause(struct end *end, bool paused)
{
	end->in_call = true;
	end->world->net->ops->pause(end->conn, paused);
	end->in_call = false;
}

void end_close(struct end *end, bool flush)
{
	end->in_call = true;
	end->world->net->ops->close(end->conn, flush);
	end->in_call = false;
	end->conn = NULL;
}

int end_start_tls(struct end *end, bool as_server, struct slice name)
{
	end->in_call = true;
	int error = end->world->net->ops->start_tls(end->conn, as_server, name);
	end->in_call = false;
	return error;
}

/* --- the world ------------------------------------------------------------------------------- */

static void on_turn(void *owner, const struct clock_reading *now)
{
	struct world *w = owner;

	w->turns++;
	assert_true(now->now_us > 0);
}

static const struct os_loop_events loop_events = {.turn = on_turn};

static void on_accepted(void *owner, struct net_conn *conn)
{
	struct world *w = owner;

	assert_true(w->accepted < 64);
	if (w->attach && w->server.conn == NULL && w->server.closed == 0) {
		w->server.conn = conn;
		w->net->ops->attach(conn, &end_events, &w->server);
	} else {
		w->waiting[w->accepted] = conn;
	}
	w->accepted++;
}

void world_init(struct world *w, const struct net_uv_options *options)
{
	char message[OS_LISTEN_MESSAGE_SIZE];
	struct net_address any = {.family = 4, .bytes = {127, 0, 0, 1}};

	*w = (struct world){.attach = true};
	w->loop = os_loop_new(&loop_events, w);
	assert_non_null(w->loop);
	w->uv = net_uv_new(w->loop, options);
	assert_non_null(w->uv);
	w->net = net_uv_port(w->uv);
	int descriptor = os_listen_socket(&any, 16, message);
	assert_true(descriptor >= 0);
	w->address = os_listen_address(descriptor);
	assert_true(w->address.port != 0);
	w->listener = net_uv_listen_fd(w->uv, descriptor, on_accepted, w);
	assert_non_null(w->listener);
	end_init(&w->client, w);
	end_init(&w->server, w);
}

void world_deinit(struct world *w)
{
	net_uv_free(w->uv);
	os_loop_free(w->loop);
	buffer_deinit(&w->client.got);
	buffer_deinit(&w->server.got);
}

void world_turns(struct world *w, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		os_loop_run_once(w->loop, false);
}

void world_until(struct world *w, bool (*condition)(struct world *w))
{
	int64_t limit = os_loop_clock(w->loop)->now_us + CLOCK_MS(PEERS_LIMIT_MS);

	while (!condition(w)) {
		int64_t now = os_loop_clock(w->loop)->now_us;
		assert_true(now < limit);
		os_loop_set_deadline(w->loop, now + CLOCK_MS(PEERS_TURN_MS));
		os_loop_run_once(w->loop, true);
	}
}

void world_connect(struct world *w)
{
	w->client.in_call = true;
	w->client.conn = w->net->ops->connect(w->net, &w->address, NULL, 5000, &end_events, &w->client);
	w->client.in_call = false;
	assert_non_null(w->client.conn);
	world_until(w, both_open);
}

/* --- conditions ------------------------------------------------------------------------------ */

bool both_open(struct world *w)
{
	return w->client.connected == 1 && (w->server.conn != NULL || !w->attach);
}

bool client_closed(struct world *w)
{
	return w->client.closed == 1;
}

bool server_closed(struct world *w)
{
	return w->server.closed == 1;
}

bool both_secured(struct world *w)
{
	return w->client.secured == 1 && w->server.secured == 1;
}

bool nothing_open(struct world *w)
{
	return net_uv_accepted(w->uv) == 0 && net_uv_connected(w->uv) == 0;
}
