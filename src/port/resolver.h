/* Names to addresses and mail exchangers, as the core sees them.
 *
 * Answers come later, never from inside the call, exactly one per question unless it was cancelled. Names are
 * ASCII (A-labels), without a trailing dot, any case. A CNAME at the name asked for is followed by the
 * implementation.
 */
#ifndef PORT_RESOLVER_H
#define PORT_RESOLVER_H

#include "port/net.h"

enum resolver_status {
	RESOLVER_OK = 0,       /* records were found */
	RESOLVER_NODATA = 1,   /* the name exists, without records of this type */
	RESOLVER_NXDOMAIN = 2, /* the name does not exist */
	RESOLVER_FAILED = 3,   /* SERVFAIL, timeout, bogus DNSSEC, our resolver dead: nothing is known */
};

enum {
	RESOLVER_MX_MAX = 32,	   /* records used of one MX set, lowest preference first; more are ignored */
	RESOLVER_ADDRESS_MAX = 16, /* addresses used of one host */
	RESOLVER_NAME_MAX = 255,
};

struct resolver_mx {
	uint16_t preference;
	char host[RESOLVER_NAME_MAX + 1]; /* lower case, no trailing dot; "" is the null MX of RFC 7505 */
};

struct resolver_answer {
	enum resolver_status status;
	bool secure;	 /* validated by DNSSEC */
	uint32_t ttl_s;	 /* of the answer, or of the negative answer; 0 when failed */
	size_t mx_count; /* sorted by preference */
	struct resolver_mx mx[RESOLVER_MX_MAX];
	size_t
	    address_count; /* IPv6 and IPv4 in the resolver's order of each family, IPv6 first; port is 0 */
	struct net_address address[RESOLVER_ADDRESS_MAX];
	char detail[128]; /* why it failed, for people */
};

struct resolver;
struct resolver_query;

struct resolver_ops {
	/* NULL: no memory. done gets the answer, lent. */
	struct resolver_query *(*mx)(struct resolver *resolver, struct slice domain,
				     void (*done)(void *owner, const struct resolver_answer *answer),
				     void *owner);
	/* A and AAAA together: OK when either has records; FAILED when nothing was found and one of them
	 * failed. */
	struct resolver_query *(*address)(struct resolver *resolver, struct slice host,
					  void (*done)(void *owner, const struct resolver_answer *answer),
					  void *owner);
	/* The answer will not be delivered. */
	void (*cancel)(struct resolver *resolver, struct resolver_query *query);
};

struct resolver {
	const struct resolver_ops *ops;
};

#endif
