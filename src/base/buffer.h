/* A growing queue of bytes: append at the end, consume from the front.
 *
 * Consuming is O(1); the space is taken back when the buffer empties or must grow. Slices of the content are
 * valid until the next append, consume or reset.
 */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include "base/error.h"
#include "base/slice.h"

struct buffer {
	char *bytes;
	size_t start, end, capacity;
	size_t limit_bytes; /* 0: none; of what is held at one time */
};

void buffer_init(struct buffer *buffer, size_t limit_bytes);
void buffer_deinit(struct buffer *buffer);
void buffer_reset(struct buffer *buffer); /* empty, memory kept */

size_t buffer_size(const struct buffer *buffer);
struct slice buffer_slice(const struct buffer *buffer);
void buffer_consume(struct buffer *buffer, size_t size);  /* size <= buffer_size */
void buffer_truncate(struct buffer *buffer, size_t size); /* keep the first size bytes */

/* ERR_MEMORY or ERR_LIMIT; nothing is appended then. */
nodiscard int buffer_append(struct buffer *buffer, const void *data, size_t size);
nodiscard int buffer_add(struct buffer *buffer, struct slice s);
nodiscard int buffer_printf(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Room for size more bytes at the returned place, then buffer_commit what was written there. NULL: no memory
 * or limit. */
nodiscard char *buffer_reserve(struct buffer *buffer, size_t size);
void buffer_commit(struct buffer *buffer, size_t size);

#endif
