/* Backup: begin, renew, end. The copying is the client's. */
#include "api/handlers.h"
#include "base/base32.h"

static void begun(void *owner, uint64_t id)
{
	struct request *request = owner;
	char text[BASE32_U64_SIZE + 1];

	if (!request_wanted(request))
		return;
	base32_from_u64(id, text);
	jw_object(&request->json, NULL);
	jw_string(&request->json, "id", text);
	jw_string(&request->json, "index", "spool/snapshot/data.mdb");
	jw_array(&request->json, "segments");
}

static void part(void *owner, uint64_t segment, uint64_t bytes)
{
	struct request *request = owner;

	if (!request_wanted(request))
		return;
	jw_object(&request->json, NULL);
	jw_uint(&request->json, "number", segment);
	jw_uint(&request->json, "bytes", bytes);
	jw_end(&request->json);
}

static void backup_done(void *owner, const struct admin_result *result)
{
	struct request *request = owner;

	if (!request_told(request))
		return;
	if (result->error != 0) {
		request_refuse(request, result);
		return;
	}
	jw_end(&request->json);
	jw_end(&request->json);
	request_answer(request, MHD_HTTP_OK);
}

void handle_backup(struct request *request)
{
	request_ask(request);
	admin_backup(request->api->relay, begun, part, backup_done, request);
}

static void said(void *owner, const struct admin_result *result)
{
	struct request *request = owner;

	if (request_told(request))
		request_finish(request, result, MHD_HTTP_OK);
}

void handle_backup_renew(struct request *request)
{
	uint64_t id;

	if (!subject_id(request, &id))
		return;
	request_ask(request);
	admin_backup_renew(request->api->relay, id, said, request);
}

void handle_backup_end(struct request *request)
{
	uint64_t id;

	if (!subject_id(request, &id))
		return;
	request_ask(request);
	admin_backup_end(request->api->relay, id, said, request);
}
