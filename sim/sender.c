#include "sim/sender.h"

#include <string.h>

#include "base/check.h"
#include "sim/sender_session.h"

void sim_sender_config_defaults(struct sim_sender_config *config)
{
	*config = (struct sim_sender_config){
	    .pipelining = 0.5,
	    .chunking = 0.3,
	    .tls = 0.2,
	    .stays = 0.7,
	    .sessions_max = 10,
	    .retry_low_us = CLOCK_SECONDS(5),
	    .retry_high_us = CLOCK_SECONDS(90),
	};
}

static void fire_look(void *owner)
{
	struct sim_sender *sender = owner;

	while (!list_empty(&sender->ready) && !sender->stopped &&
	       sender->session_count < sender->config.sessions_max) {
		sender->session_count++;
		sender_session_start(sender);
	}
}

void sim_sender_init(struct sim_sender *sender, struct sim_world *world, struct sim_oracle *oracle,
		     struct sim_host *host, const struct net_address *relay)
{
	*sender = (struct sim_sender){.world = world, .oracle = oracle, .host = host, .relay = *relay};
	sim_sender_config_defaults(&sender->config);
	list_init(&sender->ready);
	list_init(&sender->all);
	list_init(&sender->sessions);
	sim_event_init(&sender->look, fire_look, sender);
}

static void free_mails(struct sim_sender *sender, struct list *list)
{
	list_each_safe(node, after, list) {
		struct sim_mail *mail = container_of(node, struct sim_mail, node);
		sim_cancel(sender->world, &mail->due);
		list_remove(node);
		sim_mail_free(mail);
	}
}

void sim_sender_deinit(struct sim_sender *sender)
{
	sim_cancel(sender->world, &sender->look);
	list_each_safe(node, after, &sender->sessions)
		sender_session_drop(node);
	free_mails(sender, &sender->ready);
	free_mails(sender, &sender->all);
}

static void fire_due(void *owner)
{
	struct sim_mail *mail = owner;
	struct sim_sender *sender = mail->sender;

	list_remove(&mail->node);
	list_add_last(&sender->ready, &mail->node);
	sim_after(sender->world, &sender->look, 0);
}

void sim_sender_submit(struct sim_sender *sender, struct sim_mail *mail, int64_t at_us)
{
	mail->sender = sender;
	sim_event_init(&mail->due, fire_due, mail);
	sim_at(sender->world, &mail->due, at_us);
	list_add_last(&sender->all, &mail->node);
	sender->waiting++;
}

void sim_sender_calm(struct sim_sender *sender)
{
	sender->config.quirk = 0;
	list_each(node, &sender->all) {
		struct sim_mail *mail = container_of(node, struct sim_mail, node);
		if (sim_queued(&mail->due))
			sim_after(sender->world, &mail->due,
				  sim_between(sender->world, 0, CLOCK_SECONDS(60)));
	}
}

struct sim_mail *sender_take(struct sim_sender *sender)
{
	struct list *first = list_first(&sender->ready);

	if (first == NULL || sender->stopped)
		return NULL;
	list_remove(first);
	return container_of(first, struct sim_mail, node);
}

void sender_give_back(struct sim_sender *sender, struct sim_mail *mail)
{
	list_add_last(&sender->all, &mail->node);
	if (sim_mail_over(mail)) {
		check(sender->waiting > 0);
		sender->waiting--;
		return;
	}
	sender->deferred++;
	sim_after(sender->world, &mail->due,
		  sim_between(sender->world, sender->config.retry_low_us, sender->config.retry_high_us));
}

void sender_session_over(struct sim_sender *sender)
{
	check(sender->session_count > 0);
	sender->session_count--;
	/* Not at once: a relay that is down would be asked without end. */
	if (!list_empty(&sender->ready))
		sim_after(sender->world, &sender->look, sim_between(sender->world, 100000, 2000000));
}
