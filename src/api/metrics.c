/* GET /metrics: Prometheus text format 0.0.4.
 *
 * All samples of a family must stand together, but lanes and domains are told one by one: so each family is a
 * buffer of its own, filled in one pass and joined at the end.
 *
 * Beyond ADMIN_ROWS_MAX lanes and domains together, only those that need attention or hold mail have samples
 * of their own, the worst first; the sums count all. ?domain=NAME gives one with its lane.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "api/parameters.h"
#include "base/check.h"
#include "lane/fill.h"
#include "proto/utf8.h"

enum family {
	NODE_INFO,
	NODE_START,
	NODE_HELD_MESSAGES,
	NODE_HELD_BYTES,
	NODE_HELD_RECIPIENTS,
	NODE_HELD_OLDEST,
	NODE_ACCEPTED,
	NODE_QUEUED,
	NODE_ENDED,
	NODE_DELIVERED,
	NODE_UNACCOUNTED,
	NODE_SET_ASIDE,
	NODE_SESSIONS,
	NODE_MESSAGES_SINCE_START,
	NODE_REFUSED_SINCE_START,
	NODE_DELIVERED_SINCE_START,
	NODE_DEFERRED_SINCE_START,
	NODE_IN_SESSION,
	NODE_CALLOUTS,
	NODE_ASKED,
	NODE_DOOR,
	NODE_DUPLICATES,
	SPACE_STATE,
	SPACE_CAPACITY,
	SPACE_USED,
	SPACE_LIVE,
	SPACE_FREE,
	SPACE_FULL_IN,
	SPACE_RESERVE,
	SPACE_REFUSED,
	SUM_LANES,
	SUM_LANES_IN_NEED,
	SUM_LANES_SHOWN,
	SUM_HELD_BY_DOWN,
	SUM_RATE,
	SUM_DOMAINS,
	SUM_DOMAINS_SHARE,
	LANE_STATE,
	LANE_DOWN_KIND,
	LANE_SINCE,
	LANE_HELD_MESSAGES,
	LANE_HELD_BYTES,
	LANE_HELD_OLDEST,
	LANE_WINDOW,
	LANE_IN_FLIGHT,
	LANE_RATE,
	LANE_NEXT_PROBE,
	LANE_ETA,
	LANE_DELIVERED,
	LANE_DEFERRED,
	LANE_CONNECTION_LIMIT,
	LANE_RATE_LIMIT,
	DOMAIN_STATE_SET,
	DOMAIN_HELD_MESSAGES,
	DOMAIN_HELD_BYTES,
	DOMAIN_HELD_OLDEST,
	DOMAIN_SHARE,
	DOMAIN_SHARE_USED_UP,
	DOMAIN_REFUSED,
	FAMILY_COUNT,
};

static const struct {
	const char *name, *type, *help;
} families[FAMILY_COUNT] = {
    [NODE_INFO] = {"restante_info", "gauge", "Always 1; its labels say which node and version this is."},
    [NODE_START] = {"restante_start_time_seconds", "gauge", "When this process started, Unix time."},
    [NODE_HELD_MESSAGES] = {"restante_held_messages", "gauge", "Messages held for any domain."},
    [NODE_HELD_BYTES] = {"restante_held_bytes", "gauge", "Bytes of the messages held."},
    [NODE_HELD_RECIPIENTS] = {"restante_held_recipients", "gauge",
			      "Recipients queued, as counted by domain."},
    [NODE_HELD_OLDEST] = {"restante_held_oldest_seconds", "gauge",
			  "Age of the oldest message held; 0: none."},
    [NODE_ACCEPTED] = {"restante_recipients_accepted_total", "counter",
		       "Recipients accepted since the store was made."},
    [NODE_QUEUED] = {"restante_recipients_queued", "gauge", "Recipients queued, as counted by the totals."},
    [NODE_ENDED] = {"restante_recipients_ended_total", "counter",
		    "Recipients that met their end, whatever it was."},
    [NODE_DELIVERED] = {"restante_recipients_delivered_total", "counter",
			"Recipients delivered, of those ended."},
    [NODE_UNACCOUNTED] = {"restante_recipients_unaccounted", "gauge",
			  "Accepted less queued less ended: anything but 0 is an alarm."},
    [NODE_SET_ASIDE] = {"restante_messages_set_aside", "gauge", "Messages whose stored record is damaged."},
    [NODE_SESSIONS] = {"restante_sessions", "gauge", "Open SMTP sessions by direction."},
    [NODE_MESSAGES_SINCE_START] = {"restante_messages_accepted_total", "counter",
				   "Messages accepted since the process started."},
    [NODE_REFUSED_SINCE_START] = {"restante_door_refusals_total", "counter",
				  "Recipients refused at the door since the process started."},
    [NODE_DELIVERED_SINCE_START] = {"restante_deliveries_total", "counter",
				    "Recipients delivered since the process started."},
    [NODE_DEFERRED_SINCE_START] = {"restante_deferrals_total", "counter",
				   "Recipients deferred by a server since the process started."},
    [NODE_IN_SESSION] = {"restante_in_session_total", "counter",
			 "Messages whose sender waited for the server's verdict, by what came of it, since "
			 "the process started."},
    [NODE_CALLOUTS] = {"restante_callouts_total", "counter",
		       "Questions to servers about recipients at our door, since the process started."},
    [NODE_ASKED] = {"restante_callout_recipients_total", "counter", "The recipients asked for in them."},
    [NODE_DOOR] =
	{"restante_door_answers_total", "counter",
	 "Recipients at our door that were not simply known, by answer, since the process started."},
    [NODE_DUPLICATES] = {"restante_duplicates_possible_total", "counter",
			 "Transactions whose reply to the final dot was lost, since the process started."},
    [SPACE_STATE] = {"restante_space_state", "gauge", "1 for the state that the room in the spool is in."},
    [SPACE_CAPACITY] = {"restante_space_capacity_bytes", "gauge",
			"What mail could take in all; absent: the store has no limit."},
    [SPACE_USED] = {"restante_space_used_bytes", "gauge", "Files for mail."},
    [SPACE_LIVE] = {"restante_space_live_bytes", "gauge", "What is still needed of the files for mail."},
    [SPACE_FREE] = {"restante_space_free_bytes", "gauge", "What new mail may take: free beyond the reserve."},
    [SPACE_FULL_IN] = {"restante_space_full_in_seconds", "gauge",
		       "Forecast of when the spool is full; absent: it does not fill."},
    [SPACE_RESERVE] = {"restante_space_reserve_gone", "gauge",
		       "1 while the reserve is given up, so that held mail can be delivered."},
    [SPACE_REFUSED] =
	{"restante_space_refusals_total", "counter",
	 "Recipients refused because their domain's share was used up, since the process started."},
    [SUM_LANES] = {"restante_lanes", "gauge", "Lanes by state."},
    [SUM_LANES_IN_NEED] = {"restante_lanes_in_need", "gauge",
			   "Lanes that are down, or have a domain whose mail does not flow."},
    [SUM_LANES_SHOWN] = {"restante_lanes_shown", "gauge",
			 "Lanes that have samples of their own here: of thousands, the worst only."},
    [SUM_HELD_BY_DOWN] = {"restante_lanes_down_held_messages", "gauge",
			  "Messages held for lanes that are down."},
    [SUM_RATE] = {"restante_lanes_rate", "gauge", "Messages per second of all lanes, lately."},
    [SUM_DOMAINS] = {"restante_domains", "gauge", "Domains by state."},
    [SUM_DOMAINS_SHARE] = {"restante_domains_share_used_up", "gauge",
			   "Domains whose share of the spool is used up."},
    [LANE_STATE] = {"restante_lane_state", "gauge", "1 for the state that the lane is in."},
    [LANE_DOWN_KIND] = {"restante_lane_down", "gauge", "1 while the lane is down, with the kind of failure."},
    [LANE_SINCE] = {"restante_lane_since_seconds", "gauge", "When the lane entered its state, Unix time."},
    [LANE_HELD_MESSAGES] = {"restante_lane_held_messages", "gauge", "Messages held for the lane's domains."},
    [LANE_HELD_BYTES] = {"restante_lane_held_bytes", "gauge", "Bytes held for the lane's domains."},
    [LANE_HELD_OLDEST] = {"restante_lane_held_oldest_seconds", "gauge",
			  "Age of the lane's oldest held message."},
    [LANE_WINDOW] = {"restante_lane_window", "gauge", "Transactions that may be in flight."},
    [LANE_IN_FLIGHT] = {"restante_lane_in_flight", "gauge", "Transactions in flight."},
    [LANE_RATE] = {"restante_lane_rate", "gauge", "Messages per second, lately."},
    [LANE_NEXT_PROBE] = {"restante_lane_next_probe_seconds", "gauge",
			 "Seconds until the next probe of a lane that is down."},
    [LANE_ETA] = {"restante_lane_eta_seconds", "gauge",
		  "Seconds until the backlog is empty, as it looks now."},
    [LANE_DELIVERED] = {"restante_lane_delivered_total", "counter", "Recipients delivered by the lane."},
    [LANE_DEFERRED] = {"restante_lane_deferred_total", "counter",
		       "Recipients deferred by the lane's server."},
    [LANE_CONNECTION_LIMIT] = {"restante_lane_connection_limit", "gauge",
			       "Learnt limit of connections; absent: none."},
    [LANE_RATE_LIMIT] = {"restante_lane_rate_limit", "gauge",
			 "Learnt limit of messages per second; absent: none."},
    [DOMAIN_STATE_SET] = {"restante_domain_state", "gauge", "1 for the state that the domain's queue is in."},
    [DOMAIN_HELD_MESSAGES] = {"restante_domain_held_messages", "gauge", "Messages held for the domain."},
    [DOMAIN_HELD_BYTES] = {"restante_domain_held_bytes", "gauge", "Bytes held for the domain."},
    [DOMAIN_HELD_OLDEST] = {"restante_domain_held_oldest_seconds", "gauge",
			    "Age of the domain's oldest held message."},
    [DOMAIN_SHARE] = {"restante_domain_share_bytes", "gauge",
		      "What the domain may hold; absent: the store has no limit."},
    [DOMAIN_SHARE_USED_UP] = {"restante_domain_share_used_up", "gauge",
			      "1 while the domain's senders are refused because its share is used up."},
    [DOMAIN_REFUSED] = {"restante_domain_space_refusals_total", "counter",
			"Recipients of the domain that were refused for that, since the process started."},
};

struct metrics {
	struct request *request;
	uint64_t lanes_shown;
	struct buffer samples[FAMILY_COUNT];
	int64_t wall_ms;
	bool failed;
};

struct label {
	const char *name, *value; /* name NULL: none */
};

static void put(struct metrics *m, enum family family, struct slice text)
{
	if (buffer_add(&m->samples[family], text) != 0)
		m->failed = true;
}

/* Backslash, quote and line feed are escaped; the format is UTF-8, so what is not becomes a question mark. */
static void put_label_value(struct metrics *m, enum family family, struct slice value)
{
	while (value.size > 0) {
		size_t size = utf8_char_size(value);
		char c = value.data[0];
		if (c == '\n')
			put(m, family, SLICE("\\n"));
		else if (c == '"' || c == '\\')
			put(m, family, slice_make((char[]){'\\', c}, 2));
		else
			put(m, family, size > 0 ? slice_upto(value, size) : SLICE("?"));
		value = slice_from(value, size > 0 ? size : 1);
	}
}

static void put_label(struct metrics *m, enum family family, struct label label, const char *before)
{
	put(m, family, slice_of(before));
	put(m, family, slice_of(label.name));
	put(m, family, SLICE("=\""));
	put_label_value(m, family, slice_of(label.value));
	put(m, family, SLICE("\""));
}

static void put_name(struct metrics *m, enum family family, struct label a, struct label b)
{
	put(m, family, slice_of(families[family].name));
	if (a.name == NULL)
		return;
	put_label(m, family, a, "{");
	if (b.name != NULL)
		put_label(m, family, b, ",");
	put(m, family, SLICE("}"));
}

static void sample2(struct metrics *m, enum family family, struct label a, struct label b, double value)
{
	put_name(m, family, a, b);
	if (buffer_printf(&m->samples[family], " %.15g\n", value) != 0)
		m->failed = true;
}

static void sample(struct metrics *m, enum family family, struct label label, double value)
{
	sample2(m, family, label, (struct label){NULL, NULL}, value);
}

static void node_sample(struct metrics *m, enum family family, double value)
{
	sample(m, family, (struct label){NULL, NULL}, value);
}

static double oldest_s(const struct metrics *m, const struct store_counts *held)
{
	if (held->messages == 0 || held->oldest_ms > m->wall_ms)
		return 0;
	return (double)(m->wall_ms - held->oldest_ms) / 1000;
}

static void node_totals(struct metrics *m, const struct store_totals *totals)
{
	node_sample(m, NODE_ACCEPTED, (double)totals->accepted);
	node_sample(m, NODE_QUEUED, (double)totals->queued);
	node_sample(m, NODE_ENDED, (double)totals->ended);
	node_sample(m, NODE_DELIVERED, (double)totals->delivered);
	node_sample(m, NODE_UNACCOUNTED,
		    (double)(int64_t)(totals->accepted - totals->queued - totals->ended));
	node_sample(m, NODE_SET_ASIDE, (double)totals->set_aside);
}

static void space_samples(struct metrics *m, const struct admin_space_view *space)
{
	for (int level = FILL_OK; level <= FILL_FAILED; level++) {
		const char *state = fill_level_name((enum fill_level)level);
		sample(m, SPACE_STATE, (struct label){"state", state}, strcmp(state, space->state) == 0);
	}
	node_sample(m, SPACE_RESERVE, space->reserve_gone);
	node_sample(m, SPACE_REFUSED, (double)space->refused_for_room);
	if (space->capacity_bytes == 0)
		return;
	node_sample(m, SPACE_CAPACITY, (double)space->capacity_bytes);
	node_sample(m, SPACE_USED, (double)space->used_bytes);
	node_sample(m, SPACE_LIVE, (double)space->live_bytes);
	node_sample(m, SPACE_FREE, (double)space->free_bytes);
	if (space->full_in_s >= 0)
		node_sample(m, SPACE_FULL_IN, space->full_in_s);
}

static void door_samples(struct metrics *m, const struct admin_node_view *node)
{
	node_sample(m, NODE_CALLOUTS, (double)node->door.callouts);
	node_sample(m, NODE_ASKED, (double)node->door.asked);
	sample(m, NODE_DOOR, (struct label){"answer", "unknown"}, (double)node->door.unknown);
	sample(m, NODE_DOOR, (struct label){"answer", "too_large"}, (double)node->door.too_large);
	sample(m, NODE_DOOR, (struct label){"answer", "unconfirmed"}, (double)node->door.unconfirmed);
	sample(m, NODE_DOOR, (struct label){"answer", "limited"}, (double)node->door.limited);
	sample(m, NODE_DOOR, (struct label){"answer", "unseen"}, (double)node->door.unseen);
}

static void node_samples(struct metrics *m, const struct admin_node_view *node, const char *version)
{
	sample2(m, NODE_INFO, (struct label){"node", node->hostname}, (struct label){"version", version}, 1);
	node_sample(m, NODE_START, (double)node->up_since_ms / 1000);
	node_sample(m, NODE_HELD_MESSAGES, (double)node->held.messages);
	node_sample(m, NODE_HELD_BYTES, (double)node->held.bytes);
	node_sample(m, NODE_HELD_RECIPIENTS, (double)node->held.recipients);
	node_sample(m, NODE_HELD_OLDEST, oldest_s(m, &node->held));
	node_totals(m, &node->totals);
	sample(m, NODE_SESSIONS, (struct label){"direction", "in"}, node->inbound_sessions);
	sample(m, NODE_SESSIONS, (struct label){"direction", "out"}, node->outbound_sessions);
	node_sample(m, NODE_MESSAGES_SINCE_START, (double)node->accepted_messages);
	node_sample(m, NODE_REFUSED_SINCE_START, (double)node->refused_recipients);
	node_sample(m, NODE_DELIVERED_SINCE_START, (double)node->delivered_recipients);
	node_sample(m, NODE_DEFERRED_SINCE_START, (double)node->deferred_recipients);
	sample(m, NODE_IN_SESSION, (struct label){"verdict", "delivered"},
	       (double)node->in_session_delivered);
	sample(m, NODE_IN_SESSION, (struct label){"verdict", "refused"}, (double)node->in_session_refused);
	sample(m, NODE_IN_SESSION, (struct label){"verdict", "none"}, (double)node->in_session_queued);
	door_samples(m, node);
	node_sample(m, NODE_DUPLICATES, (double)node->duplicates_possible);
	space_samples(m, &node->space);
}

static void lane_state_samples(struct metrics *m, const struct admin_lane_view *view, struct label label)
{
	static const char *const states[] = {"up", "down", "idle"};
	bool down = strcmp(view->state, "down") == 0;

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		sample2(m, LANE_STATE, label, (struct label){"state", states[i]},
			strcmp(states[i], view->state) == 0);
	if (down && view->kind != NULL)
		sample2(m, LANE_DOWN_KIND, label, (struct label){"kind", view->kind}, 1);
	sample(m, LANE_SINCE, label, (double)view->since_ms / 1000);
}

static void lane_flow_samples(struct metrics *m, const struct admin_lane_view *view, struct label label)
{
	sample(m, LANE_WINDOW, label, view->window);
	sample(m, LANE_IN_FLIGHT, label, view->in_flight);
	sample(m, LANE_RATE, label, view->rate_per_s);
	if (view->next_probe_s >= 0)
		sample(m, LANE_NEXT_PROBE, label, view->next_probe_s);
	if (view->eta_s >= 0)
		sample(m, LANE_ETA, label, view->eta_s);
	sample(m, LANE_DELIVERED, label, (double)view->delivered_total);
	sample(m, LANE_DEFERRED, label, (double)view->deferred_total);
	if (view->connection_limit > 0)
		sample(m, LANE_CONNECTION_LIMIT, label, view->connection_limit);
	if (view->rate_limit_per_s > 0)
		sample(m, LANE_RATE_LIMIT, label, view->rate_limit_per_s);
}

static void lane_samples(void *owner, const struct admin_lane_view *view)
{
	struct metrics *m = owner;
	struct label label = {"lane", view->name};

	if (view->name[0] == '\0' ||
	    !request_wanted(m->request)) /* of the domains that wait: no server, no health */
		return;
	m->lanes_shown++;
	lane_state_samples(m, view, label);
	lane_flow_samples(m, view, label);
	sample(m, LANE_HELD_MESSAGES, label, (double)view->held.messages);
	sample(m, LANE_HELD_BYTES, label, (double)view->held.bytes);
	sample(m, LANE_HELD_OLDEST, label, oldest_s(m, &view->held));
}

static void domain_samples(void *owner, const struct admin_domain_view *view)
{
	struct metrics *m = owner;
	struct label label = {"domain", view->name};

	if (!request_wanted(m->request))
		return;
	for (int state = DOMAIN_OPEN; state <= DOMAIN_WAITING; state++)
		sample2(m, DOMAIN_STATE_SET, label,
			(struct label){"state", domain_state_name((enum domain_state)state)},
			(int)view->state == state);
	sample(m, DOMAIN_HELD_MESSAGES, label, (double)view->held.messages);
	sample(m, DOMAIN_HELD_BYTES, label, (double)view->held.bytes);
	sample(m, DOMAIN_HELD_OLDEST, label, oldest_s(m, &view->held));
	if (view->share_bytes > 0)
		sample(m, DOMAIN_SHARE, label, (double)view->share_bytes);
	sample(m, DOMAIN_SHARE_USED_UP, label, view->share_used_up);
	sample(m, DOMAIN_REFUSED, label, (double)view->refused_for_room);
}

static int join_family(struct buffer *to, enum family family, const struct buffer *samples)
{
	if (buffer_size(samples) == 0)
		return 0;
	int error = buffer_printf(to, "# HELP %s %s\n# TYPE %s %s\n", families[family].name,
				  families[family].help, families[family].name, families[family].type);
	return error != 0 ? error : buffer_add(to, buffer_slice(samples));
}

static void join(struct metrics *m, struct buffer *to)
{
	for (int family = 0; family < FAMILY_COUNT; family++)
		if (!m->failed && join_family(to, (enum family)family, &m->samples[family]) != 0)
			m->failed = true;
}

static void sum_samples(void *owner, const struct admin_sums *sums, const char *next)
{
	struct metrics *m = owner;

	sample(m, SUM_LANES, (struct label){"state", "up"}, (double)sums->lanes_up);
	sample(m, SUM_LANES, (struct label){"state", "idle"}, (double)sums->lanes_idle);
	sample(m, SUM_LANES, (struct label){"state", "down"}, (double)sums->lanes_down);
	node_sample(m, SUM_LANES_IN_NEED, (double)sums->lanes_in_need);
	node_sample(m, SUM_LANES_SHOWN, (double)m->lanes_shown);
	node_sample(m, SUM_HELD_BY_DOWN, (double)sums->held_by_down);
	node_sample(m, SUM_RATE, sums->rate_per_s);
	for (int state = DOMAIN_OPEN; state <= DOMAIN_WAITING; state++)
		sample(m, SUM_DOMAINS, (struct label){"state", domain_state_name((enum domain_state)state)},
		       (double)sums->domains_in[state]);
	node_sample(m, SUM_DOMAINS_SHARE, (double)sums->domains_share_used_up);
}

static void answer(struct request *request, struct metrics *m, const struct admin_result *result)
{
	if (result->error != 0) {
		request_refuse(request, result);
		return;
	}
	join(m, &request->body);
	if (m->failed) {
		request_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "memory", "no memory for the figures");
		return;
	}
	request->content_type = "text/plain; version=0.0.4; charset=utf-8";
	request_answer(request, MHD_HTTP_OK);
}

static void metrics_done(void *owner, const struct admin_result *result)
{
	struct metrics *m = owner;

	if (request_told(m->request))
		answer(m->request, m, result);
	for (int family = 0; family < FAMILY_COUNT; family++)
		buffer_deinit(&m->samples[family]);
	free(m);
}

void handle_metrics(struct request *request)
{
	struct admin_overview_filter filter = {.by_attention = true, .rows = ADMIN_ROWS_MAX};
	struct admin_node_view node;
	struct metrics *m;

	if (!parameter_domain(request, "domain", &filter.domain))
		return;
	m = calloc(1, sizeof(*m));
	if (m == NULL) {
		request_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "memory", "no memory for the figures");
		return;
	}
	request_ask(request);
	m->request = request;
	m->wall_ms = request_wall_ms(request);
	for (int family = 0; family < FAMILY_COUNT; family++)
		buffer_init(&m->samples[family], API_ANSWER_MAX);
	admin_node(request->api->relay, &node);
	node_samples(m, &node, request->api->version);
	admin_overview(request->api->relay, &filter, lane_samples, domain_samples, sum_samples, metrics_done,
		       m);
}
