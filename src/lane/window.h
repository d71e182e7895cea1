/* The window of an UP lane: how many transactions may be in flight, and how fast (RECOVERY §1.3, §1.4).
 *
 * Part of lane.h; its fields belong to window.c.
 */
#ifndef LANE_WINDOW_H
#define LANE_WINDOW_H

#include <stdint.h>

struct lane_window {
	double size; /* W, >= 1 */
	int phase;   /* enum lane_phase */
};

#endif
