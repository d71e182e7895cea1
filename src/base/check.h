/* Assertions that stay on in release builds.
 *
 * check(condition) states what our own code guarantees: an invariant. What the world can cause (bad mail, bad
 * disks, lack of memory) is an error value, never a check. A failed check ends the process with a line on
 * standard error; the supervisor starts the next worker, and the store recovers.
 */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#define check(condition) ((condition) ? (void)0 : check_failed(#condition, __FILE__, __LINE__))

/* A place that cannot be reached. */
#define check_never() check_failed("unreachable", __FILE__, __LINE__)

_Noreturn void check_failed(const char *what, const char *file, int line);

#endif
