#include "os/listen.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "os/address.h"

enum { FIRST_FREE_PORT = 1024 }; /* below: root or CAP_NET_BIND_SERVICE */

static int explain_busy(const char *at, unsigned port, char message[OS_LISTEN_MESSAGE_SIZE])
{
	(void)snprintf(
	    message, OS_LISTEN_MESSAGE_SIZE,
	    "cannot listen on %s: another program has this port; \"ss -ltnp sport = :%u\" shows which; "
	    "stop it or listen on another port",
	    at, port);
	return ERR_BUSY;
}

static int explain_denied(const char *at, unsigned port, char message[OS_LISTEN_MESSAGE_SIZE])
{
	if (port < FIRST_FREE_PORT)
		(void)snprintf(message, OS_LISTEN_MESSAGE_SIZE,
			       "cannot listen on %s: ports below 1024 need root; start as root, or use a "
			       "port above 1023 "
			       "such as 2525",
			       at);
	else
		(void)snprintf(
		    message, OS_LISTEN_MESSAGE_SIZE,
		    "cannot listen on %s: the system does not permit it; look at the service's restrictions",
		    at);
	return ERR_STATE;
}

static int explain(const struct net_address *address, int cause, char message[OS_LISTEN_MESSAGE_SIZE])
{
	char at[NET_ADDRESS_TEXT_SIZE];

	(void)net_address_text(address, at);
	if (cause == EADDRINUSE)
		return explain_busy(at, address->port, message);
	if (cause == EACCES || cause == EPERM)
		return explain_denied(at, address->port, message);
	if (cause == EADDRNOTAVAIL || cause == EAFNOSUPPORT) {
		(void)snprintf(message, OS_LISTEN_MESSAGE_SIZE,
			       "cannot listen on %s: this machine does not have that address; \"ip address\" "
			       "shows which "
			       "it has",
			       at);
		return ERR_MISSING;
	}
	(void)snprintf(message, OS_LISTEN_MESSAGE_SIZE, "cannot listen on %s: %s", at,
		       strerrordesc_np(cause));
	return ERR_IO;
}

static bool prepare(int descriptor, const struct net_address *address, int backlog)
{
	static const int on = 1;
	union os_sockaddr s;
	socklen_t size = os_sockaddr_from(address, &s);

	/* SO_REUSEADDR: a restart must not wait for the connections of the last run to time out. */
	if (setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
		return false;
	if (address->family == 6 && setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0)
		return false;
	return bind(descriptor, &s.any, size) == 0 && listen(descriptor, backlog) == 0;
}

int os_listen_socket(const struct net_address *address, int backlog, char ret_message[OS_LISTEN_MESSAGE_SIZE])
{
	int family = address->family == 4 ? AF_INET : AF_INET6;
	int descriptor = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (descriptor < 0)
		return explain(address, errno, ret_message);
	if (!prepare(descriptor, address, backlog)) {
		int error = explain(address, errno, ret_message);
		(void)close(descriptor);
		return error;
	}
	return descriptor;
}

struct net_address os_listen_address(int descriptor)
{
	union os_sockaddr s = {.any.sa_family = AF_UNSPEC};
	socklen_t size = sizeof(s);

	if (getsockname(descriptor, &s.any, &size) != 0)
		return (struct net_address){.family = 0};
	return os_address_from(&s);
}
