/* Thousands of domains on one lane: the work that an event costs is counted. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/feed.h"
#include "stage.h"

enum {
	DOMAINS = 5000,
	MAILS = 1000,
	REFUSED = 300,
	LOOKS_MAX = 8, /* at domains, for one message from its arrival to its end */
};

static struct play *play_with_domains(void)
{
	struct play *play = play_new();
	char name[64];

	for (int i = 0; i < DOMAINS; i++) {
		(void)snprintf(name, sizeof(name), "d%04d.example", i);
		play_add_domain(play, name, "192.0.2.25");
	}
	return play;
}

static const struct feed *only_lane(const struct play *play)
{
	assert_int_equal(play->relay->feeds.count, 1);
	return container_of(play->relay->feeds_by_name.next, struct feed, by_name);
}

/* One message for each of count domains, step apart. */
static void mails(struct play *play, int count, int step)
{
	struct peer *peer = play_sender(play);
	char text[512];

	play_say(play, peer, "EHLO sender.example\r\n");
	for (int i = 0; i < count; i++) {
		(void)snprintf(text, sizeof(text),
			       "MAIL FROM:<a@s.example>\r\nRCPT TO:<b@d%04d.example>\r\nDATA\r\n", i * step);
		play_say(play, peer, text);
		(void)play_read(peer);
		play_say(play, peer, "x\r\n.\r\n");
		assert_memory_equal(play_read(peer), "250", 3);
	}
	play_say(play, peer, "QUIT\r\n");
}

static void a_message_costs_no_look_at_every_domain(void **state)
{
	struct play *play = play_with_domains();
	struct servers *servers = servers_new(play);
	uint64_t before = only_lane(play)->members.looks;

	for (int i = 0; i < MAILS / 100; i++) {
		mails(play, 100, 7);
		servers_work(servers, 2000, 20);
	}
	assert_int_equal(servers->messages, MAILS);
	assert_in_range(only_lane(play)->members.looks - before, MAILS, LOOKS_MAX * MAILS);
	free(servers);
	play_free(play);
}

static const char *down(struct servers *servers, size_t peer, const char *line)
{
	return strncmp(line, "EHLO", 4) == 0 ? "421 4.3.2 not now\r\n" : NULL;
}

/* The first that came up is not read to its end before the others have their turn, and what is in memory has
 * a bound that does not grow with the number of domains. */
static void a_backlog_of_many_domains_is_read_in_turns(void **state)
{
	struct play *play = play_with_domains();
	struct servers *servers = servers_new(play);
	uint32_t most = 0;

	servers->reply = down;
	mails(play, 1, 1);
	servers_work(servers, 3000, 100);
	assert_int_equal(only_lane(play)->lane.state, LANE_DOWN);
	mails(play, 100, 0);
	mails(play, MAILS - 101, 5);
	servers_work(servers, 1000, 100);
	servers->reply = NULL;

	uint64_t before = only_lane(play)->members.looks;
	for (int i = 0; i < 6000 && servers->messages < MAILS; i++) {
		servers_work(servers, 20, 20);
		const struct members *members = &only_lane(play)->members;
		uint32_t ahead = members->ready + QUEUE_PAGE * members->reading;
		most = ahead > most ? ahead : most;
	}
	assert_int_equal(servers->messages, MAILS);
	assert_int_equal(stage_times(servers->delivered, "b@d0000.example"), 102);
	assert_in_range(most, 100, FEED_READ_AHEAD + 2 * QUEUE_PAGE);
	/* Each domain once when the lane came up, and the messages. */
	assert_in_range(only_lane(play)->members.looks - before, MAILS, DOMAINS + LOOKS_MAX * MAILS);
	free(servers);
	play_free(play);
}

/* A server that refuses hundreds of domains serves one all the same. */
static const char *only_the_last(struct servers *servers, size_t peer, const char *line)
{
	if (strncmp(line, "RCPT", 4) == 0 && strstr(line, "d4999") == NULL)
		return "550 5.7.1 relaying denied\r\n";
	return NULL;
}

static void many_that_are_refused_leave_a_neighbour_alone(void **state)
{
	struct play *play = play_with_domains();
	struct servers *servers = servers_new(play);
	struct peer *peer;

	servers->reply = only_the_last;
	mails(play, REFUSED, 5);
	do
		servers_work(servers, 1000, 20);
	while (only_lane(play)->members.ready > 0); /* until each has been refused once */
	assert_int_equal(servers->messages, 0);

	peer = play_sender(play);
	play_say(play, peer, "EHLO s\r\nMAIL FROM:<a@s.example>\r\nRCPT TO:<b@d4999.example>\r\nDATA\r\n");
	play_say(play, peer, "x\r\n.\r\n");
	assert_in_range(only_lane(play)->members.canary_count, 20,
			REFUSED); /* they wait for their turn too */
	servers_work(servers, 400, 20);
	assert_int_equal(servers->messages, 1);
	free(servers);
	play_free(play);
}

/* --- many lanes --- */

enum { LANES = 3000, DIALS_MAX = 20 * LANES };

/* A network in which every connection is refused, when the test says so. */
struct dead_net {
	struct net_ops ops;
	struct {
		const struct net_events *events;
		void *owner;
	} dials[DIALS_MAX];
	uint32_t count, refused;
};

static struct dead_net *dead_net; /* the stage's net has no room for it */

static struct net_conn *dial(struct net *net, const struct net_address *to, const struct net_address *from,
			     int64_t timeout_ms, const struct net_events *events, void *owner)
{
	assert_true(dead_net->count < DIALS_MAX);
	dead_net->dials[dead_net->count].events = events;
	dead_net->dials[dead_net->count].owner = owner;
	return (struct net_conn *)(void *)&dead_net->dials[dead_net->count++];
}

static void hang_up(struct net_conn *conn, bool flush)
{
}

static void refuse_all(void)
{
	while (dead_net->refused < dead_net->count) {
		uint32_t i = dead_net->refused++;
		dead_net->dials[i].events->closed(dead_net->dials[i].owner, NET_END_REFUSED, "");
	}
}

static struct play *play_with_lanes(void)
{
	struct play *play = play_new();
	char name[64], address[64];

	for (int i = 0; i < LANES; i++) {
		(void)snprintf(name, sizeof(name), "d%04d.example", i);
		(void)snprintf(address, sizeof(address), "10.0.%d.%d", i / 250, i % 250);
		play_add_domain(play, name, address);
	}
	dead_net = calloc(1, sizeof(*dead_net));
	assert_non_null(dead_net);
	dead_net->ops = *play->net.ops;
	return play;
}

/* The time goes by in steps; no second sees more connections than the budget. */
static void pass_within_budget(struct play *play, int seconds, uint32_t per_s)
{
	for (int s = 0; s < seconds; s++) {
		uint32_t before = dead_net->count;
		for (int i = 0; i < 50; i++) {
			play_pass(play, 20);
			refuse_all();
		}
		assert_in_range(dead_net->count - before, 0, per_s);
	}
}

static void thousands_of_dead_lanes_are_probed_within_a_budget(void **state)
{
	struct play *play = play_with_lanes();

	/* All get mail at once: their first connections are spread. */
	play->relay->ready = false; /* nothing is sent while the mail comes in */
	mails(play, LANES, 1);
	play->net.ops = &dead_net->ops;
	dead_net->ops.connect = dial;
	dead_net->ops.close = hang_up;
	play->relay->ready = true;
	list_each(node, &play->relay->feeds_by_name)
		feed_wake(container_of(node, struct feed, by_name));
	pass_within_budget(play, 1, BUDGET_STARTS_PER_S + BUDGET_STARTS_BURST + 50);
	assert_in_range(dead_net->count, BUDGET_STARTS_PER_S / 2, LANES);
	pass_within_budget(play, 4, BUDGET_STARTS_PER_S + BUDGET_PROBES_PER_S + 50);
	uint32_t down = 0;
	list_each(node, &play->relay->feeds_by_name)
		down += container_of(node, struct feed, by_name)->lane.state == LANE_DOWN;
	assert_int_equal(down, LANES);

	/* Each wants a probe every 5 s, which is more than the budget has: every one gets its turn. */
	uint32_t before = dead_net->count;
	pass_within_budget(play, 20, BUDGET_PROBES_PER_S + BUDGET_PROBES_BURST + 20);
	assert_in_range(dead_net->count - before, BUDGET_PROBES_PER_S * 18, BUDGET_PROBES_PER_S * 21);
	list_each(node, &play->relay->feeds_by_name)
		assert_in_range(container_of(node, struct feed, by_name)->lane.probe.failures, 2, 6);

	/* A failed probe says what the one before said: nothing is written. */
	struct watched_store *store = stage_watch(play);
	pass_within_budget(play, 11, BUDGET_PROBES_PER_S + BUDGET_PROBES_BURST + 20);
	assert_in_range(store->puts, 0, 20);
	play_free(play);
	free(dead_net);
}

/* --- the overview --- */

struct overview {
	size_t lanes, domains, ends;
	bool first_down; /* the lane that was told first is down */
	struct admin_sums sums;
	char next[FEED_NAME_MAX];
	struct play_answer answer;
};

static void see_lane(void *owner, const struct admin_lane_view *view)
{
	struct overview *o = owner;

	if (o->lanes++ == 0)
		o->first_down = strcmp(view->state, "down") == 0;
}

static void see_domain(void *owner, const struct admin_domain_view *view)
{
	((struct overview *)owner)->domains++;
}

static void see_end(void *owner, const struct admin_sums *sums, const char *next)
{
	struct overview *o = owner;

	o->ends++;
	o->sums = *sums;
	(void)snprintf(o->next, sizeof(o->next), "%s", next);
}

static void see_done(void *owner, const struct admin_result *result)
{
	play_answered(&((struct overview *)owner)->answer, result);
}

static void ask_overview(struct play *play, const struct admin_overview_filter *filter, struct overview *o)
{
	size_t lanes = o->lanes, domains = o->domains;
	char after[FEED_NAME_MAX];
	struct admin_overview_filter copy = *filter;

	(void)snprintf(after, sizeof(after), "%s", o->next);
	*o = (struct overview){.lanes = lanes, .domains = domains};
	copy.after = slice_of(after);
	admin_overview(play->relay, &copy, see_lane, see_domain, see_end, see_done, o);
}

static void many_lanes_are_told_in_pages(void **state)
{
	const struct admin_overview_filter by_name = {.rows = 1000};
	const struct admin_overview_filter by_attention = {.by_attention = true, .rows = 40};
	struct play *play = play_with_lanes();
	struct overview o = {.lanes = 0}, worst = {.lanes = 0};
	int pages = 0;

	(void)play_mail(play, "a@s.example", "b@d1234.example", "\r\nx");
	play_end(play, play_dialled(play), NET_END_REFUSED);
	do {
		ask_overview(play, &by_name, &o);
		play_pass(play, 50);
		assert_true(o.answer.came && o.ends == 1);
		assert_int_equal(o.answer.result.error, 0);
		pages++;
	} while (o.next[0] != '\0' && pages < 20);
	assert_int_equal(o.lanes, LANES);
	assert_int_equal(o.domains, LANES);
	assert_int_equal(o.sums.lanes, LANES);
	assert_int_equal(o.sums.lanes_down, 1);
	assert_int_equal(o.sums.held_by_down, 1);
	assert_int_equal(o.sums.domains_in[DOMAIN_OPEN], LANES);

	ask_overview(play, &by_attention, &worst);
	play_pass(play, 50);
	assert_true(worst.first_down && worst.lanes <= 40);
	assert_string_equal(worst.next, "");
	play_free(play);
	free(dead_net);
}

static void remove_domain(struct play *play, int number)
{
	struct play_answer answer = {.came = false};
	char name[64];

	(void)snprintf(name, sizeof(name), "d%04d.example", number);
	admin_domain_remove(play->relay, slice_of(name), play_answered, &answer);
	play_run(play);
	assert_true(answer.came);
}

/* A slice at a time: whoever goes while others are looked at does no harm, several who ask are all answered.
 */
static void lanes_go_while_they_are_looked_at(void **state)
{
	const struct admin_overview_filter filter = {.by_attention = true, .rows = 40};
	struct play *play = play_with_lanes();
	struct overview o[3] = {{.lanes = 0}};

	for (int i = 0; i < 3; i++)
		ask_overview(play, &filter, &o[i]);
	for (int i = 0; i < 30; i++) {
		play->now.now_us++;
		relay_run(play->relay);			 /* one turn of the loop */
		assert_true(i > 0 || !o[0].answer.came); /* not all of it in one turn of the loop */
		remove_domain(play, LANES - 1 - i);
		remove_domain(play, 900 + i * 5);
	}
	play_pass(play, 100);
	for (int i = 0; i < 3; i++) {
		assert_true(o[i].answer.came && o[i].ends == 1);
		assert_in_range(o[i].sums.lanes, LANES - 60, LANES);
	}
	ask_overview(play, &filter, &o[0]);
	play_free(play); /* who still waits hears of it */
	free(dead_net);
	assert_int_equal(o[0].answer.result.error, ERR_STATE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_message_costs_no_look_at_every_domain),
	    cmocka_unit_test(a_backlog_of_many_domains_is_read_in_turns),
	    cmocka_unit_test(many_that_are_refused_leave_a_neighbour_alone),
	    cmocka_unit_test(thousands_of_dead_lanes_are_probed_within_a_budget),
	    cmocka_unit_test(many_lanes_are_told_in_pages),
	    cmocka_unit_test(lanes_go_while_they_are_looked_at),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
