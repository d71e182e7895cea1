#include "lane/lane.h"

#include <math.h>
#include <string.h>

#include "base/wire.h"
#include "lane/lane_internal.h"
#include "lane/tuning.h"

enum { SAVED_VERSION = 1 };

int lane_save(const struct lane *lane, int64_t now_us, struct buffer *to)
{
	struct wire_writer w = wire_writer(to);

	wire_write_u8(&w, SAVED_VERSION);
	wire_write_u8(&w, (uint8_t)lane->state);
	wire_write_u8(&w, (uint8_t)lane->kind);
	wire_write_u8(&w, lane->warm);
	wire_write_i64(&w, lane->since_wall_ms);
	wire_write_double(&w, lane->state == LANE_UP ? lane->window.size : lane->window_before);
	wire_write_u64(&w, lane->delivered_total);
	wire_write_u64(&w, lane->deferred_total);
	wire_write_u8(&w, lane->last_success_us != 0);
	wire_write_string(&w, slice_of(lane->last_reply));
	return w.failed ? ERR_MEMORY : 0;
}

static bool is_valid_window(double size)
{
	return isfinite(size) && size >= 1 && size <= LANE_SAVED_WINDOW_MAX;
}

static void load_reply(struct lane *lane, struct slice reply)
{
	reply = slice_upto(reply, sizeof(lane->last_reply) - 1);
	memset(lane->last_reply, 0, sizeof(lane->last_reply));
	if (reply.size > 0)
		memcpy(lane->last_reply, reply.data, reply.size);
}

/* The outage goes on: its length by the wall clock. The first probe comes within one interval, so that ten
 * thousand lanes do not probe at once when the program starts. */
static void resume_down(struct lane *lane, double window, int64_t now_us, int64_t wall_ms)
{
	int64_t down_ms = wall_ms - lane->since_wall_ms, wait_us;

	lane->down_us = lane->since_us = now_us - (down_ms > 0 ? down_ms * 1000 : 0);
	lane->window_before = window;
	probe_start(&lane->probe, lane->kind, &lane->rng, now_us);
	lane->probe.class_us = lane->down_us;
	wait_us = probe_interval_us(lane->kind, now_us - lane->down_us, 0);
	lane->probe.next_us = now_us + rng_between(&lane->rng, 0, wait_us);
}

int lane_load(struct lane *lane, struct slice from, int64_t now_us, int64_t wall_ms)
{
	struct wire_reader r = wire_reader(from);
	struct lane loaded = *lane;
	uint8_t version = wire_read_u8(&r), state = wire_read_u8(&r), kind = wire_read_u8(&r),
		warm = wire_read_u8(&r);
	double window;

	if (wire_ok(&r) && version > SAVED_VERSION)
		return ERR_VERSION;
	loaded.since_wall_ms = wire_read_i64(&r);
	window = wire_read_double(&r);
	loaded.delivered_total = wire_read_u64(&r);
	loaded.deferred_total = wire_read_u64(&r);
	loaded.last_success_us = wire_read_u8(&r) != 0 ? now_us : 0;
	load_reply(&loaded, wire_read_string(&r));
	if (!wire_ok(&r) || version == 0 || state > LANE_DOWN || kind > LANE_KIND_BANNER || warm > 1 ||
	    !is_valid_window(window))
		return ERR_CORRUPT;
	loaded.state = (enum lane_state)state;
	loaded.kind = (enum lane_kind)kind;
	loaded.warm = warm != 0;
	if (loaded.state == LANE_DOWN)
		resume_down(&loaded, window, now_us, wall_ms);
	*lane = loaded;
	return 0;
}
