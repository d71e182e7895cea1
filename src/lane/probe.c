#include "lane/probe.h"

#include "base/check.h"
#include "lane/tuning.h"

#define SECOND 1000000LL
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

/* refused, reset, no route, DNS, TLS, a banner that is none: nothing answers as a mail server. */
static int64_t hard_interval_us(int64_t down_us)
{
	if (down_us < HOUR)
		return 5 * SECOND;
	if (down_us < DAY)
		return 10 * SECOND;
	return down_us < 7 * DAY ? 15 * SECOND : 30 * SECOND;
}

/* It answers, but is out of resources. */
static int64_t pressure_interval_us(int64_t down_us, uint32_t failures)
{
	if (down_us >= HOUR)
		return 30 * SECOND;
	if (down_us >= 10 * MINUTE)
		return 20 * SECOND;
	return failures == 0 ? 2 * SECOND : failures == 1 ? 5 * SECOND : 10 * SECOND;
}

/* Each attempt may prolong a penalty. */
static int64_t rate_interval_us(uint32_t failures)
{
	static const int64_t steps_us[] = {2 * SECOND, 5 * SECOND, 10 * SECOND, 20 * SECOND, 30 * SECOND};
	size_t last = sizeof(steps_us) / sizeof(steps_us[0]) - 1;

	return steps_us[failures < last ? failures : last];
}

/* Connections that the server still counts go away soon. */
static int64_t busy_interval_us(int64_t down_us, uint32_t failures)
{
	return failures < 6 ? 2 * SECOND : hard_interval_us(down_us);
}

/* The 5 s of an unanswered connect are the pacing: another one follows soon, so that the server is caught
 * within one cycle of SYNs. Long outages need that less. */
static int64_t timeout_interval_us(int64_t down_us)
{
	return down_us < HOUR ? SECOND / 2 : hard_interval_us(down_us) - 5 * SECOND;
}

int64_t probe_interval_us(enum lane_kind kind, int64_t down_us, uint32_t failures)
{
	switch (kind) {
	case LANE_KIND_TIMEOUT:
		return timeout_interval_us(down_us);
	case LANE_KIND_421:
		return busy_interval_us(down_us, failures);
	case LANE_KIND_4XX:
	case LANE_KIND_452:
		return pressure_interval_us(down_us, failures);
	case LANE_KIND_RATE:
		return rate_interval_us(failures);
	case LANE_KIND_NONE:
	case LANE_KIND_REFUSED:
	case LANE_KIND_RESET:
	case LANE_KIND_DNS:
	case LANE_KIND_TLS:
	case LANE_KIND_BANNER:
		return hard_interval_us(down_us);
	}
	check_never();
}

static bool is_soft(enum lane_kind kind)
{
	return kind == LANE_KIND_4XX || kind == LANE_KIND_452 || kind == LANE_KIND_RATE ||
	       kind == LANE_KIND_421;
}

static void schedule(struct lane_probe *probe, enum lane_kind kind, struct rng *rng, int64_t now_us)
{
	double jitter = 1 - PROBE_JITTER + 2 * PROBE_JITTER * rng_unit(rng);
	int64_t interval_us = probe_interval_us(kind, now_us - probe->class_us, probe->failures);

	probe->next_us = now_us + (int64_t)((double)interval_us * jitter);
}

/* A server that begins to answer, or ceases to, is somewhere else in its life: the schedule begins anew. */
static void learn_class(struct lane_probe *probe, enum lane_kind kind, int64_t now_us)
{
	if (probe->soft == is_soft(kind))
		return;
	probe->soft = is_soft(kind);
	probe->class_us = now_us;
	probe->failures = 0;
}

void probe_start(struct lane_probe *probe, enum lane_kind kind, struct rng *rng, int64_t now_us)
{
	probe->soft = is_soft(kind);
	probe->class_us = now_us;
	probe->failures = 0;
	probe->counted = false;
	schedule(probe, kind, rng, now_us);
}

void probe_attempt(struct lane_probe *probe)
{
	probe->counted = false;
}

bool probe_failed(struct lane_probe *probe, enum lane_kind kind, struct rng *rng, int64_t now_us)
{
	if (probe->counted)
		return false;
	probe->counted = true;
	if (probe->failures < UINT32_MAX)
		probe->failures++;
	learn_class(probe, kind, now_us);
	schedule(probe, kind, rng, now_us);
	return true;
}

void probe_abandoned(struct lane_probe *probe, int64_t now_us)
{
	if (!probe->counted)
		probe->next_us = now_us + PROBE_ABANDONED_US;
}

bool probe_hint(struct lane_probe *probe, bool force, int64_t now_us)
{
	if (!force && probe->hinted && now_us - probe->last_hint_us < PROBE_HINT_US)
		return false;
	probe->hinted = true;
	probe->last_hint_us = now_us;
	if (probe->next_us > now_us)
		probe->next_us = now_us;
	return true;
}
