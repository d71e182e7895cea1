/* Stream connections, as the core sees them: TCP with optional TLS.
 *
 * The implementation delivers events to the owner of a connection and never from inside one of the calls
 * below, so nothing is re-entrant. After closed() or net_close() the connection must not be used any more:
 * the implementation frees it. Exactly one closed() event ends a connection that its owner did not close
 * himself.
 *
 * Addresses are IPv4 or IPv6 with port; IPv4-mapped IPv6 addresses are given as IPv4.
 */
#ifndef PORT_NET_H
#define PORT_NET_H

#include "base/slice.h"
#include "base/error.h"
#include "port/clock.h"

struct net_address {
	uint8_t family; /* 4, 6, or 0 for none */
	uint8_t bytes[16];
	uint16_t port;
};

enum { NET_ADDRESS_TEXT_SIZE = 64 };

/* "192.0.2.1" or "2001:db8::1" (without port), terminated. */
const char *net_address_host(const struct net_address *a, char ret_text[NET_ADDRESS_TEXT_SIZE]);
/* "192.0.2.1:25" or "[2001:db8::1]:25", terminated. */
const char *net_address_text(const struct net_address *a, char ret_text[NET_ADDRESS_TEXT_SIZE]);
/* An IP literal without port, brackets allowed around IPv6. ERR_SYNTAX. */
nodiscard int net_address_parse(struct slice host, uint16_t port, struct net_address *ret_address);
bool net_address_equal(const struct net_address *a, const struct net_address *b);     /* with port */
bool net_address_same_host(const struct net_address *a, const struct net_address *b); /* without */
bool net_address_loopback(const struct net_address *a);

/* Why a connection ended or could not be made. */
enum net_end {
	NET_END_EOF = 0,	 /* the peer closed its side in good order */
	NET_END_REFUSED = 1,	 /* connect: RST, or ICMP port unreachable */
	NET_END_UNREACHABLE = 2, /* connect: no route, host or network unreachable */
	NET_END_TIMEOUT = 3,	 /* connect: no answer within the limit; or TCP gave up later */
	NET_END_RESET = 4,	 /* an open connection was reset, or a write failed */
	NET_END_TLS = 5,	 /* the handshake failed, or a record was bad; detail says more */
	NET_END_LOCAL = 6,	 /* our own system refused: descriptors, memory, no address of that family */
};

/* "refused", ... : one word. Static storage. */
const char *net_end_name(enum net_end end);

struct net_tls_state {
	bool verified;	  /* the peer's certificate matched what was asked for */
	char version[16]; /* "TLSv1.3" */
	char cipher[64];
	char fingerprint[65]; /* SHA-256 of the peer's certificate, hex; "" without one */
};

struct net_conn;

/* What the owner is told. owner is what he gave to connect or attach. */
struct net_events {
	/* connect() succeeded. Not for accepted connections. */
	void (*connected)(void *owner);
	/* Bytes from the peer, lent for the call. Not called while reading is paused. */
	void (*received)(void *owner, struct slice bytes);
	/* All bytes written so far have been handed to the system. */
	void (*drained)(void *owner);
	/* The handshake that was started is complete; failure comes as closed(NET_END_TLS). state is lent. */
	void (*secured)(void *owner, const struct net_tls_state *state);
	/* The connection is gone. detail: a short English reason or "", lent. */
	void (*closed)(void *owner, enum net_end end, const char *detail);
};

struct net;

struct net_ops {
	/* Starts to connect. NULL: no memory (nothing else will be heard). from may be NULL.
	 * timeout_ms bounds the TCP handshake. */
	struct net_conn *(*connect)(struct net *net, const struct net_address *to,
				    const struct net_address *from, int64_t timeout_ms,
				    const struct net_events *events, void *owner);
	/* The owner of an accepted connection takes it over; events flow from now on. */
	void (*attach)(struct net_conn *conn, const struct net_events *events, void *owner);
	/* Takes a copy of all bytes. ERR_MEMORY. Writing to a connection that is about to be reported closed
	 * is allowed and loses the bytes. */
	int (*write)(struct net_conn *conn, struct slice bytes);
	/* Bytes taken by write and not yet handed to the system. */
	size_t (*unsent)(const struct net_conn *conn);
	/* Stops and resumes reading: back pressure. */
	void (*pause)(struct net_conn *conn, bool paused);
	/* Starts a TLS handshake on an open connection, as a server or a client (with server_name for SNI and
	 * verification, may be empty). What the peer sent before the handshake and was not yet delivered is
	 * dropped by the implementation (RFC 3207 §4.2; CVE-2011-0411). ERR_STATE when this side has no TLS.
	 */
	int (*start_tls)(struct net_conn *conn, bool as_server, struct slice server_name);
	/* No further event. flush: send what was written first (bounded by 5 s), else drop it. */
	void (*close)(struct net_conn *conn, bool flush);
	void (*peer)(const struct net_conn *conn, struct net_address *ret_address);
	void (*local)(const struct net_conn *conn, struct net_address *ret_address);
	/* Can this side speak TLS as a server (has a certificate)? */
	bool (*tls_ready)(const struct net *net, bool as_server);
};

struct net {
	const struct net_ops *ops;
};

#endif
