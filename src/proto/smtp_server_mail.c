/* MAIL (RFC 5321 §4.1.1.2).
 */
#include "proto/smtp_server_private.h"

static bool in_order(struct smtp_server *s)
{
	if (!s->greeted)
		smtp_server_error(s, 503, "5.5.1", "send EHLO or HELO first");
	else if (s->mail_given)
		smtp_server_error(s, 503, "5.5.1", "a transaction is open already: RSET ends it");
	else if (s->transaction_count >= s->config.transactions_max)
		smtp_server_hang_up(s, "4.7.0", "too many messages in one session, connect again");
	else
		return true;
	return false;
}

/* The null path is fine, <postmaster> is not: a sender has a domain. Non-ASCII is judged later, SMTPUTF8
 * comes behind. */
static bool parse_sender(struct smtp_server *s, struct slice *text, struct mailbox *ret_sender)
{
	if (!slice_starts_nocase(*text, SLICE("FROM:"))) {
		smtp_server_error(s, 501, "5.5.4", "the syntax is MAIL FROM:<address>");
		return false;
	}
	*text = slice_trim(slice_from(*text, 5));
	int error = address_parse_path(text, true, ret_sender);
	if (error == ERR_LIMIT)
		smtp_server_error(s, 501, "5.1.7", "the address is too long");
	else if (error != 0 || (ret_sender->whole.size > 0 && ret_sender->domain.size == 0))
		smtp_server_error(s, 501, "5.1.7",
				  "the sender is written MAIL FROM:<local-part@domain> or MAIL FROM:<>");
	else
		return true;
	return false;
}

static bool utf8_allowed(struct smtp_server *s, const struct mailbox *sender, bool smtputf8)
{
	if (!sender->utf8 || smtputf8)
		return true;
	smtp_server_error(s, 553, "5.6.7", "an address beyond ASCII needs SMTPUTF8%s",
			  s->config.offer_smtputf8 ? " in MAIL" : ", which is not offered");
	return false;
}

/* From the command line to the memory of the transaction. */
static bool keep(struct smtp_server *s, const struct mailbox *sender, const struct smtp_server_transaction *t)
{
	smtp_server_reset(s);
	s->transaction = *t;
	if (arena_copy(&s->arena, sender->whole, &s->transaction.reverse_path) == 0 &&
	    arena_copy(&s->arena, t->envid, &s->transaction.envid) == 0)
		return true;
	smtp_server_reset(s);
	smtp_server_reply(s, 452, "4.3.1", "out of memory, try again later");
	return false;
}

void smtp_server_do_mail(struct smtp_server *s, struct slice arguments, int64_t now_us)
{
	struct mailbox sender;
	struct smtp_server_transaction t = {.recipient_count = 0};

	if (!in_order(s) || !parse_sender(s, &arguments, &sender) ||
	    !smtp_server_mail_params(s, arguments, &t))
		return;
	if (utf8_allowed(s, &sender, t.smtputf8) && keep(s, &sender, &t))
		smtp_server_ask(s, SERVER_ASKED_MAIL, SMTP_SERVER_CHECK_MAIL);
}

void smtp_server_mail_answered(struct smtp_server *s, const struct reply *reply, int64_t now_us)
{
	if (reply_positive(reply)) {
		s->mail_given = true;
		s->transaction_count++;
		smtp_server_write(s, reply);
		return;
	}
	smtp_server_reset(s);
	if (smtp_server_count_idle(s))
		smtp_server_write_given(s, reply);
}
