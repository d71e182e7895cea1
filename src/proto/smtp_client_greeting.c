#include "proto/smtp_client_private.h"

#include <string.h>

/* Banner, EHLO, and HELO where EHLO is refused (RFC 5321 §3.1, §3.2, §4.1.1.1). */

void client_banner_reply(struct smtp_client *c, const struct reply *reply, int64_t now_us)
{
	struct client_outcome refused = {
	    .end = CLIENT_REPLIED, .stage = CLIENT_STAGE_BANNER, .reply = *reply};

	if (reply_refuses(reply)) {
		client_fail_politely(c, &refused, now_us);
	} else if (!reply_positive(reply)) {
		client_fail_garbage(c, COMMAND_BANNER, CLIENT_STAGE_BANNER, reply, now_us);
	} else {
		c->banner = *reply;
		client_ehlo_send(c, now_us);
	}
}

static void greet(struct smtp_client *c, enum client_command command, const char *verb, int64_t now_us)
{
	if (c->quit_wanted) {
		client_quit_send(c, now_us);
		return;
	}
	if (buffer_printf(&c->output, "%s %s\r\n", verb, c->config.hostname) != 0)
		client_fail_memory(c, now_us);
	else
		client_await(c, command, now_us);
}

void client_ehlo_send(struct smtp_client *c, int64_t now_us)
{
	c->ehlo = (struct client_ehlo_scan){.size = 0};
	greet(c, COMMAND_EHLO, "EHLO", now_us);
}

static void greeted(struct smtp_client *c, int64_t now_us)
{
	if (!c->tls_active && !c->quit_wanted)
		client_starttls_decide(c, now_us);
	else
		client_become_ready(c, now_us);
}

static enum client_stage greeting_stage(const struct smtp_client *c)
{
	return c->tls_active ? CLIENT_STAGE_TLS : CLIENT_STAGE_EHLO;
}

static void greeting_refused(struct smtp_client *c, enum client_command command, const struct reply *reply,
			     int64_t now_us)
{
	struct client_outcome refused = {.end = CLIENT_REPLIED, .stage = greeting_stage(c), .reply = *reply};

	if (reply_refuses(reply))
		client_fail_politely(c, &refused, now_us);
	else
		client_fail_garbage(c, command, greeting_stage(c), reply, now_us);
}

void client_ehlo_reply(struct smtp_client *c, const struct reply *reply, int64_t now_us)
{
	if (reply_positive(reply)) {
		c->offer = c->ehlo.offer;
		c->starttls_offered = c->starttls_offered || c->offer.starttls;
		greeted(c, now_us);
	} else if (reply_permanent(reply)) {
		greet(c, COMMAND_HELO, "HELO", now_us);
	} else {
		greeting_refused(c, COMMAND_EHLO, reply, now_us);
	}
}

void client_helo_reply(struct smtp_client *c, const struct reply *reply, int64_t now_us)
{
	if (reply_positive(reply))
		greeted(c, now_us);
	else
		greeting_refused(c, COMMAND_HELO, reply, now_us);
}

/* ---- what EHLO offers ---- */

static void read_size(struct client_offer *offer, struct slice parameter)
{
	uint64_t limit;

	offer->size = true;
	if (slice_to_u64(slice_trim(parameter), &limit) == 0)
		offer->size_limit = limit;
}

static void read_keyword(struct client_offer *offer, struct slice line)
{
	struct slice keyword = slice_upto(line, slice_find(line, ' '));
	struct {
		struct slice name;
		bool *offered;
	} known[] = {
	    {SLICE("PIPELINING"), &offer->pipelining},
	    {SLICE("8BITMIME"), &offer->eightbitmime},
	    {SLICE("CHUNKING"), &offer->chunking},
	    {SLICE("SMTPUTF8"), &offer->smtputf8},
	    {SLICE("DSN"), &offer->dsn},
	    {SLICE("STARTTLS"), &offer->starttls},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (slice_equal_nocase(keyword, known[i].name))
			*known[i].offered = true;
	if (slice_equal_nocase(keyword, SLICE("SIZE")))
		read_size(offer, slice_from(line, keyword.size));
}

static void end_line(struct client_ehlo_scan *scan)
{
	enum { CODE_BYTES = 4 }; /* "250-" */
	struct slice line = slice_make(scan->line, scan->size);

	if (line.size > 0 && line.data[line.size - 1] == '\r')
		line.size--;
	/* The first line is the server's name and greeting. */
	if (scan->line_count > 0 && line.size > CODE_BYTES)
		read_keyword(&scan->offer, slice_trim(slice_from(line, CODE_BYTES)));
	scan->line_count++;
	scan->size = 0;
}

void client_ehlo_scan(struct client_ehlo_scan *scan, struct slice bytes)
{
	for (size_t i = 0; i < bytes.size; i++) {
		if (bytes.data[i] == '\n')
			end_line(scan);
		else if (scan->size < sizeof(scan->line))
			scan->line[scan->size++] = bytes.data[i];
	}
}
