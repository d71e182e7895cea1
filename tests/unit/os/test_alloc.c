/* Connections, TLS, the resolver and the log while allocations of ours fail: the 1st, the 2nd, the 3rd and so
 * on, until a run needs none any more. Whatever fails is told as an error, or ends a connection; nothing
 * leaks, nothing hangs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "dns_server.h"
#include "os/dns_message.h"
#include "os/listen.h"
#include "os/log_stderr.h"
#include "os/net_uv.h"
#include "os/resolver_unbound.h"
#include "../proto/failing_alloc.h"

enum { TRIES_MAX = 2000, TURNS_MAX = 2000, BODY = 600 * 1024, TURN_MS = 1 };

struct scene;

struct actor {
	struct scene *scene;
	struct net_conn *conn;
	size_t got;
	bool secured, closed;
};

struct scene {
	struct os_loop *loop;
	struct net_uv *uv;
	struct net *net;
	struct actor client, server;
	char *body;
	bool answered;
};

static void on_connected(void *owner)
{
	struct actor *client = owner;

	if (client->scene->net->ops->start_tls(client->conn, false, SLICE("mx.example.com")) == 0)
		return;
	client->scene->net->ops->close(client->conn, false);
	client->closed = true;
}

static void on_received(void *owner, struct slice bytes)
{
	struct actor *a = owner;

	a->got += bytes.size;
	if (a->got < BODY || a != &a->scene->server)
		return;
	a->scene->net->ops->close(a->conn, true);
	a->closed = true;
}

static void on_secured(void *owner, const struct net_tls_state *state)
{
	struct actor *a = owner;

	(void)state;
	a->secured = true;
	if (a == &a->scene->client)
		(void)a->scene->net->ops->write(a->conn, slice_make(a->scene->body, BODY));
}

static void on_drained(void *owner)
{
	(void)owner;
}

static void on_closed(void *owner, enum net_end end, const char *detail)
{
	struct actor *a = owner;

	(void)end;
	assert_non_null(detail);
	a->closed = true;
}

static const struct net_events actor_events = {
    .connected = on_connected,
    .received = on_received,
    .drained = on_drained,
    .secured = on_secured,
    .closed = on_closed,
};

static void on_accepted(void *owner, struct net_conn *conn)
{
	struct scene *s = owner;

	s->server.conn = conn;
	s->net->ops->attach(conn, &actor_events, &s->server);
	if (s->net->ops->start_tls(conn, true, SLICE("")) == 0)
		return;
	s->net->ops->close(conn, false);
	s->server.closed = true;
}

static void turn(struct scene *s)
{
	os_loop_set_deadline(s->loop, os_loop_clock(s->loop)->now_us + CLOCK_MS(TURN_MS));
	os_loop_run_once(s->loop, true);
}

static void talk(struct scene *s, const struct net_address *to, bool listening)
{
	s->client.conn = s->net->ops->connect(s->net, to, NULL, 500, &actor_events, &s->client);
	if (s->client.conn == NULL || !listening)
		return;
	/* The client ends when the server does, or cannot connect. */
	for (int i = 0; i < TURNS_MAX && !s->client.closed; i++)
		turn(s);
	assert_true(s->client.closed);
}

/* True: everything went well. */
static bool play_net(const struct tls_context *server, const struct tls_context *client, char *body)
{
	struct scene s = {.body = body};
	struct net_address to = {.family = 4, .bytes = {127, 0, 0, 1}};
	char message[OS_LISTEN_MESSAGE_SIZE];

	s.client.scene = s.server.scene = &s;
	s.loop = os_loop_new(NULL, NULL);
	if (s.loop == NULL)
		return false;
	s.uv = net_uv_new(s.loop, &(struct net_uv_options){.flush_ms = 500});
	if (s.uv != NULL) {
		s.net = net_uv_port(s.uv);
		net_uv_set_tls(s.uv, (struct tls_context *)server, (struct tls_context *)client);
		int descriptor = os_listen_socket(&to, 4, message);
		assert_true(descriptor >= 0);
		to = os_listen_address(descriptor);
		bool listening = net_uv_listen_fd(s.uv, descriptor, on_accepted, &s) != NULL;
		if (!listening)
			(void)close(descriptor);
		talk(&s, &to, listening);
	}
	net_uv_free(s.uv);
	os_loop_free(s.loop);
	return s.client.secured && s.server.got == BODY;
}

static void test_net(void **state)
{
	struct buffer certificate, key;
	char message[TLS_MESSAGE_SIZE];
	char *body = calloc(1, BODY);
	bool went_well = false, met_trouble = false;

	(void)state;
	buffer_init(&certificate, 0);
	buffer_init(&key, 0);
	assert_int_equal(tls_make_self_signed(SLICE("mx.example.com"), &certificate, &key), 0);
	struct tls_context *server =
	    tls_server_context_new(buffer_slice(&certificate), buffer_slice(&key), message);
	struct tls_context *client = tls_client_context_new("/nonexistent", message);
	for (unsigned n = 1; n < TRIES_MAX && !went_well; n++) {
		failing_alloc_at(n);
		bool ok = play_net(server, client, body);
		went_well = !failing_alloc_happened();
		failing_alloc_at(0);
		assert_true(ok || !went_well);
		met_trouble = met_trouble || !ok;
	}
	assert_true(went_well && met_trouble);
	tls_context_unref(server);
	tls_context_unref(client);
	buffer_deinit(&certificate);
	buffer_deinit(&key);
	free(body);
}

static void test_tls_contexts(void **state)
{
	bool went_well = false;

	(void)state;
	for (unsigned n = 1; n < TRIES_MAX && !went_well; n++) {
		struct buffer certificate, key;
		char message[TLS_MESSAGE_SIZE] = "";
		buffer_init(&certificate, 0);
		buffer_init(&key, 0);
		failing_alloc_at(n);
		int error = tls_make_self_signed(SLICE("mx.example.com"), &certificate, &key);
		struct tls_context *server = error == 0 ? tls_server_context_new(buffer_slice(&certificate),
										 buffer_slice(&key), message)
							: NULL;
		went_well = !failing_alloc_happened();
		failing_alloc_at(0);
		assert_true(went_well || error == ERR_MEMORY || (server == NULL && message[0] != '\0'));
		assert_true(!went_well || server != NULL);
		tls_context_unref(server);
		buffer_deinit(&certificate);
		buffer_deinit(&key);
	}
	assert_true(went_well);
}

/* --- the resolver ---------------------------------------------------------------------------- */

static const struct dns_entry zone[] = {
    {.name = "example.com",
     .type = DNS_TYPE_MX,
     .records = {{DNS_TYPE_MX, NULL, 120, 20, "mx.example.com"}},
     .record_count = 1},
};

static void on_answer(void *owner, const struct resolver_answer *answer)
{
	unsigned *answers = owner;

	(void)answer;
	(*answers)++;
}

static void play_resolver(void)
{
	struct scene s = {.loop = os_loop_new(NULL, NULL)};
	struct dns_server server;
	struct resolver_unbound_options options = {.hosts = "/etc/hostname", .timeout_ms = 5};
	char forwarder[NET_ADDRESS_TEXT_SIZE], message[RESOLVER_UNBOUND_MESSAGE_SIZE] = "";
	unsigned expected = 0, answers = 0;

	if (s.loop == NULL)
		return;
	dns_server_init(&server, s.loop, zone, 1);
	server.silent = true; /* its own allocations are not the matter here */
	options.forwarder = net_address_text(&server.address, forwarder);
	struct resolver_unbound *r = resolver_unbound_new(s.loop, &options, message);
	if (r != NULL) {
		struct resolver *resolver = resolver_unbound_port(r);
		expected += resolver->ops->mx(resolver, SLICE("example.com"), on_answer, &answers) != NULL;
		expected +=
		    resolver->ops->address(resolver, SLICE("example.com"), on_answer, &answers) != NULL;
		expected += resolver->ops->address(resolver, SLICE("localhost"), on_answer, &answers) != NULL;
		for (int i = 0; i < TURNS_MAX && answers < expected; i++)
			turn(&s);
		assert_int_equal(answers, expected);
	} else {
		assert_true(message[0] != '\0');
	}
	resolver_unbound_free(r);
	dns_server_deinit(&server);
	os_loop_free(s.loop);
}

static void test_resolver(void **state)
{
	enum { SERVER_ALLOCATIONS = 4 }; /* of the loop and the test's server: these may not fail */
	bool went_well = false;

	(void)state;
	for (unsigned n = SERVER_ALLOCATIONS + 1; n < TRIES_MAX && !went_well; n++) {
		failing_alloc_at(n);
		play_resolver();
		went_well = !failing_alloc_happened();
		failing_alloc_at(0);
	}
	assert_true(went_well);
}

/* --- the log --------------------------------------------------------------------------------- */

static void test_log(void **state)
{
	bool went_well = false;
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	for (unsigned n = 1; n < TRIES_MAX && !went_well; n++) {
		failing_alloc_at(n);
		struct log_stderr *log = log_stderr_new(ends[1], NULL);
		for (int i = 0; log != NULL && i < 2000; i++)
			log_event(log_stderr_port(log), LOG_LEVEL_INFO, "a", 0, "line", LOG_NUMBER("n", i));
		went_well = !failing_alloc_happened();
		failing_alloc_at(0);
		log_stderr_free(log);
	}
	assert_true(went_well);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_net),
	    cmocka_unit_test(test_tls_contexts),
	    cmocka_unit_test(test_resolver),
	    cmocka_unit_test(test_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
