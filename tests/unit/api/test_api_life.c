/* What happens when somebody goes first: the client, the API, the relay; and the limits in time and number.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "../proto/failing_alloc.h"
#include "http.h"

#define CONTENT "/v1/messages/00000000000Z8/content"

static int setup(void **state)
{
	struct http *http = calloc(1, sizeof(*http));

	if (http == NULL)
		return -1;
	http_start(http, NULL);
	*state = http;
	return 0;
}

static int setup_with_token(void **state)
{
	struct http *http = calloc(1, sizeof(*http));

	if (http == NULL)
		return -1;
	http_start(http, "secret-123");
	*state = http;
	return 0;
}

static int teardown(void **state)
{
	http_stop(*state);
	free(*state);
	return 0;
}

/* A request that has reached the relay and stays there. */
static CURL *begin_pending(struct http *http, const char *method, const char *target,
			   struct http_answer *answer)
{
	size_t before = http->relay.heard_count;

	http->relay.silent = true;
	CURL *easy = http_begin(http, method, target, NULL, NULL, answer);
	while (http->relay.heard_count == before)
		assert_true(http_turn(http));
	return easy;
}

static void stop_api(struct http *http)
{
	api_free(http->api);
	http->api = NULL;
}

static const struct {
	const char *method, *target;
} pending[] = {
    {"PUT", "/v1/domains/a"},
    {"DELETE", "/v1/domains/a"},
    {"GET", "/v1/queue"},
    {"GET", "/v1/trace"},
    {"GET", "/v1/messages/00000000000Z8"},
    {"GET", CONTENT},
    {"POST", "/v1/messages/00000000000Z8/release"},
};

/* The API goes first; the relay answers afterwards, to nobody. */
static void test_api_freed_while_the_relay_works(void **state)
{
	struct http *http = *state;

	(void)state;
	for (size_t i = 0; i < sizeof(pending) / sizeof(pending[0]); i++) {
		struct http one;
		struct http_answer answer;
		http_start(&one, NULL);
		CURL *easy = begin_pending(&one, pending[i].method, pending[i].target, &answer);
		stop_api(&one);
		while (http_turn(&one))
			;
		http_end(&one, easy, &answer);
		assert_int_not_equal(answer.outcome, CURLE_OK);
		assert_int_equal(one.relay.waiting, 1);
		one.relay.silent = false;
		fake_relay_run(&one.relay);
		assert_int_equal(one.relay.waiting, 0);
		http_free(&answer);
		http_stop(&one);
	}
	assert_int_equal(http->relay.heard_count, 0);
}

/* The same, and the relay is freed without having answered. */
static void test_api_freed_then_relay_freed(void **state)
{
	struct http *http = *state;
	struct http_answer answer;
	CURL *easy = begin_pending(http, "GET", "/v1/queue", &answer);

	stop_api(http);
	fake_relay_deinit(&http->relay);
	while (http_turn(http))
		;
	http_end(http, easy, &answer);
	http_free(&answer);
}

/* The relay goes first: the client is told. */
static void test_relay_freed_first(void **state)
{
	struct http *http = *state;
	struct http_answer answer;
	CURL *easy = begin_pending(http, "PUT", "/v1/domains/a", &answer);

	fake_relay_deinit(&http->relay);
	while (http_turn(http))
		;
	http_end(http, easy, &answer);
	assert_int_equal(answer.status, 409);
	assert_non_null(strstr(answer.body, "the relay is shutting down"));
	http_free(&answer);
}

/* The client leaves; the answer finds nobody, and the next client is served. */
static void test_client_leaves(void **state)
{
	struct http *http = *state;

	for (size_t i = 0; i < sizeof(pending) / sizeof(pending[0]); i++) {
		struct http_answer answer;
		CURL *easy = begin_pending(http, pending[i].method, pending[i].target, &answer);
		http_end(http, easy, &answer);
		http_free(&answer);
		(void)http_turn(http);
		http->relay.silent = false;
		struct http_answer next = http_request(http, "GET", "/v1/queue", NULL, NULL);
		assert_int_equal(next.status, 200);
		http_free(&next);
	}
}

/* One slow answer holds nobody up. */
static void test_others_are_served_meanwhile(void **state)
{
	struct http *http = *state;
	struct http_answer slow, quick;
	CURL *easy = begin_pending(http, "GET", "/v1/queue", &slow);
	CURL *other = http_begin(http, "GET", "/v1/domains", NULL, NULL, &quick);

	while (quick.outcome == CURLE_AGAIN)
		assert_true(http_turn(http));
	http_end(http, other, &quick);
	assert_int_equal(quick.status, 200);
	assert_int_equal(slow.outcome, CURLE_AGAIN);
	http->relay.silent = false;
	while (http_turn(http))
		;
	http_end(http, easy, &slow);
	assert_int_equal(slow.status, 200);
	http_free(&quick);
	http_free(&slow);
}

/* The deadline of an answer, a millisecond before and at it; the late answer is dropped. */
static void test_answer_timeout(void **state)
{
	struct http *http = *state;
	struct http_answer answer;
	CURL *easy = begin_pending(http, "PUT", "/v1/domains/a", &answer);

	http->relay.now.now_us += CLOCK_MS(API_ANSWER_TIMEOUT_MS - 1);
	assert_in_range(api_timeout_ms(http->api), 0, 2);
	api_run(http->api);
	assert_int_equal(answer.outcome, CURLE_AGAIN);
	http->relay.now.now_us += CLOCK_MS(1);
	assert_int_equal(api_timeout_ms(http->api), 0);
	api_run(http->api);
	while (http_turn(http))
		;
	http_end(http, easy, &answer);
	assert_int_equal(answer.status, 503);
	assert_non_null(strstr(answer.body, "\"timeout\""));
	assert_int_equal(http->relay.waiting, 1);
	http->relay.silent = false;
	fake_relay_run(&http->relay);
	http_free(&answer);
}

/* --- tokens --- */

static const struct {
	const char *header;
	long status;
} tokens[] = {
    {NULL, 401},
    {"Authorization: Bearer secret-123", 200},
    {"authorization: bearer secret-123", 200},
    {"Authorization: Bearer secret-124", 401},
    {"Authorization: Bearer secret-12", 401},
    {"Authorization: Bearer secret-1234", 401},
    {"Authorization: Bearer ", 401},
    {"Authorization: Bearer", 401},
    {"Authorization: Basic secret-123", 401},
    {"Authorization: secret-123", 401},
};

static void test_token(void **state)
{
	struct http *http = *state;
	static const char *const targets[] = {"/v1/status", "/metrics", "/v1/queue",
					      "/v1/domains/d0-0.example"};

	for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
		struct curl_slist *headers =
		    tokens[i].header != NULL ? curl_slist_append(NULL, tokens[i].header) : NULL;
		for (size_t t = 0; t < sizeof(targets) / sizeof(targets[0]); t++) {
			struct http_answer answer = http_request(http, "GET", targets[t], NULL, headers);
			if (answer.status != tokens[i].status)
				fail_msg("%s: %ld", tokens[i].header, answer.status);
			assert_int_equal(strstr(answer.headers, "WWW-Authenticate: Bearer") != NULL,
					 answer.status == 401);
			assert_null(strstr(answer.body, "secret"));
			http_free(&answer);
		}
		curl_slist_free_all(headers);
	}
	struct http_answer health = http_request(http, "GET", "/healthz", NULL, NULL);
	assert_int_equal(health.status, 200);
	http_free(&health);
}

/* --- content --- */

static void expect_content(const struct http_answer *answer, size_t size)
{
	assert_int_equal(answer->outcome, CURLE_OK);
	assert_int_equal(answer->status, 200);
	assert_string_equal(answer->content_type, "message/rfc822");
	assert_int_equal(answer->size, size);
	for (size_t i = 0; i < size; i++)
		if (answer->body[i] != fake_content_byte(i))
			fail_msg("byte %zu is wrong", i);
}

static void test_content_sizes(void **state)
{
	struct http *http = *state;
	static const size_t sizes[] = {0,
				       1,
				       99999,
				       100000,
				       100001,
				       API_CONTENT_WINDOW - 1,
				       API_CONTENT_WINDOW,
				       API_CONTENT_WINDOW + 1,
				       2 * API_CONTENT_WINDOW,
				       2 * API_CONTENT_WINDOW + 1};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		http->relay.content_bytes = sizes[i];
		struct http_answer answer = http_request(http, "GET", CONTENT, NULL, NULL);
		expect_content(&answer, sizes[i]);
		http_free(&answer);
	}
}

/* While the client does not read, no more than a window is taken from the relay. */
static void test_content_is_not_read_ahead(void **state)
{
	struct http *http = *state;
	struct http_answer answer;

	http->relay.content_bytes = 8 * (uint64_t)API_CONTENT_WINDOW;
	CURL *easy = http_begin(http, "GET", CONTENT, NULL, NULL, &answer);
	while (answer.size == 0)
		assert_true(http_turn(http));
	assert_int_equal(curl_easy_pause(easy, CURLPAUSE_RECV), CURLE_OK);
	for (int i = 0; i < 50; i++) {
		api_run(http->api);
		fake_relay_run(&http->relay);
	}
	assert_true(http->relay.pieces <= API_CONTENT_WINDOW / 100000 + 1);
	assert_int_equal(http->relay.waiting, 0);
	assert_int_equal(curl_easy_pause(easy, CURLPAUSE_CONT), CURLE_OK);
	while (http_turn(http))
		;
	http_end(http, easy, &answer);
	expect_content(&answer, 8 * (size_t)API_CONTENT_WINDOW);
	/* Nothing is read twice but what did not fit a window. */
	assert_true(http->relay.pieces <= 8 * API_CONTENT_WINDOW / 100000 + 2 * 8 + 1);
	http_free(&answer);
}

/* A failure before the first byte is a status; later it is a response cut short, never a whole one. */
static void test_content_fails_on_the_way(void **state)
{
	struct http *http = *state;

	http->relay.content_bytes = 2 * (uint64_t)API_CONTENT_WINDOW;
	http->relay.fail_content_at = 100000;
	struct http_answer answer = http_request(http, "GET", CONTENT, NULL, NULL);
	assert_int_equal(answer.status, 500);
	assert_non_null(strstr(answer.body, "\"corrupt\""));
	http_free(&answer);

	http->relay.fail_content_at = (uint64_t)API_CONTENT_WINDOW + 200000;
	answer = http_request(http, "GET", CONTENT, NULL, NULL);
	assert_int_not_equal(answer.outcome, CURLE_OK);
	http_free(&answer);
}

/* The relay does not come back with the second window. */
static void test_content_stalls_on_the_way(void **state)
{
	struct http *http = *state;
	struct http_answer answer;

	http->relay.content_bytes = 2 * (uint64_t)API_CONTENT_WINDOW;
	CURL *easy = http_begin(http, "GET", CONTENT, NULL, NULL, &answer);
	while (http->relay.heard_count == 0 || http->relay.waiting == 1)
		assert_true(http_turn(http));
	http->relay.silent = true;
	while (http->relay.heard_count == 1)
		assert_true(http_turn(http));
	http->relay.now.now_us += CLOCK_MS(API_ANSWER_TIMEOUT_MS);
	while (http_turn(http))
		;
	http_end(http, easy, &answer);
	assert_int_not_equal(answer.outcome, CURLE_OK);
	assert_true(answer.size <= API_CONTENT_WINDOW);
	http_free(&answer);
}

static void test_api_freed_in_the_middle_of_content(void **state)
{
	struct http *http = *state;
	struct http_answer answer;

	http->relay.content_bytes = 2 * (uint64_t)API_CONTENT_WINDOW;
	CURL *easy = http_begin(http, "GET", CONTENT, NULL, NULL, &answer);
	while (answer.size == 0)
		assert_true(http_turn(http));
	http->relay.silent = true;
	while (http->relay.waiting == 0)
		assert_true(http_turn(http));
	stop_api(http);
	while (http_turn(http))
		;
	http_end(http, easy, &answer);
	assert_int_not_equal(answer.outcome, CURLE_OK);
	http->relay.silent = false;
	fake_relay_run(&http->relay);
	http_free(&answer);
}

/* So many messages at one time, and one more. */
static void test_contents_at_one_time(void **state)
{
	struct http *http = *state;
	struct http_answer answers[API_CONTENTS_MAX + 1];
	CURL *easy[API_CONTENTS_MAX + 1];

	for (size_t i = 0; i < API_CONTENTS_MAX; i++)
		easy[i] = begin_pending(http, "GET", CONTENT, &answers[i]);
	easy[API_CONTENTS_MAX] = http_begin(http, "GET", CONTENT, NULL, NULL, &answers[API_CONTENTS_MAX]);
	while (answers[API_CONTENTS_MAX].outcome == CURLE_AGAIN)
		assert_true(http_turn(http));
	http->relay.silent = false;
	while (http_turn(http))
		;
	for (size_t i = 0; i <= API_CONTENTS_MAX; i++) {
		http_end(http, easy[i], &answers[i]);
		assert_int_equal(answers[i].status, i < API_CONTENTS_MAX ? 200 : 503);
		http_free(&answers[i]);
	}
	struct http_answer again = http_request(http, "GET", CONTENT, NULL, NULL);
	assert_int_equal(again.status, 200);
	http_free(&again);
}

/* --- raw connections --- */

static int raw_connect(const struct http *http)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", http->path);
	assert_int_not_equal(fd, -1);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* What the API says to these bytes, until it closes or nothing more comes in many turns. Returns its size;
 * ret_eof: closed. */
static size_t talk(struct http *http, const char *bytes, size_t size, char *text, size_t text_size,
		   bool *ret_eof)
{
	int fd = raw_connect(http);
	size_t sent = 0, got = 0;

	*ret_eof = false;
	for (int quiet = 0; quiet < 20 && !*ret_eof; quiet++) {
		ssize_t n = sent < size ? send(fd, bytes + sent, size - sent, MSG_NOSIGNAL) : 0;
		sent += n > 0 ? (size_t)n : 0;
		api_run(http->api);
		fake_relay_run(&http->relay);
		n = recv(fd, text + got, text_size - 1 - got, 0);
		*ret_eof = n == 0 && got + 1 < text_size;
		got += n > 0 ? (size_t)n : 0;
		if (n > 0 || sent < size)
			quiet = 0;
		if (n == -1 && sent < size && *ret_eof)
			break;
	}
	text[got] = '\0';
	(void)close(fd);
	return got;
}

static const struct {
	const char *bytes, *begin; /* begin: of the answer; NULL: none, only the end of the connection */
} raw[] = {
    {"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200"},
    {"GET /healthz HTTP/1.0\r\n\r\n", "HTTP/1."},
    {"GET /healthz HTTP/1.1\r\n\r\n", "HTTP/1.1 400"}, /* no Host */
    {"\r\n\r\n\r\n\r\n", NULL},
    {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 tls hello\r\n\r\n", NULL},
    {"PUT /v1/domains/a HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 400"},
    {"PUT /v1/domains/a HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", "HTTP/1.1 4"},
    {"PUT /v1/domains/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
     "HTTP/1.1 201"},
    {"PUT /v1/domains/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 4"},
    {"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200"},
};

static void test_raw_bytes(void **state)
{
	struct http *http = *state;
	char text[16384];
	bool eof;

	for (size_t i = 0; i < sizeof(raw) / sizeof(raw[0]); i++) {
		(void)talk(http, raw[i].bytes, strlen(raw[i].bytes), text, sizeof(text), &eof);
		if (raw[i].begin != NULL && strncmp(text, raw[i].begin, strlen(raw[i].begin)) != 0)
			fail_msg("%s: %s", raw[i].bytes, text);
		if (raw[i].begin == NULL)
			assert_true(strncmp(text, "HTTP/1.1 2", 10) != 0);
	}
	struct http_answer after = http_request(http, "GET", "/healthz", NULL, NULL);
	assert_int_equal(after.status, 200);
	http_free(&after);
}

/* A header that never ends is answered or cut off, and costs a bounded amount of memory. */
static void test_endless_header(void **state)
{
	struct http *http = *state;
	size_t size = 1024 * 1024;
	char *bytes = malloc(size), text[4096];

	assert_non_null(bytes);
	memset(bytes, 'a', size);
	memcpy(bytes, "GET /", 5);
	int fd = raw_connect(http);
	for (int i = 0; i < 100; i++) {
		(void)send(fd, bytes, size, MSG_NOSIGNAL);
		api_run(http->api);
	}
	ssize_t got = recv(fd, text, sizeof(text) - 1, 0);
	text[got > 0 ? got : 0] = '\0';
	if (got > 0)
		assert_true(strncmp(text, "HTTP/1.1 4", 10) == 0);
	else
		assert_true(got == 0 || send(fd, "x", 1, MSG_NOSIGNAL) == -1);
	(void)close(fd);
	free(bytes);
}

/* A body that never ends: the connection is closed on it. */
static void test_endless_body(void **state)
{
	struct http *http = *state;
	static const char head[] =
	    "PUT /v1/domains/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n";
	size_t chunk = 100000, total = 0;
	char *bytes = calloc(1, chunk);
	int fd = raw_connect(http);

	assert_non_null(bytes);
	assert_int_equal(send(fd, head, sizeof(head) - 1, MSG_NOSIGNAL), sizeof(head) - 1);
	for (int i = 0; i < 10000 && total < 100 * chunk; i++) {
		ssize_t n = send(fd, bytes, chunk, MSG_NOSIGNAL);
		api_run(http->api);
		if (n == -1 && errno == EPIPE)
			break;
		total += n > 0 ? (size_t)n : 0;
	}
	assert_true(total < 32 * (size_t)API_BODY_MAX);
	(void)close(fd);
	free(bytes);
}

/* All connections taken by idlers: the next one waits or is closed, and goes through when one leaves. */
static void test_connection_limit(void **state)
{
	struct http *http = *state;
	int fds[API_CONNECTIONS_MAX];

	for (size_t i = 0; i < API_CONNECTIONS_MAX; i++) {
		fds[i] = raw_connect(http);
		api_run(http->api);
	}
	for (size_t i = 0; i < API_CONNECTIONS_MAX; i++)
		(void)close(fds[i]);
	struct http_answer answer = http_request(http, "GET", "/healthz", NULL, NULL);
	assert_int_equal(answer.status, 200);
	http_free(&answer);
}

static void test_start_without_a_listener(void **state)
{
	struct http *http = *state;

	assert_null(api_new(&http->relay, &http->relay.clock, -1, "1", NULL));
	api_free(NULL);
}

/* --- no memory --- */

static const struct {
	const char *method, *target, *body;
	long status;
} hungry[] = {
    {"GET", "/v1/status", NULL, 200},
    {"GET", "/v1/domains", NULL, 200},
    {"GET", "/v1/domains/d0-0.example", NULL, 200},
    {"PUT", "/v1/domains/d0-0.example", "{\"to\":[\"a\",\"b\"]}", 201},
    {"PATCH", "/v1/domains/d0-0.example", "{\"to\":[\"a\",\"b\"],\"hold\":3}", 200},
    {"POST", "/v1/domains/d0-0.example/hold", "{}", 200},
    {"GET", "/v1/queue", NULL, 200},
    {"GET", "/v1/trace", NULL, 200},
    {"GET", "/v1/messages/00000000000Z8", NULL, 200},
    {"GET", CONTENT, NULL, 200},
    {"GET", "/metrics", NULL, 200},
    {"GET", "/v1/nothing", NULL, 404},
};

/* Each allocation of each request fails once: the client gets a 503, or no answer at all, but never half of
 * one as whole. */
static void test_failing_allocations(void **state)
{
	struct http *http = *state;

	http->relay.content_bytes = API_CONTENT_WINDOW + 5;
	for (size_t i = 0; i < sizeof(hungry) / sizeof(hungry[0]); i++) {
		size_t whole = 0;
		bool failed = true;
		for (unsigned n = 1; failed; n++) {
			assert_true(n < 1000);
			failing_alloc_at(n);
			struct http_answer answer =
			    http_request(http, hungry[i].method, hungry[i].target, hungry[i].body, NULL);
			failed = failing_alloc_happened();
			failing_alloc_at(0);
			if (!failed)
				assert_true(answer.outcome == CURLE_OK && answer.status == hungry[i].status);
			else if (answer.outcome == CURLE_OK && answer.status == 200)
				whole = answer.size; /* it was not needed for the answer itself */
			else if (answer.outcome == CURLE_OK)
				assert_true(answer.status == 503 || answer.status == hungry[i].status);
			if (!failed && whole > 0)
				assert_int_equal(whole, answer.size);
			assert_int_equal(http->relay.waiting, 0);
			http_free(&answer);
		}
	}
}

static void test_start_without_memory(void **state)
{
	struct http *http = *state;
	bool failed = true;

	for (unsigned n = 1; failed; n++) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_not_equal(fd, -1);
		assert_int_equal(listen(fd, 1),
				 -1); /* it has no name: only the life of the descriptor matters */
		failing_alloc_at(n);
		struct api *api = api_new(&http->relay, &http->relay.clock, fd, "1", "token");
		failed = failing_alloc_happened();
		failing_alloc_at(0);
		assert_int_equal(api == NULL, failed);
		api_free(api);
		assert_int_equal(fcntl(fd, F_GETFD) != -1,
				 failed); /* left to the caller, or closed by the api */
		if (failed)
			(void)close(fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_api_freed_while_the_relay_works, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_api_freed_then_relay_freed, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_relay_freed_first, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_client_leaves, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_others_are_served_meanwhile, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_answer_timeout, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_token, setup_with_token, teardown),
	    cmocka_unit_test_setup_teardown(test_content_sizes, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_content_is_not_read_ahead, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_content_fails_on_the_way, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_content_stalls_on_the_way, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_api_freed_in_the_middle_of_content, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_contents_at_one_time, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_raw_bytes, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_endless_header, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_endless_body, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_connection_limit, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_start_without_a_listener, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_failing_allocations, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_start_without_memory, setup, teardown),
	};

	return cmocka_run_group_tests_name("api_life", tests, NULL, NULL);
}
