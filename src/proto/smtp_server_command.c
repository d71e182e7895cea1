/* The command line: where it ends, and who obeys it (RFC 5321 §2.3.8, §4.1.1).
 *
 * Nothing but CRLF ends a line. A line with a bare CR or LF, a NUL, or too many bytes is answered as soon as
 * that is seen, so that somebody who types at it gets a word; the rest of it, up to CRLF, is skipped: none of
 * it is ever a command.
 */
#include "proto/smtp_server_private.h"

#include "base/check.h"

enum { LINE_TEXT_MAX = SMTP_SERVER_COMMAND_MAX - 2 /* without CRLF */ };

struct verb {
	struct slice name;
	smtp_server_verb *obey;
	bool idle; /* brings a message no nearer */
};

static const struct verb verbs[] = {
    {.name = {"MAIL", 4}, smtp_server_do_mail},
    {.name = {"RCPT", 4}, smtp_server_do_rcpt},
    {.name = {"DATA", 4}, smtp_server_do_data},
    {.name = {"BDAT", 4}, smtp_server_do_bdat},
    {.name = {"EHLO", 4}, smtp_server_do_ehlo, .idle = true},
    {.name = {"HELO", 4}, smtp_server_do_helo, .idle = true},
    {.name = {"RSET", 4}, smtp_server_do_rset, .idle = true},
    {.name = {"NOOP", 4}, smtp_server_do_noop, .idle = true},
    {.name = {"VRFY", 4}, smtp_server_do_vrfy, .idle = true},
    {.name = {"HELP", 4}, smtp_server_do_help, .idle = true},
    {.name = {"ETRN", 4}, smtp_server_do_etrn, .idle = true},
    {.name = {"STARTTLS", 8}, smtp_server_do_starttls, .idle = true},
    {.name = {"QUIT", 4}, smtp_server_do_quit},
};

static const struct verb *find_verb(struct slice name)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (slice_equal_nocase(name, verbs[i].name))
			return &verbs[i];
	return NULL;
}

static void obey(struct smtp_server *s, int64_t now_us)
{
	struct slice line = slice_trim(slice_make(s->line, s->line_size));
	size_t end = slice_find(line, ' ');
	const struct verb *verb = find_verb(slice_upto(line, end));

	s->line_size = 0;
	s->command_since_us = now_us;
	if (verb == NULL)
		smtp_server_error(s, 500, "5.5.1", "unknown command; HELP lists those that are known");
	else if (!verb->idle || smtp_server_count_idle(s))
		verb->obey(s, slice_trim(slice_from(line, end)), now_us);
}

static void refuse_line(struct smtp_server *s, const char *why)
{
	if (s->line_refused)
		return;
	s->line_refused = true;
	smtp_server_error(s, 500, "5.5.2", "%s", why);
}

/* A byte that does not end the line. */
static void add_byte(struct smtp_server *s, char c)
{
	if (s->line_cr)
		refuse_line(s, "bare carriage return not allowed: a command ends with CR LF");
	s->line_cr = c == '\r';
	if (c == '\n')
		refuse_line(s, "bare line feed not allowed: a command ends with CR LF");
	else if (c == '\0')
		refuse_line(s, "NUL not allowed in a command");
	else if (c != '\r' && s->line_size == LINE_TEXT_MAX)
		refuse_line(s, "line too long");
	else if (c != '\r')
		s->line[s->line_size++] = c;
}

/* True: the line is whole. */
static bool take_byte(struct smtp_server *s, char c)
{
	if (c != '\n' || !s->line_cr) {
		add_byte(s, c);
		return false;
	}
	s->line_cr = false;
	return true;
}

static void end_line(struct smtp_server *s, int64_t now_us)
{
	if (!s->line_refused) {
		obey(s, now_us);
		return;
	}
	s->line_refused = false;
	s->line_size = 0;
	s->command_since_us = now_us;
}

bool smtp_server_take_command(struct smtp_server *s, struct slice *input, int64_t now_us)
{
	check(s->phase == SERVER_COMMAND && s->question == SERVER_NOTHING);
	while (input->size > 0) {
		char c = input->data[0];
		*input = slice_from(*input, 1);
		bool whole = take_byte(s, c);
		if (whole)
			end_line(s, now_us);
		if (s->question == SERVER_ASKED_TLS)
			*input = slice_from(*input, input->size); /* RFC 3207 §4.2: nobody vouches for them */
		if (whole || s->phase != SERVER_COMMAND)
			return true;
	}
	return false;
}
