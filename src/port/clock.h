/* Time, as the core sees it.
 *
 * Two readings are taken together at the entry of every event and passed down:
 *   now_us   monotonic microseconds from an arbitrary start: every deadline, latency and interval
 *   wall_ms  milliseconds since 1970 UTC: dates that people and records see, and hold time
 * The wall clock may jump (an administrator, a virtual machine). Nothing is timed with it; hold time is
 * guarded against jumps in relay/.
 */
#ifndef PORT_CLOCK_H
#define PORT_CLOCK_H

#include <stdint.h>

struct clock_reading {
	int64_t now_us;
	int64_t wall_ms;
};

/* Where the core reads both. Cheap: it is asked at the entry of every event. */
struct clock {
	struct clock_reading (*read)(struct clock *clock);
};

/* A deadline that never comes. */
#define CLOCK_NEVER INT64_MAX

#define CLOCK_MS(n)	 ((int64_t)(n)*1000)
#define CLOCK_SECONDS(n) ((int64_t)(n)*1000000)

#endif
