/* Every byte of a log without a checkpoint is damaged in turn, and whole pieces are lost or exchanged: the
 * start succeeds, what is damaged is set aside and reported, everything else is served byte for byte.
 */
#include <errno.h>
#include <stdio.h>

#include "contract_help.h"
#include "spool_world.h"

enum { BODY_MAX = 3000, MESSAGES_MAX = 40 };

static const char first_log[] = "0000000000000001.log";

/* A log of `messages` messages, each a group commit of its own, that no checkpoint has seen. */
struct story {
	struct spool_world *world;
	struct contract c;
	unsigned messages;
	size_t body_bytes;
};

static char body[BODY_MAX];

static struct slice body_of(const struct story *s, uint64_t id)
{
	for (size_t i = 0; i < s->body_bytes; i++)
		body[i] = (char)('a' + (id * 7 + i) % 26);
	return slice_make(body, s->body_bytes);
}

static void make(struct story *s, uint32_t segment_bytes)
{
	static const uint32_t domain = 1;
	struct store_recipient r;
	struct store_envelope e = help_envelope(&r, &domain, 1, 1);

	s->world = spool_world_make();
	s->world->config.segment_bytes = segment_bytes;
	s->world->config.checkpoint_bytes = 1 << 24;
	s->c = (struct contract){.store = spool_world_open(s->world), .backend = &help_plain};
	assert_non_null(s->c.store);
	for (uint64_t id = 1; id <= s->messages; id++)
		assert_int_equal(help_commit(&s->c, id, &e, SLICE(""), body_of(s, id)).result, STORE_OK);
	spool_crash(s->c.store);
	s->c.store = NULL;
	disk_drop_process(s->world->disk);
	disk_index_restore(&s->world->index);
}

static void reopen(struct story *s)
{
	s->c.store = spool_world_open(s->world);
	if (s->c.store == NULL)
		print_error("%s\n", s->world->message);
	assert_non_null(s->c.store);
}

static void end(struct story *s)
{
	if (s->c.store != NULL)
		spool_crash(s->c.store);
	spool_world_destroy(s->world);
}

static bool whole(struct story *s, uint64_t id)
{
	char bytes[BODY_MAX * 2];
	struct answer answer;

	if (help_find(&s->c, id)->count == 0)
		return false;
	int64_t size = help_read(&s->c, id, sizeof(bytes), bytes, sizeof(bytes), &answer);
	if (size < 0) {
		assert_int_equal(answer.reason, STORE_REASON_CORRUPT);
		return false;
	}
	struct slice wanted = body_of(s, id);
	assert_int_equal(size, wanted.size);
	assert_memory_equal(bytes, wanted.data, wanted.size);
	return true;
}

static unsigned count_whole(struct story *s)
{
	struct store_totals totals;
	struct store_counts counts;
	unsigned count = 0;

	for (uint64_t id = 1; id <= s->messages; id++)
		count += whole(s, id);
	s->c.store->ops->poll(s->c.store); /* what was read in vain is set aside */
	s->c.store->ops->totals(s->c.store, &totals);
	s->c.store->ops->count(s->c.store, 1, &counts);
	assert_int_equal(totals.accepted, totals.queued + totals.ended);
	assert_int_equal(counts.messages, count);
	/* Nothing is missing without a word. */
	bool torn = s->world->reports[SPOOL_EVENT_TORN] > 0;
	assert_true(count == s->messages || torn || totals.set_aside > 0);
	assert_true(totals.set_aside == 0 || s->world->reports[SPOOL_EVENT_ASIDE] > 0);
	return count;
}

static size_t size_of(struct story *s, const char *name)
{
	size_t size = 0;

	assert_non_null(disk_bytes(s->world->disk, name, &size));
	return size;
}

static void any_byte_costs_one_message(void **state)
{
	struct story s = {.messages = 3, .body_bytes = 40};

	(void)state;
	make(&s, 1 << 20);
	size_t size = size_of(&s, first_log), bytes;
	end(&s);
	for (size_t at = 0; at < size; at++) {
		make(&s, 1 << 20);
		disk_bytes(s.world->disk, first_log, &bytes)[at] ^= at % 2 == 0 ? 0x01 : 0xff;
		reopen(&s);
		assert_true(count_whole(&s) >= s.messages - 1);
		end(&s);
	}
}

static void any_length_costs_what_is_cut(void **state)
{
	struct story s = {.messages = 3, .body_bytes = 40};
	unsigned last = 0;

	(void)state;
	make(&s, 1 << 20);
	size_t size = size_of(&s, first_log);
	end(&s);
	for (size_t cut = 0; cut <= size; cut++) {
		make(&s, 1 << 20);
		disk_truncate(s.world->disk, first_log, cut);
		s.c.store = spool_world_open(s.world);
		assert_non_null(s.c.store);
		unsigned count = 0;
		for (uint64_t id = 1; id <= s.messages; id++)
			count += whole(&s, id);
		assert_true(count >= last && count <= last + 1); /* the first ones, in order */
		last = count;
		end(&s);
	}
	assert_int_equal(last, s.messages);
}

static void a_zeroed_page_costs_what_lay_there(void **state)
{
	struct story s = {.messages = 12, .body_bytes = 1500};
	enum { PAGE = 4096 };

	(void)state;
	make(&s, 1 << 20);
	size_t size = size_of(&s, first_log), bytes;
	end(&s);
	for (size_t page = 0; page + PAGE <= size; page += PAGE) {
		make(&s, 1 << 20);
		memset(disk_bytes(s.world->disk, first_log, &bytes) + page, 0, PAGE);
		reopen(&s);
		assert_true(count_whole(&s) >= s.messages - 4);
		assert_true(s.world->reports[SPOOL_EVENT_ASIDE] + s.world->reports[SPOOL_EVENT_TORN] > 0);
		end(&s);
	}
}

/* --- whole segments ------------------------------------------------------------------------------ */

static void swap(struct spool_world *w, const char *a, const char *b)
{
	size_t size_a, size_b;
	char *bytes_a = disk_bytes(w->disk, a, &size_a), *bytes_b = disk_bytes(w->disk, b, &size_b);

	assert_int_equal(size_a, size_b);
	for (size_t i = 0; i < size_a; i++) {
		char byte = bytes_a[i];
		bytes_a[i] = bytes_b[i];
		bytes_b[i] = byte;
	}
}

static unsigned messages_per_segment(struct story *s, const char *name)
{
	size_t size = size_of(s, name), first = size_of(s, first_log);

	return (unsigned)((size * s->messages + first - 1) / first);
}

static void two_segments_changed_places(void **state)
{
	struct story s = {.messages = 40, .body_bytes = 1000};

	(void)state;
	make(&s, 8 * 1024);
	swap(s.world, "0000000000000002.log", "0000000000000003.log");
	reopen(&s);
	unsigned count = count_whole(&s), lost = s.messages - count;
	assert_true(lost > 0 && lost < s.messages / 2);
	assert_true(whole(&s, 1) && whole(&s, s.messages));
	assert_true(s.world->reports[SPOOL_EVENT_ASIDE] >= 2);
	assert_true(messages_per_segment(&s, first_log) > 0);
	/* Nothing of them is thrown away. */
	size_t kept = 0;
	assert_non_null(disk_bytes(s.world->disk, "aside-0000000000000002-00000000", &kept));
	assert_true(kept >= 8 * 1024);
	end(&s);
}

static void a_segment_in_the_middle_is_gone(void **state)
{
	struct story s = {.messages = 40, .body_bytes = 1000};

	(void)state;
	make(&s, 8 * 1024);
	assert_true(disk_remove(s.world->disk, "0000000000000002.log"));
	reopen(&s);
	unsigned count = count_whole(&s);
	assert_true(count < s.messages && count > s.messages / 2);
	assert_true(s.world->reports[SPOOL_EVENT_ASIDE] >= 1);
	assert_true(whole(&s, 1) && whole(&s, s.messages));
	s.c.store->ops->close(s.c.store);
	reopen(&s);
	assert_int_equal(count_whole(&s), count);
	end(&s);
}

/* --- what is set aside ----------------------------------------------------------------------------- */

static void count_one(void *owner, const struct store_entry *entry)
{
	unsigned *count = owner;

	assert_string_equal(entry->envelope.recipients[0].forward_path.data != NULL ? "there" : "", "there");
	(*count)++;
}

static unsigned asides(struct story *s)
{
	unsigned count = 0;

	assert_int_equal(spool_asides(s->c.store, count_one, &count), 0);
	return count;
}

static struct answer forget(struct story *s, uint64_t id)
{
	struct answer answer = {.calls = 0};

	spool_forget(s->c.store, id, help_done, &answer);
	help_wait(&s->c, &answer);
	return answer;
}

static uint64_t live_bytes(struct story *s)
{
	struct spool_state state;

	spool_state(s->c.store, &state);
	return state.live_bytes;
}

/* A message that has lost one of its frames is kept, listed, and goes when it is told to. */
static void what_is_set_aside_can_be_given_up(void **state)
{
	struct story s = {.messages = 4, .body_bytes = 1000};
	struct store_totals totals;
	size_t bytes;

	(void)state;
	make(&s, 1 << 20);
	disk_bytes(s.world->disk, first_log, &bytes)[60] ^= 1; /* a frame; its END is whole */
	reopen(&s);
	assert_int_equal(count_whole(&s), 3);
	assert_int_equal(asides(&s), 1);
	s.c.store->ops->close(s.c.store);
	reopen(&s);
	assert_int_equal(asides(&s), 1);
	uint64_t before = live_bytes(&s);
	assert_int_equal(forget(&s, 2).reason, STORE_REASON_MISSING);
	assert_int_equal(forget(&s, 1).result, STORE_OK);
	assert_int_equal(asides(&s), 0);
	assert_true(live_bytes(&s) < before);
	s.c.store->ops->totals(s.c.store, &totals);
	assert_int_equal(totals.set_aside, 0);
	s.c.store->ops->close(s.c.store);
	reopen(&s);
	assert_int_equal(asides(&s), 0);
	assert_int_equal(help_walk(&s.c, 1, 0, 100)->count, 3);
	end(&s);
}

static void pieces_can_be_given_up(void **state)
{
	struct story s = {.messages = 4, .body_bytes = 1000};
	struct store_totals totals;
	size_t bytes;

	(void)state;
	make(&s, 1 << 20);
	memset(disk_bytes(s.world->disk, first_log, &bytes), 0, 1300); /* frame and END */
	reopen(&s);
	assert_int_equal(count_whole(&s), 3);
	assert_non_null(disk_bytes(s.world->disk, "aside-0000000000000001-00000000", &bytes));
	assert_int_equal(forget(&s, 0).result, STORE_OK);
	assert_null(disk_bytes(s.world->disk, "aside-0000000000000001-00000000", &bytes));
	s.c.store->ops->totals(s.c.store, &totals);
	assert_int_equal(totals.set_aside, 0);
	end(&s);
}

/* --- looking only ---------------------------------------------------------------------------------- */

/* A file that cannot be removed is still there: who gave it up must hear of it. */
static void a_piece_that_stays_is_not_given_up(void **state)
{
	struct story s = {.messages = 4, .body_bytes = 1000};
	struct store_totals totals;
	size_t bytes;

	(void)state;
	make(&s, 1 << 20);
	memset(disk_bytes(s.world->disk, first_log, &bytes), 0, 1300); /* frame and END */
	reopen(&s);
	disk_fail_at(s.world->disk, 1, EROFS, false, false);
	assert_int_equal(forget(&s, 0).reason, STORE_REASON_IO);
	s.c.store->ops->totals(s.c.store, &totals);
	assert_int_equal(totals.set_aside, 1);
	assert_non_null(disk_bytes(s.world->disk, "aside-0000000000000001-00000000", &bytes));
	disk_fail_at(s.world->disk, 0, 0, false, false);
	assert_int_equal(forget(&s, 0).result, STORE_OK);
	assert_null(disk_bytes(s.world->disk, "aside-0000000000000001-00000000", &bytes));
	end(&s);
}

static void looking_changes_nothing(void **state)
{
	struct story s = {.messages = 4, .body_bytes = 1000};
	struct spool_state counted;
	size_t bytes;

	(void)state;
	make(&s, 1 << 20);
	memset(disk_bytes(s.world->disk, first_log, &bytes), 0, 100);
	uint64_t used = disk_used(s.world->disk), calls = disk_calls(s.world->disk);
	s.world->config.read_only = true;
	reopen(&s);
	assert_int_equal(help_walk(&s.c, 1, 0, 100)->count, 3);
	spool_state(s.c.store, &counted);
	assert_int_equal(counted.records[2], 3 + 1); /* END, also the one of the damaged message */
	assert_int_equal(help_put(&s.c, SLICE("x"), SLICE("y")).result, STORE_FAILED);
	s.c.store->ops->close(s.c.store);
	assert_int_equal(disk_used(s.world->disk), used);
	assert_int_equal(disk_calls(s.world->disk), calls);
	assert_null(disk_bytes(s.world->disk, "aside-0000000000000001-00000000", &bytes));
	s.world->config.read_only = false;
	reopen(&s);
	assert_int_equal(count_whole(&s), 3);
	end(&s);
}

/* A message without a prefix, as compaction makes them, whose body fills what is written at once to the last
 * byte: the record that makes it whole must not stand alone in a segment, where nothing would keep it. */
static void the_record_of_a_message_stays_with_its_body(void **state)
{
	static char bytes[2 * 64 * 1024];
	static const uint32_t domain = 1;
	struct story s = {.messages = 0};
	struct store_message *message;
	struct answer answer = {.calls = 0};
	struct store_recipient r;
	struct store_envelope e = help_envelope(&r, &domain, 1, 1);

	(void)state;
	make(&s, 1024); /* each group commit gets a segment of its own */
	reopen(&s);
	memset(bytes, 'x', sizeof(bytes));
	assert_int_equal(s.c.store->ops->begin(s.c.store, 0, &message), 0);
	assert_int_equal(s.c.store->ops->append(message, slice_make(bytes, sizeof(bytes))), 0);
	for (int i = 0; i < 3; i++)
		s.c.store->ops->poll(s.c.store);
	s.c.store->ops->commit(message, 7, &e, SLICE(""), help_done, &answer);
	help_wait(&s.c, &answer);
	assert_int_equal(answer.result, STORE_OK);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(help_put(&s.c, SLICE("key"), SLICE("value")).result, STORE_OK);
		s.c.store->ops->close(s.c.store); /* a checkpoint, which gives dead segments back */
		reopen(&s);
	}
	s.c.store->ops->close(s.c.store);
	disk_index_forget(&s.world->index);
	reopen(&s);
	assert_int_equal(s.world->reports[SPOOL_EVENT_REBUILT], 1);
	assert_int_equal(help_find(&s.c, 7)->count, 1);
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(any_byte_costs_one_message),
	    cmocka_unit_test(any_length_costs_what_is_cut),
	    cmocka_unit_test(a_zeroed_page_costs_what_lay_there),
	    cmocka_unit_test(two_segments_changed_places),
	    cmocka_unit_test(a_segment_in_the_middle_is_gone),
	    cmocka_unit_test(what_is_set_aside_can_be_given_up),
	    cmocka_unit_test(pieces_can_be_given_up),
	    cmocka_unit_test(a_piece_that_stays_is_not_given_up),
	    cmocka_unit_test(looking_changes_nothing),
	    cmocka_unit_test(the_record_of_a_message_stays_with_its_body),
	};

	return cmocka_run_group_tests_name("spool bytes", tests, NULL, NULL);
}
