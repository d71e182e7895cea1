#include "lane/budget.h"

#include <math.h>

static double spent(const struct budget *budget, double per_hour, int64_t now_us)
{
	double hours = (double)(now_us - budget->at_us) / 3600e6;

	return fmax(0, budget->spent - fmax(0, hours) * per_hour);
}

bool budget_has(const struct budget *budget, double size, double per_hour, int64_t now_us)
{
	return spent(budget, per_hour, now_us) + 1 <= size;
}

void budget_take(struct budget *budget, double size, double per_hour, int64_t now_us)
{
	budget->spent = fmin(size, spent(budget, per_hour, now_us) + 1);
	budget->at_us = now_us;
}
