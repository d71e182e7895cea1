#include "store/spool_writer.h"

#include <errno.h>
#include <time.h>

static void move_all(struct list *from, struct list *to)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

/* Waiting for more writes: at least so many were in the last group, for this part of its time, at most so
 * long. */
enum { GATHER_WRITES = 6, GATHER_PART = 2, GATHER_MAX_US = 500 };

/* A group commit in the making. */
struct batch {
	struct list writes;
	uint32_t count;
	size_t bytes;
};

struct group_time {
	uint32_t writes;
	int64_t took_us;
};

/* With the lock held: more of a group commit, from this queue, up to these limits. A first one of any size.
 */
static void take(struct list *queue, struct batch *batch, uint32_t count, size_t bytes)
{
	while (batch->count < count) {
		struct list *node = list_first(queue);
		if (node == NULL)
			return;
		size_t more = buffer_size(&container_of(node, struct spool_write, node)->run);
		if (batch->count > 0 && batch->bytes + more > bytes)
			return;
		list_remove(node);
		list_add_last(&batch->writes, node);
		batch->count++;
		batch->bytes += more;
	}
}

/* With the lock held: the writes of one group commit. However long the queue, copies get on: else what they
 * are to make room for would outgrow the files' budget. */
static void take_batch(struct spool_writer *writer, struct batch *batch)
{
	bool both = !list_empty(&writer->queue);

	take(&writer->copies, batch, both ? LOG_BATCH_OPS / 2 : LOG_BATCH_OPS,
	     both ? writer->batch_bytes / 2 : writer->batch_bytes);
	take(&writer->queue, batch, LOG_BATCH_OPS, writer->batch_bytes);
}

static bool nothing_queued(const struct spool_writer *writer)
{
	return list_empty(&writer->queue) && list_empty(&writer->copies);
}

uint32_t writer_step(struct spool_writer *writer)
{
	struct batch batch = {.count = 0};

	list_init(&batch.writes);
	pthread_mutex_lock(&writer->lock);
	take_batch(writer, &batch);
	writer->busy = batch.count > 0;
	pthread_mutex_unlock(&writer->lock);
	if (batch.count == 0)
		return 0;

	log_commit(&writer->log, &batch.writes);

	pthread_mutex_lock(&writer->lock);
	move_all(&batch.writes, &writer->done);
	writer->busy = false;
	pthread_cond_signal(&writer->finished);
	pthread_mutex_unlock(&writer->lock);
	return batch.count;
}

static int64_t clock_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

static void wait_us(int64_t us)
{
	struct timespec left = {.tv_nsec = us * 1000};

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

/* Many senders at once: what they commit while we wait a part of the time that a group commit takes spares
 * the disk a sync, and a page that two groups share is written once. A few senders all wait for their own
 * message: nothing more would come. */
static int64_t gather_us(const struct group_time *last)
{
	int64_t us = last->took_us / GATHER_PART;

	if (last->writes < GATHER_WRITES)
		return 0;
	return us < GATHER_MAX_US ? us : GATHER_MAX_US;
}

static void *run(void *argument)
{
	struct spool_writer *writer = argument;
	struct group_time last = {0};

	for (;;) {
		pthread_mutex_lock(&writer->lock);
		while (nothing_queued(writer) && !writer->stopping)
			pthread_cond_wait(&writer->asked, &writer->lock);
		bool stop = writer->stopping && nothing_queued(writer);
		pthread_mutex_unlock(&writer->lock);
		if (stop)
			return NULL;
		if (gather_us(&last) > 0)
			wait_us(gather_us(&last));
		int64_t begin_us = clock_us();
		last.writes = writer_step(writer);
		last.took_us = clock_us() - begin_us;
		if (writer->wake != NULL)
			writer->wake(writer->wake_owner);
	}
}

int writer_start(struct spool_writer *writer, bool threaded, void (*wake)(void *owner), void *owner)
{
	pthread_mutex_init(&writer->lock, NULL);
	pthread_cond_init(&writer->asked, NULL);
	pthread_cond_init(&writer->finished, NULL);
	list_init(&writer->queue);
	list_init(&writer->copies);
	list_init(&writer->done);
	writer->wake = wake;
	writer->wake_owner = owner;
	writer->stopping = false;
	writer->busy = false;
	writer->threaded = threaded && pthread_create(&writer->thread, NULL, run, writer) == 0;
	return threaded && !writer->threaded ? ERR_MEMORY : 0;
}

void writer_stop(struct spool_writer *writer, bool abandon)
{
	struct list left;

	list_init(&left);
	pthread_mutex_lock(&writer->lock);
	writer->stopping = true;
	if (abandon) {
		move_all(&writer->queue, &left);
		move_all(&writer->copies, &left);
	}
	pthread_cond_signal(&writer->asked);
	pthread_mutex_unlock(&writer->lock);
	if (writer->threaded)
		(void)pthread_join(writer->thread, NULL);
	else
		while (writer_step(writer) > 0)
			;
	move_all(&left, &writer->done);
	pthread_mutex_destroy(&writer->lock);
	pthread_cond_destroy(&writer->asked);
	pthread_cond_destroy(&writer->finished);
}

static void queue_in(struct spool_writer *writer, struct list *queue, struct spool_write *write)
{
	pthread_mutex_lock(&writer->lock);
	list_add_last(queue, &write->node);
	if (!writer->busy)
		pthread_cond_signal(&writer->asked);
	pthread_mutex_unlock(&writer->lock);
	if (!writer->threaded && writer->wake != NULL)
		writer->wake(writer->wake_owner);
}

void writer_queue(struct spool_writer *writer, struct spool_write *write)
{
	queue_in(writer, &writer->queue, write);
}

void writer_queue_copy(struct spool_writer *writer, struct spool_write *write)
{
	queue_in(writer, &writer->copies, write);
}

void writer_take_done(struct spool_writer *writer, struct list *done, bool wait)
{
	pthread_mutex_lock(&writer->lock);
	while (wait && writer->threaded && list_empty(&writer->done) &&
	       (writer->busy || !nothing_queued(writer)))
		pthread_cond_wait(&writer->finished, &writer->lock);
	move_all(&writer->done, done);
	pthread_mutex_unlock(&writer->lock);
}
