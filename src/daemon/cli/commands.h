/* The client commands, and what they are given.
 */
#ifndef DAEMON_CLI_COMMANDS_H
#define DAEMON_CLI_COMMANDS_H

#include "daemon/cli/arguments.h"
#include "daemon/cli/client.h"

/* Runs one command; client is open, and words are as many as the command takes. Returns the exit status. */
typedef int command_run(struct client *client, const struct arguments *arguments);

struct command {
	const char *name;     /* "domain add" */
	const char *synopsis; /* what stands behind the name */
	const char *help;
	unsigned options;
	size_t words_min, words_max;
	command_run *run;
};

command_run run_domain_import;
command_run run_domain_add, run_domain_ls, run_domain_show, run_domain_set, run_domain_rm;
command_run run_hold, run_resume, run_probe, run_trust;
command_run run_recipient_ls, run_recipient_pin, run_recipient_unpin, run_recipient_import;
command_run run_status;
command_run run_queue, run_trace;
command_run run_message_show, run_message_cat, run_message_release, run_message_rm;
command_run run_doctor;
command_run run_spool_check, run_spool_rebuild, run_spool_export, run_spool_import, run_spool_forget;
command_run run_backup, run_restore;

/* "restante COMMAND: text", and the synopsis; returns CLI_USAGE. */
int usage_error(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* --- shared by the commands --- */

/* "/v1/domains/NAME/what" with the name escaped and a NUL behind; what may be "". ERR_MEMORY: said. */
nodiscard int target_of(struct buffer *to, const char *before, const char *name, const char *behind);
/* Adds "?key=value" or "&key=value" when value is given. The NUL is not there yet. */
nodiscard int add_query(struct buffer *to, bool *first, const char *key, const char *value);

/* Does a request whose answer is {"message":...}: prints it, or the whole answer with --json. Exit status. */
int change(struct client *client, const struct arguments *arguments, const char *method, const char *target,
	   const json_t *body);
/* GETs and prints as it is. Exit status. */
int print_answer(struct client *client, const char *target);

/* GETs a list that comes in pages ("next" is where the following one begins, or null), all pages as one.
 * NULL: it was said why. */
json_t *client_pages(struct client *client, const char *target, const char *list);
/* The same, printed: as it is when there is one page. Exit status. */
int print_pages(struct client *client, const char *target, const char *list);

/* Members of objects, with something printable when they are missing. */
const char *text_of(const json_t *object, const char *key); /* "" */
double number_of(const json_t *object, const char *key);    /* 0 */
bool colour_wanted(FILE *to);				    /* a terminal, and no NO_COLOR */
int64_t wall_now_ms(void);
/* Was everything written to standard output? Exit status. */
int finish_output(int status);

/* spool_check.c: the command itself, for others to use. Exit status. */
int spool_check(const char *data, bool json);

/* status.c: the picture that `status` draws. all: of many lanes and domains, those that need nothing too.
 * peaks: largest number of messages held by lane so far (an object that is kept between pictures), or NULL
 * for no progress bars. */
void print_status(FILE *to, const json_t *status, bool colour, bool all, json_t *peaks);

#endif
