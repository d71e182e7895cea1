/* The store: every accepted message until each of its recipients has met its end. The promises of restante
 * rest here.
 *
 * All calls are made from the loop's thread and do not block. A call that needs the disk or the network is an
 * *operation*: its completion is delivered later through done(owner, result), from the loop and never from
 * inside the call, exactly once. Operations on one message complete in the order in which they were asked
 * for.
 *
 * Results:
 *   STORE_OK       it is durable and will survive a power cut
 *   STORE_FAILED   it did not happen and will not appear later, not even after a crash
 *   STORE_UNKNOWN  it may or may not have happened (sync failed, connection lost). Ask again, with the same
 * id, until the answer is ok or failed; a commit that is asked for again never makes a second message
 *   STORE_FENCED   another node has taken the lease over: nothing happened, stop feeding this lane
 *
 * An operation that cannot even be queued for want of memory completes with STORE_FAILED.
 *
 * One contract test (tests/unit/store/store_contract.c) holds for every implementation.
 */
#ifndef PORT_STORE_H
#define PORT_STORE_H

#include "base/slice.h"
#include "base/error.h"

enum store_result {
	STORE_OK = 0,
	STORE_FAILED = 1,
	STORE_UNKNOWN = 2,
	STORE_FENCED = 3,
};

/* Why STORE_FAILED, for the reply to the sender (452 4.3.1 for full, 451 4.3.0 otherwise) and the alarm. */
enum store_reason {
	STORE_REASON_NONE = 0,
	STORE_REASON_FULL = 1, /* no space but the reserve */
	STORE_REASON_IO = 2,   /* the disk failed; this store takes nothing any more until restarted */
	STORE_REASON_MEMORY = 3,
	STORE_REASON_MISSING = 4, /* amend, read: no such message (any more) */
	STORE_REASON_VERSION = 5, /* amend: the entry's version is not the one given; read it again */
	STORE_REASON_CORRUPT = 6, /* read: checksum or structure is wrong; the message is set aside */
};

/* RFC 6152, RFC 3030 */
enum store_body {
	STORE_BODY_7BIT = 0,
	STORE_BODY_8BITMIME = 1,
};

/* flags of an envelope */
enum {
	STORE_SMTPUTF8 = 1u << 0, /* MAIL had SMTPUTF8 (RFC 6531) */
	STORE_RET_FULL = 1u << 1, /* RET=FULL (RFC 3461) */
	STORE_RET_HDRS = 1u << 2,
	STORE_TLS = 1u << 3,	  /* arrived over TLS */
	STORE_SPF_PASS = 1u << 4, /* MAIL FROM was authenticated by SPF at acceptance (RFC 7208) */
};

/* flags of a recipient: NOTIFY of RFC 3461; none: not given */
enum {
	STORE_NOTIFY_NEVER = 1u << 0,
	STORE_NOTIFY_SUCCESS = 1u << 1,
	STORE_NOTIFY_FAILURE = 1u << 2,
	STORE_NOTIFY_DELAY = 1u << 3,
	STORE_TAKEN_BACK = 1u << 8, /* not of NOTIFY: set by the store when it is taken back out of grace */
};

enum store_recipient_state {
	STORE_QUEUED = 0,    /* accepted, not delivered, will be tried */
	STORE_DELIVERED = 1, /* the destination's 250 was seen */
	STORE_REFUSED = 2,   /* ended by a refusal of a proven healthy server */
	STORE_EXPIRED = 3,   /* hold time over */
	STORE_REMOVED = 4,   /* by the administrator */
	STORE_DISCARDED = 5, /* by a filter */
};

struct store_recipient {
	struct slice forward_path; /* mailbox as received, without <> */
	struct slice orcpt;	   /* as received (RFC 3461), or empty */
	uint32_t domain;	   /* number (relay/domains.h gives them), never 0, below STORE_GRACE */
	uint32_t notify;	   /* STORE_NOTIFY_*, STORE_TAKEN_BACK */
	/* what amend changes: */
	enum store_recipient_state state;
	uint8_t reason;	       /* of the last deferral or refusal: a number of the relay's; 0: none known */
	uint32_t attempts;     /* that reached this recipient (not the lane's probes) */
	int64_t not_before_ms; /* wall clock; 0: at once. REFUSED, EXPIRED: end of the grace; 0: none */
	struct slice
	    last_reply; /* of the server or our own words, or empty; at most STORE_REPLY_MAX bytes kept */
};

/* It has ended, and its message is kept all the same: see struct store_change. */
static inline bool store_in_grace(const struct store_recipient *recipient)
{
	return (recipient->state == STORE_REFUSED || recipient->state == STORE_EXPIRED) &&
	       recipient->not_before_ms > 0;
}

enum {
	STORE_RECIPIENT_MAX = 1000, /* of one message; contract for every implementation */
	STORE_REPLY_MAX = 512,
	STORE_PATH_MAX = 320,	     /* bytes of a path: 64 + 1 + 255 (RFC 5321 §4.5.3.1) */
	STORE_KEY_MAX = 255,	     /* bytes of a key */
	STORE_VALUE_MAX = 64 * 1024, /* bytes of a value */
	STORE_WALK_MAX = 256,	     /* entries of one walk */
};

/* Added to the number of a domain: its recipients in grace (struct store_change). Alone: those of all. */
#define STORE_GRACE (UINT32_C(1) << 31)

struct store_envelope {
	struct slice reverse_path; /* without <>; empty is the null reverse-path */
	struct slice envid;	   /* RFC 3461, or empty */
	uint32_t flags;		   /* STORE_SMTPUTF8 | ... */
	enum store_body body;
	int64_t arrival_ms; /* wall clock */
	/* kept for what a later filter or DSN decision needs: */
	struct slice client_address; /* "192.0.2.1" */
	struct slice client_name;    /* PTR, or empty */
	struct slice helo;
	struct slice message_id; /* Message-ID of the header, or empty; for trace */
	uint32_t recipient_count;
	struct store_recipient *recipients;
};

/* A message as it is read back. All slices are lent until the completion returns, unless stated otherwise. */
struct store_entry {
	uint64_t id;
	uint64_t version;    /* grows with each amend */
	uint64_t body_bytes; /* of header prefix and body together, as sent on */
	struct store_envelope envelope;
};

struct store;
struct store_message; /* a message that is being received */

/* Completion of an operation. */
typedef void store_done(void *owner, enum store_result result, enum store_reason reason);
/* Completion of a walk or a look-up: the entries in order. more: there are further ones behind the last. */
typedef void store_walk_done(void *owner, enum store_result result, const struct store_entry *entries,
			     size_t count, bool more);
/* Completion of a read. bytes are lent; empty at the end of the body. */
typedef void store_read_done(void *owner, enum store_result result, enum store_reason reason,
			     struct slice bytes);
/* Completion of a key-value look-up or scan. result OK with count 0: nothing there. */
struct store_pair {
	struct slice key, value;
};
typedef void store_pairs_done(void *owner, enum store_result result, const struct store_pair *pairs,
			      size_t count, bool more);

/* What is remembered 30 days of each recipient that ended, and of each one refused at our door. */
struct store_end {
	uint64_t id;	     /* message id; 0: refused at the door, there was no message */
	int64_t accepted_ms; /* wall clock; 0: refused at the door */
	int64_t ended_ms;
	enum store_recipient_state state; /* never QUEUED */
	bool at_door;
	struct slice reverse_path, forward_path, message_id, reply, relay;
};
typedef void store_ends_done(void *owner, enum store_result result, const struct store_end *ends,
			     size_t count, bool more);

/* One recipient's change within an amend.
 *
 * Grace: a recipient that ends as REFUSED or EXPIRED with not_before_ms > 0 has ended: it has its end record,
 * counts as ended, and is not met any more by walk and count of its domain. But its message stays, for find,
 * read, and walk and count of STORE_GRACE | domain, until a change with of_grace: QUEUED takes it back into
 * its domain's queue (accepted once more: totals never go back); any end lets go of it, without a second
 * record. The store compares no time: whoever walks the grace queues ends it. */
struct store_change {
	uint32_t recipient; /* index */
	enum store_recipient_state state;
	bool of_grace;	/* meant for a recipient in grace; has no effect on any other */
	uint8_t reason; /* see struct store_recipient */
	uint32_t attempts;
	int64_t not_before_ms;
	struct slice reply;
	struct slice relay; /* host[address]:port that said it, for the end record; may be empty */
};

struct store_counts {
	uint64_t messages;   /* with at least one recipient queued (in this domain) */
	uint64_t bytes;	     /* of those messages */
	uint64_t recipients; /* queued */
	int64_t oldest_ms;   /* arrival of the oldest, wall clock; 0 when empty */
};

/* since the store was made; survive restarts: accepted = queued + ended, always */
struct store_totals {
	uint64_t accepted;  /* recipients; one that is taken back out of grace once more */
	uint64_t queued;    /* recipients */
	uint64_t ended;	    /* recipients, all ends together; in grace too */
	uint64_t delivered; /* recipients, of ended */
	uint64_t set_aside; /* messages whose record is damaged: reported, kept, not queued */
};

/* The room for mail, in bytes. */
struct store_space {
	uint64_t capacity_bytes; /* used and free together; 0: not limited, and then nothing else counts */
	uint64_t used_bytes;	 /* of the store's files for mail */
	uint64_t live_bytes; /* of those used, what is still needed; the rest is given back sooner or later */
	uint64_t free_bytes; /* what new mail may take: beyond the reserve, others may take it too */
	bool full;	     /* no new mail is taken for want of room */
	bool reserve_gone;   /* the reserve is given up, so that what is held can end */
	enum store_reason failed; /* NONE: it works; else it takes nothing any more until opened again */
	const char *why;	  /* it failed, for people; "" when it did not. Lives as long as the store */
};

struct store_ops {
	/* --- receiving --- */
	/* Starts a message. ERR_MEMORY; ERR_LIMIT when the store is full (but for its reserve): answer 452;
	 * ERR_IO when it takes nothing any more: answer 451. size_hint_bytes: what SIZE= said, or 0. */
	int (*begin)(struct store *store, uint64_t size_hint_bytes, struct store_message **ret_message);
	/* Adds to the body; takes a copy. ERR_MEMORY, ERR_LIMIT (full), ERR_IO: the message can only be
	 * aborted then. */
	int (*append)(struct store_message *message, struct slice bytes);
	/* How many bytes append takes now without harm to others. 0: stop reading the client; room() is
	 * called once there is credit again. Ignoring it costs memory, nothing else. */
	size_t (*credit)(struct store_message *message, void (*room)(void *owner), void *owner);
	/* Makes it durable: envelope, prefix (put before the body: the Received line) and body at once, under
	 * the given id, which must be larger than every id committed before (store_next_id). The envelope is
	 * copied. On UNKNOWN the message remains: call commit again with the same arguments, or abort. On OK
	 * and FAILED it is freed. Until it was answered OK (or the store was opened again) the message is not
	 * seen by walk, find and count. FAILED with STORE_REASON_NONE: the envelope is beyond the limits
	 * above. A recipient that is not queued (a filter's discard) is accepted and ended at once. */
	void (*commit)(struct store_message *message, uint64_t id, const struct store_envelope *envelope,
		       struct slice prefix, store_done *done, void *owner);
	/* Gives a message up. Before commit: frees it at once, done is called all the same (may be NULL).
	 * After an UNKNOWN commit: makes sure that it will never appear (durable abort record); UNKNOWN: ask
	 * again. Not while a commit is in flight. */
	void (*abort)(struct store_message *message, store_done *done, void *owner);
	/* The next id: larger than all before, from wall_ms (the clock may jump back; ids do not). */
	uint64_t (*next_id)(struct store *store, int64_t wall_ms);

	/* --- what waits --- */
	/* Entries of a domain with at least one queued recipient in it, ids > after in ascending order, at
	 * most max (<= STORE_WALK_MAX). domain 0: of all domains. STORE_GRACE | domain, or STORE_GRACE alone:
	 * with at least one in grace. */
	void (*walk)(struct store *store, uint32_t domain, uint64_t after, size_t max, store_walk_done *done,
		     void *owner);
	/* One message, queued or in grace. Completes OK with count 0 when it does not exist (any more). */
	void (*find)(struct store *store, uint64_t id, store_walk_done *done, void *owner);
	/* The prefix and body of a message from offset, at most max bytes (<= 256 KiB). The message stays
	 * readable until the last recipient's end is committed. */
	void (*read)(struct store *store, uint64_t id, uint64_t offset, size_t max, store_read_done *done,
		     void *owner);
	/* Changes recipients atomically. version: of the entry, or 0 for any. When no recipient is queued or
	 * in grace any more the message is over and its body is freed. Each recipient's end record is written
	 * with the amend that ends it; what has ended stays as it ended: later changes to it are ignored.
	 * fence: token of the lease, or 0. */
	void (*amend)(struct store *store, uint64_t id, uint64_t version, uint64_t fence,
		      const struct store_change *changes, size_t count, int64_t wall_ms, store_done *done,
		      void *owner);
	/* Kept up to date in memory. domain 0: of all domains; STORE_GRACE as for walk, where `recipients`
	 * are those in grace. */
	void (*count)(const struct store *store, uint32_t domain, struct store_counts *ret_counts);
	void (*totals)(const struct store *store, struct store_totals *ret_totals);
	/* As it is now; asks the file system, so not for each command of a session. */
	void (*space)(struct store *store, struct store_space *ret_space);

	/* --- what was --- */
	/* Remembers a refusal at the door. Not durable at once; may be dropped under load (counted by the
	 * store). */
	void (*note_end)(struct store *store, const struct store_end *end);
	/* End records, newest first, that ended at or before before_ms (0: now), at most max. The caller
	 * filters. */
	void (*ends)(struct store *store, int64_t since_ms, int64_t before_ms, uint64_t skip, size_t max,
		     store_ends_done *done, void *owner);

	/* --- small state --- */
	/* Keys are bytes; by convention "domain/example.com", "lane/...". An empty value removes the key. */
	void (*put)(struct store *store, struct slice key, struct slice value, store_done *done, void *owner);
	void (*get)(struct store *store, struct slice key, store_pairs_done *done, void *owner);
	/* Pairs whose key begins with prefix and is greater than after (may be empty), in order, at most max.
	 */
	void (*scan)(struct store *store, struct slice prefix, struct slice after, size_t max,
		     store_pairs_done *done, void *owner);

	/* --- leases --- */
	/* Takes or renews the right to feed a lane. *ret_fence, valid at completion with OK, is the fencing
	 * token. A store of one machine grants always. FENCED: another node has it. */
	void (*lease)(struct store *store, struct slice lane, int64_t ttl_ms, uint64_t *ret_fence,
		      store_done *done, void *owner);

	/* --- snapshots; NULL: this store cannot --- */
	/* Keeps all that is held now as it is, until snapshot_release, while everything goes on. One at a
	 * time: FAILED with STORE_REASON_NONE while there is another. */
	void (*snapshot)(struct store *store, store_done *done, void *owner);
	/* The files of a snapshot that has completed, in order: the first bytes of each segment. */
	void (*snapshot_parts)(const struct store *store,
			       void (*part)(void *owner, uint64_t segment, uint64_t bytes), void *owner);
	void (*snapshot_release)(struct store *store); /* that has completed; none: nothing */

	/* --- life --- */
	/* Delivers completions that are ready; called by the loop when the store's waker said so (see the
	 * constructor of each implementation), and in tests until the condition holds. */
	void (*poll)(struct store *store);
	/* Ends: all queued operations are completed and durable, a checkpoint is written, everything is
	 * freed. */
	void (*close)(struct store *store);
};

struct store {
	const struct store_ops *ops;
};

#endif
