#include "daemon/serve.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "api/api.h"
#include "daemon/cli.h"
#include "daemon/launch.h"
#include "daemon/privileges.h"
#include "daemon/supervisor.h"
#include "daemon/worker.h"

#define TOKEN_NAME "api.token"

enum { TOKEN_SIZE = 32 }; /* characters of 5 bits */

static int complain(const char *message)
{
	(void)fprintf(stderr, "restante: %s\n", message);
	return CLI_FAILED;
}

/* --- the token of the API over TCP --- */

static int make_token(struct launch *launch)
{
	static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
	unsigned char secret[TOKEN_SIZE];
	char text[sizeof(secret) + 1];
	if (getrandom(secret, sizeof(secret), 0) != (ssize_t)sizeof(secret))
		return ERR_IO;
	for (size_t i = 0; i < sizeof(secret); i++)
		text[i] = digits[secret[i] % 32];
	text[sizeof(secret)] = '\n';
	explicit_bzero(secret, sizeof(secret));
	int error = datafolder_write(&launch->folder, TOKEN_NAME, slice_make(text, sizeof(text)), 0600);
	return error != 0 ? error : buffer_append(&launch->token, text, sizeof(text));
}

/* Makes it when it is not there; kept as a terminated string. */
static int load_token(struct launch *launch)
{
	int error = datafolder_read(&launch->folder, TOKEN_NAME, &launch->token);
	if (error == ERR_MISSING)
		error = make_token(launch);
	if (error != 0)
		return error;
	struct slice text = buffer_slice(&launch->token);
	buffer_truncate(&launch->token, slice_find(text, '\n'));
	if (buffer_size(&launch->token) == 0)
		return ERR_SYNTAX;
	return buffer_append(&launch->token, "", 1);
}

/* --- what needs rights --- */

static int prepare_folder(struct launch *launch, char *message)
{
	int error = datafolder_open(&launch->folder, launch->config.data, message);
	launch->drop = privileges_worker(&launch->uid, &launch->gid);
	if (error == 0)
		error = datafolder_open_spool(&launch->folder, launch->uid, launch->gid, message);
	if (error == 0)
		error =
		    certificate_load(&launch->certificate, &launch->folder, launch->config.hostname, message);
	if (error == 0 && launch->config.api.family != 0) {
		error = load_token(launch);
		if (error != 0)
			(void)snprintf(message, DATAFOLDER_MESSAGE_SIZE,
				       "%s/" TOKEN_NAME " cannot be read or made; remove it to get a new one",
				       launch->folder.path);
	}
	return error;
}

static void launch_init(struct launch *launch)
{
	*launch = (struct launch){.folder = {.descriptor = -1, .lock = -1, .spool = -1},
				  .sockets = {.api_unix = -1, .api_tcp = -1}};
	config_init(&launch->config);
	certificate_init(&launch->certificate);
	buffer_init(&launch->token, 0);
}

static void launch_deinit(struct launch *launch)
{
	sockets_close(&launch->sockets);
	certificate_deinit(&launch->certificate);
	buffer_deinit(&launch->token);
	datafolder_close(&launch->folder);
	config_deinit(&launch->config);
}

/* --- what people see --- */

static void print_addresses(const struct sockets *sockets)
{
	char text[NET_ADDRESS_TEXT_SIZE];
	for (size_t i = 0; i < sockets->smtp_count; i++)
		(void)printf("%s%s", i > 0 ? ", " : "", net_address_text(&sockets->smtp_address[i], text));
	(void)printf("%s%s%s\n", *sockets->note != '\0' ? " (" : "", sockets->note,
		     *sockets->note != '\0' ? ")" : "");
}

static void print_next_step(const struct launch *launch)
{
	bool default_data = strcmp(launch->config.data, cli_default_data()) == 0;
	(void)printf("  next  restante %s%s%s%s\n", default_data ? "" : "--data ",
		     default_data ? "" : launch->config.data, default_data ? "" : " ",
		     launch->config.domain_count > 0 ? "status" : "domain add example.com");
}

static void ready(void *owner)
{
	const struct launch *launch = owner;
	char text[NET_ADDRESS_TEXT_SIZE];
	(void)printf("restante " RESTANTE_VERSION " is running as %s\n  SMTP  ", launch->config.hostname);
	print_addresses(&launch->sockets);
	(void)printf("  data  %s (%s)\n", launch->config.data,
		     strcmp(launch->config.store, "ram") == 0 ? "in memory only: all is forgotten at the end"
							      : "embedded store");
	(void)printf("  API   %s/" API_SOCKET_NAME, launch->config.data);
	if (launch->sockets.api_tcp >= 0)
		(void)printf(", http://%s with the token in %s/" TOKEN_NAME,
			     net_address_text(&launch->sockets.api_address, text), launch->config.data);
	(void)printf("\n");
	print_next_step(launch);
	(void)fflush(stdout);
}

static int work(void *owner, int report)
{
	return worker_run(owner, report);
}

static int serve(struct launch *launch)
{
	static const struct supervisor_events events = {.work = work, .ready = ready};
	char message[SOCKETS_MESSAGE_SIZE] = "";
	_Static_assert((int)SOCKETS_MESSAGE_SIZE >= (int)DATAFOLDER_MESSAGE_SIZE, "message serves both");
	privileges_raise_limits();
	if (prepare_folder(launch, message) != 0 ||
	    sockets_open(&launch->sockets, &launch->config, &launch->folder, message) != 0)
		return complain(message);
	launch->supervisor = getpid();
	int status = supervisor_run(&events, launch);
	sockets_unlink(&launch->folder);
	return status;
}

static bool wants_help(int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

int serve_main(int argc, char **argv)
{
	struct launch launch;
	char message[CONFIG_MESSAGE_SIZE] = "";
	int status = CLI_USAGE;
	if (wants_help(argc, argv)) {
		(void)fputs(config_help(), stdout);
		return CLI_OK;
	}
	launch_init(&launch);
	if (config_read(&launch.config, argc, argv, message) != 0)
		(void)complain(message);
	else
		status = serve(&launch);
	launch_deinit(&launch);
	return status;
}
