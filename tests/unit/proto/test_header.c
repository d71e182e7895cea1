#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "failing_alloc.h"
#include "proto/header.h"

enum { EPOCH_MS = 0 };

static void dates(void **state)
{
	static const struct {
		int64_t wall_ms;
		const char *text;
	} cases[] = {
	    {0, "Thu, 1 Jan 1970 00:00:00 +0000"},
	    {INT64_C(1795457045999), "Mon, 23 Nov 2026 18:04:05 +0000"},
	    {INT64_C(951782399000), "Mon, 28 Feb 2000 23:59:59 +0000"},
	    {INT64_C(951782400000), "Tue, 29 Feb 2000 00:00:00 +0000"},
	    {INT64_C(951868800000), "Wed, 1 Mar 2000 00:00:00 +0000"},
	    {INT64_C(1709164800000), "Thu, 29 Feb 2024 00:00:00 +0000"},
	    {INT64_C(4107456000000), "Sun, 28 Feb 2100 00:00:00 +0000"},
	    {INT64_C(4107542400000), "Mon, 1 Mar 2100 00:00:00 +0000"},
	    {INT64_C(1767225599999), "Wed, 31 Dec 2025 23:59:59 +0000"},
	    {INT64_C(1767225600000), "Thu, 1 Jan 2026 00:00:00 +0000"},
	    {-1, "Wed, 31 Dec 1969 23:59:59 +0000"},
	    {INT64_C(-2208988800000), "Mon, 1 Jan 1900 00:00:00 +0000"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[HEADER_DATE_SIZE];
		header_date(cases[i].wall_ms, text);
		assert_string_equal(text, cases[i].text);
	}
}

static void dates_at_the_ends_of_the_clock(void **state)
{
	char text[HEADER_DATE_SIZE];

	header_date(INT64_MAX, text);
	assert_string_equal(text, "Sun, 17 Aug 292278994 07:12:55 +0000");
	header_date(INT64_MIN, text);
	assert_true(strlen(text) > 20);
}

/* Each day of 800 years follows the one before. */
static void dates_follow_each_other(void **state)
{
	static const char days[] = "MonTueWedThuFriSatSun", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	int last_day = 31, last_month = 11, last_year = 1599, last_weekday = 4;

	for (int64_t day = -135140; day < 157056; day++) { /* from 1600-01-01 */
		char text[HEADER_DATE_SIZE], weekday[4], month[4];
		int number, year;
		header_date(day * 86400000, text);
		assert_int_equal(sscanf(text, "%3s, %d %3s %d 00:00:00", weekday, &number, month, &year), 4);
		int m = (int)(strstr(months, month) - months) / 3,
		    w = (int)(strstr(days, weekday) - days) / 3;
		assert_int_equal(w, (last_weekday + 1) % 7);
		if (number == 1) {
			assert_int_equal(m, (last_month + 1) % 12);
			assert_int_equal(year, last_year + (m == 0 ? 1 : 0));
			assert_in_range(last_day, 28, 31);
		} else {
			assert_int_equal(number, last_day + 1);
			assert_int_equal(m, last_month);
			assert_int_equal(year, last_year);
		}
		last_day = number;
		last_month = m;
		last_year = year;
		last_weekday = w;
	}
}

/* --- Received --- */

static struct received example(void)
{
	return (struct received){
	    .helo = SLICE("client.example"),
	    .client_name = SLICE("ptr.example"),
	    .client_address = SLICE("192.0.2.1"),
	    .hostname = "mx.example",
	    .protocol = "ESMTP",
	    .id = "0123456789ABC",
	    .wall_ms = EPOCH_MS,
	};
}

static void assert_received(const struct received *r, const char *expected)
{
	struct buffer b;

	buffer_init(&b, 0);
	assert_int_equal(header_write_received(r, &b), 0);
	assert_int_equal(buffer_append(&b, "", 1), 0);
	assert_string_equal(buffer_slice(&b).data, expected);
	buffer_deinit(&b);
}

static void received(void **state)
{
	struct received r = example();

	assert_received(&r, "Received: from client.example (ptr.example [192.0.2.1]) by mx.example with\r\n"
			    "\tESMTP id 0123456789ABC; Thu, 1 Jan 1970 00:00:00 +0000\r\n");
	r.client_name = SLICE("");
	r.client_address = SLICE("2001:db8::1");
	r.helo = SLICE("");
	r.tls_version = "TLSv1.3";
	r.tls_cipher = "TLS_AES_256_GCM_SHA384";
	r.protocol = "ESMTPS";
	r.for_path = SLICE("a@b.example");
	assert_received(&r,
			"Received: from unknown ([IPv6:2001:db8::1]) by mx.example with ESMTPS (TLSv1.3\r\n"
			"\tTLS_AES_256_GCM_SHA384) id 0123456789ABC for <a@b.example>;\r\n"
			"\tThu, 1 Jan 1970 00:00:00 +0000\r\n");
}

static void received_from_strangers(void **state)
{
	struct received r = example();

	r.helo = SLICE("a\r\nb)(c;d\xC3\xA9 \"\\<>,\x7F");
	r.client_name = SLICE("x\ny");
	r.client_address = SLICE("[z]\r");
	r.for_path = SLICE("\xC3\xA9\r\n\"a b\"\xC3@b");
	assert_received(&r, "Received: from a??b??c?d????????? (x?y [[z]?]) by mx.example with ESMTP id\r\n"
			    "\t0123456789ABC for <\xC3\xA9??\"a b\"?@b>; Thu, 1 Jan 1970 00:00:00 +0000\r\n");
}

/* Nothing makes a line longer than RFC 5322 §2.1.1 allows at all, and what can be folded stays below 78. */
static void received_is_folded(void **state)
{
	char longest[1000];
	struct received r = example();
	struct buffer b;

	memset(longest, 'x', sizeof(longest));
	for (size_t size = 1; size <= sizeof(longest); size++) {
		r.helo = slice_make(longest, size);
		r.client_name = slice_make(longest, size);
		r.for_path = slice_make(longest, size < 320 ? size : 320);
		buffer_init(&b, 0);
		assert_int_equal(header_write_received(&r, &b), 0);
		struct slice rest = buffer_slice(&b), line;
		while (slice_split(&rest, '\n', &line) && line.size > 0) {
			assert_true(line.data[line.size - 1] == '\r');
			assert_true(line.size - 1 <= (size < 30 ? 78 : 400));
		}
		buffer_deinit(&b);
	}
}

static void a_failed_write_appends_nothing(void **state)
{
	struct received r = example();
	struct buffer b;

	for (size_t limit = 1; limit < 180; limit++) {
		buffer_init(&b, limit);
		assert_int_equal(buffer_append(&b, "x", 1), 0);
		int error = header_write_received(&r, &b);
		assert_true(error == ERR_LIMIT ? buffer_size(&b) == 1 : error == 0 && buffer_size(&b) > 100);
		buffer_deinit(&b);
	}
	buffer_init(&b, 0);
	failing_alloc_at(1);
	assert_int_equal(header_write_received(&r, &b), ERR_MEMORY);
	failing_alloc_at(0);
	assert_int_equal(buffer_size(&b), 0);
	buffer_deinit(&b);
}

/* --- scan --- */

struct scan_case {
	const char *text;
	uint32_t received, own;
	const char *message_id;
	bool done;
};

static const struct scan_case scan_cases[] = {
    {"", 0, 0, "", false},
    {"\r\n", 0, 0, "", true},
    {"Subject: x\r\n\r\nReceived: body\r\n", 0, 0, "", true},
    {"Received: from a by b\r\n\r\n", 1, 0, "", true},
    {"RECEIVED : from a by mx.example with X; date\r\n\r\n", 1, 1, "", true},
    {"Received: from a by mx.example.org with X\r\n\r\n", 1, 0, "", true},
    {"Received: from mx.example by b\r\n\r\n", 1, 0, "", true},
    {"Received: from a (x [y])\r\n\tby\r\n MX.Example; date\r\nreceived: from b\r\n by mx.example\r\n\r\n", 2,
     2, "", true},
    {"Receive: x\r\nReceivedX: x\r\nX-Received: by mx.example\r\n\r\n", 0, 0, "", true},
    {" Received: x\r\n\r\n", 0, 0, "", true},
    {"Message-ID: <a@b>\r\n\r\n", 0, 0, "a@b", true},
    {"message-id:\r\n <a@b> (comment)\r\nMessage-ID: <second@b>\r\n\r\n", 0, 0, "a@b", true},
    {"Message-Id:  no-angles x\r\n\r\n", 0, 0, "no-angles", true},
    {"Message-Id: <open\r\n\r\n", 0, 0, "open", true},
    {"Message-Id: <a\x01\xC3\xA9\xC3>\r\n\r\n", 0, 0, "a?\xC3\xA9?", true},
    {"Message-Id:\r\nReceived: x\r\n\r\n", 1, 0, "", true},
    {"Message-Id: <a@b>", 0, 0, "", false},
    {"Received: x\r\nSubject: unfinished", 1, 0, "", false},
    {"no colon at all\r\n\r\n", 0, 0, "", true},
    {"Received: bare ends\n\n", 1, 0, "", true},
    {"Received: x\r\n \r\n by mx.example\r\n\r\n", 1, 1, "", true},
    {"Received: x\r\n\r\r\n\r\n", 1, 0, "", true},
};

static void check_scan(const struct scan_case *c, size_t cut, bool bytewise)
{
	struct header_scan scan;
	struct slice text = slice_of(c->text);

	header_scan_init(&scan, "mx.example");
	for (size_t i = 0; bytewise && i < text.size; i++)
		header_scan_feed(&scan, slice_make(text.data + i, 1));
	if (!bytewise) {
		header_scan_feed(&scan, slice_upto(text, cut));
		header_scan_feed(&scan, slice_from(text, cut));
	}
	assert_int_equal(scan.received_count, c->received);
	assert_int_equal(scan.own_trace_count, c->own);
	assert_string_equal(scan.message_id, c->message_id);
	assert_int_equal(scan.done, c->done);
}

static void scans(void **state)
{
	for (size_t i = 0; i < sizeof(scan_cases) / sizeof(scan_cases[0]); i++) {
		for (size_t cut = 0; cut <= strlen(scan_cases[i].text); cut++)
			check_scan(&scan_cases[i], cut, false);
		check_scan(&scan_cases[i], 0, true);
	}
}

/* What we wrote is recognised, however long the client's names are. */
static void own_trace_is_recognised(void **state)
{
	char longest[300];
	struct received r = example();

	memset(longest, 'x', sizeof(longest));
	for (size_t size = 0; size <= sizeof(longest); size += 50) {
		struct header_scan scan;
		struct buffer b;
		r.helo = slice_make(longest, size);
		r.client_name = slice_make(longest, size);
		buffer_init(&b, 0);
		header_scan_init(&scan, "mx.example");
		assert_int_equal(header_write_received(&r, &b), 0);
		assert_int_equal(buffer_add(&b, SLICE("\r\n")), 0);
		header_scan_feed(&scan, buffer_slice(&b));
		assert_int_equal(scan.own_trace_count, 1);
		buffer_deinit(&b);
	}
}

static void add_own_trace(struct buffer *to, const char *recipient)
{
	struct received r = example();

	r.for_path = slice_of(recipient);
	assert_int_equal(header_write_received(&r, to), 0);
}

/* Forwarding on may bring a message past us again and again; for one and the same mailbox it is a circle. */
static void passes_are_counted_by_recipient(void **state)
{
	struct header_scan scan;
	struct buffer b;

	buffer_init(&b, 0);
	add_own_trace(&b, "list@one.example");
	add_own_trace(&b, "Ann@Two.example");
	add_own_trace(&b, "ann@two.example");
	assert_int_equal(
	    buffer_add(&b, SLICE("Received: by elsewhere.example for <ann@two.example>; x\r\n\r\n")), 0);
	header_scan_init(&scan, "mx.example");
	header_scan_feed(&scan, buffer_slice(&b));
	assert_int_equal(scan.own_trace_count, 3);
	assert_int_equal(header_scan_passes(&scan, SLICE("list@one.example")), 1);
	assert_int_equal(header_scan_passes(&scan, SLICE("ann@two.example")), 2);
	assert_int_equal(header_scan_passes(&scan, SLICE("bob@two.example")), 0);

	buffer_reset(&b);
	for (int i = 0; i < HEADER_PASSES_MAX + 3; i++)
		add_own_trace(&b, i < 2 ? "" : "ann@two.example"); /* the first two had several recipients */
	assert_int_equal(buffer_add(&b, SLICE("\r\n")), 0);
	header_scan_init(&scan, "mx.example");
	header_scan_feed(&scan, buffer_slice(&b));
	assert_int_equal(header_scan_passes(&scan, SLICE("ann@two.example")), HEADER_PASSES_MAX + 3);
	assert_int_equal(header_scan_passes(&scan, SLICE("bob@two.example")), 3);
	buffer_deinit(&b);
}

static size_t message_id_kept(size_t size)
{
	char text[HEADER_MESSAGE_ID_MAX + 32];
	struct header_scan scan;

	memset(text, 'x', sizeof(text));
	header_scan_init(&scan, "mx.example");
	header_scan_feed(&scan, SLICE("Message-ID: <"));
	header_scan_feed(&scan, slice_make(text, size));
	header_scan_feed(&scan, SLICE(">\r\n\r\n"));
	return strlen(scan.message_id);
}

static void scan_limits(void **state)
{
	assert_int_equal(message_id_kept(HEADER_MESSAGE_ID_MAX - 1), HEADER_MESSAGE_ID_MAX - 1);
	assert_int_equal(message_id_kept(HEADER_MESSAGE_ID_MAX), HEADER_MESSAGE_ID_MAX);
	assert_int_equal(message_id_kept(HEADER_MESSAGE_ID_MAX + 1), HEADER_MESSAGE_ID_MAX);
}

/* A field may be longer than what is looked at: it counts, and the next one is seen. */
static void long_fields(void **state)
{
	for (size_t size = HEADER_SCAN_FIELD_MAX - 20; size < HEADER_SCAN_FIELD_MAX + 20; size++) {
		struct header_scan scan;
		header_scan_init(&scan, "mx.example");
		header_scan_feed(&scan, SLICE("Received:"));
		for (size_t i = 0; i < size; i++)
			header_scan_feed(&scan, SLICE("x"));
		header_scan_feed(&scan, SLICE("\r\nReceived: by mx.example\r\n\r\n"));
		assert_int_equal(scan.received_count, 2);
		assert_int_equal(scan.own_trace_count, 1);
		assert_true(scan.done);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(dates),
	    cmocka_unit_test(dates_at_the_ends_of_the_clock),
	    cmocka_unit_test(dates_follow_each_other),
	    cmocka_unit_test(received),
	    cmocka_unit_test(received_from_strangers),
	    cmocka_unit_test(received_is_folded),
	    cmocka_unit_test(a_failed_write_appends_nothing),
	    cmocka_unit_test(scans),
	    cmocka_unit_test(own_trace_is_recognised),
	    cmocka_unit_test(passes_are_counted_by_recipient),
	    cmocka_unit_test(scan_limits),
	    cmocka_unit_test(long_fields),
	};

	return cmocka_run_group_tests_name("header", tests, NULL, NULL);
}
