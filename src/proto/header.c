#include "proto/header.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "proto/utf8.h"

/* --- Received --- */

/* A field that is written word by word. */
struct field {
	struct buffer *to;
	size_t column;
	int error;
};

static void put(struct field *f, struct slice bytes)
{
	if (f->error == 0)
		f->error = buffer_add(f->to, bytes);
	f->column += bytes.size;
}

static void put_text(struct field *f, const char *text)
{
	put(f, slice_of(text));
}

/* What stands before a word of this size: a blank, or the way to the next line. */
static void space(struct field *f, size_t size)
{
	if (f->column + 1 + size <= HEADER_LINE_MAX) {
		put_text(f, " ");
		return;
	}
	put_text(f, "\r\n\t");
	f->column = 8;
}

static void put_word(struct field *f, const char *text)
{
	space(f, strlen(text));
	put_text(f, text);
}

/* Ends the field, a comment, or the clause before the date? Then it is no part of a name. */
static bool breaks_name(struct slice s)
{
	char c = s.data[0];

	return (unsigned char)c <= ' ' || (unsigned char)c >= 127 || strchr("()<>\\\",;", c) != NULL;
}

/* A path was parsed: it may be quoted and beyond ASCII, as the transaction allowed. */
static bool breaks_path(struct slice s)
{
	char c = s.data[0];

	return (unsigned char)c < ' ' || c == 127 || utf8_char_size(s) == 0;
}

static void put_safe(struct field *f, struct slice s, bool (*breaks)(struct slice))
{
	while (s.size > 0) {
		bool bad = breaks(s);
		size_t size = bad || breaks == breaks_name ? 1 : utf8_char_size(s);
		put(f, bad ? SLICE("?") : slice_upto(s, size));
		s = slice_from(s, size);
	}
}

static void put_name(struct field *f, struct slice name)
{
	put_safe(f, slice_upto(name, HEADER_NAME_MAX), breaks_name);
}

/* from HELO (NAME [ADDRESS]) */
static void put_from(struct field *f, const struct received *r)
{
	struct slice helo = slice_upto(r->helo, HEADER_NAME_MAX);
	bool v6 = slice_find(r->client_address, ':') < r->client_address.size;

	put_word(f, "from");
	space(f, helo.size);
	if (helo.size > 0)
		put_name(f, helo);
	else
		put_text(f, "unknown");
	space(f, 1 + (r->client_name.size > 0 ? r->client_name.size : r->client_address.size + 8));
	put_text(f, "(");
	if (r->client_name.size > 0) {
		put_name(f, r->client_name);
		space(f, r->client_address.size + 8);
	}
	put_text(f, v6 ? "[IPv6:" : "[");
	put_name(f, r->client_address);
	put_text(f, "])");
}

static void put_with(struct field *f, const struct received *r)
{
	put_word(f, "with");
	put_word(f, r->protocol);
	if (r->tls_version == NULL)
		return;
	space(f, strlen(r->tls_version) + 1);
	put_text(f, "(");
	put_text(f, r->tls_version);
	if (r->tls_cipher != NULL)
		put_word(f, r->tls_cipher);
	put_text(f, ")");
}

int header_write_received(const struct received *r, struct buffer *to)
{
	struct field f = {.to = to};
	size_t before = buffer_size(to);
	char date[HEADER_DATE_SIZE];

	put_text(&f, "Received:");
	put_from(&f, r);
	put_word(&f, "by");
	put_word(&f, r->hostname);
	put_with(&f, r);
	put_word(&f, "id");
	put_word(&f, r->id);
	if (r->for_path.size > 0) {
		put_word(&f, "for");
		space(&f, r->for_path.size + 3);
		put_text(&f, "<");
		put_safe(&f, r->for_path, breaks_path);
		put_text(&f, ">");
	}
	put_text(&f, ";");
	header_date(r->wall_ms, date);
	put_word(&f, date);
	put_text(&f, "\r\n");
	if (f.error != 0)
		buffer_truncate(to, before);
	return f.error;
}

/* --- dates --- */

struct date {
	int64_t year;
	int month, day; /* from 0, from 1 */
};

/* Days from 0000-03-01 to the first of March of a year: leap days come at the end of such years. */
static int64_t days_to_march(int64_t year)
{
	return year * 365 + year / 4 - year / 100 + year / 400;
}

/* Of a day counted from 1970-01-01; the Gregorian calendar repeats after 400 years, which are 146097 days. */
static struct date date_of(int64_t day)
{
	static const int month_days[] = {31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 31, 29}; /* from March */
	int64_t from_march = day + 719468;						  /* of the year 0 */
	int64_t era = (from_march >= 0 ? from_march : from_march - 146096) / 146097;
	int64_t rest = from_march - era * 146097;
	int64_t year = rest / 365;
	int month = 0;

	while (days_to_march(year) > rest)
		year--;
	rest -= days_to_march(year);
	while (rest >= month_days[month])
		rest -= month_days[month++];
	year += era * 400;
	return (struct date){
	    .year = month >= 10 ? year + 1 : year, .month = (month + 2) % 12, .day = (int)rest + 1};
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0 ? 1 : 0);
}

void header_date(int64_t wall_ms, char ret_text[HEADER_DATE_SIZE])
{
	static const char day_names[7][4] = {"Thu", "Fri", "Sat", "Sun",
					     "Mon", "Tue", "Wed"}; /* from 1970-01-01 */
	static const char month_names[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
						"Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	int64_t seconds = floor_div(wall_ms, 1000), day = floor_div(seconds, 86400);
	int second = (int)(seconds - day * 86400);
	struct date date = date_of(day);

	int size = snprintf(ret_text, HEADER_DATE_SIZE, "%s, %d %s %04" PRId64 " %02d:%02d:%02d +0000",
			    day_names[day - floor_div(day, 7) * 7], date.day, month_names[date.month],
			    date.year, second / 3600, second / 60 % 60, second % 60);
	check(size > 0 && size < HEADER_DATE_SIZE);
}

/* --- scan --- */

void header_scan_init(struct header_scan *scan, const char *hostname)
{
	*scan = (struct header_scan){.hostname = hostname};
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Takes the next word off the front. */
static bool take_word(struct slice *s, struct slice *ret_word)
{
	size_t end = 0;

	while (s->size > 0 && is_space(s->data[0]))
		*s = slice_from(*s, 1);
	while (end < s->size && !is_space(s->data[end]))
		end++;
	*ret_word = slice_upto(*s, end);
	*s = slice_from(*s, end);
	return end > 0;
}

/* Without case, and fixed: whoever makes two addresses alike only sends himself astray. */
static uint64_t hash_of_path(struct slice path)
{
	uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */

	for (size_t i = 0; i < path.size; i++) {
		unsigned char c = (unsigned char)path.data[i];
		hash = (hash ^ (c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c)) * UINT64_C(1099511628211);
	}
	return hash;
}

/* Did we write this Received field, or somebody of our name? ret_for: whom it was for, <> or empty. */
static bool is_own_trace(struct slice value, const char *hostname, struct slice *ret_for)
{
	struct slice word;
	bool behind_by = false, behind_for = false, own = false;

	*ret_for = (struct slice){.data = NULL, .size = 0};
	while (take_word(&value, &word)) {
		if (word.data[word.size - 1] == ';')
			word.size--;
		if (behind_by && slice_equal_nocase(word, slice_of(hostname)))
			own = true;
		if (behind_for)
			*ret_for = word;
		behind_by = slice_equal_nocase(word, SLICE("by"));
		behind_for = slice_equal_nocase(word, SLICE("for"));
	}
	return own;
}

static void count_trace(struct header_scan *scan, struct slice value)
{
	struct slice path;

	scan->received_count++;
	if (!is_own_trace(value, scan->hostname, &path))
		return;
	scan->own_trace_count++;
	if (path.size > 2 && path.data[0] == '<' && scan->passed_for_count < HEADER_PASSES_MAX)
		scan->passed_for[scan->passed_for_count++] =
		    hash_of_path(slice_make(path.data + 1, path.size - 2));
}

uint32_t header_scan_passes(const struct header_scan *scan, struct slice forward_path)
{
	uint64_t hash = hash_of_path(forward_path);
	uint32_t passes = scan->own_trace_count - scan->passed_for_count;

	for (uint32_t i = 0; i < scan->passed_for_count; i++)
		passes += scan->passed_for[i] == hash;
	return passes;
}

/* Between the first < and the > behind it; without them, the first word. */
static void keep_message_id(struct header_scan *scan, struct slice value)
{
	struct slice id;

	if (slice_find(value, '<') < value.size) {
		id = slice_from(value, slice_find(value, '<') + 1);
		id = slice_upto(id, slice_find(id, '>'));
		id = slice_upto(id, slice_find(id, '\r'));
		id = slice_upto(id, slice_find(id, '\n'));
	} else {
		(void)take_word(&value, &id);
	}
	id = slice_upto(id, HEADER_MESSAGE_ID_MAX);
	for (size_t i = 0; i < id.size; i++) {
		char c = id.data[i];
		scan->message_id[i] = (unsigned char)c < ' ' || c == 127 ? '?' : c;
	}
	scan->message_id[id.size] = '\0';
	utf8_repair(scan->message_id, id.size);
}

/* The field is whole. */
static void look_at_field(struct header_scan *scan)
{
	struct slice field = slice_make(scan->field, scan->field_size);
	size_t colon = slice_find(field, ':');
	struct slice name = slice_trim(slice_upto(field, colon)), value = slice_from(field, colon + 1);

	if (is_space(field.data[0]))
		return; /* a message that begins with a continuation of nothing */
	if (slice_equal_nocase(name, SLICE("Received"))) {
		count_trace(scan, value);
	} else if (slice_equal_nocase(name, SLICE("Message-ID")) && scan->message_id[0] == '\0') {
		keep_message_id(scan, value);
	}
}

/* The first byte of a line. */
static void begin_line(struct header_scan *scan, char c)
{
	if (c == ' ' || c == '\t')
		return;
	if (scan->field_size > 0)
		look_at_field(scan);
	scan->field_size = 0;
}

static void feed_byte(struct header_scan *scan, char c)
{
	if (scan->line_size == 0)
		begin_line(scan, c);
	if (scan->field_size < HEADER_SCAN_FIELD_MAX)
		scan->field[scan->field_size++] = c;
	if (c == '\n') {
		scan->done = scan->line_size == 0 || (scan->line_size == 1 && scan->line_cr);
		scan->line_size = 0;
	} else {
		scan->line_size++;
	}
	scan->line_cr = c == '\r';
}

void header_scan_feed(struct header_scan *scan, struct slice bytes)
{
	for (size_t i = 0; i < bytes.size && !scan->done; i++)
		feed_byte(scan, bytes.data[i]);
}
