/* Evidence of the hold detector: known recipients, runs, deferred ones. Each recipient and each sender counts
 * once, so that repeating costs an attacker nothing and gains him nothing. */
#include <math.h>
#include <string.h>

#include "lane/refusal_internal.h"
#include "lane/tuning.h"

static bool is_among(const uint64_t *hashes, uint32_t count, uint64_t hash)
{
	for (uint32_t i = 0; i < count; i++)
		if (hashes[i] == hash)
			return true;
	return false;
}

static bool run_has(const struct refusal_run *run, uint64_t hash)
{
	uint32_t known = run->count < REFUSAL_RECENT ? run->count : REFUSAL_RECENT;

	for (uint32_t i = 0; i < known; i++)
		if (run->seen[i] == (uint32_t)hash)
			return true;
	return false;
}

/* Returns true when it is new to the run. */
static bool run_add(struct refusal_run *run, uint64_t hash)
{
	if (run_has(run, hash))
		return false;
	run->seen[run->count++ % REFUSAL_RECENT] = (uint32_t)hash;
	return true;
}

static void run_end(struct refusal_run *run)
{
	run->count = 0;
}

uint32_t refusal_run_limit(const struct refusal *r, int64_t now_us)
{
	double share = fmin(fmax(r->share, REFUSAL_SHARE_LEAST), REFUSAL_SHARE_MOST);

	if (refusal_in_grace(r, now_us))
		return REFUSAL_RUN_GRACE;
	return (uint32_t)ceil(log(REFUSAL_RUN_CHANCE) / log(share));
}

/* --- known recipients --- */

static void witness_remove(struct refusal *r, uint32_t place)
{
	r->witness_count--;
	r->witnesses[place] = r->witnesses[r->witness_count];
}

bool refusal_is_witness(const struct refusal *r, uint64_t recipient)
{
	for (uint32_t i = 0; i < r->witness_count; i++)
		if (r->witnesses[i].recipient == recipient)
			return true;
	return false;
}

bool refusal_has_departed(const struct refusal *r, uint64_t recipient)
{
	for (uint32_t i = 0; i < REFUSAL_RECENT; i++)
		if (r->departed[i] == (uint32_t)recipient)
			return true;
	return false;
}

static void depart(struct refusal *r, uint64_t recipient)
{
	r->departed[r->departed_next++ % REFUSAL_RECENT] = (uint32_t)recipient;
}

/* Three others were accepted since it was refused: it has left, and the server knows what it says. */
static void witness_other(struct refusal *r, uint32_t place, uint64_t accepted)
{
	struct refusal_witness *w = &r->witnesses[place];

	if (is_among(w->others, w->other_count, accepted))
		return;
	w->others[w->other_count++] = accepted;
	if (w->other_count < REFUSAL_OTHERS)
		return;
	depart(r, w->recipient);
	witness_remove(r, place);
}

static void witnesses_hear(struct refusal *r, uint64_t accepted)
{
	for (uint32_t i = r->witness_count; i > 0; i--) {
		if (r->witnesses[i - 1].recipient == accepted)
			witness_remove(r, i - 1);
		else
			witness_other(r, i - 1, accepted);
	}
}

/* Another recipient and another sender than all witnesses? */
static bool is_new_witness(const struct refusal *r, uint64_t recipient, uint64_t sender)
{
	for (uint32_t i = 0; i < r->witness_count; i++)
		if (r->witnesses[i].recipient == recipient || r->witnesses[i].sender == sender)
			return false;
	return r->witness_count < REFUSAL_WITNESSES;
}

static void note_known_refused(struct refusal *r, const struct refusal_event *event, int64_t now_us)
{
	r->last_refused_us = now_us;
	r->calm = 0;
	if (!is_new_witness(r, event->recipient, event->sender))
		return;
	r->witnesses[r->witness_count++] =
	    (struct refusal_witness){.recipient = event->recipient, .sender = event->sender};
	r->score += REFUSAL_SCORE_REFUSED;
	if (r->score >= REFUSAL_SCORE_LIMIT)
		refusal_suspect(r, REFUSAL_KNOWN, now_us);
}

static void note_known_accepted(struct refusal *r, const struct refusal_event *event, int64_t now_us)
{
	r->proven = true;
	r->proven_us = now_us;
	if (r->last_accepted == event->recipient)
		return;
	r->score = fmax(0, r->score - REFUSAL_SCORE_ACCEPTED);
	r->calm++;
}

/* --- all recipients --- */

static void note_share(struct refusal *r, bool refused)
{
	if (r->state == REFUSAL_TRUSTED)
		r->share += ((refused ? 1.0 : 0.0) - r->share) * REFUSAL_SHARE_GAIN;
}

static void note_soft_bit(struct refusal *r, bool deferred)
{
	r->soft_bits = (r->soft_bits << 1 | deferred) & ((1u << REFUSAL_SOFT_LAST) - 1);
	if (r->soft_known < REFUSAL_SOFT_LAST)
		r->soft_known++;
	if (!deferred && (uint32_t)__builtin_popcount(r->soft_bits) < REFUSAL_SOFT_MANY)
		run_end(&r->soft);
}

void refusal_note_accepted(struct refusal *r, const struct refusal_event *event, int64_t now_us)
{
	r->nobody = false;
	witnesses_hear(r, event->recipient);
	for (uint32_t i = 0; i < REFUSAL_RECENT; i++)
		if (r->departed[i] == (uint32_t)event->recipient)
			r->departed[i] = 0;
	if (event->standing >= LEDGER_SEEN)
		note_known_accepted(r, event, now_us);
	r->last_accepted = event->recipient;
	note_share(r, false);
	note_soft_bit(r, false);
	run_end(&r->refused);
	run_end(&r->refused_senders);
	run_end(&r->senders);
	if (event->stage != VERDICT_AT_DOT)
		return;
	run_end(&r->contents);
	r->contents_alarmed = false;
}

void refusal_note_refused(struct refusal *r, const struct refusal_event *event, int64_t now_us)
{
	if (event->standing >= LEDGER_GOOD && !refusal_has_departed(r, event->recipient))
		note_known_refused(r, event, now_us);
	if (event->verdict == VERDICT_DOMAIN)
		refusal_suspect(r, REFUSAL_CLASS, now_us);
	if (run_has(&r->refused, event->recipient) || run_has(&r->refused_senders, event->sender))
		return;
	(void)run_add(&r->refused, event->recipient);
	(void)run_add(&r->refused_senders, event->sender);
	note_share(r, true);
	if (r->refused.count >= refusal_run_limit(r, now_us))
		refusal_suspect(r, REFUSAL_RUN, now_us);
}

void refusal_note_sender(struct refusal *r, const struct refusal_event *event, int64_t now_us)
{
	if (run_add(&r->senders, event->sender) && r->senders.count >= REFUSAL_SENDERS_RUN)
		refusal_suspect(r, REFUSAL_SENDERS, now_us);
}

bool refusal_of_contents(const struct refusal *r, int64_t now_us)
{
	uint32_t limit = refusal_in_grace(r, now_us) ? REFUSAL_CONTENT_RUN_GRACE : REFUSAL_CONTENT_RUN;

	return r->contents.count >= limit;
}

bool refusal_note_content(struct refusal *r, const struct refusal_event *event)
{
	/* Its RCPT was taken, so an address says nothing here: senders count. */
	(void)run_add(&r->contents, event->sender);
	if (r->contents.count < REFUSAL_CONTENT_ALARM || r->contents_alarmed)
		return false;
	r->contents_alarmed = true;
	return true;
}

bool refusal_is_soft(enum verdict_reason reason)
{
	return reason == REASON_RECIPIENT_DEFERRED || reason == REASON_RECIPIENT_UNVERIFIED ||
	       reason == REASON_RECIPIENT_UNWELL;
}

void refusal_note_soft(struct refusal *r, const struct refusal_event *event, int64_t now_us)
{
	note_soft_bit(r, true);
	(void)run_add(&r->soft, event->recipient);
	if (r->soft_known >= REFUSAL_SOFT_LAST &&
	    (uint32_t)__builtin_popcount(r->soft_bits) >= REFUSAL_SOFT_MANY &&
	    r->soft.count >= REFUSAL_SOFT_DISTINCT)
		refusal_suspect(r, REFUSAL_SOFT, now_us);
}

void refusal_forget_evidence(struct refusal *r)
{
	r->score = 0;
	r->witness_count = 0;
	run_end(&r->refused);
	run_end(&r->refused_senders);
	run_end(&r->senders);
	run_end(&r->contents);
	run_end(&r->soft);
	r->soft_known = 0;
	r->soft_bits = 0;
}
