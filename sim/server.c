#include "sim/server.h"

#include "base/check.h"
#include "sim/server_session.h"

enum { SMTP_PORT = 25 };
#define PAST_DOT_COUNTS_US CLOCK_SECONDS(8)

void sim_server_init(struct sim_server *server, struct sim_world *world, struct sim_oracle *oracle,
		     struct sim_host *host)
{
	*server = (struct sim_server){
	    .world = world,
	    .oracle = oracle,
	    .host = host,
	    .window_limit = 50,
	    .features = {.esmtp = true,
			 .pipelining = true,
			 .chunking = true,
			 .eight_bit = true,
			 .size = true,
			 .enhanced = true},
	};
	list_init(&server->sessions);
}

static void forget_sessions(struct sim_server *server)
{
	list_each_safe(node, after, &server->sessions)
		server_session_free(container_of(node, struct server_session, node));
}

void sim_server_deinit(struct sim_server *server)
{
	forget_sessions(server);
}

static void accept_session(void *owner, struct net_conn *conn)
{
	server_session_start(owner, conn);
}

void sim_server_start(struct sim_server *server)
{
	if (!server->running)
		sim_host_listen(server->host, SMTP_PORT, accept_session, server);
	server->running = true;
	sim_host_reach(server->host, SIM_REACH_OK);
}

/* The sockets are dead already: this gives only the handles back. */
static void close_handles(struct sim_server *server)
{
	list_each(node, &server->sessions)
		if (!container_of(node, struct server_session, node)->over)
			sim_close(container_of(node, struct server_session, node)->conn);
	forget_sessions(server);
}

void sim_server_kill(struct sim_server *server)
{
	sim_note(server->world, "%s: its process dies", server->host->name);
	server->running = false;
	sim_host_kill(server->host);
	close_handles(server);
}

void sim_server_power_cut(struct sim_server *server)
{
	sim_note(server->world, "%s: power cut", server->host->name);
	server->running = false;
	sim_host_power_cut(server->host);
	close_handles(server);
}

void sim_server_healthy(struct sim_server *server)
{
	server->mood = (struct sim_mood){.delay_low_us = 100, .delay_high_us = 3000};
	sim_server_start(server);
}

static bool counts(const struct server_session *s, int64_t begun_after_us)
{
	if (s->over || !s->in_mail || (s->refused && !s->busy) || s->mail_us < begun_after_us ||
	    !sim_peer_alive(s->conn))
		return false;
	return s->dot_us == 0 || s->server->world->now_us - s->dot_us <= PAST_DOT_COUNTS_US;
}

uint32_t sim_server_transactions(const struct sim_server *server, int64_t begun_after_us)
{
	uint32_t count = 0;

	list_each(node, &server->sessions)
		count += counts(container_of(node, struct server_session, node), begun_after_us);
	return count;
}

uint32_t sim_server_transactions_to(const struct sim_server *server, struct slice domain,
				    int64_t begun_after_us)
{
	uint32_t count = 0;

	list_each(node, &server->sessions) {
		const struct server_session *s = container_of(node, struct server_session, node);
		count += s->dot_us == 0 && counts(s, begun_after_us) &&
			 slice_equal_nocase(slice_of(s->domain), domain);
	}
	return count;
}
