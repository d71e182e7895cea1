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

struct group_time {
	uint32_t writes;
	int64_t took_us;
};

/* With the lock held: the writes of one group commit. */
static uint32_t take_batch(struct spool_writer *writer, struct list *batch)
{
	size_t bytes = 0;

	for (uint32_t count = 0; count < LOG_BATCH_OPS; count++) {
		struct list *node = list_first(&writer->queue);
		if (node == NULL)
			return count;
		bytes += buffer_size(&container_of(node, struct spool_write, node)->run);
		if (count > 0 && bytes > LOG_BATCH_BYTES)
			return count;
		list_remove(node);
		list_add_last(batch, node);
	}
	return LOG_BATCH_OPS;
}

uint32_t writer_step(struct spool_writer *writer)
{
	struct list batch;

	list_init(&batch);
	pthread_mutex_lock(&writer->lock);
	uint32_t count = take_batch(writer, &batch);
	writer->busy = count > 0;
	pthread_mutex_unlock(&writer->lock);
	if (count == 0)
		return 0;

	log_commit(&writer->log, &batch);

	pthread_mutex_lock(&writer->lock);
	move_all(&batch, &writer->done);
	writer->busy = false;
	pthread_cond_signal(&writer->finished);
	pthread_mutex_unlock(&writer->lock);
	return count;
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
		while (list_empty(&writer->queue) && !writer->stopping)
			pthread_cond_wait(&writer->asked, &writer->lock);
		bool stop = writer->stopping && list_empty(&writer->queue);
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
	if (abandon)
		move_all(&writer->queue, &left);
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

void writer_queue(struct spool_writer *writer, struct spool_write *write)
{
	pthread_mutex_lock(&writer->lock);
	list_add_last(&writer->queue, &write->node);
	if (!writer->busy)
		pthread_cond_signal(&writer->asked);
	pthread_mutex_unlock(&writer->lock);
	if (!writer->threaded && writer->wake != NULL)
		writer->wake(writer->wake_owner);
}

void writer_take_done(struct spool_writer *writer, struct list *done, bool wait)
{
	pthread_mutex_lock(&writer->lock);
	while (wait && writer->threaded && list_empty(&writer->done) &&
	       (writer->busy || !list_empty(&writer->queue)))
		pthread_cond_wait(&writer->finished, &writer->lock);
	move_all(&writer->done, done);
	pthread_mutex_unlock(&writer->lock);
}
