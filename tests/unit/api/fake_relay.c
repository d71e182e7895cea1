#include "fake_relay.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { DAY_MS = 86400000, PIECE_BYTES = 100000 };
enum { WALL_MS = 1700000000 };

enum call_kind { CALL_PLAIN, CALL_OVERVIEW, CALL_QUEUE, CALL_TRACE, CALL_SHOW, CALL_CAT, CALL_RECIPIENTS };

struct call {
	struct list link;
	enum call_kind kind;
	uint64_t id, offset;
	size_t limit;
	int error;		      /* instead of the relay's result */
	char domain[256], after[256]; /* of an overview */
	void (*lane)(void *owner, const struct admin_lane_view *view);
	void (*show)(void *owner, const struct admin_domain_view *view);
	void (*sums)(void *owner, const struct admin_sums *sums, const char *next);
	void (*message)(void *owner, const struct admin_message_view *view);
	void (*end)(void *owner, const struct store_end *end);
	void (*recipient)(void *owner, const struct admin_recipient_view *view);
	bool (*piece)(void *owner, struct slice bytes);
	admin_done *done;
	void *owner;
};

/* Zeroed. By a way that the tests with failing allocations leave alone: the world does not fail, only the
 * API. */
static void *own_alloc(size_t count, size_t size)
{
	void *memory = reallocarray(NULL, count > 0 ? count : 1, size);

	check(memory != NULL);
	memset(memory, 0, (count > 0 ? count : 1) * size);
	return memory;
}

static struct clock_reading read_clock(struct clock *clock)
{
	return container_of(clock, struct relay, clock)->now;
}

void fake_relay_init(struct relay *relay)
{
	*relay = (struct relay){
	    .clock = {.read = read_clock},
	    .now = {.now_us = 1000000, .wall_ms = (int64_t)WALL_MS * 1000},
	    .lane_count = 2,
	    .domains_per_lane = 2,
	    .reason = "connect: connection refused",
	    .last_reply = "421 4.3.2 try later",
	    .message_count = 3,
	    .recipients_per_message = 2,
	    .content_bytes = 1000,
	    .end_count = 2,
	};
	relay->space = (struct admin_space_view){
	    .state = "ok",
	    .since_ms = relay->now.wall_ms - DAY_MS,
	    .why = "",
	    .capacity_bytes = UINT64_C(1000) << 20,
	    .used_bytes = UINT64_C(200) << 20,
	    .live_bytes = UINT64_C(150) << 20,
	    .free_bytes = UINT64_C(800) << 20,
	    .used_percent = 20,
	    .full_in_s = -1,
	};
	list_init(&relay->calls);
	(void)snprintf(relay->result.message, sizeof(relay->result.message), "done, as asked");
}

__attribute__((format(printf, 2, 3))) static void hear(struct relay *relay, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(relay->heard, sizeof(relay->heard), format, arguments);
	va_end(arguments);
	relay->heard_count++;
}

static struct call *add_call(struct relay *relay, enum call_kind kind, admin_done *done, void *owner)
{
	struct call *call = own_alloc(1, sizeof(*call));

	call->kind = kind;
	call->done = done;
	call->owner = owner;
	list_add_last(&relay->calls, &call->link);
	relay->waiting++;
	return call;
}

/* --- status --- */

static struct store_counts counts(const struct relay *relay, uint64_t messages)
{
	return (struct store_counts){.messages = messages,
				     .bytes = messages * 1000,
				     .recipients = messages * 2,
				     .oldest_ms = messages > 0 ? relay->now.wall_ms - 3600000 : 0};
}

void admin_node(const struct relay *relay, struct admin_node_view *ret_view)
{
	*ret_view = (struct admin_node_view){
	    .hostname = "relay.example.net",
	    .held = counts(relay, 12),
	    .totals = {.accepted = 100, .queued = 24, .ended = 76, .delivered = 70, .set_aside = 1},
	    .inbound_sessions = 3,
	    .outbound_sessions = 4,
	    .accepted_messages = 50,
	    .refused_recipients = 5,
	    .delivered_recipients = 60,
	    .deferred_recipients = 7,
	    .duplicates_possible = 1,
	    .door = {.callouts = 11,
		     .asked = 12,
		     .unknown = 13,
		     .too_large = 14,
		     .unconfirmed = 15,
		     .limited = 16,
		     .unseen = 17},
	    .up_since_ms = relay->now.wall_ms - DAY_MS,
	    .space = relay->space,
	};
}

static void tell_lane(const struct relay *relay, size_t i, const char *name,
		      void (*lane)(void *owner, const struct admin_lane_view *view), void *owner)
{
	bool down = i % 2 == 0;
	struct admin_lane_view view = {
	    .name = name,
	    .state = down ? "down" : "up",
	    .phase = down ? NULL : "ramp",
	    .kind = down ? "refused" : NULL,
	    .since_ms = relay->now.wall_ms - 60000,
	    .held = counts(relay, down ? 6 : 0),
	    .window = down ? 1 : 8.5,
	    .rate_per_s = down ? 0 : 12.25,
	    .in_flight = down ? 0 : 4,
	    .next_probe_s = down ? 4.5 : -1,
	    .eta_s = down ? -1 : 30,
	    .last_reply = relay->last_reply,
	    .delivered_total = 1000,
	    .deferred_total = 10,
	    .connection_limit = down ? 0 : 20,
	};
	lane(owner, &view);
}

static void tell_domain(const struct relay *relay, const char *name, const char *lane_name,
			enum domain_state state,
			void (*domain)(void *owner, const struct admin_domain_view *view), void *owner)
{
	struct admin_domain_view view = {
	    .name = name,
	    .state = state,
	    .since_ms = relay->now.wall_ms - 60000,
	    .reason = relay->reason,
	    .held = counts(relay, 3),
	    .lane = lane_name,
	    .destination = "mx",
	    .hosts = "mail.example.com:25",
	    .hold_ms = 15 * (int64_t)DAY_MS,
	    .share_percent = 30,
	    .share_bytes = UINT64_C(300) << 20,
	    .share_used_up = relay->share_used_up,
	    .refused_for_room = relay->share_used_up ? 7 : 0,
	    .known_recipients = 12,
	    .catch_all = LEDGER_TAKES_ALL,
	    .expires_s = 3 * 86400,
	    .expires_soon = relay->share_used_up,
	    .added_ms = relay->now.wall_ms - DAY_MS,
	};
	domain(owner, &view);
}

static bool tell_lane_domains(const struct relay *relay, size_t i, struct slice wanted,
			      void (*lane)(void *owner, const struct admin_lane_view *view),
			      void (*domain)(void *owner, const struct admin_domain_view *view), void *owner)
{
	char name[64], lane_name[64];
	bool found = wanted.size == 0;

	(void)snprintf(lane_name, sizeof(lane_name), "mail%zu.example.net:25", i);
	if (relay->lane_name != NULL)
		(void)snprintf(lane_name, sizeof(lane_name), "%s", relay->lane_name);
	for (size_t d = 0; d < relay->domains_per_lane && !found; d++) {
		(void)snprintf(name, sizeof(name), "d%zu-%zu.example", i, d);
		found = slice_equal_nocase(wanted, slice_of(name));
	}
	if (!found)
		return false;
	if (lane != NULL)
		tell_lane(relay, i, lane_name, lane, owner);
	for (size_t d = 0; d < relay->domains_per_lane && domain != NULL; d++) {
		(void)snprintf(name, sizeof(name), "d%zu-%zu.example", i, d);
		tell_domain(relay, name, lane_name, d % 2 == 0 ? DOMAIN_OPEN : DOMAIN_REFUSING, domain,
			    owner);
	}
	return true;
}

bool admin_status(struct relay *relay, struct slice name,
		  void (*lane)(void *owner, const struct admin_lane_view *view),
		  void (*domain)(void *owner, const struct admin_domain_view *view), void *owner)
{
	bool found = name.size == 0;

	for (size_t i = 0; i < relay->lane_count; i++)
		if (tell_lane_domains(relay, i, name, lane, domain, owner))
			found = true;
	if (name.size > 0 && !slice_equal_nocase(name, SLICE("waiting.example")))
		return found;
	if (lane != NULL) {
		struct admin_lane_view none = {
		    .name = "", .state = "idle", .next_probe_s = -1, .eta_s = -1, .last_reply = ""};
		lane(owner, &none);
	}
	if (domain != NULL)
		tell_domain(relay, "waiting.example", "", DOMAIN_WAITING, domain, owner);
	return true;
}

void admin_overview(struct relay *relay, const struct admin_overview_filter *filter,
		    void (*lane)(void *owner, const struct admin_lane_view *view),
		    void (*domain)(void *owner, const struct admin_domain_view *view),
		    void (*end)(void *owner, const struct admin_sums *sums, const char *next),
		    admin_done *done, void *owner)
{
	struct call *call = add_call(relay, CALL_OVERVIEW, done, owner);

	hear(relay, "overview %s %zu", filter->by_attention ? "attention" : "name", filter->rows);
	(void)snprintf(call->domain, sizeof(call->domain), "%.*s", SLICE_ARG(filter->domain));
	(void)snprintf(call->after, sizeof(call->after), "%.*s", SLICE_ARG(filter->after));
	call->limit = filter->rows;
	call->lane = lane;
	call->show = domain;
	call->sums = end;
}

/* All at once when it fits; else whole lanes behind `after`, whose names are in order here. */
static void answer_overview(struct relay *relay, struct call *call)
{
	const struct admin_sums sums = {.lanes = relay->lane_count,
					.lanes_up = relay->lane_count / 2,
					.lanes_down = (relay->lane_count + 1) / 2,
					.domains = relay->lane_count * relay->domains_per_lane + 1};
	size_t per_lane = 1 + relay->domains_per_lane, first = 0, count = call->limit / per_lane;
	char next[64] = "";

	if (call->domain[0] != '\0' || relay->lane_count * per_lane < call->limit) {
		if (!admin_status(relay, slice_of(call->domain), call->lane, call->show, call->owner))
			call->error = ERR_MISSING;
		else
			call->sums(call->owner, &sums, "");
		return;
	}
	if (sscanf(call->after, "mail%zu", &first) == 1)
		first++;
	for (size_t i = first; i < first + count && i < relay->lane_count; i++)
		(void)tell_lane_domains(relay, i, SLICE(""), call->lane, call->show, call->owner);
	if (first + count < relay->lane_count)
		(void)snprintf(next, sizeof(next), "mail%zu.example.net:25", first + count - 1);
	call->sums(call->owner, &sums, next);
}

struct domain_page {
	struct slice after;
	size_t left;
	bool behind, more;
	void (*domain)(void *owner, const struct admin_domain_view *view);
	void *owner;
};

static void page_domain(void *owner, const struct admin_domain_view *view)
{
	struct domain_page *page = owner;

	if (page->behind && page->left > 0)
		page->domain(page->owner, view);
	else if (page->behind)
		page->more = true;
	page->left -= page->behind && page->left > 0;
	page->behind = page->behind || slice_equal(slice_of(view->name), page->after);
}

bool admin_domains(const struct relay *relay, struct slice after, size_t max,
		   void (*domain)(void *owner, const struct admin_domain_view *view), void *owner)
{
	struct domain_page page = {after, max, after.size == 0, false, domain, owner};

	(void)admin_status((struct relay *)(uintptr_t)relay, SLICE(""), NULL, page_domain, &page);
	return page.more;
}

/* --- domains --- */

void admin_domain_add(struct relay *relay, struct slice name, const struct slice *destinations, size_t count,
		      admin_done *done, void *owner)
{
	hear(relay, "add %.*s", SLICE_ARG(name));
	for (size_t i = 0; i < count; i++) {
		size_t used = strlen(relay->heard);
		(void)snprintf(relay->heard + used, sizeof(relay->heard) - used, " %.*s",
			       SLICE_ARG(destinations[i]));
	}
	(void)add_call(relay, CALL_PLAIN, done, owner);
}

void admin_domain_set(struct relay *relay, struct slice name, struct slice key, struct slice value,
		      admin_done *done, void *owner)
{
	hear(relay, "set %.*s %.*s=%.*s", SLICE_ARG(name), SLICE_ARG(key), SLICE_ARG(value));
	struct call *call = add_call(relay, CALL_PLAIN, done, owner);
	if (relay->fail_key != NULL && slice_equal(key, slice_of(relay->fail_key)))
		call->error = ERR_SYNTAX;
}

void admin_domain_remove(struct relay *relay, struct slice name, admin_done *done, void *owner)
{
	hear(relay, "remove %.*s", SLICE_ARG(name));
	(void)add_call(relay, CALL_PLAIN, done, owner);
}

void admin_hold(struct relay *relay, struct slice name, int64_t until_ms, admin_done *done, void *owner)
{
	hear(relay, "hold %.*s %" PRId64, SLICE_ARG(name), until_ms);
	(void)add_call(relay, CALL_PLAIN, done, owner);
}

void admin_resume(struct relay *relay, struct slice name, admin_done *done, void *owner)
{
	hear(relay, "resume %.*s", SLICE_ARG(name));
	(void)add_call(relay, CALL_PLAIN, done, owner);
}

void admin_probe(struct relay *relay, struct slice name, admin_done *done, void *owner)
{
	hear(relay, "probe %.*s", SLICE_ARG(name));
	(void)add_call(relay, CALL_PLAIN, done, owner);
}

void admin_trust(struct relay *relay, struct slice name, admin_done *done, void *owner)
{
	hear(relay, "trust %.*s", SLICE_ARG(name));
	(void)add_call(relay, CALL_PLAIN, done, owner);
}

/* --- recipients --- */

void admin_recipients(struct relay *relay, struct slice domain, struct slice after, size_t limit,
		      void (*recipient)(void *owner, const struct admin_recipient_view *view),
		      admin_done *done, void *owner)
{
	hear(relay, "recipients %.*s after=%.*s limit=%zu", SLICE_ARG(domain), SLICE_ARG(after), limit);
	struct call *call = add_call(relay, CALL_RECIPIENTS, done, owner);
	uint64_t last = 0;

	(void)slice_to_u64(slice_from(after, 4), &last);
	call->recipient = recipient;
	call->limit = limit;
	call->id = after.size > 0 ? last + 1 : 100000;
	(void)snprintf(call->domain, sizeof(call->domain), "%.*s", SLICE_ARG(domain));
}

/* "user100000" and so on; the first is pinned. */
static void answer_recipients(struct relay *relay, struct call *call)
{
	char local[32];

	for (size_t i = 0; i < call->limit && call->id < 100000 + relay->recipient_count; i++, call->id++) {
		struct ledger_entry entry = {
		    .pinned = call->id == 100000,
		    .good_count = 3,
		    .first_good_ms = relay->now.wall_ms - DAY_MS,
		    .last_good_ms = relay->now.wall_ms,
		};
		(void)snprintf(local, sizeof(local), "user%" PRIu64, call->id);
		struct admin_recipient_view view = {
		    .domain = call->domain,
		    .local = slice_of(local),
		    .entry = &entry,
		    .standing = LEDGER_GOOD,
		};
		call->recipient(call->owner, &view);
	}
}

void admin_vouch(struct relay *relay, struct slice domain, enum admin_vouch what, const struct slice *names,
		 size_t count, admin_done *done, void *owner)
{
	static const char *const words[] = {"pin", "import", "unpin"};

	hear(relay, "%s %.*s %zu %.*s..%.*s", words[what], SLICE_ARG(domain), count, SLICE_ARG(names[0]),
	     SLICE_ARG(names[count - 1]));
	(void)add_call(relay, CALL_PLAIN, done, owner);
}

/* --- messages --- */

void admin_queue(struct relay *relay, const struct admin_message_filter *filter,
		 void (*message)(void *owner, const struct admin_message_view *view), admin_done *done,
		 void *owner)
{
	hear(relay, "queue domain=%.*s recipient=%.*s sender=%.*s after=%" PRIu64 " limit=%zu%s",
	     SLICE_ARG(filter->domain), SLICE_ARG(filter->recipient), SLICE_ARG(filter->sender),
	     filter->after, filter->limit, filter->grace ? " grace" : "");
	struct call *call = add_call(relay, CALL_QUEUE, done, owner);
	call->message = message;
	call->limit = filter->limit;
	call->id = filter->after >= 1000 ? filter->after + 1 : 1000;
}

void admin_trace(struct relay *relay, const struct admin_trace_filter *filter,
		 void (*end)(void *owner, const struct store_end *end),
		 void (*message)(void *owner, const struct admin_message_view *view), admin_done *done,
		 void *owner)
{
	hear(relay, "trace recipient=%.*s sender=%.*s message_id=%.*s since=%" PRId64 " limit=%zu",
	     SLICE_ARG(filter->recipient), SLICE_ARG(filter->sender), SLICE_ARG(filter->message_id),
	     filter->since_ms, filter->limit);
	struct call *call = add_call(relay, CALL_TRACE, done, owner);
	call->end = end;
	call->message = message;
	call->limit = filter->limit;
	call->id = 1000;
}

void admin_message_show(struct relay *relay, uint64_t id,
			void (*message)(void *owner, const struct admin_message_view *view), admin_done *done,
			void *owner)
{
	hear(relay, "show %" PRIu64, id);
	struct call *call = add_call(relay, CALL_SHOW, done, owner);
	call->message = message;
	call->id = id;
}

void admin_message_cat(struct relay *relay, uint64_t id, uint64_t offset,
		       bool (*piece)(void *owner, struct slice bytes), admin_done *done, void *owner)
{
	hear(relay, "cat %" PRIu64 " from %" PRIu64, id, offset);
	struct call *call = add_call(relay, CALL_CAT, done, owner);
	call->piece = piece;
	call->offset = offset;
	call->id = id;
}

void admin_message_release(struct relay *relay, uint64_t id, admin_done *done, void *owner)
{
	hear(relay, "release %" PRIu64, id);
	(void)add_call(relay, CALL_PLAIN, done, owner);
}

void admin_message_remove(struct relay *relay, uint64_t id, admin_done *done, void *owner)
{
	hear(relay, "remove-message %" PRIu64, id);
	(void)add_call(relay, CALL_PLAIN, done, owner);
}

void admin_backup(struct relay *relay, void (*begun)(void *owner, uint64_t id),
		  void (*part)(void *owner, uint64_t segment, uint64_t bytes), admin_done *done, void *owner)
{
	hear(relay, "backup");
	if (relay->result.error == 0) {
		begun(owner, 1000);
		part(owner, 1, 4096);
	}
	(void)add_call(relay, CALL_PLAIN, done, owner);
}

void admin_backup_renew(struct relay *relay, uint64_t id, admin_done *done, void *owner)
{
	hear(relay, "backup-renew %" PRIu64, id);
	(void)add_call(relay, CALL_PLAIN, done, owner);
}

void admin_backup_end(struct relay *relay, uint64_t id, admin_done *done, void *owner)
{
	hear(relay, "backup-end %" PRIu64, id);
	(void)add_call(relay, CALL_PLAIN, done, owner);
}

/* --- answers --- */

static void tell_message(const struct relay *relay, uint64_t id, struct call *call)
{
	size_t count = relay->recipients_per_message;
	struct store_recipient *recipients = own_alloc(count, sizeof(*recipients));
	struct store_entry entry = {
	    .id = id,
	    .body_bytes = relay->content_bytes,
	    .envelope = {.reverse_path = SLICE("sender@example.org"),
			 .arrival_ms = relay->now.wall_ms - 5000,
			 .client_address = SLICE("192.0.2.7"),
			 .helo = SLICE("mx.example.org"),
			 .message_id = SLICE("<1@example.org>"),
			 .flags = STORE_TLS,
			 .recipient_count = (uint32_t)count,
			 .recipients = recipients},
	};
	struct admin_message_view view = {.entry = &entry};

	view.recipients = own_alloc(count, sizeof(*view.recipients));
	for (size_t i = 0; i < count; i++) {
		recipients[i].forward_path = SLICE("user@d0-0.example");
		recipients[i].last_reply = slice_of(relay->last_reply);
		(void)snprintf(view.recipients[i].reason, sizeof(view.recipients[i].reason), "%s",
			       relay->reason);
		(void)snprintf(view.recipients[i].next_event, sizeof(view.recipients[i].next_event),
			       "probe in 4 s");
	}
	call->message(call->owner, &view);
	free(view.recipients);
	free(recipients);
}

static void answer_queue(struct relay *relay, struct call *call)
{
	for (size_t i = 0; i < call->limit && call->id < 1000 + relay->message_count; i++)
		tell_message(relay, call->id++, call);
}

static void answer_trace(struct relay *relay, struct call *call)
{
	for (size_t i = 0; i < relay->end_count; i++) {
		struct store_end end = {.id = i % 2 == 0 ? 500 + i : 0,
					.accepted_ms = i % 2 == 0 ? relay->now.wall_ms - 9000 : 0,
					.ended_ms = relay->now.wall_ms - 1000,
					.state = i % 2 == 0 ? STORE_DELIVERED : STORE_REFUSED,
					.at_door = i % 2 != 0,
					.reverse_path = SLICE("sender@example.org"),
					.forward_path = SLICE("user@d0-0.example"),
					.reply = SLICE("250 2.0.0 ok")};
		call->end(call->owner, &end);
	}
	answer_queue(relay, call);
}

char fake_content_byte(uint64_t offset)
{
	return (char)('!' + offset % 89);
}

static void answer_cat(struct relay *relay, struct call *call)
{
	char bytes[PIECE_BYTES];

	for (uint64_t offset = call->offset; offset < relay->content_bytes;) {
		size_t size = PIECE_BYTES;
		if (relay->fail_content_at > 0 && offset >= relay->fail_content_at) {
			call->error = ERR_CORRUPT;
			return;
		}
		if (size > relay->content_bytes - offset)
			size = (size_t)(relay->content_bytes - offset);
		for (size_t i = 0; i < size; i++)
			bytes[i] = fake_content_byte(offset + i);
		relay->pieces++;
		if (!call->piece(call->owner, slice_make(bytes, size)))
			return;
		offset += size;
	}
}

static void answer(struct relay *relay, struct call *call)
{
	if (relay->result.error != 0)
		return;
	if (call->kind == CALL_OVERVIEW)
		answer_overview(relay, call);
	if (call->kind == CALL_QUEUE)
		answer_queue(relay, call);
	if (call->kind == CALL_TRACE)
		answer_trace(relay, call);
	if (call->kind == CALL_SHOW && call->id >= 1000 && call->id < 1000 + relay->message_count)
		tell_message(relay, call->id, call);
	if (call->kind == CALL_RECIPIENTS)
		answer_recipients(relay, call);
	if (call->kind == CALL_CAT)
		answer_cat(relay, call);
}

static void complete(struct relay *relay, struct call *call, const struct admin_result *result)
{
	struct admin_result told = *result;

	if (call->error != 0) {
		told.error = call->error;
		(void)snprintf(told.message, sizeof(told.message), "refused by the test");
	}
	check(list_linked(&call->link));
	list_remove(&call->link);
	relay->waiting--;
	call->done(call->owner, &told);
	free(call);
}

/* A completion may ask for the next thing: that is answered in the same run. */
void fake_relay_run(struct relay *relay)
{
	while (!relay->silent && relay->waiting > 0) {
		list_each_safe(node, after, &relay->calls) {
			struct call *call = container_of(node, struct call, link);
			answer(relay, call);
			complete(relay, call, &relay->result);
		}
	}
}

void fake_relay_deinit(struct relay *relay)
{
	const struct admin_result gone = {.error = ERR_STATE, .message = "the relay is shutting down"};

	list_each_safe(node, after, &relay->calls)
		complete(relay, container_of(node, struct call, link), &gone);
	check(relay->waiting == 0);
}
