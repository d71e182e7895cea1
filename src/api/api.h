/* The HTTP API: the relay's administration as JSON, and its figures for Prometheus.
 *
 * One struct api is one listener: the Unix socket of the data folder (its permissions protect it, no token),
 * or an address given with --api (every request but /healthz needs the token). No thread and no loop of its
 * own: the owner's loop polls api_fd for reading, and calls api_run when it is readable and when
 * api_timeout_ms has passed. A request that the relay answers later is suspended meanwhile, so one slow
 * answer holds nobody up.
 *
 * Routes (errors are {"error":{"code","message"}}):
 *   GET    /v1/status[?domain=NAME]
 *   GET    /v1/domains                       GET /v1/domains/NAME
 *   POST   /v1/domains                       {"domains":[{"name":...,"to":[...]},...]}
 *   PUT    /v1/domains/NAME                  {"to":["host:port",...]}; without "to": the domain's MX beyond
 * us PATCH  /v1/domains/NAME                  {"to":[...] or "mx", "hold":days} DELETE /v1/domains/NAME 409
 * while mail is held POST   /v1/domains/NAME/hold             {"until":"2026-12-01T10:00:00Z"} or nothing
 *   POST   /v1/domains/NAME/resume | probe
 *   GET    /v1/domains/NAME/recipients?limit=&after=LOCAL-PART
 *   POST   /v1/domains/NAME/recipients/pin | unpin | import   {"recipients":["joe","ann@example.com",...]}
 *   GET    /v1/queue?domain=&recipient=&sender=&limit=&after=ID
 *   GET    /v1/trace?recipient=&sender=&message_id=&since=TIME&limit=
 *   GET    /v1/messages/ID                   DELETE: ends it. POST /v1/messages/ID/release
 *   GET    /v1/messages/ID/content           message/rfc822
 *   POST   /v1/backup                       holds a snapshot: its id and files; POST /v1/backup/ID renews
 *   DELETE /v1/backup/ID                    lets it go; 404: it was given up, the copy may be torn
 *   GET    /metrics                          Prometheus text format 0.0.4
 *   GET    /healthz
 */
#ifndef API_API_H
#define API_API_H

#include "port/clock.h"
#include "relay/relay.h"

/* Name of the socket in the data folder. */
#define API_SOCKET_NAME "api.sock"

enum {
	API_BODY_MAX = 64 * 1024,   /* bytes of a request's body: a destination list needs a few hundred */
	API_CONNECTIONS_MAX = 64,   /* at one time, each listener */
	API_CONNECTION_IDLE_S = 30, /* a client that neither sends nor reads */
	API_ANSWER_TIMEOUT_MS =
	    60000,	       /* for the relay's answer, then 503; what was asked for may still happen */
	API_DOMAINS_MAX = 250, /* added by one request */
	API_LIST_DEFAULT = 100,
	API_LIST_MAX = 1000,		   /* messages of one answer of queue and trace; the rest by after= */
	API_LIST_BYTES = 4 * 1024 * 1024,  /* a list ends early after so many */
	API_ANSWER_MAX = 64 * 1024 * 1024, /* bytes of one answer: the status of 50,000 domains fits */
	API_CONTENT_WINDOW = 4 * 1024 * 1024, /* of a message in memory while it is sent to a slow client */
	API_CONTENTS_MAX = 8,		      /* such messages at one time */
	API_TOKEN_MAX = 1024,
};

struct api;

/* clock: read at the entry of every event. listen_fd: bound and listening (Unix or TCP); owned by the api
 * from success on, else left to the caller. version: of the program. token: what "Authorization: Bearer" must
 * carry, or NULL. Strings are copied. NULL: no memory, or the system refused (errno says why). The relay must
 * outlive the api, or complete its requests before it goes (relay_free does). */
nodiscard struct api *api_new(struct relay *relay, struct clock *clock, int listen_fd, const char *version,
			      const char *token);

/* Ends all connections. Answers of the relay that are still to come are taken and dropped. */
void api_free(struct api *api);

int api_fd(const struct api *api);
/* Never blocks. */
void api_run(struct api *api);
/* From now on; 0: at once; -1: only when readable. Ask anew after each api_run, and after each turn of the
 * relay. */
int64_t api_timeout_ms(const struct api *api);

#endif
