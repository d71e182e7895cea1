#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { BUFFER_FIRST_BYTES = 256 };

void buffer_init(struct buffer *buffer, size_t limit_bytes)
{
	*buffer = (struct buffer){.limit_bytes = limit_bytes};
}

void buffer_deinit(struct buffer *buffer)
{
	free(buffer->bytes);
	*buffer = (struct buffer){.limit_bytes = buffer->limit_bytes};
}

void buffer_reset(struct buffer *buffer)
{
	buffer->start = 0;
	buffer->end = 0;
}

size_t buffer_size(const struct buffer *buffer)
{
	return buffer->end - buffer->start;
}

struct slice buffer_slice(const struct buffer *buffer)
{
	if (buffer->bytes == NULL)
		return (struct slice){.data = NULL, .size = 0};
	return slice_make(buffer->bytes + buffer->start, buffer_size(buffer));
}

void buffer_consume(struct buffer *buffer, size_t size)
{
	check(size <= buffer_size(buffer));
	buffer->start += size;
	if (buffer->start == buffer->end)
		buffer_reset(buffer);
}

void buffer_truncate(struct buffer *buffer, size_t size)
{
	check(size <= buffer_size(buffer));
	buffer->end = buffer->start + size;
}

static void move_to_front(struct buffer *buffer)
{
	size_t held = buffer_size(buffer);

	if (held > 0)
		memmove(buffer->bytes, buffer->bytes + buffer->start, held);
	buffer->start = 0;
	buffer->end = held;
}

static int grow(struct buffer *buffer, size_t needed)
{
	size_t capacity = buffer->capacity > 0 ? buffer->capacity : BUFFER_FIRST_BYTES;

	while (capacity < needed)
		capacity = capacity > SIZE_MAX / 2 ? needed : capacity * 2;
	char *bytes = realloc(buffer->bytes, capacity);
	if (bytes == NULL)
		return ERR_MEMORY;
	buffer->bytes = bytes;
	buffer->capacity = capacity;
	return 0;
}

static int make_room(struct buffer *buffer, size_t size)
{
	size_t held = buffer_size(buffer);

	if (size > SIZE_MAX - held || (buffer->limit_bytes != 0 && held + size > buffer->limit_bytes))
		return ERR_LIMIT;
	if (buffer->capacity - buffer->end >= size)
		return 0;
	/* Moving is worth it when at least half of the memory lies unused in front: amortised O(1). */
	if (buffer->start >= buffer->capacity / 2 && buffer->capacity - held >= size) {
		move_to_front(buffer);
		return 0;
	}
	int error = grow(buffer, buffer->end + size);
	return error;
}

char *buffer_reserve(struct buffer *buffer, size_t size)
{
	if (make_room(buffer, size > 0 ? size : 1) != 0)
		return NULL;
	return buffer->bytes + buffer->end;
}

void buffer_commit(struct buffer *buffer, size_t size)
{
	check(size <= buffer->capacity - buffer->end);
	buffer->end += size;
}

int buffer_append(struct buffer *buffer, const void *data, size_t size)
{
	if (size == 0)
		return 0;
	int error = make_room(buffer, size);
	if (error != 0)
		return error;
	memcpy(buffer->bytes + buffer->end, data, size);
	buffer->end += size;
	return 0;
}

int buffer_add(struct buffer *buffer, struct slice s)
{
	return buffer_append(buffer, s.data, s.size);
}

int buffer_printf(struct buffer *buffer, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	int size = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	check(size >= 0);

	int error = make_room(buffer, (size_t)size + 1);
	if (error != 0)
		return error;
	va_start(arguments, format);
	(void)vsnprintf(buffer->bytes + buffer->end, (size_t)size + 1, format, arguments);
	va_end(arguments);
	buffer->end += (size_t)size;
	return 0;
}
