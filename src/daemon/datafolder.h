/* The data folder: everything that one restante keeps.
 *
 *	RESTANTE         says whose folder this is, and its format
 *	lock             held while a daemon runs on it; names the process
 *	certificate.pem  and certificate.key: ours, self-signed unless replaced; the key is read by the
 *supervisor only api.sock         the API, for the user who runs the daemon and root api.token        the
 *secret of the API over TCP spool/           the store; belongs to the worker's user
 */
#ifndef DAEMON_DATAFOLDER_H
#define DAEMON_DATAFOLDER_H

#include <sys/types.h>

#include "base/buffer.h"
#include "base/error.h"

enum {
	DATAFOLDER_FORMAT = 1,
	DATAFOLDER_MESSAGE_SIZE = 1024,
	DATAFOLDER_FILE_MAX = 1024 * 1024, /* bytes of a certificate file with its chain */
	DATAFOLDER_LOCK_WAIT_MS = 2000,	   /* for the worker of a supervisor that was killed a moment ago */
};

struct datafolder {
	const char *path; /* as given */
	int descriptor;	  /* of the folder */
	int lock;
	int spool; /* of the folder spool/ */
};

/* Opens the folder and locks it; makes it if it is missing or empty. On failure a message says what to do:
 * ERR_IO (unwritable), ERR_FOREIGN (holds other things), ERR_VERSION (of a newer version), ERR_BUSY (another
 * daemon). */
nodiscard int datafolder_open(struct datafolder *folder, const char *path,
			      char ret_message[DATAFOLDER_MESSAGE_SIZE]);
void datafolder_close(struct datafolder *folder); /* half-opened is allowed */

/* Makes spool/ and gives it, with all in it, to the worker's user; opens it. */
nodiscard int datafolder_open_spool(struct datafolder *folder, uid_t uid, gid_t gid,
				    char ret_message[DATAFOLDER_MESSAGE_SIZE]);

/* A whole file of the folder, appended. ERR_MISSING, ERR_MEMORY, ERR_LIMIT, ERR_IO. */
nodiscard int datafolder_read(const struct datafolder *folder, const char *name, struct buffer *ret_content);
/* Puts a file there, durably, all or nothing. ERR_IO. */
nodiscard int datafolder_write(const struct datafolder *folder, const char *name, struct slice content,
			       mode_t mode);

#endif
