#include "relay/ends.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/domains.h"
#include "relay/ending.h"
#include "relay/feed.h"

/* --- the clock --- */

/* Pure: where the believed clock stands when so much time has gone by. */
static int64_t believe(int64_t believed_ms, int64_t wall_ms, int64_t passed_ms)
{
	int64_t now_ms = believed_ms + passed_ms;
	int64_t ahead_ms = wall_ms - now_ms, catch_up_ms = passed_ms / ENDS_CATCH_UP_PART;

	if (ahead_ms > 0)
		now_ms += ahead_ms < catch_up_ms ? ahead_ms : catch_up_ms;
	return now_ms;
}

static void tick(struct relay *relay)
{
	struct ends *ends = &relay->ends;
	int64_t passed_ms = (relay->now.now_us - ends->seen_us) / 1000;

	ends->now_ms = believe(ends->now_ms, relay->now.wall_ms, passed_ms);
	ends->seen_us += passed_ms * 1000;
}

/* A wall clock that was put back counts at once: mail may only live longer by it. */
static int64_t clock_ms(const struct relay *relay)
{
	const struct ends *ends = &relay->ends;
	int64_t passed_ms = (relay->now.now_us - ends->seen_us) / 1000;
	int64_t now_ms = ends->known ? ends->now_ms + passed_ms : relay->now.wall_ms;

	return now_ms < relay->now.wall_ms ? now_ms : relay->now.wall_ms;
}

int ends_load(struct relay *relay, struct slice from)
{
	struct slice now, stopped;
	uint64_t now_ms, wall_ms;

	if (!slice_split(&from, ' ', &now) || !slice_split(&from, '\n', &stopped) ||
	    slice_to_u64(now, &now_ms) != 0 || slice_to_u64(stopped, &wall_ms) != 0 ||
	    now_ms > INT64_MAX / 2 || wall_ms > INT64_MAX / 2)
		return ERR_CORRUPT;
	int64_t stopped_ms = relay->now.wall_ms - (int64_t)wall_ms;
	if (stopped_ms < 0)
		stopped_ms = 0;
	relay->ends.now_ms =
	    (int64_t)now_ms + (stopped_ms < ENDS_STOP_MAX_MS ? stopped_ms : ENDS_STOP_MAX_MS);
	relay->ends.known = true;
	return 0;
}

static void written(void *owner, enum store_result result, enum store_reason reason)
{
	struct relay *relay = owner;

	relay_enter(relay);
	relay->operations--; /* not written: the next one will be, and less time will have gone by */
}

void ends_save(struct relay *relay)
{
	char text[64];

	if (!relay->ends.known)
		return;
	tick(relay);
	(void)snprintf(text, sizeof(text), "%lld %lld\n", (long long)relay->ends.now_ms,
		       (long long)relay->now.wall_ms);
	relay->operations++;
	relay->ports.store->ops->put(relay->ports.store, SLICE("ends"), slice_of(text), written, relay);
}

/* --- rules --- */

static const int64_t grace_ms = INT64_C(1000) * 3600 * 24 * ENDS_GRACE_DAYS;

void ends_into_grace(const struct relay *relay, struct store_change *change, enum store_recipient_state state)
{
	change->state = state;
	change->not_before_ms = clock_ms(relay) + grace_ms;
}

int64_t ends_expires_in_ms(const struct domain *domain, int64_t arrival_ms)
{
	int64_t left_ms = arrival_ms + domain->hold_ms - clock_ms(domain->relay);

	return left_ms > 0 ? left_ms : 0;
}

bool ends_warns(const struct domain *domain, int64_t arrival_ms)
{
	return arrival_ms != 0 &&
	       clock_ms(domain->relay) - arrival_ms > domain->hold_ms / 100 * ENDS_WARN_PERCENT;
}

/* What was taken back by hand, at the end of its grace at the latest, has a whole hold time again. */
static bool expires(const struct domain *domain, const struct store_entry *entry,
		    const struct store_recipient *r)
{
	int64_t life_ms = domain->hold_ms;

	if (r->state != STORE_QUEUED || r->domain != domain->number)
		return false;
	if (r->attempts == 0 && feed_flows(domain)) /* its server is back: it is tried before */
		return false;
	if ((r->notify & STORE_TAKEN_BACK) != 0)
		life_ms += grace_ms + domain->hold_ms;
	return clock_ms(domain->relay) - entry->envelope.arrival_ms >= life_ms;
}

static bool grace_over(const struct relay *relay, const struct store_recipient *r)
{
	return store_in_grace(r) && r->not_before_ms <= clock_ms(relay);
}

/* --- what ends --- */

static void add_expired(const struct domain *domain, const struct store_recipient *r, uint32_t index,
			struct store_change *change)
{
	*change = (struct store_change){
	    .recipient = index,
	    .reason = r->reason,
	    .attempts = r->attempts,
	    .reply = r->last_reply.size > 0 ? r->last_reply : SLICE("never tried: its server took no mail"),
	};
	if (domain->outside != NULL)
		change->state = STORE_EXPIRED; /* mail of our own: gone */
	else
		ends_into_grace(domain->relay, change, STORE_EXPIRED);
}

static void amended(void *owner, enum store_result result, enum store_reason reason)
{
	struct relay *relay = owner;

	relay_enter(relay);
	relay->operations--; /* what did not happen, or was changed meanwhile, comes up at the next look */
}

static void amend(struct relay *relay, const struct store_entry *entry, const struct store_change *changes,
		  uint32_t count)
{
	relay->operations++;
	relay->ports.store->ops->amend(relay->ports.store, entry->id, entry->version, 0, changes, count,
				       relay->now.wall_ms, amended, relay);
}

static void expire(struct domain *domain, const struct store_entry *entry)
{
	const struct store_envelope *e = &entry->envelope;
	uint32_t count = 0;
	struct store_change *changes;

	if (queue_sends(domain, entry->id)) /* its result is about to be known, or it is ending */
		return;
	changes = calloc(e->recipient_count, sizeof(*changes));
	for (uint32_t i = 0; i < e->recipient_count && changes != NULL; i++) {
		if (!expires(domain, entry, &e->recipients[i]))
			continue;
		add_expired(domain, &e->recipients[i], i, &changes[count++]);
	}
	if (count > 0)
		(void)ending_begin(domain, entry, changes, count);
	free(changes);
}

static void let_go(struct relay *relay, const struct store_entry *entry)
{
	const struct store_envelope *e = &entry->envelope;
	struct store_change *changes = calloc(e->recipient_count, sizeof(*changes));
	uint32_t count = 0;

	for (uint32_t i = 0; i < e->recipient_count && changes != NULL; i++)
		if (grace_over(relay, &e->recipients[i]))
			changes[count++] = (struct store_change){
			    .recipient = i, .state = e->recipients[i].state, .of_grace = true};
	if (count > 0)
		amend(relay, entry, changes, count);
	free(changes);
}

/* --- walking --- */

static void next_turn(struct relay *relay, int64_t wait_ms)
{
	timer_set(&relay->timers, &relay->ends.timer, relay->now.now_us + CLOCK_MS(wait_ms));
}

static void walked(void *owner, enum store_result result, const struct store_entry *entries, size_t count,
		   bool more)
{
	struct relay *relay = owner;
	struct ends *ends = &relay->ends;

	relay_enter(relay);
	relay->operations--;
	bool grace = ends->queue == STORE_GRACE;
	struct domain *domain = grace ? NULL : domain_by_number(relay, ends->queue);
	for (size_t i = 0; i < count && result == STORE_OK; i++) {
		ends->after = entries[i].id;
		if (grace)
			let_go(relay, &entries[i]);
		else if (domain != NULL)
			expire(domain, &entries[i]);
	}
	/* Oldest first: behind one that is younger nothing is old enough. */
	bool young = domain != NULL && count > 0 &&
		     ends_expires_in_ms(domain, entries[count - 1].envelope.arrival_ms) > 0;
	if (result != STORE_OK || !more || count == 0 || young)
		ends->queue = 0;
	next_turn(relay, ENDS_TURN_MS);
}

static void walk_on(struct relay *relay)
{
	struct ends *ends = &relay->ends;

	relay->operations++;
	relay->ports.store->ops->walk(relay->ports.store, ends->queue, ends->after, ENDS_PAGE, walked, relay);
}

static void warn(struct domain *domain, const struct store_counts *held)
{
	bool due = ends_warns(domain, held->oldest_ms);

	if (due && !domain->age_warned)
		log_event(domain->relay->ports.log, LOG_LEVEL_ALARM, "end", 0,
			  "mail of this domain has waited so long that it expires soon: mend its server, or "
			  "give it "
			  "more time with `restante domain set`",
			  LOG_TEXT("domain", slice_of(domain->name)),
			  LOG_NUMBER("expires_s", ends_expires_in_ms(domain, held->oldest_ms) / 1000),
			  LOG_NUMBER("messages", (int64_t)held->messages));
	domain->age_warned = due;
}

/* True: its oldest mail has expired, the walk begins. */
static bool look_at(struct domain *domain)
{
	struct relay *relay = domain->relay;
	struct store_counts held;

	if (domain->damaged) /* its hold time may be another */
		return false;
	relay->ports.store->ops->count(relay->ports.store, domain->number, &held);
	if (domain->outside == NULL)
		warn(domain, &held);
	if (held.messages == 0 || ends_expires_in_ms(domain, held.oldest_ms) > 0)
		return false;
	relay->ends.queue = domain->number;
	relay->ends.after = 0;
	return true;
}

/* The next domains by their numbers. False: that was the last. */
static bool look_on(struct relay *relay)
{
	struct ends *ends = &relay->ends;

	for (int i = 0; i < ENDS_DOMAINS && ends->queue == 0; i++) {
		struct tree_node *node =
		    tree_after(&relay->domain_numbers, slice_make(ends->cursor, ends->cursor_size));
		if (node == NULL)
			return false;
		ends->cursor_size = node->key.size;
		memcpy(ends->cursor, node->key.data, node->key.size);
		(void)look_at(container_of(node, struct domain, number_order));
	}
	return true;
}

static void end_look(struct relay *relay)
{
	struct ends *ends = &relay->ends;

	ends->cursor_size = 0;
	if (ends->walking && ends->grace_wait-- == 0) {
		ends->grace_wait = ENDS_GRACE_LOOKS;
		ends->queue = STORE_GRACE;
		ends->after = 0;
		walk_on(relay);
		ends->walking = false;
		return;
	}
	ends->walking = false;
	next_turn(relay, ENDS_LOOK_MS);
}

static void fired(struct timer *timer)
{
	struct relay *relay = container_of(timer, struct relay, ends.timer);
	struct ends *ends = &relay->ends;

	if (relay->shutting_down)
		return;
	if (!ends->walking && ends->queue == 0) {
		ends_save(relay);
		ends->walking = true;
	}
	if (ends->queue != 0)
		walk_on(relay);
	else if (look_on(relay))
		next_turn(relay, ends->queue != 0 ? 0 : ENDS_TURN_MS);
	else
		end_look(relay);
}

/* Not at once: a start has other things to do, and servers may take what is old. */
void ends_start(struct relay *relay)
{
	struct ends *ends = &relay->ends;

	if (!ends->known)
		ends->now_ms = relay->now.wall_ms;
	ends->known = true;
	ends->seen_us = relay->now.now_us;
	ends->timer.fire = fired;
	next_turn(relay, ENDS_LOOK_MS);
}
