#include "api/request.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

enum { ERROR_TEXT_MAX = ADMIN_MESSAGE_MAX + 256 };

struct request *request_new(struct api *api, struct MHD_Connection *connection)
{
	struct request *request = calloc(1, sizeof(*request));

	if (request == NULL)
		return NULL;
	request->api = api;
	request->connection = connection;
	buffer_init(&request->upload, API_BODY_MAX);
	buffer_init(&request->body, API_ANSWER_MAX);
	list_add_last(&api->requests, &request->link);
	return request;
}

static void request_free(struct request *request)
{
	list_remove(&request->link);
	if (request->content.counted && request->api != NULL)
		request->api->contents--;
	json_decref(request->settings);
	buffer_deinit(&request->upload);
	buffer_deinit(&request->body);
	free(request);
}

static void free_when_done(struct request *request)
{
	if (request->connection == NULL && !request->asked)
		request_free(request);
}

void request_gone(struct request *request)
{
	request->connection = NULL;
	free_when_done(request);
}

void request_orphan(struct request *request)
{
	check(request->connection == NULL && request->asked);
	list_remove(&request->link);
	request->api = NULL;
}

void request_begin(struct request *request)
{
	buffer_reset(&request->body);
	request->json = json_writer(&request->body);
	request->content_type = "application/json";
}

void request_ask(struct request *request)
{
	check(!request->asked);
	request_begin(request);
	request->asked = true;
	request->asked_us = request->api->clock->read(request->api->clock).now_us;
	request->state = REQUEST_WAITING;
}

bool request_wanted(const struct request *request)
{
	return request->connection != NULL && request->state == REQUEST_WAITING;
}

bool request_told(struct request *request)
{
	bool wanted = request_wanted(request);

	check(request->asked);
	request->asked = false;
	free_when_done(request);
	return wanted;
}

void request_resume(struct request *request)
{
	if (!request_wanted(request))
		return;
	request->api->resumed = true;
	MHD_resume_connection(request->connection);
}

void request_answer(struct request *request, unsigned status)
{
	if (request->json.failed) {
		request_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "memory",
			      "the answer does not fit into memory: ask for less (limit=, domain=)");
		return;
	}
	request_resume(request);
	request->status = status;
	request->state = REQUEST_ANSWERED;
}

void request_error(struct request *request, unsigned status, const char *code, const char *format, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);

	buffer_deinit(&request->body);
	request_begin(request);
	jw_object(&request->json, NULL);
	jw_object(&request->json, "error");
	jw_string(&request->json, "code", code);
	jw_string(&request->json, "message", text);
	jw_end_to(&request->json, 0);
	/* Without memory even for this the status speaks alone. */
	if (request->json.failed)
		request_begin(request);
	request_answer(request, status);
}

struct refusal {
	int error;
	unsigned status;
	const char *code;
};

static const struct refusal refusals[] = {
    {ERR_SYNTAX, MHD_HTTP_BAD_REQUEST, "syntax"},
    {ERR_LIMIT, MHD_HTTP_BAD_REQUEST, "limit"},
    {ERR_MISSING, MHD_HTTP_NOT_FOUND, "not_found"},
    {ERR_EXISTS, MHD_HTTP_CONFLICT, "exists"},
    {ERR_STATE, MHD_HTTP_CONFLICT, "state"},
    {ERR_BUSY, MHD_HTTP_SERVICE_UNAVAILABLE, "busy"},
    {ERR_MEMORY, MHD_HTTP_SERVICE_UNAVAILABLE, "memory"},
    {ERR_IO, MHD_HTTP_SERVICE_UNAVAILABLE, "io"},
    {ERR_CORRUPT, MHD_HTTP_INTERNAL_SERVER_ERROR, "corrupt"},
};

void request_refuse(struct request *request, const struct admin_result *result)
{
	static const struct refusal other = {0, MHD_HTTP_INTERNAL_SERVER_ERROR, "internal"};
	const struct refusal *refusal = &other;
	const char *message = result->message[0] != '\0' ? result->message : error_name(result->error);

	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		if (refusals[i].error == result->error)
			refusal = &refusals[i];
	request_error(request, refusal->status, refusal->code, "%s", message);
}

void request_finish(struct request *request, const struct admin_result *result, unsigned status)
{
	if (result->error != 0) {
		request_refuse(request, result);
		return;
	}
	jw_object(&request->json, NULL);
	jw_string(&request->json, "message", result->message);
	jw_end(&request->json);
	request_answer(request, status);
}

int64_t request_wall_ms(const struct request *request)
{
	return request->api->clock->read(request->api->clock).wall_ms;
}
