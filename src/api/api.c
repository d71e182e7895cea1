#include "api/api.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "api/request.h"
#include "api/route.h"
#include "base/check.h"

/* Uploads longer than what is kept are read and dropped so far, so that the 413 is read; then the connection
 * ends. */
enum { UPLOAD_DROP_MAX = 16 * API_BODY_MAX, CONNECTION_MEMORY = 32 * 1024 };

/* --- one request --- */

void handle_health(struct request *request)
{
	request_begin(request);
	jw_object(&request->json, NULL);
	jw_string(&request->json, "status", "ok");
	jw_end(&request->json);
	request_answer(request, MHD_HTTP_OK);
}

/* Takes as long whatever the bytes are, for tokens of equal length. */
static bool same_secret(const char *a, const char *b)
{
	size_t size = strlen(a);
	unsigned char difference = 0;

	if (strlen(b) != size)
		return false;
	for (size_t i = 0; i < size; i++)
		difference |= (unsigned char)((unsigned char)a[i] ^ (unsigned char)b[i]);
	return difference == 0;
}

static bool authorised(const struct request *request)
{
	static const char scheme[] = "Bearer ";
	const char *given;

	if (request->api->token == NULL || request->route->open)
		return true;
	given =
	    MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
	if (given == NULL || strncasecmp(given, scheme, sizeof(scheme) - 1) != 0)
		return false;
	return same_secret(request->api->token, given + sizeof(scheme) - 1);
}

static void handle(struct request *request, const char *method, const char *url)
{
	if (!route_find(request, method, url))
		return;
	if (!authorised(request))
		request_error(request, MHD_HTTP_UNAUTHORIZED, "unauthorized",
			      "this address needs the header \"Authorization: Bearer TOKEN\"");
	else if (request->upload_bytes > API_BODY_MAX)
		request_error(request, MHD_HTTP_CONTENT_TOO_LARGE, "too_large",
			      "the body may have at most %d bytes", API_BODY_MAX);
	else if (route_check_query(request))
		request->route->handle(request);
}

/* --- the response --- */

/* Gives the body's memory away. */
static struct MHD_Response *body_response(struct request *request)
{
	struct buffer *body = &request->body;
	size_t size = buffer_size(body);

	check(body->start == 0);
	if (size == 0)
		return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
	struct MHD_Response *response =
	    MHD_create_response_from_buffer(size, body->bytes, MHD_RESPMEM_MUST_FREE);
	if (response != NULL)
		*body = (struct buffer){.limit_bytes = body->limit_bytes};
	return response;
}

static bool add_headers(const struct request *request, struct MHD_Response *response)
{
	struct {
		const char *name, *value;
	} headers[] = {
	    {MHD_HTTP_HEADER_CONTENT_TYPE, request->content_type},
	    {MHD_HTTP_HEADER_CACHE_CONTROL, "no-store"},
	    {"X-Content-Type-Options", "nosniff"},
	    {MHD_HTTP_HEADER_ALLOW, request->allow},
	    {MHD_HTTP_HEADER_WWW_AUTHENTICATE, request->status == MHD_HTTP_UNAUTHORIZED ? "Bearer" : NULL},
	};

	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
		if (headers[i].value != NULL &&
		    MHD_add_response_header(response, headers[i].name, headers[i].value) != MHD_YES)
			return false;
	return true;
}

static enum MHD_Result respond(struct request *request)
{
	bool streams = request->state == REQUEST_STREAMING;
	struct MHD_Response *response = streams ? content_response(request) : body_response(request);
	enum MHD_Result result = MHD_NO;

	if (response == NULL)
		return MHD_NO;
	if (add_headers(request, response))
		result = MHD_queue_response(request->connection, request->status, response);
	MHD_destroy_response(response);
	return result;
}

/* --- what libmicrohttpd tells --- */

/* Keeps the body up to its limit and counts the rest. MHD_NO ends the connection. */
static enum MHD_Result take_upload(struct request *request, const char *data, size_t *size)
{
	request->upload_bytes += *size;
	if (request->upload_bytes > UPLOAD_DROP_MAX)
		return MHD_NO;
	if (request->upload_bytes <= API_BODY_MAX && buffer_append(&request->upload, data, *size) != 0)
		return MHD_NO;
	*size = 0;
	return MHD_YES;
}

/* Called for the headers, for each part of the body, at its end, and again after a suspension. */
static enum MHD_Result on_request(void *owner, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *http_version, const char *upload,
				  size_t *upload_size, void **connection_state)
{
	struct request *request = *connection_state;

	(void)http_version;
	if (request == NULL) {
		*connection_state = request_new(owner, connection);
		return *connection_state != NULL ? MHD_YES : MHD_NO;
	}
	if (*upload_size > 0)
		return take_upload(request, upload, upload_size);
	if (request->state == REQUEST_RECEIVING)
		handle(request, method, url);
	if (request->state == REQUEST_WAITING) {
		MHD_suspend_connection(connection);
		return MHD_YES;
	}
	return respond(request);
}

static void on_completed(void *owner, struct MHD_Connection *connection, void **connection_state,
			 enum MHD_RequestTerminationCode how)
{
	struct request *request = *connection_state;

	(void)owner;
	(void)connection;
	(void)how;
	*connection_state = NULL;
	if (request != NULL)
		request_gone(request);
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-encoding. What is malformed stays, and so does %00: a NUL would cut the name short unseen. */
static size_t on_unescape(void *owner, struct MHD_Connection *connection, char *text)
{
	char *to = text;

	(void)owner;
	(void)connection;
	for (const char *from = text; *from != '\0'; from++) {
		int high = *from == '%' ? hex_value(from[1]) : -1;
		int low = high >= 0 ? hex_value(from[2]) : -1;
		if (low < 0 || high * 16 + low == 0) {
			*to++ = *from;
			continue;
		}
		*to++ = (char)(high * 16 + low);
		from += 2;
	}
	*to = '\0';
	return (size_t)(to - text);
}

/* --- life --- */

static struct MHD_Daemon *start_daemon(struct api *api, int listen_fd)
{
	unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME;

	return MHD_start_daemon(flags, 0, NULL, NULL, on_request, api, MHD_OPTION_LISTEN_SOCKET, listen_fd,
				MHD_OPTION_CONNECTION_LIMIT, (unsigned)API_CONNECTIONS_MAX,
				MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_CONNECTION_TIMEOUT,
				(unsigned)API_CONNECTION_IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
				(size_t)CONNECTION_MEMORY, MHD_OPTION_NOTIFY_COMPLETED, on_completed, api,
				MHD_OPTION_UNESCAPE_CALLBACK, on_unescape, api, MHD_OPTION_END);
}

/* accept() on the shared socket must not block when another process was faster. */
static int make_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1 ? ERR_IO : 0;
}

struct api *api_new(struct relay *relay, struct clock *clock, int listen_fd, const char *version,
		    const char *token)
{
	struct api *api = calloc(1, sizeof(*api));

	if (api == NULL)
		return NULL;
	list_init(&api->requests);
	api->relay = relay;
	api->clock = clock;
	api->version = strdup(version);
	api->token = token != NULL ? strdup(token) : NULL;
	if (api->version == NULL || (token != NULL && api->token == NULL) || make_nonblocking(listen_fd) != 0)
		goto failed;
	api->daemon = start_daemon(api, listen_fd);
	if (api->daemon == NULL)
		goto failed;
	api->epoll_fd = MHD_get_daemon_info(api->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
	return api;
failed:
	free(api->version);
	free(api->token);
	free(api);
	return NULL;
}

void api_free(struct api *api)
{
	if (api == NULL)
		return;
	list_each(node, &api->requests) {
		struct request *request = container_of(node, struct request, link);
		request_resume(request);
		request->state = REQUEST_ANSWERED;
	}
	/* Completes every request that has a connection; what is left awaits the relay. */
	MHD_stop_daemon(api->daemon);
	list_each_safe(node, after, &api->requests)
		request_orphan(container_of(node, struct request, link));
	free(api->version);
	free(api->token);
	free(api);
}

int api_fd(const struct api *api)
{
	return api->epoll_fd;
}

/* --- driving --- */

static int64_t answer_deadline_us(const struct request *request)
{
	return request->asked_us + CLOCK_MS(API_ANSWER_TIMEOUT_MS);
}

static void give_up_waiting(struct request *request)
{
	if (request->content.counted)
		request->content.failed = true;
	request_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "timeout",
		      "no answer within %d s; what was asked for may still happen",
		      API_ANSWER_TIMEOUT_MS / 1000);
}

void api_run(struct api *api)
{
	int64_t now_us = api->clock->read(api->clock).now_us;

	list_each(node, &api->requests) {
		struct request *request = container_of(node, struct request, link);
		if (request_wanted(request) && now_us >= answer_deadline_us(request))
			give_up_waiting(request);
	}
	api->resumed = false;
	(void)MHD_run(api->daemon);
}

static int64_t answers_timeout_ms(const struct api *api)
{
	int64_t now_us = api->clock->read(api->clock).now_us, first = CLOCK_NEVER;

	list_each(node, &api->requests) {
		const struct request *request = container_of(node, struct request, link);
		if (request_wanted(request) && answer_deadline_us(request) < first)
			first = answer_deadline_us(request);
	}
	if (first == CLOCK_NEVER)
		return -1;
	return first <= now_us ? 0 : (first - now_us) / 1000 + 1;
}

int64_t api_timeout_ms(const struct api *api)
{
	int64_t answers_ms = answers_timeout_ms(api);
	MHD_UNSIGNED_LONG_LONG connections_ms;

	/* libmicrohttpd wakes its owner by itself only when it has a thread of its own. */
	if (api->resumed)
		return 0;
	if (MHD_get_timeout(api->daemon, &connections_ms) != MHD_YES || connections_ms > INT_MAX)
		return answers_ms;
	if (answers_ms >= 0 && answers_ms < (int64_t)connections_ms)
		return answers_ms;
	return (int64_t)connections_ms;
}
