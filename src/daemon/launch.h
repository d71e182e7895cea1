/* What the supervisor prepares and each worker starts from.
 */
#ifndef DAEMON_LAUNCH_H
#define DAEMON_LAUNCH_H

#include <sys/types.h>

#include "daemon/certificate.h"
#include "daemon/config.h"
#include "daemon/datafolder.h"
#include "daemon/sockets.h"

struct launch {
	struct config config;
	struct datafolder folder;
	struct certificate certificate;
	struct sockets sockets;
	struct buffer token; /* of the API over TCP, terminated; or empty */
	uid_t uid;	     /* of the worker */
	gid_t gid;
	bool drop; /* change to them */
	pid_t supervisor;
};

#endif
