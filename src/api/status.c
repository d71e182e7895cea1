/* GET /v1/status and the domains as they are. */
#include <stdio.h>
#include <string.h>

#include "api/handlers.h"
#include "api/parameters.h"

struct domain_walk {
	struct request *request;
	int64_t wall_ms;
	const char *key;
	size_t limit;
	char last[RELAY_DOMAIN_NAME_MAX + 1]; /* name of the one that was listed last */
};

static int64_t age_s(int64_t since_ms, int64_t wall_ms)
{
	return since_ms == 0 || since_ms > wall_ms ? 0 : (wall_ms - since_ms) / 1000;
}

static void write_held(struct json_writer *w, const struct store_counts *held, int64_t wall_ms)
{
	jw_object(w, "held");
	jw_uint(w, "messages", held->messages);
	jw_uint(w, "bytes", held->bytes);
	jw_int(w, "oldest_s", held->messages > 0 ? age_s(held->oldest_ms, wall_ms) : 0);
	jw_uint(w, "recipients", held->recipients);
	jw_end(w);
}

static void write_domain_view(struct json_writer *w, const char *key, const struct admin_domain_view *view,
			      int64_t wall_ms)
{
	jw_object(w, key);
	jw_string(w, "name", view->name);
	jw_string(w, "state", domain_state_name(view->state));
	jw_time(w, "since", view->since_ms);
	jw_string(w, "reason", view->reason);
	write_held(w, &view->held, wall_ms);
	jw_string(w, "lane", view->lane[0] != '\0' ? view->lane : NULL);
	jw_string(w, "destination", view->destination);
	jw_string(w, "hosts", view->hosts);
	jw_double(w, "hold_days", (double)view->hold_ms / 86400000.0);
	jw_time(w, "resume", view->resume_ms);
	jw_time(w, "added", view->added_ms);
	jw_uint(w, "share_percent", view->share_percent);
	jw_uint(w, "share_bytes", view->share_bytes);
	jw_bool(w, "share_used_up", view->share_used_up);
	jw_bool(w, "expires_soon", view->expires_soon);
	jw_double(w, "expires_s", view->expires_s);
	jw_uint(w, "grace_messages", view->grace.messages);
	jw_uint(w, "refused_for_room", view->refused_for_room);
	jw_uint(w, "known_recipients", view->known_recipients);
	if (view->catch_all == LEDGER_ASK)
		jw_null(w, "catch_all");
	else
		jw_bool(w, "catch_all", view->catch_all == LEDGER_TAKES_ALL);
	jw_end(w);
}

static void write_lane_health(struct json_writer *w, const struct admin_lane_view *view)
{
	jw_string(w, "lane", view->name);
	jw_string(w, "state", view->state);
	jw_string(w, "phase", view->phase);
	jw_string(w, "kind", view->kind);
	jw_time(w, "since", view->since_ms);
}

static void write_lane_flow(struct json_writer *w, const struct admin_lane_view *view)
{
	jw_double(w, "window", view->window);
	jw_uint(w, "in_flight", view->in_flight);
	jw_double(w, "rate_per_s", view->rate_per_s);
	jw_double_or_null(w, "next_probe_s", view->next_probe_s);
	jw_double_or_null(w, "eta_s", view->eta_s);
	jw_string(w, "last_reply", view->last_reply);
	jw_uint(w, "delivered_total", view->delivered_total);
	jw_uint(w, "deferred_total", view->deferred_total);
	jw_uint(w, "connection_limit", view->connection_limit);
	jw_double(w, "rate_limit_per_s", view->rate_limit_per_s);
}

static void on_lane(void *owner, const struct admin_lane_view *view)
{
	struct request *request = owner;
	struct json_writer *w = &request->json;

	if (!request_wanted(request))
		return;
	jw_end_to(w, request->list_depth);
	jw_object(w, NULL);
	write_lane_health(w, view);
	write_held(w, &view->held, request_wall_ms(request));
	write_lane_flow(w, view);
	jw_uint(w, "domain_count", view->domain_count);
	jw_array(w, "domains");
}

static void on_lane_domain(void *owner, const struct admin_domain_view *view)
{
	struct request *request = owner;

	if (request_wanted(request))
		write_domain_view(&request->json, NULL, view, request_wall_ms(request));
}

static void on_domain(void *owner, const struct admin_domain_view *view)
{
	struct domain_walk *walk = owner;

	write_domain_view(&walk->request->json, walk->key, view, walk->wall_ms);
	(void)snprintf(walk->last, sizeof(walk->last), "%s", view->name);
}

static void write_lane_sums(struct json_writer *w, const struct admin_sums *sums)
{
	jw_object(w, "lanes");
	jw_uint(w, "total", sums->lanes);
	jw_uint(w, "up", sums->lanes_up);
	jw_uint(w, "idle", sums->lanes_idle);
	jw_uint(w, "down", sums->lanes_down);
	jw_uint(w, "in_need", sums->lanes_in_need);
	jw_uint(w, "held_by_down", sums->held_by_down);
	jw_double(w, "rate_per_s", sums->rate_per_s);
	jw_end(w);
}

static void write_sums(struct json_writer *w, const struct admin_sums *sums)
{
	jw_object(w, "sums");
	write_lane_sums(w, sums);
	jw_object(w, "domains");
	jw_uint(w, "total", sums->domains);
	for (int state = DOMAIN_OPEN; state <= DOMAIN_WAITING; state++)
		jw_uint(w, domain_state_name((enum domain_state)state), sums->domains_in[state]);
	jw_uint(w, "share_used_up", sums->domains_share_used_up);
	jw_end(w);
	jw_end(w);
}

static void on_sums(void *owner, const struct admin_sums *sums, const char *next)
{
	struct request *request = owner;
	struct json_writer *w = &request->json;

	if (!request_wanted(request))
		return;
	jw_end_to(w, request->list_depth);
	jw_end(w);
	jw_string(w, "next", next[0] != '\0' ? next : NULL);
	write_sums(w, sums);
}

static void write_totals(struct json_writer *w, const struct admin_node_view *node)
{
	jw_object(w, "totals");
	jw_uint(w, "accepted", node->totals.accepted);
	jw_uint(w, "queued", node->totals.queued);
	jw_uint(w, "ended", node->totals.ended);
	jw_uint(w, "delivered", node->totals.delivered);
	jw_uint(w, "set_aside", node->totals.set_aside);
	jw_end(w);
}

static void write_door(struct json_writer *w, const struct admin_node_view *node)
{
	jw_object(w, "door");
	jw_uint(w, "callouts", node->door.callouts);
	jw_uint(w, "asked", node->door.asked);
	jw_uint(w, "unknown", node->door.unknown);
	jw_uint(w, "too_large", node->door.too_large);
	jw_uint(w, "unconfirmed", node->door.unconfirmed);
	jw_uint(w, "limited", node->door.limited);
	jw_uint(w, "unseen", node->door.unseen);
	jw_end(w);
}

static void write_since_start(struct json_writer *w, const struct admin_node_view *node)
{
	jw_object(w, "since_start");
	jw_time(w, "up_since", node->up_since_ms);
	jw_uint(w, "accepted_messages", node->accepted_messages);
	jw_uint(w, "refused_recipients", node->refused_recipients);
	jw_uint(w, "delivered_recipients", node->delivered_recipients);
	jw_uint(w, "deferred_recipients", node->deferred_recipients);
	jw_uint(w, "in_session_delivered", node->in_session_delivered);
	jw_uint(w, "in_session_refused", node->in_session_refused);
	jw_uint(w, "in_session_queued", node->in_session_queued);
	jw_uint(w, "duplicates_possible", node->duplicates_possible);
	write_door(w, node);
	jw_end(w);
}

static void write_space(struct json_writer *w, const struct admin_space_view *space)
{
	jw_object(w, "space");
	jw_string(w, "state", space->state);
	jw_time(w, "since", space->since_ms);
	jw_string(w, "why", space->why[0] != '\0' ? space->why : NULL);
	jw_uint(w, "capacity_bytes", space->capacity_bytes);
	jw_uint(w, "used_bytes", space->used_bytes);
	jw_uint(w, "live_bytes", space->live_bytes);
	jw_uint(w, "free_bytes", space->free_bytes);
	jw_double(w, "used_percent", space->used_percent);
	jw_double_or_null(w, "full_in_s", space->full_in_s);
	jw_bool(w, "reserve_gone", space->reserve_gone);
	jw_uint(w, "domains_refused", space->domains_refused);
	jw_uint(w, "refused_for_room", space->refused_for_room);
	jw_end(w);
}

static void write_outside(struct json_writer *w, const struct outside_view *outside)
{
	jw_object(w, "outside");
	jw_uint(w, "domains", outside->domains);
	jw_uint(w, "messages", outside->messages);
	jw_uint(w, "sent_since_start", outside->sent);
	jw_uint(w, "refused_since_start", outside->refused);
	jw_end(w);
}

static void write_node(struct json_writer *w, struct request *request, int64_t wall_ms)
{
	struct admin_node_view node;

	admin_node(request->api->relay, &node);
	jw_string(w, "node", node.hostname);
	jw_string(w, "version", request->api->version);
	jw_time(w, "time", wall_ms);
	write_held(w, &node.held, wall_ms);
	write_totals(w, &node);
	write_since_start(w, &node);
	write_space(w, &node.space);
	write_outside(w, &node.outside);
	jw_object(w, "sessions");
	jw_uint(w, "inbound", node.inbound_sessions);
	jw_uint(w, "outbound", node.outbound_sessions);
	jw_end(w);
}

static void not_served(struct request *request, struct slice name)
{
	request_error(
	    request, MHD_HTTP_NOT_FOUND, "not_found",
	    "domain \"%.*s\" is not served here: see `restante domain ls`, or add it with `restante domain "
	    "add %.*s`",
	    SLICE_ARG(name), SLICE_ARG(name));
}

static void overview_done(void *owner, const struct admin_result *result)
{
	struct request *request = owner;

	if (!request_told(request))
		return;
	if (result->error == ERR_MISSING) {
		not_served(request, parameter_text(request, "domain"));
		return;
	}
	if (result->error != 0) {
		request_refuse(request, result);
		return;
	}
	jw_end_to(&request->json, 0);
	request_answer(request, MHD_HTTP_OK);
}

/* "name", the default, or "attention". */
static bool parameter_order(struct request *request, bool *ret_by_attention)
{
	struct slice order = parameter_text(request, "order");

	*ret_by_attention = slice_equal(order, SLICE("attention"));
	if (order.size == 0 || *ret_by_attention || slice_equal(order, SLICE("name")))
		return true;
	request_error(request, MHD_HTTP_BAD_REQUEST, "syntax", "order is name or attention");
	return false;
}

void handle_status(struct request *request)
{
	struct admin_overview_filter filter = {.after = parameter_text(request, "after")};

	if (!parameter_domain(request, "domain", &filter.domain) ||
	    !parameter_order(request, &filter.by_attention) ||
	    !parameter_rows(request, "limit", &filter.rows))
		return;
	request_ask(request);
	jw_object(&request->json, NULL);
	write_node(&request->json, request, request_wall_ms(request));
	jw_array(&request->json, "lanes");
	request->list_depth = request->json.depth;
	admin_overview(request->api->relay, &filter, on_lane, on_lane_domain, on_sums, overview_done,
		       request);
}

void handle_domains(struct request *request)
{
	struct domain_walk walk = {.request = request, .wall_ms = request_wall_ms(request)};
	struct slice after;

	if (!parameter_domain(request, "after", &after) || !parameter_rows(request, "limit", &walk.limit))
		return;
	request_begin(request);
	jw_object(&request->json, NULL);
	jw_array(&request->json, "domains");
	bool more = admin_domains(request->api->relay, after, walk.limit, on_domain, &walk);
	jw_end(&request->json);
	jw_string(&request->json, "next", more ? walk.last : NULL);
	jw_end_to(&request->json, 0);
	request_answer(request, MHD_HTTP_OK);
}

/* A lane serves many domains: of all that are told, the one that was asked for. */
struct domain_pick {
	struct domain_walk walk;
	struct slice name;
	bool written;
};

static void on_picked(void *owner, const struct admin_domain_view *view)
{
	struct domain_pick *pick = owner;

	if (pick->written || !slice_equal_nocase(slice_of(view->name), pick->name))
		return;
	on_domain(&pick->walk, view);
	pick->written = true;
}

bool write_domain(struct request *request, const char *key, struct slice name)
{
	struct domain_pick pick = {
	    .walk = {.request = request, .wall_ms = request_wall_ms(request), .key = key},
	    .name = name,
	};

	(void)admin_status(request->api->relay, name, NULL, on_picked, &pick);
	return pick.written;
}

void handle_domain_show(struct request *request)
{
	struct slice name = slice_of(request->subject);

	request_begin(request);
	if (write_domain(request, NULL, name))
		request_answer(request, MHD_HTTP_OK);
	else
		not_served(request, name);
}
