/* Mail that a customer's server refuses because it distrusts this relay (lane/distrust.h, doc/holds.md): the
 * owner of that machine, made at a domain's first *us* verdict. Held are classes of mail, by the domain of
 * the reverse-path; what refuses all mail is the hold detector's to hold (trust.h), and only its alarm is
 * made here.
 *
 * Nothing is written to the store: after a restart a class is held again after two messages.
 */
#ifndef RELAY_DISTRUSTED_H
#define RELAY_DISTRUSTED_H

#include "lane/allow_list.h"
#include "lane/distrust.h"
#include "relay/domains.h"

struct outbound;

enum { DISTRUSTED_RUN = 2 }; /* refusals in a row for which known recipients are asked about */

struct distrusted {
	struct distrust machine;
	enum platform platform; /* that refused last, and why */
	enum verdict_reason reason;
	uint32_t run;	       /* such refusals since something was accepted */
	uint64_t probed_class; /* of the last probe: the next one is of another, if there is one */
};

/* The result of one recipient: OK or US, others are ignored. words: the server's. What follows for the queue
 * is done; the answer is what becomes of the message. */
enum distrust_act distrusted_result(struct outbound *out, const struct verdict_result *result,
				    struct slice words);
/* Its server did not take a recipient that it knows, because of us: the domain is held. */
void distrusted_by_all(struct domain *domain, struct slice words);

/* --- for queue and feed --- */

/* May mail with this reverse-path be sent? */
bool distrusted_permits(const struct domain *domain, struct slice reverse_path);
/* Is any class held? */
bool distrusted_holds(const struct domain *domain);
/* How good a probe is mail of this sender: 0 none, it flows; 1; 2 better. */
int distrusted_worth(const struct domain *domain, struct slice reverse_path);
/* A message of a held class may go, to see whether it is taken now. */
bool distrusted_probes(const struct domain *domain);
void distrusted_probe_out(struct domain *domain, struct slice reverse_path);
void distrusted_probe_gone(struct domain *domain);
int64_t distrusted_deadline(const struct domain *domain);

/* "mail of 3 senders' domains is held: the server distrusts this relay ..."; "" when nothing is. */
void distrusted_words(const struct domain *domain, char *ret_text, size_t size);

#endif
