/* port/resolver.h on libunbound, working inside our loop (os/unbound_events.h).
 *
 * Who is asked: the forwarder of the options; else the name servers of /etc/resolv.conf, because networks
 * that have their own names, or let nobody but those servers ask the world, say so there; else the root
 * servers and down.
 *
 * DNSSEC is validated only with a trust anchor: the one of the options; else, when the root servers are
 * asked, root.key of the packages dns-root-data or unbound. Not by default behind a forwarder: one that
 * strips signatures would make every answer bogus, and the mail would stand still. Without an anchor no
 * answer is `secure`.
 *
 * "localhost" and names below it are 127.0.0.1 and ::1 (RFC 6761 §6.3), IPv4 first; IP literals are their own
 * address; names of the hosts file have the addresses that stand there. Files are read once, at the start.
 *
 * Answers are cached by libunbound, negative ones for at most RESOLVER_NEGATIVE_TTL_MAX_S: a domain that
 * waits for its MX should not wait for a cache as well. A question without an answer within timeout_ms fails.
 */
#ifndef OS_RESOLVER_UNBOUND_H
#define OS_RESOLVER_UNBOUND_H

#include "os/loop.h"
#include "port/resolver.h"

enum {
	RESOLVER_UNBOUND_MESSAGE_SIZE = 256,
	RESOLVER_UNBOUND_TIMEOUT_MS = 20000, /* default */
	RESOLVER_NEGATIVE_TTL_MAX_S = 60,
	RESOLVER_POSITIVE_TTL_MAX_S = 3600,
	RESOLVER_HOSTS_BYTES_MAX = 1 << 20, /* more of a hosts file is not read */
};

struct resolver_unbound_options {
	const char *forwarder; /* "192.0.2.53", "192.0.2.53:5353" or "[2001:db8::53]:53"; NULL: resolv_conf */
	const char *resolv_conf;  /* NULL: "/etc/resolv.conf"; "": ask the root servers */
	const char *hosts;	  /* NULL: "/etc/hosts"; "": none */
	const char *trust_anchor; /* a file of DNSKEY or DS records; NULL: see above; "": none */
	int64_t timeout_ms;	  /* 0: the default */
};

struct resolver_unbound;

/* NULL, with a message for people: no memory, or options that cannot be used. options may be NULL. */
struct resolver_unbound *resolver_unbound_new(struct os_loop *loop,
					      const struct resolver_unbound_options *options,
					      char ret_message[RESOLVER_UNBOUND_MESSAGE_SIZE]);
/* Questions under way are forgotten: nobody hears of them. Not from inside an answer. NULL is allowed. */
void resolver_unbound_free(struct resolver_unbound *resolver);

struct resolver *resolver_unbound_port(struct resolver_unbound *resolver);

#endif
