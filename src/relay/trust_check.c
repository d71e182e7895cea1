#include "relay/trust_check.h"

#include <stdio.h>
#include <stdlib.h>

#include "relay/ask.h"
#include "relay/distrusted.h"
#include "relay/door.h"
#include "relay/feed.h"
#include "relay/known.h"

enum { PATH_SIZE = LEDGER_LOCAL_MAX + RELAY_DOMAIN_NAME_MAX + 2 };

struct trust_check {
	struct ask ask;
	struct domain *domain;
	char paths[REFUSAL_CHECK_MAX][PATH_SIZE];
	uint32_t count, next;
	char reverse_path[PATH_SIZE + 16];
	struct slice recipient;
	struct ask_answer answer;
	char words[160]; /* of the last refusal */
	bool distrusted; /* which was because of us */
};

static void add_recipients(struct trust_check *c, bool witnesses)
{
	const struct known *known = c->domain->known;
	struct slice local;

	for (uint32_t i = 0; i < LEDGER_RECENT && c->count < REFUSAL_CHECK_MAX; i++) {
		if ((local = ledger_recent(&known->ledger, i)).size == 0)
			return;
		char *path = c->paths[c->count];
		(void)snprintf(path, PATH_SIZE, "%.*s@%s", SLICE_ARG(local), c->domain->name);
		uint64_t hash = trust_recipient(c->domain, slice_of(path));
		c->count += refusal_is_witness(&known->refusal, hash) == witnesses;
	}
}

static void finish(struct domain *domain, bool asked, const char *words)
{
	struct refusal *r = &domain->known->refusal;
	enum refusal_state before = r->state;
	bool clean = r->check_accepted > 0 && r->check_refused + r->check_again + r->check_deferred == 0;
	struct refusal_advice advice = refusal_check_done(r, asked, domain->relay->now.now_us);

	trust_follow(domain, before, &advice, slice_of(words));
	door_checked(domain, clean);
}

static void end(struct trust_check *c)
{
	struct domain *domain = c->domain;

	domain->known->check = NULL;
	finish(domain, true, c->words);
	if (c->distrusted && trust_holds(domain))
		distrusted_by_all(domain, slice_of(c->words));
	free(c);
}

static void ask_on(struct trust_check *c)
{
	if (c->next == c->count) {
		end(c);
		return;
	}
	c->recipient = slice_of(c->paths[c->next++]);
	if (!ask_start(&c->ask, c->domain->feed))
		end(c);
}

static void hear(struct trust_check *c)
{
	const struct ask_answer *answer = &c->answer;
	struct refusal_event event = {
	    .verdict = answer->result.verdict,
	    .stage = answer->stage,
	    .recipient = trust_recipient(c->domain, c->recipient),
	    .reason = answer->result.reason,
	};

	c->distrusted = event.verdict == VERDICT_US;
	if (c->distrusted) /* whatever it has against us: it does not take those whom it knows */
		event.verdict = VERDICT_REFUSED;
	refusal_check_answer(&c->domain->known->refusal, &event);
	if (event.verdict != VERDICT_OK)
		(void)snprintf(c->words, sizeof(c->words), "%s", answer->words);
}

static void answered(struct ask *ask, bool answered)
{
	struct trust_check *c = container_of(ask, struct trust_check, ask);

	if (!answered) {
		end(c);
		return;
	}
	hear(c);
	ask_on(c);
}

/* No memory: it is due again later, as after a dead line. */
static struct trust_check *check_new(struct domain *domain)
{
	struct trust_check *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->domain = domain;
	add_recipients(c, false);
	add_recipients(c, true);
	if (!domain->known->ledger.null_sender)
		(void)snprintf(c->reverse_path, sizeof(c->reverse_path), "postmaster@%s",
			       domain->relay->config.hostname);
	c->ask = (struct ask){
	    .domain = domain,
	    .reverse_path = slice_of(c->reverse_path),
	    .recipients = &c->recipient,
	    .answers = &c->answer,
	    .count = 1,
	    .timeout_ms = TRUST_CHECK_MS,
	    .done = answered,
	};
	return c;
}

void trust_check_start(struct domain *domain)
{
	struct known *known = domain->known;

	if (known->check != NULL)
		return;
	struct trust_check *c = check_new(domain);
	refusal_check_out(&known->refusal, domain->relay->now.now_us);
	known->checks++;
	if (c == NULL) {
		finish(domain, true, "");
		return;
	}
	if (c->count == 0) {
		free(c);
		finish(domain, false, "");
		return;
	}
	known->check = c;
	ask_on(c);
}

void trust_check_cancel(struct domain *domain)
{
	struct trust_check *c = domain->known->check;

	if (c == NULL)
		return;
	ask_cancel(&c->ask);
	domain->known->check = NULL;
	free(c);
}
