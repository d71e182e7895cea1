/* Is it still the same server? Its name in the greeting, its certificate and its address are remembered; one
 * that was never met before, of a server that showed others, begins grace (refusal_grace): it may have been
 * installed anew, or mail may go elsewhere. Pure; one for each lane.
 *
 * Many machines may answer behind one name. As many different ones in one day as are remembered are a fleet,
 * whose next one says nothing.
 */
#ifndef LANE_IDENTITY_H
#define LANE_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

enum identity_kind {
	IDENTITY_NAME = 0, /* first word of the greeting */
	IDENTITY_CERTIFICATE = 1,
	IDENTITY_ADDRESS = 2,
	IDENTITY_KINDS = 3,
};

enum { IDENTITY_SEEN = 8 };

struct identity { /* zeroed: nothing was shown yet */
	struct identity_ring {
		uint64_t hash[IDENTITY_SEEN];
		int64_t since_us[IDENTITY_SEEN];
		uint32_t count; /* ever put in; the place of the next is count modulo IDENTITY_SEEN */
		bool fleet;
	} rings[IDENTITY_KINDS];
};

/* It shows this. True: for the first time, and it showed another before. */
bool identity_shown(struct identity *identity, enum identity_kind kind, uint64_t hash, int64_t now_us);

#endif
