/* A server that distrusts us: mail is held by the sender's domain, the rest flows. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stage.h"

static struct {
	const char *distrusted[3]; /* domains of senders */
	bool all;
	int attempts; /* RCPT that were refused */
	bool refuse[PLAY_PEERS_MAX];
} mood;

static bool is_distrusted(const char *line)
{
	for (size_t i = 0; i < 3; i++)
		if (mood.distrusted[i] != NULL && strstr(line, mood.distrusted[i]) != NULL)
			return true;
	return mood.all;
}

static const char *reply(struct servers *s, size_t i, const char *line)
{
	if (strncmp(line, "MAIL", 4) == 0)
		mood.refuse[i] = is_distrusted(line);
	if (strncmp(line, "RCPT", 4) != 0 || !mood.refuse[i])
		return NULL;
	mood.attempts++;
	return "550 5.7.23 SPF validation failed\r\n";
}

struct scene {
	struct play *play;
	struct servers *servers;
	int mails;
};

static struct scene scene_new(void)
{
	struct scene scene = {.play = play_new()};

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

static void mail(struct scene *scene, const char *class, int count)
{
	char from[64], to[64];

	for (int i = 0; i < count; i++) {
		(void)snprintf(from, sizeof(from), "s%d@%s", scene->mails, class);
		(void)snprintf(to, sizeof(to), "u%d@one.example", scene->mails++ % 5);
		(void)play_mail(scene->play, from, to, "\r\nx");
		servers_work(scene->servers, 200, 50);
	}
}

/* In one session. */
static void many(struct scene *scene, const char *class, int count)
{
	struct peer *peer = play_sender(scene->play);
	char text[256];

	play_say(scene->play, peer, "EHLO sender.example\r\n");
	for (int i = 0; i < count; i++) {
		(void)snprintf(text, sizeof(text),
			       "MAIL FROM:<s%d@%s>\r\nRCPT TO:<u%d@one.example>\r\nDATA\r\n", scene->mails,
			       class, scene->mails % 5);
		scene->mails++;
		play_say(scene->play, peer, text);
		play_say(scene->play, peer, "\r\nx\r\n.\r\n");
		servers_work(scene->servers, 200, 50);
		(void)play_read(peer);
	}
}

static uint64_t held(const struct scene *scene)
{
	return play_totals(scene->play).queued;
}

static void wait_until_held(struct scene *scene, uint64_t count, int seconds)
{
	for (int i = 0; i < seconds * 2 && held(scene) > count; i++)
		servers_work(scene->servers, 500, 100);
	assert_int_equal(held(scene), count);
}

static void a_class_is_held_and_the_rest_flows(void **state)
{
	struct scene scene = scene_new();

	mail(&scene, "good.example", 5);
	mood.distrusted[0] = "@strict.example";
	mail(&scene, "strict.example", 2);
	assert_int_equal(mood.attempts, 2);
	mail(&scene, "strict.example", 20);
	mail(&scene, "good.example", 10);
	assert_true(mood.attempts <= 3); /* a probe may have been due */
	assert_int_equal(held(&scene), 22);
	int before = mood.attempts;
	servers_work(scene.servers, 150000, 500);
	assert_in_range(mood.attempts - before, 9, 11);
	mood.distrusted[0] = NULL;
	wait_until_held(&scene, 0, 20);
	scene_free(&scene);
}

static void one_alarm_names_the_step(void **state)
{
	struct scene scene = scene_new();

	mail(&scene, "good.example", 5);
	mood.distrusted[0] = "@strict.example";
	mood.distrusted[1] = "@other.example";
	mood.distrusted[2] = "@third.example";
	mail(&scene, "strict.example", 3);
	assert_int_equal(stage_times(scene.play->log_text, "distrusts this relay"), 0);
	mail(&scene, "other.example", 3);
	mail(&scene, "good.example", 1);
	mail(&scene, "third.example", 3);
	servers_work(scene.servers, 60000, 500);
	assert_int_equal(stage_times(scene.play->log_text, "distrusts this relay"), 1);
	memset(mood.distrusted, 0, sizeof(mood.distrusted));
	wait_until_held(&scene, 0, 20);
	scene_free(&scene);
}

/* One message that was refused for it is not held as a class, but goes with the others when all is well. */
static void a_parked_one_goes_when_its_fellows_do(void **state)
{
	struct scene scene = scene_new();

	mail(&scene, "good.example", 5);
	mood.distrusted[0] = "@strict.example";
	mood.distrusted[1] = "@lonely.example";
	mail(&scene, "strict.example", 5);
	mail(&scene, "lonely.example", 1);
	servers_work(scene.servers, 8 * 60000, 1000); /* its back-off is long by now */
	memset(mood.distrusted, 0, sizeof(mood.distrusted));
	wait_until_held(&scene, 0, 20);
	scene_free(&scene);
}

static void refusing_us_altogether_holds_the_domain(void **state)
{
	struct scene scene = scene_new();

	mail(&scene, "good.example", 10);
	mood.all = true;
	mail(&scene, "good.example", 20);
	servers_work(scene.servers, 30000, 500);
	assert_int_equal(held(&scene), 20);
	assert_int_equal(stage_times(scene.play->log_text, "distrusts this relay"), 1);
	assert_int_equal(stage_times(scene.play->log_text, "refuses valid mail of this domain"), 1);
	assert_true(mood.attempts < 20);
	mood.all = false;
	wait_until_held(&scene, 0, 20);
	scene_free(&scene);
}

/* What is held as a class waits for it at the front of a long queue: it is found. */
static void a_probe_is_found_behind_many(void **state)
{
	struct scene scene = scene_new();

	mail(&scene, "good.example", 5);
	mood.distrusted[0] = "@strict.example";
	mood.distrusted[1] = "@many.example";
	many(&scene, "many.example", 120);
	mail(&scene, "strict.example", 3);
	mood.distrusted[0] = NULL; /* this one is mended, the others are not */
	wait_until_held(&scene, 120, 40);
	scene_free(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_class_is_held_and_the_rest_flows),
	    cmocka_unit_test(one_alarm_names_the_step),
	    cmocka_unit_test(a_parked_one_goes_when_its_fellows_do),
	    cmocka_unit_test(refusing_us_altogether_holds_the_domain),
	    cmocka_unit_test(a_probe_is_found_behind_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
