/* A whole session with the server machine.
 *
 * The first byte configures it. In what follows, 0xFE and a letter are an event; all else is what the client
 *sends: |  the bytes so far arrive              n l b y  the next answer is 550, 450, 421, 250 h  the next
 *question is left open       r        it is answered t  time passes, 10 s times the byte behind       g  the
 *client goes        s  the daemon shuts down
 *
 * Every session is played twice: with the bytes arriving as the events cut them, and one by one. What is said
 *and done must be the same, and the machine must keep to its contract.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "fuzz.h"
#include "proto/smtp_server.h"

enum {
	EVENT = 0xFE,
	FLAG_STARTTLS = 1,
	FLAG_EXTENSIONS = 2, /* CHUNKING, DSN, SMTPUTF8, ETRN */
	FLAG_NORMALISE = 4,
	FLAG_SMALL = 8,	       /* limits that are met soon */
	FLAG_LATE_BANNER = 16, /* the banner is not taken until the first event */
	INPUT_MAX = 16384,
};

enum owner_state { NONE = 0, ASKED_BEGIN = 1, RECEIVING = 2, COMMITTING = 3 };

struct session {
	struct smtp_server *server;
	struct smtp_server_config config;
	struct buffer input, wire, log;
	struct slice segment; /* what is left of the bytes that arrive together */
	bool bytewise, hold, closed, gone, in_body, unsent;
	enum smtp_server_action held; /* WAIT: no question is open */
	enum owner_state owner;
	char answer;
	char last_byte; /* of the body */
	uint64_t body_bytes;
	int64_t now_us;
};

static void must(int error)
{
	check(error == 0);
}

static void flush(struct session *s)
{
	struct slice out = smtp_server_output(s->server);

	if (s->unsent)
		return;
	must(buffer_add(&s->wire, out));
	smtp_server_sent(s->server, out.size);
}

static void give_answer(struct session *s, enum smtp_server_action question)
{
	struct reply reply;
	char kind = s->answer;

	s->answer = 'y';
	s->held = SMTP_SERVER_WAIT;
	if (kind == 'n')
		reply_set(&reply, 550, "5.1.1", "no");
	else if (kind == 'l')
		reply_set(&reply, 450, "4.2.0", "later\nsecond line");
	else if (kind == 'b')
		reply_set(&reply, 421, "4.3.0", "bye");
	else if (question == SMTP_SERVER_BEGIN)
		reply_set(&reply, 354, NULL, "go");
	else
		reply_set(&reply, 250, "2.0.0", "yes");
	if (question == SMTP_SERVER_BEGIN && !s->gone) {
		s->owner = reply.code < 400 ? RECEIVING : NONE;
		s->body_bytes = 0;
		s->last_byte = '\n';
	} else if (question == SMTP_SERVER_COMMIT) {
		s->owner = NONE;
	}
	smtp_server_answer(s->server, &reply, s->now_us);
}

/* No CR and no LF alone, whatever the pieces. */
static void check_line_ends(struct session *s, struct slice body)
{
	for (size_t i = 0; i < body.size; i++) {
		char before = i > 0 ? body.data[i - 1] : s->last_byte;
		check(s->body_bytes + i == 0 || (body.data[i] == '\n') == (before == '\r'));
		check(s->body_bytes + i > 0 || body.data[i] != '\n');
	}
	s->last_byte = body.data[body.size - 1];
}

static void take_body(struct session *s)
{
	struct slice body = smtp_server_body(s->server);

	check(s->owner == RECEIVING && body.size > 0);
	check_line_ends(s, body);
	s->body_bytes += body.size;
	check(s->body_bytes <= s->config.message_bytes_max);
	must(buffer_add(&s->log, body));
}

static void check_transaction(const struct session *s)
{
	const struct smtp_server_transaction *t = smtp_server_transaction(s->server);
	uint32_t count = 0;

	for (const struct smtp_server_recipient *r = t->recipients; r != NULL; r = r->next) {
		check(r->forward_path.size > 0 && r->domain.size < r->forward_path.size);
		count++;
	}
	check(count == t->recipient_count && count >= 1 && count <= s->config.recipients_max);
	check(smtp_server_helo(s->server).size > 0);
}

/* Is the action allowed here? Notes what it changes. */
static void check_action(struct session *s, enum smtp_server_action action)
{
	check(s->held == SMTP_SERVER_WAIT || action == SMTP_SERVER_WAIT || s->gone);
	if (action == SMTP_SERVER_BEGIN) {
		check(s->owner == NONE);
		check_transaction(s);
		s->owner = ASKED_BEGIN;
	} else if (action == SMTP_SERVER_COMMIT) {
		check(s->owner == RECEIVING && s->last_byte != '\r');
		check_transaction(s);
		s->owner = COMMITTING;
	} else if (action == SMTP_SERVER_ABORT) {
		check(s->owner == RECEIVING || (s->owner == ASKED_BEGIN && s->gone));
		s->owner = NONE;
	} else if (action == SMTP_SERVER_CLOSE) {
		check(s->owner == NONE || (s->owner == ASKED_BEGIN && s->gone));
	} else if (action != SMTP_SERVER_WAIT && action != SMTP_SERVER_BODY) {
		check(s->owner == NONE || (s->owner == RECEIVING && action == SMTP_SERVER_ETRN));
	}
}

static void note(struct session *s, enum smtp_server_action action)
{
	const struct smtp_server_recipient *r = smtp_server_recipient(s->server);

	must(buffer_printf(&s->log, "\n[%d]", (int)action));
	if (action == SMTP_SERVER_CHECK_MAIL)
		must(buffer_add(&s->log, smtp_server_transaction(s->server)->reverse_path));
	if (action == SMTP_SERVER_CHECK_RCPT) {
		must(buffer_add(&s->log, r->forward_path));
		must(buffer_add(&s->log, r->orcpt));
	}
	if (action == SMTP_SERVER_ETRN)
		must(buffer_add(&s->log, smtp_server_etrn(s->server)));
}

static bool is_question(enum smtp_server_action action)
{
	return action == SMTP_SERVER_CHECK_MAIL || action == SMTP_SERVER_CHECK_RCPT ||
	       action == SMTP_SERVER_BEGIN || action == SMTP_SERVER_COMMIT;
}

static void do_action(struct session *s, enum smtp_server_action action)
{
	check_action(s, action);
	if (action == SMTP_SERVER_BODY) {
		take_body(s);
		return;
	}
	if (action == SMTP_SERVER_WAIT || (action == SMTP_SERVER_CLOSE && s->closed))
		return;
	note(s, action);
	s->closed = action == SMTP_SERVER_CLOSE;
	if (is_question(action) && s->hold)
		s->held = action;
	else if (is_question(action))
		give_answer(s, action);
	if (is_question(action))
		s->hold = false;
	if (action == SMTP_SERVER_START_TLS) {
		flush(s);
		buffer_reset(&s->input);
		s->segment.size = 0;
		smtp_server_tls_started(s->server, s->now_us);
	}
}

/* Steps until there is nothing to do; the input is given in memory of exactly its size. */
static void run(struct session *s)
{
	enum smtp_server_action action = SMTP_SERVER_WAIT;

	do {
		size_t size = buffer_size(&s->input);
		char *copy = malloc(size > 0 ? size : 1);
		check(copy != NULL);
		if (size > 0)
			memcpy(copy, buffer_slice(&s->input).data, size);
		struct slice input = slice_make(copy, size);
		action = smtp_server_step(s->server, &input, s->now_us);
		check(input.size <= size && (s->held == SMTP_SERVER_WAIT || s->gone || input.size == size));
		check(action != SMTP_SERVER_WAIT || input.size == 0 || s->held != SMTP_SERVER_WAIT);
		buffer_consume(&s->input, size - input.size);
		do_action(s, action);
		free(copy);
	} while (action != SMTP_SERVER_WAIT && action != SMTP_SERVER_CLOSE);
	check(smtp_server_deadline(s->server) > s->now_us || s->closed);
	flush(s);
}

static void arrive(struct session *s, struct slice bytes)
{
	s->segment = bytes;
	while (s->segment.size > 0) {
		struct slice part = slice_upto(s->segment, s->bytewise ? 1 : s->segment.size);
		s->segment = slice_from(s->segment, part.size);
		must(buffer_add(&s->input, part));
		run(s);
	}
}

static void event(struct session *s, char what, uint8_t argument)
{
	if (strchr("nlby", what) != NULL)
		s->answer = what;
	else if (what == 'h')
		s->hold = s->held == SMTP_SERVER_WAIT;
	else if (what == 'r' && s->held != SMTP_SERVER_WAIT)
		give_answer(s, s->held);
	else if (what == 't')
		s->now_us += argument * INT64_C(10000000);
	else if (what == 's')
		smtp_server_shut_down(s->server);
	else if (what == 'g') {
		s->gone = true;
		smtp_server_client_gone(s->server);
	}
	s->unsent = false;
	run(s);
}

static void play(struct session *s, struct slice script)
{
	while (script.size > 0 && !s->closed) {
		size_t at = slice_find(script, (char)EVENT);
		arrive(s, slice_upto(script, at));
		script = slice_from(script, at + 1);
		if (script.size == 0)
			break;
		char what = script.data[0];
		uint8_t argument = script.size > 1 ? (uint8_t)script.data[1] : 0;
		script = slice_from(script, what == 't' ? 2 : 1);
		if (what != '\0')
			event(s, what, argument);
	}
}

static void start(struct session *s, uint8_t flags, bool bytewise)
{
	*s = (struct session){.answer = 'y', .bytewise = bytewise, .now_us = 1};
	smtp_server_config_defaults(&s->config, "mx.example");
	s->config.offer_starttls = (flags & FLAG_STARTTLS) != 0;
	s->config.offer_chunking = s->config.offer_dsn = (flags & FLAG_EXTENSIONS) != 0;
	s->config.offer_smtputf8 = s->config.offer_etrn = (flags & FLAG_EXTENSIONS) != 0;
	s->config.normalise_line_ends = (flags & FLAG_NORMALISE) != 0;
	if ((flags & FLAG_SMALL) != 0) {
		s->config.message_bytes_max = 64;
		s->config.line_bytes_max = 20;
		s->config.recipients_max = 2;
		s->config.transactions_max = 3;
		s->config.errors_max = 3;
		s->config.idle_commands_max = 5;
		s->config.refused_recipients_max = 2;
	}
	s->unsent = (flags & FLAG_LATE_BANNER) != 0;
	buffer_init(&s->input, 0);
	buffer_init(&s->wire, 0);
	buffer_init(&s->log, 0);
	s->server = smtp_server_new(&s->config, false, s->now_us);
	check(s->server != NULL);
	run(s);
}

/* The client goes at the latest now, and the owner answers what is open: the session ends. */
static void finish(struct session *s)
{
	event(s, 'g', 0);
	if (s->held == SMTP_SERVER_COMMIT)
		check(!s->closed);
	event(s, 'r', 0);
	check(s->closed);
	smtp_server_free(s->server);
	buffer_deinit(&s->input);
}

/* All that was said is a row of replies. */
static void check_wire(struct slice wire)
{
	struct reply_parser parser;
	struct reply reply;
	int result = 1;

	reply_parser_init(&parser);
	while (wire.size > 0) {
		result = reply_parse(&parser, &wire, &reply);
		check(result >= 0);
	}
	check(result == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct session whole, bytes;

	if (size == 0 || size > INPUT_MAX)
		return 0;
	struct slice script = slice_make(data + 1, size - 1);
	start(&whole, data[0], false);
	play(&whole, script);
	finish(&whole);
	start(&bytes, data[0], true);
	play(&bytes, script);
	finish(&bytes);
	check_wire(buffer_slice(&whole.wire));
	check(slice_equal(buffer_slice(&whole.wire), buffer_slice(&bytes.wire)));
	check(slice_equal(buffer_slice(&whole.log), buffer_slice(&bytes.log)));
	buffer_deinit(&whole.wire);
	buffer_deinit(&whole.log);
	buffer_deinit(&bytes.wire);
	buffer_deinit(&bytes.log);
	return 0;
}
