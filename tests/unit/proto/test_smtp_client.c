#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "smtp_client_script.h"

/* Greeting, STARTTLS, the end of sessions. What concerns transactions is in test_smtp_client_mail.c and
 * _body.c. */

#define HELLO "S: 220 mx ready\nC: EHLO relay.example\n"

static const struct script greetings[] = {
    {"plain", HELLO "S: 250 mx\nA: READY\nD: never\nX: quit\nC: QUIT\nD: 5\nS: 221 bye\nA: CLOSE\n"},
    {"lines end with many words", "S: 220-mx\nS: 220-be nice\nS: 220 ready\nC: EHLO relay.example\nS: "
				  "250-mx\nS: 250-SIZE 1000\nS: 250 HELP\nA: READY\n"},
    {"each answer has its own time",
     "D: 300\nW: 299\nD: 1\nS: 220 mx\nC: EHLO relay.example\nD: 300\nW: 100\nD: 200\nS: 500 mx\n"
     "C: HELO relay.example\nD: 300\n"},
    {"the first line is a name", HELLO "S: 250-STARTTLS\nS: 250 HELP\nA: READY\n"},
    {"banner 421", "S: 421 4.3.2 busy\nA: FAILED replied banner 421 busy\nA: CLOSE\n"},
    {"banner 450", "S: 450 later\nA: FAILED replied banner 450 later\nC: QUIT\nD: 5\nS: 221 bye\nA: CLOSE\n"},
    {"banner 554, QUIT unanswered",
     "S: 554 5.7.1 go away\nA: FAILED replied banner 554 go away\nC: QUIT\nT: 5\nA: CLOSE\n"},
    {"banner 554, then lost",
     "S: 554 go away\nA: FAILED replied banner 554 go away\nC: QUIT\nX: lost reset by peer\nA: CLOSE\n"},
    {"banner 554, then nonsense",
     "S: 554 no\nA: FAILED replied banner 554 no\nC: QUIT\nS: what?\nA: CLOSE\n"},
    {"banner 354",
     "S: 354 go\nA: FAILED garbage banner 0 impossible reply to the connection: 354 go\nA: CLOSE\n"},
    {"not SMTP",
     "S: SSH-2.0-OpenSSH_9\nA: FAILED garbage banner 0 the server does not speak SMTP\nA: CLOSE\n"},
    {"lost at banner", "X: lost reset by peer\nA: FAILED lost banner 0 reset by peer\nA: CLOSE\n"},
    {"silent banner",
     "T: 300\nA: FAILED timeout banner 0 no reply to the connection within 300 s\nA: CLOSE\nD: never\n"},
    {"EHLO 421", HELLO "S: 421 no\nA: FAILED replied ehlo 421 no\nA: CLOSE\n"},
    {"EHLO 451", HELLO "S: 451 no\nA: FAILED replied ehlo 451 no\nC: QUIT\nS: 221 bye\nA: CLOSE\n"},
    {"EHLO 354", HELLO "S: 354 no\nA: FAILED garbage ehlo 0 impossible reply to EHLO: 354 no\nA: CLOSE\n"},
    {"EHLO unanswered", HELLO "T: 300\nA: FAILED timeout ehlo 0 no reply to EHLO within 300 s\nA: CLOSE\n"},
    {"EHLO lost", HELLO "X: lost closed\nA: FAILED lost ehlo 0 closed\nA: CLOSE\n"},
    {"HELO", HELLO "S: 502 what\nC: HELO relay.example\nS: 250-mx\nS: 250 PIPELINING\nA: READY\n"},
    {"HELO refused", HELLO "S: 500 what\nC: HELO relay.example\nS: 550 go\nA: FAILED replied ehlo 550 go\nC: "
			   "QUIT\nT: 5\nA: CLOSE\n"},
    {"HELO 421",
     HELLO "S: 500 what\nC: HELO relay.example\nS: 421 go\nA: FAILED replied ehlo 421 go\nA: CLOSE\n"},
    {"HELO unanswered", HELLO "S: 500 what\nC: HELO relay.example\nT: 300\nA: FAILED timeout ehlo 0 no reply "
			      "to HELO within 300 s\nA: CLOSE\n"},
};

static const struct script tls[] = {
    {"STARTTLS",
     HELLO "S: 250-mx\nS: 250-PIPELINING\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\nA: START_TLS\nD: 300\n"
	   "X: tls_done\nC: EHLO relay.example\nS: 250-mx\nS: 250 STARTTLS\nA: READY\n"
	   "# PIPELINING was forgotten\nX: begin\nC: MAIL FROM:<s@e.example>\n"},
    {"not wanted", HELLO "S: 250-mx\nS: 250 starttls\nA: READY\n", .no_starttls = true},
    {"required wins over not wanted", HELLO "S: 250-mx\nS: 250 starttls\nC: STARTTLS\n", .no_starttls = true,
     .tls_required = true},
    {"refused, opportunistic", HELLO "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 454 no\nA: READY\n"},
    {"refused, required",
     HELLO "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 454 no\nA: FAILED replied tls 454 no\nC: QUIT\nS: "
	   "221 x\nA: CLOSE\n",
     .tls_required = true},
    {"not offered, required",
     HELLO "S: 250 mx\nA: FAILED not_tried tls 0 TLS is required and the server does not offer STARTTLS\nC: "
	   "QUIT\nT: 5\nA: CLOSE\n",
     .tls_required = true},
    {"only HELO, required",
     HELLO "S: 500 mx\nC: HELO relay.example\nS: 250 mx\n"
	   "A: FAILED not_tried tls 0 TLS is required and the server does not offer STARTTLS\nC: QUIT\nT: "
	   "5\nA: CLOSE\n",
     .tls_required = true},
    {"421",
     HELLO "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 421 no\nA: FAILED replied tls 421 no\nA: CLOSE\n"},
    {"354", HELLO "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 354 no\n"
		  "A: FAILED garbage tls 0 impossible reply to STARTTLS: 354 no\nA: CLOSE\n"},
    {"unanswered", HELLO "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nT: 300\n"
			 "A: FAILED timeout tls 0 no reply to STARTTLS within 300 s\nA: CLOSE\n"},
    {"a late 220",
     HELLO "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nW: 250\nS: 220 go\nA: START_TLS\nD: 300\n"},
    {"handshake hangs",
     HELLO "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\nA: START_TLS\nT: 300\n"
	   "A: FAILED timeout tls 0 the TLS handshake took too long\nA: CLOSE\nX: tls_done\n"},
    {"handshake fails",
     HELLO "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\nA: START_TLS\nX: lost no shared cipher\n"
	   "A: FAILED lost tls 0 no shared cipher\nA: CLOSE\n"},
    {"plain text after START_TLS",
     HELLO "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\nA: START_TLS\nS: 250 evil\n"
	   "A: FAILED garbage tls 0 the server sent data between STARTTLS and TLS\nA: CLOSE\n"},
    {"EHLO under TLS is refused", HELLO
     "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\nA: START_TLS\nX: tls_done\nC: EHLO relay.example\n"
     "S: 451 no\nA: FAILED replied tls 451 no\nC: QUIT\nT: 5\nA: CLOSE\n"},
    {"lost under TLS",
     HELLO "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\nA: START_TLS\nX: tls_done\n"
	   "C: EHLO relay.example\nX: lost closed\nA: FAILED lost tls 0 closed\nA: CLOSE\n"},
    {"quit in the handshake",
     HELLO "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\nA: START_TLS\nX: quit\nA: CLOSE\n"},
    {"quit before STARTTLS is answered",
     HELLO "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nX: quit\nD: 5\nS: 220 go\nA: CLOSE\n"},
    {"quit before STARTTLS is refused", HELLO
     "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nX: quit\nD: 5\nS: 454 no\nC: QUIT\nS: 221 bye\nA: CLOSE\n"},
};

static const struct script idle[] = {
    {"421 while idle", HELLO "S: 250 mx\nA: READY\nS: 421 idle\nA: FAILED replied mail 421 idle\nA: CLOSE\n"},
    {"250 while idle",
     HELLO "S: 250 mx\nA: READY\nS: 250 ok\nA: FAILED garbage mail 0 a reply to nothing: 250 ok\nA: CLOSE\n"},
    {"nonsense while idle",
     HELLO "S: 250 mx\nA: READY\nS: hm\nA: FAILED garbage mail 0 the server does not speak SMTP\nA: CLOSE\n"},
    {"lost while idle",
     HELLO "S: 250 mx\nA: READY\nX: lost closed\nA: FAILED lost mail 0 closed\nA: CLOSE\nX: lost again\n"},
    {"quit before the banner", "X: quit\nD: 5\nS: 220 mx\nC: QUIT\nD: 5\nS: 221 bye\nA: CLOSE\n"},
    {"quit long before the banner",
     "W: 10\nX: quit\nD: 5\nW: 3\nD: 2\nS: 220 mx\nC: QUIT\nD: 2\nT: 2\nA: CLOSE\n"},
    {"quit, and no banner", "X: quit\nX: quit\nT: 5\nA: CLOSE\n"},
    {"quit, and lost before the banner", "X: quit\nX: lost closed\nA: CLOSE\n"},
    {"quit before EHLO is answered",
     HELLO "X: quit\nS: 250-mx\nS: 250 STARTTLS\nC: QUIT\nS: 421 bye\nA: CLOSE\n"},
    {"quit before EHLO is refused", HELLO "X: quit\nS: 500 mx\nC: QUIT\nS: 354 bye\nA: CLOSE\n"},
    {"quit twice",
     HELLO "S: 250 mx\nA: READY\nX: quit\nC: QUIT\nX: quit\nX: lost closed\nA: CLOSE\nX: quit\n"},
};

static void plays_greetings(void **state)
{
	SCRIPT_CHECK_ALL(greetings);
}

static void plays_tls(void **state)
{
	SCRIPT_CHECK_ALL(tls);
}

static void plays_idle(void **state)
{
	SCRIPT_CHECK_ALL(idle);
}

static enum smtp_client_action feed(struct smtp_client *c, const char *bytes)
{
	struct slice input = slice_of(bytes);
	enum smtp_client_action action = smtp_client_step(c, &input, 0);

	smtp_client_sent(c, smtp_client_output(c).size, 0);
	return action;
}

static struct smtp_client *client(void)
{
	struct smtp_client_config config;

	smtp_client_config_defaults(&config, "relay.example");
	struct smtp_client *c = smtp_client_new(&config, 0);
	assert_non_null(c);
	return c;
}

static void plain_text_behind_220_is_refused(void **state)
{
	struct smtp_client *c = client();

	(void)feed(c, "220 mx\r\n");
	(void)feed(c, "250-mx\r\n250 STARTTLS\r\n");
	assert_int_equal(feed(c, "220 go\r\n250 evil\r\n"), SMTP_CLIENT_FAILED);
	assert_int_equal(smtp_client_failure(c)->end, CLIENT_GARBAGE);
	assert_int_equal(smtp_client_failure(c)->stage, CLIENT_STAGE_TLS);
	assert_int_equal(feed(c, ""), SMTP_CLIENT_CLOSE);
	smtp_client_free(c);
}

static void reply_before_its_command_is_none(void **state)
{
	struct smtp_client *c = client();

	assert_int_equal(feed(c, "220 mx\r\n220 mx\r\n"), SMTP_CLIENT_FAILED);
	assert_int_equal(smtp_client_failure(c)->end, CLIENT_GARBAGE);
	assert_string_equal(smtp_client_failure(c)->reply.text, "a reply to nothing: 220 mx");
	assert_int_equal(smtp_client_output(c).size, 0);
	smtp_client_free(c);
}

static void answers_queries(void **state)
{
	struct smtp_client *c = client();

	assert_false(smtp_client_greeted(c));
	(void)feed(c, "220-mx\r\n220 ready\r\n");
	assert_true(slice_equal(smtp_client_banner(c), SLICE("mx\nready")));
	assert_false(smtp_client_greeted(c));
	(void)feed(c, "250-mx\r\n250-SIZE 12345\r\n250 STARTTLS\r\n");
	assert_true(smtp_client_offers_starttls(c));
	assert_int_equal(smtp_client_size_limit(c), 12345);
	(void)feed(c, "220 go\r\n");
	smtp_client_tls_done(c, 0);
	assert_int_equal(smtp_client_size_limit(c), 0);
	(void)feed(c, "");
	assert_int_equal(feed(c, "250 mx\r\n"), SMTP_CLIENT_READY);
	assert_true(smtp_client_greeted(c));
	assert_true(smtp_client_offers_starttls(c));
	smtp_client_free(c);
	smtp_client_free(NULL);
}

static void names_stages(void **state)
{
	static const char *const names[] = {"connect", "banner", "ehlo", "tls", "mail",
					    "rcpt",    "data",	 "body", "dot", "feature"};

	for (unsigned i = 0; i < 10; i++)
		assert_string_equal(client_stage_name((enum client_stage)i), names[i]);
}

/* SIZE of the extension keyword, in the shapes that servers have. */
static void reads_size(void **state)
{
	static const struct {
		const char *line;
		uint64_t limit;
	} table[] = {
	    {"250 SIZE", 0},
	    {"250 SIZE 0", 0},
	    {"250 size 1", 1},
	    {"250 SIZE  77 ", 77},
	    {"250 SIZE 18446744073709551615", UINT64_MAX},
	    {"250 SIZE 18446744073709551616", 0},
	    {"250 SIZE -1", 0},
	    {"250 SIZE=5", 0},
	    {"250 XSIZE 5", 0},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char reply[128];
		struct smtp_client *c = client();
		(void)feed(c, "220 mx\r\n");
		(void)snprintf(reply, sizeof(reply), "250-mx\r\n%s\r\n", table[i].line);
		assert_int_equal(feed(c, reply), SMTP_CLIENT_READY);
		assert_true(smtp_client_size_limit(c) == table[i].limit);
		smtp_client_free(c);
	}
}

/* Extensions behind the 512 bytes of text that a reply keeps still count. */
static void reads_long_ehlo(void **state)
{
	struct smtp_client *c = client();

	(void)feed(c, "220 mx\r\n");
	(void)feed(c, "250-SIZE 9\r\n"); /* the first line is the name */
	for (unsigned i = 0; i < 100; i++)
		(void)feed(c, "250-X-SOMETHING with many words behind it\r\n");
	assert_int_equal(feed(c, "250 SIZE 10\r\n"), SMTP_CLIENT_READY);
	assert_int_equal(smtp_client_size_limit(c), 10);
	smtp_client_free(c);
}

static void bears_long_lines_up_to_the_limit(void **state)
{
	static char line[REPLY_LINE_MAX + 2];

	for (int over = 0; over < 2; over++) {
		struct smtp_client *c = client();
		memset(line, 'x', sizeof(line));
		memcpy(line, "220 ", 4);
		line[REPLY_LINE_MAX - 1 + over] = '\n';
		line[REPLY_LINE_MAX + over] = '\0';
		assert_int_equal(feed(c, line), over ? SMTP_CLIENT_FAILED : SMTP_CLIENT_WAIT);
		smtp_client_free(c);
	}
}

static void deadlines_do_not_overflow(void **state)
{
	struct smtp_client_config config;
	struct slice none = SLICE("");

	smtp_client_config_defaults(&config, "relay.example");
	config.banner_timeout_ms = INT64_MAX;
	struct smtp_client *c = smtp_client_new(&config, 5);
	assert_non_null(c);
	assert_true(smtp_client_deadline(c) == INT64_MAX);
	assert_int_equal(smtp_client_step(c, &none, INT64_MAX - 1), SMTP_CLIENT_WAIT);
	smtp_client_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(plays_greetings),
	    cmocka_unit_test(plays_tls),
	    cmocka_unit_test(plays_idle),
	    cmocka_unit_test(plain_text_behind_220_is_refused),
	    cmocka_unit_test(reply_before_its_command_is_none),
	    cmocka_unit_test(answers_queries),
	    cmocka_unit_test(names_stages),
	    cmocka_unit_test(reads_size),
	    cmocka_unit_test(reads_long_ehlo),
	    cmocka_unit_test(bears_long_lines_up_to_the_limit),
	    cmocka_unit_test(deadlines_do_not_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
