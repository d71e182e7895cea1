/* How often something may be done: a bucket that fills up steadily. Pure.
 *
 * A zeroed quota is full. With a size of N and N an hour, at least N are possible in any hour, and at most 2
 * N.
 */
#ifndef LANE_QUOTA_H
#define LANE_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

struct quota {
	double spent;
	int64_t at_us;
};

bool quota_has(const struct quota *quota, double size, double per_hour, int64_t now_us);
/* Takes one; also from an empty bucket, which is then as empty as before. */
/* So many of it. */
double quota_left(const struct quota *quota, double size, double per_hour, int64_t now_us);
void quota_take(struct quota *quota, double size, double per_hour, int64_t now_us);

#endif
