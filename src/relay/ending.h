/* The end of recipients whose time is over, or whose server refuses them for good: first the sender is told,
 * if he may be (notify.h), then the end is written down.
 *
 * In this order, so that a crash between the two repeats the notification, and never ends a recipient in
 * silence. While it goes on the message counts as in transit (queue_sends): nothing of it is sent, nobody
 * else changes it.
 */
#ifndef RELAY_ENDING_H
#define RELAY_ENDING_H

#include <stdbool.h>

#include "port/store.h"

struct domain;
struct relay;

enum { ENDING_MAX = 128 }; /* messages at one time; the others wait for the next look */

/* The changes end recipients of the domain; all is copied. False: not now (it is being sent, no memory, too
 * many at one time); it comes up again. */
bool ending_begin(struct domain *domain, const struct store_entry *entry, const struct store_change *changes,
		  uint32_t count);
/* The message's server, proven healthy, has refused these recipients (indices, count of them) for good, and
 * that is recorded as their last replies: they end into grace, unless that has changed until the message is
 * found. */
void ending_refused(struct domain *domain, uint64_t id, const uint32_t *recipients, uint32_t count);
void ending_free_all(struct relay *relay);

#endif
