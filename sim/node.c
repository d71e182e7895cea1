#include "sim/node.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum {
	SMTP_PORT = 25,
	TURNS_WITHOUT_EVENT_MAX = 1000, /* of relay_run within a second: more is a loop */
	TURNS_MAX = 500000,		/* of the loop in one simulation: a random run takes some thousand */
	READY_LIMIT_S = 60,
	STOP_LIMIT_S = 30,
	STOP_LOOK_MS = 10,
	RESTART_S = 5, /* the supervisor tries again */
};

static void on_log(struct log *log, enum log_level level, const char *area, uint64_t id, const char *message,
		   const struct log_field *fields, size_t field_count)
{
	struct sim_node *node = container_of(log, struct sim_node, log);
	char line[400];
	size_t size = 0;

	for (size_t i = 0; i < field_count && size < sizeof(line); i++) {
		const struct log_field *f = &fields[i];
		int n = f->kind == LOG_FIELD_TEXT ? snprintf(line + size, sizeof(line) - size, " %s=%.*s",
							     f->key, SLICE_ARG(f->text))
						  : snprintf(line + size, sizeof(line) - size, " %s=%lld",
							     f->key, (long long)f->number);
		size += n > 0 ? (size_t)n : 0;
	}
	sim_note(node->world, "relay: %s %llu %s%s", area, (unsigned long long)id, message,
		 size > 0 ? line : "");
}

static void fire_stop(void *owner);

static void fire_restart(void *owner)
{
	sim_node_start(owner);
}

void sim_node_init(struct sim_node *node, struct sim_world *world, struct sim_oracle *oracle,
		   struct sim_resolver *resolver, struct sim_host *host, enum sim_store_kind kind)
{
	static const struct log_ops log_ops = {.event = on_log};

	*node = (struct sim_node){.world = world, .oracle = oracle, .resolver = resolver, .host = host};
	node->log.ops = &log_ops;
	node->seed = rng_next(&world->rng);
	node->turns_max = TURNS_MAX;
	relay_config_defaults(&node->config, "relay.test");
	node->own_address = host->address;
	node->own_address.port = SMTP_PORT;
	node->config.own_addresses = &node->own_address;
	node->config.own_address_count = 1;
	sim_event_init(&node->restart, fire_restart, node);
	sim_event_init(&node->stop, fire_stop, node);
	sim_store_init(&node->store, world, kind);
}

void sim_node_deinit(struct sim_node *node)
{
	bool was_running = node->relay != NULL;

	sim_cancel(node->world, &node->restart);
	sim_cancel(node->world, &node->stop);
	relay_free(node->relay);
	node->relay = NULL;
	sim_resolver_forget(node->resolver);
	if (was_running)
		sim_store_crash(&node->store, false); /* the relay is gone: nobody waits for completions */
	sim_store_deinit(&node->store);
}

void sim_node_start(struct sim_node *node)
{
	const struct relay_ports ports = {
	    .clock = &node->world->clock,
	    .net = sim_host_net(node->host),
	    .resolver = &node->resolver->port,
	    .log = &node->log,
	    .seed = node->seed + node->starts,
	};

	if (sim_queued(&node->stop))
		sim_node_kill(node); /* the supervisor does not wait for ever */
	if (node->relay != NULL)
		return;
	sim_cancel(node->world, &node->restart);
	sim_note(node->world, "the relay starts");
	sim_host_reach(node->host, SIM_REACH_OK);
	if (!sim_store_open(&node->store)) {
		sim_after(node->world, &node->restart, CLOCK_SECONDS(RESTART_S));
		return;
	}
	struct relay_ports with_store = ports;
	with_store.store = node->store.store;
	node->starts++;
	node->listening = false;
	node->relay = relay_new(&node->config, &with_store);
	check(node->relay != NULL);
}

static void gone(struct sim_node *node, bool power)
{
	struct relay *relay = node->relay;

	node->relay = NULL;
	sim_cancel(node->world, &node->stop);
	sim_oracle_crash(node->oracle, node->store.dead_since_us);
	/* The dead process hears and does nothing any more; its memory is given back by the only way there
	 * is. */
	relay_free(relay);
	sim_resolver_forget(node->resolver);
	sim_store_crash(&node->store, power);
	if (node->store.set_aside > 0)
		sim_oracle_violation(node->oracle,
				     "the spool set something aside, though nothing damaged it");
	if (sim_host_handles(node->host) > 0)
		sim_oracle_violation(node->oracle, "relay_free forgot %u connections",
				     sim_host_handles(node->host));
}

void sim_node_kill(struct sim_node *node)
{
	if (node->relay == NULL)
		return;
	sim_note(node->world, "the relay is killed");
	sim_host_kill(node->host);
	gone(node, false);
}

static bool is_quiet(void *owner)
{
	struct sim_node *node = owner;

	return node->relay == NULL || relay_quiet(node->relay);
}

static void close_politely(struct sim_node *node)
{
	relay_free(node->relay);
	node->relay = NULL;
	sim_resolver_forget(node->resolver);
	sim_store_close(&node->store);
	sim_host_kill(node->host);
	if (sim_host_handles(node->host) > 0)
		sim_oracle_violation(node->oracle, "relay_free forgot %u connections",
				     sim_host_handles(node->host));
}

static void fire_stop(void *owner)
{
	struct sim_node *node = owner;

	if (node->relay == NULL)
		return;
	if (is_quiet(node))
		close_politely(node);
	else if (node->world->now_us >= node->stop_until_us)
		sim_node_kill(node);
	else
		sim_after(node->world, &node->stop, CLOCK_MS(STOP_LOOK_MS));
}

void sim_node_stop(struct sim_node *node)
{
	if (!sim_node_ready(node) || sim_queued(&node->stop))
		return;
	sim_note(node->world, "the relay is asked to stop");
	sim_host_deaf(node->host);
	relay_shut_down(node->relay);
	node->stop_until_us = node->world->now_us + CLOCK_SECONDS(STOP_LIMIT_S);
	sim_after(node->world, &node->stop, 0);
}

void sim_node_power_cut(struct sim_node *node)
{
	if (node->relay == NULL)
		return;
	sim_note(node->world, "power cut at the relay");
	sim_host_power_cut(node->host);
	gone(node, true);
}

void sim_node_start_after(struct sim_node *node, int64_t delay_us)
{
	sim_after(node->world, &node->restart, delay_us);
}

bool sim_node_ready(const struct sim_node *node)
{
	return node->relay != NULL && relay_ready(node->relay);
}

/* --- the loop
 * ---------------------------------------------------------------------------------------------------------
 */

static void accept_sender(void *owner, struct net_conn *conn)
{
	struct sim_node *node = owner;

	relay_accept(node->relay, conn);
}

static void run_relay(struct sim_node *node)
{
	if (node->relay == NULL)
		return;
	relay_run(node->relay);
	if (!node->listening && relay_ready(node->relay)) {
		node->listening = true;
		sim_host_listen(node->host, SMTP_PORT, accept_sender, node);
	}
}

/* Deadlines that are due again and again, without anything happening between. */
static void guard_against_spinning(struct sim_node *node, unsigned fired)
{
	int64_t now_us = node->world->now_us;

	if (fired > 0 || now_us - node->last_event_us > CLOCK_SECONDS(1)) {
		node->last_event_us = now_us;
		node->turns_without_event = 0;
		return;
	}
	if (++node->turns_without_event == TURNS_WITHOUT_EVENT_MAX)
		sim_oracle_violation(node->oracle, "the relay's deadline is always now");
	if (node->turns_without_event >= TURNS_WITHOUT_EVENT_MAX)
		node->world->now_us += 100000; /* so that the run ends */
}

/* Something goes round and round: end the run. */
static bool too_busy(struct sim_node *node)
{
	if (node->turns++ < node->turns_max)
		return false;
	if (node->turns == node->turns_max + 1)
		sim_oracle_violation(node->oracle, "the world does not come to rest");
	return true;
}

static int64_t next_us(const struct sim_node *node)
{
	int64_t next = sim_next_us(node->world);
	int64_t deadline = node->relay != NULL ? relay_deadline(node->relay) : CLOCK_NEVER;

	return deadline < next ? deadline : next;
}

bool sim_node_run(struct sim_node *node, int64_t until_us, bool (*stop)(void *owner), void *owner)
{
	struct sim_world *world = node->world;

	for (;;) {
		if (stop != NULL && stop(owner))
			return true;
		int64_t next = next_us(node), before_us = world->now_us;
		if (next >= until_us || too_busy(node)) {
			world->now_us = until_us > world->now_us ? until_us : world->now_us;
			return false;
		}
		world->now_us = next > before_us ? next : before_us;
		unsigned fired = sim_fire_due(world);
		run_relay(node);
		guard_against_spinning(node, fired);
	}
}

/* --- administration
 * --------------------------------------------------------------------------------------------------- */

struct answer {
	bool done;
	int error;
	char message[ADMIN_MESSAGE_MAX];
};

static void got_answer(void *owner, const struct admin_result *result)
{
	struct answer *answer = owner;

	answer->done = true;
	answer->error = result->error;
	(void)snprintf(answer->message, sizeof(answer->message), "%s", result->message);
}

static bool answered(void *owner)
{
	return ((struct answer *)owner)->done;
}

static bool is_ready(void *owner)
{
	return sim_node_ready(owner);
}

bool sim_node_run_ready(struct sim_node *node)
{
	if (sim_node_run(node, node->world->now_us + CLOCK_SECONDS(READY_LIMIT_S), is_ready, node))
		return true;
	sim_oracle_violation(node->oracle, "the relay was not ready within %d s", READY_LIMIT_S);
	return false;
}

bool sim_node_add_domain(struct sim_node *node, const char *name, const struct slice *destinations,
			 size_t count)
{
	struct answer answer = {.done = false};

	if (!sim_node_run_ready(node))
		return false;
	int64_t limit_us = node->world->now_us + CLOCK_SECONDS(READY_LIMIT_S);
	admin_domain_add(node->relay, slice_of(name), destinations, count, got_answer, &answer);
	if (!sim_node_run(node, limit_us, answered, &answer)) {
		sim_oracle_violation(node->oracle, "adding %s was never answered", name);
		return false;
	}
	sim_note(node->world, "domain %s: %s (%s)", name, answer.message, error_name(answer.error));
	if (answer.error != 0)
		sim_oracle_violation(node->oracle, "adding %s failed: %s", name, answer.message);
	return answer.error == 0;
}

static void note_answer(void *owner, const struct admin_result *result)
{
	struct sim_node *node = owner;

	sim_note(node->world, "by hand: %s (%s)", result->message, error_name(result->error));
}

static void got_hold(void *owner, const struct admin_result *result)
{
	struct sim_hold *hold = owner;

	note_answer(hold->node, result);
	hold->held = result->error == 0 && hold->wanted;
	hold->since_us = hold->node->world->now_us;
}

static struct sim_hold *hold_of(struct sim_node *node, const char *domain)
{
	struct sim_hold *hold = node->holds;

	while (hold->node != NULL && strcmp(hold->domain, domain) != 0)
		hold++;
	check(hold < node->holds + SIM_HOLDS_MAX);
	hold->node = node;
	(void)snprintf(hold->domain, sizeof(hold->domain), "%s", domain);
	return hold;
}

void sim_node_hold(struct sim_node *node, const char *domain)
{
	if (!sim_node_ready(node))
		return;
	hold_of(node, domain)->wanted = true;
	admin_hold(node->relay, slice_of(domain), 0, got_hold, hold_of(node, domain));
}

void sim_node_resume(struct sim_node *node, const char *domain)
{
	if (!sim_node_ready(node))
		return;
	hold_of(node, domain)->wanted = false;
	hold_of(node, domain)->held = false;
	admin_resume(node->relay, slice_of(domain), note_answer, node);
}

void sim_node_probe(struct sim_node *node, const char *domain)
{
	if (sim_node_ready(node))
		admin_probe(node->relay, slice_of(domain), note_answer, node);
}

void sim_node_release(struct sim_node *node)
{
	node->oracle->hurried = true;
	if (sim_node_ready(node) && node->held_id != 0)
		admin_message_release(node->relay, node->held_id, note_answer, node);
}
