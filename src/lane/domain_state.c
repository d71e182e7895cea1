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

static void forget_refusals(struct domain_flow *flow)
{
	flow->refused_in_row = 0;
	memset(flow->recent_recipient, 0, sizeof(flow->recent_recipient));
	memset(flow->recent_sender, 0, sizeof(flow->recent_sender));
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
	flow->canary_out = false;
	flow->canary_count = 0;
	forget_refusals(flow);
	if (state == DOMAIN_OPEN)
		flow->epoch++;
	return true;
}

static bool open_or_wait(struct domain_flow *flow, int64_t wall_ms)
{
	if (flow->destination_known)
		return enter(flow, DOMAIN_OPEN, SLICE(""), wall_ms);
	return enter(flow, DOMAIN_WAITING, SLICE("no destination is known yet"), wall_ms);
}

void domain_flow_init(struct domain_flow *flow, int64_t wall_ms)
{
	memset(flow, 0, sizeof(*flow));
	flow->state = DOMAIN_OPEN;
	flow->destination_known = true;
	flow->since_wall_ms = wall_ms;
}

/* A canary whose result never came must not end the tests for ever. */
static bool canary_lost(const struct domain_flow *flow, int64_t now_us)
{
	return flow->canary_out && now_us - flow->canary_us >= DOMAIN_CANARY_LOST_US;
}

struct domain_permit domain_permit(const struct domain_flow *flow, int64_t now_us)
{
	bool canary = flow->state == DOMAIN_REFUSING && now_us >= flow->next_canary_us &&
		      (!flow->canary_out || canary_lost(flow, now_us));

	return (struct domain_permit){.flow = flow->state == DOMAIN_OPEN, .canary = canary};
}

int64_t domain_deadline(const struct domain_flow *flow, int64_t now_us, int64_t wall_ms)
{
	int64_t lost_us = flow->canary_us + DOMAIN_CANARY_LOST_US;

	if (flow->state == DOMAIN_PAUSED && flow->resume_wall_ms != 0) {
		int64_t wait_ms = flow->resume_wall_ms - wall_ms;

		/* The wall clock may jump: look again once an hour. */
		if (wait_ms > DOMAIN_PAUSE_LOOK_MS)
			wait_ms = DOMAIN_PAUSE_LOOK_MS;
		return now_us + (wait_ms > 0 ? wait_ms * 1000 : 0);
	}
	if (flow->state != DOMAIN_REFUSING)
		return INT64_MAX;
	if (!flow->canary_out)
		return flow->next_canary_us;
	return flow->next_canary_us > lost_us ? flow->next_canary_us : lost_us;
}

/* The interval runs from one start to the next. */
void domain_canary_out(struct domain_flow *flow, int64_t now_us)
{
	static const int64_t intervals_us[] = DOMAIN_CANARY_INTERVALS_US;
	size_t last = sizeof(intervals_us) / sizeof(intervals_us[0]) - 1;

	flow->canary_out = true;
	flow->canary_us = now_us;
	flow->next_canary_us = now_us + intervals_us[flow->canary_count < last ? flow->canary_count : last];
	flow->canary_count++;
}

void domain_canary_abandoned(struct domain_flow *flow)
{
	flow->canary_out = false;
}

/* Only a recipient and a reverse-path that this run has not seen count. */
static bool is_new_evidence(const struct domain_flow *flow, uint64_t recipient, uint64_t sender)
{
	for (uint32_t i = 0; i < flow->refused_in_row; i++) {
		if (flow->recent_recipient[i] == recipient || flow->recent_sender[i] == sender)
			return false;
	}
	return true;
}

static bool refuse(struct domain_flow *flow, struct slice reply, struct rng *rng, int64_t now_us,
		   int64_t wall_ms)
{
	if (!enter(flow, DOMAIN_REFUSING, reply, wall_ms))
		return false;
	/* The first canary is the active check: at once, a little spread so that many domains do not ask
	 * together. */
	flow->next_canary_us = now_us + rng_between(rng, 0, DOMAIN_FIRST_CANARY_US);
	return true;
}

static bool refused(struct domain_flow *flow, uint64_t recipient, uint64_t sender, struct slice reply,
		    struct rng *rng, int64_t now_us, int64_t wall_ms)
{
	if (flow->state != DOMAIN_OPEN) {
		if (flow->state == DOMAIN_REFUSING)
			set_reason(flow, reply);
		return false;
	}
	if (!is_new_evidence(flow, recipient, sender))
		return false;
	flow->recent_recipient[flow->refused_in_row] = recipient;
	flow->recent_sender[flow->refused_in_row] = sender;
	flow->refused_in_row++;
	if (flow->refused_in_row < DOMAIN_REFUSING_AFTER)
		return false;
	return refuse(flow, reply, rng, now_us, wall_ms);
}

bool domain_outcome(struct domain_flow *flow, enum verdict verdict, uint64_t recipient, uint64_t sender,
		    struct slice reply, struct rng *rng, int64_t now_us, int64_t wall_ms)
{
	flow->canary_out = false;
	switch (verdict) {
	case VERDICT_OK:
		forget_refusals(flow);
		return flow->state == DOMAIN_REFUSING && open_or_wait(flow, wall_ms);
	case VERDICT_DOMAIN:
		if (flow->state == DOMAIN_OPEN)
			return refuse(flow, reply, rng, now_us, wall_ms);
		return refused(flow, recipient, sender, reply, rng, now_us, wall_ms);
	case VERDICT_REFUSED:
	case VERDICT_US:
		return refused(flow, recipient, sender, reply, rng, now_us, wall_ms);
	case VERDICT_HOST:
	case VERDICT_CONN_LIMIT:
	case VERDICT_RATE:
	case VERDICT_PRESSURE:
	case VERDICT_BUSY:
	case VERDICT_RECIPIENT: /* neither for nor against the domain */
	case VERDICT_MESSAGE:
	case VERDICT_LATER:
	case VERDICT_UNKNOWN:
		return false;
	}
	check_never();
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

int domain_flow_load(struct domain_flow *flow, struct slice from, int64_t now_us, int64_t wall_ms)
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
	loaded.next_canary_us = now_us; /* a refusing domain is tested soon after a start */
	*flow = loaded;
	return 0;
}
