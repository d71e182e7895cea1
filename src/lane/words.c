#include "lane/words.h"

#include <string.h>

/* --- cleaning --- */

static bool is_word_byte(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_blank(char c)
{
	return (c >= 0 && c <= ' ') || c == 0x7f;
}

/* What ends an address that stands without <>. */
static bool ends_address(char c)
{
	return is_blank(c) || strchr("<>()[],;:'\"", c) != NULL;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static void add(struct words_text *text, char c)
{
	if (is_blank(c))
		c = ' ';
	if (c == ' ' && (text->size == 0 || text->bytes[text->size - 1] == ' '))
		return;
	text->bytes[text->size++] = lower(c);
}

/* Past the '>' that closes what begins at from with a '<'; a quoted local part may have one of its own
 * (RFC 5321 §4.1.2). from when it is never closed. */
static size_t past_brackets(struct slice s, size_t from)
{
	bool quoted = false;

	for (size_t at = from + 1; at < s.size; at++) {
		char c = s.data[at];

		if (quoted && c == '\\')
			at++;
		else if (c == '"')
			quoted = !quoted;
		else if (c == '>' && !quoted)
			return at + 1;
	}
	size_t end = slice_find(slice_from(s, from), '>'); /* a quote that nobody closed */
	return end < s.size - from ? from + end + 1 : from;
}

/* Takes the local part before an '@' back. */
static void drop_local_part(struct words_text *text)
{
	if (text->size > 0 && text->bytes[text->size - 1] == '"') {
		text->size--;
		while (text->size > 0 && text->bytes[text->size - 1] != '"')
			text->size--;
		text->size -= text->size > 0;
		return;
	}
	while (text->size > 0 && !ends_address(text->bytes[text->size - 1]))
		text->size--;
}

/* Past the domain after the '@' at from. */
static size_t past_domain(struct slice s, size_t from)
{
	do
		from++;
	while (from < s.size && !ends_address(s.data[from]));
	return from;
}

void words_clean(struct slice from, struct words_text *ret_text)
{
	ret_text->size = 0;
	from = slice_upto(from, WORDS_TEXT_MAX); /* what is kept is never longer than what was read */
	for (size_t at = 0; at < from.size;) {
		size_t past = from.data[at] == '<' ? past_brackets(from, at) : at;

		if (past > at) {
			add(ret_text, ' ');
			at = past;
		} else if (from.data[at] == '@') {
			drop_local_part(ret_text);
			at = past_domain(from, at);
		} else {
			add(ret_text, from.data[at++]);
		}
	}
}

/* --- matching --- */

static bool stands_at(const struct words_text *text, size_t at, struct slice word, bool open_end)
{
	size_t end = at + word.size;

	if (end > text->size || text->bytes[at] != word.data[0])
		return false;
	if (at > 0 && is_word_byte(text->bytes[at - 1]) && is_word_byte(word.data[0]))
		return false;
	if (memcmp(text->bytes + at, word.data, word.size) != 0)
		return false;
	return open_end || end == text->size || !is_word_byte(text->bytes[end]) ||
	       !is_word_byte(word.data[word.size - 1]);
}

/* Where the word ends, from a place on; 0: it is not there. */
static size_t end_of_word(const struct words_text *text, size_t from, struct slice word)
{
	bool open_end = word.size > 0 && word.data[word.size - 1] == '*';

	if (open_end)
		word.size--;
	if (word.size == 0)
		return 0;
	for (size_t at = from; at + word.size <= text->size; at++) {
		if (stands_at(text, at, word, open_end))
			return at + word.size;
	}
	return 0;
}

/* The parts of "mailbox .. full", one after the other. */
static bool has_parts(const struct words_text *text, struct slice parts)
{
	static const struct slice gap = {.data = " .. ", .size = 4};
	size_t at = 0;

	for (;;) {
		size_t size = 0;

		while (size < parts.size && !slice_starts(slice_from(parts, size), gap))
			size++;
		at = end_of_word(text, at, slice_upto(parts, size));
		if (at == 0)
			return false;
		if (size == parts.size)
			return true;
		parts = slice_from(parts, size + gap.size);
	}
}

bool words_any(const struct words_text *text, const char *list)
{
	struct slice rest = slice_of(list), word;

	while (slice_split(&rest, '|', &word)) {
		if (has_parts(text, word))
			return true;
	}
	return false;
}
