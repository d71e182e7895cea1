/* Plays written sessions against the client machine.
 *
 * A script is text, one event a line:
 *	S: 250 ok          the server says this line; lines in a row arrive together
 *	C: MAIL FROM:<>    the client must say this line next
 *	A: READY           step must return this action next; FAILED and DONE carry the outcomes behind them:
 *	A: FAILED replied banner 554 text
 *	A: DONE replied mail 550 text; accepted dot 250 text       (one for each recipient)
 *	T: 300             nothing happens for 300 s, and then the deadline is there
 *	W: 10              10 s pass, and the deadline is not there yet
 *	D: 300             the deadline is 300 s away; "D: never"
 *	X: begin WORDS     smtp_client_begin; WORDS: rcpt=N size=N 8bit utf8 full hdrs envid=X sender=X dsn
 *ask X: body TEXT       smtp_client_body with TEXT and CRLF (\0 in TEXT: nothing, not even CRLF) X: last TEXT
 *the same, and the last X: raw / rawlast   the same without CRLF X: body_failed, quit, tls_done, lost WORDS
 *	X: hold, X: take N, X: flow   the transport takes nothing; takes N bytes; takes all again
 *	# remark
 */
#ifndef TEST_SMTP_CLIENT_SCRIPT_H
#define TEST_SMTP_CLIENT_SCRIPT_H

#include "proto/smtp_client.h"

struct script {
	const char *name;
	const char *text;
	bool no_starttls, tls_required, no_chunking, no_pipelining;
};

/* The whole script must happen as written; then the same bytes and actions with the server's lines cut byte
 * by byte, and at every single place; then with each allocation failing. */
void script_check(const struct script *script);
void script_check_all(const struct script *scripts, size_t count);

#define SCRIPT_CHECK_ALL(scripts) script_check_all(scripts, sizeof(scripts) / sizeof((scripts)[0]))

#endif
