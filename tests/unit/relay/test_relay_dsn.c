/* Who is told that his mail was not delivered, and who is not. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/ends.h"
#include "stage.h"

enum { HOUR_MS = 3600 * 1000, DAY_MS = 24 * HOUR_MS };

static const char message[] = "Subject: x\r\nMessage-ID: <1@s.example>\r\n\r\nthe body\r\n";

static void days_pass(struct play *play, int days)
{
	for (int i = 0; i < days; i++)
		play_pass(play, DAY_MS);
}

/* One domain that waits, whose senders SPF knows or does not. */
static struct play *begin(bool pass)
{
	struct play *play = play_new();
	struct play_answer answer = {.came = false};

	play->spf_pass = pass;
	play_add_domain(play, "example.com", "192.0.2.99");
	admin_hold(play->relay, SLICE("example.com"), 0, play_answered, &answer);
	play_run(play);
	assert_true(answer.came);
	return play;
}

/* The transaction of one message; parameters follow the paths. Returns the reply to the dot. */
static const char *send(struct play *play, const char *mail, const char *rcpt)
{
	char text[512];
	struct peer *peer = play_sender(play);

	(void)snprintf(text, sizeof(text), "EHLO x\r\nMAIL FROM:%s\r\nRCPT TO:%s\r\nDATA\r\n", mail, rcpt);
	play_say(play, peer, text);
	assert_non_null(strstr(play_read(peer), "\r\n354 "));
	play_say(play, peer, message);
	play_say(play, peer, ".\r\n");
	return play_read(peer);
}

static void expect_taken(struct play *play, const char *mail, const char *rcpt)
{
	size_t before = play->peer_count;

	assert_int_equal(strncmp(send(play, mail, rcpt), "250 ", 4), 0);
	play_say(play, &play->peers[before], "QUIT\r\n");
	play->peer_count = before;
}

static uint64_t own_mail(struct play *play)
{
	struct outside_view view;

	outside_view(play->relay, &view);
	return view.messages;
}

static uint64_t in_grace(struct play *play)
{
	struct store_counts counts;

	play->store->ops->count(play->store, STORE_GRACE, &counts);
	return counts.recipients;
}

/* What lies in the store under that id, as text. */
struct content {
	struct play_answer answer; /* first */
	char text[16384];
};

static bool add_piece(void *owner, struct slice bytes)
{
	struct content *c = owner;
	size_t used = strlen(c->text);

	assert_true(used + bytes.size < sizeof(c->text));
	memcpy(c->text + used, bytes.data, bytes.size);
	return true;
}

static struct content *read_own(struct play *play)
{
	struct content *c = calloc(1, sizeof(*c));
	uint64_t ids[STAGE_IDS_MAX];

	assert_non_null(c);
	size_t count = stage_ids(play, ids);
	assert_true(count > 0);
	admin_message_cat(play->relay, ids[count - 1], 0, add_piece, play_answered, c);
	play_run(play);
	assert_true(c->answer.came);
	return c;
}

static void an_authenticated_sender_is_told(void **state)
{
	struct play *play = begin(true);
	expect_taken(play, "<a@s.example>", "<joe@example.com>");
	assert_int_equal(play->spf_asked, 1);
	play->mx.status = RESOLVER_FAILED;
	days_pass(play, 14);
	assert_int_equal(own_mail(play), 0);
	days_pass(play, 2);
	assert_int_equal(own_mail(play), 1);
	assert_int_equal(in_grace(play), 1);
	struct content *c = read_own(play);
	assert_non_null(strstr(c->text, "To: <a@s.example>"));
	assert_non_null(strstr(c->text, "Final-Recipient: rfc822;joe@example.com"));
	assert_non_null(strstr(c->text, "Action: failed"));
	assert_non_null(strstr(c->text, "Message-ID: <1@s.example>"));
	assert_null(strstr(c->text, "the body"));
	free(c);
	play->mx.status = RESOLVER_NODATA;
	struct servers *servers = servers_new(play);
	servers_work(servers, 120000, 1000);
	assert_non_null(strstr(servers->delivered, "a@s.example"));
	assert_int_equal(own_mail(play), 0);
	free(servers);
	play_free(play);
}

static void nobody_else_is_told(void **state)
{
	struct play *play = begin(false);
	expect_taken(play, "<a@s.example>", "<joe@example.com>");
	play->spf_pass = true;
	expect_taken(play, "<>", "<joe@example.com>");
	assert_int_equal(play->spf_asked, 1); /* there is nobody to be told */
	days_pass(play, 16);
	assert_int_equal(own_mail(play), 0);
	assert_int_equal(in_grace(play), 2);
	play_free(play);
}

/* The relay offers DSN only while all servers have it: this one was seen to. */
static struct play *begin_with_dsn(void)
{
	struct play *play = play_new();
	struct play_answer answer = {.came = false};

	play->spf_pass = true;
	play_add_domain(play, "example.com", "192.0.2.99");
	struct peer *sender = play_sender(play);
	play_say(play, sender, "EHLO x\r\nMAIL FROM:<a@s.example>\r\nRCPT TO:<joe@example.com>\r\nDATA\r\n");
	play_say(play, sender, "Subject: x\r\n\r\nhi\r\n.\r\n");
	struct peer *peer = play_server(play, "DSN\n");
	play_say(play, peer, "250 ok\r\n");
	play_say(play, peer, "250 ok\r\n");
	play_say(play, peer, "354 ok\r\n");
	play_say(play, peer, "250 ok\r\n");
	assert_int_equal(play_totals(play).queued, 0);
	play_end(play, peer, NET_END_EOF);
	admin_hold(play->relay, SLICE("example.com"), 0, play_answered, &answer);
	play_run(play);
	play->mx.status = RESOLVER_FAILED;
	return play;
}

static void the_senders_wishes_are_kept(void **state)
{
	struct play *play = begin_with_dsn();
	expect_taken(play, "<a@s.example>", "<joe@example.com> NOTIFY=NEVER");
	expect_taken(play, "<a@s.example>", "<joe@example.com> NOTIFY=SUCCESS");
	days_pass(play, 16);
	assert_int_equal(in_grace(play), 2);
	assert_int_equal(own_mail(play), 0);
	expect_taken(play, "<a@s.example> RET=FULL ENVID=E17",
		     "<joe@example.com> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;j@old.example");
	days_pass(play, 16);
	assert_int_equal(own_mail(play), 1);
	struct content *c = read_own(play);
	assert_non_null(strstr(c->text, "Original-Envelope-Id: E17"));
	assert_non_null(strstr(c->text, "Original-Recipient: rfc822;j@old.example"));
	assert_non_null(strstr(c->text, "the body"));
	free(c);
	play_free(play);
}

static void the_sender_waits_for_the_answer_but_not_long(void **state)
{
	struct play *play = begin(true);
	play->spf_silent = true;
	struct peer *peer = play_sender(play);
	play_say(play, peer, "EHLO x\r\nMAIL FROM:<a@s.example>\r\nRCPT TO:<joe@example.com>\r\nDATA\r\n");
	play_say(play, peer, message);
	(void)play_read(peer);
	play_say(play, peer, ".\r\n");
	assert_string_equal(play_read(peer), "");
	assert_true(peer->paused);
	play_pass(play, SPF_PATIENCE_MS + 1);
	assert_int_equal(strncmp(play_read(peer), "250 ", 4), 0);
	assert_int_equal(play_totals(play).accepted, 1);
	days_pass(play, 16);
	assert_int_equal(own_mail(play), 0); /* no answer is no pass */
	play_free(play);
}

static void the_answer_is_for_its_own_message(void **state)
{
	struct play *play = begin(true);
	struct peer *peer = play_sender(play);
	play_say(play, peer, "EHLO x\r\nMAIL FROM:<a@s.example>\r\nRCPT TO:<joe@example.com>\r\nRSET\r\n");
	play->spf_silent = true;
	play_say(play, peer, "MAIL FROM:<b@s.example>\r\nRCPT TO:<joe@example.com>\r\nDATA\r\n");
	play_say(play, peer, message);
	play_say(play, peer, ".\r\n");
	play_end(play, peer, NET_END_EOF); /* while it waits: the message is whole, and kept */
	play_run(play);
	assert_int_equal(play->spf_open, 0);
	assert_int_equal(play_totals(play).accepted, 1);
	play->spf_silent = false;
	days_pass(play, 16);
	assert_int_equal(in_grace(play), 1);
	assert_int_equal(own_mail(play), 0);
	play_free(play);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_authenticated_sender_is_told),
	    cmocka_unit_test(nobody_else_is_told),
	    cmocka_unit_test(the_senders_wishes_are_kept),
	    cmocka_unit_test(the_sender_waits_for_the_answer_but_not_long),
	    cmocka_unit_test(the_answer_is_for_its_own_message),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
