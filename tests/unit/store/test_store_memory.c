/* The stores with every allocation failing in turn: nothing crashes, and what was answered OK is there
 * afterwards. */
#include <stdio.h>

#include "contract_help.h"
#include "files_world.h"
#include "store/ram.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static unsigned to_go; /* 0: none fails */
static bool happened, for_good;

static bool fails(void)
{
	if (for_good)
		return true;
	if (to_go == 0 || --to_go > 0)
		return false;
	happened = true;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails() ? NULL : __real_realloc(old, size);
}

enum { MESSAGES = 5, BODY_BYTES = 3000, POLLS_MAX = 50, ALLOCATIONS_MIN = 30, ALLOCATIONS_MAX = 5000 };

struct known {
	bool commit_asked[MESSAGES], committed[MESSAGES], failed[MESSAGES];
	bool end_asked[MESSAGES], ended[MESSAGES];
};

static enum store_result settle(struct store *store, const struct answer *answer)
{
	for (int i = 0; i < POLLS_MAX && answer->calls == 0; i++)
		store->ops->poll(store);
	assert_int_equal(answer->calls, 1);
	return answer->result;
}

static void try_message(struct store *store, struct known *k, uint64_t i)
{
	static const uint32_t domain = 1;
	static char body[BODY_BYTES];
	struct store_recipient r;
	struct store_envelope e = help_envelope(&r, &domain, 1, 1);
	struct store_message *message;
	struct answer answer = {.calls = 0};

	if (store->ops->begin(store, 0, &message) != 0)
		return;
	if (store->ops->append(message, slice_make(body, sizeof(body))) != 0) {
		store->ops->abort(message, NULL, NULL);
		k->failed[i] = true;
		return;
	}
	k->commit_asked[i] = true;
	store->ops->commit(message, i + 1, &e, SLICE("p"), help_done, &answer);
	enum store_result result = settle(store, &answer);
	k->committed[i] = result == STORE_OK;
	k->failed[i] = result == STORE_FAILED;
}

static void try_end(struct store *store, struct known *k, uint64_t i)
{
	struct answer answer = {.calls = 0};
	struct store_change change = {.state = STORE_DELIVERED, .reply = SLICE("250")};

	store->ops->amend(store, i + 1, 0, 0, &change, 1, 1, help_done, &answer);
	enum store_result result = settle(store, &answer);
	k->ended[i] = result == STORE_OK && k->committed[i];
	k->end_asked[i] = result != STORE_FAILED;
}

static void ignore_walk(void *owner, enum store_result result, const struct store_entry *entries,
			size_t count, bool more)
{
	(void)entries;
	(void)count;
	(void)more;
	help_done(owner, result, STORE_REASON_NONE);
}

static void ignore_pairs(void *owner, enum store_result result, const struct store_pair *pairs, size_t count,
			 bool more)
{
	(void)pairs;
	(void)count;
	(void)more;
	help_done(owner, result, STORE_REASON_NONE);
}

static void ignore_ends(void *owner, enum store_result result, const struct store_end *ends, size_t count,
			bool more)
{
	(void)ends;
	(void)count;
	(void)more;
	help_done(owner, result, STORE_REASON_NONE);
}

static void try_reads(struct store *store)
{
	struct answer walk = {.calls = 0}, find = {.calls = 0}, ends = {.calls = 0}, scan = {.calls = 0};
	struct store_counts counts;

	store->ops->walk(store, 1, 0, 10, ignore_walk, &walk);
	store->ops->find(store, 1, ignore_walk, &find);
	store->ops->ends(store, 0, 0, 0, 10, ignore_ends, &ends);
	store->ops->scan(store, SLICE("k"), SLICE(""), 10, ignore_pairs, &scan);
	(void)settle(store, &walk);
	(void)settle(store, &find);
	(void)settle(store, &ends);
	(void)settle(store, &scan);
	store->ops->count(store, 1, &counts);
}

static void use(struct store *store, struct known *k)
{
	struct answer put = {.calls = 0};

	for (uint64_t i = 0; i < MESSAGES; i++)
		try_message(store, k, i);
	for (uint64_t i = 0; i < MESSAGES; i += 2)
		try_end(store, k, i);
	store->ops->put(store, SLICE("key"), SLICE("value"), help_done, &put);
	(void)settle(store, &put);
	try_reads(store);
}

static void check_known(struct store *store, const struct known *k)
{
	struct contract c = {.store = store, .backend = &help_plain};

	for (uint64_t i = 0; i < MESSAGES; i++) {
		size_t count = help_find(&c, i + 1)->count;
		if (k->committed[i] && !k->end_asked[i])
			assert_int_equal(count, 1);
		if (k->failed[i] || !k->commit_asked[i] || k->ended[i])
			assert_int_equal(count, 0);
	}
}

static void the_ram_store_survives(void **state)
{
	(void)state;
	for (unsigned n = 1; n < ALLOCATIONS_MAX; n++) {
		struct known k = {.committed = {false}};
		happened = false;
		to_go = n;
		struct store *store = ram_store_new(&(struct ram_store_config){.seed = 1});
		if (store != NULL) {
			use(store, &k);
			to_go = 0;
			check_known(store, &k);
			store->ops->close(store);
		}
		to_go = 0;
		if (!happened) {
			assert_true(n > ALLOCATIONS_MIN);
			return;
		}
	}
	assert_true(false); /* it never came to the end */
}

static void the_spool_survives(void **state)
{
	(void)state;
	for (unsigned n = 1; n < ALLOCATIONS_MAX; n++) {
		struct known k = {.committed = {false}};
		struct files_world *w = files_make();
		w->config.threads = false;
		w->config.index_unsynced = true; /* there is no crash */
		w->config.checkpoint_bytes = 8 * 1024;
		happened = false;
		to_go = n;
		struct store *store = files_open(w);
		if (store != NULL) {
			use(store, &k);
			store->ops->close(store);
		}
		to_go = 0;
		store = files_open(w);
		if (store == NULL) {
			fail_msg("allocation %u: %s", n, w->message);
			return;
		}
		check_known(store, &k);
		store->ops->close(store);
		files_destroy(w);
		if (!happened) {
			assert_true(n > ALLOCATIONS_MIN);
			return;
		}
	}
	assert_true(false);
}

/* --- for good ------------------------------------------------------------------------------------ */

enum { ASKED = 5000 }; /* of each kind, in one turn: lanes and sessions that all ask at once */

static void ask_all(struct store *store, struct answer *answers)
{
	static const struct store_change change = {.state = STORE_DELIVERED, .reply = SLICE("250")};
	static const struct store_end end = {.state = STORE_REFUSED, .at_door = true};

	for (int i = 0; i < ASKED; i++) {
		store->ops->amend(store, 1, 0, 0, &change, 1, 1, help_done, answers++);
		store->ops->walk(store, 1, 0, 10, ignore_walk, answers++);
		store->ops->scan(store, SLICE("k"), SLICE(""), 10, ignore_pairs, answers++);
		store->ops->put(store, SLICE("key"), SLICE("value"), help_done, answers++);
		store->ops->put(store, SLICE("key"), SLICE("value"), NULL, NULL); /* nobody wants to know */
		store->ops->note_end(store, &end);
	}
}

static void check_all_are_answered(struct store *store)
{
	static struct answer answers[4 * ASKED];

	memset(answers, 0, sizeof(answers));
	for_good = true;
	ask_all(store, answers);
	for (int i = 0; i < 4 * ASKED; i++)
		assert_int_equal(answers[i].calls, 0); /* not from inside */
	store->ops->poll(store);
	for_good = false;
	for (int i = 0; i < POLLS_MAX; i++)
		store->ops->poll(store);
	for (int i = 0; i < 4 * ASKED; i++) {
		assert_int_equal(answers[i].calls, 1);
		assert_int_equal(answers[i].result, STORE_FAILED);
	}
}

/* However many ask while there is no memory at all, each gets its answer, and afterwards all works. */
static void every_refused_operation_is_answered(void **state)
{
	struct store *ram = ram_store_new(&(struct ram_store_config){.seed = 1});
	struct files_world *w = files_make();
	struct known k = {.committed = {false}};

	(void)state;
	w->config.threads = false;
	w->config.index_unsynced = true;
	struct store *spool = files_open(w);
	assert_non_null(ram);
	assert_non_null(spool);
	check_all_are_answered(ram);
	check_all_are_answered(spool);
	try_message(spool, &k, 0);
	assert_true(k.committed[0]);
	ram->ops->close(ram);
	spool->ops->close(spool);
	files_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_ram_store_survives),
	    cmocka_unit_test(the_spool_survives),
	    cmocka_unit_test(every_refused_operation_is_answered),
	};

	return cmocka_run_group_tests_name("stores without memory", tests, NULL, NULL);
}
