/* The story, and its honest end: what the senders got a 250 for is compared, message by message, with what
 * the server said 250 to. The relay is asked only for what the picture shows.
 */
#include "daemon/demo.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/cli.h"
#include "daemon/demo_message.h"
#include "daemon/demo_relay.h"
#include "daemon/demo_screen.h"
#include "daemon/demo_sender.h"
#include "daemon/demo_server.h"

enum {
	MESSAGES_MAX = 20000,
	SEND_EVERY_MS = 50,
	FLOW_S = 8,
	DYING_MS = 200, /* quiet before the end, so that no 250 of the server is cut off */
	DOWN_S = 15,
	STEADY_S = 4, /* after the backlog is gone */
	LAST_LOOK_MS = 1000,
	CAUGHT_UP = 5, /* messages under way when nothing waits */
	PATIENCE_S = 240,
	STATUS_MS = 400,
	RELAY_START_MS = 30000,
};

enum phase {
	PHASE_FLOW = 0,
	PHASE_DYING = 1, /* the server finishes what it has and takes nothing more */
	PHASE_DOWN = 2,
	PHASE_COLD = 3,	  /* it is back, until the backlog is gone */
	PHASE_STEADY = 4, /* mail flows as before */
	PHASE_FINISH = 5, /* the senders have stopped */
	PHASE_LAST = 6,	  /* all is there: would anything come twice? */
	PHASE_DONE = 7,
};

static const char *const headlines[] = {
    "Mail for example.com flows through the relay",
    "Mail for example.com flows through the relay",
    "The server of example.com has died. The senders do not notice; their mail is held",
    "The server is back, but cold: the relay finds out, and feeds it carefully",
    "The backlog is gone, fresh mail flows",
    "The senders stop; the last messages arrive",
    "The senders stop; the last messages arrive",
    "",
};

struct message_state {
	bool accepted, refused, changed;
	uint8_t arrived; /* times */
};

struct demo {
	struct os_loop *loop;
	struct net_uv *net;
	struct demo_server *server;
	struct demo_senders senders;
	struct demo_relay relay;
	struct demo_screen screen;
	struct demo_status status;
	enum phase phase;
	int64_t started_us, phase_us, next_send_us, next_status_us;
	uint32_t next_number;
	uint64_t accepted, refused, arrived, foreign, backlog_peak;
	uint32_t most_at_once;
	double first_after_s; /* from the server's return to the first message; < 0: none yet */
	bool interrupted, gave_up;
	struct message_state messages[MESSAGES_MAX];
};

static double seconds(int64_t us)
{
	return (double)us / 1e6;
}

/* --- what is counted --- */

static void sent(void *owner, uint32_t number, bool accepted, struct slice reply)
{
	struct demo *d = owner;
	if (accepted) {
		d->messages[number].accepted = true;
		d->accepted++;
		return;
	}
	d->messages[number].refused = true;
	d->refused++;
	(void)fprintf(stderr, "\nnot accepted: message %u: %.*s\n", number, SLICE_ARG(slice_trim(reply)));
}

static void arrived(void *owner, struct slice message)
{
	struct demo *d = owner;
	uint32_t number = 0;
	bool same = false;
	if (!demo_message_check(message, &number, &same) || number >= MESSAGES_MAX) {
		d->foreign++;
		return;
	}
	struct message_state *state = &d->messages[number];
	if (state->arrived == 0)
		d->arrived++;
	if (state->arrived < UINT8_MAX)
		state->arrived++;
	state->changed = state->changed || !same;
	if (d->phase == PHASE_COLD && d->first_after_s < 0)
		d->first_after_s = seconds(os_loop_clock(d->loop)->now_us - d->phase_us);
}

static uint64_t backlog(const struct demo *d)
{
	return d->accepted > d->arrived ? d->accepted - d->arrived : 0;
}

/* --- the story --- */

static void enter(struct demo *d, enum phase phase, int64_t now_us)
{
	d->phase = phase;
	d->phase_us = now_us;
}

static void start_server(struct demo *d, bool cold)
{
	char message[OS_LISTEN_MESSAGE_SIZE] = "";
	if (demo_server_start(d->server, cold, message) == 0)
		return;
	(void)fprintf(stderr, "restante: the demo's mail server cannot start: %s\n", message);
	d->gave_up = true;
}

/* Each phase's end, when it has come. */
static void advance(struct demo *d, int64_t now_us)
{
	double age_s = seconds(now_us - d->phase_us);
	if (d->phase == PHASE_FLOW && age_s >= FLOW_S) {
		enter(d, PHASE_DYING, now_us);
		demo_server_freeze(d->server);
	} else if (d->phase == PHASE_DYING && age_s * 1000 >= DYING_MS && demo_server_idle(d->server)) {
		demo_server_kill(d->server);
		enter(d, PHASE_DOWN, now_us);
	} else if (d->phase == PHASE_DOWN && age_s >= DOWN_S) {
		enter(d, PHASE_COLD, now_us);
		start_server(d, true);
	} else if (d->phase == PHASE_COLD && backlog(d) <= CAUGHT_UP && d->first_after_s >= 0) {
		d->most_at_once = demo_server_most_at_once(d->server);
		enter(d, PHASE_STEADY, now_us);
	} else if (d->phase == PHASE_STEADY && age_s >= STEADY_S) {
		enter(d, PHASE_FINISH, now_us);
	} else if (d->phase == PHASE_FINISH && backlog(d) == 0 && !demo_senders_busy(&d->senders)) {
		enter(d, PHASE_LAST, now_us);
	} else if (d->phase == PHASE_LAST && age_s * 1000 >= LAST_LOOK_MS) {
		enter(d, PHASE_DONE, now_us);
	}
}

static void send_due(struct demo *d, int64_t now_us)
{
	while (d->phase < PHASE_FINISH && now_us >= d->next_send_us && d->next_number < MESSAGES_MAX) {
		if (demo_senders_send(&d->senders, d->next_number) == 0)
			d->next_number++;
		d->next_send_us += CLOCK_MS(SEND_EVERY_MS);
	}
}

static void show(struct demo *d, int64_t now_us)
{
	if (now_us >= d->next_status_us) {
		demo_relay_status(&d->relay, &d->status);
		d->next_status_us = now_us + CLOCK_MS(STATUS_MS);
	}
	uint64_t waiting = backlog(d);
	if (d->phase <= PHASE_COLD && waiting > d->backlog_peak)
		d->backlog_peak = waiting;
	const struct demo_view view = {
	    .age_s = seconds(now_us - d->started_us),
	    .headline = headlines[d->phase],
	    .server_up = demo_server_up(d->server),
	    .capacity = demo_server_capacity(d->server, now_us),
	    .accepted = d->accepted,
	    .refused = d->refused,
	    .arrived = d->arrived,
	    .backlog = waiting,
	    .backlog_peak = d->backlog_peak,
	    .status = d->status,
	};
	if (d->phase != PHASE_DONE)
		demo_screen_show(&d->screen, &view);
}

static void give_up_when_hopeless(struct demo *d, int64_t now_us)
{
	if (!demo_relay_running(&d->relay)) {
		(void)fprintf(stderr, "\nrestante: the relay has ended\n");
		d->gave_up = true;
	} else if (seconds(now_us - d->started_us) > PATIENCE_S) {
		(void)fprintf(stderr, "\nrestante: not everything has arrived after %d s\n", PATIENCE_S);
		d->gave_up = true;
	}
}

static void turn(void *owner, const struct clock_reading *now)
{
	struct demo *d = owner;
	int64_t now_us = now->now_us;
	send_due(d, now_us);
	int64_t next_us = demo_server_run(d->server, now_us);
	advance(d, now_us);
	show(d, now_us);
	give_up_when_hopeless(d, now_us);
	if (d->phase == PHASE_DONE || d->interrupted || d->gave_up) {
		os_loop_stop(d->loop);
		return;
	}
	if (next_us > now_us + CLOCK_MS(SEND_EVERY_MS))
		next_us = now_us + CLOCK_MS(SEND_EVERY_MS);
	os_loop_set_deadline(d->loop, next_us);
}

static void interrupted(void *owner, int signal_number)
{
	struct demo *d = owner;
	(void)signal_number;
	d->interrupted = true;
}

/* --- the end --- */

struct summary {
	uint64_t lost, duplicates, changed, unaccepted;
};

static struct summary judge(const struct demo *d)
{
	struct summary s = {0};
	for (uint32_t i = 0; i < d->next_number; i++) {
		const struct message_state *m = &d->messages[i];
		s.lost += m->accepted && m->arrived == 0;
		s.unaccepted += !m->accepted && m->arrived > 0;
		s.duplicates += m->arrived > 1 ? m->arrived - 1u : 0;
		s.changed += m->changed;
	}
	return s;
}

static int print_summary(const struct demo *d)
{
	struct summary s = judge(d);
	(void)printf("\nSent %" PRIu64 ", delivered %" PRIu64 ": %" PRIu64 " lost, %" PRIu64
		     " bounced, %" PRIu64 " duplicates, %" PRIu64
		     " changed (each message compared, but for its Received line)\n",
		     d->accepted, d->arrived, s.lost, d->refused + d->foreign, s.duplicates, s.changed);
	if (d->first_after_s >= 0)
		(void)printf("The server was down for %d s, %" PRIu64
			     " messages were held; the first arrived %.1f s after "
			     "its return,\nand while it was cold it never had more than %u at one time\n",
			     DOWN_S, d->backlog_peak, d->first_after_s, d->most_at_once);
	bool good = s.lost + s.duplicates + s.changed + s.unaccepted + d->refused + d->foreign == 0 &&
		    d->accepted == d->arrived && d->accepted > 0 && d->phase == PHASE_DONE;
	(void)printf("%s\n",
		     good ? "Everything that was accepted arrived, once." : "THAT IS NOT AS IT SHOULD BE.");
	return good ? CLI_OK : CLI_FAILED;
}

/* --- beginning --- */

static int fail(const char *what)
{
	(void)fprintf(stderr, "restante: %s\n", what);
	return ERR_STATE;
}

static int start_relay(struct demo *d)
{
	char message[256] = "";
	if (demo_relay_start(&d->relay, demo_server_port(d->server), message, sizeof(message)) != 0)
		return fail(message);
	if (demo_relay_wait(&d->relay, RELAY_START_MS) != 0)
		return fail("the relay does not start");
	(void)printf("A relay listens on port %u of loopback, and the server of example.com on port %u.\n\n",
		     d->relay.address.port, demo_server_port(d->server));
	return 0;
}

static int start(struct demo *d)
{
	static const struct demo_server_events server_events = {.arrived = arrived};
	static const struct demo_senders_events senders_events = {.sent = sent};
	d->net = net_uv_new(d->loop, NULL);
	d->server = d->net != NULL ? demo_server_new(d->loop, d->net, &server_events, d) : NULL;
	if (d->server == NULL)
		return fail("out of memory");
	start_server(d, false);
	if (d->gave_up || start_relay(d) != 0)
		return ERR_STATE;
	demo_senders_init(&d->senders, net_uv_port(d->net), &d->relay.address, &senders_events, d);
	d->started_us = os_loop_clock(d->loop)->now_us;
	d->next_send_us = d->started_us;
	enter(d, PHASE_FLOW, d->started_us);
	os_loop_set_deadline(d->loop, d->started_us);
	return 0;
}

static int play(struct demo *d)
{
	int status = CLI_FAILED;
	struct os_signal *signals[] = {os_signal_new(d->loop, SIGINT, interrupted, d),
				       os_signal_new(d->loop, SIGTERM, interrupted, d)};
	list_init(&d->senders.sessions);
	if (start(d) == 0) {
		os_loop_run(d->loop);
		status = d->interrupted ? CLI_FAILED : print_summary(d);
	}
	demo_senders_deinit(&d->senders);
	demo_server_free(d->server);
	if (d->net != NULL)
		net_uv_free(d->net);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		os_signal_free(signals[i]);
	demo_relay_stop(&d->relay);
	return status;
}

const char *demo_help(void)
{
	return "restante demo: the whole story on this machine, in about a minute.\n"
	       "\n"
	       "Starts a relay, a small mail server for example.com, and senders, all on loopback: mail "
	       "flows, the server\n"
	       "dies, mail is held, the server returns cold, the feed ramps up, the backlog drains. At the "
	       "end every\n"
	       "message is compared. Needs no rights, leaves nothing behind.\n";
}

int demo_main(int argc, char **argv)
{
	if (argc > 0 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)) {
		(void)fputs(demo_help(), stdout);
		return CLI_OK;
	}
	if (argc > 0) {
		(void)fprintf(stderr, "restante: demo takes no options; see `restante help demo`\n");
		return CLI_USAGE;
	}
	struct demo *d = calloc(1, sizeof(*d));
	const struct os_loop_events events = {.turn = turn};
	int status = CLI_FAILED;
	if (d == NULL || (d->loop = os_loop_new(&events, d)) == NULL) {
		(void)fail("out of memory");
		free(d);
		return status;
	}
	d->relay.output = -1;
	d->first_after_s = -1;
	demo_screen_init(&d->screen);
	status = play(d);
	os_loop_free(d->loop);
	free(d);
	return status;
}
