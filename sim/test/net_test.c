/* The simulated network against itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/check.h"
#include "sim/net.h"

enum { PORT = 25, TIMEOUT_MS = 5000 };

struct end {
	struct net_conn *conn;
	struct buffer received;
	unsigned connected, secured, drained, closed;
	enum net_end how;
};

struct stage {
	struct sim_world world;
	struct sim_net net;
	struct sim_host *a, *b;
	struct end client, server;
	struct net_address to;
};

static void on_connected(void *owner)
{
	((struct end *)owner)->connected++;
}

static void on_received(void *owner, struct slice bytes)
{
	struct end *end = owner;

	assert_int_equal(end->closed, 0);
	assert_int_equal(buffer_add(&end->received, bytes), 0);
}

static void on_drained(void *owner)
{
	((struct end *)owner)->drained++;
}

static void on_secured(void *owner, const struct net_tls_state *state)
{
	assert_string_equal(state->version, "TLSv1.3");
	((struct end *)owner)->secured++;
}

static void on_closed(void *owner, enum net_end how, const char *detail)
{
	struct end *end = owner;

	end->closed++;
	end->how = how;
	end->conn = NULL;
}

static const struct net_events events = {.connected = on_connected,
					 .received = on_received,
					 .drained = on_drained,
					 .secured = on_secured,
					 .closed = on_closed};

static void on_accept(void *owner, struct net_conn *conn)
{
	struct stage *stage = owner;

	stage->server.conn = conn;
	sim_attach(conn, &events, &stage->server);
}

static void set_up(struct stage *stage, uint64_t seed)
{
	*stage = (struct stage){.to = {.family = 4, .bytes = {10, 0, 0, 2}, .port = PORT}};
	sim_world_init(&stage->world, seed, NULL);
	sim_net_init(&stage->net, &stage->world);
	stage->a = sim_host_new(&stage->net, "a", (struct net_address){.family = 4, .bytes = {10, 0, 0, 1}});
	stage->b = sim_host_new(&stage->net, "b", stage->to);
	stage->b->tls_server = true;
	sim_host_listen(stage->b, PORT, on_accept, stage);
	buffer_init(&stage->client.received, 0);
	buffer_init(&stage->server.received, 0);
}

static void tear_down(struct stage *stage)
{
	sim_net_deinit(&stage->net);
	buffer_deinit(&stage->client.received);
	buffer_deinit(&stage->server.received);
}

static void run(struct stage *stage, int64_t us)
{
	int64_t until = stage->world.now_us + us;

	while (sim_next_us(&stage->world) <= until) {
		stage->world.now_us = sim_next_us(&stage->world);
		(void)sim_fire_due(&stage->world);
	}
	stage->world.now_us = until;
}

static void connect_both(struct stage *stage)
{
	stage->client.conn = sim_connect(stage->a, &stage->to, TIMEOUT_MS, &events, &stage->client);
	run(stage, 10000);
	assert_int_equal(stage->client.connected, 1);
	assert_true(stage->server.conn != NULL || stage->server.closed > 0);
}

static void fill(struct buffer *to, size_t size)
{
	for (size_t i = 0; i < size; i++)
		assert_int_equal(buffer_append(to, &(char){(char)(i * 7 + i / 251)}, 1), 0);
}

static bool is_prefix(const struct buffer *part, const struct buffer *whole)
{
	return buffer_size(part) <= buffer_size(whole) &&
	       slice_equal(buffer_slice(part), slice_upto(buffer_slice(whole), buffer_size(part)));
}

/* --- connecting ----------------------------------------------------------------------------------------- */

static void connecting_ends_as_the_host_is(void **state)
{
	static const struct {
		enum sim_reach reach;
		enum net_end how;
		int64_t after_us;
	} table[] = {{SIM_REACH_REFUSED, NET_END_REFUSED, 0},
		     {SIM_REACH_UNREACHABLE, NET_END_UNREACHABLE, 0},
		     {SIM_REACH_BLACK_HOLE, NET_END_TIMEOUT, CLOCK_MS(TIMEOUT_MS)}};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct stage stage;
		set_up(&stage, i);
		sim_host_reach(stage.b, table[i].reach);
		stage.client.conn = sim_connect(stage.a, &stage.to, TIMEOUT_MS, &events, &stage.client);
		run(&stage, table[i].after_us > 0 ? table[i].after_us - 1 : 0);
		assert_int_equal(stage.client.closed, 0);
		run(&stage, CLOCK_SECONDS(1));
		assert_int_equal(stage.client.closed, 1);
		assert_int_equal(stage.client.how, table[i].how);
		assert_int_equal(stage.client.connected, 0);
		assert_null(stage.server.conn);
		tear_down(&stage);
	}
}

static void nobody_listens(void **state)
{
	struct stage stage;

	set_up(&stage, 1);
	stage.to.port = PORT + 1;
	stage.client.conn = sim_connect(stage.a, &stage.to, TIMEOUT_MS, &events, &stage.client);
	run(&stage, CLOCK_SECONDS(1));
	assert_int_equal(stage.client.how, NET_END_REFUSED);
	stage.to.bytes[3] = 77; /* no such host */
	stage.client = (struct end){.received = stage.client.received};
	stage.client.conn = sim_connect(stage.a, &stage.to, TIMEOUT_MS, &events, &stage.client);
	run(&stage, CLOCK_SECONDS(1));
	assert_int_equal(stage.client.how, NET_END_UNREACHABLE);
	tear_down(&stage);
}

/* --- bytes ------------------------------------------------------------------------------------------------
 */

static void all_arrives_in_order_when_nothing_is_wrong(void **state)
{
	for (uint64_t seed = 0; seed < 50; seed++) {
		struct stage stage;
		struct buffer whole;
		set_up(&stage, seed);
		stage.net.faults.tiny_cuts = 0.5;
		stage.net.faults.slow = 0.2;
		buffer_init(&whole, 0);
		fill(&whole, 150000);
		connect_both(&stage);
		sim_write(stage.client.conn, buffer_slice(&whole));
		sim_close(stage.client.conn);
		run(&stage, CLOCK_SECONDS(100));
		assert_true(slice_equal(buffer_slice(&stage.server.received), buffer_slice(&whole)));
		assert_int_equal(stage.server.how, NET_END_EOF);
		assert_int_equal(stage.server.closed, 1);
		buffer_deinit(&whole);
		tear_down(&stage);
	}
}

static void what_arrives_is_a_prefix_whatever_happens(void **state)
{
	unsigned cut = 0;

	for (uint64_t seed = 0; seed < 200; seed++) {
		struct stage stage;
		struct buffer whole;
		set_up(&stage, seed);
		stage.net.faults.reset = 1;
		buffer_init(&whole, 0);
		fill(&whole, 100000);
		connect_both(&stage);
		if (stage.client.conn != NULL)
			sim_write(stage.client.conn, buffer_slice(&whole));
		if (stage.server.conn != NULL)
			sim_write(stage.server.conn, buffer_slice(&whole));
		run(&stage, CLOCK_SECONDS(200));
		assert_true(is_prefix(&stage.server.received, &whole));
		assert_true(is_prefix(&stage.client.received, &whole));
		assert_int_equal(stage.server.closed, 1);
		assert_int_equal(stage.client.closed, 1);
		cut += buffer_size(&stage.server.received) < buffer_size(&whole);
		buffer_deinit(&whole);
		tear_down(&stage);
	}
	assert_true(cut > 50);
}

static void a_paused_reader_stops_the_writer(void **state)
{
	struct stage stage;
	struct buffer whole;
	const struct net_ops *ops;

	set_up(&stage, 3);
	ops = sim_host_net(stage.a)->ops;
	buffer_init(&whole, 0);
	fill(&whole, 300000);
	connect_both(&stage);
	sim_pause(stage.server.conn, true);
	assert_int_equal(ops->write(stage.client.conn, buffer_slice(&whole)), 0);
	run(&stage, CLOCK_SECONDS(10));
	assert_int_equal(buffer_size(&stage.server.received), 0);
	assert_true(ops->unsent(stage.client.conn) > 100000);
	assert_int_equal(stage.client.drained, 0);
	sim_pause(stage.server.conn, false);
	run(&stage, CLOCK_SECONDS(10));
	assert_int_equal(ops->unsent(stage.client.conn), 0);
	assert_int_equal(stage.client.drained, 1);
	assert_true(slice_equal(buffer_slice(&stage.server.received), buffer_slice(&whole)));
	buffer_deinit(&whole);
	tear_down(&stage);
}

static void half_closed_still_reads(void **state)
{
	struct stage stage;

	set_up(&stage, 4);
	connect_both(&stage);
	sim_pause(stage.server.conn, true); /* it must not see the end before it has written */
	sim_write(stage.client.conn, SLICE("QUIT\r\n"));
	sim_half_close(stage.client.conn);
	run(&stage, CLOCK_SECONDS(1));
	sim_write(stage.server.conn, SLICE("221 bye\r\n"));
	sim_pause(stage.server.conn, false);
	run(&stage, CLOCK_SECONDS(1));
	assert_true(slice_equal(buffer_slice(&stage.server.received), SLICE("QUIT\r\n")));
	assert_true(slice_equal(buffer_slice(&stage.client.received), SLICE("221 bye\r\n")));
	assert_int_equal(stage.client.how, NET_END_EOF);
	tear_down(&stage);
}

static void a_watch_knows_what_was_delivered(void **state)
{
	struct stage stage;
	struct sim_watch good, bad;

	set_up(&stage, 5);
	connect_both(&stage);
	sim_watch(stage.server.conn, &good);
	sim_write(stage.server.conn, SLICE("250 ok\r\n"));
	sim_watch_written(stage.server.conn, &good);
	run(&stage, CLOCK_SECONDS(1));
	assert_true(good.delivered_us > 0 && good.lost_us == 0);
	sim_watch(stage.server.conn, &bad);
	sim_write(stage.server.conn, SLICE("250 ok\r\n"));
	sim_watch_written(stage.server.conn, &bad);
	sim_close(stage.client.conn);
	run(&stage, CLOCK_SECONDS(1));
	assert_true(bad.delivered_us == 0 && bad.lost_us > 0);
	assert_int_equal(stage.server.closed, 1);
	tear_down(&stage);
}

/* --- hosts ------------------------------------------------------------------------------------------------
 */

static void a_black_hole_only_delays_what_is_open(void **state)
{
	struct stage stage;

	set_up(&stage, 6);
	connect_both(&stage);
	sim_host_reach(stage.b, SIM_REACH_BLACK_HOLE);
	sim_write(stage.client.conn, SLICE("hello"));
	run(&stage, CLOCK_SECONDS(300));
	assert_int_equal(buffer_size(&stage.server.received), 0);
	assert_int_equal(stage.client.closed, 0);
	sim_host_reach(stage.b, SIM_REACH_OK);
	run(&stage, CLOCK_SECONDS(5));
	assert_true(slice_equal(buffer_slice(&stage.server.received), SLICE("hello")));
	tear_down(&stage);
}

static void tcp_gives_up_in_the_end(void **state)
{
	struct stage stage;

	set_up(&stage, 7);
	connect_both(&stage);
	sim_host_reach(stage.b, SIM_REACH_BLACK_HOLE);
	sim_write(stage.client.conn, SLICE("hello"));
	run(&stage, CLOCK_SECONDS(20 * 60));
	assert_int_equal(stage.client.closed, 1);
	assert_int_equal(stage.client.how, NET_END_TIMEOUT);
	assert_int_equal(stage.server.closed, 0); /* it has nothing to send, so it does not know */
	tear_down(&stage);
}

static void a_killed_process_is_heard(void **state)
{
	struct stage stage;

	set_up(&stage, 8);
	connect_both(&stage);
	struct net_conn *handle = stage.server.conn;
	sim_host_kill(stage.b);
	run(&stage, CLOCK_SECONDS(1));
	assert_int_equal(stage.client.closed, 1);
	assert_int_equal(stage.server.closed, 0); /* the dead hear nothing */
	assert_int_equal(sim_host_handles(stage.b), 1);
	sim_close(handle);
	assert_int_equal(sim_host_handles(stage.b), 0);
	tear_down(&stage);
}

static void a_power_cut_is_silent_until_somebody_writes(void **state)
{
	struct stage stage;

	set_up(&stage, 9);
	connect_both(&stage);
	sim_host_power_cut(stage.b);
	run(&stage, CLOCK_SECONDS(3600));
	assert_int_equal(stage.client.closed, 0);
	sim_host_reach(stage.b, SIM_REACH_OK);
	sim_write(stage.client.conn, SLICE("are you there"));
	run(&stage, CLOCK_SECONDS(5));
	assert_int_equal(stage.client.closed, 1);
	assert_int_equal(stage.client.how, NET_END_RESET);
	tear_down(&stage);
}

/* --- TLS ---------------------------------------------------------------------------------------------------
 */

static void a_handshake_secures_both(void **state)
{
	struct stage stage;

	set_up(&stage, 10);
	connect_both(&stage);
	sim_start_tls(stage.client.conn);
	sim_write(stage.client.conn, SLICE("EHLO again\r\n"));
	run(&stage, CLOCK_SECONDS(1));
	assert_int_equal(stage.server.secured + stage.client.secured, 0);
	sim_start_tls(stage.server.conn);
	run(&stage, CLOCK_SECONDS(1));
	assert_int_equal(stage.server.secured, 1);
	assert_int_equal(stage.client.secured, 1);
	assert_true(slice_equal(buffer_slice(&stage.server.received), SLICE("EHLO again\r\n")));
	tear_down(&stage);
}

static void plain_text_before_the_handshake_is_dropped(void **state)
{
	struct stage stage;

	set_up(&stage, 11);
	connect_both(&stage);
	sim_pause(stage.server.conn, true);
	sim_write(stage.client.conn, SLICE("MAIL FROM:<injected@example.com>\r\n"));
	run(&stage, CLOCK_SECONDS(1));
	sim_start_tls(stage.server.conn);
	sim_start_tls(stage.client.conn);
	sim_pause(stage.server.conn, false);
	run(&stage, CLOCK_SECONDS(1));
	assert_int_equal(stage.server.secured, 1);
	assert_int_equal(buffer_size(&stage.server.received), 0);
	tear_down(&stage);
}

static void plain_text_in_the_handshake_fails_it(void **state)
{
	struct stage stage;

	set_up(&stage, 12);
	connect_both(&stage);
	sim_start_tls(stage.server.conn);
	sim_write(stage.client.conn, SLICE("NOOP\r\n"));
	run(&stage, CLOCK_SECONDS(1));
	assert_int_equal(stage.server.closed, 1);
	assert_int_equal(stage.server.how, NET_END_TLS);
	tear_down(&stage);
}

/* The whole history again, at other addresses in memory. */
static void one_seed_gives_one_history(void **state)
{
	uint64_t hash[2];

	for (int i = 0; i < 2; i++) {
		struct stage stage;
		struct buffer whole;
		set_up(&stage, 99);
		stage.net.faults = (struct sim_net_faults){.reset = 0.3, .tiny_cuts = 0.5};
		buffer_init(&whole, 0);
		fill(&whole, (size_t)70000);
		connect_both(&stage);
		sim_write(stage.client.conn, buffer_slice(&whole));
		run(&stage, CLOCK_SECONDS(200));
		hash[i] = stage.world.trace_hash;
		buffer_deinit(&whole);
		tear_down(&stage);
	}
	assert_true(hash[0] == hash[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(connecting_ends_as_the_host_is),
	    cmocka_unit_test(nobody_listens),
	    cmocka_unit_test(all_arrives_in_order_when_nothing_is_wrong),
	    cmocka_unit_test(what_arrives_is_a_prefix_whatever_happens),
	    cmocka_unit_test(a_paused_reader_stops_the_writer),
	    cmocka_unit_test(half_closed_still_reads),
	    cmocka_unit_test(a_watch_knows_what_was_delivered),
	    cmocka_unit_test(a_black_hole_only_delays_what_is_open),
	    cmocka_unit_test(tcp_gives_up_in_the_end),
	    cmocka_unit_test(a_killed_process_is_heard),
	    cmocka_unit_test(a_power_cut_is_silent_until_somebody_writes),
	    cmocka_unit_test(a_handshake_secures_both),
	    cmocka_unit_test(plain_text_before_the_handshake_is_dropped),
	    cmocka_unit_test(plain_text_in_the_handshake_fails_it),
	    cmocka_unit_test(one_seed_gives_one_history),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
