#include "lane/fill.h"

#include <string.h>

/* --- the forecast -------------------------------------------------------------------------------- */

void fill_note(struct fill_history *history, int64_t now_us, uint64_t room_bytes)
{
	struct fill_history *h = history;

	if (h->count > 0 && now_us < h->at_us[h->count - 1] + (int64_t)FILL_SAMPLE_S * 1000000)
		return;
	if (h->count == FILL_SAMPLES) {
		h->count--;
		memmove(h->at_us, h->at_us + 1, h->count * sizeof(*h->at_us));
		memmove(h->room_bytes, h->room_bytes + 1, h->count * sizeof(*h->room_bytes));
	}
	h->at_us[h->count] = now_us;
	h->room_bytes[h->count++] = room_bytes;
}

static double rate_between(const struct fill_history *h, size_t from, size_t to)
{
	double shrunk = (double)h->room_bytes[from] - (double)h->room_bytes[to];

	return shrunk / ((double)(h->at_us[to] - h->at_us[from]) / 1e6);
}

double fill_rate(const struct fill_history *history, size_t samples)
{
	size_t count = history->count < samples ? history->count : samples, first = history->count - count;
	double fastest = 0, second = 0;

	if (count < FILL_SAMPLES_MIN)
		return 0;
	for (size_t quarter = 0; quarter < 4; quarter++) {
		double rate = rate_between(history, first + (count - 1) * quarter / 4,
					   first + (count - 1) * (quarter + 1) / 4);
		if (rate > fastest) {
			second = fastest;
			fastest = rate;
		} else if (rate > second) {
			second = rate;
		}
	}
	return second;
}

double fill_forecast_s(const struct fill_history *history, uint64_t free_bytes)
{
	double slow = fill_rate(history, FILL_SAMPLES), fast = fill_rate(history, FILL_RECENT);

	if (fast > slow && (double)free_bytes / fast < FILL_FAST_S)
		return (double)free_bytes / fast;
	return slow > 0 ? (double)free_bytes / slow : -1;
}

/* --- the level ----------------------------------------------------------------------------------- */

static const struct {
	double percent, forecast_s;	      /* it begins with that much used, or so near to its end */
	double percent_over, forecast_over_s; /* it is over with less used, and farther */
} limits[] = {
    [FILL_WARNING] = {75, 24 * 3600, 70, 36 * 3600},
    [FILL_URGENT] = {90, 2 * 3600, 85, 3 * 3600},
};

double fill_used_percent(const struct fill *fill)
{
	if (fill->capacity_bytes == 0)
		return 0;
	return 100 * (1 - (double)fill->free_bytes / (double)fill->capacity_bytes);
}

static bool reaches(const struct fill *fill, enum fill_level level, bool is_in_it)
{
	double percent = is_in_it ? limits[level].percent_over : limits[level].percent;
	double forecast_s = is_in_it ? limits[level].forecast_over_s : limits[level].forecast_s;

	return fill_used_percent(fill) >= percent || (fill->full_in_s >= 0 && fill->full_in_s <= forecast_s);
}

enum fill_level fill_level(enum fill_level was, const struct fill *fill)
{
	if (fill->failed)
		return FILL_FAILED;
	if (fill->full)
		return FILL_FULL;
	if (reaches(fill, FILL_URGENT, was >= FILL_URGENT))
		return FILL_URGENT;
	return reaches(fill, FILL_WARNING, was >= FILL_WARNING) ? FILL_WARNING : FILL_OK;
}

const char *fill_level_name(enum fill_level level)
{
	static const char *const names[] = {
	    [FILL_OK] = "ok",	  [FILL_WARNING] = "warning", [FILL_URGENT] = "urgent",
	    [FILL_FULL] = "full", [FILL_FAILED] = "failed",
	};

	return names[level];
}
