#include "lane/lane.h"

#include <math.h>
#include <string.h>

#include "base/wire.h"
#include "lane/lane_internal.h"
#include "lane/tuning.h"

enum { SAVED_VERSION = 1 };

static void save_pace(struct wire_writer *w, const struct pace *p, int64_t now_us)
{
	int64_t hold_us = p->hold_us - now_us;

	wire_write_u8(w, (uint8_t)p->kind);
	wire_write_double(w, p->kind == LANE_KIND_NONE ? 0 : pace_per_s(p, now_us));
	wire_write_i64(w, hold_us > 0 ? hold_us : 0);
	wire_write_u32(w, p->agreements);
}

static void save_window(struct wire_writer *w, const struct lane *lane)
{
	const struct window_relapse *relapse = &lane->window.relapse;

	wire_write_double(w, lane->state == LANE_UP ? lane->window.size : lane->window_before);
	wire_write_u8(w, lane->window.verified);
	wire_write_u32(w, relapse->count);
	wire_write_double(w, relapse->crash_window);
	wire_write_double(w, relapse->crash_age_s);
}

int lane_save(const struct lane *lane, int64_t now_us, struct buffer *to)
{
	struct wire_writer w = wire_writer(to);

	wire_write_u8(&w, SAVED_VERSION);
	wire_write_u8(&w, (uint8_t)lane->state);
	wire_write_u8(&w, (uint8_t)lane->kind);
	wire_write_u8(&w, lane->warm);
	wire_write_u8(&w, lane->recovered);
	wire_write_u8(&w, lane->last_success_us != 0);
	wire_write_i64(&w, lane->since_wall_ms);
	wire_write_i64(&w, lane->latency_us);
	wire_write_u64(&w, lane->delivered_total);
	wire_write_u64(&w, lane->deferred_total);
	wire_write_string(&w, slice_of(lane->last_reply));
	save_window(&w, lane);
	wire_write_u32(&w, lane->conn_limit.limit);
	wire_write_u32(&w, lane->conn_limit.refusals);
	save_pace(&w, &lane->pace, now_us);
	return w.failed ? ERR_MEMORY : 0;
}

static bool is_within(double value, double least, double most)
{
	return isfinite(value) && value >= least && value <= most;
}

/* Reading a value that must be one of few marks the reader failed when it is not. */
static uint8_t read_small(struct wire_reader *r, uint8_t most)
{
	uint8_t value = wire_read_u8(r);

	if (value > most)
		r->failed = true;
	return value;
}

static double read_within(struct wire_reader *r, double least, double most)
{
	double value = wire_read_double(r);

	if (!is_within(value, least, most))
		r->failed = true;
	return value;
}

static int64_t read_duration(struct wire_reader *r)
{
	int64_t value = wire_read_i64(r);

	if (value < 0 || value > SAVED_DURATION_MAX)
		r->failed = true;
	return value;
}

static void load_reply(struct lane *lane, struct slice reply)
{
	reply = slice_upto(reply, sizeof(lane->last_reply) - 1);
	memset(lane->last_reply, 0, sizeof(lane->last_reply));
	if (reply.size > 0)
		memcpy(lane->last_reply, reply.data, reply.size);
}

static void load_pace(struct wire_reader *r, struct pace *p, int64_t now_us)
{
	uint8_t kind = read_small(r, LANE_KIND_BANNER);
	double per_s = read_within(r, 0, INFINITY);

	*p = (struct pace){.up_us = now_us};
	p->hold_us = now_us + read_duration(r);
	p->agreements = wire_read_u32(r);
	if (p->agreements > PACE_AGREEMENTS_MAX)
		r->failed = true;
	if ((kind != LANE_KIND_RATE && kind != LANE_KIND_452) || per_s < PACE_LEAST_PER_S)
		return;
	p->kind = (enum lane_kind)kind;
	p->per_s = per_s;
}

/* The window itself begins anew, small: the server may have been restarted meanwhile as well. */
static void load_window(struct wire_reader *r, struct lane *lane, int64_t now_us)
{
	double size = read_within(r, 0, LANE_SAVED_WINDOW_MAX);
	struct lane_window *w = &lane->window;

	w->verified = read_small(r, 1);
	w->relapse.count = wire_read_u32(r);
	w->relapse.crash_window = read_within(r, 0, LANE_SAVED_WINDOW_MAX);
	w->relapse.crash_age_s = read_within(r, 0, RELAPSE_US / 1e6);
	if (w->relapse.count > RELAPSE_COUNT_MAX)
		r->failed = true;
	lane->window_before = size;
	window_restart(w, fmin(size, IDLE_WINDOW), true, now_us);
}

static void load_conn_limit(struct wire_reader *r, struct conn_limit *c, int64_t now_us)
{
	*c = (struct conn_limit){.limit = wire_read_u32(r), .refusals = wire_read_u32(r), .poll_us = now_us};
}

/* The outage goes on: its length by the wall clock. The first probe comes within one interval, so that ten
 * thousand lanes do not probe at once when the program starts. */
static void resume_down(struct lane *lane, int64_t now_us, int64_t wall_ms)
{
	int64_t down_ms = wall_ms - lane->since_wall_ms, wait_us;

	lane->down_us = lane->since_us = now_us - (down_ms > 0 ? down_ms * 1000 : 0);
	probe_start(&lane->probe, lane->kind, &lane->rng, now_us);
	lane->probe.class_us = lane->down_us;
	wait_us = probe_interval_us(lane->kind, now_us - lane->down_us, 0);
	lane->probe.next_us = now_us + rng_between(&lane->rng, 0, wait_us);
}

static bool read_lane(struct wire_reader *r, struct lane *lane, int64_t now_us)
{
	lane->state = (enum lane_state)read_small(r, LANE_DOWN);
	lane->kind = (enum lane_kind)read_small(r, LANE_KIND_BANNER);
	lane->warm = read_small(r, 1);
	lane->recovered = read_small(r, 1);
	lane->last_success_us = read_small(r, 1) != 0 ? now_us : 0;
	lane->since_wall_ms = read_duration(r);
	lane->latency_us = read_duration(r);
	lane->delivered_total = wire_read_u64(r);
	lane->deferred_total = wire_read_u64(r);
	load_reply(lane, wire_read_string(r));
	load_window(r, lane, now_us);
	load_conn_limit(r, &lane->conn_limit, now_us);
	load_pace(r, &lane->pace, now_us);
	return wire_ok(r);
}

int lane_load(struct lane *lane, struct slice from, int64_t now_us, int64_t wall_ms)
{
	struct wire_reader r = wire_reader(from);
	struct lane loaded = *lane;
	uint8_t version = wire_read_u8(&r);

	if (wire_ok(&r) && version > SAVED_VERSION)
		return ERR_VERSION;
	if (version != SAVED_VERSION || !read_lane(&r, &loaded, now_us))
		return ERR_CORRUPT;
	if (loaded.state == LANE_DOWN)
		resume_down(&loaded, now_us, wall_ms);
	*lane = loaded;
	return 0;
}
