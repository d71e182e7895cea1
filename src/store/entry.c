#include "store/entry.h"

#include "base/check.h"

static bool strings_valid(const struct store_envelope *e)
{
	return e->reverse_path.size <= STORE_PATH_MAX && e->envid.size <= ENTRY_STRING_MAX &&
	       e->client_address.size <= ENTRY_STRING_MAX && e->client_name.size <= ENTRY_STRING_MAX &&
	       e->helo.size <= ENTRY_STRING_MAX && e->message_id.size <= ENTRY_STRING_MAX;
}

static bool state_known(enum store_recipient_state state)
{
	return state >= STORE_QUEUED && state <= STORE_DISCARDED;
}

bool entry_envelope_valid(const struct store_envelope *envelope)
{
	if (envelope->recipient_count < 1 || envelope->recipient_count > STORE_RECIPIENT_MAX ||
	    !strings_valid(envelope))
		return false;
	for (uint32_t i = 0; i < envelope->recipient_count; i++) {
		const struct store_recipient *r = &envelope->recipients[i];
		if (r->domain == 0 || r->domain >= STORE_GRACE || r->forward_path.size > STORE_PATH_MAX ||
		    r->orcpt.size > ENTRY_STRING_MAX || !state_known(r->state))
			return false;
	}
	return true;
}

static int copy_reply(struct arena *arena, struct slice reply, struct slice *ret_copy)
{
	if (reply.size == 0) {
		*ret_copy = (struct slice){.data = NULL, .size = 0};
		return 0;
	}
	return arena_copy(arena, slice_upto(reply, STORE_REPLY_MAX), ret_copy);
}

static int copy_recipients(struct arena *arena, const struct store_envelope *from,
			   struct store_envelope *copy)
{
	copy->recipients = arena_alloc_array(arena, from->recipient_count, sizeof(*copy->recipients));
	if (copy->recipients == NULL)
		return ERR_MEMORY;
	for (uint32_t i = 0; i < from->recipient_count; i++) {
		struct store_recipient *r = &copy->recipients[i];
		*r = from->recipients[i];
		if (arena_copy(arena, r->forward_path, &r->forward_path) != 0 ||
		    arena_copy(arena, r->orcpt, &r->orcpt) != 0 ||
		    copy_reply(arena, r->last_reply, &r->last_reply) != 0)
			return ERR_MEMORY;
	}
	return 0;
}

int entry_envelope_copy(struct arena *arena, const struct store_envelope *from,
			struct store_envelope *ret_copy)
{
	struct store_envelope copy = *from;
	struct slice *strings[] = {&copy.reverse_path, &copy.envid, &copy.client_address,
				   &copy.client_name,  &copy.helo,  &copy.message_id};

	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		if (arena_copy(arena, *strings[i], strings[i]) != 0)
			return ERR_MEMORY;
	int error = copy_recipients(arena, from, &copy);
	if (error != 0)
		return error;
	*ret_copy = copy;
	return 0;
}

int entry_end_copy(struct arena *arena, const struct store_end *from, struct store_end *ret_copy)
{
	struct store_end copy = *from;
	struct slice *strings[] = {&copy.reverse_path, &copy.forward_path, &copy.message_id, &copy.reply,
				   &copy.relay};

	copy.reply = slice_upto(copy.reply, STORE_REPLY_MAX);
	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		if (arena_copy(arena, *strings[i], strings[i]) != 0)
			return ERR_MEMORY;
	*ret_copy = copy;
	return 0;
}

bool entry_changes_valid(const struct store_change *changes, size_t count)
{
	if (count > STORE_RECIPIENT_MAX)
		return false;
	for (size_t i = 0; i < count; i++)
		if (changes[i].recipient >= STORE_RECIPIENT_MAX || !state_known(changes[i].state))
			return false;
	return true;
}

struct store_end entry_end_of(const struct store_entry *entry, uint32_t recipient, int64_t wall_ms,
			      struct slice relay)
{
	const struct store_recipient *r = &entry->envelope.recipients[recipient];

	check(r->state != STORE_QUEUED);
	return (struct store_end){
	    .id = entry->id,
	    .accepted_ms = entry->envelope.arrival_ms,
	    .ended_ms = wall_ms,
	    .state = r->state,
	    .reverse_path = entry->envelope.reverse_path,
	    .forward_path = r->forward_path,
	    .message_id = entry->envelope.message_id,
	    .reply = r->last_reply,
	    .relay = relay,
	};
}

/* --- grace --- */

uint32_t entry_queue_of(const struct store_recipient *recipient)
{
	if (recipient->state == STORE_QUEUED)
		return recipient->domain;
	return store_in_grace(recipient) ? STORE_GRACE | recipient->domain : 0;
}

bool entry_kept(const struct store_entry *entry)
{
	return entry_next_queue(entry, 0) < entry->envelope.recipient_count;
}

bool entry_changes_grace(const struct store_change *changes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (changes[i].of_grace || changes[i].state == STORE_REFUSED ||
		    changes[i].state == STORE_EXPIRED)
			return true;
	return false;
}

/* --- changing --- */

/* All that can fail comes first, so that an amend happens whole or not at all. */
static int copy_replies(const struct store_entry *entry, struct arena *arena,
			const struct store_change *changes, size_t count, struct slice **ret_replies)
{
	struct slice *replies = arena_alloc_array(arena, count > 0 ? count : 1, sizeof(*replies));

	if (replies == NULL)
		return ERR_MEMORY;
	for (size_t i = 0; i < count; i++) {
		if (changes[i].recipient >= entry->envelope.recipient_count)
			return ERR_MISSING;
		if (copy_reply(arena, changes[i].reply, &replies[i]) != 0)
			return ERR_MEMORY;
	}
	*ret_replies = replies;
	return 0;
}

/* How and why it ended stays known; what is over is only the keeping. */
static bool change_grace(struct store_recipient *r, const struct store_change *change)
{
	if (!store_in_grace(r))
		return false;
	r->not_before_ms = change->state == STORE_QUEUED ? change->not_before_ms : 0;
	if (change->state != STORE_QUEUED)
		return false;
	r->state = STORE_QUEUED;
	r->notify |= STORE_TAKEN_BACK;
	r->attempts = change->attempts;
	return true;
}

/* True: it has ended with this. */
static bool change_queued(struct store_recipient *r, const struct store_change *change, struct slice reply)
{
	if (r->state != STORE_QUEUED)
		return false;
	r->state = change->state;
	r->reason = change->reason;
	r->attempts = change->attempts;
	r->not_before_ms = change->not_before_ms;
	r->last_reply = reply;
	return r->state != STORE_QUEUED;
}

int entry_change(struct store_entry *entry, struct arena *arena, const struct store_change *changes,
		 size_t count, int64_t wall_ms, entry_ended *ended, void *owner, uint32_t *ret_taken_back)
{
	struct slice *replies;
	int error = copy_replies(entry, arena, changes, count, &replies);

	*ret_taken_back = 0;
	if (error != 0)
		return error;
	for (size_t i = 0; i < count; i++) {
		struct store_recipient *r = &entry->envelope.recipients[changes[i].recipient];
		if (changes[i].of_grace) {
			*ret_taken_back += change_grace(r, &changes[i]);
		} else if (change_queued(r, &changes[i], replies[i])) {
			struct store_end end =
			    entry_end_of(entry, changes[i].recipient, wall_ms, changes[i].relay);
			ended(owner, &end);
		}
	}
	entry->version++;
	return 0;
}

uint32_t entry_queued(const struct store_entry *entry)
{
	uint32_t queued = 0;

	for (uint32_t i = 0; i < entry->envelope.recipient_count; i++)
		queued += entry->envelope.recipients[i].state == STORE_QUEUED;
	return queued;
}

bool entry_queued_in(const struct store_entry *entry, uint32_t queue)
{
	for (uint32_t i = 0; i < entry->envelope.recipient_count; i++) {
		uint32_t in = entry_queue_of(&entry->envelope.recipients[i]);
		bool of_all = (queue & ~STORE_GRACE) == 0 && (in & STORE_GRACE) == queue;
		if (in != 0 && (in == queue || of_all))
			return true;
	}
	return false;
}

static bool first_of_queue(const struct store_envelope *e, uint32_t recipient, uint32_t queue)
{
	for (uint32_t i = 0; i < recipient; i++)
		if (entry_queue_of(&e->recipients[i]) == queue)
			return false;
	return true;
}

uint32_t entry_next_queue(const struct store_entry *entry, uint32_t from)
{
	const struct store_envelope *e = &entry->envelope;

	for (uint32_t i = from; i < e->recipient_count; i++) {
		uint32_t queue = entry_queue_of(&e->recipients[i]);
		if (queue != 0 && first_of_queue(e, i, queue))
			return i;
	}
	return e->recipient_count;
}
