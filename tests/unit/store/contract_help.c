#include "contract_help.h"

#include <stdio.h>

enum { PATIENCE = 100000 }; /* polls */

const struct contract_backend help_plain = {.name = "plain"};

static int order_of_completion; /* a test process asks from one thread */

static struct found walk_answer;
static struct pairs pairs_answer;
static struct ends ends_answer;

static void note(struct answer *answer, enum store_result result, enum store_reason reason)
{
	answer->calls++;
	answer->order = ++order_of_completion;
	answer->result = result;
	answer->reason = reason;
}

void help_done(void *owner, enum store_result result, enum store_reason reason)
{
	note(owner, result, reason);
}

void help_wait(struct contract *c, const struct answer *answer)
{
	assert_int_equal(answer->calls, 0); /* never from inside the call */
	for (int i = 0; i < PATIENCE && answer->calls == 0; i++) {
		if (c->backend->wait != NULL)
			c->backend->wait(c->world);
		c->store->ops->poll(c->store);
	}
	assert_int_equal(answer->calls, 1);
}

struct store_envelope help_envelope(struct store_recipient *recipients, const uint32_t *domains,
				    uint32_t count, int64_t arrival_ms)
{
	static const char *const paths[] = {"u0@example.com", "u1@example.com", "u2@example.com",
					    "u3@example.com"};

	for (uint32_t i = 0; i < count; i++)
		recipients[i] = (struct store_recipient){
		    .forward_path = slice_of(paths[i % 4]), .orcpt = SLICE("rfc822;x"), .domain = domains[i]};
	return (struct store_envelope){
	    .reverse_path = SLICE("sender@example.org"),
	    .envid = SLICE("QQ"),
	    .flags = STORE_SMTPUTF8 | STORE_RET_HDRS,
	    .body = STORE_BODY_8BITMIME,
	    .arrival_ms = arrival_ms,
	    .client_address = SLICE("192.0.2.1"),
	    .client_name = SLICE("mx.example.org"),
	    .helo = SLICE("helo.example.org"),
	    .message_id = SLICE("<1@example.org>"),
	    .recipient_count = count,
	    .recipients = recipients,
	};
}

struct answer help_commit(struct contract *c, uint64_t id, const struct store_envelope *envelope,
			  struct slice prefix, struct slice body)
{
	struct store_message *message = NULL;
	struct answer answer = {.calls = 0};

	assert_int_equal(c->store->ops->begin(c->store, body.size, &message), 0);
	for (size_t at = 0; at < body.size; at += 100000)
		assert_int_equal(c->store->ops->append(message, slice_upto(slice_from(body, at), 100000)), 0);
	c->store->ops->commit(message, id, envelope, prefix, help_done, &answer);
	help_wait(c, &answer);
	return answer;
}

void help_store(struct contract *c, uint64_t id, uint32_t domain)
{
	struct store_recipient recipient;
	struct store_envelope envelope = help_envelope(&recipient, &domain, 1, (int64_t)id);
	char body[64];

	(void)snprintf(body, sizeof(body), "body of %llu", (unsigned long long)id);
	struct answer answer = help_commit(c, id, &envelope, SLICE("Received: x\r\n"), slice_of(body));
	assert_int_equal(answer.result, STORE_OK);
}

static struct answer change_one(struct contract *c, uint64_t id, uint64_t version,
				const struct store_change *change, int64_t wall_ms)
{
	struct answer answer = {.calls = 0};

	c->store->ops->amend(c->store, id, version, 0, change, 1, wall_ms, help_done, &answer);
	help_wait(c, &answer);
	return answer;
}

struct answer help_amend(struct contract *c, uint64_t id, uint64_t version, uint32_t recipient,
			 enum store_recipient_state state, const char *reply, int64_t wall_ms)
{
	struct store_change change = {.recipient = recipient,
				      .state = state,
				      .attempts = 1,
				      .reply = slice_of(reply),
				      .relay = SLICE("mx.example.com[192.0.2.2]:25")};

	return change_one(c, id, version, &change, wall_ms);
}

struct answer help_change(struct contract *c, uint64_t id, const struct store_change *change, int64_t wall_ms)
{
	return change_one(c, id, 0, change, wall_ms);
}

static void keep(char *to, size_t room, struct slice from)
{
	size_t size = from.size < room - 1 ? from.size : room - 1;

	if (size > 0)
		memcpy(to, from.data, size);
	to[size] = '\0';
}

static void walked(void *owner, enum store_result result, const struct store_entry *entries, size_t count,
		   bool more)
{
	struct found *f = owner;

	assert_true(count <= FOUND_MAX);
	f->count = count;
	f->more = more;
	for (size_t i = 0; i < count; i++) {
		const struct store_envelope *e = &entries[i].envelope;
		f->id[i] = entries[i].id;
		f->version[i] = entries[i].version;
		f->body_bytes[i] = entries[i].body_bytes;
		f->recipients[i] = e->recipient_count;
		for (uint32_t r = 0; r < e->recipient_count && r < 4; r++)
			f->state[i][r] = e->recipients[r].state;
		f->reason[i] = e->recipients[0].reason;
		f->not_before_ms[i] = e->recipients[0].not_before_ms;
		keep(f->forward_path[i], sizeof(f->forward_path[i]), e->recipients[0].forward_path);
		keep(f->reply[i], sizeof(f->reply[i]), e->recipients[0].last_reply);
		keep(f->reverse_path[i], sizeof(f->reverse_path[i]), e->reverse_path);
	}
	note(&f->answer, result, STORE_REASON_NONE);
}

const struct found *help_walk(struct contract *c, uint32_t domain, uint64_t after, size_t max)
{
	walk_answer.answer.calls = 0;
	c->store->ops->walk(c->store, domain, after, max, walked, &walk_answer);
	help_wait(c, &walk_answer.answer);
	return &walk_answer;
}

const struct found *help_find(struct contract *c, uint64_t id)
{
	walk_answer.answer.calls = 0;
	c->store->ops->find(c->store, id, walked, &walk_answer);
	help_wait(c, &walk_answer.answer);
	return &walk_answer;
}

static void paired(void *owner, enum store_result result, const struct store_pair *pairs, size_t count,
		   bool more)
{
	struct pairs *p = owner;

	assert_true(count <= FOUND_MAX);
	p->count = count;
	p->more = more;
	for (size_t i = 0; i < count; i++) {
		keep(p->key[i], sizeof(p->key[i]), pairs[i].key);
		keep(p->value[i], sizeof(p->value[i]), pairs[i].value);
		p->value_size[i] = pairs[i].value.size;
	}
	note(&p->answer, result, STORE_REASON_NONE);
}

const struct pairs *help_get(struct contract *c, struct slice key)
{
	pairs_answer.answer.calls = 0;
	c->store->ops->get(c->store, key, paired, &pairs_answer);
	help_wait(c, &pairs_answer.answer);
	return &pairs_answer;
}

const struct pairs *help_scan(struct contract *c, struct slice prefix, struct slice after, size_t max)
{
	pairs_answer.answer.calls = 0;
	c->store->ops->scan(c->store, prefix, after, max, paired, &pairs_answer);
	help_wait(c, &pairs_answer.answer);
	return &pairs_answer;
}

struct answer help_put(struct contract *c, struct slice key, struct slice value)
{
	struct answer answer = {.calls = 0};

	c->store->ops->put(c->store, key, value, help_done, &answer);
	help_wait(c, &answer);
	return answer;
}

static void ended(void *owner, enum store_result result, const struct store_end *ends, size_t count,
		  bool more)
{
	struct ends *e = owner;

	assert_true(count <= FOUND_MAX);
	e->count = count;
	e->more = more;
	for (size_t i = 0; i < count; i++) {
		e->id[i] = ends[i].id;
		e->ended_ms[i] = ends[i].ended_ms;
		e->accepted_ms[i] = ends[i].accepted_ms;
		e->state[i] = ends[i].state;
		e->at_door[i] = ends[i].at_door;
		keep(e->forward_path[i], sizeof(e->forward_path[i]), ends[i].forward_path);
		keep(e->relay[i], sizeof(e->relay[i]), ends[i].relay);
		keep(e->reply[i], sizeof(e->reply[i]), ends[i].reply);
	}
	note(&e->answer, result, STORE_REASON_NONE);
}

const struct ends *help_ends(struct contract *c, int64_t since_ms, int64_t before_ms, uint64_t skip,
			     size_t max)
{
	ends_answer.answer.calls = 0;
	c->store->ops->ends(c->store, since_ms, before_ms, skip, max, ended, &ends_answer);
	help_wait(c, &ends_answer.answer);
	return &ends_answer;
}

struct piece {
	struct answer answer;
	char *to;
	size_t room, size;
};

static void got_piece(void *owner, enum store_result result, enum store_reason reason, struct slice bytes)
{
	struct piece *p = owner;

	assert_true(bytes.size <= p->room);
	if (bytes.size > 0)
		memcpy(p->to, bytes.data, bytes.size);
	p->size = bytes.size;
	note(&p->answer, result, reason);
}

int64_t help_read(struct contract *c, uint64_t id, size_t piece, char *to, size_t room,
		  struct answer *ret_answer)
{
	size_t at = 0;

	for (;;) {
		struct piece p = {.to = to + at, .room = room - at};
		c->store->ops->read(c->store, id, at, piece, got_piece, &p);
		help_wait(c, &p.answer);
		if (ret_answer != NULL)
			*ret_answer = p.answer;
		if (p.answer.result != STORE_OK)
			return -1;
		if (p.size == 0)
			return (int64_t)at;
		assert_true(p.size <= piece);
		at += p.size;
	}
}

void help_reopen(struct contract *c)
{
	c->store = c->backend->reopen(c->world, c->store);
	assert_non_null(c->store);
}

void help_totals(struct contract *c, uint64_t accepted, uint64_t queued, uint64_t delivered)
{
	struct store_totals totals;
	struct store_counts counts;

	c->store->ops->totals(c->store, &totals);
	c->store->ops->count(c->store, 0, &counts);
	assert_int_equal(totals.accepted, accepted);
	assert_int_equal(totals.queued, queued);
	assert_int_equal(totals.ended, accepted - queued);
	assert_int_equal(totals.delivered, delivered);
	assert_int_equal(counts.recipients, queued);
}
