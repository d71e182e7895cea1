/* restante demo: a relay, a small customer's server and senders on loopback, in about a minute.
 */
#ifndef DAEMON_DEMO_H
#define DAEMON_DEMO_H

/* Exit status: 0 when every message that was accepted was delivered once, unchanged; 1 not; 2 usage. */
int demo_main(int argc, char **argv);

const char *demo_help(void);

#endif
