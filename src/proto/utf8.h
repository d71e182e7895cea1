/* Well-formed UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF.
 */
#ifndef PROTO_UTF8_H
#define PROTO_UTF8_H

#include "base/slice.h"

/* Bytes of the character at the front of s: 1..4, or 0 when it is ill-formed, cut short, or s is empty. */
size_t utf8_char_size(struct slice s);

/* Replaces every byte that is no part of a well-formed character by '?'. */
void utf8_repair(char *text, size_t size);

#endif
