#include "daemon/cli/spool_source.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "daemon/cli/commands.h"

enum { PIECE = 64 * 1024 };

static int fail(struct source *s, int error, const char *what)
{
	(void)snprintf(s->text, sizeof(s->text), "%s%s%s", what, error == ERR_IO ? ": " : "",
		       error == ERR_IO ? strerror(errno) : "");
	return error;
}

static FILE *open_in(const struct source *s, const char *name)
{
	char path[TOOL_PATH_SIZE];

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", s->path, name) >= sizeof(path)) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	return fopen(path, "re");
}

static void set_name(struct source *s, XXH3_state_t *state)
{
	XXH128_hash_t hash = XXH3_128bits_digest(state);

	(void)snprintf(s->name, sizeof(s->name), "%016llx%016llx", (unsigned long long)hash.high64,
		       (unsigned long long)hash.low64);
}

/* --- an export ------------------------------------------------------------------------------------ */

static int read_marker(struct source *s, FILE *marker, bool *ret_mbox)
{
	char line[128] = "";
	bool first = true, known = false;

	while (fgets(line, sizeof(line), marker) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (first)
			known = strcmp(line, "restante export 1") == 0;
		if (strcmp(line, "format=mbox") == 0)
			*ret_mbox = true;
		if (strncmp(line, "name=", 5) == 0)
			(void)snprintf(s->name, sizeof(s->name), "%.32s", line + 5);
		first = false;
	}
	return known && s->name[0] != '\0' ? 0
					   : fail(s, ERR_SYNTAX, "EXPORT is not one that this version knows");
}

static int open_export(struct source *s, FILE *marker)
{
	bool mbox = false;
	int error = read_marker(s, marker, &mbox);

	if (error != 0)
		return error;
	s->exported = true;
	s->envelopes = open_in(s, "envelopes.jsonl");
	if (s->envelopes == NULL)
		return fail(s, ERR_IO, "envelopes.jsonl");
	if (mbox && (s->mbox = open_in(s, "mbox")) == NULL)
		return fail(s, ERR_IO, "mbox");
	s->reader.from = s->mbox;
	FILE *domains = open_in(s, "domains.json");
	if (domains != NULL) {
		s->domains = json_loadf(domains, 0, NULL);
		(void)fclose(domains);
	}
	return s->domains != NULL ? 0 : fail(s, ERR_SYNTAX, "domains.json is missing or damaged");
}

/* --- without envelopes ----------------------------------------------------------------------------- */

static int name_mbox(struct source *s)
{
	XXH3_state_t *state = XXH3_createState();
	char *bytes = malloc(PIECE);
	size_t got;

	if (state == NULL || bytes == NULL) {
		(void)XXH3_freeState(state);
		free(bytes);
		return ERR_MEMORY;
	}
	(void)XXH3_128bits_reset(state);
	(void)XXH3_128bits_update(state, s->recipient, strlen(s->recipient) + 1);
	while ((got = fread(bytes, 1, PIECE, s->mbox)) > 0)
		(void)XXH3_128bits_update(state, bytes, got);
	set_name(s, state);
	(void)XXH3_freeState(state);
	free(bytes);
	bool bad = ferror(s->mbox) != 0;
	rewind(s->mbox);
	return bad ? fail(s, ERR_IO, "it cannot be read") : 0;
}

static int add_file(struct source *s, const char *folder, const char *name)
{
	char text[512];

	if (s->file_count == s->file_capacity) {
		size_t capacity = s->file_capacity > 0 ? 2 * s->file_capacity : 256;
		char **files = realloc(s->files, capacity * sizeof(*files));
		if (files == NULL)
			return ERR_MEMORY;
		s->files = files;
		s->file_capacity = capacity;
	}
	if ((size_t)snprintf(text, sizeof(text), "%s/%s", folder, name) >= sizeof(text))
		return ERR_LIMIT;
	s->files[s->file_count] = strdup(text);
	return s->files[s->file_count++] != NULL ? 0 : ERR_MEMORY;
}

static int list_files(struct source *s, const char *folder)
{
	char path[TOOL_PATH_SIZE];
	int error = 0;

	(void)snprintf(path, sizeof(path), "%s/%s", s->path, folder);
	DIR *entries = opendir(path);
	if (entries == NULL)
		return errno == ENOENT ? 0 : fail(s, ERR_IO, folder);
	for (const struct dirent *e; error == 0 && (e = readdir(entries)) != NULL;)
		if (e->d_name[0] != '.')
			error = add_file(s, folder, e->d_name);
	(void)closedir(entries);
	return error;
}

/* By the name behind the folder's: a reader may move it from new to cur between two runs. */
static int by_name(const void *a, const void *b)
{
	return strcmp(strchr(*(char *const *)a, '/'), strchr(*(char *const *)b, '/'));
}

static int open_maildir(struct source *s)
{
	int error = list_files(s, "new");

	if (error == 0)
		error = list_files(s, "cur");
	XXH3_state_t *state = XXH3_createState();
	if (state == NULL)
		error = ERR_MEMORY;
	if (error == 0) {
		if (s->file_count > 0)
			qsort(s->files, s->file_count, sizeof(*s->files), by_name);
		(void)XXH3_128bits_reset(state);
		(void)XXH3_128bits_update(state, s->recipient, strlen(s->recipient) + 1);
		for (size_t i = 0; i < s->file_count; i++) {
			const char *name = strchr(s->files[i], '/');
			(void)XXH3_128bits_update(state, name, strlen(name) + 1);
		}
		set_name(s, state);
	}
	(void)XXH3_freeState(state);
	return error;
}

static int open_plain(struct source *s, bool folder)
{
	if (s->recipient == NULL)
		return fail(s, ERR_SYNTAX,
			    "has no envelopes: say to whom its messages go with --recipient ADDRESS");
	if (strchr(s->recipient, '@') == NULL)
		return fail(s, ERR_SYNTAX, "--recipient wants an address");
	if (folder)
		return open_maildir(s);
	s->mbox = fopen(s->path, "re");
	s->reader.from = s->mbox;
	return s->mbox != NULL ? name_mbox(s) : fail(s, ERR_IO, "it cannot be opened");
}

int source_open(struct source *source, const char *path, const char *recipient, const char *sender)
{
	struct stat status, inner;
	char name[TOOL_PATH_SIZE];

	*source = (struct source){.path = path, .recipient = recipient, .sender = sender};
	buffer_init(&source->from, 0);
	if (stat(path, &status) < 0)
		return fail(source, ERR_IO, "it cannot be found");
	FILE *marker = S_ISDIR(status.st_mode) ? open_in(source, "EXPORT") : NULL;
	if (marker != NULL) {
		int error = open_export(source, marker);
		(void)fclose(marker);
		return error;
	}
	(void)snprintf(name, sizeof(name), "%s/envelopes.jsonl", path);
	if (stat(name, &inner) == 0)
		return fail(source, ERR_SYNTAX, "is an export that was not finished: make it again");
	(void)snprintf(name, sizeof(name), "%s/new", path);
	if (S_ISDIR(status.st_mode) && stat(name, &inner) < 0)
		return fail(source, ERR_SYNTAX, "is neither an export nor a Maildir");
	return open_plain(source, S_ISDIR(status.st_mode));
}

void source_close(struct source *source)
{
	for (size_t i = 0; i < source->file_count; i++)
		free(source->files[i]);
	free(source->files);
	free(source->line);
	mbox_reader_end(&source->reader);
	buffer_deinit(&source->from);
	json_decref(source->domains);
	if (source->mbox != NULL)
		(void)fclose(source->mbox);
	if (source->envelopes != NULL)
		(void)fclose(source->envelopes);
}

/* --- one message ---------------------------------------------------------------------------------- */

static int read_file(struct source *s, const char *name, struct buffer *to)
{
	FILE *file = open_in(s, name);
	size_t got = 1;

	buffer_reset(to);
	while (file != NULL && got > 0) {
		char *place = buffer_reserve(to, PIECE);
		if (place == NULL) {
			(void)fclose(file);
			return ERR_MEMORY;
		}
		got = fread(place, 1, PIECE, file);
		buffer_commit(to, got);
	}
	bool bad = file == NULL || ferror(file);
	if (file != NULL)
		(void)fclose(file);
	return bad ? fail(s, ERR_IO, name) : 0;
}

static int next_exported(struct source *s, const struct tool_domains *domains, struct arena *arena,
			 struct store_entry *ret_entry, struct buffer *ret_body)
{
	ssize_t size = getline(&s->line, &s->line_room, s->envelopes);

	if (size <= 0)
		return ferror(s->envelopes) ? fail(s, ERR_IO, "envelopes.jsonl") : 0;
	json_t *json = json_loadb(s->line, (size_t)size, 0, NULL);
	int error = json != NULL ? envelope_parse(json, domains, arena, ret_entry) : ERR_SYNTAX;
	char file[128];
	(void)snprintf(file, sizeof(file), "new/%s", text_of(json, "file"));
	json_decref(json);
	if (error != 0)
		return fail(s, error, "envelopes.jsonl has a line that makes no sense");
	if (s->mbox != NULL) {
		error = mbox_next(&s->reader, false, &s->from, ret_body);
		if (error == 0 || error == ERR_SYNTAX)
			return fail(s, ERR_SYNTAX, "mbox does not fit envelopes.jsonl");
		buffer_truncate(ret_body, ret_entry->body_bytes);
	} else {
		error = strchr(file + 4, '/') == NULL ? read_file(s, file, ret_body) : ERR_SYNTAX;
	}
	if (error >= 0 && buffer_size(ret_body) != ret_entry->body_bytes)
		return fail(s, ERR_SYNTAX, "a message has not the size that envelopes.jsonl says");
	return error < 0 ? error : 1;
}

static int to_crlf(struct slice from, struct buffer *to)
{
	int error = 0;

	buffer_reset(to);
	while (from.size > 0 && error == 0) {
		size_t size = slice_find(from, '\n');
		bool bare = size < from.size && (size == 0 || from.data[size - 1] != '\r');
		error = buffer_add(to, slice_upto(from, size));
		if (error == 0 && size < from.size)
			error = buffer_add(to, bare ? SLICE("\r\n") : SLICE("\n"));
		from = slice_from(from, size + 1);
	}
	return error;
}

static int next_file(struct source *s, struct buffer *ret_body)
{
	struct buffer raw;

	if (s->next_file == s->file_count)
		return 0;
	buffer_init(&raw, 0);
	buffer_reset(&s->from);
	int error = read_file(s, s->files[s->next_file++], &raw);
	if (error == 0)
		error = to_crlf(buffer_slice(&raw), ret_body);
	buffer_deinit(&raw);
	return error == 0 ? 1 : error;
}

static struct slice domain_of(struct slice address)
{
	return slice_from(address, slice_find_last(address, '@') + 1);
}

static int plain_envelope(struct source *s, const struct tool_domains *domains, struct arena *arena,
			  struct store_entry *entry)
{
	struct store_envelope *e = &entry->envelope;
	struct slice to = slice_of(s->recipient);
	char *name = arena_string(arena, domain_of(to));

	*entry = (struct store_entry){.id = s->number + 1};
	e->recipients = arena_alloc(arena, sizeof(*e->recipients));
	if (e->recipients == NULL || name == NULL)
		return ERR_MEMORY;
	for (char *c = name; *c != '\0'; c++)
		*c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
	const struct tool_domain *domain = tool_domain_named(domains, name);
	*e->recipients =
	    (struct store_recipient){.forward_path = to, .domain = domain != NULL ? domain->number : 0};
	e->recipient_count = 1;
	e->arrival_ms = wall_now_ms();
	e->body = STORE_BODY_8BITMIME;
	if (s->sender != NULL)
		return arena_copy(arena, slice_of(s->sender), &e->reverse_path);
	return arena_copy(arena, buffer_slice(&s->from), &e->reverse_path);
}

int source_next(struct source *source, const struct tool_domains *domains, struct arena *arena,
		struct store_entry *ret_entry, struct buffer *ret_body)
{
	int result;

	if (source->exported)
		result = next_exported(source, domains, arena, ret_entry, ret_body);
	else if (source->mbox != NULL)
		result = mbox_next(&source->reader, true, &source->from, ret_body);
	else
		result = next_file(source, ret_body);
	if (result == 1 && !source->exported) {
		int error = plain_envelope(source, domains, arena, ret_entry);
		if (error != 0)
			return error;
		ret_entry->body_bytes = buffer_size(ret_body);
	}
	if (result == ERR_SYNTAX && source->text[0] == '\0')
		return fail(source, ERR_SYNTAX, "is no mbox: a message does not begin with a From_ line");
	source->number += result == 1;
	return result;
}
