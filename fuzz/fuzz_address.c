/* The first byte says whether UTF-8 is allowed, the rest is parsed as everything that address.h knows.
 */
#include "base/check.h"
#include "fuzz.h"
#include "proto/address.h"

static bool lies_in(struct slice part, struct slice whole)
{
	return part.size == 0 ||
	       (part.data >= whole.data && part.data + part.size <= whole.data + whole.size);
}

static void check_mailbox(const struct mailbox *m, struct slice in)
{
	check(lies_in(m->whole, in) && lies_in(m->local_part, m->whole) && lies_in(m->domain, m->whole));
	check(m->local_part.size <= ADDRESS_LOCAL_PART_MAX && m->domain.size <= ADDRESS_DOMAIN_MAX);
	check(m->whole.size <= ADDRESS_PATH_MAX);
	if (m->domain.size > 0)
		check(m->whole.size == m->local_part.size + 1 + m->domain.size);
	else
		check(m->whole.size == 0 || address_is_postmaster(m->local_part));
	for (size_t i = 0; i < m->whole.size; i++)
		check(m->whole.data[i] != '\r' && m->whole.data[i] != '\n' && m->whole.data[i] != '\0');
}

/* What was parsed as a path parses as a mailbox, and the other way round. */
static void check_both_ways(const struct mailbox *m, bool utf8)
{
	struct mailbox again;

	if (m->domain.size == 0)
		return;
	check(address_parse(m->whole, utf8, &again) == 0);
	check(slice_equal(again.local_part, m->local_part) && slice_equal(again.domain, m->domain));
	check(again.utf8 == m->utf8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mailbox m, more;

	if (size == 0)
		return 0;
	bool utf8 = (data[0] & 1) != 0;
	struct slice text = slice_make(data + 1, size - 1), rest = text;

	if (address_parse_path(&rest, utf8, &m) == 0) {
		check(lies_in(rest, text) && rest.size < text.size);
		check_mailbox(&m, text);
		check_both_ways(&m, utf8);
		check(utf8 || !m.utf8);
		rest = text;
		check(address_parse_path(&rest, true, &more) == 0); /* allowing more refuses nothing */
	} else {
		check(rest.data == text.data && rest.size == text.size);
	}
	if (address_parse(text, utf8, &m) == 0)
		check_mailbox(&m, text);
	if (address_valid_domain(text, utf8))
		check(address_valid_domain(text, true) && text.size <= ADDRESS_DOMAIN_MAX);
	(void)address_is_postmaster(text);
	(void)address_valid_xtext(text);
	return 0;
}
