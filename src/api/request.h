/* One HTTP request inside the API: from its first header until the connection and the relay have both let go
 *of it.
 *
 * A request has two owners: the connection (libmicrohttpd tells when it is done with it) and, while an answer
 *is awaited, the relay. Either may go first. Handlers answer at once, or ask the relay and answer in its
 *completion:
 *
 *	handler:     request_ask(request); admin_something(..., done, request);
 *	completion:  if (!request_told(request)) return;   // nobody waits any more, request may be gone
 *	             request_answer(request, 200);
 *
 * Lent functions between (a message of a list, a piece of a body) ask request_wanted first.
 */
#ifndef API_REQUEST_H
#define API_REQUEST_H

#include <jansson.h>
#include <microhttpd.h>

#include "api/api.h"
#include "api/json_writer.h"
#include "base/list.h"
#include "relay/admin.h"

struct route;

enum request_state {
	REQUEST_RECEIVING = 0, /* its body may still be coming; nothing was done */
	REQUEST_WAITING = 1,   /* the relay was asked, the connection is suspended */
	REQUEST_ANSWERED =
	    2, /* status and body stand; the response was queued or will be when the connection runs */
	REQUEST_STREAMING = 3, /* the response is under way and takes from body */
};

enum { REQUEST_SUBJECT_MAX = RELAY_DOMAIN_NAME_MAX + 1 };

struct request_content { /* of a message that is sent piece by piece; see content.c */
	uint64_t id;
	bool counted; /* in api->contents */
	bool stopped; /* the window was full */
	bool whole;   /* the last byte is in the window */
	bool failed;
};

struct request {
	struct list link;		   /* of api->requests */
	struct api *api;		   /* NULL: it was freed */
	struct MHD_Connection *connection; /* NULL: done with */
	enum request_state state;
	bool asked; /* the relay owes a completion */
	int64_t asked_us;
	const struct route *route;
	char subject[REQUEST_SUBJECT_MAX + 1]; /* what stands for * in the route's path */
	struct buffer upload;		       /* body of the request */
	size_t upload_bytes;		       /* received, kept or not */

	unsigned status;
	struct buffer body; /* of the response */
	const char *content_type;
	const char *allow; /* header of a 405 */
	char allow_text[64];
	struct json_writer json; /* writes to body */

	unsigned list_depth;  /* of the array that lanes go to */
	size_t listed, limit; /* lists: messages written, and the most that was asked for */
	uint64_t last_id;
	char last_local[LEDGER_LOCAL_MAX + 1]; /* of a list of recipients */
	bool more;
	json_t *settings; /* PATCH: what is to be set, */
	void *setting;	  /* and the member being set */
	struct request_content content;
};

typedef void request_handler(struct request *request);

struct api {
	struct MHD_Daemon *daemon;
	struct relay *relay;
	struct clock *clock;
	char *version;
	char *token;	      /* NULL: none is needed */
	struct list requests; /* all that have a connection or await the relay */
	unsigned contents;    /* messages being sent */
	bool resumed;	      /* a connection has run on since api_run: it must run again at once */
	int epoll_fd;
};

/* Starts an empty answer of JSON. */
void request_begin(struct request *request);
/* From a handler: the relay will be asked now, and the request waits. Starts an empty answer. */
void request_ask(struct request *request);
/* From a completion: the relay has answered. False: nobody wants the answer, the request must not be touched
 * any more. */
nodiscard bool request_told(struct request *request);
/* Between the two: is it worth collecting? */
bool request_wanted(const struct request *request);

/* The answer stands in body (JSON unless content_type was set). Resumes the connection when it is suspended.
 * An answer that could not be written for want of memory becomes a 503. */
void request_answer(struct request *request, unsigned status);
/* {"error":{"code","message"}} instead of whatever was written. */
void request_error(struct request *request, unsigned status, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The relay's refusal as HTTP: ERR_MISSING 404, ERR_EXISTS 409, ... */
void request_refuse(struct request *request, const struct admin_result *result);
/* {"message":...}: what was done; or the refusal. For completions without further data. */
void request_finish(struct request *request, const struct admin_result *result, unsigned status);

int64_t request_wall_ms(const struct request *request);

/* Life; called by api.c. */
struct request *request_new(struct api *api, struct MHD_Connection *connection);
void request_gone(struct request *request);   /* the connection is done with it */
void request_orphan(struct request *request); /* the api goes: forget it; the connection is gone already */
void request_resume(struct request *request); /* suspended connections run again */

#endif
