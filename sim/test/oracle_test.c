/* The oracle must see what is wrong, and only that. Planted errors first, each told to it as senders and
 * servers would; then senders that talk to a server directly, where nothing is wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "sim/sender.h"
#include "sim/server.h"

enum { PORT = 25 };

struct stage {
	struct sim_world world;
	struct sim_net net;
	struct sim_oracle oracle;
	struct sim_host *relay, *mx;
	struct net_conn *at_server, *at_relay;
	struct sim_mail *mail;
	struct sim_attempt *attempt;
	struct sim_stored *stored;
};

static void ignore_bytes(void *owner, struct slice bytes)
{
}

static void ignore_close(void *owner, enum net_end how, const char *detail)
{
}

static void ignore_connect(void *owner)
{
}

static const struct net_events quiet = {
    .connected = ignore_connect, .received = ignore_bytes, .closed = ignore_close};

static void on_accept(void *owner, struct net_conn *conn)
{
	struct stage *stage = owner;

	stage->at_server = conn;
	sim_attach(conn, &quiet, stage);
}

static void run(struct sim_world *world, int64_t us)
{
	int64_t until = world->now_us + us;

	while (sim_next_us(world) <= until) {
		world->now_us = sim_next_us(world);
		(void)sim_fire_due(world);
	}
	world->now_us = until;
}

static void connect_again(struct stage *stage)
{
	struct net_address to = stage->mx->address;

	to.port = PORT;
	stage->at_relay = sim_connect(stage->relay, &to, 5000, &quiet, stage);
	run(&stage->world, CLOCK_SECONDS(1));
}

static void set_up(struct stage *stage)
{
	*stage = (struct stage){.mail = NULL};
	sim_world_init(&stage->world, 1, NULL);
	sim_net_init(&stage->net, &stage->world);
	sim_oracle_init(&stage->oracle, &stage->world);
	stage->relay =
	    sim_host_new(&stage->net, "relay", (struct net_address){.family = 4, .bytes = {10, 0, 0, 1}});
	stage->mx =
	    sim_host_new(&stage->net, "mx", (struct net_address){.family = 4, .bytes = {10, 0, 0, 2}});
	sim_host_listen(stage->mx, PORT, on_accept, stage);
	connect_again(stage);
	stage->mail = sim_mail_new(&stage->world, 1, 300);
	stage->mail->null_sender = false;
	sim_mail_to(stage->mail, "a@d1.test", false);
	sim_mail_to(stage->mail, "b@d1.test", false);
	stage->attempt = sim_oracle_attempt(&stage->oracle, stage->mail);
}

static void tear_down(struct stage *stage)
{
	sim_net_deinit(&stage->net);
	sim_oracle_deinit(&stage->oracle);
	sim_mail_free(stage->mail);
}

/* --- what can be told
 * --------------------------------------------------------------------------------------- */

static void rcpt(struct stage *stage)
{
	sim_oracle_rcpt(&stage->oracle, stage->attempt, "a@d1.test", 250);
	sim_oracle_rcpt(&stage->oracle, stage->attempt, "b@d1.test", 250);
}

static void rcpt_b_refused(struct stage *stage)
{
	sim_oracle_rcpt(&stage->oracle, stage->attempt, "a@d1.test", 250);
	sim_oracle_rcpt(&stage->oracle, stage->attempt, "b@d1.test", 451);
}

static void ended(struct stage *stage)
{
	sim_oracle_ended(&stage->oracle, stage->attempt);
}

static void acked(struct stage *stage)
{
	sim_oracle_final(&stage->oracle, stage->attempt, 250);
}

static void refused(struct stage *stage)
{
	sim_oracle_final(&stage->oracle, stage->attempt, 451);
}

static void gone(struct stage *stage)
{
	sim_oracle_gone(&stage->oracle, stage->attempt);
}

static void store_text(struct stage *stage, const char *before, const char *after, const char *from,
		       const char *first, size_t count)
{
	char recipients[2][SIM_ADDRESS_SIZE] = {"", "b@d1.test"};
	struct buffer text;

	(void)snprintf(recipients[0], sizeof(recipients[0]), "%s", first);
	buffer_init(&text, 0);
	assert_int_equal(buffer_printf(&text, "%s", before), 0);
	sim_mail_text(stage->mail, stage->attempt->token, &text);
	assert_int_equal(buffer_printf(&text, "%s", after), 0);
	stage->stored =
	    sim_oracle_stored(&stage->oracle, stage->at_server, "mx", slice_of(from),
			      (const char(*)[SIM_ADDRESS_SIZE])recipients, count, buffer_slice(&text));
	buffer_deinit(&text);
}

static const char received[] = "Received: from x\r\n\tby y; today\r\n";

static void stored(struct stage *stage)
{
	store_text(stage, received, "", stage->attempt->token, "a@d1.test", 2);
}

static void stored_for_a(struct stage *stage)
{
	store_text(stage, received, "", stage->attempt->token, "a@d1.test", 1);
}

static void stored_for_somebody_else(struct stage *stage)
{
	store_text(stage, received, "", stage->attempt->token, "c@d1.test", 1);
}

static void stored_with_more(struct stage *stage)
{
	store_text(stage, received, "\r\n", stage->attempt->token, "a@d1.test", 2);
}

static void stored_without_received(struct stage *stage)
{
	store_text(stage, "", "", stage->attempt->token, "a@d1.test", 2);
}

static void stored_with_two_received(struct stage *stage)
{
	store_text(stage, "Received: one\r\nReceived: two\r\n", "", stage->attempt->token, "a@d1.test", 2);
}

static void stored_from_nobody(struct stage *stage)
{
	store_text(stage, received, "", "stranger@example.com", "a@d1.test", 2);
}

static void stored_with_null_sender(struct stage *stage)
{
	store_text(stage, received, "", "", "a@d1.test", 2);
}

static void reply_read(struct stage *stage)
{
	sim_write(stage->at_server, SLICE("250 stored\r\n"));
	sim_oracle_replied(stage->stored, stage->at_server);
	run(&stage->world, CLOCK_SECONDS(1));
}

static void reply_lost(struct stage *stage)
{
	sim_write(stage->at_server, SLICE("250 stored\r\n"));
	sim_oracle_replied(stage->stored, stage->at_server);
	sim_close(stage->at_relay);
	run(&stage->world, CLOCK_SECONDS(1));
	connect_again(stage);
}

static void wait_ten_minutes(struct stage *stage)
{
	run(&stage->world, CLOCK_SECONDS(600));
}

static void crash(struct stage *stage)
{
	sim_oracle_crash(&stage->oracle, 0);
}

static void crash_much_later(struct stage *stage)
{
	run(&stage->world, CLOCK_SECONDS(3600));
	sim_oracle_crash(&stage->oracle, 0);
}

static void finish(struct stage *stage)
{
	sim_oracle_finish(&stage->oracle);
}

/* --- the table
 * ----------------------------------------------------------------------------------------------- */

enum { STEPS_MAX = 10 };

static const struct planted {
	const char *name;
	const char *words; /* of the violation; NULL: there must be none */
	void (*steps[STEPS_MAX])(struct stage *stage);
} table[] = {
    {"all is well", NULL, {rcpt, ended, acked, stored, reply_read, finish}},
    {"stored before the sender has read 250", NULL, {rcpt, ended, stored, acked, finish}},
    {"nobody read 250, and it was stored", NULL, {rcpt, ended, gone, stored, finish}},
    {"nobody read 250, and it was not", NULL, {rcpt, ended, gone, finish}},
    {"lost", "LOST", {rcpt, ended, acked, finish}},
    {"lost for one of two", "LOST", {rcpt, ended, acked, stored_for_a, finish}},
    {"250 before the end", "before its end was sent", {rcpt, acked}},
    {"stored before the end", "whose end was never sent", {rcpt, stored}},
    {"stored, the sender had left in the middle", "whose end was never sent", {rcpt, gone, stored}},
    {"the sender leaves in the middle of what is stored already",
     "whose end was never sent",
     {rcpt, stored, gone}},
    {"stored after a refusal", "which was refused at its end", {rcpt, ended, refused, stored}},
    {"refused after it was stored", "though it was refused", {rcpt, ended, stored, refused}},
    {"stored for a refused recipient", "who was refused", {rcpt_b_refused, ended, acked, stored}},
    {"a refused recipient need not come", NULL, {rcpt_b_refused, ended, acked, stored_for_a, finish}},
    {"stored for a stranger", "who was not named", {rcpt, ended, acked, stored_for_somebody_else}},
    {"changed", "was changed on its way", {rcpt, ended, acked, stored_with_more}},
    {"no Received field", "without a Received field", {rcpt, ended, acked, stored_without_received}},
    {"two Received fields", "nobody sent|was changed", {rcpt, ended, acked, stored_with_two_received}},
    {"from nobody", "that nobody sent", {rcpt, ended, acked, stored_from_nobody}},
    {"the reverse-path was lost", "that nobody sent", {rcpt, ended, acked, stored_with_null_sender}},
    {"twice without a cause", "had read the reply", {rcpt, ended, acked, stored, reply_read, stored}},
    {"twice at the same time", "still waiting", {rcpt, ended, acked, stored, stored}},
    {"twice, as the reply was lost",
     NULL,
     {rcpt, ended, acked, stored, reply_lost, wait_ten_minutes, stored, finish}},
    {"twice at once, as the reply was lost", "came again", {rcpt, ended, acked, stored, reply_lost, stored}},
    {"twice at once, as the reply was lost in a crash",
     NULL,
     {rcpt, ended, acked, stored, reply_lost, crash, stored}},
    {"twice, as the relay died", NULL, {rcpt, ended, acked, stored, reply_read, crash, stored, finish}},
    {"twice, and the relay died long after",
     "had read the reply",
     {rcpt, ended, acked, stored, reply_read, crash_much_later, stored}},
};

/* words: alternatives between bars. */
static bool says(const char *text, const char *words)
{
	struct slice rest = slice_of(words), part;

	while (slice_split(&rest, '|', &part))
		if (slice_contains_nocase(slice_of(text), part))
			return true;
	return false;
}

static void planted_errors_are_seen(void **state)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct stage stage;
		set_up(&stage);
		for (size_t k = 0; k < STEPS_MAX && table[i].steps[k] != NULL; k++)
			table[i].steps[k](&stage);
		if (table[i].words == NULL && stage.oracle.violations > 0)
			fail_msg("%s: %s", table[i].name, stage.oracle.first);
		if (table[i].words != NULL && !says(stage.oracle.first, table[i].words))
			fail_msg("%s: \"%s\" and not \"%s\"", table[i].name, stage.oracle.first,
				 table[i].words);
		tear_down(&stage);
	}
}

/* --- senders and a server, no relay between
 * ------------------------------------------------------------------ */

static void set_mood(struct sim_world *world, struct sim_mood *mood)
{
	double *chances[] = {mood->closes, mood->busy, mood->temporary};

	mood->delay_high_us = sim_log_uniform(world, 100, 100000);
	for (size_t i = 0; i < sizeof(chances) / sizeof(chances[0]); i++)
		for (size_t stage = 0; stage < SIM_STAGES; stage++)
			if (sim_chance(world, 0.2))
				chances[i][stage] = 0.2;
	mood->loses_reply = sim_chance(world, 0.3) ? 0.2 : 0;
}

static void submit_mails(struct sim_world *world, struct sim_sender *sender)
{
	for (uint32_t i = 1; i <= 30; i++) {
		struct sim_mail *mail = sim_mail_new(world, i, (size_t)sim_log_uniform(world, 1, 200000) - 1);
		sim_mail_to(mail, "a@d1.test", false);
		if (sim_chance(world, 0.5))
			sim_mail_to(mail, "b@d1.test", false);
		sim_sender_submit(sender, mail, sim_between(world, 0, CLOCK_SECONDS(100)));
	}
}

static void senders_and_servers_agree(void **state)
{
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct sim_world world;
		struct sim_net net;
		struct sim_oracle oracle;
		struct sim_server server;
		struct sim_sender sender;

		sim_world_init(&world, seed, NULL);
		sim_net_init(&net, &world);
		sim_oracle_init(&oracle, &world);
		struct sim_host *mx =
		    sim_host_new(&net, "mx", (struct net_address){.family = 4, .bytes = {10, 0, 0, 1}});
		struct sim_host *from =
		    sim_host_new(&net, "sender", (struct net_address){.family = 4, .bytes = {10, 0, 0, 2}});
		sim_server_init(&server, &world, &oracle, mx);
		server.first_hop = true;
		sim_server_start(&server);
		set_mood(&world, &server.mood);
		net.faults.tiny_cuts = 0.3;
		net.faults.reset = 0.1;
		struct net_address to = mx->address;
		to.port = PORT;
		sim_sender_init(&sender, &world, &oracle, from, &to);
		sender.config.quirk = 0.2;
		submit_mails(&world, &sender);
		run(&world, CLOCK_SECONDS(300));
		sim_net_calm(&net);
		sim_server_healthy(&server);
		sim_sender_calm(&sender);
		run(&world, CLOCK_SECONDS(3600));
		sim_oracle_finish(&oracle);
		if (oracle.violations > 0 || sender.waiting > 0)
			fail_msg("seed %llu: %u mails wait: %s", (unsigned long long)seed, sender.waiting,
				 oracle.first);
		assert_true(oracle.acked >= 30 && oracle.owed == 0);
		sim_sender_deinit(&sender);
		sim_server_deinit(&server);
		sim_net_deinit(&net);
		sim_oracle_deinit(&oracle);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(planted_errors_are_seen),
	    cmocka_unit_test(senders_and_servers_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
