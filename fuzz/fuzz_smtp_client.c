/* A whole client session against a server that says anything.
 *
 * Input: the first byte chooses configuration, the second the transactions and pieces; the rest is what the
 * server says, with an order for the owner at each byte 0xFF: the byte behind it says which (quit, lose the
 * connection, let time pass, stop and go on sending, fail the body).
 *
 * What must hold, whatever the server says: a recipient is ACCEPTED only if the end of his message was taken
 * by the transport, his RCPT and the end were each answered with 2yz, and exactly the body was sent; every
 * outcome is there at DONE; no more is asked for after the end; the machine comes to CLOSE when the
 * connection is lost.
 */
#include <string.h>

#include "base/check.h"
#include "fuzz.h"
#include "proto/smtp_client.h"

enum {
	RECIPIENTS = 3,
	TRANSACTIONS = 3,
	STEPS_MAX = 1000, /* actions between two waits: more is an endless loop */
	ORDER = 0xFF,
};

static const char body_text[] = ".first\r\n..second\r\nthird\n.\r\nlast line without end";

struct session {
	struct smtp_client *c;
	struct smtp_client_recipient recipients[RECIPIENTS];
	struct smtp_client_transaction t;
	int64_t now_us;
	unsigned flags, begun;
	size_t body_given;
	size_t end_pieces; /* body calls with last in this transaction */
	bool under_way, closed, failed, hold;
	uint64_t unsent_at_end; /* of what stood in the output when the last piece was given */
};

static void take(struct session *s, size_t limit)
{
	size_t size = smtp_client_output(s->c).size;

	if (size > limit)
		size = limit;
	smtp_client_sent(s->c, size, s->now_us);
	s->unsent_at_end = size < s->unsent_at_end ? s->unsent_at_end - size : 0;
}

static void begin(struct session *s)
{
	s->t = (struct smtp_client_transaction){
	    .reverse_path = SLICE("sender@example.net"),
	    .envid = SLICE("id"),
	    .size_bytes = sizeof(body_text) - 1,
	    .body_8bitmime = true,
	    .ret_hdrs = true,
	    .smtputf8 = (s->flags & 1) != 0,
	    .recipient_count = 1 + s->begun % RECIPIENTS,
	    .recipients = s->recipients,
	};
	for (size_t i = 0; i < RECIPIENTS; i++)
		s->recipients[i] = (struct smtp_client_recipient){
		    .forward_path = SLICE("r@example.com"), .notify_never = i == 1, .notify_given = i == 1};
	s->body_given = 0;
	s->end_pieces = 0;
	s->unsent_at_end = 0;
	s->under_way = true;
	s->begun++;
	smtp_client_begin(s->c, &s->t, s->now_us);
}

static void give(struct session *s)
{
	size_t piece = 1 + (s->flags >> 1) % 64, left = sizeof(body_text) - 1 - s->body_given;
	bool last = piece >= left;

	check(s->under_way && s->end_pieces == 0);
	if (last)
		piece = left;
	check(smtp_client_body(s->c, slice_make(body_text + s->body_given, piece), last, s->now_us) == 0);
	s->body_given += piece;
	if (last) {
		s->end_pieces++;
		/* All that is in the output now, and what is kept back, must go out before a reply can count.
		 */
		s->unsent_at_end = smtp_client_output(s->c).size;
	}
}

static void check_outcome(const struct session *s, const struct smtp_client_recipient *r)
{
	const struct client_outcome *o = &r->outcome;

	check(o->end != CLIENT_PENDING);
	check(strlen(o->reply.text) <= REPLY_TEXT_MAX);
	if (o->end == CLIENT_ACCEPTED) {
		check(o->stage == CLIENT_STAGE_DOT && reply_positive(&o->reply));
		check(s->body_given == sizeof(body_text) - 1 && s->end_pieces == 1);
		check(s->unsent_at_end == 0);
		struct slice output = smtp_client_output(s->c);
		check(output.size == 0 || slice_equal(output, SLICE("QUIT\r\n")));
		check(reply_positive(&s->t.mail_reply) && s->t.dot_sent_us > 0);
	} else if (o->end == CLIENT_REPLIED) {
		check(reply_transient(&o->reply) || reply_permanent(&o->reply));
	} else {
		check(o->reply.code == 0);
	}
	/* What was lost before the end may be sent again without a thought; so the end must not have been
	 * sent. */
	if (o->stage < CLIENT_STAGE_DOT && o->end != CLIENT_REPLIED)
		check(s->t.dot_sent_us == 0);
}

static void done(struct session *s)
{
	check(s->under_way && !s->failed);
	s->under_way = false;
	for (uint32_t i = 0; i < s->t.recipient_count; i++)
		check_outcome(s, &s->recipients[i]);
}

static void act(struct session *s, enum smtp_client_action action)
{
	switch (action) {
	case SMTP_CLIENT_WAIT:
		break;
	case SMTP_CLIENT_START_TLS:
		take(s, SIZE_MAX);
		smtp_client_tls_done(s->c, s->now_us);
		break;
	case SMTP_CLIENT_READY:
		check(!s->under_way && !s->failed && smtp_client_greeted(s->c));
		if (s->begun < TRANSACTIONS)
			begin(s);
		else
			smtp_client_quit(s->c, s->now_us);
		break;
	case SMTP_CLIENT_WANT_BODY:
		give(s);
		break;
	case SMTP_CLIENT_DONE:
		done(s);
		break;
	case SMTP_CLIENT_FAILED:
		check(!s->under_way && !s->failed && smtp_client_failure(s->c)->end != CLIENT_PENDING);
		s->failed = true;
		break;
	case SMTP_CLIENT_CLOSE:
		check(!s->under_way && smtp_client_deadline(s->c) == INT64_MAX);
		s->closed = true;
		break;
	}
}

static void run(struct session *s, struct slice input)
{
	enum smtp_client_action action = SMTP_CLIENT_WAIT;
	unsigned steps = 0;

	do {
		check(steps++ < STEPS_MAX);
		action = smtp_client_step(s->c, &input, s->now_us);
		act(s, action);
	} while (action != SMTP_CLIENT_WAIT && !s->closed);
	check(s->closed || input.size == 0);
	if (!s->hold)
		take(s, SIZE_MAX);
}

static void order(struct session *s, uint8_t what)
{
	int64_t deadline = smtp_client_deadline(s->c);

	switch (what % 6) {
	case 0:
		smtp_client_quit(s->c, s->now_us);
		break;
	case 1:
		smtp_client_connection_lost(s->c, "reset", s->now_us);
		break;
	case 2:
		if (deadline != INT64_MAX)
			s->now_us = deadline;
		break;
	case 3:
		s->hold = !s->hold;
		break;
	case 4:
		take(s, what);
		break;
	default:
		smtp_client_body_failed(s->c, s->now_us);
		break;
	}
}

static void play(struct session *s, struct slice script, bool byte_by_byte)
{
	while (script.size > 0 && !s->closed) {
		size_t size = slice_find(script, (char)ORDER);
		if (size == 0) {
			order(s, script.size > 1 ? (uint8_t)script.data[1] : 0);
			run(s, SLICE(""));
			script = slice_from(script, 2);
			continue;
		}
		if (byte_by_byte)
			size = 1;
		run(s, slice_upto(script, size));
		script = slice_from(script, size);
	}
	if (s->closed)
		return;
	smtp_client_connection_lost(s->c, "closed", s->now_us);
	run(s, SLICE(""));
	check(s->closed && !s->under_way);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct smtp_client_config config;
	struct session s = {.now_us = 1};

	if (size < 2)
		return 0;
	smtp_client_config_defaults(&config, "relay.example");
	config.starttls = (data[0] & 1) != 0;
	config.starttls_required = (data[0] & 2) != 0;
	config.chunking = (data[0] & 4) != 0;
	config.pipelining = (data[0] & 8) != 0;
	s.flags = data[1];
	s.c = smtp_client_new(&config, s.now_us);
	if (s.c == NULL)
		return 0;
	play(&s, slice_make(data + 2, size - 2), (data[0] & 16) != 0);
	smtp_client_free(s.c);
	return 0;
}
