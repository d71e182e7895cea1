/* RSET, NOOP, VRFY, HELP, QUIT (RFC 5321 §4.1.1.5 to §4.1.1.10).
 */
#include "proto/smtp_server_private.h"

void smtp_server_do_rset(struct smtp_server *s, struct slice arguments, int64_t now_us)
{
	if (arguments.size > 0) {
		smtp_server_error(s, 501, "5.5.4", "RSET stands alone on its line");
		return;
	}
	smtp_server_reset(s);
	smtp_server_reply(s, 250, "2.0.0", "reset");
}

void smtp_server_do_noop(struct smtp_server *s, struct slice arguments, int64_t now_us)
{
	smtp_server_reply(s, 250, "2.0.0", "ok");
}

/* Who exists is told to nobody who does not bring mail (RFC 5321 §3.5.3). */
void smtp_server_do_vrfy(struct smtp_server *s, struct slice arguments, int64_t now_us)
{
	if (arguments.size == 0)
		smtp_server_error(s, 501, "5.5.4", "the syntax is VRFY address");
	else
		smtp_server_reply(s, 252, "2.1.5", "not verified here, but RCPT will tell");
}

void smtp_server_do_help(struct smtp_server *s, struct slice arguments, int64_t now_us)
{
	smtp_server_reply(s, 214, "2.0.0",
			  "EHLO HELO MAIL RCPT DATA%s RSET NOOP VRFY HELP QUIT%s%s\n"
			  "see RFC 5321; mail for postmaster is read",
			  s->config.offer_chunking ? " BDAT" : "",
			  s->config.offer_starttls ? " STARTTLS" : "", s->config.offer_etrn ? " ETRN" : "");
}

void smtp_server_do_quit(struct smtp_server *s, struct slice arguments, int64_t now_us)
{
	smtp_server_reply(s, 221, "2.0.0", "%s goodbye", s->config.hostname);
	smtp_server_close(s);
}
