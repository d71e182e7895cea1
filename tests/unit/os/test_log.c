/* The form of log lines, and that writing them never blocks. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "os/log_line.h"
#include "os/log_stderr.h"

static const int64_t some_time_ms = 1795457045123; /* 2026-11-23T18:04:05.123Z */

/* --- the form -------------------------------------------------------------------------------- */

struct line_case {
	enum log_level level;
	uint64_t id;
	const char *message;
	struct log_field fields[3];
	size_t field_count;
	const char *expected; /* behind the time */
};

static const struct line_case line_cases[] = {
    {LOG_LEVEL_INFO, 0, "started", {{0}}, 0, "info net: started\n"},
    {LOG_LEVEL_DEBUG, 0, "", {{.key = "n", .number = -5, .kind = LOG_FIELD_NUMBER}}, 1, "debug net: n=-5\n"},
    {LOG_LEVEL_WARN,
     1,
     "sent",
     {{.key = "to", .text = {"<a@b.example>", 13}}, {.key = "status", .text = {"250 ok", 6}}},
     2,
     "warning net[0000000000001]: sent to=<a@b.example>, status=\"250 ok\"\n"},
    {LOG_LEVEL_ALARM, 0, "x", {{.key = "k", .text = {NULL, 0}}}, 1, "alarm net: x k=\"\"\n"},
    {LOG_LEVEL_INFO, 0, "x", {{.key = "k", .text = {"a\r\nb\t", 5}}}, 1, "info net: x k=\"a\\r\\nb\\t\"\n"},
    {LOG_LEVEL_INFO, 0, "x", {{.key = "k", .text = {"\"\\", 2}}}, 1, "info net: x k=\"\\\"\\\\\"\n"},
    {LOG_LEVEL_INFO, 0, "x", {{.key = "k", .text = {"a,b", 3}}}, 1, "info net: x k=\"a,b\"\n"},
    {LOG_LEVEL_INFO,
     0,
     "x",
     {{.key = "k", .text = {"\0\x1b[2J", 5}}},
     1,
     "info net: x k=\"\\x00\\x1B[2J\"\n"},
    {LOG_LEVEL_INFO, 0, "x", {{.key = "k", .text = {"\x7f", 1}}}, 1, "info net: x k=\"\\x7F\"\n"},
    {LOG_LEVEL_INFO,
     0,
     "x",
     {{.key = "k", .text = {"gr\xc3\xbc\xc3\x9f", 6}}},
     1,
     "info net: x k=\"gr\xc3\xbc\xc3\x9f\"\n"},
    {LOG_LEVEL_INFO,
     0,
     "x",
     {{.key = "k", .text = {"\xe2\x82\xac\xf0\x9f\x93\xac", 7}}},
     1,
     "info net: x k=\"\xe2\x82\xac\xf0\x9f\x93\xac\"\n"},
    /* a C1 control, a lone continuation, overlong, a surrogate, beyond U+10FFFF, cut */
    {LOG_LEVEL_INFO, 0, "x", {{.key = "k", .text = {"\xc2\x9b", 2}}}, 1, "info net: x k=\"\\xC2\\x9B\"\n"},
    {LOG_LEVEL_INFO, 0, "x", {{.key = "k", .text = {"\x80", 1}}}, 1, "info net: x k=\"\\x80\"\n"},
    {LOG_LEVEL_INFO, 0, "x", {{.key = "k", .text = {"\xc0\xaf", 2}}}, 1, "info net: x k=\"\\xC0\\xAF\"\n"},
    {LOG_LEVEL_INFO,
     0,
     "x",
     {{.key = "k", .text = {"\xe0\x80\xaf", 3}}},
     1,
     "info net: x k=\"\\xE0\\x80\\xAF\"\n"},
    {LOG_LEVEL_INFO,
     0,
     "x",
     {{.key = "k", .text = {"\xed\xa0\x80", 3}}},
     1,
     "info net: x k=\"\\xED\\xA0\\x80\"\n"},
    {LOG_LEVEL_INFO,
     0,
     "x",
     {{.key = "k", .text = {"\xf4\x90\x80\x80", 4}}},
     1,
     "info net: x k=\"\\xF4\\x90\\x80\\x80\"\n"},
    {LOG_LEVEL_INFO, 0, "x", {{.key = "k", .text = {"\xc3", 1}}}, 1, "info net: x k=\"\\xC3\"\n"},
    {LOG_LEVEL_INFO, 0, "two\nlines", {{0}}, 0, "info net: two\\nlines\n"},
};

static struct log_event_view view_of(const struct line_case *c)
{
	return (struct log_event_view){.level = c->level,
				       .area = "net",
				       .id = c->id,
				       .message = c->message,
				       .fields = c->fields,
				       .field_count = c->field_count};
}

static void test_form(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(line_cases) / sizeof(line_cases[0]); i++) {
		char line[LOG_STDERR_LINE_MAX], expected[256];
		struct log_event_view view = view_of(&line_cases[i]);
		size_t size = log_line(&view, some_time_ms, false, line, sizeof(line) - 1);
		line[size] = '\0';
		(void)snprintf(expected, sizeof(expected), "2026-11-23T18:04:05.123Z %s",
			       line_cases[i].expected);
		assert_string_equal(line, expected);
	}
}

static void test_form_for_the_journal(void **state)
{
	static const char *const expected[] = {"<7>net: x\n", "<6>net: x\n", "<4>net: x\n", "<1>net: x\n"};

	(void)state;
	for (int level = LOG_LEVEL_DEBUG; level <= LOG_LEVEL_ALARM; level++) {
		char line[LOG_LINE_SIZE_MIN];
		struct log_event_view view = {.level = (enum log_level)level, .area = "net", .message = "x"};
		size_t size = log_line(&view, some_time_ms, true, line, sizeof(line));
		assert_int_equal(size, strlen(expected[level]));
		assert_memory_equal(line, expected[level], size);
	}
}

/* At the limit a line is whole, beyond it is cut, and never longer. */
static void test_long_lines_are_cut(void **state)
{
	char message[2 * LOG_LINE_SIZE_MIN], line[LOG_LINE_SIZE_MIN];

	(void)state;
	size_t whole = LOG_LINE_SIZE_MIN - 4 - strlen("2026-11-23T18:04:05.123Z info net: ");
	for (size_t size = whole - 1; size <= whole + 1; size++) {
		memset(message, 'm', size);
		message[size] = '\0';
		struct log_event_view view = {.level = LOG_LEVEL_INFO, .area = "net", .message = message};
		size_t got = log_line(&view, some_time_ms, false, line, sizeof(line));
		assert_true(got <= sizeof(line));
		assert_int_equal(line[got - 1], '\n');
		bool cut = memcmp(line + got - 4, "...\n", 4) == 0;
		assert_int_equal(cut, size > whole);
	}
}

static void test_bad_times(void **state)
{
	char line[LOG_LINE_SIZE_MIN];
	struct log_event_view view = {.level = LOG_LEVEL_INFO, .area = "net", .message = "x"};
	size_t size = log_line(&view, -1, false, line, sizeof(line));

	(void)state;
	assert_int_equal(size, strlen("- info net: x\n"));
	size = log_line(&view, 0, false, line, sizeof(line));
	assert_memory_equal(line, "1970-01-01T00:00:00.000Z ", 25);
	assert_true(size > 25);
}

/* --- writing --------------------------------------------------------------------------------- */

static int64_t fixed_time(void *owner)
{
	(void)owner;
	return some_time_ms;
}

static const struct log_stderr_options fixed = {.least = LOG_LEVEL_INFO, .wall_ms = fixed_time};

static void read_all(int descriptor, struct buffer *into)
{
	char bytes[65536];

	for (;;) {
		ssize_t size = read(descriptor, bytes, sizeof(bytes));
		if (size <= 0)
			return;
		assert_int_equal(buffer_append(into, bytes, (size_t)size), 0);
	}
}

static void test_levels(void **state)
{
	int ends[2];
	char got[256] = "";

	(void)state;
	assert_int_equal(pipe(ends), 0);
	struct log_stderr *log = log_stderr_new(ends[1], &fixed);
	assert_non_null(log);
	log_event(log_stderr_port(log), LOG_LEVEL_DEBUG, "a", 0, "unheard", LOG_NUMBER("n", 1));
	log_event(log_stderr_port(log), LOG_LEVEL_INFO, "a", 0, "heard", LOG_NUMBER("n", 2));
	assert_true(read(ends[0], got, sizeof(got) - 1) > 0);
	assert_string_equal(got, "2026-11-23T18:04:05.123Z info a: heard n=2\n");
	log_stderr_free(log);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

/* A pipe or a socket that nobody reads: no call blocks, what does not fit is counted, and every line that
 * comes out is whole and in order. */
static void flood(int reader, int writer, bool gather)
{
	enum { LINES = 20000 };
	struct buffer got;
	struct slice rest, line;
	uint64_t seen = 0, last = 0, told = 0;

	struct log_stderr *log = log_stderr_new(writer, &fixed);
	assert_non_null(log);
	log_stderr_gather(log, gather);
	for (int i = 1; i <= LINES; i++)
		log_event(log_stderr_port(log), LOG_LEVEL_INFO, "a", 0, "line", LOG_NUMBER("n", i));
	uint64_t dropped = log_stderr_dropped(log);
	assert_true(dropped > 0);
	assert_true(log_stderr_flush(log));

	buffer_init(&got, 0);
	assert_int_equal(fcntl(reader, F_SETFL, O_NONBLOCK), 0);
	bool more = true;
	while (more) {
		read_all(reader, &got);
		more = log_stderr_flush(log);
	}
	log_event(log_stderr_port(log), LOG_LEVEL_INFO, "a", 0, "line", LOG_NUMBER("n", LINES + 1));
	assert_false(log_stderr_flush(log));
	read_all(reader, &got);
	rest = buffer_slice(&got);
	while (slice_split(&rest, '\n', &line) && line.size > 0) {
		unsigned long n = 0;
		char text[128];
		(void)snprintf(text, sizeof(text), "%.*s", SLICE_ARG(line));
		char *number = strchr(text, '=');
		assert_non_null(number);
		n = strtoul(number + 1, NULL, 10);
		if (strstr(text, "dropped=") != NULL) {
			told += n;
			continue;
		}
		assert_non_null(strstr(text, "info a: line n="));
		assert_true(n > last);
		last = n;
		seen++;
	}
	assert_int_equal(told, dropped);
	assert_int_equal(seen + dropped, LINES + 1);
	assert_int_equal(last, LINES + 1);
	log_stderr_free(log);
	buffer_deinit(&got);
	(void)close(reader);
	(void)close(writer);
}

static void test_pipe_that_nobody_reads(void **state)
{
	int ends[2];

	(void)state;
	for (int gather = 0; gather <= 1; gather++) {
		assert_int_equal(pipe(ends), 0);
		flood(ends[0], ends[1], gather != 0);
	}
}

static void test_socket_that_nobody_reads(void **state)
{
	int ends[2];

	(void)state;
	for (int gather = 0; gather <= 1; gather++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
		flood(ends[0], ends[1], gather != 0);
	}
}

/* --- gathering ------------------------------------------------------------------------------- */

static void say(struct log_stderr *log, enum log_level level, int n)
{
	log_event(log_stderr_port(log), level, "a", 0, "line", LOG_NUMBER("n", n));
}

/* The lines 1 to count, each whole, and nothing else. */
static void assert_lines(const struct buffer *got, int count)
{
	struct slice rest = buffer_slice(got), line;

	for (int n = 1; n <= count; n++) {
		char text[128], end[32];
		assert_true(slice_split(&rest, '\n', &line));
		(void)snprintf(text, sizeof(text), "%.*s", SLICE_ARG(line));
		(void)snprintf(end, sizeof(end), " a: line n=%d", n);
		assert_non_null(strstr(text, end));
		assert_string_equal(strstr(text, end), end);
	}
	assert_int_equal(rest.size, 0);
}

static size_t unread(int descriptor)
{
	int size = 0;

	assert_int_equal(ioctl(descriptor, FIONREAD, &size), 0);
	return (size_t)size;
}

static void test_lines_gather(void **state)
{
	int ends[2], n = 0;
	struct buffer got;

	(void)state;
	buffer_init(&got, 0);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	struct log_stderr *log = log_stderr_new(ends[1], &fixed);
	assert_non_null(log);
	log_stderr_gather(log, true);
	say(log, LOG_LEVEL_INFO, ++n);
	assert_int_equal(unread(ends[0]), 0);
	assert_false(log_stderr_flush(log));
	read_all(ends[0], &got);
	assert_lines(&got, n);
	/* A warning goes at once, behind what came before it. */
	say(log, LOG_LEVEL_INFO, ++n);
	say(log, LOG_LEVEL_WARN, ++n);
	read_all(ends[0], &got);
	assert_lines(&got, n);
	/* What gathers has a bound. */
	while (n < 4 * LOG_STDERR_GATHER && unread(ends[0]) == 0)
		say(log, LOG_LEVEL_INFO, ++n);
	assert_in_range(unread(ends[0]), LOG_STDERR_GATHER, 2 * LOG_STDERR_GATHER);
	say(log, LOG_LEVEL_INFO, ++n);
	log_stderr_gather(log, false);
	say(log, LOG_LEVEL_INFO, ++n);
	read_all(ends[0], &got);
	assert_lines(&got, n);
	assert_int_equal(log_stderr_dropped(log), 0);
	log_stderr_free(log);
	buffer_deinit(&got);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

struct late_reader {
	int descriptor;
	struct buffer got;
};

static void *read_to_the_end(void *owner)
{
	struct late_reader *reader = owner;

	read_all(reader->descriptor, &reader->got);
	return NULL;
}

/* More than the pipe takes waits when the log is freed, and its reader only begins then. */
static void test_last_words_wait_for_a_slow_reader(void **state)
{
	enum { LINES = 3000 };
	struct late_reader reader;
	pthread_t thread;
	int ends[2];

	(void)state;
	buffer_init(&reader.got, 0);
	assert_int_equal(pipe(ends), 0);
	reader.descriptor = ends[0];
	struct log_stderr *log = log_stderr_new(ends[1], &fixed);
	assert_non_null(log);
	log_stderr_gather(log, true);
	for (int n = 1; n <= LINES; n++)
		say(log, LOG_LEVEL_INFO, n);
	assert_int_equal(log_stderr_dropped(log), 0);
	assert_true(log_stderr_flush(log));
	assert_int_equal(pthread_create(&thread, NULL, read_to_the_end, &reader), 0);
	log_stderr_free(log);
	(void)close(ends[1]);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_lines(&reader.got, LINES);
	buffer_deinit(&reader.got);
	(void)close(ends[0]);
}

static void test_last_words_that_nobody_reads(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	struct log_stderr *log = log_stderr_new(ends[1], &fixed);
	assert_non_null(log);
	for (int n = 1; n <= 3000; n++)
		say(log, LOG_LEVEL_INFO, n);
	log_stderr_free(log);		/* returns */
	(void)signal(SIGPIPE, SIG_IGN); /* as the loop does */
	(void)close(ends[0]);
	log = log_stderr_new(ends[1], &fixed); /* nobody is there: EPIPE */
	assert_non_null(log);
	say(log, LOG_LEVEL_INFO, 1);
	log_stderr_free(log);
	(void)close(ends[1]);
}

/* A process that aborts has said all up to its last warning, and cuts no line. */
static void test_abort(void **state)
{
	struct buffer got;
	int ends[2], status;

	(void)state;
	buffer_init(&got, 0);
	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct log_stderr *log = log_stderr_new(ends[1], &fixed);
		log_stderr_gather(log, true);
		for (int n = 1; n <= 10; n++)
			say(log, n == 9 ? LOG_LEVEL_ALARM : LOG_LEVEL_INFO, n);
		(void)raise(SIGKILL);
	}
	(void)close(ends[1]);
	read_all(ends[0], &got);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_lines(&got, 9);
	buffer_deinit(&got);
	(void)close(ends[0]);
}

/* A file takes all in one piece; whole lines all the same. */
static void test_file(void **state)
{
	char path[] = "/tmp/restante-test-log-XXXXXX";
	struct buffer got;

	(void)state;
	buffer_init(&got, 0);
	int file = mkstemp(path);
	assert_true(file >= 0);
	assert_int_equal(unlink(path), 0);
	struct log_stderr *log = log_stderr_new(file, &fixed);
	assert_non_null(log);
	log_stderr_gather(log, true);
	for (int n = 1; n <= 1000; n++)
		say(log, LOG_LEVEL_INFO, n);
	log_stderr_free(log);
	assert_int_equal(lseek(file, 0, SEEK_SET), 0);
	read_all(file, &got);
	assert_lines(&got, 1000);
	buffer_deinit(&got);
	(void)close(file);
}

static void test_flags_of_the_descriptor_stay(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	int before = fcntl(ends[1], F_GETFL);
	struct log_stderr *log = log_stderr_new(ends[1], NULL);
	log_event(log_stderr_port(log), LOG_LEVEL_INFO, "a", 0, "x", LOG_NUMBER("n", 1));
	assert_int_equal(fcntl(ends[1], F_GETFL), before);
	log_stderr_free(log);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

static void test_journal_is_recognised(void **state)
{
	int ends[2];
	struct stat s;
	char stream[64];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
	assert_false(log_stderr_is_journal(ends[1]));
	assert_int_equal(fstat(ends[1], &s), 0);
	(void)snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)s.st_dev, (uintmax_t)s.st_ino);
	assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
	assert_true(log_stderr_is_journal(ends[1]));
	assert_int_equal(setenv("JOURNAL_STREAM", "1:2", 1), 0);
	assert_false(log_stderr_is_journal(ends[1]));
	(void)close(ends[0]);
	(void)close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_form),
	    cmocka_unit_test(test_form_for_the_journal),
	    cmocka_unit_test(test_long_lines_are_cut),
	    cmocka_unit_test(test_bad_times),
	    cmocka_unit_test(test_levels),
	    cmocka_unit_test(test_pipe_that_nobody_reads),
	    cmocka_unit_test(test_socket_that_nobody_reads),
	    cmocka_unit_test(test_lines_gather),
	    cmocka_unit_test(test_last_words_wait_for_a_slow_reader),
	    cmocka_unit_test(test_last_words_that_nobody_reads),
	    cmocka_unit_test(test_abort),
	    cmocka_unit_test(test_file),
	    cmocka_unit_test(test_flags_of_the_descriptor_stay),
	    cmocka_unit_test(test_journal_is_recognised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
