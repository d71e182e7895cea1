#include "proto/body_reader.h"

#include "base/check.h"

enum {
	/* Bytes that are searched for a line end at a time: a search for a LF that is far away or missing is
	 * not repeated at each of many CRs. */
	SCAN_WINDOW = 1024,
	/* Internal result: nothing to say yet, go on. */
	BODY_ON = -1,
};

/* Bytes in front of the first CR or LF. */
static size_t text_size(struct slice s)
{
	s = slice_upto(s, SCAN_WINDOW);
	s = slice_upto(s, slice_find(s, '\n'));
	return slice_find(s, '\r');
}

static uint64_t line_room(const struct body_reader *r)
{
	if (r->discard)
		return UINT64_MAX;
	return r->line_max > r->line_bytes ? r->line_max - r->line_bytes : 0;
}

static struct slice within_size(const struct body_reader *r, struct slice s)
{
	uint64_t room = r->size_max - r->size_bytes;

	return r->discard || room >= s.size ? s : slice_upto(s, (size_t)room);
}

static bool at_line_end(struct slice s, size_t at)
{
	return s.size - at >= 2 && s.data[at] == '\r' && s.data[at + 1] == '\n';
}

/* Bytes at the front that can be given as they are; whole lines as long as no dot begins one. Moves the state
 * behind them. */
static size_t clean_run(struct body_reader *r, struct slice s)
{
	size_t at = 0;

	s = within_size(r, s);
	while (at < s.size && !(r->state == BODY_AT_START && r->dots && s.data[at] == '.')) {
		size_t text = text_size(slice_from(s, at));
		uint64_t room = line_room(r);
		if (text > room)
			text = (size_t)room;
		at += text;
		r->line_bytes += text;
		if (text > 0)
			r->state = BODY_IN_LINE;
		if (at_line_end(s, at)) {
			at += 2;
			r->line_bytes = 0;
			r->state = BODY_AT_START;
		} else if (text == 0) {
			break;
		}
	}
	return at;
}

/* A piece that is not in the input. */
static int give(struct body_reader *r, struct slice piece, struct slice *ret_piece)
{
	if (r->discard)
		return BODY_ON;
	if (piece.size > r->size_max - r->size_bytes)
		return BODY_TOO_BIG;
	r->size_bytes += piece.size;
	*ret_piece = piece;
	return BODY_PIECE;
}

static int give_line_end(struct body_reader *r, enum body_state next, struct slice *ret_piece)
{
	r->state = next;
	r->line_bytes = 0;
	return give(r, SLICE("\r\n"), ret_piece);
}

static int give_dot(struct body_reader *r, enum body_state next, struct slice *ret_piece)
{
	r->state = next;
	r->line_bytes++;
	return give(r, SLICE("."), ret_piece);
}

/* A CR or LF alone, which the caller has dealt with in the input. */
static int bare(struct body_reader *r, struct slice *ret_piece)
{
	if (r->normalise && !r->discard)
		return give_line_end(r, BODY_LOOSE_START, ret_piece);
	r->state = BODY_IN_LINE;
	return r->discard ? BODY_ON : BODY_BARE;
}

static void take(struct slice *input)
{
	*input = slice_from(*input, 1);
}

/* Each of these looks at the first byte of the input, in one state, and takes it or not. */

static int in_line(struct body_reader *r, struct slice *input, struct slice *ret_piece)
{
	char c = input->data[0];

	if (c == '\r') {
		take(input);
		r->state = BODY_AT_CR;
		return BODY_ON;
	}
	if (c == '\n') {
		take(input);
		return bare(r, ret_piece);
	}
	/* An ordinary byte that clean_run did not want. */
	return line_room(r) == 0 ? BODY_LINE_TOO_LONG : BODY_TOO_BIG;
}

static int at_start(struct body_reader *r, struct slice *input, struct slice *ret_piece)
{
	if (!r->dots || input->data[0] != '.')
		return in_line(r, input, ret_piece);
	take(input);
	r->state = BODY_AT_DOT;
	return BODY_ON;
}

static int at_cr(struct body_reader *r, struct slice *input, struct slice *ret_piece)
{
	if (input->data[0] != '\n')
		return bare(r, ret_piece);
	take(input);
	return give_line_end(r, BODY_AT_START, ret_piece);
}

static int at_dot(struct body_reader *r, struct slice *input, struct slice *ret_piece)
{
	if (input->data[0] == '\r') {
		take(input);
		r->state = BODY_AT_DOT_CR;
	} else if (input->data[0] == '\n') {
		r->state = BODY_LOOSE_DOT; /* a line with a dot alone, but not the end */
	} else {
		r->state = BODY_IN_LINE; /* the dot was stuffed */
	}
	return BODY_ON;
}

static int at_dot_cr(struct body_reader *r, struct slice *input, struct slice *ret_piece)
{
	if (input->data[0] != '\n')
		return give_dot(r, BODY_AT_CR, ret_piece);
	take(input);
	return BODY_END;
}

static int loose_start(struct body_reader *r, struct slice *input, struct slice *ret_piece)
{
	if (r->dots && input->data[0] == '.') {
		take(input);
		r->state = BODY_LOOSE_DOT;
	} else {
		r->state = BODY_IN_LINE;
	}
	return BODY_ON;
}

static int loose_dot(struct body_reader *r, struct slice *input, struct slice *ret_piece)
{
	if (input->data[0] != '.')
		return give_dot(r, BODY_IN_LINE, ret_piece);
	r->state = BODY_IN_LINE;
	return BODY_ON;
}

typedef int look_function(struct body_reader *, struct slice *, struct slice *);

static look_function *const looks[] = {
    [BODY_AT_START] = at_start,	  [BODY_IN_LINE] = in_line,	[BODY_AT_CR] = at_cr,
    [BODY_AT_DOT] = at_dot,	  [BODY_AT_DOT_CR] = at_dot_cr, [BODY_LOOSE_START] = loose_start,
    [BODY_LOOSE_DOT] = loose_dot,
};

/* The run, if there is one. */
static int take_run(struct body_reader *r, struct slice *input, struct slice *ret_piece)
{
	if (r->state != BODY_AT_START && r->state != BODY_IN_LINE)
		return BODY_ON;
	size_t run = clean_run(r, *input);
	struct slice piece = slice_upto(*input, run);
	*input = slice_from(*input, run);
	return run > 0 ? give(r, piece, ret_piece) : BODY_ON;
}

enum body_result body_reader_take(struct body_reader *r, struct slice *input, struct slice *ret_piece)
{
	while (input->size > 0) {
		int result = take_run(r, input, ret_piece);
		if (result == BODY_ON && input->size > 0)
			result = looks[r->state](r, input, ret_piece);
		if (result != BODY_ON)
			return (enum body_result)result;
	}
	return BODY_MORE;
}

enum body_result body_reader_finish(struct body_reader *r, struct slice *ret_piece)
{
	check(!r->dots);
	if (r->state != BODY_AT_CR)
		return BODY_END;
	int result = bare(r, ret_piece);
	return result == BODY_ON ? BODY_END : (enum body_result)result;
}
