/* How much of something may be done in a time: a bucket that fills up steadily. Pure.
 *
 * A zeroed budget is full. With a size of N and N an hour, at least N are possible in any hour, and at most 2
 * N.
 */
#ifndef LANE_BUDGET_H
#define LANE_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

struct budget {
	double spent;
	int64_t at_us;
};

bool budget_has(const struct budget *budget, double size, double per_hour, int64_t now_us);
/* Takes one; also from an empty bucket, which is then as empty as before. */
void budget_take(struct budget *budget, double size, double per_hour, int64_t now_us);

#endif
