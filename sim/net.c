/* Hosts and connecting. Bytes on their way: link.c. */
#include "sim/net.h"

#include <stdlib.h>

#include "base/check.h"
#include "sim/link.h"

enum {
	HOST_LATENCY_US = 500,
	HOST_BYTES_PER_S = 50000000,
	FIRST_EPHEMERAL_PORT = 32768,
	SERVER_FIRST_US = 10,
	SLOW_LOW = 2000,
	SLOW_HIGH = 20000, /* bytes/s */
};

/* --- life
 * -------------------------------------------------------------------------------------------------------------
 */

static void fire_reap(void *owner)
{
	struct sim_net *net = owner;

	list_each_safe(node, after, &net->links) {
		struct link *link = container_of(node, struct link, node);
		if (!link->end[0].alive && !link->end[1].alive && !link->end[0].held && !link->end[1].held)
			link_free(link);
	}
}

void sim_net_init(struct sim_net *net, struct sim_world *world)
{
	*net = (struct sim_net){.world = world};
	list_init(&net->hosts);
	list_init(&net->links);
	sim_event_init(&net->reap, fire_reap, net);
}

void sim_net_deinit(struct sim_net *net)
{
	sim_cancel(net->world, &net->reap);
	list_each_safe(node, after, &net->links)
		link_free(container_of(node, struct link, node));
	list_each_safe(node, after, &net->hosts) {
		list_remove(node);
		free(container_of(node, struct sim_host, node));
	}
}

void sim_net_calm(struct sim_net *net)
{
	net->faults = (struct sim_net_faults){0};
	list_each(node, &net->links) {
		struct link *link = container_of(node, struct link, node);
		link->tls_fails = false;
		if (link->doom != DOOM_NONE)
			sim_cancel(net->world, &link->step);
		link->doom = DOOM_NONE;
	}
}

struct sim_host *host_find(const struct sim_net *net, const struct net_address *address)
{
	list_each(node, &net->hosts) {
		struct sim_host *host = container_of(node, struct sim_host, node);
		if (net_address_same_host(&host->address, address))
			return host;
	}
	return NULL;
}

struct sim_host *sim_host_new(struct sim_net *net, const char *name, struct net_address address)
{
	struct sim_host *host = sim_alloc(sizeof(struct sim_host));

	check(host_find(net, &address) == NULL);
	*host = (struct sim_host){.net = net,
				  .name = name,
				  .address = address,
				  .latency_us = HOST_LATENCY_US,
				  .bytes_per_s = HOST_BYTES_PER_S,
				  .next_port = FIRST_EPHEMERAL_PORT};
	host->address.port = 0;
	list_add_last(&net->hosts, &host->node);
	return host;
}

void sim_host_listen(struct sim_host *host, uint16_t port, sim_accept *accept, void *owner)
{
	for (int i = 0; i < SIM_PORTS_MAX; i++) {
		if (host->listening[i].port != 0)
			continue;
		host->listening[i].port = port;
		host->listening[i].accept = accept;
		host->listening[i].owner = owner;
		return;
	}
	check_never();
}

void sim_host_deaf(struct sim_host *host)
{
	for (int i = 0; i < SIM_PORTS_MAX; i++)
		host->listening[i].port = 0;
}

static bool concerns(const struct link *link, const struct sim_host *host)
{
	return link->host[0] == host || link->host[1] == host;
}

void sim_host_reach(struct sim_host *host, enum sim_reach reach)
{
	static const char *const names[] = {"reachable", "refusing", "a black hole", "unreachable"};

	if (host->reach == reach)
		return;
	sim_note(host->net->world, "%s is %s", host->name, names[reach]);
	host->reach = reach;
	list_each(node, &host->net->links) {
		struct link *link = container_of(node, struct link, node);
		if (concerns(link, host))
			link_thaw(link);
	}
}

void sim_host_kill(struct sim_host *host)
{
	sim_host_deaf(host);
	list_each(node, &host->net->links) {
		struct link *link = container_of(node, struct link, node);
		for (int i = 0; i < 2; i++)
			if (link->host[i] == host)
				link_killed(&link->end[i]);
	}
}

void sim_host_power_cut(struct sim_host *host)
{
	sim_host_deaf(host);
	host->reach = SIM_REACH_BLACK_HOLE;
	list_each(node, &host->net->links) {
		struct link *link = container_of(node, struct link, node);
		for (int i = 0; i < 2; i++)
			if (link->host[i] == host)
				link_vanish(&link->end[i]);
	}
}

unsigned sim_host_handles(const struct sim_host *host)
{
	unsigned count = 0;

	list_each(node, &host->net->links) {
		const struct link *link = container_of(node, struct link, node);
		for (int i = 0; i < 2; i++)
			count += link->host[i] == host && link->end[i].held;
	}
	return count;
}

/* --- connecting
 * ------------------------------------------------------------------------------------------------------- */

static void draw_faults(struct link *link)
{
	struct sim_world *world = link_world(link);
	const struct sim_net_faults *faults = &link->net->faults;

	if (sim_chance(world, faults->reset))
		link->doom = DOOM_RESET;
	else if (sim_chance(world, faults->silent))
		link->doom = DOOM_SILENT;
	link->tls_fails = sim_chance(world, faults->tls);
	if (sim_chance(world, faults->tiny_cuts))
		link->cut_max = sim_chance(world, 0.3) ? 1 : 30;
	if (sim_chance(world, faults->slow))
		link->bytes_per_s = sim_between(world, SLOW_LOW, SLOW_HIGH);
}

static void fail(struct link *link, enum net_end how, int64_t at_us)
{
	link->state = LINK_FAILED;
	link->failure = how;
	sim_at(link_world(link), &link->step, at_us);
}

static bool failed_by_chance(struct link *link, int64_t answer_us)
{
	struct sim_world *world = link_world(link);
	const struct sim_net_faults *faults = &link->net->faults;

	if (sim_chance(world, faults->refused))
		fail(link, NET_END_REFUSED, answer_us);
	else if (sim_chance(world, faults->unreachable))
		fail(link, NET_END_UNREACHABLE, answer_us);
	else if (sim_chance(world, faults->timeout))
		fail(link, NET_END_TIMEOUT, link->began_us + link->timeout_us);
	else if (sim_chance(world, faults->local))
		fail(link, NET_END_LOCAL, world->now_us);
	return link->state == LINK_FAILED;
}

static int listener(const struct sim_host *host, uint16_t port)
{
	for (int i = 0; i < SIM_PORTS_MAX; i++)
		if (host->listening[i].port == port)
			return i;
	return -1;
}

/* The SYN is there. */
static void arrive(struct link *link)
{
	struct sim_world *world = link_world(link);
	struct sim_host *host = link->host[1];
	int64_t answer_us = world->now_us + link->latency_us, give_up_us = link->began_us + link->timeout_us;

	if (host != NULL) {
		host->connects_seen++;
		host->last_connect_us = world->now_us;
	}
	if (host == NULL || host->reach == SIM_REACH_UNREACHABLE) {
		fail(link, NET_END_UNREACHABLE, answer_us);
		return;
	}
	if (host->reach == SIM_REACH_BLACK_HOLE || answer_us >= give_up_us) {
		fail(link, NET_END_TIMEOUT, give_up_us);
		return;
	}
	int i = listener(host, link->address[1].port);
	if (host->reach == SIM_REACH_REFUSED || i < 0) {
		fail(link, NET_END_REFUSED, answer_us);
		return;
	}
	if (failed_by_chance(link, answer_us))
		return;
	draw_faults(link);
	link->state = LINK_ANSWERED;
	link->end[1].alive = true;
	link->end[1].held = true;
	/* Nothing of the server's arrives before the handshake's last step. */
	link->pipe[1].line_free_us = world->now_us + SERVER_FIRST_US;
	sim_at(world, &link->step, answer_us);
	host->listening[i].accept(host->listening[i].owner, &link->end[1]);
}

static void become_open(struct link *link)
{
	struct net_conn *conn = &link->end[0];

	link->state = LINK_OPEN;
	link_open(link);
	sim_note(link_world(link), "connection %llu: %s to %s", (unsigned long long)link->number,
		 link->host[0]->name, link->host[1]->name);
	if (conn->events != NULL)
		conn->events->connected(conn->owner);
}

static void tell_failure(struct link *link)
{
	struct net_conn *conn = &link->end[0];
	const struct net_events *events = conn->events;

	sim_note(link_world(link), "connection %llu: %s gets %s", (unsigned long long)link->number,
		 link->host[0]->name, net_end_name(link->failure));
	conn->alive = false;
	conn->held = false;
	conn->events = NULL;
	link_settle(link);
	if (events != NULL)
		events->closed(conn->owner, link->failure, "");
}

static void fire_step(void *owner)
{
	struct link *link = owner;

	if (!link->end[0].alive && link->state == LINK_CONNECTING)
		return; /* given up before it began */
	if (link->state == LINK_CONNECTING)
		arrive(link);
	else if (link->state == LINK_ANSWERED)
		become_open(link);
	else
		tell_failure(link);
}

struct net_conn *sim_connect(struct sim_host *from, const struct net_address *to, int64_t timeout_ms,
			     const struct net_events *events, void *owner)
{
	struct sim_net *net = from->net;
	struct sim_host *host = host_find(net, to);
	struct link *link = link_new(net, from, host, to);

	net->connects++;
	link->latency_us = from->latency_us + (host != NULL ? host->latency_us : 0);
	link->bytes_per_s =
	    host != NULL && host->bytes_per_s < from->bytes_per_s ? host->bytes_per_s : from->bytes_per_s;
	link->timeout_us = CLOCK_MS(timeout_ms);
	link->began_us = net->world->now_us;
	link->end[0].events = events;
	link->end[0].owner = owner;
	sim_event_init(&link->step, fire_step, link);
	sim_after(net->world, &link->step, link->latency_us);
	return &link->end[0];
}

/* --- the peers' face
 * -------------------------------------------------------------------------------------------------- */

void sim_attach(struct net_conn *conn, const struct net_events *events, void *owner)
{
	check(conn->events == NULL);
	if (!conn->alive)
		return;
	conn->events = events;
	conn->owner = owner;
	link_resume(conn);
}

void sim_write(struct net_conn *conn, struct slice bytes)
{
	link_write(conn, bytes);
}

void sim_pause(struct net_conn *conn, bool paused)
{
	bool was = conn->paused;

	conn->paused = paused;
	if (was && !paused && conn->alive)
		link_resume(conn);
}

void sim_start_tls(struct net_conn *conn)
{
	if (!conn->alive)
		return;
	link_drop_arrived(conn);
	link_hello(conn);
	link_resume(conn);
}

void sim_half_close(struct net_conn *conn)
{
	link_finish(conn);
}

void sim_close(struct net_conn *conn)
{
	link_close(conn, true);
}

void sim_reset(struct net_conn *conn)
{
	link_reset(conn);
}

struct net_address sim_peer(const struct net_conn *conn)
{
	return conn->link->address[1 - conn->side];
}

bool sim_peer_alive(const struct net_conn *conn)
{
	return conn->link->end[1 - conn->side].alive;
}

uint64_t sim_conn_number(const struct net_conn *conn)
{
	return conn->link->number;
}

void sim_watch(struct net_conn *conn, struct sim_watch *watch)
{
	*watch = (struct sim_watch){.offset = UINT64_MAX};
	if (sim_peer_alive(conn))
		list_add_last(&conn->link->pipe[conn->side].watches, &watch->node);
	else
		watch->lost_us = link_world(conn->link)->now_us;
}

void sim_watch_written(struct net_conn *conn, struct sim_watch *watch)
{
	watch->offset = conn->link->pipe[conn->side].written;
}
