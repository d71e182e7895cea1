#include "http.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"

enum { TURN_MAX_MS = 1000 };

static int listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	check(fd != -1 && strlen(path) < sizeof(address.sun_path));
	memcpy(address.sun_path, path, strlen(path));
	check(bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
	check(listen(fd, 64) == 0);
	return fd;
}

void http_start(struct http *http, const char *token)
{
	memset(http, 0, sizeof(*http));
	fake_relay_init(&http->relay);
	(void)snprintf(http->folder, sizeof(http->folder), "/tmp/restante-api-XXXXXX");
	check(mkdtemp(http->folder) != NULL);
	(void)snprintf(http->path, sizeof(http->path), "%s/%s", http->folder, API_SOCKET_NAME);
	int fd = listen_at(http->path);
	http->api = api_new(&http->relay, &http->relay.clock, fd, "9.8.7", token);
	check(http->api != NULL);
	http->multi = curl_multi_init();
	check(http->multi != NULL);
}

void http_stop(struct http *http)
{
	api_free(http->api);
	fake_relay_deinit(&http->relay);
	(void)curl_multi_cleanup(http->multi);
	(void)unlink(http->path);
	(void)rmdir(http->folder);
}

static size_t take_body(char *bytes, size_t size, size_t count, void *owner)
{
	struct http_answer *answer = owner;
	char *grown = reallocarray(answer->body, answer->size + size * count + 1, 1);

	check(grown != NULL);
	answer->body = grown;
	memcpy(answer->body + answer->size, bytes, size * count);
	answer->size += size * count;
	answer->body[answer->size] = '\0';
	return size * count;
}

static size_t take_header(char *bytes, size_t size, size_t count, void *owner)
{
	struct http_answer *answer = owner;
	size_t used = strlen(answer->headers);

	if (size * count < sizeof(answer->headers) - used) {
		memcpy(answer->headers + used, bytes, size * count);
		answer->headers[used + size * count] = '\0';
	}
	return size * count;
}

CURL *http_begin(struct http *http, const char *method, const char *target, const char *body,
		 struct curl_slist *headers, struct http_answer *answer)
{
	CURL *easy = curl_easy_init();
	char url[2048];

	check(easy != NULL);
	*answer = (struct http_answer){.outcome = CURLE_AGAIN};
	(void)snprintf(url, sizeof(url), "http://localhost%s", target);
	(void)curl_easy_setopt(easy, CURLOPT_URL, url);
	(void)curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, http->path);
	(void)curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
	(void)curl_easy_setopt(easy, CURLOPT_NOBODY, strcmp(method, "HEAD") == 0 ? 1L : 0L);
	(void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	(void)curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, answer);
	(void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
	(void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, answer);
	(void)curl_easy_setopt(easy, CURLOPT_PRIVATE, answer);
	if (body != NULL)
		(void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
	check(curl_multi_add_handle(http->multi, easy) == CURLM_OK);
	return easy;
}

static void note_outcomes(struct http *http)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
		struct http_answer *answer = NULL;
		if (message->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&answer);
		answer->outcome = message->data.result;
	}
}

bool http_turn(struct http *http)
{
	struct curl_waitfd api = {.fd = http->api != NULL ? api_fd(http->api) : -1,
				  .events = CURL_WAIT_POLLIN};
	int running = 0;

	(void)curl_multi_perform(http->multi, &running);
	note_outcomes(http);
	if (running == 0)
		return false;
	int64_t timeout_ms = http->api != NULL ? api_timeout_ms(http->api) : -1;
	if (timeout_ms < 0 || timeout_ms > TURN_MAX_MS)
		timeout_ms = TURN_MAX_MS;
	if (list_first(&http->relay.calls) != NULL)
		timeout_ms = 0;
	(void)curl_multi_poll(http->multi, &api, http->api != NULL ? 1 : 0, (int)timeout_ms, NULL);
	if (http->api != NULL)
		api_run(http->api);
	fake_relay_run(&http->relay);
	return true;
}

void http_end(struct http *http, CURL *easy, struct http_answer *answer)
{
	const char *type = NULL;

	(void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &answer->status);
	(void)curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
	(void)snprintf(answer->content_type, sizeof(answer->content_type), "%s", type != NULL ? type : "");
	(void)curl_multi_remove_handle(http->multi, easy);
	curl_easy_cleanup(easy);
}

struct http_answer http_request(struct http *http, const char *method, const char *target, const char *body,
				struct curl_slist *headers)
{
	struct http_answer answer;
	CURL *easy = http_begin(http, method, target, body, headers, &answer);

	while (http_turn(http))
		;
	http_end(http, easy, &answer);
	return answer;
}

void http_free(struct http_answer *answer)
{
	free(answer->body);
	*answer = (struct http_answer){0};
}
