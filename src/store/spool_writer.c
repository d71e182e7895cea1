#include "store/spool_writer.h"

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

/* With the lock held: the writes of one group commit. */
static void take_batch(struct spool_writer *writer, struct list *batch)
{
	size_t bytes = 0;

	for (int count = 0; count < LOG_BATCH_OPS; count++) {
		struct list *node = list_first(&writer->queue);
		if (node == NULL)
			return;
		bytes += buffer_size(&container_of(node, struct spool_write, node)->run);
		if (count > 0 && bytes > LOG_BATCH_BYTES)
			return;
		list_remove(node);
		list_add_last(batch, node);
	}
}

bool writer_step(struct spool_writer *writer)
{
	struct list batch;

	list_init(&batch);
	pthread_mutex_lock(&writer->lock);
	take_batch(writer, &batch);
	writer->busy = !list_empty(&batch);
	pthread_mutex_unlock(&writer->lock);
	if (list_empty(&batch))
		return false;

	log_commit(&writer->log, &batch);

	pthread_mutex_lock(&writer->lock);
	move_all(&batch, &writer->done);
	writer->busy = false;
	pthread_cond_signal(&writer->finished);
	pthread_mutex_unlock(&writer->lock);
	return true;
}

static void *run(void *argument)
{
	struct spool_writer *writer = argument;

	for (;;) {
		pthread_mutex_lock(&writer->lock);
		while (list_empty(&writer->queue) && !writer->stopping)
			pthread_cond_wait(&writer->asked, &writer->lock);
		bool stop = writer->stopping && list_empty(&writer->queue);
		pthread_mutex_unlock(&writer->lock);
		if (stop)
			return NULL;
		(void)writer_step(writer);
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
		while (writer_step(writer))
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
