#include "store/spool_record.h"

#include <endian.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/check.h"

static const char magic[4] = {'R', 'S', 'T', 'L'};

enum { /* offsets within the header */
       AT_VERSION = 4,
       AT_KIND = 5,
       AT_CODEC = 6,
       AT_KEY = 8,
       AT_LENGTH = 12,
       AT_SEGMENT = 16,
       AT_BATCH = 24,
       AT_PREVIOUS_END = 28,
       AT_PAYLOAD_SUM = 32,
       AT_HEADER_SUM = 40,
};

static void set_u32(char *at, uint32_t value)
{
	value = htole32(value);
	memcpy(at, &value, sizeof(value));
}

static void set_u64(char *at, uint64_t value)
{
	value = htole64(value);
	memcpy(at, &value, sizeof(value));
}

static uint32_t get_u32(const char *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return le32toh(value);
}

static uint64_t get_u64(const char *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return le64toh(value);
}

size_t record_size(size_t payload_bytes)
{
	return RECORD_HEADER_BYTES + (payload_bytes + RECORD_ALIGN - 1) / RECORD_ALIGN * RECORD_ALIGN;
}

int record_begin(struct buffer *to, size_t *ret_at)
{
	size_t at = buffer_size(to);
	char *header = buffer_reserve(to, RECORD_HEADER_BYTES);

	check(at % RECORD_ALIGN == 0);
	if (header == NULL)
		return ERR_MEMORY;
	memset(header, 0, RECORD_HEADER_BYTES);
	buffer_commit(to, RECORD_HEADER_BYTES);
	*ret_at = at;
	return 0;
}

int record_finish(struct buffer *to, size_t at, enum record_kind kind)
{
	static const char zeros[RECORD_ALIGN];
	size_t length = buffer_size(to) - at - RECORD_HEADER_BYTES;

	check(length <= RECORD_PAYLOAD_MAX);
	if (buffer_append(to, zeros, record_size(length) - RECORD_HEADER_BYTES - length) != 0)
		return ERR_MEMORY;
	char *header = (char *)buffer_slice(to).data + at;
	memcpy(header, magic, sizeof(magic));
	header[AT_VERSION] = RECORD_FORMAT;
	header[AT_KIND] = (char)kind;
	set_u32(header + AT_LENGTH, (uint32_t)length);
	set_u64(header + AT_PAYLOAD_SUM, XXH3_64bits(header + RECORD_HEADER_BYTES, length));
	return 0;
}

void record_seal_all(char *bytes, size_t size, uint64_t segment, uint32_t batch, uint32_t offset,
		     uint32_t previous_end)
{
	size_t at = 0;

	while (at < size) {
		char *header = bytes + at;
		check(memcmp(header, magic, sizeof(magic)) == 0);
		set_u64(header + AT_SEGMENT, segment);
		set_u32(header + AT_BATCH, batch);
		set_u32(header + AT_PREVIOUS_END, previous_end);
		set_u64(header + AT_HEADER_SUM, XXH3_64bits_withSeed(header, AT_HEADER_SUM, offset + at));
		at += record_size(get_u32(header + AT_LENGTH));
	}
	check(at == size);
}

int record_header(struct slice bytes, uint64_t segment, uint64_t offset, struct record *ret_record)
{
	const char *header = bytes.data;

	if (bytes.size < RECORD_HEADER_BYTES)
		return 0;
	if (memcmp(header, magic, sizeof(magic)) != 0 || get_u64(header + AT_SEGMENT) != segment ||
	    get_u64(header + AT_HEADER_SUM) != XXH3_64bits_withSeed(header, AT_HEADER_SUM, offset))
		return ERR_CORRUPT;
	if ((uint8_t)header[AT_VERSION] > RECORD_FORMAT || header[AT_CODEC] != 0 ||
	    get_u32(header + AT_KEY) != 0)
		return ERR_VERSION;
	uint32_t length = get_u32(header + AT_LENGTH);
	if (length > RECORD_PAYLOAD_MAX || header[AT_KIND] == 0)
		return ERR_CORRUPT;
	*ret_record = (struct record){
	    .kind = (enum record_kind)(uint8_t)header[AT_KIND],
	    .codec = (uint8_t)header[AT_CODEC],
	    .key = get_u32(header + AT_KEY),
	    .segment = segment,
	    .batch = get_u32(header + AT_BATCH),
	    .previous_end = get_u32(header + AT_PREVIOUS_END),
	    .length = length,
	};
	return 1;
}

int record_read(struct slice bytes, uint64_t segment, uint64_t offset, struct record *ret_record)
{
	struct record record;
	int result = record_header(bytes, segment, offset, &record);

	if (result <= 0)
		return result;
	if (bytes.size < record_size(record.length))
		return 0;
	record.payload = slice_make(bytes.data + RECORD_HEADER_BYTES, record.length);
	if (get_u64(bytes.data + AT_PAYLOAD_SUM) != XXH3_64bits(record.payload.data, record.length))
		return ERR_CORRUPT;
	*ret_record = record;
	return 1;
}

bool record_resembles(struct slice bytes, uint64_t segment)
{
	if (bytes.size < sizeof(magic))
		return false;
	bool named = memcmp(bytes.data, magic, sizeof(magic)) == 0;
	if (bytes.size < RECORD_HEADER_BYTES)
		return named;
	bool numbered = get_u64(bytes.data + AT_SEGMENT) == segment;
	bool plain = bytes.data[AT_VERSION] == RECORD_FORMAT && bytes.data[AT_CODEC] == 0 &&
		     get_u32(bytes.data + AT_KEY) == 0;
	return (named && numbered) || (named && plain) || (numbered && plain);
}

size_t record_search(struct slice bytes, size_t from, uint64_t segment, uint64_t offset)
{
	struct record record;

	check(from % RECORD_ALIGN == 0);
	for (size_t at = from; at + RECORD_HEADER_BYTES <= bytes.size; at += RECORD_ALIGN)
		if (memcmp(bytes.data + at, magic, sizeof(magic)) == 0 &&
		    record_header(slice_from(bytes, at), segment, offset + at, &record) != ERR_CORRUPT)
			return at;
	return bytes.size;
}
