/* One connection: reading, writing, ending. See os/net_uv.h; connecting is in net_connect.c.
 *
 * Events of the socket come from libuv's callbacks and are told at once, but for those that one of the
 * owner's own calls causes (drained, closed, what was left over while paused): these wait for the end of the
 * turn.
 */
#include "os/net_private.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "os/address.h"

static struct net_conn *conn_of(uv_stream_t *stream)
{
	return stream->data;
}

/* --- making and destroying ------------------------------------------------------------------- */

static void on_deadline(struct net_deadline *deadline)
{
	struct net_conn *conn = container_of(deadline, struct net_conn, deadline);

	if (conn->state == CONN_CONNECTING)
		conn_end(conn, NET_END_TIMEOUT, "no answer");
	else
		conn_destroy(conn);
}

struct net_conn *conn_new(struct net_uv *net, bool inbound)
{
	struct net_conn *conn = calloc(1, sizeof(*conn));

	if (conn == NULL)
		return NULL;
	conn->net = net;
	conn->inbound = inbound;
	conn->state = inbound ? CONN_ACCEPTED : CONN_CONNECTING;
	conn->deadline.expired = on_deadline;
	conn->end_detail = "";
	buffer_init(&conn->sending, 0);
	buffer_init(&conn->queued, 0);
	(void)uv_tcp_init(os_loop_uv(net->loop),
			  &conn->uv); /* without a family it makes no socket and cannot fail */
	conn->uv.data = conn;
	list_add_last(&net->connections, &conn->node);
	net->handles++;
	*(inbound ? &net->accepted : &net->connected) += 1;
	return conn;
}

static void on_closed(uv_handle_t *handle)
{
	struct net_conn *conn = handle->data;
	struct net_uv *net = conn->net;

	*(conn->inbound ? &net->accepted : &net->connected) -= 1;
	list_remove(&conn->node);
	buffer_deinit(&conn->sending);
	buffer_deinit(&conn->queued);
	tls_free(conn->tls);
	free(conn);
	net_listeners_resume(net);
	net_handle_closed(net);
}

void conn_destroy(struct net_conn *conn)
{
	check(conn->state != CONN_CLOSING);
	conn->state = CONN_CLOSING;
	list_remove(&conn->pending);
	net_deadline_clear(conn->net, &conn->deadline);
	uv_close((uv_handle_t *)&conn->uv, on_closed);
}

/* --- ending ---------------------------------------------------------------------------------- */

static void stop_reading(struct net_conn *conn)
{
	conn->reading = false;
	(void)uv_read_stop((uv_stream_t *)&conn->uv);
}

void conn_defer(struct net_conn *conn)
{
	struct net_uv *net = conn->net;

	if (list_linked(&conn->pending))
		return;
	list_add_last(&net->pending, &conn->pending);
	os_loop_defer(net->loop, &net->deliver);
}

void conn_end(struct net_conn *conn, enum net_end end, const char *detail)
{
	if (conn->state == CONN_ENDED || conn->state == CONN_CLOSING)
		return;
	if (conn->state == CONN_FLUSHING) { /* nobody wants to know */
		conn_destroy(conn);
		return;
	}
	stop_reading(conn);
	net_deadline_clear(conn->net, &conn->deadline);
	conn->state = CONN_ENDED;
	conn->end = end;
	conn->end_detail = detail;
	conn_defer(conn);
}

static enum net_end end_of(int error)
{
	switch (error) {
	case UV_EOF:
		return NET_END_EOF;
	case UV_ECONNREFUSED:
		return NET_END_REFUSED;
	case UV_ENETUNREACH:
	case UV_EHOSTUNREACH:
	case -ENETDOWN: /* libuv has no name for it */
	case UV_EHOSTDOWN:
		return NET_END_UNREACHABLE;
	case UV_ETIMEDOUT:
		return NET_END_TIMEOUT;
	case UV_EADDRNOTAVAIL:
	case UV_EAFNOSUPPORT:
	case UV_EADDRINUSE:
	case UV_EMFILE:
	case UV_ENFILE:
	case UV_ENOBUFS:
	case UV_ENOMEM:
	case UV_EACCES:
	case UV_EPERM:
		return NET_END_LOCAL;
	default:
		return NET_END_RESET;
	}
}

void conn_end_with(struct net_conn *conn, int error)
{
	conn_end(conn, end_of(error), error == UV_EOF ? "" : uv_strerror(error));
}

/* --- reading --------------------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buffer)
{
	const struct net_conn *conn = handle->data;

	(void)suggested;
	*ret_buffer = uv_buf_init(conn->net->read_bytes, sizeof(conn->net->read_bytes));
}

static void input_ended(struct net_conn *conn, int error)
{
	if (error == UV_EOF && conn->state == CONN_FLUSHING) {
		conn->eof = true;
		if (conn->shut)
			conn_destroy(conn);
		return;
	}
	if (error == UV_EOF && conn->state == CONN_OPEN && conn->tls != NULL) {
		conn->eof = true; /* told when the last bytes have been decrypted */
		conn_secure_received(conn, (struct slice){.data = NULL, .size = 0});
		return;
	}
	conn_end_with(conn, error);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
	struct net_conn *conn = conn_of(stream);

	if (size < 0) {
		conn->reading = false; /* libuv has stopped */
		input_ended(conn, (int)size);
		return;
	}
	if (size == 0 || conn->state != CONN_OPEN)
		return;
	struct slice bytes = slice_make(buffer->base, (size_t)size);
	if (conn->tls != NULL)
		conn_secure_received(conn, bytes);
	else
		conn->events->received(conn->owner, bytes);
}

void conn_update_reading(struct net_conn *conn)
{
	if (conn->state == CONN_CLOSING)
		return;
	bool wanted =
	    !conn->eof && ((conn->state == CONN_OPEN && !conn->paused) || conn->state == CONN_FLUSHING);

	if (wanted == conn->reading)
		return;
	if (!wanted) {
		stop_reading(conn);
		return;
	}
	conn->reading = true;
	int error = uv_read_start((uv_stream_t *)&conn->uv, on_alloc, on_read);
	if (error != 0)
		conn_end_with(conn, error);
}

static void pause_conn(struct net_conn *conn, bool paused)
{
	if (conn->paused == paused)
		return;
	conn->paused = paused;
	if (conn->state != CONN_OPEN)
		return;
	if (!paused && conn->tls != NULL) {
		conn->tell_received = true;
		conn_defer(conn);
	}
	conn_update_reading(conn);
}

/* --- writing --------------------------------------------------------------------------------- */

static void on_shut(uv_shutdown_t *request, int status)
{
	struct net_conn *conn = conn_of(request->handle);

	conn->busy = false;
	if (conn->state != CONN_FLUSHING)
		return;
	conn->shut = true;
	if (status != 0 || conn->eof)
		conn_destroy(conn);
}

/* All that was written has been handed over. */
static void all_sent(struct net_conn *conn)
{
	if (conn->state == CONN_OPEN && conn->owes_drained) {
		conn->owes_drained = false;
		conn->tell_drained = true;
		conn_defer(conn);
	} else if (conn->state == CONN_FLUSHING && !conn->shut) {
		conn->busy = true;
		if (uv_shutdown(&conn->request.shutdown, (uv_stream_t *)&conn->uv, on_shut) != 0)
			conn_destroy(conn);
	}
}

static void on_written(uv_write_t *request, int status)
{
	struct net_conn *conn = conn_of(request->handle);

	conn->busy = false;
	buffer_deinit(&conn->sending);
	if (conn->state != CONN_OPEN && conn->state != CONN_FLUSHING && conn->state != CONN_ACCEPTED)
		return;
	if (status != 0)
		conn_end_with(conn, status);
	else if (buffer_size(&conn->queued) > 0)
		conn_send_queued(conn);
	else
		all_sent(conn);
}

/* The bytes move to a buffer that stays where it is while libuv sends it. */
void conn_send_queued(struct net_conn *conn)
{
	check(!conn->busy && buffer_size(&conn->sending) == 0);
	conn->sending = conn->queued;
	buffer_init(&conn->queued, 0);

	struct slice bytes = buffer_slice(&conn->sending);
	uv_buf_t buffer = uv_buf_init((char *)bytes.data, (unsigned)bytes.size);
	conn->busy = true;
	int error = uv_write(&conn->request.write, (uv_stream_t *)&conn->uv, &buffer, 1, on_written);
	if (error != 0) {
		conn->busy = false;
		conn_end_with(conn, error);
	}
}

static bool takes_bytes(const struct net_conn *conn)
{
	return conn->state == CONN_CONNECTING || conn->state == CONN_ACCEPTED || conn->state == CONN_OPEN ||
	       conn->state == CONN_FLUSHING;
}

/* What the socket takes at once, if nothing waits before it. A negative error of libuv otherwise. */
static int send_now(struct net_conn *conn, struct slice bytes)
{
	uv_buf_t buffer = uv_buf_init((char *)bytes.data, (unsigned)bytes.size);
	int size = uv_try_write((uv_stream_t *)&conn->uv, &buffer, 1);

	return size == UV_EAGAIN ? 0 : size;
}

int conn_send(struct net_conn *conn, struct slice bytes)
{
	if (!takes_bytes(conn) || bytes.size == 0)
		return 0;
	if (!conn->busy && buffer_size(&conn->queued) == 0) {
		int size = send_now(conn, bytes);
		if (size < 0) {
			conn_end_with(conn, size);
			return 0;
		}
		bytes = slice_from(bytes, (size_t)size);
	}
	if (bytes.size > 0 && buffer_add(&conn->queued, bytes) != 0) {
		conn_end(conn, NET_END_LOCAL, "out of memory");
		return ERR_MEMORY;
	}
	if (!conn->busy && bytes.size > 0)
		conn_send_queued(conn);
	return 0;
}

static int write_conn(struct net_conn *conn, struct slice bytes)
{
	if (!takes_bytes(conn) || bytes.size == 0)
		return 0;
	conn->owes_drained = true;
	conn->tell_drained = false; /* not any more */
	int error = conn->tls != NULL ? conn_secure_write(conn, bytes) : conn_send(conn, bytes);
	conn_check_sent(conn);
	return error;
}

void conn_check_sent(struct net_conn *conn)
{
	bool held_back = conn->tls != NULL && !tls_established(conn->tls);

	if (conn->state == CONN_OPEN && !conn->busy && !held_back && buffer_size(&conn->queued) == 0)
		all_sent(conn);
}

static size_t unsent(const struct net_conn *conn)
{
	return buffer_size(&conn->sending) + buffer_size(&conn->queued);
}

/* --- the owner's close ----------------------------------------------------------------------- */

static void flush_and_close(struct net_conn *conn)
{
	struct net_uv *net = conn->net;

	conn->state = CONN_FLUSHING;
	list_remove(&conn->pending);
	net_deadline_set(net, &conn->deadline, os_loop_clock(net->loop)->now_us + CLOCK_MS(net->flush_ms));
	if (conn->tls != NULL)
		conn_secure_goodbye(conn);
	conn_update_reading(conn);
	if (conn->state != CONN_FLUSHING || conn->busy)
		return;
	if (buffer_size(&conn->queued) > 0)
		conn_send_queued(conn);
	else
		all_sent(conn);
}

static void close_conn(struct net_conn *conn, bool flush)
{
	check(conn->state != CONN_FLUSHING && conn->state != CONN_CLOSING);
	if (flush && (conn->state == CONN_OPEN || conn->state == CONN_ACCEPTED))
		flush_and_close(conn);
	else
		conn_destroy(conn);
}

/* --- events that were put off ---------------------------------------------------------------- */

static void tell_closed(struct net_conn *conn)
{
	enum net_end end = conn->end;

	/* As after a close: the owner has heard the last of it. What he wrote may still be on its way. */
	conn->events->closed(conn->owner, end, conn->end_detail);
	check(conn->state == CONN_ENDED);
	if (end == NET_END_EOF) {
		conn->eof = true;
		flush_and_close(conn);
	} else {
		conn_destroy(conn);
	}
}

void conn_deliver(struct net_conn *conn)
{
	if (conn->state == CONN_OPEN && conn->tell_drained) {
		conn->tell_drained = false;
		conn->events->drained(conn->owner);
	}
	if (conn->state == CONN_OPEN && conn->tell_received) {
		conn->tell_received = false;
		conn_secure_received(conn, (struct slice){.data = NULL, .size = 0});
	}
	if (conn->state == CONN_ENDED)
		tell_closed(conn);
}

/* --- attaching, questions, and the table ----------------------------------------------------- */

static void attach(struct net_conn *conn, const struct net_events *events, void *owner)
{
	check(conn->state == CONN_ACCEPTED);
	conn->events = events;
	conn->owner = owner;
	conn->state = CONN_OPEN;
	conn_update_reading(conn);
}

static void peer(const struct net_conn *conn, struct net_address *ret_address)
{
	*ret_address = conn->peer;
}

static void local(const struct net_conn *conn, struct net_address *ret_address)
{
	union os_sockaddr s = {.any.sa_family = AF_UNSPEC};
	int size = sizeof(s);

	(void)uv_tcp_getsockname(&conn->uv, &s.any, &size); /* on failure the family stays 0: not known */
	*ret_address = os_address_from(&s);
}

static bool tls_ready(const struct net *port, bool as_server)
{
	const struct net_uv *net = container_of(port, const struct net_uv, port);

	return (as_server ? net->server : net->client) != NULL;
}

const struct net_ops net_uv_ops = {
    .connect = conn_connect,
    .attach = attach,
    .write = write_conn,
    .unsent = unsent,
    .pause = pause_conn,
    .start_tls = conn_start_tls,
    .close = close_conn,
    .peer = peer,
    .local = local,
    .tls_ready = tls_ready,
};
