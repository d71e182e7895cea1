/* STARTTLS (RFC 3207). What was said in the clear is forgotten: a man in the middle may have said it.
 */
#include "base/check.h"
#include "proto/smtp_server_private.h"

void smtp_server_do_starttls(struct smtp_server *s, struct slice arguments, int64_t now_us)
{
	if (!s->config.offer_starttls)
		smtp_server_error(s, 502, "5.5.1", "STARTTLS is not offered");
	else if (s->tls_active)
		smtp_server_error(s, 503, "5.5.1", "TLS is active already");
	else if (arguments.size > 0)
		smtp_server_error(s, 501, "5.5.4", "STARTTLS stands alone on its line");
	else {
		smtp_server_reset(s);
		smtp_server_reply(s, 220, "2.0.0", "begin TLS now");
		if (s->phase == SERVER_COMMAND)
			smtp_server_ask(s, SERVER_ASKED_TLS, SMTP_SERVER_START_TLS);
	}
}

void smtp_server_tls_started(struct smtp_server *s, int64_t now_us)
{
	if (s->question == SERVER_NOTHING) {
		check(s->phase == SERVER_CLOSING); /* too late */
		return;
	}
	check(s->question == SERVER_ASKED_TLS && s->action_due == SMTP_SERVER_WAIT);
	s->question = SERVER_NOTHING;
	s->tls_active = true;
	s->greeted = false;
	s->extended = false;
	s->helo_size = 0;
	s->line_size = 0;
	s->line_cr = false;
	s->line_refused = false;
	s->command_since_us = now_us;
	smtp_server_reset(s);
}
