/* The customer's mail server in the demo: small, strict, and slow when it is cold.
 *
 * It works on one message after the other. Warm, one takes 2.5 ms. Cold, just after its start, one takes a
 * third of a second, and it becomes faster by a factor of two every two seconds.
 */
#ifndef DAEMON_DEMO_SERVER_H
#define DAEMON_DEMO_SERVER_H

#include "os/listen.h"
#include "os/net_uv.h"

struct demo_server;

struct demo_server_events {
	/* A message, dots unstuffed, to which the server is about to say 250. */
	void (*arrived)(void *owner, struct slice message);
};

/* NULL: no memory. */
struct demo_server *demo_server_new(struct os_loop *loop, struct net_uv *net,
				    const struct demo_server_events *events, void *owner);
void demo_server_free(struct demo_server *server);

/* Listens on loopback; the first time on any free port, later on the same. Or an error with a message. */
nodiscard int demo_server_start(struct demo_server *server, bool cold,
				char ret_message[OS_LISTEN_MESSAGE_SIZE]);
/* Finishes the messages that are whole, and takes nothing more: the last moments of a machine. */
void demo_server_freeze(struct demo_server *server);
bool demo_server_idle(const struct demo_server *server); /* no message is being worked on */
/* All connections break, and new ones are refused. */
void demo_server_kill(struct demo_server *server);

/* Work that is due; returns when to call again. */
int64_t demo_server_run(struct demo_server *server, int64_t now_us);

bool demo_server_up(const struct demo_server *server);
uint16_t demo_server_port(const struct demo_server *server);
double demo_server_capacity(const struct demo_server *server, int64_t now_us); /* messages per second */
uint32_t
demo_server_most_at_once(const struct demo_server *server); /* being worked on, since its last start */

#endif
