#include "relay/queue_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "relay/distrusted.h"
#include "relay/feed.h"
#include "relay/in_session.h"
#include "relay/inbound.h"
#include "relay/trust.h"

/* --- items --- */

static size_t text_bytes(const struct store_envelope *e, uint32_t wanted_domain)
{
	size_t bytes = e->reverse_path.size + e->envid.size;

	for (uint32_t i = 0; i < e->recipient_count; i++)
		if (e->recipients[i].domain == wanted_domain)
			bytes += e->recipients[i].forward_path.size + e->recipients[i].orcpt.size;
	return bytes;
}

static struct slice put_text(char **at, struct slice text)
{
	struct slice copy = slice_make(*at, text.size);

	if (text.size > 0)
		memcpy(*at, text.data, text.size);
	*at += text.size;
	return copy;
}

/* A back-off longer than any that is given means that the wall clock was put back meanwhile: it counts as
 * over. */
static bool backed_off(int64_t not_before_ms, int64_t now_ms)
{
	return not_before_ms > now_ms && not_before_ms - now_ms <= QUEUE_BACKOFF_MAX_MS;
}

/* Was it a server that spoke last, so that trying again early does no harm? After a reply that was never seen
 * (our own words stand there) it would make duplicates. */
static bool refused_by_server(const struct store_recipient *r)
{
	return r->last_reply.size > 0 && r->last_reply.data[0] >= '4' && r->last_reply.data[0] <= '5';
}

static enum release released(const struct domain *domain, uint64_t id, const struct store_envelope *e)
{
	const struct queue *queue = &domain->queue;

	if (!queue->ignore_backoff)
		return RELEASE_NOTHING;
	const struct queue_end *end = crowds_own(domain, id, e) ? &queue->crowd : &queue->backlog;
	if (id <= end->released_to)
		return RELEASE_NOTHING;
	return queue->only_distrusted ? RELEASE_DISTRUSTED : RELEASE_ALL;
}

bool queue_due(const struct domain *domain, enum release release, const struct store_recipient *r)
{
	if (r->state != STORE_QUEUED || r->domain != domain->number)
		return false;
	if ((release == RELEASE_ALL || (release == RELEASE_DISTRUSTED && verdict_reason_is_us(r->reason))) &&
	    refused_by_server(r))
		return true;
	return !backed_off(r->not_before_ms, domain->relay->now.wall_ms);
}

/* One allocation: item, recipients, indices, text. */
struct item *queue_item_new(struct domain *domain, uint64_t id, const struct store_envelope *e,
			    uint64_t body_bytes, enum release release, uint32_t count)
{
	size_t recipients_at = sizeof(struct item);
	size_t index_at = recipients_at + count * sizeof(struct store_recipient);
	size_t text_at = index_at + count * sizeof(uint32_t);
	char *memory = calloc(1, text_at + text_bytes(e, domain->number) + 1);
	if (memory == NULL)
		return NULL;

	struct item *item = (struct item *)(void *)memory;
	char *text = memory + text_at;
	*item =
	    (struct item){.domain = domain, .id = id, .body_bytes = body_bytes, .arrival_ms = e->arrival_ms};
	item->envelope = *e;
	item->envelope.reverse_path = put_text(&text, e->reverse_path);
	item->envelope.envid = put_text(&text, e->envid);
	item->envelope.client_address = item->envelope.client_name = (struct slice){.data = NULL, .size = 0};
	item->envelope.helo = item->envelope.message_id = item->envelope.client_name;
	item->envelope.recipients = (struct store_recipient *)(void *)(memory + recipients_at);
	item->envelope.recipient_count = count;
	item->recipient_index = (uint32_t *)(void *)(memory + index_at);
	for (uint32_t i = 0, n = 0; i < e->recipient_count && n < count; i++) {
		if (!queue_due(domain, release, &e->recipients[i]))
			continue;
		item->envelope.recipients[n] = e->recipients[i];
		item->envelope.recipients[n].forward_path = put_text(&text, e->recipients[i].forward_path);
		item->envelope.recipients[n].orcpt = put_text(&text, e->recipients[i].orcpt);
		item->envelope.recipients[n].last_reply = (struct slice){.data = NULL, .size = 0};
		item->recipient_index[n++] = i;
	}
	memcpy(item->id_key, &id, sizeof(id));
	return item;
}

struct item *queue_find_item(const struct queue *queue, uint64_t id)
{
	struct map_node *node = map_find(&queue->items, slice_make(&id, sizeof(id)));

	return node != NULL ? container_of(node, struct item, by_id) : NULL;
}

static void item_free(struct item *item)
{
	in_session_over(item);
	map_remove(&item->domain->queue.items, &item->by_id);
	list_remove(&item->in_end);
	free(item);
}

static struct queue_end *end_of(struct item *item)
{
	struct queue *queue = &item->domain->queue;

	if (item->of_crowd)
		return &queue->crowd;
	return item->fresh ? &queue->fresh : &queue->backlog;
}

/* When the first of the recipients of this domain that may not be tried yet may; INT64_MAX: none has to wait.
 */
static int64_t earliest_backoff(const struct domain *domain, enum release release,
				const struct store_envelope *e)
{
	int64_t earliest = INT64_MAX;

	for (uint32_t i = 0; i < e->recipient_count; i++) {
		const struct store_recipient *r = &e->recipients[i];
		bool waits =
		    r->state == STORE_QUEUED && r->domain == domain->number && !queue_due(domain, release, r);
		if (waits && r->not_before_ms < earliest)
			earliest = r->not_before_ms;
	}
	return earliest;
}

/* --- passes --- */

static void note_due(struct domain *domain, int64_t due_ms)
{
	struct queue *queue = &domain->queue;
	struct relay *relay = domain->relay;

	if (due_ms >= queue->next_due_ms)
		return;
	queue->next_due_ms = due_ms;
	int64_t wait_ms = due_ms - relay->now.wall_ms;
	/* Not more often than each second, so that many small back-offs make few passes; the wall clock may
	 * have jumped. */
	if (wait_ms < 1000)
		wait_ms = 1000;
	timer_set(&relay->timers, &queue->due_timer, relay->now.now_us + CLOCK_MS(wait_ms));
}

void queue_tell(struct domain *domain)
{
	const struct queue *queue = &domain->queue;

	if (domain->feed == NULL)
		return;
	bool flows = feed_flows(domain);
	uint32_t backlog = (uint32_t)(queue->backlog.ready_count + queue->crowd.ready_count);
	uint32_t fresh = (uint32_t)queue->fresh.ready_count;
	if (flows)
		turns_ready(&domain->feed->turns, &domain->turn, fresh > 0, backlog > 0);
	else
		turns_leave(&domain->feed->turns, &domain->turn);
	members_count(domain, flows ? fresh + backlog : 0,
		      flows ? (uint32_t)queue->fresh.loading + (uint32_t)queue->backlog.loading +
				  (uint32_t)queue->crowd.loading
			    : 0);
}

static void end_reset(struct queue_end *end, uint64_t cursor)
{
	list_each_safe(node, after, &end->ready)
		item_free(container_of(node, struct item, in_end));
	end->ready_count = 0;
	end->cursor = cursor;
	end->exhausted = false;
	end->stale = end->loading;
	end->arrived_meanwhile = false;
}

static void drop_probe(struct queue *queue)
{
	if (queue->probe != NULL)
		item_free(queue->probe);
	queue->probe = NULL;
}

/* Everything that the fresh end has considered belongs to the backlog from now on; the backlog is read from
 * the oldest. */
static void begin_pass(struct domain *domain)
{
	struct queue *queue = &domain->queue;

	drop_probe(queue);
	queue->next_due_ms = INT64_MAX;
	timer_clear(&domain->relay->timers, &queue->due_timer);
	if (queue->fresh.cursor >= queue->fresh_from)
		queue->fresh_from = queue->fresh.cursor + 1;
	crowds_pass(domain, queue->ignore_backoff);
	end_reset(&queue->backlog, 0);
	end_reset(&queue->crowd, 0);
	queue->crowd.exhausted = queue->crowds.count == 0;
	queue->backlog.failed = false;
	queue->fresh.failed = false;
	queue->crowd.failed = false;
	queue_tell(domain);
	domain_wake(domain);
}

static void due_timer_fired(struct timer *timer)
{
	struct queue *queue = container_of(timer, struct queue, due_timer);
	struct domain *domain = container_of(queue, struct domain, queue);

	queue->next_due_ms = INT64_MAX;
	begin_pass(domain);
}

void queue_init(struct queue *queue, struct domain *domain, uint64_t fresh_from)
{
	*queue = (struct queue){
	    .backlog = {.domain = domain},
	    .fresh = {.domain = domain, .is_fresh = true},
	    .crowd = {.domain = domain, .exhausted = true},
	    .fresh_from = fresh_from,
	    .next_due_ms = INT64_MAX,
	};
	list_init(&queue->backlog.ready);
	list_init(&queue->fresh.ready);
	list_init(&queue->crowd.ready);
	queue->fresh.cursor = fresh_from - 1;
	queue->due_timer.fire = due_timer_fired;
	map_init(&queue->items, rng_next(&domain->relay->rng));
}

void queue_deinit(struct queue *queue)
{
	struct domain *domain = container_of(queue, struct domain, queue);

	timer_clear(&domain->relay->timers, &queue->due_timer);
	drop_probe(queue);
	end_reset(&queue->backlog, 0);
	end_reset(&queue->fresh, 0);
	end_reset(&queue->crowd, 0);
	check(queue->items.count == 0);
	map_deinit(&queue->items);
}

static void release_all(struct queue *queue)
{
	queue->ignore_backoff = true;
	queue->only_distrusted = false;
	queue->backlog.released_to = queue->crowd.released_to = 0;
}

void queue_restart(struct domain *domain, bool release)
{
	struct queue *queue = &domain->queue;
	struct store *store = domain->relay->ports.store;

	queue->fresh_from = store->ops->next_id(store, domain->relay->now.wall_ms);
	if (release)
		release_all(queue);
	end_reset(&queue->fresh, queue->fresh_from - 1);
	queue->fresh.exhausted = true; /* nothing has such an id yet */
	begin_pass(domain);
}

void queue_drop(struct domain *domain)
{
	queue_restart(domain, false);
}

void queue_release(struct domain *domain)
{
	release_all(&domain->queue);
	begin_pass(domain);
}

/* A release of all that is under way goes on. */
void queue_release_distrusted(struct domain *domain)
{
	struct queue *queue = &domain->queue;

	if (!queue->ignore_backoff || queue->only_distrusted) {
		release_all(queue);
		queue->only_distrusted = true;
	}
	begin_pass(domain);
}

/* --- reading on --- */

static bool add_item(struct queue_end *end, struct item *item, bool look_again)
{
	struct queue *queue = &end->domain->queue;

	if (item == NULL ||
	    map_insert(&queue->items, &item->by_id, slice_make(item->id_key, sizeof(item->id_key))) != 0) {
		free(item);
		return false;
	}
	item->fresh = end->is_fresh;
	item->of_crowd = end == &queue->crowd;
	item->look_again = look_again;
	list_add_last(&end->ready, &item->in_end);
	end->ready_count++;
	return true;
}

/* Adds those recipients of an entry that are due to its end, and notes when the others will be. */
static struct item *take_entry(struct queue_end *end, uint64_t id, const struct store_envelope *envelope,
			       uint64_t body_bytes)
{
	struct domain *domain = end->domain;
	struct item *known = queue_find_item(&domain->queue, id);
	enum release release = released(domain, id, envelope);
	int64_t next_due_ms = earliest_backoff(domain, release, envelope);
	struct item *item = NULL;
	uint32_t due_count = 0;

	if (known != NULL) { /* on its way, perhaps with other recipients: looked at again after that */
		known->look_again = true;
		return NULL;
	}
	if (!distrusted_permits(domain, envelope->reverse_path)) /* its release begins a pass */
		return NULL;
	for (uint32_t i = 0; i < envelope->recipient_count; i++)
		due_count += queue_due(domain, release, &envelope->recipients[i]);
	bool single = due_count > 1 && feed_single(domain->feed);
	if (due_count > 0)
		item = queue_item_new(domain, id, envelope, body_bytes, release, single ? 1 : due_count);
	if (due_count > 0 && !add_item(end, item, single)) {
		item = NULL;
		next_due_ms = domain->relay->now.wall_ms + 1000; /* no memory: later */
	}
	if (next_due_ms != INT64_MAX)
		note_due(domain, next_due_ms);
	return item;
}

/* All that was released has been given out. */
static void end_release(struct queue *queue)
{
	if (queue->backlog.exhausted && queue->backlog.ready_count == 0 && queue->crowd.exhausted &&
	    queue->crowd.ready_count == 0)
		queue->ignore_backoff = false;
}

/* Does a walk of the other end bring it up? */
static bool is_of_other_end(const struct queue_end *end, const struct store_entry *entry)
{
	const struct queue *queue = &end->domain->queue;

	return !end->is_fresh &&
	       crowds_own(end->domain, entry->id, &entry->envelope) != (end == &queue->crowd);
}

static void take_entries(struct queue_end *end, const struct store_entry *entries, size_t count, bool more)
{
	struct domain *domain = end->domain;
	struct queue *queue = &domain->queue;

	for (size_t i = 0; i < count; i++) {
		if (!end->is_fresh && entries[i].id >= queue->fresh_from) {
			more = false;
			break;
		}
		end->cursor = entries[i].id;
		if (!commit_pending(domain->relay, entries[i].id) && !is_of_other_end(end, &entries[i]))
			(void)take_entry(end, entries[i].id, &entries[i].envelope, entries[i].body_bytes);
	}
	end->exhausted = !more && !end->arrived_meanwhile;
	end->arrived_meanwhile = false;
	end_release(queue);
}

static void withdraw(struct queue_end *end)
{
	list_each_safe(node, after, &end->ready) {
		struct item *item = container_of(node, struct item, in_end);
		if (distrusted_permits(item->domain, item->envelope.reverse_path))
			continue;
		end->ready_count--;
		item_free(item);
	}
}

void queue_withdraw(struct domain *domain)
{
	withdraw(&domain->queue.backlog);
	withdraw(&domain->queue.fresh);
	withdraw(&domain->queue.crowd);
	end_release(&domain->queue);
	queue_tell(domain);
	domain_wake(domain);
}

static void walk_done(void *owner, enum store_result result, const struct store_entry *entries, size_t count,
		      bool more)
{
	struct queue_end *end = owner;
	struct domain *domain = end->domain;
	struct relay *relay = domain->relay;
	bool stale = end->stale;

	relay_enter(relay);
	relay->operations--;
	end->loading = false;
	end->stale = false;
	end->failed = result != STORE_OK;
	if (end->failed)
		note_due(domain, relay->now.wall_ms + 1000);
	else if (!stale)
		take_entries(end, entries, count, more);
	if (end == &domain->queue.backlog && feed_flows(domain))
		crowds_find(domain);
	queue_tell(domain);
	domain_wake(domain);
}

static bool wants_reading(const struct queue_end *end)
{
	return !end->exhausted && !end->loading && !end->failed &&
	       end->ready_count + QUEUE_PAGE <= QUEUE_ITEMS_MAX;
}

bool queue_wants_reading(const struct domain *domain)
{
	return wants_reading(&domain->queue.backlog) || wants_reading(&domain->queue.fresh) ||
	       wants_reading(&domain->queue.crowd);
}

bool queue_reading(const struct queue *queue)
{
	return queue->backlog.loading || queue->fresh.loading || queue->crowd.loading;
}

static void read_on(struct queue_end *end)
{
	struct domain *domain = end->domain;
	struct relay *relay = domain->relay;

	if (!wants_reading(end))
		return;
	if (!feed_holds_mail(domain)) { /* no need to ask */
		take_entries(end, NULL, 0, false);
		return;
	}
	end->loading = true;
	relay->operations++;
	relay->ports.store->ops->walk(relay->ports.store, domain->number, end->cursor, QUEUE_PAGE, walk_done,
				      end);
}

void queue_fill_canary(struct domain *domain)
{
	read_on(&domain->queue.backlog);
	read_on(&domain->queue.fresh);
}

void queue_fill(struct domain *domain)
{
	queue_fill_canary(domain);
	read_on(&domain->queue.crowd);
	queue_tell(domain);
}

bool queue_at_rest(const struct queue *queue)
{
	return queue->items.count == 0 && !queue_reading(queue) && !queue->probe_loading;
}

static struct queue_end *end_for(struct domain *domain, uint64_t id, const struct store_envelope *envelope)
{
	struct queue *queue = &domain->queue;

	if (id >= queue->fresh_from)
		return &queue->fresh;
	return crowds_own(domain, id, envelope) ? &queue->crowd : &queue->backlog;
}

struct item *queue_arrived(struct domain *domain, uint64_t id, const struct store_envelope *envelope,
			   uint64_t body_bytes)
{
	struct queue_end *end = end_for(domain, id, envelope);
	struct item *item = NULL;
	bool passed_over = id <= end->cursor; /* a walk has seen it, or a later one was added before */

	members_holds(domain);
	if (end->loading)
		end->arrived_meanwhile = true;
	if (!passed_over && (!end->exhausted || end->ready_count >= QUEUE_ITEMS_MAX || !feed_flows(domain))) {
		end->exhausted = false;
	} else {
		item = take_entry(end, id, envelope, body_bytes);
		if (!passed_over)
			end->cursor = id;
	}
	queue_tell(domain);
	domain_wake(domain);
	return item;
}

/* --- giving out --- */

static struct item *take(struct queue_end *end, struct item *item)
{
	struct queue *queue = &end->domain->queue;

	list_remove(&item->in_end);
	end->ready_count--;
	if (!end->is_fresh && item->id > end->released_to)
		end->released_to = item->id;
	end_release(queue);
	queue_tell(end->domain);
	return item;
}

static struct queue_end *end_in_turn(struct queue *queue, bool fresh)
{
	if (fresh)
		return &queue->fresh;
	if (queue->crowd.ready_count == 0)
		return &queue->backlog;
	if (queue->backlog.ready_count == 0 || crowds_turn(&queue->crowds))
		return &queue->crowd;
	return &queue->backlog;
}

struct item *queue_take(struct domain *domain, bool fresh)
{
	struct queue_end *end = end_in_turn(&domain->queue, fresh);
	struct list *first = list_first(&end->ready);

	return first != NULL ? take(end, container_of(first, struct item, in_end)) : NULL;
}

/* RECOVERY §1.2: small, one recipient; which one changes with each failure. */
static bool better_canary(const struct item *a, const struct item *b)
{
	bool a_single = a->envelope.recipient_count == 1, b_single = b->envelope.recipient_count == 1;

	if (a_single != b_single)
		return a_single;
	return a->body_bytes < b->body_bytes;
}

struct item *queue_take_canary(struct domain *domain, uint32_t tried)
{
	struct queue *queue = &domain->queue;
	struct queue_end *end = queue->backlog.ready_count > 0 ? &queue->backlog : &queue->fresh;
	struct item *sorted[QUEUE_CANARY_CHOICE];
	uint32_t count = 0;

	list_each(node, &end->ready) {
		struct item *item = container_of(node, struct item, in_end);
		uint32_t place = count++;
		while (place > 0 && better_canary(item, sorted[place - 1])) {
			sorted[place] = sorted[place - 1];
			place--;
		}
		sorted[place] = item;
		if (count == QUEUE_CANARY_CHOICE)
			break;
	}
	return count > 0 ? take(end, sorted[tried % count]) : NULL;
}

void queue_return(struct item *item)
{
	struct domain *domain = item->domain;
	struct queue_end *end = end_of(item);

	/* An item of a former pass is in the store like all others: a walk will bring it up again. */
	item->returns++;
	in_session_over(item);
	if (!feed_flows(domain) || end->ready_count >= 2 * QUEUE_ITEMS_MAX ||
	    !distrusted_permits(domain, item->envelope.reverse_path)) {
		queue_defer(item);
		return;
	}
	list_add_first(&end->ready, &item->in_end);
	end->ready_count++;
	queue_tell(domain);
	domain_wake(domain);
}

void queue_defer(struct item *item)
{
	struct domain *domain = item->domain;

	item_free(item);
	note_due(domain, domain->relay->now.wall_ms + 1000);
}

bool queue_sends(const struct domain *domain, uint64_t id)
{
	const struct item *item = queue_find_item(&domain->queue, id);

	return item != NULL && item != domain->queue.probe && !list_linked(&item->in_end);
}

static void forget_ready(struct item *item)
{
	end_of(item)->ready_count--;
	queue_defer(item);
}

void queue_forget(struct domain *domain, uint64_t id)
{
	struct item *item = queue_find_item(&domain->queue, id);

	if (item != NULL && item == domain->queue.probe)
		queue_defer(queue_take_probe(domain));
	else if (item != NULL && list_linked(&item->in_end))
		forget_ready(item);
	queue_tell(domain);
}

struct item *queue_lock(struct domain *domain, const struct store_entry *entry)
{
	struct queue *queue = &domain->queue;

	queue_forget(domain, entry->id);
	if (queue_find_item(queue, entry->id) != NULL)
		return NULL;
	struct item *item =
	    queue_item_new(domain, entry->id, &entry->envelope, entry->body_bytes, RELEASE_NOTHING, 0);
	if (item != NULL &&
	    map_insert(&queue->items, &item->by_id, slice_make(item->id_key, sizeof(item->id_key))) != 0) {
		free(item);
		return NULL;
	}
	if (item != NULL)
		item->look_again = true; /* other recipients of it may be due meanwhile */
	return item;
}

void queue_finish(struct item *item, int64_t due_ms)
{
	struct domain *domain = item->domain;
	bool look_again = item->look_again;

	item_free(item);
	if (due_ms != INT64_MAX)
		note_due(domain, due_ms);
	if (look_again)
		note_due(domain, domain->relay->now.wall_ms);
}
