/* Looking for words in the text of a reply.
 *
 * A list is written "spf|too many|throttl*": alternatives separated by '|', ASCII case ignored. Each must
 * begin where a word of the text begins and end where one ends, so that "ptr" is not found in "scriptreader";
 * with a '*' at its end it may go on. Line ends in the text count as blanks.
 */
#ifndef LANE_WORDS_H
#define LANE_WORDS_H

#include "base/slice.h"

bool words_any(struct slice text, const char *list);

#endif
