#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "smtp_client_script.h"

/* The message: after DATA, in chunks, and what its end can meet with. */

#define HELLO		     "S: 220 mx\nC: EHLO relay.example\n"
#define MAIL		     "C: MAIL FROM:<s@e.example>\n"
#define RCPT0		     "C: RCPT TO:<r0@d.example>\n"
#define RCPT1		     "C: RCPT TO:<r1@d.example>\n"
#define GONE(words, outcome) words "A: DONE " outcome "\nA: FAILED " outcome "\nA: CLOSE\nD: never\n"

/* In the body after DATA, with 8 bytes to come. */
#define IN_DATA                                                                      \
	HELLO "S: 250-mx\nS: 250 PIPELINING\nA: READY\nX: begin size=8\n" MAIL RCPT0 \
	      "C: DATA\nS: 250 m\nS: 250 a\nS: 354 go\nA: WANT_BODY\n"
#define AT_DOT IN_DATA "X: body ab\nC: ab\nA: WANT_BODY\nX: last cd\nC: cd\nC: .\n"

static const struct script data[] = {
    {"pieces", AT_DOT
     "S: 250 taken\nA: DONE accepted dot 250 taken\nA: READY\nD: never\nX: begin\n" MAIL RCPT0 "C: DATA\n"},
    {"one piece", IN_DATA "D: never\nX: last 123456\nC: 123456\nC: .\nD: 600\nS: 250 taken\nA: DONE accepted "
			  "dot 250 taken\nA: READY\n"},
    {"an empty last piece", IN_DATA "X: body 123456\nC: 123456\nA: WANT_BODY\nX: last \\0\nC: .\n"},
    {"an empty piece in between", IN_DATA "X: body \\0\nA: WANT_BODY\nX: last 123456\nC: 123456\nC: .\n"},
    {"dots", IN_DATA "X: body .\nC: ..\nA: WANT_BODY\nX: raw .\nA: WANT_BODY\nX: raw .\nA: WANT_BODY\nX: "
		     "rawlast a.b\nC: ...a.b\nC: .\n"},
    {"no line end at the end", IN_DATA "X: rawlast 12345678\nC: 12345678\nC: .\n"},
    {"refused",
     AT_DOT "S: 554 5.6.0 spam\nA: DONE replied dot 554 spam\nA: READY\nX: begin\n" MAIL RCPT0 "C: DATA\n"},
    {"deferred",
     AT_DOT "S: 452 4.3.1 full\nA: DONE replied dot 452 full\nA: READY\nX: begin\n" MAIL RCPT0 "C: DATA\n"},
    {"421 at the dot", AT_DOT GONE("S: 421 bye\n", "replied dot 421 bye")},
    {"354 at the dot", AT_DOT GONE("S: 354 go\n", "garbage dot 0 impossible reply to the message: 354 go")},
    {"nonsense at the dot", AT_DOT GONE("S: ok\n", "garbage dot 0 the server does not speak SMTP")},
    {"lost at the dot", AT_DOT GONE("X: lost reset\n", "lost dot 0 reset")},
    {"silent at the dot", AT_DOT GONE("T: 600\n", "timeout dot 0 no reply to the message within 600 s")},
    {"store fails behind the dot",
     AT_DOT "X: body_failed\nD: 600\nS: 250 taken\nA: DONE accepted dot 250 taken\nA: READY\n"},
    {"a body that nobody asked for",
     AT_DOT "X: body ab\nS: 250 taken\nA: DONE accepted dot 250 taken\nA: READY\nX: last x\n"},
    {"421 in the body", IN_DATA GONE("S: 421 bye\n", "replied body 421 bye")},
    {"552 in the body",
     IN_DATA "X: body ab\nC: ab\nA: WANT_BODY\n" GONE("S: 552 big\n", "replied body 552 big")},
    {"250 in the body", IN_DATA GONE("S: 250 ok\n", "garbage body 0 a reply to nothing: 250 ok")},
    {"nonsense in the body", IN_DATA GONE("S: ok\n", "garbage body 0 the server does not speak SMTP")},
    {"lost in the body",
     IN_DATA "X: body ab\nC: ab\nA: WANT_BODY\n" GONE("X: lost reset\n", "lost body 0 reset")},
    {"store fails", IN_DATA "X: body ab\nC: ab\nA: WANT_BODY\n" GONE(
			"X: body_failed\n", "lost body 0 the stored message could not be read")},
    {"too much", IN_DATA "X: body ab\nC: ab\nA: WANT_BODY\n" GONE(
		     "X: body cde\n", "lost body 0 stored message has the wrong size")},
    {"too much in the last",
     IN_DATA GONE("X: last 1234567\n", "lost body 0 stored message has the wrong size")},
    {"too little", IN_DATA GONE("X: last 12345\n", "lost body 0 stored message has the wrong size")},
    {"nothing at all", IN_DATA GONE("X: last \\0\n", "lost body 0 stored message has the wrong size")},
    {"what was not sent yet is dropped", IN_DATA
     "X: hold\nX: body ab\nA: WANT_BODY\nX: take 1\n" GONE("X: last c\nC: a\n",
							   "lost body 0 stored message has the wrong size")},
    {"sending stops in the body", IN_DATA "X: hold\nX: body ab\nA: WANT_BODY\nD: 180\n" GONE(
				      "T: 180\n", "timeout body 0 the server stopped reading the message")},
    {"sending stops at the dot", IN_DATA "X: hold\nX: last 123456\nD: 180\n" GONE(
				     "T: 180\n", "timeout dot 0 no reply to the message within 180 s")},
    {"sending stops before the last byte",
     IN_DATA "X: hold\nX: last 123456\nX: take 10\nC: 123456\nD: 180\nX: take 1\nC: .\nD: 600\nS: 250 "
	     "taken\nA: DONE accepted dot 250 taken\nA: READY\n"},
    {"lost with the end unsent",
     IN_DATA "X: hold\nX: last 123456\n" GONE("X: lost reset\n", "lost dot 0 reset")},
    {"250 to an end that was not sent", IN_DATA "X: hold\nX: last 123456\nX: take 10\nC: 123456\n" GONE(
					    "S: 250 ok\n", "garbage dot 0 a reply to nothing: 250 ok")},
    {"552 to an end that was not sent",
     IN_DATA "X: hold\nX: last 123456\nX: take 10\nC: 123456\n" GONE("S: 552 big\n", "replied dot 552 big")},
    {"progress in sending", IN_DATA "X: hold\nX: body ab\nA: WANT_BODY\nW: 100\nD: 80\nX: take 1\nD: 180\nW: "
				    "170\nX: last cd\nD: 10\nX: take 2\n"
				    "D: 180\nX: flow\nC: ab\nC: cd\nC: .\nD: 600\nW: 500\nD: 100\n"},
    {"the owner's time is not the server's", IN_DATA "W: 10000\nX: hold\nX: body ab\nA: WANT_BODY\nD: 180\n"},
    {"quit at the dot",
     AT_DOT "X: quit\nD: 600\nS: 250 taken\nA: DONE accepted dot 250 taken\nC: QUIT\nS: 221 bye\nA: CLOSE\n"},
};

/* With CHUNKING, 8 bytes to come; WAITING: without PIPELINING. */
#define IN_CHUNKS                                                                                     \
	HELLO "S: 250-mx\nS: 250-PIPELINING\nS: 250 CHUNKING\nA: READY\nX: begin size=8\n" MAIL RCPT0 \
	      "S: 250 m\nS: 250 a\nA: WANT_BODY\n"
#define WAITING                                                                                 \
	HELLO "S: 250-mx\nS: 250 CHUNKING\nA: READY\nX: begin size=8\n" MAIL "S: 250 m\n" RCPT0 \
	      "S: 250 a\nA: WANT_BODY\n"
#define ONE_CHUNK IN_CHUNKS "X: body ab\nC: BDAT 4\nC: ab\nA: WANT_BODY\n"
#define TWO_CHUNKS                                                                                       \
	IN_CHUNKS "X: body \\0\nA: WANT_BODY\nX: raw ab\nC: BDAT 2\nA: WANT_BODY\nX: raw cd\nC: abBDAT " \
		  "2\nA: WANT_BODY\n"
#define AT_LAST	    IN_CHUNKS "X: last 123456\nC: BDAT 8 LAST\nC: 123456\n"
#define CHUNK_RESET "A: READY\nX: begin\nC: RSET\n" MAIL RCPT0

static const struct script chunks[] = {
    {"one chunk",
     AT_LAST "D: 600\nS: 250 taken\nA: DONE accepted dot 250 taken\nA: READY\nX: begin\n" MAIL RCPT0},
    {"the last chunk waits for the others",
     ONE_CHUNK "D: 180\nX: last cd\nD: 180\nS: 250 4 octets\nC: BDAT 4 LAST\nC: cd\nD: 600\nS: 250 taken\nA: "
	       "DONE accepted dot 250 taken\nA: READY\n"},
    {"the last chunk does not wait when the others are answered",
     ONE_CHUNK "S: 250 4 octets\nD: never\nX: last cd\nC: BDAT 4 LAST\nC: cd\nS: 250 taken\nA: DONE accepted "
	       "dot 250 taken\nA: READY\n"},
    {"one after the other without PIPELINING",
     WAITING "X: body ab\nC: BDAT 4\nC: ab\nD: 180\nS: 250 4 octets\nA: WANT_BODY\nX: last cd\nC: BDAT 4 "
	     "LAST\nC: cd\nS: 250 taken\n"
	     "A: DONE accepted dot 250 taken\nA: READY\n"},
    {"an empty last chunk",
     IN_CHUNKS "X: body 123456\nC: BDAT 8\nC: 123456\nA: WANT_BODY\nX: last \\0\nS: 250 ok\nC: BDAT 0 LAST\n"
	       "S: 250 taken\nA: DONE accepted dot 250 taken\nA: READY\n"},
    {"dots stay as they are", IN_CHUNKS "X: last .a...x\nC: BDAT 8 LAST\nC: .a...x\n"},
    {"no line end is added",
     IN_CHUNKS "X: rawlast 12345678\nC: BDAT 8 LAST\nS: 554 no\nA: DONE replied dot 554 no\nC: 12345678\n"
	       "A: READY\n"},
    {"chunking switched off",
     HELLO "S: 250-mx\nS: 250 CHUNKING\nA: READY\nX: begin\n" MAIL "S: 250 m\n" RCPT0 "S: 250 a\nC: DATA\n",
     .no_chunking = true},
    {"nobody accepted", HELLO "S: 250-mx\nS: 250-PIPELINING\nS: 250 CHUNKING\nA: READY\nX: begin\n" MAIL RCPT0
			      "S: 250 m\nS: 550 a\nA: DONE replied rcpt 550 a\n" CHUNK_RESET},
    {"MAIL refused", HELLO "S: 250-mx\nS: 250-PIPELINING\nS: 250 CHUNKING\nA: READY\nX: begin\n" MAIL RCPT0
			   "S: 550 m\nS: 250 a\nA: DONE replied mail 550 m\nA: READY\nX: begin\n" MAIL RCPT0},
    {"mixed",
     HELLO "S: 250-mx\nS: 250-PIPELINING\nS: 250 CHUNKING\nA: READY\nX: begin rcpt=2\n" MAIL RCPT0 RCPT1
	   "S: 250 m\nS: 550 a\nS: 250 b\nA: WANT_BODY\nX: last hi\nC: BDAT 4 LAST\nC: hi\nS: 250 taken\n"
	   "A: DONE replied rcpt 550 a; accepted dot 250 taken\nA: READY\n"},
    {"LAST refused", AT_LAST "S: 554 spam\nA: DONE replied dot 554 spam\n" CHUNK_RESET},
    {"421 at LAST", AT_LAST GONE("S: 421 bye\n", "replied dot 421 bye")},
    {"354 at LAST", AT_LAST GONE("S: 354 go\n", "garbage dot 0 impossible reply to BDAT LAST: 354 go")},
    {"lost at LAST", AT_LAST GONE("X: lost reset\n", "lost dot 0 reset")},
    {"silent at LAST", AT_LAST GONE("T: 600\n", "timeout dot 0 no reply to BDAT LAST within 600 s")},
    {"a chunk refused while the next is being read",
     ONE_CHUNK "S: 552 big\nA: DONE replied body 552 big\n" CHUNK_RESET},
    {"a chunk refused, late body",
     ONE_CHUNK "S: 552 big\nA: DONE replied body 552 big\nA: READY\nX: last cd\n"},
    {"a chunk refused with the last kept back",
     ONE_CHUNK "X: last cd\nS: 552 big\nA: DONE replied body 552 big\n" CHUNK_RESET},
    {"a chunk refused, more on the way",
     TWO_CHUNKS "X: rawlast efgh\nS: 452 full\nD: 180\nS: 503 no\nA: DONE replied body 452 full\nC: cd\n"
		"A: READY\n"},
    {"a chunk refused, the next taken", TWO_CHUNKS
     "S: 452 full\nS: 250 why not\nA: DONE replied body 452 full\nA: READY\nX: begin\nC: cdRSET\n" MAIL
	 RCPT0},
    {"the second chunk refused",
     TWO_CHUNKS "S: 250 ok\nS: 452 full\nA: DONE replied body 452 full\nA: READY\n"
		"X: quit\nC: cdQUIT\n"},
    {"a chunk refused, and the body comes",
     TWO_CHUNKS "S: 452 full\nX: rawlast efgh\nS: 503 no\nA: DONE replied body 452 full\nA: READY\nX: "
		"quit\nC: cdQUIT\n"},
    {"a chunk refused, and a piece of the body comes", TWO_CHUNKS
     "S: 452 full\nX: raw ef\nS: 250 ok\nA: DONE replied body 452 full\nA: READY\nX: quit\nC: cdQUIT\n"},
    {"nobody accepted, after a transaction that was",
     AT_LAST "S: 250 taken\nA: DONE accepted dot 250 taken\nA: READY\nX: begin size=8\n" MAIL RCPT0
	     "S: 250 m\nS: 550 a\nA: DONE replied rcpt 550 a\n" CHUNK_RESET},
    {"two chunks refused", TWO_CHUNKS "S: 452 full\nS: 503 no\nA: DONE replied body 452 full\nA: READY\nX: "
				      "last efgh\nX: begin\nC: cdRSET\n" MAIL RCPT0},
    {"a chunk refused, then lost", TWO_CHUNKS
     "S: 452 full\nX: lost reset\nA: DONE replied body 452 full\nA: FAILED lost body 0 reset\nA: CLOSE\n"},
    {"421 at a chunk", ONE_CHUNK GONE("S: 421 bye\n", "replied body 421 bye")},
    {"354 at a chunk", ONE_CHUNK GONE("S: 354 go\n", "garbage body 0 impossible reply to BDAT: 354 go")},
    {"lost at a chunk", ONE_CHUNK GONE("X: lost reset\n", "lost body 0 reset")},
    {"store fails with the last kept back",
     ONE_CHUNK "X: last cd\nX: body_failed\nS: 250 ok\nC: BDAT 4 LAST\nC: cd\n"},
    {"chunks again in the next transaction",
     AT_LAST "S: 250 taken\nA: DONE accepted dot 250 taken\nA: READY\nX: begin size=8\n" MAIL RCPT0
	     "S: 250 m\nS: 250 a\nA: WANT_BODY\nX: body ab\nC: BDAT 4\nC: ab\nA: WANT_BODY\n"},
    {"lost with the last kept back", ONE_CHUNK "X: last cd\n" GONE("X: lost reset\n", "lost body 0 reset")},
    {"silent at a chunk", ONE_CHUNK GONE("T: 180\n", "timeout body 0 no reply to BDAT within 180 s")},
    {"store fails", ONE_CHUNK GONE("X: body_failed\n", "lost body 0 the stored message could not be read")},
    {"too little", ONE_CHUNK GONE("X: last c\n", "lost body 0 stored message has the wrong size")},
    {"too much", ONE_CHUNK GONE("X: body cde\n", "lost body 0 stored message has the wrong size")},
    {"250 to nothing", IN_CHUNKS GONE("S: 250 ok\n", "garbage body 0 a reply to nothing: 250 ok")},
    {"452 to nothing", IN_CHUNKS GONE("S: 452 full\n", "replied body 452 full")},
    {"250 before the last chunk was sent",
     IN_CHUNKS "X: hold\nX: last 123456\n" GONE("S: 250 ok\n", "garbage dot 0 a reply to nothing: 250 ok")},
};

static void plays_data(void **state)
{
	SCRIPT_CHECK_ALL(data);
}

static void plays_chunks(void **state)
{
	SCRIPT_CHECK_ALL(chunks);
}

/* ---- without scripts ---- */

struct session {
	struct smtp_client *c;
	struct smtp_client_recipient r;
	struct smtp_client_transaction t;
};

static enum smtp_client_action say(struct session *s, const char *reply)
{
	struct slice input = slice_of(reply);
	enum smtp_client_action action = smtp_client_step(s->c, &input, 0);

	smtp_client_sent(s->c, smtp_client_output(s->c).size, 0);
	return action;
}

/* Until WANT_BODY. */
static void session_open(struct session *s, uint64_t size, bool chunking)
{
	struct smtp_client_config config;

	smtp_client_config_defaults(&config, "relay.example");
	*s = (struct session){.c = smtp_client_new(&config, 0), .r = {.forward_path = SLICE("r@d")}};
	assert_non_null(s->c);
	s->t =
	    (struct smtp_client_transaction){.size_bytes = size, .recipient_count = 1, .recipients = &s->r};
	(void)say(s, "220 mx\r\n");
	(void)say(s,
		  chunking ? "250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n" : "250-mx\r\n250 PIPELINING\r\n");
	smtp_client_begin(s->c, &s->t, 0);
	(void)say(s, "");
	assert_int_equal(say(s, chunking ? "250 m\r\n250 r\r\n" : "250 m\r\n250 r\r\n354 go\r\n"),
			 SMTP_CLIENT_WANT_BODY);
}

enum { STUFFED_MAX = 64 };

/* RFC 5321 §4.5.2, byte by byte. */
static size_t stuff_slowly(struct slice body, char to[STUFFED_MAX])
{
	size_t size = 0;

	for (size_t i = 0; i < body.size; i++) {
		if (body.data[i] == '.' && (i == 0 || body.data[i - 1] == '\n'))
			to[size++] = '.';
		to[size++] = body.data[i];
	}
	if (size > 0 && !(body.size >= 2 && memcmp(body.data + body.size - 2, "\r\n", 2) == 0)) {
		to[size++] = '\r';
		to[size++] = '\n';
	}
	to[size++] = '.';
	to[size++] = '\r';
	to[size++] = '\n';
	return size;
}

static void assert_stuffed(struct slice body, size_t first, size_t second)
{
	struct session s;
	char expected[STUFFED_MAX];
	struct slice none = SLICE("");

	session_open(&s, body.size, false);
	assert_int_equal(smtp_client_body(s.c, slice_upto(body, first), false, 0), 0);
	assert_int_equal(smtp_client_step(s.c, &none, 0), SMTP_CLIENT_WANT_BODY);
	assert_int_equal(smtp_client_body(s.c, slice_upto(slice_from(body, first), second - first), false, 0),
			 0);
	assert_int_equal(smtp_client_step(s.c, &none, 0), SMTP_CLIENT_WANT_BODY);
	assert_int_equal(smtp_client_body(s.c, slice_from(body, second), true, 0), 0);
	struct slice output = smtp_client_output(s.c);
	assert_int_equal(output.size, stuff_slowly(body, expected));
	assert_memory_equal(output.data, expected, output.size);
	smtp_client_free(s.c);
}

/* Every body of up to five of the bytes that matter, in every three pieces. */
static void stuffs_dots_in_any_pieces(void **state)
{
	static const char alphabet[] = {'.', '\r', '\n', 'a'};
	char body[5];

	for (size_t size = 0; size <= sizeof(body); size++) {
		for (unsigned n = 0; n < 1U << (2 * size); n++) {
			for (size_t i = 0; i < size; i++)
				body[i] = alphabet[n >> (2 * i) & 3];
			for (size_t first = 0; first <= size; first++)
				assert_stuffed(slice_make(body, size), first, (first + size + 1) / 2);
		}
	}
}

static void stuffs_long_runs(void **state)
{
	enum { LINES = 20000 };
	struct session s;
	static char body[LINES * 3];

	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = ".\r\n"[i % 3];
	session_open(&s, sizeof(body), false);
	assert_int_equal(smtp_client_body(s.c, slice_make(body, sizeof(body)), true, 0), 0);
	struct slice output = smtp_client_output(s.c);
	assert_int_equal(output.size, LINES * 4 + 3);
	for (size_t i = 0; i < LINES; i++)
		assert_memory_equal(output.data + i * 4, "..\r\n", 4);
	smtp_client_free(s.c);
}

/* More of the body is asked for while fewer than 256 KiB are unsent. */
static void asks_within_the_output_limit(void **state)
{
	enum { LIMIT = 256 * 1024 };
	static char body[LIMIT + 1];
	struct slice none = SLICE("");

	memset(body, 'x', sizeof(body));
	for (int chunking = 0; chunking < 2; chunking++) {
		for (size_t size = LIMIT - 1; size <= LIMIT + 1; size++) {
			struct session s;
			size_t overhead = chunking ? strlen("BDAT 262144\r\n") : 0;
			session_open(&s, LIMIT * 2, chunking);
			assert_int_equal(smtp_client_body(s.c, slice_make(body, size - overhead), false, 0),
					 0);
			assert_int_equal(smtp_client_output(s.c).size, size);
			assert_int_equal(smtp_client_step(s.c, &none, 0),
					 size < LIMIT ? SMTP_CLIENT_WANT_BODY : SMTP_CLIENT_WAIT);
			smtp_client_sent(s.c, 1, 0);
			assert_int_equal(smtp_client_step(s.c, &none, 0),
					 size == LIMIT ? SMTP_CLIENT_WANT_BODY : SMTP_CLIENT_WAIT);
			smtp_client_free(s.c);
		}
	}
}

/* No more than 100 chunks are unanswered, and the last not before all of them are answered. */
static void keeps_chunks_to_the_window(void **state)
{
	struct session s;
	struct slice none = SLICE("");

	session_open(&s, 102, true);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(smtp_client_body(s.c, SLICE("x"), false, 0), 0);
		smtp_client_sent(s.c, smtp_client_output(s.c).size, 0);
		assert_int_equal(smtp_client_step(s.c, &none, 0),
				 i < 99 ? SMTP_CLIENT_WANT_BODY : SMTP_CLIENT_WAIT);
	}
	assert_int_equal(say(&s, "250 ok\r\n"), SMTP_CLIENT_WANT_BODY);
	assert_int_equal(smtp_client_body(s.c, SLICE("yz"), true, 0), 0);
	for (int i = 0; i < 99; i++) {
		assert_int_equal(smtp_client_output(s.c).size, 0);
		struct slice ok = SLICE("250 ok\r\n");
		assert_int_equal(smtp_client_step(s.c, &ok, 0), SMTP_CLIENT_WAIT);
	}
	assert_true(slice_equal(smtp_client_output(s.c), SLICE("BDAT 2 LAST\r\nyz")));
	(void)say(&s, "");
	assert_int_equal(say(&s, "250 taken\r\n"), SMTP_CLIENT_DONE);
	assert_int_equal(s.r.outcome.end, CLIENT_ACCEPTED);
	smtp_client_free(s.c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(plays_data),
	    cmocka_unit_test(plays_chunks),
	    cmocka_unit_test(stuffs_dots_in_any_pieces),
	    cmocka_unit_test(stuffs_long_runs),
	    cmocka_unit_test(asks_within_the_output_limit),
	    cmocka_unit_test(keeps_chunks_to_the_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
