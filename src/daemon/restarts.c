#include "daemon/restarts.h"

static bool third_in_window(const struct restarts *restarts, int64_t now_ms)
{
	return restarts->deaths >= RESTARTS_QUICK && now_ms - restarts->deaths_ms[0] < RESTARTS_WINDOW_MS;
}

int64_t restarts_died(struct restarts *restarts, int64_t started_ms, int64_t now_ms)
{
	if (now_ms - started_ms >= RESTARTS_WINDOW_MS)
		*restarts = (struct restarts){0};
	/* Once there was a pause, deaths are further apart than the window catches: the account stays open.
	 */
	bool pause = restarts->pause_ms > 0 || third_in_window(restarts, now_ms);
	for (int i = 0; i + 1 < RESTARTS_QUICK; i++)
		restarts->deaths_ms[i] = restarts->deaths_ms[i + 1];
	restarts->deaths_ms[RESTARTS_QUICK - 1] = now_ms;
	restarts->deaths++;
	if (!pause)
		return 0;
	restarts->pause_ms = restarts->pause_ms == 0 ? RESTARTS_PAUSE_MS : restarts->pause_ms * 2;
	if (restarts->pause_ms > RESTARTS_PAUSE_MAX_MS)
		restarts->pause_ms = RESTARTS_PAUSE_MAX_MS;
	return restarts->pause_ms;
}
