#include "dns_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/address.h"
#include "os/dns_message.h"
#include "os/listen.h"

enum { HEADER_BYTES = 12, QUESTION_AT = HEADER_BYTES, UDP_BYTES = 4096, TTL_S = 300, MINIMUM_S = 30 };

/* --- building an answer ---------------------------------------------------------------------- */

static void put16(struct buffer *b, unsigned value)
{
	char bytes[2] = {(char)(value >> 8), (char)value};

	assert_int_equal(buffer_append(b, bytes, 2), 0);
}

static void put32(struct buffer *b, uint32_t value)
{
	put16(b, value >> 16);
	put16(b, value & 0xffffu);
}

static void put_name(struct buffer *b, const char *name)
{
	struct slice rest = slice_of(name), label;

	if (name[0] != '\0')
		while (slice_split(&rest, '.', &label)) {
			char size = (char)label.size;
			assert_int_equal(buffer_append(b, &size, 1), 0);
			assert_int_equal(buffer_add(b, label), 0);
		}
	assert_int_equal(buffer_append(b, "", 1), 0);
}

static void put_data(struct buffer *b, const struct dns_record *r)
{
	struct net_address a;

	if (r->type == DNS_TYPE_MX)
		put16(b, r->preference);
	if (r->type == DNS_TYPE_A || r->type == DNS_TYPE_AAAA) {
		assert_int_equal(net_address_parse(slice_of(r->data), 0, &a), 0);
		assert_int_equal(buffer_append(b, a.bytes, a.family == 4 ? 4 : 16), 0);
		return;
	}
	put_name(b, r->data);
}

static void put_record(struct buffer *b, const struct dns_record *r)
{
	struct buffer data;

	if (r->owner != NULL)
		put_name(b, r->owner);
	else
		put16(b, 0xc000u | QUESTION_AT);
	put16(b, r->type);
	put16(b, DNS_CLASS_IN);
	put32(b, r->ttl_s != 0 ? r->ttl_s : TTL_S);
	buffer_init(&data, 0);
	put_data(&data, r);
	put16(b, (unsigned)buffer_size(&data));
	assert_int_equal(buffer_add(b, buffer_slice(&data)), 0);
	buffer_deinit(&data);
}

static void put_repeated(struct buffer *b, const struct dns_entry *entry)
{
	for (size_t i = 0; i < entry->repeat; i++) {
		char host[300];
		(void)snprintf(host, sizeof(host), "mx%zu.%s", i, entry->name);
		put_record(b, &(struct dns_record){.type = DNS_TYPE_MX,
						   .preference = (uint16_t)(entry->repeat - i),
						   .data = host});
	}
}

static void put_soa(struct buffer *b)
{
	put_name(b, "example");
	put16(b, DNS_TYPE_SOA);
	put16(b, DNS_CLASS_IN);
	put32(b, TTL_S);
	put16(b, 22);
	put_name(b, "");
	put_name(b, "");
	for (int i = 0; i < 4; i++)
		put32(b, 1);
	put32(b, MINIMUM_S);
}

static void build(struct slice question, const char id[2], const struct dns_entry *entry, bool tcp,
		  struct buffer *b)
{
	bool truncated = entry != NULL && entry->act == DNS_TRUNCATED && !tcp;
	bool records =
	    entry != NULL && (entry->act == DNS_ANSWER || entry->act == DNS_TRUNCATED) && !truncated;
	size_t count = records ? entry->record_count + entry->repeat : 0;
	unsigned rcode =
	    entry == NULL || entry->act == DNS_NXDOMAIN ? 3 : (entry->act == DNS_SERVFAIL ? 2 : 0);
	bool negative = !truncated && count == 0 && rcode != 2;

	assert_int_equal(buffer_append(b, id, 2), 0);
	put16(b,
	      0x8180u | (truncated ? 0x0200u : 0) | rcode); /* a response, recursion desired and available */
	put16(b, 1);
	put16(b, (unsigned)count);
	put16(b, negative ? 1 : 0);
	put16(b, 0);
	assert_int_equal(buffer_add(b, question), 0);
	for (size_t i = 0; records && i < entry->record_count; i++)
		put_record(b, &entry->records[i]);
	if (records)
		put_repeated(b, entry);
	if (negative)
		put_soa(b);
}

void dns_server_build(const struct dns_entry *entry, struct buffer *ret_message)
{
	struct buffer question;

	buffer_init(&question, 0);
	put_name(&question, entry->name);
	put16(&question, entry->type);
	put16(&question, DNS_CLASS_IN);
	build(buffer_slice(&question), "id", entry, true, ret_message);
	buffer_deinit(&question);
}

/* --- answering ------------------------------------------------------------------------------- */

static const struct dns_entry *find(const struct dns_server *s, const char *name, unsigned type)
{
	const struct dns_entry *named = NULL;
	static const struct dns_entry nodata = {.act = DNS_ANSWER};

	for (size_t i = 0; i < s->zone_count; i++) {
		if (strcasecmp(s->zone[i].name, name) != 0)
			continue;
		if (s->zone[i].type == type || s->zone[i].act == DNS_NXDOMAIN)
			return &s->zone[i];
		named = &nodata;
	}
	return named;
}

/* False: nothing is to be said. */
static bool answer(struct dns_server *s, struct slice message, bool tcp, struct buffer *ret_answer)
{
	char name[256] = "";
	size_t at = QUESTION_AT, used = 0;

	assert_true(message.size > HEADER_BYTES + 5);
	while (message.data[at] != 0) {
		size_t size = (size_t)message.data[at];
		used += (size_t)snprintf(name + used, sizeof(name) - used, "%s%.*s", used > 0 ? "." : "",
					 (int)size, message.data + at + 1);
		at += size + 1;
		assert_true(at + 5 <= message.size);
	}
	unsigned type =
	    (unsigned)(unsigned char)message.data[at + 1] << 8 | (unsigned char)message.data[at + 2];
	const struct dns_entry *entry = find(s, name, type);
	if (s->silent || (entry != NULL && entry->act == DNS_SILENCE))
		return false;
	struct slice question = slice_make(message.data + QUESTION_AT, at + 5 - QUESTION_AT);
	build(question, message.data, entry, tcp, ret_answer);
	return true;
}

static void on_udp(void *owner)
{
	struct dns_server *s = owner;
	char bytes[UDP_BYTES];
	union os_sockaddr from;
	socklen_t from_size = sizeof(from);
	struct buffer reply;

	ssize_t size = recvfrom(s->udp, bytes, sizeof(bytes), MSG_DONTWAIT, &from.any, &from_size);
	if (size <= 0)
		return;
	s->asked_udp++;
	buffer_init(&reply, 0);
	if (answer(s, slice_make(bytes, (size_t)size), false, &reply)) {
		struct slice out = buffer_slice(&reply);
		assert_int_equal(sendto(s->udp, out.data, out.size, 0, &from.any, from_size),
				 (ssize_t)out.size);
	}
	buffer_deinit(&reply);
}

/* --- TCP: each message behind its size; a connection carries one ----------------------------- */

struct stream {
	struct dns_server *server;
	struct net_conn *conn;
	struct buffer in;
};

static void end_stream(struct stream *stream)
{
	buffer_deinit(&stream->in);
	free(stream);
}

static void on_tcp_received(void *owner, struct slice bytes)
{
	struct stream *stream = owner;
	struct net *net = net_uv_port(stream->server->uv);
	struct buffer reply, framed;

	assert_int_equal(buffer_add(&stream->in, bytes), 0);
	struct slice in = buffer_slice(&stream->in);
	if (in.size < 2)
		return;
	size_t size = (size_t)(unsigned char)in.data[0] << 8 | (unsigned char)in.data[1];
	if (in.size < 2 + size)
		return;
	stream->server->asked_tcp++;
	buffer_init(&reply, 0);
	buffer_init(&framed, 0);
	if (answer(stream->server, slice_make(in.data + 2, size), true, &reply)) {
		put16(&framed, (unsigned)buffer_size(&reply));
		assert_int_equal(buffer_add(&framed, buffer_slice(&reply)), 0);
		assert_int_equal(net->ops->write(stream->conn, buffer_slice(&framed)), 0);
	}
	buffer_deinit(&reply);
	buffer_deinit(&framed);
	net->ops->close(stream->conn, true);
	end_stream(stream);
}

static void on_tcp_closed(void *owner, enum net_end end, const char *detail)
{
	(void)end;
	(void)detail;
	end_stream(owner);
}

static void ignore(void *owner)
{
	(void)owner;
}

static const struct net_events tcp_events = {
    .connected = ignore,
    .received = on_tcp_received,
    .drained = ignore,
    .closed = on_tcp_closed,
};

static void on_tcp_accepted(void *owner, struct net_conn *conn)
{
	struct dns_server *s = owner;
	struct stream *stream = calloc(1, sizeof(*stream));

	assert_non_null(stream);
	stream->server = s;
	stream->conn = conn;
	buffer_init(&stream->in, 0);
	net_uv_port(s->uv)->ops->attach(conn, &tcp_events, stream);
}

/* --- life ------------------------------------------------------------------------------------ */

void dns_server_init(struct dns_server *s, struct os_loop *loop, const struct dns_entry *zone,
		     size_t zone_count)
{
	char message[OS_LISTEN_MESSAGE_SIZE];
	struct net_address any = {.family = 4, .bytes = {127, 0, 0, 1}};
	union os_sockaddr address;

	*s = (struct dns_server){.loop = loop, .zone = zone, .zone_count = zone_count};
	int tcp = os_listen_socket(&any, 8, message);
	assert_true(tcp >= 0);
	s->address = os_listen_address(tcp);
	s->uv = net_uv_new(loop, NULL);
	assert_non_null(s->uv);
	assert_non_null(net_uv_listen_fd(s->uv, tcp, on_tcp_accepted, s));
	s->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(s->udp >= 0);
	socklen_t size = os_sockaddr_from(&s->address, &address);
	assert_int_equal(bind(s->udp, &address.any, size), 0);
	s->watch = os_watch_new(loop, s->udp, on_udp, s);
	assert_non_null(s->watch);
}

void dns_server_deinit(struct dns_server *s)
{
	os_watch_free(s->watch);
	(void)close(s->udp);
	net_uv_free(s->uv);
}
