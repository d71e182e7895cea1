#include "lane/window.h"

#include <math.h>

#include "base/check.h"
#include "lane/cold.h"
#include "lane/tuning.h"

void window_trial_begin(struct lane_window *w, enum window_trial_kind kind, double target, uint32_t in_flight,
			int64_t now_us)
{
	struct window_trial *trial = &w->trial;

	trial->kind = kind;
	trial->target = fmax(1, target);
	trial->count = 0;
	trial->log_sum = 0;
	trial->start_us = INT64_MAX;
	window_trial_flight(w, in_flight, now_us);
}

void window_trial_flight(struct lane_window *w, uint32_t in_flight, int64_t now_us)
{
	struct window_trial *trial = &w->trial;

	if (trial->kind != TRIAL_NONE && trial->start_us == INT64_MAX && in_flight <= floor(trial->target))
		trial->start_us = now_us;
}

void window_trial_cancel(struct lane_window *w, int64_t now_us)
{
	if (w->trial.kind == TRIAL_NONE)
		return;
	w->trial.kind = TRIAL_NONE;
	window_round_begin(w, now_us);
}

/* One part is measured; the next one, or the end. */
static void part_done(struct lane_window *w, double mean_log, uint32_t in_flight, int64_t now_us)
{
	struct window_trial *trial = &w->trial;

	switch (trial->kind) {
	case TRIAL_DIP:
		window_base_put(&w->base, exp(mean_log), now_us);
		w->dipped_us = now_us;
		break;
	case TRIAL_FULL_1:
		trial->full_1_log = mean_log;
		window_trial_begin(w, TRIAL_LESS, COLD_LESS * w->size, in_flight, now_us);
		return;
	case TRIAL_LESS:
		trial->less_log = mean_log;
		window_trial_begin(w, TRIAL_FULL_2, w->size, in_flight, now_us);
		return;
	case TRIAL_FULL_2:
		cold_judge(w, trial->full_1_log, trial->less_log, mean_log, now_us);
		break;
	case TRIAL_NONE:
		check_never();
	}
	window_trial_cancel(w, now_us);
}

static double need(const struct lane_window *w)
{
	double count = fmax(TRIAL_SAMPLES_MIN, fmin(TRIAL_SAMPLES_MAX, w->trial.target));

	return fmax(count, fmin(TRIAL_SAMPLES_NOISY_MAX, w->variance / TRIAL_NOISE));
}

bool window_trial_sample(struct lane_window *w, int64_t begun_us, double log_latency, uint32_t in_flight,
			 int64_t now_us)
{
	struct window_trial *trial = &w->trial;

	if (trial->kind == TRIAL_NONE)
		return false;
	if (begun_us >= trial->start_us) {
		trial->count++;
		trial->log_sum += log_latency;
		if (trial->count >= need(w)) {
			part_done(w, trial->log_sum / trial->count, in_flight, now_us);
			return true;
		}
	}
	window_trial_flight(w, in_flight, now_us);
	return true;
}
