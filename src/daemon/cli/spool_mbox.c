#include "daemon/cli/spool_mbox.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char from_word[] = "From ";
enum { FROM_SIZE = sizeof(from_word) - 1, DATE_SIZE = 64 };

/* --- writing -------------------------------------------------------------------------------------- */

static int put(FILE *to, const char *data, size_t size)
{
	return size == 0 || fwrite(data, 1, size, to) == size ? 0 : ERR_IO;
}

int mbox_begin(struct mbox_writer *writer, struct slice reverse_path, int64_t arrival_ms)
{
	time_t seconds = (time_t)(arrival_ms / 1000);
	char date[DATE_SIZE] = "Thu Jan  1 00:00:00 1970";
	struct tm parts;

	if (gmtime_r(&seconds, &parts) != NULL)
		(void)strftime(date, sizeof(date), "%a %b %e %H:%M:%S %Y", &parts);
	writer->inside = false;
	writer->quotes = 0;
	writer->from_bytes = 0;
	bool plain = reverse_path.size > 0 && slice_find(reverse_path, ' ') == reverse_path.size &&
		     slice_find(reverse_path, '\n') == reverse_path.size;
	int size = fprintf(writer->to, "From %.*s %s\n",
			   SLICE_ARG(plain ? reverse_path : SLICE("MAILER-DAEMON")), date);
	return size > 0 ? 0 : ERR_IO;
}

/* Writes what was held back. */
static int settle(struct mbox_writer *w, bool quoted)
{
	int error = quoted ? put(w->to, ">", 1) : 0;

	for (; error == 0 && w->quotes > 0; w->quotes--)
		error = put(w->to, ">", 1);
	if (error == 0)
		error = put(w->to, from_word, w->from_bytes);
	w->from_bytes = 0;
	w->inside = true;
	return error;
}

static int write_byte(struct mbox_writer *w, char byte)
{
	if (byte == '>' && w->from_bytes == 0) {
		w->quotes++;
		return 0;
	}
	if (byte == from_word[w->from_bytes]) {
		w->from_bytes++;
		return w->from_bytes == FROM_SIZE ? settle(w, true) : 0;
	}
	int error = settle(w, false);
	if (error == 0)
		error = put(w->to, &byte, 1);
	w->inside = byte != '\n';
	return error;
}

int mbox_write(struct mbox_writer *writer, struct slice bytes)
{
	int error = 0;

	while (bytes.size > 0 && error == 0) {
		if (!writer->inside) {
			error = write_byte(writer, bytes.data[0]);
			bytes = slice_from(bytes, 1);
			continue;
		}
		size_t size = slice_find(bytes, '\n');
		writer->inside = size == bytes.size;
		size += size < bytes.size;
		error = put(writer->to, bytes.data, size);
		bytes = slice_from(bytes, size);
	}
	return error;
}

int mbox_end(struct mbox_writer *writer)
{
	bool held = !writer->inside && (writer->quotes > 0 || writer->from_bytes > 0);
	int error = held ? settle(writer, false) : 0;

	/* The line that separates; one more when the message does not end with a line's end. */
	if (error == 0)
		error = put(writer->to, "\n\n", writer->inside ? 2 : 1);
	return error;
}

/* --- reading -------------------------------------------------------------------------------------- */

static bool read_line(struct mbox_reader *r)
{
	ssize_t size = getline(&r->line, &r->room, r->from);

	r->line_size = size > 0 ? (size_t)size : 0;
	return size > 0;
}

static struct slice line_of(const struct mbox_reader *r)
{
	return slice_make(r->line, r->line_size);
}

static int take_sender(const struct mbox_reader *r, struct buffer *ret_sender)
{
	struct slice rest = slice_from(line_of(r), FROM_SIZE), sender;

	buffer_reset(ret_sender);
	if (!slice_split(&rest, ' ', &sender) || slice_equal(sender, SLICE("MAILER-DAEMON")))
		return 0;
	return slice_find(sender, '@') < sender.size ? buffer_add(ret_sender, sender) : 0;
}

static bool is_quoted_from(struct slice line)
{
	if (line.size == 0 || line.data[0] != '>')
		return false;
	while (line.size > 0 && line.data[0] == '>')
		line = slice_from(line, 1);
	return slice_starts(line, SLICE("From "));
}

static int add_line(struct slice line, bool crlf, struct buffer *to)
{
	if (is_quoted_from(line))
		line = slice_from(line, 1);
	bool bare = crlf && line.size > 0 && line.data[line.size - 1] == '\n' &&
		    (line.size < 2 || line.data[line.size - 2] != '\r');
	int error = buffer_add(to, slice_upto(line, line.size - bare));
	return error == 0 && bare ? buffer_add(to, SLICE("\r\n")) : error;
}

int mbox_next(struct mbox_reader *r, bool crlf, struct buffer *ret_sender, struct buffer *ret_message)
{
	int error = 0;

	if (!r->pending && !read_line(r))
		return ferror(r->from) ? ERR_IO : 0;
	if (!slice_starts(line_of(r), SLICE("From ")))
		return ERR_SYNTAX;
	error = take_sender(r, ret_sender);
	buffer_reset(ret_message);
	r->pending = false;
	bool blank = false; /* an empty line that may be the one that separates */
	while (error == 0 && !r->pending && read_line(r)) {
		struct slice line = line_of(r);
		r->pending = blank && slice_starts(line, SLICE("From "));
		if (r->pending)
			break;
		if (blank)
			error = buffer_add(ret_message, crlf ? SLICE("\r\n") : SLICE("\n"));
		blank = slice_equal(line, SLICE("\n")) || (crlf && slice_equal(line, SLICE("\r\n")));
		if (error == 0 && !blank)
			error = add_line(line, crlf, ret_message);
	}
	if (error == 0 && ferror(r->from))
		error = ERR_IO;
	return error != 0 ? error : 1;
}

void mbox_reader_end(struct mbox_reader *reader)
{
	free(reader->line);
}
