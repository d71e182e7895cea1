#include "lane/share.h"

uint64_t share_bytes(uint64_t capacity_bytes, uint32_t percent)
{
	return capacity_bytes / 100 * percent + capacity_bytes % 100 * percent / 100;
}

enum share_answer share_ask(const struct share_spool *spool, const struct share_domain *domain,
			    uint64_t more_bytes)
{
	uint64_t capacity = spool->capacity_bytes;
	uint64_t left = spool->free_bytes > more_bytes ? spool->free_bytes - more_bytes : 0;
	uint64_t held = domain->held_bytes + more_bytes;

	if (capacity == 0 || domain->alone || left >= capacity / SHARE_FREE_FOR_ALL)
		return SHARE_ROOM;
	if (held > share_bytes(capacity, domain->percent))
		return SHARE_USED_UP;
	if (left < capacity / SHARE_LAST && held > left)
		return SHARE_LARGEST;
	return SHARE_ROOM;
}
