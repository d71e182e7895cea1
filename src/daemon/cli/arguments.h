/* The arguments of a client command, taken apart by a table.
 */
#ifndef DAEMON_CLI_ARGUMENTS_H
#define DAEMON_CLI_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { CLI_HOSTS_MAX = 16, CLI_WORDS_MAX = 1000 };

/* options that a command takes; --data, --json and --help every command takes */
enum {
	OPTION_TO = 1u << 0,
	OPTION_WATCH = 1u << 1,
	OPTION_RECIPIENT = 1u << 2,
	OPTION_SENDER = 1u << 3,
	OPTION_MESSAGE_ID = 1u << 4,
	OPTION_SINCE = 1u << 5,
	OPTION_UNTIL = 1u << 6,
	OPTION_LIMIT = 1u << 7,
	OPTION_FORMAT = 1u << 8,
	OPTION_DOMAIN = 1u << 9,
	OPTION_ALL = 1u << 10,
	OPTION_GRACE = 1u << 11,
};

struct arguments {
	const char *data;
	bool json, help, watch, all, grace;
	const char *to[CLI_HOSTS_MAX];
	size_t to_count;
	const char *recipient, *sender, *message_id, *since, *until, *limit, *format,
	    *domain;  /* NULL: not given */
	char **words; /* what is no option, in order */
	size_t word_count;
};

/* Sorts argv into options and words (argv itself is used for the words). options: a set of OPTION_*.
 * ERR_SYNTAX: a message for people is in ret_message. */
int arguments_parse(struct arguments *arguments, unsigned options, int argc, char **argv, char *ret_message,
		    size_t message_size);

#endif
