/* A stage for the relay: connections, names and time in the hands of the test; the store is the one in
 * memory.
 *
 * The test plays senders and servers by hand: it sees what the relay wrote and decides what comes back, and
 * when.
 */
#ifndef TEST_RELAY_PLAY_H
#define TEST_RELAY_PLAY_H

#include "relay/admin.h"
#include "relay/relay.h"
#include "store/ram.h"

struct peer {	       /* the far side of one connection */
	bool open;     /* the relay has not closed it */
	bool accepted; /* by connect: the relay still waits for the handshake when false */
	bool paused, tls_asked;
	char written[65536]; /* by the relay, since the last play_read */
	size_t written_size;
	struct net_address to; /* outbound: where to */
	const struct net_events *events;
	void *owner;
};

enum { PLAY_PEERS_MAX = 64 };

struct play {
	struct clock clock; /* first */
	struct clock_reading now;
	int64_t wall_shift_ms; /* somebody has set the wall clock */
	struct net net;
	struct resolver resolver;
	struct spf spf;
	struct spf_query *spf_queries[PLAY_PEERS_MAX];
	size_t spf_open;
	bool spf_pass, spf_silent; /* what it says, or nothing */
	uint32_t spf_asked;
	struct log log;
	struct store *store;
	struct relay *relay;
	bool tls;  /* this side can */
	bool door; /* recipients are asked for */
	struct peer peers[PLAY_PEERS_MAX];
	size_t peer_count;
	bool names_silent;		    /* questions get no answer */
	struct resolver_answer mx, address; /* of every name; 192.0.2.25 at first */
	char log_text[65536];
	size_t log_size;
};

struct play *play_new(void); /* its door asks for nobody */
struct play *play_new_door(void);
void play_free(struct play *play);

/* Polls the store and runs the relay until nothing moves any more. */
void play_run(struct play *play);
void play_pass(struct play *play, int64_t ms); /* time goes by, in steps to each deadline */
void play_add_domain(struct play *play, const char *name, const char *destination);

/* A sender connects; greeted with the banner. */
struct peer *play_sender(struct play *play);
void play_say(struct play *play, struct peer *peer,
	      const char *text); /* the far side sends this; then play_run */
/* What the relay wrote to it since the last call. */
const char *play_read(struct peer *peer);
/* A whole message of one recipient from a new sender; returns what followed the final dot. */
const char *play_mail(struct play *play, const char *from, const char *to, const char *body);

/* The newest connection that the relay opened and that waits for its handshake; NULL: none. */
struct peer *play_dialled(struct play *play);
void play_take(struct play *play, struct peer *peer); /* the handshake succeeds */
void play_end(struct play *play, struct peer *peer, enum net_end end);
/* Takes the call and greets: banner, EHLO with these extensions ("" for none, "PIPELINING\n..." one a line).
 */
struct peer *play_server(struct play *play, const char *extensions);

struct store_totals play_totals(struct play *play);
/* Answer of an administrative call that was given play_answer as done and the answer as owner. */
struct play_answer {
	bool came;
	struct admin_result result;
};
void play_answered(void *owner, const struct admin_result *result);

#endif
