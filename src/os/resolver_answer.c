/* What libunbound says, in the words of port/resolver.h. Pure. See os/resolver_unbound.h. */
#include <stdio.h>
#include <string.h>

#include "os/dns_message.h"
#include "os/resolver_private.h"

enum {
	RCODE_SERVFAIL = 2,
	RCODE_NXDOMAIN = 3,
	UB_BOGUS = 1, /* of the callback in unbound-event.h */
	UB_SECURE = 2,
};

/* --- what libunbound says -------------------------------------------------------------------- */

void resolver_fail(struct resolver_answer *ret_answer, enum resolver_status status, const char *detail)
{
	memset(ret_answer, 0, sizeof(*ret_answer));
	ret_answer->status = status;
	ret_answer->ttl_s = status == RESOLVER_FAILED ? 0 : DNS_NEGATIVE_TTL_S;
	(void)snprintf(ret_answer->detail, sizeof(ret_answer->detail), "%s", detail);
}

void resolver_read(uint16_t type, int rcode, struct slice packet, int security, const char *why_bogus,
		   struct resolver_answer *ret_answer)
{
	if (security == UB_BOGUS) {
		resolver_fail(ret_answer, RESOLVER_FAILED, "DNSSEC validation failed");
		if (why_bogus != NULL)
			(void)snprintf(ret_answer->detail, sizeof(ret_answer->detail), "%.127s", why_bogus);
	} else if (rcode == RCODE_NXDOMAIN) {
		resolver_fail(ret_answer, RESOLVER_NXDOMAIN, "");
	} else if (rcode == RCODE_SERVFAIL) {
		resolver_fail(ret_answer, RESOLVER_FAILED, "the name servers did not answer, or failed");
	} else if (rcode != 0 || packet.data == NULL) {
		resolver_fail(ret_answer, RESOLVER_FAILED, "the name server refused to answer");
	} else {
		dns_message_read(packet, type, ret_answer);
		ret_answer->secure = security == UB_SECURE && ret_answer->status != RESOLVER_FAILED;
	}
}

/* --- combining A and AAAA -------------------------------------------------------------------- */

/* IPv6 first, and when there are too many, each family gets its half. */
static void combine_addresses(struct resolver_query *query)
{
	struct resolver_answer *a = &query->answer;
	size_t v4_count = query->v4_count;

	if (a->address_count + v4_count > RESOLVER_ADDRESS_MAX) {
		size_t half = RESOLVER_ADDRESS_MAX / 2;
		if (v4_count < half)
			a->address_count = RESOLVER_ADDRESS_MAX - v4_count;
		else if (a->address_count > half)
			a->address_count = half;
		v4_count = RESOLVER_ADDRESS_MAX - a->address_count;
	}
	for (size_t i = 0; i < v4_count; i++)
		a->address[a->address_count++] = query->v4[i];
}

/* A family that failed is left out when the other one has addresses; the answer then holds no longer than a
 * negative one, because the other family may come back. */
void resolver_combine(struct resolver_query *query)
{
	struct resolver_answer *a = &query->answer;
	bool v6_found = a->status == RESOLVER_OK, v4_found = query->v4_status == RESOLVER_OK;
	bool failed = a->status == RESOLVER_FAILED || query->v4_status == RESOLVER_FAILED;
	uint32_t ttl_s = a->ttl_s < query->v4_ttl_s ? a->ttl_s : query->v4_ttl_s;

	if (v6_found || v4_found) {
		if (v6_found != v4_found &&
		    !failed) /* the life of "no address of this family" does not matter */
			ttl_s = v6_found ? a->ttl_s : query->v4_ttl_s;
		else if (failed)
			ttl_s = DNS_NEGATIVE_TTL_S;
		a->secure = (!v6_found || a->secure) && (!v4_found || query->v4_secure);
		combine_addresses(query);
		a->status = RESOLVER_OK;
		a->ttl_s = ttl_s;
		a->detail[0] = '\0';
	} else if (a->status == RESOLVER_FAILED) {
		a->secure = false;
	} else if (query->v4_status == RESOLVER_FAILED) {
		a->status = RESOLVER_FAILED;
		a->secure = false;
		a->ttl_s = 0;
		memcpy(a->detail, query->v4_detail, sizeof(a->detail));
	} else {
		/* Both say no. A name that has nothing of one family exists. */
		if (query->v4_status == RESOLVER_NODATA)
			a->status = RESOLVER_NODATA;
		a->secure = a->secure && query->v4_secure;
		a->ttl_s = ttl_s;
	}
}

void resolver_store(struct resolver_query *query, uint16_t type, const struct resolver_answer *found)
{
	if (type != DNS_TYPE_A) {
		query->answer = *found;
		return;
	}
	query->v4_status = found->status;
	query->v4_ttl_s = found->ttl_s;
	query->v4_secure = found->secure;
	query->v4_count = found->address_count;
	memcpy(query->v4, found->address, sizeof(query->v4));
	memcpy(query->v4_detail, found->detail, sizeof(query->v4_detail));
}
