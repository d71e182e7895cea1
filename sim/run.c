/* A random run. Each seed switches on its own few kinds of faults: all of them at once would hide one behind
 * another. */
#include "sim/run.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sim/scene.h"

enum { TROUBLES_MAX = 20 };

/* Some recipient may have been told to wait by its own back-off shortly before the faults end: an hour at
 * most, and the hold detector's time on top. */
#define LIVENESS_LIMIT_US CLOCK_SECONDS(6 * 3600)

struct run;
typedef void trouble(struct run *run);

struct run {
	struct sim_scene scene;
	trouble *troubles[TROUBLES_MAX];
	size_t trouble_count;
	struct sim_event next_trouble, next_check;
	struct sim_event heal[SIM_SERVERS_MAX];
	struct sim_event kill;
	double kill_at_ack, kill_at_stored;
	int64_t end_us;
};

/* --- troubles: each is one thing that happens
 * ---------------------------------------------------------------------------- */

static struct sim_server *any_server(struct run *run)
{
	return &run->scene.servers[rng_below(&run->scene.world.rng, run->scene.server_count)];
}

static const char *any_domain(struct run *run)
{
	return run->scene.domains[rng_below(&run->scene.world.rng, run->scene.domain_count)];
}

static void heal_later(struct run *run, const struct sim_server *server)
{
	struct sim_world *world = &run->scene.world;

	sim_after(world, &run->heal[server - run->scene.servers],
		  sim_log_uniform(world, 100000, CLOCK_SECONDS(300)));
}

static void fire_heal(void *owner)
{
	sim_server_healthy(owner);
}

static void kill_server(struct run *run)
{
	struct sim_server *server = any_server(run);

	sim_server_kill(server);
	heal_later(run, server);
}

static void cut_power_of_server(struct run *run)
{
	struct sim_server *server = any_server(run);

	sim_server_power_cut(server);
	heal_later(run, server);
}

static void lose_server(struct run *run)
{
	struct sim_server *server = any_server(run);

	sim_host_reach(server->host, (enum sim_reach)sim_between(&run->scene.world, SIM_REACH_REFUSED,
								 SIM_REACH_UNREACHABLE));
	heal_later(run, server);
}

/* Two or three stages at which something goes wrong now and then. */
static void upset_server(struct run *run)
{
	struct sim_world *world = &run->scene.world;
	struct sim_server *server = any_server(run);
	struct sim_mood *mood = &server->mood;
	const double chance = (double)sim_log_uniform(world, 2, 100) / 100;

	for (int64_t n = sim_between(world, 1, 3); n > 0; n--) {
		double *stages[] = {mood->closes, mood->busy, mood->temporary, mood->permanent, mood->hangs};
		double *which = stages[rng_below(&world->rng, sizeof(stages) / sizeof(stages[0]))];
		which[rng_below(&world->rng, SIM_STAGES)] = chance;
	}
	sim_note(world, "%s is upset", server->host->name);
	heal_later(run, server);
}

static void make_server_forget_replies(struct run *run)
{
	struct sim_world *world = &run->scene.world;
	struct sim_server *server = any_server(run);

	server->mood.loses_reply = sim_chance(world, 0.7) ? 0.3 : 0;
	server->mood.replies_late = sim_chance(world, 0.3) ? 0.2 : 0;
	server->mood.closes[SIM_STAGE_DOT] = sim_chance(world, 0.5) ? 0.3 : 0;
	sim_note(world, "%s loses replies", server->host->name);
	heal_later(run, server);
}

static void make_server_refuse(struct run *run)
{
	struct sim_world *world = &run->scene.world;
	struct sim_server *server = any_server(run);

	if (sim_chance(world, 0.5))
		server->mood.refuses_all = true;
	else
		server->mood.refuses_one_in = (uint32_t)sim_between(world, 2, 5);
	server->mood.refuses_whole = sim_chance(world, 0.3);
	server->mood.refusal = sim_chance(world, 0.3) ? "554 5.7.1 Relay access denied" : NULL;
	sim_note(world, "%s refuses recipients", server->host->name);
	heal_later(run, server);
}

static void slow_server(struct run *run)
{
	struct sim_world *world = &run->scene.world;
	struct sim_server *server = any_server(run);

	server->mood.delay_high_us = sim_log_uniform(world, 10000, CLOCK_SECONDS(40));
	server->mood.banner_delay_us = sim_chance(world, 0.3) ? CLOCK_SECONDS(45) : 0;
	server->mood.connection_limit = sim_chance(world, 0.5) ? (uint32_t)sim_between(world, 1, 4) : 0;
	sim_note(world, "%s is slow", server->host->name);
	heal_later(run, server);
}

static void kill_relay(struct run *run)
{
	struct sim_world *world = &run->scene.world;

	if (sim_chance(world, 0.3))
		sim_node_power_cut(&run->scene.node);
	else
		sim_node_kill(&run->scene.node);
	sim_node_start_after(&run->scene.node, sim_log_uniform(world, 1000, CLOCK_SECONDS(60)));
}

static void stop_relay(struct run *run)
{
	sim_node_stop(&run->scene.node);
	sim_node_start_after(&run->scene.node, sim_log_uniform(&run->scene.world, 1000, CLOCK_SECONDS(60)));
}

static void trouble_names(struct run *run)
{
	struct sim_world *world = &run->scene.world;
	struct sim_resolver *resolver = &run->scene.resolver;

	resolver->fails = sim_chance(world, 0.5) ? 0.5 : 0;
	resolver->slow = sim_chance(world, 0.5) ? 0.3 : 0;
	resolver->dead = sim_chance(world, 0.3);
	sim_note(world, "names are %s", resolver->dead ? "dead" : "unsteady");
}

static void trouble_store(struct run *run)
{
	struct sim_world *world = &run->scene.world;
	struct sim_store_faults faults = {.late = sim_chance(world, 0.5) ? 0.3 : 0};

	if (sim_chance(world, 0.5))
		faults.unknown = 0.2;
	if (sim_chance(world, 0.3))
		faults.failed = 0.2;
	if (sim_chance(world, 0.3))
		faults.full = 0.5;
	sim_note(world, "the store is %s", faults.full > 0 ? "full now and then" : "unsteady");
	sim_store_faults(&run->scene.node.store, sim_chance(world, 0.3) ? NULL : &faults);
}

static void jump_clock(struct run *run)
{
	struct sim_world *world = &run->scene.world;

	sim_wall_jump(world, sim_log_uniform(world, 1, 86400000) * (sim_chance(world, 0.5) ? 1 : -1));
}

static void give_orders(struct run *run)
{
	struct sim_world *world = &run->scene.world;
	const char *domain = any_domain(run);

	if (sim_chance(world, 0.4))
		sim_node_hold(&run->scene.node, domain);
	else if (sim_chance(world, 0.5))
		sim_node_resume(&run->scene.node, domain);
	else if (sim_chance(world, 0.5))
		sim_node_release(&run->scene.node);
	else
		sim_node_probe(&run->scene.node, domain);
}

static void lose_senders(struct run *run)
{
	struct sim_world *world = &run->scene.world;
	struct sim_host *host = run->scene.senders[rng_below(&world->rng, run->scene.sender_count)].host;

	sim_host_reach(host, host->reach == SIM_REACH_OK ? SIM_REACH_BLACK_HOLE : SIM_REACH_OK);
}

static trouble *const all_troubles[] = {
    kill_server,   cut_power_of_server, lose_server, upset_server, upset_server, make_server_forget_replies,
    slow_server,   make_server_refuse,	kill_relay,  kill_relay,   stop_relay,	 trouble_names,
    trouble_store, jump_clock,		give_orders, lose_senders,
};

static void fire_trouble(void *owner)
{
	struct run *run = owner;
	struct sim_world *world = &run->scene.world;

	run->troubles[rng_below(&world->rng, run->trouble_count)](run);
	sim_after(world, &run->next_trouble, sim_log_uniform(world, 200000, CLOCK_SECONDS(90)));
}

static void fire_check(void *owner)
{
	struct run *run = owner;

	sim_node_check(&run->scene.node);
	sim_after(&run->scene.world, &run->next_check, CLOCK_SECONDS(20));
}

static void fire_kill(void *owner)
{
	kill_relay(owner);
}

/* A crash at the worst moment: right after a promise, or between their 250 and our record. */
static void on_moment(void *owner, enum sim_moment moment)
{
	struct run *run = owner;
	struct sim_world *world = &run->scene.world;
	double chance = moment == SIM_MOMENT_ACKED ? run->kill_at_ack : run->kill_at_stored;

	if (run->end_us > world->now_us && run->scene.node.relay != NULL && sim_chance(world, chance))
		sim_after(world, &run->kill, sim_log_uniform(world, 1, 20000));
}

/* --- the world of a seed
 * -------------------------------------------------------------------------------------------------- */

static void draw_troubles(struct run *run)
{
	struct sim_world *world = &run->scene.world;
	const size_t count = sizeof(all_troubles) / sizeof(all_troubles[0]);

	for (size_t i = 0; i < count && run->trouble_count < TROUBLES_MAX; i++)
		if (sim_chance(world, 0.35))
			run->troubles[run->trouble_count++] = all_troubles[i];
	if (run->trouble_count == 0)
		run->troubles[run->trouble_count++] = all_troubles[rng_below(&world->rng, count)];
	if (sim_chance(world, 0.3)) {
		run->kill_at_ack = sim_chance(world, 0.5) ? 0.1 : 0;
		run->kill_at_stored = sim_chance(world, 0.5) ? 0.1 : 0;
	}
}

static void draw_net_faults(struct run *run)
{
	struct sim_world *world = &run->scene.world;
	struct sim_net_faults *faults = &run->scene.net.faults;
	double *each[] = {&faults->refused, &faults->unreachable, &faults->timeout,
			  &faults->local,   &faults->reset,	  &faults->silent,
			  &faults->tls,	    &faults->tiny_cuts,	  &faults->slow};

	for (size_t i = 0; i < sizeof(each) / sizeof(each[0]); i++)
		if (sim_chance(world, 0.3))
			*each[i] = (double)sim_log_uniform(world, 1, 30) / 100;
}

static void draw_servers(struct run *run)
{
	struct sim_world *world = &run->scene.world;

	for (int64_t n = sim_between(world, 1, 3); n > 0; n--) {
		struct sim_server *server = sim_scene_server(&run->scene);
		bool esmtp = sim_chance(world, 0.95);
		server->features = (struct sim_features){.esmtp = esmtp,
							 .pipelining = esmtp && sim_chance(world, 0.7),
							 .chunking = esmtp && sim_chance(world, 0.6),
							 .eight_bit = esmtp && sim_chance(world, 0.8),
							 .size = esmtp && sim_chance(world, 0.8),
							 .starttls = esmtp && sim_chance(world, 0.3),
							 .enhanced = esmtp && sim_chance(world, 0.8)};
		server->host->tls_server = server->features.starttls;
		server->host->latency_us = sim_log_uniform(world, 50, 80000);
		server->host->bytes_per_s = sim_log_uniform(world, 100000, 100000000);
		sim_event_init(&run->heal[run->scene.server_count - 1], fire_heal, server);
	}
}

/* Some domains share a server set, so a lane; some sets overlap. */
static void draw_domain(struct run *run)
{
	struct sim_world *world = &run->scene.world;
	struct sim_scene *scene = &run->scene;
	const char *name = sim_scene_domain(scene);
	struct slice to[SIM_SERVERS_MAX];
	char hosts[SIM_SERVERS_MAX][32];
	size_t count = 0;

	for (size_t i = 0; i < scene->server_count; i++) {
		if (!sim_chance(world, 0.6) && !(count == 0 && i + 1 == scene->server_count))
			continue;
		(void)snprintf(hosts[count], sizeof(hosts[count]), "mx%zu.test", i + 1);
		to[count] = slice_of(hosts[count]);
		count++;
	}
	bool by_mx = sim_chance(world, 0.5);
	for (size_t i = 0; by_mx && i < count; i++)
		sim_name_mx(&scene->resolver, slice_of(name), (uint16_t)(10 * sim_between(world, 1, 2)),
			    to[i]);
	if (!sim_node_add_domain(&scene->node, name, to, by_mx ? 0 : count))
		return;
}

static size_t draw_size(struct sim_world *world)
{
	if (sim_chance(world, 0.08))
		return 0;
	return (size_t)sim_log_uniform(world, 1,
				       sim_chance(world, 0.05)	? 400000
				       : sim_chance(world, 0.2) ? 60000
								: 3000);
}

static void draw_mail(struct run *run)
{
	struct sim_world *world = &run->scene.world;
	struct sim_mail *mail = sim_scene_mail(&run->scene, draw_size(world));
	char address[SIM_ADDRESS_SIZE];
	unsigned user = (unsigned)rng_below(&world->rng, SIM_USERS);

	mail->bad_ends = !mail->bare && sim_chance(world, 0.04);
	for (int64_t n = sim_chance(world, 0.6) ? 1 : sim_between(world, 2, 6); n > 0; n--) {
		sim_scene_address(&run->scene, rng_below(&world->rng, run->scene.domain_count), user++,
				  address);
		sim_mail_to(mail, address, false);
	}
	if (sim_chance(world, 0.05))
		sim_mail_to(mail, "somebody@elsewhere.test", true);
	struct sim_sender *sender = &run->scene.senders[rng_below(&world->rng, run->scene.sender_count)];
	sim_sender_submit(sender, mail, sim_between(world, world->now_us, run->end_us));
}

static void draw_senders(struct run *run)
{
	struct sim_world *world = &run->scene.world;

	for (int64_t n = sim_between(world, 1, 2); n > 0; n--) {
		struct sim_sender *sender = sim_scene_sender(&run->scene);
		sender->config.pipelining = rng_unit(&world->rng);
		sender->config.chunking = rng_unit(&world->rng) * 0.7;
		sender->config.quirk = sim_chance(world, 0.5) ? 0.2 : 0;
		sender->host->latency_us = sim_log_uniform(world, 50, 80000);
		sender->host->bytes_per_s = sim_log_uniform(world, 100000, 100000000);
	}
	run->scene.node.host->tls_server = sim_chance(world, 0.5);
	for (int64_t n = sim_log_uniform(world, 5, 60); n > 0; n--)
		draw_mail(run);
}

static void set_up(struct run *run)
{
	struct sim_world *world = &run->scene.world;

	draw_servers(run);
	sim_node_start(&run->scene.node);
	for (int64_t n = sim_between(world, 1, 4); n > 0; n--)
		draw_domain(run);
	run->end_us = world->now_us + sim_log_uniform(world, CLOCK_SECONDS(30), CLOCK_SECONDS(1200));
	draw_senders(run);
	draw_net_faults(run);
	draw_troubles(run);
	run->scene.oracle.moment = on_moment;
	run->scene.oracle.moment_owner = run;
	sim_event_init(&run->next_trouble, fire_trouble, run);
	sim_event_init(&run->next_check, fire_check, run);
	sim_event_init(&run->kill, fire_kill, run);
	sim_after(world, &run->next_trouble, sim_log_uniform(world, 1000, CLOCK_SECONDS(30)));
	sim_after(world, &run->next_check, CLOCK_SECONDS(20));
}

static void calm(struct run *run)
{
	struct sim_world *world = &run->scene.world;

	sim_cancel(world, &run->next_trouble);
	sim_cancel(world, &run->kill);
	for (size_t i = 0; i < run->scene.server_count; i++)
		sim_cancel(world, &run->heal[i]);
	sim_scene_calm(&run->scene);
}

void sim_run_fill(struct sim_run_result *result, const struct sim_scene *scene)
{
	const struct sim_oracle *oracle = &scene->oracle;

	*result = (struct sim_run_result){
	    .violations = oracle->violations,
	    .trace_hash = scene->world.trace_hash,
	    .events = scene->world.fired,
	    .acked = oracle->acked,
	    .delivered = oracle->delivered,
	    .duplicates = oracle->duplicates_crash + oracle->duplicates_reply_lost,
	    .crashes = oracle->crashes,
	};
	memcpy(result->first, oracle->first, sizeof(result->first));
}

void sim_run(uint64_t seed, enum sim_store_kind kind, FILE *verbose, struct sim_run_result *ret_result)
{
	struct run *run = sim_alloc(sizeof(struct run));

	sim_scene_init(&run->scene, seed, kind, verbose);
	set_up(run);
	if (run->scene.oracle.violations == 0) {
		(void)sim_node_run(&run->scene.node, run->end_us, NULL, NULL);
		calm(run);
		sim_scene_drain(&run->scene, LIVENESS_LIMIT_US);
		sim_node_check(&run->scene.node);
		(void)sim_node_run(&run->scene.node, run->scene.world.now_us + CLOCK_SECONDS(5), NULL, NULL);
		sim_oracle_finish(&run->scene.oracle);
	}
	sim_cancel(&run->scene.world, &run->next_check);
	sim_run_fill(ret_result, &run->scene);
	sim_scene_deinit(&run->scene);
	free(run);
}
