#include "sim/scene.h"

#include "base/check.h"

static struct net_address address_of(uint8_t net, uint8_t host)
{
	return (struct net_address){.family = 4, .bytes = {10, net, 0, host}, .port = 25};
}

static void on_mail(void *owner, struct sim_server *server)
{
	struct sim_scene *scene = owner;

	sim_node_check_window(&scene->node, server);
}

static uint32_t count_transactions(void *owner, struct slice domain, int64_t begun_after_us)
{
	const struct sim_scene *scene = owner;
	uint32_t count = 0;

	for (size_t i = 0; i < scene->server_count; i++)
		count += sim_server_transactions_to(&scene->servers[i], domain, begun_after_us);
	return count;
}

static void on_rcpt(void *owner, struct sim_server *server, struct slice domain, int64_t begun_us)
{
	struct sim_scene *scene = owner;

	sim_node_check_domain(&scene->node, domain, begun_us, count_transactions, scene);
}

void sim_scene_init(struct sim_scene *scene, uint64_t seed, enum sim_store_kind kind, FILE *verbose)
{
	*scene = (struct sim_scene){.server_count = 0};
	sim_world_init(&scene->world, seed, verbose);
	sim_net_init(&scene->net, &scene->world);
	sim_resolver_init(&scene->resolver, &scene->world);
	sim_oracle_init(&scene->oracle, &scene->world);
	struct sim_host *host = sim_host_new(&scene->net, "relay", address_of(0, 1));
	sim_node_init(&scene->node, &scene->world, &scene->oracle, &scene->resolver, host, kind);
}

void sim_scene_deinit(struct sim_scene *scene)
{
	sim_node_deinit(&scene->node);
	for (size_t i = 0; i < scene->sender_count; i++)
		sim_sender_deinit(&scene->senders[i]);
	for (size_t i = 0; i < scene->server_count; i++)
		sim_server_deinit(&scene->servers[i]);
	sim_net_deinit(&scene->net);
	sim_oracle_deinit(&scene->oracle);
}

struct sim_server *sim_scene_server(struct sim_scene *scene)
{
	check(scene->server_count < SIM_SERVERS_MAX);
	size_t i = scene->server_count++;
	char *name = scene->server_names[i], dns[32];

	(void)snprintf(name, sizeof(scene->server_names[i]), "mx%zu", i + 1);
	(void)snprintf(dns, sizeof(dns), "%s.test", name);
	struct sim_host *host = sim_host_new(&scene->net, name, address_of(1, (uint8_t)(i + 1)));
	sim_name_address(&scene->resolver, slice_of(dns), &host->address);
	struct sim_server *server = &scene->servers[i];
	sim_server_init(server, &scene->world, &scene->oracle, host);
	sim_server_healthy(server);
	server->on_mail = on_mail;
	server->on_rcpt = on_rcpt;
	server->owner = scene;
	return server;
}

struct sim_sender *sim_scene_sender(struct sim_scene *scene)
{
	check(scene->sender_count < SIM_SENDERS_MAX);
	size_t i = scene->sender_count++;

	(void)snprintf(scene->sender_names[i], sizeof(scene->sender_names[i]), "sender%zu", i + 1);
	struct sim_host *host =
	    sim_host_new(&scene->net, scene->sender_names[i],
			 address_of((uint8_t)(2 + i), 1) /* each in a network of its own */);
	sim_sender_init(&scene->senders[i], &scene->world, &scene->oracle, host, &scene->node.own_address);
	return &scene->senders[i];
}

const char *sim_scene_domain(struct sim_scene *scene)
{
	check(scene->domain_count < SIM_DOMAINS_MAX);
	size_t i = scene->domain_count++;

	(void)snprintf(scene->domains[i], sizeof(scene->domains[i]), "d%zu.test", i + 1);
	return scene->domains[i];
}

void sim_scene_address(const struct sim_scene *scene, size_t domain, unsigned user,
		       char ret_address[SIM_ADDRESS_SIZE])
{
	(void)snprintf(ret_address, SIM_ADDRESS_SIZE, "u%u@%s", user, scene->domains[domain]);
}

struct sim_mail *sim_scene_mail(struct sim_scene *scene, size_t size_bytes)
{
	return sim_mail_new(&scene->world, ++scene->mails, size_bytes);
}

/* --- liveness
 * ---------------------------------------------------------------------------------------------------------
 */

void sim_scene_calm(struct sim_scene *scene)
{
	sim_note(&scene->world, "all faults are over");
	sim_net_calm(&scene->net);
	scene->resolver.dead = false;
	scene->resolver.fails = 0;
	scene->resolver.slow = 0;
	for (size_t i = 0; i < scene->server_count; i++)
		sim_server_healthy(&scene->servers[i]);
	for (size_t i = 0; i < scene->sender_count; i++) {
		sim_host_reach(scene->senders[i].host, SIM_REACH_OK);
		sim_sender_calm(&scene->senders[i]);
	}
	sim_host_reach(scene->node.host, SIM_REACH_OK);
	sim_store_faults(&scene->node.store, NULL);
	if (sim_store_dead(
		&scene->node.store)) /* it said so; the administrator mends the disk and starts it again */
		sim_node_kill(&scene->node);
	sim_node_start(&scene->node);
	if (!sim_node_run_ready(&scene->node))
		return;
	for (size_t i = 0; i < scene->domain_count; i++)
		sim_node_resume(&scene->node, scene->domains[i]);
}

bool sim_scene_drained(void *owner)
{
	struct sim_scene *scene = owner;
	struct store_totals totals;

	if (scene->oracle.owed > 0)
		return false;
	for (size_t i = 0; i < scene->sender_count; i++)
		if (scene->senders[i].waiting > 0)
			return false;
	sim_node_totals(&scene->node, &totals);
	return totals.queued == 0;
}

/* The books of the relay against the wire: each recipient that it calls delivered lies at a server, and the
 * other way round. */
static void compare_books(struct sim_scene *scene)
{
	struct store_totals totals;

	sim_node_totals(&scene->node, &totals);
	if (totals.delivered != scene->oracle.delivered)
		sim_oracle_violation(
		    &scene->oracle, "%llu recipients were delivered, servers have the mail of %llu",
		    (unsigned long long)totals.delivered, (unsigned long long)scene->oracle.delivered);
	if (totals.accepted < scene->oracle.acked)
		sim_oracle_violation(&scene->oracle, "%llu recipients were accepted, %llu acknowledged",
				     (unsigned long long)totals.accepted,
				     (unsigned long long)scene->oracle.acked);
}

void sim_scene_drain(struct sim_scene *scene, int64_t limit_us)
{
	struct store_totals totals;

	if (sim_node_run(&scene->node, scene->world.now_us + limit_us, sim_scene_drained, scene)) {
		compare_books(scene);
		return;
	}
	sim_node_totals(&scene->node, &totals);
	uint32_t unsent = 0;
	for (size_t i = 0; i < scene->sender_count; i++)
		unsent += scene->senders[i].waiting;
	sim_oracle_violation(
	    &scene->oracle,
	    "not drained: %u mails not accepted, %llu recipients owed, %llu recipients queued", unsent,
	    (unsigned long long)scene->oracle.owed, (unsigned long long)totals.queued);
}
