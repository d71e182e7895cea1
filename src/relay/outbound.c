/* One session: the client machine between connection, store and feed. */
#include "relay/outbound.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "relay/trust.h"

enum { BODY_PIECE_BYTES = 64 * 1024 };

static const struct slice nothing = {.data = NULL, .size = 0};

/* --- life --- */

static void set_timer(struct outbound *out)
{
	struct relay *relay = out->relay;
	int64_t at_us = CLOCK_NEVER;

	if (out->client != NULL)
		at_us = smtp_client_deadline(out->client);
	if (out->state == OUTBOUND_IDLE) {
		int64_t idle_us = relay->now.now_us + lane_idle_limit_us(&out->feed->lane);
		if (idle_us < at_us)
			at_us = idle_us;
	}
	timer_set(&relay->timers, &out->timer, at_us);
}

void outbound_unused(struct outbound *out)
{
	if (out->dead && out->references == 0)
		outbound_unbury(out);
}

void outbound_unbury(struct outbound *out)
{
	list_remove(&out->in_feed);
	free(out->transaction.recipients);
	free(out->changes);
	free(out->notes);
	arena_deinit(&out->words);
	free(out);
}

void outbound_recording(struct outbound *out, bool recording)
{
	if (out->recording == recording)
		return;
	out->recording = recording;
	if (recording)
		lane_recording_begun(&out->feed->lane, out->relay->now.now_us);
	else
		lane_recording_ended(&out->feed->lane, out->relay->now.now_us);
}

void outbound_bury(struct outbound *out)
{
	struct feed *feed = out->feed;
	struct relay *relay = out->relay;

	check(!out->dead && out->conn == NULL && out->item == NULL);
	ask_lost(out);
	outbound_recording(out, false);
	if (out->state <= OUTBOUND_GREETING)
		feed->opening_count--;
	else if (out->reached_lane)
		lane_conn_closed(&feed->lane, relay->now.now_us);
	timer_clear(&relay->timers, &out->timer);
	list_remove(&out->in_idle);
	list_remove(&out->in_feed);
	list_add_last(&relay->buried, &out->in_feed);
	feed->connection_count--;
	relay->outbound_count--;
	smtp_client_free(out->client);
	out->client = NULL;
	out->feed = NULL;
	out->dead = true;
	feed_wake(feed);
	outbound_unused(out);
}

void outbound_drop_connection(struct outbound *out, bool flush)
{
	if (out->conn != NULL)
		out->relay->ports.net->ops->close(out->conn, flush);
	out->conn = NULL;
}

static void timer_fired(struct timer *timer)
{
	struct outbound *out = container_of(timer, struct outbound, timer);

	if (out->retry)
		results_retry(out);
	else if (out->client == NULL)
		outbound_attempt_failed(out);
	else if (out->state == OUTBOUND_IDLE && smtp_client_deadline(out->client) > out->relay->now.now_us)
		outbound_quit(out); /* too long idle */
	else
		outbound_step(out, nothing);
}

void outbound_init_timer(struct outbound *out)
{
	out->timer.fire = timer_fired;
}

bool outbound_others_open(const struct outbound *out)
{
	list_each(node, &out->feed->connections) {
		const struct outbound *other = container_of(node, struct outbound, in_feed);
		if (other != out && other->state >= OUTBOUND_IDLE && other->state <= OUTBOUND_RECORDING)
			return true;
	}
	return false;
}

/* --- transactions --- */

static void copy_recipient(struct smtp_client_recipient *to, const struct store_recipient *from)
{
	*to = (struct smtp_client_recipient){
	    .forward_path = from->forward_path,
	    .orcpt = from->orcpt,
	    .notify_given = (from->notify & ~STORE_TAKEN_BACK) != 0,
	    .notify_never = (from->notify & STORE_NOTIFY_NEVER) != 0,
	    .notify_success = (from->notify & STORE_NOTIFY_SUCCESS) != 0,
	    .notify_failure = (from->notify & STORE_NOTIFY_FAILURE) != 0,
	    .notify_delay = (from->notify & STORE_NOTIFY_DELAY) != 0,
	};
}

static bool prepare_transaction(struct outbound *out, const struct item *item)
{
	const struct store_envelope *e = &item->envelope;
	struct smtp_client_recipient *recipients = calloc(e->recipient_count, sizeof(*recipients));
	struct known_note *notes = calloc(e->recipient_count, sizeof(*notes));

	if (recipients == NULL || notes == NULL) {
		free(recipients);
		free(notes);
		return false;
	}
	free(out->transaction.recipients);
	free(out->notes);
	out->notes = notes;
	for (uint32_t i = 0; i < e->recipient_count; i++)
		copy_recipient(&recipients[i], &e->recipients[i]);
	out->transaction = (struct smtp_client_transaction){
	    .reverse_path = e->reverse_path,
	    .envid = e->envid,
	    .size_bytes = item->body_bytes,
	    .body_8bitmime = e->body == STORE_BODY_8BITMIME,
	    .smtputf8 = (e->flags & STORE_SMTPUTF8) != 0,
	    .ret_full = (e->flags & STORE_RET_FULL) != 0,
	    .ret_hdrs = (e->flags & STORE_RET_HDRS) != 0,
	    .recipient_count = e->recipient_count,
	    .recipients = recipients,
	};
	return true;
}

static void reset(struct outbound *out)
{
	list_remove(&out->in_idle);
	out->body_offset = 0;
	out->body_failed = false;
	out->want_body = false;
	out->judged = false;
	out->refusing = false;
	out->refusal_unknown = false;
	out->results_done = false;
	out->usable = false;
	out->messages_sent++;
	out->state = OUTBOUND_SENDING;
}

/* The machine has it; the caller steps. False: the item went back. */
static bool begin(struct outbound *out, struct item *item, bool canary)
{
	check(out->state == OUTBOUND_IDLE && out->item == NULL);
	if (!prepare_transaction(out, item)) {
		if (canary)
			trust_probe_gone(item->domain);
		queue_defer(item);
		return false;
	}
	reset(out);
	out->item = item;
	out->canary = canary;
	if (item->domain->outside == NULL)
		known_read(out);
	lane_transaction_started(&out->feed->lane, out->probe, out->relay->now.now_us);
	smtp_client_begin(out->client, &out->transaction, out->relay->now.now_us);
	return true;
}

void outbound_send(struct outbound *out, struct item *item, bool canary)
{
	if (begin(out, item, canary))
		outbound_step(out, nothing);
}

void outbound_ask(struct outbound *out)
{
	check(out->state == OUTBOUND_IDLE && out->item == NULL);
	reset(out);
	out->canary = false;
	smtp_client_begin(out->client, &out->transaction, out->relay->now.now_us);
	outbound_step(out, nothing);
}

static void read_body(struct outbound *out);

/* A piece of the body came, or did not. */
static void give_body(struct outbound *out, enum store_result result, enum store_reason reason,
		      struct slice bytes)
{
	struct relay *relay = out->relay;
	uint64_t size = out->transaction.size_bytes;

	out->body_offset += bytes.size;
	bool last = out->body_offset >= size;
	bool readable = result == STORE_OK && (bytes.size > 0 || last) && out->body_offset <= size;
	if (!readable && reason != STORE_REASON_MISSING) /* removed by hand just now */
		log_event(relay->ports.log, LOG_LEVEL_ALARM, "store", out->item->id,
			  "a message cannot be read from the store: it stays there and is not sent",
			  LOG_NUMBER("reason", reason));
	if (!readable || smtp_client_body(out->client, bytes, last, relay->now.now_us) != 0) {
		out->body_failed = true;
		smtp_client_body_failed(out->client, relay->now.now_us);
	}
	outbound_step(out, nothing);
}

static void body_read(void *owner, enum store_result result, enum store_reason reason, struct slice bytes)
{
	struct outbound *out = owner;
	struct relay *relay = out->relay;

	relay_enter(relay);
	relay->operations--;
	out->references--;
	out->reading = false;
	if (out->dead) {
		outbound_unused(out);
		return;
	}
	if (out->state != OUTBOUND_SENDING || !out->want_body)
		return;
	/* The transaction that asked may have ended, and the next one begun: its bytes are no business of
	 * this one. */
	if (out->read_for != out->messages_sent) {
		read_body(out);
		return;
	}
	out->want_body = false;
	give_body(out, result, reason, bytes);
}

static void read_body(struct outbound *out)
{
	struct relay *relay = out->relay;
	struct store *store = relay->ports.store;

	out->want_body = true;
	if (out->reading)
		return;
	out->reading = true;
	out->read_for = out->messages_sent;
	out->references++;
	relay->operations++;
	store->ops->read(store, out->item->id, out->body_offset, BODY_PIECE_BYTES, body_read, out);
}

/* After a transaction: goes on once its results are in the store and the machine has said whether the
 * connection lives. */
static void proceed(struct outbound *out)
{
	struct feed *feed = out->feed;

	if (!out->results_done)
		return;
	if (out->useless || out->conn == NULL) {
		outbound_drop_connection(out, true);
		outbound_bury(out);
		return;
	}
	if (!out->usable) {
		set_timer(out);
		return;
	}
	out->state = OUTBOUND_IDLE;
	if (out->relay->shutting_down ||
	    out->messages_sent >= out->relay->config.lane.messages_per_connection) {
		outbound_quit(out);
		return;
	}
	list_add_first(&feed->idle, &out->in_idle);
	set_timer(out);
	feed_wake(feed);
}

void outbound_recorded(struct outbound *out)
{
	check(out->state == OUTBOUND_RECORDING && out->item == NULL);
	outbound_recording(out, false);
	out->probe = false;
	out->results_done = true;
	proceed(out);
}

/* What was asked is answered; nothing is to be written down. */
static void answered(struct outbound *out)
{
	out->references++;
	ask_over(out);
	out->references--;
	if (out->dead) {
		outbound_unused(out);
		return;
	}
	out->results_done = true;
	proceed(out);
}

/* --- the machine --- */

/* The way there leads through an address that is ours only from outside (a router that translates): only the
 * banner tells. */
static bool leads_back(const struct outbound *out)
{
	const char *mark = out->relay->config.mark;

	return mark != NULL && slice_contains_nocase(smtp_client_banner(out->client), slice_of(mark));
}

static void greeted(struct outbound *out)
{
	struct feed *feed = out->feed;
	struct item *canary = out->item;

	feed->opening_count--;
	out->state = OUTBOUND_IDLE;
	out->reached_lane = true;
	out->item = NULL;
	hosts_worked(feed, &out->trying);
	feed_offers(feed, smtp_client_offers_smtputf8(out->client), smtp_client_offers_dsn(out->client));
	feed_takes_size(feed, smtp_client_size_limit(out->client));
	outbound_recognise(out);
	lane_conn_ready(&feed->lane, out->relay->now.now_us);
	feed_wake(feed); /* the lane's deadline is another one from now on */
	/* Connecting may have taken minutes: the domain may be on hold by now, or go elsewhere. */
	bool wanted = canary != NULL && canary->domain->feed == feed && feed_may_probe(canary->domain);
	if (wanted && begin(out, canary, true))
		return;
	if (canary != NULL && !wanted) {
		queue_return(canary);
		lane_canary_abandoned(&feed->lane, out->relay->now.now_us);
	}
	out->probe = false;
	list_add_first(&feed->idle, &out->in_idle);
}

static void session_failed(struct outbound *out)
{
	const struct client_outcome *failure = smtp_client_failure(out->client);
	char words[REPLY_TEXT_MAX + 32];

	out->useless = true;
	if (out->state != OUTBOUND_GREETING)
		return;
	struct verdict_event event = results_event(failure, out, 0);
	results_words(&failure->reply, words, sizeof(words));
	outbound_note_failure(out, &event, words);
}

/* The machine hears what the connection has really taken, so that it stops asking for the body of a slow
 * server's message, and its timeouts see the truth. */
static void write_output(struct outbound *out)
{
	struct relay *relay = out->relay;
	struct net *net = relay->ports.net;
	struct slice output = smtp_client_output(out->client);

	if (output.size == 0 || out->conn == NULL || out->in_net_bytes > 0)
		return;
	if (net->ops->write(out->conn, output) != 0) {
		smtp_client_connection_lost(out->client, "out of memory", relay->now.now_us);
		return;
	}
	out->in_net_bytes = net->ops->unsent(out->conn);
	check(out->in_net_bytes <= output.size);
	smtp_client_sent(out->client, output.size - out->in_net_bytes, relay->now.now_us);
}

static void start_tls(struct outbound *out)
{
	struct relay *relay = out->relay;
	const char *name = out->feed->destination->hosts[out->trying.host].name;

	write_output(out);
	if (out->conn != NULL && relay->ports.net->ops->start_tls(out->conn, false, slice_of(name)) != 0) {
		out->tls_failed = true;
		smtp_client_connection_lost(out->client, "this relay has no TLS", relay->now.now_us);
	}
}

/* The connection has no further use. */
static void ended(struct outbound *out)
{
	out->useless = true;
	switch (out->state) {
	case OUTBOUND_CONNECTING:
	case OUTBOUND_GREETING:
		outbound_target_failed(out);
		return;
	case OUTBOUND_RECORDING:
		outbound_drop_connection(out, true);
		return; /* the rest follows when the results are in the store */
	case OUTBOUND_IDLE:
	case OUTBOUND_ENDING:
		outbound_drop_connection(out, true);
		outbound_bury(out);
		return;
	case OUTBOUND_SENDING:
		break; /* DONE comes before CLOSE */
	}
	check_never();
}

/* Does what one action asks for. False: wait for the next event. */
static bool act(struct outbound *out, enum smtp_client_action action)
{
	switch (action) {
	case SMTP_CLIENT_WAIT:
		return false;
	case SMTP_CLIENT_START_TLS:
		start_tls(out);
		return true;
	case SMTP_CLIENT_READY:
		out->usable = true;
		if (out->state == OUTBOUND_GREETING && leads_back(out)) {
			outbound_met_ourselves(out);
			return false;
		}
		if (out->state == OUTBOUND_GREETING)
			greeted(out);
		return true;
	case SMTP_CLIENT_WANT_BODY:
		read_body(out);
		return false;
	case SMTP_CLIENT_DONE:
		out->state = OUTBOUND_RECORDING;
		out->usable = false; /* until READY */
		return true;
	case SMTP_CLIENT_FAILED:
		session_failed(out);
		return true;
	case SMTP_CLIENT_CLOSE:
		write_output(out);
		ended(out);
		return false;
	}
	check_never();
}

void outbound_step(struct outbound *out, struct slice input)
{
	struct relay *relay = out->relay;
	bool go_on = true;

	out->references++;
	while (go_on && out->client != NULL)
		go_on = act(out, smtp_client_step(out->client, &input, relay->now.now_us));
	out->references--;
	if (out->dead) {
		outbound_unused(out);
		return;
	}
	if (out->client == NULL) /* the next target is being tried */
		return;
	write_output(out);
	if (out->state == OUTBOUND_RECORDING && !out->judged) {
		out->judged = true;
		timer_clear(&relay->timers, &out->timer);
		if (out->ask != NULL)
			answered(out);
		else
			results_of(out);
	} else if (out->state == OUTBOUND_RECORDING) {
		proceed(out);
	} else {
		set_timer(out);
	}
}

/* --- events of the connection --- */

static void on_connected(void *owner)
{
	struct outbound *out = owner;

	relay_enter(out->relay);
	outbound_connected(out);
}

/* Tells the machine how much of its output has left. */
static void note_sent(struct outbound *out)
{
	struct net *net = out->relay->ports.net;
	size_t unsent = out->conn != NULL ? net->ops->unsent(out->conn) : 0;

	check(unsent <= out->in_net_bytes);
	size_t left = out->in_net_bytes - unsent;
	out->in_net_bytes = unsent;
	if (left > 0)
		smtp_client_sent(out->client, left, out->relay->now.now_us);
}

static void on_received(void *owner, struct slice bytes)
{
	struct outbound *out = owner;

	relay_enter(out->relay);
	lane_heard(&out->feed->lane, out->relay->now.now_us);
	note_sent(out); /* before its answers: the machine takes no reply to what has not left */
	outbound_step(out, bytes);
}

static void on_drained(void *owner)
{
	struct outbound *out = owner;

	relay_enter(out->relay);
	lane_heard(&out->feed->lane, out->relay->now.now_us);
	note_sent(out);
	outbound_step(out, nothing);
}

static void on_secured(void *owner, const struct net_tls_state *state)
{
	struct outbound *out = owner;

	relay_enter(out->relay);
	out->certificate = map_hash(slice_of(state->fingerprint), out->relay->ports.seed);
	smtp_client_tls_done(out->client, out->relay->now.now_us);
	outbound_step(out, nothing);
}

static enum verdict_what what_of(enum net_end end)
{
	switch (end) {
	case NET_END_REFUSED:
		return VERDICT_CONN_REFUSED;
	case NET_END_UNREACHABLE:
		return VERDICT_CONN_UNREACHABLE;
	case NET_END_TIMEOUT:
		return VERDICT_CONN_TIMEOUT;
	case NET_END_EOF:
	case NET_END_RESET:
		return VERDICT_CONN_RESET;
	case NET_END_TLS:
		return VERDICT_CONN_TLS;
	case NET_END_LOCAL:
		return VERDICT_CONN_LOCAL;
	}
	return VERDICT_CONN_RESET;
}

static void on_closed(void *owner, enum net_end end, const char *detail)
{
	struct outbound *out = owner;
	struct relay *relay = out->relay;
	char words[256];

	relay_enter(relay);
	out->conn = NULL;
	bool more =
	    detail[0] != '\0' && !slice_contains_nocase(slice_of(detail), slice_of(net_end_name(end)));
	(void)snprintf(words, sizeof(words), "%s%s%.200s", net_end_name(end), more ? ": " : "",
		       more ? detail : "");
	if (out->client == NULL) {
		struct verdict_event event = {.stage = VERDICT_AT_CONNECT, .what = what_of(end)};
		outbound_note_failure(out, &event, words);
		outbound_target_failed(out);
		return;
	}
	if (out->state == OUTBOUND_GREETING && end == NET_END_TLS)
		out->tls_failed = true;
	smtp_client_connection_lost(out->client, words, relay->now.now_us);
	outbound_step(out, nothing);
}

const struct net_events outbound_events = {
    .connected = on_connected,
    .received = on_received,
    .drained = on_drained,
    .secured = on_secured,
    .closed = on_closed,
};

/* --- ends --- */

void outbound_quit(struct outbound *out)
{
	check(out->state == OUTBOUND_IDLE);
	list_remove(&out->in_idle);
	out->state = OUTBOUND_ENDING;
	smtp_client_quit(out->client, out->relay->now.now_us);
	outbound_step(out, nothing);
}

void outbound_give_up(struct outbound *out)
{
	if (out->state != OUTBOUND_SENDING)
		return;
	out->probe = false; /* another one may be on its way when this one ends */
	if (out->transaction.dot_sent_us != 0)
		return;
	outbound_drop_connection(out, false);
	smtp_client_connection_lost(out->client, "the server says nothing on any connection",
				    out->relay->now.now_us);
	outbound_step(out, nothing);
}

void outbound_kill(struct outbound *out)
{
	struct item *item = out->item;

	outbound_drop_connection(out, false);
	out->item = NULL;
	if (item != NULL)
		queue_return(item);
	outbound_bury(out);
}
