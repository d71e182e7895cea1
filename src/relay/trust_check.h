/* The check that the hold detector asks for: up to three recipients that the server accepted last, one
 * transaction each, over one connection where that is possible. Part of trust.h.
 */
#ifndef RELAY_TRUST_CHECK_H
#define RELAY_TRUST_CHECK_H

#include "relay/trust.h"

/* Nothing if one is under way. */
void trust_check_start(struct domain *domain);
void trust_check_cancel(struct domain *domain);

/* --- trust.c --- */

/* The detector has spoken: before was its state. words: the server's, for people. */
void trust_follow(struct domain *domain, enum refusal_state before, const struct refusal_advice *advice,
		  struct slice words);

#endif
