/* Lists of messages, and one message: queue, trace, show, release, remove. */
#include "api/handlers.h"
#include "api/parameters.h"
#include "base/base32.h"

static const char *recipient_state_name(enum store_recipient_state state)
{
	static const char *const names[] = {"queued",  "delivered", "refused",
					    "expired", "removed",   "discarded"};

	return (size_t)state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}

static void write_id(struct json_writer *w, const char *key, uint64_t id)
{
	char text[BASE32_U64_SIZE + 1];

	if (id == 0) {
		jw_null(w, key);
		return;
	}
	base32_from_u64(id, text);
	jw_string(w, key, text);
}

static void write_recipients(struct json_writer *w, const struct admin_message_view *view)
{
	const struct store_envelope *envelope = &view->entry->envelope;

	jw_array(w, "recipients");
	for (uint32_t i = 0; i < envelope->recipient_count; i++) {
		const struct store_recipient *recipient = &envelope->recipients[i];
		jw_object(w, NULL);
		jw_text(w, "forward_path", recipient->forward_path);
		jw_string(w, "state", recipient_state_name(recipient->state));
		jw_string(w, "reason", view->recipients[i].reason);
		jw_string(w, "next_event", view->recipients[i].next_event);
		jw_uint(w, "attempts", recipient->attempts);
		jw_time(w, "not_before", recipient->not_before_ms);
		jw_text_or_null(w, "last_reply", recipient->last_reply);
		jw_text_or_null(w, "orcpt", recipient->orcpt);
		jw_end(w);
	}
	jw_end(w);
}

static void write_origin(struct json_writer *w, const struct store_envelope *envelope)
{
	jw_object(w, "client");
	jw_text(w, "address", envelope->client_address);
	jw_text_or_null(w, "name", envelope->client_name);
	jw_text(w, "helo", envelope->helo);
	jw_bool(w, "tls", envelope->flags & STORE_TLS);
	jw_end(w);
}

static void write_message(struct json_writer *w, const struct admin_message_view *view, int64_t wall_ms)
{
	const struct store_entry *entry = view->entry;
	const struct store_envelope *envelope = &entry->envelope;

	jw_object(w, NULL);
	write_id(w, "id", entry->id);
	jw_time(w, "arrival", envelope->arrival_ms);
	jw_int(w, "age_s", envelope->arrival_ms < wall_ms ? (wall_ms - envelope->arrival_ms) / 1000 : 0);
	jw_uint(w, "bytes", entry->body_bytes);
	jw_text(w, "reverse_path", envelope->reverse_path);
	jw_text_or_null(w, "message_id", envelope->message_id);
	jw_string(w, "body", envelope->body == STORE_BODY_8BITMIME ? "8BITMIME" : "7BIT");
	jw_bool(w, "smtputf8", envelope->flags & STORE_SMTPUTF8);
	jw_text_or_null(w, "envid", envelope->envid);
	write_origin(w, envelope);
	write_recipients(w, view);
	jw_end(w);
}

/* --- queue --- */

/* One more than what is wanted is asked for: if it comes, there is more. */
static void queue_message(void *owner, const struct admin_message_view *view)
{
	struct request *request = owner;

	if (!request_wanted(request) || request->more)
		return;
	if (request->listed == request->limit || buffer_size(&request->body) >= API_LIST_BYTES) {
		request->more = true;
		return;
	}
	write_message(&request->json, view, request_wall_ms(request));
	request->listed++;
	request->last_id = view->entry->id;
}

static void queue_done(void *owner, const struct admin_result *result)
{
	struct request *request = owner;

	if (!request_told(request))
		return;
	if (result->error != 0) {
		request_refuse(request, result);
		return;
	}
	jw_end(&request->json);
	jw_bool(&request->json, "more", request->more);
	write_id(&request->json, "next", request->more ? request->last_id : 0);
	jw_end(&request->json);
	request_answer(request, MHD_HTTP_OK);
}

static void begin_list(struct request *request, const char *key)
{
	request_ask(request);
	jw_object(&request->json, NULL);
	jw_array(&request->json, key);
}

void handle_queue(struct request *request)
{
	struct admin_message_filter filter = {0};

	if (!parameter_domain(request, "domain", &filter.domain) ||
	    !parameter_path(request, "recipient", &filter.recipient) ||
	    !parameter_path(request, "sender", &filter.sender) ||
	    !parameter_flag(request, "grace", &filter.grace) ||
	    !parameter_limit(request, "limit", &request->limit) ||
	    !parameter_id(request, "after", &filter.after))
		return;
	filter.limit = request->limit + 1;
	begin_list(request, "messages");
	admin_queue(request->api->relay, &filter, queue_message, queue_done, request);
}

/* --- trace --- */

static void trace_end(void *owner, const struct store_end *end)
{
	struct request *request = owner;
	struct json_writer *w = &request->json;

	if (!request_wanted(request))
		return;
	if (buffer_size(&request->body) >= API_LIST_BYTES) {
		request->more = true;
		return;
	}
	jw_object(w, NULL);
	write_id(w, "id", end->id);
	jw_bool(w, "at_door", end->at_door);
	jw_time(w, "accepted", end->accepted_ms);
	jw_time(w, "ended", end->ended_ms);
	jw_string(w, "state", recipient_state_name(end->state));
	jw_text(w, "reverse_path", end->reverse_path);
	jw_text(w, "forward_path", end->forward_path);
	jw_text_or_null(w, "message_id", end->message_id);
	jw_text(w, "reply", end->reply);
	jw_text_or_null(w, "relay", end->relay);
	jw_end(w);
}

/* What is held comes after all ends: the first one closes their list. */
static void begin_held(struct request *request)
{
	if (request->listed++ > 0)
		return;
	jw_end(&request->json);
	jw_array(&request->json, "messages");
}

static void trace_message(void *owner, const struct admin_message_view *view)
{
	struct request *request = owner;

	if (!request_wanted(request))
		return;
	begin_held(request);
	if (buffer_size(&request->body) < API_LIST_BYTES)
		write_message(&request->json, view, request_wall_ms(request));
	else
		request->more = true;
}

static void trace_done(void *owner, const struct admin_result *result)
{
	struct request *request = owner;

	if (!request_told(request))
		return;
	if (result->error != 0) {
		request_refuse(request, result);
		return;
	}
	begin_held(request);
	jw_end(&request->json);
	jw_bool(&request->json, "more", request->more);
	jw_end(&request->json);
	request_answer(request, MHD_HTTP_OK);
}

void handle_trace(struct request *request)
{
	struct admin_trace_filter filter = {.message_id = parameter_text(request, "message_id")};

	if (!parameter_path(request, "recipient", &filter.recipient) ||
	    !parameter_path(request, "sender", &filter.sender) ||
	    !parameter_time(request, "since", &filter.since_ms) ||
	    !parameter_limit(request, "limit", &filter.limit))
		return;
	begin_list(request, "ends");
	admin_trace(request->api->relay, &filter, trace_end, trace_message, trace_done, request);
}

/* --- one message --- */

bool subject_id(struct request *request, uint64_t *ret_id)
{
	if (base32_to_u64(slice_of(request->subject), ret_id) == 0)
		return true;
	request_error(request, MHD_HTTP_BAD_REQUEST, "syntax",
		      "\"%s\" is not a message id (13 letters and digits)", request->subject);
	return false;
}

static void show_message(void *owner, const struct admin_message_view *view)
{
	struct request *request = owner;

	if (request_wanted(request) && request->listed++ == 0)
		write_message(&request->json, view, request_wall_ms(request));
}

static void show_done(void *owner, const struct admin_result *result)
{
	struct request *request = owner;

	if (!request_told(request))
		return;
	if (result->error != 0)
		request_refuse(request, result);
	else if (request->listed == 0)
		request_error(request, MHD_HTTP_NOT_FOUND, "not_found",
			      "message %s is not held: see `restante trace`", request->subject);
	else
		request_answer(request, MHD_HTTP_OK);
}

void handle_message_show(struct request *request)
{
	uint64_t id;

	if (!subject_id(request, &id))
		return;
	request_ask(request);
	admin_message_show(request->api->relay, id, show_message, show_done, request);
}

static void change_done(void *owner, const struct admin_result *result)
{
	struct request *request = owner;

	if (request_told(request))
		request_finish(request, result, MHD_HTTP_OK);
}

void handle_message_release(struct request *request)
{
	uint64_t id;

	if (!subject_id(request, &id))
		return;
	request_ask(request);
	admin_message_release(request->api->relay, id, change_done, request);
}

void handle_message_remove(struct request *request)
{
	uint64_t id;

	if (!subject_id(request, &id))
		return;
	request_ask(request);
	admin_message_remove(request->api->relay, id, change_done, request);
}
