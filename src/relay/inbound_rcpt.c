#include "relay/inbound.h"

#include "base/check.h"
#include "relay/door.h"
#include "relay/feed.h"
#include "relay/trust.h"

struct domain *inbound_domain(const struct relay *relay, struct slice name)
{
	if (name.size > 0)
		return domain_find(relay, name);
	/* "<postmaster>" (RFC 5321 §4.5.1): somebody who runs mail here reads it: the domain served longest.
	 */
	return domain_oldest(relay);
}

bool inbound_vouched(const struct inbound *in)
{
	return in->spf.pass;
}

static void check_room(const struct inbound *in, struct domain *domain, struct reply *ret_reply)
{
	switch (room_ask(in->relay, domain, smtp_server_transaction(in->server)->size_bytes)) {
	case SHARE_ROOM:
		reply_set(ret_reply, 250, "2.1.5", "ok");
		return;
	case SHARE_USED_UP:
		reply_set(ret_reply, 452, "4.3.1", "%s holds its share of the spool, try again later",
			  domain->name);
		return;
	case SHARE_LARGEST:
		reply_set(ret_reply, 452, "4.3.1",
			  "the spool is almost full and %s holds much of it, try again later", domain->name);
		return;
	}
	check_never();
}

/* SIZE= says more than the destination's server takes (RFC 1870 §6.1): the sender can be told so while he is
 * here, if the server is well; while it is not, it may come back with another limit, and the message is held.
 */
static void check_size(const struct inbound *in, struct domain *domain, struct reply *ret_reply)
{
	const struct feed *feed = domain->feed;
	uint64_t size_bytes = smtp_server_transaction(in->server)->size_bytes;

	if (!feed_flows(domain) || trust_in_grace(domain) || trust_doubts(domain) || trust_suspects(domain) ||
	    !feed_is_too_large(feed, size_bytes))
		return;
	in->relay->counters.door_size++;
	reply_set(ret_reply, 552, "5.3.4", "the mail server of %s takes messages of at most %llu bytes",
		  domain->name, (unsigned long long)feed->size_limit);
}

static void note_refusal(struct inbound *in, const struct smtp_server_recipient *recipient,
			 const struct reply *reply)
{
	struct relay *relay = in->relay;
	char words[STORE_REPLY_MAX];

	(void)reply_format(reply, words, sizeof(words));
	struct store_end end = {
	    .ended_ms = relay->now.wall_ms,
	    .state = STORE_REFUSED,
	    .at_door = true,
	    .reverse_path = smtp_server_transaction(in->server)->reverse_path,
	    .forward_path = recipient->forward_path,
	    .reply = slice_of(words),
	    .relay = slice_of(in->client_address),
	};
	relay->counters.refused_recipients++;
	relay->ports.store->ops->note_end(relay->ports.store, &end);
}

static void answer(struct inbound *in, const struct reply *reply)
{
	/* What is refused for want of room must not take room. */
	if (!reply_positive(reply) && reply->code != 452)
		note_refusal(in, smtp_server_recipient(in->server), reply);
	smtp_server_answer(in->server, reply, inbound_now_us(in));
}

static void refuse_domain(const struct relay *relay, const struct domain *domain,
			  const struct smtp_server_recipient *recipient, struct reply *ret_reply)
{
	if (domain != NULL)
		reply_set(ret_reply, 451, "4.3.5", "%s is being changed here, try again later", domain->name);
	else if (recipient->domain.size == 0)
		reply_set(ret_reply, 451, "4.3.5", "no domain is served here yet, try again later");
	else if (relay->adding_failed)
		reply_set(ret_reply, 451, "4.3.0",
			  "a domain could not be written down here, try again later");
	else
		reply_set(ret_reply, 550, "5.7.1", "relaying denied: %.*s is not served here",
			  SLICE_ARG(slice_upto(recipient->domain, 255)));
}

void inbound_check_recipient(struct inbound *in)
{
	const struct smtp_server_recipient *recipient = smtp_server_recipient(in->server);
	struct domain *domain = inbound_domain(in->relay, recipient->domain);
	struct reply reply;

	if (domain == NULL || !domain_takes_mail(domain)) {
		refuse_domain(in->relay, domain, recipient, &reply);
		answer(in, &reply);
		return;
	}
	check_room(in, domain, &reply);
	if (reply_positive(&reply))
		check_size(in, domain, &reply);
	if (reply_positive(&reply))
		inbound_spf_ask(in);
	if (!reply_positive(&reply) || door_ask(in, domain, recipient, &reply))
		answer(in, &reply);
}

void inbound_recipient_decided(struct inbound *in, const struct reply *reply)
{
	answer(in, reply);
	inbound_run(in);
}
