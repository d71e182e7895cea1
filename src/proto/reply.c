#include "proto/reply.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "proto/utf8.h"

enum {
	/* Text bytes of one line that we send: 512 (RFC 5321 §4.5.3.1.5) less "250-", "5.999.999 " and CRLF.
	 */
	WRITE_LINE_TEXT = 496,
	STATUS_PART_MAX = 999,
};

/* Parser: which part of a line comes next. */
enum stage {
	STAGE_HEAD = 0, /* code and enhanced code: collected until they are whole or cannot be */
	STAGE_TEXT = 1, /* behind them */
	STAGE_CR = 2,	/* text, and the last byte was a CR, which counts only if no LF follows */
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_control(char c)
{
	return (unsigned char)c < 32 || c == 127;
}

static char printable(char c)
{
	return is_control(c) ? '?' : c;
}

/* One to three digits off the front. */
static bool take_number(struct slice *s, uint16_t *ret_value)
{
	uint16_t value = 0;
	size_t size = 0;

	while (size < s->size && size < 3 && is_digit(s->data[size]))
		value = (uint16_t)(value * 10 + (s->data[size++] - '0'));
	if (size == 0)
		return false;
	*s = slice_from(*s, size);
	*ret_value = value;
	return true;
}

static bool take_dot(struct slice *s)
{
	if (s->size == 0 || s->data[0] != '.')
		return false;
	*s = slice_from(*s, 1);
	return true;
}

/* status-code of RFC 3463 §2 off the front of *s, if it stands there and a blank or the end follows. */
static bool take_status(struct slice *s, struct reply *reply)
{
	struct slice rest = *s;
	uint16_t class, subject, detail;

	if (!take_number(&rest, &class) || !take_dot(&rest) || !take_number(&rest, &subject) ||
	    !take_dot(&rest) || !take_number(&rest, &detail))
		return false;
	if (class != 2 && class != 4 && class != 5)
		return false;
	if (rest.size > 0 && rest.data[0] != ' ' && rest.data[0] != '\r' && rest.data[0] != '\n')
		return false;
	if (reply->class == 0) {
		reply->class = class;
		reply->subject = subject;
		reply->detail = detail;
	}
	*s = rest.size > 0 && rest.data[0] == ' ' ? slice_from(rest, 1) : rest;
	return true;
}

void reply_set_v(struct reply *reply, uint16_t code, const char *status, const char *format,
		 va_list arguments)
{
	struct slice given = slice_of(status);

	*reply = (struct reply){.code = code};
	if (status != NULL)
		check(take_status(&given, reply) && given.size == 0);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): the caller has started it */
	int size = vsnprintf(reply->text, sizeof(reply->text), format, arguments);
	check(size >= 0);
	size_t length = strlen(reply->text);
	for (size_t i = 0; i < length; i++)
		if (reply->text[i] != '\n')
			reply->text[i] = printable(reply->text[i]);
	utf8_repair(reply->text, length);
}

void reply_set(struct reply *reply, uint16_t code, const char *status, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	reply_set_v(reply, code, status, format, arguments);
	va_end(arguments);
}

/* How much of the rest of a text goes on the next line: up to the newline, or what fits. */
static size_t line_size(struct slice rest)
{
	size_t size = slice_find(rest, '\n');

	if (size <= WRITE_LINE_TEXT)
		return size;
	size = WRITE_LINE_TEXT;
	while (size > 0 && ((unsigned char)rest.data[size] & 0xC0) == 0x80)
		size--;
	return size > 0 ? size : WRITE_LINE_TEXT;
}

static int write_line(const struct reply *reply, bool with_status, bool last, struct slice text,
		      struct buffer *to)
{
	int error = buffer_printf(to, "%03u%c", reply->code, last ? ' ' : '-');

	if (error == 0 && with_status && reply->class != 0)
		error = buffer_printf(to, "%u.%u.%u ", reply->class, reply->subject, reply->detail);
	size_t before = buffer_size(to);
	if (error == 0)
		error = buffer_add(to, text);
	if (error != 0)
		return error;
	/* The owner may have filled the text himself: a stray CR must not become a line end here. */
	char *written = to->bytes + to->start + before;
	for (size_t i = 0; i < text.size; i++)
		written[i] = printable(written[i]);
	return buffer_append(to, "\r\n", 2);
}

int reply_write(const struct reply *reply, bool with_status, struct buffer *to)
{
	struct slice rest = slice_of(reply->text);
	size_t before = buffer_size(to);
	bool last;

	do {
		struct slice text = slice_upto(rest, line_size(rest));
		rest = slice_from(rest, text.size);
		last = rest.size == 0;
		int error = write_line(reply, with_status, last, text, to);
		if (error != 0) {
			buffer_truncate(to, before);
			return error;
		}
		if (!last && rest.data[0] == '\n')
			rest = slice_from(rest, 1);
	} while (!last);
	return 0;
}

/* Appends to the text of *size bytes as much as fits. */
static void put(char *text, size_t capacity, size_t *size, struct slice part)
{
	part = slice_upto(part, capacity - 1 - *size);
	if (part.size > 0)
		memcpy(text + *size, part.data, part.size);
	*size += part.size;
	text[*size] = '\0';
}

size_t reply_format(const struct reply *reply, char *ret_text, size_t size)
{
	char codes[32];
	struct slice rest = slice_of(reply->text), line;
	size_t length = 0;

	if (size == 0)
		return 0;
	if (reply->class != 0)
		(void)snprintf(codes, sizeof(codes), "%03u %u.%u.%u", reply->code, reply->class,
			       reply->subject, reply->detail);
	else
		(void)snprintf(codes, sizeof(codes), "%03u", reply->code);
	put(ret_text, size, &length, slice_of(codes));
	for (const char *before = " "; slice_split(&rest, '\n', &line); before = "; ") {
		if (line.size == 0 && rest.data == NULL && *before == ' ')
			break; /* no text at all */
		put(ret_text, size, &length, slice_of(before));
		put(ret_text, size, &length, line);
	}
	return length;
}

void reply_status(const struct reply *reply, char ret_text[16])
{
	if (reply->class != 0)
		(void)snprintf(ret_text, 16, "%u.%u.%u", reply->class % 10,
			       reply->subject % (STATUS_PART_MAX + 1), reply->detail % (STATUS_PART_MAX + 1));
	else
		(void)snprintf(ret_text, 16, "%u.0.0", reply->code / 100 % 10);
}

void reply_parser_init(struct reply_parser *parser)
{
	*parser = (struct reply_parser){.stage = STAGE_HEAD};
}

static void add_text(struct reply_parser *p, char c)
{
	if (p->text_size < REPLY_TEXT_MAX)
		p->reply.text[p->text_size++] = c;
}

/* A byte behind the codes. True: it ended the line. */
static bool text_byte(struct reply_parser *p, char c)
{
	if (c == '\n')
		return true;
	if (p->stage == STAGE_CR)
		add_text(p, '?');
	p->stage = c == '\r' ? STAGE_CR : STAGE_TEXT;
	if (c != '\r')
		add_text(p, printable(c));
	return false;
}

/* "250-", "250 " or "250" at the end of a line; every line of a reply has the same code (RFC 5321 §4.2.1). */
static int read_code(struct reply_parser *p, struct slice *head)
{
	struct slice s = *head;
	uint16_t code;

	if (s.size < 4 || !take_number(&s, &code) || head->size - s.size != 3 || code < 200 || code > 599)
		return ERR_SYNTAX;
	if (p->line_count > 0 && code != p->reply.code)
		return ERR_SYNTAX;
	p->reply.code = code;
	char separator = s.data[0];
	p->last = separator != '-';
	if (separator == ' ' || separator == '-')
		s = slice_from(s, 1);
	else if (separator != '\r' && separator != '\n')
		return ERR_SYNTAX;
	*head = s;
	return 0;
}

/* The head is whole. 1: so is the line; 0: text follows. */
static int read_head(struct reply_parser *p)
{
	struct slice head = slice_make(p->head, p->line_size);
	int error = read_code(p, &head);

	if (error != 0)
		return error;
	(void)take_status(&head, &p->reply);
	if (p->line_count > 0)
		add_text(p, '\n');
	p->stage = STAGE_TEXT;
	for (size_t i = 0; i < head.size; i++)
		if (text_byte(p, head.data[i]))
			return 1;
	return 0;
}

/* 1: the line is whole; 0: it is not. */
static int parse_byte(struct reply_parser *p, char c)
{
	if (p->line_size >= REPLY_LINE_MAX)
		return ERR_LIMIT;
	p->line_size++;
	if (p->stage != STAGE_HEAD)
		return text_byte(p, c);
	p->head[p->line_size - 1] = c;
	return c == '\n' || p->line_size == sizeof(p->head) ? read_head(p) : 0;
}

static void finish(struct reply_parser *p, struct reply *ret_reply)
{
	p->reply.text[p->text_size] = '\0';
	utf8_repair(p->reply.text, p->text_size);
	*ret_reply = p->reply;
	reply_parser_init(p);
}

int reply_parse(struct reply_parser *p, struct slice *input, struct reply *ret_reply)
{
	while (input->size > 0) {
		int result = parse_byte(p, input->data[0]);
		if (result < 0)
			return result;
		*input = slice_from(*input, 1);
		if (result == 0)
			continue;
		if (p->last) {
			finish(p, ret_reply);
			return 1;
		}
		p->line_count++;
		if (p->line_count >= REPLY_LINES_MAX)
			return ERR_LIMIT;
		p->line_size = 0;
		p->stage = STAGE_HEAD;
	}
	return 0;
}
