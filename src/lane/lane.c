#include "lane/lane.h"

#include <math.h>
#include <string.h>

#include "base/check.h"
#include "lane/lane_internal.h"
#include "lane/tuning.h"

void lane_config_defaults(struct lane_config *config)
{
	*config = (struct lane_config){
	    .window_max = 50,
	    .window_first_contact = 20,
	    .ramp_doubling_ms = 3000,
	    .messages_per_connection = 100,
	    .connection_idle_ms = 2000,
	    .last_connection_idle_ms = 5000,
	};
}

void lane_init(struct lane *lane, const struct lane_config *config, uint64_t seed, int64_t now_us,
	       int64_t wall_ms)
{
	memset(lane, 0, sizeof(*lane));
	lane->config = *config;
	rng_init(&lane->rng, seed);
	lane->since_us = now_us;
	lane->since_wall_ms = wall_ms;
	lane->heard_us = lane->ended_us = now_us;
	window_init(&lane->window, now_us);
	pace_up(&lane->pace, now_us);
}

/* A transaction may be started before its connection is ready; the other opening connections wait for one. */
static uint32_t connecting_without_transaction(const struct lane *lane)
{
	uint32_t without_connection = lane->in_flight > lane->open ? lane->in_flight - lane->open : 0;

	return lane->connecting > without_connection ? lane->connecting - without_connection : 0;
}

/* W is bounded by the connections that the server allows, but for the one that polls for more. */
static double window_most(const struct lane *lane, int64_t now_us)
{
	return conn_limit_allows(&lane->conn_limit, now_us);
}

static uint32_t sends(const struct lane *lane, int64_t now_us)
{
	double window = fmax(1, fmin(window_in_force(&lane->window), window_most(lane, now_us)));
	uint32_t size = (uint32_t)floor(window), used = lane->in_flight - lane->hung + lane->recording;

	if (size <= used || !pace_allows(&lane->pace, now_us))
		return 0;
	return lane->pace.kind != LANE_KIND_NONE ? 1 : size - used; /* paced: one by one */
}

static uint32_t minus(uint32_t a, uint32_t b)
{
	return a > b ? a - b : 0;
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* A server that just came back is not greeted by all of our connections at once. */
static uint32_t connects(const struct lane *lane, uint32_t sends, int64_t now_us)
{
	uint32_t most = lane->open / 2 > 2 ? lane->open / 2 : 2;
	uint32_t room =
	    least(minus(most, lane->connecting),
		  minus(conn_limit_allows(&lane->conn_limit, now_us), lane->open + lane->connecting));

	if (now_us < lane->pause_until_us)
		return 0;
	return least(room, minus(sends, connecting_without_transaction(lane)));
}

static bool probe_under_way(const struct lane *lane)
{
	return lane->probing || lane->connecting > lane->stale_connecting;
}

struct lane_permit lane_permit(struct lane *lane, int64_t now_us)
{
	struct lane_permit permit = {0};

	if (lane->state == LANE_DOWN) {
		permit.probe =
		    !probe_under_way(lane) && now_us >= lane->probe.next_us && now_us >= lane->pause_until_us;
		return permit;
	}
	permit.sends = sends(lane, now_us);
	permit.connects = connects(lane, permit.sends, now_us);
	return permit;
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t sooner(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* A probe that is due but not taken (nothing to send yet) is offered again, without spinning. */
static int64_t probe_deadline(const struct lane *lane, int64_t now_us)
{
	int64_t due_us = later(lane->probe.next_us, lane->pause_until_us);

	if (lane->probing)
		return later(lane->heard_us + PROBE_PATIENCE_US, now_us + 1);
	if (probe_under_way(lane))
		return INT64_MAX;
	return due_us > now_us ? due_us : now_us + PROBE_ABANDONED_US;
}

int64_t lane_deadline(const struct lane *lane, int64_t now_us)
{
	int64_t deadline_us = INT64_MAX;

	if (lane->state == LANE_DOWN)
		return probe_deadline(lane, now_us);
	if (lane->in_flight > lane->hung)
		deadline_us = lane->heard_us + lane_stall_limit_us(lane);
	if (now_us < lane->pause_until_us)
		deadline_us = sooner(deadline_us, lane->pause_until_us);
	deadline_us = sooner(deadline_us, pace_deadline(&lane->pace, now_us));
	return sooner(deadline_us, conn_limit_deadline(&lane->conn_limit, now_us));
}

void lane_hint(struct lane *lane, bool force, int64_t now_us)
{
	if (lane->state == LANE_DOWN)
		probe_hint(&lane->probe, force, now_us);
}

int64_t lane_idle_limit_us(const struct lane *lane)
{
	return 1000 *
	       (lane->open > 1 ? lane->config.connection_idle_ms : lane->config.last_connection_idle_ms);
}

static int64_t next_probe_us(const struct lane *lane, int64_t now_us)
{
	if (lane->state != LANE_DOWN)
		return INT64_MAX;
	return probe_under_way(lane) ? now_us : lane->probe.next_us;
}

void lane_view(const struct lane *lane, int64_t now_us, struct lane_view *ret_view)
{
	double pace = pace_per_s(&lane->pace, now_us);

	*ret_view = (struct lane_view){
	    .state = lane->state,
	    .phase = (enum lane_phase)lane->window.phase,
	    .kind = lane->kind,
	    .since_wall_ms = lane->since_wall_ms,
	    .window = lane->state == LANE_UP ? lane->window.size : 0,
	    .rate_per_s = lane->state == LANE_UP ? lane->window.rate_per_s : 0,
	    .in_flight = lane->in_flight,
	    .open = lane->open,
	    .next_probe_us = next_probe_us(lane, now_us),
	    .down_since_us = lane->down_us,
	    .connection_limit = lane->conn_limit.limit,
	    .rate_limit_per_s = isinf(pace) ? 0 : pace,
	    .delivered_total = lane->delivered_total,
	    .deferred_total = lane->deferred_total,
	    .last_reply = lane->last_reply,
	};
}
