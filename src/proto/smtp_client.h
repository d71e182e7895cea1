/* SMTP client session: the machine that talks to the customer's server (RFC 5321 and extensions).
 *
 * Pure: bytes and time in; actions, output and a deadline out.
 *
 * One connection, many transactions one after the other. The owner begins a transaction when the machine is
 * READY; the machine sends MAIL, RCPT ... and, where the server offers PIPELINING, DATA in one burst; the
 * body with CHUNKING as BDAT LAST chunks, else dot-stuffed after DATA; and reports one outcome for each
 * recipient. The next transaction begins only when the owner says so, which he does after the results are
 * committed.
 *
 * Used only if offered: PIPELINING, SIZE, 8BITMIME, CHUNKING, SMTPUTF8, DSN, STARTTLS. 8-bit bodies are sent
 * unchanged to a server without 8BITMIME (converting would break DKIM); a message with SMTPUTF8 to a server
 * without it is not sent (outcome CLIENT_STAGE_FEATURE). BINARYMIME is never used.
 *
 * The owner's loop: smtp_client_step(c, &input, now) again and again until it returns WAIT, doing what each
 * action asks for; then write smtp_client_output and call smtp_client_sent at once for what the transport
 * took (a reply to bytes that were not taken is no reply), and step again after that, since room in the
 * output may let more of the body be asked for; then wait for bytes, for the body, or for
 * smtp_client_deadline (then step with no input). Give the transport no more than it can send soon: what
 * stays in the output is what holds the body back, and progress in sending is timed by smtp_client_sent. All
 * bytes that came before the end of a connection go to step before smtp_client_connection_lost: the 250 may
 * be among them.
 *
 * What goes wrong on our side (no memory, a stored message that cannot be read or has the wrong size) is
 * reported as LOST, with our own words: before the end of a message it was not delivered, at CLIENT_STAGE_DOT
 * it is unknown as ever.
 *
 * Timeouts: RFC 5321 §4.5.3.2 by default.
 */
#ifndef PROTO_SMTP_CLIENT_H
#define PROTO_SMTP_CLIENT_H

#include "base/arena.h"
#include "proto/reply.h"

/* How far a session or transaction had come when its verdict was spoken. */
enum client_stage {
	CLIENT_STAGE_CONNECT = 0, /* no connection */
	CLIENT_STAGE_BANNER = 1,  /* connected, the 220 was awaited */
	CLIENT_STAGE_EHLO = 2,	  /* EHLO, or HELO after it was refused */
	CLIENT_STAGE_TLS = 3,	  /* STARTTLS command, handshake, EHLO after it */
	CLIENT_STAGE_MAIL = 4,
	CLIENT_STAGE_RCPT = 5,
	CLIENT_STAGE_DATA = 6, /* DATA command; the server has no message */
	CLIENT_STAGE_BODY =
	    7, /* body bytes were being sent, the end was not: the server has no whole message */
	CLIENT_STAGE_DOT = 8, /* the end was sent: the server may have the message, whatever happens now */
	CLIENT_STAGE_FEATURE =
	    9, /* not tried: the server lacks an extension that the message needs, or SIZE is too small */
};

const char *client_stage_name(enum client_stage stage); /* "connect", "banner", ... */

/* How a recipient fared. */
enum client_end {
	CLIENT_PENDING = 0,  /* nothing is known yet */
	CLIENT_ACCEPTED = 1, /* 2yz to the dot: the server has taken the responsibility (to RCPT: see ask) */
	CLIENT_REPLIED = 2,  /* a 4yz or 5yz reply at `stage`: at MAIL it is said to all recipients; 421 ends
				the session too */
	CLIENT_TIMEOUT = 3,  /* no reply within the time */
	CLIENT_LOST = 4,     /* the connection ended: closed, reset */
	CLIENT_GARBAGE =
	    5, /* the server said something that is not SMTP, or a reply that cannot be (3yz to RCPT) */
	CLIENT_NOT_TRIED = 6, /* the transaction did not come to it (feature missing, size too large) */
};

struct client_outcome {
	enum client_end end;
	enum client_stage stage;
	struct reply reply; /* for REPLIED and ACCEPTED; otherwise code 0 and our own words in text */
};

struct smtp_client_config {
	const char *hostname; /* in EHLO; outlives the session */
	bool starttls;	      /* use it where offered (opportunistic) */
	bool starttls_required;
	bool chunking, pipelining;  /* use them where offered; default true */
	int64_t banner_timeout_ms;  /* 5 min */
	int64_t command_timeout_ms; /* EHLO, MAIL, RCPT, RSET: 5 min */
	int64_t data_timeout_ms;    /* DATA -> 354: 2 min */
	int64_t block_timeout_ms;   /* no progress in sending the body: 3 min */
	int64_t dot_timeout_ms;	    /* 10 min */
	int64_t quit_timeout_ms;    /* 5 s: a courtesy */
};

void smtp_client_config_defaults(struct smtp_client_config *config, const char *hostname);

struct smtp_client_recipient {
	struct slice forward_path;
	struct slice orcpt; /* or empty */
	bool notify_given, notify_never, notify_success, notify_failure, notify_delay;
	struct client_outcome outcome; /* set by the machine */
};

struct smtp_client_transaction {
	struct slice reverse_path;
	struct slice envid;  /* or empty */
	uint64_t size_bytes; /* exact: of all that will be given to smtp_client_body, before dot-stuffing */
	bool body_8bitmime, smtputf8, ret_full, ret_hdrs;
	/* Only asks whether the recipients would be taken: MAIL and RCPT, no DATA. Those the server takes are
	 * ACCEPTED at CLIENT_STAGE_RCPT; RSET goes before the next transaction. size_bytes is 0. */
	bool ask;
	uint32_t recipient_count;
	struct smtp_client_recipient *recipients; /* the owner's; must live until DONE or FAILED */
	/* set by the machine, microseconds of the owner's clock, 0: not reached */
	int64_t mail_sent_us, mail_reply_us, dot_sent_us, done_us;
	struct reply mail_reply; /* code 0 until it came */
};

enum smtp_client_action {
	SMTP_CLIENT_WAIT = 0, /* more bytes, the owner, or the deadline is awaited */
	/* 220 to STARTTLS came: start the handshake, then call smtp_client_tls_done. */
	SMTP_CLIENT_START_TLS = 1,
	/* Greeted: a transaction may be begun, or smtp_client_quit. Said once after the greeting and after
	 * each DONE with a reusable connection. */
	SMTP_CLIENT_READY = 2,
	/* Give more of the body with smtp_client_body (any size; the machine asks again while it wants more).
	 * Said once for each piece: until the answer, step returns WAIT. DONE withdraws the question (the
	 * server refused meanwhile). */
	SMTP_CLIENT_WANT_BODY = 3,
	/* The transaction is over, every recipient has an outcome other than PENDING. READY follows if the
	 * connection can be used again, FAILED or CLOSE if not. */
	SMTP_CLIENT_DONE = 4,
	/* The session is of no more use: smtp_client_failure says at which stage and why. A transaction that
	 * was under way has its outcomes (DONE came before). CLOSE follows. */
	SMTP_CLIENT_FAILED = 5,
	/* Send the output, then close. */
	SMTP_CLIENT_CLOSE = 6,
};

struct smtp_client;

/* As if just connected: the banner is awaited. NULL: no memory. */
nodiscard struct smtp_client *smtp_client_new(const struct smtp_client_config *config, int64_t now_us);
void smtp_client_free(struct smtp_client *c);

enum smtp_client_action smtp_client_step(struct smtp_client *c, struct slice *input, int64_t now_us);
/* READY only. t is the owner's and is kept until DONE. Step afterwards. In a session that has just ended,
 * every outcome is LOST at CLIENT_STAGE_MAIL. */
void smtp_client_begin(struct smtp_client *c, struct smtp_client_transaction *t, int64_t now_us);
/* WANT_BODY only; bytes are encoded into the output. last: nothing follows. ERR_MEMORY: the session fails.
 * ERR_STATE: it was not asked for, or the question was withdrawn; nothing happened.
 * The total must be exactly size_bytes: anything else ends the connection before the dot (the stored bytes
 * are damaged: a cut message must never be completed). */
nodiscard int smtp_client_body(struct smtp_client *c, struct slice bytes, bool last, int64_t now_us);
/* The body cannot be had (read error): the connection is dropped before the end of the message. */
void smtp_client_body_failed(struct smtp_client *c, int64_t now_us);
void smtp_client_tls_done(struct smtp_client *c, int64_t now_us);
/* Ends politely: at once when READY, before that at the next reply, in a transaction after DONE. CLOSE
 * follows, within quit_timeout_ms when no transaction is under way. */
void smtp_client_quit(struct smtp_client *c, int64_t now_us);
/* The connection ended; the text says how, in our words ("reset by peer"). Then step until CLOSE. */
void smtp_client_connection_lost(struct smtp_client *c, const char *how, int64_t now_us);

/* Of FAILED. Between transactions the stage is CLIENT_STAGE_MAIL (a server may end an idle session: 421 or
 * LOST). */
const struct client_outcome *smtp_client_failure(const struct smtp_client *c);
struct slice smtp_client_banner(const struct smtp_client *c); /* text of the 220 */
bool smtp_client_greeted(const struct smtp_client *c);	      /* READY was reached once */
uint64_t smtp_client_size_limit(const struct smtp_client *c); /* SIZE of EHLO; 0: none given */
bool smtp_client_offers_starttls(const struct smtp_client *c);
bool smtp_client_offers_smtputf8(const struct smtp_client *c);
bool smtp_client_offers_dsn(const struct smtp_client *c); /* in any EHLO of this session */

struct slice smtp_client_output(const struct smtp_client *c);
void smtp_client_sent(struct smtp_client *c, size_t size, int64_t now_us);
int64_t smtp_client_deadline(const struct smtp_client *c);

#endif
