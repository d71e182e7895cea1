/* Between the files of a domain's queue: queue.c and queue_probe.c. */
#ifndef RELAY_QUEUE_PRIVATE_H
#define RELAY_QUEUE_PRIVATE_H

#include "relay/queue.h"

/* What a release makes due of one message. */
enum release { RELEASE_NOTHING, RELEASE_DISTRUSTED, RELEASE_ALL };

/* May this recipient be tried now? False too when it is of another domain, or over. */
bool queue_due(const struct domain *domain, enum release release, const struct store_recipient *r);

/* The first count recipients that are due; the caller puts it in the map. NULL: no memory. */
struct item *queue_item_new(struct domain *domain, uint64_t id, const struct store_envelope *e,
			    uint64_t body_bytes, enum release release, uint32_t count);

/* In memory, ready or in transit; or NULL. */
struct item *queue_find_item(const struct queue *queue, uint64_t id);

#endif
