#include "daemon/cli.h"

#include <curl/curl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/cli/commands.h"
#include "daemon/cli/format.h"
#include "daemon/suggest.h"

static const struct command commands[] = {
    {"domain add", "NAME [--to HOST[:PORT]]...",
     "serve a domain; without --to its mail goes where its MX points now", OPTION_TO, 1, 1, run_domain_add},
    {"domain import", "FILE", "serve many domains: a line each, NAME [HOST[:PORT]...]; - is standard input",
     0, 1, 1, run_domain_import},
    {"domain ls", "", "list the domains served", 0, 0, 0, run_domain_ls},
    {"domain show", "NAME", "everything about one domain", 0, 1, 1, run_domain_show},
    {"domain set", "NAME KEY=VALUE...", "change to=HOST[:PORT],... (or to=mx) or hold=DAYS", 0, 2, 3,
     run_domain_set},
    {"domain rm", "NAME", "stop serving a domain; refused while mail is held", 0, 1, 1, run_domain_rm},
    {"recipient ls", "NAME", "what is known of a domain's recipients", 0, 1, 1, run_recipient_ls},
    {"recipient pin", "ADDRESS...", "it exists, whatever its server says: never refused at our door", 0, 1,
     CLI_WORDS_MAX, run_recipient_pin},
    {"recipient unpin", "ADDRESS...", "nobody vouches for it any more: its server's word counts", 0, 1,
     CLI_WORDS_MAX, run_recipient_unpin},
    {"recipient import", "NAME FILE.csv",
     "list a domain's recipients: the first field of each line, - for standard input", 0, 2, 2,
     run_recipient_import},
    {"status", "[NAME] [--watch] [--all]", "lanes and domains: health, what is held, what comes next",
     OPTION_WATCH | OPTION_ALL, 0, 1, run_status},
    {"queue", "[NAME] [--grace] [--recipient A] [--sender A] [--limit N]",
     "messages held, with reason and next event",
     OPTION_GRACE | OPTION_RECIPIENT | OPTION_SENDER | OPTION_LIMIT, 0, 1, run_queue},
    {"trace", "[--recipient A] [--sender A] [--message-id M] [--since T] [--limit N]",
     "what became of any message, with the servers' replies",
     OPTION_RECIPIENT | OPTION_SENDER | OPTION_MESSAGE_ID | OPTION_SINCE | OPTION_LIMIT, 0, 0, run_trace},
    {"message show", "ID", "one held message: envelope, recipients, reasons", 0, 1, 1, run_message_show},
    {"message cat", "ID", "its bytes, as they will be sent", 0, 1, 1, run_message_cat},
    {"message release", "ID", "try it again at once", 0, 1, 1, run_message_release},
    {"message rm", "ID", "end it without delivery", 0, 1, 1, run_message_rm},
    {"hold", "NAME [--until T]", "keep a domain's mail back, by hand", OPTION_UNTIL, 1, 1, run_hold},
    {"resume", "NAME", "let it flow again", 0, 1, 1, run_resume},
    {"probe", "NAME", "try the domain's server now", 0, 1, 1, run_probe},
    {"trust", "NAME", "its server is itself: believe its refusals now", 0, 1, 1, run_trust},
    {"spool check", "", "what is in a stopped spool, what is damaged, what to do; changes nothing", 0, 0, 0,
     run_spool_check},
    {"spool rebuild", "", "make the index of a stopped spool again from its log", 0, 0, 0, run_spool_rebuild},
    {"spool export", "DIR [--format mbox|maildir] [--domain NAME]",
     "write the held mail of a stopped spool with its envelopes to a new folder",
     OPTION_FORMAT | OPTION_DOMAIN, 1, 1, run_spool_export},
    {"spool import", "DIR|MBOX [--recipient A] [--sender A]",
     "queue the mail of an export, an mbox or a Maildir in a stopped spool", OPTION_RECIPIENT | OPTION_SENDER,
     1, 1, run_spool_import},
    {"spool forget", "ID | --all", "give up mail that is set aside in a stopped spool", OPTION_ALL, 0, 1,
     run_spool_forget},
    {"backup", "DIR", "copy the data folder of a running daemon to a new folder", 0, 1, 1, run_backup},
    {"restore", "DIR", "check a backup and make a new data folder (--data) of it", 0, 1, 1, run_restore},
    {"doctor", "[NAME]", "check that destinations can be reached; says what to fix", 0, 0, 1, run_doctor},
};

enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

/* --- help --- */

const char *cli_usage(void)
{
	return "  restante domain add NAME [--to HOST[:PORT]]...\n"
	       "                                 serve a domain; without --to its mail goes where its MX "
	       "points now\n"
	       "  restante domain import FILE    many domains, a line each: NAME [HOST[:PORT]...]\n"
	       "  restante domain ls | show NAME | set NAME KEY=VALUE... | rm NAME\n"
	       "  restante recipient ls NAME | pin ADDRESS... | unpin ADDRESS... | import NAME FILE.csv\n"
	       "                                 who exists in a domain, whatever its server says\n"
	       "  restante status [NAME] [--watch] [--all]\n"
	       "                                 lanes and domains: health, what is held, what comes next\n"
	       "  restante queue [NAME] [--grace] [--recipient A] [--sender A] [--limit N]\n"
	       "                                 messages held, with reason and next event\n"
	       "  restante trace [--recipient A] [--sender A] [--message-id M] [--since T] [--limit N]\n"
	       "                                 what became of any message\n"
	       "  restante message show|cat|release|rm ID\n"
	       "  restante hold NAME [--until T] | resume NAME | probe NAME | trust NAME\n"
	       "  restante doctor [NAME]         check that destinations can be reached\n"
	       "  restante backup DIR            copy a running daemon's data folder\n"
	       "  restante restore DIR --data NEW\n"
	       "                                 make a new data folder of a backup\n"
	       "  restante spool check | rebuild | export DIR | import DIR | forget ID\n"
	       "                                 a stopped spool: look at it, mend it, get mail out and in\n"
	       "                                 all of these: --json, and --data DIR to say which daemon\n";
}

/* The word behind a group's name: "add" of "domain add"; NULL for a command of one word. */
static const char *second_word(const struct command *command)
{
	const char *blank = strchr(command->name, ' ');

	return blank != NULL ? blank + 1 : NULL;
}

static bool in_group(const struct command *command, const char *group)
{
	size_t size = strcspn(command->name, " ");

	return strlen(group) == size && strncmp(command->name, group, size) == 0;
}

static void print_command_help(FILE *to, const struct command *command)
{
	(void)fprintf(to, "  restante %s%s%s\n      %s\n", command->name,
		      command->synopsis[0] != '\0' ? " " : "", command->synopsis, command->help);
}

static void print_group_help(FILE *to, const char *group)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (in_group(&commands[i], group))
			print_command_help(to, &commands[i]);
	(void)fprintf(to, "  with --json (the API's answer) and --data DIR (which daemon; now %s)\n",
		      cli_default_data());
}

int usage_error(const char *command, const char *format, ...)
{
	va_list arguments;

	(void)fprintf(stderr, "restante %s: ", command);
	va_start(arguments, format);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it was started above */
	(void)vfprintf(stderr, format, arguments);
	va_end(arguments);
	(void)fputc('\n', stderr);
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (strcmp(commands[i].name, command) == 0)
			(void)fprintf(stderr, "usage: restante %s %s\n", command, commands[i].synopsis);
	return CLI_USAGE;
}

/* --- finding the command --- */

bool cli_knows(const char *command)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (in_group(&commands[i], command))
			return true;
	return false;
}

static int unknown_second_word(const char *group, const char *word)
{
	const char *words[COMMAND_COUNT], *meant;
	size_t count = 0;

	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (in_group(&commands[i], group))
			words[count++] = second_word(&commands[i]);
	if (word == NULL || word[0] == '-') {
		(void)fprintf(stderr, "restante %s: says what to do:\n", group);
		print_group_help(stderr, group);
		return CLI_USAGE;
	}
	meant = suggest(word, words, count);
	(void)fprintf(stderr, "restante %s: there is no \"%s\"%s%s%s\n", group, word,
		      meant != NULL ? "; did you mean " : "", meant != NULL ? meant : "",
		      meant != NULL ? "?" : "");
	print_group_help(stderr, group);
	return CLI_USAGE;
}

/* word: the argument behind the group's name, or NULL. */
static const struct command *find_command(const char *group, const char *word)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		const char *second = second_word(&commands[i]);
		if (!in_group(&commands[i], group))
			continue;
		if (second == NULL || (word != NULL && strcmp(second, word) == 0))
			return &commands[i];
	}
	return NULL;
}

static bool asks_for_help(int argc, char **argv)
{
	return argc > 0 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0);
}

/* --- running --- */

const char *cli_default_data(void)
{
	const char *folder = getenv("RESTANTE_DATA");

	if (folder != NULL && folder[0] != '\0')
		return folder;
	return geteuid() == 0 ? "/var/lib/restante" : "./restante-data";
}

static int check_words(const struct command *command, const struct arguments *arguments)
{
	if (arguments->word_count < command->words_min)
		return usage_error(command->name, "something is missing");
	if (arguments->word_count > command->words_max)
		return usage_error(command->name, "\"%s\" is too much", arguments->words[command->words_max]);
	for (size_t i = 0; i < arguments->word_count; i++)
		if (arguments->words[i][0] == '\0')
			return usage_error(command->name, "a name is empty");
	return CLI_OK;
}

static int run_with_client(const struct command *command, const struct arguments *arguments)
{
	struct client client;
	int status = CLI_FAILED;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		(void)fprintf(stderr, "restante: libcurl does not start\n");
		return CLI_FAILED;
	}
	if (client_open(&client, arguments->data, arguments->json) == 0)
		status = command->run(&client, arguments);
	client_end(&client);
	curl_global_cleanup();
	return finish_output(status);
}

static int run_command(const struct command *command, int argc, char **argv)
{
	struct arguments arguments;
	char message[256];

	if (arguments_parse(&arguments, command->options, argc, argv, message, sizeof(message)) != 0)
		return usage_error(command->name, "%s", message);
	if (arguments.help) {
		print_command_help(stdout, command);
		return CLI_OK;
	}
	int status = check_words(command, &arguments);
	return status != CLI_OK ? status : run_with_client(command, &arguments);
}

int cli_main(const char *group, int argc, char **argv)
{
	const char *word = argc > 0 ? argv[0] : NULL;
	const struct command *command = find_command(group, word);

	if (asks_for_help(argc, argv)) {
		print_group_help(stdout, group);
		return CLI_OK;
	}
	if (command == NULL)
		return unknown_second_word(group, word);
	if (second_word(command) != NULL)
		return run_command(command, argc - 1, argv + 1);
	return run_command(command, argc, argv);
}
