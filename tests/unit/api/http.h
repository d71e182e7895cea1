/* A real HTTP client and the API in one thread: requests go over a Unix socket in a temporary folder, and the
 * test turns both sides until an answer is there. Nothing sleeps: every wait is for a descriptor.
 */
#ifndef TEST_HTTP_H
#define TEST_HTTP_H

#include <curl/curl.h>

#include "api/api.h"
#include "fake_relay.h"

struct http {
	struct relay relay;
	struct api *api;
	char folder[64], path[96];
	CURLM *multi;
};

struct http_answer {
	CURLcode outcome;
	long status;
	char *body; /* terminated */
	size_t size;
	char content_type[128];
	char headers[4096];
};

void http_start(struct http *http, const char *token);
void http_stop(struct http *http);

/* An easy handle for a request that the test drives itself; answer must stay where it is until http_end. */
CURL *http_begin(struct http *http, const char *method, const char *target, const char *body,
		 struct curl_slist *headers, struct http_answer *answer);
/* One turn of everybody. Returns false when no request is under way any more. */
bool http_turn(struct http *http);
void http_end(struct http *http, CURL *easy, struct http_answer *answer);

/* A whole request. The answer is the caller's: http_free. */
struct http_answer http_request(struct http *http, const char *method, const char *target, const char *body,
				struct curl_slist *headers);
void http_free(struct http_answer *answer);

#endif
