/* check_host(): RFC 7208 §4 and §5. */
#include "proto/spf.h"

#include <string.h>

#include "proto/spf_private.h"

enum { LOCAL_PART_MAX = 256, DOMAIN_MAX = 255 };

struct spf_fact {
	struct spf_fact *older;
	struct spf_question question;
	enum spf_status status;
	size_t count;
	struct slice records[];
};

/* One run, from the start. */
struct run {
	const struct spf_check *check;
	struct spf_question *question; /* for the caller, with SPF_RESULT_ASK */
	unsigned terms, voids;	       /* that looked something up; that found nothing */
};

/* What a mechanism says: a result ends the evaluation, except these two. */
struct match {
	bool matches;
	enum spf_result error; /* SPF_RESULT_NONE: none; else ASK, TEMPERROR or PERMERROR */
};

static const struct match no_match = {.matches = false, .error = SPF_RESULT_NONE};

static struct match failed(enum spf_result error)
{
	return (struct match){.matches = false, .error = error};
}

const char *spf_result_name(enum spf_result result)
{
	static const char *const names[] = {
	    [SPF_RESULT_NONE] = "none",		  [SPF_RESULT_NEUTRAL] = "neutral",
	    [SPF_RESULT_PASS] = "pass",		  [SPF_RESULT_FAIL] = "fail",
	    [SPF_RESULT_SOFTFAIL] = "softfail",	  [SPF_RESULT_TEMPERROR] = "temperror",
	    [SPF_RESULT_PERMERROR] = "permerror", [SPF_RESULT_ASK] = "not yet known",
	};

	return names[result];
}

/* --- facts ----------------------------------------------------------------------------------- */

static const struct spf_fact *find_fact(const struct spf_check *check, enum spf_type type, const char *name)
{
	for (const struct spf_fact *fact = check->facts; fact != NULL; fact = fact->older)
		if (fact->question.type == type && strcmp(fact->question.name, name) == 0)
			return fact;
	return NULL;
}

/* NULL: it must be asked first. */
static const struct spf_fact *look_up(struct run *run, enum spf_type type, const char *name)
{
	const struct spf_fact *fact = find_fact(run->check, type, name);

	if (fact == NULL) {
		run->question->type = type;
		memcpy(run->question->name, name, strlen(name) + 1);
	}
	return fact;
}

static bool is_wanted(enum spf_type type, struct slice record)
{
	struct slice terms;

	return type != SPF_TYPE_TXT || spf_record_starts(record, &terms);
}

int spf_check_answer(struct spf_check *check, const struct spf_question *question, enum spf_status status,
		     const struct slice *records, size_t count)
{
	struct spf_fact *fact = arena_alloc(&check->arena, sizeof(*fact) + count * sizeof(records[0]));

	if (fact == NULL)
		return ERR_MEMORY;
	fact->question = *question;
	fact->status = status;
	for (size_t i = 0; i < count; i++) {
		if (!is_wanted(question->type, records[i]))
			continue;
		if (arena_copy(&check->arena, records[i], &fact->records[fact->count]) != 0)
			return ERR_MEMORY;
		fact->count++;
	}
	fact->older = check->facts;
	check->facts = fact;
	return 0;
}

/* --- addresses ------------------------------------------------------------------------------- */

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned bytes = bits / 8, rest = bits % 8;

	if (memcmp(a, b, bytes) != 0)
		return false;
	return rest == 0 || ((a[bytes] ^ b[bytes]) >> (8 - rest)) == 0;
}

static bool in_network(const struct spf_check *check, const struct spf_term *term, uint8_t family)
{
	if (check->client.family != family)
		return false;
	return same_bits(check->client.bytes, term->network, family == 4 ? term->bits4 : term->bits6);
}

static bool one_of_addresses(const struct spf_check *check, const struct spf_fact *fact,
			     const struct spf_term *term)
{
	size_t size = check->client.family == 4 ? 4 : 16;
	unsigned bits = check->client.family == 4 ? term->bits4 : term->bits6;

	for (size_t i = 0; i < fact->count; i++)
		if (fact->records[i].size == size &&
		    same_bits(check->client.bytes, (const uint8_t *)fact->records[i].data, bits))
			return true;
	return false;
}

static bool has_address(const struct spf_fact *fact, size_t size)
{
	for (size_t i = 0; i < fact->count; i++)
		if (fact->records[i].size == size)
			return true;
	return false;
}

/* §4.6.4: look-ups of terms that found nothing; true when it was one too many. */
static bool too_many_voids(struct run *run, bool found)
{
	if (!found)
		run->voids++;
	return run->voids > SPF_VOID_MAX;
}

/* --- the client's own name (§5.5) -------------------------------------------------------------- */

static bool is_at_or_below(struct slice name, struct slice domain)
{
	if (domain.size == 0)
		return true;
	if (name.size < domain.size || !slice_equal_nocase(slice_from(name, name.size - domain.size), domain))
		return false;
	return name.size == domain.size || name.data[name.size - domain.size - 1] == '.';
}

/* Does one of the client's names that lead back to it lie at or below domain ("": anywhere)? ret_name: the
 * first such, for the macro p. A failure of the DNS is no match. */
static struct match validated_name(struct run *run, struct slice domain, bool counts,
				   char ret_name[SPF_NAME_MAX + 1])
{
	static const struct spf_term exact = {.bits4 = 32, .bits6 = 128};
	char name[SPF_NAME_MAX + 1];

	spf_reverse_name(&run->check->client, name);
	const struct spf_fact *names = look_up(run, SPF_TYPE_PTR, name);
	if (names == NULL)
		return failed(SPF_RESULT_ASK);
	if (counts && names->status != SPF_STATUS_FAILED && too_many_voids(run, names->count > 0))
		return failed(SPF_RESULT_PERMERROR);
	for (size_t i = 0; i < names->count && i < SPF_SET_MAX; i++) {
		if (!spf_name(names->records[i], name) || !is_at_or_below(slice_of(name), domain))
			continue;
		const struct spf_fact *addresses = look_up(run, SPF_TYPE_ADDRESS, name);
		if (addresses == NULL)
			return failed(SPF_RESULT_ASK);
		if (!one_of_addresses(run->check, addresses, &exact))
			continue;
		memcpy(ret_name, name, sizeof(name));
		return (struct match){.matches = true, .error = SPF_RESULT_NONE};
	}
	return no_match;
}

/* --- names of terms --------------------------------------------------------------------------- */

/* The name that a term is about. matches: there is one. */
static struct match target_name(struct run *run, const struct spf_term *term, const char *domain,
				char ret_name[SPF_NAME_MAX + 1])
{
	const struct spf_check *check = run->check;
	struct spf_macro_values values = {.client = &check->client,
					  .local_part = check->local_part,
					  .sender_domain = check->domain,
					  .domain = slice_of(domain),
					  .helo = check->helo};
	char validated[SPF_NAME_MAX + 1] = "";

	if (term->spec.size == 0) {
		memcpy(ret_name, domain, strlen(domain) + 1);
		return (struct match){.matches = true, .error = SPF_RESULT_NONE};
	}
	if (spf_macro_uses(term->spec, 'p')) {
		struct match own = validated_name(run, slice_of(domain), false, validated);
		if (own.error == SPF_RESULT_NONE && !own.matches)
			own = validated_name(run, slice_of(""), false, validated);
		if (own.error != SPF_RESULT_NONE)
			return own;
		values.validated = slice_of(validated);
	}
	return (struct match){.matches = spf_macro_name(term->spec, &values, ret_name),
			      .error = SPF_RESULT_NONE};
}

/* --- mechanisms ------------------------------------------------------------------------------- */

static enum spf_result check_host(struct run *run, const char *domain);

/* §5.2 */
static struct match match_include(struct run *run, const struct spf_term *term, const char *name)
{
	(void)term;
	switch (check_host(run, name)) {
	case SPF_RESULT_PASS:
		return (struct match){.matches = true, .error = SPF_RESULT_NONE};
	case SPF_RESULT_FAIL:
	case SPF_RESULT_SOFTFAIL:
	case SPF_RESULT_NEUTRAL:
		return no_match;
	case SPF_RESULT_TEMPERROR:
		return failed(SPF_RESULT_TEMPERROR);
	case SPF_RESULT_ASK:
		return failed(SPF_RESULT_ASK);
	case SPF_RESULT_PERMERROR:
	case SPF_RESULT_NONE:
		break;
	}
	return failed(SPF_RESULT_PERMERROR);
}

/* §5.3 */
static struct match match_a(struct run *run, const struct spf_term *term, const char *name)
{
	const struct spf_fact *fact = look_up(run, SPF_TYPE_ADDRESS, name);

	if (fact == NULL)
		return failed(SPF_RESULT_ASK);
	if (fact->status == SPF_STATUS_FAILED)
		return failed(SPF_RESULT_TEMPERROR);
	if (too_many_voids(run, has_address(fact, run->check->client.family == 4 ? 4 : 16)))
		return failed(SPF_RESULT_PERMERROR);
	return (struct match){.matches = one_of_addresses(run->check, fact, term), .error = SPF_RESULT_NONE};
}

/* §5.4 */
static struct match match_mx(struct run *run, const struct spf_term *term, const char *name)
{
	const struct spf_fact *set = look_up(run, SPF_TYPE_MX, name);
	char host[SPF_NAME_MAX + 1];

	if (set == NULL)
		return failed(SPF_RESULT_ASK);
	if (set->status == SPF_STATUS_FAILED)
		return failed(SPF_RESULT_TEMPERROR);
	if (too_many_voids(run, set->count > 0) || set->count > SPF_SET_MAX)
		return failed(SPF_RESULT_PERMERROR);
	for (size_t i = 0; i < set->count; i++) {
		if (!spf_name(set->records[i], host))
			continue;
		const struct spf_fact *addresses = look_up(run, SPF_TYPE_ADDRESS, host);
		if (addresses == NULL)
			return failed(SPF_RESULT_ASK);
		if (addresses->status == SPF_STATUS_FAILED)
			return failed(SPF_RESULT_TEMPERROR);
		if (one_of_addresses(run->check, addresses, term))
			return (struct match){.matches = true, .error = SPF_RESULT_NONE};
	}
	return no_match;
}

static struct match match_ptr(struct run *run, const struct spf_term *term, const char *name)
{
	char found[SPF_NAME_MAX + 1];

	(void)term;
	return validated_name(run, slice_of(name), true, found);
}

/* §5.7: an IPv4 address, whatever the client has. */
static struct match match_exists(struct run *run, const struct spf_term *term, const char *name)
{
	const struct spf_fact *fact = look_up(run, SPF_TYPE_ADDRESS, name);

	(void)term;
	if (fact == NULL)
		return failed(SPF_RESULT_ASK);
	if (fact->status == SPF_STATUS_FAILED)
		return failed(SPF_RESULT_TEMPERROR);
	bool found = has_address(fact, 4);
	if (too_many_voids(run, found))
		return failed(SPF_RESULT_PERMERROR);
	return (struct match){.matches = found, .error = SPF_RESULT_NONE};
}

static struct match match_looked_up(struct run *run, const struct spf_term *term, const char *domain)
{
	static struct match (*const matchers[])(struct run *, const struct spf_term *, const char *) = {
	    [SPF_TERM_INCLUDE] = match_include, [SPF_TERM_A] = match_a,		  [SPF_TERM_MX] = match_mx,
	    [SPF_TERM_PTR] = match_ptr,		[SPF_TERM_EXISTS] = match_exists,
	};
	char name[SPF_NAME_MAX + 1];

	if (++run->terms > SPF_TERMS_MAX)
		return failed(SPF_RESULT_PERMERROR);
	struct match target = target_name(run, term, domain, name);
	if (target.error != SPF_RESULT_NONE)
		return target;
	if (!target.matches)
		return term->kind == SPF_TERM_INCLUDE ? failed(SPF_RESULT_PERMERROR) : no_match;
	return matchers[term->kind](run, term, name);
}

static struct match match_term(struct run *run, const struct spf_term *term, const char *domain)
{
	switch (term->kind) {
	case SPF_TERM_ALL:
		return (struct match){.matches = true, .error = SPF_RESULT_NONE};
	case SPF_TERM_IP4:
		return (struct match){.matches = in_network(run->check, term, 4), .error = SPF_RESULT_NONE};
	case SPF_TERM_IP6:
		return (struct match){.matches = in_network(run->check, term, 6), .error = SPF_RESULT_NONE};
	case SPF_TERM_INCLUDE:
	case SPF_TERM_A:
	case SPF_TERM_MX:
	case SPF_TERM_PTR:
	case SPF_TERM_EXISTS:
		return match_looked_up(run, term, domain);
	case SPF_TERM_REDIRECT:
	case SPF_TERM_EXP:
	case SPF_TERM_OTHER:
		break;
	}
	return no_match;
}

/* --- records --------------------------------------------------------------------------------- */

/* §6.1 */
static enum spf_result redirect(struct run *run, const struct spf_term *term, const char *domain)
{
	char name[SPF_NAME_MAX + 1];

	if (++run->terms > SPF_TERMS_MAX)
		return SPF_RESULT_PERMERROR;
	struct match target = target_name(run, term, domain, name);
	if (target.error != SPF_RESULT_NONE)
		return target.error;
	enum spf_result result = target.matches ? check_host(run, name) : SPF_RESULT_NONE;
	return result == SPF_RESULT_NONE ? SPF_RESULT_PERMERROR : result;
}

/* §4.6: the first mechanism that matches; then the redirect; else neutral (§4.7). */
static enum spf_result evaluate(struct run *run, struct slice terms, const char *domain)
{
	struct spf_term term, redirection = {.kind = SPF_TERM_OTHER};

	if (!spf_record_valid(terms))
		return SPF_RESULT_PERMERROR;
	while (spf_term_next(&terms, &term) == 1) {
		struct match match = match_term(run, &term, domain);
		if (match.error != SPF_RESULT_NONE)
			return match.error;
		if (match.matches)
			return term.qualifier;
		if (term.kind == SPF_TERM_REDIRECT)
			redirection = term;
	}
	if (redirection.kind == SPF_TERM_REDIRECT)
		return redirect(run, &redirection, domain);
	return SPF_RESULT_NEUTRAL;
}

/* §4.3 to §4.5. It comes back to itself by "include" and "redirect", at most SPF_TERMS_MAX deep. */
static enum spf_result check_host(struct run *run, const char *domain)
{
	struct slice terms = {.size = 0};

	if (strchr(domain, '.') == NULL)
		return SPF_RESULT_NONE;
	const struct spf_fact *fact = look_up(run, SPF_TYPE_TXT, domain);
	if (fact == NULL)
		return SPF_RESULT_ASK;
	if (fact->status == SPF_STATUS_FAILED)
		return SPF_RESULT_TEMPERROR;
	if (fact->count == 0)
		return SPF_RESULT_NONE;
	if (fact->count > 1)
		return SPF_RESULT_PERMERROR;
	return spf_record_starts(fact->records[0], &terms) ? evaluate(run, terms, domain) : SPF_RESULT_NONE;
}

/* --- the machine ------------------------------------------------------------------------------ */

int spf_check_init(struct spf_check *check, const struct spf_address *client, struct slice helo,
		   struct slice local_part, struct slice domain)
{
	if (local_part.size == 0)
		local_part = SLICE("postmaster");
	*check = (struct spf_check){.client = *client};
	arena_init(&check->arena, SPF_MEMORY_BYTES);
	if (arena_copy(&check->arena, slice_upto(helo, DOMAIN_MAX), &check->helo) == 0 &&
	    arena_copy(&check->arena, slice_upto(local_part, LOCAL_PART_MAX), &check->local_part) == 0 &&
	    arena_copy(&check->arena, slice_upto(domain, DOMAIN_MAX), &check->domain) == 0)
		return 0;
	arena_deinit(&check->arena);
	return ERR_MEMORY;
}

void spf_check_deinit(struct spf_check *check)
{
	arena_deinit(&check->arena);
}

enum spf_result spf_check_run(const struct spf_check *check, struct spf_question *ret_question)
{
	struct run run = {.check = check, .question = ret_question};
	char domain[SPF_NAME_MAX + 1];

	return spf_name(check->domain, domain) ? check_host(&run, domain) : SPF_RESULT_NONE;
}
