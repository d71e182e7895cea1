#include "lane/ceilings.h"

#include <math.h>
#include <string.h>

#include "lane/tuning.h"

static void advance(struct pace *p, int64_t now_us)
{
	int64_t second = now_us / 1000000;

	if (second - p->second >= PACE_SECONDS || second < p->second) {
		memset(p->accepted, 0, sizeof(p->accepted));
		p->second = second;
	}
	while (p->second < second)
		p->accepted[++p->second % PACE_SECONDS] = 0;
}

void pace_accepted(struct pace *p, int64_t now_us)
{
	advance(p, now_us);
	p->accepted[p->second % PACE_SECONDS]++;
	p->accepted_since_up++;
}

void pace_up(struct pace *p, int64_t now_us)
{
	p->up_us = now_us;
	p->accepted_since_up = 0;
}

void pace_refused(struct pace *p, int64_t now_us)
{
	uint64_t sum = 0;

	advance(p, now_us);
	for (uint32_t i = 0; i < PACE_SECONDS; i++)
		sum += p->accepted[i];
	p->before_per_s = (double)sum / PACE_SECONDS;
}

static double hold_s(enum lane_kind kind)
{
	return kind == LANE_KIND_RATE ? PACE_RATE_HOLD_S : PACE_SPACE_HOLD_S;
}

static double doubling_s(enum lane_kind kind)
{
	return kind == LANE_KIND_RATE ? PACE_RATE_DOUBLING_S : PACE_SPACE_DOUBLING_S;
}

static bool agree(double a, double b)
{
	return a <= b * (1 + PACE_AGREEMENT) && b <= a * (1 + PACE_AGREEMENT);
}

/* One refusal after two messages says nothing about sixty a minute; three in a row do. */
static bool is_doubtful(struct pace *p)
{
	double sample = fmax(p->before_per_s * PACE_SECONDS, (double)p->accepted_since_up);

	if (sample >= PACE_SAMPLE || ++p->doubts >= PACE_DOUBTS) {
		p->doubts = 0;
		return false;
	}
	return true;
}

void pace_learn(struct pace *p, enum lane_kind kind, int64_t now_us)
{
	double cycle_s = fmax(1, (double)(now_us - p->up_us) / 1e6);
	double estimate = fmax(p->before_per_s, (double)p->accepted_since_up / cycle_s);
	double rate = estimate * (kind == LANE_KIND_RATE ? PACE_RATE_PART : PACE_SPACE_PART);

	if (rate <= 0 || is_doubtful(p))
		return;
	if (p->kind == kind && agree(rate, p->per_s))
		p->agreements += p->agreements < PACE_AGREEMENTS_MAX;
	else
		p->agreements = 0;
	p->kind = kind;
	p->per_s = fmax(rate, PACE_LEAST_PER_S);
	p->hold_us = now_us + (int64_t)(1e6 * hold_s(kind) * exp2(p->agreements));
	p->next_us = now_us;
}

double pace_per_s(const struct pace *p, int64_t now_us)
{
	if (p->kind == LANE_KIND_NONE)
		return INFINITY;
	if (now_us <= p->hold_us)
		return p->per_s;
	return p->per_s * exp2((double)(now_us - p->hold_us) / 1e6 / doubling_s(p->kind));
}

bool pace_allows(const struct pace *p, int64_t now_us)
{
	return p->kind == LANE_KIND_NONE || now_us >= p->next_us;
}

void pace_started(struct pace *p, int64_t now_us)
{
	int64_t interval_us, earliest_us;

	if (p->kind == LANE_KIND_NONE)
		return;
	interval_us = (int64_t)fmax(1, 1e6 / pace_per_s(p, now_us));
	/* Half a message of burst makes up for our own lateness, no more. */
	earliest_us = now_us - interval_us / 2;
	p->next_us = (p->next_us > earliest_us ? p->next_us : earliest_us) + interval_us;
}

int64_t pace_deadline(const struct pace *p, int64_t now_us)
{
	return pace_allows(p, now_us) ? INT64_MAX : p->next_us;
}
