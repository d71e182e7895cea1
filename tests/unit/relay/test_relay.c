/* The core on a stage: who is told what, in which order, and what the store knows then. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "play.h"

static void a_message_passes_through(void **state)
{
	struct play *play = play_new();
	play_add_domain(play, "example.com", "192.0.2.25");

	const char *reply = play_mail(play, "a@sender.example", "b@example.com", "Subject: x\r\n\r\nhello");
	assert_memory_equal(reply, "250 2.0.0 accepted as ", 22);
	struct peer *server = play_server(play, "PIPELINING");
	assert_string_equal(play_read(server),
			    "MAIL FROM:<a@sender.example>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n");
	play_say(play, server, "250 ok\r\n250 ok\r\n354 go\r\n");
	const char *body = play_read(server);
	assert_memory_equal(body, "Received: from sender.example", 29);
	assert_non_null(strstr(body, "for <b@example.com>"));
	assert_non_null(strstr(body, "\r\nSubject: x\r\n\r\nhello\r\n.\r\n"));
	assert_int_equal(play_totals(play).queued, 1);
	play_say(play, server, "250 taken\r\n");
	assert_int_equal(play_totals(play).delivered, 1);
	assert_int_equal(play_totals(play).queued, 0);
	play_free(play);
}

static void strangers_are_not_served(void **state)
{
	struct play *play = play_new();
	play_add_domain(play, "example.com", "192.0.2.25");
	struct peer *peer = play_sender(play);

	play_say(play, peer, "EHLO x\r\nMAIL FROM:<a@b.example>\r\n");
	(void)play_read(peer);
	play_say(play, peer, "RCPT TO:<c@other.example>\r\n");
	assert_memory_equal(play_read(peer), "550 5.7.1 relaying denied", 25);
	play_say(play, peer, "RCPT TO:<postmaster>\r\n");
	assert_memory_equal(play_read(peer), "250 ", 4);
	play_say(play, peer, "RCPT TO:<PostMaster@EXAMPLE.com>\r\n");
	assert_memory_equal(play_read(peer), "250 ", 4);
	play_free(play);
}

static void no_250_before_the_commit(void **state)
{
	struct play *play = play_new();
	play_add_domain(play, "example.com", "192.0.2.25");
	ram_store_hold(play->store, true);

	assert_string_equal(play_mail(play, "a@s.example", "b@example.com", "\r\nx"), "");
	struct peer *peer = &play->peers[play->peer_count - 1];
	ram_store_hold(play->store, false);
	play_run(play);
	assert_memory_equal(play_read(peer), "250 2.0.0", 9);
	play_free(play);
}

static void a_client_that_leaves_after_the_dot_loses_nothing(void **state)
{
	struct play *play = play_new();
	play_add_domain(play, "example.com", "192.0.2.25");
	ram_store_hold(play->store, true);
	assert_string_equal(play_mail(play, "a@s.example", "b@example.com", "\r\nx"), "");
	play_end(play, &play->peers[play->peer_count - 1], NET_END_RESET);
	ram_store_hold(play->store, false);
	play_run(play);

	assert_int_equal(play_totals(play).queued, 1);
	assert_non_null(play_server(play, "PIPELINING"));
	play_free(play);
}

static void faults(struct play *play, double unknown_happened, double unknown_not, double failed)
{
	struct ram_faults f = {
	    .unknown_happened = unknown_happened, .unknown_not_happened = unknown_not, .failed = failed};

	ram_store_inject(play->store, &f);
}

static void an_unknown_commit_is_asked_again(void **state)
{
	struct play *play = play_new();
	play_add_domain(play, "example.com", "192.0.2.25");
	faults(play, 1, 0, 0);
	assert_string_equal(play_mail(play, "a@s.example", "b@example.com", "\r\nx"), "");
	struct peer *peer = &play->peers[play->peer_count - 1];
	play_pass(play, 5000);
	assert_string_equal(play_read(peer), "");
	assert_null(play_dialled(play)); /* nothing is forwarded before it is certain */
	faults(play, 0, 0, 0);
	play_pass(play, 2000);
	assert_memory_equal(play_read(peer), "250 2.0.0", 9);
	assert_int_equal(play_totals(play).accepted, 1);
	play_free(play);
}

static void an_unknown_commit_ends_without_a_reply(void **state)
{
	struct play *play = play_new();
	play_add_domain(play, "example.com", "192.0.2.25");
	faults(play, 1, 0, 0);
	assert_string_equal(play_mail(play, "a@s.example", "b@example.com", "\r\nx"), "");
	struct peer *peer = &play->peers[play->peer_count - 1];
	play_pass(play, RELAY_COMMIT_RETRY_MS + 2000);
	assert_false(peer->open);
	assert_string_equal(play_read(peer), "");
	faults(play, 0, 0, 0);
	play_pass(play, 5000);
	assert_int_equal(play_totals(play).queued, 0);
	assert_null(play_dialled(play));
	play_free(play);
}

static void a_failed_commit_is_451(void **state)
{
	struct play *play = play_new();
	play_add_domain(play, "example.com", "192.0.2.25");
	faults(play, 0, 0, 1);
	assert_memory_equal(play_mail(play, "a@s.example", "b@example.com", "\r\nx"), "451 4.3.0", 9);
	faults(play, 0, 0, 0);
	assert_int_equal(play_totals(play).accepted, 0);
	play_free(play);
}

/* Two messages, one connection. */
static struct peer *two_messages(struct play *play)
{
	(void)play_mail(play, "a@s.example", "one@example.com", "\r\n1");
	(void)play_mail(play, "a@s.example", "two@example.com", "\r\n2");
	return play_server(play, "PIPELINING");
}

static void the_next_mail_waits_for_the_record(void **state)
{
	struct play *play = play_new();
	play_add_domain(play, "example.com", "192.0.2.25");
	struct peer *server = two_messages(play);

	(void)play_read(server);
	play_say(play, server, "250 ok\r\n250 ok\r\n354 go\r\n");
	(void)play_read(server);
	ram_store_hold(play->store, true);
	play_say(play, server, "250 taken\r\n");
	assert_string_equal(play_read(server), "");
	ram_store_hold(play->store, false);
	play_run(play);
	assert_memory_equal(play_read(server), "MAIL FROM:", 10);
	play_free(play);
}

static void a_result_that_cannot_be_written_is_not_lost(void **state)
{
	struct play *play = play_new();
	play_add_domain(play, "example.com", "192.0.2.25");
	struct peer *server = two_messages(play);

	(void)play_read(server);
	play_say(play, server, "250 ok\r\n250 ok\r\n354 go\r\n");
	(void)play_read(server);
	faults(play, 0, 0, 1);
	play_say(play, server, "250 taken\r\n");
	play_pass(play, 3500);
	assert_string_equal(play_read(server), "");
	faults(play, 0, 0, 0);
	play_pass(play, 1500);
	assert_int_equal(play_totals(play).delivered, 1);
	assert_memory_equal(play_read(server), "MAIL FROM:", 10);
	play_free(play);
}

static void mixed_replies_reach_the_right_recipients(void **state)
{
	struct play *play = play_new();
	play_add_domain(play, "example.com", "192.0.2.25");
	struct peer *peer = play_sender(play);

	play_say(
	    play, peer,
	    "EHLO x\r\nMAIL FROM:<a@s.example>\r\nRCPT TO:<one@example.com>\r\nRCPT TO:<two@example.com>\r\n"
	    "RCPT TO:<three@example.com>\r\nDATA\r\n");
	play_say(play, peer, "\r\nx\r\n.\r\n");
	struct peer *server = play_server(play, "PIPELINING");
	(void)play_read(server);
	play_say(play, server, "250 ok\r\n250 ok\r\n452 4.2.2 mailbox full\r\n250 ok\r\n354 go\r\n");
	const char *body = play_read(server);
	assert_null(strstr(body, "for <")); /* several recipients must not learn of each other */
	play_say(play, server, "250 taken\r\n");
	assert_int_equal(play_totals(play).delivered, 2);
	assert_int_equal(play_totals(play).queued, 1);
	play_end(play, server, NET_END_EOF);
	play_pass(play, 6 * 60 * 1000); /* a full mailbox is tried again after five minutes */
	server = play_server(play, "PIPELINING");
	assert_non_null(strstr(play_read(server), "RCPT TO:<two@example.com>\r\nDATA"));
	play_free(play);
}

static void a_dead_server_is_noticed_and_probed(void **state)
{
	struct play *play = play_new();
	play_add_domain(play, "example.com", "192.0.2.25");
	(void)play_mail(play, "a@s.example", "b@example.com", "\r\nx");
	for (int i = 0; i < 3; i++) {
		struct peer *call = play_dialled(play);
		assert_non_null(call);
		play_end(play, call, NET_END_REFUSED);
		assert_null(play_dialled(play)); /* not at once again */
		play_pass(play, 6500);		 /* 5 s, jittered by a fifth */
	}
	struct peer *server = play_server(play, "PIPELINING");
	(void)play_read(server);
	play_say(play, server, "250 ok\r\n250 ok\r\n354 go\r\n");
	play_say(play, server, "250 taken\r\n");
	assert_int_equal(play_totals(play).delivered, 1);
	play_free(play);
}

static void a_lost_reply_to_the_dot_waits_ten_minutes(void **state)
{
	struct play *play = play_new();
	play_add_domain(play, "example.com", "192.0.2.25");
	(void)play_mail(play, "a@s.example", "b@example.com", "\r\nx");
	struct peer *server = play_server(play, "PIPELINING");
	play_say(play, server, "250 ok\r\n250 ok\r\n354 go\r\n");
	play_end(play, server, NET_END_RESET);
	play_pass(play, 9 * 60 * 1000);
	for (size_t i = 0; i < play->peer_count; i++)
		assert_null(strstr(play->peers[i].written, "b@example.com>\r\nDATA") == NULL ? NULL
			    : play->peers[i].open					     ? play
											     : NULL);
	assert_int_equal(play_totals(play).queued, 1);
	play_pass(play, 3 * 60 * 1000);
	server = play_server(play, "PIPELINING");
	assert_non_null(strstr(play_read(server), "b@example.com"));
	play_free(play);
}

static void a_broken_handshake_falls_back_to_plain_text(void **state)
{
	struct play *play = play_new();
	play_add_domain(play, "example.com", "192.0.2.25");
	(void)play_mail(play, "a@s.example", "b@example.com", "\r\nx");
	struct peer *server = play_server(play, "STARTTLS");
	assert_string_equal(play_read(server), "STARTTLS\r\n");
	play_say(play, server, "220 go\r\n");
	assert_true(server->tls_asked);
	play_end(play, server, NET_END_TLS);
	server = play_server(play, "STARTTLS");
	assert_memory_equal(play_read(server), "MAIL FROM:", 10);
	play_free(play);
}

static void held_mail_follows_a_changed_destination(void **state)
{
	struct play *play = play_new();
	play_add_domain(play, "example.com", "192.0.2.25");
	(void)play_mail(play, "a@s.example", "b@example.com", "\r\nx");
	play_end(play, play_dialled(play), NET_END_REFUSED);

	struct play_answer answer = {.came = false};
	admin_domain_set(play->relay, SLICE("example.com"), SLICE("to"), SLICE("192.0.2.99:2525"),
			 play_answered, &answer);
	play_run(play);
	assert_int_equal(answer.result.error, 0);
	struct peer *call = play_dialled(play);
	assert_non_null(call);
	char text[NET_ADDRESS_TEXT_SIZE];
	assert_string_equal(net_address_text(&call->to, text), "192.0.2.99:2525");
	play_free(play);
}

static void a_pause_concerns_its_domain_only(void **state)
{
	struct play *play = play_new();
	struct play_answer answer = {.came = false};
	play_add_domain(play, "one.example", "192.0.2.25");
	play_add_domain(play, "two.example", "192.0.2.25");
	admin_hold(play->relay, SLICE("one.example"), 0, play_answered, &answer);
	play_run(play);
	(void)play_mail(play, "a@s.example", "b@one.example", "\r\nx");
	assert_null(play_dialled(play));
	(void)play_mail(play, "a@s.example", "b@two.example", "\r\nx");
	struct peer *server = play_server(play, "PIPELINING");
	assert_non_null(strstr(play_read(server), "b@two.example"));

	answer.came = false;
	admin_resume(play->relay, SLICE("one.example"), play_answered, &answer);
	play_say(play, server, "250 ok\r\n250 ok\r\n354 go\r\n");
	play_say(play, server, "250 taken\r\n");
	assert_non_null(strstr(play_read(server), "b@one.example"));
	play_free(play);
}

static void a_domain_without_a_server_holds(void **state)
{
	struct play *play = play_new();
	play->mx.status = RESOLVER_NXDOMAIN;
	play_add_domain(play, "example.com", NULL);
	assert_memory_equal(play_mail(play, "a@s.example", "b@example.com", "\r\nx"), "250", 3);
	play_pass(play, 10 * 60 * 1000);
	assert_null(play_dialled(play));
	play->mx = (struct resolver_answer){
	    .status = RESOLVER_OK, .ttl_s = 60, .mx_count = 1, .mx = {{10, "mx.example.com"}}};
	play_pass(play, 2 * 60 * 1000);
	struct peer *server = play_server(play, "PIPELINING");
	assert_non_null(strstr(play_read(server), "b@example.com"));
	play_free(play);
}

static void state_survives_a_restart(void **state)
{
	struct play *play = play_new();
	play_add_domain(play, "example.com", "192.0.2.25");
	(void)play_mail(play, "a@s.example", "b@example.com", "\r\nx");
	play_end(play, play_dialled(play), NET_END_REFUSED);
	play_pass(play, 1000);

	ram_store_crash(play->store);
	relay_free(play->relay);
	struct relay_config config;
	relay_config_defaults(&config, "relay.example");
	config.ask_recipients = play->door;
	struct relay_ports ports = {&play->clock, &play->net, play->store, &play->resolver, &play->log, 43};
	play->peer_count = 0;
	play->relay = relay_new(&config, &ports);
	play_run(play);
	play_pass(play, 15000);
	struct peer *server = play_server(play, "PIPELINING");
	assert_non_null(strstr(play_read(server), "b@example.com"));
	play_free(play);
}

static void a_clock_put_back_delays_nothing(void **state)
{
	struct play *play = play_new();
	play_add_domain(play, "example.com", "192.0.2.25");
	(void)play_mail(play, "a@s.example", "b@example.com", "\r\nx");
	struct peer *server = play_server(play, "PIPELINING");
	play_say(play, server, "250 ok\r\n452 4.2.2 mailbox full\r\n503 no recipients\r\n");
	play_end(play, server, NET_END_EOF);
	play->wall_shift_ms = -INT64_C(3600) * 1000;
	play_pass(play, 30000);
	server = play_server(play, "PIPELINING");
	assert_non_null(strstr(play_read(server), "RCPT TO:<b@example.com>"));
	play_free(play);
}

/* The next message of a server that refuses the whole for u2: returns its recipient. */
static void answer_one(struct play *play, struct peer *server)
{
	const char *text = play_read(server);
	bool bad = strstr(text, "two@example.com") != NULL;

	assert_non_null(strstr(text, "MAIL FROM"));
	assert_null(strstr(strstr(text, "RCPT TO") + 1, "RCPT TO")); /* one at a time */
	play_say(play, server, "250 ok\r\n250 ok\r\n354 go\r\n");
	(void)play_read(server);
	play_say(play, server, bad ? "550 5.1.1 one of the recipients is unknown\r\n" : "250 taken\r\n");
}

static void one_bad_recipient_does_not_spoil_the_others(void **state)
{
	struct play *play = play_new();
	play_add_domain(play, "example.com", "192.0.2.25");
	struct peer *peer = play_sender(play);

	play_say(play, peer,
		 "EHLO x\r\nMAIL FROM:<a@s.example>\r\nRCPT TO:<one@example.com>\r\nRCPT "
		 "TO:<two@example.com>\r\nRCPT TO:<three@example.com>\r\nDATA\r\n");
	play_say(play, peer, "\r\nx\r\n.\r\n");
	struct peer *server = play_server(play, "PIPELINING");
	(void)play_read(server);
	play_say(play, server, "250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n");
	(void)play_read(server);
	play_say(play, server, "550 5.1.1 one of the recipients is unknown\r\n");
	for (int i = 0; i < 3; i++) {
		if (server->written_size > 0 && strncmp(server->written, "RSET", 4) == 0)
			play_say(play, server, "250 ok\r\n");
		(void)play_read(server);
		play_pass(play, 1100);
		answer_one(play, server);
	}
	assert_int_equal(play_totals(play).delivered, 2);
	assert_int_equal(play_totals(play).queued, 1);
	play_free(play);
}

static void extensions_are_offered_once_every_server_has_them(void **state)
{
	struct play *play = play_new();
	play_add_domain(play, "one.example", "192.0.2.25");
	play_add_domain(play, "two.example", "192.0.2.26");
	struct peer *peer = play_sender(play);
	play_say(play, peer, "EHLO x\r\n");
	assert_null(strstr(play_read(peer), "SMTPUTF8"));

	(void)play_mail(play, "a@s.example", "b@one.example", "\r\nx");
	(void)play_server(play, "PIPELINING\nSMTPUTF8\nDSN");
	peer = play_sender(play);
	play_say(play, peer, "EHLO x\r\n");
	assert_null(strstr(play_read(peer), "SMTPUTF8")); /* the other one is not known */
	(void)play_mail(play, "a@s.example", "b@two.example", "\r\nx");
	(void)play_server(play, "SMTPUTF8");
	peer = play_sender(play);
	play_say(play, peer, "EHLO x\r\n");
	const char *offer = play_read(peer);
	assert_non_null(strstr(offer, "SMTPUTF8"));
	assert_null(strstr(offer, "DSN"));
	play_free(play);
}

static void removal_is_refused_while_mail_is_held(void **state)
{
	struct play *play = play_new();
	struct play_answer answer = {.came = false};
	play_add_domain(play, "example.com", "192.0.2.25");
	(void)play_mail(play, "a@s.example", "b@example.com", "\r\nx");
	play_end(play, play_dialled(play), NET_END_REFUSED);
	admin_domain_remove(play->relay, SLICE("example.com"), play_answered, &answer);
	play_run(play);
	assert_int_equal(answer.result.error, ERR_STATE);
	play_free(play);

	play = play_new();
	answer.came = false;
	play_add_domain(play, "example.com", "192.0.2.25");
	admin_domain_remove(play->relay, SLICE("example.com"), play_answered, &answer);
	play_pass(play, 1000);
	assert_true(answer.came);
	assert_int_equal(answer.result.error, 0);
	assert_false(admin_status(play->relay, SLICE("example.com"), NULL, NULL, NULL));
	play_free(play);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_message_passes_through),
	    cmocka_unit_test(strangers_are_not_served),
	    cmocka_unit_test(no_250_before_the_commit),
	    cmocka_unit_test(a_client_that_leaves_after_the_dot_loses_nothing),
	    cmocka_unit_test(an_unknown_commit_is_asked_again),
	    cmocka_unit_test(an_unknown_commit_ends_without_a_reply),
	    cmocka_unit_test(a_failed_commit_is_451),
	    cmocka_unit_test(the_next_mail_waits_for_the_record),
	    cmocka_unit_test(a_result_that_cannot_be_written_is_not_lost),
	    cmocka_unit_test(mixed_replies_reach_the_right_recipients),
	    cmocka_unit_test(a_dead_server_is_noticed_and_probed),
	    cmocka_unit_test(a_lost_reply_to_the_dot_waits_ten_minutes),
	    cmocka_unit_test(a_broken_handshake_falls_back_to_plain_text),
	    cmocka_unit_test(held_mail_follows_a_changed_destination),
	    cmocka_unit_test(a_pause_concerns_its_domain_only),
	    cmocka_unit_test(a_domain_without_a_server_holds),
	    cmocka_unit_test(state_survives_a_restart),
	    cmocka_unit_test(a_clock_put_back_delays_nothing),
	    cmocka_unit_test(one_bad_recipient_does_not_spoil_the_others),
	    cmocka_unit_test(extensions_are_offered_once_every_server_has_them),
	    cmocka_unit_test(removal_is_refused_while_mail_is_held),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
