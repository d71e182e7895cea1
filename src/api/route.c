#include "api/route.h"

#include <stdio.h>
#include <string.h>

#include "api/handlers.h"

static const struct route routes[] = {
    {"GET", "/v1/status", handle_status, {"domain", "order", "limit", "after"}},
    {"GET", "/v1/domains", handle_domains, {"limit", "after"}},
    {"POST", "/v1/domains", handle_domains_add},
    {"GET", "/v1/domains/*", handle_domain_show},
    {"PUT", "/v1/domains/*", handle_domain_add},
    {"PATCH", "/v1/domains/*", handle_domain_set},
    {"DELETE", "/v1/domains/*", handle_domain_remove},
    {"POST", "/v1/domains/*/hold", handle_hold},
    {"POST", "/v1/domains/*/resume", handle_resume},
    {"POST", "/v1/domains/*/probe", handle_probe},
    {"POST", "/v1/domains/*/trust", handle_trust},
    {"GET", "/v1/domains/*/recipients", handle_recipients, {"limit", "after"}},
    {"POST", "/v1/domains/*/recipients/pin", handle_pin},
    {"POST", "/v1/domains/*/recipients/unpin", handle_unpin},
    {"POST", "/v1/domains/*/recipients/import", handle_import},
    {"GET", "/v1/queue", handle_queue, {"domain", "recipient", "sender", "grace", "limit", "after"}},
    {"GET", "/v1/trace", handle_trace, {"recipient", "sender", "message_id", "since", "limit"}},
    {"GET", "/v1/messages/*", handle_message_show},
    {"DELETE", "/v1/messages/*", handle_message_remove},
    {"POST", "/v1/messages/*/release", handle_message_release},
    {"GET", "/v1/messages/*/content", handle_message_content},
    {"POST", "/v1/backup", handle_backup},
    {"POST", "/v1/backup/*", handle_backup_renew},
    {"DELETE", "/v1/backup/*", handle_backup_end},
    {"GET", "/metrics", handle_metrics, {"domain"}},
    {"GET", "/healthz", handle_health, .open = true},
};

enum { ROUTE_COUNT = sizeof(routes) / sizeof(routes[0]) };

static bool path_matches(const char *pattern, const char *path, struct slice *ret_subject)
{
	struct slice wanted = slice_of(pattern), given = slice_of(path), a, b;

	*ret_subject = (struct slice){.data = NULL, .size = 0};
	while (slice_split(&wanted, '/', &a)) {
		if (!slice_split(&given, '/', &b))
			return false;
		if (slice_equal(a, SLICE("*")) && b.size > 0)
			*ret_subject = b;
		else if (!slice_equal(a, b))
			return false;
	}
	return !slice_split(&given, '/', &b);
}

static bool method_matches(const struct route *route, const char *method)
{
	if (strcmp(method, "HEAD") == 0)
		method = "GET";
	return strcmp(route->method, method) == 0;
}

static bool take_route(struct request *request, const struct route *route, struct slice subject)
{
	if (subject.size > REQUEST_SUBJECT_MAX) {
		request_error(request, MHD_HTTP_BAD_REQUEST, "syntax",
			      "the name in the path is longer than %d bytes", RELAY_DOMAIN_NAME_MAX);
		return false;
	}
	request->route = route;
	if (subject.size > 0)
		memcpy(request->subject, subject.data, subject.size);
	return true;
}

/* "GET, PUT": room is for all methods there are. */
static void allow(struct request *request, const char *method)
{
	size_t used = strlen(request->allow_text);

	(void)snprintf(request->allow_text + used, sizeof(request->allow_text) - used, "%s%s",
		       used > 0 ? ", " : "", method);
	request->allow = request->allow_text;
}

bool route_find(struct request *request, const char *method, const char *path)
{
	struct slice subject;

	for (size_t i = 0; i < ROUTE_COUNT; i++) {
		if (!path_matches(routes[i].path, path, &subject))
			continue;
		if (method_matches(&routes[i], method))
			return take_route(request, &routes[i], subject);
		allow(request, routes[i].method);
	}
	if (request->allow != NULL)
		request_error(request, MHD_HTTP_METHOD_NOT_ALLOWED, "method", "%s takes %s here", path,
			      request->allow);
	else
		request_error(request, MHD_HTTP_NOT_FOUND, "not_found",
			      "there is nothing at %s: see restante(8)", path);
	return false;
}

/* --- the query --- */

struct query_check {
	const struct route *route;
	unsigned seen; /* a bit for each parameter */
	const char *unknown, *twice;
};

static enum MHD_Result check_parameter(void *owner, enum MHD_ValueKind kind, const char *name,
				       const char *value)
{
	struct query_check *query = owner;

	(void)kind;
	(void)value;
	for (unsigned i = 0; i < ROUTE_PARAMETERS_MAX && query->route->parameters[i] != NULL; i++) {
		if (strcmp(query->route->parameters[i], name) != 0)
			continue;
		if (query->seen & 1u << i)
			query->twice = name;
		query->seen |= 1u << i;
		return MHD_YES;
	}
	query->unknown = name;
	return MHD_NO;
}

static void list_parameters(const struct route *route, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < ROUTE_PARAMETERS_MAX && route->parameters[i] != NULL && used < size; i++)
		used += (size_t)snprintf(text + used, size - used, "%s%s", i > 0 ? ", " : "",
					 route->parameters[i]);
}

bool route_check_query(struct request *request)
{
	struct query_check query = {.route = request->route};
	char known[128];

	(void)MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, check_parameter, &query);
	if (query.unknown != NULL) {
		list_parameters(request->route, known, sizeof(known));
		request_error(request, MHD_HTTP_BAD_REQUEST, "syntax",
			      "unknown parameter \"%s\"; known here: %s", query.unknown,
			      known[0] != '\0' ? known : "none");
		return false;
	}
	if (query.twice != NULL) {
		request_error(request, MHD_HTTP_BAD_REQUEST, "syntax", "\"%s\" is given twice", query.twice);
		return false;
	}
	return true;
}
