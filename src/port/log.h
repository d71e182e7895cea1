/* Log events, as the core hands them out: one structured line per outcome.
 *
 * The core does not format lines or know where they go. An event is a name and fields; the implementation
 * prints `name: key=value, key=value` with Postfix-like keys (from, to, relay, delay, dsn, status). Writing
 * never blocks the loop: what cannot be written is dropped and counted by the implementation.
 */
#ifndef PORT_LOG_H
#define PORT_LOG_H

#include "base/slice.h"

enum log_level {
	LOG_LEVEL_DEBUG = 0,
	LOG_LEVEL_INFO = 1,  /* outcomes */
	LOG_LEVEL_WARN = 2,  /* somebody should look at it this week */
	LOG_LEVEL_ALARM = 3, /* somebody should look at it now */
};

struct log_field {
	const char *key;
	struct slice text;
	int64_t number;
	enum { LOG_FIELD_TEXT = 0, LOG_FIELD_NUMBER = 1 } kind;
};

#define LOG_TEXT(k, s)	 ((struct log_field){.key = (k), .text = (s), .kind = LOG_FIELD_TEXT})
#define LOG_NUMBER(k, n) ((struct log_field){.key = (k), .number = (int64_t)(n), .kind = LOG_FIELD_NUMBER})

struct log;

struct log_ops {
	/* id is a message id, or 0. message is one English sentence without a full stop, or "". All is lent.
	 */
	void (*event)(struct log *log, enum log_level level, const char *area, uint64_t id,
		      const char *message, const struct log_field *fields, size_t field_count);
};

struct log {
	const struct log_ops *ops;
};

#define log_event(log, level, area, id, message, ...)                                                  \
	((log)->ops->event((log), (level), (area), (id), (message), (struct log_field[]){__VA_ARGS__}, \
			   sizeof((struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field)))

#endif
