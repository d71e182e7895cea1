/* Which store: by the name in the configuration.
 */
#ifndef DAEMON_STORE_OPEN_H
#define DAEMON_STORE_OPEN_H

#include "port/log.h"
#include "port/store.h"

enum { STORE_OPEN_MESSAGE_SIZE = 512 };

/* kind: "spool" (in the working folder) or "ram". wake is called from any thread when poll has something to
 * do. NULL with a message for people. */
struct store *store_open(const char *kind, struct log *log, uint64_t seed, void (*wake)(void *owner),
			 void *owner, char ret_message[STORE_OPEN_MESSAGE_SIZE]);

#endif
