#include "store/spool_segment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "store/spool_log.h"

enum {
	SEGMENT_FIRST = 16,
	SEGMENT_FILES_MAX = 64, /* open for reading: a drain goes through a few at a time */
};

void segments_init(struct segment_table *table, const struct file_system *files)
{
	*table = (struct segment_table){.files = *files};
}

void segments_deinit(struct segment_table *table)
{
	for (size_t i = 0; i < table->count; i++)
		segments_close_file(table, &table->rows[i]);
	free(table->rows);
	table->rows = NULL;
	table->count = 0;
}

/* Index of the first row with this number or a larger one. */
static size_t from(const struct segment_table *table, uint64_t number)
{
	size_t low = 0, high = table->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (table->rows[middle].number >= number)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

struct segment *segments_find(const struct segment_table *table, uint64_t number)
{
	size_t at = from(table, number);

	return at < table->count && table->rows[at].number == number ? &table->rows[at] : NULL;
}

struct segment *segments_make(struct segment_table *table, uint64_t number)
{
	struct segment *found = segments_find(table, number);

	if (found != NULL)
		return found;
	if (table->count == table->capacity) {
		size_t capacity = table->capacity > 0 ? table->capacity * 2 : SEGMENT_FIRST;
		struct segment *rows = realloc(table->rows, capacity * sizeof(*rows));
		if (rows == NULL)
			return NULL;
		table->rows = rows;
		table->capacity = capacity;
	}
	size_t at = from(table, number);
	memmove(table->rows + at + 1, table->rows + at, (table->count - at) * sizeof(*table->rows));
	table->rows[at] = (struct segment){.number = number, .file = -1, .dirty = true};
	table->count++;
	return &table->rows[at];
}

int segments_extend(struct segment_table *table, uint64_t number, uint32_t end)
{
	struct segment *s = segments_make(table, number);

	if (s == NULL)
		return ERR_MEMORY;
	if (end > s->bytes) {
		s->bytes = end;
		s->dirty = true;
	}
	return 0;
}

static void count_live(struct segment_table *table, uint64_t number, uint64_t bytes)
{
	struct segment *s = segments_find(table, number);

	check(s != NULL && !s->gone);
	s->live++;
	s->live_bytes += bytes;
	s->dirty = true;
}

static void free_early(struct segment_table *table, struct segment *s);

static void count_dead(struct segment_table *table, uint64_t number, uint64_t bytes)
{
	struct segment *s = segments_find(table, number);

	check(s != NULL && s->live > 0 && s->live_bytes >= bytes);
	s->live--;
	s->live_bytes -= bytes;
	s->dirty = true;
	free_early(table, s);
}

static void free_early(struct segment_table *table, struct segment *s)
{
#ifdef DEFECT_FREE_EARLY
	char name[FILE_NAME_SIZE];
	log_name(s->number, name);
	if (s->live == 0 && s->number < table->rows[table->count - 1].number)
		(void)table->files.ops->unlink(table->files.context, name);
#endif
	(void)table;
	(void)s;
}

void segments_live(struct segment_table *table, const struct extent *extents, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		count_live(table, extents[i].segment, extent_log_bytes(&extents[i]));
}

void segments_dead(struct segment_table *table, const struct extent *extents, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		count_dead(table, extents[i].segment, extent_log_bytes(&extents[i]));
}

static uint64_t pair_log_bytes(struct slice key, struct slice value)
{
	return record_size(2 * sizeof(uint32_t) + key.size + value.size);
}

void segments_live_pair(struct segment_table *table, uint64_t number, struct slice key, struct slice value)
{
	count_live(table, number, pair_log_bytes(key, value));
}

void segments_dead_pair(struct segment_table *table, uint64_t number, struct slice key, struct slice value)
{
	count_dead(table, number, pair_log_bytes(key, value));
}

void segments_pin(struct segment_table *table, const struct extent *extent, int by)
{
	struct segment *s = segments_find(table, extent->segment);

	check(s != NULL && (by > 0 || s->pins > 0));
	s->pins = by > 0 ? s->pins + 1 : s->pins - 1;
}

int segments_hold(struct segment_table *table, uint64_t number)
{
	struct segment *s = segments_find(table, number);

	if (s == NULL || s->gone || s->leaving)
		return ERR_MISSING;
	s->readers++;
	return 0;
}

void segments_release(struct segment_table *table, uint64_t number)
{
	struct segment *s = segments_find(table, number);

	check(s != NULL && !s->gone && s->readers > 0);
	s->readers--;
}

void segments_close_file(struct segment_table *table, struct segment *segment)
{
	if (segment->file < 0)
		return;
	table->files.ops->close(table->files.context, segment->file);
	segment->file = -1;
	table->open_files--;
}

static void close_longest_unread(struct segment_table *table)
{
	struct segment *oldest = NULL;

	for (size_t i = 0; i < table->count; i++)
		if (table->rows[i].file >= 0 && table->rows[i].readers == 0 &&
		    (oldest == NULL || table->rows[i].last_read < oldest->last_read))
			oldest = &table->rows[i];
	if (oldest != NULL)
		segments_close_file(table, oldest);
}

int segments_file(struct segment_table *table, uint64_t number)
{
	struct segment *s = segments_find(table, number);
	char name[FILE_NAME_SIZE];

	if (s == NULL)
		return -ENOENT;
	s->last_read = ++table->reads;
	if (s->file >= 0)
		return s->file;
	if (table->open_files >= SEGMENT_FILES_MAX)
		close_longest_unread(table);
	log_name(number, name);
	int file = table->files.ops->open(table->files.context, name, FILE_READ);
	if (file < 0)
		return file;
	s->file = file;
	table->open_files++;
	return file;
}

void segments_drop(struct segment_table *table, uint64_t number)
{
	struct segment *s = segments_find(table, number);

	if (s == NULL)
		return;
	segments_close_file(table, s);
	size_t at = (size_t)(s - table->rows);
	memmove(table->rows + at, table->rows + at + 1, (table->count - at - 1) * sizeof(*table->rows));
	table->count--;
}

void segments_sum(const struct segment_table *table, uint64_t *ret_bytes, uint64_t *ret_live_bytes)
{
	*ret_bytes = 0;
	*ret_live_bytes = 0;
	for (size_t i = 0; i < table->count; i++) {
		*ret_bytes += table->rows[i].gone ? 0 : table->rows[i].bytes;
		*ret_live_bytes += table->rows[i].live_bytes;
	}
}
