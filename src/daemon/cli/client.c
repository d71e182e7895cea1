#include "daemon/cli/client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "api/api.h"
#include "daemon/cli/format.h"

enum { ANSWER_TIMEOUT_S = API_ANSWER_TIMEOUT_MS / 1000 + 30, STALL_S = 60 };

/* Where an answer goes: refusals are kept, whatever is wanted of the rest. */
struct sink {
	CURL *curl;
	struct buffer *kept;
	FILE *stream; /* NULL: everything is kept */
	bool failed;
};

/* --- opening --- */

/* A socket's address has room for 107 bytes: a longer path is taken by way of the folder's descriptor. */
static int shorten(struct client *client)
{
	client->folder = open(client->data, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (client->folder == -1)
		return 0; /* the connection will say what is wrong */
	(void)snprintf(client->socket, sizeof(client->socket), "/proc/self/fd/%d/%s", client->folder,
		       API_SOCKET_NAME);
	return 0;
}

int client_open(struct client *client, const char *data, bool json)
{
	*client = (struct client){.data = data, .json = json, .folder = -1, .curl = curl_easy_init()};
	if (client->curl == NULL) {
		(void)fprintf(stderr, "restante: out of memory\n");
		return ERR_MEMORY;
	}
	int size = snprintf(client->socket, sizeof(client->socket), "%s/%s", data, API_SOCKET_NAME);
	if (size < 0 || (size_t)size >= sizeof(client->socket)) {
		(void)fprintf(stderr, "restante: the name of the data folder is too long\n");
		return ERR_LIMIT;
	}
	return (size_t)size >= sizeof(((struct sockaddr_un *)0)->sun_path) ? shorten(client) : 0;
}

void client_end(struct client *client)
{
	curl_easy_cleanup(client->curl);
	if (client->folder != -1)
		(void)close(client->folder);
}

/* --- what went wrong --- */

/* curl does not say reliably why it could not connect: the system does. */
static int connect_errno(const struct client *client)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, error = 0;

	if (strlen(client->socket) >= sizeof(address.sun_path))
		return ENOENT;
	memcpy(address.sun_path, client->socket, strlen(client->socket));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) == -1)
		error = errno;
	if (fd != -1)
		(void)close(fd);
	return error;
}

static void say_unreachable(const struct client *client)
{
	int error = connect_errno(client);

	if (error == ENOENT || error == ECONNREFUSED || error == ENOTDIR)
		(void)fprintf(
		    stderr,
		    "restante: no restante is running on %s: start it with `restante serve --data %s`\n",
		    client->data, client->data);
	else if (error == EACCES || error == EPERM)
		(void)fprintf(stderr,
			      "restante: permission denied on %s/%s: only root and the user who runs the "
			      "daemon may use it\n",
			      client->data, API_SOCKET_NAME);
	else
		(void)fprintf(stderr, "restante: cannot connect to %s/%s: %s\n", client->data,
			      API_SOCKET_NAME,
			      error != 0 ? strerror(error) : "the daemon is busy; try again");
}

static void say_broken(const struct client *client, CURLcode code)
{
	if (code == CURLE_COULDNT_CONNECT)
		say_unreachable(client);
	else if (code == CURLE_OPERATION_TIMEDOUT)
		(void)fprintf(
		    stderr,
		    "restante: the daemon on %s does not answer; what was asked for may still happen\n",
		    client->data);
	else
		(void)fprintf(stderr, "restante: the daemon on %s broke off the answer: %s\n", client->data,
			      curl_easy_strerror(code));
}

static void say_refused(const struct client *client, const struct buffer *answer, long status)
{
	struct slice bytes = buffer_slice(answer);
	json_t *value = json_loadb(bytes.data != NULL ? bytes.data : "", bytes.size, 0, NULL);
	const char *message = json_string_value(json_object_get(json_object_get(value, "error"), "message"));

	if (client->json && bytes.size > 0) {
		(void)fwrite(bytes.data, 1, bytes.size, stdout);
		(void)putchar('\n');
	} else {
		(void)fprintf(stderr, "restante: ");
		if (message != NULL)
			print_safe(stderr, message);
		else
			(void)fprintf(stderr, "the daemon on %s answered with status %ld", client->data,
				      status);
		(void)fputc('\n', stderr);
	}
	json_decref(value);
}

/* --- one request --- */

static size_t take_bytes(char *bytes, size_t size, size_t count, void *owner)
{
	struct sink *sink = owner;
	size_t total = size * count;
	long status = 0;

	(void)curl_easy_getinfo(sink->curl, CURLINFO_RESPONSE_CODE, &status);
	if (sink->stream != NULL && status == 200)
		sink->failed = fwrite(bytes, 1, total, sink->stream) != total;
	else
		sink->failed = buffer_append(sink->kept, bytes, total) != 0;
	return sink->failed ? 0 : total;
}

static void set_options(const struct client *client, const char *method, const char *url, const char *body,
			struct sink *sink)
{
	CURL *curl = client->curl;

	curl_easy_reset(curl);
	(void)curl_easy_setopt(curl, CURLOPT_URL, url);
	(void)curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, client->socket);
	(void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
	(void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
	if (body != NULL)
		(void)curl_easy_setopt(curl, CURLOPT_COPYPOSTFIELDS, body);
	(void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, sink);
	if (sink->stream == NULL) {
		(void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)ANSWER_TIMEOUT_S);
	} else {
		(void)curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
		(void)curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)STALL_S);
	}
}

static int perform(struct client *client, const char *method, const char *target, const char *body,
		   struct sink *sink, long *ret_status)
{
	struct buffer url;
	CURLcode code = CURLE_OUT_OF_MEMORY;
	long status = 0;

	buffer_init(&url, 0);
	if (buffer_printf(&url, "http://localhost%s%c", target, '\0') == 0) {
		set_options(client, method, buffer_slice(&url).data, body, sink);
		code = curl_easy_perform(client->curl);
		(void)curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
	}
	buffer_deinit(&url);
	if (code != CURLE_OK) {
		say_broken(client, code);
		return ERR_IO;
	}
	*ret_status = status;
	if (status >= 200 && status < 300)
		return 0;
	say_refused(client, sink->kept, status);
	return ERR_STATE;
}

int client_request(struct client *client, const char *method, const char *target, const json_t *body,
		   struct buffer *ret_answer, long *ret_status)
{
	struct sink sink = {.curl = client->curl, .kept = ret_answer};
	char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
	long status = 0;

	if (body != NULL && text == NULL) {
		(void)fprintf(stderr, "restante: a name or value is not UTF-8\n");
		return ERR_SYNTAX;
	}
	int error = perform(client, method, target, text, &sink, &status);
	free(text);
	if (ret_status != NULL)
		*ret_status = status;
	return error;
}

json_t *client_json(struct client *client, const char *method, const char *target, const json_t *body)
{
	struct buffer answer;
	json_t *value = NULL;

	buffer_init(&answer, CLIENT_ANSWER_MAX);
	if (client_request(client, method, target, body, &answer, NULL) == 0) {
		struct slice bytes = buffer_slice(&answer);
		value = json_loadb(bytes.data != NULL ? bytes.data : "", bytes.size, 0, NULL);
		if (value == NULL)
			(void)fprintf(stderr, "restante: the daemon on %s gave an answer that is not JSON\n",
				      client->data);
	}
	buffer_deinit(&answer);
	return value;
}

int client_stream(struct client *client, const char *target, FILE *to)
{
	struct buffer refusal;
	struct sink sink = {.curl = client->curl, .kept = &refusal, .stream = to};
	long status;

	buffer_init(&refusal, CLIENT_ANSWER_MAX);
	int error = perform(client, "GET", target, NULL, &sink, &status);
	buffer_deinit(&refusal);
	return error;
}

int client_escape(struct buffer *to, const char *name)
{
	static const char digits[] = "0123456789ABCDEF";
	int error = 0;

	for (; *name != '\0' && error == 0; name++) {
		unsigned char c = (unsigned char)*name;
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			     strchr("-._~@", c) != NULL;
		char escaped[3] = {'%', digits[c >> 4], digits[c & 15]};
		error = plain ? buffer_append(to, name, 1) : buffer_append(to, escaped, sizeof(escaped));
	}
	return error;
}
