/* The dialogue at a simulated server: one command at a time, each answered after a delay, as the server's
 * mood says. */
#include "sim/server_session.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define IDLE_LIMIT_US CLOCK_SECONDS(300)
#define LATE_REPLY_US CLOCK_SECONDS(660)

/* What servers say. The stage chooses the row, chance the column. */
static const char *const temporary_words[SIM_STAGES][3] = {
    [SIM_STAGE_BANNER] = {"450 come back later", "421 4.3.2 too many connections", "451 4.7.1 try again"},
    [SIM_STAGE_EHLO] = {"450 not now", "451 4.3.0 not now", "450 4.7.1 not now"},
    [SIM_STAGE_TLS] = {"454 4.7.0 TLS not available", "454 4.7.0 TLS not available", "454 4.3.0 no entropy"},
    [SIM_STAGE_MAIL] = {"452 4.3.1 Insufficient system storage", "451 4.7.500 Server busy",
			"451 4.3.0 try later"},
    [SIM_STAGE_RCPT] = {"450 4.2.0 Greylisted", "452 4.2.2 Mailbox full", "451 4.3.0 lookup failed"},
    [SIM_STAGE_DATA] = {"452 4.3.1 Out of memory", "451 4.3.0 queue file write error", "450 4.7.1 later"},
    [SIM_STAGE_DOT] = {"451 4.3.0 filter timed out", "452 4.3.1 disk full",
		       "450 4.7.1 rate limited, too many messages"},
};

static const char *const permanent_words[SIM_STAGES][3] = {
    [SIM_STAGE_BANNER] = {"554 5.7.1 you are listed", "554 no SMTP service here", "521 5.3.2 no mail here"},
    [SIM_STAGE_EHLO] = {"550 5.7.1 bad name", "502 5.5.1 unknown command", "550 5.7.1 go away"},
    [SIM_STAGE_TLS] = {"502 5.5.1 not implemented", "554 5.7.3 TLS broken", "501 5.5.4 syntax"},
    [SIM_STAGE_MAIL] = {"550 5.7.23 SPF validation failed", "553 5.1.8 sender domain unknown",
			"530 5.7.1 not logged in"},
    [SIM_STAGE_RCPT] = {"550 5.1.1 User unknown", "554 5.7.1 Relay access denied", "550 5.4.1 Access denied"},
    [SIM_STAGE_DATA] = {"554 5.5.1 no valid recipients", "550 5.7.1 denied", "554 transaction failed"},
    [SIM_STAGE_DOT] = {"550 5.7.1 content rejected", "554 5.6.0 looks like spam", "552 5.3.4 too big"},
};

static void go_on(struct server_session *s);

/* --- life
 * -------------------------------------------------------------------------------------------------------------
 */

void server_session_free(struct server_session *s)
{
	sim_cancel(s->server->world, &s->answer);
	sim_cancel(s->server->world, &s->idle);
	list_remove(&s->node);
	buffer_deinit(&s->input);
	buffer_deinit(&s->body);
	free(s);
}

/* The memory goes a moment later: whoever called may still look at it. */
static void end_session(struct server_session *s)
{
	s->over = true;
	sim_cancel(s->server->world, &s->answer);
	sim_after(s->server->world, &s->idle, 0);
}

static void hang_up(struct server_session *s)
{
	sim_close(s->conn);
	end_session(s);
}

static void on_closed(void *owner, enum net_end how, const char *detail)
{
	end_session(owner);
}

static void fire_idle(void *owner)
{
	struct server_session *s = owner;

	if (s->over)
		server_session_free(s);
	else if (s->busy)
		sim_after(s->server->world, &s->idle, IDLE_LIMIT_US);
	else
		hang_up(s);
}

static void note(struct server_session *s, const char *arrow, struct slice words)
{
	if (s->server->world->verbose != NULL)
		sim_note(s->server->world, "%s #%llu %s %.*s", s->server->host->name,
			 (unsigned long long)sim_conn_number(s->conn), arrow, SLICE_ARG(words));
}

/* --- replies
 * ----------------------------------------------------------------------------------------------------------
 */

static void forget_transaction(struct server_session *s)
{
	s->in_mail = false;
	s->in_data = false;
	s->bdat = false;
	s->dot_us = 0;
	s->recipient_count = 0;
	buffer_reset(&s->body);
}

static void fire_answer(void *owner)
{
	struct server_session *s = owner;
	enum server_after after = s->after;
	struct slice reply = slice_of(s->reply);

	s->busy = false;
	s->refused = s->reply[0] >= '4';
	s->after = SERVER_GOES_ON;
	note(s, ">", slice_upto(reply, reply.size - 2));
	sim_write(s->conn, reply);
	if (s->dot_us != 0) {
		if (after == SERVER_STORED)
			sim_oracle_replied(s->stored, s->conn);
		forget_transaction(s);
	}
	if (after == SERVER_CLOSES) {
		hang_up(s);
		return;
	}
	if (after == SERVER_STARTS_TLS) {
		buffer_reset(&s->input);
		sim_start_tls(s->conn);
	}
	go_on(s);
}

static void answer_after(struct server_session *s, int64_t delay_us, enum server_after after,
			 const char *format, ...) __attribute__((format(printf, 4, 5)));
static void answer_after(struct server_session *s, int64_t delay_us, enum server_after after,
			 const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int size = vsnprintf(s->reply, sizeof(s->reply) - 2, format, args);
	va_end(args);
	check(size > 0 && (size_t)size < sizeof(s->reply) - 2);
	memcpy(s->reply + size, "\r\n", 3);
	s->busy = true;
	s->after = after;
	sim_after(s->server->world, &s->answer, delay_us);
}

static int64_t draw_delay(const struct server_session *s)
{
	const struct sim_mood *mood = &s->server->mood;

	return sim_between(s->server->world, mood->delay_low_us, mood->delay_high_us);
}

static void answer(struct server_session *s, const char *words)
{
	/* Without enhanced codes the second word, if it looks like one, is left out. */
	if (!s->server->features.enhanced && words[4] >= '2' && words[4] <= '5' && words[5] == '.') {
		const char *rest = strchr(words + 4, ' ');
		answer_after(s, draw_delay(s), SERVER_GOES_ON, "%.3s%s", words, rest != NULL ? rest : "");
		return;
	}
	answer_after(s, draw_delay(s), SERVER_GOES_ON, "%s", words);
}

/* The mood's say at a stage. True: it has answered, or never will. */
static bool moody(struct server_session *s, enum sim_stage stage)
{
	struct sim_world *world = s->server->world;
	const struct sim_mood *mood = &s->server->mood;
	const size_t word = rng_below(&world->rng, 3);

	if (sim_chance(world, mood->closes[stage])) {
		note(s, "closes at",
		     slice_of(stage == SIM_STAGE_DOT ? "the dot, nothing stored" : "a command"));
		hang_up(s);
	} else if (sim_chance(world, mood->busy[stage])) {
		answer_after(s, draw_delay(s), SERVER_CLOSES, "421 4.3.2 busy, closing");
	} else if (sim_chance(world, mood->hangs[stage])) {
		note(s, "hangs", SLICE(""));
		s->busy = true;
	} else if (sim_chance(world, mood->temporary[stage])) {
		answer(s, temporary_words[stage][word]);
	} else if (sim_chance(world, mood->permanent[stage])) {
		answer(s, permanent_words[stage][word]);
	} else {
		return false;
	}
	return true;
}

/* --- commands
 * ---------------------------------------------------------------------------------------------------------
 */

static void greet(struct server_session *s)
{
	const struct sim_server *server = s->server;
	uint32_t open = 0;

	list_each(node, &server->sessions)
		open += !container_of(node, struct server_session, node)->over;
	if (server->mood.connection_limit > 0 && open > server->mood.connection_limit) {
		s->server->refused_connections++;
		answer_after(s, draw_delay(s), SERVER_CLOSES, "421 4.3.2 too many connections from you");
		return;
	}
	if (moody(s, SIM_STAGE_BANNER))
		return;
	answer_after(s, draw_delay(s) + server->mood.banner_delay_us, SERVER_GOES_ON, "220 %s.test ready",
		     server->host->name);
}

static void do_ehlo(struct server_session *s, struct slice argument)
{
	const struct sim_features *f = &s->server->features;

	forget_transaction(s);
	if (moody(s, SIM_STAGE_EHLO))
		return;
	s->greeted = true;
	if (!f->esmtp) {
		answer(s, "502 5.5.1 what is EHLO");
		s->greeted = false;
		return;
	}
	answer_after(s, draw_delay(s), SERVER_GOES_ON, "250-%s.test greets you\r\n%s%s%s%s%s%s250 HELP",
		     s->server->host->name, f->pipelining ? "250-PIPELINING\r\n" : "",
		     f->chunking ? "250-CHUNKING\r\n" : "", f->eight_bit ? "250-8BITMIME\r\n" : "",
		     f->size ? "250-SIZE 50000000\r\n" : "", f->starttls && !s->tls ? "250-STARTTLS\r\n" : "",
		     f->enhanced ? "250-ENHANCEDSTATUSCODES\r\n" : "");
}

static void do_helo(struct server_session *s, struct slice argument)
{
	forget_transaction(s);
	s->greeted = true;
	answer_after(s, draw_delay(s), SERVER_GOES_ON, "250 %s.test", s->server->host->name);
}

static void do_starttls(struct server_session *s, struct slice argument)
{
	if (moody(s, SIM_STAGE_TLS))
		return;
	if (!s->server->features.starttls || s->tls) {
		answer(s, "502 5.5.1 no TLS");
		return;
	}
	s->tls = true;
	s->greeted = false;
	answer_after(s, draw_delay(s), SERVER_STARTS_TLS, "220 2.0.0 go ahead");
}

static bool path_of(struct slice argument, const char *keyword, struct slice *ret_path)
{
	size_t size = strlen(keyword);

	if (!slice_starts_nocase(argument, slice_of(keyword)))
		return false;
	struct slice rest = slice_from(argument, size);
	size_t end = slice_find(rest, '>');
	if (rest.size == 0 || rest.data[0] != '<' || end == rest.size || end - 1 >= SIM_ADDRESS_SIZE)
		return false;
	*ret_path = slice_make(rest.data + 1, end - 1);
	return true;
}

static void count_window(struct server_session *s)
{
	struct sim_server *server = s->server;
	uint32_t open = sim_server_transactions(server, 0);

	if (open > server->transactions_max)
		server->transactions_max = open;
	if (open > server->window_limit)
		sim_oracle_violation(server->oracle, "%s has %u transactions at one time", server->host->name,
				     open);
}

static void do_mail(struct server_session *s, struct slice argument)
{
	struct slice path;

	s->server->mails_seen++;
	if (!s->greeted || s->in_mail || !path_of(argument, "FROM:", &path)) {
		sim_oracle_violation(s->server->oracle, "%s: bad MAIL from the relay: %.*s",
				     s->server->host->name, SLICE_ARG(argument));
		answer(s, "503 5.5.1 bad sequence");
		return;
	}
	if (moody(s, SIM_STAGE_MAIL))
		return;
	s->in_mail = true;
	s->mail_us = s->server->world->now_us;
	(void)snprintf(s->reverse_path, sizeof(s->reverse_path), "%.*s", SLICE_ARG(path));
	count_window(s);
	if (s->server->on_mail != NULL)
		s->server->on_mail(s->server->owner, s->server);
	answer(s, "250 2.1.0 sender ok");
}

static bool refuses(const struct sim_server *server, struct slice path)
{
	return server->mood.refuses_all || (server->features.knows_users && path.data[0] != 'u') ||
	       (server->mood.refuses_one_in > 0 && map_hash(path, 7) % server->mood.refuses_one_in == 0);
}

static void note_domain(struct server_session *s, struct slice domain)
{
	struct sim_server *server = s->server;

	(void)snprintf(s->domain, sizeof(s->domain), "%.*s", SLICE_ARG(domain));
	if (server->on_rcpt != NULL)
		server->on_rcpt(server->owner, server, domain, s->mail_us);
}

static void do_rcpt(struct server_session *s, struct slice argument)
{
	const struct sim_mood *mood = &s->server->mood;
	struct slice path;

	if (!s->in_mail || !path_of(argument, "TO:", &path)) {
		/* With PIPELINING it may come after a refused MAIL. */
		answer(s, "503 5.5.1 no MAIL");
		return;
	}
	note_domain(s, slice_from(path, slice_find_last(path, '@') + 1));
	if (moody(s, SIM_STAGE_RCPT))
		return;
	if (refuses(s->server, path) && !mood->refuses_whole) {
		answer(s, mood->refusal != NULL ? mood->refusal : "550 5.1.1 User unknown");
		return;
	}
	if (s->recipient_count == SERVER_RECIPIENTS_MAX) {
		answer(s, "452 4.5.3 too many recipients");
		return;
	}
	(void)snprintf(s->recipients[s->recipient_count++], SIM_ADDRESS_SIZE, "%.*s", SLICE_ARG(path));
	answer(s, "250 2.1.5 recipient ok");
}

static void do_data(struct server_session *s, struct slice argument)
{
	if (!s->in_mail || s->recipient_count == 0) {
		answer(s, "554 5.5.1 no valid recipients");
		return;
	}
	if (moody(s, SIM_STAGE_DATA))
		return;
	s->in_data = true;
	s->line_began = true;
	answer(s, "354 go ahead");
}

static void do_bdat(struct server_session *s, struct slice argument)
{
	uint64_t size;
	struct slice number = slice_upto(argument, slice_find(argument, ' '));

	if (slice_to_u64(number, &size) != 0) {
		sim_oracle_violation(s->server->oracle, "%s: bad BDAT from the relay", s->server->host->name);
		hang_up(s);
		return;
	}
	s->bdat = true;
	s->bdat_left = size;
	s->bdat_last = slice_contains_nocase(slice_from(argument, number.size), SLICE("LAST"));
}

static void do_rset(struct server_session *s, struct slice argument)
{
	forget_transaction(s);
	answer(s, "250 2.0.0 reset");
}

static void do_quit(struct server_session *s, struct slice argument)
{
	s->in_mail = false; /* whatever was begun is over, however long the answer takes */
	answer_after(s, draw_delay(s), SERVER_CLOSES, "221 2.0.0 bye");
}

static void do_noop(struct server_session *s, struct slice argument)
{
	answer(s, "250 2.0.0 fine");
}

static void do_command(struct server_session *s, struct slice line)
{
	static const struct {
		const char *verb;
		void (*run)(struct server_session *s, struct slice argument);
	} verbs[] = {
	    {"EHLO", do_ehlo}, {"HELO", do_helo}, {"STARTTLS", do_starttls}, {"MAIL", do_mail},
	    {"RCPT", do_rcpt}, {"DATA", do_data}, {"BDAT", do_bdat},	     {"RSET", do_rset},
	    {"QUIT", do_quit}, {"NOOP", do_noop},
	};

	note(s, "<", line);
	size_t space = slice_find(line, ' ');
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (!slice_equal_nocase(slice_upto(line, space), slice_of(verbs[i].verb)))
			continue;
		verbs[i].run(s, slice_from(line, space + 1));
		return;
	}
	sim_oracle_violation(s->server->oracle, "%s does not understand the relay: %.*s",
			     s->server->host->name, SLICE_ARG(line));
	answer(s, "500 5.5.2 what?");
}

/* --- the message
 * ------------------------------------------------------------------------------------------------------ */

static void add_received(struct server_session *s)
{
	struct buffer whole;

	buffer_init(&whole, 0);
	check(buffer_add(&whole, SLICE("Received: by the first hop\r\n\t; just now\r\n")) == 0);
	check(buffer_add(&whole, buffer_slice(&s->body)) == 0);
	buffer_deinit(&s->body);
	s->body = whole;
}

static void store(struct server_session *s)
{
	s->server->stored++;
	if (s->server->first_hop)
		add_received(s);
	s->stored = sim_oracle_stored(
	    s->server->oracle, s->conn, s->server->host->name, slice_of(s->reverse_path),
	    (const char(*)[SIM_ADDRESS_SIZE])s->recipients, s->recipient_count, buffer_slice(&s->body));
}

static bool has_refused(const struct server_session *s)
{
	for (uint32_t i = 0; i < s->recipient_count; i++)
		if (refuses(s->server, slice_of(s->recipients[i])))
			return true;
	return false;
}

static void message_ended(struct server_session *s)
{
	struct sim_world *world = s->server->world;
	const struct sim_mood *mood = &s->server->mood;

	s->in_data = false;
	s->bdat = false;
	s->dot_us = world->now_us;
	if (!s->in_mail || s->recipient_count == 0) {
		answer(s, "503 5.5.1 nobody to give it to");
		return;
	}
	if (moody(s, SIM_STAGE_DOT)) {
		if (s->busy && s->reply[0] == '5')
			sim_oracle_content_refused(s->server->oracle, slice_of(s->reverse_path),
						   buffer_slice(&s->body));
		return;
	}
	if (mood->refuses_whole && has_refused(s)) {
		answer(s, "550 5.1.1 one of the recipients is unknown");
		return;
	}
	store(s);
	note(s, "stores, from", slice_of(s->reverse_path));
	if (sim_chance(world, mood->loses_reply)) {
		note(s, "loses the reply", SLICE(""));
		hang_up(s);
		return;
	}
	int64_t delay_us = sim_chance(world, mood->replies_late) ? LATE_REPLY_US : draw_delay(s);
	answer_after(s, delay_us, SERVER_STORED, "250 %sstored",
		     s->server->features.enhanced ? "2.0.0 " : "");
}

static bool abandons(struct server_session *s)
{
	if (!sim_chance(s->server->world, s->server->mood.closes[SIM_STAGE_BODY]))
		return false;
	note(s, "closes in the message", SLICE(""));
	hang_up(s);
	return true;
}

/* One line of DATA. RFC 5321 §4.1.1.4: only CRLF.CRLF ends it; §4.5.2: the first dot goes. */
static void take_line(struct server_session *s, struct slice line)
{
	bool ends = line.size >= 2 && line.data[line.size - 2] == '\r';

	if (s->line_began && line.size == 3 && ends && line.data[0] == '.') {
		message_ended(s);
		return;
	}
	if (s->line_began && line.data[0] == '.')
		line = slice_from(line, 1);
	check(buffer_add(&s->body, line) == 0);
	s->line_began = ends;
}

/* False: there is not enough input. */
static bool take_chunk(struct server_session *s)
{
	struct slice all = buffer_slice(&s->input);
	size_t size = all.size < s->bdat_left ? all.size : (size_t)s->bdat_left;

	check(buffer_add(&s->body, slice_upto(all, size)) == 0);
	buffer_consume(&s->input, size);
	s->bdat_left -= size;
	if (s->bdat_left > 0)
		return false;
	if (s->bdat_last) {
		message_ended(s);
		return true;
	}
	s->bdat = false;
	answer(s,
	       s->in_mail && s->recipient_count > 0 ? "250 2.0.0 chunk" : "503 5.5.1 nobody to give it to");
	return true;
}

static bool take_some(struct server_session *s)
{
	if (s->bdat)
		return take_chunk(s);
	struct slice all = buffer_slice(&s->input);
	size_t end = slice_find(all, '\n');
	if (end == all.size)
		return false;
	if (s->in_data)
		take_line(s, slice_upto(all, end + 1));
	else
		do_command(s, slice_upto(all, end > 0 && all.data[end - 1] == '\r' ? end - 1 : end));
	if (!s->over)
		buffer_consume(&s->input, end + 1);
	return true;
}

static void go_on(struct server_session *s)
{
	while (!s->over && !s->busy && take_some(s))
		continue;
	if (!s->over)
		sim_pause(s->conn, s->busy && buffer_size(&s->input) > SERVER_QUEUE_BYTES);
}

static void on_received(void *owner, struct slice bytes)
{
	struct server_session *s = owner;

	check(buffer_add(&s->input, bytes) == 0);
	sim_after(s->server->world, &s->idle, IDLE_LIMIT_US);
	if ((s->in_data || s->bdat) && abandons(s))
		return;
	go_on(s);
}

static void on_secured(void *owner, const struct net_tls_state *state)
{
}

void server_session_start(struct sim_server *server, struct net_conn *conn)
{
	static const struct net_events events = {
	    .received = on_received, .secured = on_secured, .closed = on_closed};
	struct server_session *s = sim_alloc(sizeof(struct server_session));

	*s = (struct server_session){.server = server, .conn = conn};
	server->sessions_total++;
	buffer_init(&s->input, 0);
	buffer_init(&s->body, 0);
	sim_event_init(&s->answer, fire_answer, s);
	sim_event_init(&s->idle, fire_idle, s);
	sim_after(server->world, &s->idle, IDLE_LIMIT_US);
	list_add_last(&server->sessions, &s->node);
	sim_attach(conn, &events, s);
	greet(s);
}
