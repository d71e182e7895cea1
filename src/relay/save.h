/* State that survives restarts, in the key-value part of the store:
 *	domain/NAME  what an administrator set, as "key=value" lines
 *	flow/NAME    the domain's flow (lane/domain_state.h)
 *	known/NAME   what is known of its recipients as a whole (relay/known.h)
 *	outside/NAME number of a domain that is not served, but has mail of our own (relay/outside.h)
 *	lane/NAME    the lane (lane/lane.h)
 *	number       the last domain number given
 */
#ifndef RELAY_SAVE_H
#define RELAY_SAVE_H

#include "relay/domains.h"

enum {
	SAVE_INTERVAL_MS = 10000, /* RECOVERY §1: each is looked at so often */
	SAVE_TURNS = 10,	  /* in so many parts */
};

/* Reads all; relay->ready is set when it is done. */
void save_load_all(struct relay *relay);
/* Writes the domain's record; done as the store says (it counts down relay->operations). ERR_MEMORY: nothing
 * was asked. */
nodiscard int save_domain(struct domain *domain, store_done *done, void *owner);
void save_remove_domain(struct domain *domain, store_done *done, void *owner);
/* The last number that was given. */
void save_number(struct relay *relay, uint32_t number);
/* Writes the domain's flow now; the same. */
nodiscard int save_flow(struct domain *domain, store_done *done, void *owner);
/* Writes all that has changed of flows and lanes, now. */
void save_changes(struct relay *relay);
void save_start_timer(struct relay *relay);

#endif
