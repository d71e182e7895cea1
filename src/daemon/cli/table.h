/* Aligned columns with notes under a row.
 */
#ifndef DAEMON_CLI_TABLE_H
#define DAEMON_CLI_TABLE_H

#include <stdio.h>

#include "base/arena.h"
#include "base/list.h"

enum { TABLE_COLUMNS_MAX = 12 };

enum table_style {
	STYLE_PLAIN = 0,
	STYLE_BOLD = 1,
	STYLE_DIM = 2,
	STYLE_GOOD = 3,
	STYLE_WARN = 4,
	STYLE_BAD = 5
};

struct table {
	struct arena arena;
	struct list rows;
	struct table_row *current;
	size_t columns;
	unsigned right; /* bit n: column n is aligned to the right */
	bool failed;	/* memory: what was added later is missing, and table_print says so */
};

void table_init(struct table *table, size_t columns, unsigned right);
void table_deinit(struct table *table);

void table_row(struct table *table);
/* The next cell of the row; text is copied. */
void table_cell(struct table *table, enum table_style style, const char *text);
/* A line under the row, indented. */
void table_note(struct table *table, enum table_style style, const char *text);

/* colour: write the styles as ANSI sequences. */
void table_print(struct table *table, FILE *to, bool colour);

/* Begins and ends a style; nothing without colour. */
void style_begin(FILE *to, bool colour, enum table_style style);
void style_end(FILE *to, bool colour, enum table_style style);

#endif
