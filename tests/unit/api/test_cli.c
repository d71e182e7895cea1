/* The command-line client against the API: each command in a process of its own, the daemon's side played by
 * this one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/buffer.h"
#include "base/check.h"
#include "daemon/cli.h"
#include "http.h"

enum { WORDS_MAX = 64, OUT = 0, ERR = 1 };

struct outcome {
	int status;
	char *text[2]; /* standard output and error, terminated */
};

struct child {
	pid_t pid;
	int fd[2];
	struct buffer output[2];
};

static int setup(void **state)
{
	struct http *http = calloc(1, sizeof(*http));

	if (http == NULL)
		return -1;
	http_start(http, NULL);
	*state = http;
	return 0;
}

static int teardown(void **state)
{
	http_stop(*state);
	free(*state);
	return 0;
}

/* --- running a command --- */

_Noreturn static void be_the_command(char *line, int out, int err)
{
	char *words[WORDS_MAX], *rest = line;
	int count = 0;

	for (char *word = strsep(&rest, " "); word != NULL && count < WORDS_MAX; word = strsep(&rest, " ")) {
		if (strcmp(word, "''") == 0)
			word[0] = '\0';
		words[count++] = word;
	}
	check(dup2(out, STDOUT_FILENO) != -1 && dup2(err, STDERR_FILENO) != -1);
	/* Not to keep the daemon's socket open behind its back. */
	check(close_range(STDERR_FILENO + 1, ~0U, 0) == 0);
	int status = cli_main(words[0], count - 1, words + 1);
	(void)fflush(NULL);
	_exit(status);
}

/* A user who is neither root nor the daemon's. */
static const uid_t somebody_else = 65534;

static void start_as(struct child *child, const char *line, uid_t uid)
{
	char words[4096];
	int out[2], err[2];

	check(pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0);
	(void)snprintf(words, sizeof(words), "%s", line);
	(void)fflush(NULL);
	child->pid = fork();
	check(child->pid != -1);
	if (child->pid == 0) {
		check(uid == geteuid() || setuid(uid) == 0);
		be_the_command(words, out[1], err[1]);
	}
	(void)close(out[1]);
	(void)close(err[1]);
	child->fd[OUT] = out[0];
	child->fd[ERR] = err[0];
	buffer_init(&child->output[OUT], 0);
	buffer_init(&child->output[ERR], 0);
}

static void start(struct child *child, const char *line)
{
	start_as(child, line, geteuid());
}

static void take_output(struct child *child, int which)
{
	char bytes[4096];
	ssize_t got = read(child->fd[which], bytes, sizeof(bytes));

	if (got > 0) {
		check(buffer_append(&child->output[which], bytes, (size_t)got) == 0);
		return;
	}
	(void)close(child->fd[which]);
	child->fd[which] = -1;
}

/* One turn of the daemon's side, until the child has said something or the API wants to run. */
static void turn(struct http *http, struct child *child)
{
	struct pollfd fds[3] = {{.fd = child->fd[OUT], .events = POLLIN},
				{.fd = child->fd[ERR], .events = POLLIN},
				{.fd = http->api != NULL ? api_fd(http->api) : -1, .events = POLLIN}};
	int64_t timeout_ms = http->api != NULL ? api_timeout_ms(http->api) : -1;

	(void)poll(fds, 3, timeout_ms < 0 || timeout_ms > 1000 ? 1000 : (int)timeout_ms);
	for (int which = OUT; which <= ERR; which++)
		if (child->fd[which] != -1 && fds[which].revents != 0)
			take_output(child, which);
	if (http->api != NULL)
		api_run(http->api);
	fake_relay_run(&http->relay);
}

static struct outcome finish(struct http *http, struct child *child)
{
	struct outcome outcome;
	int status;

	while (child->fd[OUT] != -1 || child->fd[ERR] != -1)
		turn(http, child);
	check(waitpid(child->pid, &status, 0) == child->pid);
	outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	for (int which = OUT; which <= ERR; which++) {
		check(buffer_append(&child->output[which], "", 1) == 0);
		outcome.text[which] = child->output[which].bytes;
	}
	return outcome;
}

static struct outcome run(struct http *http, const char *line)
{
	struct child child;

	start(&child, line);
	return finish(http, &child);
}

static void outcome_free(struct outcome *outcome)
{
	free(outcome->text[OUT]);
	free(outcome->text[ERR]);
}

/* out and err: what must be in there; "" for nothing at all; NULL for anything. */
static void expect(struct http *http, const char *line, int status, const char *out, const char *err)
{
	struct outcome outcome = run(http, line);
	const char *wanted[2] = {out, err};

	for (int which = OUT; which <= ERR; which++) {
		const char *text = outcome.text[which];
		bool fits =
		    wanted[which] == NULL ||
		    (wanted[which][0] == '\0' ? text[0] == '\0' : strstr(text, wanted[which]) != NULL);
		if (!fits || outcome.status != status)
			fail_msg("%s: %d\nout: %s\nerr: %s\nwanted: %d %s", line, outcome.status,
				 outcome.text[OUT], outcome.text[ERR], status, wanted[which]);
	}
	outcome_free(&outcome);
}

/* --- commands that change --- */

static const struct {
	const char *line, *heard;
} changes[] = {
    {"domain add example.com", "add example.com"},
    {"domain add example.com --to a.example.com:26 --to=b.example.com",
     "add example.com a.example.com:26 b.example.com"},
    {"domain add --to [2001:db8::1]:25 -- example.com", "add example.com [2001:db8::1]:25"},
    {"domain add b\xC3\xBC"
     "cher.example",
     "add b\xC3\xBC"
     "cher.example"},
    {"domain set example.com hold=30", "set example.com hold=30"},
    {"domain set example.com hold=30d", "set example.com hold=30"},
    {"domain set example.com to=mx", "set example.com to=mx"},
    {"domain set example.com hold=30 to=a,b:26", "set example.com to=a,b:26"},
    {"domain rm example.com", "remove example.com"},
    {"domain rm a/b%20c?d=#e", "remove a/b%20c?d=#e"},
    {"hold example.com", "hold example.com 0"},
    {"hold example.com --until 2100-01-01T10:00:00Z", "hold example.com 4102480800000"},
    {"resume example.com", "resume example.com"},
    {"probe example.com", "probe example.com"},
    {"trust example.com", "trust example.com"},
    {"recipient pin joe+x@example.com", "pin example.com 1 joe+x@example.com..joe+x@example.com"},
    {"recipient pin a@one.example b@two.example", "pin two.example 1 b@two.example..b@two.example"},
    {"recipient unpin joe@example.com", "unpin example.com 1 joe@example.com..joe@example.com"},
    {"recipient ls example.com", "recipients example.com after= limit=1001"},
    {"message release 00000000000Z8", "release 1000"},
    {"message rm 00000000000z8", "remove-message 1000"},
    {"queue", "queue domain= recipient= sender= after=0 limit=101"},
    {"queue d.example --recipient a+b@d.example --sender c@d --limit 5",
     "queue domain=d.example recipient=a+b@d.example sender=c@d after=0 limit=6"},
    {"trace --recipient a@b --sender c@d --message-id <1&2@x> --since 2023-11-14T00:00Z --limit 7",
     "trace recipient=a@b sender=c@d message_id=<1&2@x> since=1699920000000 limit=7"},
    {"message show 00000000000Z8", "show 1000"},
    {"message cat 00000000000Z8", "cat 1000 from 0"},
};

static void test_what_the_relay_hears(void **state)
{
	struct http *http = *state;

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		char line[512];
		const char *blank = strstr(changes[i].line, " --");
		/* --data stands before the rest of the options: "--" ends them. */
		int front = blank != NULL ? (int)(blank - changes[i].line) : (int)strlen(changes[i].line);
		(void)snprintf(line, sizeof(line), "%.*s --data %s%s", front, changes[i].line, http->folder,
			       changes[i].line + front);
		bool slash = strchr(changes[i].line, '/') != NULL;
		expect(http, line, slash ? CLI_FAILED : CLI_OK, NULL, slash ? "nothing at" : "");
		if (!slash)
			assert_string_equal(http->relay.heard, changes[i].heard);
	}
}

static void test_a_change_prints_what_the_relay_says(void **state)
{
	struct http *http = *state;
	char line[256];

	(void)snprintf(http->relay.result.message, sizeof(http->relay.result.message),
		       "held \x1b[31m until resumed");
	(void)snprintf(line, sizeof(line), "hold example.com --data %s", http->folder);
	expect(http, line, CLI_OK, "held ?[31m until resumed\n", "");
	(void)snprintf(line, sizeof(line), "hold example.com --json --data %s", http->folder);
	expect(http, line, CLI_OK, "{\"message\":\"held \\u001b[31m until resumed\"}\n", "");
}

static void test_a_refusal_is_shown(void **state)
{
	struct http *http = *state;
	char line[256];

	http->relay.result.error = ERR_STATE;
	(void)snprintf(http->relay.result.message, sizeof(http->relay.result.message), "7 messages are held");
	(void)snprintf(line, sizeof(line), "domain rm example.com --data %s", http->folder);
	expect(http, line, CLI_FAILED, "", "restante: 7 messages are held\n");
	(void)snprintf(line, sizeof(line), "domain rm example.com --json --data %s", http->folder);
	expect(http, line, CLI_FAILED,
	       "{\"error\":{\"code\":\"state\",\"message\":\"7 messages are held\"}}\n", "");
}

/* --- what cannot be understood --- */

static const struct {
	const char *line, *err;
} bad[] = {
    {"status --wach", "there is no option --wach here; did you mean --watch?"},
    {"status --wach", "usage: restante status [NAME] [--watch] [--all]"},
    {"status --until 2h", "there is no option --until"},
    {"status --watch=yes", "--watch takes no value"},
    {"status --data", "--data wants a folder"},
    {"status --data=", "--data wants a folder"},
    {"status a b", "\"b\" is too much"},
    {"status ''", "a name is empty"},
    {"domain", "domain add NAME"},
    {"domain ad example.com", "there is no \"ad\"; did you mean add?"},
    {"domain frobnicate", "there is no \"frobnicate\""},
    {"domain add", "something is missing"},
    {"domain add a --to", "--to wants HOST"},
    {"domain set a", "something is missing"},
    {"domain set a hold", "wants KEY=VALUE"},
    {"domain set a hold=", "wants KEY=VALUE"},
    {"domain set a hild=7", "there is no setting \"hild\"; did you mean hold"},
    {"domain set a zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz=7", "there is no setting"},
    {"domain set a hold=7 hold=8", "hold is given twice"},
    {"recipient", "recipient pin ADDRESS"},
    {"recipient pin joe", "\"joe\": wants an address, as in joe@example.com"},
    {"recipient unpin joe@", "wants an address"},
    {"recipient import a.example", "something is missing"},
    {"hold a --until tomorrow", "--until tomorrow: wants 2h, 3d or"},
    {"trace --since soon", "--since soon"},
    {"trace --limit 0", "--limit 0"},
    {"trace --limit 1001", "--limit 1001"},
    {"queue --limit x", "--limit x"},
    {"queue --limit 0", "--limit 0"},
    {"message", "message show ID"},
    {"message show", "something is missing"},
    {"message shw X", "did you mean show"},
    {"domain add a --to h --to h --to h --to h --to h --to h --to h --to h --to h --to h --to h --to h --to "
     "h --to h "
     "--to h --to h --to h",
     "at most 16 times"},
};

static void test_bad_usage(void **state)
{
	struct http *http = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		expect(http, bad[i].line, CLI_USAGE, "", bad[i].err);
	assert_int_equal(http->relay.heard_count, 0);
}

static void test_help(void **state)
{
	expect(*state, "status --help", CLI_OK, "restante status [NAME] [--watch] [--all]", "");
	expect(*state, "domain --help", CLI_OK, "restante domain set NAME KEY=VALUE", "");
	expect(*state, "domain add -h", CLI_OK, "restante domain add NAME", "");
	assert_true(cli_knows("domain") && cli_knows("probe") && cli_knows("doctor"));
	assert_false(cli_knows("serve") || cli_knows("") || cli_knows("domain add") || cli_knows("do"));
	assert_non_null(strstr(cli_usage(), "restante queue"));
}

/* --- no daemon --- */

static void test_nobody_there(void **state)
{
	struct http *http = *state;
	char line[512], said[512];

	expect(http, "status --data /nonexistent/x", CLI_FAILED, "",
	       "restante: no restante is running on /nonexistent/x: start it with `restante serve --data "
	       "/nonexistent/x`\n");
	(void)snprintf(line, sizeof(line), "status --data %s", http->folder);
	(void)snprintf(said, sizeof(said), "no restante is running on %s", http->folder);
	api_free(http->api); /* leaves the socket's name behind, as a crash does */
	http->api = NULL;
	expect(http, line, CLI_FAILED, "", said);
	assert_int_equal(unlink(http->path), 0);
	expect(http, line, CLI_FAILED, "", said);
}

static void test_permission_denied(void **state)
{
	struct http *http = *state;
	struct child child;
	char line[512];

	(void)snprintf(line, sizeof(line), "status --data %s", http->folder);
	assert_int_equal(chmod(http->path, 0), 0);
	start_as(&child, line, geteuid() == 0 ? somebody_else : geteuid());
	struct outcome outcome = finish(http, &child);
	assert_int_equal(outcome.status, CLI_FAILED);
	assert_non_null(strstr(outcome.text[ERR], "restante: permission denied on"));
	outcome_free(&outcome);
}

static void test_folder_from_the_environment(void **state)
{
	struct http *http = *state;

	assert_int_equal(setenv("RESTANTE_DATA", http->folder, 1), 0);
	expect(http, "probe example.com", CLI_OK, "done, as asked\n", "");
	assert_int_equal(unsetenv("RESTANTE_DATA"), 0);
}

/* A socket's address has room for 107 bytes, a folder's name for more. */
static void test_long_folder(void **state)
{
	struct http *http = *state;
	char folder[256], link[300], line[400];

	(void)snprintf(folder, sizeof(folder), "%s/%0150d", http->folder, 0);
	assert_int_equal(mkdir(folder, 0700), 0);
	(void)snprintf(link, sizeof(link), "%s/%s", folder, API_SOCKET_NAME);
	assert_int_equal(symlink(http->path, link), 0);
	(void)snprintf(line, sizeof(line), "probe example.com --data %s", folder);
	expect(http, line, CLI_OK, "done, as asked\n", "");
	(void)unlink(link);
	(void)rmdir(folder);
}

/* --- what is shown --- */

static void test_status_text(void **state)
{
	struct http *http = *state;
	char line[256];

	(void)snprintf(line, sizeof(line), "status --data %s", http->folder);
	expect(http, line, CLI_OK, "relay.example.net  restante 9.8.7, up 1 d 00 h, sessions 3 in, 4 out\n",
	       "");
	expect(http, line, CLI_OK, "held: 12 messages, 11.7 KiB, oldest 1 h 00 min\n", "");
	expect(http, line, CLI_OK, "recipients: 100 accepted = 24 queued + 76 ended (70 delivered)\n", "");
	expect(http, line, CLI_OK, "mail0.example.net:25  down (refused)", "");
	expect(http, line, CLI_OK, "421 4.3.2 try later", "");
	expect(http, line, CLI_OK, "probe in 5 s", "");
	expect(http, line, CLI_OK, "empty in 30 s", "");
	expect(http, line, CLI_OK, "  d0-1.example        refusing", "");
	expect(http, line, CLI_OK, "connect: connection refused", "");
	expect(http, line, CLI_OK, "(no destination yet)", "");
}

static void test_status_of_a_domain(void **state)
{
	struct http *http = *state;
	char line[256];

	(void)snprintf(line, sizeof(line), "status d1-0.example --data %s", http->folder);
	expect(http, line, CLI_OK, "mail1.example.net:25", "");
	(void)snprintf(line, sizeof(line), "status none.example --data %s", http->folder);
	expect(http, line, CLI_FAILED, "", "domain \"none.example\" is not served here");
	(void)snprintf(line, sizeof(line), "domain show none.example --data %s", http->folder);
	expect(http, line, CLI_FAILED, "", "domain \"none.example\" is not served here");
}

static void test_no_escape_sequences_reach_a_pipe(void **state)
{
	struct http *http = *state;
	static const char *const lines[] = {"status", "domain ls", "queue", "trace",
					    "message show 00000000000Z8"};
	char line[256];

	http->relay.reason = "\x1b]0;title\x07 \xC2\x9B"
			     "31m \xFF";
	http->relay.last_reply = http->relay.reason;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		(void)snprintf(line, sizeof(line), "%s --data %s", lines[i], http->folder);
		struct outcome outcome = run(http, line);
		assert_int_equal(outcome.status, CLI_OK);
		assert_null(strchr(outcome.text[OUT], '\x1b'));
		assert_null(strchr(outcome.text[OUT], '\x07'));
		assert_null(strstr(outcome.text[OUT], "\xC2\x9B"));
		outcome_free(&outcome);
	}
}

static void test_space_text(void **state)
{
	struct http *http = *state;
	struct admin_space_view *space = &http->relay.space;
	char line[256], show[256];

	(void)snprintf(line, sizeof(line), "status --data %s", http->folder);
	expect(http, line, CLI_OK, "\nspool: 20 % of 1000.0 MiB used, 800.0 MiB free\n", "");
	space->state = "warning";
	space->full_in_s = 7200;
	expect(http, line, CLI_OK, "used, 800.0 MiB free, full in 2 h 00 min\n", "");
	space->state = "full";
	expect(http, line, CLI_OK, ": FULL, senders are told to come again (452)", "");
	space->state = "failed";
	space->why = "Read-only file system";
	expect(http, line, CLI_OK, ": THE DISK FAILED: Read-only file system; nothing is accepted (451)", "");
	http->relay.share_used_up = true;
	expect(http, line, CLI_OK, "its share of the spool is used up", "");
	expect(http, line, CLI_OK, "its oldest mail expires in 3 d 00 h", "");
	(void)snprintf(show, sizeof(show), "domain show d0-1.example --data %s", http->folder);
	expect(http, show, CLI_OK, "share        30 % of the spool, 300.0 MiB: used up", "");
}

static void test_domains_text(void **state)
{
	struct http *http = *state;
	char line[256];

	(void)snprintf(line, sizeof(line), "domain ls --data %s", http->folder);
	expect(http, line, CLI_OK, "d0-0.example     open         3  2.9 KiB  mx  mail.example.com:25\n", "");
	(void)snprintf(line, sizeof(line), "domain show d0-1.example --data %s", http->folder);
	expect(http, line, CLI_OK, "state        refusing\n", "");
	expect(http, line, CLI_OK, "known        12 recipients, accepted by its server lately or listed\n",
	       "");
	expect(http, line, CLI_OK, "its server takes everybody", "");
	expect(http, line, CLI_OK, "held         3 messages, 2.9 KiB, oldest 1 h 00 min\n", "");
	expect(http, line, CLI_OK, "kept for     15 days\n", "");
}

static void test_messages_text(void **state)
{
	struct http *http = *state;
	char line[256];

	http->relay.recipients_per_message = 7;
	(void)snprintf(line, sizeof(line), "queue --data %s", http->folder);
	expect(http, line, CLI_OK, "00000000000Z8  held 5 s, 1000 B, from sender@example.org\n", "");
	expect(http, line, CLI_OK, "    to user@d0-0.example: connect: connection refused; probe in 4 s\n",
	       "");
	expect(http, line, CLI_OK, "    and 2 more: `restante message show 00000000000Z8`\n", "");
	(void)snprintf(line, sizeof(line), "trace --data %s", http->folder);
	expect(http, line, CLI_OK, "delivered  sender@example.org -> user@d0-0.example\n    250 2.0.0 ok\n",
	       "");
	expect(http, line, CLI_OK, "refused at the door", "");
	(void)snprintf(line, sizeof(line), "message show 00000000000Z8 --data %s", http->folder);
	expect(http, line, CLI_OK, "        last reply: 421 4.3.2 try later\n", "");
	(void)snprintf(line, sizeof(line), "message show 00000000000Z7 --data %s", http->folder);
	expect(http, line, CLI_FAILED, "", "message 00000000000Z7 is not held");
	http->relay.message_count = 0;
	(void)snprintf(line, sizeof(line), "queue --data %s", http->folder);
	expect(http, line, CLI_OK, "nothing is held that matches\n", "");
}

/* More than one answer of the API holds. */
static void test_queue_of_many(void **state)
{
	struct http *http = *state;
	char line[256];
	static const size_t limits[] = {999, 1000, 1001, 2500, 3000};

	http->relay.message_count = 2500;
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		(void)snprintf(line, sizeof(line), "queue --json --limit %zu --data %s", limits[i],
			       http->folder);
		struct outcome outcome = run(http, line);
		json_t *value = json_loads(outcome.text[OUT], 0, NULL);
		size_t wanted = limits[i] < 2500 ? limits[i] : 2500;
		assert_int_equal(json_array_size(json_object_get(value, "messages")), wanted);
		assert_int_equal(json_is_true(json_object_get(value, "more")), limits[i] < 2500);
		json_decref(value);
		outcome_free(&outcome);
	}
}

/* --- recipients --- */

static void test_recipients_of_many(void **state)
{
	struct http *http = *state;
	char line[256];

	(void)snprintf(line, sizeof(line), "recipient ls d0-0.example --data %s", http->folder);
	expect(http, line, CLI_OK, "nothing is known of its recipients yet", "");
	http->relay.recipient_count = 2500;
	expect(http, line, CLI_OK, "user100000@d0-0.example  pinned, accepted ", "");
	expect(http, line, CLI_OK, "user102499@d0-0.example  good, accepted ", "");
	(void)snprintf(line, sizeof(line), "recipient ls d0-0.example --json --data %s", http->folder);
	struct outcome outcome = run(http, line);
	json_t *value = json_loads(outcome.text[OUT], 0, NULL);
	assert_int_equal(json_array_size(json_object_get(value, "recipients")), 2500);
	assert_true(json_is_null(json_object_get(value, "next")));
	json_decref(value);
	outcome_free(&outcome);
}

/* What the command says of a list; heard: what the relay was told last, NULL: nothing at all. */
static const struct {
	const char *list, *heard, *out, *err;
} lists[] = {
    {"joe@a.example\n", "import a.example 1 joe..joe",
     "recipients of a.example listed, not refused at our door: 1\n", ""},
    {"joe\nann", "import a.example 2 joe..ann", "our door: 2\n", ""},
    {"\xEF\xBB\xBF"
     "Email;Name\r\nJoe@A.example;Joe\r\n\r\n# gone\r\n",
     "import a.example 1 Joe..Joe", "our door: 1\n", ""},
    {"\"joe@a.example\",\"Doe, Joe\"\n", "import a.example 1 joe..joe", NULL, ""},
    {"\"\"\"a b\"\"@a.example\",x\n", "import a.example 1 \"a b\"..\"a b\"", NULL, ""},
    {"", NULL, "", "there is no address in"},
    {"email\n", NULL, "", "there is no address in"},
    {"joe\nemail x\n", NULL, "", "line 2: \"email x\" is no address"},
    {"joe\nann@b.example\nbob\n", NULL, "", "line 2: \"ann@b.example\" is of another domain"},
    {"joe\nann@b.example\n", NULL, "", "1 of 2 lines cannot be used, nothing was changed"},
    {"\"joe\n", NULL, "", "has a quote that does not end"},
    {"a\xFF@a.example\n", NULL, "", "line 1: "},
    {"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggggg\n", NULL, "",
     "64 bytes before the @"},
};

static void test_lists_of_recipients(void **state)
{
	struct http *http = *state;
	char path[256], line[512];

	(void)snprintf(path, sizeof(path), "%s/list.csv", http->folder);
	(void)snprintf(line, sizeof(line), "recipient import a.example %s --data %s", path, http->folder);
	expect(http, line, CLI_FAILED, "", "list.csv: No such file");
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		FILE *list = fopen(path, "we");
		assert_non_null(list);
		assert_int_equal(fwrite(lists[i].list, 1, strlen(lists[i].list), list),
				 strlen(lists[i].list));
		assert_int_equal(fclose(list), 0);
		size_t heard = http->relay.heard_count;
		expect(http, line, lists[i].heard != NULL ? CLI_OK : CLI_FAILED, lists[i].out, lists[i].err);
		assert_int_equal(http->relay.heard_count - heard, lists[i].heard != NULL);
		if (lists[i].heard != NULL)
			assert_string_equal(http->relay.heard, lists[i].heard);
	}
	assert_int_equal(unlink(path), 0);
}

/* More than one request takes; the relay refuses: nothing is said to be done that is not. */
static void test_a_long_list_of_recipients(void **state)
{
	struct http *http = *state;
	char path[256], line[512];

	(void)snprintf(path, sizeof(path), "%s/list.csv", http->folder);
	FILE *list = fopen(path, "we");
	assert_non_null(list);
	for (int i = 0; i < 1001; i++)
		(void)fprintf(list, "%064d@a.example\n", i);
	assert_int_equal(fclose(list), 0);
	(void)snprintf(line, sizeof(line), "recipient import a.example %s --json --data %s", path,
		       http->folder);
	expect(http, line, CLI_OK, "{\"imported\":1001}", "");
	assert_int_equal(http->relay.heard_count, 3);
	http->relay.result.error = ERR_IO;
	expect(http, line, CLI_FAILED, "\"io\"", "");
	assert_int_equal(unlink(path), 0);
}

static void test_message_cat(void **state)
{
	struct http *http = *state;
	char line[256];

	http->relay.content_bytes = 300000;
	(void)snprintf(line, sizeof(line), "message cat 00000000000Z8 --data %s", http->folder);
	struct outcome outcome = run(http, line);
	assert_int_equal(outcome.status, CLI_OK);
	assert_int_equal(strlen(outcome.text[OUT]), 300000);
	for (size_t i = 0; i < 300000; i++)
		if (outcome.text[OUT][i] != fake_content_byte(i))
			fail_msg("byte %zu is wrong", i);
	outcome_free(&outcome);

	http->relay.result.error = ERR_MISSING;
	(void)snprintf(http->relay.result.message, sizeof(http->relay.result.message), "no such message");
	expect(http, line, CLI_FAILED, "", "restante: no such message\n");
}

static void test_json_is_json(void **state)
{
	struct http *http = *state;
	static const char *const lines[] = {"status",
					    "status d0-0.example",
					    "domain ls",
					    "domain show d0-0.example",
					    "queue",
					    "trace",
					    "message show 00000000000Z8",
					    "domain add a",
					    "domain set a hold=3",
					    "domain rm a",
					    "hold a",
					    "resume a",
					    "probe a",
					    "message release 00000000000Z8",
					    "message rm 00000000000Z8",
					    "status none.example",
					    "doctor none.example"};
	char line[256];

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		(void)snprintf(line, sizeof(line), "%s --json --data %s", lines[i], http->folder);
		struct outcome outcome = run(http, line);
		json_t *value = json_loads(outcome.text[OUT], 0, NULL);
		if (value == NULL || outcome.text[ERR][0] != '\0')
			fail_msg("%s: %s%s", line, outcome.text[OUT], outcome.text[ERR]);
		json_decref(value);
		outcome_free(&outcome);
	}
}

/* Two pictures a second apart, then Ctrl-C. */
static void test_watch(void **state)
{
	struct http *http = *state;
	struct child child;
	char line[256];
	const char *text;

	(void)snprintf(line, sizeof(line), "status --watch --data %s", http->folder);
	start(&child, line);
	do {
		turn(http, &child);
		check(buffer_append(&child.output[OUT], "", 1) == 0);
		text = strstr(buffer_slice(&child.output[OUT]).data, "held: ");
		text = text != NULL ? strstr(text + 1, "held: ") : NULL;
		buffer_truncate(&child.output[OUT], buffer_size(&child.output[OUT]) - 1);
	} while (text == NULL);
	assert_int_equal(kill(child.pid, SIGINT), 0);
	struct outcome outcome = finish(http, &child);
	assert_int_equal(outcome.status, CLI_OK);
	assert_non_null(strstr(outcome.text[OUT], "[........................................]   0 %"));
	assert_null(strchr(outcome.text[OUT], '\x1b'));
	outcome_free(&outcome);
}

static void test_watch_ends_with_the_daemon(void **state)
{
	struct http *http = *state;
	struct child child;
	char line[256];

	(void)snprintf(line, sizeof(line), "status --watch --data %s", http->folder);
	start(&child, line);
	while (buffer_size(&child.output[OUT]) == 0)
		turn(http, &child);
	api_free(http->api);
	http->api = NULL;
	struct outcome outcome = finish(http, &child);
	assert_int_equal(outcome.status, CLI_FAILED);
	assert_non_null(strstr(outcome.text[ERR], "no restante is running"));
	outcome_free(&outcome);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_what_the_relay_hears, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_a_change_prints_what_the_relay_says, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_a_refusal_is_shown, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_bad_usage, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_help, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_nobody_there, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_permission_denied, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_folder_from_the_environment, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_long_folder, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_status_text, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_status_of_a_domain, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_no_escape_sequences_reach_a_pipe, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_domains_text, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_space_text, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_messages_text, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_queue_of_many, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_recipients_of_many, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_lists_of_recipients, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_a_long_list_of_recipients, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_message_cat, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_json_is_json, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_watch, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_watch_ends_with_the_daemon, setup, teardown),
	};

	return cmocka_run_group_tests_name("cli", tests, NULL, NULL);
}
