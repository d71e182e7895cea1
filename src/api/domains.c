/* What changes a domain: added, set, removed, held, resumed, probed. */
#include <stdio.h>
#include <string.h>

#include "api/handlers.h"
#include "api/timestamp.h"

bool bad_body(struct request *request, const char *what)
{
	request_error(request, MHD_HTTP_BAD_REQUEST, "syntax", "%s", what);
	return false;
}

bool parse_body(struct request *request, json_t **ret_object)
{
	struct slice body = slice_trim(buffer_slice(&request->upload));
	json_error_t error;
	json_t *object;

	if (body.size == 0)
		body = SLICE("{}");
	object = json_loadb(body.data, body.size, JSON_REJECT_DUPLICATES, &error);
	if (object == NULL) {
		request_error(request, MHD_HTTP_BAD_REQUEST, "syntax",
			      "the body is not JSON: line %d, column %d: %s", error.line, error.column,
			      error.text);
		return false;
	}
	if (!json_is_object(object)) {
		json_decref(object);
		return bad_body(request, "the body must be a JSON object");
	}
	*ret_object = object;
	return true;
}

bool only_members(struct request *request, json_t *object, const char *known)
{
	const char *name;
	json_t *value;
	char padded[64];

	json_object_foreach(object, name, value)
	{
		(void)snprintf(padded, sizeof(padded), " %.60s ", name);
		if (strstr(known, padded) == NULL) {
			request_error(request, MHD_HTTP_BAD_REQUEST, "syntax",
				      "unknown member \"%.60s\"; known here:%s", name, known);
			return false;
		}
	}
	return true;
}

/* --- add --- */

static void add_done(void *owner, const struct admin_result *result)
{
	struct request *request = owner;

	if (!request_told(request))
		return;
	if (result->error != 0) {
		request_refuse(request, result);
		return;
	}
	jw_object(&request->json, NULL);
	jw_string(&request->json, "message", result->message);
	(void)write_domain(request, "domain", slice_of(request->subject));
	jw_end(&request->json);
	request_answer(request, MHD_HTTP_CREATED);
}

static const char to_wanted[] = "\"to\" must be a list of \"host\", \"host:port\" or \"[v6 address]:port\"";

bool take_hosts(struct request *request, json_t *list, struct slice hosts[RELAY_HOSTS_MAX], size_t *ret_count)
{
	size_t count = json_array_size(list);

	if (list != NULL && !json_is_array(list))
		return bad_body(request, to_wanted);
	if (count > RELAY_HOSTS_MAX)
		return bad_body(request, "\"to\" may name at most 16 hosts");
	for (size_t i = 0; i < count; i++) {
		const json_t *host = json_array_get(list, i);
		if (!json_is_string(host) || json_string_length(host) == 0)
			return bad_body(request, to_wanted);
		hosts[i] = slice_make(json_string_value(host), json_string_length(host));
	}
	*ret_count = count;
	return true;
}

void handle_domain_add(struct request *request)
{
	struct slice hosts[RELAY_HOSTS_MAX];
	size_t count = 0;
	json_t *body;

	if (!parse_body(request, &body))
		return;
	if (only_members(request, body, " to ") &&
	    take_hosts(request, json_object_get(body, "to"), hosts, &count)) {
		request_ask(request);
		admin_domain_add(request->api->relay, slice_of(request->subject), hosts, count, add_done,
				 request);
	}
	json_decref(body);
}

/* --- set --- */

/* A setting's value as the text that admin_domain_set takes: 30, or "a.example.com,b.example.com:26".
 * ERR_MEMORY. */
static int setting_text(const json_t *value, struct buffer *text)
{
	int error = 0;

	if (json_is_string(value))
		return buffer_append(text, json_string_value(value), json_string_length(value));
	if (json_is_integer(value))
		return buffer_printf(text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	for (size_t i = 0; i < json_array_size(value) && error == 0; i++) {
		const json_t *item = json_array_get(value, i);
		error = i > 0 ? buffer_append(text, ",", 1) : 0;
		if (error == 0)
			error = buffer_append(text, json_string_value(item), json_string_length(item));
	}
	return error;
}

static void set_done(void *owner, const struct admin_result *result);

/* Settings are applied one after the other: each is durable before the next is asked for. */
static void set_next(struct request *request)
{
	const char *key = json_object_iter_key(request->setting);
	struct buffer text;

	buffer_init(&text, API_BODY_MAX);
	if (setting_text(json_object_iter_value(request->setting), &text) == 0) {
		request_ask(request);
		admin_domain_set(request->api->relay, slice_of(request->subject), slice_of(key),
				 buffer_slice(&text), set_done, request);
	} else {
		request_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "memory", "no memory for \"%s\"", key);
	}
	buffer_deinit(&text);
}

static void set_failed(struct request *request, const struct admin_result *result)
{
	bool first = request->setting == json_object_iter(request->settings);
	struct admin_result told = *result;

	if (!first)
		(void)snprintf(told.message, sizeof(told.message),
			       "%.200s: %.700s (what stood before it is set)",
			       json_object_iter_key(request->setting), result->message);
	request_refuse(request, &told);
}

static void set_done(void *owner, const struct admin_result *result)
{
	struct request *request = owner;

	if (!request_told(request))
		return;
	if (result->error != 0) {
		set_failed(request, result);
		return;
	}
	request->setting = json_object_iter_next(request->settings, request->setting);
	if (request->setting != NULL) {
		set_next(request);
		return;
	}
	jw_object(&request->json, NULL);
	jw_string(&request->json, "message", result->message);
	(void)write_domain(request, "domain", slice_of(request->subject));
	jw_end(&request->json);
	request_answer(request, MHD_HTTP_OK);
}

static bool has_setting_type(const json_t *value)
{
	if (json_is_string(value) || json_is_integer(value))
		return true;
	for (size_t i = 0; i < json_array_size(value); i++) {
		const json_t *item = json_array_get(value, i);
		if (!json_is_string(item) || json_string_length(item) == 0)
			return false;
	}
	return json_array_size(value) > 0;
}

/* Everything that can be refused here is refused before the first setting is applied. */
static bool check_settings(struct request *request)
{
	const char *key;
	json_t *value;

	if (!only_members(request, request->settings, " to hold share "))
		return false;
	json_object_foreach(request->settings, key, value)
	{
		if (has_setting_type(value))
			continue;
		request_error(request, MHD_HTTP_BAD_REQUEST, "syntax",
			      "\"%s\" must be a text, a whole number or a list of texts", key);
		return false;
	}
	return true;
}

void handle_domain_set(struct request *request)
{
	if (!parse_body(request, &request->settings) || !check_settings(request))
		return;
	request->setting = json_object_iter(request->settings);
	if (request->setting == NULL)
		(void)bad_body(request, "nothing to set: \"to\", \"hold\" or \"share\"");
	else
		set_next(request);
}

/* --- the rest --- */

static void plain_done(void *owner, const struct admin_result *result)
{
	struct request *request = owner;

	if (request_told(request))
		request_finish(request, result, MHD_HTTP_OK);
}

void handle_domain_remove(struct request *request)
{
	request_ask(request);
	admin_domain_remove(request->api->relay, slice_of(request->subject), plain_done, request);
}

static bool take_until(struct request *request, const json_t *until, int64_t *ret_until_ms)
{
	*ret_until_ms = 0;
	if (until == NULL || json_is_null(until))
		return true;
	if (!json_is_string(until) ||
	    timestamp_parse(slice_of(json_string_value(until)), ret_until_ms, NULL) != 0)
		return bad_body(request, "\"until\" must be a time as in \"2026-12-01T10:00:00Z\"");
	if (*ret_until_ms <= request_wall_ms(request))
		return bad_body(request, "\"until\" is in the past");
	return true;
}

void handle_hold(struct request *request)
{
	int64_t until_ms;
	json_t *body;

	if (!parse_body(request, &body))
		return;
	if (only_members(request, body, " until ") &&
	    take_until(request, json_object_get(body, "until"), &until_ms)) {
		request_ask(request);
		admin_hold(request->api->relay, slice_of(request->subject), until_ms, plain_done, request);
	}
	json_decref(body);
}

void handle_resume(struct request *request)
{
	request_ask(request);
	admin_resume(request->api->relay, slice_of(request->subject), plain_done, request);
}

void handle_trust(struct request *request)
{
	request_ask(request);
	admin_trust(request->api->relay, slice_of(request->subject), plain_done, request);
}

void handle_probe(struct request *request)
{
	request_ask(request);
	admin_probe(request->api->relay, slice_of(request->subject), plain_done, request);
}
