#include "lane/distrust.h"

#include <string.h>

#include "base/wire.h"
#include "lane/tuning.h"

enum { SAVED_VERSION = 1 };

void distrust_init(struct distrust *d, int64_t now_us)
{
	memset(d, 0, sizeof(*d));
	d->quiet_us = now_us;
}

/* --- classes --- */

static struct distrust_class *class_find(struct distrust *d, uint64_t hash)
{
	for (uint32_t i = 0; i < DISTRUST_CLASSES; i++)
		if (d->classes[i].hash == hash)
			return &d->classes[i];
	return NULL;
}

/* Is a's place to be given away rather than b's? A free one first, then one that was accepted, then the one
 * unused longest. */
static bool is_less_worth(const struct distrust_class *a, const struct distrust_class *b)
{
	if ((a->hash == 0) != (b->hash == 0))
		return a->hash == 0;
	if ((a->refused > 0) != (b->refused > 0))
		return a->refused == 0;
	return a->used_us < b->used_us;
}

/* Its place, or a free one, or that of another that is not held; NULL: all are held. */
static struct distrust_class *class_take(struct distrust *d, uint64_t hash, int64_t now_us)
{
	struct distrust_class *found = class_find(d, hash), *least = NULL;

	if (found == NULL) {
		for (uint32_t i = 0; i < DISTRUST_CLASSES; i++) {
			struct distrust_class *c = &d->classes[i];
			if (!c->held && (least == NULL || is_less_worth(c, least)))
				least = c;
		}
		if (least == NULL)
			return NULL;
		*least = (struct distrust_class){.hash = hash};
		found = least;
	}
	found->used_us = now_us;
	return found;
}

static void class_free(struct distrust *d, struct distrust_class *c, int64_t now_us)
{
	c->refused = 0;
	if (!c->held)
		return;
	c->held = false;
	d->held_count--;
	if (!distrust_holds(d))
		d->quiet_us = now_us;
}

static void class_hold(struct distrust *d, struct distrust_class *c, int64_t now_us)
{
	if (!distrust_holds(d))
		d->probe_us = now_us + DISTRUST_PROBE_US;
	c->held = true;
	d->held_count++;
}

static void release_all(struct distrust *d, int64_t now_us)
{
	for (uint32_t i = 0; i < DISTRUST_CLASSES; i++)
		if (d->classes[i].hash != 0)
			class_free(d, &d->classes[i], now_us);
	d->all = false;
	d->run_count = d->confirmed = 0;
	d->quiet_us = now_us;
}

/* --- refused --- */

static void set_reply(struct distrust *d, struct slice reply)
{
	reply = slice_upto(reply, sizeof(d->reply) - 1);
	if (reply.size > 0)
		memcpy(d->reply, reply.data, reply.size);
	d->reply[reply.size] = '\0';
}

static bool deserves_alarm(struct distrust *d)
{
	if (d->alarmed || (!d->all && d->held_count < DISTRUST_ALARM_CLASSES))
		return false;
	d->alarmed = true;
	return true;
}

/* So many classes refused and none accepted: it may be our address. */
static void note_run(struct distrust *d, uint64_t hash, int64_t now_us)
{
	uint32_t most = sizeof(d->run) / sizeof(d->run[0]);

	for (uint32_t i = 0; i < d->run_count; i++)
		if (d->run[i] == hash)
			return;
	if (d->run_count < most)
		d->run[d->run_count++] = hash;
	if (d->run_count == most && !d->all && !d->check_out && now_us >= d->check_us)
		d->check_wanted = true;
}

static bool class_refused(struct distrust *d, const struct distrust_event *event, int64_t now_us)
{
	struct distrust_class *c = class_take(d, event->class_hash, now_us);

	if (c == NULL)
		return false;
	if (c->held)
		return true;
	if (c->refused > 0 && c->message == event->message)
		return false;
	c->refused += c->refused > 0 && c->sender == event->sender ? 1 : DISTRUST_OTHER;
	c->sender = event->sender;
	c->message = event->message;
	if (c->refused < (DISTRUST_REFUSED + c->accepted) * DISTRUST_OTHER)
		return false;
	c->accepted = 0;
	class_hold(d, c, now_us);
	return true;
}

static void refused(struct distrust *d, const struct distrust_event *event, struct distrust_advice *advice,
		    int64_t now_us)
{
	/* Nothing held for an hour: what begins now is another trouble. */
	if (!distrust_holds(d) && now_us - d->quiet_us >= DISTRUST_QUIET_US)
		d->alarmed = false;
	set_reply(d, event->reply);
	if (event->probe)
		d->confirmed = 0;
	note_run(d, event->class_hash, now_us);
	bool held = class_refused(d, event, now_us) || d->all;
	advice->act = held ? DISTRUST_HOLD : DISTRUST_PARK;
	advice->alarm = deserves_alarm(d);
}

/* --- accepted --- */

/* Two classes in a row, or all there are: mended. The next probe goes at once. */
static void confirm(struct distrust *d, uint64_t hash, int64_t now_us)
{
	if (d->confirmed == 0 || d->confirmed_class != hash)
		d->confirmed++;
	d->confirmed_class = hash;
	d->probe_us = now_us;
	if (d->confirmed >= DISTRUST_CONFIRM || d->held_count == 0)
		release_all(d, now_us);
}

static void accepted(struct distrust *d, const struct distrust_event *event, struct distrust_advice *advice,
		     int64_t now_us)
{
	struct distrust_class *c = class_take(d, event->class_hash, now_us);
	bool was_held = (c != NULL && c->held) || d->all;

	d->run_count = 0;
	d->all = false;
	if (c != NULL) {
		class_free(d, c, now_us);
		c->accepted += c->accepted < DISTRUST_ACCEPTED_MAX;
	}
	if (!was_held)
		return;
	advice->released = true;
	confirm(d, event->class_hash, now_us);
}

struct distrust_advice distrust_event(struct distrust *d, const struct distrust_event *event, int64_t now_us)
{
	struct distrust_advice advice = {.act = DISTRUST_NONE};

	if (event->probe)
		d->probe_out = false;
	if (event->verdict == VERDICT_OK)
		accepted(d, event, &advice, now_us);
	else if (event->verdict == VERDICT_US)
		refused(d, event, &advice, now_us);
	return advice;
}

/* --- the check --- */

void distrust_check_out(struct distrust *d, int64_t now_us)
{
	d->check_wanted = false;
	d->check_out = true;
	d->check_us = now_us + DISTRUST_CHECK_US;
}

struct distrust_advice distrust_checked(struct distrust *d, bool answered, bool us, int64_t now_us)
{
	struct distrust_advice advice = {.act = DISTRUST_NONE};

	if (!d->check_out)
		return advice;
	d->check_out = false;
	d->run_count = 0;
	if (!answered || !us)
		return advice;
	if (!distrust_holds(d))
		d->probe_us = now_us + DISTRUST_PROBE_US;
	d->all = true;
	advice.alarm = deserves_alarm(d);
	return advice;
}

/* --- what may be done --- */

bool distrust_holds(const struct distrust *d)
{
	return d->all || d->held_count > 0;
}

bool distrust_permits(const struct distrust *d, uint64_t class_hash)
{
	if (d->all)
		return false;
	for (uint32_t i = 0; i < DISTRUST_CLASSES && d->held_count > 0; i++)
		if (d->classes[i].hash == class_hash)
			return !d->classes[i].held;
	return true;
}

static int64_t probe_due_us(const struct distrust *d)
{
	int64_t lost_us = d->probe_out_us + REFUSAL_PROBE_LOST_US;

	if (!d->probe_out)
		return d->probe_us;
	return lost_us > d->probe_us ? lost_us : d->probe_us;
}

struct distrust_permit distrust_permit(const struct distrust *d, int64_t now_us)
{
	bool lost = d->check_out && now_us >= d->check_us;

	return (struct distrust_permit){
	    .probe = distrust_holds(d) && now_us >= probe_due_us(d),
	    .check = d->check_wanted || lost,
	};
}

int64_t distrust_deadline(const struct distrust *d, int64_t now_us)
{
	int64_t deadline_us = distrust_holds(d) ? probe_due_us(d) : INT64_MAX;

	if (d->check_wanted)
		deadline_us = now_us;
	if (d->check_out && d->check_us < deadline_us)
		deadline_us = d->check_us;
	return deadline_us;
}

void distrust_probe_out(struct distrust *d, int64_t now_us)
{
	d->probe_out = true;
	d->probe_out_us = now_us;
	d->probe_us = now_us + DISTRUST_PROBE_US;
}

void distrust_probe_abandoned(struct distrust *d)
{
	d->probe_out = false;
}

/* --- saved --- */

int distrust_save(const struct distrust *d, struct buffer *to)
{
	struct wire_writer w = wire_writer(to);

	wire_write_u8(&w, SAVED_VERSION);
	wire_write_u8(&w, d->all);
	wire_write_u8(&w, d->alarmed);
	wire_write_string(&w, slice_of(d->reply));
	return w.failed ? ERR_MEMORY : 0;
}

int distrust_load(struct distrust *d, struct slice from, int64_t now_us)
{
	struct wire_reader r = wire_reader(from);
	uint8_t version = wire_read_u8(&r), all = wire_read_u8(&r), alarmed = wire_read_u8(&r);
	struct slice reply = wire_read_string(&r);

	if (wire_ok(&r) && version > SAVED_VERSION)
		return ERR_VERSION;
	if (!wire_ok(&r) || version == 0 || all > 1 || alarmed > 1 || reply.size >= sizeof(d->reply))
		return ERR_CORRUPT;
	distrust_init(d, now_us);
	d->all = all;
	d->alarmed = alarmed;
	d->probe_us = now_us; /* tested soon after a start */
	set_reply(d, reply);
	return 0;
}
