/* The RAM store's operations between their call and their completion. Internal to ram*.c. */
#ifndef STORE_RAM_OP_H
#define STORE_RAM_OP_H

#include "base/buffer.h"
#include "base/list.h"
#include "base/rng.h"
#include "store/done.h"
#include "store/ram.h"
#include "store/ram_state.h"

struct op;

enum message_phase {
	MESSAGE_OPEN = 0,    /* body is being appended */
	MESSAGE_PENDING = 1, /* commit or abort has not completed */
	MESSAGE_UNSURE = 2,  /* a commit ended UNKNOWN */
};

struct ram_message {
	struct list node; /* of ram->messages */
	struct ram *ram;
	struct buffer body;
	enum message_phase phase;
	uint64_t id;
	struct op *unsure; /* the commit that ended UNKNOWN, to be asked again: needs no memory then */
};

enum op_kind {
	OP_NOTHING = 0, /* completes OK */
	OP_COMMIT,
	OP_ABORT,
	OP_AMEND,
	OP_PUT,
	OP_LEASE,
	OP_WALK,
	OP_FIND,
	OP_READ,
	OP_ENDS,
	OP_GET,
	OP_SCAN,
};

struct op {
	struct list node;
	enum op_kind kind;
	uint64_t key; /* operations with the same key complete in order: the message's id, or 0 */
	uint64_t due; /* turn of poll */
	struct done done;
	struct arena arena; /* of what the slices below point to */
	struct ram_message *message;
	uint64_t id, version, fence, offset, skip;
	uint32_t domain;
	size_t max;
	int64_t since_ms, wall_ms;
	struct store_envelope envelope;
	struct store_change *changes;
	struct slice first, second; /* prefix; key, value; prefix, after */
	uint64_t *ret_fence;
};

struct ram {
	struct store store;
	struct ram_store_config config;
	struct rng rng;
	struct ram_state state;
	struct list ops, ready, messages;
	struct refused refused;
	size_t pending;
	uint64_t turn, fences, last_id;
	uint64_t late_until; /* no pending operation is due after this turn */
	bool hold;
	size_t released;
	struct store_entry entries[STORE_WALK_MAX];
	struct store_pair pairs[STORE_WALK_MAX];
	struct store_end ends[STORE_WALK_MAX];
};

struct ram *ram_of(const struct store *store);
void ram_wake(struct ram *ram);
void ram_op_free(struct op *op);		    /* NULL: nothing */
void ram_message_free(struct ram_message *message); /* with its unsure operation */

/* One turn: runs the operations that are due and calls their owners. */
void ram_poll(struct store *store);

#endif
