/* restante: the one program. `serve` is the daemon, `demo` shows it, everything else talks to a running
 * daemon.
 */
#include <stdio.h>
#include <string.h>

#include "daemon/cli.h"
#include "daemon/config.h"
#include "daemon/demo.h"
#include "daemon/serve.h"
#include "daemon/suggest.h"

static const char *const commands[] = {"serve",	  "domain", "recipient", "status", "queue", "trace",
				       "message", "hold",   "resume",	 "probe",  "trust", "doctor",
				       "spool",	  "backup", "restore",	 "demo",   "help",  "version"};
enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

static int unknown_command(const char *command)
{
	const char *meant = suggest(command, commands, COMMAND_COUNT);
	if (meant != NULL)
		(void)fprintf(stderr, "restante: there is no command %s; did you mean %s?\n", command, meant);
	else
		(void)fprintf(stderr, "restante: there is no command %s; `restante help` lists them\n",
			      command);
	return CLI_USAGE;
}

static int print_usage(FILE *to)
{
	(void)fprintf(
	    to, "restante " RESTANTE_VERSION ": holds a domain's mail while its server is unwell, "
		"and feeds it back gently.\n\n"
		"  restante serve [OPTION...]     accept, hold and deliver mail; see `restante help serve`\n"
		"  restante demo                  the whole story on this machine in a minute\n");
	(void)fputs(cli_usage(), to);
	(void)fprintf(to, "  restante help [COMMAND] | --version\n");
	return to == stdout ? CLI_OK : CLI_USAGE;
}

static int help_client(const char *command)
{
	char help[] = "--help", *argv[] = {help, NULL};
	return cli_main(command, 1, argv);
}

static int help_main(const char *command)
{
	if (command == NULL)
		return print_usage(stdout);
	if (strcmp(command, "serve") == 0)
		(void)fputs(config_help(), stdout);
	else if (strcmp(command, "demo") == 0)
		(void)fputs(demo_help(), stdout);
	else if (cli_knows(command))
		return help_client(command);
	else if (strcmp(command, "help") == 0)
		return print_usage(stdout);
	else
		return unknown_command(command);
	return CLI_OK;
}

static int version(void)
{
	(void)puts("restante " RESTANTE_VERSION);
	return CLI_OK;
}

static int run(const char *command, int argc, char **argv)
{
	if (strcmp(command, "serve") == 0)
		return serve_main(argc, argv);
	if (strcmp(command, "demo") == 0)
		return demo_main(argc, argv);
	if (strcmp(command, "help") == 0 || strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0)
		return help_main(argc > 0 ? argv[0] : NULL);
	if (strcmp(command, "version") == 0 || strcmp(command, "--version") == 0 ||
	    strcmp(command, "-V") == 0)
		return version();
	if (cli_knows(command))
		return cli_main(command, argc, argv);
	return unknown_command(command);
}

/* `restante --data DIR status` is `restante status --data DIR`: the option says which daemon, wherever it
 * stands. */
static int run_with_data(int argc, char **argv)
{
	char *data = argv[0], *value = argv[1], *command = argv[2];
	for (int i = 0; i + 3 < argc; i++)
		argv[i] = argv[i + 3];
	argv[argc - 3] = data;
	argv[argc - 2] = value;
	return run(command, argc - 1, argv);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return print_usage(stderr);
	if (strcmp(argv[1], "--data") == 0 && argc >= 4)
		return run_with_data(argc - 1, argv + 1);
	return run(argv[1], argc - 2, argv + 2);
}
