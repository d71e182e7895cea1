/* Headers: scanned whole and byte by byte, which must give the same; and the strangers' part of a Received
 * field.
 */
#include <string.h>

#include "base/check.h"
#include "fuzz.h"
#include "proto/header.h"

static void check_scan(struct slice text)
{
	struct header_scan whole, bytes;

	header_scan_init(&whole, "mx.example");
	header_scan_feed(&whole, text);
	header_scan_init(&bytes, "mx.example");
	for (size_t i = 0; i < text.size; i++)
		header_scan_feed(&bytes, slice_make(text.data + i, 1));
	check(whole.received_count == bytes.received_count && whole.own_trace_count == bytes.own_trace_count);
	check(whole.done == bytes.done && strcmp(whole.message_id, bytes.message_id) == 0);
	check(whole.own_trace_count <= whole.received_count);
}

/* Lines end with CRLF, none is empty or begins a second field. */
static void check_lines(struct slice rest)
{
	struct slice line;
	bool first = true;

	while (slice_split(&rest, '\n', &line) && line.size > 0) {
		check(line.size > 1 && line.size < 998 && line.data[line.size - 1] == '\r');
		check(slice_find(line, '\r') == line.size - 1 && slice_find(line, '\0') == line.size);
		check(first ? slice_starts(line, SLICE("Received: ")) : line.data[0] == '\t');
		first = false;
	}
	check(!first && rest.data == NULL);
}

static void check_received(struct slice text)
{
	struct received r = {
	    .hostname = "mx.example", .protocol = "ESMTP", .id = "ID", .wall_ms = (int64_t)text.size};
	struct header_scan scan;
	struct buffer b;

	if (!slice_split(&text, '\n', &r.helo) || !slice_split(&text, '\n', &r.client_name) ||
	    !slice_split(&text, '\n', &r.client_address))
		return;
	r.client_address = slice_upto(r.client_address, 45);
	r.for_path = slice_upto(text, 320);
	buffer_init(&b, 0);
	header_scan_init(&scan, "mx.example");
	if (header_write_received(&r, &b) == 0) {
		check_lines(buffer_slice(&b));
		header_scan_feed(&scan, buffer_slice(&b));
		header_scan_feed(&scan, SLICE("\r\n"));
		check(scan.done && scan.received_count == 1 && scan.own_trace_count == 1);
	}
	buffer_deinit(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_make(data, size);

	check_scan(text);
	check_received(text);
	return 0;
}
