/* The messages of the demo: each is made from its number, so that what arrives can be compared byte for byte.
 */
#ifndef DAEMON_DEMO_MESSAGE_H
#define DAEMON_DEMO_MESSAGE_H

#include "base/buffer.h"

/* Appends the message with CRLF line ends, not dot-stuffed. ERR_MEMORY. */
nodiscard int demo_message_make(uint32_t number, struct buffer *ret_text);

/* Doubles the dot at the beginning of a line and adds the final dot (RFC 5321 §4.5.2). ERR_MEMORY. */
nodiscard int demo_message_stuff(struct slice text, struct buffer *ret_wire);

/* What arrived: the number that it bears (false: none), and whether it is that message, but for Received
 * lines in front. */
bool demo_message_check(struct slice arrived, uint32_t *ret_number, bool *ret_same);

#endif
