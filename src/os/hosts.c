#include "os/hosts.h"

/* Takes the next word off the front; empty at the end of the line. */
static struct slice next_word(struct slice *line)
{
	size_t end = 0;

	*line = slice_trim(*line);
	while (end < line->size && line->data[end] != ' ' && line->data[end] != '\t')
		end++;
	struct slice word = slice_upto(*line, end);
	*line = slice_from(*line, end);
	return word;
}

static bool names(struct slice line, struct slice name)
{
	for (struct slice word = next_word(&line); word.size > 0; word = next_word(&line))
		if (slice_equal_nocase(word, name))
			return true;
	return false;
}

size_t hosts_find(struct slice text, struct slice name, struct net_address *ret_addresses, size_t max)
{
	struct slice line;
	size_t count = 0;

	while (count < max && slice_split(&text, '\n', &line)) {
		struct net_address address;
		line = slice_upto(line, slice_find(line, '#'));
		if (line.size > 0 && line.data[line.size - 1] == '\r')
			line.size--;
		struct slice first = next_word(&line);
		if (net_address_parse(first, 0, &address) == 0 && names(line, name))
			ret_addresses[count++] = address;
	}
	return count;
}
