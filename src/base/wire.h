/* Reading and writing binary records with a sticky error.
 *
 * A reader that ran past the end, or met a value that cannot be, stays failed: every later read gives zero or
 * an empty slice, and wire_ok is asked once at the end. Integers are little-endian. Strings are a 32-bit size
 * and the bytes.
 */
#ifndef BASE_WIRE_H
#define BASE_WIRE_H

#include "base/buffer.h"

struct wire_reader {
	struct slice rest;
	bool failed;
};

struct wire_reader wire_reader(struct slice bytes);
uint8_t wire_read_u8(struct wire_reader *r);
uint16_t wire_read_u16(struct wire_reader *r);
uint32_t wire_read_u32(struct wire_reader *r);
uint64_t wire_read_u64(struct wire_reader *r);
int64_t wire_read_i64(struct wire_reader *r);
double wire_read_double(struct wire_reader *r);
struct slice wire_read_bytes(struct wire_reader *r, size_t size); /* into the bytes that are read */
struct slice wire_read_string(struct wire_reader *r);
bool wire_ok(const struct wire_reader *r);

struct wire_writer {
	struct buffer *to;
	bool failed; /* memory or the buffer's limit; what was appended so far stays */
};

struct wire_writer wire_writer(struct buffer *to);
void wire_write_u8(struct wire_writer *w, uint8_t value);
void wire_write_u16(struct wire_writer *w, uint16_t value);
void wire_write_u32(struct wire_writer *w, uint32_t value);
void wire_write_u64(struct wire_writer *w, uint64_t value);
void wire_write_i64(struct wire_writer *w, int64_t value);
void wire_write_double(struct wire_writer *w, double value);
void wire_write_bytes(struct wire_writer *w, struct slice bytes);
void wire_write_string(struct wire_writer *w, struct slice string);

#endif
