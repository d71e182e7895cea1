/* The two things that the relay does to a header: write one Received line in front, and look at what is there.
 */
#ifndef PROTO_HEADER_H
#define PROTO_HEADER_H

#include "base/buffer.h"

struct received {
	struct slice helo, client_name, client_address; /* client_name may be empty */
	const char *hostname, *protocol, *tls_version, *tls_cipher; /* tls_* NULL without TLS */
	const char *id;
	struct slice for_path; /* only when there is exactly one recipient (others must not learn of it), else empty */
	int64_t wall_ms;
};

/* Appends "Received: from ... by ... with ... id ...; date CRLF" (RFC 5321 §4.4), folded below 78 columns where it can be;
 * bytes of strangers that could break a header are replaced by '?'. The date is in UTC (+0000). */
nodiscard int header_write_received(const struct received *r, struct buffer *to);

/* "Mon, 23 Nov 2026 18:04:05 +0000" (RFC 5322 §3.3). */
enum { HEADER_DATE_SIZE = 40 };
void header_date(int64_t wall_ms, char ret_text[HEADER_DATE_SIZE]);

/* Incremental look at a message's header: feed body bytes as they come, whole or in pieces, until done. */
enum { HEADER_MESSAGE_ID_MAX = 250 };
struct header_scan {
	uint32_t received_count;                       /* Received fields */
	uint32_t own_trace_count;                      /* Received fields with "by <hostname>" (loop detection) */
	char message_id[HEADER_MESSAGE_ID_MAX + 1];    /* without <>; "" if none; cut when longer */
	bool done;                                     /* the empty line was seen */
	/* private */
	const char *hostname;
	char line[512];
	size_t line_size;
	uint8_t field;
	bool at_line_start;
};

void header_scan_init(struct header_scan *scan, const char *hostname);
void header_scan_feed(struct header_scan *scan, struct slice bytes);

#endif
