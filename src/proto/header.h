/* What the relay does to a header: it writes one Received field in front, and looks at what is there.
 */
#ifndef PROTO_HEADER_H
#define PROTO_HEADER_H

#include "base/buffer.h"

enum {
	HEADER_LINE_MAX = 78,	      /* characters that a line should not exceed (RFC 5322 §2.1.1) */
	HEADER_NAME_MAX = 255,	      /* of a client's name that is written; the rest is cut off */
	HEADER_SCAN_FIELD_MAX = 1024, /* bytes of one field that are looked at; our own Received fields fit */
};

struct received {
	struct slice helo, client_name, client_address; /* client_name may be empty */
	const char *hostname, *protocol;
	const char *tls_version, *tls_cipher; /* NULL without TLS */
	const char *id;
	struct slice for_path; /* of the only recipient, else empty: others must not be told */
	int64_t wall_ms;
};

/* Appends "Received: from ... by ... with ... id ...; date CRLF" (RFC 5321 §4.4), folded at 78 columns where
 * it can be; bytes of strangers that could break a header are replaced by '?'. The date is in UTC (+0000).
 * ERR_MEMORY, ERR_LIMIT: nothing was appended. */
nodiscard int header_write_received(const struct received *r, struct buffer *to);

/* "Mon, 23 Nov 2026 18:04:05 +0000" (RFC 5322 §3.3). */
enum { HEADER_DATE_SIZE = 40 };
void header_date(int64_t wall_ms, char ret_text[HEADER_DATE_SIZE]);

/* Incremental look at a message's header: feed body bytes as they come, whole or in pieces, until done. A
 * field counts once the line behind it has begun. */
enum {
	HEADER_MESSAGE_ID_MAX = 250,
	HEADER_PASSES_MAX =
	    32, /* own traces that are told apart by their recipients; the others count for all */
};
struct header_scan {
	uint32_t received_count;  /* Received fields */
	uint32_t own_trace_count; /* Received fields with "by <hostname>" (loop detection) */
	char message_id[HEADER_MESSAGE_ID_MAX + 1]; /* without <>; "" if none; cut when longer */
	bool done;				    /* the empty line was seen */
	/* private */
	uint64_t passed_for[HEADER_PASSES_MAX]; /* hashes of the recipients of own traces */
	uint32_t passed_for_count;
	const char *hostname;
	char field[HEADER_SCAN_FIELD_MAX]; /* as it came, line ends included */
	size_t field_size;
	size_t line_size; /* of the present line, without LF */
	bool line_cr;	  /* its last byte is a CR */
};

/* hostname outlives the scan. */
void header_scan_init(struct header_scan *scan, const char *hostname);
void header_scan_feed(struct header_scan *scan, struct slice bytes);
/* How often the message has passed us on its way to this mailbox: own traces "for <it>", without case, and
 * those that name no recipient, since they had several. */
uint32_t header_scan_passes(const struct header_scan *scan, struct slice forward_path);

#endif
