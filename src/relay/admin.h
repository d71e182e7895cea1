/* Administration: what the API and the command line ask of the relay.
 *
 * Questions that can be answered from memory are answered at once; the others complete later through a
 * function, never from inside the call, exactly once (also when the relay is freed: with ERR_STATE). Views
 * and slices are lent for the call. Every refusal carries a message that says what was wrong and what to do.
 */
#ifndef RELAY_ADMIN_H
#define RELAY_ADMIN_H

#include "lane/domain_state.h"
#include "lane/ledger.h"
#include "relay/outside.h"
#include "relay/relay.h"

enum {
	ADMIN_MESSAGE_MAX = 1024,
	ADMIN_BACKUP_LAPSE_S = 60, /* without a sign of life, then a backup is given up */
};

struct admin_result {
	int error; /* 0, or ERR_SYNTAX (bad name), ERR_MISSING, ERR_EXISTS, ERR_STATE, ERR_IO ... */
	char message[ADMIN_MESSAGE_MAX]; /* for people, also on success: what was done, what to do next */
};
typedef void admin_done(void *owner, const struct admin_result *result);

/* --- status --- */

struct admin_domain_view {
	const char *name;
	enum domain_state state;
	int64_t since_ms;   /* wall clock */
	const char *reason; /* the server's words or ours; "" */
	struct store_counts held;
	const char *lane;	 /* name of its lane, or "" while waiting */
	const char *destination; /* "mx" or "host[:port], host..." as configured */
	const char *hosts;	 /* what it comes to now: "mail.example.com:25, ..." */
	int64_t hold_ms;
	int64_t resume_ms; /* wall clock, of a timed pause; 0 */
	int64_t added_ms;
	uint32_t share_percent;		 /* of the spool that it may hold */
	uint64_t share_bytes;		 /* the same; 0: the store has no limit */
	bool share_used_up;		 /* its senders are told to come again */
	double expires_s;		 /* until its oldest mail expires; < 0: it holds none */
	bool expires_soon;		 /* time to do something about it */
	struct store_counts grace;	 /* what has expired or was refused, and is kept for a while */
	uint64_t refused_for_room;	 /* recipients, since start */
	uint32_t known_recipients;	 /* that its server was seen to accept, see known.h */
	enum ledger_catch_all catch_all; /* does its server take everybody? */
};

struct admin_lane_view {
	const char *name;
	const char *state; /* "up", "down", "idle": idle is up with nothing held and nothing in flight */
	const char *phase; /* "ramp", "steady", or NULL */
	const char *kind;  /* as in the JSON of status, or NULL */
	int64_t since_ms;  /* wall clock */
	struct store_counts held; /* of its domains */
	double window, rate_per_s;
	uint32_t in_flight;
	double next_probe_s, eta_s; /* < 0: none */
	const char *last_reply;
	uint64_t delivered_total, deferred_total;
	uint32_t connection_limit; /* learnt; 0: none */
	double rate_limit_per_s;   /* learnt; 0: none */
	uint32_t domain_count;
};

struct admin_space_view {
	const char *state; /* "ok", "warning", "urgent", "full", "failed" */
	int64_t since_ms;  /* wall clock */
	const char *why;   /* it failed; "" */
	uint64_t capacity_bytes, used_bytes, live_bytes, free_bytes; /* as in struct store_space */
	double used_percent; /* of the capacity, that new mail cannot have */
	double full_in_s;    /* < 0: no forecast */
	bool reserve_gone;
	uint32_t domains_refused;  /* whose share is used up */
	uint64_t refused_for_room; /* recipients, since start */
};

struct admin_node_view {
	const char *hostname;
	struct store_counts held;
	struct store_totals totals;
	uint32_t inbound_sessions, outbound_sessions;
	uint64_t accepted_messages, refused_recipients, delivered_recipients,
	    deferred_recipients; /* since start */
	/* Messages whose sender waited for what the server says (verdict in session): it took them, it
	 * refused their content and the sender was told so, no verdict in time; since start. */
	uint64_t in_session_delivered, in_session_refused, in_session_queued;
	/* Recipients at our door, see doc/door.md; since start. */
	struct {
		uint64_t callouts, asked; /* questions to servers, and the recipients in them */
		uint64_t unknown;	  /* 550: the server has no such mailbox */
		uint64_t too_large;	  /* 552: beyond the SIZE of the server */
		uint64_t unconfirmed; /* 450: a refusal without proof, or the budget of refusals is spent */
		uint64_t limited;     /* 451: enough unseen ones were taken unasked */
		uint64_t unseen;      /* taken unasked, and held */
	} door;
	uint64_t duplicates_possible; /* transactions whose reply to the dot was lost, since start */
	int64_t up_since_ms;
	struct admin_space_view space;
	struct outside_view outside; /* mail of our own to domains that are not served */
};

void admin_node(const struct relay *relay, struct admin_node_view *ret_view);
/* Each lane in the order of names, its domains after it, all in this call: for one domain, or a small world.
 * name: a domain; empty for all. Domains that wait without a lane come last, after a call of lane with name
 * "". Either function may be NULL. False when name is not served. */
bool admin_status(struct relay *relay, struct slice name,
		  void (*lane)(void *owner, const struct admin_lane_view *view),
		  void (*domain)(void *owner, const struct admin_domain_view *view), void *owner);

/* All lanes and domains, counted. */
struct admin_sums {
	uint64_t lanes, lanes_up, lanes_idle, lanes_down;
	uint64_t lanes_down_by[LANE_KIND_BANNER + 1];	  /* by enum lane_kind */
	uint64_t lanes_in_need;				  /* down, or a domain of it does not flow */
	uint64_t held_by_down;				  /* messages held for lanes that are down */
	double rate_per_s;				  /* of all lanes together */
	uint64_t domains, domains_in[DOMAIN_WAITING + 1]; /* by enum domain_state */
	uint64_t domains_share_used_up;
};

enum {
	ADMIN_ROWS_MAX = 1000,	 /* lanes and domains of one answer: some milliseconds of the loop */
	ADMIN_LANE_DOMAINS = 50, /* a lane with more shows those that need attention most */
};

struct admin_overview_filter {
	struct slice domain; /* this one and its lane; empty: all */
	/* While not all fit: false: by name, behind `after`; true: those that need attention or hold mail,
	 * the worst first. */
	bool by_attention;
	struct slice after; /* what end gave as next; empty: from the first on */
	size_t rows;	    /* lanes and domains, about: 1..ADMIN_ROWS_MAX */
};
/* Status of any number of lanes without holding the loop up: looks at them in slices, then calls lane and
 * domain as admin_status does, end with the sums and where to go on ("": nowhere), and done. ERR_MISSING: the
 * domain is not served. */
void admin_overview(struct relay *relay, const struct admin_overview_filter *filter,
		    void (*lane)(void *owner, const struct admin_lane_view *view),
		    void (*domain)(void *owner, const struct admin_domain_view *view),
		    void (*end)(void *owner, const struct admin_sums *sums, const char *next),
		    admin_done *done, void *owner);
/* At most max domains in the order of names, from the first behind `after` on. True: there are more. */
bool admin_domains(const struct relay *relay, struct slice after, size_t max,
		   void (*domain)(void *owner, const struct admin_domain_view *view), void *owner);

/* --- domains --- */

/* destinations: "host", "host:port", "[v6]:port"; none: the domain's MX beyond us, found now or waited for.
 * Completes when durable; the message says where mail will go and which MX to set. ERR_EXISTS when it is
 * served already. */
void admin_domain_add(struct relay *relay, struct slice name, const struct slice *destinations, size_t count,
		      admin_done *done, void *owner);
/* keys: to (hosts, comma-separated, or "mx"), hold (days, 1..60), share (percent of the spool, 1..100). */
void admin_domain_set(struct relay *relay, struct slice name, struct slice key, struct slice value,
		      admin_done *done, void *owner);
/* ERR_STATE while mail is held. */
void admin_domain_remove(struct relay *relay, struct slice name, admin_done *done, void *owner);
void admin_hold(struct relay *relay, struct slice name, int64_t until_ms, admin_done *done, void *owner);
void admin_resume(struct relay *relay, struct slice name, admin_done *done, void *owner);
void admin_probe(struct relay *relay, struct slice name, admin_done *done, void *owner);
/* The domain's server is itself: the hour of grace after a first contact, an outage or a change is over. */
void admin_trust(struct relay *relay, struct slice name, admin_done *done, void *owner);

/* --- recipients --- */

enum { ADMIN_RECIPIENTS_MAX = 1000 }; /* of one change or list */

struct admin_recipient_view {
	const char *domain;
	struct slice local; /* lower case */
	const struct ledger_entry *entry;
	enum ledger_standing standing;
};
/* What is known of the domain's recipients, in the order of their keys: at most limit (1..) behind the local
 * part `after`. Calls recipient for each, then done once. */
void admin_recipients(struct relay *relay, struct slice domain, struct slice after, size_t limit,
		      void (*recipient)(void *owner, const struct admin_recipient_view *view),
		      admin_done *done, void *owner);

enum admin_vouch {
	ADMIN_PIN = 0,	  /* they exist, whatever their server says: never refused at our door */
	ADMIN_IMPORT = 1, /* they are on a list: not refused at our door, no evidence before they were seen */
	ADMIN_UNPIN = 2,  /* neither any more: what the server showed counts alone */
};
/* names: local parts, or addresses of the domain; 1..ADMIN_RECIPIENTS_MAX. All are looked at before the first
 * is written: ERR_SYNTAX names the one that is wrong. Completes when all are durable; ERR_IO says how many
 * are, and it may be asked for again. */
void admin_vouch(struct relay *relay, struct slice domain, enum admin_vouch what, const struct slice *names,
		 size_t count, admin_done *done, void *owner);

/* --- messages --- */

struct admin_message_filter {
	struct slice domain;		/* empty: all */
	struct slice recipient, sender; /* whole address, any case; empty: all */
	bool grace;			/* what has ended and is kept for a while, instead of what waits */
	uint64_t after;			/* ids > after */
	size_t limit;			/* 1..10000 */
};

/* One held message; the entry's recipients carry state, last_reply and not_before. reason and next_event are
 * for people: why it waits ("mail.example.com is down: connection refused"), and what comes next ("probe in 4
 * s"). */
struct admin_message_view {
	const struct store_entry *entry;
	struct {
		char reason[256], next_event[128];
	} * recipients; /* as many as the entry has */
};
/* Calls message for each match, then done once. */
void admin_queue(struct relay *relay, const struct admin_message_filter *filter,
		 void (*message)(void *owner, const struct admin_message_view *view), admin_done *done,
		 void *owner);

struct admin_trace_filter {
	struct slice recipient, sender, message_id; /* empty: any; message_id with or without <> */
	int64_t since_ms;			    /* wall clock; 0: all that is kept */
	size_t limit;
};
/* What was (ends, refusals at the door), newest first, then what is held. Calls end or message, then done
 * once. */
void admin_trace(struct relay *relay, const struct admin_trace_filter *filter,
		 void (*end)(void *owner, const struct store_end *end),
		 void (*message)(void *owner, const struct admin_message_view *view), admin_done *done,
		 void *owner);

void admin_message_show(struct relay *relay, uint64_t id,
			void (*message)(void *owner, const struct admin_message_view *view), admin_done *done,
			void *owner);
/* The stored bytes from offset on, in order: piece for each part, then done once. piece returns false to
 * stop. */
void admin_message_cat(struct relay *relay, uint64_t id, uint64_t offset,
		       bool (*piece)(void *owner, struct slice bytes), admin_done *done, void *owner);
void admin_message_release(struct relay *relay, uint64_t id, admin_done *done,
			   void *owner); /* try again at once */
void admin_message_remove(struct relay *relay, uint64_t id, admin_done *done,
			  void *owner); /* end it, REMOVED */

/* --- backup --- */

/* Holds a snapshot of the store: tells its id, then the first bytes of each segment, then done. ERR_STATE:
 * there is one already, or the store has nothing on disk. It is held until it is ended, or for
 * ADMIN_BACKUP_LAPSE_S after the last renewal. */
void admin_backup(struct relay *relay, void (*begun)(void *owner, uint64_t id),
		  void (*part)(void *owner, uint64_t segment, uint64_t bytes), admin_done *done, void *owner);
/* ERR_MISSING: it is not held any more, so what was copied of it may be torn. */
void admin_backup_renew(struct relay *relay, uint64_t id, admin_done *done, void *owner);
void admin_backup_end(struct relay *relay, uint64_t id, admin_done *done, void *owner);

#endif
