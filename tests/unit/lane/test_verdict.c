#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "lane/verdict.h"
#include "lane/words.h"

/* --- what real servers say --- */

enum { ALONE = 0, OTHERS = 1 };

struct said {
	enum verdict_stage stage;
	bool others;
	uint32_t accepted_before;
	const char *reply; /* "550 5.1.1 text" */
	enum verdict verdict;
	enum lane_kind kind;
};

static const struct said sayings[] = {
    /* Before a session. */
    {VERDICT_AT_BANNER, ALONE, 0, "220 mail.example.com ESMTP Postfix", VERDICT_OK, LANE_KIND_NONE},
    {VERDICT_AT_EHLO, ALONE, 0, "250 mail.example.com", VERDICT_OK, LANE_KIND_NONE},
    {VERDICT_AT_BANNER, ALONE, 0, "421 4.3.2 Service not available", VERDICT_HOST, LANE_KIND_421},
    {VERDICT_AT_BANNER, OTHERS, 0,
     "421 4.3.2 The maximum number of concurrent connections has exceeded a limit, closing transmission "
     "channel",
     VERDICT_CONN_LIMIT, LANE_KIND_421},
    {VERDICT_AT_BANNER, OTHERS, 0, "421 4.7.0 mail.example.com Error: too many connections from 192.0.2.1",
     VERDICT_CONN_LIMIT, LANE_KIND_421},
    {VERDICT_AT_BANNER, OTHERS, 0, "421 Too many concurrent SMTP connections; please try again later.",
     VERDICT_CONN_LIMIT, LANE_KIND_421},
    {VERDICT_AT_BANNER, OTHERS, 0, "554 5.7.1 Too many concurrent connections", VERDICT_CONN_LIMIT,
     LANE_KIND_421},
    {VERDICT_AT_BANNER, ALONE, 0, "450 4.3.2 try again later", VERDICT_HOST, LANE_KIND_4XX},
    {VERDICT_AT_EHLO, OTHERS, 0, "450 too busy", VERDICT_CONN_LIMIT, LANE_KIND_4XX},
    {VERDICT_AT_BANNER, ALONE, 0,
     "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", VERDICT_HOST,
     LANE_KIND_BANNER},
    {VERDICT_AT_BANNER, OTHERS, 0, "554 No SMTP service here", VERDICT_HOST, LANE_KIND_BANNER},
    {VERDICT_AT_EHLO, ALONE, 0, "502 5.5.2 Command not implemented", VERDICT_HOST, LANE_KIND_BANNER},
    {VERDICT_AT_TLS, ALONE, 0, "454 4.7.0 TLS not available due to local problem", VERDICT_HOST,
     LANE_KIND_TLS},
    {VERDICT_AT_TLS, ALONE, 0, "421 4.3.0 closing", VERDICT_HOST, LANE_KIND_421},
    {VERDICT_AT_TLS, ALONE, 0, "220 2.0.0 Ready to start TLS", VERDICT_OK, LANE_KIND_NONE},

    /* Accepted. */
    {VERDICT_AT_MAIL, ALONE, 0, "250 2.1.0 Ok", VERDICT_OK, LANE_KIND_NONE},
    {VERDICT_AT_RCPT, ALONE, 0, "251 2.1.5 User not local; will forward", VERDICT_OK, LANE_KIND_NONE},
    {VERDICT_AT_DATA, ALONE, 0, "354 End data with <CR><LF>.<CR><LF>", VERDICT_OK, LANE_KIND_NONE},
    {VERDICT_AT_DOT, ALONE, 0, "250 2.0.0 Ok: queued as 4Q7xyz", VERDICT_OK, LANE_KIND_NONE},
    {VERDICT_AT_DATA, ALONE, 0, "250 what", VERDICT_HOST, LANE_KIND_BANNER},
    {VERDICT_AT_MAIL, ALONE, 0, "354 what", VERDICT_HOST, LANE_KIND_BANNER},

    /* 421 in a transaction. */
    {VERDICT_AT_MAIL, OTHERS, 0, "421 Server busy", VERDICT_BUSY, LANE_KIND_421},
    {VERDICT_AT_RCPT, OTHERS, 0, "421 4.4.2 Connection dropped due to ConnectionReset", VERDICT_BUSY,
     LANE_KIND_421},
    {VERDICT_AT_DOT, ALONE, 0, "421 4.3.0 Error: queue file write error", VERDICT_HOST, LANE_KIND_421},
    {VERDICT_AT_MAIL, OTHERS, 0,
     "421 4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your IP address",
     VERDICT_RATE, LANE_KIND_RATE},
    {VERDICT_AT_MAIL, OTHERS, 0,
     "421 4.4.2 Message submission rate for this client has exceeded the configured limit", VERDICT_RATE,
     LANE_KIND_RATE},
    {VERDICT_AT_MAIL, ALONE, 0, "421 Too many messages in this connection", VERDICT_LATER, LANE_KIND_NONE},
    {VERDICT_AT_MAIL, ALONE, 0, "421 4.4.2 mx.example.com Error: timeout exceeded", VERDICT_LATER,
     LANE_KIND_NONE},

    /* MAIL. */
    {VERDICT_AT_MAIL, OTHERS, 0, "452 4.3.1 Insufficient system resources", VERDICT_PRESSURE, LANE_KIND_452},
    {VERDICT_AT_MAIL, ALONE, 0, "452 4.3.1 Insufficient system storage", VERDICT_PRESSURE, LANE_KIND_452},
    {VERDICT_AT_MAIL, ALONE, 0, "452 Insufficient storage", VERDICT_PRESSURE, LANE_KIND_452},
    {VERDICT_AT_MAIL, ALONE, 0, "431 The recipient's mail server is out of memory", VERDICT_PRESSURE,
     LANE_KIND_452},
    {VERDICT_AT_MAIL, ALONE, 0, "451 4.3.0 Temporary lookup failure", VERDICT_PRESSURE, LANE_KIND_452},
    {VERDICT_AT_MAIL, ALONE, 0, "451 Requested action aborted: local error in processing", VERDICT_PRESSURE,
     LANE_KIND_4XX},
    {VERDICT_AT_MAIL, ALONE, 0, "451 4.7.1 Service unavailable - try again later", VERDICT_PRESSURE,
     LANE_KIND_4XX},
    {VERDICT_AT_MAIL, ALONE, 0, "451 4.7.500 Server busy. Please try again later from [192.0.2.1]",
     VERDICT_RATE, LANE_KIND_RATE},
    {VERDICT_AT_MAIL, ALONE, 0, "450 4.7.1 Error: too much mail from 192.0.2.1", VERDICT_RATE,
     LANE_KIND_RATE},
    {VERDICT_AT_MAIL, ALONE, 0, "450 too many messages, slow down", VERDICT_RATE, LANE_KIND_RATE},
    {VERDICT_AT_MAIL, ALONE, 0, "451 4.4.5 Mail system congested", VERDICT_RATE, LANE_KIND_RATE},
    {VERDICT_AT_MAIL, ALONE, 0, "450 4.1.8 <a@b.invalid>: Sender address rejected: Domain not found",
     VERDICT_MESSAGE, LANE_KIND_NONE},
    {VERDICT_AT_MAIL, ALONE, 0, "550 5.1.8 Sender address rejected: does not exist", VERDICT_MESSAGE,
     LANE_KIND_NONE},
    {VERDICT_AT_MAIL, ALONE, 0, "552 5.3.4 Message size exceeds fixed limit", VERDICT_MESSAGE,
     LANE_KIND_NONE},
    {VERDICT_AT_MAIL, ALONE, 0, "530 5.7.1 Client was not authenticated", VERDICT_US, LANE_KIND_NONE},
    {VERDICT_AT_MAIL, ALONE, 0, "530 5.7.0 Must issue a STARTTLS command first", VERDICT_US, LANE_KIND_NONE},
    {VERDICT_AT_MAIL, ALONE, 0, "553 5.7.1 Sender address rejected: not logged in", VERDICT_US,
     LANE_KIND_NONE},
    {VERDICT_AT_MAIL, ALONE, 0, "550 SPF check failed for 192.0.2.1", VERDICT_US, LANE_KIND_NONE},
    {VERDICT_AT_MAIL, ALONE, 0, "451 4.7.1 Greylisting in action, please come back later", VERDICT_MESSAGE,
     LANE_KIND_NONE},

    /* RCPT. */
    {VERDICT_AT_RCPT, ALONE, 0, "452 4.2.2 The email account that you tried to reach is over quota",
     VERDICT_RECIPIENT, LANE_KIND_NONE},
    {VERDICT_AT_RCPT, ALONE, 3, "452 4.2.2 Mailbox full", VERDICT_RECIPIENT, LANE_KIND_NONE},
    {VERDICT_AT_RCPT, ALONE, 0, "552 5.2.2 <a@example.com>: user is over quota", VERDICT_RECIPIENT,
     LANE_KIND_NONE},
    {VERDICT_AT_RCPT, ALONE, 1, "552 Mailbox full", VERDICT_RECIPIENT, LANE_KIND_NONE},
    {VERDICT_AT_RCPT, ALONE, 0,
     "450 4.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional "
     "messages",
     VERDICT_RECIPIENT, LANE_KIND_NONE},
    {VERDICT_AT_RCPT, ALONE, 0, "450 4.2.0 <a@example.com>: Recipient address rejected: Greylisted",
     VERDICT_RECIPIENT, LANE_KIND_NONE},
    {VERDICT_AT_RCPT, ALONE, 0, "451 4.7.1 Greylisting in action, please try later", VERDICT_RECIPIENT,
     LANE_KIND_NONE},
    {VERDICT_AT_RCPT, ALONE, 100, "452 4.5.3 Error: too many recipients", VERDICT_LATER, LANE_KIND_NONE},
    {VERDICT_AT_RCPT, ALONE, 100, "452 too many recipients", VERDICT_LATER, LANE_KIND_NONE},
    {VERDICT_AT_RCPT, ALONE, 1, "552 Too many recipients", VERDICT_LATER, LANE_KIND_NONE},
    {VERDICT_AT_RCPT, ALONE, 1, "452 just one at a time", VERDICT_LATER, LANE_KIND_NONE},
    {VERDICT_AT_RCPT, ALONE, 0, "452 4.5.3 Error: too many recipients", VERDICT_RECIPIENT, LANE_KIND_NONE},
    {VERDICT_AT_RCPT, ALONE, 1, "452 4.3.1 Insufficient system resources", VERDICT_PRESSURE, LANE_KIND_452},
    {VERDICT_AT_RCPT, ALONE, 0, "452 no space", VERDICT_PRESSURE, LANE_KIND_452},
    {VERDICT_AT_RCPT, ALONE, 0, "451 4.3.0 <a@example.com>: Temporary lookup failure", VERDICT_RECIPIENT,
     LANE_KIND_4XX},
    {VERDICT_AT_RCPT, ALONE, 0, "451 4.7.500 Server busy", VERDICT_RATE, LANE_KIND_RATE},
    {VERDICT_AT_RCPT, ALONE, 0,
     "450 4.7.25 Client host rejected: cannot find your reverse hostname, [192.0.2.1]", VERDICT_US,
     LANE_KIND_NONE},
    {VERDICT_AT_RCPT, ALONE, 0, "450 4.1.1 <a@example.com>: Recipient address rejected: unverified address",
     VERDICT_RECIPIENT, LANE_KIND_NONE},
    {VERDICT_AT_RCPT, ALONE, 0, "450 try again", VERDICT_RECIPIENT, LANE_KIND_NONE},
    {VERDICT_AT_RCPT, ALONE, 0,
     "550 5.1.1 <a@example.com>: Recipient address rejected: User unknown in virtual mailbox table",
     VERDICT_REFUSED, LANE_KIND_NONE},
    {VERDICT_AT_RCPT, ALONE, 0, "550 5.4.1 Recipient address rejected: Access denied. AS(201806281)",
     VERDICT_REFUSED, LANE_KIND_NONE},
    {VERDICT_AT_RCPT, ALONE, 0, "550-5.1.1 The email account that you tried to reach does not exist",
     VERDICT_REFUSED, LANE_KIND_NONE},
    {VERDICT_AT_RCPT, ALONE, 0, "550 Unrouteable address", VERDICT_REFUSED, LANE_KIND_NONE},
    {VERDICT_AT_RCPT, ALONE, 0, "501 5.1.3 Bad recipient address syntax", VERDICT_REFUSED, LANE_KIND_NONE},
    {VERDICT_AT_RCPT, ALONE, 0, "550 5.1.2 Bad destination system address", VERDICT_DOMAIN, LANE_KIND_NONE},
    {VERDICT_AT_RCPT, ALONE, 0, "554 5.7.1 <a@example.com>: Relay access denied", VERDICT_DOMAIN,
     LANE_KIND_NONE},
    {VERDICT_AT_RCPT, ALONE, 0, "550 5.7.1 Unable to relay for a@example.com", VERDICT_DOMAIN,
     LANE_KIND_NONE},
    {VERDICT_AT_RCPT, ALONE, 0, "550 relay not permitted", VERDICT_DOMAIN, LANE_KIND_NONE},
    {VERDICT_AT_RCPT, ALONE, 0, "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain",
     VERDICT_DOMAIN, LANE_KIND_NONE},
    {VERDICT_AT_RCPT, ALONE, 0, "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)",
     VERDICT_DOMAIN, LANE_KIND_NONE},
    {VERDICT_AT_RCPT, ALONE, 0, "530 5.7.0 Authentication required", VERDICT_US, LANE_KIND_NONE},
    {VERDICT_AT_RCPT, ALONE, 0,
     "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using bl.spamcop.net", VERDICT_US,
     LANE_KIND_NONE},
    {VERDICT_AT_RCPT, ALONE, 0,
     "550 5.7.23 The message was rejected because of Sender Policy Framework violation (SPF)", VERDICT_US,
     LANE_KIND_NONE},

    /* DATA and the dot. */
    {VERDICT_AT_DATA, ALONE, 0, "452 4.3.1 Out of memory", VERDICT_PRESSURE, LANE_KIND_452},
    {VERDICT_AT_DATA, ALONE, 0, "451 4.3.0 Error: queue file write error", VERDICT_PRESSURE, LANE_KIND_452},
    {VERDICT_AT_DATA, ALONE, 0, "554 5.5.1 Error: no valid recipients", VERDICT_MESSAGE, LANE_KIND_NONE},
    {VERDICT_AT_DOT, ALONE, 0, "451 4.3.2 Please try again later", VERDICT_PRESSURE, LANE_KIND_452},
    {VERDICT_AT_DOT, ALONE, 0, "452 4.3.1 Insufficient system storage", VERDICT_PRESSURE, LANE_KIND_452},
    {VERDICT_AT_DOT, ALONE, 0, "452 4.2.2 Mailbox full", VERDICT_RECIPIENT, LANE_KIND_NONE},
    {VERDICT_AT_DOT, ALONE, 0, "451 4.7.1 Try again later", VERDICT_MESSAGE, LANE_KIND_NONE},
    {VERDICT_AT_DOT, ALONE, 0, "451 4.7.1 Greylisted, please try again later", VERDICT_MESSAGE,
     LANE_KIND_NONE},
    {VERDICT_AT_DOT, ALONE, 0, "451 4.7.0 Temporary server error. Please try again later", VERDICT_RATE,
     LANE_KIND_RATE},
    {VERDICT_AT_DOT, ALONE, 0, "450 4.6.0 message deferred", VERDICT_MESSAGE, LANE_KIND_NONE},
    {VERDICT_AT_DOT, ALONE, 0, "554 5.7.1 Spam message rejected", VERDICT_MESSAGE, LANE_KIND_NONE},
    {VERDICT_AT_DOT, ALONE, 0,
     "550 5.7.26 Unauthenticated email from example.org is not accepted due to domain's DMARC policy",
     VERDICT_US, LANE_KIND_NONE},
    {VERDICT_AT_DOT, ALONE, 0, "552 5.3.4 Message too big for system", VERDICT_MESSAGE, LANE_KIND_NONE},
    {VERDICT_AT_DOT, ALONE, 0, "554 Transaction failed", VERDICT_MESSAGE, LANE_KIND_NONE},
    {VERDICT_AT_BODY, ALONE, 0, "552 5.3.4 too big", VERDICT_MESSAGE, LANE_KIND_NONE},

    {VERDICT_AT_FEATURE, ALONE, 0, "553 5.6.7 SMTPUTF8 is not offered", VERDICT_MESSAGE, LANE_KIND_NONE},
};

static uint16_t number(const char **text)
{
	uint16_t value = 0;

	while (**text >= '0' && **text <= '9')
		value = (uint16_t)(value * 10 + (*(*text)++ - '0'));
	return value;
}

/* "550 5.1.1 text", "550-5.1.1 text" or "550 text". */
static void read_reply(const char *reply, struct verdict_event *event)
{
	const char *text;

	event->code = number(&reply);
	reply++;
	text = reply;
	event->class = number(&text);
	if (*text == '.') {
		text++;
		event->subject = number(&text);
		text++;
		event->detail = number(&text);
		reply = text + (*text == ' ');
	} else {
		event->class = 0;
	}
	event->text = slice_of(reply);
}

static void replies_of_real_servers(void **state)
{
	for (size_t i = 0; i < sizeof(sayings) / sizeof(sayings[0]); i++) {
		const struct said *said = &sayings[i];
		struct verdict_event event = {
		    .stage = said->stage,
		    .what = VERDICT_REPLY,
		    .recipients = 1,
		    .accepted_before = said->accepted_before,
		    .others_open = said->others,
		};
		struct verdict_result result;

		read_reply(said->reply, &event);
		result = verdict_judge(&event);
		if (result.verdict != said->verdict || result.kind != said->kind)
			fail_msg("%s: %s (%s), kind %s; wanted %s, kind %s", said->reply,
				 verdict_name(result.verdict), verdict_reason_name(result.reason),
				 lane_kind_name(result.kind), verdict_name(said->verdict),
				 lane_kind_name(said->kind));
		assert_true(verdict_reason_words(result.reason)[0] != '\0');
	}
}

/* --- connections --- */

static void connections_that_fail(void **state)
{
	static const struct {
		enum verdict_what what;
		enum lane_kind kind;
	} whats[] = {
	    {VERDICT_CONN_REFUSED, LANE_KIND_REFUSED}, {VERDICT_CONN_UNREACHABLE, LANE_KIND_REFUSED},
	    {VERDICT_CONN_TIMEOUT, LANE_KIND_TIMEOUT}, {VERDICT_CONN_RESET, LANE_KIND_RESET},
	    {VERDICT_CONN_TLS, LANE_KIND_TLS},	       {VERDICT_CONN_GARBAGE, LANE_KIND_BANNER},
	};

	for (size_t i = 0; i < sizeof(whats) / sizeof(whats[0]); i++) {
		for (int stage = VERDICT_AT_CONNECT; stage <= VERDICT_AT_BODY; stage++) {
			struct verdict_event event = {.stage = (enum verdict_stage)stage,
						      .what = whats[i].what};
			struct verdict_result result = verdict_judge(&event);

			assert_int_equal(result.verdict, VERDICT_HOST);
			assert_int_equal(result.kind, whats[i].kind);
		}
		assert_int_equal(
		    verdict_judge(&(struct verdict_event){.stage = VERDICT_AT_DOT, .what = whats[i].what})
			.verdict,
		    VERDICT_UNKNOWN);
	}
}

static void our_own_system(void **state)
{
	for (int stage = VERDICT_AT_CONNECT; stage <= VERDICT_AT_BODY; stage++) {
		struct verdict_event event = {.stage = (enum verdict_stage)stage, .what = VERDICT_CONN_LOCAL};

		assert_int_equal(verdict_judge(&event).verdict, VERDICT_LATER);
	}
	/* Past the dot the server may have it, whoever is to blame. */
	assert_int_equal(
	    verdict_judge(&(struct verdict_event){.stage = VERDICT_AT_DOT, .what = VERDICT_CONN_LOCAL})
		.verdict,
	    VERDICT_UNKNOWN);
}

/* Whatever is said, there is a verdict; and none but a 2yz or 354 is a success. */
static void every_reply_has_a_verdict(void **state)
{
	static const uint16_t classes[] = {0, 2, 4, 5};

	for (int stage = 0; stage <= VERDICT_AT_FEATURE; stage++) {
		for (uint16_t code = 100; code < 700; code++) {
			for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
				struct verdict_event event = {.stage = (enum verdict_stage)stage,
							      .code = code,
							      .class = classes[i],
							      .subject = 3};
				struct verdict_result result = verdict_judge(&event);
				bool positive = code >= 200 && code < 300 && stage != VERDICT_AT_DATA;
				bool go_on = code >= 300 && code < 400 && stage == VERDICT_AT_DATA;

				assert_int_not_equal(result.reason, REASON_NONE);
				assert_int_equal(result.verdict == VERDICT_OK,
						 stage != VERDICT_AT_FEATURE && (positive || go_on));
			}
		}
	}
}

static void names(void **state)
{
	assert_string_equal(lane_kind_name(LANE_KIND_NONE), "");
	assert_string_equal(lane_kind_name(LANE_KIND_452), "452");
	assert_string_equal(lane_kind_name(LANE_KIND_BANNER), "banner");
	assert_string_equal(verdict_name(VERDICT_OK), "ok");
	assert_string_equal(verdict_name(VERDICT_UNKNOWN), "unknown");
}

/* --- back-offs --- */

static void back_offs(void **state)
{
	static const struct {
		struct verdict_result result;
		int minutes[8]; /* of attempts 1, 2, ... */
	} rows[] = {
	    {{.verdict = VERDICT_RECIPIENT, .reason = REASON_MAILBOX_FULL}, {5, 10, 20, 40, 60, 60, 60, 60}},
	    {{.verdict = VERDICT_RECIPIENT, .reason = REASON_GREYLISTED}, {5, 5, 5, 5, 5, 5, 5, 5}},
	    {{.verdict = VERDICT_RECIPIENT, .kind = LANE_KIND_4XX}, {1, 2, 4, 8, 16, 30, 30, 30}},
	    {{.verdict = VERDICT_MESSAGE, .reason = REASON_SPAM}, {5, 15, 30, 60, 60, 60, 60, 60}},
	    {{.verdict = VERDICT_MESSAGE, .reason = REASON_GREYLISTED}, {5, 5, 5, 5, 5, 5, 5, 5}},
	    {{.verdict = VERDICT_REFUSED}, {2, 10, 30, 60, 60, 60, 60, 60}},
	    {{.verdict = VERDICT_DOMAIN}, {2, 10, 30, 60, 60, 60, 60, 60}},
	    {{.verdict = VERDICT_US}, {15, 15, 15, 15, 15, 15, 15, 15}},
	    {{.verdict = VERDICT_UNKNOWN}, {10, 20, 40, 80, 120, 120, 120, 120}},
	    {{.verdict = VERDICT_HOST}, {0, 0, 0, 0, 0, 0, 0, 0}},
	    {{.verdict = VERDICT_LATER}, {0, 0, 0, 0, 0, 0, 0, 0}},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct verdict_result *result = &rows[i].result;

		for (uint32_t attempt = 1; attempt <= 8; attempt++)
			assert_int_equal(verdict_backoff_ms(result, attempt),
					 (int64_t)rows[i].minutes[attempt - 1] * 60000);
		assert_int_equal(verdict_backoff_ms(result, UINT32_MAX), (int64_t)rows[i].minutes[7] * 60000);
		assert_int_equal(verdict_backoff_ms(result, 0), (int64_t)rows[i].minutes[0] * 60000);
	}
}

/* The server's hint counts three times, with greylisting always: it is the same each time there. */
static void back_offs_with_a_hint(void **state)
{
	struct verdict_result result = {
	    .verdict = VERDICT_RECIPIENT, .reason = REASON_MAILBOX_THROTTLED, .delay_s = 90};

	assert_int_equal(verdict_backoff_ms(&result, 1), 92000);
	assert_int_equal(verdict_backoff_ms(&result, 3), 92000);
	assert_int_equal(verdict_backoff_ms(&result, 4), 40 * 60000);
	result.reason = REASON_GREYLISTED;
	assert_int_equal(verdict_backoff_ms(&result, 4), 92000);
	result.verdict = VERDICT_REFUSED; /* parked as all of them */
	assert_int_equal(verdict_backoff_ms(&result, 1), 2 * 60000);
}

static void back_off_of_our_own_system(void **state)
{
	struct verdict_result result = {.verdict = VERDICT_LATER, .reason = REASON_OWN_SYSTEM};

	assert_int_equal(verdict_backoff_ms(&result, 1), 1000);
	assert_int_equal(verdict_backoff_ms(&result, 2), 2000);
	assert_int_equal(verdict_backoff_ms(&result, 6), 32000);
	assert_int_equal(verdict_backoff_ms(&result, 7), 60000);
	assert_int_equal(verdict_backoff_ms(&result, UINT32_MAX), 60000);
}

/* --- words --- */

static void words_in_a_text(void **state)
{
	static const struct {
		const char *text, *list;
		bool found;
	} rows[] = {
	    {"no PTR record", "ptr", true},
	    {"ptr", "ptr", true},
	    {"scriptreader", "ptr", false},
	    {"ptrs", "ptr", false},
	    {"ptrs", "ptr*", true},
	    {"a ptr", "x|ptr", true},
	    {"over\n quota", "over quota", true},
	    {"over quota", "over quota", true},
	    {"marble", "rbl", false},
	    {"a_rbl-b", "rbl", true},
	    {"", "ptr", false},
	    {"pt", "ptr", false},
	    {"ptr", "", false},
	    {"ptr", "|", false},
	    {"THROTTLED", "throttl*", true},
	    {"dnsbl dns", "dns", true},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct words_text text;

		words_clean(slice_of(rows[i].text), &text);
		if (words_any(&text, rows[i].list) != rows[i].found)
			fail_msg("\"%s\" in \"%s\"", rows[i].list, rows[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(replies_of_real_servers),
	    cmocka_unit_test(connections_that_fail),
	    cmocka_unit_test(our_own_system),
	    cmocka_unit_test(every_reply_has_a_verdict),
	    cmocka_unit_test(names),
	    cmocka_unit_test(back_offs),
	    cmocka_unit_test(back_offs_with_a_hint),
	    cmocka_unit_test(back_off_of_our_own_system),
	    cmocka_unit_test(words_in_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
