/* The resolver against a name server of our own on loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "dns_server.h"
#include "os/dns_message.h"
#include "os/resolver_unbound.h"

enum { TURN_MS = 20, LIMIT_MS = 60000 };

static const struct dns_entry zone[] = {
    {.name = "example.com",
     .type = DNS_TYPE_MX,
     .records = {{DNS_TYPE_MX, NULL, 120, 20, "MX2.example.com"},
		 {DNS_TYPE_MX, NULL, 120, 10, "mx1.example.com"}},
     .record_count = 2},
    {.name = "mx1.example.com",
     .type = DNS_TYPE_A,
     .records = {{DNS_TYPE_A, NULL, 60, 0, "192.0.2.1"}, {DNS_TYPE_A, NULL, 60, 0, "192.0.2.2"}},
     .record_count = 2},
    {.name = "mx1.example.com",
     .type = DNS_TYPE_AAAA,
     .records = {{DNS_TYPE_AAAA, NULL, 50, 0, "2001:db8::1"}},
     .record_count = 1},
    {.name = "v4.example.com",
     .type = DNS_TYPE_A,
     .records = {{DNS_TYPE_A, NULL, 200, 0, "192.0.2.4"}},
     .record_count = 1},
    {.name = "half.example.com",
     .type = DNS_TYPE_A,
     .records = {{DNS_TYPE_A, NULL, 200, 0, "192.0.2.5"}},
     .record_count = 1},
    {.name = "half.example.com", .type = DNS_TYPE_AAAA, .act = DNS_SERVFAIL},
    {.name = "noaddress.example.com", .type = DNS_TYPE_MX, .act = DNS_ANSWER},
    {.name = "broken6.example.com", .type = DNS_TYPE_AAAA, .act = DNS_SERVFAIL},
    {.name = "alias.example.com",
     .type = DNS_TYPE_MX,
     .records = {{DNS_TYPE_CNAME, NULL, 40, 0, "example.com"},
		 {DNS_TYPE_MX, "example.com", 120, 10, "mx1.example.com"}},
     .record_count = 2},
    {.name = "alias.example.com",
     .type = DNS_TYPE_A,
     .records = {{DNS_TYPE_CNAME, NULL, 40, 0, "v4.example.com"},
		 {DNS_TYPE_A, "v4.example.com", 200, 0, "192.0.2.4"}},
     .record_count = 2},
    {.name = "alias.example.com",
     .type = DNS_TYPE_AAAA,
     .records = {{DNS_TYPE_CNAME, NULL, 40, 0, "v4.example.com"}},
     .record_count = 1},
    {.name = "v4.example.com", .type = DNS_TYPE_AAAA, .act = DNS_ANSWER},
    {.name = "nomail.example.com",
     .type = DNS_TYPE_MX,
     .records = {{DNS_TYPE_MX, NULL, 0, 0, ""}},
     .record_count = 1},
    {.name = "gone.example.com", .act = DNS_NXDOMAIN},
    {.name = "fail.example.com", .type = DNS_TYPE_MX, .act = DNS_SERVFAIL},
    {.name = "fail.example.com", .type = DNS_TYPE_A, .act = DNS_SERVFAIL},
    {.name = "fail.example.com", .type = DNS_TYPE_AAAA, .act = DNS_SERVFAIL},
    {.name = "silent.example.com", .type = DNS_TYPE_MX, .act = DNS_SILENCE},
    {.name = "many.example.com", .type = DNS_TYPE_MX, .act = DNS_TRUNCATED, .repeat = 40},
    {.name = "private.test",
     .type = DNS_TYPE_MX,
     .records = {{DNS_TYPE_MX, NULL, 0, 5, "mail.private.test"}},
     .record_count = 1},
    {.name = "later.example.com",
     .type = DNS_TYPE_MX,
     .records = {{DNS_TYPE_MX, NULL, 0, 5, "mx.later.example.com"}},
     .record_count = 1},
    {.name = "later2.example.com",
     .type = DNS_TYPE_MX,
     .records = {{DNS_TYPE_MX, NULL, 0, 5, "mx.later.example.com"}},
     .record_count = 1},
};

struct world {
	struct os_loop *loop;
	struct dns_server server;
	struct resolver_unbound *unbound;
	struct resolver *resolver;
	struct resolver_answer answer;
	unsigned answers;
	bool in_call;
};

static void world_init(struct world *w, const struct resolver_unbound_options *more)
{
	struct resolver_unbound_options options = {.hosts = ""};
	char forwarder[NET_ADDRESS_TEXT_SIZE], message[RESOLVER_UNBOUND_MESSAGE_SIZE] = "";

	*w = (struct world){.loop = os_loop_new(NULL, NULL)};
	assert_non_null(w->loop);
	dns_server_init(&w->server, w->loop, zone, sizeof(zone) / sizeof(zone[0]));
	if (more != NULL)
		options = *more;
	options.forwarder = net_address_text(&w->server.address, forwarder);
	w->unbound = resolver_unbound_new(w->loop, &options, message);
	assert_non_null(w->unbound);
	w->resolver = resolver_unbound_port(w->unbound);
}

static void world_deinit(struct world *w)
{
	resolver_unbound_free(w->unbound);
	dns_server_deinit(&w->server);
	os_loop_free(w->loop);
}

static void done(void *owner, const struct resolver_answer *answer)
{
	struct world *w = owner;

	assert_false(w->in_call);
	w->answer = *answer;
	w->answers++;
}

static void run(struct world *w, unsigned answers)
{
	int64_t limit = os_loop_clock(w->loop)->now_us + CLOCK_MS(LIMIT_MS);

	while (w->answers < answers) {
		int64_t now = os_loop_clock(w->loop)->now_us;
		assert_true(now < limit);
		os_loop_set_deadline(w->loop, now + CLOCK_MS(TURN_MS));
		os_loop_run_once(w->loop, true);
	}
}

static struct resolver_query *ask(struct world *w, const char *name, bool mx)
{
	w->in_call = true;
	struct resolver_query *query =
	    (mx ? w->resolver->ops->mx : w->resolver->ops->address)(w->resolver, slice_of(name), done, w);
	w->in_call = false;
	assert_non_null(query);
	return query;
}

static const struct resolver_answer *mx(struct world *w, const char *name)
{
	(void)ask(w, name, true);
	run(w, w->answers + 1);
	return &w->answer;
}

static const struct resolver_answer *address(struct world *w, const char *name)
{
	(void)ask(w, name, false);
	run(w, w->answers + 1);
	return &w->answer;
}

static void assert_address(const struct resolver_answer *a, size_t i, const char *text)
{
	char host[NET_ADDRESS_TEXT_SIZE];

	assert_true(i < a->address_count);
	assert_string_equal(net_address_host(&a->address[i], host), text);
	assert_int_equal(a->address[i].port, 0);
}

/* --- MX -------------------------------------------------------------------------------------- */

static void test_mx(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, NULL);
	const struct resolver_answer *a = mx(&w, "Example.COM");
	assert_int_equal(a->status, RESOLVER_OK);
	assert_int_equal(a->mx_count, 2);
	assert_int_equal(a->mx[0].preference, 10);
	assert_string_equal(a->mx[0].host, "mx1.example.com");
	assert_int_equal(a->mx[1].preference, 20);
	assert_string_equal(a->mx[1].host, "mx2.example.com");
	assert_in_range(a->ttl_s, 100, 120);
	assert_false(a->secure);
	assert_int_equal(a->address_count, 0);

	unsigned asked = w.server.asked_udp;
	assert_int_equal(mx(&w, "example.com.")->status, RESOLVER_OK); /* from the cache */
	assert_int_equal(w.server.asked_udp, asked);
	world_deinit(&w);
}

static void test_mx_kinds(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, NULL);
	const struct resolver_answer *a = mx(&w, "alias.example.com");
	assert_int_equal(a->status, RESOLVER_OK);
	assert_int_equal(a->mx_count, 2);
	assert_string_equal(a->mx[0].host, "mx1.example.com");
	assert_in_range(a->ttl_s, 20, 40);

	a = mx(&w, "nomail.example.com");
	assert_int_equal(a->status, RESOLVER_OK);
	assert_int_equal(a->mx_count, 1);
	assert_string_equal(a->mx[0].host, "");

	a = mx(&w, "v4.example.com");
	assert_int_equal(a->status, RESOLVER_NODATA);
	assert_in_range(a->ttl_s, 1, 60);
	a = mx(&w, "gone.example.com");
	assert_int_equal(a->status, RESOLVER_NXDOMAIN);
	assert_in_range(a->ttl_s, 1, 60);
	a = mx(&w, "fail.example.com");
	assert_int_equal(a->status, RESOLVER_FAILED);
	assert_true(a->detail[0] != '\0');
	a = mx(&w, "private.test");
	assert_int_equal(a->status, RESOLVER_OK);
	world_deinit(&w);
}

/* An answer that does not fit UDP comes by TCP; the best RESOLVER_MX_MAX records are kept, in order. */
static void test_mx_over_tcp(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, NULL);
	const struct resolver_answer *a = mx(&w, "many.example.com");
	assert_int_equal(a->status, RESOLVER_OK);
	assert_true(w.server.asked_tcp > 0);
	assert_int_equal(a->mx_count, RESOLVER_MX_MAX);
	for (size_t i = 0; i < RESOLVER_MX_MAX; i++) {
		char host[64];
		(void)snprintf(host, sizeof(host), "mx%zu.many.example.com", 39 - i);
		assert_int_equal(a->mx[i].preference, i + 1);
		assert_string_equal(a->mx[i].host, host);
	}
	world_deinit(&w);
}

/* --- addresses ------------------------------------------------------------------------------- */

static void test_addresses(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, NULL);
	const struct resolver_answer *a = address(&w, "mx1.example.com");
	assert_int_equal(a->status, RESOLVER_OK);
	assert_int_equal(a->address_count, 3);
	assert_address(a, 0, "2001:db8::1");
	assert_int_equal(a->address[1].family, 4);
	assert_int_equal(a->address[2].family, 4);
	assert_in_range(a->ttl_s, 30, 50);

	a = address(&w, "alias.example.com");
	assert_int_equal(a->status, RESOLVER_OK);
	assert_int_equal(a->address_count, 1);
	assert_address(a, 0, "192.0.2.4");
	assert_in_range(a->ttl_s, 20, 40);

	a = address(&w, "half.example.com"); /* one family failed, the other is enough */
	assert_int_equal(a->status, RESOLVER_OK);
	assert_int_equal(a->address_count, 1);
	assert_address(a, 0, "192.0.2.5");
	assert_in_range(a->ttl_s, 1, 60);

	assert_int_equal(address(&w, "noaddress.example.com")->status, RESOLVER_NODATA);
	assert_int_equal(address(&w, "broken6.example.com")->status, RESOLVER_FAILED);
	assert_int_equal(address(&w, "gone.example.com")->status, RESOLVER_NXDOMAIN);
	a = address(&w, "fail.example.com");
	assert_int_equal(a->status, RESOLVER_FAILED);
	assert_int_equal(a->ttl_s, 0);
	world_deinit(&w);
}

static void test_addresses_without_dns(void **state)
{
	struct world w;
	struct resolver_unbound_options options = {.hosts = NULL};
	char hosts[] = "/tmp/restante-test-hosts-XXXXXX";
	static const char text[] =
	    "# comment\n192.0.2.7\tmail.internal mail # here\r\nnonsense mail\n2001:db8::7 mail\n";

	(void)state;
	int descriptor = mkstemp(hosts);
	assert_true(descriptor >= 0);
	assert_int_equal(write(descriptor, text, sizeof(text) - 1), sizeof(text) - 1);
	(void)close(descriptor);
	options.hosts = hosts;
	world_init(&w, &options);
	w.server.silent = true;
	const struct resolver_answer *a = address(&w, "localhost");
	assert_int_equal(a->status, RESOLVER_OK);
	assert_int_equal(a->address_count, 2);
	assert_address(a, 0, "127.0.0.1");
	assert_address(a, 1, "::1");
	assert_int_equal(address(&w, "mail.LOCALHOST.")->address_count, 2);
	a = address(&w, "192.0.2.9");
	assert_int_equal(a->status, RESOLVER_OK);
	assert_address(a, 0, "192.0.2.9");
	a = address(&w, "[2001:db8::9]");
	assert_address(a, 0, "2001:db8::9");
	a = address(&w, "MAIL");
	assert_int_equal(a->address_count, 2);
	assert_address(a, 0, "192.0.2.7");
	assert_address(a, 1, "2001:db8::7");
	assert_int_equal(address(&w, "mail.internal")->address_count, 1);
	assert_int_equal(w.server.asked_udp, 0);
	(void)unlink(hosts);
	world_deinit(&w);
}

static void test_names_that_cannot_be(void **state)
{
	struct world w;
	char label[70], name[300];

	(void)state;
	world_init(&w, NULL);
	memset(label, 'a', sizeof(label));
	label[64] = '\0';
	memset(name, 'a', sizeof(name));
	for (size_t i = 50; i < sizeof(name); i += 50)
		name[i] = '.';
	static const char *const bad[] = {"", ".", "a..b"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(mx(&w, bad[i])->status, RESOLVER_NXDOMAIN);
		assert_int_equal(address(&w, bad[i])->status, RESOLVER_NXDOMAIN);
	}
	assert_int_equal(mx(&w, label)->status, RESOLVER_NXDOMAIN);
	name[254] = '\0';
	assert_int_equal(mx(&w, name)->status, RESOLVER_NXDOMAIN);
	assert_int_equal(address(&w, name)->status, RESOLVER_NXDOMAIN);
	assert_int_equal(w.server.asked_udp, 0);
	name[253] = '\0'; /* the longest that can be: it is asked for */
	assert_int_equal(mx(&w, name)->status, RESOLVER_NXDOMAIN);
	assert_true(w.server.asked_udp > 0);
	world_deinit(&w);
}

/* --- trouble --------------------------------------------------------------------------------- */

static void test_timeout(void **state)
{
	struct world w;
	struct resolver_unbound_options options = {.hosts = "", .timeout_ms = 100};

	(void)state;
	world_init(&w, &options);
	int64_t before = os_loop_clock(w.loop)->now_us;
	assert_int_equal(mx(&w, "silent.example.com")->status, RESOLVER_FAILED);
	assert_non_null(strstr(w.answer.detail, "in time"));
	assert_true(os_loop_clock(w.loop)->now_us - before >= CLOCK_MS(100));
	assert_int_equal(mx(&w, "example.com")->status, RESOLVER_OK);
	world_deinit(&w);
}

/* When the name server was dead for a while, and is back, names work again within seconds. */
static void test_recovery(void **state)
{
	struct world w;
	struct resolver_unbound_options options = {.hosts = "", .timeout_ms = 1000};

	(void)state;
	world_init(&w, &options);
	w.server.silent = true;
	for (int i = 0; i < 3; i++)
		assert_int_equal(mx(&w, "later.example.com")->status, RESOLVER_FAILED);
	w.server.silent = false;
	int64_t back = os_loop_clock(w.loop)->now_us;
	while (mx(&w, "later2.example.com")->status != RESOLVER_OK)
		assert_true(os_loop_clock(w.loop)->now_us - back < CLOCK_SECONDS(10));
	while (mx(&w, "later.example.com")->status != RESOLVER_OK)
		assert_true(os_loop_clock(w.loop)->now_us - back < CLOCK_SECONDS(10));
	world_deinit(&w);
}

static void test_cancel(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, NULL);
	struct resolver_query *a = ask(&w, "example.com", true);
	struct resolver_query *b = ask(&w, "mx1.example.com", false);
	struct resolver_query *c = ask(&w, "localhost", false);
	(void)ask(&w, "v4.example.com", false);
	w.resolver->ops->cancel(w.resolver, a);
	w.resolver->ops->cancel(w.resolver, b);
	w.resolver->ops->cancel(w.resolver, c);
	run(&w, 1);
	assert_address(&w.answer, 0, "192.0.2.4");
	for (int i = 0; i < 50; i++)
		os_loop_run_once(w.loop, false);
	assert_int_equal(w.answers, 1);
	world_deinit(&w);
}

/* Nothing is left when it is freed with questions under way. */
static void test_free_with_questions(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, NULL);
	w.server.silent = true;
	(void)ask(&w, "example.com", true);
	(void)ask(&w, "mx1.example.com", false);
	(void)ask(&w, "localhost", false);
	w.resolver->ops->cancel(w.resolver, ask(&w, "v4.example.com", false));
	for (int i = 0; i < 5; i++)
		os_loop_run_once(w.loop, false);
	(void)ask(&w, "localhost", false);
	world_deinit(&w);
	assert_int_equal(w.answers, 1);
}

static void test_many_at_once(void **state)
{
	enum { COUNT = 300 };
	struct world w;

	(void)state;
	world_init(&w, NULL);
	for (int i = 0; i < COUNT; i++) {
		char name[64];
		(void)snprintf(name, sizeof(name), "host%d.nowhere.example", i);
		(void)ask(&w, name, i % 2 == 0);
	}
	run(&w, COUNT);
	assert_int_equal(w.answer.status, RESOLVER_NXDOMAIN);
	world_deinit(&w);
}

static void test_options(void **state)
{
	static const struct {
		const char *forwarder;
		bool ok;
	} cases[] = {
	    {"192.0.2.53", true},	 {"192.0.2.53:5353", true},
	    {"2001:db8::53", true},	 {"[2001:db8::53]:53", true},
	    {"[2001:db8::53]", true},	 {"192.0.2.53:0", false},
	    {"192.0.2.53:65536", false}, {"192.0.2.53:", false},
	    {"dns.example", false},	 {"", false},
	};
	char message[RESOLVER_UNBOUND_MESSAGE_SIZE];
	struct os_loop *loop = os_loop_new(NULL, NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct resolver_unbound_options options = {.forwarder = cases[i].forwarder, .hosts = ""};
		struct resolver_unbound *r = resolver_unbound_new(loop, &options, message);
		assert_int_equal(r != NULL, cases[i].ok);
		if (!cases[i].ok)
			assert_non_null(strstr(message, "is not an address"));
		resolver_unbound_free(r);
	}
	struct resolver_unbound_options defaults = {.resolv_conf =
							""}; /* the root servers; nothing is asked yet */
	struct resolver_unbound *r = resolver_unbound_new(loop, &defaults, message);
	assert_non_null(r);
	resolver_unbound_free(r);
	os_loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_mx),
	    cmocka_unit_test(test_mx_kinds),
	    cmocka_unit_test(test_mx_over_tcp),
	    cmocka_unit_test(test_addresses),
	    cmocka_unit_test(test_addresses_without_dns),
	    cmocka_unit_test(test_names_that_cannot_be),
	    cmocka_unit_test(test_timeout),
	    cmocka_unit_test(test_recovery),
	    cmocka_unit_test(test_cancel),
	    cmocka_unit_test(test_free_with_questions),
	    cmocka_unit_test(test_many_at_once),
	    cmocka_unit_test(test_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
