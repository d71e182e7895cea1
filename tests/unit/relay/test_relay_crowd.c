/* One mailbox, or one sender, has most of a domain's backlog: the others do not wait for it (relay/crowd.h).
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/feed.h"
#include "stage.h"

enum { CROWD = 900, OTHERS = 60 };

static const char *refuses(struct servers *servers, size_t peer, const char *line)
{
	return strncmp(line, "EHLO", 4) == 0 ? "421 4.3.2 not now\r\n" : NULL;
}

/* The lane is down; mails from count senders to count mailboxes wait, or from one, or to one. */
static struct servers *server_down(struct play *play)
{
	struct servers *servers = servers_new(play);

	play_add_domain(play, "d.example", "192.0.2.25");
	servers->reply = refuses;
	(void)play_mail(play, "first@s.example", "first@d.example", "\r\nx");
	servers_work(servers, 3000, 100);
	assert_int_equal(container_of(play->relay->feeds_by_name.next, struct feed, by_name)->lane.state,
			 LANE_DOWN);
	return servers;
}

static void mails(struct play *play, const char *from, const char *to, int count)
{
	struct peer *peer = play_sender(play);
	char text[512], sender[64], mailbox[64];

	play_say(play, peer, "EHLO sender.example\r\n");
	for (int i = 0; i < count; i++) {
		(void)snprintf(sender, sizeof(sender), from, i);
		(void)snprintf(mailbox, sizeof(mailbox), to, i);
		(void)snprintf(text, sizeof(text), "MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n", sender,
			       mailbox);
		play_say(play, peer, text);
		(void)play_read(peer);
		play_say(play, peer, "x\r\n.\r\n");
		assert_memory_equal(play_read(peer), "250", 3);
	}
	play_say(play, peer, "QUIT\r\n");
}

static bool others_have_theirs(const struct servers *servers)
{
	return stage_times(servers->delivered, "other-") >= OTHERS;
}

/* What the crowd has got when the others have all theirs is no more than its turns, and what was on its way.
 */
static void they_do_not_wait(struct servers *servers, const char *crowd)
{
	servers->reply = NULL;
	for (int i = 0; i < 6000 && !others_have_theirs(servers); i++)
		servers_work(servers, 20, 20);
	assert_int_equal(stage_times(servers->delivered, "other-"), OTHERS);
	assert_in_range(stage_times(servers->delivered, crowd), 1, OTHERS / 3 + 2 * QUEUE_ITEMS_MAX);
	for (int i = 0; i < 6000 && servers->messages < CROWD + OTHERS + 1; i++)
		servers_work(servers, 20, 20);
	assert_int_equal(servers->messages, CROWD + OTHERS + 1);
}

static void a_mailbox_keeps_no_other_waiting(void **state)
{
	struct play *play = play_new();
	struct servers *servers = server_down(play);

	mails(play, "s%d@s.example", "big@d.example", CROWD);
	mails(play, "s%d@s.example", "other-%d@d.example", OTHERS);
	they_do_not_wait(servers, "big@");
	assert_int_equal(stage_times(servers->delivered, "big@"), CROWD);
	free(servers);
	play_free(play);
}

static void a_sender_keeps_no_other_waiting(void **state)
{
	struct play *play = play_new();
	struct servers *servers = server_down(play);

	mails(play, "bulk@s.example", "many-%d@d.example", CROWD);
	mails(play, "s%d@s.example", "other-%d@d.example", OTHERS);
	they_do_not_wait(servers, "many-");
	free(servers);
	play_free(play);
}

/* A second crowd behind the first, and the others behind both. */
static void nor_do_two(void **state)
{
	struct play *play = play_new();
	struct servers *servers = server_down(play);

	mails(play, "s%d@s.example", "big@d.example", CROWD / 2);
	mails(play, "s%d@s.example", "huge@d.example", CROWD / 2);
	mails(play, "s%d@s.example", "other-%d@d.example", OTHERS);
	they_do_not_wait(servers, "big@");
	free(servers);
	play_free(play);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_mailbox_keeps_no_other_waiting),
	    cmocka_unit_test(a_sender_keeps_no_other_waiting),
	    cmocka_unit_test(nor_do_two),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
