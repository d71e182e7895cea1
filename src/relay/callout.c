#include "relay/callout.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/base32.h"
#include "base/check.h"
#include "lane/tuning.h"
#include "relay/ask.h"
#include "relay/feed.h"
#include "relay/trust.h"

enum {
	PATH_SIZE = CALLOUT_LOCAL_MAX + RELAY_DOMAIN_NAME_MAX + 2,
	NOT_MADE_UP = ASK_RECIPIENTS_MAX,
};

struct callout {
	struct ask ask;
	struct domain *domain;
	struct list in_domain;
	struct list members;
	uint32_t made_up; /* place of the address that nobody has, or NOT_MADE_UP */
	char reverse_path[PATH_SIZE];
	char paths[ASK_RECIPIENTS_MAX][PATH_SIZE];
	struct slice recipients[ASK_RECIPIENTS_MAX];
	struct ask_answer answers[ASK_RECIPIENTS_MAX];
};

/* --- what was said --- */

static enum door_callout classify(const struct ask_answer *answer)
{
	enum verdict_reason reason = answer->result.reason;

	switch (answer->result.verdict) {
	case VERDICT_OK:
		return DOOR_TAKEN;
	case VERDICT_RECIPIENT:
		return reason == REASON_MAILBOX_FULL || reason == REASON_MAILBOX_THROTTLED ? DOOR_TAKEN
											   : DOOR_OTHER;
	case VERDICT_REFUSED:
		return answer->stage == VERDICT_AT_RCPT && reason == REASON_NO_SUCH_USER ? DOOR_UNKNOWN
											 : DOOR_OTHER;
	case VERDICT_DOMAIN:
	case VERDICT_MESSAGE:
	case VERDICT_US:
		return DOOR_OTHER;
	case VERDICT_HOST:
	case VERDICT_CONN_LIMIT:
	case VERDICT_RATE:
	case VERDICT_PRESSURE:
	case VERDICT_BUSY:
	case VERDICT_LATER:
	case VERDICT_UNKNOWN:
		return DOOR_FAILED;
	}
	check_never();
}

static void hear_made_up(struct callout *c)
{
	struct known *known = c->domain->known;

	if (c->made_up == NOT_MADE_UP || known == NULL)
		return;
	enum door_callout said = classify(&c->answers[c->made_up]);
	if (said != DOOR_TAKEN && said != DOOR_UNKNOWN)
		return;
	known->changed = true;
	if (ledger_made_up(&known->ledger, said == DOOR_TAKEN))
		log_event(c->domain->relay->ports.log, LOG_LEVEL_ALARM, "domain", 0,
			  "the server takes a recipient that nobody has, and did not before: was it "
			  "reinstalled, and is it empty?",
			  LOG_TEXT("domain", slice_of(c->domain->name)));
}

static void hear(struct callout *c, struct callout_member *member)
{
	const struct ask_answer *answer = &c->answers[member->place];
	enum door_callout said = classify(answer);

	(void)snprintf(member->words, sizeof(member->words), "%s", answer->words);
	trust_callout(c->domain, slice_of(c->paths[member->place]), member->sender, &member->entry, answer);
	if (answer->result.verdict == VERDICT_OK)
		known_called(c->domain, member->local, &member->entry);
	member->heard(member, said);
}

static void done(struct ask *ask, bool answered)
{
	struct callout *c = container_of(ask, struct callout, ask);
	struct list *node;

	list_remove(&c->in_domain);
	c->domain->callout_count--;
	if (answered)
		hear_made_up(c);
	while ((node = list_first(&c->members)) != NULL) {
		struct callout_member *member = container_of(node, struct callout_member, in_callout);
		list_remove(&member->in_callout);
		member->callout = NULL;
		if (answered)
			hear(c, member);
		else
			member->heard(member, DOOR_FAILED);
	}
	free(c);
}

/* --- questions --- */

static uint32_t add_path(struct callout *c, struct slice local)
{
	uint32_t place = c->ask.count++;

	(void)snprintf(c->paths[place], PATH_SIZE, "%.*s@%s", SLICE_ARG(local), c->domain->name);
	c->recipients[place] = slice_of(c->paths[place]);
	return place;
}

/* Not while the server may not be itself yet, unless it could tell before: then it matters most. */
static bool wants_made_up(const struct domain *domain)
{
	const struct known *known = domain->known;

	if (known == NULL || ledger_catch_all(&known->ledger, true) != LEDGER_ASK)
		return false;
	list_each(node, &domain->callouts)
		if (container_of(node, struct callout, in_domain)->made_up != NOT_MADE_UP)
			return false;
	return known->ledger.told_once || !trust_in_grace(domain);
}

static void add_made_up(struct callout *c)
{
	char local[BASE32_U64_SIZE + 16], digits[BASE32_U64_SIZE + 1];

	base32_from_u64(rng_next(&c->domain->relay->rng), digits);
	(void)snprintf(local, sizeof(local), "nobody-%s", digits);
	c->made_up = add_path(c, slice_of(local));
}

static struct callout *callout_new(struct domain *domain)
{
	struct callout *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->domain = domain;
	c->made_up = NOT_MADE_UP;
	list_init(&c->members);
	if (domain->known == NULL || !domain->known->ledger.null_sender)
		(void)snprintf(c->reverse_path, sizeof(c->reverse_path), "postmaster@%s",
			       domain->relay->config.hostname);
	c->ask = (struct ask){
	    .domain = domain,
	    .reverse_path = slice_of(c->reverse_path),
	    .recipients = c->recipients,
	    .answers = c->answers,
	    .timeout_ms = CALLOUT_MS,
	    .done = done,
	};
	if (wants_made_up(domain))
		add_made_up(c);
	return c;
}

/* One that still waits for its connection, with a place left. */
static struct callout *find_open(const struct domain *domain)
{
	if (list_empty(&domain->callouts))
		return NULL;
	struct callout *c = container_of(domain->callouts.prev, struct callout, in_domain);
	return c->ask.out == NULL && c->ask.count < ASK_RECIPIENTS_MAX ? c : NULL;
}

static struct callout *begin(struct domain *domain, struct slice local)
{
	struct callout *c = domain->callout_count < CALLOUTS_MAX ? callout_new(domain) : NULL;

	if (c == NULL)
		return NULL;
	(void)add_path(c, local);
	if (!ask_start(&c->ask, domain->feed)) {
		free(c);
		return NULL;
	}
	list_add_last(&domain->callouts, &c->in_domain);
	domain->callout_count++;
	domain->relay->counters.callouts++;
	return c;
}

bool callout_join(struct domain *domain, struct callout_member *member)
{
	struct callout *c = find_open(domain);

	check(member->callout == NULL);
	if (member->local.size > CALLOUT_LOCAL_MAX)
		return false;
	if (c != NULL)
		(void)add_path(c, member->local);
	else
		c = begin(domain, member->local);
	if (c == NULL)
		return false;
	member->callout = c;
	member->place = c->ask.count - 1;
	list_add_last(&c->members, &member->in_callout);
	domain->relay->counters.callout_recipients++;
	return true;
}

/* The question goes on: its answers are worth knowing. */
void callout_leave(struct callout_member *member)
{
	if (member->callout == NULL)
		return;
	list_remove(&member->in_callout);
	member->callout = NULL;
}

void callout_cancel_all(struct domain *domain)
{
	list_each_safe(node, next, &domain->callouts) {
		struct callout *c = container_of(node, struct callout, in_domain);
		ask_cancel(&c->ask);
		list_each_safe(member, after, &c->members) {
			container_of(member, struct callout_member, in_callout)->callout = NULL;
			list_remove(member);
		}
		list_remove(node);
		free(c);
	}
	domain->callout_count = 0;
}
