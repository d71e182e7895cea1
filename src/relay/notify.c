#include "relay/notify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/base32.h"
#include "proto/dsn.h"
#include "relay/relay_private.h"

enum { PIECE_BYTES = 64 * 1024 };

struct notify {
	struct list in_list; /* of the relay */
	struct relay *relay;
	uint64_t id, body_bytes;
	struct arena arena;
	struct dsn dsn;
	struct buffer returned; /* the message, or its header */
	char message_id[BASE32_U64_SIZE + RELAY_DOMAIN_NAME_MAX + 2], boundary[BASE32_U64_SIZE * 2 + 1];
	notify_done *done;
	void *owner;
};

bool notify_of_failure(const struct store_envelope *envelope, const struct store_recipient *recipient)
{
	const uint32_t given =
	    STORE_NOTIFY_NEVER | STORE_NOTIFY_SUCCESS | STORE_NOTIFY_FAILURE | STORE_NOTIFY_DELAY;
	uint32_t notify = recipient->notify & given;

	return envelope->reverse_path.size > 0 && (envelope->flags & STORE_SPF_PASS) != 0 &&
	       (notify == 0 || (notify & STORE_NOTIFY_FAILURE) != 0);
}

/* --- composing --- */

static const char expired_words[] =
    "Your message could not be delivered to the addresses below: their server did\r\n"
    "not take it for as long as this mail relay keeps mail. It is not tried again.\r\n"
    "What the server said last, if it said anything, stands under each address.\r\n";
static const char refused_words[] =
    "The server of the addresses below has refused your message again and again.\r\n"
    "It is not tried again. What the server said stands under each address.\r\n";

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "550 5.1.1 no such user": a server said it. Our own words begin otherwise. */
static bool said_by_server(struct slice reply)
{
	return reply.size > 4 && (reply.data[0] == '4' || reply.data[0] == '5') && digit(reply.data[1]) &&
	       digit(reply.data[2]) && reply.data[3] == ' ';
}

/* The enhanced code of a reply of a server, if it has one. */
static bool status_of(struct slice reply, struct slice *ret_status)
{
	struct slice word = slice_from(reply, 4), class, subject, detail;
	uint64_t number;

	if (!said_by_server(reply))
		return false;
	word = slice_upto(word, slice_find(word, ' '));
	*ret_status = word;
	return slice_split(&word, '.', &class) && slice_split(&word, '.', &subject) &&
	       slice_split(&word, '.', &detail) && word.size == 0 && class.size == 1 &&
	       class.data[0] == reply.data[0] && subject.size <= 3 && detail.size <= 3 &&
	       slice_to_u64(subject, &number) == 0 && slice_to_u64(detail, &number) == 0;
}

static int copy_recipient(struct notify *n, const struct store_recipient *r,
			  const struct store_change *change, struct dsn_recipient *to)
{
	struct slice status;
	bool expired = change->state == STORE_EXPIRED;

	*to = (struct dsn_recipient){.action = DSN_FAILED, .status = expired ? "4.4.7" : "5.0.0"};
	if (!expired && status_of(change->reply, &status)) {
		to->status = arena_string(&n->arena, status);
		if (to->status == NULL)
			return ERR_MEMORY;
	}
	if (said_by_server(change->reply) && arena_copy(&n->arena, change->reply, &to->diagnostic) != 0)
		return ERR_MEMORY;
	if (arena_copy(&n->arena, r->forward_path, &to->address) != 0)
		return ERR_MEMORY;
	return arena_copy(&n->arena, r->orcpt, &to->orcpt);
}

static int copy_recipients(struct notify *n, const struct store_entry *entry,
			   const struct store_change *changes, uint32_t count)
{
	struct dsn_recipient *list = arena_alloc_array(&n->arena, count, sizeof(*list));
	int error = list != NULL ? 0 : ERR_MEMORY;

	n->dsn.recipients = list;
	for (uint32_t i = 0; i < count && error == 0; i++) {
		const struct store_recipient *r = &entry->envelope.recipients[changes[i].recipient];
		if (changes[i].state == STORE_EXPIRED)
			n->dsn.words = expired_words;
		if (notify_of_failure(&entry->envelope, r))
			error = copy_recipient(n, r, &changes[i], &list[n->dsn.recipient_count++]);
	}
	return error;
}

static void name_it(struct notify *n)
{
	struct relay *relay = n->relay;
	char a[BASE32_U64_SIZE + 1], b[BASE32_U64_SIZE + 1];

	base32_from_u64(rng_next(&relay->rng), a);
	(void)snprintf(n->message_id, sizeof(n->message_id), "%s@%s", a, relay->config.hostname);
	base32_from_u64(rng_next(&relay->rng), a);
	base32_from_u64(rng_next(&relay->rng), b);
	(void)snprintf(n->boundary, sizeof(n->boundary), "%s%s", a, b);
	n->dsn.hostname = relay->config.hostname;
	n->dsn.message_id = n->message_id;
	n->dsn.boundary = n->boundary;
}

/* --- sending --- */

static void notify_free(struct notify *n)
{
	list_remove(&n->in_list);
	arena_deinit(&n->arena);
	buffer_deinit(&n->returned);
	free(n);
}

static void finish(struct notify *n, enum notify_result result)
{
	notify_done *done = n->done;
	void *owner = n->owner;

	notify_free(n);
	done(owner, result);
}

static void sent(void *owner, uint64_t id)
{
	finish(owner, id != 0 ? NOTIFY_SENT : NOTIFY_LATER);
}

static enum notify_result result_of(const struct relay *relay, int error)
{
	bool no_room = error == ERR_BUSY && !relay->shutting_down;

	return error == ERR_SYNTAX || no_room ? NOTIFY_NEVER : NOTIFY_LATER;
}

static bool has_eight(struct slice text)
{
	for (size_t i = 0; i < text.size; i++)
		if ((uint8_t)text.data[i] >= 0x80)
			return true;
	return false;
}

static void compose(struct notify *n)
{
	struct relay *relay = n->relay;
	struct slice returned = buffer_slice(&n->returned);
	struct buffer content;

	buffer_init(&content, OUTSIDE_BYTES_MAX);
	n->dsn.eight = has_eight(returned);
	n->dsn.date_ms = relay->now.wall_ms;
	int error = dsn_write_begin(&n->dsn, &content);
	if (error == 0)
		error = buffer_add(&content, returned);
	if (error == 0)
		error = dsn_write_end(&n->dsn, &content);
	if (error == 0) {
		struct outside_mail mail = {.to = n->dsn.to,
					    .content = buffer_slice(&content),
					    .utf8 = n->dsn.utf8,
					    .eight = n->dsn.eight};
		error = outside_send(relay, &mail, sent, n);
	}
	buffer_deinit(&content);
	if (error != 0)
		finish(n, result_of(relay, error));
}

/* --- reading the message --- */

/* The whole header and no more, up to its last field. */
static bool cut_header(struct buffer *message)
{
	struct slice text = buffer_slice(message);

	for (size_t i = 0; i + 4 <= text.size; i++)
		if (memcmp(text.data + i, "\r\n\r\n", 4) == 0) {
			buffer_truncate(message, i + 2);
			return true;
		}
	return false;
}

/* What is too long ends with its last whole line. */
static void cut_line(struct buffer *message)
{
	struct slice text = buffer_slice(message);
	size_t last = slice_find_last(text, '\n');

	buffer_truncate(message, last < text.size ? last + 1 : 0);
}

static void read_on(struct notify *n);

static void piece_read(void *owner, enum store_result result, enum store_reason reason, struct slice bytes)
{
	struct notify *n = owner;
	struct relay *relay = n->relay;

	relay_enter(relay);
	relay->operations--;
	if (result == STORE_OK && buffer_add(&n->returned, bytes) != 0) {
		finish(n, NOTIFY_LATER);
		return;
	}
	size_t size = buffer_size(&n->returned);
	bool more = result == STORE_OK && bytes.size > 0 && size < n->body_bytes;
	bool header_done = !n->dsn.full && cut_header(&n->returned);
	if (!header_done && more && (n->dsn.full || size < NOTIFY_HEADER_MAX)) {
		read_on(n);
		return;
	}
	if (!header_done && size < n->body_bytes) { /* unreadable from here on, or too long */
		cut_line(&n->returned);
		n->dsn.full = false;
	}
	compose(n);
}

static void read_on(struct notify *n)
{
	struct relay *relay = n->relay;

	relay->operations++;
	relay->ports.store->ops->read(relay->ports.store, n->id, buffer_size(&n->returned), PIECE_BYTES,
				      piece_read, n);
}

/* --- life --- */

static int fill_in(struct notify *n, const struct store_entry *entry, const struct store_change *changes,
		   uint32_t count)
{
	const struct store_envelope *e = &entry->envelope;

	n->dsn = (struct dsn){
	    .words = refused_words,
	    .arrival_ms = e->arrival_ms,
	    .utf8 = (e->flags & STORE_SMTPUTF8) != 0,
	    .full = (e->flags & STORE_RET_FULL) != 0 && entry->body_bytes <= NOTIFY_FULL_MAX,
	};
	name_it(n);
	if (arena_copy(&n->arena, e->reverse_path, &n->dsn.to) != 0 ||
	    arena_copy(&n->arena, e->envid, &n->dsn.envid) != 0)
		return ERR_MEMORY;
	return copy_recipients(n, entry, changes, count);
}

int notify_failures(struct relay *relay, const struct store_entry *entry, const struct store_change *changes,
		    uint32_t count, notify_done *done, void *owner)
{
	struct notify *n = calloc(1, sizeof(*n));

	if (n == NULL)
		return ERR_MEMORY;
	n->relay = relay;
	n->id = entry->id;
	n->body_bytes = entry->body_bytes;
	n->done = done;
	n->owner = owner;
	arena_init(&n->arena, 0);
	buffer_init(&n->returned, NOTIFY_FULL_MAX + PIECE_BYTES);
	list_add_last(&relay->notifies, &n->in_list);
	if (fill_in(n, entry, changes, count) != 0) {
		notify_free(n);
		return ERR_MEMORY;
	}
	read_on(n);
	return 0;
}

void notify_free_all(struct relay *relay)
{
	list_each_safe(node, after, &relay->notifies)
		notify_free(container_of(node, struct notify, in_list));
}
