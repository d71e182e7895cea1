/* Refusals: believed, doubted, held. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stage.h"

/* What the server does in this test. */
static struct {
	bool refuses_all;
	const char *unknown; /* an address that starts like this has no mailbox */
	bool hangs_up;	     /* at a question of ours */
	int questions;
	int attempts; /* RCPT, in all */
} mood;

static const char *reply(struct servers *s, size_t i, const char *line)
{
	if (strncmp(line, "MAIL FROM:<postmaster@", 22) == 0)
		mood.questions++;
	if (strncmp(line, "RCPT", 4) != 0)
		return NULL;
	mood.attempts++;
	bool unknown = mood.unknown != NULL && strncmp(line + 9, mood.unknown, strlen(mood.unknown)) == 0;
	return mood.refuses_all || unknown ? "550 5.1.1 no such user\r\n" : NULL;
}

struct scene {
	struct play *play;
	struct servers *servers;
	int senders;
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

/* From another sender each time. */
static void mail(struct scene *scene, const char *user)
{
	char from[64], to[96];

	(void)snprintf(from, sizeof(from), "s%d@s.example", scene->senders++);
	(void)snprintf(to, sizeof(to), "%s@one.example", user);
	(void)play_mail(scene->play, from, to, "\r\nx");
	servers_work(scene->servers, 1000, 100);
}

static void numbered(struct scene *scene, const char *prefix, int count)
{
	char user[64];

	for (int i = 0; i < count; i++) {
		(void)snprintf(user, sizeof(user), "%s%d", prefix, i);
		mail(scene, user);
	}
}

static void state_of(void *owner, const struct admin_domain_view *view)
{
	*(enum domain_state *)owner = view->state;
}

static enum domain_state state_now(struct scene *scene)
{
	enum domain_state state = DOMAIN_OPEN;

	(void)admin_status(scene->play->relay, SLICE("one.example"), NULL, state_of, &state);
	return state;
}

static void known_users_refused_are_a_hold(void **state)
{
	struct scene scene = scene_new();
	numbered(&scene, "user", 4);
	assert_int_equal(play_totals(scene.play).delivered, 4);
	mood.refuses_all = true;
	numbered(&scene, "user", 3);
	assert_true(mood.questions >= 2);
	assert_int_equal(state_now(&scene), DOMAIN_REFUSING);
	assert_non_null(strstr(scene.play->log_text, "refuses valid mail of this domain"));
	mood.attempts = 0;
	numbered(&scene, "new", 10);
	servers_work(scene.servers, 3 * 60 * 1000, 500);
	assert_in_range(mood.attempts, 8, 16); /* one each 15 s */
	assert_int_equal(play_totals(scene.play).queued, 13);
	mood.refuses_all = false;
	servers_work(scene.servers, 20000, 200);
	assert_int_equal(state_now(&scene), DOMAIN_OPEN);
	assert_int_equal(play_totals(scene.play).queued, 0);
	assert_int_equal(scene.servers->messages, 17);
	scene_free(&scene);
}

static void a_hold_survives_a_restart(void **state)
{
	struct scene scene = scene_new();
	numbered(&scene, "user", 4);
	mood.refuses_all = true;
	numbered(&scene, "user", 3);
	assert_int_equal(state_now(&scene), DOMAIN_REFUSING);
	servers_work(scene.servers, 12000, 500); /* it is written down */
	stage_restart(scene.play);
	play_run(scene.play);
	assert_int_equal(state_now(&scene), DOMAIN_REFUSING);
	mood.refuses_all = false;
	servers_work(scene.servers, 20000, 200);
	assert_int_equal(state_now(&scene), DOMAIN_OPEN);
	assert_int_equal(play_totals(scene.play).queued, 0);
	scene_free(&scene);
}

static void strangers_refusals_hold_nothing(void **state)
{
	struct scene scene = scene_new();
	mood.unknown = "guess";
	numbered(&scene, "user", 4);
	numbered(&scene, "guess", 30);
	assert_int_equal(state_now(&scene), DOMAIN_OPEN);
	assert_true(mood.questions > 0);
	uint64_t before = play_totals(scene.play).delivered;
	mail(&scene, "user1");
	assert_int_equal(play_totals(scene.play).delivered, before + 1);
	scene_free(&scene);
}

/* Nobody is known, so nobody can say that the server is wrong; and no new mail comes. */
static void at_a_first_contact_refusals_are_doubted(void **state)
{
	struct scene scene = scene_new();
	mood.refuses_all = true;
	numbered(&scene, "user", 12);
	assert_int_equal(state_now(&scene), DOMAIN_OPEN);
	assert_non_null(strstr(scene.play->log_text, "the server's refusals are doubted"));
	servers_work(scene.servers, 60000, 500);
	assert_int_equal(play_totals(scene.play).queued, 12);
	mood.refuses_all = false;
	servers_work(scene.servers, 20000, 200);
	assert_int_equal(play_totals(scene.play).queued, 0);
	assert_non_null(strstr(scene.play->log_text, "the server's refusals are believed again"));
	scene_free(&scene);
}

static const char *hangs_up(struct servers *s, size_t i, const char *line)
{
	const char *usual = reply(s, i, line);

	if (mood.hangs_up && strncmp(line, "MAIL FROM:<postmaster@", 22) == 0)
		return "421 4.3.2 closing\r\n";
	return usual;
}

/* Without an answer nothing is held; the question is put again. */
static void a_check_that_nobody_answers_decides_nothing(void **state)
{
	struct scene scene = scene_new();
	scene.servers->reply = hangs_up;
	numbered(&scene, "user", 4);
	mood.refuses_all = mood.hangs_up = true;
	numbered(&scene, "user", 3);
	int before = mood.questions;
	assert_true(before > 0);
	assert_int_equal(state_now(&scene), DOMAIN_OPEN);
	mood.hangs_up = false;
	servers_work(scene.servers, 20000, 200);
	assert_true(mood.questions > before);
	assert_int_equal(state_now(&scene), DOMAIN_REFUSING);
	scene_free(&scene);
}

/* The domain goes, or all ends, while a question is open. */
static void the_end_comes_during_a_check(void **state)
{
	struct scene scene = scene_new();
	numbered(&scene, "user", 4);
	mood.refuses_all = true;
	ram_store_hold(scene.play->store, false);
	for (int i = 0; i < 40 && mood.questions == 0; i++) {
		char from[64], to[96];
		(void)snprintf(from, sizeof(from), "t%d@s.example", i);
		(void)snprintf(to, sizeof(to), "user%d@one.example", i % 4);
		(void)play_mail(scene.play, from, to, "\r\nx");
		servers_answer(scene.servers);
	}
	scene_free(&scene);
}

static uint64_t in_grace(const struct scene *scene)
{
	struct store_counts counts;

	scene->play->store->ops->count(scene->play->store, STORE_GRACE, &counts);
	return counts.recipients;
}

/* RECOVERY 1.7: refused again by a server that has just taken somebody it knows, out of grace. */
static void a_refusal_that_is_repeated_ends_into_grace(void **state)
{
	struct scene scene = scene_new();
	struct outside_view own;
	numbered(&scene, "user", 4);
	servers_work(scene.servers, 61 * 60 * 1000, 20000); /* the grace of the first contact */
	mood.unknown = "guess";
	scene.play->spf_pass = true;
	mail(&scene, "guess1");
	for (int i = 0; i < 20 && in_grace(&scene) == 0; i++) {
		scene.play->peer_count = 16; /* those of former senders and servers are closed */
		mail(&scene, i % 2 == 0 ? "user1" : "user2");
		servers_work(scene.servers, 20000, 1000);
		outside_view(scene.play->relay, &own);
		assert_true(own.sent == in_grace(&scene)); /* not before, and not without */
	}
	assert_int_equal(in_grace(&scene), 1);
	assert_int_equal(own.sent, 1);
	servers_work(scene.servers, 5000, 100);
	assert_non_null(strstr(scene.servers->delivered, "@s.example")); /* the notification */
	struct store_totals totals = play_totals(scene.play);
	assert_int_equal(totals.queued, 0);
	assert_int_equal(totals.accepted, totals.ended);
	scene_free(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(known_users_refused_are_a_hold),
	    cmocka_unit_test(a_hold_survives_a_restart),
	    cmocka_unit_test(a_refusal_that_is_repeated_ends_into_grace),
	    cmocka_unit_test(strangers_refusals_hold_nothing),
	    cmocka_unit_test(at_a_first_contact_refusals_are_doubted),
	    cmocka_unit_test(a_check_that_nobody_answers_decides_nothing),
	    cmocka_unit_test(the_end_comes_during_a_check),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
