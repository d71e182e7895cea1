/* clang-format off */
/* Stories: small text files that say what happens to whom and what must come of it (scenarios/, one thing per line).
 *
 * What happens:
 *	server NAME                            a customer's server, healthy; mx1, mx2 ... in this order
 *	domain NAME to SERVER...               served by the relay, with explicit hosts
 *	domain NAME mx SERVER...               by the domain's MX, in order of preference
 *	domain NAME mx-equal SERVER...         likewise, all of one preference
 *	domain NAME null-mx                    its MX says that it takes no mail (RFC 7505)
 *	domain NAME unknown                    nothing is in the DNS
 *	sender NAME                            somebody who sends; sender1, sender2 ... in this order
 *	send N to DOMAIN over TIME             mails of 200 to 3000 bytes to its users, one after the other, from sender1
 *	send N to DOMAIN over TIME size BYTES
 *	send N to DOMAIN over TIME user NUMBER all to this one of its users; u0@DOMAIN is user 0
 *	send N to DOMAIN DOMAIN over TIME      each to one user of each domain
 *	wait TIME
 *	SERVER up|refused|black-hole|unreachable|killed|power-cut
 *	SERVER healthy                         up, and in the best of moods
 *	SERVER STAGE WHAT CHANCE               banner ehlo tls mail rcpt data body dot; closes busy temporary permanent hangs
 *	SERVER refuses-all | refuses-one-in N | limit N | delay TIME | loses-reply CHANCE | replies-late CHANCE
 *	SERVER without FEATURE                 pipelining chunking 8bitmime size esmtp
 *	senders leave|reset|abort|half-close|drip CHANCE  at their mails from now on
 *	relay stop                             it ends politely
 *	relay killed|power-cut|start           a killed relay stays dead until start
 *	relay dies-at ack|stored CHANCE        killed within 20 ms after such a moment, started again a second later
 *	pause DOMAIN | resume DOMAIN | probe DOMAIN
 *	clock +TIME | clock -TIME              the wall clock jumps
 *	dns dead|fine | dns DOMAIN mx SERVER... | dns DOMAIN mx-equal SERVER...
 *	store late|unknown|failed|full CHANCE | store fine
 *	mark                                   measurements begin here
 *	calm                                   all faults are over
 *
 * What must come of it; "within TIME" lets the world run until it is so:
 *	expect held N                          recipients in the relay's queue, at once
 *	expect held at least N | expect held at most N
 *	expect first-held within TIME          something acknowledged before the mark is stored at a server
 *	expect delivered within TIME           everything acknowledged is
 *	expect delivered to DOMAIN within TIME
 *	expect delivered to DOMAIN but ADDRESS within TIME
 *	expect drained within TIME             and the senders have nothing left, and the relay's queue is empty
 *	expect worst-delay at most TIME        of mail acknowledged after the mark, from its 250 to its server
 *	expect duplicates at most N
 *	expect connects at SERVER at most N    since the mark
 *	expect stored at SERVER at least N     recipients, since the mark
 *	expect transactions at SERVER at least N
 *	expect transactions at SERVER at most N   at one time, since the mark
 *	expect ends N                          recipients that ended without being delivered
 *	expect told-refused at least N         messages whose senders read 5yz for their content in the session
 *	expect deferred                        at least one 4yz was read by a sender, or a session of his failed
 *
 * TIME: 300ms, 10s, 5m, 2h, 1d. Lines that begin with # are prose. At the end everything that was acknowledged must be
 * delivered. A story whose expectation fails names its line.
 */
/* clang-format on */
#ifndef SIM_STORY_H
#define SIM_STORY_H

#include "sim/store.h"

/* Plays the story of this file. Says on standard output what failed, with the line. False: it failed. */
bool sim_story(const char *path, uint64_t seed, enum sim_store_kind kind, FILE *verbose);

#endif
