/* TLS on a connection: between the bytes of the socket and the bytes of the owner. See os/tls.h. */
#include "os/net_private.h"

#include <sys/socket.h>

enum {
	TLS_RECORD_HANDSHAKE = 0x16, /* the first byte of a ClientHello (RFC 8446 §5.1) */
	DROP_ROUNDS_MAX = 64, /* of one buffer each: a peer that keeps sending must not hold the loop */
};

static void send_output(struct net_conn *conn)
{
	struct buffer *output = tls_output(conn->tls);

	if (buffer_size(output) == 0)
		return;
	(void)conn_send(conn, buffer_slice(output)); /* on failure the connection has been ended */
	buffer_deinit(output);
}

/* --- starting -------------------------------------------------------------------------------- */

/* What the peer sent in plain before the handshake must not be read as if it had come through TLS
 * (CVE-2011-0411). A server that waits for our ClientHello sends nothing, so all that is there is plain text.
 * A client may have read our 220 already: what begins like a ClientHello is left for TLS to judge. */
static void drop_plain_input(struct net_conn *conn, bool as_server)
{
	char *bytes = conn->net->plain_bytes;
	uv_os_fd_t fd;

	if (uv_fileno((uv_handle_t *)&conn->uv, &fd) != 0)
		return;
	for (int i = 0; i < DROP_ROUNDS_MAX; i++) {
		if (as_server && recv(fd, bytes, 1, MSG_PEEK | MSG_DONTWAIT) == 1 &&
		    bytes[0] == TLS_RECORD_HANDSHAKE)
			return;
		if (recv(fd, bytes, sizeof(conn->net->plain_bytes), MSG_DONTWAIT) <= 0)
			return;
	}
}

int conn_start_tls(struct net_conn *conn, bool as_server, struct slice server_name)
{
	struct tls_context *context = as_server ? conn->net->server : conn->net->client;

	if (conn->state == CONN_ENDED)
		return 0; /* he will hear of it */
	if (context == NULL || conn->state != CONN_OPEN || conn->tls != NULL)
		return ERR_STATE;
	struct tls *tls = tls_new(context, server_name);
	if (tls == NULL)
		return ERR_MEMORY;
	drop_plain_input(conn, as_server);
	conn->tls = tls;
	conn->tell_received = true; /* a client sends its first message from there */
	conn_defer(conn);
	return 0;
}

/* --- input ----------------------------------------------------------------------------------- */

static void shake_hands(struct net_conn *conn)
{
	struct net_tls_state state;

	enum tls_result result = tls_handshake(conn->tls);
	send_output(conn);
	if (result == TLS_DONE && conn->state == CONN_OPEN) {
		conn_check_sent(conn);
		tls_describe(conn->tls, &state);
		conn->events->secured(conn->owner, &state);
	} else if (result == TLS_FAILED) {
		conn_end(conn, NET_END_TLS, tls_detail(conn->tls));
	} else if (result == TLS_WAIT && conn->eof) {
		conn_end(conn, NET_END_TLS, "the peer closed the connection during the TLS handshake");
	}
}

/* Gives the owner what can be decrypted, as long as he wants it. */
static void read_plain(struct net_conn *conn)
{
	while (conn->state == CONN_OPEN && !conn->paused) {
		char *bytes = conn->net->plain_bytes;
		size_t size = 0;
		enum tls_result result = tls_read(conn->tls, bytes, sizeof(conn->net->plain_bytes), &size);
		send_output(conn);
		if (conn->state != CONN_OPEN)
			return;
		if (result == TLS_DONE)
			conn->events->received(conn->owner, slice_make(bytes, size));
		else if (result == TLS_FAILED)
			conn_end(conn, NET_END_TLS, tls_detail(conn->tls));
		else if (result == TLS_CLOSED || conn->eof) /* many peers leave without saying goodbye */
			conn_end(conn, NET_END_EOF, "");
		else
			return;
	}
}

void conn_secure_received(struct net_conn *conn, struct slice bytes)
{
	tls_give(conn->tls, bytes);
	if (!tls_established(conn->tls))
		shake_hands(conn);
	if (tls_established(conn->tls))
		read_plain(conn);
	if (tls_settle(conn->tls) != 0)
		conn_end(conn, NET_END_LOCAL, "out of memory");
}

/* --- output ---------------------------------------------------------------------------------- */

int conn_secure_write(struct net_conn *conn, struct slice plain)
{
	int error = tls_write(conn->tls, plain);

	send_output(conn);
	if (error == ERR_MEMORY)
		conn_end(conn, NET_END_LOCAL, "out of memory");
	else if (error != 0)
		conn_end(conn, NET_END_TLS, tls_detail(conn->tls));
	return error == ERR_MEMORY ? ERR_MEMORY : 0;
}

void conn_secure_goodbye(struct net_conn *conn)
{
	tls_close(conn->tls);
	send_output(conn);
}
