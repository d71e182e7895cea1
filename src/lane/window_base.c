#include "lane/window.h"

#include <math.h>
#include <string.h>

#include "lane/tuning.h"

void window_base_clear(struct window_base *base, int64_t now_us)
{
	memset(base, 0, sizeof(*base));
	base->flat_since_us = base->begun_us = now_us;
}

/* The span of buckets that are alike; one that is not begins a new span. */
static void learn_flatness(struct window_base *base, double latency_s, int64_t now_us)
{
	double least = base->kept > 0 ? fmin(base->flat_least_s, latency_s) : latency_s;
	double most = base->kept > 0 ? fmax(base->flat_most_s, latency_s) : latency_s;

	if (most > WINDOW_FLAT * least) {
		base->flat_since_us = now_us;
		least = most = latency_s;
	}
	base->flat_least_s = least;
	base->flat_most_s = most;
}

void window_base_put(struct window_base *base, double latency_s, int64_t now_us)
{
	learn_flatness(base, latency_s, now_us);
	if (base->least_ever_s == 0 || latency_s < base->least_ever_s)
		base->least_ever_s = latency_s;
	base->bucket_s[base->next] = latency_s;
	base->at_us[base->next] = now_us;
	base->next = (base->next + 1) % WINDOW_BUCKETS;
	base->kept += base->kept < WINDOW_BUCKETS;
	base->count = 0;
	base->log_sum = 0;
	base->begun_us = now_us;
}

static double horizon_us(const struct lane_window *w)
{
	return fmax(WINDOW_BASE_US, WINDOW_BASE_LATENCIES * w->latency_s * 1e6);
}

static double bucket_need(const struct lane_window *w)
{
	double need = fmax(WINDOW_BUCKET_MIN, fmin(WINDOW_BUCKET_MAX, 2 * w->size));

	if (w->base.kept == 0)
		return WINDOW_BUCKET_FIRST;
	return fmax(need, fmin(WINDOW_BUCKET_NOISY_MAX, w->variance / WINDOW_BUCKET_NOISE));
}

void window_base_sample(struct lane_window *w, double log_latency, int64_t now_us)
{
	struct window_base *base = &w->base;
	/* No faster than the whole horizon fits into the ring. */
	bool spaced = base->kept == 0 || (double)(now_us - base->begun_us) * WINDOW_BUCKETS >= horizon_us(w);

	base->count++;
	base->log_sum += log_latency;
	if (spaced && base->count >= bucket_need(w))
		window_base_put(base, exp(base->log_sum / base->count), now_us);
}

/* The least bucket within the horizon; of the last ones at any rate, for old knowledge is better than none.
 */
static double least_bucket(const struct lane_window *w, int64_t now_us)
{
	const struct window_base *base = &w->base;
	double horizon = horizon_us(w), least = INFINITY;

	for (uint32_t age = 1; age <= base->kept; age++) {
		uint32_t i = (base->next + WINDOW_BUCKETS - age) % WINDOW_BUCKETS;

		if (age <= WINDOW_BUCKETS_LEAST || (double)(now_us - base->at_us[i]) <= horizon)
			least = fmin(least, base->bucket_s[i]);
	}
	return least;
}

double window_base_latency(const struct lane_window *w, int64_t now_us)
{
	double least = least_bucket(w, now_us);

	return isinf(least) ? w->latency_s : WINDOW_BASE_FACTOR * least;
}

bool window_base_flat(const struct window_base *base, int64_t now_us)
{
	return base->kept > 0 && now_us - base->flat_since_us > WINDOW_FLAT_US;
}
