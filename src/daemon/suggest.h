/* Which word was meant: for commands, options and keys with a typing error.
 */
#ifndef DAEMON_SUGGEST_H
#define DAEMON_SUGGEST_H

#include <stddef.h>

/* The nearest of count words (Levenshtein distance, at most a third of the length (rounded to the nearest)
 * and at most 3), or NULL. */
const char *suggest(const char *word, const char *const *words, size_t count);

#endif
