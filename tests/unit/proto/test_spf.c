/* RFC 7208: the zone of its appendix A, the macros of its §7.4, and each limit, played from zones in tables.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "failing_alloc.h"
#include "proto/spf.h"
#include "proto/spf_private.h"

struct record {
	const char *name, *type, *value; /* type: TXT A AAAA MX PTR; FAIL: the servers do not answer */
};

enum { RECORDS_MAX = 40, ZONE_MAX = 128 };

struct facts {
	enum spf_status status;
	size_t count;
	struct slice records[RECORDS_MAX];
	uint8_t bytes[RECORDS_MAX][16];
};

static bool is_type(enum spf_type type, const char *text)
{
	switch (type) {
	case SPF_TYPE_TXT:
		return strcmp(text, "TXT") == 0;
	case SPF_TYPE_ADDRESS:
		return strcmp(text, "A") == 0 || strcmp(text, "AAAA") == 0;
	case SPF_TYPE_MX:
		return strcmp(text, "MX") == 0;
	case SPF_TYPE_PTR:
		return strcmp(text, "PTR") == 0;
	}
	return false;
}

static void add_fact(struct facts *facts, const struct record *r)
{
	uint8_t *bytes = facts->bytes[facts->count];
	size_t size = strcmp(r->type, "A") == 0 ? 4 : 16;

	facts->records[facts->count] = slice_of(r->value);
	if (r->type[0] == 'A') {
		assert_int_equal(inet_pton(size == 4 ? AF_INET : AF_INET6, r->value, bytes), 1);
		facts->records[facts->count] = slice_make(bytes, size);
	}
	facts->count++;
}

static void look_up(const struct record *zone, const struct spf_question *q, struct facts *ret_facts)
{
	ret_facts->count = 0;
	ret_facts->status = SPF_STATUS_VOID;
	for (const struct record *r = zone; r->name != NULL; r++) {
		if (strcmp(r->name, q->name) != 0)
			continue;
		if (strcmp(r->type, "FAIL") == 0) {
			ret_facts->status = SPF_STATUS_FAILED;
			return;
		}
		if (is_type(q->type, r->type))
			add_fact(ret_facts, r);
	}
	if (ret_facts->count > 0)
		ret_facts->status = SPF_STATUS_FOUND;
}

static int answer(struct spf_check *check, const struct record *zone, const struct spf_question *q)
{
	static struct facts facts;

	look_up(zone, q, &facts);
	return spf_check_answer(check, q, facts.status, facts.records, facts.count);
}

static struct spf_address address_of(const char *text)
{
	struct spf_address a = {.family = strchr(text, ':') != NULL ? 6 : 4};

	assert_int_equal(inet_pton(a.family == 4 ? AF_INET : AF_INET6, text, a.bytes), 1);
	return a;
}

static int start(struct spf_check *check, const char *client, const char *helo, const char *sender)
{
	struct spf_address address = address_of(client);
	struct slice s = slice_of(sender);
	size_t at = slice_find_last(s, '@');
	struct slice local = at < s.size ? slice_upto(s, at) : slice_of("");

	return spf_check_init(check, &address, slice_of(helo), local,
			      at < s.size ? slice_from(s, at + 1) : s);
}

/* Every question at most once; asked: what was asked, in order. */
static enum spf_result play(const struct record *zone, const char *client, const char *sender,
			    struct spf_question *asked, size_t *ret_count)
{
	struct spf_check check;
	struct spf_question q;
	enum spf_result result;

	*ret_count = 0;
	assert_int_equal(start(&check, client, "mail.example.com", sender), 0);
	while ((result = spf_check_run(&check, &q)) == SPF_RESULT_ASK) {
		for (size_t i = 0; i < *ret_count; i++)
			assert_false(asked[i].type == q.type && strcmp(asked[i].name, q.name) == 0);
		assert_true(*ret_count < SPF_QUESTIONS_MAX);
		asked[(*ret_count)++] = q;
		assert_int_equal(answer(&check, zone, &q), 0);
	}
	spf_check_deinit(&check);
	return result;
}

/* The same with all answers given beforehand, the last first. */
static enum spf_result play_backwards(const struct record *zone, const char *client, const char *sender,
				      const struct spf_question *asked, size_t count)
{
	struct spf_check check;
	struct spf_question q;

	assert_int_equal(start(&check, client, "mail.example.com", sender), 0);
	while (count-- > 0)
		assert_int_equal(answer(&check, zone, &asked[count]), 0);
	enum spf_result result = spf_check_run(&check, &q);
	spf_check_deinit(&check);
	return result;
}

static void expect_of(const struct record *zone, const char *client, const char *sender, const char *expected)
{
	static struct spf_question asked[SPF_QUESTIONS_MAX];
	size_t count;
	enum spf_result result = play(zone, client, sender, asked, &count);

	if (strcmp(spf_result_name(result), expected) != 0)
		print_message("%s from %s: %s\n", sender, client, zone[0].value);
	assert_string_equal(spf_result_name(result), expected);
	assert_int_equal(play_backwards(zone, client, sender, asked, count), result);
}

/* --- appendix A ------------------------------------------------------------------------------- */

#define APPENDIX_A                                                                                         \
	{"example.com", "MX", "mail-a.example.com"}, {"example.com", "MX", "mail-b.example.com"},          \
	    {"example.com", "A", "192.0.2.10"}, {"example.com", "A", "192.0.2.11"},                        \
	    {"amy.example.com", "A", "192.0.2.65"}, {"bob.example.com", "A", "192.0.2.66"},                \
	    {"mail-a.example.com", "A", "192.0.2.129"}, {"mail-b.example.com", "A", "192.0.2.130"},        \
	    {"www.example.com", "A", "192.0.2.10"}, {"example.org", "MX", "mail-c.example.org"},           \
	    {"mail-c.example.org", "A", "192.0.2.140"}, {"10.2.0.192.in-addr.arpa", "PTR", "example.com"}, \
	    {"11.2.0.192.in-addr.arpa", "PTR", "example.com"},                                             \
	    {"65.2.0.192.in-addr.arpa", "PTR", "amy.example.com"},                                         \
	    {"66.2.0.192.in-addr.arpa", "PTR", "bob.example.com"},                                         \
	    {"129.2.0.192.in-addr.arpa", "PTR", "mail-a.example.com"},                                     \
	    {"130.2.0.192.in-addr.arpa", "PTR", "mail-b.example.com"},                                     \
	    {"140.2.0.192.in-addr.arpa", "PTR", "mail-c.example.org"},                                     \
	{                                                                                                  \
		"4.0.0.10.in-addr.arpa", "PTR", "bob.example.com"                                          \
	}

/* Appendix A.1: the record, and who passes. */
static void appendix_a_simple(void **state)
{
	static const char *const clients[] = {"192.0.2.10",  "192.0.2.11",  "192.0.2.65",  "192.0.2.66",
					      "192.0.2.129", "192.0.2.130", "192.0.2.140", "10.0.0.4"};
	static const struct {
		const char *record, *pass; /* one letter for each client */
	} cases[] = {
	    {"v=spf1 +all", "yyyyyyyy"},
	    {"v=spf1 a -all", "yynnnnnn"},
	    {"v=spf1 a:example.org -all", "nnnnnnnn"},
	    {"v=spf1 mx -all", "nnnnyynn"},
	    {"v=spf1 mx:example.org -all", "nnnnnnyn"},
	    {"v=spf1 mx mx:example.org -all", "nnnnyyyn"},
	    {"v=spf1 mx/30 mx:example.org/30 -all", "nnnnyyyn"},
	    {"v=spf1 ptr -all", "yyyyyynn"},
	    {"v=spf1 ip4:192.0.2.128/28 -all", "nnnnyyyn"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct record zone[] = {
		    {"example.com", "TXT", cases[i].record}, APPENDIX_A, {NULL, NULL, NULL}};
		for (size_t k = 0; k < sizeof(clients) / sizeof(clients[0]); k++)
			expect_of(zone, clients[k], "user@example.com",
				  cases[i].pass[k] == 'y' ? "pass" : "fail");
	}
}

/* Appendix A.2 to A.4. */
static void appendix_a_others(void **state)
{
	static const struct record several[] = {
	    {"example.org", "TXT", "v=spf1 include:example.com include:example.net -all"},
	    {"la.example.org", "TXT", "v=spf1 redirect=example.org"},
	    {"example.com", "TXT", "v=spf1 a -all"},
	    {"example.net", "TXT", "v=spf1 ip4:192.0.2.200 -all"},
	    APPENDIX_A,
	    {NULL, NULL, NULL}};
	static const struct record lists[] = {
	    {"example.com", "TXT",
	     "v=spf1 mx -include:%{i}._spf.%{d2}.never exists:%{ir}.%{l1r+-}._spf.%{d} -all"},
	    {"7.2.0.192.strong._spf.example.com", "A", "127.0.0.2"},
	    {"7.2.0.192.strong._spf.example.com", "TXT", "v=spf1 -all"},
	    {"192.0.2.7._spf.example.com.never", "TXT", "v=spf1 -all"},
	    {"192.0.2.8._spf.example.com.never", "TXT", "v=spf1 -all"},
	    APPENDIX_A,
	    {NULL, NULL, NULL}};

	expect_of(several, "192.0.2.10", "user@example.org", "pass");
	expect_of(several, "192.0.2.200", "user@example.org", "pass");
	expect_of(several, "192.0.2.201", "user@example.org", "fail");
	expect_of(several, "192.0.2.200", "user@la.example.org", "pass");
	expect_of(several, "192.0.2.201", "user@la.example.org", "fail");
	expect_of(lists, "192.0.2.7", "strong-bad@example.com", "pass");
	expect_of(lists, "192.0.2.8", "strong-bad@example.com", "fail");
	expect_of(lists, "192.0.2.7", "weak@example.com", "fail");
}

/* --- macros: §7.4 ----------------------------------------------------------------------------- */

static void macros(void **state)
{
	static const struct {
		const char *client, *spec, *name;
	} cases[] = {
	    {"192.0.2.3", "%{s}", "strong-bad@email.example.com"},
	    {"192.0.2.3", "%{o}", "email.example.com"},
	    {"192.0.2.3", "%{d}", "email.example.com"},
	    {"192.0.2.3", "%{d4}", "email.example.com"},
	    {"192.0.2.3", "%{d3}", "email.example.com"},
	    {"192.0.2.3", "%{d2}", "example.com"},
	    {"192.0.2.3", "%{d1}", "com"},
	    {"192.0.2.3", "%{dr}", "com.example.email"},
	    {"192.0.2.3", "%{d2r}", "example.email"},
	    {"192.0.2.3", "%{l}", "strong-bad"},
	    {"192.0.2.3", "%{l-}", "strong.bad"},
	    {"192.0.2.3", "%{lr}", "strong-bad"},
	    {"192.0.2.3", "%{lr-}", "bad.strong"},
	    {"192.0.2.3", "%{l1r-}", "strong"},
	    {"192.0.2.3", "%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"},
	    {"192.0.2.3", "%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"},
	    {"192.0.2.3", "%{lr-}.lp.%{ir}.%{v}._spf.%{d2}",
	     "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"},
	    {"192.0.2.3", "%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"},
	    {"192.0.2.3", "%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"},
	    {"2001:db8::cb01", "%{ir}.%{v}._spf.%{d2}",
	     "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com"},
	    {"192.0.2.3", "%{p}.%{h}", "unknown.mx.example.org"},
	    {"192.0.2.3", "a%%b%-c.%{d1}", "a%b%20c.com"},
	    {"192.0.2.3", "%{S}", "strong-bad%40email.example.com"},
	    {"192.0.2.3", "%{D2}.Example.NET.", "example.com.example.net"},
	    {"192.0.2.3", "a%_b.com", NULL},
	    {"192.0.2.3", "a..com", NULL},
	    {"192.0.2.3", "%{d0999999999999999999999r}", "com.example.email"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct spf_address client = address_of(cases[i].client);
		const struct spf_macro_values values = {.client = &client,
							.local_part = SLICE("strong-bad"),
							.sender_domain = SLICE("email.example.com"),
							.domain = SLICE("email.example.com"),
							.helo = SLICE("mx.example.org")};
		char name[SPF_NAME_MAX + 1];
		bool good = spf_macro_name(slice_of(cases[i].spec), &values, name);
		assert_int_equal(good, cases[i].name != NULL);
		if (good)
			assert_string_equal(name, cases[i].name);
	}
}

static void a_long_name_loses_labels_on_the_left(void **state)
{
	char spec[600] = "", name[SPF_NAME_MAX + 1];
	struct spf_address client = address_of("192.0.2.3");
	const struct spf_macro_values values = {.client = &client, .domain = SLICE("example.com")};

	for (size_t i = 0; i < 60; i++)
		memcpy(spec + i * 4, "abc.", 5);
	memcpy(spec + 240, "%{d}", 5);
	assert_true(spf_macro_name(slice_of(spec), &values, name));
	assert_int_equal(strlen(name), 240 + 11);
	memcpy(spec + 240, "abc.%{d}", 9);
	assert_true(spf_macro_name(slice_of(spec), &values, name));
	assert_int_equal(strlen(name), 240 + 11);
	memset(spec, 'a', 63);
	memcpy(spec + 63, ".com", 5);
	assert_true(spf_macro_name(slice_of(spec), &values, name));
	memset(spec, 'a', 64);
	memcpy(spec + 64, ".com", 5);
	assert_false(spf_macro_name(slice_of(spec), &values, name));
}

/* --- the grammar ------------------------------------------------------------------------------ */

static void records(void **state)
{
	static const struct {
		const char *record, *result; /* for 192.0.2.1 at e.example */
	} cases[] = {
	    {"v=spf1", "neutral"},
	    {"v=spf1 ", "neutral"},
	    {"V=SPF1 ALL", "pass"},
	    {"v=spf1  -all  ", "fail"},
	    {"v=spf1 ~all", "softfail"},
	    {"v=spf1 ?all", "neutral"},
	    {"v=spf10 all", "none"},
	    {"v=spf2 all", "none"},
	    {" v=spf1 all", "none"},
	    {"v=spf1 all -all", "pass"},
	    {"v=spf1 all:x.example", "permerror"},
	    {"v=spf1 all/8", "permerror"},
	    {"v=spf1 all nonsense", "permerror"},
	    {"v=spf1 all moo:x", "permerror"},
	    {"v=spf1 +-all", "permerror"},
	    {"v=spf1 all redirect=a.example redirect=b.example", "permerror"},
	    {"v=spf1 all exp=a.example exp=b.example", "permerror"},
	    {"v=spf1 all exp=a.example", "pass"},
	    {"v=spf1 all redirect=", "permerror"},
	    {"v=spf1 all moo=", "pass"},
	    {"v=spf1 all moo.x-y_z=%{d}x", "pass"},
	    {"v=spf1 all moo=%{x}", "permerror"},
	    {"v=spf1 all moo=%", "permerror"},
	    {"v=spf1 all +moo=x", "permerror"},
	    {"v=spf1 all 1moo=x", "permerror"},
	    {"v=spf1 ip4:192.0.2.1", "pass"},
	    {"v=spf1 ip4:192.0.2.0/31", "pass"},
	    {"v=spf1 ip4:192.0.2.0/32", "neutral"},
	    {"v=spf1 ip4:0.0.0.0/0", "pass"},
	    {"v=spf1 ip4:192.0.2.0/00", "permerror"},
	    {"v=spf1 ip4:192.0.2.0/024", "permerror"},
	    {"v=spf1 ip4:192.0.2.0/33", "permerror"},
	    {"v=spf1 ip4:192.0.2.0/", "permerror"},
	    {"v=spf1 ip4:192.0.2.0//24", "permerror"},
	    {"v=spf1 ip4:192.0.2", "permerror"},
	    {"v=spf1 ip4:192.0.2.01", "permerror"},
	    {"v=spf1 ip4:", "permerror"},
	    {"v=spf1 ip4", "permerror"},
	    {"v=spf1 ip6:::ffff:192.0.2.1", "neutral"},
	    {"v=spf1 ip6:2001:db8::/32 all", "pass"},
	    {"v=spf1 ip6:::/0", "neutral"},
	    {"v=spf1 ip6:::/129", "permerror"},
	    {"v=spf1 ip6:2001:db8:::/32", "permerror"},
	    {"v=spf1 a", "pass"},
	    {"v=spf1 a/24 -all", "pass"},
	    {"v=spf1 a//64 -all", "pass"},
	    {"v=spf1 a:far.example/24//64 -all", "pass"},
	    {"v=spf1 a:far.example -all", "fail"},
	    {"v=spf1 a:far.example/33", "permerror"},
	    {"v=spf1 a:far.example//129", "permerror"},
	    {"v=spf1 a/24/64", "permerror"},
	    {"v=spf1 a:", "permerror"},
	    {"v=spf1 a:example", "permerror"},
	    {"v=spf1 a:a.123", "permerror"},
	    {"v=spf1 a:192.0.2.1", "permerror"},
	    {"v=spf1 a:far.exa-mple all", "pass"},
	    {"v=spf1 a:far.-example all", "permerror"},
	    {"v=spf1 a:%{d}", "pass"},
	    {"v=spf1 a:%{d}x", "permerror"},
	    {"v=spf1 a:%{d/24} all", "permerror"},
	    {"v=spf1 a:%{d/} all", "pass"},
	    {"v=spf1 a:%{c}.example", "permerror"},
	    {"v=spf1 a:%{d0}", "permerror"},
	    {"v=spf1 a:%{d1rx}", "permerror"},
	    {"v=spf1 a:%{d", "permerror"},
	    {"v=spf1 a:%(d)", "permerror"},
	    {"v=spf1 a:b\303\274.example", "permerror"},
	    {"v=spf1 ptr:", "permerror"},
	    {"v=spf1 ptr/24", "permerror"},
	    {"v=spf1 include", "permerror"},
	    {"v=spf1 include:far.example/24", "permerror"},
	    {"v=spf1 exists", "permerror"},
	    {"v=spf1 exists:%{i}.list.example", "pass"},
	    {"v=spf1 exists:%{i}.six.example -all", "fail"},
	    {"v=spf1 redirect=all.example", "pass"},
	    {"v=spf1 redirect=all.example ?all", "neutral"},
	    {"v=spf1 redirect=nothing.example", "permerror"},
	    {"v=spf1 -redirect=all.example", "permerror"},
	    {"v=spf1 include:all.example", "pass"},
	    {"v=spf1 include:never.example ~all", "softfail"},
	    {"v=spf1 include:nothing.example all", "permerror"},
	    {"v=spf1 include:broken.example all", "permerror"},
	    {"v=spf1 include:dead.example all", "temperror"},
	    {"v=spf1 a:dead.example all", "temperror"},
	    {"v=spf1 mx:dead.example all", "temperror"},
	    {"v=spf1 exists:dead.example all", "temperror"},
	    {"v=spf1 redirect=dead.example", "temperror"},
	    {"v=spf1 mx:mxdead.example all", "temperror"},
	    {"v=spf1 mx:mxnull.example -all", "fail"},
	    {"v=spf1 a:e..example -all", "fail"},
	    {"v=spf1 include:e..example all", "permerror"},
	    {"v=spf1 exists:%{p}.who.example", "pass"},
	    {"v=spf1 ptr:e.example -all", "pass"},
	    {"v=spf1 ptr:ample -all", "permerror"},
	    {"v=spf1 ptr:xe.example -all", "fail"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct record zone[] = {{"e.example", "TXT", cases[i].record},
					      {"e.example", "TXT", "something=else"},
					      {"e.example", "A", "192.0.2.1"},
					      {"far.example", "A", "192.0.2.77"},
					      {"all.example", "TXT", "v=spf1 all"},
					      {"never.example", "TXT", "v=spf1 -all"},
					      {"broken.example", "TXT", "v=spf1 broken"},
					      {"dead.example", "FAIL", ""},
					      {"mxdead.example", "MX", "dead.example"},
					      {"mxnull.example", "MX", ""},
					      {"192.0.2.1.list.example", "A", "127.0.0.2"},
					      {"192.0.2.1.six.example", "AAAA", "2001:db8::1"},
					      {"1.2.0.192.in-addr.arpa", "PTR", "liar.example"},
					      {"1.2.0.192.in-addr.arpa", "PTR", "e.example"},
					      {"e.example.who.example", "A", "127.0.0.2"},
					      {NULL, NULL, NULL}};
		expect_of(zone, "192.0.2.1", "user@e.example", cases[i].result);
	}
}

static void domains(void **state)
{
	static const struct record zone[] = {{"e.example", "TXT", "v=spf1 exists:%{l}.l.example -all"},
					     {"postmaster.l.example", "A", "127.0.0.2"},
					     {"two.example", "TXT", "v=spf1 all"},
					     {"two.example", "TXT", "v=spf1 all"},
					     {"dead.example", "FAIL", ""},
					     {NULL, NULL, NULL}};

	expect_of(zone, "192.0.2.1", "@e.example", "pass");
	expect_of(zone, "192.0.2.1", "x@E.Example.", "fail");
	expect_of(zone, "192.0.2.1", "x@two.example", "permerror");
	expect_of(zone, "192.0.2.1", "x@dead.example", "temperror");
	expect_of(zone, "192.0.2.1", "x@nothing.example", "none");
	expect_of(zone, "192.0.2.1", "x@localhost", "none");
	expect_of(zone, "192.0.2.1", "x@e..example", "none");
	expect_of(zone, "192.0.2.1", "x@[192.0.2.1]", "none");
}

static void families(void **state)
{
	static const struct record zone[] = {
	    {"e.example", "TXT", "v=spf1 a:host.example/31//127 ip6:2001:db8:1::/48 -all"},
	    {"host.example", "A", "192.0.2.8"},
	    {"host.example", "AAAA", "2001:db8::8"},
	    {NULL, NULL, NULL}};

	expect_of(zone, "192.0.2.9", "x@e.example", "pass");
	expect_of(zone, "192.0.2.10", "x@e.example", "fail");
	expect_of(zone, "2001:db8::9", "x@e.example", "pass");
	expect_of(zone, "2001:db8::a", "x@e.example", "fail");
	expect_of(zone, "2001:db8:1:2::3", "x@e.example", "pass");
}

/* --- limits: §4.6.4 --------------------------------------------------------------------------- */

struct built {
	struct record zone[ZONE_MAX];
	char text[ZONE_MAX][40], record[400];
};

static void build(struct built *b, const char *type, size_t count, bool exists)
{
	size_t used = 0;
	bool mx = strcmp(type, "MX") == 0;

	memset(b, 0, sizeof(*b));
	for (size_t i = 0; i < count; i++) {
		(void)snprintf(b->text[i], sizeof(b->text[i]), "h%zu.example", i);
		if (exists)
			b->zone[1 + i] = (struct record){b->text[i], "A", "192.0.2.99"};
		if (mx)
			b->zone[50 + i] = (struct record){"e.example", "MX", b->text[i]};
		else
			used +=
			    (size_t)snprintf(b->record + used, sizeof(b->record) - used, " a:%s", b->text[i]);
	}
	(void)snprintf(b->record + used, sizeof(b->record) - used, mx ? " mx all" : " all");
	memmove(b->record + 6, b->record, sizeof(b->record) - 6);
	memcpy(b->record, "v=spf1", 6);
	b->zone[0] = (struct record){"e.example", "TXT", b->record};
	size_t end = 1; /* no holes */
	for (size_t i = 1; i < ZONE_MAX; i++)
		if (b->zone[i].name != NULL)
			b->zone[end++] = b->zone[i];
	b->zone[end].name = NULL;
}

static void limits(void **state)
{
	static const struct {
		const char *type;
		size_t count;
		bool exists;
		const char *result;
	} cases[] = {
	    {"A", SPF_TERMS_MAX - 1, true, "pass"},	 {"A", SPF_TERMS_MAX, true, "pass"},
	    {"A", SPF_TERMS_MAX + 1, true, "permerror"}, {"A", SPF_VOID_MAX - 1, false, "pass"},
	    {"A", SPF_VOID_MAX, false, "pass"},		 {"A", SPF_VOID_MAX + 1, false, "permerror"},
	    {"MX", SPF_SET_MAX - 1, true, "pass"},	 {"MX", SPF_SET_MAX, true, "pass"},
	    {"MX", SPF_SET_MAX + 1, true, "permerror"},
	};
	static struct built b;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		build(&b, cases[i].type, cases[i].count, cases[i].exists);
		expect_of(b.zone, "192.0.2.1", "x@e.example", cases[i].result);
	}
}

static void circles_end(void **state)
{
	static const struct record zone[] = {{"e.example", "TXT", "v=spf1 include:f.example"},
					     {"f.example", "TXT", "v=spf1 include:e.example"},
					     {"r.example", "TXT", "v=spf1 redirect=r.example"},
					     {NULL, NULL, NULL}};

	expect_of(zone, "192.0.2.1", "x@e.example", "permerror");
	expect_of(zone, "192.0.2.1", "x@r.example", "permerror");
}

/* Ten MX sets of ten hosts: what a sender can make us ask. */
static void most_questions(void **state)
{
	static struct record zone[ZONE_MAX];
	static struct spf_question asked[SPF_QUESTIONS_MAX];
	static char names[11][40], hosts[100][40];
	char record[400] = "v=spf1";
	size_t used = 6, count;

	for (size_t i = 0; i < 10; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "s%zu.example", i);
		used += (size_t)snprintf(record + used, sizeof(record) - used, " mx:%s", names[i]);
		for (size_t k = 0; k < 10; k++) {
			(void)snprintf(hosts[i * 10 + k], 40, "h%zu.s%zu.example", k, i);
			zone[1 + i * 10 + k] = (struct record){names[i], "MX", hosts[i * 10 + k]};
		}
	}
	zone[0] = (struct record){"e.example", "TXT", record};
	assert_int_equal(play(zone, "192.0.2.1", "x@e.example", asked, &count), SPF_RESULT_NEUTRAL);
	assert_int_equal(count, 111);
}

static void memory(void **state)
{
	static const struct record zone[] = {{"e.example", "TXT", "v=spf1 mx a ip4:192.0.2.1 -all"},
					     {"e.example", "MX", "h.example"},
					     {"h.example", "A", "192.0.2.2"},
					     {NULL, NULL, NULL}};
	bool happened = true;

	for (unsigned n = 1; happened; n++) {
		struct spf_check check;
		struct spf_question q;
		enum spf_result result = SPF_RESULT_ASK;
		assert_true(n < 100);
		failing_alloc_at(n);
		int error = start(&check, "192.0.2.1", "h", "x@e.example");
		bool started = error == 0;
		while (error == 0 && (result = spf_check_run(&check, &q)) == SPF_RESULT_ASK)
			error = answer(&check, zone, &q);
		happened = failing_alloc_happened();
		failing_alloc_at(0);
		assert_int_equal(error, happened ? ERR_MEMORY : 0);
		assert_int_equal(result, happened ? SPF_RESULT_ASK : SPF_RESULT_PASS);
		if (started)
			spf_check_deinit(&check);
	}
}

static void answers_beyond_the_memory_of_a_check(void **state)
{
	static char big[SPF_MEMORY_BYTES] = "v=spf1 ";
	const struct slice records[] = {slice_make(big, sizeof(big))};
	struct spf_check check;
	struct spf_question q;

	memset(big + 7, 'a', sizeof(big) - 7);
	assert_int_equal(start(&check, "192.0.2.1", "h", "x@e.example"), 0);
	assert_int_equal(spf_check_run(&check, &q), SPF_RESULT_ASK);
	assert_int_not_equal(spf_check_answer(&check, &q, SPF_STATUS_FOUND, records, 1), 0);
	spf_check_deinit(&check);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(appendix_a_simple),
	    cmocka_unit_test(appendix_a_others),
	    cmocka_unit_test(macros),
	    cmocka_unit_test(a_long_name_loses_labels_on_the_left),
	    cmocka_unit_test(records),
	    cmocka_unit_test(domains),
	    cmocka_unit_test(families),
	    cmocka_unit_test(limits),
	    cmocka_unit_test(circles_end),
	    cmocka_unit_test(most_questions),
	    cmocka_unit_test(memory),
	    cmocka_unit_test(answers_beyond_the_memory_of_a_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
