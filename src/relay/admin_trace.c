/* What became of a message: end records and refusals at the door, newest first, then what is held. */
#include <stdio.h>
#include <stdlib.h>

#include "relay/admin_private.h"

enum { TRACE_PAGE = 200, TRACE_LIMIT_MAX = 10000 };

struct trace_request {
	struct admin_request request; /* first */
	char recipient[STORE_PATH_MAX + 1], sender[STORE_PATH_MAX + 1], message_id[STORE_PATH_MAX + 1];
	int64_t since_ms;
	uint64_t skip, after;
	size_t limit, shown;
	void (*end)(void *owner, const struct store_end *end);
	void (*message)(void *owner, const struct admin_message_view *view);
};

static bool matches(const char *wanted, struct slice text)
{
	return wanted[0] == '\0' || slice_equal_nocase(slice_of(wanted), text);
}

static bool end_matches(const struct trace_request *t, const struct store_end *end)
{
	return matches(t->recipient, end->forward_path) && matches(t->sender, end->reverse_path) &&
	       matches(t->message_id, end->message_id);
}

static bool entry_matches(const struct trace_request *t, const struct store_entry *entry)
{
	const struct store_envelope *e = &entry->envelope;

	if (e->arrival_ms < t->since_ms || !matches(t->sender, e->reverse_path) ||
	    !matches(t->message_id, e->message_id))
		return false;
	for (uint32_t i = 0; i < e->recipient_count; i++)
		if (matches(t->recipient, e->recipients[i].forward_path))
			return true;
	return false;
}

static void walk_on(struct trace_request *t);

static void walked(void *owner, enum store_result result, const struct store_entry *entries, size_t count,
		   bool more)
{
	struct trace_request *t = owner;
	struct relay *relay = t->request.relay;

	relay_enter(relay);
	relay->operations--;
	for (size_t i = 0; result == STORE_OK && i < count && t->shown < t->limit; i++) {
		t->after = entries[i].id;
		if (!entry_matches(t, &entries[i]))
			continue;
		if (admin_show_entry(relay, &entries[i], t->message, t->request.owner) != 0)
			result = STORE_FAILED;
		t->shown++;
	}
	if (result != STORE_OK)
		admin_request_finish(&t->request, ERR_IO, "the store cannot be read: see the log");
	else if (more && count > 0 && t->shown < t->limit)
		walk_on(t);
	else
		admin_request_finish(&t->request, 0, "%zu found", t->shown);
}

static void walk_on(struct trace_request *t)
{
	struct relay *relay = t->request.relay;

	relay->operations++;
	relay->ports.store->ops->walk(relay->ports.store, 0, t->after, STORE_WALK_MAX, walked, t);
}

static void ends_on(struct trace_request *t);

static void ends_read(void *owner, enum store_result result, const struct store_end *ends, size_t count,
		      bool more)
{
	struct trace_request *t = owner;
	struct relay *relay = t->request.relay;

	relay_enter(relay);
	relay->operations--;
	if (result != STORE_OK) {
		admin_request_finish(&t->request, ERR_IO, "the store cannot be read: see the log");
		return;
	}
	t->skip += count;
	for (size_t i = 0; i < count && t->shown < t->limit; i++) {
		if (!end_matches(t, &ends[i]))
			continue;
		t->end(t->request.owner, &ends[i]);
		t->shown++;
	}
	if (more && count > 0 && t->shown < t->limit)
		ends_on(t);
	else
		walk_on(t);
}

static void ends_on(struct trace_request *t)
{
	struct relay *relay = t->request.relay;

	relay->operations++;
	relay->ports.store->ops->ends(relay->ports.store, t->since_ms, 0, t->skip, TRACE_PAGE, ends_read, t);
}

static struct slice without_brackets(struct slice id)
{
	if (id.size >= 2 && id.data[0] == '<' && id.data[id.size - 1] == '>')
		return slice_make(id.data + 1, id.size - 2);
	return id;
}

void admin_trace(struct relay *relay, const struct admin_trace_filter *filter,
		 void (*end)(void *owner, const struct store_end *end),
		 void (*message)(void *owner, const struct admin_message_view *view), admin_done *done,
		 void *owner)
{
	struct slice message_id = without_brackets(filter->message_id);

	relay_enter(relay);
	if (filter->limit < 1 || filter->limit > TRACE_LIMIT_MAX || filter->recipient.size > STORE_PATH_MAX ||
	    filter->sender.size > STORE_PATH_MAX || message_id.size > STORE_PATH_MAX) {
		admin_request_answer(
		    relay, done, owner, ERR_SYNTAX,
		    "the limit is a number from 1 to %d, and what is searched for is shorter than %d bytes",
		    TRACE_LIMIT_MAX, STORE_PATH_MAX);
		return;
	}
	struct trace_request *t = calloc(1, sizeof(*t));
	if (t == NULL) {
		admin_request_answer(relay, done, owner, ERR_MEMORY, "out of memory");
		return;
	}
	(void)snprintf(t->recipient, sizeof(t->recipient), "%.*s", SLICE_ARG(filter->recipient));
	(void)snprintf(t->sender, sizeof(t->sender), "%.*s", SLICE_ARG(filter->sender));
	(void)snprintf(t->message_id, sizeof(t->message_id), "%.*s", SLICE_ARG(message_id));
	t->since_ms = filter->since_ms;
	t->limit = filter->limit;
	t->end = end;
	t->message = message;
	admin_request_init(&t->request, relay, done, owner);
	ends_on(t);
}
