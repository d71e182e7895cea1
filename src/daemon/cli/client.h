/* Requests to the daemon of a data folder, over its Unix socket.
 *
 * What goes wrong is said on standard error, in words that name the folder and what to do.
 */
#ifndef DAEMON_CLI_CLIENT_H
#define DAEMON_CLI_CLIENT_H

#include <curl/curl.h>
#include <jansson.h>

#include "base/buffer.h"

enum { CLIENT_PATH_MAX = 4096, CLIENT_ANSWER_MAX = 128 * 1024 * 1024 };

struct client {
	const char *data; /* the folder */
	bool json;	  /* refusals go to standard output as the API wrote them */
	CURL *curl;
	int folder; /* descriptor of the folder when its path is too long for a socket address; -1 */
	char socket[CLIENT_PATH_MAX];
};

/* ERR_MEMORY, ERR_LIMIT (path too long): said. client_end in every case. */
nodiscard int client_open(struct client *client, const char *data, bool json);
void client_end(struct client *client);

/* body: JSON to send, or NULL (not taken over). The answer (2yz) is appended to ret_answer. ERR_IO: no
 * answer; ERR_STATE: refused, *ret_status says how (may be NULL). Both are said. */
nodiscard int client_request(struct client *client, const char *method, const char *target,
			     const json_t *body, struct buffer *ret_answer, long *ret_status);
/* The same with the answer parsed; NULL on failure. The caller's: json_decref. */
json_t *client_json(struct client *client, const char *method, const char *target, const json_t *body);
/* Writes the answer's bytes to a stream as they come. */
nodiscard int client_stream(struct client *client, const char *target, FILE *to);

/* Appends a name with everything escaped that is not plain in a path or query. ERR_MEMORY. */
nodiscard int client_escape(struct buffer *to, const char *name);

#endif
