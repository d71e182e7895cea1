#include "relay/inbound.h"

#include "base/check.h"

struct domain *inbound_domain(const struct relay *relay, struct slice name)
{
	if (name.size > 0)
		return domain_find(relay, name);
	/* "<postmaster>" (RFC 5321 §4.5.1): somebody who runs mail here reads it: the domain served longest.
	 */
	return domain_oldest(relay);
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

void inbound_check_recipient(struct inbound *in, const struct smtp_server_recipient *recipient,
			     struct reply *ret_reply)
{
	const struct relay *relay = in->relay;
	struct domain *domain = inbound_domain(relay, recipient->domain);

	if (domain != NULL && domain_takes_mail(domain))
		check_room(in, domain, ret_reply);
	else if (domain != NULL)
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
