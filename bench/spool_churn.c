/* The spool alone, on real files: what its files take under churn, and how long a commit takes meanwhile.
 *
 * Usage: spool_churn FOLDER SECONDS [RATE]
 *
 * FOLDER is made anew and stays (look at it, then remove it). Half of the time goes to a quiet phase
 * (messages come, 2,000 at most wait), the other half to churn: of the mail that comes, 80 % leaves within a
 * second, 18 % stays for a random while, 2 % for good. Sizes: 1 to 16 KiB, one of 50 up to 1 MiB. RATE is in
 * messages a second; 1000 if not given. All the time: log files <= 2 x live + 512 MiB.
 *
 * Each line: seconds, files and live MiB, the largest files / budget so far, messages moved, checkpoints,
 * p50 and p99 of a commit in ms since the last line.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/rng.h"
#include "store/spool.h"

enum {
	WHEEL = 65536, /* ticks of 10 ms into the future */
	BODY_MAX = 1024 * 1024,
	SAMPLES = 1 << 20,
	SLACK_MIB = 512,
	SPARES_MIB = 3 * 64, /* freed segments kept for reuse, which the spool does not count: at most */
	MIB = 1024 * 1024,
	OPEN_MAX_MESSAGES = 4096, /* commits under way */
	REPORT_S = 10,
};

struct waiting {
	struct waiting *next;
	uint64_t id;
};

struct commit {
	struct bench *bench;
	uint64_t id, asked_us;
	bool used;
};

struct bench {
	struct store *store;
	int wakes;
	struct rng rng;
	struct waiting *wheel[WHEEL]; /* of messages, by the tick in which they end */
	uint64_t tick, held, worst_permille, errors;
	bool churns;
	struct commit commits[OPEN_MAX_MESSAGES];
	uint32_t samples[SAMPLES];
	size_t sample_count;
	char body[BODY_MAX];
};

static uint64_t now_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void wake(void *owner)
{
	uint64_t one = 1;

	if (write(*(int *)owner, &one, sizeof(one)) < 0)
		return; /* it is full of wakes: good enough */
}

static size_t draw_size(struct bench *b)
{
	return rng_below(&b->rng, 50) == 0 ? 1 + rng_below(&b->rng, BODY_MAX)
					   : 1024 + rng_below(&b->rng, 15 * 1024);
}

/* In ticks; 0: for good. */
static uint64_t draw_life(struct bench *b)
{
	uint64_t kind = rng_below(&b->rng, 100);

	if (!b->churns || kind < 80)
		return 1 + rng_below(&b->rng, 100);
	return kind < 98 ? 1 + rng_below(&b->rng, WHEEL - 2) : 0;
}

static void plan_end(struct bench *b, uint64_t id)
{
	uint64_t life = draw_life(b);
	struct waiting *w = life > 0 ? malloc(sizeof(*w)) : NULL;

	if (w == NULL) {
		b->held++;
		return;
	}
	struct waiting **slot = &b->wheel[(b->tick + life) % WHEEL];
	*w = (struct waiting){.next = *slot, .id = id};
	*slot = w;
}

static void committed(void *owner, enum store_result result, enum store_reason reason)
{
	struct commit *c = owner;
	struct bench *b = c->bench;

	(void)reason;
	c->used = false;
	if (result != STORE_OK) {
		b->errors++;
		return;
	}
	if (b->sample_count < SAMPLES)
		b->samples[b->sample_count++] = (uint32_t)(now_us() - c->asked_us);
	plan_end(b, c->id);
}

static void take_mail(struct bench *b, size_t at)
{
	struct store_recipient r = {.forward_path = SLICE("user@example.com"),
				    .domain = 1 + (uint32_t)(at % 16)};
	struct store_envelope e = {
	    .reverse_path = SLICE("sender@example.net"), .recipient_count = 1, .recipients = &r};
	struct commit *c = &b->commits[at % OPEN_MAX_MESSAGES];
	struct store_message *message;

	if (c->used)
		return; /* as fast as it can take them, then */
	if (b->store->ops->begin(b->store, 0, &message) != 0) {
		b->errors++;
		return;
	}
	*c = (struct commit){.bench = b, .asked_us = now_us(), .used = true};
	c->id = b->store->ops->next_id(b->store, (int64_t)time(NULL) * 1000);
	(void)b->store->ops->append(message, slice_make(b->body, draw_size(b)));
	b->store->ops->commit(message, c->id, &e, SLICE("Received: bench\r\n"), committed, c);
}

static void ended(void *owner, enum store_result result, enum store_reason reason)
{
	struct bench *b = owner;

	(void)reason;
	b->errors += result != STORE_OK;
}

static void end_mail(struct bench *b)
{
	static const struct store_change change = {.state = STORE_DELIVERED, .reply = SLICE("250 ok")};
	struct waiting *w = b->wheel[++b->tick % WHEEL];

	b->wheel[b->tick % WHEEL] = NULL;
	for (struct waiting *next; w != NULL; w = next) {
		next = w->next;
		b->store->ops->amend(b->store, w->id, 0, 0, &change, 1, (int64_t)time(NULL) * 1000, ended, b);
		free(w);
	}
}

static int by_size(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return left < right ? -1 : left > right;
}

static void report(struct bench *b, uint64_t seconds)
{
	struct spool_state s;
	size_t n = b->sample_count;

	spool_state(b->store, &s);
	qsort(b->samples, n, sizeof(b->samples[0]), by_size);
	printf("%6llu s  files %6llu  live %6llu MiB  worst %.2f of the budget  moved %llu  checkpoints %llu "
	       " commit p50 %.1f p99 %.1f ms%s\n",
	       (unsigned long long)seconds, (unsigned long long)(s.file_bytes / MIB),
	       (unsigned long long)(s.live_bytes / MIB), (double)b->worst_permille / 1000,
	       (unsigned long long)s.moved_messages, (unsigned long long)s.checkpoints,
	       n > 0 ? b->samples[n / 2] / 1000.0 : 0, n > 0 ? b->samples[n - 1 - n / 100] / 1000.0 : 0,
	       b->errors > 0 ? "  ERRORS" : "");
	(void)fflush(stdout);
	b->sample_count = 0;
}

static void watch(struct bench *b)
{
	struct spool_state s;

	spool_state(b->store, &s);
	uint64_t budget = 2 * s.live_bytes + (uint64_t)SLACK_MIB * MIB,
		 permille = (s.file_bytes + (uint64_t)SPARES_MIB * MIB) * 1000 / budget;
	if (permille > b->worst_permille)
		b->worst_permille = permille;
}

static void turn(struct bench *b, int timeout_ms)
{
	struct pollfd p = {.fd = b->wakes, .events = POLLIN};
	uint64_t count;

	if (poll(&p, 1, timeout_ms) == 1 && read(b->wakes, &count, sizeof(count)) == sizeof(count))
		b->store->ops->poll(b->store);
}

static void run(struct bench *b, uint64_t seconds, uint64_t rate)
{
	uint64_t begin = now_us(), mails = 0, said = 0;

	for (uint64_t us = 0; us < seconds * 1000000; us = now_us() - begin) {
		b->churns = us >= seconds * 500000;
		for (; mails * 1000000 < us * rate; mails++)
			take_mail(b, mails);
		while (b->tick < us / 10000)
			end_mail(b);
		turn(b, 1);
		if (us / 1000000 / REPORT_S > said) {
			said = us / 1000000 / REPORT_S;
			report(b, us / 1000000);
		}
		watch(b);
	}
}

int main(int argc, char **argv)
{
	static struct bench b;
	char message[SPOOL_MESSAGE_SIZE];
	struct rusage used;

	if (argc < 3) {
		(void)fprintf(stderr, "usage: spool_churn FOLDER SECONDS [RATE]\n");
		return 2;
	}
	uint64_t seconds = strtoull(argv[2], NULL, 10), rate = argc > 3 ? strtoull(argv[3], NULL, 10) : 1000;
	b.wakes = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	rng_init(&b.rng, 1);
	for (size_t i = 0; i < BODY_MAX; i++)
		b.body[i] = (char)rng_next(&b.rng);
	const struct spool_config config = {
	    .path = argv[1], .threads = true, .seed = 1, .wake = wake, .wake_owner = &b.wakes};
	if (spool_open(&config, &b.store, message) != 0) {
		(void)fprintf(stderr, "%s\n", message);
		return 1;
	}
	run(&b, seconds, rate);
	b.store->ops->close(b.store);
	(void)getrusage(RUSAGE_SELF, &used);
	printf("CPU %ld s, RSS at most %ld MiB\n", (long)(used.ru_utime.tv_sec + used.ru_stime.tv_sec),
	       used.ru_maxrss / 1024);
	return b.errors > 0 || b.worst_permille > 1000;
}
