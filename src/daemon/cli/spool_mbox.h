/* mboxrd: messages behind each other in one file. The bytes of a message stay as they are (CRLF), but for a
 * ">" before each line that begins with any number of ">" and "From ".
 */
#ifndef DAEMON_CLI_SPOOL_MBOX_H
#define DAEMON_CLI_SPOOL_MBOX_H

#include <stdio.h>

#include "base/buffer.h"

struct mbox_writer {
	FILE *to;
	bool inside;	   /* of a line that needs no more thought; else the begin of one is held back: */
	uint64_t quotes;   /* so many ">", */
	size_t from_bytes; /* and so much of "From " */
};

/* ERR_IO, ERR_MEMORY, all of them. */
nodiscard int mbox_begin(struct mbox_writer *writer, struct slice reverse_path, int64_t arrival_ms);
nodiscard int mbox_write(struct mbox_writer *writer, struct slice bytes);
nodiscard int mbox_end(struct mbox_writer *writer);

struct mbox_reader {
	FILE *from; /* set by the caller */
	char *line; /* of getline */
	size_t room;
	bool pending; /* a From_ line is in `line` */
	size_t line_size;
};

/* The next message, dequoted; the line that separates it from the next one is taken off. crlf: an LF alone
 * becomes CRLF. 1: one; 0: no more; ERR_SYNTAX: no From_ line where one should be; ERR_MEMORY; ERR_IO. */
nodiscard int mbox_next(struct mbox_reader *reader, bool crlf, struct buffer *ret_sender,
			struct buffer *ret_message);
void mbox_reader_end(struct mbox_reader *reader); /* not the file */

#endif
