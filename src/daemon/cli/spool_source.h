/* Where mail for an import comes from: an export of this program, an mbox file, or a Maildir.
 *
 * The messages come in an order that is the same each time, so that an import can go on where it stopped.
 */
#ifndef DAEMON_CLI_SPOOL_SOURCE_H
#define DAEMON_CLI_SPOOL_SOURCE_H

#include "daemon/cli/spool_envelope.h"
#include "daemon/cli/spool_mbox.h"

enum { SOURCE_NAME_SIZE = 40, SOURCE_TEXT_SIZE = 256 };

struct source {
	const char *path;
	bool exported;			/* with envelopes */
	const char *recipient, *sender; /* of all messages, when there are no envelopes */
	FILE *mbox, *envelopes;
	struct mbox_reader reader;
	char **files; /* of a plain Maildir: "new/NAME", sorted */
	size_t file_count, file_capacity, next_file;
	json_t *domains;	     /* of an export: name -> record */
	char name[SOURCE_NAME_SIZE]; /* tells it from any other source */
	uint64_t number;	     /* messages given so far */
	char text[SOURCE_TEXT_SIZE]; /* what is wrong, after an error */
	char *line;
	size_t line_room;
	struct buffer from;
};

/* ERR_SYNTAX, ERR_IO, ERR_MEMORY: source->text says why. source_close in every case. */
nodiscard int source_open(struct source *source, const char *path, const char *recipient, const char *sender);
void source_close(struct source *source);

/* 1: the next message, its envelope in the arena, domains with their numbers (0: not known), its bytes in
 * ret_body; 0: no more; or an error as above. */
nodiscard int source_next(struct source *source, const struct tool_domains *domains, struct arena *arena,
			  struct store_entry *ret_entry, struct buffer *ret_body);

#endif
