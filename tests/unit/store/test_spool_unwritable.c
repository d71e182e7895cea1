/* There is no room for the index, for hours: what is held drains all the same, memory stays bounded, and all
 * goes on by itself when there is room again.
 */
#include <stdio.h>

#include "store/spool_internal.h"

#include "contract_help.h"
#include "spool_world.h"

/* --- an index without room ----------------------------------------------------------------------- */

int __real_index_commit(struct index_txn *txn);
int __wrap_index_commit(struct index_txn *txn);

static bool no_room;
static unsigned failed_commits;

int __wrap_index_commit(struct index_txn *txn)
{
	if (!no_room)
		return __real_index_commit(txn);
	failed_commits++;
	index_abort(txn);
	return ERR_LIMIT;
}

/* --- a store ------------------------------------------------------------------------------------- */

enum { HELD = 2000, OVERLAY = 48 * 1024, CHECKPOINT = 16 * 1024, IDLE_POLLS = 1000 };

struct unwritable {
	struct spool_world *world;
	struct contract c;
	uint64_t next;
};

static void store_open(struct unwritable *u)
{
	u->c = (struct contract){.backend = &help_plain, .store = spool_world_open(u->world)};
	if (u->c.store == NULL)
		fail_msg("%s", u->world->message);
}

static void begin(struct unwritable *u)
{
	*u = (struct unwritable){.world = spool_world_make(), .next = 1};
	no_room = false;
	failed_commits = 0;
	u->world->config.overlay_bytes = OVERLAY;
	u->world->config.checkpoint_bytes = CHECKPOINT;
	store_open(u);
	while (u->next <= HELD)
		help_store(&u->c, u->next++, 1);
	no_room = true;
}

static void end(struct unwritable *u)
{
	u->c.store->ops->close(u->c.store);
	spool_world_destroy(u->world);
}

static void deliver(struct unwritable *u, uint64_t from, uint64_t to)
{
	for (uint64_t id = from; id <= to; id++)
		assert_int_equal(help_amend(&u->c, id, 0, 0, STORE_DELIVERED, "250 ok", 1).result, STORE_OK);
}

static struct spool *inside(const struct unwritable *u)
{
	return spool_of(u->c.store);
}

static void idle(struct unwritable *u)
{
	for (int i = 0; i < IDLE_POLLS; i++)
		u->c.store->ops->poll(u->c.store);
}

static int try_to_begin(struct unwritable *u)
{
	struct store_message *message;
	int error = u->c.store->ops->begin(u->c.store, 0, &message);

	if (error == 0)
		u->c.store->ops->abort(message, NULL, NULL);
	return error;
}

/* Until new mail waits for the index. */
static void fill(struct unwritable *u)
{
	while (u->next < 3 * HELD && try_to_begin(u) == 0)
		help_store(&u->c, u->next++, 1);
	assert_true(u->next < 3 * HELD);
	assert_int_equal(try_to_begin(u), ERR_LIMIT);
}

static void check_held(struct unwritable *u, uint64_t from)
{
	struct store_counts counts;

	u->c.store->ops->count(u->c.store, 0, &counts);
	assert_int_equal(counts.messages, u->next - from);
	help_totals(&u->c, u->next - 1, u->next - from, from - 1);
	assert_int_equal(help_find(&u->c, from - 1)->count, 0);
	assert_int_equal(help_find(&u->c, from)->count, 1);
	assert_int_equal(help_find(&u->c, u->next - 1)->count, 1);
}

/* --- tests --------------------------------------------------------------------------------------- */

static void a_failed_checkpoint_waits(void **state)
{
	struct unwritable u;

	(void)state;
	begin(&u);
	fill(&u);
	uint64_t log = inside(&u)->applied.segment;
	idle(&u);
	unsigned before = failed_commits;
	idle(&u);
	assert_int_equal(failed_commits, before);
	assert_int_equal(inside(&u)->applied.segment, log);
	deliver(&u, 1, HELD / 2); /* some 100 KiB of log */
	assert_in_range(failed_commits - before, 1, 40);
	no_room = false;
	end(&u);
}

static void memory_stays_bounded_and_what_is_held_drains(void **state)
{
	struct unwritable u;
	struct spool_state now;
	const struct overlay **active;

	(void)state;
	begin(&u);
	fill(&u);
	active = (const struct overlay **)&inside(&u)->active;
	assert_true((*active)->arena.used_bytes < 2 * OVERLAY);
	deliver(&u, 1, HELD);
	spool_state(u.c.store, &now);
	assert_true(now.dropped_ends > 0);
	assert_false(now.dead);
	/* Beyond the end records: that a message is over, 100 bytes or so for each that was held. */
	assert_true((*active)->arena.used_bytes < (size_t)(OVERLAY_ENDS + 1) * OVERLAY + (size_t)HELD * 128);
	check_held(&u, HELD + 1);
	no_room = false;
	end(&u);
}

static void with_room_again_all_goes_on(void **state)
{
	struct unwritable u;

	(void)state;
	begin(&u);
	fill(&u);
	deliver(&u, 1, 10);
	no_room = false;
	for (int i = 0; i < 100 && try_to_begin(&u) != 0; i++)
		u.c.store->ops->poll(u.c.store);
	assert_int_equal(try_to_begin(&u), 0);
	check_held(&u, 11);
	u.c.store = spool_world_reopen(u.world, u.c.store);
	assert_non_null(u.c.store);
	check_held(&u, 11);
	end(&u);
}

static void it_starts_without_room(void **state)
{
	struct unwritable u;

	(void)state;
	begin(&u);
	fill(&u);
	deliver(&u, 1, HELD / 2);
	spool_crash(u.c.store);
	store_open(&u);
	check_held(&u, HELD / 2 + 1);
	deliver(&u, HELD / 2 + 1, HELD);
	no_room = false;
	u.c.store = spool_world_reopen(u.world, u.c.store);
	assert_non_null(u.c.store);
	check_held(&u, HELD + 1);
	end(&u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_failed_checkpoint_waits),
	    cmocka_unit_test(memory_stays_bounded_and_what_is_held_drains),
	    cmocka_unit_test(with_room_again_all_goes_on),
	    cmocka_unit_test(it_starts_without_room),
	};

	return cmocka_run_group_tests_name("an index without room", tests, NULL, NULL);
}
