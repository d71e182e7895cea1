#include "store/spool_log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

/* Seeded defects, each caught by the crash test in a build with -D of its name:
 *   DEFECT_SKIP_SYNC   a group commit is not synced (log_commit)
 *   DEFECT_FREE_EARLY  a segment is freed as soon as nothing in it lives, without a checkpoint
 * (spool_segment.c)
 */

enum { SPACE_CHECK_BYTES = 16 * 1024 * 1024 }; /* of log between two looks at the free space */
static const char reserve_name[] = "reserve";

void log_name(uint64_t segment, char ret_name[FILE_NAME_SIZE])
{
	(void)snprintf(ret_name, FILE_NAME_SIZE, "%016" PRIx64 ".log", segment);
}

bool log_name_parse(const char *name, uint64_t *ret_segment)
{
	uint64_t segment = 0;

	if (strlen(name) != 16 + 4 || strcmp(name + 16, ".log") != 0)
		return false;
	for (int i = 0; i < 16; i++) {
		bool decimal = name[i] >= '0' && name[i] <= '9';
		if (!decimal && (name[i] < 'a' || name[i] > 'f'))
			return false;
		segment = segment << 4 | (uint64_t)(decimal ? name[i] - '0' : name[i] - 'a' + 10);
	}
	*ret_segment = segment;
	return segment != 0;
}

/* --- space --------------------------------------------------------------------------------------- */

static bool wants_reserve(const struct spool_log *log)
{
	return log->reserve_bytes > 1;
}

static void make_reserve(struct spool_log *log)
{
	const struct file_system *f = &log->files;

	if (!wants_reserve(log) || log->reserved)
		return;
	int file = f->ops->open(f->context, reserve_name, FILE_WRITE | FILE_CREATE);
	if (file < 0)
		return;
	log->reserved = f->ops->allocate(f->context, file, log->reserve_bytes) == 0;
	if (!log->reserved)
		(void)f->ops->truncate(f->context, file, 0);
	f->ops->close(f->context, file);
}

/* One of an earlier life counts. */
static bool has_reserve(const struct spool_log *log)
{
	const struct file_system *f = &log->files;
	uint64_t size = 0;
	int file = f->ops->open(f->context, reserve_name, FILE_READ);

	if (file < 0)
		return false;
	int error = f->ops->size(f->context, file, &size);
	f->ops->close(f->context, file);
	return error == 0 && size > 0 && size >= log->reserve_bytes;
}

bool log_release_reserve(struct spool_log *log)
{
	const struct file_system *f = &log->files;

	pthread_mutex_lock(&log->lock);
	bool had = log->reserved;
	int file = had ? f->ops->open(f->context, reserve_name, FILE_WRITE) : -1;
	if (file >= 0) {
		log->reserved = f->ops->truncate(f->context, file, 0) != 0;
		f->ops->close(f->context, file);
	}
	pthread_mutex_unlock(&log->lock);
	atomic_store(&log->full, true);
	return had && file >= 0;
}

void log_look_at_space(struct spool_log *log, struct log_space *ret_space)
{
	uint64_t free_bytes;

	if (log->files.ops->free_bytes(log->files.context, &free_bytes) == 0)
		atomic_store(&log->free_bytes, free_bytes);
	free_bytes = atomic_load(&log->free_bytes);
	pthread_mutex_lock(&log->lock);
	*ret_space = (struct log_space){
	    .free_bytes = free_bytes > log->reserve_bytes ? free_bytes - log->reserve_bytes : 0,
	    .spare_bytes = (uint64_t)log->spare_count * log->segment_bytes,
	    .full = atomic_load(&log->full) ||
		    free_bytes<log->reserve_bytes, .reserve_gone = log->reserve_bytes> 1 && !log->reserved,
	};
	pthread_mutex_unlock(&log->lock);
}

static bool log_has_reserve(struct spool_log *log)
{
	pthread_mutex_lock(&log->lock);
	bool reserved = log->reserved;
	pthread_mutex_unlock(&log->lock);
	return reserved;
}

void log_check_space(struct spool_log *log)
{
	uint64_t free_bytes;

	if (log->files.ops->free_bytes(log->files.context, &free_bytes) != 0)
		return;
	atomic_store(&log->free_bytes, free_bytes);
	/* Some distance between full and not full, and room for the reserve itself. */
	bool full = atomic_load(&log->full);
	if (free_bytes >= 3 * log->reserve_bytes) {
		pthread_mutex_lock(&log->lock);
		make_reserve(log);
		pthread_mutex_unlock(&log->lock);
	}
	if (free_bytes < log->reserve_bytes)
		full = true;
	else if (free_bytes >= 2 * log->reserve_bytes && (log_has_reserve(log) || !wants_reserve(log)))
		full = false;
	atomic_store(&log->full, full);
}

int log_init(struct spool_log *log, const struct file_system *files, uint32_t segment_bytes,
	     uint64_t reserve_bytes)
{
	*log = (struct spool_log){
	    .files = *files,
	    .segment_bytes = segment_bytes,
	    .reserve_bytes = reserve_bytes,
	    .file = -1,
	};
	if (pthread_mutex_init(&log->lock, NULL) != 0)
		return ERR_MEMORY;
	log->reserved = has_reserve(log);
	log_check_space(log);
	return 0;
}

void log_set_next(struct spool_log *log, uint64_t next_segment)
{
	check(log->file < 0);
	log->tail = (struct position){.segment = next_segment - 1, .offset = 0};
}

int log_go_on(struct spool_log *log, struct position tail)
{
	char name[FILE_NAME_SIZE];

	check(log->file < 0);
	log_name(tail.segment, name);
	int file = log->files.ops->open(log->files.context, name, FILE_WRITE);
	if (file < 0)
		return file;
	log->file = file;
	log->tail = tail;
	return 0;
}

bool log_lacks_reserve(struct spool_log *log)
{
	return wants_reserve(log) && !log_has_reserve(log);
}

void log_deinit(struct spool_log *log)
{
	if (log->file >= 0)
		log->files.ops->close(log->files.context, log->file);
	pthread_mutex_destroy(&log->lock);
}

/* --- segments ------------------------------------------------------------------------------------ */

/* Blocks, and not only a name. */
static bool has_blocks(const struct spool_log *log, uint64_t segment)
{
	const struct file_system *f = &log->files;
	char name[FILE_NAME_SIZE];
	uint64_t size = 0;

	log_name(segment, name);
	int file = f->ops->open(f->context, name, FILE_READ);
	if (file < 0)
		return false;
	int error = f->ops->size(f->context, file, &size);
	f->ops->close(f->context, file);
	return error == 0 && size >= log->segment_bytes / 4;
}

bool log_give_spare(struct spool_log *log, uint64_t segment, uint32_t spares_max)
{
	pthread_mutex_lock(&log->lock);
	/* On a full disk space goes back to everybody, but for one segment that stands in for a reserve that
	 * is used. */
	uint32_t max = spares_max < LOG_SPARES_MAX ? spares_max : LOG_SPARES_MAX;
	if (atomic_load(&log->full))
		max = wants_reserve(log) && !log->reserved && max > 0 && has_blocks(log, segment);
	bool taken = log->spare_count < max;
	if (taken)
		log->spares[log->spare_count++] = segment;
	pthread_mutex_unlock(&log->lock);
	return taken;
}

bool log_is_spare(struct spool_log *log, uint64_t segment)
{
	bool found = false;

	pthread_mutex_lock(&log->lock);
	for (uint32_t i = 0; i < log->spare_count; i++)
		found = found || log->spares[i] == segment;
	pthread_mutex_unlock(&log->lock);
	return found;
}

uint32_t log_spares(struct spool_log *log)
{
	pthread_mutex_lock(&log->lock);
	uint32_t count = log->spare_count;
	pthread_mutex_unlock(&log->lock);
	return count;
}

static uint64_t take_spare(struct spool_log *log)
{
	uint64_t spare = 0;

	pthread_mutex_lock(&log->lock);
	if (log->spare_count > 0)
		spare = log->spares[--log->spare_count];
	pthread_mutex_unlock(&log->lock);
	return spare;
}

/* A written file is faster to write again than a new one to extend. What it held carries another segment
 * number. A spare may be gone: the index hears of a freed segment one checkpoint later, so after a crash in
 * between it is freed once more, though its file was used or removed then. */
static int reuse_spare(struct spool_log *log, const char *name)
{
	char old[FILE_NAME_SIZE];
	uint64_t spare;

	while ((spare = take_spare(log)) != 0) {
		log_name(spare, old);
		int error = log->files.ops->rename(log->files.context, old, name);
		if (error != -ENOENT)
			return error < 0 ? error : 1;
	}
	return 0;
}

/* The file itself, not its space: that would be gone when others fill the disk. */
static int use_reserve(struct spool_log *log, const char *name)
{
	int error = 0;

	pthread_mutex_lock(&log->lock);
	if (log->reserved) {
		error = log->files.ops->rename(log->files.context, reserve_name, name);
		log->reserved = error != 0;
	}
	pthread_mutex_unlock(&log->lock);
	return error;
}

/* A segment in which there is no room left for want of blocks is left behind for one that has them. */
static bool move_on(struct spool_log *log)
{
	pthread_mutex_lock(&log->lock);
	bool can = log->spare_count > 0 || log->reserved;
	pthread_mutex_unlock(&log->lock);
	log->moving_on = can;
	return can;
}

/* Nothing in it counts: the same number, another file. */
static int begin_again(struct spool_log *log)
{
	const struct file_system *f = &log->files;
	char name[FILE_NAME_SIZE];

	log_name(log->tail.segment, name);
	int error = f->ops->unlink(f->context, name);
	if (error < 0 && error != -ENOENT)
		return error;
	int file = f->ops->open(f->context, name, FILE_WRITE | FILE_CREATE);
	if (file < 0)
		return file;
	error = f->ops->sync_folder(f->context);
	if (error < 0) {
		f->ops->close(f->context, file);
		return error;
	}
	f->ops->close(f->context, log->file);
	log->file = file;
	log->file_failed = false;
	return 0;
}

static int next_segment(struct spool_log *log)
{
	const struct file_system *f = &log->files;
	char name[FILE_NAME_SIZE];

	if (log->file_failed && log->tail.offset == 0)
		return begin_again(log);
	log_name(log->tail.segment + 1, name);
	int error = reuse_spare(log, name);
	if (error == 0 && log->moving_on)
		error = use_reserve(log, name);
	if (error < 0)
		return error;
	int file = f->ops->open(f->context, name, FILE_WRITE | FILE_CREATE);
	if (file < 0)
		return file;
	error = f->ops->sync_folder(f->context);
	if (error < 0) {
		f->ops->close(f->context, file);
		return error;
	}
	if (log->file >= 0)
		f->ops->close(f->context, log->file);
	log->file = file;
	log->file_failed = false;
	log->moving_on = false;
	log->previous_end = log->tail.offset;
	log->tail = (struct position){.segment = log->tail.segment + 1, .offset = 0};
	return 0;
}

/* --- a group commit ------------------------------------------------------------------------------ */

static void set_results(struct list *writes, enum store_result result, enum store_reason reason)
{
	list_each(node, writes) {
		struct spool_write *w = container_of(node, struct spool_write, node);
		w->result = result;
		w->reason = reason;
	}
}

static uint32_t place(struct spool_log *log, struct list *writes, int *ret_count)
{
	uint32_t offset = log->tail.offset;
	int count = 0;

	list_each(node, writes) {
		struct spool_write *w = container_of(node, struct spool_write, node);
		struct slice run = buffer_slice(&w->run);
		check(count < LOG_BATCH_OPS && run.size < UINT32_MAX - offset);
		record_seal_all((char *)run.data, run.size, log->tail.segment, log->tail.offset, offset,
				log->tail.offset == 0 ? log->previous_end : 0);
		w->at = (struct position){.segment = log->tail.segment, .offset = offset};
		log->pieces[count++] = (struct iovec){.iov_base = (char *)run.data, .iov_len = run.size};
		offset += (uint32_t)run.size;
	}
	*ret_count = count;
	return offset;
}

static bool no_space(int error)
{
	return error == -ENOSPC || error == -EDQUOT || error == -EFBIG;
}

/* Nothing of a group commit that did not get its space may appear after a crash: what was written of it is
 * cut off. */
static int take_back(struct spool_log *log)
{
	const struct file_system *f = &log->files;
	int error = f->ops->truncate(f->context, log->file, log->tail.offset);

	return error < 0 ? error : f->ops->fdatasync(f->context, log->file);
}

static int sync_tail(struct spool_log *log)
{
#ifdef DEFECT_SKIP_SYNC
	return 0;
#endif
	return log->files.ops->fdatasync(log->files.context, log->file);
}

/* 0: durable. -ENOSPC and its like: nothing of it is there. Other errors: nobody knows, unless nothing was
 * written. */
static int write_and_sync(struct spool_log *log, struct list *writes, bool *ret_written)
{
	int count;

	*ret_written = false;
	if (log->file < 0 || log->file_failed || log->moving_on || log->tail.offset >= log->segment_bytes) {
		int error = next_segment(log);
		if (error < 0)
			return error;
	}
	uint32_t end = place(log, writes, &count);
	*ret_written = true;
	int error = file_write_all(&log->files, log->file, log->pieces, count, log->tail.offset);
	if (error < 0 && no_space(error)) {
		return take_back(log) < 0 ? -EIO : error; /* EIO: what was written of it may appear */
	}
	if (error == 0)
		error = sync_tail(log);
	if (error < 0)
		return no_space(error) ? -EIO
				       : error; /* delayed allocation failed: what was written is not known */
	log->since_space_check += end - log->tail.offset;
	log->tail.offset = end;
	return 0;
}

/* Takes out what asks for new space, and refuses it. */
static void refuse_growing(struct list *writes, struct list *refused)
{
	list_each_safe(node, after, writes) {
		if (!container_of(node, struct spool_write, node)->grows)
			continue;
		list_remove(node);
		list_add_last(refused, node);
	}
	set_results(refused, STORE_FAILED, STORE_REASON_FULL);
}

void log_die(struct spool_log *log, const char *why)
{
	const char *none = NULL;

	(void)atomic_compare_exchange_strong(&log->died_of, &none, why != NULL ? why : "unknown error");
	atomic_store(&log->dead, true);
}

static void give_result(struct spool_log *log, struct list *writes, int error, bool written)
{
	if (error == 0) {
		set_results(writes, STORE_OK, STORE_REASON_NONE);
	} else if (no_space(error)) {
		set_results(writes, STORE_FAILED, STORE_REASON_FULL);
	} else {
		log_die(log, strerrordesc_np(-error));
		log->file_failed = true;
		set_results(writes, written ? STORE_UNKNOWN : STORE_FAILED, STORE_REASON_IO);
	}
}

static void put_back(struct list *writes, struct list *others)
{
	for (struct list *node; (node = list_first(others)) != NULL;) {
		list_remove(node);
		list_add_first(writes, node);
	}
}

/* The disk has failed: nothing is taken any more. "This message never appears" is still tried, in a segment
 * that no failed sync has touched: when that much can be written, a sender whose message is in doubt can be
 * told that it was not taken. */
static void last_words(struct spool_log *log, struct list *writes)
{
	struct list others;
	bool written;

	list_init(&others);
	list_each_safe(node, after, writes) {
		if (container_of(node, struct spool_write, node)->kind == RECORD_ABORT)
			continue;
		list_remove(node);
		list_add_first(&others, node);
	}
	set_results(&others, STORE_FAILED, STORE_REASON_IO);
	if (!list_empty(writes))
		give_result(log, writes, write_and_sync(log, writes, &written), true);
	put_back(writes, &others);
}

void log_commit(struct spool_log *log, struct list *writes)
{
	struct list refused;
	bool written;

	list_init(&refused);
	if (atomic_load(&log->dead)) {
		last_words(log, writes);
		return;
	}
	int error = write_and_sync(log, writes, &written);
	if (no_space(error)) {
		atomic_store(&log->full, true);
		refuse_growing(writes, &refused);
		error = list_empty(writes) ? 0 : write_and_sync(log, writes, &written);
		for (int i = 0; i <= LOG_SPARES_MAX && no_space(error) && move_on(log); i++)
			error = write_and_sync(log, writes, &written);
	}
	give_result(log, writes, error, written);
	put_back(writes, &refused);
	if (log->since_space_check >= SPACE_CHECK_BYTES) {
		log->since_space_check = 0;
		log_check_space(log);
	}
}
