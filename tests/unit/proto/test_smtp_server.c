/* Dialogues: each command, its syntax, its place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server_play.h"

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

/* After banner and EHLO, both forgotten. */
static struct play *greeted(void **state)
{
	struct play *p = *state;

	play_start(p);
	play_text(p, "EHLO client.example\r\n");
	play_forget(p);
	return p;
}

static void banner_and_ehlo(void **state)
{
	struct play *p = *state;

	play_start(p);
	play_expect(p, "220 mx.example ESMTP\r\n");
	play_text(p, "EHLO client.example\r\n");
	play_expect(p, "250-mx.example\r\n250-PIPELINING\r\n250-SIZE 104857600\r\n250-8BITMIME\r\n"
		       "250-ENHANCEDSTATUSCODES\r\n250-CHUNKING\r\n250-DSN\r\n250-SMTPUTF8\r\n250-ETRN\r\n"
		       "250 STARTTLS\r\n");
	assert_int_equal(smtp_server_helo(p->server).size, strlen("client.example"));
	assert_string_equal(smtp_server_protocol(p->server), "ESMTP");
	play_text(p, "HELO other.example\r\n");
	play_expect(p, "250 mx.example\r\n");
	assert_string_equal(smtp_server_protocol(p->server), "SMTP");
	play_expect_log(p, "");
}

static void bare_ehlo(void **state)
{
	struct play *p = *state;

	p->config.offer_starttls = p->config.offer_dsn = p->config.offer_smtputf8 = false;
	p->config.offer_chunking = p->config.offer_etrn = false;
	p->config.message_bytes_max = 0;
	play_start(p);
	play_forget(p);
	play_text(p, "ehlo [192.0.2.1]\r\n");
	play_expect(p, "250-mx.example\r\n250-PIPELINING\r\n250-SIZE 0\r\n250-8BITMIME\r\n"
		       "250 ENHANCEDSTATUSCODES\r\n");
}

static void a_message(void **state)
{
	struct play *p = greeted(state);

	play_text(p, "MAIL FROM:<a@b.example> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=x+2By\r\n");
	play_expect(p, "250 2.1.0 ok\r\n");
	play_text(p, "RCPT TO:<c@d.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;c@d.example\r\n");
	play_text(p, "rcpt to:<PostMaster>\r\n");
	play_expect(p, "250 2.1.0 ok\r\n250 2.1.0 ok\r\n");
	play_text(p, "DATA\r\n");
	play_expect(p, "354 go on\r\n");
	play_text(p, "Subject: x\r\n\r\n..dot\r\ntext\r\n.\r\n");
	play_expect(p, "250 2.0.0 kept\r\n");
	play_expect_log(p, "MAIL a@b.example size 100 8bit hdrs envid x+2By\n"
			   "RCPT c@d.example at d.example notify success delay orcpt rfc822;c@d.example\n"
			   "RCPT PostMaster at \n"
			   "BEGIN\n"
			   "BODY Subject: x\\r\\n\\r\\n.dot\\r\\ntext\\r\\n\n"
			   "COMMIT a@b.example ESMTP client.example\n"
			   "  c@d.example at d.example notify success delay orcpt rfc822;c@d.example\n"
			   "  PostMaster at \n");
	/* the transaction is over */
	play_text(p, "DATA\r\n");
	play_expect_start(p, "503 5.5.1 ");
	play_text(p, "MAIL FROM:<>\r\n");
	play_expect(p, "250 2.1.0 ok\r\n");
	play_text(p, "QUIT\r\nNOOP\r\n");
	play_expect(p, "221 2.0.0 mx.example goodbye\r\n");
	assert_true(p->closed);
}

static void pipelined_replies_in_order(void **state)
{
	struct play *p = greeted(state);

	play_text(p,
		  "MAIL FROM:<a@b>\r\nRCPT TO:<no@d>\r\nRCPT TO:<c@d>\r\nRCPT TO:<later@d>\r\nNOOP\r\n"
		  "BOGUS\r\nDATA\r\nx\r\n.\r\nMAIL FROM:<e@f>\r\nRCPT TO:<no@d>\r\nDATA\r\nRSET\r\nQUIT\r\n");
	play_expect(
	    p, "250 2.1.0 ok\r\n550 5.1.1 not here\r\n250 2.1.0 ok\r\n450 4.2.0 come later\r\n"
	       "250 2.0.0 ok\r\n500 5.5.1 unknown command; HELP lists those that are known\r\n354 go on\r\n"
	       "250 2.0.0 kept\r\n250 2.1.0 ok\r\n550 5.1.1 not here\r\n554 5.5.1 no valid recipients\r\n"
	       "250 2.0.0 reset\r\n221 2.0.0 mx.example goodbye\r\n");
}

struct exchange {
	const char *before;  /* said after EHLO; its replies are not looked at */
	const char *command; /* with CRLF */
	const char *reply;   /* how the reply begins */
};

#define MAIL	  "MAIL FROM:<a@b>\r\n"
#define RCPT	  MAIL "RCPT TO:<c@d>\r\n"
#define UTF8_MAIL "MAIL FROM:<a@b> SMTPUTF8\r\n"

static const struct exchange exchanges[] = {
    /* unknown and malformed */
    {"", "\r\n", "500 5.5.1 "},
    {"", "   \r\n", "500 5.5.1 "},
    {"", "EXPN x\r\n", "500 5.5.1 "},
    {"", "MAILX\r\n", "500 5.5.1 "},
    {"", "NOOP\n", "500 5.5.2 bare line feed not allowed"},
    {"", "NOOP\rx", "500 5.5.2 bare carriage return not allowed"},
    {"", "NOOP\r\r\n", "500 5.5.2 bare carriage return not allowed"},
    {"", "noop\r\n", "250 2.0.0 "},
    {"", "NoOp with words  \r\n", "250 2.0.0 "},
    /* greeting */
    {"", "EHLO\r\n", "501 5.5.4 EHLO needs the name of your host"},
    {"", "HELO \r\n", "501 5.5.4 HELO needs"},
    {"",
     "EHLO a\x01"
     "b\r\n",
     "501 5.5.4 "},
    {"", "EHLO \xFF\r\n", "501 5.5.4 "},
    {"", "EHLO b\xC3\xBCro\r\n", "250-mx.example\r\n"},
    {"", "EHLO under_score!\r\n", "250-mx.example\r\n"},
    {"", "EHLO two words\r\n", "250-mx.example\r\n"},
    /* MAIL */
    {"", "MAIL FROM:<>\r\n", "250 2.1.0 "},
    {"", "MAIL FROM: <a@b>\r\n", "250 2.1.0 "},
    {"", "mail from:<a@b> size=5\r\n", "250 2.1.0 "},
    {"", "MAIL FROM:<@x.example:a@b>\r\n", "250 2.1.0 "},
    {"", "MAIL FROM:<a@b> SIZE=5  BODY=7BIT \r\n", "250 2.1.0 "},
    {MAIL, "MAIL FROM:<a@b>\r\n", "503 5.5.1 "},
    {"", "MAIL\r\n", "501 5.5.4 the syntax is MAIL FROM:<address>"},
    {"", "MAIL TO:<a@b>\r\n", "501 5.5.4 "},
    {"", "MAIL FROM:\r\n", "501 5.1.7 "},
    {"", "MAIL FROM:a@b\r\n", "501 5.1.7 "},
    {"", "MAIL FROM:<a@b\r\n", "501 5.1.7 "},
    {"", "MAIL FROM:<a>\r\n", "501 5.1.7 "},
    {"", "MAIL FROM:<postmaster>\r\n", "501 5.1.7 "},
    {"", "MAIL FROM:<a@b>SIZE=5\r\n", "501 5.5.4 a blank"},
    {"", "MAIL FROM:<no@b>\r\n", "550 5.1.1 not here"},
    {"", "MAIL FROM:<later@b>\r\n", "450 4.2.0 come later"},
    {"", "MAIL FROM:<bye@b>\r\n", "421 4.3.0 go away"},
    {"", "MAIL FROM:<\xC3\xA9@b>\r\n", "553 5.6.7 "},
    {"", "MAIL FROM:<\xC3\xA9@b> SMTPUTF8\r\n", "250 2.1.0 "},
    {"", "MAIL FROM:<\xC3@b> SMTPUTF8\r\n", "501 5.1.7 "},
    /* parameters of MAIL */
    {"", "MAIL FROM:<a@b> SIZE=104857600\r\n", "250 2.1.0 "},
    {"", "MAIL FROM:<a@b> SIZE=104857601\r\n", "552 5.3.4 "},
    {"", "MAIL FROM:<a@b> SIZE=18446744073709551616\r\n", "552 5.3.4 "},
    {"", "MAIL FROM:<a@b> SIZE=000000000000000000001\r\n", "501 5.5.4 "},
    {"", "MAIL FROM:<a@b> SIZE=\r\n", "501 5.5.4 "},
    {"", "MAIL FROM:<a@b> SIZE\r\n", "501 5.5.4 "},
    {"", "MAIL FROM:<a@b> SIZE=-1\r\n", "501 5.5.4 "},
    {"", "MAIL FROM:<a@b> SIZE=1 SIZE=1\r\n", "501 5.5.4 a parameter was given twice"},
    {"", "MAIL FROM:<a@b> BODY=BINARYMIME\r\n", "555 5.5.4 "},
    {"", "MAIL FROM:<a@b> BODY=x\r\n", "501 5.5.4 "},
    {"", "MAIL FROM:<a@b> BODY\r\n", "501 5.5.4 "},
    {"", "MAIL FROM:<a@b> body=8bitmime\r\n", "250 2.1.0 "},
    {"", "MAIL FROM:<a@b> SMTPUTF8=1\r\n", "501 5.5.4 "},
    {"", "MAIL FROM:<a@b> RET=FULL\r\n", "250 2.1.0 "},
    {"", "MAIL FROM:<a@b> RET=x\r\n", "501 5.5.4 "},
    {"", "MAIL FROM:<a@b> ENVID=\r\n", "501 5.5.4 "},
    {"", "MAIL FROM:<a@b> ENVID=a+2\r\n", "501 5.5.4 "},
    {"", "MAIL FROM:<a@b> AUTH=<>\r\n", "555 5.5.4 parameter not known or not offered: AUTH"},
    {"", "MAIL FROM:<a@b> NOTIFY=NEVER\r\n", "555 5.5.4 "},
    {"", "MAIL FROM:<a@b> =\r\n", "555 5.5.4 "},
    /* RCPT */
    {"", "RCPT TO:<a@b>\r\n", "503 5.5.1 "},
    {MAIL, "RCPT TO: <a@b>\r\n", "250 2.1.0 "},
    {MAIL, "RCPT\r\n", "501 5.5.4 the syntax is RCPT TO:<address>"},
    {MAIL, "RCPT FROM:<a@b>\r\n", "501 5.5.4 "},
    {MAIL, "RCPT TO:<>\r\n", "501 5.1.3 "},
    {MAIL, "RCPT TO:a@b\r\n", "501 5.1.3 "},
    {MAIL, "RCPT TO:<a b@c>\r\n", "501 5.1.3 "},
    {MAIL, "RCPT TO:<a>\r\n", "501 5.1.3 "},
    {MAIL, "RCPT TO:<postmaster>\r\n", "250 2.1.0 "},
    {MAIL, "RCPT TO:<bye@d>\r\n", "421 4.3.0 go away"},
    {MAIL, "RCPT TO:<\xC3\xA9@b>\r\n", "553 5.6.7 "},
    {UTF8_MAIL, "RCPT TO:<\xC3\xA9@b>\r\n", "250 2.1.0 "},
    {MAIL, "RCPT TO:<a@b> SIZE=1\r\n", "555 5.5.4 "},
    {MAIL, "RCPT TO:<a@b> NOTIFY=NEVER\r\n", "250 2.1.0 "},
    {MAIL, "RCPT TO:<a@b> NOTIFY=success,failure,delay\r\n", "250 2.1.0 "},
    {MAIL, "RCPT TO:<a@b> NOTIFY=NEVER,DELAY\r\n", "501 5.5.4 "},
    {MAIL, "RCPT TO:<a@b> NOTIFY=\r\n", "501 5.5.4 "},
    {MAIL, "RCPT TO:<a@b> NOTIFY=SUCCESS,\r\n", "501 5.5.4 "},
    {MAIL, "RCPT TO:<a@b> NOTIFY=SOMETIMES\r\n", "501 5.5.4 "},
    {MAIL, "RCPT TO:<a@b> ORCPT=rfc822;x+40y\r\n", "250 2.1.0 "},
    {MAIL, "RCPT TO:<a@b> ORCPT=rfc822\r\n", "501 5.5.4 "},
    {MAIL, "RCPT TO:<a@b> ORCPT=;x\r\n", "501 5.5.4 "},
    {MAIL, "RCPT TO:<a@b> ORCPT=rfc822;\r\n", "501 5.5.4 "},
    {MAIL, "RCPT TO:<a@b> ORCPT=rfc822;\xC3\xA9\r\n", "501 5.5.4 "},
    {MAIL, "RCPT TO:<a@b> ORCPT=utf-8;\xC3\xA9\r\n", "501 5.5.4 "},
    {UTF8_MAIL, "RCPT TO:<a@b> ORCPT=utf-8;\xC3\xA9\r\n", "250 2.1.0 "},
    {UTF8_MAIL, "RCPT TO:<a@b> ORCPT=utf-8;\xC3\r\n", "501 5.5.4 "},
    {RCPT, "RCPT TO:<c@d>\r\n", "250 2.1.5 recipient ok (given before)"},
    {RCPT, "RCPT TO:<C@d>\r\n", "250 2.1.0 "},
    /* DATA */
    {"", "DATA\r\n", "503 5.5.1 send MAIL and RCPT first"},
    {MAIL, "DATA\r\n", "503 5.5.1 send RCPT first"},
    {MAIL "RCPT TO:<no@d>\r\n", "DATA\r\n", "554 5.5.1 no valid recipients"},
    {RCPT, "DATA now\r\n", "501 5.5.4 "},
    {RCPT, "DATA\r\n", "354 go on"},
    {"MAIL FROM:<nodata@b>\r\nRCPT TO:<c@d>\r\n", "DATA\r\n", "452 4.3.1 no room"},
    {"MAIL FROM:<nodata@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n", "MAIL FROM:<a@b>\r\n", "250 2.1.0 "},
    /* the others */
    {"", "RSET\r\n", "250 2.0.0 "},
    {"", "RSET x\r\n", "501 5.5.4 "},
    {MAIL "RSET\r\n", "RCPT TO:<a@b>\r\n", "503 5.5.1 "},
    {MAIL "EHLO x\r\n", "RCPT TO:<a@b>\r\n", "503 5.5.1 "},
    {MAIL "HELO x\r\n", "RCPT TO:<a@b>\r\n", "503 5.5.1 "},
    {MAIL "EHLO\r\n", "RCPT TO:<a@b>\r\n", "250 2.1.0 "},
    {"", "VRFY a@b\r\n", "252 2.1.5 "},
    {"", "VRFY\r\n", "501 5.5.4 "},
    {"", "HELP\r\n",
     "214-2.0.0 EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT STARTTLS ETRN\r\n214 "},
    {"", "HELP me\r\n", "214-2.0.0 "},
    {"", "QUIT\r\n", "221 2.0.0 mx.example"},
    {"", "QUIT now\r\n", "221 2.0.0 mx.example"},
    {"", "ETRN example.com\r\n", "250 2.0.0 "},
    {"", "ETRN @example.com\r\n", "250 2.0.0 "},
    {"", "ETRN #example.com\r\n", "250 2.0.0 "},
    {"", "ETRN\r\n", "501 5.5.4 "},
    {"", "ETRN @\r\n", "501 5.5.4 "},
    {"", "ETRN example\r\n", "501 5.5.4 "},
    {"", "ETRN example.com x\r\n", "501 5.5.4 "},
    {MAIL, "ETRN example.com\r\n", "503 5.5.1 "},
    {"", "STARTTLS now\r\n", "501 5.5.4 "},
    {"STARTTLS\r\n", "STARTTLS\r\n", "503 5.5.1 "},
    {"STARTTLS\r\n", "MAIL FROM:<a@b>\r\n", "503 5.5.1 send EHLO or HELO first"},
    /* BDAT; more in test_smtp_server_body.c */
    {"", "BDAT 0\r\n", "503 5.5.1 "},
    {MAIL, "BDAT 1\r\nx", "503 5.5.1 send RCPT first"},
    {RCPT, "BDAT\r\n", "501 5.5.4 "},
    {RCPT, "BDAT x\r\n", "501 5.5.4 "},
    {RCPT, "BDAT 1 LATER\r\n", "501 5.5.4 "},
    {RCPT, "BDAT 1 LAST x\r\n", "501 5.5.4 "},
    {RCPT, "BDAT -1\r\n", "501 5.5.4 "},
    {RCPT, "BDAT 99999999999999999999\r\n", "501 5.5.4 "},
    {RCPT, "BDAT 2 last\r\n\r\n", "250 2.0.0 kept"},
    {RCPT, "BDAT 2  LAST \r\n\r\n", "250 2.0.0 kept"},
};

static void replies(void **state)
{
	for (size_t i = 0; i < sizeof(exchanges) / sizeof(exchanges[0]); i++) {
		struct play p;
		play_init(&p);
		play_start(&p);
		play_text(&p, "EHLO client.example\r\n");
		play_text(&p, exchanges[i].before);
		play_forget(&p);
		play_text(&p, exchanges[i].command);
		struct slice wire = buffer_slice(&p.wire);
		if (!slice_starts(wire, slice_of(exchanges[i].reply)))
			print_error("after %s %s: %.*s\n", exchanges[i].before, exchanges[i].command,
				    SLICE_ARG(wire));
		assert_true(slice_starts(wire, slice_of(exchanges[i].reply)));
		play_deinit(&p);
	}
}

static const struct exchange not_offered[] = {
    {"", "BDAT 5\r\nQUIT\n", "502 5.5.1 BDAT is not offered: use DATA\r\n"},
    {RCPT "BDAT 5\r\nQUIT\n", "DATA\r\n", "354 "},
    {"", "STARTTLS\r\n", "502 5.5.1 "},
    {"", "ETRN example.com\r\n", "502 5.5.1 "},
    {"", "MAIL FROM:<a@b> SMTPUTF8\r\n", "555 5.5.4 "},
    {"", "MAIL FROM:<a@b> RET=FULL\r\n", "555 5.5.4 "},
    {"", "MAIL FROM:<a@b> ENVID=x\r\n", "555 5.5.4 "},
    {"", "MAIL FROM:<\xC3\xA9@b>\r\n", "553 5.6.7 "},
    {MAIL, "RCPT TO:<a@b> NOTIFY=NEVER\r\n", "555 5.5.4 "},
    {MAIL, "RCPT TO:<a@b> ORCPT=rfc822;a\r\n", "555 5.5.4 "},
    {"", "HELP\r\n", "214-2.0.0 EHLO HELO MAIL RCPT DATA RSET NOOP VRFY HELP QUIT\r\n214 "},
};

static void what_is_not_offered_is_refused(void **state)
{
	for (size_t i = 0; i < sizeof(not_offered) / sizeof(not_offered[0]); i++) {
		struct play p;
		play_init(&p);
		p.config.offer_starttls = p.config.offer_dsn = p.config.offer_smtputf8 = false;
		p.config.offer_chunking = p.config.offer_etrn = false;
		play_start(&p);
		play_text(&p, "EHLO client.example\r\n");
		play_text(&p, not_offered[i].before);
		play_forget(&p);
		play_text(&p, not_offered[i].command);
		play_expect_start(&p, not_offered[i].reply);
		play_deinit(&p);
	}
}

static void greeting_comes_first(void **state)
{
	struct play *p = *state;

	play_start(p);
	play_forget(p);
	play_text(p, "MAIL FROM:<a@b>\r\n");
	play_expect_start(p, "503 5.5.1 send EHLO or HELO first");
	play_text(p, "HELO x\r\nMAIL FROM:<a@b> SIZE=3\r\n");
	play_expect(p, "250 mx.example\r\n250 2.1.0 ok\r\n");
}

static void a_bad_line_is_answered_once_and_skipped(void **state)
{
	struct play *p = greeted(state);

	play_text(p, "NOOP\nQUIT\nRSET\r\n");
	play_expect_start(p, "500 5.5.2 bare line feed");
	play_text(p, "NOOP\r\n");
	play_expect(p, "250 2.0.0 ok\r\n");
	play_feed(p, SLICE("NO\0OP\nQUIT\r\r\nNOOP\r\n"));
	play_expect(p, "500 5.5.2 NUL not allowed in a command\r\n250 2.0.0 ok\r\n");
	assert_false(p->closed);
}

static void duplicates_are_kept_once(void **state)
{
	struct play *p = greeted(state);

	play_text(p, RCPT "RCPT TO:<c@d>\r\nRCPT TO:<e@d>\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\n");
	play_expect_log(p, "MAIL a@b\nRCPT c@d at d\nRCPT e@d at d\nBEGIN\nCOMMIT a@b ESMTP client.example\n"
			   "  c@d at d\n  e@d at d\n");
}

static void refused_recipients_are_not_in_the_message(void **state)
{
	struct play *p = greeted(state);

	play_text(p, MAIL "RCPT TO:<no@d>\r\nRCPT TO:<e@d>\r\nRCPT TO:<later@d>\r\nDATA\r\n.\r\n");
	play_expect_log(p, "MAIL a@b\nRCPT no@d at d\nRCPT e@d at d\nRCPT later@d at d\nBEGIN\n"
			   "COMMIT a@b ESMTP client.example\n  e@d at d\n");
}

static void etrn_is_a_hint(void **state)
{
	struct play *p = greeted(state);

	play_text(p, "ETRN @Example.com\r\n");
	play_expect_log(p, "ETRN Example.com\n");
	play_forget(p);
	play_text(p, "ETRN nobody.example\r\n");
	play_expect(p, "250 2.0.0 noted; mail that is held goes out when the server takes it\r\n");
}

static void starttls_forgets_what_was_said(void **state)
{
	struct play *p = greeted(state);

	play_text(p, RCPT "STARTTLS\r\nNOOP\r\nQUIT\r\n");
	play_expect(p, "250 2.1.0 ok\r\n250 2.1.0 ok\r\n220 2.0.0 begin TLS now\r\n");
	play_expect_log(p, "MAIL a@b\nRCPT c@d at d\nTLS\n");
	assert_int_equal(smtp_server_helo(p->server).size, 0);
	play_text(p, "DATA\r\n");
	play_expect_start(p, "503 ");
	play_text(p, "EHLO safe.example\r\n");
	assert_null(memmem(buffer_slice(&p->wire).data, buffer_size(&p->wire), "STARTTLS", 8));
	assert_string_equal(smtp_server_protocol(p->server), "ESMTPS");
	play_text(p, "MAIL FROM:<a@b> SMTPUTF8\r\n");
	assert_string_equal(smtp_server_protocol(p->server), "UTF8SMTPS");
}

static void utf8_protocol(void **state)
{
	struct play *p = greeted(state);

	play_text(p, "MAIL FROM:<a@b> SMTPUTF8\r\n");
	assert_string_equal(smtp_server_protocol(p->server), "UTF8SMTP");
	play_text(p, "RSET\r\n");
	assert_string_equal(smtp_server_protocol(p->server), "ESMTP");
}

/* The 220 is not followed by an answer to what a man in the middle has put behind STARTTLS, even across
 * inputs. */
static void bytes_before_tls_are_dropped(void **state)
{
	struct play *p = greeted(state);
	struct slice input = SLICE("STARTTLS\r\nNOOP\r\n");

	assert_int_equal(smtp_server_step(p->server, &input, 0), SMTP_SERVER_START_TLS);
	assert_int_equal(input.size, 0);
	input = SLICE("RSET\r\n");
	assert_int_equal(smtp_server_step(p->server, &input, 0), SMTP_SERVER_WAIT);
	assert_int_equal(input.size, 6);
	smtp_server_tls_started(p->server, 0);
	assert_int_equal(smtp_server_output(p->server).size, strlen("220 2.0.0 begin TLS now\r\n"));
}

static void early_talker(void **state)
{
	struct play *p = *state;

	p->unsent = true;
	play_start(p);
	play_text(p, "EHLO x\r\n");
	assert_true(p->closed);
	struct slice out = smtp_server_output(p->server);
	assert_true(slice_starts(out, SLICE("554 mx.example you spoke before the greeting")));
}

static void early_talker_while_the_banner_is_on_its_way(void **state)
{
	struct play *p = *state;

	p->unsent = true;
	play_start(p);
	smtp_server_sent(p->server, smtp_server_output(p->server).size - 1);
	play_text(p, "E");
	assert_true(p->closed);
	assert_true(slice_starts(smtp_server_output(p->server), SLICE("\n554 ")));
}

static void early_talker_put_up_with(void **state)
{
	struct play *p = *state;

	p->config.early_talker_refused = false;
	p->unsent = true;
	play_start(p);
	play_text(p, "NOOP\r\n");
	assert_false(p->closed);
	p->unsent = false;
	play_step(p);
	play_expect(p, "220 mx.example ESMTP\r\n250 2.0.0 ok\r\n");
}

/* --- answers, departures, the end --- */

static void nothing_is_read_while_a_question_is_open(void **state)
{
	struct play *p = greeted(state);
	struct slice input = SLICE("MAIL FROM:<a@b>\r\nNOOP\r\n");
	struct reply ok;

	assert_int_equal(smtp_server_step(p->server, &input, 0), SMTP_SERVER_CHECK_MAIL);
	assert_int_equal(input.size, 6);
	assert_int_equal(smtp_server_step(p->server, &input, 0), SMTP_SERVER_WAIT);
	assert_int_equal(smtp_server_step(p->server, &input, 0), SMTP_SERVER_WAIT);
	assert_int_equal(input.size, 6);
	assert_int_equal(smtp_server_output(p->server).size, 0);
	reply_set(&ok, 250, "2.1.0", "fine");
	smtp_server_answer(p->server, &ok, 0);
	assert_int_equal(smtp_server_step(p->server, &input, 0), SMTP_SERVER_WAIT);
	assert_int_equal(input.size, 0);
	play_step(p);
	play_expect(p, "250 2.1.0 fine\r\n250 2.0.0 ok\r\n");
}

static void answer_421_closes(void **state)
{
	static const char *const sessions[] = {
	    "MAIL FROM:<bye@b>\r\n", MAIL "RCPT TO:<bye@d>\r\n",
	    "MAIL FROM:<byecommit@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx\r\n.\r\n"};

	for (size_t i = 0; i < sizeof(sessions) / sizeof(sessions[0]); i++) {
		struct play p;
		play_init(&p);
		play_start(&p);
		play_text(&p, "EHLO x\r\n");
		play_text(&p, sessions[i]);
		assert_true(p.closed);
		assert_null(memmem(buffer_slice(&p.log).data, buffer_size(&p.log), "ABORT", 5));
		play_deinit(&p);
	}
}

static void answers_are_sent_as_given(void **state)
{
	struct play *p = greeted(state);

	p->hold = true;
	play_text(p, "MAIL FROM:<a@b>\r\n");
	play_answer(p, 251, "2.1.9", "two\nlines");
	play_expect(p, "251-2.1.9 two\r\n251 2.1.9 lines\r\n");
	play_text(p, "RCPT TO:<c@d>\r\n");
	play_answer(p, 452, NULL, "no status");
	play_expect(p, "452 no status\r\n");
	play_text(p, "RCPT TO:<c@d>\r\n");
	play_answer(p, 250, "2.1.5", "ok");
	play_text(p, "DATA\r\n");
	play_forget(p);
	play_answer(p, 250, "2.0.0", "go"); /* a yes; the wire needs 354 */
	play_expect_start(p, "354 ");
	play_text(p, ".\r\n");
	play_answer(p, 554, "5.7.1", "spam");
	play_expect(p, "554 5.7.1 spam\r\n");
	play_expect_log(p, "COMMIT a@b ESMTP client.example\n  c@d at d\n");
}

static void gone_between_commands(void **state)
{
	struct play *p = greeted(state);

	play_text(p, RCPT);
	play_forget(p);
	play_gone(p);
	play_expect_log(p, "CLOSE\n");
	play_gone(p);
	play_text(p, "NOOP\r\n");
	play_expect_log(p, "");
	play_expect(p, "");
}

static void gone_in_the_body(void **state)
{
	struct play *p = greeted(state);

	play_text(p, RCPT "DATA\r\nabc");
	play_forget(p);
	play_gone(p);
	play_expect_log(p, "ABORT\nCLOSE\n");
}

static void gone_in_the_body_that_was_refused(void **state)
{
	struct play *p = greeted(state);

	play_text(p, RCPT "DATA\r\nabc\ndef");
	play_expect_log(p, "MAIL a@b\nRCPT c@d at d\nBEGIN\nBODY abc\nABORT\n");
	play_gone(p);
	play_expect_log(p, "CLOSE\n");
}

/* The question is open when the client goes; the answer comes afterwards. */
static void gone_with_a_question(void **state, const char *session, const char *log,
				 const char *log_after_answer)
{
	struct play *p = greeted(state);

	play_text(p, session);
	p->hold = true;
	play_text(p, strstr(session, "DATA") != NULL ? ".\r\n" : "DATA\r\n");
	play_forget(p);
	play_gone(p);
	play_expect_log(p, log);
	play_answer(p, 250, NULL, "ok");
	play_expect_log(p, log_after_answer);
	play_expect(p, "");
	assert_true(p->closed);
}

static void gone_at_begin(void **state)
{
	gone_with_a_question(state, RCPT, "ABORT\nCLOSE\n", "");
}

static void gone_at_commit(void **state)
{
	gone_with_a_question(state, RCPT "DATA\r\nabc\r\n", "", "CLOSE\n");
}

static void gone_at_mail_and_rcpt(void **state)
{
	struct play *p = greeted(state);

	p->hold = true;
	play_text(p, MAIL);
	play_answer(p, 250, NULL, "ok");
	play_text(p, "RCPT TO:<c@d>\r\n");
	play_forget(p);
	play_gone(p);
	play_expect_log(p, "CLOSE\n");
	play_answer(p, 250, NULL, "ok");
	play_expect_log(p, "");
}

/* The message is whole, but the owner does not know yet: it is aborted, not committed behind his back. */
static void gone_before_commit_was_said(void **state)
{
	struct play *p = greeted(state);
	struct slice input = SLICE("abc\r\n.\r\n");

	play_text(p, RCPT "DATA\r\n");
	assert_int_equal(smtp_server_step(p->server, &input, 0), SMTP_SERVER_BODY);
	smtp_server_client_gone(p->server);
	assert_int_equal(smtp_server_step(p->server, &input, 0), SMTP_SERVER_ABORT);
	assert_int_equal(smtp_server_step(p->server, &input, 0), SMTP_SERVER_CLOSE);
}

static void shut_down_between_commands(void **state)
{
	struct play *p = greeted(state);

	play_text(p, RCPT);
	play_forget(p);
	smtp_server_shut_down(p->server);
	play_text(p, "DATA\r\n");
	play_expect_start(p, "421 4.3.2 mx.example is shutting down");
	play_expect_log(p, "CLOSE\n");
}

static void shut_down_in_a_message(void **state)
{
	struct play *p = greeted(state);

	play_text(p, RCPT "DATA\r\nabc");
	smtp_server_shut_down(p->server);
	play_forget(p);
	play_text(p, "def\r\n.\r\n");
	play_expect_start(p, "250 2.0.0 kept\r\n421 4.3.2 ");
	assert_true(p->closed);
}

static void shut_down_between_chunks(void **state)
{
	struct play *p = greeted(state);

	play_text(p, RCPT "BDAT 3\r\nabc");
	smtp_server_shut_down(p->server);
	play_forget(p);
	play_text(p, "BDAT 2 LAST\r\n\r\n");
	play_expect_start(p, "250 2.0.0 kept\r\n421 4.3.2 ");
}

/* What stands at the front, and what is left: "" for nothing taken. */
static const struct {
	const char *input, *path, *left;
} ahead[] = {
    {"RCPT TO:<a@b.example>\r\n", "a@b.example", ""},
    {"rcpt to: <a@b.example> NOTIFY=NEVER\r\nRCPT", "a@b.example", "RCPT"},
    {"RCPT TO:<@x.example:a@b.example>\r\nDATA\r\n", "a@b.example", "DATA\r\n"},
    {"RCPT TO:<postmaster>\r\n", "postmaster", ""},
    {"RCPT TO:<a@b.example>\r", "", NULL},
    {"RCPT TO:<a@b.example>\n", "", NULL},
    {"RCPT TO:<a@b.example>\rRCPT TO:<b@b.example>\r\n", "", NULL},
    {"RCPT TO:<a@b.example>", "", NULL},
    {"RCPT TO:a@b.example\r\n", "", NULL},
    {"RCPT TO:<>\r\n", "", NULL},
    {"RCPT TO:<\xC3\xBC@b.example>\r\n", "", NULL},
    {"RCPT FROM:<a@b.example>\r\n", "", NULL},
    {"DATA\r\nRCPT TO:<a@b.example>\r\n", "", NULL},
    {"", "", NULL},
};

static void recipients_ahead(void **state)
{
	for (size_t i = 0; i < sizeof(ahead) / sizeof(ahead[0]); i++) {
		struct slice input = slice_of(ahead[i].input);
		struct mailbox mailbox;
		bool taken = smtp_server_peek_rcpt(&input, &mailbox);
		const char *left = ahead[i].left != NULL ? ahead[i].left : ahead[i].input;

		if (taken != (ahead[i].left != NULL) || !slice_equal(input, slice_of(left)) ||
		    (taken && !slice_equal(mailbox.whole, slice_of(ahead[i].path))))
			fail_msg("line %zu: %s", i, ahead[i].input);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(banner_and_ehlo, begin, end),
	    cmocka_unit_test_setup_teardown(bare_ehlo, begin, end),
	    cmocka_unit_test_setup_teardown(a_message, begin, end),
	    cmocka_unit_test_setup_teardown(pipelined_replies_in_order, begin, end),
	    cmocka_unit_test(replies),
	    cmocka_unit_test(recipients_ahead),
	    cmocka_unit_test(what_is_not_offered_is_refused),
	    cmocka_unit_test_setup_teardown(greeting_comes_first, begin, end),
	    cmocka_unit_test_setup_teardown(a_bad_line_is_answered_once_and_skipped, begin, end),
	    cmocka_unit_test_setup_teardown(duplicates_are_kept_once, begin, end),
	    cmocka_unit_test_setup_teardown(refused_recipients_are_not_in_the_message, begin, end),
	    cmocka_unit_test_setup_teardown(etrn_is_a_hint, begin, end),
	    cmocka_unit_test_setup_teardown(starttls_forgets_what_was_said, begin, end),
	    cmocka_unit_test_setup_teardown(utf8_protocol, begin, end),
	    cmocka_unit_test_setup_teardown(bytes_before_tls_are_dropped, begin, end),
	    cmocka_unit_test_setup_teardown(early_talker, begin, end),
	    cmocka_unit_test_setup_teardown(early_talker_while_the_banner_is_on_its_way, begin, end),
	    cmocka_unit_test_setup_teardown(early_talker_put_up_with, begin, end),
	    cmocka_unit_test_setup_teardown(nothing_is_read_while_a_question_is_open, begin, end),
	    cmocka_unit_test(answer_421_closes),
	    cmocka_unit_test_setup_teardown(answers_are_sent_as_given, begin, end),
	    cmocka_unit_test_setup_teardown(gone_between_commands, begin, end),
	    cmocka_unit_test_setup_teardown(gone_in_the_body, begin, end),
	    cmocka_unit_test_setup_teardown(gone_in_the_body_that_was_refused, begin, end),
	    cmocka_unit_test_setup_teardown(gone_at_begin, begin, end),
	    cmocka_unit_test_setup_teardown(gone_at_commit, begin, end),
	    cmocka_unit_test_setup_teardown(gone_at_mail_and_rcpt, begin, end),
	    cmocka_unit_test_setup_teardown(gone_before_commit_was_said, begin, end),
	    cmocka_unit_test_setup_teardown(shut_down_between_commands, begin, end),
	    cmocka_unit_test_setup_teardown(shut_down_in_a_message, begin, end),
	    cmocka_unit_test_setup_teardown(shut_down_between_chunks, begin, end),
	};

	return cmocka_run_group_tests_name("smtp_server", tests, NULL, NULL);
}
