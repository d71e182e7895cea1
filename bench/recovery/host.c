#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	EVENTS_MAX = 256,
	TAG_LISTENER = SESSIONS_MAX,
	TAG_INPUT = SESSIONS_MAX + 1,
};

#define STEP_S	 0.002 /* while something is in service: how coarse its end may be */
#define SAMPLE_S 0.2

static double clock_s(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool watch(struct host *host, int fd, uint32_t tag)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = tag};

	return epoll_ctl(host->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

static void fail(const char *what)
{
	(void)fprintf(stderr, "fake_server: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* --- the listener: open, closed but still ours, or deaf --- */

static struct sockaddr_in address(const struct host *host)
{
	return (struct sockaddr_in){
	    .sin_family = AF_INET, .sin_port = htons(host->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* Bound and not listening: connections are refused, and nobody else gets the port. */
static void keep_port(struct host *host)
{
	struct sockaddr_in own = address(host);
	int one = 1;

	if (host->listener >= 0)
		(void)close(host->listener);
	host->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (host->listener < 0 ||
	    setsockopt(host->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
	    bind(host->listener, (struct sockaddr *)&own, sizeof(own)) != 0)
		fail("port");
}

static void open_door(struct host *host)
{
	if (host->plug >= 0)
		(void)close(host->plug);
	host->plug = -1;
	keep_port(host);
	if (listen(host->listener, SOMAXCONN) != 0 || !watch(host, host->listener, TAG_LISTENER))
		fail("listen");
}

static void make_deaf(struct host *host)
{
	struct sockaddr_in own = address(host);

	keep_port(host);
	host->plug = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listen(host->listener, 0) != 0 || host->plug < 0 ||
	    connect(host->plug, (struct sockaddr *)&own, sizeof(own)) != 0)
		fail("plug");
}

static void reset_all(struct host *host)
{
	for (struct session *s = host->sessions; s < host->sessions + SESSIONS_MAX; s++) {
		if (s->state != SESSION_GONE)
			session_close(&host->fake, s, true);
	}
	host->fake.server.in_service = 0;
	host->fake.server.connections = 0;
}

static void accept_all(struct host *host)
{
	for (uint32_t i = 0; i < SESSIONS_MAX; i++) {
		struct session *session = &host->sessions[i];
		int one = 1, fd;

		if (session->state != SESSION_GONE)
			continue;
		fd = accept4(host->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			return;
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		session_open(&host->fake, session, fd);
		if (!watch(host, fd, i))
			session_close(&host->fake, session, true);
	}
}

/* --- what happens to it --- */

static void event_line(struct host *host, char kind, uint32_t number)
{
	(void)fprintf(host->fake.log, "%c %.3f %u\n", kind, host->fake.now, number);
}

static void begin(struct host *host, const struct model *model, bool refuses)
{
	host->fake.model = *model;
	host->fake.refuses = refuses;
	server_start(&host->fake.server, &host->fake.model, host->seed, host->fake.now);
	host->hole = host->down = false;
	open_door(host);
	event_line(host, 'U', 0);
}

static void obey(struct host *host)
{
	if (strcmp(host->word, "down") == 0 || strcmp(host->word, "hole") == 0) {
		host->down = true;
		reset_all(host);
		host->hole = host->word[0] == 'h';
		if (host->hole)
			make_deaf(host);
		else
			keep_port(host);
	} else if (strcmp(host->word, "up") == 0) {
		begin(host, &host->story, host->refuses_then);
	}
}

static void read_words(struct host *host)
{
	char bytes[64];
	ssize_t got = read(STDIN_FILENO, bytes, sizeof(bytes));

	host->ended = got == 0;
	for (ssize_t i = 0; i < got; i++) {
		if (bytes[i] == '\n') {
			host->word[host->word_size] = '\0';
			host->word_size = 0;
			obey(host);
		} else if (host->word_size < sizeof(host->word) - 1) {
			host->word[host->word_size++] = bytes[i];
		}
	}
}

/* A path that comes and goes. */
static void follow_link(struct host *host)
{
	bool hole = !server_link_up(&host->fake.server, host->fake.now);

	if (host->down || hole == host->hole || !server_is_up(&host->fake.server, host->fake.now))
		return;
	host->hole = hole;
	if (hole)
		make_deaf(host);
	else
		open_door(host);
}

/* --- time --- */

static void serve(struct host *host, double seconds)
{
	double work = server_rate(&host->fake.server) * seconds;

	for (struct session *s = host->sessions; s < host->sessions + SESSIONS_MAX; s++) {
		if (s->state != SESSION_SERVICE)
			continue;
		host->fake.worked += fmin(work, s->work);
		s->work -= work;
		if (s->work <= 0)
			s->due = host->fake.now;
	}
}

static void pass_time(struct host *host)
{
	struct fake *fake = &host->fake;
	double from = fake->now;
	bool was_up = server_is_up(&fake->server, from);
	uint32_t in_service = fake->server.in_service;

	fake->now = clock_s();
	if (host->down)
		return;
	serve(host, fake->now - from);
	if (server_advance(&fake->server, from, fake->now)) {
		event_line(host, 'X', in_service);
		reset_all(host);
		keep_port(host);
	} else if (!was_up && server_is_up(&fake->server, fake->now)) {
		open_door(host);
		event_line(host, 'U', 0);
	}
	follow_link(host);
}

static double capacity(const struct host *host)
{
	const struct server *server = &host->fake.server;
	const struct model *m = &host->fake.model;

	if (host->down || host->hole || !server_is_up(server, host->fake.now) ||
	    host->fake.now - server->up_at < m->full_s)
		return 0;
	if (m->per_minute > 0)
		return host->fake.now < server->refuse_until ? 0 : m->per_minute / 60.0;
	return (m->digest > 0 ? m->digest : m->capacity) * server->warmth * (1 - server->busy_share);
}

static void sample(struct host *host)
{
	if (host->fake.now < host->sample_at)
		return;
	host->sample_at = host->fake.now + SAMPLE_S;
	(void)fprintf(host->fake.log, "S %.3f %u %u %.2f %.2f\n", host->fake.now,
		      host->fake.server.in_service, host->fake.server.connections, capacity(host),
		      host->fake.worked);
}

static void do_what_is_due(struct host *host)
{
	for (struct session *s = host->sessions; s < host->sessions + SESSIONS_MAX; s++) {
		if (s->state != SESSION_GONE && s->due <= host->fake.now)
			session_due(&host->fake, s);
		if (s->state == SESSION_CLOSING)
			session_close(&host->fake, s, false);
	}
}

static double wait_s(const struct host *host)
{
	double until = host->sample_at;

	for (const struct session *s = host->sessions; s < host->sessions + SESSIONS_MAX; s++) {
		if (s->state != SESSION_GONE)
			until = fmin(until, s->due);
	}
	if (host->fake.server.in_service > 0)
		until = fmin(until, host->fake.now + STEP_S);
	return fmax(0, until - clock_s());
}

static void turn(struct host *host)
{
	struct epoll_event events[EVENTS_MAX];
	double wait = wait_s(host);
	struct timespec timeout = {.tv_sec = (time_t)wait, .tv_nsec = (long)((wait - floor(wait)) * 1e9)};
	int count = epoll_pwait2(host->epoll, events, EVENTS_MAX, &timeout, NULL);

	pass_time(host);
	for (int i = 0; i < count; i++) {
		uint32_t tag = events[i].data.u32;

		if (tag == TAG_INPUT)
			read_words(host);
		else if (tag == TAG_LISTENER)
			accept_all(host);
		else if (host->sessions[tag].state != SESSION_GONE)
			session_read(&host->fake, &host->sessions[tag]);
	}
	do_what_is_due(host);
	sample(host);
}

void host_run(struct host *host)
{
	struct model before = {.capacity = host->story.capacity, .service_s = host->story.service_s};

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	host->fake.log = stdout;
	host->fake.now = clock_s();
	host->listener = host->plug = -1;
	host->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (host->epoll < 0 || !watch(host, STDIN_FILENO, TAG_INPUT))
		fail("epoll");
	begin(host, &before, false);
	while (!host->ended)
		turn(host);
	reset_all(host);
}
