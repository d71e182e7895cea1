/* RCPT at our own door: who is taken, held, refused, and what the server is asked. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stage.h"

static struct {
	bool refuses_all;
	bool silent;	  /* to questions */
	int mails, rcpts; /* MAIL and RCPT commands */
	uint64_t size;	  /* that it takes at most; 0: it says nothing about that */
} mood;

/* It has the mailboxes that begin with "user". */
static const char *reply(struct servers *s, size_t i, const char *line)
{
	static char greeting[128];

	if (strncmp(line, "EHLO", 4) == 0 && mood.size > 0) {
		(void)snprintf(greeting, sizeof(greeting), "250-mx.example\r\n250 SIZE %llu\r\n",
			       (unsigned long long)mood.size);
		return greeting;
	}
	mood.mails += strncmp(line, "MAIL", 4) == 0;
	if (strncmp(line, "RCPT", 4) != 0)
		return NULL;
	mood.rcpts++;
	bool has = strncmp(line, "RCPT TO:<user", 13) == 0 && !mood.refuses_all;
	return has ? NULL : "550 5.1.1 no such user here\r\n";
}

struct scene {
	struct play *play;
	struct servers *servers;
	struct peer *sender;
	int senders;
};

static struct scene scene_new(void)
{
	struct scene scene = {.play = play_new_door()};

	memset(&mood, 0, sizeof(mood));
	scene.servers = servers_new(scene.play);
	scene.servers->reply = reply;
	play_add_domain(scene.play, "one.example", "192.0.2.25");
	return scene;
}

static void scene_free(struct scene *scene)
{
	free(scene->servers);
	play_free(scene->play);
}

/* Says RCPT for a user, and what came to that within so many ms of the server's work. */
static const char *rcpt(struct scene *scene, const char *user, int64_t ms)
{
	char text[512];

	scene->sender = play_sender(scene->play);
	play_say(scene->play, scene->sender, "EHLO sender.example\r\n");
	(void)snprintf(text, sizeof(text), "MAIL FROM:<s%d@s.example>\r\n", scene->senders++);
	play_say(scene->play, scene->sender, text);
	(void)play_read(scene->sender);
	(void)snprintf(text, sizeof(text), "RCPT TO:<%s@one.example>\r\n", user);
	play_say(scene->play, scene->sender, text);
	if (ms > 0)
		servers_work(scene->servers, ms, 10);
	return play_read(scene->sender);
}

static void hang_up(struct scene *scene)
{
	play_end(scene->play, scene->sender, NET_END_EOF);
}

/* RCPT, and the message when it is taken. Returns the reply code of RCPT. */
static int mail(struct scene *scene, const char *user)
{
	int code = (int)strtol(rcpt(scene, user, 2000), NULL, 10);

	if (code == 250) {
		play_say(scene->play, scene->sender, "DATA\r\n");
		play_say(scene->play, scene->sender, "\r\nx\r\n.\r\n");
		servers_work(scene->servers, 1000, 50);
		assert_non_null(strstr(play_read(scene->sender), "250 2.0.0"));
	}
	hang_up(scene);
	return code;
}

static void warm_up(struct scene *scene)
{
	char user[16];

	for (int i = 0; i < 6; i++) {
		(void)snprintf(user, sizeof(user), "user%d", i);
		assert_int_equal(mail(scene, user), 250);
	}
	/* An hour later it is no first contact any more. */
	servers_work(scene->servers, 61 * 60 * 1000, 5000);
	assert_int_equal(mail(scene, "user1"), 250);
}

static void an_unknown_user_is_refused_with_the_servers_words(void **state)
{
	struct scene scene = scene_new();
	warm_up(&scene);
	const char *said = rcpt(&scene, "nobody", 2000);
	assert_memory_equal(said, "550 5.1.1 ", 10);
	assert_non_null(strstr(said, "no such user here"));
	hang_up(&scene);
	/* Within five minutes nobody is asked again. */
	mood.rcpts = 0;
	said = rcpt(&scene, "nobody", 0);
	assert_memory_equal(said, "550 ", 4);
	assert_int_equal(mood.rcpts, 0);
	hang_up(&scene);
	assert_int_equal(play_totals(scene.play).queued, 0);
	scene_free(&scene);
}

static void a_known_user_costs_nothing(void **state)
{
	struct scene scene = scene_new();
	warm_up(&scene);
	mood.rcpts = 0;
	assert_memory_equal(rcpt(&scene, "user1", 0), "250 ", 4);
	hang_up(&scene);
	assert_memory_equal(rcpt(&scene, "USER1", 0), "250 ", 4);
	assert_int_equal(mood.rcpts, 0);
	hang_up(&scene);
	scene_free(&scene);
}

static void an_unseen_user_is_one_question(void **state)
{
	struct scene scene = scene_new();
	warm_up(&scene);
	assert_int_equal(mail(&scene, "user20"), 250); /* and whether it takes everybody */
	mood.rcpts = 0;
	assert_memory_equal(rcpt(&scene, "user21", 1000), "250 ", 4);
	assert_int_equal(mood.rcpts, 1);
	hang_up(&scene);
	assert_memory_equal(rcpt(&scene, "user21", 0), "250 ", 4);
	assert_int_equal(mood.rcpts, 1);
	hang_up(&scene);
	scene_free(&scene);
}

/* All who wait for the same server are asked for at once. */
static void sessions_that_wait_are_one_question(void **state)
{
	struct scene scene = scene_new();
	struct peer *senders[8];
	char user[16];
	int mails = 0;

	warm_up(&scene);
	servers_work(scene.servers, 120000, 1000); /* the connection is idle no more */
	for (int i = 0; i < 8; i++) {
		(void)snprintf(user, sizeof(user), "user3%d", i);
		assert_string_equal(rcpt(&scene, user, 0), "");
		senders[i] = scene.sender;
	}
	mood.rcpts = 0;
	servers_work(scene.servers, 1000, 10);
	for (int i = 0; i < 8; i++) {
		mails += strncmp(play_read(senders[i]), "250 ", 4) == 0;
		play_end(scene.play, senders[i], NET_END_EOF);
	}
	assert_int_equal(mails, 8);
	assert_in_range(mood.rcpts, 8, 9);
	scene_free(&scene);
}

/* Begins a transaction, then says the rest at once. */
static void say_at_once(struct scene *scene, const char *text)
{
	scene->sender = play_sender(scene->play);
	play_say(scene->play, scene->sender, "EHLO sender.example\r\nMAIL FROM:<s@s.example>\r\n");
	(void)play_read(scene->sender);
	play_say(scene->play, scene->sender, text);
}

/* How often the server is waited for until the sender gets a reply to all he said. */
static int round_trips(struct scene *scene, int replies)
{
	char said[4096] = "";
	size_t size = 0;

	for (int n = 0; n < 50; n++) {
		size += (size_t)snprintf(said + size, sizeof(said) - size, "%s", play_read(scene->sender));
		if (stage_times(said, "\r\n") == replies)
			return n;
		servers_answer(scene->servers);
		play_run(scene->play);
	}
	fail_msg("no reply: %s", said);
	return -1;
}

/* What a callout costs the first mail of somebody unseen, and later ones. */
static void a_callout_is_one_round_trip(void **state)
{
	struct scene scene = scene_new();

	warm_up(&scene);
	assert_int_equal(mail(&scene, "user20"), 250); /* and whether it takes everybody */
	say_at_once(&scene, "RCPT TO:<user21@one.example>\r\n");
	assert_int_equal(round_trips(&scene, 1), 1);
	hang_up(&scene);
	say_at_once(&scene, "RCPT TO:<user21@one.example>\r\n");
	assert_int_equal(round_trips(&scene, 1), 0);
	hang_up(&scene);
	say_at_once(&scene, "RCPT TO:<user1@one.example>\r\n");
	assert_int_equal(round_trips(&scene, 1), 0);
	hang_up(&scene);
	scene_free(&scene);
}

static void pipelined_recipients_are_one_question(void **state)
{
	struct scene scene = scene_new();
	char text[2048];
	size_t size = 0;

	warm_up(&scene);
	assert_int_equal(mail(&scene, "user20"), 250);
	for (int i = 0; i < 20; i++)
		size += (size_t)snprintf(text + size, sizeof(text) - size,
					 "RCPT TO:<user4%02d@one.example>\r\n", i);
	mood.mails = mood.rcpts = 0;
	say_at_once(&scene, text);
	assert_int_equal(round_trips(&scene, 20), 1);
	assert_int_equal(mood.mails, 1);
	assert_int_equal(mood.rcpts, 20);
	hang_up(&scene);
	/* One more than a question takes. */
	(void)snprintf(text + size, sizeof(text) - size, "RCPT TO:<user420@one.example>\r\n");
	for (char *at = text; (at = strstr(at, "user4")) != NULL; at++)
		at[4] = '5';
	mood.mails = 0;
	say_at_once(&scene, text);
	assert_int_equal(round_trips(&scene, 21), 2);
	assert_int_equal(mood.mails, 2);
	hang_up(&scene);
	scene_free(&scene);
}

/* Each gets its own answer, in order; what is asked twice in one breath is asked for once. */
static void pipelined_recipients_get_their_own_answers(void **state)
{
	struct scene scene = scene_new();

	warm_up(&scene);
	assert_int_equal(mail(&scene, "user20"), 250);
	mood.rcpts = 0;
	say_at_once(&scene,
		    "RCPT TO:<user61@one.example>\r\nrcpt to:<nobody@ONE.example>\r\n"
		    "RCPT TO:<user1@one.example>\r\nRCPT TO:<x@two.example>\r\n"
		    "RCPT TO:<USER61@one.example> NOTIFY=NEVER\r\nRCPT TO:<user62@one.example>\r\nNOOP\r\n"
		    "RCPT TO:<user63@one.example>\r\n");
	servers_work(scene.servers, 2000, 10);
	const char *said = play_read(scene.sender), *at = said;
	static const char *const codes[] = {"250", "550 5.1.1", "250", "550 5.7.1",
					    "555", "250",	"250", "250"};
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (strncmp(at, codes[i], strlen(codes[i])) != 0)
			fail_msg("reply %zu of %s", i, said);
		at = strstr(at, "\r\n") + 2;
	}
	assert_string_equal(at, "");
	hang_up(&scene);
	scene_free(&scene);
}

/* Nobody who exists is refused when the directory breaks. */
static void a_broken_directory_refuses_nobody(void **state)
{
	struct scene scene = scene_new();
	char user[16];

	warm_up(&scene);
	mood.refuses_all = true;
	for (int i = 0; i < 10; i++) {
		(void)snprintf(user, sizeof(user), "user5%d", i);
		int code = mail(&scene, user);
		assert_true(code == 250 || code == 450);
	}
	assert_int_equal(mail(&scene, "user1"), 250);
	scene_free(&scene);
}

static void in_grace_nobody_is_refused(void **state)
{
	struct scene scene = scene_new();
	assert_int_equal(mail(&scene, "user1"), 250);
	assert_int_equal(mail(&scene, "nobody"), 250);
	scene_free(&scene);
}

/* Within a bound, then 451; who is known is taken without one. */
static void while_the_server_is_down_mail_is_held(void **state)
{
	struct scene scene = scene_new();
	char user[16];
	int taken = 0, later = 0;

	warm_up(&scene);
	servers_work(scene.servers, 120000, 1000);
	(void)play_mail(scene.play, "a@s.example", "user2@one.example", "\r\nx");
	for (int i = 0; i < 20 && play_dialled(scene.play) != NULL; i++) {
		play_end(scene.play, play_dialled(scene.play), NET_END_REFUSED);
		play_pass(scene.play, 10);
	}
	scene.play->peer_count = 0;
	for (int i = 0; i < 220; i++) {
		(void)snprintf(user, sizeof(user), "new%d", i);
		const char *said = rcpt(&scene, user, 0);
		taken += strncmp(said, "250 ", 4) == 0;
		later += strncmp(said, "451 4.7.1", 9) == 0;
		hang_up(&scene);
		scene.play->peer_count--;
	}
	assert_int_equal(taken, 200);
	assert_int_equal(later, 20);
	assert_memory_equal(rcpt(&scene, "new7", 0), "250 ", 4); /* no one new */
	hang_up(&scene);
	assert_memory_equal(rcpt(&scene, "user3", 0), "250 ", 4);
	hang_up(&scene);
	scene_free(&scene);
}

/* The sender, the domain, or all of it goes while the server is being asked, or the ledger. */
static void whatever_ends_while_a_question_is_open(void **state)
{
	for (int what = 0; what < 8; what++) {
		int how = what % 4; /* the rest once more, with others behind it */
		struct scene scene = scene_new();
		struct play_answer answer = {.came = false};
		warm_up(&scene);
		if (how == 3)
			ram_store_hold(scene.play->store, true);
		assert_string_equal(
		    rcpt(&scene,
			 what < 4 ? "user77"
				  : "user77@one.example>\r\nRCPT TO:<user78@one.example>\r\nRCPT TO:<nobody",
			 0),
		    "");
		if (how == 0 || how == 3)
			hang_up(&scene);
		if (how == 1) {
			admin_domain_remove(scene.play->relay, SLICE("one.example"), play_answered, &answer);
			play_run(scene.play);
			assert_int_equal(answer.result.error, 0);
			play_pass(scene.play, 10);
			assert_memory_equal(play_read(scene.sender), "451 ", 4);
		}
		if (how == 2) {
			relay_shut_down(scene.play->relay);
			play_run(scene.play);
		}
		if (how == 3)
			ram_store_release(scene.play->store, SIZE_MAX);
		scene_free(&scene);
	}
}

/* The code of RCPT for a known user, of a mail that says its size. */
static int rcpt_of_size(struct scene *scene, const char *size)
{
	struct peer *sender = play_sender(scene->play);
	char text[128];

	play_say(scene->play, sender, "EHLO sender.example\r\n");
	(void)snprintf(text, sizeof(text), "MAIL FROM:<s@s.example>%s\r\n", size);
	play_say(scene->play, sender, text);
	(void)play_read(sender);
	play_say(scene->play, sender, "RCPT TO:<user1@one.example>\r\n");
	int code = (int)strtol(play_read(sender), NULL, 10);
	play_end(scene->play, sender, NET_END_EOF);
	return code;
}

/* Only by a server that is well, and said it lately. */
static void what_is_too_large_for_the_server_is_refused(void **state)
{
	struct scene scene = scene_new();
	struct admin_node_view node;

	mood.size = 5000;
	assert_int_equal(mail(&scene, "user1"), 250);
	assert_int_equal(rcpt_of_size(&scene, " SIZE=5001"), 250); /* in grace */
	warm_up(&scene);
	assert_int_equal(rcpt_of_size(&scene, " SIZE=4999"), 250);
	assert_int_equal(rcpt_of_size(&scene, " SIZE=5000"), 250);
	assert_int_equal(rcpt_of_size(&scene, " SIZE=5001"), 552);
	assert_int_equal(rcpt_of_size(&scene, ""), 250);
	admin_node(scene.play->relay, &node);
	assert_int_equal(node.door.too_large, 1);
	/* It takes more now, and says so when it greets next. */
	mood.size = 6000;
	servers_work(scene.servers, 120000, 1000);
	assert_int_equal(mail(&scene, "user1"), 250);
	assert_int_equal(rcpt_of_size(&scene, " SIZE=5001"), 250);
	assert_int_equal(rcpt_of_size(&scene, " SIZE=6001"), 552);
	/* Nobody heard from it for an hour. */
	servers_work(scene.servers, 61 * 60 * 1000, 5000);
	assert_int_equal(rcpt_of_size(&scene, " SIZE=6001"), 250);
	scene_free(&scene);
}

/* What came to be asked, taken and refused is counted. */
static void the_door_counts(void **state)
{
	struct scene scene = scene_new();
	struct admin_node_view before, after;

	warm_up(&scene);
	admin_node(scene.play->relay, &before);
	assert_int_equal(mail(&scene, "user20"), 250);
	assert_int_equal(mail(&scene, "nobody"), 550);
	assert_int_equal(mail(&scene, "nobody"), 550); /* not asked again */
	admin_node(scene.play->relay, &after);
	assert_int_equal(after.door.unknown - before.door.unknown, 2);
	assert_int_equal(after.door.asked - before.door.asked, 4); /* the unknown one three times */
	assert_int_equal(after.door.unseen, before.door.unseen);
	assert_int_equal(after.door.limited + after.door.unconfirmed + after.door.too_large, 0);
	assert_int_equal(after.refused_recipients, 2);
	scene_free(&scene);
}

/* A server that does not answer is waited for 8 s. */
static void silence_is_no_refusal(void **state)
{
	struct scene scene = scene_new();
	warm_up(&scene);
	assert_string_equal(rcpt(&scene, "user88", 0), "");
	play_pass(scene.play, 7900);
	assert_string_equal(play_read(scene.sender), "");
	play_pass(scene.play, 200);
	assert_memory_equal(play_read(scene.sender), "250 ", 4);
	hang_up(&scene);
	scene_free(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_unknown_user_is_refused_with_the_servers_words),
	    cmocka_unit_test(a_known_user_costs_nothing),
	    cmocka_unit_test(an_unseen_user_is_one_question),
	    cmocka_unit_test(sessions_that_wait_are_one_question),
	    cmocka_unit_test(a_callout_is_one_round_trip),
	    cmocka_unit_test(pipelined_recipients_are_one_question),
	    cmocka_unit_test(pipelined_recipients_get_their_own_answers),
	    cmocka_unit_test(a_broken_directory_refuses_nobody),
	    cmocka_unit_test(in_grace_nobody_is_refused),
	    cmocka_unit_test(while_the_server_is_down_mail_is_held),
	    cmocka_unit_test(whatever_ends_while_a_question_is_open),
	    cmocka_unit_test(silence_is_no_refusal),
	    cmocka_unit_test(what_is_too_large_for_the_server_is_refused),
	    cmocka_unit_test(the_door_counts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
