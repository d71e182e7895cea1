/* The spool with its threads on real files: many at once, and a process that is killed at any moment. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/spool_internal.h"

#include "contract_help.h"
#include "files_world.h"

enum { SESSIONS = 48, MESSAGES = 3000, ROUNDS = 8 };

/* A session commits, then ends its message, then begins again; the store answers in any turn. */
struct session {
	struct swarm *swarm;
	uint64_t id;
	bool ending;
	uint64_t turns;
};

struct swarm {
	struct files_world *world;
	struct store *store;
	struct session sessions[SESSIONS];
	unsigned committed, ended, active;
	unsigned limit;
	int acks; /* a descriptor that is told each durable step; -1: none */
	bool failed;
};

static struct slice body_of(uint64_t id, char to[9000])
{
	size_t size = 100 + id % 8000;

	memset(to, 'a' + (int)(id % 26), size);
	return slice_make(to, size);
}

static void session_begin(struct session *s);

static void tell(const struct swarm *swarm, uint64_t id, bool ended)
{
	uint64_t note = id << 1 | ended;

	if (swarm->acks >= 0 && write(swarm->acks, &note, sizeof(note)) != sizeof(note))
		_exit(1);
}

static void session_done(void *owner, enum store_result result, enum store_reason reason)
{
	struct session *s = owner;
	struct swarm *swarm = s->swarm;
	struct store_change change = {.state = STORE_DELIVERED, .reply = SLICE("250 ok")};

	(void)reason;
	swarm->failed = swarm->failed || result != STORE_OK;
	tell(swarm, s->id, s->ending);
	if (s->ending) {
		swarm->ended++;
		session_begin(s);
		return;
	}
	swarm->committed++;
	if (s->id % 4 == 0) { /* stays */
		session_begin(s);
		return;
	}
	s->ending = true;
	swarm->store->ops->amend(swarm->store, s->id, 0, 0, &change, 1, 1700000000000, session_done, s);
}

static void session_begin(struct session *s)
{
	struct swarm *swarm = s->swarm;
	struct store_message *message;
	struct store_recipient r;
	static const uint32_t domains[] = {1, 2, 3};
	char body[9000];

	s->ending = false;
	if (swarm->committed >= swarm->limit || swarm->failed) {
		swarm->active--;
		return;
	}
	s->id = swarm->store->ops->next_id(swarm->store, 1);
	struct store_envelope e = help_envelope(&r, &domains[s->id % 3], 1, 1);
	if (swarm->store->ops->begin(swarm->store, 0, &message) != 0 ||
	    swarm->store->ops->append(message, body_of(s->id, body)) != 0) {
		swarm->failed = true;
		swarm->active--;
		return;
	}
	swarm->store->ops->commit(message, s->id, &e, SLICE(""), session_done, s);
}

static void swarm_run(struct swarm *swarm)
{
	swarm->active = SESSIONS;
	for (size_t i = 0; i < SESSIONS; i++) {
		swarm->sessions[i].swarm = swarm;
		session_begin(&swarm->sessions[i]);
	}
	while (swarm->active > 0) {
		files_wait(swarm->world);
		swarm->store->ops->poll(swarm->store);
	}
}

static void many_sessions_at_once(void **state)
{
	struct swarm swarm = {.world = files_make(), .limit = MESSAGES, .acks = -1};
	struct spool_state s;

	(void)state;
	swarm.store = files_open(swarm.world);
	assert_non_null(swarm.store);
	swarm_run(&swarm);
	assert_false(swarm.failed);
	struct store_totals totals;
	swarm.store->ops->totals(swarm.store, &totals);
	assert_int_equal(totals.accepted, swarm.committed);
	assert_int_equal(totals.ended, swarm.ended);
	assert_int_equal(totals.queued, swarm.committed - swarm.ended);
	spool_state(swarm.store, &s);
	assert_true(s.checkpoints > 5);
	swarm.store = files_reopen(swarm.world, swarm.store);
	assert_non_null(swarm.store);
	struct store_totals again;
	swarm.store->ops->totals(swarm.store, &again);
	assert_memory_equal(&again, &totals, sizeof(totals));
	swarm.store->ops->close(swarm.store);
	files_destroy(swarm.world);
}

/* --- kill -9 --------------------------------------------------------------------------------------- */

static void child(struct files_world *world, int acks)
{
	struct swarm swarm = {.world = world, .limit = 1000000, .acks = acks};

	swarm.store = files_open(world);
	if (swarm.store == NULL)
		_exit(1);
	swarm_run(&swarm);
	_exit(1); /* it was to be killed */
}

enum { IDS_MAX = 20000 };

struct acks {
	bool committed[IDS_MAX], ended[IDS_MAX];
};

static void note_ack(struct acks *a, uint64_t note)
{
	uint64_t id = note >> 1 & ((UINT64_C(1) << 20) - 1);

	assert_true(id < IDS_MAX);
	if ((note & 1) != 0)
		a->ended[id] = true;
	else
		a->committed[id] = true;
}

static void run_and_kill(struct files_world *world, struct acks *acks, unsigned count)
{
	int pipe_ends[2];
	uint64_t note;

	assert_int_equal(pipe(pipe_ends), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)close(pipe_ends[0]);
		child(world, pipe_ends[1]);
	}
	(void)close(pipe_ends[1]);
	for (; count > 0 && read(pipe_ends[0], &note, sizeof(note)) == sizeof(note); count--)
		note_ack(acks, note);
	assert_int_equal(count, 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	/* What it said before it died counts. */
	while (read(pipe_ends[0], &note, sizeof(note)) == sizeof(note))
		note_ack(acks, note);
	(void)close(pipe_ends[0]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void check_acks(struct contract *c, const struct acks *acks, uint64_t high)
{
	char body[9000], back[9000];

	for (uint64_t low = 0; low < IDS_MAX; low++) {
		uint64_t id = high | low;
		if (!acks->committed[low])
			continue;
		size_t count = help_find(c, id)->count;
		if (acks->ended[low])
			assert_int_equal(count, 0);
		else if (id % 4 == 0)
			assert_int_equal(count, 1);
		if (count == 0)
			continue;
		struct slice expected = body_of(id, body);
		assert_int_equal(help_read(c, id, sizeof(back), back, sizeof(back), NULL), expected.size);
		assert_memory_equal(back, expected.data, expected.size);
	}
}

static void killed_at_any_moment_it_loses_nothing(void **state)
{
	static const struct contract_backend backend = {.name = "killed", .wait = files_wait};
	struct files_world *world = files_make();
	static struct acks acks;
	uint64_t high = UINT64_C(1) << 20; /* what next_id makes of the wall clock of 1 ms */

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		run_and_kill(world, &acks, 50 + round * 131);
		struct contract c = {.backend = &backend, .world = world, .store = files_open(world)};
		if (c.store == NULL)
			print_error("%s\n", world->message);
		assert_non_null(c.store);
		check_acks(&c, &acks, high);
		c.store->ops->close(c.store);
	}
	files_destroy(world);
}

/* --- slow reads ------------------------------------------------------------------------------------ */

/* A disk whose reads wait for the gate. Nothing is in memory. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t opened;
	bool closed;
	struct file_ops real;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .opened = PTHREAD_COND_INITIALIZER};

static void gate_close(bool closed)
{
	pthread_mutex_lock(&gate.lock);
	gate.closed = closed;
	pthread_cond_broadcast(&gate.opened);
	pthread_mutex_unlock(&gate.lock);
}

static ssize_t gate_pread(void *context, int file, void *to, size_t size, uint64_t offset)
{
	pthread_mutex_lock(&gate.lock);
	while (gate.closed)
		pthread_cond_wait(&gate.opened, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
	return gate.real.pread(context, file, to, size, offset);
}

static ssize_t nothing_cached(void *context, int file, void *to, size_t size, uint64_t offset)
{
	(void)context, (void)file, (void)to, (void)size, (void)offset;
	return -EAGAIN;
}

struct late_body {
	struct answer answer;
	struct slice expected;
};

static void late_body_came(void *owner, enum store_result result, enum store_reason reason,
			   struct slice bytes)
{
	struct late_body *b = owner;

	assert_int_equal(result, STORE_OK);
	assert_int_equal(bytes.size, b->expected.size);
	assert_memory_equal(bytes.data, b->expected.data, bytes.size);
	help_done(&b->answer, result, reason);
}

/* Its message is over, its segment dead and checkpoints go by: the bytes are still what they were, for as
 * long as somebody reads them. Other mail goes on meanwhile. */
static void a_slow_read_keeps_its_segment(void **state)
{
	static const struct contract_backend backend = {.name = "slow disk", .wait = files_wait};
	struct files_world *world = files_make();
	struct file_system files;
	struct spool_state before, after;
	struct answer end = {.calls = 0};
	struct late_body body = {.answer = {.calls = 0}};
	struct store_change change = {.state = STORE_DELIVERED};
	static const uint32_t domain = 1;
	struct store_recipient r;
	struct store_envelope e = help_envelope(&r, &domain, 1, 1);
	static char bytes[9000];

	(void)state;
	assert_int_equal(file_system_open(world->path, &files), 0);
	struct file_ops ops = *files.ops;
	gate.real = ops;
	ops.pread = gate_pread;
	ops.pread_cached = nothing_cached;
	world->config.files = (struct file_system){.ops = &ops, .context = files.context};
	world->config.slack_bytes = UINT64_C(1) << 40;
	struct contract c = {.backend = &backend, .world = world, .store = files_open(world)};
	assert_non_null(c.store);
	struct spool *spool = spool_of(c.store);
	body.expected = body_of(1, bytes);
	assert_int_equal(help_commit(&c, 1, &e, SLICE(""), body.expected).result, STORE_OK);
	gate_close(true);
	c.store->ops->read(c.store, 1, 0, sizeof(bytes), late_body_came, &body);
	c.store->ops->amend(c.store, 1, 0, 0, &change, 1, 1, help_done, &end);
	spool_state(c.store, &before);
	after = before;
	for (uint64_t id = 2; after.freed_segments < before.freed_segments + 5; id++) {
		char other[9000];
		if (spool_order_slot(spool, id) == spool_order_slot(spool, 1))
			continue; /* would wait for it */
		assert_int_equal(help_commit(&c, id, &e, SLICE(""), body_of(id, other)).result, STORE_OK);
		assert_int_equal(help_amend(&c, id, 0, 0, STORE_DELIVERED, "", 1).result, STORE_OK);
		spool_state(c.store, &after);
		assert_true(id < 3000);
	}
	assert_int_equal(body.answer.calls, 0);
	assert_int_equal(end.calls, 0);
	gate_close(false);
	help_wait(&c, &end);
	assert_int_equal(body.answer.calls, 1);
	assert_true(body.answer.order < end.order);
	assert_int_equal(end.result, STORE_OK);
	c.store->ops->close(c.store);
	file_system_close(&files);
	files_destroy(world);
}

/* A crash and a close while the disk keeps a read waiting. */
static void a_read_may_be_under_way_at_the_end(void **state)
{
	struct files_world *world = files_make();
	struct file_system files;
	static const struct contract_backend backend = {.name = "slow disk", .wait = files_wait};

	(void)state;
	assert_int_equal(file_system_open(world->path, &files), 0);
	struct file_ops ops = *files.ops;
	ops.pread_cached = nothing_cached;
	world->config.files = (struct file_system){.ops = &ops, .context = files.context};
	for (int crash = 0; crash < 2; crash++) {
		struct contract c = {.backend = &backend, .world = world, .store = files_open(world)};
		struct late_body body[20];
		assert_non_null(c.store);
		help_store(&c, (uint64_t)crash + 1, 1);
		for (size_t i = 0; i < 20; i++) {
			body[i] = (struct late_body){.expected = SLICE("Received")};
			c.store->ops->read(c.store, (uint64_t)crash + 1, 0, 8, late_body_came, &body[i]);
		}
		c.store->ops->poll(c.store);
		if (crash != 0)
			spool_crash(c.store);
		else
			c.store->ops->close(c.store);
		for (size_t i = 0; i < 20 && crash == 0; i++)
			assert_int_equal(body[i].answer.calls, 1);
	}
	file_system_close(&files);
	files_destroy(world);
}

/* Linux 5.9 and 5.10 say "nothing there" of what is not in memory. */
static ssize_t end_of_cache(void *context, int file, void *to, size_t size, uint64_t offset)
{
	(void)context, (void)file, (void)to, (void)size, (void)offset;
	return 0;
}

/* What is not in memory is not damaged; and the largest read may begin anywhere in a frame. */
static void a_large_read_comes_from_the_disk(void **state)
{
	static const struct contract_backend backend = {.name = "cold disk", .wait = files_wait};
	enum { BODY = 8 * 64 * 1024, READ = 256 * 1024 };
	struct files_world *world = files_make();
	struct file_system files;
	static const uint32_t domain = 1;
	struct store_recipient r;
	struct store_envelope e = help_envelope(&r, &domain, 1, 1);
	char *bytes = malloc(BODY);

	(void)state;
	assert_non_null(bytes);
	for (size_t i = 0; i < BODY; i++)
		bytes[i] = (char)(i * 31 >> 3);
	assert_int_equal(file_system_open(world->path, &files), 0);
	struct file_ops ops = *files.ops;
	ops.pread_cached = end_of_cache;
	world->config.files = (struct file_system){.ops = &ops, .context = files.context};
	struct contract c = {.backend = &backend, .world = world, .store = files_open(world)};
	assert_non_null(c.store);
	assert_int_equal(help_commit(&c, 1, &e, SLICE(""), slice_make(bytes, BODY)).result, STORE_OK);
	for (size_t skip = 0; skip < 64; skip++) {
		struct late_body body = {.expected = slice_make(bytes + skip, READ)};
		c.store->ops->read(c.store, 1, skip, READ, late_body_came, &body);
		help_wait(&c, &body.answer);
	}
	c.store->ops->close(c.store);
	file_system_close(&files);
	files_destroy(world);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(many_sessions_at_once),
	    cmocka_unit_test(killed_at_any_moment_it_loses_nothing),
	    cmocka_unit_test(a_slow_read_keeps_its_segment),
	    cmocka_unit_test(a_read_may_be_under_way_at_the_end),
	    cmocka_unit_test(a_large_read_comes_from_the_disk),
	};

	return cmocka_run_group_tests_name("spool threads", tests, NULL, NULL);
}
