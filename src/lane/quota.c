#include "lane/quota.h"

#include <math.h>

static double spent(const struct quota *quota, double per_hour, int64_t now_us)
{
	double hours = (double)(now_us - quota->at_us) / 3600e6;

	return fmax(0, quota->spent - fmax(0, hours) * per_hour);
}

double quota_left(const struct quota *quota, double size, double per_hour, int64_t now_us)
{
	return size - spent(quota, per_hour, now_us);
}

bool quota_has(const struct quota *quota, double size, double per_hour, int64_t now_us)
{
	return spent(quota, per_hour, now_us) + 1 <= size;
}

void quota_take(struct quota *quota, double size, double per_hour, int64_t now_us)
{
	quota->spent = fmin(size, spent(quota, per_hour, now_us) + 1);
	quota->at_us = now_us;
}
