#include "daemon/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "daemon/restarts.h"

#define NEVER INT64_MAX

enum phase {
	PHASE_PAUSED = 0,   /* no worker; one starts at deadline_ms */
	PHASE_STARTING = 1, /* a worker runs and has not said READY; at deadline_ms it is given up */
	PHASE_RUNNING = 2,  /* it said READY; at deadline_ms it has been silent for too long */
	PHASE_ABORTING = 3, /* SIGABRT was sent to a silent worker; SIGKILL at deadline_ms */
	PHASE_STOPPING = 4, /* we were told to stop, and so was the worker; SIGKILL at deadline_ms */
	PHASE_DONE = 5,
};

struct supervisor {
	const struct supervisor_events *events;
	void *owner;
	sigset_t old_mask;
	int signals, report; /* signalfd; our end of the pipe or -1 */
	enum phase phase;
	pid_t worker; /* 0: none */
	int64_t deadline_ms, started_ms, next_watchdog_ms, watchdog_ms;
	bool was_ready; /* a worker, once */
	struct restarts restarts;
	int status;
};

static int64_t now_ms(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- starting --- */

/* In the child. */
_Noreturn static void become_worker(struct supervisor *s, int report)
{
	(void)close(s->signals);
	if (s->report >= 0)
		(void)close(s->report);
	(void)sigprocmask(SIG_SETMASK, &s->old_mask, NULL);
	exit(s->events->work(s->owner, report));
}

static void pause_for(struct supervisor *s, int64_t pause_ms)
{
	s->phase = PHASE_PAUSED;
	s->deadline_ms = now_ms() + pause_ms;
}

static void start(struct supervisor *s)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
		(void)fprintf(stderr, "restante: ALARM: cannot start the worker: %s; trying again\n",
			      strerror(errno));
		pause_for(s, RESTARTS_PAUSE_MS);
		return;
	}
	(void)fflush(NULL);
	pid_t worker = fork();
	if (worker == 0) {
		(void)close(ends[0]);
		become_worker(s, ends[1]);
	}
	(void)close(ends[1]);
	if (worker < 0) {
		(void)close(ends[0]);
		(void)fprintf(stderr, "restante: ALARM: cannot start the worker: %s; trying again\n",
			      strerror(errno));
		pause_for(s, RESTARTS_PAUSE_MS);
		return;
	}
	s->worker = worker;
	s->report = ends[0];
	s->started_ms = now_ms();
	s->deadline_ms = s->started_ms + SUPERVISOR_START_MAX_MS;
	s->phase = PHASE_STARTING;
}

/* --- what the worker says --- */

static void became_ready(struct supervisor *s)
{
	s->phase = PHASE_RUNNING;
	if (s->was_ready)
		(void)fprintf(stderr, "restante: the worker is back after %lld ms (process %ld)\n",
			      (long long)(now_ms() - s->started_ms), (long)s->worker);
	else
		s->events->ready(s->owner);
	s->was_ready = true;
	(void)sd_notify(0, "READY=1");
}

static void heard(struct supervisor *s, char byte)
{
	if (byte == SUPERVISOR_READY && s->phase == PHASE_STARTING)
		became_ready(s);
	if (s->phase == PHASE_RUNNING)
		s->deadline_ms = now_ms() + SUPERVISOR_BEAT_MAX_MS;
}

static void listen_to_worker(struct supervisor *s)
{
	char bytes[64];
	ssize_t count = read(s->report, bytes, sizeof(bytes));
	for (ssize_t i = 0; i < count; i++)
		heard(s, bytes[i]);
	if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) {
		/* Its end is closed: SIGCHLD follows. */
		(void)close(s->report);
		s->report = -1;
	}
}

/* --- how it ends --- */

/* Here the message that was being parsed when the worker died will be noted, and set aside on its second
 * time. The worker does not say yet which one that is. */
static void suspect(struct supervisor *s)
{
	(void)s;
}

static void describe_end(int status, char *ret_text, size_t size)
{
	if (WIFSIGNALED(status))
		(void)snprintf(ret_text, size, "was ended by signal %d (%s)", WTERMSIG(status),
			       strsignal(WTERMSIG(status)));
	else
		(void)snprintf(ret_text, size, "ended with status %d", WEXITSTATUS(status));
}

static void died(struct supervisor *s, int status)
{
	char how[128];
	int64_t pause_ms = restarts_died(&s->restarts, s->started_ms, now_ms());
	describe_end(status, how, sizeof(how));
	suspect(s);
	if (pause_ms > 0)
		(void)fprintf(stderr,
			      "restante: ALARM: the worker %s, for the %uth time in short order; the next "
			      "one starts in "
			      "%lld s; accepted mail is safe\n",
			      how, s->restarts.deaths, (long long)pause_ms / 1000);
	else
		(void)fprintf(stderr, "restante: the worker %s; starting another\n", how);
	pause_for(s, pause_ms);
}

static void ended(struct supervisor *s, int status)
{
	bool fatal = WIFEXITED(status) && WEXITSTATUS(status) == SUPERVISOR_EXIT_FATAL;
	s->worker = 0;
	if (s->report >= 0)
		(void)close(s->report);
	s->report = -1;
	if (s->phase == PHASE_STOPPING || (fatal && !s->was_ready)) {
		s->status = s->phase == PHASE_STOPPING ? 0 : 1;
		s->phase = PHASE_DONE;
		return;
	}
	died(s, status);
}

static void reap(struct supervisor *s)
{
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == s->worker)
			ended(s, status);
}

/* --- what others say --- */

static void stop(struct supervisor *s)
{
	(void)sd_notify(0, "STOPPING=1");
	if (s->worker == 0) {
		s->phase = PHASE_DONE;
		return;
	}
	bool again = s->phase == PHASE_STOPPING;
	s->phase = PHASE_STOPPING;
	s->deadline_ms = now_ms() + (again ? 0 : SUPERVISOR_STOP_MS);
	(void)kill(s->worker, SIGTERM);
}

static void take_signals(struct supervisor *s)
{
	struct signalfd_siginfo info;
	while (s->phase != PHASE_DONE && read(s->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			reap(s);
		else if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
			stop(s);
		else
			(void)fprintf(stderr,
				      "restante: nothing to read again; for a new configuration restart\n");
	}
}

static void deadline_came(struct supervisor *s)
{
	switch (s->phase) {
	case PHASE_PAUSED:
		start(s);
		break;
	case PHASE_STARTING:
	case PHASE_RUNNING:
		(void)fprintf(stderr,
			      "restante: ALARM: the worker (process %ld) does not respond and is replaced\n",
			      (long)s->worker);
		(void)kill(s->worker, SIGABRT);
		s->phase = PHASE_ABORTING;
		s->deadline_ms = now_ms() + SUPERVISOR_ABORT_MS;
		break;
	case PHASE_ABORTING:
	case PHASE_STOPPING:
		(void)kill(s->worker, SIGKILL);
		s->deadline_ms = NEVER;
		break;
	case PHASE_DONE:
	default:
		check_never();
	}
}

/* systemd watches us as we watch the worker; while it is silent so are we, but a restart takes less than
 * that. */
static void tell_watchdog(struct supervisor *s)
{
	if (s->watchdog_ms == 0 || now_ms() < s->next_watchdog_ms)
		return;
	(void)sd_notify(0, "WATCHDOG=1");
	s->next_watchdog_ms = now_ms() + s->watchdog_ms;
}

static int wait_ms(const struct supervisor *s)
{
	int64_t until_ms = s->deadline_ms;
	if (s->watchdog_ms > 0 && s->next_watchdog_ms < until_ms)
		until_ms = s->next_watchdog_ms;
	int64_t wait = until_ms - now_ms();
	if (wait < 0)
		return 0;
	return wait > 60000 ? 60000 : (int)wait;
}

static void turn(struct supervisor *s)
{
	struct pollfd watched[] = {{.fd = s->signals, .events = POLLIN}, {.fd = s->report, .events = POLLIN}};
	if (poll(watched, 2, wait_ms(s)) < 0)
		return; /* interrupted */
	if (watched[1].revents != 0)
		listen_to_worker(s);
	if (watched[0].revents != 0)
		take_signals(s);
	if (s->phase != PHASE_DONE && now_ms() >= s->deadline_ms)
		deadline_came(s);
	tell_watchdog(s);
}

static int open_signals(struct supervisor *s)
{
	sigset_t set;
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
	(void)sigemptyset(&set);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		(void)sigaddset(&set, numbers[i]);
	(void)sigprocmask(SIG_BLOCK, &set, &s->old_mask);
	s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signals;
}

int supervisor_run(const struct supervisor_events *events, void *owner)
{
	struct supervisor s = {.events = events, .owner = owner, .report = -1};
	uint64_t watchdog_us = 0;
	if (open_signals(&s) < 0) {
		(void)fprintf(stderr, "restante: signals cannot be received: %s\n", strerror(errno));
		return 1;
	}
	if (sd_watchdog_enabled(0, &watchdog_us) > 0)
		s.watchdog_ms = (int64_t)(watchdog_us / 3000);
	pause_for(&s, 0);
	while (s.phase != PHASE_DONE)
		turn(&s);
	(void)close(s.signals);
	(void)sigprocmask(SIG_SETMASK, &s.old_mask, NULL);
	return s.status;
}
