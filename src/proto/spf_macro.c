/* Names with macros: RFC 7208 §7. */
#include <stdio.h>
#include <string.h>

#include "proto/spf_private.h"

enum {
	/* What a domain-spec may expand to before it is cut; a value is at most a local part of 256 bytes. */
	EXPANDED_MAX = 4096,
	PARTS_MAX = 128, /* of one value, between its delimiters */
	LABEL_MAX = 63,
};

static const char delimiters[] = ".-+,/_=";
static const char letters[] = "slodiphv"; /* c, r and t stand in explanations only (§7.2) */

static bool is_one_of(char c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

static char lower(char c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static bool is_alnum(char c)
{
	return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9');
}

/* --- the grammar ------------------------------------------------------------------------------ */

struct macro {
	char letter; /* '\0': no macro, text as it stands */
	bool escaped, reverse;
	unsigned keep; /* how many parts on the right; 0: all */
	struct slice delimiters;
	struct slice literal;
};

/* digits and "r" and delimiters, between the letter and "}". */
static bool read_transformers(struct slice s, struct macro *macro)
{
	size_t at = 0;

	for (; at < s.size && s.data[at] >= '0' && s.data[at] <= '9'; at++)
		if (macro->keep < PARTS_MAX)
			macro->keep = macro->keep * 10 + (unsigned)(s.data[at] - '0');
	if (at > 0 && macro->keep == 0)
		return false;
	if (at < s.size && lower(s.data[at]) == 'r') {
		macro->reverse = true;
		at++;
	}
	macro->delimiters = slice_from(s, at);
	for (; at < s.size; at++)
		if (!is_one_of(s.data[at], delimiters))
			return false;
	return true;
}

static bool read_braces(struct slice *text, struct macro *macro)
{
	size_t end = slice_find(*text, '}');

	if (end >= text->size || end < 3 || !is_one_of(lower(text->data[2]), letters))
		return false;
	macro->letter = lower(text->data[2]);
	macro->escaped = text->data[2] != macro->letter;
	if (!read_transformers(slice_make(text->data + 3, end - 3), macro))
		return false;
	*text = slice_from(*text, end + 1);
	return true;
}

/* Takes a macro, or the text before the next one, off the front of text, which is not empty. */
static bool read_macro(struct slice *text, struct macro *ret_macro)
{
	size_t size = slice_find(*text, '%');

	*ret_macro = (struct macro){.literal = slice_upto(*text, size)};
	if (size > 0) {
		*text = slice_from(*text, size);
		return true;
	}
	if (text->size < 2)
		return false;
	if (text->data[1] == '{')
		return read_braces(text, ret_macro);
	switch (text->data[1]) {
	case '%':
		ret_macro->literal = SLICE("%");
		break;
	case '_':
		ret_macro->literal = SLICE(" ");
		break;
	case '-':
		ret_macro->literal = SLICE("%20");
		break;
	default:
		return false;
	}
	*text = slice_from(*text, 2);
	return true;
}

static bool printable(struct slice s)
{
	for (size_t i = 0; i < s.size; i++)
		if (s.data[i] <= ' ' || s.data[i] > '~')
			return false;
	return true;
}

/* toplabel of §7.1: letters, digits and hyphens, not digits alone, no hyphen at an end. */
static bool ends_in_top_label(struct slice text)
{
	bool digits_only = true;

	if (text.size > 0 && text.data[text.size - 1] == '.')
		text.size--;
	size_t dot = slice_find_last(text, '.');
	struct slice label = slice_from(text, dot + 1);
	if (dot >= text.size || label.size == 0 || label.data[0] == '-' || label.data[label.size - 1] == '-')
		return false;
	for (size_t i = 0; i < label.size; i++) {
		if (!is_alnum(label.data[i]) && label.data[i] != '-')
			return false;
		digits_only = digits_only && label.data[i] >= '0' && label.data[i] <= '9';
	}
	return !digits_only;
}

bool spf_macro_valid(struct slice text, bool domain)
{
	struct macro macro = {.letter = '\0'};
	struct slice last = {.size = 0};
	bool literal = false;

	if (!printable(text) || (domain && text.size == 0))
		return false;
	for (struct slice rest = text; rest.size > 0;) {
		literal = rest.data[0] != '%';
		if (!read_macro(&rest, &macro))
			return false;
		last = macro.literal;
	}
	return !domain || !literal || ends_in_top_label(last);
}

bool spf_macro_uses(struct slice text, char letter)
{
	struct macro macro;

	while (text.size > 0 && read_macro(&text, &macro))
		if (macro.letter == letter)
			return true;
	return false;
}

/* --- values ---------------------------------------------------------------------------------- */

struct text {
	size_t size;
	bool full;
	char bytes[EXPANDED_MAX];
};

static void add(struct text *text, struct slice s)
{
	if (s.size > sizeof(text->bytes) - text->size) {
		text->full = true;
		return;
	}
	if (s.size > 0)
		memcpy(text->bytes + text->size, s.data, s.size);
	text->size += s.size;
}

static void add_escaped(struct text *text, struct slice s)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < s.size; i++) {
		unsigned byte = (unsigned char)s.data[i];
		const char code[3] = {'%', hex[byte >> 4], hex[byte & 0xf]};
		if (is_alnum(s.data[i]) || is_one_of(s.data[i], "-._~"))
			add(text, slice_make(&s.data[i], 1));
		else
			add(text, slice_make(code, sizeof(code)));
	}
}

/* "192.0.2.1", or 32 nibbles with dots between them. */
static struct slice address_text(const struct spf_address *a, char text[64])
{
	static const char hex[] = "0123456789abcdef";
	size_t size = 0;

	if (a->family == 4) {
		int n = snprintf(text, 64, "%u.%u.%u.%u", a->bytes[0], a->bytes[1], a->bytes[2], a->bytes[3]);
		return slice_make(text, (size_t)n);
	}
	for (size_t i = 0; i < 16; i++) {
		text[size++] = hex[a->bytes[i] >> 4];
		text[size++] = '.';
		text[size++] = hex[a->bytes[i] & 0xf];
		text[size++] = '.';
	}
	return slice_make(text, size - 1);
}

static struct slice value_of(char letter, const struct spf_macro_values *v, char text[64], char sender[600])
{
	switch (letter) {
	case 's':
		return slice_make(sender, (size_t)snprintf(sender, 600, "%.*s@%.*s",
							   (int)slice_upto(v->local_part, 256).size,
							   v->local_part.data, SLICE_ARG(v->sender_domain)));
	case 'l':
		return v->local_part;
	case 'o':
		return v->sender_domain;
	case 'd':
		return v->domain;
	case 'i':
		return address_text(v->client, text);
	case 'p':
		return v->validated.size > 0 ? v->validated : SLICE("unknown");
	case 'h':
		return v->helo;
	default:
		return v->client->family == 4 ? SLICE("in-addr") : SLICE("ip6");
	}
}

/* Between delimiters; what is beyond PARTS_MAX stays one part. */
static size_t split(struct slice value, struct slice set, struct slice parts[PARTS_MAX])
{
	size_t count = 0, start = 0;

	if (set.size == 0)
		set = SLICE(".");
	for (size_t i = 0; i < value.size && count < PARTS_MAX - 1; i++)
		if (slice_find(set, value.data[i]) < set.size) {
			parts[count++] = slice_make(value.data + start, i - start);
			start = i + 1;
		}
	parts[count++] = slice_from(value, start);
	return count;
}

static void add_value(struct text *text, const struct macro *macro, struct slice value)
{
	struct slice parts[PARTS_MAX];
	size_t count = split(value, macro->delimiters, parts);
	size_t first = macro->keep > 0 && macro->keep < count ? count - macro->keep : 0;

	for (size_t i = first; i < count; i++) {
		struct slice part = macro->reverse ? parts[count - 1 - i] : parts[i];
		if (i > first)
			add(text, SLICE("."));
		if (macro->escaped)
			add_escaped(text, part);
		else
			add(text, part);
	}
}

/* --- names ----------------------------------------------------------------------------------- */

bool spf_name(struct slice text, char ret_name[SPF_NAME_MAX + 1])
{
	size_t label = 0;

	if (text.size > 0 && text.data[text.size - 1] == '.')
		text.size--;
	if (text.size == 0 || text.size > SPF_NAME_MAX)
		return false;
	for (size_t i = 0; i < text.size; i++) {
		char c = text.data[i];
		if (c <= ' ' || c > '~' || c == '\\' || (c == '.' && label == 0))
			return false;
		label = c == '.' ? 0 : label + 1;
		if (label > LABEL_MAX)
			return false;
		ret_name[i] = lower(c);
	}
	ret_name[text.size] = '\0';
	return label > 0;
}

/* Labels fall off on the left until it is short enough. */
static struct slice cut_left(struct slice text)
{
	if (text.size > 0 && text.data[text.size - 1] == '.')
		text.size--;
	while (text.size > SPF_NAME_MAX && slice_find(text, '.') < text.size)
		text = slice_from(text, slice_find(text, '.') + 1);
	return text;
}

bool spf_macro_name(struct slice spec, const struct spf_macro_values *values, char ret_name[SPF_NAME_MAX + 1])
{
	struct text text = {.size = 0};
	struct macro macro;
	char address[64], sender[600];

	while (spec.size > 0) {
		if (!read_macro(&spec, &macro))
			return false;
		if (macro.letter == '\0')
			add(&text, macro.literal);
		else
			add_value(&text, &macro, value_of(macro.letter, values, address, sender));
	}
	return !text.full && spf_name(cut_left(slice_make(text.bytes, text.size)), ret_name);
}

void spf_reverse_name(const struct spf_address *address, char ret_name[SPF_NAME_MAX + 1])
{
	const struct spf_macro_values values = {.client = address};
	static const struct slice spec = {.data = "%{ir}.%{v}.arpa", .size = 15};

	if (!spf_macro_name(spec, &values, ret_name))
		ret_name[0] = '\0';
}
