#include <stdio.h>
#include <string.h>

#include "relay/admin_private.h"
#include "relay/feed.h"
#include "relay/known.h"
#include "relay/trust.h"

static void count(const struct relay *relay, uint32_t domain, struct store_counts *ret_counts)
{
	relay->ports.store->ops->count(relay->ports.store, domain, ret_counts);
}

static struct store_counts count_feed(const struct feed *feed)
{
	struct store_counts sum = {.messages = 0}, one;

	list_each(node, &feed->domains) {
		count(feed->relay, container_of(node, struct domain, in_feed)->number, &one);
		survey_add_counts(&sum, &one);
	}
	return sum;
}

static struct admin_space_view show_space(const struct relay *relay)
{
	const struct room *room = &relay->room;
	struct fill fill = {.capacity_bytes = room->space.capacity_bytes,
			    .free_bytes = room->space.free_bytes};

	return (struct admin_space_view){
	    .state = fill_level_name(room->level),
	    .since_ms = room->level_since_ms,
	    .why = room->space.why,
	    .capacity_bytes = room->space.capacity_bytes,
	    .used_bytes = room->space.used_bytes,
	    .live_bytes = room->space.live_bytes,
	    .free_bytes = room->space.free_bytes,
	    .used_percent = fill_used_percent(&fill),
	    .full_in_s = room->full_in_s,
	    .reserve_gone = room->space.reserve_gone,
	    .domains_refused = room->domains_refused,
	    .refused_for_room = relay->counters.refused_for_room,
	};
}

void admin_node(const struct relay *relay, struct admin_node_view *ret_view)
{
	*ret_view = (struct admin_node_view){
	    .hostname = relay->config.hostname,
	    .inbound_sessions = relay->inbound_count,
	    .outbound_sessions = relay->outbound_count,
	    .accepted_messages = relay->counters.accepted_messages,
	    .refused_recipients = relay->counters.refused_recipients,
	    .delivered_recipients = relay->counters.delivered_recipients,
	    .deferred_recipients = relay->counters.deferred_recipients,
	    .in_session_delivered = relay->counters.in_session_delivered,
	    .in_session_refused = relay->counters.in_session_refused,
	    .in_session_queued = relay->counters.in_session_queued,
	    .door = {.callouts = relay->counters.callouts,
		     .asked = relay->counters.callout_recipients,
		     .unknown = relay->counters.door_550,
		     .too_large = relay->counters.door_size,
		     .unconfirmed = relay->counters.door_450,
		     .limited = relay->counters.door_451,
		     .unseen = relay->counters.door_unseen},
	    .duplicates_possible = relay->counters.duplicates_possible,
	    .up_since_ms = relay->started_ms,
	    .space = show_space(relay),
	};
	count(relay, 0, &ret_view->held);
	relay->ports.store->ops->totals(relay->ports.store, &ret_view->totals);
	outside_view(relay, &ret_view->outside);
}

static double seconds_until(int64_t at_us, int64_t now_us)
{
	if (at_us == INT64_MAX)
		return -1;
	return at_us > now_us ? (double)(at_us - now_us) / 1e6 : 0;
}

void admin_show_lane(const struct feed *feed, const struct store_counts *held,
		     void (*lane)(void *owner, const struct admin_lane_view *view), void *owner)
{
	struct lane_view v;
	int64_t now_us = feed->relay->now.now_us;

	lane_view(&feed->lane, now_us, &v);
	struct admin_lane_view view = {
	    .name = feed->name,
	    .state = v.state == LANE_DOWN ? "down" : "up",
	    .kind = v.state == LANE_DOWN ? lane_kind_name(v.kind) : NULL,
	    .since_ms = v.since_wall_ms,
	    .held = *held,
	    .window = v.window,
	    .rate_per_s = v.rate_per_s,
	    .in_flight = v.in_flight,
	    .next_probe_s = v.state == LANE_DOWN ? seconds_until(v.next_probe_us, now_us) : -1,
	    .eta_s = -1,
	    .last_reply = v.last_reply,
	    .delivered_total = v.delivered_total,
	    .deferred_total = v.deferred_total,
	    .connection_limit = v.connection_limit,
	    .rate_limit_per_s = v.rate_limit_per_s,
	    .domain_count = feed->served_count,
	};
	bool idle = v.state == LANE_UP && view.held.messages == 0 && v.in_flight == 0;
	if (idle)
		view.state = "idle";
	else if (v.state == LANE_UP)
		view.phase = v.phase == LANE_RAMP ? "ramp" : "steady";
	if (v.state == LANE_UP && v.rate_per_s > 0 && view.held.messages > 0)
		view.eta_s = (double)view.held.messages / v.rate_per_s;
	lane(owner, &view);
}

static void count_and_show_lane(const struct feed *feed,
				void (*lane)(void *owner, const struct admin_lane_view *view), void *owner)
{
	struct store_counts held = count_feed(feed);

	admin_show_lane(feed, &held, lane, owner);
}

void admin_show_domain(const struct domain *domain,
		       void (*show)(void *owner, const struct admin_domain_view *view), void *owner)
{
	struct destination destination;
	char hosts[FEED_NAME_MAX];

	destination_of(domain->destination, &destination);
	destination_format(&destination, hosts, sizeof(hosts));
	struct admin_domain_view view = {
	    .name = domain->name,
	    .state = domain->flow.state,
	    .since_ms = domain->flow.since_wall_ms,
	    .reason = domain->flow.reason,
	    .lane = domain->feed != NULL ? domain->feed->name : "",
	    .destination = domain->by_mx ? "mx" : hosts,
	    .hosts = hosts,
	    .hold_ms = domain->hold_ms,
	    .resume_ms = domain->flow.resume_wall_ms,
	    .added_ms = domain->added_ms,
	    .share_percent = domain->share_percent,
	    .share_bytes = share_bytes(domain->relay->room.space.capacity_bytes, domain->share_percent),
	    .share_used_up = domain->share_used_up,
	    .refused_for_room = domain->refused_for_room,
	    .known_recipients = domain->known != NULL ? domain->known->count : 0,
	    .catch_all = domain->known != NULL ? ledger_catch_all(&domain->known->ledger, feed_flows(domain))
					       : LEDGER_ASK,
	};
	count(domain->relay, domain->number, &view.held);
	count(domain->relay, STORE_GRACE | domain->number, &view.grace);
	view.expires_s = -1;
	if (view.held.messages > 0)
		view.expires_s = (double)ends_expires_in_ms(domain, view.held.oldest_ms) / 1000;
	view.expires_soon = view.held.messages > 0 && ends_warns(domain, view.held.oldest_ms);
	show(owner, &view);
}

void admin_show_waiting(const struct store_counts *held, int64_t since_ms, uint32_t domain_count,
			void (*lane)(void *owner, const struct admin_lane_view *view), void *owner)
{
	const struct admin_lane_view view = {.name = "",
					     .state = "down",
					     .kind = "dns",
					     .since_ms = since_ms,
					     .held = *held,
					     .next_probe_s = -1,
					     .eta_s = -1,
					     .last_reply = "no server is known yet",
					     .domain_count = domain_count};
	lane(owner, &view);
}

static void show_waiting_lane(const struct relay *relay,
			      void (*lane)(void *owner, const struct admin_lane_view *view), void *owner)
{
	struct store_counts held = {.messages = 0};
	int64_t since_ms = 0;
	uint32_t domain_count = 0;

	list_each(node, &relay->domains_by_name) {
		const struct domain *domain = container_of(node, struct domain, by_name);
		struct store_counts one;
		if (domain->feed != NULL)
			continue;
		count(relay, domain->number, &one);
		survey_add_counts(&held, &one);
		domain_count++;
		if (since_ms == 0 || domain->flow.since_wall_ms < since_ms)
			since_ms = domain->flow.since_wall_ms;
	}
	admin_show_waiting(&held, since_ms, domain_count, lane, owner);
}

static bool show_one(const struct domain *only, void (*lane)(void *owner, const struct admin_lane_view *view),
		     void (*domain)(void *owner, const struct admin_domain_view *view), void *owner)
{
	if (only == NULL)
		return false;
	if (lane != NULL && only->feed != NULL)
		count_and_show_lane(only->feed, lane, owner);
	else if (lane != NULL)
		show_waiting_lane(only->relay, lane, owner);
	if (domain != NULL)
		admin_show_domain(only, domain, owner);
	return true;
}

bool admin_status(struct relay *relay, struct slice name,
		  void (*lane)(void *owner, const struct admin_lane_view *view),
		  void (*domain)(void *owner, const struct admin_domain_view *view), void *owner)
{
	relay_enter(relay);
	bool waiting = false;

	if (name.size > 0)
		return show_one(domain_find(relay, name), lane, domain, owner);
	list_each(node, &relay->feeds_by_name) {
		const struct feed *feed = container_of(node, struct feed, by_name);
		if (lane != NULL && feed->served_count > 0)
			count_and_show_lane(feed, lane, owner);
		list_each(member, &feed->domains) {
			const struct domain *d = container_of(member, struct domain, in_feed);
			if (domain != NULL && d->outside == NULL)
				admin_show_domain(d, domain, owner);
		}
	}
	list_each(node, &relay->domains_by_name) {
		const struct domain *d = container_of(node, struct domain, by_name);
		if (d->feed != NULL)
			continue;
		if (!waiting && lane != NULL)
			show_waiting_lane(relay, lane, owner);
		waiting = true;
		if (domain != NULL)
			admin_show_domain(d, domain, owner);
	}
	return true;
}

/* --- why, and what next --- */

void admin_reason(const struct relay *relay, const struct store_entry *entry,
		  const struct store_recipient *recipient, char *ret_text, size_t size)
{
	const struct domain *domain = domain_by_number(relay, recipient->domain);

	if (recipient->state != STORE_QUEUED) { /* in grace */
		(void)snprintf(ret_text, size, "%s: %.*s",
			       recipient->state == STORE_EXPIRED ? "its hold time was over"
								 : "its server refused it",
			       SLICE_ARG(recipient->last_reply));
	} else if (domain == NULL) {
		(void)snprintf(ret_text, size, "its domain is not served any more");
	} else if (domain->flow.state != DOMAIN_OPEN) {
		(void)snprintf(ret_text, size, "%s is %s%s%s", domain->name,
			       domain_state_name(domain->flow.state),
			       domain->flow.reason[0] != '\0' ? ": " : "", domain->flow.reason);
	} else if (domain->feed->lane.state == LANE_DOWN) {
		struct lane_view view;
		lane_view(&domain->feed->lane, relay->now.now_us, &view);
		(void)snprintf(ret_text, size, "the server is down (%s): %s", lane_kind_name(view.kind),
			       view.last_reply);
	} else if (recipient->last_reply.size > 0) {
		(void)snprintf(ret_text, size, "%.*s", SLICE_ARG(recipient->last_reply));
	} else {
		(void)snprintf(ret_text, size, "waits for its turn");
	}
}

static void say_in(char *ret_text, size_t size, const char *what, int64_t wait_ms)
{
	char duration[32];

	admin_duration(wait_ms, duration);
	if (wait_ms > 0)
		(void)snprintf(ret_text, size, "%s in %s", what, duration);
	else
		(void)snprintf(ret_text, size, "%s now", what);
}

static void next_of_flow(const struct domain *domain, char *ret_text, size_t size)
{
	const struct domain_flow *flow = &domain->flow;
	struct clock_reading now = domain->relay->now;

	if (flow->state == DOMAIN_PAUSED && flow->resume_wall_ms == 0)
		(void)snprintf(ret_text, size, "waits for `restante resume %s`", domain->name);
	else if (flow->state == DOMAIN_PAUSED)
		say_in(ret_text, size, "the hold ends", flow->resume_wall_ms - now.wall_ms);
	else if (flow->state == DOMAIN_REFUSING)
		say_in(ret_text, size, "one message is tried", (trust_deadline(domain) - now.now_us) / 1000);
	else
		(void)snprintf(ret_text, size, "the MX is looked up again within %d min", 1);
}

void admin_next_event(const struct relay *relay, const struct store_entry *entry,
		      const struct store_recipient *recipient, char *ret_text, size_t size)
{
	const struct domain *domain = domain_by_number(relay, recipient->domain);

	if (recipient->state != STORE_QUEUED) {
		say_in(ret_text, size, "it can be released, and is forgotten",
		       recipient->not_before_ms - relay->now.wall_ms);
	} else if (domain == NULL) {
		(void)snprintf(ret_text, size, "waits for its domain to be added again");
	} else if (domain->flow.state != DOMAIN_OPEN) {
		next_of_flow(domain, ret_text, size);
	} else if (domain->feed->lane.state == LANE_DOWN) {
		struct lane_view view;
		lane_view(&domain->feed->lane, relay->now.now_us, &view);
		int64_t wait_us =
		    view.next_probe_us == INT64_MAX ? 0 : view.next_probe_us - relay->now.now_us;
		say_in(ret_text, size, "the server is tried", wait_us / 1000);
	} else {
		say_in(ret_text, size, "is tried", recipient->not_before_ms - relay->now.wall_ms);
	}
}
