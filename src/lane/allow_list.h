/* Which mail server it is that distrusts us, and what its administrator must do to let us in.
 *
 * The platform is recognised by its greeting; many hide it, and a filter in front hides what is behind. So
 * the advice says what to look for, and UNKNOWN has advice too.
 */
#ifndef LANE_ALLOW_LIST_H
#define LANE_ALLOW_LIST_H

#include "base/slice.h"
#include "lane/verdict_reason.h"

enum platform {
	PLATFORM_UNKNOWN = 0,
	PLATFORM_EXCHANGE = 1,
	PLATFORM_MICROSOFT_365 = 2,
	PLATFORM_GOOGLE = 3,
	PLATFORM_POSTFIX = 4,
	PLATFORM_MAILCOW = 5,
	PLATFORM_ZIMBRA = 6,
	PLATFORM_EXIM = 7,
	PLATFORM_SENDMAIL = 8,
	PLATFORM_OPENSMTPD = 9,
	PLATFORM_HMAILSERVER = 10,
	PLATFORM_MAILENABLE = 11,
	PLATFORM_SMARTERMAIL = 12,
	PLATFORM_KERIO = 13,
	PLATFORM_DOMINO = 14,
	PLATFORM_JAMES = 15,
	PLATFORM_HARAKA = 16,
	PLATFORM_STALWART = 17,
	PLATFORM_PROOFPOINT = 18,
	PLATFORM_BARRACUDA = 19,
	PLATFORM_MIMECAST = 20,
	PLATFORM_IRONPORT = 21,
	PLATFORM_END = 22,
};

/* banner: text of the 220. ehlo: text of the reply to EHLO, or empty. host: the name that was connected to,
 * or empty. */
enum platform platform_of(struct slice banner, struct slice ehlo, struct slice host);
const char *platform_name(enum platform platform); /* "Microsoft 365"; "" for UNKNOWN */

enum { ALLOW_LIST_TEXT_MAX = 700 }; /* the longest advice with a long name and an IPv6 address */

/* The step for that platform and reason (one for which verdict_reason_is_us; others get the general advice),
 * with the relay's address and host name in it. Cut at size - 1, terminated. Returns the length. */
size_t allow_list_advice(enum platform platform, enum verdict_reason reason, const char *address,
			 const char *hostname, char *ret_text, size_t size);

#endif
