#include "os/log_stderr.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/list.h"
#include "os/log_line.h"

/* A pipe that poll(2) calls writable takes so much without blocking (PIPE_BUF); more at once could block. */
enum { WRITE_BYTES_MAX = 4096 };

struct log_stderr {
	struct log port; /* first */
	int descriptor;
	int own_descriptor; /* the same pipe or terminal opened again, non-blocking for us alone; or -1 */
	bool is_socket;
	struct log_stderr_options options;
	struct buffer waiting;
	uint64_t dropped, dropped_told;
};

/* --- writing without blocking ---------------------------------------------------------------- */

static bool writable(int descriptor)
{
	struct pollfd p = {.fd = descriptor, .events = POLLOUT};

	return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) != 0;
}

/* How much was taken; 0 when nothing is taken now. Trouble that lasts (EPIPE, ENOSPC) looks like a slow
 * reader. */
static size_t write_some(const struct log_stderr *log, struct slice bytes)
{
	ssize_t size;

	bytes = slice_upto(bytes, WRITE_BYTES_MAX);
	do {
		if (log->is_socket)
			size = send(log->descriptor, bytes.data, bytes.size, MSG_DONTWAIT | MSG_NOSIGNAL);
		else if (log->own_descriptor >= 0)
			size = write(log->own_descriptor, bytes.data, bytes.size);
		else
			size = writable(log->descriptor) ? write(log->descriptor, bytes.data, bytes.size) : 0;
	} while (size < 0 && errno == EINTR);
	return size > 0 ? (size_t)size : 0;
}

static void write_waiting(struct log_stderr *log)
{
	while (buffer_size(&log->waiting) > 0) {
		size_t size = write_some(log, buffer_slice(&log->waiting));
		if (size == 0)
			return;
		buffer_consume(&log->waiting, size);
	}
	buffer_deinit(&log->waiting); /* a burst is over: give its memory back */
}

static void write_line(struct log_stderr *log, struct slice line)
{
	if (buffer_size(&log->waiting) == 0)
		line = slice_from(line, write_some(log, line));
	if (line.size > 0 && buffer_add(&log->waiting, line) != 0)
		log->dropped++;
}

/* --- events ---------------------------------------------------------------------------------- */

static int64_t wall_ms(const struct log_stderr *log)
{
	struct timespec t;

	if (log->options.wall_ms != NULL)
		return log->options.wall_ms(log->options.owner);
	(void)clock_gettime(CLOCK_REALTIME, &t); /* cannot fail: the clock exists and t is ours */
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void format(struct log_stderr *log, const struct log_event_view *event)
{
	char line[LOG_STDERR_LINE_MAX];
	size_t size = log_line(event, wall_ms(log), log->options.journal, line, sizeof(line));

	write_line(log, slice_make(line, size));
}

static void tell_dropped(struct log_stderr *log)
{
	uint64_t count = log->dropped - log->dropped_told;
	struct log_field field = LOG_NUMBER("dropped", count);

	log->dropped_told = log->dropped;
	format(log, &(struct log_event_view){.level = LOG_LEVEL_WARN,
					     .area = "log",
					     .message = "lines were dropped because nobody took them",
					     .fields = &field,
					     .field_count = 1});
}

bool log_stderr_flush(struct log_stderr *log)
{
	if (buffer_size(&log->waiting) > 0)
		write_waiting(log);
	if (buffer_size(&log->waiting) == 0 && log->dropped != log->dropped_told)
		tell_dropped(log);
	return buffer_size(&log->waiting) > 0;
}

static void on_event(struct log *port, enum log_level level, const char *area, uint64_t id,
		     const char *message, const struct log_field *fields, size_t field_count)
{
	struct log_stderr *log = container_of(port, struct log_stderr, port);

	if (level < log->options.least)
		return;
	(void)log_stderr_flush(log);
	format(log, &(struct log_event_view){.level = level,
					     .area = area,
					     .id = id,
					     .message = message,
					     .fields = fields,
					     .field_count = field_count});
}

static const struct log_ops ops = {.event = on_event};

/* --- life ------------------------------------------------------------------------------------ */

/* O_NONBLOCK on the descriptor that was given would concern everybody who shares it, such as the shell. */
static int open_again(int descriptor)
{
	struct stat s;
	char path[64];

	if (fstat(descriptor, &s) != 0 || !(S_ISFIFO(s.st_mode) || S_ISCHR(s.st_mode)))
		return -1;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", descriptor);
	return open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY | O_APPEND);
}

static bool is_socket(int descriptor)
{
	struct stat s;

	return fstat(descriptor, &s) == 0 && S_ISSOCK(s.st_mode);
}

struct log_stderr *log_stderr_new(int descriptor, const struct log_stderr_options *options)
{
	struct log_stderr *log = calloc(1, sizeof(*log));

	if (log == NULL)
		return NULL;
	log->port.ops = &ops;
	log->descriptor = descriptor;
	log->own_descriptor = open_again(descriptor);
	log->is_socket = is_socket(descriptor);
	if (options != NULL)
		log->options = *options;
	else
		log->options.least = LOG_LEVEL_INFO;
	buffer_init(&log->waiting, LOG_STDERR_WAITING_MAX);
	return log;
}

void log_stderr_free(struct log_stderr *log)
{
	if (log == NULL)
		return;
	(void)log_stderr_flush(log);
	buffer_deinit(&log->waiting);
	if (log->own_descriptor >= 0)
		(void)close(log->own_descriptor);
	free(log);
}

struct log *log_stderr_port(struct log_stderr *log)
{
	return &log->port;
}

uint64_t log_stderr_dropped(const struct log_stderr *log)
{
	return log->dropped;
}

bool log_stderr_is_journal(int descriptor)
{
	const char *stream = getenv("JOURNAL_STREAM");
	struct stat s;
	char ours[64];

	if (stream == NULL || fstat(descriptor, &s) != 0)
		return false;
	(void)snprintf(ours, sizeof(ours), "%ju:%ju", (uintmax_t)s.st_dev, (uintmax_t)s.st_ino);
	return strcmp(stream, ours) == 0;
}
