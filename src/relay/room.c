#include "relay/room.h"

#include <stdio.h>
#include <stdlib.h>

#include "relay/inbound.h"

enum {
	LOOK_S = 10,		  /* between two looks at the store */
	LOOK_WHEN_ASKED_S = 1,	  /* the same while senders come */
	LOOK_PART = 64,		  /* and after so much of the capacity was received, */
	LOOK_BYTES = 8 << 20,	  /* or so many bytes: others may have taken the rest meanwhile */
	CHECK_BYTES = 256 * 1024, /* of a message, between two looks at its shares */
};

void room_init(struct room *room, uint64_t seed)
{
	*room = (struct room){.full_in_s = -1, .space = {.why = ""}};
	map_init(&room->intakes, seed);
}

void room_deinit(struct room *room)
{
	map_deinit(&room->intakes); /* each was closed with its session */
}

/* --- what is said about it ----------------------------------------------------------------------- */

static const struct {
	enum log_level level;
	const char *sentence;
} words[] = {
    [FILL_OK] = {LOG_LEVEL_INFO, "the spool has room again"},
    [FILL_WARNING] = {LOG_LEVEL_WARN, "the spool fills up: bring back the servers that are down (restante "
				      "status), or make the disk larger"},
    [FILL_URGENT] = {LOG_LEVEL_ALARM,
		     "the spool is almost full: bring back the servers that are down (restante "
		     "status), or make room on the disk now"},
    [FILL_FULL] = {LOG_LEVEL_ALARM,
		   "the spool is full: senders are told to come again (452), held mail is still "
		   "delivered; make room on the disk, the rest goes by itself"},
    [FILL_FAILED] = {LOG_LEVEL_ALARM,
		     "the disk failed: senders are told to come again (451), held mail can be "
		     "read; repair the disk, then restart restante"},
};

static void log_level(const struct relay *relay)
{
	const struct room *r = &relay->room;

	log_event(relay->ports.log, words[r->level].level, "space", 0, words[r->level].sentence,
		  LOG_TEXT("state", slice_of(fill_level_name(r->level))),
		  LOG_NUMBER("capacity", r->space.capacity_bytes), LOG_NUMBER("free", r->space.free_bytes),
		  LOG_NUMBER("full_in_s", r->full_in_s < 0 ? -1 : r->full_in_s),
		  LOG_TEXT("detail", slice_of(r->space.why)));
}

static void log_share(const struct domain *domain, bool refused)
{
	log_event(domain->relay->ports.log, refused ? LOG_LEVEL_ALARM : LOG_LEVEL_INFO, "space", 0,
		  refused ? "this domain's share of the spool is used up: its senders are told to come again "
			    "(452), all others go on; bring back its server, or give it a larger share "
			    "(restante domain set NAME share=PERCENT)"
			  : "this domain has room in the spool again",
		  LOG_TEXT("domain", slice_of(domain->name)), LOG_NUMBER("share", domain->share_percent),
		  LOG_NUMBER("refused", domain->refused_for_room));
}

/* --- looking ------------------------------------------------------------------------------------- */

static bool alone(const struct relay *relay)
{
	return relay->domains.count <= 1;
}

static struct share_spool spool_now(const struct room *room)
{
	uint64_t coming = room->received_bytes + room->announced_bytes;
	uint64_t free_bytes = room->space.free_bytes;

	return (struct share_spool){
	    .capacity_bytes = room->space.capacity_bytes,
	    .free_bytes = free_bytes > coming ? free_bytes - coming : 0,
	};
}

static uint64_t held_bytes(const struct relay *relay, uint32_t domain)
{
	struct map_node *node = map_find(&relay->room.intakes, slice_make(&domain, sizeof(domain)));
	struct store_counts held;

	relay->ports.store->ops->count(relay->ports.store, domain, &held);
	return held.bytes + (node != NULL ? container_of(node, struct intake, node)->bytes : 0);
}

static enum share_answer ask(const struct relay *relay, uint32_t domain, uint32_t percent,
			     uint64_t more_bytes)
{
	struct share_spool spool = spool_now(&relay->room);
	struct share_domain d = {.percent = percent, .alone = alone(relay)};

	if (share_ask(&spool,
		      &(struct share_domain){.held_bytes = UINT64_MAX / 2, .percent = 0, .alone = d.alone},
		      more_bytes) == SHARE_ROOM)
		return SHARE_ROOM; /* for anybody: the count need not be looked up */
	d.held_bytes = held_bytes(relay, domain);
	return share_ask(&spool, &d, more_bytes);
}

static void set_refused(struct domain *domain, bool refused)
{
	struct room *room = &domain->relay->room;

	if (domain->share_used_up == refused)
		return;
	domain->share_used_up = refused;
	room->domains_refused += refused ? 1 : UINT32_MAX;
	log_share(domain, refused);
}

/* Those whose share was used up, and is no more: with some distance, so that it does not flap. */
static void look_at_refused(struct relay *relay)
{
	if (relay->room.domains_refused == 0)
		return;
	list_each(node, &relay->domains_by_name) {
		struct domain *domain = container_of(node, struct domain, by_name);
		uint64_t distance = share_bytes(relay->room.space.capacity_bytes, 1);
		if (domain->share_used_up &&
		    ask(relay, domain->number, domain->share_percent, distance) == SHARE_ROOM)
			set_refused(domain, false);
	}
}

static void look(struct relay *relay)
{
	struct room *r = &relay->room;
	struct store_space *s = &r->space;

	relay->ports.store->ops->space(relay->ports.store, s);
	r->looked_us = relay->now.now_us;
	r->received_bytes = 0;
	if (s->capacity_bytes > 0)
		fill_note(&r->history, relay->now.now_us, s->capacity_bytes - s->live_bytes);
	r->full_in_s = fill_forecast_s(&r->history, s->free_bytes);
	struct fill fill = {
	    .capacity_bytes = s->capacity_bytes,
	    .free_bytes = s->free_bytes,
	    .full_in_s = r->full_in_s,
	    .full = s->full,
	    .failed = s->failed != STORE_REASON_NONE,
	};
	enum fill_level level = fill_level(r->level, &fill);
	if (level != r->level) {
		r->level = level;
		r->level_since_ms = relay->now.wall_ms;
		log_level(relay);
	}
	look_at_refused(relay);
}

static void timer_fired(struct timer *timer)
{
	struct relay *relay = container_of(timer, struct relay, room.timer);

	look(relay);
	timer_set(&relay->timers, timer, relay->now.now_us + CLOCK_SECONDS(LOOK_S));
}

void room_start(struct relay *relay)
{
	relay->room.level_since_ms = relay->now.wall_ms;
	relay->room.timer.fire = timer_fired;
	timer_fired(&relay->room.timer);
}

/* --- senders ------------------------------------------------------------------------------------- */

static bool look_is_due(const struct relay *relay)
{
	const struct room *r = &relay->room;
	uint64_t part = r->space.capacity_bytes / LOOK_PART;

	return relay->now.now_us >= r->looked_us + CLOCK_SECONDS(LOOK_WHEN_ASKED_S) ||
	       (part > 0 && r->received_bytes >= (part < LOOK_BYTES ? part : LOOK_BYTES));
}

enum share_answer room_ask(struct relay *relay, struct domain *domain, uint64_t size_bytes)
{
	if (look_is_due(relay))
		look(relay);
	enum share_answer answer = ask(relay, domain->number, domain->share_percent, size_bytes);
	if (answer != SHARE_ROOM) {
		domain->refused_for_room++;
		relay->counters.refused_for_room++;
		set_refused(domain, true);
	}
	return answer;
}

static struct intake *intake_for(struct relay *relay, const struct domain *domain)
{
	struct room *room = &relay->room;
	struct map_node *node = map_find(&room->intakes, slice_make(&domain->number, sizeof(domain->number)));

	if (node != NULL)
		return container_of(node, struct intake, node);
	struct intake *intake = calloc(1, sizeof(*intake));
	if (intake == NULL)
		return NULL;
	intake->domain = domain->number;
	intake->percent = domain->share_percent;
	if (map_insert(&room->intakes, &intake->node, slice_make(&intake->domain, sizeof(intake->domain))) !=
	    0) {
		free(intake);
		return NULL;
	}
	return intake;
}

static bool has(const struct receipt *receipt, uint32_t domain)
{
	for (size_t i = 0; i < receipt->count; i++)
		if (receipt->intakes[i]->domain == domain)
			return true;
	return false;
}

static void count_more(struct receipt *receipt, uint64_t bytes)
{
	receipt->counted_bytes += bytes;
	for (size_t i = 0; i < receipt->count; i++)
		receipt->intakes[i]->bytes += bytes;
}

void room_open(struct inbound *in)
{
	const struct smtp_server_transaction *t = smtp_server_transaction(in->server);
	struct receipt *receipt = &in->receipt;

	room_close(in);
	receipt->intakes = calloc(t->recipient_count + 1, sizeof(struct intake *));
	for (const struct smtp_server_recipient *r = t->recipients; r != NULL && receipt->intakes != NULL;
	     r = r->next) {
		struct domain *domain = inbound_domain(in->relay, r->domain);
		if (domain == NULL || has(receipt, domain->number))
			continue;
		struct intake *intake = intake_for(in->relay, domain);
		if (intake == NULL)
			break;
		intake->sessions++;
		receipt->intakes[receipt->count++] = intake;
	}
	count_more(receipt, t->size_bytes);
	receipt->announced_bytes = t->size_bytes;
	in->relay->room.announced_bytes += t->size_bytes;
}

static bool any_has_room(const struct inbound *in)
{
	const struct receipt *receipt = &in->receipt;

	for (size_t i = 0; i < receipt->count; i++)
		if (ask(in->relay, receipt->intakes[i]->domain, receipt->intakes[i]->percent, 0) ==
		    SHARE_ROOM)
			return true;
	return receipt->count == 0;
}

bool room_received(struct inbound *in, uint64_t bytes)
{
	struct receipt *receipt = &in->receipt;
	struct room *room = &in->relay->room;
	uint64_t expected = bytes < receipt->announced_bytes ? bytes : receipt->announced_bytes;

	receipt->announced_bytes -= expected;
	room->announced_bytes -= expected;
	room->received_bytes += bytes;
	receipt->received_bytes += bytes;
	if (receipt->received_bytes > receipt->counted_bytes)
		count_more(receipt, receipt->received_bytes - receipt->counted_bytes);
	if (receipt->received_bytes < receipt->checked_bytes + CHECK_BYTES)
		return true;
	receipt->checked_bytes = receipt->received_bytes;
	return any_has_room(in);
}

void room_close(struct inbound *in)
{
	struct receipt *receipt = &in->receipt;
	struct room *room = &in->relay->room;

	for (size_t i = 0; i < receipt->count; i++) {
		struct intake *intake = receipt->intakes[i];
		intake->bytes -= receipt->counted_bytes;
		if (--intake->sessions > 0)
			continue;
		map_remove(&room->intakes, &intake->node);
		free(intake);
	}
	room->announced_bytes -= receipt->announced_bytes;
	free(receipt->intakes);
	*receipt = (struct receipt){.count = 0};
}
