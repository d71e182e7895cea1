#include "proto/address.h"

#include <string.h>

#include "proto/utf8.h"

enum { LABEL_MAX = 63 /* RFC 1035 §2.3.4, of an ASCII label */ };

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
	return is_digit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_high(char c)
{
	return (unsigned char)c > 127;
}

/* atext of RFC 5322 §3.2.3 */
static bool is_atext(char c)
{
	return is_alnum(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* qtextSMTP of RFC 5321 §4.1.2 */
static bool is_qtext(char c)
{
	return c >= 32 && c <= 126 && c != '"' && c != '\\';
}

/* dcontent of RFC 5321 §4.1.3 */
static bool is_dcontent(char c)
{
	return c >= 33 && c <= 126 && c != '[' && c != '\\' && c != ']';
}

/* Takes the first byte off when it is this one. */
static bool take(struct slice *s, char byte)
{
	if (s->size == 0 || s->data[0] != byte)
		return false;
	*s = slice_from(*s, 1);
	return true;
}

static bool front(struct slice s, bool (*is)(char))
{
	return s.size > 0 && is(s.data[0]);
}

/* Takes one character that is of the class, or a UTF-8 character when those are allowed. */
static bool take_char(struct slice *s, bool (*is)(char), bool utf8)
{
	size_t size = 0;

	if (front(*s, is))
		size = 1;
	else if (utf8 && front(*s, is_high))
		size = utf8_char_size(*s);
	*s = slice_from(*s, size);
	return size > 0;
}

static bool take_atom(struct slice *s, bool utf8)
{
	if (!take_char(s, is_atext, utf8))
		return false;
	while (take_char(s, is_atext, utf8))
		;
	return true;
}

static bool take_quoted_string(struct slice *s, bool utf8)
{
	*s = slice_from(*s, 1);
	for (;;) {
		if (take(s, '"'))
			return true;
		if (s->size >= 2 && s->data[0] == '\\' && s->data[1] >= 32 && s->data[1] <= 126)
			*s = slice_from(*s, 2);
		else if (!take_char(s, is_qtext, utf8))
			return false;
	}
}

static bool take_local_part(struct slice *s, bool utf8)
{
	if (s->size > 0 && s->data[0] == '"')
		return take_quoted_string(s, utf8);
	do {
		if (!take_atom(s, utf8))
			return false;
	} while (take(s, '.'));
	return true;
}

static bool is_label_char(char c)
{
	return is_alnum(c) || c == '-';
}

/* RFC 5321 does not know the underscore, the DNS that senders use does. */
static bool is_loose_label_char(char c)
{
	return is_label_char(c) || c == '_';
}

/* A label begins and ends with a letter or digit. The limit is for ASCII: a U-label can be longer than its
 * A-label. */
static int take_label(struct slice *s, bool (*is)(char), bool utf8)
{
	struct slice start = *s;
	bool high = false;

	if (front(*s, is_high))
		high = true;
	while (take_char(s, is, utf8))
		high = high || front(*s, is_high);
	size_t size = start.size - s->size;
	if (size == 0 || start.data[0] == '-' || start.data[size - 1] == '-')
		return ERR_SYNTAX;
	return size > LABEL_MAX && !high ? ERR_LIMIT : 0;
}

static int take_labels(struct slice *s, bool (*is)(char), bool utf8)
{
	do {
		int error = take_label(s, is, utf8);
		if (error != 0)
			return error;
	} while (take(s, '.'));
	return 0;
}

/* Snum 3("." Snum) */
static bool is_ipv4(struct slice text)
{
	struct slice part;
	size_t count = 0;

	while (slice_split(&text, '.', &part)) {
		uint64_t value;
		if (part.size > 3 || slice_to_u64(part, &value) != 0 || value > 255)
			return false;
		count++;
	}
	return count == 4;
}

/* Of an IPv6 literal the alphabet is enough: nothing is sent to it. A general literal has a tag. */
static bool valid_literal(struct slice text)
{
	static const char ipv6_alphabet[] = "0123456789abcdefABCDEF:.";

	if (front(text, is_digit))
		return is_ipv4(text);
	size_t colon = slice_find(text, ':');
	if (colon == 0 || colon + 1 >= text.size)
		return false;
	if (!slice_equal_nocase(slice_upto(text, colon), SLICE("IPv6")))
		return true;
	for (size_t i = colon + 1; i < text.size; i++)
		if (memchr(ipv6_alphabet, text.data[i], sizeof(ipv6_alphabet) - 1) == NULL)
			return false;
	return true;
}

static bool take_literal(struct slice *s)
{
	*s = slice_from(*s, 1);
	struct slice start = *s;
	while (front(*s, is_dcontent))
		*s = slice_from(*s, 1);
	struct slice inside = slice_upto(start, start.size - s->size);
	return take(s, ']') && valid_literal(inside);
}

static int take_domain(struct slice *s, bool utf8)
{
	if (s->size > 0 && s->data[0] == '[')
		return take_literal(s) ? 0 : ERR_SYNTAX;
	return take_labels(s, is_loose_label_char, utf8);
}

/* A-d-l ":", RFC 5321 §4.1.2; to be ignored. */
static int take_source_route(struct slice *s, bool utf8)
{
	if (s->size == 0 || s->data[0] != '@')
		return 0;
	do {
		if (!take(s, '@'))
			return ERR_SYNTAX;
		int error = take_domain(s, utf8);
		if (error != 0)
			return error;
	} while (take(s, ','));
	return take(s, ':') ? 0 : ERR_SYNTAX;
}

static bool has_high(struct slice s)
{
	for (size_t i = 0; i < s.size; i++)
		if (is_high(s.data[i]))
			return true;
	return false;
}

static struct slice taken(struct slice before, struct slice after)
{
	return slice_upto(before, before.size - after.size);
}

/* Local-part [ "@" Domain ]; without the domain when the caller may allow it. */
static int take_mailbox(struct slice *s, bool utf8, struct mailbox *m)
{
	struct slice start = *s;

	*m = (struct mailbox){.utf8 = false};
	if (!take_local_part(s, utf8))
		return ERR_SYNTAX;
	m->local_part = taken(start, *s);
	if (take(s, '@')) {
		struct slice domain = *s;
		int error = take_domain(s, utf8);
		if (error != 0)
			return error;
		m->domain = taken(domain, *s);
	}
	m->whole = taken(start, *s);
	m->utf8 = has_high(m->whole);
	if (m->local_part.size > ADDRESS_LOCAL_PART_MAX || m->domain.size > ADDRESS_DOMAIN_MAX ||
	    m->whole.size > ADDRESS_PATH_MAX)
		return ERR_LIMIT;
	return 0;
}

static int take_inside_of_path(struct slice *s, bool utf8, struct mailbox *m)
{
	int error = take_source_route(s, utf8);

	if (error == 0)
		error = take_mailbox(s, utf8, m);
	if (error != 0)
		return error;
	if (m->domain.size == 0 && !address_is_postmaster(m->local_part))
		return ERR_SYNTAX;
	return take(s, '>') ? 0 : ERR_SYNTAX;
}

int address_parse_path(struct slice *input, bool utf8, struct mailbox *ret_mailbox)
{
	struct slice s = *input;
	struct mailbox m = {.utf8 = false};

	if (!take(&s, '<'))
		return ERR_SYNTAX;
	if (!take(&s, '>')) {
		int error = take_inside_of_path(&s, utf8, &m);
		if (error != 0)
			return error;
	}
	*input = s;
	*ret_mailbox = m;
	return 0;
}

int address_parse(struct slice text, bool utf8, struct mailbox *ret_mailbox)
{
	struct mailbox m;
	int error = take_mailbox(&text, utf8, &m);

	if (error != 0)
		return error;
	if (text.size != 0 || m.domain.size == 0)
		return ERR_SYNTAX;
	*ret_mailbox = m;
	return 0;
}

static bool all_digits(struct slice s)
{
	for (size_t i = 0; i < s.size; i++)
		if (!is_digit(s.data[i]))
			return false;
	return true;
}

bool address_valid_domain(struct slice text, bool utf8)
{
	struct slice s = text;

	if (text.size > ADDRESS_DOMAIN_MAX || take_labels(&s, is_label_char, utf8) != 0 || s.size != 0)
		return false;
	size_t dot = slice_find_last(text, '.');
	return dot < text.size && !all_digits(slice_from(text, dot + 1));
}

bool address_is_postmaster(struct slice local_part)
{
	static const char name[] = "postmaster";
	size_t matched = 0;

	for (size_t i = 0; i < local_part.size; i++) {
		char c = local_part.data[i];
		if (c == '"' || c == '\\')
			continue;
		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (matched == sizeof(name) - 1 || c != name[matched])
			return false;
		matched++;
	}
	return matched == sizeof(name) - 1;
}

static bool is_upper_hex(char c)
{
	return is_digit(c) || (c >= 'A' && c <= 'F');
}

bool address_valid_xtext(struct slice text)
{
	for (size_t i = 0; i < text.size; i++) {
		char c = text.data[i];
		if (c < 33 || c > 126 || c == '=')
			return false;
		if (c != '+')
			continue;
		if (text.size - i < 3 || !is_upper_hex(text.data[i + 1]) || !is_upper_hex(text.data[i + 2]))
			return false;
		i += 2;
	}
	return true;
}
