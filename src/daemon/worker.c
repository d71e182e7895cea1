#include "daemon/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "api/api.h"
#include "base/base32.h"
#include "daemon/domains_apply.h"
#include "daemon/privileges.h"
#include "daemon/store_open.h"
#include "daemon/supervisor.h"
#include "os/log_stderr.h"
#include "os/net_uv.h"
#include "os/resolver_unbound.h"
#include "relay/relay.h"

enum { API_MAX = 2 }; /* the Unix socket, and TCP */

struct api_listener {
	struct worker *worker;
	struct api *api;
	struct os_watch *watch;
	int64_t due_us;
};

struct worker {
	struct clock clock; /* first: a struct clock * is a struct worker * */
	const struct launch *launch;
	int report;
	struct os_loop *loop;
	struct log_stderr *log;
	struct net_uv *net;
	struct resolver_unbound *resolver;
	struct os_waker *store_waker;
	struct store *store;
	struct relay *relay;
	struct os_signal *term;
	size_t api_count;
	struct api_listener apis[API_MAX];
	size_t listener_count;
	struct net_listener *listeners[SOCKETS_SMTP_MAX];
	struct domains_apply domains;
	char mark[sizeof("restante-") + BASE32_U64_SIZE]; /* last word of our banner */
	bool applying, accepting, stopping;
	int64_t next_beat_us, stop_by_us;
};

static void complain(const char *what)
{
	(void)fprintf(stderr, "restante: %s\n", what);
}

/* --- the relay's view of the world --- */

static struct clock_reading read_clock(struct clock *clock)
{
	return *os_loop_clock(((struct worker *)clock)->loop);
}

static struct log *log_of(struct worker *w)
{
	return log_stderr_port(w->log);
}

/* --- accepting --- */

static void report(struct worker *w, char byte)
{
	/* A full pipe means that the supervisor has heard enough. */
	if (write(w->report, &byte, 1) < 0)
		return;
}

static void accepted(void *owner, struct net_conn *conn)
{
	struct worker *w = owner;
	relay_accept(w->relay, conn);
}

static void start_accepting(struct worker *w)
{
	const struct sockets *sockets = &w->launch->sockets;
	w->accepting = true;
	for (size_t i = 0; i < sockets->smtp_count; i++) {
		struct net_listener *listener = net_uv_listen_fd(w->net, sockets->smtp[i], accepted, w);
		if (listener == NULL)
			log_event(log_of(w), LOG_LEVEL_ALARM, "daemon", 0,
				  "a listening socket cannot be used",
				  LOG_NUMBER("descriptor", sockets->smtp[i]));
		else
			w->listeners[w->listener_count++] = listener;
	}
	report(w, SUPERVISOR_READY);
}

/* The relay has read its state: the domains of the configuration come first, then the senders. */
static void advance(struct worker *w)
{
	if (w->accepting || w->stopping || !relay_ready(w->relay))
		return;
	if (!w->applying) {
		w->applying = true;
		domains_apply_start(&w->domains, w->relay, log_of(w), w->launch->config.domains);
	}
	if (w->domains.next == NULL)
		start_accepting(w);
}

/* --- each turn --- */

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static void beat(struct worker *w, int64_t now_us)
{
	if (now_us < w->next_beat_us)
		return;
	report(w, SUPERVISOR_BEAT);
	w->next_beat_us = now_us + CLOCK_MS(SUPERVISOR_BEAT_MS);
}

static void run_due_apis(struct worker *w, int64_t now_us)
{
	for (size_t i = 0; i < w->api_count; i++)
		if (now_us >= w->apis[i].due_us)
			api_run(w->apis[i].api);
}

static int64_t next_api(struct worker *w, int64_t now_us)
{
	int64_t deadline_us = CLOCK_NEVER;
	for (size_t i = 0; i < w->api_count; i++) {
		int64_t timeout_ms = api_timeout_ms(w->apis[i].api);
		w->apis[i].due_us = timeout_ms < 0 ? CLOCK_NEVER : now_us + CLOCK_MS(timeout_ms);
		deadline_us = earlier(deadline_us, w->apis[i].due_us);
	}
	return deadline_us;
}

static bool finished(const struct worker *w, int64_t now_us)
{
	return w->stopping && (relay_quiet(w->relay) || now_us >= w->stop_by_us);
}

static void turn(void *owner, const struct clock_reading *now)
{
	struct worker *w = owner;
	run_due_apis(w, now->now_us);
	relay_run(w->relay);
	advance(w);
	beat(w, now->now_us);
	if (finished(w, now->now_us)) {
		os_loop_stop(w->loop);
		return;
	}
	int64_t deadline_us = earlier(relay_deadline(w->relay), w->next_beat_us);
	deadline_us = earlier(deadline_us, next_api(w, now->now_us));
	if (log_stderr_flush(w->log)) /* its reader is slow */
		deadline_us = earlier(deadline_us, now->now_us + CLOCK_MS(10));
	os_loop_set_deadline(w->loop, deadline_us);
}

static void told_to_stop(void *owner, int signal_number)
{
	struct worker *w = owner;
	(void)signal_number;
	if (w->stopping)
		return;
	w->stopping = true;
	w->stop_by_us = os_loop_clock(w->loop)->now_us + CLOCK_MS(WORKER_STOP_MS);
	for (size_t i = 0; i < w->listener_count; i++)
		net_uv_listen_stop(w->listeners[i]);
	w->listener_count = 0;
	relay_shut_down(w->relay);
}

static void api_readable(void *owner)
{
	struct api_listener *listener = owner;
	api_run(listener->api);
}

static void store_woke(void *owner)
{
	struct worker *w = owner;
	w->store->ops->poll(w->store);
}

/* From the store's threads. */
static void wake_store(void *owner)
{
	struct worker *w = owner;
	os_waker_wake(w->store_waker);
}

/* --- starting --- */

static int start_loop(struct worker *w)
{
	static const struct os_loop_events events = {.turn = turn};
	const struct log_stderr_options options = {.least = LOG_LEVEL_INFO,
						   .journal = log_stderr_is_journal(STDERR_FILENO)};
	w->loop = os_loop_new(&events, w);
	w->log = w->loop != NULL ? log_stderr_new(STDERR_FILENO, &options) : NULL;
	if (w->log == NULL)
		return ERR_MEMORY;
	w->term = os_signal_new(w->loop, SIGTERM, told_to_stop, w);
	w->store_waker = os_waker_new(w->loop, store_woke, w);
	return w->term != NULL && w->store_waker != NULL ? 0 : ERR_MEMORY;
}

static int start_tls(struct worker *w)
{
	char message[TLS_MESSAGE_SIZE] = "";
	const struct certificate *own = &w->launch->certificate;
	struct tls_context *server =
	    tls_server_context_new(buffer_slice(&own->pem), buffer_slice(&own->key_pem), message);
	struct tls_context *client = server != NULL ? tls_client_context_new(NULL, message) : NULL;
	if (client != NULL)
		net_uv_set_tls(w->net, server, client);
	else
		(void)fprintf(stderr, "restante: TLS cannot be set up: %s\n", message);
	tls_context_unref(server);
	tls_context_unref(client);
	return client != NULL ? 0 : ERR_IO;
}

static int start_network(struct worker *w)
{
	const struct net_uv_options options = {.log = log_of(w)};
	const struct config *config = &w->launch->config;
	char message[RESOLVER_UNBOUND_MESSAGE_SIZE] = "", forwarder[NET_ADDRESS_TEXT_SIZE];
	w->net = net_uv_new(w->loop, &options);
	if (w->net == NULL)
		return ERR_MEMORY;
	int error = start_tls(w);
	if (error != 0)
		return error;
	const struct resolver_unbound_options resolver = {
	    .forwarder =
		config->resolver.family != 0 ? net_address_text(&config->resolver, forwarder) : NULL};
	w->resolver = resolver_unbound_new(w->loop, &resolver, message);
	if (w->resolver == NULL)
		(void)fprintf(stderr, "restante: the DNS resolver cannot be set up: %s\n", message);
	return w->resolver != NULL ? 0 : ERR_IO;
}

static uint64_t draw_seed(void)
{
	uint64_t seed = 0;
	if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		seed = (uint64_t)getpid();
	return seed;
}

static int start_relay(struct worker *w)
{
	const struct config *config = &w->launch->config;
	char message[STORE_OPEN_MESSAGE_SIZE] = "";
	struct relay_config relay;
	w->store = store_open(config->store, log_of(w), draw_seed(), wake_store, w, message);
	if (w->store == NULL) {
		complain(message);
		return ERR_IO;
	}
	relay_config_defaults(&relay, config->hostname);
	memcpy(w->mark, "restante-", sizeof("restante-"));
	base32_from_u64(draw_seed(), w->mark + strlen(w->mark));
	relay.mark = w->mark;
	relay.own_addresses = w->launch->sockets.own;
	relay.own_address_count = w->launch->sockets.own_count;
	relay.normalise_networks = config->normalise;
	relay.server.offer_starttls = true;
	w->clock.read = read_clock;
	const struct relay_ports ports = {
	    .clock = &w->clock,
	    .net = net_uv_port(w->net),
	    .store = w->store,
	    .resolver = resolver_unbound_port(w->resolver),
	    .log = log_of(w),
	    .seed = draw_seed(),
	};
	w->relay = relay_new(&relay, &ports);
	return w->relay != NULL ? 0 : ERR_MEMORY;
}

static int start_api(struct worker *w, int descriptor, const char *token)
{
	struct api_listener *listener = &w->apis[w->api_count];
	if (descriptor < 0)
		return 0;
	listener->worker = w;
	listener->due_us = CLOCK_NEVER;
	listener->api = api_new(w->relay, &w->clock, descriptor, RESTANTE_VERSION, token);
	if (listener->api == NULL)
		return ERR_MEMORY;
	w->api_count++;
	listener->watch = os_watch_new(w->loop, api_fd(listener->api), api_readable, listener);
	return listener->watch != NULL ? 0 : ERR_MEMORY;
}

static int start(struct worker *w)
{
	const struct sockets *sockets = &w->launch->sockets;
	int error = start_loop(w);
	if (error == 0)
		error = start_network(w);
	if (error == 0)
		error = start_relay(w);
	if (error == 0)
		error = start_api(w, sockets->api_unix, NULL);
	if (error == 0)
		error = start_api(w, sockets->api_tcp, buffer_slice(&w->launch->token).data);
	if (error == ERR_MEMORY)
		complain("out of memory");
	return error;
}

/* --- ending --- */

/* What is under way could not be ended in time: results that cannot be written down, a disk that hangs.
 * Leaving as a crash does loses nothing; ending in order would wait for ever, or free what the store still
 * answers to. */
static void leave_at_once(struct worker *w)
{
	log_event(log_stderr_port(w->log), LOG_LEVEL_ALARM, "worker", 0,
		  "something could not be ended in time: stopping as after a crash, the next start goes on "
		  "from the spool",
		  LOG_NUMBER("waited_ms", WORKER_STOP_MS));
	_exit(0);
}

static void stop(struct worker *w)
{
	if (w->relay != NULL && w->stopping && !relay_quiet(w->relay))
		leave_at_once(w);
	for (size_t i = 0; i < w->api_count; i++)
		os_watch_free(w->apis[i].watch);
	w->domains.next = NULL;
	if (w->relay != NULL)
		relay_free(w->relay);
	for (size_t i = 0; i < w->api_count; i++)
		api_free(w->apis[i].api);
	if (w->store != NULL)
		w->store->ops->close(w->store);
	resolver_unbound_free(w->resolver);
	if (w->net != NULL)
		net_uv_free(w->net);
	if (w->store_waker != NULL)
		os_waker_free(w->store_waker);
	if (w->term != NULL)
		os_signal_free(w->term);
	os_loop_free(w->loop);
	if (w->log != NULL)
		log_stderr_free(w->log);
}

/* The working folder becomes the spool, which this user could perhaps not reach by its path. */
static int enter(const struct launch *launch)
{
	(void)signal(SIGINT, SIG_IGN); /* of the terminal, to all of the group: the supervisor passes it on */
	(void)signal(SIGHUP, SIG_IGN);
	if (fchdir(launch->folder.spool) != 0) {
		(void)fprintf(stderr, "restante: the spool cannot be entered: %s\n", strerror(errno));
		return ERR_IO;
	}
	if (privileges_drop(launch->drop, launch->uid, launch->gid, launch->supervisor) != 0) {
		(void)fprintf(stderr, "restante: rights cannot be given up: %s\n", strerror(errno));
		return ERR_STATE;
	}
	return 0;
}

int worker_run(const struct launch *launch, int report)
{
	struct worker w = {.launch = launch, .report = report};
	int status = SUPERVISOR_EXIT_FATAL;
	if (enter(launch) != 0)
		return status;
	if (start(&w) == 0) {
		log_stderr_gather(w.log, true);
		os_loop_run(w.loop);
		log_stderr_gather(w.log, false);
		status = 0;
	}
	stop(&w);
	return status;
}
