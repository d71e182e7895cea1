/* A small name server on loopback, UDP and TCP, for tests. Its zone is a table. */
#ifndef TEST_UNIT_OS_DNS_SERVER_H
#define TEST_UNIT_OS_DNS_SERVER_H

#include "base/buffer.h"
#include "os/net_uv.h"

enum dns_act {
	DNS_ANSWER = 0, /* the records; none: NODATA with an SOA */
	DNS_NXDOMAIN = 1,
	DNS_SERVFAIL = 2,
	DNS_SILENCE = 3,
	DNS_TRUNCATED = 4, /* over UDP: the TC bit; over TCP: the records */
};

struct dns_record {
	uint16_t type;
	const char *owner; /* NULL: the name asked for */
	uint32_t ttl_s;
	uint16_t preference; /* of MX */
	const char *data;    /* a name, or an address literal */
};

struct dns_entry {
	const char *name;
	uint16_t type;
	enum dns_act act;
	struct dns_record records[24];
	size_t record_count;
	size_t repeat; /* > 0: so many MX records named mx<i>.<name>, preference repeat - i */
};

struct dns_server {
	struct os_loop *loop;
	struct os_watch *watch;
	int udp;
	struct net_uv *uv; /* for TCP */
	struct net_address address;
	const struct dns_entry *zone;
	size_t zone_count;
	unsigned asked_udp, asked_tcp;
	bool silent; /* the whole server */
};

void dns_server_init(struct dns_server *s, struct os_loop *loop, const struct dns_entry *zone,
		     size_t zone_count);
void dns_server_deinit(struct dns_server *s);

/* For tests of the reader: the answer of an entry to a question for itself. */
void dns_server_build(const struct dns_entry *entry, struct buffer *ret_message);

#endif
