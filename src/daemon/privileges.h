/* Rights: which user the worker is, and how it becomes that user for good.
 */
#ifndef DAEMON_PRIVILEGES_H
#define DAEMON_PRIVILEGES_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

enum {
	PRIVILEGES_FILES = 65536
}; /* descriptors: 20,000 connections in, as many out, and the spool's files */

/* root: the user `restante`, else `nobody`; anybody else: himself. Returns whether that is a change. */
bool privileges_worker(uid_t *ret_uid, gid_t *ret_gid);

/* Raises the limit of descriptors to PRIVILEGES_FILES, or as far as it goes. */
void privileges_raise_limits(void);

/* In the worker: becomes that user (when drop), can never gain rights again, and ends with its supervisor.
 * ERR_STATE, with errno: a step was refused. */
nodiscard int privileges_drop(bool drop, uid_t uid, gid_t gid, pid_t supervisor);

#endif
