#include "proto/smtp_client_private.h"

#include "base/check.h"

/* A transaction begins: can it be sent at all, RSET for what a former one left behind, MAIL, and the order of
 * the commands (RFC 5321 §3.3, §4.1.1.2; RFC 2920). */

/* ---- what the server cannot take ---- */

static bool addresses_sendable(const struct smtp_client *c)
{
	const struct smtp_client_transaction *t = c->transaction;

	if (!client_path_sendable(t->reverse_path) || !client_xtext_sendable(t->envid))
		return false;
	for (uint32_t i = 0; i < t->recipient_count; i++)
		if (!client_rcpt_sendable(&t->recipients[i]))
			return false;
	return true;
}

/* True: the transaction cannot be sent to this server, *ret_why says why. */
static bool lacks_feature(const struct smtp_client *c, struct client_outcome *ret_why)
{
	const struct smtp_client_transaction *t = c->transaction;
	enum client_stage stage = CLIENT_STAGE_FEATURE;

	if (c->offer.size_limit > 0 && t->size_bytes > c->offer.size_limit)
		client_words(ret_why, CLIENT_NOT_TRIED, stage,
			     "message of %llu bytes is larger than the server's limit of %llu",
			     (unsigned long long)t->size_bytes, (unsigned long long)c->offer.size_limit);
	else if (t->smtputf8 && !c->offer.smtputf8)
		client_words(ret_why, CLIENT_NOT_TRIED, stage,
			     "message needs SMTPUTF8, which the server does not offer");
	else if (!addresses_sendable(c))
		client_words(ret_why, CLIENT_NOT_TRIED, stage,
			     "an address of the envelope has bytes that cannot be sent");
	else
		return false;
	return true;
}

/* ---- begin ---- */

static void reset_transaction(struct smtp_client *c, struct smtp_client_transaction *t)
{
	t->mail_sent_us = 0;
	t->mail_reply_us = 0;
	t->dot_sent_us = 0;
	t->done_us = 0;
	t->mail_reply = (struct reply){.code = 0};
	for (uint32_t i = 0; i < t->recipient_count; i++)
		t->recipients[i].outcome =
		    (struct client_outcome){.end = CLIENT_PENDING, .stage = CLIENT_STAGE_MAIL};

	c->transaction = t;
	c->mail_sent = false;
	c->mail_accepted = false;
	c->mail_refused = false;
	c->data_sent = false;
	c->empty_sent = false;
	c->rcpt_sent = 0;
	c->rcpt_replied = 0;
	c->rcpt_accepted = 0;
	c->chunking = c->config.chunking && c->offer.chunking && !t->ask;
	c->body_asked = false;
	c->last_put = false;
	c->end_taken = false;
	c->body_left = t->size_bytes;
	c->body_tail[0] = '\r';
	c->body_tail[1] = '\n'; /* the body begins at the start of a line */
}

void smtp_client_begin(struct smtp_client *c, struct smtp_client_transaction *t, int64_t now_us)
{
	struct client_outcome why;

	check(c->transaction == NULL);
	reset_transaction(c, t);
	c->say_ready = false;
	if (c->state != SESSION_READY) { /* it ended in the same turn */
		client_words(&why, CLIENT_LOST, CLIENT_STAGE_MAIL, "the session had ended before");
		client_settle(c, why.end, why.stage, &why.reply);
		client_transaction_over(c, now_us);
		return;
	}
	if (lacks_feature(c, &why)) {
		client_settle(c, why.end, why.stage, &why.reply);
		client_finish(c, now_us);
		return;
	}
	c->state = SESSION_ENVELOPE;
	client_envelope_push(c, now_us);
}

/* ---- commands ---- */

static int rset_send(struct smtp_client *c, int64_t now_us)
{
	int error = buffer_append(&c->output, "RSET\r\n", 6);

	if (error != 0)
		return error;
	c->rset_needed = false;
	client_await(c, COMMAND_RSET, now_us);
	return 0;
}

static int mail_parameters(struct smtp_client *c)
{
	const struct smtp_client_transaction *t = c->transaction;
	const struct client_offer *offer = &c->offer;
	int error = 0;

	if (offer->size && !t->ask)
		error = buffer_printf(&c->output, " SIZE=%llu", (unsigned long long)t->size_bytes);
	if (error == 0 && offer->eightbitmime && t->body_8bitmime)
		error = buffer_printf(&c->output, " BODY=8BITMIME");
	if (error == 0 && offer->smtputf8 && t->smtputf8)
		error = buffer_printf(&c->output, " SMTPUTF8");
	if (error == 0 && offer->dsn && (t->ret_full || t->ret_hdrs))
		error = buffer_printf(&c->output, " RET=%s", t->ret_full ? "FULL" : "HDRS");
	if (error == 0 && offer->dsn && t->envid.size > 0)
		error = buffer_printf(&c->output, " ENVID=%.*s", SLICE_ARG(t->envid));
	return error;
}

static int mail_send(struct smtp_client *c, int64_t now_us)
{
	struct smtp_client_transaction *t = c->transaction;
	int error = buffer_printf(&c->output, "MAIL FROM:<%.*s>", SLICE_ARG(t->reverse_path));

	if (error == 0)
		error = mail_parameters(c);
	if (error == 0)
		error = buffer_append(&c->output, "\r\n", 2);
	if (error != 0)
		return error;
	c->mail_sent = true;
	t->mail_sent_us = now_us;
	client_await(c, COMMAND_MAIL, now_us);
	return 0;
}

static enum client_command next_command(const struct smtp_client *c)
{
	if (c->rset_needed)
		return COMMAND_RSET;
	if (!c->mail_sent)
		return COMMAND_MAIL;
	if (c->mail_refused)
		return COMMAND_NONE;
	if (c->rcpt_sent < c->transaction->recipient_count)
		return COMMAND_RCPT;
	/* DATA goes with the burst; not when it is known that nobody is there to receive. */
	if (c->transaction->ask)
		return COMMAND_NONE;
	bool somebody = c->rcpt_accepted > 0 || c->rcpt_replied < c->rcpt_sent;
	return !c->chunking && !c->data_sent && somebody ? COMMAND_DATA : COMMAND_NONE;
}

static int send_command(struct smtp_client *c, enum client_command command, int64_t now_us)
{
	if (command == COMMAND_RSET)
		return rset_send(c, now_us);
	if (command == COMMAND_MAIL)
		return mail_send(c, now_us);
	if (command == COMMAND_RCPT)
		return client_rcpt_send(c, now_us);
	return client_data_send(c, now_us);
}

void client_envelope_push(struct smtp_client *c, int64_t now_us)
{
	enum client_command command = next_command(c);

	while (command != COMMAND_NONE && client_has_room(c)) {
		if (send_command(c, command, now_us) != 0) {
			client_fail_memory(c, now_us);
			return;
		}
		command = next_command(c);
	}
	if (c->awaited_count > 0)
		return;
	if (c->chunking && c->rcpt_accepted > 0) {
		c->state = SESSION_BODY;
		return;
	}
	c->rset_needed = c->mail_accepted || c->empty_sent;
	client_finish(c, now_us);
}

/* ---- replies ---- */

void client_rset_reply(struct smtp_client *c, const struct reply *reply, int64_t now_us)
{
	struct client_outcome refused = {.end = CLIENT_REPLIED, .stage = CLIENT_STAGE_MAIL, .reply = *reply};

	if (reply_positive(reply))
		client_envelope_push(c, now_us);
	else if (reply_refuses(reply))
		client_fail(c, &refused, now_us); /* which envelope it holds now, nobody knows */
	else
		client_fail_garbage(c, COMMAND_RSET, CLIENT_STAGE_MAIL, reply, now_us);
}

void client_mail_reply(struct smtp_client *c, const struct reply *reply, int64_t now_us)
{
	struct smtp_client_transaction *t = c->transaction;

	t->mail_reply = *reply;
	t->mail_reply_us = now_us;
	if (reply_positive(reply)) {
		c->mail_accepted = true;
	} else if (reply_refuses(reply)) {
		c->mail_refused = true;
		client_settle(c, CLIENT_REPLIED, CLIENT_STAGE_MAIL, reply);
	} else {
		client_fail_garbage(c, COMMAND_MAIL, CLIENT_STAGE_MAIL, reply, now_us);
		return;
	}
	client_envelope_push(c, now_us);
}
