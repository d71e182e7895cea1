/* ETRN (RFC 1985): a hint that a host is back. The reply is the same for every domain, so that nobody learns
 * who is served.
 */
#include "proto/smtp_server_private.h"

void smtp_server_do_etrn(struct smtp_server *s, struct slice arguments, int64_t now_us)
{
	struct slice domain = arguments;

	if (domain.size > 0 && (domain.data[0] == '@' || domain.data[0] == '#'))
		domain = slice_from(domain, 1);
	if (!s->config.offer_etrn)
		smtp_server_error(s, 502, "5.5.1", "ETRN is not offered");
	else if (s->mail_given)
		smtp_server_error(s, 503, "5.5.1", "ETRN is not for the middle of a transaction");
	else if (!address_valid_domain(domain, false))
		smtp_server_error(s, 501, "5.5.4", "the syntax is ETRN example.com");
	else {
		s->etrn = domain;
		s->action_due = SMTP_SERVER_ETRN;
		smtp_server_reply(s, 250, "2.0.0",
				  "noted; mail that is held goes out when the server takes it");
	}
}
