#include "model.h"

#include <math.h>
#include <string.h>

#define RTT_S 0.02

static double age(const struct server *server, double now)
{
	return now - server->up_at;
}

void server_start(struct server *server, const struct model *model, uint64_t seed, double now)
{
	memset(server, 0, sizeof(*server));
	server->model = model;
	rng_init(&server->rng, seed);
	rng_init(&server->traffic, seed + 1);
	server->up_at = now;
	server->warmth = model->warm_s > 0 ? model->cold_share : 1;
	server->window_at = now;
	server->busy_share = model->others ? 0.5 : 0;
	server->step_at = now;
}

bool server_is_up(const struct server *server, double now)
{
	return server->back_at == 0;
}

bool server_link_up(const struct server *server, double now)
{
	const struct model *m = server->model;

	if (m->link_up_s == 0)
		return true;
	return fmod(age(server, now), m->link_up_s + m->link_down_s) < m->link_up_s;
}

static double knee(const struct server *server)
{
	const struct model *m = server->model;

	return m->knee > 0 ? m->knee + m->knee_per_w * server->warmth : INFINITY;
}

static double thrash(const struct server *server)
{
	return server->in_service > knee(server) ? knee(server) / server->in_service : 1;
}

static double capacity(const struct server *server)
{
	const struct model *m = server->model;

	return m->capacity * server->warmth * (1 - server->busy_share) * thrash(server);
}

double server_rate(const struct server *server)
{
	const struct model *m = server->model;
	double alone = 1 / m->service_s * (m->cold_is_slow ? server->warmth : 1);
	double shared = capacity(server) / (server->in_service > 0 ? server->in_service : 1);

	if (m->triple_s > 0 && server->step > 0)
		alone /= 3;
	return fmin(alone, shared);
}

double server_work(struct server *server)
{
	double cv = server->model->service_cv, sigma2, normal;

	if (cv == 0)
		return 0.9 + 0.2 * rng_unit(&server->rng);
	sigma2 = log(1 + cv * cv);
	normal = sqrt(-2 * log(1 - rng_unit(&server->rng))) * cos(6.283185307179586 * rng_unit(&server->rng));
	return exp(normal * sqrt(sigma2) - sigma2 / 2);
}

static bool overloaded(const struct server *server, double now)
{
	const struct model *m = server->model;
	uint32_t n = server->in_service;

	if (m->crash_at > 0 && n > m->crash_at * knee(server))
		return true;
	if (m->flight_max > 0 && n > m->flight_max)
		return true;
	if (!m->hidden)
		return false;
	return n > (age(server, now) < 30 ? 8u : age(server, now) < 60 ? 16u : 40u);
}

static void other_traffic(struct server *server, double now)
{
	if (!server->model->others)
		return;
	if (now >= server->step_at) {
		server->step = 0.5 * rng_unit(&server->traffic) - 0.25;
		server->step_at = now + 10 + 40 * rng_unit(&server->traffic);
	}
	server->busy_share = 0.45 + 0.3 * sin(6.283185307179586 * age(server, now) / 180) + server->step;
	server->busy_share = fmin(0.9, fmax(0.05, server->busy_share));
}

static void come_back(struct server *server, double now)
{
	server->back_at = 0;
	server->up_at = now;
	server->warmth = server->model->warm_s > 0 ? server->model->cold_share : 1;
}

static bool die(struct server *server, double now)
{
	server->back_at = now + server->model->crash_s;
	server->in_service = 0;
	server->connections = 0;
	return true;
}

static bool reboot_due(struct server *server, double now)
{
	const struct model *m = server->model;

	if (server->reboots >= 2 || m->reboot_at_s[server->reboots] == 0 ||
	    age(server, now) < m->reboot_at_s[server->reboots])
		return false;
	server->reboots++;
	return true;
}

bool server_advance(struct server *server, double from, double to)
{
	const struct model *m = server->model;

	if (server->back_at != 0) {
		if (to >= server->back_at)
			come_back(server, to);
		return false;
	}
	if (m->warm_s > 0)
		server->warmth =
		    fmin(1, server->warmth + (1 - m->cold_share) / m->warm_s * (to - from) * thrash(server));
	if (m->triple_s > 0 && age(server, to) >= m->triple_s)
		server->step = 1;
	other_traffic(server, to);
	if (m->digest > 0) {
		server->queued = fmax(0, server->queued - m->digest * (to - from));
		server->full = server->full ? server->queued > 300 : server->queued > 600;
	}
	if (overloaded(server, to)) {
		server->crashes++;
		return die(server, to);
	}
	return reboot_due(server, to) && die(server, to);
}

static enum mail_answer rate_limit(struct server *server, double now)
{
	const struct model *m = server->model;

	if (m->per_minute == 0)
		return MAIL_OK;
	if (now < server->refuse_until)
		return MAIL_RATE;
	if (now - server->window_at >= 60) {
		server->window_at += 60 * floor((now - server->window_at) / 60);
		server->window_count = 0;
	}
	if (server->window_count >= m->per_minute) {
		server->refuse_until = server->window_at + 60 + m->penalty_s;
		return MAIL_RATE;
	}
	server->window_count++;
	return MAIL_OK;
}

enum mail_answer server_mail(struct server *server, double now)
{
	const struct model *m = server->model;

	if (age(server, now) < m->full_s || server->full)
		return MAIL_FULL;
	if (m->workers > 0 && server->in_service >= m->workers)
		return MAIL_BUSY;
	if (m->digest > 0)
		server->queued++;
	return rate_limit(server, now);
}

/* What the server can take at best: nothing thrashes, nothing is refused. */
static double best_rate(struct server *server, double now)
{
	const struct model *m = server->model;
	double rate = capacity(server), transaction_s = m->service_s + 2 * RTT_S + 4 * m->command_s;

	if (m->connections > 0)
		rate = fmin(rate, m->connections / transaction_s);
	if (m->flight_max > 0)
		rate = fmin(rate, m->flight_max / m->service_s);
	if (m->per_minute > 0)
		rate = fmin(rate, m->per_minute / 60.0);
	if (m->digest > 0)
		rate = fmin(rate, m->digest);
	if (age(server, now) < m->full_s || !server_link_up(server, now) || !server_is_up(server, now))
		rate = 0;
	return rate;
}

double oracle_drain_s(const struct model *model, uint64_t seed, double backlog, double fresh_per_s)
{
	struct server server;
	const double step = 0.05;
	double now = 0, left = backlog;

	server_start(&server, model, seed, 0);
	if (model->digest > 0)
		left -= 600; /* its own queue */
	while (left > 0 && now < 1e5) {
		left += (fresh_per_s - best_rate(&server, now)) * step;
		server_advance(&server, now, now + step);
		now += step;
	}
	return now;
}
