#include "feed_sim.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define RTT_S 0.02

enum { CONNS = 128, FRESH_MAX = 60000 };

enum conn_state {
	GONE = 0,
	SYN = 1,      /* no answer yet; due: the next SYN, or the end of patience */
	GREETING = 2, /* due: it stands, or is refused */
	IDLE = 3,
	MAIL = 4,     /* due: the reply */
	COMMANDS = 5, /* a tarpit's further commands */
	SERVICE = 6,  /* past the dot; work remains */
	REPLY = 7,    /* the final reply is on its way */
};

struct conn {
	enum conn_state state;
	double due, begun, work;
	double mail_at;
	double fresh_since; /* 0: of the backlog */
	uint32_t syns, sent;
	bool canary, probe, counted, hung, refused;
	enum mail_answer answer;
	bool mailbox_full;
};

struct world {
	const struct story *story;
	struct server server;
	struct lane lane;
	struct rng rng;
	struct conn conns[CONNS];
	double now, back_at;
	bool outage, back, aloud;
	double backlog, arrive_at;
	double *fresh; /* arrival times; fresh[fresh_first .. fresh_end) wait */
	size_t fresh_first, fresh_end;
	double *delays;
	size_t delay_count;
	double credit; /* of fresh mail against the backlog */
	double last_rate_refusal;
	double phase; /* of a flapping link, in which something was delivered */
	int64_t wall_shift_ms;
	uint32_t pending; /* backlog messages under way */
	double said_at;
	struct result result;
};

static int64_t us(const struct world *world)
{
	return (int64_t)(world->now * 1e6);
}

static int64_t wall(const struct world *world)
{
	return 1700000000000 + us(world) / 1000 + world->wall_shift_ms;
}

static bool reachable(const struct world *world)
{
	return !world->outage && server_is_up(&world->server, world->now);
}

/* What is sent while the link is down arrives with a later retransmission: after 0.2, 0.6, 1.4, ... s. */
static double arrival(const struct world *world, double at)
{
	double wait = 0.2;

	while (!server_link_up(&world->server, at) && wait < 200) {
		at += wait;
		wait *= 2;
	}
	return at;
}

/* --- messages --- */

static bool any_mail(const struct world *world)
{
	return world->backlog > 0 || world->fresh_first < world->fresh_end;
}

static void take(struct world *world, struct conn *conn)
{
	bool fresh = world->fresh_first < world->fresh_end;

	if (fresh && world->backlog > 0 && (world->credit <= 0 || conn->canary))
		fresh = false;
	if (world->backlog > 0)
		world->credit = fmax(-2, fmin(2, world->credit + (fresh ? -0.3 : 0.7)));
	if (fresh) {
		conn->fresh_since = world->fresh[world->fresh_first++];
	} else {
		conn->fresh_since = 0;
		world->backlog--;
		world->pending++;
	}
}

static void give_back(struct world *world, const struct conn *conn)
{
	if (conn->fresh_since != 0) {
		world->fresh[--world->fresh_first] = conn->fresh_since;
		return;
	}
	world->backlog++;
	world->pending--;
}

static void settle(struct world *world, const struct conn *conn)
{
	if (conn->fresh_since == 0)
		world->pending--;
	else if (world->back && conn->fresh_since >= world->back_at)
		world->delays[world->delay_count++] = world->now - conn->fresh_since;
}

/* --- the end of a transaction --- */

/* A link that comes and goes: how long into the phase was the first delivery? The first phase is the outage's
 * end. */
static void count_phase(struct world *world)
{
	const struct model *m = &world->story->model;
	double cycle = m->link_up_s + m->link_down_s, age = world->now - world->back_at;

	if (cycle == 0 || floor(age / cycle) <= world->phase)
		return;
	world->phase = floor(age / cycle);
	world->result.detect_most_s = fmax(world->result.detect_most_s, fmod(age, cycle));
}

static void count(struct world *world, enum verdict verdict)
{
	struct result *r = &world->result;

	if (verdict == VERDICT_OK && world->back) {
		count_phase(world);
		if (r->delivered++ == 0)
			r->first_s = world->now - world->back_at;
		if (world->now - world->back_at - r->first_s <= 5)
			r->first_5s++;
	}
	if (world->back) {
		r->deferred += verdict == VERDICT_RECIPIENT;
		r->unknown += verdict == VERDICT_UNKNOWN;
	}
	if (world->back &&
	    (verdict == VERDICT_RATE || verdict == VERDICT_PRESSURE || verdict == VERDICT_BUSY))
		r->refusals++;
	if (verdict != VERDICT_RATE)
		return;
	/* Probes meet one violation again and again; the next one comes after a delivery at speed. */
	if (world->last_rate_refusal > 0 && world->now - world->last_rate_refusal > 125)
		r->second_violation_s = fmin(r->second_violation_s, world->now - world->last_rate_refusal);
	world->last_rate_refusal = world->now;
}

static void close_conn(struct world *world, struct conn *conn)
{
	if (conn->counted)
		world->server.connections--;
	conn->counted = false;
	if (conn->state >= IDLE)
		lane_conn_closed(&world->lane, us(world));
	conn->state = GONE;
}

static void give_up_before_dot(struct world *world);

static void changed(struct world *world, bool down)
{
	if (down && world->lane.state == LANE_DOWN) {
		world->result.downs += world->back;
		give_up_before_dot(world);
	}
}

static void ended(struct world *world, struct conn *conn, enum verdict verdict, enum lane_kind kind)
{
	struct lane_sample sample = {
	    .verdict = verdict,
	    .kind = kind,
	    .canary = conn->canary,
	    .mail_sent_us = (int64_t)(conn->begun * 1e6),
	    .mail_reply_us = (int64_t)(conn->mail_at * 1e6),
	    .done_us = us(world),
	    .recipients_ok = verdict == VERDICT_OK,
	};

	if (conn->state == SERVICE && world->server.in_service > 0)
		world->server.in_service--;
	if (verdict == VERDICT_OK || verdict == VERDICT_RECIPIENT || verdict == VERDICT_UNKNOWN)
		settle(world, conn);
	else
		give_back(world, conn);
	count(world, verdict);
	conn->state = IDLE;
	conn->due = world->now;
	conn->canary = false;
	conn->sent++;
	changed(world, lane_transaction_ended(&world->lane, &sample, us(world), wall(world)));
}

/* The lane went down: transactions before their dot end without a word. */
static void give_up_before_dot(struct world *world)
{
	for (struct conn *conn = world->conns; conn < world->conns + CONNS; conn++) {
		if (conn->state == MAIL || conn->state == COMMANDS) {
			ended(world, conn, VERDICT_LATER, LANE_KIND_NONE);
			close_conn(world, conn);
		}
	}
}

static void reset_all(struct world *world)
{
	for (struct conn *conn = world->conns; conn < world->conns + CONNS; conn++) {
		conn->counted = false;
		if (conn->state == SYN || conn->state == GREETING) {
			conn->state = GREETING;
			conn->refused = true;
			conn->due = world->now;
		} else if (conn->state == IDLE) {
			close_conn(world, conn);
		} else if (conn->state == MAIL || conn->state == COMMANDS) {
			ended(world, conn, VERDICT_HOST, LANE_KIND_RESET);
			if (conn->state == IDLE)
				close_conn(world, conn);
		} else if (conn->state != GONE) {
			ended(world, conn, VERDICT_UNKNOWN, LANE_KIND_RESET);
			close_conn(world, conn);
		}
	}
	world->server.in_service = 0;
	world->server.connections = 0;
}

/* --- connections --- */

static void start_transaction(struct world *world, struct conn *conn)
{
	take(world, conn);
	conn->state = MAIL;
	conn->begun = world->now;
	conn->due = arrival(world, world->now + RTT_S + world->story->model.command_s);
	lane_transaction_started(&world->lane, conn->canary, us(world));
}

static void connect_now(struct world *world, bool canary)
{
	for (struct conn *conn = world->conns; conn < world->conns + CONNS; conn++) {
		if (conn->state != GONE)
			continue;
		*conn = (struct conn){.state = SYN, .due = world->now, .begun = world->now, .canary = canary};
		lane_conn_opening(&world->lane, us(world));
		return;
	}
	check_never();
}

static void conn_failed(struct world *world, struct conn *conn, enum verdict verdict, enum lane_kind kind)
{
	struct verdict_result result = {.verdict = verdict, .kind = kind};

	if (conn->counted)
		world->server.connections--;
	conn->state = GONE;
	if (world->back && (kind == LANE_KIND_421))
		world->result.refusals++;
	changed(world, lane_conn_failed(&world->lane, &result, SLICE(""), us(world), wall(world)));
}

static void syn(struct world *world, struct conn *conn)
{
	static const double at[] = {0, 1, 3, 5};
	const struct model *m = &world->story->model;

	if (conn->syns == 3) {
		conn_failed(world, conn, VERDICT_HOST, LANE_KIND_TIMEOUT);
		return;
	}
	if ((world->outage && world->story->black_hole) || !server_link_up(&world->server, world->now)) {
		conn->syns++;
		conn->due = conn->begun + at[conn->syns];
		return;
	}
	conn->state = GREETING;
	conn->refused = !reachable(world);
	conn->due = world->now + RTT_S;
	if (conn->refused)
		return;
	conn->counted = true;
	world->server.connections++;
	conn->due += 2 * RTT_S + 2 * m->command_s;
}

static void greeted(struct world *world, struct conn *conn)
{
	const struct model *m = &world->story->model;
	bool others = world->lane.open > 0;

	if (conn->refused) {
		conn_failed(world, conn, VERDICT_HOST, LANE_KIND_REFUSED);
		return;
	}
	if (m->connections > 0 && world->server.connections > m->connections) {
		conn_failed(world, conn, others ? VERDICT_CONN_LIMIT : VERDICT_HOST, LANE_KIND_421);
		return;
	}
	conn->state = IDLE;
	conn->due = world->now;
	lane_conn_ready(&world->lane, us(world));
	if (conn->canary && any_mail(world))
		start_transaction(world, conn);
}

/* --- a transaction's steps --- */

static void to_service(struct world *world, struct conn *conn)
{
	conn->state = SERVICE;
	conn->work = server_work(&world->server);
	conn->due = INFINITY;
	world->server.in_service++;
}

static void mail_replied(struct world *world, struct conn *conn)
{
	const struct model *m = &world->story->model;
	bool others = world->lane.open > 1;

	conn->mail_at = world->now;
	lane_mail_reply(&world->lane, (int64_t)(conn->begun * 1e6), us(world));
	switch (server_mail(&world->server, world->now)) {
	case MAIL_BUSY:
		ended(world, conn, others ? VERDICT_BUSY : VERDICT_HOST, LANE_KIND_421);
		if (conn->state == IDLE)
			close_conn(world, conn);
		return;
	case MAIL_RATE:
		ended(world, conn, VERDICT_RATE, LANE_KIND_RATE);
		return;
	case MAIL_FULL:
		ended(world, conn, VERDICT_PRESSURE, LANE_KIND_452);
		return;
	case MAIL_OK:
		break;
	}
	if (rng_chance(&world->rng, m->mailbox_full)) {
		ended(world, conn, VERDICT_RECIPIENT, LANE_KIND_NONE);
	} else if (m->command_s > 0) {
		conn->state = COMMANDS;
		conn->due = world->now + 2 * m->command_s;
	} else {
		to_service(world, conn);
	}
}

static void conn_event(struct world *world, struct conn *conn)
{
	const struct model *m = &world->story->model;

	switch (conn->state) {
	case SYN:
		syn(world, conn);
		break;
	case GREETING:
		greeted(world, conn);
		break;
	case MAIL:
		if (!server_link_up(&world->server, world->now)) {
			conn->due = arrival(world, world->now);
			break;
		}
		mail_replied(world, conn);
		break;
	case COMMANDS:
		lane_heard(&world->lane, us(world));
		to_service(world, conn);
		break;
	case SERVICE: /* done: the reply goes out */
		world->server.in_service--;
		conn->state = REPLY;
		conn->due = arrival(world, world->now + RTT_S + m->command_s);
		break;
	case REPLY:
		ended(world, conn, VERDICT_OK, LANE_KIND_NONE);
		break;
	case GONE:
	case IDLE:
		break;
	}
}

/* --- the feed --- */

static struct conn *idle_conn(struct world *world)
{
	for (struct conn *conn = world->conns; conn < world->conns + CONNS; conn++) {
		if (conn->state == IDLE && conn->sent < world->lane.config.messages_per_connection)
			return conn;
	}
	return NULL;
}

static uint32_t opening(const struct world *world)
{
	uint32_t n = 0;

	for (const struct conn *conn = world->conns; conn < world->conns + CONNS; conn++)
		n += conn->state == SYN || conn->state == GREETING;
	return n;
}

static void close_idle(struct world *world)
{
	for (struct conn *conn = world->conns; conn < world->conns + CONNS; conn++) {
		if (conn->state != IDLE)
			continue;
		if (conn->sent >= world->lane.config.messages_per_connection ||
		    world->lane.state == LANE_DOWN ||
		    (world->now - conn->due) * 1e6 >= (double)lane_idle_limit_us(&world->lane))
			close_conn(world, conn);
	}
}

static void run_feed(struct world *world)
{
	struct lane_permit permit;
	struct conn *conn;
	double wanted;

	close_idle(world);
	changed(world, lane_tick(&world->lane, us(world), wall(world)));
	permit = lane_permit(&world->lane, us(world));
	if (permit.probe && any_mail(world))
		connect_now(world, true);
	while (permit.sends > 0 && any_mail(world) && (conn = idle_conn(world)) != NULL) {
		start_transaction(world, conn);
		permit = lane_permit(&world->lane, us(world));
	}
	wanted = world->backlog + (double)(world->fresh_end - world->fresh_first);
	wanted = fmin(wanted, permit.sends);
	while (permit.connects > 0 && wanted > opening(world)) {
		connect_now(world, false);
		permit = lane_permit(&world->lane, us(world));
	}
}

static void arrive(struct world *world)
{
	if (world->fresh_end < FRESH_MAX)
		world->fresh[world->fresh_end++] = world->now;
	world->arrive_at = world->now - log(1 - rng_unit(&world->rng)) / world->story->fresh_per_s;
}

/* --- time --- */

static double next_event(const struct world *world)
{
	double next = world->arrive_at, rate = server_rate(&world->server);
	int64_t deadline = lane_deadline(&world->lane, us(world));

	if (deadline != INT64_MAX)
		next = fmin(next, (double)(deadline + 1) / 1e6);
	for (const struct conn *conn = world->conns; conn < world->conns + CONNS; conn++) {
		if (conn->state == SERVICE)
			next = fmin(next, world->now + fmax(0, conn->work) / rate);
		else if (conn->state == IDLE)
			next = fmin(next, conn->due + (double)lane_idle_limit_us(&world->lane) / 1e6 + 0.001);
		else if (conn->state != GONE)
			next = fmin(next, conn->due);
	}
	if (world->outage)
		return fmax(world->now + 1e-6, fmin(next, world->now + 600));
	/* Capacity changes with time: small steps while somebody is served, larger ones otherwise. */
	return fmax(world->now + 1e-6, fmin(next, world->now + (world->server.in_service > 0 ? 0.02 : 0.25)));
}

static void pass_time(struct world *world, double to)
{
	double work = server_rate(&world->server) * (to - world->now), from = world->now;

	world->now = to;
	for (struct conn *conn = world->conns; conn < world->conns + CONNS; conn++) {
		if (conn->state != SERVICE)
			continue;
		conn->work -= work;
		if (conn->work <= 1e-9)
			conn->due = to;
	}
	if (!world->outage && server_advance(&world->server, from, to))
		reset_all(world);
}

static void fire(struct world *world)
{
	for (struct conn *conn = world->conns; conn < world->conns + CONNS; conn++) {
		if (conn->state != GONE && conn->state != IDLE && conn->due <= world->now)
			conn_event(world, conn);
	}
	if (world->now >= world->arrive_at)
		arrive(world);
	run_feed(world);
}

static void say(struct world *world)
{
	struct lane_view view;

	if (!world->aloud || world->now < world->said_at)
		return;
	world->said_at = world->now + 1;
	lane_view(&world->lane, us(world), &view);
	printf("%7.1f %s %-6s %-7s W %5.1f in %2u srv %3u L %6.3f base %6.3f X %5.1f w %.2f trial %d left "
	       "%6.0f fresh %zu pace %.2f lim %u\n",
	       world->now - world->back_at, view.state == LANE_UP ? "up  " : "down",
	       view.phase == LANE_RAMP ? "ramp" : "steady", lane_kind_name(view.kind), view.window,
	       view.in_flight, world->server.in_service, world->lane.window.latency_s,
	       window_base_latency(&world->lane.window, us(world)), view.rate_per_s, world->server.warmth,
	       (int)world->lane.window.trial.kind, world->backlog, world->fresh_end - world->fresh_first,
	       view.rate_limit_per_s, view.connection_limit);
}

static void run_until(struct world *world, double end, bool drain)
{
	while (world->now < end && !(drain && world->backlog + world->pending == 0)) {
		pass_time(world, fmin(end, next_event(world)));
		fire(world);
		if (world->back)
			world->result.window_most =
			    (uint32_t)fmax(world->result.window_most, world->lane.in_flight);
		if (world->back)
			say(world);
	}
}

static void begin_outage(struct world *world)
{
	world->outage = true;
	if (!world->story->black_hole)
		reset_all(world);
	world->arrive_at = INFINITY;
	world->backlog++; /* somebody has to find out */
}

/* The program stops and starts again later. */
static void restart(struct world *world)
{
	struct lane_config config = world->lane.config;
	struct buffer bytes;

	buffer_init(&bytes, 0);
	check(lane_save(&world->lane, us(world), &bytes) == 0);
	for (struct conn *conn = world->conns; conn < world->conns + CONNS; conn++)
		conn->state = GONE;
	world->wall_shift_ms = (int64_t)(world->story->forward_s * 1000);
	lane_init(&world->lane, &config, rng_next(&world->rng), us(world), wall(world));
	check(lane_load(&world->lane, buffer_slice(&bytes), us(world), wall(world)) == 0);
	buffer_deinit(&bytes);
}

static void begin_recovery(struct world *world, uint64_t seed)
{
	const struct model *m = &world->story->model;

	world->outage = false;
	world->back = true;
	world->back_at = world->now;
	server_start(&world->server, m, seed, world->now);
	world->backlog =
	    world->story->backlog - (double)(world->fresh_end - world->fresh_first) - world->pending;
	world->arrive_at = world->now;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void finish(struct world *world, uint64_t seed)
{
	struct result *r = &world->result;
	const struct story *story = world->story;

	r->drained = world->backlog + world->pending == 0;
	r->drain_s = world->now - world->back_at;
	r->oracle_s = oracle_drain_s(&story->model, seed, story->backlog, story->fresh_per_s);
	r->ratio = r->drained ? r->drain_s / r->oracle_s : INFINITY;
	r->crashes = world->server.crashes;
	if (world->delay_count > 0) {
		qsort(world->delays, world->delay_count, sizeof(double), compare);
		r->fresh_p99_s = world->delays[(size_t)((double)(world->delay_count - 1) * 0.99)];
	}
}

static struct result run(const struct story *story, uint64_t seed, bool aloud)
{
	/* Before the outage the server was plain and warm. */
	struct model before = {.capacity = story->model.capacity, .service_s = story->model.service_s};
	struct world *world = calloc(1, sizeof(*world));
	struct lane_config config;
	struct result result;

	check(world != NULL);
	world->story = story;
	world->aloud = aloud;
	world->fresh = calloc(FRESH_MAX, sizeof(double));
	world->delays = calloc(FRESH_MAX, sizeof(double));
	check(world->fresh != NULL && world->delays != NULL);
	world->result.second_violation_s = INFINITY;
	world->now = 1;
	world->arrive_at = 1;
	world->credit = 2;
	rng_init(&world->rng, seed * 77 + 5);
	server_start(&world->server, &before, seed, world->now);
	lane_config_defaults(&config);
	lane_init(&world->lane, &config, seed, us(world), wall(world));
	run_until(world, 61, false);
	begin_outage(world);
	run_until(world, 81, false);
	if (story->forward_s > 0)
		restart(world);
	run_until(world, 81 + story->outage_s + 10 * rng_unit(&world->rng), false);
	begin_recovery(world, seed);
	run_until(world, world->now + story->limit_s, true);
	finish(world, seed);
	result = world->result;
	free(world->fresh);
	free(world->delays);
	free(world);
	return result;
}

struct result play(const struct story *story, uint64_t seed)
{
	return run(story, seed, false);
}

struct result play_aloud(const struct story *story, uint64_t seed)
{
	return run(story, seed, true);
}
