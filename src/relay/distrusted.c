#include "relay/distrusted.h"

#include <stdio.h>
#include <stdlib.h>

#include "relay/known.h"
#include "relay/outbound.h"
#include "relay/trust_check.h"

static struct distrusted *of(const struct domain *domain)
{
	return domain->known != NULL ? domain->known->distrusted : NULL;
}

static int64_t now_of(const struct domain *domain)
{
	return domain->relay->now.now_us;
}

/* NULL: no memory; then its mail backs off message by message. */
static struct distrusted *made(struct domain *domain)
{
	struct known *known = known_of(domain);

	if (known == NULL || known->distrusted != NULL)
		return known != NULL ? known->distrusted : NULL;
	known->distrusted = calloc(1, sizeof(*known->distrusted));
	if (known->distrusted != NULL)
		distrust_init(&known->distrusted->machine, now_of(domain));
	return known->distrusted;
}

/* The domain of the reverse-path; the null one is a class of its own. Never 0. */
static uint64_t class_of(const struct domain *domain, struct slice reverse_path)
{
	size_t at = slice_find_last(reverse_path, '@');
	struct slice name = at < reverse_path.size ? slice_from(reverse_path, at) : SLICE("");

	return trust_recipient(domain, name) | 1;
}

/* --- the alarm --- */

/* The address that servers see, if we know one: not when a router translates it. */
static void our_address(const struct relay *relay, char ret_text[NET_ADDRESS_TEXT_SIZE])
{
	(void)snprintf(ret_text, NET_ADDRESS_TEXT_SIZE, "the relay's address");
	if (relay->config.own_address_count > 0 && !net_address_loopback(&relay->config.own_addresses[0]))
		(void)net_address_host(&relay->config.own_addresses[0], ret_text);
}

static void tell(const struct domain *domain, const struct distrusted *d, enum log_level level)
{
	const struct relay *relay = domain->relay;
	char address[NET_ADDRESS_TEXT_SIZE], step[ALLOW_LIST_TEXT_MAX];

	our_address(relay, address);
	(void)allow_list_advice(d->platform, d->reason, address, relay->config.hostname, step, sizeof(step));
	log_event(relay->ports.log, level, "domain", 0,
		  "the server distrusts this relay: mail that it refuses for that waits until it lets us in",
		  LOG_TEXT("domain", slice_of(domain->name)), LOG_TEXT("reply", slice_of(d->machine.reply)),
		  LOG_TEXT("server", slice_of(platform_name(d->platform))), LOG_TEXT("step", slice_of(step)));
}

void distrusted_by_all(struct domain *domain, struct slice words)
{
	struct distrusted *d = made(domain);

	if (d == NULL || d->machine.alarmed)
		return;
	d->machine.alarmed = true;
	if (d->machine.reply[0] == '\0')
		(void)snprintf(d->machine.reply, sizeof(d->machine.reply), "%.*s", SLICE_ARG(words));
	tell(domain, d, LOG_LEVEL_WARN); /* the hold itself is the alarm */
}

/* --- results --- */

static void note_server(struct distrusted *d, const struct outbound *out, enum verdict_reason reason)
{
	const char *host = out->feed->destination->hosts[out->trying.host].name;

	d->reason = reason;
	d->run++;
	if (out->client != NULL)
		d->platform = platform_of(smtp_client_banner(out->client), SLICE(""), slice_of(host));
}

static struct distrust_event event_of(const struct outbound *out, const struct verdict_result *result,
				      struct slice words)
{
	const struct domain *domain = out->item->domain;

	return (struct distrust_event){
	    .verdict = result->verdict,
	    .class_hash = class_of(domain, out->item->envelope.reverse_path),
	    .sender = trust_recipient(domain, out->item->envelope.reverse_path),
	    .message = out->item->id,
	    .reply = words,
	    .probe = out->canary && out->item->of_class,
	};
}

static void follow(struct domain *domain, struct distrusted *d, const struct distrust_event *event,
		   bool permitted, const struct distrust_advice *advice)
{
	if (advice->alarm)
		tell(domain, d, LOG_LEVEL_ALARM);
	if (permitted && !distrust_permits(&d->machine, event->class_hash))
		queue_withdraw(domain);
	if (advice->released) {
		queue_release_distrusted(domain);
		domain->released_us = 0; /* the next probe goes at once */
	}
	domain_flow_was(domain, false);
	domain_wake(domain);
}

/* Several classes in a row: it may be our address. Known recipients tell, whom the hold detector asks. */
static void look_at_all(struct domain *domain, struct distrusted *d)
{
	if (!distrust_permit(&d->machine, now_of(domain)).check)
		return;
	distrust_check_out(&d->machine, now_of(domain));
	(void)distrust_checked(&d->machine, false, false, now_of(domain));
	trust_want_proof(domain);
}

enum distrust_act distrusted_result(struct outbound *out, const struct verdict_result *result,
				    struct slice words)
{
	struct domain *domain = out->item->domain;
	struct distrusted *d = result->verdict == VERDICT_US ? made(domain) : of(domain);

	if (d == NULL || (result->verdict != VERDICT_US && result->verdict != VERDICT_OK))
		return DISTRUST_NONE;
	struct distrust_event event = event_of(out, result, words);
	bool permitted = distrust_permits(&d->machine, event.class_hash);
	if (event.verdict == VERDICT_US)
		note_server(d, out, result->reason);
	else
		d->run = 0;
	struct distrust_advice advice = distrust_event(&d->machine, &event, now_of(domain));
	follow(domain, d, &event, permitted, &advice);
	look_at_all(domain, d);
	return advice.act;
}

/* --- for queue and feed --- */

bool distrusted_holds(const struct domain *domain)
{
	const struct distrusted *d = of(domain);

	return d != NULL && distrust_holds(&d->machine);
}

bool distrusted_permits(const struct domain *domain, struct slice reverse_path)
{
	return !distrusted_holds(domain) ||
	       distrust_permits(&of(domain)->machine, class_of(domain, reverse_path));
}

int distrusted_worth(const struct domain *domain, struct slice reverse_path)
{
	if (distrusted_permits(domain, reverse_path))
		return 0;
	return class_of(domain, reverse_path) != of(domain)->probed_class ? 2 : 1;
}

bool distrusted_probes(const struct domain *domain)
{
	return distrusted_holds(domain) && feed_flows(domain) &&
	       distrust_permit(&of(domain)->machine, now_of(domain)).probe;
}

void distrusted_probe_out(struct domain *domain, struct slice reverse_path)
{
	struct distrusted *d = of(domain);

	d->probed_class = class_of(domain, reverse_path);
	distrust_probe_out(&d->machine, now_of(domain));
}

void distrusted_probe_gone(struct domain *domain)
{
	if (of(domain) != NULL)
		distrust_probe_abandoned(&of(domain)->machine);
}

int64_t distrusted_deadline(const struct domain *domain)
{
	return distrusted_holds(domain) && feed_flows(domain)
		   ? distrust_deadline(&of(domain)->machine, now_of(domain))
		   : INT64_MAX;
}

void distrusted_words(const struct domain *domain, char *ret_text, size_t size)
{
	const struct distrusted *d = of(domain);

	ret_text[0] = '\0';
	if (distrusted_holds(domain))
		(void)snprintf(ret_text, size,
			       "mail of %u senders' domains is held: the server distrusts this relay: %s",
			       d->machine.held_count, d->machine.reply);
}
