/* The relay of the demo: this program's own `serve` in a process of its own, with a data folder that is
 * removed at the end.
 */
#ifndef DAEMON_DEMO_RELAY_H
#define DAEMON_DEMO_RELAY_H

#include <sys/types.h>

#include "base/buffer.h"
#include "os/loop.h"
#include "port/net.h"

struct demo_relay {
	char folder[64]; /* "" before demo_relay_start */
	pid_t process;	 /* 0: none */
	int output;	 /* of the process */
	struct buffer text;
	struct net_address address; /* family 0: not ready yet */
};

/* What the API says of the lane and of all. */
struct demo_status {
	bool known;
	uint64_t held;
	char state[16], phase[16], kind[32];
	double window, rate_per_s, next_probe_s, eta_s; /* < 0: none */
};

/* Starts it for example.com with its server at this port of loopback. Or an error with a message. */
nodiscard int demo_relay_start(struct demo_relay *relay, uint16_t server_port, char *ret_message,
			       size_t size);
/* Waits until it says where it listens, at most this long. ERR_STATE: it ended or took too long. */
nodiscard int demo_relay_wait(struct demo_relay *relay, int timeout_ms);
bool demo_relay_running(struct demo_relay *relay);
/* Asks its API; blocks for some milliseconds. */
void demo_relay_status(const struct demo_relay *relay, struct demo_status *ret_status);
/* Ends the process and removes the folder. May be called at any time. */
void demo_relay_stop(struct demo_relay *relay);

#endif
