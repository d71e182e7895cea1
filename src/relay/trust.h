/* How far a domain's server is believed when it refuses (lane/refusal.h, doc/holds.md). The detector is in
 * domain->known; a domain of which nothing is known yet is in grace, and nothing is proven of its server.
 *
 * This is the detector's owner: it feeds it with results, has known recipients asked when it wants a check
 * (ask.h), and brings what it decides to the domain's flow.
 */
#ifndef RELAY_TRUST_H
#define RELAY_TRUST_H

#include "lane/refusal.h"
#include "proto/smtp_client.h"
#include "relay/domains.h"

struct ask_answer;
struct known_entry;
struct outbound;

enum {
	TRUST_CHECK_MS = 60000,	   /* patience with one question of a check: slow servers are not wrong */
	TRUST_DISTRUST_MS = 15000, /* between two checks because the server distrusts us */
};

/* --- for decisions --- */

/* Its server took a known recipient within the last minute, and nothing speaks against it: its refusals count
 * (RECOVERY §1.7.6). */
bool trust_is_proven(const struct domain *domain);
/* The server is new to us, or came back less than an hour ago: a refusal says little. */
bool trust_in_grace(const struct domain *domain);
/* It refuses valid recipients: all its mail waits. */
bool trust_holds(const struct domain *domain);
/* Some valid recipients are refused, or nobody knows: mail flows, nothing ends. */
bool trust_doubts(const struct domain *domain);
/* Something was refused that asks for a check, or one content after another: no refusal is final now. */
bool trust_suspects(const struct domain *domain);
/* A decision waits for proof: the server is asked about known recipients soon. */
void trust_want_proof(struct domain *domain);
/* The same, for one at our door: returns the number of the check that fulfils it, one that begins after this;
 * door_checked is told when any is over. 0: no memory. */
uint32_t trust_prove_now(struct domain *domain);
/* Seeded hash of an address, whatever its case. */
uint64_t trust_recipient(const struct domain *domain, struct slice forward_path);
/* Is it one of the few recipients that its server accepted last? */
bool trust_knows(const struct domain *domain, struct slice forward_path);
/* "your server refuses recipients that it accepted before"; "" while it is trusted. */
const char *trust_words(const struct domain *domain);

/* --- for results.c --- */

/* The result of one recipient of a transaction; what follows for the domain is done. The advice says what
 * becomes of the recipient. */
struct refusal_advice trust_result(struct outbound *out, uint32_t index, const struct verdict_result *result,
				   const struct client_outcome *outcome);
/* What a callout from our own door said of a recipient, to the detector. sender: hash of the reverse-path of
 * the mail. */
void trust_callout(struct domain *domain, struct slice forward_path, uint64_t sender,
		   const struct known_entry *entry, const struct ask_answer *answer);
/* A probe told nothing about the domain: another one may go when it is due. */
void trust_probe_gone(struct domain *domain);

/* --- for the feed --- */

/* May its mail flow, as far as the detector goes (not while it holds; now and then while it doubts)? */
bool trust_permits(const struct domain *domain);
/* One that flows was sent. */
void trust_sent(struct domain *domain);
/* May a probe go now? */
bool trust_probes(const struct domain *domain);
void trust_probe_out(struct domain *domain, struct item *item);
/* By hand: one may go at once. */
void trust_probe_now(struct domain *domain);
/* Starts the check, or looks for the probe, that is due. */
void trust_look(struct domain *domain);
/* When trust_look, or a permit, is due; INT64_MAX: with the next event. */
int64_t trust_deadline(const struct domain *domain);

/* --- what happens to the server --- */

/* It may not be itself: back from an outage, another destination. */
void trust_grace(struct domain *domain);
/* By hand: the server is itself. False: no memory. */
nodiscard bool trust_end_grace(struct domain *domain);
/* The lane went down. */
void trust_server_lost(struct domain *domain);
/* After the state was read from the store: the flow follows it. */
void trust_loaded(struct domain *domain);
/* The domain goes. */
void trust_cancel(struct domain *domain);

#endif
