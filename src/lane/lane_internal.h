/* What the files of the lane share. Not for the relay. */
#ifndef LANE_LANE_INTERNAL_H
#define LANE_LANE_INTERNAL_H

#include "lane/lane.h"

/* UP to DOWN; true. In state DOWN: the probe failed; false. */
bool lane_go_down(struct lane *lane, enum lane_kind kind, int64_t now_us, int64_t wall_ms);
/* DOWN to UP with the window that the outage calls for. */
void lane_go_up(struct lane *lane, int64_t now_us, int64_t wall_ms);

/* How long silence may last while transactions are under way. */
int64_t lane_stall_limit_us(const struct lane *lane);

#endif
