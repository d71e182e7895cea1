#include "proto/smtp_client_private.h"

#include "base/check.h"

/* BDAT (RFC 3030). Each piece that the owner gives is a chunk. With PIPELINING the chunks follow each other
 * without waiting, but the last is kept back until all others were taken: a server that lost one of them
 * never sees LAST, so it cannot take the rest for a message. */

static int chunk(struct smtp_client *c, struct slice bytes, bool last)
{
	int error = buffer_printf(&c->output, "BDAT %zu%s\r\n", bytes.size, last ? " LAST" : "");

	return error == 0 ? buffer_add(&c->output, bytes) : error;
}

static void release_last(struct smtp_client *c, int64_t now_us)
{
	c->held_bytes = 0;
	client_await(c, COMMAND_BDAT_LAST, now_us);
	c->state = SESSION_END;
	c->transaction->dot_sent_us = now_us;
}

int client_bdat_body(struct smtp_client *c, struct slice bytes, bool last, int64_t now_us)
{
	size_t before = buffer_size(&c->output);

	if (bytes.size == 0 && !last)
		return 0;
	int error = chunk(c, bytes, last);
	if (error != 0)
		return error;
	c->last_put = last;
	if (!last)
		client_await(c, COMMAND_BDAT, now_us);
	else if (c->awaited_count > 0)
		c->held_bytes = buffer_size(&c->output) - before;
	else
		release_last(c, now_us);
	return 0;
}

static void chunk_refused(struct smtp_client *c, const struct reply *reply)
{
	client_settle(c, CLIENT_REPLIED, CLIENT_STAGE_BODY, reply);
	buffer_truncate(&c->output, buffer_size(&c->output) - c->held_bytes);
	c->held_bytes = 0;

	c->rset_needed = true;
	c->state = SESSION_DRAIN;
}

void client_bdat_reply(struct smtp_client *c, const struct reply *reply, int64_t now_us)
{
	if (reply_intermediate(reply)) {
		client_fail_garbage(c, COMMAND_BDAT, CLIENT_STAGE_BODY, reply, now_us);
		return;
	}
	if (reply_refuses(reply))
		chunk_refused(c, reply);
	if (c->awaited_count > 0)
		return;
	if (c->state == SESSION_DRAIN)
		client_finish(c, now_us);
	else if (c->last_put)
		release_last(c, now_us);
}
