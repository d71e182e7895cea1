#include "proto/smtp_client_private.h"

#include <string.h>

#include "base/check.h"

/* DATA, dot-stuffing, and the verdict on the message (RFC 5321 §4.1.1.4, §4.5.2). */

int client_data_send(struct smtp_client *c, int64_t now_us)
{
	int error = buffer_append(&c->output, "DATA\r\n", 6);

	if (error != 0)
		return error;
	c->data_sent = true;
	client_await(c, COMMAND_DATA, now_us);
	return 0;
}

/* 354 although nobody is there to receive: a message must follow now. An empty one, whose fate concerns
 * nobody. */
static void end_empty(struct smtp_client *c, int64_t now_us)
{
	c->empty_sent = true;
	if (buffer_append(&c->output, ".\r\n", 3) != 0)
		client_fail_memory(c, now_us);
	else
		client_await(c, COMMAND_EMPTY_DOT, now_us);
}

void client_data_reply(struct smtp_client *c, const struct reply *reply, int64_t now_us)
{
	bool nobody = c->rcpt_accepted == 0;

	if (reply_intermediate(reply) && nobody) {
		end_empty(c, now_us);
	} else if (reply_intermediate(reply)) {
		c->state = SESSION_BODY;
	} else if (reply_refuses(reply)) {
		client_settle(c, CLIENT_REPLIED, CLIENT_STAGE_DATA, reply);
		client_envelope_push(c, now_us);
	} else {
		client_fail_garbage(c, COMMAND_DATA, CLIENT_STAGE_DATA, reply, now_us);
	}
}

void client_empty_dot_reply(struct smtp_client *c, const struct reply *reply, int64_t now_us)
{
	if (reply_intermediate(reply))
		client_fail_garbage(c, COMMAND_EMPTY_DOT, CLIENT_STAGE_DATA, reply, now_us);
	else
		client_envelope_push(c, now_us); /* accepted or not: no recipient of ours was in it */
}

bool client_wants_body(const struct smtp_client *c)
{
	if (c->state != SESSION_BODY || c->body_asked || c->last_put)
		return false;
	return buffer_size(&c->output) < CLIENT_OUTPUT_BYTES && client_has_room(c);
}

/* ---- the body ---- */

/* Where a dot stands at the start of a line, at or behind from; s.size if nowhere. Dots are rarer than line
 * ends (base64 has none), so they are what is looked for; behind one inside a line, the next line is. */
static size_t find_leading_dot(struct slice s, size_t from, char before)
{
	while (from < s.size) {
		size_t dot = from + slice_find(slice_from(s, from), '.');
		if (dot == s.size || (dot > 0 ? s.data[dot - 1] : before) == '\n')
			return dot;
		from = dot + slice_find(slice_from(s, dot), '\n') + 1;
	}
	return s.size;
}

/* A line that begins with a dot gets one more. A bare LF counts as a line end here, because there are servers
 * that take it for one: then "LF . CRLF" would end the message early (CVE-2023-51764 and kin). */
static int stuff(struct buffer *to, struct slice bytes, char before)
{
	size_t done = 0;

	while (done < bytes.size) {
		size_t dot = find_leading_dot(bytes, done, before);
		int error = buffer_add(to, slice_upto(slice_from(bytes, done), dot - done));
		if (error == 0 && dot < bytes.size)
			error = buffer_append(to, "..", 2);
		if (error != 0)
			return error;
		done = dot < bytes.size ? dot + 1 : dot;
	}
	return 0;
}

static void remember_tail(struct smtp_client *c, struct slice bytes)
{
	if (bytes.size == 0)
		return;
	c->body_tail[0] = bytes.size > 1 ? bytes.data[bytes.size - 2] : c->body_tail[1];
	c->body_tail[1] = bytes.data[bytes.size - 1];
}

static int end_body(struct smtp_client *c, int64_t now_us)
{
	bool whole_line = c->body_tail[0] == '\r' && c->body_tail[1] == '\n';
	int error = buffer_add(&c->output, whole_line ? SLICE(".\r\n") : SLICE("\r\n.\r\n"));

	if (error != 0)
		return error;
	client_await(c, COMMAND_DOT, now_us);
	c->state = SESSION_END;
	c->transaction->dot_sent_us = now_us;
	return 0;
}

int client_data_body(struct smtp_client *c, struct slice bytes, bool last, int64_t now_us)
{
	int error = stuff(&c->output, bytes, c->body_tail[1]);

	if (error != 0)
		return error;
	remember_tail(c, bytes);
	return last ? end_body(c, now_us) : 0;
}

/* ---- the verdict ---- */

void client_end_reply(struct smtp_client *c, const struct reply *reply, int64_t now_us)
{
	enum client_command command = c->chunking ? COMMAND_BDAT_LAST : COMMAND_DOT;

	check(c->state == SESSION_END && c->end_taken);
	if (reply_positive(reply)) {
		client_settle(c, CLIENT_ACCEPTED, CLIENT_STAGE_DOT, reply);
		client_finish(c, now_us);
	} else if (reply_refuses(reply)) {
		client_settle(c, CLIENT_REPLIED, CLIENT_STAGE_DOT, reply);
		c->rset_needed = c->chunking; /* the state after a refused chunk is open (RFC 3030 §2) */
		client_finish(c, now_us);
	} else {
		client_fail_garbage(c, command, CLIENT_STAGE_DOT, reply, now_us);
	}
}
