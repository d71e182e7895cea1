/* Two ends on loopback in one loop, which write down what they are told. */
#ifndef TEST_UNIT_OS_PEERS_H
#define TEST_UNIT_OS_PEERS_H

#include "base/buffer.h"
#include "os/net_uv.h"

enum { PEERS_TURN_MS = 10, PEERS_LIMIT_MS = 20000 };

struct world;

/* One end of a connection. */
struct end {
	struct world *world;
	struct net_conn *conn; /* NULL when gone */
	struct buffer got;
	size_t biggest; /* the largest piece received */
	unsigned connected, drained, secured, closed;
	enum net_end how;
	char detail[256];
	struct net_tls_state tls;
	bool echo;	       /* writes back what it receives */
	bool pause_on_receive; /* pauses itself at each piece */
	bool in_call;	       /* one of our own calls into the net is under way: no event may come now */
	void (*on_received)(struct end *end, struct slice bytes);
};

struct world {
	struct os_loop *loop;
	struct net_uv *uv;
	struct net *net;
	struct net_listener *listener;
	struct net_address address; /* of the listener */
	struct end client, server;
	bool attach; /* accepted connections are attached to server at once (the first), else closed */
	unsigned accepted;
	struct net_conn *waiting[64]; /* accepted, when attach is false */
	unsigned turns;
};

extern const struct net_events end_events;

void world_init(struct world *w, const struct net_uv_options *options);
void world_deinit(struct world *w);

/* Runs the loop until condition(w); fails the test after PEERS_LIMIT_MS. */
void world_until(struct world *w, bool (*condition)(struct world *w));
void world_turns(struct world *w, unsigned count);

/* The client connects and both ends are open. */
void world_connect(struct world *w);

void end_init(struct end *end, struct world *w);
void end_write(struct end *end, struct slice bytes);
void end_pause(struct end *end, bool paused);
void end_close(struct end *end, bool flush);
int end_start_tls(struct end *end, bool as_server, struct slice name);

bool both_open(struct world *w);
bool client_closed(struct world *w);
bool server_closed(struct world *w);
bool both_secured(struct world *w);
bool nothing_open(struct world *w);

#endif
