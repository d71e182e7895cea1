#include "port/net.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

const char *net_address_host(const struct net_address *a, char ret_text[NET_ADDRESS_TEXT_SIZE])
{
	if (a->family == 0 ||
	    inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->bytes, ret_text, NET_ADDRESS_TEXT_SIZE) == NULL)
		ret_text[0] = '\0';
	return ret_text;
}

const char *net_address_text(const struct net_address *a, char ret_text[NET_ADDRESS_TEXT_SIZE])
{
	char host[NET_ADDRESS_TEXT_SIZE];

	(void)net_address_host(a, host);
	(void)snprintf(ret_text, NET_ADDRESS_TEXT_SIZE, a->family == 6 ? "[%.46s]:%u" : "%.46s:%u", host,
		       a->port);
	return ret_text;
}

int net_address_parse(struct slice host, uint16_t port, struct net_address *ret_address)
{
	struct net_address a = {.port = port};
	char text[INET6_ADDRSTRLEN];

	if (host.size >= 2 && host.data[0] == '[' && host.data[host.size - 1] == ']')
		host = slice_make(host.data + 1, host.size - 2);
	if (host.size >= sizeof(text) || memchr(host.size > 0 ? host.data : "", 0, host.size) != NULL)
		return ERR_SYNTAX;
	(void)snprintf(text, sizeof(text), "%.*s", SLICE_ARG(host));

	if (inet_pton(AF_INET, text, a.bytes) == 1)
		a.family = 4;
	else if (inet_pton(AF_INET6, text, a.bytes) == 1)
		a.family = 6;
	else
		return ERR_SYNTAX;
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	if (a.family == 6 && memcmp(a.bytes, mapped, sizeof(mapped)) == 0) {
		memmove(a.bytes, a.bytes + 12, 4);
		memset(a.bytes + 4, 0, 12);
		a.family = 4;
	}
	*ret_address = a;
	return 0;
}

bool net_address_same_host(const struct net_address *a, const struct net_address *b)
{
	return a->family == b->family && memcmp(a->bytes, b->bytes, a->family == 4 ? 4 : 16) == 0;
}

bool net_address_equal(const struct net_address *a, const struct net_address *b)
{
	return a->port == b->port && net_address_same_host(a, b);
}

bool net_address_loopback(const struct net_address *a)
{
	static const uint8_t one[16] = {[15] = 1};

	if (a->family == 4)
		return a->bytes[0] == 127;
	return a->family == 6 && memcmp(a->bytes, one, sizeof(one)) == 0;
}

const char *net_end_name(enum net_end end)
{
	switch (end) {
	case NET_END_EOF:
		return "closed by the peer";
	case NET_END_REFUSED:
		return "connection refused";
	case NET_END_UNREACHABLE:
		return "no route to the host";
	case NET_END_TIMEOUT:
		return "timed out";
	case NET_END_RESET:
		return "connection reset";
	case NET_END_TLS:
		return "TLS failed";
	case NET_END_LOCAL:
		return "refused by our own system";
	}
	return "ended";
}
