/* Where the spool's space goes: what is held is not given back, what is dead is, in time. On the simulated
 * disk, with small segments.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/rng.h"
#include "store/spool_internal.h"

#include "contract_help.h"
#include "spool_world.h"

struct space {
	struct spool_world *world;
	struct contract c;
};

static void space_open(struct space *s)
{
	s->c = (struct contract){.backend = &help_plain, .store = spool_world_open(s->world)};
	assert_non_null(s->c.store);
}

static void space_close(struct space *s)
{
	s->c.store->ops->close(s->c.store);
	spool_world_destroy(s->world);
}

static void end_message(struct space *s, uint64_t id)
{
	assert_int_equal(help_amend(&s->c, id, 0, 0, STORE_DELIVERED, "250 ok", 1).result, STORE_OK);
}

/* Mail that comes and goes, so that segments are used, freed and used again. */
static void churn(struct space *s, uint64_t from, uint64_t count)
{
	for (uint64_t id = from; id < from + count; id++) {
		help_store(&s->c, id, 1);
		end_message(s, id);
	}
}

/* --- what is held -------------------------------------------------------------------------------- */

static size_t copy_of(struct space *s, uint64_t segment, char **ret_copy)
{
	char name[FILE_NAME_SIZE];
	size_t size;

	log_name(segment, name);
	const char *bytes = disk_bytes(s->world->disk, name, &size);
	assert_non_null(bytes);
	*ret_copy = malloc(size + 1);
	assert_non_null(*ret_copy);
	memcpy(*ret_copy, bytes, size);
	return size;
}

static void held_segments_stay_as_they_are(void **state)
{
	struct space s = {.world = spool_world_make()};
	uint64_t *held;
	char *copy, *now;
	size_t count;

	(void)state;
	space_open(&s);
	for (uint64_t id = 1; id <= 100; id++)
		help_store(&s.c, id, 1);
	assert_int_equal(spool_hold_all(spool_of(s.c.store), &held, &count), 0);
	assert_true(count > 0);
	uint64_t first = held[0];
	size_t size = copy_of(&s, first, &copy);
	for (uint64_t id = 1; id <= 100; id++)
		end_message(&s, id);
	churn(&s, 101, 1000);
	assert_int_equal(copy_of(&s, first, &now), size);
	assert_memory_equal(now, copy, size);
	free(now);
	free(copy);
	spool_let_go(spool_of(s.c.store), held, count);
	churn(&s, 1101, 200);
	assert_null(segments_find(&spool_of(s.c.store)->segments, first));
	space_close(&s);
}

/* --- within the budget --------------------------------------------------------------------------- */

/* The sizes of a real one, divided by 1024. */
enum { SEGMENT = 64 * 1024, CHECKPOINT = 16 * 1024, SLACK = 512 * 1024, BODY_MAX = 12000 };

static struct spool_world *small_world(void)
{
	struct spool_world *w = spool_world_make();

	w->config.segment_bytes = SEGMENT;
	w->config.checkpoint_bytes = CHECKPOINT;
	w->config.slack_bytes = SLACK;
	w->config.index_map_bytes = 64 << 20;
	return w;
}

static void store_sized(struct space *s, uint64_t id, uint32_t domain, size_t size)
{
	static char body[BODY_MAX];
	struct store_recipient r;
	struct store_envelope e = help_envelope(&r, &domain, 1, 1);

	memset(body, 'a' + (int)(id % 26), size);
	assert_int_equal(help_commit(&s->c, id, &e, SLICE(""), slice_make(body, size)).result, STORE_OK);
}

static void check_sized(struct space *s, uint64_t id, size_t size)
{
	static char back[BODY_MAX + 1];

	assert_int_equal(help_read(&s->c, id, BODY_MAX + 1, back, sizeof(back), NULL), size);
	for (size_t i = 0; i < size; i++)
		assert_int_equal(back[i], 'a' + (int)(id % 26));
}

struct sizes {
	struct disk *disk;
	uint64_t sum;
};

static void add_size(void *owner, const char *name)
{
	struct sizes *sizes = owner;
	size_t size = 0;

	if (disk_bytes(sizes->disk, name, &size) != NULL)
		sizes->sum += size;
}

/* Of all that has a name: with spare segments, too. */
static uint64_t files_size(struct disk *disk)
{
	struct sizes sizes = {.disk = disk};

	disk_names(disk, add_size, &sizes);
	return sizes.sum;
}

static uint64_t budget(struct space *s)
{
	struct spool_state state;

	spool_state(s->c.store, &state);
	return 2 * state.live_bytes + SLACK;
}

enum { CHURN_STEPS = 4000 };

static size_t churn_size(uint64_t id)
{
	return id % 11 == 0 ? BODY_MAX - id % 1000 : 200 + id * 7919 % 3000;
}

/* Most is over soon, some stays long, and some for good. */
static uint64_t churn_life(uint64_t id, struct rng *rng)
{
	if (id % 50 == 0)
		return UINT64_MAX / 2;
	return 1 + rng_below(rng, id % 5 == 0 ? 2000 : 20);
}

static void files_stay_within_the_budget_all_the_time(void **state)
{
	struct space s = {.world = small_world()};
	static uint64_t ends[CHURN_STEPS + 1];
	struct rng rng;
	struct spool_state after;

	(void)state;
	rng_init(&rng, 5);
	space_open(&s);
	for (uint64_t now = 1; now <= CHURN_STEPS; now++) {
		store_sized(&s, now, 1, churn_size(now));
		ends[now] = now + churn_life(now, &rng);
		for (uint64_t id = now > 2100 ? now - 2100 : 1; id <= now; id++)
			if (ends[id] == now)
				end_message(&s, id);
		assert_true(files_size(s.world->disk) <= budget(&s));
	}
	spool_state(s.c.store, &after);
	assert_true(after.moved_messages > 0);
	for (uint64_t id = 50; id <= CHURN_STEPS; id += 50)
		check_sized(&s, id, churn_size(id));
	space_close(&s);
}

/* Much more mail waits to be written than goes into one group commit, as on a disk that others keep busy. Of
 * what is stored, three quarters end soon. */
enum { DEEP = 200, DEEP_MESSAGES = 5000, DEEP_BATCH = 4096, LIFE_MAX = 300 };

struct deep {
	struct space *s;
	struct rng rng;
	uint64_t ends[2 * DEEP_MESSAGES + LIFE_MAX]; /* id of the message that ends behind so many others */
	size_t count, under_way;
};

struct deep_commit {
	struct deep *deep;
	uint64_t id;
};

static void deep_done(void *owner, enum store_result result, enum store_reason reason)
{
	struct deep_commit *c = owner;

	assert_int_equal(reason, STORE_REASON_NONE);
	assert_int_equal(result, STORE_OK);
	uint64_t *end = &c->deep->ends[c->deep->count++ + rng_below(&c->deep->rng, LIFE_MAX)];
	while (*end != 0)
		end++;
	*end = c->id % 4 != 0 ? c->id : 0;
	c->deep->under_way--;
	free(c);
}

static void deep_post(struct deep *d, uint64_t id)
{
	static const char body[BODY_MAX];
	static const uint32_t domain = 1;
	struct store_recipient r;
	struct store_envelope e = help_envelope(&r, &domain, 1, 1);
	struct store_message *message;
	struct deep_commit *c = malloc(sizeof(*c));
	struct store *store = d->s->c.store;

	assert_non_null(c);
	*c = (struct deep_commit){.deep = d, .id = id};
	assert_int_equal(store->ops->begin(store, 0, &message), 0);
	assert_int_equal(store->ops->append(message, slice_make(body, churn_size(id))), 0);
	store->ops->commit(message, id, &e, SLICE(""), deep_done, c);
	d->under_way++;
}

static void end_at_once(struct space *s, uint64_t id)
{
	static const struct store_change change = {.state = STORE_DELIVERED, .reply = SLICE("250")};

	s->c.store->ops->amend(s->c.store, id, 0, 0, &change, 1, 1, NULL, NULL);
}

static void a_long_queue_does_not_starve_compaction(void **state)
{
	struct space s = {.world = small_world()};
	struct deep *d = calloc(1, sizeof(*d));
	uint64_t id = 0, ended = 0;
	double worst = 0;

	(void)state;
	assert_non_null(d);
	rng_init(&d->rng, 6);
	s.world->config.batch_bytes = DEEP_BATCH;
	space_open(&s);
	d->s = &s;
	while (d->count < DEEP_MESSAGES) {
		while (d->under_way < DEEP && id < DEEP_MESSAGES)
			deep_post(d, ++id);
		s.c.store->ops->poll(s.c.store);
		for (; ended < d->count; ended++)
			if (d->ends[ended] != 0)
				end_at_once(&s, d->ends[ended]);
		double part = (double)files_size(s.world->disk) / (double)budget(&s);
		worst = part > worst ? part : worst;
	}
	assert_true(worst <= 1);
	space_close(&s);
	free(d);
}

/* Whatever is held, it is written once. */
static void what_is_only_held_is_not_moved(void **state)
{
	struct space s = {.world = small_world()};
	struct spool_state after;

	(void)state;
	space_open(&s);
	for (uint64_t id = 1; id <= 1000; id++)
		store_sized(&s, id, 1, churn_size(id));
	for (int i = 0; i < 1000; i++)
		s.c.store->ops->poll(s.c.store);
	spool_state(s.c.store, &after);
	assert_int_equal(after.moved_messages, 0);
	assert_true(files_size(s.world->disk) < after.live_bytes + after.live_bytes / 4);
	space_close(&s);
}

/* --- during a drain ------------------------------------------------------------------------------ */

static void a_drain_gives_space_back_as_it_goes(void **state)
{
	struct space s = {.world = small_world()};
	enum { HELD = 1500 };

	(void)state;
	space_open(&s);
	for (uint64_t id = 1; id <= HELD; id++)
		store_sized(&s, id, 1, churn_size(id));
	uint64_t full = files_size(s.world->disk), slop = 6 * SEGMENT;
	for (uint64_t id = 1; id <= HELD; id++) {
		end_message(&s, id);
		assert_true(files_size(s.world->disk) <= full - full * id / HELD + full / 10 + slop);
	}
	space_close(&s);
}

/* Closing the last descriptor of a removed file gives its blocks back, on the thread that closes. */
static void what_a_drain_has_read_is_closed_before_it_is_removed(void **state)
{
	struct space s = {.world = small_world()};
	enum { HELD = 1000 };

	(void)state;
	space_open(&s);
	for (uint64_t id = 1; id <= HELD; id++)
		store_sized(&s, id, 1, churn_size(id));
	for (uint64_t id = 1; id <= HELD; id++) {
		check_sized(&s, id, churn_size(id));
		end_message(&s, id);
	}
	assert_true(spool_of(s.c.store)->state.freed_segments > 0);
	assert_int_equal(disk_removed_open(s.world->disk), 0);
	space_close(&s);
}

/* Nine lanes of ten drain, mixed with one that does not. */
static void one_that_stays_does_not_hold_the_space_of_all(void **state)
{
	struct space s = {.world = small_world()};
	enum { HELD = 3000 };

	(void)state;
	space_open(&s);
	for (uint64_t id = 1; id <= HELD; id++)
		store_sized(&s, id, 1 + id % 10, churn_size(id));
	for (uint64_t id = 1; id <= HELD; id++)
		if (id % 10 != 0)
			end_message(&s, id);
	for (int i = 0; i < 2000; i++)
		s.c.store->ops->poll(s.c.store);
	assert_true(files_size(s.world->disk) <= budget(&s));
	for (uint64_t id = 10; id <= HELD; id += 10)
		check_sized(&s, id, churn_size(id));
	space_close(&s);
}

/* --- idle ---------------------------------------------------------------------------------------- */

static void count_wake(void *owner)
{
	++*(unsigned *)owner;
}

static void idle_it_does_nothing(void **state)
{
	struct space s = {.world = small_world()};
	unsigned wakes = 0;

	(void)state;
	s.world->config.slack_bytes = 1;
	s.world->config.wake = count_wake;
	s.world->config.wake_owner = &wakes;
	space_open(&s);
	churn(&s, 1, 300);
	for (uint64_t id = 301; id <= 600; id++) {
		help_store(&s.c, id, 1);
		if (id % 3 != 0)
			end_message(&s, id);
	}
	for (int i = 0; i < 5000; i++)
		s.c.store->ops->poll(s.c.store);
	wakes = 0;
	for (int i = 0; i < 100; i++)
		s.c.store->ops->poll(s.c.store);
	assert_int_equal(wakes, 0);
	space_close(&s);
}

/* --- without the index --------------------------------------------------------------------------- */

/* A message without a byte: only the record that makes it whole keeps its segment. moved: by compaction. */
static void check_lone_end(bool moved)
{
	struct space s = {.world = spool_world_make()};
	struct spool_state state;

	s.world->config.slack_bytes = moved ? 1 : 0;
	space_open(&s);
	store_sized(&s, 1, 1, 0);
	churn(&s, 2, 600);
	spool_state(s.c.store, &state);
	assert_true(state.freed_segments > 0);
	assert_int_equal(state.moved_messages > 0, moved);
	s.c.store->ops->close(s.c.store);
	disk_index_forget(&s.world->index);
	space_open(&s);
	assert_int_equal(help_find(&s.c, 1)->count, 1);
	check_sized(&s, 1, 0);
	space_close(&s);
}

static void a_lone_end_outlives_its_neighbours(void **state)
{
	(void)state;
	check_lone_end(false);
	check_lone_end(true);
}

/* --- snapshots ----------------------------------------------------------------------------------- */

struct parts {
	uint64_t segments[256], bytes[256];
	char *copies[256];
	size_t count;
};

static void take_part(void *owner, uint64_t segment, uint64_t bytes)
{
	struct parts *p = owner;

	assert_true(p->count < 256);
	p->segments[p->count] = segment;
	p->bytes[p->count++] = bytes;
}

static void count_held(struct store *store, uint64_t *ret_messages)
{
	struct store_counts counts;

	store->ops->count(store, 0, &counts);
	*ret_messages = counts.messages;
}

/* The snapshot's files, copied after much has happened to the spool, are put in place of the spool's own: a
 * start finds what was there when the snapshot was asked for. */
static void put_back(struct space *s, const struct parts *p)
{
	struct file_system f = disk_files(s->world->disk);
	char from[600], to[600], name[FILE_NAME_SIZE];

	for (uint64_t n = 1; n < 4096; n++) {
		log_name(n, name);
		(void)f.ops->unlink(f.context, name);
	}
	for (size_t i = 0; i < p->count; i++) {
		struct iovec piece = {.iov_base = p->copies[i], .iov_len = p->bytes[i]};
		log_name(p->segments[i], name);
		int file = f.ops->open(f.context, name, FILE_WRITE | FILE_CREATE);
		assert_true(file >= 0);
		assert_int_equal(file_write_all(&f, file, &piece, 1, 0), 0);
		f.ops->close(f.context, file);
		free(p->copies[i]);
	}
	(void)snprintf(from, sizeof(from), "%s/copy.mdb", s->world->index.path);
	(void)snprintf(to, sizeof(to), "%s/data.mdb", s->world->index.path);
	assert_int_equal(rename(from, to), 0);
	(void)snprintf(to, sizeof(to), "%s/lock.mdb", s->world->index.path);
	(void)unlink(to);
}

static void copy_all(struct space *s, struct parts *p)
{
	char from[600], to[600];

	for (size_t i = 0; i < p->count; i++)
		assert_true(copy_of(s, p->segments[i], &p->copies[i]) >= p->bytes[i]);
	(void)snprintf(from, sizeof(from), "%s/snapshot/data.mdb", s->world->index.path);
	(void)snprintf(to, sizeof(to), "%s/copy.mdb", s->world->index.path);
	assert_int_equal(rename(from, to), 0);
}

static void a_snapshot_is_of_one_instant(void **state)
{
	struct space s = {.world = spool_world_make()};
	struct answer answer = {0}, second = {0};
	struct parts parts = {.count = 0};
	uint64_t messages;

	(void)state;
	space_open(&s);
	for (uint64_t id = 1; id <= 150; id++) {
		help_store(&s.c, id, 1);
		if (id % 3 == 0)
			end_message(&s, id);
	}
	s.c.store->ops->snapshot(s.c.store, help_done, &answer);
	help_wait(&s.c, &answer);
	assert_int_equal(answer.result, STORE_OK);
	s.c.store->ops->snapshot(s.c.store, help_done, &second);
	help_wait(&s.c, &second);
	assert_int_equal(second.result, STORE_FAILED);
	s.c.store->ops->snapshot_parts(s.c.store, take_part, &parts);
	assert_true(parts.count > 1);
	for (uint64_t id = 1; id <= 150; id++)
		if (id % 3 != 0)
			end_message(&s, id);
	churn(&s, 151, 600);
	copy_all(&s, &parts);
	s.c.store->ops->snapshot_release(s.c.store);
	s.c.store->ops->close(s.c.store);
	put_back(&s, &parts);
	s.c.store = spool_world_open(s.world);
	assert_non_null(s.c.store);
	count_held(s.c.store, &messages);
	assert_int_equal(messages, 100);
	assert_int_equal(s.world->reports[SPOOL_EVENT_ASIDE], 0);
	space_close(&s);
}

/* A message ends while compaction copies it: the copy behind its end in the log counts for nothing, also when
 * the index is made again with a checkpoint between the two. */
static void a_copy_of_what_has_ended_is_no_message(void **state)
{
	enum { LARGE = 200 * 1024 };
	struct space s = {.world = spool_world_make()};
	static const uint32_t domain = 1;
	static char body[LARGE];
	struct store_recipient r;
	struct store_envelope e = help_envelope(&r, &domain, 1, 1);

	(void)state;
	s.world->config.slack_bytes = 1;
	s.world->config.segment_bytes = 512 * 1024;
	s.world->config.keep_files = true; /* the log has everything */
	space_open(&s);
	struct spool *spool = spool_of(s.c.store);
	churn(&s, 1, 200);
	assert_int_equal(help_commit(&s.c, 1000, &e, SLICE(""), slice_make(body, LARGE)).result, STORE_OK);
	churn(&s, 2000, 200);
	for (uint64_t id = 3000; spool->compaction.copy == NULL || spool->compaction.entry.entry.id != 1000;
	     id++) {
		assert_true(id < 9000);
		churn(&s, id, 1);
	}
	end_message(&s, 1000);
	for (int i = 0; i < 1000 && spool->compaction.copy != NULL; i++)
		s.c.store->ops->poll(s.c.store);
	churn(&s, 10000, 20);
	s.c.store->ops->close(s.c.store);
	disk_index_forget(&s.world->index);
	s.world->config.checkpoint_bytes = 1; /* between any two group commits */
	space_open(&s);
	assert_int_equal(help_find(&s.c, 1000)->count, 0);
	assert_int_equal(help_walk(&s.c, 0, 0, 10)->count, 0);
	space_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(held_segments_stay_as_they_are),
	    cmocka_unit_test(a_snapshot_is_of_one_instant),
	    cmocka_unit_test(files_stay_within_the_budget_all_the_time),
	    cmocka_unit_test(a_long_queue_does_not_starve_compaction),
	    cmocka_unit_test(what_is_only_held_is_not_moved),
	    cmocka_unit_test(a_drain_gives_space_back_as_it_goes),
	    cmocka_unit_test(what_a_drain_has_read_is_closed_before_it_is_removed),
	    cmocka_unit_test(one_that_stays_does_not_hold_the_space_of_all),
	    cmocka_unit_test(idle_it_does_nothing),
	    cmocka_unit_test(a_lone_end_outlives_its_neighbours),
	    cmocka_unit_test(a_copy_of_what_has_ended_is_no_message),
	};

	return cmocka_run_group_tests_name("spool space", tests, NULL, NULL);
}
