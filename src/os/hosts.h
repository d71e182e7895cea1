/* Names from a hosts file (hosts(5)). Pure.
 *
 * libunbound can read such files too, but then answers "no data" to the question for the MX of a name that
 * stands in one.
 */
#ifndef OS_HOSTS_H
#define OS_HOSTS_H

#include "port/net.h"

/* Finds the addresses of a name in the file's text, in its order, at most max; returns their number. The name
 * is compared in any case. Lines that make no sense are skipped. */
size_t hosts_find(struct slice text, struct slice name, struct net_address *ret_addresses, size_t max);

#endif
