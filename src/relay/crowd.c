#include "relay/crowd.h"

#include "relay/domains.h"

enum kind { MAILBOX = 0, SENDER = 1 };

static uint64_t hash_of(const struct queue *queue, enum kind kind, struct slice path)
{
	return map_hash(path, queue->items.seed + kind);
}

/* The one mailbox that all recipients of this domain that wait have in common. False: there are several, or
 * none waits. */
static bool only_mailbox(const struct domain *domain, const struct store_envelope *e, struct slice *ret_path)
{
	const struct store_recipient *only = NULL;

	for (uint32_t i = 0; i < e->recipient_count; i++) {
		const struct store_recipient *r = &e->recipients[i];
		if (r->state != STORE_QUEUED || r->domain != domain->number)
			continue;
		if (only != NULL && !slice_equal(only->forward_path, r->forward_path))
			return false;
		only = r;
	}
	if (only != NULL)
		*ret_path = only->forward_path;
	return only != NULL;
}

static bool hash_as(const struct domain *domain, enum kind kind, const struct store_envelope *e,
		    uint64_t *ret_hash)
{
	struct slice path = e->reverse_path;

	if (kind == MAILBOX && !only_mailbox(domain, e, &path))
		return false;
	*ret_hash = hash_of(&domain->queue, kind, path);
	return true;
}

static const struct crowd *find(const struct crowds *crowds, uint64_t hash)
{
	for (uint32_t i = 0; i < crowds->count; i++)
		if (crowds->crowds[i].hash == hash)
			return &crowds->crowds[i];
	return NULL;
}

bool crowds_own(const struct domain *domain, uint64_t id, const struct store_envelope *envelope)
{
	const struct crowds *crowds = &domain->queue.crowds;
	uint64_t hash;

	if (crowds->count == 0)
		return false;
	for (enum kind kind = MAILBOX; kind <= SENDER; kind++) {
		const struct crowd *crowd =
		    hash_as(domain, kind, envelope, &hash) ? find(crowds, hash) : NULL;
		if (crowd != NULL && id > crowd->from)
			return true;
	}
	return false;
}

/* --- finding one --- */

static bool is_of(const struct item *item, enum kind kind, uint64_t hash)
{
	uint64_t own;

	return hash_as(item->domain, kind, &item->envelope, &own) && own == hash;
}

/* The vote of Boyer and Moore: the only one that can have more than half. */
static uint64_t candidate(const struct queue_end *end, enum kind kind)
{
	uint64_t best = 0, hash;
	uint32_t votes = 0;

	list_each(node, &end->ready) {
		const struct item *item = container_of(node, struct item, in_end);
		if (!hash_as(item->domain, kind, &item->envelope, &hash))
			continue;
		if (votes == 0)
			best = hash;
		votes = hash == best ? votes + 1 : votes - 1;
	}
	return best;
}

static bool has_half(const struct queue_end *end, enum kind kind, uint64_t hash)
{
	size_t count = 0;

	list_each(node, &end->ready)
		count += is_of(container_of(node, struct item, in_end), kind, hash);
	return count * 2 >= end->ready_count;
}

/* Behind those that were moved before, and in front of what the crowds' end reads. */
static void move(struct queue *queue, enum kind kind, uint64_t hash)
{
	list_each_safe(node, after, &queue->backlog.ready) {
		struct item *item = container_of(node, struct item, in_end);
		if (!is_of(item, kind, hash))
			continue;
		list_remove(node);
		queue->backlog.ready_count--;
		item->of_crowd = true;
		list_add_last(&queue->crowd.ready, node);
		queue->crowd.ready_count++;
	}
}

/* Its own is what neither end has met. */
static bool make(struct queue *queue, enum kind kind, uint64_t hash)
{
	struct crowds *crowds = &queue->crowds;

	if (crowds->count == CROWDS_MAX || find(crowds, hash) != NULL)
		return false;
	if (crowds->count == 0)
		queue->crowd.cursor = queue->backlog.cursor;
	uint64_t met =
	    queue->crowd.cursor > queue->backlog.cursor ? queue->crowd.cursor : queue->backlog.cursor;
	crowds->crowds[crowds->count++] = (struct crowd){.hash = hash, .from = met};
	queue->crowd.exhausted = false;
	move(queue, kind, hash);
	return true;
}

bool crowds_find(struct domain *domain)
{
	struct queue *queue = &domain->queue;
	const struct queue_end *backlog = &queue->backlog;

	if (backlog->ready_count < CROWD_READY_MIN)
		return false;
	for (enum kind kind = MAILBOX; kind <= SENDER; kind++) {
		uint64_t hash = candidate(backlog, kind);
		if (has_half(backlog, kind, hash) && make(queue, kind, hash))
			return true;
	}
	return false;
}

/* --- giving out --- */

void crowds_pass(struct domain *domain, bool during_release)
{
	struct queue *queue = &domain->queue;
	struct crowds *crowds = &queue->crowds;

	if (!during_release && queue->crowd.exhausted && queue->crowd.ready_count == 0)
		crowds->count = 0;
	for (uint32_t i = 0; i < crowds->count && !during_release; i++)
		crowds->crowds[i].from = 0;
}

bool crowds_turn(struct crowds *crowds)
{
	crowds->others = (crowds->others + 1) % CROWD_TURN;
	return crowds->others == 0;
}
