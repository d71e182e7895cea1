#include "os/address.h"

#include <string.h>

#include "base/check.h"

socklen_t os_sockaddr_from(const struct net_address *a, union os_sockaddr *ret_sockaddr)
{
	union os_sockaddr s;

	check(a->family == 4 || a->family == 6);
	memset(&s, 0, sizeof(s));
	if (a->family == 4) {
		s.v4.sin_family = AF_INET;
		s.v4.sin_port = htons(a->port);
		memcpy(&s.v4.sin_addr, a->bytes, 4);
	} else {
		s.v6.sin6_family = AF_INET6;
		s.v6.sin6_port = htons(a->port);
		memcpy(&s.v6.sin6_addr, a->bytes, 16);
	}
	*ret_sockaddr = s;
	return a->family == 4 ? sizeof(s.v4) : sizeof(s.v6);
}

struct net_address os_address_from(const union os_sockaddr *sockaddr)
{
	struct net_address a = {.family = 0};

	if (sockaddr->any.sa_family == AF_INET) {
		a.family = 4;
		a.port = ntohs(sockaddr->v4.sin_port);
		memcpy(a.bytes, &sockaddr->v4.sin_addr, 4);
	} else if (sockaddr->any.sa_family == AF_INET6) {
		const uint8_t *bytes = sockaddr->v6.sin6_addr.s6_addr;
		bool mapped = IN6_IS_ADDR_V4MAPPED(&sockaddr->v6.sin6_addr);
		a.family = mapped ? 4 : 6;
		a.port = ntohs(sockaddr->v6.sin6_port);
		memcpy(a.bytes, mapped ? bytes + 12 : bytes, mapped ? 4 : 16);
	}
	return a;
}
