/* The records of the spool's log: what every one of them looks like. Pure.
 *
 * A segment file is a sequence of records, each at an offset that is a multiple of 8:
 *
 *     0  u32  magic "RSTL"
 *     4  u8   format version (1)
 *     5  u8   kind
 *     6  u8   codec of the payload (0: as it is)
 *     7  u8   0
 *     8  u32  key id (0: not encrypted)
 *    12  u32  length of the payload in bytes
 *    16  u64  number of the segment: a recycled file cannot replay what it held before
 *    24  u32  offset at which the group commit began: all records with the same one became durable together
 *    28  u32  in the first group commit of a segment, the end of the one before, when it is known; else 0
 *    32  u64  XXH3-64 of the payload as stored
 *    40  u64  XXH3-64 of the 40 bytes before, seeded with the record's offset: a record is valid at its place
 * only 48  payload, filled up with zeros to a multiple of 8
 *
 * Integers are little-endian. Known gap: codec and key id are always 0 so far.
 */
#ifndef STORE_SPOOL_RECORD_H
#define STORE_SPOOL_RECORD_H

#include "base/buffer.h"

enum {
	RECORD_HEADER_BYTES = 48,
	RECORD_FORMAT = 1,
	RECORD_ALIGN = 8,
	FRAME_MAX = 64 * 1024, /* bytes of a body in one record */
	RECORD_PAYLOAD_MAX =
	    4 * 1024 * 1024, /* an envelope of 1000 recipients with everything at its limit fits */
};

enum record_kind {
	RECORD_BODY = 1, /* a frame of a body; means nothing before an END refers to it */
	RECORD_END = 2,	 /* a message is whole: its entry, see spool_codec.h */
	RECORD_AMEND = 3,
	RECORD_PAIR = 4,  /* key-value */
	RECORD_NOTE = 5,  /* end record of a refusal at the door */
	RECORD_ABORT = 6, /* this id never appears */
	RECORD_ASIDE = 7, /* the message is damaged and out of the queue */
	RECORD_MOVE = 8,  /* compaction: the message's body lies elsewhere now */
	RECORD_PAIR_MOVE = 9,
	RECORD_FORGET = 10, /* a message that was set aside is given up; id 0: all of them */
};

struct record {
	enum record_kind kind;
	uint8_t codec;
	uint32_t key;
	uint64_t segment;
	uint32_t batch;
	uint32_t previous_end;
	struct slice payload; /* from record_check on */
	uint32_t length;      /* of the payload */
};

/* Bytes that a record with this payload takes in the log. */
size_t record_size(size_t payload_bytes);

/* Appending: record_begin, the payload, record_finish with the position that begin gave. ERR_MEMORY. */
nodiscard int record_begin(struct buffer *to, size_t *ret_at);
nodiscard int record_finish(struct buffer *to, size_t at, enum record_kind kind);
/* The last step, when the place is known (offset: of the bytes), for all records of the bytes. */
void record_seal_all(char *bytes, size_t size, uint64_t segment, uint32_t batch, uint32_t offset,
		     uint32_t previous_end);

/* Reads the header at the front of bytes: 1 a valid one of this place; 0 bytes are too few for a header;
 * ERR_CORRUPT; ERR_VERSION when it is whole but of a newer format. The payload is not looked at. */
nodiscard int record_header(struct slice bytes, uint64_t segment, uint64_t offset, struct record *ret_record);
/* The same, and the payload: 0 also when bytes end within the record. */
nodiscard int record_read(struct slice bytes, uint64_t segment, uint64_t offset, struct record *ret_record);

/* Whether what stands there was once a record of this segment, as far as a damaged header can tell. */
bool record_resembles(struct slice bytes, uint64_t segment);

/* Position of the first place from `from` on (a multiple of 8) at which a valid header of this segment
 * stands; bytes.size when there is none. offset: of the bytes. */
size_t record_search(struct slice bytes, size_t from, uint64_t segment, uint64_t offset);

#endif
