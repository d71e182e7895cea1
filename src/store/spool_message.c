/* Receiving a message: frames of its body, buffered or already on their way to the log, then the END that
 * makes it whole.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "store/spool_internal.h"

static struct spool_message *message_of(struct store_message *message)
{
	return (struct spool_message *)message;
}

struct spool_message *message_new(struct spool *spool)
{
	struct spool_message *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->spool = spool;
	m->version = 1;
	buffer_init(&m->run, 0);
	list_add_last(&spool->messages, &m->node);
	list_init(&m->room_node);
	return m;
}

void message_free(struct spool_message *message)
{
	struct spool *spool = message->spool;

	check(message->frames_in_flight == 0);
	for (uint32_t i = 0; i < message->extent_count; i++)
		segments_pin(&spool->segments, &message->extents[i], -1);
	spool->memory_used -= message->in_flight_bytes;
	list_remove(&message->node);
	list_remove(&message->room_node);
	buffer_deinit(&message->run);
	buffer_deinit(&message->write.run);
	arena_deinit(&message->arena);
	free(message->extents);
	free(message);
}

int spool_begin(struct store *store, uint64_t size_hint_bytes, struct store_message **ret_message)
{
	struct spool *spool = spool_of(store);
	struct spool_log *log = &spool->writer.log;

	if (spool_dead(spool))
		return ERR_IO;
	if (spool_checkpoint_holds_up(spool)) {
		spool->refused_begins++;
		log_check_space(log);
		spool_wake(spool);
		return ERR_LIMIT;
	}
	/* That little is left may have been seen by somebody who only looked. */
	if (atomic_load(&log->full) || atomic_load(&log->free_bytes) < spool->config.reserve_bytes)
		log_check_space(log);
	if (atomic_load(&log->full) ||
	    size_hint_bytes + spool->config.reserve_bytes > atomic_load(&log->free_bytes))
		return ERR_LIMIT;
	struct spool_message *m = message_new(spool);
	if (m == NULL)
		return ERR_MEMORY;
	*ret_message = (struct store_message *)m;
	return 0;
}

/* --- the body ------------------------------------------------------------------------------------ */

static int account(struct spool_message *m, size_t before)
{
	size_t after = buffer_size(&m->run);

	m->in_flight_bytes += after - before;
	m->spool->memory_used += after - before;
	return 0;
}

static int finish_frame(struct spool_message *m)
{
	size_t before = buffer_size(&m->run);

	if (!m->frame_open)
		return 0;
	if (record_finish(&m->run, m->frame_at, RECORD_BODY) != 0)
		return ERR_MEMORY;
	m->frame_open = false;
	return account(m, before);
}

/* Sends what is buffered on its way to the log. Its place is needed before the END can be written. */
static int flush(struct spool_message *m)
{
	struct spool_write *w;

	if (finish_frame(m) != 0)
		return ERR_MEMORY;
	if (m->run_body_bytes == 0)
		return 0;
	w = calloc(1, sizeof(*w));
	if (w == NULL)
		return ERR_MEMORY;
	*w = (struct spool_write){.run = m->run, .kind = RECORD_BODY, .grows = !m->moves, .message = m};
	w->last_at =
	    (uint32_t)m->run_body_bytes; /* a frame's payload means nothing: the number of body bytes */
	buffer_init(&m->run, 0);
	m->run_body_bytes = 0;
	m->frames_in_flight++;
	if (m->moves) {
		spool_compact_queue(m->spool, w);
	} else {
		w->seq = ++m->spool->asked_seq;
		writer_queue(&m->spool->writer, w);
	}
	return 0;
}

static int open_frame(struct spool_message *m, size_t expected)
{
	size_t before = buffer_size(&m->run);

	if (m->frame_open)
		return 0;
	/* Room for the whole frame at once, and for the END of an ordinary envelope, saves growing in steps.
	 */
	if (buffer_reserve(&m->run, (expected < FRAME_MAX ? expected : FRAME_MAX) + 1024) == NULL ||
	    record_begin(&m->run, &m->frame_at) != 0)
		return ERR_MEMORY;
	m->frame_open = true;
	return account(m, before);
}

static int append_to_frame(struct spool_message *m, struct slice *bytes)
{
	int error = open_frame(m, bytes->size);

	if (error != 0)
		return error;
	size_t held = buffer_size(&m->run) - m->frame_at - RECORD_HEADER_BYTES;
	size_t taken = FRAME_MAX - held < bytes->size ? FRAME_MAX - held : bytes->size;
	if (buffer_append(&m->run, bytes->data, taken) != 0)
		return ERR_MEMORY;
	m->run_body_bytes += taken;
	m->body_bytes += taken;
	m->in_flight_bytes += taken;
	m->spool->memory_used += taken;
	*bytes = slice_from(*bytes, taken);
	return held + taken == FRAME_MAX ? finish_frame(m) : 0;
}

int spool_append(struct store_message *message, struct slice bytes)
{
	struct spool_message *m = message_of(message);

	check(m->phase == MESSAGE_OPEN);
	if (spool_dead(m->spool))
		return ERR_IO;
	/* Only when there is more: the last frames go with the END, whose segment is kept for their sake. */
	while (bytes.size > 0 && m->error == 0) {
		if (m->run_body_bytes >= MESSAGE_FLUSH_BYTES)
			m->error = flush(m);
		if (m->error == 0)
			m->error = append_to_frame(m, &bytes);
	}
	return m->error;
}

static size_t credit_of(const struct spool_message *m)
{
	bool short_of_memory = m->spool->memory_used > m->spool->config.memory_bytes;
	size_t limit = short_of_memory ? FRAME_MAX : MESSAGE_CREDIT_BYTES;

	return m->in_flight_bytes < limit ? limit - m->in_flight_bytes : 0;
}

size_t spool_credit(struct store_message *message, void (*room)(void *owner), void *owner)
{
	struct spool_message *m = message_of(message);
	size_t credit = credit_of(m);

	if (credit > 0 || m->error != 0)
		return credit > 0 ? credit : FRAME_MAX; /* an error is told by append */
	/* What is buffered must move, or nobody would ever make room. */
	if (m->frames_in_flight == 0 && flush(m) != 0)
		return FRAME_MAX;
	m->room = room;
	m->room_owner = owner;
	if (!list_linked(&m->room_node))
		list_add_last(&m->spool->rooms, &m->room_node);
	return 0;
}

void spool_call_rooms(struct spool *spool)
{
	struct list ready;

	list_init(&ready);
	list_each_safe(node, after, &spool->rooms) {
		struct spool_message *m = container_of(node, struct spool_message, room_node);
		/* What is buffered behind frames that are through must move too, or it would wait for itself.
		 */
		if (credit_of(m) == 0 && m->error == 0 && m->frames_in_flight == 0)
			m->error = flush(m);
		if (credit_of(m) == 0 && m->error == 0)
			continue;
		list_remove(node);
		list_add_last(&ready, node);
	}
	for (struct list *node; (node = list_first(&ready)) != NULL;) {
		struct spool_message *m = container_of(node, struct spool_message, room_node);
		list_remove(node);
		if (m->room != NULL)
			m->room(m->room_owner);
	}
}

/* --- the end ------------------------------------------------------------------------------------- */

static int add_extent(struct spool_message *m, struct extent extent)
{
	if (m->extent_count == m->extent_capacity) {
		uint32_t capacity = m->extent_capacity > 0 ? m->extent_capacity * 2 : 8;
		struct extent *extents = realloc(m->extents, capacity * sizeof(*extents));
		if (extents == NULL)
			return ERR_MEMORY;
		m->extents = extents;
		m->extent_capacity = capacity;
	}
	m->extents[m->extent_count++] = extent;
	return 0;
}

/* The prefix is known last and read first: a frame of its own behind those of the body. Offsets still count
 * from the front of the run; its first byte and its place before the END are told apart below. */
static int put_prefix(struct spool_message *m, struct extent *extents, uint32_t *count)
{
	for (size_t at = 0; at < m->prefix.size; at += FRAME_MAX) {
		size_t frame;
		struct slice piece = slice_upto(slice_from(m->prefix, at), FRAME_MAX);
		if (record_begin(&m->run, &frame) != 0 || buffer_add(&m->run, piece) != 0 ||
		    record_finish(&m->run, frame, RECORD_BODY) != 0)
			return ERR_MEMORY;
		if (at == 0)
			extents[(*count)++] =
			    (struct extent){.offset = (uint32_t)frame, .bytes = (uint32_t)m->prefix.size};
	}
	return 0;
}

static int put_end(struct spool_message *m, struct extent *extents, uint32_t count)
{
	size_t at;
	struct spool_entry entry = {
	    .entry = {.id = m->id,
		      .version = m->version,
		      .body_bytes = m->body_bytes + m->prefix.size,
		      .envelope = m->envelope},
	    .extents = extents,
	    .extent_count = count,
	};
	enum record_kind kind = m->moves ? RECORD_MOVE : RECORD_END;

	if (record_begin(&m->run, &at) != 0)
		return ERR_MEMORY;
	for (uint32_t i = 0; i < count; i++)
		if (extents[i].segment == 0)
			extents[i].offset = (uint32_t)at - extents[i].offset;
	int error = spool_entry_encode(&m->run, &entry);
	if (error == 0)
		error = record_finish(&m->run, at, kind);
	m->write.last_at = (uint32_t)at;
	m->write.kind = kind;
	return error;
}

/* All that is left of the message as one run: open frame, prefix, END. */
static int build_run(struct spool_message *m)
{
	uint32_t count = 0;
	struct extent *extents = arena_alloc_array(&m->arena, m->extent_count + 2, sizeof(*extents));

	if (extents == NULL || finish_frame(m) != 0)
		return ERR_MEMORY;
	uint32_t own = (uint32_t)m->run_body_bytes;
	int error = put_prefix(m, extents, &count);
	if (error != 0)
		return error;
	for (uint32_t i = 0; i < m->extent_count; i++)
		extents[count++] = m->extents[i];
	/* The segment of the END is always among those of the message, were it for no byte: nothing else
	 * keeps it from being freed, and without its END the message would be lost with the index. */
	if (own > 0)
		extents[count++] = (struct extent){.offset = 0, .bytes = own};
	else if (m->prefix.size == 0)
		extents[count++] = (struct extent){.offset = (uint32_t)buffer_size(&m->run), .bytes = 0};
	return put_end(m, extents, count);
}

static void fail(struct spool_message *m, enum store_reason reason)
{
	spool_answer(m->spool, m->done, STORE_FAILED, reason);
	message_free(m);
}

/* Every frame has its place: the END can be written. */
static void write_end(struct spool_message *m)
{
	size_t before = buffer_size(&m->run);
	int error = m->error != 0 ? m->error : build_run(m);

	if (error != 0) {
		enum store_reason reason = m->reason;
		if (reason == STORE_REASON_NONE && error == ERR_MEMORY)
			reason = STORE_REASON_MEMORY;
		fail(m, reason);
		return;
	}
	(void)account(m, before);
	m->write.run = m->run;
	buffer_init(&m->run, 0);
	m->write.grows = !m->moves;
	m->write.message = m;
	m->write.embedded = true;
	m->write.done = m->done;
	m->phase = MESSAGE_WRITING;
	write_submit(m->spool, &m->write, m->id);
}

/* Whether the END is in the log is not known. An ABORT behind it settles that: then it is not. */
static void undo(struct spool_message *m, struct done done, enum store_result undone)
{
	m->done = done;
	m->undone = undone;
	buffer_reset(&m->run);
	if (record_begin(&m->run, &m->frame_at) != 0 || spool_id_encode(&m->run, m->id) != 0 ||
	    record_finish(&m->run, m->frame_at, RECORD_ABORT) != 0) {
		spool_answer(m->spool, done, STORE_UNKNOWN, STORE_REASON_MEMORY);
		return;
	}
	buffer_deinit(&m->write.run);
	m->write = (struct spool_write){.run = m->run,
					.kind = RECORD_ABORT,
					.last_at = (uint32_t)m->frame_at,
					.message = m,
					.embedded = true};
	buffer_init(&m->run, 0);
	m->phase = MESSAGE_UNDOING;
	write_submit(m->spool, &m->write, m->id);
}

void spool_commit(struct store_message *message, uint64_t id, const struct store_envelope *envelope,
		  struct slice prefix, store_done *done, void *owner)
{
	struct spool_message *m = message_of(message);

	if (m->phase == MESSAGE_UNSURE) {
		undo(m, done_plain(done, owner), STORE_FAILED);
		return;
	}
	check(m->phase == MESSAGE_OPEN);
	m->done = done_plain(done, owner);
	list_remove(&m->room_node);
	m->id = id;
	m->prefix = prefix;
	m->envelope = *envelope;
	if (!entry_envelope_valid(envelope)) {
		m->error = ERR_LIMIT;
		m->reason = STORE_REASON_NONE;
	}
	if (m->frames_in_flight == 0) {
		write_end(m);
		return;
	}
	m->phase = MESSAGE_WAITING;
	if (m->error == 0 && (entry_envelope_copy(&m->arena, envelope, &m->envelope) != 0 ||
			      arena_copy(&m->arena, prefix, &m->prefix) != 0)) {
		m->error = ERR_MEMORY;
		m->reason = STORE_REASON_MEMORY;
	}
}

void message_frames_done(struct spool_message *message, const struct spool_write *write)
{
	struct extent extent = {
	    .segment = write->at.segment, .offset = write->at.offset, .bytes = write->last_at};
	uint64_t bytes = buffer_size(&write->run);

	message->frames_in_flight--;
	message->in_flight_bytes -= bytes;
	message->spool->memory_used -= bytes;
	if (write->result != STORE_OK && message->error == 0) {
		message->error = write->reason == STORE_REASON_FULL ? ERR_LIMIT : ERR_IO;
		message->reason = write->reason;
	}
	if (message->error == 0) {
		message->error = add_extent(message, extent);
		if (message->error == 0)
			segments_pin(&message->spool->segments, &extent, +1);
		else
			message->reason = STORE_REASON_MEMORY;
	}
	if (message->frames_in_flight > 0)
		return;
	if (message->phase == MESSAGE_WAITING)
		write_end(message);
	else if (message->phase == MESSAGE_ABORTED)
		message_free(message);
}

void message_end_done(struct spool_message *message, enum store_result result, enum store_reason reason)
{
	struct done done = message->done;

	if (message->phase == MESSAGE_UNDOING)
		result = result == STORE_OK ? message->undone : STORE_UNKNOWN;
	if (result == STORE_FAILED && message->phase == MESSAGE_UNDOING)
		reason = STORE_REASON_IO;
	if (result == STORE_UNKNOWN)
		message->phase = MESSAGE_UNSURE;
	else
		message_free(message);
	done_result(&done, result, reason);
}

void spool_abort(struct store_message *message, store_done *done, void *owner)
{
	struct spool_message *m = message_of(message);
	struct spool *spool = m->spool;

	if (m->phase == MESSAGE_UNSURE) {
		undo(m, done_plain(done, owner), STORE_OK);
		return;
	}
	check(m->phase == MESSAGE_OPEN);
	list_remove(&m->room_node);
	m->phase = MESSAGE_ABORTED;
	if (m->frames_in_flight == 0)
		message_free(m);
	spool_answer(spool, done_plain(done, owner), STORE_OK, STORE_REASON_NONE);
}
