/* How far a domain's server is believed when it refuses (lane/refusal.h, doc/holds.md). The detector is in
 * domain->known; a domain of which nothing is known yet is in grace, and nothing is proven of its server.
 */
#ifndef RELAY_TRUST_H
#define RELAY_TRUST_H

#include "relay/domains.h"

/* Its server took a known recipient within the last minute, and nothing speaks against it: its refusals count
 * (RECOVERY §1.7.6). */
bool trust_is_proven(const struct domain *domain);
/* The server is new to us, or came back less than an hour ago: a refusal says little. */
bool trust_in_grace(const struct domain *domain);
/* It refuses valid recipients: all its mail waits. */
bool trust_holds(const struct domain *domain);
/* Some valid recipients are refused, or nobody knows: mail flows, nothing ends. */
bool trust_doubts(const struct domain *domain);
/* A decision waits for proof: the server is asked about known recipients soon. */
void trust_want_proof(struct domain *domain);

#endif
