#include "spool_history.h"

#include <stdio.h>

#include "base/rng.h"

enum { POLLS_MAX = 200, GROUP_MAX = 4, BODY_SMALL_MAX = 3000, TRIES_MAX = 6 };

static char body_bytes[HISTORY_BODY_MAX];

static bool stopped(const struct history *h)
{
	return disk_stopped(h->world->disk);
}

static void history_done(void *owner, enum store_result result, enum store_reason reason)
{
	struct answer *answer = owner;

	answer->calls++;
	answer->result = result;
	answer->reason = reason;
}

/* The body of a message follows from its id. */
static struct slice body_of(const struct history_message *m)
{
	struct rng rng;

	rng_init(&rng, m->id);
	for (size_t i = 0; i < m->body_bytes; i += 8) {
		uint64_t word = rng_next(&rng);
		memcpy(body_bytes + i, &word, m->body_bytes - i < 8 ? m->body_bytes - i : 8);
	}
	return slice_make(body_bytes, m->body_bytes);
}

static size_t prefix_size(const struct history_message *m)
{
	return m->body_bytes < 20 ? m->body_bytes : 20;
}

/* --- asking -------------------------------------------------------------------------------------- */

static size_t draw_size(struct history *h, struct rng *rng)
{
	if (h->large && rng_below(rng, 4) == 0)
		return 60 * 1024 + rng_below(rng, HISTORY_BODY_MAX - 60 * 1024);
	return rng_below(rng, BODY_SMALL_MAX);
}

static void ask_message(struct history *h, struct rng *rng, bool abort)
{
	struct history_message *m = &h->messages[h->message_count];
	struct store_recipient r[HISTORY_RECIPIENTS];
	char paths[HISTORY_RECIPIENTS][40];
	uint32_t domains[HISTORY_RECIPIENTS];
	struct store_message *message;

	*m = (struct history_message){.recipients = 1 + (uint32_t)rng_below(rng, HISTORY_RECIPIENTS),
				      .body_bytes = draw_size(h, rng)};
	m->id = h->store->ops->next_id(h->store, 1700000000000 + (int64_t)h->message_count * 1000);
	for (uint32_t i = 0; i < HISTORY_RECIPIENTS; i++)
		domains[i] = 1 + (uint32_t)rng_below(rng, 4);
	if (h->message_count == HISTORY_MESSAGES ||
	    h->store->ops->begin(h->store, m->body_bytes, &message) != 0)
		return;
	h->message_count++;
	struct store_envelope e = help_envelope(r, domains, m->recipients, 1700000000000);
	for (uint32_t i = 0; i < m->recipients; i++) {
		(void)snprintf(paths[i], sizeof(paths[i]), "r%u@%llx.example", i, (unsigned long long)m->id);
		r[i].forward_path = slice_of(paths[i]);
	}
	struct slice body = body_of(m);
	size_t prefix = prefix_size(m);
	if (h->store->ops->append(message, slice_from(body, prefix)) != 0 || abort) {
		m->gone = true;
		h->store->ops->abort(message, NULL, NULL);
		return;
	}
	m->asked = true;
	h->store->ops->commit(message, m->id, &e, slice_upto(body, prefix), history_done, &m->answer);
}

/* Some recipient of which nothing was asked yet; NULL after a few tries. */
static struct history_message *draw_queued(struct history *h, struct rng *rng, uint32_t *ret_recipient)
{
	for (int i = 0; i < TRIES_MAX; i++) {
		struct history_message *m = &h->messages[rng_below(rng, h->message_count)];
		uint32_t recipient = (uint32_t)rng_below(rng, m->recipients);
		if (!m->done || m->gone || m->ends[recipient].asked)
			continue;
		*ret_recipient = recipient;
		return m;
	}
	return NULL;
}

static void ask_amend(struct history *h, struct rng *rng, struct history_amend *amend)
{
	struct store_change change = {
	    .reply = SLICE("250 2.0.0 ok"), .relay = SLICE("mx.example"), .attempts = 1};

	*amend = (struct history_amend){.message = draw_queued(h, rng, &change.recipient)};
	amend->recipient = change.recipient;
	amend->ends = rng_below(rng, 4) > 0;
	if (amend->message == NULL)
		return;
	change.state = amend->ends ? STORE_DELIVERED : STORE_QUEUED;
	if (amend->ends)
		amend->message->ends[amend->recipient].asked = true;
	if (amend->ends && rng_below(rng, 8) == 0) {
		change.state = STORE_EXPIRED;
		change.not_before_ms = 1700000200000;
		change.reason = 49;
		amend->message->ends[amend->recipient].grace = true;
	}
	h->store->ops->amend(h->store, amend->message->id, 0, 0, &change, 1, 1700000100000, history_done,
			     &amend->answer);
}

static void pair_key(size_t pair, char key[16])
{
	(void)snprintf(key, 16, "pair/%zu", pair);
}

/* Every fifth value removes the pair. */
static bool pair_is_removed(unsigned number)
{
	return number % 5 == 0;
}

static void ask_pair(struct history *h, struct rng *rng)
{
	size_t which = rng_below(rng, HISTORY_PAIRS);
	struct history_pair *p = &h->pairs[which];
	char key[16], value[400];

	if (p->asked != p->done)
		return; /* one at a time */
	p->asked++;
	p->answer.calls = 0;
	pair_key(which, key);
	memset(value, 'v', sizeof(value));
	(void)snprintf(value, sizeof(value), "%u", p->asked);
	struct slice bytes = pair_is_removed(p->asked) ? SLICE("") : slice_make(value, sizeof(value));
	h->store->ops->put(h->store, slice_of(key), bytes, history_done, &p->answer);
}

/* --- waiting ------------------------------------------------------------------------------------- */

struct group {
	size_t first_message;
	struct history_amend amends[GROUP_MAX];
	size_t amend_count;
	unsigned pairs_before[HISTORY_PAIRS];
};

static bool pending(const struct history *h, const struct group *g)
{
	for (size_t i = g->first_message; i < h->message_count; i++)
		if (h->messages[i].asked && h->messages[i].answer.calls == 0)
			return true;
	for (size_t i = 0; i < g->amend_count; i++)
		if (g->amends[i].message != NULL && g->amends[i].answer.calls == 0)
			return true;
	for (size_t i = 0; i < HISTORY_PAIRS; i++)
		if (h->pairs[i].asked != g->pairs_before[i] && h->pairs[i].answer.calls == 0)
			return true;
	return false;
}

static void note_answers(struct history *h, struct group *g)
{
	for (size_t i = g->first_message; i < h->message_count; i++) {
		struct history_message *m = &h->messages[i];
		if (!m->asked)
			continue;
		m->done = m->answer.result == STORE_OK;
		m->gone = m->answer.result == STORE_FAILED;
	}
	for (size_t i = 0; i < g->amend_count; i++) {
		struct history_amend *a = &g->amends[i];
		if (a->message == NULL || !a->ends)
			continue;
		struct history_end *end = &a->message->ends[a->recipient];
		end->done = a->answer.result == STORE_OK;
		if (a->answer.result == STORE_FAILED)
			end->asked = end->grace = false;
	}
	for (size_t i = 0; i < HISTORY_PAIRS; i++) {
		struct history_pair *p = &h->pairs[i];
		if (p->asked == g->pairs_before[i])
			continue;
		if (p->answer.result == STORE_OK)
			p->done = p->asked;
		else if (p->answer.result == STORE_FAILED)
			p->asked = p->done;
	}
}

static void run_group(struct history *h, struct rng *rng)
{
	struct group g = {.first_message = h->message_count};

	for (size_t i = 0; i < HISTORY_PAIRS; i++)
		g.pairs_before[i] = h->pairs[i].asked;
	for (uint64_t n = 1 + rng_below(rng, GROUP_MAX); n > 0; n--) {
		uint64_t what = rng_below(rng, 10);
		if (what < 4)
			ask_message(h, rng, false);
		else if (what < 8 && h->message_count > 0)
			ask_amend(h, rng, &g.amends[g.amend_count++]);
		else if (what < 9)
			ask_pair(h, rng);
		else
			ask_message(h, rng, true);
	}
	for (int i = 0; i < POLLS_MAX && pending(h, &g) && !stopped(h); i++)
		h->store->ops->poll(h->store);
	if (stopped(h))
		return; /* the answers come from a machine that has no power */
	h->stuck = h->stuck || pending(h, &g);
	note_answers(h, &g);
}

static void count_moved(struct history *h)
{
	struct spool_state state;

	spool_state(h->store, &state);
	h->moved += state.moved_messages;
}

void history_run(struct history *h)
{
	struct rng rng;

	rng_init(&rng, h->seed);
	if (h->reopen_groups == 0)
		h->reopen_groups = 12;
	h->store = spool_world_open(h->world);
	if (h->store == NULL) {
		h->open_failures++;
		return;
	}
	for (unsigned i = 0; i < h->groups && !stopped(h); i++) {
		run_group(h, &rng);
		if (i % h->reopen_groups == h->reopen_groups - 1 && !stopped(h)) {
			count_moved(h);
			h->store = spool_world_reopen(h->world, h->store);
			if (h->store == NULL) {
				h->open_failures++;
				return;
			}
		}
	}
}

/* --- checking ------------------------------------------------------------------------------------ */

static void check_body(struct contract *c, const struct history_message *m)
{
	static char back[HISTORY_BODY_MAX + 1];
	int64_t size = help_read(c, m->id, 64 * 1024, back, sizeof(back), NULL);

	assert_int_equal(size, m->body_bytes);
	struct slice body = body_of(m);
	assert_memory_equal(back, body.data, body.size);
}

static void check_message(struct contract *c, const struct history_message *m, uint64_t *queued)
{
	const struct found *f = help_find(c, m->id);
	bool may_be_over = true, must_be_over = true;

	for (uint32_t i = 0; i < m->recipients; i++) {
		may_be_over = may_be_over && m->ends[i].asked && !m->ends[i].grace;
		must_be_over = must_be_over && m->ends[i].done && !m->ends[i].grace;
	}
	assert_int_equal(f->answer.result, STORE_OK);
	if (f->count == 0) {
		assert_true(!m->done || may_be_over);
		return;
	}
	assert_false(m->gone);
	assert_true(m->asked);
	assert_false(must_be_over);
	assert_int_equal(f->recipients[0], m->recipients);
	for (uint32_t i = 0; i < m->recipients; i++) {
		*queued += f->state[0][i] == STORE_QUEUED;
		if (m->ends[i].done)
			assert_int_not_equal(f->state[0][i], STORE_QUEUED);
		if (!m->ends[i].asked)
			assert_int_equal(f->state[0][i], STORE_QUEUED);
	}
	check_body(c, m);
}

static bool known(const struct history *h, uint64_t id)
{
	for (size_t i = 0; i < h->message_count; i++)
		if (h->messages[i].id == id)
			return true;
	return false;
}

static void check_pair(struct contract *c, const struct history *h, size_t which)
{
	const struct history_pair *p = &h->pairs[which];
	char key[16];
	unsigned number = 0;

	pair_key(which, key);
	const struct pairs *found = help_get(c, slice_of(key));
	assert_int_equal(found->answer.result, STORE_OK);
	if (found->count == 0) {
		assert_true(p->done == 0 || pair_is_removed(p->done) || pair_is_removed(p->asked));
		return;
	}
	assert_int_equal(sscanf(found->value[0], "%u", &number), 1);
	assert_true(number == p->done || number == p->asked);
}

static void check_ends(struct contract *c, const struct history *h)
{
	size_t done = 0, asked = 0;

	for (size_t i = 0; i < h->message_count; i++)
		for (uint32_t r = 0; r < HISTORY_RECIPIENTS; r++) {
			done += h->messages[i].ends[r].done;
			asked += h->messages[i].ends[r].asked;
		}
	size_t count = help_ends(c, 0, 0, 0, STORE_WALK_MAX)->count;
	assert_true(count >= done && count <= asked);
}

/* What is surely in grace is met there, and nothing else. */
static void check_grace(struct contract *c, const struct history *h)
{
	struct store_counts counts;
	uint64_t done = 0, asked = 0;

	for (size_t i = 0; i < h->message_count; i++)
		for (uint32_t r = 0; r < HISTORY_RECIPIENTS; r++) {
			const struct history_end *end = &h->messages[i].ends[r];
			done += end->done && end->grace;
			asked += end->asked && end->grace;
		}
	const struct found *f = help_walk(c, STORE_GRACE, 0, STORE_WALK_MAX);
	assert_true(f->count <= asked);
	for (size_t i = 0; i < f->count; i++)
		assert_true(known(h, f->id[i]));
	assert_true(done == 0 || f->count > 0);
	c->store->ops->count(c->store, STORE_GRACE, &counts);
	assert_true(counts.recipients >= done && counts.recipients <= asked);
	assert_int_equal(counts.messages, f->count);
}

void history_check(struct history *h, struct store *store)
{
	struct contract c = {.store = store, .backend = &help_plain};
	struct store_totals totals;
	uint64_t queued = 0;

	for (size_t i = 0; i < h->message_count; i++)
		check_message(&c, &h->messages[i], &queued);
	const struct found *f = help_walk(&c, 0, 0, STORE_WALK_MAX);
	for (size_t i = 0; i < f->count; i++)
		assert_true(known(h, f->id[i]));
	check_grace(&c, h);
	for (size_t i = 0; i < HISTORY_PAIRS; i++)
		check_pair(&c, h, i);
	check_ends(&c, h);
	store->ops->totals(store, &totals);
	assert_int_equal(totals.accepted, totals.queued + totals.ended);
	assert_int_equal(totals.queued, queued);
	assert_int_equal(totals.set_aside, 0);
}

void history_check_readable(struct history *h)
{
	struct contract c = {.store = h->store, .backend = &help_plain};

	for (size_t i = 0; i < h->message_count; i++) {
		const struct history_message *m = &h->messages[i];
		bool ends = false;
		for (uint32_t r = 0; r < m->recipients; r++)
			ends = ends || m->ends[r].asked;
		if (m->done && !ends)
			check_body(&c, m);
	}
}
