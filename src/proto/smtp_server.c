#include "proto/smtp_server.h"

#include <stdlib.h>

#include "base/check.h"
#include "proto/smtp_server_private.h"

enum { US_PER_MS = 1000 };

void smtp_server_config_defaults(struct smtp_server_config *config, const char *hostname)
{
	*config = (struct smtp_server_config){
	    .hostname = hostname,
	    .message_bytes_max = UINT64_C(100) * 1024 * 1024,
	    .recipients_max = 1000,
	    .transactions_max = 10000,
	    .errors_max = 20,
	    .idle_commands_max = 200,
	    .refused_recipients_max = 100,
	    .line_bytes_max = UINT64_C(1024) * 1024,
	    .received_max = 100,
	    .command_timeout_ms = INT64_C(5) * 60 * 1000,
	    .data_timeout_ms = INT64_C(3) * 60 * 1000,
	    .session_timeout_ms = INT64_C(60) * 60 * 1000,
	    .data_bytes_per_s_min = 50,
	    .offer_chunking = true,
	    .offer_etrn = true,
	    .early_talker_refused = true,
	};
}

struct smtp_server *smtp_server_new(const struct smtp_server_config *config, bool tls_active, int64_t now_us)
{
	struct smtp_server *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->config = *config;
	s->tls_active = tls_active;
	s->session_since_us = now_us;
	s->command_since_us = now_us;
	buffer_init(&s->output, SERVER_OUTPUT_MAX);
	arena_init(&s->arena, SMTP_SERVER_ARENA_MAX);
	smtp_server_reply(s, 220, NULL, "%s ESMTP%s%s", config->hostname, config->mark != NULL ? " " : "",
			  config->mark != NULL ? config->mark : "");
	if (s->phase == SERVER_CLOSING) {
		smtp_server_free(s);
		return NULL;
	}
	s->banner_left = buffer_size(&s->output);
	return s;
}

void smtp_server_free(struct smtp_server *s)
{
	if (s == NULL)
		return;
	buffer_deinit(&s->output);
	arena_deinit(&s->arena);
	free(s);
}

/* --- replies --- */

void smtp_server_write(struct smtp_server *s, const struct reply *reply)
{
	if (s->gone || reply_write(reply, true, &s->output) == 0)
		return;
	/* A client that misses a reply would take the next one for it. */
	smtp_server_close(s);
}

void smtp_server_write_given(struct smtp_server *s, const struct reply *reply)
{
	smtp_server_write(s, reply);
	if (reply->code == 421)
		smtp_server_close(s);
}

void smtp_server_reply(struct smtp_server *s, uint16_t code, const char *status, const char *format, ...)
{
	struct reply reply;
	va_list arguments;

	va_start(arguments, format);
	reply_set_v(&reply, code, status, format, arguments);
	va_end(arguments);
	smtp_server_write(s, &reply);
}

void smtp_server_error(struct smtp_server *s, uint16_t code, const char *status, const char *format, ...)
{
	struct reply reply;
	va_list arguments;

	if (!smtp_server_count_error(s))
		return;
	va_start(arguments, format);
	reply_set_v(&reply, code, status, format, arguments);
	va_end(arguments);
	smtp_server_write(s, &reply);
}

void smtp_server_hang_up(struct smtp_server *s, const char *status, const char *format, ...)
{
	struct reply why;
	va_list arguments;

	va_start(arguments, format);
	reply_set_v(&why, 421, status, format, arguments);
	va_end(arguments);
	smtp_server_reply(s, 421, status, "%s %s", s->config.hostname, why.text);
	smtp_server_close(s);
}

bool smtp_server_count_error(struct smtp_server *s)
{
	if (s->error_count >= s->config.errors_max) {
		smtp_server_hang_up(s, "4.7.0", "too many errors, closing the connection");
		return false;
	}
	s->error_count++;
	return true;
}

bool smtp_server_count_idle(struct smtp_server *s)
{
	if (s->idle_count >= s->config.idle_commands_max) {
		smtp_server_hang_up(s, "4.7.0",
				    "too many commands without a message, closing the connection");
		return false;
	}
	s->idle_count++;
	return true;
}

/* --- changes of state --- */

void smtp_server_close(struct smtp_server *s)
{
	if (s->begun)
		s->abort_due = true;
	s->begun = false;
	s->phase = SERVER_CLOSING;
	s->question = SERVER_NOTHING;
	s->action_due = SMTP_SERVER_WAIT;
}

void smtp_server_ask(struct smtp_server *s, enum server_question question, enum smtp_server_action action)
{
	check(s->question == SERVER_NOTHING && s->action_due == SMTP_SERVER_WAIT);
	s->question = question;
	s->action_due = action;
}

void smtp_server_reset(struct smtp_server *s)
{
	if (s->begun)
		s->abort_due = true;
	s->begun = false;
	s->mail_given = false;
	s->rcpt_refused = false;
	s->chunked = false;
	s->chunks_refused = false;
	s->refusal.code = 0;
	s->pending = NULL;
	s->last_recipient = NULL;
	s->transaction = (struct smtp_server_transaction){.recipient_count = 0};
	arena_reset(&s->arena);
}

/* --- time --- */

/* The first moment at which the body bytes since body_since_us are too few; INT64_MAX: never. */
static int64_t rate_deadline(const struct smtp_server *s)
{
	uint64_t rate = s->config.data_bytes_per_s_min;

	if (rate == 0)
		return INT64_MAX;
	int64_t enough_for_us =
	    (int64_t)(s->body_bytes / rate * 1000000 + s->body_bytes % rate * 1000000 / rate);
	int64_t grace_us = (int64_t)SERVER_RATE_GRACE_MS * US_PER_MS;
	return s->body_since_us + (enough_for_us > grace_us ? enough_for_us : grace_us) + 1;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Of the phase, without the limit of the session. */
static int64_t phase_deadline(const struct smtp_server *s)
{
	if (s->phase == SERVER_COMMAND)
		return s->command_since_us + s->config.command_timeout_ms * US_PER_MS;
	return earlier(s->body_seen_us + s->config.data_timeout_ms * US_PER_MS, rate_deadline(s));
}

int64_t smtp_server_deadline(const struct smtp_server *s)
{
	if (s->abort_due || s->action_due != SMTP_SERVER_WAIT || s->phase == SERVER_CLOSING)
		return 0; /* there is something to say at once */
	/* While the owner thinks, the client is not late; but a handshake is the client's. */
	if (s->question != SERVER_NOTHING && s->question != SERVER_ASKED_TLS)
		return INT64_MAX;
	return earlier(s->session_since_us + s->config.session_timeout_ms * US_PER_MS, phase_deadline(s));
}

/* Nothing but waiting is left: is it over? */
static bool time_out(struct smtp_server *s, int64_t now_us)
{
	if (now_us < smtp_server_deadline(s))
		return false;
	if (s->question == SERVER_ASKED_TLS)
		smtp_server_close(s); /* a plain reply in the middle of a handshake is noise */
	else if (now_us >= s->session_since_us + s->config.session_timeout_ms * US_PER_MS)
		smtp_server_hang_up(s, "4.4.2", "the session has lasted too long, closing the connection");
	else if (s->phase == SERVER_COMMAND)
		smtp_server_hang_up(s, "4.4.2", "timeout waiting for a command, closing the connection");
	else if (now_us >= rate_deadline(s))
		smtp_server_hang_up(s, "4.4.2", "the message comes too slowly, closing the connection");
	else
		smtp_server_hang_up(s, "4.4.2", "timeout waiting for the message, closing the connection");
	return true;
}

/* --- the owner's side --- */

/* Bytes before the banner: not a mail server (RFC 5321 §3.1: the client waits for it). */
static bool refuse_early_talker(struct smtp_server *s, struct slice input)
{
	if (input.size == 0 || s->banner_left == 0 || !s->config.early_talker_refused)
		return false;
	if (!s->banner_begun)
		buffer_reset(&s->output);
	smtp_server_reply(s, 554, NULL, "%s you spoke before the greeting: wait for it", s->config.hostname);
	smtp_server_close(s);
	return true;
}

/* Uses input up, until there is something to say. True: look for it. */
static bool take_input(struct smtp_server *s, struct slice *input, int64_t now_us)
{
	if (refuse_early_talker(s, *input))
		return true;
	if (s->phase == SERVER_DATA)
		return smtp_server_take_data(s, input, now_us);
	if (s->phase == SERVER_CHUNK)
		return smtp_server_take_chunk(s, input, now_us);
	if (s->shutting_down && !s->begun) {
		smtp_server_hang_up(s, "4.3.2", "is shutting down, try again soon");
		return true;
	}
	return smtp_server_take_command(s, input, now_us);
}

enum smtp_server_action smtp_server_step(struct smtp_server *s, struct slice *input, int64_t now_us)
{
	for (;;) {
		if (s->abort_due) {
			s->abort_due = false;
			return SMTP_SERVER_ABORT;
		}
		if (s->action_due != SMTP_SERVER_WAIT) {
			enum smtp_server_action action = s->action_due;
			s->action_due = SMTP_SERVER_WAIT;
			return action;
		}
		if (s->phase == SERVER_CLOSING && s->question == SERVER_NOTHING) {
			*input = slice_from(*input, input->size);
			return SMTP_SERVER_CLOSE;
		}
		if (s->question == SERVER_NOTHING && take_input(s, input, now_us))
			continue;
		if (!time_out(s, now_us))
			return SMTP_SERVER_WAIT;
	}
}

void smtp_server_answer(struct smtp_server *s, const struct reply *reply, int64_t now_us)
{
	static smtp_server_answered *const answered[] = {
	    [SERVER_ASKED_MAIL] = smtp_server_mail_answered,
	    [SERVER_ASKED_RCPT] = smtp_server_rcpt_answered,
	    [SERVER_ASKED_BEGIN] = smtp_server_begin_answered,
	    [SERVER_ASKED_COMMIT] = smtp_server_commit_answered,
	};
	enum server_question question = s->question;

	check(reply->code >= 200 && reply->code <= 599);
	if (question == SERVER_NOTHING) {
		check(s->gone); /* too late: the question went with the client */
		return;
	}
	check(question != SERVER_ASKED_TLS && s->action_due == SMTP_SERVER_WAIT);
	s->question = SERVER_NOTHING;
	s->command_since_us = now_us;
	answered[question](s, reply, now_us);
	if (s->gone)
		smtp_server_close(s);
}

void smtp_server_client_gone(struct smtp_server *s)
{
	if (s->gone)
		return;
	s->gone = true;
	buffer_reset(&s->output);
	bool told = s->action_due == SMTP_SERVER_WAIT;
	if (s->question == SERVER_ASKED_COMMIT && told)
		return;
	if (s->question == SERVER_ASKED_BEGIN && told)
		s->begun = true; /* the owner may be preparing for it */
	smtp_server_close(s);
}

void smtp_server_shut_down(struct smtp_server *s)
{
	s->shutting_down = true;
}

const struct smtp_server_transaction *smtp_server_transaction(const struct smtp_server *s)
{
	return &s->transaction;
}

const struct smtp_server_recipient *smtp_server_recipient(const struct smtp_server *s)
{
	return s->pending;
}

struct slice smtp_server_body(const struct smtp_server *s)
{
	return s->body;
}

struct slice smtp_server_etrn(const struct smtp_server *s)
{
	return s->etrn;
}

struct slice smtp_server_helo(const struct smtp_server *s)
{
	return slice_make(s->helo, s->helo_size);
}

const char *smtp_server_protocol(const struct smtp_server *s)
{
	if (s->transaction.smtputf8)
		return s->tls_active ? "UTF8SMTPS" : "UTF8SMTP";
	if (!s->extended)
		return "SMTP";
	return s->tls_active ? "ESMTPS" : "ESMTP";
}

struct slice smtp_server_output(const struct smtp_server *s)
{
	return buffer_slice(&s->output);
}

void smtp_server_sent(struct smtp_server *s, size_t size)
{
	if (s->gone)
		return;
	buffer_consume(&s->output, size);
	s->banner_begun = s->banner_begun || size > 0;
	s->banner_left -= size < s->banner_left ? size : s->banner_left;
}
