#include "play.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"

/* --- the ports --- */

static struct clock_reading read_clock(struct clock *clock)
{
	return container_of(clock, struct play, clock)->now;
}

static struct peer *add_peer(struct play *play)
{
	assert_true(play->peer_count < PLAY_PEERS_MAX);
	struct peer *peer = &play->peers[play->peer_count++];
	*peer = (struct peer){.open = true};
	return peer;
}

static struct net_conn *net_connect(struct net *net, const struct net_address *to,
				    const struct net_address *from, int64_t timeout_ms,
				    const struct net_events *events, void *owner)
{
	struct peer *peer = add_peer(container_of(net, struct play, net));

	peer->to = *to;
	peer->events = events;
	peer->owner = owner;
	return (struct net_conn *)peer;
}

static struct peer *peer_of(const struct net_conn *conn)
{
	return (struct peer *)(uintptr_t)conn;
}

static void net_attach(struct net_conn *conn, const struct net_events *events, void *owner)
{
	peer_of(conn)->events = events;
	peer_of(conn)->owner = owner;
}

static int net_write(struct net_conn *conn, struct slice bytes)
{
	struct peer *peer = peer_of(conn);

	assert_true(peer->open);
	assert_true(peer->written_size + bytes.size < sizeof(peer->written));
	memcpy(peer->written + peer->written_size, bytes.data, bytes.size);
	peer->written_size += bytes.size;
	peer->written[peer->written_size] = '\0';
	return 0;
}

static size_t net_unsent(const struct net_conn *conn)
{
	return 0;
}

static void net_pause(struct net_conn *conn, bool paused)
{
	peer_of(conn)->paused = paused;
}

static int net_start_tls(struct net_conn *conn, bool as_server, struct slice server_name)
{
	peer_of(conn)->tls_asked = true;
	return 0;
}

static void net_close(struct net_conn *conn, bool flush)
{
	peer_of(conn)->open = false;
}

static void net_far(const struct net_conn *conn, struct net_address *ret_address)
{
	assert_int_equal(net_address_parse(SLICE("192.0.2.7"), 40000, ret_address), 0);
}

static bool net_tls_ready(const struct net *net, bool as_server)
{
	return ((const struct play *)((const char *)net - offsetof(struct play, net)))->tls;
}

static const struct net_ops net_ops = {
    .connect = net_connect,
    .attach = net_attach,
    .write = net_write,
    .unsent = net_unsent,
    .pause = net_pause,
    .start_tls = net_start_tls,
    .close = net_close,
    .peer = net_far,
    .local = net_far,
    .tls_ready = net_tls_ready,
};

struct resolver_query {
	struct play *play;
	bool mx;
	void (*done)(void *owner, const struct resolver_answer *answer);
	void *owner;
};

static struct resolver_query *pending[64];
static size_t pending_count;

static struct resolver_query *ask(struct resolver *resolver, bool mx,
				  void (*done)(void *owner, const struct resolver_answer *answer),
				  void *owner)
{
	struct resolver_query *query = calloc(1, sizeof(*query));

	assert_non_null(query);
	assert_true(pending_count < 64);
	*query = (struct resolver_query){container_of(resolver, struct play, resolver), mx, done, owner};
	pending[pending_count++] = query;
	return query;
}

static struct resolver_query *ask_mx(struct resolver *resolver, struct slice domain,
				     void (*done)(void *owner, const struct resolver_answer *answer),
				     void *owner)
{
	return ask(resolver, true, done, owner);
}

static struct resolver_query *ask_address(struct resolver *resolver, struct slice host,
					  void (*done)(void *owner, const struct resolver_answer *answer),
					  void *owner)
{
	return ask(resolver, false, done, owner);
}

static void forget(size_t at)
{
	pending[at] = pending[--pending_count];
}

static void cancel(struct resolver *resolver, struct resolver_query *query)
{
	for (size_t i = 0; i < pending_count; i++)
		if (pending[i] == query)
			forget(i--);
	free(query);
}

static const struct resolver_ops resolver_ops = {.mx = ask_mx, .address = ask_address, .cancel = cancel};

static bool answer_names(void)
{
	if (pending_count == 0 || pending[0]->play->names_silent)
		return false;
	struct resolver_query *query = pending[0];

	forget(0);
	query->done(query->owner, query->mx ? &query->play->mx : &query->play->address);
	free(query);
	return true;
}

/* --- SPF --- */

struct spf_query {
	spf_done *done;
	void *owner;
};

static struct spf_query *spf_check(struct spf *spf, const struct net_address *client, struct slice helo,
				   struct slice mailbox, spf_done *done, void *owner)
{
	struct play *play = container_of(spf, struct play, spf);
	struct spf_query *query = calloc(1, sizeof(*query));

	play->spf_asked++;
	if (query == NULL || play->spf_open == PLAY_PEERS_MAX) {
		free(query);
		return NULL;
	}
	*query = (struct spf_query){done, owner};
	play->spf_queries[play->spf_open++] = query;
	return query;
}

static void spf_cancel(struct spf *spf, struct spf_query *query)
{
	struct play *play = container_of(spf, struct play, spf);

	for (size_t i = 0; i < play->spf_open; i++)
		if (play->spf_queries[i] == query)
			play->spf_queries[i--] = play->spf_queries[--play->spf_open];
	free(query);
}

static const struct spf_ops spf_ops = {.check = spf_check, .cancel = spf_cancel};

static bool answer_spf(struct play *play)
{
	if (play->spf_open == 0 || play->spf_silent)
		return false;
	struct spf_query *query = play->spf_queries[--play->spf_open];
	query->done(query->owner, play->spf_pass);
	free(query);
	return true;
}

static void log_line(struct log *log, enum log_level level, const char *area, uint64_t id,
		     const char *message, const struct log_field *fields, size_t field_count)
{
	struct play *play = container_of(log, struct play, log);
	size_t room = sizeof(play->log_text) - play->log_size;
	int size = snprintf(play->log_text + play->log_size, room, "%s: %s\n", area, message);

	if (size > 0 && (size_t)size < room)
		play->log_size += (size_t)size;
	if (getenv("PLAY_VERBOSE") == NULL)
		return;
	(void)fprintf(stderr, "%s: %s", area, message);
	for (size_t i = 0; i < field_count; i++)
		(void)fprintf(stderr, " %s=%.*s", fields[i].key, SLICE_ARG(fields[i].text));
	(void)fprintf(stderr, "\n");
}

static const struct log_ops log_ops = {.event = log_line};

/* --- the play --- */

static struct play *new_play(bool door)
{
	struct play *play = calloc(1, sizeof(*play));
	struct ram_store_config store_config = {.seed = 1};
	struct relay_config config;

	assert_non_null(play);
	play->door = door;
	play->clock.read = read_clock;
	play->now = (struct clock_reading){.now_us = CLOCK_SECONDS(1000), .wall_ms = INT64_C(1700000000000)};
	play->net.ops = &net_ops;
	play->resolver.ops = &resolver_ops;
	play->log.ops = &log_ops;
	play->spf.ops = &spf_ops;
	play->mx.status = RESOLVER_NODATA;
	play->address = (struct resolver_answer){.status = RESOLVER_OK, .ttl_s = 300, .address_count = 1};
	assert_int_equal(net_address_parse(SLICE("192.0.2.25"), 0, &play->address.address[0]), 0);
	play->store = ram_store_new(&store_config);
	relay_config_defaults(&config, "relay.example");
	config.mark = "restante-0ARX";
	config.ask_recipients = play->door;
	config.unseen_per_hour = 200;
	struct relay_ports ports = {&play->clock, &play->net, play->store, &play->resolver,
				    &play->log,	  42,	      &play->spf};
	play->relay = relay_new(&config, &ports);
	assert_non_null(play->relay);
	play_run(play);
	assert_true(relay_ready(play->relay));
	return play;
}

struct play *play_new(void)
{
	return new_play(false);
}

struct play *play_new_door(void)
{
	return new_play(true);
}

void play_free(struct play *play)
{
	play_run(play);
	ram_store_crash(play->store);
	relay_free(play->relay);
	play->store->ops->close(play->store);
	free(play);
}

void play_run(struct play *play)
{
	for (int i = 0; i < 200; i++) {
		play->store->ops->poll(play->store);
		bool named = answer_names() || answer_spf(play);
		if (play->relay != NULL && relay_deadline(play->relay) <= play->now.now_us)
			relay_run(play->relay);
		else if (!named && ram_store_pending(play->store) == 0)
			return;
	}
}

void play_pass(struct play *play, int64_t ms)
{
	int64_t until_us = play->now.now_us + CLOCK_MS(ms);

	play_run(play);
	while (play->now.now_us < until_us) {
		int64_t next_us = relay_deadline(play->relay);
		if (next_us <= play->now.now_us)
			next_us = play->now.now_us + 1000;
		if (next_us > until_us)
			next_us = until_us;
		int64_t step_us = next_us - play->now.now_us;
		play->now.now_us += step_us;
		play->now.wall_ms = INT64_C(1700000000000) + play->wall_shift_ms +
				    (play->now.now_us - CLOCK_SECONDS(1000)) / 1000;
		play_run(play);
	}
}

void play_add_domain(struct play *play, const char *name, const char *destination)
{
	struct play_answer answer = {.came = false};
	struct slice to = slice_of(destination);

	admin_domain_add(play->relay, slice_of(name), &to, destination != NULL ? 1 : 0, play_answered,
			 &answer);
	play_run(play);
	assert_true(answer.came);
	assert_int_equal(answer.result.error, 0);
}

const char *play_read(struct peer *peer)
{
	static char text[65536];

	(void)snprintf(text, sizeof(text), "%s", peer->written);
	peer->written_size = 0;
	peer->written[0] = '\0';
	return text;
}

void play_say(struct play *play, struct peer *peer, const char *text)
{
	assert_true(peer->open);
	peer->events->received(peer->owner, slice_of(text));
	play_run(play);
}

struct peer *play_sender(struct play *play)
{
	struct peer *peer = add_peer(play);

	peer->accepted = true;
	relay_accept(play->relay, (struct net_conn *)peer);
	play_run(play);
	assert_memory_equal(play_read(peer), "220 relay.example", 17);
	return peer;
}

const char *play_mail(struct play *play, const char *from, const char *to, const char *body)
{
	struct peer *peer = play_sender(play);
	char text[4096];

	play_say(play, peer, "EHLO sender.example\r\n");
	(void)snprintf(text, sizeof(text), "MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n", from, to);
	play_say(play, peer, text);
	(void)play_read(peer);
	(void)snprintf(text, sizeof(text), "%s\r\n.\r\n", body);
	play_say(play, peer, text);
	return play_read(peer);
}

struct peer *play_dialled(struct play *play)
{
	for (size_t i = play->peer_count; i > 0; i--)
		if (play->peers[i - 1].open && !play->peers[i - 1].accepted)
			return &play->peers[i - 1];
	return NULL;
}

void play_take(struct play *play, struct peer *peer)
{
	peer->accepted = true;
	peer->events->connected(peer->owner);
	play_run(play);
}

void play_end(struct play *play, struct peer *peer, enum net_end end)
{
	peer->open = false;
	peer->events->closed(peer->owner, end, "");
	play_run(play);
}

struct peer *play_server(struct play *play, const char *extensions)
{
	struct peer *peer = play_dialled(play);
	char text[512] = "250-mx.example\r\n";
	struct slice rest = slice_of(extensions), line;

	assert_non_null(peer);
	play_take(play, peer);
	play_say(play, peer, "220 mx.example ESMTP\r\n");
	assert_string_equal(play_read(peer), "EHLO relay.example\r\n");
	while (slice_split(&rest, '\n', &line))
		if (line.size > 0)
			(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "250-%.*s\r\n",
				       SLICE_ARG(line));
	(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "250 HELP\r\n");
	play_say(play, peer, text);
	return peer;
}

struct store_totals play_totals(struct play *play)
{
	struct store_totals totals;

	play->store->ops->totals(play->store, &totals);
	assert_int_equal(totals.accepted, totals.queued + totals.ended);
	return totals;
}

void play_answered(void *owner, const struct admin_result *result)
{
	struct play_answer *answer = owner;

	assert_false(answer->came);
	answer->came = true;
	answer->result = *result;
}
