/* What the relay learns of recipients from its deliveries. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire.h"
#include "lane/ledger.h"
#include "stage.h"

struct look {
	struct ledger_entry entry;
	size_t count;
};

static void looked(void *owner, enum store_result result, const struct store_pair *pairs, size_t count,
		   bool more)
{
	struct look *look = owner;

	assert_int_equal(result, STORE_OK);
	look->count = count;
	if (count > 0)
		assert_int_equal(ledger_decode(pairs[0].value, &look->entry), 0);
}

static struct look look_up(struct play *play, const char *key)
{
	struct look look = {.count = 99};

	play->store->ops->get(play->store, slice_of(key), looked, &look);
	play_run(play);
	assert_int_not_equal(look.count, 99);
	return look;
}

static void count_known(void *owner, const struct admin_domain_view *view)
{
	*(uint32_t *)owner = view->known_recipients;
}

static uint32_t known(struct play *play)
{
	uint32_t count = 99;

	(void)admin_status(play->relay, SLICE("example.com"), NULL, count_known, &count);
	return count;
}

static void deliver(struct play *play, struct servers *servers, const char *to)
{
	uint64_t before = play_totals(play).delivered;

	(void)play_mail(play, "a@s.example", to, "\r\nx");
	for (int i = 0; i < 100 && play_totals(play).delivered == before; i++)
		servers_work(servers, 1000, 100);
	assert_int_equal(play_totals(play).delivered, before + 1);
}

static void who_is_accepted_is_remembered(void **state)
{
	struct play *play = play_new();
	struct servers *servers = servers_new(play);
	play_add_domain(play, "example.com", "192.0.2.25");
	assert_int_equal(known(play), 0);
	deliver(play, servers, "Joe@Example.com");
	struct look look = look_up(play, "ledger/example.com/joe");
	assert_int_equal(look.count, 1);
	assert_int_equal(look.entry.good_count, 1);
	assert_int_equal(look.entry.source, LEDGER_DELIVERY);
	assert_int_equal(known(play), 1);

	deliver(play, servers, "joe@example.com"); /* once a day is enough */
	assert_int_equal(look_up(play, "ledger/example.com/joe").entry.good_count, 1);
	assert_int_equal(known(play), 1);
	deliver(play, servers, "ann@example.com");
	assert_int_equal(known(play), 2);
	servers_work(servers, 25 * 3600 * 1000, 600 * 1000);
	deliver(play, servers, "joe@example.com");
	assert_int_equal(look_up(play, "ledger/example.com/joe").entry.good_count, 2);
	free(servers);
	play_free(play);
}

static bool refuses;

static const char *may_refuse(struct servers *s, size_t i, const char *line)
{
	return refuses && strncmp(line, "RCPT", 4) == 0 ? "550 5.1.1 no such user\r\n" : NULL;
}

static void a_refusal_is_noted_of_those_who_are_known(void **state)
{
	struct play *play = play_new();
	struct servers *servers = servers_new(play);
	servers->reply = may_refuse;
	play_add_domain(play, "example.com", "192.0.2.25");
	refuses = false;
	deliver(play, servers, "joe@example.com");
	refuses = true;
	(void)play_mail(play, "a@s.example", "joe@example.com", "\r\nx");
	(void)play_mail(play, "b@s.example", "guess@example.com", "\r\nx");
	servers_work(servers, 3000, 100);
	struct look look = look_up(play, "ledger/example.com/joe");
	assert_true(look.entry.refused_count > 0);
	assert_int_equal(look.entry.counted, 0);
	assert_int_equal(look_up(play, "ledger/example.com/guess").count, 0);
	refuses = false;
	free(servers);
	play_free(play);
}

static void what_is_known_survives_a_restart(void **state)
{
	struct play *play = play_new();
	struct servers *servers = servers_new(play);
	play_add_domain(play, "example.com", "192.0.2.25");
	deliver(play, servers, "joe@example.com");
	play_pass(play, 15000);
	stage_restart(play);
	play_run(play);
	assert_int_equal(known(play), 1);
	free(servers);
	play_free(play);
}

/* Version 1 knew recipients, and nothing of trust. */
static void a_record_of_the_first_version_is_read(void **state)
{
	struct play *play = play_new();
	struct ledger_domain ledger;
	struct buffer record, inner;
	struct wire_writer w = wire_writer(&record);
	play_add_domain(play, "example.com", "192.0.2.25");
	buffer_init(&record, 0);
	buffer_init(&inner, 0);
	ledger_domain_init(&ledger);
	assert_int_equal(ledger_domain_save(&ledger, &inner), 0);
	wire_write_u8(&w, 1);
	wire_write_u32(&w, 17);
	wire_write_string(&w, buffer_slice(&inner));
	assert_false(w.failed);
	play->store->ops->put(play->store, SLICE("known/example.com"), buffer_slice(&record), NULL, NULL);
	play_run(play);
	stage_restart(play);
	play_run(play);
	assert_int_equal(known(play), 17);
	buffer_deinit(&record);
	buffer_deinit(&inner);
	play_free(play);
}

static void the_sweep_counts_and_removes(void **state)
{
	struct play *play = play_new();
	struct servers *servers = servers_new(play);
	play_add_domain(play, "example.com", "192.0.2.25");
	deliver(play, servers, "joe@example.com");
	play->store->ops->put(play->store, SLICE("ledger/gone.example/x"), SLICE("x"), NULL, NULL);
	play->store->ops->put(play->store, SLICE("ledger/example.com/damaged"), SLICE("x"), NULL, NULL);
	for (int i = 0; i < 250; i++) { /* several pages */
		struct buffer record;
		struct ledger_entry entry = ledger_entry(LEDGER_LIST);
		char key[64];
		(void)snprintf(key, sizeof(key), "ledger/example.com/user%d", i);
		buffer_init(&record, 0);
		assert_int_equal(ledger_encode(&entry, &record), 0);
		play->store->ops->put(play->store, slice_of(key), buffer_slice(&record), NULL, NULL);
		buffer_deinit(&record);
	}
	play_pass(play, 2 * 3600 * 1000);
	assert_int_equal(known(play), 251);
	assert_int_equal(look_up(play, "ledger/gone.example/x").count, 0);
	assert_int_equal(look_up(play, "ledger/example.com/damaged").count, 0);
	assert_int_equal(look_up(play, "ledger/example.com/joe").count, 1);
	free(servers);
	play_free(play);
}

/* The store is slow, and the server is gone before the entry was read. */
static void results_wait_for_the_ledger(void **state)
{
	struct play *play = play_new();
	struct servers *servers = servers_new(play);
	play_add_domain(play, "example.com", "192.0.2.25");
	(void)play_mail(play, "a@s.example", "joe@example.com", "\r\nx");
	struct peer *call = play_dialled(play);
	assert_non_null(call);
	ram_store_hold(play->store, true);
	play_take(play, call);
	play_say(play, call, "220 x\r\n");
	play_say(play, call, "250 x\r\n");
	assert_non_null(strstr(play_read(call), "MAIL FROM"));
	play_end(play, call, NET_END_RESET);
	assert_int_equal(play_totals(play).queued, 1);
	ram_store_hold(play->store, false);
	play_run(play);
	servers_work(servers, 30000, 500);
	assert_int_equal(play_totals(play).delivered, 1);
	free(servers);
	play_free(play);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(who_is_accepted_is_remembered),
	    cmocka_unit_test(a_refusal_is_noted_of_those_who_are_known),
	    cmocka_unit_test(what_is_known_survives_a_restart),
	    cmocka_unit_test(a_record_of_the_first_version_is_read),
	    cmocka_unit_test(the_sweep_counts_and_removes),
	    cmocka_unit_test(results_wait_for_the_ledger),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
