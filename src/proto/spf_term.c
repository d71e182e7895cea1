/* The grammar of SPF records: RFC 7208 §4.6.1, §5, §6, §12. */
#include <arpa/inet.h>
#include <string.h>

#include "proto/spf_private.h"

static bool is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_name_byte(char c)
{
	return is_alpha(c) || is_digit(c) || c == '-' || c == '_' || c == '.';
}

static struct slice skip_blanks(struct slice s)
{
	while (s.size > 0 && s.data[0] == ' ')
		s = slice_from(s, 1);
	return s;
}

/* --- prefix lengths -------------------------------------------------------------------------- */

/* "0", or digits without a leading zero, at most max. */
static bool read_bits(struct slice digits, unsigned max, unsigned *ret_bits)
{
	uint64_t value;

	if (digits.size == 0 || digits.size > 3 || (digits.data[0] == '0' && digits.size > 1))
		return false;
	if (slice_to_u64(digits, &value) != 0 || value > max)
		return false;
	*ret_bits = (unsigned)value;
	return true;
}

/* Takes "/digits" off the end of *s: true with the digits, where there is such a thing. */
static bool cut_digits(struct slice *s, struct slice *ret_digits)
{
	size_t at = s->size;

	while (at > 0 && is_digit(s->data[at - 1]))
		at--;
	if (at == s->size || at == 0 || s->data[at - 1] != '/')
		return false;
	*ret_digits = slice_from(*s, at);
	*s = slice_upto(*s, at - 1);
	return true;
}

/* dual-cidr-length of §5: "/24", "//64", "/24//64". */
static bool cut_both_lengths(struct slice *s, struct spf_term *term)
{
	struct slice digits;

	if (!cut_digits(s, &digits))
		return true;
	if (s->size > 0 && s->data[s->size - 1] == '/') {
		*s = slice_upto(*s, s->size - 1);
		if (!read_bits(digits, 128, &term->bits6))
			return false;
		if (!cut_digits(s, &digits))
			return true;
	}
	return read_bits(digits, 32, &term->bits4);
}

/* --- what stands behind a mechanism's name ---------------------------------------------------- */

static bool read_spec(struct slice rest, struct spf_term *term)
{
	if (rest.size < 2 || rest.data[0] != ':')
		return false;
	term->spec = slice_from(rest, 1);
	return spf_macro_valid(term->spec, true);
}

static bool read_nothing(struct slice rest, struct spf_term *term)
{
	(void)term;
	return rest.size == 0;
}

static bool read_optional_spec(struct slice rest, struct spf_term *term)
{
	return rest.size == 0 || read_spec(rest, term);
}

static bool read_spec_and_lengths(struct slice rest, struct spf_term *term)
{
	return cut_both_lengths(&rest, term) && read_optional_spec(rest, term);
}

static bool read_network(struct slice rest, int family, unsigned max, uint8_t network[16], unsigned *bits)
{
	char text[INET6_ADDRSTRLEN];
	struct slice digits;

	if (cut_digits(&rest, &digits) && !read_bits(digits, max, bits))
		return false;
	if (rest.size < 2 || rest.data[0] != ':' || rest.size > sizeof(text))
		return false;
	rest = slice_from(rest, 1);
	memcpy(text, rest.data, rest.size);
	text[rest.size] = '\0';
	return inet_pton(family, text, network) == 1;
}

static bool read_ip4(struct slice rest, struct spf_term *term)
{
	return read_network(rest, AF_INET, 32, term->network, &term->bits4);
}

static bool read_ip6(struct slice rest, struct spf_term *term)
{
	return read_network(rest, AF_INET6, 128, term->network, &term->bits6);
}

static const struct {
	const char *name;
	enum spf_term_kind kind;
	bool (*read)(struct slice rest, struct spf_term *term);
} mechanisms[] = {
    {"all", SPF_TERM_ALL, read_nothing},       {"include", SPF_TERM_INCLUDE, read_spec},
    {"a", SPF_TERM_A, read_spec_and_lengths},  {"mx", SPF_TERM_MX, read_spec_and_lengths},
    {"ptr", SPF_TERM_PTR, read_optional_spec}, {"ip4", SPF_TERM_IP4, read_ip4},
    {"ip6", SPF_TERM_IP6, read_ip6},	       {"exists", SPF_TERM_EXISTS, read_spec},
};

static enum spf_result read_qualifier(struct slice *word)
{
	static const enum spf_result results[] = {SPF_RESULT_PASS, SPF_RESULT_FAIL, SPF_RESULT_NEUTRAL,
						  SPF_RESULT_SOFTFAIL};
	static const char signs[] = "+-?~";
	const char *sign = word->size > 0 && word->data[0] != '\0' ? strchr(signs, word->data[0]) : NULL;

	if (sign == NULL)
		return SPF_RESULT_PASS;
	*word = slice_from(*word, 1);
	return results[sign - signs];
}

static int read_mechanism(struct slice word, struct spf_term *term)
{
	size_t size = 0;

	term->qualifier = read_qualifier(&word);
	while (size < word.size && word.data[size] != ':' && word.data[size] != '/')
		size++;
	for (size_t i = 0; i < sizeof(mechanisms) / sizeof(mechanisms[0]); i++)
		if (slice_equal_nocase(slice_upto(word, size), slice_of(mechanisms[i].name))) {
			term->kind = mechanisms[i].kind;
			return mechanisms[i].read(slice_from(word, size), term) ? 1 : ERR_SYNTAX;
		}
	return ERR_SYNTAX;
}

static int read_modifier(struct slice name, struct slice value, struct spf_term *term)
{
	term->spec = value;
	term->kind = SPF_TERM_OTHER;
	if (slice_equal_nocase(name, SLICE("redirect")))
		term->kind = SPF_TERM_REDIRECT;
	else if (slice_equal_nocase(name, SLICE("exp")))
		term->kind = SPF_TERM_EXP;
	return spf_macro_valid(value, term->kind != SPF_TERM_OTHER) ? 1 : ERR_SYNTAX;
}

/* --- records --------------------------------------------------------------------------------- */

int spf_term_next(struct slice *record, struct spf_term *ret_term)
{
	struct slice rest = skip_blanks(*record);
	struct slice word = slice_upto(rest, slice_find(rest, ' '));
	struct spf_term term = {.bits4 = 32, .bits6 = 128};
	size_t size = 0;
	int got;

	if (word.size == 0)
		return 0;
	while (size < word.size && is_name_byte(word.data[size]))
		size++;
	if (size > 0 && size < word.size && word.data[size] == '=' && is_alpha(word.data[0]))
		got = read_modifier(slice_upto(word, size), slice_from(word, size + 1), &term);
	else
		got = read_mechanism(word, &term);
	if (got != 1)
		return got;
	*record = slice_from(rest, word.size);
	*ret_term = term;
	return 1;
}

bool spf_record_starts(struct slice text, struct slice *ret_terms)
{
	static const struct slice version = {.data = "v=spf1", .size = 6};

	if (!slice_starts_nocase(text, version))
		return false;
	text = slice_from(text, version.size);
	if (text.size > 0 && text.data[0] != ' ')
		return false;
	*ret_terms = text;
	return true;
}

bool spf_record_valid(struct slice terms)
{
	unsigned redirects = 0, explanations = 0;
	struct spf_term term;
	int got;

	while ((got = spf_term_next(&terms, &term)) == 1) {
		redirects += term.kind == SPF_TERM_REDIRECT ? 1 : 0;
		explanations += term.kind == SPF_TERM_EXP ? 1 : 0;
	}
	return got == 0 && redirects <= 1 && explanations <= 1;
}
