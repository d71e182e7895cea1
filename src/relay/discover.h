/* Finding a domain's own servers: its MX set beyond us.
 *
 * A relay that finds itself in the MX set passes mail on to records with a smaller preference value than its
 * own (RFC 5321 §5.1). When there is none, because the domain names us first and its own server behind us as
 * a fallback, those behind us are its servers. Records of the same preference as ours are taken for other
 * relays like this one, never for a destination.
 */
#ifndef RELAY_DISCOVER_H
#define RELAY_DISCOVER_H

#include "relay/domains.h"

enum {
	DISCOVER_TTL_MIN_S = 60,
	DISCOVER_TTL_MAX_S = 3600,
	DISCOVER_RETRY_S = 60, /* while nothing is known: the domain waits */
	DISCOVER_MEMORY_S = 1, /* what was found could not be kept */
};

/* Looks now, and again when the answer grows old. Only for domains with by_mx. */
void discover_start(struct domain *domain);
void discover_stop(struct domain *domain);

/* The set beyond us of an answer; count 0: none. Without MX records the domain itself is the host (RFC 5321
 * §5.1), unless it is us. */
void discover_beyond_us(const struct relay *relay, const char *domain, const struct resolver_answer *answer,
			struct destination *ret_destination);

#endif
