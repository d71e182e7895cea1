/* One event as one line of text. Pure. See os/log_stderr.h for the form. */
#ifndef OS_LOG_LINE_H
#define OS_LOG_LINE_H

#include <stdbool.h>

#include "port/log.h"

struct log_event_view {
	enum log_level level;
	const char *area;
	uint64_t id; /* or 0 */
	const char *message;
	const struct log_field *fields;
	size_t field_count;
};

/* Writes the line with its end into ret_line and returns its size; what does not fit is cut and marked with
 * "...". size >= LOG_LINE_SIZE_MIN. Not terminated. */
enum { LOG_LINE_SIZE_MIN = 128 };
size_t log_line(const struct log_event_view *event, int64_t wall_ms, bool journal, char *ret_line,
		size_t size);

#endif
