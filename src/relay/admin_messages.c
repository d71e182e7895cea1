#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base32.h"
#include "relay/admin_private.h"
#include "relay/feed.h"

enum {
	QUEUE_LIMIT_MAX = 10000,
	CAT_PIECE_BYTES = 64 * 1024,
};

int admin_show_entry(const struct relay *relay, const struct store_entry *entry,
		     void (*message)(void *owner, const struct admin_message_view *view), void *owner)
{
	struct admin_message_view view = {.entry = entry};
	uint32_t count = entry->envelope.recipient_count;

	view.recipients = calloc(count > 0 ? count : 1, sizeof(*view.recipients));
	if (view.recipients == NULL)
		return ERR_MEMORY;
	for (uint32_t i = 0; i < count; i++) {
		const struct store_recipient *r = &entry->envelope.recipients[i];
		if (r->state != STORE_QUEUED && !store_in_grace(r))
			continue;
		admin_reason(relay, entry, r, view.recipients[i].reason, sizeof(view.recipients[i].reason));
		admin_next_event(relay, entry, r, view.recipients[i].next_event,
				 sizeof(view.recipients[i].next_event));
	}
	message(owner, &view);
	free(view.recipients);
	return 0;
}

/* --- queue --- */

struct queue_request {
	struct admin_request request; /* first */
	uint32_t domain;
	bool grace;
	char recipient[STORE_PATH_MAX + 1], sender[STORE_PATH_MAX + 1];
	uint64_t after;
	size_t limit, shown;
	void (*message)(void *owner, const struct admin_message_view *view);
};

static bool entry_matches(const struct queue_request *q, const struct store_entry *entry)
{
	struct slice recipient = slice_of(q->recipient), sender = slice_of(q->sender);

	if (sender.size > 0 && !slice_equal_nocase(sender, entry->envelope.reverse_path))
		return false;
	if (recipient.size == 0)
		return true;
	for (uint32_t i = 0; i < entry->envelope.recipient_count; i++) {
		const struct store_recipient *r = &entry->envelope.recipients[i];
		bool meant = q->grace ? store_in_grace(r) : r->state == STORE_QUEUED;
		if (meant && slice_equal_nocase(recipient, r->forward_path))
			return true;
	}
	return false;
}

static void walk_on(struct queue_request *q);

static void walked(void *owner, enum store_result result, const struct store_entry *entries, size_t count,
		   bool more)
{
	struct queue_request *q = owner;
	struct relay *relay = q->request.relay;

	relay_enter(relay);
	relay->operations--;
	if (result != STORE_OK) {
		admin_request_finish(&q->request, ERR_IO, "the store cannot be read: see the log");
		return;
	}
	for (size_t i = 0; i < count && q->shown < q->limit; i++) {
		q->after = entries[i].id;
		if (!entry_matches(q, &entries[i]))
			continue;
		if (admin_show_entry(relay, &entries[i], q->message, q->request.owner) != 0) {
			admin_request_finish(&q->request, ERR_MEMORY, "out of memory");
			return;
		}
		q->shown++;
	}
	if (more && count > 0 && q->shown < q->limit)
		walk_on(q);
	else
		admin_request_finish(&q->request, 0, "%zu messages", q->shown);
}

static void walk_on(struct queue_request *q)
{
	struct relay *relay = q->request.relay;

	relay->operations++;
	relay->ports.store->ops->walk(relay->ports.store, q->domain, q->after, STORE_WALK_MAX, walked, q);
}

void admin_queue(struct relay *relay, const struct admin_message_filter *filter,
		 void (*message)(void *owner, const struct admin_message_view *view), admin_done *done,
		 void *owner)
{
	relay_enter(relay);
	struct domain *domain = filter->domain.size > 0 ? domain_find(relay, filter->domain) : NULL;

	if (filter->domain.size > 0 && domain == NULL)
		domain = domain_find_outside(relay, filter->domain);
	if (filter->domain.size > 0 && domain == NULL) {
		admin_request_answer(relay, done, owner, ERR_MISSING, "%.*s is not served here",
				     SLICE_ARG(slice_upto(filter->domain, RELAY_DOMAIN_NAME_MAX)));
		return;
	}
	if (filter->limit < 1 || filter->limit > QUEUE_LIMIT_MAX || filter->recipient.size > STORE_PATH_MAX ||
	    filter->sender.size > STORE_PATH_MAX) {
		admin_request_answer(
		    relay, done, owner, ERR_SYNTAX,
		    "the limit is a number from 1 to %d, and addresses are shorter than %d bytes",
		    QUEUE_LIMIT_MAX, STORE_PATH_MAX);
		return;
	}
	struct queue_request *q = calloc(1, sizeof(*q));
	if (q == NULL) {
		admin_request_answer(relay, done, owner, ERR_MEMORY, "out of memory");
		return;
	}
	q->domain = (domain != NULL ? domain->number : 0) | (filter->grace ? STORE_GRACE : 0);
	q->grace = filter->grace;
	(void)snprintf(q->recipient, sizeof(q->recipient), "%.*s", SLICE_ARG(filter->recipient));
	(void)snprintf(q->sender, sizeof(q->sender), "%.*s", SLICE_ARG(filter->sender));
	q->after = filter->after;
	q->limit = filter->limit;
	q->message = message;
	admin_request_init(&q->request, relay, done, owner);
	walk_on(q);
}

/* --- one message --- */

struct message_request {
	struct admin_request request; /* first */
	uint64_t id, offset;
	void (*message)(void *owner, const struct admin_message_view *view);
	bool (*piece)(void *owner, struct slice bytes);
	void (*found)(struct message_request *m, const struct store_entry *entry);
	struct store_change *changes;
	const char *outcome;
	uint32_t domains[STORE_RECIPIENT_MAX]; /* to be woken after */
	uint32_t domain_count;
};

static void release_message(struct admin_request *request)
{
	struct message_request *m = (struct message_request *)request;

	free(m->changes);
	free(m);
}

static struct message_request *new_message_request(struct relay *relay, uint64_t id, admin_done *done,
						   void *owner)
{
	struct message_request *m = calloc(1, sizeof(*m));

	relay_enter(relay);
	if (m == NULL) {
		admin_request_answer(relay, done, owner, ERR_MEMORY, "out of memory");
		return NULL;
	}
	m->id = id;
	m->request.release = release_message;
	admin_request_init(&m->request, relay, done, owner);
	return m;
}

static void not_held(struct message_request *m)
{
	char id[BASE32_U64_SIZE + 1];

	base32_from_u64(m->id, id);
	admin_request_finish(
	    &m->request, ERR_MISSING,
	    "no message %s is held: `restante queue` lists what is, `restante trace` what was", id);
}

static void found(void *owner, enum store_result result, const struct store_entry *entries, size_t count,
		  bool more)
{
	struct message_request *m = owner;
	struct relay *relay = m->request.relay;

	relay_enter(relay);
	relay->operations--;
	if (result != STORE_OK)
		admin_request_finish(&m->request, ERR_IO, "the store cannot be read: see the log");
	else if (count == 0)
		not_held(m);
	else
		m->found(m, &entries[0]);
}

static void find(struct message_request *m,
		 void (*then)(struct message_request *m, const struct store_entry *entry))
{
	struct relay *relay = m->request.relay;

	m->found = then;
	relay->operations++;
	relay->ports.store->ops->find(relay->ports.store, m->id, found, m);
}

static void show_found(struct message_request *m, const struct store_entry *entry)
{
	if (admin_show_entry(m->request.relay, entry, m->message, m->request.owner) != 0)
		admin_request_finish(&m->request, ERR_MEMORY, "out of memory");
	else
		admin_request_finish(&m->request, 0, "held");
}

void admin_message_show(struct relay *relay, uint64_t id,
			void (*message)(void *owner, const struct admin_message_view *view), admin_done *done,
			void *owner)
{
	struct message_request *m = new_message_request(relay, id, done, owner);

	if (m == NULL)
		return;
	m->message = message;
	find(m, show_found);
}

/* --- content --- */

static void read_on(struct message_request *m);

static void read_piece(void *owner, enum store_result result, enum store_reason reason, struct slice bytes)
{
	struct message_request *m = owner;
	struct relay *relay = m->request.relay;

	relay_enter(relay);
	relay->operations--;
	if (result != STORE_OK) {
		if (reason == STORE_REASON_MISSING)
			not_held(m);
		else
			admin_request_finish(&m->request, ERR_IO,
					     "the message cannot be read from the store: see the log");
		return;
	}
	m->offset += bytes.size;
	if (bytes.size == 0 || !m->piece(m->request.owner, bytes))
		admin_request_finish(&m->request, 0, "%llu bytes", (unsigned long long)m->offset);
	else
		read_on(m);
}

static void read_on(struct message_request *m)
{
	struct relay *relay = m->request.relay;

	relay->operations++;
	relay->ports.store->ops->read(relay->ports.store, m->id, m->offset, CAT_PIECE_BYTES, read_piece, m);
}

void admin_message_cat(struct relay *relay, uint64_t id, uint64_t offset,
		       bool (*piece)(void *owner, struct slice bytes), admin_done *done, void *owner)
{
	struct message_request *m = new_message_request(relay, id, done, owner);

	if (m == NULL)
		return;
	m->piece = piece;
	m->offset = offset;
	read_on(m);
}

/* --- changes by hand --- */

static void changed(void *owner, enum store_result result, enum store_reason reason)
{
	struct message_request *m = owner;
	struct relay *relay = m->request.relay;

	relay_enter(relay);
	relay->operations--;
	if (result != STORE_OK) {
		admin_request_finish(&m->request, reason == STORE_REASON_VERSION ? ERR_BUSY : ERR_IO, "%s",
				     reason == STORE_REASON_VERSION
					 ? "the message was being changed just now: try again"
					 : "the change could not be written to the store: see the log");
		return;
	}
	for (uint32_t i = 0; i < m->domain_count; i++) {
		struct domain *domain = domain_by_number(relay, m->domains[i]);
		if (domain != NULL)
			queue_release(domain);
	}
	admin_request_finish(&m->request, 0, "%s", m->outcome);
}

static bool in_transit(const struct relay *relay, const struct store_entry *entry)
{
	for (uint32_t i = 0; i < entry->envelope.recipient_count; i++) {
		const struct domain *domain = domain_by_number(relay, entry->envelope.recipients[i].domain);
		if (domain != NULL && queue_sends(domain, entry->id))
			return true;
	}
	return false;
}

static void change_found(struct message_request *m, const struct store_entry *entry,
			 enum store_recipient_state state, struct slice reply)
{
	struct relay *relay = m->request.relay;
	uint32_t count = 0;

	if (in_transit(relay, entry)) {
		admin_request_finish(&m->request, ERR_BUSY,
				     "the message is being sent just now: try again in a moment");
		return;
	}
	m->changes = calloc(entry->envelope.recipient_count, sizeof(*m->changes));
	if (m->changes == NULL) {
		admin_request_finish(&m->request, ERR_MEMORY, "out of memory");
		return;
	}
	for (uint32_t i = 0; i < entry->envelope.recipient_count; i++) {
		const struct store_recipient *r = &entry->envelope.recipients[i];
		struct domain *domain = domain_by_number(relay, r->domain);
		if (domain != NULL)
			queue_forget(domain, entry->id);
		if (r->state != STORE_QUEUED && !store_in_grace(r))
			continue;
		m->changes[count++] = (struct store_change){.recipient = i,
							    .state = state,
							    .of_grace = r->state != STORE_QUEUED,
							    .reason = r->reason,
							    .attempts = r->attempts,
							    .reply = reply};
		if (m->domain_count < STORE_RECIPIENT_MAX)
			m->domains[m->domain_count++] = r->domain;
	}
	relay->operations++;
	relay->ports.store->ops->amend(relay->ports.store, m->id, entry->version, 0, m->changes, count,
				       relay->now.wall_ms, changed, m);
}

static void release_found(struct message_request *m, const struct store_entry *entry)
{
	m->outcome = "the message is tried as soon as its server takes mail";
	change_found(m, entry, STORE_QUEUED, (struct slice){.data = NULL, .size = 0});
}

static void remove_found(struct message_request *m, const struct store_entry *entry)
{
	m->outcome = "the message was removed: nobody is told, and `restante trace` remembers it";
	change_found(m, entry, STORE_REMOVED, SLICE("removed by the administrator"));
}

void admin_message_release(struct relay *relay, uint64_t id, admin_done *done, void *owner)
{
	struct message_request *m = new_message_request(relay, id, done, owner);

	if (m != NULL)
		find(m, release_found);
}

void admin_message_remove(struct relay *relay, uint64_t id, admin_done *done, void *owner)
{
	struct message_request *m = new_message_request(relay, id, done, owner);

	if (m != NULL)
		find(m, remove_found);
}
