#include "daemon/demo_relay.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "api/api.h"

enum { API_TIMEOUT_MS = 2000, STOP_MS = 10000, TEXT_MAX = 65536, ANSWER_MAX = 1024 * 1024 };

/* --- the process --- */

static int make_folder(struct demo_relay *relay)
{
	(void)snprintf(relay->folder, sizeof(relay->folder), "/tmp/restante-demo-XXXXXX");
	if (mkdtemp(relay->folder) != NULL)
		return 0;
	relay->folder[0] = '\0';
	return ERR_IO;
}

/* In the child. Its own words go to relay.log, what it prints at its start to us. */
_Noreturn static void become_relay(const struct demo_relay *relay, uint16_t server_port, int output)
{
	char data[sizeof(relay->folder) + 8], log[sizeof(relay->folder) + 16], domain[64];
	(void)snprintf(data, sizeof(data), "%s/data", relay->folder);
	(void)snprintf(log, sizeof(log), "%s/relay.log", relay->folder);
	(void)snprintf(domain, sizeof(domain), "example.com=127.0.0.1:%u", server_port);
	int errors = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (errors >= 0)
		(void)dup2(errors, STDERR_FILENO);
	(void)dup2(output, STDOUT_FILENO);
	(void)setpgid(0, 0); /* the terminal's interrupt is for us alone; we stop it */
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
	(void)execl("/proc/self/exe", "restante", "serve", "--data", data, "--listen", "127.0.0.1:0",
		    "--hostname", "relay.example.org", "--domain", domain, (char *)NULL);
	_exit(127);
}

int demo_relay_start(struct demo_relay *relay, uint16_t server_port, char *ret_message, size_t size)
{
	int ends[2];
	*relay = (struct demo_relay){.output = -1};
	buffer_init(&relay->text, TEXT_MAX);
	if (make_folder(relay) != 0 || pipe2(ends, O_CLOEXEC) != 0) {
		(void)snprintf(ret_message, size, "cannot make a folder in /tmp: %s", strerror(errno));
		return ERR_IO;
	}
	(void)fflush(NULL);
	relay->process = fork();
	if (relay->process == 0)
		become_relay(relay, server_port, ends[1]);
	(void)close(ends[1]);
	relay->output = ends[0];
	if (relay->process > 0)
		return 0;
	relay->process = 0;
	(void)snprintf(ret_message, size, "cannot start a process: %s", strerror(errno));
	return ERR_IO;
}

/* "  SMTP  127.0.0.1:12345" */
static bool parse_address(struct slice text, struct net_address *ret_address)
{
	static const char field[] = "SMTP  127.0.0.1:";
	const char *place = memmem(text.data, text.size, field, sizeof(field) - 1);
	uint64_t port = 0;
	if (place == NULL || slice_find(text, '\n') == text.size)
		return false;
	struct slice rest = slice_from(text, (size_t)(place - text.data) + sizeof(field) - 1);
	size_t end = slice_find(rest, '\n');
	return end < rest.size && slice_to_u64(slice_trim(slice_upto(rest, end)), &port) == 0 &&
	       net_address_parse(SLICE("127.0.0.1"), (uint16_t)port, ret_address) == 0;
}

int demo_relay_wait(struct demo_relay *relay, int timeout_ms)
{
	struct pollfd output = {.fd = relay->output, .events = POLLIN};
	char bytes[1024];
	while (poll(&output, 1, timeout_ms) > 0) {
		ssize_t count = read(relay->output, bytes, sizeof(bytes));
		if (count <= 0 || buffer_append(&relay->text, bytes, (size_t)count) != 0)
			return ERR_STATE;
		if (parse_address(buffer_slice(&relay->text), &relay->address))
			return 0;
	}
	return ERR_STATE;
}

bool demo_relay_running(struct demo_relay *relay)
{
	if (relay->process > 0 && waitpid(relay->process, NULL, WNOHANG) == relay->process)
		relay->process = 0;
	return relay->process > 0;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *place)
{
	(void)status;
	(void)kind;
	(void)place;
	return remove(path);
}

static void wait_for_end(struct demo_relay *relay)
{
	(void)kill(relay->process, SIGTERM);
	for (int waited_ms = 0; demo_relay_running(relay); waited_ms += 20) {
		if (waited_ms >= STOP_MS)
			(void)kill(relay->process, SIGKILL);
		(void)poll(NULL, 0, 20);
	}
}

void demo_relay_stop(struct demo_relay *relay)
{
	if (relay->process > 0)
		wait_for_end(relay);
	if (relay->output >= 0)
		(void)close(relay->output);
	relay->output = -1;
	buffer_deinit(&relay->text);
	if (relay->folder[0] != '\0')
		(void)nftw(relay->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	relay->folder[0] = '\0';
}

/* --- its API --- */

static size_t answer_part(char *bytes, size_t size, size_t count, void *owner)
{
	struct buffer *answer = owner;
	return buffer_append(answer, bytes, size * count) == 0 ? size * count : 0;
}

static int ask(const struct demo_relay *relay, struct buffer *ret_answer)
{
	char path[128];
	CURL *curl = curl_easy_init();
	if (curl == NULL)
		return ERR_MEMORY;
	(void)snprintf(path, sizeof(path), "%s/data/" API_SOCKET_NAME, relay->folder);
	(void)curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, path);
	(void)curl_easy_setopt(curl, CURLOPT_URL, "http://localhost/v1/status");
	(void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)API_TIMEOUT_MS);
	(void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, answer_part);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, ret_answer);
	CURLcode code = curl_easy_perform(curl);
	curl_easy_cleanup(curl);
	return code == CURLE_OK ? 0 : ERR_IO;
}

static void take_text(const json_t *object, const char *key, char *ret_text, size_t size)
{
	const char *text = json_string_value(json_object_get(object, key));
	(void)snprintf(ret_text, size, "%s", text != NULL ? text : "");
}

static double take_number(const json_t *object, const char *key)
{
	const json_t *number = json_object_get(object, key);
	return json_is_number(number) ? json_number_value(number) : -1;
}

static void take_status(const json_t *status, struct demo_status *s)
{
	const json_t *held = json_object_get(json_object_get(status, "held"), "messages");
	const json_t *lane = json_array_get(json_object_get(status, "lanes"), 0);
	s->known = json_is_integer(held);
	s->held = s->known ? (uint64_t)json_integer_value(held) : 0;
	take_text(lane, "state", s->state, sizeof(s->state));
	take_text(lane, "phase", s->phase, sizeof(s->phase));
	take_text(lane, "kind", s->kind, sizeof(s->kind));
	s->window = take_number(lane, "window");
	s->rate_per_s = take_number(lane, "rate_per_s");
	s->next_probe_s = take_number(lane, "next_probe_s");
	s->eta_s = take_number(lane, "eta_s");
}

void demo_relay_status(const struct demo_relay *relay, struct demo_status *ret_status)
{
	struct buffer answer;
	*ret_status = (struct demo_status){.known = false};
	buffer_init(&answer, ANSWER_MAX);
	if (ask(relay, &answer) == 0) {
		struct slice text = buffer_slice(&answer);
		json_t *status = json_loadb(text.data, text.size, 0, NULL);
		if (status != NULL)
			take_status(status, ret_status);
		json_decref(status);
	}
	buffer_deinit(&answer);
}
