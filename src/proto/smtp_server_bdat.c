/* BDAT (RFC 3030 §2): the message in chunks of announced sizes.
 *
 * The bytes of a chunk follow whatever we think of it, so a refused chunk is swallowed to its last byte
 * before it is answered; if its size cannot be read, no byte behind it can be told from a command, and the
 * session ends.
 */
#include <inttypes.h>

#include "base/check.h"
#include "proto/smtp_server_private.h"

static bool parse_arguments(struct slice text, uint64_t *ret_size, bool *ret_last)
{
	size_t end = slice_find(text, ' ');
	struct slice last = slice_trim(slice_from(text, end));

	if (slice_to_u64(slice_upto(text, end), ret_size) != 0)
		return false;
	*ret_last = last.size > 0;
	return last.size == 0 || slice_equal_nocase(last, SLICE("LAST"));
}

static void await_chunk(struct smtp_server *s, int64_t now_us)
{
	s->phase = SERVER_CHUNK;
	smtp_server_body_await(s, now_us);
}

/* A chunk that comes at the wrong time. The transaction, if there is one, is not touched. */
static void refuse_chunk(struct smtp_server *s, int64_t now_us)
{
	bool excused = false;

	if (!s->config.offer_chunking) {
		smtp_server_body_refuse(s, 502, "5.5.1", "BDAT is not offered: use DATA");
	} else if (s->chunks_refused) {
		excused = true; /* sent before the client could know */
		smtp_server_body_refuse(s, 503, "5.5.1", "an earlier chunk was refused: the message is lost");
	} else if (!s->mail_given) {
		smtp_server_body_refuse(s, 503, "5.5.1", "send MAIL and RCPT first");
	} else if (s->rcpt_refused) {
		excused = true; /* sent in one group with RCPT */
		smtp_server_body_refuse(s, 554, "5.5.1", "no valid recipients");
	} else {
		smtp_server_body_refuse(s, 503, "5.5.1", "send RCPT first");
	}
	if (excused ? smtp_server_count_idle(s) : smtp_server_count_error(s))
		await_chunk(s, now_us);
}

static bool fits(const struct smtp_server *s, uint64_t chunk)
{
	uint64_t had = s->begun ? s->reader.size_bytes : 0;

	return s->config.message_bytes_max == 0 ||
	       (had <= s->config.message_bytes_max && chunk <= s->config.message_bytes_max - had);
}

/* An endless row of empty chunks brings the message no nearer. */
static bool count_chunk(struct smtp_server *s)
{
	return s->chunk_left > 0 || s->chunk_last || smtp_server_count_idle(s);
}

void smtp_server_do_bdat(struct smtp_server *s, struct slice arguments, int64_t now_us)
{
	if (!parse_arguments(arguments, &s->chunk_left, &s->chunk_last)) {
		smtp_server_error(s, 501, "5.5.4", "the syntax is BDAT size [LAST]; closing the connection");
		smtp_server_close(s);
		return;
	}
	if (!count_chunk(s))
		return;
	s->chunk_bytes = s->chunk_left;
	if (!s->config.offer_chunking || s->transaction.recipient_count == 0) {
		refuse_chunk(s, now_us);
		return;
	}
	s->chunked = true;
	if (!fits(s, s->chunk_left))
		smtp_server_body_found(s, BODY_TOO_BIG, SLICE(""));
	if (s->begun || s->refusal.code != 0)
		await_chunk(s, now_us);
	else
		smtp_server_ask(s, SERVER_ASKED_BEGIN, SMTP_SERVER_BEGIN);
}

void smtp_server_bdat_begun(struct smtp_server *s, const struct reply *reply, int64_t now_us)
{
	smtp_server_body_begin(s, false);
	if (reply->code >= 400) {
		s->begun = false;
		s->refusal = *reply;
	}
	await_chunk(s, now_us);
}

static void end_refused_chunk(struct smtp_server *s)
{
	struct reply refusal = s->refusal;
	bool more_follow = !s->chunk_last;

	s->refusal.code = 0;
	if (s->chunked) {
		smtp_server_reset(s);
		s->chunks_refused = more_follow;
	} else if (!more_follow) {
		s->chunks_refused = false;
	}
	smtp_server_write_given(s, &refusal);
}

/* All bytes of the chunk were taken. */
static void end_chunk(struct smtp_server *s, int64_t now_us)
{
	struct slice piece;
	enum body_result result = BODY_END;

	if (s->refusal.code == 0 && s->chunk_last)
		result = body_reader_finish(&s->reader, &piece);
	if (result != BODY_END) {
		smtp_server_body_found(s, result, piece);
		return; /* and again */
	}
	s->phase = SERVER_COMMAND;
	s->command_since_us = now_us;
	if (s->refusal.code != 0)
		end_refused_chunk(s);
	else if (s->chunk_last)
		smtp_server_ask(s, SERVER_ASKED_COMMIT, SMTP_SERVER_COMMIT);
	else
		smtp_server_reply(s, 250, "2.0.0", "%" PRIu64 " bytes taken", s->chunk_bytes);
}

static void note_taken(struct smtp_server *s, struct slice *input, size_t size, int64_t now_us)
{
	check(size <= s->chunk_left);
	*input = slice_from(*input, size);
	s->chunk_left -= size;
	s->body_bytes += size;
	s->body_seen_us = now_us;
}

bool smtp_server_take_chunk(struct smtp_server *s, struct slice *input, int64_t now_us)
{
	size_t size = input->size < s->chunk_left ? input->size : (size_t)s->chunk_left;
	struct slice rest = slice_upto(*input, size), piece;
	enum body_result result = BODY_MORE;

	if (s->chunk_left == 0) {
		end_chunk(s, now_us);
		return true;
	}
	if (size == 0)
		return false;
	if (s->refusal.code == 0)
		result = body_reader_take(&s->reader, &rest, &piece);
	else
		rest.size = 0;
	note_taken(s, input, size - rest.size, now_us);
	if (result != BODY_MORE)
		smtp_server_body_found(s, result, piece);
	return true;
}
