#include "store_contract.h"

#include <stdio.h>

#include "contract_help.h"

static const uint32_t domain_1 = 1, domain_2 = 2;

static int setup(void **state)
{
	struct contract *c = calloc(1, sizeof(*c));

	c->backend = *state;
	c->world = c->backend->make();
	c->store = c->backend->open(c->world);
	*state = c;
	return c->store != NULL ? 0 : -1;
}

static int teardown(void **state)
{
	struct contract *c = *state;

	c->store->ops->close(c->store);
	c->backend->destroy(c->world);
	free(c);
	return 0;
}

static void check_body(struct contract *c, uint64_t id, struct slice expected)
{
	static char bytes[FOUND_BODY_MAX];

	assert_int_equal(help_read(c, id, 256 * 1024, bytes, sizeof(bytes), NULL), expected.size);
	assert_memory_equal(bytes, expected.data, expected.size);
}

static void a_committed_message_is_found_and_read(void **state)
{
	struct contract *c = *state;

	help_store(c, 100, 1);
	const struct found *f = help_walk(c, 1, 0, 10);
	assert_int_equal(f->count, 1);
	assert_false(f->more);
	assert_int_equal(f->id[0], 100);
	assert_int_equal(f->body_bytes[0], strlen("Received: x\r\nbody of 100"));
	assert_string_equal(f->forward_path[0], "u0@example.com");
	assert_string_equal(f->reverse_path[0], "sender@example.org");
	assert_int_equal(f->state[0][0], STORE_QUEUED);
	check_body(c, 100, SLICE("Received: x\r\nbody of 100"));
	help_totals(c, 1, 1, 0);
}

static struct store_envelope found_envelope; /* its slices are not kept */
static char found_strings[8][64];

static void keep_envelope(void *owner, enum store_result result, const struct store_entry *entries,
			  size_t count, bool more)
{
	struct answer *answer = owner;

	(void)more;
	assert_int_equal(count, 1);
	found_envelope = entries[0].envelope;
	const struct slice strings[] = {
	    found_envelope.reverse_path,	found_envelope.envid, found_envelope.client_address,
	    found_envelope.client_name,		found_envelope.helo,  found_envelope.message_id,
	    found_envelope.recipients[0].orcpt,
	};
	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		(void)snprintf(found_strings[i], sizeof(found_strings[i]), "%.*s", SLICE_ARG(strings[i]));
	answer->calls++;
	answer->result = result;
}

static void an_envelope_comes_back_whole(void **state)
{
	struct contract *c = *state;
	struct answer answer = {.calls = 0};
	static const char *const expected[] = {
	    "sender@example.org", "QQ",	     "192.0.2.1", "mx.example.org", "helo.example.org",
	    "<1@example.org>",	  "rfc822;x"};

	help_store(c, 5000, 1);
	help_reopen(c);
	c->store->ops->find(c->store, 5000, keep_envelope, &answer);
	help_wait(c, &answer);
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		assert_string_equal(found_strings[i], expected[i]);
	assert_int_equal(found_envelope.arrival_ms, 5000);
	assert_int_equal(found_envelope.flags, STORE_SMTPUTF8 | STORE_RET_HDRS);
	assert_int_equal(found_envelope.body, STORE_BODY_8BITMIME);
	assert_int_equal(found_envelope.recipient_count, 1);
}

static void an_aborted_message_never_appears(void **state)
{
	struct contract *c = *state;
	struct store_message *message;
	struct answer answer = {.calls = 0};

	assert_int_equal(c->store->ops->begin(c->store, 0, &message), 0);
	assert_int_equal(c->store->ops->append(message, SLICE("some of it")), 0);
	c->store->ops->abort(message, help_done, &answer);
	help_wait(c, &answer);
	assert_int_equal(answer.result, STORE_OK);
	assert_int_equal(c->store->ops->begin(c->store, 0, &message), 0);
	c->store->ops->abort(message, NULL, NULL);
	help_reopen(c);
	assert_int_equal(help_walk(c, 0, 0, 10)->count, 0);
	help_totals(c, 0, 0, 0);
}

static void an_empty_body_and_an_empty_prefix(void **state)
{
	struct contract *c = *state;
	struct store_recipient r;
	struct store_envelope e = help_envelope(&r, &domain_1, 1, 7);

	assert_int_equal(help_commit(c, 1, &e, SLICE(""), SLICE("")).result, STORE_OK);
	assert_int_equal(help_commit(c, 2, &e, SLICE("prefix"), SLICE("")).result, STORE_OK);
	assert_int_equal(help_commit(c, 3, &e, SLICE(""), SLICE("body")).result, STORE_OK);
	check_body(c, 1, SLICE(""));
	check_body(c, 2, SLICE("prefix"));
	check_body(c, 3, SLICE("body"));
}

static void the_null_reverse_path_is_kept(void **state)
{
	struct contract *c = *state;
	struct store_recipient r;
	struct store_envelope e = help_envelope(&r, &domain_1, 1, 7);

	e.reverse_path = SLICE("");
	assert_int_equal(help_commit(c, 1, &e, SLICE(""), SLICE("x")).result, STORE_OK);
	assert_string_equal(help_find(c, 1)->reverse_path[0], "");
}

static void large_bodies_are_read_in_pieces(void **state)
{
	struct contract *c = *state;
	/* around the frame of 64 KiB, the buffer of 128 KiB, and beyond */
	static const size_t sizes[] = {65535,  65536,  65537,	131071,
				       131072, 131073, 1 << 20, 3 * 1024 * 1024 + 17};
	static char body[FOUND_BODY_MAX], back[FOUND_BODY_MAX];
	struct store_recipient r;
	struct store_envelope e = help_envelope(&r, &domain_1, 1, 7);

	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = (char)(i * 2654435761u >> 13);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct slice whole = slice_make(body, sizes[i]);
		assert_int_equal(help_commit(c, i + 1, &e, slice_upto(whole, 5), slice_from(whole, 5)).result,
				 STORE_OK);
		static const size_t pieces[] = {10007, 65536, 256 * 1024};
		for (size_t p = 0; p < sizeof(pieces) / sizeof(pieces[0]); p++) {
			assert_int_equal(help_read(c, i + 1, pieces[p], back, sizeof(back), NULL), sizes[i]);
			assert_memory_equal(back, body, sizes[i]);
		}
	}
	help_reopen(c);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		check_body(c, i + 1, slice_make(body, sizes[i]));
}

static void credit_comes_back(void **state)
{
	struct contract *c = *state;
	struct store_message *message;
	static char piece[64 * 1024];
	struct answer room = {.calls = 0};
	size_t sent = 0;

	assert_int_equal(c->store->ops->begin(c->store, 0, &message), 0);
	for (int turn = 0; turn < 10000 && sent < 40 * sizeof(piece); turn++) {
		size_t credit = c->store->ops->credit(message, NULL, &room);
		if (credit > 0) {
			size_t size = credit < sizeof(piece) ? credit : sizeof(piece);
			assert_int_equal(c->store->ops->append(message, slice_make(piece, size)), 0);
			sent += size;
		} else {
			if (c->backend->wait != NULL)
				c->backend->wait(c->world);
			c->store->ops->poll(c->store);
		}
	}
	assert_true(sent >= 40 * sizeof(piece));
	c->store->ops->abort(message, NULL, NULL);
}

static void walks_are_per_domain_and_paged(void **state)
{
	struct contract *c = *state;

	for (uint64_t id = 1; id <= 30; id++)
		help_store(c, id * 10, id % 3 == 0 ? 2 : 1);
	for (int again = 0; again < 2; again++) {
		const struct found *f = help_walk(c, 2, 0, 4);
		assert_int_equal(f->count, 4);
		assert_true(f->more);
		for (size_t i = 0; i < 4; i++)
			assert_int_equal(f->id[i], 30 * (i + 1));
		f = help_walk(c, 2, 120, 6);
		assert_int_equal(f->count, 6);
		assert_false(f->more);
		assert_int_equal(f->id[0], 150);
		assert_int_equal(f->id[5], 300);
		assert_int_equal(help_walk(c, 2, 300, 6)->count, 0);
		assert_int_equal(help_walk(c, 1, 0, STORE_WALK_MAX)->count, 20);
		assert_int_equal(help_walk(c, 0, 0, STORE_WALK_MAX)->count, 30);
		assert_int_equal(help_walk(c, 0, 5, 1)->id[0], 10);
		assert_int_equal(help_walk(c, 3, 0, 10)->count, 0);
		help_reopen(c);
	}
}

static void a_walk_gives_at_most_the_limit(void **state)
{
	struct contract *c = *state;

	for (uint64_t id = 1; id <= STORE_WALK_MAX + 1; id++) {
		help_store(c, id, 1);
		if (id < STORE_WALK_MAX - 1)
			continue;
		const struct found *f = help_walk(c, 1, 0, STORE_WALK_MAX);
		assert_int_equal(f->count, id <= STORE_WALK_MAX ? id : STORE_WALK_MAX);
		assert_int_equal(f->more, id > STORE_WALK_MAX);
	}
	assert_int_equal(help_walk(c, 1, 0, STORE_WALK_MAX * 2)->count, STORE_WALK_MAX);
	assert_int_equal(help_walk(c, 1, 0, 0)->count, 0);
}

static void ids_may_come_out_of_order(void **state)
{
	struct contract *c = *state;
	static const uint64_t ids[] = {50, 10, 40, 20, 30};

	for (size_t i = 0; i < 5; i++)
		help_store(c, ids[i], 1);
	for (int again = 0; again < 2; again++) {
		const struct found *f = help_walk(c, 1, 0, 10);
		assert_int_equal(f->count, 5);
		for (size_t i = 0; i < 5; i++)
			assert_int_equal(f->id[i], 10 * (i + 1));
		help_reopen(c);
	}
}

/* What is stored takes room and gives it back; a store without a limit says so. */
static void room_is_told(void **state)
{
	struct contract *c = *state;
	struct store_space empty, filled;
	static char body[20000];

	c->store->ops->space(c->store, &empty);
	assert_int_equal(empty.failed, STORE_REASON_NONE);
	assert_string_equal(empty.why, "");
	if (empty.capacity_bytes == 0)
		return;
	assert_int_equal(empty.capacity_bytes, empty.used_bytes + empty.free_bytes);
	struct store_recipient r;
	struct store_envelope e = help_envelope(&r, &domain_1, 1, 7);
	assert_int_equal(help_commit(c, 1, &e, SLICE(""), slice_make(body, sizeof(body))).result, STORE_OK);
	c->store->ops->space(c->store, &filled);
	assert_true(filled.live_bytes >= empty.live_bytes + sizeof(body));
	assert_true(filled.used_bytes >= filled.live_bytes);
	assert_int_equal(filled.capacity_bytes, filled.used_bytes + filled.free_bytes);
	assert_int_equal(help_amend(c, 1, 0, 0, STORE_DELIVERED, "250 ok", 100).result, STORE_OK);
	c->store->ops->space(c->store, &filled);
	assert_true(filled.live_bytes < empty.live_bytes + sizeof(body));
}

static void a_message_of_several_domains(void **state)
{
	struct contract *c = *state;
	struct store_recipient r[4];
	static const uint32_t domains[] = {1, 2, 1, 3};
	struct store_envelope e = help_envelope(r, domains, 4, 77);
	struct store_counts counts;

	assert_int_equal(help_commit(c, 9, &e, SLICE(""), SLICE("12345")).result, STORE_OK);
	for (uint32_t d = 0; d <= 3; d++) {
		assert_int_equal(help_walk(c, d, 0, 10)->count, 1);
		c->store->ops->count(c->store, d, &counts);
		assert_int_equal(counts.messages, 1);
		assert_int_equal(counts.bytes, 5);
		assert_int_equal(counts.recipients, d == 0 ? 4 : d == 1 ? 2 : 1);
		assert_int_equal(counts.oldest_ms, 77);
	}
	assert_int_equal(help_amend(c, 9, 0, 0, STORE_DELIVERED, "250 ok", 100).result, STORE_OK);
	assert_int_equal(help_walk(c, 1, 0, 10)->count, 1); /* the other one still waits */
	assert_int_equal(help_amend(c, 9, 0, 2, STORE_REFUSED, "550 no", 100).result, STORE_OK);
	assert_int_equal(help_walk(c, 1, 0, 10)->count, 0);
	c->store->ops->count(c->store, 1, &counts);
	assert_int_equal(counts.messages, 0);
	assert_int_equal(counts.oldest_ms, 0);
	help_reopen(c);
	const struct found *f = help_walk(c, 3, 0, 10);
	assert_int_equal(f->count, 1);
	assert_int_equal(f->recipients[0], 4);
	assert_int_equal(f->state[0][0], STORE_DELIVERED);
	assert_int_equal(f->state[0][1], STORE_QUEUED);
	assert_int_equal(f->state[0][2], STORE_REFUSED);
	help_totals(c, 4, 2, 1);
}

static void amends_are_versioned(void **state)
{
	struct contract *c = *state;
	struct answer a;

	help_store(c, 1, 1);
	uint64_t version = help_find(c, 1)->version[0];
	assert_int_equal(help_amend(c, 1, version, 0, STORE_QUEUED, "451 later", 10).result, STORE_OK);
	const struct found *f = help_find(c, 1);
	assert_true(f->version[0] > version);
	assert_string_equal(f->reply[0], "451 later");
	a = help_amend(c, 1, version, 0, STORE_DELIVERED, "250", 11);
	assert_int_equal(a.result, STORE_FAILED);
	assert_int_equal(a.reason, STORE_REASON_VERSION);
	assert_int_equal(help_find(c, 1)->state[0][0], STORE_QUEUED);
	assert_int_equal(help_amend(c, 1, f->version[0], 0, STORE_DELIVERED, "250", 11).result, STORE_OK);
	a = help_amend(c, 1, 0, 0, STORE_DELIVERED, "250", 12);
	assert_int_equal(a.result, STORE_FAILED);
	assert_int_equal(a.reason, STORE_REASON_MISSING);
}

static void what_has_ended_stays_as_it_ended(void **state)
{
	struct contract *c = *state;
	struct store_recipient r[2];
	static const uint32_t domains[] = {1, 1};
	struct store_envelope e = help_envelope(r, domains, 2, 1);

	assert_int_equal(help_commit(c, 1, &e, SLICE(""), SLICE("x")).result, STORE_OK);
	assert_int_equal(help_amend(c, 1, 0, 0, STORE_DELIVERED, "250", 10).result, STORE_OK);
	assert_int_equal(help_amend(c, 1, 0, 0, STORE_EXPIRED, "late", 20).result, STORE_OK);
	assert_int_equal(help_find(c, 1)->state[0][0], STORE_DELIVERED);
	assert_int_equal(help_ends(c, 0, 0, 0, 10)->count, 1);
	help_totals(c, 2, 1, 1);
}

static void an_amend_changes_all_or_nothing(void **state)
{
	struct contract *c = *state;
	struct store_recipient r[2];
	static const uint32_t domains[] = {1, 2};
	struct store_envelope e = help_envelope(r, domains, 2, 1);
	struct store_change changes[2] = {{.recipient = 0, .state = STORE_DELIVERED},
					  {.recipient = 2, .state = STORE_DELIVERED}};
	struct answer answer = {.calls = 0};

	assert_int_equal(help_commit(c, 1, &e, SLICE(""), SLICE("x")).result, STORE_OK);
	c->store->ops->amend(c->store, 1, 0, 0, changes, 2, 5, help_done, &answer);
	help_wait(c, &answer);
	assert_int_equal(answer.result, STORE_FAILED);
	assert_int_equal(help_find(c, 1)->state[0][0], STORE_QUEUED);
	changes[1].recipient = 1;
	answer.calls = 0;
	c->store->ops->amend(c->store, 1, 0, 0, changes, 2, 5, help_done, &answer);
	help_wait(c, &answer);
	assert_int_equal(answer.result, STORE_OK);
	assert_int_equal(help_find(c, 1)->count, 0);
	help_totals(c, 2, 0, 2);
}

static void replies_are_cut_at_their_limit(void **state)
{
	struct contract *c = *state;
	char reply[STORE_REPLY_MAX + 2];

	help_store(c, 1, 1);
	for (size_t size = STORE_REPLY_MAX - 1; size <= STORE_REPLY_MAX + 1; size++) {
		memset(reply, 'r', size);
		reply[size] = '\0';
		assert_int_equal(help_amend(c, 1, 0, 0, STORE_QUEUED, reply, 5).result, STORE_OK);
		assert_int_equal(strlen(help_find(c, 1)->reply[0]),
				 size < STORE_REPLY_MAX ? size : STORE_REPLY_MAX);
	}
}

static void ops_on_one_message_complete_in_order(void **state)
{
	struct contract *c = *state;
	struct store_recipient r;
	struct store_envelope e = help_envelope(&r, &domain_1, 1, 1);
	struct store_message *message;
	struct answer commit = {.calls = 0}, first = {.calls = 0}, second = {.calls = 0}, late = {.calls = 0};
	struct store_change change = {.state = STORE_QUEUED, .reply = SLICE("451")};

	assert_int_equal(c->store->ops->begin(c->store, 0, &message), 0);
	c->store->ops->commit(message, 1, &e, SLICE(""), help_done, &commit);
	c->store->ops->amend(c->store, 1, 0, 0, &change, 1, 1, help_done, &first);
	change.state = STORE_DELIVERED;
	c->store->ops->amend(c->store, 1, 0, 0, &change, 1, 2, help_done, &second);
	c->store->ops->amend(c->store, 1, 0, 0, &change, 1, 3, help_done, &late);
	help_wait(c, &late);
	assert_true(commit.order < first.order && first.order < second.order && second.order < late.order);
	assert_int_equal(commit.result, STORE_OK);
	assert_int_equal(first.result, STORE_OK);
	assert_int_equal(second.result, STORE_OK);
	assert_int_equal(late.result, STORE_FAILED);
	assert_int_equal(late.reason, STORE_REASON_MISSING);
}

static void a_find_comes_after_the_amend_before_it(void **state)
{
	struct contract *c = *state;
	struct answer amended = {.calls = 0};
	struct store_change change = {.state = STORE_QUEUED, .reply = SLICE("451 x")};

	help_store(c, 1, 1);
	for (int i = 0; i < 20; i++) {
		amended.calls = 0;
		c->store->ops->amend(c->store, 1, 0, 0, &change, 1, 1, help_done, &amended);
		const struct found *f = help_find(c, 1);
		assert_int_equal(amended.calls, 1);
		assert_true(amended.order < f->answer.order);
		assert_string_equal(f->reply[0], "451 x");
	}
}

static void a_message_is_readable_until_its_last_end(void **state)
{
	struct contract *c = *state;
	struct store_recipient r[2];
	static const uint32_t domains[] = {1, 2};
	struct store_envelope e = help_envelope(r, domains, 2, 1);
	struct answer answer;
	char bytes[64];

	assert_int_equal(help_commit(c, 1, &e, SLICE("a"), SLICE("bc")).result, STORE_OK);
	assert_int_equal(help_amend(c, 1, 0, 1, STORE_REMOVED, "", 1).result, STORE_OK);
	check_body(c, 1, SLICE("abc"));
	assert_int_equal(help_amend(c, 1, 0, 0, STORE_EXPIRED, "", 1).result, STORE_OK);
	assert_int_equal(help_read(c, 1, 10, bytes, sizeof(bytes), &answer), -1);
	assert_int_equal(answer.reason, STORE_REASON_MISSING);
	assert_int_equal(help_find(c, 1)->count, 0);
}

/* --- grace --- */

static void expect_waiting(struct contract *c, uint32_t queue, uint64_t id)
{
	struct store_counts counts;
	const struct found *f = help_walk(c, queue, 0, 10);

	assert_int_equal(f->count, id != 0 ? 1 : 0);
	if (id != 0)
		assert_int_equal(f->id[0], id);
	c->store->ops->count(c->store, queue, &counts);
	assert_int_equal(counts.messages, id != 0 ? 1 : 0);
	assert_int_equal(counts.recipients, id != 0 ? 1 : 0);
	assert_int_equal(counts.oldest_ms, id);
}

static const struct store_change into_grace = {
    .state = STORE_REFUSED, .reason = 40, .not_before_ms = 1000, .attempts = 2, .reply = SLICE("550 no")};

static void an_end_may_have_grace(void **state)
{
	struct contract *c = *state;
	struct store_recipient r[2];
	static const uint32_t domains[] = {1, 2};
	struct store_envelope e = help_envelope(r, domains, 2, 7);
	struct store_change over = {.state = STORE_REMOVED, .of_grace = true};

	assert_int_equal(help_commit(c, 7, &e, SLICE("a"), SLICE("bc")).result, STORE_OK);
	assert_int_equal(help_change(c, 7, &over, 1).result, STORE_OK); /* not in grace: no effect */
	assert_int_equal(help_change(c, 7, &into_grace, 10).result, STORE_OK);
	for (int again = 0; again < 2; again++) {
		expect_waiting(c, 1, 0);
		expect_waiting(c, STORE_GRACE | 1, 7);
		expect_waiting(c, STORE_GRACE, 7);
		expect_waiting(c, STORE_GRACE | 2, 0);
		expect_waiting(c, 2, 7);
		help_totals(c, 2, 1, 0);
		if (c->backend->reopen != NULL)
			help_reopen(c);
	}
	assert_int_equal(help_amend(c, 7, 0, 1, STORE_DELIVERED, "250", 11).result, STORE_OK);
	assert_int_equal(help_walk(c, 0, 0, 10)->count, 0);
	help_totals(c, 2, 0, 1);
	assert_int_equal(help_amend(c, 7, 0, 0, STORE_QUEUED, "late", 12).result, STORE_OK);
	const struct found *f = help_find(c, 7);
	assert_int_equal(f->count, 1);
	assert_int_equal(f->state[0][0], STORE_REFUSED);
	assert_int_equal(f->reason[0], 40);
	assert_int_equal(f->not_before_ms[0], 1000);
	assert_string_equal(f->reply[0], "550 no");
	check_body(c, 7, SLICE("abc"));
	assert_int_equal(help_change(c, 7, &over, 13).result, STORE_OK);
	assert_int_equal(help_find(c, 7)->count, 0);
	expect_waiting(c, STORE_GRACE | 1, 0);
	expect_waiting(c, STORE_GRACE, 0);
	help_totals(c, 2, 0, 1);
	assert_int_equal(help_ends(c, 0, 0, 0, 10)->count, 2);
}

static void what_is_in_grace_can_be_taken_back(void **state)
{
	struct contract *c = *state;
	struct store_change back = {.state = STORE_QUEUED, .of_grace = true, .not_before_ms = 5};

	help_store(c, 1, 1);
	help_store(c, 2, 1);
	assert_int_equal(help_change(c, 1, &into_grace, 10).result, STORE_OK);
	assert_int_equal(help_amend(c, 2, 0, 0, STORE_DELIVERED, "250", 11).result, STORE_OK);
	if (c->backend->reopen != NULL)
		help_reopen(c);
	assert_int_equal(help_change(c, 1, &back, 12).result, STORE_OK);
	for (int again = 0; again < 2; again++) {
		expect_waiting(c, 1, 1);
		expect_waiting(c, STORE_GRACE | 1, 0);
		expect_waiting(c, STORE_GRACE, 0);
		help_totals(c, 3, 1, 1);
		if (c->backend->reopen != NULL)
			help_reopen(c);
	}
	const struct found *f = help_find(c, 1);
	assert_string_equal(f->reply[0], "550 no");
	assert_int_equal(f->not_before_ms[0], 5);
	assert_int_equal(help_amend(c, 1, 0, 0, STORE_DELIVERED, "250", 13).result, STORE_OK);
	assert_int_equal(help_find(c, 1)->count, 0);
	help_totals(c, 3, 0, 2);
	assert_int_equal(help_ends(c, 0, 0, 0, 10)->count, 3);
}

static void grace_may_begin_at_acceptance(void **state)
{
	struct contract *c = *state;
	struct store_recipient r;
	struct store_envelope e = help_envelope(&r, &domain_1, 1, 3);

	r.state = STORE_EXPIRED;
	r.not_before_ms = 50;
	assert_int_equal(help_commit(c, 3, &e, SLICE(""), SLICE("x")).result, STORE_OK);
	expect_waiting(c, 1, 0);
	expect_waiting(c, STORE_GRACE | 1, 3);
	help_totals(c, 1, 0, 0);
	check_body(c, 3, SLICE("x"));
}

static void a_reason_is_kept(void **state)
{
	struct contract *c = *state;
	struct store_change change = {.state = STORE_QUEUED, .reason = 255, .reply = SLICE("451")};

	help_store(c, 1, 1);
	assert_int_equal(help_find(c, 1)->reason[0], 0);
	assert_int_equal(help_change(c, 1, &change, 10).result, STORE_OK);
	if (c->backend->reopen != NULL)
		help_reopen(c);
	assert_int_equal(help_find(c, 1)->reason[0], 255);
}

static void body_came(void *owner, enum store_result result, enum store_reason reason, struct slice bytes)
{
	help_done(owner, result, reason);
	assert_true(result != STORE_OK || bytes.size > 0);
}

/* What is read comes before what was asked for later, and is what it was. */
static void a_read_comes_before_the_end_behind_it(void **state)
{
	enum { BODY = 5000 };
	struct contract *c = *state;
	struct store_recipient r;
	struct store_envelope e = help_envelope(&r, &domain_1, 1, 1);
	struct store_change change = {.state = STORE_DELIVERED};
	static char body[BODY];

	for (uint64_t id = 1; id <= 20; id++) {
		struct answer read = {.calls = 0}, again = {.calls = 0}, end = {.calls = 0};
		assert_int_equal(help_commit(c, id, &e, SLICE("a"), slice_make(body, BODY)).result, STORE_OK);
		c->store->ops->read(c->store, id, 0, BODY, body_came, &read);
		c->store->ops->read(c->store, id, BODY / 2, BODY, body_came, &again);
		c->store->ops->amend(c->store, id, 0, 0, &change, 1, 1, help_done, &end);
		help_wait(c, &end);
		assert_int_equal(read.result, STORE_OK);
		assert_true(read.order < again.order && again.order < end.order);
		assert_int_equal(end.result, STORE_OK);
	}
}

static void a_recipient_may_have_ended_at_acceptance(void **state)
{
	struct contract *c = *state;
	struct store_recipient r[2];
	static const uint32_t domains[] = {1, 2};
	struct store_envelope e = help_envelope(r, domains, 2, 5);

	r[1].state = STORE_DISCARDED;
	assert_int_equal(help_commit(c, 1, &e, SLICE(""), SLICE("x")).result, STORE_OK);
	assert_int_equal(help_walk(c, 2, 0, 10)->count, 0);
	const struct ends *ends = help_ends(c, 0, 0, 0, 10);
	assert_int_equal(ends->count, 1);
	assert_int_equal(ends->state[0], STORE_DISCARDED);
	help_totals(c, 2, 1, 0);
	r[0].state = STORE_DISCARDED;
	assert_int_equal(help_commit(c, 2, &e, SLICE(""), SLICE("x")).result, STORE_OK);
	assert_int_equal(help_find(c, 2)->count, 0);
	help_totals(c, 4, 1, 0);
	help_reopen(c);
	help_totals(c, 4, 1, 0);
	assert_int_equal(help_ends(c, 0, 0, 0, 10)->count, 3);
}

static void end_records_are_kept_newest_first(void **state)
{
	struct contract *c = *state;

	for (uint64_t id = 1; id <= 6; id++) {
		help_store(c, id, 1);
		assert_int_equal(help_amend(c, id, 0, 0, id == 3 ? STORE_REFUSED : STORE_DELIVERED, "250 ok",
					    1000 * (int64_t)id)
				     .result,
				 STORE_OK);
	}
	struct store_end door = {.ended_ms = 3500,
				 .state = STORE_REFUSED,
				 .at_door = true,
				 .forward_path = SLICE("nobody@example.com"),
				 .reply = SLICE("550 5.1.1")};
	c->store->ops->note_end(c->store, &door);
	help_store(c, 7, 1); /* so that the note is carried along */
	for (int again = 0; again < 2; again++) {
		const struct ends *e = help_ends(c, 0, 0, 0, 10);
		assert_int_equal(e->count, 7);
		assert_false(e->more);
		static const int64_t times[] = {6000, 5000, 4000, 3500, 3000, 2000, 1000};
		for (size_t i = 0; i < 7; i++)
			assert_int_equal(e->ended_ms[i], times[i]);
		assert_int_equal(e->id[0], 6);
		assert_int_equal(e->accepted_ms[0], 6);
		assert_string_equal(e->relay[0], "mx.example.com[192.0.2.2]:25");
		assert_string_equal(e->reply[0], "250 ok");
		assert_string_equal(e->forward_path[0], "u0@example.com");
		assert_true(e->at_door[3]);
		assert_string_equal(e->forward_path[3], "nobody@example.com");
		assert_int_equal(e->state[4], STORE_REFUSED);
		e = help_ends(c, 2000, 4000, 0, 10);
		assert_int_equal(e->count, 4);
		assert_int_equal(e->ended_ms[0], 4000);
		assert_int_equal(e->ended_ms[3], 2000);
		e = help_ends(c, 0, 0, 2, 2);
		assert_int_equal(e->count, 2);
		assert_true(e->more);
		assert_int_equal(e->ended_ms[0], 4000);
		help_reopen(c);
	}
	help_totals(c, 7, 1, 5);
}

static void totals_always_add_up(void **state)
{
	struct contract *c = *state;
	uint64_t accepted = 0, ended = 0;

	for (uint64_t id = 1; id <= 40; id++) {
		help_store(c, id, (uint32_t)(id % 4 + 1));
		accepted++;
		if (id % 3 == 0) {
			assert_int_equal(help_amend(c, id - 1, 0, 0, STORE_DELIVERED, "250", 5).result,
					 STORE_OK);
			ended++;
		}
		if (id % 13 == 0)
			help_reopen(c);
		help_totals(c, accepted, accepted - ended, ended);
	}
}

static void the_oldest_is_known(void **state)
{
	struct contract *c = *state;
	struct store_counts counts;

	for (uint64_t id = 10; id <= 50; id += 10)
		help_store(c, id, id == 10 ? 2 : 1);
	for (uint64_t id = 20; id <= 50; id += 10) {
		c->store->ops->count(c->store, 1, &counts);
		assert_int_equal(counts.oldest_ms, id);
		assert_int_equal(counts.messages, (60 - id) / 10);
		c->store->ops->count(c->store, 0, &counts);
		assert_int_equal(counts.oldest_ms, 10);
		if (id == 30)
			help_reopen(c);
		assert_int_equal(help_amend(c, id, 0, 0, STORE_DELIVERED, "", 1).result, STORE_OK);
	}
	c->store->ops->count(c->store, 1, &counts);
	assert_int_equal(counts.oldest_ms, 0);
	c->store->ops->count(c->store, 99, &counts);
	assert_int_equal(counts.messages, 0);
}

static void pairs_are_put_got_and_removed(void **state)
{
	struct contract *c = *state;

	assert_int_equal(help_get(c, SLICE("a"))->count, 0);
	assert_int_equal(help_put(c, SLICE("a"), SLICE("one")).result, STORE_OK);
	assert_int_equal(help_put(c, SLICE("a"), SLICE("two")).result, STORE_OK);
	help_reopen(c);
	const struct pairs *p = help_get(c, SLICE("a"));
	assert_int_equal(p->answer.result, STORE_OK);
	assert_int_equal(p->count, 1);
	assert_string_equal(p->value[0], "two");
	assert_string_equal(p->key[0], "a");
	assert_int_equal(help_put(c, SLICE("a"), SLICE("")).result, STORE_OK);
	assert_int_equal(help_get(c, SLICE("a"))->count, 0);
	help_reopen(c);
	assert_int_equal(help_get(c, SLICE("a"))->count, 0);
	assert_int_equal(help_put(c, SLICE("a"), SLICE("")).result, STORE_OK); /* removing nothing */
}

static void pairs_are_scanned_in_order(void **state)
{
	struct contract *c = *state;
	char key[32];

	for (int i = 29; i >= 0; i--) {
		(void)snprintf(key, sizeof(key), "lane/%02d", i);
		assert_int_equal(help_put(c, slice_of(key), SLICE("v")).result, STORE_OK);
		if (i == 15)
			help_reopen(c);
	}
	assert_int_equal(help_put(c, SLICE("lane"), SLICE("v")).result, STORE_OK);
	assert_int_equal(help_put(c, SLICE("lanf"), SLICE("v")).result, STORE_OK);
	assert_int_equal(help_put(c, SLICE("domain/x"), SLICE("v")).result, STORE_OK);
	assert_int_equal(help_put(c, SLICE("lane/05"), SLICE("")).result, STORE_OK);
	assert_int_equal(help_put(c, SLICE("lane/20"), SLICE("new")).result, STORE_OK);
	for (int again = 0; again < 2; again++) {
		const struct pairs *p = help_scan(c, SLICE("lane/"), SLICE(""), 100);
		assert_int_equal(p->count, 29);
		assert_false(p->more);
		assert_string_equal(p->key[0], "lane/00");
		assert_string_equal(p->key[5], "lane/06");
		assert_string_equal(p->value[19], "new");
		p = help_scan(c, SLICE("lane/"), SLICE("lane/04"), 3);
		assert_int_equal(p->count, 3);
		assert_true(p->more);
		assert_string_equal(p->key[0], "lane/06");
		p = help_scan(c, SLICE("lane/"), SLICE("lane/28"), 3);
		assert_int_equal(p->count, 1);
		assert_false(p->more);
		assert_int_equal(help_scan(c, SLICE(""), SLICE(""), 100)->count, 32);
		assert_int_equal(help_scan(c, SLICE("nothing"), SLICE(""), 100)->count, 0);
		help_reopen(c);
	}
}

static void pairs_have_limits(void **state)
{
	struct contract *c = *state;
	static char bytes[STORE_VALUE_MAX + 1];

	memset(bytes, 'k', sizeof(bytes));
	for (size_t size = STORE_KEY_MAX - 1; size <= STORE_KEY_MAX + 1; size++)
		assert_int_equal(help_put(c, slice_make(bytes, size), SLICE("v")).result,
				 size <= STORE_KEY_MAX ? STORE_OK : STORE_FAILED);
	assert_int_equal(help_put(c, SLICE(""), SLICE("v")).result, STORE_FAILED);
	for (size_t size = STORE_VALUE_MAX - 1; size <= STORE_VALUE_MAX + 1; size++)
		assert_int_equal(help_put(c, SLICE("k"), slice_make(bytes, size)).result,
				 size <= STORE_VALUE_MAX ? STORE_OK : STORE_FAILED);
	help_reopen(c);
	assert_int_equal(help_get(c, SLICE("k"))->value_size[0], STORE_VALUE_MAX);
	assert_int_equal(help_get(c, slice_make(bytes, STORE_KEY_MAX))->count, 1);
	assert_int_equal(help_get(c, slice_make(bytes, STORE_KEY_MAX + 1))->count, 0);
}

static void recipients_have_limits(void **state)
{
	struct contract *c = *state;
	static struct store_recipient r[STORE_RECIPIENT_MAX + 1];
	static uint32_t domains[STORE_RECIPIENT_MAX + 1];
	static const struct {
		uint32_t count;
		enum store_result result;
	} cases[] = {
	    {0, STORE_FAILED},
	    {1, STORE_OK},
	    {STORE_RECIPIENT_MAX - 1, STORE_OK},
	    {STORE_RECIPIENT_MAX, STORE_OK},
	    {STORE_RECIPIENT_MAX + 1, STORE_FAILED},
	};

	for (uint32_t i = 0; i <= STORE_RECIPIENT_MAX; i++)
		domains[i] = i % 7 + 1;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct store_envelope e = help_envelope(r, domains, cases[i].count, 1);
		assert_int_equal(help_commit(c, i + 1, &e, SLICE(""), SLICE("x")).result, cases[i].result);
		assert_int_equal(help_find(c, i + 1)->count, cases[i].result == STORE_OK);
	}
	help_reopen(c);
	assert_int_equal(help_find(c, 4)->recipients[0], STORE_RECIPIENT_MAX);
	struct store_envelope e = help_envelope(r, domains, 1, 1);
	r[0].domain = 0;
	assert_int_equal(help_commit(c, 9, &e, SLICE(""), SLICE("x")).result, STORE_FAILED);
}

static void paths_have_limits(void **state)
{
	struct contract *c = *state;
	char path[STORE_PATH_MAX + 1];
	struct store_recipient r;
	struct store_envelope e = help_envelope(&r, &domain_2, 1, 1);

	memset(path, 'p', sizeof(path));
	for (size_t size = STORE_PATH_MAX - 1; size <= STORE_PATH_MAX + 1; size++) {
		r.forward_path = slice_make(path, size);
		e.reverse_path = SLICE("x");
		enum store_result expected = size <= STORE_PATH_MAX ? STORE_OK : STORE_FAILED;
		assert_int_equal(help_commit(c, 2 * size, &e, SLICE(""), SLICE("")).result, expected);
		r.forward_path = SLICE("y");
		e.reverse_path = slice_make(path, size);
		assert_int_equal(help_commit(c, 2 * size + 1, &e, SLICE(""), SLICE("")).result, expected);
	}
}

static void ids_never_go_back(void **state)
{
	struct contract *c = *state;
	uint64_t a = c->store->ops->next_id(c->store, 1700000000000);
	uint64_t b = c->store->ops->next_id(c->store, 1700000000000);
	uint64_t d = c->store->ops->next_id(c->store, 1600000000000);
	uint64_t e = c->store->ops->next_id(c->store, 1800000000000);

	assert_true(0 < a && a < b && b < d && d < e);
	help_store(c, e, 1);
	help_reopen(c);
	assert_true(c->store->ops->next_id(c->store, 1600000000000) > e);
}

static void a_lease_is_granted(void **state)
{
	struct contract *c = *state;
	struct answer answer = {.calls = 0};
	uint64_t fence = 0;
	struct store_change change = {.state = STORE_DELIVERED};

	c->store->ops->lease(c->store, SLICE("lane"), 10000, &fence, help_done, &answer);
	help_wait(c, &answer);
	assert_int_equal(answer.result, STORE_OK);
	assert_int_not_equal(fence, 0);
	help_store(c, 1, 1);
	answer.calls = 0;
	c->store->ops->amend(c->store, 1, 0, fence, &change, 1, 5, help_done, &answer);
	help_wait(c, &answer);
	assert_int_equal(answer.result, STORE_OK);
}

static void everything_survives_a_restart(void **state)
{
	struct contract *c = *state;
	struct store_counts before[4], after[4];

	for (uint64_t id = 1; id <= 25; id++)
		help_store(c, id, (uint32_t)(id % 3 + 1));
	for (uint64_t id = 1; id <= 25; id += 4)
		(void)help_amend(c, id, 0, 0, STORE_DELIVERED, "250", 50);
	(void)help_amend(c, 2, 0, 0, STORE_QUEUED, "451 busy", 60);
	for (uint32_t d = 0; d < 4; d++)
		c->store->ops->count(c->store, d, &before[d]);
	for (int again = 0; again < 3; again++) {
		help_reopen(c);
		for (uint32_t d = 0; d < 4; d++) {
			c->store->ops->count(c->store, d, &after[d]);
			assert_memory_equal(&before[d], &after[d], sizeof(after[d]));
		}
		help_totals(c, 25, 18, 7);
		assert_int_equal(help_walk(c, 0, 0, 100)->count, 18);
		assert_string_equal(help_find(c, 2)->reply[0], "451 busy");
		check_body(c, 24, SLICE("Received: x\r\nbody of 24"));
		assert_int_equal(help_ends(c, 0, 0, 0, 100)->count, 7);
	}
}

static void closing_completes_what_was_asked(void **state)
{
	struct contract *c = *state;
	struct answer put = {.calls = 0}, get = {.calls = 0};

	c->store->ops->put(c->store, SLICE("k"), SLICE("v"), help_done, &put);
	assert_int_equal(put.calls, 0);
	c->store->ops->close(c->store);
	assert_int_equal(put.calls, 1);
	assert_int_equal(put.result, STORE_OK);
	c->store = c->backend->open(c->world);
	assert_non_null(c->store);
	(void)get;
}

int store_contract(const struct contract_backend *backend)
{
#define CASE(f)                                         \
	{                                               \
#f, f, setup, teardown, (void *)backend \
	}
	const struct CMUnitTest tests[] = {
	    CASE(a_committed_message_is_found_and_read),
	    CASE(an_envelope_comes_back_whole),
	    CASE(an_aborted_message_never_appears),
	    CASE(an_empty_body_and_an_empty_prefix),
	    CASE(the_null_reverse_path_is_kept),
	    CASE(large_bodies_are_read_in_pieces),
	    CASE(credit_comes_back),
	    CASE(walks_are_per_domain_and_paged),
	    CASE(a_walk_gives_at_most_the_limit),
	    CASE(ids_may_come_out_of_order),
	    CASE(room_is_told),
	    CASE(a_message_of_several_domains),
	    CASE(amends_are_versioned),
	    CASE(what_has_ended_stays_as_it_ended),
	    CASE(an_amend_changes_all_or_nothing),
	    CASE(replies_are_cut_at_their_limit),
	    CASE(ops_on_one_message_complete_in_order),
	    CASE(a_find_comes_after_the_amend_before_it),
	    CASE(a_message_is_readable_until_its_last_end),
	    CASE(an_end_may_have_grace),
	    CASE(what_is_in_grace_can_be_taken_back),
	    CASE(grace_may_begin_at_acceptance),
	    CASE(a_reason_is_kept),
	    CASE(a_read_comes_before_the_end_behind_it),
	    CASE(a_recipient_may_have_ended_at_acceptance),
	    CASE(end_records_are_kept_newest_first),
	    CASE(totals_always_add_up),
	    CASE(the_oldest_is_known),
	    CASE(pairs_are_put_got_and_removed),
	    CASE(pairs_are_scanned_in_order),
	    CASE(pairs_have_limits),
	    CASE(recipients_have_limits),
	    CASE(paths_have_limits),
	    CASE(ids_never_go_back),
	    CASE(a_lease_is_granted),
	    CASE(everything_survives_a_restart),
	    CASE(closing_completes_what_was_asked),
	};
#undef CASE
	return _cmocka_run_group_tests(backend->name, tests, sizeof(tests) / sizeof(tests[0]), NULL, NULL);
}
