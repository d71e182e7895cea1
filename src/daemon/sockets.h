/* The listening sockets: opened by the supervisor with its rights, or taken from systemd, and kept open while
 * workers come and go, so that no connection is refused during a restart.
 */
#ifndef DAEMON_SOCKETS_H
#define DAEMON_SOCKETS_H

#include "daemon/config.h"
#include "daemon/datafolder.h"

enum {
	SOCKETS_SMTP_MAX = CONFIG_LISTEN_MAX,
	SOCKETS_OWN_MAX = 256, /* addresses of this machine that are looked at */
	SOCKETS_MESSAGE_SIZE = 1024,
	SOCKETS_PORT = 25,
	SOCKETS_PORT_UNPRIVILEGED = 2525,
};

struct sockets {
	size_t smtp_count;
	int smtp[SOCKETS_SMTP_MAX];
	struct net_address smtp_address[SOCKETS_SMTP_MAX];
	int api_unix, api_tcp; /* -1: none */
	struct net_address api_address;
	char note[SOCKETS_MESSAGE_SIZE]; /* why it is not port 25, or "" */
	/* Where others reach us: the addresses above, wildcards replaced by the machine's addresses. */
	size_t own_count;
	struct net_address own[SOCKETS_OWN_MAX];
};

/* On failure a message that says what to do; what was opened is closed. ERR_BUSY, ERR_STATE, ERR_MISSING,
 * ERR_IO. */
nodiscard int sockets_open(struct sockets *sockets, const struct config *config,
			   const struct datafolder *folder, char ret_message[SOCKETS_MESSAGE_SIZE]);
void sockets_close(struct sockets *sockets);
/* Removes the API's socket from the folder, at the end. */
void sockets_unlink(const struct datafolder *folder);

#endif
