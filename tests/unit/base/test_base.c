/* Slices, arenas, buffers, heaps, maps, wire records, ids: each at its edges, and against a slower model. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/base32.h"
#include "base/buffer.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/rng.h"
#include "base/wire.h"

/* --- slices --- */

static void slices_compare_and_search(void **state)
{
	assert_true(slice_equal(SLICE("ab"), SLICE("ab")));
	assert_false(slice_equal(SLICE("ab"), SLICE("aB")));
	assert_true(slice_equal_nocase(SLICE("aZ@"), SLICE("Az@")));
	assert_false(slice_equal_nocase(SLICE("@"), SLICE("`"))); /* differ by the case bit, are no letters */
	assert_true(slice_equal(slice_of(NULL), SLICE("")));
	assert_true(slice_starts_nocase(SLICE("MAIL FROM"), SLICE("mail")));
	assert_false(slice_starts(SLICE("ma"), SLICE("mail")));
	assert_true(slice_contains_nocase(SLICE("User UNKNOWN here"), SLICE("unknown")));
	assert_false(slice_contains_nocase(SLICE("unknow"), SLICE("unknown")));
	assert_int_equal(slice_find(SLICE("a:b:c"), ':'), 1);
	assert_int_equal(slice_find_last(SLICE("a:b:c"), ':'), 3);
	assert_int_equal(slice_find(SLICE("abc"), ':'), 3);
	assert_true(slice_compare(SLICE("ab"), SLICE("abc")) < 0);
	assert_true(slice_equal(slice_trim(SLICE(" \ta b\t ")), SLICE("a b")));
	assert_int_equal(slice_from(SLICE("abc"), 5).size, 0);
}

static void slices_split_into_all_parts(void **state)
{
	struct slice rest = SLICE("a,,b,"), part;
	const char *expected[] = {"a", "", "b", ""};

	for (size_t i = 0; i < 4; i++) {
		assert_true(slice_split(&rest, ',', &part));
		assert_true(slice_equal(part, slice_of(expected[i])));
	}
	assert_false(slice_split(&rest, ',', &part));
}

static void numbers_are_digits_only_and_fit(void **state)
{
	uint64_t value = 7;

	assert_int_equal(slice_to_u64(SLICE("18446744073709551615"), &value), 0);
	assert_true(value == UINT64_MAX);
	assert_int_equal(slice_to_u64(SLICE("18446744073709551616"), &value), ERR_LIMIT);
	assert_int_equal(slice_to_u64(SLICE(""), &value), ERR_SYNTAX);
	assert_int_equal(slice_to_u64(SLICE("-1"), &value), ERR_SYNTAX);
	assert_int_equal(slice_to_u64(SLICE("1 "), &value), ERR_SYNTAX);
	assert_true(value == UINT64_MAX); /* untouched by failures */
}

/* --- arena --- */

static void an_arena_keeps_its_limit(void **state)
{
	struct arena arena;

	arena_init(&arena, 1024);
	assert_non_null(arena_alloc(&arena, 1008));
	assert_null(arena_alloc(&arena, 17)); /* rounded up to 32 */
	assert_non_null(arena_alloc(&arena, 16));
	assert_null(arena_alloc(&arena, 1));
	arena_reset(&arena);
	assert_non_null(arena_alloc(&arena, 1024));
	assert_null(arena_alloc_array(&arena, SIZE_MAX / 2, 3));
	arena_deinit(&arena);
}

static void an_arena_gives_zeroed_apart_places(void **state)
{
	struct arena arena;
	unsigned char *places[200];

	arena_init(&arena, 0);
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < 200; i++) {
			places[i] = arena_alloc(&arena, i * 7 + 1);
			assert_non_null(places[i]);
			for (size_t k = 0; k < i * 7 + 1; k++)
				assert_int_equal(places[i][k], 0);
			memset(places[i], (int)i, i * 7 + 1);
		}
		for (size_t i = 0; i < 200; i++)
			assert_int_equal(places[i][i * 7], i);
		arena_reset(&arena);
	}
	struct slice copy;
	assert_int_equal(arena_copy(&arena, SLICE("text"), &copy), 0);
	assert_string_equal(copy.data, "text");
	arena_deinit(&arena);
}

/* --- buffer --- */

static void a_buffer_is_a_queue(void **state)
{
	struct buffer buffer;
	struct rng rng;
	uint8_t next_in = 0, next_out = 0;

	buffer_init(&buffer, 5000);
	rng_init(&rng, 3);
	for (int i = 0; i < 20000; i++) {
		size_t size = rng_below(&rng, 300);
		uint8_t bytes[300];
		for (size_t k = 0; k < size; k++)
			bytes[k] = (uint8_t)(next_in + k);
		size_t held = buffer_size(&buffer);
		int error = buffer_append(&buffer, bytes, size);
		assert_int_equal(error, held + size > 5000 ? ERR_LIMIT : 0);
		if (error == 0)
			next_in = (uint8_t)(next_in + size);
		size_t take = rng_below(&rng, buffer_size(&buffer) + 1);
		struct slice s = buffer_slice(&buffer);
		for (size_t k = 0; k < take; k++)
			assert_int_equal((uint8_t)s.data[k], (uint8_t)(next_out + k));
		next_out = (uint8_t)(next_out + take);
		buffer_consume(&buffer, take);
	}
	buffer_deinit(&buffer);
}

static void a_buffer_formats(void **state)
{
	struct buffer buffer;

	buffer_init(&buffer, 12);
	assert_int_equal(buffer_printf(&buffer, "%d-%s", 250, "ok"), 0);
	assert_true(slice_equal(buffer_slice(&buffer), SLICE("250-ok")));
	assert_int_equal(buffer_printf(&buffer, "%s", "too long"), ERR_LIMIT);
	assert_int_equal(buffer_size(&buffer), 6);
	buffer_truncate(&buffer, 3);
	assert_true(slice_equal(buffer_slice(&buffer), SLICE("250")));
	buffer_deinit(&buffer);
}

/* --- heap and list --- */

static void a_heap_gives_the_smallest_first(void **state)
{
	enum { NODES = 300 };
	static struct heap_node nodes[NODES];
	struct heap heap = {.root = NULL};
	struct rng rng;

	memset(nodes, 0, sizeof(nodes));
	rng_init(&rng, 11);
	for (int step = 0; step < 30000; step++) {
		struct heap_node *node = &nodes[rng_below(&rng, NODES)];
		uint64_t what = rng_below(&rng, 4);
		if (what == 0)
			heap_remove(&heap, node);
		else if (what < 3)
			heap_move(&heap, node, rng_between(&rng, -50, 50));
		else if (heap_first(&heap) != NULL)
			heap_remove(&heap, heap_first(&heap));
		int64_t smallest = INT64_MAX;
		for (size_t i = 0; i < NODES; i++)
			if (nodes[i].queued && nodes[i].key < smallest)
				smallest = nodes[i].key;
		struct heap_node *first = heap_first(&heap);
		assert_int_equal(first != NULL ? first->key : INT64_MAX, smallest);
	}
}

static void a_list_keeps_its_order(void **state)
{
	struct list head, nodes[3] = {{NULL, NULL}};

	list_init(&head);
	list_remove(&nodes[0]); /* in no list: nothing happens */
	assert_false(list_linked(&nodes[0]));
	list_add_last(&head, &nodes[1]);
	list_add_last(&head, &nodes[2]);
	list_add_first(&head, &nodes[0]);
	size_t i = 0;
	list_each_safe(node, after, &head) {
		assert_ptr_equal(node, &nodes[i++]);
		list_remove(node);
	}
	assert_int_equal(i, 3);
	assert_true(list_empty(&head));
}

/* --- map --- */

struct entry {
	struct map_node node;
	char key[16];
	bool inside;
};

static void a_map_finds_what_is_in_it(void **state)
{
	enum { ENTRIES = 500 };
	static struct entry entries[ENTRIES];
	struct map map;
	struct rng rng;
	size_t count = 0;

	map_init(&map, 5);
	rng_init(&rng, 8);
	for (size_t i = 0; i < ENTRIES; i++)
		(void)snprintf(entries[i].key, sizeof(entries[i].key), "key%zu", i);
	for (int step = 0; step < 20000; step++) {
		struct entry *e = &entries[rng_below(&rng, ENTRIES)];
		if (!e->inside) {
			assert_int_equal(map_insert(&map, &e->node, slice_of(e->key)), 0);
			count++;
		} else {
			struct map_node other;
			assert_int_equal(map_insert(&map, &other, slice_of(e->key)), ERR_EXISTS);
			map_remove(&map, &e->node);
			count--;
		}
		e->inside = !e->inside;
		struct entry *probe = &entries[rng_below(&rng, ENTRIES)];
		assert_ptr_equal(map_find(&map, slice_of(probe->key)), probe->inside ? &probe->node : NULL);
	}
	size_t walked = 0;
	for (struct map_node *n = map_next(&map, NULL); n != NULL; n = map_next(&map, n))
		walked++;
	assert_int_equal(walked, count);
	while (map_take_any(&map) != NULL)
		count--;
	assert_int_equal(count, 0);
	map_deinit(&map);
}

/* --- wire --- */

static void write_all(struct buffer *buffer)
{
	struct wire_writer w = wire_writer(buffer);

	wire_write_u8(&w, 0xab);
	wire_write_u16(&w, 0xbeef);
	wire_write_u32(&w, 0xdeadbeef);
	wire_write_u64(&w, UINT64_MAX - 1);
	wire_write_i64(&w, -5);
	wire_write_double(&w, 2.5);
	wire_write_string(&w, SLICE("text"));
	assert_false(w.failed);
}

static bool read_all(struct slice bytes)
{
	struct wire_reader r = wire_reader(bytes);
	bool same = wire_read_u8(&r) == 0xab;

	same &= wire_read_u16(&r) == 0xbeef;
	same &= wire_read_u32(&r) == 0xdeadbeef;
	same &= wire_read_u64(&r) == UINT64_MAX - 1;
	same &= wire_read_i64(&r) == -5;
	same &= wire_read_double(&r) == 2.5;
	same &= slice_equal(wire_read_string(&r), SLICE("text"));
	assert_true(!wire_ok(&r) || same);
	return wire_ok(&r);
}

static void a_cut_record_fails_and_stays_failed(void **state)
{
	struct buffer buffer;

	buffer_init(&buffer, 0);
	write_all(&buffer);
	struct slice whole = buffer_slice(&buffer);
	assert_true(read_all(whole));
	for (size_t cut = 0; cut < whole.size; cut++)
		assert_false(read_all(slice_upto(whole, cut)));
	buffer_deinit(&buffer);

	struct wire_reader r = wire_reader(SLICE("\xff\xff\xff\xffx"));
	assert_int_equal(wire_read_string(&r).size, 0);
	assert_int_equal(wire_read_u8(&r), 0); /* there is a byte, but the reader has failed */
	assert_false(wire_ok(&r));
}

static void a_full_writer_stays_failed(void **state)
{
	struct buffer buffer;

	buffer_init(&buffer, 3);
	struct wire_writer w = wire_writer(&buffer);
	wire_write_u16(&w, 1);
	wire_write_u16(&w, 2);
	wire_write_u8(&w, 3);
	assert_true(w.failed);
	assert_int_equal(buffer_size(&buffer), 2);
	buffer_deinit(&buffer);
}

/* --- ids and chance --- */

static void ids_survive_the_text_form_and_sort(void **state)
{
	static const uint64_t values[] = {0, 1, 31, 32, UINT64_MAX / 3, UINT64_MAX - 1, UINT64_MAX};
	char text[BASE32_U64_SIZE + 1], before[BASE32_U64_SIZE + 1] = "";
	uint64_t back;

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		base32_from_u64(values[i], text);
		assert_int_equal(base32_to_u64(slice_of(text), &back), 0);
		assert_true(back == values[i]);
		assert_true(strcmp(before, text) < 0);
		memcpy(before, text, sizeof(before));
	}
	assert_int_equal(base32_to_u64(SLICE("0000000000ilo"), &back), 0);
	assert_int_equal(back, 32 * 32 + 32);
	assert_int_equal(base32_to_u64(SLICE("000000000000U"), &back), ERR_SYNTAX);
	assert_int_equal(base32_to_u64(SLICE("G000000000000"), &back), ERR_SYNTAX); /* more than 64 bits */
	assert_int_equal(base32_to_u64(SLICE("000"), &back), ERR_SYNTAX);
}

static void chance_is_fair_and_repeats(void **state)
{
	struct rng a, b;
	int counts[10] = {0}, heads = 0;

	rng_init(&a, 77);
	rng_init(&b, 77);
	for (int i = 0; i < 100000; i++) {
		assert_true(rng_next(&a) == rng_next(&b));
		counts[rng_below(&a, 10)]++;
		heads += rng_chance(&b, 0.25);
		int64_t n = rng_between(&a, -3, 3);
		assert_in_range(n + 3, 0, 6);
		(void)rng_next(&b);
		(void)rng_next(&a);
		(void)rng_next(&b);
		rng_init(&a, (uint64_t)i);
		rng_init(&b, (uint64_t)i);
	}
	for (int i = 0; i < 10; i++)
		assert_in_range(counts[i], 9500, 10500);
	assert_in_range(heads, 24500, 25500);
	assert_int_equal(rng_below(&a, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(slices_compare_and_search),
	    cmocka_unit_test(slices_split_into_all_parts),
	    cmocka_unit_test(numbers_are_digits_only_and_fit),
	    cmocka_unit_test(an_arena_keeps_its_limit),
	    cmocka_unit_test(an_arena_gives_zeroed_apart_places),
	    cmocka_unit_test(a_buffer_is_a_queue),
	    cmocka_unit_test(a_buffer_formats),
	    cmocka_unit_test(a_heap_gives_the_smallest_first),
	    cmocka_unit_test(a_list_keeps_its_order),
	    cmocka_unit_test(a_map_finds_what_is_in_it),
	    cmocka_unit_test(a_cut_record_fails_and_stays_failed),
	    cmocka_unit_test(a_full_writer_stays_failed),
	    cmocka_unit_test(ids_survive_the_text_form_and_sort),
	    cmocka_unit_test(chance_is_fair_and_repeats),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
