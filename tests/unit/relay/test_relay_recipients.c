/* Recipients by hand: listed, pinned, imported, unpinned; and what our door makes of it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stage.h"

enum { HOUR_MS = 3600000 };

static int rcpts;			/* that the server was asked for */
static struct play_answer *pin_at_rcpt; /* somebody pins user1 while the server thinks about it */

/* It has the mailboxes that begin with "user". */
static const char *reply(struct servers *s, size_t i, const char *line)
{
	if (strncmp(line, "RCPT", 4) != 0)
		return NULL;
	rcpts++;
	if (pin_at_rcpt != NULL) {
		struct slice names[] = {SLICE("user1")};
		admin_vouch(s->play->relay, SLICE("one.example"), ADMIN_PIN, names, 1, play_answered,
			    pin_at_rcpt);
		pin_at_rcpt = NULL;
	}
	return strncmp(line, "RCPT TO:<user", 13) == 0 ? NULL : "550 5.1.1 no such user here\r\n";
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
	return scene;
}

static void scene_free(struct scene *scene)
{
	free(scene->servers);
	play_free(scene->play);
}

/* The reply code of RCPT; the message follows when it is taken. */
static int mail(struct scene *scene, const char *user)
{
	struct peer *sender = play_sender(scene->play);
	char text[512];

	play_say(scene->play, sender, "EHLO sender.example\r\n");
	play_say(scene->play, sender, "MAIL FROM:<s@s.example>\r\n");
	(void)play_read(sender);
	(void)snprintf(text, sizeof(text), "RCPT TO:<%s@one.example>\r\n", user);
	play_say(scene->play, sender, text);
	servers_work(scene->servers, 2000, 10);
	int code = (int)strtol(play_read(sender), NULL, 10);
	if (code == 250) {
		play_say(scene->play, sender, "DATA\r\n");
		play_say(scene->play, sender, "\r\nx\r\n.\r\n");
		servers_work(scene->servers, 1000, 50);
	}
	play_end(scene->play, sender, NET_END_EOF);
	return code;
}

/* A server that is proven, and no first contact any more. */
static void warm_up(struct scene *scene)
{
	char user[16];

	for (int i = 0; i < 6; i++) {
		(void)snprintf(user, sizeof(user), "user%d", i);
		assert_int_equal(mail(scene, user), 250);
	}
	servers_work(scene->servers, HOUR_MS + 60000, 5000);
	assert_int_equal(mail(scene, "user1"), 250);
}

static struct admin_result vouch_many(struct scene *scene, enum admin_vouch what, const struct slice *names,
				      size_t count)
{
	struct play_answer answer = {.came = false};

	admin_vouch(scene->play->relay, SLICE("one.example"), what, names, count, play_answered, &answer);
	assert_false(answer.came); /* never from inside the call */
	play_run(scene->play);
	play_pass(scene->play, 10);
	assert_true(answer.came);
	return answer.result;
}

static struct admin_result vouch(struct scene *scene, enum admin_vouch what, const char *name)
{
	struct slice names[] = {slice_of(name)};

	return vouch_many(scene, what, names, 1);
}

struct listing {
	char text[65536];
	size_t size, count;
	char last[65];
};

static void on_recipient(void *owner, const struct admin_recipient_view *view)
{
	struct listing *listing = owner;

	listing->size += (size_t)snprintf(
	    listing->text + listing->size, sizeof(listing->text) - listing->size, "%.*s@%s %s %s%s\n",
	    SLICE_ARG(view->local), view->domain, ledger_standing_name(view->standing),
	    ledger_source_name(view->entry->source), view->entry->pinned ? " pinned" : "");
	(void)snprintf(listing->last, sizeof(listing->last), "%.*s", SLICE_ARG(view->local));
	listing->count++;
}

struct list_answer { /* first: play_answered is given it as the answer's owner */
	struct play_answer answer;
	struct listing listing;
};

static void told(void *owner, const struct admin_recipient_view *view)
{
	on_recipient(&((struct list_answer *)owner)->listing, view);
}

static const struct listing *list(struct scene *scene, struct list_answer *to, const char *after,
				  size_t limit)
{
	memset(to, 0, sizeof(*to));
	admin_recipients(scene->play->relay, SLICE("one.example"), slice_of(after), limit, told,
			 play_answered, to);
	play_run(scene->play);
	play_pass(scene->play, 10);
	assert_true(to->answer.came);
	assert_int_equal(to->answer.result.error, 0);
	return &to->listing;
}

static void what_the_server_took_is_listed(void **state)
{
	struct scene scene = scene_new();
	struct list_answer answer;

	assert_int_equal(list(&scene, &answer, "", 100)->count, 0);
	warm_up(&scene);
	assert_int_equal(list(&scene, &answer, "", 100)->count, 6);
	assert_non_null(strstr(answer.listing.text, "user0@one.example good callout\n"));
	/* by pages, in order, with nothing twice */
	assert_int_equal(list(&scene, &answer, "", 4)->count, 4);
	assert_string_equal(answer.listing.last, "user3");
	assert_int_equal(list(&scene, &answer, "user3", 4)->count, 2);
	assert_non_null(strstr(answer.listing.text, "user4@one.example"));
	assert_int_equal(list(&scene, &answer, "user5", 4)->count, 0);
	scene_free(&scene);
}

/* It was refused a moment ago: that is forgotten at once. Unpinned, the server's word counts again. */
static void a_pinned_recipient_is_never_refused(void **state)
{
	struct scene scene = scene_new();
	struct list_answer answer;

	warm_up(&scene);
	assert_int_equal(mail(&scene, "boss"), 550);
	struct admin_result result = vouch(&scene, ADMIN_PIN, "Boss@ONE.example");
	assert_int_equal(result.error, 0);
	assert_non_null(strstr(result.message, "pinned"));
	rcpts = 0;
	struct peer *sender = play_sender(scene.play);
	play_say(scene.play, sender, "EHLO s.example\r\nMAIL FROM:<>\r\nRCPT TO:<boss@one.example>\r\n");
	assert_non_null(strstr(play_read(sender), "\r\n250 2.1.5"));
	assert_int_equal(rcpts, 0);
	play_end(scene.play, sender, NET_END_EOF);
	(void)list(&scene, &answer, "", 100);
	assert_non_null(strstr(answer.listing.text, "boss@one.example good list pinned\n"));

	assert_int_equal(vouch(&scene, ADMIN_UNPIN, "boss").error, 0);
	assert_null(strstr(list(&scene, &answer, "", 100)->text, "boss"));
	assert_int_equal(mail(&scene, "boss"), 550);
	/* who was seen stays known */
	assert_int_equal(vouch(&scene, ADMIN_PIN, "user1").error, 0);
	assert_int_equal(vouch(&scene, ADMIN_UNPIN, "user1").error, 0);
	(void)list(&scene, &answer, "", 100);
	assert_non_null(strstr(answer.listing.text, "user1@one.example good delivery\n"));
	scene_free(&scene);
}

static void a_pin_outlives_a_restart(void **state)
{
	struct scene scene = scene_new();
	struct list_answer answer;

	warm_up(&scene);
	assert_int_equal(vouch(&scene, ADMIN_PIN, "boss").error, 0);
	stage_restart(scene.play);
	play_run(scene.play);
	(void)list(&scene, &answer, "", 100);
	assert_non_null(strstr(answer.listing.text, "boss@one.example good list pinned\n"));
	scene_free(&scene);
}

static void who_is_imported_is_listed_and_not_refused(void **state)
{
	enum { MANY = 300 };
	static char names[MANY][32];
	static struct slice slices[MANY];
	struct scene scene = scene_new();
	struct list_answer answer;

	warm_up(&scene);
	for (int i = 0; i < MANY; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "staff%03d", i);
		slices[i] = slice_of(names[i]);
	}
	assert_int_equal(mail(&scene, "staff123"), 550);
	assert_int_equal(vouch_many(&scene, ADMIN_IMPORT, slices, MANY).error, 0);
	assert_int_equal(list(&scene, &answer, "", 1000)->count, MANY + 6);
	assert_non_null(strstr(answer.listing.text, "staff123@one.example listed csv\n"));
	assert_int_equal(mail(&scene, "staff123"), 250);
	assert_int_equal(vouch_many(&scene, ADMIN_UNPIN, slices, MANY).error, 0);
	(void)list(&scene, &answer, "", 1000);
	assert_null(strstr(answer.listing.text, "staff124"));
	scene_free(&scene);
}

static const struct {
	const char *name;
	const char *words;
} wrong[] = {
    {"", "is no address"},
    {"a b", "is no address"},
    {"joe@", "is no address"},
    {"joe@two.example", "is of another domain"},
    {"joe@x@one.example", "is no address"},
    {"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggggg", "too long to be remembered"},
    {"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggggg@one.example",
     "too long to be remembered"},
};

static void a_wrong_name_changes_nothing(void **state)
{
	struct scene scene = scene_new();
	struct list_answer answer;
	struct play_answer refused = {.came = false};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct slice names[] = {SLICE("good"), slice_of(wrong[i].name)};
		struct admin_result result = vouch_many(&scene, ADMIN_PIN, names, 2);
		assert_int_equal(result.error, ERR_SYNTAX);
		if (strstr(result.message, wrong[i].words) == NULL)
			fail_msg("%s: %s", wrong[i].name, result.message);
	}
	assert_int_equal(list(&scene, &answer, "", 100)->count, 0);
	struct slice names[] = {SLICE("joe")};
	admin_vouch(scene.play->relay, SLICE("two.example"), ADMIN_PIN, names, 1, play_answered, &refused);
	play_run(scene.play);
	assert_int_equal(refused.result.error, ERR_MISSING);
	scene_free(&scene);
}

/* The store takes some and not others: how many is said, and doing it again does no harm. */
static void a_store_that_fails_is_said(void **state)
{
	struct slice names[] = {SLICE("a"), SLICE("b"), SLICE("c"), SLICE("d")};
	struct scene scene = scene_new();
	struct list_answer answer;

	stage_fail(scene.play, 1);
	struct admin_result result = vouch_many(&scene, ADMIN_IMPORT, names, 4);
	assert_int_equal(result.error, ERR_IO);
	assert_non_null(strstr(result.message, "0 of 4 recipients were written"));
	stage_fail(scene.play, 0);
	assert_int_equal(vouch_many(&scene, ADMIN_IMPORT, names, 4).error, 0);
	assert_int_equal(vouch_many(&scene, ADMIN_IMPORT, names, 4).error, 0);
	assert_int_equal(list(&scene, &answer, "", 100)->count, 4);
	scene_free(&scene);
}

/* A transaction that read the entry before does not write the pin away when it ends. */
static void a_delivery_under_way_does_not_undo_a_pin(void **state)
{
	struct scene scene = scene_new();
	struct list_answer answer;

	warm_up(&scene);
	struct play_answer pinned = {.came = false};
	servers_work(scene.servers, 25 * HOUR_MS, 60000); /* a delivery is worth a write again */
	pin_at_rcpt = &pinned;
	assert_int_equal(mail(&scene, "user1"), 250);
	assert_true(pinned.came);
	assert_int_equal(pinned.result.error, 0);
	(void)list(&scene, &answer, "", 100);
	assert_non_null(strstr(answer.listing.text, "user1@one.example good list pinned\n"));
	scene_free(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_the_server_took_is_listed),
	    cmocka_unit_test(a_pinned_recipient_is_never_refused),
	    cmocka_unit_test(a_pin_outlives_a_restart),
	    cmocka_unit_test(who_is_imported_is_listed_and_not_refused),
	    cmocka_unit_test(a_wrong_name_changes_nothing),
	    cmocka_unit_test(a_store_that_fails_is_said),
	    cmocka_unit_test(a_delivery_under_way_does_not_undo_a_pin),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
