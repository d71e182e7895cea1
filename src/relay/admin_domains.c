#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/address.h"
#include "proto/idn.h"
#include "relay/admin_private.h"
#include "relay/discover.h"
#include "relay/feed.h"
#include "relay/inbound.h"
#include "relay/save.h"
#include "relay/trust.h"

enum { HOLD_DAYS_MAX = 60, DAY_MS = 24 * 3600 * 1000 };

struct domain_request {
	struct admin_request request; /* first */
	char name[RELAY_DOMAIN_NAME_MAX + 1];
	char outcome[ADMIN_MESSAGE_MAX]; /* what will be said once it is durable */
	bool undo_add;			 /* a failed write takes the domain away again */
	int error;			 /* what free_when_at_rest answers */
};

static struct domain *requested(const struct domain_request *r)
{
	return domain_find(r->request.relay, slice_of(r->name));
}

static struct domain_request *new_request(struct relay *relay, struct slice name, admin_done *done,
					  void *owner)
{
	struct domain_request *r = calloc(1, sizeof(*r));

	if (r == NULL) {
		admin_request_answer(relay, done, owner, ERR_MEMORY, "out of memory");
		return NULL;
	}
	(void)snprintf(r->name, sizeof(r->name), "%.*s", SLICE_ARG(slice_upto(name, RELAY_DOMAIN_NAME_MAX)));
	admin_request_init(&r->request, relay, done, owner);
	return r;
}

static void not_ready(struct relay *relay, admin_done *done, void *owner)
{
	admin_request_answer(relay, done, owner, ERR_STATE,
			     "restante is reading its state: try again in a moment");
}

struct domain *admin_find_or_answer(struct relay *relay, struct slice name, admin_done *done, void *owner)
{
	struct domain *domain = domain_find(relay, name);

	if (!relay->ready) {
		not_ready(relay, done, owner);
		return NULL;
	}
	if (domain == NULL)
		admin_request_answer(
		    relay, done, owner, ERR_MISSING,
		    "%.*s is not served here: `restante domain ls` shows the domains, `restante "
		    "domain add` adds one",
		    SLICE_ARG(slice_upto(name, RELAY_DOMAIN_NAME_MAX)));
	return domain;
}

/* --- writing --- */

static bool holds_mail(const struct domain *domain)
{
	struct store_counts held;
	struct store *store = domain->relay->ports.store;

	store->ops->count(store, domain->number, &held);
	if (held.messages == 0) /* nobody else may get its number while something is in grace there */
		store->ops->count(store, STORE_GRACE | domain->number, &held);
	return held.messages > 0;
}

/* The domain goes once nothing of it is in memory or being read. If mail came in before the door was shut, it
 * stays, and its record is written again. */
static void free_when_at_rest(struct timer *timer)
{
	struct domain_request *r = container_of(timer, struct domain_request, request.timer);
	struct relay *relay = r->request.relay;
	struct domain *domain = requested(r);

	if (domain != NULL && holds_mail(domain)) {
		domain->removing = false;
		domain->destination_changed = true;
		domain_wake(domain);
		admin_request_finish(&r->request, ERR_STATE, "mail came in for %s meanwhile: it stays",
				     r->name);
		return;
	}
	if (domain != NULL && (!queue_at_rest(&domain->queue) || commit_pending_for(relay, domain->number))) {
		timer_set(&relay->timers, timer, relay->now.now_us + CLOCK_MS(50));
		return;
	}
	if (domain != NULL)
		domain_free(domain);
	admin_request_finish(&r->request, r->error, "%s", r->outcome);
}

/* An add that could not be written down. */
static void take_back(struct domain_request *r, struct domain *domain, int error, const char *why)
{
	struct relay *relay = r->request.relay;

	relay->adding_failed = true;
	domain->removing = true;
	r->error = error;
	(void)snprintf(r->outcome, sizeof(r->outcome), "%s", why);
	r->request.timer.fire = free_when_at_rest;
	timer_set(&relay->timers, &r->request.timer, relay->now.now_us);
}

static void written(void *owner, enum store_result result, enum store_reason reason)
{
	struct domain_request *r = owner;
	struct relay *relay = r->request.relay;
	struct domain *domain = requested(r);

	relay_enter(relay);
	relay->operations--;
	if (domain != NULL)
		domain->puts--;
	if (result == STORE_OK) {
		relay->adding_failed = false;
		admin_request_finish(&r->request, 0, "%s", r->outcome);
		return;
	}
	const char *why = reason == STORE_REASON_FULL
			      ? "the change could not be written to the store: the disk is full"
			      : "the change could not be written to the store: see the log for the reason";
	if (r->undo_add && domain != NULL) {
		take_back(r, domain, ERR_IO, why);
		return;
	}
	if (domain != NULL)
		domain->destination_changed = true; /* as it is now: tried again with the next round */
	admin_request_finish(&r->request, ERR_IO, "%s", why);
}

static void write_down(struct domain_request *r, struct domain *domain)
{
	if (save_domain(domain, written, r) == 0) {
		domain->puts++;
	} else if (r->undo_add) {
		take_back(r, domain, ERR_MEMORY, "out of memory");
	} else {
		domain->destination_changed = true;
		admin_request_finish_later(&r->request, ERR_MEMORY, "out of memory");
	}
}

/* --- add --- */

static int parse_destinations(const struct slice *texts, size_t count, struct destination *ret_destination,
			      char *ret_why, size_t size)
{
	ret_destination->count = 0;
	for (size_t i = 0; i < count; i++) {
		if (ret_destination->count == RELAY_HOSTS_MAX) {
			(void)snprintf(ret_why, size, "more than %d hosts", RELAY_HOSTS_MAX);
			return ERR_LIMIT;
		}
		struct host *host = &ret_destination->hosts[ret_destination->count];
		if (host_parse(texts[i], host) != 0) {
			(void)snprintf(ret_why, size,
				       "\"%.*s\" is not a host: write a name or an address, with :PORT if it "
				       "is not the usual one, "
				       "such as mail.example.com, 192.0.2.1:2525 or [2001:db8::1]:25",
				       SLICE_ARG(slice_upto(texts[i], 200)));
			return ERR_SYNTAX;
		}
		host->preference = (uint16_t)ret_destination->count++;
	}
	return 0;
}

static void describe(const struct domain *domain, char *ret_text, size_t size)
{
	struct destination destination;
	char hosts[300];

	destination_of(domain->destination, &destination);
	destination_format(&destination, hosts, sizeof(hosts));
	if (destination.count > 0)
		(void)snprintf(ret_text, size, "%s: mail goes to %s%s. Now set the domain's MX to %s",
			       domain->name, hosts, domain->by_mx ? " (its MX of today, remembered)" : "",
			       domain->relay->config.hostname);
	else
		(void)snprintf(ret_text, size,
			       "%s: no server was found (%s). Its mail is accepted and held until the MX "
			       "names one, or until "
			       "`restante domain set %s to=HOST`. The MX may point to %s already",
			       domain->name, domain->flow.reason, domain->name,
			       domain->relay->config.hostname);
}

static void discovered(void *owner, struct domain *domain)
{
	struct domain_request *r = owner;

	describe(domain, r->outcome, sizeof(r->outcome));
	write_down(r, domain);
}

void admin_domain_add(struct relay *relay, struct slice name, const struct slice *destinations, size_t count,
		      admin_done *done, void *owner)
{
	struct destination destination;
	char why[512], ascii[IDN_NAME_SIZE];

	relay_enter(relay);
	if (!relay->ready) {
		not_ready(relay, done, owner);
		return;
	}
	if (name.size > 0 && name.data[name.size - 1] == '.')
		name.size--;
	if (idn_to_ascii(name, ascii) != 0 || !address_valid_domain(slice_of(ascii), false)) {
		admin_request_answer(relay, done, owner, ERR_SYNTAX,
				     "\"%.*s\" is not a domain name: write it as in example.com",
				     SLICE_ARG(slice_upto(name, 200)));
		return;
	}
	name = slice_of(ascii);
	if (domain_find(relay, name) != NULL) {
		admin_request_answer(relay, done, owner, ERR_EXISTS,
				     "%.*s is served already: `restante domain set` changes it",
				     SLICE_ARG(name));
		return;
	}
	int error = parse_destinations(destinations, count, &destination, why, sizeof(why));
	if (error != 0) {
		admin_request_answer(relay, done, owner, error, "%s", why);
		return;
	}
	struct domain_request *r = new_request(relay, name, done, owner);
	if (r == NULL)
		return;
	struct domain *domain = domain_new(relay, name, domain_new_number(relay));
	if (domain == NULL) {
		admin_request_finish_later(&r->request, ERR_MEMORY, "out of memory");
		return;
	}
	r->undo_add = true;
	domain->by_mx = count == 0;
	if (domain_set_destination(domain, &destination, SLICE("its MX is being looked up")) != 0) {
		take_back(r, domain, ERR_MEMORY, "out of memory");
		return;
	}
	if (domain->by_mx) {
		domain->discovered = discovered;
		domain->discovered_owner = r;
		discover_start(domain);
	} else {
		describe(domain, r->outcome, sizeof(r->outcome));
		write_down(r, domain);
	}
}

/* --- set --- */

static int split_hosts(struct slice value, struct slice *ret_texts, size_t *ret_count)
{
	struct slice part;

	*ret_count = 0;
	while (slice_split(&value, ',', &part)) {
		if (*ret_count > RELAY_HOSTS_MAX)
			break;
		ret_texts[(*ret_count)++] = slice_trim(part);
	}
	return 0;
}

static int set_hosts(struct domain *domain, struct slice value, char *ret_why, size_t size)
{
	struct slice texts[RELAY_HOSTS_MAX + 2];
	struct destination destination;
	size_t count;

	if (slice_equal_nocase(value, SLICE("mx"))) {
		domain->by_mx = true;
		domain->damaged = false;
		discover_start(domain);
		return 0;
	}
	(void)split_hosts(value, texts, &count);
	int error = parse_destinations(texts, count, &destination, ret_why, size);
	if (error != 0)
		return error;
	if (domain_set_destination(domain, &destination, (struct slice){.data = NULL, .size = 0}) != 0) {
		(void)snprintf(ret_why, size, "out of memory");
		return ERR_MEMORY;
	}
	domain->by_mx = false;
	domain->damaged = false;
	discover_stop(domain);
	domain_discovered(domain); /* an add that waited for the MX has its answer */
	return 0;
}

static int set_share(struct domain *domain, struct slice value, char *ret_why, size_t size)
{
	uint64_t percent;

	if (value.size > 0 && value.data[value.size - 1] == '%')
		value.size--;
	if (slice_to_u64(value, &percent) != 0 || percent < 1 || percent > 100) {
		(void)snprintf(ret_why, size, "share is a percentage of the spool from 1 to 100");
		return ERR_SYNTAX;
	}
	domain->share_percent = (uint32_t)percent;
	return 0;
}

static int set_key(struct domain *domain, struct slice key, struct slice value, char *ret_why, size_t size)
{
	uint64_t days;

	if (slice_equal(key, SLICE("to")))
		return set_hosts(domain, value, ret_why, size);
	if (slice_equal(key, SLICE("share")))
		return set_share(domain, value, ret_why, size);
	if (slice_equal(key, SLICE("hold"))) {
		if (value.size > 0 && value.data[value.size - 1] == 'd')
			value.size--;
		if (slice_to_u64(value, &days) != 0 || days < 1 || days > HOLD_DAYS_MAX) {
			(void)snprintf(ret_why, size, "hold is a number of days from 1 to %d", HOLD_DAYS_MAX);
			return ERR_SYNTAX;
		}
		domain->hold_ms = (int64_t)days * DAY_MS;
		return 0;
	}
	(void)snprintf(
	    ret_why, size,
	    "\"%.*s\" cannot be set: the keys are to (hosts, or mx), hold (days) and share (percent)",
	    SLICE_ARG(slice_upto(key, 100)));
	return ERR_SYNTAX;
}

void admin_domain_set(struct relay *relay, struct slice name, struct slice key, struct slice value,
		      admin_done *done, void *owner)
{
	char why[512] = "";

	relay_enter(relay);
	struct domain *domain = admin_find_or_answer(relay, name, done, owner);
	if (domain == NULL)
		return;
	if (domain->number >= DOMAIN_NUMBER_MAX) /* its record was lost */
		domain_set_number(domain, domain_new_number(relay));
	int error = set_key(domain, key, value, why, sizeof(why));
	if (error != 0) {
		admin_request_answer(relay, done, owner, error, "%s", why);
		return;
	}
	struct domain_request *r = new_request(relay, name, done, owner);
	if (r == NULL)
		return;
	describe(domain, r->outcome, sizeof(r->outcome));
	if (slice_equal(key, SLICE("hold")))
		(void)snprintf(r->outcome, sizeof(r->outcome), "%s: mail is held up to %lld days",
			       domain->name, (long long)(domain->hold_ms / DAY_MS));
	if (slice_equal(key, SLICE("share")))
		(void)snprintf(r->outcome, sizeof(r->outcome),
			       "%s: may hold %u %% of the spool, and while half of it is free, more",
			       domain->name, domain->share_percent);
	write_down(r, domain);
}

/* --- remove --- */

static void removed(void *owner, enum store_result result, enum store_reason reason)
{
	struct domain_request *r = owner;
	struct relay *relay = r->request.relay;
	struct domain *domain = requested(r);

	relay_enter(relay);
	relay->operations--;
	if (result != STORE_OK) {
		if (domain != NULL)
			domain->removing = false;
		admin_request_finish(&r->request, ERR_IO,
				     "the change could not be written to the store: see the log");
		return;
	}
	r->request.timer.fire = free_when_at_rest;
	timer_set(&relay->timers, &r->request.timer, relay->now.now_us);
}

void admin_domain_remove(struct relay *relay, struct slice name, admin_done *done, void *owner)
{
	struct store_counts held;

	relay_enter(relay);
	struct domain *domain = admin_find_or_answer(relay, name, done, owner);
	if (domain == NULL)
		return;
	relay->ports.store->ops->count(relay->ports.store, domain->number, &held);
	if (held.messages > 0) {
		admin_request_answer(
		    relay, done, owner, ERR_STATE,
		    "%s holds %llu messages: deliver them, or remove them with `restante message rm`, first",
		    domain->name, (unsigned long long)held.messages);
		return;
	}
	if (holds_mail(domain)) {
		admin_request_answer(
		    relay, done, owner, ERR_STATE,
		    "mail for %s that has ended is kept for some days yet: `restante trace` shows its "
		    "ids, release it or remove it with `restante message`, or wait",
		    domain->name);
		return;
	}
	if (domain->removing || domain->discovered != NULL || domain->puts > 0) {
		admin_request_answer(relay, done, owner, ERR_STATE,
				     "%s is being changed just now: try again in a moment", domain->name);
		return;
	}
	struct domain_request *r = new_request(relay, name, done, owner);
	if (r == NULL)
		return;
	(void)snprintf(r->outcome, sizeof(r->outcome), "%s is not served any more: point its MX elsewhere",
		       domain->name);
	domain->removing = true; /* RCPT is answered 451 meanwhile: nothing can come in between */
	save_remove_domain(domain, removed, r);
}

/* --- by hand --- */

static void flow_written(void *owner, enum store_result result, enum store_reason reason)
{
	struct domain_request *r = owner;
	struct relay *relay = r->request.relay;

	relay_enter(relay);
	relay->operations--;
	if (result == STORE_OK) {
		admin_request_finish(&r->request, 0, "%s", r->outcome);
		return;
	}
	relay->save_failed = true; /* tried again at each round */
	admin_request_finish(
	    &r->request, ERR_IO,
	    "it is done, but could not be written to the store: a restart may forget it; see the log");
}

static void write_flow(struct domain_request *r, struct domain *domain)
{
	if (save_flow(domain, flow_written, r) != 0)
		admin_request_finish_later(&r->request, ERR_MEMORY, "out of memory");
}

void admin_hold(struct relay *relay, struct slice name, int64_t until_ms, admin_done *done, void *owner)
{
	relay_enter(relay);
	struct domain *domain = admin_find_or_answer(relay, name, done, owner);

	if (domain == NULL)
		return;
	if (until_ms != 0 && until_ms <= relay->now.wall_ms) {
		admin_request_answer(relay, done, owner, ERR_SYNTAX, "the hold would end in the past");
		return;
	}
	struct domain_request *r = new_request(relay, name, done, owner);
	if (r == NULL)
		return;
	domain_flow_was(domain, domain_pause(&domain->flow, until_ms, relay->now.wall_ms));
	(void)snprintf(r->outcome, sizeof(r->outcome), "%s: mail is accepted and held until %s", domain->name,
		       until_ms != 0 ? "the time given, or `restante resume`" : "`restante resume`");
	write_flow(r, domain);
}

void admin_resume(struct relay *relay, struct slice name, admin_done *done, void *owner)
{
	relay_enter(relay);
	struct domain *domain = admin_find_or_answer(relay, name, done, owner);

	if (domain == NULL)
		return;
	struct domain_request *r = new_request(relay, name, done, owner);
	if (r == NULL)
		return;
	bool changed = domain_resume(&domain->flow, relay->now.wall_ms);
	domain_flow_was(domain, changed);
	if (domain->feed != NULL)
		lane_hint(&domain->feed->lane, true, relay->now.now_us);
	domain_wake(domain);
	(void)snprintf(r->outcome, sizeof(r->outcome),
		       changed ? "%s: mail flows again" : "%s was not on hold", domain->name);
	write_flow(r, domain);
}

void admin_probe(struct relay *relay, struct slice name, admin_done *done, void *owner)
{
	relay_enter(relay);
	struct domain *domain = admin_find_or_answer(relay, name, done, owner);

	if (domain == NULL)
		return;
	if (domain->by_mx)
		discover_start(domain);
	if (domain->feed == NULL) {
		admin_request_answer(relay, done, owner, 0,
				     "%s: no server is known yet; its MX is looked up now", domain->name);
		return;
	}
	lane_hint(&domain->feed->lane, true, relay->now.now_us);
	queue_release(domain);
	trust_probe_now(domain);
	admin_request_answer(relay, done, owner, 0,
			     "%s: the server is tried now; `restante status %s` shows what it says",
			     domain->name, domain->name);
}

void admin_trust(struct relay *relay, struct slice name, admin_done *done, void *owner)
{
	relay_enter(relay);
	struct domain *domain = admin_find_or_answer(relay, name, done, owner);

	if (domain == NULL)
		return;
	bool grace = trust_in_grace(domain);
	if (!trust_end_grace(domain))
		admin_request_answer(relay, done, owner, ERR_MEMORY, "no memory");
	else
		admin_request_answer(relay, done, owner, 0,
				     grace ? "%s: its server's refusals are believed from now on"
					   : "%s: its server was not in grace",
				     domain->name);
}
