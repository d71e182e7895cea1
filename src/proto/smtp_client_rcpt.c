#include "proto/smtp_client_private.h"

/* RCPT: one for each recipient, its reply is that recipient's (RFC 5321 §4.1.1.3). */

bool client_path_sendable(struct slice path)
{
	for (size_t i = 0; i < path.size; i++)
		if ((unsigned char)path.data[i] < ' ' || path.data[i] == 127)
			return false;
	return true;
}

bool client_xtext_sendable(struct slice text)
{
	return client_path_sendable(text) && slice_find(text, ' ') == text.size;
}

bool client_rcpt_sendable(const struct smtp_client_recipient *r)
{
	return r->forward_path.size > 0 && client_path_sendable(r->forward_path) &&
	       client_xtext_sendable(r->orcpt);
}

/* " NOTIFY=SUCCESS,DELAY" (RFC 3461 §4.1). */
static int notify(struct buffer *output, const struct smtp_client_recipient *r)
{
	const struct {
		bool given;
		const char *name;
	} events[] = {
	    {r->notify_success, "SUCCESS"}, {r->notify_failure, "FAILURE"}, {r->notify_delay, "DELAY"}};
	const char *before = " NOTIFY=";

	if (r->notify_never)
		return buffer_printf(output, "%sNEVER", before);
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		if (!events[i].given)
			continue;
		int error = buffer_printf(output, "%s%s", before, events[i].name);
		if (error != 0)
			return error;
		before = ",";
	}
	return 0;
}

static int dsn_parameters(struct buffer *output, const struct smtp_client_recipient *r)
{
	int error = r->notify_given ? notify(output, r) : 0;

	if (error == 0 && r->orcpt.size > 0)
		error = buffer_printf(output, " ORCPT=%.*s", SLICE_ARG(r->orcpt));
	return error;
}

int client_rcpt_send(struct smtp_client *c, int64_t now_us)
{
	const struct smtp_client_recipient *r = &c->transaction->recipients[c->rcpt_sent];
	int error = buffer_printf(&c->output, "RCPT TO:<%.*s>", SLICE_ARG(r->forward_path));

	if (error == 0 && c->offer.dsn)
		error = dsn_parameters(&c->output, r);
	if (error == 0)
		error = buffer_append(&c->output, "\r\n", 2);
	if (error != 0)
		return error;
	c->rcpt_sent++;
	client_await(c, COMMAND_RCPT, now_us);
	return 0;
}

/* Of a transaction that only asks, this is the answer. */
static void accepted(struct smtp_client *c, struct client_outcome *outcome, const struct reply *reply)
{
	c->rcpt_accepted++;
	if (c->transaction->ask)
		*outcome = (struct client_outcome){
		    .end = CLIENT_ACCEPTED, .stage = CLIENT_STAGE_RCPT, .reply = *reply};
}

void client_rcpt_reply(struct smtp_client *c, const struct reply *reply, int64_t now_us)
{
	struct client_outcome *outcome = &c->transaction->recipients[c->rcpt_replied].outcome;

	if (!reply_positive(reply) && !reply_refuses(reply)) {
		client_fail_garbage(c, COMMAND_RCPT, CLIENT_STAGE_RCPT, reply, now_us);
		return;
	}
	c->rcpt_replied++;
	if (c->mail_refused)
		; /* whatever it says, the transaction was refused */
	else if (reply_positive(reply))
		accepted(c, outcome, reply);
	else
		*outcome = (struct client_outcome){
		    .end = CLIENT_REPLIED, .stage = CLIENT_STAGE_RCPT, .reply = *reply};
	client_envelope_push(c, now_us);
}
