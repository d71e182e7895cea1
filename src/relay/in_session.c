#include "relay/in_session.h"

#include <stdio.h>

#include "base/check.h"
#include "relay/feed.h"
#include "relay/inbound.h"
#include "relay/trust.h"

static void detach(struct inbound *in)
{
	if (in->waits.item != NULL)
		in->waits.item->sender = NULL;
	in->waits.item = NULL;
}

void in_session_cancel(struct inbound *in)
{
	detach(in);
	in->waits.state = IN_SESSION_NONE;
	timer_clear(&in->relay->timers, &in->waits.timer);
}

static void answer(struct inbound *in, const struct reply *reply)
{
	in_session_cancel(in);
	smtp_server_answer(in->server, reply, inbound_now_us(in));
	inbound_run(in);
}

static void answer_accepted(struct inbound *in)
{
	struct reply reply;

	in->relay->counters.in_session_queued++;
	reply_set(&reply, 250, "2.0.0", "accepted as %s", in->waits.id_text);
	answer(in, &reply);
}

/* Nothing true can be said. */
static void close_on(struct inbound *in)
{
	in_session_cancel(in);
	if (in->conn != NULL)
		in->relay->ports.net->ops->close(in->conn, false);
	in->conn = NULL;
	inbound_free(in);
}

static void timer_fired(struct timer *timer)
{
	struct inbound *in = container_of(timer, struct inbound, waits.timer);

	if (in->waits.state == IN_SESSION_REFUSING)
		close_on(in);
	else
		answer_accepted(in);
}

/* --- who waits --- */

static bool is_believed(const struct domain *domain)
{
	return feed_flows(domain) && domain->known != NULL && !trust_suspects(domain) &&
	       !trust_in_grace(domain) && !trust_holds(domain) && !trust_doubts(domain);
}

/* Its turn comes at once: there is a place for each message of the lane that is ready. */
static bool is_soon(struct feed *feed)
{
	struct lane_permit permit = lane_permit(&feed->lane, feed->relay->now.now_us);

	return members_ready(feed) <= permit.sends &&
	       feed->lane.latency_us <= CLOCK_MS(IN_SESSION_LATENCY_MS);
}

bool in_session_begin(struct inbound *in, struct item *item, uint32_t recipients, const char *id_text)
{
	struct relay *relay = in->relay;
	struct domain *domain = item->domain;
	bool whole = item->envelope.recipient_count == recipients && list_linked(&item->in_end);

	if (!whole || in->conn == NULL || relay->shutting_down || domain->feed == NULL ||
	    !is_believed(domain) || !is_soon(domain->feed))
		return false;
	in->waits.state = IN_SESSION_WAITING;
	in->waits.item = item;
	item->sender = in;
	in->waits.timer.fire = timer_fired;
	(void)snprintf(in->waits.id_text, sizeof(in->waits.id_text), "%s", id_text);
	timer_set(&relay->timers, &in->waits.timer, relay->now.now_us + CLOCK_MS(IN_SESSION_WAIT_MS));
	return true;
}

void in_session_hurry(struct relay *relay)
{
	list_each(node, &relay->inbounds) {
		struct inbound *in = container_of(node, struct inbound, in_relay);
		if (in->waits.state == IN_SESSION_WAITING)
			in_session_over(in->waits.item);
	}
}

/* --- what becomes of the message --- */

/* Said in the next turn: queues and feeds are at work just now. */
void in_session_over(struct item *item)
{
	struct inbound *in = item->sender;

	if (in == NULL)
		return;
	detach(in);
	if (in->waits.state == IN_SESSION_WAITING)
		in->waits.state = IN_SESSION_OVER;
	timer_set(&in->relay->timers, &in->waits.timer, in->relay->now.now_us);
}

void in_session_delivered(struct item *item, const struct reply *reply)
{
	struct inbound *in = item->sender;
	struct reply ours;

	if (in == NULL)
		return;
	in->relay->counters.in_session_delivered++;
	reply_set(&ours, 250, "2.0.0", "accepted as %s and delivered: %s", in->waits.id_text, reply->text);
	answer(in, &ours);
}

bool in_session_may_refuse(const struct item *item)
{
	const struct domain *domain = item->domain;

	return item->sender != NULL && item->sender->waits.state == IN_SESSION_WAITING &&
	       domain->feed != NULL && is_believed(domain);
}

void in_session_refusing(struct item *item)
{
	struct inbound *in = item->sender;

	check(in != NULL && in->waits.state == IN_SESSION_WAITING);
	in->waits.state = IN_SESSION_REFUSING;
	timer_set(&in->relay->timers, &in->waits.timer,
		  in->relay->now.now_us + CLOCK_MS(RELAY_COMMIT_RETRY_MS));
}

void in_session_refused(struct item *item, const struct reply *reply)
{
	struct inbound *in = item->sender;
	struct reply theirs = *reply;

	item->domain->relay->counters.in_session_refused++;
	log_event(item->domain->relay->ports.log, LOG_LEVEL_INFO, "refuse", item->id,
		  "the server refused the content: its sender was told so",
		  LOG_TEXT("from", item->envelope.reverse_path), LOG_TEXT("reply", slice_of(reply->text)));
	if (in == NULL) /* gone: without a reply it sends again */
		return;
	if (theirs.class == 0)
		theirs.class = 5;
	answer(in, &theirs);
}

void in_session_not_refused(struct item *item, bool unknown)
{
	struct inbound *in = item->sender;

	if (in == NULL)
		return;
	if (unknown)
		close_on(in);
	else
		answer_accepted(in);
}
