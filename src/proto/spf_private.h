/* Shared by spf.c (evaluation), spf_term.c (the grammar of records) and spf_macro.c (names with macros). */
#ifndef PROTO_SPF_PRIVATE_H
#define PROTO_SPF_PRIVATE_H

#include "proto/spf.h"

/* --- spf_term.c ------------------------------------------------------------------------------ */

enum spf_term_kind {
	SPF_TERM_ALL,
	SPF_TERM_INCLUDE,
	SPF_TERM_A,
	SPF_TERM_MX,
	SPF_TERM_PTR,
	SPF_TERM_IP4,
	SPF_TERM_IP6,
	SPF_TERM_EXISTS,
	SPF_TERM_REDIRECT,
	SPF_TERM_EXP,
	SPF_TERM_OTHER, /* a modifier that nobody knows (§6) */
};

struct spf_term {
	enum spf_term_kind kind;
	enum spf_result qualifier; /* of a mechanism: what it says when it matches */
	struct slice spec;	   /* domain-spec with its macros; empty: the domain itself */
	uint8_t network[16];	   /* of ip4 and ip6 */
	unsigned bits4, bits6;	   /* prefix lengths */
};

/* Takes a term and the blanks before it off the front of *record. 1, 0 at its end, ERR_SYNTAX. */
nodiscard int spf_term_next(struct slice *record, struct spf_term *ret_term);

/* Is this text a record (§4.5), and what comes behind its version? */
bool spf_record_starts(struct slice text, struct slice *ret_terms);

/* Is the whole record within the grammar of §4.6.1 (behind the version)? */
bool spf_record_valid(struct slice terms);

/* --- spf_macro.c ----------------------------------------------------------------------------- */

/* macro-string of §7.1; domain: domain-spec, which must end in a top label or a macro. */
bool spf_macro_valid(struct slice text, bool domain);
bool spf_macro_uses(struct slice text, char letter);

struct spf_macro_values {
	const struct spf_address *client;
	struct slice local_part, sender_domain, domain, helo, validated;
};

/* Expands a valid domain-spec to a name: lower case, cut on the left to SPF_NAME_MAX. False when no question
 * of the DNS can hold it. ERR_MEMORY does not happen: all is in place. */
bool spf_macro_name(struct slice spec, const struct spf_macro_values *values,
		    char ret_name[SPF_NAME_MAX + 1]);

/* text as a name: lower case, without a trailing dot, labels of 1 to 63 bytes. */
bool spf_name(struct slice text, char ret_name[SPF_NAME_MAX + 1]);

/* The name at which the PTR records of an address are. */
void spf_reverse_name(const struct spf_address *address, char ret_name[SPF_NAME_MAX + 1]);

#endif
