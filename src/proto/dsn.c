#include "proto/dsn.h"

#include "proto/header.h"
#include "proto/utf8.h"

/* --- values of strangers --- */

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; /* RFC 3461 §4: upper case only */
}

/* One character at the front of the text: itself, or what "+2B" stands for. */
static char next_char(struct slice *text, bool xtext)
{
	char c = text->data[0];
	int high = text->size >= 3 ? hex(text->data[1]) : -1, low = text->size >= 3 ? hex(text->data[2]) : -1;
	bool coded = xtext && c == '+' && high >= 0 && low >= 0;

	*text = slice_from(*text, coded ? 3 : 1);
	return coded ? (char)(high << 4 | low) : c;
}

/* Nothing of it may end the field or the line; beyond ASCII only in the form that allows it. */
static int add_value(struct buffer *to, struct slice text, bool xtext, bool utf8)
{
	size_t start = buffer_size(to);
	int error = 0;

	while (text.size > 0 && error == 0) {
		char c = next_char(&text, xtext);
		if ((uint8_t)c < ' ' || c == 0x7f || ((uint8_t)c >= 0x80 && !utf8))
			c = '?';
		error = buffer_append(to, &c, 1);
	}
	if (error == 0)
		utf8_repair(to->bytes + to->start + start, buffer_size(to) - start);
	return error;
}

static int add_field(struct buffer *to, const char *name, const char *type, struct slice value, bool xtext,
		     bool utf8)
{
	int error = value.size > 0 ? buffer_printf(to, "%s: %s", name, type) : 0;

	if (error == 0)
		error = add_value(to, value, xtext, utf8);
	return error == 0 && value.size > 0 ? buffer_add(to, SLICE("\r\n")) : error;
}

static int add_date(struct buffer *to, const char *name, int64_t wall_ms)
{
	char date[HEADER_DATE_SIZE];

	header_date(wall_ms, date);
	return wall_ms != 0 ? buffer_printf(to, "%s: %s\r\n", name, date) : 0;
}

/* --- parts --- */

static bool failed(const struct dsn *dsn)
{
	for (size_t i = 0; i < dsn->recipient_count; i++)
		if (dsn->recipients[i].action == DSN_FAILED)
			return true;
	return false;
}

static int add_header(const struct dsn *dsn, struct buffer *to)
{
	char date[HEADER_DATE_SIZE];

	header_date(dsn->date_ms, date);
	int error = buffer_printf(to, "From: Mail relay <postmaster@%s>\r\nTo: <", dsn->hostname);
	if (error == 0)
		error = add_value(to, dsn->to, false, dsn->utf8);
	if (error != 0)
		return error;
	return buffer_printf(
	    to,
	    ">\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <%s>\r\nAuto-Submitted: auto-replied\r\n"
	    "MIME-Version: 1.0\r\nContent-Type: multipart/report; "
	    "report-type=%s;\r\n\tboundary=\"%s\"\r\n%s\r\n",
	    failed(dsn) ? "Your message could not be delivered" : "Your message was passed on", date,
	    dsn->message_id, dsn->utf8 ? "global-delivery-status" : "delivery-status", dsn->boundary,
	    dsn->utf8 || dsn->eight ? "Content-Transfer-Encoding: 8bit\r\n" : "");
}

static int add_words(const struct dsn *dsn, struct buffer *to)
{
	int error = buffer_printf(to, "--%s\r\nContent-Type: text/plain; charset=%s\r\n%s\r\n%s\r\n",
				  dsn->boundary, dsn->utf8 ? "utf-8" : "us-ascii",
				  dsn->utf8 ? "Content-Transfer-Encoding: 8bit\r\n" : "", dsn->words);

	for (size_t i = 0; i < dsn->recipient_count && error == 0; i++) {
		const struct dsn_recipient *r = &dsn->recipients[i];
		error = buffer_add(to, SLICE("<"));
		if (error == 0)
			error = add_value(to, r->address, false, dsn->utf8);
		if (error == 0)
			error = buffer_add(to, r->diagnostic.size > 0 ? SLICE(">\r\n\t") : SLICE(">"));
		if (error == 0)
			error = add_value(to, r->diagnostic, false, dsn->utf8);
		if (error == 0)
			error = buffer_add(to, SLICE("\r\n"));
	}
	return error;
}

static int add_recipient(const struct dsn *dsn, const struct dsn_recipient *r, struct buffer *to)
{
	static const char *const actions[] = {"failed", "delivered", "relayed"};
	int error = buffer_add(to, SLICE("\r\n"));

	if (error == 0)
		error = add_field(to, "Original-Recipient", "", r->orcpt, true, dsn->utf8);
	if (error == 0)
		error = add_field(to, "Final-Recipient", dsn->utf8 ? "utf-8;" : "rfc822;", r->address, false,
				  dsn->utf8);
	if (error == 0)
		error = buffer_printf(to, "Action: %s\r\nStatus: %s\r\n", actions[r->action], r->status);
	if (error == 0)
		error = add_field(to, "Remote-MTA", "dns;", r->remote, false, false);
	if (error == 0)
		error = add_field(to, "Diagnostic-Code", "smtp;", r->diagnostic, false, dsn->utf8);
	return error == 0 ? add_date(to, "Last-Attempt-Date", r->last_attempt_ms) : error;
}

static int add_report(const struct dsn *dsn, struct buffer *to)
{
	int error =
	    buffer_printf(to, "--%s\r\nContent-Type: message/%sdelivery-status\r\n%s\r\n", dsn->boundary,
			  dsn->utf8 ? "global-" : "", dsn->utf8 ? "Content-Transfer-Encoding: 8bit\r\n" : "");

	if (error == 0)
		error = add_field(to, "Original-Envelope-Id", "", dsn->envid, true, dsn->utf8);
	if (error == 0)
		error = buffer_printf(to, "Reporting-MTA: dns;%s\r\n", dsn->hostname);
	if (error == 0)
		error = add_date(to, "Arrival-Date", dsn->arrival_ms);
	for (size_t i = 0; i < dsn->recipient_count && error == 0; i++)
		error = add_recipient(dsn, &dsn->recipients[i], to);
	return error;
}

static int add_returned(const struct dsn *dsn, struct buffer *to)
{
	static const char *const types[2][2] = {{"text/rfc822-headers", "message/rfc822"},
						{"message/global-headers", "message/global"}};

	return buffer_printf(to, "\r\n--%s\r\nContent-Type: %s\r\n%s\r\n", dsn->boundary,
			     types[dsn->utf8][dsn->full],
			     dsn->utf8 || dsn->eight ? "Content-Transfer-Encoding: 8bit\r\n" : "");
}

int dsn_write_begin(const struct dsn *dsn, struct buffer *to)
{
	size_t start = buffer_size(to);
	int error = add_header(dsn, to);

	if (error == 0)
		error = add_words(dsn, to);
	if (error == 0)
		error = buffer_add(to, SLICE("\r\n"));
	if (error == 0)
		error = add_report(dsn, to);
	if (error == 0)
		error = add_returned(dsn, to);
	if (error != 0)
		buffer_truncate(to, start);
	return error;
}

int dsn_write_end(const struct dsn *dsn, struct buffer *to)
{
	return buffer_printf(to, "\r\n--%s--\r\n", dsn->boundary);
}
