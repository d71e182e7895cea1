/* The verdict in session: a sender who waits for what the server says. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "lane/tuning.h"
#include "stage.h"

enum { HOUR_MS = 3600 * 1000 };

/* Up to the final dot. */
static struct peer *send_on(struct play *play, struct peer *server)
{
	if (server == NULL)
		server = play_server(play, "PIPELINING");
	assert_non_null(server);
	(void)play_read(server);
	play_say(play, server, "250 ok\r\n250 ok\r\n354 go\r\n");
	(void)play_read(server);
	return server;
}

static struct peer *deliver(struct play *play, struct peer *server, const char *reply)
{
	server = send_on(play, server);
	play_say(play, server, reply);
	return server;
}

/* One that knows b@example.com, and is up for more than an hour. */
static struct play *proven(void)
{
	struct play *play = play_new();

	play_add_domain(play, "example.com", "192.0.2.25");
	assert_memory_equal(play_mail(play, "a@s.example", "b@example.com", "\r\nx"), "250 2.0.0", 9);
	(void)deliver(play, NULL, "250 taken\r\n");
	play_pass(play, HOUR_MS + 1000);
	return play;
}

static struct peer *newest_sender(struct play *play)
{
	for (size_t i = play->peer_count; i-- > 0;)
		if (play->peers[i].to.port == 0 && play->peers[i].open)
			return &play->peers[i];
	fail();
	return NULL;
}

/* A message whose sender waits. */
static struct peer *waiting(struct play *play, const char *to)
{
	assert_string_equal(play_mail(play, "a@s.example", to, "\r\nx"), "");
	return newest_sender(play);
}

static void the_server_takes_it(void **state)
{
	struct play *play = proven();
	struct peer *sender = waiting(play, "b@example.com");

	(void)deliver(play, NULL, "250 2.0.0 queued as 17\r\n");
	const char *reply = play_read(sender);
	assert_memory_equal(reply, "250 2.0.0 accepted as ", 22);
	assert_non_null(strstr(reply, "delivered: queued as 17"));
	assert_int_equal(play_totals(play).delivered, 2);
	play_free(play);
}

static void a_refused_content_goes_to_the_sender(void **state)
{
	struct play *play = proven();
	struct peer *sender = waiting(play, "b@example.com");

	(void)deliver(play, NULL, "554 5.7.1 this looks like spam\r\n");
	assert_string_equal(play_read(sender), "554 5.7.1 this looks like spam\r\n");
	assert_int_equal(play_totals(play).queued, 0);
	assert_int_equal(play_totals(play).ended, 2);
	assert_int_equal(play_totals(play).delivered, 1);
	play_pass(play, 4 * HOUR_MS);
	assert_null(play_dialled(play));
	play_free(play);
}

static void without_a_code_it_has_one_on_the_way_back(void **state)
{
	struct play *play = proven();
	struct peer *sender = waiting(play, "b@example.com");

	(void)deliver(play, NULL, "554 spam\r\n");
	assert_string_equal(play_read(sender), "554 5.0.0 spam\r\n");
	play_free(play);
}

static void what_is_no_final_word_about_the_content_is_kept(void **state)
{
	static const char *const replies[] = {
	    "451 4.7.1 try again later\r\n",
	    "550 5.7.1 SPF check failed, your host is not allowed to send for s.example\r\n",
	    "550 5.1.1 no such user\r\n",
	    "452 4.3.1 out of space\r\n",
	};

	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		struct play *play = proven();
		struct peer *sender = waiting(play, "b@example.com");
		(void)deliver(play, NULL, replies[i]);
		assert_memory_equal(play_read(sender), "250 2.0.0 accepted as ", 22);
		assert_int_equal(play_totals(play).queued, 1);
		play_free(play);
	}
}

static void nobody_waits_for_ever(void **state)
{
	struct play *play = proven();
	struct peer *sender = waiting(play, "b@example.com");

	struct peer *server = play_server(play, "PIPELINING");
	play_pass(play, 9900);
	assert_string_equal(play_read(sender), "");
	play_pass(play, 200);
	assert_memory_equal(play_read(sender), "250 2.0.0 accepted as ", 22);
	(void)deliver(play, server, "554 5.7.1 spam\r\n"); /* too late: he has his 250 */
	assert_int_equal(play_totals(play).queued, 1);
	play_free(play);
}

static void a_lost_connection_or_a_lost_sender_changes_nothing(void **state)
{
	struct play *play = proven();
	struct peer *sender = waiting(play, "b@example.com");

	play_end(play, sender, NET_END_RESET);
	(void)deliver(play, NULL, "250 taken\r\n");
	assert_int_equal(play_totals(play).delivered, 2);

	sender = waiting(play, "b@example.com");
	struct peer *server = play_dialled(play);
	if (server == NULL)
		server = &play->peers[play->peer_count - 2];
	play_end(play, server, NET_END_RESET);
	play_pass(play, 10100);
	assert_memory_equal(play_read(sender), "250 2.0.0 accepted as ", 22);
	assert_int_equal(play_totals(play).queued, 1);
	play_free(play);
}

static void nobody_waits_for_a_server_that_is_new(void **state)
{
	struct play *play = play_new();

	play_add_domain(play, "example.com", "192.0.2.25");
	assert_memory_equal(play_mail(play, "a@s.example", "b@example.com", "\r\nx"), "250 2.0.0", 9);
	(void)deliver(play, NULL, "250 taken\r\n");
	assert_memory_equal(play_mail(play, "a@s.example", "b@example.com", "\r\nx"), "250 2.0.0", 9);
	play_free(play);
}

static void a_stranger_proves_nothing(void **state)
{
	struct play *play = proven();
	struct peer *sender = waiting(play, "new@example.com");

	(void)deliver(play, NULL, "554 5.7.1 spam\r\n");
	assert_memory_equal(play_read(sender), "250 2.0.0 accepted as ", 22);
	assert_int_equal(play_totals(play).queued, 1);
	play_free(play);
}

static void faults(struct play *play, double unknown, double failed)
{
	struct ram_faults f = {.unknown_not_happened = unknown, .failed = failed};

	ram_store_inject(play->store, &f);
}

static void no_refusal_before_it_is_durable(void **state)
{
	struct play *play = proven();
	struct peer *sender = waiting(play, "b@example.com");

	struct peer *server = send_on(play, NULL);
	faults(play, 0, 1);
	play_say(play, server, "554 5.7.1 spam\r\n");
	assert_memory_equal(play_read(sender), "250 2.0.0 accepted as ", 22);
	faults(play, 0, 0);
	play_pass(play, 5000);
	assert_int_equal(play_totals(play).queued, 1);
	play_free(play);
}

static void an_unknown_refusal_is_no_250(void **state)
{
	struct play *play = proven();
	struct peer *sender = waiting(play, "b@example.com");

	struct peer *server = send_on(play, NULL);
	faults(play, 1, 0);
	play_say(play, server, "554 5.7.1 spam\r\n");
	play_pass(play, 30000);
	assert_string_equal(play_read(sender), "");
	assert_true(sender->open);
	faults(play, 0, 0);
	play_pass(play, 5000);
	assert_string_equal(play_read(sender), "554 5.7.1 spam\r\n");
	assert_int_equal(play_totals(play).queued, 0);
	play_free(play);
}

static void a_sender_that_cannot_be_told_the_truth_is_closed_on(void **state)
{
	struct play *play = proven();
	struct peer *sender = waiting(play, "b@example.com");

	struct peer *server = send_on(play, NULL);
	faults(play, 1, 0);
	play_say(play, server, "554 5.7.1 spam\r\n");
	play_pass(play, 61000);
	assert_string_equal(play_read(sender), "");
	assert_false(sender->open);
	faults(play, 0, 0);
	play_pass(play, 5000);
	assert_int_equal(play_totals(play).queued, 0);
	play_free(play);
}

/* A filter that refuses everything may be broken: not all of its refusals are passed on. */
static void a_run_of_refused_contents_is_kept_in_the_end(void **state)
{
	struct play *play = proven();
	uint32_t told = 0;

	for (int i = 0; i < 25; i++) {
		char from[32];
		(void)snprintf(from, sizeof(from), "s%d@s.example", i);
		(void)play_mail(play, from, "b@example.com", "\r\nx");
		struct peer *sender = newest_sender(play);
		struct peer *server = deliver(play, NULL, "554 5.7.1 spam\r\n");
		told += memcmp(play_read(sender), "554", 3) == 0;
		play_end(play, server, NET_END_RESET);
		play_end(play, sender, NET_END_RESET);
		play_pass(play, 10000);
	}
	assert_int_equal(told, REFUSAL_CONTENT_RUN - 1);
	assert_int_equal(play_totals(play).queued, 25 - told);
	play_free(play);
}

static void trusted_by_hand_it_needs_no_hour(void **state)
{
	struct play *play = play_new();
	struct play_answer answer = {.came = false};

	play_add_domain(play, "example.com", "192.0.2.25");
	(void)play_mail(play, "a@s.example", "b@example.com", "\r\nx");
	struct peer *server = deliver(play, NULL, "250 taken\r\n");
	assert_memory_equal(play_mail(play, "a@s.example", "b@example.com", "\r\nx"), "250", 3);
	(void)deliver(play, server, "250 taken\r\n");
	admin_trust(play->relay, SLICE("EXAMPLE.com"), play_answered, &answer);
	play_run(play);
	assert_true(answer.came && answer.result.error == 0);
	struct peer *sender = waiting(play, "b@example.com");
	(void)deliver(play, server, "554 5.7.1 spam\r\n");
	assert_string_equal(play_read(sender), "554 5.7.1 spam\r\n");
	play_free(play);
}

/* The connection of yesterday is gone, and what greets now has another name. */
static void another_server_is_not_believed_for_an_hour(void **state)
{
	struct play *play = proven();
	struct peer *sender = waiting(play, "b@example.com"), *server = play_dialled(play);

	play_take(play, server);
	play_say(play, server, "220 new.example ESMTP\r\n");
	(void)play_read(server);
	play_say(play, server, "250-new.example\r\n250 PIPELINING\r\n");
	(void)deliver(play, server, "554 5.7.1 spam\r\n");
	assert_memory_equal(play_read(sender), "250 2.0.0 accepted as ", 22);
	assert_int_equal(play_totals(play).queued, 1);
	assert_int_equal(stage_times(play->log_text, "the server is not the one that it was"), 1);
	play_free(play);
}

static void a_polite_end_keeps_nobody_waiting(void **state)
{
	struct play *play = proven();
	struct peer *sender = waiting(play, "b@example.com");

	relay_shut_down(play->relay);
	play_run(play);
	assert_memory_equal(play_read(sender), "250 2.0.0 accepted as ", 22);
	play_free(play);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_server_takes_it),
	    cmocka_unit_test(trusted_by_hand_it_needs_no_hour),
	    cmocka_unit_test(another_server_is_not_believed_for_an_hour),
	    cmocka_unit_test(a_refused_content_goes_to_the_sender),
	    cmocka_unit_test(without_a_code_it_has_one_on_the_way_back),
	    cmocka_unit_test(what_is_no_final_word_about_the_content_is_kept),
	    cmocka_unit_test(nobody_waits_for_ever),
	    cmocka_unit_test(a_lost_connection_or_a_lost_sender_changes_nothing),
	    cmocka_unit_test(nobody_waits_for_a_server_that_is_new),
	    cmocka_unit_test(a_stranger_proves_nothing),
	    cmocka_unit_test(no_refusal_before_it_is_durable),
	    cmocka_unit_test(an_unknown_refusal_is_no_250),
	    cmocka_unit_test(a_sender_that_cannot_be_told_the_truth_is_closed_on),
	    cmocka_unit_test(a_run_of_refused_contents_is_kept_in_the_end),
	    cmocka_unit_test(a_polite_end_keeps_nobody_waiting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
