/* A message on its way into the store: from the final dot to the answer.
 *
 * The commit lives on when its session ends: a client that leaves after the dot does not lose a message that
 * becomes durable. An unknown result is asked again with the same id; after RELAY_COMMIT_RETRY_MS the client
 * is closed on without a reply (it will send again), and the message is aborted for good, however long that
 * takes to be certain.
 */
#include "relay/inbound.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base32.h"
#include "base/check.h"
#include "relay/feed.h"

enum {
	COMMIT_AGAIN_MS = 1000,
	CIRCLE_PASSES = 3, /* of one message past us for the same recipient: its server sends it back to us */
};

struct commit {
	struct map_node node; /* in relay->committing */
	struct relay *relay;
	struct inbound *in;			    /* NULL: nobody waits */
	void (*own_done)(void *owner, uint64_t id); /* of a message of our own; NULL: of a sender */
	void *own_owner;
	struct store_message *message;
	uint64_t id;
	char id_key[sizeof(uint64_t)];
	char id_text[BASE32_U64_SIZE + 1];
	uint64_t bytes;
	struct arena arena; /* envelope */
	struct store_envelope envelope;
	struct buffer prefix;
	bool asked; /* the store has not answered yet */
	bool aborting;
	int64_t give_up_us;
	struct timer timer; /* ask again */
};

static void commit_free(struct commit *c)
{
	map_remove(&c->relay->committing, &c->node);
	timer_clear(&c->relay->timers, &c->timer);
	arena_deinit(&c->arena);
	buffer_deinit(&c->prefix);
	free(c);
}

bool commit_pending(const struct relay *relay, uint64_t id)
{
	return map_find(&relay->committing, slice_make(&id, sizeof(id))) != NULL;
}

bool commit_pending_for(const struct relay *relay, uint32_t domain)
{
	for (struct map_node *node = map_next(&relay->committing, NULL); node != NULL;
	     node = map_next(&relay->committing, node)) {
		const struct store_envelope *e = &container_of(node, struct commit, node)->envelope;
		for (uint32_t i = 0; i < e->recipient_count; i++)
			if (e->recipients[i].domain == domain)
				return true;
	}
	return false;
}

void commit_orphan(struct commit *commit)
{
	commit->in = NULL;
}

void commit_free_all(struct relay *relay)
{
	struct map_node *node;

	while ((node = (struct map_node *)map_next(&relay->committing, NULL)) != NULL)
		commit_free(container_of(node, struct commit, node));
}

/* --- the envelope --- */

static uint32_t notify_flags(const struct smtp_server_recipient *r)
{
	return (r->notify_never ? STORE_NOTIFY_NEVER : 0u) | (r->notify_success ? STORE_NOTIFY_SUCCESS : 0u) |
	       (r->notify_failure ? STORE_NOTIFY_FAILURE : 0u) | (r->notify_delay ? STORE_NOTIFY_DELAY : 0u);
}

/* Whoever is in a circle waits as long as anybody may, and goes round again then: no spin, nothing lost, and
 * once the server is mended it arrives without a hand. A release of the domain does not hurry it. */
static void keep_from_spinning(const struct commit *c, const struct inbound *in, struct store_recipient *to)
{
	if (header_scan_passes(&in->scan, to->forward_path) < CIRCLE_PASSES)
		return;
	to->reason = REASON_CIRCLE;
	to->not_before_ms = c->envelope.arrival_ms + QUEUE_BACKOFF_MAX_MS;
	to->last_reply = slice_of("came back to this relay again and again: its server forwards it here");
}

static int copy_recipients(struct commit *c, const struct inbound *in,
			   const struct smtp_server_transaction *t)
{
	struct store_envelope *e = &c->envelope;

	e->recipients = arena_alloc_array(&c->arena, t->recipient_count, sizeof(struct store_recipient));
	if (e->recipients == NULL)
		return ERR_MEMORY;
	for (const struct smtp_server_recipient *r = t->recipients; r != NULL; r = r->next) {
		struct domain *domain = inbound_domain(c->relay, r->domain);
		if (domain == NULL || !domain_takes_mail(domain))
			return ERR_MISSING; /* removed since its RCPT */
		struct store_recipient *to = &e->recipients[e->recipient_count++];
		to->domain = domain->number;
		to->notify = notify_flags(r);
		if (arena_copy(&c->arena, r->forward_path, &to->forward_path) != 0 ||
		    arena_copy(&c->arena, r->orcpt, &to->orcpt) != 0)
			return ERR_MEMORY;
		keep_from_spinning(c, in, to);
	}
	return 0;
}

static int copy_envelope(struct commit *c, struct inbound *in)
{
	const struct smtp_server_transaction *t = smtp_server_transaction(in->server);
	struct store_envelope *e = &c->envelope;

	e->flags = (t->smtputf8 ? STORE_SMTPUTF8 : 0u) | (t->ret_full ? STORE_RET_FULL : 0u) |
		   (t->ret_hdrs ? STORE_RET_HDRS : 0u) | (in->tls ? STORE_TLS : 0u) |
		   (in->spf.pass ? STORE_SPF_PASS : 0u);
	e->body = t->body_8bitmime ? STORE_BODY_8BITMIME : STORE_BODY_7BIT;
	e->arrival_ms = c->relay->now.wall_ms;
	if (arena_copy(&c->arena, t->reverse_path, &e->reverse_path) != 0 ||
	    arena_copy(&c->arena, t->envid, &e->envid) != 0 ||
	    arena_copy(&c->arena, slice_of(in->client_address), &e->client_address) != 0 ||
	    arena_copy(&c->arena, smtp_server_helo(in->server), &e->helo) != 0 ||
	    arena_copy(&c->arena, slice_of(in->scan.message_id), &e->message_id) != 0)
		return ERR_MEMORY;
	return copy_recipients(c, in, t);
}

static int write_prefix(struct commit *c, const struct inbound *in)
{
	const struct store_envelope *e = &c->envelope;
	struct received received = {
	    .helo = e->helo,
	    .client_address = e->client_address,
	    .hostname = c->relay->config.hostname,
	    .protocol = smtp_server_protocol(in->server),
	    .tls_version = in->tls ? in->tls_version : NULL,
	    .tls_cipher = in->tls ? in->tls_cipher : NULL,
	    .id = c->id_text,
	    .wall_ms = e->arrival_ms,
	};
	if (e->recipient_count == 1)
		received.for_path = e->recipients[0].forward_path;
	return header_write_received(&received, &c->prefix);
}

/* --- the answer --- */

static void answer_own(struct commit *c, uint64_t id)
{
	void (*done)(void *, uint64_t) = c->own_done;

	c->own_done = NULL;
	if (done != NULL)
		done(c->own_owner, id);
}

static void answer(struct commit *c, uint16_t code, const char *status, const char *text)
{
	struct inbound *in = c->in;
	struct reply reply;

	if (in == NULL)
		return;
	c->in = NULL;
	in->commit = NULL;
	reply_set(&reply, code, status, "%s", text);
	smtp_server_answer(in->server, &reply, inbound_now_us(in));
	inbound_run(in);
}

static void log_circle(const struct commit *c, const struct store_recipient *to)
{
	log_event(
	    c->relay->ports.log, LOG_LEVEL_ALARM, "loop", c->id,
	    "a message goes in a circle: its server has sent it back here; it is kept, and tried every few "
	    "hours; mend the forwarding there, then `restante message release`",
	    LOG_TEXT("to", to->forward_path), LOG_TEXT("client", c->envelope.client_address),
	    LOG_TEXT("message-id", c->envelope.message_id));
}

static void log_accepted(const struct commit *c)
{
	for (uint32_t i = 0; i < c->envelope.recipient_count; i++)
		log_event(c->relay->ports.log, LOG_LEVEL_INFO, "accept", c->id, "",
			  LOG_TEXT("from", c->envelope.reverse_path),
			  LOG_TEXT("to", c->envelope.recipients[i].forward_path),
			  LOG_TEXT("client", c->envelope.client_address), LOG_TEXT("helo", c->envelope.helo),
			  LOG_NUMBER("size", c->bytes), LOG_TEXT("message-id", c->envelope.message_id));
	for (uint32_t i = 0; i < c->envelope.recipient_count; i++)
		if (c->envelope.recipients[i].reason == REASON_CIRCLE)
			log_circle(c, &c->envelope.recipients[i]);
}

/* Returns the item of the last of its domains, if it is in memory. */
static struct item *enqueue(struct commit *c)
{
	const struct store_envelope *e = &c->envelope;
	struct item *item = NULL;

	for (uint32_t i = 0; i < e->recipient_count; i++) {
		bool seen = false; /* each domain once */
		for (uint32_t k = 0; k < i && !seen; k++)
			seen = e->recipients[k].domain == e->recipients[i].domain;
		struct domain *domain = seen ? NULL : domain_by_number(c->relay, e->recipients[i].domain);
		if (domain != NULL)
			item = queue_arrived(domain, c->id, e, c->bytes);
	}
	return item;
}

static void accepted(struct commit *c)
{
	struct relay *relay = c->relay;
	char text[64];

	if (c->own_done == NULL) {
		relay->counters.accepted_messages++;
		relay->counters.accepted_recipients += c->envelope.recipient_count;
	}
	log_accepted(c);
	struct item *item = enqueue(c);
	struct inbound *in = c->in;
	if (in != NULL && item != NULL &&
	    in_session_begin(in, item, c->envelope.recipient_count, c->id_text)) {
		in->commit = NULL;
		commit_orphan(c);
	}
	(void)snprintf(text, sizeof(text), "accepted as %s", c->id_text);
	answer(c, 250, "2.0.0", text);
	answer_own(c, c->id);
	commit_free(c);
}

static void failed(struct commit *c, enum store_reason reason)
{
	log_event(c->relay->ports.log, LOG_LEVEL_WARN, "store", c->id,
		  c->own_done != NULL ? "a message of our own could not be stored"
				      : "a message could not be stored: refused with 4xx",
		  LOG_NUMBER("reason", reason));
	if (reason == STORE_REASON_FULL)
		answer(c, 452, "4.3.1", "the spool is full, try again later");
	else
		answer(c, 451, "4.3.0", "the message could not be stored, try again later");
	answer_own(c, 0);
	commit_free(c);
}

/* --- asking the store --- */

static void aborted(void *owner, enum store_result result, enum store_reason reason)
{
	struct commit *c = owner;
	struct relay *relay = c->relay;

	relay_enter(relay);
	relay->operations--;
	c->asked = false;
	if (result == STORE_UNKNOWN) {
		timer_set(&relay->timers, &c->timer, relay->now.now_us + CLOCK_MS(COMMIT_AGAIN_MS));
		return;
	}
	commit_free(c);
}

/* Nobody is told anything: the client sends again, the message must never appear. */
static void give_up(struct commit *c)
{
	struct inbound *in = c->in;
	struct store *store = c->relay->ports.store;

	c->aborting = true;
	c->in = NULL;
	answer_own(c, 0);
	if (in != NULL) {
		in->commit = NULL;
		if (in->conn != NULL)
			c->relay->ports.net->ops->close(in->conn, false);
		in->conn = NULL;
		inbound_free(in);
	}
	c->asked = true;
	c->relay->operations++;
	store->ops->abort(c->message, aborted, c);
}

static void committed(void *owner, enum store_result result, enum store_reason reason)
{
	struct commit *c = owner;
	struct relay *relay = c->relay;

	relay_enter(relay);
	relay->operations--;
	c->asked = false;
	switch (result) {
	case STORE_OK:
		accepted(c);
		return;
	case STORE_FAILED:
	case STORE_FENCED:
		failed(c, reason);
		return;
	case STORE_UNKNOWN:
		if (relay->now.now_us >= c->give_up_us)
			give_up(c);
		else
			timer_set(&relay->timers, &c->timer, relay->now.now_us + CLOCK_MS(COMMIT_AGAIN_MS));
		return;
	}
}

static void ask(struct commit *c)
{
	struct store *store = c->relay->ports.store;

	c->asked = true;
	c->relay->operations++;
	store->ops->commit(c->message, c->id, &c->envelope, buffer_slice(&c->prefix), committed, c);
}

static void timer_fired(struct timer *timer)
{
	struct commit *c = container_of(timer, struct commit, timer);

	if (c->aborting)
		give_up(c);
	else
		ask(c);
}

static void no_memory(struct inbound *in, struct commit *c)
{
	struct reply reply;

	if (c != NULL) {
		arena_deinit(&c->arena);
		buffer_deinit(&c->prefix);
		free(c);
	}
	in->relay->ports.store->ops->abort(in->message, NULL, NULL);
	in->message = NULL;
	reply_set(&reply, 451, "4.3.0", "the message could not be taken just now, try again later");
	smtp_server_answer(in->server, &reply, inbound_now_us(in));
}

static struct commit *commit_new(struct relay *relay)
{
	struct store *store = relay->ports.store;
	struct commit *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->relay = relay;
	c->id = store->ops->next_id(store, relay->now.wall_ms);
	memcpy(c->id_key, &c->id, sizeof(c->id));
	base32_from_u64(c->id, c->id_text);
	arena_init(&c->arena, 0);
	buffer_init(&c->prefix, 0);
	c->timer.fire = timer_fired;
	c->give_up_us = relay->now.now_us + CLOCK_MS(RELAY_COMMIT_RETRY_MS);
	return c;
}

static int copy_own(struct commit *c, const struct store_envelope *envelope)
{
	struct store_envelope *e = &c->envelope;

	*e = *envelope;
	e->recipients = arena_alloc_array(&c->arena, e->recipient_count, sizeof(struct store_recipient));
	if (e->recipients == NULL || arena_copy(&c->arena, e->reverse_path, &e->reverse_path) != 0)
		return ERR_MEMORY;
	for (uint32_t i = 0; i < e->recipient_count; i++) {
		e->recipients[i] = envelope->recipients[i];
		if (arena_copy(&c->arena, e->recipients[i].forward_path, &e->recipients[i].forward_path) != 0)
			return ERR_MEMORY;
	}
	return map_insert(&c->relay->committing, &c->node, slice_make(c->id_key, sizeof(c->id_key)));
}

int commit_own(struct relay *relay, struct store_message *message, const struct store_envelope *envelope,
	       uint64_t bytes, void (*done)(void *owner, uint64_t id), void *owner)
{
	struct commit *c = commit_new(relay);

	if (c == NULL)
		return ERR_MEMORY;
	if (copy_own(c, envelope) != 0) {
		arena_deinit(&c->arena);
		free(c);
		return ERR_MEMORY;
	}
	c->bytes = bytes;
	c->message = message;
	c->own_done = done;
	c->own_owner = owner;
	ask(c);
	return 0;
}

void commit_start(struct inbound *in)
{
	struct relay *relay = in->relay;
	struct commit *c = commit_new(relay);

	if (c == NULL) {
		no_memory(in, NULL);
		return;
	}
	if (copy_envelope(c, in) != 0 || write_prefix(c, in) != 0 ||
	    map_insert(&relay->committing, &c->node, slice_make(c->id_key, sizeof(c->id_key))) != 0) {
		no_memory(in, c);
		return;
	}
	c->bytes = in->body_bytes + buffer_size(&c->prefix);
	c->message = in->message;
	in->message = NULL;
	c->in = in;
	in->commit = c;
	ask(c);
#ifdef DEFECT_EARLY_250 /* seeded defect: the reply goes out before the message is durable */
	answer(c, 250, "2.0.0", "accepted too early");
#endif
}
