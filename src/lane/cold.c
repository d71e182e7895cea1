#include "lane/cold.h"

#include <math.h>

#include "lane/tuning.h"

void cold_begin(struct lane_window *w, int64_t now_us)
{
	w->cold = (struct window_cold){.until_us = now_us + COLD_US, .verified = COLD_VERIFIED_FIRST};
}

void cold_end(struct lane_window *w)
{
	w->cold = (struct window_cold){0};
}

double cold_cap(const struct lane_window *w, int64_t now_us)
{
	double age_s = (double)(now_us - w->restarted_us) / 1e6;

	if (w->cold.until_us == 0 || now_us >= w->cold.until_us)
		return INFINITY;
	if (w->base.kept > 0 && w->latency_s <= COLD_IDLE * w->base.least_ever_s)
		return INFINITY;
	return COLD_TENDER_WINDOW * exp2(fmax(0, age_s / COLD_TENDER_S - 1));
}

bool cold_due(const struct lane_window *w, int64_t now_us)
{
	if (w->cold.until_us == 0 || now_us >= w->cold.until_us || w->tarpit)
		return false;
	return w->size >= COLD_STEP * w->cold.verified && !window_base_flat(&w->base, now_us);
}

static void go_back(struct lane_window *w, double factor, int64_t now_us)
{
	int64_t pause_us = COLD_PAUSE_US << (w->cold.failures < COLD_PAUSE_DOUBLINGS ? w->cold.failures
										     : COLD_PAUSE_DOUBLINGS);

	w->size = fmax(1, w->size * factor);
	w->decreased_us = now_us;
	w->still_until_us = now_us + pause_us;
	w->cold.failures++;
}

void cold_judge(struct lane_window *w, double full_1, double less, double full_2, int64_t now_us)
{
	double elasticity = 1 - ((full_1 + full_2) / 2 - less) / log(1 / COLD_LESS);

	if (elasticity > COLD_ELASTIC) {
		w->cold.verified = w->size;
		w->cold.failures = 0;
		return;
	}
	go_back(w, elasticity < COLD_SATURATED ? COLD_BACK_FAR : COLD_BACK, now_us);
}
