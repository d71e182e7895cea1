#include "daemon/demo_sender.h"

#include <stdlib.h>

#include "base/buffer.h"
#include "daemon/demo_message.h"

enum { CONNECT_TIMEOUT_MS = 10000, INPUT_MAX = 65536 };

enum step { /* what the next reply answers */
	    STEP_BANNER = 0,
	    STEP_EHLO = 1,
	    STEP_MAIL = 2,
	    STEP_RCPT = 3,
	    STEP_DATA = 4,
	    STEP_DOT = 5,
	    STEP_QUIT = 6,
};

static const char expected[] = {'2', '2', '2', '2', '3', '2', '2'};

struct session {
	struct list node;
	struct demo_senders *senders;
	struct net_conn *conn;
	struct buffer input;
	uint32_t number;
	enum step step;
	bool told;
};

static void end(struct session *s, bool close)
{
	if (close)
		s->senders->net->ops->close(s->conn, true);
	list_remove(&s->node);
	buffer_deinit(&s->input);
	free(s);
}

static void tell(struct session *s, bool accepted, struct slice reply)
{
	if (s->told)
		return;
	s->told = true;
	s->senders->events->sent(s->senders->owner, s->number, accepted, reply);
}

/* ERR_MEMORY: nothing was written. */
static int send_message(struct session *s)
{
	struct buffer text, wire;
	buffer_init(&text, 0);
	buffer_init(&wire, 0);
	int error = demo_message_make(s->number, &text);
	if (error == 0)
		error = demo_message_stuff(buffer_slice(&text), &wire);
	if (error == 0)
		error = s->senders->net->ops->write(s->conn, buffer_slice(&wire));
	buffer_deinit(&text);
	buffer_deinit(&wire);
	return error;
}

static int send_line(struct session *s, const char *format) __attribute__((format(printf, 2, 0)));
static int send_line(struct session *s, const char *format)
{
	struct buffer line;
	buffer_init(&line, 0);
	int error = buffer_printf(&line, format, s->number % 50);
	if (error == 0)
		error = s->senders->net->ops->write(s->conn, buffer_slice(&line));
	buffer_deinit(&line);
	return error;
}

/* What is said after the reply to a step; the message itself after DATA. */
static int say_next(struct session *s)
{
	static const char *const lines[] = {"EHLO sender.example.net\r\n",
					    "MAIL FROM:<sender%u@example.net> BODY=8BITMIME\r\n",
					    "RCPT TO:<user%u@example.com>\r\n",
					    "DATA\r\n",
					    NULL,
					    "QUIT\r\n"};
	return s->step == STEP_DATA ? send_message(s) : send_line(s, lines[s->step]);
}

/* False: the session is over and gone. */
static bool replied(struct session *s, struct slice reply)
{
	bool good = reply.size > 0 && reply.data[0] == expected[s->step];
	if (s->step == STEP_DOT || !good)
		tell(s, good, reply);
	if (!good || s->step == STEP_QUIT || say_next(s) != 0) {
		tell(s, false, reply);
		end(s, true);
		return false;
	}
	s->step++;
	return true;
}

static void received(void *owner, struct slice bytes)
{
	struct session *s = owner;
	if (buffer_add(&s->input, bytes) != 0) {
		tell(s, false, SLICE("out of memory"));
		end(s, true);
		return;
	}
	for (;;) {
		struct slice input = buffer_slice(&s->input);
		size_t newline = slice_find(input, '\n');
		if (newline == input.size)
			return;
		struct slice line = slice_upto(input, newline + 1);
		bool last = line.size < 4 || line.data[3] != '-';
		if (last && !replied(s, line))
			return;
		buffer_consume(&s->input, line.size);
	}
}

static void connected(void *owner)
{
	(void)owner; /* the banner comes next */
}

static void closed(void *owner, enum net_end why, const char *detail)
{
	struct session *s = owner;
	(void)detail;
	tell(s, false, slice_of(net_end_name(why)));
	end(s, false);
}

static void drained(void *owner)
{
	(void)owner; /* what is written here is small */
}

static const struct net_events events = {
    .connected = connected, .received = received, .drained = drained, .closed = closed};

void demo_senders_init(struct demo_senders *senders, struct net *net, const struct net_address *relay,
		       const struct demo_senders_events *sent, void *owner)
{
	*senders = (struct demo_senders){.net = net, .relay = *relay, .events = sent, .owner = owner};
	list_init(&senders->sessions);
}

void demo_senders_deinit(struct demo_senders *senders)
{
	list_each_safe(node, after, &senders->sessions)
		end(container_of(node, struct session, node), true);
}

int demo_senders_send(struct demo_senders *senders, uint32_t number)
{
	struct session *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return ERR_MEMORY;
	s->senders = senders;
	s->number = number;
	buffer_init(&s->input, INPUT_MAX);
	s->conn =
	    senders->net->ops->connect(senders->net, &senders->relay, NULL, CONNECT_TIMEOUT_MS, &events, s);
	if (s->conn == NULL) {
		free(s);
		return ERR_MEMORY;
	}
	list_add_last(&senders->sessions, &s->node);
	return 0;
}

bool demo_senders_busy(const struct demo_senders *senders)
{
	return !list_empty(&senders->sessions);
}
