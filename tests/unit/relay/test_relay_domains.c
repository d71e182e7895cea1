/* Domains that come, change and go while mail is under way, and what a restart makes of it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "stage.h"

/* --- adding and removing --- */

static void a_domain_with_mail_at_the_door_is_not_forgotten(void **state)
{
	struct play *play = play_new();
	struct play_answer answer = {.came = false};
	play_add_domain(play, "example.com", "192.0.2.25");
	struct peer *peer = play_sender(play);
	play_say(play, peer, "EHLO x\r\nMAIL FROM:<a@s.example>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n");
	(void)play_read(peer);

	ram_store_hold(play->store, true);
	admin_domain_remove(play->relay, SLICE("example.com"), play_answered, &answer);
	play_say(play, peer, "\r\nx\r\n.\r\n");
	ram_store_hold(play->store, false);
	play_pass(play, 15000);
	assert_true(answer.came);
	bool taken = strncmp(play_read(peer), "250", 3) == 0;
	assert_true(stage_serves(play, "example.com") || !taken);
	stage_restart(play);
	play_run(play);
	assert_true(stage_serves(play, "example.com") || !taken);
	play_free(play);
}

static void a_domain_that_could_not_be_written_is_not_served(void **state)
{
	struct play *play = play_new();
	struct play_answer answer = {.came = false};
	struct slice to = SLICE("192.0.2.25");

	stage_fail(play, 1);
	admin_domain_add(play->relay, SLICE("example.com"), &to, 1, play_answered, &answer);
	play_run(play);
	stage_fail(play, 0);
	play_pass(play, 1000);
	assert_true(answer.came);
	assert_int_equal(answer.result.error, ERR_IO);
	assert_false(stage_serves(play, "example.com"));
	play_free(play);
}

/* Its record cannot be written for a while, and mail has come in meanwhile. */
static void a_domain_with_mail_is_written_down_at_last(void **state)
{
	struct play *play = play_new();
	struct play_answer answer = {.came = false};
	struct slice to = SLICE("192.0.2.25");

	ram_store_hold(play->store, true);
	admin_domain_add(play->relay, SLICE("example.com"), &to, 1, play_answered, &answer);
	assert_string_equal(play_mail(play, "a@s.example", "b@example.com", "\r\nx"), "");
	stage_fail(play, 1); /* the first two: number and record */
	ram_store_release(play->store, 2);
	play->store->ops->poll(play->store);
	stage_fail(play, 0);
	ram_store_release(play->store, 4);
	play->store->ops->poll(play->store);
	assert_non_null(strstr(play_read(&play->peers[play->peer_count - 1]), "accepted as"));
	stage_fail(play, 1);
	ram_store_hold(play->store, false);
	play_pass(play, 25000);
	stage_fail(play, 0);
	play_pass(play, 60000);
	assert_int_equal(play_totals(play).queued, 1);
	assert_true(stage_serves(play, "example.com"));
	stage_restart(play);
	play_run(play);
	assert_true(stage_serves(play, "example.com"));
	play_free(play);
}

static void an_add_that_is_overtaken_by_a_set_is_answered(void **state)
{
	struct play *play = play_new();
	struct play_answer added = {.came = false}, set = {.came = false};

	admin_domain_add(play->relay, SLICE("example.com"), NULL, 0, play_answered, &added);
	admin_domain_set(play->relay, SLICE("example.com"), SLICE("to"), SLICE("192.0.2.25"), play_answered,
			 &set);
	play_run(play);
	assert_true(set.came);
	assert_true(added.came);
	play_free(play);
}

static void an_add_that_is_overtaken_by_a_removal_is_answered(void **state)
{
	struct play *play = play_new();
	struct play_answer added = {.came = false}, removed = {.came = false};

	admin_domain_add(play->relay, SLICE("example.com"), NULL, 0, play_answered, &added);
	admin_domain_remove(play->relay, SLICE("example.com"), play_answered, &removed);
	play_pass(play, 1000);
	assert_true(removed.came);
	assert_true(added.came);
	bool served = stage_serves(play, "example.com");
	stage_restart(play);
	play_run(play);
	assert_int_equal(stage_serves(play, "example.com"), served);
	play_free(play);
}

static void a_removed_message_is_not_begun(void **state)
{
	uint64_t ids[STAGE_IDS_MAX];
	struct play *play = play_new();
	struct play_answer answer = {.came = false};
	play_add_domain(play, "example.com", "192.0.2.25");
	(void)play_mail(play, "a@s.example", "one@example.com", "\r\nx");
	struct peer *server = play_server(play, "PIPELINING");
	(void)play_mail(play, "a@s.example", "two@example.com", "\r\nx"); /* ready, but the window is full */
	assert_int_equal(stage_ids(play, ids), 2);
	admin_message_remove(play->relay, ids[1], play_answered, &answer);
	play_run(play);
	assert_int_equal(answer.result.error, 0);
	(void)play_read(server);
	play_say(play, server, "250 ok\r\n250 ok\r\n354 go\r\n");
	play_say(play, server, "250 taken\r\n");
	assert_null(strstr(play_read(server), "two@example.com"));
	assert_int_equal(play_totals(play).queued, 0);
	play_free(play);
}

static void a_changed_order_of_hosts_counts(void **state)
{
	char text[NET_ADDRESS_TEXT_SIZE];
	struct play *play = play_new();
	play_add_domain(play, "example.com", "192.0.2.1");
	stage_set_hosts(play, "example.com", "192.0.2.1,192.0.2.2");
	stage_set_hosts(play, "example.com", "192.0.2.2,192.0.2.1");
	(void)play_mail(play, "a@s.example", "b@example.com", "\r\nx");
	struct peer *call = play_dialled(play);
	assert_non_null(call);
	assert_string_equal(net_address_text(&call->to, text), "192.0.2.2:25");
	play_free(play);
}

/* --- restarts --- */

static void damage(struct play *play)
{
	play_add_domain(play, "example.com", "192.0.2.25");
	(void)play_mail(play, "a@s.example", "b@example.com", "\r\nx");
	play_end(play, play_dialled(play), NET_END_REFUSED);
	play->store->ops->put(play->store, SLICE("domain/example.com"), SLICE("rubbish"), NULL, NULL);
	play_run(play);
	stage_restart(play);
	play_run(play);
}

static void a_damaged_record_bounces_nothing(void **state)
{
	struct play *play = play_new();
	damage(play);
	struct peer *peer = play_sender(play);
	play_say(play, peer, "EHLO x\r\nMAIL FROM:<a@s.example>\r\n");
	(void)play_read(peer);
	play_say(play, peer, "RCPT TO:<b@example.com>\r\n");
	assert_memory_equal(play_read(peer), "4", 1);
	play_free(play);
}

static void mail_of_a_lost_domain_goes_to_nobody_else(void **state)
{
	struct play *play = play_new();
	damage(play);
	play_add_domain(play, "other.example", "192.0.2.66");
	play_pass(play, 1000);
	assert_null(play_dialled(play));
	play_free(play);
}

static void a_paused_domain_stays_paused_while_its_state_is_read(void **state)
{
	struct play *play = play_new();
	struct play_answer answer = {.came = false};
	play_add_domain(play, "example.com", "192.0.2.25");
	admin_hold(play->relay, SLICE("example.com"), 0, play_answered, &answer);
	play_run(play);
	(void)play_mail(play, "a@s.example", "b@example.com", "\r\nx");
	assert_null(play_dialled(play));

	/* However much of the state can be read before the store fails for a while. */
	for (int pages = 0; pages < 5; pages++) {
		stage_restart(play);
		for (int i = 0; i < pages; i++)
			play->store->ops->poll(play->store);
		stage_fail(play, 1);
		play->store->ops->poll(play->store);
		stage_fail(play, 0);
		play_run(play);
		assert_null(play_dialled(play));
		play_pass(play, 3000);
		assert_true(relay_ready(play->relay));
		assert_null(play_dialled(play));
	}
	play_free(play);
}

static void a_hold_is_written_down_at_last(void **state)
{
	struct play *play = play_new();
	struct play_answer answer = {.came = false};
	play_add_domain(play, "example.com", "192.0.2.25");
	stage_fail(play, 1);
	admin_hold(play->relay, SLICE("example.com"), 0, play_answered, &answer);
	play_run(play);
	stage_fail(play, 0);
	play_pass(play, 30000);
	stage_restart(play);
	play_run(play);
	(void)play_mail(play, "a@s.example", "b@example.com", "\r\nx");
	assert_null(play_dialled(play));
	play_free(play);
}

/* Written either way it is one domain, and its records and the DNS know its ASCII form only. */
static void an_international_name_has_one_form(void **state)
{
	struct play *play = play_new();
	struct play_answer answer = {.came = false};
	struct slice to = SLICE("192.0.2.25");

	play_add_domain(play, "M\xc3\xbcller.example", "192.0.2.25");
	assert_true(stage_serves(play, "xn--mller-kva.example"));
	admin_domain_add(play->relay, SLICE("XN--mller-kva.example."), &to, 1, play_answered, &answer);
	play_run(play);
	assert_int_equal(answer.result.error, ERR_EXISTS);
	stage_set_hosts(play, "m\xc3\xbcller.example", "mail.m\xc3\xbcller.example");
	assert_memory_equal(play_mail(play, "a@s.example", "b@xn--mller-kva.example", "\r\nx"), "250 ", 4);
	play_free(play);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_domain_with_mail_at_the_door_is_not_forgotten),
	    cmocka_unit_test(a_domain_that_could_not_be_written_is_not_served),
	    cmocka_unit_test(a_domain_with_mail_is_written_down_at_last),
	    cmocka_unit_test(an_add_that_is_overtaken_by_a_set_is_answered),
	    cmocka_unit_test(an_add_that_is_overtaken_by_a_removal_is_answered),
	    cmocka_unit_test(a_removed_message_is_not_begun),
	    cmocka_unit_test(a_changed_order_of_hosts_counts),
	    cmocka_unit_test(a_damaged_record_bounces_nothing),
	    cmocka_unit_test(mail_of_a_lost_domain_goes_to_nobody_else),
	    cmocka_unit_test(a_paused_domain_stays_paused_while_its_state_is_read),
	    cmocka_unit_test(a_hold_is_written_down_at_last),
	    cmocka_unit_test(an_international_name_has_one_form),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
