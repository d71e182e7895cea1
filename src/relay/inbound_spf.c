/* Whether the reverse-path of a message is authenticated: asked when its first recipient is taken, so that
 * the answer is there when the final dot comes. */
#include "relay/inbound.h"

#include <string.h>

static bool is_loopback(const struct net_address *peer)
{
	static const uint8_t v6[16] = {[15] = 1};

	return peer->family == 4 ? peer->bytes[0] == 127 : memcmp(peer->bytes, v6, sizeof(v6)) == 0;
}

/* The answer is there, or nobody waits for it any more. */
static void go_on(struct inbound *in)
{
	bool awaited = in->spf.awaited;

	in->spf.query = NULL;
	in->spf.awaited = false;
	timer_clear(&in->relay->timers, &in->spf.timer);
	if (!awaited)
		return;
	inbound_commit(in);
	inbound_run(in);
}

static void answered(void *owner, bool pass)
{
	struct inbound *in = owner;

	relay_enter(in->relay);
	in->spf.pass = pass;
	go_on(in);
}

static void patience_over(struct timer *timer)
{
	struct inbound *in = container_of(timer, struct inbound, spf.timer);
	struct spf *spf = in->relay->ports.spf;

	spf->ops->cancel(spf, in->spf.query);
	go_on(in);
}

void inbound_spf_ask(struct inbound *in)
{
	struct relay *relay = in->relay;
	struct spf *spf = relay->ports.spf;
	struct slice mailbox = smtp_server_transaction(in->server)->reverse_path;

	if (spf == NULL || in->spf.asked || mailbox.size == 0 || is_loopback(&in->peer))
		return;
	in->spf.asked = true;
	in->spf.query = spf->ops->check(spf, &in->peer, smtp_server_helo(in->server), mailbox, answered, in);
	if (in->spf.query == NULL)
		return;
	in->spf.timer.fire = patience_over;
	timer_set(&relay->timers, &in->spf.timer, relay->now.now_us + CLOCK_MS(SPF_PATIENCE_MS));
}

void inbound_spf_forget(struct inbound *in)
{
	struct spf *spf = in->relay->ports.spf;

	if (in->spf.query != NULL)
		spf->ops->cancel(spf, in->spf.query);
	timer_clear(&in->relay->timers, &in->spf.timer);
	in->spf.query = NULL;
	in->spf.asked = in->spf.pass = in->spf.awaited = false;
}

bool inbound_spf_await(struct inbound *in)
{
	in->spf.awaited = in->spf.query != NULL;
	return in->spf.awaited;
}
