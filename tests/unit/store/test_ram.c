/* The RAM store: the contract, and the bad answers it can be told to give. */
#include "contract_help.h"

#include "store/ram.h"

static void *make(void)
{
	return NULL;
}

static void destroy(void *world)
{
	(void)world;
}

static struct store *open_plain(void *world)
{
	(void)world;
	return ram_store_new(&(struct ram_store_config){.seed = 1});
}

static struct store *open_late(void *world)
{
	(void)world;
	return ram_store_new(
	    &(struct ram_store_config){.seed = 2, .faults = {.late = 0.5, .late_polls_max = 7}});
}

static struct store *reopen(void *world, struct store *store)
{
	(void)world;
	while (ram_store_pending(store) > 0)
		store->ops->poll(store);
	ram_store_crash(store);
	return store;
}

static const struct contract_backend faulty = {.name = "ram", .reopen = reopen};

static struct contract with(struct ram_faults faults)
{
	return (struct contract){
	    .backend = &faulty,
	    .store = ram_store_new(&(struct ram_store_config){.seed = 3, .faults = faults}),
	};
}

static void end(struct contract *c)
{
	c->store->ops->close(c->store);
}

static const uint32_t domain_1 = 1;

static struct store_message *begin(struct contract *c, const char *body)
{
	struct store_message *message = NULL;

	assert_int_equal(c->store->ops->begin(c->store, 0, &message), 0);
	assert_int_equal(c->store->ops->append(message, slice_of(body)), 0);
	return message;
}

static struct answer commit(struct contract *c, struct store_message *message, uint64_t id)
{
	struct store_recipient r;
	struct store_envelope e = help_envelope(&r, &domain_1, 1, 1);
	struct answer answer = {.calls = 0};

	c->store->ops->commit(message, id, &e, SLICE("p"), help_done, &answer);
	help_wait(c, &answer);
	return answer;
}

static void an_unknown_commit_that_happened_is_one_message(void **state)
{
	static const struct ram_faults faults[] = {{.unknown_happened = 1}, {.unknown_not_happened = 1}};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct contract c = with(faults[i]);
		struct store_message *message = begin(&c, "body");
		assert_int_equal(commit(&c, message, 5).result, STORE_UNKNOWN);
		assert_int_equal(commit(&c, message, 5).result, STORE_UNKNOWN);
		ram_store_inject(c.store, NULL);
		assert_int_equal(help_walk(&c, 0, 0, 10)->count, 0);
		assert_int_equal(commit(&c, message, 5).result, STORE_OK);
		assert_int_equal(help_walk(&c, 0, 0, 10)->count, 1);
		help_totals(&c, 1, 1, 0);
		end(&c);
	}
}

static void an_unknown_commit_can_be_aborted(void **state)
{
	static const struct ram_faults faults[] = {{.unknown_happened = 1}, {.unknown_not_happened = 1}};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct contract c = with(faults[i]);
		struct answer answer = {.calls = 0};
		struct store_message *message = begin(&c, "body");
		assert_int_equal(commit(&c, message, 5).result, STORE_UNKNOWN);
		c.store->ops->abort(message, help_done, &answer);
		help_wait(&c, &answer);
		assert_int_equal(answer.result, STORE_UNKNOWN);
		ram_store_inject(c.store,
				 &(struct ram_faults){.failed = 1}); /* an abort is never said to fail */
		answer.calls = 0;
		c.store->ops->abort(message, help_done, &answer);
		help_wait(&c, &answer);
		assert_int_equal(answer.result, STORE_OK);
		ram_store_crash(c.store);
		ram_store_inject(c.store, NULL);
		assert_int_equal(help_walk(&c, 0, 0, 10)->count, 0);
		end(&c);
	}
}

static void an_unknown_commit_is_decided_by_a_crash(void **state)
{
	(void)state;
	for (size_t happened = 0; happened < 2; happened++) {
		struct contract c = with((struct ram_faults){.unknown_happened = happened == 1,
							     .unknown_not_happened = happened == 0});
		assert_int_equal(commit(&c, begin(&c, "body"), 5).result, STORE_UNKNOWN);
		ram_store_crash(c.store);
		ram_store_inject(c.store, NULL);
		assert_int_equal(help_walk(&c, 0, 0, 10)->count, happened);
		help_totals(&c, happened, happened, 0);
		end(&c);
	}
}

static void a_commit_that_happened_cannot_fail(void **state)
{
	(void)state;
	struct contract c = with((struct ram_faults){.unknown_happened = 1});
	struct store_message *message = begin(&c, "body");

	assert_int_equal(commit(&c, message, 5).result, STORE_UNKNOWN);
	ram_store_inject(c.store, &(struct ram_faults){.failed = 1});
	assert_int_equal(commit(&c, message, 5).result, STORE_OK);
	end(&c);
}

static void failed_and_full_and_fenced(void **state)
{
	(void)state;
	struct contract c = with((struct ram_faults){.failed = 1});
	struct store_message *message;
	struct answer answer;
	struct store_change change = {.state = STORE_DELIVERED};

	assert_int_equal(commit(&c, begin(&c, "x"), 1).result, STORE_FAILED);
	assert_int_equal(help_walk(&c, 0, 0, 1)->answer.result, STORE_FAILED);
	assert_int_equal(help_put(&c, SLICE("k"), SLICE("v")).result, STORE_FAILED);
	ram_store_inject(c.store, NULL);
	assert_int_equal(help_get(&c, SLICE("k"))->count, 0);
	assert_int_equal(help_walk(&c, 0, 0, 1)->count, 0);
	help_store(&c, 2, 1);
	ram_store_inject(c.store, &(struct ram_faults){.fenced = 1});
	answer = (struct answer){.calls = 0};
	c.store->ops->amend(c.store, 2, 0, 9, &change, 1, 1, help_done, &answer);
	help_wait(&c, &answer);
	assert_int_equal(answer.result, STORE_FENCED);
	assert_int_equal(help_find(&c, 2)->count, 1);
	message = begin(&c, "x");
	ram_store_inject(c.store, &(struct ram_faults){.full = 1});
	answer = commit(&c, message, 3);
	assert_int_equal(answer.result, STORE_FAILED);
	assert_int_equal(answer.reason, STORE_REASON_FULL);
	assert_int_equal(c.store->ops->begin(c.store, 0, &message), ERR_LIMIT);
	end(&c);
}

static void a_limit_makes_it_full(void **state)
{
	(void)state;
	struct contract c = {.store = ram_store_new(&(struct ram_store_config){.limit_bytes = 10}),
			     .backend = &faulty};
	struct store_message *message = begin(&c, "1234567890");

	assert_int_equal(c.store->ops->append(message, SLICE("1")), ERR_LIMIT);
	c.store->ops->abort(message, NULL, NULL);
	assert_int_equal(c.store->ops->begin(c.store, 11, &message), ERR_LIMIT);
	assert_int_equal(commit(&c, begin(&c, "123456789"), 1).result, STORE_OK);
	assert_int_equal(c.store->ops->begin(c.store, 1, &message), ERR_LIMIT);
	end(&c);
}

static void held_completions_wait_for_their_release(void **state)
{
	(void)state;
	struct contract c = with((struct ram_faults){.late = 0});
	struct answer a = {.calls = 0}, b = {.calls = 0};

	ram_store_hold(c.store, true);
	c.store->ops->put(c.store, SLICE("a"), SLICE("1"), help_done, &a);
	c.store->ops->put(c.store, SLICE("b"), SLICE("1"), help_done, &b);
	for (int i = 0; i < 5; i++)
		c.store->ops->poll(c.store);
	assert_int_equal(a.calls, 0);
	ram_store_release(c.store, 1);
	c.store->ops->poll(c.store);
	c.store->ops->poll(c.store);
	assert_int_equal(a.calls, 1);
	assert_int_equal(b.calls, 0);
	ram_store_release(c.store, SIZE_MAX);
	c.store->ops->poll(c.store);
	assert_int_equal(b.calls, 1);
	end(&c);
}

static void a_crash_drops_what_has_not_completed(void **state)
{
	bool seen[2] = {false, false};

	(void)state;
	for (uint64_t seed = 0; seed < 40; seed++) {
		struct contract c = {.store = ram_store_new(&(struct ram_store_config){.seed = seed}),
				     .backend = &faulty};
		struct store_recipient r;
		struct store_envelope e = help_envelope(&r, &domain_1, 1, 1);
		struct answer lost = {.calls = 0};
		help_store(&c, 1, 1);
		c.store->ops->commit(begin(&c, "x"), 2, &e, SLICE(""), help_done, &lost);
		(void)begin(&c, "never committed");
		ram_store_crash(c.store);
		assert_int_equal(ram_store_pending(c.store), 0);
		assert_int_equal(lost.calls, 0);
		size_t count = help_walk(&c, 0, 0, 10)->count;
		assert_true(count == 1 || count == 2);
		seen[count - 1] = true;
		end(&c);
		assert_int_equal(lost.calls, 0);
	}
	assert_true(seen[0] && seen[1]);
}

static void a_limited_one_tells_its_room(void **state)
{
	struct contract c = with((struct ram_faults){.late = 0});
	struct store_space space;

	(void)state;
	c.store->ops->space(c.store, &space);
	assert_int_equal(space.capacity_bytes, 0);
	ram_store_limit(c.store, 1000);
	struct store_message *message = begin(&c, "0123456789");
	c.store->ops->space(c.store, &space);
	assert_int_equal(space.capacity_bytes, 1000);
	assert_int_equal(space.used_bytes, 10);
	assert_int_equal(space.free_bytes, 990);
	assert_false(space.full);
	ram_store_limit(c.store, 10);
	c.store->ops->space(c.store, &space);
	assert_true(space.full);
	c.store->ops->abort(message, NULL, NULL);
	end(&c);
}

int main(void)
{
	static const struct contract_backend backends[] = {
	    {.name = "ram", .make = make, .destroy = destroy, .open = open_plain, .reopen = reopen},
	    {.name = "ram, late", .make = make, .destroy = destroy, .open = open_late, .reopen = reopen},
	};
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_unknown_commit_that_happened_is_one_message),
	    cmocka_unit_test(an_unknown_commit_can_be_aborted),
	    cmocka_unit_test(an_unknown_commit_is_decided_by_a_crash),
	    cmocka_unit_test(a_commit_that_happened_cannot_fail),
	    cmocka_unit_test(failed_and_full_and_fenced),
	    cmocka_unit_test(a_limit_makes_it_full),
	    cmocka_unit_test(a_limited_one_tells_its_room),
	    cmocka_unit_test(held_completions_wait_for_their_release),
	    cmocka_unit_test(a_crash_drops_what_has_not_completed),
	};
	int bad = 0;

	for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++)
		bad += store_contract(&backends[i]);
	bad += cmocka_run_group_tests_name("ram faults", tests, NULL, NULL);
	return bad != 0;
}
