/* Message ids for people: 64 bits as 13 characters of Crockford's base 32 (no I, L, O, U; case is ignored).
 *
 * They sort as the numbers do. Parsing takes O for 0 and I or L for 1.
 */
#ifndef BASE_BASE32_H
#define BASE_BASE32_H

#include "base/error.h"
#include "base/slice.h"

enum { BASE32_U64_SIZE = 13 };

void base32_from_u64(uint64_t value, char ret_text[BASE32_U64_SIZE + 1]); /* terminated */
nodiscard int base32_to_u64(struct slice text, uint64_t *ret_value);	  /* ERR_SYNTAX */

#endif
