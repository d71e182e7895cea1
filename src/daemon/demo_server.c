#include "daemon/demo_server.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/list.h"

static const double WARM_PER_S = 400, COLD_PER_S = 3, DOUBLES_EVERY_S = 2;

enum { INPUT_MAX = 1024 * 1024 }; /* bytes of a message: those of the demo are far smaller */

struct demo_server {
	struct os_loop *loop;
	struct net_uv *net;
	const struct demo_server_events *events;
	void *owner;
	struct net_listener *listener; /* NULL: down */
	struct net_address address;
	struct list clients;
	uint32_t working, most_working;
	bool cold, frozen;
	int64_t started_us, busy_until_us;
};

struct client {
	struct list node;
	struct demo_server *server;
	struct net_conn *conn;
	struct buffer input, message;
	bool in_data;
	int64_t reply_at_us; /* CLOCK_NEVER: no message is being worked on */
};

static const struct net_ops *ops(const struct demo_server *server)
{
	return net_uv_port(server->net)->ops;
}

static void say(struct client *client, struct slice line)
{
	if (ops(client->server)->write(client->conn, line) != 0)
		return; /* no memory: the connection ends by itself */
}

static void drop(struct client *client)
{
	if (client->reply_at_us != CLOCK_NEVER)
		client->server->working--;
	list_remove(&client->node);
	buffer_deinit(&client->input);
	buffer_deinit(&client->message);
	free(client);
}

/* --- one message at a time --- */

double demo_server_capacity(const struct demo_server *server, int64_t now_us)
{
	double age_s = (double)(now_us - server->started_us) / 1e6;
	double capacity = COLD_PER_S * exp2(age_s / DOUBLES_EVERY_S);
	return server->cold && capacity < WARM_PER_S ? capacity : WARM_PER_S;
}

static void begin_work(struct client *client)
{
	struct demo_server *server = client->server;
	int64_t now_us = os_loop_clock(server->loop)->now_us;
	if (server->busy_until_us < now_us)
		server->busy_until_us = now_us;
	server->busy_until_us += (int64_t)(1e6 / demo_server_capacity(server, server->busy_until_us));
	client->reply_at_us = server->busy_until_us;
	if (++server->working > server->most_working)
		server->most_working = server->working;
	os_loop_set_deadline(server->loop, now_us); /* the owner asks when */
}

static void end_work(struct client *client)
{
	client->reply_at_us = CLOCK_NEVER;
	client->server->working--;
	client->server->events->arrived(client->server->owner, buffer_slice(&client->message));
	buffer_reset(&client->message);
	say(client, SLICE("250 2.0.0 stored\r\n"));
}

/* --- SMTP --- */

static void command(struct client *client, struct slice line)
{
	if (slice_starts_nocase(line, SLICE("EHLO")))
		say(client, SLICE("250-mail.example.com\r\n250-8BITMIME\r\n250 SIZE 1000000\r\n"));
	else if (slice_starts_nocase(line, SLICE("DATA")))
		say(client, SLICE("354 go on\r\n"));
	else if (slice_starts_nocase(line, SLICE("QUIT")))
		say(client, SLICE("221 2.0.0 bye\r\n"));
	else if (slice_starts_nocase(line, SLICE("MAIL")) || slice_starts_nocase(line, SLICE("RCPT")) ||
		 slice_starts_nocase(line, SLICE("RSET")) || slice_starts_nocase(line, SLICE("NOOP")) ||
		 slice_starts_nocase(line, SLICE("HELO")))
		say(client, SLICE("250 2.0.0 ok\r\n"));
	else
		say(client, SLICE("500 5.5.1 what?\r\n"));
	client->in_data = slice_starts_nocase(line, SLICE("DATA"));
}

static void data_line(struct client *client, struct slice line)
{
	if (slice_equal(line, SLICE(".\r\n"))) {
		client->in_data = false;
		begin_work(client);
		return;
	}
	if (slice_starts(line, SLICE(".")))
		line = slice_from(line, 1);
	if (buffer_add(&client->message, line) != 0)
		buffer_reset(&client->message); /* too large or no memory: it will be found wanting */
}

static void take_lines(struct client *client)
{
	while (client->reply_at_us == CLOCK_NEVER && !client->server->frozen) {
		struct slice input = buffer_slice(&client->input);
		size_t end = slice_find(input, '\n');
		if (end == input.size)
			return;
		struct slice line = slice_upto(input, end + 1);
		if (client->in_data)
			data_line(client, line);
		else
			command(client, line);
		buffer_consume(&client->input, line.size);
	}
}

static void received(void *owner, struct slice bytes)
{
	struct client *client = owner;
	if (buffer_add(&client->input, bytes) != 0)
		return;
	take_lines(client);
}

static void closed(void *owner, enum net_end end, const char *detail)
{
	(void)end;
	(void)detail;
	drop(owner);
}

static void drained(void *owner)
{
	(void)owner; /* what is written here is small */
}

static const struct net_events client_events = {.received = received, .drained = drained, .closed = closed};

static void accepted(void *owner, struct net_conn *conn)
{
	struct demo_server *server = owner;
	struct client *client = server->frozen ? NULL : calloc(1, sizeof(*client));
	if (client == NULL) {
		ops(server)->close(conn, false);
		return;
	}
	client->server = server;
	client->conn = conn;
	client->reply_at_us = CLOCK_NEVER;
	buffer_init(&client->input, INPUT_MAX);
	buffer_init(&client->message, INPUT_MAX);
	list_add_last(&server->clients, &client->node);
	ops(server)->attach(conn, &client_events, client);
	say(client, SLICE("220 mail.example.com ESMTP\r\n"));
}

/* --- life --- */

struct demo_server *demo_server_new(struct os_loop *loop, struct net_uv *net,
				    const struct demo_server_events *events, void *owner)
{
	struct demo_server *server = calloc(1, sizeof(*server));
	if (server == NULL)
		return NULL;
	server->loop = loop;
	server->net = net;
	server->events = events;
	server->owner = owner;
	list_init(&server->clients);
	return server;
}

void demo_server_free(struct demo_server *server)
{
	if (server == NULL)
		return;
	demo_server_kill(server);
	free(server);
}

int demo_server_start(struct demo_server *server, bool cold, char ret_message[OS_LISTEN_MESSAGE_SIZE])
{
	if (server->address.family == 0) {
		int error = net_address_parse(SLICE("127.0.0.1"), 0, &server->address);
		if (error != 0)
			return error;
	}
	int descriptor = os_listen_socket(&server->address, OS_LISTEN_BACKLOG, ret_message);
	if (descriptor < 0)
		return descriptor;
	server->address = os_listen_address(descriptor);
	server->listener = net_uv_listen_fd(server->net, descriptor, accepted, server);
	if (server->listener == NULL) {
		(void)close(descriptor);
		return ERR_MEMORY;
	}
	server->cold = cold;
	server->frozen = false;
	server->started_us = os_loop_clock(server->loop)->now_us;
	server->busy_until_us = 0;
	server->most_working = 0;
	return 0;
}

void demo_server_freeze(struct demo_server *server)
{
	server->frozen = true;
}

bool demo_server_idle(const struct demo_server *server)
{
	return server->working == 0;
}

void demo_server_kill(struct demo_server *server)
{
	if (server->listener != NULL)
		net_uv_listen_stop(server->listener);
	server->listener = NULL;
	list_each_safe(node, after, &server->clients) {
		struct client *client = container_of(node, struct client, node);
		ops(server)->close(client->conn, false);
		drop(client);
	}
}

int64_t demo_server_run(struct demo_server *server, int64_t now_us)
{
	int64_t next_us = CLOCK_NEVER;
	list_each_safe(node, after, &server->clients) {
		struct client *client = container_of(node, struct client, node);
		if (client->reply_at_us <= now_us) {
			end_work(client);
			take_lines(client);
		}
		if (client->reply_at_us < next_us)
			next_us = client->reply_at_us;
	}
	return next_us;
}

bool demo_server_up(const struct demo_server *server)
{
	return server->listener != NULL;
}

uint16_t demo_server_port(const struct demo_server *server)
{
	return server->address.port;
}

uint32_t demo_server_most_at_once(const struct demo_server *server)
{
	return server->most_working;
}
