/* Many domains added by one request: {"domains":[{"name":..., "to":[...]}, ...]}.
 *
 * Each is added as if it were alone, and durable before it is said to be; one that is wrong does not stop the
 * others. The answer lists them in the order of the request.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"

struct bulk;

struct addition {
	struct bulk *bulk;
	struct admin_result result;
};

struct bulk {
	struct request *request;
	json_t *domains; /* of the body */
	size_t count;
	size_t awaited; /* answers of the relay, and one while they are being asked for */
	struct addition additions[];
};

static const char *outcome(int error)
{
	if (error == 0)
		return "added";
	return error == ERR_EXISTS ? "exists" : "failed";
}

static void write_addition(struct request *request, const struct bulk *bulk, size_t i)
{
	const struct admin_result *result = &bulk->additions[i].result;
	const char *message = result->message[0] != '\0' ? result->message : error_name(result->error);

	jw_object(&request->json, NULL);
	jw_string(&request->json, "name",
		  json_string_value(json_object_get(json_array_get(bulk->domains, i), "name")));
	jw_string(&request->json, "outcome", outcome(result->error));
	jw_string(&request->json, "message", message);
	jw_end(&request->json);
}

static void answer(struct request *request, const struct bulk *bulk)
{
	jw_object(&request->json, NULL);
	jw_array(&request->json, "results");
	for (size_t i = 0; i < bulk->count; i++)
		write_addition(request, bulk, i);
	jw_end_to(&request->json, 0);
	request_answer(request, MHD_HTTP_OK);
}

static void one_less(struct bulk *bulk)
{
	if (--bulk->awaited > 0)
		return;
	if (request_told(bulk->request))
		answer(bulk->request, bulk);
	json_decref(bulk->domains);
	free(bulk);
}

static void added(void *owner, const struct admin_result *result)
{
	struct addition *addition = owner;

	addition->result = *result;
	one_less(addition->bulk);
}

static void add_all(struct bulk *bulk)
{
	struct slice hosts[RELAY_HOSTS_MAX];

	for (size_t i = 0; i < bulk->count; i++) {
		const json_t *domain = json_array_get(bulk->domains, i);
		const json_t *to = json_object_get(domain, "to");
		size_t count = json_array_size(to);
		for (size_t k = 0; k < count; k++)
			hosts[k] = slice_of(json_string_value(json_array_get(to, k)));
		bulk->additions[i].bulk = bulk;
		bulk->awaited++;
		admin_domain_add(bulk->request->api->relay,
				 slice_of(json_string_value(json_object_get(domain, "name"))), hosts, count,
				 added, &bulk->additions[i]);
	}
}

/* The form of every domain is looked at before the first is added. */
static bool well_formed(struct request *request, const json_t *domains)
{
	struct slice hosts[RELAY_HOSTS_MAX];
	size_t count = json_array_size(domains), host_count;

	if (!json_is_array(domains) || count == 0 || count > API_DOMAINS_MAX) {
		request_error(request, MHD_HTTP_BAD_REQUEST, "syntax",
			      "\"domains\" must be a list of 1 to %d objects with \"name\" and, if wanted, "
			      "\"to\"",
			      API_DOMAINS_MAX);
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		json_t *domain = json_array_get(domains, i);
		const json_t *name = json_object_get(domain, "name");
		if (!json_is_string(name) || json_string_length(name) == 0) {
			request_error(request, MHD_HTTP_BAD_REQUEST, "syntax",
				      "number %zu of \"domains\" has no \"name\"", i + 1);
			return false;
		}
		if (!only_members(request, domain, " name to ") ||
		    !take_hosts(request, json_object_get(domain, "to"), hosts, &host_count))
			return false;
	}
	return true;
}

static void begin(struct request *request, json_t *domains)
{
	size_t count = json_array_size(domains);
	struct bulk *bulk = calloc(1, sizeof(*bulk) + count * sizeof(bulk->additions[0]));

	if (bulk == NULL) {
		request_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "memory",
			      "no memory for so many domains: nothing was added");
		return;
	}
	bulk->request = request;
	bulk->domains = json_incref(domains);
	bulk->count = count;
	bulk->awaited = 1;
	request_ask(request);
	add_all(bulk);
	one_less(bulk);
}

void handle_domains_add(struct request *request)
{
	json_t *body;

	if (!parse_body(request, &body))
		return;
	if (only_members(request, body, " domains ") &&
	    well_formed(request, json_object_get(body, "domains")))
		begin(request, json_object_get(body, "domains"));
	json_decref(body);
}
