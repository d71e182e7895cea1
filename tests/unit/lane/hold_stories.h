/* Stories for the hold detector: servers that are healthy, servers that are not, and both with our door. */
#ifndef TEST_HOLD_STORIES_H
#define TEST_HOLD_STORIES_H

#include <stddef.h>

#include "hold_sim.h"

extern const struct hold_story hold_healthy[];
extern const size_t hold_healthy_count;
extern const struct hold_story hold_broken[];
extern const size_t hold_broken_count;

extern const struct hold_story hold_doors[];
extern const size_t hold_doors_count;

#endif
