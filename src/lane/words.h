/* Looking for words in the text of a reply.
 *
 * A list is written "spf|too many|throttl*|mailbox .. full": alternatives separated by '|', ASCII case
 * ignored. Each must begin where a word of the text begins and end where one ends, so that "ptr" is not found
 * in "scriptreader"; with a '*' at its end it may go on. A blank stands for any run of blanks and line ends.
 * " .. " stands for any text between. Lists are written in lower case.
 *
 * Addresses that the reply repeats are no words of the server's: who may choose a recipient's or a sender's
 * address could otherwise choose the verdict. What stands in <> is left out, and whatever has an '@' in it.
 */
#ifndef LANE_WORDS_H
#define LANE_WORDS_H

#include "base/slice.h"

enum { WORDS_TEXT_MAX = 1024 }; /* bytes looked at; the client machine keeps 512 of a reply */

struct words_text { /* the text without addresses, in lower case, with single blanks */
	char bytes[WORDS_TEXT_MAX];
	size_t size;
};

void words_clean(struct slice from, struct words_text *ret_text);
bool words_any(const struct words_text *text, const char *list);

#endif
