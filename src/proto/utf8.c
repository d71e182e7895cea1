#include "proto/utf8.h"

static bool continues(unsigned char c)
{
	return (c & 0xC0) == 0x80;
}

static bool all_continue(const unsigned char *p, size_t size)
{
	for (size_t i = 1; i < size; i++)
		if (!continues(p[i]))
			return false;
	return true;
}

/* By its first byte; C0 and C1 could only begin overlong forms. */
static size_t size_of_first(unsigned char c)
{
	if (c < 0x80)
		return 1;
	if (c >= 0xC2 && c <= 0xDF)
		return 2;
	if (c >= 0xE0 && c <= 0xEF)
		return 3;
	if (c >= 0xF0 && c <= 0xF4)
		return 4;
	return 0;
}

size_t utf8_char_size(struct slice s)
{
	const unsigned char *p = (const unsigned char *)s.data;

	if (s.size == 0)
		return 0;
	size_t size = size_of_first(p[0]);
	if (size <= 1)
		return size;
	if (size > s.size || !all_continue(p, size))
		return 0;
	bool overlong = (p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xF0 && p[1] < 0x90);
	bool surrogate = p[0] == 0xED && p[1] > 0x9F;
	bool beyond = p[0] == 0xF4 && p[1] > 0x8F;
	return overlong || surrogate || beyond ? 0 : size;
}

void utf8_repair(char *text, size_t size)
{
	size_t at = 0;

	while (at < size) {
		size_t step = utf8_char_size(slice_make(text + at, size - at));
		if (step == 0) {
			text[at] = '?';
			step = 1;
		}
		at += step;
	}
}
