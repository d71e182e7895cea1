#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "smtp_client_script.h"

/* The envelope: features, MAIL, RCPT, DATA command, in a burst and one by one. */

#define HELLO	     "S: 220 mx\nC: EHLO relay.example\n"
#define PLAIN	     HELLO "S: 250 mx\nA: READY\n"
#define PIPE	     HELLO "S: 250-mx\nS: 250 PIPELINING\nA: READY\n"
#define CHUNK	     HELLO "S: 250-mx\nS: 250-PIPELINING\nS: 250 CHUNKING\nA: READY\n"
#define MAIL	     "C: MAIL FROM:<s@e.example>\n"
#define RCPT0	     "C: RCPT TO:<r0@d.example>\n"
#define RCPT1	     "C: RCPT TO:<r1@d.example>\n"
#define RCPT2	     "C: RCPT TO:<r2@d.example>\n"
#define DATA	     "C: DATA\n"
#define BURST1	     "X: begin\n" MAIL RCPT0 DATA
#define BURST1_RESET "X: begin\nC: RSET\n" MAIL RCPT0 DATA
#define BURST3	     "X: begin rcpt=3\n" MAIL RCPT0 RCPT1 RCPT2 DATA
#define BODY	     "A: WANT_BODY\nX: last hi\nC: hi\nC: .\n"

static const struct script one_by_one[] = {
    {"without PIPELINING",
     PLAIN "X: begin rcpt=2\n" MAIL "D: 300\nS: 250 m\n" RCPT0 "S: 250 r0\n" RCPT1 "S: 251 r1\n" DATA
	   "D: 120\nS: 354 go\n" BODY
	   "D: 600\nS: 250 taken\nA: DONE accepted dot 250 taken; accepted dot 250 taken\n"
	   "A: READY\nD: never\nX: begin\n" MAIL},
    {"MAIL refused", PLAIN "X: begin rcpt=2\n" MAIL
			   "S: 550 5.7.1 no\nA: DONE replied mail 550 no; replied mail 550 no\nA: READY\n"
			   "# nothing to reset\nX: begin\n" MAIL},
    {"all RCPT refused",
     PLAIN "X: begin rcpt=2\n" MAIL "S: 250 m\n" RCPT0 "S: 550 a\n" RCPT1 "S: 450 b\n"
	   "A: DONE replied rcpt 550 a; replied rcpt 450 b\nA: READY\nX: begin\nC: RSET\nS: 250 rset\n" MAIL},
    {"one RCPT refused",
     PLAIN "X: begin rcpt=2\n" MAIL "S: 250 m\n" RCPT0 "S: 550 a\n" RCPT1 "S: 250 b\n" DATA "S: 354 go\n" BODY
	   "S: 250 taken\nA: DONE replied rcpt 550 a; accepted dot 250 taken\nA: READY\nX: begin\n" MAIL},
    {"DATA refused", PLAIN "X: begin\n" MAIL "S: 250 m\n" RCPT0 "S: 250 a\n" DATA "S: 451 no\n"
			   "A: DONE replied data 451 no\nA: READY\nX: begin\nC: RSET\nS: 250 rset\n" MAIL},
    {"RSET refused",
     PLAIN "X: begin\n" MAIL "S: 250 m\n" RCPT0 "S: 550 a\nA: DONE replied rcpt 550 a\nA: READY\n"
	   "X: begin\nC: RSET\nS: 500 rset?\nA: DONE replied mail 500 rset?\n"
	   "A: FAILED replied mail 500 rset?\nA: CLOSE\n"},
    {"RSET answered with 354",
     PLAIN "X: begin\n" MAIL "S: 250 m\n" RCPT0 "S: 550 a\nA: DONE replied rcpt 550 a\nA: READY\n"
	   "X: begin\nC: RSET\nS: 354 rset?\nA: DONE garbage mail 0 impossible reply to RSET: 354 rset?\n"
	   "A: FAILED garbage mail 0 impossible reply to RSET: 354 rset?\nA: CLOSE\n"},
    {"pipelining switched off", PIPE "X: begin\n" MAIL, .no_pipelining = true},
    {"quit after a refusal needs no RSET",
     PLAIN "X: begin\n" MAIL "S: 250 m\n" RCPT0 "S: 550 a\nA: DONE replied rcpt 550 a\n"
	   "A: READY\nX: quit\nC: QUIT\nS: 221 bye\nA: CLOSE\n"},
    {"each reply has its own time",
     PLAIN "X: begin\n" MAIL "W: 200\nD: 100\nS: 250 m\n" RCPT0 "D: 300\nW: 299\nS: 250 a\n" DATA "D: 120\n"},
    {"what is read by the server counts as a sign of life",
     PLAIN "X: hold\nX: begin\nW: 200\nX: take 5\nD: 300\nX: flow\n" MAIL},
    {"quit long before the transaction ends",
     PLAIN "X: begin\n" MAIL "X: quit\nD: 300\nW: 100\nD: 200\nS: 550 m\nA: DONE replied mail 550 m\n"
	   "C: QUIT\nD: 5\nT: 5\nA: CLOSE\n"},
    {"quit in a transaction",
     PLAIN "X: begin\n" MAIL "X: quit\nD: 300\nS: 250 m\n" RCPT0 "S: 550 a\nA: DONE replied rcpt 550 a\n"
	   "C: QUIT\nD: 5\nS: 221 bye\nA: CLOSE\n"},
};

#define ASK3 "X: begin rcpt=3 ask\n" MAIL RCPT0 RCPT1 RCPT2

static const struct script questions[] = {
    {"one by one", PLAIN "X: begin rcpt=2 ask\n" MAIL "D: 300\nS: 250 m\n" RCPT0 "S: 250 a\n" RCPT1
			 "D: 300\nS: 550 b\nA: DONE accepted rcpt 250 a; replied rcpt 550 b\nA: READY\n"
			 "D: never\nX: begin\nC: RSET\nS: 250 reset\n" MAIL},
    {"in a burst, without DATA",
     PIPE ASK3 "S: 250 m\nS: 250 a\nS: 450 b\nS: 251 c\n"
	       "A: DONE accepted rcpt 250 a; replied rcpt 450 b; accepted rcpt 251 c\nA: READY\n"
	       "X: begin ask\nC: RSET\n" MAIL RCPT0 "S: 250 reset\nS: 250 m\nS: 550 a\n"
	       "A: DONE replied rcpt 550 a\nA: READY\n" BURST1_RESET},
    {"nothing in chunks either",
     CHUNK "X: begin ask\n" MAIL RCPT0 "S: 250 m\nS: 250 a\nA: DONE accepted rcpt 250 a\nA: READY\n"
	   "X: quit\nC: QUIT\nS: 221 bye\nA: CLOSE\n"},
    {"no SIZE of nothing", HELLO "S: 250-mx\nS: 250 SIZE 1000\nA: READY\nX: begin ask\n" MAIL},
    {"MAIL refused",
     PIPE ASK3 "S: 550 m\nS: 503 a\nS: 250 b\nS: 503 c\n"
	       "A: DONE replied mail 550 m; replied mail 550 m; replied mail 550 m\nA: READY\n"},
    {"the connection is lost between two answers",
     PIPE ASK3 "S: 250 m\nS: 250 a\nX: lost reset\n"
	       "A: DONE accepted rcpt 250 a; lost rcpt 0 reset; lost rcpt 0 reset\n"
	       "A: FAILED lost rcpt 0 reset\nA: CLOSE\n"},
};

static const struct script bursts[] = {
    {"all well", PIPE BURST3
     "S: 250 m\nS: 250 a\nS: 250 b\nS: 250 c\nS: 354 go\n" BODY "S: 250 2.0.0 taken\n"
     "A: DONE accepted dot 250 taken; accepted dot 250 taken; accepted dot 250 taken\nA: READY\n"},
    {"mixed", PIPE BURST3
     "S: 250 m\nS: 250 a\nS: 550 5.1.1 b\nS: 450 4.2.0 c\nS: 354 go\n" BODY "S: 250 taken\n"
     "A: DONE accepted dot 250 taken; replied rcpt 550 b; replied rcpt 450 c\nA: READY\nX: begin\n" MAIL RCPT0
	 DATA},
    {"each reply in a burst has its own time",
     PIPE BURST3 "W: 200\nD: 100\nS: 250 m\nD: 300\nW: 299\nS: 250 a\nD: 300\n"},
    {"nobody accepted, after a transaction that was", PIPE BURST1
     "S: 250 m\nS: 250 a\nS: 354 go\n" BODY "S: 250 taken\nA: DONE accepted dot 250 taken\nA: READY\n" BURST1
     "S: 250 m\nS: 550 a\nS: 354 go\nC: .\nS: 250 taken\nA: DONE replied rcpt 550 a\nA: READY\n" BURST1_RESET
     "S: 250 reset\nS: 550 m\nS: 550 a\nS: 503 d\nA: DONE replied mail 550 m\nA: READY\n" BURST1},
    {"mixed, the last accepted",
     PIPE BURST3 "S: 250 m\nS: 552 a\nS: 452 b\nS: 250 c\nS: 354 go\n" BODY "S: 554 spam\n"
		 "A: DONE replied rcpt 552 a; replied rcpt 452 b; replied dot 554 spam\nA: READY\n"},
    {"mixed, DATA refused",
     PIPE BURST3 "S: 250 m\nS: 250 a\nS: 550 b\nS: 250 c\nS: 451 busy\n"
		 "A: DONE replied data 451 busy; replied rcpt 550 b; replied data 451 busy\nA: READY\n"
		 "X: begin\nC: RSET\n" MAIL RCPT0 DATA "S: 250 reset\nS: 250 m\nS: 250 a\nS: 354 go\n" BODY
		 "S: 250 taken\nA: DONE accepted dot 250 taken\nA: READY\n"},
    {"MAIL refused", PIPE BURST3
     "S: 451 m\nS: 503 a\nS: 503 b\nS: 503 c\nS: 503 d\n"
     "A: DONE replied mail 451 m; replied mail 451 m; replied mail 451 m\nA: READY\nX: begin\n" MAIL RCPT0
	 DATA},
    {"MAIL refused, the rest not",
     PIPE BURST3 "S: 550 m\nS: 250 a\nS: 250 b\nS: 503 c\nS: 354 go\nC: .\nD: 300\nS: 250 taken\n"
		 "A: DONE replied mail 550 m; replied mail 550 m; replied mail 550 m\nA: READY\n"
		 "X: begin\nC: RSET\n" MAIL RCPT0 DATA},
    {"nobody accepted, 554",
     PIPE BURST3 "S: 250 m\nS: 550 a\nS: 551 b\nS: 552 c\nS: 554 no valid recipients\n"
		 "A: DONE replied rcpt 550 a; replied rcpt 551 b; replied rcpt 552 c\nA: READY\n"
		 "X: begin\nC: RSET\n" MAIL RCPT0 DATA},
    {"nobody accepted, 354, empty refused",
     PIPE BURST3 "S: 250 m\nS: 550 a\nS: 551 b\nS: 552 c\nS: 354 go\nC: .\nS: 554 no\n"
		 "A: DONE replied rcpt 550 a; replied rcpt 551 b; replied rcpt 552 c\nA: READY\n"
		 "X: begin\nC: RSET\n" MAIL RCPT0 DATA},
    {"nobody accepted, 354, empty taken",
     PIPE BURST3 "S: 250 m\nS: 550 a\nS: 551 b\nS: 552 c\nS: 354 go\nC: .\nS: 250 taken\n"
		 "A: DONE replied rcpt 550 a; replied rcpt 551 b; replied rcpt 552 c\nA: READY\n"},
    {"RSET is sent once",
     PIPE BURST1 "S: 550 m\nS: 550 a\nS: 354 go\nC: .\nS: 554 no\nA: DONE replied mail 550 m\nA: READY\n"
		 "X: begin\nC: RSET\n" MAIL RCPT0 "C: DATA\nS: 250 reset\nS: 550 m\nS: 503 a\nS: 503 d\n"
		 "A: DONE replied mail 550 m\nA: READY\nX: begin\n" MAIL RCPT0 "C: DATA\n"},
    {"nobody accepted, 354, empty answered with 354",
     PIPE BURST1 "S: 250 m\nS: 550 a\nS: 354 go\nC: .\nS: 354 more\nA: DONE replied rcpt 550 a\n"
		 "A: FAILED garbage data 0 impossible reply to an empty message: 354 more\nA: CLOSE\n"},
    {"nobody accepted, 354, empty unanswered",
     PIPE BURST1 "S: 250 m\nS: 550 a\nS: 354 go\nC: .\nT: 300\nA: DONE replied rcpt 550 a\n"
		 "A: FAILED timeout data 0 no reply to an empty message within 300 s\nA: CLOSE\n"},
    {"nobody accepted, 354, empty 421",
     PIPE BURST1 "S: 250 m\nS: 550 a\nS: 354 go\nC: .\nS: 421 bye\nA: DONE replied rcpt 550 a\n"
		 "A: FAILED replied data 421 bye\nA: CLOSE\n"},
    {"nobody accepted, 354, empty lost",
     PIPE BURST1 "S: 250 m\nS: 550 a\nS: 354 go\nC: .\nX: lost closed\nA: DONE replied rcpt 550 a\n"
		 "A: FAILED lost data 0 closed\nA: CLOSE\n"},
    {"nobody accepted, DATA 250",
     PIPE BURST1 "S: 250 m\nS: 550 a\nS: 250 taken\nA: DONE replied rcpt 550 a\n"
		 "A: FAILED garbage data 0 impossible reply to DATA: 250 taken\nA: CLOSE\n"},
};

/* 421, silence, loss and nonsense wherever a reply is awaited. */
#define GONE(words, outcome) words "A: DONE " outcome "\nA: FAILED " outcome "\nA: CLOSE\nD: never\n"
#define GONE2(words, outcome, second) \
	words "A: DONE " outcome "; " second "\nA: FAILED " second "\nA: CLOSE\n"
#define BURST2 "X: begin rcpt=2\n" MAIL RCPT0 RCPT1 DATA

static const struct script ends[] = {
    {"421 at MAIL", PIPE BURST1 GONE("S: 421 bye\n", "replied mail 421 bye")},
    {"421 at RCPT", PIPE BURST1 GONE("S: 250 m\nS: 421 bye\n", "replied rcpt 421 bye")},
    {"421 at the second RCPT, first accepted",
     PIPE BURST2 GONE2("S: 250 m\nS: 250 a\nS: 421 bye\n", "replied rcpt 421 bye", "replied rcpt 421 bye")},
    {"421 at the second RCPT, first refused",
     PIPE BURST2 GONE2("S: 250 m\nS: 550 a\nS: 421 bye\n", "replied rcpt 550 a", "replied rcpt 421 bye")},
    {"421 at DATA", PIPE BURST1 GONE("S: 250 m\nS: 250 a\nS: 421 bye\n", "replied data 421 bye")},
    {"421 at RSET",
     PLAIN "X: begin\n" MAIL "S: 250 m\n" RCPT0 "S: 550 a\nA: DONE replied rcpt 550 a\nA: READY\n"
	   "X: begin\nC: RSET\n" GONE("S: 421 bye\n", "replied mail 421 bye")},
    {"lost at MAIL", PIPE BURST1 GONE("X: lost reset\n", "lost mail 0 reset")},
    {"lost at RCPT", PIPE BURST1 GONE("S: 250 m\nX: lost reset\n", "lost rcpt 0 reset")},
    {"lost at the second RCPT",
     PIPE BURST2 GONE2("S: 250 m\nS: 550 a\nX: lost reset\n", "replied rcpt 550 a", "lost rcpt 0 reset")},
    {"lost at DATA", PIPE BURST1 GONE("S: 250 m\nS: 250 a\nX: lost reset\n", "lost data 0 reset")},
    {"lost at DATA, one refused", PIPE BURST2 GONE2("S: 250 m\nS: 550 a\nS: 250 b\nX: lost reset\n",
						    "replied rcpt 550 a", "lost data 0 reset")},
    {"silent at MAIL", PIPE BURST1 GONE("T: 300\n", "timeout mail 0 no reply to MAIL within 300 s")},
    {"silent at RCPT",
     PIPE BURST1 GONE("S: 250 m\nT: 300\n", "timeout rcpt 0 no reply to RCPT within 300 s")},
    {"silent at DATA",
     PIPE BURST1 GONE("S: 250 m\nS: 250 a\nT: 120\n", "timeout data 0 no reply to DATA within 120 s")},
    {"silent at RSET", PLAIN "X: begin\n" MAIL "S: 250 m\n" RCPT0
			     "S: 550 a\nA: DONE replied rcpt 550 a\nA: READY\nX: begin\nC: RSET\n" GONE(
				 "T: 300\n", "timeout mail 0 no reply to RSET within 300 s")},
    {"354 at MAIL", PIPE BURST1 GONE("S: 354 m\n", "garbage mail 0 impossible reply to MAIL: 354 m")},
    {"354 at RCPT",
     PIPE BURST1 GONE("S: 250 m\nS: 354 a\n", "garbage rcpt 0 impossible reply to RCPT: 354 a")},
    {"250 at DATA",
     PIPE BURST1 GONE("S: 250 m\nS: 250 a\nS: 250 d\n", "garbage data 0 impossible reply to DATA: 250 d")},
    {"nonsense at MAIL", PIPE BURST1 GONE("S: m\n", "garbage mail 0 the server does not speak SMTP")},
    {"nonsense at RCPT",
     PIPE BURST1 GONE("S: 250 m\nS: a\n", "garbage rcpt 0 the server does not speak SMTP")},
    {"150 at RCPT",
     PIPE BURST1 GONE("S: 250 m\nS: 150 wait\n", "garbage rcpt 0 the server does not speak SMTP")},
    {"body fails before it is wanted",
     PIPE BURST1 GONE("S: 250 m\nX: body_failed\n", "lost body 0 the stored message could not be read")},
    {"the transport does not take the burst",
     PIPE "X: hold\nX: begin\n" GONE("T: 300\n", "timeout mail 0 no reply to MAIL within 300 s")},
    {"begin after the end", PIPE "X: lost closed\nA: FAILED lost mail 0 closed\nA: CLOSE\nX: begin\n"},
};

static const struct script features[] = {
    {"everything",
     HELLO "S: 250-mx\nS: 250-SIZE 100\nS: 250-8BITMIME\nS: 250-SMTPUTF8\nS: 250-DSN\nS: 250 Size\nA: READY\n"
	   "X: begin rcpt=2 size=100 8bit utf8 full envid=abc+3D dsn sender=\n"
	   "C: MAIL FROM:<> SIZE=100 BODY=8BITMIME SMTPUTF8 RET=FULL ENVID=abc+3D\nS: 250 m\n"
	   "C: RCPT TO:<r0@d.example> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;x@y\nS: 250 a\n"
	   "C: RCPT TO:<r1@d.example> NOTIFY=NEVER\n"},
    {"headers only",
     HELLO "S: 250-mx\nS: 250 DSN\nA: READY\nX: begin hdrs\nC: MAIL FROM:<s@e.example> RET=HDRS\n"},
    {"offered and not needed", HELLO
     "S: 250-mx\nS: 250-8BITMIME\nS: 250-SMTPUTF8\nS: 250 DSN\nA: READY\nX: begin\n" MAIL "S: 250 m\n" RCPT0},
    {"needed and not offered", PLAIN "X: begin 8bit full envid=abc dsn\n" MAIL "S: 250 m\n" RCPT0},
    {"no SMTPUTF8", PLAIN "X: begin rcpt=2 utf8\nA: DONE not_tried feature 0 message needs SMTPUTF8, which "
			  "the server does not offer; "
			  "not_tried feature 0 message needs SMTPUTF8, which the server does not offer\nA: "
			  "READY\nX: begin\n" MAIL},
    {"size at the limit",
     HELLO "S: 250-mx\nS: 250 SIZE 100\nA: READY\nX: begin size=100\nC: MAIL FROM:<s@e.example> SIZE=100\n"},
    {"size below the limit",
     HELLO "S: 250-mx\nS: 250 SIZE 100\nA: READY\nX: begin size=99\nC: MAIL FROM:<s@e.example> SIZE=99\n"},
    {"size above the limit", HELLO "S: 250-mx\nS: 250 SIZE 100\nA: READY\nX: begin size=101\n"
				   "A: DONE not_tried feature 0 message of 101 bytes is larger than the "
				   "server's limit of 100\nA: READY\nX: quit\nC: QUIT\n"},
    {"size without limit",
     HELLO "S: 250-mx\nS: 250 SIZE 0\nA: READY\nX: begin size=101\nC: MAIL FROM:<s@e.example> SIZE=101\n"},
    {"sender that would break the line",
     PLAIN "X: begin sender=a\rb\nA: DONE not_tried feature 0 an address of the envelope has bytes "
	   "that cannot be sent\nA: READY\n"},
    {"no recipient", PIPE "X: begin rcpt=0\nC: MAIL FROM:<s@e.example>\nS: 250 m\nA: DONE\nA: READY\n"},
};

static void plays_one_by_one(void **state)
{
	SCRIPT_CHECK_ALL(one_by_one);
}

static void plays_questions(void **state)
{
	SCRIPT_CHECK_ALL(questions);
}

static void plays_bursts(void **state)
{
	SCRIPT_CHECK_ALL(bursts);
}

static void plays_ends(void **state)
{
	SCRIPT_CHECK_ALL(ends);
}

static void plays_features(void **state)
{
	SCRIPT_CHECK_ALL(features);
}

/* ---- the window ---- */

static struct smtp_client *ready_client(const char *ehlo)
{
	struct smtp_client_config config;
	enum smtp_client_action action = SMTP_CLIENT_WAIT;
	const char *const replies[] = {"220 mx\r\n", ehlo};

	smtp_client_config_defaults(&config, "relay.example");
	struct smtp_client *c = smtp_client_new(&config, 0);
	assert_non_null(c);
	for (size_t i = 0; i < 2; i++) {
		struct slice input = slice_of(replies[i]);
		action = smtp_client_step(c, &input, 0);
		smtp_client_sent(c, smtp_client_output(c).size, 0);
	}
	assert_int_equal(action, SMTP_CLIENT_READY);
	return c;
}

static uint32_t lines(struct slice s)
{
	uint32_t count = 0;

	for (size_t i = 0; i < s.size; i++)
		count += s.data[i] == '\n';
	return count;
}

static const char *reply_to(uint32_t command, uint32_t recipients, char text[64])
{
	if (command == 0)
		return "250 mail\r\n";
	if (command > recipients)
		return "354 go\r\n";
	(void)snprintf(text, 64, "%s r%u\r\n", command % 3 == 0 ? "550" : "250", command - 1);
	return text;
}

/* At most 100 commands are unanswered; all are sent in the end; recipient i gets reply i. */
static void keep_to_the_window(uint32_t recipients)
{
	struct smtp_client *c = ready_client("250-mx\r\n250 PIPELINING\r\n");
	struct smtp_client_recipient *r = test_calloc(recipients, sizeof(*r));
	struct smtp_client_transaction t = {
	    .reverse_path = SLICE("s@e"), .size_bytes = 0, .recipient_count = recipients, .recipients = r};
	uint32_t sent = 0, answered = 0;
	char text[64];
	enum smtp_client_action action = SMTP_CLIENT_WAIT;

	for (uint32_t i = 0; i < recipients; i++)
		r[i].forward_path = SLICE("r@d");
	smtp_client_begin(c, &t, 0);
	while (answered < recipients + 2) {
		assert_int_equal(action, SMTP_CLIENT_WAIT);
		sent += lines(smtp_client_output(c));
		smtp_client_sent(c, smtp_client_output(c).size, 0);
		assert_int_equal(sent - answered,
				 recipients + 2 - answered < 100 ? recipients + 2 - answered : 100);
		struct slice input = slice_of(reply_to(answered++, recipients, text));
		action = smtp_client_step(c, &input, 0);
	}
	assert_int_equal(action, SMTP_CLIENT_WANT_BODY);
	assert_int_equal(sent, recipients + 2);
	assert_int_equal(smtp_client_body(c, SLICE(""), true, 0), 0);
	smtp_client_sent(c, smtp_client_output(c).size, 0);
	struct slice input = SLICE("250 taken\r\n");
	assert_int_equal(smtp_client_step(c, &input, 0), SMTP_CLIENT_DONE);
	for (uint32_t i = 0; i < recipients; i++) {
		bool refused = (i + 1) % 3 == 0;
		(void)snprintf(text, sizeof(text), "r%u", i);
		assert_int_equal(r[i].outcome.end, refused ? CLIENT_REPLIED : CLIENT_ACCEPTED);
		assert_string_equal(r[i].outcome.reply.text, refused ? text : "taken");
	}
	test_free(r);
	smtp_client_free(c);
}

static void keeps_to_the_window(void **state)
{
	keep_to_the_window(97);
	keep_to_the_window(98);
	keep_to_the_window(99);
	keep_to_the_window(1000);
}

/* Once MAIL is known to be refused, the recipients beyond the window are not sent. */
static void stops_when_mail_is_refused(void **state)
{
	enum { RECIPIENTS = 500 };
	struct smtp_client *c = ready_client("250-mx\r\n250 PIPELINING\r\n");
	struct smtp_client_recipient *r = test_calloc(RECIPIENTS, sizeof(*r));
	struct smtp_client_transaction t = {
	    .reverse_path = SLICE("s@e"), .recipient_count = RECIPIENTS, .recipients = r};
	enum smtp_client_action action = SMTP_CLIENT_WAIT;

	for (uint32_t i = 0; i < RECIPIENTS; i++)
		r[i].forward_path = SLICE("r@d");
	smtp_client_begin(c, &t, 0);
	assert_int_equal(lines(smtp_client_output(c)), 100);
	smtp_client_sent(c, smtp_client_output(c).size, 0);
	for (uint32_t i = 0; i < 100; i++) {
		assert_int_equal(action, SMTP_CLIENT_WAIT);
		struct slice input = i == 0 ? SLICE("452 full\r\n") : SLICE("503 no\r\n");
		action = smtp_client_step(c, &input, 0);
		assert_int_equal(smtp_client_output(c).size, 0);
	}
	assert_int_equal(action, SMTP_CLIENT_DONE);
	for (uint32_t i = 0; i < RECIPIENTS; i++)
		assert_string_equal(r[i].outcome.reply.text, "full");
	test_free(r);
	smtp_client_free(c);
}

/* A reply that had begun before the transaction did is no reply to MAIL. */
static void stray_bytes_are_no_reply(void **state)
{
	struct smtp_client *c = ready_client("250-mx\r\n250 PIPELINING\r\n");
	struct smtp_client_recipient r = {.forward_path = SLICE("r@d")};
	struct smtp_client_transaction t = {
	    .reverse_path = SLICE("s@e"), .recipient_count = 1, .recipients = &r};
	struct slice first = SLICE("250 o"), rest = SLICE("k\r\n");

	assert_int_equal(smtp_client_step(c, &first, 0), SMTP_CLIENT_WAIT);
	smtp_client_begin(c, &t, 0);
	smtp_client_sent(c, smtp_client_output(c).size, 0);
	assert_int_equal(smtp_client_step(c, &rest, 0), SMTP_CLIENT_DONE);
	assert_int_equal(r.outcome.end, CLIENT_GARBAGE);
	assert_int_equal(smtp_client_step(c, &rest, 0), SMTP_CLIENT_FAILED);
	smtp_client_free(c);
}

static void notes_times(void **state)
{
	struct smtp_client *c = ready_client("250-mx\r\n250 PIPELINING\r\n");
	struct smtp_client_recipient r = {.forward_path = SLICE("r@d")};
	struct smtp_client_transaction t = {
	    .reverse_path = SLICE("s@e"), .recipient_count = 1, .recipients = &r};
	struct slice input = SLICE("250 m\r\n");

	smtp_client_begin(c, &t, 10);
	smtp_client_sent(c, smtp_client_output(c).size, 11);
	(void)smtp_client_step(c, &input, 12);
	assert_int_equal(t.mail_reply.code, 250);
	input = SLICE("250 r\r\n354 go\r\n");
	assert_int_equal(smtp_client_step(c, &input, 13), SMTP_CLIENT_WANT_BODY);
	assert_int_equal(t.dot_sent_us, 0);
	assert_int_equal(smtp_client_body(c, SLICE(""), true, 14), 0);
	assert_int_equal(t.dot_sent_us, 14);
	smtp_client_sent(c, 1, 15);
	assert_int_equal(t.dot_sent_us, 14);
	smtp_client_sent(c, 2, 16);
	input = SLICE("250 ok\r\n");
	assert_int_equal(smtp_client_step(c, &input, 17), SMTP_CLIENT_DONE);
	assert_int_equal(t.mail_sent_us, 10);
	assert_int_equal(t.mail_reply_us, 12);
	assert_int_equal(t.dot_sent_us, 16);
	assert_int_equal(t.done_us, 17);
	smtp_client_free(c);
}

/* The time of the end is when the transport had taken all of it, in every transaction of a session. */
static void notes_times_again(void **state)
{
	struct smtp_client *c = ready_client("250-mx\r\n250 PIPELINING\r\n");
	struct smtp_client_recipient r = {.forward_path = SLICE("r@d")};
	struct smtp_client_transaction t = {
	    .reverse_path = SLICE("s@e"), .recipient_count = 1, .recipients = &r};

	for (int64_t now_us = 10; now_us < 40; now_us += 10) {
		struct slice replies = SLICE("250 m\r\n250 r\r\n354 go\r\n"), end = SLICE("250 ok\r\n"),
			     none = SLICE("");
		smtp_client_begin(c, &t, now_us);
		/* READY, which was still to be said, is void by that. */
		assert_int_equal(smtp_client_step(c, &none, now_us), SMTP_CLIENT_WAIT);
		smtp_client_sent(c, smtp_client_output(c).size, now_us);
		assert_int_equal(smtp_client_step(c, &replies, now_us), SMTP_CLIENT_WANT_BODY);
		assert_int_equal(smtp_client_body(c, SLICE(""), true, now_us + 1), 0);
		smtp_client_sent(c, smtp_client_output(c).size, now_us + 2);
		assert_int_equal(smtp_client_step(c, &end, now_us + 3), SMTP_CLIENT_DONE);
		assert_int_equal(t.dot_sent_us, now_us + 2);
		assert_int_equal(t.done_us, now_us + 3);
	}
	smtp_client_free(c);
}

/* Between DONE and READY the connection is lost: READY is not said any more, and a new transaction ends at
 * once. */
static void end_between_done_and_ready(bool again)
{
	struct smtp_client *c = ready_client("250 mx\r\n");
	struct smtp_client_recipient r = {.forward_path = SLICE("r@d")};
	struct smtp_client_transaction t = {
	    .reverse_path = SLICE("s@e"), .recipient_count = 1, .recipients = &r};
	struct slice refusal = SLICE("550 no\r\n"), none = SLICE("");

	smtp_client_begin(c, &t, 0);
	smtp_client_sent(c, smtp_client_output(c).size, 0);
	assert_int_equal(smtp_client_step(c, &refusal, 0), SMTP_CLIENT_DONE);
	smtp_client_connection_lost(c, "reset", 0);
	if (again)
		smtp_client_begin(c, &t, 0);
	assert_int_equal(smtp_client_step(c, &none, 0), again ? SMTP_CLIENT_DONE : SMTP_CLIENT_FAILED);
	if (!again) {
		assert_int_equal(r.outcome.end, CLIENT_REPLIED);
		assert_int_equal(smtp_client_step(c, &none, 0), SMTP_CLIENT_CLOSE);
		smtp_client_free(c);
		return;
	}
	assert_int_equal(r.outcome.end, CLIENT_LOST);
	assert_int_equal(r.outcome.stage, CLIENT_STAGE_MAIL);

	assert_int_equal(smtp_client_step(c, &none, 0), SMTP_CLIENT_FAILED);
	assert_int_equal(smtp_client_step(c, &none, 0), SMTP_CLIENT_CLOSE);
	smtp_client_free(c);
}

static void ends_between_done_and_ready(void **state)
{
	end_between_done_and_ready(false);
	end_between_done_and_ready(true);
}

static void refuses_unsendable_addresses(void **state)
{
	static const struct {
		struct slice path, orcpt, envid;
		bool sendable;
	} table[] = {
	    {SLICE("r@d"), SLICE(""), SLICE(""), true},
	    {SLICE("\"a b\"@d"), SLICE("rfc822;x"), SLICE("id"), true},
	    {SLICE("r\xc3\xa4@d"), SLICE(""), SLICE(""), true},
	    {SLICE(""), SLICE(""), SLICE(""), false},
	    {SLICE("r@d>\r\nRCPT TO:<x@y"), SLICE(""), SLICE(""), false},
	    {SLICE("r\0@d"), SLICE(""), SLICE(""), false},
	    {SLICE("r\x7f@d"), SLICE(""), SLICE(""), false},
	    {SLICE("r@d"), SLICE("a b"), SLICE(""), false},
	    {SLICE("r@d"), SLICE(""), SLICE("a\nb"), false},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct smtp_client *c = ready_client("250-mx\r\n250 DSN\r\n");
		struct smtp_client_recipient r = {.forward_path = table[i].path, .orcpt = table[i].orcpt};
		struct smtp_client_transaction t = {.reverse_path = SLICE("s@e"),
						    .envid = table[i].envid,
						    .recipient_count = 1,
						    .recipients = &r};
		struct slice none = SLICE("");
		smtp_client_begin(c, &t, 0);
		assert_int_equal(smtp_client_step(c, &none, 0),
				 table[i].sendable ? SMTP_CLIENT_WAIT : SMTP_CLIENT_DONE);
		assert_int_equal(smtp_client_output(c).size > 0, table[i].sendable);
		smtp_client_free(c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(plays_one_by_one),
	    cmocka_unit_test(plays_questions),
	    cmocka_unit_test(plays_bursts),
	    cmocka_unit_test(plays_ends),
	    cmocka_unit_test(plays_features),
	    cmocka_unit_test(keeps_to_the_window),
	    cmocka_unit_test(stops_when_mail_is_refused),
	    cmocka_unit_test(stray_bytes_are_no_reply),
	    cmocka_unit_test(notes_times),
	    cmocka_unit_test(notes_times_again),
	    cmocka_unit_test(ends_between_done_and_ready),
	    cmocka_unit_test(refuses_unsendable_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
