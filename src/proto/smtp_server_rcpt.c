/* RCPT (RFC 5321 §4.1.1.3).
 */
#include "proto/smtp_server_private.h"

static bool in_order(struct smtp_server *s)
{
	if (!s->mail_given)
		smtp_server_error(s, 503, "5.5.1", "send MAIL first");
	else if (s->chunked)
		smtp_server_error(s, 503, "5.5.1", "RCPT comes before BDAT: RSET ends this transaction");
	else
		return true;
	return false;
}

static bool parse_recipient(struct smtp_server *s, struct slice *text, struct mailbox *ret_recipient)
{
	if (!slice_starts_nocase(*text, SLICE("TO:"))) {
		smtp_server_error(s, 501, "5.5.4", "the syntax is RCPT TO:<address>");
		return false;
	}
	*text = slice_trim(slice_from(*text, 3));
	int error = address_parse_path(text, true, ret_recipient);
	if (error == ERR_LIMIT)
		smtp_server_error(s, 501, "5.1.3", "the address is too long");
	else if (error != 0 || ret_recipient->whole.size == 0)
		smtp_server_error(s, 501, "5.1.3", "a recipient is written RCPT TO:<local-part@domain>");
	else if (ret_recipient->utf8 && !s->transaction.smtputf8)
		smtp_server_error(s, 553, "5.6.7", "an address beyond ASCII needs SMTPUTF8 in MAIL");
	else
		return true;
	return false;
}

static bool is_known(const struct smtp_server *s, struct slice path)
{
	for (const struct smtp_server_recipient *r = s->transaction.recipients; r != NULL; r = r->next)
		if (slice_equal(r->forward_path, path))
			return true;
	return false;
}

/* From the command line to the memory of the transaction. */
static struct smtp_server_recipient *keep(struct smtp_server *s, const struct mailbox *m,
					  const struct smtp_server_recipient *from)
{
	struct smtp_server_recipient *r = arena_alloc(&s->arena, sizeof(*r));

	if (r == NULL)
		return NULL;
	*r = *from;
	if (arena_copy(&s->arena, m->whole, &r->forward_path) != 0 ||
	    arena_copy(&s->arena, from->orcpt, &r->orcpt) != 0)
		return NULL;
	r->domain = slice_from(r->forward_path, m->whole.size - m->domain.size);
	return r;
}

void smtp_server_do_rcpt(struct smtp_server *s, struct slice arguments, int64_t now_us)
{
	struct mailbox m;
	struct smtp_server_recipient r = {.notify_given = false};

	if (!in_order(s) || !parse_recipient(s, &arguments, &m) || !smtp_server_rcpt_params(s, arguments, &r))
		return;
	if (is_known(s, m.whole)) {
		smtp_server_reply(s, 250, "2.1.5", "recipient ok (given before)");
		return;
	}
	if (s->transaction.recipient_count >= s->config.recipients_max) {
		smtp_server_reply(s, 452, "4.5.3",
				  "too many recipients, send the rest in another transaction");
		return;
	}
	s->pending = keep(s, &m, &r);
	if (s->pending == NULL)
		smtp_server_reply(s, 452, "4.3.1", "out of memory, send the rest in another transaction");
	else
		smtp_server_ask(s, SERVER_ASKED_RCPT, SMTP_SERVER_CHECK_RCPT);
}

bool smtp_server_peek_rcpt(struct slice *input, struct mailbox *ret_mailbox)
{
	size_t end = slice_find(*input, '\r');
	struct slice line = slice_upto(*input, end), rest = slice_from(*input, end);

	if (!slice_starts(rest, SLICE("\r\n")) || !slice_starts_nocase(line, SLICE("RCPT TO:")))
		return false;
	line = slice_trim(slice_from(line, 8));
	if (address_parse_path(&line, false, ret_mailbox) != 0 || ret_mailbox->whole.size == 0)
		return false;
	*input = slice_from(rest, 2);
	return true;
}

static void accept_recipient(struct smtp_server *s)
{
	if (s->last_recipient != NULL)
		s->last_recipient->next = s->pending;
	else
		s->transaction.recipients = s->pending;
	s->last_recipient = s->pending;
	s->transaction.recipient_count++;
}

/* A refusal for now says nothing about who exists, so it is not held against the client. */
static bool count_refused(struct smtp_server *s, const struct reply *reply)
{
	s->rcpt_refused = true;
	if (!reply_permanent(reply))
		return true;
	if (s->refused_recipient_count >= s->config.refused_recipients_max) {
		smtp_server_hang_up(s, "4.7.0", "too many refused recipients, closing the connection");
		return false;
	}
	s->refused_recipient_count++;
	return true;
}

void smtp_server_rcpt_answered(struct smtp_server *s, const struct reply *reply, int64_t now_us)
{
	bool accepted = reply_positive(reply);

	if (accepted)
		accept_recipient(s);
	s->pending = NULL;
	if (accepted || count_refused(s, reply))
		smtp_server_write_given(s, reply);
}
