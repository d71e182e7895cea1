/* Why, in words for people: one of these stands in every row of the verdict table.
 *
 * The name ("mailbox-full") is for logs, records and programs and does not change; the words are a whole
 * sentence ("the server says that the mailbox is full"). The numbers may be stored: they do not change
 * either, new ones are added at the end of their group.
 */
#ifndef LANE_VERDICT_REASON_H
#define LANE_VERDICT_REASON_H

#include <stdbool.h>

#include "base/slice.h"

enum verdict_reason {
	REASON_NONE = 0,
	REASON_ACCEPTED = 1,

	/* host */
	REASON_CONNECTION_REFUSED = 10,
	REASON_NO_ANSWER = 11, /* to a connect or a command */
	REASON_CONNECTION_LOST = 12,
	REASON_TLS_FAILED = 13,
	REASON_NOT_SMTP = 14,
	REASON_SERVICE_CLOSED = 15,  /* 421 or 4yz before a session, 421 in one: not now */
	REASON_SERVICE_REFUSED = 16, /* 5yz before a session, no reason known */
	REASON_NO_MAIL_SERVICE = 17, /* the host says that it takes no mail at all (521, 556, null MX) */
	REASON_OURSELVES = 18,	     /* its banner is this relay's own */

	/* lane ceilings */
	REASON_TOO_MANY_CONNECTIONS = 20,
	REASON_TOO_FAST = 21,
	REASON_NO_SPACE = 22,
	REASON_OVERLOADED = 23,
	REASON_FILTER_DOWN = 24,
	REASON_SYSTEM_UNWELL = 25, /* lookup failed, queue file write error, 4.3.x */

	/* domain */
	REASON_RELAY_DENIED = 30,
	REASON_DOMAIN_UNKNOWN = 31,
	REASON_DOMAIN_DISABLED = 32, /* the tenant expired, was suspended, is being moved */

	/* recipient */
	REASON_NO_SUCH_USER = 40, /* code or text says that this mailbox does not exist: nothing less */
	REASON_MAILBOX_FULL = 41,
	REASON_MAILBOX_THROTTLED = 42,
	REASON_MAILBOX_DISABLED = 43,
	REASON_MAILBOX_MOVED = 44,
	REASON_GREYLISTED = 45,
	REASON_RECIPIENT_CLOSED = 46,	  /* restricted: these senders may not write to it */
	REASON_RECIPIENT_UNVERIFIED = 47, /* the server could not find out whether it exists */
	REASON_RECIPIENT_UNWELL = 48,	  /* its mail system has trouble of its own */
	REASON_RECIPIENT_DEFERRED = 49,	  /* 4yz without a known reason */
	REASON_RECIPIENT_REFUSED = 50,	  /* 5yz without a known reason: not "no such user" */
	REASON_ADDRESS_SYNTAX = 51,

	/* message */
	REASON_SENDER_REFUSED = 60,
	REASON_TOO_LARGE = 61,
	REASON_SPAM = 62,
	REASON_VIRUS = 63,
	REASON_ATTACHMENT = 64,
	REASON_FORMAT = 65, /* line lengths, headers, encodings, dates */
	REASON_LOOP = 66,
	REASON_FEATURE = 67, /* the server lacks SMTPUTF8, 8BITMIME, or its SIZE is smaller */
	REASON_MESSAGE_DEFERRED = 68,
	REASON_MESSAGE_REFUSED = 69,
	REASON_UNREADABLE = 70, /* our stored copy cannot be read */

	/* us: the server distrusts this relay */
	REASON_US_SPF = 80,
	REASON_US_DMARC = 81, /* or DKIM, ARC */
	REASON_US_BLOCK_LIST = 82,
	REASON_US_REPUTATION = 83,
	REASON_US_REVERSE_DNS = 84,
	REASON_US_HELO = 85,
	REASON_US_LOGIN = 86,	 /* it wants a login */
	REASON_US_TLS = 87,	 /* it wants STARTTLS first */
	REASON_US_ADDRESS = 88,	 /* our address or host is refused by its access list */
	REASON_US_SPOOFING = 89, /* a sender of its own domain from outside */

	/* nothing learnt */
	REASON_TOO_MANY_RECIPIENTS = 100,
	REASON_SESSION_USED_UP = 101,
	REASON_NOT_TRIED = 102,
	REASON_OWN_SYSTEM = 103,
	REASON_SPLIT = 104,  /* refused as a whole: its recipients are tried one by one */
	REASON_CIRCLE = 105, /* it came back to us again and again: kept, tried seldom */

	REASON_NO_REPLY_TO_DOT = 110,
};

enum { REASON_END = 111 };

const char *verdict_reason_name(enum verdict_reason reason);   /* "" for NONE and for numbers not in use */
const char *verdict_reason_words(enum verdict_reason reason);  /* "" likewise */
enum verdict_reason verdict_reason_by_name(struct slice name); /* NONE when there is none */

/* The server distrusts the relay: an administrator must let us in there (allow_list.h says how). */
static inline bool verdict_reason_is_us(enum verdict_reason reason)
{
	return reason >= REASON_US_SPF && reason <= REASON_US_SPOOFING;
}

#endif
