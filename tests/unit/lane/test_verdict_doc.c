/* The table in doc/verdicts.md is the one in the code. With --print it is written to standard output, to be
 * put there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "lane/verdict_rules.h"

enum { WORDS_SHOWN = 70, LINE_BYTES = 1024, DOC_BYTES = 256 * 1024 };

static const char *doc;

static void put(struct buffer *b, const char *text)
{
	assert_int_equal(buffer_append(b, text, strlen(text)), 0);
}

static void put_stages(struct buffer *b, uint32_t stages)
{
	static const char *const names[] = {"connect", "banner", "EHLO", "TLS", "MAIL",
					    "RCPT",    "DATA",	 "body", "dot", "feature"};
	bool any = false;

	if (stages == (1u << (VERDICT_AT_FEATURE + 1)) - 1) {
		put(b, "any");
		return;
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if ((stages & (1u << i)) == 0)
			continue;
		put(b, any ? ", " : "");
		put(b, names[i]);
		any = true;
	}
}

/* What is long is cut after a whole alternative. '|' would end a cell. */
static void put_list(struct buffer *b, const char *list)
{
	struct slice rest = slice_of(list), part;
	size_t shown = 0;

	while (list != NULL && slice_split(&rest, '|', &part)) {
		if (shown > 0)
			put(b, ", ");
		if (shown > WORDS_SHOWN) {
			put(b, "…");
			return;
		}
		put(b, "`");
		assert_int_equal(buffer_append(b, part.data, part.size), 0);
		put(b, "`");
		shown += part.size + 2;
	}
}

static void put_row(struct buffer *b, const struct verdict_rule *rule)
{
	static const char *const conditions[] = {"", " (others open)", " (some accepted)"};

	put(b, "| ");
	put_stages(b, rule->stages);
	put(b, conditions[rule->when]);
	put(b, " | ");
	if ((rule->whats & (1u << VERDICT_REPLY)) == 0)
		put(b, "no reply");
	put_list(b, rule->code);
	put(b, " | ");
	put_list(b, rule->status);
	put(b, " | ");
	put_list(b, rule->words);
	put(b, " | ");
	put(b, verdict_name(rule->verdict));
	put(b, " | ");
	put(b, verdict_reason_name(rule->reason));
	put(b, " | ");
	put(b, rule->says);
	put(b, " |\n");
}

static void write_table(struct buffer *b)
{
	put(b, "| At | Code | Status | Words | Verdict | Reason | Who says so, or why |\n");
	put(b, "|---|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < verdict_rule_count(); i++)
		put_row(b, verdict_rule_at(i));
}

static void the_page_has_the_table(void **state)
{
	char *text = malloc(DOC_BYTES);
	FILE *file = fopen(doc, "re");
	struct buffer table;

	assert_non_null(text);
	if (file == NULL)
		fail_msg("%s cannot be opened", doc);
	size_t size = fread(text, 1, DOC_BYTES - 1, file);
	text[size] = '\0';
	(void)fclose(file);
	buffer_init(&table, DOC_BYTES);
	write_table(&table);
	put(&table, "\n");
	struct slice wanted = buffer_slice(&table);
	const char *begin = strstr(text, "| At | Code |");
	bool same = begin != NULL && strncmp(begin, wanted.data, wanted.size - 1) == 0;
	buffer_deinit(&table);
	free(text);
	if (!same)
		fail_msg("the table in %s is another one: put there what `test_verdict_doc --print` prints",
			 doc);
}

static int print_table(void)
{
	struct buffer table;

	buffer_init(&table, DOC_BYTES);
	write_table(&table);
	struct slice text = buffer_slice(&table);
	(void)printf("%.*s", SLICE_ARG(text));
	buffer_deinit(&table);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_page_has_the_table),
	};

	if (argc != 2) {
		(void)fprintf(stderr, "usage: %s doc/verdicts.md | --print\n", argv[0]);
		return 2;
	}
	if (strcmp(argv[1], "--print") == 0)
		return print_table();
	doc = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
