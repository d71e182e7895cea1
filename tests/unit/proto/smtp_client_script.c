#include "smtp_client_script.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "failing_alloc.h"

enum {
	LOG_BYTES = 1 << 18,
	RECIPIENTS_MAX = 1200,
	START_US = 1000,
	WHOLE = 0,  /* cuts: the server's lines arrive as written */
	BYTES = -1, /* byte by byte */
};

struct text {
	char bytes[LOG_BYTES];
	size_t size;
};

struct play {
	struct smtp_client *c;
	int64_t now_us;
	struct smtp_client_transaction t;
	struct smtp_client_recipient recipients[RECIPIENTS_MAX];
	char paths[RECIPIENTS_MAX][32];
	char envid[64], sender[128];
	bool ready, asked, closed, started, hold;
	struct text actions, output;	  /* what happened, in order */
	size_t actions_seen, output_seen; /* what the script has compared */
	bool loose; /* an allocation fails: the script is only followed as far as it makes sense */
	int cut;
	size_t fed; /* bytes of the server so far */
	const struct script *script;
	int line;
};

static const char *const ends[] = {"pending", "accepted", "replied",  "timeout",
				   "lost",    "garbage",  "not_tried"};

static void add(struct text *to, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *to, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	int size = vsnprintf(to->bytes + to->size, LOG_BYTES - to->size, format, arguments);
	va_end(arguments);
	assert_true(size >= 0 && (size_t)size < LOG_BYTES - to->size);
	to->size += (size_t)size;
}

static void add_outcome(struct text *to, const struct client_outcome *o)
{
	add(to, " %s %s %u %s", ends[o->end], client_stage_name(o->stage), o->reply.code, o->reply.text);
}

static void log_done(struct play *p)
{
	add(&p->actions, "DONE");
	p->started = false;
	for (uint32_t i = 0; i < p->t.recipient_count; i++) {
		const struct client_outcome *o = &p->recipients[i].outcome;
		assert_int_not_equal(o->end, CLIENT_PENDING);
		if (o->end == CLIENT_ACCEPTED) {
			assert_int_equal(o->stage, p->t.ask ? CLIENT_STAGE_RCPT : CLIENT_STAGE_DOT);
			assert_true(reply_positive(&o->reply));
			assert_true((p->t.dot_sent_us != 0) == !p->t.ask && p->t.mail_reply_us != 0);
		}
		add(&p->actions, "%s", i == 0 ? "" : ";");
		add_outcome(&p->actions, o);
	}
	assert_int_equal(p->t.done_us, p->now_us);
	add(&p->actions, "\n");
}

static void log_action(struct play *p, enum smtp_client_action action)
{
	static const char *const names[] = {"WAIT", "START_TLS", "READY", "WANT_BODY",
					    "DONE", "FAILED",	 "CLOSE"};

	assert_false(p->closed);
	p->ready = action == SMTP_CLIENT_READY;
	p->asked = action == SMTP_CLIENT_WANT_BODY;
	if (action == SMTP_CLIENT_DONE) {
		log_done(p);
		return;
	}
	add(&p->actions, "%s", names[action]);
	if (action == SMTP_CLIENT_FAILED)
		add_outcome(&p->actions, smtp_client_failure(p->c));
	add(&p->actions, "\n");
	p->closed = action == SMTP_CLIENT_CLOSE;
}

static void take(struct play *p, size_t size)
{
	struct slice output = slice_upto(smtp_client_output(p->c), size);

	assert_true(p->output.size + output.size < LOG_BYTES);
	if (output.size > 0)
		memcpy(p->output.bytes + p->output.size, output.data, output.size);
	p->output.size += output.size;
	smtp_client_sent(p->c, output.size, p->now_us);
}

static void run(struct play *p, struct slice input)
{
	enum smtp_client_action action = SMTP_CLIENT_WAIT;

	if (p->closed)
		return;
	do {
		action = smtp_client_step(p->c, &input, p->now_us);
		if (action != SMTP_CLIENT_WAIT)
			log_action(p, action);
	} while (action != SMTP_CLIENT_WAIT && action != SMTP_CLIENT_CLOSE);
	assert_int_equal(input.size, 0);
	if (!p->hold)
		take(p, SIZE_MAX);
}

/* ---- the script's lines ---- */

static void fail_at(const struct play *p, const char *what, struct slice expected, struct slice actual)
{
	print_error("%s:%d: %s\n  expected: %.*s\n  actual:   %.*s\n", p->script->name, p->line, what,
		    SLICE_ARG(expected), SLICE_ARG(actual));
	fail();
}

static void expect(struct play *p, const char *what, struct text *from, size_t *seen, struct slice expected,
		   const char *line_end)
{
	struct slice rest = slice_make(from->bytes + *seen, from->size - *seen);
	size_t tail = strlen(line_end);
	struct slice actual = slice_upto(rest, slice_find(rest, '\n'));

	if (p->loose)
		return;
	if (actual.size == 0 && rest.size == 0)
		fail_at(p, what, expected, SLICE("(nothing)"));
	if (actual.size == rest.size)
		tail = 0; /* a line that has no end yet */
	else
		actual.size -= tail - 1;
	if (!slice_equal(actual, expected))
		fail_at(p, what, expected, actual);
	*seen += actual.size + tail;
}

static void expect_nothing_left(struct play *p)
{
	if (p->loose)
		return;
	if (p->actions_seen != p->actions.size)
		fail_at(p, "more actions than written", SLICE(""),
			slice_make(p->actions.bytes + p->actions_seen, p->actions.size - p->actions_seen));
	struct slice rest = slice_make(p->output.bytes + p->output_seen, p->output.size - p->output_seen);
	if (slice_find(rest, '\n') < rest.size)
		fail_at(p, "more output than written", SLICE(""), rest);
}

static bool word(struct slice *words, struct slice *ret_key, struct slice *ret_value)
{
	struct slice w;

	if (!slice_split(words, ' ', &w) || w.size == 0)
		return false;
	size_t at = slice_find(w, '=');
	*ret_key = slice_upto(w, at);
	*ret_value = slice_from(w, at + 1);
	return true;
}

static void set_recipients(struct play *p, uint64_t count, bool dsn)
{
	assert_true(count <= RECIPIENTS_MAX);
	p->t.recipients = p->recipients;
	p->t.recipient_count = (uint32_t)count;
	for (uint32_t i = 0; i < count; i++) {
		(void)snprintf(p->paths[i], sizeof(p->paths[i]), "r%u@d.example", i);
		p->recipients[i] = (struct smtp_client_recipient){.forward_path = slice_of(p->paths[i])};
	}
	if (dsn) {
		p->recipients[0].notify_given = true;
		p->recipients[0].notify_success = true;
		p->recipients[0].notify_failure = true;
		p->recipients[0].notify_delay = true;
		p->recipients[0].orcpt = SLICE("rfc822;x@y");
	}
	if (dsn && count > 1) {
		p->recipients[1].notify_given = true;
		p->recipients[1].notify_never = true;
	}
}

static void begin(struct play *p, struct slice words)
{
	struct slice key, value;
	uint64_t count = 1, size = 4;
	bool dsn = false;

	p->t = (struct smtp_client_transaction){.reverse_path = SLICE("s@e.example")};
	while (word(&words, &key, &value)) {
		if (slice_equal(key, SLICE("rcpt")))
			assert_int_equal(slice_to_u64(value, &count), 0);
		else if (slice_equal(key, SLICE("size")))
			assert_int_equal(slice_to_u64(value, &size), 0);
		else if (slice_equal(key, SLICE("8bit")))
			p->t.body_8bitmime = true;
		else if (slice_equal(key, SLICE("ask")))
			p->t.ask = true;
		else if (slice_equal(key, SLICE("utf8")))
			p->t.smtputf8 = true;
		else if (slice_equal(key, SLICE("full")))
			p->t.ret_full = true;
		else if (slice_equal(key, SLICE("hdrs")))
			p->t.ret_hdrs = true;
		else if (slice_equal(key, SLICE("dsn")))
			dsn = true;
		else if (slice_equal(key, SLICE("envid")))
			p->t.envid = value;
		else if (slice_equal(key, SLICE("sender")))
			p->t.reverse_path = value;
		else
			fail_at(p, "no such word", SLICE(""), key);
	}
	p->t.size_bytes = size;
	set_recipients(p, count, dsn);
	p->started = true;
	p->ready = false;
	smtp_client_begin(p->c, &p->t, p->now_us);
}

static void give_body(struct play *p, struct slice words, bool last, bool line)
{
	char text[1024];

	int size = snprintf(text, sizeof(text), "%.*s%s", SLICE_ARG(words), line ? "\r\n" : "");
	assert_true(size >= 0 && (size_t)size < sizeof(text));
	if (slice_equal(words, SLICE("\\0")))
		size = 0;
	int error = smtp_client_body(p->c, slice_make(text, (size_t)size), last, p->now_us);
	if (!p->loose)
		assert_int_equal(error, p->asked ? 0 : ERR_STATE);
	p->asked = false;
}

static void order(struct play *p, struct slice words)
{
	struct slice verb = slice_upto(words, slice_find(words, ' '));
	uint64_t size = SIZE_MAX;
	char how[128];

	words = slice_from(words, verb.size < words.size ? verb.size + 1 : verb.size);
	if (p->closed || (p->loose && slice_equal(verb, SLICE("begin")) && !p->ready))
		return;
	if (slice_equal(verb, SLICE("begin"))) {
		begin(p, words);
	} else if (slice_equal(verb, SLICE("body")) || slice_equal(verb, SLICE("last"))) {
		give_body(p, words, verb.data[0] == 'l', true);
	} else if (slice_equal(verb, SLICE("raw")) || slice_equal(verb, SLICE("rawlast"))) {
		give_body(p, words, verb.size > 3, false);
	} else if (slice_equal(verb, SLICE("body_failed"))) {
		smtp_client_body_failed(p->c, p->now_us);
	} else if (slice_equal(verb, SLICE("quit"))) {
		smtp_client_quit(p->c, p->now_us);
	} else if (slice_equal(verb, SLICE("tls_done"))) {
		smtp_client_tls_done(p->c, p->now_us);
	} else if (slice_equal(verb, SLICE("lost"))) {
		(void)snprintf(how, sizeof(how), "%.*s", SLICE_ARG(words));
		smtp_client_connection_lost(p->c, how, p->now_us);
	} else if (slice_equal(verb, SLICE("hold"))) {
		p->hold = true;
	} else if (slice_equal(verb, SLICE("flow"))) {
		p->hold = false;
		take(p, SIZE_MAX);
	} else if (slice_equal(verb, SLICE("take"))) {
		assert_int_equal(slice_to_u64(words, &size), 0);
		take(p, size);
	} else {
		fail_at(p, "no such order", SLICE(""), verb);
	}
	run(p, SLICE(""));
}

static void check_deadline(struct play *p, struct slice words)
{
	uint64_t seconds;
	int64_t deadline = smtp_client_deadline(p->c);

	if (p->loose)
		return;
	if (slice_equal(words, SLICE("never"))) {
		assert_true(deadline == INT64_MAX);
		return;
	}
	assert_int_equal(slice_to_u64(words, &seconds), 0);
	assert_int_equal(deadline - p->now_us, (int64_t)seconds * 1000000);
}

static void wait_for_deadline(struct play *p, struct slice words)
{
	int64_t deadline = smtp_client_deadline(p->c);

	check_deadline(p, words);
	if (deadline == INT64_MAX)
		return;
	size_t before = p->actions.size;
	p->now_us = deadline - 1;
	run(p, SLICE(""));
	assert_int_equal(p->actions.size, before);
	p->now_us = deadline;
	run(p, SLICE(""));
}

static void wait_before_deadline(struct play *p, struct slice words)
{
	uint64_t seconds;

	assert_int_equal(slice_to_u64(words, &seconds), 0);
	p->now_us += (int64_t)seconds * 1000000;
	size_t before = p->actions.size;
	run(p, SLICE(""));
	assert_int_equal(p->actions.size, before);
}

/* The server's bytes, cut as the play says. */
static void feed(struct play *p, struct slice bytes)
{
	while (bytes.size > 0) {
		size_t size = bytes.size;
		if (p->cut == BYTES)
			size = 1;
		else if (p->cut > 0 && (size_t)p->cut > p->fed && (size_t)p->cut < p->fed + size)
			size = (size_t)p->cut - p->fed;
		run(p, slice_upto(bytes, size));
		p->fed += size;
		bytes = slice_from(bytes, size);
	}
}

static void script_line(struct play *p, struct slice line)
{
	struct slice words = slice_from(line, line.size > 3 ? 3 : line.size);

	switch (line.data[0]) {
	case 'C':
		expect(p, "output", &p->output, &p->output_seen, words, "\r\n");
		break;
	case 'A':
		expect(p, "action", &p->actions, &p->actions_seen, words, "\n");
		break;
	case 'T':
		wait_for_deadline(p, words);
		break;
	case 'W':
		wait_before_deadline(p, words);
		break;
	case 'D':
		check_deadline(p, words);
		break;
	case 'X':
		expect_nothing_left(p);
		order(p, words);
		break;
	case '#':
		break;
	default:
		fail_at(p, "no such line", SLICE(""), line);
	}
}

static void play_lines(struct play *p)
{
	struct slice rest = slice_of(p->script->text), line;
	static char server[LOG_BYTES];
	size_t server_size = 0;

	for (p->line = 1; slice_split(&rest, '\n', &line); p->line++) {
		if (slice_starts(line, SLICE("S: "))) {
			int size = snprintf(server + server_size, sizeof(server) - server_size, "%.*s\r\n",
					    (int)line.size - 3, line.data + 3);
			server_size += (size_t)size;
			assert_true(server_size < sizeof(server));
			continue;
		}
		if (server_size > 0) {
			expect_nothing_left(p);
			feed(p, slice_make(server, server_size));
			server_size = 0;
		}
		if (line.size > 0)
			script_line(p, line);
	}
	expect_nothing_left(p);
}

static void play(struct play *p, const struct script *script, int cut, bool loose)
{
	struct smtp_client_config config;

	memset(p, 0, sizeof(*p));
	p->script = script;
	p->now_us = START_US;
	p->cut = cut;
	p->loose = loose;
	smtp_client_config_defaults(&config, "relay.example");
	config.starttls = !script->no_starttls;
	config.starttls_required = script->tls_required;
	config.chunking = !script->no_chunking;
	config.pipelining = !script->no_pipelining;
	p->c = smtp_client_new(&config, p->now_us);
	if (p->c != NULL)
		play_lines(p);
	else
		assert_true(loose);
}

static void assert_same(const struct play *a, const struct play *b, int cut)
{
	if (a->actions.size != b->actions.size ||
	    memcmp(a->actions.bytes, b->actions.bytes, a->actions.size) != 0 ||
	    a->output.size != b->output.size ||
	    memcmp(a->output.bytes, b->output.bytes, a->output.size) != 0) {
		print_error("%s: cut at %d\n%.*s\n%.*s\nversus\n%.*s\n%.*s\n", a->script->name, cut,
			    (int)a->actions.size, a->actions.bytes, (int)a->output.size, a->output.bytes,
			    (int)b->actions.size, b->actions.bytes, (int)b->output.size, b->output.bytes);
		fail();
	}
}

static void check_cuts(const struct script *script, const struct play *whole, struct play *p)
{
	/* Long scripts: byte by byte is enough. */
	int last = whole->fed < 2000 ? (int)whole->fed : 0;

	for (int cut = BYTES; cut < last; cut++) {
		play(p, script, cut, false);
		assert_same(whole, p, cut);
		smtp_client_free(p->c);
	}
}

/* A failed allocation ends the session, and nothing is taken for delivered that was not in the undisturbed
 * session. */
static void check_failing_allocations(const struct script *script, const struct play *whole, struct play *p)
{
	bool failed = true;

	for (unsigned n = 1; failed; n++) {
		failing_alloc_at(n);
		play(p, script, WHOLE, true);
		failed = failing_alloc_happened();
		failing_alloc_at(0);
		assert_true(p->c == NULL || !p->started || !p->closed);
		if (p->c != NULL && failed && p->output.size > 0)
			assert_memory_equal(p->output.bytes, whole->output.bytes,
					    p->output.size < whole->output.size ? p->output.size
										: whole->output.size);
		smtp_client_free(p->c);
	}
}

void script_check(const struct script *script)
{
	struct play *whole = test_malloc(sizeof(*whole));
	struct play *p = test_malloc(sizeof(*p));

	play(whole, script, WHOLE, false);
	check_cuts(script, whole, p);
	check_failing_allocations(script, whole, p);
	smtp_client_free(whole->c);
	test_free(whole);
	test_free(p);
}

void script_check_all(const struct script *scripts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		script_check(&scripts[i]);
}
