/* What a store knows of a message besides its body, and what an amend does to it. Pure; shared by the
 * implementations.
 */
#ifndef STORE_ENTRY_H
#define STORE_ENTRY_H

#include "base/arena.h"
#include "port/store.h"

enum {
	ENTRY_STRING_MAX = 2048
}; /* bytes of any other string of an envelope: twice a header line of RFC 5322 */

/* Whether a store takes it: 1..STORE_RECIPIENT_MAX recipients with a domain each, paths and strings within
 * limits. */
bool entry_envelope_valid(const struct store_envelope *envelope);

/* Deep copy into the arena. ERR_MEMORY. Replies are cut to STORE_REPLY_MAX. */
nodiscard int entry_envelope_copy(struct arena *arena, const struct store_envelope *from,
				  struct store_envelope *ret_copy);
nodiscard int entry_end_copy(struct arena *arena, const struct store_end *from, struct store_end *ret_copy);

/* Whether the changes fit the entry: indexes within it, states known. */
bool entry_changes_valid(const struct store_change *changes, size_t count);

/* Changes the recipients that are still queued, and those in grace; what else has ended stays as it ended.
 * Replies are copied into the arena. ended(owner, ...) is called for each recipient that ends with this;
 * *ret_taken_back: those that are queued again. ERR_MEMORY: the entry is
 * unchanged; ERR_MISSING: an index beyond the recipients, the entry is unchanged. */
typedef void entry_ended(void *owner, const struct store_end *end);
nodiscard int entry_change(struct store_entry *entry, struct arena *arena, const struct store_change *changes,
			   size_t count, int64_t wall_ms, entry_ended *ended, void *owner,
			   uint32_t *ret_taken_back);

/* The end record of a recipient that has ended. The slices are those of the entry and of relay. */
struct store_end entry_end_of(const struct store_entry *entry, uint32_t recipient, int64_t wall_ms,
			      struct slice relay);

/* A *queue* is a domain's number, or STORE_GRACE with it. 0: the recipient is in none, it has ended for good.
 */
uint32_t entry_queue_of(const struct store_recipient *recipient);
bool entry_kept(const struct store_entry *entry);	/* a recipient is queued or in grace */
uint32_t entry_queued(const struct store_entry *entry); /* recipients, without those in grace */
/* queue 0: any queued; STORE_GRACE: any in grace. */
bool entry_queued_in(const struct store_entry *entry, uint32_t queue);
/* The first recipient from position `from` on that is in a queue and the first one of it: for walking the
 * distinct queues of what waits. recipient_count when there is none. */
uint32_t entry_next_queue(const struct store_entry *entry, uint32_t from);
/* Whether one of the changes may put a recipient into grace or take one out of it. */
bool entry_changes_grace(const struct store_change *changes, size_t count);

#endif
