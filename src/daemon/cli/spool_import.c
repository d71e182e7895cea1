/* spool import: queues the mail of a source (spool_source.h) in a stopped spool.
 *
 * Never twice: messages are committed in batches. Before a batch, its place in the source and its first id
 * become durable under the key "import/SOURCE"; message number BEGUN + n of the source gets id FIRST + n. A
 * repeated import finds by these ids which messages of the last batch are there already, held, ended or set
 * aside, and takes the others with new ids. The value is "BEGUN FIRST", then the numbers behind BEGUN that
 * are there already; or "done".
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/cli.h"
#include "daemon/cli/commands.h"
#include "daemon/cli/format.h"
#include "daemon/cli/spool_source.h"

enum { BATCH_MAX = 256, BATCH_BYTES = 8 * 1024 * 1024, KEY_SIZE = 64 };

struct import {
	struct spool_tool tool;
	struct tool_domains domains;
	struct source source;
	char key[KEY_SIZE];
	uint64_t begun, first_id;	 /* of the batch: its first message's number in the source, and id */
	bool known[BATCH_MAX];		 /* message number begun + n is there */
	uint64_t known_bytes[BATCH_MAX]; /* of it, 0: not known */
	bool resumed, done;
	struct tool_answer answers[BATCH_MAX];
	uint64_t batch_bytes;
	uint32_t in_batch;
	uint64_t queued, skipped, bytes;
};

/* --- what an earlier run did ----------------------------------------------------------------------- */

static void take_state(void *owner, struct slice key, struct slice value)
{
	struct import *m = owner;
	struct slice word;
	uint64_t number;

	if (!slice_equal(key, slice_of(m->key)))
		return;
	m->done = slice_equal(value, SLICE("done"));
	m->resumed = slice_split(&value, ' ', &word) && slice_to_u64(word, &m->begun) == 0 &&
		     slice_split(&value, ' ', &word) && slice_to_u64(word, &m->first_id) == 0;
	while (m->resumed && slice_split(&value, ' ', &word))
		if (slice_to_u64(word, &number) == 0 && number - m->begun < BATCH_MAX)
			m->known[number - m->begun] = true;
}

static void mark(struct import *m, uint64_t id, uint64_t bytes)
{
	if (id < m->first_id || id - m->first_id >= BATCH_MAX)
		return;
	m->known[id - m->first_id] = true;
	m->known_bytes[id - m->first_id] = bytes;
}

static void take_end(void *owner, const struct store_end *end)
{
	mark(owner, end->id, 0);
}

static void take_aside(void *owner, const struct store_entry *entry)
{
	mark(owner, entry->id, entry->body_bytes);
}

static int find_in(struct import *m, uint32_t queue)
{
	struct tool_pager *pager = malloc(sizeof(*pager));
	const struct store_entry *e;

	if (pager == NULL)
		return ERR_MEMORY;
	pager_init(pager, &m->tool, queue);
	pager->after = m->first_id - 1;
	while ((e = pager_next(pager)) != NULL && e->id - m->first_id < BATCH_MAX)
		mark(m, e->id, e->body_bytes);
	int error = pager->failed ? ERR_IO : 0;
	pager_deinit(pager);
	free(pager);
	return error;
}

/* The next batch begins with the first message that is not there; ids are not used again. */
static void skip_known(struct import *m)
{
	uint32_t known = 0;

	while (known < BATCH_MAX && m->known[known])
		known++;
	m->begun += known;
	memmove(m->known, m->known + known, (BATCH_MAX - known) * sizeof(*m->known));
	memset(m->known + BATCH_MAX - known, 0, known * sizeof(*m->known));
	memmove(m->known_bytes, m->known_bytes + known, (BATCH_MAX - known) * sizeof(*m->known_bytes));
}

static int load_state(struct import *m)
{
	(void)snprintf(m->key, sizeof(m->key), "import/%s", m->source.name);
	int error = tool_scan(&m->tool, slice_of(m->key), take_state, m);

	if (error != 0 || !m->resumed)
		return error;
	error = tool_ends(&m->tool, take_end, m);
	if (error == 0)
		error = find_in(m, 0);
	if (error == 0)
		error = find_in(m, STORE_GRACE);
	if (error == 0)
		error = spool_asides(m->tool.store, take_aside, m);
	skip_known(m);
	return error;
}

/* --- domains that are not served yet ---------------------------------------------------------------- */

static int add_domain(struct import *m, const char *name, const char *record)
{
	struct slice rest = slice_of(record), line;
	char key[STORE_KEY_MAX + 1];
	struct buffer text;

	if ((size_t)snprintf(key, sizeof(key), "domain/%s", name) >= sizeof(key))
		return ERR_LIMIT;
	buffer_init(&text, 0);
	int error = 0;
	while (error == 0 && slice_split(&rest, '\n', &line)) {
		if (slice_starts(line, SLICE("number=")))
			error = buffer_printf(&text, "number=%u\n", m->domains.next_number);
		else if (line.size > 0)
			error = buffer_printf(&text, "%.*s\n", SLICE_ARG(line));
	}
	if (error == 0)
		error = tool_put(&m->tool, slice_of(key), buffer_slice(&text));
	buffer_deinit(&text);
	m->domains.next_number++;
	return error;
}

static int load_domains(struct import *m)
{
	const char *name;
	json_t *record;
	bool added = false;
	int error = tool_domains_load(&m->domains, &m->tool);

	json_object_foreach(m->source.domains, name, record)
	{
		if (error != 0 || !json_is_string(record) || tool_domain_named(&m->domains, name) != NULL)
			continue;
		error = add_domain(m, name, json_string_value(record));
		(void)printf("%s is served from now on, as where it came from\n", name);
		added = true;
	}
	if (error != 0 || !added)
		return error;
	tool_domains_free(&m->domains);
	return tool_domains_load(&m->domains, &m->tool);
}

/* --- messages --------------------------------------------------------------------------------------- */

static int wait_batch(struct import *m)
{
	int error = 0;

	for (uint32_t i = 0; i < m->in_batch; i++) {
		int one = tool_wait(&m->tool, &m->answers[i]);
		error = error != 0 ? error : one;
	}
	m->begun += m->in_batch;
	m->in_batch = 0;
	m->batch_bytes = 0;
	memset(m->known, 0, sizeof(m->known));
	return error;
}

static int begin_batch(struct import *m)
{
	struct store *store = m->tool.store;
	struct buffer text;

	m->first_id = store->ops->next_id(store, wall_now_ms());
	buffer_init(&text, 0);
	int error =
	    buffer_printf(&text, "%llu %llu", (unsigned long long)m->begun, (unsigned long long)m->first_id);
	for (uint32_t i = 0; i < BATCH_MAX && error == 0; i++)
		if (m->known[i])
			error = buffer_printf(&text, " %llu", (unsigned long long)m->begun + i);
	if (error == 0)
		error = tool_put(&m->tool, slice_of(m->key), buffer_slice(&text));
	buffer_deinit(&text);
	return error;
}

/* An id of the batch may have gone to other mail, when the clock was put back meanwhile. */
static bool is_there(const struct import *m, uint64_t bytes)
{
	uint64_t known_bytes = m->known_bytes[m->in_batch];

	return m->known[m->in_batch] && (known_bytes == 0 || known_bytes == bytes);
}

static int commit(struct import *m, const struct store_entry *e, struct slice body)
{
	struct store *store = m->tool.store;
	struct store_message *message;
	int error = store->ops->begin(store, body.size, &message);

	if (error != 0)
		return error;
	error = store->ops->append(message, body);
	if (error != 0) {
		store->ops->abort(message, NULL, NULL);
		return error;
	}
	uint64_t id = m->first_id + m->in_batch;
	store->ops->commit(message, id, &e->envelope, SLICE(""), tool_answered, &m->answers[m->in_batch]);
	m->queued++;
	m->bytes += body.size;
	m->batch_bytes += body.size;
	return 0;
}

static bool domains_known(const struct store_entry *e)
{
	for (uint32_t i = 0; i < e->envelope.recipient_count; i++)
		if (e->envelope.recipients[i].domain == 0)
			return false;
	return true;
}

static int take_message(struct import *m, const struct store_entry *e, struct slice body)
{
	int error = 0;

	if (!domains_known(e)) {
		(void)snprintf(
		    m->source.text, sizeof(m->source.text),
		    "%.*s is in no domain that is served: start restante and `restante domain add` it",
		    SLICE_ARG(e->envelope.recipients[0].forward_path));
		return ERR_SYNTAX;
	}
	if (m->in_batch == BATCH_MAX || m->batch_bytes >= BATCH_BYTES)
		error = wait_batch(m);
	if (error == 0 && m->in_batch == 0)
		error = begin_batch(m);
	if (error != 0)
		return error;
	m->answers[m->in_batch] = (struct tool_answer){.done = false};
	if (is_there(m, body.size)) {
		m->answers[m->in_batch].done = true;
		m->skipped++;
	} else {
		error = commit(m, e, body);
	}
	m->in_batch += error == 0;
	return error;
}

static int import_messages(struct import *m)
{
	struct arena arena;
	struct buffer body;
	struct store_entry entry;
	int result = 1;

	arena_init(&arena, 0);
	buffer_init(&body, 0);
	while (result == 1) {
		arena_reset(&arena);
		result = source_next(&m->source, &m->domains, &arena, &entry, &body);
		if (result == 1 && m->source.number <= m->begun && m->in_batch == 0) {
			m->skipped++;
			continue;
		}
		if (result == 1) {
			int error = take_message(m, &entry, buffer_slice(&body));
			result = error != 0 ? error : 1;
		}
	}
	int error = wait_batch(m);
	buffer_deinit(&body);
	arena_deinit(&arena);
	return result < 0 ? result : error;
}

/* --- all of it -------------------------------------------------------------------------------------- */

static int report(struct import *m, int error)
{
	char bytes[FORMAT_SIZE];

	if (error != 0) {
		(void)fprintf(
		    stderr,
		    "restante spool import: %s: %s; what was queued so far stays, repeat it to go on\n",
		    m->source.path, m->source.text[0] != '\0' ? m->source.text : error_name(error));
		return CLI_FAILED;
	}
	(void)printf("%llu messages, %s, are queued", (unsigned long long)m->queued,
		     format_bytes(m->bytes, bytes));
	if (m->skipped > 0)
		(void)printf("; %llu were there already", (unsigned long long)m->skipped);
	(void)putchar('\n');
	return CLI_OK;
}

static int import_all(struct import *m)
{
	int error = load_state(m);

	if (error == 0 && m->done) {
		(void)printf("%s was imported before; nothing to do\n", m->source.path);
		return CLI_OK;
	}
	if (error == 0)
		error = load_domains(m);
	if (error == 0)
		error = import_messages(m);
	if (error == 0)
		error = tool_put(&m->tool, slice_of(m->key), SLICE("done"));
	return report(m, error);
}

static int run_import(struct import *m, const struct arguments *a)
{
	int error = source_open(&m->source, a->words[0], a->recipient, a->sender);

	if (error != 0) {
		(void)fprintf(stderr, "restante spool import: %s: %s\n", a->words[0],
			      m->source.text[0] != '\0' ? m->source.text : error_name(error));
		return error == ERR_SYNTAX ? CLI_USAGE : CLI_FAILED;
	}
	error = tool_open(&m->tool, a->data, TOOL_CHANGE, false);
	return error == 0 ? import_all(m) : tool_refused("spool import", &m->tool, error);
}

int run_spool_import(struct client *client, const struct arguments *arguments)
{
	struct import *m = calloc(1, sizeof(*m));

	(void)client;
	if (m == NULL)
		return CLI_FAILED;
	int status = run_import(m, arguments);
	tool_close(&m->tool);
	tool_domains_free(&m->domains);
	source_close(&m->source);
	free(m);
	return status;
}
