/* Writes JSON (RFC 8259) into a buffer, without a tree in between: the status of many thousand lanes is text
 * in one pass.
 *
 * A sticky error: once memory or the buffer's limit is exhausted nothing more is written, and jw_ok is asked
 * once at the end. Texts may be any bytes: what is not well-formed UTF-8 becomes U+FFFD, a character for each
 * bad byte. Inside an object every call needs a key; inside an array, and at the top, key is NULL.
 */
#ifndef API_JSON_WRITER_H
#define API_JSON_WRITER_H

#include "base/buffer.h"

enum { JW_DEPTH_MAX = 16 }; /* our own documents have six levels */

struct json_writer {
	struct buffer *to;
	bool failed;
	bool comma; /* a value stands before */
	unsigned depth;
	char closers[JW_DEPTH_MAX]; /* '}' or ']' of each open level */
};

struct json_writer json_writer(struct buffer *to);

void jw_object(struct json_writer *w, const char *key);
void jw_array(struct json_writer *w, const char *key);
void jw_end(struct json_writer *w);		       /* of the innermost object or array */
void jw_end_to(struct json_writer *w, unsigned depth); /* ends levels until so many are open */
void jw_text(struct json_writer *w, const char *key, struct slice text);
void jw_string(struct json_writer *w, const char *key, const char *text);	 /* NULL: null */
void jw_text_or_null(struct json_writer *w, const char *key, struct slice text); /* empty: null */
void jw_uint(struct json_writer *w, const char *key, uint64_t value);
void jw_int(struct json_writer *w, const char *key, int64_t value);
void jw_double(struct json_writer *w, const char *key, double value); /* three decimals; not finite: null */
void jw_double_or_null(struct json_writer *w, const char *key, double value); /* negative: null */
void jw_bool(struct json_writer *w, const char *key, bool value);
void jw_null(struct json_writer *w, const char *key);
void jw_time(struct json_writer *w, const char *key, int64_t wall_ms); /* RFC 3339 in UTC; 0: null */

/* Everything was written, and every level is closed. */
bool jw_ok(const struct json_writer *w);

#endif
