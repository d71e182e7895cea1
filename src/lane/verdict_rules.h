/* The rows of the verdict table, for verdict.c, its tests, and the check of doc/verdicts.md. */
#ifndef LANE_VERDICT_RULES_H
#define LANE_VERDICT_RULES_H

#include "lane/verdict.h"

enum verdict_condition {
	WHEN_ALWAYS = 0,
	WHEN_OTHERS_OPEN = 1,	/* other connections of ours are open: they say that the server lives */
	WHEN_SOME_ACCEPTED = 2, /* this transaction has a recipient already */
};

struct verdict_rule {
	uint32_t stages, whats; /* masks of 1 << enum verdict_stage, 1 << enum verdict_what */
	enum verdict_condition when;
	const char *code;   /* "4xx", "421", "450|451"; NULL: any */
	const char *status; /* enhanced code: "4.2.*|*.1.2"; NULL: any or none; "-": there is none */
	const char *words;  /* one of them stands in the text, see words.h; NULL: any text */
	enum verdict verdict;
	enum lane_kind kind;
	enum verdict_reason reason;
	const char *says; /* whose replies the row is for, and why it stands where it stands */
};

size_t verdict_rule_count(void);
const struct verdict_rule *verdict_rule_at(size_t index);
/* The first that fits; NULL when none does. */
const struct verdict_rule *verdict_rule_for(const struct verdict_event *event);

#endif
