/* Reading DNS answers (RFC 1035 §4, RFC 3596, RFC 7505). Pure.
 *
 * The messages come from libunbound, which has matched them to the question and removed what does not belong
 * there; so records are taken from the answer section by type, whoever owns them: behind a CNAME they belong
 * to its target.
 */
#ifndef OS_DNS_MESSAGE_H
#define OS_DNS_MESSAGE_H

#include "port/resolver.h"

enum {
	DNS_TYPE_A = 1,
	DNS_TYPE_CNAME = 5,
	DNS_TYPE_SOA = 6,
	DNS_TYPE_MX = 15,
	DNS_TYPE_AAAA = 28,
	DNS_CLASS_IN = 1,
	DNS_NEGATIVE_TTL_S = 60, /* when a negative answer has no SOA */
};

/* What was found in one message, as in struct resolver_answer: status, ttl_s, the records of the type asked
 * for (MX, A or AAAA) and detail are set, the rest is zero. A message that makes no sense, or a set of MX
 * records of which none names a host, is RESOLVER_FAILED. MX hosts that are not made of letters, digits, '-'
 * and '_' are left out. */
void dns_message_read(struct slice message, uint16_t type, struct resolver_answer *ret_answer);

#endif
