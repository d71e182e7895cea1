/* spool rebuild, spool forget. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base32.h"
#include "daemon/cli.h"
#include "daemon/cli/commands.h"
#include "daemon/cli/spool_compare.h"
#include "store/entry.h"

/* --- forget --------------------------------------------------------------------------------------- */

static int forget(struct spool_tool *tool, uint64_t id)
{
	struct tool_answer answer = {.done = false};

	spool_forget(tool->store, id, tool_answered, &answer);
	return tool_wait(tool, &answer);
}

int run_spool_forget(struct client *client, const struct arguments *arguments)
{
	struct spool_tool tool;
	uint64_t id = 0;
	bool named = arguments->word_count > 0;

	(void)client;
	if (named == arguments->all)
		return usage_error("spool forget", "wants an ID, or --all");
	if (named && (base32_to_u64(slice_of(arguments->words[0]), &id) != 0 || id == 0))
		return usage_error("spool forget", "%s is not an id", arguments->words[0]);
	int error = tool_open(&tool, arguments->data, TOOL_CHANGE, false);
	if (error != 0)
		return tool_refused("spool forget", &tool, error);
	error = forget(&tool, id);
	tool_close(&tool);
	if (error == ERR_MISSING)
		(void)fprintf(
		    stderr,
		    "restante spool forget: %s is not set aside; `restante spool check` lists what is\n",
		    arguments->words[0]);
	else if (error != 0)
		(void)fprintf(stderr, "restante spool forget: %s\n", error_name(error));
	else
		(void)printf("%s given up\n", named ? arguments->words[0] : "all that was set aside is");
	return error == 0 ? CLI_OK : CLI_FAILED;
}

/* --- rebuild -------------------------------------------------------------------------------------- */

struct rebuild {
	struct spool_tool old, log; /* the old index, if it can be read; the new one */
	bool has_old;
	struct comparison comparison;
	uint64_t ended, copied, lost;
};

struct old_entry {
	struct tool_answer answer;
	struct store_change *changes;
};

static void take_grace(void *owner, enum store_result result, const struct store_entry *entries, size_t count,
		       bool more)
{
	struct old_entry *old = owner;

	(void)more;
	for (uint32_t i = 0; count > 0 && i < entries[0].envelope.recipient_count; i++) {
		const struct store_recipient *r = &entries[0].envelope.recipients[i];
		if ((entry_queue_of(r) & STORE_GRACE) == 0)
			continue;
		old->changes[i].state = r->state;
		old->changes[i].not_before_ms = r->not_before_ms;
	}
	tool_answered(&old->answer, result, STORE_REASON_NONE);
}

/* A message of which something is in grace stays there. */
static int find_grace(struct rebuild *r, uint64_t id, struct store_change *changes)
{
	struct old_entry old = {.changes = changes};

	r->old.store->ops->find(r->old.store, id, take_grace, &old);
	return tool_wait(&r->old, &old.answer);
}

/* What the old index says has ended, ends again. */
static int end_again(struct rebuild *r, const struct compare_id *row)
{
	struct store *store = r->log.store;
	struct store_change *changes = calloc(STORE_RECIPIENT_MAX, sizeof(*changes));
	struct tool_answer answer = {.done = false};
	int error = ERR_MEMORY;

	for (uint32_t count = row->recipients; changes != NULL && count > 0; count = 0) {
		for (uint32_t i = 0; i < count; i++)
			changes[i] =
			    (struct store_change){.recipient = i,
						  .state = row->state,
						  .reply = SLICE("ended before the index was made again")};
		error = find_grace(r, row->id, changes);
		if (error != 0)
			break;
		store->ops->amend(store, row->id, 0, 0, changes, count, wall_now_ms(), tool_answered,
				  &answer);
		error = tool_wait(&r->log, &answer);
	}
	free(changes);
	r->ended += error == 0;
	return error;
}

struct copying {
	struct store *store;
	struct store_message *message;
};

static int copy_piece(void *owner, struct slice bytes)
{
	struct copying *c = owner;

	return c->store->ops->append(c->message, bytes);
}

/* What only the old index knows, because its record in the log is damaged: under a new id. */
static int copy_message(struct rebuild *r, const struct store_entry *e)
{
	struct store *store = r->log.store;
	struct tool_answer answer = {.done = false};
	struct copying c = {.store = store};
	int error = store->ops->begin(store, e->body_bytes, &c.message);

	if (error != 0)
		return error;
	error = tool_read(&r->old, e->id, copy_piece, &c);
	if (error != 0) {
		store->ops->abort(c.message, NULL, NULL);
		r->lost += error == ERR_CORRUPT;
		return error == ERR_CORRUPT ? 0 : error;
	}
	store->ops->commit(c.message, store->ops->next_id(store, wall_now_ms()), &e->envelope, SLICE(""),
			   tool_answered, &answer);
	r->copied++;
	return tool_wait(&r->log, &answer);
}

static int copy_messages(struct rebuild *r)
{
	struct tool_pager *pager = malloc(sizeof(*pager));
	const struct comparison *c = &r->comparison;
	const struct store_entry *e;
	size_t next = 0;
	int error = 0;

	if (pager == NULL)
		return ERR_MEMORY;
	pager_init(pager, &r->old, 0);
	while (error == 0 && next < c->index_only_count && (e = pager_next(pager)) != NULL) {
		if (e->id != c->index_only[next])
			continue;
		error = copy_message(r, e);
		next++;
	}
	if (error == 0 && pager->failed)
		error = ERR_IO;
	pager_deinit(pager);
	free(pager);
	return error;
}

static int use_old_index(struct rebuild *r)
{
	int error = compare_index(&r->old, &r->log, &r->comparison);

	for (size_t i = 0; i < r->comparison.log_only_count && error == 0; i++)
		if (r->comparison.log_only[i].ended)
			error = end_again(r, &r->comparison.log_only[i]);
	return error == 0 ? copy_messages(r) : error;
}

/* The new index takes the place of the old one, which is kept. */
static int exchange(const char *spool, char *ret_kept, size_t size)
{
	char old[TOOL_PATH_SIZE + 16], new[TOOL_PATH_SIZE + 16];
	int result = -1;

	(void)snprintf(old, sizeof(old), "%s/index", spool);
	(void)snprintf(new, sizeof(new), "%s/index.new", spool);
	for (int number = 1; result < 0 && number < 1000; number++) {
		(void)snprintf(ret_kept, size, "%s/index.%d", spool, number);
		result = rename(old, ret_kept);
		if (result < 0 && errno == ENOENT) {
			ret_kept[0] = '\0';
			result = 0;
		} else if (result < 0 && errno != ENOTEMPTY && errno != EEXIST) {
			return ERR_IO;
		}
	}
	if (result == 0)
		result = rename(new, old);
	return result == 0 && tool_sync(spool) ? 0 : ERR_IO;
}

static void tell(const struct rebuild *r, const struct store_counts *held, const char *kept)
{
	(void)printf("the index is made again from the log: %llu messages are held\n",
		     (unsigned long long)held->messages);
	if (kept[0] != '\0')
		(void)printf("the old index is kept as %s; remove it when all is well\n", kept);
	if (!r->has_old)
		(void)puts(
		    "the old index could not be read: mail that has ended may be among what is held, and "
		    "`trace` knows only what the log does");
	if (r->ended > 0)
		(void)printf("%llu messages that had ended stay ended\n", (unsigned long long)r->ended);
	if (r->copied > 0)
		(void)printf("%llu messages that only the old index knew have new ids\n",
			     (unsigned long long)r->copied);
	if (r->lost > 0)
		(void)printf("%llu messages that only the old index knew cannot be read\n",
			     (unsigned long long)r->lost);
}

static int finish_rebuild(struct rebuild *r)
{
	char kept[TOOL_PATH_SIZE + 16] = "";
	struct store_counts held;
	int error = r->has_old ? use_old_index(r) : 0;

	if (error != 0) {
		(void)fprintf(stderr, "restante spool rebuild: %s; nothing was changed\n", error_name(error));
		return CLI_FAILED;
	}
	r->log.store->ops->count(r->log.store, 0, &held);
	tool_close(&r->old);
	/* While the lock is held: nobody may begin with the old index meanwhile. The new one is true at any
	 * time, and what its last checkpoint will add goes into the same file. */
	if (exchange(r->log.path, kept, sizeof(kept)) != 0) {
		(void)fprintf(stderr, "restante spool rebuild: %s/index.new cannot be put in its place: %s\n",
			      r->log.path, strerror(errno));
		return CLI_FAILED;
	}
	tool_close(&r->log);
	tell(r, &held, kept);
	return CLI_OK;
}

int run_spool_rebuild(struct client *client, const struct arguments *arguments)
{
	struct rebuild *r = calloc(1, sizeof(*r));
	int status;

	(void)client;
	if (r == NULL)
		return CLI_FAILED;
	int error = tool_open(&r->log, arguments->data, TOOL_REBUILD, false);
	if (error == 0) {
		error = tool_open(&r->old, arguments->data, TOOL_LOOK, true);
		r->has_old = error == 0;
		status = finish_rebuild(r);
	} else {
		status = tool_refused("spool rebuild", &r->log, error);
	}
	tool_close(&r->old);
	tool_close(&r->log);
	comparison_free(&r->comparison);
	free(r);
	return status;
}
