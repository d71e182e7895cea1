#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lane/lane.h"
#include "lane/tuning.h"

#define SECOND 1000000LL
#define WALL   1700000000000LL

struct play {
	struct lane lane;
	int64_t now;
};

static int64_t wall(const struct play *play)
{
	return WALL + play->now / 1000;
}

static void start(struct play *play)
{
	struct lane_config config;

	lane_config_defaults(&config);
	memset(play, 0, sizeof(*play));
	play->now = 1000 * SECOND;
	lane_init(&play->lane, &config, 1, play->now, wall(play));
}

static struct lane_permit permit(struct play *play)
{
	return lane_permit(&play->lane, play->now);
}

static void open_conn(struct play *play)
{
	lane_conn_opening(&play->lane, play->now);
	lane_conn_ready(&play->lane, play->now);
}

static bool conn_fails(struct play *play, enum verdict verdict, enum lane_kind kind)
{
	struct verdict_result result = {.verdict = verdict, .kind = kind};

	lane_conn_opening(&play->lane, play->now);
	return lane_conn_failed(&play->lane, &result, SLICE("421 no"), play->now, wall(play));
}

static bool ends(struct play *play, enum verdict verdict, enum lane_kind kind, bool canary)
{
	struct lane_sample sample = {
	    .verdict = verdict,
	    .kind = kind,
	    .canary = canary,
	    .mail_sent_us = play->now - SECOND / 10,
	    .mail_reply_us = play->now - SECOND / 20,
	    .done_us = play->now,
	    .recipients_ok = verdict == VERDICT_OK,
	    .recipients_deferred = verdict != VERDICT_OK,
	    .reply = SLICE("250 fine"),
	};

	return lane_transaction_ended(&play->lane, &sample, play->now, wall(play));
}

/* A whole transaction of a tenth of a second. */
static bool transaction(struct play *play, enum verdict verdict, enum lane_kind kind, bool canary)
{
	lane_transaction_started(&play->lane, canary, play->now);
	play->now += SECOND / 10;
	return ends(play, verdict, kind, canary);
}

static bool delivers(struct play *play)
{
	return transaction(play, VERDICT_OK, LANE_KIND_NONE, false);
}

static void go_down(struct play *play, enum lane_kind kind)
{
	assert_true(conn_fails(play, VERDICT_HOST, kind));
	assert_int_equal(play->lane.state, LANE_DOWN);
}

static void to_probe(struct play *play)
{
	play->now = lane_deadline(&play->lane, play->now);
	assert_true(permit(play).probe);
}

/* --- up --- */

/* A server that answers in 0.2 ms, and a disk that takes 2 ms to write the result down. */
static void deliver_to_a_fast_server(struct play *play, double seconds, bool tell)
{
	int64_t end = play->now + (int64_t)(seconds * 1e6);

	while (play->now < end) {
		struct lane_sample sample = {
		    .verdict = VERDICT_OK, .mail_sent_us = play->now, .recipients_ok = 1};
		uint32_t count = permit(play).sends;
		for (uint32_t i = 0; i < count; i++)
			lane_transaction_started(&play->lane, false, play->now);
		play->now += 200;
		for (uint32_t i = 0; i < count; i++) {
			lane_transaction_ended(&play->lane, &sample, play->now, wall(play));
			if (tell)
				lane_recording_begun(&play->lane, play->now);
		}
		play->now += 2000;
		for (uint32_t i = 0; tell && i < count; i++)
			lane_recording_ended(&play->lane, play->now);
	}
}

static void what_is_being_written_down_fills_the_window(void **state)
{
	struct play play;

	start(&play);
	open_conn(&play);
	lane_transaction_started(&play.lane, false, play.now);
	ends(&play, VERDICT_OK, LANE_KIND_NONE, false);
	lane_recording_begun(&play.lane, play.now);
	assert_int_equal(permit(&play).sends, 0);
	lane_recording_ended(&play.lane, play.now);
	assert_int_equal(permit(&play).sends, 1);

	start(&play);
	deliver_to_a_fast_server(&play, 3, false);
	assert_true(play.lane.window.size < 2); /* it looks half idle */
	start(&play);
	deliver_to_a_fast_server(&play, 3, true);
	assert_true(play.lane.window.size > 10);
}

static void a_new_lane_sends_one(void **state)
{
	struct play play;

	start(&play);
	assert_int_equal(permit(&play).sends, 1);
	assert_int_equal(permit(&play).connects, 1);
	assert_false(permit(&play).probe);
	lane_conn_opening(&play.lane, play.now);
	assert_int_equal(permit(&play).connects, 0);
	lane_conn_ready(&play.lane, play.now);
	assert_int_equal(permit(&play).sends, 1);
	lane_transaction_started(&play.lane, false, play.now);
	assert_int_equal(permit(&play).sends, 0);
	assert_int_equal(permit(&play).connects, 0);
	play.now += SECOND / 10;
	assert_false(ends(&play, VERDICT_OK, LANE_KIND_NONE, false));
	assert_int_equal(permit(&play).sends, 1);
	assert_int_equal(play.lane.delivered_total, 1);
}

static void connections_are_opened_two_by_two(void **state)
{
	struct play play;

	start(&play);
	play.lane.window.size = 10;
	assert_int_equal(permit(&play).sends, 10);
	assert_int_equal(permit(&play).connects, 2);
	lane_conn_opening(&play.lane, play.now);
	lane_conn_opening(&play.lane, play.now);
	assert_int_equal(permit(&play).connects, 0);
	for (int i = 0; i < 6; i++)
		open_conn(&play);
	assert_int_equal(permit(&play).connects, 1); /* half of six, two are under way */
	lane_conn_ready(&play.lane, play.now);
	lane_conn_ready(&play.lane, play.now);
	assert_int_equal(permit(&play).connects, 4);
	for (int i = 0; i < 8; i++)
		lane_transaction_started(&play.lane, false, play.now);
	assert_int_equal(permit(&play).sends, 2);
	assert_int_equal(permit(&play).connects, 2);
}

/* Whether a transaction starts before its connection stands or after, the window is kept. */
static void transactions_may_start_before_their_connection(void **state)
{
	struct play play;

	start(&play);
	play.lane.window.size = 2;
	lane_transaction_started(&play.lane, false, play.now);
	lane_conn_opening(&play.lane, play.now);
	assert_int_equal(permit(&play).sends, 1);
	assert_int_equal(permit(&play).connects, 1);
	lane_transaction_started(&play.lane, false, play.now);
	lane_conn_opening(&play.lane, play.now);
	assert_int_equal(permit(&play).sends, 0);
	lane_conn_ready(&play.lane, play.now);
	lane_conn_ready(&play.lane, play.now);
	assert_int_equal(permit(&play).sends, 0);
}

static void idle_limits(void **state)
{
	struct play play;

	start(&play);
	open_conn(&play);
	assert_int_equal(lane_idle_limit_us(&play.lane), 5 * SECOND);
	open_conn(&play);
	assert_int_equal(lane_idle_limit_us(&play.lane), 2 * SECOND);
	lane_conn_closed(&play.lane, play.now);
	assert_int_equal(lane_idle_limit_us(&play.lane), 5 * SECOND);
}

static void one_connection_too_many_is_a_ceiling(void **state)
{
	struct play play;
	struct lane_view view;

	start(&play);
	play.lane.window.size = 10;
	open_conn(&play);
	open_conn(&play);
	assert_false(conn_fails(&play, VERDICT_CONN_LIMIT, LANE_KIND_421));
	assert_int_equal(play.lane.state, LANE_UP);
	assert_int_equal(permit(&play).sends, 2);
	assert_int_equal(permit(&play).connects, 0);
	lane_view(&play.lane, play.now, &view);
	assert_int_equal(view.connection_limit, 2);
	/* Polled after two seconds. */
	assert_int_equal(lane_deadline(&play.lane, play.now), play.now + 2 * SECOND);
	play.now += 2 * SECOND;
	assert_int_equal(permit(&play).sends, 3);
	assert_int_equal(permit(&play).connects, 1);
}

static void connection_limit_without_any_open_is_down(void **state)
{
	struct play play;

	start(&play);
	assert_true(conn_fails(&play, VERDICT_CONN_LIMIT, LANE_KIND_421));
	assert_int_equal(play.lane.state, LANE_DOWN);
}

/* A connect without an answer while others are served. */
static void a_lone_connect_timeout_is_a_ceiling(void **state)
{
	struct play play;

	start(&play);
	open_conn(&play);
	delivers(&play);
	assert_false(conn_fails(&play, VERDICT_HOST, LANE_KIND_TIMEOUT));
	assert_int_equal(play.lane.state, LANE_UP);
	play.now += LANE_RECENT_US;
	assert_true(conn_fails(&play, VERDICT_HOST, LANE_KIND_TIMEOUT));
	assert_int_equal(play.lane.state, LANE_DOWN);
}

static void our_own_system_refused(void **state)
{
	struct play play;

	start(&play);
	assert_false(conn_fails(&play, VERDICT_LATER, LANE_KIND_NONE));
	assert_int_equal(play.lane.state, LANE_UP);
	assert_int_equal(permit(&play).connects, 0);
	assert_int_equal(lane_deadline(&play.lane, play.now), play.now + LANE_LOCAL_PAUSE_US);
	play.now += LANE_LOCAL_PAUSE_US;
	assert_int_equal(permit(&play).connects, 1);
}

/* --- going down --- */

static void what_takes_a_lane_down(void **state)
{
	static const struct {
		enum verdict verdict;
		enum lane_kind kind;
		bool down;
	} rows[] = {
	    {VERDICT_OK, LANE_KIND_NONE, false},      {VERDICT_HOST, LANE_KIND_421, true},
	    {VERDICT_HOST, LANE_KIND_TIMEOUT, true},  {VERDICT_HOST, LANE_KIND_RESET, true},
	    {VERDICT_HOST, LANE_KIND_BANNER, true},   {VERDICT_RATE, LANE_KIND_RATE, true},
	    {VERDICT_PRESSURE, LANE_KIND_452, true},  {VERDICT_CONN_LIMIT, LANE_KIND_421, false},
	    {VERDICT_BUSY, LANE_KIND_421, false},     {VERDICT_DOMAIN, LANE_KIND_NONE, false},
	    {VERDICT_REFUSED, LANE_KIND_NONE, false}, {VERDICT_RECIPIENT, LANE_KIND_NONE, false},
	    {VERDICT_MESSAGE, LANE_KIND_NONE, false}, {VERDICT_US, LANE_KIND_NONE, false},
	    {VERDICT_LATER, LANE_KIND_NONE, false},   {VERDICT_UNKNOWN, LANE_KIND_TIMEOUT, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct play play;

		start(&play);
		open_conn(&play);
		assert_int_equal(transaction(&play, rows[i].verdict, rows[i].kind, false), rows[i].down);
		assert_int_equal(play.lane.state, rows[i].down ? LANE_DOWN : LANE_UP);
		if (!rows[i].down)
			continue;
		assert_int_equal(play.lane.kind, rows[i].kind);
		assert_int_equal(play.lane.since_wall_ms, wall(&play));
		assert_int_equal(permit(&play).sends, 0);
	}
}

/* One lost connection among others may be that one's fate; a second one without a success between is not. */
static void one_reset_among_others(void **state)
{
	struct play play;

	start(&play);
	play.lane.window.size = 4;
	for (int i = 0; i < 4; i++) {
		open_conn(&play);
		lane_transaction_started(&play.lane, false, play.now);
	}
	play.now += SECOND;
	assert_false(ends(&play, VERDICT_HOST, LANE_KIND_RESET, false));
	assert_false(ends(&play, VERDICT_OK, LANE_KIND_NONE, false));
	lane_transaction_started(&play.lane, false, play.now);
	lane_transaction_started(&play.lane, false, play.now);
	assert_false(ends(&play, VERDICT_HOST, LANE_KIND_RESET, false));
	assert_true(ends(&play, VERDICT_HOST, LANE_KIND_RESET, false));
	assert_int_equal(play.lane.kind, LANE_KIND_RESET);
}

static void pushbacks_without_a_success_between(void **state)
{
	struct play play;

	start(&play);
	open_conn(&play);
	open_conn(&play);
	for (int i = 0; i < LANE_PUSHBACKS_MIN - 1; i++)
		assert_false(transaction(&play, VERDICT_BUSY, LANE_KIND_421, false));
	delivers(&play);
	for (int i = 0; i < LANE_PUSHBACKS_MIN - 1; i++)
		assert_false(transaction(&play, VERDICT_BUSY, LANE_KIND_421, false));
	assert_true(transaction(&play, VERDICT_BUSY, LANE_KIND_421, false));
	assert_int_equal(play.lane.kind, LANE_KIND_421);
}

static void silence_on_all_connections(void **state)
{
	struct play play;

	start(&play);
	open_conn(&play);
	delivers(&play);
	lane_heard(&play.lane, play.now);
	assert_false(lane_tick(&play.lane, play.now + 100 * SECOND, 0)); /* nothing is under way */
	lane_transaction_started(&play.lane, false, play.now);
	assert_int_equal(lane_deadline(&play.lane, play.now), play.now + LANE_STALL_US);
	assert_false(lane_tick(&play.lane, play.now + LANE_STALL_US - 1, wall(&play)));
	lane_heard(&play.lane, play.now + SECOND);
	play.now += LANE_STALL_US;
	assert_false(lane_tick(&play.lane, play.now, wall(&play)));
	play.now += SECOND;
	assert_true(lane_tick(&play.lane, play.now, wall(&play)));
	assert_int_equal(play.lane.kind, LANE_KIND_TIMEOUT);
	assert_false(lane_tick(&play.lane, play.now + 100 * SECOND, wall(&play)));
}

/* A server known to be slow is waited for longer, an unknown one too, and where nobody reports progress
 * longest. */
static void patience_by_what_is_known(void **state)
{
	struct play play;

	start(&play);
	open_conn(&play);
	lane_heard(&play.lane, play.now);
	lane_transaction_started(&play.lane, false, play.now);
	assert_int_equal(lane_deadline(&play.lane, play.now), play.now + LANE_STALL_FIRST_US);
	play.now += 10 * SECOND;
	lane_transaction_ended(&play.lane,
			       &(struct lane_sample){.verdict = VERDICT_OK,
						     .mail_sent_us = play.now - 10 * SECOND,
						     .done_us = play.now},
			       play.now, wall(&play));
	lane_transaction_started(&play.lane, false, play.now);
	assert_int_equal(lane_deadline(&play.lane, play.now), play.now + 40 * SECOND);
	start(&play);
	play.lane.open = 1;
	lane_transaction_started(&play.lane, false, play.now);
	assert_int_equal(lane_deadline(&play.lane, play.now), play.now + LANE_STALL_BLIND_US);
}

/* Those that hang past their dot do not fill the window of the time after. */
static void hung_transactions_do_not_fill_the_window(void **state)
{
	struct play play;

	start(&play);
	play.lane.window.size = 4;
	for (int i = 0; i < 4; i++) {
		open_conn(&play);
		lane_transaction_started(&play.lane, false, play.now);
	}
	lane_heard(&play.lane, play.now);
	play.now += LANE_STALL_FIRST_US;
	assert_true(lane_tick(&play.lane, play.now, wall(&play)));
	to_probe(&play);
	open_conn(&play);
	assert_true(transaction(&play, VERDICT_OK, LANE_KIND_NONE, true));
	assert_int_equal(play.lane.in_flight, 4);
	assert_true(permit(&play).sends >= 1);
	/* They end at last: one each, and never more than there are. */
	for (int i = 0; i < 4; i++) {
		lane_transaction_ended(&play.lane,
				       &(struct lane_sample){.verdict = VERDICT_UNKNOWN,
							     .kind = LANE_KIND_TIMEOUT,
							     .mail_sent_us = SECOND},
				       play.now, wall(&play));
	}
	assert_int_equal(play.lane.in_flight, 0);
	assert_int_equal(play.lane.hung, 0);
}

static void names_that_cannot_be_resolved(void **state)
{
	struct play play;

	start(&play);
	open_conn(&play);
	assert_false(lane_dns_failed(&play.lane, SLICE("SERVFAIL"), play.now, wall(&play)));
	assert_int_equal(play.lane.state, LANE_UP);
	lane_conn_closed(&play.lane, play.now);
	assert_true(lane_dns_failed(&play.lane, SLICE("SERVFAIL"), play.now, wall(&play)));
	assert_int_equal(play.lane.kind, LANE_KIND_DNS);
	assert_string_equal(play.lane.last_reply, "SERVFAIL");
	to_probe(&play);
	assert_false(lane_dns_failed(&play.lane, SLICE("SERVFAIL"), play.now, wall(&play)));
	assert_int_equal(play.lane.probe.failures, 1);
	assert_false(permit(&play).probe);
}

/* --- down --- */

static void one_canary_at_a_time(void **state)
{
	struct play play;

	start(&play);
	go_down(&play, LANE_KIND_REFUSED);
	assert_false(permit(&play).probe);
	to_probe(&play);
	assert_int_equal(permit(&play).sends, 0);
	assert_int_equal(permit(&play).connects, 0);
	/* Due but not taken: offered again without spinning. */
	assert_int_equal(lane_deadline(&play.lane, play.now), play.now + PROBE_ABANDONED_US);
	lane_conn_opening(&play.lane, play.now);
	assert_false(permit(&play).probe);
	assert_int_equal(lane_deadline(&play.lane, play.now), INT64_MAX);
	lane_conn_ready(&play.lane, play.now);
	lane_transaction_started(&play.lane, true, play.now);
	play.now += 50 * SECOND;
	assert_false(permit(&play).probe);
	assert_true(ends(&play, VERDICT_OK, LANE_KIND_NONE, true));
	assert_int_equal(play.lane.state, LANE_UP);
}

/* A canary that hangs does not keep the others away for the ten minutes of its dot. */
static void a_canary_that_hangs(void **state)
{
	struct play play;

	start(&play);
	go_down(&play, LANE_KIND_REFUSED);
	to_probe(&play);
	open_conn(&play);
	lane_transaction_started(&play.lane, true, play.now);
	assert_int_equal(lane_deadline(&play.lane, play.now), play.now + PROBE_PATIENCE_US);
	play.now += PROBE_PATIENCE_US - 1;
	assert_false(lane_tick(&play.lane, play.now, wall(&play)));
	assert_true(play.lane.probing);
	play.now++;
	assert_false(lane_tick(&play.lane, play.now, wall(&play)));
	assert_false(play.lane.probing);
	to_probe(&play);
	open_conn(&play);
	lane_transaction_started(&play.lane, true, play.now);
	play.now += SECOND / 10;
	assert_true(ends(&play, VERDICT_OK, LANE_KIND_NONE, true));
	assert_int_equal(play.lane.in_flight, 1);
	assert_int_equal(permit(&play).sends, 1);
	/* The old one at last: it counts for nothing. */
	lane_transaction_ended(
	    &play.lane,
	    &(struct lane_sample){.verdict = VERDICT_UNKNOWN, .canary = true, .mail_sent_us = SECOND},
	    play.now, wall(&play));
	assert_int_equal(play.lane.hung, 0);
	assert_int_equal(play.lane.state, LANE_UP);
}

/* Connections that were being opened when it failed are no probes. */
static void old_connects_do_not_stop_the_probe(void **state)
{
	struct play play;
	struct verdict_result refused = {.verdict = VERDICT_HOST, .kind = LANE_KIND_REFUSED};

	start(&play);
	lane_conn_opening(&play.lane, play.now);
	lane_conn_opening(&play.lane, play.now);
	go_down(&play, LANE_KIND_REFUSED);
	to_probe(&play);
	lane_conn_failed(&play.lane, &refused, SLICE(""), play.now, wall(&play));
	assert_false(permit(&play).probe); /* it counts as news all the same */
	to_probe(&play);
}

static void what_a_canary_proves(void **state)
{
	static const struct {
		enum verdict verdict;
		enum lane_kind kind;
		bool up;
	} rows[] = {
	    {VERDICT_OK, LANE_KIND_NONE, true},		 {VERDICT_RECIPIENT, LANE_KIND_NONE, true},
	    {VERDICT_RECIPIENT, LANE_KIND_4XX, false}, /* 4.3.x */
	    {VERDICT_REFUSED, LANE_KIND_NONE, true},	 {VERDICT_DOMAIN, LANE_KIND_NONE, true},
	    {VERDICT_US, LANE_KIND_NONE, true},		 {VERDICT_MESSAGE, LANE_KIND_NONE, true},
	    {VERDICT_HOST, LANE_KIND_RESET, false},	 {VERDICT_PRESSURE, LANE_KIND_452, false},
	    {VERDICT_RATE, LANE_KIND_RATE, false},	 {VERDICT_BUSY, LANE_KIND_421, false},
	    {VERDICT_UNKNOWN, LANE_KIND_TIMEOUT, false}, {VERDICT_LATER, LANE_KIND_NONE, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct play play;

		start(&play);
		go_down(&play, LANE_KIND_REFUSED);
		to_probe(&play);
		open_conn(&play);
		assert_int_equal(transaction(&play, rows[i].verdict, rows[i].kind, true), rows[i].up);
		assert_int_equal(play.lane.state, rows[i].up ? LANE_UP : LANE_DOWN);
		if (rows[i].up)
			assert_int_equal(permit(&play).sends, 1);
		else
			to_probe(&play);
	}
}

static void late_successes(void **state)
{
	static const struct {
		enum lane_kind kind;
		bool up;
	} rows[] = {{LANE_KIND_TIMEOUT, true},
		    {LANE_KIND_REFUSED, false},
		    {LANE_KIND_RATE, false},
		    {LANE_KIND_452, false}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct play play;

		start(&play);
		open_conn(&play);
		lane_transaction_started(&play.lane, false, play.now);
		go_down(&play, rows[i].kind);
		play.now += SECOND / 10;
		assert_int_equal(ends(&play, VERDICT_OK, LANE_KIND_NONE, false), rows[i].up);
		/* And a failure of one that was under way says nothing new. */
		start(&play);
		open_conn(&play);
		lane_transaction_started(&play.lane, false, play.now);
		go_down(&play, rows[i].kind);
		assert_false(ends(&play, VERDICT_HOST, LANE_KIND_RESET, false));
		assert_int_equal(play.lane.kind, rows[i].kind);
	}
}

static void canaries_that_could_not_be_tried(void **state)
{
	struct play play;

	start(&play);
	go_down(&play, LANE_KIND_REFUSED);
	to_probe(&play);
	lane_canary_abandoned(&play.lane, play.now); /* not even begun */
	assert_false(permit(&play).probe);
	play.now += PROBE_ABANDONED_US;
	assert_true(permit(&play).probe);
	open_conn(&play);
	lane_transaction_started(&play.lane, true, play.now);
	lane_canary_abandoned(&play.lane, play.now);
	assert_int_equal(play.lane.in_flight, 0);
	assert_int_equal(play.lane.state, LANE_DOWN);
	assert_int_equal(play.lane.probe.failures, 0);
	play.now += PROBE_ABANDONED_US;
	assert_true(permit(&play).probe);
}

static void hints(void **state)
{
	struct play play;

	start(&play);
	lane_hint(&play.lane, true, play.now); /* up: nothing to do */
	go_down(&play, LANE_KIND_REFUSED);
	assert_false(permit(&play).probe);
	lane_hint(&play.lane, false, play.now);
	assert_true(permit(&play).probe);
	conn_fails(&play, VERDICT_HOST, LANE_KIND_REFUSED);
	lane_hint(&play.lane, false, play.now);
	assert_false(permit(&play).probe);
	lane_hint(&play.lane, true, play.now);
	assert_true(permit(&play).probe);
}

/* --- coming back --- */

static void restart_windows(void **state)
{
	static const struct {
		enum lane_kind first, then; /* kinds of the outage's failures */
		int64_t seconds;
		bool warm;
	} rows[] = {
	    {LANE_KIND_TIMEOUT, LANE_KIND_TIMEOUT, 280, true},
	    {LANE_KIND_TIMEOUT, LANE_KIND_TIMEOUT, 320, false},
	    {LANE_KIND_TIMEOUT, LANE_KIND_REFUSED, 20, false}, /* it was restarted */
	    {LANE_KIND_REFUSED, LANE_KIND_TIMEOUT, 20, false},
	    {LANE_KIND_RESET, LANE_KIND_RESET, 20, false},
	    {LANE_KIND_RATE, LANE_KIND_RATE, 160, true},
	    {LANE_KIND_RATE, LANE_KIND_RATE, 220, false},
	    {LANE_KIND_452, LANE_KIND_452, 160, true},
	    {LANE_KIND_452, LANE_KIND_452, 220, false},
	    {LANE_KIND_421, LANE_KIND_421, 20, false},
	    {LANE_KIND_BANNER, LANE_KIND_BANNER, 20, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct play play;
		int64_t down;

		start(&play);
		open_conn(&play);
		for (int n = 0; n < 50; n++)
			delivers(&play);
		play.lane.window.size = 10;
		lane_conn_closed(&play.lane, play.now);
		down = play.now;
		go_down(&play, rows[i].first);
		to_probe(&play);
		conn_fails(&play, VERDICT_HOST, rows[i].then);
		play.now = down + rows[i].seconds * SECOND;
		to_probe(&play);
		open_conn(&play);
		assert_true(transaction(&play, VERDICT_OK, LANE_KIND_NONE, true));
		if (fabs(play.lane.window.size - (rows[i].warm ? 7 : 1)) > 1e-9)
			fail_msg("row %zu: %.1f", i, play.lane.window.size);
	}
}

static void a_rate_limit_is_learnt(void **state)
{
	struct play play;
	struct lane_view view;

	start(&play);
	open_conn(&play);
	for (int n = 0; n < 600; n++) /* ten a second */
		delivers(&play);
	assert_true(transaction(&play, VERDICT_RATE, LANE_KIND_RATE, false));
	to_probe(&play);
	open_conn(&play);
	assert_true(transaction(&play, VERDICT_OK, LANE_KIND_NONE, true));
	lane_view(&play.lane, play.now, &view);
	assert_true(fabs(view.rate_limit_per_s - 9.7) < 0.3);
	/* One at a time, evenly. */
	assert_int_equal(permit(&play).sends, 1);
	lane_transaction_started(&play.lane, false, play.now);
	assert_int_equal(permit(&play).sends, 0);
	assert_in_range(lane_deadline(&play.lane, play.now), play.now + SECOND / 25, play.now + SECOND / 8);
}

/* On a quiet lane one message that is told to slow down says nothing about a rate. */
static void a_quiet_lane_learns_no_rate(void **state)
{
	struct play play;
	struct lane_view view;

	start(&play);
	for (int i = 1; i <= PACE_DOUBTS; i++) {
		open_conn(&play);
		delivers(&play);
		assert_true(transaction(&play, VERDICT_RATE, LANE_KIND_RATE, false));
		to_probe(&play);
		open_conn(&play);
		assert_true(transaction(&play, VERDICT_OK, LANE_KIND_NONE, true));
		lane_view(&play.lane, play.now, &view);
		assert_true((view.rate_limit_per_s > 0) == (i == PACE_DOUBTS));
	}
}

static void no_space_from_the_start_teaches_no_rate(void **state)
{
	struct play play;
	struct lane_view view;

	start(&play);
	go_down(&play, LANE_KIND_REFUSED);
	to_probe(&play);
	open_conn(&play);
	transaction(&play, VERDICT_PRESSURE, LANE_KIND_452, true);
	assert_int_equal(play.lane.kind, LANE_KIND_452);
	to_probe(&play);
	open_conn(&play);
	assert_true(transaction(&play, VERDICT_OK, LANE_KIND_NONE, true));
	lane_view(&play.lane, play.now, &view);
	assert_true(view.rate_limit_per_s == 0);
	assert_true(view.window == 1);
}

static void a_relapse_is_remembered(void **state)
{
	struct play play;

	start(&play);
	go_down(&play, LANE_KIND_REFUSED); /* no relapse: it had never recovered */
	assert_int_equal(play.lane.window.relapse.count, 0);
	to_probe(&play);
	open_conn(&play);
	assert_true(transaction(&play, VERDICT_OK, LANE_KIND_NONE, true));
	play.lane.window.size = 10;
	lane_conn_closed(&play.lane, play.now);
	go_down(&play, LANE_KIND_REFUSED);
	assert_int_equal(play.lane.window.relapse.count, 1);
	to_probe(&play);
	open_conn(&play);
	assert_true(transaction(&play, VERDICT_OK, LANE_KIND_NONE, true));
	assert_true(play.lane.window.ssthresh == 6);
	lane_conn_closed(&play.lane, play.now);
	go_down(&play, LANE_KIND_TIMEOUT); /* a cut path is nobody's relapse */
	assert_int_equal(play.lane.window.relapse.count, 1);
}

/* --- what people see --- */

static void the_view(void **state)
{
	struct play play;
	struct lane_view view;

	start(&play);
	open_conn(&play);
	delivers(&play);
	lane_view(&play.lane, play.now, &view);
	assert_int_equal(view.state, LANE_UP);
	assert_true(view.window >= 1);
	assert_int_equal(view.open, 1);
	assert_int_equal(view.next_probe_us, INT64_MAX);
	assert_string_equal(view.last_reply, "250 fine");
	lane_conn_closed(&play.lane, play.now);
	go_down(&play, LANE_KIND_REFUSED);
	lane_view(&play.lane, play.now, &view);
	assert_int_equal(view.state, LANE_DOWN);
	assert_int_equal(view.kind, LANE_KIND_REFUSED);
	assert_true(view.window == 0);
	assert_int_equal(view.since_wall_ms, wall(&play));
	assert_int_equal(view.down_since_us, play.now);
	assert_int_equal(view.next_probe_us, lane_deadline(&play.lane, play.now));
	assert_string_equal(view.last_reply, "421 no");
	to_probe(&play);
	lane_conn_opening(&play.lane, play.now);
	lane_view(&play.lane, play.now, &view);
	assert_int_equal(view.next_probe_us, play.now);
}

/* --- saved and loaded --- */

static void save(const struct play *play, struct buffer *bytes)
{
	buffer_init(bytes, 0);
	assert_int_equal(lane_save(&play->lane, play->now, bytes), 0);
}

static void an_outage_survives_a_restart(void **state)
{
	struct play play, after;
	struct buffer bytes;
	struct lane_view view;

	start(&play);
	open_conn(&play);
	for (int i = 0; i < 20; i++)
		delivers(&play);
	lane_conn_closed(&play.lane, play.now);
	play.lane.window.size = 10;
	go_down(&play, LANE_KIND_REFUSED);
	save(&play, &bytes);
	start(&after);
	after.now = 5 * SECOND; /* another clock; the wall says two days */
	assert_int_equal(
	    lane_load(&after.lane, buffer_slice(&bytes), after.now, wall(&play) + 2 * 86400000LL), 0);
	lane_view(&after.lane, after.now, &view);
	assert_int_equal(view.state, LANE_DOWN);
	assert_int_equal(view.kind, LANE_KIND_REFUSED);
	assert_int_equal(view.since_wall_ms, wall(&play));
	assert_int_equal(view.delivered_total, 20);
	assert_string_equal(view.last_reply, "421 no");
	/* The first probe within one interval of its age, and so the next. */
	assert_in_range(view.next_probe_us, after.now, after.now + 15 * SECOND);
	to_probe(&after);
	conn_fails(&after, VERDICT_HOST, LANE_KIND_REFUSED);
	assert_in_range(lane_deadline(&after.lane, after.now) - after.now, 12 * SECOND, 18 * SECOND);
	to_probe(&after);
	open_conn(&after);
	assert_true(transaction(&after, VERDICT_OK, LANE_KIND_NONE, true));
	assert_true(after.lane.window.size == 1);
	buffer_deinit(&bytes);
}

static void what_was_learnt_survives_a_restart(void **state)
{
	struct play play, after;
	struct buffer bytes;
	struct lane_view view;

	start(&play);
	play.lane.window.size = 10;
	open_conn(&play);
	open_conn(&play);
	for (int i = 0; i < 600; i++)
		delivers(&play);
	conn_fails(&play, VERDICT_CONN_LIMIT, LANE_KIND_421);
	transaction(&play, VERDICT_RATE, LANE_KIND_RATE, false);
	to_probe(&play);
	open_conn(&play);
	transaction(&play, VERDICT_OK, LANE_KIND_NONE, true);
	play.lane.window.size = 6;
	play.lane.window.verified = true;
	save(&play, &bytes);
	start(&after);
	assert_int_equal(lane_load(&after.lane, buffer_slice(&bytes), after.now, wall(&play)), 0);
	lane_view(&after.lane, after.now, &view);
	assert_int_equal(view.state, LANE_UP);
	assert_int_equal(view.connection_limit, play.lane.conn_limit.limit);
	assert_true(fabs(view.rate_limit_per_s - pace_per_s(&play.lane.pace, play.now)) < 1e-6);
	/* The server may have been restarted meanwhile: small, but what it was is known. */
	assert_true(view.window == IDLE_WINDOW);
	assert_true(after.lane.window.verified);
	buffer_deinit(&bytes);
}

static void a_wall_clock_that_went_back(void **state)
{
	struct play play, after;
	struct buffer bytes;

	start(&play);
	go_down(&play, LANE_KIND_REFUSED);
	save(&play, &bytes);
	start(&after);
	assert_int_equal(lane_load(&after.lane, buffer_slice(&bytes), after.now, wall(&play) - 86400000LL),
			 0);
	assert_int_equal(after.lane.down_us, after.now);
	assert_in_range(lane_deadline(&after.lane, after.now), after.now, after.now + 6 * SECOND);
	buffer_deinit(&bytes);
}

static void damage_is_noticed(void **state)
{
	struct play play, after;
	struct buffer bytes;
	struct slice all;
	struct lane before;

	start(&play);
	go_down(&play, LANE_KIND_REFUSED);
	save(&play, &bytes);
	all = buffer_slice(&bytes);
	start(&after);
	before = after.lane;
	for (size_t size = 0; size < all.size; size++) {
		assert_int_equal(lane_load(&after.lane, slice_upto(all, size), after.now, WALL), ERR_CORRUPT);
		assert_memory_equal(&before, &after.lane, sizeof(before));
	}
	bytes.bytes[bytes.start] = 2;
	assert_int_equal(lane_load(&after.lane, all, after.now, WALL), ERR_VERSION);
	assert_memory_equal(&before, &after.lane, sizeof(before));
	bytes.bytes[bytes.start] = 1;
	/* Whatever the bytes say, nothing absurd comes in. */
	for (size_t i = 0; i < all.size; i++) {
		char kept = bytes.bytes[bytes.start + i];

		bytes.bytes[bytes.start + i] = (char)0xff;
		after.lane = before;
		if (lane_load(&after.lane, all, after.now, WALL) == 0) {
			assert_true(after.lane.window.size >= 1 && after.lane.window.size <= 50);
			assert_true(after.lane.window_before >= 0 &&
				    after.lane.window_before <= LANE_SAVED_WINDOW_MAX);
			assert_in_range(after.lane.probe.next_us, 0, after.now + 40 * SECOND);
			assert_true(pace_per_s(&after.lane.pace, after.now) > 0);
		}
		bytes.bytes[bytes.start + i] = kept;
	}
	buffer_deinit(&bytes);
}

/* --- failing allocations --- */

void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

static unsigned fail_at; /* the allocation that fails, counted down; 0: none */

static bool fails_now(void)
{
	return fail_at > 0 && --fail_at == 0;
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails_now() ? NULL : __real_realloc(old, size);
}

void *__wrap_malloc(size_t size)
{
	return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails_now() ? NULL : __real_calloc(count, size);
}

static void saving_without_memory(void **state)
{
	struct play play;
	int result = -1;
	unsigned failures = 0;

	start(&play);
	for (unsigned n = 1; result != 0; n++) {
		struct buffer bytes;

		buffer_init(&bytes, 0);
		fail_at = n;
		result = lane_save(&play.lane, play.now, &bytes);
		fail_at = 0;
		assert_true(result == 0 || result == ERR_MEMORY);
		failures += result != 0;
		buffer_deinit(&bytes);
	}
	assert_true(failures > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_being_written_down_fills_the_window),
	    cmocka_unit_test(a_new_lane_sends_one),
	    cmocka_unit_test(connections_are_opened_two_by_two),
	    cmocka_unit_test(transactions_may_start_before_their_connection),
	    cmocka_unit_test(idle_limits),
	    cmocka_unit_test(one_connection_too_many_is_a_ceiling),
	    cmocka_unit_test(connection_limit_without_any_open_is_down),
	    cmocka_unit_test(a_lone_connect_timeout_is_a_ceiling),
	    cmocka_unit_test(our_own_system_refused),
	    cmocka_unit_test(what_takes_a_lane_down),
	    cmocka_unit_test(one_reset_among_others),
	    cmocka_unit_test(pushbacks_without_a_success_between),
	    cmocka_unit_test(silence_on_all_connections),
	    cmocka_unit_test(patience_by_what_is_known),
	    cmocka_unit_test(hung_transactions_do_not_fill_the_window),
	    cmocka_unit_test(names_that_cannot_be_resolved),
	    cmocka_unit_test(one_canary_at_a_time),
	    cmocka_unit_test(a_canary_that_hangs),
	    cmocka_unit_test(old_connects_do_not_stop_the_probe),
	    cmocka_unit_test(what_a_canary_proves),
	    cmocka_unit_test(late_successes),
	    cmocka_unit_test(canaries_that_could_not_be_tried),
	    cmocka_unit_test(hints),
	    cmocka_unit_test(restart_windows),
	    cmocka_unit_test(a_rate_limit_is_learnt),
	    cmocka_unit_test(a_quiet_lane_learns_no_rate),
	    cmocka_unit_test(no_space_from_the_start_teaches_no_rate),
	    cmocka_unit_test(a_relapse_is_remembered),
	    cmocka_unit_test(the_view),
	    cmocka_unit_test(an_outage_survives_a_restart),
	    cmocka_unit_test(what_was_learnt_survives_a_restart),
	    cmocka_unit_test(a_wall_clock_that_went_back),
	    cmocka_unit_test(damage_is_noticed),
	    cmocka_unit_test(saving_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
