/* Every limit at limit - 1, limit and limit + 1; every timeout just before and at its time.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server_play.h"

#define EHLO "EHLO c.example\r\n"
#define MAIL "MAIL FROM:<a@b>\r\n"
#define RCPT MAIL "RCPT TO:<c@d>\r\n"

static int begin(void **state)
{
	struct play *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return -1;
	play_init(p);
	*state = p;
	return 0;
}

static int end(void **state)
{
	play_deinit(*state);
	free(*state);
	return 0;
}

static void start(struct play *p)
{
	play_start(p);
	play_text(p, EHLO);
	play_forget(p);
}

/* A command of this many bytes with its CRLF. */
static void feed_line_of(struct play *p, size_t size)
{
	char line[SMTP_SERVER_COMMAND_MAX + 16];

	memset(line, 'x', sizeof(line));
	memcpy(line, "NOOP ", 5);
	memcpy(line + size - 2, "\r\n", 2);
	play_feed(p, slice_make(line, size));
}

static void command_length(void **state)
{
	struct play *p = *state;

	start(p);
	feed_line_of(p, SMTP_SERVER_COMMAND_MAX - 1);
	feed_line_of(p, SMTP_SERVER_COMMAND_MAX);
	play_expect(p, "250 2.0.0 ok\r\n250 2.0.0 ok\r\n");
	feed_line_of(p, SMTP_SERVER_COMMAND_MAX + 1);
	play_expect(p, "500 5.5.2 line too long\r\n");
	feed_line_of(p, SMTP_SERVER_COMMAND_MAX);
	play_expect(p, "250 2.0.0 ok\r\n");
}

static void errors(void **state)
{
	struct play *p = *state;

	p->config.errors_max = 3;
	start(p);
	play_text(p, "X\r\nMAIL\r\nRCPT\r\n");
	assert_false(p->closed);
	play_forget(p);
	play_text(p, "NOOP\r\nX\nY\r\n");
	play_expect(p, "250 2.0.0 ok\r\n421 4.7.0 mx.example too many errors, closing the connection\r\n");
	assert_true(p->closed);
}

static void errors_of_the_line_count(void **state)
{
	struct play *p = *state;

	p->config.errors_max = 1;
	start(p);
	play_text(p, "NOOP\n\r\n");
	assert_false(p->closed);
	play_text(p, "NOOP\n");
	assert_true(p->closed);
}

static void errors_of_refused_chunks_count(void **state)
{
	struct play *p = *state;

	p->config.errors_max = 1;
	start(p);
	play_text(p, "BDAT 0\r\n");
	assert_false(p->closed);
	play_text(p, "BDAT 0\r\n");
	assert_true(p->closed);
}

static void idle_commands(void **state)
{
	struct play *p = *state;

	p->config.idle_commands_max = 5; /* one was the EHLO */
	start(p);
	play_text(p, "NOOP\r\nRSET\r\nVRFY x\r\n" RCPT);
	assert_false(p->closed);
	play_text(p, "HELP\r\n");
	assert_false(p->closed);
	play_forget(p);
	play_text(p, "NOOP\r\n");
	play_expect_start(p, "421 4.7.0 mx.example too many commands without a message");
	assert_true(p->closed);
}

static void a_message_resets_the_count_of_idle_commands(void **state)
{
	struct play *p = *state;

	p->config.idle_commands_max = 2;
	start(p);
	for (unsigned i = 0; i < 5; i++)
		play_text(p, "NOOP\r\n" RCPT "DATA\r\n.\r\nNOOP\r\n");
	play_text(p, "NOOP\r\n");
	assert_false(p->closed);
	play_text(p, "NOOP\r\n");
	assert_true(p->closed);
}

static void empty_chunks_are_idle(void **state)
{
	struct play *p = *state;

	p->config.idle_commands_max = 3;
	start(p);
	play_text(p, RCPT "BDAT 0\r\nBDAT 0\r\nBDAT 1\r\nx");
	assert_false(p->closed);
	play_forget(p);
	play_text(p, "BDAT 0\r\n");
	play_expect_start(p, "421 4.7.0 ");
	play_expect_log(p, "ABORT\nCLOSE\n");
}

static void refused_senders_are_idle(void **state)
{
	struct play *p = *state;

	p->config.idle_commands_max = 3;
	start(p);
	play_text(p, "MAIL FROM:<no@b>\r\nMAIL FROM:<later@b>\r\n");
	assert_false(p->closed);
	play_text(p, "MAIL FROM:<no@b>\r\n");
	assert_true(p->closed);
}

static void recipients(void **state)
{
	struct play *p = *state;

	p->config.recipients_max = 3;
	start(p);
	play_text(p, RCPT "RCPT TO:<no@d>\r\nRCPT TO:<e@d>\r\n");
	play_forget(p);
	play_text(p, "RCPT TO:<f@d>\r\nRCPT TO:<g@d>\r\nRCPT TO:<c@d>\r\n");
	play_expect(p, "250 2.1.0 ok\r\n"
		       "452 4.5.3 too many recipients, send the rest in another transaction\r\n"
		       "250 2.1.5 recipient ok (given before)\r\n");
	play_text(p, "DATA\r\n.\r\n" MAIL "RCPT TO:<g@d>\r\n");
	play_expect(p, "354 go on\r\n250 2.0.0 kept\r\n250 2.1.0 ok\r\n250 2.1.0 ok\r\n");
}

static void refused_recipients(void **state)
{
	struct play *p = *state;

	p->config.refused_recipients_max = 3;
	start(p);
	play_text(p, RCPT "RCPT TO:<no1@d>\r\nRCPT TO:<no2@d>\r\nRSET\r\n" MAIL);
	play_text(p, "RCPT TO:<later@d>\r\nRCPT TO:<no3@d>\r\nRCPT TO:<later@d>\r\nRCPT TO:<e@d>\r\n");
	assert_false(p->closed);
	play_forget(p);
	play_text(p, "RCPT TO:<no4@d>\r\n");
	play_expect_start(p, "421 4.7.0 mx.example too many refused recipients");
	assert_true(p->closed);
}

static void transactions(void **state)
{
	struct play *p = *state;

	p->config.transactions_max = 3;
	start(p);
	play_text(p, RCPT "DATA\r\n.\r\n" MAIL "RSET\r\nMAIL FROM:<no@b>\r\n" MAIL "RSET\r\n");
	assert_false(p->closed);
	play_forget(p);
	play_text(p, MAIL);
	play_expect_start(p, "421 4.7.0 mx.example too many messages in one session");
	play_expect_log(p, "CLOSE\n");
}

static void message_size(void **state)
{
	static const char *const bodies[] = {"12345\r\n", "123456\r\n", "1234567\r\n"};

	for (unsigned i = 0; i < 3; i++) {
		struct play p;
		play_init(&p);
		p.config.message_bytes_max = 8;
		start(&p);
		play_text(&p, RCPT "DATA\r\n");
		play_text(&p, bodies[i]);
		play_forget(&p);
		play_text(&p, ".\r\n");
		play_expect(&p, i < 2 ? "250 2.0.0 kept\r\n"
				      : "552 5.3.4 the message is bigger than 8 bytes\r\n");
		play_deinit(&p);
	}
}

static void an_oversize_message_is_aborted_at_once(void **state)
{
	struct play *p = *state;

	p->config.message_bytes_max = 8;
	start(p);
	play_text(p, RCPT "DATA\r\n123456789");
	play_expect_log(p, "MAIL a@b\nRCPT c@d at d\nBEGIN\nBODY 12345678\nABORT\n");
	play_forget(p);
	play_text(p, "more\r\n.\nQUIT\r\n");
	play_expect(p, "");
	play_text(p, ".\r\nNOOP\r\n");
	play_expect(p, "552 5.3.4 the message is bigger than 8 bytes\r\n250 2.0.0 ok\r\n");
	play_expect_log(p, "");
}

static void size_parameter(void **state)
{
	struct play *p = *state;

	p->config.message_bytes_max = 8;
	start(p);
	play_text(p, "MAIL FROM:<a@b> SIZE=9\r\nMAIL FROM:<a@b> SIZE=8\r\n");
	play_expect(p, "552 5.3.4 a message may have 8 bytes, yours has more\r\n250 2.1.0 ok\r\n");
}

static void any_size(void **state)
{
	struct play *p = *state;

	p->config.message_bytes_max = 0;
	start(p);
	play_text(
	    p,
	    "MAIL FROM:<a@b> SIZE=18446744073709551615\r\nRCPT TO:<c@d>\r\nBDAT 18446744073709551615\r\nabc");
	play_expect(p, "250 2.1.0 ok\r\n250 2.1.0 ok\r\n");
	play_expect_log(p, "MAIL a@b size 18446744073709551615\nRCPT c@d at d\nBEGIN\nBODY abc\n");
}

static void line_length(void **state)
{
	static const char *const lines[] = {"1234567\r\n", "12345678\r\n", "123456789\r\n"};

	for (unsigned i = 0; i < 3; i++) {
		struct play p;
		play_init(&p);
		p.config.line_bytes_max = 8;
		start(&p);
		play_text(&p, RCPT "DATA\r\nx\r\n");
		play_text(&p, lines[i]);
		play_forget(&p);
		play_text(&p, ".\r\n");
		play_expect(&p, i < 2 ? "250 2.0.0 kept\r\n"
				      : "552 5.6.0 a line of the message is longer than 8 bytes\r\n");
		play_deinit(&p);
	}
}

static void address_lengths(void **state)
{
	char local[ADDRESS_LOCAL_PART_MAX + 2], command[512];

	for (int size = ADDRESS_LOCAL_PART_MAX - 1; size <= ADDRESS_LOCAL_PART_MAX + 1; size++) {
		struct play p;
		play_init(&p);
		start(&p);
		memset(local, 'l', sizeof(local));
		(void)snprintf(command, sizeof(command), "MAIL FROM:<%.*s@b>\r\n", size, local);
		play_text(&p, command);
		play_expect(&p, size <= ADDRESS_LOCAL_PART_MAX ? "250 2.1.0 ok\r\n"
							       : "501 5.1.7 the address is too long\r\n");
		play_text(&p, "RSET\r\n" MAIL);
		play_forget(&p);
		(void)snprintf(command, sizeof(command), "RCPT TO:<%.*s@b>\r\n", size, local);
		play_text(&p, command);
		play_expect(&p, size <= ADDRESS_LOCAL_PART_MAX ? "250 2.1.0 ok\r\n"
							       : "501 5.1.3 the address is too long\r\n");
		play_deinit(&p);
	}
}

/* "before" + xs + CRLF answered like this. */
static void expect_long(struct play *p, const char *before, size_t count, const char *reply)
{
	char line[1024], *at = line;

	memset(line, 'x', sizeof(line));
	memcpy(at, before, strlen(before));
	memcpy(at + strlen(before) + count, "\r\n", 2);
	play_forget(p);
	play_feed(p, slice_make(line, strlen(before) + count + 2));
	play_expect_start(p, reply);
}

static void lengths_of_parameters(void **state)
{
	struct play *p = *state;

	start(p);
	expect_long(p, "MAIL FROM:<a@b> ENVID=", 101, "501 ");
	expect_long(p, "MAIL FROM:<a@b> ENVID=", 100, "250 ");
	play_text(p, "RSET\r\n");
	expect_long(p, "MAIL FROM:<a@b> ENVID=", 99, "250 ");
	expect_long(p, "RCPT TO:<a@b> ORCPT=rfc822;", 494, "501 ");
	expect_long(p, "RCPT TO:<a@b> ORCPT=rfc822;", 493, "250 ");
	expect_long(p, "RCPT TO:<c@b> ORCPT=rfc822;", 492, "250 ");
	expect_long(p, "EHLO ", ADDRESS_DOMAIN_MAX + 1, "501 ");
	expect_long(p, "EHLO ", ADDRESS_DOMAIN_MAX, "250-");
	expect_long(p, "HELO ", ADDRESS_DOMAIN_MAX - 1, "250 ");
	assert_int_equal(smtp_server_helo(p->server).size, ADDRESS_DOMAIN_MAX - 1);
}

/* Recipients with the longest ORCPT until the memory of the envelope is used up; then the transaction can
 * still end. */
static void memory_of_the_envelope(void **state)
{
	struct play *p = *state;
	char orcpt[493 + 1], command[600];
	unsigned accepted = 0;

	p->config.recipients_max = UINT32_MAX;
	start(p);
	play_text(p, MAIL);
	memset(orcpt, 'o', 493);
	orcpt[493] = '\0';
	for (unsigned i = 0; i < 5000; i++) {
		play_forget(p);
		(void)snprintf(command, sizeof(command), "RCPT TO:<r%u@d> ORCPT=rfc822;%s\r\n", i, orcpt);
		play_text(p, command);
		if (!slice_starts(buffer_slice(&p->wire), SLICE("250 ")))
			break;
		accepted++;
	}
	play_expect_start(p, "452 4.3.1 ");
	assert_in_range(accepted, 1000, SMTP_SERVER_ARENA_MAX / 500);
	play_text(p, "DATA\r\n.\r\n");
	play_expect(p, "354 go on\r\n250 2.0.0 kept\r\n");
	play_text(p, RCPT);
	play_expect(p, "250 2.1.0 ok\r\n250 2.1.0 ok\r\n");
}

/* An owner that feeds but never sends: the session ends before the replies fill the memory. */
static void replies_that_nobody_takes(void **state)
{
	struct play *p = *state;

	p->config.recipients_max = 1;
	start(p);
	play_text(p, RCPT);
	p->unsent = true;
	for (unsigned i = 0; i < 100000 && !p->closed; i++)
		play_text(p, "RCPT TO:<x@y>\r\n");
	assert_true(p->closed);
	assert_true(smtp_server_output(p->server).size <= 1024 * 1024);
}

/* --- time --- */

/* Nothing happens until the deadline, which is ms from now; then this is said. */
static void expect_timeout(struct play *p, int64_t ms, const char *reply, const char *log)
{
	int64_t deadline = p->now_us + ms * 1000;

	play_forget(p);
	assert_int_equal(smtp_server_deadline(p->server), deadline);
	p->now_us = deadline - 1;
	play_step(p);
	assert_false(p->closed);
	p->now_us = deadline;
	play_step(p);
	assert_true(p->closed);
	play_expect_start(p, reply);
	play_expect_log(p, log);
	assert_int_equal(smtp_server_deadline(p->server), 0);
}

static void timeout_before_any_command(void **state)
{
	struct play *p = *state;

	play_start(p);
	expect_timeout(p, 300000, "421 4.4.2 mx.example timeout waiting for a command", "CLOSE\n");
}

/* Bytes of a command do not prolong it, a whole command does. */
static void timeout_of_a_command(void **state)
{
	struct play *p = *state;

	start(p);
	play_wait(p, 200000);
	play_text(p, "NOOP\r\n");
	play_wait(p, 200000);
	play_text(p, "NO");
	play_wait(p, 50000);
	play_text(p, "OP");
	expect_timeout(p, 50000, "421 4.4.2 mx.example timeout waiting for a command", "CLOSE\n");
}

static void timeout_starts_at_the_answer(void **state)
{
	struct play *p = *state;

	start(p);
	p->hold = true;
	play_text(p, MAIL);
	assert_int_equal(smtp_server_deadline(p->server), INT64_MAX);
	play_wait(p, 400000);
	assert_false(p->closed);
	play_answer(p, 250, NULL, "ok");
	expect_timeout(p, 300000, "421 4.4.2 ", "CLOSE\n");
}

static void no_timeout_while_committing(void **state)
{
	struct play *p = *state;

	start(p);
	play_text(p, RCPT "DATA\r\n");
	p->hold = true;
	play_text(p, ".\r\n");
	play_wait(p, 7200000);
	assert_false(p->closed);
	assert_int_equal(smtp_server_deadline(p->server), INT64_MAX);
	play_forget(p);
	play_answer(p, 250, "2.0.0", "kept");
	play_expect_start(p, "250 2.0.0 kept\r\n421 4.4.2 mx.example the session has lasted too long");
}

static void timeout_of_a_body(void **state)
{
	struct play *p = *state;

	p->config.data_bytes_per_s_min = 0;
	start(p);
	play_text(p, RCPT "DATA\r\n");
	play_wait(p, 179000);
	play_text(p, "x");
	expect_timeout(p, 180000, "421 4.4.2 mx.example timeout waiting for the message", "ABORT\nCLOSE\n");
}

static void timeout_of_a_chunk(void **state)
{
	struct play *p = *state;

	p->config.data_bytes_per_s_min = 0;
	start(p);
	play_text(p, RCPT "BDAT 10\r\n");
	expect_timeout(p, 180000, "421 4.4.2 mx.example timeout waiting for the message", "ABORT\nCLOSE\n");
}

static void timeout_of_a_swallowed_chunk(void **state)
{
	struct play *p = *state;

	p->config.data_bytes_per_s_min = 0;
	start(p);
	play_text(p, "BDAT 10\r\n");
	expect_timeout(p, 180000, "421 4.4.2 ", "CLOSE\n");
}

/* A body of 50 * 70 bytes within the first minute may go on until second 70. */
static void the_slowest_rate(void **state)
{
	struct play *p = *state;
	char text[3500];

	start(p);
	play_text(p, RCPT "DATA\r\n");
	assert_int_equal(smtp_server_deadline(p->server), p->now_us + 60000001);
	memset(text, 'x', sizeof(text));
	play_wait(p, 59000);
	play_feed(p, slice_make(text, sizeof(text)));
	assert_int_equal(smtp_server_deadline(p->server), p->now_us + 11000001);
	play_forget(p);
	play_wait(p, 11000);
	assert_false(p->closed);
	p->now_us++;
	play_step(p);
	play_expect_start(p, "421 4.4.2 mx.example the message comes too slowly");
	play_expect_log(p, "ABORT\nCLOSE\n");
}

static void the_whole_session(void **state)
{
	struct play *p = *state;

	start(p);
	for (unsigned minute = 0; minute < 59; minute++) {
		play_wait(p, 60000);
		play_text(p, "NOOP\r\n");
	}
	expect_timeout(p, 60000, "421 4.4.2 mx.example the session has lasted too long", "CLOSE\n");
}

static void timeout_of_the_handshake(void **state)
{
	struct play *p = *state;
	struct slice input = SLICE("STARTTLS\r\n"), none = SLICE("");

	start(p);
	assert_int_equal(smtp_server_step(p->server, &input, p->now_us), SMTP_SERVER_START_TLS);
	assert_int_equal(smtp_server_step(p->server, &none, p->now_us), SMTP_SERVER_WAIT);
	size_t said = smtp_server_output(p->server).size;
	int64_t deadline = smtp_server_deadline(p->server);
	assert_int_equal(deadline, p->now_us + 300000000);
	assert_int_equal(smtp_server_step(p->server, &none, deadline - 1), SMTP_SERVER_WAIT);
	assert_int_equal(smtp_server_step(p->server, &none, deadline), SMTP_SERVER_CLOSE);
	assert_int_equal(smtp_server_output(p->server).size, said);
	smtp_server_tls_started(p->server, deadline); /* too late */
	assert_int_equal(smtp_server_step(p->server, &none, deadline), SMTP_SERVER_CLOSE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(command_length, begin, end),
	    cmocka_unit_test_setup_teardown(errors, begin, end),
	    cmocka_unit_test_setup_teardown(errors_of_the_line_count, begin, end),
	    cmocka_unit_test_setup_teardown(errors_of_refused_chunks_count, begin, end),
	    cmocka_unit_test_setup_teardown(idle_commands, begin, end),
	    cmocka_unit_test_setup_teardown(a_message_resets_the_count_of_idle_commands, begin, end),
	    cmocka_unit_test_setup_teardown(empty_chunks_are_idle, begin, end),
	    cmocka_unit_test_setup_teardown(refused_senders_are_idle, begin, end),
	    cmocka_unit_test_setup_teardown(recipients, begin, end),
	    cmocka_unit_test_setup_teardown(refused_recipients, begin, end),
	    cmocka_unit_test_setup_teardown(transactions, begin, end),
	    cmocka_unit_test(message_size),
	    cmocka_unit_test_setup_teardown(an_oversize_message_is_aborted_at_once, begin, end),
	    cmocka_unit_test_setup_teardown(size_parameter, begin, end),
	    cmocka_unit_test_setup_teardown(any_size, begin, end),
	    cmocka_unit_test(line_length),
	    cmocka_unit_test(address_lengths),
	    cmocka_unit_test_setup_teardown(lengths_of_parameters, begin, end),
	    cmocka_unit_test_setup_teardown(memory_of_the_envelope, begin, end),
	    cmocka_unit_test_setup_teardown(replies_that_nobody_takes, begin, end),
	    cmocka_unit_test_setup_teardown(timeout_before_any_command, begin, end),
	    cmocka_unit_test_setup_teardown(timeout_of_a_command, begin, end),
	    cmocka_unit_test_setup_teardown(timeout_starts_at_the_answer, begin, end),
	    cmocka_unit_test_setup_teardown(no_timeout_while_committing, begin, end),
	    cmocka_unit_test_setup_teardown(timeout_of_a_body, begin, end),
	    cmocka_unit_test_setup_teardown(timeout_of_a_chunk, begin, end),
	    cmocka_unit_test_setup_teardown(timeout_of_a_swallowed_chunk, begin, end),
	    cmocka_unit_test_setup_teardown(the_slowest_rate, begin, end),
	    cmocka_unit_test_setup_teardown(the_whole_session, begin, end),
	    cmocka_unit_test_setup_teardown(timeout_of_the_handshake, begin, end),
	};

	return cmocka_run_group_tests_name("smtp_server_limits", tests, NULL, NULL);
}
