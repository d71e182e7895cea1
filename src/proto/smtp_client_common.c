#include "proto/smtp_client_private.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"

static const char *const command_names[COMMAND_COUNT] = {
    [COMMAND_BANNER] = "the connection",
    [COMMAND_EHLO] = "EHLO",
    [COMMAND_HELO] = "HELO",
    [COMMAND_STARTTLS] = "STARTTLS",
    [COMMAND_RSET] = "RSET",
    [COMMAND_MAIL] = "MAIL",
    [COMMAND_RCPT] = "RCPT",
    [COMMAND_DATA] = "DATA",
    [COMMAND_BDAT] = "BDAT",
    [COMMAND_BDAT_LAST] = "BDAT LAST",
    [COMMAND_DOT] = "the message",
    [COMMAND_EMPTY_DOT] = "an empty message",
    [COMMAND_QUIT] = "QUIT",
};

const char *client_stage_name(enum client_stage stage)
{
	static const char *const names[] = {
	    [CLIENT_STAGE_CONNECT] = "connect", [CLIENT_STAGE_BANNER] = "banner",
	    [CLIENT_STAGE_EHLO] = "ehlo",	[CLIENT_STAGE_TLS] = "tls",
	    [CLIENT_STAGE_MAIL] = "mail",	[CLIENT_STAGE_RCPT] = "rcpt",
	    [CLIENT_STAGE_DATA] = "data",	[CLIENT_STAGE_BODY] = "body",
	    [CLIENT_STAGE_DOT] = "dot",		[CLIENT_STAGE_FEATURE] = "feature",
	};

	check((size_t)stage < sizeof(names) / sizeof(names[0]));
	return names[stage];
}

/* ---- awaited replies ---- */

const char *client_command_name(enum client_command command)
{
	check(command < COMMAND_COUNT);
	return command_names[command];
}

void client_await(struct smtp_client *c, enum client_command command, int64_t now_us)
{
	check(c->awaited_count < CLIENT_RING);
	/* Within the body the time runs since the last progress in sending. */
	if (c->awaited_count == 0 && c->state != SESSION_BODY)
		c->timer_us = now_us;
	uint32_t at = (c->awaited_first + c->awaited_count) % CLIENT_RING;
	c->awaited[at] = (uint8_t)command;
	c->awaited_end[at] = c->taken_bytes + buffer_size(&c->output);
	c->awaited_count++;
}

enum client_command client_awaited(const struct smtp_client *c)
{
	return c->awaited_count > 0 ? (enum client_command)c->awaited[c->awaited_first] : COMMAND_NONE;
}

enum client_command client_take_awaited(struct smtp_client *c)
{
	enum client_command command = client_awaited(c);

	check(command != COMMAND_NONE);
	c->awaited_first = (c->awaited_first + 1) % CLIENT_RING;
	c->awaited_count--;
	return command;
}

bool client_reply_possible(const struct smtp_client *c)
{
	return c->awaited_count > 0 && c->awaited_end[c->awaited_first] <= c->taken_bytes;
}

bool client_has_room(const struct smtp_client *c)
{
	if (c->awaited_count == 0)
		return true;
	return c->offer.pipelining && c->config.pipelining && c->awaited_count < CLIENT_WINDOW;
}

/* ---- ends ---- */

static enum client_stage stage_between(const struct smtp_client *c)
{
	switch (c->state) {
	case SESSION_GREETING:
	case SESSION_HANDSHAKE:
		return CLIENT_STAGE_TLS;
	case SESSION_BODY:
		return CLIENT_STAGE_BODY;
	case SESSION_READY:
	case SESSION_ENVELOPE:
	case SESSION_END:
	case SESSION_DRAIN:
	case SESSION_QUITTING:
	case SESSION_CLOSED:
		break;
	}
	return CLIENT_STAGE_MAIL;
}

static enum client_stage stage_of(const struct smtp_client *c, enum client_command command)
{
	static const enum client_stage stages[COMMAND_COUNT] = {
	    [COMMAND_BANNER] = CLIENT_STAGE_BANNER, [COMMAND_EHLO] = CLIENT_STAGE_EHLO,
	    [COMMAND_HELO] = CLIENT_STAGE_EHLO,	    [COMMAND_STARTTLS] = CLIENT_STAGE_TLS,
	    [COMMAND_RSET] = CLIENT_STAGE_MAIL,	    [COMMAND_MAIL] = CLIENT_STAGE_MAIL,
	    [COMMAND_RCPT] = CLIENT_STAGE_RCPT,	    [COMMAND_DATA] = CLIENT_STAGE_DATA,
	    [COMMAND_BDAT] = CLIENT_STAGE_BODY,	    [COMMAND_BDAT_LAST] = CLIENT_STAGE_DOT,
	    [COMMAND_DOT] = CLIENT_STAGE_DOT,	    [COMMAND_EMPTY_DOT] = CLIENT_STAGE_DATA,
	    [COMMAND_QUIT] = CLIENT_STAGE_MAIL,
	};

	if (command == COMMAND_NONE)
		return stage_between(c);
	if (c->tls_active && stages[command] == CLIENT_STAGE_EHLO)
		return CLIENT_STAGE_TLS;
	return stages[command];
}

static enum client_stage stage_now(const struct smtp_client *c)
{
	return stage_of(c, client_awaited(c));
}

static void words(struct client_outcome *outcome, const char *format, va_list arguments)
{
	char text[REPLY_TEXT_MAX + 1];
	int size = vsnprintf(text, sizeof(text), format, arguments);

	check(size >= 0);
	reply_set(&outcome->reply, 0, NULL, "%s", text); /* cleans what a peer's words may have in them */
}

void client_words(struct client_outcome *outcome, enum client_end end, enum client_stage stage,
		  const char *format, ...)
{
	va_list arguments;

	*outcome = (struct client_outcome){.end = end, .stage = stage};
	va_start(arguments, format);
	words(outcome, format, arguments);
	va_end(arguments);
}

void client_settle(struct smtp_client *c, enum client_end end, enum client_stage stage,
		   const struct reply *reply)
{
	struct smtp_client_transaction *t = c->transaction;

	for (uint32_t i = 0; i < t->recipient_count; i++) {
		struct client_outcome *outcome = &t->recipients[i].outcome;
		if (outcome->end == CLIENT_PENDING)
			*outcome = (struct client_outcome){.end = end, .stage = stage, .reply = *reply};
	}
}

void client_transaction_over(struct smtp_client *c, int64_t now_us)
{
	struct smtp_client_transaction *t = c->transaction;

	for (uint32_t i = 0; i < t->recipient_count; i++)
		check(t->recipients[i].outcome.end != CLIENT_PENDING);
	t->done_us = now_us;
	c->transaction = NULL;
	c->body_asked = false;
	c->held_bytes = 0;
	c->say_done = true;
}

void client_finish(struct smtp_client *c, int64_t now_us)
{
	check(c->awaited_count == 0);
	client_transaction_over(c, now_us);
	client_become_ready(c, now_us);
}

void client_become_ready(struct smtp_client *c, int64_t now_us)
{
	c->state = SESSION_READY;
	if (c->quit_wanted) {
		client_quit_send(c, now_us);
		return;
	}
	c->greeted = true;
	c->say_ready = true;
}

void client_close(struct smtp_client *c)
{
	buffer_reset(&c->output);
	c->held_bytes = 0;
	c->awaited_count = 0;
	c->state = SESSION_CLOSED;
	c->say_ready = false;
	c->say_start_tls = false;
	c->say_close = true;
}

void client_fail(struct smtp_client *c, const struct client_outcome *outcome, int64_t now_us)
{
	check(c->state != SESSION_CLOSED);
	c->failure = *outcome;
	if (c->transaction != NULL) {
		client_settle(c, outcome->end, outcome->stage, &outcome->reply);
		client_transaction_over(c, now_us);
	}
	/* Nothing that stands in the output may still go out: above all not the end of a message. */
	client_close(c);
	c->say_failed = true;
}

void client_fail_reply(struct smtp_client *c, const struct reply *reply, int64_t now_us)
{
	struct client_outcome outcome = {.end = CLIENT_REPLIED, .stage = stage_now(c), .reply = *reply};

	client_fail(c, &outcome, now_us);
}

void client_fail_words(struct smtp_client *c, enum client_end end, int64_t now_us, const char *format, ...)
{
	struct client_outcome outcome = {.end = end, .stage = stage_now(c)};
	va_list arguments;

	va_start(arguments, format);
	words(&outcome, format, arguments);
	va_end(arguments);
	client_fail(c, &outcome, now_us);
}

void client_fail_memory(struct smtp_client *c, int64_t now_us)
{
	client_fail_words(c, CLIENT_LOST, now_us, "out of memory");
}

void client_fail_garbage(struct smtp_client *c, enum client_command to, enum client_stage stage,
			 const struct reply *reply, int64_t now_us)
{
	struct client_outcome outcome;

	client_words(&outcome, CLIENT_GARBAGE, stage, "impossible reply to %s: %u %s",
		     client_command_name(to), reply->code, reply->text);
	client_fail(c, &outcome, now_us);
}

void client_not_smtp(struct smtp_client *c, int error, int64_t now_us)
{
	if (c->state == SESSION_QUITTING)
		client_close(c);
	else
		client_fail_words(c, CLIENT_GARBAGE, now_us,
				  error == ERR_LIMIT ? "the server's reply has no end"
						     : "the server does not speak SMTP");
}
