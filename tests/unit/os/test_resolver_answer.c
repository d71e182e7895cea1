/* AAAA and A made into one answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "os/dns_message.h"
#include "os/resolver_private.h"

struct part {
	enum resolver_status status;
	uint32_t ttl_s;
	size_t count;
	bool secure;
};

static struct resolver_answer answer_of(const struct part *p, uint8_t family)
{
	struct resolver_answer a = {.status = p->status, .ttl_s = p->ttl_s, .secure = p->secure};

	if (p->status == RESOLVER_FAILED)
		(void)snprintf(a.detail, sizeof(a.detail), "IPv%d failed", family);
	a.address_count = p->count;
	for (size_t i = 0; i < p->count; i++)
		a.address[i] = (struct net_address){.family = family, .bytes = {(uint8_t)i}};
	return a;
}

#define OK(n)                              \
	{                                  \
		RESOLVER_OK, 100, n, false \
	}
#define NONE                                  \
	{                                     \
		RESOLVER_NODATA, 30, 0, false \
	}
#define NAME                                    \
	{                                       \
		RESOLVER_NXDOMAIN, 20, 0, false \
	}
#define FAIL                                 \
	{                                    \
		RESOLVER_FAILED, 0, 0, false \
	}

static const struct {
	struct part v6, v4;
	enum resolver_status status;
	size_t v6_count, v4_count;
	uint32_t ttl_s;
	bool secure;
	const char *detail;
} cases[] = {
    {OK(1), OK(2), RESOLVER_OK, 1, 2, 100, false, ""},
    {OK(15), OK(1), RESOLVER_OK, 15, 1, 100, false, ""}, /* just fits */
    {OK(16), OK(1), RESOLVER_OK, 15, 1, 100, false, ""},
    {OK(1), OK(16), RESOLVER_OK, 1, 15, 100, false, ""},
    {OK(16), OK(16), RESOLVER_OK, 8, 8, 100, false, ""},
    {OK(8), OK(9), RESOLVER_OK, 8, 8, 100, false, ""},
    {OK(9), OK(8), RESOLVER_OK, 8, 8, 100, false, ""},
    {OK(10), OK(7), RESOLVER_OK, 9, 7, 100, false, ""},
    {OK(16), NONE, RESOLVER_OK, 16, 0, 100, false, ""},
    {NONE, OK(16), RESOLVER_OK, 0, 16, 100, false, ""},
    {{RESOLVER_OK, 100, 1, true}, {RESOLVER_OK, 50, 1, true}, RESOLVER_OK, 1, 1, 50, true, ""},
    {{RESOLVER_OK, 50, 1, true}, {RESOLVER_OK, 100, 1, false}, RESOLVER_OK, 1, 1, 50, false, ""},
    {{RESOLVER_OK, 100, 1, true}, NONE, RESOLVER_OK, 1, 0, 100, true, ""},
    {FAIL, OK(1), RESOLVER_OK, 0, 1, DNS_NEGATIVE_TTL_S, false, ""},
    {OK(1), FAIL, RESOLVER_OK, 1, 0, DNS_NEGATIVE_TTL_S, false, ""},
    {NONE, NONE, RESOLVER_NODATA, 0, 0, 30, false, ""},
    {NAME, NAME, RESOLVER_NXDOMAIN, 0, 0, 20, false, ""},
    {NAME, NONE, RESOLVER_NODATA, 0, 0, 20, false, ""},
    {NONE, NAME, RESOLVER_NODATA, 0, 0, 20, false, ""},
    {{RESOLVER_NODATA, 30, 0, true}, {RESOLVER_NODATA, 30, 0, true}, RESOLVER_NODATA, 0, 0, 30, true, ""},
    {NONE, FAIL, RESOLVER_FAILED, 0, 0, 0, false, "IPv4 failed"},
    {FAIL, NONE, RESOLVER_FAILED, 0, 0, 0, false, "IPv6 failed"},
    {FAIL, FAIL, RESOLVER_FAILED, 0, 0, 0, false, "IPv6 failed"},
};

static void test_combine(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		static struct resolver_query query;
		memset(&query, 0, sizeof(query));
		struct resolver_answer v6 = answer_of(&cases[i].v6, 6), v4 = answer_of(&cases[i].v4, 4);
		resolver_store(&query, DNS_TYPE_A, &v4); /* in whichever order they come */
		resolver_store(&query, DNS_TYPE_AAAA, &v6);
		resolver_combine(&query);
		const struct resolver_answer *a = &query.answer;
		assert_int_equal(a->status, cases[i].status);
		assert_int_equal(a->ttl_s, cases[i].ttl_s);
		assert_int_equal(a->secure, cases[i].secure);
		assert_string_equal(a->detail, cases[i].detail);
		assert_int_equal(a->address_count, cases[i].v6_count + cases[i].v4_count);
		for (size_t k = 0; k < a->address_count; k++) {
			bool is_v6 = k < cases[i].v6_count;
			assert_int_equal(a->address[k].family, is_v6 ? 6 : 4);
			assert_int_equal(a->address[k].bytes[0], is_v6 ? k : k - cases[i].v6_count);
		}
	}
}

static void test_read(void **state)
{
	static struct resolver_answer a;
	static const struct slice none = {.data = NULL, .size = 0};

	(void)state;
	resolver_read(DNS_TYPE_A, 2, none, 1, "signature expired", &a);
	assert_int_equal(a.status, RESOLVER_FAILED);
	assert_string_equal(a.detail, "signature expired");
	resolver_read(DNS_TYPE_A, 2, none, 1, NULL, &a);
	assert_string_equal(a.detail, "DNSSEC validation failed");
	resolver_read(DNS_TYPE_A, 2, none, 0, NULL, &a);
	assert_int_equal(a.status, RESOLVER_FAILED);
	resolver_read(DNS_TYPE_A, 5, none, 0, NULL, &a);
	assert_int_equal(a.status, RESOLVER_FAILED);
	resolver_read(DNS_TYPE_A, 0, none, 0, NULL, &a);
	assert_int_equal(a.status, RESOLVER_FAILED);
	resolver_read(DNS_TYPE_A, 3, none, 0, NULL, &a);
	assert_int_equal(a.status, RESOLVER_NXDOMAIN);
	assert_true(a.ttl_s > 0);
	resolver_read(DNS_TYPE_A, 0, SLICE("too short"), 2, NULL, &a);
	assert_int_equal(a.status, RESOLVER_FAILED);
	assert_false(a.secure);
	resolver_read(DNS_TYPE_A, 0, SLICE("id\x81\x80\0\0\0\0\0\0\0\0"), 2, NULL, &a);
	assert_int_equal(a.status, RESOLVER_NODATA);
	assert_true(a.secure);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_combine), cmocka_unit_test(test_read)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
