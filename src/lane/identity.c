#include "lane/identity.h"

#include "lane/tuning.h"

static bool is_remembered(const struct identity_ring *ring, uint64_t hash)
{
	for (uint32_t i = 0; i < IDENTITY_SEEN && i < ring->count; i++)
		if (ring->hash[i] == hash)
			return true;
	return false;
}

bool identity_shown(struct identity *identity, enum identity_kind kind, uint64_t hash, int64_t now_us)
{
	struct identity_ring *ring = &identity->rings[kind];
	uint32_t place = ring->count % IDENTITY_SEEN;

	if (ring->fleet || is_remembered(ring, hash))
		return false;
	if (ring->count >= IDENTITY_SEEN && now_us - ring->since_us[place] < IDENTITY_FLEET_US) {
		ring->fleet = true;
		return false;
	}
	ring->hash[place] = hash;
	ring->since_us[place] = now_us;
	ring->count++;
	return ring->count > 1;
}
