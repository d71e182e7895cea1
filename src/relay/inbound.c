#include "relay/inbound.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "relay/door.h"
#include "relay/feed.h"

enum {
	INPUT_MAX_BYTES = 256 * 1024, /* kept while a question is open; reading is paused long before */
	UNSENT_MAX_BYTES = 64 * 1024, /* of replies that the client does not read */
	RECEIVED_MAX = 100, /* Received fields: beyond, the message goes in a circle (RFC 5321 §6.3) */
};

static const struct net_events inbound_events;

/* --- sessions per client address --- */

/* A /64 of IPv6 is one client. */
static size_t client_key(const struct net_address *peer, char key[16])
{
	memset(key, 0, 16);
	memcpy(key, peer->bytes, peer->family == 4 ? 4 : 8);
	return peer->family == 4 ? 4 : 16;
}

static struct client_count *count_client(struct relay *relay, const struct net_address *peer)
{
	char key[16];
	size_t size = client_key(peer, key);
	struct map_node *node = map_find(&relay->clients, slice_make(key, size));
	struct client_count *client;

	if (node != NULL) {
		client = container_of(node, struct client_count, node);
	} else {
		client = calloc(1, sizeof(*client));
		if (client == NULL)
			return NULL;
		memcpy(client->key, key, sizeof(key));
		if (map_insert(&relay->clients, &client->node, slice_make(client->key, size)) != 0) {
			free(client);
			return NULL;
		}
	}
	client->sessions++;
	return client;
}

static void uncount_client(struct relay *relay, struct client_count *client)
{
	if (client == NULL || --client->sessions > 0)
		return;
	map_remove(&relay->clients, &client->node);
	free(client);
}

/* --- life --- */

static void turn_away(struct relay *relay, struct net_conn *conn, const char *why)
{
	char line[256];
	int size = snprintf(line, sizeof(line), "421 4.3.2 %s %s\r\n", relay->config.hostname, why);

	(void)relay->ports.net->ops->write(conn, slice_make(line, (size_t)size));
	relay->ports.net->ops->close(conn, true);
}

static void timer_fired(struct timer *timer)
{
	inbound_run(container_of(timer, struct inbound, timer));
}

static bool in_networks(const char *networks, const struct net_address *peer);

static struct smtp_server *new_server(struct inbound *in)
{
	struct relay *relay = in->relay;
	struct smtp_server_config config = relay->config.server;

	bool any_feed = relay->feeds_serving > 0;
	config.offer_smtputf8 = config.offer_smtputf8 && any_feed && relay->feeds_without_smtputf8 == 0;
	config.offer_dsn = config.offer_dsn && any_feed && relay->feeds_without_dsn == 0;
	config.offer_starttls =
	    config.offer_starttls && relay->ports.net->ops->tls_ready(relay->ports.net, true);
	config.normalise_line_ends = in_networks(relay->config.normalise_networks, &in->peer);
	return smtp_server_new(&config, false, relay->now.now_us);
}

void inbound_new(struct relay *relay, struct net_conn *conn)
{
	struct net_address peer;
	relay->ports.net->ops->peer(conn, &peer);
	struct client_count *client = count_client(relay, &peer);

	if (relay->shutting_down || client == NULL || relay->inbound_count >= relay->config.sessions_max ||
	    client->sessions > relay->config.sessions_per_address_max) {
		turn_away(relay, conn,
			  relay->shutting_down ? "is going down, try again in a moment"
					       : "has too many connections, try again later");
		uncount_client(relay, client);
		return;
	}
	struct inbound *in = calloc(1, sizeof(*in));
	if (in != NULL) {
		in->relay = relay;
		in->peer = peer;
		in->server = new_server(in);
	}
	if (in == NULL || in->server == NULL) {
		free(in);
		turn_away(relay, conn, "is short of memory, try again later");
		uncount_client(relay, client);
		return;
	}
	in->conn = conn;
	in->client = client;
	(void)net_address_host(&peer, in->client_address);
	buffer_init(&in->input, INPUT_MAX_BYTES);
	list_init(&in->visits_ahead);
	in->timer.fire = timer_fired;
	list_add_last(&relay->inbounds, &in->in_relay);
	relay->inbound_count++;
	relay->ports.net->ops->attach(conn, &inbound_events, in);
	inbound_run(in);
}

void inbound_free(struct inbound *in)
{
	struct relay *relay = in->relay;

	if (in->commit != NULL)
		commit_orphan(in->commit);
	in_session_cancel(in);
	inbound_spf_forget(in);
	door_reset(in);
	if (in->message != NULL)
		relay->ports.store->ops->abort(in->message, NULL, NULL);
	room_close(in);
	if (in->conn != NULL)
		relay->ports.net->ops->close(in->conn, in->closing);
	smtp_server_free(in->server);
	buffer_deinit(&in->input);
	timer_clear(&relay->timers, &in->timer);
	uncount_client(relay, in->client);
	list_remove(&in->in_relay);
	relay->inbound_count--;
	free(in);
}

/* --- what the machine asks for --- */

int64_t inbound_now_us(const struct inbound *in)
{
	return in->relay->now.now_us - in->held_us;
}

static int64_t deadline_us(const struct inbound *in)
{
	int64_t deadline = smtp_server_deadline(in->server);

	if (in->no_credit || deadline == CLOCK_NEVER)
		return CLOCK_NEVER;
	return deadline + in->held_us;
}

static void set_credit(struct inbound *in, bool credit)
{
	int64_t now_us = in->relay->now.now_us;

	if (in->no_credit && credit)
		in->held_us += now_us - in->no_credit_since_us;
	if (!in->no_credit && !credit)
		in->no_credit_since_us = now_us;
	in->no_credit = !credit;
}

static void answer(struct inbound *in, uint16_t code, const char *status, const char *text)
{
	struct reply reply;

	reply_set(&reply, code, status, "%s", text);
	smtp_server_answer(in->server, &reply, inbound_now_us(in));
}

static void refuse_message(struct inbound *in, int error)
{
	if (in->outgrown)
		answer(in, 452, "4.3.1",
		       "this message is larger than what is left of its domain's share of the spool, try "
		       "again later");
	else if (error == ERR_LIMIT)
		answer(in, 452, "4.3.1", "the spool is full, try again later");
	else
		answer(in, 451, "4.3.0",
		       error == ERR_MEMORY ? "short of memory, try again later"
					   : "the spool cannot be written, try again later");
}

static void begin_message(struct inbound *in)
{
	struct store *store = in->relay->ports.store;
	const struct smtp_server_transaction *t = smtp_server_transaction(in->server);
	int error = store->ops->begin(store, t->size_bytes, &in->message);

	in->body_bytes = 0;
	in->outgrown = false;
	if (error == 0)
		room_open(in);
	header_scan_init(&in->scan, in->relay->config.hostname);
	if (error == 0)
		answer(in, 354, NULL, "end the message with <CRLF>.<CRLF>");
	else
		refuse_message(in, error);
}

static void room(void *owner)
{
	struct inbound *in = owner;

	relay_enter(in->relay);
	set_credit(in, true);
	inbound_run(in);
}

static void give_up_message(struct inbound *in)
{
	if (in->message != NULL)
		in->relay->ports.store->ops->abort(in->message, NULL, NULL);
	in->message = NULL;
	inbound_spf_forget(in);
	room_close(in);
	set_credit(in, true);
}

/* False: there is no credit, go on when there is. A failure shows at the commit. */
static bool take_body(struct inbound *in)
{
	struct store *store = in->relay->ports.store;
	struct slice body = smtp_server_body(in->server);

	if (in->message == NULL)
		return true;
	header_scan_feed(&in->scan, body);
	in->body_bytes += body.size;
	in->outgrown = !room_received(in, body.size);
	in->take_error = in->outgrown ? ERR_LIMIT : store->ops->append(in->message, body);
	if (in->take_error != 0) {
		give_up_message(in); /* refused at the end: the sender must be read to the dot */
		return true;
	}
	set_credit(in, store->ops->credit(in->message, room, in) > 0);
	return !in->no_credit;
}

void inbound_commit(struct inbound *in)
{
	room_close(in);
	commit_start(in);
}

static void take_message(struct inbound *in)
{
	if (in->message == NULL) {
		refuse_message(in, in->take_error);
		return;
	}
	if (in->scan.received_count > RECEIVED_MAX) {
		give_up_message(in);
		answer(in, 554, "5.4.6", "more than 100 Received fields: this message goes in a circle");
		return;
	}
	if (!inbound_spf_await(in))
		inbound_commit(in);
}

static void hint(struct inbound *in)
{
	struct domain *domain = domain_find(in->relay, smtp_server_etrn(in->server));

	if (domain == NULL || domain->feed == NULL)
		return;
	lane_hint(&domain->feed->lane, false, in->relay->now.now_us);
	feed_wake(domain->feed);
}

static void start_tls(struct inbound *in)
{
	struct net *net = in->relay->ports.net;
	struct slice output = smtp_server_output(in->server);

	if (in->conn == NULL)
		return;
	(void)net->ops->write(in->conn, output);
	smtp_server_sent(in->server, output.size);
	in->drop_input =
	    true; /* what came in plain text before the handshake counts for nothing (RFC 3207 §4.2) */
	if (net->ops->start_tls(in->conn, true, (struct slice){.data = NULL, .size = 0}) != 0)
		smtp_server_client_gone(in->server);
}

/* False: wait for an event. */
static bool act(struct inbound *in, enum smtp_server_action action)
{
	switch (action) {
	case SMTP_SERVER_WAIT:
		return false;
	case SMTP_SERVER_CHECK_MAIL:
		inbound_spf_forget(in);
		door_reset(in);
		answer(in, 250, "2.1.0", "ok");
		return true;
	case SMTP_SERVER_CHECK_RCPT:
		inbound_check_recipient(in);
		return true;
	case SMTP_SERVER_BEGIN:
		begin_message(in);
		return true;
	case SMTP_SERVER_BODY:
		return take_body(in);
	case SMTP_SERVER_COMMIT:
		take_message(in);
		return true;
	case SMTP_SERVER_ABORT:
		give_up_message(in);
		return true;
	case SMTP_SERVER_START_TLS:
		start_tls(in);
		return true;
	case SMTP_SERVER_ETRN:
		hint(in);
		return true;
	case SMTP_SERVER_CLOSE:
		in->closing = true;
		return false;
	}
	check_never();
}

static void write_output(struct inbound *in)
{
	struct net *net = in->relay->ports.net;
	struct slice output = smtp_server_output(in->server);

	if (output.size == 0)
		return;
	if (in->conn != NULL && net->ops->write(in->conn, output) != 0)
		smtp_server_client_gone(in->server);
	smtp_server_sent(in->server, output.size);
}

/* Steps the machine on the bytes; what it does not take is returned. */
static struct slice run_on(struct inbound *in, struct slice bytes)
{
	enum smtp_server_action action;

	do
		action = smtp_server_step(in->server, &bytes, inbound_now_us(in));
	while (act(in, action));
	write_output(in);
	return bytes;
}

static void pause_reading(struct inbound *in, bool paused)
{
	if (in->conn != NULL && in->paused != paused)
		in->relay->ports.net->ops->pause(in->conn, paused);
	in->paused = paused;
}

/* True: the session is gone. */
static bool finish_turn(struct inbound *in)
{
	if (in->closing && in->commit == NULL) {
		inbound_free(in);
		return true;
	}
	/* Bytes that the machine does not take now are enough, and so are replies that the client does not
	 * read: it waits in TCP. */
	struct net *net = in->relay->ports.net;
	bool unread = in->conn != NULL && net->ops->unsent(in->conn) > UNSENT_MAX_BYTES;
	bool busy = in->commit != NULL || in->spf.awaited || in->waits.state != IN_SESSION_NONE;
	if (in->visit != NULL)
		door_look_ahead(in, buffer_slice(&in->input));
	pause_reading(in, unread || in->no_credit || buffer_size(&in->input) > 0 || busy);
	timer_set(&in->relay->timers, &in->timer, deadline_us(in));
	return false;
}

static void keep_rest(struct inbound *in, struct slice rest)
{
	if (rest.size > 0 && buffer_add(&in->input, rest) != 0) {
		in->closing = true;
		smtp_server_client_gone(in->server);
		(void)run_on(in, (struct slice){.data = NULL, .size = 0});
	}
}

void inbound_run(struct inbound *in)
{
	if (in->no_credit && in->conn != NULL && !in->closing)
		return; /* room() comes back here */
	/* Out of the session while the machine works on it: STARTTLS drops what is held. */
	struct buffer held = in->input;

	buffer_init(&in->input, INPUT_MAX_BYTES);
	in->drop_input = false;
	struct slice rest = run_on(in, buffer_slice(&held));
	if (rest.size > 0 && !in->drop_input) {
		buffer_consume(&held, buffer_size(&held) - rest.size);
		in->input = held;
	} else {
		buffer_deinit(&held);
	}
	(void)finish_turn(in);
}

/* --- events of the connection --- */

static void on_received(void *owner, struct slice bytes)
{
	struct inbound *in = owner;

	relay_enter(in->relay);
	if (buffer_size(&in->input) > 0) { /* older bytes first */
		keep_rest(in, bytes);
		inbound_run(in);
		return;
	}
	in->drop_input = false;
	struct slice rest = run_on(in, bytes);
	if (!in->drop_input)
		keep_rest(in, rest);
	(void)finish_turn(in);
}

static void on_secured(void *owner, const struct net_tls_state *state)
{
	struct inbound *in = owner;

	relay_enter(in->relay);
	in->tls = true;
	(void)snprintf(in->tls_version, sizeof(in->tls_version), "%s", state->version);
	(void)snprintf(in->tls_cipher, sizeof(in->tls_cipher), "%s", state->cipher);
	smtp_server_tls_started(in->server, inbound_now_us(in));
	inbound_run(in);
}

static void on_closed(void *owner, enum net_end end, const char *detail)
{
	struct inbound *in = owner;

	relay_enter(in->relay);
	in->conn = NULL;
	buffer_reset(&in->input);
	if (in->spf.awaited) { /* a message that came whole is kept */
		inbound_spf_forget(in);
		inbound_commit(in);
	}
	smtp_server_client_gone(in->server);
	in->closing = true;
	inbound_run(in);
}

static void on_drained(void *owner)
{
	struct inbound *in = owner;

	relay_enter(in->relay);
	inbound_run(in);
}

static void on_connected(void *owner)
{
}

static const struct net_events inbound_events = {
    .connected = on_connected,
    .received = on_received,
    .drained = on_drained,
    .secured = on_secured,
    .closed = on_closed,
};

/* --- networks that may send bare line ends --- */

static bool same_bits(const uint8_t *a, const uint8_t *b, uint64_t bits)
{
	size_t whole = bits / 8;

	if (memcmp(a, b, whole) != 0)
		return false;
	return bits % 8 == 0 || ((a[whole] ^ b[whole]) >> (8 - bits % 8)) == 0;
}

static bool in_network(struct slice network, const struct net_address *peer)
{
	struct net_address base;
	size_t slash = slice_find(network, '/');

	if (net_address_parse(slice_upto(network, slash), 0, &base) != 0 || base.family != peer->family)
		return false;
	uint64_t width = base.family == 4 ? 32 : 128, bits = width;
	if (slash < network.size &&
	    (slice_to_u64(slice_from(network, slash + 1), &bits) != 0 || bits > width))
		return false;
	return same_bits(base.bytes, peer->bytes, bits);
}

static bool in_networks(const char *networks, const struct net_address *peer)
{
	struct slice rest = slice_of(networks), network;

	while (slice_split(&rest, ',', &network))
		if (in_network(slice_trim(network), peer))
			return true;
	return false;
}
