/* Sessions at their edges: what comes too early, too late, in pieces, in masses, or never. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stage.h"

enum { START_US = 1000000000 }; /* of the play's clock */

/* --- STARTTLS --- */

static const struct net_tls_state tls_state = {.version = "TLSv1.3", .cipher = "x"};

static void plain_commands_before_the_handshake_count_for_nothing(void **state)
{
	static const char *const pieces[2][2] = {
	    {"EHLO x\r\n", "STARTTLS\r\nEHLO y\r\nMAIL FROM:<evil@x.example>\r\n"},
	    {"", "EHLO x\r\nSTARTTLS\r\nEHLO y\r\nMAIL FROM:<evil@x.example>\r\n"},
	};
	struct play *play = play_new();
	play->tls = true;
	play_add_domain(play, "example.com", "192.0.2.25");
	for (int i = 0; i < 2; i++) {
		struct peer *peer = play_sender(play);
		play_say(play, peer, pieces[i][0]);
		play_say(play, peer, pieces[i][1]);
		assert_true(peer->tls_asked);
		(void)play_read(peer);
		peer->events->secured(peer->owner, &tls_state);
		play_run(play);
		assert_string_equal(play_read(peer), "");
		assert_false(peer->paused);
		play_say(play, peer, "RCPT TO:<b@example.com>\r\n");
		assert_memory_equal(play_read(peer), "503", 3);
		play_say(play, peer, "EHLO x\r\n");
		assert_null(strstr(play_read(peer), "STARTTLS"));
	}
	play_free(play);
}

static void a_plain_reply_before_the_handshake_counts_for_nothing(void **state)
{
	struct play *play = play_new();
	play_add_domain(play, "example.com", "192.0.2.25");
	(void)play_mail(play, "a@s.example", "b@example.com", "\r\nx");
	struct peer *server = play_server(play, "STARTTLS");
	assert_string_equal(play_read(server), "STARTTLS\r\n");
	play_say(play, server, "220 go\r\n250 injected\r\n250 ok\r\n");
	if (server->open) {
		server->events->secured(server->owner, &tls_state);
		play_run(play);
		assert_string_equal(play_read(server), "EHLO relay.example\r\n");
	}
	assert_null(strstr(play_read(server), "MAIL"));
	play_free(play);
}

/* --- senders --- */

static const char script[] = "EHLO x\r\nMAIL FROM:<a@s.example>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"
			     "Subject: x\r\n\r\n..hello\r\n.\r\nQUIT\r\n";

/* late: the store answers after the client has gone. */
static void leave_at(size_t cut, bool late)
{
	size_t whole = (size_t)(strstr(script, "\r\n.\r\n") - script) + 5;
	struct admin_node_view view;
	struct play *play = play_new();
	play_add_domain(play, "example.com", "192.0.2.25");
	struct peer *peer = play_sender(play);

	ram_store_hold(play->store, late);
	peer->events->received(peer->owner, slice_make(script, cut));
	if (peer->open) {
		peer->open = false;
		peer->events->closed(peer->owner, NET_END_RESET, "");
	}
	ram_store_hold(play->store, false);
	play_run(play);
	assert_int_equal(play_totals(play).accepted, cut >= whole);
	admin_node(play->relay, &view);
	assert_int_equal(view.inbound_sessions, 0);
	play_free(play);
}

static void a_client_may_leave_at_every_byte(void **state)
{
	for (size_t cut = 0; cut < sizeof(script); cut++) {
		leave_at(cut, false);
		leave_at(cut, true);
	}
}

static void two_messages_may_come_in_one_piece(void **state)
{
	struct play *play = play_new();
	play_add_domain(play, "example.com", "192.0.2.25");
	struct servers *servers = servers_new(play);
	struct peer *peer = play_sender(play);

	ram_store_hold(play->store, true);
	play_say(play, peer,
		 "EHLO x\r\nMAIL FROM:<a@s.example>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n\r\none\r\n.\r\n"
		 "MAIL FROM:<a@s.example>\r\nRCPT TO:<c@example.com>\r\nBDAT 5\r\n\r\ntwoBDAT 2 "
		 "LAST\r\n\r\nQUIT\r\n");
	assert_true(peer->paused);
	ram_store_hold(play->store, false);
	play_run(play);
	const char *said = play_read(peer);
	assert_int_equal(stage_times(said, "accepted as"), 2);
	assert_non_null(strstr(said, "\r\n221 "));
	assert_false(peer->open);
	servers_work(servers, 5000, 100);
	assert_int_equal(servers->messages, 2);
	assert_int_equal(stage_times(servers->delivered, "b@example.com "), 1);
	assert_int_equal(stage_times(servers->delivered, "c@example.com "), 1);
	free(servers);
	play_free(play);
}

static void without_credit_nothing_is_read(void **state)
{
	struct play *play = play_new();
	play_add_domain(play, "example.com", "192.0.2.25");
	struct watched_store *store = stage_watch(play);
	struct peer *peer = play_sender(play);
	play_say(play, peer, "EHLO x\r\nMAIL FROM:<a@s.example>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n");

	store->no_credit = true;
	play_say(play, peer, "Subject: x\r\n\r\nhello\r\n");
	assert_non_null(store->room);
	assert_true(peer->paused);
	play_pass(play, 10 * 60 * 1000); /* our delay, not the client's */
	assert_true(peer->open);
	store->no_credit = false;
	store->room(store->room_owner);
	play_run(play);
	assert_false(peer->paused);
	(void)play_read(peer);
	play_say(play, peer, "more\r\n.\r\n");
	assert_memory_equal(play_read(peer), "250 2.0.0", 9);
	play_free(play);
}

/* --- masses --- */

static int recipients_said[PLAY_PEERS_MAX];

static const char *a_hundred_each(struct servers *s, size_t i, const char *line)
{
	if (strncmp(line, "MAIL", 4) == 0)
		recipients_said[i] = 0;
	if (strncmp(line, "RCPT", 4) == 0 && ++recipients_said[i] > 100)
		return "452 4.5.3 too many recipients\r\n";
	return NULL;
}

static void thousand_recipients(struct play *play)
{
	char text[128];
	struct peer *peer = play_sender(play);

	play_say(play, peer, "EHLO x\r\nMAIL FROM:<a@s.example>\r\n");
	for (int i = 0; i < 1000; i++) {
		(void)snprintf(text, sizeof(text), "RCPT TO:<r%d@%s.example>\r\n", i, i % 2 ? "one" : "two");
		play_say(play, peer, text);
		assert_non_null(strstr(play_read(peer), "250 "));
	}
	play_say(play, peer, "RCPT TO:<more@one.example>\r\n");
	assert_memory_equal(play_read(peer), "452 ", 4);
	play_say(play, peer, "DATA\r\n");
	play_say(play, peer, "\r\nx\r\n.\r\n");
	assert_non_null(strstr(play_read(peer), "accepted as"));
}

static void a_thousand_recipients_get_one_copy_each(void **state)
{
	struct play *play = play_new();
	struct servers *servers = servers_new(play);
	char text[128];
	play_add_domain(play, "one.example", "192.0.2.25");
	play_add_domain(play, "two.example", "192.0.2.26");
	thousand_recipients(play);
	servers->reply = a_hundred_each;
	servers_work(servers, 60000, 100);
	assert_int_equal(play_totals(play).delivered, 1000);
	for (int i = 0; i < 1000; i++) {
		(void)snprintf(text, sizeof(text), "\nr%d@%s.example 192.0.2.%d:25\n", i,
			       i % 2 ? "one" : "two", i % 2 ? 25 : 26);
		const char *first = text + (strstr(servers->delivered, text + 1) == servers->delivered);
		assert_int_equal(stage_times(servers->delivered, first), 1);
	}
	free(servers);
	play_free(play);
}

static void send_many(struct play *play, int from, int to)
{
	char text[256];
	struct peer *peer = play_sender(play);

	play_say(play, peer, "EHLO x\r\n");
	for (int i = from; i < to; i++) {
		(void)snprintf(text, sizeof(text),
			       "MAIL FROM:<a@s.example>\r\nRCPT TO:<m%d@example.com>\r\nDATA\r\n", i);
		play_say(play, peer, text);
		play_say(play, peer, "\r\nx\r\n.\r\n");
		assert_non_null(strstr(play_read(peer), "accepted as"));
	}
	play_end(play, peer, NET_END_EOF);
}

/* Held while the server is down, fed when it is back, with fresh mail on top. */
static void held_then_fed(int held)
{
	enum { FRESH = 70 };
	struct play *play = play_new();
	struct servers *servers = servers_new(play);
	char text[64];

	play_add_domain(play, "example.com", "192.0.2.25");
	send_many(play, 0, 1);
	play_end(play, play_dialled(play), NET_END_REFUSED);
	send_many(play, 1, held);
	servers_work(servers, 7000, 100);
	send_many(play, held, held + FRESH);
	servers_work(servers, 60000, 100);
	assert_int_equal(play_totals(play).queued, 0);
	for (int i = 0; i < held + FRESH; i++) {
		(void)snprintf(text, sizeof(text), "m%d@example.com ", i);
		assert_int_equal(stage_times(servers->delivered, text), 1);
	}
	free(servers);
	play_free(play);
}

static void each_of_many_is_delivered_once(void **state)
{
	/* around the pages and ends of a queue in memory */
	static const int counts[] = {31, 32, 33, 63, 64, 65, 127, 128, 129, 1100};

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		held_then_fed(counts[i]);
}

static const char *one_at_a_time(struct servers *s, size_t i, const char *line)
{
	if (strncmp(line, "RCPT", 4) == 0 && s->recipients[i][0] != '\0')
		return "452 4.5.3 too many recipients\r\n";
	return NULL;
}

static void a_message_to_be_tried_again_does_not_have_all_read_again(void **state)
{
	struct play *play = play_new();
	struct servers *servers = servers_new(play);
	play_add_domain(play, "example.com", "192.0.2.25");
	struct peer *peer = play_sender(play);
	play_say(play, peer,
		 "EHLO x\r\nMAIL FROM:<a@s.example>\r\nRCPT TO:<b@example.com>\r\nRCPT TO:<c@example.com>\r\n"
		 "DATA\r\n");
	play_say(play, peer, "\r\nx\r\n.\r\n");
	send_many(play, 0, 400);
	servers->reply = one_at_a_time;
	struct watched_store *store = stage_watch(play);
	servers_work(servers, 20000, 100);
	assert_int_equal(play_totals(play).delivered, 402);
	assert_int_equal(servers->messages, 402);
	assert_in_range(store->walks, 402 / 32, 100);
	free(servers);
	play_free(play);
}

/* --- waiting --- */

static const char *full_for_ten_minutes(struct servers *s, size_t i, const char *line)
{
	if (strncmp(line, "RCPT TO:<full", 13) == 0 && s->play->now.now_us < START_US + CLOCK_SECONDS(600))
		return "452 4.2.2 mailbox full\r\n";
	return NULL;
}

static void recipients_wait_each_for_his_own(void **state)
{
	struct play *play = play_new();
	struct servers *servers = servers_new(play);
	play_add_domain(play, "one.example", "192.0.2.25");
	play_add_domain(play, "two.example", "192.0.2.25");
	struct peer *peer = play_sender(play);
	play_say(
	    play, peer,
	    "EHLO x\r\nMAIL FROM:<a@s.example>\r\nRCPT TO:<full@one.example>\r\nRCPT TO:<ok@one.example>\r\n"
	    "RCPT TO:<full@two.example>\r\nRCPT TO:<ok@two.example>\r\nDATA\r\n");
	play_say(play, peer, "\r\nx\r\n.\r\n");
	servers->reply = full_for_ten_minutes;
	servers_work(servers, 10000, 100);
	assert_int_equal(play_totals(play).delivered, 2);
	servers_work(servers, 3600 * 1000, 10000);
	assert_int_equal(play_totals(play).delivered, 4);
	assert_int_equal(stage_times(servers->delivered, "full@one.example "), 1);
	assert_int_equal(stage_times(servers->delivered, "full@two.example "), 1);
	assert_int_equal(stage_times(servers->delivered, "ok@one.example "), 1);
	assert_int_equal(stage_times(servers->delivered, "ok@two.example "), 1);
	free(servers);
	play_free(play);
}

static void a_lane_that_is_down_with_nothing_due_is_at_rest(void **state)
{
	uint64_t ids[STAGE_IDS_MAX];
	struct play_answer answer = {.came = false};
	struct play *play = play_new();
	struct servers *servers = servers_new(play);
	play_add_domain(play, "example.com", "192.0.2.25");
	(void)play_mail(play, "a@s.example", "b@example.com", "\r\nx");
	struct peer *server = play_server(play, "PIPELINING");
	play_say(play, server, "250 ok\r\n250 ok\r\n354 go\r\n");
	play_end(play, server, NET_END_RESET); /* past the dot: not before ten minutes */
	(void)play_mail(play, "a@s.example", "c@example.com", "\r\nx");
	play_end(play, play_dialled(play), NET_END_REFUSED);
	assert_int_equal(stage_ids(play, ids), 2);
	admin_message_remove(play->relay, ids[1], play_answered, &answer);
	play_run(play);

	struct watched_store *store = stage_watch(play);
	play_pass(play, 60 * 1000);
	assert_in_range(store->walks, 0, 100);
	servers_work(servers, 12 * 60 * 1000, 1000);
	assert_int_equal(play_totals(play).queued, 0);
	free(servers);
	play_free(play);
}

static void a_store_that_cannot_be_read_is_not_asked_in_a_circle(void **state)
{
	struct play *play = play_new();
	play_add_domain(play, "example.com", "192.0.2.25");
	(void)play_mail(play, "a@s.example", "b@example.com", "\r\nx");
	play_end(play, play_dialled(play), NET_END_REFUSED);
	struct watched_store *store = stage_watch(play);
	stage_fail(play, 1);
	play_pass(play, 10000);
	assert_in_range(store->walks, 1, 40);
	stage_fail(play, 0);
	play_pass(play, 7000);
	assert_non_null(play_dialled(play));
	play_free(play);
}

/* --- servers --- */

static void a_hanging_canary_does_not_end_the_probes(void **state)
{
	struct play *play = play_new();
	play_add_domain(play, "example.com", "192.0.2.25");
	(void)play_mail(play, "a@s.example", "b@example.com", "\r\nx");
	(void)play_mail(play, "a@s.example", "c@example.com", "\r\nx");
	play_end(play, play_dialled(play), NET_END_REFUSED);
	play_pass(play, 6500);
	struct peer *server = play_server(play, "PIPELINING");
	play_say(play, server, "250 ok\r\n250 ok\r\n354 go\r\n");
	size_t calls = play->peer_count;
	play_pass(play, 70 * 1000); /* it says nothing more, and no reset comes either */
	assert_true(play->peer_count > calls);
	play_free(play);
}

static void siblings_are_tried_before_the_lane_hears(void **state)
{
	char host[NET_ADDRESS_TEXT_SIZE], expected[32];
	struct play *play = play_new();
	play_add_domain(play, "example.com", "192.0.2.1");
	stage_set_hosts(play, "example.com", "192.0.2.1,192.0.2.2,192.0.2.3");
	(void)play_mail(play, "a@s.example", "b@example.com", "\r\nx");
	for (int i = 1; i <= 3; i++) {
		struct peer *call = play_dialled(play);
		assert_non_null(call);
		(void)snprintf(expected, sizeof(expected), "192.0.2.%d", i);
		assert_string_equal(net_address_host(&call->to, host), expected);
		play_end(play, call, NET_END_REFUSED);
	}
	assert_null(play_dialled(play));
	play_pass(play, 6500);
	assert_non_null(play_dialled(play));
	play_free(play);
}

static const char *all_or_nothing(struct servers *s, size_t i, const char *line)
{
	if (strcmp(line, ".") == 0 && strstr(s->recipients[i], "bad@") != NULL)
		return "550 5.1.1 no such user\r\n";
	return NULL;
}

static void one_bad_recipient_does_not_hold_the_others(void **state)
{
	struct play *play = play_new();
	struct servers *servers = servers_new(play);
	play_add_domain(play, "example.com", "192.0.2.25");
	struct peer *peer = play_sender(play);
	play_say(
	    play, peer,
	    "EHLO x\r\nMAIL FROM:<a@s.example>\r\nRCPT TO:<one@example.com>\r\nRCPT TO:<bad@example.com>\r\n"
	    "RCPT TO:<two@example.com>\r\nDATA\r\n");
	play_say(play, peer, "\r\nx\r\n.\r\n");
	servers->reply = all_or_nothing;
	servers_work(servers, 60 * 1000, 1000);
	assert_int_equal(play_totals(play).delivered, 2);
	assert_int_equal(play_totals(play).queued, 1);
	assert_int_equal(servers->messages, 2);
	free(servers);
	play_free(play);
}

static bool refusing;

static const char *refuses_one_domain(struct servers *s, size_t i, const char *line)
{
	if (refusing && strncmp(line, "RCPT", 4) == 0 && strstr(line, "one.example") != NULL)
		return "550 5.1.1 no such user\r\n";
	return NULL;
}

static void a_doubted_domain_does_not_slow_its_neighbour(void **state)
{
	char to[64], from[64];
	struct play *play = play_new();
	struct servers *servers = servers_new(play);
	play_add_domain(play, "one.example", "192.0.2.25");
	play_add_domain(play, "two.example", "192.0.2.25");
	servers->reply = refuses_one_domain;
	refusing = true;
	for (int i = 0; i < 12; i++) {
		(void)snprintf(to, sizeof(to), "r%d@one.example", i);
		(void)snprintf(from, sizeof(from), "s%d@s.example", i);
		(void)play_mail(play, from, to, "\r\nx");
		servers_work(servers, 300, 100);
	}
	servers_work(servers, 60000, 1000);
	assert_non_null(strstr(play->log_text, "the server's refusals are doubted"));
	(void)play_mail(play, "a@s.example", "n@two.example", "\r\nx");
	servers_work(servers, 3000, 100);
	assert_int_equal(play_totals(play).delivered, 1);
	refusing = false;
	servers_work(servers, 25000, 500);
	assert_int_equal(play_totals(play).queued, 0);
	assert_int_equal(servers->messages, 13);
	free(servers);
	play_free(play);
}

/* --- the end --- */

static void a_shutdown_finishes_what_is_under_way(void **state)
{
	struct play *play = play_new();
	play_add_domain(play, "example.com", "192.0.2.25");
	(void)play_mail(play, "a@s.example", "b@example.com", "\r\nx");
	struct peer *server = play_server(play, "PIPELINING");
	struct peer *idle = play_sender(play), *busy = play_sender(play);
	play_say(play, busy, "EHLO x\r\nMAIL FROM:<a@s.example>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n");
	(void)play_read(busy);
	relay_shut_down(play->relay);
	play_run(play);
	assert_memory_equal(play_read(idle), "421 ", 4);
	assert_false(idle->open);
	assert_false(relay_quiet(play->relay));

	play_say(play, busy, "\r\nx\r\n.\r\n");
	const char *said = play_read(busy);
	assert_memory_equal(said, "250 ", 4);
	assert_non_null(strstr(said, "\r\n421 "));
	play_say(play, server, "250 ok\r\n250 ok\r\n354 go\r\n");
	play_say(play, server, "250 taken\r\n");
	if (server->open)
		play_say(play, server, "221 bye\r\n");
	assert_true(relay_quiet(play->relay));
	assert_int_equal(play_totals(play).delivered, 1);
	play_free(play);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(plain_commands_before_the_handshake_count_for_nothing),
	    cmocka_unit_test(a_plain_reply_before_the_handshake_counts_for_nothing),
	    cmocka_unit_test(a_client_may_leave_at_every_byte),
	    cmocka_unit_test(two_messages_may_come_in_one_piece),
	    cmocka_unit_test(without_credit_nothing_is_read),
	    cmocka_unit_test(a_thousand_recipients_get_one_copy_each),
	    cmocka_unit_test(each_of_many_is_delivered_once),
	    cmocka_unit_test(a_message_to_be_tried_again_does_not_have_all_read_again),
	    cmocka_unit_test(recipients_wait_each_for_his_own),
	    cmocka_unit_test(a_lane_that_is_down_with_nothing_due_is_at_rest),
	    cmocka_unit_test(a_store_that_cannot_be_read_is_not_asked_in_a_circle),
	    cmocka_unit_test(a_hanging_canary_does_not_end_the_probes),
	    cmocka_unit_test(siblings_are_tried_before_the_lane_hears),
	    cmocka_unit_test(one_bad_recipient_does_not_hold_the_others),
	    cmocka_unit_test(a_doubted_domain_does_not_slow_its_neighbour),
	    cmocka_unit_test(a_shutdown_finishes_what_is_under_way),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
