/* A view of bytes owned by somebody else. Not terminated by NUL; may contain NUL.
 *
 * An empty slice may have data == NULL. Comparisons named _nocase fold ASCII letters only (RFC 5321 §2.4).
 */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slice {
	const char *data;
	size_t size;
};

#define SLICE(literal) ((struct slice){.data = (literal), .size = sizeof(literal) - 1})

/* For printf: printf("%.*s", SLICE_ARG(s)). */
#define SLICE_ARG(s) (int)(s).size, ((s).data != NULL ? (s).data : "")

struct slice slice_of(const char *string); /* NULL gives an empty slice */
struct slice slice_make(const void *data, size_t size);
struct slice slice_from(struct slice s, size_t from); /* from is clamped to the size */
struct slice slice_upto(struct slice s, size_t size); /* at most size bytes from the front */
struct slice slice_trim(struct slice s);	      /* without SP and HT at both ends */

bool slice_equal(struct slice a, struct slice b);
bool slice_equal_nocase(struct slice a, struct slice b);
bool slice_starts(struct slice s, struct slice prefix);
bool slice_starts_nocase(struct slice s, struct slice prefix);
bool slice_contains_nocase(struct slice s, struct slice word);
int slice_compare(struct slice a, struct slice b); /* as memcmp, the shorter first */

/* Position of the first such byte, or s.size. */
size_t slice_find(struct slice s, char byte);
size_t slice_find_last(struct slice s, char byte);

/* Takes the part before separator off the front of *s and the separator with it; the last part takes all.
 * False when *s was exhausted (data == NULL) before. */
bool slice_split(struct slice *s, char separator, struct slice *ret_part);

/* Decimal digits only, no sign, no blanks; ERR_SYNTAX, or ERR_LIMIT when it does not fit. */
int slice_to_u64(struct slice s, uint64_t *ret_value);

#endif
