/* The records of the log and their payloads: whole, cut at every byte, every bit flipped, out of place,
 * without memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/spool_codec.h"
#include "store/spool_record.h"

enum { SEGMENT = 7, OFFSET = 4096 };

static void add_record(struct buffer *b, enum record_kind kind, struct slice payload)
{
	size_t at;

	assert_int_equal(record_begin(b, &at), 0);
	assert_int_equal(buffer_add(b, payload), 0);
	assert_int_equal(record_finish(b, at, kind), 0);
}

static void seal(struct buffer *b)
{
	record_seal_all((char *)buffer_slice(b).data, buffer_size(b), SEGMENT, OFFSET, OFFSET, 0);
}

static void records_come_back(void **state)
{
	static const size_t sizes[] = {
	    0, 1, 7, 8, 9, 1000, FRAME_MAX - 1, FRAME_MAX, FRAME_MAX + 1, RECORD_PAYLOAD_MAX};
	static char bytes[RECORD_PAYLOAD_MAX];
	struct buffer b;
	struct record r;

	(void)state;
	buffer_init(&b, 0);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		add_record(&b, RECORD_BODY, slice_make(bytes, sizes[i]));
	seal(&b);
	size_t at = 0;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct slice rest = slice_from(buffer_slice(&b), at);
		assert_int_equal(record_read(rest, SEGMENT, OFFSET + at, &r), 1);
		assert_int_equal(r.payload.size, sizes[i]);
		assert_int_equal(r.kind, RECORD_BODY);
		assert_int_equal(r.batch, OFFSET);
		at += record_size(r.length);
	}
	assert_int_equal(at, buffer_size(&b));
	buffer_deinit(&b);
}

static void a_cut_record_needs_more(void **state)
{
	struct buffer b;
	struct record r;

	(void)state;
	buffer_init(&b, 0);
	add_record(&b, RECORD_PAIR, SLICE("some payload"));
	seal(&b);
	for (size_t size = 0; size < buffer_size(&b); size++)
		assert_int_equal(record_read(slice_upto(buffer_slice(&b), size), SEGMENT, OFFSET, &r), 0);
	buffer_deinit(&b);
}

static void every_flipped_bit_is_noticed(void **state)
{
	struct buffer b;
	struct record r;
	struct slice payload = SLICE("a payload of 24 bytes...");

	(void)state;
	buffer_init(&b, 0);
	add_record(&b, RECORD_PAIR, payload);
	seal(&b);
	char *bytes = (char *)buffer_slice(&b).data;
	for (size_t bit = 0; bit < (RECORD_HEADER_BYTES + payload.size) * 8; bit++) {
		bytes[bit / 8] ^= (char)(1 << bit % 8);
		assert_int_equal(record_read(buffer_slice(&b), SEGMENT, OFFSET, &r), ERR_CORRUPT);
		bytes[bit / 8] ^= (char)(1 << bit % 8);
	}
	assert_int_equal(record_read(buffer_slice(&b), SEGMENT, OFFSET, &r), 1);
	buffer_deinit(&b);
}

static void a_record_is_valid_at_its_place_only(void **state)
{
	struct buffer b;
	struct record r;

	(void)state;
	buffer_init(&b, 0);
	add_record(&b, RECORD_PAIR, SLICE("x"));
	seal(&b);
	assert_int_equal(record_read(buffer_slice(&b), SEGMENT, OFFSET, &r), 1);
	assert_int_equal(record_read(buffer_slice(&b), SEGMENT + 1, OFFSET, &r), ERR_CORRUPT);
	assert_int_equal(record_read(buffer_slice(&b), SEGMENT, OFFSET + RECORD_ALIGN, &r), ERR_CORRUPT);
	buffer_deinit(&b);
}

static void a_newer_format_is_told_apart(void **state)
{
	static const size_t places[] = {4 /* format */, 6 /* codec */, 8 /* key id */};
	struct buffer b;
	struct record r;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		buffer_init(&b, 0);
		add_record(&b, RECORD_PAIR, SLICE("x"));
		((char *)buffer_slice(&b).data)[places[i]]++;
		seal(&b);
		assert_int_equal(record_read(buffer_slice(&b), SEGMENT, OFFSET, &r), ERR_VERSION);
		buffer_deinit(&b);
	}
}

static void the_next_valid_record_is_found(void **state)
{
	struct buffer b;

	(void)state;
	buffer_init(&b, 0);
	add_record(&b, RECORD_PAIR, SLICE("first"));
	size_t second = buffer_size(&b);
	add_record(&b, RECORD_PAIR, SLICE("second RSTL RSTL RSTL RSTL"));
	size_t end = buffer_size(&b);
	seal(&b);
	assert_int_equal(record_search(buffer_slice(&b), 0, SEGMENT, OFFSET), 0);
	for (size_t from = RECORD_ALIGN; from <= second; from += RECORD_ALIGN)
		assert_int_equal(record_search(buffer_slice(&b), from, SEGMENT, OFFSET), second);
	assert_int_equal(record_search(buffer_slice(&b), second + RECORD_ALIGN, SEGMENT, OFFSET), end);
	assert_int_equal(record_search(buffer_slice(&b), 0, SEGMENT + 1, OFFSET), end);
	buffer_deinit(&b);
}

/* --- payloads -------------------------------------------------------------------------------------- */

static struct store_recipient recipients[2] = {
    {.forward_path = {"a@example.com", 13}, .orcpt = {"rfc822;a", 8}, .domain = 3, .notify = 1, .reason = 47},
    {.forward_path = {"b@example.com", 13},
     .domain = 4,
     .state = STORE_REFUSED,
     .attempts = 9,
     .not_before_ms = -1,
     .last_reply = {"550 no", 6}},
};

static struct extent extents[2] = {{.segment = 9, .offset = 800, .bytes = 30},
				   {.segment = 0, .offset = 64, .bytes = 5}};

static struct spool_entry an_entry(void)
{
	return (struct spool_entry){
	    .entry = {.id = 77,
		      .version = 2,
		      .body_bytes = 35,
		      .envelope = {.reverse_path = SLICE("s@example.org"),
				   .envid = SLICE("e"),
				   .flags = 5,
				   .body = STORE_BODY_8BITMIME,
				   .arrival_ms = 99,
				   .client_address = SLICE("192.0.2.1"),
				   .client_name = SLICE("n"),
				   .helo = SLICE("h"),
				   .message_id = SLICE("<m@x>"),
				   .recipient_count = 2,
				   .recipients = recipients}},
	    .extents = extents,
	    .extent_count = 2,
	};
}

static void entries_come_back(void **state)
{
	struct spool_entry entry = an_entry(), back;
	struct buffer first, second;
	struct arena arena;

	(void)state;
	buffer_init(&first, 0);
	buffer_init(&second, 0);
	arena_init(&arena, 0);
	assert_int_equal(spool_entry_encode(&first, &entry), 0);
	assert_int_equal(spool_entry_decode(buffer_slice(&first), &arena, &back), 0);
	assert_int_equal(spool_entry_encode(&second, &back), 0);
	assert_true(slice_equal(buffer_slice(&first), buffer_slice(&second)));
	assert_int_equal(back.entry.envelope.recipients[1].not_before_ms, -1);
	assert_int_equal(back.entry.envelope.recipients[0].reason, 47);
	assert_int_equal(back.entry.envelope.recipients[1].reason, 0);
	assert_int_equal(spool_entry_resolve(&back, 12, 1000), 0);
	assert_int_equal(back.extents[0].segment, 9);
	assert_int_equal(back.extents[1].segment, 12);
	assert_int_equal(back.extents[1].offset, 1000 - 64);
	back.extents[1] = extents[1];
	assert_int_equal(spool_entry_resolve(&back, 12, 63), ERR_CORRUPT); /* before the segment's begin */
	/* Cut anywhere it is no entry, and neither with something behind it. */
	for (size_t size = 0; size < buffer_size(&first); size++)
		assert_int_equal(spool_entry_decode(slice_upto(buffer_slice(&first), size), &arena, &back),
				 ERR_CORRUPT);
	assert_int_equal(buffer_append(&first, "x", 1), 0);
	assert_int_equal(spool_entry_decode(buffer_slice(&first), &arena, &back), ERR_CORRUPT);
	arena_deinit(&arena);
	buffer_deinit(&first);
	buffer_deinit(&second);
}

static void amends_and_others_come_back(void **state)
{
	struct store_change changes[] = {{.recipient = 1,
					  .state = STORE_DELIVERED,
					  .attempts = 3,
					  .not_before_ms = 4,
					  .reply = SLICE("250"),
					  .relay = SLICE("mx")}};
	struct spool_amend amend = {.id = 5, .version = 6, .wall_ms = 7, .changes = changes, .count = 1},
			   back;
	struct store_end end = {.id = 1,
				.accepted_ms = 2,
				.ended_ms = 3,
				.state = STORE_EXPIRED,
				.at_door = true,
				.reverse_path = SLICE("r"),
				.forward_path = SLICE("f"),
				.relay = SLICE("l")},
			 end_back;
	struct store_pair pair;
	struct buffer b;
	struct arena arena;
	uint64_t number;

	(void)state;
	arena_init(&arena, 0);
	buffer_init(&b, 0);
	assert_int_equal(spool_amend_encode(&b, &amend), 0);
	assert_int_equal(spool_amend_decode(buffer_slice(&b), &arena, &back), 0);
	assert_true(back.id == 5 && back.version == 6 && back.wall_ms == 7 && back.count == 1);
	assert_true(slice_equal(back.changes[0].relay, SLICE("mx")));
	for (size_t size = 0; size < buffer_size(&b); size++)
		assert_int_equal(spool_amend_decode(slice_upto(buffer_slice(&b), size), &arena, &back),
				 ERR_CORRUPT);
	buffer_reset(&b);
	assert_int_equal(spool_end_encode(&b, &end), 0);
	assert_int_equal(spool_end_decode(buffer_slice(&b), &end_back), 0);
	assert_true(end_back.at_door && end_back.ended_ms == 3 && slice_equal(end_back.relay, SLICE("l")));
	for (size_t size = 0; size < buffer_size(&b); size++)
		assert_int_equal(spool_end_decode(slice_upto(buffer_slice(&b), size), &end_back),
				 ERR_CORRUPT);
	buffer_reset(&b);
	assert_int_equal(spool_pair_move_encode(&b, 8, SLICE("key"), SLICE("value")), 0);
	assert_int_equal(spool_pair_move_decode(buffer_slice(&b), &number, &pair), 0);
	assert_true(number == 8 && slice_equal(pair.key, SLICE("key")) &&
		    slice_equal(pair.value, SLICE("value")));
	for (size_t size = 0; size < buffer_size(&b); size++)
		assert_int_equal(spool_pair_move_decode(slice_upto(buffer_slice(&b), size), &number, &pair),
				 ERR_CORRUPT);
	buffer_deinit(&b);
	arena_deinit(&arena);
}

/* What stands in the spools of the first version: a bare state. It is also what is written when there is
 * nothing more to say. */
static void states_without_a_reason_are_read(void **state)
{
	static const char first_version[] = "\5\0\0\0\0\0\0\0"	 /* id */
					    "\6\0\0\0\0\0\0\0"	 /* version */
					    "\7\0\0\0\0\0\0\0"	 /* time */
					    "\1\0\0\0"		 /* one change */
					    "\2\0\0\0\1\3\0\0\0" /* recipient, state, attempts */
					    "\4\0\0\0\0\0\0\0"	 /* not before */
					    "\1\0\0\0r\0\0\0\0"; /* reply, relay */
	struct slice old = slice_make(first_version, sizeof(first_version) - 1);
	struct spool_amend back;
	struct buffer b;
	struct arena arena;

	(void)state;
	arena_init(&arena, 0);
	buffer_init(&b, 0);
	assert_int_equal(spool_amend_decode(old, &arena, &back), 0);
	assert_int_equal(back.changes[0].state, STORE_DELIVERED);
	assert_int_equal(back.changes[0].reason, 0);
	assert_false(back.changes[0].of_grace);
	assert_int_equal(spool_amend_encode(&b, &back), 0);
	assert_true(slice_equal(buffer_slice(&b), old));
	back.changes[0].of_grace = true;
	back.changes[0].reason = 255;
	buffer_reset(&b);
	assert_int_equal(spool_amend_encode(&b, &back), 0);
	assert_int_equal(spool_amend_decode(buffer_slice(&b), &arena, &back), 0);
	assert_true(back.changes[0].of_grace && back.changes[0].reason == 255 &&
		    back.changes[0].state == STORE_DELIVERED && back.changes[0].not_before_ms == 4);
	buffer_deinit(&b);
	arena_deinit(&arena);
}

/* A count promises more than the bytes can hold: no memory is taken for it. */
static void great_promises_are_not_believed(void **state)
{
	struct spool_entry entry = an_entry(), back;
	struct buffer b;
	struct arena arena;

	(void)state;
	arena_init(&arena, 1 << 20);
	buffer_init(&b, 0);
	assert_int_equal(spool_entry_encode(&b, &entry), 0);
	memset((char *)buffer_slice(&b).data + 24, 0xff, 4); /* the number of extents */
	assert_int_equal(spool_entry_decode(buffer_slice(&b), &arena, &back), ERR_CORRUPT);
	buffer_deinit(&b);
	arena_deinit(&arena);
}

static void decoding_survives_without_memory(void **state)
{
	struct spool_entry entry = an_entry(), back;
	struct buffer b;
	int result = ERR_MEMORY;

	(void)state;
	buffer_init(&b, 0);
	assert_int_equal(spool_entry_encode(&b, &entry), 0);
	for (size_t limit = 1; result != 0; limit += 16) {
		struct arena arena;
		arena_init(&arena, limit);
		result = spool_entry_decode(buffer_slice(&b), &arena, &back);
		assert_true(result == 0 || result == ERR_MEMORY);
		arena_deinit(&arena);
		assert_true(limit < 100000);
	}
	buffer_deinit(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(records_come_back),
	    cmocka_unit_test(a_cut_record_needs_more),
	    cmocka_unit_test(every_flipped_bit_is_noticed),
	    cmocka_unit_test(a_record_is_valid_at_its_place_only),
	    cmocka_unit_test(a_newer_format_is_told_apart),
	    cmocka_unit_test(the_next_valid_record_is_found),
	    cmocka_unit_test(entries_come_back),
	    cmocka_unit_test(amends_and_others_come_back),
	    cmocka_unit_test(states_without_a_reason_are_read),
	    cmocka_unit_test(great_promises_are_not_believed),
	    cmocka_unit_test(decoding_survives_without_memory),
	};

	return cmocka_run_group_tests_name("spool records", tests, NULL, NULL);
}
