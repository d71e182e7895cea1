#include "hold_sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/rng.h"
#include "lane/door.h"
#include "lane/refusal.h"
#include "lane/tuning.h"

#define SECOND 1000000LL

enum {
	PEOPLE = 4096,	     /* recipients with a ledger entry: users first, then strangers in turn */
	WAITING_MAX = 20000, /* recipients kept for later */
};

struct person {
	bool exists, used;
	struct ledger_entry entry;
	char local[24];
};

struct waiting {
	uint32_t person;
	uint64_t sender;
	int64_t arrived_us, due_us;
	uint32_t attempts;
	bool content, held, healthy; /* refused content; until released; the server was healthy on arrival */
};

struct sim {
	const struct hold_story *story;
	struct hold_result result;
	struct rng rng;
	struct refusal refusal;
	struct ledger_domain domain;
	struct person people[PEOPLE];
	uint32_t next_stranger;
	struct waiting waiting[WAITING_MAX];
	uint32_t count, turn;
	int64_t now, broken_us, repaired_us, serve_us;
	bool broken, minute_refuses;
	int64_t minute_us;
	uint64_t since_break, next_sender;
	int64_t burst_until_us;
	struct quota unseen, lane_refusals;
};

static bool is_broken(struct sim *sim)
{
	return sim->broken && sim->now < sim->repaired_us;
}

/* A broken server refuses; healthy or not it refuses whom it does not have. */
static bool refuses_now(struct sim *sim)
{
	if (!is_broken(sim))
		return false;
	if (!sim->story->per_connection)
		return rng_chance(&sim->rng, sim->story->refuses);
	if (sim->now - sim->minute_us >= 60 * SECOND) {
		sim->minute_us = sim->now;
		sim->minute_refuses = rng_chance(&sim->rng, sim->story->refuses);
	}
	return sim->minute_refuses;
}

static bool accepts(struct sim *sim, uint32_t person)
{
	return sim->people[person].exists && !refuses_now(sim);
}

static uint64_t hash_of(uint32_t person)
{
	return (person + 1) * 0x9e3779b97f4a7c15ULL;
}

static void serve(struct sim *sim)
{
	if (sim->refusal.state == REFUSAL_TRUSTED)
		ledger_serve(&sim->domain, (sim->now - sim->serve_us) / 1000);
	sim->serve_us = sim->now;
}

static void release(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->count; i++) {
		sim->waiting[i].held = false;
		sim->waiting[i].due_us = sim->now;
	}
}

static void follow(struct sim *sim, const struct refusal_advice *advice, enum refusal_state before)
{
	double after_s = (double)(sim->now - sim->broken_us) / 1e6;

	sim->result.alarms += advice->alarm;
	if (before == REFUSAL_TRUSTED && sim->refusal.state == REFUSAL_DOUBT)
		sim->result.doubts++;
	if (advice->held) {
		sim->result.holds++;
		sim->result.false_holds += !is_broken(sim);
		if (is_broken(sim) && sim->result.hold_after_s < 0)
			sim->result.hold_after_s = after_s;
	}
	if (sim->refusal.state != REFUSAL_TRUSTED && is_broken(sim) && sim->result.doubt_after_s < 0) {
		sim->result.doubt_after_s = after_s;
		sim->result.after_messages = sim->since_break;
	}
	if (!advice->released)
		return;
	if (sim->broken && !is_broken(sim) && sim->result.release_after_s < 0)
		sim->result.release_after_s = (double)(sim->now - sim->repaired_us) / 1e6;
	release(sim);
}

static void drop(struct sim *sim, uint32_t place)
{
	sim->waiting[place] = sim->waiting[--sim->count];
}

static void accepted(struct sim *sim, uint32_t place, struct person *person)
{
	struct waiting *w = &sim->waiting[place];
	double delay_s = (double)(sim->now - w->arrived_us) / 1e6;

	ledger_accepted(&person->entry, &sim->domain, slice_of(person->local), sim->now / 1000);
	if (w->content) { /* taken at RCPT, refused at the dot: tried on, to no end, like spam */
		w->due_us = sim->now + 3600 * SECOND;
		if (w->attempts >= 3)
			drop(sim, place);
		return;
	}
	sim->result.delivered++;
	if (w->healthy && !is_broken(sim) && delay_s > sim->result.valid_delay_max_s)
		sim->result.valid_delay_max_s = delay_s;
	drop(sim, place);
}

static void refused(struct sim *sim, uint32_t place, struct person *person,
		    const struct refusal_advice *advice)
{
	struct waiting *w = &sim->waiting[place];

	ledger_was_refused(&person->entry, &sim->domain, advice->counted, sim->now / 1000);
	if (advice->departed)
		ledger_depart(&person->entry, &sim->domain, slice_of(person->local));
	w->held = advice->act == REFUSAL_HOLD;
	w->due_us = sim->now + advice->park_ms * 1000;
	if (advice->act != REFUSAL_END)
		return;
	sim->result.ended_valid += person->exists;
	sim->result.ended_unknown += !person->exists;
	drop(sim, place);
}

static void content_refused(struct sim *sim, const struct refusal_event *taken)
{
	struct refusal_event event = *taken;
	enum refusal_state before = sim->refusal.state;

	event.verdict = VERDICT_MESSAGE;
	event.stage = VERDICT_AT_DOT;
	struct refusal_advice advice = refusal_event(&sim->refusal, &event, sim->now);
	follow(sim, &advice, before);
}

/* An attacker's recipients: "relaying denied", odd addresses, senders that are refused. */
static enum verdict refusal_verdict(const struct sim *sim, const struct waiting *w, enum verdict_stage *stage)
{
	if (w->content && w->sender % 3 == 0)
		return VERDICT_DOMAIN;
	if (w->content && w->sender % 3 == 1) {
		*stage = VERDICT_AT_MAIL;
		return VERDICT_MESSAGE;
	}
	return VERDICT_REFUSED;
}

static void attempt(struct sim *sim, uint32_t place, bool probe)
{
	struct waiting *w = &sim->waiting[place];
	struct person *person = &sim->people[w->person];
	enum refusal_state before = sim->refusal.state;
	bool good = accepts(sim, w->person);
	enum verdict_stage stage = good && !w->content ? VERDICT_AT_DOT : VERDICT_AT_RCPT;

	serve(sim);
	w->attempts++;
	sim->result.attempts++;
	struct refusal_event event = {
	    .verdict = good ? VERDICT_OK : refusal_verdict(sim, w, &stage),
	    .recipient = hash_of(w->person),
	    .reason = REASON_NO_SUCH_USER,
	    .sender = w->sender,
	    .standing = ledger_standing(&person->entry, &sim->domain),
	    .probe = probe,
	    .counted = person->entry.counted,
	    .counted_ms = sim->domain.service_ms - person->entry.counted_service_ms,
	    .attempts = w->attempts,
	};
	event.stage = stage;
	struct refusal_advice advice = refusal_event(&sim->refusal, &event, sim->now);
	bool content = w->content;

	if (good)
		accepted(sim, place, person);
	else if (advice.act == REFUSAL_MESSAGE)
		drop(sim, place);
	else
		refused(sim, place, person, &advice);
	follow(sim, &advice, before);
	if (good && content)
		content_refused(sim, &event);
}

/* --- the check --- */

static uint32_t person_of(const struct sim *sim, struct slice local)
{
	for (uint32_t i = 0; i < PEOPLE; i++)
		if (sim->people[i].used && slice_equal(slice_of(sim->people[i].local), local))
			return i;
	check_never();
}

static uint32_t ask(struct sim *sim, bool witnesses, uint32_t asked)
{
	for (uint32_t place = 0; place < LEDGER_RECENT && asked < REFUSAL_CHECK_MAX; place++) {
		struct slice local = ledger_recent(&sim->domain, place);
		if (local.size == 0)
			break;
		uint32_t person = person_of(sim, local);
		if (refusal_is_witness(&sim->refusal, hash_of(person)) != witnesses)
			continue;
		asked++;
		struct refusal_event answer = {
		    .verdict = accepts(sim, person) ? VERDICT_OK : VERDICT_REFUSED,
		    .stage = VERDICT_AT_RCPT,
		    .recipient = hash_of(person),
		};
		refusal_check_answer(&sim->refusal, &answer);
	}
	return asked;
}

static void check_server(struct sim *sim)
{
	enum refusal_state before = sim->refusal.state;

	serve(sim);
	sim->result.checks++;
	refusal_check_out(&sim->refusal, sim->now);
	uint32_t asked = ask(sim, false, 0);
	asked = ask(sim, true, asked);
	struct refusal_advice advice = refusal_check_done(&sim->refusal, asked > 0, sim->now);
	follow(sim, &advice, before);
}

/* --- mail --- */

static uint32_t stranger(struct sim *sim)
{
	uint32_t range = PEOPLE - sim->story->users;
	uint32_t person = sim->story->users + sim->next_stranger++ % range;

	for (uint32_t i = 0; i < sim->count; i++)
		if (sim->waiting[i].person == person)
			drop(sim, i--);
	sim->people[person].entry = ledger_entry(LEDGER_DELIVERY);
	return person;
}

/* Half of all mail comes from a few senders. */
static uint64_t somebody(struct sim *sim)
{
	return rng_chance(&sim->rng, 0.5) ? 1 + rng_below(&sim->rng, 20) : 100 + rng_below(&sim->rng, 20000);
}

/* --- our door --- */

/* Asks the server for it, and tells the detector what it said. */
static enum door_callout callout(struct sim *sim, const struct waiting *w)
{
	struct person *person = &sim->people[w->person];
	enum refusal_state before = sim->refusal.state;
	bool good = accepts(sim, w->person);
	struct refusal_event event = {
	    .verdict = good ? VERDICT_OK : VERDICT_REFUSED,
	    .stage = VERDICT_AT_RCPT,
	    .reason = REASON_NO_SUCH_USER,
	    .recipient = hash_of(w->person),
	    .sender = w->sender,
	    .standing = ledger_standing(&person->entry, &sim->domain),
	};
	struct refusal_advice advice = refusal_event(&sim->refusal, &event, sim->now);

	if (good)
		ledger_accepted(&person->entry, &sim->domain, slice_of(person->local), sim->now / 1000);
	follow(sim, &advice, before);
	return good ? DOOR_TAKEN : DOOR_UNKNOWN;
}

static enum door_answer door_asks(struct sim *sim, const struct waiting *w)
{
	struct quota client = {.spent = 0}; /* each message from another network */
	struct door_budgets budgets = {&sim->unseen, DOOR_UNSEEN, &sim->lane_refusals, &client};
	struct person *person = &sim->people[w->person];
	struct door_question q = {.share_left = true, .catch_all = LEDGER_TELLS};

	for (;;) {
		q.server = door_server(&sim->refusal, true, sim->now);
		q.standing = ledger_standing(&person->entry, &sim->domain);
		q.refused_now = ledger_refused_now(&person->entry, &sim->domain);
		enum door_answer answer = door_decide(&q, &budgets, sim->now).answer;
		if (answer == DOOR_PROVE) {
			q.proofs++;
			check_server(sim);
		} else if (answer != DOOR_CALLOUT) {
			return answer;
		}
		q.callout = callout(sim, w);
	}
}

static bool admits(struct sim *sim, const struct waiting *w)
{
	struct person *person = &sim->people[w->person];
	enum door_answer answer = door_asks(sim, w);

	if (answer == DOOR_550) {
		sim->result.door_valid += person->exists;
		sim->result.door_unknown += !person->exists;
		ledger_was_refused(&person->entry, &sim->domain, true, sim->now / 1000);
	}
	sim->result.door_later += answer == DOOR_450 || answer == DOOR_451;
	return answer == DOOR_ACCEPT;
}

static void arrives(struct sim *sim)
{
	const struct hold_story *story = sim->story;
	double what = rng_unit(&sim->rng);
	struct waiting w = {.sender = somebody(sim), .arrived_us = sim->now, .healthy = !is_broken(sim)};
	bool burst = sim->now < sim->burst_until_us;

	if (!burst && rng_chance(&sim->rng, 0.001))
		sim->burst_until_us = sim->now + 120 * SECOND;
	check(sim->count < WAITING_MAX);
	if (what < story->attack) {
		w.sender = 1000000 + sim->next_sender++;
		w.content = true;
		w.person =
		    rng_chance(&sim->rng, 0.3) ? (uint32_t)rng_below(&sim->rng, story->users) : stranger(sim);
	} else if (what < story->attack + story->unknown ||
		   (what < story->attack + story->unknown + story->dictionary && burst)) {
		w.person = stranger(sim);
	} else {
		w.person = (uint32_t)rng_below(&sim->rng, story->users);
	}
	sim->since_break += is_broken(sim);
	serve(sim);
	if (!story->door || admits(sim, &w))
		sim->waiting[sim->count++] = w;
}

static void leaves(struct sim *sim)
{
	if (rng_chance(&sim->rng, sim->story->leavers / 1000))
		sim->people[rng_below(&sim->rng, sim->story->users)].exists = false;
}

static void probe(struct sim *sim)
{
	uint32_t best = sim->count;

	/* A known recipient first, then one not refused yet, then in turn. */
	for (uint32_t i = 0; i < sim->count; i++) {
		uint32_t place = (i + sim->turn) % sim->count;
		const struct waiting *w = &sim->waiting[place];
		bool known = ledger_standing(&sim->people[w->person].entry, &sim->domain) == LEDGER_GOOD;
		if (best == sim->count || (known && !w->content) || w->attempts == 0)
			best = place;
		if (known && !w->content)
			break;
	}
	if (best == sim->count)
		return;
	sim->turn++;
	sim->result.probes++;
	refusal_probe_out(&sim->refusal, sim->now);
	attempt(sim, best, true);
}

static void run_due(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->count; i++) {
		const struct waiting *w = &sim->waiting[i];
		struct refusal_permit permit = refusal_permit(&sim->refusal, sim->now);
		uint32_t before = sim->count;

		if (permit.check)
			check_server(sim);
		if (!permit.flow)
			return;
		if (w->held || w->due_us > sim->now)
			continue;
		if (permit.trickle)
			refusal_sent(&sim->refusal, sim->now);
		attempt(sim, i, false);
		i -= sim->count < before;
	}
}

static void step(struct sim *sim)
{
	run_due(sim);
	struct refusal_permit permit = refusal_permit(&sim->refusal, sim->now);
	if (permit.check)
		check_server(sim);
	if (permit.probe)
		probe(sim);
}

static void prepare(struct sim *sim, const struct hold_story *story, uint64_t seed)
{
	sim->story = story;
	sim->result.hold_after_s = sim->result.doubt_after_s = sim->result.release_after_s = -1;
	rng_init(&sim->rng, seed);
	sim->now = sim->serve_us = 1000 * SECOND;
	refusal_init(&sim->refusal, story->grace ? sim->now : sim->now - REFUSAL_GRACE_US);
	ledger_domain_init(&sim->domain);
	for (uint32_t i = 0; i < PEOPLE; i++) {
		struct person *person = &sim->people[i];

		*person = (struct person){.exists = i < story->users, .used = true};
		(void)snprintf(person->local, sizeof(person->local), "user%u", i);
		person->entry = ledger_entry(LEDGER_DELIVERY);
		if (i < story->known)
			ledger_accepted(&person->entry, &sim->domain, slice_of(person->local), 1);
	}
}

static void mail_comes(struct sim *sim, uint64_t n)
{
	if (sim->story->broken_s > 0 && n == sim->story->breaks) {
		sim->broken = true;
		sim->broken_us = sim->now;
		sim->minute_us = sim->now - 60 * SECOND;
		sim->repaired_us = sim->now + (int64_t)(sim->story->broken_s * 1e6);
	}
	if (n < sim->story->messages) {
		arrives(sim);
		leaves(sim);
	}
}

/* The mail, then an hour and what is needed for the end of a break. */
struct hold_result hold_play(const struct hold_story *story, uint64_t seed)
{
	struct sim *sim = calloc(1, sizeof(*sim));
	check(sim != NULL);

	prepare(sim, story, seed);
	int64_t gap_us = (int64_t)(1e6 / story->rate_per_s);
	int64_t end_us = sim->now + (int64_t)story->messages * gap_us + 3600 * SECOND;
	int64_t next_mail_us = sim->now;
	uint64_t n = 0;
	while (sim->now < end_us || is_broken(sim)) {
		for (; next_mail_us <= sim->now; next_mail_us += gap_us)
			mail_comes(sim, n++);
		step(sim);
		/* In steps of half a second, or of the mail. */
		sim->now += gap_us < SECOND / 2 ? gap_us : SECOND / 2;
	}
	struct hold_result result = sim->result;
	free(sim);
	return result;
}
