#include "proto/smtp_client_private.h"

/* QUIT (RFC 5321 §4.1.1.10): a courtesy, for which nobody waits longer than quit_timeout_ms. */

void client_quit_send(struct smtp_client *c, int64_t now_us)
{
	if (buffer_append(&c->output, "QUIT\r\n", 6) != 0) {
		client_close(c);
		return;
	}
	int64_t deadline = client_after_ms(now_us, c->config.quit_timeout_ms);
	if (deadline < c->quit_deadline_us)
		c->quit_deadline_us = deadline;
	c->state = SESSION_QUITTING;
	c->say_ready = false;
	client_await(c, COMMAND_QUIT, now_us);
}

void client_quit_reply(struct smtp_client *c, const struct reply *reply, int64_t now_us)
{
	client_close(c);
}

void client_fail_politely(struct smtp_client *c, const struct client_outcome *outcome, int64_t now_us)
{
	c->failure = *outcome;
	c->say_failed = true;
	client_quit_send(c, now_us);
}

void smtp_client_quit(struct smtp_client *c, int64_t now_us)
{
	if (c->state == SESSION_CLOSED || c->state == SESSION_QUITTING || c->quit_wanted)
		return;
	if (c->state == SESSION_READY) {
		client_quit_send(c, now_us);
	} else if (c->state == SESSION_HANDSHAKE) {
		client_close(c); /* there is no command channel until the handshake is done */
	} else {
		c->quit_wanted = true; /* at the next reply, or once the transaction is over */
		if (c->transaction == NULL)
			c->quit_deadline_us = client_after_ms(now_us, c->config.quit_timeout_ms);
	}
}
