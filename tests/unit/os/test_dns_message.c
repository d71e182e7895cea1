/* Reading DNS messages: kinds of answers, damaged ones, names that are none; and the hosts file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dns_server.h"
#include "os/dns_message.h"
#include "os/hosts.h"

/* --- kinds ----------------------------------------------------------------------------------- */

static const struct {
	struct dns_entry entry;
	enum resolver_status status;
	uint32_t ttl_s;
	size_t count;
	const char *first; /* host of the first MX, or the first address */
} kinds[] = {
    {{.name = "a.example",
      .type = DNS_TYPE_MX,
      .records = {{DNS_TYPE_MX, NULL, 9, 1, "MX.a.example"}},
      .record_count = 1},
     RESOLVER_OK,
     9,
     1,
     "mx.a.example"},
    {{.name = "a.example",
      .type = DNS_TYPE_MX,
      .records = {{DNS_TYPE_MX, NULL, 9, 1, ""}, {DNS_TYPE_MX, NULL, 7, 5, "mx.a.example"}},
      .record_count = 2},
     RESOLVER_OK,
     7,
     1,
     "mx.a.example"}, /* null MX beside another */
    {{.name = "a.example",
      .type = DNS_TYPE_MX,
      .records = {{DNS_TYPE_MX, NULL, 9, 0, ""}, {DNS_TYPE_MX, NULL, 9, 0, ""}},
      .record_count = 2},
     RESOLVER_OK,
     9,
     1,
     ""},
    {{.name = "a.example",
      .type = DNS_TYPE_MX,
      .records = {{DNS_TYPE_MX, NULL, 9, 1, "a b.example"}},
      .record_count = 1},
     RESOLVER_FAILED,
     0,
     0,
     NULL}, /* MX that name no host */
    {{.name = "a.example",
      .type = DNS_TYPE_MX,
      .records = {{DNS_TYPE_MX, NULL, 9, 1, "a/b.example"}, {DNS_TYPE_MX, NULL, 9, 2, "under_score.example"}},
      .record_count = 2},
     RESOLVER_OK,
     9,
     1,
     "under_score.example"},
    {{.name = "a.example",
      .type = DNS_TYPE_A,
      .records = {{DNS_TYPE_CNAME, NULL, 3, 0, "b.example"}, {DNS_TYPE_A, "b.example", 9, 0, "192.0.2.1"}},
      .record_count = 2},
     RESOLVER_OK,
     3,
     1,
     "192.0.2.1"},
    {{.name = "a.example",
      .type = DNS_TYPE_AAAA,
      .records = {{DNS_TYPE_AAAA, NULL, 9, 0, "2001:db8::1"}},
      .record_count = 1},
     RESOLVER_OK,
     9,
     1,
     "2001:db8::1"},
    {{.name = "a.example",
      .type = DNS_TYPE_A,
      .records = {{DNS_TYPE_AAAA, NULL, 9, 0, "2001:db8::1"}},
      .record_count = 1},
     RESOLVER_NODATA,
     DNS_NEGATIVE_TTL_S,
     0,
     NULL}, /* of another type; no SOA */
    {{.name = "a.example",
      .type = DNS_TYPE_A,
      .records = {{DNS_TYPE_A, NULL, 0x80000001u, 0, "192.0.2.1"}},
      .record_count = 1},
     RESOLVER_OK,
     0,
     1,
     "192.0.2.1"},							       /* RFC 2181 §8 */
    {{.name = "a.example", .type = DNS_TYPE_A}, RESOLVER_NODATA, 30, 0, NULL}, /* the SOA's minimum */
    {{.name = "a.example", .type = DNS_TYPE_A, .act = DNS_NXDOMAIN}, RESOLVER_NXDOMAIN, 30, 0, NULL},
    {{.name = "a.example", .type = DNS_TYPE_A, .act = DNS_SERVFAIL}, RESOLVER_FAILED, 0, 0, NULL},
    {{.name = "a.example", .type = DNS_TYPE_MX, .repeat = RESOLVER_MX_MAX - 1},
     RESOLVER_OK,
     300,
     RESOLVER_MX_MAX - 1,
     "mx30.a.example"},
    {{.name = "a.example", .type = DNS_TYPE_MX, .repeat = RESOLVER_MX_MAX},
     RESOLVER_OK,
     300,
     RESOLVER_MX_MAX,
     "mx31.a.example"},
    {{.name = "a.example", .type = DNS_TYPE_MX, .repeat = RESOLVER_MX_MAX + 1},
     RESOLVER_OK,
     300,
     RESOLVER_MX_MAX,
     "mx32.a.example"},
};

static void test_kinds(void **state)
{
	static struct resolver_answer a;

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct buffer message;
		char host[NET_ADDRESS_TEXT_SIZE];
		buffer_init(&message, 0);
		dns_server_build(&kinds[i].entry, &message);
		dns_message_read(buffer_slice(&message), kinds[i].entry.type, &a);
		assert_int_equal(a.status, kinds[i].status);
		assert_int_equal(a.ttl_s, kinds[i].ttl_s);
		assert_int_equal(a.mx_count + a.address_count, kinds[i].count);
		if (a.mx_count > 0)
			assert_string_equal(a.mx[0].host, kinds[i].first);
		if (a.address_count > 0)
			assert_string_equal(net_address_host(&a.address[0], host), kinds[i].first);
		assert_int_equal(a.detail[0] != '\0', a.status == RESOLVER_FAILED);
		buffer_deinit(&message);
	}
}

/* The first RESOLVER_ADDRESS_MAX addresses are used. */
static void test_number_of_addresses(void **state)
{
	static struct resolver_answer a;

	(void)state;
	for (size_t count = RESOLVER_ADDRESS_MAX - 1; count <= RESOLVER_ADDRESS_MAX + 1; count++) {
		struct buffer message;
		struct dns_entry entry = {.name = "a.example", .type = DNS_TYPE_A, .record_count = count};
		for (size_t i = 0; i < count; i++)
			entry.records[i] = (struct dns_record){.type = DNS_TYPE_A, .data = "192.0.2.1"};
		buffer_init(&message, 0);
		dns_server_build(&entry, &message);
		dns_message_read(buffer_slice(&message), DNS_TYPE_A, &a);
		assert_int_equal(a.address_count,
				 count < RESOLVER_ADDRESS_MAX ? count : RESOLVER_ADDRESS_MAX);
		buffer_deinit(&message);
	}
}

/* --- damage ---------------------------------------------------------------------------------- */

/* A message cut anywhere is malformed, or says less; it is never read beyond its end (the sanitizers watch:
 * each cut is in memory of its own size). */
static void test_cut_anywhere(void **state)
{
	static struct resolver_answer a;

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct buffer message;
		buffer_init(&message, 0);
		dns_server_build(&kinds[i].entry, &message);
		struct slice whole = buffer_slice(&message);
		for (size_t cut = 0; cut < whole.size; cut++) {
			char *bytes = malloc(cut + 1);
			assert_non_null(bytes);
			memcpy(bytes, whole.data, cut);
			char *exact = realloc(bytes, cut > 0 ? cut : 1);
			assert_non_null(exact);
			dns_message_read(slice_make(exact, cut), kinds[i].entry.type, &a);
			if (kinds[i].count > 0)
				assert_int_equal(a.status, RESOLVER_FAILED);
			free(exact);
		}
		buffer_deinit(&message);
	}
}

/* Every byte changed to every value of a few: whatever comes out is within the limits. */
static void test_changed_bytes(void **state)
{
	static const unsigned char values[] = {0, 1, 0x3f, 0x40, 0x7f, 0x80, 0xbf, 0xc0, 0xff};
	static struct resolver_answer a;
	struct buffer message;

	(void)state;
	buffer_init(&message, 0);
	dns_server_build(&kinds[5].entry, &message);
	size_t size = buffer_size(&message);
	for (size_t at = 0; at < size; at++)
		for (size_t v = 0; v < sizeof(values); v++) {
			char before = message.bytes[at];
			message.bytes[at] = (char)values[v];
			dns_message_read(buffer_slice(&message), DNS_TYPE_A, &a);
			assert_true(a.address_count <= RESOLVER_ADDRESS_MAX && a.mx_count == 0);
			assert_int_equal(a.status == RESOLVER_OK, a.address_count > 0);
			message.bytes[at] = before;
		}
	buffer_deinit(&message);
}

static void test_compression_pointers(void **state)
{
	static const char head[] = "id\x81\x80\0\1\0\1\0\0\0\0"	   /* one question, one answer */
				   "\1a\0\0\x0f\0\1"		   /* a IN MX, at 12 */
				   "\xc0\x0c\0\x0f\0\1\0\0\0\x09"; /* a IN MX, 9 s */
	static const struct {
		const char *data; /* of the MX record, at 31 */
		size_t size;
		const char *host; /* NULL: malformed */
	} cases[] = {
	    {"\0\1\xc0\x0c", 4, "a"},	   {"\0\1\2mx\xc0\x0c", 7, "mx.a"},
	    {"\0\1\xc0\x21", 4, NULL},					   /* to itself */
	    {"\0\1\xc0\x22", 4, NULL},					   /* into itself */
	    {"\0\1\2mx\xc0\x21", 7, NULL},				   /* a circle */
	    {"\0\1\xc0\xff", 4, NULL},					   /* beyond the end */
	    {"\0\1\x40", 3, NULL},					   /* reserved */
	    {"\0\1\x80", 3, NULL},	   {"\0\1\2mx\xc0\x0c!", 8, NULL}, /* more data than a name */
	    {"\0\1\2m.\xc0\x0c", 7, ""}, /* a dot within a label: not a host */
	};
	static struct resolver_answer a;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char message[128];
		size_t size = sizeof(head) - 1;
		memcpy(message, head, size);
		message[size++] = 0;
		message[size++] = (char)cases[i].size;
		memcpy(message + size, cases[i].data, cases[i].size);
		size += cases[i].size;
		dns_message_read(slice_make(message, size), DNS_TYPE_MX, &a);
		if (cases[i].host == NULL || cases[i].host[0] == '\0') {
			assert_int_equal(a.status, RESOLVER_FAILED);
			assert_int_equal(strstr(a.detail, "malformed") != NULL, cases[i].host == NULL);
		} else {
			assert_int_equal(a.status, RESOLVER_OK);
			assert_string_equal(a.mx[0].host, cases[i].host);
		}
	}
}

/* --- the hosts file -------------------------------------------------------------------------- */

static void test_hosts(void **state)
{
	static const char text[] = "127.0.0.1 localhost\n"
				   "  192.0.2.1\tone  uno\r\n"
				   "# 192.0.2.9 one\n"
				   "192.0.2.2 two # one\n"
				   "not-an-address one\n"
				   "192.0.2.3\n"
				   "\n"
				   "2001:db8::1 ONE";
	static const struct {
		const char *name;
		size_t count;
		const char *first;
	} cases[] = {
	    {"one", 2, "192.0.2.1"}, {"uno", 1, "192.0.2.1"}, {"Two", 1, "192.0.2.2"},
	    {"on", 0, NULL},	     {"", 0, NULL},	      {"192.0.2.1", 0, NULL},
	};
	struct net_address found[2];
	char host[NET_ADDRESS_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(hosts_find(slice_of(text), slice_of(cases[i].name), found, 2),
				 cases[i].count);
		if (cases[i].count > 0)
			assert_string_equal(net_address_host(&found[0], host), cases[i].first);
	}
	assert_int_equal(hosts_find(slice_of(text), SLICE("one"), found, 1), 1);
	assert_int_equal(hosts_find(slice_of(text), SLICE("one"), found, 0), 0);
	assert_int_equal(hosts_find(slice_of(NULL), SLICE("one"), found, 2), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_kinds),
	    cmocka_unit_test(test_number_of_addresses),
	    cmocka_unit_test(test_cut_anywhere),
	    cmocka_unit_test(test_changed_bytes),
	    cmocka_unit_test(test_compression_pointers),
	    cmocka_unit_test(test_hosts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
