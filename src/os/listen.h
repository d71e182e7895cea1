/* Opening a listening socket. The supervisor does it, with its rights, and passes the descriptor to the
 * worker. */
#ifndef OS_LISTEN_H
#define OS_LISTEN_H

#include "port/net.h"

enum {
	OS_LISTEN_BACKLOG =
	    1024, /* connections that wait during a restart or an upgrade; the kernel may cut it */
	OS_LISTEN_MESSAGE_SIZE = 256,
};

/* Returns a listening descriptor (non-blocking, close-on-exec), or an error with a message for people that
 * says what to do: ERR_BUSY (port in use), ERR_STATE (no permission), ERR_MISSING (not an address of this
 * machine), ERR_IO. Port 0 takes a free one; os_listen_address says which. IPv6 sockets take IPv6 only. */
nodiscard int os_listen_socket(const struct net_address *address, int backlog,
			       char ret_message[OS_LISTEN_MESSAGE_SIZE]);

/* The address that a socket is bound to; family 0 when it is not an IP socket. */
struct net_address os_listen_address(int descriptor);

#endif
