#include "lane/domain_state.h"

#include <string.h>

#include "base/check.h"
#include "base/wire.h"
#include "lane/tuning.h"

enum { SAVED_VERSION = 1 };

const char *domain_state_name(enum domain_state state)
{
	static const char *const names[] = {"open", "refusing", "paused", "waiting"};

	check((unsigned)state < sizeof(names) / sizeof(names[0]));
	return names[state];
}

static void set_reason(struct domain_flow *flow, struct slice reason)
{
	reason = slice_upto(reason, sizeof(flow->reason) - 1);
	if (reason.size > 0)
		memcpy(flow->reason, reason.data, reason.size);
	flow->reason[reason.size] = '\0';
}

/* Returns true when it was another state. */
static bool enter(struct domain_flow *flow, enum domain_state state, struct slice reason, int64_t wall_ms)
{
	bool changed = flow->state != state;

	set_reason(flow, reason);
	if (!changed)
		return false;
	flow->state = state;
	flow->since_wall_ms = wall_ms;
	if (state == DOMAIN_OPEN)
		flow->epoch++;
	return true;
}

static bool open_or_wait(struct domain_flow *flow, int64_t wall_ms)
{
	if (!flow->destination_known)
		return enter(flow, DOMAIN_WAITING, SLICE("no destination is known yet"), wall_ms);
	if (flow->refusing)
		return enter(flow, DOMAIN_REFUSING, SLICE("the server refused valid recipients"), wall_ms);
	return enter(flow, DOMAIN_OPEN, SLICE(""), wall_ms);
}

void domain_flow_init(struct domain_flow *flow, int64_t wall_ms)
{
	memset(flow, 0, sizeof(*flow));
	flow->state = DOMAIN_OPEN;
	flow->destination_known = true;
	flow->since_wall_ms = wall_ms;
}

bool domain_flows(const struct domain_flow *flow)
{
	return flow->state == DOMAIN_OPEN;
}

int64_t domain_deadline(const struct domain_flow *flow, int64_t now_us, int64_t wall_ms)
{
	if (flow->state != DOMAIN_PAUSED || flow->resume_wall_ms == 0)
		return INT64_MAX;
	int64_t wait_ms = flow->resume_wall_ms - wall_ms;
	/* The wall clock may jump: look again once an hour. */
	if (wait_ms > DOMAIN_PAUSE_LOOK_MS)
		wait_ms = DOMAIN_PAUSE_LOOK_MS;
	return now_us + (wait_ms > 0 ? wait_ms * 1000 : 0);
}

bool domain_refusing(struct domain_flow *flow, bool refusing, struct slice why, int64_t wall_ms)
{
	flow->refusing = refusing;
	if (flow->state == DOMAIN_PAUSED || flow->state == DOMAIN_WAITING)
		return false;
	if (refusing)
		return enter(flow, DOMAIN_REFUSING, why, wall_ms);
	return flow->state == DOMAIN_REFUSING && open_or_wait(flow, wall_ms);
}

bool domain_pause(struct domain_flow *flow, int64_t until_wall_ms, int64_t wall_ms)
{
	flow->resume_wall_ms = until_wall_ms;
	return enter(flow, DOMAIN_PAUSED, SLICE("paused by hand"), wall_ms);
}

bool domain_resume(struct domain_flow *flow, int64_t wall_ms)
{
	if (flow->state != DOMAIN_PAUSED)
		return false;
	flow->resume_wall_ms = 0;
	return open_or_wait(flow, wall_ms);
}

bool domain_destination(struct domain_flow *flow, bool known, struct slice why, int64_t wall_ms)
{
	flow->destination_known = known;
	if (flow->state == DOMAIN_PAUSED)
		return false;
	if (!known)
		return enter(flow, DOMAIN_WAITING, why, wall_ms);
	if (flow->state == DOMAIN_WAITING)
		return open_or_wait(flow, wall_ms);
	return false;
}

bool domain_tick(struct domain_flow *flow, int64_t now_us, int64_t wall_ms)
{
	(void)now_us;
	if (flow->state != DOMAIN_PAUSED || flow->resume_wall_ms == 0 || wall_ms < flow->resume_wall_ms)
		return false;
	return domain_resume(flow, wall_ms);
}

int domain_flow_save(const struct domain_flow *flow, struct buffer *to)
{
	struct wire_writer w = wire_writer(to);

	wire_write_u8(&w, SAVED_VERSION);
	wire_write_u8(&w, (uint8_t)flow->state);
	wire_write_u8(&w, flow->destination_known);
	wire_write_i64(&w, flow->since_wall_ms);
	wire_write_i64(&w, flow->resume_wall_ms);
	wire_write_u32(&w, flow->epoch);
	wire_write_string(&w, slice_of(flow->reason));
	return w.failed ? ERR_MEMORY : 0;
}

int domain_flow_load(struct domain_flow *flow, struct slice from, int64_t wall_ms)
{
	struct wire_reader r = wire_reader(from);
	struct domain_flow loaded;
	uint8_t version = wire_read_u8(&r), state = wire_read_u8(&r), known = wire_read_u8(&r);

	if (wire_ok(&r) && version > SAVED_VERSION)
		return ERR_VERSION;
	domain_flow_init(&loaded, wall_ms);
	loaded.since_wall_ms = wire_read_i64(&r);
	loaded.resume_wall_ms = wire_read_i64(&r);
	loaded.epoch = wire_read_u32(&r);
	set_reason(&loaded, wire_read_string(&r));
	if (!wire_ok(&r) || version == 0 || state > DOMAIN_WAITING || known > 1)
		return ERR_CORRUPT;
	loaded.state = (enum domain_state)state;
	loaded.destination_known = known;
	loaded.refusing = state == DOMAIN_REFUSING;
	*flow = loaded;
	return 0;
}
