/* When a DOWN lane is tried again (RECOVERY §1.2): intervals by kind and time down, with jitter; hints.
 *
 * Part of lane.h; its fields belong to probe.c.
 */
#ifndef LANE_PROBE_H
#define LANE_PROBE_H

#include <stdint.h>

struct lane_probe {
	int64_t next_us;
	uint32_t failures; /* in a row */
	int64_t last_hint_us;
};

#endif
