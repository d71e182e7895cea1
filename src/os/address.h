/* Addresses between port/net.h and the system. */
#ifndef OS_ADDRESS_H
#define OS_ADDRESS_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "port/net.h"

union os_sockaddr {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_storage storage;
};

/* Returns its size; a has a family. */
socklen_t os_sockaddr_from(const struct net_address *a, union os_sockaddr *ret_sockaddr);
/* IPv4-mapped becomes IPv4. Another family than IPv4 and IPv6 becomes family 0. */
struct net_address os_address_from(const union os_sockaddr *sockaddr);

#endif
