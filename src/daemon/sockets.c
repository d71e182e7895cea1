#include "daemon/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "api/api.h"
#include "os/address.h"
#include "os/listen.h"

/* --- SMTP --- */

static void add_smtp(struct sockets *sockets, int descriptor)
{
	sockets->smtp[sockets->smtp_count] = descriptor;
	sockets->smtp_address[sockets->smtp_count] = os_listen_address(descriptor);
	sockets->smtp_count++;
}

static int open_smtp(struct sockets *sockets, const struct net_address *address, char *ret_message)
{
	char why[OS_LISTEN_MESSAGE_SIZE] = "";
	int descriptor = os_listen_socket(address, OS_LISTEN_BACKLOG, why);
	if (descriptor < 0) {
		(void)snprintf(ret_message, SOCKETS_MESSAGE_SIZE, "%s", why);
		return descriptor;
	}
	add_smtp(sockets, descriptor);
	return 0;
}

/* All addresses of both families on this port; a machine may lack IPv6. */
static int open_port(struct sockets *sockets, uint16_t port, char *ret_message)
{
	const struct net_address v4 = {.family = 4, .port = port}, v6 = {.family = 6, .port = port};
	char ignored[SOCKETS_MESSAGE_SIZE];
	int error = open_smtp(sockets, &v4, ret_message);
	if (error == 0 && open_smtp(sockets, &v6, ignored) == ERR_BUSY) {
		(void)snprintf(ret_message, SOCKETS_MESSAGE_SIZE, "%s", ignored);
		(void)close(sockets->smtp[--sockets->smtp_count]);
		error = ERR_BUSY;
	}
	return error;
}

/* Port 25 when we may, else 2525 with a note that says why. */
static int open_default(struct sockets *sockets, char *ret_message)
{
	char why[SOCKETS_MESSAGE_SIZE] = "";
	if (geteuid() == 0 && open_port(sockets, SOCKETS_PORT, why) == 0)
		return 0;
	if (geteuid() == 0)
		(void)snprintf(sockets->note, sizeof(sockets->note), "%.900s; port 2525 instead", why);
	else
		(void)snprintf(sockets->note, sizeof(sockets->note), "port 2525, because port 25 needs root");
	return open_port(sockets, SOCKETS_PORT_UNPRIVILEGED, ret_message);
}

/* Sockets that systemd holds for us. Returns how many were given. */
static int take_from_systemd(struct sockets *sockets)
{
	int count = sd_listen_fds(1);
	for (int i = 0; i < count; i++) {
		int descriptor = SD_LISTEN_FDS_START + i;
		(void)fcntl(descriptor, F_SETFL, O_NONBLOCK | fcntl(descriptor, F_GETFL));
		if (sd_is_socket(descriptor, AF_UNIX, SOCK_STREAM, 1) > 0 && sockets->api_unix < 0)
			sockets->api_unix = descriptor;
		else if (sockets->smtp_count < SOCKETS_SMTP_MAX)
			add_smtp(sockets, descriptor);
		else
			(void)close(descriptor);
	}
	return count;
}

static int open_all_smtp(struct sockets *sockets, const struct config *config, char *ret_message)
{
	if (sockets->smtp_count > 0)
		return 0; /* systemd's */
	if (config->listen_count == 0)
		return open_default(sockets, ret_message);
	for (size_t i = 0; i < config->listen_count; i++) {
		int error = open_smtp(sockets, &config->listen[i], ret_message);
		if (error != 0)
			return error;
	}
	return 0;
}

/* --- API --- */

/* Bound through the descriptor of the folder, because the path of a Unix socket must be shorter than 108
 * bytes. */
static int open_api_unix(struct sockets *sockets, const struct datafolder *folder, char *ret_message)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/" API_SOCKET_NAME,
		       folder->descriptor);
	sockets_unlink(folder);
	int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t mask = umask(0177);
	bool bound = descriptor >= 0 &&
		     bind(descriptor, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
		     listen(descriptor, SOMAXCONN) == 0;
	int number = errno;
	(void)umask(mask);
	if (bound) {
		sockets->api_unix = descriptor;
		return 0;
	}
	if (descriptor >= 0)
		(void)close(descriptor);
	(void)snprintf(ret_message, SOCKETS_MESSAGE_SIZE,
		       "the API's socket %s/" API_SOCKET_NAME " cannot be made: %s", folder->path,
		       strerror(number));
	return ERR_IO;
}

static int open_api_tcp(struct sockets *sockets, const struct net_address *address, char *ret_message)
{
	char why[OS_LISTEN_MESSAGE_SIZE] = "";
	int descriptor = os_listen_socket(address, OS_LISTEN_BACKLOG, why);
	if (descriptor < 0) {
		(void)snprintf(ret_message, SOCKETS_MESSAGE_SIZE, "the API %s", why);
		return descriptor;
	}
	sockets->api_tcp = descriptor;
	sockets->api_address = os_listen_address(descriptor);
	return 0;
}

/* --- which addresses are we? --- */

static void add_own(struct sockets *sockets, const struct net_address *address)
{
	if (sockets->own_count < SOCKETS_OWN_MAX)
		sockets->own[sockets->own_count++] = *address;
}

static void add_interfaces(struct sockets *sockets, const struct ifaddrs *interfaces,
			   const struct net_address *wildcard)
{
	for (const struct ifaddrs *i = interfaces; i != NULL; i = i->ifa_next) {
		union os_sockaddr sockaddr = {0};
		if (i->ifa_addr == NULL ||
		    (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6))
			continue;
		memcpy(&sockaddr, i->ifa_addr,
		       i->ifa_addr->sa_family == AF_INET ? sizeof(sockaddr.v4) : sizeof(sockaddr.v6));
		struct net_address address = os_address_from(&sockaddr);
		address.port = wildcard->port;
		if (address.family == wildcard->family)
			add_own(sockets, &address);
	}
}

static void find_own(struct sockets *sockets)
{
	struct ifaddrs *interfaces = NULL;
	if (getifaddrs(&interfaces) != 0)
		interfaces = NULL;
	for (size_t i = 0; i < sockets->smtp_count; i++) {
		const struct net_address *address = &sockets->smtp_address[i];
		const struct net_address wildcard = {.family = address->family, .port = address->port};
		if (net_address_equal(address, &wildcard))
			add_interfaces(sockets, interfaces, &wildcard);
		else
			add_own(sockets, address);
	}
	if (interfaces != NULL)
		freeifaddrs(interfaces);
}

int sockets_open(struct sockets *sockets, const struct config *config, const struct datafolder *folder,
		 char ret_message[SOCKETS_MESSAGE_SIZE])
{
	*sockets = (struct sockets){.api_unix = -1, .api_tcp = -1};
	(void)take_from_systemd(sockets);
	int error = open_all_smtp(sockets, config, ret_message);
	if (error == 0 && sockets->api_unix < 0)
		error = open_api_unix(sockets, folder, ret_message);
	if (error == 0 && config->api.family != 0)
		error = open_api_tcp(sockets, &config->api, ret_message);
	if (error != 0)
		sockets_close(sockets);
	else
		find_own(sockets);
	return error;
}

void sockets_close(struct sockets *sockets)
{
	for (size_t i = 0; i < sockets->smtp_count; i++)
		(void)close(sockets->smtp[i]);
	if (sockets->api_unix >= 0)
		(void)close(sockets->api_unix);
	if (sockets->api_tcp >= 0)
		(void)close(sockets->api_tcp);
	*sockets = (struct sockets){.api_unix = -1, .api_tcp = -1};
}

void sockets_unlink(const struct datafolder *folder)
{
	(void)unlinkat(folder->descriptor, API_SOCKET_NAME, 0);
}
