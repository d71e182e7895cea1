/* Mail of our own to domains that are not served here. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/outside.h"
#include "stage.h"

enum { HOUR_MS = 3600 * 1000, DAY_MS = 24 * HOUR_MS };

static const char content[] = "From: <postmaster@relay.example>\r\nSubject: news\r\n\r\nhello\r\n";

struct told {
	uint32_t calls, kept;
};

static void told(void *owner, uint64_t id)
{
	struct told *t = owner;

	t->calls++;
	t->kept += id != 0;
}

static int ask(struct play *play, const char *to, struct told *t)
{
	struct outside_mail mail = {.to = slice_of(to), .content = slice_of(content)};

	return outside_send(play->relay, &mail, told, t);
}

static void send(struct play *play, const char *to)
{
	struct told t = {.calls = 0};

	assert_int_equal(ask(play, to, &t), 0);
	assert_int_equal(t.calls, 0); /* never from inside the call */
	play_run(play);
	assert_int_equal(t.calls, 1);
	assert_int_equal(t.kept, 1);
}

static struct outside_view view(struct play *play)
{
	struct outside_view v;

	outside_view(play->relay, &v);
	return v;
}

static void hours_pass(struct play *play, int hours)
{
	for (int i = 0; i < hours; i++)
		play_pass(play, HOUR_MS);
}

static void it_goes_to_the_mx_of_the_address(void **state)
{
	struct play *play = play_new();
	struct servers *servers = servers_new(play);
	send(play, "alice@sender.example");
	assert_int_equal(view(play).domains, 1);
	assert_int_equal(view(play).messages, 1);
	servers_work(servers, 5000, 100);
	assert_non_null(strstr(servers->delivered, "alice@sender.example"));
	assert_int_equal(view(play).messages, 0);
	assert_int_equal(play_totals(play).queued, 0);
	free(servers);
	play_free(play);
}

static const char *note_mail(struct servers *servers, size_t peer, const char *line)
{
	if (strncmp(line, "MAIL", 4) == 0)
		assert_int_equal(strncmp(line, "MAIL FROM:<>", 12), 0);
	return NULL;
}

static void its_reverse_path_is_null(void **state)
{
	struct play *play = play_new();
	struct servers *servers = servers_new(play);
	servers->reply = note_mail;
	send(play, "alice@sender.example");
	servers_work(servers, 5000, 100);
	assert_int_equal(servers->messages, 1);
	free(servers);
	play_free(play);
}

static void nobody_can_send_through_it(void **state)
{
	struct play *play = play_new();
	send(play, "alice@sender.example");
	assert_int_equal(view(play).domains, 1);
	struct peer *peer = play_sender(play);
	play_say(play, peer, "EHLO x\r\nMAIL FROM:<a@s.example>\r\n");
	(void)play_read(peer);
	play_say(play, peer, "RCPT TO:<alice@sender.example>\r\n");
	assert_int_equal(strncmp(play_read(peer), "550 ", 4), 0);
	play_say(play, peer, "RCPT TO:<postmaster>\r\n"); /* nor does its postmaster get ours */
	assert_int_not_equal(play_read(peer)[0], '2');
	assert_false(stage_serves(play, "sender.example"));
	play_free(play);
}

static void a_restart_finds_it(void **state)
{
	struct play *play = play_new();
	play->mx.status = RESOLVER_FAILED;
	send(play, "alice@sender.example");
	hours_pass(play, 1);
	assert_int_equal(view(play).messages, 1);
	play->mx.status = RESOLVER_NODATA;
	stage_restart(play);
	struct servers *servers = servers_new(play);
	servers_work(servers, 5000, 100);
	assert_non_null(strstr(servers->delivered, "alice@sender.example"));
	free(servers);
	play_free(play);
}

static void it_goes_when_it_is_empty(void **state)
{
	struct play *play = play_new();
	struct servers *servers = servers_new(play);
	send(play, "alice@sender.example");
	servers_work(servers, OUTSIDE_REST_MS / 2, 1000);
	assert_int_equal(view(play).domains, 1);
	servers_work(servers, OUTSIDE_REST_MS, 1000);
	assert_int_equal(view(play).domains, 0);
	stage_restart(play);
	play_run(play);
	assert_int_equal(view(play).domains, 0);
	send(play, "bob@sender.example"); /* and comes again */
	servers_work(servers, 5000, 100);
	assert_non_null(strstr(servers->delivered, "bob@sender.example"));
	free(servers);
	play_free(play);
}

static void it_does_not_go_while_mail_waits(void **state)
{
	struct play *play = play_new();
	play->mx.status = RESOLVER_FAILED;
	send(play, "alice@sender.example");
	hours_pass(play, 48);
	assert_int_equal(view(play).domains, 1);
	assert_int_equal(view(play).messages, 1);
	play_free(play);
}

static void after_five_days_it_is_gone_without_a_word(void **state)
{
	struct play *play = play_new();
	struct store_counts grace;
	play->mx.status = RESOLVER_FAILED;
	send(play, "alice@sender.example");
	hours_pass(play, 4 * 24);
	assert_int_equal(view(play).messages, 1);
	hours_pass(play, 25);
	assert_int_equal(view(play).messages, 0);
	assert_int_equal(view(play).domains, 0);
	play->store->ops->count(play->store, STORE_GRACE, &grace);
	assert_int_equal(grace.recipients, 0);
	assert_int_equal(play_totals(play).queued, 0);
	assert_int_equal(play_totals(play).accepted, 1); /* nothing was sent about it */
	assert_int_equal(stage_times(play->log_text, "expires soon"), 0);
	play_free(play);
}

static const char *refuse_rcpt(struct servers *servers, size_t peer, const char *line)
{
	return strncmp(line, "RCPT", 4) == 0 ? "550 5.1.1 no such user\r\n" : NULL;
}

static void a_refusal_ends_it(void **state)
{
	struct play *play = play_new();
	struct servers *servers = servers_new(play);
	struct store_counts grace;
	servers->reply = refuse_rcpt;
	send(play, "alice@sender.example");
	servers_work(servers, 5000, 100);
	assert_int_equal(play_totals(play).queued, 0);
	assert_int_equal(play_totals(play).delivered, 0);
	assert_int_equal(play_totals(play).accepted, 1);
	play->store->ops->count(play->store, STORE_GRACE, &grace);
	assert_int_equal(grace.recipients, 0);
	free(servers);
	play_free(play);
}

static const char *refuse_us(struct servers *servers, size_t peer, const char *line)
{
	return strncmp(line, "RCPT", 4) == 0
		   ? "550 5.7.1 Service unavailable; client [192.0.2.1] blocked using zen.example\r\n"
		   : NULL;
}

static void a_refusal_of_our_address_does_not_end_it(void **state)
{
	struct play *play = play_new();
	struct servers *servers = servers_new(play);
	servers->reply = refuse_us;
	send(play, "alice@sender.example");
	servers_work(servers, 5000, 100);
	assert_int_equal(play_totals(play).queued, 1);
	free(servers);
	play_free(play);
}

static void a_served_domain_gets_it_by_its_own_queue(void **state)
{
	struct play *play = play_new();
	struct servers *servers = servers_new(play);
	play_add_domain(play, "example.com", "192.0.2.99");
	send(play, "joe@Example.COM");
	assert_int_equal(view(play).domains, 0);
	servers_work(servers, 5000, 100);
	assert_non_null(strstr(servers->delivered, "joe@Example.COM 192.0.2.99"));
	free(servers);
	play_free(play);
}

static void what_cannot_be_sent_to_is_refused(void **state)
{
	static const char *const bad[] = {
	    "", "alice", "postmaster", "a@[192.0.2.1]", "a@localhost", "a@x.example>\r\nRCPT TO:<b@c.d"};
	struct play *play = play_new();
	struct told t = {.calls = 0};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(ask(play, bad[i], &t), ERR_SYNTAX);
	assert_int_equal(ask(play, "\xc3\xbc@x.example", &t), ERR_SYNTAX); /* without SMTPUTF8 */
	assert_int_equal(view(play).domains, 0);
	play_free(play);
}

static void there_are_only_so_many_in_an_hour(void **state)
{
	struct play *play = play_new();
	struct told t = {.calls = 0};
	play->mx.status = RESOLVER_FAILED;
	for (int i = 0; i < OUTSIDE_BURST; i++)
		assert_int_equal(ask(play, "alice@sender.example", &t), 0);
	assert_int_equal(ask(play, "alice@sender.example", &t), ERR_LIMIT);
	play_run(play);
	assert_int_equal(t.kept, OUTSIDE_BURST);
	struct outside_mail urgent = {
	    .to = SLICE("ops@own.example"), .content = slice_of(content), .urgent = true};
	assert_int_equal(outside_send(play->relay, &urgent, told, &t), 0);
	play_pass(play, HOUR_MS / OUTSIDE_PER_HOUR * 3 / 2);
	assert_int_equal(ask(play, "alice@sender.example", &t), 0);
	assert_int_equal(ask(play, "alice@sender.example", &t), ERR_LIMIT);
	play_run(play);
	assert_int_equal(view(play).refused, 2);
	play_free(play);
}

static void there_are_only_so_many_domains(void **state)
{
	struct play *play = play_new();
	struct told t = {.calls = 0};
	char to[64];
	play->mx.status = RESOLVER_FAILED;
	for (int i = 0; i < OUTSIDE_DOMAINS_MAX + 1; i++) {
		(void)snprintf(to, sizeof(to), "alice@s%d.example", i);
		struct outside_mail mail = {.to = slice_of(to), .content = slice_of(content), .urgent = true};
		assert_int_equal(outside_send(play->relay, &mail, told, &t),
				 i < OUTSIDE_DOMAINS_MAX ? 0 : ERR_LIMIT);
		play_run(play);
	}
	assert_int_equal(view(play).domains, OUTSIDE_DOMAINS_MAX);
	assert_int_equal(t.kept, OUTSIDE_DOMAINS_MAX);
	play_free(play);
}

static void a_store_that_fails_is_told(void **state)
{
	struct play *play = play_new();
	struct told t = {.calls = 0};
	stage_fail(play, 1);
	assert_int_equal(ask(play, "alice@sender.example", &t), 0);
	play_run(play);
	assert_int_equal(t.calls, 1);
	assert_int_equal(t.kept, 0);
	stage_fail(play, 0);
	send(play, "alice@sender.example");
	stage_restart(play);
	play_run(play);
	assert_int_equal(view(play).messages, 1);
	play_free(play);
}

static void what_is_on_its_way_is_freed_with_the_relay(void **state)
{
	struct play *play = play_new();
	struct told t = {.calls = 0};
	send(play, "alice@sender.example");
	assert_int_equal(ask(play, "bob@sender.example", &t), 0);  /* being committed */
	assert_int_equal(ask(play, "carol@other.example", &t), 0); /* its record is being written */
	relay_free(play->relay);
	play->relay = NULL;
	stage_restart(play);
	assert_int_equal(t.calls, 0);
	play_free(play);
}

/* Its server's extensions are no promise of the served domains' servers. */
static void its_server_takes_no_offer_from_senders(void **state)
{
	struct play *play = play_new();
	play_add_domain(play, "example.com", "192.0.2.99");
	assert_non_null(strstr(play_mail(play, "a@s.example", "joe@example.com", "\r\nx"), "250"));
	(void)play_server(play, "DSN\nPIPELINING\n");
	send(play, "alice@sender.example");
	(void)play_server(play, "PIPELINING\n");
	struct peer *peer = play_sender(play);
	play_say(play, peer, "EHLO x\r\n");
	assert_non_null(strstr(play_read(peer), "DSN"));
	play_free(play);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(it_goes_to_the_mx_of_the_address),
	    cmocka_unit_test(its_reverse_path_is_null),
	    cmocka_unit_test(nobody_can_send_through_it),
	    cmocka_unit_test(a_restart_finds_it),
	    cmocka_unit_test(it_goes_when_it_is_empty),
	    cmocka_unit_test(it_does_not_go_while_mail_waits),
	    cmocka_unit_test(after_five_days_it_is_gone_without_a_word),
	    cmocka_unit_test(a_refusal_ends_it),
	    cmocka_unit_test(a_refusal_of_our_address_does_not_end_it),
	    cmocka_unit_test(a_served_domain_gets_it_by_its_own_queue),
	    cmocka_unit_test(what_cannot_be_sent_to_is_refused),
	    cmocka_unit_test(there_are_only_so_many_in_an_hour),
	    cmocka_unit_test(there_are_only_so_many_domains),
	    cmocka_unit_test(a_store_that_fails_is_told),
	    cmocka_unit_test(what_is_on_its_way_is_freed_with_the_relay),
	    cmocka_unit_test(its_server_takes_no_offer_from_senders),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
