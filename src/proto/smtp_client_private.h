/* What the files of the client machine share. Nobody else includes this.
 *
 * One file for each phase of a session: greeting (banner, EHLO, HELO), starttls, mail (begin, RSET, MAIL and
 * the order of commands), rcpt, data (DATA, dot-stuffing, end of the message), bdat, quit.
 * smtp_client_common.c holds the queue of awaited replies and the ends of transactions and sessions,
 * smtp_client.c the public functions, step and time.
 *
 * Replies come in the order of the commands (RFC 5321 §4.1.1, RFC 2920 §3.1): each command that was put into
 * the output stands in `awaited` until its reply came, and a reply is given to the handler of the first
 * command there.
 */
#ifndef PROTO_SMTP_CLIENT_PRIVATE_H
#define PROTO_SMTP_CLIENT_PRIVATE_H

#include "base/buffer.h"
#include "proto/smtp_client.h"

enum {
	/* Unanswered commands of one session. RFC 2920 sets no limit; this keeps the replies that a server
	 * has to buffer (100 of 512 bytes) well inside any TCP window, so that no server can block on writing
	 * while we write. */
	CLIENT_WINDOW = 100,
	CLIENT_RING = 128,		  /* > CLIENT_WINDOW, a power of two */
	CLIENT_OUTPUT_BYTES = 256 * 1024, /* with so much unsent, no more of the body is asked for */
	CLIENT_EHLO_LINE_MAX = 512,	  /* of an EHLO line that is looked at (RFC 5321 §4.5.3.1.5) */
};

/* Commands whose reply is awaited. */
enum client_command {
	COMMAND_BANNER = 0, /* nothing was sent: the 220 of the connection */
	COMMAND_EHLO = 1,
	COMMAND_HELO = 2,
	COMMAND_STARTTLS = 3,
	COMMAND_RSET = 4,
	COMMAND_MAIL = 5,
	COMMAND_RCPT = 6,
	COMMAND_DATA = 7,
	COMMAND_BDAT = 8,      /* a chunk that is not the last */
	COMMAND_BDAT_LAST = 9, /* the last chunk: the server may have the message */
	COMMAND_DOT = 10,      /* the end of the body after DATA: likewise */
	COMMAND_EMPTY_DOT =
	    11, /* the end of an empty message, because 354 came though there was no recipient */
	COMMAND_QUIT = 12,
	COMMAND_COUNT = 13,
	COMMAND_NONE = 14,
};

enum session_state {
	SESSION_GREETING =
	    0, /* the reply to banner, EHLO, HELO or STARTTLS is awaited; no transaction was possible yet */
	SESSION_HANDSHAKE =
	    1, /* 220 to STARTTLS came; the owner does the handshake; nothing is said in between */
	SESSION_READY = 2,    /* greeted, between transactions; nothing is awaited */
	SESSION_ENVELOPE = 3, /* commands of a transaction are sent; not one byte of the message was */
	SESSION_BODY = 4,     /* the message is sent; its end was not put into the output */
	SESSION_END = 5, /* the end of the message is in the output or was sent; the verdict is awaited */
	SESSION_DRAIN =
	    6, /* a chunk was refused: every recipient has its outcome, replies to later chunks are awaited */
	SESSION_QUITTING = 7, /* QUIT was sent: any reply, the end of the connection or the deadline closes */
	SESSION_CLOSED = 8,   /* nothing more is sent or read */
};

/* What EHLO offered. */
struct client_offer {
	bool pipelining, size, eightbitmime, chunking, smtputf8, dsn, starttls;
	uint64_t size_limit;
};

/* Reads the lines of an EHLO reply beside the reply parser, which keeps only REPLY_TEXT_MAX bytes of text. */
struct client_ehlo_scan {
	struct client_offer offer;
	char line[CLIENT_EHLO_LINE_MAX];
	size_t size;
	uint32_t line_count;
};

struct smtp_client {
	struct smtp_client_config config;
	enum session_state state;
	struct buffer output;
	size_t held_bytes; /* of the output's end: the last chunk, kept back until all others were taken */
	struct reply_parser parser;
	bool reply_stray; /* the reply being parsed began when none was possible: the session ends with it */

	uint8_t awaited[CLIENT_RING];
	uint64_t awaited_end[CLIENT_RING]; /* bytes of the session's output up to the end of that command */
	uint64_t taken_bytes;		   /* of the session's output, by the transport */
	uint32_t awaited_first, awaited_count;
	int64_t timer_us; /* since when the first awaited reply, or progress in sending, is awaited */
	int64_t quit_deadline_us;

	struct client_ehlo_scan ehlo;
	struct client_offer offer;
	bool greeted, tls_active, starttls_offered, quit_wanted;
	struct reply banner;
	struct client_outcome failure;

	bool say_start_tls, say_done, say_failed, say_close,
	    say_ready; /* actions that step has yet to return */

	/* the transaction */
	struct smtp_client_transaction *transaction;
	bool rset_needed; /* the server still holds the envelope of a former transaction */
	bool mail_sent, mail_accepted, mail_refused, data_sent, empty_sent;
	uint32_t rcpt_sent, rcpt_replied, rcpt_accepted;
	bool chunking;	    /* this transaction uses BDAT */
	bool body_asked;    /* WANT_BODY was said and not yet answered */
	bool last_put;	    /* BDAT: the last chunk is in the output, perhaps held back */
	bool end_taken;	    /* the transport took all bytes of the message, its end included */
	uint64_t body_left; /* of size_bytes */
	char body_tail[2];  /* the last two bytes of the body so far: line starts and CRLF across pieces */
};

/* ---- smtp_client.c ---- */

int64_t client_after_ms(int64_t from_us, int64_t wait_ms);

/* ---- smtp_client_common.c ---- */

/* Puts one more command's reply behind the awaited ones. */
void client_await(struct smtp_client *c, enum client_command command, int64_t now_us);
enum client_command client_awaited(const struct smtp_client *c); /* the first; COMMAND_NONE */
enum client_command client_take_awaited(struct smtp_client *c);	 /* and removes it; there must be one */
/* Did the server see a whole command whose reply is awaited? If not, what it says is no reply to anything. */
bool client_reply_possible(const struct smtp_client *c);
/* May a command be put into the output now? Only after all replies without PIPELINING, else within the
 * window. */
bool client_has_room(const struct smtp_client *c);
const char *client_command_name(enum client_command command);

/* Ends the session: what is pending in a transaction gets this outcome, the output is dropped. */
void client_fail(struct smtp_client *c, const struct client_outcome *outcome, int64_t now_us);
void client_fail_reply(struct smtp_client *c, const struct reply *reply,
		       int64_t now_us); /* REPLIED at the present stage */
void client_fail_words(struct smtp_client *c, enum client_end end, int64_t now_us, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void client_fail_memory(struct smtp_client *c, int64_t now_us);
/* The server gave a reply that cannot be to this command. */
void client_fail_garbage(struct smtp_client *c, enum client_command to, enum client_stage stage,
			 const struct reply *reply, int64_t now_us);
void client_not_smtp(struct smtp_client *c, int error, int64_t now_us); /* of reply_parse */
void client_words(struct client_outcome *outcome, enum client_end end, enum client_stage stage,
		  const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Gives every pending recipient this outcome. */
void client_settle(struct smtp_client *c, enum client_end end, enum client_stage stage,
		   const struct reply *reply);
void client_transaction_over(struct smtp_client *c,
			     int64_t now_us); /* every recipient has its outcome: DONE */
/* The same, and no reply is awaited: DONE, then READY. */
void client_finish(struct smtp_client *c, int64_t now_us);
void client_become_ready(struct smtp_client *c, int64_t now_us); /* or QUIT, if that was asked for */

static inline bool reply_refuses(const struct reply *reply) /* 4yz, 5yz */
{
	return reply_transient(reply) || reply_permanent(reply);
}

static inline bool reply_intermediate(const struct reply *reply) /* 3yz */
{
	return reply->code >= 300 && reply->code < 400;
}

/* ---- smtp_client_greeting.c ---- */
void client_banner_reply(struct smtp_client *c, const struct reply *reply, int64_t now_us);
void client_ehlo_reply(struct smtp_client *c, const struct reply *reply, int64_t now_us);
void client_helo_reply(struct smtp_client *c, const struct reply *reply, int64_t now_us);
void client_ehlo_send(struct smtp_client *c, int64_t now_us);
void client_ehlo_scan(struct client_ehlo_scan *scan,
		      struct slice bytes); /* bytes of the reply, in any pieces */

/* ---- smtp_client_starttls.c ---- */
/* After EHLO or HELO in plain text: STARTTLS, or READY, or failure where it is required. */
void client_starttls_decide(struct smtp_client *c, int64_t now_us);
void client_starttls_reply(struct smtp_client *c, const struct reply *reply, int64_t now_us);

/* ---- smtp_client_mail.c ---- */
/* Sends what can be sent of the envelope, and goes on to the body, or ends the transaction, once all is
 * answered. */
void client_envelope_push(struct smtp_client *c, int64_t now_us);
void client_rset_reply(struct smtp_client *c, const struct reply *reply, int64_t now_us);
void client_mail_reply(struct smtp_client *c, const struct reply *reply, int64_t now_us);

/* ---- smtp_client_rcpt.c ---- */
nodiscard int client_rcpt_send(struct smtp_client *c, int64_t now_us);
void client_rcpt_reply(struct smtp_client *c, const struct reply *reply, int64_t now_us);
bool client_rcpt_sendable(const struct smtp_client_recipient *r);
/* No control bytes: it cannot break out of a command line. */
bool client_path_sendable(struct slice path);
bool client_xtext_sendable(struct slice text); /* nor blanks */

/* ---- smtp_client_data.c ---- */
nodiscard int client_data_send(struct smtp_client *c, int64_t now_us);
nodiscard int client_data_body(struct smtp_client *c, struct slice bytes, bool last, int64_t now_us);
void client_data_reply(struct smtp_client *c, const struct reply *reply, int64_t now_us);
void client_end_reply(struct smtp_client *c, const struct reply *reply,
		      int64_t now_us); /* to DOT and BDAT LAST */
void client_empty_dot_reply(struct smtp_client *c, const struct reply *reply, int64_t now_us);
bool client_wants_body(const struct smtp_client *c);

/* ---- smtp_client_bdat.c ---- */
nodiscard int client_bdat_body(struct smtp_client *c, struct slice bytes, bool last, int64_t now_us);
void client_bdat_reply(struct smtp_client *c, const struct reply *reply, int64_t now_us);

/* ---- smtp_client_quit.c ---- */
void client_quit_send(struct smtp_client *c, int64_t now_us);
void client_quit_reply(struct smtp_client *c, const struct reply *reply, int64_t now_us);
/* As client_fail, with a QUIT: the server is in step with us and may be told. */
void client_fail_politely(struct smtp_client *c, const struct client_outcome *outcome, int64_t now_us);
void client_close(struct smtp_client *c);

#endif
