/* Every route over real HTTP, and everything that can be wrong with a request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/base32.h"
#include "http.h"

static int setup(void **state)
{
	struct http *http = calloc(1, sizeof(*http));

	if (http == NULL)
		return -1;
	http_start(http, NULL);
	*state = http;
	return 0;
}

static int teardown(void **state)
{
	http_stop(*state);
	free(*state);
	return 0;
}

static json_t *parse(const struct http_answer *answer)
{
	json_error_t error;
	json_t *value = json_loadb(answer->body != NULL ? answer->body : "", answer->size,
				   JSON_REJECT_DUPLICATES, &error);

	if (value == NULL)
		fail_msg("not JSON: %s in %s", error.text, answer->body != NULL ? answer->body : "(nothing)");
	return value;
}

static json_t *get(struct http *http, const char *target)
{
	struct http_answer answer = http_request(http, "GET", target, NULL, NULL);

	if (answer.status != 200)
		fail_msg("%s: %ld %s", target, answer.status, answer.body);
	assert_string_equal(answer.content_type, "application/json");
	json_t *value = parse(&answer);
	http_free(&answer);
	return value;
}

/* --- changes: what the relay hears --- */

#define ID "0000000000ZZZ" /* 32767 */

static const struct {
	const char *method, *target, *body, *heard;
	long status;
} changes[] = {
    {"PUT", "/v1/domains/example.com", NULL, "add example.com", 201},
    {"PUT", "/v1/domains/example.com", "{}", "add example.com", 201},
    {"PUT", "/v1/domains/example.com", " {\"to\":[]} ", "add example.com", 201},
    {"PUT", "/v1/domains/example.com", "{\"to\":[\"a.example.com:26\",\"[2001:db8::1]:25\"]}",
     "add example.com a.example.com:26 [2001:db8::1]:25", 201},
    {"PUT", "/v1/domains/ex%61mple.com", NULL, "add example.com", 201},
    {"PUT", "/v1/domains/b%C3%BCcher.example", NULL,
     "add b\xC3\xBC"
     "cher.example",
     201},
    {"POST", "/v1/domains", "{\"domains\":[{\"name\":\"b.example\",\"to\":[\"h:26\"]}]}",
     "add b.example h:26", 200},
    {"PATCH", "/v1/domains/example.com", "{\"to\":\"mx\"}", "set example.com to=mx", 200},
    {"PATCH", "/v1/domains/example.com", "{\"to\":[\"a\",\"b:26\"]}", "set example.com to=a,b:26", 200},
    {"PATCH", "/v1/domains/example.com", "{\"hold\":30}", "set example.com hold=30", 200},
    {"DELETE", "/v1/domains/example.com", NULL, "remove example.com", 200},
    {"POST", "/v1/domains/example.com/hold", "", "hold example.com 0", 200},
    {"POST", "/v1/domains/example.com/hold", "{\"until\":null}", "hold example.com 0", 200},
    {"POST", "/v1/domains/example.com/hold", "{\"until\":\"2026-12-01T10:00:00Z\"}",
     "hold example.com 1796119200000", 200},
    {"POST", "/v1/domains/example.com/resume", "", "resume example.com", 200},
    {"POST", "/v1/domains/example.com/probe", "", "probe example.com", 200},
    {"POST", "/v1/domains/example.com/trust", "", "trust example.com", 200},
    {"POST", "/v1/domains/example.com/recipients/pin", "{\"recipients\":[\"joe\"]}",
     "pin example.com 1 joe..joe", 200},
    {"POST", "/v1/domains/example.com/recipients/unpin", "{\"recipients\":[\"a@example.com\",\"b\"]}",
     "unpin example.com 2 a@example.com..b", 200},
    {"POST", "/v1/domains/example.com/recipients/import", "{\"recipients\":[\"a\",\"b\",\"c\"]}",
     "import example.com 3 a..c", 200},
    {"GET", "/v1/domains/example.com/recipients", NULL, "recipients example.com after= limit=101", 200},
    {"GET", "/v1/domains/example.com/recipients?limit=1&after=joe%2Bx", NULL,
     "recipients example.com after=joe+x limit=2", 200},
    {"DELETE", "/v1/messages/" ID, NULL, "remove-message 32767", 200},
    {"POST", "/v1/messages/" ID "/release", "", "release 32767", 200},
    {"POST", "/v1/messages/0000000000zzz/release", "", "release 32767", 200},
    {"GET", "/v1/queue", NULL, "queue domain= recipient= sender= after=0 limit=101", 200},
    {"GET", "/v1/queue?domain=a.example&recipient=u%2Bx@a.example&sender=s@b.example&limit=7&after=" ID, NULL,
     "queue domain=a.example recipient=u+x@a.example sender=s@b.example after=32767 limit=8", 200},
    {"GET", "/v1/queue?limit=1", NULL, "queue domain= recipient= sender= after=0 limit=2", 200},
    {"GET", "/v1/queue?limit=1000&sender=", NULL, "queue domain= recipient= sender= after=0 limit=1001", 200},
    {"GET", "/v1/queue?grace=0", NULL, "queue domain= recipient= sender= after=0 limit=101", 200},
    {"GET", "/v1/queue?grace=1", NULL, "queue domain= recipient= sender= after=0 limit=101 grace", 200},
    {"GET", "/v1/trace", NULL, "trace recipient= sender= message_id= since=0 limit=100", 200},
    {"GET", "/v1/trace?recipient=a@b&sender=c@d&message_id=%3C1@x%3E&since=2023-11-14&limit=5", NULL,
     "trace recipient=a@b sender=c@d message_id=<1@x> since=1699920000000 limit=5", 200},
    {"GET", "/v1/messages/00000000000Z8/content", NULL, "cat 1000 from 0", 200},
};

static void test_changes(void **state)
{
	struct http *http = *state;

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		struct http_answer answer =
		    http_request(http, changes[i].method, changes[i].target, changes[i].body, NULL);
		if (answer.status != changes[i].status)
			fail_msg("%s %s: %ld %s", changes[i].method, changes[i].target, answer.status,
				 answer.body);
		assert_string_equal(http->relay.heard, changes[i].heard);
		assert_int_equal(http->relay.heard_count, i + 1);
		http_free(&answer);
	}
}

static void test_message_of_a_change_is_passed_on(void **state)
{
	struct http *http = *state;
	struct http_answer answer = http_request(http, "PUT", "/v1/domains/d0-1.example", NULL, NULL);
	json_t *value = parse(&answer);

	assert_string_equal(json_string_value(json_object_get(value, "message")), "done, as asked");
	assert_string_equal(json_string_value(json_object_get(json_object_get(value, "domain"), "name")),
			    "d0-1.example");
	json_decref(value);
	http_free(&answer);
}

/* --- bad requests --- */

#define NAME_255                                                                                             \
	"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggghhhhhhhhhhiiiiiiiiiijjjjjjjj" \
	"jj"                                                                                                 \
	"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggghhhhhhhhhhiiiiiiiiiijjjjjjjj" \
	"jj"                                                                                                 \
	"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee"                                                 \
	"fffff"
#define HOSTS_16 \
	"\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\""

static const struct {
	const char *method, *target, *body;
	long status;
	const char *code, *words;
} bad[] = {
    {"GET", "/", NULL, 404, "not_found", "nothing at /"},
    {"GET", "/v1", NULL, 404, "not_found", ""},
    {"GET", "/v1/status/", NULL, 404, "not_found", ""},
    {"GET", "/v1/statu", NULL, 404, "not_found", ""},
    {"GET", "/v1/domains/", NULL, 404, "not_found", ""},
    {"GET", "/v1/domains/a/b/c", NULL, 404, "not_found", ""},
    {"GET", "/v1/domains/a%2Fb", NULL, 404, "not_found", ""},
    {"GET", "/v1/domains/../status", NULL, 404, "not_found", ""},
    {"GET", "//v1/status", NULL, 404, "not_found", ""},
    {"GET", "/v1/domains/none.example", NULL, 404, "not_found", "none.example"},
    {"GET", "/v1/domains/d0-0.example%00x", NULL, 404, "not_found", "%00x"},
    {"GET", "/v1/status?domain=none.example", NULL, 404, "not_found", "restante domain add none.example"},
    {"GET", "/v1/messages/00000000000Z7", NULL, 404, "not_found", "restante trace"},
    {"POST", "/v1/status", "", 405, "method", "GET"},
    {"POST", "/v1/domains/a", "", 405, "method", "GET, PUT, PATCH, DELETE"},
    {"GET", "/v1/domains/a/hold", NULL, 405, "method", "POST"},
    {"PUT", "/metrics", "", 405, "method", "GET"},
    {"FROB", "/healthz", NULL, 405, "method", "GET"},
    {"GET", "/v1/messages/x", NULL, 400, "syntax", "message id"},
    {"GET", "/v1/messages/ZZZZZZZZZZZZZ", NULL, 400, "syntax", "message id"},
    {"GET", "/v1/messages/U000000000000", NULL, 400, "syntax", "message id"},
    {"GET", "/v1/messages/x/content", NULL, 400, "syntax", "message id"},
    {"DELETE", "/v1/messages/00000000000000", NULL, 400, "syntax", "message id"},
    {"POST", "/v1/messages/1/release", "", 400, "syntax", "message id"},
    {"GET", "/v1/domains/" NAME_255 "xx", NULL, 400, "syntax", "longer than 255"},
    {"GET", "/v1/queue?grace=yes", NULL, 400, "syntax", "1 or 0"},
    {"GET", "/v1/queue?limit=0", NULL, 400, "syntax", "limit=0"},
    {"GET", "/v1/queue?limit=1001", NULL, 400, "syntax", "limit=1001"},
    {"GET", "/v1/queue?limit=-1", NULL, 400, "syntax", "limit"},
    {"GET", "/v1/queue?limit=1e2", NULL, 400, "syntax", "limit"},
    {"GET", "/v1/queue?limit=99999999999999999999", NULL, 400, "syntax", "limit"},
    {"GET", "/v1/queue?limit=1&limit=2", NULL, 400, "syntax", "given twice"},
    {"GET", "/v1/queue?after=7", NULL, 400, "syntax", "message id"},
    {"GET", "/v1/queue?recipent=a@b", NULL, 400, "syntax",
     "unknown parameter \"recipent\"; known here: domain, recip"},
    {"GET", "/v1/queue?domain=" NAME_255 "x", NULL, 400, "syntax", "255"},
    {"GET", "/v1/queue?sender=" NAME_255 NAME_255, NULL, 400, "syntax", "320"},
    {"GET", "/v1/trace?since=yesterday", NULL, 400, "syntax", "2026-12-01T10:00:00Z"},
    {"GET", "/v1/domains?x=1", NULL, 400, "syntax", "known here: limit, after"},
    {"GET", "/v1/domains/a?x=1", NULL, 400, "syntax", "known here: none"},
    {"GET", "/v1/domains?limit=0", NULL, 400, "syntax", "from 1 to 1000"},
    {"GET", "/v1/status?order=size", NULL, 400, "syntax", "order is name or attention"},
    {"GET", "/metrics?domain=none.example", NULL, 404, "not_found", ""},
    {"PUT", "/v1/domains/a", "{", 400, "syntax", "not JSON"},
    {"PUT", "/v1/domains/a", "[]", 400, "syntax", "must be a JSON object"},
    {"PUT", "/v1/domains/a", "7", 400, "syntax", "not JSON"},
    {"PUT", "/v1/domains/a", "{\"to\":[],\"to\":[]}", 400, "syntax", "duplicate"},
    {"PUT", "/v1/domains/a", "{\"too\":[]}", 400, "syntax", "unknown member \"too\"; known here: to"},
    {"PUT", "/v1/domains/a", "{\"to\":\"a\"}", 400, "syntax", "must be a list"},
    {"PUT", "/v1/domains/a", "{\"to\":[7]}", 400, "syntax", "must be a list"},
    {"PUT", "/v1/domains/a", "{\"to\":[\"\"]}", 400, "syntax", "must be a list"},
    {"PUT", "/v1/domains/a", "{\"to\":[\"a\xFF\"]}", 400, "syntax", "not JSON"},
    {"PUT", "/v1/domains/a", "{\"to\":[" HOSTS_16 ",\"a\"]}", 400, "syntax", "at most 16"},
    {"PATCH", "/v1/domains/a", "{}", 400, "syntax", "nothing to set"},
    {"PATCH", "/v1/domains/a", "", 400, "syntax", "nothing to set"},
    {"PATCH", "/v1/domains/a", "{\"hold\":1.5}", 400, "syntax", "\"hold\" must be"},
    {"PATCH", "/v1/domains/a", "{\"to\":[]}", 400, "syntax", "\"to\" must be"},
    {"PATCH", "/v1/domains/a", "{\"to\":[\"a\",7]}", 400, "syntax", "\"to\" must be"},
    {"PATCH", "/v1/domains/a", "{\"hold\":20,\"to\":null}", 400, "syntax", "\"to\" must be"},
    {"PATCH", "/v1/domains/a", "{\"held\":20}", 400, "syntax", "unknown member"},
    {"POST", "/v1/domains/a/recipients/pin", "", 400, "syntax", "list of 1 to 1000"},
    {"POST", "/v1/domains/a/recipients/pin", "{\"recipients\":[]}", 400, "syntax", "list of 1 to 1000"},
    {"POST", "/v1/domains/a/recipients/import", "{\"recipients\":\"joe\"}", 400, "syntax", "must be a list"},
    {"POST", "/v1/domains/a/recipients/import", "{\"recipients\":[7]}", 400, "syntax", "must be a list"},
    {"POST", "/v1/domains/a/recipients/unpin", "{\"names\":[]}", 400, "syntax", "known here: recipients"},
    {"GET", "/v1/domains/a/recipients?limit=0", NULL, 400, "syntax", "limit=0"},
    {"POST", "/v1/domains/a/recipients", "", 405, "method", "GET"},
    {"POST", "/v1/domains/a/hold", "{\"until\":7}", 400, "syntax", "\"until\""},
    {"POST", "/v1/domains/a/hold", "{\"until\":\"2023-01-01\"}", 400, "syntax", "in the past"},
    {"POST", "/v1/domains/a/hold", "{\"until\":\"2027-02-29\"}", 400, "syntax", "\"until\""},
};

static void expect_error(const struct http_answer *answer, const char *what, long status, const char *code,
			 const char *words)
{
	json_t *value = parse(answer);
	const json_t *error = json_object_get(value, "error");
	const char *message = json_string_value(json_object_get(error, "message"));

	if (answer->status != status ||
	    strcmp(json_string_value(json_object_get(error, "code")), code) != 0 ||
	    strstr(message, words) == NULL)
		fail_msg("%s: %ld %s", what, answer->status, answer->body);
	json_decref(value);
}

static void test_bad_requests(void **state)
{
	struct http *http = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct http_answer answer =
		    http_request(http, bad[i].method, bad[i].target, bad[i].body, NULL);
		expect_error(&answer, bad[i].target, bad[i].status, bad[i].code, bad[i].words);
		if (bad[i].status != 404)
			assert_int_equal(http->relay.heard_count, 0);
		if (bad[i].status == 405)
			assert_non_null(strstr(answer.headers, "Allow: "));
		http->relay.heard_count = 0;
		http_free(&answer);
	}
}

static void test_limits_of_names_and_hosts_at_their_edge(void **state)
{
	struct http *http = *state;
	struct http_answer answer = http_request(http, "DELETE", "/v1/domains/" NAME_255, NULL, NULL);

	assert_int_equal(answer.status, 200);
	http_free(&answer);
	answer = http_request(http, "PUT", "/v1/domains/a", "{\"to\":[" HOSTS_16 "]}", NULL);
	assert_int_equal(answer.status, 201);
	assert_string_equal(http->relay.heard, "add a a a a a a a a a a a a a a a a a");
	http_free(&answer);
}

static void test_body_limit(void **state)
{
	struct http *http = *state;
	static const int sizes[] = {API_BODY_MAX - 1, API_BODY_MAX, API_BODY_MAX + 1, 4 * API_BODY_MAX};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *body = malloc((size_t)sizes[i] + 1);
		assert_non_null(body);
		memset(body, ' ', (size_t)sizes[i]);
		memcpy(body + sizes[i] - 2, "{}", 3);
		struct http_answer answer = http_request(http, "PUT", "/v1/domains/a", body, NULL);
		if (sizes[i] <= API_BODY_MAX)
			assert_int_equal(answer.status, 201);
		else
			expect_error(&answer, "large body", 413, "too_large", "65536");
		http_free(&answer);
		free(body);
	}
}

static const struct {
	int error;
	long status;
	const char *code;
} refusals[] = {
    {ERR_SYNTAX, 400, "syntax"}, {ERR_LIMIT, 400, "limit"}, {ERR_MISSING, 404, "not_found"},
    {ERR_EXISTS, 409, "exists"}, {ERR_STATE, 409, "state"}, {ERR_BUSY, 503, "busy"},
    {ERR_MEMORY, 503, "memory"}, {ERR_IO, 503, "io"},	    {ERR_CORRUPT, 500, "corrupt"},
    {-99, 500, "internal"},
};

static void test_refusals_of_the_relay(void **state)
{
	struct http *http = *state;
	static const char *const targets[] = {"/v1/queue", "/v1/trace", "/v1/messages/" ID,
					      "/v1/messages/" ID "/content"};

	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		http->relay.result.error = refusals[i].error;
		(void)snprintf(http->relay.result.message, sizeof(http->relay.result.message), "no: %zu held",
			       i);
		struct http_answer answer = http_request(http, "DELETE", "/v1/domains/a", NULL, NULL);
		expect_error(&answer, "DELETE", refusals[i].status, refusals[i].code,
			     http->relay.result.message);
		http_free(&answer);
		for (size_t t = 0; t < sizeof(targets) / sizeof(targets[0]); t++) {
			answer = http_request(http, "GET", targets[t], NULL, NULL);
			expect_error(&answer, targets[t], refusals[i].status, refusals[i].code,
				     http->relay.result.message);
			http_free(&answer);
		}
	}
}

static void test_second_setting_refused(void **state)
{
	struct http *http = *state;

	http->relay.fail_key = "hold";
	struct http_answer answer =
	    http_request(http, "PATCH", "/v1/domains/a", "{\"to\":\"mx\",\"hold\":61}", NULL);
	expect_error(&answer, "PATCH", 400, "syntax",
		     "hold: refused by the test (what stood before it is set)");
	assert_int_equal(http->relay.heard_count, 2);
	http_free(&answer);
}

/* --- answers --- */

/* "path:type" of each member of the status; '|' separates types that are allowed. */
static void expect_members(const json_t *object, const char *const *members)
{
	for (; *members != NULL; members++) {
		char name[64];
		const char *types = strchr(*members, ':') + 1;
		(void)snprintf(name, sizeof(name), "%.*s", (int)(types - 1 - *members), *members);
		const json_t *value = json_object_get(object, name);
		if (value == NULL)
			fail_msg("no member %s", name);
		bool fits = (strchr(types, 's') != NULL && json_is_string(value)) ||
			    (strchr(types, 'i') != NULL && json_is_integer(value)) ||
			    (strchr(types, 'n') != NULL && json_is_number(value)) ||
			    (strchr(types, '0') != NULL && json_is_null(value)) ||
			    (strchr(types, 'a') != NULL && json_is_array(value)) ||
			    (strchr(types, 'b') != NULL && json_is_boolean(value)) ||
			    (strchr(types, 'o') != NULL && json_is_object(value));
		if (!fits)
			fail_msg("member %s is not of type %s", name, types);
	}
}

static const char *const held_members[] = {"messages:i", "bytes:i", "oldest_s:i", NULL};
static const char *const space_members[] = {"state:s",
					    "since:s",
					    "why:s0",
					    "capacity_bytes:i",
					    "used_bytes:i",
					    "live_bytes:i",
					    "free_bytes:i",
					    "used_percent:n",
					    "full_in_s:n0",
					    "reserve_gone:b",
					    "domains_refused:i",
					    "refused_for_room:i",
					    NULL};
static const char *const outside_members[] = {"domains:i", "messages:i", "sent_since_start:i",
					      "refused_since_start:i", NULL};
static const char *const door_members[] = {"callouts:i",    "asked:i",	 "unknown:i", "too_large:i",
					   "unconfirmed:i", "limited:i", "unseen:i",  NULL};
static const char *const node_members[] = {"node:s",	"version:s", "held:o", "space:o",
					   "outside:o", "lanes:a",   NULL};
static const char *const lane_members[] = {
    "lane:s",	"state:s",	"phase:s0",	     "kind:s0",		 "since:s0",
    "held:o",	"window:n",	"in_flight:i",	     "rate_per_s:n",	 "next_probe_s:n0",
    "eta_s:n0", "last_reply:s", "delivered_total:i", "deferred_total:i", "domains:a",
    NULL};
static const char *const domain_members[] = {"name:s", "state:s", "since:s", "reason:s", "held:o", NULL};

static void expect_status_shape(const json_t *status)
{
	const json_t *lane, *domain;
	size_t i, d;

	expect_members(status, node_members);
	expect_members(json_object_get(status, "space"), space_members);
	expect_members(json_object_get(status, "outside"), outside_members);
	expect_members(json_object_get(json_object_get(status, "since_start"), "door"), door_members);
	expect_members(json_object_get(status, "held"), held_members);
	json_array_foreach(json_object_get(status, "lanes"), i, lane)
	{
		expect_members(lane, lane_members);
		expect_members(json_object_get(lane, "held"), held_members);
		json_array_foreach(json_object_get(lane, "domains"), d, domain)
		{
			expect_members(domain, domain_members);
			expect_members(json_object_get(domain, "held"), held_members);
		}
	}
}

static void test_status(void **state)
{
	json_t *status = get(*state, "/v1/status");
	const json_t *lanes = json_object_get(status, "lanes");
	const json_t *down = json_array_get(lanes, 0), *up = json_array_get(lanes, 1);

	expect_status_shape(status);
	assert_string_equal(json_string_value(json_object_get(status, "node")), "relay.example.net");
	assert_string_equal(json_string_value(json_object_get(status, "version")), "9.8.7");
	assert_int_equal(json_integer_value(json_object_get(json_object_get(status, "held"), "oldest_s")),
			 3600);
	assert_int_equal(json_array_size(lanes), 3);
	assert_string_equal(json_string_value(json_object_get(down, "state")), "down");
	assert_string_equal(json_string_value(json_object_get(down, "kind")), "refused");
	assert_true(json_is_null(json_object_get(down, "eta_s")));
	assert_string_equal(json_string_value(json_object_get(down, "since")), "2023-11-14T22:12:20.000Z");
	assert_true(json_is_null(json_object_get(up, "next_probe_s")));
	assert_true(json_is_null(json_object_get(up, "kind")));
	assert_string_equal(json_string_value(json_object_get(up, "phase")), "ramp");
	assert_int_equal(json_array_size(json_object_get(up, "domains")), 2);
	assert_string_equal(json_string_value(json_object_get(json_array_get(lanes, 2), "lane")), "");
	json_decref(status);
}

static void test_status_of_one_domain(void **state)
{
	json_t *status = get(*state, "/v1/status?domain=D1-0.example");
	const json_t *lanes = json_object_get(status, "lanes");

	expect_status_shape(status);
	assert_int_equal(json_array_size(lanes), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(lanes, 0), "lane")),
			    "mail1.example.net:25");
	json_decref(status);
}

static void test_status_with_nothing_and_with_strange_bytes(void **state)
{
	struct http *http = *state;

	http->relay.reason = "550 \"quoted\\\" \x01\x7f\r\n\t caf\xC3\xA9 \xFF\xC3";
	json_t *status = get(http, "/v1/status");
	const json_t *lane = json_array_get(json_object_get(status, "lanes"), 0);
	const json_t *domain = json_array_get(json_object_get(lane, "domains"), 0);
	assert_string_equal(json_string_value(json_object_get(domain, "reason")),
			    "550 \"quoted\\\" \x01\x7f\r\n\t caf\xC3\xA9 \xEF\xBF\xBD\xEF\xBF\xBD");
	json_decref(status);
}

static void test_status_of_many_domains(void **state)
{
	struct http *http = *state;

	char target[128] = "/v1/status";
	size_t lanes = 0, pages = 0;

	http->relay.lane_count = 2000;
	http->relay.domains_per_lane = 3;
	while (target[0] != '\0' && pages < 20) {
		json_t *status = get(http, target);
		const char *next = json_string_value(json_object_get(status, "next"));
		const json_t *sums = json_object_get(json_object_get(status, "sums"), "lanes");
		assert_int_equal(json_integer_value(json_object_get(sums, "total")), 2000);
		lanes += json_array_size(json_object_get(status, "lanes"));
		pages++;
		target[0] = '\0';
		if (next != NULL)
			(void)snprintf(target, sizeof(target), "/v1/status?after=%s", next);
		json_decref(status);
	}
	assert_int_equal(lanes, 2000);
	assert_int_equal(pages, 8);
	json_decref(get(http, "/v1/status?order=attention&limit=40"));
	assert_string_equal(http->relay.heard, "overview attention 40");
}

static void test_domains_in_pages(void **state)
{
	struct http *http = *state;
	char target[128] = "/v1/domains?limit=100";
	size_t domains = 0, pages = 0;

	http->relay.lane_count = 250;
	http->relay.domains_per_lane = 2;
	while (target[0] != '\0' && pages < 20) {
		json_t *page = get(http, target);
		const char *next = json_string_value(json_object_get(page, "next"));
		domains += json_array_size(json_object_get(page, "domains"));
		pages++;
		target[0] = '\0';
		if (next != NULL)
			(void)snprintf(target, sizeof(target), "/v1/domains?limit=100&after=%s", next);
		json_decref(page);
	}
	assert_int_equal(domains, 501);
	assert_int_equal(pages, 6);
}

static void test_domains(void **state)
{
	json_t *list = get(*state, "/v1/domains");
	const json_t *domains = json_object_get(list, "domains");
	static const char *const members[] = {"name:s",
					      "state:s",
					      "since:s",
					      "reason:s",
					      "held:o",
					      "lane:s0",
					      "destination:s",
					      "hosts:s",
					      "hold_days:n",
					      "resume:s0",
					      "added:s",
					      "share_percent:i",
					      "share_bytes:i",
					      "share_used_up:b",
					      "expires_soon:b",
					      "expires_s:n",
					      "grace_messages:i",
					      "refused_for_room:i",
					      "known_recipients:i",
					      "catch_all:b",
					      NULL};
	const json_t *domain;
	size_t i;

	assert_int_equal(json_array_size(domains), 5);
	json_array_foreach(domains, i, domain) expect_members(domain, members);
	json_decref(list);

	json_t *one = get(*state, "/v1/domains/d0-1.EXAMPLE");
	expect_members(one, members);
	assert_string_equal(json_string_value(json_object_get(one, "name")), "d0-1.example");
	assert_true(json_number_value(json_object_get(one, "hold_days")) == 15);
	json_decref(one);
}

static const char *const message_members[] = {"id:s",	  "arrival:s",	    "age_s:i",
					      "bytes:i",  "reverse_path:s", "message_id:s0",
					      "client:o", "recipients:a",   NULL};
static const char *const recipient_members[] = {"forward_path:s", "state:s",	"reason:s",
						"next_event:s",	  "attempts:i", "not_before:s0",
						"last_reply:s0",  NULL};

static void test_queue(void **state)
{
	json_t *list = get(*state, "/v1/queue");
	const json_t *messages = json_object_get(list, "messages"), *message;
	size_t i;

	assert_int_equal(json_array_size(messages), 3);
	assert_true(json_is_false(json_object_get(list, "more")));
	assert_true(json_is_null(json_object_get(list, "next")));
	json_array_foreach(messages, i, message)
	{
		expect_members(message, message_members);
		assert_int_equal(json_array_size(json_object_get(message, "recipients")), 2);
		expect_members(json_array_get(json_object_get(message, "recipients"), 0), recipient_members);
	}
	json_decref(list);
}

/* Pages of every size give each message once. */
static void test_queue_pages(void **state)
{
	struct http *http = *state;

	http->relay.message_count = 7;
	for (int limit = 1; limit <= 8; limit++) {
		char target[128], after[32] = "";
		size_t seen = 0, pages = 0;
		do {
			(void)snprintf(target, sizeof(target), "/v1/queue?limit=%d%s", limit, after);
			json_t *list = get(http, target);
			seen += json_array_size(json_object_get(list, "messages"));
			const char *next = json_string_value(json_object_get(list, "next"));
			(void)snprintf(after, sizeof(after), "%s%s", next != NULL ? "&after=" : "",
				       next != NULL ? next : "");
			json_decref(list);
			pages++;
		} while (after[0] != '\0' && pages < 20);
		assert_int_equal(seen, 7);
		assert_int_equal(pages, (7 + limit - 1) / limit);
	}
}

/* Messages with many recipients end a list by size, and the rest is not lost. */
static void test_queue_bounded_in_bytes(void **state)
{
	struct http *http = *state;
	size_t seen = 0;
	char target[64] = "/v1/queue?limit=1000";

	http->relay.message_count = 60;
	http->relay.recipients_per_message = 1000;
	for (int page = 0; page < 30 && target[0] != '\0'; page++) {
		struct http_answer answer = http_request(http, "GET", target, NULL, NULL);
		assert_true(answer.size < 2 * API_LIST_BYTES);
		json_t *list = parse(&answer);
		seen += json_array_size(json_object_get(list, "messages"));
		const char *next = json_string_value(json_object_get(list, "next"));
		(void)snprintf(target, sizeof(target), "%s%s",
			       next != NULL ? "/v1/queue?limit=1000&after=" : "", next != NULL ? next : "");
		json_decref(list);
		http_free(&answer);
	}
	assert_int_equal(seen, 60);
}

static void test_trace(void **state)
{
	struct http *http = *state;
	static const char *const members[] = {
	    "id:s0",	      "at_door:tf",    "accepted:s0", "ended:s",  "state:s", "reverse_path:s",
	    "forward_path:s", "message_id:s0", "reply:s",     "relay:s0", NULL};
	json_t *list = get(http, "/v1/trace");
	const json_t *ends = json_object_get(list, "ends");

	assert_int_equal(json_array_size(ends), 2);
	assert_int_equal(json_array_size(json_object_get(list, "messages")), 3);
	(void)members;
	assert_string_equal(json_string_value(json_object_get(json_array_get(ends, 0), "state")),
			    "delivered");
	assert_true(json_is_true(json_object_get(json_array_get(ends, 1), "at_door")));
	assert_true(json_is_null(json_object_get(json_array_get(ends, 1), "id")));
	json_decref(list);

	http->relay.message_count = 0;
	http->relay.end_count = 0;
	list = get(http, "/v1/trace");
	assert_int_equal(json_array_size(json_object_get(list, "ends")), 0);
	assert_true(json_is_array(json_object_get(list, "messages")));
	json_decref(list);
}

static void test_message(void **state)
{
	json_t *message = get(*state, "/v1/messages/00000000000Z8");

	expect_members(message, message_members);
	assert_string_equal(json_string_value(json_object_get(message, "id")), "00000000000Z8");
	json_decref(message);
}

static void test_health_and_head(void **state)
{
	json_t *health = get(*state, "/healthz");
	struct http_answer answer = http_request(*state, "HEAD", "/v1/status", NULL, NULL);

	assert_string_equal(json_string_value(json_object_get(health, "status")), "ok");
	json_decref(health);
	assert_int_equal(answer.status, 200);
	assert_int_equal(answer.size, 0);
	assert_non_null(strstr(answer.headers, "Cache-Control: no-store"));
	http_free(&answer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_changes, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_message_of_a_change_is_passed_on, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_bad_requests, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_limits_of_names_and_hosts_at_their_edge, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_body_limit, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_refusals_of_the_relay, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_second_setting_refused, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_status, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_status_of_one_domain, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_status_with_nothing_and_with_strange_bytes, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_status_of_many_domains, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_domains_in_pages, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_domains, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_queue, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_queue_pages, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_queue_bounded_in_bytes, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_trace, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_message, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_health_and_head, setup, teardown),
	};

	return cmocka_run_group_tests_name("api", tests, NULL, NULL);
}
