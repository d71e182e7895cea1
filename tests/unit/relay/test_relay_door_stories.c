/* Our own door over days, and under attack: an outage's sixth day, and somebody who guesses names. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stage.h"

enum { MINUTE_MS = 60000, HOUR_MS = 60 * MINUTE_MS, DAY_MS = 24 * HOUR_MS };

/* The server of one.example has the mailboxes that begin with "user", that of all.example takes everybody. */
static const char *reply(struct servers *s, size_t i, const char *line)
{
	if (strncmp(line, "RCPT", 4) != 0 || s->play->peers[i].to.bytes[3] == 26 ||
	    strncmp(line, "RCPT TO:<user", 13) == 0)
		return NULL;
	return "550 5.1.1 no such user here\r\n";
}

struct scene {
	struct play *play;
	struct servers *servers;
};

static struct scene scene_new(void)
{
	struct scene scene = {.play = play_new_door()};

	scene.servers = servers_new(scene.play);
	scene.servers->reply = reply;
	play_add_domain(scene.play, "one.example", "192.0.2.25");
	play_add_domain(scene.play, "all.example", "192.0.2.26");
	return scene;
}

static void scene_free(struct scene *scene)
{
	free(scene->servers);
	play_free(scene->play);
}

/* The places of connections that have ended are given back. */
static void tidy_up(struct scene *scene)
{
	struct play *play = scene->play;

	while (play->peer_count > 0 && !play->peers[play->peer_count - 1].open) {
		size_t i = --play->peer_count;
		scene->servers->commands[i][0] = '\0';
		scene->servers->recipients[i][0] = '\0';
		scene->servers->in_data[i] = false;
	}
}

static void work(struct scene *scene, int64_t ms, int64_t step_ms)
{
	for (int64_t passed = 0; passed < ms; passed += step_ms) {
		servers_work(scene->servers, step_ms, step_ms);
		tidy_up(scene);
	}
}

/* While nobody answers: whoever is called refuses. */
static void nobody_answers(struct scene *scene, int64_t ms)
{
	for (int64_t passed = 0; passed < ms; passed += MINUTE_MS) {
		struct peer *peer;
		play_pass(scene->play, MINUTE_MS);
		while ((peer = play_dialled(scene->play)) != NULL)
			play_end(scene->play, peer, NET_END_REFUSED);
		tidy_up(scene);
	}
}

/* RCPT; the message follows when it is taken. ms: the servers work so long after each. Returns the code of
 * RCPT. */
static int mail(struct scene *scene, const char *to, int64_t ms)
{
	struct peer *sender = play_sender(scene->play);
	char text[512];

	play_say(scene->play, sender, "EHLO sender.example\r\nMAIL FROM:<s@s.example>\r\n");
	(void)play_read(sender);
	(void)snprintf(text, sizeof(text), "RCPT TO:<%s>\r\n", to);
	play_say(scene->play, sender, text);
	if (ms > 0)
		servers_work(scene->servers, ms, 20);
	int code = (int)strtol(play_read(sender), NULL, 10);
	if (code == 250) {
		play_say(scene->play, sender, "DATA\r\n\r\nx\r\n.\r\n");
		if (ms > 0)
			servers_work(scene->servers, ms, 20);
	}
	play_end(scene->play, sender, NET_END_EOF);
	tidy_up(scene);
	return code;
}

static void warm_up(struct scene *scene)
{
	char to[32];

	for (int i = 0; i < 6; i++) {
		(void)snprintf(to, sizeof(to), "user%d@one.example", i);
		assert_int_equal(mail(scene, to, 1000), 250);
	}
	assert_int_equal(mail(scene, "a@all.example", 1000), 250);
	work(scene, 61 * MINUTE_MS, 5000);
	assert_int_equal(mail(scene, "user1@one.example", 1000), 250);
	assert_int_equal(mail(scene, "user9@one.example", 1000), 250);
	assert_int_equal(mail(scene, "nobody@one.example", 2000), 550);
	assert_int_equal(mail(scene, "b@all.example", 1000), 250); /* and whether it takes everybody */
	work(scene, 10 * MINUTE_MS, 5000);
}

static int taken(struct scene *scene, const char *format, int count)
{
	int yes = 0;
	char to[64];

	for (int i = 0; i < count; i++) {
		(void)snprintf(to, sizeof(to), format, i);
		int code = mail(scene, to, 0);
		assert_true(code == 250 || code == 451);
		yes += code == 250;
	}
	return yes;
}

/* Story 32 of an outage: who was seen, who was not, who does not exist, and a domain that takes everybody. */
static void the_sixth_day_of_an_outage(void **state)
{
	struct scene scene = scene_new();
	uint64_t delivered;

	warm_up(&scene);
	assert_int_equal(mail(&scene, "user0@one.example", 0), 250);
	assert_int_equal(mail(&scene, "a@all.example", 0), 250);
	nobody_answers(&scene, 6 * (int64_t)DAY_MS);
	/* Known ones without a bound, and all of a domain that takes everybody. */
	for (int i = 0; i < 100; i++)
		assert_int_equal(mail(&scene, "user5@one.example", 0), 250);
	assert_int_equal(taken(&scene, "anybody%d@all.example", 300), 300);
	/* Others within one, whether they exist or not; never a 5yz. */
	assert_int_equal(taken(&scene, "user7%03d@one.example", 100), 100);
	assert_int_equal(taken(&scene, "nobody%d@one.example", 150), 100);
	nobody_answers(&scene, HOUR_MS);
	assert_int_equal(taken(&scene, "late%d@one.example", 5), 5);
	/* It is back: who exists gets it all; the others end, and nobody is told. */
	delivered = play_totals(scene.play).delivered;
	scene.servers->delivered[0] = '\0';
	work(&scene, 3 * MINUTE_MS, 20);
	for (int i = 0; i < 24; i++) { /* the hour of grace, in which nothing ends, and one more */
		work(&scene, 5 * MINUTE_MS, 500);
		assert_null(strstr(scene.servers->delivered, "@s.example"));
		scene.servers->delivered[0] = '\0';
	}
	struct store_totals totals = play_totals(scene.play);
	assert_int_equal(totals.delivered - delivered, 1 + 1 + 100 + 300 + 100);
	assert_int_equal(totals.accepted, totals.queued + totals.ended);
	assert_true(totals.queued <= 105); /* of those who do not exist */
	scene_free(&scene);
}

static int refused_rcpts; /* RCPTs that the server refused */

static const char *counting(struct servers *s, size_t i, const char *line)
{
	const char *said = reply(s, i, line);

	refused_rcpts += said != NULL;
	return said;
}

/* Somebody guesses names, twenty at a time: a few are asked for, the rest is told to come later, nothing is
 * held, and users that are known notice nothing. */
static void a_guesser_of_names(void **state)
{
	struct scene scene = scene_new();
	int codes[3] = {0, 0, 0}; /* 250, 450, 550 */
	char text[64 * 20];

	warm_up(&scene);
	uint64_t accepted = play_totals(scene.play).accepted;
	scene.servers->reply = counting;
	for (int i = 0; i < 20; i++) {
		struct peer *sender = play_sender(scene.play);
		size_t size = 0;
		play_say(scene.play, sender, "EHLO g.example\r\nMAIL FROM:<>\r\n");
		(void)play_read(sender);
		for (int k = 0; k < 20; k++)
			size += (size_t)snprintf(text + size, sizeof(text) - size,
						 "RCPT TO:<guess%d.%d@one.example>\r\n", i, k);
		play_say(scene.play, sender, text);
		servers_work(scene.servers, 3000, 20);
		const char *said = play_read(sender);
		codes[0] += stage_times(said, "250 2.1.5");
		codes[1] += stage_times(said, "450 4.7.1");
		codes[2] += stage_times(said, "550 5.1.1 the mail server");
		play_end(scene.play, sender, NET_END_EOF);
		tidy_up(&scene);
		assert_int_equal(mail(&scene, "user1@one.example", 0), 250);
		work(&scene, 1000, 20);
	}
	/* A burst of what a network may ask for, and one group that was asked for before the first was over.
	 */
	assert_int_equal(codes[0], 0);
	assert_in_range(codes[2], 20, 25);
	assert_int_equal(codes[1] + codes[2], 400);
	assert_true(refused_rcpts <= 3 * 25 + 10);
	assert_int_equal(play_totals(scene.play).accepted - accepted, 20);
	assert_int_equal(play_totals(scene.play).queued, 0);
	scene_free(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_sixth_day_of_an_outage),
	    cmocka_unit_test(a_guesser_of_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
