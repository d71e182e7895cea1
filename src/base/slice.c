#include "base/slice.h"

#include <string.h>

#include "base/error.h"

struct slice slice_of(const char *string)
{
	return (struct slice){.data = string, .size = string != NULL ? strlen(string) : 0};
}

struct slice slice_make(const void *data, size_t size)
{
	return (struct slice){.data = data, .size = size};
}

struct slice slice_from(struct slice s, size_t from)
{
	if (s.data == NULL || from == 0)
		return s;
	if (from > s.size)
		from = s.size;
	return (struct slice){.data = s.data + from, .size = s.size - from};
}

struct slice slice_upto(struct slice s, size_t size)
{
	if (size < s.size)
		s.size = size;
	return s;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct slice slice_trim(struct slice s)
{
	while (s.size > 0 && is_blank(s.data[0]))
		s = slice_from(s, 1);
	while (s.size > 0 && is_blank(s.data[s.size - 1]))
		s.size--;
	return s;
}

static char fold(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool equal_nocase(const char *a, const char *b, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (fold(a[i]) != fold(b[i]))
			return false;
	return true;
}

bool slice_equal(struct slice a, struct slice b)
{
	return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

bool slice_equal_nocase(struct slice a, struct slice b)
{
	return a.size == b.size && equal_nocase(a.data, b.data, a.size);
}

bool slice_starts(struct slice s, struct slice prefix)
{
	return s.size >= prefix.size && slice_equal(slice_upto(s, prefix.size), prefix);
}

bool slice_starts_nocase(struct slice s, struct slice prefix)
{
	return s.size >= prefix.size && equal_nocase(s.data, prefix.data, prefix.size);
}

bool slice_contains_nocase(struct slice s, struct slice word)
{
	if (word.size == 0)
		return true;
	for (size_t i = 0; i + word.size <= s.size; i++)
		if (equal_nocase(s.data + i, word.data, word.size))
			return true;
	return false;
}

int slice_compare(struct slice a, struct slice b)
{
	size_t shorter = a.size < b.size ? a.size : b.size;
	int order = shorter > 0 ? memcmp(a.data, b.data, shorter) : 0;

	if (order != 0 || a.size == b.size)
		return order;
	return a.size < b.size ? -1 : 1;
}

size_t slice_find(struct slice s, char byte)
{
	const char *at = s.size > 0 ? memchr(s.data, byte, s.size) : NULL;

	return at != NULL ? (size_t)(at - s.data) : s.size;
}

size_t slice_find_last(struct slice s, char byte)
{
	for (size_t i = s.size; i > 0; i--)
		if (s.data[i - 1] == byte)
			return i - 1;
	return s.size;
}

bool slice_split(struct slice *s, char separator, struct slice *ret_part)
{
	if (s->data == NULL)
		return false;

	size_t at = slice_find(*s, separator);
	*ret_part = slice_upto(*s, at);
	if (at < s->size)
		*s = slice_from(*s, at + 1);
	else
		*s = (struct slice){.data = NULL, .size = 0};
	return true;
}

int slice_to_u64(struct slice s, uint64_t *ret_value)
{
	uint64_t value = 0;

	if (s.size == 0)
		return ERR_SYNTAX;
	for (size_t i = 0; i < s.size; i++) {
		if (s.data[i] < '0' || s.data[i] > '9')
			return ERR_SYNTAX;
		uint64_t digit = (uint64_t)(s.data[i] - '0');
		if (value > (UINT64_MAX - digit) / 10)
			return ERR_LIMIT;
		value = value * 10 + digit;
	}
	*ret_value = value;
	return 0;
}
