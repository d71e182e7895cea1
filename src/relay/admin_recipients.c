/* Recipients by hand: what is known of them, and who exists whatever their server says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "proto/address.h"
#include "relay/admin_private.h"
#include "relay/door_memory.h"
#include "relay/known.h"
#include "relay/trust.h"

enum {
	LIST_PAGE = STORE_WALK_MAX, /* pairs of one scan */
	AT_ONCE = 64, /* operations of one change: the store writes those of a moment together */
	PATH_MAX_BYTES = ADDRESS_LOCAL_PART_MAX + RELAY_DOMAIN_NAME_MAX + 2,
};

/* --- list --- */

struct list_request {
	struct admin_request request; /* first */
	char domain[RELAY_DOMAIN_NAME_MAX + 1];
	char prefix[STORE_KEY_MAX + 1], cursor[STORE_KEY_MAX];
	size_t prefix_size, cursor_size;
	size_t limit, shown;
	void (*recipient)(void *owner, const struct admin_recipient_view *view);
};

static void list_on(struct list_request *r);

static void show(struct list_request *r, const struct domain *domain, const struct store_pair *pair)
{
	struct ledger_domain nothing;
	struct ledger_entry entry;

	ledger_domain_init(&nothing);
	if (ledger_decode(pair->value, &entry) !=
	    0) /* of a later version, or damaged: the sweep's business */
		return;
	struct admin_recipient_view view = {
	    .domain = r->domain,
	    .local = slice_from(pair->key, r->prefix_size),
	    .entry = &entry,
	    .standing = ledger_standing(&entry, domain->known != NULL ? &domain->known->ledger : &nothing),
	};
	r->recipient(r->request.owner, &view);
	r->shown++;
}

static void listed(void *owner, enum store_result result, const struct store_pair *pairs, size_t count,
		   bool more)
{
	struct list_request *r = owner;
	struct relay *relay = r->request.relay;
	const struct domain *domain = domain_find(relay, slice_of(r->domain));

	relay_enter(relay);
	relay->operations--;
	for (size_t i = 0; result == STORE_OK && domain != NULL && i < count && r->shown < r->limit; i++)
		show(r, domain, &pairs[i]);
	if (result != STORE_OK) {
		admin_request_finish(&r->request, ERR_IO, "the store cannot be read: see the log");
		return;
	}
	if (domain != NULL && more && count > 0 && r->shown < r->limit) {
		r->cursor_size = pairs[count - 1].key.size;
		memcpy(r->cursor, pairs[count - 1].key.data, r->cursor_size);
		list_on(r);
		return;
	}
	admin_request_finish(&r->request, 0, "%zu listed", r->shown);
}

static void list_on(struct list_request *r)
{
	struct relay *relay = r->request.relay;
	struct store *store = relay->ports.store;

	relay->operations++;
	store->ops->scan(store, slice_make(r->prefix, r->prefix_size), slice_make(r->cursor, r->cursor_size),
			 LIST_PAGE, listed, r);
}

/* Both from keys as the ledger makes them. ERR_SYNTAX, ERR_LIMIT: `after` is none of ours. */
static int set_cursor(struct list_request *r, struct slice after)
{
	char key[LEDGER_KEY_MAX];
	size_t size;

	int error = ledger_key(slice_of(r->domain), SLICE("x"), key, &size);
	if (error != 0)
		return error;
	r->prefix_size = size - 1;
	memcpy(r->prefix, key, r->prefix_size);
	if (after.size == 0)
		return 0;
	error = ledger_key(slice_of(r->domain), after, key, &size);
	if (error != 0)
		return error;
	r->cursor_size = size;
	memcpy(r->cursor, key, size);
	return 0;
}

void admin_recipients(struct relay *relay, struct slice name, struct slice after, size_t limit,
		      void (*recipient)(void *owner, const struct admin_recipient_view *view),
		      admin_done *done, void *owner)
{
	relay_enter(relay);
	const struct domain *domain = admin_find_or_answer(relay, name, done, owner);
	if (domain == NULL)
		return;
	struct list_request *r = calloc(1, sizeof(*r));
	if (r == NULL) {
		admin_request_answer(relay, done, owner, ERR_MEMORY, "out of memory");
		return;
	}
	(void)snprintf(r->domain, sizeof(r->domain), "%s", domain->name);
	r->limit = limit;
	r->recipient = recipient;
	admin_request_init(&r->request, relay, done, owner);
	if (set_cursor(r, slice_upto(after, slice_find_last(after, '@'))) != 0) {
		admin_request_finish_later(&r->request, ERR_SYNTAX,
					   "\"after\" is the last recipient of the list before");
		return;
	}
	list_on(r);
}

/* --- pin, import, unpin --- */

struct vouch_request;

struct vouch_job { /* one recipient */
	struct vouch_request *request;
	char local[LEDGER_LOCAL_MAX + 1];
};

struct vouch_request {
	struct admin_request request; /* first */
	char domain[RELAY_DOMAIN_NAME_MAX + 1];
	enum admin_vouch what;
	size_t count, begun, over, failed, unknown;
	enum store_reason reason;
	struct vouch_job jobs[];
};

static struct domain *domain_of(const struct vouch_request *r)
{
	return domain_find(r->request.relay, slice_of(r->domain));
}

static void job_begin(struct vouch_job *job);

static void say_failure(struct vouch_request *r)
{
	const char *why = domain_of(r) == NULL		   ? "the domain is not served any more"
			  : r->reason == STORE_REASON_FULL ? "the disk is full"
							   : "the store failed: see the log";

	admin_request_finish(&r->request, ERR_IO, "%zu of %zu recipients were written, the others not: %s",
			     r->count - r->failed, r->count, why);
}

static void say_success(struct vouch_request *r)
{
	const char *which = r->count == 1 ? r->jobs[0].local : "";
	char who[LEDGER_LOCAL_MAX + 32];

	if (r->count == 1)
		(void)snprintf(who, sizeof(who), "%s@", which);
	else
		(void)snprintf(who, sizeof(who), "%zu recipients of ", r->count);
	if (r->what == ADMIN_PIN)
		admin_request_finish(&r->request, 0, "%s%s: pinned, never refused at our door", who,
				     r->domain);
	else if (r->what == ADMIN_IMPORT)
		admin_request_finish(&r->request, 0, "%s%s: listed, not refused at our door", who, r->domain);
	else if (r->unknown == r->count)
		admin_request_finish(&r->request, 0, "%s%s: nothing was known, nothing is changed", who,
				     r->domain);
	else
		admin_request_finish(&r->request, 0,
				     "%s%s: not vouched for any more, their server's word counts", who,
				     r->domain);
}

/* It is written, or not; the next one may begin. */
static void job_over(struct vouch_job *job, bool ok)
{
	struct vouch_request *r = job->request;

	r->over++;
	r->failed += !ok;
	if (r->begun < r->count)
		job_begin(&r->jobs[r->begun++]);
	else if (r->over == r->count && r->failed > 0)
		say_failure(r);
	else if (r->over == r->count)
		say_success(r);
}

/* From now on nothing that was read before is written, and nothing that was said before is repeated. */
static void forget(const struct vouch_job *job)
{
	const struct vouch_request *r = job->request;
	struct domain *domain = domain_of(r);
	char path[PATH_MAX_BYTES];

	if (domain == NULL)
		return;
	if (domain->known != NULL)
		domain->known->edits++;
	(void)snprintf(path, sizeof(path), "%s@%s", job->local, r->domain);
	door_forget(r->request.relay->door_memory, trust_recipient(domain, slice_of(path)));
}

static void written(void *owner, enum store_result result, enum store_reason reason)
{
	struct vouch_job *job = owner;
	struct relay *relay = job->request->request.relay;

	relay_enter(relay);
	relay->operations--;
	if (result != STORE_OK)
		job->request->reason = reason;
	forget(job);
	job_over(job, result == STORE_OK);
}

/* The record that is to stand for it; empty: none. ERR_MEMORY. */
static int new_record(const struct vouch_request *r, bool found, struct ledger_entry *entry,
		      struct buffer *record)
{
	if (r->what == ADMIN_UNPIN)
		return found && ledger_unvouch(entry) ? ledger_encode(entry, record) : 0;
	if (!found)
		*entry = ledger_entry(LEDGER_LIST);
	ledger_vouch(entry, r->what == ADMIN_PIN ? LEDGER_LIST : LEDGER_CSV, r->what == ADMIN_PIN);
	return ledger_encode(entry, record);
}

/* False: nothing follows. */
static bool job_write(struct vouch_job *job, const struct known_entry *was)
{
	struct vouch_request *r = job->request;
	struct relay *relay = r->request.relay;
	struct ledger_entry entry = was->entry;
	char key[LEDGER_KEY_MAX];
	struct buffer record;
	size_t size;

	buffer_init(&record, 0);
	bool ok = ledger_key(slice_of(r->domain), slice_of(job->local), key, &size) == 0 &&
		  new_record(r, was->state == NOTE_FOUND, &entry, &record) == 0;
	if (ok) {
		forget(job);
		relay->operations++;
		relay->ports.store->ops->put(relay->ports.store, slice_make(key, size), buffer_slice(&record),
					     written, job);
	}
	buffer_deinit(&record);
	return ok;
}

static void job_read(void *owner, enum store_result result, const struct store_pair *pairs, size_t count,
		     bool more)
{
	struct vouch_job *job = owner;
	struct vouch_request *r = job->request;
	struct domain *domain = domain_of(r);
	struct known_entry was = {.state = NOTE_NONE};

	relay_enter(r->request.relay);
	r->request.relay->operations--;
	if (result == STORE_OK)
		known_entry_take(&was, pairs, count);
	if (domain == NULL || was.state == NOTE_NONE || known_of(domain) == NULL) {
		job_over(job, false);
		return;
	}
	if (r->what == ADMIN_UNPIN && was.state == NOTE_NEW) {
		r->unknown++;
		job_over(job, true);
		return;
	}
	domain->known->count += was.state == NOTE_NEW;
	domain->known->changed = true;
	if (!job_write(job, &was))
		job_over(job, false);
}

static void job_begin(struct vouch_job *job)
{
	const struct vouch_request *r = job->request;
	struct store *store = r->request.relay->ports.store;
	char key[LEDGER_KEY_MAX];
	size_t size;

	check(ledger_key(slice_of(r->domain), slice_of(job->local), key, &size) == 0); /* take_name did */
	r->request.relay->operations++;
	store->ops->get(store, slice_make(key, size), job_read, job);
}

/* A local part, or an address of the domain. What is wrong with it, or NULL. */
static const char *take_name(const struct domain *domain, struct slice name,
			     char ret_local[LEDGER_LOCAL_MAX + 1])
{
	char path[PATH_MAX_BYTES], key[LEDGER_KEY_MAX];
	struct mailbox mailbox;
	size_t size;

	if (slice_find(name, '@') == name.size && name.size <= ADDRESS_LOCAL_PART_MAX) {
		(void)snprintf(path, sizeof(path), "%.*s@%s", SLICE_ARG(name), domain->name);
		name = slice_of(path);
	}
	if (address_parse(name, true, &mailbox) != 0)
		return "is no address";
	if (domain_find(domain->relay, mailbox.domain) != domain)
		return "is of another domain";
	if (mailbox.local_part.size > LEDGER_LOCAL_MAX ||
	    ledger_key(slice_of(domain->name), mailbox.local_part, key, &size) != 0)
		return "is too long to be remembered";
	(void)snprintf(ret_local, LEDGER_LOCAL_MAX + 1, "%.*s", SLICE_ARG(mailbox.local_part));
	return NULL;
}

/* False: one is wrong, and that is answered. */
static bool take_names(struct vouch_request *r, const struct domain *domain, const struct slice *names)
{
	for (size_t i = 0; i < r->count; i++) {
		const char *wrong = take_name(domain, names[i], r->jobs[i].local);
		r->jobs[i].request = r;
		if (wrong == NULL)
			continue;
		admin_request_finish_later(&r->request, ERR_SYNTAX, "\"%.*s\" %s; nothing was changed",
					   SLICE_ARG(slice_upto(names[i], STORE_PATH_MAX)), wrong);
		return false;
	}
	return true;
}

void admin_vouch(struct relay *relay, struct slice name, enum admin_vouch what, const struct slice *names,
		 size_t count, admin_done *done, void *owner)
{
	relay_enter(relay);
	const struct domain *domain = admin_find_or_answer(relay, name, done, owner);
	if (domain == NULL)
		return;
	if (count < 1 || count > ADMIN_RECIPIENTS_MAX) {
		admin_request_answer(relay, done, owner, ERR_LIMIT, "from 1 to %d recipients at a time",
				     ADMIN_RECIPIENTS_MAX);
		return;
	}
	struct vouch_request *r = calloc(1, sizeof(*r) + count * sizeof(r->jobs[0]));
	if (r == NULL) {
		admin_request_answer(relay, done, owner, ERR_MEMORY, "out of memory");
		return;
	}
	(void)snprintf(r->domain, sizeof(r->domain), "%s", domain->name);
	r->what = what;
	r->count = count;
	admin_request_init(&r->request, relay, done, owner);
	if (!take_names(r, domain, names))
		return;
	r->begun = count < AT_ONCE ? count : AT_ONCE;
	size_t first = r->begun; /* completions come later, and begin further ones */
	for (size_t i = 0; i < first; i++)
		job_begin(&r->jobs[i]);
}
