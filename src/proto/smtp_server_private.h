/* Inside of the SMTP server machine: its state, and what the files of the verbs use of each other.
 */
#ifndef PROTO_SMTP_SERVER_PRIVATE_H
#define PROTO_SMTP_SERVER_PRIVATE_H

#include "base/buffer.h"
#include "proto/body_reader.h"
#include "proto/smtp_server.h"

enum {
	SERVER_OUTPUT_MAX = 1024 * 1024, /* replies that wait for the client; an owner who reads on while they
					    are not taken ends the session */
	SERVER_RATE_GRACE_MS = 60 * 1000, /* of a body, before its rate is judged */
	SERVER_ENVID_MAX = 100,		  /* RFC 3461 §4.4 */
	SERVER_ORCPT_MAX = 500,		  /* RFC 3461 §4.2 */
};

/* What the next bytes are. */
enum server_phase {
	SERVER_COMMAND = 0, /* of a command line */
	SERVER_DATA = 1,    /* of a message after DATA: the owner has agreed, 354 was written */
	SERVER_CHUNK =
	    2, /* of a BDAT chunk: its message is received, or `refusal` says why it is swallowed */
	SERVER_CLOSING = 3, /* of no interest: the last reply is in the output, or the client is gone */
};

/* What the owner was asked, or will be by action_due. */
enum server_question {
	SERVER_NOTHING = 0,
	SERVER_ASKED_MAIL = 1,	 /* the envelope holds the sender; not yet a transaction */
	SERVER_ASKED_RCPT = 2,	 /* `pending` is not yet in the envelope */
	SERVER_ASKED_BEGIN = 3,	 /* nothing of the body was read */
	SERVER_ASKED_COMMIT = 4, /* all of the body was given */
	SERVER_ASKED_TLS = 5,	 /* 220 was written */
};

struct smtp_server {
	struct smtp_server_config config;
	struct buffer output;
	size_t banner_left; /* bytes of the banner that were not taken yet */
	bool banner_begun;  /* some of it was taken */
	enum server_phase phase;
	enum server_question question;
	enum smtp_server_action action_due; /* said at the next step; WAIT: none */
	bool abort_due;			    /* ABORT is said before it */
	bool gone, shutting_down, tls_active;

	bool greeted, extended; /* HELO or EHLO came; it was EHLO */
	char helo[ADDRESS_DOMAIN_MAX + 1];
	size_t helo_size;

	char line[SMTP_SERVER_COMMAND_MAX];
	size_t line_size;
	bool line_cr;	   /* the last byte was a CR, which is not in line */
	bool line_refused; /* was answered already; the rest of it is skipped */
	struct slice etrn; /* into line */

	/* the transaction: from a MAIL that was taken until its end */
	struct arena arena;
	struct smtp_server_transaction transaction;
	struct smtp_server_recipient *pending, *last_recipient;
	bool mail_given, rcpt_refused; /* some RCPT was refused */
	bool begun;		       /* BEGIN was answered yes, neither COMMIT nor ABORT followed */
	bool chunked;		       /* its body comes by BDAT */
	bool chunks_refused;	       /* BDATs that follow a refused one were sent before the client knew */

	struct body_reader reader;
	struct slice body;
	struct reply refusal; /* of the body that is being read; code 0: none */
	uint64_t chunk_left;
	bool chunk_last;
	uint64_t chunk_bytes;

	uint32_t transaction_count, error_count, idle_count, refused_recipient_count;
	int64_t session_since_us, command_since_us; /* connected; waiting for the present command */
	int64_t body_since_us, body_seen_us;	    /* of DATA or of one chunk: began; last bytes came */
	uint64_t body_bytes;			    /* since then, as they came */
};

/* --- smtp_server.c --- */

/* Appends a reply. If it cannot be written the session closes without it. */
void smtp_server_write(struct smtp_server *s, const struct reply *reply);
/* The same, of a reply that the owner gave: 421 closes. */
void smtp_server_write_given(struct smtp_server *s, const struct reply *reply);
void smtp_server_reply(struct smtp_server *s, uint16_t code, const char *status, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* A reply to a bad command: 421 instead when errors_max was reached. */
void smtp_server_error(struct smtp_server *s, uint16_t code, const char *status, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* 421 and close. */
void smtp_server_hang_up(struct smtp_server *s, const char *status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Nothing is said any more. A message that was begun is aborted. */
void smtp_server_close(struct smtp_server *s);
/* False: too many, and 421 was said. */
bool smtp_server_count_error(struct smtp_server *s);
bool smtp_server_count_idle(struct smtp_server *s);
void smtp_server_ask(struct smtp_server *s, enum server_question question, enum smtp_server_action action);
/* Forgets the transaction; a message that was begun is aborted. */
void smtp_server_reset(struct smtp_server *s);

/* --- smtp_server_command.c --- */

/* Reads on in the phase COMMAND and obeys one command. False: the input is used up. */
bool smtp_server_take_command(struct smtp_server *s, struct slice *input, int64_t now_us);

/* --- smtp_server_params.c --- */

/* Parses what follows the path of MAIL or RCPT into t or r. False: it was answered. */
bool smtp_server_mail_params(struct smtp_server *s, struct slice text, struct smtp_server_transaction *t);
bool smtp_server_rcpt_params(struct smtp_server *s, struct slice text, struct smtp_server_recipient *r);

/* --- smtp_server_data.c --- */

/* Gets ready for a message. */
void smtp_server_body_begin(struct smtp_server *s, bool dots);
/* Body bytes will be awaited from now on. */
void smtp_server_body_await(struct smtp_server *s, int64_t now_us);
/* The message being received will be refused like this: abort now, say it later. */
void smtp_server_body_refuse(struct smtp_server *s, uint16_t code, const char *status, const char *format,
			     ...) __attribute__((format(printf, 4, 5)));
/* Notes what the reader found, other than MORE and END. */
void smtp_server_body_found(struct smtp_server *s, enum body_result result, struct slice piece);
bool smtp_server_take_data(struct smtp_server *s, struct slice *input, int64_t now_us);

/* --- smtp_server_bdat.c --- */

bool smtp_server_take_chunk(struct smtp_server *s, struct slice *input, int64_t now_us);

/* --- one file for each verb: the command (arguments without blanks around them), and the answer to its
 * question ----- */

typedef void smtp_server_verb(struct smtp_server *s, struct slice arguments, int64_t now_us);

smtp_server_verb smtp_server_do_ehlo, smtp_server_do_helo, smtp_server_do_mail, smtp_server_do_rcpt,
    smtp_server_do_data, smtp_server_do_bdat, smtp_server_do_rset, smtp_server_do_noop, smtp_server_do_vrfy,
    smtp_server_do_help, smtp_server_do_quit, smtp_server_do_starttls, smtp_server_do_etrn;

typedef void smtp_server_answered(struct smtp_server *s, const struct reply *reply, int64_t now_us);

smtp_server_answered smtp_server_mail_answered, smtp_server_rcpt_answered, smtp_server_begin_answered,
    smtp_server_data_begun, smtp_server_bdat_begun, smtp_server_commit_answered;

#endif
