#include "relay/outbound.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { BODY_PIECE_BYTES = 64 * 1024 };

static const struct net_events outbound_events;

static void try_next_target(struct outbound *out);
static void step(struct outbound *out, struct slice input);

/* --- life
 * ---------------------------------------------------------------------------------------------------------------
 */

static void set_timer(struct outbound *out)
{
	struct relay *relay = out->feed->relay;
	int64_t at_us = CLOCK_NEVER;

	if (out->client != NULL && out->state != OUTBOUND_RECORDING)
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
	if (!out->dead || out->references > 0)
		return;
	free(out->transaction.recipients);
	free(out->changes);
	free(out);
}

/* Takes the session out of the feed; the memory goes when no store operation refers to it any more. */
static void bury(struct outbound *out)
{
	struct feed *feed = out->feed;
	struct relay *relay = feed->relay;

	check(!out->dead && out->conn == NULL && out->item == NULL);
	if (out->state <= OUTBOUND_GREETING) {
		feed->opening_count--;
	} else if (out->reached_lane) {
		lane_conn_closed(&feed->lane, relay->now.now_us);
	}
	if (out->probe)
		feed->probing = false;
	timer_clear(&relay->timers, &out->timer);
	list_remove(&out->in_idle);
	list_remove(&out->in_feed);
	feed->connection_count--;
	relay->outbound_count--;
	smtp_client_free(out->client);
	out->client = NULL;
	out->dead = true;
	feed_wake(feed);
	outbound_unused(out);
}

static void drop_connection(struct outbound *out, bool flush)
{
	if (out->conn != NULL)
		out->feed->relay->ports.net->ops->close(out->conn, flush);
	out->conn = NULL;
}

static void timer_fired(struct timer *timer)
{
	struct outbound *out = container_of(timer, struct outbound, timer);

	if (out->retry) {
		results_retry(out);
		return;
	}
	if (out->state == OUTBOUND_IDLE) {
		/* Either too long idle, or the server said something unasked within the machine's own time.
		 */
		if (smtp_client_deadline(out->client) > out->feed->relay->now.now_us) {
			outbound_quit(out);
			return;
		}
	}
	step(out, (struct slice){.data = NULL, .size = 0});
}

bool outbound_open(struct feed *feed, struct item *canary)
{
	struct relay *relay = feed->relay;
	struct outbound *out = calloc(1, sizeof(*out));

	if (out == NULL)
		return false;
	out->feed = feed;
	out->target = -1;
	out->timer.fire = timer_fired;
	out->item = canary;
	out->probe = canary != NULL;
	list_add_last(&feed->connections, &out->in_feed);
	feed->connection_count++;
	feed->opening_count++;
	relay->outbound_count++;
	lane_conn_opening(&feed->lane, relay->now.now_us);
	try_next_target(out);
	return true;
}

/* --- greeting: through the targets until one is well
 * ------------------------------------------------------------------------ */

static int telling(enum verdict verdict)
{
	static const int order[] = {
	    [VERDICT_LATER] = 1,    [VERDICT_CONN_LIMIT] = 4, [VERDICT_HOST] = 2,   [VERDICT_RATE] = 3,
	    [VERDICT_PRESSURE] = 3, [VERDICT_US] = 3,	      [VERDICT_UNKNOWN] = 0};
	return (size_t)verdict < sizeof(order) / sizeof(order[0]) ? order[verdict] : 1;
}

bool outbound_others_open(const struct outbound *out)
{
	list_each(node, &out->feed->connections)
	{
		const struct outbound *other = container_of(node, struct outbound, in_feed);
		if (other != out && other->state >= OUTBOUND_IDLE && other->state <= OUTBOUND_RECORDING)
			return true;
	}
	return false;
}

static void note_failure(struct outbound *out, const struct verdict_event *event, const char *words)
{
	struct verdict_result result = verdict_judge(event);

	if (out->worst_reply[0] != '\0' && telling(result.verdict) < telling(out->worst.verdict))
		return;
	out->worst = result;
	(void)snprintf(out->worst_reply, sizeof(out->worst_reply), "%s: %s", out->relay_text, words);
}

/* All targets failed: the lane hears of it once. */
static void attempt_failed(struct outbound *out)
{
	struct feed *feed = out->feed;
	struct relay *relay = feed->relay;
	struct item *item = out->item;

	out->item = NULL;
	if (item != NULL)
		queue_return(item);
	bool changed = lane_conn_failed(&feed->lane, &out->worst, slice_of(out->worst_reply),
					relay->now.now_us, relay->now.wall_ms);
	feed->changed = true;
	bury(out);
	if (changed)
		feed_changed(feed);
}

static void target_failed(struct outbound *out)
{
	hosts_failed(out->feed, out->target);
	smtp_client_free(out->client);
	out->client = NULL;
	drop_connection(out, false);
	out->state = OUTBOUND_CONNECTING;
	try_next_target(out);
}

static void describe_target(struct outbound *out, const struct target *target)
{
	char address[NET_ADDRESS_TEXT_SIZE];
	const char *name = out->feed->destination.hosts[target->host].name;

	(void)net_address_host(&target->address, address);
	(void)snprintf(out->relay_text, sizeof(out->relay_text), "%s[%s]:%u", name, address,
		       target->address.port);
}

static void try_next_target(struct outbound *out)
{
	struct feed *feed = out->feed;
	struct relay *relay = feed->relay;

	for (;;) {
		out->target = hosts_pick(feed, out->tried);
		if (out->target < 0) {
			/* Not from here: this may be inside outbound_open. */
			timer_set(&relay->timers, &out->timer, relay->now.now_us);
			return;
		}
		out->tried |= UINT64_C(1) << out->target;
		const struct target *target = &feed->targets[out->target];
		describe_target(out, target);
		out->conn =
		    relay->ports.net->ops->connect(relay->ports.net, &target->address, NULL,
						   relay->config.connect_timeout_ms, &outbound_events, out);
		if (out->conn != NULL) {
			timer_clear(&relay->timers, &out->timer);
			return;
		}
		struct verdict_event event = {.stage = VERDICT_AT_CONNECT, .what = VERDICT_CONN_LOCAL};
		note_failure(out, &event, "out of memory");
	}
}

static void on_connected(void *owner)
{
	struct outbound *out = owner;
	struct relay *relay = out->feed->relay;

	relay_enter(relay);
	out->client = smtp_client_new(&relay->config.client, relay->now.now_us);
	if (out->client == NULL) {
		struct verdict_event event = {.stage = VERDICT_AT_CONNECT, .what = VERDICT_CONN_LOCAL};
		note_failure(out, &event, "out of memory");
		target_failed(out);
		return;
	}
	out->state = OUTBOUND_GREETING;
	step(out, (struct slice){.data = NULL, .size = 0});
}

static void greeted(struct outbound *out)
{
	struct feed *feed = out->feed;

	feed->opening_count--;
	out->state = OUTBOUND_IDLE;
	out->reached_lane = true;
	hosts_worked(feed, out->target);
	lane_conn_ready(&feed->lane, feed->relay->now.now_us);
	if (out->item != NULL) {
		struct item *canary = out->item;
		out->item = NULL;
		outbound_send(out, canary, true);
		return;
	}
	list_add_first(&feed->idle, &out->in_idle);
	feed_wake(feed);
}

/* --- transactions
 * ---------------------------------------------------------------------------------------------------------
 */

static void copy_recipient(struct smtp_client_recipient *to, const struct store_recipient *from)
{
	*to = (struct smtp_client_recipient){
	    .forward_path = from->forward_path,
	    .orcpt = from->orcpt,
	    .notify_given = from->notify != 0,
	    .notify_never = (from->notify & STORE_NOTIFY_NEVER) != 0,
	    .notify_success = (from->notify & STORE_NOTIFY_SUCCESS) != 0,
	    .notify_failure = (from->notify & STORE_NOTIFY_FAILURE) != 0,
	    .notify_delay = (from->notify & STORE_NOTIFY_DELAY) != 0,
	};
}

void outbound_send(struct outbound *out, struct item *item, bool canary)
{
	struct relay *relay = out->feed->relay;
	const struct store_envelope *e = &item->envelope;
	struct smtp_client_recipient *recipients = calloc(e->recipient_count, sizeof(*recipients));

	check(out->state == OUTBOUND_IDLE && out->item == NULL);
	if (recipients == NULL) {
		queue_return(item);
		return;
	}
	free(out->transaction.recipients);
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
	list_remove(&out->in_idle);
	out->item = item;
	out->canary = canary;
	out->body_offset = 0;
	out->body_failed = false;
	out->messages_sent++;
	out->state = OUTBOUND_SENDING;
	lane_transaction_started(&out->feed->lane, out->probe, relay->now.now_us);
	smtp_client_begin(out->client, &out->transaction, relay->now.now_us);
	step(out, (struct slice){.data = NULL, .size = 0});
}

static void body_read(void *owner, enum store_result result, enum store_reason reason, struct slice bytes)
{
	struct outbound *out = owner;
	struct relay *relay = out->feed->relay;

	out->references--;
	out->reading = false;
	if (out->dead) {
		relay->operations--;
		outbound_unused(out);
		return;
	}
	relay_enter(relay);
	relay->operations--;
	if (out->state != OUTBOUND_SENDING || !out->want_body)
		return;
	out->want_body = false;
	out->body_offset += bytes.size;
	bool last = out->body_offset >= out->transaction.size_bytes;
	if (result != STORE_OK || (bytes.size == 0 && !last)) {
		log_event(relay->ports.log, LOG_LEVEL_ALARM, "store", out->item->id,
			  "a message cannot be read from the store: it stays there and is not sent",
			  LOG_NUMBER("reason", reason));
		out->body_failed = true;
		smtp_client_body_failed(out->client, relay->now.now_us);
	} else if (smtp_client_body(out->client, bytes, last, relay->now.now_us) != 0) {
		smtp_client_body_failed(out->client, relay->now.now_us);
	}
	step(out, (struct slice){.data = NULL, .size = 0});
}

static void read_body(struct outbound *out)
{
	struct relay *relay = out->feed->relay;
	struct store *store = relay->ports.store;

	out->want_body = true;
	if (out->reading)
		return;
	out->reading = true;
	out->references++;
	relay->operations++;
	store->ops->read(store, out->item->id, out->body_offset, BODY_PIECE_BYTES, body_read, out);
}

void outbound_recorded(struct outbound *out)
{
	struct feed *feed = out->feed;
	struct relay *relay = feed->relay;

	check(out->state == OUTBOUND_RECORDING);
	check(out->item == NULL);
	if (out->probe) {
		out->probe = false;
		feed->probing = false;
	}
	if (!out->usable || out->conn == NULL) {
		drop_connection(out, true);
		bury(out);
		return;
	}
	out->state = OUTBOUND_IDLE;
	if (relay->shutting_down || out->messages_sent >= relay->config.lane.messages_per_connection) {
		outbound_quit(out);
		return;
	}
	list_add_first(&feed->idle, &out->in_idle);
	set_timer(out);
	feed_wake(feed);
}

/* --- the machine
 * --------------------------------------------------------------------------------------------------------------
 */

static void session_failed(struct outbound *out)
{
	const struct client_outcome *failure = smtp_client_failure(out->client);

	if (out->state == OUTBOUND_GREETING) {
		struct verdict_event event = results_event(failure, out, 0);
		char words[REPLY_TEXT_MAX + 32];
		(void)reply_format(&failure->reply, words, sizeof(words));
		note_failure(out, &event, words);
	}
	out->usable = false;
}

static void write_output(struct outbound *out)
{
	struct relay *relay = out->feed->relay;
	struct slice output = smtp_client_output(out->client);

	if (output.size == 0 || out->conn == NULL)
		return;
	if (relay->ports.net->ops->write(out->conn, output) == 0)
		smtp_client_sent(out->client, output.size, relay->now.now_us);
	else
		smtp_client_connection_lost(out->client, "out of memory", relay->now.now_us);
}

/* The connection has no further use. */
static void ended(struct outbound *out)
{
	switch (out->state) {
	case OUTBOUND_CONNECTING:
	case OUTBOUND_GREETING:
		target_failed(out);
		return;
	case OUTBOUND_RECORDING:
		out->usable = false;
		drop_connection(out, true);
		return; /* the rest follows when the results are in the store */
	case OUTBOUND_IDLE:
	case OUTBOUND_SENDING:
	case OUTBOUND_ENDING:
		break;
	}
	check(out->state != OUTBOUND_SENDING);
	drop_connection(out, true);
	bury(out);
}

/* What one action asks for. False: the session is gone, or must not be stepped on. */
static bool act(struct outbound *out, enum smtp_client_action action)
{
	struct relay *relay = out->feed->relay;

	switch (action) {
	case SMTP_CLIENT_WAIT:
		return false;
	case SMTP_CLIENT_START_TLS: {
		struct net_ops const *net = relay->ports.net->ops;
		write_output(out);
		const char *name = out->feed->destination.hosts[out->feed->targets[out->target].host].name;
		if (out->conn != NULL && net->start_tls(out->conn, false, slice_of(name)) != 0)
			smtp_client_connection_lost(out->client, "this relay has no TLS", relay->now.now_us);
		return true;
	}
	case SMTP_CLIENT_READY:
		if (out->state == OUTBOUND_GREETING) {
			greeted(out);
			return false; /* what follows was stepped from there */
		}
		out->usable = true;
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

static void step(struct outbound *out, struct slice input)
{
	struct relay *relay = out->feed->relay;

	if (out->client == NULL) { /* no target was left, see try_next_target */
		attempt_failed(out);
		return;
	}
	bool was_recording = out->state == OUTBOUND_RECORDING;
	out->references++;
	for (;;) {
		enum smtp_client_action action = smtp_client_step(out->client, &input, relay->now.now_us);
		bool go_on = act(out, action);
		if (out->dead || out->client == NULL)
			break;
		if (!go_on) {
			if (action == SMTP_CLIENT_WANT_BODY || action == SMTP_CLIENT_WAIT)
				write_output(out);
			break;
		}
	}
	out->references--;
	if (out->dead) {
		outbound_unused(out);
		return;
	}
	if (out->state == OUTBOUND_RECORDING && !was_recording)
		results_of(out);
	else
		set_timer(out);
}

/* --- events of the connection
 * --------------------------------------------------------------------------------------------------- */

static void on_received(void *owner, struct slice bytes)
{
	struct outbound *out = owner;

	relay_enter(out->feed->relay);
	lane_heard(&out->feed->lane, out->feed->relay->now.now_us);
	if (out->client != NULL)
		step(out, bytes);
}

static void on_drained(void *owner)
{
	struct outbound *out = owner;

	relay_enter(out->feed->relay);
	lane_heard(&out->feed->lane, out->feed->relay->now.now_us);
	if (out->client != NULL && out->state == OUTBOUND_SENDING)
		step(out, (struct slice){.data = NULL, .size = 0});
}

static void on_secured(void *owner, const struct net_tls_state *state)
{
	struct outbound *out = owner;

	relay_enter(out->feed->relay);
	smtp_client_tls_done(out->client, out->feed->relay->now.now_us);
	step(out, (struct slice){.data = NULL, .size = 0});
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
	struct relay *relay = out->feed->relay;
	char words[256];

	relay_enter(relay);
	out->conn = NULL;
	(void)snprintf(words, sizeof(words), "%s%s%s", net_end_name(end), detail[0] != '\0' ? ": " : "",
		       detail);
	if (out->client == NULL) {
		struct verdict_event event = {.stage = VERDICT_AT_CONNECT, .what = what_of(end)};
		note_failure(out, &event, words);
		target_failed(out);
		return;
	}
	if (out->state == OUTBOUND_GREETING && end == NET_END_TLS) {
		struct verdict_event event = {.stage = VERDICT_AT_TLS, .what = VERDICT_CONN_TLS};
		note_failure(out, &event, words);
	}
	smtp_client_connection_lost(out->client, words, relay->now.now_us);
	step(out, (struct slice){.data = NULL, .size = 0});
}

static const struct net_events outbound_events = {
    .connected = on_connected,
    .received = on_received,
    .drained = on_drained,
    .secured = on_secured,
    .closed = on_closed,
};

/* --- ends
 * -------------------------------------------------------------------------------------------------------------------------
 */

void outbound_quit(struct outbound *out)
{
	check(out->state == OUTBOUND_IDLE);
	list_remove(&out->in_idle);
	out->state = OUTBOUND_ENDING;
	smtp_client_quit(out->client, out->feed->relay->now.now_us);
	step(out, (struct slice){.data = NULL, .size = 0});
}

void outbound_give_up(struct outbound *out)
{
	if (out->state != OUTBOUND_SENDING || out->transaction.dot_sent_us != 0)
		return;
	drop_connection(out, false);
	smtp_client_connection_lost(out->client, "the server says nothing on any connection",
				    out->feed->relay->now.now_us);
	step(out, (struct slice){.data = NULL, .size = 0});
}

void outbound_kill(struct outbound *out)
{
	struct item *item = out->item;

	drop_connection(out, false);
	out->item = NULL;
	if (item != NULL)
		queue_return(item);
	bury(out);
}
