#include "proto/smtp_client_private.h"

#include <stdlib.h>

#include "base/check.h"

enum {
	MINUTE_MS = 60 * 1000,
};

typedef void reply_handler(struct smtp_client *c, const struct reply *reply, int64_t now_us);

static reply_handler *const handlers[COMMAND_COUNT] = {
    [COMMAND_BANNER] = client_banner_reply, [COMMAND_EHLO] = client_ehlo_reply,
    [COMMAND_HELO] = client_helo_reply,	    [COMMAND_STARTTLS] = client_starttls_reply,
    [COMMAND_RSET] = client_rset_reply,	    [COMMAND_MAIL] = client_mail_reply,
    [COMMAND_RCPT] = client_rcpt_reply,	    [COMMAND_DATA] = client_data_reply,
    [COMMAND_BDAT] = client_bdat_reply,	    [COMMAND_BDAT_LAST] = client_end_reply,
    [COMMAND_DOT] = client_end_reply,	    [COMMAND_EMPTY_DOT] = client_empty_dot_reply,
    [COMMAND_QUIT] = client_quit_reply,
};

void smtp_client_config_defaults(struct smtp_client_config *config, const char *hostname)
{
	*config = (struct smtp_client_config){
	    .hostname = hostname,
	    .starttls = true,
	    .chunking = true,
	    .pipelining = true,
	    .banner_timeout_ms = 5 * MINUTE_MS,
	    .command_timeout_ms = 5 * MINUTE_MS,
	    .data_timeout_ms = 2 * MINUTE_MS,
	    .block_timeout_ms = 3 * MINUTE_MS,
	    .dot_timeout_ms = 10 * MINUTE_MS,
	    .quit_timeout_ms = 5 * 1000,
	};
}

struct smtp_client *smtp_client_new(const struct smtp_client_config *config, int64_t now_us)
{
	struct smtp_client *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->config = *config;
	buffer_init(&c->output, 0);
	reply_parser_init(&c->parser);
	c->quit_deadline_us = INT64_MAX;
	client_await(c, COMMAND_BANNER, now_us);
	return c;
}

void smtp_client_free(struct smtp_client *c)
{
	if (c == NULL)
		return;
	buffer_deinit(&c->output);
	free(c);
}

/* ---- time ---- */

int64_t client_after_ms(int64_t from_us, int64_t wait_ms)
{
	if (wait_ms > (INT64_MAX - from_us) / 1000)
		return INT64_MAX;
	return from_us + wait_ms * 1000;
}

static int64_t reply_timeout_ms(const struct smtp_client *c)
{
	switch (client_awaited(c)) {
	case COMMAND_BANNER:
		return c->config.banner_timeout_ms;
	case COMMAND_DATA:
		return c->config.data_timeout_ms;
	case COMMAND_BDAT:
		return c->config.block_timeout_ms;
	case COMMAND_BDAT_LAST:
	case COMMAND_DOT:
		return buffer_size(&c->output) > 0 ? c->config.block_timeout_ms : c->config.dot_timeout_ms;
	case COMMAND_EHLO:
	case COMMAND_HELO:
	case COMMAND_STARTTLS:
	case COMMAND_RSET:
	case COMMAND_MAIL:
	case COMMAND_RCPT:
	case COMMAND_EMPTY_DOT:
	case COMMAND_QUIT:
	case COMMAND_COUNT:
	case COMMAND_NONE:
		break;
	}
	return c->config.command_timeout_ms;
}

/* When the server must have moved. */
static int64_t progress_deadline(const struct smtp_client *c)
{
	if (c->awaited_count > 0 || c->state == SESSION_HANDSHAKE)
		return client_after_ms(c->timer_us, reply_timeout_ms(c));
	if (c->state == SESSION_BODY && buffer_size(&c->output) > 0)
		return client_after_ms(c->timer_us, c->config.block_timeout_ms);
	return INT64_MAX; /* it is the owner's turn */
}

int64_t smtp_client_deadline(const struct smtp_client *c)
{
	if (c->state == SESSION_CLOSED)
		return INT64_MAX;
	if (c->state == SESSION_QUITTING)
		return c->quit_deadline_us;

	int64_t deadline = progress_deadline(c);
	bool leaving = c->quit_wanted && c->transaction == NULL;
	return leaving && c->quit_deadline_us < deadline ? c->quit_deadline_us : deadline;
}

static void timed_out(struct smtp_client *c, int64_t now_us)
{
	bool leaving = c->quit_wanted && c->transaction == NULL && now_us >= c->quit_deadline_us;

	if (c->state == SESSION_QUITTING || leaving)
		client_close(c);
	else if (c->state == SESSION_HANDSHAKE)
		client_fail_words(c, CLIENT_TIMEOUT, now_us, "the TLS handshake took too long");
	else if (c->awaited_count == 0)
		client_fail_words(c, CLIENT_TIMEOUT, now_us, "the server stopped reading the message");
	else
		client_fail_words(c, CLIENT_TIMEOUT, now_us, "no reply to %s within %lld s",
				  client_command_name(client_awaited(c)),
				  (long long)(reply_timeout_ms(c) / 1000));
}

/* ---- step ---- */

/* A reply to nothing: the server closes an idle session with 421, or is out of step with us. */
static void unsolicited(struct smtp_client *c, const struct reply *reply, int64_t now_us)
{
	bool in_message = c->state == SESSION_BODY || c->state == SESSION_END;

	if (reply->code == 421 || (in_message && reply_refuses(reply)))
		client_fail_reply(c, reply, now_us);
	else
		client_fail_words(c, CLIENT_GARBAGE, now_us, "a reply to nothing: %u %s", reply->code,
				  reply->text);
}

static void dispatch(struct smtp_client *c, const struct reply *reply, int64_t now_us)
{
	c->timer_us = now_us;
	if (c->state == SESSION_QUITTING)
		client_quit_reply(c, reply, now_us);
	else if (c->reply_stray)
		unsolicited(c, reply, now_us);
	else if (reply->code == 421)

		client_fail_reply(c, reply, now_us); /* the server closes the connection (RFC 5321 §3.8) */
	else
		handlers[client_take_awaited(c)](c, reply, now_us);
}

static void take_input(struct smtp_client *c, struct slice *input, int64_t now_us)
{
	struct slice before = *input;
	struct reply reply;

	int result = reply_parse(&c->parser, input, &reply);
	if (client_awaited(c) == COMMAND_EHLO)
		client_ehlo_scan(&c->ehlo, slice_upto(before, before.size - input->size));

	if (!client_reply_possible(c))
		c->reply_stray = true;

	if (result == 1) {
		dispatch(c, &reply, now_us);
		/* Bytes in plain text behind the 220 could pass for replies given under TLS (CVE-2011-0411
		 * and kin). */
		if (c->state == SESSION_HANDSHAKE && input->size > 0)
			client_fail_words(c, CLIENT_GARBAGE, now_us,
					  "the server sent data between STARTTLS and TLS");
	} else if (result < 0) {
		client_not_smtp(c, result, now_us);
	}
}

/* The next action that was decided, in the order DONE, FAILED, CLOSE. */
static enum smtp_client_action decided(struct smtp_client *c)
{
	struct {
		bool *say;
		enum smtp_client_action action;
	} order[] = {
	    {&c->say_done, SMTP_CLIENT_DONE},
	    {&c->say_failed, SMTP_CLIENT_FAILED},
	    {&c->say_start_tls, SMTP_CLIENT_START_TLS},
	    {&c->say_ready, SMTP_CLIENT_READY},
	};

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		if (*order[i].say) {
			*order[i].say = false;
			return order[i].action;
		}
	}
	return c->state == SESSION_CLOSED ? SMTP_CLIENT_CLOSE : SMTP_CLIENT_WAIT;
}

static enum smtp_client_action ask_body(struct smtp_client *c)
{
	if (!client_wants_body(c))
		return SMTP_CLIENT_WAIT;
	c->body_asked = true;
	return SMTP_CLIENT_WANT_BODY;
}

enum smtp_client_action smtp_client_step(struct smtp_client *c, struct slice *input, int64_t now_us)
{
	enum smtp_client_action action = decided(c);

	while (action == SMTP_CLIENT_WAIT && input->size > 0) {
		if (c->state == SESSION_HANDSHAKE)
			client_fail_words(c, CLIENT_GARBAGE, now_us,
					  "the server sent data between STARTTLS and TLS");
		else
			take_input(c, input, now_us);
		action = decided(c);
	}
	if (c->state == SESSION_CLOSED)
		*input = slice_from(*input, input->size);
	if (action == SMTP_CLIENT_WAIT && now_us >= smtp_client_deadline(c)) {
		timed_out(c, now_us);
		action = decided(c);
	}
	return action == SMTP_CLIENT_WAIT ? ask_body(c) : action;
}

/* ---- the owner's turn ---- */

int smtp_client_body(struct smtp_client *c, struct slice bytes, bool last, int64_t now_us)
{
	if (!c->body_asked)
		return ERR_STATE;
	c->body_asked = false;
	if (c->state == SESSION_DRAIN)
		return 0; /* refused meanwhile */
	if (bytes.size > c->body_left || (last && bytes.size != c->body_left)) {
		client_fail_words(c, CLIENT_LOST, now_us, "stored message has the wrong size");
		return 0;
	}
	c->body_left -= bytes.size;
	if (buffer_size(&c->output) == 0)
		c->timer_us = now_us;
	int error =
	    c->chunking ? client_bdat_body(c, bytes, last, now_us) : client_data_body(c, bytes, last, now_us);
	if (error != 0)
		client_fail_memory(c, now_us);
	return error;
}

void smtp_client_body_failed(struct smtp_client *c, int64_t now_us)
{
	struct client_outcome outcome;

	if ((c->state != SESSION_BODY && c->state != SESSION_ENVELOPE) || c->last_put)
		return;
	client_words(&outcome, CLIENT_LOST, CLIENT_STAGE_BODY, "the stored message could not be read");
	client_fail(c, &outcome, now_us);
}

void smtp_client_connection_lost(struct smtp_client *c, const char *how, int64_t now_us)
{
	bool leaving = c->quit_wanted && c->transaction == NULL;

	if (c->state == SESSION_CLOSED)
		return;
	if (c->state == SESSION_QUITTING || leaving)
		client_close(c);
	else
		client_fail_words(c, CLIENT_LOST, now_us, "%s", how);
}

struct slice smtp_client_output(const struct smtp_client *c)
{
	struct slice output = buffer_slice(&c->output);

	return slice_upto(output, output.size - c->held_bytes);
}

void smtp_client_sent(struct smtp_client *c, size_t size, int64_t now_us)
{
	check(size <= smtp_client_output(c).size);
	if (size == 0)
		return;

	buffer_consume(&c->output, size);
	c->taken_bytes += size;

	c->timer_us = now_us;
	if (c->state == SESSION_END && !c->end_taken && buffer_size(&c->output) == 0) {
		c->end_taken = true;
		c->transaction->dot_sent_us = now_us;
	}
}

/* ---- queries ---- */

const struct client_outcome *smtp_client_failure(const struct smtp_client *c)
{
	return &c->failure;
}

struct slice smtp_client_banner(const struct smtp_client *c)
{
	return slice_of(c->banner.text);
}

bool smtp_client_greeted(const struct smtp_client *c)
{
	return c->greeted;
}

uint64_t smtp_client_size_limit(const struct smtp_client *c)
{
	return c->offer.size_limit;
}

bool smtp_client_offers_starttls(const struct smtp_client *c)
{
	return c->starttls_offered;
}

bool smtp_client_offers_smtputf8(const struct smtp_client *c)
{
	return c->offer.smtputf8;
}

bool smtp_client_offers_dsn(const struct smtp_client *c)
{
	return c->offer.dsn;
}
