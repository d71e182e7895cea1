/* Was this client allowed to send for that domain? check_host() of RFC 7208, as a machine that asks for what
 * it needs to know of the DNS, one question at a time.
 *
 *	while ((result = spf_check_run(&check, &question)) == SPF_RESULT_ASK)
 *		(look it up and) spf_check_answer(&check, &question, status, records, count);
 *
 * Pure. Each run goes from the start through what has been answered so far; so answers may come in any order,
 * and those to questions that were not asked yet do no harm. The explanation of a fail ("exp") is not made:
 * nobody is refused by this.
 *
 * Limits: those of §4.6.4 (10 terms that look something up, 10 names of one MX or PTR set, 2 void look-ups),
 * SPF_MEMORY_BYTES of answers. Beyond them the result is permerror, as when memory is short.
 *
 * Known gaps: a name of more than 253 bytes loses labels on the left (§7.3); one that no DNS question can
 *hold (an empty label, one of 64 bytes, blanks) matches nothing.
 */
#ifndef PROTO_SPF_H
#define PROTO_SPF_H

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"

enum {
	SPF_NAME_MAX = 253,
	SPF_TERMS_MAX = 10,
	SPF_SET_MAX = 10, /* names used of one MX or PTR set; a greater MX set is an error */
	SPF_VOID_MAX = 2,
	/* TXT, then for each term its own and those of its set; as often again for the macro p. */
	SPF_QUESTIONS_MAX = 2 + SPF_TERMS_MAX + (SPF_TERMS_MAX + 1) * SPF_SET_MAX,
	SPF_MEMORY_BYTES = 256 * 1024,
};

enum spf_result { /* §2.6 */
		  SPF_RESULT_NONE = 0,
		  SPF_RESULT_NEUTRAL = 1,
		  SPF_RESULT_PASS = 2,
		  SPF_RESULT_FAIL = 3,
		  SPF_RESULT_SOFTFAIL = 4,
		  SPF_RESULT_TEMPERROR = 5, /* the DNS failed: it may be different later */
		  SPF_RESULT_PERMERROR = 6, /* the records are wrong, or ask too much */
		  SPF_RESULT_ASK = 7,	    /* not yet known */
};

const char *spf_result_name(enum spf_result result); /* "pass". Static storage. */

enum spf_type {
	SPF_TYPE_TXT = 1,
	SPF_TYPE_ADDRESS = 2, /* of both families: records of 4 or 16 bytes */
	SPF_TYPE_MX = 3,      /* host names, lowest preference first */
	SPF_TYPE_PTR = 4,     /* names of a name in in-addr.arpa or ip6.arpa */
};

struct spf_question {
	enum spf_type type;
	char name[SPF_NAME_MAX + 1]; /* lower case, no trailing dot */
};

enum spf_status {
	SPF_STATUS_FOUND = 0,
	SPF_STATUS_VOID = 1,   /* no such name, or no such record at it */
	SPF_STATUS_FAILED = 2, /* nothing is known */
};

struct spf_address {
	uint8_t family; /* 4 or 6; an IPv4-mapped one is given as IPv4 */
	uint8_t bytes[16];
};

struct spf_fact;

struct spf_check {
	struct arena arena;
	struct spf_fact *facts; /* the newest first */
	struct spf_address client;
	struct slice helo, local_part, domain;
};

/* local_part empty: "postmaster" (§4.3). All is copied. ERR_MEMORY; then nothing is to be freed. */
nodiscard int spf_check_init(struct spf_check *check, const struct spf_address *client, struct slice helo,
			     struct slice local_part, struct slice domain);
void spf_check_deinit(struct spf_check *check);

/* ret_question is set with SPF_RESULT_ASK. */
nodiscard enum spf_result spf_check_run(const struct spf_check *check, struct spf_question *ret_question);

/* Copies the records. Those of TXT that are no SPF are ignored. ERR_MEMORY, ERR_LIMIT: the question is still
 * open, and there is no use to go on. */
nodiscard int spf_check_answer(struct spf_check *check, const struct spf_question *question,
			       enum spf_status status, const struct slice *records, size_t count);

#endif
