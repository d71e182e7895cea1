/* "Please try again in 5 minutes": how long a reply asks us to wait. */
#ifndef LANE_DELAY_HINT_H
#define LANE_DELAY_HINT_H

#include <stdint.h>

#include "lane/words.h"

/* Looks for a number and a unit (seconds, minutes, hours, or hh:mm:ss) after "in", "for", "after", "wait" and
 * the like. 0: none; otherwise within VERDICT_DELAY_MIN_S..VERDICT_DELAY_MAX_S. */
uint32_t delay_hint_s(const struct words_text *text);

#endif
