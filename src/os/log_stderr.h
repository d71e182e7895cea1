/* port/log.h on a descriptor, normally standard error:
 *
 *	2026-11-23T18:04:05.123Z info deliver[0C1PR5ZV0T3QA]: message key=value, key="a value"
 *
 * or, when a journal reads it, without the time and with the priority in front (sd-daemon(3)):
 *
 *	<6>deliver[0C1PR5ZV0T3QA]: message key=value, key="a value"
 *
 * A value that is empty or holds blanks, commas, quotes or control characters is quoted, with \" \\ \n \r \t
 *\xHH inside; so a line is always one line, whatever a stranger has sent.
 *
 * Writing never blocks: what the reader does not take waits in memory up to LOG_STDERR_WAITING_MAX, further
 *lines are dropped and counted, and the number is told as soon as there is room. (Writing to a regular file
 *may wait for its disk.)
 *
 * A line costs a system call or two, as much as a reply of SMTP. So who runs a loop lets lines gather, and
 *writes them once per turn (log_stderr_gather).
 */
#ifndef OS_LOG_STDERR_H
#define OS_LOG_STDERR_H

#include <stdbool.h>

#include "port/log.h"

enum {
	LOG_STDERR_LINE_MAX = 4096,	 /* with its end; longer lines are cut and end in "..." */
	LOG_STDERR_WAITING_MAX = 262144, /* some seconds of a busy node */
	LOG_STDERR_GATHER = 16384,
	LOG_STDERR_LAST_MS = 500,
};

struct log_stderr_options {
	enum log_level least;		 /* events below are ignored */
	bool journal;			 /* see log_stderr_is_journal */
	int64_t (*wall_ms)(void *owner); /* the time; NULL: the system's clock */
	void *owner;
};

struct log_stderr;

/* NULL: no memory. descriptor stays the caller's and must stay open; its flags are not touched. */
struct log_stderr *log_stderr_new(int descriptor, const struct log_stderr_options *options);
/* Writes what waits; this once a slow reader is waited for, as long as it takes something in
 * LOG_STDERR_LAST_MS. */
void log_stderr_free(struct log_stderr *log);

struct log *log_stderr_port(struct log_stderr *log);

/* From now on lines below a warning wait for log_stderr_flush, which the caller owes once per turn, or until
 * they are LOG_STDERR_GATHER bytes; a warning or an alarm is written at once, after all that came before it.
 * A process that is killed or aborts loses what has gathered: lines of its last turn, and never a warning.
 * False, as at first: each line is written at once; what has gathered goes first. */
void log_stderr_gather(struct log_stderr *log, bool gather);

/* Writes what waits, as far as possible now. True: some still waits; call again soon (once per turn will do).
 */
bool log_stderr_flush(struct log_stderr *log);
/* Lines dropped since the start. */
uint64_t log_stderr_dropped(const struct log_stderr *log);

/* Is this descriptor the one that the environment variable JOURNAL_STREAM speaks of? */
bool log_stderr_is_journal(int descriptor);

#endif
