/* The first byte chooses the type that was asked for, the rest is the answer of a name server.
 *
 * What must hold: numbers within their limits, MX sorted, host names made of the bytes of host names, records
 * only with OK and then at least one, a reason exactly when it failed. The same bytes are also read as a
 * hosts file.
 */
#include <string.h>

#include "base/check.h"
#include "fuzz.h"
#include "os/dns_message.h"
#include "os/hosts.h"

static void check_mx(const struct resolver_answer *a)
{
	static const char fine[] = "abcdefghijklmnopqrstuvwxyz0123456789-_.";

	for (size_t i = 0; i < a->mx_count; i++) {
		check(memchr(a->mx[i].host, '\0', sizeof(a->mx[i].host)) != NULL);
		check(strspn(a->mx[i].host, fine) == strlen(a->mx[i].host));
		check(i == 0 || a->mx[i - 1].preference <= a->mx[i].preference);
		check(a->mx[i].host[0] != '\0' || a->mx_count == 1);
	}
}

static void check_answer(const struct resolver_answer *a, uint16_t type)
{
	check(a->mx_count <= RESOLVER_MX_MAX && a->address_count <= RESOLVER_ADDRESS_MAX);
	check(type == DNS_TYPE_MX ? a->address_count == 0 : a->mx_count == 0);
	check((a->mx_count + a->address_count > 0) == (a->status == RESOLVER_OK));
	check((a->detail[0] != '\0') == (a->status == RESOLVER_FAILED));
	check(a->ttl_s <= INT32_MAX && (a->status != RESOLVER_FAILED || a->ttl_s == 0));
	for (size_t i = 0; i < a->address_count; i++)
		check(a->address[i].family == (type == DNS_TYPE_A ? 4 : 6));
	check_mx(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t types[] = {DNS_TYPE_MX, DNS_TYPE_A, DNS_TYPE_AAAA};
	struct resolver_answer answer;
	struct net_address found[2];

	if (size == 0)
		return 0;
	uint16_t type = types[data[0] % 3];
	struct slice message = slice_make(data + 1, size - 1);
	dns_message_read(message, type, &answer);
	check_answer(&answer, type);
	check(hosts_find(message, SLICE("mail"), found, 2) <= 2);
	return 0;
}
