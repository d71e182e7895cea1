/* DATA (RFC 5321 §4.1.1.4), and what it has in common with BDAT: receiving a message, and its end.
 */
#include <inttypes.h>

#include "base/check.h"
#include "proto/smtp_server_private.h"

/* Is there a transaction with recipients? False: it was answered. */
static bool ready_for_body(struct smtp_server *s)
{
	if (!s->mail_given)
		smtp_server_error(s, 503, "5.5.1", "send MAIL and RCPT first");
	else if (s->transaction.recipient_count > 0)
		return true;
	else if (!s->rcpt_refused)
		smtp_server_error(s, 503, "5.5.1", "send RCPT first");
	else if (smtp_server_count_idle(
		     s)) /* sent in one group with RCPT (RFC 2920 §3.1): no error of the client's */
		smtp_server_reply(s, 554, "5.5.1", "no valid recipients");
	return false;
}

void smtp_server_do_data(struct smtp_server *s, struct slice arguments, int64_t now_us)
{
	if (arguments.size > 0)
		smtp_server_error(s, 501, "5.5.4", "DATA stands alone on its line");
	else if (s->chunked)
		smtp_server_error(s, 503, "5.5.1",
				  "this message came by BDAT: end it with BDAT LAST, or RSET");
	else if (ready_for_body(s))
		smtp_server_ask(s, SERVER_ASKED_BEGIN, SMTP_SERVER_BEGIN);
}

void smtp_server_body_begin(struct smtp_server *s, bool dots)
{
	uint64_t size_max = s->config.message_bytes_max;

	s->begun = true;
	s->refusal.code = 0;
	s->reader = (struct body_reader){
	    .size_max = size_max != 0 ? size_max : UINT64_MAX,
	    .line_max = s->config.line_bytes_max,
	    .dots = dots,
	    .normalise = s->config.normalise_line_ends,
	    .state = BODY_AT_START,
	};
}

void smtp_server_body_await(struct smtp_server *s, int64_t now_us)
{
	s->body_since_us = now_us;
	s->body_seen_us = now_us;
	s->body_bytes = 0;
}

void smtp_server_begin_answered(struct smtp_server *s, const struct reply *reply, int64_t now_us)
{
	if (s->chunked)
		smtp_server_bdat_begun(s, reply, now_us);
	else
		smtp_server_data_begun(s, reply, now_us);
}

void smtp_server_data_begun(struct smtp_server *s, const struct reply *reply, int64_t now_us)
{
	if (reply->code >= 400) {
		smtp_server_reset(s);
		smtp_server_write_given(s, reply);
		return;
	}
	smtp_server_body_begin(s, true);
	smtp_server_body_await(s, now_us);
	s->phase = SERVER_DATA;
	if (reply->code >= 300)
		smtp_server_write(s, reply);
	else
		smtp_server_reply(s, 354, NULL, "end with a dot on a line of its own");
}

void smtp_server_body_refuse(struct smtp_server *s, uint16_t code, const char *status, const char *format,
			     ...)
{
	va_list arguments;

	va_start(arguments, format);
	reply_set_v(&s->refusal, code, status, format, arguments);
	va_end(arguments);
	s->reader.discard = true;
	if (s->begun)
		s->abort_due = true;
	s->begun = false;
}

void smtp_server_body_found(struct smtp_server *s, enum body_result result, struct slice piece)
{
	check(result != BODY_MORE && result != BODY_END);
	if (result == BODY_PIECE) {
		s->body = piece;
		s->action_due = SMTP_SERVER_BODY;
	} else if (result == BODY_BARE) {
		smtp_server_body_refuse(
		    s, 550, "5.6.11",
		    "bare carriage return or line feed in the message: lines end with CR LF");
	} else if (result == BODY_TOO_BIG) {
		smtp_server_body_refuse(s, 552, "5.3.4", "the message is bigger than %" PRIu64 " bytes",
					s->config.message_bytes_max);
	} else {
		smtp_server_body_refuse(s, 552, "5.6.0",
					"a line of the message is longer than %" PRIu64 " bytes",
					s->config.line_bytes_max);
	}
}

/* The final dot came. */
static void end_data(struct smtp_server *s, int64_t now_us)
{
	s->phase = SERVER_COMMAND;
	s->command_since_us = now_us;
	if (s->refusal.code == 0) {
		smtp_server_ask(s, SERVER_ASKED_COMMIT, SMTP_SERVER_COMMIT);
		return;
	}
	smtp_server_write(s, &s->refusal);
	smtp_server_reset(s);
}

bool smtp_server_take_data(struct smtp_server *s, struct slice *input, int64_t now_us)
{
	size_t before = input->size;
	struct slice piece;

	if (before == 0)
		return false;
	enum body_result result = body_reader_take(&s->reader, input, &piece);
	s->body_bytes += before - input->size;
	s->body_seen_us = now_us;
	if (result == BODY_END)
		end_data(s, now_us);
	else if (result != BODY_MORE)
		smtp_server_body_found(s, result, piece);
	return true;
}

void smtp_server_commit_answered(struct smtp_server *s, const struct reply *reply, int64_t now_us)
{
	s->begun = false; /* it is the owner's, whatever he says */
	if (reply_positive(reply))
		s->idle_count = 0;
	smtp_server_reset(s);
	smtp_server_write_given(s, reply);
}
