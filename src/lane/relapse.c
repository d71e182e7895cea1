#include "lane/relapse.h"

#include <math.h>

#include "lane/tuning.h"

void relapse_crash(struct lane_window *w, double window, int64_t up_us)
{
	struct window_relapse *relapse = &w->relapse;

	relapse_forget(w, up_us);
	if (up_us >= RELAPSE_US)
		return;
	if (relapse->count < RELAPSE_COUNT_MAX)
		relapse->count++;
	relapse->crash_window = fmax(window, 1);
	relapse->crash_age_s = (double)up_us / 1e6;
}

void relapse_forget(struct lane_window *w, int64_t up_us)
{
	if (up_us >= RELAPSE_US)
		w->relapse = (struct window_relapse){0};
}

double relapse_doubling_s(const struct lane_window *w, double doubling_s)
{
	if (w->relapse.count < 2)
		return doubling_s;
	return fmin(doubling_s * exp2(w->relapse.count - 1), fmax(doubling_s, RELAPSE_DOUBLING_MAX_S));
}

static double part(const struct lane_window *w)
{
	return w->relapse.count >= 2 ? RELAPSE_PART_AGAIN : RELAPSE_PART;
}

double relapse_ssthresh(const struct lane_window *w)
{
	return w->relapse.count == 0 ? INFINITY : fmax(1, part(w) * w->relapse.crash_window);
}

double relapse_cap(const struct lane_window *w, int64_t up_us)
{
	const struct window_relapse *relapse = &w->relapse;
	double age_s = (double)up_us / 1e6, horizon_s;

	if (relapse->count == 0 || up_us >= RELAPSE_US)
		return INFINITY;
	horizon_s = fmax(RELAPSE_AGE_MIN_S, relapse->crash_age_s);
	if (relapse->count == 1)
		horizon_s *= RELAPSE_PART;
	return fmax(1, part(w) * relapse->crash_window * fmax(1, age_s / horizon_s));
}
