/* Instants as text: RFC 3339 in UTC with milliseconds, "2026-12-01T10:00:00.000Z". Pure, no time zone data.
 */
#ifndef API_TIMESTAMP_H
#define API_TIMESTAMP_H

#include "base/error.h"
#include "base/slice.h"

enum { TIMESTAMP_SIZE = 32 };

/* Years outside of 0..9999 are clamped. Returns ret_text, terminated. */
const char *timestamp_format(int64_t wall_ms, char ret_text[TIMESTAMP_SIZE]);

/* "2026-12-01", "2026-12-01T10:00", with seconds, fraction, and "Z" or an offset as in "+02:00". The letters
 * in any case, a blank may stand for the T. *ret_zone (may be NULL): a zone was given; without one the text
 * is taken for UTC. ERR_SYNTAX, also for a 31st of June. A leap second counts as the second after it. */
nodiscard int timestamp_parse(struct slice text, int64_t *ret_wall_ms, bool *ret_zone);

#endif
