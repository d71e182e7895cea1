#include "lane/lane.h"

#include <math.h>
#include <string.h>

#include "base/check.h"
#include "lane/lane_internal.h"
#include "lane/relapse.h"
#include "lane/tuning.h"

static void keep_reply(struct lane *lane, struct slice reply)
{
	reply = slice_upto(reply, sizeof(lane->last_reply) - 1);
	if (reply.size == 0)
		return;
	memcpy(lane->last_reply, reply.data, reply.size);
	lane->last_reply[reply.size] = '\0';
}

/* Whether a failure of this kind leaves the server as warm as it was: the path was cut, or it said no while
 * running. */
static bool leaves_warm(enum lane_kind kind)
{
	return kind == LANE_KIND_TIMEOUT || kind == LANE_KIND_DNS || kind == LANE_KIND_RATE ||
	       kind == LANE_KIND_452;
}

/* It took mail before and now says that it was too much, or that its space is used up: a limit to be learnt.
 */
static bool is_limit(const struct lane *lane, enum lane_kind kind)
{
	return (kind == LANE_KIND_RATE || kind == LANE_KIND_452) && lane->pace.accepted_since_up > 0;
}

/* The feed may have done it. */
static bool is_crash(enum lane_kind kind)
{
	return kind == LANE_KIND_REFUSED || kind == LANE_KIND_RESET;
}

static void begin_outage(struct lane *lane, enum lane_kind kind, int64_t now_us)
{
	lane->warm = leaves_warm(kind) && lane->last_success_us != 0;
	lane->window_before =
	    lane->pushbacks > 0 ? fmax(lane->window_pushback, lane->window.size) : lane->window.size;
	lane->limited = is_limit(lane, kind);
	if (lane->limited)
		pace_refused(&lane->pace, now_us);
	if (is_crash(kind) && lane->recovered)
		relapse_crash(&lane->window, lane->window_before, now_us - lane->since_us);
	lane->pushbacks = 0;
	lane->stale_connecting = lane->connecting;
	lane->hung = lane->in_flight;
}

bool lane_go_down(struct lane *lane, enum lane_kind kind, int64_t now_us, int64_t wall_ms)
{
	if (lane->state == LANE_DOWN) {
		if (!probe_failed(&lane->probe, kind, &lane->rng, now_us))
			return false;
		lane->warm = lane->warm && leaves_warm(kind);
		lane->limited = lane->limited && (kind == LANE_KIND_RATE || kind == LANE_KIND_452);
		lane->kind = kind;
		return false;
	}
	begin_outage(lane, kind, now_us);
	lane->kind = kind;
	lane->state = LANE_DOWN;
	lane->since_us = lane->down_us = now_us;
	lane->since_wall_ms = wall_ms;
	probe_start(&lane->probe, kind, &lane->rng, now_us);
	return true;
}

static bool still_warm(const struct lane *lane, int64_t now_us)
{
	bool soft = lane->kind == LANE_KIND_RATE || lane->kind == LANE_KIND_452;

	return lane->warm && now_us - lane->down_us < (soft ? LANE_WARM_SOFT_US : LANE_WARM_TIMEOUT_US);
}

void lane_go_up(struct lane *lane, int64_t now_us, int64_t wall_ms)
{
	bool warm = still_warm(lane, now_us);

	if (lane->limited && (warm || lane->kind == LANE_KIND_RATE))
		pace_learn(&lane->pace, lane->kind, now_us);
	pace_up(&lane->pace, now_us);
	window_restart(&lane->window, warm ? LANE_WARM_FACTOR * lane->window_before : 1, !warm, now_us);
	lane->state = LANE_UP;
	lane->recovered = true;
	lane->since_us = now_us;
	lane->since_wall_ms = wall_ms;
	lane->pushbacks = 0;
	lane->stale_connecting = 0;
	lane->probe.failures = 0;
}

void lane_heard(struct lane *lane, int64_t now_us)
{
	lane->hears = true;
	lane->heard_us = now_us;
}

/* Where some messages take many times as long as others, a long silence is one of those. */
static double spread(const struct lane_window *w)
{
	return fmin(LANE_STALL_SPREAD_MAX, exp(LANE_STALL_DEVIATIONS * sqrt(w->variance)));
}

int64_t lane_stall_limit_us(const struct lane *lane)
{
	double round_us = lane->window.latency_s * spread(&lane->window) * 1e6;
	int64_t latency_us = round_us > (double)lane->latency_us ? (int64_t)round_us : lane->latency_us;
	int64_t least_us = !lane->hears	     ? LANE_STALL_BLIND_US
			   : latency_us == 0 ? LANE_STALL_FIRST_US
					     : LANE_STALL_US;

	return LANE_STALL_LATENCIES * latency_us > least_us ? LANE_STALL_LATENCIES * latency_us : least_us;
}

/* The canary hangs, past its dot perhaps, on a connection that the server has forgotten: others may try. */
static void give_up_canary(struct lane *lane, int64_t now_us, int64_t wall_ms)
{
	if (!lane->probing || now_us - lane->heard_us < PROBE_PATIENCE_US)
		return;
	lane->probing = false;
	lane->hung = lane->in_flight;
	lane_go_down(lane, LANE_KIND_TIMEOUT, now_us, wall_ms);
}

bool lane_tick(struct lane *lane, int64_t now_us, int64_t wall_ms)
{
	if (lane->state == LANE_DOWN) {
		give_up_canary(lane, now_us, wall_ms);
		return false;
	}
	if (lane->in_flight <= lane->hung || now_us - lane->heard_us < lane_stall_limit_us(lane))
		return false;
	keep_reply(lane, SLICE("no reply on any connection"));
	return lane_go_down(lane, LANE_KIND_TIMEOUT, now_us, wall_ms);
}

void lane_conn_opening(struct lane *lane, int64_t now_us)
{
	if (lane->state == LANE_DOWN && lane->connecting <= lane->stale_connecting)
		probe_attempt(&lane->probe);
	lane->connecting++;
}

static void end_connecting(struct lane *lane)
{
	check(lane->connecting > 0);
	lane->connecting--;
	if (lane->stale_connecting > 0)
		lane->stale_connecting--;
}

void lane_conn_ready(struct lane *lane, int64_t now_us)
{
	end_connecting(lane);
	lane->open++;
	conn_limit_ready(&lane->conn_limit, lane->open, now_us);
	lane->heard_us = now_us;
}

void lane_conn_closed(struct lane *lane, int64_t now_us)
{
	check(lane->open > 0);
	lane->open--;
}

/* A connect that got no answer while others are being served is a limit somewhere, not the server's death. */
static bool is_lone_timeout(const struct lane *lane, enum lane_kind kind, int64_t now_us)
{
	return kind == LANE_KIND_TIMEOUT && lane->state == LANE_UP && lane->open > 0 &&
	       lane->last_success_us != 0 && now_us - lane->last_success_us < LANE_RECENT_US;
}

bool lane_conn_failed(struct lane *lane, const struct verdict_result *result, struct slice reply,
		      int64_t now_us, int64_t wall_ms)
{
	end_connecting(lane);
	if (result->verdict == VERDICT_LATER) {
		lane->pause_until_us = now_us + LANE_LOCAL_PAUSE_US;
		return false;
	}
	keep_reply(lane, reply);
	if (lane->state == LANE_UP && lane->open > 0 &&
	    (result->verdict == VERDICT_CONN_LIMIT || is_lone_timeout(lane, result->kind, now_us))) {
		conn_limit_refused(&lane->conn_limit, lane->open, now_us);
		return false;
	}
	return lane_go_down(lane, result->kind, now_us, wall_ms);
}

/* To be called before their number changes. */
static void note_places(struct lane *lane, int64_t now_us)
{
	window_flight(&lane->window, lane->in_flight + lane->recording, now_us);
}

void lane_recording_begun(struct lane *lane, int64_t now_us)
{
	note_places(lane, now_us);
	lane->recording++;
}

void lane_recording_ended(struct lane *lane, int64_t now_us)
{
	check(lane->recording > 0);
	note_places(lane, now_us);
	lane->recording--;
}

void lane_transaction_started(struct lane *lane, bool canary, int64_t now_us)
{
	note_places(lane, now_us);
	if (lane->in_flight == lane->hung) {
		if (lane->state == LANE_UP && now_us - lane->ended_us >= LANE_IDLE_US)
			window_idle(&lane->window, now_us);
		lane->heard_us = now_us;
	}
	lane->in_flight++;
	if (canary) {
		lane->probing = true;
		lane->heard_us = now_us;
	}
	if (lane->state == LANE_UP)
		pace_started(&lane->pace, now_us);
}

void lane_mail_reply(struct lane *lane, int64_t mail_sent_us, int64_t now_us)
{
	lane_heard(lane, now_us);
	lane->hears_mail = true;
	if (lane->state == LANE_UP)
		window_mail_reply(&lane->window, now_us - mail_sent_us);
}

/* One that began before the last failure had its window then. */
static void end_flight(struct lane *lane, const struct lane_sample *sample, int64_t now_us)
{
	check(lane->in_flight > 0);
	note_places(lane, now_us);
	lane->in_flight--;
	lane->ended_us = now_us;
	if (lane->hung > 0 && sample->mail_sent_us != 0 && sample->mail_sent_us <= lane->down_us)
		lane->hung--;
	if (lane->hung > lane->in_flight)
		lane->hung = lane->in_flight;
	window_trial_flight(&lane->window, lane->in_flight - lane->hung, now_us);
	if (sample->canary)
		lane->probing = false;
}

/* The server answered MAIL or RCPT with sense: it is up, whatever it thinks of this message. */
static bool proves_life(const struct lane_sample *sample)
{
	switch (sample->verdict) {
	case VERDICT_OK:
	case VERDICT_DOMAIN:
	case VERDICT_REFUSED:
	case VERDICT_MESSAGE:
	case VERDICT_US:
		return true;
	case VERDICT_RECIPIENT:
		return sample->kind == LANE_KIND_NONE; /* not 4.3.x */
	case VERDICT_HOST:
	case VERDICT_CONN_LIMIT:
	case VERDICT_RATE:
	case VERDICT_PRESSURE:
	case VERDICT_BUSY:
	case VERDICT_LATER:
	case VERDICT_UNKNOWN:
		return false;
	}
	check_never();
}

/* What is met while down: a canary decides; of the others only a late success after silence does. */
static bool ended_while_down(struct lane *lane, const struct lane_sample *sample, int64_t now_us,
			     int64_t wall_ms)
{
	if (proves_life(sample) &&
	    (sample->canary || (sample->verdict == VERDICT_OK && lane->kind == LANE_KIND_TIMEOUT))) {
		lane_go_up(lane, now_us, wall_ms);
		return true;
	}
	if (!sample->canary)
		return false;
	if (sample->verdict == VERDICT_LATER)
		probe_abandoned(&lane->probe, now_us);
	else
		lane_go_down(lane, sample->kind != LANE_KIND_NONE ? sample->kind : lane->kind, now_us,
			     wall_ms);
	return false;
}

/* Something went wrong that may be one connection's fate: down only when it repeats without a success
 * between. */
static bool push_back(struct lane *lane, enum lane_kind kind, uint32_t limit, int64_t now_us, int64_t wall_ms)
{
	if (lane->pushbacks++ == 0)
		lane->window_pushback = lane->window.size;
	if (lane->pushbacks >= limit)
		return lane_go_down(lane, kind, now_us, wall_ms);
	return false;
}

static uint32_t pushback_limit(const struct lane *lane, enum lane_kind kind)
{
	if (kind == LANE_KIND_RESET)
		return LANE_RESETS;
	return lane->window.size > LANE_PUSHBACKS_MIN ? (uint32_t)lane->window.size : LANE_PUSHBACKS_MIN;
}

static bool ended_badly(struct lane *lane, const struct lane_sample *sample, int64_t now_us, int64_t wall_ms)
{
	bool down;

	switch (sample->verdict) {
	case VERDICT_HOST:
		/* One reset among others under way may be that connection's; the next one without a success
		 * is not. */
		if (sample->kind == LANE_KIND_RESET && lane->in_flight > lane->hung)
			return push_back(lane, sample->kind, LANE_RESETS, now_us, wall_ms);
		return lane_go_down(lane, sample->kind, now_us, wall_ms);
	case VERDICT_RATE:
	case VERDICT_PRESSURE:
		return lane_go_down(lane, sample->kind, now_us, wall_ms);
	case VERDICT_BUSY:
	case VERDICT_UNKNOWN:
		down = push_back(lane, sample->kind, pushback_limit(lane, sample->kind), now_us, wall_ms);
		if (!down)
			window_busy(&lane->window, now_us);
		return down;
	case VERDICT_CONN_LIMIT:
	case VERDICT_LATER:
	case VERDICT_OK:
	case VERDICT_DOMAIN:
	case VERDICT_REFUSED:
	case VERDICT_RECIPIENT:
	case VERDICT_MESSAGE:
	case VERDICT_US:
		return false;
	}
	check_never();
}

bool lane_transaction_ended(struct lane *lane, const struct lane_sample *sample, int64_t now_us,
			    int64_t wall_ms)
{
	end_flight(lane, sample, now_us);
	lane->delivered_total += sample->recipients_ok;
	lane->deferred_total += sample->recipients_deferred;
	keep_reply(lane, sample->reply);
	if (proves_life(sample)) {
		lane->last_success_us = now_us;
		lane->pushbacks = 0;
	}
	if (sample->verdict == VERDICT_OK) {
		pace_accepted(&lane->pace, now_us);
		lane->latency_us = now_us - sample->mail_sent_us;
	}
	if (sample->verdict != VERDICT_LATER && sample->verdict != VERDICT_UNKNOWN)
		lane->heard_us = now_us;
	if (lane->state == LANE_DOWN)
		return ended_while_down(lane, sample, now_us, wall_ms);
	if (!lane->hears_mail && sample->mail_sent_us != 0 && sample->mail_reply_us != 0)
		window_mail_reply(&lane->window, sample->mail_reply_us - sample->mail_sent_us);
	if (sample->verdict == VERDICT_OK && sample->mail_sent_us != 0)
		window_sample(&lane->window, &lane->config, sample->mail_sent_us,
			      lane->in_flight - lane->hung, conn_limit_allows(&lane->conn_limit, now_us),
			      now_us);
	return ended_badly(lane, sample, now_us, wall_ms);
}

void lane_canary_abandoned(struct lane *lane, int64_t now_us)
{
	if (!lane->probing) { /* it had not even begun */
		probe_abandoned(&lane->probe, now_us);
		return;
	}
	lane_transaction_ended(lane, &(struct lane_sample){.verdict = VERDICT_LATER, .canary = true}, now_us,
			       0);
}

bool lane_dns_failed(struct lane *lane, struct slice why, int64_t now_us, int64_t wall_ms)
{
	keep_reply(lane, why);
	if (lane->state == LANE_UP && lane->open > 0)
		return false;
	if (lane->state == LANE_DOWN)
		probe_attempt(&lane->probe);
	return lane_go_down(lane, LANE_KIND_DNS, now_us, wall_ms);
}
