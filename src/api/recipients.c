/* What is known of a domain's recipients, and what somebody says of them: list, pin, unpin, import. */
#include <stdio.h>

#include "api/handlers.h"
#include "api/parameters.h"

/* --- list --- */

static void write_recipient(struct json_writer *w, const struct admin_recipient_view *view)
{
	const struct ledger_entry *entry = view->entry;
	char address[LEDGER_LOCAL_MAX + RELAY_DOMAIN_NAME_MAX + 2];

	(void)snprintf(address, sizeof(address), "%.*s@%s", SLICE_ARG(view->local), view->domain);
	jw_object(w, NULL);
	jw_string(w, "address", address);
	jw_string(w, "standing", ledger_standing_name(view->standing));
	jw_string(w, "source", ledger_source_name(entry->source));
	jw_bool(w, "pinned", entry->pinned);
	jw_bool(w, "departed", entry->departed);
	jw_uint(w, "accepted", entry->good_count);
	jw_time(w, "first_accepted", entry->first_good_ms);
	jw_time(w, "last_accepted", entry->last_good_ms);
	jw_uint(w, "refused", entry->refused_count);
	jw_time(w, "last_refused", entry->last_refused_ms);
	jw_end(w);
}

/* One more than what is wanted is asked for: if it comes, there is more. */
static void on_recipient(void *owner, const struct admin_recipient_view *view)
{
	struct request *request = owner;

	if (!request_wanted(request) || request->more)
		return;
	if (request->listed == request->limit || buffer_size(&request->body) >= API_LIST_BYTES) {
		request->more = true;
		return;
	}
	write_recipient(&request->json, view);
	request->listed++;
	(void)snprintf(request->last_local, sizeof(request->last_local), "%.*s", SLICE_ARG(view->local));
}

static void list_done(void *owner, const struct admin_result *result)
{
	struct request *request = owner;

	if (!request_told(request))
		return;
	if (result->error != 0) {
		request_refuse(request, result);
		return;
	}
	jw_end(&request->json);
	jw_string(&request->json, "next", request->more ? request->last_local : NULL);
	jw_end(&request->json);
	request_answer(request, MHD_HTTP_OK);
}

void handle_recipients(struct request *request)
{
	struct slice after;

	if (!parameter_path(request, "after", &after) || !parameter_limit(request, "limit", &request->limit))
		return;
	request_ask(request);
	jw_object(&request->json, NULL);
	jw_array(&request->json, "recipients");
	admin_recipients(request->api->relay, slice_of(request->subject), after, request->limit + 1,
			 on_recipient, list_done, request);
}

/* --- pin, unpin, import --- */

static void vouch_done(void *owner, const struct admin_result *result)
{
	struct request *request = owner;

	if (request_told(request))
		request_finish(request, result, MHD_HTTP_OK);
}

/* True with *ret_count names; the slices point into the list. */
static bool take_names(struct request *request, const json_t *list, struct slice names[ADMIN_RECIPIENTS_MAX],
		       size_t *ret_count)
{
	size_t count = json_array_size(list);

	if (!json_is_array(list) || count == 0 || count > ADMIN_RECIPIENTS_MAX)
		return bad_body(request, "\"recipients\" must be a list of 1 to 1000 addresses");
	for (size_t i = 0; i < count; i++) {
		const json_t *name = json_array_get(list, i);
		if (!json_is_string(name))
			return bad_body(request, "\"recipients\" must be a list of addresses");
		names[i] = slice_make(json_string_value(name), json_string_length(name));
	}
	*ret_count = count;
	return true;
}

static void vouch(struct request *request, enum admin_vouch what)
{
	struct slice names[ADMIN_RECIPIENTS_MAX];
	size_t count = 0;
	json_t *body;

	if (!parse_body(request, &body))
		return;
	if (only_members(request, body, " recipients ") &&
	    take_names(request, json_object_get(body, "recipients"), names, &count)) {
		request_ask(request);
		admin_vouch(request->api->relay, slice_of(request->subject), what, names, count, vouch_done,
			    request);
	}
	json_decref(body);
}

void handle_pin(struct request *request)
{
	vouch(request, ADMIN_PIN);
}

void handle_unpin(struct request *request)
{
	vouch(request, ADMIN_UNPIN);
}

void handle_import(struct request *request)
{
	vouch(request, ADMIN_IMPORT);
}
