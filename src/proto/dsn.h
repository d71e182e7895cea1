/* Delivery status notifications (RFC 3461, RFC 3464, in the form of RFC 6522; RFC 6533 for addresses that are
 * not ASCII): the bytes before and behind the returned message. Pure.
 *
 * Rules that the caller keeps: the notification has the null reverse-path, there is none for a message that
 * came with the null reverse-path, and none for a recipient with NOTIFY=NEVER. Delays are never told.
 */
#ifndef PROTO_DSN_H
#define PROTO_DSN_H

#include "base/buffer.h"

enum dsn_action {
	DSN_FAILED = 0,
	DSN_DELIVERED = 1,
	DSN_RELAYED = 2, /* to a server that knows no DSN (RFC 3461 §5.2.2) */
};

struct dsn_recipient {
	struct slice address;	 /* forward-path, without <> */
	struct slice orcpt;	 /* "rfc822;..." as it was given, in xtext; or empty */
	struct slice remote;	 /* host that spoke, or empty: nobody was reached */
	struct slice diagnostic; /* its reply on one line, "550 5.1.1 no such user", or empty */
	const char *status;	 /* "5.1.1" */
	enum dsn_action action;
	int64_t last_attempt_ms; /* wall clock; 0: never tried */
};

struct dsn {
	const char *hostname;	/* who reports; an ASCII domain name */
	const char *message_id; /* of the notification, without <>; unique */
	const char *boundary;	/* not to be guessed: letters and digits, at most 60 */
	const char
	    *words; /* for people: whole lines of ASCII with CRLF, what happened and what is to be done */
	struct slice to;    /* reverse-path of the message; never empty */
	struct slice envid; /* in xtext, or empty */
	int64_t date_ms, arrival_ms;
	bool utf8;  /* the message came with SMTPUTF8: written as RFC 6533 says, and needs SMTPUTF8 itself */
	bool full;  /* RET=FULL: the whole message follows, else only its header */
	bool eight; /* what follows is not only ASCII: the notification needs 8BITMIME */
	const struct dsn_recipient *recipients;
	size_t recipient_count;
};

/* Header, text, report, and the head of the returned part. Behind it comes the message (CRLF line ends) or
 * its header, as dsn->full says, then dsn_write_end. Bytes of strangers that could break a field are replaced
 * by
 * '?'. ERR_MEMORY, ERR_LIMIT: nothing was appended. */
nodiscard int dsn_write_begin(const struct dsn *dsn, struct buffer *to);
nodiscard int dsn_write_end(const struct dsn *dsn, struct buffer *to);

#endif
