/* A spool that fills up: whose mail is refused, what is said about it. The store is the one in memory, with a
 * limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stage.h"

enum { CAPACITY = 1000000, BODY = 20000 };

static char body[BODY + 1];

static struct play *begin(void)
{
	struct play *play = play_new();

	play_add_domain(play, "down.example", "192.0.2.25");
	play_add_domain(play, "other.example", "192.0.2.26");
	ram_store_limit(play->store, CAPACITY);
	play_pass(play, 11000);
	return play;
}

static struct peer *greet(struct play *play)
{
	struct peer *peer = play_sender(play);

	play_say(play, peer, "EHLO x\r\n");
	(void)play_read(peer);
	return peer;
}

static const char *say(struct play *play, struct peer *peer, const char *text)
{
	play_say(play, peer, text);
	return play_read(peer);
}

/* The reply to the first command that was refused, or to the final dot. */
static const char *mail(struct play *play, struct peer *peer, const char *parameters, const char *to)
{
	char text[200];
	const char *reply;

	(void)snprintf(text, sizeof(text), "RSET\r\nMAIL FROM:<a@s.example>%s\r\n", parameters);
	(void)say(play, peer, text);
	(void)snprintf(text, sizeof(text), "RCPT TO:<%s>\r\n", to);
	reply = say(play, peer, text);
	if (reply[0] != '2')
		return reply;
	reply = say(play, peer, "DATA\r\n");
	if (reply[0] != '3')
		return reply;
	play_say(play, peer, body);
	return say(play, peer, ".\r\n");
}

static bool starts(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* Fills its share; the number of messages taken. Time goes by, so that nothing depends on when the store was
 * looked at. */
static int fill(struct play *play, struct peer *peer, const char *to)
{
	for (int count = 0; count < CAPACITY / BODY; count++) {
		const char *reply = mail(play, peer, "", to);
		if (!starts(reply, "250")) {
			assert_true(starts(reply, "452 4.3.1 "));
			return count;
		}
		play_pass(play, 300);
	}
	return CAPACITY / BODY;
}

static uint64_t held(struct play *play)
{
	struct admin_node_view view;

	admin_node(play->relay, &view);
	return view.held.bytes;
}

static void the_largest_is_refused_and_the_others_are_not(void **state)
{
	struct play *play = begin();
	struct peer *peer = greet(play);

	(void)state;
	assert_in_range(fill(play, peer, "b@down.example"), 23, 26);
	assert_in_range(held(play), CAPACITY / 2 - BODY, CAPACITY / 2 + BODY);
	assert_int_equal(stage_times(play->log_text, "share of the spool is used up"), 1);
	assert_true(starts(mail(play, peer, "", "b@down.example"),
			   "452 4.3.1 down.example holds its share of the spool, try again later"));
	/* What is refused for want of room leaves no record that takes room. */
	struct admin_node_view view;
	admin_node(play->relay, &view);
	assert_int_equal(view.refused_recipients, 0);
	assert_int_equal(view.space.refused_for_room, 2);
	assert_int_equal(view.space.domains_refused, 1);
	assert_int_equal(stage_times(play->log_text, "share of the spool is used up"), 1);
	for (int i = 0; i < 12; i++)
		assert_true(starts(mail(play, peer, "", "b@other.example"), "250"));
	play_free(play);
}

/* Within one second: the store is looked at again after some mail, too. */
static void what_others_take_is_seen_at_once(void **state)
{
	struct play *play = begin();
	struct peer *peer = greet(play);

	(void)state;
	for (int i = 0; i < 10; i++)
		assert_true(starts(mail(play, peer, "", "b@down.example"), "250"));
	ram_store_limit(play->store, 14 * BODY);
	int more = 0;
	while (more < 4 && starts(mail(play, peer, "", "b@down.example"), "250"))
		more++;
	assert_true(more <= 1);
	assert_true(starts(mail(play, peer, "", "b@other.example"), "250"));
	play_free(play);
}

static void only_that_recipient_of_several(void **state)
{
	struct play *play = begin();
	struct peer *peer = greet(play);

	(void)state;
	(void)fill(play, peer, "b@down.example");
	(void)say(play, peer, "MAIL FROM:<a@s.example>\r\n");
	assert_true(starts(say(play, peer, "RCPT TO:<b@other.example>\r\n"), "250"));
	assert_true(starts(say(play, peer, "RCPT TO:<b@down.example>\r\n"), "452"));
	assert_true(starts(say(play, peer, "RCPT TO:<c@other.example>\r\n"), "250"));
	(void)say(play, peer, "DATA\r\n");
	play_say(play, peer, body);
	assert_true(starts(say(play, peer, ".\r\n"), "250"));
	play_free(play);
}

static void the_size_announced_counts(void **state)
{
	struct play *play = begin();
	struct peer *peer = greet(play), *second = greet(play);

	(void)state;
	(void)say(play, peer, "MAIL FROM:<a@s.example> SIZE=510000\r\n");
	assert_true(starts(say(play, peer, "RCPT TO:<b@down.example>\r\n"), "452"));
	(void)say(play, peer, "RSET\r\nMAIL FROM:<a@s.example> SIZE=400000\r\n");
	assert_true(starts(say(play, peer, "RCPT TO:<b@down.example>\r\n"), "250"));
	assert_true(starts(say(play, peer, "DATA\r\n"), "354"));
	/* While it is on its way, its room is not given to another one. */
	assert_true(starts(mail(play, second, " SIZE=150000", "b@down.example"), "452"));
	assert_true(starts(mail(play, second, " SIZE=150000", "b@other.example"), "250"));
	peer->open = false;
	peer->events->closed(peer->owner, NET_END_RESET, "");
	play_run(play);
	assert_true(starts(mail(play, second, " SIZE=150000", "b@down.example"), "250"));
	play_free(play);
}

static const char *grow(struct play *play, struct peer *peer, int pieces)
{
	(void)say(play, peer, "DATA\r\n");
	for (int i = 0; i < pieces; i++) {
		play_say(play, peer, body);
		play_pass(play, 100);
	}
	return say(play, peer, ".\r\n");
}

static void a_message_that_outgrows_the_share_is_refused_at_its_end(void **state)
{
	struct play *play = begin();
	struct peer *peer = greet(play);

	(void)state;
	(void)say(play, peer, "MAIL FROM:<a@s.example>\r\n");
	(void)say(play, peer, "RCPT TO:<b@down.example>\r\n");
	assert_true(starts(grow(play, peer, 40), "452 4.3.1 this message is larger"));
	assert_int_equal(held(play), 0);
	/* The same for two domains is taken: for the other one it must be stored in any case. */
	(void)fill(play, peer, "b@down.example");
	(void)say(play, peer, "MAIL FROM:<a@s.example>\r\n");
	assert_true(starts(say(play, peer, "RCPT TO:<b@other.example>\r\n"), "250"));
	assert_true(starts(grow(play, peer, 14), "250"));
	play_free(play);
}

static void set(struct play *play, const char *domain, const char *value, int error)
{
	struct play_answer answer = {.came = false};

	admin_domain_set(play->relay, slice_of(domain), SLICE("share"), slice_of(value), play_answered,
			 &answer);
	play_run(play);
	assert_true(answer.came);
	assert_int_equal(answer.result.error, error);
}

static struct admin_domain_view seen;

static void see(void *owner, const struct admin_domain_view *view)
{
	(void)owner;
	seen = *view;
}

static void a_share_can_be_set_and_is_kept(void **state)
{
	static const char *const wrong[] = {"", "0", "101", "x", "-1", "30.5", "%"};
	struct play *play = begin();
	struct peer *peer = greet(play);

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		set(play, "down.example", wrong[i], ERR_SYNTAX);
	(void)fill(play, peer, "b@down.example");
	assert_true(admin_status(play->relay, SLICE("down.example"), NULL, see, NULL));
	assert_true(seen.share_used_up);
	assert_int_equal(seen.share_percent, 30);
	assert_int_equal(seen.share_bytes, CAPACITY * 3 / 10);
	set(play, "down.example", "70%", 0);
	assert_true(starts(mail(play, peer, "", "b@down.example"), "250"));
	play_pass(play, 11000);
	assert_int_equal(stage_times(play->log_text, "has room in the spool again"), 1);
	assert_in_range(fill(play, peer, "b@down.example"), 7, 11);
	stage_restart(play);
	play_run(play);
	assert_true(admin_status(play->relay, SLICE("down.example"), NULL, see, NULL));
	assert_int_equal(seen.share_percent, 70);
	play_free(play);
}

static void one_domain_alone_may_fill_it(void **state)
{
	struct play *play = play_new();

	(void)state;
	play_add_domain(play, "down.example", "192.0.2.25");
	ram_store_limit(play->store, CAPACITY);
	struct peer *peer = greet(play);
	assert_in_range(fill(play, peer, "b@down.example"), 45, 50);
	assert_int_equal(stage_times(play->log_text, "share of the spool is used up"), 0);
	play_free(play);
}

/* --- what is said --- */

static const char *level(struct play *play)
{
	struct admin_node_view view;

	admin_node(play->relay, &view);
	return view.space.state;
}

/* The limit is what fills it up and empties it here. */
static void each_change_is_said_once(void **state)
{
	struct play *play = begin();
	struct peer *peer = greet(play);
	static const struct {
		uint64_t limit;
		const char *state, *words;
		int times;
	} steps[] = {
	    {CAPACITY, "ok", "the spool has room again", 0},
	    {5 * BODY + 25000, "warning", "the spool fills up", 1},
	    {5 * BODY + 9000, "urgent", "the spool is almost full", 1},
	    {5 * BODY, "full", "the spool is full", 1},
	    {5 * BODY + 9000, "urgent", "the spool is almost full", 2},
	    {CAPACITY, "ok", "the spool has room again", 1},
	};

	(void)state;
	for (int i = 0; i < 5; i++)
		assert_true(starts(mail(play, peer, "", "b@other.example"), "250"));
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		ram_store_limit(play->store, steps[i].limit);
		play_pass(play, 31000);
		assert_string_equal(level(play), steps[i].state);
		assert_int_equal(stage_times(play->log_text, steps[i].words), steps[i].times);
	}
	play_free(play);
}

static void a_forecast_warns(void **state)
{
	struct play *play = play_new();
	struct peer *peer = NULL;
	struct admin_node_view view;

	(void)state;
	play_add_domain(play, "waits.example", NULL);
	ram_store_limit(play->store, (uint64_t)1000 * BODY);
	play_pass(play, 600000);
	admin_node(play->relay, &view);
	assert_true(view.space.full_in_s < 0);
	for (int i = 0; i < 60; i++) { /* 1,000 messages of room, one a minute */
		peer = i % 20 == 0 ? greet(play) : peer;
		assert_true(starts(mail(play, peer, "", "b@waits.example"), "250"));
		play_pass(play, 60000);
	}
	admin_node(play->relay, &view);
	assert_in_range(view.space.full_in_s, 14 * 3600, 18 * 3600);
	assert_string_equal(view.space.state, "warning");
	assert_int_equal(stage_times(play->log_text, "the spool fills up"), 1);
	play_free(play);
}

static struct store_ops failing;

static void failed_space(struct store *store, struct store_space *ret_space)
{
	(void)store;
	*ret_space = (struct store_space){.capacity_bytes = 1000,
					  .free_bytes = 900,
					  .failed = STORE_REASON_IO,
					  .why = "Read-only file system"};
}

static void a_failed_disk_is_an_alarm(void **state)
{
	struct play *play = begin();
	struct admin_node_view view;

	(void)state;
	failing = *play->store->ops;
	failing.space = failed_space;
	play->store->ops = &failing;
	play_pass(play, 11000);
	assert_string_equal(level(play), "failed");
	admin_node(play->relay, &view);
	assert_string_equal(view.space.why, "Read-only file system");
	assert_int_equal(stage_times(play->log_text, "the disk failed"), 1);
	play_pass(play, 60000);
	assert_int_equal(stage_times(play->log_text, "the disk failed"), 1);
	play_free(play);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_largest_is_refused_and_the_others_are_not),
	    cmocka_unit_test(what_others_take_is_seen_at_once),
	    cmocka_unit_test(only_that_recipient_of_several),
	    cmocka_unit_test(the_size_announced_counts),
	    cmocka_unit_test(a_message_that_outgrows_the_share_is_refused_at_its_end),
	    cmocka_unit_test(a_share_can_be_set_and_is_kept),
	    cmocka_unit_test(one_domain_alone_may_fill_it),
	    cmocka_unit_test(each_change_is_said_once),
	    cmocka_unit_test(a_forecast_warns),
	    cmocka_unit_test(a_failed_disk_is_an_alarm),
	};

	for (size_t i = 0; i < BODY; i++)
		body[i] = i % 50 == 48 ? '\r' : i % 50 == 49 ? '\n' : 'x';
	return cmocka_run_group_tests_name("room in the spool", tests, NULL, NULL);
}
