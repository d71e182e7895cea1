#include "daemon/demo_message.h"

#include <string.h>

#include "base/rng.h"

enum {
	LINES_MAX = 120,
	USERS = 50,
};

#define NUMBER_FIELD "\r\nX-Demo-Number: "

/* Dots in front, bytes above 127, an empty line: what a relay could spoil. */
static const char *const phrases[] = {
    "The counter where the post keeps your letters until you come for them.",
    ".A line that begins with a dot",
    "..",
    "",
    "Gr\303\274\303\237e aus K\303\266ln, \342\202\254 3,50",
    "From the first letter to the last, in the order of arrival",
    " \ta blank in front and one behind ",
};
enum { PHRASE_COUNT = sizeof(phrases) / sizeof(phrases[0]) };

int demo_message_make(uint32_t number, struct buffer *ret_text)
{
	struct rng rng;
	rng_init(&rng, number);
	int error = buffer_printf(ret_text,
				  "From: Sender <sender%u@example.net>\r\n"
				  "To: <user%u@example.com>\r\n"
				  "Subject: message %u\r\n"
				  "Message-ID: <%u@demo.example.net>" NUMBER_FIELD "%u\r\n"
				  "Content-Type: text/plain; charset=utf-8\r\n\r\n",
				  number % USERS, number % USERS, number, number, number);
	for (uint64_t lines = 1 + rng_below(&rng, LINES_MAX); error == 0 && lines > 0; lines--)
		error = buffer_printf(ret_text, "%s\r\n", phrases[rng_below(&rng, PHRASE_COUNT)]);
	return error;
}

int demo_message_stuff(struct slice text, struct buffer *ret_wire)
{
	int error = 0;
	while (error == 0 && text.size > 0) {
		size_t end = slice_find(text, '\n');
		struct slice line = slice_upto(text, end + 1);
		if (slice_starts(line, SLICE(".")))
			error = buffer_append(ret_wire, ".", 1);
		if (error == 0)
			error = buffer_add(ret_wire, line);
		text = slice_from(text, line.size);
	}
	return error == 0 ? buffer_add(ret_wire, SLICE(".\r\n")) : error;
}

/* Behind the Received fields with their continuation lines. */
static struct slice without_received(struct slice text)
{
	bool skipping = false;
	for (;;) {
		skipping = slice_starts_nocase(text, SLICE("Received:")) ||
			   (skipping && text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t'));
		if (!skipping)
			return text;
		text = slice_from(text, slice_find(text, '\n') + 1);
	}
}

static bool find_number(struct slice text, uint32_t *ret_number)
{
	static const char field[] = NUMBER_FIELD;
	const char *place = memmem(text.data, text.size, field, sizeof(field) - 1);
	uint64_t number = 0;
	if (place == NULL)
		return false;
	struct slice rest = slice_from(text, (size_t)(place - text.data) + sizeof(field) - 1);
	if (slice_to_u64(slice_upto(rest, slice_find(rest, '\r')), &number) != 0 || number > UINT32_MAX)
		return false;
	*ret_number = (uint32_t)number;
	return true;
}

bool demo_message_check(struct slice arrived, uint32_t *ret_number, bool *ret_same)
{
	struct buffer expected;
	if (arrived.size == 0 || !find_number(arrived, ret_number))
		return false;
	buffer_init(&expected, 0);
	*ret_same = demo_message_make(*ret_number, &expected) == 0 &&
		    slice_equal(without_received(arrived), buffer_slice(&expected));
	buffer_deinit(&expected);
	return true;
}
