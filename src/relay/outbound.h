/* One connection to a customer's server: connect, greet, one transaction after the other.
 *
 * An attempt goes through the targets of the feed until one greets; only when all have failed the lane hears
 * of it. The next transaction begins after the results of the last one are in the store.
 */
#ifndef RELAY_OUTBOUND_H
#define RELAY_OUTBOUND_H

#include "relay/ask.h"
#include "relay/feed.h"
#include "relay/known.h"

enum outbound_state {
	OUTBOUND_CONNECTING = 0, /* TCP handshake with the current target */
	OUTBOUND_GREETING = 1,	 /* connected; banner, EHLO, STARTTLS are going on */
	OUTBOUND_IDLE = 2,	 /* greeted; no transaction */
	OUTBOUND_SENDING = 3,	 /* a transaction is under way; nothing of it is recorded yet */
	OUTBOUND_RECORDING = 4,	 /* its outcomes are known and are being written to the store */
	OUTBOUND_ENDING = 5,	 /* QUIT was said, or the connection is of no more use */
};

struct outbound {
	struct list in_feed;
	struct list in_idle;
	struct relay *relay;
	struct feed *feed; /* not to be used when dead */
	enum outbound_state state;
	struct net_conn *conn;	    /* NULL: none (any more) */
	struct smtp_client *client; /* NULL before connected */
	int target;		    /* index into feed->targets when the attempt began; -1: none was left */
	struct target trying;	    /* a copy: the feed's list may be made anew meanwhile */
	bool tls_failed;	    /* in the present attempt at this target */
	uint64_t certificate;	    /* of the target that greeted, as a hash; 0: no TLS */
	bool without_tls;  /* the handshake with this target failed: once more in plain text (RFC 7435) */
	uint64_t tried;	   /* mask of targets of this attempt */
	bool reached_lane; /* lane_conn_ready was told */
	struct verdict_result worst; /* of the targets tried, the most telling */
	char worst_reply[REPLY_TEXT_MAX + 1];

	bool probe;	   /* made for the canary */
	struct item *item; /* of the transaction, or the canary while connecting */
	bool canary;	   /* the transaction's verdict decides on lane or domain */
	struct ask *ask;   /* instead of an item: the transaction only asks, see ask.h */
	struct smtp_client_transaction transaction;
	size_t in_net_bytes; /* at the front of the output: given to the connection, not yet sent */
	uint64_t body_offset;
	bool reading;	   /* a store read is under way */
	uint32_t read_for; /* by which transaction of this session it was asked (messages_sent) */
	bool want_body;	   /* the client machine waits for bytes */
	uint32_t messages_sent;

	struct known_note *notes;     /* what was known of each recipient when the transaction began */
	uint32_t notes_pending;	      /* still being read */
	bool awaits_notes;	      /* results_of goes on when they are there */
	struct store_change *changes; /* while recording */
	bool recording;		      /* the lane was told so */
	struct arena words;	      /* of the replies in changes */
	uint32_t change_count;
	int64_t due_ms;

	struct timer timer;   /* the client machine's deadline, idle limit, or the retry of a failed record */
	bool split;	      /* the whole transaction was refused: its recipients go one by one */
	bool refusing;	      /* the end of all recipients is being written down, their sender waits for it */
	bool refusal_unknown; /* and the store could not say whether it was */
	bool judged;	      /* the outcomes of the transaction were looked at */
	bool results_done;    /* and are in the store */
	bool usable;	      /* the connection can carry another transaction */
	bool useless;	      /* it will never do so again */
	bool retry;	      /* the timer is for results_retry */
	bool body_failed;     /* the store could not give the body */
	bool dead;	      /* to be freed once nothing refers to it */
	uint32_t references;  /* store operations under way */
	char relay_text[RESOLVER_NAME_MAX + NET_ADDRESS_TEXT_SIZE +
			4]; /* host[address]:port, for log and records */
};

/* Starts to connect for a feed with targets. canary: the item taken for a probe, or NULL. False: no memory,
 * or no target. */
bool outbound_open(struct feed *feed, struct item *canary);
/* IDLE only: starts the transaction. The item is the session's until its results are recorded. */
void outbound_send(struct outbound *out, struct item *item, bool canary);
/* IDLE only: starts the transaction of out->ask, which is prepared. */
void outbound_ask(struct outbound *out);
/* Says QUIT. IDLE only. */
void outbound_quit(struct outbound *out);
/* The server hangs: a transaction that has not come to the final dot is given up, one past it waits on. */
void outbound_give_up(struct outbound *out);
/* At once, without a word; an item in transit returns to its queue unless past the dot. For tearing down. */
void outbound_kill(struct outbound *out);

/* Is another connection of the feed open and greeted? */
bool outbound_others_open(const struct outbound *out);

/* --- among the files of outbound --- */

/* Lets the client machine go on with these bytes, does what it asks for. The session may be gone after it. */
void outbound_step(struct outbound *out, struct slice input);
void outbound_drop_connection(struct outbound *out, bool flush);
/* Takes the session out of its feed; its memory goes when no store operation refers to it any more. */
void outbound_bury(struct outbound *out);
/* Tells the lane, once, that results are being written down, or are no longer. */
void outbound_recording(struct outbound *out, bool recording);
/* Frees a dead session that nothing refers to. */
void outbound_unused(struct outbound *out);
/* Frees a dead session although a store operation refers to it: its completion will never come. */
void outbound_unbury(struct outbound *out);

void outbound_init_timer(struct outbound *out);
extern const struct net_events outbound_events;

/* outbound_connect.c: until one target greets. */
void outbound_connected(struct outbound *out);
/* This target did not greet us, for the reason in the event; words are for people. */
void outbound_note_failure(struct outbound *out, const struct verdict_event *event, const char *words);
/* It greets: one that it never was begins grace. */
void outbound_recognise(struct outbound *out);
void outbound_met_ourselves(struct outbound *out); /* this target is no server of the customer's: the next */
void outbound_target_failed(struct outbound *out);
void outbound_attempt_failed(struct outbound *out); /* none is left: the lane hears of it */

/* --- results.c --- */

/* The transaction is over: judges each recipient, tells lane and domain, records in the store, and then calls
 * outbound_recorded. */
void results_of(struct outbound *out);
void results_record(struct outbound *out);
void results_retry(struct outbound *out);
void outbound_recorded(struct outbound *out);

/* "550 5.1.1 no such user", or our own words when nobody said anything. */
void results_words(const struct reply *reply, char *ret_text, size_t size);
/* The event of an outcome, for the verdict table. */
struct verdict_event results_event(const struct client_outcome *outcome, const struct outbound *out,
				   uint32_t accepted_before);

#endif
