/* What stands in the payloads of the spool's records and in the values of its index. Pure; see base/wire.h
 * for the form.
 *
 * entry:   u64 id, u64 version, u64 body bytes, u32 number of extents, per extent u64 segment, u32 offset,
 * u32 bytes; u32 flags, u8 body, i64 arrival; strings reverse-path, envid, client address, client name, helo,
 * message-id; u32 number of recipients, per recipient strings forward-path, orcpt; u32 domain, u32 notify,
 * state, u32 attempts, i64 not before; string last reply
 * state:   u8 state; with 0x80 added, u8 reason; with 0x40 added, of grace (amend)
 * amend:   u64 id, u64 version (0: any), i64 wall
 * clock, u32 number, per change u32 recipient, state, u32 attempts, i64 not before, strings reply, relay
 * pair:    strings key, value; pair move: u64 segment that it leaves, strings key, value
 * end:     u64 id, i64 accepted, i64 ended, u8 state, u8 at door, strings reverse-path, forward-path,
 * message-id, reply, relay abort, aside: u64 id
 *
 * An extent is a run of BODY records, one behind the other: all but the last hold FRAME_MAX bytes. In an END
 * or MOVE record an extent with segment 0 lies in the same segment, `offset` bytes before the record itself,
 * because its place is not known when the record is encoded.
 */
#ifndef STORE_SPOOL_CODEC_H
#define STORE_SPOOL_CODEC_H

#include "base/wire.h"
#include "store/entry.h"

struct extent {
	uint64_t segment;
	uint32_t offset; /* of the first record's header */
	uint32_t bytes;	 /* of the body */
};

struct spool_entry {
	struct store_entry entry;
	struct extent *extents;
	uint32_t extent_count;
};

struct spool_amend {
	uint64_t id, version;
	int64_t wall_ms;
	struct store_change *changes;
	uint32_t count;
};

/* ERR_MEMORY; ERR_LIMIT when the payload is too large for a record. */
nodiscard int spool_entry_encode(struct buffer *to, const struct spool_entry *entry);
/* The slices point into the bytes. ERR_CORRUPT, ERR_MEMORY. */
nodiscard int spool_entry_decode(struct slice bytes, struct arena *arena, struct spool_entry *ret_entry);
/* Makes the places of extents absolute, for an entry read from a record at this offset. ERR_CORRUPT. */
nodiscard int spool_entry_resolve(struct spool_entry *entry, uint64_t segment, uint32_t record_offset);

nodiscard int spool_amend_encode(struct buffer *to, const struct spool_amend *amend);
nodiscard int spool_amend_decode(struct slice bytes, struct arena *arena, struct spool_amend *ret_amend);

nodiscard int spool_end_encode(struct buffer *to, const struct store_end *end);
nodiscard int spool_end_decode(struct slice bytes, struct store_end *ret_end);

nodiscard int spool_pair_encode(struct buffer *to, struct slice key, struct slice value);
nodiscard int spool_pair_decode(struct slice bytes, struct store_pair *ret_pair);
nodiscard int spool_pair_move_encode(struct buffer *to, uint64_t from_segment, struct slice key,
				     struct slice value);
nodiscard int spool_pair_move_decode(struct slice bytes, uint64_t *ret_from_segment,
				     struct store_pair *ret_pair);

nodiscard int spool_id_encode(struct buffer *to, uint64_t id);
nodiscard int spool_id_decode(struct slice bytes, uint64_t *ret_id);

/* Bytes of log that an extent takes. */
uint64_t extent_log_bytes(const struct extent *extent);

#endif
