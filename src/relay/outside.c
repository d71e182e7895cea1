#include "relay/outside.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "proto/address.h"
#include "proto/idn.h"
#include "relay/discover.h"
#include "relay/inbound.h"
#include "relay/save.h"

struct outside_job { /* one message, until the store has answered */
	struct list in_list;
	struct relay *relay;
	struct domain *domain;
	struct store_message *message;
	struct store_envelope envelope;
	struct store_recipient recipient;
	uint64_t bytes;
	outside_done *done;
	void *owner;
	char to[STORE_PATH_MAX + 1];
};

static struct outside *outside_of(struct list *node)
{
	return container_of(node, struct outside, in_list);
}

/* --- the domains --- */

static struct domain *make(struct relay *relay, struct slice name, uint32_t number)
{
	const struct destination none = {.count = 0};
	struct outside *outside = calloc(1, sizeof(*outside));
	struct domain *domain = outside != NULL ? domain_new_outside(relay, name, number, outside) : NULL;

	if (domain == NULL) {
		free(outside);
		return NULL;
	}
	outside->domain = domain;
	outside->used_us = relay->now.now_us;
	domain->hold_ms = OUTSIDE_HOLD_MS;
	domain->by_mx = true;
	list_add_last(&relay->outside.list, &outside->in_list);
	int error = domain_set_destination(domain, &none, SLICE("its MX is being looked up"));
	check(error == 0); /* nothing is to be kept */
	return domain;
}

int outside_load(struct relay *relay, struct slice name, struct slice value)
{
	uint64_t number;

	if (slice_to_u64(value, &number) != 0 || number == 0 || number >= DOMAIN_NUMBER_MAX ||
	    name.size > RELAY_DOMAIN_NAME_MAX)
		return ERR_CORRUPT;
	if (domain_find_outside(relay, name) != NULL)
		return 0; /* read before a failure, now once more */
	if (domain_by_number(relay, (uint32_t)number) != NULL)
		return ERR_CORRUPT;
	struct domain *domain = make(relay, name, (uint32_t)number);
	if (domain == NULL)
		return ERR_MEMORY;
	domain->outside->kept = true;
	if (number >= relay->next_domain_number)
		relay->next_domain_number = (uint32_t)number + 1;
	return 0;
}

/* --- a message on its way --- */

static void job_free(struct outside_job *job)
{
	if (job->domain != NULL && job->domain->outside != NULL)
		job->domain->outside->jobs--;
	list_remove(&job->in_list);
	free(job);
}

static void committed(void *owner, uint64_t id)
{
	struct outside_job *job = owner;
	outside_done *done = job->done;
	void *to = job->owner;

	job->relay->outside.sent += id != 0;
	job_free(job);
	done(to, id);
}

static void give_up(struct outside_job *job)
{
	struct store *store = job->relay->ports.store;

	store->ops->abort(job->message, NULL, NULL);
	committed(job, 0);
}

static void commit(struct outside_job *job)
{
	job->envelope.arrival_ms = job->relay->now.wall_ms;
	list_add_last(&job->relay->outside.committing, &job->in_list);
	if (commit_own(job->relay, job->message, &job->envelope, job->bytes, committed, job) != 0)
		give_up(job);
}

/* The record of that domain is durable, or is not. */
static void go_on(struct domain *domain, bool kept)
{
	list_each_safe(node, after, &domain->relay->outside.ordered) {
		struct outside_job *job = container_of(node, struct outside_job, in_list);
		if (job->domain != domain)
			continue;
		list_remove(&job->in_list);
		if (kept)
			commit(job);
		else
			give_up(job);
	}
}

static void put_done(void *owner, enum store_result result, enum store_reason reason)
{
	struct domain *domain = owner;
	struct relay *relay = domain->relay;
	struct outside *outside = domain->outside;

	relay_enter(relay);
	relay->operations--;
	if (--outside->puts > 0) /* a later one decides */
		return;
	if (domain->removing && result == STORE_OK) {
		domain_free(domain);
		return;
	}
	outside->kept = result == STORE_OK && !domain->removing;
	domain->removing = false;
	go_on(domain, outside->kept);
}

static void put(struct domain *domain, struct slice value)
{
	struct relay *relay = domain->relay;
	char key[STORE_KEY_MAX + 1];
	int size = snprintf(key, sizeof(key), "outside/%s", domain->name);

	relay->operations++;
	domain->outside->puts++;
	relay->ports.store->ops->put(relay->ports.store, slice_make(key, (size_t)size), value, put_done,
				     domain);
}

static void write_record(struct domain *domain)
{
	char text[16];
	int size = snprintf(text, sizeof(text), "%u", domain->number);

	domain->removing = false;
	put(domain, slice_make(text, (size_t)size));
}

/* --- limits --- */

static bool allowed(struct relay *relay, bool urgent)
{
	struct outsides *o = &relay->outside;
	double hours = (double)(relay->now.now_us - o->allowance_us) / (double)CLOCK_SECONDS(3600);

	o->allowance += hours * OUTSIDE_PER_HOUR;
	if (o->allowance > OUTSIDE_BURST)
		o->allowance = OUTSIDE_BURST;
	o->allowance_us = relay->now.now_us;
	return urgent || o->allowance >= 1;
}

/* ERR_LIMIT, ERR_MEMORY. */
static int domain_for(struct relay *relay, struct slice name, struct domain **ret_domain)
{
	char ascii[IDN_NAME_SIZE], key[STORE_KEY_MAX + 1];

	*ret_domain = domain_find(relay, name);
	if (*ret_domain != NULL && domain_takes_mail(*ret_domain))
		return 0;
	*ret_domain = domain_find_outside(relay, name);
	if (*ret_domain != NULL)
		return 0;
	if (relay->outside.domains.count >= OUTSIDE_DOMAINS_MAX)
		return ERR_LIMIT;
	if (idn_to_ascii(name, ascii) != 0 ||
	    (size_t)snprintf(key, sizeof(key), "outside/%s", ascii) >= sizeof(key))
		return ERR_SYNTAX;
	*ret_domain = make(relay, slice_of(ascii), domain_new_number(relay));
	if (*ret_domain == NULL)
		return ERR_MEMORY;
	discover_start(*ret_domain);
	return 0;
}

/* --- sending --- */

/* ERR_MEMORY, or what the store says. */
static int begin(struct relay *relay, const struct outside_mail *mail, struct outside_job **ret_job)
{
	struct store *store = relay->ports.store;
	struct outside_job *job = calloc(1, sizeof(*job));

	if (job == NULL)
		return ERR_MEMORY;
	int error = store->ops->begin(store, mail->content.size, &job->message);
	if (error == 0 && (error = store->ops->append(job->message, mail->content)) != 0)
		store->ops->abort(job->message, NULL, NULL);
	if (error != 0) {
		free(job);
		return error == ERR_LIMIT ? ERR_BUSY : error;
	}
	(void)snprintf(job->to, sizeof(job->to), "%.*s", SLICE_ARG(mail->to));
	job->recipient = (struct store_recipient){.forward_path = slice_of(job->to)};
	job->envelope = (struct store_envelope){
	    .flags = mail->utf8 ? STORE_SMTPUTF8 : 0u,
	    .body = mail->eight || mail->utf8 ? STORE_BODY_8BITMIME : STORE_BODY_7BIT,
	    .recipient_count = 1,
	    .recipients = &job->recipient,
	};
	job->relay = relay;
	job->bytes = mail->content.size;
	*ret_job = job;
	return 0;
}

static void set_out(struct outside_job *job, struct domain *domain)
{
	struct outside *outside = domain->outside;

	job->domain = domain;
	job->recipient.domain = domain->number;
	if (outside == NULL) {
		commit(job);
		return;
	}
	outside->jobs++;
	outside->used_us = job->relay->now.now_us;
	if (outside->kept && !domain->removing) {
		commit(job);
		return;
	}
	list_add_last(&job->relay->outside.ordered, &job->in_list);
	if (outside->puts == 0 || domain->removing)
		write_record(domain);
}

int outside_send(struct relay *relay, const struct outside_mail *mail, outside_done *done, void *owner)
{
	struct mailbox mailbox;
	struct outside_job *job;
	struct domain *domain;

	relay_enter(relay);
	if (!relay->ready || relay->shutting_down)
		return ERR_BUSY;
	if (mail->to.size > STORE_PATH_MAX || mail->content.size > OUTSIDE_BYTES_MAX ||
	    address_parse(mail->to, true, &mailbox) != 0 ||
	    !address_valid_domain(mailbox.domain, mail->utf8) || (mailbox.utf8 && !mail->utf8))
		return ERR_SYNTAX;
	if (!allowed(relay, mail->urgent)) {
		relay->outside.refused++;
		return ERR_LIMIT;
	}
	int error = begin(relay, mail, &job);
	if (error != 0)
		return error;
	error = domain_for(relay, mailbox.domain, &domain);
	if (error != 0) {
		relay->outside.refused += error == ERR_LIMIT;
		relay->ports.store->ops->abort(job->message, NULL, NULL);
		free(job);
		return error;
	}
	if (!mail->urgent)
		relay->outside.allowance--;
	job->done = done;
	job->owner = owner;
	set_out(job, domain);
	return 0;
}

/* --- the end of a domain --- */

static bool is_empty(const struct domain *domain)
{
	const struct relay *relay = domain->relay;
	struct store_counts held, grace;

	relay->ports.store->ops->count(relay->ports.store, domain->number, &held);
	relay->ports.store->ops->count(relay->ports.store, STORE_GRACE | domain->number, &grace);
	return held.messages == 0 && grace.messages == 0 && domain->outside->jobs == 0 &&
	       domain->outside->puts == 0 && queue_at_rest(&domain->queue);
}

static void look_fired(struct timer *timer)
{
	struct relay *relay = container_of(timer, struct relay, outside.look_timer);

	list_each(node, &relay->outside.list) {
		struct outside *outside = outside_of(node);
		int64_t rest_us = relay->now.now_us - outside->used_us;
		if (rest_us < CLOCK_MS(OUTSIDE_REST_MS) || !is_empty(outside->domain))
			continue;
		outside->domain->removing = true;
		put(outside->domain, (struct slice){.data = NULL, .size = 0});
	}
	timer_set(&relay->timers, timer, relay->now.now_us + CLOCK_MS(OUTSIDE_LOOK_MS));
}

/* --- life --- */

void outside_init(struct relay *relay, uint64_t seed)
{
	struct outsides *o = &relay->outside;

	map_init(&o->domains, seed);
	list_init(&o->list);
	list_init(&o->ordered);
	list_init(&o->committing);
	o->allowance = OUTSIDE_BURST;
	o->allowance_us = relay->now.now_us;
	o->look_timer.fire = look_fired;
}

void outside_start(struct relay *relay)
{
	list_each(node, &relay->outside.list)
		discover_start(outside_of(node)->domain);
	timer_set(&relay->timers, &relay->outside.look_timer, relay->now.now_us + CLOCK_MS(OUTSIDE_LOOK_MS));
}

void outside_deinit(struct relay *relay)
{
	struct store *store = relay->ports.store;

	list_each_safe(node, after, &relay->outside.ordered) {
		struct outside_job *job = container_of(node, struct outside_job, in_list);
		store->ops->abort(job->message, NULL, NULL);
		job_free(job);
	}
	list_each_safe(node, after, &relay->outside.committing)
		job_free(container_of(node, struct outside_job, in_list));
	list_each_safe(node, after, &relay->outside.list)
		domain_free(outside_of(node)->domain);
	map_deinit(&relay->outside.domains);
}

void outside_view(const struct relay *relay, struct outside_view *ret_view)
{
	*ret_view = (struct outside_view){
	    .domains = (uint32_t)relay->outside.domains.count,
	    .sent = relay->outside.sent,
	    .refused = relay->outside.refused,
	};
	list_each(node, &relay->outside.list) {
		struct store_counts held;
		relay->ports.store->ops->count(relay->ports.store, outside_of(node)->domain->number, &held);
		ret_view->messages += held.messages;
	}
}
