/* restante serve: prepares what needs rights, then supervises the worker.
 */
#ifndef DAEMON_SERVE_H
#define DAEMON_SERVE_H

/* argv: what stands behind the command. Returns the exit status: 0 stopped on demand, 1 failed, 2 usage. */
int serve_main(int argc, char **argv);

#endif
