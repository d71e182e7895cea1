/* The domains that a stopped spool knows, by name and number. */
#include <stdlib.h>
#include <string.h>

#include "daemon/cli/spool_tool.h"

static const char domain_prefix[] = "domain/";

static uint32_t number_of_record(struct slice record)
{
	struct slice line, key;
	uint64_t number = 0;

	while (slice_split(&record, '\n', &line))
		if (slice_split(&line, '=', &key) && slice_equal(key, SLICE("number")) &&
		    slice_to_u64(line, &number) == 0 && number <= UINT32_MAX)
			return (uint32_t)number;
	return 0;
}

static int grow(struct tool_domains *d)
{
	if (d->count < d->capacity)
		return 0;
	size_t capacity = d->capacity > 0 ? 2 * d->capacity : 16;
	struct tool_domain *rows = realloc(d->rows, capacity * sizeof(*rows));
	if (rows == NULL)
		return ERR_MEMORY;
	d->rows = rows;
	d->capacity = capacity;
	return 0;
}

static void take_domain(void *owner, struct slice key, struct slice value)
{
	struct tool_domains *d = owner;
	struct tool_domain row = {.number = number_of_record(value)};

	if (d->error != 0 || grow(d) != 0) {
		d->error = ERR_MEMORY;
		return;
	}
	row.name = arena_string(&d->arena, slice_from(key, sizeof(domain_prefix) - 1));
	row.record = arena_string(&d->arena, value);
	if (row.name == NULL || row.record == NULL) {
		d->error = ERR_MEMORY;
		return;
	}
	d->rows[d->count++] = row;
	if (row.number >= d->next_number && row.number < UINT32_MAX)
		d->next_number = row.number + 1;
}

/* Numbers are not given twice: the daemon keeps the next one here. */
static void take_number(void *owner, struct slice key, struct slice value)
{
	struct tool_domains *d = owner;
	uint64_t number;

	if (slice_equal(key, SLICE("number")) && slice_to_u64(value, &number) == 0 && number < UINT32_MAX &&
	    number >= d->next_number)
		d->next_number = (uint32_t)number + 1;
}

int tool_domains_load(struct tool_domains *domains, struct spool_tool *tool)
{
	*domains = (struct tool_domains){.next_number = 1};
	arena_init(&domains->arena, 0);
	int error = tool_scan(tool, slice_of(domain_prefix), take_domain, domains);
	if (error == 0)
		error = tool_scan(tool, SLICE("number"), take_number, domains);
	return error != 0 ? error : domains->error;
}

void tool_domains_free(struct tool_domains *domains)
{
	arena_deinit(&domains->arena);
	free(domains->rows);
}

const struct tool_domain *tool_domain_named(const struct tool_domains *domains, const char *name)
{
	for (size_t i = 0; i < domains->count; i++)
		if (strcmp(domains->rows[i].name, name) == 0)
			return &domains->rows[i];
	return NULL;
}

const char *tool_domain_name(const struct tool_domains *domains, uint32_t number)
{
	for (size_t i = 0; i < domains->count; i++)
		if (domains->rows[i].number == number)
			return domains->rows[i].name;
	return "";
}
