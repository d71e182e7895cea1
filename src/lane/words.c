#include "lane/words.h"

static bool is_word_byte(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool stands_at(struct slice text, size_t at, struct slice word, bool open_end)
{
	size_t end = at + word.size;

	if (at > 0 && is_word_byte(text.data[at - 1]))
		return false;
	if (!slice_equal_nocase(slice_upto(slice_from(text, at), word.size), word))
		return false;
	return open_end || end == text.size || !is_word_byte(text.data[end]);
}

static bool one_word(struct slice text, struct slice word)
{
	bool open_end = word.size > 0 && word.data[word.size - 1] == '*';

	if (open_end)
		word.size--;
	for (size_t at = 0; at + word.size <= text.size; at++) {
		if (stands_at(text, at, word, open_end))
			return true;
	}
	return false;
}

bool words_any(struct slice text, const char *list)
{
	struct slice rest = slice_of(list), word;

	while (slice_split(&rest, '|', &word)) {
		if (word.size > 0 && one_word(text, word))
			return true;
	}
	return false;
}
