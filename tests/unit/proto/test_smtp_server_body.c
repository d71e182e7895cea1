/* DATA and BDAT in whole sessions: smuggling, refusals, chunks, and that it does not matter how the bytes
 * arrive.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "failing_alloc.h"
#include "server_play.h"

#define EHLO	  "EHLO c.example\r\n"
#define MAIL	  "MAIL FROM:<a@b>\r\n"
#define RCPT	  MAIL "RCPT TO:<c@d>\r\n"
#define ASKED	  "MAIL a@b\nRCPT c@d at d\n"
#define COMMITTED "COMMIT a@b ESMTP c.example\n  c@d at d\n"
#define BARE	  "550 5.6.11 bare carriage return or line feed in the message: lines end with CR LF\r\n"

/* The envelope was given, and the record of it forgotten. */
static void start(struct play *p, const char *envelope)
{
	play_start(p);
	play_text(p, EHLO);
	play_text(p, envelope);
	play_forget(p);
}

/* --- smuggling --- */

struct ending {
	struct slice bytes;
	const char
	    *normalised; /* what becomes of it, as the log writes it; NULL: it has nothing bare, and stays */
};

static const struct ending false_endings[] = {
    {{"\n.\n", 3}, "\\r\\n.\\r\\n"},
    {{"\r\n.\n", 4}, "\\r\\n.\\r\\n"},
    {{"\n.\r\n", 4}, "\\r\\n.\\r\\n"},
    {{"\r.\r", 3}, "\\r\\n.\\r\\n"},
    {{"\r\n.\r", 4}, "\\r\\n.\\r\\n"},
    {{"\r.\r\n", 4}, "\\r\\n.\\r\\n"},
    {{"\n.\r", 3}, "\\r\\n.\\r\\n"},
    {{"\r.\n", 3}, "\\r\\n.\\r\\n"},
    {{"\r\n.\r\r\n", 6}, "\\r\\n.\\r\\n\\r\\n"},
    {{"\n\n.\r\n", 5}, "\\r\\n\\r\\n.\\r\\n"},
    {{"\r\n\n.\r\n", 6}, "\\r\\n\\r\\n.\\r\\n"},
    {{"\n..\r\n", 5}, "\\r\\n.\\r\\n"},
    {{"\n\r.\n\r", 5}, "\\r\\n\\r\\n.\\r\\n\\r\\n"},
    {{"\r\n\0.\r\n", 6}, NULL},
    {{"\r\n.\0\r\n", 6}, NULL},
    {{"\r\n.\r\0\n", 6}, "\\r\\n.\\r\\n\\000\\r\\n"},
    {{"\r\0\n.\r\n", 6}, "\\r\\n\\000\\r\\n.\\r\\n"},
    {{"\0\n.\r\n", 5}, "\\000\\r\\n.\\r\\n"},
    {{"\r\n .\r\n", 6}, NULL},
    {{"\r\n. \r\n", 6}, NULL},
};

static struct slice smuggling_attempt(const struct ending *e, char *place)
{
	static const char before[] = "abc", after[] = RCPT "DATA\r\nevil\r\n.\r\n";
	size_t size = sizeof(before) - 1;

	memcpy(place, before, size);
	memcpy(place + size, e->bytes.data, e->bytes.size);
	size += e->bytes.size;
	memcpy(place + size, after, sizeof(after) - 1);
	return slice_make(place, size + sizeof(after) - 1);
}

static void nothing_is_smuggled(void **state)
{
	for (size_t i = 0; i < sizeof(false_endings) / sizeof(false_endings[0]); i++) {
		char place[256];
		struct play p;
		play_init(&p);
		start(&p, RCPT "DATA\r\n");
		play_feed(&p, smuggling_attempt(&false_endings[i], place));
		/* one message, and one answer for it */
		play_expect(&p, false_endings[i].normalised != NULL ? BARE : "250 2.0.0 kept\r\n");
		assert_null(memmem(buffer_slice(&p.log).data, buffer_size(&p.log), "evil@", 5));
		assert_int_equal(smtp_server_transaction(p.server)->recipient_count, 0);
		play_text(&p, "RCPT TO:<c@d>\r\n");
		play_expect_start(&p, "503 ");
		play_deinit(&p);
	}
}

static void nothing_is_smuggled_when_normalising(void **state)
{
	for (size_t i = 0; i < sizeof(false_endings) / sizeof(false_endings[0]); i++) {
		char place[256];
		struct play p;
		struct buffer expected;
		play_init(&p);
		p.config.normalise_line_ends = true;
		start(&p, RCPT "DATA\r\n");
		play_feed(&p, smuggling_attempt(&false_endings[i], place));
		play_expect(&p, "250 2.0.0 kept\r\n");
		if (false_endings[i].normalised != NULL) {
			buffer_init(&expected, 0);
			assert_int_equal(
			    buffer_printf(&expected,
					  "BODY abc%sMAIL FROM:<a@b>\\r\\nRCPT TO:<c@d>\\r\\nDATA\\r\\n"
					  "evil\\r\\n\n" COMMITTED "%c",
					  false_endings[i].normalised, 0),
			    0);
			play_expect_log(&p, buffer_slice(&expected).data);
			buffer_deinit(&expected);
		}
		play_deinit(&p);
	}
}

/* --- DATA --- */

struct body_case {
	const char *bytes; /* behind RCPT */
	const char *wire, *log;
};

static const struct body_case data_cases[] = {
    {"DATA\r\n.\r\n", "354 go on\r\n250 2.0.0 kept\r\n", "BEGIN\n" COMMITTED},
    {"DATA\r\n..\r\n.\r\n", "354 go on\r\n250 2.0.0 kept\r\n", "BEGIN\nBODY .\\r\\n\n" COMMITTED},
    {"DATA\r\n.x\r\n...\r\n.\r\n", "354 go on\r\n250 2.0.0 kept\r\n",
     "BEGIN\nBODY x\\r\\n..\\r\\n\n" COMMITTED},
    {"DATA\r\nab\ncd\r\n.\r\nNOOP\r\n", "354 go on\r\n" BARE "250 2.0.0 ok\r\n", "BEGIN\nBODY ab\nABORT\n"},
    {"DATA\r\nab\rcd\ref\n\r\n.\r\n", "354 go on\r\n" BARE, "BEGIN\nBODY ab\nABORT\n"},
    {"DATA\r\n\r\n.\r\n", "354 go on\r\n250 2.0.0 kept\r\n", "BEGIN\nBODY \\r\\n\n" COMMITTED},
};

static void check_body_case(const struct body_case *c)
{
	struct play p;

	play_init(&p);
	start(&p, RCPT);
	play_text(&p, c->bytes);
	play_expect(&p, c->wire);
	play_expect_log(&p, c->log);
	play_deinit(&p);
}

static void data(void **state)
{
	for (size_t i = 0; i < sizeof(data_cases) / sizeof(data_cases[0]); i++)
		check_body_case(&data_cases[i]);
}

static void refused_by_the_owner_at_the_end(void **state)
{
	struct play p;

	play_init(&p);
	start(&p, "MAIL FROM:<failcommit@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx\r\n");
	play_text(&p, ".\r\n" RCPT);
	play_expect(&p, "451 4.3.0 not kept\r\n250 2.1.0 ok\r\n250 2.1.0 ok\r\n");
	play_deinit(&p);
}

/* --- BDAT --- */

static const struct body_case bdat_cases[] = {
    {"BDAT 5 LAST\r\nabc\r\n", "250 2.0.0 kept\r\n", "BEGIN\nBODY abc\\r\\n\n" COMMITTED},
    {"BDAT 0 LAST\r\n", "250 2.0.0 kept\r\n", "BEGIN\n" COMMITTED},
    {"BDAT 3\r\nabcBDAT 2\r\n\r\nBDAT 0 LAST\r\n",
     "250 2.0.0 3 bytes taken\r\n250 2.0.0 2 bytes taken\r\n250 2.0.0 kept\r\n",
     "BEGIN\nBODY abc\\r\\n\n" COMMITTED},
    {"BDAT 0\r\nBDAT 2 LAST\r\n\r\n", "250 2.0.0 0 bytes taken\r\n250 2.0.0 kept\r\n",
     "BEGIN\nBODY \\r\\n\n" COMMITTED},
    /* a CRLF may be cut by the end of a chunk */
    {"BDAT 2\r\na\rBDAT 2 LAST\r\n\nb", "250 2.0.0 2 bytes taken\r\n250 2.0.0 kept\r\n",
     "BEGIN\nBODY a\\r\\nb\n" COMMITTED},
    /* dots are bytes like others */
    {"BDAT 9 LAST\r\n.\r\n..\r\n\r\n", "250 2.0.0 kept\r\n", "BEGIN\nBODY .\\r\\n..\\r\\n\\r\\n\n" COMMITTED},
    /* bytes that look like commands are counted */
    {"BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n", "250 2.0.0 kept\r\n250 2.0.0 ok\r\n",
     "BEGIN\nBODY QUIT\\r\\n\n" COMMITTED},
    /* bare line ends */
    {"BDAT 5 LAST\r\na\nb\r\nNOOP\r\n", BARE "250 2.0.0 ok\r\n", "BEGIN\nBODY a\nABORT\n"},
    {"BDAT 2 LAST\r\na\rNOOP\r\n", BARE "250 2.0.0 ok\r\n", "BEGIN\nBODY a\nABORT\n"},
    {"BDAT 2\r\na\rBDAT 1 LAST\r\nbNOOP\r\n", "250 2.0.0 2 bytes taken\r\n" BARE "250 2.0.0 ok\r\n",
     "BEGIN\nBODY a\nABORT\n"},
    /* the chunks behind a refused one are swallowed and refused, and then the session goes on */
    {"BDAT 3\r\na\nbBDAT 6\r\nRSET\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n",
     BARE "503 5.5.1 an earlier chunk was refused: the message is lost\r\n"
	  "503 5.5.1 an earlier chunk was refused: the message is lost\r\n250 2.0.0 ok\r\n",
     "BEGIN\nBODY a\nABORT\n"},
    /* between the chunks */
    {"BDAT 1\r\naRSET\r\nBDAT 1 LAST\r\nb",
     "250 2.0.0 1 bytes taken\r\n250 2.0.0 reset\r\n503 5.5.1 send MAIL and RCPT first\r\n",
     "BEGIN\nBODY a\nABORT\n"},
    {"BDAT 1\r\naMAIL FROM:<x@y>\r\nRCPT TO:<x@y>\r\nDATA\r\nNOOP\r\nBDAT 0 LAST\r\n",
     "250 2.0.0 1 bytes taken\r\n503 5.5.1 a transaction is open already: RSET ends it\r\n"
     "503 5.5.1 RCPT comes before BDAT: RSET ends this transaction\r\n"
     "503 5.5.1 this message came by BDAT: end it with BDAT LAST, or RSET\r\n250 2.0.0 ok\r\n250 2.0.0 "
     "kept\r\n",
     "BEGIN\nBODY a\n" COMMITTED},
    {"BDAT 1\r\naQUIT\r\n", "250 2.0.0 1 bytes taken\r\n221 2.0.0 mx.example goodbye\r\n",
     "BEGIN\nBODY a\nABORT\nCLOSE\n"},
    {"BDAT 1\r\naHELO z\r\n", "250 2.0.0 1 bytes taken\r\n250 mx.example\r\n", "BEGIN\nBODY a\nABORT\n"},
    {"BDAT 1\r\naSTARTTLS\r\n", "250 2.0.0 1 bytes taken\r\n220 2.0.0 begin TLS now\r\n",
     "BEGIN\nBODY a\nABORT\nTLS\n"},
    /* a size that cannot be read: what follows cannot be told from commands */
    {"BDAT 1\r\naBDAT 1x LAST\r\nNOOP\r\n",
     "250 2.0.0 1 bytes taken\r\n501 5.5.4 the syntax is BDAT size [LAST]; closing the connection\r\n",
     "BEGIN\nBODY a\nABORT\nCLOSE\n"},
};

static void bdat(void **state)
{
	for (size_t i = 0; i < sizeof(bdat_cases) / sizeof(bdat_cases[0]); i++)
		check_body_case(&bdat_cases[i]);
}

static const struct body_case bdat_order_cases[] = {
    {"BDAT 6\r\nQUIT\r\nBDAT 0 LAST\r\n",
     "503 5.5.1 send MAIL and RCPT first\r\n503 5.5.1 send MAIL and RCPT first\r\n", ""},
    {MAIL "BDAT 1\r\nxRCPT TO:<c@d>\r\nBDAT 1 LAST\r\nx",
     "250 2.1.0 ok\r\n503 5.5.1 send RCPT first\r\n250 2.1.0 ok\r\n250 2.0.0 kept\r\n",
     ASKED "BEGIN\nBODY x\n" COMMITTED},
    {MAIL "RCPT TO:<no@d>\r\nBDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nRSET\r\n",
     "250 2.1.0 ok\r\n550 5.1.1 not here\r\n554 5.5.1 no valid recipients\r\n554 5.5.1 no valid "
     "recipients\r\n"
     "250 2.0.0 reset\r\n",
     "MAIL a@b\nRCPT no@d at d\n"},
    /* the owner refuses at BEGIN: the chunk is swallowed first */
    {"MAIL FROM:<nodata@b>\r\nRCPT TO:<c@d>\r\nBDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\n" MAIL,
     "250 2.1.0 ok\r\n250 2.1.0 ok\r\n452 4.3.1 no room\r\n"
     "503 5.5.1 an earlier chunk was refused: the message is lost\r\n250 2.1.0 ok\r\n",
     "MAIL nodata@b\nRCPT c@d at d\nBEGIN\nMAIL a@b\n"},
};

static void bdat_in_its_place(void **state)
{
	for (size_t i = 0; i < sizeof(bdat_order_cases) / sizeof(bdat_order_cases[0]); i++) {
		struct play p;
		play_init(&p);
		start(&p, "");
		play_text(&p, bdat_order_cases[i].bytes);
		play_expect(&p, bdat_order_cases[i].wire);
		play_expect_log(&p, bdat_order_cases[i].log);
		play_deinit(&p);
	}
}

static void bdat_normalised(void **state)
{
	struct play p;

	play_init(&p);
	p.config.normalise_line_ends = true;
	start(&p, RCPT);
	play_text(&p, "BDAT 3\r\na\n\rBDAT 4\r\n\n.b\rBDAT 0 LAST\r\n");
	play_expect_log(&p, "BEGIN\nBODY a\\r\\n\\r\\n.b\\r\\n\n" COMMITTED);
	play_deinit(&p);
}

/* A chunk that is announced as too big is not given to anybody, and the begun message goes at once. */
static void bdat_too_big(void **state)
{
	struct play p;

	play_init(&p);
	p.config.message_bytes_max = 10;
	start(&p, RCPT);
	play_text(&p, "BDAT 4\r\nab\r\nBDAT 7 LAST\r\n");
	play_expect(&p, "250 2.0.0 4 bytes taken\r\n");
	play_expect_log(&p, "BEGIN\nBODY ab\\r\\n\nABORT\n");
	play_text(&p, "NOOP\r\nxNOOP\r\n");
	play_expect(&p, "552 5.3.4 the message is bigger than 10 bytes\r\n250 2.0.0 ok\r\n");
	play_text(&p, RCPT "BDAT 11 LAST\r\n12345678901NOOP\r\n");
	play_expect(&p, "250 2.1.0 ok\r\n250 2.1.0 ok\r\n552 5.3.4 the message is bigger than 10 bytes\r\n"
			"250 2.0.0 ok\r\n");
	play_expect_log(&p, ASKED);
	play_text(&p, RCPT "BDAT 10 LAST\r\n12345678\r\n");
	play_expect(&p, "250 2.1.0 ok\r\n250 2.1.0 ok\r\n250 2.0.0 kept\r\n");
	play_deinit(&p);
}

/* --- how the bytes arrive --- */

static const char *const sessions[] = {
    EHLO RCPT "DATA\r\nSubject: x\r\n\r\n..dot\r\n.a\r\ntext\r\n\r\n.\r\n" MAIL
	      "RCPT TO:<no@d>\r\nDATA\r\nQUIT\r\n",
    EHLO RCPT "BDAT 5\r\na\r\nb\rBDAT 3\r\n\n.\r" MAIL "BDAT 4 LAST\r\n\n.\r\nNOOP\r\nQUIT\r\nNOOP\r\n",
    EHLO RCPT "DATA\r\na\r\n.\nb\r\n..\r\n.\r\nNOOP\nRSET\r\nNO\rOP\r\n\r\r\nHELP\r\n",
    EHLO RCPT "BDAT 7\r\nab\ncdefBDAT 2\r\n\r\nBDAT 3 LAST\r\nQUI" RCPT
	      "DATA\r\n12345678901234567890\r\n.\r\nRSET\r\n",
    EHLO
    "MAIL FROM:<\xC3\xA9@b> SMTPUTF8 RET=FULL\r\nRCPT TO:<c@d> NOTIFY=NEVER\r\nSTARTTLS\r\nNOOP\r\n" EHLO,
    EHLO RCPT "DATA\r\n\r\n\r\n.\r\nETRN example.com\r\nVRFY x\r\nBOGUS\r\nBDAT 6\r\nQUIT\r\nBDAT 1 "
	      "LAST\r\n.BDAT x\r\n",
    EHLO RCPT "DATA\r\n" RCPT "\r\n.\r" RCPT "\n.\r\n" RCPT "\r\n.\r\n" MAIL,
    EHLO "MAIL FROM:<nodata@b>\r\nRCPT TO:<x@y>\r\nDATA\r\n" RCPT
	 "RCPT TO:<later@z>\r\nRCPT TO:<bye@z>\r\nNOOP\r\n",
};

enum { SESSION_COUNT = sizeof(sessions) / sizeof(sessions[0]), CUTS_MAX = 1000 };

/* After STARTTLS the owner drops what came with it; what comes later is another matter. So a session in which
 * it stands ends there, for the comparison. */
static struct slice comparable(const char *text)
{
	const char *tls = strstr(text, "STARTTLS\r\n");

	return tls != NULL ? slice_make(text, (size_t)(tls - text) + strlen("STARTTLS\r\n")) : slice_of(text);
}

static void configure(struct play *p, bool normalise)
{
	play_init(p);
	p->config.normalise_line_ends = normalise;
	p->config.message_bytes_max = 100;
	p->config.line_bytes_max = 18;
	play_start(p);
}

static void compare(const char *text, const struct play *whole, bool normalise, const size_t *cuts,
		    size_t cut_count)
{
	struct play p;

	configure(&p, normalise);
	play_session(&p, comparable(text), cuts, cut_count);
	assert_true(slice_equal(buffer_slice(&p.wire), buffer_slice(&whole->wire)));
	assert_true(slice_equal(buffer_slice(&p.log), buffer_slice(&whole->log)));
	play_deinit(&p);
}

static size_t random_cuts(struct rng *rng, size_t size, size_t cuts[CUTS_MAX])
{
	size_t count = 0, at = 0;

	while (count < CUTS_MAX) {
		at += 1 + (size_t)rng_below(rng, 12);
		if (at >= size)
			break;
		cuts[count++] = at;
	}
	return count;
}

static void check_all_cuts(const char *text, bool normalise)
{
	struct slice bytes = comparable(text);
	size_t cuts[CUTS_MAX];
	struct play whole;
	struct rng rng;

	configure(&whole, normalise);
	play_session(&whole, bytes, cuts, 0);
	compare(text, &whole, normalise, NULL, 0);
	for (cuts[0] = 1; cuts[0] < bytes.size; cuts[0]++)
		compare(text, &whole, normalise, cuts, 1);
	rng_init(&rng, 1);
	for (unsigned i = 0; i < 100; i++)
		compare(text, &whole, normalise, cuts, random_cuts(&rng, bytes.size, cuts));
	play_deinit(&whole);
}

static void the_way_bytes_arrive_does_not_matter(void **state)
{
	for (size_t i = 0; i < SESSION_COUNT; i++) {
		check_all_cuts(sessions[i], false);
		check_all_cuts(sessions[i], true);
	}
}

/* --- no memory --- */

/* Only the machine's allocations fail: the record of the play has its memory already. */
static void play_with_failure(const char *text, unsigned n, bool *ret_failed)
{
	struct play p;
	char *room;

	play_init(&p);
	room = buffer_reserve(&p.wire, 1 << 16);
	assert_non_null(room);
	room = buffer_reserve(&p.log, 1 << 16);
	assert_non_null(room);
	struct slice input = slice_of(text);
	failing_alloc_at(n);
	play_start(&p);
	for (unsigned turns = 0; p.server != NULL && !p.closed && input.size > 0 && turns < 100; turns++)
		play_run(&p, &input);
	*ret_failed = failing_alloc_happened();
	failing_alloc_at(0);
	if (p.server == NULL) {
		assert_true(*ret_failed);
		smtp_server_free(p.server);
	} else {
		play_gone(&p);
		assert_true(p.closed);
	}
	play_deinit(&p);
}

static void any_allocation_may_fail(void **state)
{
	for (size_t i = 0; i < SESSION_COUNT; i++) {
		bool failed = true;
		for (unsigned n = 1; failed; n++)
			play_with_failure(sessions[i], n, &failed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nothing_is_smuggled),
	    cmocka_unit_test(nothing_is_smuggled_when_normalising),
	    cmocka_unit_test(data),
	    cmocka_unit_test(refused_by_the_owner_at_the_end),
	    cmocka_unit_test(bdat),
	    cmocka_unit_test(bdat_in_its_place),
	    cmocka_unit_test(bdat_normalised),
	    cmocka_unit_test(bdat_too_big),
	    cmocka_unit_test(the_way_bytes_arrive_does_not_matter),
	    cmocka_unit_test(any_allocation_may_fail),
	};

	return cmocka_run_group_tests_name("smtp_server_body", tests, NULL, NULL);
}
