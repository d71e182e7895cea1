#include "base/wire.h"

#include <string.h>

struct wire_reader wire_reader(struct slice bytes)
{
	return (struct wire_reader){.rest = bytes};
}

struct slice wire_read_bytes(struct wire_reader *r, size_t size)
{
	if (r->failed || size > r->rest.size) {
		r->failed = true;
		return (struct slice){.data = NULL, .size = 0};
	}
	struct slice bytes = slice_upto(r->rest, size);
	r->rest = slice_from(r->rest, size);
	return bytes;
}

static uint64_t read_little_endian(struct wire_reader *r, size_t size)
{
	struct slice bytes = wire_read_bytes(r, size);
	uint64_t value = 0;

	for (size_t i = bytes.size; i > 0; i--)
		value = value << 8 | (uint8_t)bytes.data[i - 1];
	return value;
}

uint8_t wire_read_u8(struct wire_reader *r)
{
	return (uint8_t)read_little_endian(r, 1);
}

uint16_t wire_read_u16(struct wire_reader *r)
{
	return (uint16_t)read_little_endian(r, 2);
}

uint32_t wire_read_u32(struct wire_reader *r)
{
	return (uint32_t)read_little_endian(r, 4);
}

uint64_t wire_read_u64(struct wire_reader *r)
{
	return read_little_endian(r, 8);
}

int64_t wire_read_i64(struct wire_reader *r)
{
	return (int64_t)read_little_endian(r, 8);
}

double wire_read_double(struct wire_reader *r)
{
	uint64_t bits = wire_read_u64(r);
	double value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

struct slice wire_read_string(struct wire_reader *r)
{
	return wire_read_bytes(r, wire_read_u32(r));
}

bool wire_ok(const struct wire_reader *r)
{
	return !r->failed;
}

struct wire_writer wire_writer(struct buffer *to)
{
	return (struct wire_writer){.to = to};
}

void wire_write_bytes(struct wire_writer *w, struct slice bytes)
{
	if (!w->failed && buffer_add(w->to, bytes) != 0)
		w->failed = true;
}

static void write_little_endian(struct wire_writer *w, uint64_t value, size_t size)
{
	char bytes[8];

	for (size_t i = 0; i < size; i++)
		bytes[i] = (char)(value >> (8 * i));
	wire_write_bytes(w, slice_make(bytes, size));
}

void wire_write_u8(struct wire_writer *w, uint8_t value)
{
	write_little_endian(w, value, 1);
}

void wire_write_u16(struct wire_writer *w, uint16_t value)
{
	write_little_endian(w, value, 2);
}

void wire_write_u32(struct wire_writer *w, uint32_t value)
{
	write_little_endian(w, value, 4);
}

void wire_write_u64(struct wire_writer *w, uint64_t value)
{
	write_little_endian(w, value, 8);
}

void wire_write_i64(struct wire_writer *w, int64_t value)
{
	write_little_endian(w, (uint64_t)value, 8);
}

void wire_write_double(struct wire_writer *w, double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	wire_write_u64(w, bits);
}

void wire_write_string(struct wire_writer *w, struct slice string)
{
	if (string.size > UINT32_MAX) {
		w->failed = true;
		return;
	}
	wire_write_u32(w, (uint32_t)string.size);
	wire_write_bytes(w, string);
}
