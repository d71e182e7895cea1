/* The spool loses its power at every file operation of short histories, and each operation fails once and for
 * good.
 *
 * The seeded defects listed in src/store/spool_log.c must each make this test fail.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "spool_history.h"

#ifdef INDEX_ON_DISK
enum { COINS = 1, SPARSE = 12, OTHER = 2 }; /* every other history, and few of its failures; --all: all */
#else
enum { COINS = 2, SPARSE = 1, OTHER = 1 };
#endif
enum { GROUPS = 26 };

static uint64_t sparse = SPARSE;
static size_t stride = OTHER;

static const struct {
	uint64_t seed;
	bool large;
	uint64_t slack_bytes;	   /* 1: compaction all the time; 0: the usual */
	uint32_t checkpoint_bytes; /* 0: a few in each segment */
	uint32_t segment_bytes;
	unsigned groups, step; /* a crash at every step-th operation */
} histories[] = {
    {1, false, 0, 0, 0, GROUPS, 1},
    {2, true, 0, 0, 0, GROUPS, 1},
    {20, false, 1, 0, 0, GROUPS, 1},
    {4, true, 1, 0, 0, GROUPS, 1},
    {5, false, 0, 64 * 1024, 4 * 1024, 3 * GROUPS, 3}, /* segments die between checkpoints */
    {22, false, 1, 4 * 1024, 4 * 1024, 3 * GROUPS, 4},
};

enum { HISTORIES = sizeof(histories) / sizeof(histories[0]) };

static char doing[128]; /* for the report of a failure */

static void note(const char *what, size_t which, uint64_t at, uint64_t coin)
{
	(void)snprintf(doing, sizeof(doing), "history %zu, %s at operation %llu, coin %llu", which, what,
		       (unsigned long long)at, (unsigned long long)coin);
}

static struct history *make(size_t which)
{
	struct history *h = calloc(1, sizeof(*h));

	h->world = spool_world_make();
	h->world->config.slack_bytes = histories[which].slack_bytes;
	if (histories[which].checkpoint_bytes != 0)
		h->world->config.checkpoint_bytes = histories[which].checkpoint_bytes;
	if (histories[which].segment_bytes != 0)
		h->world->config.segment_bytes = histories[which].segment_bytes;
	h->seed = histories[which].seed;
	h->reopen_groups = histories[which].groups > GROUPS ? 40 : 0;
	h->large = histories[which].large;
	h->groups = histories[which].groups;
	return h;
}

static void unmake(struct history *h)
{
	spool_world_destroy(h->world);
	free(h);
}

/* How many operations the history makes when nothing goes wrong; also that it means something. */
static uint64_t length(size_t which)
{
	struct history *h = make(which);
	struct spool_state state;
	size_t done = 0;

	history_run(h);
	assert_non_null(h->store);
	assert_false(h->stuck);
	history_check(h, h->store);
	spool_state(h->store, &state);
	for (size_t i = 0; i < h->message_count; i++)
		done += h->messages[i].done;
	assert_true(done >= 10);
	if (histories[which].slack_bytes == 1)
		assert_true(h->moved + state.moved_messages > 0);
	uint64_t calls = disk_calls(h->world->disk);
	h->store->ops->close(h->store);
	unmake(h);
	return calls;
}

/* It works on, and is the same after another start. */
static void check_usable(struct history *h, struct store *store)
{
	struct contract c = {.store = store, .backend = &help_plain};
	static const uint32_t domain = 1;
	struct store_recipient r;
	struct store_envelope e = help_envelope(&r, &domain, 1, 1);
	uint64_t id = store->ops->next_id(store, 1);

	assert_int_equal(help_commit(&c, id, &e, SLICE(""), SLICE("afterwards")).result, STORE_OK);
	assert_int_equal(help_amend(&c, id, 0, 0, STORE_REMOVED, "", 1).result, STORE_OK);
	(void)h;
}

static void check_after(struct history *h)
{
	struct store *store = spool_world_open(h->world);

	if (store == NULL)
		print_error("%s\n", h->world->message);
	assert_non_null(store);
	history_check(h, store);
#ifdef INDEX_ON_DISK
	assert_int_equal(h->world->reports[SPOOL_EVENT_REBUILT], 0); /* what LMDB commits is never lost */
#endif
	store = spool_world_crash(h->world, store);
	assert_non_null(store);
	history_check(h, store);
	check_usable(h, store);
	store->ops->close(store);
}

static void the_histories_mean_something(void **state)
{
	(void)state;
	for (size_t which = 0; which < HISTORIES; which++)
		(void)length(which);
}

static void the_power_goes_at_every_operation(void **state)
{
	(void)state;
	for (size_t which = 0; which < HISTORIES; which += stride) {
		uint64_t calls = length(which);
		for (uint64_t at = 1; at <= calls; at += histories[which].step)
			for (uint64_t coin = 0; coin < COINS; coin++) {
				struct history *h = make(which);
				note("power cut", which, at, coin);
				h->world->crash_seed = at * 1000 + coin * 100;
				disk_stop_at(h->world->disk, at);
				history_run(h);
				if (h->store != NULL)
					spool_crash(h->store);
				spool_world_power_cut(h->world);
				check_after(h);
				unmake(h);
			}
	}
}

static void the_power_goes_again_during_recovery(void **state)
{
	(void)state;
	for (size_t which = 0; which < HISTORIES; which += stride) {
		uint64_t calls = length(which);
		for (uint64_t at = 3; at <= calls; at += 13 * sparse)
			for (uint64_t again = 1; again <= 4; again++) {
				struct history *h = make(which);
				note("second power cut", which, at, again);
				h->world->crash_seed = at * 1000 + again * 100;
				disk_stop_at(h->world->disk, at);
				history_run(h);
				if (h->store != NULL)
					spool_crash(h->store);
				spool_world_power_cut(h->world);
				disk_stop_at(h->world->disk, again);
				struct store *store = spool_world_open(h->world);
				assert_non_null(store);
				spool_crash(store);
				spool_world_power_cut(h->world);
				check_after(h);
				unmake(h);
			}
	}
}

/* kill -9: what was written is there, synced or not. */
static void the_process_dies_between_groups(void **state)
{
	(void)state;
	for (size_t which = 0; which < HISTORIES; which++)
		for (unsigned groups = 1; groups <= GROUPS; groups++) {
			struct history *h = make(which);
			note("kill", which, groups, 0);
			h->groups = groups;
			history_run(h);
			assert_non_null(h->store);
			spool_crash(h->store);
			disk_drop_process(h->world->disk);
			struct store *store = spool_world_open(h->world);
			assert_non_null(store);
			history_check(h, store);
			store->ops->close(store);
			unmake(h);
		}
}

static const struct {
	int error_number;
	bool forever, short_write;
	const char *name;
} failures[] = {
    {EIO, false, false, "EIO"},	      {EIO, true, false, "EIO for good"},
    {ENOSPC, false, false, "ENOSPC"}, {ENOSPC, true, false, "ENOSPC for good"},
    {0, false, true, "short write"},  {0, true, true, "short writes"},
};

static void fail_one(size_t which, size_t failure, uint64_t at)
{
	struct history *h = make(which);

	note(failures[failure].name, which, at, 0);
	h->world->crash_seed = at * 1000;
	disk_fail_at(h->world->disk, at, failures[failure].error_number, failures[failure].forever,
		     failures[failure].short_write);
	history_run(h);
	assert_false(h->stuck);
	if (failures[failure].short_write)
		assert_int_equal(h->open_failures, 0);
	if (h->store != NULL) {
		history_check_readable(h);
		spool_crash(h->store);
	}
	disk_fail_at(h->world->disk, 0, 0, false, false);
	spool_world_power_cut(h->world);
	check_after(h);
	unmake(h);
}

static void every_operation_fails(void **state)
{
	(void)state;
	for (size_t which = 0; which < HISTORIES; which += stride) {
		uint64_t calls = length(which);
		for (size_t failure = 0; failure < sizeof(failures) / sizeof(failures[0]); failure++)
			for (uint64_t at = 1; at <= calls;
			     at += histories[which].step * sparse * (failures[failure].forever ? 4 : 1))
				fail_one(which, failure, at);
	}
}

/* After a sync that failed nothing is taken, nothing is said to be durable, and reading goes on. */
static void a_failed_sync_is_never_retried_into_success(void **state)
{
	struct spool_world *w = spool_world_make();
	struct store *store = spool_world_open(w);
	struct contract c = {.store = store, .backend = &help_plain};
	static const uint32_t domain = 1;
	struct store_recipient r;
	struct store_envelope e = help_envelope(&r, &domain, 1, 1);
	struct store_message *message, *other;
	struct answer answer = {.calls = 0};

	(void)state;
	help_store(&c, 1, 1);
	assert_int_equal(store->ops->begin(store, 0, &message), 0);
	assert_int_equal(store->ops->begin(store, 0, &other), 0);
	disk_fail_at(w->disk, 2, EIO, false, false); /* the write succeeds, the sync fails */
	store->ops->commit(message, 2, &e, SLICE("x"), help_done, &answer);
	help_wait(&c, &answer);
	assert_int_equal(answer.result, STORE_UNKNOWN);
	answer.calls = 0;
	store->ops->commit(other, 3, &e, SLICE("x"), help_done, &answer);
	help_wait(&c, &answer);
	assert_int_equal(answer.result, STORE_FAILED);
	assert_int_equal(answer.reason, STORE_REASON_IO);
	assert_int_equal(store->ops->begin(store, 0, &other), ERR_IO);
	assert_int_equal(help_put(&c, SLICE("k"), SLICE("v")).result, STORE_FAILED);
	assert_int_equal(help_amend(&c, 1, 0, 0, STORE_DELIVERED, "", 1).result, STORE_FAILED);
	assert_int_equal(help_find(&c, 1)->count, 1);
	char bytes[64];
	assert_int_equal(help_read(&c, 1, 64, bytes, sizeof(bytes), NULL),
			 strlen("Received: x\r\nbody of 1"));
	assert_int_equal(w->reports[SPOOL_EVENT_DEAD], 1);
	spool_crash(store);
	spool_world_power_cut(w);
	c.store = spool_world_open(w);
	assert_non_null(c.store);
	assert_int_equal(help_find(&c, 1)->count, 1);
	assert_int_equal(help_find(&c, 3)->count, 0);
	c.store->ops->close(c.store);
	spool_world_destroy(w);
}

/* Asked again about a message in doubt, by commit or by abort: an ABORT in a fresh segment settles it for
 * ever, if the disk takes that much. */
static void settle_doubt(bool by_abort, bool for_good, bool loses_unsynced)
{
	struct spool_world *w = spool_world_make();
	struct store *store = spool_world_open(w);
	struct contract c = {.store = store, .backend = &help_plain};
	static const uint32_t domain = 1;
	struct store_recipient r;
	struct store_envelope e = help_envelope(&r, &domain, 1, 1);
	struct store_message *message;
	struct answer answer = {.calls = 0}, again = {.calls = 0};
	enum store_result settled = by_abort ? STORE_OK : STORE_FAILED;

	help_store(&c, 1, 1);
	assert_int_equal(store->ops->begin(store, 0, &message), 0);
	disk_fail_at(w->disk, 2, EIO, for_good, false); /* the write succeeds, the sync fails */
	store->ops->commit(message, 2, &e, SLICE("x"), help_done, &answer);
	help_wait(&c, &answer);
	assert_int_equal(answer.result, STORE_UNKNOWN);
	for (int i = 0; i < 1 + for_good; i++) { /* in vain, and in vain again */
		again = (struct answer){.calls = 0};
		if (by_abort)
			store->ops->abort(message, help_done, &again);
		else
			store->ops->commit(message, 2, &e, SLICE("x"), help_done, &again);
		help_wait(&c, &again);
		assert_int_equal(again.result, for_good ? STORE_UNKNOWN : settled);
	}
	assert_int_equal(store->ops->begin(store, 0, &message), ERR_IO);
	help_totals(&c, 1, 1, 0);
	spool_crash(store);
	disk_fail_at(w->disk, 0, 0, false, false);
	if (loses_unsynced)
		spool_world_power_cut(w);
	else
		disk_drop_process(w->disk);
	c.store = spool_world_open(w);
	assert_non_null(c.store);
	assert_int_equal(help_find(&c, 1)->count, 1);
	if (!for_good)
		assert_int_equal(help_find(&c, 2)->count, 0);
	assert_int_equal(w->reports[SPOOL_EVENT_ASIDE], 0); /* a failed group commit is no damage */
	c.store->ops->close(c.store);
	spool_world_destroy(w);
}

static void a_message_in_doubt_is_undone_for_ever(void **state)
{
	(void)state;
	for (int bits = 0; bits < 8; bits++)
		settle_doubt(bits & 1, bits & 2, bits & 4);
}

/* The segment that holds the ABORT goes, the one with the message in doubt stays, and the index is lost. */
static void undone_it_stays_undone_without_the_index(void **state)
{
	struct spool_world *w = spool_world_make();
	struct store *store = spool_world_open(w);
	struct contract c = {.store = store, .backend = &help_plain};
	static const uint32_t domain = 1;
	struct store_recipient r;
	struct store_envelope e = help_envelope(&r, &domain, 1, 1);
	struct store_message *message;
	struct answer answer = {.calls = 0}, again = {.calls = 0};

	(void)state;
	help_store(&c, 1, 1);
	assert_int_equal(store->ops->begin(store, 0, &message), 0);
	disk_fail_at(w->disk, 2, EIO, false, false); /* the write succeeds, the sync fails */
	store->ops->commit(message, 2, &e, SLICE("x"), help_done, &answer);
	help_wait(&c, &answer);
	store->ops->commit(message, 2, &e, SLICE("x"), help_done, &again);
	help_wait(&c, &again);
	assert_int_equal(again.result, STORE_FAILED);
	store->ops->close(store);
	disk_drop_process(w->disk);
	for (int life = 0; life < 3; life++) {
		c.store = spool_world_open(w);
		assert_non_null(c.store);
		for (uint64_t id = 100; id < 200; id++) {
			help_store(&c, id + 100 * (uint64_t)life, 1);
			assert_int_equal(
			    help_amend(&c, id + 100 * (uint64_t)life, 0, 0, STORE_DELIVERED, "", 1).result,
			    STORE_OK);
		}
		c.store->ops->close(c.store);
	}
	size_t size;
	assert_null(disk_bytes(w->disk, "0000000000000002.log", &size)); /* the ABORT's */
	assert_non_null(disk_bytes(w->disk, "0000000000000001.log", &size));
	disk_index_forget(&w->index);
	c.store = spool_world_open(w);
	assert_non_null(c.store);
	assert_int_equal(help_find(&c, 1)->count, 1);
	assert_int_equal(help_find(&c, 2)->count, 0);
	c.store->ops->close(c.store);
	spool_world_destroy(w);
}

/* A full disk: no new mail, but what is held ends, and then there is room again. */
static void a_full_disk_still_drains(void **state)
{
	struct spool_world *w = spool_world_make();
	enum { LIMIT = 600 * 1024, RESERVE = 64 * 1024 };

	(void)state;
	disk_set_limit(w->disk, LIMIT);
	w->config.reserve_bytes = RESERVE;
	struct store *store = spool_world_open(w);
	struct contract c = {.store = store, .backend = &help_plain};
	static const uint32_t domain = 1;
	static char body[8000];
	struct store_recipient r;
	struct store_envelope e = help_envelope(&r, &domain, 1, 1);
	struct store_message *message;
	uint64_t count = 0;

	while (store->ops->begin(store, sizeof(body), &message) == 0) {
		struct answer answer = {.calls = 0};
		(void)store->ops->append(message,
					 slice_make(body, sizeof(body))); /* a failure shows at the commit */
		store->ops->commit(message, count + 1, &e, SLICE(""), help_done, &answer);
		help_wait(&c, &answer);
		if (answer.result != STORE_OK)
			break;
		count++;
		assert_true(count < 1000);
	}
	assert_true(count > 20);
	assert_true(disk_used(w->disk) > LIMIT / 2);
	for (uint64_t id = 1; id <= count; id++)
		assert_int_equal(help_amend(&c, id, 0, 0, STORE_DELIVERED, "250 ok", 5).result, STORE_OK);
	help_totals(&c, count, 0, count);
	for (int i = 0; i < 50; i++) /* checkpoints free the segments */
		assert_int_equal(help_put(&c, SLICE("k"), slice_make(body, 1000)).result, STORE_OK);
	assert_true(disk_used(w->disk) < LIMIT / 2);
	assert_int_equal(store->ops->begin(store, sizeof(body), &message), 0);
	store->ops->close(store);
	spool_world_destroy(w);
}

static uint64_t fill(struct spool_world *w, struct contract *c)
{
	static const uint32_t domain = 1;
	static char body[8000];
	struct store_recipient r;
	struct store_envelope e = help_envelope(&r, &domain, 1, 1);
	struct store_message *message;
	uint64_t count = 0;

	while (c->store->ops->begin(c->store, sizeof(body), &message) == 0) {
		struct answer answer = {.calls = 0};
		(void)c->store->ops->append(message, slice_make(body, sizeof(body)));
		c->store->ops->commit(message, count + 1, &e, SLICE(""), help_done, &answer);
		help_wait(c, &answer);
		if (answer.result != STORE_OK)
			break;
		count++;
		assert_true(count < 1000);
	}
	(void)w;
	return count;
}

/* Others take each byte that becomes free: what is held ends all the same, and no new mail is taken until
 * they let go. */
static void it_drains_while_others_keep_the_disk_full(void **state)
{
	enum { LIMIT = 600 * 1024, RESERVE = 64 * 1024 };
	struct spool_world *w = spool_world_make();
	struct store_message *message;
	static const char value[1000] = "v";

	(void)state;
	disk_set_limit(w->disk, LIMIT);
	w->config.reserve_bytes = RESERVE;
	struct contract c = {.store = spool_world_open(w), .backend = &help_plain};
	uint64_t count = fill(w, &c);
	assert_true(count > 20);
	for (uint64_t id = 1; id <= count; id++) {
		disk_set_limit(w->disk, disk_used(w->disk));
		assert_int_equal(help_amend(&c, id, 0, 0, STORE_DELIVERED, "250 ok", 5).result, STORE_OK);
		for (int i = 0; i < 8; i++) { /* more than the reserve holds */
			disk_set_limit(w->disk, disk_used(w->disk));
			assert_int_equal(help_put(&c, SLICE("k"), slice_make(value, sizeof(value))).result,
					 STORE_OK);
		}
		assert_int_equal(c.store->ops->begin(c.store, 1000, &message), ERR_LIMIT);
	}
	help_totals(&c, count, 0, count);
	disk_set_limit(w->disk, LIMIT);
	for (int i = 0; i < 50; i++) /* a look at the space now and then */
		assert_int_equal(help_put(&c, SLICE("k"), slice_make(value, sizeof(value))).result, STORE_OK);
	assert_int_equal(c.store->ops->begin(c.store, 1000, &message), 0);
	c.store->ops->close(c.store);
	c.store = spool_world_open(w);
	assert_non_null(c.store);
	help_totals(&c, count, 0, count);
	c.store->ops->close(c.store);
	spool_world_destroy(w);
}

/* The reserve is the log's tail when the process dies, and a pair that lives keeps it from being freed: there
 * are no blocks but those that it has left. */
static void it_starts_and_drains_on_a_full_disk(void **state)
{
	enum { LIMIT = 600 * 1024, RESERVE = 64 * 1024 };
	struct spool_world *w = spool_world_make();
	struct store_message *message;
	char key[] = "k0";

	(void)state;
	disk_set_limit(w->disk, LIMIT);
	w->config.reserve_bytes = RESERVE;
	struct contract c = {.store = spool_world_open(w), .backend = &help_plain};
	uint64_t count = fill(w, &c), id = 1;
	assert_true(count > 20);
	for (int life = 0; life < 8; life++) {
		disk_set_limit(w->disk, disk_used(w->disk));
		key[1] = (char)('0' + life);
		assert_int_equal(help_put(&c, slice_of(key), SLICE("lives")).result, STORE_OK);
		for (uint64_t until = id + 2; id < until; id++)
			assert_int_equal(help_amend(&c, id, 0, 0, STORE_DELIVERED, "250 ok", 5).result,
					 STORE_OK);
		spool_crash(c.store);
		disk_set_limit(w->disk, disk_used(w->disk));
		c.store = spool_world_open(w);
		assert_non_null(c.store);
		help_totals(&c, count, count - id + 1, id - 1);
		assert_int_equal(c.store->ops->begin(c.store, 1000, &message), ERR_LIMIT);
	}
	for (; id <= count; id++) {
		disk_set_limit(w->disk, disk_used(w->disk));
		assert_int_equal(help_amend(&c, id, 0, 0, STORE_DELIVERED, "250 ok", 5).result, STORE_OK);
	}
	help_totals(&c, count, 0, count);
	c.store->ops->close(c.store);
	spool_world_destroy(w);
}

static void dead_segments_are_given_back(void **state)
{
	struct spool_world *w = spool_world_make();
	struct store *store = spool_world_open(w);
	struct contract c = {.store = store, .backend = &help_plain};
	struct spool_state s;

	(void)state;
	for (uint64_t id = 1; id <= 2000; id++) {
		help_store(&c, id, 1);
		if (id > 20)
			assert_int_equal(help_amend(&c, id - 20, 0, 0, STORE_DELIVERED, "", 1).result,
					 STORE_OK);
	}
	spool_state(store, &s);
	assert_true(s.checkpoints > 10);
	assert_true(s.freed_segments > 10);
	assert_true(s.file_bytes < 200 * 1024);
	assert_true(disk_used(w->disk) < 400 * 1024);
	store->ops->close(store);
	spool_world_destroy(w);
}

/* One message of a hundred stays: without compaction its segment would stay too. */
static void files_stay_within_their_budget(void **state)
{
	struct spool_world *w = spool_world_make();
	struct spool_state s;
	enum { SLACK = 100 * 1024 };

	(void)state;
	w->config.slack_bytes = SLACK;
	struct store *store = spool_world_open(w);
	struct contract c = {.store = store, .backend = &help_plain};
	for (uint64_t id = 1; id <= 4000; id++) {
		help_store(&c, id, 1);
		if (id % 100 != 0)
			assert_int_equal(help_amend(&c, id, 0, 0, STORE_DELIVERED, "", 1).result, STORE_OK);
		if (id % 100 == 50)
			assert_int_equal(help_put(&c, slice_make(&id, sizeof(id)), SLICE("kept")).result,
					 STORE_OK);
	}
	spool_state(store, &s);
	assert_true(s.moved_messages > 0);
	assert_true(s.file_bytes < 2 * s.live_bytes + SLACK + 4 * 24 * 1024);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(help_walk(&c, 1, 0, STORE_WALK_MAX)->count, 40);
		for (uint64_t id = 100; id <= 4000; id += 100) {
			char bytes[64], expected[64];
			int size = snprintf(expected, sizeof(expected), "Received: x\r\nbody of %llu",
					    (unsigned long long)id);
			assert_int_equal(help_read(&c, id, 64, bytes, sizeof(bytes), NULL), size);
			assert_memory_equal(bytes, expected, size);
		}
		for (uint64_t id = 50; id <= 4000; id += 100)
			assert_int_equal(help_get(&c, slice_make(&id, sizeof(id)))->count, 1);
		c.store = spool_world_crash(w, c.store);
		assert_non_null(c.store);
	}
	c.store->ops->close(c.store);
	spool_world_destroy(w);
}

#ifdef INDEX_ON_DISK
static int remove_it(const char *path, const struct stat *status, int type, struct FTW *at)
{
	(void)status;
	(void)type;
	(void)at;
	return remove(path);
}

/* The power cuts again in a process of their own, with syncs that lie: they must fail. What that leaves
 * behind lies in a folder of its own. */
static void a_lie_is_caught(enum disk_lmdb_lie lie)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(the_power_goes_at_every_operation)};
	char folder[] = "/dev/shm/restante-lie-XXXXXX";
	int status = 0;

	if (mkdtemp(folder) == NULL) {
		(void)memcpy(folder, "/tmp/restante-lie-XXXXXX", sizeof("/tmp/restante-lie-XXXXXX"));
		assert_non_null(mkdtemp(folder));
	}
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		int nowhere = open("/dev/null", O_WRONLY);
		(void)dup2(nowhere, STDOUT_FILENO);
		(void)dup2(nowhere, STDERR_FILENO);
		spool_world_lie = lie;
		cmocka_set_test_filter(NULL);
		cmocka_set_skip_filter(NULL);
		(void)setenv("RESTANTE_INDEX_FOLDER", folder, 1);
		_exit(cmocka_run_group_tests_name("lie", tests, NULL, NULL));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	(void)nftw(folder, remove_it, 8, FTW_DEPTH | FTW_PHYS);
	assert_true(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
}

static void an_index_that_is_not_synced_is_caught(void **state)
{
	(void)state;
	a_lie_is_caught(LMDB_LIE_SYNC);
}

static void a_folder_that_is_not_synced_is_caught(void **state)
{
	(void)state;
	a_lie_is_caught(LMDB_LIE_FOLDER);
}
#endif

/* test_spool_crash HISTORY FAILURE OPERATION: that one alone, for looking into it. --all: nothing is left
 * out. --only, --but PATTERN: these tests, or the others. */
int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--all") == 0)
		sparse = stride = 1;
	if (argc == 3 && strcmp(argv[1], "--only") == 0)
		cmocka_set_test_filter(argv[2]);
	if (argc == 3 && strcmp(argv[1], "--but") == 0)
		cmocka_set_skip_filter(argv[2]);
	if (argc == 4) {
		fail_one(strtoul(argv[1], NULL, 10), strtoul(argv[2], NULL, 10), strtoul(argv[3], NULL, 10));
		return 0;
	}

	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_histories_mean_something),
	    cmocka_unit_test(the_power_goes_at_every_operation),
	    cmocka_unit_test(the_power_goes_again_during_recovery),
#ifdef INDEX_ON_DISK
	    cmocka_unit_test(an_index_that_is_not_synced_is_caught),
	    cmocka_unit_test(a_folder_that_is_not_synced_is_caught),
#endif
	    cmocka_unit_test(the_process_dies_between_groups),
	    cmocka_unit_test(every_operation_fails),
	    cmocka_unit_test(a_failed_sync_is_never_retried_into_success),
	    cmocka_unit_test(a_message_in_doubt_is_undone_for_ever),
	    cmocka_unit_test(undone_it_stays_undone_without_the_index),
	    cmocka_unit_test(a_full_disk_still_drains),
	    cmocka_unit_test(it_drains_while_others_keep_the_disk_full),
	    cmocka_unit_test(it_starts_and_drains_on_a_full_disk),
	    cmocka_unit_test(dead_segments_are_given_back),
	    cmocka_unit_test(files_stay_within_their_budget),
	};

	int bad = cmocka_run_group_tests_name("spool crashes", tests, NULL, NULL);
	if (bad != 0)
		print_error("the last of the enumerations was at: %s\n", doing);
	return bad;
}
