/* How full the spool is and when it will be full: levels to warn by, and the forecast. Pure.
 */
#ifndef LANE_FILL_H
#define LANE_FILL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- the forecast --- */

enum {
	FILL_SAMPLES = 61,	/* two hours of */
	FILL_SAMPLE_S = 120,	/* one each so many seconds */
	FILL_SAMPLES_MIN = 5,	/* no forecast from fewer */
	FILL_RECENT = 9,	/* samples: what fills fast is seen in the last 16 minutes, ... */
	FILL_FAST_S = 2 * 3600, /* ... if at that pace it is full within so long */
};

struct fill_history {
	size_t count; /* of samples, the oldest first */
	int64_t at_us[FILL_SAMPLES];
	uint64_t room_bytes[FILL_SAMPLES];
};

/* At any time; takes a sample when one is due. room_bytes: what could still be stored, with what will be
 * given back. */
void fill_note(struct fill_history *history, int64_t now_us, uint64_t room_bytes);
/* Bytes a second by which the room shrinks in the last samples; 0: it does not. Neither one large file nor
 * one hour's silence says anything: the time is cut into quarters, and the second fastest counts. */
double fill_rate(const struct fill_history *history, size_t samples);
/* Seconds until free_bytes are used up at the pace of the last hours, or of the last minutes when that is
 * much faster; < 0: no forecast. */
double fill_forecast_s(const struct fill_history *history, uint64_t free_bytes);

/* --- the level --- */

enum fill_level {
	FILL_OK = 0,
	FILL_WARNING = 1, /* 75 % used, or full within a day */
	FILL_URGENT = 2,  /* 90 % used, or full within two hours */
	FILL_FULL = 3,	  /* no new mail is taken */
	FILL_FAILED = 4,  /* the disk failed: nothing is taken any more until the next start */
};

struct fill {
	uint64_t capacity_bytes, free_bytes; /* capacity 0: not limited */
	double full_in_s;		     /* < 0: no forecast */
	bool full, failed;
};

/* The level after `was`: going down takes a clear distance, so that it does not flap. */
enum fill_level fill_level(enum fill_level was, const struct fill *fill);
const char *fill_level_name(enum fill_level level); /* "ok", "warning", "urgent", "full", "failed" */
double fill_used_percent(const struct fill *fill);  /* 0 when not limited */

#endif
