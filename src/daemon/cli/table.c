#include "daemon/cli/table.h"

#include <string.h>

#include "base/check.h"
#include "daemon/cli/format.h"

struct table_cell {
	char *text;
	enum table_style style;
};

struct table_note {
	struct list link;
	char *text;
	enum table_style style;
};

struct table_row {
	struct list link;
	size_t cell_count;
	struct table_cell cells[TABLE_COLUMNS_MAX];
	struct list notes;
};

void table_init(struct table *table, size_t columns, unsigned right)
{
	check(columns <= TABLE_COLUMNS_MAX);
	*table = (struct table){.columns = columns, .right = right};
	arena_init(&table->arena, 0);
	list_init(&table->rows);
}

void table_deinit(struct table *table)
{
	arena_deinit(&table->arena);
}

void table_row(struct table *table)
{
	table->current = arena_alloc(&table->arena, sizeof(*table->current));
	if (table->current == NULL) {
		table->failed = true;
		return;
	}
	list_init(&table->current->notes);
	list_add_last(&table->rows, &table->current->link);
}

void table_cell(struct table *table, enum table_style style, const char *text)
{
	struct table_row *row = table->current;
	char *copy = arena_string(&table->arena, slice_of(text));

	if (row == NULL || copy == NULL) {
		table->failed = true;
		return;
	}
	check(row->cell_count < table->columns);
	row->cells[row->cell_count++] = (struct table_cell){.text = copy, .style = style};
}

void table_note(struct table *table, enum table_style style, const char *text)
{
	struct table_note *note = arena_alloc(&table->arena, sizeof(*note));
	char *copy = arena_string(&table->arena, slice_of(text));

	if (table->current == NULL || note == NULL || copy == NULL) {
		table->failed = true;
		return;
	}
	note->text = copy;
	note->style = style;
	list_add_last(&table->current->notes, &note->link);
}

void style_begin(FILE *to, bool colour, enum table_style style)
{
	static const char *const codes[] = {"", "\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[33m", "\x1b[31;1m"};

	if (colour)
		(void)fputs(codes[style], to);
}

void style_end(FILE *to, bool colour, enum table_style style)
{
	if (colour && style != STYLE_PLAIN)
		(void)fputs("\x1b[0m", to);
}

static void measure(const struct table *table, size_t widths[TABLE_COLUMNS_MAX])
{
	memset(widths, 0, TABLE_COLUMNS_MAX * sizeof(widths[0]));
	list_each(node, &table->rows) {
		const struct table_row *row = container_of(node, struct table_row, link);
		for (size_t i = 0; i < row->cell_count; i++) {
			size_t width = width_of(row->cells[i].text);
			if (width > widths[i])
				widths[i] = width;
		}
	}
}

static void pad(FILE *to, size_t count)
{
	while (count-- > 0)
		(void)fputc(' ', to);
}

static void print_styled(FILE *to, bool colour, enum table_style style, const char *text)
{
	style_begin(to, colour, style);
	print_safe(to, text);
	style_end(to, colour, style);
}

static void print_row(const struct table *table, const struct table_row *row, const size_t *widths, FILE *to,
		      bool colour)
{
	for (size_t i = 0; i < row->cell_count; i++) {
		const struct table_cell *cell = &row->cells[i];
		size_t missing = widths[i] - width_of(cell->text);
		bool right = (table->right >> i & 1u) != 0;
		if (i > 0)
			pad(to, 2);
		if (right)
			pad(to, missing);
		print_styled(to, colour, cell->style, cell->text);
		if (!right && i + 1 < row->cell_count)
			pad(to, missing);
	}
	(void)fputc('\n', to);
}

void table_print(struct table *table, FILE *to, bool colour)
{
	size_t widths[TABLE_COLUMNS_MAX];

	measure(table, widths);
	list_each(node, &table->rows) {
		const struct table_row *row = container_of(node, struct table_row, link);
		print_row(table, row, widths, to, colour);
		list_each(note_node, &row->notes) {
			const struct table_note *note = container_of(note_node, struct table_note, link);
			pad(to, 6);
			print_styled(to, colour, note->style, note->text);
			(void)fputc('\n', to);
		}
	}
	if (table->failed)
		(void)fputs("(out of memory: the list is not complete)\n", to);
}
