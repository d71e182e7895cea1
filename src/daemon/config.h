/* What `restante serve` was told: by options, and by a configuration file with the same names as keys.
 *
 * An option on the command line wins over the file; the addresses of --listen replace the file's, the domains
 *of both are served. A file holds `key = value` lines, `#` or `;` comments, and no sections:
 *
 *	hostname = relay.example.net
 *	listen = 0.0.0.0:25
 *	domain = example.com=mail.example.com
 *	domain = example.org
 */
#ifndef DAEMON_CONFIG_H
#define DAEMON_CONFIG_H

#include "base/arena.h"
#include "port/net.h"

enum {
	CONFIG_LISTEN_MAX = 16,
	CONFIG_DOMAIN_MAX = 10000, /* given here; more are added by `restante domain add` */
	CONFIG_MESSAGE_SIZE = 1024,
	CONFIG_BYTES_MAX = 16 * 1024 * 1024, /* of all strings */
	CONFIG_LINE_MAX = 1024,
};

struct config_domain {
	const char *name;
	const char *hosts; /* "HOST[:PORT],..." as given, or NULL */
	struct config_domain *next;
};

struct config {
	struct arena arena; /* owns the strings */
	const char *data;   /* data folder; never NULL after config_read */
	const char *file;   /* or NULL */
	const char *hostname;
	const char *store; /* "spool", "ram" */
	const char *normalise;
	size_t listen_count;
	struct net_address listen[CONFIG_LISTEN_MAX];
	struct net_address api;	     /* family 0: none */
	struct net_address resolver; /* family 0: the system's */
	size_t domain_count;
	struct config_domain *domains, **domains_end; /* in the order given */
};

void config_init(struct config *config);
void config_deinit(struct config *config);

/* Takes the options (without program name and command), and the file that they name. ERR_SYNTAX with a
 * message that says which option or line is wrong and what was perhaps meant; ERR_MEMORY; ERR_IO: the file
 * cannot be read. */
nodiscard int config_read(struct config *config, int argc, char **argv,
			  char ret_message[CONFIG_MESSAGE_SIZE]);

/* Lines for `restante help serve`. */
const char *config_help(void);

#endif
