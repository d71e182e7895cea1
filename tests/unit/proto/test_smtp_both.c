#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/rng.h"
#include "proto/smtp_client.h"
#include "proto/smtp_server.h"

/* The client machine talks to the server machine, through a wire that cuts where it likes: what is accepted
 * on one side was committed on the other, byte by byte, and each recipient hears his own reply. */

enum { RECIPIENTS_MAX = 150, BODY_MAX = 3000, ROUNDS = 400, TRANSACTIONS = 4 };

struct pair {
	struct rng rng;
	struct smtp_client *c;
	struct smtp_server *s;
	struct buffer to_client, to_server;

	struct smtp_client_recipient recipients[RECIPIENTS_MAX];
	struct smtp_client_transaction t;
	char body[BODY_MAX];
	size_t body_given;
	bool client_closed, server_closed;

	bool refuse_mail;
	bool refused[RECIPIENTS_MAX]; /* what the server's owner says to recipient i */
	uint32_t asked, accepted;
	uint16_t commit_code, begin_code;
	struct buffer received;
	bool committed;
	unsigned done;
	unsigned accepted_total; /* recipients, in all transactions */
};

/* ---- the server's owner ---- */

static void answer(struct pair *p, uint16_t code, const char *text)
{
	struct reply reply;

	reply_set(&reply, code, NULL, "%s", text);
	smtp_server_answer(p->s, &reply, 0);
}

static void answer_rcpt(struct pair *p)
{
	struct slice path = smtp_server_recipient(p->s)->forward_path;
	struct slice number = slice_upto(slice_from(path, 1), slice_find(path, '@') - 1);
	uint64_t index;

	/* The client sends them all, in order. */
	assert_int_equal(slice_to_u64(number, &index), 0);
	assert_int_equal(index, p->asked);
	p->asked++;
	p->accepted += p->refused[index] ? 0 : 1;
	char text[16];
	(void)memcpy(text, path.data, number.size + 1);
	text[number.size + 1] = '\0';
	answer(p, p->refused[index] ? 550 : 250, text);
}

static void commit(struct pair *p)
{
	struct slice received = buffer_slice(&p->received);

	assert_false(p->committed);
	assert_true(p->accepted > 0 && p->begin_code == 354);
	/* DATA adds a line end where the body has none; these bodies have one. */
	assert_int_equal(received.size, p->t.size_bytes);
	if (received.size > 0)
		assert_memory_equal(received.data, p->body, received.size);
	p->committed = true;
	answer(p, p->commit_code, "verdict");
}

static bool act_for_server(struct pair *p, enum smtp_server_action action)
{
	switch (action) {
	case SMTP_SERVER_CHECK_MAIL:
		answer(p, p->refuse_mail ? 450 : 250, "mail");
		return true;
	case SMTP_SERVER_CHECK_RCPT:
		answer_rcpt(p);
		return true;
	case SMTP_SERVER_BEGIN:
		answer(p, p->begin_code, "begin");
		return true;
	case SMTP_SERVER_BODY:
		assert_int_equal(buffer_add(&p->received, smtp_server_body(p->s)), 0);
		return true;
	case SMTP_SERVER_COMMIT:
		commit(p);
		return true;
	case SMTP_SERVER_ABORT:
		fail();
		return false;
	case SMTP_SERVER_CLOSE:
		p->server_closed = true;
		return false;
	case SMTP_SERVER_START_TLS:
	case SMTP_SERVER_ETRN:
	case SMTP_SERVER_WAIT:
		break;
	}
	return false;
}

static struct slice some(struct pair *p, struct buffer *from)
{
	struct slice all = buffer_slice(from);

	return slice_upto(all, (size_t)rng_between(&p->rng, 0, (int64_t)all.size));
}

static void run_server(struct pair *p)
{
	struct slice input = some(p, &p->to_server);
	size_t given = input.size;

	while (!p->server_closed && act_for_server(p, smtp_server_step(p->s, &input, 0)))
		;
	buffer_consume(&p->to_server, given - input.size);
	struct slice output = smtp_server_output(p->s);
	assert_int_equal(buffer_add(&p->to_client, output), 0);
	smtp_server_sent(p->s, output.size);
}

/* ---- the client's owner ---- */

static void make_body(struct pair *p)
{
	static const char *const lines[] = {".\r\n", "..\r\n", "a.b\r\n",
					    "\r\n",  ".a\r\n", "text of a line\r\n"};
	size_t size = 0, wanted = (size_t)rng_between(&p->rng, 0, BODY_MAX - 100);

	while (size < wanted) {
		const char *line = lines[rng_below(&p->rng, 6)];
		memcpy(p->body + size, line, strlen(line));
		size += strlen(line);
	}
	p->t.size_bytes = size;
}

static void begin(struct pair *p)
{
	static char paths[RECIPIENTS_MAX][32];

	p->t = (struct smtp_client_transaction){.reverse_path = SLICE("s@e.example"),
						.recipients = p->recipients};
	p->t.recipient_count =
	    rng_chance(&p->rng, 0.1) ? RECIPIENTS_MAX : 1 + (uint32_t)rng_below(&p->rng, 5);
	for (uint32_t i = 0; i < p->t.recipient_count; i++) {
		(void)snprintf(paths[i], sizeof(paths[i]), "r%u@d.example", i);
		p->recipients[i] = (struct smtp_client_recipient){.forward_path = slice_of(paths[i])};
		p->refused[i] = rng_chance(&p->rng, 0.4);
	}
	make_body(p);
	p->refuse_mail = rng_chance(&p->rng, 0.1);
	p->begin_code = rng_chance(&p->rng, 0.1) ? 451 : 354;
	p->commit_code = rng_chance(&p->rng, 0.2) ? 554 : 250;
	p->asked = 0;
	p->accepted = 0;
	p->committed = false;
	p->body_given = 0;
	buffer_reset(&p->received);
	smtp_client_begin(p->c, &p->t, 0);
}

static void give_body(struct pair *p)
{
	size_t left = p->t.size_bytes - p->body_given;
	size_t size = (size_t)rng_between(&p->rng, 0, (int64_t)left);
	bool last = size == left && rng_chance(&p->rng, 0.5);

	assert_int_equal(smtp_client_body(p->c, slice_make(p->body + p->body_given, size), last, 0), 0);
	p->body_given += size;
}

static void check_recipient(const struct pair *p, uint32_t i)
{
	const struct client_outcome *o = &p->recipients[i].outcome;
	char name[16];

	(void)snprintf(name, sizeof(name), "r%u", i);
	assert_int_equal(o->end == CLIENT_ACCEPTED, p->committed && p->commit_code == 250 && !p->refused[i]);
	if (p->refuse_mail) {
		assert_int_equal(o->stage, CLIENT_STAGE_MAIL);
	} else if (p->refused[i]) {
		assert_int_equal(o->stage, CLIENT_STAGE_RCPT);
		assert_string_equal(o->reply.text, name);
	} else if (p->begin_code != 354) {
		assert_int_equal(o->reply.code, p->begin_code);
		assert_true(o->stage == CLIENT_STAGE_DATA || o->stage == CLIENT_STAGE_BODY ||
			    o->stage == CLIENT_STAGE_DOT);
	} else {
		assert_int_equal(o->stage, CLIENT_STAGE_DOT);
		assert_int_equal(o->reply.code, p->commit_code);
	}
}

static bool act_for_client(struct pair *p, enum smtp_client_action action)
{
	switch (action) {
	case SMTP_CLIENT_READY:
		if (p->done < TRANSACTIONS)
			begin(p);
		else
			smtp_client_quit(p->c, 0);
		return true;
	case SMTP_CLIENT_WANT_BODY:
		give_body(p);
		return true;
	case SMTP_CLIENT_DONE:
		for (uint32_t i = 0; i < p->t.recipient_count; i++)
			check_recipient(p, i);
		p->accepted_total += p->committed && p->commit_code == 250 ? p->accepted : 0;
		p->done++;
		return true;
	case SMTP_CLIENT_CLOSE:
		p->client_closed = true;
		return false;
	case SMTP_CLIENT_FAILED:
		print_error("%s\n", smtp_client_failure(p->c)->reply.text);
		fail();
		return false;
	case SMTP_CLIENT_START_TLS:
	case SMTP_CLIENT_WAIT:
		break;
	}
	return false;
}

static void run_client(struct pair *p)
{
	struct slice input = some(p, &p->to_client);
	size_t given = input.size;

	while (!p->client_closed && act_for_client(p, smtp_client_step(p->c, &input, 0)))
		;
	buffer_consume(&p->to_client, given);
	struct slice output = smtp_client_output(p->c);
	output = slice_upto(output, (size_t)rng_between(&p->rng, 0, (int64_t)output.size));
	assert_int_equal(buffer_add(&p->to_server, output), 0);
	smtp_client_sent(p->c, output.size, 0);
}

static unsigned play(uint64_t seed)
{
	enum { TURNS_MAX = 100000 };
	struct pair *p = test_calloc(1, sizeof(*p));
	struct smtp_client_config client;
	struct smtp_server_config server;

	rng_init(&p->rng, seed);
	smtp_client_config_defaults(&client, "relay.example");
	smtp_server_config_defaults(&server, "mx.example");
	client.pipelining = rng_chance(&p->rng, 0.7);
	client.chunking = rng_chance(&p->rng, 0.5);
	server.errors_max = 1000;
	server.refused_recipients_max = 1000;
	p->c = smtp_client_new(&client, 0);
	p->s = smtp_server_new(&server, true, 0);
	assert_non_null(p->c);
	assert_non_null(p->s);
	buffer_init(&p->to_client, 0);
	buffer_init(&p->to_server, 0);
	buffer_init(&p->received, 0);
	for (unsigned turn = 0; !p->client_closed; turn++) {
		assert_true(turn < TURNS_MAX);
		run_server(p);
		run_client(p);
	}
	assert_int_equal(p->done, TRANSACTIONS);
	buffer_deinit(&p->to_client);
	buffer_deinit(&p->to_server);
	buffer_deinit(&p->received);
	smtp_client_free(p->c);
	smtp_server_free(p->s);
	unsigned accepted = p->accepted_total;
	test_free(p);
	return accepted;
}

static void client_and_server_agree(void **state)
{
	unsigned accepted = 0;

	for (uint64_t seed = 1; seed <= ROUNDS; seed++)
		accepted += play(seed);
	assert_true(accepted > ROUNDS * TRANSACTIONS); /* it was not all refusals */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(client_and_server_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
