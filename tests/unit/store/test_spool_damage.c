/* The spool's files are damaged: flipped bytes, cut or swapped pieces, a lost index. One bad record costs one
 * message; it is reported, everything else goes on, now and at the next start.
 */
#include <stdio.h>

#include "spool_history.h"
#include "store/spool_record.h"

enum { MESSAGES = 10, BODY_BYTES = 700 };

static const char first_segment[] = "0000000000000001.log";

static char expected_body[BODY_BYTES];

static struct slice body_of(uint64_t id)
{
	memset(expected_body, 'a' + (int)(id % 26), sizeof(expected_body));
	return slice_make(expected_body, sizeof(expected_body));
}

/* Ten messages, each in a group commit of its own, in one segment. checkpointed: they are in the index. */
static struct spool_world *make(bool checkpointed)
{
	struct spool_world *w = spool_world_make();

	w->config.segment_bytes = 1 << 20;
	w->config.checkpoint_bytes = 1 << 20;
	struct store *store = spool_world_open(w);
	struct contract c = {.store = store, .backend = &help_plain};
	static const uint32_t domain = 1;
	struct store_recipient r;
	struct store_envelope e = help_envelope(&r, &domain, 1, 1);
	for (uint64_t id = 1; id <= MESSAGES; id++)
		assert_int_equal(help_commit(&c, id, &e, SLICE(""), body_of(id)).result, STORE_OK);
	assert_int_equal(help_put(&c, SLICE("domain/example.com"), SLICE("kept")).result, STORE_OK);
	if (checkpointed) {
		store->ops->close(store);
	} else {
		spool_crash(store);
		disk_drop_process(w->disk);
		disk_index_restore(&w->index);
	}
	return w;
}

/* How many of the messages are there and whole; reading the others must say that they are damaged. */
static unsigned count_whole(struct contract *c)
{
	char bytes[BODY_BYTES * 2];
	struct answer answer;
	unsigned whole = 0;

	for (uint64_t id = 1; id <= MESSAGES; id++) {
		if (help_find(c, id)->count == 0)
			continue;
		int64_t size = help_read(c, id, sizeof(bytes), bytes, sizeof(bytes), &answer);
		if (size < 0) {
			assert_int_equal(answer.reason, STORE_REASON_CORRUPT);
			continue;
		}
		struct slice body = body_of(id);
		assert_int_equal(size, body.size);
		assert_memory_equal(bytes, body.data, body.size);
		whole++;
	}
	return whole;
}

static void check_totals(struct contract *c)
{
	struct store_totals totals;
	struct store_counts counts;

	c->store->ops->totals(c->store, &totals);
	c->store->ops->count(c->store, 1, &counts);
	assert_int_equal(totals.accepted, totals.queued + totals.ended);
	assert_int_equal(counts.recipients, totals.queued);
}

static struct contract open_damaged(struct spool_world *w)
{
	struct contract c = {.store = spool_world_open(w), .backend = &help_plain};

	if (c.store == NULL)
		print_error("%s\n", w->message);
	assert_non_null(c.store);
	return c;
}

static void flip(struct spool_world *w, size_t at)
{
	size_t size;
	char *bytes = disk_bytes(w->disk, first_segment, &size);

	assert_non_null(bytes);
	bytes[at] ^= 0x10;
}

static size_t log_size(struct spool_world *w)
{
	size_t size = 0;

	assert_non_null(disk_bytes(w->disk, first_segment, &size));
	return size;
}

/* told: that something is missing must have been reported. A log that ends early between two records looks
 * like a shorter one. */
static void check_one_lost(struct spool_world *w, unsigned least, bool told)
{
	struct contract c = open_damaged(w);
	unsigned whole = count_whole(&c);
	unsigned reports = w->reports[SPOOL_EVENT_ASIDE] + w->reports[SPOOL_EVENT_TORN];

	assert_true(whole >= least);
	assert_true(!told || whole == MESSAGES || reports > 0);
	check_totals(&c);
	help_store(&c, 1000, 1); /* it works on */
	c.store = spool_world_reopen(w, c.store);
	assert_non_null(c.store);
	assert_int_equal(count_whole(&c), whole);
	assert_int_equal(help_find(&c, 1000)->count, 1);
	assert_int_equal(help_walk(&c, 1, 0, 100)->count, whole + 1);
	check_totals(&c);
	c.store->ops->close(c.store);
}

static void a_flipped_byte_costs_one_message(void **state)
{
	(void)state;
	for (int checkpointed = 0; checkpointed < 2; checkpointed++) {
		struct spool_world *probe = make(checkpointed);
		size_t size = log_size(probe);
		spool_world_destroy(probe);
		assert_true(size > (size_t)MESSAGES * BODY_BYTES);
		for (size_t at = 0; at < size; at += 13) {
			struct spool_world *w = make(checkpointed);
			flip(w, at);
			check_one_lost(w, MESSAGES - 1, true);
			spool_world_destroy(w);
		}
	}
}

static void two_damaged_places_cost_two(void **state)
{
	struct spool_world *w = make(false);
	size_t size = log_size(w);

	(void)state;
	flip(w, size / 4);
	flip(w, size / 2);
	struct contract c = open_damaged(w);
	assert_int_equal(count_whole(&c), MESSAGES - 2);
	struct store_totals totals;
	c.store->ops->totals(c.store, &totals);
	assert_int_equal(totals.set_aside, 2);
	assert_int_equal(w->reports[SPOOL_EVENT_ASIDE], 2);
	c.store->ops->close(c.store);
	spool_world_destroy(w);
}

static void a_damaged_piece_is_kept(void **state)
{
	struct spool_world *w = make(false);
	size_t size = log_size(w), kept = 0;
	char name[64];

	(void)state;
	flip(w, 60); /* the body of the first message, whose record begins at 0 */
	struct contract c = open_damaged(w);
	(void)snprintf(name, sizeof(name), "aside-%016x-%08x", 1, 0);
	assert_non_null(disk_bytes(w->disk, name, &kept));
	assert_true(kept >= BODY_BYTES && kept < size);
	c.store->ops->close(c.store);
	spool_world_destroy(w);
}

static void a_damaged_message_leaves_the_queue(void **state)
{
	struct spool_world *w = make(true);
	struct store_totals totals;
	char bytes[BODY_BYTES];
	struct answer answer;

	(void)state;
	flip(w, 60);
	struct contract c = open_damaged(w);
	assert_int_equal(help_walk(&c, 1, 0, 100)->count, MESSAGES);
	assert_int_equal(help_read(&c, 1, sizeof(bytes), bytes, sizeof(bytes), &answer), -1);
	assert_int_equal(answer.reason, STORE_REASON_CORRUPT);
	assert_int_equal(help_put(&c, SLICE("x"), SLICE("y")).result, STORE_OK);
	assert_int_equal(help_find(&c, 1)->count, 0);
	assert_int_equal(help_walk(&c, 1, 0, 100)->count, MESSAGES - 1);
	c.store->ops->totals(c.store, &totals);
	assert_int_equal(totals.set_aside, 1);
	assert_int_equal(totals.queued, MESSAGES - 1);
	assert_int_equal(w->reports[SPOOL_EVENT_ASIDE], 1);
	check_totals(&c);
	c.store->ops->close(c.store);
	spool_world_destroy(w);
}

static void a_cut_log_costs_what_was_cut(void **state)
{
	struct spool_world *probe = make(false);
	size_t size = log_size(probe);

	(void)state;
	spool_world_destroy(probe);
	for (size_t cut = 0; cut <= size; cut += 61) {
		struct spool_world *w = make(false);
		disk_truncate(w->disk, first_segment, cut);
		check_one_lost(w, (unsigned)(cut * MESSAGES / size > 0 ? cut * MESSAGES / size - 1 : 0),
			       false);
		spool_world_destroy(w);
	}
}

static void swap_pieces(struct spool_world *w, size_t a, size_t b, size_t size)
{
	size_t whole;
	char *bytes = disk_bytes(w->disk, first_segment, &whole);

	assert_true(b + size <= whole);
	for (size_t i = 0; i < size; i++) {
		char byte = bytes[a + i];
		bytes[a + i] = bytes[b + i];
		bytes[b + i] = byte;
	}
}

/* A record is valid at its own place only: nobody gets another's body. */
static void swapped_records_are_not_believed(void **state)
{
	(void)state;
	for (int checkpointed = 0; checkpointed < 2; checkpointed++) {
		struct spool_world *w = make(checkpointed);
		size_t message = log_size(w) / (MESSAGES * 2 + 1) / 8 * 8;
		struct contract c;
		swap_pieces(w, 0, log_size(w) / 2 / 8 * 8, message);
		c = open_damaged(w);
		assert_true(count_whole(&c) >= MESSAGES - 4);
		check_totals(&c);
		c.store->ops->close(c.store);
		spool_world_destroy(w);
	}
}

static void a_lost_segment_is_reported(void **state)
{
	struct spool_world *w = make(true);

	(void)state;
	assert_true(disk_remove(w->disk, first_segment));
	struct contract c = open_damaged(w);
	assert_int_equal(count_whole(&c), 0);
	assert_int_equal(w->reports[SPOOL_EVENT_ASIDE], MESSAGES);
	help_store(&c, 1000, 1);
	check_totals(&c);
	c.store->ops->close(c.store);
	spool_world_destroy(w);
}

/* The end of a segment is gone, and the next one was written after it. */
static void a_cut_segment_before_another_is_reported(void **state)
{
	struct spool_world *w = spool_world_make();
	size_t size = 0;

	(void)state;
	w->config.segment_bytes = 4 * 1024;
	w->config.checkpoint_bytes = 1 << 20;
	struct contract c = open_damaged(w);
	for (uint64_t id = 1; id <= 40; id++)
		help_store(&c, id, 1);
	spool_crash(c.store);
	disk_drop_process(w->disk);
	disk_index_restore(&w->index);
	assert_non_null(disk_bytes(w->disk, "0000000000000002.log", &size));
	disk_truncate(w->disk, "0000000000000002.log", size - 16);
	c = open_damaged(w);
	assert_int_equal(w->reports[SPOOL_EVENT_ASIDE], 1);
	assert_int_equal(help_walk(&c, 1, 0, 100)->count, 39);
	c.store->ops->close(c.store);
	spool_world_destroy(w);
}

/* Each record says at which offset its group commit began. */
static void spoil_first_group_commit(char *bytes, size_t size)
{
	uint32_t length, batch = 0;

	for (size_t at = 0; at + RECORD_HEADER_BYTES < size && batch == 0;
	     at += RECORD_HEADER_BYTES + (length + 7) / 8 * 8) {
		memcpy(&length, bytes + at + 12, sizeof(length));
		memcpy(&batch, bytes + at + 24, sizeof(batch));
		if (batch == 0)
			bytes[at + 40] ^= 1;
	}
}

/* The end of a segment is damaged, and so is the first group commit of the next one, which would tell that
 * there was something. */
static void damage_on_both_sides_of_a_border_is_reported(void **state)
{
	struct spool_world *w = spool_world_make();
	size_t size = 0, next = 0;
	char *bytes;

	(void)state;
	w->config.segment_bytes = 4 * 1024;
	w->config.checkpoint_bytes = 1 << 20;
	struct contract c = open_damaged(w);
	for (uint64_t id = 1; id <= 40; id++)
		help_store(&c, id, 1);
	spool_crash(c.store);
	disk_drop_process(w->disk);
	disk_index_restore(&w->index);
	bytes = disk_bytes(w->disk, "0000000000000002.log", &size);
	bytes[size - 20] ^= 1;
	bytes = disk_bytes(w->disk, "0000000000000003.log", &next);
	spoil_first_group_commit(bytes, next);
	c = open_damaged(w);
	assert_int_equal(w->reports[SPOOL_EVENT_TORN], 0);
	assert_true(w->reports[SPOOL_EVENT_ASIDE] >= 2);
	assert_int_equal(help_walk(&c, 1, 0, 100)->count, 38);
	struct store_totals totals;
	c.store->ops->totals(c.store, &totals);
	assert_int_equal(totals.set_aside, 2);
	c.store->ops->close(c.store);
	spool_world_destroy(w);
}

/* --- the index ------------------------------------------------------------------------------------ */

static void a_lost_index_is_made_again(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 6; seed++) {
		struct history h = {
		    .world = spool_world_make(), .seed = seed, .groups = 20, .large = seed % 2 == 0};
		/* Nothing is freed, so that the log has everything: then the rebuilt state is exact. */
		h.world->config.segment_bytes = 1 << 22;
		h.reopen_groups = 1000;
		history_run(&h);
		assert_non_null(h.store);
		h.store->ops->close(h.store);
		disk_index_forget(&h.world->index);
		struct store *store = spool_world_open(h.world);
		assert_non_null(store);
		assert_int_equal(h.world->reports[SPOOL_EVENT_REBUILT], 1);
		history_check(&h, store);
		store = spool_world_crash(h.world, store);
		assert_non_null(store);
		history_check(&h, store);
		store->ops->close(store);
		spool_world_destroy(h.world);
	}
}

/* With segments freed and compacted meanwhile: nothing that waits is lost, and the pairs are there. */
static void a_rebuild_after_compaction_loses_nothing(void **state)
{
	struct spool_world *w = spool_world_make();
	char key[32], bytes[64];

	(void)state;
	w->config.slack_bytes = 1;
	struct contract c = open_damaged(w);
	for (uint64_t id = 1; id <= 1000; id++) {
		help_store(&c, id, 1);
		if (id % 50 == 1) {
			(void)snprintf(key, sizeof(key), "domain/%u", (unsigned)id);
			assert_int_equal(help_put(&c, slice_of(key), SLICE("kept")).result, STORE_OK);
		} else {
			assert_int_equal(help_amend(&c, id, 0, 0, STORE_DELIVERED, "", 1).result, STORE_OK);
		}
	}
	struct spool_state s;
	spool_state(c.store, &s);
	assert_true(s.moved_messages > 0 && s.freed_segments > 0);
	c.store->ops->close(c.store);
	disk_index_forget(&w->index);
	c = open_damaged(w);
	for (uint64_t id = 1; id <= 1000; id += 50) {
		assert_int_equal(help_find(&c, id)->count, 1);
		assert_true(help_read(&c, id, 64, bytes, sizeof(bytes), NULL) > 0);
		(void)snprintf(key, sizeof(key), "domain/%u", (unsigned)id);
		assert_int_equal(help_get(&c, slice_of(key))->count, 1);
	}
	check_totals(&c);
	c.store->ops->close(c.store);
	spool_world_destroy(w);
}

static void an_unusable_index_is_made_again(void **state)
{
	struct spool_world *w = make(true);
	char path[300], aside[300];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/data.mdb", w->index.path);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	for (int i = 0; i < 20000; i++)
		(void)fputc('x', file);
	(void)fclose(file);
	struct contract c = open_damaged(w);
	assert_true(w->reports[SPOOL_EVENT_REBUILT] >= 1);
	assert_int_equal(count_whole(&c), MESSAGES);
	assert_int_equal(help_get(&c, SLICE("domain/example.com"))->count, 1);
	c.store->ops->close(c.store);
	(void)snprintf(aside, sizeof(aside), "%s.1/data.mdb", w->index.path);
	assert_int_equal(remove(aside), 0); /* the old one was kept */
	(void)snprintf(aside, sizeof(aside), "%s.1/lock.mdb", w->index.path);
	(void)remove(aside);
	(void)snprintf(aside, sizeof(aside), "%s.1", w->index.path);
	assert_int_equal(remove(aside), 0);
	spool_world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_flipped_byte_costs_one_message),
	    cmocka_unit_test(two_damaged_places_cost_two),
	    cmocka_unit_test(a_damaged_piece_is_kept),
	    cmocka_unit_test(a_damaged_message_leaves_the_queue),
	    cmocka_unit_test(a_cut_log_costs_what_was_cut),
	    cmocka_unit_test(swapped_records_are_not_believed),
	    cmocka_unit_test(a_lost_segment_is_reported),
	    cmocka_unit_test(a_cut_segment_before_another_is_reported),
	    cmocka_unit_test(damage_on_both_sides_of_a_border_is_reported),
	    cmocka_unit_test(a_lost_index_is_made_again),
	    cmocka_unit_test(a_rebuild_after_compaction_loses_nothing),
	    cmocka_unit_test(an_unusable_index_is_made_again),
	};

	return cmocka_run_group_tests_name("spool damage", tests, NULL, NULL);
}
