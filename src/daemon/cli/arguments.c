#include "daemon/cli/arguments.h"

#include <string.h>

#include "base/error.h"
#include "daemon/cli.h"
#include "daemon/suggest.h"

enum { OPTION_ALWAYS = 0 };

struct option {
	const char *name;
	unsigned set;	   /* OPTION_*, or OPTION_ALWAYS */
	const char *value; /* what is wanted behind it; NULL: a flag */
};

static const struct option known_options[] = {
    {"--data", OPTION_ALWAYS, "a folder"},
    {"--json", OPTION_ALWAYS, NULL},
    {"--help", OPTION_ALWAYS, NULL},
    {"--to", OPTION_TO, "HOST or HOST:PORT"},
    {"--watch", OPTION_WATCH, NULL},
    {"--recipient", OPTION_RECIPIENT, "an address"},
    {"--sender", OPTION_SENDER, "an address"},
    {"--message-id", OPTION_MESSAGE_ID, "a Message-ID"},
    {"--since", OPTION_SINCE, "a time, as in 2h or 2026-12-01T10:00"},
    {"--until", OPTION_UNTIL, "a time, as in 2h or 2026-12-01T10:00"},
    {"--limit", OPTION_LIMIT, "a number"},
    {"--format", OPTION_FORMAT, "mbox or maildir"},
    {"--domain", OPTION_DOMAIN, "a domain"},
    {"--all", OPTION_ALL, NULL},
    {"--grace", OPTION_GRACE, NULL},
};

enum { OPTION_COUNT = sizeof(known_options) / sizeof(known_options[0]) };

struct parse {
	struct arguments *to;
	unsigned options;
	char *message;
	size_t message_size;
};

static bool taken_here(const struct parse *parse, const struct option *option)
{
	return option->set == OPTION_ALWAYS || (parse->options & option->set) != 0;
}

static const struct option *find_option(const struct parse *parse, const char *text, size_t size)
{
	for (size_t i = 0; i < OPTION_COUNT; i++)
		if (taken_here(parse, &known_options[i]) && strlen(known_options[i].name) == size &&
		    strncmp(known_options[i].name, text, size) == 0)
			return &known_options[i];
	return NULL;
}

static int unknown_option(const struct parse *parse, const char *text)
{
	const char *names[OPTION_COUNT], *meant;
	size_t count = 0;

	for (size_t i = 0; i < OPTION_COUNT; i++)
		if (taken_here(parse, &known_options[i]))
			names[count++] = known_options[i].name;
	meant = suggest(text, names, count);
	(void)snprintf(parse->message, parse->message_size, "there is no option %s here%s%s%s", text,
		       meant != NULL ? "; did you mean " : "", meant != NULL ? meant : "",
		       meant != NULL ? "?" : "");
	return ERR_SYNTAX;
}

static int add_host(const struct parse *parse, const char *host)
{
	if (parse->to->to_count == CLI_HOSTS_MAX) {
		(void)snprintf(parse->message, parse->message_size, "--to may be given at most %d times",
			       CLI_HOSTS_MAX);
		return ERR_SYNTAX;
	}
	parse->to->to[parse->to->to_count++] = host;
	return 0;
}

static int set_option(const struct parse *parse, const struct option *option, const char *value)
{
	struct arguments *to = parse->to;
	const struct {
		const char *name;
		bool *flag;
		const char **text;
	} places[] = {
	    {"--json", &to->json, NULL},
	    {"--help", &to->help, NULL},
	    {"--watch", &to->watch, NULL},
	    {"--data", NULL, &to->data},
	    {"--recipient", NULL, &to->recipient},
	    {"--sender", NULL, &to->sender},
	    {"--message-id", NULL, &to->message_id},
	    {"--since", NULL, &to->since},
	    {"--until", NULL, &to->until},
	    {"--limit", NULL, &to->limit},
	    {"--format", NULL, &to->format},
	    {"--domain", NULL, &to->domain},
	    {"--all", &to->all, NULL},
	    {"--grace", &to->grace, NULL},
	};

	if (option->set == OPTION_TO)
		return add_host(parse, value);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (strcmp(places[i].name, option->name) != 0)
			continue;
		if (places[i].flag != NULL)
			*places[i].flag = true;
		else
			*places[i].text = value;
	}
	return 0;
}

/* next: the argument behind, or NULL. *ret_used: it was taken for the value. */
static int parse_option(const struct parse *parse, const char *text, const char *next, bool *ret_used)
{
	size_t size = strcspn(text, "=");
	const char *value = text[size] == '=' ? text + size + 1 : NULL;
	const struct option *option = find_option(parse, text, size);

	if (option == NULL)
		return unknown_option(parse, text);
	if (option->value == NULL && value != NULL) {
		(void)snprintf(parse->message, parse->message_size, "%s takes no value", option->name);
		return ERR_SYNTAX;
	}
	if (option->value != NULL && value == NULL) {
		value = next;
		*ret_used = true;
	}
	if (option->value != NULL && (value == NULL || value[0] == '\0')) {
		(void)snprintf(parse->message, parse->message_size, "%s wants %s behind it", option->name,
			       option->value);
		return ERR_SYNTAX;
	}
	return set_option(parse, option, value);
}

int arguments_parse(struct arguments *arguments, unsigned options, int argc, char **argv, char *ret_message,
		    size_t message_size)
{
	struct parse parse = {
	    .to = arguments, .options = options, .message = ret_message, .message_size = message_size};
	bool only_words = false;

	*arguments = (struct arguments){.data = cli_default_data(), .words = argv};
	for (int i = 0; i < argc; i++) {
		bool used = false;
		if (only_words || argv[i][0] != '-' || argv[i][1] == '\0') {
			argv[arguments->word_count++] = argv[i];
		} else if (strcmp(argv[i], "--") == 0) {
			only_words = true;
		} else {
			const char *text = strcmp(argv[i], "-h") == 0 ? "--help" : argv[i];
			int error = parse_option(&parse, text, i + 1 < argc ? argv[i + 1] : NULL, &used);
			if (error != 0)
				return error;
		}
		i += used;
	}
	return 0;
}
