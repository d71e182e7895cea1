/* A peer's replies: parsed whole and byte by byte, which must give the same; then written, formatted and
 * parsed again.
 */
#include <string.h>

#include "base/check.h"
#include "fuzz.h"
#include "proto/reply.h"

enum { REPLIES_MAX = 32 };

/* The replies until an error or the end of the input; step bytes arrive at a time. */
static int parse_all(struct slice input, size_t step, struct reply replies[REPLIES_MAX], size_t *ret_count)
{
	struct reply_parser parser;
	size_t count = 0;
	int result = 0;

	reply_parser_init(&parser);
	while (input.size > 0 && count < REPLIES_MAX && result >= 0) {
		struct slice piece = slice_upto(input, step);
		size_t given = piece.size;
		result = reply_parse(&parser, &piece, &replies[count]);
		input = slice_from(input, given - piece.size);
		if (result == 1)
			count++;
		else
			check(result < 0 || piece.size == 0);
	}
	*ret_count = count;
	return result < 0 ? result : 0;
}

static void check_equal(const struct reply *a, const struct reply *b)
{
	check(a->code == b->code && a->class == b->class && a->subject == b->subject &&
	      a->detail == b->detail);
	check(strcmp(a->text, b->text) == 0);
}

static void check_reply(const struct reply *reply)
{
	char text[64], status[16];

	check(reply->code >= 200 && reply->code <= 599);
	check(memchr(reply->text, '\0', sizeof(reply->text)) != NULL);
	for (const char *c = reply->text; *c != '\0'; c++)
		check(*c == '\n' || ((unsigned char)*c >= ' ' && *c != 127));
	for (size_t size = 0; size <= sizeof(text); size += 16) {
		size_t length = reply_format(reply, text, size);
		check(size == 0 || (length < size && strlen(text) == length));
	}
	reply_status(reply, status);
	check(strlen(status) < sizeof(status));
}

static size_t longest_line(const char *text)
{
	struct slice rest = slice_of(text), line;
	size_t longest = 0;

	while (slice_split(&rest, '\n', &line))
		longest = line.size > longest ? line.size : longest;
	return longest;
}

/* A text that begins like an enhanced code is read as one. */
static bool ambiguous(const struct reply *reply)
{
	for (const char *c = reply->text; *c != '\0'; c++)
		if (*c == '.' && reply->class == 0)
			return true;
	return strchr(reply->text, '.') != NULL;
}

static void check_written(const struct reply *reply)
{
	struct buffer b;
	struct reply again[REPLIES_MAX];
	size_t count;

	buffer_init(&b, 0);
	if (reply_write(reply, true, &b) == 0) {
		check(parse_all(buffer_slice(&b), SIZE_MAX, again, &count) == 0 && count == 1);
		if (longest_line(reply->text) < 490 && !ambiguous(reply))
			check_equal(reply, &again[0]);
	}
	buffer_deinit(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct reply whole[REPLIES_MAX], bytes[REPLIES_MAX];
	size_t count, byte_count;
	struct slice input = slice_make(data, size);

	int result = parse_all(input, SIZE_MAX, whole, &count);
	check(parse_all(input, 1, bytes, &byte_count) == result && count == byte_count);
	for (size_t i = 0; i < count; i++) {
		check_equal(&whole[i], &bytes[i]);
		check_reply(&whole[i]);
		check_written(&whole[i]);
	}
	return 0;
}
