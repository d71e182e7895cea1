/* SMTP replies (RFC 5321 §4.2) with enhanced status codes (RFC 2034, RFC 3463).
 */
#ifndef PROTO_REPLY_H
#define PROTO_REPLY_H

#include <stdarg.h>

#include "base/buffer.h"

enum {
	REPLY_TEXT_MAX = 512,  /* kept of a peer's reply; the rest of a long one is dropped */
	REPLY_LINE_MAX = 4096, /* bytes of one line that we put up with (RFC says 512) */
	REPLY_LINES_MAX = 200, /* lines of one reply that we put up with */
};

struct reply {
	uint16_t code;			 /* 200..599 */
	uint16_t class, subject, detail; /* enhanced status code; class 0: none; the others 0..999 */
	char text[REPLY_TEXT_MAX + 1]; /* without codes; lines joined by "\n"; terminated; well-formed UTF-8;
					  control bytes are '?' */
};

/* Builds one of ours. status is "2.1.5" or NULL for none; the text is cut at REPLY_TEXT_MAX. */
void reply_set(struct reply *reply, uint16_t code, const char *status, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void reply_set_v(struct reply *reply, uint16_t code, const char *status, const char *format,
		 va_list arguments) __attribute__((format(printf, 4, 0)));

/* Appends the wire form, "250-2.1.5 a\r\n250 2.1.5 b\r\n" for text "a\nb"; the enhanced code is left out when
 * with_status is false. A line that would be longer than RFC 5321 §4.5.3.1.5 allows is continued on the next.
 * ERR_MEMORY, ERR_LIMIT: nothing was appended. */
nodiscard int reply_write(const struct reply *reply, bool with_status, struct buffer *to);

/* "550 5.1.1 text" on one line (newlines become "; "), cut at size - 1, terminated. Returns the length. */
size_t reply_format(const struct reply *reply, char *ret_text, size_t size);

/* "5.1.1" of the reply, or "5.0.0" made from the code when it has none. For log and records. */
void reply_status(const struct reply *reply, char ret_text[16]);

static inline bool reply_positive(const struct reply *reply) /* 2yz */
{
	return reply->code >= 200 && reply->code < 300;
}

static inline bool reply_transient(const struct reply *reply) /* 4yz */
{
	return reply->code >= 400 && reply->code < 500;
}

static inline bool reply_permanent(const struct reply *reply) /* 5yz */
{
	return reply->code >= 500;
}

/* Incremental parser of a peer's replies. Lines may end with LF alone (Postel; replies cannot be smuggled
 * past us, since each one answers one command). */
struct reply_parser {
	struct reply reply; /* being assembled */
	size_t text_size;
	size_t line_size;
	uint32_t line_count;
	char head[16]; /* the first bytes of the line, until code and enhanced code are known */
	uint8_t stage;
	bool last; /* the line ends the reply */
};

void reply_parser_init(struct reply_parser *parser);

/* Takes bytes off the front of *input until one reply is whole. 1: *ret_reply was set; 0: needs more (all of
 * *input was taken); ERR_SYNTAX: this is not SMTP; ERR_LIMIT: too many lines or a line too long. */
nodiscard int reply_parse(struct reply_parser *parser, struct slice *input, struct reply *ret_reply);

#endif
