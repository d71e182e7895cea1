#include "lane/window.h"

#include <math.h>
#include <string.h>

#include "lane/cold.h"
#include "lane/lane.h"
#include "lane/relapse.h"
#include "lane/tuning.h"

static double seconds(int64_t us)
{
	return (double)us / 1e6;
}

void window_round_begin(struct lane_window *w, int64_t now_us)
{
	w->round = (struct window_round){.start_us = now_us, .area_us = now_us};
}

void window_init(struct lane_window *w, int64_t now_us)
{
	memset(w, 0, sizeof(*w));
	w->ssthresh = INFINITY;
	w->ceiling = INFINITY;
	window_restart(w, 1, true, now_us);
	cold_end(w); /* a first contact is bounded by its own cap */
}

void window_restart(struct lane_window *w, double size, bool cold, int64_t now_us)
{
	w->size = fmax(1, size);
	w->phase = LANE_RAMP;
	w->ssthresh = relapse_ssthresh(w);
	w->trial.kind = TRIAL_NONE;
	w->still_until_us = now_us;
	w->restarted_us = w->decreased_us = w->dipped_us = now_us;
	w->capped_since_us = 0;
	w->tarpit = false;
	w->mail_least_s = 0;
	window_round_begin(w, now_us);
	if (!cold)
		return;
	cold_begin(w, now_us);
	w->ceiling = INFINITY;
	w->busy_count = 0;
	w->samples = 0;
	w->variance = 0;
	w->latency_s = w->rate_per_s = 0;
	window_base_clear(&w->base, now_us);
}

void window_idle(struct lane_window *w, int64_t now_us)
{
	window_restart(w, fmin(w->size, IDLE_WINDOW), false, now_us);
	window_base_clear(&w->base, now_us);
}

double window_in_force(const struct lane_window *w)
{
	return w->trial.kind != TRIAL_NONE ? fmin(w->trial.target, w->size) : w->size;
}

void window_flight(struct lane_window *w, uint32_t places, int64_t now_us)
{
	w->round.flight_area += places * seconds(now_us - w->round.area_us);
	w->round.area_us = now_us;
}

double window_cap(const struct lane_window *w, const struct lane_config *config, int64_t now_us)
{
	double cap = fmin(config->window_max, relapse_cap(w, now_us - w->restarted_us));

	cap = fmin(cap, cold_cap(w, now_us));
	if (!w->verified)
		cap = fmin(cap, config->window_first_contact);
	if (now_us < w->ceiling_until_us)
		cap = fmin(cap, w->ceiling);
	return fmax(1, cap);
}

void window_busy(struct lane_window *w, int64_t now_us)
{
	int64_t hold_us = BUSY_CEILING_US
			  << (w->busy_count < BUSY_DOUBLINGS ? w->busy_count : BUSY_DOUBLINGS);

	if (seconds(now_us - w->decreased_us) < w->latency_s && now_us < w->ceiling_until_us)
		return; /* one wave of refusals, one answer */
	w->size = fmax(1, w->size * BUSY_FACTOR);
	w->phase = LANE_STEADY;
	w->decreased_us = now_us;
	w->still_until_us = now_us + BUSY_STILL_US;
	w->ceiling = BUSY_CEILING * w->size;
	w->ceiling_until_us = now_us + hold_us;
	w->busy_count++;
	window_trial_cancel(w, now_us);
	window_round_begin(w, now_us);
}

void window_mail_reply(struct lane_window *w, int64_t waited_us)
{
	double waited_s = seconds(waited_us);

	if (w->mail_least_s == 0 || waited_s < w->mail_least_s)
		w->mail_least_s = waited_s;
	/* A wait that is long and always the same is a sleep, not a queue. */
	w->tarpit = w->mail_least_s >= TARPIT_LEAST_S && waited_s <= TARPIT_SPREAD * w->mail_least_s;
	if (w->tarpit && w->phase == LANE_RAMP)
		w->size += 1;
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

struct measure {	    /* what a round tells */
	double q;	    /* messages of ours that wait at the server */
	double alpha, beta; /* q is wanted between these */
	double dt_s;
};

/* The pace of a ramp is that of the feedback: TD is some tens of the latencies that RECOVERY was made for. A
 * server that answers much faster tells as much in less time; but not one that has crashed of late. */
static double ramp_doubling_s(const struct lane_window *w, const struct lane_config *config)
{
	double doubling_s = (double)config->ramp_doubling_ms / 1e3;

	if (w->relapse.count > 0)
		return relapse_doubling_s(w, doubling_s);
	if (w->size < COLD_VERIFIED_FIRST)
		doubling_s = fmin(doubling_s, RAMP_DOUBLING_FIRST_S);
	return fmin(doubling_s, fmax(RAMP_DOUBLING_MIN_S, RAMP_DOUBLING_LATENCIES * w->latency_s));
}

static void ramp(struct lane_window *w, const struct lane_config *config, const struct measure *m,
		 int64_t now_us)
{
	double doubling_s = ramp_doubling_s(w, config);

	if (m->q > m->beta && !w->tarpit) {
		w->size = fmin(w->size, w->rate_per_s * window_base_latency(w, now_us) + m->alpha);
		w->phase = LANE_STEADY;
		w->decreased_us = now_us;
		return;
	}
	if (m->q <= m->alpha && w->size < w->ssthresh && now_us >= w->still_until_us)
		w->size *= exp2(fmin(m->dt_s, doubling_s) / doubling_s);
	if (w->size >= w->ssthresh)
		w->phase = LANE_STEADY;
}

static void hold(struct lane_window *w, const struct measure *m, int64_t now_us)
{
	bool calm = now_us - w->decreased_us > WINDOW_CALM_US && w->rate_per_s > WINDOW_CALM_RATE;

	if (m->q > m->beta && !w->tarpit) {
		w->size -= fmin(fmax(m->q - m->beta, WINDOW_STEP_MIN), WINDOW_STEP_MAX * w->size);
		w->decreased_us = now_us;
	} else if (m->q < m->alpha && now_us >= w->still_until_us) {
		w->size *= exp2(fmin(m->dt_s, WINDOW_STEADY_ROUND_S) /
				(calm ? WINDOW_DOUBLING_CALM_S : WINDOW_DOUBLING_S));
	}
}

static double round_need(const struct lane_window *w)
{
	if (w->phase == LANE_RAMP)
		return fmax(ROUND_RAMP_MIN, fmin(ROUND_RAMP_MAX, w->size));
	return fmax(fmax(ROUND_STEADY_MIN, fmin(ROUND_STEADY_MAX, ROUND_STEADY_PER_W * w->size)),
		    fmin(ROUND_NOISY_MAX, w->variance / ROUND_NOISE));
}

/* The first-contact window may be left when it was filled for a while and nothing complained. */
static void learn_verified(struct lane_window *w, const struct lane_config *config, int64_t now_us)
{
	if (w->size < config->window_first_contact) {
		w->capped_since_us = 0;
		return;
	}
	if (w->capped_since_us == 0)
		w->capped_since_us = now_us;
	else if (now_us - w->capped_since_us >= FIRST_CONTACT_US)
		w->verified = true;
}

static void start_trial_if_due(struct lane_window *w, uint32_t in_flight, int64_t now_us)
{
	if (cold_due(w, now_us))
		window_trial_begin(w, TRIAL_FULL_1, w->size, in_flight, now_us);
	else if (now_us - w->dipped_us >= DIP_EVERY_US && w->size >= DIP_WINDOW_MIN && !w->tarpit)
		window_trial_begin(w, TRIAL_DIP, DIP_FACTOR * w->size, in_flight, now_us);
}

static void end_round(struct lane_window *w, const struct lane_config *config, double dt_s, double most,
		      uint32_t in_flight, int64_t now_us)
{
	bool used = w->round.flight_area / dt_s >= floor(w->size) / 2;
	struct measure m = {
	    .alpha = 1 + ALPHA_PER_W * w->size,
	    .beta = 2 + BETA_PER_W * w->size,
	    .dt_s = dt_s,
	};

	w->latency_s = exp(w->round.log_sum / w->round.count);
	w->rate_per_s = w->round.count / dt_s;
	m.q = w->size * (1 - window_base_latency(w, now_us) / w->latency_s);
	relapse_forget(w, now_us - w->restarted_us);
	if (used && w->phase == LANE_RAMP)
		ramp(w, config, &m, now_us);
	else if (used)
		hold(w, &m, now_us);
	w->size = fmax(1, fmin(w->size, fmin(most, window_cap(w, config, now_us))));
	if (used)
		learn_verified(w, config, now_us);
	window_round_begin(w, now_us);
	if (used)
		start_trial_if_due(w, in_flight, now_us);
}

void window_sample(struct lane_window *w, const struct lane_config *config, int64_t begun_us,
		   uint32_t in_flight, double most, int64_t now_us)
{
	double log_latency = log(fmax(seconds(now_us - begun_us), WINDOW_LATENCY_MIN_S));
	double dt_s;

	learn_variance(w, log_latency);
	if (window_trial_sample(w, begun_us, log_latency, in_flight, now_us))
		return;
	window_base_sample(w, log_latency, now_us);
	w->round.count++;
	w->round.log_sum += log_latency;
	dt_s = seconds(now_us - w->round.start_us);
	if (w->round.count >= round_need(w) && dt_s >= ROUND_LEAST_S)
		end_round(w, config, dt_s, most, in_flight, now_us);
}
