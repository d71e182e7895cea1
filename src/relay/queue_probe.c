/* The probe of a domain that is held or doubted, and of a class of mail that is held: a walk of its own. */
#include <stdlib.h>

#include "relay/distrusted.h"
#include "relay/feed.h"
#include "relay/inbound.h"
#include "relay/queue_private.h"
#include "relay/trust.h"

/* One recipient, whether or not its back-off is over, if a server has refused it. NULL: it has none such, or
 * no memory. */
static struct item *probe_of(struct domain *domain, const struct store_entry *entry)
{
	struct queue *queue = &domain->queue;
	struct item *item = NULL;

	if (queue_find_item(queue, entry->id) != NULL || commit_pending(domain->relay, entry->id))
		return NULL;
	for (uint32_t i = 0; i < entry->envelope.recipient_count && item == NULL; i++)
		if (queue_due(domain, RELEASE_ALL, &entry->envelope.recipients[i]))
			item = queue_item_new(domain, entry->id, &entry->envelope, entry->body_bytes,
					      RELEASE_ALL, 1);
	return item;
}

enum { PROBE_BEST = 3 };

/* RECOVERY §1.2: known-good first, else one that was not refused yet; then the smaller one. While classes of
 * mail are held, one of the others. 0: it is no probe. */
static int probe_worth(const struct item *item)
{
	const struct store_recipient *recipient = &item->envelope.recipients[0];

	if (item->domain->queue.probe_of_class)
		return distrusted_worth(item->domain, item->envelope.reverse_path) == 2
			   ? PROBE_BEST
			   : distrusted_worth(item->domain, item->envelope.reverse_path);
	if (trust_knows(item->domain, recipient->forward_path) &&
	    distrusted_permits(item->domain, item->envelope.reverse_path))
		return PROBE_BEST;
	return recipient->attempts == 0 ? 2 : 1;
}

static void take_probe(struct queue *queue, struct item *item)
{
	queue->probe_after = 0;
	if (item == NULL)
		return; /* from the oldest on again */
	if (map_insert(&queue->items, &item->by_id, slice_make(item->id_key, sizeof(item->id_key))) != 0) {
		free(item);
		return;
	}
	item->look_again = true; /* it may have other recipients */
	queue->probe = item;
	queue->probe_after = item->id;
}

static void walk_for_probe(struct domain *domain, uint64_t after, uint32_t count,
			   void (*done)(void *, enum store_result, const struct store_entry *, size_t, bool))
{
	struct relay *relay = domain->relay;

	domain->queue.probe_loading = true;
	relay->operations++;
	relay->ports.store->ops->walk(relay->ports.store, domain->number, after, count, done, domain);
}

static void probe_read(void *owner, enum store_result result, const struct store_entry *entries, size_t count,
		       bool more)
{
	struct domain *domain = owner;
	struct queue *queue = &domain->queue;

	relay_enter(domain->relay);
	domain->relay->operations--;
	queue->probe_loading = false;
	bool there = result == STORE_OK && count > 0 && entries[0].id == queue->probe_best;
	take_probe(queue, there ? probe_of(domain, &entries[0]) : NULL);
	domain_wake(domain);
}

static void look_at_candidates(struct domain *domain, const struct store_entry *entries, size_t count)
{
	struct queue *queue = &domain->queue;

	for (size_t i = 0; i < count && queue->probe_best_worth < PROBE_BEST; i++) {
		struct item *item = probe_of(domain, &entries[i]);
		int worth = item != NULL ? probe_worth(item) : 0;
		if (worth > queue->probe_best_worth) {
			queue->probe_best = entries[i].id;
			queue->probe_best_worth = worth;
		}
		free(item);
	}
}

/* The one that was chosen is read once more: meanwhile it may have been sent, or changed. */
static void probe_walked(void *owner, enum store_result result, const struct store_entry *entries,
			 size_t count, bool more)
{
	struct domain *domain = owner;
	struct queue *queue = &domain->queue;
	bool page = result == STORE_OK && count > 0;

	relay_enter(domain->relay);
	domain->relay->operations--;
	queue->probe_loading = false;
	if (page)
		look_at_candidates(domain, entries, count);
	if (page && more && queue->probe_best_worth < PROBE_BEST &&
	    ++queue->probe_pages < QUEUE_PROBE_PAGES) {
		walk_for_probe(domain, entries[count - 1].id, QUEUE_PAGE, probe_walked);
		return;
	}
	if (queue->probe_best != 0) {
		walk_for_probe(domain, queue->probe_best - 1, 1, probe_read);
		return;
	}
	bool to_the_end = result == STORE_OK && !more, from_the_oldest = queue->probe_after == 0;
	queue->probe_after = page && more ? entries[count - 1].id : 0;
	if (to_the_end && !from_the_oldest)
		walk_for_probe(domain, 0, QUEUE_PAGE, probe_walked);
	else
		domain_wake(domain);
}

bool queue_seek_probe(struct domain *domain, bool of_class)
{
	struct queue *queue = &domain->queue;

	if (queue->probe != NULL || queue->probe_loading || !feed_holds_mail(domain))
		return false;
	queue->probe_of_class = of_class;
	queue->probe_pages = 0;
	queue->probe_best = 0;
	queue->probe_best_worth = 0;
	walk_for_probe(domain, queue->probe_after, QUEUE_PAGE, probe_walked);
	return true;
}

struct item *queue_take_probe(struct domain *domain)
{
	struct item *item = domain->queue.probe;

	domain->queue.probe = NULL;
	return item;
}
