/* What must be so at any moment, judged while the world runs. */
#include "sim/node.h"

#include <string.h>

#include "base/check.h"

enum { CHECK_LIMIT = 10000 }; /* entries of one admin_queue */

void sim_node_totals(const struct sim_node *node, struct store_totals *ret_totals)
{
	*ret_totals = (struct store_totals){0};
	if (node->store.store != NULL)
		node->store.store->ops->totals(node->store.store, ret_totals);
}

static void check_totals(struct sim_node *node)
{
	struct admin_node_view view;

	admin_node(node->relay, &view);
	const struct store_totals *t = &view.totals;
	if (t->accepted != t->queued + t->ended)
		sim_oracle_violation(node->oracle, "accepted %llu, but queued %llu and ended %llu",
				     (unsigned long long)t->accepted, (unsigned long long)t->queued,
				     (unsigned long long)t->ended);
	if (view.held.recipients != t->queued)
		sim_oracle_violation(node->oracle, "%llu recipients are held, %llu are queued",
				     (unsigned long long)view.held.recipients, (unsigned long long)t->queued);
	/* Only a sender who was told so ends otherwise. */
	if (t->delivered > t->ended || t->ended - t->delivered > node->oracle->content_refused)
		sim_oracle_violation(node->oracle, "%llu recipients ended, but only %llu were delivered",
				     (unsigned long long)t->ended, (unsigned long long)t->delivered);
}

static void check_message(void *owner, const struct admin_message_view *view)
{
	struct sim_node *node = owner;
	const struct store_envelope *envelope = &view->entry->envelope;

	node->check_entries++;
	node->held_id = view->entry->id;
	for (uint32_t i = 0; i < envelope->recipient_count; i++) {
		if (envelope->recipients[i].state != STORE_QUEUED)
			continue;
		if (view->recipients[i].reason[0] == '\0' || view->recipients[i].next_event[0] == '\0')
			sim_oracle_violation(node->oracle, "%.*s waits without %s",
					     SLICE_ARG(envelope->recipients[i].forward_path),
					     view->recipients[i].reason[0] == '\0' ? "a reason"
										   : "a next event");
	}
}

static void checked(void *owner, const struct admin_result *result)
{
	struct sim_node *node = owner;

	node->checking = false;
	node->checks++;
}

void sim_node_check(struct sim_node *node)
{
	const struct admin_message_filter filter = {.limit = CHECK_LIMIT};

	if (!sim_node_ready(node))
		return;
	check_totals(node);
	if (node->checking)
		return;
	node->checking = true;
	admin_queue(node->relay, &filter, check_message, checked, node);
}

enum {
	CANARY_PATIENCE_S = 55, /* a little less than the lane's */
	WIRE_S = 4, /* what is older may have been on the wire when the state changed; TCP repeats after 1 and
		       2 s */
};

struct window_check {
	struct sim_node *node;
	const struct sim_server *server;
	uint32_t down; /* lanes of this server that are down */
	bool up;
	int64_t since_us; /* the latest */
};

static void look_at_lane(void *owner, const struct admin_lane_view *lane)
{
	struct window_check *c = owner;
	const struct sim_world *world = c->node->world;

	if (!slice_contains_nocase(slice_of(lane->name), slice_of(c->server->host->name)))
		return;
	if (strcmp(lane->state, "down") != 0) {
		c->up = true;
		return;
	}
	c->down++;
	int64_t since_us = world->now_us - CLOCK_MS(sim_clock(world).wall_ms - lane->since_ms);
	c->since_us = since_us > c->since_us ? since_us : c->since_us;
}

void sim_node_check_window(struct sim_node *node, const struct sim_server *server)
{
	struct window_check c = {.node = node, .server = server};

	if (!sim_node_ready(node) || node->world->wall_jumps > 0)
		return;
	(void)admin_status(node->relay, SLICE(""), look_at_lane, NULL, &c);
	if (c.up || c.down == 0)
		return;
	/* What was under way when it went down does not count, nor what the wire may still have held then,
	 * nor a canary that has been silent for so long that the lane has given it up. */
	int64_t from_us = c.since_us + CLOCK_SECONDS(WIRE_S);
	int64_t patience_us = node->world->now_us - CLOCK_SECONDS(CANARY_PATIENCE_S);
	uint32_t open = sim_server_transactions(server, from_us > patience_us ? from_us : patience_us);
	if (open > c.down)
		sim_oracle_violation(node->oracle,
				     "%u transactions at %s, which is down: one canary at a time", open,
				     server->host->name);
}

/* --- domains --- */

struct domain_check {
	struct sim_node *node;
	bool refusing;
	int64_t since_us, lane_down_us;
};

/* A lane that goes down because nothing answers has given up what was under way. */
static void look_at_its_lane(void *owner, const struct admin_lane_view *lane)
{
	struct domain_check *c = owner;
	const struct sim_world *world = c->node->world;

	if (strcmp(lane->state, "down") == 0)
		c->lane_down_us = world->now_us - CLOCK_MS(sim_clock(world).wall_ms - lane->since_ms);
}

static void look_at_domain(void *owner, const struct admin_domain_view *domain)
{
	struct domain_check *c = owner;
	const struct sim_world *world = c->node->world;

	c->refusing = domain->state == DOMAIN_REFUSING;
	c->since_us = world->now_us - CLOCK_MS(sim_clock(world).wall_ms - domain->since_ms);
}

static bool held_by_hand(const struct sim_node *node, struct slice domain, int64_t begun_us)
{
	for (size_t i = 0; i < SIM_HOLDS_MAX && node->holds[i].node != NULL; i++)
		if (node->holds[i].held && slice_equal_nocase(slice_of(node->holds[i].domain), domain))
			return begun_us > node->holds[i].since_us + CLOCK_SECONDS(WIRE_S);
	return false;
}

void sim_node_check_domain(struct sim_node *node, struct slice domain, int64_t begun_us,
			   uint32_t (*count)(void *owner, struct slice domain, int64_t begun_after_us),
			   void *owner)
{
	struct domain_check c = {.node = node};

	if (held_by_hand(node, domain, begun_us))
		sim_oracle_violation(node->oracle, "mail to %.*s is sent, though it is held by hand",
				     SLICE_ARG(domain));
	if (!sim_node_ready(node) || node->world->wall_jumps > 0)
		return;
	(void)admin_status(node->relay, domain, look_at_its_lane, look_at_domain, &c);
	if (!c.refusing)
		return;
	c.since_us = c.lane_down_us > c.since_us ? c.lane_down_us : c.since_us;
	int64_t patience_us = node->world->now_us - CLOCK_SECONDS(CANARY_PATIENCE_S);
	c.since_us += CLOCK_SECONDS(WIRE_S);
	uint32_t open = count(owner, domain, c.since_us > patience_us ? c.since_us : patience_us);
	if (open > 1)
		sim_oracle_violation(node->oracle,
				     "%u transactions for %.*s, which is refused: one canary at a time", open,
				     SLICE_ARG(domain));
}
