/* The worker: the relay on the loop, the sockets, the resolver and the store, in a process without rights.
 *
 * It accepts connections only when the relay has read its state. SIGTERM ends it politely: no new
 * connections, what is under way is finished, within WORKER_STOP_MS; everything that was accepted is in the
 * store anyhow.
 */
#ifndef DAEMON_WORKER_H
#define DAEMON_WORKER_H

#include "daemon/launch.h"

enum { WORKER_STOP_MS = 25000 }; /* less than the supervisor's patience */

/* report: the pipe to the supervisor (supervisor.h). Returns the exit status. */
int worker_run(const struct launch *launch, int report);

#endif
