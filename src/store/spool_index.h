/* The spool's index: an LMDB environment with one table per kind. Committed by checkpoints only, each synced
 * and with the position in the log up to which it is true.
 *
 * Reading is of the loop's thread, writing of the keeper's; LMDB lets both go on at the same time. Keys are
 * built by the index_key functions so that their byte order is the wanted one (big-endian numbers).
 *
 *   message  u64 id                        entry (spool_codec.h, places absolute)
 *   order    u32 queue, u64 id             -                 what waits, per domain; what is in grace,
 *                                                            per domain and in all (store/entry.h)
 *   place    u64 segment, u8 'm', u64 id   -                 what lies in a segment, for compaction
 *            u64 segment, u8 'p', key
 *   end      i64 ended, u64 seq            end
 *   pair     key                           u64 segment, value
 *   domain   u32 queue                     u64 messages, bytes, recipients, first id
 *   segment  u64 number                    u64 live, live bytes, bytes
 *   aside    u64 id                        entry
 *   state    "state"                       struct index_state, in that order
 *   gone     'm', u64 id                   -                 while the index is made again from the log:
 *            'p', key                                        what has ended or was removed
 */
#ifndef STORE_SPOOL_INDEX_H
#define STORE_SPOOL_INDEX_H

#include "port/store.h"
#include "store/spool_log.h"

enum index_table {
	INDEX_MESSAGE = 0,
	INDEX_ORDER,
	INDEX_PLACE,
	INDEX_END,
	INDEX_PAIR,
	INDEX_DOMAIN,
	INDEX_SEGMENT,
	INDEX_ASIDE,
	INDEX_STATE,
	INDEX_GONE,
	INDEX_TABLES,
};

/* 2: states with a reason, queues of grace. Format 1 is read as it is. */
enum { INDEX_FORMAT = 2, INDEX_KEY_MAX = 8 + 1 + STORE_KEY_MAX + 1 };

struct index_key {
	size_t size;
	char bytes[INDEX_KEY_MAX];
};

struct index_state {
	uint64_t format;
	struct position position; /* of the log: everything before it is in here */
	uint64_t last_id, end_seq;
	uint64_t messages, bytes; /* that wait, of all domains */
	bool rebuilding;	  /* a rebuild from the log has not reached its end */
	struct store_totals totals;
};

struct spool_index;
struct index_txn;    /* of the keeper: what will be committed */
struct index_cursor; /* within index_read_begin and _end */

/* ERR_CORRUPT: there is something unusable; ERR_VERSION; ERR_IO; ERR_MEMORY. path is a folder that exists. */
enum index_mode {
	INDEX_SYNCED = 0,
	INDEX_UNSYNCED = 1,  /* simulation, or a copy that can be made again */
	INDEX_READ_ONLY = 2, /* nobody else has it open; ERR_MISSING: there is none, or nothing in it */
};
nodiscard int index_open(const char *path, enum index_mode mode, uint64_t map_bytes,
			 struct spool_index **ret_index);
void index_close(struct spool_index *index); /* NULL: nothing */

struct index_key index_key_u64(uint64_t number);
struct index_key index_key_u32(uint32_t number);
struct index_key index_key_order(uint32_t domain, uint64_t id);
struct index_key index_key_end(int64_t ended_ms, uint64_t seq);
struct index_key index_key_place(uint64_t segment, uint64_t id);
struct index_key index_key_place_pair(uint64_t segment, struct slice key);
struct index_key index_key_gone(uint64_t id);
struct index_key index_key_gone_pair(struct slice key);
struct index_key index_key_bytes(struct slice bytes); /* at most INDEX_KEY_MAX */
uint64_t index_u64_at(struct slice key, size_t at);   /* big-endian; 0 when the key is too short */

/* Reading. Slices are lent until the outermost index_read_end. When LMDB has given up (a commit failed in its
 * last step) it begins all the same, and each read gives ERR_IO. ERR_MEMORY: try later. */
nodiscard int index_read_begin(struct spool_index *index); /* nests */
void index_read_end(struct spool_index *index);
nodiscard int index_get(struct spool_index *index, enum index_table table, const struct index_key *key,
			struct slice *ret_value); /* ERR_MISSING, ERR_IO */
/* NULL: no memory. */
struct index_cursor *index_cursor_new(struct spool_index *index, enum index_table table);
void index_cursor_free(struct index_cursor *cursor);
/* 1: there; 0: no such; ERR_IO. seek: the first key >= key; seek_last: the last key <= key. */
nodiscard int index_seek(struct index_cursor *cursor, const struct index_key *key, struct slice *ret_key,
			 struct slice *ret_value);
nodiscard int index_seek_last(struct index_cursor *cursor, const struct index_key *key, struct slice *ret_key,
			      struct slice *ret_value);
nodiscard int index_next(struct index_cursor *cursor, struct slice *ret_key, struct slice *ret_value);
nodiscard int index_previous(struct index_cursor *cursor, struct slice *ret_key, struct slice *ret_value);

/* Writing. -ENOSPC (with EIO and others as ERR_IO) is told apart by ERR_LIMIT. After an error only
 * index_abort. */
nodiscard int index_write_begin(struct spool_index *index, struct index_txn **ret_txn);
nodiscard int index_put(struct index_txn *txn, enum index_table table, const struct index_key *key,
			struct slice value);
nodiscard int index_delete(struct index_txn *txn, enum index_table table,
			   const struct index_key *key); /* ok if missing */
nodiscard int index_txn_get(struct index_txn *txn, enum index_table table, const struct index_key *key,
			    struct slice *ret_value);			  /* lent until the next change */
nodiscard int index_empty(struct index_txn *txn, enum index_table table); /* removes all of it */
/* Removes up to max pairs with keys below the given one. */
nodiscard int index_prune(struct index_txn *txn, enum index_table table, const struct index_key *below,
			  size_t max);
/* Blocks for what the next commits add to the file, so that a full disk does not keep them out: as many as
 * there are to be had, at most these bytes. */
void index_reserve(struct spool_index *index, uint64_t bytes);
nodiscard int index_commit(struct index_txn *txn);
void index_abort(struct index_txn *txn);

/* As it was committed last, into a folder that is empty; from any thread, but no commit meanwhile. Not
 * synced. ERR_LIMIT: no room. ERR_IO, ERR_MEMORY. */
nodiscard int index_copy(struct spool_index *index, const char *folder);

nodiscard int index_put_state(struct index_txn *txn, const struct index_state *state);
/* The rows without which nothing can begin are large enough. Within index_read_begin. ERR_CORRUPT, ERR_IO,
 * ERR_MEMORY. */
nodiscard int index_check(struct spool_index *index);
/* ERR_MISSING: a new index. Within index_read_begin. */
nodiscard int index_get_state(struct spool_index *index, struct index_state *ret_state);

#endif
