#include "relay/trust.h"

#include <stdio.h>

#include "relay/distrusted.h"
#include "relay/known.h"
#include "relay/outbound.h"
#include "relay/trust_check.h"

enum {
	SEEK_AGAIN_MS = 5000, /* a probe was looked for in vain, or part of the way */
	/* A message that was refused because the server distrusts us, while its class is not held. */
	DISTRUSTED_PARK_MS = 60000,
	DISTRUSTED_PARK_MAX_MS = 15 * 60000,
};

static struct refusal *refusal_of(const struct domain *domain)
{
	return domain->known != NULL ? &domain->known->refusal : NULL;
}

static int64_t now_of(const struct domain *domain)
{
	return domain->relay->now.now_us;
}

/* --- for decisions --- */

bool trust_is_proven(const struct domain *domain)
{
	const struct refusal *r = refusal_of(domain);

	return r != NULL && refusal_is_proven(r, now_of(domain));
}

bool trust_in_grace(const struct domain *domain)
{
	const struct refusal *r = refusal_of(domain);

	return r == NULL || refusal_in_grace(r, now_of(domain));
}

bool trust_holds(const struct domain *domain)
{
	const struct refusal *r = refusal_of(domain);

	return r != NULL && r->state == REFUSAL_HOLDING;
}

bool trust_doubts(const struct domain *domain)
{
	const struct refusal *r = refusal_of(domain);

	return r != NULL && r->state == REFUSAL_DOUBT;
}

bool trust_suspects(const struct domain *domain)
{
	const struct refusal *r = refusal_of(domain);

	return r != NULL &&
	       (r->suspicion != REFUSAL_NO_CAUSE || refusal_of_contents(r, domain->relay->now.now_us));
}

void trust_want_proof(struct domain *domain)
{
	struct known *known = known_of(domain);

	if (known == NULL)
		return;
	refusal_want_proof(&known->refusal, now_of(domain));
	domain_wake(domain);
}

uint32_t trust_prove_now(struct domain *domain)
{
	struct known *known = known_of(domain);

	if (known == NULL)
		return 0;
	uint32_t wanted = known->checks + 1;
	refusal_want_proof(&known->refusal, now_of(domain));
	trust_check_start(domain);
	return wanted;
}

bool trust_knows(const struct domain *domain, struct slice forward_path)
{
	struct slice local = slice_upto(forward_path, slice_find_last(forward_path, '@')), recent;

	if (domain->known == NULL)
		return false;
	for (uint32_t i = 0; (recent = ledger_recent(&domain->known->ledger, i)).size > 0; i++)
		if (slice_equal_nocase(recent, local))
			return true;
	return false;
}

const char *trust_words(const struct domain *domain)
{
	const struct refusal *r = refusal_of(domain);

	return r != NULL ? refusal_cause_words(r->cause) : "";
}

/* --- what follows --- */

static void log_doubt(const struct domain *domain, const struct refusal_advice *advice, struct slice words)
{
	const struct refusal *r = &domain->known->refusal;

	log_event(domain->relay->ports.log, advice->alarm ? LOG_LEVEL_ALARM : LOG_LEVEL_INFO, "domain", 0,
		  r->state == REFUSAL_DOUBT
		      ? "the server's refusals are doubted: mail flows, and no refusal is final"
		      : "the server's refusals are believed again",
		  LOG_TEXT("domain", slice_of(domain->name)),
		  LOG_TEXT("state", slice_of(refusal_state_name(r->state))),
		  LOG_TEXT("reason", slice_of(refusal_cause_words(r->cause))), LOG_TEXT("reply", words));
}

static void state_changed(struct domain *domain, enum refusal_state before,
			  const struct refusal_advice *advice, struct slice words)
{
	const struct refusal *r = &domain->known->refusal;
	char why[sizeof(domain->flow.reason)];

	domain->known->urgent = true;
	if (r->state != REFUSAL_HOLDING && before != REFUSAL_HOLDING)
		log_doubt(domain, advice, words);
	(void)snprintf(why, sizeof(why), "%s%s%.*s", refusal_cause_words(r->cause),
		       words.size > 0 ? ": " : "", SLICE_ARG(words));
	bool changed = domain_refusing(&domain->flow, r->state == REFUSAL_HOLDING, slice_of(why),
				       domain->relay->now.wall_ms);
	domain_flow_was(domain, changed);
	if (advice->released && !changed)
		queue_release(domain);
}

void trust_follow(struct domain *domain, enum refusal_state before, const struct refusal_advice *advice,
		  struct slice words)
{
	if (domain->known->refusal.state != before)
		state_changed(domain, before, advice, words);
	if (advice->contents)
		log_event(domain->relay->ports.log, LOG_LEVEL_ALARM, "domain", 0,
			  "the server refuses one content after another: nothing is held for that",
			  LOG_TEXT("domain", slice_of(domain->name)), LOG_TEXT("reply", words));
	domain_flow_was(domain, false);
	domain_wake(domain);
}

/* --- results --- */

uint64_t trust_recipient(const struct domain *domain, struct slice forward_path)
{
	char lower[LEDGER_LOCAL_MAX + RELAY_DOMAIN_NAME_MAX + 2];

	if (forward_path.size > sizeof(lower))
		return map_hash(forward_path, domain->relay->ports.seed);
	for (size_t i = 0; i < forward_path.size; i++) {
		char c = forward_path.data[i];
		lower[i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
	}
	return map_hash(slice_make(lower, forward_path.size), domain->relay->ports.seed);
}

/* What was not said by the server says nothing of it. */
static enum verdict said(const struct verdict_result *result, const struct client_outcome *outcome)
{
	bool server = outcome->end == CLIENT_REPLIED || outcome->end == CLIENT_ACCEPTED;

	return server ? result->verdict : VERDICT_LATER;
}

static void add_past(struct refusal_event *event, enum known_note_state state,
		     const struct ledger_entry *entry, const struct ledger_domain *ledger)
{
	if (state != NOTE_FOUND)
		return;
	event->standing = ledger_standing(entry, ledger);
	event->counted = entry->counted;
	if (event->counted > 0)
		event->counted_ms = ledger->service_ms - entry->counted_service_ms;
}

static struct refusal_event event_of(const struct outbound *out, uint32_t index,
				     const struct verdict_result *result,
				     const struct client_outcome *outcome)
{
	const struct item *item = out->item;
	const struct domain *domain = item->domain;
	const struct store_recipient *recipient = &item->envelope.recipients[index];
	struct refusal_event event = {
	    .verdict = said(result, outcome),
	    .stage = results_event(outcome, out, 0).stage,
	    .recipient = trust_recipient(domain, recipient->forward_path),
	    .sender = map_hash(item->envelope.reverse_path, domain->relay->ports.seed),
	    .standing = LEDGER_UNSEEN,
	    .reason = result->reason,
	    .probe = out->canary && !out->item->of_class,
	    .attempts = recipient->attempts + 1,
	};

	add_past(&event, out->notes[index].state, &out->notes[index].entry, &domain->known->ledger);
	return event;
}

/* The message was refused after the address was taken: that counts for the address. */
static bool note_taken(struct refusal *r, struct refusal_event event, int64_t now_us)
{
	if (event.verdict != VERDICT_MESSAGE || event.stage < VERDICT_AT_DATA || event.stage > VERDICT_AT_DOT)
		return false;
	event.verdict = VERDICT_OK;
	event.stage = VERDICT_AT_RCPT;
	return refusal_event(r, &event, now_us).released;
}

/* "Not authenticated", our address, our host name: whether that concerns some senders or all mail, known
 * recipients tell. */
static void look_into_distrust(struct domain *domain)
{
	const struct refusal *r = refusal_of(domain);

	if (domain->known->distrusted != NULL && domain->known->distrusted->run < DISTRUSTED_RUN)
		return; /* mail of others was taken meanwhile */
	if (r->check == REFUSAL_CHECK_NONE && now_of(domain) - r->check_us >= CLOCK_MS(TRUST_DISTRUST_MS))
		trust_want_proof(domain);
}

/* What becomes of a message that was refused because of us: it waits for its class, or some minutes. */
static void judge_distrust(const struct outbound *out, uint32_t index, enum distrust_act act,
			   struct refusal_advice *advice)
{
	uint32_t doublings = out->item->envelope.recipients[index].attempts;
	int64_t park_ms = (int64_t)DISTRUSTED_PARK_MS << (doublings < 4 ? doublings : 4);

	if (act == DISTRUST_HOLD)
		advice->act = REFUSAL_HOLD;
	else if (act == DISTRUST_PARK)
		advice->act = REFUSAL_PARK;
	advice->park_ms = park_ms < DISTRUSTED_PARK_MAX_MS ? park_ms : DISTRUSTED_PARK_MAX_MS;
}

struct refusal_advice trust_result(struct outbound *out, uint32_t index, const struct verdict_result *result,
				   const struct client_outcome *outcome)
{
	struct domain *domain = out->item->domain;
	struct known *known = known_of(domain);
	char words[REPLY_TEXT_MAX + 32];

	if (known == NULL)
		return (struct refusal_advice){.act = REFUSAL_MESSAGE};
	known_serve(domain);
	struct refusal_event event = event_of(out, index, result, outcome);
	enum refusal_state before = known->refusal.state;
	bool released = note_taken(&known->refusal, event, now_of(domain));
	struct refusal_advice advice = refusal_event(&known->refusal, &event, now_of(domain));
	advice.released = advice.released || released;
	results_words(&outcome->reply, words, sizeof(words));
	enum distrust_act act = distrusted_result(out, result, slice_of(words));
	if (result->verdict == VERDICT_US) {
		judge_distrust(out, index, act, &advice);
		look_into_distrust(domain);
	}
	trust_follow(domain, before, &advice, slice_of(words));
	return advice;
}

/* What becomes of a recipient does not matter here: it has no mail yet. */
void trust_callout(struct domain *domain, struct slice forward_path, uint64_t sender,
		   const struct known_entry *entry, const struct ask_answer *answer)
{
	struct known *known = known_of(domain);

	if (known == NULL)
		return;
	known_serve(domain);
	struct refusal_event event = {
	    .verdict = answer->result.verdict,
	    .stage = answer->stage,
	    .recipient = trust_recipient(domain, forward_path),
	    .sender = sender,
	    .standing = LEDGER_UNSEEN,
	    .reason = answer->result.reason,
	    .attempts = 1,
	};
	add_past(&event, entry->state, &entry->entry, &known->ledger);
	enum refusal_state before = known->refusal.state;
	struct refusal_advice advice = refusal_event(&known->refusal, &event, now_of(domain));
	if (answer->result.verdict == VERDICT_US)
		look_into_distrust(domain);
	trust_follow(domain, before, &advice, slice_of(answer->words));
}

void trust_probe_gone(struct domain *domain)
{
	if (domain->known != NULL)
		refusal_probe_abandoned(&domain->known->refusal);
	distrusted_probe_gone(domain);
	domain_flow_was(domain, false);
	domain_wake(domain);
}

/* --- for the feed --- */

bool trust_permits(const struct domain *domain)
{
	const struct refusal *r = refusal_of(domain);

	return r == NULL || refusal_permit(r, now_of(domain)).flow;
}

void trust_sent(struct domain *domain)
{
	struct refusal *r = refusal_of(domain);

	if (r == NULL || !refusal_permit(r, now_of(domain)).trickle)
		return;
	refusal_sent(r, now_of(domain));
	domain_flow_was(domain, false);
	queue_tell(domain);
}

bool trust_probes(const struct domain *domain)
{
	const struct refusal *r = refusal_of(domain);

	return r != NULL && feed_may_probe(domain) &&
	       (refusal_permit(r, now_of(domain)).probe || distrusted_probes(domain));
}

void trust_probe_out(struct domain *domain, struct item *item)
{
	struct refusal *r = &domain->known->refusal;

	item->of_class = !refusal_permit(r, now_of(domain)).probe;
	if (item->of_class)
		distrusted_probe_out(domain, item->envelope.reverse_path);
	else
		refusal_probe_out(r, now_of(domain));
	domain_flow_was(domain, false);
}

void trust_probe_now(struct domain *domain)
{
	struct refusal *r = refusal_of(domain);

	if (r == NULL)
		return;
	r->probe_us = now_of(domain);
	domain->released_us = now_of(domain) - CLOCK_MS(SEEK_AGAIN_MS);
	domain_wake(domain);
}

static void seek_probe(struct domain *domain, bool of_class)
{
	if (now_of(domain) - domain->released_us < CLOCK_MS(SEEK_AGAIN_MS))
		return;
	if (queue_seek_probe(domain, of_class))
		domain->released_us = now_of(domain);
}

void trust_look(struct domain *domain)
{
	const struct refusal *r = refusal_of(domain);

	if (r == NULL || !feed_may_probe(domain) || domain->feed->lane.state != LANE_UP)
		return;
	struct refusal_permit may = refusal_permit(r, now_of(domain));
	if (may.check)
		trust_check_start(domain);
	if (may.probe || distrusted_probes(domain))
		seek_probe(domain, !may.probe);
}

int64_t trust_deadline(const struct domain *domain)
{
	const struct refusal *r = refusal_of(domain);

	if (r == NULL || domain->feed == NULL || domain->feed->lane.state != LANE_UP ||
	    !feed_may_probe(domain))
		return INT64_MAX;
	int64_t refusal_us = refusal_deadline(r, now_of(domain)), class_us = distrusted_deadline(domain);
	return class_us < refusal_us ? class_us : refusal_us;
}

/* --- what happens to the server --- */

void trust_grace(struct domain *domain)
{
	if (domain->known == NULL)
		return; /* as it is */
	refusal_grace(&domain->known->refusal, now_of(domain));
	domain->known->urgent = true;
}

bool trust_end_grace(struct domain *domain)
{
	struct known *known = known_of(domain);

	if (known == NULL)
		return false;
	refusal_end_grace(&known->refusal, now_of(domain));
	known->urgent = true;
	domain_flow_was(domain, false);
	domain_wake(domain);
	return true;
}

void trust_server_lost(struct domain *domain)
{
	if (domain->known != NULL)
		refusal_server_lost(&domain->known->refusal);
}

void trust_loaded(struct domain *domain)
{
	char why[sizeof(domain->flow.reason)];

	(void)snprintf(why, sizeof(why), "%s", domain->flow.reason);
	bool changed =
	    domain_refusing(&domain->flow, trust_holds(domain), slice_of(why), domain->relay->now.wall_ms);
	domain_flow_was(domain, changed);
}

void trust_cancel(struct domain *domain)
{
	if (domain->known != NULL)
		trust_check_cancel(domain);
}
