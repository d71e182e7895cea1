#include "daemon/suggest.h"

#include <string.h>

enum { WORD_MAX = 32 }; /* no command and no option is longer */

static size_t least(size_t a, size_t b, size_t c)
{
	size_t ab = a < b ? a : b;
	return ab < c ? ab : c;
}

/* Levenshtein 1966, one row at a time. Both words are at most WORD_MAX long. */
static size_t distance(const char *a, const char *b)
{
	size_t row[WORD_MAX + 1];
	size_t columns = strlen(b);
	for (size_t j = 0; j <= columns; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1] != '\0'; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= columns; j++) {
			size_t above = row[j];
			row[j] = least(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[columns];
}

const char *suggest(const char *word, const char *const *words, size_t count)
{
	size_t length = strlen(word);
	const char *best = NULL;
	if (length > WORD_MAX)
		return NULL;
	size_t best_distance = (length + 1) / 3 < 3 ? (length + 1) / 3 : 3;
	if (best_distance == 0)
		best_distance = 1;
	for (size_t i = 0; i < count; i++) {
		size_t d = strlen(words[i]) <= WORD_MAX ? distance(word, words[i]) : WORD_MAX;
		if (d <= best_distance && (best == NULL || d < best_distance)) {
			best = words[i];
			best_distance = d;
		}
	}
	return best;
}
