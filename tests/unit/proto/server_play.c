#include "server_play.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void play_init(struct play *p)
{
	*p = (struct play){.now_us = 1000};
	smtp_server_config_defaults(&p->config, "mx.example");
	p->config.offer_starttls = true;
	p->config.offer_dsn = true;
	p->config.offer_smtputf8 = true;
	buffer_init(&p->wire, 0);
	buffer_init(&p->log, 0);
}

static void flush(struct play *p)
{
	struct slice out = smtp_server_output(p->server);

	if (p->unsent)
		return;
	assert_int_equal(buffer_add(&p->wire, out), 0);
	smtp_server_sent(p->server, out.size);
}

void play_start(struct play *p)
{
	p->server = smtp_server_new(&p->config, false, p->now_us);
	p->no_memory = p->server == NULL;
	if (p->server != NULL)
		flush(p);
}

void play_deinit(struct play *p)
{
	smtp_server_free(p->server);
	buffer_deinit(&p->wire);
	buffer_deinit(&p->log);
}

static void put(struct play *p, const char *text)
{
	assert_int_equal(buffer_add(&p->log, slice_of(text)), 0);
}

/* Bytes in the log: CR and LF and other controls as escapes. */
static void put_escaped(struct play *p, struct slice s)
{
	for (size_t i = 0; i < s.size; i++) {
		unsigned char c = (unsigned char)s.data[i];
		if (c == '\r')
			put(p, "\\r");
		else if (c == '\n')
			put(p, "\\n");
		else if (c < ' ' || c == 127)
			assert_int_equal(buffer_printf(&p->log, "\\%03o", c), 0);
		else
			assert_int_equal(buffer_append(&p->log, &c, 1), 0);
	}
}

static void end_body(struct play *p)
{
	if (p->in_body)
		put(p, "\n");
	p->in_body = false;
}

static void log_mail(struct play *p)
{
	const struct smtp_server_transaction *t = smtp_server_transaction(p->server);

	put(p, "MAIL ");
	put_escaped(p, t->reverse_path);
	if (t->size_bytes != 0)
		assert_int_equal(buffer_printf(&p->log, " size %" PRIu64, t->size_bytes), 0);
	put(p, t->body_8bitmime ? " 8bit" : "");
	put(p, t->smtputf8 ? " utf8" : "");
	put(p, t->ret_full ? " full" : "");
	put(p, t->ret_hdrs ? " hdrs" : "");
	put(p, t->envid.size > 0 ? " envid " : "");
	put_escaped(p, t->envid);
	put(p, "\n");
}

static void log_recipient(struct play *p, const char *verb, const struct smtp_server_recipient *r)
{
	put(p, verb);
	put_escaped(p, r->forward_path);
	put(p, " at ");
	put_escaped(p, r->domain);
	put(p, r->notify_given ? " notify" : "");
	put(p, r->notify_never ? " never" : "");
	put(p, r->notify_success ? " success" : "");
	put(p, r->notify_failure ? " failure" : "");
	put(p, r->notify_delay ? " delay" : "");
	put(p, r->orcpt.size > 0 ? " orcpt " : "");
	put_escaped(p, r->orcpt);
	put(p, "\n");
}

static void log_commit(struct play *p)
{
	const struct smtp_server_transaction *t = smtp_server_transaction(p->server);
	uint32_t count = 0;

	put(p, "COMMIT ");
	put_escaped(p, t->reverse_path);
	put(p, " ");
	put(p, smtp_server_protocol(p->server));
	put(p, " ");
	put_escaped(p, smtp_server_helo(p->server));
	put(p, "\n");
	for (const struct smtp_server_recipient *r = t->recipients; r != NULL; r = r->next) {
		log_recipient(p, "  ", r);
		count++;
	}
	assert_int_equal(count, t->recipient_count);
}

static void log_action(struct play *p, enum smtp_server_action action)
{
	if (action == SMTP_SERVER_BODY) {
		assert_true(smtp_server_body(p->server).size > 0);
		put(p, p->in_body ? "" : "BODY ");
		p->in_body = true;
		put_escaped(p, smtp_server_body(p->server));
		return;
	}
	if (action == SMTP_SERVER_WAIT)
		return;
	end_body(p);
	if (action == SMTP_SERVER_CHECK_MAIL)
		log_mail(p);
	else if (action == SMTP_SERVER_CHECK_RCPT)
		log_recipient(p, "RCPT ", smtp_server_recipient(p->server));
	else if (action == SMTP_SERVER_BEGIN)
		put(p, "BEGIN\n");
	else if (action == SMTP_SERVER_COMMIT)
		log_commit(p);
	else if (action == SMTP_SERVER_ABORT)
		put(p, "ABORT\n");
	else if (action == SMTP_SERVER_START_TLS)
		put(p, "TLS\n");
	else if (action == SMTP_SERVER_ETRN) {
		put(p, "ETRN ");
		put_escaped(p, smtp_server_etrn(p->server));
		put(p, "\n");
	} else if (action == SMTP_SERVER_CLOSE)
		put(p, p->closed ? "" : "CLOSE\n");
}

static void judge_path(struct slice path, struct reply *ret_reply)
{
	if (slice_starts(path, SLICE("nodata")) || path.size == 0)
		reply_set(ret_reply, 250, "2.1.0", "ok");
	else if (slice_starts(path, SLICE("no")))
		reply_set(ret_reply, 550, "5.1.1", "not here");
	else if (slice_starts(path, SLICE("later")))
		reply_set(ret_reply, 450, "4.2.0", "come later");
	else if (slice_starts(path, SLICE("bye@")))
		reply_set(ret_reply, 421, "4.3.0", "go away");
	else
		reply_set(ret_reply, 250, "2.1.0", "ok");
}

static void judge_begin(const struct smtp_server_transaction *t, struct reply *ret_reply)
{
	bool refuse = slice_starts(t->reverse_path, SLICE("nodata"));

	for (const struct smtp_server_recipient *r = t->recipients; r != NULL; r = r->next)
		refuse = refuse || slice_starts(r->forward_path, SLICE("nodata"));
	if (refuse)
		reply_set(ret_reply, 452, "4.3.1", "no room");
	else
		reply_set(ret_reply, 354, NULL, "go on");
}

static void judge_commit(const struct smtp_server_transaction *t, struct reply *ret_reply)
{
	if (slice_starts(t->reverse_path, SLICE("failcommit")))
		reply_set(ret_reply, 451, "4.3.0", "not kept");
	else if (slice_starts(t->reverse_path, SLICE("byecommit")))
		reply_set(ret_reply, 421, "4.3.2", "not kept, bye");
	else
		reply_set(ret_reply, 250, "2.0.0", "kept");
}

static void answer(struct play *p, enum smtp_server_action action)
{
	const struct smtp_server_transaction *t = smtp_server_transaction(p->server);
	struct reply reply;

	if (action == SMTP_SERVER_CHECK_MAIL)
		judge_path(t->reverse_path, &reply);
	else if (action == SMTP_SERVER_CHECK_RCPT)
		judge_path(smtp_server_recipient(p->server)->forward_path, &reply);
	else if (action == SMTP_SERVER_BEGIN)
		judge_begin(t, &reply);
	else
		judge_commit(t, &reply);
	smtp_server_answer(p->server, &reply, p->now_us);
}

static bool is_question(enum smtp_server_action action)
{
	return action == SMTP_SERVER_CHECK_MAIL || action == SMTP_SERVER_CHECK_RCPT ||
	       action == SMTP_SERVER_BEGIN || action == SMTP_SERVER_COMMIT;
}

void play_run(struct play *p, struct slice *input)
{
	enum smtp_server_action action = SMTP_SERVER_WAIT;

	do {
		action = smtp_server_step(p->server, input, p->now_us);
		log_action(p, action);
		if (is_question(action) && p->hold)
			p->asked = action;
		else if (is_question(action))
			answer(p, action);
		if (action == SMTP_SERVER_START_TLS) {
			flush(p);
			*input = slice_from(*input, input->size);
			smtp_server_tls_started(p->server, p->now_us);
		}
	} while (action != SMTP_SERVER_WAIT && action != SMTP_SERVER_CLOSE);
	p->closed = action == SMTP_SERVER_CLOSE;
	flush(p);
}

void play_feed(struct play *p, struct slice bytes)
{
	/* Memory of exactly this size, freed afterwards: reading beyond and keeping pointers are found. */
	char *copy = malloc(bytes.size > 0 ? bytes.size : 1);
	assert_non_null(copy);
	if (bytes.size > 0)
		memcpy(copy, bytes.data, bytes.size);
	struct slice input = slice_make(copy, bytes.size);

	play_run(p, &input);
	if (!p->hold)
		assert_int_equal(input.size, 0);
	free(copy);
}

void play_text(struct play *p, const char *text)
{
	play_feed(p, slice_of(text));
}

void play_step(struct play *p)
{
	play_feed(p, SLICE(""));
}

void play_wait(struct play *p, int64_t ms)
{
	p->now_us += ms * 1000;
	play_step(p);
}

void play_answer(struct play *p, uint16_t code, const char *status, const char *text)
{
	struct reply reply;

	reply_set(&reply, code, status, "%s", text);
	p->asked = SMTP_SERVER_WAIT;
	smtp_server_answer(p->server, &reply, p->now_us);
	play_step(p);
}

void play_gone(struct play *p)
{
	smtp_server_client_gone(p->server);
	play_step(p);
}

static void expect(struct buffer *b, const char *expected)
{
	assert_int_equal(buffer_append(b, "", 1), 0);
	assert_string_equal(buffer_slice(b).data, expected);
	buffer_reset(b);
}

void play_expect(struct play *p, const char *wire)
{
	expect(&p->wire, wire);
}

void play_expect_log(struct play *p, const char *log)
{
	end_body(p);
	expect(&p->log, log);
}

void play_expect_start(struct play *p, const char *wire)
{
	struct slice all = buffer_slice(&p->wire);

	if (!slice_starts(all, slice_of(wire)))
		print_error("expected %s\nhad %.*s\n", wire, SLICE_ARG(all));
	assert_true(slice_starts(all, slice_of(wire)));
	buffer_reset(&p->wire);
}

void play_forget(struct play *p)
{
	end_body(p);
	buffer_reset(&p->wire);
	buffer_reset(&p->log);
}

void play_session(struct play *p, struct slice bytes, const size_t *cuts, size_t cut_count)
{
	size_t at = 0;

	for (size_t i = 0; at < bytes.size; i++) {
		size_t end = cuts == NULL ? at + 1 : i < cut_count ? cuts[i] : bytes.size;
		play_feed(p, slice_make(bytes.data + at, end - at));
		at = end;
	}
	end_body(p);
}
