#include <string.h>

#include "base/wire.h"
#include "lane/refusal_internal.h"
#include "lane/tuning.h"

enum { SAVED_VERSION = 1 };

static int64_t remaining(int64_t until_us, int64_t now_us)
{
	return until_us > now_us ? until_us - now_us : 0;
}

int refusal_save(const struct refusal *r, int64_t now_us, struct buffer *to)
{
	struct wire_writer w = wire_writer(to);

	wire_write_u8(&w, SAVED_VERSION);
	wire_write_u8(&w, (uint8_t)r->state);
	wire_write_u8(&w, (uint8_t)r->cause);
	wire_write_u8(&w, r->alarmed);
	wire_write_u8(&w, r->released);
	wire_write_i64(&w, remaining(now_us, r->since_us));
	wire_write_i64(&w, remaining(r->grace_until_us, now_us));
	wire_write_i64(&w, r->released ? remaining(now_us, r->released_us) : 0);
	wire_write_u32(&w, r->relapses);
	wire_write_double(&w, r->share);
	return w.failed ? ERR_MEMORY : 0;
}

static bool is_duration(int64_t value)
{
	return value >= 0 && value <= SAVED_DURATION_MAX;
}

/* A state and a cause that belong together. */
static bool fits(uint8_t state, uint8_t cause)
{
	if (state == REFUSAL_TRUSTED)
		return cause == REFUSAL_NO_CAUSE;
	return state <= REFUSAL_HOLDING && cause != REFUSAL_NO_CAUSE && cause <= REFUSAL_UNSURE;
}

int refusal_load(struct refusal *r, struct slice from, int64_t now_us)
{
	struct wire_reader reader = wire_reader(from);
	struct refusal loaded;
	uint8_t version = wire_read_u8(&reader), state = wire_read_u8(&reader);
	uint8_t cause = wire_read_u8(&reader), alarmed = wire_read_u8(&reader);
	uint8_t released = wire_read_u8(&reader);
	int64_t age_us = wire_read_i64(&reader), grace_us = wire_read_i64(&reader);
	int64_t released_us = wire_read_i64(&reader);

	if (wire_ok(&reader) && version > SAVED_VERSION)
		return ERR_VERSION;
	refusal_init(&loaded, now_us);
	loaded.relapses = wire_read_u32(&reader);
	loaded.share = wire_read_double(&reader);
	if (!wire_ok(&reader) || version == 0 || !fits(state, cause) || alarmed > 1 || released > 1)
		return ERR_CORRUPT;
	if (!is_duration(age_us) || grace_us < 0 || grace_us > REFUSAL_GRACE_US ||
	    !is_duration(released_us) || loaded.relapses > REFUSAL_RELAPSES_MAX ||
	    !(loaded.share >= 0 && loaded.share <= 1))
		return ERR_CORRUPT;
	loaded.state = (enum refusal_state)state;
	loaded.cause = (enum refusal_cause)cause;
	loaded.alarmed = alarmed;
	loaded.released = released;
	loaded.since_us = now_us - age_us;
	loaded.grace_until_us = now_us + grace_us;
	loaded.released_us = now_us - released_us;
	loaded.last_refused_us = now_us;
	*r = loaded;
	return 0;
}
