/* Values in the index that make no sense: one entry costs one message, which the log still has; without the
 * rows that everything stands on, the index is made again.
 */
#include <stdio.h>

#include "contract_help.h"
#include "spool_world.h"
#include "store/spool_index.h"

enum { MESSAGES = 4 };

static struct contract open_world(struct spool_world *w)
{
	struct contract c = {.store = spool_world_open(w), .backend = &help_plain};

	if (c.store == NULL)
		print_error("%s\n", w->message);
	assert_non_null(c.store);
	return c;
}

/* Some messages and a pair, all in the index. */
static struct spool_world *make(void)
{
	struct spool_world *w = spool_world_make();
	struct contract c = open_world(w);

	for (uint64_t id = 1; id <= MESSAGES; id++)
		help_store(&c, id, 1);
	assert_int_equal(help_put(&c, SLICE("key"), SLICE("value")).result, STORE_OK);
	c.store->ops->close(c.store);
	return w;
}

/* Puts this value into the index of a spool that is closed. */
static void spoil(struct spool_world *w, enum index_table table, struct index_key key, struct slice value)
{
	struct spool_index *index;
	struct index_txn *txn;

	assert_int_equal(index_open(w->index.path, INDEX_UNSYNCED, w->config.index_map_bytes, &index), 0);
	assert_int_equal(index_write_begin(index, &txn), 0);
	assert_int_equal(index_put(txn, table, &key, value), 0);
	assert_int_equal(index_commit(txn), 0);
	index_close(index);
}

static void one_entry_costs_one_message(void **state)
{
	struct spool_world *w = make();
	struct answer answer;
	char bytes[64];

	(void)state;
	spoil(w, INDEX_MESSAGE, index_key_u64(2), SLICE("nonsense"));
	spoil(w, INDEX_MESSAGE, index_key_u64(3), SLICE(""));
	struct contract c = open_world(w);
	assert_int_equal(help_walk(&c, 1, 0, 100)->count, MESSAGES - 2);
	assert_int_equal(w->reports[SPOOL_EVENT_ASIDE], 2);
	assert_int_equal(help_find(&c, 2)->count, 0);
	assert_int_equal(help_read(&c, 2, 64, bytes, sizeof(bytes), &answer), -1);
	assert_int_equal(help_amend(&c, 2, 0, 0, STORE_DELIVERED, "", 1).result, STORE_FAILED);
	assert_int_equal(help_amend(&c, 1, 0, 0, STORE_DELIVERED, "", 1).result, STORE_OK);
	help_store(&c, 10, 1);
	assert_int_equal(w->reports[SPOOL_EVENT_ASIDE], 2); /* told once */
	help_totals(&c, MESSAGES + 1, MESSAGES, 1);	    /* they are still there */
	c.store = spool_world_reopen(w, c.store);
	assert_int_equal(help_walk(&c, 1, 0, 100)->count, MESSAGES - 2);
	c.store->ops->close(c.store);
	disk_index_forget(&w->index); /* the log knows them, and what was said of them meanwhile */
	c = open_world(w);
	assert_int_equal(help_find(&c, 2)->count, 0);
	assert_int_equal(help_find(&c, 3)->count, 1);
	c.store->ops->close(c.store);
	spool_world_destroy(w);
}

static void a_pair_that_makes_no_sense_is_missing(void **state)
{
	struct spool_world *w = make();

	(void)state;
	spoil(w, INDEX_PAIR, index_key_bytes(SLICE("key")), SLICE("?"));
	struct contract c = open_world(w);
	assert_int_equal(help_get(&c, SLICE("key"))->count, 0);
	assert_int_equal(w->reports[SPOOL_EVENT_ASIDE], 1);
	assert_int_equal(help_put(&c, SLICE("key"), SLICE("other")).result, STORE_OK);
	c.store = spool_world_reopen(w, c.store);
	assert_int_equal(help_get(&c, SLICE("key"))->count, 1);
	c.store->ops->close(c.store);
	spool_world_destroy(w);
}

static void forget(struct contract *c, uint64_t id)
{
	struct answer answer = {.calls = 0};

	spool_forget(c->store, id, help_done, &answer);
	help_wait(c, &answer);
	assert_int_equal(answer.result, STORE_OK);
}

static void what_is_set_aside_may_be_unreadable(void **state)
{
	(void)state;
	for (uint64_t id = 0; id < 10; id += 9) {
		struct spool_world *w = make();
		spoil(w, INDEX_ASIDE, index_key_u64(9), SLICE("nonsense"));
		struct contract c = open_world(w);
		forget(&c, id);
		help_store(&c, 10, 1);
		c.store->ops->close(c.store);
		spool_world_destroy(w);
	}
}

static void without_its_tables_it_is_made_again(void **state)
{
	static const enum index_table tables[] = {INDEX_STATE, INDEX_SEGMENT, INDEX_DOMAIN};
	char path[300];

	(void)state;
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		struct spool_world *w = make();
		struct index_key key = tables[i] == INDEX_STATE	    ? index_key_bytes(SLICE("state"))
				       : tables[i] == INDEX_SEGMENT ? index_key_u64(1)
								    : index_key_u32(1);
		spoil(w, tables[i], key, SLICE("short"));
		struct contract c = open_world(w);
		assert_true(w->reports[SPOOL_EVENT_REBUILT] >= 1);
		assert_int_equal(help_walk(&c, 1, 0, 100)->count, MESSAGES);
		assert_int_equal(help_get(&c, SLICE("key"))->count, 1);
		c.store->ops->close(c.store);
		for (int file = 0; file < 3; file++) { /* the old one was kept */
			static const char *const names[] = {"/data.mdb", "/lock.mdb", ""};
			(void)snprintf(path, sizeof(path), "%s.1%s", w->index.path, names[file]);
			assert_int_equal(remove(path), 0);
		}
		spool_world_destroy(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_entry_costs_one_message),
	    cmocka_unit_test(a_pair_that_makes_no_sense_is_missing),
	    cmocka_unit_test(what_is_set_aside_may_be_unreadable),
	    cmocka_unit_test(without_its_tables_it_is_made_again),
	};

	return cmocka_run_group_tests_name("spool index", tests, NULL, NULL);
}
