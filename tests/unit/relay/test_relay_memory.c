/* Memory that fails, one allocation after the other: nothing that was accepted is lost, delivered twice or
 * left without a next event, and nothing spins. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stage.h"

/* --- allocations --- */

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);

static bool armed;
static long seen, fail_from, fail_count;

static bool fails(void)
{
	if (!armed)
		return false;
	long number = seen++;
	return number >= fail_from && number < fail_from + fail_count;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
	return fails() ? NULL : __real_realloc(memory, size);
}

static void arm(long from, long count)
{
	seen = 0;
	fail_from = from;
	fail_count = count;
	armed = true;
}

/* False: there were fewer allocations, none has failed. */
static bool disarm(void)
{
	armed = false;
	return seen > fail_from;
}

/* --- the mail --- */

/* A sender who gives up at the first trouble. True: the message was accepted. */
static bool send_one(struct play *play, const char *to)
{
	char envelope[256];
	struct peer *peer = &play->peers[play->peer_count++];
	const char *const parts[] = {"EHLO x\r\n", envelope, "Subject: x\r\n\r\nhello\r\n", ".\r\n"};

	(void)snprintf(envelope, sizeof(envelope), "MAIL FROM:<a@s.example>\r\nRCPT TO:<%s>\r\nDATA\r\n", to);
	*peer = (struct peer){.open = true, .accepted = true};
	relay_accept(play->relay, (struct net_conn *)peer);
	play_run(play);
	for (int i = 0; i < 4 && peer->open; i++) {
		if (i == 2 && strstr(peer->written, "354 ") == NULL)
			break;
		play_say(play, peer, parts[i]);
	}
	bool accepted = strstr(play_read(peer), "accepted as") != NULL;
	if (peer->open)
		play_end(play, peer, NET_END_EOF);
	return accepted;
}

struct mail {
	struct play *play;
	struct servers *servers;
	uint32_t accepted;
};

static void open_stage(struct mail *m)
{
	m->play = play_new();
	m->servers = servers_new(m->play);
	m->accepted = 0;
	play_add_domain(m->play, "one.example", "192.0.2.25");
	play_add_domain(m->play, "two.example", "192.0.2.26");
}

static void send_two(struct mail *m)
{
	m->accepted += send_one(m->play, "b@one.example");
	m->accepted += send_one(m->play, "c@two.example");
}

/* Memory is there again: everything arrives once. */
static void close_stage(struct mail *m)
{
	servers_work(m->servers, 15 * 60 * 1000, 10000);
	assert_int_equal(play_totals(m->play).queued, 0);
	assert_int_equal(m->servers->messages, m->accepted);
	free(m->servers);
	play_free(m->play);
}

/* count allocations in a row fail while mail passes. */
static bool pass_mail(long from, long count)
{
	struct mail m;

	open_stage(&m);
	arm(from, count);
	send_two(&m);
	for (int i = 0; i < 5; i++)
		servers_answer(m.servers);
	assert_true(relay_deadline(m.play->relay) > m.play->now.now_us); /* it does not spin */
	bool reached = disarm();
	close_stage(&m);
	return reached;
}

static void memory_fails_while_mail_passes(void **state)
{
	static const long counts[] = {1, 3, 100000};

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		for (long from = 0; pass_mail(from, counts[i]); from++)
			;
}

static bool start(long from)
{
	struct mail m;
	struct relay_config config;

	open_stage(&m);
	send_two(&m);
	struct play *play = m.play;
	struct relay_ports ports = {&play->clock, &play->net, play->store, &play->resolver, &play->log, 43};
	ram_store_crash(play->store);
	relay_free(play->relay);
	play->peer_count = 0;
	relay_config_defaults(&config, "relay.example");
	config.ask_recipients = false;
	arm(from, 1);
	play->relay = relay_new(&config, &ports);
	if (play->relay != NULL)
		play_run(play);
	bool reached = disarm();
	if (play->relay == NULL)
		play->relay = relay_new(&config, &ports);
	assert_non_null(play->relay);
	close_stage(&m);
	return reached;
}

static void memory_fails_at_the_start(void **state)
{
	for (long from = 0; start(from); from++)
		;
}

/* --- administration --- */

static bool administer(long from)
{
	struct mail m;
	struct play_answer a[6] = {{.came = false}};
	struct slice to = SLICE("192.0.2.77");

	open_stage(&m);
	struct play *play = m.play;
	m.accepted += send_one(play, "b@one.example");
	play_end(play, play_dialled(play), NET_END_REFUSED);
	arm(from, 1);
	admin_domain_set(play->relay, SLICE("one.example"), SLICE("to"), SLICE("192.0.2.99"), play_answered,
			 &a[0]);
	admin_domain_add(play->relay, SLICE("new.example"), &to, 1, play_answered, &a[1]);
	admin_hold(play->relay, SLICE("one.example"), 0, play_answered, &a[2]);
	admin_resume(play->relay, SLICE("one.example"), play_answered, &a[3]);
	admin_probe(play->relay, SLICE("one.example"), play_answered, &a[4]);
	play_run(play);
	admin_domain_remove(play->relay, SLICE("new.example"), play_answered, &a[5]);
	play_run(play);
	bool reached = disarm();
	play_pass(play, 15000);
	for (int i = 0; i < 6; i++)
		assert_true(a[i].came);
	if (a[3].result.error == ERR_MEMORY) { /* still on hold, as the answer said */
		struct play_answer again = {.came = false};
		admin_resume(play->relay, SLICE("one.example"), play_answered, &again);
		play_run(play);
	}
	close_stage(&m);
	return reached;
}

static void memory_fails_in_administration(void **state)
{
	for (long from = 0; administer(from); from++)
		;
}

static bool add(long from)
{
	struct play *play = play_new();
	struct play_answer answer = {.came = false};
	struct slice to = SLICE("192.0.2.25");

	arm(from, 1);
	admin_domain_add(play->relay, SLICE("example.com"), &to, 1, play_answered, &answer);
	play_run(play);
	bool reached = disarm();
	play_pass(play, 15000);
	assert_true(answer.came);
	assert_int_equal(stage_serves(play, "example.com"), answer.result.error == 0);
	stage_restart(play);
	play_run(play);
	assert_int_equal(stage_serves(play, "example.com"), answer.result.error == 0);
	play_free(play);
	return reached;
}

static void an_add_without_memory_leaves_nothing(void **state)
{
	for (long from = 0; add(from); from++)
		;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(memory_fails_while_mail_passes),
	    cmocka_unit_test(memory_fails_at_the_start),
	    cmocka_unit_test(memory_fails_in_administration),
	    cmocka_unit_test(an_add_without_memory_leaves_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
