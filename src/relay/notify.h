/* Tells the sender of a message what became of it: a delivery status notification (proto/dsn.h) to its
 * reverse-path, as mail of our own (outside.h). Delays are never told.
 *
 * Nobody is told who might not have sent it: only a reverse-path that SPF authenticated when the message was
 * accepted (STORE_SPF_PASS) gets one. The others find their mail in grace (ends.h).
 */
#ifndef RELAY_NOTIFY_H
#define RELAY_NOTIFY_H

#include "port/store.h"

struct relay;

enum {
	NOTIFY_HEADER_MAX = 64 * 1024, /* bytes of the message's header that are returned */
	/* A larger message is returned as its header only, RET=FULL or not. */
	NOTIFY_FULL_MAX = 1024 * 1024,
};

enum notify_result {
	NOTIFY_SENT = 0,  /* the notification is durable */
	NOTIFY_LATER = 1, /* limits of outside.h, no memory, a store that fails: ask again */
	NOTIFY_NEVER = 2, /* it cannot be sent: no such address, no room in the spool */
};
typedef void notify_done(void *owner, enum notify_result result);

/* Is the sender to be told that this recipient has failed (RFC 3461 §4.1)? */
bool notify_of_failure(const struct store_envelope *envelope, const struct store_recipient *recipient);

/* Tells him that those recipients of the entry fail that the changes (count of them, each REFUSED or EXPIRED)
 * are about, and that notify_of_failure is true for; there is at least one. Everything is copied, the message
 * is read from the store. done is called later, never from inside the call, unless the relay is freed before.
 * ERR_MEMORY: it is not. */
nodiscard int notify_failures(struct relay *relay, const struct store_entry *entry,
			      const struct store_change *changes, uint32_t count, notify_done *done,
			      void *owner);
void notify_free_all(struct relay *relay);

#endif
