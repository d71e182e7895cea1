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
enum { GATHER_MEMORY_MAX = 4 * LOG_STDERR_GATHER };

struct log_stderr {
	struct log port; /* first */
	int descriptor;
	int own_descriptor; /* the same pipe or terminal opened again, non-blocking for us alone; or -1 */
	bool is_socket, is_file;
	bool gathers;
	struct log_stderr_options options;
	struct buffer waiting;
	uint64_t dropped, dropped_told;
};

/* --- writing without blocking ---------------------------------------------------------------- */

static bool writable(int descriptor, int wait_ms)
{
	struct pollfd p = {.fd = descriptor, .events = POLLOUT};

	return poll(&p, 1, wait_ms) == 1 && (p.revents & POLLOUT) != 0;
}

/* Whole lines, where that is possible: who else writes to the same pipe does not come between. */
static struct slice next_piece(struct slice bytes)
{
	const char *end;

	if (bytes.size <= WRITE_BYTES_MAX)
		return bytes;
	end = memrchr(bytes.data, '\n', WRITE_BYTES_MAX);
	return slice_upto(bytes, end != NULL ? (size_t)(end - bytes.data) + 1 : WRITE_BYTES_MAX);
}

/* How much was taken; 0 when nothing is taken now. Trouble that lasts (EPIPE, ENOSPC) looks like a slow
 * reader. */
static size_t write_some(const struct log_stderr *log, struct slice bytes)
{
	ssize_t size;

	if (!log->is_file)
		bytes = next_piece(bytes);
	do {
		if (log->is_socket)
			size = send(log->descriptor, bytes.data, bytes.size, MSG_DONTWAIT | MSG_NOSIGNAL);
		else if (log->own_descriptor >= 0)
			size = write(log->own_descriptor, bytes.data, bytes.size);
		else if (log->is_file)
			size = write(log->descriptor, bytes.data, bytes.size);
		else
			size =
			    writable(log->descriptor, 0) ? write(log->descriptor, bytes.data, bytes.size) : 0;
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
	if (log->waiting.capacity > GATHER_MEMORY_MAX)
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

static size_t format(const struct log_stderr *log, const struct log_event_view *event,
		     char ret_line[LOG_STDERR_LINE_MAX])
{
	return log_line(event, wall_ms(log), log->options.journal, ret_line, LOG_STDERR_LINE_MAX);
}

static void tell_dropped(struct log_stderr *log)
{
	uint64_t count = log->dropped - log->dropped_told;
	struct log_field field = LOG_NUMBER("dropped", count);
	struct log_event_view event = {.level = LOG_LEVEL_WARN,
				       .area = "log",
				       .message = "lines were dropped because nobody took them",
				       .fields = &field,
				       .field_count = 1};
	char line[LOG_STDERR_LINE_MAX];

	log->dropped_told = log->dropped;
	write_line(log, slice_make(line, format(log, &event, line)));
}

bool log_stderr_flush(struct log_stderr *log)
{
	if (buffer_size(&log->waiting) > 0)
		write_waiting(log);
	if (buffer_size(&log->waiting) == 0 && log->dropped != log->dropped_told)
		tell_dropped(log);
	return buffer_size(&log->waiting) > 0;
}

/* What was dropped is told before the next line. */
static bool may_gather(const struct log_stderr *log, enum log_level level)
{
	return log->gathers && level < LOG_LEVEL_WARN && log->dropped == log->dropped_told &&
	       buffer_size(&log->waiting) < LOG_STDERR_GATHER;
}

static void put_event(struct log_stderr *log, const struct log_event_view *event)
{
	char bytes[LOG_STDERR_LINE_MAX];
	struct slice line = slice_make(bytes, format(log, event, bytes));

	if (may_gather(log, event->level) && buffer_add(&log->waiting, line) == 0)
		return;
	(void)log_stderr_flush(log);
	write_line(log, line);
}

static void on_event(struct log *port, enum log_level level, const char *area, uint64_t id,
		     const char *message, const struct log_field *fields, size_t field_count)
{
	struct log_stderr *log = container_of(port, struct log_stderr, port);

	if (level >= log->options.least)
		put_event(log, &(struct log_event_view){.level = level,
							.area = area,
							.id = id,
							.message = message,
							.fields = fields,
							.field_count = field_count});
}

void log_stderr_gather(struct log_stderr *log, bool gather)
{
	log->gathers = gather;
	if (!gather)
		(void)log_stderr_flush(log);
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

static mode_t type_of(int descriptor)
{
	struct stat s;

	return fstat(descriptor, &s) == 0 ? s.st_mode & S_IFMT : 0;
}

struct log_stderr *log_stderr_new(int descriptor, const struct log_stderr_options *options)
{
	struct log_stderr *log = calloc(1, sizeof(*log));

	if (log == NULL)
		return NULL;
	log->port.ops = &ops;
	log->descriptor = descriptor;
	log->own_descriptor = open_again(descriptor);
	log->is_socket = type_of(descriptor) == S_IFSOCK;
	log->is_file = type_of(descriptor) == S_IFREG;
	if (options != NULL)
		log->options = *options;
	else
		log->options.least = LOG_LEVEL_INFO;
	buffer_init(&log->waiting, LOG_STDERR_WAITING_MAX);
	return log;
}

/* Until all is out, or the reader has taken nothing for a while. */
static void write_last(struct log_stderr *log)
{
	size_t before;

	do {
		before = buffer_size(&log->waiting);
		if (!log_stderr_flush(log) || !writable(log->descriptor, LOG_STDERR_LAST_MS))
			return;
		(void)log_stderr_flush(log);
	} while (buffer_size(&log->waiting) < before);
}

void log_stderr_free(struct log_stderr *log)
{
	if (log == NULL)
		return;
	write_last(log);
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
