#include "proto/smtp_client_private.h"

#include "base/check.h"

/* STARTTLS (RFC 3207). */

static void starttls_missing(struct smtp_client *c, int64_t now_us)
{
	struct client_outcome outcome;

	client_words(&outcome, CLIENT_NOT_TRIED, CLIENT_STAGE_TLS,
		     "TLS is required and the server does not offer STARTTLS");
	client_fail_politely(c, &outcome, now_us);
}

void client_starttls_decide(struct smtp_client *c, int64_t now_us)
{
	if (c->offer.starttls && (c->config.starttls || c->config.starttls_required)) {
		if (buffer_append(&c->output, "STARTTLS\r\n", 10) != 0)
			client_fail_memory(c, now_us);
		else
			client_await(c, COMMAND_STARTTLS, now_us);
	} else if (c->config.starttls_required) {
		starttls_missing(c, now_us);
	} else {
		client_become_ready(c, now_us);
	}
}

static void handshake(struct smtp_client *c)
{
	if (c->quit_wanted) {
		client_close(c); /* there is no command channel until the handshake is done */
		return;
	}
	c->state = SESSION_HANDSHAKE;
	c->say_start_tls = true;
}

void client_starttls_reply(struct smtp_client *c, const struct reply *reply, int64_t now_us)
{
	struct client_outcome refused = {.end = CLIENT_REPLIED, .stage = CLIENT_STAGE_TLS, .reply = *reply};

	if (reply_positive(reply))
		handshake(c);
	else if (!reply_refuses(reply))
		client_fail_garbage(c, COMMAND_STARTTLS, CLIENT_STAGE_TLS, reply, now_us);
	else if (c->config.starttls_required)
		client_fail_politely(c, &refused, now_us);
	else
		client_become_ready(c, now_us);
}

void smtp_client_tls_done(struct smtp_client *c, int64_t now_us)
{
	if (c->state != SESSION_HANDSHAKE)
		return; /* it ended meanwhile: lost, timed out, or quit */
	c->state = SESSION_GREETING;
	c->tls_active = true;
	c->say_start_tls = false;
	/* Nothing that was said in plain text counts any more (RFC 3207 §4.2). */
	c->offer = (struct client_offer){.pipelining = false};

	client_ehlo_send(c, now_us);
}
