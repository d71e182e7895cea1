/* Deterministic random numbers (xoshiro256**, Blackman and Vigna 2018), for jitter and for the simulation.
 *
 * Not for secrets. The seed is always an argument; the daemon takes it from the system.
 */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdbool.h>
#include <stdint.h>

struct rng {
	uint64_t s[4];
};

void rng_init(struct rng *rng, uint64_t seed);
uint64_t rng_next(struct rng *rng);
uint64_t rng_below(struct rng *rng, uint64_t bound);		 /* 0 <= n < bound; bound 0 gives 0 */
int64_t rng_between(struct rng *rng, int64_t low, int64_t high); /* inclusive */
double rng_unit(struct rng *rng);				 /* 0 <= x < 1 */
bool rng_chance(struct rng *rng, double probability);

#endif
