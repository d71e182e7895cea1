/* SMTP server session: the machine that talks to the sender (RFC 5321 and extensions).
 *
 * Pure: bytes and time in; actions, output and a deadline out. It calls nothing, reads no clock, does no I/O.
 *
 * The owner's loop:
 *	smtp_server_step(s, &input, now) again and again until it returns SMTP_SERVER_WAIT (it takes bytes off
 *input), doing what each action asks for; then writes smtp_server_output; then waits for bytes, for the
 *answer to a question, or for smtp_server_deadline. While a question is open (CHECK_*, BEGIN, COMMIT,
 *START_TLS) step takes no bytes and returns WAIT. There is at most one. A slow owner therefore pushes back to
 *the client through TCP.
 *
 * Offered in EHLO: PIPELINING (RFC 2920), SIZE (1870), 8BITMIME (6152), ENHANCEDSTATUSCODES (2034), CHUNKING
 *(3030), DSN (3461), SMTPUTF8 (6531), STARTTLS (3207) and ETRN (1985) as the configuration says.
 *
 * Line ends: commands and DATA lines end with CRLF only. A bare CR or LF inside DATA refuses the message at
 *its end (550 5.6.11 after the whole has been read), and only CRLF.CRLF ends it: there is no reading of the
 *bytes under which part of a message becomes a command (SMTP smuggling, CVE-2023-51764 and kin). With
 *normalise_line_ends, a bare LF or CR in DATA is turned into CRLF instead, and still never ends the message.
 *BDAT bodies are binary-safe in framing; bare CR or LF in them is refused likewise (the next hop may need
 *DATA).
 *
 * Limits are in smtp_server_config. A client over a limit gets a named reply; one that is past bearing is
 *closed with 421.
 */
#ifndef PROTO_SMTP_SERVER_H
#define PROTO_SMTP_SERVER_H

#include "base/arena.h"
#include "proto/address.h"
#include "proto/reply.h"

enum {
	SMTP_SERVER_COMMAND_MAX =
	    2048, /* bytes of a command line with CRLF (512 by RFC 5321 §4.5.3.1.4, more for
		     parameters: MAIL +  SIZE, BODY, RET, ENVID, SMTPUTF8; RCPT + ORCPT 500) */
	SMTP_SERVER_ARENA_MAX =
	    2 * 1024 * 1024, /* bytes of one transaction's envelope: 1000 recipients with ORCPT fit */
};

struct smtp_server_config {
	const char *hostname;	    /* in banner, EHLO and 221; outlives the session */
	const char *mark;	    /* the last word of the banner, or NULL; outlives the session */
	uint64_t message_bytes_max; /* SIZE; default 100 MiB; 0: none */
	uint32_t recipients_max;    /* per transaction, then 452 4.5.3; default 1000 (RFC minimum is 100) */
	uint32_t transactions_max;  /* per session, then 421; default 10000 */
	uint32_t errors_max;	    /* bad commands per session, then 421; default 20 */
	uint32_t idle_commands_max; /* commands without a message between (RSET, NOOP, VRFY, EHLO ...), then
				       421; 200 */
	uint32_t
	    refused_recipients_max; /* 5yz to RCPT per session, then 421; default 100: dictionary attacks */
	uint64_t line_bytes_max; /* of a line of the body without its end; default 1 MiB: beyond, the message
				    is refused (552) */
	uint32_t received_max; /* Received fields: the owner counts (header.h); default 100 (RFC 5321 §6.3) */
	int64_t command_timeout_ms; /* RFC 5321 §4.5.3.2.7: 5 min */
	int64_t data_timeout_ms;    /* between two arrivals of body bytes: 3 min (§4.5.3.2.5) */
	int64_t session_timeout_ms; /* whole session: 1 h, so that one byte a second does not last for ever */
	uint64_t
	    data_bytes_per_s_min; /* after the first minute of a body (or chunk), below it the session is
				     closed; default 50; 0: any rate. Counted by the clock: an owner who holds
				     back reading for minutes does not call step at the deadline meanwhile */
	bool offer_starttls, offer_chunking, offer_dsn, offer_smtputf8,
	    offer_etrn; /* default: chunking and etrn */
	bool normalise_line_ends;
	bool early_talker_refused; /* bytes before the banner: 554 and close; default true */
};

void smtp_server_config_defaults(struct smtp_server_config *config, const char *hostname);

enum smtp_server_action {
	/* Nothing to do: more bytes, an answer or the deadline is awaited. */
	SMTP_SERVER_WAIT = 0,
	/* MAIL was parsed. Answer with smtp_server_answer: 2yz takes it, else it is refused with this reply.
	 */
	SMTP_SERVER_CHECK_MAIL = 1,
	/* RCPT was parsed; smtp_server_recipient tells which. Answer likewise. */
	SMTP_SERVER_CHECK_RCPT = 2,
	/* DATA or the first BDAT came, with >= 1 recipient: prepare to receive. Answer: 354 (or any 2yz/3yz)
	 * to go on, else the refusal: DATA is refused with it; for BDAT the chunks are swallowed first, then
	 * refused. A refusal ends the transaction. */
	SMTP_SERVER_BEGIN = 3,
	/* Bytes of the message: smtp_server_body. Line ends are CRLF, dots are unstuffed, the final dot is
	   not part of it. */
	SMTP_SERVER_BODY = 4,
	/* The message is whole and well formed. Answer with the final reply, once durable. From here until
	 * the answer the transaction is the owner's even if the client leaves. */
	SMTP_SERVER_COMMIT = 5,
	/* The message that was begun will not be committed (RSET, bad content, over a limit, client gone):
	 * drop it. Also said when the client goes while BEGIN is open: the owner may be preparing; its answer
	 * will be ignored. */
	SMTP_SERVER_ABORT = 6,
	/* STARTTLS: the 220 is in the output. Send it, start the handshake, drop all bytes that came before
	 * it, then call smtp_server_tls_started. */
	SMTP_SERVER_START_TLS = 7,
	/* ETRN for a domain: smtp_server_etrn. A hint, already answered (same reply for every domain). */
	SMTP_SERVER_ETRN = 8,
	/* Send the output, then close. Nothing follows. */
	SMTP_SERVER_CLOSE = 9,
};

struct smtp_server_recipient {
	struct slice forward_path; /* without <>, without source route */
	struct slice domain;	   /* of it; empty for the bare <postmaster> */
	struct slice orcpt;	   /* "rfc822;..." as given, still xtext, or empty */
	bool notify_given, notify_never, notify_success, notify_failure, notify_delay;
	struct smtp_server_recipient *next; /* accepted ones, in order */
};

struct smtp_server_transaction {
	struct slice reverse_path; /* empty: null */
	uint64_t size_bytes;	   /* SIZE=, 0 when not given */
	bool body_8bitmime, smtputf8, ret_full, ret_hdrs;
	struct slice envid;	  /* still xtext, or empty */
	uint32_t recipient_count; /* accepted */
	struct smtp_server_recipient *recipients;
};

struct smtp_server;

/* The banner is in the output at once. NULL: no memory. config is copied (hostname is not). */
nodiscard struct smtp_server *smtp_server_new(const struct smtp_server_config *config, bool tls_active,
					      int64_t now_us);
void smtp_server_free(struct smtp_server *s);

enum smtp_server_action smtp_server_step(struct smtp_server *s, struct slice *input, int64_t now_us);
/* To the open question. The reply is sent as given; a 421 closes the session behind it. */
void smtp_server_answer(struct smtp_server *s, const struct reply *reply, int64_t now_us);
void smtp_server_tls_started(struct smtp_server *s,
			     int64_t now_us); /* handshake complete: state is as after connect */
/* The client is gone. The next step gives ABORT if a message was begun and not handed to COMMIT, then CLOSE.
 * With a COMMIT question open the answer is still awaited (and goes nowhere). Answers to other questions are
 * no longer needed, and are ignored if they come. */
void smtp_server_client_gone(struct smtp_server *s);
/* The daemon is shutting down: 421 4.3.2 at the next command boundary; a message that is being received is
 * finished. */
void smtp_server_shut_down(struct smtp_server *s);

/* Takes a whole RCPT command off the front of input that the machine has not taken yet: what a pipelining
 * client will ask for next. Nothing is decided by that. False: something else stands there, or no whole line,
 * or an address that is not in ASCII. *ret_mailbox points into the input. */
bool smtp_server_peek_rcpt(struct slice *input, struct mailbox *ret_mailbox);

const struct smtp_server_transaction *smtp_server_transaction(const struct smtp_server *s);
const struct smtp_server_recipient *smtp_server_recipient(const struct smtp_server *s); /* of CHECK_RCPT */
struct slice smtp_server_body(const struct smtp_server *s); /* of BODY; valid until the next step */
struct slice smtp_server_etrn(const struct smtp_server *s); /* of ETRN: the domain, without @ or # prefix */
struct slice smtp_server_helo(const struct smtp_server *s); /* name the client gave, or empty */
/* "SMTP", "ESMTP", "ESMTPS", "UTF8SMTP", "UTF8SMTPS": the with clause of Received (RFC 3848, RFC 6531 §4.3).
 */
const char *smtp_server_protocol(const struct smtp_server *s);

struct slice smtp_server_output(const struct smtp_server *s);
void smtp_server_sent(struct smtp_server *s, size_t size); /* that many bytes of the output were taken */
/* Microseconds; call step then, with no input. INT64_MAX: none (the owner has a question to answer); 0: at
 * once. */
int64_t smtp_server_deadline(const struct smtp_server *s);

#endif
