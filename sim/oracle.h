/* The oracle: compares what senders were told with what servers stored, both from bytes on the wire alone,
 * for each recipient of each attempt to send.
 *
 *   - what a sender read 250 for is stored at a server in the end (never lost)
 *   - what was never completed, or refused after its end, is never stored; a recipient that was refused
 * neither
 *   - the bytes are those that were sent, behind exactly one more Received field in front
 *   - a second copy has one of the causes that SMTP cannot avoid: the reply to the first was lost or came
 * after the relay had gone, or the relay died between reading that reply and making it durable
 *
 * A violation is noted with its words; the run goes on, so that the trace shows what follows.
 */
#ifndef SIM_ORACLE_H
#define SIM_ORACLE_H

#include "base/map.h"
#include "sim/mail.h"
#include "sim/net.h"

enum sim_said {
	SIM_SAID_NOTHING = 0,
	SIM_SAID_YES = 1, /* 2yz was read */
	SIM_SAID_NO = 2,  /* 4yz or 5yz was read */
};

enum sim_attempt_state {
	SIM_ATTEMPT_OPEN = 0, /* its end has not been written */
	SIM_ATTEMPT_ENDED =
	    1, /* the end was written, no reply to it was read (yet): may or may not be accepted */
	SIM_ATTEMPT_ACKED = 2,	   /* 250 to the end was read: a receipt */
	SIM_ATTEMPT_REFUSED = 3,   /* 4yz or 5yz was read */
	SIM_ATTEMPT_ABANDONED = 4, /* the connection ended before the end was written */
};

/* One message that a server stored; for one or more recipients. */
struct sim_stored {
	struct list node;
	int64_t stored_us;
	uint64_t connection;
	struct sim_watch reply;
};

struct sim_oracle_recipient {
	char address[SIM_ADDRESS_SIZE];
	enum sim_said said;
	uint32_t copies;
	struct sim_stored *last; /* copy */
};

struct sim_attempt {
	struct map_node node;
	struct list in_order;
	char token[SIM_TOKEN_SIZE];
	const struct sim_mail *mail;
	enum sim_attempt_state state;
	int64_t acked_us;
	bool content_refused; /* a server said 5yz to its dot: the sender may be told so */
	uint32_t recipient_count;
	struct sim_oracle_recipient recipients[SIM_MAIL_RECIPIENTS_MAX];
};

/* at which a crash is most telling */
enum sim_moment {
	SIM_MOMENT_ACKED = 0,  /* a sender has just read 250 to its dot */
	SIM_MOMENT_STORED = 1, /* a server has just stored a message */
};

enum { SIM_CRASHES_MAX = 256, SIM_VIOLATION_SIZE = 256 };

struct sim_oracle {
	struct sim_world *world;
	struct map attempts; /* by token */
	struct list in_order, stored;
	int64_t crash_us[SIM_CRASHES_MAX], unrecordable_us[SIM_CRASHES_MAX];
	size_t crashes;
	bool hurried; /* somebody said "try again at once", or the wall clock jumped: nobody need wait ten
			 minutes */
	int64_t record_limit_us; /* so long may the relay take from reading 250 to its durable record */
	void (*moment)(void *owner, enum sim_moment moment); /* may be NULL */
	void *moment_owner;
	uint64_t violations;
	char first[SIM_VIOLATION_SIZE];
	/* recipients */
	uint64_t acked, delivered, owed; /* owed: acknowledged, not stored anywhere yet */
	uint64_t content_refused;	 /* of messages whose content a server refused for good */
	uint64_t duplicates_reply_lost, duplicates_crash;
	/* for stories */
	int64_t mark_us, first_held_us; /* first copy, after the mark, of something acknowledged before it */
	int64_t last_delivery_us;
	int64_t worst_delay_us; /* from the 250 to the first copy, since the mark, of what was acknowledged
				   after it */
};

void sim_oracle_init(struct sim_oracle *oracle, struct sim_world *world);
void sim_oracle_deinit(struct sim_oracle *oracle);
void sim_oracle_violation(struct sim_oracle *oracle, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* What senders do and read. */
struct sim_attempt *sim_oracle_attempt(struct sim_oracle *oracle, struct sim_mail *mail);
void sim_oracle_rcpt(struct sim_oracle *oracle, struct sim_attempt *attempt, const char *address,
		     unsigned code);
void sim_oracle_ended(struct sim_oracle *oracle, struct sim_attempt *attempt);
void sim_oracle_final(struct sim_oracle *oracle, struct sim_attempt *attempt, unsigned code);
void sim_oracle_gone(struct sim_oracle *oracle, struct sim_attempt *attempt);

/* What servers store, and that they have written their 250 for it. */
struct sim_stored *sim_oracle_stored(struct sim_oracle *oracle, struct net_conn *conn, const char *server,
				     struct slice reverse_path, const char (*recipients)[SIM_ADDRESS_SIZE],
				     size_t count, struct slice bytes);
/* A server refuses this message for good, for its content. */
void sim_oracle_content_refused(struct sim_oracle *oracle, struct slice reverse_path, struct slice bytes);
void sim_oracle_replied(struct sim_stored *stored, struct net_conn *conn);

/* The relay's process died. unrecordable_us: since then its store could write nothing; 0: it could. */
void sim_oracle_crash(struct sim_oracle *oracle, int64_t unrecordable_us);
/* For stories: measure from now on; what is owed to recipients of one domain. */
void sim_oracle_mark(struct sim_oracle *oracle);
uint64_t sim_oracle_owed_to(const struct sim_oracle *oracle, const char *domain, const char *but);
/* All faults are over and everything had time: whatever is owed is lost. */
void sim_oracle_finish(struct sim_oracle *oracle);

#endif
