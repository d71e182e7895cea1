/* doctor: goes to each destination as the relay would, and says what is wrong in words that help.
 *
 * Checks from here: the hosts' names, the connection, the banner. What the relay itself has seen comes from
 * status.
 */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/cli.h"
#include "daemon/cli/commands.h"
#include "daemon/cli/format.h"
#include "daemon/cli/table.h"

enum { CONNECT_TIMEOUT_MS = 5000, BANNER_TIMEOUT_MS = 10000, HOST_MAX = 300, BANNER_MAX = 512 };

struct doctor {
	bool colour;
	unsigned problems;
	json_t *checks; /* --json: what would be printed; else NULL */
};

static void print_check(const struct doctor *doctor, bool good, const char *about, const char *words)
{
	enum table_style style = good ? STYLE_GOOD : STYLE_BAD;

	(void)printf("  ");
	style_begin(stdout, doctor->colour, style);
	(void)fputs(good ? "ok " : "FIX", stdout);
	style_end(stdout, doctor->colour, style);
	(void)printf("  ");
	print_safe(stdout, about);
	(void)printf(": ");
	print_safe(stdout, words);
	(void)putchar('\n');
}

/* A banner may be any bytes, which JSON cannot carry: those are left out. */
static json_t *text_value(const char *text)
{
	json_t *value = json_string(text);

	return value != NULL ? value : json_string("(not UTF-8)");
}

static void say(const struct doctor *doctor, bool good, const char *about, const char *words)
{
	if (doctor->checks == NULL)
		print_check(doctor, good, about, words);
	else
		(void)json_array_append_new(doctor->checks,
					    json_pack("{s:o, s:b, s:o}", "about", text_value(about), "ok",
						      good, "message", text_value(words)));
}

static void say_good(const struct doctor *doctor, const char *about, const char *words)
{
	say(doctor, true, about, words);
}

static void say_bad(struct doctor *doctor, const char *about, const char *words)
{
	doctor->problems++;
	say(doctor, false, about, words);
}

/* --- one host --- */

/* "host:port", "[v6]:port" or "host". False: it does not fit. */
static bool split_host(struct slice text, char host[HOST_MAX], char port[8])
{
	size_t colon = slice_find_last(text, ':'), bracket = slice_find_last(text, ']');
	bool has_port = colon < text.size && (bracket == text.size || bracket < colon);
	struct slice name = has_port ? slice_upto(text, colon) : text;
	struct slice number = has_port ? slice_from(text, colon + 1) : SLICE("25");

	if (name.size >= 2 && name.data[0] == '[' && name.data[name.size - 1] == ']')
		name = slice_make(name.data + 1, name.size - 2);
	if (name.size == 0 || name.size >= HOST_MAX || number.size == 0 || number.size >= 8)
		return false;
	(void)snprintf(host, HOST_MAX, "%.*s", SLICE_ARG(name));
	(void)snprintf(port, 8, "%.*s", SLICE_ARG(number));
	return true;
}

/* 0, or the errno of why not. */
static int wait_connected(int fd)
{
	struct pollfd wait = {.fd = fd, .events = POLLOUT};
	socklen_t size = sizeof(int);
	int error = 0;

	if (poll(&wait, 1, CONNECT_TIMEOUT_MS) <= 0)
		return ETIMEDOUT;
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == -1 ? errno : error;
}

/* A connected descriptor, or -1 with errno. */
static int connect_to(const struct addrinfo *address)
{
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int error = 0;

	if (fd == -1)
		return -1;
	if (connect(fd, address->ai_addr, address->ai_addrlen) == -1)
		error = errno == EINPROGRESS ? wait_connected(fd) : errno;
	if (error == 0)
		return fd;
	(void)close(fd);
	errno = error;
	return -1;
}

/* The first line that the server says, without its end. */
static bool read_banner(int fd, char banner[BANNER_MAX])
{
	size_t used = 0;

	while (used + 1 < BANNER_MAX) {
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		ssize_t got = poll(&wait, 1, BANNER_TIMEOUT_MS) == 1 ? read(fd, banner + used, 1) : 0;
		if (got <= 0 || banner[used] == '\n')
			break;
		used++;
	}
	while (used > 0 && banner[used - 1] == '\r')
		used--;
	banner[used] = '\0';
	return used > 0;
}

static void check_banner(struct doctor *doctor, const char *about, int fd)
{
	char banner[BANNER_MAX], words[BANNER_MAX + 100];

	if (!read_banner(fd, banner)) {
		say_bad(doctor, about,
			"connected, but it says nothing: is this an SMTP server, and may we use it?");
	} else if (strncmp(banner, "220", 3) != 0) {
		(void)snprintf(words, sizeof(words),
			       "it does not want us: \"%s\": allow-list this relay there", banner);
		say_bad(doctor, about, words);
	} else {
		say_good(doctor, about, banner);
	}
	/* Leaving without a QUIT would be logged there as an error. */
	(void)!write(fd, "QUIT\r\n", 6);
}

static void check_address(struct doctor *doctor, const char *host, const struct addrinfo *address)
{
	char about[2 * HOST_MAX], numeric[NI_MAXHOST] = "?", words[200];
	int fd = connect_to(address), error = errno;

	(void)getnameinfo(address->ai_addr, address->ai_addrlen, numeric, sizeof(numeric), NULL, 0,
			  NI_NUMERICHOST);
	(void)snprintf(about, sizeof(about), "%.290s [%.60s]", host, numeric);
	if (fd == -1) {
		(void)snprintf(words, sizeof(words),
			       "cannot connect: %s: is the server running, and does its firewall let us in?",
			       strerror(error));
		say_bad(doctor, about, words);
		return;
	}
	check_banner(doctor, about, fd);
	(void)close(fd);
}

static void check_host(struct doctor *doctor, struct slice text)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *addresses = NULL;
	char host[HOST_MAX], port[8], words[200];

	if (!split_host(text, host, port))
		return;
	int error = getaddrinfo(host, port, &hints, &addresses);
	if (error != 0) {
		(void)snprintf(words, sizeof(words), "has no address: %s: correct its A or AAAA record",
			       gai_strerror(error));
		say_bad(doctor, host, words);
		return;
	}
	for (const struct addrinfo *address = addresses; address != NULL; address = address->ai_next)
		check_address(doctor, host, address);
	freeaddrinfo(addresses);
}

/* --- what the relay knows --- */

static void check_queue(struct doctor *doctor, const json_t *domain)
{
	const char *state = text_of(domain, "state"), *name = text_of(domain, "name"),
		   *reason = text_of(domain, "reason");
	char words[700];

	if (strcmp(state, "open") == 0) {
		say_good(doctor, name, "its queue is open");
		return;
	}
	if (strcmp(state, "paused") == 0)
		(void)snprintf(words, sizeof(words), "held by hand: `restante resume %.255s` lets it flow",
			       name);
	else if (strcmp(state, "waiting") == 0)
		(void)snprintf(words, sizeof(words),
			       "no destination: %.200s: `restante domain set %.255s to=HOST` names one",
			       reason, name);
	else
		(void)snprintf(words, sizeof(words), "its server refuses this domain's mail: \"%.500s\"",
			       reason);
	say_bad(doctor, name, words);
}

static void check_hosts_of(struct doctor *doctor, const json_t *domain)
{
	struct slice hosts = slice_of(text_of(domain, "hosts")), host;

	while (hosts.size > 0 && slice_split(&hosts, ',', &host))
		check_host(doctor, slice_trim(host));
}

static void check_lane(struct doctor *doctor, const json_t *lane)
{
	const char *name = text_of(lane, "lane");
	const json_t *domains = json_object_get(lane, "domains"), *domain;
	char words[300];
	size_t i;

	if (doctor->checks == NULL)
		(void)printf("%s%s\n", name[0] != '\0' ? "lane " : "domains without a destination", name);
	if (strcmp(text_of(lane, "state"), "down") == 0) {
		(void)snprintf(words, sizeof(words), "down (%s): %.200s", text_of(lane, "kind"),
			       text_of(lane, "last_reply"));
		say_bad(doctor, name, words);
	}
	json_array_foreach(domains, i, domain) check_queue(doctor, domain);
	/* One lane is one set of hosts: its first domain names them. */
	check_hosts_of(doctor, json_array_get(domains, 0));
}

static void check_space(struct doctor *doctor, const json_t *space)
{
	const char *state = text_of(space, "state");
	char words[400], free_bytes[FORMAT_SIZE];

	if (doctor->checks == NULL)
		(void)puts("the spool");
	(void)format_bytes((uint64_t)number_of(space, "free_bytes"), free_bytes);
	if (strcmp(state, "ok") == 0) {
		(void)snprintf(words, sizeof(words), "%.0f %% used", number_of(space, "used_percent"));
		say_good(doctor, "room", words);
		return;
	}
	if (strcmp(state, "failed") == 0)
		(void)snprintf(
		    words, sizeof(words),
		    "the disk failed: %.200s: nothing is accepted; repair it, then restart restante",
		    text_of(space, "why"));
	else if (strcmp(state, "full") == 0)
		(void)snprintf(
		    words, sizeof(words),
		    "it is full: senders are told to come again; make room on the disk, the rest goes by "
		    "itself");
	else
		(void)snprintf(
		    words, sizeof(words),
		    "%.0f %% used, %s free: bring back the servers that are down, or make room on the disk",
		    number_of(space, "used_percent"), free_bytes);
	say_bad(doctor, "room", words);
}

static void print_summary(const struct doctor *doctor, bool any)
{
	if (!any)
		(void)puts("no domain is served yet: `restante domain add NAME`");
	else if (doctor->problems == 0)
		(void)puts("all is well");
	else
		(void)printf("%u to look at\n", doctor->problems);
}

static void print_checks(struct doctor *doctor)
{
	json_t *answer = json_pack("{s:i, s:O}", "problems", (int)doctor->problems, "checks", doctor->checks);
	char *text = json_dumps(answer, JSON_COMPACT);

	if (text != NULL)
		(void)puts(text);
	free(text);
	json_decref(answer);
}

static int examine(const json_t *status, bool json)
{
	struct doctor doctor = {.colour = colour_wanted(stdout), .checks = json ? json_array() : NULL};
	const json_t *lanes = json_object_get(status, "lanes"), *lane;
	size_t i;

	check_space(&doctor, json_object_get(status, "space"));
	json_array_foreach(lanes, i, lane) check_lane(&doctor, lane);
	if (doctor.checks != NULL)
		print_checks(&doctor);
	else
		print_summary(&doctor, json_array_size(lanes) > 0);
	json_decref(doctor.checks);
	return doctor.problems == 0 ? CLI_OK : CLI_FAILED;
}

int run_doctor(struct client *client, const struct arguments *arguments)
{
	bool named = arguments->word_count > 0;
	struct buffer target;
	int status = CLI_FAILED;

	if (target_of(&target, named ? "/v1/status?domain=" : "/v1/status", named ? arguments->words[0] : "",
		      "") == 0) {
		json_t *answer = client_pages(client, buffer_slice(&target).data, "lanes");
		if (answer != NULL)
			status = examine(answer, arguments->json);
		json_decref(answer);
	}
	buffer_deinit(&target);
	return status;
}
