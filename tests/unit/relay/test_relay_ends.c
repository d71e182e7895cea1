/* The end of the line: hold time, grace, and clocks that jump. */
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

static void days_pass(struct play *play, int days)
{
	for (int i = 0; i < days; i++)
		play_pass(play, DAY_MS);
}

static void pause_domain(struct play *play)
{
	struct play_answer answer = {.came = false};

	admin_hold(play->relay, SLICE("example.com"), 0, play_answered, &answer);
	play_run(play);
	assert_true(answer.came);
	assert_int_equal(answer.result.error, 0);
}

static void set_hold(struct play *play, const char *days)
{
	struct play_answer answer = {.came = false};

	admin_domain_set(play->relay, SLICE("example.com"), SLICE("hold"), slice_of(days), play_answered,
			 &answer);
	play_run(play);
	assert_true(answer.came);
	assert_int_equal(answer.result.error, 0);
}

static void send(struct play *play)
{
	size_t before = play->peer_count;

	assert_non_null(strstr(play_mail(play, "a@s.example", "joe@example.com", "\r\nx"), "250"));
	play_say(play, &play->peers[before], "QUIT\r\n");
	assert_false(play->peers[before].open);
	play->peer_count = before;
}

/* A domain whose mail waits, with one message held; its id. */
static uint64_t begin(struct play *play)
{
	uint64_t ids[STAGE_IDS_MAX];

	play_add_domain(play, "example.com", "192.0.2.25");
	pause_domain(play);
	send(play);
	assert_int_equal(stage_ids(play, ids), 1);
	return ids[0];
}

static void expect_totals(struct play *play, uint64_t accepted, uint64_t queued)
{
	struct store_totals totals = play_totals(play);

	assert_int_equal(totals.accepted, accepted);
	assert_int_equal(totals.queued, queued);
	assert_int_equal(totals.accepted, totals.queued + totals.ended);
}

static uint64_t in_grace(struct play *play)
{
	struct store_counts counts;

	play->store->ops->count(play->store, STORE_GRACE, &counts);
	return counts.recipients;
}

static int ask(struct play *play,
	       void (*call)(struct relay *relay, uint64_t id, admin_done *done, void *owner), uint64_t id)
{
	struct play_answer answer = {.came = false};

	call(play->relay, id, play_answered, &answer);
	play_run(play);
	assert_true(answer.came);
	return answer.result.error;
}

struct shown {
	struct play_answer answer; /* first: the owner of both calls */
	char words[400];
};

static void note_words(void *owner, const struct admin_message_view *view)
{
	struct shown *shown = owner;

	(void)snprintf(shown->words, sizeof(shown->words), "%s; %s", view->recipients[0].reason,
		       view->recipients[0].next_event);
}

static void it_is_shown_why_and_how_long_it_is_kept(void **state)
{
	struct play *play = play_new();
	struct shown shown = {.words = ""};
	uint64_t id = begin(play);
	days_pass(play, 16);
	admin_message_show(play->relay, id, note_words, play_answered, &shown);
	play_run(play);
	assert_int_equal(shown.answer.result.error, 0);
	assert_non_null(strstr(shown.words, "its hold time was over: never tried"));
	assert_non_null(strstr(shown.words, "it can be released, and is forgotten in 14 d"));
	play_free(play);
}

static void mail_expires_into_grace_and_is_gone_at_last(void **state)
{
	struct play *play = play_new();
	uint64_t id = begin(play);
	days_pass(play, 9);
	assert_int_equal(stage_times(play->log_text, "expires soon"), 0);
	days_pass(play, 5);
	assert_int_equal(stage_times(play->log_text, "expires soon"), 1);
	expect_totals(play, 1, 1);
	days_pass(play, 2);
	expect_totals(play, 1, 0);
	assert_int_equal(stage_times(play->log_text, "expires soon"), 1);
	assert_int_equal(stage_times(play->log_text, "\nend: \n"), 1); /* status=expired */
	assert_int_equal(in_grace(play), 1);
	days_pass(play, 13);
	assert_int_equal(in_grace(play), 1);
	days_pass(play, 3);
	assert_int_equal(in_grace(play), 0);
	assert_int_equal(ask(play, admin_message_release, id), ERR_MISSING);
	expect_totals(play, 1, 0);
	play_free(play);
}

static void what_expired_can_be_released_and_is_delivered(void **state)
{
	struct play *play = play_new();
	struct servers *servers = servers_new(play);
	struct play_answer answer = {.came = false};
	uint64_t id = begin(play);
	days_pass(play, 16);
	expect_totals(play, 1, 0);
	assert_int_equal(ask(play, admin_message_release, id), 0);
	expect_totals(play, 2, 1);
	assert_int_equal(in_grace(play), 0);
	days_pass(play, 14); /* it does not expire again at once */
	expect_totals(play, 2, 1);
	admin_resume(play->relay, SLICE("example.com"), play_answered, &answer);
	servers_work(servers, 30000, 100);
	assert_int_equal(play_totals(play).delivered, 1);
	expect_totals(play, 2, 0);
	assert_non_null(strstr(servers->delivered, "joe@example.com"));
	free(servers);
	play_free(play);
}

static void count_messages(void *owner, const struct admin_message_view *view)
{
	((struct shown *)owner)->words[0]++;
}

static int listed(struct play *play, bool grace, struct slice domain, struct slice recipient)
{
	struct shown shown = {.words = ""};
	struct admin_message_filter filter = {
	    .domain = domain, .recipient = recipient, .grace = grace, .limit = 100};

	admin_queue(play->relay, &filter, count_messages, play_answered, &shown);
	play_run(play);
	assert_int_equal(shown.answer.result.error, 0);
	return shown.words[0];
}

static void what_is_in_grace_is_listed(void **state)
{
	const struct slice any = {.data = NULL, .size = 0};
	struct play *play = play_new();
	(void)begin(play);
	days_pass(play, 10);
	send(play);
	assert_int_equal(listed(play, true, any, any), 0);
	days_pass(play, 6);
	assert_int_equal(listed(play, true, any, any), 1);
	assert_int_equal(listed(play, true, SLICE("example.com"), SLICE("joe@example.com")), 1);
	assert_int_equal(listed(play, true, SLICE("example.com"), SLICE("jim@example.com")), 0);
	assert_int_equal(listed(play, false, any, SLICE("joe@example.com")), 1);
	play_free(play);
}

static void what_is_in_grace_can_be_removed(void **state)
{
	struct play *play = play_new();
	struct play_answer answer = {.came = false};
	uint64_t id = begin(play);
	days_pass(play, 16);
	admin_domain_remove(play->relay, SLICE("example.com"), play_answered, &answer);
	play_run(play);
	assert_int_equal(answer.result.error, ERR_STATE);
	assert_int_equal(ask(play, admin_message_remove, id), 0);
	assert_int_equal(in_grace(play), 0);
	expect_totals(play, 1, 0);
	answer.came = false;
	admin_domain_remove(play->relay, SLICE("example.com"), play_answered, &answer);
	play_pass(play, 1000);
	assert_int_equal(answer.result.error, 0);
	play_free(play);
}

/* Young mail does not go with old mail, and every page of it goes. */
static void only_what_is_old_expires(void **state)
{
	enum { OLD = 3 * ENDS_PAGE };
	struct play *play = play_new();
	(void)begin(play);
	for (int i = 1; i < OLD; i++)
		send(play);
	days_pass(play, 2);
	send(play);
	days_pass(play, 13);
	play_pass(play, 2 * HOUR_MS);
	expect_totals(play, OLD + 1, 1);
	assert_int_equal(in_grace(play), OLD);
	play_free(play);
}

static void more_time_can_be_given_during_an_outage(void **state)
{
	struct play *play = play_new();
	(void)begin(play);
	days_pass(play, 14);
	set_hold(play, "30");
	days_pass(play, 15);
	expect_totals(play, 1, 1);
	set_hold(play, "20");
	play_pass(play, HOUR_MS);
	expect_totals(play, 1, 0);
	play_free(play);
}

/* The server comes back in the last minute. */
static void a_backlog_that_drains_does_not_expire(void **state)
{
	enum { HELD = 150, PATIENCE = 1000 };
	struct play *play = play_new();
	struct servers *servers = servers_new(play);
	struct play_answer answer = {.came = false};
	(void)begin(play);
	set_hold(play, "30");
	for (int i = 1; i < HELD; i++)
		send(play);
	days_pass(play, 16);
	admin_resume(play->relay, SLICE("example.com"), play_answered, &answer);
	play_run(play);
	servers_work(servers, 5000, 1000);
	set_hold(play, "15");
	servers_work(servers, 70000, 1000); /* a look at all domains */
	for (int i = 0; i < PATIENCE && play_totals(play).queued > 0; i++)
		servers_work(servers, 1000, 1000);
	assert_int_equal(play_totals(play).delivered, HELD);
	free(servers);
	play_free(play);
}

static void a_clock_that_jumps_ends_nothing(void **state)
{
	struct play *play = play_new();
	(void)begin(play);
	days_pass(play, 1);
	play->wall_shift_ms = 30 * (int64_t)DAY_MS;
	days_pass(play, 2);
	expect_totals(play, 1, 1);
	stage_restart(play); /* neither at a restart */
	days_pass(play, 2);
	expect_totals(play, 1, 1);
	play->wall_shift_ms = -30 * (int64_t)DAY_MS;
	days_pass(play, 2);
	expect_totals(play, 1, 1);
	play->wall_shift_ms = 0;
	days_pass(play, 6);
	expect_totals(play, 1, 1);
	days_pass(play, 4);
	expect_totals(play, 1, 0);
	play_free(play);
}

/* The clock of a machine without a battery: it stands at its beginning when the relay starts. */
static void a_clock_that_was_wrong_during_a_restart_ends_nothing(void **state)
{
	struct play *play = play_new();
	(void)begin(play);
	days_pass(play, 13);
	play->now.wall_ms = 1000;
	stage_restart(play);
	play_run(play);
	days_pass(play, 1);
	expect_totals(play, 1, 1);
	days_pass(play, 3);
	expect_totals(play, 1, 0);
	play_free(play);
}

/* Long off is no reason to end all at once: only a day of it counts. */
static void a_long_stop_counts_for_a_day(void **state)
{
	struct play *play = play_new();
	(void)begin(play);
	days_pass(play, 1);
	play->wall_shift_ms = 40 * (int64_t)DAY_MS;
	play->now.wall_ms += 40 * (int64_t)DAY_MS;
	stage_restart(play);
	days_pass(play, 11); /* and the clock that is believed catches up by an eighth */
	expect_totals(play, 1, 1);
	days_pass(play, 2);
	expect_totals(play, 1, 0);
	play_free(play);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(mail_expires_into_grace_and_is_gone_at_last),
	    cmocka_unit_test(it_is_shown_why_and_how_long_it_is_kept),
	    cmocka_unit_test(what_expired_can_be_released_and_is_delivered),
	    cmocka_unit_test(what_is_in_grace_is_listed),
	    cmocka_unit_test(what_is_in_grace_can_be_removed),
	    cmocka_unit_test(only_what_is_old_expires),
	    cmocka_unit_test(more_time_can_be_given_during_an_outage),
	    cmocka_unit_test(a_backlog_that_drains_does_not_expire),
	    cmocka_unit_test(a_clock_that_jumps_ends_nothing),
	    cmocka_unit_test(a_clock_that_was_wrong_during_a_restart_ends_nothing),
	    cmocka_unit_test(a_long_stop_counts_for_a_day),
	};

	return cmocka_run_group_tests_name("relay: ends", tests, NULL, NULL);
}
