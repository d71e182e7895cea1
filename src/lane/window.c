#include "lane/window.h"

#include <math.h>
#include <string.h>

#include "lane/lane.h"
#include "lane/tuning.h"

static double seconds(int64_t us)
{
	return (double)us / 1e6;
}

static void begin_round(struct lane_window *w, int64_t now_us)
{
	w->round = (struct window_round){.start_us = now_us, .area_us = now_us};
}

void window_init(struct lane_window *w, int64_t now_us)
{
	memset(w, 0, sizeof(*w));
	w->ssthresh = INFINITY;
	window_restart(w, 1, now_us);
}

void window_restart(struct lane_window *w, double size, int64_t now_us)
{
	w->size = size > 1 ? size : 1;
	w->phase = LANE_RAMP;
	w->samples = 0;
	w->variance = 0;
	w->latency_s = 0;
	w->rate_per_s = 0;
	w->decreased_us = now_us;
	memset(&w->base, 0, sizeof(w->base));
	begin_round(w, now_us);
}

void window_flight(struct lane_window *w, uint32_t in_flight, int64_t now_us)
{
	w->round.flight_area += in_flight * seconds(now_us - w->round.area_us);
	w->round.area_us = now_us;
}

void window_shrink(struct lane_window *w, double factor, int64_t now_us)
{
	w->size = fmax(1, w->size * factor);
	w->phase = LANE_STEADY;
	w->decreased_us = now_us;
	begin_round(w, now_us);
}

static void learn_variance(struct lane_window *w, double log_latency)
{
	double difference = log_latency - w->mean_log;

	if (w->samples == 0) {
		w->mean_log = log_latency;
	} else {
		w->mean_log += WINDOW_VARIANCE_GAIN * difference;
		w->variance += WINDOW_VARIANCE_GAIN * (difference * difference - w->variance);
	}
	w->samples++;
}

static void learn_base(struct lane_window *w, double log_latency, int64_t now_us)
{
	struct window_base *b = &w->base;
	double need = fmax(WINDOW_BUCKET_MIN, fmin(WINDOW_BUCKET_MAX, 2 * w->size));

	need = fmax(need, fmin(WINDOW_BUCKET_NOISY_MAX, w->variance / WINDOW_BUCKET_NOISE));
	b->count++;
	b->log_sum += log_latency;
	if (b->count < need)
		return;
	b->bucket_s[b->next] = exp(b->log_sum / b->count);
	b->at_us[b->next] = now_us;
	b->next = (b->next + 1) % WINDOW_BUCKETS;
	b->kept += b->kept < WINDOW_BUCKETS;
	b->count = 0;
	b->log_sum = 0;
}

/* The server's own latency; before the first bucket is full, the present one. */
static double base_latency(const struct lane_window *w, int64_t now_us)
{
	int64_t horizon_us = (int64_t)fmax(WINDOW_BASE_US, WINDOW_BASE_LATENCIES * w->latency_s * 1e6);
	double least = INFINITY;

	for (uint32_t i = 0; i < w->base.kept; i++) {
		if (now_us - w->base.at_us[i] <= horizon_us)
			least = fmin(least, w->base.bucket_s[i]);
	}
	return isinf(least) ? w->latency_s : WINDOW_BASE_FACTOR * least;
}

static void ramp(struct lane_window *w, const struct lane_config *config, double q, double alpha, double beta,
		 double dt, int64_t now_us)
{
	double doubling_s = (double)config->ramp_doubling_ms / 1e3;

	if (q > beta) {
		w->size = fmax(1, fmin(w->size, w->rate_per_s * base_latency(w, now_us) + alpha));
		w->phase = LANE_STEADY;
		w->decreased_us = now_us;
	} else if (q <= alpha && w->size < w->ssthresh) {
		w->size *= exp2(fmin(dt, doubling_s) / doubling_s);
	}
	if (w->size >= w->ssthresh)
		w->phase = LANE_STEADY;
}

static void hold(struct lane_window *w, double q, double alpha, double beta, double dt, int64_t now_us)
{
	bool calm = now_us - w->decreased_us > WINDOW_CALM_US && w->rate_per_s > WINDOW_CALM_RATE;

	if (q > beta) {
		w->size = fmax(1, w->size - fmin(fmax(q - beta, 0.25), 0.3 * w->size));
		w->decreased_us = now_us;
	} else if (q < alpha) {
		w->size *= exp2(dt / (calm ? WINDOW_DOUBLING_CALM_S : WINDOW_DOUBLING_S));
	}
}

static double round_need(const struct lane_window *w)
{
	if (w->phase == LANE_RAMP)
		return fmax(3, fmin(20, w->size));
	return fmax(fmax(5, fmin(40, 1.5 * w->size)), fmin(80, w->variance / WINDOW_ROUND_NOISE));
}

static void end_round(struct lane_window *w, const struct lane_config *config, double dt, int64_t now_us)
{
	double q, alpha, beta;
	bool used = w->round.flight_area / dt >= floor(w->size) / 2;

	w->latency_s = exp(w->round.log_sum / w->round.count);
	w->rate_per_s = w->round.count / dt;
	q = w->size * (1 - base_latency(w, now_us) / w->latency_s);
	alpha = 1 + 0.07 * w->size;
	beta = 2 + 0.15 * w->size;
	if (used && w->phase == LANE_RAMP)
		ramp(w, config, q, alpha, beta, dt, now_us);
	else if (used)
		hold(w, q, alpha, beta, dt, now_us);
	w->size = fmin(w->size, config->window_max);
	begin_round(w, now_us);
}

void window_sample(struct lane_window *w, const struct lane_config *config, int64_t latency_us,
		   uint32_t in_flight, int64_t now_us)
{
	double log_latency = log(fmax(seconds(latency_us), WINDOW_LATENCY_MIN_S));
	double dt;

	window_flight(w, in_flight, now_us);
	learn_variance(w, log_latency);
	learn_base(w, log_latency, now_us);
	w->round.count++;
	w->round.log_sum += log_latency;
	dt = seconds(now_us - w->round.start_us);
	if (w->round.count >= round_need(w) && dt >= WINDOW_ROUND_MIN_S)
		end_round(w, config, dt, now_us);
}
