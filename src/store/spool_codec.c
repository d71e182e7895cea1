#include "store/spool_codec.h"

#include "store/spool_record.h"

enum {
	EXTENT_BYTES = 16,
	RECIPIENT_BYTES_MIN = 4 + 4 + 4 + 4 + 1 + 4 + 8 + 4,
	CHANGE_BYTES_MIN = 4 + 1 + 4 + 8 + 4 + 4,
};

static int written(const struct wire_writer *w, size_t start)
{
	if (w->failed)
		return ERR_MEMORY;
	return buffer_size(w->to) - start <= RECORD_PAYLOAD_MAX ? 0 : ERR_LIMIT;
}

static int all_read(const struct wire_reader *r)
{
	return wire_ok(r) && r->rest.size == 0 ? 0 : ERR_CORRUPT;
}

/* A state and, only when there is one, a reason; as the first versions wrote it when there is none. */
enum { STATE_BITS = 0x3f, STATE_OF_GRACE = 0x40, STATE_HAS_REASON = 0x80 };

static void write_state(struct wire_writer *w, enum store_recipient_state state, uint8_t reason,
			bool of_grace)
{
	unsigned flags = (of_grace ? STATE_OF_GRACE : 0u) | (reason != 0 ? STATE_HAS_REASON : 0u);

	wire_write_u8(w, (uint8_t)((unsigned)state | flags));
	if (reason != 0)
		wire_write_u8(w, reason);
}

static enum store_recipient_state read_state(struct wire_reader *r, uint8_t *ret_reason, bool *ret_of_grace)
{
	uint8_t byte = wire_read_u8(r);

	*ret_reason = (byte & STATE_HAS_REASON) != 0 ? wire_read_u8(r) : 0;
	*ret_of_grace = (byte & STATE_OF_GRACE) != 0;
	return (enum store_recipient_state)(byte & STATE_BITS);
}

static void write_recipient(struct wire_writer *w, const struct store_recipient *r)
{
	wire_write_string(w, r->forward_path);
	wire_write_string(w, r->orcpt);
	wire_write_u32(w, r->domain);
	wire_write_u32(w, r->notify);
	write_state(w, r->state, r->reason, false);
	wire_write_u32(w, r->attempts);
	wire_write_i64(w, r->not_before_ms);
	wire_write_string(w, slice_upto(r->last_reply, STORE_REPLY_MAX));
}

static void write_envelope(struct wire_writer *w, const struct store_envelope *e)
{
	const struct slice strings[] = {e->reverse_path, e->envid, e->client_address,
					e->client_name,	 e->helo,  e->message_id};

	wire_write_u32(w, e->flags);
	wire_write_u8(w, (uint8_t)e->body);
	wire_write_i64(w, e->arrival_ms);
	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		wire_write_string(w, strings[i]);
	wire_write_u32(w, e->recipient_count);
	for (uint32_t i = 0; i < e->recipient_count; i++)
		write_recipient(w, &e->recipients[i]);
}

int spool_entry_encode(struct buffer *to, const struct spool_entry *entry)
{
	size_t start = buffer_size(to);
	struct wire_writer w = wire_writer(to);

	wire_write_u64(&w, entry->entry.id);
	wire_write_u64(&w, entry->entry.version);
	wire_write_u64(&w, entry->entry.body_bytes);
	wire_write_u32(&w, entry->extent_count);
	for (uint32_t i = 0; i < entry->extent_count; i++) {
		wire_write_u64(&w, entry->extents[i].segment);
		wire_write_u32(&w, entry->extents[i].offset);
		wire_write_u32(&w, entry->extents[i].bytes);
	}
	write_envelope(&w, &entry->entry.envelope);
	return written(&w, start);
}

/* No count may promise more than the bytes can hold: memory is taken for it before they are read. */
static int read_extents(struct wire_reader *r, struct arena *arena, struct spool_entry *entry)
{
	entry->extent_count = wire_read_u32(r);
	if (!wire_ok(r) || entry->extent_count > r->rest.size / EXTENT_BYTES)
		return ERR_CORRUPT;
	entry->extents = arena_alloc_array(arena, entry->extent_count, sizeof(struct extent));
	if (entry->extents == NULL)
		return ERR_MEMORY;
	for (uint32_t i = 0; i < entry->extent_count; i++) {
		entry->extents[i].segment = wire_read_u64(r);
		entry->extents[i].offset = wire_read_u32(r);
		entry->extents[i].bytes = wire_read_u32(r);
	}
	return 0;
}

static void read_recipient(struct wire_reader *r, struct store_recipient *to)
{
	bool of_grace; /* of changes only */

	to->forward_path = wire_read_string(r);
	to->orcpt = wire_read_string(r);
	to->domain = wire_read_u32(r);
	to->notify = wire_read_u32(r);
	to->state = read_state(r, &to->reason, &of_grace);
	to->attempts = wire_read_u32(r);
	to->not_before_ms = wire_read_i64(r);
	to->last_reply = wire_read_string(r);
}

static int read_envelope(struct wire_reader *r, struct arena *arena, struct store_envelope *e)
{
	struct slice *strings[] = {&e->reverse_path, &e->envid, &e->client_address,
				   &e->client_name,  &e->helo,	&e->message_id};

	e->flags = wire_read_u32(r);
	e->body = (enum store_body)wire_read_u8(r);
	e->arrival_ms = wire_read_i64(r);
	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		*strings[i] = wire_read_string(r);
	e->recipient_count = wire_read_u32(r);
	if (!wire_ok(r) || e->recipient_count > r->rest.size / RECIPIENT_BYTES_MIN)
		return ERR_CORRUPT;
	e->recipients = arena_alloc_array(arena, e->recipient_count, sizeof(*e->recipients));
	if (e->recipients == NULL)
		return ERR_MEMORY;
	for (uint32_t i = 0; i < e->recipient_count; i++)
		read_recipient(r, &e->recipients[i]);
	return all_read(r);
}

static bool extents_add_up(const struct spool_entry *entry)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < entry->extent_count; i++)
		sum += entry->extents[i].bytes;
	return sum == entry->entry.body_bytes;
}

int spool_entry_decode(struct slice bytes, struct arena *arena, struct spool_entry *ret_entry)
{
	struct wire_reader r = wire_reader(bytes);
	struct spool_entry entry = {.extents = NULL};

	entry.entry.id = wire_read_u64(&r);
	entry.entry.version = wire_read_u64(&r);
	entry.entry.body_bytes = wire_read_u64(&r);
	int error = read_extents(&r, arena, &entry);
	if (error == 0)
		error = read_envelope(&r, arena, &entry.entry.envelope);
	if (error != 0)
		return error;
	if (!entry_envelope_valid(&entry.entry.envelope) || !extents_add_up(&entry))
		return ERR_CORRUPT;
	*ret_entry = entry;
	return 0;
}

int spool_entry_resolve(struct spool_entry *entry, uint64_t segment, uint32_t record_offset)
{
	for (uint32_t i = 0; i < entry->extent_count; i++) {
		struct extent *e = &entry->extents[i];
		if (e->segment != 0)
			continue;
		if (e->offset > record_offset)
			return ERR_CORRUPT;
		e->segment = segment;
		e->offset = record_offset - e->offset;
	}
	return 0;
}

int spool_amend_encode(struct buffer *to, const struct spool_amend *amend)
{
	size_t start = buffer_size(to);
	struct wire_writer w = wire_writer(to);

	wire_write_u64(&w, amend->id);
	wire_write_u64(&w, amend->version);
	wire_write_i64(&w, amend->wall_ms);
	wire_write_u32(&w, amend->count);
	for (uint32_t i = 0; i < amend->count; i++) {
		const struct store_change *c = &amend->changes[i];
		wire_write_u32(&w, c->recipient);
		write_state(&w, c->state, c->reason, c->of_grace);
		wire_write_u32(&w, c->attempts);
		wire_write_i64(&w, c->not_before_ms);
		wire_write_string(&w, slice_upto(c->reply, STORE_REPLY_MAX));
		wire_write_string(&w, slice_upto(c->relay, STORE_REPLY_MAX));
	}
	return written(&w, start);
}

static void read_change(struct wire_reader *r, struct store_change *c)
{
	c->recipient = wire_read_u32(r);
	c->state = read_state(r, &c->reason, &c->of_grace);
	c->attempts = wire_read_u32(r);
	c->not_before_ms = wire_read_i64(r);
	c->reply = wire_read_string(r);
	c->relay = wire_read_string(r);
}

int spool_amend_decode(struct slice bytes, struct arena *arena, struct spool_amend *ret_amend)
{
	struct wire_reader r = wire_reader(bytes);
	struct spool_amend amend = {.changes = NULL};

	amend.id = wire_read_u64(&r);
	amend.version = wire_read_u64(&r);
	amend.wall_ms = wire_read_i64(&r);
	amend.count = wire_read_u32(&r);
	if (!wire_ok(&r) || amend.count > r.rest.size / CHANGE_BYTES_MIN)
		return ERR_CORRUPT;
	amend.changes = arena_alloc_array(arena, amend.count, sizeof(*amend.changes));
	if (amend.changes == NULL)
		return ERR_MEMORY;
	for (uint32_t i = 0; i < amend.count; i++)
		read_change(&r, &amend.changes[i]);
	if (all_read(&r) != 0 || !entry_changes_valid(amend.changes, amend.count))
		return ERR_CORRUPT;
	*ret_amend = amend;
	return 0;
}

int spool_end_encode(struct buffer *to, const struct store_end *end)
{
	size_t start = buffer_size(to);
	struct wire_writer w = wire_writer(to);
	const struct slice strings[] = {end->reverse_path, end->forward_path, end->message_id, end->reply,
					end->relay};

	wire_write_u64(&w, end->id);
	wire_write_i64(&w, end->accepted_ms);
	wire_write_i64(&w, end->ended_ms);
	wire_write_u8(&w, (uint8_t)end->state);
	wire_write_u8(&w, end->at_door);
	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		wire_write_string(&w, slice_upto(strings[i], ENTRY_STRING_MAX));
	return written(&w, start);
}

int spool_end_decode(struct slice bytes, struct store_end *ret_end)
{
	struct wire_reader r = wire_reader(bytes);
	struct store_end end = {.id = wire_read_u64(&r)};
	struct slice *strings[] = {&end.reverse_path, &end.forward_path, &end.message_id, &end.reply,
				   &end.relay};

	end.accepted_ms = wire_read_i64(&r);
	end.ended_ms = wire_read_i64(&r);
	end.state = (enum store_recipient_state)wire_read_u8(&r);
	end.at_door = wire_read_u8(&r) != 0;
	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		*strings[i] = wire_read_string(&r);
	if (all_read(&r) != 0)
		return ERR_CORRUPT;
	*ret_end = end;
	return 0;
}

int spool_pair_encode(struct buffer *to, struct slice key, struct slice value)
{
	size_t start = buffer_size(to);
	struct wire_writer w = wire_writer(to);

	wire_write_string(&w, key);
	wire_write_string(&w, value);
	return written(&w, start);
}

static int read_pair(struct wire_reader *r, struct store_pair *ret_pair)
{
	struct store_pair pair = {.key = wire_read_string(r)};

	pair.value = wire_read_string(r);
	if (all_read(r) != 0 || pair.key.size == 0 || pair.key.size > STORE_KEY_MAX ||
	    pair.value.size > STORE_VALUE_MAX)
		return ERR_CORRUPT;
	*ret_pair = pair;
	return 0;
}

int spool_pair_decode(struct slice bytes, struct store_pair *ret_pair)
{
	struct wire_reader r = wire_reader(bytes);

	return read_pair(&r, ret_pair);
}

int spool_pair_move_encode(struct buffer *to, uint64_t from_segment, struct slice key, struct slice value)
{
	struct wire_writer w = wire_writer(to);

	wire_write_u64(&w, from_segment);
	return w.failed ? ERR_MEMORY : spool_pair_encode(to, key, value);
}

int spool_pair_move_decode(struct slice bytes, uint64_t *ret_from_segment, struct store_pair *ret_pair)
{
	struct wire_reader r = wire_reader(bytes);
	uint64_t from_segment = wire_read_u64(&r);
	int error = read_pair(&r, ret_pair);

	if (error == 0)
		*ret_from_segment = from_segment;
	return error;
}

int spool_id_encode(struct buffer *to, uint64_t id)
{
	struct wire_writer w = wire_writer(to);

	wire_write_u64(&w, id);
	return w.failed ? ERR_MEMORY : 0;
}

int spool_id_decode(struct slice bytes, uint64_t *ret_id)
{
	struct wire_reader r = wire_reader(bytes);
	uint64_t id = wire_read_u64(&r);

	if (all_read(&r) != 0)
		return ERR_CORRUPT;
	*ret_id = id;
	return 0;
}

uint64_t extent_log_bytes(const struct extent *extent)
{
	uint64_t full = extent->bytes / FRAME_MAX;
	size_t rest = extent->bytes % FRAME_MAX;

	return full * record_size(FRAME_MAX) + (rest > 0 ? record_size(rest) : 0);
}
