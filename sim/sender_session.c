/* The dialogue of a sender's session: what it has asked stands in a queue of expected replies; when that is
 * empty, the next thing is asked. Pipelining is nothing but asking more than one thing at a time.
 */
#include "sim/sender_session.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum asked {
	ASKED_BANNER = 0,
	ASKED_EHLO = 1,
	ASKED_TLS = 2,
	ASKED_MAIL = 3,
	ASKED_RCPT = 4,
	ASKED_DATA = 5,
	ASKED_CHUNK = 6, /* BDAT without LAST */
	ASKED_END = 7,	 /* the dot, or BDAT LAST */
	ASKED_RSET = 8,
	ASKED_QUIT = 9,
};

enum next { /* what is asked when no reply is awaited */
	    NEXT_HELLO = 0,
	    NEXT_MAIL = 1,
	    NEXT_RCPT = 2,
	    NEXT_DATA = 3,
	    NEXT_OVER = 4, /* of the transaction */
};

enum { ASKED_MAX = 256, LINE_MAX_BYTES = 2048, CHUNKS_MAX = 100 };

#define REPLY_TIMEOUT_US   CLOCK_SECONDS(300)
#define END_TIMEOUT_US	   CLOCK_SECONDS(600)
#define CONNECT_TIMEOUT_MS 30000

struct session {
	struct list node;
	struct sim_sender *sender;
	struct net_conn *conn;
	struct buffer line, wire;
	enum asked asked[ASKED_MAX];
	size_t first, count;
	enum next next;
	bool pipelining, chunking, offers_tls, wants_tls, tls, restarted;
	bool over;		   /* hung up: about to be freed */
	struct sim_mail *reserved; /* what it was started for, until it is greeted */
	struct sim_mail *mail;
	struct sim_attempt *attempt;
	enum sim_quirk quirk;
	bool mail_taken;
	uint32_t recipient[SIM_MAIL_RECIPIENTS_MAX]; /* of the mail, by their order in this transaction */
	uint32_t asked_recipients, answered, accepted;
	size_t wire_sent, wire_stop; /* of the message: where to stop for a quirk */
	bool refused_chunk;
	struct sim_event timeout, drip;
};

static void fire_drip(void *owner);

/* --- life
 * -------------------------------------------------------------------------------------------------------------
 */

static void free_session(struct session *s)
{
	sim_cancel(s->sender->world, &s->timeout);
	sim_cancel(s->sender->world, &s->drip);
	list_remove(&s->node);
	buffer_deinit(&s->line);
	buffer_deinit(&s->wire);
	free(s);
}

void sender_session_drop(struct list *node)
{
	struct session *s = container_of(node, struct session, node);

	if (s->mail != NULL)
		sim_mail_free(s->mail);
	if (s->reserved != NULL)
		sim_mail_free(s->reserved);
	free_session(s);
}

/* The transaction is over, well or not. */
static void leave_mail(struct session *s)
{
	if (s->attempt != NULL)
		sim_oracle_gone(s->sender->oracle, s->attempt);
	s->attempt = NULL;
	sim_cancel(s->sender->world, &s->drip);
	if (s->mail != NULL)
		sender_give_back(s->sender, s->mail);
	s->mail = NULL;
}

static void leave_reserved(struct session *s)
{
	if (s->reserved != NULL)
		sender_give_back(s->sender, s->reserved);
	s->reserved = NULL;
}

/* The memory goes a moment later: whoever called may still look at it. */
static void end_session(struct session *s)
{
	s->over = true;
	leave_mail(s);
	leave_reserved(s);
	sender_session_over(s->sender);
	sim_after(s->sender->world, &s->timeout, 0);
}

static void hang_up(struct session *s)
{
	sim_close(s->conn);
	end_session(s);
}

static void on_closed(void *owner, enum net_end how, const char *detail)
{
	end_session(owner);
}

static void fire_timeout(void *owner)
{
	struct session *s = owner;

	if (s->over) {
		free_session(s);
		return;
	}
	sim_note(s->sender->world, "%s: waited long enough", s->sender->host->name);
	hang_up(s);
}

/* --- asking
 * -----------------------------------------------------------------------------------------------------------
 */

static void expect(struct session *s, enum asked asked)
{
	check(s->count < ASKED_MAX);
	s->asked[(s->first + s->count++) % ASKED_MAX] = asked;
	sim_after(s->sender->world, &s->timeout, asked == ASKED_END ? END_TIMEOUT_US : REPLY_TIMEOUT_US);
}

static void ask(struct session *s, enum asked asked, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void ask(struct session *s, enum asked asked, const char *format, ...)
{
	char command[512];
	va_list args;

	va_start(args, format);
	int size = vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	check(size >= 0 && (size_t)size < sizeof(command));
	if (s->sender->world->verbose != NULL)
		sim_note(s->sender->world, "%s #%llu > %s", s->sender->host->name,
			 (unsigned long long)sim_conn_number(s->conn), command);
	char line[sizeof(command) + 2];
	(void)snprintf(line, sizeof(line), "%s\r\n", command);
	sim_write(s->conn, slice_of(line));
	expect(s, asked);
}

static void ask_rcpt(struct session *s)
{
	uint32_t i = s->recipient[s->asked_recipients++];

	ask(s, ASKED_RCPT, "RCPT TO:<%s>", s->mail->recipients[i].address);
}

static enum sim_quirk draw_quirk(struct session *s)
{
	struct sim_sender *sender = s->sender;

	if (!sim_chance(sender->world, sender->config.quirk))
		return SIM_QUIRK_NONE;
	if (sender->config.only != SIM_QUIRK_NONE)
		return sender->config.only;
	return (enum sim_quirk)sim_between(sender->world, SIM_QUIRK_LEAVES, SIM_QUIRK_RESTARTS);
}

static void list_recipients(struct session *s)
{
	s->asked_recipients = 0;
	s->answered = 0;
	s->accepted = 0;
	for (uint32_t i = 0, n = 0; i < s->mail->recipient_count; i++)
		if (!s->mail->recipients[i].over)
			s->recipient[n++] = i;
}

static uint32_t open_recipients(const struct sim_mail *mail)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < mail->recipient_count; i++)
		count += !mail->recipients[i].over;
	return count;
}

static void ask_mail(struct session *s)
{
	struct sim_world *world = s->sender->world;

	s->attempt = sim_oracle_attempt(s->sender->oracle, s->mail);
	s->mail_taken = false;
	s->refused_chunk = false;
	list_recipients(s);
	buffer_reset(&s->wire);
	const char *body = s->mail->eight_bit && sim_chance(world, 0.7) ? " BODY=8BITMIME" : "";
	ask(s, ASKED_MAIL, "MAIL FROM:<%s>%s", s->mail->null_sender ? "" : s->attempt->token, body);
	s->next = NEXT_RCPT;
	if (!s->pipelining)
		return;
	uint32_t count = open_recipients(s->mail);
	while (s->asked_recipients < count)
		ask_rcpt(s);
	s->next = NEXT_DATA;
	if (!s->mail->asks_only && !s->chunking && s->quirk != SIM_QUIRK_RESTARTS && sim_chance(world, 0.5)) {
		ask(s, ASKED_DATA, "DATA");
		s->next = NEXT_OVER;
	}
}

/* --- the message
 * ------------------------------------------------------------------------------------------------------ */

static void add_wire(struct session *s, struct slice bytes)
{
	check(buffer_add(&s->wire, bytes) == 0);
}

/* RFC 5321 §4.5.2: a dot more before each line that begins with one. */
static void wire_for_data(struct session *s)
{
	struct buffer text;

	buffer_init(&text, 0);
	sim_mail_text(s->mail, s->attempt->token, &text);
	struct slice rest = buffer_slice(&text);
	while (rest.size > 0) {
		size_t line = slice_find(rest, '\n');
		line = line < rest.size ? line + 1 : line;
		if (rest.data[0] == '.')
			add_wire(s, SLICE("."));
		add_wire(s, slice_upto(rest, line));
		bool bare = line < 2 || rest.data[line - 2] != '\r';
		rest = slice_from(rest, line);
		/* A bare line feed does not begin a line: nothing to stuff there, which is the attack. */
		if (bare) {
			add_wire(s, rest);
			break;
		}
	}
	add_wire(s, SLICE(".\r\n"));
	buffer_deinit(&text);
}

static void wire_for_chunks(struct session *s)
{
	struct sim_world *world = s->sender->world;
	struct buffer text;

	buffer_init(&text, 0);
	sim_mail_text(s->mail, s->attempt->token, &text);
	struct slice rest = buffer_slice(&text);
	bool empty_last = sim_chance(world, 0.2);
	for (unsigned chunks = 0;; chunks++) {
		size_t size = rest.size;
		if (chunks < CHUNKS_MAX && sim_chance(world, 0.6))
			size = (size_t)sim_log_uniform(world, 1, (int64_t)rest.size + 1);
		size = size < rest.size ? size : rest.size;
		bool last = size == rest.size && !(empty_last && size > 0);
		check(buffer_printf(&s->wire, "BDAT %zu%s\r\n", size, last ? " LAST" : "") == 0);
		add_wire(s, slice_upto(rest, size));
		rest = slice_from(rest, size);
		expect(s, last ? ASKED_END : ASKED_CHUNK);
		if (last)
			break;
	}
	buffer_deinit(&text);
}

static void after_end(struct session *s)
{
	switch (s->quirk) {
	case SIM_QUIRK_LEAVES:
		hang_up(s);
		return;
	case SIM_QUIRK_RESETS:
		sim_reset(s->conn);
		end_session(s);
		return;
	case SIM_QUIRK_HALF_CLOSES:
		ask(s, ASKED_QUIT, "QUIT");
		sim_half_close(s->conn);
		return;
	case SIM_QUIRK_NONE:
	case SIM_QUIRK_ABORTS:
	case SIM_QUIRK_DRIPS:
	case SIM_QUIRK_RESTARTS:
	default:
		return;
	}
}

/* Writes up to size bytes of the message. Ends the session where its quirk says so. */
static void write_wire(struct session *s, size_t size)
{
	struct slice rest = slice_from(buffer_slice(&s->wire), s->wire_sent);
	struct slice part = slice_upto(rest, size);

	if (s->wire_sent + part.size > s->wire_stop)
		part = slice_upto(part, s->wire_stop - s->wire_sent);
	/* From here on the relay may have all of it. */
	if (part.size == rest.size)
		sim_oracle_ended(s->sender->oracle, s->attempt);
	sim_write(s->conn, part);
	s->wire_sent += part.size;
	if (part.size == rest.size)
		after_end(s);
	else if (s->wire_sent == s->wire_stop)
		hang_up(s);
	else
		sim_after(s->sender->world, &s->drip,
			  sim_log_uniform(s->sender->world, 100, CLOCK_SECONDS(2)));
}

static void fire_drip(void *owner)
{
	struct session *s = owner;
	size_t total = buffer_size(&s->wire);

	write_wire(s, 1 + (size_t)rng_below(&s->sender->world->rng, total / 8 + 100));
}

static void send_message(struct session *s)
{
	struct sim_world *world = s->sender->world;
	size_t total = buffer_size(&s->wire);

	if (world->verbose != NULL)
		sim_note(world, "%s #%llu > the message, %zu bytes", s->sender->host->name,
			 (unsigned long long)sim_conn_number(s->conn), total);
	s->wire_sent = 0;
	s->wire_stop = total;
	if (s->quirk == SIM_QUIRK_ABORTS)
		s->wire_stop = (size_t)rng_below(&world->rng, total);
	if (s->quirk == SIM_QUIRK_DRIPS)
		fire_drip(s);
	else
		write_wire(s, total);
}

/* --- replies
 * ----------------------------------------------------------------------------------------------------------
 */

/* A refusal for good where none may be: our recipients exist and our mail is well formed. */
static void judge_refusal(struct session *s, const char *what, unsigned code, bool deserved)
{
	if (code >= 500 && !deserved)
		sim_oracle_violation(s->sender->oracle, "the relay refused %s of %s for good: %u", what,
				     s->attempt->token, code);
}

static void got_rcpt(struct session *s, unsigned code)
{
	struct sim_mail_recipient *r = &s->mail->recipients[s->recipient[s->answered++]];

	sim_oracle_rcpt(s->sender->oracle, s->attempt, r->address, s->mail_taken ? code : 503);
	if (!s->mail_taken)
		return;
	s->accepted += code < 300;
	judge_refusal(s, r->address, code, r->foreign || r->unknown || r->unseen);
	s->sender->unknown_refused += r->unknown && code >= 500;
	s->sender->unknown_taken += r->unknown && code < 300;
	s->sender->unseen_refused += r->unseen && code >= 500;
	r->over = r->over || (s->mail->asks_only && code < 300);
	if (r->foreign && code < 300)
		sim_oracle_violation(s->sender->oracle, "open relay: %s was accepted", r->address);
	if (code >= 500) {
		r->over = true;
		s->sender->refused++;
	}
}

static void got_end(struct session *s, unsigned code)
{
	s->next = NEXT_OVER;
	if (s->refused_chunk && code < 300)
		sim_oracle_violation(s->sender->oracle, "%s got %u after a refused chunk", s->attempt->token,
				     code);
	if (code < 300 && s->mail->bad_ends)
		sim_oracle_violation(s->sender->oracle, "%s with bare line feeds was accepted",
				     s->attempt->token);
	judge_refusal(s, "the message", code,
		      s->mail->bad_ends || s->refused_chunk || s->attempt->content_refused);
	s->sender->told_refused += s->attempt->content_refused && code >= 500;
	sim_oracle_final(s->sender->oracle, s->attempt, code);
	for (uint32_t i = 0; i < s->attempt->recipient_count; i++)
		if (s->attempt->recipients[i].said == SIM_SAID_YES && (code < 300 || code >= 500))
			s->mail->recipients[s->recipient[i]].over = true;
	s->attempt = NULL;
}

static void got_354(struct session *s, unsigned code)
{
	if (code != 354) {
		s->next = NEXT_OVER;
		return;
	}
	if (s->accepted == 0) {
		/* RFC 2920 §3.1: 354 although nobody was accepted: an empty message, which must be refused.
		 */
		sim_write(s->conn, SLICE(".\r\n"));
		expect(s, ASKED_CHUNK);
		s->next = NEXT_OVER;
		return;
	}
	wire_for_data(s);
	expect(s, ASKED_END);
	send_message(s);
}

static void got_ehlo(struct session *s, unsigned code, struct slice text, bool last)
{
	struct sim_world *world = s->sender->world;
	const struct sim_sender_config *config = &s->sender->config;

	if (slice_equal_nocase(text, SLICE("PIPELINING")))
		s->pipelining = sim_chance(world, config->pipelining);
	if (slice_equal_nocase(text, SLICE("CHUNKING")))
		s->chunking = sim_chance(world, config->chunking);
	if (slice_equal_nocase(text, SLICE("STARTTLS")))
		s->offers_tls = true;
	if (last)
		s->next = NEXT_MAIL;
}

/* The last line of a reply. False: the session is over. */
static bool got_reply(struct session *s, enum asked asked, unsigned code)
{
	switch (asked) {
	case ASKED_BANNER:
		s->next = NEXT_HELLO;
		break;
	case ASKED_MAIL:
		s->mail_taken = code < 300;
		judge_refusal(s, "the sender", code, false);
		break;
	case ASKED_RCPT:
		got_rcpt(s, code);
		return true;
	case ASKED_DATA:
		got_354(s, code);
		return true;
	case ASKED_CHUNK:
		s->refused_chunk = s->refused_chunk || code >= 300;
		return true;
	case ASKED_END:
		got_end(s, code);
		return true;
	case ASKED_TLS:
		if (code >= 300)
			return false;
		sim_start_tls(s->conn);
		s->tls = true;
		return true;
	case ASKED_EHLO:
	case ASKED_RSET:
		break;
	case ASKED_QUIT:
	default:
		return false;
	}
	return code < 300 || asked == ASKED_MAIL;
}

static bool parse_reply(struct slice line, unsigned *ret_code, bool *ret_last)
{
	uint64_t code;

	if (line.size < 3 || slice_to_u64(slice_upto(line, 3), &code) != 0 || code < 200 || code > 599)
		return false;
	if (line.size > 3 && line.data[3] != ' ' && line.data[3] != '-')
		return false;
	*ret_code = (unsigned)code;
	*ret_last = line.size == 3 || line.data[3] == ' ';
	return true;
}

/* False: the session is over. */
static bool got_line(struct session *s, struct slice line)
{
	struct sim_world *world = s->sender->world;
	unsigned code;
	bool last;

	if (world->verbose != NULL)
		sim_note(world, "%s #%llu < %.*s", s->sender->host->name,
			 (unsigned long long)sim_conn_number(s->conn), SLICE_ARG(line));
	if (!parse_reply(line, &code, &last)) {
		sim_oracle_violation(s->sender->oracle, "not a reply: %.*s", SLICE_ARG(line));
		return false;
	}
	if (s->count == 0) {
		if (code != 421)
			sim_oracle_violation(s->sender->oracle, "a reply to nothing: %.*s", SLICE_ARG(line));
		return false;
	}
	if (s->asked[s->first] == ASKED_EHLO)
		got_ehlo(s, code, slice_from(line, 4), last);
	if (!last)
		return true;
	if (code == 421 && s->asked[s->first] != ASKED_END)
		return false;
	enum asked asked = s->asked[s->first];
	s->first = (s->first + 1) % ASKED_MAX;
	s->count--;
	sim_after(world, &s->timeout,
		  s->count > 0 && s->asked[s->first] == ASKED_END ? END_TIMEOUT_US : REPLY_TIMEOUT_US);
	return got_reply(s, asked, code);
}

/* --- the dialogue
 * ----------------------------------------------------------------------------------------------------- */

static void next_mail(struct session *s)
{
	struct sim_world *world = s->sender->world;

	if (s->mail != NULL && s->quirk == SIM_QUIRK_RESTARTS && !s->restarted) {
		/* The same mail again, as a new attempt. */
		s->restarted = true;
		s->quirk = SIM_QUIRK_NONE;
		sim_oracle_gone(s->sender->oracle, s->attempt);
		s->attempt = NULL;
		ask_mail(s);
		return;
	}
	s->mail = s->reserved != NULL ? s->reserved : sender_take(s->sender);
	s->reserved = NULL;
	if (s->mail == NULL) {
		ask(s, ASKED_QUIT, "QUIT");
		return;
	}
	s->quirk = draw_quirk(s);
	s->restarted = false;
	sim_note(world, "%s: mail %u to %s and %u more", s->sender->host->name, s->mail->number,
		 s->mail->recipients[0].address, s->mail->recipient_count - 1);
	ask_mail(s);
}

static void ask_data(struct session *s)
{
	if (s->quirk == SIM_QUIRK_RESTARTS && !s->restarted) {
		ask(s, ASKED_RSET, "RSET");
		s->next = NEXT_MAIL;
		return;
	}
	if (s->accepted == 0 || s->mail->asks_only) {
		ask(s, ASKED_RSET, "RSET");
		s->next = NEXT_OVER;
		return;
	}
	s->next = NEXT_OVER;
	if (s->chunking) {
		wire_for_chunks(s);
		send_message(s);
	} else {
		ask(s, ASKED_DATA, "DATA");
	}
}

static void transaction_over(struct session *s)
{
	bool reset = s->attempt != NULL; /* it ended early: the relay may still think of it */

	leave_mail(s);
	if (!sim_chance(s->sender->world, s->sender->config.stays)) {
		ask(s, ASKED_QUIT, "QUIT");
		return;
	}
	s->next = NEXT_MAIL;
	if (reset)
		ask(s, ASKED_RSET, "RSET");
	else
		next_mail(s);
}

static void ask_next(struct session *s)
{
	switch (s->next) {
	case NEXT_HELLO:
		ask(s, ASKED_EHLO, "EHLO %s.test", s->sender->host->name);
		break;
	case NEXT_MAIL:
		if (s->offers_tls && s->wants_tls && !s->tls)
			ask(s, ASKED_TLS, "STARTTLS");
		else
			next_mail(s);
		break;
	case NEXT_RCPT:
		if (s->mail_taken && s->asked_recipients < open_recipients(s->mail)) {
			ask_rcpt(s);
			break;
		}
		ask_data(s);
		break;
	case NEXT_DATA:
		ask_data(s);
		break;
	case NEXT_OVER:
		transaction_over(s);
		break;
	default:
		check_never();
	}
}

static void on_secured(void *owner, const struct net_tls_state *state)
{
	struct session *s = owner;

	s->pipelining = false;
	s->chunking = false;
	ask(s, ASKED_EHLO, "EHLO %s.test", s->sender->host->name);
}

static void on_received(void *owner, struct slice bytes)
{
	struct session *s = owner;

	check(buffer_add(&s->line, bytes) == 0);
	while (!s->over) {
		struct slice all = buffer_slice(&s->line);
		size_t end = slice_find(all, '\n');
		if (end == all.size)
			return;
		struct slice line = slice_upto(all, end > 0 && all.data[end - 1] == '\r' ? end - 1 : end);
		bool waits_for_tls = s->count > 0 && s->asked[s->first] == ASKED_TLS;
		bool goes_on = got_line(s, line);
		if (s->over)
			return;
		if (!goes_on) {
			hang_up(s);
			return;
		}
		buffer_consume(&s->line, end + 1);
		if (s->count == 0 && !waits_for_tls)
			ask_next(s);
	}
}

static void on_connected(void *owner)
{
}

void sender_session_start(struct sim_sender *sender)
{
	static const struct net_events events = {
	    .connected = on_connected, .received = on_received, .secured = on_secured, .closed = on_closed};
	struct session *s = sim_alloc(sizeof(struct session));

	*s = (struct session){.sender = sender, .next = NEXT_HELLO, .reserved = sender_take(sender)};
	s->wants_tls = sim_chance(sender->world, sender->config.tls);
	buffer_init(&s->line, 0);
	buffer_init(&s->wire, 0);
	sim_event_init(&s->timeout, fire_timeout, s);
	sim_event_init(&s->drip, fire_drip, s);
	list_add_last(&sender->sessions, &s->node);
	s->conn = sim_connect(sender->host, &sender->relay, CONNECT_TIMEOUT_MS, &events, s);
	expect(s, ASKED_BANNER);
}
