#include "store/spool_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/spool_record.h"

/* --- one read ------------------------------------------------------------------------------------ */

/* Frames are read with their header; the next one goes where the payload of the one before ends. */
size_t body_room(const struct body_job *job)
{
	size_t room = 0;

	for (uint32_t i = 0; i < job->count; i++)
		room += job->pieces[i].bytes - job->pieces[i].skip;
	return room + record_size(FRAME_MAX);
}

static int read_all(const struct file_system *files, int file, char *to, size_t size, uint64_t offset,
		    bool cached)
{
	while (size > 0) {
		ssize_t got = cached ? files->ops->pread_cached(files->context, file, to, size, offset)
				     : files->ops->pread(files->context, file, to, size, offset);
		/* The thread will say what is wrong. Linux 5.9 and 5.10 give 0 for what is not in memory. */
		if (cached && got <= 0)
			return -EAGAIN;
		if (got < 0)
			return ERR_IO;
		if (got == 0)
			return ERR_CORRUPT; /* the segment is shorter than it was */
		to += got;
		offset += (uint64_t)got;
		size -= (size_t)got;
	}
	return 0;
}

static int fill_piece(const struct file_system *files, const struct body_piece *piece, char *to, bool cached)
{
	size_t size = record_size(piece->bytes);
	struct record record;
	int error = read_all(files, piece->file, to, size, piece->offset, cached);

	if (error != 0)
		return error;
	if (record_read(slice_make(to, size), piece->segment, piece->offset, &record) != 1 ||
	    record.kind != RECORD_BODY || record.length != piece->bytes)
		return ERR_CORRUPT;
	memmove(to, record.payload.data + piece->skip, piece->bytes - piece->skip);
	return 0;
}

int body_fill(const struct file_system *files, const struct body_job *job, char *to, bool cached)
{
	int error = 0;

	for (uint32_t i = 0; i < job->count && error == 0; i++) {
		error = fill_piece(files, &job->pieces[i], to, cached);
		to += job->pieces[i].bytes - job->pieces[i].skip;
	}
	return error;
}

void body_job_free(struct body_job *job)
{
	if (job == NULL)
		return;
	free(job->buffer);
	free(job);
}

static void run_job(const struct file_system *files, struct body_job *job)
{
	if (job->count > 0) {
		job->buffer = malloc(body_room(job));
		job->error = job->buffer != NULL ? body_fill(files, job, job->buffer, false) : ERR_MEMORY;
		job->bytes = slice_make(job->buffer, job->error == 0 ? job->size : 0);
	}
	if (job->ahead_bytes > 0)
		files->ops->advise(files->context, job->ahead_file, job->ahead_from, job->ahead_bytes);
}

/* --- the threads --------------------------------------------------------------------------------- */

bool reader_step(struct spool_reader *reader)
{
	pthread_mutex_lock(&reader->lock);
	struct list *node = list_first(&reader->queue);
	if (node != NULL) {
		list_remove(node);
		reader->busy++;
	}
	pthread_mutex_unlock(&reader->lock);
	if (node == NULL)
		return false;
	run_job(&reader->files, container_of(node, struct body_job, node));
	pthread_mutex_lock(&reader->lock);
	list_add_last(&reader->done, node);
	reader->done_count++;
	reader->busy--;
	pthread_cond_signal(&reader->finished);
	pthread_mutex_unlock(&reader->lock);
	return true;
}

static void *run(void *argument)
{
	struct spool_reader *reader = argument;

	for (;;) {
		pthread_mutex_lock(&reader->lock);
		while (!reader->stopping &&
		       (list_empty(&reader->queue) || reader->done_count >= READER_DONE_MAX))
			pthread_cond_wait(&reader->asked, &reader->lock);
		bool stop = reader->stopping;
		pthread_mutex_unlock(&reader->lock);
		if (stop)
			return NULL;
		if (reader_step(reader) && reader->wake != NULL)
			reader->wake(reader->wake_owner);
	}
}

int reader_start(struct spool_reader *reader, const struct file_system *files, bool threaded,
		 void (*wake)(void *owner), void *wake_owner)
{
	*reader = (struct spool_reader){
	    .files = *files, .wake = wake, .wake_owner = wake_owner, .threaded = threaded};
	pthread_mutex_init(&reader->lock, NULL);
	pthread_cond_init(&reader->asked, NULL);
	pthread_cond_init(&reader->finished, NULL);
	list_init(&reader->queue);
	list_init(&reader->done);
	while (threaded && reader->thread_count < READER_THREADS) {
		if (pthread_create(&reader->threads[reader->thread_count], NULL, run, reader) != 0) {
			reader_stop(reader);
			return ERR_MEMORY;
		}
		reader->thread_count++;
	}
	return 0;
}

void reader_stop(struct spool_reader *reader)
{
	pthread_mutex_lock(&reader->lock);
	reader->stopping = true;
	pthread_cond_broadcast(&reader->asked);
	pthread_mutex_unlock(&reader->lock);
	for (uint32_t i = 0; i < reader->thread_count; i++)
		(void)pthread_join(reader->threads[i], NULL);
	for (struct list *node; (node = list_first(&reader->queue)) != NULL;) {
		list_remove(node);
		list_add_last(&reader->done, node);
	}
	pthread_mutex_destroy(&reader->lock);
	pthread_cond_destroy(&reader->asked);
	pthread_cond_destroy(&reader->finished);
}

void reader_give(struct spool_reader *reader, struct body_job *job)
{
	pthread_mutex_lock(&reader->lock);
	list_add_last(&reader->queue, &job->node);
	pthread_cond_signal(&reader->asked);
	pthread_mutex_unlock(&reader->lock);
	if (!reader->threaded && reader->wake != NULL)
		reader->wake(reader->wake_owner);
}

struct body_job *reader_take(struct spool_reader *reader, bool wait)
{
	pthread_mutex_lock(&reader->lock);
	while (wait && reader->threaded && list_empty(&reader->done) &&
	       (reader->busy > 0 || !list_empty(&reader->queue)))
		pthread_cond_wait(&reader->finished, &reader->lock);
	struct list *node = list_first(&reader->done);
	if (node != NULL) {
		list_remove(node);
		if (reader->done_count-- == READER_DONE_MAX)
			pthread_cond_broadcast(&reader->asked);
	}
	pthread_mutex_unlock(&reader->lock);
	return node != NULL ? container_of(node, struct body_job, node) : NULL;
}
