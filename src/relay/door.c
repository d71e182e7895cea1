#include "relay/door.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "lane/tuning.h"
#include "proto/address.h"
#include "relay/callout.h"
#include "relay/door_memory.h"
#include "relay/feed.h"
#include "relay/inbound.h"
#include "relay/trust.h"

enum visit_state {
	VISIT_READING = 0, /* the ledger */
	VISIT_ASKING = 1,  /* a callout is under way */
	VISIT_PROVING = 2, /* a check of known recipients is under way, or another one before it */
	VISIT_DUE = 3,	   /* something was learnt: to be decided in this turn */
	VISIT_GONE = 4,	   /* nobody waits; the store still has it */
	VISIT_SAID = 5,	   /* ahead of its RCPT: the answer stands ready */
};

struct door_visit {
	struct callout_member member;
	struct list in_domain, in_orphans;
	struct list in_ahead; /* linked: its RCPT has not come yet */
	struct inbound *in;
	struct domain *domain; /* NULL: it went meanwhile */
	struct relay *relay;
	struct timer timer;
	enum visit_state state;
	struct door_question question;
	uint64_t recipient;
	uint32_t check; /* PROVING: the check that counts */
	uint32_t words; /* of the server since the first proof: one behind each is wanted */
	bool reading, unclean;
	struct reply said;
	char local[CALLOUT_LOCAL_MAX + 1];
};

static void decide(struct door_visit *v);
static void read_ledger(struct door_visit *v);

static int64_t now_of(const struct door_visit *v)
{
	return v->relay->now.now_us;
}

/* --- life --- */

/* Its RCPT has come, or will not be answered by it. */
static void no_more_ahead(struct door_visit *v)
{
	if (!list_linked(&v->in_ahead))
		return;
	list_remove(&v->in_ahead);
	v->relay->door_ahead--;
}

static void visit_free(struct door_visit *v)
{
	no_more_ahead(v);
	callout_leave(&v->member);
	timer_clear(&v->relay->timers, &v->timer);
	list_remove(&v->in_domain);
	list_remove(&v->in_orphans);
	free(v);
}

/* The session is told, or gone. */
static void part(struct door_visit *v)
{
	if (v->in != NULL && v->in->visit == v)
		v->in->visit = NULL;
	no_more_ahead(v);
	v->in = NULL;
	if (!v->reading) {
		visit_free(v);
		return;
	}
	v->state = VISIT_GONE;
	v->domain = NULL;
	timer_clear(&v->relay->timers, &v->timer);
	list_remove(&v->in_domain);
	list_add_last(&v->relay->door_orphans, &v->in_orphans);
}

static void answer(struct door_visit *v, const struct reply *reply)
{
	struct inbound *in = v->in;

	if (list_linked(&v->in_ahead)) {
		v->said = *reply;
		v->state = VISIT_SAID;
		timer_clear(&v->relay->timers, &v->timer);
		return;
	}
	part(v);
	inbound_recipient_decided(in, reply);
}

/* In this turn, but not from inside what is at work just now. */
static void due(struct door_visit *v)
{
	v->state = VISIT_DUE;
	timer_set(&v->relay->timers, &v->timer, now_of(v));
}

static void wait_in(struct door_visit *v, enum visit_state state)
{
	v->state = state;
	timer_set(&v->relay->timers, &v->timer, v->in->door_until_us);
}

static void timer_fired(struct timer *timer)
{
	struct door_visit *v = container_of(timer, struct door_visit, timer);

	if (v->state != VISIT_DUE) { /* too late */
		callout_leave(&v->member);
		v->question.callout = DOOR_FAILED;
	}
	decide(v);
}

/* --- the answer --- */

static struct reply refusal(const struct door_visit *v, enum door_answer said)
{
	const char *name = v->domain->name;
	struct reply reply;

	if (said == DOOR_550)
		reply_set(&reply, 550, "5.1.1", "the mail server of %s says: %s", name, v->member.words);
	else if (said == DOOR_450)
		reply_set(&reply, 450, "4.7.1",
			  "the mail server of %s did not confirm this recipient, try again later", name);
	else
		reply_set(&reply, 451, "4.7.1",
			  "the mail server of %s cannot be asked about this recipient, and enough mail for "
			  "recipients never seen is held for it: try again later",
			  name);
	return reply;
}

static void count(struct relay *relay, enum door_answer said)
{
	relay->counters.door_550 += said == DOOR_550;
	relay->counters.door_450 += said == DOOR_450;
	relay->counters.door_451 += said == DOOR_451;
}

static void remember(struct door_visit *v, enum door_answer said)
{
	struct door_memory *memory = v->relay->door_memory;
	bool known = v->question.standing >= LEDGER_LISTED || v->question.callout == DOOR_TAKEN;

	if (said == DOOR_550)
		door_note(memory, v->recipient, DOOR_REFUSED, now_of(v));
	else if (said == DOOR_ACCEPT && known)
		door_note(memory, v->recipient, DOOR_KNOWN, now_of(v));
	else if (said == DOOR_ACCEPT && v->question.catch_all != LEDGER_TAKES_ALL) {
		v->relay->counters.door_unseen++;
		door_note(memory, v->recipient, DOOR_HELD, now_of(v));
	}
}

static void finish(struct door_visit *v, const struct door_decision *decision)
{
	struct reply reply;

	remember(v, decision->answer);
	count(v->relay, decision->answer);
	if (decision->answer == DOOR_ACCEPT)
		reply_set(&reply, 250, "2.1.5", "ok");
	else
		reply = refusal(v, decision->answer);
	log_event(v->relay->ports.log, LOG_LEVEL_DEBUG, "door", 0, decision->reason,
		  LOG_TEXT("to", slice_of(v->local)), LOG_TEXT("domain", slice_of(v->domain->name)),
		  LOG_NUMBER("code", reply.code));
	answer(v, &reply);
}

/* --- what is asked --- */

static enum door_server server_of(const struct door_visit *v)
{
	enum door_server server = door_server(&v->domain->known->refusal, feed_flows(v->domain), now_of(v));

	/* Proven, says the check, but not all that are known were taken. */
	return server == DOOR_HEALTHY && v->unclean ? DOOR_UNPROVEN : server;
}

static void ask_question(struct door_visit *v)
{
	const struct known *known = v->domain->known;
	struct door_question *q = &v->question;
	enum door_word word = door_recall(v->relay->door_memory, v->recipient, now_of(v));

	q->server = server_of(v);
	q->standing = v->member.entry.state == NOTE_FOUND
			  ? ledger_standing(&v->member.entry.entry, &known->ledger)
			  : LEDGER_UNSEEN;
	q->refused_now = word == DOOR_REFUSED;
	q->catch_all = ledger_catch_all(&known->ledger, q->server != DOOR_DOWN);
	q->vouched = inbound_vouched(v->in);
	q->share_left = true; /* or the room would have said no */
}

static struct door_decision judge(struct door_visit *v)
{
	struct relay *relay = v->relay;
	struct quota lane = {.spent = 0};
	struct feed *feed = v->domain->feed;
	struct door_budgets budgets = {
	    .unseen = &v->domain->known->unseen,
	    .unseen_per_hour = relay->config.unseen_per_hour,
	    .lane_refusals = feed != NULL ? &feed->refusals : &lane,
	    .client_refusals = door_client(relay->door_memory, &v->in->peer, relay->ports.seed, now_of(v)),
	};

	ask_question(v);
	bool held = v->question.server == DOOR_DOWN &&
		    door_recall(relay->door_memory, v->recipient, now_of(v)) == DOOR_HELD;
	if (held)
		return (struct door_decision){.answer = DOOR_ACCEPT, .reason = "unseen, and held before"};
	return door_decide(&v->question, &budgets, now_of(v));
}

/* Whether the server has SMTPUTF8 is not known before it is asked. */
static bool can_be_asked(const struct door_visit *v)
{
	for (const char *c = v->local; *c != '\0'; c++)
		if ((unsigned char)*c > 127)
			return false;
	return now_of(v) < v->in->door_until_us;
}

static void call_out(struct door_visit *v)
{
	if (can_be_asked(v) && callout_join(v->domain, &v->member)) {
		wait_in(v, VISIT_ASKING);
		return;
	}
	v->question.callout = DOOR_FAILED;
	due(v);
}

static void prove(struct door_visit *v)
{
	wait_in(v, VISIT_PROVING);
	v->check = UINT32_MAX; /* not yet: the check may be over before this returns */
	uint32_t wanted = trust_prove_now(v->domain);
	if (v->domain->known->check == NULL) { /* nobody to ask */
		v->question.proofs++;
		v->unclean = true;
		due(v);
		return;
	}
	v->check = wanted;
}

/* The server was proven: whom it refused before is asked for once more. */
static bool wants_another_word(const struct door_visit *v)
{
	return v->question.proofs > v->words && v->question.callout == DOOR_UNKNOWN &&
	       server_of(v) == DOOR_HEALTHY;
}

static void decide(struct door_visit *v)
{
	struct reply reply;

	if (v->domain == NULL || !domain_takes_mail(v->domain) || known_of(v->domain) == NULL) {
		reply_set(&reply, 451, "4.3.5", "this domain is being changed here, try again later");
		answer(v, &reply);
		return;
	}
	if (wants_another_word(v)) {
		v->words = v->question.proofs;
		call_out(v);
		return;
	}
	struct door_decision decision = judge(v);
	if (decision.answer == DOOR_550 && v->member.entry.edits != known_edits(v->domain))
		read_ledger(v); /* somebody may have vouched for it meanwhile */
	else if (decision.answer == DOOR_CALLOUT)
		call_out(v);
	else if (decision.answer == DOOR_PROVE)
		prove(v);
	else
		finish(v, &decision);
}

static void heard(struct callout_member *member, enum door_callout said)
{
	struct door_visit *v = container_of(member, struct door_visit, member);

	v->question.callout = said;
	due(v);
}

/* --- the ledger --- */

static void entry_read(void *owner, enum store_result result, const struct store_pair *pairs,
		       size_t pair_count, bool more)
{
	struct door_visit *v = owner;

	relay_enter(v->relay);
	v->relay->operations--;
	v->reading = false;
	if (v->in == NULL) {
		visit_free(v);
		return;
	}
	if (result == STORE_OK)
		known_entry_take(&v->member.entry, pairs, pair_count);
	if (v->state == VISIT_READING)
		decide(v);
}

/* An address that is too long for the ledger is decided upon without it. */
static void read_ledger(struct door_visit *v)
{
	struct store *store = v->relay->ports.store;
	char key[LEDGER_KEY_MAX];
	size_t size;

	v->member.entry.edits = known_edits(v->domain);
	if (ledger_key(slice_of(v->domain->name), slice_of(v->local), key, &size) != 0) {
		due(v);
		return;
	}
	v->reading = true;
	v->relay->operations++;
	wait_in(v, VISIT_READING);
	store->ops->get(store, slice_make(key, size), entry_read, v);
}

/* --- RCPT --- */

static uint64_t hash_of(const struct domain *domain, struct slice local)
{
	char path[CALLOUT_LOCAL_MAX + RELAY_DOMAIN_NAME_MAX + 2];

	(void)snprintf(path, sizeof(path), "%.*s@%s", SLICE_ARG(local), domain->name);
	return trust_recipient(domain, slice_of(path));
}

static struct door_visit *new_visit(struct inbound *in, struct domain *domain, struct slice local)
{
	struct door_visit *v = calloc(1, sizeof(*v));

	if (v == NULL)
		return NULL;
	v->in = in;
	v->domain = domain;
	v->relay = in->relay;
	v->timer.fire = timer_fired;
	v->recipient = hash_of(domain, local);
	(void)snprintf(v->local, sizeof(v->local), "%.*s", SLICE_ARG(local));
	v->member.local = slice_of(v->local);
	v->member.sender = map_hash(smtp_server_transaction(in->server)->reverse_path, in->relay->ports.seed);
	v->member.heard = heard;
	list_add_last(&domain->visits, &v->in_domain);
	if (in->door_until_us == 0)
		in->door_until_us = in->relay->now.now_us + CLOCK_MS(DOOR_WAIT_MS);
	return v;
}

/* Nothing is to be found out about it. */
static bool is_free(const struct inbound *in, const struct domain *domain, struct slice local)
{
	const struct relay *relay = in->relay;

	if (!relay->config.ask_recipients || address_is_postmaster(local))
		return true;
	if (domain->known != NULL &&
	    ledger_catch_all(&domain->known->ledger, feed_flows(domain)) == LEDGER_TAKES_ALL)
		return true;
	return door_recall(relay->door_memory, hash_of(domain, local), relay->now.now_us) == DOOR_KNOWN;
}

static struct door_visit *find_ahead(const struct inbound *in, const struct domain *domain,
				     uint64_t recipient)
{
	list_each(node, &in->visits_ahead) {
		struct door_visit *v = container_of(node, struct door_visit, in_ahead);
		if (v->domain == domain && v->recipient == recipient)
			return v;
	}
	return NULL;
}

/* The RCPT of one that was looked at ahead has come. False: it was not, or what was found is not to be used.
 * Else its answer, or the visit goes on as this RCPT's. */
static bool take_ahead(struct inbound *in, const struct domain *domain, struct slice local,
		       struct reply *ret_reply, bool *ret_said)
{
	struct door_visit *v = find_ahead(in, domain, hash_of(domain, local));

	if (v == NULL)
		return false;
	bool old = v->member.entry.edits != known_edits(domain); /* somebody may have vouched for it */
	*ret_said = v->state == VISIT_SAID;
	if (*ret_said) {
		*ret_reply = v->said;
		part(v);
		return !old || reply_positive(ret_reply);
	}
	no_more_ahead(v);
	in->visit = v;
	return true;
}

bool door_ask(struct inbound *in, struct domain *domain, const struct smtp_server_recipient *recipient,
	      struct reply *ret_reply)
{
	struct slice path = recipient->forward_path;
	struct slice local = slice_upto(path, slice_find_last(path, '@'));
	bool said;

	if (is_free(in, domain, local)) {
		reply_set(ret_reply, 250, "2.1.5", "ok");
		return true;
	}
	if (take_ahead(in, domain, local, ret_reply, &said))
		return said;
	struct door_visit *v = new_visit(in, domain, local);
	if (v == NULL) {
		reply_set(ret_reply, 451, "4.3.0", "short of memory, try again later");
		return true;
	}
	in->visit = v;
	read_ledger(v);
	return false;
}

/* Those asked for ahead may all be refused: not more of them than the budgets of refusals have left. */
static double may_look_ahead(const struct inbound *in)
{
	struct relay *relay = in->relay;
	const struct feed *feed = in->visit->domain != NULL ? in->visit->domain->feed : NULL;
	int64_t now_us = relay->now.now_us;
	double left = quota_left(door_client(relay->door_memory, &in->peer, relay->ports.seed, now_us),
				 DOOR_CLIENT_REFUSALS, DOOR_CLIENT_REFUSALS_HOUR, now_us);

	if (feed != NULL)
		left = fmin(left,
			    quota_left(&feed->refusals, DOOR_LANE_REFUSALS, DOOR_LANE_REFUSALS_HOUR, now_us));
	list_each(node, &in->visits_ahead)
		left -= container_of(node, struct door_visit, in_ahead)->state != VISIT_SAID;
	return left - 1; /* the one that waits */
}

static void begin_ahead(struct inbound *in, const struct mailbox *mailbox)
{
	struct domain *domain = inbound_domain(in->relay, mailbox->domain);
	struct slice local = mailbox->local_part;

	if (domain == NULL || !domain_takes_mail(domain) || local.size > CALLOUT_LOCAL_MAX ||
	    is_free(in, domain, local))
		return;
	uint64_t recipient = hash_of(domain, local);
	if ((in->visit->domain == domain && in->visit->recipient == recipient) ||
	    find_ahead(in, domain, recipient) != NULL)
		return;
	struct door_visit *v = new_visit(in, domain, local);
	if (v == NULL)
		return;
	list_add_last(&in->visits_ahead, &v->in_ahead);
	in->relay->door_ahead++;
	read_ledger(v);
}

void door_look_ahead(struct inbound *in, struct slice input)
{
	struct mailbox mailbox;

	for (int i = 0; i < DOOR_AHEAD && in->relay->door_ahead < DOOR_AHEAD_MAX; i++) {
		if (!smtp_server_peek_rcpt(&input, &mailbox) || may_look_ahead(in) < 1)
			return;
		begin_ahead(in, &mailbox);
	}
}

void door_reset(struct inbound *in)
{
	struct list *node;

	if (in->visit != NULL)
		part(in->visit);
	while ((node = list_first(&in->visits_ahead)) != NULL)
		part(container_of(node, struct door_visit, in_ahead));
	in->door_until_us = 0;
}

static void hurry(struct door_visit *v)
{
	callout_leave(&v->member);
	v->question.callout = DOOR_FAILED;
	due(v);
}

void door_hurry(struct inbound *in)
{
	if (in->visit != NULL)
		hurry(in->visit);
	list_each(node, &in->visits_ahead) {
		struct door_visit *v = container_of(node, struct door_visit, in_ahead);
		if (v->state != VISIT_SAID)
			hurry(v);
	}
}

/* --- checks --- */

void door_checked(struct domain *domain, bool clean)
{
	bool another = false;

	list_each(node, &domain->visits) {
		struct door_visit *v = container_of(node, struct door_visit, in_domain);
		if (v->state != VISIT_PROVING || v->check == UINT32_MAX)
			continue;
		if (v->check > domain->known->checks) {
			another = true;
			continue;
		}
		v->question.proofs++;
		v->unclean = v->unclean || !clean;
		due(v);
	}
	if (another)
		(void)trust_prove_now(domain);
}

void door_domain_gone(struct domain *domain)
{
	struct list *node;

	callout_cancel_all(domain);
	while ((node = list_first(&domain->visits)) != NULL) {
		struct door_visit *v = container_of(node, struct door_visit, in_domain);
		list_remove(node);
		v->domain = NULL;
		due(v);
	}
}

void door_free_all(struct relay *relay)
{
	list_each_safe(node, after, &relay->door_orphans)
		visit_free(container_of(node, struct door_visit, in_orphans));
}
