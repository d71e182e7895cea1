/* Mail that comes back: from a server that forwards it here, and from an address that is ours. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "stage.h"

/* The relay delivers what it has to the server that it dials; returns the message. */
static const char *delivered(struct play *play)
{
	static char body[4096];
	struct peer *server = play_server(play, "PIPELINING");

	play_say(play, server, "250 ok\r\n250 ok\r\n354 go\r\n");
	(void)snprintf(body, sizeof(body), "%s", play_read(server));
	play_say(play, server, "250 taken\r\n");
	if (server->open)
		play_end(play, server, NET_END_EOF);
	char *data = strstr(body, "Received:");
	assert_non_null(data);
	char *dot = strstr(data, "\r\n.\r\n");
	assert_non_null(dot);
	*dot = '\0';
	return data;
}

/* The server forwards each message to where it came from, before it says anything else. */
static uint32_t rounds(struct play *play, uint32_t most)
{
	uint32_t count = 0;

	while (play_dialled(play) != NULL && count < most) {
		const char *came = delivered(play);
		count++;
		assert_memory_equal(play_mail(play, "a@s.example", "b@example.com", came), "250 ", 4);
		play_pass(play, 2000);
	}
	return count;
}

static void a_message_in_a_circle_is_kept_from_spinning(void **state)
{
	uint64_t ids[STAGE_IDS_MAX];
	struct play *play = play_new();

	play_add_domain(play, "example.com", "192.0.2.25");
	(void)play_mail(play, "a@s.example", "b@example.com", "Message-ID: <1@s.example>\r\n\r\nx");
	assert_int_equal(rounds(play, 50), 3);
	assert_int_equal(play_totals(play).queued, 1);
	assert_non_null(strstr(play->log_text, "goes in a circle"));
	play_pass(play, 2 * 3600 * 1000);
	assert_null(play_dialled(play));
	play_pass(play, 3601 * 1000); /* by now somebody may have mended it: once more */
	assert_int_equal(rounds(play, 50), 1);
	assert_int_equal(play_totals(play).queued, 1);

	/* Mended, and told so. */
	struct play_answer answer = {.came = false};
	assert_int_equal(stage_ids(play, ids), 1);
	admin_message_release(play->relay, ids[0], play_answered, &answer);
	play_pass(play, 2000);
	assert_true(answer.came);
	(void)delivered(play);
	assert_int_equal(play_totals(play).queued, 0);
	play_free(play);
}

/* Forwarded on from one mailbox to the next, each behind this relay: no circle. */
static void passing_by_again_is_no_circle(void **state)
{
	static const char *const traces = "Received: from x by relay.example with ESMTP id 1\r\n"
					  "\tfor <list@example.com>; Thu, 1 Jan 1970 00:00:00 +0000\r\n";
	struct play *play = play_new();
	char text[2048] = "";

	for (int i = 0; i < 5; i++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s", traces);
	(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "\r\nx");
	play_add_domain(play, "example.com", "192.0.2.25");
	(void)play_mail(play, "a@s.example", "b@example.com", text);
	(void)delivered(play);
	assert_int_equal(play_totals(play).queued, 0);
	play_free(play);
}

/* Behind a router that translates addresses, only the banner tells. */
static void a_server_that_is_ourselves_gets_no_mail(void **state)
{
	struct play *play = play_new();

	play_add_domain(play, "example.com", "192.0.2.25");
	(void)play_mail(play, "a@s.example", "b@example.com", "\r\nx");
	struct peer *server = play_dialled(play);
	play_take(play, server);
	play_say(play, server, "220 relay.example ESMTP restante-0ARX\r\n");
	if (server->open)
		play_say(play, server, "250-relay.example\r\n250 PIPELINING\r\n");
	assert_false(server->open);
	assert_null(strstr(play_read(server), "MAIL"));
	assert_int_equal(play_totals(play).queued, 1);
	assert_non_null(strstr(play->log_text, "the server is down"));

	play_pass(play, 10 * 1000);
	(void)delivered(play); /* its own server is there now */
	assert_int_equal(play_totals(play).queued, 0);
	play_free(play);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_message_in_a_circle_is_kept_from_spinning),
	    cmocka_unit_test(passing_by_again_is_no_circle),
	    cmocka_unit_test(a_server_that_is_ourselves_gets_no_mail),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
