/* A piece of the spool's log: the first byte says how it is looked at.
 *
 * Even: as it is found on a disk: searched for valid records, each read and its payload decoded. Odd: as the
 * payload of a record of a kind, without the checksums that would keep a fuzzer out. What decodes must encode
 * to the same again.
 */
#include "base/check.h"
#include "fuzz.h"
#include "store/spool_codec.h"
#include "store/spool_record.h"

enum { SEGMENT = 1, MEMORY_MAX = 1 << 24 };

static void check_entry(struct slice payload, struct arena *arena)
{
	struct spool_entry entry;
	struct buffer again;

	if (spool_entry_decode(payload, arena, &entry) != 0)
		return;
	buffer_init(&again, 0);
	for (uint32_t i = 0; i < entry.entry.envelope.recipient_count; i++)
		if (entry.entry.envelope.recipients[i].last_reply.size > STORE_REPLY_MAX)
			goto out; /* is cut when written */
	if (spool_entry_encode(&again, &entry) == 0)
		check(slice_equal(buffer_slice(&again), payload));
	check(entry_queued(&entry.entry) <= entry.entry.envelope.recipient_count);
	if (spool_entry_resolve(&entry, SEGMENT, 4096) == 0)
		check(entry.extent_count == 0 || entry.extents[0].segment != 0);
out:
	buffer_deinit(&again);
}

static void check_amend(struct slice payload, struct arena *arena)
{
	struct spool_amend amend;
	struct buffer again;

	if (spool_amend_decode(payload, arena, &amend) != 0)
		return;
	buffer_init(&again, 0);
	check(spool_amend_encode(&again, &amend) == 0 && buffer_size(&again) <= payload.size);
	buffer_deinit(&again);
}

static void check_others(struct slice payload)
{
	struct store_end end;
	struct store_pair pair;
	uint64_t number;
	struct buffer again;

	buffer_init(&again, 0);
	if (spool_end_decode(payload, &end) == 0)
		check(spool_end_encode(&again, &end) == 0 && buffer_size(&again) <= payload.size);
	buffer_reset(&again);
	if (spool_pair_decode(payload, &pair) == 0)
		check(spool_pair_encode(&again, pair.key, pair.value) == 0 &&
		      slice_equal(buffer_slice(&again), payload));
	buffer_reset(&again);
	if (spool_pair_move_decode(payload, &number, &pair) == 0)
		check(spool_pair_move_encode(&again, number, pair.key, pair.value) == 0 &&
		      slice_equal(buffer_slice(&again), payload));
	if (spool_id_decode(payload, &number) == 0)
		check(payload.size == sizeof(number));
	buffer_deinit(&again);
}

static void check_payload(struct slice payload)
{
	struct arena arena;

	arena_init(&arena, MEMORY_MAX);
	check_entry(payload, &arena);
	arena_reset(&arena);
	check_amend(payload, &arena);
	arena_deinit(&arena);
	check_others(payload);
}

static void check_log(struct slice log)
{
	struct record record;
	size_t at = 0;

	while ((at = record_search(log, at, SEGMENT, 0)) < log.size) {
		int result = record_read(slice_from(log, at), SEGMENT, at, &record);
		if (result == 1) {
			check(record_size(record.length) <= log.size - at);
			check_payload(record.payload);
		}
		at += RECORD_ALIGN;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice input = slice_make(data, size);

	if (size == 0)
		return 0;
	if (data[0] % 2 == 0)
		check_log(slice_from(input, 1));
	else
		check_payload(slice_from(input, 1));
	return 0;
}
