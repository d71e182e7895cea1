/* One session at a simulated server; between server.c and server_session.c. */
#ifndef SIM_SERVER_SESSION_H
#define SIM_SERVER_SESSION_H

#include "base/buffer.h"
#include "sim/server.h"

enum {
	SERVER_RECIPIENTS_MAX = 100,
	SERVER_REPLY_SIZE = 512,
	SERVER_QUEUE_BYTES = 64 * 1024, /* unread input beyond which it stops reading */
};

/* what comes after the reply that is on its way */
enum server_after {
	SERVER_GOES_ON = 0,
	SERVER_CLOSES = 1,
	SERVER_STARTS_TLS = 2,
	SERVER_STORED = 3, /* the reply is the 250 for s->stored */
};

struct server_session {
	struct list node;
	struct sim_server *server;
	struct net_conn *conn;
	struct buffer input, body;
	bool busy;    /* a reply is on its way; or it hangs */
	bool over;    /* hung up: about to be freed */
	bool refused; /* the last reply was 4yz or 5yz: a transaction may be left lying so, until RSET */
	bool greeted, tls, in_mail, in_data;
	bool bdat, bdat_last;
	uint64_t bdat_left;
	bool line_began; /* the last line of the message ended with CRLF */
	char reply[SERVER_REPLY_SIZE];
	enum server_after after;
	struct sim_stored *stored;
	struct sim_event answer, idle;
	int64_t mail_us, dot_us;
	char reverse_path[SIM_ADDRESS_SIZE];
	char domain[SIM_ADDRESS_SIZE]; /* of the last RCPT */
	uint32_t recipient_count;
	char recipients[SERVER_RECIPIENTS_MAX][SIM_ADDRESS_SIZE];
};

void server_session_start(struct sim_server *server, struct net_conn *conn);
void server_session_free(struct server_session *s); /* without a word */

#endif
