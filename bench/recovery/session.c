#include "session.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	INPUT_MAX_BYTES = 16 * 1024 * 1024, /* of one message; more ends the session */
	READ_BYTES = 65536,
};

/* What is sent while the path is down arrives with a later retransmission: after 0.2, 0.6, 1.4... s. */
static double arrival(const struct fake *fake, double at)
{
	for (double wait = 0.2; !server_link_up(&fake->server, at) && wait < 200; wait *= 2)
		at += wait;
	return at;
}

static void answer_in(struct fake *fake, struct session *session, double seconds)
{
	session->due = arrival(fake, fake->now + seconds);
}

/* How long the first command of a batch waits for its reply. */
static double command_s(const struct fake *fake)
{
	return fmax(RTT_S, fake->model.command_s);
}

/* The replies are short: what a socket does not take belongs to a client that does not read. */
static void say(struct session *session, const char *text)
{
	size_t size = strlen(text);

	if (send(session->fd, text, size, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)size)
		session->state = SESSION_CLOSING;
}

static void refuse(struct fake *fake, struct session *session, const char *kind, const char *text)
{
	fake->refused++;
	(void)fprintf(fake->log, "R %.3f %s\n", fake->now, kind);
	say(session, text);
}

void session_open(struct fake *fake, struct session *session, int fd)
{
	memset(session, 0, sizeof(*session));
	buffer_init(&session->input, INPUT_MAX_BYTES);
	session->fd = fd;
	session->state = SESSION_GREETING;
	fake->server.connections++;
	answer_in(fake, session, 2 * RTT_S + fake->model.command_s);
}

void session_close(struct fake *fake, struct session *session, bool reset)
{
	struct linger at_once = {.l_onoff = 1, .l_linger = 0};

	if (session->state == SESSION_SERVICE && fake->server.in_service > 0)
		fake->server.in_service--;
	if (fake->server.connections > 0)
		fake->server.connections--;
	if (reset)
		(void)setsockopt(session->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	(void)close(session->fd);
	buffer_deinit(&session->input);
	memset(session, 0, sizeof(*session));
}

/* --- commands --- */

static void greet(struct fake *fake, struct session *session)
{
	const struct model *m = &fake->model;

	session->state = SESSION_COMMAND;
	session->due = INFINITY;
	if (m->connections > 0 && fake->server.connections > m->connections) {
		refuse(fake, session, "connections", "421 4.7.0 Too many connections\r\n");
		session->state = SESSION_CLOSING;
		return;
	}
	say(session, "220 mail.example.com ESMTP\r\n");
}

static void mail(struct fake *fake, struct session *session)
{
	session->mail = session->recipient = false;
	switch (server_mail(&fake->server, fake->now)) {
	case MAIL_BUSY:
		refuse(fake, session, "busy", "421 4.3.2 Too busy, try again later\r\n");
		session->state = SESSION_CLOSING;
		return;
	case MAIL_RATE:
		refuse(fake, session, "rate", "450 4.7.1 Rate limit exceeded, slow down\r\n");
		return;
	case MAIL_FULL:
		if (fake->refuses)
			break;
		refuse(fake, session, "full", "452 4.3.1 Insufficient system storage\r\n");
		return;
	case MAIL_OK:
		break;
	}
	session->mail = true;
	say(session, "250 2.1.0 Ok\r\n");
}

static void rcpt(struct fake *fake, struct session *session, struct slice line)
{
	if (!session->mail) {
		say(session, "503 5.5.1 MAIL first\r\n");
	} else if (fake->refuses && fake->now - fake->server.up_at < fake->model.full_s) {
		refuse(fake, session, "550", "550 5.1.1 User unknown\r\n");
	} else if (fake->model.mailbox_full > 0 && slice_contains_nocase(line, SLICE("<full"))) {
		refuse(fake, session, "mailbox", "452 4.2.2 Mailbox full\r\n");
	} else {
		session->recipient = true;
		say(session, "250 2.1.5 Ok\r\n");
	}
}

static void data(struct session *session)
{
	if (!session->recipient) {
		say(session, "503 5.5.1 No valid recipients\r\n");
		return;
	}
	session->state = SESSION_CONTENT;
	session->number = 0;
	say(session, "354 End data with <CR><LF>.<CR><LF>\r\n");
}

static void reset(struct session *session)
{
	session->mail = session->recipient = false;
	say(session, "250 2.0.0 Ok\r\n");
}

static void command(struct fake *fake, struct session *session, struct slice line)
{
	if (slice_starts_nocase(line, SLICE("MAIL"))) {
		mail(fake, session);
	} else if (slice_starts_nocase(line, SLICE("RCPT"))) {
		rcpt(fake, session, line);
	} else if (slice_starts_nocase(line, SLICE("DATA"))) {
		data(session);
	} else if (slice_starts_nocase(line, SLICE("EHLO"))) {
		say(session, "250-mail.example.com\r\n250-PIPELINING\r\n250-SIZE 10485760\r\n"
			     "250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n");
	} else if (slice_starts_nocase(line, SLICE("HELO"))) {
		say(session, "250 mail.example.com\r\n");
	} else if (slice_starts_nocase(line, SLICE("RSET")) || slice_starts_nocase(line, SLICE("NOOP"))) {
		reset(session);
	} else if (slice_starts_nocase(line, SLICE("QUIT"))) {
		say(session, "221 2.0.0 Bye\r\n");
		session->state = SESSION_CLOSING;
	} else {
		say(session, "502 5.5.2 Not implemented\r\n");
	}
}

/* --- content --- */

/* The number that the sender wrote into the Subject; 0: none. */
static uint64_t message_number(struct slice content)
{
	static const char name[] = "\r\nSubject: ";
	const char *at = memmem(content.data, content.size, name, sizeof(name) - 1);
	struct slice rest;
	uint64_t number = 0;

	if (at == NULL)
		return 0;
	rest = slice_from(content, (size_t)(at - content.data) + sizeof(name) - 1);
	return slice_to_u64(slice_upto(rest, slice_find(rest, '\r')), &number) == 0 ? number : 0;
}

static void content(struct fake *fake, struct session *session)
{
	static const char dot[] = "\r\n.\r\n";
	struct slice input = buffer_slice(&session->input);
	const char *end = input.size > 0 ? memmem(input.data, input.size, dot, sizeof(dot) - 1) : NULL;

	if (end == NULL)
		return;
	session->number = message_number(slice_upto(input, (size_t)(end - input.data)));
	buffer_consume(&session->input, (size_t)(end - input.data) + sizeof(dot) - 1);
	session->mail = session->recipient = false;
	session->state = SESSION_SERVICE;
	session->work = server_work(&fake->server);
	fake->server.in_service++;
	session->due = INFINITY;
}

/* One command, or all that are there when the model does not make them wait. */
static void commands(struct fake *fake, struct session *session)
{
	bool one = fake->model.command_s > 0;

	session->due = INFINITY;
	while (session->state == SESSION_COMMAND) {
		struct slice input = buffer_slice(&session->input);
		size_t end = slice_find(input, '\n');

		if (end == input.size)
			return;
		command(fake, session, slice_upto(input, end));
		buffer_consume(&session->input, end + 1);
		if (one && session->state == SESSION_COMMAND) {
			answer_in(fake, session, fake->model.command_s);
			return;
		}
	}
	if (session->state == SESSION_CONTENT)
		content(fake, session);
}

static void delivered(struct fake *fake, struct session *session)
{
	fake->delivered++;
	(void)fprintf(fake->log, "D %.3f %llu\n", fake->now, (unsigned long long)session->number);
	session->state = SESSION_COMMAND;
	say(session, "250 2.0.0 Ok: queued\r\n");
	session->due = INFINITY;
	if (session->state == SESSION_COMMAND && buffer_size(&session->input) > 0)
		answer_in(fake, session, command_s(fake));
}

void session_due(struct fake *fake, struct session *session)
{
	switch (session->state) {
	case SESSION_GREETING:
		greet(fake, session);
		break;
	case SESSION_COMMAND:
		commands(fake, session);
		break;
	case SESSION_CONTENT:
		session->due = INFINITY;
		content(fake, session);
		break;
	case SESSION_SERVICE: /* its work is done */
		fake->server.in_service--;
		session->state = SESSION_REPLY;
		answer_in(fake, session, RTT_S + fake->model.command_s);
		break;
	case SESSION_REPLY:
		delivered(fake, session);
		break;
	case SESSION_GONE:
	case SESSION_CLOSING:
		break;
	}
}

void session_read(struct fake *fake, struct session *session)
{
	char *space = buffer_reserve(&session->input, READ_BYTES);
	ssize_t got = space != NULL ? recv(session->fd, space, READ_BYTES, MSG_DONTWAIT) : 0;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		session_close(fake, session, false);
		return;
	}
	buffer_commit(&session->input, (size_t)got);
	if (session->due != INFINITY)
		return;
	if (session->state == SESSION_COMMAND)
		answer_in(fake, session, command_s(fake));
	else if (session->state == SESSION_CONTENT) /* the round trip of its reply is enough */
		answer_in(fake, session, 0);
}
