/* Connections on loopback: both directions, back pressure, ends, closing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/address.h"
#include "os/listen.h"
#include "peers.h"

enum { BIG = 8 * 1024 * 1024 };

static char *pattern(size_t size)
{
	char *bytes = malloc(size);

	assert_non_null(bytes);
	for (size_t i = 0; i < size; i++)
		bytes[i] = (char)(i * 31 + i / 251);
	return bytes;
}

static void assert_got(const struct end *end, const char *bytes, size_t size)
{
	assert_int_equal(buffer_size(&end->got), size);
	assert_memory_equal(buffer_slice(&end->got).data, bytes, size);
}

/* A plain blocking socket connected to the world's listener. */
static int plain_client(const struct world *w)
{
	union os_sockaddr s;
	socklen_t size = os_sockaddr_from(&w->address, &s);
	int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(descriptor >= 0);
	assert_int_equal(connect(descriptor, &s.any, size), 0);
	return descriptor;
}

static bool server_attached(struct world *w)
{
	return w->server.conn != NULL;
}

/* --- bytes ----------------------------------------------------------------------------------- */

static bool client_has_five(struct world *w)
{
	return buffer_size(&w->client.got) == 5 && w->client.drained == 1 && w->server.drained == 1;
}

static void test_echo(void **state)
{
	struct world w;
	struct net_address a, b;

	(void)state;
	world_init(&w, NULL);
	w.server.echo = true;
	world_connect(&w);
	w.net->ops->peer(w.client.conn, &a);
	assert_true(net_address_equal(&a, &w.address));
	w.net->ops->local(w.server.conn, &a);
	assert_true(net_address_equal(&a, &w.address));
	w.net->ops->local(w.client.conn, &a);
	w.net->ops->peer(w.server.conn, &b);
	assert_true(net_address_equal(&a, &b));
	end_write(&w.client, SLICE("hello"));
	world_until(&w, client_has_five);
	assert_got(&w.client, "hello", 5);
	assert_got(&w.server, "hello", 5);
	assert_int_equal(w.server.connected, 0);
	end_close(&w.client, false);
	world_until(&w, server_closed);
	assert_int_equal(w.server.how, NET_END_EOF);
	world_until(&w, nothing_open);
	world_deinit(&w);
}

static bool server_has_big(struct world *w)
{
	return buffer_size(&w->server.got) == BIG;
}

static bool client_drained(struct world *w)
{
	return w->client.drained > 0;
}

/* A reader that pauses holds the writer up: most stays unsent until it goes on. */
static void test_back_pressure(void **state)
{
	struct world w;
	char *bytes = pattern(BIG);

	(void)state;
	world_init(&w, NULL);
	w.server.pause_on_receive = true;
	world_connect(&w);
	end_write(&w.client, slice_make(bytes, BIG / 2));
	end_write(&w.client, slice_make(bytes + BIG / 2, BIG - BIG / 2));
	world_turns(&w, 200);
	assert_true(buffer_size(&w.server.got) <= NET_UV_READ_BYTES);
	assert_int_equal(w.client.drained, 0);
	assert_true(w.net->ops->unsent(w.client.conn) > 0);

	w.server.pause_on_receive = false;
	end_pause(&w.server, false);
	world_until(&w, server_has_big);
	world_until(&w, client_drained);
	assert_int_equal(w.client.drained, 1);
	assert_int_equal(w.net->ops->unsent(w.client.conn), 0);
	assert_got(&w.server, bytes, BIG);
	free(bytes);
	world_deinit(&w);
}

enum { SMALL_COUNT = 2000, SMALL_BYTES = 4096, SMALL_TOTAL = SMALL_COUNT * SMALL_BYTES };

static bool server_has_small(struct world *w)
{
	return buffer_size(&w->server.got) == SMALL_TOTAL && w->client.drained > 0;
}

static void test_many_small_writes_keep_their_order(void **state)
{
	struct world w;
	char *bytes = pattern(SMALL_TOTAL);

	(void)state;
	world_init(&w, NULL);
	world_connect(&w);
	for (size_t at = 0; at < SMALL_TOTAL; at += SMALL_BYTES)
		end_write(&w.client, slice_make(bytes + at, SMALL_BYTES));
	end_write(&w.client, (struct slice){.data = NULL, .size = 0});
	world_until(&w, server_has_small);
	assert_int_equal(w.client.drained, 1);
	assert_got(&w.server, bytes, SMALL_TOTAL);
	free(bytes);
	world_deinit(&w);
}

/* --- ends ------------------------------------------------------------------------------------ */

static void test_connect_refused(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, NULL);
	net_uv_listen_stop(w.listener); /* its port is now nobody's */
	w.client.conn = w.net->ops->connect(w.net, &w.address, NULL, 5000, &end_events, &w.client);
	world_until(&w, client_closed);
	assert_int_equal(w.client.how, NET_END_REFUSED);
	assert_int_equal(w.client.connected, 0);
	assert_string_equal(w.client.detail, "connection refused");
	world_until(&w, nothing_open);
	world_deinit(&w);
}

/* A listening socket whose backlog is full does not answer. */
static void test_connect_timeout(void **state)
{
	enum { FILLERS = 8 };
	struct world w;
	struct net_address any = {.family = 4, .bytes = {127, 0, 0, 1}};
	char message[OS_LISTEN_MESSAGE_SIZE];
	struct end fillers[FILLERS];

	(void)state;
	world_init(&w, NULL);
	int descriptor = os_listen_socket(&any, 0, message);
	assert_true(descriptor >= 0);
	any = os_listen_address(descriptor);
	for (int i = 0; i < FILLERS; i++) {
		end_init(&fillers[i], &w);
		fillers[i].conn = w.net->ops->connect(w.net, &any, NULL, 60000, &end_events, &fillers[i]);
		assert_non_null(fillers[i].conn);
	}
	world_turns(&w, 50);
	int64_t before = os_loop_clock(w.loop)->now_us;
	w.client.conn = w.net->ops->connect(w.net, &any, NULL, 150, &end_events, &w.client);
	world_until(&w, client_closed);
	assert_int_equal(w.client.how, NET_END_TIMEOUT);
	assert_true(os_loop_clock(w.loop)->now_us - before >= CLOCK_MS(150));
	(void)close(descriptor);
	world_deinit(&w);
}

static void test_connect_from(void **state)
{
	struct world w;
	struct net_address from = {.family = 4, .bytes = {127, 0, 0, 9}}, seen;

	(void)state;
	world_init(&w, NULL);
	w.client.conn = w.net->ops->connect(w.net, &w.address, &from, 5000, &end_events, &w.client);
	world_until(&w, both_open);
	w.net->ops->peer(w.server.conn, &seen);
	assert_true(net_address_same_host(&seen, &from));
	world_deinit(&w);
}

/* What cannot even be tried is told later too, and as our own trouble. */
static void test_connect_impossible(void **state)
{
	static const struct {
		struct net_address to, from;
	} cases[] = {
	    {.to = {.family = 0}},
	    {.to = {.family = 4, .bytes = {127, 0, 0, 1}, .port = 25},
	     .from = {.family = 6, .bytes = {[15] = 1}}},
	    {.to = {.family = 4, .bytes = {127, 0, 0, 1}, .port = 25},
	     .from = {.family = 4, .bytes = {192, 0, 2, 77}}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world w;
		world_init(&w, NULL);
		w.client.conn =
		    w.net->ops->connect(w.net, &cases[i].to, &cases[i].from, 5000, &end_events, &w.client);
		assert_non_null(w.client.conn);
		end_write(&w.client, SLICE("lost"));
		assert_int_equal(w.client.closed, 0);
		world_until(&w, client_closed);
		assert_int_equal(w.client.how, NET_END_LOCAL);
		world_deinit(&w);
	}
}

static void test_reset_by_peer(void **state)
{
	struct world w;
	struct linger linger = {.l_onoff = 1, .l_linger = 0};

	(void)state;
	world_init(&w, NULL);
	int peer = plain_client(&w);
	world_until(&w, server_attached);
	assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	(void)close(peer);
	world_until(&w, server_closed);
	assert_int_equal(w.server.how, NET_END_RESET);
	world_deinit(&w);
}

static void test_write_after_reset(void **state)
{
	struct world w;
	struct linger linger = {.l_onoff = 1, .l_linger = 0};

	(void)state;
	world_init(&w, NULL);
	int peer = plain_client(&w);
	world_until(&w, server_attached);
	end_pause(&w.server, true); /* so that only writing can notice */
	assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	(void)close(peer);
	end_write(&w.server, SLICE("x"));
	end_write(&w.server, SLICE("y"));
	assert_int_equal(w.server.closed, 0);
	world_until(&w, server_closed);
	assert_int_equal(w.server.how, NET_END_RESET);
	world_deinit(&w);
}

/* --- closing --------------------------------------------------------------------------------- */

static bool peer_at_end(struct world *w)
{
	return w->client.closed == 1;
}

static void test_flush_close_delivers_everything(void **state)
{
	struct world w;
	char *bytes = pattern(BIG);

	(void)state;
	world_init(&w, NULL);
	world_connect(&w);
	end_write(&w.server, slice_make(bytes, BIG));
	end_close(&w.server, true);
	assert_int_equal(net_uv_accepted(w.uv), 1);
	world_until(&w, peer_at_end);
	assert_int_equal(w.client.how, NET_END_EOF);
	assert_got(&w.client, bytes, BIG);
	world_until(&w, nothing_open);
	free(bytes);
	world_deinit(&w);
}

/* The peer keeps talking while we say goodbye: its unread bytes must not turn our last reply into a reset. */
static void test_flush_close_with_unread_input(void **state)
{
	struct world w;
	char reply[64];
	char *bytes = pattern(100000);

	(void)state;
	world_init(&w, NULL);
	int peer = plain_client(&w);
	world_until(&w, server_attached);
	end_pause(&w.server, true);
	assert_true(send(peer, bytes, 100000, 0) > 0);
	world_turns(&w, 20);
	end_write(&w.server, SLICE("421 goodbye\r\n"));
	end_close(&w.server, true);
	world_turns(&w, 50);
	assert_true(send(peer, "QUIT\r\n", 6, MSG_NOSIGNAL) > 0);
	world_turns(&w, 50);
	assert_int_equal(recv(peer, reply, sizeof(reply), 0), 13);
	assert_int_equal(recv(peer, reply, sizeof(reply), 0), 0);
	assert_int_equal(net_uv_accepted(w.uv), 1); /* still waits for the peer */
	(void)close(peer);
	world_until(&w, nothing_open);
	free(bytes);
	world_deinit(&w);
}

/* A peer that never closes is left after flush_ms. */
static void test_flush_close_is_bounded(void **state)
{
	struct world w;
	struct net_uv_options options = {.flush_ms = 200};

	(void)state;
	world_init(&w, &options);
	int peer = plain_client(&w);
	world_until(&w, server_attached);
	int64_t before = os_loop_clock(w.loop)->now_us;
	end_close(&w.server, true);
	world_until(&w, nothing_open);
	int64_t took_us = os_loop_clock(w.loop)->now_us - before;
	assert_in_range((uintmax_t)took_us, CLOCK_MS(200), CLOCK_MS(2000));
	(void)close(peer);
	world_deinit(&w);
}

static void reply_when_asked(struct end *end, struct slice bytes)
{
	(void)bytes;
	end_write(end, SLICE("221 bye\r\n"));
}

/* A peer that half-closes behind its last command still reads the replies to what it sent. */
static void test_replies_after_half_close(void **state)
{
	struct world w;
	char reply[64];

	(void)state;
	world_init(&w, NULL);
	w.server.on_received = reply_when_asked;
	int peer = plain_client(&w);
	world_until(&w, server_attached);
	assert_int_equal(send(peer, "QUIT\r\n", 6, 0), 6);
	assert_int_equal(shutdown(peer, SHUT_WR), 0);
	world_until(&w, server_closed);
	assert_int_equal(w.server.how, NET_END_EOF);
	world_until(&w, nothing_open);
	assert_int_equal(recv(peer, reply, sizeof(reply), 0), 9);
	assert_int_equal(recv(peer, reply, sizeof(reply), 0), 0);
	(void)close(peer);
	world_deinit(&w);
}

static void close_at_once(struct end *end, struct slice bytes)
{
	(void)bytes;
	end_close(end, false);
}

static void test_close_inside_an_event(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, NULL);
	w.server.on_received = close_at_once;
	world_connect(&w);
	end_write(&w.client, SLICE("first"));
	world_until(&w, client_closed);
	assert_null(w.server.conn);
	assert_int_equal(w.server.closed, 0);
	world_deinit(&w);
}

static void test_close_while_connecting(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, NULL);
	w.attach = false;
	w.client.conn = w.net->ops->connect(w.net, &w.address, NULL, 5000, &end_events, &w.client);
	end_write(&w.client, SLICE("early"));
	end_close(&w.client, true);
	world_turns(&w, 20);
	assert_int_equal(net_uv_connected(w.uv), 0);
	assert_int_equal(w.client.connected, 0);
	world_deinit(&w);
}

static void test_write_while_connecting(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, NULL);
	w.server.echo = true;
	w.client.conn = w.net->ops->connect(w.net, &w.address, NULL, 5000, &end_events, &w.client);
	end_write(&w.client, SLICE("hello"));
	world_until(&w, client_has_five);
	world_deinit(&w);
}

/* --- accepting ------------------------------------------------------------------------------- */

static bool three_accepted(struct world *w)
{
	return w->accepted == 3;
}

static bool four_accepted(struct world *w)
{
	return w->accepted == 4;
}

static void test_accept_limit(void **state)
{
	struct world w;
	struct net_uv_options options = {.accepted_max = 3};
	int peers[4];

	(void)state;
	world_init(&w, &options);
	w.attach = false;
	for (int i = 0; i < 4; i++)
		peers[i] = plain_client(&w);
	world_until(&w, three_accepted);
	world_turns(&w, 20);
	assert_int_equal(w.accepted, 3);
	assert_int_equal(net_uv_accepted(w.uv), 3);
	w.net->ops->close(w.waiting[1], false);
	world_until(&w, four_accepted);
	assert_int_equal(net_uv_accepted(w.uv), 3);
	for (int i = 0; i < 4; i++)
		(void)close(peers[i]);
	world_deinit(&w);
}

static void test_connect_limit(void **state)
{
	struct world w;
	struct net_uv_options options = {.connected_max = 1};
	struct end second;

	(void)state;
	world_init(&w, &options);
	world_connect(&w);
	w.attach = false;
	end_init(&second, &w);
	second.conn = w.net->ops->connect(w.net, &w.address, NULL, 5000, &end_events, &second);
	assert_non_null(second.conn);
	world_turns(&w, 5);
	assert_int_equal(second.closed, 1);
	assert_int_equal(second.how, NET_END_LOCAL);
	end_close(&w.client, false);
	world_turns(&w, 5);
	end_init(&second, &w);
	second.conn = w.net->ops->connect(w.net, &w.address, NULL, 5000, &end_events, &second);
	while (second.connected == 0)
		world_turns(&w, 1);
	world_deinit(&w);
}

static bool one_accepted(struct world *w)
{
	return w->accepted == 1;
}

/* Without descriptors, senders wait; nothing is dropped. */
static void test_out_of_descriptors(void **state)
{
	struct world w;
	struct rlimit before, none;

	(void)state;
	world_init(&w, NULL);
	w.attach = false;
	int peer = plain_client(&w);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = (rlim_t)peer; /* the next descriptor would be above */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	world_turns(&w, 20);
	assert_int_equal(w.accepted, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	world_until(&w, one_accepted);
	(void)close(peer);
	world_deinit(&w);
}

static void test_accepted_is_silent_until_attached(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, NULL);
	w.attach = false;
	int peer = plain_client(&w);
	assert_int_equal(send(peer, "early", 5, 0), 5);
	world_until(&w, one_accepted);
	world_turns(&w, 10);
	assert_int_equal(buffer_size(&w.server.got), 0);
	w.server.conn = w.waiting[0];
	w.net->ops->attach(w.server.conn, &end_events, &w.server);
	(void)close(peer);
	world_until(&w, server_closed);
	assert_got(&w.server, "early", 5);
	world_deinit(&w);
}

/* --- listening sockets ----------------------------------------------------------------------- */

static void test_listen_messages(void **state)
{
	char message[OS_LISTEN_MESSAGE_SIZE] = "";
	struct net_address any = {.family = 4, .bytes = {127, 0, 0, 1}};
	struct net_address foreign = {.family = 4, .bytes = {192, 0, 2, 77}, .port = 2525};

	(void)state;
	int first = os_listen_socket(&any, 1, message);
	assert_true(first >= 0);
	any = os_listen_address(first);
	assert_int_equal(os_listen_socket(&any, 1, message), ERR_BUSY);
	assert_non_null(strstr(message, "another program has this port"));
	assert_int_equal(os_listen_socket(&foreign, 1, message), ERR_MISSING);
	assert_non_null(strstr(message, "192.0.2.77:2525"));
	(void)close(first);
	int again = os_listen_socket(&any, 1, message);
	assert_true(again >= 0);
	(void)close(again);
}

/* The same port for both families. 0: it works; 1: somebody else has the port of IPv4, which only another
 * port can tell from our fault; -1: no IPv6. */
static int listen_on_both(void)
{
	char message[OS_LISTEN_MESSAGE_SIZE] = "";
	struct net_address v6 = {.family = 6}, v4 = {.family = 4};
	int first = os_listen_socket(&v6, 1, message);

	if (first == ERR_MISSING)
		return -1;
	assert_true(first >= 0);
	v4.port = os_listen_address(first).port;
	int second = os_listen_socket(&v4, 1, message);
	(void)close(first);
	if (second < 0)
		return 1;
	(void)close(second);
	return 0;
}

static void test_listen_ipv6_only(void **state)
{
	int result = 1;

	(void)state;
	for (int tries = 0; tries < 100 && result == 1; tries++)
		result = listen_on_both();
	if (result < 0) {
		print_message("skipped: this machine has no IPv6\n");
		skip();
	}
	assert_int_equal(result, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_echo),
	    cmocka_unit_test(test_back_pressure),
	    cmocka_unit_test(test_many_small_writes_keep_their_order),
	    cmocka_unit_test(test_connect_refused),
	    cmocka_unit_test(test_connect_timeout),
	    cmocka_unit_test(test_connect_from),
	    cmocka_unit_test(test_connect_impossible),
	    cmocka_unit_test(test_reset_by_peer),
	    cmocka_unit_test(test_write_after_reset),
	    cmocka_unit_test(test_flush_close_delivers_everything),
	    cmocka_unit_test(test_flush_close_with_unread_input),
	    cmocka_unit_test(test_flush_close_is_bounded),
	    cmocka_unit_test(test_replies_after_half_close),
	    cmocka_unit_test(test_close_inside_an_event),
	    cmocka_unit_test(test_close_while_connecting),
	    cmocka_unit_test(test_write_while_connecting),
	    cmocka_unit_test(test_accept_limit),
	    cmocka_unit_test(test_connect_limit),
	    cmocka_unit_test(test_out_of_descriptors),
	    cmocka_unit_test(test_accepted_is_silent_until_attached),
	    cmocka_unit_test(test_listen_messages),
	    cmocka_unit_test(test_listen_ipv6_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
