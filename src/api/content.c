/* The bytes of a message, to a client of any speed, through a window of API_CONTENT_WINDOW bytes.
 *
 * The relay gives the bytes as fast as it reads them and can be stopped, not paused. So it is stopped when
 * the window is full, and goes on from there once the client has taken it.
 */
#include <string.h>

#include "api/handlers.h"
#include "base/check.h"

enum { CONTENT_BLOCK = 64 * 1024 }; /* bytes handed to the connection at a time */

static bool content_piece(void *owner, struct slice bytes)
{
	struct request *request = owner;
	struct request_content *content = &request->content;

	if (!request_wanted(request))
		return false;
	struct slice taken = slice_upto(bytes, API_CONTENT_WINDOW - buffer_size(&request->body));
	if (buffer_add(&request->body, taken) != 0)
		content->failed = true;
	content->stopped = content->failed || taken.size < bytes.size;
	return !content->stopped;
}

static void content_done(void *owner, const struct admin_result *result);

static void fill(struct request *request, uint64_t from)
{
	request_ask(request);
	request->content_type = "message/rfc822";
	request->content.stopped = false;
	admin_message_cat(request->api->relay, request->content.id, from, content_piece, content_done,
			  request);
}

/* A failure behind the first window cuts the response short, which the client notices by the missing last
 * chunk. */
static void content_done(void *owner, const struct admin_result *result)
{
	struct request *request = owner;
	struct request_content *content = &request->content;
	bool first = request->status == 0;

	if (!request_told(request))
		return;
	if (result->error != 0 && !content->stopped)
		content->failed = true;
	if (content->failed && first) {
		if (result->error != 0)
			request_refuse(request, result);
		else
			request_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "memory",
				      "no memory for the message");
		return;
	}
	content->whole = !content->stopped;
	request_resume(request);
	request->status = MHD_HTTP_OK;
	request->state = content->whole && first ? REQUEST_ANSWERED : REQUEST_STREAMING;
}

static ssize_t read_content(void *owner, uint64_t position, char *to, size_t size)
{
	struct request *request = owner;
	struct slice held = buffer_slice(&request->body);

	if (request->content.failed)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (held.size == 0 && request->content.whole)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (held.size == 0) {
		if (request->state != REQUEST_WAITING) {
			fill(request, position);
			MHD_suspend_connection(request->connection);
		}
		return 0;
	}
	if (size > held.size)
		size = held.size;
	memcpy(to, held.data, size);
	buffer_consume(&request->body, size);
	return (ssize_t)size;
}

struct MHD_Response *content_response(struct request *request)
{
	return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, CONTENT_BLOCK, read_content, request,
						 NULL);
}

void handle_message_content(struct request *request)
{
	if (!subject_id(request, &request->content.id))
		return;
	if (request->api->contents >= API_CONTENTS_MAX) {
		request_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "busy",
			      "%d messages are being read already: try again", API_CONTENTS_MAX);
		return;
	}
	request->api->contents++;
	request->content.counted = true;
	fill(request, 0);
}
