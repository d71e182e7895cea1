/* The bytes of a message on their way in: finds the end, takes out stuffed dots, insists on CRLF (RFC 5321
 * §4.5.2, §2.3.8).
 *
 * One reader for one message, for DATA (dots) and BDAT (no dots). Pieces are slices of the input wherever
 * nothing was changed: as many lines at a time as there are until one that begins with a dot. What is found
 * does not depend on how the bytes are cut into inputs.
 *
 * Only CRLF "." CRLF ends DATA. A CR or LF that is not part of a CRLF is BODY_BARE; with normalise it becomes
 * a CRLF, which is never a part of the end, and of ".." behind it one dot is taken out.
 */
#ifndef PROTO_BODY_READER_H
#define PROTO_BODY_READER_H

#include "base/error.h"
#include "base/slice.h"

/* What the bytes so far were. "Behind a line end" means a true CRLF or the beginning. */
enum body_state {
	BODY_AT_START = 0,    /* behind a line end */
	BODY_IN_LINE = 1,     /* behind some byte of a line */
	BODY_AT_CR = 2,	      /* a CR came that nobody was given yet: it is a line end if LF follows */
	BODY_AT_DOT = 3,      /* behind a line end a dot came, which nobody was given: stuffed, or the end */
	BODY_AT_DOT_CR = 4,   /* the same, and a CR: the end, if LF follows */
	BODY_LOOSE_START = 5, /* behind a line end that we made of a bare CR or LF */
	BODY_LOOSE_DOT =
	    6, /* there a dot came, which nobody was given: it stays, unless a second one follows */
};

enum body_result {
	BODY_MORE = 0,		/* all of the input was taken, nothing more to say */
	BODY_PIECE = 1,		/* *ret_piece is the next piece of the message */
	BODY_END = 2,		/* the final dot was taken */
	BODY_BARE = 3,		/* a CR or LF alone */
	BODY_TOO_BIG = 4,	/* more than size_max bytes */
	BODY_LINE_TOO_LONG = 5, /* a line with more than line_max bytes */
};

struct body_reader {
	uint64_t size_max, line_max; /* bytes; line ends count for the message, not for the line */
	bool dots, normalise;
	bool discard; /* give no more pieces and find no more faults, only the end */
	enum body_state state;
	uint64_t size_bytes; /* given so far */
	uint64_t line_bytes; /* of the present line, without its end */
};

/* Takes bytes off the front of *input. After BARE, TOO_BIG and LINE_TOO_LONG the caller sets discard and goes
 * on. The piece points into the input or to a constant. */
nodiscard enum body_result body_reader_take(struct body_reader *r, struct slice *input,
					    struct slice *ret_piece);

/* Nothing follows (BDAT LAST): a CR that waits for its LF is a fault or, normalised, one more piece; else
 * BODY_END. */
nodiscard enum body_result body_reader_finish(struct body_reader *r, struct slice *ret_piece);

#endif
