/* The resolver's options, the files it reads, and libunbound's context. See os/resolver_unbound.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unbound-event.h>
#include <unbound.h>
#include <unistd.h>

#include "os/resolver_private.h"
#include "os/unbound_events.h"

enum { DNS_PORT = 53 };

static int complain(char message[RESOLVER_UNBOUND_MESSAGE_SIZE], const char *what, const char *value,
		    int ub_error)
{
	(void)snprintf(message, RESOLVER_UNBOUND_MESSAGE_SIZE, "%s \"%.100s\": %s", what, value,
		       ub_strerror(ub_error));
	return ub_error == UB_NOMEM ? ERR_MEMORY : ERR_IO;
}

/* --- options of libunbound ------------------------------------------------------------------- */

/* A version that does not know one of them works too. */
static const char *const tuning[][2] = {
    /* resolvers on this machine listen on loopback */
    {"do-not-query-localhost:", "no"},
    /* after an outage of the network, forget quickly who did not answer */
    {"infra-host-ttl:", "30"},
    {"infra-keep-probing:", "yes"},
    {"infra-cache-max-rtt:", "4000"},
    {"cache-max-negative-ttl:", "60"},
    {"cache-max-ttl:", "3600"},
    {"msg-cache-size:", "8m"},
    {"rrset-cache-size:", "16m"},
    /* questions to servers at one time; the default for libraries is 16 */
    {"outgoing-range:", "256"},
    {"num-queries-per-thread:", "1024"},
};

_Static_assert(RESOLVER_NEGATIVE_TTL_MAX_S == 60 && RESOLVER_POSITIVE_TTL_MAX_S == 3600, "as in tuning");

static void tune(struct ub_ctx *context)
{
	(void)ub_ctx_debugout(context, NULL); /* it must not write to our standard error */
	for (size_t i = 0; i < sizeof(tuning) / sizeof(tuning[0]); i++)
		(void)ub_ctx_set_option(context, tuning[i][0], tuning[i][1]);
}

/* --- who is asked ---------------------------------------------------------------------------- */

/* "192.0.2.53", "192.0.2.53:5353", "2001:db8::53", "[2001:db8::53]:53" */
static int parse_server(struct slice text, struct net_address *ret_address)
{
	size_t colon = slice_find_last(text, ':');
	bool several = slice_find(text, ':') != colon;
	bool bracketed = text.size > 0 && text.data[0] == '[';
	uint64_t port = DNS_PORT;

	if (colon < text.size && (!several || (bracketed && text.data[colon - 1] == ']'))) {
		if (slice_to_u64(slice_from(text, colon + 1), &port) != 0 || port == 0 || port > UINT16_MAX)
			return ERR_SYNTAX;
		text = slice_upto(text, colon);
	}
	return net_address_parse(text, (uint16_t)port, ret_address);
}

static int use_forwarder(struct ub_ctx *context, const char *forwarder,
			 char message[RESOLVER_UNBOUND_MESSAGE_SIZE])
{
	struct net_address server;
	char host[NET_ADDRESS_TEXT_SIZE], text[NET_ADDRESS_TEXT_SIZE + 8];

	if (parse_server(slice_of(forwarder), &server) != 0) {
		(void)snprintf(
		    message, RESOLVER_UNBOUND_MESSAGE_SIZE,
		    "the name server \"%.100s\" is not an address; write 192.0.2.53 or 192.0.2.53:53",
		    forwarder);
		return ERR_SYNTAX;
	}
	(void)snprintf(text, sizeof(text), "%s@%u", net_address_host(&server, host), server.port);
	int error = ub_ctx_set_fwd(context, text);
	return error == 0 ? 0 : complain(message, "cannot use the name server", forwarder, error);
}

static bool has_name_server(const char *path)
{
	char line[512];
	bool found = false;
	FILE *file = fopen(path, "re");

	if (file == NULL)
		return false;
	while (!found && fgets(line, sizeof(line), file) != NULL)
		found = slice_starts(slice_trim(slice_of(line)), SLICE("nameserver"));
	(void)fclose(file);
	return found;
}

/* *ret_recursive: the root servers are asked. */
static int choose_servers(struct ub_ctx *context, const struct resolver_unbound_options *options,
			  bool *ret_recursive, char message[RESOLVER_UNBOUND_MESSAGE_SIZE])
{
	const char *path = options->resolv_conf != NULL ? options->resolv_conf : "/etc/resolv.conf";

	*ret_recursive = false;
	if (options->forwarder != NULL)
		return use_forwarder(context, options->forwarder, message);
	if (!has_name_server(path)) {
		*ret_recursive = true;
		return 0;
	}
	int error = ub_ctx_resolvconf(context, path);
	return error == 0 ? 0 : complain(message, "cannot read", path, error);
}

static int choose_anchor(struct ub_ctx *context, const char *anchor, bool recursive,
			 char message[RESOLVER_UNBOUND_MESSAGE_SIZE])
{
	static const char *const usual[] = {"/usr/share/dns/root.key", "/var/lib/unbound/root.key"};

	for (size_t i = 0; anchor == NULL && recursive && i < sizeof(usual) / sizeof(usual[0]); i++)
		if (access(usual[i], R_OK) == 0)
			anchor = usual[i];
	if (anchor == NULL || anchor[0] == '\0')
		return 0;
	int error = ub_ctx_add_ta_file(context, anchor);
	return error == 0 ? 0 : complain(message, "cannot use the trust anchor", anchor, error);
}

/* --- the hosts file -------------------------------------------------------------------------- */

/* Without a hosts file everything goes on without it. */
static int read_hosts(struct resolver_unbound *r, const char *path)
{
	FILE *file = path[0] != '\0' ? fopen(path, "re") : NULL;

	if (file == NULL)
		return 0;
	r->hosts = malloc(RESOLVER_HOSTS_BYTES_MAX);
	if (r->hosts != NULL)
		r->hosts_size = fread(r->hosts, 1, RESOLVER_HOSTS_BYTES_MAX, file);
	(void)fclose(file);
	if (r->hosts == NULL)
		return ERR_MEMORY;
	char *smaller = realloc(r->hosts, r->hosts_size + 1);
	if (smaller != NULL)
		r->hosts = smaller;
	return 0;
}

/* --- all of it ------------------------------------------------------------------------------- */

static int set_up_context(struct resolver_unbound *r, const struct resolver_unbound_options *options,
			  char message[RESOLVER_UNBOUND_MESSAGE_SIZE])
{
	bool recursive;

	tune(r->context);
	int error = choose_servers(r->context, options, &recursive, message);
	if (error == 0)
		error = choose_anchor(r->context, options->trust_anchor, recursive, message);
	if (error != 0 || recursive)
		return error;
	/* libunbound denies this domain (RFC 6761 §6.2), but a private name server may well have it. This
	 * ends the setting of options. */
	int ub_error = ub_ctx_zone_add(r->context, "test.", "transparent");
	return ub_error == 0 ? 0 : complain(message, "cannot set up", "test.", ub_error);
}

int resolver_set_up(struct resolver_unbound *r, const struct resolver_unbound_options *options,
		    char ret_message[RESOLVER_UNBOUND_MESSAGE_SIZE])
{
	(void)snprintf(ret_message, RESOLVER_UNBOUND_MESSAGE_SIZE, "out of memory");
	r->timeout_ms = options->timeout_ms != 0 ? options->timeout_ms : RESOLVER_UNBOUND_TIMEOUT_MS;
	r->events = unbound_events_new(os_loop_uv(r->loop));
	r->context = r->events != NULL ? ub_ctx_create_ub_event(r->events) : NULL;
	if (r->context == NULL)
		return ERR_MEMORY;
	int error = read_hosts(r, options->hosts != NULL ? options->hosts : "/etc/hosts");
	return error != 0 ? error : set_up_context(r, options, ret_message);
}
