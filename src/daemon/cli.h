/* The command line as a client: every command that talks to the daemon of a data folder through its API.
 *
 * The data folder is --data DIR, else the environment's RESTANTE_DATA, else /var/lib/restante for root and
 * ./restante-data for everybody else.
 */
#ifndef DAEMON_CLI_H
#define DAEMON_CLI_H

#include <stdbool.h>

/* exit status */
enum {
	CLI_OK = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
};

/* Is it one of the commands here: domain, recipient, status, queue, trace, message, hold, resume, probe,
 * trust, doctor, spool, backup, restore?
 */
bool cli_knows(const char *command);

/* Runs it. argv: what stands behind the command; argc: how many. Returns the exit status. */
int cli_main(const char *command, int argc, char **argv);

/* Help text of these commands, one line each, for `restante help`. Static storage. */
const char *cli_usage(void);

/* The data folder when no --data was given, as above. */
const char *cli_default_data(void);

#endif
