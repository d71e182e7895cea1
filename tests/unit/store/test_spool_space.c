/* Where the spool's space goes: what is held is not given back, what is dead is, in time. On the simulated
 * disk, with small segments.
 */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(held_segments_stay_as_they_are),
	};

	return cmocka_run_group_tests_name("spool space", tests, NULL, NULL);
}
